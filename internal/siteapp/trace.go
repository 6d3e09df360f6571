package siteapp

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"latchkey/osdp"
	"latchkey/osdp/capture"
)

// traceQueue is how many frames may wait for who watches a trace: some twenty
// seconds of a line at its fastest.
const traceQueue = 4096

// Trace lets a watcher who is too slow miss frames, and says in the comment of
// the next one how many: the line does not wait.
func (r *readers) Trace(ctx context.Context, reader string, ready func(), emit func(capture.Record) error) error {
	w := &watcher{frames: make(chan capture.Record, traceQueue)}
	if reader == "" {
		for _, l := range r.lines {
			defer l.Tap(func(c osdp.Captured) { w.see(l.Name(), c) })()
		}
	} else {
		l, addr, err := r.line(reader)
		if err != nil {
			return err
		}
		defer l.Tap(func(c osdp.Captured) {
			if concerns(c.Wire, addr) {
				w.see(l.Name(), c)
			}
		})()
	}
	ready()
	for {
		select {
		case <-ctx.Done():
			return nil
		case rec := <-w.frames:
			if err := emit(rec); err != nil {
				return err
			}
		}
	}
}

// A watcher is somebody who watches lines.
type watcher struct {
	frames chan capture.Record

	mu     sync.Mutex
	missed uint64 // since the last one that was not
}

// see does not block.
func (w *watcher) see(line string, c osdp.Captured) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rec := capture.Record{Time: c.At, FromACU: c.FromACU, Data: bytes.Clone(c.Wire), Line: line}
	if w.missed > 0 {
		rec.Comment = fmt.Sprintf("%d frames before this one were missed", w.missed)
	}
	select {
	case w.frames <- rec:
		w.missed = 0
	default:
		w.missed++
	}
}

// concerns reports whether wire, perhaps damaged, may be a frame to or from the
// PD at addr.
func concerns(wire []byte, addr uint8) bool {
	for len(wire) > 0 && wire[0] == osdp.Mark {
		wire = wire[1:]
	}
	f, _, err := osdp.ParseFrame(wire)
	return err != nil || f.Addr == addr || f.Addr == osdp.Broadcast
}
