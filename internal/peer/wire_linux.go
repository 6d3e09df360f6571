package peer

import (
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"latchkey/osdp"
)

// takeLimit is how long an end that nobody reads may hold up the wire before
// what does not fit is lost, as it would be on RS-485.
const takeLimit = 100 * time.Millisecond

// A Wire is an RS-485 line: what one end sends, all others hear. Each end is a
// serial device, and somebody may sit in the middle.
type Wire struct {
	paths []string
	ends  []*end
}

type end struct {
	master *os.File
	writes sync.Mutex // one chunk at a time

	mu     sync.Mutex
	meddle func(chunk []byte) (out []byte, after time.Duration)
	watch  func(osdp.Frame)
	scan   osdp.Scanner
	bytes  int
	codes  [256]int
}

// NewWire lays a wire with ends ends that lasts as long as the test.
func NewWire(t testing.TB, ends int) *Wire {
	t.Helper()
	w := &Wire{}
	for range ends {
		master, path := Pty(t)
		w.paths = append(w.paths, path)
		w.ends = append(w.ends, &end{master: master})
	}
	quit := make(chan struct{})
	var pumps sync.WaitGroup
	for _, e := range w.ends {
		pumps.Go(func() { w.pump(e, quit) })
	}
	t.Cleanup(func() {
		close(quit)
		for _, e := range w.ends {
			e.master.Close()
		}
		pumps.Wait()
	})
	return w
}

// Path is the serial device of an end, counted from 0.
func (w *Wire) Path(end int) string { return w.paths[end] }

// Meddle has f look at all that end sends from now on: a chunk is what one Read
// gave, mostly a frame. What f returns goes on, after a while if it says so, and
// nothing overtakes it. A nil f leaves things as they are. f may keep the chunk.
func (w *Wire) Meddle(end int, f func(chunk []byte) (out []byte, after time.Duration)) {
	e := w.ends[end]
	e.mu.Lock()
	defer e.mu.Unlock()
	e.meddle = f
}

// Watch shows f each frame that end sends from now on, before any meddling and
// before anybody hears it. The frame is good until f returns. A nil f ends it.
func (w *Wire) Watch(end int, f func(osdp.Frame)) {
	e := w.ends[end]
	e.mu.Lock()
	defer e.mu.Unlock()
	e.watch = f
}

// Count is how many frames with a code an end has sent, before any meddling.
// The code is never encrypted.
func (w *Wire) Count(end int, code byte) int {
	e := w.ends[end]
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.codes[code]
}

// Bytes is how many bytes an end has sent, before any meddling.
func (w *Wire) Bytes(end int) int {
	e := w.ends[end]
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.bytes
}

// pump carries what from sends to all other ends until its master is closed.
func (w *Wire) pump(from *end, quit <-chan struct{}) {
	buf := make([]byte, 4096)
	for {
		n, err := from.master.Read(buf)
		if err != nil {
			return
		}
		out, after := from.sent(buf[:n])
		if after > 0 {
			select {
			case <-time.After(after):
			case <-quit:
				return
			}
		}
		if len(out) == 0 {
			continue
		}
		for _, to := range w.ends {
			if to != from {
				to.hear(out)
			}
		}
	}
}

// sent counts a chunk and has it meddled with.
func (e *end) sent(b []byte) (out []byte, after time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bytes += len(b)
	e.scan.Feed(b)
	for {
		f, err := e.scan.Next()
		if err == nil {
			e.codes[f.Code]++
			if e.watch != nil {
				e.watch(f)
			}
		} else if errors.Is(err, osdp.ErrShort) {
			break
		}
	}
	if e.meddle == nil {
		return b, 0
	}
	return e.meddle(append([]byte(nil), b...))
}

// hear writes b to whoever sits at the end. What does not fit is lost.
func (e *end) hear(b []byte) {
	e.writes.Lock()
	defer e.writes.Unlock()
	e.master.SetWriteDeadline(time.Now().Add(takeLimit))
	e.master.Write(b)
}
