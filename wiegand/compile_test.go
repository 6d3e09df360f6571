package wiegand

import (
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
)

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
		"trailing end":   {`[0,1,2]}]}`, `[0,1,2]}]}}`},
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

// All faults of a description are told at once, each with its place.
func TestFormatFaults(t *testing.T) {
	_, err := NewFormat(Format{
		Name: "12", Aliases: []string{"fine", " blank"}, Bits: 26,
		Fields: map[string]Field{
			"card":     {Start: 9, Length: 16, Max: 65536},
			"facility": {Start: 1, Length: 9},
			"issue":    {Order: []int{25, 26}},
			"no blank": {Start: 0, Length: 1},
			"serial":   {Start: 3},
		},
		Fixed:    []FixedBit{{Bit: 0, Value: 0}, {Bit: 1, Value: 2}},
		Parity:   []Parity{{Bit: 25, Type: "even"}, {Bit: -1, Type: "odd"}},
		Checksum: &Checksum{Type: "crc"},
	})
	e, ok := errors.AsType[*FormatError](err)
	if !ok || !errors.Is(err, ErrFormat) {
		t.Fatalf("got %v, want a FormatError", err)
	}
	var got []string
	for _, f := range e.Faults {
		got = append(got, f.Path+": "+f.Text)
	}
	want := []string{
		`name: got "12", want 1 to 64 letters, digits, _ and -, one letter at least`,
		`aliases[1]: got " blank", want 1 to 64 printable characters without blanks around them`,
		`fields.card.max: 65536 does not fit 16 bits in binary, want at most 65535`,
		`fields.facility.start: bit 9 belongs to field card already`,
		`fields.issue.order[1]: bit 26, want 0 to 25`,
		`fields.no blank: got the name "no blank", want letters, digits, _ and -, one letter at least`,
		`fields.serial.length: got 0, want 1 to 26`,
		`fixed[0].bit: bit 0 belongs to field no blank already`,
		`fixed[1].value: got 2, want 0 or 1`,
		`parity[0].bit: bit 25 belongs to field issue already`,
		`parity[1].bit: bit -1, want 0 to 25`,
		`checksum.type: got "crc", want xor8, xor8-nof, xor4 or complement4`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if text := err.Error(); !strings.HasPrefix(text, "wiegand: not a card format: 12: name: ") || !strings.HasSuffix(text, want[len(want)-1]) {
		t.Errorf("the error reads %q", text)
	}
}

func TestChecksumFaults(t *testing.T) {
	for _, tt := range []struct {
		sum  Checksum
		want Fault
	}{
		{Checksum{Type: "xor8", Over: []int{0, 12}, At: 16}, Fault{"checksum.over", "got bits 0 to 11, want whole groups of 8 bits within 24"}},
		{Checksum{Type: "xor8", At: 16}, Fault{"checksum.over", "got 0 numbers, want whole groups of 8 bits within 24"}},
		{Checksum{Type: "complement4", Over: []int{0, 8}, At: 16}, Fault{"checksum.over", "got bits 0 to 7, want one group of 4 bits for complement4"}},
		{Checksum{Type: "xor4", Over: []int{0, 20}, At: 16}, Fault{"checksum.at", "bit 16 is one that it covers"}},
		{Checksum{Type: "xor4", Over: []int{0, 16}, At: 12}, Fault{"checksum.at", "bit 12 belongs to field card already"}},
		{Checksum{Type: "xor4", Over: []int{16, 24}, At: 12}, Fault{"checksum.over", "covers the parity at bit 23, which is set after it"}},
	} {
		fields := map[string]Field{"card": {Length: 12}}
		if strings.Contains(tt.want.Text, "belongs") {
			fields["card"] = Field{Length: 13}
		}
		_, err := NewFormat(Format{Name: "SUM24", Bits: 24, Fields: fields, Parity: []Parity{{Bit: 23, Type: "even"}}, Checksum: &tt.sum})
		if e, ok := errors.AsType[*FormatError](err); !ok || !slices.Equal(e.Faults, []Fault{tt.want}) {
			t.Errorf("%+v: got %v, want %v", tt.sum, err, tt.want)
		}
	}
}

// A caller's description stays as it was.
func TestNewFormatCopies(t *testing.T) {
	given := Format{Name: "SITE8", Bits: 8, Fields: map[string]Field{"card": {Start: 0, Length: 8}}}
	f, err := NewFormat(given)
	if err != nil {
		t.Fatal(err)
	}
	if given.Fields["card"].Max != 0 || f.Fields["card"].Max != 255 || f.Fields["card"].Encoding != EncodingBinary {
		t.Errorf("given %+v, made %+v", given.Fields["card"], f.Fields["card"])
	}
}

// wideFormat has fields of more than 64 bits of each kind: in a row, scrambled,
// and decimal.
const wideFormat = `{"name":"WIDE300","bits":300,"fields":{
	"row":{"start":1,"length":70,"max":1000000000000000000000},
	"digits":{"start":71,"length":80,"encoding":"bcd"},
	"order":{"order":[151,220,152,219,153,218,154,217,155,216,156,215,157,214,158,213,159,212,160,211,161,210,162,209,163,208,164,207,165,206,
		166,205,167,204,168,203,169,202,170,201,171,200,172,199,173,198,174,197,175,196,176,195,177,194,178,193,179,192,180,191,181,190,182,189,183,188]},
	"small":{"start":221,"length":64}},
	"parity":[{"bit":0,"type":"even","over":[1,2,3,70,71,150,151,220]}]}`

func TestWideFields(t *testing.T) {
	f, err := ParseFormat([]byte(wideFormat))
	if err != nil {
		t.Fatal(err)
	}
	checkWritten(t, f)
	num := func(s string) *big.Int {
		n, ok := new(big.Int).SetString(s, 0)
		if !ok {
			t.Fatalf("not a number: %s", s)
		}
		return n
	}
	if got := f.Fields["digits"].Limit(); got.Cmp(num("99999999999999999999")) != 0 {
		t.Errorf("20 digits hold %d", got)
	}
	fields := map[string]*big.Int{"row": num("1000000000000000000000"), "digits": num("12345678901234567890"), "order": num("0x30000000000000001"), "small": num("0xFEDCBA9876543210")}
	b, err := f.EncodeBig(fields)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int]bool{151: true, 220: true, 152: false, 183: false, 188: true, 73: false, 74: true} {
		if b.Bit(i) != want {
			t.Errorf("bit %d is %v", i, b.Bit(i))
		}
	}
	if got, err := f.DecodeBig(b); err != nil || !sameNumbers(got, fields) {
		t.Errorf("got %v, %v, want %v", got, err, fields)
	}
	if got := Candidates([]*Format{f}, b); len(got) != 1 || len(got[0].Fields) != 1 || !sameNumbers(got[0].Numbers(), fields) {
		t.Errorf("candidates %v", got)
	}
	for name, value := range map[string]string{"row": "1000000000000000000001", "digits": "100000000000000000000", "order": "0x40000000000000000", "small": "0x10000000000000000"} {
		more := maps.Clone(fields)
		more[name] = num(value)
		if _, err := f.EncodeBig(more); !errors.Is(err, ErrRange) {
			t.Errorf("%s = %s: %v, want ErrRange", name, value, err)
		}
		more[name] = num("-1")
		if _, err := f.EncodeBig(more); !errors.Is(err, ErrRange) {
			t.Errorf("%s = -1: %v, want ErrRange", name, err)
		}
		more[name] = nil
		if _, err := f.EncodeBig(more); !errors.Is(err, ErrField) {
			t.Errorf("%s = nil: %v, want ErrField", name, err)
		}
	}
	fields["other"] = num("1")
	if _, err := f.EncodeBig(fields); !errors.Is(err, ErrField) || !strings.Contains(err.Error(), "it has small, digits, order, row") {
		t.Errorf("another field: %v, want ErrField", err)
	}
	raw := b.Bytes()
	raw[8] |= 0x01 // the first digit, bits 71 to 74
	raw[9] |= 0x80
	bad, err := MakeBits(f.Bits, raw)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := f.Inspect(bad); err != nil || !slices.Equal(r.Range, []string{"digits"}) {
		t.Errorf("a digit above 9: %+v, %v", r, err)
	}
}

// The catalogue is written as it was read, however wide its limits are.
func TestCatalogueIsWrittenExactly(t *testing.T) {
	c := load(t)
	for _, f := range c.Formats() {
		checkWritten(t, f)
	}
	text, err := json.Marshal(format(t, c, "UUID128"))
	if err != nil || !strings.Contains(string(text), `"max":340282366920938463463374607431768211455`) {
		t.Errorf("%s, %v", text, err)
	}
}
