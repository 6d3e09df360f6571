package pages_test

import (
	"testing"

	"github.com/chromedp/chromedp"

	"latchkey/cloud"
)

// TestBrowserWhy: an administrator finds out why somebody has no access, has
// the directory mend it, and sees the door open.
func TestBrowserWhy(t *testing.T) {
	w := newWorld(t)
	ann := w.user("Ann", "Sales", "104711")
	w.group("Everyone", ann)
	w.user("Bea", "Lab", "104712")
	w.rule("Laboratory staff", []string{"science"}, cloud.Condition{Attr: "department", Op: "eq", Value: "Lab"})
	w.rule("Board", []string{"staff"}, cloud.Condition{Group: "Board"}, cloud.Condition{Attr: "title", Op: "sw", Value: "Director"})
	w.confirm()
	b := newBrowser(t, w)
	b.open("")
	b.fill("#who", "ann@acme.example")
	b.do(chromedp.SetValue(chromedp.CSS("#at"), "north/lab"))
	b.press(`form[action="/admin/why"] button`)
	b.sees("Access of Ann to Laboratory", "Ann may not open Laboratory of North building: no rule of the property matches them.", "department is “Lab” – theirs is “Sales”", "no group of this name yet")
	b.accessible("why-no")
	w.change(ann, "department", "Lab")
	w.confirm()
	b.do(chromedp.SetValue(chromedp.CSS("#at"), "north/lab"))
	b.press(`form[action$="/why"] button`)
	b.sees("Ann may open Laboratory of North building.", "Decides", "“Science” opens it at all hours", "Confirmed by the building")
	b.accessible("why-yes")
	b.open("why")
	b.fill("#who", "nobody@acme.example")
	b.press(`form[action="/admin/why"] button`)
	b.sees("Nobody here has exactly this user name")
	b.accessible("why-nobody")
}

// TestBrowserCards: a visitor, a card by hand, and its suspension.
func TestBrowserCards(t *testing.T) {
	w := newWorld(t)
	w.rule("All", []string{"staff"})
	ann := w.user("Ann", "Lab", "104711")
	w.group("Chemists", ann)
	b := newBrowser(t, w)
	b.open("people")
	b.do(chromedp.Click(chromedp.CSS("details summary")))
	b.fill("#name", "Vera Vale")
	b.fill("#email", "vera@visitors.example")
	b.accessible("people")
	b.press(`form[action="/admin/people"][method="post"] button`)
	b.sees("Vera Vale", "They were added", "They have no card.")
	b.do(chromedp.SetValue(chromedp.CSS("#group"), "north/staff"))
	b.press("#join button")
	b.sees("Staff (by hand)")
	b.press(`main a[href$="/cards"]`)
	b.fill("#number", "abc")
	b.press("main form button.primary")
	b.sees("Not saved.", "has characters that no card number has")
	b.do(chromedp.Click(chromedp.CSS("main details summary")))
	b.accessible("card-new")
	b.fill("#number", "200731")
	b.press("main form button.primary")
	b.sees("The card was added", "H10302 …731", "Active")
	b.press(`form[action$="/status"] button`)
	b.sees("The card is suspended", "Suspended")
	b.accessible("person-by-hand")
	b.press(`th a.mono`)
	b.sees("Card of Vera Vale", "When it is valid")
	b.accessible("card")
	b.open("people/" + ann)
	b.do(chromedp.Click(chromedp.CSS("summary.button")))
	b.accessible("person")
	b.press(".ask button.danger")
	b.sees("They are suspended: no door opens for them.", "End the suspension", "but the person is locked out")
	b.open("audit")
	b.sees("Change person", "suspended: no → yes", "Add card", "card: H10302 …731")
	b.accessible("audit")
}

// TestBrowserCardTypes: a badge type of another format, and numbers for
// Bluetooth keys.
func TestBrowserCardTypes(t *testing.T) {
	w := newWorld(t)
	b := newBrowser(t, w)
	b.open("cards")
	b.press(`main a[href$="cards/type"]`)
	b.fill("#id", "Visitor")
	b.do(chromedp.SetValue(chromedp.CSS("#format"), "H10301"))
	b.fill("#facility", "300")
	b.press("main form button.primary")
	b.sees("Not saved.", "facility codes of format H10301 go up to 255")
	b.accessible("card-type")
	b.fill("#facility", "77")
	b.press("main form button.primary")
	b.sees("The badge type was saved.", "Visitor", "H10301, 26 bits")
	b.press(`a[href$="technology=ble"]`)
	b.fill("#first", "500000")
	b.fill("#last", "509999")
	b.accessible("pool")
	b.press("main form button.primary")
	b.sees("500000 to 509999")
	b.accessible("cards")
	b.press(`a[href$="id=Visitor"]`)
	b.do(chromedp.Click(chromedp.CSS("details summary")))
	b.press("button.danger")
	b.sees("The badge type was deleted.")
}
