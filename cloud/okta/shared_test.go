package okta_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/cloud"
	"latchkey/cloud/okta"
	"latchkey/cloud/okta/oktatest"
	"latchkey/cloud/store"
	"latchkey/cloud/store/pgtest"
)

// A turnstile divides leases as PostgreSQL does, but for those that move to
// somebody who came later.
type turnstile struct {
	cloud.Store

	mu     sync.Mutex
	living map[string]time.Time
	holder map[string]string
	fences map[string]uint64
}

func (s *turnstile) Claim(ctx context.Context, publisher string, ttl time.Duration) (map[string]uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var orgs []string
	err := s.View(ctx, func(tx cloud.Tx) (err error) {
		orgs, err = tx.SettingOrgs(cloud.PulledSetting)
		return err
	})
	maps.DeleteFunc(s.living, func(_ string, until time.Time) bool { return until.Before(time.Now()) })
	s.living[publisher] = time.Now().Add(ttl)
	mine := map[string]uint64{}
	for _, org := range orgs {
		id := cloud.PullLease(org)
		if _, lives := s.living[s.holder[id]]; !lives {
			s.holder[id] = publisher
			s.fences[id]++
		}
		if s.holder[id] == publisher {
			mine[id] = s.fences[id]
		}
	}
	return mine, err
}

func (s *turnstile) Release(_ context.Context, publisher string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.living, publisher)
	return nil
}

// newTurnstile is one over an empty database, until the test ends.
func newTurnstile(t *testing.T) *turnstile {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "cloud.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return &turnstile{Store: db, living: map[string]time.Time{}, holder: map[string]string{}, fences: map[string]uint64{}}
}

func (s *turnstile) Announce(context.Context) error { return nil }

func (s *turnstile) Listen(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return ctx.Err()
}

// process is one more process at w's store, until it is killed: then it claims
// and reads no more.
func (w *world) process(db cloud.Store) (p *world, kill func()) {
	w.Helper()
	p = &world{T: w.T, org: w.org, users: w.users, staff: w.staff}
	var err error
	p.cloud, err = cloud.NewService(db, cloud.Options{})
	w.ok(err)
	ctx, cancel := context.WithCancel(w.Context())
	var g sync.WaitGroup
	g.Go(func() {
		for ctx.Err() == nil {
			if _, _, err := p.cloud.Leases().Claim(ctx); err != nil && ctx.Err() == nil {
				w.Error(err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(2 * time.Second):
			}
		}
	})
	stop := p.start()
	return p, func() {
		stop()
		cancel()
		g.Wait()
	}
}

// TestOneProcessReads: of several processes one reads an organisation's Okta,
// each can be asked and told, and when the one is gone another goes on.
func TestOneProcessReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := newTurnstile(t)
		w := &world{T: t, org: oktatest.New(oktatest.Options{PageSize: 20})}
		for i := range 10 {
			w.users = append(w.users, w.org.AddUser(profile(i)))
		}
		w.staff = w.org.AddGroup("Staff", w.users...)
		a, killA := w.process(shared)
		a.furnish()
		time.Sleep(time.Second) // so that a is the first to claim what there is
		b, killB := w.process(shared)
		defer func() { killB() }()
		synctest.Wait() // until b has claimed what there is, which is nothing yet
		moment := func() {
			time.Sleep(4 * time.Second)
			synctest.Wait()
		}

		// Set at the one that will not read, confirmed there, and read by the other.
		_, err := b.okta.Set(t.Context(), "admin", "acme", okta.Request{Settings: okta.Settings{Domain: domain}, Token: oktatest.Token})
		w.ok(err)
		moment()
		if st := b.status(); st.State != "waiting for a person" || st.Held == nil || st.Held.Forecast.New != 10 {
			t.Fatalf("b says %+v", st)
		}
		w.ok(b.okta.Confirm(t.Context(), "admin", "acme", 0))
		moment()
		a.want("confirmed at b", 10)
		states := [2]string{a.status().State, b.status().State}
		if states != [2]string{"reading", "read by another process"} {
			t.Errorf("a and b say %q", states)
		}
		before := len(w.org.Requests())
		time.Sleep(10 * time.Minute)
		calls := len(w.org.Requests()) - before
		if calls < 20 || calls > 30 { // two for each poll, three for each read by time
			t.Errorf("%d calls in 10 minutes, want the 26 of one process", calls)
		}
		w.ok(b.okta.Sync(t.Context(), "acme"))
		before = len(w.org.Requests())
		moment()
		if n := len(w.org.Requests()) - before; n < 3 {
			t.Errorf("asked at b, a made %d calls", n)
		}

		// The one that reads dies: the other goes on within a poll and the lease's time.
		killA()
		w.org.SetStatus(w.users[3], okta.StatusSuspended)
		time.Sleep(okta.DefaultPoll + 10*time.Second)
		synctest.Wait()
		b.want("suspended after a is gone", 9)
		if st := b.status(); st.State != "reading" || st.Held != nil {
			t.Errorf("b says %+v", st)
		}
		// One that comes back has another turn to wait for, and what b took stays.
		c, killC := w.process(shared)
		defer func() { killC() }()
		moment()
		if st := c.status(); st.State != "read by another process" || st.Users != 10 {
			t.Errorf("c says %+v", st)
		}
		// Another setting at c is followed by b.
		w.org.SetStatus(w.users[4], okta.StatusLockedOut)
		time.Sleep(time.Minute)
		synctest.Wait()
		b.want("locked out of Okta", 9)
		_, err = c.okta.Set(t.Context(), "admin", "acme", okta.Request{Settings: okta.Settings{Domain: domain, Valid: []string{okta.StatusActive}}})
		w.ok(err)
		time.Sleep(time.Minute)
		synctest.Wait()
		b.want("who is locked out of Okta is refused at doors too", 8)
		_, err = c.okta.Off(t.Context(), "admin", "acme", false)
		w.ok(err)
		moment()
		before = len(w.org.Requests())
		time.Sleep(time.Hour)
		if n := len(w.org.Requests()) - before; n != 0 {
			t.Errorf("%d calls after it was switched off", n)
		}
	})
}

// TestEventHooksArePassedOn: what an event hook names at a process that does not
// read is read at once by the one that does.
func TestEventHooksArePassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := newTurnstile(t)
		w := &world{T: t, org: oktatest.New(oktatest.Options{})}
		for i := range 3 {
			w.users = append(w.users, w.org.AddUser(profile(i)))
		}
		w.staff = w.org.AddGroup("Staff", w.users...)
		a, killA := w.process(shared)
		defer killA()
		a.furnish()
		time.Sleep(time.Second)
		b, killB := w.process(shared)
		defer killB()
		synctest.Wait()
		look := func() {
			time.Sleep(3 * time.Second)
			synctest.Wait()
		}
		hook, err := a.okta.Set(t.Context(), "admin", "acme", okta.Request{Settings: okta.Settings{Domain: domain, Poll: 5 * time.Minute}, Token: oktatest.Token})
		w.ok(err)
		look()
		w.ok(a.okta.Confirm(t.Context(), "admin", "acme", 0))
		look()
		a.want("confirmed", 3)
		suspended := func(id string) {
			t.Helper()
			w.org.SetStatus(id, okta.StatusSuspended)
			body := fmt.Sprintf(`{"data":{"events":[{"eventType":"user.lifecycle.suspend","target":[{"id":%q,"type":"User"}]}]}}`, id)
			r := httptest.NewRequestWithContext(t.Context(), "POST", "/okta/events/acme", strings.NewReader(body))
			r.Header.Set("Authorization", hook)
			rec := httptest.NewRecorder()
			b.okta.ServeHTTP(rec, r)
			if rec.Code != 204 {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
		}
		suspended(w.users[0])
		suspended(w.users[1])
		look()
		a.want("told at b, long before the next poll", 1)
		before := len(w.org.Requests())
		look()
		w.ok(b.cloud.KeepSetting(t.Context(), "acme", "okta-called", fmt.Appendf(nil, `{"domain":"before.okta.com","users":[%q]}`, w.users[2])))
		look()
		if n := len(w.org.Requests()) - before; n != 0 {
			t.Errorf("%d calls by what was taken already, or by another Okta's users", n)
		}
		suspended(w.users[2])
		_, err = b.okta.Off(t.Context(), "admin", "acme", false)
		w.ok(err)
		if _, err := b.cloud.Setting(t.Context(), "acme", "okta-called"); !errors.Is(err, cloud.ErrNotFound) {
			t.Errorf("after it is off: %v", err)
		}
	})
}

// TestTheLeaseIsAsked: on PostgreSQL what is read is taken from the process alone
// whose turn it is, also when it believes that it still is.
func TestTheLeaseIsAsked(t *testing.T) {
	url := pgtest.Database(t)
	open := func() *cloud.Service {
		db, err := store.OpenPostgres(t.Context(), store.PostgresConfig{URL: url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		s, err := cloud.NewService(db, cloud.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a, b := open(), open()
	w := &world{T: t, cloud: a}
	w.furnish()
	w.ok(a.KeepSetting(t.Context(), "acme", cloud.PulledSetting, []byte("{}")))
	claim := func(s *cloud.Service) (fence uint64, ours bool) {
		t.Helper()
		sites, _, err := s.Leases().Claim(t.Context())
		w.ok(err)
		for site := range sites {
			if strings.Contains(site, "/") {
				t.Errorf("the lease %q is given as a site", site)
			}
		}
		return s.Leases().Reads("acme")
	}
	pull := func(s *cloud.Service, name string) error {
		_, err := s.PullUser(t.Context(), "acme", cloud.PulledUser{ID: "00u1", Status: "ACTIVE", Valid: true, Attrs: map[string]any{"userName": name}})
		return err
	}
	if err := pull(a, "early@example.com"); !errors.Is(err, cloud.ErrNotPublisher) {
		t.Errorf("before any claim: %v", err)
	}
	first, ours := claim(a)
	if _, both := claim(b); !ours || both {
		t.Fatalf("a reads: %v, b reads: %v", ours, both)
	}
	w.ok(pull(a, "a@example.com"))
	if err := pull(b, "b@example.com"); !errors.Is(err, cloud.ErrNotPublisher) {
		t.Errorf("b, whose turn it is not: %v", err)
	}
	w.ok(a.Leases().Release(t.Context()))
	second, ours := claim(b)
	if !ours || second <= first {
		t.Errorf("b reads: %v, fence %d after %d", ours, second, first)
	}
	w.ok(pull(b, "c@example.com"))
	if err := pull(a, "d@example.com"); !errors.Is(err, cloud.ErrNotPublisher) {
		t.Errorf("a, whose turn is over: %v", err)
	}
}
