package pages_test

import "testing"

func TestBrowserProperties(t *testing.T) {
	w := newWorld(t)
	b := newBrowser(t, w)
	b.open("properties")
	b.fill("#name", "South building")
	b.fill("#id", "south")
	b.accessible("properties")
	b.press("form .primary")
	b.sees("South building", "The property is there")
}
