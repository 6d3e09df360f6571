package osdp_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"latchkey/osdp"
)

var (
	keyA = osdp.Key{0: 0xa1, 3: 7, 15: 1}
	keyB = osdp.Key{0: 0xb2, 5: 9, 15: 2}
)

// A lock is the PD's end of a secure channel, frame by frame. What it gets
// wrong is set by the test.
type lock struct {
	t       testing.TB
	key     osdp.Key
	install bool // takes SCBK-D
	id      osdp.PDID
	caps    osdp.PDCAP
	poll    []osdp.Reply // to coming polls
	file    *osdp.Receiver
	rng     *rand.ChaCha8

	shake   *osdp.PDHandshake
	session *osdp.Session
	def     bool     // session is under SCBK-D
	got     []byte   // codes of commands taken inside a session
	keys    [][]byte // of KEYSET, as they came
	clear   []byte   // codes of commands that came in the clear
}

func newLock(t testing.TB, key osdp.Key) *lock {
	return &lock{t: t, key: key, id: osdp.PDID{Vendor: [3]byte{1, 2, 3}, Serial: 77},
		caps: osdp.PDCAP{{Function: osdp.CapCheck, Compliance: 1}, {Function: osdp.CapSecurity, Compliance: 1}}, rng: rand.NewChaCha8([32]byte{9})}
}

// answer is the frame that l gives for command f.
func (l *lock) answer(f osdp.Frame) (r osdp.Frame) {
	l.t.Helper()
	r = osdp.Frame{Addr: f.Addr, Reply: true, Seq: f.Seq}
	nak := func(c osdp.NAKCode) osdp.Frame {
		r.Code, r.Data = osdp.CodeNAK, []byte{byte(c)}
		return l.onWire(r)
	}
	if f.Seq == 0 {
		l.session = nil
	}
	switch {
	case f.SCBType == osdp.SCS11:
		key := l.key
		if l.def = osdp.AsksDefault(f); l.def {
			if key = osdp.DefaultKey(); !l.install {
				return nak(osdp.NAKBlock)
			}
		}
		l.session = nil
		var err error
		if l.shake, err = osdp.NewPDHandshake(l.rng, key, [8]byte{1}, f); err != nil {
			l.t.Fatal(err)
		}
		l.shake.Client(&r)
		return l.onWire(r)
	case f.SCBType == osdp.SCS13:
		l.session, _ = l.shake.Session(f, &r)
		return l.onWire(r)
	case f.SCBType >= osdp.SCS15 && l.session == nil:
		return nak(osdp.NAKSecurity)
	case f.SCBType == 0:
		l.session = nil
		l.clear = append(l.clear, f.Code)
		r.Code, r.Data = l.do(f.Code, f.Data)
		return l.onWire(r)
	}
	data, err := l.session.Open(&f)
	if err != nil {
		l.t.Fatalf("the PD cannot open %v: %v", f, err)
	}
	l.got = append(l.got, f.Code)
	r.Code, r.Data = l.do(f.Code, bytes.Clone(data))
	b, err := l.session.Seal(nil, &r)
	if err != nil {
		l.t.Fatal(err)
	}
	return parse(l.t, b)
}

// onWire is f as the panel gets it.
func (l *lock) onWire(f osdp.Frame) osdp.Frame {
	b, err := f.AppendBinary(nil)
	if err != nil {
		l.t.Fatal(err)
	}
	return parse(l.t, b)
}

func (l *lock) do(code byte, data []byte) (byte, []byte) {
	r := plain(osdp.Frame{Code: code})
	switch code {
	case osdp.CodeID:
		r = l.id
	case osdp.CodeCAP:
		r = l.caps
	case osdp.CodePOLL:
		if len(l.poll) > 0 {
			r, l.poll = l.poll[0], l.poll[1:]
		}
	case osdp.CodeABORT:
		if l.file != nil {
			l.file.Abort()
		}
	case osdp.CodeFILETRANSFER:
		r = l.file.Take(osdp.ParseCommand(code, data).(osdp.FILETRANSFER))
	case osdp.CodeKEYSET:
		l.keys = append(l.keys, data)
		l.key = osdp.Key(data[2:])
		for i := range l.caps {
			if l.caps[i].Function == osdp.CapSecurity {
				l.caps[i].Number = 0 // the default key serves no more
			}
		}
	}
	b, err := r.AppendData(nil)
	if err != nil {
		l.t.Fatal(err)
	}
	return r.Code(), b
}

// A keyed drives a Bus against one lock.
type keyed struct {
	*hand
	l   *lock
	evs []osdp.Event
}

func newKeyed(t testing.TB, l *lock, cfg osdp.PDConfig) *keyed {
	l.t = t
	return &keyed{hand: newHandOf(t, osdp.Options{Rand: rand.NewChaCha8([32]byte{4})}, cfg), l: l}
}

// step does one exchange; change may spoil the answer on its way, and a nil
// frame is silence.
func (k *keyed) step(change func(*osdp.Frame) bool) osdp.Frame {
	k.t.Helper()
	f := k.nextAny()
	r := k.l.answer(f)
	if change != nil && !change(&r) {
		k.evs = append(k.evs, k.silence()...)
		return f
	}
	k.now = k.now.Add(3 * time.Millisecond)
	evs, done := k.bus.Answer(k.now, r)
	k.evs = append(k.evs, evs...)
	if !done {
		k.evs = append(k.evs, k.silence()...)
	}
	return f
}

// until goes on until an event of kind, or so much time has passed.
func (k *keyed) until(kind osdp.Kind, most time.Duration) (osdp.Event, bool) {
	k.t.Helper()
	for end := k.now.Add(most); k.now.Before(end); {
		if i := slices.IndexFunc(k.evs, func(e osdp.Event) bool { return e.Kind == kind }); i >= 0 {
			e := k.evs[i]
			k.evs = k.evs[i+1:]
			return e, true
		}
		k.step(nil)
	}
	return osdp.Event{}, false
}

func (k *keyed) want(kind osdp.Kind, most time.Duration) osdp.Event {
	k.t.Helper()
	e, ok := k.until(kind, most)
	if !ok {
		k.t.Fatalf("no %v within %v; stats %+v", kind, most, k.bus.Stats()[0])
	}
	return e
}

func (k *keyed) stats() osdp.PDStats { return k.bus.Stats()[0] }

// TestChannelComesUp: a PD with a key is served inside its channel alone. In
// the clear go only the two questions who it is.
func TestChannelComesUp(t *testing.T) {
	l := newLock(t, keyA)
	k := newKeyed(t, l, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}})
	if e := k.want(osdp.Secured, time.Second); e.Slot != osdp.SlotCurrent || e.ID.Serial != 77 {
		t.Errorf("secured: slot %d, %v", e.Slot, e.ID)
	}
	k.want(osdp.Online, time.Second)
	l.poll = append(l.poll, osdp.RAW{Bits: 26, Data: []byte{1, 2, 3, 0x40}})
	if e := k.want(osdp.Card, time.Second); e.Bits != 26 || !bytes.Equal(e.Data, []byte{1, 2, 3, 0x40}) {
		t.Errorf("card of %d bits", e.Bits)
	}
	if !bytes.Equal(l.clear, []byte{osdp.CodeID, osdp.CodeCAP}) {
		t.Errorf("commands in the clear: % x", l.clear)
	}
	if s := k.stats(); !s.Secure || !s.Online || s.Handshakes != 1 || s.Trouble != osdp.NoTrouble {
		t.Errorf("stats %+v", s)
	}
}

// TestNeverWithoutItsKey: whatever a PD without the right key says, it is not
// served, nothing falls back to SCBK-D or to a clear line, and the status says
// why.
func TestNeverWithoutItsKey(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  osdp.PDConfig
		pd   func(*lock)
		why  osdp.Trouble
	}{
		{"no key", osdp.PDConfig{}, func(*lock) {}, osdp.NoKey},
		{"no key, and it begs for one", osdp.PDConfig{}, func(l *lock) { l.install = true }, osdp.NoKey},
		{"another key", osdp.PDConfig{Keys: osdp.Keys{Current: &keyB}}, func(*lock) {}, osdp.WrongKey},
		{"another key, in installation mode", osdp.PDConfig{Keys: osdp.Keys{Current: &keyB}}, func(l *lock) { l.install = true }, osdp.WrongKey},
		{"another key, clear allowed", osdp.PDConfig{Security: osdp.AllowClear, Keys: osdp.Keys{Current: &keyB}}, func(*lock) {}, osdp.WrongKey},
		{"says it cannot", osdp.PDConfig{Keys: osdp.Keys{Current: &keyB}}, func(l *lock) { l.caps = l.caps[:1] }, osdp.WrongKey},
		{"another device", osdp.PDConfig{Keys: osdp.Keys{Current: &keyA}, Identity: &osdp.Identity{Serial: 1}}, func(*lock) {}, osdp.Swapped},
		{"another device, clear allowed", osdp.PDConfig{Security: osdp.AllowClear, Identity: &osdp.Identity{Serial: 1}}, func(*lock) {}, osdp.Swapped},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLock(t, keyA)
			tt.pd(l)
			tt.cfg.Addr = 5
			k := newKeyed(t, l, tt.cfg)
			if e := k.want(osdp.Untrusted, 5*time.Second); e.Trouble != tt.why {
				t.Errorf("trouble %v, want %v", e.Trouble, tt.why)
			}
			if e, ok := k.until(osdp.Online, time.Hour); ok {
				t.Fatalf("served: %v", e)
			}
			if e, ok := k.until(osdp.Untrusted, time.Minute); ok {
				t.Errorf("told again: %v", e)
			}
			if s := k.stats(); s.Online || s.Secure || s.Trouble != tt.why {
				t.Errorf("stats: online %v, secure %v, trouble %v", s.Online, s.Secure, s.Trouble)
			}
			for _, c := range l.clear {
				if c != osdp.CodeID && c != osdp.CodeCAP {
					t.Fatalf("command 0x%02x went out in the clear", c)
				}
			}
			if len(l.keys) > 0 {
				t.Error("a key was given away")
			}
		})
	}
}

// TestClearLineServes a PD without a key where the site allows it.
func TestClearLineServes(t *testing.T) {
	k := newKeyed(t, newLock(t, keyA), osdp.PDConfig{Addr: 5, Security: osdp.AllowClear})
	k.want(osdp.Online, time.Second)
	if k.stats().Secure {
		t.Error("called secure")
	}
}

// TestEitherSlot: after a power cut in the middle of KEYSET, the PD has one of
// two keys.
func TestEitherSlot(t *testing.T) {
	for _, tt := range []struct {
		name string
		has  osdp.Key
		want osdp.Slot
	}{{"it took the new key", keyB, osdp.SlotPending}, {"it kept the old key", keyA, osdp.SlotCurrent}} {
		k := newKeyed(t, newLock(t, tt.has), osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA, Pending: &keyB}})
		if e := k.want(osdp.Secured, 5*time.Second); e.Slot != tt.want {
			t.Errorf("%s: slot %d, want %d", tt.name, e.Slot, tt.want)
		}
		k.want(osdp.Online, 5*time.Second)
	}
}

// TestRotation gives a PD a new key, with each exchange of it lost once, and
// with a PD that forgets its session when it took the key.
func TestRotation(t *testing.T) {
	for lost := -1; lost < 12; lost++ {
		for _, drops := range []bool{false, true} {
			l := newLock(t, keyA)
			k := newKeyed(t, l, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}})
			k.want(osdp.Online, time.Second)
			var result error
			called := 0
			if err := k.bus.SetKey(k.now, 5, keyB, func(err error) { result, called = err, called+1 }); err != nil {
				t.Fatal(err)
			}
			if err := k.bus.SetKey(k.now, 5, keyA, func(error) {}); err == nil {
				t.Error("a second key while the first is under way")
			}
			var cached osdp.Frame // what the PD gives to a repeat
			var last []byte
			for n := 0; n < 60 && called == 0; n++ {
				f := k.nextAny()
				r := cached
				if !bytes.Equal(k.wire, last) {
					r = l.answer(f)
					if drops && f.Code == osdp.CodeKEYSET {
						l.session = nil
					}
				}
				last, cached = bytes.Clone(k.wire), r
				if n == lost {
					k.silence()
					continue
				}
				k.now = k.now.Add(3 * time.Millisecond)
				k.bus.Answer(k.now, r)
			}
			if called != 1 || result != nil || len(l.keys) != 1 || l.key != keyB {
				t.Fatalf("reply %d lost, drops %v: called %d times, %v, %d keys sent", lost, drops, called, result, len(l.keys))
			}
			if s := k.stats(); !s.Online || !s.Secure {
				t.Errorf("reply %d lost: online %v, secure %v", lost, s.Online, s.Secure)
			}
		}
	}
}

// TestKeyOnItsWay: once a key was sent it can not be taken back, whatever came
// in between, and its end is told.
func TestKeyOnItsWay(t *testing.T) {
	for _, tt := range []struct {
		name  string
		reply func(*keyed, osdp.Frame) osdp.Frame // to the repeat of KEYSET, whose first answer is lost
	}{
		{"no session", func(k *keyed, f osdp.Frame) osdp.Frame { return k.reply(f, osdp.NAK{Reason: osdp.NAKSecurity}) }},
		{"lost its place", func(k *keyed, f osdp.Frame) osdp.Frame { return k.reply(f, osdp.NAK{Reason: osdp.NAKSequence}) }},
		{"wrong MACs", func(k *keyed, f osdp.Frame) osdp.Frame {
			return k.l.onWire(osdp.Frame{Addr: 5, Reply: true, Seq: f.Seq, SCBType: osdp.SCS16, Code: osdp.CodeACK})
		}},
	} {
		for _, taken := range []bool{true, false} {
			for quit := range 12 { // exchanges after the first KEYSET
				l := newLock(t, keyA)
				k := newKeyed(t, l, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}})
				k.want(osdp.Online, time.Second)
				called, result := 0, error(nil)
				if err := k.bus.SetKey(k.now, 5, keyB, func(err error) { called, result = called+1, err }); err != nil {
					t.Fatal(err)
				}
				f := k.nextAny()
				for f.Code != osdp.CodeKEYSET {
					k.bus.Answer(k.now, l.answer(f))
					f = k.nextAny()
				}
				if taken {
					l.key = keyB
				}
				l.session = nil // it starts anew
				for n := range 60 {
					if n == quit && called == 0 && k.bus.EndSetKey(k.now, 5) {
						t.Errorf("%s, taken %v: taken back %d exchanges after it was sent", tt.name, taken, n)
					}
					r := l.answer(f)
					if f.Code == osdp.CodeKEYSET && l.session == nil {
						r = tt.reply(k, f)
					}
					k.now = k.now.Add(3 * time.Millisecond)
					if n == 0 {
						k.silence()
					} else if _, done := k.bus.Answer(k.now, r); !done {
						k.silence()
					}
					f = k.nextAny()
				}
				if called != 1 || result != nil || l.key != keyB || !k.bus.HasKey(5, keyB) || !k.stats().Online {
					t.Fatalf("%s, taken %v, %d exchanges: told %d times, %v; online %v", tt.name, taken, quit, called, result, k.stats().Online)
				}
			}
		}
	}
}

// TestRefusedKey leaves the old one in force.
func TestRefusedKey(t *testing.T) {
	l := newLock(t, keyA)
	k := newKeyed(t, l, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}})
	k.want(osdp.Online, time.Second)
	for _, weak := range []osdp.Key{{}, osdp.DefaultKey()} {
		if err := k.bus.SetKey(k.now, 5, weak, nil); !errors.Is(err, osdp.ErrWeakKey) {
			t.Errorf("a weak key: %v", err)
		}
	}
	var result error
	if err := k.bus.SetKey(k.now, 5, keyB, func(err error) { result = err }); err != nil {
		t.Fatal(err)
	}
	for result == nil {
		f := k.nextAny()
		if f.Code != osdp.CodeKEYSET {
			k.bus.Answer(k.now, l.answer(f))
			continue
		}
		if _, err := l.session.Open(&f); err != nil {
			t.Fatal(err)
		}
		b, _ := l.session.Seal(nil, &osdp.Frame{Addr: 5, Seq: f.Seq, Code: osdp.CodeNAK, Data: []byte{byte(osdp.NAKRecord)}})
		k.bus.Answer(k.now, parse(t, b))
	}
	var nak *osdp.NAKError
	if !errors.As(result, &nak) || nak.Reason != osdp.NAKRecord || !errors.Is(result, osdp.ErrKeyNotTaken) {
		t.Errorf("refused: %v", result)
	}
	l.session = nil // it reboots
	if e := k.want(osdp.Secured, time.Second); e.Slot != osdp.SlotCurrent {
		t.Errorf("slot %d", e.Slot)
	}
}

// refuse is l's answer to f: a NAK inside its session.
func (l *lock) refuse(f osdp.Frame) osdp.Frame {
	l.t.Helper()
	b, err := l.session.Seal(nil, &osdp.Frame{Addr: f.Addr, Seq: f.Seq, Code: osdp.CodeNAK, Data: []byte{byte(osdp.NAKRecord)}})
	if err != nil {
		l.t.Fatal(err)
	}
	return parse(l.t, b)
}

// TestRefusedRepeat: a PD whose answer to KEYSET was lost may refuse the second
// one although it took the first. What it proves counts.
func TestRefusedRepeat(t *testing.T) {
	for _, tt := range []struct {
		name            string
		taken, restarts bool
	}{{"taken", true, false}, {"taken, and it restarts", true, true}, {"not taken", false, false}, {"not taken, and it restarts", false, true}} {
		l := newLock(t, keyA)
		k := newKeyed(t, l, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}})
		k.want(osdp.Online, time.Second)
		called, result := 0, error(nil)
		if err := k.bus.SetKey(k.now, 5, keyB, func(err error) { called, result = called+1, err }); err != nil {
			t.Fatal(err)
		}
		for sets := 0; called == 0 || k.now.Before(time.Date(2026, 1, 1, 0, 0, 20, 0, time.UTC)); {
			f := k.nextAny()
			if f.Code == osdp.CodeKEYSET {
				sets++
			}
			k.now = k.now.Add(3 * time.Millisecond)
			switch {
			case f.Code == osdp.CodeKEYSET && sets == 1:
				l.answer(f)
				if !tt.taken {
					l.key = keyA
				}
				if tt.restarts {
					l.session = nil
				}
				k.silence()
			case f.Code == osdp.CodeKEYSET && l.session != nil:
				if tt.restarts {
					l.session.Open(&f)
				}
				k.bus.Answer(k.now, l.refuse(f))
			default:
				k.bus.Answer(k.now, l.answer(f))
			}
		}
		nak := (*osdp.NAKError)(nil)
		if tt.taken && result != nil || !tt.taken && !(errors.Is(result, osdp.ErrKeyNotTaken) && errors.As(result, &nak)) {
			t.Errorf("%s: %v", tt.name, result)
		}
		if called != 1 || !k.bus.HasKey(5, l.key) || k.stats().Restarts > 1 {
			t.Errorf("%s: told %d times; the bus has its key: %v; %d restarts", tt.name, called, k.bus.HasKey(5, l.key), k.stats().Restarts)
		}
	}
}

// TestRefusedFirstKey: an installation whose key was refused has sent nothing,
// unless what was refused may have been a repeat.
func TestRefusedFirstKey(t *testing.T) {
	for _, lost := range []bool{false, true} {
		l := newLock(t, osdp.Key{})
		l.install = true
		k := newKeyed(t, l, osdp.PDConfig{Addr: 5})
		k.want(osdp.Untrusted, time.Second)
		var result error
		if err := k.bus.Install(k.now, 5, keyB, k.now.Add(time.Minute), func(err error) { result = err }); err != nil {
			t.Fatal(err)
		}
		sets := 0
		for end := k.now.Add(30 * time.Second); k.now.Before(end); {
			f := k.nextAny()
			k.now = k.now.Add(3 * time.Millisecond)
			switch {
			case sets > 1 || sets == 1 && !lost:
				k.silence() // it is gone
			case f.Code != osdp.CodeKEYSET:
				k.bus.Answer(k.now, l.answer(f))
			case lost && sets == 0:
				sets++
				l.answer(f)
				k.silence()
			default:
				sets++
				if !lost {
					l.session.Open(&f)
				}
				k.bus.Answer(k.now, l.refuse(f))
			}
		}
		k.bus.EndInstall(k.now, 5)
		if !errors.Is(result, osdp.ErrInstall) || errors.Is(result, osdp.ErrNotSent) == lost {
			t.Errorf("first answer lost %v: %v", lost, result)
		}
		if _, ok := k.until(osdp.Online, time.Minute); ok != lost {
			t.Errorf("first answer lost %v: back online %v", lost, ok)
		}
	}
}

// TestInstall gives a first key to a PD in installation mode, once, within its
// time; and to nobody else.
func TestInstall(t *testing.T) {
	l := newLock(t, osdp.Key{})
	l.install, l.caps[1].Number = true, 1
	k := newKeyed(t, l, osdp.PDConfig{Addr: 5})
	k.want(osdp.Untrusted, time.Second)
	var result error
	called := 0
	done := func(err error) { result, called = err, called+1 }
	if err := k.bus.Install(k.now, 5, keyA, k.now.Add(time.Hour), done); !errors.Is(err, osdp.ErrInstall) {
		t.Errorf("an hour: %v", err)
	}
	if err := k.bus.Install(k.now, 5, osdp.DefaultKey(), k.now.Add(time.Minute), done); !errors.Is(err, osdp.ErrWeakKey) {
		t.Errorf("SCBK-D as the key: %v", err)
	}
	if err := k.bus.Install(k.now, 5, keyA, k.now.Add(time.Minute), done); err != nil {
		t.Fatal(err)
	}
	if e := k.want(osdp.Secured, 5*time.Second); e.Slot != osdp.SlotPending {
		t.Errorf("slot %d", e.Slot)
	}
	k.want(osdp.Online, time.Second)
	if n := k.stats().AlteredClaims; n != 0 {
		t.Errorf("%d altered claims: that it has a key now is none", n)
	}
	if called != 1 || result != nil || len(l.keys) != 1 || l.key != keyA {
		t.Errorf("called %d times, %v, %d keys sent", called, result, len(l.keys))
	}
	// Now it loses its key: nothing is sent to it without an operator.
	l.key, l.session = keyB, nil
	k.want(osdp.Untrusted, time.Minute)
	if _, ok := k.until(osdp.Online, time.Hour); ok || len(l.keys) != 1 {
		t.Errorf("%d keys sent", len(l.keys))
	}
}

// TestInstallEnds by its time and by hand, with no key sent.
func TestInstallEnds(t *testing.T) {
	for _, byHand := range []bool{false, true} {
		l := newLock(t, keyB) // not in installation mode
		k := newKeyed(t, l, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyB}})
		k.want(osdp.Online, time.Second)
		var result error
		if err := k.bus.Install(k.now, 5, keyA, k.now.Add(time.Minute), func(err error) { result = err }); err != nil {
			t.Fatal(err)
		}
		k.until(osdp.Online, 30*time.Second)
		if result != nil {
			t.Fatalf("before its time: %v", result)
		}
		if byHand {
			k.bus.EndInstall(k.now, 5)
		}
		k.until(osdp.Kind(99), 31*time.Second)
		if !errors.Is(result, osdp.ErrInstall) || len(l.keys) != 0 {
			t.Errorf("by hand %v: %v, %d keys sent", byHand, result, len(l.keys))
		}
		if s := k.stats(); !s.Online || !s.Secure {
			t.Errorf("by hand %v: the old key no longer serves: %+v", byHand, s.Trouble)
		}
	}
}

// TestLostSession: a PD that says it has none, and again when asked again, gets a
// new one at once.
func TestLostSession(t *testing.T) {
	l := newLock(t, keyA)
	k := newKeyed(t, l, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}})
	k.want(osdp.Online, time.Second)
	l.session = nil
	at := k.now
	k.want(osdp.Secured, time.Second)
	if took := k.now.Sub(at); took > 200*time.Millisecond {
		t.Errorf("a new channel after %v", took)
	}
	k.want(osdp.Restarted, time.Second)
	if s := k.stats(); s.Handshakes != 2 || s.Restarts != 1 {
		t.Errorf("%d handshakes, %d restarts", s.Handshakes, s.Restarts)
	}
}

// TestShakesHandsLater: a PD that refuses the handshake although it was in a
// channel a moment ago is asked again, with pauses, and is offline no sooner
// than for silence. One that answers with a wrong key is, at once.
func TestShakesHandsLater(t *testing.T) {
	for _, tt := range []struct {
		name      string
		refuses   time.Duration // from the loss of its session
		has       osdp.Key      // after that
		from, to  time.Duration // when it is offline; 0 for never
		most      int           // handshakes asked for
		recovered time.Duration // at the latest
	}{
		{name: "for three polls", refuses: 10 * time.Millisecond, has: keyA, most: 4, recovered: 200 * time.Millisecond},
		{name: "for 3 s", refuses: 3 * time.Second, has: keyA, most: 12, recovered: 4100 * time.Millisecond},
		{name: "for 7.5 s", refuses: 7500 * time.Millisecond, has: keyA, most: 16, recovered: 8500 * time.Millisecond},
		{name: "for ever", refuses: time.Hour, from: 8 * time.Second, to: 8200 * time.Millisecond, most: 18},
		{name: "wrong key", has: keyB, to: 200 * time.Millisecond, most: 3},
		{name: "for three polls, then wrong key", refuses: 10 * time.Millisecond, has: keyB, to: 400 * time.Millisecond, most: 8},
	} {
		l := newLock(t, keyA)
		k := newKeyed(t, l, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}})
		k.want(osdp.LocalStatus, time.Second)
		k.step(nil)
		lost, asked := k.now, 0
		l.session, l.key = nil, tt.has
		k.evs = nil
		offline, secured := time.Duration(0), time.Duration(0)
		for k.now.Sub(lost) < 10*time.Second && offline == 0 && secured == 0 {
			f := k.nextAny()
			r := l.answer(f)
			if f.Code == osdp.CodeCHLNG {
				if asked++; k.now.Sub(lost) < tt.refuses {
					r = k.reply(f, osdp.NAK{Reason: osdp.NAKRecord})
				}
			}
			k.now = k.now.Add(3 * time.Millisecond)
			evs, _ := k.bus.Answer(k.now, r)
			for _, e := range evs {
				switch e.Kind {
				case osdp.Offline:
					offline = k.now.Sub(lost)
				case osdp.Secured:
					secured = k.now.Sub(lost)
				}
			}
		}
		switch {
		case asked > tt.most:
			t.Errorf("%s: %d handshakes, want %d at the most", tt.name, asked, tt.most)
		case tt.recovered > 0 && (offline > 0 || secured == 0 || secured > tt.recovered):
			t.Errorf("%s: offline after %v, in a channel after %v, want that within %v", tt.name, offline, secured, tt.recovered)
		case tt.recovered == 0 && (secured > 0 || offline < tt.from || offline > tt.to):
			t.Errorf("%s: offline after %v, in a channel after %v, want it offline after %v to %v", tt.name, offline, secured, tt.from, tt.to)
		}
	}
}

// TestClearInsideAChannel does not count, whatever it is.
func TestClearInsideAChannel(t *testing.T) {
	l := newLock(t, keyA)
	k := newKeyed(t, l, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}})
	k.want(osdp.Online, time.Second)
	card, _ := osdp.RAW{Bits: 26, Data: []byte{1, 2, 3, 0x40}}.AppendData(nil)
	for _, r := range []osdp.Frame{
		{Code: osdp.CodeRAW, Data: card},
		{Code: osdp.CodeACK},
		{Code: osdp.CodeRAW, Data: card, Seq: 4},                        // sequence 0: "start over"
		{SCBType: osdp.SCS16, Code: osdp.CodeRAW, Data: card},           // the null cipher, no MAC
		{SCBType: osdp.SCS18, Code: osdp.CodeRAW, Data: card},           // not even whole blocks
		{SCBType: osdp.SCS14, SCBData: []byte{1}, Code: osdp.CodeRMACI}, // of a handshake
	} {
		f := k.nextAny()
		for f.Code != osdp.CodePOLL {
			k.bus.Answer(k.now, l.answer(f))
			f = k.nextAny()
		}
		r.Addr, r.Reply = 5, true
		if r.Seq = f.Seq &^ (r.Seq / 4 * 3); r.Code == 0 {
			r.Code = osdp.CodeACK
		}
		if evs, done := k.bus.Answer(k.now, l.onWire(r)); done || len(evs) > 0 {
			t.Errorf("%v ended the exchange: %v", r, evs)
		}
		if evs, done := k.bus.Answer(k.now.Add(time.Millisecond), l.answer(f)); !done || len(evs) > 0 {
			t.Errorf("the true answer behind %v: %v, %v", r, done, evs)
		}
	}
	if s := k.stats(); s.ClearReplies != 4 || s.MACErrors != 2 || !s.Secure || s.Handshakes != 1 {
		t.Errorf("%d clear, %d bad MACs, %d handshakes", s.ClearReplies, s.MACErrors, s.Handshakes)
	}
}

// TestGuessing: whoever tries MACs ends the channel after three, and every
// further try has to wait longer.
func TestGuessing(t *testing.T) {
	l := newLock(t, keyA)
	k := newKeyed(t, l, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}})
	k.want(osdp.Online, time.Second)
	start, guesses := k.now, 0
	for k.now.Sub(start) < 10*time.Minute {
		f := k.nextAny()
		if f.SCBType >= osdp.SCS15 {
			for i := range 50 { // as fast as the wire takes them, before the true answer
				forged := osdp.Frame{Addr: 5, Reply: true, Seq: f.Seq, SCBType: osdp.SCS16, Code: osdp.CodeACK, MAC: [4]byte{byte(i), 1, 2, 3}}
				was := k.stats().MACErrors
				if _, done := k.bus.Answer(k.now, l.onWire(forged)); done {
					break
				}
				if k.stats().MACErrors > was {
					guesses++
				}
			}
		}
		k.now = k.now.Add(time.Millisecond)
		k.bus.Answer(k.now, l.answer(f))
	}
	if guesses > 600 || guesses < 10 {
		t.Errorf("%d guesses in ten minutes, want one a second at the most", guesses)
	}
}

// TestClearData: states may come authentic but clear, as libosdp's PD sends
// them, and a refusal; a card may not.
func TestClearData(t *testing.T) {
	l := newLock(t, keyA)
	k := newKeyed(t, l, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}})
	k.want(osdp.Online, time.Second)
	send := func(r osdp.Reply) ([]osdp.Event, bool) {
		f := k.nextAny()
		for f.Code != osdp.CodePOLL {
			k.bus.Answer(k.now, l.answer(f))
			f = k.nextAny()
		}
		if _, err := l.session.Open(&f); err != nil {
			t.Fatal(err)
		}
		data, _ := r.AppendData(nil)
		return k.bus.Answer(k.now, parse(t, l.session.SealClear(osdp.Frame{Addr: 5, Reply: true, Seq: f.Seq, Code: r.Code(), Data: data})))
	}
	if evs, done := send(osdp.LSTATR{Tamper: 1}); !done || len(evs) != 1 || !evs[0].Tamper {
		t.Errorf("a clear state: %v, %v", evs, done)
	}
	if evs, done := send(osdp.NAK{Reason: osdp.NAKRecord}); !done || len(evs) != 1 || evs[0].Kind != osdp.Nak || k.stats().Restarts != 0 {
		t.Errorf("a clear refusal: %v, %v, %d restarts", evs, done, k.stats().Restarts)
	}
	f := k.nextAny()
	if _, err := l.session.Open(&f); err != nil {
		t.Fatal(err)
	}
	padding := l.session.SealPadding(osdp.Frame{Addr: 5, Seq: f.Seq, Code: osdp.CodeACK})
	if _, done := k.bus.Answer(k.now, parse(t, padding)); !done || k.stats().EmptySealed != 1 {
		t.Errorf("an ACK with padding alone: done %v, %d counted", done, k.stats().EmptySealed)
	}
	evs, done := send(osdp.RAW{Bits: 26, Data: []byte{1, 2, 3, 0x40}})
	if !done || slices.ContainsFunc(evs, func(e osdp.Event) bool { return e.Kind == osdp.Card }) {
		t.Errorf("a clear card was taken: %v, %v", evs, done)
	}
	if s := k.stats(); s.ClearData != 3 {
		t.Errorf("%d counted", s.ClearData)
	}
	k.want(osdp.Restarted, time.Second)
}

// TestAlteredClaims: somebody on the line takes the secure channel out of what
// the PD says that it can do. It comes up all the same, and we hear of it.
func TestAlteredClaims(t *testing.T) {
	l := newLock(t, keyA)
	k := newKeyed(t, l, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}})
	for range 20 {
		k.step(func(f *osdp.Frame) bool {
			if f.Code == osdp.CodePDCAP && f.SCBType == 0 {
				f.Data = f.Data[:3]
				*f = l.onWire(osdp.Frame{Addr: f.Addr, Reply: true, Seq: f.Seq, Code: f.Code, Data: f.Data})
			}
			return true
		})
	}
	k.want(osdp.Altered, 5*time.Second)
	k.want(osdp.Online, 5*time.Second)
	if s := k.stats(); !s.Secure || s.AlteredClaims != 1 {
		t.Errorf("secure %v, %d altered claims", s.Secure, s.AlteredClaims)
	}
}

// TestClaimsAreProved: what was said in the clear, or refused there, holds no
// longer than until the channel is up, also of a PD that was online, and after a
// handshake that had to be tried twice.
func TestClaimsAreProved(t *testing.T) {
	forged := osdp.PDCAP{{Function: osdp.CapVersion, Compliance: 99}}
	for _, tt := range []struct {
		name    string
		online  bool
		says    osdp.Reply // to CAP in the clear
		shakes  int        // handshakes that fail
		altered uint64
	}{
		{"at the start", false, forged, 0, 1}, {"at the start, second handshake", false, forged, 1, 1},
		{"online", true, forged, 0, 1}, {"online, second handshake", true, forged, 1, 1},
		{"refused at the start", false, osdp.NAK{Reason: osdp.NAKSecurity}, 0, 0}, {"refused online", true, osdp.NAK{Reason: osdp.NAKSecurity}, 1, 0},
	} {
		l := newLock(t, keyA)
		k := newKeyed(t, l, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}})
		if tt.online {
			k.want(osdp.LocalStatus, time.Second)
			k.bus.Pin(k.now, 5, nil)
		}
		for range 30 {
			f := k.nextAny()
			r := l.answer(f)
			switch {
			case f.Code == osdp.CodeCAP && f.SCBType == 0:
				r = k.reply(f, tt.says)
			case f.Code == osdp.CodeCHLNG && tt.shakes > 0:
				tt.shakes--
				r = k.reply(f, osdp.NAK{Reason: osdp.NAKRecord})
			}
			k.now = k.now.Add(3 * time.Millisecond)
			k.bus.Answer(k.now, r)
		}
		if s := k.stats(); !s.Secure || !slices.Equal(s.Caps, l.caps) || s.AlteredClaims != tt.altered {
			t.Errorf("%s: secure %v, capabilities %v, %d altered claims, want %d", tt.name, s.Secure, s.Caps, s.AlteredClaims, tt.altered)
		}
	}
}

// TestChannelIsMadeAnew after a day, and nobody hears of it but the log.
func TestChannelIsMadeAnew(t *testing.T) {
	l := newLock(t, keyA)
	k := newKeyed(t, l, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}})
	k.want(osdp.LocalStatus, time.Second)
	k.now = k.now.Add(24 * time.Hour)
	k.evs = nil
	k.want(osdp.Secured, time.Second)
	if e, ok := k.until(osdp.Restarted, 10*time.Second); ok {
		t.Errorf("told: %v", e)
	}
	if s := k.stats(); s.Handshakes != 2 || s.Restarts != 0 {
		t.Errorf("%d handshakes, %d restarts", s.Handshakes, s.Restarts)
	}
}

// TestUseKeys takes a key from elsewhere at once.
func TestUseKeys(t *testing.T) {
	l := newLock(t, keyB)
	k := newKeyed(t, l, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}})
	k.want(osdp.Untrusted, 5*time.Second)
	if err := k.bus.UseKeys(k.now, 5, osdp.Keys{Current: &keyB}); err != nil {
		t.Fatal(err)
	}
	k.want(osdp.Online, time.Second)
	k.bus.Pin(k.now, 5, &osdp.Identity{Serial: 3})
	if e := k.want(osdp.Untrusted, 5*time.Second); e.Trouble != osdp.Swapped {
		t.Errorf("trouble %v", e.Trouble)
	}
	k.bus.Pin(k.now, 5, nil)
	k.want(osdp.Online, time.Second)
}

// TestSecretsStayInTheBus: nobody sends a key by another way.
func TestSecretsStayInTheBus(t *testing.T) {
	k := newKeyed(t, newLock(t, keyA), osdp.PDConfig{Addr: 5, Security: osdp.AllowClear})
	k.want(osdp.Online, time.Second)
	for _, c := range []osdp.Command{osdp.KEYSET{Kind: 1, Key: keyB[:]}, osdp.RawCommand{Op: osdp.CodeKEYSET, Data: keyB[:]}, osdp.RawCommand{Op: osdp.CodeCHLNG}} {
		if _, err := k.bus.Submit(k.now, 5, []osdp.Command{c}, nil); !errors.Is(err, osdp.ErrValue) {
			t.Errorf("%v: %v", c, err)
		}
	}
	if err := k.bus.SetKey(k.now, 5, keyB, nil); !errors.Is(err, osdp.ErrNotSecure) {
		t.Errorf("a key on a clear line: %v", err)
	}
}
