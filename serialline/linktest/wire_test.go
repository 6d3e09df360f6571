package linktest

import (
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// memFlash is a flash in memory.
type memFlash struct {
	files  map[string][]byte
	writes int
}

func newFlash() *memFlash { return &memFlash{files: map[string][]byte{}} }

func (m *memFlash) read(name string) ([]byte, error) { return slices.Clone(m.files[name]), nil }
func (m *memFlash) append(name string, b []byte) error {
	m.writes++
	m.files[name] = append(m.files[name], b...)
	return nil
}
func (m *memFlash) replace(name string, b []byte) error {
	m.writes++
	m.files[name] = slices.Clone(b)
	return nil
}
func (m *memFlash) truncate(name string, size int64) error {
	m.writes++
	m.files[name] = m.files[name][:size]
	return nil
}
func (m *memFlash) close() error { return nil }

func (m *memFlash) clone() *memFlash {
	c := newFlash()
	for n, b := range m.files {
		c.files[n] = slices.Clone(b)
	}
	return c
}

// A queue is one direction of a wire, with room for everything.
type queue struct {
	mu       sync.Mutex
	buf      []byte
	deadline time.Time
	closed   bool
	change   chan struct{}
	total    int                              // bytes that went in
	damage   func(i int, c byte) (out []byte) // what byte i becomes; nil is none
}

func newQueue() *queue { return &queue{change: make(chan struct{})} }

func (q *queue) do(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f()
	close(q.change)
	q.change = make(chan struct{})
}

func (q *queue) write(p []byte) {
	q.do(func() {
		for _, c := range p {
			if q.damage != nil {
				q.buf = append(q.buf, q.damage(q.total, c)...)
			} else {
				q.buf = append(q.buf, c)
			}
			q.total++
		}
	})
}

func (q *queue) read(p []byte) (int, error) {
	for {
		q.mu.Lock()
		if !q.deadline.IsZero() && !time.Now().Before(q.deadline) {
			q.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		}
		if len(q.buf) > 0 {
			n := copy(p, q.buf)
			q.buf = q.buf[n:]
			q.mu.Unlock()
			return n, nil
		}
		if q.closed {
			q.mu.Unlock()
			return 0, io.EOF
		}
		change, deadline := q.change, q.deadline
		q.mu.Unlock()
		if deadline.IsZero() {
			<-change
			continue
		}
		t := time.NewTimer(time.Until(deadline))
		select {
		case <-change:
		case <-t.C:
		}
		t.Stop()
	}
}

// An end is one end of a wire, a serialline.Port.
type end struct {
	in   *queue
	outs []*queue // several ends hear a multi-drop line
}

func (e *end) Read(p []byte) (int, error) { return e.in.read(p) }
func (e *end) Write(p []byte) (int, error) {
	for _, q := range e.outs {
		q.write(p)
	}
	return len(p), nil
}
func (e *end) SetReadDeadline(t time.Time) error {
	e.in.do(func() { e.in.deadline = t })
	return nil
}
func (e *end) Drain() error { return nil }
func (e *end) Close() error { return nil }

// wire makes a line with n controllers on it.
func wire(n int) (host *end, devices []*end) {
	host = &end{in: newQueue()}
	for range n {
		d := &end{in: newQueue(), outs: []*queue{host.in}}
		host.outs = append(host.outs, d.in)
		devices = append(devices, d)
	}
	return host, devices
}
