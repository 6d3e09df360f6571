package access

import (
	"strings"
	"testing"
)

// Each reason and kind of event has words of its own.
func TestEventWords(t *testing.T) {
	for _, r := range []Reason{
		UnknownCard, WrongFormat, WrongFacility, CardNotActive, PersonInactive, NoGroup, OutsideHours, NotYetValid, Expired,
		Lockdown, WrongDoorKind, UnknownDoor, NoData, StaleData, Blocked, Fault,
	} {
		if got := (Event{Kind: EventAccess, Reason: r}).Why(); got == string(r) || !strings.HasSuffix(got, ".") {
			t.Errorf("%q is said as %q, want a sentence", r, got)
		}
	}
	if got := (Event{Kind: EventTamper, Text: "the wiring is cut"}).Why(); got != "Somebody is at the housing or the wiring. Look at it. The wiring is cut." {
		t.Errorf("text and advice: %q", got)
	}
}
