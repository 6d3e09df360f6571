package store

import (
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/cloud"
	"latchkey/internal/lockfile"
)

func TestBearersForget(t *testing.T) {
	hash, old, next := [32]byte{1}, cloud.Bearer{Token: "old"}, cloud.Bearer{Token: "new"}
	var b bearers
	has := func(what string, want cloud.Bearer) uint64 {
		t.Helper()
		got, ok, moment := b.get(hash)
		if got != want || ok != (want.Token != "") {
			t.Errorf("%s: got %+v, want %+v", what, got, want)
		}
		return moment
	}
	moment := has("nothing yet", cloud.Bearer{})
	b.put(hash, old, moment)
	early := has("what was read", old)

	done := b.change()
	during := has("during a commit", cloud.Bearer{})
	b.put(hash, old, early)
	b.put(hash, old, during)
	has("what was read before and during a commit that goes on", cloud.Bearer{})
	other := b.change()
	done()
	b.put(hash, old, has("after one of two commits", cloud.Bearer{}))
	has("what was read while another commit goes on", cloud.Bearer{})
	other()
	b.put(hash, old, during)
	moment = has("what was read before a commit ended", cloud.Bearer{})
	b.put(hash, next, moment)
	has("what was read since", next)

	for i := range maxBearers + 1 {
		b.put([32]byte{2, byte(i), byte(i >> 8)}, old, moment)
	}
	if len(b.known) > maxBearers {
		t.Errorf("%d tokens are remembered, want at most %d", len(b.known), maxBearers)
	}
}

// TestBearerIsNeverOld: who asks after a change was made sees it, however many
// ask meanwhile.
func TestBearerIsNeverOld(t *testing.T) {
	both(t, func(c contract) {
		hash := [32]byte{7}
		c.update(putOrg("acme"), func(tx cloud.Tx) error { return tx.PutToken(cloud.Token{ID: "1", Org: "acme"}, hash) })
		const changes = 200
		var made, stop atomic.Int64
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				for last := int64(0); stop.Load() == 0; {
					at := max(made.Load(), last)
					b, err := c.db.Bearer(c.Context(), hash)
					if last = b.Expires.UnixMilli(); err != nil || at > 0 && last < at {
						c.Errorf("change %d was made, got %d, %v", at, last, err)
						return
					}
				}
			})
		}
		for n := int64(1); n <= changes; n++ {
			c.update(func(tx cloud.Tx) error { return tx.ExpireToken("acme", "1", time.UnixMilli(n)) })
			made.Store(n)
		}
		stop.Store(1)
		readers.Wait()
		c.update(func(tx cloud.Tx) error { return tx.DeleteToken("acme", "1") })
		if _, err := c.db.Bearer(c.Context(), hash); !errors.Is(err, cloud.ErrNotFound) {
			c.Errorf("a deleted token: %v", err)
		}
	})
}

// TestUndoneChangesCount as none.
func TestUndoneChangesCount(t *testing.T) {
	both(t, func(c contract) {
		hash, stop := [32]byte{7}, errors.New("stop")
		c.update(putOrg("acme"), func(tx cloud.Tx) error { return tx.PutToken(cloud.Token{ID: "1", Org: "acme"}, hash) })
		for range 2 {
			if b, err := c.db.Bearer(c.Context(), hash); err != nil || b.Token != "1" {
				c.Errorf("got %+v, %v", b, err)
			}
			err := c.db.Update(c.Context(), func(tx cloud.Tx) error { return errors.Join(tx.DeleteToken("acme", "1"), stop) })
			if !errors.Is(err, stop) {
				c.Errorf("got %v", err)
			}
		}
	})
}

func TestAskAsksOnce(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "cloud.db"))
	ask := func(f func(cloud.Tx) error) error { return db.Ask(t.Context(), f) }
	count := func(tx cloud.Tx) error { return second(tx.CountPeople(cloud.Find{Org: "acme"})) }
	if err := ask(count); err != nil {
		t.Error(err)
	}
	if err := ask(func(tx cloud.Tx) error { return errors.Join(count(tx), count(tx)) }); !errors.Is(err, errSecond) {
		t.Errorf("two questions: got %v", err)
	}
	if err := ask(putOrg("acme")); err == nil {
		t.Error("a question wrote")
	}
	var terms []cloud.Term
	for range maxStatements + 10 { // each is a statement of its own
		terms = append(terms, cloud.Term{Attr: "id", Value: "1"})
		err := ask(func(tx cloud.Tx) error {
			return second(tx.FindUsers(cloud.Find{Org: "acme", Terms: terms}, 0, 1))
		})
		if err != nil {
			t.Fatalf("%d terms: %v", len(terms), err)
		}
	}
	if len(db.asked.kept) != maxStatements {
		t.Errorf("%d statements are kept, want %d", len(db.asked.kept), maxStatements)
	}
}

func TestOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cloud.db")
	db := open(t, path)
	if other, err := Open(t.Context(), path); !errors.Is(err, lockfile.ErrInUse) {
		other.Close()
		t.Errorf("a second one: got %v, want ErrInUse", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	open(t, path)
}
