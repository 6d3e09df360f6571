package osdp_test

import (
	"bytes"
	"crypto/aes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"latchkey/osdp"
)

// A recording is one entry of osdp_vectors.json that has a secure channel.
type recording struct {
	Name       string
	Frames     []recordedFrame
	Handshakes []recordedHandshake
}

type recordedFrame struct {
	Dir, Hex, Plain, SCB string
	MACFull              string `json:"mac_full"`
}

type recordedHandshake struct {
	Addr     uint8
	SCBK     string
	Selector string `json:"key_selector"`
	RNDA     string `json:"rnd_a"`
	RNDB     string `json:"rnd_b"`
	CUID     string
	ClientOK bool `json:"client_cryptogram_ok"`
	ServerOK bool `json:"server_cryptogram_ok"`
}

func recordings(t *testing.T) (secure []recording) {
	t.Helper()
	text, err := os.ReadFile("testdata/osdp_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []recording
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if len(r.Handshakes) > 0 {
			secure = append(secure, r)
		}
	}
	if len(secure) == 0 {
		t.Fatal("no session with a secure channel: this test would check nothing")
	}
	return secure
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// parse takes MARK bytes and one frame apart.
func parse(t testing.TB, wire []byte) osdp.Frame {
	t.Helper()
	f, _, err := osdp.ParseFrame(bytes.TrimLeft(wire, "\xff"))
	if err != nil {
		t.Fatalf("% x: %v", wire, err)
	}
	return f
}

// bare is f as somebody would write it who only wants it sealed.
func bare(f osdp.Frame, data []byte) osdp.Frame {
	return osdp.Frame{Addr: f.Addr, Reply: f.Reply, Seq: f.Seq, Code: f.Code, Data: data}
}

// TestRecordedChannels follows each recorded session with both of our ends:
// every handshake frame and every sealed frame comes out byte for byte, and
// every frame is opened to what the recording says that it holds.
func TestRecordedChannels(t *testing.T) {
	sealed, handshakes := 0, 0
	for _, r := range recordings(t) {
		t.Run(r.Name, func(t *testing.T) {
			left := r.Handshakes
			var h recordedHandshake
			var acuH *osdp.ACUHandshake
			var pdH *osdp.PDHandshake
			var acu, pd *osdp.Session
			for i, rf := range r.Frames {
				wire := unhex(t, rf.Hex)
				f := parse(t, wire)
				if f.SCBType == 0 {
					continue
				}
				ours := osdp.Frame{Addr: f.Addr, Reply: f.Reply, Seq: f.Seq}
				var err error
				switch f.SCBType {
				case osdp.SCS11:
					h, left = left[0], left[1:]
					handshakes++
					key := osdp.Key(unhex(t, h.SCBK))
					if acuH, err = osdp.NewACUHandshake(bytes.NewReader(unhex(t, h.RNDA)), key, h.Selector == "00"); err != nil {
						t.Fatal(err)
					}
					acuH.Challenge(&ours)
					if pdH, err = osdp.NewPDHandshake(bytes.NewReader(unhex(t, h.RNDB)), key, [8]byte(unhex(t, h.CUID)), f); err != nil {
						t.Fatal(err)
					}
				case osdp.SCS12:
					pdH.Client(&ours)
					if _, err := acuH.Client(f); (err == nil) != h.ClientOK {
						t.Errorf("frame %d: CCRYPT: %v, recorded as good: %v", i, err, h.ClientOK)
					}
					if !h.ClientOK {
						continue // made with a key that nobody knows
					}
				case osdp.SCS13:
					acuH.Server(&ours)
				case osdp.SCS14:
					server := osdp.Frame{SCBType: osdp.SCS13}
					acuH.Server(&server)
					if pd, err = pdH.Session(server, &ours); err != nil {
						t.Fatalf("frame %d: %v", i, err)
					}
					if acu, err = acuH.Session(f); err != nil {
						t.Fatalf("frame %d: %v", i, err)
					}
				default:
					sealed++
					data := unhex(t, rf.Plain)
					mine, other := acu, pd
					if f.Reply {
						mine, other = pd, acu
					}
					got, err := other.Open(&f)
					if rf.MACFull == "" {
						data = bytes.Clone(got) // at an address that the recorder did not follow
					}
					if !bytes.Equal(got, data) || err != nil && !(errors.Is(err, osdp.ErrClear) && f.SCBType < osdp.SCS17) {
						t.Fatalf("frame %d: opened to % x, %v, want % x", i, got, err, data)
					}
					again, err := mine.Seal(nil, new(bare(f, data)))
					if err != nil {
						t.Fatal(err)
					}
					// libosdp's PD sends states in the clear, and as a command (facts 5.4).
					if deviates := f.Reply && f.SCBType == osdp.SCS15 && len(data) > 0; deviates {
						mine.Follow([16]byte(unhex(t, rf.MACFull)))
					} else if !bytes.Equal(again, bytes.TrimLeft(wire, "\xff")) {
						t.Fatalf("frame %d: sealed to % x, want % x", i, again, wire)
					}
					continue
				}
				b, err := ours.AppendBinary(nil)
				if err != nil || !bytes.Equal(b, bytes.TrimLeft(wire, "\xff")) {
					t.Fatalf("frame %d: ours % x, %v, want % x", i, b, err, wire)
				}
			}
		})
	}
	if sealed < 500 || handshakes < 10 {
		t.Errorf("only %d sealed frames and %d handshakes were checked", sealed, handshakes)
	}
	t.Logf("%d sealed frames, %d handshakes", sealed, handshakes)
}

// pair is a channel between two ends that have the same key.
func pair(t testing.TB) (acu, pd *osdp.Session) {
	t.Helper()
	rng := rand.NewChaCha8([32]byte{1})
	key, err := osdp.NewKey(rng)
	if err != nil {
		t.Fatal(err)
	}
	a, err := osdp.NewACUHandshake(rng, key, false)
	if err != nil {
		t.Fatal(err)
	}
	var f osdp.Frame
	a.Challenge(&f)
	p, err := osdp.NewPDHandshake(rng, key, [8]byte{1}, f)
	if err != nil {
		t.Fatal(err)
	}
	p.Client(&f)
	if _, err := a.Client(f); err != nil {
		t.Fatal(err)
	}
	a.Server(&f)
	pd, err = p.Session(f, &f)
	if err != nil {
		t.Fatal(err)
	}
	if acu, err = a.Session(f); err != nil {
		t.Fatal(err)
	}
	return acu, pd
}

// TestSealLengths goes through all lengths of data that a frame can carry.
func TestSealLengths(t *testing.T) {
	acu, pd := pair(t)
	for n := 0; ; n++ {
		data := bytes.Repeat([]byte{0x80}, n) // what padding begins with
		b, err := acu.Seal(nil, &osdp.Frame{Addr: 3, Seq: 1, Code: osdp.CodeMFG, Data: data})
		if err != nil {
			if !errors.Is(err, osdp.ErrFrame) || osdp.SealedLen(n) <= osdp.MaxFrame || n < 1400 {
				t.Fatalf("%d bytes: %v", n, err)
			}
			return
		}
		if len(b) != osdp.SealedLen(n) {
			t.Fatalf("%d bytes make %d, SealedLen says %d", n, len(b), osdp.SealedLen(n))
		}
		got, err := pd.Open(new(parse(t, b)))
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes: opened to %d bytes, %v", n, len(got), err)
		}
		b, _ = pd.Seal(nil, &osdp.Frame{Addr: 3, Reply: true, Seq: 1, Code: osdp.CodeACK})
		if _, err := acu.Open(new(parse(t, b))); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNothingElseOpens: no other byte, no repeat, no frame of the other
// direction, and a frame that was refused does not keep the right one out.
func TestNothingElseOpens(t *testing.T) {
	acu, pd := pair(t)
	good, err := acu.Seal(nil, &osdp.Frame{Addr: 3, Seq: 1, Code: osdp.CodeOUT, Data: []byte{0, 5, 30, 0}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(good) - 2 {
		for bit := range 8 {
			b := bytes.Clone(good)
			b[i] ^= 1 << bit
			b = recheck(b)
			f, _, err := osdp.ParseFrame(b)
			if err != nil {
				continue // the length or the block
			}
			if data, err := pd.Open(&f); !errors.Is(err, osdp.ErrMAC) {
				t.Fatalf("byte %d bit %d: opened to % x, %v", i, bit, data, err)
			}
		}
	}
	if _, err := acu.Open(new(parse(t, good))); !errors.Is(err, osdp.ErrMAC) {
		t.Errorf("our own command came back: %v", err)
	}
	if _, err := pd.Open(new(parse(t, good))); err != nil {
		t.Fatalf("the frame itself: %v", err)
	}
	if _, err := pd.Seal(nil, &osdp.Frame{Addr: 3, Reply: true, Seq: 1, Code: osdp.CodeACK}); err != nil {
		t.Fatal(err)
	}
	if _, err := pd.Open(new(parse(t, good))); !errors.Is(err, osdp.ErrMAC) {
		t.Errorf("a repeat once the chain has moved: %v", err)
	}
}

// recheck gives b a right CRC.
func recheck(b []byte) []byte {
	c := osdp.CRC(b[:len(b)-2])
	b[len(b)-2], b[len(b)-1] = byte(c), byte(c>>8)
	return b
}

// TestRefusedHandshakes: each field that the panel must check is wrong once.
func TestRefusedHandshakes(t *testing.T) {
	for _, tt := range []struct {
		name           string
		client, server func(*osdp.Frame) // what the attacker changes
	}{
		{name: "CCRYPT with another cryptogram", client: func(f *osdp.Frame) { f.Data[31] ^= 1 }},
		{name: "CCRYPT with another number", client: func(f *osdp.Frame) { f.Data[8] ^= 1 }},
		{name: "CCRYPT with SCBK-D's selector", client: func(f *osdp.Frame) { f.SCBData = []byte{0} }},
		{name: "CCRYPT without a block", client: func(f *osdp.Frame) { f.SCBType, f.SCBData = 0, nil }},
		{name: "CCRYPT in another block", client: func(f *osdp.Frame) { f.SCBType = osdp.SCS14 }},
		{name: "CCRYPT that is short", client: func(f *osdp.Frame) { f.Data = f.Data[:31] }},
		{name: "ACK for CCRYPT", client: func(f *osdp.Frame) { *f = osdp.Frame{Reply: true, Code: osdp.CodeACK} }},
		{name: "RMAC_I with status FF", server: func(f *osdp.Frame) { f.SCBData = []byte{0xff} }},
		{name: "RMAC_I with status 0", server: func(f *osdp.Frame) { f.SCBData = []byte{0} }},
		{name: "RMAC_I with another value", server: func(f *osdp.Frame) { f.Data[0] ^= 1 }},
		{name: "RMAC_I without a value", server: func(f *osdp.Frame) { f.Data = nil }},
		{name: "RMAC_I in another block", server: func(f *osdp.Frame) { f.SCBType = osdp.SCS12 }},
	} {
		rng := rand.NewChaCha8([32]byte{2})
		key, _ := osdp.NewKey(rng)
		a, err := osdp.NewACUHandshake(rng, key, false)
		if err != nil {
			t.Fatal(err)
		}
		f := osdp.Frame{Addr: 1}
		a.Challenge(&f)
		p, err := osdp.NewPDHandshake(rng, key, [8]byte{}, f)
		if err != nil {
			t.Fatal(err)
		}
		p.Client(&f)
		if tt.client != nil {
			tt.client(&f)
			if _, err := a.Client(f); !errors.Is(err, osdp.ErrHandshake) {
				t.Errorf("%s: %v, want %v", tt.name, err, osdp.ErrHandshake)
			}
			continue
		}
		if _, err := a.Client(f); err != nil {
			t.Fatal(err)
		}
		a.Server(&f)
		if _, err := p.Session(f, &f); err != nil {
			t.Fatal(err)
		}
		tt.server(&f)
		if s, err := a.Session(f); !errors.Is(err, osdp.ErrHandshake) || s != nil {
			t.Errorf("%s: %v, want %v", tt.name, err, osdp.ErrHandshake)
		}
	}
}

// TestWeakKeys: SCBK-D and the 768 keys whose bytes stay, count up or count
// down are refused, and a key of a random number is not.
func TestWeakKeys(t *testing.T) {
	weak := []osdp.Key{osdp.DefaultKey()}
	for start := range 256 {
		for _, step := range []int{0, 1, -1} {
			var k osdp.Key
			for i := range k {
				k[i] = byte(start + i*step)
			}
			weak = append(weak, k)
		}
	}
	for _, k := range weak {
		if err := k.Check(); !errors.Is(err, osdp.ErrWeakKey) {
			t.Errorf("%x: %v, want %v", [16]byte(k), err, osdp.ErrWeakKey)
		}
	}
	if len(weak) != 769 {
		t.Errorf("%d keys tried", len(weak))
	}
	rng := rand.NewChaCha8([32]byte{3})
	k, err := osdp.NewKey(rng)
	if err != nil || k.Check() != nil {
		t.Errorf("a random key: %v, %v", err, k.Check())
	}
	zeros := bytes.NewReader(append(make([]byte, 16), k[:]...))
	if again, err := osdp.NewKey(zeros); err != nil || again != k {
		t.Errorf("NewKey took a weak key: %v", err)
	}
	if parsed, err := osdp.ParseKey(k.Hex()); err != nil || !parsed.Equal(k) {
		t.Errorf("ParseKey(Hex): %v", err)
	}
	for _, bad := range []string{"", "00", k.Hex() + "00", k.Hex()[1:] + "g"} {
		if _, err := osdp.ParseKey(bad); err == nil {
			t.Errorf("ParseKey took %d characters", len(bad))
		}
	}
}

// FuzzOpen: whatever a stranger puts into a frame, nothing opens, and the
// channel stays where it is.
func FuzzOpen(f *testing.F) {
	f.Add(uint8(osdp.SCS16), uint8(1), osdp.CodeACK, []byte{}, []byte{1, 2, 3, 4})
	f.Add(uint8(osdp.SCS18), uint8(1), osdp.CodeRAW, make([]byte, 16), []byte{0, 0, 0, 0})
	f.Add(uint8(osdp.SCS15), uint8(2), osdp.CodeLSTATR, []byte{0, 0}, []byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, scb, seq uint8, code byte, data, mac []byte) {
		acu, pd := pair(t)
		b, _ := acu.Seal(nil, &osdp.Frame{Addr: 1, Seq: 1, Code: osdp.CodePOLL})
		if _, err := pd.Open(new(parse(t, b))); err != nil {
			t.Fatal(err)
		}
		true1, _ := pd.Seal(nil, &osdp.Frame{Addr: 1, Reply: true, Seq: 1, Code: osdp.CodeACK})
		forged := osdp.Frame{Addr: 1, Reply: true, Seq: seq & 3, SCBType: scb, Code: code, Data: data}
		copy(forged.MAC[:], mac)
		if b, err := forged.AppendBinary(nil); err == nil && !bytes.Equal(b, true1) {
			if p, _, err := osdp.ParseFrame(b); err == nil {
				if _, err := acu.Open(&p); err == nil || errors.Is(err, osdp.ErrClear) || errors.Is(err, osdp.ErrPadding) {
					t.Fatalf("a forged frame was taken: %v", err)
				}
			}
		}
		if _, err := acu.Open(new(parse(t, true1))); err != nil {
			t.Fatalf("the true frame after it: %v", err)
		}
	})
}

func BenchmarkSealOpen(b *testing.B) {
	for _, size := range []int{0, 14, 128, 1400} {
		acu, pd := pair(b)
		data := bytes.Repeat([]byte{0x5a}, size)
		name := fmt.Sprint(osdp.SealedLen(size))
		b.Run("channel/"+name, func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, osdp.MaxFrame)
			var frames [6]osdp.Frame // as a line goes: a command and its reply, then the next number
			for i := range frames {
				frames[i] = osdp.Frame{Addr: 5, Reply: i&1 == 1, Seq: uint8(1 + i/2), Code: osdp.CodeMFG, Data: data}
			}
			ends := [2]*osdp.Session{acu, pd}
			var f osdp.Frame
			for i := 0; b.Loop(); i++ {
				if i == len(frames) {
					i = 0
				}
				wire, err := ends[i&1].Seal(buf, &frames[i])
				if err != nil {
					b.Fatal(err)
				}
				if _, err := f.Parse(wire); err != nil {
					b.Fatal(err)
				}
				if _, err := ends[1-i&1].Open(&f); err != nil {
					b.Fatal(err)
				}
			}
		})
		// The floor: the AES blocks that MAC and data take at both ends.
		b.Run("floor/"+name, func(b *testing.B) {
			b.ReportAllocs()
			c, err := aes.NewCipher(make([]byte, 16))
			if err != nil {
				b.Fatal(err)
			}
			var work [16]byte
			encrypt, decrypt := osdp.Blocks(size)
			for b.Loop() {
				for range encrypt {
					c.Encrypt(work[:], work[:])
				}
				for range decrypt {
					c.Decrypt(work[:], work[:])
				}
			}
		})
	}
}

// TestChannelAllocatesNothing holds a channel in its steady state to no garbage.
func TestChannelAllocatesNothing(t *testing.T) {
	acu, pd := pair(t)
	buf := make([]byte, 0, osdp.MaxFrame)
	data := make([]byte, 100)
	if n := testing.AllocsPerRun(100, func() {
		out, _ := acu.Seal(buf, &osdp.Frame{Addr: 5, Seq: 2, Code: osdp.CodeTEXT, Data: data})
		f, _, _ := osdp.ParseFrame(out)
		if _, err := pd.Open(&f); err != nil {
			t.Error(err)
		}
		out, _ = pd.Seal(buf, &osdp.Frame{Addr: 5, Reply: true, Seq: 2, Code: osdp.CodeACK})
		f, _, _ = osdp.ParseFrame(out)
		if _, err := acu.Open(&f); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
