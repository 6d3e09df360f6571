package osdptest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"latchkey/internal/pause"
	"latchkey/osdp"
)

const (
	interCharacter = 150 * time.Millisecond // pause inside a command after which its rest will not come
	retryPort      = 50 * time.Millisecond  // until the next look at a port whose other end is not open
)

// Serve answers on port until ctx ends, and then returns nil. That the other
// end is not open, or is closed and opened again (io.EOF, or EIO from a
// pseudo-terminal), is no error: it waits. It returns an error only when port
// itself is closed.
func (p *PD) Serve(ctx context.Context, port osdp.Port) error { return ServeLine(ctx, port, p) }

// ServeLine is Serve for several PDs that hang on one line.
func ServeLine(ctx context.Context, port osdp.Port, pds ...*PD) error {
	l := &line{port: port}
	if err := port.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("osdptest: port: %w", err)
	}
	stop := context.AfterFunc(ctx, func() {
		port.SetReadDeadline(time.Unix(1, 0))
		if d, ok := port.(interface{ SetWriteDeadline(time.Time) error }); ok {
			d.SetWriteDeadline(time.Unix(1, 0))
		}
	})
	defer l.late.Wait()
	defer stop()

	var scan osdp.Scanner
	buf := make([]byte, osdp.MaxFrame)
	for {
		if scan.Held() > 0 {
			port.SetReadDeadline(time.Now().Add(interCharacter))
		} else {
			port.SetReadDeadline(time.Time{})
		}
		if ctx.Err() != nil { // it ended between AfterFunc and SetReadDeadline
			return nil
		}
		n, err := port.Read(buf)
		if n > 0 {
			scan.Feed(buf[:n])
			l.hear(ctx, &scan, pds)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && n > 0:
		case errors.Is(err, os.ErrDeadlineExceeded):
			for scan.GiveUp() {
				l.hear(ctx, &scan, pds)
			}
		case errors.Is(err, os.ErrClosed), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
			return fmt.Errorf("osdptest: port: %w", err)
		default: // nobody is there, or the port gave nothing at once: do not spin
			scan.Reset()
			if !pause.For(ctx, retryPort) {
				return nil
			}
		}
	}
}

// A sending is what goes onto the line in answer to one frame.
type sending struct {
	after time.Duration
	b     []byte
	then  func() // called once b has gone out; may be nil
}

// send sends each of bs at once; nil is nothing.
func send(bs ...[]byte) (out []sending) {
	for _, b := range bs {
		if b != nil {
			out = append(out, sending{b: b})
		}
	}
	return out
}

// A line is the wire that several PDs share.
type line struct {
	port osdp.Port
	mu   sync.Mutex // one Write at a time
	late sync.WaitGroup
}

// hear gives each frame to each PD, and sends what they answer. PDs that answer
// one frame at the same time spoil each other's bytes.
func (l *line) hear(ctx context.Context, scan *osdp.Scanner, pds []*PD) {
	for {
		f, err := scan.Next()
		if errors.Is(err, osdp.ErrShort) {
			return
		}
		var now []byte
		var then []func()
		for _, p := range pds {
			var said []byte
			for _, s := range p.hear(f, err != nil) {
				if s.after > 0 {
					l.late.Go(func() { l.sendLater(ctx, s) })
					continue
				}
				said = append(said, s.b...)
				if s.then != nil {
					then = append(then, s.then)
				}
			}
			now = collide(now, said)
		}
		l.write(now)
		for _, call := range then {
			call()
		}
	}
}

// sendLater sends s when its time has come.
func (l *line) sendLater(ctx context.Context, s sending) {
	if !pause.For(ctx, s.after) {
		return
	}
	l.write(s.b)
	if s.then != nil {
		s.then()
	}
}

// collide is what a receiver sees when two drivers work one pair of wires: of
// two different bits, the one that pulls harder.
func collide(a, b []byte) []byte {
	if len(b) > len(a) {
		a, b = b, a
	}
	out := bytes.Clone(a)
	for i := range b {
		out[i] &= b[i]
	}
	return out
}

// write sends b. That nobody takes it is the panel's business.
func (l *line) write(b []byte) {
	if len(b) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.port.Write(b)
}
