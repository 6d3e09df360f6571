package osdp_test

import (
	"bytes"
	"maps"
	"slices"
	"testing"
	"time"

	"latchkey/osdp"
)

// reply is r as the answer to f.
func (h *hand) reply(f osdp.Frame, r osdp.Reply) osdp.Frame {
	h.t.Helper()
	data, err := r.AppendData(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	f.Reply, f.Code, f.Data = true, r.Code(), data
	return f
}

// TestStrayReplies: a reply that nobody waits for is counted where it came from,
// and by what it is a sign of.
func TestStrayReplies(t *testing.T) {
	h := newHand(t, osdp.Options{}, 5, 6)
	h.up()
	first := h.next()
	h.answer(first, osdp.ACK{})
	second := h.next()
	if first.Addr == second.Addr {
		t.Fatalf("both polls went to PD %d", first.Addr)
	}
	from := func(addr uint8) osdp.PDStats {
		for _, s := range h.bus.Stats() {
			if s.Addr == addr {
				return s
			}
		}
		t.Fatalf("no PD %d", addr)
		return osdp.PDStats{}
	}

	h.bus.Answer(h.now, h.reply(first, osdp.ACK{})) // while the other one is asked
	if s := from(first.Addr); s.Unasked != 1 || s.Twice != 1 || s.Late != 0 {
		t.Errorf("a second answer: %d unasked, %d of them twice, %d late; want 1, 1, 0", s.Unasked, s.Twice, s.Late)
	}
	if s := from(second.Addr); s.Foreign != 1 {
		t.Errorf("%d foreign replies, want 1", s.Foreign)
	}
	h.silence()
	h.bus.Unasked(h.reply(second, osdp.ACK{}))
	if s := from(second.Addr); s.Late != 1 || s.Unasked != 0 {
		t.Errorf("an answer that came too late: %d late, %d unasked; want 1, 0", s.Late, s.Unasked)
	}
	babble := first
	babble.Seq = (first.Seq + 1) % 4
	h.bus.Unasked(h.reply(babble, osdp.ACK{}))
	if s := from(first.Addr); s.Unasked != 2 || s.Twice != 1 {
		t.Errorf("a reply to nothing: %d unasked, %d of them twice; want 2, 1", s.Unasked, s.Twice)
	}
	if s := from(first.Addr); s.Ignored != 2 {
		t.Errorf("%d ignored, want 2", s.Ignored)
	}
}

// TestRefusalsByCode: each code that has a name is counted by itself, and every
// other one with those that gave none.
func TestRefusalsByCode(t *testing.T) {
	counts := func(h *hand) map[osdp.NAKCode]uint64 { return maps.Collect(h.bus.Stats()[0].NAKCodes.All()) }
	named := []osdp.NAKCode{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0x10, 0x11, 0x12, 0xff}
	names := map[string]bool{}
	for code := range 256 {
		h := newHand(t, osdp.Options{}, 5)
		h.up()
		before := counts(h)
		h.answer(h.next(), osdp.NAK{Reason: osdp.NAKCode(code)})
		got, s := counts(h), h.bus.Stats()[0]
		if slices.Contains(named, osdp.NAKCode(code)) {
			before[osdp.NAKCode(code)]++
			names[osdp.NAKCode(code).String()] = true
		} else if s.NAKCodes.Other != 1 {
			t.Errorf("code 0x%02x: %d others, want 1", code, s.NAKCodes.Other)
		}
		var sum uint64
		for _, n := range got {
			sum += n
		}
		if !maps.Equal(got, before) || sum+s.NAKCodes.Other != s.NAKs {
			t.Errorf("code 0x%02x: %v and %d others of %d, want %v", code, got, s.NAKCodes.Other, s.NAKs, before)
		}
	}
	if len(names) != len(named) || names["error 0xff"] {
		t.Errorf("%d codes have the names %v", len(named), names)
	}
	h := newHandOf(t, osdp.Options{Rand: bytes.NewReader(make([]byte, 64))}, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}})
	f := h.nextAny()
	for ; f.Code != osdp.CodeCHLNG; f = h.nextAny() {
		h.answer(f, plain(f))
	}
	h.answer(osdp.Frame{Addr: f.Addr, Seq: f.Seq}, osdp.RawReply{Op: osdp.CodeNAK})
	if n := h.bus.Stats()[0].NAKCodes.Other; n != 1 {
		t.Errorf("%d refusals without a code, want 1", n)
	}
}

// TestCommandsForStrangers: a panel that asks PDs which are not ours is still
// another panel on our line.
func TestCommandsForStrangers(t *testing.T) {
	h := newHand(t, osdp.Options{}, 5)
	h.up()
	wire, err := osdp.Frame{Addr: 9, Code: osdp.CodePOLL}.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	f, _, err := osdp.ParseFrame(bytes.Clone(wire))
	if err != nil {
		t.Fatal(err)
	}
	h.bus.Unasked(f)
	if s := h.bus.Stats()[0]; s.OtherPanel != 1 {
		t.Errorf("%d commands of another panel, want 1", s.OtherPanel)
	}
}

// TestLatency: a time belongs to the first bucket whose bound it does not pass.
func TestLatency(t *testing.T) {
	h := newHand(t, osdp.Options{}, 5)
	h.up()
	before := h.bus.Stats()[0].Latency
	for range 3 { // each is answered after 3 ms
		h.answer(h.next(), osdp.ACK{})
	}
	l := h.bus.Stats()[0].Latency
	if l.Count()-before.Count() != 3 || l.Sum-before.Sum != 9*time.Millisecond || l.Counts[3]-before.Counts[3] != 3 || l.Bound(3) != 4*time.Millisecond {
		t.Errorf("%d answers in %v, %v, bound %v; want 3 in 9ms below 4ms", l.Count()-before.Count(), l.Sum-before.Sum, l.Counts, l.Bound(3))
	}
	if l.Quantile(0.5) != 3*time.Millisecond {
		t.Errorf("half came within %v, want the longest, 3ms", l.Quantile(0.5))
	}
}
