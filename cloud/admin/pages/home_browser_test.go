package pages_test

import "testing"

func TestBrowserHome(t *testing.T) {
	w := newWorld(t)
	ada := w.user("Ada", "Lab", "10731")
	w.group("Chemists", ada)
	w.property("south", "South building")
	w.rule("Lab people", []string{"science"})
	b := newBrowser(t, w)
	b.open("")
	b.sees("Overview", "North building", "South building", "not syncing: no rule")
	b.accessible("home")
}
