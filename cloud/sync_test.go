package cloud_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/cloud"
)

// called lets the HTTP layer say that a call ended so.
func (w *world) called(what string, reads bool, status int, kind string) {
	c := w.caller
	c.Client = "Okta SCIM Client 1.0.0"
	w.svc.Observe(cloud.DirectoryCall{Caller: c, What: what, Reads: reads, Status: status, Kind: kind})
}

func (w *world) syncStatus() cloud.SyncStatus {
	w.Helper()
	st, err := w.svc.SyncStatus(w.ctx, "acme")
	w.ok(err)
	return st
}

// advised lists the kinds of advice.
func advised(st cloud.SyncStatus) (kinds []string) {
	for _, a := range st.Advice {
		kinds = append(kinds, a.Kind)
	}
	return kinds
}

func TestSyncStatusOfAnOrganisation(t *testing.T) {
	w := newWorld(t)
	_, err := w.svc.PutProperty(w.ctx, admin, "acme", cloud.Property{ID: "north", Name: "North building"})
	w.ok(err)
	st := w.syncStatus()
	if got := advised(st); !slices.Equal(got, []string{cloud.AdviceNever, cloud.AdviceNoRule, cloud.AdviceNoRule}) {
		t.Errorf("at first the advice is %q", got)
	}
	if text := st.Advice[1].Text; text != "North building is not syncing: no rule. Nothing is given or taken there but by disabling and deleting people." {
		t.Errorf("a property without rules is called %q", text)
	}
	w.rule("north", cloud.Rule{})
	w.rule("south", cloud.Rule{})
	w.called("read users", true, 200, "")
	w.called("read users", true, 404, "not found") // a look that finds nobody is no error
	w.called("create user", false, 201, "")
	check := func(when string) {
		t.Helper()
		st := w.syncStatus()
		if len(st.Advice) > 0 || st.LastClient != "Okta SCIM Client 1.0.0" || st.LastToken != w.caller.Token || st.LastSeen.IsZero() || st.LastWrite.IsZero() {
			t.Errorf("%s: %+v", when, st)
		}
		if want := map[string]int64{"reads 2xx": 1, "reads 4xx": 1, "writes 2xx": 1}; !maps.Equal(st.Requests, want) || len(st.Errors) > 0 {
			t.Errorf("%s: requests %v, errors %v; want %v", when, st.Requests, st.Errors, want)
		}
		if c := st.Cycle; c.Reads != 2 || c.Writes != 1 || c.Errors != 0 {
			t.Errorf("%s: cycle %+v", when, c)
		}
	}
	check("before it is written")
	w.ok(w.svc.Flush(w.ctx))
	check("after")
	w.restart()
	check("after a restart")

	// Another cycle, with every trouble there is.
	w.clock = w.clock.Add(time.Hour)
	for range 20 {
		w.called("create user", false, 400, "invalidValue: cardNumber")
	}
	w.called("update group", false, 500, "failed")
	w.called("update user", false, 404, "not found")
	w.ok(w.svc.Flush(w.ctx))
	st = w.syncStatus()
	if got := advised(st); !slices.Equal(got, []string{cloud.AdviceQuarantine, cloud.AdviceRestart, cloud.AdviceDrift, cloud.AdviceErrors}) {
		t.Errorf("after trouble the advice is %q", got)
	}
	if e := st.Errors["invalidValue: cardNumber"]; e == nil || e.Count != 20 || e.What != "create user" || st.Previous.Writes != 1 || st.Cycle.Writes != 22 {
		t.Errorf("error %+v, cycles %+v, %+v", e, st.Previous, st.Cycle)
	}
	w.clock = w.clock.Add(4 * time.Hour)
	if got := advised(w.syncStatus()); got[0] != cloud.AdviceSilent {
		t.Errorf("after silence the advice is %q", got)
	}
	_, err = w.svc.PatchOrg(w.ctx, admin, "acme", cloud.OrgPatch{SCIMEnabled: new(false)})
	w.ok(err)
	if got := advised(w.syncStatus()); got[0] != cloud.AdviceDisabled {
		t.Errorf("switched off the advice is %q", got)
	}
	if _, err := w.svc.SyncStatus(w.ctx, "nope"); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("of nobody: %v", err)
	}
	w.svc.Observe(cloud.DirectoryCall{Status: 401}) // nobody's
}

// TestS5EveryDirectoryCallIsInTheTrail: what changed something, what was
// refused, what changed nothing, and what only read.
func TestS5EveryDirectoryCallIsInTheTrail(t *testing.T) {
	w := newWorld(t)
	u := w.user("ada", "1")
	w.mustPatch(u.ID, map[string]any{"title": "Countess"})
	w.mustPatch(u.ID, map[string]any{"title": "Countess"})
	_, err := w.patch(u.ID, map[string]any{"cardNumber": "x"})
	w.refused(err)
	for range 3 {
		w.called("read users", true, 200, "")
	}
	w.called("read users", true, 400, "invalidFilter")
	w.called("update user", false, 404, "not found")
	w.called("create user", false, 201, "") // the domain wrote its own entry
	w.ok(w.svc.Flush(w.ctx))
	w.ok(w.svc.Flush(w.ctx)) // once is enough
	entries, err := w.svc.Audit(w.ctx, "acme", "", 8)
	w.ok(err)
	var got []string
	for _, e := range entries {
		if !strings.Contains(string(e.Who), w.caller.Token) {
			continue
		}
		line := e.What
		if c, ok := e.Changes["calls"]; ok {
			line += fmt.Sprintf(" x%v", c.After)
		}
		if c, ok := e.Changes["title"]; ok {
			line += fmt.Sprintf(" title %v", c.After)
		}
		if e.Error != "" {
			line += " refused"
		}
		got = append(got, line)
	}
	want := []string{"update user, nothing new x1", "update user x1 refused", "read users x1 refused", "read users x3", "update user refused", "update user title Countess", "create user"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A brokenStore fails when it is told to.
type brokenStore struct {
	cloud.Store
	broken bool
}

func (s *brokenStore) Update(ctx context.Context, f func(cloud.Tx) error) error {
	if s.broken {
		return errors.New("disk full")
	}
	return s.Store.Update(ctx, f)
}

// TestS5WhatIsNotStoredIsKeptAndCounted: while the store fails, calls are
// remembered; entries of the trail that are lost are counted in it.
func TestS5WhatIsNotStoredIsKeptAndCounted(t *testing.T) {
	w := newWorld(t)
	st := &brokenStore{Store: w.db}
	svc, err := cloud.NewService(st, cloud.Options{Now: func() time.Time { w.clock = w.clock.Add(time.Millisecond); return w.clock }})
	w.ok(err)
	w.svc = svc
	u := w.user("ada", "1")
	w.called("read users", true, 200, "")
	st.broken = true
	if err := w.svc.Flush(w.ctx); err == nil {
		t.Fatal("the store took it")
	}
	w.called("read users", true, 200, "")
	if _, err := w.patch(u.ID, map[string]any{"title": "x"}); err == nil {
		t.Error("a change was answered with success that is nowhere")
	}
	st.broken = false
	// The refusal is known, and its entry is lost: of draft, change and entry the
	// last one fails.
	failLast := &failAfter{Store: w.db}
	w.svc, err = cloud.NewService(failLast, cloud.Options{Now: func() time.Time { w.clock = w.clock.Add(time.Millisecond); return w.clock }})
	w.ok(err)
	failLast.left = 2
	_, err = w.patch(u.ID, map[string]any{"cardNumber": "x"})
	w.refused(err)
	if got := w.svc.Unwritten(); got != 1 {
		t.Errorf("%d entries are said to be lost, want 1", got)
	}
	failLast.left = 100
	w.called("read groups", true, 200, "")
	w.ok(w.svc.Flush(w.ctx))
	if got := w.svc.Unwritten(); got != 0 {
		t.Errorf("%d entries are said to be lost once that is in the trail", got)
	}
	w.svc = svc
	w.ok(w.svc.Flush(w.ctx))
	entries, err := w.svc.Audit(w.ctx, "acme", "", 10)
	w.ok(err)
	var got []string
	for _, e := range entries[:3] {
		for _, c := range []string{"calls", "entries"} {
			if n, ok := e.Changes[c]; ok {
				got = append(got, fmt.Sprintf("%s x%v", e.What, n.After))
			}
		}
	}
	if want := []string{"read users x2", "entries of this trail that could not be stored x1", "read groups x1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A failAfter lets some transactions pass.
type failAfter struct {
	cloud.Store
	left int
}

func (s *failAfter) Update(ctx context.Context, f func(cloud.Tx) error) error {
	if s.left--; s.left < 0 {
		return errors.New("disk full")
	}
	return s.Store.Update(ctx, f)
}

func TestD10ReceivedAndNotMapped(t *testing.T) {
	w := newWorld(t)
	d := doc("ada", "1")
	d["favouriteColour"] = "green"
	d["urn:acme:2.0:User"] = map[string]any{"floor": 3, "desks": []any{map[string]any{"id": "d1"}, map[string]any{"id": "d2"}}}
	d["metadata"] = map[string]any{"city": "Berlin"}
	d["emails"] = []any{map[string]any{"value": "a@x", "primary": true}}
	d["name"] = map[string]any{"givenName": "Ada"}
	d[cloud.EnterpriseURN].(map[string]any)["department"] = "Lab"
	d[cloud.EnterpriseURN].(map[string]any)["badgeColour"] = "red"
	u, err := w.svc.CreateUser(w.ctx, w.caller, d)
	w.ok(err)
	w.mustPatch(u.ID, map[string]any{"favouriteColour": "blue", "title": "x"})
	w.mustPatch(u.ID, map[string]any{"title": "y"})
	for _, when := range []string{"before it is written", "after"} {
		all, err := w.svc.Unmapped(w.ctx, "acme")
		w.ok(err)
		var got []string
		for _, u := range all {
			got = append(got, fmt.Sprintf("%s %s x%d", u.Attr, u.Type, u.Count))
			if u.Last.IsZero() {
				t.Errorf("%s was never seen", u.Attr)
			}
		}
		want := []string{"favouriteColour text x2", "urn:acme:2.0:User:desks.id text x2", "urn:acme:2.0:User:floor number x1", cloud.EnterpriseURN + ":badgeColour text x1"}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", when, got, want)
		}
		if st := w.syncStatus(); st.Unmapped != 4 {
			t.Errorf("%s: %d attributes in the status", when, st.Unmapped)
		}
		w.ok(w.svc.Flush(w.ctx))
	}
	for half := range 2 { // a directory gone mad fills nothing
		odd := map[string]any{}
		for i := range 600 {
			odd[fmt.Sprintf("odd%d", 600*half+i)] = "x"
		}
		w.mustPatch(u.ID, odd)
		w.ok(w.svc.Flush(w.ctx))
	}
	all, err := w.svc.Unmapped(w.ctx, "acme")
	w.ok(err)
	if len(all) != 1000 {
		t.Errorf("%d attributes are remembered, want 1000", len(all))
	}
}

func TestD1RotationOfATokenOverlaps(t *testing.T) {
	w := newWorld(t)
	old, oldSecret, err := w.svc.CreateToken(w.ctx, admin, "acme", "Entra ID")
	w.ok(err)
	next, secret, err := w.svc.RotateToken(w.ctx, admin, "acme", old.ID, time.Hour)
	w.ok(err)
	if next.Label != "Entra ID" || secret == oldSecret || !next.Expires.IsZero() {
		t.Errorf("the next token is %+v", next)
	}
	both := func(wantOld error) {
		t.Helper()
		if _, err := w.svc.Authenticate(w.ctx, secret); err != nil {
			t.Errorf("the new token: %v", err)
		}
		if _, err := w.svc.Authenticate(w.ctx, oldSecret); !errors.Is(err, wantOld) {
			t.Errorf("the old token: %v, want %v", err, wantOld)
		}
	}
	both(nil)
	// A token that still is used and ends is advised upon.
	w.caller.Token = old.ID
	w.called("read users", true, 200, "")
	if got := advised(w.syncStatus()); !slices.Contains(got, cloud.AdviceExpiring) {
		t.Errorf("advice %q", got)
	}
	tokens, err := w.svc.Tokens(w.ctx, "acme")
	w.ok(err)
	for _, k := range tokens {
		if used := k.ID == old.ID; used != !k.LastUsed.IsZero() || used && k.LastClient != "Okta SCIM Client 1.0.0" || used == k.Expires.IsZero() {
			t.Errorf("token %+v", k)
		}
	}
	// A longer overlap does not bring back what ends sooner.
	_, _, err = w.svc.RotateToken(w.ctx, admin, "acme", old.ID, 2*time.Hour)
	w.ok(err)
	w.clock = w.clock.Add(61 * time.Minute)
	both(cloud.ErrToken)
	if _, err := w.patch("nobody", nil); !errors.Is(err, cloud.ErrToken) {
		t.Errorf("a call that began in time and went on too long: %v, want %v", err, cloud.ErrToken)
	}
	_, _, err = w.svc.RotateToken(w.ctx, admin, "acme", old.ID, 0)
	w.refused(err)
	for _, bad := range []time.Duration{-1, cloud.MaxOverlap + 1} {
		_, _, err = w.svc.RotateToken(w.ctx, admin, "acme", next.ID, bad)
		w.refused(err)
	}
	if _, _, err := w.svc.RotateToken(w.ctx, admin, "acme", "none", 0); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("no token: %v", err)
	}
	// Without overlap the old one ends at once.
	oldSecret = secret
	_, secret, err = w.svc.RotateToken(w.ctx, admin, "acme", next.ID, 0)
	w.ok(err)
	both(cloud.ErrToken)
}
