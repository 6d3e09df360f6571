package osdp_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"latchkey/osdp"
)

// A badLine is a half-duplex line between a panel and its PDs on which bytes
// are damaged, frames get lost, answers begin late and come in pieces. Every
// frame takes its time in the air.
type badLine struct {
	baud     int
	damage   float64       // probability that a byte is not what was sent
	loss     float64       // probability that a frame does not arrive
	delay    time.Duration // a PD begins its answer up to so much later
	pieces   float64       // probability that an answer comes in two pieces ...
	pause    time.Duration // ... up to so much apart
	watching uint8         // the address whose share of the time is measured

	mu      sync.Mutex // guards what follows
	rng     *rand.Rand
	asked   time.Time     // when the PD watched was last asked; zero when it is not its turn
	taken   time.Duration // by the PD watched
	frames  int
	lost    int
	damaged int
}

// ends gives the panel's and the PDs' end of l.
func (l *badLine) ends() (panel, pds net.Conn) {
	a, b := net.Pipe()
	return &badEnd{Conn: a, line: l, panel: true}, &badEnd{Conn: hold(b), line: l}
}

// A held is one end of a pipe whose other end holds what comes in while nobody
// reads, as a serial port does.
type held struct {
	net.Conn
	out  chan []byte
	quit chan struct{}
	stop func()
}

func hold(c net.Conn) *held {
	h := &held{Conn: c, out: make(chan []byte, 100), quit: make(chan struct{})}
	h.stop = sync.OnceFunc(func() { close(h.quit) })
	go func() {
		for {
			select {
			case b := <-h.out:
				c.Write(b)
			case <-h.quit:
				return
			}
		}
	}()
	return h
}

func (h *held) Write(b []byte) (int, error) {
	select {
	case h.out <- bytes.Clone(b):
		return len(b), nil
	default:
		return 0, io.ErrShortWrite
	}
}

func (h *held) Close() error {
	h.stop()
	return h.Conn.Close()
}

// A badEnd is one end of a badLine.
type badEnd struct {
	net.Conn
	line  *badLine
	panel bool
	turn  sync.Mutex // one frame at a time
}

func (e *badEnd) Write(b []byte) (int, error) {
	e.turn.Lock()
	defer e.turn.Unlock()
	if e.panel {
		e.line.ask(b)
	}
	out, wait, cut, pause := e.line.spoil(b, !e.panel)
	time.Sleep(wait)
	for _, part := range [][]byte{out[:cut], out[cut:]} {
		if len(part) == 0 {
			continue
		}
		if _, err := e.Conn.Write(part); err != nil {
			return 0, err
		}
		time.Sleep(pause)
		pause = 0
	}
	return len(b), nil
}

// ask keeps the time that the PD watched takes of the panel's: from when it is
// asked to when another is, but no longer than it may take for an answer.
func (l *badLine) ask(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if !l.asked.IsZero() {
		l.taken += min(now.Sub(l.asked), l.air(len(b))+250*time.Millisecond)
		l.asked = time.Time{}
	}
	if len(b) > 2 && b[2] == l.watching {
		l.asked = now
	}
}

// spoil is what becomes of the frame b: the bytes that arrive, how long that
// takes, and where they are cut by which pause.
func (l *badLine) spoil(b []byte, answer bool) (out []byte, wait time.Duration, cut int, pause time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frames++
	wait = l.air(len(b))
	if l.rng.Float64() < l.loss {
		l.lost++
		return nil, wait, 0, 0
	}
	out = append(out, b...)
	for i := range out {
		if l.rng.Float64() < l.damage {
			out[i] ^= byte(1 + l.rng.IntN(255))
			l.damaged++
		}
	}
	if !answer {
		return out, wait, len(out), 0
	}
	wait += time.Duration(l.rng.Int64N(int64(l.delay) + 1))
	if cut = len(out); l.rng.Float64() < l.pieces {
		cut = l.rng.IntN(len(out))
		pause = time.Duration(l.rng.Int64N(int64(l.pause) + 1))
	}
	return out, wait, cut, pause
}

func (l *badLine) air(n int) time.Duration {
	return time.Duration(n) * 10 * time.Second / time.Duration(l.baud)
}

var _ osdp.Port = (*badEnd)(nil)
