package cloud_test

import (
	"testing"
	"time"

	"latchkey/cloud"
)

// TestClockThatGoesBack: what was noted while the clock was a year ahead does
// not stand for a year.
func TestClockThatGoesBack(t *testing.T) {
	const year = 365 * 24 * time.Hour
	t.Run("losses", func(t *testing.T) {
		w := newWorld(t)
		w.rule("north", cloud.Rule{Conditions: []cloud.Condition{{Attr: "title", Op: cloud.OpEqual, Value: "Boss"}}})
		jane, john := w.user("jane@example.com", "100"), w.user("john@example.com", "101")
		w.mustPatch(jane.ID, map[string]any{"title": "Boss"})
		w.mustPatch(john.ID, map[string]any{"title": "Boss"})
		lost := func() int {
			st, err := w.svc.SiteStatus(w.ctx, "acme", "north")
			w.ok(err)
			n := 0
			for _, l := range st.Losses {
				n += l.Gone
			}
			return n
		}
		w.clock = w.clock.Add(year)
		w.mustPatch(jane.ID, map[string]any{"title": "Clerk"})
		w.clock = w.clock.Add(-year)
		if got := lost(); got != 2 {
			t.Errorf("at once %d openings count as lost, want 2", got)
		}
		w.mustPatch(john.ID, map[string]any{"title": "Clerk"})
		w.clock = w.clock.Add(2 * time.Hour)
		if got := lost(); got != 0 {
			t.Errorf("two hours later %d openings count as lost, want none", got)
		}
	})
	t.Run("sync", func(t *testing.T) {
		w := newWorld(t)
		w.clock = w.clock.Add(year)
		w.called("create user", false, 201, "")
		w.called("create user", false, 500, "fault")
		w.ok(w.svc.Flush(w.ctx))
		w.clock = w.clock.Add(-year)
		now := w.clock
		w.called("read users", true, 200, "")
		w.ok(w.svc.Flush(w.ctx))
		st := w.syncStatus()
		if st.LastSeen.Before(now) || st.LastSeen.Sub(now) > time.Minute || !st.LastWrite.IsZero() || st.Cycle.Reads != 1 || st.Cycle.Writes != 0 {
			t.Errorf("got %+v", st.SyncState)
		}
		if e := st.Errors["fault"]; e == nil || e.Count != 1 || e.Last.Sub(now) > time.Minute {
			t.Errorf("the error is %+v", e)
		}
		w.clock = w.clock.Add(4 * time.Hour)
		if got := advised(w.syncStatus()); got[0] != cloud.AdviceSilent {
			t.Errorf("after four hours without a call the advice is %q", got)
		}
	})
	t.Run("draft", func(t *testing.T) {
		w := newWorld(t)
		w.ok(w.db.Update(w.ctx, func(tx cloud.Tx) error {
			return tx.PutDraft(cloud.Draft{Process: "gone", Org: "acme", At: w.clock.Add(year)})
		}))
		svc, err := cloud.NewService(sharedStore{w.db}, cloud.Options{Now: func() time.Time { return w.clock }})
		w.ok(err)
		w.ok(svc.TakeUp(w.ctx))
		w.ok(w.db.View(w.ctx, func(tx cloud.Tx) error {
			drafts, err := tx.Drafts()
			if len(drafts) != 0 {
				t.Errorf("the draft of a process that is gone is left")
			}
			return err
		}))
	})
}
