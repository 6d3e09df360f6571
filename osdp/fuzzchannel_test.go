package osdp_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"latchkey/osdp"
)

// FuzzChannel lets everything happen to a PD in a secure channel, in any order:
// lost and forged answers, reboots, refusals, operators that change keys, files.
// Whatever it is, nothing is said in the clear that may not be, no key leaves
// but in a channel and by an operator's wish, nobody is served without a
// channel, a command is repeated byte for byte, and everybody who waits is told
// once.
func FuzzChannel(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 2, 0, 0, 1, 1, 0, 12, 3, 4, 5, 6, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{13, 0, 0, 0, 0, 0, 0, 0, 0, 14, 0, 0, 0, 0, 0, 15, 0, 0, 0, 0, 7, 7, 7, 7, 7, 7, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 400 {
			return
		}
		l := newLock(t, keyA)
		l.file = osdp.NewReceiver(osdp.ReceiverOptions{Limit: 1 << 16, Action: osdp.FTInterleave})
		h := newHandOf(t, osdp.Options{Rand: rand.NewChaCha8([32]byte{4})}, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}})
		w := &watchdog{t: t, h: h, l: l}
		for _, op := range ops {
			w.step(op)
		}
		h.bus.EndInstall(h.now, 5)
		h.bus.CancelFile(h.now, 5)
		h.bus.Down(h.now)
		if w.waiting != 0 {
			t.Errorf("%d wait still", w.waiting)
		}
	})
}

// A watchdog does what a fuzzer says and looks whether it was right.
type watchdog struct {
	t *testing.T
	h *hand
	l *lock

	heard   []byte     // last command that the PD took
	said    osdp.Frame // its answer
	open    []byte     // command without an answer
	waiting int        // who was not called back yet
	window  bool       // an operator installs
	file    bool
}

// wait is a callback that must be called once.
func (w *watchdog) wait(ended func()) func(error) {
	w.waiting++
	called := false
	return func(error) {
		if called {
			w.t.Error("called twice")
		}
		called = true
		w.waiting--
		ended()
	}
}

func (w *watchdog) step(op byte) {
	w.operator(op)
	was := w.h.bus.Stats()[0]
	f := w.h.nextAny()
	w.look(f, was)
	r := w.said
	if f.Seq == 0 || !bytes.Equal(w.heard, w.h.wire) {
		r = w.answer(f)
	}
	done := true
	switch op % 16 {
	case 1:
		w.h.silence()
		done = false
	case 2:
		w.l.session = nil // a reboot
		w.l.file.Abort()
		_, done = w.h.bus.Answer(w.h.now, r)
	case 3:
		_, done = w.h.bus.Answer(w.h.now, w.l.onWire(osdp.Frame{Addr: 5, Reply: true, Seq: f.Seq, Code: osdp.CodeNAK, Data: []byte{op >> 4}}))
	case 4:
		_, done = w.h.bus.Answer(w.h.now, w.l.onWire(osdp.Frame{Addr: 5, Reply: true, Seq: f.Seq, SCBType: osdp.SCS16 + op>>4&2, Code: osdp.CodeRAW, Data: make([]byte, 16)}))
	case 5:
		_, done = w.h.bus.Answer(w.h.now, w.l.onWire(osdp.Frame{Addr: 5, Reply: true, Seq: op >> 4 & 3, Code: osdp.CodeRAW, Data: []byte{0, 0, 26, 0, 1, 2, 3, 0x40}}))
	case 6:
		w.h.bus.Answer(w.h.now, w.l.onWire(osdp.Frame{Addr: 5, Reply: true, Code: osdp.CodeBUSY}))
		done = false
	default:
		_, done = w.h.bus.Answer(w.h.now, r)
	}
	if !done && op%16 != 1 && op%16 != 6 {
		w.h.silence()
	}
	w.h.now = w.h.now.Add(3 * time.Millisecond)
	if w.open = nil; !done {
		w.open = bytes.Clone(w.h.wire)
	}
}

// operator does what somebody at the gateway does.
func (w *watchdog) operator(op byte) {
	now := w.h.now
	switch op % 16 {
	case 7:
		w.h.now = now.Add(time.Duration(op>>4) * time.Minute)
	case 8, 9:
		done := w.wait(func() {})
		if w.h.bus.SetKey(now, 5, keyB, done) != nil || op%16 == 9 && w.h.bus.EndSetKey(now, 5) {
			done(nil)
		}
	case 10:
		done := w.wait(func() { w.window = false })
		if err := w.h.bus.Install(now, 5, osdp.Key{5, 5, op}, now.Add(time.Minute), done); err != nil {
			was := w.window
			done(nil)
			w.window = was
			return
		}
		w.window, w.l.install = true, op>>4&1 == 0
	case 11:
		done := w.wait(func() { w.file = false })
		f := osdp.File{Type: 1, Content: make([]byte, int(op)*16), Credentials: true}
		if err := w.h.bus.SendFile(now, 5, f, nil, done); err != nil {
			was := w.file && errors.Is(err, osdp.ErrFileBusy)
			done(nil)
			w.file = was
			return
		}
		w.file = true
	case 12:
		w.h.bus.CancelFile(now, 5)
	case 13:
		w.h.bus.UseKeys(now, 5, osdp.Keys{Current: &keyA, Pending: &keyB})
		w.open = nil
	case 14:
		w.h.bus.Pin(now, 5, &osdp.Identity{Serial: 77 + uint32(op>>4), Vendor: [3]byte{1, 2, 3}})
		w.open = nil
	case 15:
		w.h.bus.EndInstall(now, 5)
		w.h.bus.Down(now)
		w.open = nil
	}
}

// answer has the PD take f. What it cannot open it leaves alone.
func (w *watchdog) answer(f osdp.Frame) osdp.Frame {
	w.heard, w.said = bytes.Clone(w.h.wire), w.l.answer(f)
	if f.Code == osdp.CodeKEYSET && f.SCBType < osdp.SCS15 {
		w.t.Fatal("a key in the clear")
	}
	return w.said
}

// look holds f, and what the bus says of itself, against what may be.
func (w *watchdog) look(f osdp.Frame, was osdp.PDStats) {
	if f.SCBType == 0 && f.Code != osdp.CodeID && f.Code != osdp.CodeCAP {
		w.t.Fatalf("command 0x%02x in the clear", f.Code)
	}
	if f.SCBType == osdp.SCS11 && osdp.AsksDefault(f) && !w.window {
		w.t.Fatal("SCBK-D, and nobody installs")
	}
	if w.l.def && w.l.session != nil && f.SCBType >= osdp.SCS15 && f.Code != osdp.CodeID && f.Code != osdp.CodeKEYSET {
		w.t.Fatalf("command 0x%02x under SCBK-D", f.Code)
	}
	if w.open != nil && f.Seq != 0 && !bytes.Equal(w.open, w.h.wire) && was.Online {
		w.t.Fatalf("repeated % x as % x", w.open, w.h.wire)
	}
}
