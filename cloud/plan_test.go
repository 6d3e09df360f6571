package cloud

import (
	"testing"

	"latchkey/access"
)

// Somebody who goes from one group to another while the first one loses its
// door has it before and after, and not in between.
func TestTakenOnTheWay(t *testing.T) {
	door := access.Door{ID: "front", Kind: access.DoorKindDoor}
	was := layoutOf([]access.Record{door, access.Grant{Group: "a", Door: "front"}, access.Grant{Group: "b", Door: "front"}})
	is := layoutOf([]access.Record{door, access.Grant{Group: "b", Door: "front"}})
	of := func(l *layout, group string) rights {
		r := rights{doors: map[string][]string{}, keys: 2}
		for _, d := range l.opens[group] {
			r.doors[d.Door] = nil
		}
		return r
	}
	low := was.common(is)
	if n := takenOnTheWay(of(was, "a"), of(low, "a"), of(low, "b")); n != 2 {
		t.Errorf("%d openings are taken on the way, want 2", n)
	}
	if n := takenOnTheWay(of(was, "b"), of(low, "b"), of(low, "b")); n != 0 {
		t.Errorf("%d openings are taken of one who stays, want none", n)
	}
}

// What opens on the way from one layout to another is at least what both open.
func TestCommon(t *testing.T) {
	hours := func(id string) access.Schedule {
		return access.Schedule{ID: id, Weekly: []access.Interval{{Day: 1, To: 60}}}
	}
	was := layoutOf([]access.Record{
		access.Door{ID: "front", Kind: access.DoorKindDoor}, access.Door{ID: "keys", Kind: access.DoorKindCabinet}, access.Door{ID: "gone", Kind: access.DoorKindDoor}, hours("s"),
		access.Grant{Group: "a", Door: "front", Schedule: "s"}, access.Grant{Group: "a", Door: "keys"}, access.Grant{Group: "a", Door: "gone"},
	})
	is := layoutOf([]access.Record{
		access.Door{ID: "front", Kind: access.DoorKindCabinet}, access.Door{ID: "keys", Kind: access.DoorKindDoor}, access.Door{ID: "new", Kind: access.DoorKindDoor}, hours("s"),
		access.Grant{Group: "a", Door: "front", Schedule: "s"}, access.Grant{Group: "a", Door: "front"}, access.Grant{Group: "a", Door: "keys"}, access.Grant{Group: "a", Door: "new"},
	})
	low := was.common(is)
	if len(low.opens["a"]) != 2 || low.opens["a"][0] != (DoorAccess{Door: "front", Schedule: "s"}) || low.opens["a"][1] != (DoorAccess{Door: "keys"}) {
		t.Errorf("common grants %v", low.opens["a"])
	}
	for id, d := range low.doors {
		if d.Kind != access.DoorKindDoor {
			t.Errorf("%s counts as a %s, which more people open than a door", id, d.Kind)
		}
	}
	if len(low.doors) != 2 {
		t.Errorf("common doors %v", low.doors)
	}
}
