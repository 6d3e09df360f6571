package wiegand

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
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

// A character that is no digit is what is wrong, however long the text is.
func TestBitsTextNamesTheFault(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"26:0x1FF9090", `got 'x' as digit 2, want hexadecimal digits after "26:"`},
		{"26: 1FF9090", `got ' ' as digit 1, want hexadecimal digits after "26:"`},
		{"26:1FF9O90", `got 'O' as digit 5, want hexadecimal digits after "26:"`},
		{"26:1FF9090\u00a0", `got '\u00a0' as digit 8, want hexadecimal digits after "26:"`},
		{"26:1FF9090\xff", `got '�' as digit 8, want hexadecimal digits after "26:"`},
		{"4:" + strings.Repeat("F", 300) + "G", `got 'G' as digit 301, want hexadecimal digits after "4:"`},
		{"26:", `want hexadecimal digits after "26:"`},
		{"26:41FF9090", "the number needs more than the 26 bits it claims"},
		{"26:4000000", "the number needs more than the 26 bits it claims"},
	} {
		if _, err := ParseBits(tt.in); !errors.Is(err, ErrBits) || err.Error() != "wiegand: not a card's bits: "+tt.want {
			t.Errorf("%.20q: got %v, want %s", tt.in, err, tt.want)
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

// Who writes Facility for facility is told of that, not that one is missing.
func TestEncodeNamesTheStranger(t *testing.T) {
	f := format(t, load(t), "H10301")
	const stranger, missing = `wiegand: H10301: wrong fields: no field "Facility"; it has card, facility`, `wiegand: H10301: wrong fields: facility is missing`
	for _, tt := range []struct {
		fields map[string]uint64
		want   string
	}{
		{map[string]uint64{"card": 1, "Facility": 1}, stranger},
		{map[string]uint64{"card": 1, "facility": 1, "Facility": 1}, stranger},
		{map[string]uint64{"card": 1}, missing},
	} {
		wide := map[string]*big.Int{}
		for name, n := range tt.fields {
			wide[name] = new(big.Int).SetUint64(n)
		}
		_, err := f.Encode(tt.fields)
		_, errBig := f.EncodeBig(wide)
		for _, err := range []error{err, errBig} {
			if !errors.Is(err, ErrField) || err.Error() != tt.want {
				t.Errorf("%v: got %v, want %s", tt.fields, err, tt.want)
			}
		}
	}
	if _, err := f.EncodeBig(map[string]*big.Int{"card": nil, "facility": big.NewInt(1)}); err == nil || err.Error() != "wiegand: H10301: wrong fields: card is missing" {
		t.Errorf("no number: %v", err)
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
		{"wide", "UUID128", "128:1", ErrWide},
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

// An installer is told what keeps a card from being one of a format.
func TestFaultsInWords(t *testing.T) {
	c := load(t)
	for _, tt := range []struct {
		format, bits string
		want         []string
	}{
		{"H10301", "26:1FF9090", nil},
		{"H10301", "26:1FF9091", []string{"the parity at bit 25"}},
		{"H10301", "26:3FF9091", []string{"the parity at bit 0, 25"}},
		{"KASTLE32", "32:80000001", []string{"the parity at bit 0", "the fixed value at bit 1"}},
		{"W44_LRC", "44:00000000012", []string{"the checksum"}},
		{"KANTECH32", "32:FE000002", []string{"what is set outside all fields at bit 0, 1, 2, 3, 4, 5, 6"}},
		{"HCP32", "32:7FFFFF80", []string{"the size of card"}},
		{"FASCN200", "200:043220DAA46CECD8545C0DAB6CD9AD20424406B912333093ED", []string{"the checksum", "the parity at bit 4", "the fixed value at bit 0"}},
	} {
		b, err := ParseBits(tt.bits)
		if err != nil {
			t.Fatal(err)
		}
		r, err := format(t, c, tt.format).Inspect(b)
		if got := r.Faults(); err != nil || !slices.Equal(got, tt.want) || r.OK() != (len(tt.want) == 0) {
			t.Errorf("%s %s: got %q, %v, want %q", tt.format, tt.bits, got, err, tt.want)
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

// Whatever the numbers are, a card gives them back, and a single wrong bit in
// what a parity covers is never read as another card.
func TestRoundTrip(t *testing.T) {
	c := load(t)
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(c.Formats()).Draw(t, "format")
		fields := map[string]*big.Int{}
		for _, name := range slices.Sorted(maps.Keys(f.Fields)) {
			limit := f.Fields[name].Limit()
			raw := rapid.SliceOfN(rapid.Byte(), len(limit.Bytes()), len(limit.Bytes())).Draw(t, name)
			n := new(big.Int).SetBytes(raw)
			fields[name] = n.Mod(n, limit.Add(limit, big.NewInt(1)))
		}
		b, err := f.EncodeBig(fields)
		if err != nil || b.Len() != f.Bits {
			t.Fatalf("%s: %v, %v", f.Name, b, err)
		}
		if got, err := f.DecodeBig(b); err != nil || !sameNumbers(got, fields) {
			t.Fatalf("%s: got %v, %v, want %v", f.Name, got, err, fields)
		}
		flip := rapid.IntRange(0, f.Bits-1).Draw(t, "flip")
		raw := b.Bytes()
		raw[flip/8] ^= 0x80 >> (flip % 8)
		other, err := MakeBits(f.Bits, raw)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.DecodeBig(other); err == nil && sameNumbers(got, fields) {
			t.Fatalf("%s: two cards have the fields %v", f.Name, got)
		}
	})
}
