package controller

import (
	"math"
	"slices"
	"testing"
	"time"

	"latchkey/access"
	"latchkey/serialline"
)

func TestMerge(t *testing.T) {
	for _, tt := range []struct {
		name  string
		parts []access.Schedule
		exact bool
		want  []access.Interval
	}{
		{"one", []access.Schedule{week("a", "UTC", 8, 17, nil, 1)}, true, []access.Interval{{Day: 1, From: 480, To: 1020}}},
		{"overlapping", []access.Schedule{week("a", "UTC", 8, 12, nil, 1), week("b", "UTC", 11, 17, nil, 1)}, true,
			[]access.Interval{{Day: 1, From: 480, To: 1020}}},
		{"touching and apart", []access.Schedule{week("a", "UTC", 8, 12, nil, 1, 2), week("b", "UTC", 12, 13, nil, 1)}, true,
			[]access.Interval{{Day: 1, From: 480, To: 780}, {Day: 2, From: 480, To: 720}}},
		{"covered in spite of holidays", []access.Schedule{week("a", "UTC", 8, 12, []string{"2026-12-25"}, 1), week("b", "UTC", 8, 17, nil, 1)}, true,
			[]access.Interval{{Day: 1, From: 480, To: 1020}}},
		{"twice the same", []access.Schedule{week("a", "UTC", 8, 12, nil, 1), week("b", "UTC", 8, 12, nil, 1)}, true,
			[]access.Interval{{Day: 1, From: 480, To: 720}}},
		{"other holidays", []access.Schedule{week("a", "UTC", 8, 12, []string{"2026-12-25"}, 1), week("b", "UTC", 9, 17, nil, 1)}, false,
			[]access.Interval{{Day: 1, From: 480, To: 1020}}},
		{"other zone", []access.Schedule{week("a", "UTC", 8, 12, nil, 1), week("b", "Europe/Berlin", 9, 17, nil, 1)}, false,
			[]access.Interval{{Day: 1, From: 480, To: 720}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var parts []access.Schedule
			for _, p := range tt.parts {
				parts = append(parts, canonical(p))
			}
			got, exact := merge(parts)
			if exact != tt.exact || !slices.Equal(got.Weekly, tt.want) {
				t.Errorf("got %v, exact %v, want %v, %v", got.Weekly, exact, tt.want, tt.exact)
			}
			// Exact or not, it opens at no time at which none of the parts does.
			for at := time.Date(2026, 12, 21, 0, 0, 0, 0, time.UTC); at.Day() < 29; at = at.Add(time.Hour) {
				holds, err := got.Holds(at)
				if err != nil {
					t.Fatal(err)
				}
				any := slices.ContainsFunc(tt.parts, func(p access.Schedule) bool { h, _ := p.Holds(at); return h })
				if holds && !any || exact && any && !holds {
					t.Errorf("at %v: merged %v, parts %v", at, holds, any)
				}
			}
		})
	}
}

func TestDatesNeverWiden(t *testing.T) {
	for _, tt := range []struct {
		sec      int64
		up, down uint32
	}{
		{0, 0, 0},
		{1, 1, 1},
		{60, 1, 1},
		{61, 2, 1},
		{119, 2, 1},
		{120, 2, 2},
		{-5, 0, 1},
		{math.MaxInt64 - 100, math.MaxUint32, math.MaxUint32},
	} {
		if up, down := minutesUp(tt.sec), minutesDown(tt.sec); up != tt.up || down != tt.down {
			t.Errorf("%d s: from minute %d, until minute %d, want %d and %d", tt.sec, up, down, tt.up, tt.down)
		}
	}
}

// target makes the target of a Wanted for a controller that holds nothing.
func targetOf(w Wanted, room limits) *target {
	return makeTarget(w, testDoors, room, make(slotMemory), 2026, func(func(serialline.Record) bool) {})
}

func entitlement(id string, card int, doors map[string][]string) access.Entitlement {
	return access.Entitlement{Credential: access.Credential{ID: id, Bits: cardBits(card)}, Doors: doors}
}

func TestWhatAControllerCannotHoldIsTold(t *testing.T) {
	hours := map[string]access.Schedule{
		"a": week("a", "UTC", 8, 12, nil, 1), "b": week("b", "Europe/Berlin", 8, 12, nil, 1),
		"c": week("c", "Nowhere/Land", 8, 12, nil, 1), "d": week("d", "UTC", 9, 12, nil, 2),
	}
	dated := entitlement("two", 1, map[string][]string{"back": nil})
	dated.Credential.ValidUntil = 6000
	small, few, oneDoor := anyRoom(), anyRoom(), anyRoom()
	small.records, few.slots, oneDoor.doors = 1, 1, 1
	for _, tt := range []struct {
		name    string
		room    limits
		all     []access.Entitlement
		records int
		cannot  []string
	}{
		{"all is well", anyRoom(), []access.Entitlement{entitlement("one", 1, map[string][]string{"front": {"a", "d"}})}, 1, nil},
		{"no room", small, []access.Entitlement{entitlement("one", 1, map[string][]string{"front": nil}), entitlement("two", 2, map[string][]string{"front": nil})}, 1, []string{"two"}},
		{"no slot", few, []access.Entitlement{entitlement("one", 1, map[string][]string{"front": {"a"}}), entitlement("two", 2, map[string][]string{"front": {"d"}})}, 1, []string{"two"}},
		{"no such door", oneDoor, []access.Entitlement{entitlement("one", 1, map[string][]string{"back": nil})}, 0, []string{"one"}},
		{"two zones", anyRoom(), []access.Entitlement{entitlement("one", 1, map[string][]string{"front": {"a", "b"}})}, 1, []string{"one"}},
		{"unknown zone", anyRoom(), []access.Entitlement{entitlement("one", 1, map[string][]string{"front": {"c"}})}, 0, []string{"one"}},
		{"one number, two dates", anyRoom(), []access.Entitlement{entitlement("one", 1, map[string][]string{"front": nil}), dated}, 1, []string{"two"}},
		{"one number, two doors", anyRoom(), []access.Entitlement{entitlement("one", 1, map[string][]string{"front": nil}), entitlement("two", 1, map[string][]string{"back": nil})}, 1, nil},
		{"no number yet", anyRoom(), []access.Entitlement{{Credential: access.Credential{ID: "one"}, Doors: map[string][]string{"front": nil}}}, 0, nil},
		{"a schedule that is not there", anyRoom(), []access.Entitlement{entitlement("one", 1, map[string][]string{"front": {"x"}})}, 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := targetOf(Wanted{Epoch: 1, Seq: 1, Ready: true, Entitlements: tt.all, Schedules: hours}, tt.room)
			if len(got.records) != tt.records {
				t.Errorf("%d records, want %d", len(got.records), tt.records)
			}
			if len(got.cannot) != len(tt.cannot) {
				t.Errorf("cannot hold %v, want %v", got.cannot, tt.cannot)
			}
			for _, id := range tt.cannot {
				if got.cannot[id] == "" {
					t.Errorf("nothing is told of %s", id)
				}
			}
		})
	}
}

func TestEditedScheduleKeepsItsSlot(t *testing.T) {
	mem := make(slotMemory)
	w := Wanted{Epoch: 1, Seq: 1, Ready: true, Entitlements: []access.Entitlement{entitlement("one", 1, map[string][]string{"front": {"a"}})},
		Schedules: map[string]access.Schedule{"a": week("a", "UTC", 8, 12, nil, 1)}}
	first := makeTarget(w, testDoors, anyRoom(), mem, 2026, func(func(serialline.Record) bool) {})
	key := keyOf(cardBits(1))
	held := func(yield func(serialline.Record) bool) { yield(first.records[key]) }

	w.Schedules = map[string]access.Schedule{"a": week("a", "UTC", 9, 12, nil, 1)}
	if second := makeTarget(w, testDoors, anyRoom(), mem, 2026, held); second.records[key] != first.records[key] {
		t.Error("an edited schedule moved to another slot: every card would have to be sent again")
	}
	// But not if somebody still has the old one.
	w.Entitlements = append(w.Entitlements, entitlement("two", 2, map[string][]string{"front": {"a"}}))
	w.Entitlements[0].Doors = map[string][]string{"front": {"b"}}
	w.Schedules["b"] = week("b", "UTC", 10, 12, nil, 1)
	mixed := makeTarget(w, testDoors, anyRoom(), mem, 2026, held)
	if a, b := mixed.records[key].Schedules[0], mixed.records[keyOf(cardBits(2))].Schedules[0]; a == b {
		t.Errorf("two schedules have one slot %d", a)
	}
}

func TestEventsPrintWithoutTheCard(t *testing.T) {
	e := Event{Kind: CardRead, Controller: "line", Bits: cardBits(1), Digits: "1234"}
	if s := e.String() + e.GoString() + e.LogValue().String(); s != "card read at line"+"card read at line"+"card read at line" {
		t.Errorf("an event prints as %q", s)
	}
}
