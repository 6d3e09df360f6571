package osdp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/osdptest"
	"latchkey/wiegand"
)

// A rig is a line with simulated PDs at its other end, in a synctest bubble.
type rig struct {
	t    *testing.T
	line *osdp.Line
	pds  []*osdptest.PD
	stop func() // ends Run and the PDs

	mu     sync.Mutex
	events []osdp.Event
	times  []time.Duration // of events, since the start
	start  time.Time
	on     func(osdp.Event) // called with each; nil for none
}

// newRig runs a line for the PDs in cfgs until the test ends.
func newRig(t *testing.T, opt osdp.Options, cfgs ...osdptest.Config) *rig {
	r := &rig{t: t, start: time.Now()}
	var list []osdp.PDConfig
	for _, c := range cfgs {
		r.pds = append(r.pds, osdptest.NewPD(c))
		list = append(list, panelOf(c))
	}
	panel, reader := net.Pipe()
	ctx, cancel := context.WithCancel(t.Context())
	r.line = osdp.NewLine(osdp.NewBus(list, opt), func(context.Context) (osdp.Port, error) { return panel, nil }, nil)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := osdptest.ServeLine(ctx, reader, r.pds...); err != nil {
			t.Errorf("ServeLine: %v", err)
		}
	})
	wg.Go(func() {
		if err := r.line.Run(ctx, r.emit); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	r.stop = func() {
		cancel()
		wg.Wait()
	}
	t.Cleanup(func() {
		r.stop()
		reader.Close()
	})
	return r
}

// panelOf is what the panel knows of the PD of c: its key, if it has one.
func panelOf(c osdptest.Config) osdp.PDConfig {
	p := osdp.PDConfig{Addr: c.Addr, Name: "reader", Security: osdp.AllowClear}
	if c.SCBK != nil {
		p.Security, p.Keys.Current = osdp.RequireSCBK, c.SCBK
	}
	return p
}

func (r *rig) emit(e osdp.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	r.times = append(r.times, time.Since(r.start))
	if r.on != nil {
		r.on(e)
	}
}

// pass lets d go by and returns the kinds of the events in it.
func (r *rig) pass(d time.Duration) (kinds []osdp.Kind) {
	for _, e := range r.passEvents(d) {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func (r *rig) passEvents(d time.Duration) []osdp.Event {
	r.mu.Lock()
	before := len(r.events)
	r.mu.Unlock()
	time.Sleep(d)
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events[before:])
}

func (r *rig) stats(i int) osdp.PDStats { return r.line.Stats()[i] }

// up waits until all PDs are online.
func (r *rig) up() {
	r.t.Helper()
	r.pass(time.Second)
	for _, s := range r.line.Stats() {
		if !s.Online {
			r.t.Fatalf("PD %d is not online after a second: %+v", s.Addr, s)
		}
	}
}

var card = func() wiegand.Bits {
	b, err := wiegand.MakeBits(26, []byte{0xab, 0xcd, 0xef, 0x80})
	if err != nil {
		panic(err)
	}
	return b
}()

var bringUp = []osdp.Kind{osdp.Online, osdp.LocalStatus, osdp.Inputs, osdp.Outputs, osdp.ReaderStatus}

func config(addr uint8) osdptest.Config {
	return osdptest.Config{Addr: addr, Inputs: 2, Outputs: 2, ID: osdp.PDID{Serial: 1000 + uint32(addr)}}
}

// secured is config for a PD with a key.
func secured(addr uint8) osdptest.Config {
	c := config(addr)
	c.SCBK, c.RequireSecure = &osdp.Key{7, addr, 3}, true
	return c
}

func TestReaderComesUpAndReadsACard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, osdp.Options{}, config(5))
		evs := r.passEvents(time.Second)
		var kinds []osdp.Kind
		for _, e := range evs {
			kinds = append(kinds, e.Kind)
		}
		if !slices.Equal(kinds, bringUp) {
			t.Fatalf("events %v, want %v", kinds, bringUp)
		}
		if evs[0].ID.Serial != 1005 || evs[0].Addr != 5 || evs[0].Caps.ReceiveSize() != osdp.MaxFrame {
			t.Errorf("online event %+v %v", evs[0], evs[0].Caps)
		}
		r.pds[0].Present(0, card)
		r.pds[0].Key("12#")
		r.pds[0].SetInput(1, true)
		evs = r.passEvents(100 * time.Millisecond)
		if len(evs) != 3 {
			t.Fatalf("events %v, want card, keys, inputs", evs)
		}
		if e := evs[0]; e.Kind != osdp.Card || e.Bits != 26 || !slices.Equal(e.Data, []byte{0xab, 0xcd, 0xef, 0x80}) {
			t.Errorf("card event %v %x", e, e.Data)
		}
		if e := evs[1]; e.Kind != osdp.Keypad || e.Digits != "12#" {
			t.Errorf("keypad event %v %q", e, e.Digits)
		}
		if e := evs[2]; e.Kind != osdp.Inputs || !slices.Equal(e.Inputs, []osdp.InputState{osdp.InputInactive, osdp.InputActive}) {
			t.Errorf("inputs event %v", e)
		}
	})
}

// TestCardIsFetchedSoon: card to panel in less than a poll and what the wire needs.
func TestCardIsFetchedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, osdp.Options{}, config(1), config(2), config(3), config(4))
		r.up()
		for i, p := range r.pds {
			p.Present(0, card)
			began := time.Since(r.start)
			if evs := r.passEvents(99 * time.Millisecond); len(evs) != 1 || evs[0].Kind != osdp.Card || evs[0].Addr != uint8(i+1) {
				t.Fatalf("events %v, want one card", evs)
			}
			if took := r.times[len(r.times)-1] - began; took > 60*time.Millisecond {
				t.Errorf("card fetched after %v", took)
			}
		}
	})
}

// TestDoorOpens: a door command goes out at once, in the middle of a poll's rest.
func TestDoorOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []bool
		var at []time.Duration
		start := time.Now()
		c := config(7)
		c.OnOutput = func(n int, on bool) {
			if n == 0 {
				got, at = append(got, on), append(at, time.Since(start))
			}
		}
		r := newRig(t, osdp.Options{}, c)
		r.up()
		began := time.Since(start)
		err := r.line.Send(t.Context(), 7,
			osdp.LED{{Temporary: osdp.Blink{Code: osdp.LEDSet, On: time.Second, OnColor: osdp.Green}, Timer: 5 * time.Second}},
			osdp.OUT{{Output: 0, Action: osdp.OutputOnFor, Timer: 5 * time.Second}})
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start) - began; took > 10*time.Millisecond {
			t.Errorf("the door took %v", took)
		}
		if r.pds[0].LED(0, 0) != osdp.Green || !r.pds[0].Output(0) {
			t.Errorf("LED %v, output %v; want green and on", r.pds[0].LED(0, 0), r.pds[0].Output(0))
		}
		evs := r.passEvents(6 * time.Second)
		if len(evs) != 2 || !evs[0].Outputs[0] || evs[1].Outputs[0] {
			t.Errorf("events %v, want output 0 on and off", evs)
		}
		if !slices.Equal(got, []bool{true, false}) || at[1]-at[0] != 5*time.Second {
			t.Errorf("output %v at %v, want on for 5 s", got, at)
		}
		if r.pds[0].LED(0, 0) != osdp.Black {
			t.Errorf("LED %v after its time, want black", r.pds[0].LED(0, 0))
		}
	})
}

// TestAnswerToACard: what a card leads to is the next thing on the line.
func TestAnswerToACard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, osdp.Options{}, config(7), config(8))
		r.up()
		open := osdp.OUT{{Output: 0, Action: osdp.OutputOnFor, Timer: time.Second}}
		r.mu.Lock()
		r.on = func(e osdp.Event) {
			if e.Kind == osdp.Card {
				go r.line.Send(t.Context(), e.Addr, open)
			}
		}
		r.mu.Unlock()
		var codes []byte
		defer r.line.Tap(func(c osdp.Captured) {
			f, _, _ := osdp.ParseFrame(bytes.TrimLeft(c.Wire, "\xff"))
			codes = append(codes, f.Code)
		})()
		r.pds[0].Present(0, card)
		r.pass(100 * time.Millisecond)
		if i := slices.Index(codes, osdp.CodeRAW); i < 0 || codes[i+1] != osdp.CodeOUT {
			t.Errorf("on the line: % x, want OUT behind RAW", codes)
		}
	})
}

func TestRefusalsReachTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, osdp.Options{}, config(7))
		if err := r.line.Send(t.Context(), 7, osdp.POLL{}); !errors.Is(err, osdp.ErrOffline) {
			t.Errorf("before it is online: %v, want ErrOffline", err)
		}
		r.up()
		// The refused light must not keep the door shut.
		err := r.line.Send(t.Context(), 7, osdp.LED{{Reader: 9}}, osdp.OUT{{Output: 0, Action: osdp.OutputOn}}, osdp.RawCommand{Op: 0x63})
		nak, ok := errors.AsType[*osdp.NAKError](err)
		if !ok || nak.Reason != osdp.NAKRecord || nak.Command != osdp.CodeLED || nak.Addr != 7 {
			t.Errorf("error %v, want NAK 9 of the LED", err)
		}
		if want := "osdp: PD 7: command 0x69: record cannot be processed\nosdp: PD 7: command 0x63: unknown command"; err == nil || err.Error() != want {
			t.Errorf("error %v, want %v", err, want)
		}
		if !r.pds[0].Output(0) {
			t.Error("the output is off")
		}
		replies, err := r.line.Do(t.Context(), 7, osdp.OSTAT{}, osdp.ISTAT{})
		if err != nil || len(replies) != 2 || !slices.Equal(replies[0].(osdp.OSTATR), []uint8{1, 0}) {
			t.Errorf("replies %v, %v; want output 0 on", replies, err)
		}
		for _, tt := range []struct {
			addr uint8
			cmds []osdp.Command
			want error
		}{
			{8, []osdp.Command{osdp.POLL{}}, osdp.ErrOffline},
			{7, nil, osdp.ErrValue},
			{7, []osdp.Command{osdp.BUZ{On: time.Millisecond}}, osdp.ErrValue},
			{7, []osdp.Command{osdp.RawCommand{Op: 0x80, Data: make([]byte, osdp.MaxFrame)}}, osdp.ErrTooLong},
		} {
			if err := r.line.Send(t.Context(), tt.addr, tt.cmds...); !errors.Is(err, tt.want) {
				t.Errorf("Send(%d, %v) = %v, want %v", tt.addr, tt.cmds, err, tt.want)
			}
		}
	})
}

// TestLiesDoNoHarm: after any one lie, and after a good many in a row, the
// reader is online, no card is lost and none comes twice.
func TestLiesDoNoHarm(t *testing.T) {
	for _, tt := range []struct {
		name string
		lie  osdptest.Lie
	}{
		{"drop", osdptest.Drop}, {"deaf", osdptest.Deaf}, {"corrupt", osdptest.Corrupt}, {"late", osdptest.Late},
		{"repeat", osdptest.Repeat}, {"busy", osdptest.Busy}, {"foreign", osdptest.Foreign}, {"wrong sequence", osdptest.WrongSeq},
		{"no reply bit", osdptest.NotReply}, {"echo", osdptest.Echo}, {"noise", osdptest.Noise}, {"trailing", osdptest.Trailing}, {"truncate", osdptest.Truncate},
		{"refuse", osdptest.Refuse},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opened := 0
				c := config(5)
				c.OnOutput = func(int, bool) { opened++ }
				r := newRig(t, osdp.Options{}, c, config(6))
				r.pds[0].Lie(tt.lie, 3) // in the bring-up too
				r.pass(10 * time.Second)
				if !r.stats(0).Online || !r.stats(1).Online {
					t.Fatalf("not online: %+v", r.stats(0))
				}
				for n := 1; n <= 4; n++ {
					r.pds[0].Present(0, card)
					r.pds[0].Lie(tt.lie, n)
					cards := 0
					for _, e := range r.passEvents(5 * time.Second) {
						switch {
						case e.Kind == osdp.Card:
							cards++
						case e.Kind == osdp.Offline:
							t.Errorf("offline after %d lies", n)
						}
					}
					if cards != 1 {
						t.Errorf("%d lies: card came %d times", n, cards)
					}
					if left := r.pds[0].Lies(); left != 0 {
						t.Fatalf("%d lies were not told", left)
					}
					// A door that is opened while the PD lies is opened once.
					opened = 0
					r.pds[0].Lie(tt.lie, n)
					if err := r.line.Send(t.Context(), 5, osdp.OUT{{Output: 1, Action: osdp.OutputOn}}); err != nil {
						t.Errorf("%d lies: Send: %v", n, err)
					}
					if err := r.line.Send(t.Context(), 5, osdp.OUT{{Output: 1, Action: osdp.OutputOff}}); err != nil {
						t.Errorf("%d lies: Send: %v", n, err)
					}
					if r.pass(5 * time.Second); opened != 2 {
						t.Errorf("%d lies: output changed %d times, want 2", n, opened)
					}
				}
				switch tt.lie {
				case osdptest.Echo, osdptest.Noise, osdptest.Repeat, osdptest.Trailing: // the answer was there
					if s := r.stats(0); s.Restarts != 0 || s.Retries != 0 {
						t.Errorf("%d restarts, %d retries, want none", s.Restarts, s.Retries)
					}
				}
			})
		})
	}
}

// TestReaderReboots: the panel sees it at once, starts over and reads the states.
func TestReaderReboots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, osdp.Options{}, config(5))
		r.up()
		want := slices.Clone(bringUp)
		want[0] = osdp.Restarted
		r.pds[0].Reboot()
		if got := r.pass(time.Second); !slices.Equal(got, want) {
			t.Errorf("reboot: events %v, want %v", got, want)
		}
		r.pds[0].Lie(osdptest.Reset, 1)
		if got := r.pass(time.Second); !slices.Equal(got, want) {
			t.Errorf("reset request: events %v, want %v", got, want)
		}
		if s := r.stats(0); s.Restarts != 2 || !s.Online {
			t.Errorf("stats %+v, want 2 restarts", s)
		}
	})
}

// TestPulledReaderGoesOffline, and comes back, and its neighbour notices little.
func TestPulledReaderGoesOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, osdp.Options{}, config(5), config(6))
		r.up()
		r.pds[0].Mute(true)
		sent := make(chan error, 1)
		go func() {
			sent <- r.line.Send(context.WithoutCancel(t.Context()), 5, osdp.OUT{{Output: 0, Action: osdp.OutputOn}})
		}()
		if got := r.pass(7800 * time.Millisecond); len(got) != 0 {
			t.Errorf("events %v within 7.8 s, want none", got)
		}
		if got := r.pass(500 * time.Millisecond); !slices.Equal(got, []osdp.Kind{osdp.Offline}) {
			t.Fatalf("events %v, want offline after 8 s", got)
		}
		if err := <-sent; !errors.Is(err, osdp.ErrOffline) {
			t.Errorf("Send: %v, want ErrOffline", err)
		}
		polls := r.stats(1).Polls
		r.pass(5 * time.Minute)
		// They have 6000 polls; the dead one may take a twentieth of the time.
		if n := r.stats(1).Polls - polls; n < 6000*94/100 {
			t.Errorf("the neighbour was polled %d times in 5 minutes", n)
		}
		r.pds[0].Mute(false)
		r.pds[0].Present(0, card)
		if got := r.pass(5500 * time.Millisecond); !slices.Equal(got, bringUp) && !slices.Equal(got, append(slices.Clone(bringUp), osdp.Card)) {
			t.Errorf("events %v, want %v", got, bringUp)
		}
		if r.pds[0].Output(0) {
			t.Error("the door opened after its command had failed")
		}
	})
}

// TestDeadReadersCostLittle: with ten dead PDs the living one is polled nearly
// as often as alone.
func TestDeadReadersCostLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cfgs []osdptest.Config
		for i := range 11 {
			cfgs = append(cfgs, config(uint8(i)))
		}
		r := newRig(t, osdp.Options{}, cfgs...)
		for _, p := range r.pds[:10] {
			p.Mute(true)
		}
		r.pass(10 * time.Second)
		polls := r.stats(10).Polls
		r.pass(time.Minute)
		if n := r.stats(10).Polls - polls; n < 1200*94/100 {
			t.Errorf("polled %d times in a minute", n)
		}
	})
}

// TestCommandsDoNotStarvePolls: a flow of commands to one PD leaves the others
// their polls.
func TestCommandsDoNotStarvePolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, osdp.Options{}, config(1), config(2), config(3))
		r.up()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		sent := 0
		var before [3]uint64
		for i := range before {
			before[i] = r.stats(i).Polls
		}
		for ctx.Err() == nil {
			if err := r.line.Send(ctx, 1, osdp.BUZ{Tone: osdp.ToneOff}); err != nil && ctx.Err() == nil {
				t.Fatal(err)
			}
			sent++
		}
		for i := range before {
			if n := r.stats(i).Polls - before[i]; n < 99 { // 10 s, one each 100 ms
				t.Errorf("PD %d was polled %d times in 10 s beside %d commands", i+1, n, sent)
			}
		}
		if sent < 1000 {
			t.Errorf("%d commands in 10 s", sent)
		}
	})
}

// TestEndlessBusy goes offline like silence, and does not slow the neighbour.
func TestEndlessBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, osdp.Options{}, config(5), config(6))
		r.up()
		r.pds[0].Lie(osdptest.Busy, 1000)
		polls := r.stats(1).Polls
		if got := r.pass(8500 * time.Millisecond); !slices.Equal(got, []osdp.Kind{osdp.Offline}) {
			t.Errorf("events %v, want offline", got)
		}
		if n := r.stats(1).Polls - polls; n < 160 {
			t.Errorf("the neighbour was polled %d times in 8.5 s", n)
		}
		r.pds[0].Mute(true)
	})
}

// TestChecksumOnlyReader: a PD without CRC says NAK 1, and is spoken to with the
// checksum from then on.
func TestChecksumOnlyReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(5)
		c.ChecksumOnly, c.OutputReply = true, true
		r := newRig(t, osdp.Options{}, c)
		r.up()
		if s := r.stats(0); !s.Checksum || s.NAKs != 3 {
			t.Errorf("stats %+v, want checksum after 3 NAKs", s)
		}
		if replies, err := r.line.Do(t.Context(), 5, osdp.OUT{{Output: 1, Action: osdp.OutputOn}}); err != nil || !slices.Equal(replies[0].(osdp.OSTATR), []uint8{0, 1}) {
			t.Errorf("OUT: %v, %v; want OSTATR", replies, err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // and one that takes it, but says that it does not
		c := config(5)
		c.Caps = osdp.PDCAP{{Function: osdp.CapCheck, Compliance: 0}}
		r := newRig(t, osdp.Options{}, c)
		r.up()
		if s := r.stats(0); !s.Checksum {
			t.Errorf("stats %+v, want checksum as PDCAP says", s)
		}
	})
}

// TestCancelledCommandIsNotSent: a door must not open after its caller gave up.
func TestCancelledCommandIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := config(5)
		opened := 0
		c.OnOutput = func(int, bool) { opened++ }
		r := newRig(t, osdp.Options{}, c)
		r.up()
		r.pds[0].Mute(true)
		r.pass(500 * time.Millisecond) // a poll is outstanding
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		err := r.line.Send(ctx, 5, osdp.OUT{{Output: 0, Action: osdp.OutputOn}})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Send: %v, want DeadlineExceeded", err)
		}
		r.pds[0].Mute(false)
		if got := r.pass(5 * time.Second); slices.Contains(got, osdp.Offline) {
			t.Errorf("events %v", got)
		}
		if opened != 0 {
			t.Error("the door opened")
		}

		// The same with the command itself outstanding, all its tries lost.
		r.pds[0].Lie(osdptest.Deaf, 1)
		ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if err := r.line.Send(ctx, 5, osdp.OUT{{Output: 0, Action: osdp.OutputOn}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Send: %v, want DeadlineExceeded", err)
		}
		if r.pass(5 * time.Second); opened != 0 || !r.stats(0).Online {
			t.Errorf("opened %d times, online %v", opened, r.stats(0).Online)
		}
		if err := r.line.Send(t.Context(), 5, osdp.OUT{{Output: 0, Action: osdp.OutputOn}}); err != nil || opened != 1 {
			t.Errorf("the next Send: %v, opened %d times", err, opened)
		}
	})
}

func TestNewAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, osdp.Options{}, config(5))
		r.up()
		replies, err := r.line.Do(t.Context(), 5, osdp.COMSET{Addr: 9, Baud: 9600})
		if err != nil || replies[0] != osdp.Reply(osdp.COM{Addr: 9, Baud: 9600}) {
			t.Fatalf("COMSET: %v, %v", replies, err)
		}
		if got := r.pass(time.Second); len(got) == 0 || got[0] != osdp.Restarted || r.stats(0).Addr != 9 || !r.stats(0).Online {
			t.Errorf("events %v, stats %+v; want a restart at address 9", got, r.stats(0))
		}
	})
}

// TestStopIsNotSilence stops Run in the middle of an unanswered poll.
func TestStopIsNotSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		panel, reader := net.Pipe()
		pd := osdptest.NewPD(config(5))
		serve, stopServing := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { pd.Serve(serve, reader) })
		line := osdp.NewLine(osdp.NewBus([]osdp.PDConfig{{Addr: 5, Security: osdp.AllowClear}}), func(context.Context) (osdp.Port, error) { return panel, nil }, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var got []osdp.Kind
		done := make(chan error, 1)
		go func() { done <- line.Run(ctx, func(e osdp.Event) { got = append(got, e.Kind) }) }()
		time.Sleep(time.Second)
		pd.Mute(true)
		time.Sleep(7900 * time.Millisecond)
		waiting := make(chan error, 1)
		go func() { waiting <- line.Send(context.WithoutCancel(ctx), 5, osdp.POLL{}) }()
		synctest.Wait()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := <-waiting; !errors.Is(err, osdp.ErrOffline) {
			t.Errorf("Send: %v, want ErrOffline", err)
		}
		if !slices.Equal(got, bringUp) {
			t.Errorf("events %v, want %v", got, bringUp)
		}
		stopServing()
		wg.Wait()
		reader.Close()
	})
}

// TestPortComesBack: a port that fails is opened again; a line that has none is
// offline as a whole, at once.
func TestPortComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pd := osdptest.NewPD(config(5))
		var wg sync.WaitGroup
		serve, stopServing := context.WithCancel(t.Context())
		var mu sync.Mutex // guards the next three
		var pulled bool
		var far net.Conn
		opens := 0
		pull := func(away bool) {
			mu.Lock()
			defer mu.Unlock()
			pulled, opens = away, 0
			far.Close()
		}
		open := func(context.Context) (osdp.Port, error) {
			mu.Lock()
			defer mu.Unlock()
			opens++
			if pulled {
				return nil, errors.New("no such device")
			}
			panel, reader := net.Pipe()
			far = reader
			wg.Go(func() { pd.Serve(serve, reader) })
			return panel, nil
		}
		line := osdp.NewLine(osdp.NewBus([]osdp.PDConfig{{Addr: 5, Security: osdp.AllowClear}}), open, nil)
		r := &rig{t: t, line: line, pds: []*osdptest.PD{pd}, start: time.Now()}
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() { line.Run(ctx, r.emit) })
		r.up()
		pull(false) // it fails, and opens again at once
		if got := r.pass(2 * time.Second); len(got) != 0 && got[0] != osdp.Restarted {
			t.Errorf("events %v, want at most a restart", got)
		}
		pull(true)
		if got := r.pass(time.Second); !slices.Equal(got, []osdp.Kind{osdp.Offline}) {
			t.Errorf("events %v, want offline within a second", got)
		}
		if p := line.Port(); p.Open || p.Err == nil || p.Opens != 2 {
			t.Errorf("port %+v", p)
		}
		r.pass(time.Minute)
		mu.Lock()
		if opens < 29 || opens > 40 {
			t.Errorf("%d tries to open it in a minute", opens)
		}
		mu.Unlock()
		pull(false)
		if got := r.pass(3 * time.Second); !slices.Equal(got, bringUp) {
			t.Errorf("events %v, want %v", got, bringUp)
		}
		cancel()
		pull(true)
		stopServing()
		wg.Wait()
	})
}

// A spinner is a port that has nothing to say and does not wait.
type spinner struct {
	io.ReadWriter
	reads int
}

func (s *spinner) Read([]byte) (int, error)        { s.reads++; return 0, nil }
func (s *spinner) Write(b []byte) (int, error)     { return len(b), nil }
func (s *spinner) SetReadDeadline(time.Time) error { return nil }

func TestSpinningPortIsAFailedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s spinner
		line := osdp.NewLine(osdp.NewBus([]osdp.PDConfig{{Addr: 5, Security: osdp.AllowClear}}), func(context.Context) (osdp.Port, error) { return &s, nil }, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := line.Run(ctx, func(osdp.Event) {}); err != nil {
			t.Error(err)
		}
		if s.reads > 1500 {
			t.Errorf("%d reads in 10 s", s.reads)
		}
	})
}

// TestCallsDoNotFailThePort: a Read that ends because somebody wants something
// is not taken for a port that does not wait.
func TestCallsDoNotFailThePort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, osdp.Options{}, config(5))
		r.up()
		r.pass(5 * time.Millisecond) // nobody wants the line
		for range 1000 {
			r.line.Pin(99, nil) // nobody has that address, so nothing follows
			synctest.Wait()
		}
		r.pass(time.Second)
		if p := r.line.Port(); p.Opens != 1 || !p.Open {
			t.Errorf("port %+v", p)
		}
	})
}

// A listener tells what is written without having listened before.
type listener struct {
	net.Conn
	heard bool // since the last event; of Run's own goroutine, as all here
	deaf  int
	wrote int
}

func (l *listener) Read(b []byte) (int, error) {
	l.heard = true
	return l.Conn.Read(b)
}

func (l *listener) Write(b []byte) (int, error) {
	if !l.heard {
		l.deaf++
	}
	l.wrote++
	return l.Conn.Write(b)
}

// TestListensBeforeItSpeaks: what came in while somebody took his time with an
// event is no answer to the next command.
func TestListensBeforeItSpeaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		port := &listener{Conn: near}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { osdptest.ServeLine(ctx, far, osdptest.NewPD(config(5))) })
		line := osdp.NewLine(osdp.NewBus([]osdp.PDConfig{panelOf(config(5))}), func(context.Context) (osdp.Port, error) { return port, nil }, nil)
		events := 0
		wg.Go(func() {
			line.Run(ctx, func(osdp.Event) {
				events++
				time.Sleep(10 * time.Millisecond) // longer than two characters
				port.heard = false
			})
		})
		time.Sleep(time.Second)
		cancel()
		wg.Wait()
		far.Close()
		if events < len(bringUp) || port.wrote < 20 {
			t.Errorf("%d events and %d commands", events, port.wrote)
		}
		if port.deaf > 0 {
			t.Errorf("%d commands were sent without listening first", port.deaf)
		}
	})
}

// A wire is one end of a line that takes its time, as a UART does, and damages
// bytes.
type wire struct {
	net.Conn
	byteTime time.Duration
	rng      *rand.Rand
	damage   float64 // probability for a byte

	mu sync.Mutex // one Write at a time
}

func (w *wire) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, c := range b {
		time.Sleep(w.byteTime)
		if w.rng != nil && w.rng.Float64() < w.damage {
			c ^= 1 << w.rng.IntN(8)
		}
		if _, err := w.Conn.Write([]byte{c}); err != nil {
			return i, err
		}
	}
	return len(b), nil
}

// newWireRig is newRig over a line of 9600 baud.
func newWireRig(t *testing.T, damage float64, cfgs ...osdptest.Config) *rig {
	r := &rig{t: t, start: time.Now()}
	var list []osdp.PDConfig
	for _, c := range cfgs {
		r.pds = append(r.pds, osdptest.NewPD(c))
		list = append(list, panelOf(c))
	}
	a, b := net.Pipe()
	const byteTime = 10 * time.Second / 9600
	panel := &wire{Conn: a, byteTime: byteTime, rng: rand.New(rand.NewPCG(1, 1)), damage: damage}
	reader := &wire{Conn: b, byteTime: byteTime, rng: rand.New(rand.NewPCG(2, 2)), damage: damage}
	r.line = osdp.NewLine(osdp.NewBus(list), func(context.Context) (osdp.Port, error) { return panel, nil }, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { osdptest.ServeLine(ctx, reader, r.pds...) })
	wg.Go(func() { r.line.Run(ctx, r.emit) })
	t.Cleanup(func() { cancel(); wg.Wait(); b.Close() })
	return r
}

// TestFourReadersAt9600: each is polled every 100 ms, as the wire allows it.
func TestFourReadersAt9600(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newWireRig(t, 0, config(1), config(2), config(3), config(4))
		r.pass(5 * time.Second)
		before := r.line.Stats()
		r.pass(10 * time.Second)
		for i, s := range r.line.Stats() {
			if n := s.Polls - before[i].Polls; n < 100 || s.Retries != 0 || s.Restarts != 0 {
				t.Errorf("PD %d: %d polls in 10 s, %d retries, %d restarts; want 100, 0, 0", s.Addr, n, s.Retries, s.Restarts)
			}
		}
		for range 20 {
			r.pds[3].Present(0, card)
			began := time.Since(r.start)
			if got := r.pass(500 * time.Millisecond); !slices.Equal(got, []osdp.Kind{osdp.Card}) {
				t.Fatalf("events %v, want a card", got)
			}
			if took := r.times[len(r.times)-1] - began; took > 150*time.Millisecond {
				t.Errorf("card fetched after %v", took)
			}
		}
	})
}

// TestNoise damages one byte in a hundred: every card comes, once, and nobody
// goes offline or loses the CRC for it.
func TestNoise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newWireRig(t, 0.01, config(1), config(2))
		r.pass(10 * time.Second)
		cards := 0
		for range 100 {
			r.pds[0].Present(0, card)
			for _, e := range r.passEvents(3 * time.Second) {
				switch e.Kind {
				case osdp.Card:
					if cards++; e.Bits != 26 || !slices.Equal(e.Data, card.Bytes()) {
						t.Errorf("another card came: %d bits", e.Bits)
					}
				case osdp.Offline:
					t.Errorf("PD %d is offline", e.Addr)
				}
			}
		}
		s := r.stats(0)
		if cards != 100 || s.Checksum {
			t.Errorf("%d cards, checksum %v; want 100 and the CRC", cards, s.Checksum)
		}
		if s.Retries < 100 || s.CRCErrors == 0 {
			t.Errorf("%d retries, %d wrong checks: there was no noise", s.Retries, s.CRCErrors)
		}
	})
}

// TestDribblingReader sends a byte now and then, for ever: its neighbour keeps
// most of the line.
func TestDribblingReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, osdp.Options{}, config(5), config(6))
		r.up()
		r.pds[0].Lie(osdptest.Dribble, 1000)
		if got := r.pass(10 * time.Second); !slices.Contains(got, osdp.Offline) {
			t.Errorf("events %v, want offline", got)
		}
		polls := r.stats(1).Polls
		r.pass(30 * time.Second)
		if n := r.stats(1).Polls - polls; n < 500 {
			t.Errorf("the neighbour was polled %d times in 30 s", n)
		}
		r.pds[0].Mute(true)
	})
}

// TestJunkBehindAReply does not hold up the reply to the next command.
func TestJunkBehindAReply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, osdp.Options{}, config(5))
		r.up()
		for range 5 {
			r.pds[0].Lie(osdptest.Trailing, 3)
			began := time.Now()
			if err := r.line.Send(t.Context(), 5, osdp.BUZ{}, osdp.BUZ{}, osdp.BUZ{}); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took > 20*time.Millisecond {
				t.Errorf("three commands took %v", took)
			}
		}
	})
}
