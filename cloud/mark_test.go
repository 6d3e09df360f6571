package cloud_test

import (
	"errors"
	"slices"
	"testing"

	"latchkey/access"
	"latchkey/cloud"
)

// TestMarksGuardAgainstLostUpdates: what two people change from the same state,
// the first one changes; the other is refused, is told whom to ask, and may do it
// knowing of that.
func TestMarksGuardAgainstLostUpdates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, second := w.rule("north", cloud.Rule{Name: "First"}), w.rule("north", cloud.Rule{Name: "Second"})
	_, err := w.svc.PutSchedule(w.ctx, admin, "acme", "north", access.Schedule{ID: "hours", Zone: "UTC"})
	w.ok(err)
	named := func(name string) cloud.Rule { r := first; r.Name = name; return r }
	for _, tt := range []struct {
		name   string
		make   func(text string) cloud.Proposal
		others bool // there was nothing before, so that nobody changed it
	}{
		{"a rule", func(text string) cloud.Proposal {
			r := named(text)
			return cloud.Proposal{Op: cloud.OpPutRule, Rule: &r}
		}, false},
		{"settings", func(text string) cloud.Proposal {
			return cloud.Proposal{Op: cloud.OpPutProperty, Property: &cloud.Property{ID: "north", Name: text}}
		}, false},
		{"a door", func(text string) cloud.Proposal {
			return cloud.Proposal{Op: cloud.OpPutDoor, Door: &access.Door{ID: "front", Name: text}}
		}, false},
		{"a new door", func(text string) cloud.Proposal {
			return cloud.Proposal{Op: cloud.OpPutDoor, Door: &access.Door{ID: "new", Name: text}}
		}, true},
		{"an access group", func(text string) cloud.Proposal {
			return cloud.Proposal{Op: cloud.OpPutGroup, Group: &cloud.AccessGroup{ID: "staff", Name: text}}
		}, false},
		{"a schedule", func(text string) cloud.Proposal {
			return cloud.Proposal{Op: cloud.OpPutSchedule, Schedule: &access.Schedule{ID: "hours", Name: text, Zone: "UTC"}}
		}, false},
	} {
		bobs, anns := tt.make("Bob's"), tt.make("Ann's")
		bobs.Site, anns.Site = "north", "north"
		opened, err := w.svc.Mark(w.ctx, "acme", anns)
		w.ok(err)
		bobs.Mark, anns.Mark = opened, opened
		w.ok(w.svc.Do(w.ctx, "bob", "acme", bobs, 0))
		if err := w.svc.Do(w.ctx, "ann", "acme", anns, 0); !errors.Is(err, cloud.ErrChanged) {
			t.Errorf("%s: ann wrote over what bob did: %v", tt.name, err)
		}
		e, ok, err := w.svc.Overtook(w.ctx, "acme", anns)
		if err != nil || ok == tt.others || ok && e.Who != "bob" {
			t.Errorf("%s: overtaken by %+v, %v, %v; want bob", tt.name, e, ok, err)
		}
		anns.Mark, err = w.svc.Mark(w.ctx, "acme", anns)
		w.ok(err)
		w.ok(w.svc.Do(w.ctx, "ann", "acme", anns, 0))
	}
	order := cloud.Proposal{Op: cloud.OpOrderRules, Site: "north", IDs: []string{second.ID, first.ID}}
	order.Mark, err = w.svc.Mark(w.ctx, "acme", order)
	w.ok(err)
	w.rule("north", cloud.Rule{Name: "Third"})
	if err := w.svc.Do(w.ctx, admin, "acme", order, 0); !errors.Is(err, cloud.ErrChanged) {
		t.Errorf("an order of rules that are others by now: %v", err)
	}
	if _, err := w.svc.Mark(w.ctx, "other", order); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("another organisation's: %v", err)
	}
}

// TestMarksLeaveOutWhatNobodyChanged: a rule's form stays good while the rules are
// put in another order, and while the directory sends a group that it names.
func TestMarksLeaveOutWhatNobodyChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.rule("north", cloud.Rule{Name: "First", Conditions: []cloud.Condition{{Group: "Chemists"}}})
	ids := []string{w.rule("north", cloud.Rule{Name: "Second"}).ID, r.ID}
	p := cloud.Proposal{Op: cloud.OpPutRule, Site: "north", Rule: &r}
	var err error
	p.Mark, err = w.svc.Mark(w.ctx, "acme", p)
	w.ok(err)
	_, err = w.svc.OrderRules(w.ctx, admin, "acme", "north", ids)
	w.ok(err)
	w.group("Chemists")
	rules, err := w.svc.Rules(w.ctx, "acme", "north")
	w.ok(err)
	if i := slices.IndexFunc(rules, func(o cloud.Rule) bool { return o.ID == r.ID }); i != 1 || rules[i].Conditions[0].GroupID == "" {
		t.Fatalf("the rules are %+v", rules)
	}
	w.ok(w.svc.Do(w.ctx, admin, "acme", p, 0))
}

// TestMarkOfAHeldChange: a change that would be held is refused as well, and who
// asks for it again after that has one hold.
func TestMarkOfAHeldChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, rule, _ := w.crowd(15)
	p := cloud.Proposal{Op: cloud.OpDeleteRule, Site: "north", ID: rule.ID, Mark: "of something else"}
	if err := w.svc.Do(w.ctx, admin, "acme", p, 30); !errors.Is(err, cloud.ErrChanged) {
		t.Errorf("got %v, want ErrChanged", err)
	}
	for range 2 {
		var err error
		p.Mark, err = w.svc.Mark(w.ctx, "acme", p)
		w.ok(err)
		if _, held := errors.AsType[*cloud.Held](w.svc.Do(w.ctx, admin, "acme", p, 30)); !held {
			t.Fatal("not held")
		}
		rule.Name += "!"
		_, err = w.svc.PutRule(w.ctx, admin, "acme", "north", rule)
		w.ok(err)
	}
	if open, err := w.svc.Holds(w.ctx, "acme", true); err != nil || len(open) != 1 {
		t.Errorf("%d holds, %v; want one", len(open), err)
	}
}

// TestMarkOfAWholeProperty: who deletes a property deletes what they were shown,
// also where it was held meanwhile; what a directory does is not in the way.
func TestMarkOfAWholeProperty(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, rule, _ := w.crowd(15)
	_, err := w.svc.PutSchedule(w.ctx, admin, "acme", "north", access.Schedule{ID: "hours", Zone: "UTC"})
	w.ok(err)
	p := cloud.Proposal{Op: cloud.OpDeleteProperty, Site: "north"}
	mark := func() string {
		t.Helper()
		m, err := w.svc.Mark(w.ctx, "acme", p)
		w.ok(err)
		return m
	}
	rule.Conditions, rule.Match = append(rule.Conditions, cloud.Condition{Group: "Chemists"}), cloud.MatchAny
	_, err = w.svc.PutRule(w.ctx, admin, "acme", "north", rule)
	w.ok(err)
	p.Mark = mark()
	w.group("Chemists")
	if mark() != p.Mark {
		t.Error("a group that the directory sent changes the mark")
	}
	second := w.rule("north", cloud.Rule{Name: "Second"})
	for name, change := range map[string]cloud.Proposal{
		"settings":          {Op: cloud.OpPutProperty, Property: &cloud.Property{ID: "north", Name: "Bob's"}},
		"a rule":            {Op: cloud.OpPutRule, Rule: &cloud.Rule{ID: second.ID, Name: "Bob's", Match: cloud.MatchAll}},
		"a new rule":        {Op: cloud.OpCreateRule, Rule: &cloud.Rule{Name: "Bob's", Match: cloud.MatchAll}},
		"the order":         {Op: cloud.OpOrderRules},
		"a door":            {Op: cloud.OpPutDoor, Door: &access.Door{ID: "front", Name: "Bob's"}},
		"a new door":        {Op: cloud.OpPutDoor, Door: &access.Door{ID: "bobs", Name: "Bob's"}},
		"a deleted door":    {Op: cloud.OpDeleteDoor, ID: "bobs"},
		"an access group":   {Op: cloud.OpPutGroup, Group: &cloud.AccessGroup{ID: "bobs", Name: "Bob's"}},
		"a schedule's days": {Op: cloud.OpPutSchedule, Schedule: &access.Schedule{ID: "hours", Zone: "UTC", Holidays: []string{"2026-12-25"}}},
	} {
		if name == "a deleted door" {
			_, err := w.svc.PutDoor(w.ctx, admin, "acme", "north", access.Door{ID: "bobs", Name: "Gone soon"})
			w.ok(err)
		}
		if change.Op == cloud.OpOrderRules {
			rules, err := w.svc.Rules(w.ctx, "acme", "north")
			w.ok(err)
			for _, r := range slices.Backward(rules) {
				change.IDs = append(change.IDs, r.ID)
			}
		}
		p.Mark, change.Site = mark(), "north"
		w.ok(w.svc.Do(w.ctx, "bob", "acme", change, 1000))
		if err := w.svc.Do(w.ctx, "ann", "acme", p, 1000); !errors.Is(err, cloud.ErrChanged) {
			t.Errorf("%s changed: the property is deleted all the same: %v", name, err)
		}
		if e, ok, err := w.svc.Overtook(w.ctx, "acme", p); err != nil || !ok || e.Who != "bob" || e.What != change.Op {
			t.Errorf("%s: overtaken by %+v, %v, %v; want bob", name, e, ok, err)
		}
	}

	p.Mark = "" // who is not a page knows no mark
	for range 2 {
		held, ok := errors.AsType[*cloud.Held](w.svc.Do(w.ctx, admin, "acme", p, 1000))
		if !ok {
			t.Fatal("not held")
		}
		_, err = w.svc.PutDoor(w.ctx, "bob", "acme", "north", access.Door{ID: "front", Name: "Bob's other"})
		w.ok(err)
		if _, err := w.svc.Confirm(w.ctx, admin, "acme", held.Hold.ID, 1000); !errors.Is(err, cloud.ErrChanged) {
			t.Fatalf("what is held of a property that changed is done: %v", err)
		}
		_, err = w.svc.Discard(w.ctx, admin, "acme", held.Hold.ID)
		w.ok(err)
		_, err = w.svc.PutDoor(w.ctx, "bob", "acme", "north", access.Door{ID: "front", Name: "Bob's third"})
		w.ok(err)
	}
	held, _ := errors.AsType[*cloud.Held](w.svc.Do(w.ctx, admin, "acme", p, 1000))
	_, err = w.svc.Confirm(w.ctx, admin, "acme", held.Hold.ID, 1000)
	w.ok(err)
}

// TestTrailSaysWhoDeletedWhat: also after somebody else changed it before, and
// not who deleted what is called the same at another property.
func TestTrailSaysWhoDeletedWhat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.rule("north", cloud.Rule{Name: "First"})
	_, err := w.svc.PutSchedule(w.ctx, admin, "acme", "north", access.Schedule{ID: "hours", Name: "Hours", Zone: "UTC"})
	w.ok(err)
	r.Name = "Carl's"
	_, err = w.svc.PutRule(w.ctx, "carl", "acme", "north", r)
	w.ok(err)
	_, err = w.svc.PutProperty(w.ctx, admin, "acme", cloud.Property{ID: "south", Name: "South"})
	w.ok(err)
	_, err = w.svc.PutDoor(w.ctx, admin, "acme", "south", access.Door{ID: "front", Name: "South's"})
	w.ok(err)
	for _, tt := range []struct {
		name     string
		put, del cloud.Proposal
	}{
		{"a rule", cloud.Proposal{Op: cloud.OpPutRule, Rule: &r}, cloud.Proposal{Op: cloud.OpDeleteRule, ID: r.ID}},
		{"a door", cloud.Proposal{Op: cloud.OpPutDoor, Door: &access.Door{ID: "front"}}, cloud.Proposal{Op: cloud.OpDeleteDoor, ID: "front"}},
		{"an access group", cloud.Proposal{Op: cloud.OpPutGroup, Group: &cloud.AccessGroup{ID: "staff"}}, cloud.Proposal{Op: cloud.OpDeleteGroup, ID: "staff"}},
		{"a schedule", cloud.Proposal{Op: cloud.OpPutSchedule, Schedule: &access.Schedule{ID: "hours"}}, cloud.Proposal{Op: cloud.OpDeleteSchedule, ID: "hours"}},
	} {
		tt.put.Site, tt.del.Site = "north", "north"
		if e, ok, err := w.svc.Deleted(w.ctx, "acme", tt.put); ok || err != nil {
			t.Errorf("%s that is there: deleted by %+v, %v", tt.name, e, err)
		}
		w.ok(w.svc.Do(w.ctx, "bob", "acme", tt.del, 1000))
		for _, p := range []cloud.Proposal{tt.put, tt.del} {
			if e, ok, err := w.svc.Deleted(w.ctx, "acme", p); err != nil || !ok || e.Who != "bob" || e.What != tt.del.Op || e.Changes[cloud.AuditSite].After != "north" {
				t.Errorf("%s: deleted by %+v, %v, %v; want bob at north", tt.name, e, ok, err)
			}
		}
		tt.put.Site = "south"
		if e, ok, err := w.svc.Deleted(w.ctx, "acme", tt.put); ok || err != nil {
			t.Errorf("%s at another property: deleted by %+v, %v", tt.name, e, err)
		}
	}
	if err := w.svc.Do(w.ctx, "bob", "acme", cloud.Proposal{Op: cloud.OpPutRule, Site: "north", Rule: &cloud.Rule{ID: r.ID, Match: "odd"}}, 0); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("a deleted rule: %v", err)
	}
	_, err = w.svc.PutSchedule(w.ctx, "bob", "acme", "north", access.Schedule{ID: "hours", Zone: "UTC", Weekly: []access.Interval{{Day: 7, To: 60}}})
	if _, ok := errors.AsType[*cloud.Invalid](err); !ok {
		t.Errorf("a day that is none: got %v, want *Invalid", err)
	}
	entries, err := w.svc.Audit(w.ctx, "acme", "", 1)
	if err != nil || entries[0].Error == "" || entries[0].Changes[cloud.AuditSite].After != "north" {
		t.Errorf("what was refused is noted as %+v, %v; want it at north", entries, err)
	}
}
