package cloud_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"latchkey/access"
	"latchkey/cloud"
)

// pulled is a user as a directory that is read says.
func pulled(id, userName, card string) cloud.PulledUser {
	attrs := doc(userName, card)
	delete(attrs, "active")
	return cloud.PulledUser{ID: id, Status: "ACTIVE", Valid: true, Attrs: attrs}
}

func (w *world) pull(u cloud.PulledUser) (changed bool) {
	w.Helper()
	changed, err := w.svc.PullUser(w.ctx, "acme", u)
	w.ok(err)
	return changed
}

func (w *world) pullGroup(id, name string, members ...string) (unknown int, taken bool) {
	w.Helper()
	unknown, taken, err := w.svc.PullGroup(w.ctx, "acme", cloud.PulledGroup{ID: id, Name: name, Members: members})
	w.ok(err)
	return unknown, taken
}

// found is who has a user name.
func (w *world) found(userName string) cloud.Person {
	w.Helper()
	all, err := w.svc.People(w.ctx, "acme", cloud.PeopleQuery{Search: userName})
	w.ok(err)
	all = slices.DeleteFunc(all, func(p cloud.Person) bool { return !strings.EqualFold(p.UserName, userName) }) // others have the address
	if len(all) != 1 {
		w.Fatalf("%s: found %d people, want 1", userName, len(all))
	}
	return all[0]
}

// pushing is a directory that calls with a token.
func (w *world) pushing() cloud.Caller {
	w.Helper()
	token, _, err := w.svc.CreateToken(w.ctx, admin, "acme", "directory")
	w.ok(err)
	return cloud.Caller{Org: "acme", Token: token.ID}
}

func out(u cloud.PulledUser, status string) cloud.PulledUser {
	u.Status, u.Valid = status, false
	return u
}

func TestPulledPersonLives(t *testing.T) {
	w := newWorld(t)
	w.rule("north", cloud.Rule{Name: "staff", Match: cloud.MatchAll, Enabled: true, Conditions: []cloud.Condition{{Group: "Staff"}}, Groups: []string{"staff"}})
	jane := pulled("00u1", "jane@example.com", "4711")
	if !w.pull(jane) || w.pull(jane) {
		t.Error("the first read changes something, the second nothing")
	}
	if unknown, taken := w.pullGroup("00g1", "Staff", "00u1", "00u9"); unknown != 1 || !taken {
		t.Errorf("%d unknown, taken %v; want 1 and true", unknown, taken)
	}
	p := w.found("jane@example.com")
	if len(p.Cards) != 1 || p.State != access.StateActive || len(p.Sites) != 1 || p.Sites[0].Groups[0] != "staff" {
		t.Fatalf("%+v; want a card and the group staff", p)
	}
	seq := w.seq("north")
	w.pullGroup("00g1", "Staff", "00u1", "00u9")
	if w.seq("north") != seq {
		t.Error("a group that is as it was changes a site")
	}
	seq = w.seq("north")
	w.pull(out(jane, "SUSPENDED"))
	if p = w.found("jane@example.com"); p.State != access.StateInactive || !p.PulledOut || p.Pulled != "SUSPENDED" {
		t.Errorf("suspended: %+v", p)
	}
	if denied := w.denied("north", seq); len(denied) == 0 {
		t.Error("a suspension is not in the deny lane")
	}
	w.pull(jane)
	if p = w.found("jane@example.com"); p.State != access.StateActive || len(p.Cards) != 1 || len(p.Directory) != 1 {
		t.Errorf("back again: %+v; want what was there", p)
	}
	w.pullGroup("00g1", "Staff, renamed")
	if p = w.found("jane@example.com"); len(p.Directory) != 0 {
		t.Errorf("groups %q, want none", p.Directory)
	}
	w.ok(w.svc.PullGroupGone(w.ctx, "acme", "00g1"))
	w.ok(w.svc.PullUserGone(w.ctx, "acme", "00u1", "DELETED"))
	if all, err := w.svc.People(w.ctx, "acme", cloud.PeopleQuery{}); err != nil || len(all) != 0 {
		t.Errorf("%d people, %v; want none", len(all), err)
	}
}

// Of somebody whom a directory that calls us owns, a read takes the status alone.
func TestPushOwnsThePerson(t *testing.T) {
	w := newWorld(t)
	w.caller = w.pushing()
	jane := w.user("Jane@example.com", "4711")
	read := pulled("00u1", "jane@example.com", "9999")
	read.Attrs["title"] = "Somebody else"
	for range 2 {
		w.pull(read)
		p := w.person(jane.ID)
		if p.State != access.StateActive || p.Attributes["title"] != "" || !strings.HasSuffix(p.Cards[0].Masked, "11") || p.Pulled != "ACTIVE" {
			t.Errorf("after a read: %+v", p)
		}
	}
	w.pull(out(read, "SUSPENDED"))
	w.mustPatch(jane.ID, map[string]any{"active": true, "title": "Head"}) // the push knows nothing of it
	p := w.person(jane.ID)
	if p.State != access.StateInactive || p.Attributes["title"] != "Head" || p.Attributes["active"] != "true" {
		t.Errorf("suspended: %+v", p)
	}
	w.pull(read)
	if p = w.person(jane.ID); p.State != access.StateActive {
		t.Errorf("given back: %+v", p)
	}
	w.mustPatch(jane.ID, map[string]any{"active": false})
	w.pull(read)
	if p = w.person(jane.ID); p.State != access.StateInactive {
		t.Errorf("what the push took, a read gave back: %+v", p)
	}
	w.mustPatch(jane.ID, map[string]any{"active": true})
	w.ok(w.svc.PullUserGone(w.ctx, "acme", "00u1", "DELETED"))
	if p = w.person(jane.ID); p.State != access.StateInactive || p.Pulled != "DELETED" {
		t.Errorf("deleted in the directory that is read: %+v", p)
	}
	if n, err := w.svc.ReleasePulled(w.ctx, admin, "acme", true); err != nil || n != 1 {
		t.Errorf("ReleasePulled = %d, %v; want 1", n, err)
	}
	if p = w.person(jane.ID); p.State != access.StateActive || p.Pulled != "" {
		t.Errorf("released: %+v", p)
	}
}

// The first call that changes somebody whom a read made takes them over.
func TestPushTakesOver(t *testing.T) {
	w := newWorld(t)
	w.caller = w.pushing()
	w.pull(out(pulled("00u1", "jane@example.com", "4711"), "SUSPENDED"))
	w.pullGroup("00g1", "Staff", "00u1")
	p := w.found("jane@example.com")
	if p.Attributes["active"] != "false" {
		t.Errorf("active %q, want false while the pull owns a suspended person", p.Attributes["active"])
	}
	w.mustPatch(p.ID, map[string]any{"title": "Head"})
	if p = w.person(p.ID); p.Attributes["active"] != "true" || p.State != access.StateInactive {
		t.Errorf("taken over: %+v; want the suspension as the pull's alone", p)
	}
	read := pulled("00u1", "renamed@example.com", "9999")
	w.pull(read)
	if p = w.person(p.ID); p.UserName != "jane@example.com" || p.State != access.StateActive || p.Attributes["title"] != "Head" {
		t.Errorf("after another read: %+v", p)
	}
	groups, _, err := w.svc.Groups(w.ctx, w.caller, cloud.Query{Count: -1})
	w.ok(err)
	_, err = w.svc.UpdateGroup(w.ctx, w.caller, groups[0].ID, "", func(e *cloud.GroupEdit) error { return nil })
	w.ok(err)
	if _, taken := w.pullGroup("00g1", "Staff"); taken {
		t.Error("a group that a call has changed is still the pull's")
	}
	if p = w.person(p.ID); len(p.Directory) != 1 {
		t.Errorf("groups %q, want Staff still", p.Directory)
	}
}

// Okta creates somebody anew by a call whom a read has made, and who is suspended.
func TestCallRevivesWhoIsSuspended(t *testing.T) {
	w := newWorld(t)
	w.caller = w.pushing()
	read := pulled("00u1", "jane@example.com", "4711")
	w.pull(out(read, "SUSPENDED"))
	was := w.found("jane@example.com")
	attrs := doc("jane@example.com", "4711")
	attrs["externalId"], attrs["active"] = "00u1", true
	u, err := w.svc.CreateUser(w.ctx, w.caller, attrs)
	w.ok(err)
	if p := w.person(u.ID); u.ID != was.ID || p.State != access.StateInactive || !p.PulledOut {
		t.Errorf("%+v; want the same person, still locked out", p)
	}
	w.pull(read)
	if p := w.person(u.ID); p.State != access.StateActive {
		t.Errorf("unsuspended: %+v", p)
	}
}

func TestPulledNamesDoNotMoveBetweenPeople(t *testing.T) {
	w := newWorld(t)
	w.pull(pulled("00u1", "jane@example.com", "4711"))
	_, err := w.svc.PullUser(w.ctx, "acme", pulled("00u2", "jane@example.com", "9999"))
	if _, ok := errors.AsType[*cloud.Conflict](err); !ok {
		t.Errorf("a name that is taken: %v, want a conflict", err)
	}
	// A conflict does not keep anybody in.
	w.pull(pulled("00u3", "john@example.com", ""))
	_, err = w.svc.PullUser(w.ctx, "acme", out(pulled("00u3", "jane@example.com", ""), "SUSPENDED"))
	p := w.found("john@example.com")
	if p.State != access.StateInactive {
		t.Errorf("suspended with a conflict: %v, %+v; want him locked out", err, p)
	}
	w.ok(w.svc.PullUserGone(w.ctx, "acme", "00u1", "DELETED"))
	w.pull(pulled("00u2", "jane@example.com", "9999"))
	if p := w.found("jane@example.com"); len(p.Cards) != 1 || !strings.HasSuffix(p.Cards[0].Masked, "99") {
		t.Errorf("%+v; want a new person", p)
	}
}

func TestPulledCardThatCannotBe(t *testing.T) {
	w := newWorld(t)
	w.pull(pulled("00u1", "jane@example.com", "no number"))
	if p := w.found("jane@example.com"); p.CardState != cloud.CardSetAside || p.CardText == "" {
		t.Errorf("%+v; want the number set aside with a reason", p)
	}
	if changed := w.pull(cloud.PulledUser{ID: "00u5", Status: "DEPROVISIONED", Gone: true, Attrs: doc("gone@example.com", "1")}); changed {
		t.Error("somebody who had left before the first read is made")
	}
}

// Once the directory is read no more, whoever it had suspended stays out until
// a directory that calls lets them in.
func TestReleaseOfThePullsOwn(t *testing.T) {
	w := newWorld(t)
	w.caller = w.pushing()
	w.pull(out(pulled("00u1", "jane@example.com", "4711"), "SUSPENDED"))
	for _, giveBack := range []bool{false, true} {
		if n, err := w.svc.ReleasePulled(w.ctx, admin, "acme", giveBack); err != nil || n != 0 {
			t.Errorf("ReleasePulled = %d, %v; want nobody let in", n, err)
		}
	}
	p := w.found("jane@example.com")
	if p.State != access.StateInactive {
		t.Errorf("released: %+v; want her out", p)
	}
	w.mustPatch(p.ID, map[string]any{"title": "Head"})
	if p = w.person(p.ID); p.State != access.StateInactive {
		t.Errorf("changed by a call: %+v; want her out", p)
	}
	w.mustPatch(p.ID, map[string]any{"active": true})
	if p = w.person(p.ID); p.State != access.StateActive {
		t.Errorf("active by a call: %+v", p)
	}
}

// A forecast is what then happens, and changes nothing.
func TestForecast(t *testing.T) {
	w := newWorld(t)
	w.rule("north", cloud.Rule{Name: "staff", Match: cloud.MatchAll, Enabled: true, Conditions: []cloud.Condition{{Group: "Staff"}}, Groups: []string{"staff"}})
	p := cloud.Pull{}
	var members []string
	for n := range 40 {
		id := fmt.Sprintf("00u%d", n)
		p.Users = append(p.Users, pulled(id, fmt.Sprintf("p%d@example.com", n), fmt.Sprint(1000+n)))
		members = append(members, id)
	}
	p.Groups = []cloud.PulledGroup{{ID: "00g1", Name: "Staff", Members: members[:30]}}
	f, err := w.svc.ForecastPull(w.ctx, "acme", p)
	w.ok(err)
	if f.New != 40 || f.Gain.Count != 30 || f.Lose.Count != 0 || f.People != 0 || len(f.Refused.Named) != 0 {
		t.Errorf("first: %+v", f)
	}
	if all, err := w.svc.People(w.ctx, "acme", cloud.PeopleQuery{}); err != nil || len(all) != 0 || w.seq("north") > 5 {
		t.Fatalf("a forecast made %d people, %v", len(all), err)
	}
	for _, u := range p.Users {
		w.pull(u)
	}
	w.pullGroup("00g1", "Staff", members[:30]...)
	p.Users[3].Status, p.Users[3].Valid = "SUSPENDED", false
	p.GoneUsers = []string{"00u5"}
	p.Users = slices.Delete(p.Users, 5, 6)
	p.Groups[0].Members = slices.Delete(slices.Clone(members[:11]), 5, 6)
	f, err = w.svc.ForecastPull(w.ctx, "acme", p)
	w.ok(err)
	if f.New != 0 || f.Lose.Count != 21 || f.Deleted != 1 || f.People != 30 {
		t.Errorf("second: %+v; want 19 who leave the group, one suspended, one deleted", f)
	}
}
