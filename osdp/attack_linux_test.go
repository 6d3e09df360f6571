package osdp_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"latchkey/osdp"
	"latchkey/wiegand"
)

// The attacks of the "Badge of Shame" talk (2023) and their kin, each against
// the policy that a site has unless it asks for another. Each is tried between
// two pseudo-terminals; those that live by numbers are tried in numbers too.

// inClear are the codes that a panel may send without a channel.
var inClear = []byte{osdp.CodeID, osdp.CodeCAP, osdp.CodeCHLNG, osdp.CodeSCRYPT}

// TestSniffer (O1): whoever listens gets no card, no PIN and no key.
func TestSniffer(t *testing.T) {
	hostile(t, func(w world) {
		t := w.t
		c := secured(5)
		s, pd := oneReader(w, &mitm{}, c)
		s.want(osdp.Online)
		secrets := [][]byte{c.SCBK[:]}
		rng := rand.New(rand.NewPCG(1, 1))
		for n := range w.times(50) {
			card := make([]byte, 8)
			binary.BigEndian.PutUint64(card, rng.Uint64())
			b, err := wiegand.MakeBits(64, card)
			if err != nil {
				t.Fatal(err)
			}
			pin := fmt.Sprintf("%010d", rng.Uint64N(1e10))
			pd.Present(0, b)
			pd.Key(pin)
			if e := s.want(osdp.Card); !bytes.Equal(e.Data, card) {
				t.Fatal("another card came")
			}
			if e := s.want(osdp.Keypad); e.Digits != pin {
				t.Fatal("another PIN came")
			}
			text := fmt.Sprintf("door %d", rng.Uint64())
			if err := s.line.Send(t.Context(), 5, osdp.OUT{{Action: osdp.OutputOn}}, osdp.TEXT{Mode: osdp.TextFor, Row: 1, Col: 1, Time: time.Second, Text: text}); err != nil {
				t.Fatal(err)
			}
			secrets = append(secrets, card, []byte(pin), []byte(text))
			if n < 3 {
				key, err := osdp.NewKey(rand.NewChaCha8([32]byte{byte(n)}))
				if err != nil {
					t.Fatal(err)
				}
				if err := s.line.SetKey(t.Context(), 5, key); err != nil {
					t.Fatal(err)
				}
				secrets = append(secrets, key[:])
			}
		}
		var all []byte
		heard := s.sniffed()
		for _, f := range heard {
			all = append(all, f.wire...)
		}
		for i, secret := range secrets {
			if bytes.Contains(all, secret) {
				t.Errorf("secret %d stands on the line", i)
			}
		}
		if got := s.commands(); !bytes.Equal(got, inClear) {
			t.Errorf("commands in the clear: % x, want % x", got, inClear)
		}
		t.Logf("%d frames, %d secrets looked for", len(heard), len(secrets))
	})
}

// TestSnifferInNumbers hears a million frames, with cards, PINs, texts and keys
// among them, and finds not one of those. On a line without a channel the same
// search finds them.
func TestSnifferInNumbers(t *testing.T) {
	const frames = 1_000_000
	heard, told, secrets, found := sniff(t, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}}, frames)
	t.Logf("%d frames heard, %d secrets told in them, %d found", heard, secrets, found)
	if found > 0 || heard < frames || told != secrets || secrets < frames/20 {
		t.Errorf("%d secrets found in %d frames; %d of %d reached the panel or the PD", found, heard, told, secrets)
	}
	if _, _, secrets, found := sniff(t, osdp.PDConfig{Addr: 5, Security: osdp.AllowClear}, 1000); found < secrets {
		t.Errorf("%d of %d secrets found in the clear: this test would find nothing", found, secrets)
	}
}

// sniff works a panel and a PD until so many frames have passed, and searches
// each for all the secrets that were told by then. told counts those that came
// to the other end.
func sniff(t *testing.T, c osdp.PDConfig, frames int) (heard, told, secrets, found int) {
	l := newLock(t, keyA)
	k := newKeyed(t, l, c)
	rng := rand.New(rand.NewPCG(6, 6))
	hidden := map[[8]byte]bool{} // what a secret begins with
	secret := func(b []byte) []byte { secrets++; hidden[[8]byte(b)] = true; return b }
	word := func(format string) []byte { return fmt.Appendf(nil, format, rng.Uint64N(1e16)) }
	if c.Keys.Current != nil {
		secret(c.Keys.Current[:])
		told++
	}
	hear := func(f osdp.Frame, wire []byte) {
		heard++
		if c.Keys.Current != nil && !f.Reply && f.SCBType < osdp.SCS15 && !slices.Contains(inClear, f.Code) {
			t.Errorf("%v in the clear", f)
		}
		for i := range len(wire) - 7 {
			if hidden[[8]byte(wire[i:])] {
				found++
			}
		}
	}
	for n := 0; heard < frames || told < secrets && heard < frames+1000; n++ {
		f := k.nextAny()
		hear(f, k.wire)
		live := k.stats().Online && heard < frames // the last ones may arrive
		switch {
		case live && n%20 == 0:
			l.poll = append(l.poll, osdp.RAW{Bits: 64, Data: binary.BigEndian.AppendUint64(nil, rng.Uint64())}, osdp.KEYPAD{Keys: word("%016d")})
			secret(l.poll[0].(osdp.RAW).Data)
			secret(l.poll[1].(osdp.KEYPAD).Keys)
		case live && n%50 == 7:
			text := osdp.TEXT{Mode: osdp.TextFor, Row: 1, Col: 1, Time: time.Second, Text: string(secret(word("%016d")))}
			if _, err := k.bus.Submit(k.now, 5, []osdp.Command{text}, func(_ []osdp.Reply, err error) {
				if err == nil {
					told++
				}
			}); err != nil {
				t.Fatal(err)
			}
		case live && n%1000 == 13 && c.Keys.Current != nil:
			key, err := osdp.NewKey(rand.NewChaCha8([32]byte(binary.BigEndian.AppendUint64(make([]byte, 24), uint64(n)))))
			if err != nil {
				t.Fatal(err)
			}
			secret(key[:])
			if err := k.bus.SetKey(k.now, 5, key, func(err error) {
				if err == nil {
					told++
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
		r := l.answer(f)
		hear(r, wireOf(r))
		k.now = k.now.Add(3 * time.Millisecond)
		evs, _ := k.bus.Answer(k.now, r)
		for _, e := range evs {
			if e.Kind == osdp.Card || e.Kind == osdp.Keypad {
				told++
			}
		}
	}
	return heard, told, secrets, found
}

// TestDowngrade (O2): somebody strikes encryption out of what the PD says that
// it can do, or refuses it in the PD's name. The panel takes no line without
// it, and tells.
func TestDowngrade(t *testing.T) {
	strike := func(s sniffed) []byte {
		if s.Code != osdp.CodePDCAP || s.SCBType != 0 {
			return s.wire
		}
		caps := osdp.ParseReply(s.Code, bytes.Clone(s.Data)).(osdp.PDCAP)
		caps = slices.DeleteFunc(caps, func(c osdp.Capability) bool { return c.Function == osdp.CapSecurity })
		f := forged(s.Frame, caps)
		return wireOf(f)
	}
	hostile(t, func(w world) {
		t := w.t
		for n := range w.times(100) {
			refuse := n%2 == 1
			m := &mitm{}
			m.does(func(s sniffed) [][]byte {
				if refuse && s.toPD && s.Code == osdp.CodeCHLNG {
					m.say(false, wireOf(forged(s.Frame, osdp.NAK{Reason: osdp.NAKBlock})))
					return nil
				}
				return [][]byte{strike(s)}
			})
			began := time.Now()
			s, _ := oneReader(w, m, secured(5))
			if refuse {
				if e := s.want(osdp.Untrusted, osdp.Online); e.Trouble != osdp.NoChannel {
					t.Errorf("try %d: trouble %v", n, e.Trouble)
				}
			} else {
				s.want(osdp.Altered)
				s.want(osdp.Online)
			}
			if took := time.Since(began); took > 5*time.Second && !w.real {
				t.Errorf("try %d: alarm after %v", n, took)
			}
			if refuse {
				s.never(time.Minute, osdp.Online, osdp.Card)
			}
			if p := s.line.Stats()[0]; p.Online != p.Secure || p.Online == refuse {
				t.Errorf("try %d: online %v, secure %v", n, p.Online, p.Secure)
			}
			for _, c := range s.commands() {
				if !slices.Contains(inClear, c) {
					t.Errorf("try %d: command 0x%02x in the clear", n, c)
				}
			}
			s.close()
		}
	})
}

// beggar lets l answer in the PD's place, as a PD that has no key and waits for
// one: it refuses every other.
func (s *site) beggar(l *lock) {
	l.install = true
	var last, answer []byte
	s.poses(func(f osdp.Frame) []byte {
		wire := wireOf(f)
		if !bytes.Equal(wire, last) {
			last, answer = wire, wireOf(l.answer(f))
			if l.key == (osdp.Key{}) && f.SCBType == osdp.SCS11 && !osdp.AsksDefault(f) {
				answer = wireOf(forged(f, osdp.NAK{Reason: osdp.NAKBlock}))
			}
		}
		return answer
	})
}

// TestBeggar (O3): a PD that says it has no key gets one in the window that an
// operator opens for it, once, and never else.
func TestBeggar(t *testing.T) {
	hostile(t, func(w world) {
		t := w.t
		l := newLock(t, osdp.Key{})
		l.caps = append(l.caps, osdp.Capability{Function: osdp.CapSecurity, Compliance: 1, Number: 1})
		s := newSite(w, &mitm{keep: 1000}, []osdp.PDConfig{{Addr: 5, Keys: osdp.Keys{Current: &keyA}}})
		s.beggar(l)
		if e := s.want(osdp.Untrusted, osdp.Online, osdp.Secured); e.Trouble != osdp.NoChannel {
			t.Errorf("trouble %v", e.Trouble)
		}
		s.never(24*time.Hour, osdp.Secured, osdp.Online)
		if len(l.keys) > 0 {
			t.Fatal("it got a key")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := s.line.Install(ctx, 5, keyB); err != nil {
			t.Fatal(err)
		}
		s.want(osdp.Online)
		s.mu.Lock()
		l.key, l.session = osdp.Key{}, nil // and now it has none again
		s.mu.Unlock()
		s.want(osdp.Untrusted)
		s.never(24*time.Hour, osdp.Secured, osdp.Online)
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(l.keys) != 1 {
			t.Errorf("it got %d keys", len(l.keys))
		}
	})
}

// TestBeggarInNumbers asks 10 000 times outside any window, and beside that of
// another PD. A window closes by its time too.
func TestBeggarInNumbers(t *testing.T) {
	l := newLock(t, osdp.Key{})
	l.install = true
	k := newKeyed(t, l, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}})
	for asked := 0; asked < 10_000; {
		f := k.nextAny()
		r := l.answer(f)
		if f.SCBType == osdp.SCS11 {
			if osdp.AsksDefault(f) {
				t.Fatal("asked for SCBK-D without an operator")
			}
			// NAK, the default key's selector, and a wrong cryptogram in turn.
			switch asked++; asked % 3 {
			case 0:
				r = l.onWire(forged(f, osdp.NAK{Reason: osdp.NAKBlock}))
			case 1:
				r.SCBData = []byte{0}
				r = l.onWire(r)
			}
		}
		k.now = k.now.Add(3 * time.Millisecond)
		k.bus.Answer(k.now, r)
	}
	if len(l.keys) > 0 {
		t.Error("it got a key")
	}

	// In its window it does not answer; after it, it begs.
	var result error
	if err := k.bus.Install(k.now, 5, keyB, k.now.Add(time.Minute), func(err error) { result = err }); err != nil {
		t.Fatal(err)
	}
	for end := k.now.Add(time.Minute); k.now.Before(end); {
		k.nextAny()
		k.silence()
	}
	k.until(osdp.Kind(99), time.Hour)
	if !errors.Is(result, osdp.ErrInstall) || len(l.keys) > 0 {
		t.Errorf("after its window: %v, %d keys", result, len(l.keys))
	}

	// Two beg, one may have a key.
	other := newLock(t, osdp.Key{})
	other.install = true
	h := newHandOf(t, osdp.Options{}, osdp.PDConfig{Addr: 5}, osdp.PDConfig{Addr: 6})
	if err := h.bus.Install(h.now, 6, keyA, h.now.Add(time.Minute), func(err error) { result = err }); err != nil {
		t.Fatal(err)
	}
	for end := h.now.Add(5 * time.Minute); h.now.Before(end); {
		f := h.nextAny()
		h.now = h.now.Add(3 * time.Millisecond)
		if f.Addr == 5 {
			h.bus.Answer(h.now, l.answer(f))
		} else {
			h.bus.Answer(h.now, other.answer(f))
		}
	}
	if result != nil || len(other.keys) != 1 || len(l.keys) != 0 {
		t.Errorf("installed: %v, %d keys; its neighbour got %d", result, len(other.keys), len(l.keys))
	}
}

// weakKeys are those that anybody tries first: SCBK-D, and all 768 of equal,
// rising and falling bytes.
func weakKeys() []osdp.Key {
	weak := []osdp.Key{osdp.DefaultKey()}
	for first := range 256 {
		for step := -1; step <= 1; step++ {
			var k osdp.Key
			for i := range k {
				k[i] = byte(first + i*step)
			}
			weak = append(weak, k)
		}
	}
	return weak
}

// TestWeakKeyGuesser (O4): somebody in the PD's place proves every weak key in
// turn, as SCBK and as SCBK-D. The panel has none of them, and takes none.
func TestWeakKeyGuesser(t *testing.T) {
	hostile(t, func(w world) {
		t := w.t
		weak := weakKeys()
		l := newLock(t, weak[0])
		s := newSite(w, &mitm{}, []osdp.PDConfig{{Addr: 5, Keys: osdp.Keys{Current: &keyA}}})
		tried, honest := 0, false
		var last, answer []byte
		s.poses(func(f osdp.Frame) []byte {
			if wire := wireOf(f); !bytes.Equal(wire, last) {
				guess := f.SCBType == osdp.SCS11 && !honest
				if guess {
					l.key = weak[tried/2%len(weak)]
				}
				r := l.answer(f)
				if guess {
					r.SCBData = []byte{byte(tried % 2)}
					tried++
				}
				last, answer = wire, wireOf(r)
			}
			return answer
		})
		if e := s.want(osdp.Untrusted, osdp.Online, osdp.Secured); e.Trouble != osdp.WrongKey {
			t.Errorf("trouble %v", e.Trouble)
		}
		s.never(12*time.Hour, osdp.Secured, osdp.Online, osdp.Card) // three tries a minute
		s.yieldsNothing()
		s.mu.Lock()
		if most := 2 * len(weak); tried < min(most, w.times(most)) {
			t.Errorf("%d of %d proofs were tried", tried, most)
		}
		t.Logf("%d proofs of weak keys", tried)
		l.key, honest = keyA, true
		s.mu.Unlock()
		if _, ok := s.wait(time.Minute, osdp.Online); !ok {
			t.Error("with the right key it does not come up: the others were no proofs")
		}
	})
}

// TestDefaultKeyBehindThePanelsBack (O4): a PD is in installation mode, and
// somebody has it prove SCBK-D where the panel asks for the PD's own key.
func TestDefaultKeyBehindThePanelsBack(t *testing.T) {
	hostile(t, func(w world) {
		t := w.t
		c := secured(5)
		c.InstallMode = true
		m, turned := &mitm{}, 0
		m.does(func(f sniffed) [][]byte {
			switch g := f.Frame; f.SCBType {
			case osdp.SCS11:
				g.SCBData = []byte{0}
				return [][]byte{wireOf(g)}
			case osdp.SCS12:
				turned++
				g.SCBData = []byte{1}
				return [][]byte{wireOf(g)}
			}
			return [][]byte{f.wire}
		})
		s, _ := oneReader(w, m, c)
		if e := s.want(osdp.Untrusted, osdp.Online, osdp.Secured); e.Trouble != osdp.WrongKey {
			t.Errorf("trouble %v", e.Trouble)
		}
		s.never(24*time.Hour, osdp.Secured, osdp.Online)
		s.yieldsNothing()
		s.does(nil)
		if _, ok := s.wait(2*time.Minute, osdp.Online); !ok || turned == 0 {
			t.Errorf("by itself it does not come up; %d proofs were turned", turned)
		}
	})
}

// TestWeakKeysGoNowhere (O4): weak keys are refused when a line is set up and
// whenever one is to be set.
func TestWeakKeysGoNowhere(t *testing.T) {
	weak := weakKeys()
	k := newKeyed(t, newLock(t, keyA), osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}})
	k.want(osdp.Online, time.Second)
	never := func(error) { t.Error("under way") }
	for _, key := range weak {
		for name, err := range map[string]error{
			"current":          osdp.CheckPDs([]osdp.PDConfig{{Keys: osdp.Keys{Current: &key}}}),
			"pending":          osdp.CheckPDs([]osdp.PDConfig{{Keys: osdp.Keys{Pending: &key}}}),
			"SetKey":           k.bus.SetKey(k.now, 5, key, never),
			"Install":          k.bus.Install(k.now, 5, key, k.now.Add(time.Minute), never),
			"UseKeys":          k.bus.UseKeys(k.now, 5, osdp.Keys{Current: &key}),
			"UseKeys, pending": k.bus.UseKeys(k.now, 5, osdp.Keys{Current: &keyA, Pending: &key}),
		} {
			if !errors.Is(err, osdp.ErrWeakKey) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if len(weak) != 769 || !k.stats().Online {
		t.Errorf("%d keys; online %v", len(weak), k.stats().Online)
	}
}

// TestWeakKeyIsNotSent (O4): an operator sets each of them. Who listens sees no
// KEYSET, and the channel stays.
func TestWeakKeyIsNotSent(t *testing.T) {
	hostile(t, func(w world) {
		t := w.t
		s, _ := oneReader(w, &mitm{}, secured(5))
		s.want(osdp.ReaderStatus)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for _, key := range weakKeys() {
			for name, err := range map[string]error{
				"SetKey":  s.line.SetKey(ctx, 5, key),
				"Install": s.line.Install(ctx, 5, key),
				"UseKeys": s.line.UseKeys(5, osdp.Keys{Current: &key}),
			} {
				if !errors.Is(err, osdp.ErrWeakKey) {
					t.Fatalf("%s: %v", name, err)
				}
			}
		}
		s.never(time.Minute, osdp.Untrusted, osdp.Offline)
		if p := s.line.Stats()[0]; !w.real && p.Handshakes != 1 { // a busy machine may lose the PD
			t.Errorf("%d handshakes", p.Handshakes)
		}
		if slices.ContainsFunc(s.sniffed(), func(f sniffed) bool { return f.Code == osdp.CodeKEYSET }) {
			t.Error("KEYSET is on the line")
		}
		s.yieldsNothing()
	})
}

// TestBrokenReader (O5): somebody breaks the reader and hangs another there that
// waits for a key, or makes the panel believe that the session is lost. No key
// goes out.
func TestBrokenReader(t *testing.T) {
	hostile(t, func(w world) {
		t := w.t
		s, _ := oneReader(w, &mitm{keep: 5000}, secured(5))
		s.want(osdp.Online)
		l := newLock(t, osdp.Key{})
		l.id = osdp.PDID{Serial: 1005} // it even calls itself the same
		s.beggar(l)
		s.want(osdp.Untrusted, osdp.Secured, osdp.Card)
		s.never(24*time.Hour, osdp.Secured, osdp.Online, osdp.Card)
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(l.keys) > 0 || l.def {
			t.Errorf("%d keys; SCBK-D asked for: %v", len(l.keys), l.def)
		}
		if slices.ContainsFunc(s.seen, func(f sniffed) bool { return f.Code == osdp.CodeKEYSET }) {
			t.Error("KEYSET is on the line")
		}
	})
}
