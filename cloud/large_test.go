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
