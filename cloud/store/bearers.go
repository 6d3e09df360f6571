package store

import (
	"context"
	"sync"

	"latchkey/cloud"
)

// maxBearers is how many tokens are remembered.
const maxBearers = 4096

// bearers remembers what tokens open, so that not every request needs the
// database twice. It is exact: from before a commit that changes a token or an
// organisation until after it, nothing is remembered, and what was read before
// the end of that commit never is. Only good where no other process writes.
type bearers struct {
	mu    sync.Mutex
	known map[[32]byte]cloud.Bearer
	under int    // commits under way
	ended uint64 // commits that have ended
}

// get gives what is remembered, or the moment that put wants.
func (b *bearers) get(hash [32]byte) (found cloud.Bearer, ok bool, moment uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	found, ok = b.known[hash]
	return found, ok, b.ended
}

// put remembers what was read since moment, unless it may be old by now.
func (b *bearers) put(hash [32]byte, read cloud.Bearer, moment uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.under > 0 || b.ended != moment {
		return
	}
	if b.known == nil || len(b.known) >= maxBearers {
		b.known = map[[32]byte]cloud.Bearer{}
	}
	b.known[hash] = read
}

// change forgets everything; done is called once the commit has ended, however
// it ended.
func (b *bearers) change() (done func()) {
	if b == nil {
		return func() {}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known = nil
	b.under++
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.under--
		b.ended++
	}
}

// Bearer is cloud.Store's.
func (db *DB) Bearer(ctx context.Context, hash [32]byte) (cloud.Bearer, error) {
	var moment uint64
	if db.bearers != nil {
		b, ok, now := db.bearers.get(hash)
		if ok {
			return b, nil
		}
		moment = now
	}
	var b cloud.Bearer
	err := db.Ask(ctx, func(t cloud.Tx) (err error) {
		b, err = t.(*tx).bearer(hash)
		return err
	})
	if err == nil && db.bearers != nil {
		db.bearers.put(hash, b, moment)
	}
	return b, err
}
