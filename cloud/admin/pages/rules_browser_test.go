package pages_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"latchkey/cloud"
)

// A point is a place on the screen.
type point struct{ X, Y float64 }

// middle is where on the screen an element is.
func (b *browser) middle(selector string) point {
	b.Helper()
	return eval[point](b, fmt.Sprintf(`(() => {
		const e = document.querySelector(%q);
		e.scrollIntoView({block: "center"});
		const r = e.getBoundingClientRect();
		return {X: r.x + r.width / 2, Y: r.y + r.height / 2};
	})()`, selector))
}

// A pointer presses at a place, moves there, or lets go.
type pointer struct {
	press, move, release func(x, y float64) chromedp.Action[chromedp.Void]
}

func mouse() pointer {
	event := func(what input.DispatchMouseEventType) func(x, y float64) chromedp.Action[chromedp.Void] {
		return func(x, y float64) chromedp.Action[chromedp.Void] {
			return chromedp.MouseEvent(what, x, y, chromedp.ButtonLeft)
		}
	}
	return pointer{event(chromedp.MousePressed), event(chromedp.MouseMoved), event(chromedp.MouseReleased)}
}

func finger() pointer {
	event := func(what input.DispatchTouchEventType) func(x, y float64) chromedp.Action[chromedp.Void] {
		return func(x, y float64) chromedp.Action[chromedp.Void] {
			return chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
				touch := input.DispatchTouchEventParams{Type: what, TouchPoints: []*input.TouchPoint{{X: x, Y: y}}}
				if what == input.DispatchTouchEventTypeTouchEnd {
					touch.TouchPoints = []*input.TouchPoint{}
				}
				_, err := cdp.Call(ctx, t, input.DispatchTouchEvent, touch)
				return err
			})
		}
	}
	return pointer{event(input.DispatchTouchEventTypeTouchStart), event(input.DispatchTouchEventTypeTouchMove), event(input.DispatchTouchEventTypeTouchEnd)}
}

// drag takes what from names up by dy pixels, a little at a time, and waits for
// the page that follows.
func (b *browser) drag(with pointer, from string, dy float64) {
	b.Helper()
	p := b.middle(from)
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	steps := []chromedp.Action[chromedp.Void]{with.press(p.X, p.Y)}
	for i := range 10 {
		steps = append(steps, with.move(p.X, p.Y-dy*float64(i+1)/10))
	}
	steps = append(steps, with.release(p.X, p.Y-dy))
	drop := chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		for _, s := range steps {
			if _, err := s(ctx, t); err != nil {
				return err
			}
		}
		return nil
	})
	if _, err := chromedp.RunResponse(ctx, drop); err != nil {
		b.Fatalf("drag %s: %v, at\n%s", from, err, b.text())
	}
	b.do(chromedp.WaitReady(chromedp.CSS("main h1")))
}

// order are the names of north's rules as they are saved.
func (w *world) order() (names []string) {
	w.Helper()
	rules, err := w.cloud.Rules(w.ctx, "acme", "north")
	w.ok(err)
	for _, r := range rules {
		names = append(names, r.Name)
	}
	return names
}

// choose ticks a box or a radio button.
func (b *browser) choose(selector string) {
	b.Helper()
	b.do(chromedp.Click(chromedp.CSS(selector)))
}

// TestBrowserRules makes rules, drags one above another, reads the dry run and
// saves; then a change takes too much, is held, read, and confirmed.
func TestBrowserRules(t *testing.T) {
	w := newWorld(t)
	var ids []string
	for i := range 21 {
		ids = append(ids, w.user(fmt.Sprintf("Person %02d", i), "Sales", fmt.Sprint(20000+i)))
	}
	ada := w.user("Ada", "Science", "10731")
	w.group("Staff", append(ids, ada)...)
	w.group("Chemists", ada)
	b := newBrowser(t, w)

	b.open("properties/north")
	b.sees("there is no rule", "This property is frozen")
	b.accessible("rules-none")
	b.makeRules()
	if w.openings() != 22 {
		t.Errorf("%d openings, want the front door for all 22", w.openings())
	}

	b.drag(mouse(), "li:nth-child(2) [data-grip]", 250)
	b.sees("This order is not saved yet", "1 person gains access", "1 opening more, at 1 door", "Ada", "Laboratory")
	b.accessible("rules-order")
	if got := w.order(); !slices.Equal(got, []string{"All staff", "Chemists", "Contractors"}) {
		t.Errorf("a drag alone saved the order: %q", got)
	}
	b.press(".card.warn .primary")
	b.sees("The rules are asked in this order now")
	if got := w.order(); !slices.Equal(got, []string{"Chemists", "All staff", "Contractors"}) || w.openings() != 23 {
		t.Errorf("order %q, %d openings; want Chemists first, and the laboratory besides", got, w.openings())
	}
	b.keyboardOrder()
	b.massLoss()
}

// makeRules makes three rules of north by the form.
func (b *browser) makeRules() {
	b.Helper()
	for _, r := range []struct{ name, group, access string }{{"All staff", "Staff", "staff"}, {"Chemists", "Chemists", "science"}, {"Contractors", "Contractors", "staff"}} {
		b.open("properties/north/rules/new")
		b.fill("#name", r.name)
		b.choose("[data-add=row-group]")
		b.fill("[name='group.0']", r.group)
		if r.name == "Chemists" {
			b.choose("[data-add=row-attribute]")
			b.fill("[name='attr.1']", "department")
			b.fill("[name='value.1']", "Science")
			b.choose("[data-add=row-group]")
			b.choose("#conditions li:last-child [data-remove]")
		}
		b.choose("[name=groups][value=" + r.access + "]")
		b.accessible("rule-" + r.access)
		b.press(".primary")
		b.sees("Add the rule “"+r.name+"”", "Back to the form")
		b.accessible("review-" + r.access)
		b.press(".primary")
		b.sees("The rule is saved")
	}
	b.sees("In group “Chemists” and department is “Science”", "waits for the group “Contractors”")
	b.accessible("rules")
}

// keyboardOrder moves the last rule up twice by keyboard alone, and undoes it;
// then another by a finger.
func (b *browser) keyboardOrder() {
	b.Helper()
	b.do(chromedp.Focus(chromedp.CSS("li:nth-child(3) button[name=move]")))
	for place := 2; place > 0; place-- {
		ctx, cancel := context.WithTimeout(b.tab, patience)
		if _, err := chromedp.RunResponse(ctx, chromedp.KeyEvent(kb.Enter)); err != nil {
			b.Fatalf("%v, at\n%s", err, b.text())
		}
		cancel()
		b.do(chromedp.WaitReady(chromedp.CSS("#moved")))
		b.sees(fmt.Sprintf("“Contractors” is number %d of 3 now.", place))
		if got := eval[string](b, `document.activeElement.getAttribute("aria-label")`); !strings.HasPrefix(got, "Move “Contractors”") {
			b.Fatalf("the focus is on %q", got)
		}
	}
	b.press(".card.warn a.button")
	b.drag(finger(), "li:nth-child(2) [data-grip]", 250)
	b.sees("This order is not saved yet", "1 person loses access")
	b.press(".card.warn a.button")
	if got := b.order(); got[0] != "Chemists" {
		b.Errorf("order %q, want what was saved", got)
	}
}

// massLoss disables the rule that most people have access by.
func (b *browser) massLoss() {
	b.Helper()
	b.press("li:nth-child(2) form[action$=disable] button")
	b.sees("21 people lose access", "This takes more than may go unasked")
	b.accessible("review-held")
	b.press(".buttons .danger, .buttons .primary")
	b.sees("Disable the rule “All staff”", "This waits for a person", "Person 00", "Front door")
	b.accessible("hold")
	if b.openings() != 23 {
		b.Errorf("%d openings while it is held, want all 23", b.openings())
	}
	b.open("holds")
	b.sees("Waiting for you", "21 openings from 21 people")
	b.accessible("holds")
	b.press("tbody th a")
	b.press(".buttons .danger")
	b.sees("It is confirmed, and done", "confirmed, by ann@acme.example (owner)")
	b.accessible("hold-confirmed")
	if b.openings() != 2 || b.ruleNamed("All staff").Enabled {
		b.Errorf("%d openings, want Ada's 2 alone", b.openings())
	}
}

func TestBrowserSettings(t *testing.T) {
	w := newWorld(t)
	ids, _ := w.staff(3)
	w.group("Pilots", ids[0])
	b := newBrowser(t, w)
	b.open("properties/north/settings")
	b.choose("[data-more]")
	b.fill("#pilot-0-more", "Guests")
	b.fill("#pilot-0", "Pilots")
	b.fill("#openings", "31")
	b.accessible("settings")
	b.press(".primary")
	b.sees("2 people lose access", "Pilots", "Guests", "10 percent of all openings, or 31 where that is more")
	b.accessible("review-settings")
	b.press("button[value=back]")
	b.fill("#openings", "32")
	b.press(".primary")
	b.press(".primary")
	b.sees("The settings are saved")
	b.open("properties/north/settings")
	w.bob(cloud.Proposal{Op: cloud.OpPutProperty, Property: &cloud.Property{ID: "north", Name: "Bob’s building", Wallet: true}})
	b.press(".primary")
	b.sees("bob@acme.example (admin) changed this just now, after it was shown to you", "Bob’s building", "North building", "Drop mine, and open it as it is now")
	b.accessible("overtaken")
	b.press("a.button[href$=settings]")
	if got := eval[string](b, `document.getElementById("name").value`); got != "Bob’s building" {
		b.Errorf("the form has %q, want it as it is now", got)
	}
	b.press("form .danger")
	b.accessible("review-delete")
	b.fill("#confirm", "north")
	b.press(".danger")
	b.sees("The property is deleted")
}
