package cloud_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"latchkey/access"
	"latchkey/cloud"
)

// holdsAll has a property at which each loss that the directory causes waits,
// and whose staff are the clerks and whose vips are the bosses: staff may open
// both doors, vips the front door.
func (w *world) holdsAll() {
	w.Helper()
	_, err := w.svc.PutAccessGroup(w.ctx, admin, "acme", "north", cloud.AccessGroup{ID: "vip", Grants: []cloud.DoorAccess{{Door: "front"}}})
	w.ok(err)
	for title, group := range map[string]string{"Clerk": "staff", "Boss": "vip"} {
		w.rule("north", cloud.Rule{Groups: []string{group}, Conditions: []cloud.Condition{{Attr: "title", Op: "eq", Value: title}}})
	}
	_, err = w.svc.PutProperty(w.ctx, admin, "acme", cloud.Property{ID: "north", Guard: &cloud.Guard{}})
	w.ok(err)
}

// mayOpen is which doors at north somebody opens with some credential, sorted.
func (w *world) mayOpen(id string) (doors []string) {
	w.Helper()
	who := w.rightsAt("north")[id]
	if who.keys > 0 {
		doors = slices.Sorted(maps.Keys(who.doors))
	}
	return doors
}

// TestHoldGivesNothing: one call moves somebody away from what the rules gave,
// which waits, and does something else to the same person besides: what did not
// open before does not open for the sake of the hold.
func TestHoldGivesNothing(t *testing.T) {
	t.Parallel()
	type call = map[string]any
	off, back := call{"active": false}, call{"active": true}
	for _, tt := range []struct {
		name  string
		calls []call // of a clerk
		want  string // doors
	}{
		{"moved alone", []call{{"title": "Nobody"}}, "front keys"},
		{"activated", []call{off, {"active": true, "title": "Nobody"}}, ""},
		{"activated and given less", []call{off, {"active": true, "title": "Boss"}}, "front"},
		{"activated without the card", []call{off, {"active": true, "cardNumber": ""}}, ""},
		{"activated with both held before", []call{{"title": "Nobody", "cardNumber": ""}, off, back}, ""},
		{"of a wider kind", []call{{"userType": "SMARTBOX"}, {"userType": "FULL", "title": "Nobody"}}, ""},
		{"of a wider kind, and given that", []call{{"userType": "SMARTBOX"}, {"userType": "FULL", "title": "Boss"}}, "front keys"},
		{"of a wider kind once held", []call{{"userType": "SMARTBOX"}, {"title": "Nobody"}, {"userType": "FULL"}}, ""},
		{"with a first card", []call{{"cardNumber": "NONE"}, {"cardNumber": "77", "title": "Nobody"}}, ""},
		{"with another card", []call{{"cardNumber": "77", "title": "Nobody"}}, "front keys"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.revoking()
			w.holdsAll()
			id := w.user("ada", "1000").ID
			for _, set := range append([]call{{"title": "Clerk"}}, tt.calls...) {
				w.mustPatch(id, set)
			}
			w.heldCardsHaveHolds()
			if got := strings.Join(w.mayOpen(id), " "); got != tt.want {
				t.Errorf("opens %q, want %q", got, tt.want)
			}
		})
	}
}

// TestSuspensionEndsHeldGroups: what waits of groups goes with the right to enter
// and does not come back with it, whether a card waits besides or not.
func TestSuspensionEndsHeldGroups(t *testing.T) {
	t.Parallel()
	for _, card := range []string{"1000", ""} {
		w := newWorld(t)
		w.revoking()
		w.holdsAll()
		id := w.user("ada", "1000").ID
		w.mustPatch(id, map[string]any{"title": "Clerk"})
		w.mustPatch(id, map[string]any{"title": "Nobody", "cardNumber": card})
		for _, suspended := range []bool{true, false} {
			_, err := w.svc.PatchPerson(w.ctx, admin, "acme", id, cloud.PersonPatch{Suspended: &suspended})
			w.ok(err)
		}
		if got := w.mayOpen(id); len(got) > 0 {
			t.Errorf("with card number %q sent: opens %v", card, got)
		}
	}
}

// TestDirectoryOpensByRulesAlone: whatever a directory says of people at a
// property that holds each loss, nobody opens a door after a call who did not
// before it, unless the rules give that door.
func TestDirectoryOpensByRulesAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := shortWorld(t)
		w.revoking()
		w.holdsAll()
		ids := []string{w.user("p0", "100").ID, w.user("p1", "101").ID}
		is := map[string]map[string]any{ids[0]: {}, ids[1]: {}} // title and userType
		for range 12 {
			id := rapid.SampledFrom(ids).Draw(t, "who")
			set := map[string]any{
				"active":     rapid.IntRange(0, 2).Draw(t, "active") > 0,
				"title":      rapid.SampledFrom([]string{"Clerk", "Boss", "Nobody"}).Draw(t, "title"),
				"userType":   rapid.SampledFrom([]string{"FULL", "FULL", "SMARTBOX"}).Draw(t, "type"),
				"cardNumber": rapid.SampledFrom([]string{"", fmt.Sprint("1", id[len(id)-2:]), "7"}).Draw(t, "card"),
			}
			for _, attr := range slices.Sorted(maps.Keys(set)) {
				if rapid.IntRange(0, 3).Draw(t, "left out") == 0 {
					delete(set, attr)
				}
			}
			before := w.mayOpen(id)
			if _, err := w.patch(id, set); !quiet(err) {
				t.Fatalf("%v", err)
			} else if err == nil {
				maps.Copy(is[id], set)
			}
			given := map[any][]string{"Clerk": {"front", "keys"}, "Boss": {"front"}}[is[id]["title"]]
			if is[id]["userType"] == "SMARTBOX" {
				given = slices.DeleteFunc(given, func(door string) bool { return door != "keys" })
			}
			for _, door := range w.mayOpen(id) {
				if !slices.Contains(before, door) && !slices.Contains(given, door) {
					t.Fatalf("%v opened %s to %s, who opened %v before and has %v by the rules", set, door, id, before, given)
				}
			}
		}
	})
}

// TestPulledReturnIsNotHeld: one who is suspended at the directory comes back
// and moves in one read.
func TestPulledReturnIsNotHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.holdsAll()
	u := pulled("00u1", "jane@example.com", "4711")
	u.Attrs["title"] = "Clerk"
	w.pull(u)
	id := w.found("jane@example.com").ID
	w.pull(out(u, "SUSPENDED"))
	u.Attrs["title"] = "Nobody"
	w.pull(u)
	if p := w.found("jane@example.com"); p.State != access.StateActive {
		t.Fatalf("is %s", p.State)
	}
	if got := w.mayOpen(id); len(got) > 0 {
		t.Errorf("opens %v", got)
	}
}
