package osdp_test

import (
	"slices"
	"testing"
	"time"

	"latchkey/osdp"
)

// tries counts how often PD 5 is asked until it is offline, when none of its
// answers is any good; PD 6, which is well, must not wait long for its polls.
func tries(t *testing.T, heard bool) (n int) {
	h := newHand(t, osdp.Options{}, 5, 6)
	h.up()
	start, polled := h.now, h.now
	var gap time.Duration
	for h.bus.Stats()[0].Online {
		f := h.next()
		if f.Addr == 6 {
			gap, polled = max(gap, h.now.Sub(polled)), h.now
			h.answer(f, osdp.ACK{})
			continue
		}
		n++
		if heard {
			h.bus.Damaged()
			h.now = h.now.Add(40 * time.Millisecond)
			h.bus.Silence(h.now)
			continue
		}
		h.silence()
	}
	if took := h.now.Sub(start); took < 8*time.Second || took > 9*time.Second {
		t.Errorf("heard %v: offline after %v", heard, took)
	}
	if gap > 300*time.Millisecond {
		t.Errorf("heard %v: its neighbour was not polled for %v", heard, gap)
	}
	return n
}

// TestHeardIsAskedAtOnce: noise that damages answer after answer must not take
// a PD offline, so one that can be heard is asked as often as the line allows.
// Asking one that is silent costs its neighbours a fifth of a second each time.
func TestHeardIsAskedAtOnce(t *testing.T) {
	if n := tries(t, true); n < 100 {
		t.Errorf("asked %d times while it can be heard, want 100", n)
	}
	if n := tries(t, false); n < 15 || n > 25 {
		t.Errorf("asked %d times while it is silent, want 15 to 25", n)
	}
}

// TestComesUpBesideADeadOne: the little time that dead PDs get is for asking who
// is there, not for a PD that answers, though not always.
func TestComesUpBesideADeadOne(t *testing.T) {
	h := newHand(t, osdp.Options{}, 1, 2, 3)
	start := h.now
	for n := 0; !h.bus.Stats()[1].Online; {
		f := h.next()
		if f.Addr == 2 {
			n++
		}
		if f.Addr == 3 || f.Addr == 2 && n%2 == 0 {
			h.silence()
		} else {
			h.answer(f, plain(f))
		}
		if took := h.now.Sub(start); took > 3*time.Second {
			t.Fatalf("not up after %v", took)
		}
	}
}

// TestHalfAStart: a PD that says who it is, and then nothing more, is as good as
// dead, and gets no more of the line.
func TestHalfAStart(t *testing.T) {
	h := newHand(t, osdp.Options{}, 5, 6)
	var silent time.Duration
	start := h.now
	for h.now.Sub(start) < 10*time.Minute {
		f := h.next()
		if f.Addr == 6 || f.Code == osdp.CodeID {
			h.answer(f, plain(f))
			continue
		}
		before := h.now
		h.silence()
		silent += h.now.Sub(before)
	}
	if most := 10*time.Minute/20 + 2*time.Second; silent > most {
		t.Errorf("%v of the line, want %v at the most", silent, most)
	}
}

// TestPollBeforeStates: a PD that had to start anew is polled as soon as it can
// be, for it may hold a card; what it can do, and its states, have time.
func TestPollBeforeStates(t *testing.T) {
	l := newLock(t, keyA)
	k := newKeyed(t, l, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}})
	k.want(osdp.LocalStatus, time.Second)
	l.session = nil
	l.got = nil
	for !slices.Contains(l.got, osdp.CodeLSTAT) {
		k.step(func(*osdp.Frame) bool { k.now = k.now.Add(40 * time.Millisecond); return true })
	}
	if want := []byte{osdp.CodeID, osdp.CodePOLL, osdp.CodeACURXSIZE, osdp.CodeLSTAT}; !slices.Equal(l.got, want) {
		t.Errorf("after the new channel: % x, want % x", l.got, want)
	}
}
