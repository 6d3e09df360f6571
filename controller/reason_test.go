package controller_test

import (
	"slices"
	"testing"

	"latchkey/access"
	"latchkey/serialline"
)

// The words of the link's reasons are those of the site's events: an event that
// a controller decided must read like one that the agent decided.
func TestReasonsOfTheLink(t *testing.T) {
	want := []access.Reason{
		access.Fault, access.Granted, access.UnknownCard, access.WrongFormat, access.CardNotActive, access.NoGroup, access.OutsideHours,
		access.NotYetValid, access.Expired, access.Lockdown, access.NoData, access.Blocked, access.Fault, access.UnknownDoor, access.Fault,
	}
	var got []access.Reason
	for r := range serialline.Reason(len(want)) {
		got = append(got, access.Reason(r.String()))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if last := serialline.Reason(255).String(); last != string(access.Fault) {
		t.Errorf("reason 255 is %q, want a fault", last)
	}
}
