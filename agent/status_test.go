package agent

import (
	"slices"
	"strings"
	"testing"

	"latchkey/access"
	"latchkey/controller"
)

// aLine is a line with readers of each kind, two of them heads of one device.
func aLine() []controller.Status {
	noisy := []controller.Remark{{Text: "Many damaged answers."}}
	return []controller.Status{{
		Name: "bus-1", Online: true,
		Readers: []controller.ReaderStatus{
			{Name: "in", Door: front, Address: 1, Online: true, Secure: true, Quality: new(controller.Quality), Remarks: noisy},
			{Name: "out", Door: front, Address: 1, Online: true, Secure: true, Quality: new(controller.Quality), Remarks: noisy, Tamper: true},
			{Name: "yard", Door: "yard", Address: 2, Online: true, Clear: true, Quality: new(controller.Quality)},
			{Name: "lab", Door: "lab", Address: 3, Problem: "It has another key.", Quality: new(controller.Quality)},
			{Name: "cellar", Door: "lab", Address: 4, Quality: new(controller.Quality)},
		},
		Doors: []controller.DoorStatus{{ID: front}, {ID: "yard"}, {ID: "lab"}},
		Line:  &controller.LineStatus{Remarks: []controller.Remark{{Text: "The adapter hears itself.", Harmless: true}, {Text: "Another controller asks."}}},
	}}
}

// TestProblemsOfReaders: what is wrong with a reader or a line is among what a
// person should look at, once, and what is harmless is not.
func TestProblemsOfReaders(t *testing.T) {
	got := problems(&Status{Controllers: aLine()}, 0)
	want := []string{
		"bus-1: Another controller asks.",
		"Reader in: Many damaged answers.",
		"Reader out says that somebody is at its housing.",
		"Reader lab: It has another key.",
	}
	if !slices.Equal(got, want) {
		t.Errorf("problems\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestNoticesOfClearReaders: a reader that the site file lets go without
// encryption is named, and no other.
func TestNoticesOfClearReaders(t *testing.T) {
	got := notices(aLine())
	if len(got) != 1 || !strings.HasPrefix(got[0], "Reader yard (bus-1) is not encrypted") {
		t.Errorf("notices %q, want the one of yard", got)
	}
}

// TestDoorsOfDistrustedReaders: whoever reads that a reader does not answer
// looks at its cable; one that is not trusted wants something else.
func TestDoorsOfDistrustedReaders(t *testing.T) {
	for door, want := range map[string]string{
		front: "up to date", "yard": "up to date", "lab": "reader cellar does not answer; reader lab answers, but is not trusted",
	} {
		st := doorStatus(access.Door{ID: door}, access.ModeNormal, aLine(), true, false)
		if st.Text != want || st.Online != (want == "up to date") {
			t.Errorf("%s: %q, online %v; want %q", door, st.Text, st.Online, want)
		}
	}
}
