package controller

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"latchkey/internal/pause"
	"latchkey/serialline"
)

const (
	clerkRest  = time.Second     // between two writes to the ledger, so that many changes make one transaction
	clerkRetry = 2 * time.Second // after a write that failed
	clerkLast  = 2 * time.Second // the last write may take this long after the driver was stopped
)

// A clerk writes a controller's ledger, on a goroutine of its own: no
// revocation waits for a disk. What it could not write yet it keeps and tries
// again; what the disk never got is found anew by reading the controller.
type clerk struct {
	ledger Ledger
	name   string
	log    *slog.Logger
	wake   chan struct{} // capacity 1

	mu    sync.Mutex
	rows  map[string]LedgerRow    // all rows, by credential
	dirty bool                    // rows are not on disk
	tombs map[serialline.Key]bool // still to write: true adds a tombstone, false clears it
}

func newClerk(ledger Ledger, name string, log *slog.Logger) *clerk {
	return &clerk{
		ledger: ledger, name: name, log: log, wake: make(chan struct{}, 1),
		rows: make(map[string]LedgerRow), tombs: make(map[serialline.Key]bool),
	}
}

// load reads what an earlier run left. A ledger that cannot be read is as good
// as an empty one: all it costs is that the controller is read back in full.
func (c *clerk) load(ctx context.Context) (tombs []serialline.Key) {
	if c.ledger == nil {
		return nil
	}
	rows, err := c.ledger.Ledger(ctx, c.name)
	if err != nil {
		c.log.Error("ledger not read", "controller", c.name, "err", err)
	}
	stored, err := c.ledger.Tombstones(ctx, c.name)
	if err != nil {
		c.log.Error("tombstones not read", "controller", c.name, "err", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range rows {
		c.rows[r.Credential] = r
	}
	for _, raw := range stored {
		var k serialline.Key
		if len(raw) == len(k) {
			tombs = append(tombs, serialline.Key(raw))
		}
	}
	return tombs
}

// update replaces all rows. A credential that stays in a state keeps the time
// since when, and the version for which, it is in it.
func (c *clerk) update(rows map[string]LedgerRow) {
	c.mu.Lock()
	defer c.mu.Unlock()
	changed := len(rows) != len(c.rows)
	for id, r := range rows {
		old, ok := c.rows[id]
		if ok && old.State == r.State {
			r.Since, r.Version = old.Since, old.Version
			rows[id] = r
		}
		changed = changed || r != old
	}
	c.rows = rows
	if changed {
		c.dirty = true
		signal(c.wake)
	}
}

// known are all rows, by credential.
func (c *clerk) known() map[string]LedgerRow {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.rows)
}

// version is the newest seq that a row was proven for.
func (c *clerk) version() (v uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.rows {
		if r.State == StateProven {
			v = max(v, r.Version)
		}
	}
	return v
}

// bury notes keys that are revoked; raise, keys that are wanted again.
func (c *clerk) bury(keys ...serialline.Key)  { c.move(keys, true) }
func (c *clerk) raise(keys ...serialline.Key) { c.move(keys, false) }

func (c *clerk) move(keys []serialline.Key, add bool) {
	if len(keys) == 0 {
		return
	}
	c.mu.Lock()
	for _, k := range keys {
		c.tombs[k] = add
	}
	c.mu.Unlock()
	signal(c.wake)
}

// run writes until ctx ends, and then once more.
func (c *clerk) run(ctx context.Context) {
	if c.ledger == nil {
		<-ctx.Done()
		return
	}
	for failing := false; ; {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), clerkLast)
			defer cancel()
			if err := c.write(last); err != nil {
				c.log.Error("ledger not written", "controller", c.name, "err", err)
			}
			return
		case <-c.wake:
		}
		rest := clerkRest
		err := c.write(ctx)
		if err != nil && ctx.Err() == nil {
			if !failing {
				c.log.Error("ledger not written", "controller", c.name, "err", err)
			}
			signal(c.wake)
			rest = clerkRetry
		}
		failing = err != nil
		pause.For(ctx, rest)
	}
}

// write stores all that is still to write.
func (c *clerk) write(ctx context.Context) error {
	c.mu.Lock()
	var rows []LedgerRow
	if c.dirty {
		rows = slices.SortedFunc(maps.Values(c.rows), func(a, b LedgerRow) int { return strings.Compare(a.Credential, b.Credential) })
	}
	dirty, tombs := c.dirty, c.tombs
	c.dirty, c.tombs = false, make(map[serialline.Key]bool)
	c.mu.Unlock()

	err := c.writeTombs(ctx, tombs)
	if err == nil && dirty {
		err = c.ledger.SetLedger(ctx, c.name, rows)
	}
	if err == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.Copy(tombs, c.tombs) // what came meanwhile is newer
	c.tombs, c.dirty = tombs, c.dirty || dirty
	return err
}

func (c *clerk) writeTombs(ctx context.Context, tombs map[serialline.Key]bool) error {
	var add, clear [][]byte
	for k, dead := range tombs {
		if dead {
			add = append(add, k[:])
		} else {
			clear = append(clear, k[:])
		}
	}
	if len(clear) > 0 {
		if err := c.ledger.ClearTombstones(ctx, c.name, clear); err != nil {
			return err
		}
	}
	if len(add) > 0 {
		return c.ledger.AddTombstones(ctx, c.name, add)
	}
	return nil
}
