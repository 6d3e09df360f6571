package okta

import (
	"errors"
	"sync"
)

// An order keeps what was read later from being overwritten by what was read
// earlier: two loops read at the same time, and the slow one may still hold a
// page that says ACTIVE of somebody whom the quick one has read as SUSPENDED.
type order struct {
	mu     sync.Mutex
	closed bool
	last   uint64
	done   map[string]uint64 // by id: when the read began that was taken last
}

// begin numbers a read before it is made.
func (o *order) begin() uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last++
	return o.last
}

// take runs f, which takes in what the read of number read said of id, unless a
// read that began later was taken already. One f runs at a time.
func (o *order) take(id string, read uint64, f func() error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return errRetired
	}
	if o.done[id] > read {
		return nil
	}
	if err := f(); err != nil {
		return err
	}
	if o.done == nil {
		o.done = map[string]uint64{}
	}
	o.done[id] = read
	return nil
}

// claim takes note that read will say something of id, so that nothing of an
// earlier read is taken from now on; ok is false where a later one has claimed it.
func (o *order) claim(id string, read uint64) (ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.done[id] > read {
		return false
	}
	if o.done == nil {
		o.done = map[string]uint64{}
	}
	o.done[id] = read
	return true
}

// errRetired says that a connection was changed or switched off while it was
// being read.
var errRetired = errors.New("okta: the connection is read no more")

// close ends all taking: nothing is taken once it has returned.
func (o *order) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
}
