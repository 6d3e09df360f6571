package osdp_test

import (
	"bytes"
	"context"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/osdptest"
	"latchkey/wiegand"
)

// TestFullLine: all 127 addresses of a line, one of them of a dead PD, each
// other in a session of its own. All 126 come up, none waits for its poll longer
// than the wire makes it, and a card at every one of them at the same moment
// arrives, once.
func TestFullLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const (
			dead  = 60
			baud  = 115200
			delay = 2 * time.Millisecond // of a PD
		)
		air := &badLine{baud: baud, delay: delay, rng: rand.New(rand.NewPCG(126, 1))}
		panel, far := air.ends()
		r := &rig{t: t, start: time.Now()}
		var list []osdp.PDConfig
		for addr := range uint8(osdp.Broadcast) {
			c := secured(addr)
			c.Rand = rand.NewChaCha8([32]byte{addr, 126})
			r.pds = append(r.pds, osdptest.NewPD(c))
			list = append(list, panelOf(c))
		}
		r.pds[dead].Mute(true)
		r.line = osdp.NewLine(osdp.NewBus(list, osdp.Options{Baud: baud, Rand: rand.NewChaCha8([32]byte{127})}), func(context.Context) (osdp.Port, error) { return panel, nil }, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { osdptest.ServeLine(ctx, far, r.pds...) })
		wg.Go(func() { r.line.Run(ctx, r.emit) })
		t.Cleanup(func() { cancel(); wg.Wait(); far.Close() })

		evs := r.passEvents(15 * time.Second)
		up, known := count(evs, osdp.Online), count(evs, osdp.ReaderStatus)
		var took time.Duration
		for i, e := range evs {
			if e.Kind == osdp.ReaderStatus {
				took = r.times[i]
			}
		}
		before := r.line.Stats()
		const long = time.Minute
		var polled [osdp.Broadcast]time.Time
		gap := time.Duration(0)
		untap := r.line.Tap(func(c osdp.Captured) {
			f, _, err := osdp.ParseFrame(bytes.TrimLeft(c.Wire, "\xff"))
			if err != nil || f.Reply || f.Code != osdp.CodePOLL {
				return
			}
			if !polled[f.Addr].IsZero() {
				gap = max(gap, time.Since(polled[f.Addr]))
			}
			polled[f.Addr] = time.Now()
		})
		if evs = r.passEvents(long); len(evs) > 0 {
			t.Errorf("%d events on a quiet line, the first %v", len(evs), evs[0])
		}
		untap()
		living := len(list) - 1
		poll := air.air(2*(1+osdp.SealedLen(0))) + delay + air.air(2) // with its answer, and the pause between frames
		most := time.Duration(living)*poll + 210*time.Millisecond     // and the dead one, which is asked now and then
		polls, least, start := uint64(0), uint64(math.MaxUint64), time.Duration(0)
		for i, p := range r.line.Stats() {
			if i == dead {
				if p.Online {
					t.Error("the dead PD is online")
				}
				continue
			}
			n := p.Polls - before[i].Polls
			polls, least, start = polls+n, min(least, n), max(start, p.WorstPollGap)
			if !p.Online || !p.Secure || p.Retries > 0 || p.Restarts > 0 || n < uint64(long/most) {
				t.Errorf("PD %d: online %v, secure %v, %d retries, %d restarts, %d polls in %v", i, p.Online, p.Secure, p.Retries, p.Restarts, n, long)
			}
		}
		if up != living || known != living || gap > most || start > 2*most {
			t.Errorf("%d PDs came up, %d told all their states; worst poll gap %v, and %v at the start; want %d, %v and twice that at the most", up, known, gap, start, living, most)
		}

		for i, p := range r.pds {
			b, err := wiegand.MakeBits(26, []byte{byte(i), 1, 2, 0x40})
			if err != nil {
				t.Fatal(err)
			}
			p.Present(0, b)
		}
		shown := time.Since(r.start)
		var came [osdp.Broadcast]int
		last := shown
		evs = r.passEvents(10 * time.Second)
		for _, e := range evs {
			if e.Kind != osdp.Card || e.Data[0] != e.Addr {
				t.Errorf("event %v", e)
				continue
			}
			came[e.Addr]++
			last = e.At.Sub(r.start)
		}
		for i, n := range came {
			if i != dead && n != 1 || i == dead && n > 0 {
				t.Errorf("the card at PD %d came %d times", i, n)
			}
		}
		t.Logf("%d PDs and a dead one at %d baud: all up and their states known after %v; %d polls in %v, %d of the least; worst poll gap %v, at the start %v; "+
			"a card at each of them, all here after %v", living, baud, took, polls, long, least, gap, start, last-shown)
	})
}

// count is how many of evs are of kind.
func count(evs []osdp.Event, kind osdp.Kind) (n int) {
	for _, e := range evs {
		if e.Kind == kind {
			n++
		}
	}
	return n
}

// TestSlowLineTellsItsStates: where the wire makes every poll a late one, the
// panel asks all the same in what state its inputs and outputs are.
func TestSlowLineTellsItsStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cfgs []osdptest.Config
		for addr := range uint8(8) {
			cfgs = append(cfgs, secured(addr))
		}
		r := newWireRig(t, 0, cfgs...)
		evs := r.passEvents(20 * time.Second)
		for _, kind := range bringUp {
			if n := count(evs, kind); n != len(cfgs) {
				t.Errorf("%v from %d of %d PDs at 9600 baud", kind, n, len(cfgs))
			}
		}
	})
}
