package osdp_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/osdptest"
	"latchkey/wiegand"
)

const (
	soakDead = 4                // address of the PD that does not answer
	soakCard = 10 * time.Second // from one card to the next, on average
	soakDoor = 20 * time.Second // from one door command to the next, on average
)

// A soak is four PDs in secure channels on a bad line, one of them dead.
type soak struct {
	t     *testing.T
	air   *badLine
	line  *osdp.Line
	pds   []*osdptest.PD
	rng   *rand.Rand
	shown map[uint32]bool // cards
	up    time.Duration   // until all live PDs were online

	mu     sync.Mutex // guards what follows
	told   map[uint32]int
	online int // PDs that came up
	opened int // outputs driven
	bad    []string
}

// TestSoak works them for ten hours of simulated time: no live PD is ever
// offline, every card comes exactly once, and the dead PD takes little of the
// line.
func TestSoak(t *testing.T) {
	for _, baud := range []int{9600, 115200} {
		t.Run(fmt.Sprint(baud), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				long := 10 * time.Hour
				if raced {
					long = 20 * time.Minute
				}
				s := newSoak(t, baud)
				s.run(long)
				s.judge(long)
			})
		})
	}
}

func newSoak(t *testing.T, baud int) *soak {
	s := &soak{t: t, rng: rand.New(rand.NewPCG(uint64(baud), 1)), shown: map[uint32]bool{}, told: map[uint32]int{}}
	s.air = &badLine{baud: baud, damage: 0.01, loss: 0.01, delay: 150 * time.Millisecond, pieces: 0.1, pause: 100 * time.Millisecond,
		watching: soakDead, rng: rand.New(rand.NewPCG(uint64(baud), 2))}
	var list []osdp.PDConfig
	for addr := range uint8(4) {
		c := secured(addr + 1)
		c.QuietBadCheck = addr == 1 // as libosdp's PD
		c.Rand = rand.NewChaCha8([32]byte{addr, 1})
		c.OnCommand = func(c osdp.Command) {
			if _, ok := c.(osdp.OUT); ok {
				s.locked(func() { s.opened++ })
			}
		}
		s.pds = append(s.pds, osdptest.NewPD(c))
		list = append(list, panelOf(c))
	}
	s.pds[soakDead-1].Mute(true)
	panel, pds := s.air.ends()
	s.line = osdp.NewLine(osdp.NewBus(list, osdp.Options{Baud: baud, Rand: rand.NewChaCha8([32]byte{99})}), func(context.Context) (osdp.Port, error) { return panel, nil }, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { osdptest.ServeLine(ctx, pds, s.pds...) })
	wg.Go(func() { s.line.Run(ctx, s.emit) })
	t.Cleanup(func() { cancel(); wg.Wait(); pds.Close() })
	return s
}

func (s *soak) locked(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *soak) emit(e osdp.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e.Kind {
	case osdp.Online:
		s.online++
	case osdp.Card:
		s.told[binary.BigEndian.Uint32(e.Data)]++
	case osdp.Offline, osdp.Untrusted, osdp.StaleCard, osdp.Malformed, osdp.Other:
		s.bad = append(s.bad, fmt.Sprintf("%v at %v", e, e.At))
	}
}

// run shows cards and opens doors until long has passed, once all live PDs are
// up, and lets the last ones arrive.
func (s *soak) run(long time.Duration) {
	start := time.Now()
	for up := 0; up < soakDead-1; s.locked(func() { up = s.online }) {
		if time.Sleep(time.Second); time.Since(start) > time.Minute {
			s.t.Fatalf("%d PDs are up after a minute", up)
		}
	}
	s.up = time.Since(start)
	sent := 0
	door := time.Now()
	for time.Since(start) < long-time.Minute {
		time.Sleep(time.Duration(s.rng.Int64N(int64(2 * soakCard))))
		s.show(s.rng.IntN(soakDead - 1))
		if time.Since(door) > soakDoor {
			door = time.Now()
			sent++
			if err := s.line.Send(s.t.Context(), uint8(1+s.rng.IntN(soakDead-1)), osdp.OUT{{Output: 1, Action: osdp.OutputOn}}); err != nil {
				s.t.Errorf("door command %d: %v", sent, err)
			}
		}
	}
	time.Sleep(long - time.Since(start))
	synctest.Wait()
	s.locked(func() {
		if s.opened != sent {
			s.t.Errorf("%d door commands done, %d sent", s.opened, sent)
		}
	})
}

func (s *soak) show(pd int) {
	n := s.rng.Uint32()
	s.shown[n] = true
	b, err := wiegand.MakeBits(32, binary.BigEndian.AppendUint32(nil, n))
	if err != nil {
		s.t.Fatal(err)
	}
	s.pds[pd].Present(0, b)
}

func (s *soak) judge(long time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, bad := range s.bad {
		s.t.Error(bad)
	}
	lost, doubled := 0, 0
	for n := range s.shown {
		lost += max(0, 1-s.told[n])
	}
	for n, times := range s.told {
		if doubled += times - 1; !s.shown[n] {
			s.t.Errorf("card %08x was not shown", n)
		}
	}
	if lost > 0 || doubled > 0 {
		s.t.Errorf("%d cards lost, %d doubled", lost, doubled)
	}
	var all osdp.PDStats // of the live ones
	for _, p := range s.line.Stats() {
		if p.Addr == soakDead {
			continue
		}
		if !p.Online || !p.Secure {
			s.t.Errorf("PD %d: online %v, secure %v", p.Addr, p.Online, p.Secure)
		}
		all.Polls += p.Polls
		all.Retries += p.Retries
		all.CRCErrors += p.CRCErrors
		all.MACErrors += p.MACErrors
		all.Restarts += p.Restarts
		all.Handshakes += p.Handshakes
		all.WorstPollGap = max(all.WorstPollGap, p.WorstPollGap)
	}
	share := float64(s.air.taken) / float64(long)
	if share > 0.05 {
		s.t.Errorf("the dead PD took %.1f %% of the line", 100*share)
	}
	if s.air.lost == 0 || s.air.damaged == 0 || len(s.shown) < 50 || all.Retries == 0 {
		s.t.Errorf("%d frames lost, %d bytes damaged, %d cards, %d retries: no soak", s.air.lost, s.air.damaged, len(s.shown), all.Retries)
	}
	s.t.Logf("soak: %v at %d baud: all up after %v; %d frames, %d of them lost, %d bytes damaged; %d cards, %d lost, %d doubled; "+
		"live PDs offline, or in other trouble, %d times; worst poll gap %v; dead PD %.2f %% of the line; "+
		"%d polls, %d repeats, %d bad checks, %d bad MACs, %d channels, %d restarts",
		long, s.air.baud, s.up, s.air.frames, s.air.lost, s.air.damaged, len(s.shown), lost, doubled, len(s.bad),
		all.WorstPollGap.Round(time.Millisecond), 100*share,
		all.Polls, all.Retries, all.CRCErrors, all.MACErrors, all.Handshakes, all.Restarts)
}
