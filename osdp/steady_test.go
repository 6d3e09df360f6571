package osdp_test

import (
	"testing"
	"time"

	"latchkey/osdp"
)

// A steady is a panel's bus and one PD that has nothing to tell. The PD leaves
// no garbage, so that what a test finds is the bus's.
type steady struct {
	t       testing.TB
	bus     *osdp.Bus
	now     time.Time
	session *osdp.Session // nil in the clear
	reply   []byte
}

func newSteady(t testing.TB, cfg osdp.PDConfig) *steady {
	l := newLock(t, keyA)
	k := newKeyed(t, l, cfg)
	k.want(osdp.Online, time.Second)
	for f := k.nextAny(); ; f = k.nextAny() {
		k.bus.Answer(k.now, l.answer(f))
		if f.Code == osdp.CodePOLL {
			return &steady{t: t, bus: k.bus, now: k.now, session: l.session}
		}
	}
}

// poll does one exchange.
func (s *steady) poll() {
	x, wait := s.bus.Next(s.now)
	if len(x.Wire) == 0 {
		s.now = s.now.Add(wait)
		x, _ = s.bus.Next(s.now)
	}
	c, _, err := osdp.ParseFrame(x.Wire[1:])
	if err != nil || c.Code != osdp.CodePOLL {
		s.t.Fatalf("%v, %v; want a POLL", c, err)
	}
	s.now = s.now.Add(3 * time.Millisecond)
	f, _, err := osdp.ParseFrame(s.ack(c))
	if err != nil {
		s.t.Fatal(err)
	}
	if _, done := s.bus.Answer(s.now, f); !done {
		s.t.Fatal("ACK did not end the exchange")
	}
}

// ack is the PD's answer to c, good until the next.
func (s *steady) ack(c osdp.Frame) []byte {
	r := osdp.Frame{Addr: c.Addr, Reply: true, Seq: c.Seq, Code: osdp.CodeACK}
	var err error
	if s.session == nil {
		s.reply, err = r.AppendBinary(s.reply[:0])
	} else if _, err = s.session.Open(&c); err == nil {
		s.reply, err = s.session.Seal(s.reply[:0], &r)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return s.reply
}

var steadyPDs = []struct {
	name string
	cfg  osdp.PDConfig
}{
	{"clear", osdp.PDConfig{Addr: 5, Security: osdp.AllowClear}},
	{"secure", osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}}},
}

// TestPollsLeaveNoGarbage: a line runs for years.
func TestPollsLeaveNoGarbage(t *testing.T) {
	for _, tt := range steadyPDs {
		s := newSteady(t, tt.cfg)
		if n := testing.AllocsPerRun(1000, s.poll); n != 0 {
			t.Errorf("%s: %v allocations an exchange", tt.name, n)
		}
	}
}

// BenchmarkPoll is one exchange of POLL and ACK, its PD included.
func BenchmarkPoll(b *testing.B) {
	for _, bb := range steadyPDs {
		b.Run(bb.name, func(b *testing.B) {
			s := newSteady(b, bb.cfg)
			for b.Loop() {
				s.poll()
			}
		})
	}
}
