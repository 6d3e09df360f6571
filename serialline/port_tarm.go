//go:build linux || windows || cgo

package serialline

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/tarm/serial"
)

// tarmGrain is the shortest read time-out that tarm/serial can do (VTIME counts
// tenths of seconds).
const tarmGrain = 100 * time.Millisecond

// A read of tarm/serial that ends without a byte is a time-out if it took about
// tarmGrain. One that ends at once comes from a device that is gone: after
// tarmFast of them in a row, and tarmPause after each, it is taken for gone.
const (
	tarmFast  = 3
	tarmPause = 20 * time.Millisecond
)

// tarm is a tarm/serial port with the manners of Port.
type tarm struct {
	p     *serial.Port
	guard *guard

	mu       sync.Mutex // guards the fields below
	deadline time.Time
	closed   bool

	reading sync.Mutex // held by Read and by Close
}

func openTarm(c Config) (Port, error) {
	g, err := newGuard(c)
	if err != nil {
		return nil, err
	}
	p, err := serial.OpenPort(&serial.Config{Name: c.Path, Baud: c.Baud, ReadTimeout: tarmGrain})
	if err != nil {
		g.close()
		return nil, err
	}
	if err := g.opened(c); err != nil {
		p.Close()
		g.close()
		return nil, err
	}
	// What came before us is not for us. An error here shows at the first read.
	p.Flush()
	return &tarm{p: p, guard: g}, nil
}

// Read reads in slices of tarmGrain, so it may return that much after its
// deadline.
func (t *tarm) Read(b []byte) (int, error) {
	t.reading.Lock()
	defer t.reading.Unlock()
	if len(b) == 0 {
		return 0, nil
	}
	fast := 0
	for {
		if err := t.due(time.Now()); err != nil {
			return 0, err
		}
		start := time.Now()
		n, err := t.p.Read(b)
		if n > 0 {
			return n, nil
		}
		if err != nil && !errors.Is(err, io.EOF) {
			if t.isClosed() {
				err = os.ErrClosed
			}
			return 0, hangUp(err)
		}
		if time.Since(start) >= tarmGrain/2 {
			fast = 0
			continue
		}
		if fast++; fast == tarmFast {
			return 0, fmt.Errorf("%w: the device is gone", io.EOF)
		}
		time.Sleep(tarmPause)
	}
}

// due is the error with which a Read ends now, nil if it goes on.
func (t *tarm) due(now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed:
		return os.ErrClosed
	case !t.deadline.IsZero() && !now.Before(t.deadline):
		return os.ErrDeadlineExceeded
	}
	return nil
}

func (t *tarm) isClosed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

func (t *tarm) Write(b []byte) (int, error) {
	if t.isClosed() {
		return 0, os.ErrClosed
	}
	n, err := t.p.Write(b)
	return n, hangUp(err)
}

func (t *tarm) SetReadDeadline(at time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return os.ErrClosed
	}
	t.deadline = at
	return nil
}

func (t *tarm) Drain() error {
	if t.isClosed() {
		return os.ErrClosed
	}
	return t.guard.drain()
}

// Close waits for a Read that is under way, at most tarmGrain: closing the port
// under it would leave it waiting in the kernel, where it takes the first byte
// meant for who opens the port next.
func (t *tarm) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return os.ErrClosed
	}
	t.closed = true
	t.mu.Unlock()
	t.reading.Lock()
	defer t.reading.Unlock()
	return errors.Join(t.p.Close(), t.guard.close())
}
