package capture_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/capture"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s", path, got)
	}
}

// TestDescribe holds the listing of whole sessions, and their sums, to golden
// files: one with all commands and events, one with smart cards, and one with
// secrets shown.
func TestDescribe(t *testing.T) {
	for _, tt := range []struct {
		session, file string
		options       capture.Options
	}{
		{"commands-events-sc", "commands.txt", capture.Options{}},
		{"ext-bio-piv-auth-trs-plain", "smartcard.txt", capture.Options{}},
		{"file-finishing", "file.txt", capture.Options{}},
		{"sc-install-keyset", "install.txt", capture.Options{}},
		{"commands-events-sc", "secrets.txt", capture.Options{ShowSecrets: true}},
	} {
		s := named(t, tt.session)
		tt.options.Keys = s.keys(t)
		r, err := capture.NewReader(bytes.NewReader(write(t, capture.PCAPNG, showing, s.records(t)...)))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		stats, err := capture.Describe(&out, r.All(), tt.options)
		if err != nil {
			t.Fatal(err)
		}
		if err := stats.Print(&out); err != nil {
			t.Fatal(err)
		}
		golden(t, tt.file, out.String())
	}
}

// TestDescribeHides: no listing shows a secret that nobody asked for.
func TestDescribeHides(t *testing.T) {
	secret := []byte("4711")
	for _, r := range []osdp.Reply{
		osdp.KEYPAD{Keys: secret}, osdp.RAW{Bits: 32, Data: secret}, osdp.FMT{Chars: secret}, osdp.MFGREP{Data: secret},
		osdp.BIOREADR{Template: secret}, osdp.CardAnswer{APDU: secret}, osdp.PIVDATAR{Part: osdp.Part{Length: 4}, Data: secret},
		osdp.RawReply{Op: 0xe1, Data: secret}, osdp.RawReply{Op: osdp.CodeRAW, Data: secret[:3]},
	} {
		data, err := r.AppendData(nil)
		if err != nil {
			t.Fatal(err)
		}
		rec := capture.Record{Time: dawn, Data: frame(t, osdp.Frame{Addr: 1, Reply: true, Code: r.Code(), Data: data})}
		for _, show := range []bool{false, true} {
			trace := write(t, capture.OSDPCap, capture.Options{ShowSecrets: show, Annotate: true}, rec)
			reader, err := capture.NewReader(bytes.NewReader(trace))
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			if _, err := capture.Describe(&out, reader.All(), capture.Options{ShowSecrets: show}); err != nil {
				t.Fatal(err)
			}
			text := out.String() + reread(t, trace)[0].Comment
			if shown := strings.Contains(text, "4711") || strings.Contains(text, "343731"); shown != show {
				t.Errorf("show %v: %s", show, text)
			}
		}
	}
}

// TestShownSecrets: where a secret is shown, it has as many bytes as the text
// says, and no header comes with it.
func TestShownSecrets(t *testing.T) {
	secret := []byte{0xca, 0xfe, 0xba, 0xbe}
	vendor, part := [3]byte{1, 2, 3}, osdp.Part{Total: 4, Length: 4}
	for _, tt := range []struct {
		want    string
		command osdp.Command
		reply   osdp.Reply
	}{
		{"KEYSET key of 4 bytes cafebabe", osdp.KEYSET{Kind: osdp.KeyAES128, Key: secret}, nil},
		{"MFG of vendor 010203, 4 bytes cafebabe", osdp.MFG{Vendor: vendor, Data: secret}, nil},
		{"MFG of vendor 010203, 0 bytes", osdp.MFG{Vendor: vendor}, nil},
		{"FILETRANSFER type 1, 4 bytes at 8 of 99 cafebabe", osdp.FILETRANSFER{Type: 1, Total: 99, Offset: 8, Data: secret}, nil},
		{"BIOMATCH reader 1, type 2, format 0, quality 3, template of 4 bytes cafebabe", osdp.BIOMATCH{Reader: 1, Type: 2, Quality: 3, Template: secret}, nil},
		{"XWR APDU of 4 bytes cafebabe", osdp.SendAPDU{Reader: 1, APDU: secret}, nil},
		{"XWR PIN entry of 4 to 8 digits, APDU of 4 bytes cafebabe", osdp.EnterPIN{Reader: 1, Min: 4, Max: 8, APDU: secret}, nil},
		{"XWR mode 7 command 8, 4 bytes cafebabe", osdp.XWR{Mode: 7, Command: 8, Data: secret}, nil},
		{"GENAUTH 4 bytes at 0 of 4 cafebabe", osdp.GENAUTH{Part: part, Algorithm: 1, KeyRef: 2, Data: secret}, nil},
		{"CRAUTH 4 bytes at 0 of 4 cafebabe", osdp.CRAUTH{Part: part, Algorithm: 1, KeyRef: 2, Data: secret}, nil},
		{"0xE1 4 bytes cafebabe", osdp.RawCommand{Op: 0xe1, Data: secret}, nil},
		{"KEYSET 4 bytes cafebabe", osdp.RawCommand{Op: osdp.CodeKEYSET, Data: secret}, nil}, // not a KEYSET
		{"RAW card of 32 bits 32:CAFEBABE", nil, osdp.RAW{Bits: 32, Data: secret}},
		{`FMT card of 4 characters "1234"`, nil, osdp.FMT{Chars: []byte("1234")}},
		{`KEYPAD 2 keys "1#"`, nil, osdp.KEYPAD{Keys: []byte{'1', osdp.KeyPound}}},
		{"BIOREADR reader 1, scanned, type 2, quality 3, template of 4 bytes cafebabe", nil, osdp.BIOREADR{Reader: 1, Type: 2, Quality: 3, Template: secret}},
		{"MFGREP of vendor 010203, 4 bytes cafebabe", nil, osdp.MFGREP{Vendor: vendor, Data: secret}},
		{"XRD card info, 4 bytes of CSN and 1 of data cafebabe 05", nil, osdp.CardInfo{Reader: 1, CSN: secret, Data: []byte{5}}},
		{"XRD card answer, status 0, APDU of 4 bytes cafebabe", nil, osdp.CardAnswer{Reader: 1, APDU: secret}},
		{"XRD mode 7 reply 8, 4 bytes cafebabe", nil, osdp.XRD{Mode: 7, Reply: 8, Data: secret}},
		{"PIVDATAR 4 bytes at 0 of 4 cafebabe", nil, osdp.PIVDATAR{Part: part, Data: secret}},
		{"GENAUTHR 4 bytes at 0 of 4 cafebabe", nil, osdp.GENAUTHR{Part: part, Data: secret}},
		{"CRAUTHR 4 bytes at 0 of 4 cafebabe", nil, osdp.CRAUTHR{Part: part, Data: secret}},
		{"0xE2 4 bytes cafebabe", nil, osdp.RawReply{Op: 0xe2, Data: secret}},
		{"RAW 3 bytes cafeba", nil, osdp.RawReply{Op: osdp.CodeRAW, Data: secret[:3]}}, // not a RAW
	} {
		m := tt.command
		if m == nil {
			m = tt.reply
		}
		data, err := m.AppendData(nil)
		if err != nil {
			t.Fatal(err)
		}
		got := message(t, osdp.Frame{Addr: 3, Reply: tt.reply != nil, Code: m.Code(), Data: data})
		if text := got.Name() + " " + got.Text(true); text != tt.want {
			t.Errorf("got %q, want %q", text, tt.want)
		}
	}
}

// TestAnnotate: the comments in a file say what the frames mean, also what was
// encrypted. A comment that is there stays only where secrets may stand.
func TestAnnotate(t *testing.T) {
	k := newTalk(t, siteKey)
	k.exchange(osdp.POLL{}, osdp.RAW{Bits: 26, Data: make([]byte, 4)})
	k.records[4].Comment = "here"
	for _, show := range []bool{false, true} {
		o := capture.Options{ShowSecrets: show, Annotate: true, Keys: map[uint8][]osdp.Key{3: {siteKey}}}
		poll, card := "panel → PD 3: POLL (mac ok)", "(hidden)"
		if show {
			poll, card = "here", "26:0000000"
		}
		for _, f := range formats {
			got := reread(t, write(t, f, o, k.records...))
			for i, want := range []string{
				"panel → PD 3: CHLNG asks for SCBK (check ok)", "PD 3 → panel: CCRYPT (mac ok)", "panel → PD 3: SCRYPT (mac ok)",
				"PD 3 → panel: RMAC_I the channel stands (mac ok)", poll, "PD 3 → panel: RAW card of 26 bits " + card + " (mac ok)",
			} {
				if got[i].Comment != want {
					t.Errorf("secrets %v, %v, record %d: %q, want %q", show, f, i, got[i].Comment, want)
				}
			}
		}
	}
}

// TestDescribeBadRecords: a bad record gets a line, and the end of a file that
// was cut is told of, with the sums so far.
func TestDescribeBadRecords(t *testing.T) {
	poll := `{"timeSec":"1","timeNano":"2","io":"output","data":"53-00-08-00-05-60-DA-99"}` + "\n"
	r, err := capture.NewReader(strings.NewReader(poll + "{}}\n" + poll))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	stats, err := capture.Describe(&out, r.All(), capture.Options{})
	if lines := strings.Split(out.String(), "\n"); err != nil || len(lines) != 4 || !strings.Contains(lines[1], "line 2") || stats.PDs()[0].Commands != 2 {
		t.Errorf("%v\n%s", err, &out)
	}
	trace := write(t, capture.PCAPNG, showing, capture.Record{Time: dawn, FromACU: true, Data: frame(t, osdp.Frame{Code: osdp.CodePOLL})})
	if r, err = capture.NewReader(bytes.NewReader(append(trace, 6, 0, 0, 0, 40))); err != nil {
		t.Fatal(err)
	}
	if stats, err = capture.Describe(io.Discard, r.All(), capture.Options{}); !errors.Is(err, io.ErrUnexpectedEOF) || stats.PDs()[0].Commands != 1 {
		t.Errorf("%v", err)
	}
}

// TestStats counts a trace whose numbers are known.
func TestStats(t *testing.T) {
	poll := frame(t, osdp.Frame{Addr: 7, Seq: 1, Code: osdp.CodePOLL})
	other := frame(t, osdp.Frame{Addr: 7, Seq: 2, Code: osdp.CodePOLL})
	ack := frame(t, osdp.Frame{Addr: 7, Reply: true, Seq: 1, Code: osdp.CodeACK})
	nak := frame(t, osdp.Frame{Addr: 7, Reply: true, Seq: 2, Code: osdp.CodeNAK, Data: []byte{3}})
	bad := bytes.Clone(ack)
	bad[6] ^= 1
	var s capture.Stats
	var d capture.Decoder
	at := dawn
	add := func(ms int, line string, data []byte) {
		at = at.Add(time.Duration(ms) * time.Millisecond)
		for _, m := range d.Decode(capture.Record{Time: at, FromACU: data[2]&0x80 == 0, Data: data, Line: line}) {
			s.Add(m)
		}
	}
	for i := range 100 { // replies after 1 to 100 ms
		add(50, "a", [][]byte{poll, other}[i%2])
		add(i+1, "a", [][]byte{ack, nak}[i%2])
	}
	add(300, "a", poll) // no reply
	add(20, "a", poll)
	add(5, "a", bad)
	add(7, "b", []byte{1, 2, 0x80})
	pds := s.PDs()
	if len(pds) != 1 || s.Noise != 3 {
		t.Fatalf("%d PDs, %d bytes of noise", len(pds), s.Noise)
	}
	p := pds[0]
	if p.Line != "a" || p.Addr != 7 || p.Commands != 102 || p.Replies != 100 || p.Retries != 1 || p.Silent != 1 || p.BadChecks != 1 || p.NAKs[osdp.NAKUnknown] != 50 {
		t.Errorf("%+v", p)
	}
	for share, want := range map[float64]time.Duration{0: 1, 0.5: 51, 0.99: 100, 1: 100} {
		if got := p.Latency(share); got != want*time.Millisecond {
			t.Errorf("latency of %v: %v, want %v ms", share, got, int64(want))
		}
	}
	if p.WorstGap != 400*time.Millisecond {
		t.Errorf("worst gap %v", p.WorstGap)
	}
	if (&capture.PDStats{}).Latency(0.5) != 0 {
		t.Error("a latency of nothing")
	}
}
