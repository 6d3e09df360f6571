package osdp

import (
	"slices"
	"time"
)

// A Captured is one frame as it stood on a line.
type Captured struct {
	At      time.Time // when it was written, or whole
	FromACU bool
	Wire    []byte // as sent, MARK included, or from SOM to the check, which may be wrong; good until the tap returns
}

// A tap is somebody who listens to a line.
type tap struct{ f func(Captured) }

// Tap gives f each frame that the line sends or gets from now on, damaged ones
// too, until stop is called; f is not called after that. It must return at
// once, and use nothing of the Line: it is called under the Line's lock. The
// frames hold cards, PINs, and on their way into a reader keys.
func (l *Line) Tap(f func(Captured)) (stop func()) {
	t := &tap{f}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taps = append(l.taps, t)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.taps = slices.DeleteFunc(l.taps, func(o *tap) bool { return o == t })
	}
}

func (l *Line) sent(wire []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tapped(true, wire)
}

// tapped tells the taps; l.mu is held.
func (l *Line) tapped(fromACU bool, wire []byte) {
	if len(l.taps) == 0 {
		return
	}
	c := Captured{At: time.Now(), FromACU: fromACU, Wire: wire}
	for _, t := range l.taps {
		t.f(c)
	}
}
