package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"latchkey/cloud"
)

// A turnstile lets a test claim sites for several publishers.
type turnstile struct {
	*testing.T
	db *Postgres
}

func (t turnstile) claim(publisher string, ttl time.Duration) map[string]uint64 {
	t.Helper()
	fences, err := t.db.Claim(t.Context(), publisher, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return fences
}

func newTurnstile(t *testing.T, sites int) turnstile {
	t.Helper()
	db := openTestPostgres(t, migrated.Copy(t))
	c := contract{t, &db.DB}
	c.update(putOrg("acme"), func(tx cloud.Tx) error {
		for i := range sites {
			if err := putSite("acme", fmt.Sprint("site-", i))(tx); err != nil {
				return err
			}
		}
		return nil
	})
	return turnstile{t, db}
}

// TestSitesAreDivided: publishers share the sites, each has one, and a site that
// moves to another one is left by the first before the second has it.
func TestSitesAreDivided(t *testing.T) {
	const sites = 40
	s := newTurnstile(t, sites)
	if a := s.claim("a", time.Minute); len(a) != sites {
		t.Fatalf("a alone has %d of %d", len(a), sites)
	}
	if b := s.claim("b", time.Minute); len(b) != 0 {
		t.Fatalf("b has %v, which a serves", b)
	}
	a := s.claim("a", time.Minute)
	if b := s.claim("b", time.Minute); len(a) == sites || len(b) != 0 {
		t.Fatalf("a keeps %d, b has %d before a said that it left", len(a), len(b))
	}
	if again := s.claim("a", time.Minute); !maps.Equal(a, again) {
		t.Errorf("a has %v, then %v", a, again)
	}
	b := s.claim("b", time.Minute)
	for site := range b {
		if _, ok := a[site]; ok {
			t.Errorf("%s has two publishers", site)
		}
	}
	if len(a)+len(b) != sites || len(a) < sites/5 || len(b) < sites/5 {
		t.Errorf("a has %d, b has %d of %d", len(a), len(b), sites)
	}
}

// TestDeadPublishersSitesAreTaken: those of one that says nothing any more once
// its time is over, those of one that releases them at once.
func TestDeadPublishersSitesAreTaken(t *testing.T) {
	s := newTurnstile(t, 3)
	dead := s.claim("dead", time.Millisecond)
	for len(s.claim("b", time.Minute)) < 3 { // within a millisecond of the database's clock
	}
	for site, fence := range s.claim("b", time.Minute) {
		if fence <= dead[site] {
			t.Errorf("%s: fence %d after %d", site, fence, dead[site])
		}
	}
	if err := s.db.Release(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	if c := s.claim("c", time.Minute); len(c) != 3 {
		t.Errorf("c has %v after b's release", c)
	}
}

// TestFenceHoldsUntilTheEnd: a write under a lease that was lost is refused, and
// nobody gets a lease while a write under it goes on.
func TestFenceHoldsUntilTheEnd(t *testing.T) {
	s := newTurnstile(t, 1)
	site := "site-0"
	a := s.claim("a", time.Minute)
	check := func(publisher string, fence uint64) error {
		return s.db.Update(t.Context(), func(tx cloud.Tx) error { return tx.CheckLease(site, publisher, fence) })
	}
	if err := check("a", a[site]); err != nil {
		t.Error(err)
	}
	for _, err := range []error{check("b", a[site]), check("a", a[site]+1), check("a", a[site]-1)} {
		if !errors.Is(err, cloud.ErrNotPublisher) {
			t.Errorf("got %v, want ErrNotPublisher", err)
		}
	}
	err := s.db.Update(t.Context(), func(tx cloud.Tx) error {
		if err := tx.CheckLease(site, "a", a[site]); err != nil {
			return err
		}
		if err := s.db.Release(t.Context(), "a"); err != nil { // as if a were taken for dead
			return err
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if b, err := s.db.Claim(ctx, "b", time.Minute); err == nil {
			t.Errorf("b has %v while a writes", b)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if b := s.claim("b", time.Minute); len(b) != 1 {
		t.Errorf("b has %v after a's write", b)
	}
	if err := check("a", a[site]); !errors.Is(err, cloud.ErrNotPublisher) {
		t.Errorf("got %v, want ErrNotPublisher", err)
	}
}

// TestReadingADirectoryIsALease: as a site is, by a name that no site has.
func TestReadingADirectoryIsALease(t *testing.T) {
	s := newTurnstile(t, 1)
	c := contract{t, &s.db.DB}
	c.update(putOrg("other"), func(tx cloud.Tx) error {
		return errors.Join(tx.PutSetting("acme", cloud.PulledSetting, []byte("{}")), tx.PutSetting("other", "else", []byte("{}")))
	})
	id := cloud.PullLease("acme")
	a := s.claim("a", time.Minute)
	if _, ok := a[id]; len(a) != 2 || !ok {
		t.Fatalf("a has %v, want its site and %s", a, id)
	}
	c.update(func(tx cloud.Tx) error { return tx.CheckLease(id, "a", a[id]) })
	if err := s.db.Release(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if b := s.claim("b", time.Minute); b[id] <= a[id] {
		t.Errorf("b has %v after a had %v", b, a)
	}
}

// TestProcessesHearOfChanges: what one announces all hear.
func TestProcessesHearOfChanges(t *testing.T) {
	url := migrated.Copy(t)
	a, b := openTestPostgres(t, url), openTestPostgres(t, url)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	heard, ended := make(chan struct{}, 10), make(chan error, 1)
	go func() { ended <- b.Listen(ctx, func() { heard <- struct{}{} }) }()
	<-heard // it listens
	for range 2 {
		if err := a.Announce(ctx); err != nil {
			t.Fatal(err)
		}
		<-heard
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("listening ended with %v", err)
	}
}

// TestSQLiteHasNoLeases: there one process has all sites.
func TestSQLiteHasNoLeases(t *testing.T) {
	db := open(t, t.TempDir()+"/cloud.db")
	if err := db.Update(t.Context(), func(tx cloud.Tx) error { return tx.CheckLease("s", "anybody", 1) }); err != nil {
		t.Error(err)
	}
	if _, ok := any(db).(cloud.Shared); ok {
		t.Error("SQLite says that processes may share it")
	}
}
