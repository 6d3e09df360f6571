package osdp_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"testing"
	"time"

	"latchkey/osdp"
)

// A hand drives a Bus without a line.
type hand struct {
	t    testing.TB
	bus  *osdp.Bus
	now  time.Time
	wire []byte

	baud     int   // of the last exchange
	lastAddr uint8 // likewise
}

func newHand(t testing.TB, opt osdp.Options, addrs ...uint8) *hand {
	var pds []osdp.PDConfig
	for _, a := range addrs {
		pds = append(pds, osdp.PDConfig{Addr: a, Security: osdp.AllowClear})
	}
	return newHandOf(t, opt, pds...)
}

func newHandOf(t testing.TB, opt osdp.Options, pds ...osdp.PDConfig) *hand {
	return &hand{t: t, bus: osdp.NewBus(pds, opt), now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
}

// next goes to the next exchange and gives its frame, which is clear.
func (h *hand) next() osdp.Frame {
	h.t.Helper()
	f := h.nextAny()
	if f.SCBType != 0 {
		h.t.Fatalf("Next gave %v", f)
	}
	return f
}

func (h *hand) nextAny() osdp.Frame {
	h.t.Helper()
	for range 1000 {
		x, wait := h.bus.Next(h.now)
		if len(x.Wire) == 0 {
			h.now = h.now.Add(wait)
			continue
		}
		h.wire, h.baud, h.lastAddr = bytes.Clone(x.Wire), x.Baud, x.Addr
		f, n, err := osdp.ParseFrame(h.wire[1:])
		if err != nil || n != len(h.wire)-1 || h.wire[0] != osdp.Mark || f.Reply || f.Addr != x.Addr {
			h.t.Fatalf("Next gave % x: %v, %v", x.Wire, f, err)
		}
		return f
	}
	h.t.Fatal("no exchange in 1000 waits")
	return osdp.Frame{}
}

// answer answers f with r, 3 ms later.
func (h *hand) answer(f osdp.Frame, r osdp.Reply) ([]osdp.Event, bool) {
	h.t.Helper()
	h.now = h.now.Add(3 * time.Millisecond)
	return h.bus.Answer(h.now, h.reply(f, r))
}

func (h *hand) silence() []osdp.Event {
	h.now = h.now.Add(210 * time.Millisecond)
	return h.bus.Silence(h.now)
}

// up brings every PD up, and gives the number of exchanges it took.
func (h *hand) up() {
	h.t.Helper()
	for range 1000 {
		f := h.next()
		h.answer(f, plain(f))
		if f.Code == osdp.CodePOLL && !slices.ContainsFunc(h.bus.Stats(), func(s osdp.PDStats) bool { return !s.Online || s.Polls == 0 }) {
			return
		}
	}
	h.t.Fatal("not up")
}

// plain is what a simple PD answers.
func plain(f osdp.Frame) osdp.Reply {
	switch f.Code {
	case osdp.CodeID:
		return osdp.PDID{Serial: uint32(f.Addr)}
	case osdp.CodeCAP:
		return osdp.PDCAP{{Function: osdp.CapCheck, Compliance: 1}}
	case osdp.CodeLSTAT:
		return osdp.LSTATR{}
	case osdp.CodeISTAT, osdp.CodeRSTAT:
		return osdp.NAK{Reason: osdp.NAKUnknown} // a PD without inputs may well refuse it
	}
	return osdp.ACK{}
}

// TestBytesOfTheBringUp holds what the bus sends against what another panel put
// on a wire for the same commands at the same address.
func TestBytesOfTheBringUp(t *testing.T) {
	h := newHand(t, osdp.Options{MaxReply: 128}, 5)
	recorded := map[string]bool{}
	for _, v := range wireStrings(t) {
		recorded[hex.EncodeToString(v.b)] = true
	}
	for i, want := range []string{
		"ff53050900046100c125", // ID, sequence 0
		"ff53050900056200a247", // CAP, 1
		"ff530508000660deef",   // POLL, 2: for what the PD kept from before
		"ff530508000764",       // LSTAT, 3
		"ff530508000565",       // ISTAT, 1 again: 0 is for starts
		"ff530508000666",       // OSTAT, 2
		"ff530508000767",       // RSTAT, 3
		"ff5305080005608dba",   // POLL, 1
		"ff530508000660deef",   // POLL, 2
		"ff530508000760efdc",   // POLL, 3
	} {
		f := h.next()
		got := hex.EncodeToString(h.wire)
		if len(want) == 14 { // not in the recordings at this sequence
			want, got = want[:14], got[:14]
		} else if !recorded[want] {
			t.Fatalf("%s is not a recorded string", want)
		}
		if got != want {
			t.Errorf("exchange %d: sent %s, want %s", i, got, want)
		}
		h.answer(f, plain(f))
	}
}

// TestCardsFromBeforeAreStale: what a PD kept while nobody polled it opens no
// door, however much it is. What is shown once it is online counts, and a PD
// that merely lost its place keeps its card.
func TestCardsFromBeforeAreStale(t *testing.T) {
	h := newHand(t, osdp.Options{}, 5)
	card := osdp.RAW{Reader: 1, Bits: 26, Data: []byte{1, 2, 3, 0x40}}
	kept := []osdp.Reply{card, osdp.KEYPAD{Keys: []byte("1234")}, osdp.LSTATR{}, osdp.FMT{Chars: []byte("42")}, card, osdp.ACK{}}
	bring := func(polled ...osdp.Reply) (kinds []osdp.Kind) {
		for len(kinds) == 0 || kinds[len(kinds)-1] != osdp.ReaderStatus {
			f := h.next()
			r := plain(f)
			switch {
			case f.Code == osdp.CodePOLL:
				r, polled = polled[0], polled[1:]
			case f.Code == osdp.CodeRSTAT:
				r = osdp.RSTATR{0}
			}
			evs, _ := h.answer(f, r)
			for _, e := range evs {
				kinds = append(kinds, e.Kind)
			}
		}
		return kinds
	}
	for _, when := range []string{"at the start", "after a pause"} {
		want := []osdp.Kind{osdp.StaleCard, osdp.StaleCard, osdp.StaleCard, osdp.StaleCard, osdp.Online, osdp.LocalStatus, osdp.ReaderStatus}
		if got := bring(kept...); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
		if evs, _ := h.answer(h.next(), card); len(evs) != 1 || evs[0].Kind != osdp.Card {
			t.Errorf("%s: a card shown now: %v", when, evs)
		}
		for h.bus.Stats()[0].Online {
			h.next()
			h.silence()
		}
	}
	bring(osdp.ACK{})
	f := h.next()
	f.Seq = 0
	h.answer(f, osdp.NAK{Reason: osdp.NAKSequence}) // it has rebooted
	if got := bring(); slices.Contains(got, osdp.Online) || !slices.Contains(got, osdp.Restarted) {
		t.Errorf("a PD that lost its place: %v, want it restarted", got)
	}
	if evs, _ := h.answer(h.next(), card); len(evs) != 1 || evs[0].Kind != osdp.Card {
		t.Errorf("its card: %v", evs)
	}
}

// TestDrainEnds: a PD that never says that it has no more comes online all the
// same.
func TestDrainEnds(t *testing.T) {
	h := newHand(t, osdp.Options{}, 5)
	for range 1000 {
		f := h.next()
		r := plain(f)
		if f.Code == osdp.CodePOLL {
			r = osdp.RAW{Bits: 8, Data: []byte{1}}
		}
		if h.answer(f, r); h.bus.Stats()[0].Online {
			return
		}
	}
	t.Error("not online after 1000 exchanges")
}

// TestRepeatsAreIdentical: no valid reply, the same bytes; a valid one, the next
// sequence number.
func TestRepeatsAreIdentical(t *testing.T) {
	h := newHand(t, osdp.Options{}, 5)
	h.up()
	first := h.next()
	sent := h.wire
	for i, spoil := range []func(f *osdp.Frame){
		func(f *osdp.Frame) { f.Addr = 6 },
		func(f *osdp.Frame) { f.Seq = f.Seq%3 + 1 },
		func(f *osdp.Frame) { f.SCBType = osdp.SCS16 },
	} {
		f := first
		spoil(&f)
		if evs, done := h.answer(f, osdp.RAW{Bits: 8, Data: []byte{1}}); done || len(evs) != 0 {
			t.Errorf("no answer %d: taken as one: %v", i, evs)
		}
	}
	if evs, done := h.bus.Answer(h.now, first); done || len(evs) != 0 {
		t.Errorf("our own echo: taken as an answer: %v", evs)
	}
	if n := h.bus.Stats()[0].Ignored; n != 4 {
		t.Errorf("%d frames ignored, want 4", n)
	}
	h.silence()
	if h.next(); !bytes.Equal(h.wire, sent) {
		t.Errorf("repeated % x, want % x", h.wire, sent)
	}
	busy := first
	busy.Seq = first.Seq%3 + 1
	if _, done := h.answer(busy, osdp.BUSY{}); done {
		t.Error("BUSY of another exchange: taken as an answer")
	}
	busy.Seq = 0
	before := h.now
	h.answer(busy, osdp.BUSY{})
	if h.next(); !bytes.Equal(h.wire, sent) || h.now.Sub(before) < 50*time.Millisecond {
		t.Errorf("after BUSY sent % x after %v, want % x after a while", h.wire, h.now.Sub(before), sent)
	}
	h.answer(first, osdp.ACK{})
	if f := h.next(); f.Seq != first.Seq%3+1 {
		t.Errorf("sequence %d after %d", f.Seq, first.Seq)
	}
}

// TestLateStartReplyIsNoReset: a PD that is slow to its first answer repeats it;
// with sequence 0 it looks like a reset request, and starting over would never end.
func TestLateStartReplyIsNoReset(t *testing.T) {
	h := newHand(t, osdp.Options{}, 5)
	f := h.next()
	h.answer(f, osdp.PDID{Serial: 7})
	if c := h.next(); c.Code != osdp.CodeCAP {
		t.Fatalf("sent %v, want CAP", c)
	}
	if _, done := h.answer(f, osdp.PDID{Serial: 7}); done {
		t.Error("the repeated PDID ended CAP")
	}
	if _, done := h.answer(f, osdp.ACK{}); !done || h.next().Seq != 0 {
		t.Error("a reset request was not obeyed")
	}
}

// TestUnlockGoesFirst, before polls that are due longer, and in the order of Submit.
func TestUnlockGoesFirst(t *testing.T) {
	h := newHand(t, osdp.Options{}, 1, 2, 3)
	h.up()
	h.now = h.now.Add(80 * time.Millisecond) // all polls are due
	var done []uint8
	for _, addr := range []uint8{3, 2} {
		if _, err := h.bus.Submit(h.now, addr, []osdp.Command{osdp.OUT{{Action: osdp.OutputOn}}}, func([]osdp.Reply, error) { done = append(done, addr) }); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		f := h.next()
		if f.Code != osdp.CodeOUT {
			t.Errorf("sent %v, want OUT", f)
		}
		h.answer(f, osdp.ACK{})
	}
	if !slices.Equal(done, []uint8{3, 2}) {
		t.Errorf("done %v, want 3, 2", done)
	}
}

// TestDoorsGoFirst, before commands that were there long before, on another PD's
// queue and on their own, in the order of Submit; and those go on behind it.
func TestDoorsGoFirst(t *testing.T) {
	h := newHand(t, osdp.Options{}, 1, 2)
	h.up()
	text := osdp.TEXT{Mode: osdp.TextPermanent, Row: 1, Col: 1, Text: "please wait"}
	var done []string
	submit := func(name string, addr uint8, cmds ...osdp.Command) {
		t.Helper()
		if _, err := h.bus.Submit(h.now, addr, cmds, func(_ []osdp.Reply, err error) {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			done = append(done, name)
		}); err != nil {
			t.Fatal(err)
		}
	}
	submit("texts", 1, text, text, text)
	submit("text", 2, text)
	f := h.next()
	submit("first door", 1, osdp.OUT{{Action: osdp.OutputOn}}, text)
	submit("second door", 2, osdp.OUT{{Action: osdp.OutputOn}})
	h.answer(f, osdp.ACK{})
	for range 60 {
		if f := h.next(); f.Code == osdp.CodePOLL {
			h.answer(f, osdp.ACK{})
		} else {
			h.answer(f, plain(f))
		}
	}
	if want := []string{"first door", "second door", "texts", "text"}; !slices.Equal(done, want) {
		t.Errorf("done %q, want %q", done, want)
	}
}

// TestPollsByDefault are the closer the fewer PDs there are.
func TestPollsByDefault(t *testing.T) {
	for n, want := range map[int]time.Duration{1: 20 * time.Millisecond, 2: 20 * time.Millisecond, 3: 30 * time.Millisecond, 5: 50 * time.Millisecond, 12: 50 * time.Millisecond} {
		addrs := make([]uint8, n)
		for i := range addrs {
			addrs[i] = uint8(i)
		}
		h := newHand(t, osdp.Options{}, addrs...)
		h.up()
		before, start := h.bus.Stats()[0].Polls, h.now
		for h.bus.Stats()[0].Polls < before+20 {
			f := h.next()
			h.answer(f, osdp.ACK{})
		}
		if got := h.now.Sub(start) / 20; got < want-want/20 || got > want+want/20 {
			t.Errorf("%d PDs: polled each %v, want %v", n, got, want)
		}
	}
}

// TestPollsAreFair: at 9600 baud 32 PDs share the wire evenly, as fast as it is.
func TestPollsAreFair(t *testing.T) {
	var addrs []uint8
	for i := range 32 {
		addrs = append(addrs, uint8(i))
	}
	h := newHand(t, osdp.Options{}, addrs...)
	h.up()
	for range 8 * len(addrs) { // the four questions for states take turns with polls
		h.answer(h.next(), osdp.ACK{})
	}
	before := h.bus.Stats()
	start := h.now
	for h.now.Sub(start) < 10*time.Second {
		f := h.next()
		h.now = h.now.Add(19 * time.Millisecond) // POLL and ACK in the air
		h.answer(f, osdp.ACK{})
	}
	least, most := uint64(1<<63), uint64(0)
	for i, s := range h.bus.Stats() {
		n := s.Polls - before[i].Polls
		least, most = min(least, n), max(most, n)
	}
	// 10 s hold 454 exchanges of 22 ms: 14 for each of 32.
	if least < 13 || most > least+1 {
		t.Errorf("polls from %d to %d, want 14 each", least, most)
	}
}

func TestCheckPDs(t *testing.T) {
	for _, tt := range []struct {
		pds []osdp.PDConfig
		ok  bool
	}{
		{nil, true},
		{[]osdp.PDConfig{{Addr: 0}, {Addr: 126}}, true},
		{[]osdp.PDConfig{{Addr: osdp.Broadcast}}, true},
		{[]osdp.PDConfig{{Addr: osdp.Broadcast}, {Addr: 1}}, false},
		{[]osdp.PDConfig{{Addr: 128}}, false},
		{[]osdp.PDConfig{{Addr: 1}, {Addr: 2}, {Addr: 1}}, false},
	} {
		if err := osdp.CheckPDs(tt.pds); (err == nil) != tt.ok {
			t.Errorf("CheckPDs(%v) = %v, want ok %v", tt.pds, err, tt.ok)
		}
	}
}

// TestRestartLoopEnds: a PD that wants to start over for ever is offline, not a
// bus that does nothing else.
func TestRestartLoopEnds(t *testing.T) {
	h := newHand(t, osdp.Options{}, 5, 6)
	h.up()
	start := h.now
	var failed error
	if _, err := h.bus.Submit(h.now, 5, []osdp.Command{osdp.OUT{{}}}, func(_ []osdp.Reply, err error) { failed = err }); err != nil {
		t.Fatal(err)
	}
	polls, starts := 0, 0
	for h.now.Sub(start) < time.Minute {
		f := h.next()
		switch {
		case f.Addr == 6:
			polls++
			h.answer(f, plain(f))
		case f.Seq == 0:
			starts++
			h.answer(f, plain(f))
		default:
			h.answer(f, osdp.NAK{Reason: osdp.NAKSequence})
		}
	}
	if !errors.Is(failed, osdp.ErrOffline) || h.bus.Stats()[0].Online {
		t.Errorf("online %v, the command's error %v; want offline", h.bus.Stats()[0].Online, failed)
	}
	if polls < 1000 || starts > 60 {
		t.Errorf("in a minute: the neighbour was polled %d times, %d starts", polls, starts)
	}
}

// FuzzBus lets a hostile PD answer anything at any time. The bus never panics,
// sends only whole frames, repeats only identical bytes, and calls done once.
func FuzzBus(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 3, 0, 0, 5, 0, 0})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 9, 2, 3, 4, 10, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15})
	f.Fuzz(func(t *testing.T, ops []byte) {
		h := newHand(t, osdp.Options{}, 5, 6)
		var last [7][]byte // unanswered bytes by address
		pending := map[uint64]int{}
		for i, op := range ops {
			fr := h.next()
			if was := last[fr.Addr]; was != nil && fr.Seq != 0 && !bytes.Equal(was, h.wire) && h.bus.Stats()[fr.Addr-5].Online {
				t.Fatalf("op %d: repeated % x as % x", i, was, h.wire)
			}
			last[fr.Addr] = h.wire
			taken := true
			switch op % 16 {
			case 1, 2:
				h.silence()
				taken = false
			case 3:
				h.answer(fr, osdp.NAK{Reason: osdp.NAKCode(op >> 4)})
			case 4:
				r := fr
				r.Seq = 0
				h.answer(r, osdp.BUSY{})
				taken = false
			case 5:
				r := fr
				r.Seq = op >> 4 & 3
				_, taken = h.answer(r, osdp.RAW{Bits: 9, Data: []byte{0xff, 0xff}})
				if !taken {
					h.silence()
				}
			case 6:
				_, taken = h.answer(fr, osdp.RawReply{Op: op, Data: ops[:i]})
			case 7:
				h.answer(fr, osdp.COM{Addr: op >> 4, Baud: 1})
				return // the addresses are others from here
			case 8:
				h.bus.Down(h.now)
				last = [7][]byte{}
				continue
			case 9, 10:
				var id uint64
				id, err := h.bus.Submit(h.now, 5, []osdp.Command{osdp.OUT{{}}, osdp.POLL{}}, func([]osdp.Reply, error) { pending[id]-- })
				if err == nil {
					pending[id]++
				}
				if op%16 == 10 && err == nil {
					h.bus.Cancel(h.now, id)
					delete(pending, id)
				}
				h.answer(fr, plain(fr))
			default:
				h.answer(fr, plain(fr))
			}
			if taken {
				last[fr.Addr] = nil
			}
		}
		h.bus.Down(h.now)
		for id, n := range pending {
			if n != 0 {
				t.Errorf("request %d: done was called %d times", id, 1-n)
			}
		}
	})
}

// TestOddReplies: a PD that says what nobody asked for, or wrongly, is told of
// and stays online; none of it is taken for a card.
func TestOddReplies(t *testing.T) {
	h := newHand(t, osdp.Options{}, 5)
	h.up()
	for _, tt := range []struct {
		reply osdp.Reply
		want  osdp.Kind
	}{
		{osdp.RAW{Data: []byte{1, 2}}, osdp.Malformed},                                        // a card of no bits
		{osdp.RawReply{Op: osdp.CodeRAW, Data: []byte{0, 0, 26, 0, 1, 2, 3}}, osdp.Malformed}, // 26 bits in 3 bytes
		{osdp.RawReply{Op: osdp.CodeKEYPAD, Data: []byte{0, 9, '1'}}, osdp.Malformed},
		{osdp.RawReply{Op: osdp.CodeMFGREP, Data: []byte{1, 2}}, osdp.Malformed},
		{osdp.RawReply{Op: osdp.CodeXRD, Data: []byte{1}}, osdp.Malformed},
		{osdp.RawReply{Op: 0xc9, Data: []byte{1}}, osdp.Other}, // no code of the standard
		{osdp.MFGREP{Vendor: [3]byte{1, 2, 3}, Data: []byte{4}}, osdp.Other},
		{osdp.BIOMATCHR{Score: 9}, osdp.Other},
		{osdp.XRD{Mode: osdp.ModeTransparent, Reply: 1, Data: []byte{0, 2}}, osdp.Other},
		{osdp.NAK{Reason: osdp.NAKSecurity}, osdp.Nak},
		{osdp.FMT{Direction: osdp.DirectionForward, Chars: []byte("1234")}, osdp.CardText},
		{osdp.FMT{Direction: osdp.DirectionBackward, Chars: []byte("4321")}, osdp.CardText},
		{osdp.RAW{Bits: 9, Data: []byte{0xff, 0xff}}, osdp.Card},
		{osdp.COM{Addr: 99}, 0}, // nobody asked: the address stays
		{osdp.PDID{}, 0},
	} {
		evs, done := h.answer(h.next(), tt.reply)
		if !done || tt.want == 0 && len(evs) != 0 || tt.want != 0 && (len(evs) != 1 || evs[0].Kind != tt.want) {
			t.Errorf("%v: events %v, want %v", tt.reply, evs, tt.want)
		}
		if f, ok := tt.reply.(osdp.FMT); ok && evs[0].Backward != (f.Direction == osdp.DirectionBackward) {
			t.Errorf("%d: backward %v", f.Direction, evs[0].Backward)
		}
		if tt.want == osdp.Card && !bytes.Equal(evs[0].Data, []byte{0xff, 0x80}) {
			t.Errorf("card of 9 bits % x, want ff 80", evs[0].Data)
		}
	}
	if s := h.bus.Stats()[0]; !s.Online || s.Addr != 5 || s.ID.Serial != 5 {
		t.Errorf("stats %+v", s)
	}
	var got []osdp.Reply // what was asked for goes to who asked
	if _, err := h.bus.Submit(h.now, 5, []osdp.Command{osdp.MFG{}}, func(r []osdp.Reply, _ error) { got = r }); err != nil {
		t.Fatal(err)
	}
	if evs, _ := h.answer(h.next(), osdp.MFGREP{}); len(evs) != 0 || len(got) != 1 {
		t.Errorf("a reply to MFG: events %v, replies %v", evs, got)
	}
}

// TestRefusedStart: a PD that refuses to say who it is (for it wants
// encryption, say) is told of once and asked again, ever more seldom.
func TestRefusedStart(t *testing.T) {
	h := newHand(t, osdp.Options{}, 5)
	start, naks, asked := h.now, 0, 0
	for h.now.Sub(start) < time.Minute {
		evs, _ := h.answer(h.next(), osdp.NAK{Reason: osdp.NAKSecurity})
		asked++
		for _, e := range evs {
			if e.Kind != osdp.Nak || e.NAK != osdp.NAKSecurity {
				t.Errorf("event %v", e)
			}
			naks++
		}
	}
	if naks != 1 || asked > 25 || h.bus.Stats()[0].Online {
		t.Errorf("%d events, asked %d times in a minute", naks, asked)
	}
	h.answer(h.next(), osdp.PDID{})
	h.answer(h.next(), osdp.NAK{Reason: osdp.NAKUnknown}) // CAP
	h.answer(h.next(), osdp.NAK{Reason: osdp.NAKUnknown}) // ACURXSIZE
	if evs, _ := h.answer(h.next(), osdp.ACK{}); len(evs) != 1 || evs[0].Kind != osdp.Online || evs[0].Caps.ReceiveSize() != 128 {
		t.Errorf("events %v, want online without capabilities", evs)
	}
}

// TestFlowOfCommands: with commands queued without end, each other PD gets its
// poll when it is overdue.
func TestFlowOfCommands(t *testing.T) {
	h := newHand(t, osdp.Options{}, 1, 2)
	h.up()
	for range 200 {
		if _, err := h.bus.Submit(h.now, 1, []osdp.Command{osdp.BUZ{}}, func([]osdp.Reply, error) {}); err != nil {
			t.Fatal(err)
		}
	}
	last := h.now
	for sent := 0; sent < 200; {
		f := h.next()
		if h.now.Sub(last) > 110*time.Millisecond {
			t.Fatalf("PD 2 was not polled for %v", h.now.Sub(last))
		}
		switch {
		case f.Addr == 2:
			last = h.now
		case f.Code == osdp.CodeBUZ:
			sent++
		}
		h.answer(f, osdp.ACK{})
	}
}

// TestCancelBetweenTries: what was sent and not answered is not sent again, and
// the PD is brought up anew because nobody knows what it did.
func TestCancelBetweenTries(t *testing.T) {
	for _, tt := range []struct {
		name   string
		before func(h *hand, f osdp.Frame)
	}{
		{"after silence", func(h *hand, _ osdp.Frame) { h.silence() }},
		{"after BUSY", func(h *hand, f osdp.Frame) { f.Seq = 0; h.answer(f, osdp.BUSY{}) }},
		{"after a failed port", func(*hand, osdp.Frame) {}},
	} {
		for _, early := range []bool{false, true} { // Cancel before that happens, or after
			h := newHand(t, osdp.Options{}, 5)
			h.up()
			id, err := h.bus.Submit(h.now, 5, []osdp.Command{osdp.OUT{{}}}, func([]osdp.Reply, error) { t.Errorf("%s: done was called", tt.name) })
			if err != nil {
				t.Fatal(err)
			}
			f := h.next()
			if f.Code != osdp.CodeOUT {
				t.Fatalf("sent %v, want OUT", f)
			}
			if early {
				h.bus.Cancel(h.now, id)
			}
			tt.before(h, f)
			if !early {
				h.bus.Cancel(h.now, id)
			}
			if f := h.next(); f.Code != osdp.CodeID || f.Seq != 0 {
				t.Errorf("%s, cancelled before it %v: sent %v, want ID", tt.name, early, f)
			}
		}
	}
}

// TestNoiseIsNoRefusal: a PD that has taken a CRC keeps being spoken to with it.
func TestNoiseIsNoRefusal(t *testing.T) {
	h := newHand(t, osdp.Options{}, 5)
	h.up()
	for range 6 {
		h.answer(h.next(), osdp.NAK{Reason: osdp.NAKCheck})
	}
	if f := h.next(); f.Checksum || f.Seq == 0 {
		t.Errorf("sent %v, checksum %v", f, f.Checksum)
	}
}

// TestMovedPD: a PD that says it moves is looked for at its new address and
// speed, and at the old ones if it never comes; then at either in turn.
func TestMovedPD(t *testing.T) {
	for _, tt := range []struct {
		name  string
		to    uint8
		moves bool
		lost  int // answers at its place that are lost
		deaf  int // its COM is lost so often
	}{{"moves", 9, true, 0, 0}, {"stays", 9, false, 0, 0}, {"moves, and a few answers are lost", 9, true, 2, 0}, {"is away for a while", 9, true, 30, 0},
		{"changes its speed", 5, true, 0, 0}, {"keeps its speed", 5, false, 0, 0}, {"moves, and its COM is lost", 9, true, 0, 1},
		{"changes its speed, and its COM is lost", 5, true, 0, 1}, {"does not hear for a while", 9, false, 0, 5}} {
		h := newHand(t, osdp.Options{}, 5, 6)
		h.up()
		told := false
		if _, err := h.bus.Submit(h.now, 5, []osdp.Command{osdp.COMSET{Addr: tt.to, Baud: 38400}}, func(_ []osdp.Reply, err error) { told = err == nil }); err != nil {
			t.Fatal(err)
		}
		addr, baud := uint8(5), 9600
		for end := h.now.Add(time.Minute); h.now.Before(end) && !(told && h.bus.Stats()[0].Online && h.bus.Stats()[0].Addr == addr && h.baud == baud && h.lastAddr == addr); {
			f := h.next()
			switch {
			case f.Addr == 6:
				h.answer(f, plain(f))
			case f.Addr != addr || h.baud != baud:
				h.silence()
			case f.Code == osdp.CodeCOMSET:
				if tt.moves {
					addr, baud = tt.to, 38400
				}
				if tt.deaf > 0 {
					tt.deaf--
					h.silence()
					continue
				}
				h.answer(f, osdp.COM{Addr: tt.to, Baud: 38400})
			case told && tt.lost > 0:
				tt.lost--
				h.silence()
			default:
				h.answer(f, plain(f))
			}
		}
		if s := h.bus.Stats()[0]; !told || !s.Online || s.Addr != addr {
			t.Errorf("%s: told %v, online %v at address %d, want %d", tt.name, told, s.Online, s.Addr, addr)
		}
		if s := h.bus.Stats()[1]; !s.Online {
			t.Errorf("%s: its neighbour is offline", tt.name)
		}
	}
}

// TestBusyFromTheStart: a PD that only ever says BUSY, late or at once, takes no
// more of the line than a dead one, and comes up when it is done.
func TestBusyFromTheStart(t *testing.T) {
	for _, late := range []time.Duration{2 * time.Millisecond, 190 * time.Millisecond} {
		h := newHand(t, osdp.Options{Baud: 115200}, 5, 6)
		var taken, worst time.Duration
		start := h.now
		last := start
		for settled := start.Add(10 * time.Second); h.now.Sub(start) < 5*time.Minute; {
			f := h.next()
			if f.Addr == 6 {
				if f.Code == osdp.CodePOLL && h.now.After(settled) {
					worst = max(worst, h.now.Sub(last))
				}
				last = h.now
				h.answer(f, plain(f))
				continue
			}
			sent := h.now
			h.now = h.now.Add(late)
			h.bus.Answer(h.now, h.reply(osdp.Frame{Addr: 5}, osdp.BUSY{}))
			if sent.After(settled) {
				taken += h.now.Sub(sent)
			}
		}
		if share := taken.Seconds() / h.now.Sub(start).Seconds(); share > 0.055 {
			t.Errorf("BUSY after %v: it takes %.1f %% of the line, its neighbour's worst gap is %v", late, 100*share, worst)
		}
		for end := h.now.Add(10 * time.Second); h.now.Before(end) && !h.bus.Stats()[0].Online; {
			f := h.next()
			h.answer(f, plain(f))
		}
		if !h.bus.Stats()[0].Online {
			t.Errorf("BUSY after %v: it did not come up when it was no longer busy", late)
		}
	}
}
