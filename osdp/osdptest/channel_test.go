package osdptest_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/osdptest"
)

var (
	siteKey = osdp.Key{0x9c, 0x21, 0x04, 0xe7, 0x3b, 0x58, 0xd0, 0x66, 0x1f, 0xaa, 0x82, 0x0d, 0xc4, 0x79, 0x35, 0xee}
	nextKey = osdp.Key{0x45, 0xb0, 0x13, 0xf8, 0x6e, 0x02, 0x97, 0xda, 0x31, 0x5c, 0xe9, 0x84, 0x0b, 0x70, 0xc6, 0x2f}
)

// secure is a PD with the site's key at address 3.
func secure() osdptest.Config {
	k := siteKey
	return osdptest.Config{Addr: 3, Inputs: 1, Outputs: 1, SCBK: &k, Rand: rand.NewChaCha8([32]byte{7})}
}

// An acu is a panel written by hand that has a secure channel to one PD.
type acu struct {
	*panel
	addr    uint8
	seq     uint8
	rand    *rand.ChaCha8
	session *osdp.Session
	byHand  *chain // the same session; use one of the two
}

func newACU(p *panel) *acu { return &acu{panel: p, addr: 3, rand: rand.NewChaCha8([32]byte{1})} }

// next is the frame that carries c next, in the clear.
func (a *acu) next(c osdp.Command) osdp.Frame {
	a.t.Helper()
	data, err := c.AppendData(nil)
	if err != nil {
		a.t.Fatal(err)
	}
	f := osdp.Frame{Addr: a.addr, Seq: a.seq, Code: c.Code(), Data: data}
	a.seq = a.seq%3 + 1
	return f
}

// frame takes the one frame in b apart.
func frame(t *testing.T, b []byte) osdp.Frame {
	t.Helper()
	if len(b) == 0 {
		t.Fatal("silence")
	}
	f, n, err := osdp.ParseFrame(b[1:])
	if err != nil || n != len(b)-1 || !f.Reply {
		t.Fatalf("% x: %v, %v", b, f, err)
	}
	return f
}

// shake makes a session with key, or says why the handshake failed.
func (a *acu) shake(key osdp.Key, def bool) error {
	a.t.Helper()
	h, err := osdp.NewACUHandshake(a.rand, key, def)
	if err != nil {
		a.t.Fatal(err)
	}
	f := a.next(osdp.POLL{})
	h.Challenge(&f)
	ccrypt := frame(a.t, a.send(encode(a.t, f)))
	if _, err := h.Client(ccrypt); err != nil {
		return err
	}
	a.byHand = newChain(a.t, key, f.Data, ccrypt.Data[8:16])
	f = a.next(osdp.POLL{})
	h.Server(&f)
	a.session, err = h.Session(frame(a.t, a.send(encode(a.t, f))))
	return err
}

// seal is c as the next frame of the session.
func (a *acu) seal(c osdp.Command) []byte {
	a.t.Helper()
	b, err := a.session.Seal([]byte{osdp.Mark}, new(a.next(c)))
	if err != nil {
		a.t.Fatal(err)
	}
	return b
}

// open takes a reply of the session apart.
func (a *acu) open(b []byte) osdp.Reply {
	a.t.Helper()
	f := frame(a.t, b)
	data, err := a.session.Open(&f)
	if err != nil {
		a.t.Fatalf("reply %v: %v", f, err)
	}
	return osdp.ParseReply(f.Code, data)
}

// do has c carried out in the session.
func (a *acu) do(c osdp.Command) osdp.Reply {
	a.t.Helper()
	return a.open(a.send(a.seal(c)))
}

// inClear has c answered without a session.
func (a *acu) inClear(c osdp.Command) osdp.Reply {
	a.t.Helper()
	f := frame(a.t, a.send(encode(a.t, a.next(c))))
	return osdp.ParseReply(f.Code, f.Data)
}

// start is a panel and a PD with a session between them.
func start(t *testing.T, c osdptest.Config) (*osdptest.PD, *acu) {
	t.Helper()
	pd := osdptest.NewPD(c)
	a := newACU(serve(t, pd))
	if err := a.shake(siteKey, false); err != nil {
		t.Fatal(err)
	}
	return pd, a
}

// keyset is the command that gives a PD the key k.
func keyset(k []byte) osdp.Command {
	return osdp.RawCommand{Op: osdp.CodeKEYSET, Data: append([]byte{1, byte(len(k))}, k...)}
}

func nak(c osdp.NAKCode) osdp.Reply { return osdp.NAK{Reason: c, Detail: []byte{}} }

// TestSession carries commands and events, none of them legible on the line.
func TestSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pd, a := start(t, secure())
		if got := a.do(osdp.OUT{{Action: osdp.OutputOn}}); !equal(got, osdp.ACK{}) || !pd.Output(0) {
			t.Errorf("OUT: %v, output on: %v", got, pd.Output(0))
		}
		a.do(osdp.POLL{}) // the output's state
		card := bits(t)
		pd.Present(0, card)
		wire := a.send(a.seal(osdp.POLL{}))
		if bytes.Contains(wire, card.Bytes()) {
			t.Errorf("the card stands on the line: % x", wire)
		}
		got := a.open(wire)
		if r, ok := got.(osdp.RAW); !ok || !bytes.Equal(r.Data, card.Bytes()) {
			t.Errorf("POLL: %v, want the card", got)
		}
		if got := a.do(osdp.RawCommand{Op: 0xff}); !equal(got, nak(osdp.NAKUnknown)) {
			t.Errorf("unknown command: %v", got)
		}
		if !pd.Secure() {
			t.Error("Secure: false in a session")
		}
	})
}

// TestRepeatInSession: a repeat gets the same bytes, though the channel has
// moved on, and is not carried out again; then both go on.
func TestRepeatInSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := 0
		c := secure()
		c.OnCommand = func(osdp.Command) { done++ }
		pd, a := start(t, c)
		pd.Present(0, bits(t))
		command := a.seal(osdp.POLL{})
		first := a.send(command)
		if again := a.send(command); !bytes.Equal(again, first) || done != 1 {
			t.Errorf("repeat % x, want % x; carried out %d times", again, first, done)
		}
		a.open(first)
		if got := a.do(osdp.POLL{}); !equal(got, osdp.ACK{}) {
			t.Errorf("the next: %v", got)
		}
	})
}

// TestKeyset changes the key under the old session, which goes on or not.
func TestKeyset(t *testing.T) {
	for _, drops := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := secure()
			c.DropAfterKeyset = drops
			var stored osdp.Key
			c.OnKey = func(k osdp.Key) error { stored = k; return nil }
			_, a := start(t, c)
			if got := a.do(keyset(nextKey[:])); !equal(got, osdp.ACK{}) || !stored.Equal(nextKey) {
				t.Fatalf("KEYSET: %v, stored the new key: %v", got, stored.Equal(nextKey))
			}
			f := frame(t, a.send(a.seal(osdp.POLL{})))
			if ended := f.SCBType == 0; ended != drops {
				t.Errorf("after KEYSET: %v, want an end of the session: %v", f, drops)
			}
			a.seq = 0
			if err := a.shake(siteKey, false); !errors.Is(err, osdp.ErrHandshake) {
				t.Errorf("with the old key: %v", err)
			}
			if err := a.shake(nextKey, false); err != nil {
				t.Errorf("with the new key: %v", err)
			}
		})
	}
}

// TestKeysetRefused goes through the keys that a PD does not take.
func TestKeysetRefused(t *testing.T) {
	def := osdp.DefaultKey()
	raw := func(data ...byte) osdp.Command { return osdp.RawCommand{Op: osdp.CodeKEYSET, Data: data} }
	for _, tt := range []struct {
		name  string
		c     osdp.Command
		store error
		want  osdp.NAKCode
	}{
		{"default key", keyset(def[:]), nil, osdp.NAKRecord},
		{"zeros", keyset(make([]byte, 16)), nil, osdp.NAKRecord},
		{"cannot be stored", keyset(nextKey[:]), errors.New("disk full"), osdp.NAKRecord},
		{"AES-256", raw(append([]byte{2, 32}, make([]byte, 32)...)...), nil, osdp.NAKRecord},
		{"8 bytes", keyset(nextKey[:8]), nil, osdp.NAKRecord},
		{"length field", raw(append([]byte{1, 15}, nextKey[:]...)...), nil, osdp.NAKLength},
		{"no length", raw(1), nil, osdp.NAKLength},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := secure()
			c.OnKey = func(osdp.Key) error { return tt.store }
			_, a := start(t, c)
			if got := a.do(tt.c); !equal(got, nak(tt.want)) {
				t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
			}
			if err := a.shake(siteKey, false); err != nil {
				t.Errorf("%s: then with the old key: %v", tt.name, err)
			}
		})
	}
}

// TestInstallMode serves the default key until it has one of its own.
func TestInstallMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pd := osdptest.NewPD(osdptest.Config{Addr: 3, InstallMode: true, Rand: rand.NewChaCha8([32]byte{7})})
		a := newACU(serve(t, pd))
		challenge := func(def bool) osdp.Reply {
			h, _ := osdp.NewACUHandshake(a.rand, siteKey, def)
			f := a.next(osdp.POLL{})
			h.Challenge(&f)
			r := frame(t, a.send(encode(t, f)))
			return osdp.ParseReply(r.Code, r.Data)
		}
		security := func(r osdp.Reply) osdp.Capability {
			c, _ := r.(osdp.PDCAP).Find(osdp.CapSecurity)
			return c
		}
		if got := security(a.inClear(osdp.CAP{})); got.Compliance != 1 || got.Number != 1 {
			t.Errorf("security capability %+v, want AES and the default key", got)
		}
		if got := challenge(false); !equal(got, nak(osdp.NAKBlock)) {
			t.Errorf("asked for a key that it has not: %v", got)
		}
		if err := a.shake(osdp.DefaultKey(), true); err != nil {
			t.Fatal(err)
		}
		if got := a.do(keyset(siteKey[:])); !equal(got, osdp.ACK{}) {
			t.Fatalf("KEYSET: %v", got)
		}
		if err := a.shake(siteKey, false); err != nil {
			t.Fatal(err)
		}
		if got := security(a.do(osdp.CAP{})); got.Compliance != 1 || got.Number != 0 {
			t.Errorf("security capability %+v, want AES alone", got)
		}
		if got := challenge(true); !equal(got, nak(osdp.NAKBlock)) {
			t.Errorf("asked for the default key: %v", got)
		}
		pd.SetInstallMode(true)
		a.seq = 0
		if err := a.shake(osdp.DefaultKey(), true); err != nil {
			t.Errorf("put into install mode by hand: %v", err)
		}
	})
}

// TestRequireSecure tells nothing and does nothing without a session.
func TestRequireSecure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := secure()
		c.RequireSecure = true
		pd := osdptest.NewPD(c)
		a := newACU(serve(t, pd))
		for _, tt := range []struct {
			c    osdp.Command
			want osdp.Reply // nil: not refused
		}{
			{osdp.ID{}, nil}, {osdp.CAP{}, nil}, {osdp.COMSET{Addr: 3, Baud: 9600}, nil},
			{osdp.POLL{}, nak(osdp.NAKSecurity)}, {osdp.OUT{{Action: osdp.OutputOn}}, nak(osdp.NAKSecurity)},
			{osdp.ISTAT{}, nak(osdp.NAKSecurity)}, {keyset(nextKey[:]), nak(osdp.NAKSecurity)}, {osdp.RawCommand{Op: 0xff}, nak(osdp.NAKSecurity)},
		} {
			got := a.inClear(tt.c)
			if tt.want == nil && got.Code() == osdp.CodeNAK || tt.want != nil && !equal(got, tt.want) {
				t.Errorf("command 0x%02x: %v, want %v", tt.c.Code(), got, tt.want)
			}
		}
		if err := a.shake(siteKey, false); err != nil {
			t.Fatal(err)
		}
		if got := a.do(osdp.OUT{{Action: osdp.OutputOn}}); !equal(got, osdp.ACK{}) || !pd.Output(0) {
			t.Errorf("in a session: %v", got)
		}
		a.seq = 0
		pd.SetRequireSecure(false)
		expect(t, "in the clear, where that will do", a.inClear(osdp.ISTAT{}), osdp.ISTATR{0})
	})
}

// TestEndOfSession goes through what ends a session, and what does not.
func TestEndOfSession(t *testing.T) {
	clearPoll := func(a *acu) []byte { return a.send(encode(a.t, a.next(osdp.POLL{}))) }
	for _, tt := range []struct {
		name string
		do   func(a *acu, pd *osdptest.PD) []byte // what is done, and the answer
		want osdp.Reply                           // in the clear; nil for silence
		ends bool
	}{
		{"a command in the clear", func(a *acu, _ *osdptest.PD) []byte { return clearPoll(a) }, nak(osdp.NAKSecurity), true},
		{"sequence 0", func(a *acu, _ *osdptest.PD) []byte { a.seq = 0; return clearPoll(a) }, osdp.ACK{}, true},
		{"silence", func(a *acu, _ *osdptest.PD) []byte { time.Sleep(8100 * time.Millisecond); return nil }, nil, true},
		{"less silence", func(a *acu, _ *osdptest.PD) []byte { time.Sleep(7 * time.Second); return nil }, nil, false},
		{"loss of power", func(_ *acu, pd *osdptest.PD) []byte { pd.Reboot(); return nil }, nil, true},
		{"a wrong MAC", func(a *acu, _ *osdptest.PD) []byte {
			return a.send(encode(a.t, osdp.Frame{Addr: 3, Seq: a.seq, SCBType: osdp.SCS15, Code: osdp.CodePOLL}))
		}, nil, false},
		{"a bad check", func(a *acu, _ *osdptest.PD) []byte {
			b := encode(a.t, osdp.Frame{Addr: 3, Seq: a.seq, Code: osdp.CodePOLL})
			b[len(b)-1] ^= 1
			return a.send(b)
		}, nak(osdp.NAKCheck), false},
		{"a later channel's block", func(a *acu, _ *osdptest.PD) []byte {
			return a.send(encode(a.t, osdp.Frame{Addr: 3, Seq: a.seq, SCBType: 0x21, SCBData: []byte{0}, Code: osdp.CodeCHLNG, Data: make([]byte, 8)}))
		}, nak(osdp.NAKBlock), false},
		{"a CHLNG for a key that it does not serve", func(a *acu, _ *osdptest.PD) []byte {
			return a.send(encode(a.t, osdp.Frame{Addr: 3, Seq: a.seq, SCBType: osdp.SCS11, SCBData: []byte{0}, Code: osdp.CodeCHLNG, Data: make([]byte, 8)}))
		}, nak(osdp.NAKBlock), false},
	} {
		synctest.Test(t, func(t *testing.T) {
			pd, a := start(t, secure())
			a.do(osdp.POLL{})
			got := tt.do(a, pd)
			if _, r := reply(t, got); !equal(r, tt.want) {
				t.Errorf("%s: %v, want %v", tt.name, r, tt.want)
			}
			f := frame(t, a.send(a.seal(osdp.POLL{})))
			if ended := f.SCBType == 0; ended != tt.ends || ended && (f.Code != osdp.CodeNAK || f.Data[0] != byte(osdp.NAKSecurity)) {
				t.Errorf("%s: then %v, want an end of the session: %v", tt.name, f, tt.ends)
			}
			if !tt.ends {
				expect(t, tt.name+": then", a.open(encode(t, f)), osdp.ACK{})
			}
			if pd.Secure() == tt.ends {
				t.Errorf("%s: Secure: %v", tt.name, pd.Secure())
			}
		})
	}
}

// TestOddFrames are authentic, and not as they should be: SCS_15 carries no
// data, encrypted data is padded, and a number is not left out.
func TestOddFrames(t *testing.T) {
	out := []byte{0, byte(osdp.OutputOn), 0, 0}
	for _, tt := range []struct {
		name string
		f    osdp.Frame
		data []byte
		want osdp.Reply
	}{
		{"no data, encrypted all the same", osdp.Frame{Seq: 2, SCBType: osdp.SCS17, Code: osdp.CodePOLL}, nil, osdp.ACK{}},
		{"a block of the other direction", osdp.Frame{Seq: 2, SCBType: osdp.SCS16, Code: osdp.CodePOLL}, nil, osdp.ACK{}},
		{"as it should be", osdp.Frame{Seq: 2, SCBType: osdp.SCS17, Code: osdp.CodeOUT}, out, osdp.ACK{}},
		{"data in the clear", osdp.Frame{Seq: 2, SCBType: osdp.SCS15, Code: osdp.CodeOUT}, out, nak(osdp.NAKSecurity)},
		{"a number left out", osdp.Frame{Seq: 3, SCBType: osdp.SCS17, Code: osdp.CodeOUT}, out, nak(osdp.NAKSequence)},
		{"the last number again", osdp.Frame{Seq: 1, SCBType: osdp.SCS17, Code: osdp.CodeOUT}, out, nak(osdp.NAKSequence)},
	} {
		synctest.Test(t, func(t *testing.T) {
			pd, a := start(t, secure())
			tt.f.Addr = 3
			b := a.send(a.byHand.seal(t, tt.f, tt.data))
			f := frame(t, b)
			data, ok := a.byHand.open(f, b[1:])
			if got := osdp.ParseReply(f.Code, data); !ok || !equal(got, tt.want) {
				t.Errorf("%s: %v, MAC right: %v; want %v", tt.name, got, ok, tt.want)
			}
			if done := pd.Output(0); done != (tt.want.Code() == osdp.CodeACK && tt.data != nil) {
				t.Errorf("%s: carried out: %v", tt.name, done)
			}
		})
	}
}

// TestNoPadding: what is authentic and decrypts to nothing is not carried out.
func TestNoPadding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a := start(t, secure())
		// Sealed as SCS_15, the block is no ciphertext; then it says it were one.
		f := osdp.Frame{Addr: 3, Seq: 2, SCBType: osdp.SCS15, Code: osdp.CodeOUT, Data: make([]byte, 16)}
		b := encode(t, f)[1:]
		b[6] = osdp.SCS17
		mac := a.byHand.mac(b[:len(b)-2-4], a.byHand.reply)
		f.SCBType, f.MAC = osdp.SCS17, [4]byte(mac[:])
		a.byHand.command = mac
		b = a.send(encode(t, f))
		r := frame(t, b)
		if data, ok := a.byHand.open(r, b[1:]); !ok || !equal(osdp.ParseReply(r.Code, data), nak(osdp.NAKLength)) {
			t.Errorf("%v % x, MAC right: %v, want NAK 2", r, data, ok)
		}
	})
}

// TestHandshakeRefused goes through the handshakes that lead to no session.
func TestHandshakeRefused(t *testing.T) {
	challenge := func(block uint8, scb, data []byte) osdp.Frame {
		return osdp.Frame{Addr: 3, SCBType: block, SCBData: scb, Code: osdp.CodeCHLNG, Data: data}
	}
	rnd := make([]byte, 8)
	for _, tt := range []struct {
		name string
		f    osdp.Frame
		want osdp.NAKCode
	}{
		{"no block", challenge(0, nil, rnd), osdp.NAKBlock},
		{"no selector", challenge(osdp.SCS11, nil, rnd), osdp.NAKBlock},
		{"selector 0", challenge(osdp.SCS11, []byte{0}, rnd), osdp.NAKBlock},
		{"selector 2", challenge(osdp.SCS11, []byte{2}, rnd), osdp.NAKBlock},
		{"two selectors", challenge(osdp.SCS11, []byte{1, 1}, rnd), osdp.NAKBlock},
		{"short number", challenge(osdp.SCS11, []byte{1}, rnd[1:]), osdp.NAKLength},
		{"the reply's block", challenge(osdp.SCS12, []byte{1}, rnd), osdp.NAKBlock},
		{"a later channel", challenge(0x21, []byte{1}, rnd), osdp.NAKBlock},
		{"another command in the block", osdp.Frame{Addr: 3, SCBType: osdp.SCS11, SCBData: []byte{1}, Code: osdp.CodePOLL}, osdp.NAKBlock},
		{"SCRYPT first", osdp.Frame{Addr: 3, SCBType: osdp.SCS13, SCBData: []byte{1}, Code: osdp.CodeSCRYPT, Data: make([]byte, 16)}, osdp.NAKBlock},
	} {
		synctest.Test(t, func(t *testing.T) {
			pd := osdptest.NewPD(secure())
			if _, got := reply(t, serve(t, pd).send(encode(t, tt.f))); !equal(got, nak(tt.want)) || pd.Secure() {
				t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
			}
		})
	}
}

// TestWrongPanel: a panel without the key gets nothing to work with, and no
// second try with the same number.
func TestWrongPanel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pd := osdptest.NewPD(secure())
		a := newACU(serve(t, pd))
		h, err := osdp.NewACUHandshake(a.rand, siteKey, false)
		if err != nil {
			t.Fatal(err)
		}
		f := a.next(osdp.POLL{})
		h.Challenge(&f)
		if _, err := h.Client(frame(t, a.send(encode(t, f)))); err != nil {
			t.Fatal(err)
		}
		right := a.next(osdp.POLL{})
		h.Server(&right)
		wrong := right
		wrong.Data = append([]byte{right.Data[0] ^ 1}, right.Data[1:]...)
		got := frame(t, a.send(encode(t, wrong)))
		if got.SCBType != osdp.SCS14 || !bytes.Equal(got.SCBData, []byte{0xff}) || len(got.Data) != 0 || pd.Secure() {
			t.Errorf("wrong cryptogram: %v, block % x", got, got.SCBData)
		}
		right.Seq = a.next(osdp.POLL{}).Seq
		if got := frame(t, a.send(encode(t, right))); got.Code != osdp.CodeNAK || pd.Secure() {
			t.Errorf("then the right one: %v", got)
		}
	})
}

// TestChallengeInSession: a new handshake, in the running sequence or from 0,
// ends the session before it; one out of turn does not.
func TestChallengeInSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pd, a := start(t, secure())
		if err := a.shake(siteKey, false); err != nil || !pd.Secure() {
			t.Errorf("in the running sequence: %v", err)
		}
		f := osdp.Frame{Addr: 3, Seq: a.seq%3 + 1, SCBType: osdp.SCS11, SCBData: []byte{1}, Code: osdp.CodeCHLNG, Data: make([]byte, 8)}
		if _, got := reply(t, a.send(encode(t, f))); !equal(got, nak(osdp.NAKSequence)) || !pd.Secure() {
			t.Errorf("out of turn: %v", got)
		}
		if got := a.do(osdp.POLL{}); !equal(got, osdp.ACK{}) {
			t.Errorf("the session after it: %v", got)
		}
		a.seq = 0
		if err := a.shake(siteKey, false); err != nil || !pd.Secure() {
			t.Errorf("from 0: %v", err)
		}
		old := a.seal(osdp.POLL{})
		if err := a.shake(siteKey, false); err == nil {
			t.Error("a CHLNG went through whose turn it was not")
		}
		if got := a.open(a.send(old)); !equal(got, osdp.ACK{}) {
			t.Errorf("the session after it: %v", got)
		}
	})
}

// TestSecureFramesHaveCRC, whatever the panel's have.
func TestSecureFramesHaveCRC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := serve(t, osdptest.NewPD(secure()))
		f := osdp.Frame{Addr: 3, Checksum: true, SCBType: osdp.SCS11, SCBData: []byte{1}, Code: osdp.CodeCHLNG, Data: make([]byte, 8)}
		if got := frame(t, p.send(encode(t, f))); got.Code != osdp.CodeCCRYPT || got.Checksum {
			t.Errorf("%v, checksum: %v", got, got.Checksum)
		}
	})
}

// TestStats counts what the PD met.
func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pd, a := start(t, secure())
		again := a.seal(osdp.POLL{})
		a.send(again)
		a.open(a.send(again))
		a.send(encode(t, osdp.Frame{Addr: 3, Seq: a.seq, Reserved: 0x40, SCBType: osdp.SCS15, Code: osdp.CodePOLL}))
		bad := encode(t, osdp.Frame{Addr: osdp.Broadcast, Seq: a.seq, Code: osdp.CodePOLL})
		bad[len(bad)-1] ^= 1
		if got := a.send(bad); len(got) != 0 {
			t.Errorf("answer % x to a damaged broadcast", got)
		}
		a.inClear(osdp.POLL{})
		want := osdptest.Stats{Commands: 4, Repeats: 1, BadChecks: 1, WrongMACs: 1, Clear: 1, Reserved: 1}
		if got := pd.Stats(); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}

// TestNoiseEndsNoSession: a frame of a session that noise took the CRC bit from
// looks whole once in 256 times. Only a start may come with the checksum.
func TestNoiseEndsNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pd, a := start(t, secure())
		for _, f := range []osdp.Frame{
			{Addr: 3, Seq: a.seq, Code: osdp.CodePOLL, Checksum: true},
			{Addr: 3, Seq: 0, SCBType: osdp.SCS15, Code: osdp.CodePOLL, Checksum: true},
			{Addr: 3, Seq: 0, SCBType: osdp.SCS11, SCBData: []byte{1}, Code: osdp.CodeCHLNG, Data: make([]byte, 8), Checksum: true},
		} {
			if got := a.send(encode(t, f)); len(got) != 0 {
				t.Errorf("%v: answer % x", f, got)
			}
		}
		if got := a.do(osdp.POLL{}); !equal(got, osdp.ACK{}) {
			t.Errorf("then POLL: %v", got)
		}
		a.send(encode(t, osdp.Frame{Addr: 3, Code: osdp.CodeID, Data: []byte{0}, Checksum: true}))
		if pd.Secure() {
			t.Error("a start did not end the session")
		}
	})
}
