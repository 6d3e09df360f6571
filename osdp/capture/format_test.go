package capture_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/capture"
)

var (
	formats = []capture.Format{capture.OSDPCap, capture.PCAPNG}
	showing = capture.Options{ShowSecrets: true, Source: "test"}
)

// TestRoundTrip writes all recorded sessions in both formats, and reads back
// every byte, nanosecond and text.
func TestRoundTrip(t *testing.T) {
	for _, f := range formats {
		for _, s := range sessions(t) {
			want := s.records(t)
			want[1].Comment = "looked at by ünlü, \"twice\"\n"
			want[2].Line = "bus-2"
			want[3].Redacted = true
			same(t, fmt.Sprintf("%v of %s", f, s.Name), reread(t, write(t, f, showing, want...)), want)
		}
	}
}

// TestOSDPCapLine holds the writer to the one line that other tools read.
func TestOSDPCapLine(t *testing.T) {
	r := capture.Record{Time: time.Unix(1580342115, 84691851), Data: []byte{0xff, 0x53, 0x80, 8, 0, 5, 0x40, 0x68, 0x9f}}
	got := string(write(t, capture.OSDPCap, showing, r))
	want := `{"timeSec":"1580342115","timeNano":"084691851","io":"input","data":"FF-53-80-08-00-05-40-68-9F","osdpTraceVersion":"1","osdpSource":"test"}` + "\n"
	if got != want {
		t.Errorf("wrote\n%swant\n%s", got, want)
	}
}

// TestOSDPCapDialects reads the one record as several programs write it.
func TestOSDPCapDialects(t *testing.T) {
	for _, tt := range []struct{ name, line string }{
		{"as OSDP.Net", `{"timeSec":"1580342115","timeNano":"084691851","io":"output","data":"FF-53-00-08-00-05-60-DA-99","osdpTraceVersion":"1","osdpSource":"x"}`},
		{"as libosdp-conformance", `{ "timeSec" : "1580342115", "timeNano" : "084691851", "io" : "trace", "data" : " ff 53 00 08 00 05 60 da 99", "osdpTraceVersion":"1", "osdpSource":"x" }`},
		{"numbers bare", `{"timeSec":1580342115,"timeNano":84691851,"io":"trace","data":"ff530008000560 da99","osdpTraceVersion":1,"osdpSource":"x","more":[1]}`},
		{"other names", `{"timeSec":"1580342115","timeNSec":"84691851","iO":"OUTPUT","data":"FF:53:00:08:00:05:60:DA:99","oSDPTraceVersion":"1","oSDPSource":"x"}`},
		{"recorded by the PD", `{"timeSec":"1580342115","timeNano":"84691851","io":"input","data":"FF530008000560 DA99","osdpSource":"x"}`},
		{"byte order mark", "\ufeff" + `{"timeSec":"1580342115","timeNano":"84691851","io":"output","data":"FF530008000560 DA99","osdpSource":"x"}`},
	} {
		want := capture.Record{
			Time: time.Unix(1580342115, 84691851), FromACU: true, Source: "x",
			Data: []byte{0xff, 0x53, 0, 8, 0, 5, 0x60, 0xda, 0x99},
		}
		same(t, tt.name, reread(t, []byte(tt.line+"\r\n  \r\n")), []capture.Record{want})
	}
}

// TestBadLines: a line that is none costs that line, and its error says which
// and what.
func TestBadLines(t *testing.T) {
	const poll = `{"timeSec":"1","timeNano":"2","io":"output","data":"53-00-08-00-05-60-DA-99"}` + "\n"
	for line, want := range map[string]string{
		`{"timeSec":"1","data":"53-0"}`:                              "data of 4 characters",
		`{"timeSec":"1","data":"secret"}`:                            "data of 6 characters",
		`{"timeSec":"-1","data":"53"}`:                               `timeSec "-1"`,
		`{"timeSec":"1","timeNano":"1000000000","data":"53"}`:        `timeNano "1000000000"`,
		`{"timeSec":"99999999999","data":"53"}`:                      `timeSec "99999999999"`,
		`{"timeSec":"1","data":"60","io":"sideways"}`:                `io "sideways"`,
		`{"timeSec":"1","data":"60","osdpTraceVersion":"2"}`:         `osdpTraceVersion "2"`,
		`{"timeSec":"1","data":"60"`:                                 "unexpected end",
		`[]`:                                                         "cannot unmarshal",
		`{"timeSec":"1","line":"` + strings.Repeat("x", 5000) + `"}`: "line of 5000 bytes",
	} {
		r, err := capture.NewReader(strings.NewReader(poll + line + "\n" + poll))
		if err != nil {
			t.Fatal(err)
		}
		good := 0
		for rec, err := range r.All() {
			switch {
			case err == nil:
				good++
			case !errors.Is(err, capture.ErrRecord) || !strings.Contains(err.Error(), "line 2") || !strings.Contains(err.Error(), want):
				t.Errorf("%s: %v, want line 2 and %q", line, err, want)
			case rec.Data != nil || strings.Contains(err.Error(), "secret"):
				t.Errorf("%s: %v came with data", line, err)
			}
		}
		if good != 2 {
			t.Errorf("%s: %d good lines, want those around it", line, good)
		}
	}
}

// TestWhoSpoke: bytes without a header are of whoever spoke before.
func TestWhoSpoke(t *testing.T) {
	line := func(data string) string {
		return `{"timeSec":"1","timeNano":"0","io":"trace","data":"` + data + `"}` + "\n"
	}
	got := reread(t, []byte(line("60")+line("FF 53 00 08")+line("00 05 60 DA 99")+line("53 80 08 00 05")+line("40")))
	want := []bool{false, true, true, false, false}
	for i, r := range got {
		if r.FromACU != want[i] {
			t.Errorf("record %d: from the panel: %v, want %v", i, r.FromACU, want[i])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d records, want %d", len(got), len(want))
	}
}

// TestForeignPCAPNG reads what other programs write: big endian, microseconds
// without saying so, other blocks, and a second section.
func TestForeignPCAPNG(t *testing.T) {
	be := binary.BigEndian
	block := func(kind uint32, body ...byte) []byte {
		for len(body)%4 != 0 {
			body = append(body, 0)
		}
		n := uint32(len(body) + 12)
		b := be.AppendUint32(be.AppendUint32(nil, kind), n)
		return be.AppendUint32(append(b, body...), n)
	}
	section := block(0x0a0d0d0a, 0x1a, 0x2b, 0x3c, 0x4d, 0, 1, 0, 2, 255, 255, 255, 255, 255, 255, 255, 255)
	iface := block(1, 0, 147, 0, 0, 0, 0, 0xff, 0xff)
	binaryUnits := block(1, 0, 162, 0, 0, 0, 0, 0, 0, 0, 9, 0, 1, 0x80|1, 0, 0, 0, 0, 2, 0, 3, 'b', 'u', 's')
	poll := []byte{0x53, 0, 8, 0, 5, 0x60, 0xda, 0x99}
	packet := func(id byte, stamp uint64, flags ...byte) []byte {
		b := be.AppendUint64([]byte{0, 0, 0, id}, stamp)
		b = be.AppendUint32(be.AppendUint32(b, uint32(len(poll))), uint32(len(poll)))
		return block(6, append(append(b, poll...), flags...)...)
	}
	trace := bytes.Join([][]byte{
		section, iface, block(5, 1, 2, 3, 4), packet(0, 3_000_007), block(0xbad, 9),
		section, binaryUnits, packet(0, 7, 0, 2, 0, 4, 0, 0, 0, 1), // inbound, as its PD saw it
	}, nil)
	same(t, "big endian", reread(t, trace), []capture.Record{
		{Time: time.Unix(3, 7000), FromACU: true, Data: poll},
		{Time: time.Unix(3, 5e8), FromACU: true, Data: poll, Line: "bus"},
	})
	for name, tt := range map[string]struct {
		trace []byte
		want  string
	}{
		"no section":       {trace[len(section):], "file begins with"},
		"another network":  {bytes.Join([][]byte{section, block(1, 0, 1, 0, 0, 0, 0, 0, 0), packet(0, 1)}, nil), ""},
		"no interface":     {append(bytes.Clone(section), packet(0, 1)...), ""},
		"cut":              {trace[:len(trace)-5], "unexpected EOF"},
		"cut in a head":    {append(bytes.Clone(section), 0, 0, 0), "unexpected EOF"},
		"no magic":         {append([]byte{10, 13, 13, 10, 0, 0, 0, 28}, make([]byte, 20)...), "magic number"},
		"too long a block": {append(bytes.Clone(section), 0, 0, 0, 6, 0x7f, 0, 0, 0), "length"},
		"two lengths":      {append(bytes.Clone(section), 0, 0, 0, 9, 0, 0, 0, 12, 0, 0, 0, 16), "at its end"},
		"option too long":  {bytes.Join([][]byte{section, block(1, 0, 147, 0, 0, 0, 0, 0, 0, 0, 2, 0, 99)}, nil), "option 2 of 99 bytes"},
		"another version":  {block(0x0a0d0d0a, 0x1a, 0x2b, 0x3c, 0x4d, 0, 2, 0, 2, 255, 255, 255, 255, 255, 255, 255, 255), "version 2"},
	} {
		records, bad, err := read(t, tt.trace)
		if tt.want == "" {
			if bad != 1 || err != nil || len(records) != 0 {
				t.Errorf("%s: %d records, %d bad, %v; want one bad", name, len(records), bad, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// TestPCAP reads what libosdp writes.
func TestPCAP(t *testing.T) {
	poll := []byte{0xff, 0x53, 0, 8, 0, 5, 0x60, 0xda, 0x99}
	ack := []byte{0xff, 0x53, 0x80, 8, 0, 5, 0x40, 0x68, 0x9f}
	for _, tt := range []struct {
		order binary.ByteOrder
		magic uint32
		nano  int
	}{{binary.LittleEndian, 0xa1b2c3d4, 5000}, {binary.BigEndian, 0xa1b2c3d4, 5000}, {binary.LittleEndian, 0xa1b23c4d, 5}, {binary.BigEndian, 0xa1b23c4d, 5}} {
		var b bytes.Buffer
		binary.Write(&b, tt.order, []uint32{tt.magic, 2<<16 | 4, 0, 0, 512, 162})
		for _, data := range [][]byte{poll, ack} {
			binary.Write(&b, tt.order, []uint32{9, 5, uint32(len(data)), uint32(len(data))})
			b.Write(data)
		}
		at := time.Unix(9, int64(tt.nano))
		same(t, "pcap", reread(t, b.Bytes()), []capture.Record{{Time: at, FromACU: true, Data: poll}, {Time: at, Data: ack}})
		if _, _, err := read(t, b.Bytes()[:b.Len()-1]); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut: %v", err)
		}
		tt.order.PutUint32(b.Bytes()[20:], 1)
		if _, _, err := read(t, b.Bytes()); err == nil || !strings.Contains(err.Error(), "link type 1") {
			t.Errorf("Ethernet: %v", err)
		}
	}
}

// TestFormats: names, detection, and what cannot be written.
func TestFormats(t *testing.T) {
	for _, f := range formats {
		if got, err := capture.ParseFormat(f.String()); err != nil || got != f {
			t.Errorf("ParseFormat(%q) = %v, %v", f.String(), got, err)
		}
		r, err := capture.NewReader(bytes.NewReader(write(t, f, showing)))
		if err != nil || r.Format() != f {
			t.Errorf("an empty trace of %v: %v, %v", f, r, err)
		}
	}
	for _, name := range []string{"", "pcap", "csv"} {
		if _, err := capture.ParseFormat(name); err == nil {
			t.Errorf("ParseFormat(%q) took it", name)
		}
	}
	if _, err := capture.NewReader(strings.NewReader("GIF89a")); err == nil {
		t.Error("a picture is no trace")
	}
	w := capture.NewWriter(io.Discard, capture.PCAP, showing)
	if err := w.Write(capture.Record{Time: dawn}); err == nil {
		t.Error("pcap was written")
	}
	w = capture.NewWriter(io.Discard, capture.PCAPNG, showing)
	for _, r := range []capture.Record{
		{}, {Time: time.Unix(-1, 0)}, {Time: time.Unix(1<<34, 0)},
		{Time: dawn, Data: make([]byte, capture.MaxData+1)}, {Time: dawn, Comment: strings.Repeat("x", 1<<16)},
	} {
		if err := w.Write(r); !errors.Is(err, capture.ErrRecord) {
			t.Errorf("%v: %v, want %v", r, err, capture.ErrRecord)
		}
	}
}

// TestRecordHides: no verb and no log shows the bytes of a record.
func TestRecordHides(t *testing.T) {
	r := capture.Record{Time: dawn, Data: []byte{0xca, 0xfe, 0xba, 0xbe}}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprintf("%v %+v %#v %x %s", r, r, r, r, []capture.Record{r}), string(text)} {
		if low := strings.ToLower(s); strings.Contains(low, "cafe") || strings.Contains(low, "202 254") || strings.Contains(low, "yv66") {
			t.Error(s)
		}
	}
}

// FuzzOSDPCap: what can be read of a text is read again from what the Writers
// make of it, in both formats.
func FuzzOSDPCap(f *testing.F) {
	f.Add([]byte(`{"timeSec":"1","timeNano":"2","io":"output","data":"53-00-08-00-05-60-DA-99","osdpTraceVersion":"1","osdpSource":"x"}`))
	f.Add([]byte("{\"timeSec\":1,\"io\":\"trace\",\"data\":\"60 61\",\"line\":\"\\ud800\"}\n{}\n"))
	f.Add(write(f, capture.OSDPCap, capture.Options{}, sessions(f)[1].records(f)[:6]...))
	f.Fuzz(fuzzReader)
}

// FuzzPCAPNG is FuzzOSDPCap for pcapng.
func FuzzPCAPNG(f *testing.F) {
	f.Add(write(f, capture.PCAPNG, showing, capture.Record{Time: dawn, Line: "a", Comment: "b", Redacted: true, Data: []byte{0x53, 0x81}}))
	f.Add(write(f, capture.PCAPNG, capture.Options{}, sessions(f)[1].records(f)[:6]...))
	f.Fuzz(fuzzReader)
}

// FuzzPCAP is FuzzOSDPCap for pcap.
func FuzzPCAP(f *testing.F) {
	f.Add([]byte("\xd4\xc3\xb2\xa1\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\xa2\x00\x00\x00" +
		"\x09\x00\x00\x00\x05\x00\x00\x00\x08\x00\x00\x00\x08\x00\x00\x00\x53\x00\x08\x00\x05\x60\xda\x99"))
	f.Fuzz(fuzzReader)
}

func fuzzReader(t *testing.T, trace []byte) {
	records, _, _ := read(t, trace)
	for _, f := range formats {
		same(t, f.String(), reread(t, write(t, f, capture.Options{ShowSecrets: true}, records...)), records)
		// Blanked, the trace holds as many bytes, and can be read.
		before, after := 0, 0
		for _, r := range records {
			before += len(r.Data)
		}
		for _, r := range reread(t, write(t, f, capture.Options{}, records...)) {
			after += len(r.Data)
		}
		if before != after {
			t.Fatalf("%v: %d bytes became %d", f, before, after)
		}
	}
}

// frameOf parses the only frame of a record.
func frameOf(t testing.TB, r capture.Record) osdp.Frame {
	t.Helper()
	f, _, err := osdp.ParseFrame(bytes.TrimLeft(r.Data, "\xff"))
	if err != nil {
		t.Fatalf("% x: %v", r.Data, err)
	}
	return f
}
