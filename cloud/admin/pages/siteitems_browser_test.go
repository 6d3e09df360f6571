package pages_test

import (
	"testing"

	"github.com/chromedp/chromedp"

	"latchkey/access"
)

// TestBrowserSite sets a property up: a key cabinet, hours, an access group of
// both; then looks at what happens in the building.
func TestBrowserSite(t *testing.T) {
	w := newWorld(t)
	w.rule("All", []string{"staff"})
	ann := w.user("Ann", "Lab", "104711")
	_, err := w.cloud.PutSchedule(w.ctx, by, "acme", "north", access.Schedule{ID: "evening", Name: "Evening", Zone: "Europe/Berlin", Weekly: []access.Interval{{Day: 1, From: 1080, To: 1320}}})
	w.ok(err)
	b := newBrowser(t, w)
	b.open("properties/north/doors")
	b.press(`main a.primary`)
	b.fill("#id", "keys")
	b.fill("#name", "Key box")
	b.do(chromedp.SetValue(chromedp.CSS("#kind"), "cabinet"))
	b.fill("#unlock", "2.5")
	b.accessible("door")
	b.press("main form button.primary")
	b.sees("Save the door “Key box”", "2.5 s", "Nobody’s access changes")
	b.press("main form button.primary")
	b.sees("The door is saved.", "Key box", "key cabinet")
	b.accessible("doors")

	b.open("properties/north/schedules/edit")
	b.fill("#name", "Working hours")
	b.fill("#zone", "Europe/Berlin")
	for _, day := range []string{"1", "2", "3", "4", "5"} {
		b.do(chromedp.Click(chromedp.CSS(`[name="day-0"][value="` + day + `"]`)))
	}
	b.do(chromedp.SetValue(chromedp.CSS(`[name="from-0"]`), "08:00"), chromedp.SetValue(chromedp.CSS(`[name="to-0"]`), "12:00"))
	for range 2 {
		b.choose("[data-add]")
	}
	b.choose("#spans li:nth-child(2) [data-remove]")
	for _, day := range []string{"1", "2", "3", "4", "5"} {
		b.choose(`[name="day-2"][value="` + day + `"]`)
	}
	b.do(chromedp.SetValue(chromedp.CSS(`[name="from-2"]`), "13:00"), chromedp.SetValue(chromedp.CSS(`[name="to-2"]`), "18:00"))
	b.do(chromedp.SetValue(chromedp.CSS("#holidays"), "2026-12-25"))
	b.accessible("schedule")
	b.press("main form button.primary")
	b.sees("Mon–Fri 08:00–12:00 and 13:00–18:00, Europe/Berlin, not on 1 holiday")
	b.press("main form button.primary")
	b.accessible("schedules")

	b.open("properties/north/groups/edit?id=staff")
	b.do(chromedp.SetValue(chromedp.CSS("#grant-0"), "front/working-hours"), chromedp.SetValue(chromedp.CSS("#grant-1"), "keys/"))
	b.choose(`[aria-label="Other hours too for Front door"]`)
	if got := eval[string](b, `document.activeElement.id + document.activeElement.value`); got != "grant-0-more" {
		b.Errorf("the focus is on %q, want the new row, empty", got)
	}
	b.do(chromedp.SetValue(chromedp.CSS("#grant-0-more"), "front/evening"))
	b.accessible("group")
	b.press("main form button.primary")
	b.sees("1 person gains access", "1 person gets other hours", "Key box", "Front door, during “Evening”")
	b.accessible("group-review")
	b.press("main form button.primary")
	b.sees("The access group is saved.", "Mon–Fri 08:00–12:00 and 13:00–18:00")
	b.accessible("groups")

	w.confirm()
	w.happens(
		access.Event{Kind: access.EventAccess, Door: "front", Granted: true, Reason: access.Granted, Person: ann, Card: "H10302 …711"},
		access.Event{Kind: access.EventDoorOpened, Door: "front"},
		access.Event{Kind: access.EventAccess, Door: "lab", Reason: access.NoGroup, Person: ann, Card: "H10302 …711"},
		access.Event{Kind: access.EventAccess, Door: "front", Reason: access.UnknownCard, Card: "H10302 …99"},
		access.Event{Kind: access.EventDoorForced, Door: "lab"},
	)
	b.press(`.tabs a[href$="/building"]`)
	b.sees("Up to date", "Let in", "The person is in no access group for this door.", "holds what it should")
	b.accessible("building")
	b.press(`a[href*="/why/north"]`)
	b.sees("Ann may not open Laboratory of North building: none of their access groups opens it.")
}
