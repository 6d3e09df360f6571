package cloud_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/delta"
)

// TestLargeChange: of a change that touches more than a batch of people the
// losses are in the log when the call returns, the gains follow, also after a
// restart.
func TestLargeChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.batch = 8
	w.restart()
	const people = 30
	keep := w.rule("north", cloud.Rule{Groups: []string{"staff"}, Conditions: []cloud.Condition{{Group: "Nobody"}}})
	for i := range people {
		w.user(fmt.Sprintf("user%04d", i), fmt.Sprint(10_000+i))
	}
	count := func(kind access.Kind) (n int) {
		for ref, rec := range w.fold("north") {
			if ref.Kind == kind && (kind != access.KindMembership || strings.Contains(rec, `"group":"staff"`)) {
				n++
			}
		}
		return n
	}
	if got := count(access.KindPerson); got != 0 {
		t.Fatalf("%d people at the site before any rule matches", got)
	}
	everyone := w.rule("north", cloud.Rule{Groups: []string{"staff"}})
	if got := count(access.KindPerson); got != 0 {
		t.Errorf("%d gains in the call itself, want them later", got)
	}
	st, err := w.svc.SiteStatus(w.ctx, "acme", "north")
	w.ok(err)
	if st.Pending != people {
		t.Errorf("%d people pending, want %d", st.Pending, people)
	}
	w.restart()
	ctx, cancel := context.WithCancel(w.ctx)
	done := make(chan error)
	go func() { done <- w.svc.Run(ctx) }()
	for st.Pending > 0 {
		<-w.svc.Changed()
		st, err = w.svc.SiteStatus(w.ctx, "acme", "north")
		w.ok(err)
	}
	cancel()
	w.ok(<-done)
	if got := count(access.KindMembership); got != people {
		t.Errorf("%d members after the background was done, want %d", got, people)
	}

	// The other way round: everyone loses staff at once and gains vip later.
	everyone.Groups = []string{"vip"}
	_, err = w.svc.PutRule(w.ctx, admin, "acme", "north", everyone)
	w.ok(err)
	if got := count(access.KindMembership); got != 0 {
		t.Errorf("%d still in staff when the call returned", got)
	}
	w.ok(w.svc.Settle(w.ctx))
	w.confirmed(w.svc.DeleteRule(w.ctx, admin, "acme", "north", everyone.ID))
	if got := count(access.KindPerson); got != 0 {
		t.Errorf("%d people left, and rule %q matches nobody", got, keep.ID)
	}
	for _, d := range w.entries("north") {
		whole := map[string]bool{}
		for _, c := range d.Changes {
			if c.Kind == access.KindPerson {
				whole[c.Key] = true
			}
		}
		for _, c := range d.Changes {
			if person, _, ok := strings.Cut(c.Key, "/"); ok && c.Kind == access.KindMembership && c.Op == delta.OpDelete && len(whole) > 0 && !whole[person] {
				t.Fatalf("entry %d tears the changes of one person apart", d.Seq)
			}
		}
	}
}

// A counting store knows the most members that one answer had within an Update.
type counting struct {
	cloud.Store
	most *int
}

func (s counting) Update(ctx context.Context, f func(cloud.Tx) error) error {
	return s.Store.Update(ctx, func(tx cloud.Tx) error { return f(countingTx{tx, s.most}) })
}

type countingTx struct {
	cloud.Tx
	most *int
}

func (tx countingTx) MemberIDs(group, after string, limit int) ([]string, error) {
	ids, err := tx.Tx.MemberIDs(group, after, limit)
	*tx.most = max(*tx.most, len(ids))
	return ids, err
}

// TestLargeGroupGoesInBatches: of a group that is deleted no more members are in
// memory at a time than a batch, and all are gone at once.
func TestLargeGroupGoesInBatches(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const n = 1001
	last := w.user("last", "1000").ID // after all the others, by id
	members := make([]string, n-1, n)
	for i := range members {
		members[i] = fmt.Sprintf("00-%06d", i)
	}
	group := w.group("Many", append(members, last)...)
	w.rule("north", cloud.Rule{Conditions: []cloud.Condition{{Group: "Many"}}})
	w.expect("north", last, "active, card 1000, in staff")
	var most int
	svc, err := cloud.NewService(counting{w.db, &most}, cloud.Options{})
	w.ok(err)
	w.ok(svc.DeleteGroup(w.ctx, w.caller, group.ID, ""))
	if most == 0 || most > 500 {
		t.Errorf("%d members at a time, want 1 to 500", most)
	}
	w.expect("north", last, "")
	w.ok(w.db.View(w.ctx, func(tx cloud.Tx) error {
		ids, err := tx.MemberIDs(group.ID, "", 0)
		if len(ids) > 0 {
			t.Errorf("%d members left", len(ids))
		}
		return err
	}))
	entries, err := w.svc.Audit(w.ctx, "acme", "", 1)
	w.ok(err)
	if len(entries) != 1 || fmt.Sprint(entries[0].Changes["members removed"].After) != fmt.Sprint(n) {
		t.Errorf("the audit trail has %+v, want %d members removed", entries, n)
	}
}
