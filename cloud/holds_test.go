package cloud_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/wiegand"
)

// crowd makes n people with a card each, members of the group Employees, to
// whom a rule at north gives staff: two openings each.
func (w *world) crowd(n int) (group cloud.Group, rule cloud.Rule, ids []string) {
	w.Helper()
	for i := range n {
		ids = append(ids, w.user(fmt.Sprintf("user%03d", i), fmt.Sprint(1000+i)).ID)
	}
	group = w.group("Employees", ids...)
	rule = w.rule("north", cloud.Rule{Name: "Employees", Conditions: []cloud.Condition{{Group: "Employees"}}})
	w.rule("north", cloud.Rule{Name: "Nobody", Conditions: []cloud.Condition{{Group: "Nobody"}}})
	w.ok(w.svc.Settle(w.ctx))
	return group, rule, ids
}

// opens is how many (credential, door) pairs open at a site.
func (w *world) opens(site string) int {
	w.Helper()
	return len(pairs(w.index(w.fold(site))))
}

func TestR8MassLossIsHeldUntilConfirmed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, rule, ids := w.crowd(30)
	before := w.seq("north")
	err := w.svc.DeleteRule(w.ctx, admin, "acme", "north", rule.ID)
	held, ok := errors.AsType[*cloud.Held](err)
	if !ok {
		t.Fatalf("got %v, want it held", err)
	}
	p := held.Hold.Preview
	if p.Lose != (cloud.Tally{People: 30, Doors: 2, Openings: 60}) || p.Openings != 60 || p.Limit != 20 || !p.Held || len(p.People) != 30 {
		t.Errorf("preview %+v", p)
	}
	if first := p.People[0]; first.ID != ids[0] || !slices.Equal(first.Loses, []string{"front", "keys"}) || first.Name != "USER000" {
		t.Errorf("first of the people is %+v", first)
	}
	if got := w.seq("north"); got != before || w.opens("north") != 60 {
		t.Errorf("something was written while the change is held")
	}
	rules, err := w.svc.Rules(w.ctx, "acme", "north")
	w.ok(err)
	if len(rules) != 2 {
		t.Errorf("the rule is gone while its deletion is held")
	}
	open, err := w.svc.Holds(w.ctx, "acme", true)
	w.ok(err)
	if len(open) != 1 || !reflect.DeepEqual(open[0], held.Hold) {
		t.Errorf("holds %+v, want %+v", open, held.Hold)
	}

	// Asking again makes no second one.
	err = w.svc.DeleteRule(w.ctx, admin, "acme", "north", rule.ID)
	if again, ok := errors.AsType[*cloud.Held](err); !ok || again.Hold.ID != held.Hold.ID {
		t.Errorf("asked again: %v", err)
	}
	// Who was shown less is not taken at their word.
	if _, err := w.svc.Confirm(w.ctx, admin, "acme", held.Hold.ID, 59); !errors.Is(err, cloud.ErrChanged) {
		t.Errorf("confirmed with 59 of 60: %v", err)
	}
	if _, err := w.svc.Confirm(w.ctx, admin, "acme", "none", 60); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("confirmed nothing: %v", err)
	}
	// A restart forgets nothing.
	w.restart()
	h, err := w.svc.Confirm(w.ctx, "olga", "acme", held.Hold.ID, 60)
	w.ok(err)
	if h.State != cloud.HoldConfirmed || h.DecidedBy != "olga" || w.opens("north") != 0 {
		t.Errorf("confirmed: %+v, %d open", h, w.opens("north"))
	}
	for _, d := range w.entries("north")[before:] {
		if d.Approved == nil || d.Approved.By != "olga" || d.Approved.Removes != 60 {
			t.Errorf("entry %d is approved by %+v", d.Seq, d.Approved)
		}
	}
	if _, err := w.svc.Confirm(w.ctx, admin, "acme", held.Hold.ID, 60); !errors.Is(err, cloud.ErrChanged) {
		t.Errorf("confirmed twice: %v", err)
	}
	all, err := w.svc.Holds(w.ctx, "acme", false)
	w.ok(err)
	open, err = w.svc.Holds(w.ctx, "acme", true)
	w.ok(err)
	if len(all) != 1 || len(open) != 0 {
		t.Errorf("%d holds, %d open", len(all), len(open))
	}
}

// TestHeldChangesAreFew: nobody piles up changes that everybody's calls have to
// look through.
func TestHeldChangesAreFew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, rule, _ := w.crowd(30)
	rule.Groups = nil
	put := func(i int) error {
		rule.Name = fmt.Sprint("Nothing ", i)
		_, err := w.svc.PutRule(w.ctx, admin, "acme", "north", rule)
		return err
	}
	for i := range 100 {
		if _, ok := errors.AsType[*cloud.Held](put(i)); !ok {
			t.Fatalf("change %d is not held", i)
		}
	}
	if _, ok := errors.AsType[*cloud.Invalid](put(100)); !ok {
		t.Error("a hundred and first change is held")
	}
	again, ok := errors.AsType[*cloud.Held](put(7))
	if !ok {
		t.Fatal("a change that waits was asked for again, and is not held")
	}
	_, err := w.svc.Discard(w.ctx, admin, "acme", again.Hold.ID)
	w.ok(err)
	if _, ok := errors.AsType[*cloud.Held](put(100)); !ok {
		t.Error("a change is not held once there is room")
	}
}

// TestDoWantsWhatWasShown: who was shown less than an act takes is asked again,
// and nothing is done or held.
func TestDoWantsWhatWasShown(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		people int
		held   bool
	}{{5, false}, {15, true}} {
		w := newWorld(t)
		_, rule, _ := w.crowd(tt.people)
		p := cloud.Proposal{Op: cloud.OpDeleteRule, Site: "north", ID: rule.ID}
		opens := 2 * tt.people
		if err := w.svc.Do(w.ctx, admin, "acme", p, opens-1); !errors.Is(err, cloud.ErrChanged) || w.opens("north") != opens {
			t.Errorf("done with %d of %d shown: %v, %d open", opens-1, opens, err, w.opens("north"))
		}
		if open, err := w.svc.Holds(w.ctx, "acme", true); err != nil || len(open) != 0 {
			t.Errorf("what was not shown is held: %v, %v", open, err)
		}
		err := w.svc.Do(w.ctx, admin, "acme", p, opens)
		if _, held := errors.AsType[*cloud.Held](err); held != tt.held || err != nil && !held || !held && w.opens("north") != 0 {
			t.Errorf("done with all shown: %v, want held %v; %d open", err, tt.held, w.opens("north"))
		}
	}
}

func TestHeldChangeIsDiscardedOrOutOfDate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, rule, _ := w.crowd(15)
	rule.Enabled = false
	_, err := w.svc.PutRule(w.ctx, admin, "acme", "north", rule)
	held, ok := errors.AsType[*cloud.Held](err)
	if !ok {
		t.Fatalf("got %v, want it held", err)
	}
	rule.Enabled, rule.Name = true, "renamed"
	_, err = w.svc.PutRule(w.ctx, admin, "acme", "north", rule)
	w.ok(err)
	if _, err := w.svc.Confirm(w.ctx, admin, "acme", held.Hold.ID, 30); !errors.Is(err, cloud.ErrChanged) {
		t.Errorf("confirmed a change of what has changed: %v", err)
	}
	h, err := w.svc.Discard(w.ctx, admin, "acme", held.Hold.ID)
	w.ok(err)
	if h.State != cloud.HoldDiscarded || w.opens("north") != 30 {
		t.Errorf("discarded: %+v", h)
	}
	if _, err := w.svc.Confirm(w.ctx, admin, "acme", held.Hold.ID, 30); !errors.Is(err, cloud.ErrChanged) {
		t.Errorf("confirmed what was discarded: %v", err)
	}
	// The property's own setting decides what is too much.
	_, err = w.svc.PutProperty(w.ctx, admin, "acme", cloud.Property{ID: "north", Guard: &cloud.Guard{Percent: 100}})
	w.ok(err)
	rule.Enabled = false
	_, err = w.svc.PutRule(w.ctx, admin, "acme", "north", rule)
	w.ok(err)
	_, err = w.svc.PutProperty(w.ctx, admin, "acme", cloud.Property{ID: "north", Guard: &cloud.Guard{Percent: 101}})
	w.refused(err)
}

// Every act on a property that takes the access of many is held.
func TestEveryActOnAPropertyIsGuarded(t *testing.T) {
	t.Parallel()
	for _, p := range []cloud.Proposal{
		{Op: cloud.OpDeleteProperty},
		{Op: cloud.OpPutProperty, Property: &cloud.Property{ID: "north", Pilot: []string{"Pilots"}}},
		{Op: cloud.OpCreateRule, Rule: &cloud.Rule{ID: "none", Enabled: true}}, // put first below
		{Op: cloud.OpOrderRules},
		{Op: cloud.OpDeleteDoor, ID: "front"},
		{Op: cloud.OpPutDoor, Door: &access.Door{ID: "keys", Kind: "door"}},
		{Op: cloud.OpPutGroup, Group: &cloud.AccessGroup{ID: "staff"}},
		{Op: cloud.OpPutSchedule, Schedule: &access.Schedule{ID: "day", Zone: "UTC"}},
	} {
		t.Run(p.Op, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			_, rule, ids := w.crowd(25)
			p.Site = "north"
			switch p.Op {
			case cloud.OpCreateRule: // behind the others it takes nothing
				if got, err := w.svc.Preview(w.ctx, "acme", p, 10); err != nil || got.Lose.People+got.Gain.People > 0 || got.Held {
					t.Errorf("got %+v, %v", got, err)
				}
				return
			case cloud.OpOrderRules:
				none := w.rule("north", cloud.Rule{Enabled: true, Groups: []string{}})
				rules, err := w.svc.Rules(w.ctx, "acme", "north")
				w.ok(err)
				p.IDs = []string{none.ID, rule.ID, rules[1].ID}
			case cloud.OpPutDoor:
				for _, id := range ids {
					w.mustPatch(id, map[string]any{"userType": "SMARTBOX"})
				}
			case cloud.OpPutSchedule:
				_, err := w.svc.PutSchedule(w.ctx, admin, "acme", "north", access.Schedule{ID: "day", Zone: "UTC", Weekly: []access.Interval{{Day: 1, From: 0, To: 60}}})
				w.ok(err)
				_, err = w.svc.PutAccessGroup(w.ctx, admin, "acme", "north", cloud.AccessGroup{ID: "staff", Grants: []cloud.DoorAccess{{Door: "front", Schedule: "day"}, {Door: "keys"}}})
				w.ok(err)
			}
			n := w.opens("north")
			got, err := w.svc.Preview(w.ctx, "acme", p, 10)
			w.ok(err)
			if !got.Held || got.Lose.Openings < 25 || got.Openings != n || len(got.People) != 10 || got.More != 15 {
				t.Errorf("preview of %d people: %+v", len(ids), got)
			}
			if now := w.opens("north"); now != n {
				t.Errorf("a preview changed what opens from %d to %d", n, now)
			}
		})
	}
}

// TestSingleRevocationsPass: whom the directory disables or deletes loses
// access at once, however many they are; past the limit there is an alarm.
func TestSingleRevocationsPass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, _, ids := w.crowd(30)
	for i, id := range ids {
		if i%2 == 0 {
			w.mustPatch(id, map[string]any{"active": false})
		} else {
			w.ok(w.svc.DeleteUser(w.ctx, w.caller, id, ""))
		}
		if got, want := w.opens("north"), 60-2*(i+1); got != want {
			t.Fatalf("%d open after %d revocations, want %d", got, i+1, want)
		}
	}
	st, err := w.svc.SiteStatus(w.ctx, "acme", "north")
	w.ok(err)
	want := []cloud.LossStatus{{Cause: cloud.CausePerson, Gone: 60, Alarm: true}}
	if !slices.Equal(st.Losses, want) || st.Holds != 0 {
		t.Errorf("losses %+v, %d holds; want %+v", st.Losses, st.Holds, want)
	}
}

// TestEmptyGroupPushIsHeld: the directory is told that its call is done, and
// the people keep their doors until a person confirms.
func TestEmptyGroupPushIsHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group, _, ids := w.crowd(30)
	before := w.seq("north")
	replace := func(members ...string) {
		t.Helper()
		g, err := w.svc.UpdateGroup(w.ctx, w.caller, group.ID, "", func(e *cloud.GroupEdit) error { return e.Replace(members) })
		w.ok(err)
		if g.Members != len(members) {
			t.Errorf("the group has %d members, want %d", g.Members, len(members))
		}
	}
	replace()
	if got := w.seq("north"); got != before || w.opens("north") != 60 {
		t.Fatalf("%d open, seq %d after %d", w.opens("north"), got, before)
	}
	open, err := w.svc.Holds(w.ctx, "acme", true)
	w.ok(err)
	if len(open) != 1 || open[0].Kind != cloud.HoldDirectory || open[0].Preview.Lose.People != 30 {
		t.Fatalf("holds %+v", open)
	}
	h, err := w.svc.Hold(w.ctx, "acme", open[0].ID)
	w.ok(err)
	if h.Preview.Lose != (cloud.Tally{People: 30, Doors: 2, Openings: 60}) || h.Preview.Openings != 60 || len(h.Preview.People) != 30 {
		t.Errorf("preview %+v", h.Preview)
	}
	_, err = w.svc.Discard(w.ctx, admin, "acme", h.ID)
	w.refused(err)

	// Whatever else happens to them happens: one is disabled, one gets a new card.
	w.mustPatch(ids[0], map[string]any{"active": false})
	w.mustPatch(ids[1], map[string]any{"cardNumber": "5000", "title": "Boss"})
	w.expect("north", ids[0], "")
	w.expect("north", ids[1], "active, card 5000, in staff")
	w.ok(w.svc.DeleteUser(w.ctx, w.caller, ids[2], ""))
	w.expect("north", ids[2], "")

	// Some are given back: they are held no more.
	replace(ids[3:10]...)
	h, err = w.svc.Hold(w.ctx, "acme", h.ID)
	w.ok(err)
	if got := h.Preview.Lose; got.People != 21 || got.Openings != 42 {
		t.Errorf("still held: %+v", got)
	}
	if _, err := w.svc.Confirm(w.ctx, "olga", "acme", h.ID, 41); !errors.Is(err, cloud.ErrChanged) {
		t.Errorf("confirmed with 41 of 42: %v", err)
	}
	h, err = w.svc.Confirm(w.ctx, "olga", "acme", h.ID, 42)
	w.ok(err)
	if h.State != cloud.HoldConfirmed || w.opens("north") != 14 {
		t.Errorf("confirmed: %s, %d open", h.State, w.opens("north"))
	}
	last := w.entries("north")
	if a := last[len(last)-1].Approved; a == nil || a.By != "olga" || a.Removes != 42 {
		t.Errorf("approved by %+v", a)
	}
	// What was approved does not count against what comes next.
	replace(ids[3:9]...)
	w.expect("north", ids[9], "")
}

// TestManySmallRemovalsAreHeld: the directory removes members one by one.
func TestManySmallRemovalsAreHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group, _, ids := w.crowd(40) // 80 openings: 20 may go
	remove := func(id string) {
		t.Helper()
		_, err := w.svc.UpdateGroup(w.ctx, w.caller, group.ID, "", func(e *cloud.GroupEdit) error { return e.Remove(id) })
		w.ok(err)
	}
	for _, id := range ids[:15] {
		remove(id)
	}
	if got := w.opens("north"); got != 60 {
		t.Errorf("%d open, want 60: the first ten lose theirs, the others wait", got)
	}
	open, err := w.svc.Holds(w.ctx, "acme", true)
	w.ok(err)
	if len(open) != 1 || open[0].Preview.Lose.People != 5 {
		t.Fatalf("holds %+v", open)
	}
	// An hour later a single removal is a single removal again; those that wait
	// go on waiting.
	w.clock = w.clock.Add(61 * time.Minute)
	remove(ids[20])
	if got := w.opens("north"); got != 58 {
		t.Errorf("%d open, want 58", got)
	}
	// All are put back: nothing waits any more.
	w.members(group.ID, ids...)
	h, err := w.svc.Hold(w.ctx, "acme", open[0].ID)
	w.ok(err)
	if h.State != cloud.HoldResolved || w.opens("north") != 80 {
		t.Errorf("put back: %s, %d open", h.State, w.opens("north"))
	}
	// Attributes and deleted groups count the same.
	w.clock = w.clock.Add(61 * time.Minute)
	w.ok(w.svc.DeleteGroup(w.ctx, w.caller, group.ID, ""))
	if got := w.opens("north"); got != 80 {
		t.Errorf("%d open after the group was deleted, want 80 and a hold", got)
	}
	for _, id := range ids {
		w.ok(w.svc.DeleteUser(w.ctx, w.caller, id, ""))
	}
	if open, err = w.svc.Holds(w.ctx, "acme", true); err != nil || len(open) != 0 {
		t.Errorf("all are gone, and still there is %+v, %v", open, err)
	}
	w.ok(w.svc.DeleteProperty(w.ctx, admin, "acme", "north"))
}

// TestHeldPeopleMove: whoever is held and gets another group has both.
func TestHeldPeopleMove(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group, _, ids := w.crowd(30)
	w.rule("north", cloud.Rule{Name: "VIPs", Groups: []string{"vip"}, Conditions: []cloud.Condition{{Attr: "title", Op: "eq", Value: "VIP"}}})
	_, err := w.svc.UpdateGroup(w.ctx, w.caller, group.ID, "", func(e *cloud.GroupEdit) error { return e.Replace(nil) })
	w.ok(err)
	_, err = w.svc.PutAccessGroup(w.ctx, admin, "acme", "north", cloud.AccessGroup{ID: "vip", Grants: []cloud.DoorAccess{{Door: "front"}}})
	w.ok(err)
	w.mustPatch(ids[0], map[string]any{"title": "VIP"})
	w.expect("north", ids[0], "active, card 1000, in staff, in vip")
	open, err := w.svc.Holds(w.ctx, "acme", true)
	w.ok(err)
	h, err := w.svc.Hold(w.ctx, "acme", open[0].ID)
	w.ok(err)
	if first := h.Preview.People[0]; first.ID != ids[0] || !slices.Equal(first.Loses, []string{"keys"}) {
		t.Errorf("the one who moved: %+v", first)
	}
	w.confirmed(&cloud.Held{Hold: h})
	w.expect("north", ids[0], "active, card 1000, in vip")
	if got := w.opens("north"); got != 1 {
		t.Errorf("%d open, want 1", got)
	}
}

// TestPreviewIsWhatHappens: whatever is proposed, the preview is the difference
// between what opened before it was done and what opens after.
func TestPreviewIsWhatHappens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := shortWorld(t)
		w.batch = rapid.SampledFrom([]int{3, 500}).Draw(t, "batch")
		w.restart()
		w.somePeople(t)
		if rapid.Bool().Draw(t, "revokes") {
			w.revoking()
		}
		for range 5 {
			if rapid.Bool().Draw(t, "the directory takes") { // what is held then is looked at by what comes
				w.directoryTakes(t)
			}
			p := someProposal(t)
			w.ok(w.svc.Settle(w.ctx))
			before := w.rightsAt("north")
			preview, err := w.svc.Preview(w.ctx, "acme", p, cloud.MostNamed)
			if err != nil {
				if !quiet(err) {
					t.Fatalf("preview of %+v: %v", p, err)
				}
				continue
			}
			err = w.propose(p)
			_, held := errors.AsType[*cloud.Held](err)
			if held != preview.Held {
				t.Fatalf("%+v: the preview says held: %v, and it is %v", p, preview.Held, err)
			}
			w.confirmed(err)
			w.ok(w.svc.Settle(w.ctx))
			after := w.rightsAt("north")
			if got, want := said(preview), difference(before, after); got != want {
				t.Fatalf("%+v: the preview says\n%s\nand what happened is\n%s", p, got, want)
			}
		}
	})
}

// directoryTakes lets the directory make members of some of a group, and take
// card numbers and titles from others.
func (w *world) directoryTakes(t *rapid.T) {
	users, _, err := w.svc.Users(w.ctx, w.caller, cloud.Query{Count: -1})
	w.ok(err)
	groups, _, err := w.svc.Groups(w.ctx, w.caller, cloud.Query{Count: -1})
	w.ok(err)
	var members []string
	for _, u := range users {
		if rapid.Bool().Draw(t, "member") {
			members = append(members, u.ID)
		}
		switch rapid.IntRange(0, 9).Draw(t, "change") {
		case 0:
			w.mustPatch(u.ID, map[string]any{"title": rapid.SampledFrom([]string{"Boss", "Clerk"}).Draw(t, "title")})
		case 1:
			w.mustPatch(u.ID, map[string]any{"cardNumber": nil})
		case 2:
			w.mustPatch(u.ID, map[string]any{"userType": rapid.SampledFrom([]string{"FULL", "SMARTBOX"}).Draw(t, "kind")})
		}
	}
	group := rapid.SampledFrom(groups).Draw(t, "group")
	_, err = w.svc.UpdateGroup(w.ctx, w.caller, group.ID, "", func(e *cloud.GroupEdit) error { return e.Replace(members) })
	w.ok(err)
}

// somePeople fills north with people of all kinds, groups and rules.
func (w *world) somePeople(t *rapid.T) {
	_, err := w.svc.PutSchedule(w.ctx, admin, "acme", "north", access.Schedule{ID: "day", Zone: "UTC", Weekly: []access.Interval{{Day: 1, From: 60, To: 120}}})
	w.ok(err)
	var ids []string
	for i := range 12 {
		d := doc(fmt.Sprintf("user%02d", i), "")
		if rapid.Bool().Draw(t, "card") {
			d[cloud.EnterpriseURN] = map[string]any{"cardNumber": fmt.Sprint(100 + i)}
		}
		d["userType"] = rapid.SampledFrom([]string{"FULL", "FULL", "SMARTBOX"}).Draw(t, "kind")
		d["active"] = rapid.IntRange(0, 5).Draw(t, "inactive") > 0
		d["title"] = rapid.SampledFrom([]string{"Boss", "Clerk"}).Draw(t, "title")
		u, err := w.svc.CreateUser(w.ctx, w.caller, d)
		w.ok(err)
		ids = append(ids, u.ID)
		if rapid.IntRange(0, 4).Draw(t, "by hand") == 0 {
			_, err := w.svc.AddCard(w.ctx, admin, "acme", u.ID, cloud.NewCard{Number: fmt.Sprint(900 + i)})
			w.ok(err)
			w.ok(w.svc.AddMembership(w.ctx, admin, "acme", u.ID, "north", "vip"))
		}
	}
	w.group("Employees", ids[:6]...)
	w.group("Vips", ids[4:8]...)
	w.rule("north", cloud.Rule{ID: "a", Conditions: []cloud.Condition{{Group: "Employees"}}})
	w.rule("north", cloud.Rule{ID: "b", Groups: []string{"vip"}, Role: cloud.RoleAdmin, Conditions: []cloud.Condition{{Attr: "title", Op: "eq", Value: "Boss"}}})
	_, err = w.svc.PutProperty(w.ctx, admin, "acme", cloud.Property{ID: "north", Guard: new(rapid.SampledFrom([]cloud.Guard{{}, {Percent: 20, Openings: 3}}).Draw(t, "guard"))})
	w.ok(err)
}

func someProposal(t *rapid.T) cloud.Proposal {
	p := cloud.Proposal{Op: rapid.SampledFrom([]string{
		cloud.OpCreateRule, cloud.OpPutRule, cloud.OpPutRule, cloud.OpDeleteRule, cloud.OpOrderRules, cloud.OpPutProperty, cloud.OpDeleteProperty,
		cloud.OpPutDoor, cloud.OpDeleteDoor, cloud.OpPutGroup, cloud.OpDeleteGroup, cloud.OpPutSchedule,
	}).Draw(t, "op"), Site: "north"}
	door := rapid.SampledFrom([]string{"front", "keys", "back"})
	group := rapid.SampledFrom([]string{"staff", "vip"})
	p.ID = rapid.SampledFrom([]string{"a", "b", "front", "keys", "staff", "vip"}).Draw(t, "id")
	switch p.Op {
	case cloud.OpCreateRule, cloud.OpPutRule:
		r := cloud.Rule{ID: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "rule"), Enabled: rapid.Bool().Draw(t, "enabled")}
		r.Groups = rapid.SliceOfNDistinct(group, 0, 2, rapid.ID).Draw(t, "groups")
		r.OnlyNew = rapid.IntRange(0, 4).Draw(t, "new") == 0
		r.Role = rapid.SampledFrom([]string{"", cloud.RoleUser, cloud.RoleAdmin}).Draw(t, "role")
		r.Conditions = rapid.SampledFrom([][]cloud.Condition{
			nil, {{Group: "Employees"}}, {{Group: "Vips"}}, {{Attr: "title", Op: "ne", Value: "Boss"}}, {{Attr: "userType", Op: "eq", Value: "FULL"}},
		}).Draw(t, "conditions")
		p.Rule = &r
	case cloud.OpOrderRules:
		p.IDs = rapid.Permutation([]string{"a", "b"}).Draw(t, "order")
	case cloud.OpPutProperty:
		p.Property = &cloud.Property{ID: "north", Pilot: rapid.SampledFrom([][]string{nil, {"Vips"}, {"Employees"}}).Draw(t, "pilot")}
	case cloud.OpPutDoor:
		p.Door = &access.Door{ID: door.Draw(t, "door"), Kind: rapid.SampledFrom([]string{"door", "cabinet"}).Draw(t, "kind")}
	case cloud.OpPutGroup:
		g := cloud.AccessGroup{ID: group.Draw(t, "group")}
		for _, d := range rapid.SliceOfNDistinct(door, 0, 3, rapid.ID).Draw(t, "doors") {
			g.Grants = append(g.Grants, cloud.DoorAccess{Door: d, Schedule: rapid.SampledFrom([]string{"", "day"}).Draw(t, "schedule")})
		}
		p.Group = &g
	case cloud.OpPutSchedule:
		p.Schedule = &access.Schedule{ID: "day", Zone: "UTC", Weekly: rapid.SampledFrom([][]access.Interval{
			{{Day: 1, From: 60, To: 120}}, {{Day: 1, From: 60, To: 180}}, {},
		}).Draw(t, "hours")}
	}
	return p
}

// propose does p by the method that is for it.
func (w *world) propose(p cloud.Proposal) (err error) {
	switch p.Op {
	case cloud.OpCreateRule:
		_, err = w.svc.CreateRule(w.ctx, admin, "acme", p.Site, *p.Rule)
	case cloud.OpPutRule:
		_, err = w.svc.PutRule(w.ctx, admin, "acme", p.Site, *p.Rule)
	case cloud.OpDeleteRule:
		err = w.svc.DeleteRule(w.ctx, admin, "acme", p.Site, p.ID)
	case cloud.OpOrderRules:
		_, err = w.svc.OrderRules(w.ctx, admin, "acme", p.Site, p.IDs)
	case cloud.OpPutProperty:
		_, err = w.svc.PutProperty(w.ctx, admin, "acme", *p.Property)
	case cloud.OpDeleteProperty:
		err = w.svc.DeleteProperty(w.ctx, admin, "acme", p.Site)
	case cloud.OpPutDoor:
		_, err = w.svc.PutDoor(w.ctx, admin, "acme", p.Site, *p.Door)
	case cloud.OpDeleteDoor:
		err = w.svc.DeleteDoor(w.ctx, admin, "acme", p.Site, p.ID)
	case cloud.OpPutGroup:
		_, err = w.svc.PutAccessGroup(w.ctx, admin, "acme", p.Site, *p.Group)
	case cloud.OpDeleteGroup:
		err = w.svc.DeleteAccessGroup(w.ctx, admin, "acme", p.Site, p.ID)
	case cloud.OpPutSchedule:
		_, err = w.svc.PutSchedule(w.ctx, admin, "acme", p.Site, *p.Schedule)
	}
	return err
}

// A someone is what one person may open at a site: hours by door, how many
// credentials there are for it, and the role.
type someone struct {
	doors map[string]string
	keys  int
	role  string
}

// rightsAt works out with package access, which decides at the doors, what
// everyone may open at a site: each is given one credential more to try.
func (w *world) rightsAt(site string) map[string]someone {
	w.Helper()
	records := w.fold(site)
	x := w.index(records)
	all := map[string]someone{}
	schedules := map[string]access.Schedule{}
	var doors []string
	for ref, rec := range records {
		r, err := access.ParseRecord(ref.Kind, []byte(rec))
		w.ok(err)
		switch r := r.(type) {
		case access.Person:
			all[r.ID] = someone{doors: map[string]string{}, role: r.Role}
			bits := fmt.Sprintf("%064x", len(all))
			x.Put(access.Credential{ID: "try " + r.ID, Person: r.ID, Technology: access.TechCard, Status: access.CredentialActive, Bits: w.bits("256:" + bits)})
		case access.Schedule:
			schedules[r.ID] = r
		case access.Door:
			doors = append(doors, r.ID)
		}
	}
	for _, e := range x.Entitlements(doors) {
		who := all[e.Credential.Person]
		if e.Credential.ID != "try "+e.Credential.Person {
			who.keys++
			all[e.Credential.Person] = who
			continue
		}
		for door, ids := range e.Doors {
			hours := "always"
			if len(ids) > 0 {
				ids = slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return len(schedules[id].Weekly) == 0 })
				hours = ""
				for _, id := range ids {
					hours += fmt.Sprintf("%+v", schedules[id])
				}
			}
			if hours != "" {
				who.doors[door] = hours
			}
		}
	}
	return all
}

func (w *world) bits(text string) wiegand.Bits {
	w.Helper()
	b, err := wiegand.ParseBits(text)
	w.ok(err)
	return b
}

// said is what a preview says, as difference writes it.
func said(p cloud.Preview) string {
	var b strings.Builder
	for _, e := range p.People {
		role := ""
		if e.Role != nil {
			role = fmt.Sprintf(" role %v", e.Role.After)
		}
		fmt.Fprintf(&b, "%s +%v -%v ~%v%s\n", e.ID, e.Gains, e.Loses, e.Hours, role)
	}
	fmt.Fprintf(&b, "+%+v -%+v, %d people in other hours, %d roles, %d not named", p.Gain, p.Lose, p.Hours.People, p.Roles, p.More)
	return b.String()
}

// difference is what happened between before and after.
func difference(before, after map[string]someone) string {
	ids := map[string]bool{}
	for id := range before {
		ids[id] = true
	}
	for id := range after {
		ids[id] = true
	}
	var people strings.Builder
	var gain, lose cloud.Tally
	var hours, roles int
	gained, lost := map[string]bool{}, map[string]bool{}
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		a, b := before[id], after[id]
		came, _ := apart(b, a, gained, &gain)
		went, moved := apart(a, b, lost, &lose)
		role := ""
		if a.role != b.role {
			role = " role " + b.role
			roles++
		}
		if len(moved) > 0 {
			hours++
		}
		if len(came)+len(went)+len(moved) > 0 || role != "" || fewer(a, b)+fewer(b, a) > 0 {
			fmt.Fprintf(&people, "%s +%v -%v ~%v%s\n", id, came, went, moved, role)
		}
	}
	gain.Doors, lose.Doors = len(gained), len(lost)
	return fmt.Sprintf("%s+%+v -%+v, %d people in other hours, %d roles, 0 not named", people.String(), gain, lose, hours, roles)
}

// apart lists the doors of a that are not b's, and those that both have in
// different hours; it adds the former to doors and t.
func apart(a, b someone, doors map[string]bool, t *cloud.Tally) (alone, moved []string) {
	for _, door := range slices.Sorted(maps.Keys(a.doors)) {
		switch hours, both := b.doors[door]; {
		case !both:
			alone = append(alone, door)
			doors[door] = true
			t.Openings += a.keys
		case hours != a.doors[door]:
			moved = append(moved, door)
			fallthrough
		default:
			t.Openings += max(0, a.keys-b.keys)
		}
	}
	if len(alone) > 0 || fewer(a, b) > 0 {
		t.People++
	}
	return alone, moved
}

// fewer is by how many credentials fewer b opens what both may.
func fewer(a, b someone) int {
	for door := range a.doors {
		if _, both := b.doors[door]; both {
			return max(0, a.keys-b.keys)
		}
	}
	return 0
}

// TestHundredPercentNeverHolds: also where what goes was held within the hour,
// and came back, so that more counts than there is.
func TestHundredPercentNeverHolds(t *testing.T) {
	w := newWorld(t)
	guard := func(g cloud.Guard) {
		_, err := w.svc.PutProperty(w.ctx, admin, "acme", cloud.Property{ID: "north", Guard: &g})
		w.ok(err)
	}
	w.rule("north", cloud.Rule{Conditions: []cloud.Condition{{Attr: "title", Op: cloud.OpEqual, Value: "Boss"}}})
	u := w.user("jane@example.com", "100")
	guard(cloud.Guard{})
	w.mustPatch(u.ID, map[string]any{"title": "Boss"})
	w.mustPatch(u.ID, map[string]any{"title": "Clerk"})
	w.expect("north", u.ID, "active, card 100, in staff")
	w.mustPatch(u.ID, map[string]any{"title": "Boss"})
	guard(cloud.Guard{Percent: 100})
	w.mustPatch(u.ID, map[string]any{"title": "Clerk"})
	w.expect("north", u.ID, "")
}
