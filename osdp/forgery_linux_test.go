package osdp_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/osdptest"
	"latchkey/wiegand"
)

// TestForger (O6): somebody answers before the PD does, with MACs that he
// guesses. It ends in an alarm.
func TestForger(t *testing.T) {
	hostile(t, func(w world) {
		t := w.t
		s, _ := oneReader(w, &mitm{keep: 100}, secured(5))
		s.want(osdp.Online)
		rng := rand.New(rand.NewPCG(3, 3))
		s.does(func(f sniffed) [][]byte {
			if f.toPD && f.SCBType >= osdp.SCS15 {
				s.say(false, wireOf(guess(f.Frame, rng)))
			}
			return [][]byte{f.wire}
		})
		if e := s.want(osdp.Untrusted, osdp.Card, osdp.Malformed); e.Trouble != osdp.Forged {
			t.Errorf("trouble %v", e.Trouble)
		}
		s.never(time.Hour, osdp.Card, osdp.Malformed)
	})
}

// guess is a sealed card as somebody makes it who has no key.
func guess(f osdp.Frame, rng *rand.Rand) osdp.Frame {
	g := osdp.Frame{Addr: f.Addr, Reply: true, Seq: f.Seq, SCBType: osdp.SCS16, Code: osdp.CodeACK}
	binary.LittleEndian.PutUint32(g.MAC[:], rng.Uint32())
	if rng.IntN(2) == 0 {
		g.SCBType, g.Code, g.Data = osdp.SCS18, osdp.CodeRAW, make([]byte, 16)
		for i := range g.Data {
			g.Data[i] = byte(rng.Uint32())
		}
	}
	return g
}

// TestForgerInNumbers puts a million guesses onto the line, as fast as it is. It
// takes none, and looks at one a second at the most.
func TestForgerInNumbers(t *testing.T) {
	const frames = 1_000_000
	l := newLock(t, keyA)
	k := newKeyed(t, l, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}})
	k.want(osdp.Online, time.Second)
	rng := rand.New(rand.NewPCG(4, 4))
	start, tenth, was := k.now, k.now, k.stats().MACErrors
	took := func(evs []osdp.Event, done bool) {
		alarm := slices.ContainsFunc(evs, func(e osdp.Event) bool { return e.Kind == osdp.Untrusted && e.Trouble == osdp.Forged })
		if done && !alarm && k.stats().Online || slices.ContainsFunc(evs, func(e osdp.Event) bool { return e.Kind == osdp.Card }) {
			t.Fatalf("a guess was taken: %v", evs)
		}
	}
	for n := 0; n < frames; {
		f := k.nextAny()
		for range 12 { // what 200 ms at 9600 baud hold
			n++
			k.now = k.now.Add(15600 * time.Microsecond)
			evs, done := k.bus.Answer(k.now, l.onWire(guess(f, rng)))
			if took(evs, done); done {
				break
			}
		}
		k.bus.Answer(k.now, l.answer(f))
		if k.now.Sub(tenth) >= 10*time.Minute {
			if guesses := k.stats().MACErrors - was; guesses > 600 {
				t.Fatalf("%d guesses in ten minutes", guesses)
			}
			tenth, was = k.now, k.stats().MACErrors
		}
	}
	s := k.stats()
	rate := float64(s.MACErrors) / k.now.Sub(start).Seconds()
	t.Logf("%d guesses sent in %v, %d looked at, %.3f a second, 0 taken", frames, k.now.Sub(start).Round(time.Second), s.MACErrors, rate)
	if rate > 1 || s.MACErrors < 100 {
		t.Errorf("%d guesses looked at, %.2f a second", s.MACErrors, rate)
	}
}

// TestNullCipher (O7): data under SCS_15 and SCS_16, which only authenticate, is
// no card: not of a PD that has the key, and not with the block changed on its
// way. Nor does the panel ever send data so.
func TestNullCipher(t *testing.T) {
	raw := osdp.RAW{Bits: 26, Data: []byte{1, 2, 3, 0x40}}
	hostile(t, func(w world) {
		t := w.t
		l := newLock(t, keyA)
		s := newSite(w, &mitm{keep: 1000}, []osdp.PDConfig{{Addr: 5, Keys: osdp.Keys{Current: &keyA}}})
		sent := 0
		var last, answer []byte
		s.poses(func(f osdp.Frame) []byte {
			if wire := wireOf(f); !bytes.Equal(wire, last) {
				last = wire
				if f.SCBType >= osdp.SCS15 && f.Code == osdp.CodePOLL && f.Seq != 0 && l.session != nil {
					if _, err := l.session.Open(&f); err == nil {
						sent++
						data, _ := raw.AppendData(nil)
						answer = l.session.SealClear(osdp.Frame{Addr: f.Addr, Reply: true, Seq: f.Seq, Code: osdp.CodeRAW, Data: data})
						return answer
					}
				}
				answer = wireOf(l.answer(f))
			}
			return answer
		})
		s.want(osdp.Secured)
		s.never(10*time.Minute, osdp.Card)
		s.mu.Lock()
		defer s.mu.Unlock()
		if sent == 0 || s.line.Stats()[0].ClearData == 0 {
			t.Errorf("%d cards were sent so", sent)
		}
		for _, f := range s.seen {
			if f.toPD && f.SCBType == osdp.SCS15 && len(f.Data) > 0 {
				t.Errorf("the panel sent %v so", f.Frame)
			}
		}
	})
	hostile(t, func(w world) { // the block is changed on its way
		t := w.t
		s, pd := oneReader(w, &mitm{keep: 100}, secured(5))
		s.want(osdp.Online)
		changed := 0
		s.does(func(f sniffed) [][]byte {
			if f.SCBType == osdp.SCS18 {
				changed++
				g := f.Frame
				g.SCBType, g.Code = osdp.SCS16, osdp.CodeRAW
				g.Data, _ = raw.AppendData(nil)
				return [][]byte{wireOf(g)}
			}
			return [][]byte{f.wire}
		})
		for range w.times(5) {
			pd.Present(0, card)
			s.never(2*time.Second, osdp.Card)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if changed == 0 {
			t.Error("nothing was changed")
		}
	})
}

// TestInterleaved (O8): clear frames in the PD's name inside a session are not
// believed; what the PD itself says still is, once.
func TestInterleaved(t *testing.T) {
	hostile(t, func(w world) {
		t := w.t
		s, pd := oneReader(w, &mitm{keep: 100}, secured(5))
		s.want(osdp.ReaderStatus)
		lies := []osdp.Reply{
			osdp.RAW{Bits: 26, Data: []byte{9, 9, 9, 0x40}}, osdp.KEYPAD{Keys: []byte("1234")}, osdp.FMT{Chars: []byte("99")},
			osdp.ACK{}, osdp.LSTATR{Tamper: 1}, osdp.ISTATR{1, 1}, osdp.OSTATR{1}, osdp.RSTATR{2}, osdp.PDID{}, osdp.COM{Addr: 9}, osdp.XRD{},
		}
		began, n := time.Now(), 0
		s.does(func(f sniffed) [][]byte {
			if f.toPD && f.SCBType >= osdp.SCS15 {
				s.say(false, wireOf(forged(f.Frame, lies[n%len(lies)])))
				n++
			}
			return [][]byte{f.wire}
		})
		for range w.times(500) {
			pd.Present(0, card)
			if e := s.want(osdp.Card, osdp.CardText, osdp.Keypad); !slices.Equal(e.Data, card.Bytes()) {
				t.Fatalf("a card of %d bits in his name was taken", e.Bits)
			}
		}
		s.never(time.Minute, osdp.Card, osdp.CardText, osdp.Keypad)
		if p := s.line.Stats()[0]; p.ClearReplies < uint64(w.times(len(lies))) || p.Addr != 5 {
			t.Errorf("%d clear replies, address %d", p.ClearReplies, p.Addr)
		} else if !w.real && (p.Handshakes != 1 || !p.Since.Before(began)) { // a busy machine may lose the PD
			t.Errorf("%d handshakes, online since %v", p.Handshakes, p.Since)
		}
	})
}

// A refusal is what somebody says in the clear in a PD's name who wants the
// panel to believe that the session is lost, or that the PD has no time.
type refusal struct {
	code  byte
	data  []byte
	ahead uint8 // of the sequence number of the command
}

func (r refusal) String() string {
	name := osdp.ReplyName(r.code)
	if len(r.data) > 0 {
		name += fmt.Sprint(" ", r.data[0])
	}
	return fmt.Sprintf("%s, sequence +%d", name, r.ahead)
}

// to is r as an answer to the command f.
func (r refusal) to(f osdp.Frame) []byte {
	return wireOf(osdp.Frame{Addr: f.Addr, Reply: true, Seq: (f.Seq + r.ahead) % 4, Code: r.code, Data: r.data})
}

// refusals are NAKs of every code and of some that are none, and BUSY, with the
// right sequence number and all wrong ones.
func refusals() (all []refusal) {
	for ahead := range uint8(4) {
		all = append(all, refusal{osdp.CodeBUSY, nil, ahead}, refusal{osdp.CodeNAK, nil, ahead}, refusal{osdp.CodeNAK, []byte{0xff}, ahead})
		for reason := range osdp.NAKRecord + 2 {
			all = append(all, refusal{osdp.CodeNAK, []byte{byte(reason)}, ahead})
		}
	}
	return all
}

// TestRefusedInItsName (O8): one refusal in the clear before the PD's true
// answer ends no session, and the card behind it arrives, once. NAK 6 alone is
// how a PD says that it has none, and makes a new one at once.
func TestRefusedInItsName(t *testing.T) {
	hostile(t, func(w world) {
		t := w.t
		s, pd := oneReader(w, &mitm{}, secured(5))
		s.want(osdp.ReaderStatus)
		noSession := refusal{osdp.CodeNAK, []byte{byte(osdp.NAKSecurity)}, 0}
		for n, r := range refusals() {
			if r.String() == noSession.String() {
				continue
			}
			b, err := wiegand.MakeBits(26, []byte{byte(n), 2, 3, 0x40})
			if err != nil {
				t.Fatal(err)
			}
			said := false
			s.does(func(f sniffed) [][]byte {
				if !said && f.toPD && f.SCBType >= osdp.SCS15 && f.Code == osdp.CodePOLL {
					said = true
					pd.Present(0, b) // so it is what this poll gets
					s.say(false, r.to(f.Frame))
				}
				return [][]byte{f.wire}
			})
			if e := s.want(osdp.Card, osdp.CardText, osdp.Keypad, osdp.StaleCard, osdp.Untrusted, osdp.Offline); !slices.Equal(e.Data, b.Bytes()) {
				t.Errorf("behind %v another card came", r)
			}
		}
		s.never(10*time.Second, osdp.Card, osdp.StaleCard)
		if p := s.line.Stats()[0]; !w.real && (p.Handshakes != 1 || p.Restarts > 0) { // a busy machine may lose the PD
			t.Errorf("%d handshakes, %d restarts", p.Handshakes, p.Restarts)
		}
		said := false
		s.does(func(f sniffed) [][]byte {
			if !said && f.toPD && f.SCBType >= osdp.SCS15 && f.Code == osdp.CodePOLL {
				said = true
				s.say(false, noSession.to(f.Frame))
			}
			return [][]byte{f.wire}
		})
		s.want(osdp.Restarted)
		pd.Present(0, card)
		if e := s.want(osdp.Card); !slices.Equal(e.Data, card.Bytes()) {
			t.Error("in the new session another card came")
		}
		s.yieldsNothing()
	})
}

// TestRefusedForever (O8): refusals in the clear before every answer keep a
// reader away, as cutting its cable does. Nothing is taken in the clear for it,
// no key but its own is tried, and the reader is back by itself soon after them.
func TestRefusedForever(t *testing.T) {
	hostile(t, func(w world) {
		t := w.t
		flood := func(r refusal, shakes bool) (away, back time.Duration) {
			s, pd := oneReader(w, &mitm{}, secured(5))
			defer s.close()
			s.want(osdp.ReaderStatus)
			s.does(func(f sniffed) [][]byte {
				if f.toPD && (f.SCBType >= osdp.SCS15 || shakes && f.SCBType != 0) {
					s.say(false, r.to(f.Frame))
				}
				return [][]byte{f.wire}
			})
			away = s.away(time.Minute)
			s.does(nil)
			for began := time.Now(); ; {
				pd.Withdraw(0)
				pd.Present(0, card)
				e, ok := s.wait(100*time.Millisecond, osdp.Card, osdp.CardText, osdp.Keypad)
				if back = time.Since(began); ok && !slices.Equal(e.Data, card.Bytes()) {
					t.Errorf("after %v another card came", r)
				}
				if ok || back > 2*time.Minute {
					s.yieldsNothing()
					return away, back
				}
			}
		}
		did := map[string][]string{}
		for _, r := range refusals() {
			reason := osdp.NAKNone
			if len(r.data) > 0 {
				reason = osdp.NAKCode(r.data[0])
			}
			few := w.real || raced
			if r.ahead > 1 || w.real && r.ahead > 0 || few && r.code == osdp.CodeNAK && reason != osdp.NAKSecurity && reason != osdp.NAKSequence {
				continue
			}
			for _, shakes := range []bool{false, true} {
				away, back := flood(r, shakes)
				most := 6 * time.Second // the longest pause before a new start, and the start
				if shakes {
					most = time.Minute // as for whoever has no key
				}
				if back > most && !w.real {
					t.Errorf("%v: back after %v, want %v at the most", r, back, most)
				}
				if r.ahead > 0 && r.code == osdp.CodeNAK && reason != osdp.NAKSequence && away > 0 {
					t.Errorf("%v kept it away for %v, and is no answer", r, away)
				}
				how := fmt.Sprintf("away for %v of it and back %v after it; handshakes refused too: %v", away.Round(100*time.Millisecond), back.Round(100*time.Millisecond), shakes)
				did[how] = append(did[how], r.String())
			}
		}
		for _, how := range slices.Sorted(maps.Keys(did)) {
			t.Logf("refusals for %v: %s: %s", w.most(time.Minute), how, strings.Join(did[how], "; "))
		}
	})
}

// TestWrongKey (O9): a PD with another key stays out, and we hear of it. The
// panel falls back to nothing.
func TestWrongKey(t *testing.T) {
	hostile(t, func(w world) {
		t := w.t
		c := secured(5)
		p := panelOf(c)
		p.Keys.Current = &keyB
		c.InstallMode, c.RequireSecure = true, false // it would take anything
		s := newSite(w, &mitm{}, []osdp.PDConfig{p}, osdptest.NewPD(c))
		if e := s.want(osdp.Untrusted, osdp.Online, osdp.Secured); e.Trouble != osdp.WrongKey {
			t.Errorf("trouble %v", e.Trouble)
		}
		s.never(24*time.Hour, osdp.Online, osdp.Secured)
		if err := s.line.Send(t.Context(), 5, osdp.OUT{{Action: osdp.OutputOn}}); !errors.Is(err, osdp.ErrOffline) {
			t.Errorf("Send: %v", err)
		}
		if got, want := s.commands(), []byte{osdp.CodeID, osdp.CodeCAP, osdp.CodeCHLNG}; !bytes.Equal(got, want) {
			t.Errorf("commands in the clear: % x, want % x", got, want)
		}
		for _, f := range s.sniffed() {
			if f.SCBType == osdp.SCS11 && osdp.AsksDefault(f.Frame) {
				t.Fatal("SCBK-D was tried")
			}
		}
	})
}

// TestSwappedReader (O10): another device answers, which even has the key. It is
// told of, and gets nothing: no command, no file, no key.
func TestSwappedReader(t *testing.T) {
	hostile(t, func(w world) {
		t := w.t
		for _, clear := range []bool{false, true} {
			c := secured(5)
			p := panelOf(c)
			if clear {
				c.SCBK, c.RequireSecure, p = nil, false, osdp.PDConfig{Addr: 5, Security: osdp.AllowClear}
			}
			p.Identity = &osdp.Identity{Serial: 4711} // who was there before
			pd := osdptest.NewPD(c)
			s := newSite(w, &mitm{}, []osdp.PDConfig{p}, pd)
			if e := s.want(osdp.Untrusted, osdp.Online); e.Trouble != osdp.Swapped {
				t.Errorf("trouble %v", e.Trouble)
			}
			for name, err := range map[string]error{
				"Send":     s.line.Send(t.Context(), 5, osdp.OUT{{Action: osdp.OutputOn}}),
				"SendFile": s.line.SendFile(t.Context(), 5, osdp.File{Type: osdp.FilePrivate, Content: []byte("cards"), Credentials: true}, nil),
				"SetKey":   s.line.SetKey(t.Context(), 5, keyB),
			} {
				if !errors.Is(err, osdp.ErrOffline) {
					t.Errorf("%s: %v", name, err)
				}
			}
			pd.Present(0, card)
			s.never(24*time.Hour, osdp.Online, osdp.Card)
			for _, f := range s.sniffed() {
				if ok := f.SCBType == osdp.SCS11 || f.SCBType == osdp.SCS13 || f.Code == osdp.CodeID || f.Code == osdp.CodeCAP; f.toPD && !ok {
					t.Fatalf("it got %v", f.Frame)
				}
			}
		}
	})
}
