package pages_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"

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

// drag takes what from names with the mouse, a little at a time, up by dy
// pixels, and waits for the page that follows.
func (b *browser) drag(from string, dy float64) {
	b.Helper()
	p := b.middle(from)
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	steps := []chromedp.Action[chromedp.Void]{chromedp.MouseEvent(chromedp.MousePressed, p.X, p.Y, chromedp.ButtonLeft)}
	for i := range 10 {
		steps = append(steps, chromedp.MouseEvent(chromedp.MouseMoved, p.X, p.Y+dy*float64(i+1)/10, chromedp.ButtonLeft))
	}
	steps = append(steps, chromedp.MouseEvent(chromedp.MouseReleased, p.X, p.Y+dy, chromedp.ButtonLeft))
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

func TestBrowserRules(t *testing.T) {
	w := newWorld(t)
	b := newBrowser(t, w)
	b.open("properties/north")
	b.sees("there is no rule", "This property is frozen")
	b.accessible("rules-none")

	ada, bob := w.user("Ada", "Science", "10731"), w.user("Bob", "Sales", "10732")
	w.group("Chemists", ada)
	w.group("Staff", ada, bob)
	w.rule("All staff", []string{"staff"}, cloud.Condition{Group: "Staff"})
	w.rule("Chemists", []string{"science"}, cloud.Condition{Group: "Chemists"}, cloud.Condition{Attr: "department", Op: cloud.OpEqual, Value: "Science"})
	w.rule("Contractors", []string{"staff"}, cloud.Condition{Group: "Contractors"})
	b.open("properties/north")
	b.accessible("rules")

	b.drag("li:nth-child(2) [data-grip]", -250)
	b.sees("This order is not saved yet", "1 person gains access", "Ada", "Laboratory")
	b.accessible("rules-order")
	if got := w.order(); !slices.Equal(got, []string{"All staff", "Chemists", "Contractors"}) {
		t.Errorf("a drag alone saved the order: %q", got)
	}
	b.press(".buttons button.primary")
	b.sees("The rules are asked in this order now")
	if got := w.order(); !slices.Equal(got, []string{"Chemists", "All staff", "Contractors"}) {
		t.Errorf("order %q", got)
	}
}
