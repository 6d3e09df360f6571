package cloud_test

import (
	"context"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"latchkey/access"
	"latchkey/cloud"
)

// An interrupted store runs during in the midst of the next View.
type interrupted struct {
	cloud.Store
	during func()
}

func (s *interrupted) View(ctx context.Context, f func(cloud.Tx) error) error {
	return s.Store.View(ctx, func(tx cloud.Tx) error {
		if _, err := tx.Orgs(); err != nil { // the moment that is seen is fixed
			return err
		}
		if during := s.during; during != nil {
			s.during = nil
			during()
		}
		return f(tx)
	})
}

// TestForecastHoldsNobodyUp: calls that write go on beside a forecast, which says
// what would be at the moment when it began.
func TestForecastHoldsNobodyUp(t *testing.T) {
	w := newWorld(t)
	w.rule("north", cloud.Rule{})
	s := &interrupted{Store: w.db, during: func() { w.user("meanwhile@example.com", "5000") }}
	svc, err := cloud.NewService(s, cloud.Options{})
	w.ok(err)
	f, err := svc.ForecastPull(w.ctx, "acme", cloud.Pull{Users: []cloud.PulledUser{pulled("00u1", "meanwhile@example.com", "4711")}})
	w.ok(err)
	if s.during != nil || f.New != 1 || f.Matched != 0 || f.Gain.Count != 1 {
		t.Errorf("got %+v, somebody came meanwhile: %v", f, s.during == nil)
	}
	w.found("meanwhile@example.com")
}

// heldStaff is a world of 30 people in the group Staff, the first of whom is of
// that kind. All but the last five have left it since, which is held. p has them
// all, and no group.
func heldStaff(t *testing.T, kind string) (w *world, p cloud.Pull, members []string) {
	t.Helper()
	w = newWorld(t)
	w.rule("north", cloud.Rule{Conditions: []cloud.Condition{{Group: "Staff"}}})
	for n := range 30 {
		u := pulled(fmt.Sprintf("00u%02d", n), fmt.Sprintf("p%d@example.com", n), fmt.Sprint(1000+n))
		if n == 0 {
			u.Attrs["userType"] = kind
		}
		p.Users = append(p.Users, u)
		members = append(members, u.ID)
		w.pull(u)
	}
	w.pullGroup("00g1", "Staff", members...)
	w.ok(w.svc.Settle(w.ctx))
	w.pullGroup("00g1", "Staff", members[25:]...)
	return w, p, members
}

// TestForecastCountsTheHeld: whose loss waits already is not lost anew, and is
// told apart from those who lose.
func TestForecastCountsTheHeld(t *testing.T) {
	w, p, members := heldStaff(t, access.KindFull)
	forecast := func(staff []string, held, lose, gain int) {
		t.Helper()
		p.Groups = []cloud.PulledGroup{{ID: "00g1", Name: "Staff", Members: staff}}
		f, err := w.svc.ForecastPull(w.ctx, "acme", p)
		w.ok(err)
		if f.Held.Count != held || f.Lose.Count != lose || f.Gain.Count != gain || f.People != 30 {
			t.Errorf("with %d in the group: %d held, %d lose, %d gain of %d", len(staff), f.Held.Count, f.Lose.Count, f.Gain.Count, f.People)
		}
	}
	forecast(members[25:], 25, 0, 0)
	forecast(members[26:], 25, 1, 0)
	forecast(members[10:], 10, 0, 0)
	forecast(members, 0, 0, 0)
	p.Users[0].Status, p.Users[0].Valid = "SUSPENDED", false
	forecast(members[25:], 24, 1, 0)
}

// TestForecastCutsTheHeld: somebody whose loss is held, who opened key cabinets
// alone and is to open doors, loses what is held: it gives nobody new doors.
func TestForecastCutsTheHeld(t *testing.T) {
	w, p, _ := heldStaff(t, access.KindSmartbox)
	p.Users[0].Attrs["userType"] = access.KindFull
	f, err := w.svc.ForecastPull(w.ctx, "acme", p)
	w.ok(err)
	if f.Lose.Count != 1 || f.Held.Count != 24 {
		t.Errorf("%d lose and %d are held, want 1 and 24", f.Lose.Count, f.Held.Count)
	}
	w.pull(p.Users[0])
	w.expect("north", w.found("p0@example.com").ID, "")
}

// TestForecastIsWhatHappens: whatever is there and whatever is read, who is said
// to gain or to lose then does.
func TestForecastIsWhatHappens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := shortWorld(t)
		w.revoking()
		guard := func(g cloud.Guard) {
			for _, site := range []string{"north", "south"} {
				_, err := w.svc.PutProperty(w.ctx, admin, "acme", cloud.Property{ID: site, Guard: &g})
				w.ok(err)
			}
		}
		guard(cloud.Guard{Percent: 100})
		w.rule("north", cloud.Rule{Conditions: []cloud.Condition{{Group: "A"}}})
		w.rule("north", cloud.Rule{Groups: []string{"vip"}, Conditions: []cloud.Condition{{Group: "B"}}})
		w.rule("south", cloud.Rule{Conditions: []cloud.Condition{{Attr: "title", Op: "eq", Value: "Boss"}}})
		if rapid.Bool().Draw(t, "push") { // one whom another directory has
			w.user("p0@example.com", "900")
		}
		w.takePull(somePull(t))
		held := rapid.Bool().Draw(t, "held")
		if held { // whatever that takes is, and what comes then is not
			guard(cloud.Guard{})
			w.takePull(somePull(t))
			guard(cloud.Guard{Percent: 100})
		}
		p := somePull(t)
		p.GoneUsers = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"00u0", "00u4", "00u9"}), 0, 2, rapid.ID).Draw(t, "gone")
		p.GoneGroups = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"00gA", "00gB"}), 0, 1, rapid.ID).Draw(t, "gone groups")
		if held { // steps on the way, which a forecast does not see, could end holds: it is asked about what is there, or what is gone
			if rapid.Bool().Draw(t, "there") {
				p.GoneUsers, p.GoneGroups = nil, nil
			} else {
				p.Users, p.Groups = nil, nil
			}
		}
		f, err := w.svc.ForecastPull(w.ctx, "acme", p)
		w.ok(err)
		before := w.told()
		w.takePull(p)
		after := w.told()
		gain, lose := 0, 0
		for id, is := range after {
			if more(before[id], is) {
				gain++
			}
		}
		for id, was := range before {
			if more(after[id], was) {
				lose++
			}
		}
		if got, want := [2]int{f.Gain.Count, f.Lose.Count}, [2]int{gain, lose}; got != want {
			t.Fatalf("%+v\nsays %+v\nit is %d gain and %d lose: before\n%v\nafter\n%v", p, f, want[0], want[1], before, after)
		}
	})
}

// somePull is what may be read of a small directory.
func somePull(t *rapid.T) (p cloud.Pull) {
	var in [2][]string
	for n := range 6 {
		if rapid.IntRange(0, 3).Draw(t, "listed") == 0 {
			continue
		}
		card := rapid.SampledFrom([]string{"", fmt.Sprint(100 + n), fmt.Sprint(100 + n), "101", "no number"}).Draw(t, "card")
		u := pulled(fmt.Sprint("00u", n), fmt.Sprintf("p%d@example.com", rapid.SampledFrom([]int{n, n, n, 2}).Draw(t, "name")), card)
		u.Attrs["title"] = rapid.SampledFrom([]string{"Boss", "Clerk"}).Draw(t, "title")
		if rapid.IntRange(0, 3).Draw(t, "out") == 0 {
			u = out(u, "SUSPENDED")
		}
		p.Users = append(p.Users, u)
		for i := range in {
			if rapid.Bool().Draw(t, "in") {
				in[i] = append(in[i], u.ID)
			}
		}
	}
	for i, members := range in {
		if rapid.IntRange(0, 3).Draw(t, "group") > 0 {
			name := rapid.SampledFrom([]string{"A", "B"}).Draw(t, "group name")
			p.Groups = append(p.Groups, cloud.PulledGroup{ID: []string{"00gA", "00gB"}[i], Name: name, Members: members})
		}
	}
	return p
}

// takePull takes p in as reading does, in the order of a forecast.
func (w *world) takePull(p cloud.Pull) {
	w.Helper()
	check := func(err error) {
		if !quiet(err) {
			w.Fatalf("%v", err)
		}
	}
	for _, id := range p.GoneUsers {
		check(w.svc.PullUserGone(w.ctx, "acme", id, ""))
	}
	for _, u := range p.Users {
		_, err := w.svc.PullUser(w.ctx, "acme", u)
		check(err)
	}
	for _, g := range p.Groups {
		_, _, err := w.svc.PullGroup(w.ctx, "acme", g)
		check(err)
	}
	for _, id := range p.GoneGroups {
		check(w.svc.PullGroupGone(w.ctx, "acme", id))
	}
	w.ok(w.svc.Settle(w.ctx))
}

// told is what the sites hold of everyone who is let in there, by person.
func (w *world) told() map[string]map[string]bool {
	w.Helper()
	all := map[string]map[string]bool{}
	for _, site := range []string{"north", "south"} {
		active, parts := map[string]bool{}, map[string][]string{}
		for ref, rec := range w.fold(site) {
			r, err := access.ParseRecord(ref.Kind, []byte(rec))
			w.ok(err)
			switch r := r.(type) {
			case access.Person:
				active[r.ID] = r.State == access.StateActive
				parts[r.ID] = append(parts[r.ID], site)
			case access.Credential:
				parts[r.Person] = append(parts[r.Person], fmt.Sprint(site, " card ", r.Number))
			case access.Membership:
				parts[r.Person] = append(parts[r.Person], site+" group "+r.Group)
			}
		}
		for id, is := range active {
			for _, part := range parts[id] {
				if is && all[id] == nil {
					all[id] = map[string]bool{}
				}
				if is {
					all[id][part] = true
				}
			}
		}
	}
	return all
}

// more says whether b has something that a has not.
func more(a, b map[string]bool) bool {
	for part := range b {
		if !a[part] {
			return true
		}
	}
	return false
}
