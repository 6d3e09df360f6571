// Package oktatest is a simulated Okta organisation: an http.Handler that
// answers what a reader by token asks, with users, groups, memberships and a
// System Log, paged by cursors and rate limited. It lies on demand: answers
// that break off, too many calls, a search that lags, a token that ends.
package oktatest

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Token is the API token that an Org takes.
const Token = "00simulated-okta-token-of-nobody-at-all"

// Options make an Org other than the usual one.
type Options struct {
	Now      func() time.Time // nil is time.Now
	PageSize int              // most objects of a page, whatever is asked for; 0 is as asked
	Limit    int              // calls a minute in each bucket; 0 is 600
}

// An Org is a simulated organisation. Its methods may be called from any
// goroutine, and each change is in the System Log at once.
type Org struct {
	now      func() time.Time
	pageSize int

	mu       sync.Mutex
	limit    int
	serial   int
	users    map[string]*user
	groups   map[string]*group
	log      []entry
	buckets  map[string]*bucket
	requests []Request
	faults
}

type faults struct {
	drops   int  // answers that break off
	busy    int  // answers 429 of too many calls at once
	failing int  // answers 503
	revoked bool // the token
	noLogs  bool
	away    string // the host that links lead to, where it is not the one asked
	lag     time.Duration
}

type user struct {
	id, status       string
	created, updated time.Time
	profile          map[string]any
}

type group struct {
	id, name, description        string
	created, updated, membership time.Time
	members                      map[string]bool
}

type entry struct {
	n         int
	published time.Time
	kind      string
	targets   []target
}

type target struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

type bucket struct {
	reset time.Time
	used  int
}

// A Request is a call that an Org has answered.
type Request struct {
	Path   string // with the query
	Status int
	Broken bool // the answer broke off
}

// New makes an organisation without users.
func New(o Options) *Org {
	org := &Org{now: o.Now, pageSize: o.PageSize, limit: o.Limit, users: map[string]*user{}, groups: map[string]*group{}, buckets: map[string]*bucket{}}
	if org.now == nil {
		org.now = time.Now
	}
	if org.limit == 0 {
		org.limit = 600
	}
	return org
}

// moment is now as Okta writes it, in milliseconds.
func (o *Org) moment() time.Time { return o.now().UTC().Truncate(time.Millisecond) }

func (o *Org) newID(prefix string) string {
	o.serial++
	return fmt.Sprintf("%s%017d", prefix, o.serial)
}

func (o *Org) event(kind string, targets ...target) {
	o.log = append(o.log, entry{len(o.log) + 1, o.moment(), kind, targets})
}

// AddUser makes an ACTIVE user and returns the id. The profile needs a login.
func (o *Org) AddUser(profile map[string]any) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	u := &user{id: o.newID("00u"), status: "ACTIVE", created: o.moment(), updated: o.moment(), profile: maps.Clone(profile)}
	o.users[u.id] = u
	o.event("user.lifecycle.create", target{u.id, "User"})
	return u.id
}

// SetStatus gives a user another status. One who is DEPROVISIONED leaves all
// groups, as at Okta.
func (o *Org) SetStatus(id, status string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	u := o.users[id]
	was := u.status
	u.status, u.updated = status, o.moment()
	switch {
	case status == "SUSPENDED":
		o.event("user.lifecycle.suspend", target{id, "User"})
	case was == "SUSPENDED":
		o.event("user.lifecycle.unsuspend", target{id, "User"})
	case status == "DEPROVISIONED":
		for _, g := range o.groups {
			if g.members[id] {
				delete(g.members, id)
				g.membership = o.moment()
			}
		}
		o.event("user.lifecycle.deactivate", target{id, "User"})
	default:
		o.event("user.lifecycle.activate", target{id, "User"})
	}
}

// SetProfile changes one attribute of a user; nil takes it away.
func (o *Org) SetProfile(id, attr string, value any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	u := o.users[id]
	u.profile[attr], u.updated = value, o.moment()
	o.event("user.account.update_profile", target{id, "User"})
}

// DeleteUser removes a user for good: no filter shows that.
func (o *Org) DeleteUser(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.users, id)
	for _, g := range o.groups {
		delete(g.members, id)
	}
	o.event("user.lifecycle.delete.initiated", target{id, "User"})
}

// AddGroup makes a group with members and returns its id.
func (o *Org) AddGroup(name string, members ...string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	g := &group{id: o.newID("00g"), name: name, created: o.moment(), updated: o.moment(), membership: o.moment(), members: map[string]bool{}}
	for _, id := range members {
		g.members[id] = true
	}
	o.groups[g.id] = g
	o.event("group.lifecycle.create", target{g.id, "UserGroup"})
	return g.id
}

// RenameGroup gives a group another name.
func (o *Org) RenameGroup(id, name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.groups[id].name, o.groups[id].updated = name, o.moment()
	o.event("group.profile.update", target{id, "UserGroup"})
}

// DeleteGroup removes a group.
func (o *Org) DeleteGroup(id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.groups, id)
	o.event("group.lifecycle.delete", target{id, "UserGroup"})
}

// AddMember puts a user into a group, and RemoveMember takes one out.
func (o *Org) AddMember(group, user string) { o.member(group, user, true) }

// RemoveMember takes a user out of a group.
func (o *Org) RemoveMember(group, user string) { o.member(group, user, false) }

func (o *Org) member(group, user string, in bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	g := o.groups[group]
	kind := "group.user_membership.remove"
	if delete(g.members, user); in {
		g.members[user] = true
		kind = "group.user_membership.add"
	}
	g.membership = o.moment()
	o.event(kind, target{user, "User"}, target{group, "UserGroup"})
}

// ForgetEvents empties the System Log: what happened so far is found only by
// reading everything, or by its time.
func (o *Org) ForgetEvents() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.log {
		o.log[i].kind = "user.session.start"
	}
}

// Requests are the calls so far.
func (o *Org) Requests() []Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.requests)
}

// Drop lets the next n answers break off in the middle.
func (o *Org) Drop(n int) { o.fault(func(f *faults) { f.drops = n }) }

// Busy answers the next n calls with 429, too many at once.
func (o *Org) Busy(n int) { o.fault(func(f *faults) { f.busy = n }) }

// Fail answers the next n calls with 503.
func (o *Org) Fail(n int) { o.fault(func(f *faults) { f.failing = n }) }

// Revoke ends the token, or brings it back.
func (o *Org) Revoke(revoked bool) { o.fault(func(f *faults) { f.revoked = revoked }) }

// ForbidLogs takes from the token the right to read the System Log.
func (o *Org) ForbidLogs(forbidden bool) { o.fault(func(f *faults) { f.noLogs = forbidden }) }

// LeadAway lets links to next pages lead to another host; empty ends that.
func (o *Org) LeadAway(host string) { o.fault(func(f *faults) { f.away = host }) }

// Lag is how long "search" shows users as they were: what is younger is not
// found by it. "filter" does not lag.
func (o *Org) Lag(d time.Duration) { o.fault(func(f *faults) { f.lag = d }) }

// SetLimit changes how many calls a minute each bucket takes.
func (o *Org) SetLimit(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.limit = n
}

func (o *Org) fault(f func(*faults)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(&o.faults)
}
