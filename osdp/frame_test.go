package osdp_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"latchkey/osdp"
)

type vector struct {
	Name   string
	Kind   string
	Hex    string
	Frames []vectorFrame
	Steps  []vectorStep

	Handshakes []recordedHandshake

	RNDA   string `json:"rnd_a"`
	RNDB   string `json:"rnd_b"`
	Client string `json:"client_cryptogram"`
	Server string `json:"server_cryptogram"`
	RMACI  string `json:"rmac_i"`
}

type vectorStep struct {
	Desc     string
	Command  string `json:"cp>pd"`
	Reply    string `json:"pd>cp"`
	Observed string
}

type vectorFrame struct {
	Hex   string
	Dir   string
	Addr  uint8
	Seq   uint8
	Check string
	Code  string
	SCB   string
	Plain string
}

func vectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/osdp_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vs []vector
	if err := json.Unmarshal(text, &vs); err != nil {
		t.Fatal(err)
	}
	if len(vs) == 0 {
		t.Fatal("no vectors: this test would check nothing")
	}
	return vs
}

type wireString struct {
	name string
	b    []byte
}

// strings gives each byte string of the vectors that somebody put on a wire,
// with where it stands. Silence is no string.
func wireStrings(t testing.TB) (all []wireString) {
	t.Helper()
	add := func(s, where string, args ...any) {
		if s == "" {
			return
		}
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		all = append(all, wireString{fmt.Sprintf(where, args...), b})
	}
	for _, v := range vectors(t) {
		add(v.Hex, "%s", v.Name)
		for i, f := range v.Frames {
			add(f.Hex, "%s frame %d", v.Name, i)
		}
		for i, s := range v.Steps {
			add(s.Command, "%s step %d command", v.Name, i)
			add(s.Reply, "%s step %d reply", v.Name, i)
		}
	}
	return all
}

// notOneFrame names every string of the vectors that is not one whole frame,
// and the error that says why.
var notOneFrame = map[string]error{
	// Checks that were made wrong on purpose.
	"pd-libosdp/basic/bad-check step 1 command":  osdp.ErrCheck,
	"pd-libosdp/basic/bad-check step 3 command":  osdp.ErrCheck,
	"pd-embedded/basic/bad-check step 1 command": osdp.ErrCheck,
	"pd-embedded/basic/bad-check step 3 command": osdp.ErrCheck,
	// Second halves of frames that were sent with a gap inside.
	"pd-libosdp/timing/inter-character-gaps step 1 command": osdp.ErrFrame,
	"pd-libosdp/timing/inter-character-gaps step 2 command": osdp.ErrFrame,
	"pd-libosdp/timing/inter-character-gaps step 3 command": osdp.ErrFrame,
	"pd-libosdp/timing/inter-character-gaps step 4 command": osdp.ErrFrame,
	"pd-libosdp/timing/inter-character-gaps step 5 command": osdp.ErrFrame,
	"pd-libosdp/timing/inter-character-gaps step 6 command": osdp.ErrFrame,
	"pd-libosdp/timing/inter-character-gaps step 7 command": osdp.ErrFrame,
	"pd-libosdp/timing/inter-character-gaps step 9 command": osdp.ErrFrame,
	// Garbage, garbage before a frame, a length that is too long, two frames at once.
	"pd-libosdp/timing/garbage-and-resync step 1 command": osdp.ErrFrame,
	"pd-libosdp/timing/garbage-and-resync step 2 command": osdp.ErrFrame,
	"pd-libosdp/timing/garbage-and-resync step 4 command": osdp.ErrShort,
	"pd-libosdp/timing/garbage-and-resync step 6 command": osdp.ErrFrame,
	"pd-libosdp/timing/garbage-and-resync step 8 command": errTrailing,
	"pd-libosdp/timing/garbage-and-resync step 8 reply":   errTrailing,
}

var errTrailing = errors.New("bytes behind the frame")

// parseOne takes b apart: MARK bytes and one frame, nothing else.
func parseOne(b []byte) (marks int, f osdp.Frame, err error) {
	for marks < len(b) && b[marks] == osdp.Mark {
		marks++
	}
	f, n, err := osdp.ParseFrame(b[marks:])
	if err == nil && marks+n != len(b) {
		err = errTrailing
	}
	return marks, f, err
}

func TestFrameVectors(t *testing.T) {
	seen := 0
	wrong := map[string]bool{}
	for _, v := range wireStrings(t) {
		marks, f, err := parseOne(v.b)
		if err != nil {
			if want := notOneFrame[v.name]; want == nil || !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", v.name, err, want)
			}
			wrong[v.name] = true
			continue
		}
		seen++
		if got, err := f.AppendBinary(bytes.Repeat([]byte{osdp.Mark}, marks)); err != nil || !bytes.Equal(got, v.b) {
			t.Errorf("%s: re-encoded\n got %x, %v\nwant %x", v.name, got, err, v.b)
		}
		if marks+f.Len() != len(v.b) {
			t.Errorf("%s: Len %d, want %d", v.name, f.Len(), len(v.b)-marks)
		}
		// What the data of a plain frame means goes back to the same bytes too.
		var code byte
		var data []byte
		if f.Reply {
			r := osdp.ParseReply(f.Code, f.Data)
			code = r.Code()
			data, err = r.AppendData(nil)
		} else {
			c := osdp.ParseCommand(f.Code, f.Data)
			code = c.Code()
			data, err = c.AppendData(nil)
		}
		if err != nil || code != f.Code || !bytes.Equal(data, f.Data) {
			t.Errorf("%s: code %02x data %x, %v; want %02x %x", v.name, code, data, err, f.Code, f.Data)
		}
	}
	for name := range notOneFrame {
		if !wrong[name] {
			t.Errorf("%s: is one frame, or is not there", name)
		}
	}
	// As counted by a program that shares no code with this one.
	if want := 1928; seen != want {
		t.Errorf("%d frames, want %d", seen, want)
	}
}

// TestVectorFields holds the fields of each recorded frame against what its
// recorder noted down.
func TestVectorFields(t *testing.T) {
	typed := map[string]int{}
	for _, v := range vectors(t) {
		for i, w := range v.Frames {
			b, _ := hex.DecodeString(w.Hex)
			_, f, err := parseOne(b)
			if err != nil {
				t.Fatalf("%s frame %d: %v", v.Name, i, err)
			}
			code, _ := hex.DecodeString(w.Code)
			if f.Addr != w.Addr || f.Seq != w.Seq || f.Reply != (w.Dir == "pd>cp") || f.Checksum != (w.Check == "cksum") || f.Code != code[0] {
				t.Errorf("%s frame %d: %v, want %+v", v.Name, i, f, w)
			}
			if scb, _ := hex.DecodeString(w.SCB); len(scb) >= 2 && (f.SCBType != scb[1] || !bytes.Equal(f.SCBData, scb[2:])) {
				t.Errorf("%s frame %d: security block %02x %x, want %x", v.Name, i, f.SCBType, f.SCBData, scb)
			} else if len(scb) == 0 && f.SCBType != 0 {
				t.Errorf("%s frame %d: security block %02x, want none", v.Name, i, f.SCBType)
			}
			plain, _ := hex.DecodeString(w.Plain)
			if f.SCBType != osdp.SCS17 && f.SCBType != osdp.SCS18 && !bytes.Equal(f.Data, plain) {
				t.Errorf("%s frame %d: data %x, want %x", v.Name, i, f.Data, plain)
			}
			kind, back := meaning(t, f, plain)
			if !bytes.Equal(back, plain) {
				t.Errorf("%s frame %d: %s gives %x back, want %x", v.Name, i, kind, back, plain)
			}
			typed[kind]++
		}
	}
	for _, name := range []string{"POLL", "ID", "CAP", "LSTAT", "ISTAT", "OSTAT", "RSTAT", "OUT", "LED", "BUZ", "TEXT", "COMSET",
		"TDSET", "BIOREAD", "BIOMATCH", "KEYSET", "CHLNG", "SCRYPT", "FILETRANSFER", "MFG", "XWR", "PIVDATA", "GENAUTH", "CRAUTH",
		"ACK", "PDID", "PDCAP", "LSTATR", "ISTATR", "OSTATR", "RSTATR", "RAW", "KEYPAD", "COM", "BUSY",
		"BIOREADR", "BIOMATCHR", "CCRYPT", "RMACI", "FTSTAT", "PIVDATAR", "GENAUTHR", "CRAUTHR", "MFGREP", "XRD"} {
		if typed["osdp."+name] == 0 {
			t.Errorf("no recorded frame was understood as %s", name)
		}
	}
}

// meaning gives the type that the data of f, deciphered, is understood as, and
// the data that this type gives back.
func meaning(t *testing.T, f osdp.Frame, plain []byte) (kind string, back []byte) {
	t.Helper()
	var m interface {
		Code() byte
		AppendData([]byte) ([]byte, error)
	} = osdp.ParseCommand(f.Code, plain)
	if f.Reply {
		m = osdp.ParseReply(f.Code, plain)
	}
	back, err := m.AppendData(nil)
	if err != nil || m.Code() != f.Code {
		t.Errorf("%T: code 0x%02x, %v; want 0x%02x", m, m.Code(), err, f.Code)
	}
	return fmt.Sprintf("%T", m), back
}

func TestFrameRefusals(t *testing.T) {
	long := make([]byte, osdp.MaxFrame)
	for _, tt := range []struct {
		name string
		f    osdp.Frame
	}{
		{"too long", osdp.Frame{Data: long[:osdp.MaxFrame-7]}},
		{"address", osdp.Frame{Addr: 0x80}},
		{"sequence", osdp.Frame{Seq: 4}},
		{"reserved bits", osdp.Frame{Reserved: 0x08}},
		{"security data without a type", osdp.Frame{SCBData: []byte{1}}},
		{"security block too long", osdp.Frame{SCBType: osdp.SCS11, SCBData: long[:254]}},
	} {
		if b, err := tt.f.AppendBinary(nil); !errors.Is(err, osdp.ErrFrame) || len(b) != 0 {
			t.Errorf("%s: AppendBinary = %d bytes, %v; want ErrFrame", tt.name, len(b), err)
		}
	}
	if b, err := (osdp.Frame{Data: long[:osdp.MaxFrame-8]}).AppendBinary(nil); err != nil || len(b) != osdp.MaxFrame {
		t.Errorf("longest frame: %d bytes, %v", len(b), err)
	}
	for _, tt := range []struct {
		name, hex string
		want      error
	}{
		{"nothing", "", osdp.ErrShort},
		{"header only", "5305080004", osdp.ErrShort},
		{"length 6", "5305060000", osdp.ErrFrame},
		{"length 7 with a CRC", "53050700046000", osdp.ErrFrame},
		{"length 1441, told early", "5305a105", osdp.ErrFrame},
		{"security block of 1 byte", "53050a000c01116000ff", osdp.ErrFrame},
		{"security block past the end", "53050a000c09116000ff", osdp.ErrFrame},
		{"security block fills it", "53050a000c031160ff00", osdp.ErrFrame},
		{"security block of type 0", "53050b000c0200600000ff", osdp.ErrFrame},
		{"no room for the MAC", "53050d000e021560aabbccffff", osdp.ErrFrame},
	} {
		b, err := hex.DecodeString(tt.hex)
		if err != nil {
			t.Fatal(err)
		}
		if _, n, err := osdp.ParseFrame(b); !errors.Is(err, tt.want) || n != 0 {
			t.Errorf("%s: ParseFrame = %d, %v; want %v", tt.name, n, err, tt.want)
		}
	}
}

// TestNothingLeaks holds all that carries a card, a PIN or a key to printing
// none of it.
func TestNothingLeaks(t *testing.T) {
	secret := []byte("13579")
	padded := append(bytes.Clone(secret), make([]byte, 16)...)
	var all bytes.Buffer
	assembler, receiver := osdp.NewAssembler(9), osdp.NewReceiver(osdp.ReceiverOptions{Limit: 9})
	assembler.Add(osdp.Part{Total: 9, Length: 5}, secret)
	receiver.Take(osdp.FILETRANSFER{Total: 9, Data: secret})
	splitter, _ := osdp.NewSplitter(secret, 9)
	sender, err := osdp.NewSender(osdp.File{Content: secret}, osdp.SendLimits{Receive: 128})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{
		assembler, *assembler, receiver, *receiver, splitter, *splitter, sender, *sender, osdp.File{Content: secret},
		osdp.Frame{Data: secret, Code: osdp.CodeRAW, Reply: true}, osdp.RAW{Bits: 40, Data: secret}, osdp.FMT{Chars: secret},
		osdp.KEYPAD{Keys: secret}, osdp.KEYSET{Key: secret}, osdp.CHLNG{RND: [8]byte(padded)}, osdp.SCRYPT{Cryptogram: [16]byte(padded)},
		osdp.CCRYPT{CUID: [8]byte(padded), RND: [8]byte(padded), Cryptogram: [16]byte(padded)}, osdp.RMACI{MAC: [16]byte(padded)},
		osdp.BIOMATCH{Template: secret}, osdp.BIOREADR{Template: secret}, osdp.FILETRANSFER{Data: secret},
		osdp.MFG{Data: secret}, osdp.MFGREP{Data: secret}, osdp.XWR{Data: secret}, osdp.XRD{Data: secret},
		osdp.GENAUTH{Data: secret}, osdp.CRAUTH{Data: secret}, osdp.PIVDATAR{Data: secret}, osdp.GENAUTHR{Data: secret}, osdp.CRAUTHR{Data: secret},
		osdp.SendAPDU{APDU: secret}, osdp.EnterPIN{APDU: secret}, osdp.CardInfo{CSN: secret, Data: secret}, osdp.CardAnswer{APDU: secret},
		osdp.RawReply{Op: 0x99, Data: secret}, osdp.RawCommand{Op: osdp.CodeKEYSET, Data: secret},
		osdp.Event{Kind: osdp.Card, Bits: 40, Data: secret}, osdp.Event{Kind: osdp.Keypad, Digits: string(secret)},
		osdp.Event{Kind: osdp.Malformed, Reply: osdp.RawReply{Op: osdp.CodeRAW, Data: secret}},
	} {
		j, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(&all, "%v %+v %#v %s %x %d %s\n", v, v, v, v, v, v, j)
	}
	shown := all.String()
	for _, bad := range []string{"13579", hex.EncodeToString(secret), "[49 51", "MTM1Nzk"} {
		if strings.Contains(shown, bad) {
			t.Errorf("%q shows in\n%s", bad, shown)
		}
	}
}

// FuzzFrame holds the codec to one rule: what ParseFrame takes, AppendBinary
// gives back, byte for byte; and an ErrShort never turns out to be an ErrFrame
// of the same bytes.
func FuzzFrame(f *testing.F) {
	for i, v := range wireStrings(f) {
		if i%20 == 0 {
			f.Add(bytes.TrimLeft(v.b, "\xff"))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		fr, n, err := osdp.ParseFrame(in)
		if err != nil {
			if n != 0 && !errors.Is(err, osdp.ErrCheck) {
				t.Errorf("n = %d with error %v", n, err)
			}
			return
		}
		got, err := fr.AppendBinary(nil)
		if err != nil || !bytes.Equal(got, in[:n]) || fr.Len() != n {
			t.Errorf("% x\nbecame % x, %v", in[:n], got, err)
		}
		for i := range n {
			if _, _, err := osdp.ParseFrame(in[:i]); !errors.Is(err, osdp.ErrShort) {
				t.Errorf("%d of %d bytes: %v, want ErrShort", i, n, err)
			}
		}
	})
}

// oracle finds the frames in b in the plainest way: at each byte, a frame or not.
func oracle(b []byte) (frames [][]byte) {
	for i := 0; i < len(b); {
		if _, n, err := osdp.ParseFrame(b[i:]); err == nil {
			frames = append(frames, b[i:i+n])
			i += n
		} else {
			i++
		}
	}
	return frames
}

// scan gives b to a Scanner in pieces of the sizes in cuts, and gives up on
// what is held only at the end.
func scan(t testing.TB, b, cuts []byte) (frames [][]byte) {
	var s osdp.Scanner
	drain := func() {
		for {
			f, err := s.Next()
			switch {
			case errors.Is(err, osdp.ErrShort):
				if s.Held() >= osdp.MaxFrame {
					t.Fatalf("%d bytes held", s.Held())
				}
				return
			case err == nil:
				wire, err := f.AppendBinary(nil)
				if err != nil {
					t.Fatal(err)
				}
				frames = append(frames, wire)
			}
		}
	}
	for i := 0; len(b) > 0; i++ {
		n := len(b)
		if i < len(cuts) {
			n = min(n, int(cuts[i])%16+1)
		}
		piece := bytes.Clone(b[:n])
		s.Feed(piece)
		clear(piece) // Feed has copied
		b = b[n:]
		drain()
	}
	for s.GiveUp() {
		drain()
	}
	return frames
}

// FuzzScanner puts a good frame behind any garbage, in any cut: the Scanner
// finds what a search from every byte finds, so the good frame too, unless the
// garbage was a frame's start with the right check.
func FuzzScanner(f *testing.F) {
	good, _ := hex.DecodeString("538314000445feca002102443322110302012abb")
	for i, v := range wireStrings(f) {
		if i%40 == 0 {
			f.Add(v.b, []byte{1, 2, 3}, uint8(0))
		}
	}
	f.Add([]byte{0x53, 0x81, 0x00, 0x04}, []byte{}, uint8(0))
	f.Add([]byte{0x53}, []byte{0, 0, 0, 0, 0, 0}, uint8(1))
	f.Add(good[:len(good)-1], []byte{0}, uint8(0))
	f.Fuzz(func(t *testing.T, garbage, cuts []byte, flip uint8) {
		if len(garbage) > 2000 {
			return
		}
		b := slices.Concat(garbage, good)
		if int(flip) < len(garbage) {
			b[flip] ^= 1
		}
		got, want := scan(t, b, cuts), oracle(b)
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Fatalf("% x\n got % x\nwant % x", b, got, want)
		}
		if bytes.IndexByte(b[:len(garbage)], osdp.SOM) < 0 && (len(got) == 0 || !bytes.Equal(got[0], good)) {
			t.Fatalf("% x: the good frame is lost", b)
		}
	})
}

// TestScannerResync feeds the recorded garbage, one byte at a time.
func TestScannerResync(t *testing.T) {
	poll, _ := hex.DecodeString("5303080006605b22")
	for _, tt := range []struct {
		name, before string
		waits        bool // the frame comes only after GiveUp
	}{
		{"marks", "ffffffff", false},
		{"stray SOMs", "535353", true},
		{"length too long", "5303ffff0460", false},
		{"length of 32", "530320000460", true},
		{"bad check", "5303080006605b23", false},
		{"frame cut short by another", "53030800066053030800", false},
	} {
		before, err := hex.DecodeString(tt.before)
		if err != nil {
			t.Fatal(err)
		}
		var s osdp.Scanner
		found := func() bool {
			for {
				f, err := s.Next()
				if errors.Is(err, osdp.ErrShort) {
					return false
				}
				if err == nil && f.Code == osdp.CodePOLL {
					return true
				}
			}
		}
		early := false
		for _, c := range slices.Concat(before, poll) {
			s.Feed([]byte{c})
			early = found() || early
		}
		late := false
		for !early && !late && s.GiveUp() {
			late = found()
		}
		if early == tt.waits || late != tt.waits {
			t.Errorf("%s: found at once %v, after giving up %v", tt.name, early, late)
		}
		if want := uint64(len(bytes.ReplaceAll(before, []byte{osdp.Mark}, nil))); tt.name != "length too long" && s.Skipped != want {
			t.Errorf("%s: %d bytes skipped, want %d", tt.name, s.Skipped, want)
		}
	}
}

func BenchmarkEncodeDecode(b *testing.B) {
	for _, size := range []int{0, 128, 1400} {
		f := osdp.Frame{Addr: 5, Seq: 2, Code: osdp.CodeTEXT, Data: bytes.Repeat([]byte{0x5a}, size)}
		wire, err := f.AppendBinary(nil)
		if err != nil {
			b.Fatal(err)
		}
		buf := make([]byte, 0, osdp.MaxFrame)
		b.Run(fmt.Sprintf("codec/%d", len(wire)), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(wire)))
			for b.Loop() {
				out, err := f.AppendBinary(buf)
				if err != nil {
					b.Fatal(err)
				}
				if _, _, err := osdp.ParseFrame(out); err != nil {
					b.Fatal(err)
				}
			}
		})
		// The floor: what no codec can do without, two CRCs and one copy.
		b.Run(fmt.Sprintf("floor/%d", len(wire)), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(wire)))
			for b.Loop() {
				out := append(buf[:0], wire[:len(wire)-2]...)
				if made := osdp.CRC(out); made != osdp.CRC(wire[:len(wire)-2]) {
					b.Fatal("CRC")
				}
			}
		})
	}
}

// TestCodecAllocatesNothing holds encode, decode and scan to no garbage.
func TestCodecAllocatesNothing(t *testing.T) {
	f := osdp.Frame{Addr: 5, Seq: 2, Code: osdp.CodeTEXT, Data: make([]byte, 100)}
	buf := make([]byte, 0, osdp.MaxFrame)
	var s osdp.Scanner
	s.Feed(make([]byte, 512))
	s.Reset()
	if n := testing.AllocsPerRun(100, func() {
		out, _ := f.AppendBinary(buf)
		osdp.ParseFrame(out)
		s.Feed(out)
		if _, err := s.Next(); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
