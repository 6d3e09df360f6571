package wiegand

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestBitsText(t *testing.T) {
	for _, tt := range []struct {
		in, want string // want "" is an error
	}{
		{"26:1FF9090", "26:1FF9090"},
		{"26:1ff9090", "26:1FF9090"},
		{"26:0001FF9090", "26:1FF9090"},
		{"26:3FFFFFF", "26:3FFFFFF"},
		{"26:4000000", ""},
		{"26:3FFFFFF0", ""},
		{"1:1", "1:1"},
		{"1:0", "1:0"},
		{"1:2", ""},
		{"5:1F", "5:1F"},
		{"64:FFFFFFFFFFFFFFFF", "64:FFFFFFFFFFFFFFFF"},
		{"65:1FFFFFFFFFFFFFFFF", "65:1FFFFFFFFFFFFFFFF"},
		{"1024:1", "1024:" + strings.Repeat("0", 255) + "1"},
		{"1025:1", ""},
		{"0:0", ""},
		{"026:1", ""},
		{"+26:1", ""},
		{"26:", ""},
		{"26", ""},
		{"26:0x1", ""},
		{"26:-1", ""},
		{"26: 1", ""},
		{"26:1G", ""},
	} {
		b, err := ParseBits(tt.in)
		if (err != nil) != (tt.want == "") || b.Text() != tt.want {
			t.Errorf("ParseBits(%q): got %q, %v, want %q", tt.in, b.Text(), err, tt.want)
		}
		if err != nil && !errors.Is(err, ErrBits) {
			t.Errorf("ParseBits(%q): %v is not ErrBits", tt.in, err)
		}
	}
}

func TestBitsHide(t *testing.T) {
	b, err := ParseBits("40:DEADBEEF42")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("card", "bits", b)
	slog.New(slog.NewTextHandler(&log, nil)).Info("card", "bits", b)
	holder := struct{ B Bits }{b}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c", "%U", "%e", "%t", "%z"} {
		fmt.Fprintf(&log, verb+" "+verb+" "+verb+"\n", b, &b, holder)
	}
	for _, secret := range []string{"DEAD", "dead", "222", "xde", "Þ", "\xde"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%q shows in %s", secret, log.String())
		}
	}
}

func TestMakeBits(t *testing.T) {
	b, err := MakeBits(12, []byte{0xAB, 0xCF, 0xEE})
	if err != nil || b.Text() != "12:ABC" || !bytes.Equal(b.Bytes(), []byte{0xAB, 0xC0}) {
		t.Errorf("got %s, % X, %v", b.Text(), b.Bytes(), err)
	}
	if _, ok := b.ReverseBytes(); ok {
		t.Error("12 bits were reversed by bytes")
	}
	if other, _ := MakeBits(13, []byte{0xAB, 0xC0}); other == b {
		t.Error("12 and 13 bits are one card")
	}
	for _, n := range []int{-1, 0, 17, 1025} {
		if _, err := MakeBits(n, []byte{1, 2}); !errors.Is(err, ErrBits) {
			t.Errorf("MakeBits(%d): %v", n, err)
		}
	}
	csn, _ := ParseBits("32:01020304")
	if r, ok := csn.ReverseBytes(); !ok || r.Text() != "32:04030201" {
		t.Errorf("reversed: %s, %v", r.Text(), ok)
	}
}

func TestCatalogue(t *testing.T) {
	c := load(t)
	if got := len(c.Formats()); got != 67 {
		t.Errorf("%d formats, want 67", got)
	}
	grades := map[string]int{}
	for _, f := range c.Formats() {
		grades[f.Status]++
		for _, name := range append([]string{f.Name, strings.ToLower(f.Name)}, f.Aliases...) {
			if got, ok := c.Lookup(name); !ok || got != f {
				t.Errorf("Lookup(%q): got %v, want %s", name, got, f.Name)
			}
		}
	}
	if want := map[string]int{StatusConfirmed: 34, StatusSingleSource: 24, StatusDisputed: 5, StatusDerived: 4}; !maps.Equal(grades, want) {
		t.Errorf("grades: %v, want %v", grades, want)
	}
	if _, ok := c.Lookup("H1030"); ok {
		t.Error("found a format that is not there")
	}
}

func TestEncodeRefuses(t *testing.T) {
	c := load(t)
	f := format(t, c, "H10301")
	for _, tt := range []struct {
		name   string
		fields map[string]uint64
		want   error
	}{
		{"missing", map[string]uint64{"card": 1}, ErrField},
		{"nil", nil, ErrField},
		{"unknown", map[string]uint64{"card": 1, "facility": 1, "issue": 0}, ErrField},
		{"too big", map[string]uint64{"card": 65536, "facility": 1}, ErrRange},
	} {
		if b, err := f.Encode(tt.fields); !errors.Is(err, tt.want) || b != (Bits{}) {
			t.Errorf("%s: got %v, %v, want %v", tt.name, b, err, tt.want)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	c := load(t)
	for _, tt := range []struct {
		name, format, bits string
		want               error
	}{
		{"length", "H10301", "27:1FF9090", ErrLength},
		{"parity", "H10301", "26:1FF9091", ErrParity},
		{"fixed", "KASTLE32", "32:00000001", ErrFixed},
		{"checksum", "W44_LRC", "44:00000000011", nil},
		{"checksum", "W44_LRC", "44:00000000012", ErrChecksum},
		{"complement", "KEY8", "8:B4", nil},
		{"complement", "KEY8", "8:B5", ErrChecksum},
		{"spare", "KANTECH32", "32:FE000002", ErrSpare},
		{"over max", "HCP32", "32:7FFFFF80", ErrRange},
		{"digit", "H10320", "36:A00000000", ErrRange},
		{"wide", "UUID128", "128:1", ErrUnsupported},
		{"FASC-N", "FASCN200", "200:D43220DAA46CECD8545C0DAB6CD9AD20424406B912333093ED", nil},
		{"FASC-N character parity", "FASCN200", "200:D43220DAA46CECD8545C0DAB6CD9AD20424406B912333093EC", ErrParity},
		{"FASC-N sentinel", "FASCN200", "200:043220DAA46CECD8545C0DAB6CD9AD20424406B912333093ED", ErrFixed},
		{"FASC-N LRC", "FASCN200", "200:D43220DAA46CECD8545C0DAB6CD9AD20424406B912333093E1", ErrChecksum},
	} {
		b, err := ParseBits(tt.bits)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := format(t, c, tt.format).Decode(b); !errors.Is(err, tt.want) {
			t.Errorf("%s: %s %s: got %v, want %v", tt.name, tt.format, tt.bits, err, tt.want)
		}
	}
}

// A site names its formats, and their order is its own.
func TestCandidatesKeepOrder(t *testing.T) {
	c := load(t)
	b, err := format(t, c, "H10302").Encode(map[string]uint64{"card": 28065708012})
	if err != nil {
		t.Fatal(err)
	}
	for _, order := range [][]string{{"H10302", "H10304"}, {"H10304", "H10301", "H10302"}} {
		var formats []*Format
		for _, name := range order {
			formats = append(formats, format(t, c, name))
		}
		var got []string
		for _, cand := range Candidates(formats, b) {
			got = append(got, cand.Format.Name)
		}
		if want := slices.DeleteFunc(order, func(s string) bool { return s == "H10301" }); !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	if got := Candidates(nil, b); len(got) != 0 {
		t.Errorf("guessed %v", got)
	}
}

func TestParseFormat(t *testing.T) {
	const good = `{"name":"SITE28","bits":28,"fields":{"facility":{"start":1,"length":10},"card":{"start":11,"length":16,"max":40000}},
		"parity":[{"bit":0,"type":"even","over":[1,2,3]},{"bit":27,"type":"odd","over":[0,1,2]}]}`
	f, err := ParseFormat([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	c := load(t)
	if err := c.Add(f); err != nil {
		t.Fatal(err)
	}
	if err := c.Add(f); !errors.Is(err, ErrFormat) {
		t.Errorf("added twice: %v", err)
	}
	if got, ok := c.Lookup("site28"); !ok || got != f {
		t.Errorf("Lookup: %v", got)
	}
	fields := map[string]uint64{"facility": 1023, "card": 40000}
	b, err := f.Encode(fields)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := f.Decode(b); err != nil || !maps.Equal(got, fields) {
		t.Errorf("got %v, %v", got, err)
	}
	for name, change := range map[string][2]string{
		"no name":        {`"SITE28"`, `" "`},
		"no bits":        {`"bits":28`, `"bits":0`},
		"too long":       {`"bits":28`, `"bits":1025`},
		"past the end":   {`"bits":28`, `"bits":27`},
		"overlap":        {`"start":11`, `"start":10`},
		"negative":       {`"start":1,`, `"start":-1,`},
		"max too wide":   {`40000`, `65536`},
		"max not whole":  {`40000`, `1.5`},
		"max negative":   {`40000`, `-1`},
		"max huge":       {`40000`, `99999999999999999999999`},
		"parity type":    {`"even"`, `"mark"`},
		"covers itself":  {`[1,2,3]`, `[0,1]`},
		"covers twice":   {`[1,2,3]`, `[1,1]`},
		"covers outside": {`[1,2,3]`, `[28]`},
		"order":          {`[1,2,3]`, `[27]`},
		"encoding":       {`"length":10`, `"length":10,"encoding":"gray"`},
		"bcd digits":     {`"length":10`, `"length":10,"encoding":"bcd"`},
		"no JSON":        {`{`, `[`},
		"trailing":       {`[0,1,2]}]}`, `[0,1,2]}]} {}`},
		"checksum":       {`"bits":28`, `"bits":28,"checksum":{"type":"crc"}`},
		"checksum span":  {`"bits":28`, `"bits":28,"checksum":{"type":"xor4","over":[0,5],"at":20}`},
		"layout":         {`"bits":28`, `"bits":28,"layout":["SS"]`},
	} {
		text := strings.Replace(good, change[0], change[1], 1)
		if text == good {
			t.Fatalf("%s changes nothing", name)
		}
		if f, err := ParseFormat([]byte(text)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: got %v, %v, want ErrFormat", name, f, err)
		}
	}
}

// Whatever the numbers are, a card gives them back, and a single wrong bit in
// what a parity covers is never read as another card.
func TestRoundTrip(t *testing.T) {
	c := load(t)
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(c.Formats()).Draw(t, "format")
		if f.Supported() != nil {
			return
		}
		fields := map[string]uint64{}
		for _, name := range slices.Sorted(maps.Keys(f.Fields)) {
			fields[name] = rapid.Uint64Range(0, f.Fields[name].Max).Draw(t, name)
		}
		b, err := f.Encode(fields)
		if err != nil || b.Len() != f.Bits {
			t.Fatalf("%s: %v, %v", f.Name, b, err)
		}
		if got, err := f.Decode(b); err != nil || !maps.Equal(got, fields) {
			t.Fatalf("%s: got %v, %v, want %v", f.Name, got, err, fields)
		}
		flip := rapid.IntRange(0, f.Bits-1).Draw(t, "flip")
		raw := b.Bytes()
		raw[flip/8] ^= 0x80 >> (flip % 8)
		other, err := MakeBits(f.Bits, raw)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.Decode(other); err == nil && maps.Equal(got, fields) {
			t.Fatalf("%s: two cards have the fields %v", f.Name, got)
		}
	})
}

func FuzzBits(f *testing.F) {
	for _, s := range []string{"26:1FF9090", "1:0", "1024:F", "37:0", "26:", ":", "5:1F"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := ParseBits(s)
		if err != nil {
			if b != (Bits{}) || !errors.Is(err, ErrBits) {
				t.Fatalf("%q: %v with %v", s, b, err)
			}
			return
		}
		again, err := ParseBits(b.Text())
		if err != nil || again != b {
			t.Fatalf("%q: %s came back as %s, %v", s, b.Text(), again.Text(), err)
		}
		made, err := MakeBits(b.Len(), b.Bytes())
		if err != nil || made != b {
			t.Fatalf("%q: bytes came back as %s, %v", s, made.Text(), err)
		}
		text, err := json.Marshal(b)
		var back Bits
		if err != nil || json.Unmarshal(text, &back) != nil || back != b {
			t.Fatalf("%q: JSON %s came back as %s", s, text, back.Text())
		}
	})
}

func FuzzDecode(f *testing.F) {
	c := load(f)
	formats := c.Formats()
	for _, v := range loadVectors(f).Encode {
		i := slices.IndexFunc(formats, func(f *Format) bool { return f.Name == v.Format })
		f.Add(uint8(i), binaryBits(f, v.Binary).Bytes())
	}
	f.Fuzz(func(t *testing.T, i uint8, left []byte) {
		format := formats[int(i)%len(formats)]
		b, err := MakeBits(format.Bits, left)
		if err != nil {
			return
		}
		fields, err := format.Decode(b)
		if err != nil {
			return
		}
		if again, err := format.Encode(fields); err != nil || again != b {
			t.Fatalf("%s: %s decodes to %v, which encodes to %s, %v", format.Name, b.Text(), fields, again.Text(), err)
		}
	})
}

func BenchmarkDecodeH10302(b *testing.B) {
	f := format(b, load(b), "H10302")
	card, err := f.Encode(map[string]uint64{"card": 28065708012})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Decode(card); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCandidates10(b *testing.B) {
	c := load(b)
	var formats []*Format
	for _, name := range []string{"H10301", "IND26", "D10202", "H10306", "C1K35", "S12906", "H10302", "H10304", "MDI37", "C1K48"} {
		formats = append(formats, format(b, c, name))
	}
	card, err := formats[6].Encode(map[string]uint64{"card": 28065708012})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if len(Candidates(formats, card)) == 0 {
			b.Fatal("no candidate")
		}
	}
}
