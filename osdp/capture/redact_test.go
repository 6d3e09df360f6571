package capture_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/capture"
)

// blanked is one frame after a redacted trace, with the record that has it.
func blanked(t testing.TB, f osdp.Frame) (osdp.Frame, capture.Record) {
	t.Helper()
	wire := frame(t, f)
	got := reread(t, write(t, capture.OSDPCap, capture.Options{}, capture.Record{Time: dawn, FromACU: !f.Reply, Data: wire}))
	if len(got) != 1 || len(got[0].Data) != len(wire) {
		t.Fatalf("%v: %d records", f, len(got))
	}
	return frameOf(t, got[0]), got[0]
}

// TestBlanked goes through what is secret: the bytes that say what the message
// is stay, all others are zero, and the check is right.
func TestBlanked(t *testing.T) {
	const secret = 0xa5
	for _, tt := range []struct {
		reply bool
		code  byte
		keep  int // bytes of data
		data  int
	}{
		{false, osdp.CodeKEYSET, 2, 18},
		{false, osdp.CodeBIOMATCH, 6, 40},
		{false, osdp.CodeFILETRANSFER, 11, 200},
		{false, osdp.CodeMFG, 3, 20},
		{false, osdp.CodeXWR, 2, 20},
		{false, osdp.CodeGENAUTH, 6, 60},
		{false, osdp.CodeCRAUTH, 6, 60},
		{false, 0xe1, 0, 20},          // nobody knows what it is
		{false, osdp.CodePOLL, 0, 20}, // has no data
		{true, osdp.CodeRAW, 4, 8},
		{true, osdp.CodeFMT, 3, 12},
		{true, osdp.CodeKEYPAD, 2, 6},
		{true, osdp.CodeBIOREADR, 6, 60},
		{true, osdp.CodePIVDATAR, 6, 60},
		{true, osdp.CodeGENAUTHR, 6, 60},
		{true, osdp.CodeCRAUTHR, 6, 60},
		{true, osdp.CodeMFGREP, 3, 20},
		{true, osdp.CodeXRD, 2, 20},
		{true, osdp.CodeACK, 0, 20},
		{true, osdp.CodeNAK, 1, 20},
		{true, 0xe1, 0, 20},
	} {
		for _, check := range []bool{false, true} {
			data := bytes.Repeat([]byte{secret}, tt.data)
			f := osdp.Frame{Addr: 3, Reply: tt.reply, Seq: 2, Checksum: check, Code: tt.code, Data: data}
			got, r := blanked(t, f)
			want := append(bytes.Repeat([]byte{secret}, tt.keep), make([]byte, tt.data-tt.keep)...)
			if !bytes.Equal(got.Data, want) || got.Code != f.Code || got.Addr != 3 || got.Seq != 2 || !r.Redacted {
				t.Errorf("%v became % x, redacted %v, want % x", f, got.Data, r.Redacted, want)
			}
		}
	}
}

// TestKept: what is no secret is as it was, and does not count as redacted.
func TestKept(t *testing.T) {
	secret := bytes.Repeat([]byte{0xa5}, 32)
	for _, f := range []osdp.Frame{
		{Addr: 1, Code: osdp.CodePOLL},
		{Addr: 1, Code: osdp.CodeLED, Data: secret[:28]},
		{Addr: 1, Code: osdp.CodeOUT, Data: secret[:8]},
		{Addr: 1, Code: osdp.CodeTEXT, Data: secret[:12]},
		{Addr: 1, Code: osdp.CodeCOMSET, Data: secret[:5]},
		{Addr: 1, Code: osdp.CodeCHLNG, Data: secret[:8], SCBType: osdp.SCS11, SCBData: []byte{1}},
		{Addr: 1, Code: osdp.CodeSCRYPT, Data: secret[:16], SCBType: osdp.SCS13, SCBData: []byte{1}},
		{Addr: 1, Reply: true, Code: osdp.CodeCCRYPT, Data: secret[:32], SCBType: osdp.SCS12, SCBData: []byte{1}},
		{Addr: 1, Reply: true, Code: osdp.CodeRMACI, Data: secret[:16], SCBType: osdp.SCS14, SCBData: []byte{1}},
		{Addr: 1, Reply: true, Code: osdp.CodePDID, Data: secret[:12]},
		{Addr: 1, Reply: true, Code: osdp.CodePDCAP, Data: secret[:30]},
		{Addr: 1, Reply: true, Code: osdp.CodeISTATR, Data: secret[:4]},
		{Addr: 1, Reply: true, Code: osdp.CodeFTSTAT, Data: secret[:7]},
		{Addr: 1, Reply: true, Code: osdp.CodeRAW, Data: secret[:32], SCBType: osdp.SCS18}, // encrypted
	} {
		got, r := blanked(t, f)
		if !bytes.Equal(got.Data, f.Data) || !bytes.Equal(got.SCBData, f.SCBData) || r.Redacted {
			t.Errorf("%v became % x, redacted %v", f, got.Data, r.Redacted)
		}
	}
}

// TestNothingHidesInABlock: data that only looks encrypted, and the data of a
// security block that has none.
func TestNothingHidesInABlock(t *testing.T) {
	secret := bytes.Repeat([]byte{0xa5}, 30)
	for _, f := range []osdp.Frame{
		{Reply: true, Code: osdp.CodeRAW, Data: secret, SCBType: osdp.SCS18},
		{Reply: true, Code: osdp.CodeRAW, Data: secret, SCBType: osdp.SCS16},
		{Reply: true, Code: osdp.CodeACK, SCBType: osdp.SCS16, SCBData: secret},
		{Reply: true, Code: osdp.CodeACK, SCBType: 0x77, SCBData: secret},
		{Reply: true, Code: osdp.CodeRMACI, SCBType: osdp.SCS14, SCBData: secret},
	} {
		got, r := blanked(t, f)
		if bytes.Count(r.Data, []byte{0xa5}) > 4 || !r.Redacted || got.Code != f.Code {
			t.Errorf("%v became % x", f, r.Data)
		}
	}
}

// TestDamagedFramesAreBlanked: a card in a frame that a bit error made
// something else is still a card. The check of a damaged frame stays wrong.
func TestDamagedFramesAreBlanked(t *testing.T) {
	card := []byte{0, 1, 0x40, 0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7, 0xc8}
	for _, checksum := range []bool{false, true} {
		wire := frame(t, osdp.Frame{Addr: 3, Reply: true, Seq: 1, Code: osdp.CodeRAW, Data: card, Checksum: checksum})
		for i := 1; i < len(wire); i++ { // wire[0] is a MARK byte
			for bit := range 8 {
				damaged := bytes.Clone(wire)
				damaged[i] ^= 1 << bit
				rest := []capture.Record{{Time: dawn, Data: damaged}, {Time: dawn.Add(time.Hour), FromACU: true, Data: []byte{0xff}}}
				got := reread(t, write(t, capture.PCAPNG, capture.Options{}, rest...))
				for j := 4; j+2 <= len(card); j++ {
					if bytes.Contains(got[0].Data, card[j:j+2]) {
						t.Fatalf("byte %d bit %d: % x became % x", i, bit, damaged, got[0].Data)
					}
				}
				if f, _, err := osdp.ParseFrame(got[0].Data[1:]); err == nil {
					t.Fatalf("byte %d bit %d: % x became the good frame %v", i, bit, damaged, f)
				}
			}
		}
	}
}

// TestSplitFramesAreBlanked cuts a card at every place, as a serial port does:
// the record comes out whole, blanked, at the time of its first byte.
func TestSplitFramesAreBlanked(t *testing.T) {
	card := []byte{0, 1, 26, 0, 0xc1, 0xc2, 0xc3, 0xc4}
	poll := frame(t, osdp.Frame{Addr: 3, Code: osdp.CodePOLL})
	wire := frame(t, osdp.Frame{Addr: 3, Reply: true, Code: osdp.CodeRAW, Data: card})
	want := frame(t, osdp.Frame{Addr: 3, Reply: true, Code: osdp.CodeRAW, Data: append(bytes.Clone(card[:4]), 0, 0, 0, 0)})
	for i := 1; i < len(wire); i++ {
		at := func(ms int) time.Time { return dawn.Add(time.Duration(ms) * time.Millisecond) }
		got := reread(t, write(t, capture.OSDPCap, capture.Options{},
			capture.Record{Time: at(0), FromACU: true, Data: poll},
			capture.Record{Time: at(3), Data: wire[:i]},
			capture.Record{Time: at(4), Data: poll, FromACU: true, Line: "another"},
			capture.Record{Time: at(5), Data: wire[i:]},
			capture.Record{Time: at(50), FromACU: true, Data: poll},
		))
		var line []capture.Record
		for _, r := range got {
			if r.Line == "" {
				line = append(line, r)
			}
		}
		if i == 1 { // a MARK byte alone waits for nothing
			line = append(line[:1], line[2:]...)
			line[1].Data, line[1].Time = append([]byte{osdp.Mark}, line[1].Data...), at(3)
		}
		same(t, fmt.Sprintf("cut at %d", i), line, []capture.Record{
			{Time: at(0), FromACU: true, Data: poll},
			{Time: at(3), Data: want, Redacted: true},
			{Time: at(50), FromACU: true, Data: poll},
		})
	}
}

// TestTextsAreLeftBehind writes what is secret into a trace with all that a
// program or a person can say of it, and then blanks that trace: no text of it
// goes along, in no direction between the formats. Two lines stay two.
func TestTextsAreLeftBehind(t *testing.T) {
	card := osdp.RAW{Bits: 26, Data: []byte{0x20, 0xf1, 0x7a, 0x40}}
	pin := osdp.KEYPAD{Keys: []byte("471100")}
	keyset := osdp.KEYSET{Kind: osdp.KeyAES128, Key: siteKey[:]}
	var records []capture.Record
	for i, line := range []string{"gate 083C5E9", "", "gate 471100", "gate 083C5E9"} {
		for j, m := range []interface {
			Code() byte
			AppendData([]byte) ([]byte, error)
		}{card, pin, keyset} {
			data, err := m.AppendData(nil)
			if err != nil {
				t.Fatal(err)
			}
			records = append(records, capture.Record{
				Time: dawn.Add(time.Duration(len(records)) * time.Second), FromACU: j == 2, Line: line, Source: "tool 083C5E9",
				Data: frame(t, osdp.Frame{Addr: uint8(i), Reply: j != 2, Code: m.Code(), Data: data}),
			})
		}
	}
	records[4].Comment = "his PIN is 471100" // a person's, the others are the Writer's
	secrets := []string{"083C5E9", "471100", fmt.Sprintf("%x", siteKey[:]), string(siteKey[:]), "his PIN", "gate", "tool",
		string(card.Data), fmt.Sprintf("%X", card.Data), "20-F1-7A-40", strings.ReplaceAll(fmt.Sprintf("% X", siteKey[:]), " ", "-")}
	open := capture.Options{ShowSecrets: true, Annotate: true, Source: "tool 083C5E9"}
	for _, from := range formats {
		shown := write(t, from, open, records...)
		for _, s := range secrets[:3] {
			if !bytes.Contains(shown, []byte(s)) {
				t.Fatalf("%v: %q is not there, and this test would check nothing", from, s)
			}
		}
		for _, to := range formats {
			for _, annotate := range []bool{false, true} {
				got := write(t, to, capture.Options{Annotate: annotate, Source: "ours"}, reread(t, shown)...)
				for _, s := range secrets {
					if bytes.Contains(got, []byte(s)) {
						t.Errorf("%v to %v, annotate %v: %q is still there:\n%q", from, to, annotate, s, got)
					}
				}
				var lines []string
				for i, r := range reread(t, got) {
					lines = append(lines, r.Line)
					if r.Source != "ours" || !r.Redacted || annotate != strings.Contains(r.Comment, "(hidden)") {
						t.Errorf("%v to %v, record %d: source %q, redacted %v, comment %q", from, to, i, r.Source, r.Redacted, r.Comment)
					}
				}
				if want := []string{"line-1", "line-1", "line-1", "", "", "", "line-2", "line-2", "line-2", "line-1", "line-1", "line-1"}; !slices.Equal(lines, want) {
					t.Errorf("%v to %v: lines %q, want %q", from, to, lines, want)
				}
			}
		}
	}
	// Who records says what its lines are called.
	if got := reread(t, write(t, capture.PCAPNG, capture.Options{}, records[0]))[0]; got.Line != records[0].Line || got.Source != records[0].Source {
		t.Errorf("line %q of %q, want %q of %q", got.Line, got.Source, records[0].Line, records[0].Source)
	}
}

// TestNoiseIsBlanked: the rest of a frame whose beginning was lost.
func TestNoiseIsBlanked(t *testing.T) {
	poll := frame(t, osdp.Frame{Addr: 3, Code: osdp.CodePOLL})
	noise := []byte{0xff, 0x1a, 0x00, 0xc1, 0xc2, 0x53, 0xc3}
	got := reread(t, write(t, capture.OSDPCap, capture.Options{}, capture.Record{Time: dawn, Data: append(bytes.Clone(noise), poll...)}))
	same(t, "noise", got, []capture.Record{{Time: dawn, FromACU: false, Redacted: true, Data: append([]byte{0xff, 0, 0, 0, 0, 0, 0}, poll...)}})
}
