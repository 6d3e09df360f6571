package cloud_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/cloud"
)

// TestSearchesTakeTurns: a search that looks at everybody waits for others of
// its organisation; one that an index answers does not.
func TestSearchesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.user("jane@example.com", "")
		w.group("Staff")
		var begun atomic.Int32
		release := make(chan struct{})
		match := func(cloud.Resource) bool {
			begun.Add(1)
			<-release
			return true
		}
		for range 5 {
			go w.svc.Users(w.ctx, w.caller, cloud.Query{Match: match, Count: 10})
			go w.svc.Groups(w.ctx, w.caller, cloud.Query{Match: match, Count: 10})
		}
		synctest.Wait()
		if got := begun.Load(); got != 1 {
			t.Errorf("%d searches at a time, want 1", got)
		}
		term := []cloud.Term{{Attr: "userName", Value: "jane@example.com"}}
		_, n, err := w.svc.Users(w.ctx, w.caller, cloud.Query{Terms: term, Match: func(cloud.Resource) bool { return true }, Count: 10})
		if err != nil || n != 1 {
			t.Errorf("beside them %d are found: %v", n, err)
		}
		close(release)
		synctest.Wait()
		if got := begun.Load(); got < 10 {
			t.Errorf("%d searches in all, want 10", got)
		}
	})
}

// TestPreviewsTakeTurns: whoever asks for many previews at once waits for each
// of them, and holds up no other organisation's and nobody's short reads.
func TestPreviewsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var stuck atomic.Bool
		var begun atomic.Int32
		release := make(chan struct{})
		svc, err := cloud.NewService(w.db, cloud.Options{Now: func() time.Time {
			if stuck.Load() { // asked once by each preview, inside its transaction
				begun.Add(1)
				<-release
			}
			return w.clock
		}})
		w.ok(err)
		_, err = svc.CreateOrg(w.ctx, admin, cloud.Org{ID: "other"})
		w.ok(err)
		preview := func(org string) {
			svc.Preview(w.ctx, org, cloud.Proposal{Op: cloud.OpOrderRules, Site: "north"}, 0)
		}
		stuck.Store(true)
		for range 20 {
			go preview("acme")
		}
		synctest.Wait()
		if got := begun.Load(); got != 1 {
			t.Errorf("%d previews of one organisation at a time, want 1", got)
		}
		go preview("other")
		synctest.Wait()
		if got := begun.Load(); got != 2 {
			t.Errorf("%d previews of two organisations at a time, want 2", got)
		}
		_, err = svc.Org(w.ctx, "acme")
		w.ok(err)
		close(release)
		synctest.Wait()
		if got := begun.Load(); got < 21 {
			t.Errorf("%d previews in all, want 21", got)
		}
	})
}
