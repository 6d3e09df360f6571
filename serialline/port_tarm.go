//go:build linux || windows || cgo

package serialline

import (
	"errors"
	"fmt"
	"io"
	"net"
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

// tarm is a tarm/serial port with the manners of Port. A goroutine reads it in
// slices of tarmGrain into a pipe that has exact deadlines.
type tarm struct {
	p     *serial.Port
	guard *guard
	in    net.Conn      // what was read; io.EOF once no more is
	read  chan struct{} // closed then
	why   error         // set before that: what ended it

	mu     sync.Mutex
	closed bool
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
	in, out := net.Pipe()
	t := &tarm{p: p, guard: g, in: in, read: make(chan struct{})}
	go func() {
		defer close(t.read)
		t.why = t.pump(out)
		out.Close()
	}()
	return t, nil
}

// pump reads into out until the device is gone or the port is closed.
func (t *tarm) pump(out io.Writer) error {
	var b [512]byte
	for fast := 0; !t.isClosed(); {
		start := time.Now()
		n, err := t.p.Read(b[:])
		switch {
		case n > 0:
			if _, err := out.Write(b[:n]); err != nil {
				return os.ErrClosed
			}
			fast = 0
		case err != nil && !errors.Is(err, io.EOF):
			return hangUp(err)
		case time.Since(start) >= tarmGrain/2:
			fast = 0
		default:
			if fast++; fast == tarmFast {
				return fmt.Errorf("%w: the device is gone", io.EOF)
			}
			time.Sleep(tarmPause)
		}
	}
	return os.ErrClosed
}

func (t *tarm) Read(b []byte) (int, error) {
	n, err := t.in.Read(b)
	switch {
	case errors.Is(err, io.ErrClosedPipe):
		err = os.ErrClosed
	case errors.Is(err, io.EOF):
		<-t.read
		err = t.why
	}
	return n, err
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
	if t.isClosed() {
		return os.ErrClosed
	}
	t.in.SetReadDeadline(at) // fails once the device is gone, which Read tells
	return nil
}

func (t *tarm) Drain() error {
	if t.isClosed() {
		return os.ErrClosed
	}
	return t.guard.drain()
}

// Close waits for the slice that is under way, at most tarmGrain: closing the
// port under it would leave it waiting in the kernel, where it takes the first
// byte meant for who opens the port next.
func (t *tarm) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return os.ErrClosed
	}
	t.closed = true
	t.mu.Unlock()
	t.in.Close()
	<-t.read
	return errors.Join(t.p.Close(), t.guard.close())
}
