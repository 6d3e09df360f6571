package osdp_test

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/osdptest"
)

// A villain is a PD at address 5 that has the right key, and one way of doing
// harm to its panel and its neighbour.
type villain struct {
	*mitm
	lock *lock
	rng  *rand.Rand
	slow *osdp.Receiver // takes files, and its time
	last []byte         // command, and its honest answer
	said []byte
}

// raw puts bytes onto the panel's line that need be no frame.
func (v *villain) raw(b []byte) { v.put(false, b) }

// later is raw when no command is under way.
func (v *villain) later(b []byte) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.raw(b)
}

// honest answers f as a PD should.
func (v *villain) honest(f osdp.Frame) {
	if wire := wireOf(f); !bytes.Equal(wire, v.last) {
		v.last, v.said = wire, wireOf(v.lock.answer(f))
	}
	v.say(false, v.said)
}

// noise is n bytes of anything.
func (v *villain) noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(v.rng.Uint32())
	}
	return b
}

// reply is a whole frame of anything, for the command f.
func (v *villain) reply(f osdp.Frame) osdp.Frame {
	return osdp.Frame{Addr: f.Addr, Reply: true, Seq: f.Seq, Code: byte(v.rng.Uint32()), Data: v.noise(v.rng.IntN(60))}
}

// villainy is what a villain can do with a command (O12).
var villainy = map[string]func(v *villain, f osdp.Frame){
	"says nothing": func(*villain, osdp.Frame) {},
	"claims 65535 bytes": func(v *villain, f osdp.Frame) {
		v.raw(append([]byte{osdp.SOM, 0x85, 0xff, 0xff, 0x04}, v.noise(2000)...))
	},
	"claims 1440 bytes":  func(v *villain, f osdp.Frame) { v.raw([]byte{osdp.SOM, 0x85, 0xa0, 0x05, 0x04, 0x40}) },
	"floods with noise":  func(v *villain, f osdp.Frame) { v.raw(v.noise(64 << 10)) },
	"floods with starts": func(v *villain, f osdp.Frame) { v.raw(bytes.Repeat([]byte{osdp.SOM}, 4<<10)) },
	"is busy": func(v *villain, f osdp.Frame) {
		v.say(false, wireOf(osdp.Frame{Addr: 5, Reply: true, Code: osdp.CodeBUSY}))
	},
	"refuses": func(v *villain, f osdp.Frame) {
		v.say(false, wireOf(forged(f, osdp.NAK{Reason: osdp.NAKCode(v.rng.IntN(10))})))
	},
	"speaks nonsense":      func(v *villain, f osdp.Frame) { v.say(false, wireOf(v.reply(f))) },
	"speaks bad checks":    func(v *villain, f osdp.Frame) { b := wireOf(v.reply(f)); b[len(b)-1] ^= 1; v.say(false, b) },
	"answers for others":   func(v *villain, f osdp.Frame) { r := v.reply(f); r.Addr = 6; v.say(false, wireOf(r)) },
	"wants to start over":  func(v *villain, f osdp.Frame) { r := v.reply(f); r.Seq = 0; v.say(false, wireOf(r)) },
	"seals nonsense":       func(v *villain, f osdp.Frame) { r := v.reply(f); r.SCBType = osdp.SCS18; v.say(false, wireOf(r)) },
	"shakes with nonsense": func(v *villain, f osdp.Frame) { v.handshake(f) },
	"floods with frames": func(v *villain, f osdp.Frame) {
		for range 300 {
			v.say(false, wireOf(v.reply(f)))
		}
	},
	"says a byte a second": func(v *villain, f osdp.Frame) {
		for i, b := range wireOf(forged(f, osdp.ACK{})) {
			time.AfterFunc(time.Duration(i)*time.Second, func() { v.later([]byte{b}) })
		}
	},
	"comes and goes": func(v *villain, f osdp.Frame) {
		if f.SCBType < osdp.SCS15 || f.Code != osdp.CodeLSTAT {
			v.honest(f)
		}
	},
	"forgets every session": func(v *villain, f osdp.Frame) {
		if f.SCBType >= osdp.SCS15 {
			v.lock.session = nil
		}
		v.honest(f)
	},
	"delays its file": func(v *villain, f osdp.Frame) {
		v.lock.file = v.slow
		v.honest(f)
	},
}

// patience is how long the neighbour's polls may take that take honest beside an
// honest PD: twice that, but beside one that comes up properly each time and then
// falls silent. It cannot be told from one whose cable is loose, which must come
// back soon, and to find it silent takes the time of a reply and a bit.
func patience(name string, honest time.Duration) time.Duration {
	if name == "comes and goes" {
		return 250 * time.Millisecond
	}
	return 2 * honest
}

// handshake answers CHLNG and SCRYPT with the right form and nothing in it, and
// all else as it should be.
func (v *villain) handshake(f osdp.Frame) {
	r := osdp.Frame{Addr: f.Addr, Reply: true, Seq: f.Seq, SCBData: []byte{1}}
	switch f.SCBType {
	case osdp.SCS11:
		r.SCBType, r.Code, r.Data = osdp.SCS12, osdp.CodeCCRYPT, v.noise(32)
	case osdp.SCS13:
		r.SCBType, r.Code, r.Data = osdp.SCS14, osdp.CodeRMACI, v.noise(16)
	default:
		v.lock.session = nil
		v.honest(f)
		return
	}
	v.say(false, wireOf(r))
}

// newVillain is a site with a villain, who is honest until its villainy is set,
// and a good PD at address 6. polled is told when that one is polled.
func newVillain(w world, polled func()) (s *site, good *osdptest.PD, turn func(do func(*villain, osdp.Frame))) {
	c := secured(6)
	good = osdptest.NewPD(c)
	v := &villain{mitm: &mitm{keep: 1}, lock: newLock(w.t, keyA), rng: rand.New(rand.NewPCG(5, 5))}
	v.lock.file = osdp.NewReceiver(osdp.ReceiverOptions{Limit: 1 << 20})
	v.slow = osdp.NewReceiver(osdp.ReceiverOptions{Limit: 1 << 20, Action: osdp.FTInterleave, Delay: 65535 * time.Millisecond})
	do := (*villain).honest
	v.does(func(f sniffed) [][]byte {
		switch {
		case f.toPD && f.Addr == 5:
			do(v, f.Frame)
			return nil
		case f.toPD && f.SCBType == osdp.SCS15 && f.Code == osdp.CodePOLL:
			polled()
		}
		return [][]byte{f.wire}
	})
	s = newSite(w, v.mitm, []osdp.PDConfig{{Addr: 5, Keys: osdp.Keys{Current: &keyA}}, panelOf(c)}, good)
	return s, good, func(d func(*villain, osdp.Frame)) {
		v.mu.Lock()
		defer v.mu.Unlock()
		do = d
	}
}

// gaps works a line with a villain for so long, and gives the times between the
// polls of its neighbour from when the panel has had time to see what it has
// there, shortest first, and the longest before. With late it comes up first.
func gaps(t *testing.T, do func(*villain, osdp.Frame), late bool, long time.Duration) (all []time.Duration, before time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		var last time.Time
		start := time.Now()
		s, _, turn := newVillain(world{t, false}, func() {
			now := time.Now()
			switch gap := now.Sub(last); {
			case last.IsZero():
			case now.Sub(start) < 20*time.Second:
				before = max(before, gap)
			default:
				all = append(all, gap)
			}
			last = now
		})
		if !late {
			turn(do)
		}
		time.Sleep(5 * time.Second)
		if late && !s.line.Stats()[0].Secure {
			t.Fatal("it did not come up")
		}
		turn(do)
		if late {
			go s.line.SendFile(t.Context(), 5, osdp.File{Type: osdp.FilePrivate, Content: make([]byte, 5000)}, nil)
		}
		time.Sleep(long)
		if p := s.line.Stats()[1]; !p.Online || !p.Secure || p.Restarts > 0 {
			t.Errorf("the neighbour: online %v, secure %v, %d restarts", p.Online, p.Secure, p.Restarts)
		}
		s.close()
	})
	slices.Sort(all)
	return all, before
}

// TestVillains (O12): whatever a PD does, the panel does not fall, holds no
// more, and polls its neighbour nearly as often as before.
func TestVillains(t *testing.T) {
	long := 5 * time.Minute
	if raced {
		long = 45 * time.Second
	}
	p99 := func(all []time.Duration) time.Duration { return all[len(all)*99/100] }
	honest, _ := gaps(t, (*villain).honest, true, long)
	base := p99(honest)
	var was, is runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&was)
	for _, name := range slices.Sorted(maps.Keys(villainy)) {
		for _, late := range []bool{false, true} {
			all, before := gaps(t, villainy[name], late, long)
			t.Logf("%-21s late %-5v: the neighbour's %d polls: p50 %v, p99 %v, worst %v, at first %v; beside an honest PD p99 %v", name, late, len(all),
				all[len(all)/2], p99(all), all[len(all)-1].Round(time.Millisecond), before.Round(time.Millisecond), base)
			if most := patience(name, base); p99(all) > most {
				t.Errorf("%s: the neighbour waits %v for its poll, want %v at the most", name, p99(all), most)
			}
			if before > 600*time.Millisecond {
				t.Errorf("%s: at first the neighbour waits %v", name, before)
			}
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&is)
	if grown := int64(is.HeapAlloc) - int64(was.HeapAlloc); grown > 4<<20 {
		t.Errorf("%d bytes more are held", grown)
	}
}

// TestVillainsOnPTYs: beside each of them a card of its neighbour arrives.
func TestVillainsOnPTYs(t *testing.T) {
	t.Parallel()
	s, good, turn := newVillain(world{t, true}, func() {})
	for range 2 {
		s.want(osdp.Online)
	}
	for _, name := range slices.Sorted(maps.Keys(villainy)) {
		turn(villainy[name])
		good.Present(0, card)
		if e := s.want(osdp.Card); e.Addr != 6 || !slices.Equal(e.Data, card.Bytes()) {
			t.Errorf("%s: PD %d", name, e.Addr)
		}
	}
}

// TestClearReaderIsNoSecureOne (O13): a line that is tapped and played again
// cannot be cured here. That it can be is said: a reader without a channel is
// never called secure, whatever it says of itself.
func TestClearReaderIsNoSecureOne(t *testing.T) {
	hostile(t, func(w world) {
		c := config(5)
		c.Caps = osdp.PDCAP{{Function: osdp.CapCheck, Compliance: 1}, {Function: osdp.CapSecurity, Compliance: 1, Number: 1}}
		s, pd := oneReader(w, &mitm{}, c)
		s.want(osdp.ReaderStatus)
		pd.Present(0, card)
		s.want(osdp.Card)
		if p := s.line.Stats()[0]; p.Secure || !p.Clear {
			w.t.Errorf("secure %v, clear %v", p.Secure, p.Clear)
		}
		tape := s.sniffed()
		tapped := slices.IndexFunc(tape, func(f sniffed) bool { return f.Code == osdp.CodeRAW })
		s.does(func(f sniffed) [][]byte { // the reason for the label: his card works
			if f.toPD && f.Code == osdp.CodePOLL && f.Seq == tape[tapped].Seq {
				s.say(false, tape[tapped].wire)
				return nil
			}
			return [][]byte{f.wire}
		})
		s.want(osdp.Card)
		if p := s.line.Stats()[0]; p.Secure || !p.Clear {
			w.t.Errorf("with somebody on the line: secure %v, clear %v", p.Secure, p.Clear)
		}
	})
}
