package osdptest_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/osdptest"
	"latchkey/wiegand"
)

// A panel speaks to a PD frame by frame, in a synctest bubble.
type panel struct {
	t    *testing.T
	conn net.Conn
	wait time.Duration // for the end of an answer
}

func serve(t *testing.T, pds ...*osdptest.PD) *panel {
	near, far := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := osdptest.ServeLine(ctx, far, pds...); err != nil {
			t.Errorf("ServeLine: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait(); near.Close(); far.Close() })
	return &panel{t, near, 400 * time.Millisecond}
}

// begun serves a PD at address 3 that the panel has spoken to.
func begun(t *testing.T, c osdptest.Config) (*osdptest.PD, *panel) {
	pd := osdptest.NewPD(c)
	p := serve(t, pd)
	p.send(command(t, 3, 0, osdp.ID{}))
	return pd, p
}

// send puts bytes on the line and returns what comes back, until nothing
// does for the wait.
func (p *panel) send(b []byte) []byte {
	p.t.Helper()
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatal(err)
	}
	var got []byte
	buf := make([]byte, 2000)
	for {
		p.conn.SetReadDeadline(time.Now().Add(p.wait))
		n, err := p.conn.Read(buf)
		got = append(got, buf[:n]...)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			synctest.Wait() // what is done once the reply has gone out
			return got
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

func encode(t *testing.T, f osdp.Frame) []byte {
	t.Helper()
	b, err := f.AppendBinary([]byte{osdp.Mark})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func command(t *testing.T, addr, seq uint8, c osdp.Command) []byte {
	t.Helper()
	data, err := c.AppendData(nil)
	if err != nil {
		t.Fatal(err)
	}
	return encode(t, osdp.Frame{Addr: addr, Seq: seq, Code: c.Code(), Data: data})
}

// reply takes the one frame in b apart; nil for silence.
func reply(t *testing.T, b []byte) (osdp.Frame, osdp.Reply) {
	t.Helper()
	if len(b) == 0 {
		return osdp.Frame{}, nil
	}
	f, n, err := osdp.ParseFrame(b[1:])
	if err != nil || n != len(b)-1 || !f.Reply {
		t.Fatalf("% x: %v, %v", b, f, err)
	}
	return f, osdp.ParseReply(f.Code, f.Data)
}

func bits(t *testing.T) wiegand.Bits {
	t.Helper()
	b, err := wiegand.MakeBits(26, []byte{1, 2, 3, 0x40})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestExchanges tells what a PD answers to what, one step after the other.
func TestExchanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := 0
		pd := osdptest.NewPD(osdptest.Config{Addr: 3, Inputs: 1, Outputs: 2, ID: osdp.PDID{Serial: 77}, OnCommand: func(osdp.Command) { done++ }})
		p := serve(t, pd)
		nak := func(c osdp.NAKCode) osdp.Reply { return osdp.NAK{Reason: c, Detail: []byte{}} }
		badCheck := command(t, 3, 3, osdp.POLL{})
		badCheck[len(badCheck)-1] ^= 1
		for i, tt := range []struct {
			name string
			wire []byte
			want osdp.Reply // nil: silence
			seq  uint8
			done int // commands carried out so far
		}{
			{"a sequence before the start", command(t, 3, 2, osdp.POLL{}), nak(osdp.NAKSequence), 2, 0},
			{"ID", command(t, 3, 0, osdp.ID{}), osdp.PDID{Serial: 77}, 0, 1},
			{"OUT", command(t, 3, 1, osdp.OUT{{Output: 1, Action: osdp.OutputOn}}), osdp.ACK{}, 1, 2},
			{"the same again is not carried out", command(t, 3, 1, osdp.OUT{{Output: 1, Action: osdp.OutputOn}}), osdp.ACK{}, 1, 2},
			{"another with the same sequence", command(t, 3, 1, osdp.OUT{{Output: 1, Action: osdp.OutputOff}}), nak(osdp.NAKSequence), 1, 2},
			{"a jump", command(t, 3, 3, osdp.POLL{}), nak(osdp.NAKSequence), 3, 2},
			{"POLL tells the change", command(t, 3, 2, osdp.POLL{}), osdp.OSTATR{0, 1}, 2, 3},
			{"another PD's", command(t, 4, 3, osdp.POLL{}), nil, 0, 3},
			{"a reply", encode(t, osdp.Frame{Addr: 3, Reply: true, Seq: 3, Code: osdp.CodeACK}), nil, 0, 3},
			{"bad check", badCheck, nak(osdp.NAKCheck), 3, 3},
			{"and right", command(t, 3, 3, osdp.POLL{}), osdp.ACK{}, 3, 4},
			{"withdrawn command", command(t, 3, 1, osdp.RawCommand{Op: 0x6c, Data: []byte{0, 0}}), nak(osdp.NAKUnknown), 1, 4},
			{"wrong length", command(t, 3, 2, osdp.RawCommand{Op: osdp.CodeBUZ, Data: []byte{0}}), nak(osdp.NAKLength), 2, 4},
			{"no such output", command(t, 3, 3, osdp.OUT{{Output: 0, Action: osdp.OutputOn}, {Output: 2, Action: osdp.OutputOn}}), nak(osdp.NAKRecord), 3, 4},
			{"none of a refused list", command(t, 3, 1, osdp.OSTAT{}), osdp.OSTATR{0, 1}, 1, 5},
			{"a light that shines neither on nor off", command(t, 3, 2, osdp.LED{{Permanent: osdp.Blink{Code: osdp.LEDPerm}}}), nak(osdp.NAKRecord), 2, 5},
			{"a session's frame", encode(t, osdp.Frame{Addr: 3, Seq: 3, SCBType: osdp.SCS15, Code: osdp.CodePOLL}), nak(osdp.NAKSecurity), 3, 5},
			{"new address", command(t, 3, 1, osdp.COMSET{Addr: 9, Baud: 9600}), osdp.COM{Addr: 9, Baud: 9600}, 1, 6},
			{"under the old one", command(t, 3, 2, osdp.POLL{}), nil, 0, 6},
			{"under the new one", command(t, 9, 2, osdp.POLL{}), osdp.ACK{}, 2, 7},
		} {
			got := p.send(tt.wire)
			f, r := reply(t, got)
			if !equal(r, tt.want) || tt.want != nil && f.Seq != tt.seq || done != tt.done {
				t.Errorf("%d %s: reply %v sequence %d, %d carried out; want %v sequence %d, %d", i, tt.name, r, f.Seq, done, tt.want, tt.seq, tt.done)
			}
		}
		f, r := reply(t, p.send(encode(t, osdp.Frame{Addr: osdp.Broadcast, Checksum: true, Code: osdp.CodeID, Data: []byte{0}})))
		if _, ok := r.(osdp.PDID); !ok || f.Addr != osdp.Broadcast || !f.Checksum {
			t.Errorf("broadcast with checksum: %v", f)
		}
	})
}

func equal(a, b osdp.Reply) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	x, _ := a.AppendData(nil)
	y, _ := b.AppendData(nil)
	return a.Code() == b.Code() && bytes.Equal(x, y)
}

// TestRepeatIsCached: a repeated POLL gets the same card, not the next one.
func TestRepeatIsCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pd, p := begun(t, osdptest.Config{Addr: 3})
		pd.Present(0, bits(t))
		first := p.send(command(t, 3, 1, osdp.POLL{}))
		if _, r := reply(t, first); r.Code() != osdp.CodeRAW {
			t.Fatalf("reply %v, want a card", r)
		}
		if again := p.send(command(t, 3, 1, osdp.POLL{})); !bytes.Equal(again, first) {
			t.Errorf("repeat % x, want % x", again, first)
		}
		if _, r := reply(t, p.send(command(t, 3, 2, osdp.POLL{}))); r.Code() != osdp.CodeACK {
			t.Errorf("the next poll: %v, want ACK", r)
		}
	})
}

// TestLateRepeat: after the panel was gone a repeat is none, and gets no card
// of long ago.
func TestLateRepeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pd, p := begun(t, osdptest.Config{Addr: 3})
		pd.Present(0, bits(t))
		poll := command(t, 3, 1, osdp.POLL{})
		p.send(poll)
		time.Sleep(9 * time.Second)
		if _, r := reply(t, p.send(poll)); !equal(r, nak(osdp.NAKSequence)) {
			t.Errorf("reply %v, want NAK 4", r)
		}
	})
}

// TestStaleCards are dropped: a door must not open for who is long gone.
func TestStaleCards(t *testing.T) {
	for _, tt := range []struct {
		name string
		wait time.Duration
		want byte
	}{{"fresh", 4 * time.Second, osdp.CodeRAW}, {"stale", 6 * time.Second, osdp.CodeACK}} {
		synctest.Test(t, func(t *testing.T) {
			pd, p := begun(t, osdptest.Config{Addr: 3})
			pd.Present(0, bits(t))
			time.Sleep(tt.wait)
			if _, r := reply(t, p.send(command(t, 3, 1, osdp.POLL{}))); r.Code() != tt.want {
				t.Errorf("%s: %v, want code %02x", tt.name, r, tt.want)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) { // read while the panel was gone
		pd, p := begun(t, osdptest.Config{Addr: 3, Inputs: 1})
		time.Sleep(9 * time.Second)
		pd.Key("1")
		pd.SetInput(0, true)
		if _, r := reply(t, p.send(command(t, 3, 1, osdp.POLL{}))); r.Code() != osdp.CodeISTATR {
			t.Errorf("after the panel was gone: %v, want the input alone", r)
		}
	})
}

// TestWithdrawnCard is not told; one at another head is.
func TestWithdrawnCard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pd, p := begun(t, osdptest.Config{Addr: 3, Readers: 2})
		pd.Present(0, bits(t))
		pd.Present(1, bits(t))
		pd.Withdraw(0)
		if _, r := reply(t, p.send(command(t, 3, 1, osdp.POLL{}))); r.Code() != osdp.CodeRAW || r.(osdp.RAW).Reader != 1 {
			t.Errorf("reply %v, want the card at reader 1", r)
		}
		if _, r := reply(t, p.send(command(t, 3, 2, osdp.POLL{}))); r.Code() != osdp.CodeACK {
			t.Errorf("reply %v, want ACK", r)
		}
	})
}

// TestOutputActions runs each action over each state before it.
func TestOutputActions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pd, p := begun(t, osdptest.Config{Addr: 3, Outputs: 1})
		seq := uint8(0)
		out := func(a osdp.OutputAction, d time.Duration) {
			seq = seq%3 + 1
			p.conn.Write(command(t, 3, seq, osdp.OUT{{Action: a, Timer: d}}))
			p.conn.SetReadDeadline(time.Time{})
			if _, err := p.conn.Read(make([]byte, 100)); err != nil {
				t.Fatal(err)
			}
		}
		const s = time.Second
		for i, tt := range []struct {
			before, a osdp.OutputAction // before: permanent state, then a for 2 s
			then      osdp.OutputAction // after 1 s
			want      [3]bool           // after 0.5 s, 1.5 s, 2.5 s
		}{
			{osdp.OutputOff, osdp.OutputOnFor, osdp.OutputNOP, [3]bool{true, true, false}},
			{osdp.OutputOn, osdp.OutputOnFor, osdp.OutputNOP, [3]bool{true, true, true}},
			{osdp.OutputOn, osdp.OutputOffFor, osdp.OutputNOP, [3]bool{false, false, true}},
			{osdp.OutputOff, osdp.OutputOnFor, osdp.OutputOff, [3]bool{true, false, false}},
			{osdp.OutputOff, osdp.OutputOffFor, osdp.OutputOn, [3]bool{false, true, true}},
			{osdp.OutputOff, osdp.OutputOnFor, osdp.OutputOnAfter, [3]bool{true, true, true}},
			{osdp.OutputOn, osdp.OutputOnFor, osdp.OutputOffAfter, [3]bool{true, true, false}},
			{osdp.OutputOff, osdp.OutputOnFor, osdp.OutputOnFor, [3]bool{true, true, true}}, // the time starts anew
			{osdp.OutputOff, osdp.OutputOn, osdp.OutputOff, [3]bool{true, false, false}},
		} {
			out(tt.before, 0)
			out(tt.a, 2*s)
			var got [3]bool
			time.Sleep(s / 2)
			got[0] = pd.Output(0)
			time.Sleep(s / 2)
			out(tt.then, 2*s)
			time.Sleep(s / 2)
			got[1] = pd.Output(0)
			time.Sleep(s)
			got[2] = pd.Output(0)
			if got != tt.want {
				t.Errorf("%d: %v, want %v", i, got, tt.want)
			}
			time.Sleep(5 * s)
		}
	})
}

// TestTwoOnALine answer each for themselves.
func TestTwoOnALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := serve(t, osdptest.NewPD(osdptest.Config{Addr: 1, ID: osdp.PDID{Serial: 1}}), osdptest.NewPD(osdptest.Config{Addr: 2, ID: osdp.PDID{Serial: 2}}))
		for addr := uint8(1); addr <= 2; addr++ {
			if f, r := reply(t, p.send(command(t, addr, 0, osdp.ID{}))); f.Addr != addr || r != osdp.Reply(osdp.PDID{Serial: uint32(addr)}) {
				t.Errorf("PD %d: %v %v", addr, f, r)
			}
		}
	})
}

// TestHalfACommandIsForgotten after the inter-character time.
func TestHalfACommandIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := serve(t, osdptest.NewPD(osdptest.Config{Addr: 3}))
		id := command(t, 3, 0, osdp.ID{})
		if got := p.send(id[:6]); len(got) != 0 {
			t.Errorf("answer % x to half a command", got)
		}
		if _, r := reply(t, p.send(id)); r == nil || r.Code() != osdp.CodePDID {
			t.Errorf("answer %v to a whole one", r)
		}
	})
}
