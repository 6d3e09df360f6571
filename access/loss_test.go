package access

import (
	"maps"
	"testing"

	"pgregory.net/rapid"
)

// openings counts, by looking at all records, with how many credentials each
// person opens each door.
func (m model) openings() map[[2]string]int {
	open := map[[2]string]int{}
	for _, p := range all[Person](m, KindPerson) {
		keys := 0
		for _, c := range all[Credential](m, KindCredential) {
			if c.Person == p.ID && c.Status == CredentialActive && c.Bits.Len() > 0 {
				keys++
			}
		}
		for _, d := range all[Door](m, KindDoor) {
			for _, g := range all[Grant](m, KindGrant) {
				s, known := get[Schedule](m, KindSchedule, g.Schedule)
				_, member := get[Membership](m, KindMembership, p.ID+"/"+g.Group)
				if member && g.Door == d.ID && (g.Schedule == "" || known && len(s.Weekly) > 0) && keys > 0 &&
					p.State == StateActive && (p.Kind == KindFull || d.Kind == DoorKindCabinet) {
					open[[2]string{p.ID, d.ID}] = keys
				}
			}
		}
	}
	return open
}

func lossBetween(was, is map[[2]string]int) (l Loss) {
	people := map[string]bool{}
	for opening, n := range was {
		if lost := n - is[opening]; lost > 0 {
			l.Openings += lost
			people[opening[0]] = true
		}
	}
	l.People = len(people)
	return l
}

// TestLossIsTheModel: what an Index says that a change takes is what is gone
// once it has happened, whether counted ahead of it or between two Indexes.
func TestLossIsTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, m := grow(t)
		was := m.openings()
		total := 0
		for _, n := range was {
			total += n
		}
		if got := x.Openings(); got != total {
			t.Fatalf("%d openings, want %d: %v", got, total, was)
		}
		next := map[Ref]Record{}
		after := model{maps.Clone(m.records), nil}
		for range rapid.IntRange(0, 6).Draw(t, "changes") {
			r := someRecord(t)
			if ref := r.Ref(); rapid.Bool().Draw(t, "gone") {
				next[ref] = nil
				delete(after.records, ref)
			} else {
				next[ref] = r
				after.records[ref] = r
			}
		}
		want := lossBetween(was, after.openings())
		if got := x.Loss(next); got != want {
			t.Fatalf("loss %+v, want %+v: %v to %v", got, want, was, after.openings())
		}
		y := NewIndex()
		for _, r := range after.records {
			y.Put(r)
		}
		if got, held := x.LossTo(y); got != want || held != total {
			t.Fatalf("loss to the whole state after it %+v of %d, want %+v of %d", got, held, want, total)
		}
		if !x.Many(next) && want.People > 1 {
			t.Fatalf("%d people lose, and they are not many: %v", want.People, next)
		}
	})
}

// TestLossDenied: to deny a group takes what its grants open, and to deny again
// takes nothing.
func TestLossDenied(t *testing.T) {
	x := NewIndex()
	for _, r := range base {
		x.Put(r)
	}
	group := Ref{KindGroup, "g1"}
	refs := []Ref{group, {KindPosture, "*/cloud"}, {KindCredential, "nobody's"}}
	// p0 opens d1 and d2 by g1 alone, and p1, who opens cabinets, d1.
	if got, want := x.LossDenied(refs), (Loss{People: 2, Openings: 3}); got != want {
		t.Errorf("denying a group takes %+v, want %+v", got, want)
	}
	x.Block(group)
	if got := x.LossDenied(refs); got != (Loss{}) {
		t.Errorf("denying it again takes %+v", got)
	}
}
