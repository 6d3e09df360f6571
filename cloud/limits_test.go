package cloud_test

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"latchkey/access"
	"latchkey/cloud"
)

// within fills up to limit what make makes, and wants the next one refused with
// words that say how many there would be, and how many may be.
func (w *world) within(what string, have, limit int, make func(i int) error) {
	w.Helper()
	for i := have; i < limit; i++ {
		if err := make(i); err != nil {
			w.Fatalf("%s %d of %d: %v", what, i+1, limit, err)
		}
	}
	for range 2 {
		detail := w.refused(make(limit))
		if !strings.Contains(detail, fmt.Sprint(limit)) || !strings.Contains(detail, what) {
			w.Errorf("one %s too many: %q", what, detail)
		}
	}
}

// TestLimits: what an organisation has as many of as it may, it gets no more of;
// what there is may be changed, and what makes room lets in again.
func TestLimits(t *testing.T) {
	w := newWorld(t)
	w.limits = cloud.Limits{
		People: 5, Groups: 3, Memberships: 4, Properties: 4, BadgeTypes: 3, Tokens: 3, Administrators: 2,
		Doors: 4, Schedules: 2, AccessGroups: 3, Rules: 3,
	}
	w.restart()
	pull := cloud.Caller{Org: "acme"}
	w.within("people", 0, 5, func(i int) error {
		name := fmt.Sprintf("p%d@example.com", i)
		var err error
		switch i % 3 {
		case 0:
			_, err = w.svc.CreateUser(w.ctx, w.caller, doc(name, ""))
		case 1:
			_, err = w.svc.CreatePerson(w.ctx, admin, "acme", cloud.NewPerson{Name: name})
		default:
			_, err = w.svc.PullUser(w.ctx, pull.Org, pulled("00u"+name, name, ""))
		}
		return err
	})
	jane := w.found("p0@example.com")
	w.mustPatch(jane.ID, map[string]any{"title": "Chemist"})
	w.ok(w.svc.DeleteUser(w.ctx, w.caller, jane.ID, ""))
	w.refused(w.created(doc("soon@example.com", "")))
	w.clock = w.clock.Add(time.Minute)
	w.ok(w.created(doc("later@example.com", "")))

	var group cloud.Group
	w.within("groups", 0, 3, func(i int) (err error) {
		group, err = w.svc.CreateGroup(w.ctx, w.caller, map[string]any{"displayName": fmt.Sprint("Group ", i)}, nil)
		return err
	})
	groups, _, err := w.svc.Groups(w.ctx, w.caller, cloud.Query{Count: -1})
	w.ok(err)
	group = groups[0]
	w.within("memberships", 0, 4, func(i int) error {
		_, err := w.svc.UpdateGroup(w.ctx, w.caller, group.ID, "", func(e *cloud.GroupEdit) error { return e.Add(fmt.Sprint("member-", i), "member-0") })
		return err
	})
	if members, err := w.svc.Members(w.ctx, w.caller, group.ID, "", 0); err != nil || len(members) != 4 {
		t.Errorf("%d members are left of a refusal, want 4: %v", len(members), err)
	}

	w.within("doors", 2, 4, func(i int) error {
		_, err := w.svc.PutDoor(w.ctx, admin, "acme", "north", access.Door{ID: fmt.Sprint("d", i), Name: "Door"})
		return err
	})
	_, err = w.svc.PutDoor(w.ctx, admin, "acme", "north", access.Door{ID: "front", Name: "The front door"})
	w.ok(err)
	w.within("schedules", 0, 2, func(i int) error {
		_, err := w.svc.PutSchedule(w.ctx, admin, "acme", "north", access.Schedule{ID: fmt.Sprint("s", i), Name: "Hours", Zone: "UTC"})
		return err
	})
	w.within("access groups", 2, 3, func(i int) error {
		_, err := w.svc.PutAccessGroup(w.ctx, admin, "acme", "north", cloud.AccessGroup{ID: fmt.Sprint("g", i), Name: "Group"})
		return err
	})
	w.within("rules", 0, 3, func(i int) error {
		_, err := w.svc.CreateRule(w.ctx, admin, "acme", "north", cloud.Rule{ID: fmt.Sprint("r", i)})
		return err
	})
	w.within("properties", 2, 4, func(i int) error {
		id := fmt.Sprint("site-", i)
		if _, err := w.svc.PutProperty(w.ctx, admin, "acme", cloud.Property{ID: id, Name: id}); err != nil {
			return err
		}
		return w.svc.DeleteProperty(w.ctx, admin, "acme", id)
	})
	_, err = w.svc.PutProperty(w.ctx, admin, "acme", cloud.Property{ID: "site-2", Name: "Again"})
	w.ok(err)
	w.within("badge types", 1, 3, func(i int) error {
		_, err := w.svc.PutBadgeType(w.ctx, admin, "acme", cloud.BadgeType{ID: fmt.Sprint("b", i), Format: "H10301"})
		return err
	})
	w.within("tokens", 1, 3, func(i int) error {
		_, _, err := w.svc.CreateToken(w.ctx, admin, "acme", fmt.Sprint("token ", i))
		return err
	})
	_, _, err = w.svc.RotateToken(w.ctx, admin, "acme", w.caller.Token, time.Hour)
	w.refused(err)
	w.within("administrators", 0, 2, func(i int) error {
		_, err := w.svc.PutAdministrator(w.ctx, admin, "acme", fmt.Sprintf("a%d@example.com", i), cloud.PageOwner)
		return err
	})
}

func (w *world) created(doc map[string]any) error {
	_, err := w.svc.CreateUser(w.ctx, w.caller, doc)
	return err
}

// TestPartsAreLimited: all that rules are looked at for is in the memory, of all
// properties; a change that is only looked at is refused like one that is made.
func TestPartsAreLimited(t *testing.T) {
	w := newWorld(t)
	w.limits.Parts = 20 // the world has two doors, two groups and four doors of these at each of two properties
	w.restart()
	r := cloud.Rule{ID: "r", Conditions: []cloud.Condition{{Attr: "title", Op: cloud.OpPresent}, {Attr: "department", Op: cloud.OpPresent}}}
	_, err := w.svc.CreateRule(w.ctx, admin, "acme", "north", r)
	w.ok(err)
	_, err = w.svc.PutDoor(w.ctx, admin, "acme", "south", access.Door{ID: "back", Name: "Back"})
	w.ok(err)
	p := cloud.Proposal{Op: cloud.OpPutDoor, Site: "north", Door: &access.Door{ID: "back", Name: "Back"}}
	_, err = w.svc.Preview(w.ctx, "acme", p, 0)
	w.refused(err)
	detail := w.refused(w.svc.Do(w.ctx, admin, "acme", p, 0))
	if !strings.Contains(detail, "21") || !strings.Contains(detail, "20") {
		t.Errorf("the refusal says %q", detail)
	}
	r.Conditions = append(r.Conditions, r.Conditions[0])
	_, err = w.svc.PutRule(w.ctx, admin, "acme", "north", r)
	w.refused(err)
	r.Conditions = r.Conditions[:1]
	_, err = w.svc.PutRule(w.ctx, admin, "acme", "north", r)
	w.ok(err)
	w.ok(w.svc.Do(w.ctx, admin, "acme", p, 0))
}

// TestForecastKnowsTheLimits: whom there is no room for a forecast names as not
// taken, and leaves the room to those who come.
func TestForecastKnowsTheLimits(t *testing.T) {
	w := newWorld(t)
	w.limits = cloud.Limits{People: 4, Groups: 2, Memberships: 3}
	w.restart()
	w.pull(pulled("00u0", "p0@example.com", ""))
	w.pull(pulled("00u1", "p1@example.com", ""))
	p := cloud.Pull{GoneUsers: []string{"00u0"}}
	for i := range 5 {
		p.Users = append(p.Users, pulled(fmt.Sprint("00u", i+1), fmt.Sprintf("p%d@example.com", i+1), ""))
	}
	for i := range 3 {
		p.Groups = append(p.Groups, cloud.PulledGroup{ID: fmt.Sprint("00g", i), Name: fmt.Sprint("Group ", i), Members: []string{"00u1", "00u2"}[:2-i%2]})
	}
	for range 2 {
		f, err := w.svc.ForecastPull(w.ctx, "acme", p)
		w.ok(err)
		if f.Refused.Count != 2 || !strings.HasPrefix(f.Refused.Named[0], "p5@") || !strings.HasPrefix(f.Refused.Named[1], "Group 2") {
			t.Errorf("not taken: %q", f.Refused.Named)
		}
	}
	w.ok(w.svc.PullUserGone(w.ctx, "acme", "00u0", "DELETED"))
	for _, u := range p.Users[:4] {
		_, err := w.svc.PullUser(w.ctx, "acme", u)
		w.ok(err)
	}
	_, err := w.svc.PullUser(w.ctx, "acme", p.Users[4])
	w.refused(err)
	for i, g := range p.Groups {
		if _, _, err := w.svc.PullGroup(w.ctx, "acme", g); (err != nil) != (i == 2) {
			t.Errorf("group %d: %v", i, err)
		}
	}
}

// TestForecastCountsMembersOnce: a member who came and went again takes no room.
func TestForecastCountsMembersOnce(t *testing.T) {
	w := newWorld(t)
	w.limits.Memberships = 3
	w.restart()
	p := cloud.Pull{Groups: []cloud.PulledGroup{
		{ID: "00g0", Name: "A", Members: []string{"00u0", "00u1", "00u2"}}, {ID: "00g0", Name: "A", Members: []string{"00u0", "00u1"}},
		{ID: "00g1", Name: "B", Members: []string{"00u0", "00u1"}},
	}}
	for i := range 3 {
		w.pull(pulled(fmt.Sprint("00u", i), fmt.Sprintf("p%d@example.com", i), ""))
	}
	f, err := w.svc.ForecastPull(w.ctx, "acme", p)
	w.ok(err)
	if f.Refused.Count != 1 || !strings.HasPrefix(f.Refused.Named[0], "B: ") {
		t.Errorf("not taken: %q", f.Refused.Named)
	}
}

// TestAttributesShownAreFew: of very many attributes some are shown.
func TestAttributesShownAreFew(t *testing.T) {
	w := newWorld(t)
	many := doc("many@example.com", "")
	for i := range 1000 {
		many[fmt.Sprintf("attribute%04d", i)] = i
	}
	w.ok(w.created(many))
	if p := w.found("many@example.com"); len(p.Attributes) != 500 || p.Attributes["attribute0042"] != "42" {
		t.Errorf("%d attributes are shown", len(p.Attributes))
	}
}

// TestRoomIsCountedSeldom: what takes long to count is counted a few times on the
// way to the limit, and once a minute beyond it, however many try.
func TestRoomIsCountedSeldom(t *testing.T) {
	w := newWorld(t)
	store := &tallying{Store: w.db}
	now := w.clock
	svc, err := cloud.NewService(store, cloud.Options{Limits: cloud.Limits{Memberships: 5000}, Now: func() time.Time { return now }})
	w.ok(err)
	g := w.group("Staff")
	add := func(from, to int) error {
		var ids []string
		for i := from; i < to; i++ {
			ids = append(ids, fmt.Sprint("member-", i))
		}
		_, err := svc.UpdateGroup(w.ctx, w.caller, g.ID, "", func(e *cloud.GroupEdit) error { return e.Add(ids...) })
		return err
	}
	for i := 0; i < 5000; i += 500 {
		w.ok(add(i, i+500))
	}
	if store.counted > 200 {
		t.Errorf("counted %d times", store.counted)
	}
	before := store.counted
	for range 100 {
		w.refused(add(5000, 5001))
	}
	if n := store.counted - before; n > 1 {
		t.Errorf("counted %d times when it was full", n)
	}
	_, err = svc.UpdateGroup(w.ctx, w.caller, g.ID, "", func(e *cloud.GroupEdit) error { return e.Remove("member-0") })
	w.ok(err)
	now = now.Add(time.Minute)
	w.ok(add(5000, 5001))
	w.refused(add(5001, 5002))
	_, err = svc.UpdateGroup(w.ctx, w.caller, g.ID, "", func(e *cloud.GroupEdit) error { return e.Remove("member-1") })
	w.ok(err)
	now = now.Add(-time.Hour) // the clock was ahead
	w.ok(add(5001, 5002))
}

// A tallying store counts how often memberships were counted.
type tallying struct {
	cloud.Store
	counted int
}

type tallyingTx struct {
	cloud.Tx
	s *tallying
}

func (s *tallying) Update(ctx context.Context, f func(cloud.Tx) error) error {
	return s.Store.Update(ctx, func(tx cloud.Tx) error { return f(tallyingTx{tx, s}) })
}

func (t tallyingTx) MemberCounts(org string) (map[string]int, error) {
	t.s.counted++
	return t.Tx.MemberCounts(org)
}

// TestLimitsAreInTheManual: the manual has the figures of all limits.
func TestLimitsAreInTheManual(t *testing.T) {
	manual, err := os.ReadFile("../docs/manual/identity-admin.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(string(manual), "### Limits")
	part, _, _ = strings.Cut(part, "\n## ")
	var said, are []int
	for _, row := range regexp.MustCompile(`(?m)^\| .* \| ([0-9,]+) \|$`).FindAllStringSubmatch(part, -1) {
		n, err := strconv.Atoi(strings.ReplaceAll(row[1], ",", ""))
		said = append(said, n)
		if err != nil {
			t.Error(err)
		}
	}
	for limits, i := reflect.ValueOf(cloud.DefaultLimits()), 0; i < limits.NumField(); i++ {
		are = append(are, int(limits.Field(i).Int()))
	}
	if !slices.Equal(said, are) {
		t.Errorf("the manual has %v, want %v", said, are)
	}
}
