package cloud_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"latchkey/cloud"
)

const missing = "calls of directories may be missing: the cloud was ended before it wrote them"

// trail is the newest n entries of what directories did, the newest first.
func (w *world) trail(n int) (lines []string) {
	w.Helper()
	entries, err := w.svc.Audit(w.ctx, "acme", "", 1000)
	w.ok(err)
	for _, e := range entries {
		if calls, ok := e.Changes["calls"]; ok {
			lines = append(lines, fmt.Sprintf("%s x%v", e.What, calls.After))
		} else if e.What == missing {
			lines = append(lines, "missing since "+fmt.Sprint(e.Changes["since"].After)+" until "+fmt.Sprint(e.Changes["until"].After))
		}
	}
	return lines[:min(n, len(lines))]
}

func (w *world) wantTrail(when string, want ...string) {
	w.Helper()
	if got := w.trail(len(want) + 5); !slices.Equal(got, want) {
		w.Errorf("%s: got %q, want %q", when, got, want)
	}
}

// opened is a call that showed its token.
func (w *world) opened(secret string) {
	w.Helper()
	_, err := w.svc.Authenticate(w.ctx, secret)
	w.ok(err)
}

// killed is a cloud that takes the place of one that was killed.
func (w *world) killed() {
	w.Helper()
	w.restart()
	w.ok(w.svc.TakeUp(w.ctx))
}

func (w *world) secret() string {
	w.Helper()
	_, secret, err := w.svc.CreateToken(w.ctx, admin, "acme", "directory")
	w.ok(err)
	return secret
}

// TestS5AKilledCloudSaysWhatMayBeMissing: what was drafted is in the trail, and
// that there may have been more.
func TestS5AKilledCloudSaysWhatMayBeMissing(t *testing.T) {
	w := newWorld(t)
	secret := w.secret()
	w.killed()
	w.wantTrail("after nothing")

	w.opened(secret) // and killed before it was answered
	w.killed()
	if got := w.trail(2); len(got) != 1 {
		t.Fatalf("after a call that began: %q", got)
	}

	w.clock = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	w.opened(secret)
	w.called("read users", true, 200, "")
	w.called("read users", true, 200, "")
	w.called("read users", true, 404, "not found")
	w.ok(w.svc.Draft(w.ctx))
	w.ok(w.svc.Draft(w.ctx)) // nothing new
	w.called("read users", true, 200, "")
	w.clock = w.clock.Add(time.Minute)
	w.killed()
	first := w.trail(10)[3:]
	want := append([]string{"missing since 2026-03-02T09:00:00Z until 2026-03-02T09:01:00Z", "read users x1", "read users x2"}, first...)
	w.wantTrail("killed", want...)
	if st := w.syncStatus(); st.Requests["reads 2xx"] != 2 || st.Requests["reads 4xx"] != 1 || st.LastToken != w.caller.Token {
		t.Errorf("status %+v", st)
	}
	w.killed()
	w.wantTrail("once is enough", want...)

	w.opened(secret)
	w.called("read groups", true, 200, "")
	w.ok(w.svc.Flush(w.ctx))
	w.clock = w.clock.Add(time.Second)
	at := w.clock.Format(time.RFC3339)
	w.killed()
	want = append([]string{"missing since " + w.clock.Add(-time.Second).Format(time.RFC3339) + " until " + at, "read groups x1"}, want...)
	w.wantTrail("killed soon after the trail was written", want...)
}

// TestS5NothingIsMissing after an end in order, and after a pause.
func TestS5NothingIsMissing(t *testing.T) {
	w := newWorld(t)
	secret := w.secret()
	w.opened(secret)
	w.called("read users", true, 200, "")
	over, cancel := context.WithCancel(w.ctx)
	cancel()
	w.ok(w.svc.Run(over))
	w.killed()
	want := []string{"read users x1"}
	w.wantTrail("ended in order", want...)

	w.opened(secret)
	w.called("read groups", true, 200, "")
	w.ok(w.svc.Flush(w.ctx))
	w.clock = w.clock.Add(time.Minute)
	w.ok(w.svc.Flush(w.ctx))
	w.killed()
	want = append([]string{"read groups x1"}, want...)
	w.wantTrail("killed in a pause", want...)
}

// TestS5DraftsAreTriedAgain where the store did not take them: a call, which is
// let in all the same, its draft, and the trail.
func TestS5DraftsAreTriedAgain(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fails func(w *world) error
	}{
		{"the draft", func(w *world) error { return w.svc.Draft(w.ctx) }},
		{"the trail", func(w *world) error { return w.svc.Flush(w.ctx) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			st := &brokenStore{Store: w.db}
			var err error
			w.svc, err = cloud.NewService(st, cloud.Options{Now: func() time.Time { return w.clock }})
			w.ok(err)
			secret := w.secret()
			st.broken = true
			w.opened(secret)
			w.called("read users", true, 200, "")
			if err := tt.fails(w); err == nil {
				t.Error("the store took it")
			}
			st.broken = false
			w.ok(w.svc.Draft(w.ctx))
			w.killed()
			if got := w.trail(3); len(got) != 2 || got[1] != "read users x1" {
				t.Errorf("got %q", got)
			}
		})
	}
}

// A sharedStore is one that other processes may have open as well.
type sharedStore struct{ cloud.Store }

func (sharedStore) Claim(context.Context, string, time.Duration) (map[string]uint64, error) {
	return nil, nil
}
func (sharedStore) Release(context.Context, string) error { return nil }
func (sharedStore) Announce(context.Context) error        { return nil }
func (sharedStore) Listen(context.Context, func()) error  { return nil }

// TestS5OthersDrafts are left alone as long as their process may live.
func TestS5OthersDrafts(t *testing.T) {
	w := newWorld(t)
	secret := w.secret()
	process := func() *cloud.Service {
		svc, err := cloud.NewService(sharedStore{w.db}, cloud.Options{Now: func() time.Time { w.clock = w.clock.Add(time.Millisecond); return w.clock }})
		w.ok(err)
		return svc
	}
	one, other := process(), process()
	w.svc = one
	w.opened(secret)
	w.called("read users", true, 200, "")
	w.ok(one.Draft(w.ctx))
	w.ok(other.TakeUp(w.ctx))
	w.ok(one.TakeUp(w.ctx))
	w.wantTrail("while it lives")
	w.clock = w.clock.Add(3 * time.Minute)
	w.ok(one.TakeUp(w.ctx))
	w.wantTrail("to itself")
	w.ok(other.TakeUp(w.ctx))
	if got := w.trail(3); len(got) != 2 || got[1] != "read users x1" {
		t.Errorf("once it is gone: got %q", got)
	}
}
