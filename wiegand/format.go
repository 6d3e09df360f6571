package wiegand

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// What can be wrong with a card, a format or the fields of one. Errors never
// carry a field's value: card numbers open doors as card bits do.
var (
	ErrFormat      = errors.New("not a card format")
	ErrUnsupported = errors.New("format not supported")         // known by name, but its fields do not fit 64 bits
	ErrField       = errors.New("wrong fields")                 // one is missing, or the format has no such field
	ErrRange       = errors.New("field out of range")           // more than the format's maximum, or not a decimal digit
	ErrLength      = errors.New("wrong length")                 // the card has more or fewer bits than the format
	ErrParity      = errors.New("parity does not match")        // one bit or more was misread
	ErrChecksum    = errors.New("checksum does not match")      // likewise
	ErrFixed       = errors.New("fixed bit differs")            // a bit that all cards of the format share
	ErrSpare       = errors.New("a bit outside all fields set") // so the fields would not say which card it is
)

// The encodings of a field.
const (
	EncodingBinary = "binary" // most significant bit first
	EncodingBCD    = "bcd"    // decimal digits of 4 bits, most significant first
	EncodingFASCN  = "fascn"  // decimal digits of 4 bits, least significant bit first, and odd parity
)

// The grades of a format's description.
const (
	StatusConfirmed    = "confirmed"     // two or more independent descriptions agree
	StatusSingleSource = "single-source" // one description
	StatusDisputed     = "disputed"      // descriptions contradict one another: try a card first
	StatusDerived      = "derived"       // a general rule, no maker's text seen
)

// A Format says where the fields of a card are and how its bits are checked.
// Positions count from 0, the first bit received. A Format comes from Load or
// ParseFormat, is not changed after that, and is safe for concurrent use.
type Format struct {
	Name        string           `json:"name"`
	Bits        int              `json:"bits"` // 1 to MaxBits
	Description string           `json:"description"`
	Aliases     []string         `json:"aliases"`
	Status      string           `json:"status"`
	Fields      map[string]Field `json:"fields"` // by name, such as "facility" and "card"
	Fixed       []FixedBit       `json:"fixed"`
	Parity      []Parity         `json:"parity"` // set in this order: a later one may cover an earlier one
	Checksum    *Checksum        `json:"checksum"`
	Layout      []string         `json:"layout,omitempty"` // FASC-N only: its characters, in order
	Sources     []string         `json:"sources,omitempty"`
	Notes       string           `json:"notes,omitempty"`

	prog program
}

// A Field is one number on a card.
type Field struct {
	Start    int    `json:"start"`           // first bit, unless Order is given
	Length   int    `json:"length"`          // bits
	Order    []int  `json:"order,omitempty"` // scrambled fields: the position of each bit, most significant first
	Encoding string `json:"encoding"`
	Max      uint64 `json:"max"` // inclusive; math.MaxUint64 where the field is wider than 64 bits
}

// UnmarshalJSON takes a maximum past 64 bits, which stands at the fields that
// make a format unsupported.
func (f *Field) UnmarshalJSON(data []byte) error {
	type plain Field // without this method
	v := struct {
		*plain
		Max json.Number `json:"max"`
	}{plain: (*plain)(f)}
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	if len(f.Order) > 0 {
		f.Length = len(f.Order)
	}
	switch n, err := strconv.ParseUint(v.Max.String(), 10, 64); {
	case v.Max == "":
		f.Max = math.MaxUint64 >> (64 - min(64, max(1, f.Length)))
	case errors.Is(err, strconv.ErrRange) && !strings.HasPrefix(v.Max.String(), "-"):
		f.Max = math.MaxUint64
	case err != nil:
		return fmt.Errorf("max: got %s, want a whole number", v.Max)
	default:
		f.Max = n
	}
	return nil
}

// A FixedBit has the same value on all cards of a format.
type FixedBit struct {
	Bit   int   `json:"bit"`
	Value uint8 `json:"value"` // 0 or 1
}

// A Parity is a bit that makes the number of ones among itself and the bits it
// covers even or odd.
type Parity struct {
	Bit  int    `json:"bit"`
	Type string `json:"type"` // "even" or "odd"
	Over []int  `json:"over"` // positions, without Bit
}

// A Checksum stands at At and covers the bits from Over[0] to Over[1]-1.
type Checksum struct {
	Type string `json:"type"` // "xor8", "xor8-nof", "xor4", "complement4" or "fascn"
	Over []int  `json:"over,omitempty"`
	At   int    `json:"at,omitempty"`
}

//go:embed formats.json
var formatsJSON string

// A Catalogue is a set of formats with unique names.
type Catalogue struct {
	formats []*Format
	byName  map[string]*Format // lower case, aliases too
}

// Load returns the formats that come with the program, also those that are
// disputed or not supported: Status and Supported say which.
func Load() (*Catalogue, error) {
	var file struct {
		Schema  string    `json:"schema"`
		Count   int       `json:"count"`
		Formats []*Format `json:"formats"`
	}
	if err := json.Unmarshal([]byte(formatsJSON), &file); err != nil {
		return nil, fmt.Errorf("wiegand: formats.json: %w: %w", ErrFormat, err)
	}
	if file.Schema != "wiegand-formats/1" || file.Count != len(file.Formats) {
		return nil, fmt.Errorf("wiegand: formats.json: %w: schema %q with %d of %d formats", ErrFormat, file.Schema, len(file.Formats), file.Count)
	}
	c := &Catalogue{byName: map[string]*Format{}}
	for _, f := range file.Formats {
		if err := f.compile(); err != nil {
			return nil, fmt.Errorf("wiegand: formats.json: %w", err)
		}
		if err := c.Add(f); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// ParseFormat reads one format as JSON, in the shape of an element of
// "formats" in formats.json, so that an installer can add one. A field without
// "encoding" is binary, one without "max" may use all its bits.
func ParseFormat(data []byte) (*Format, error) {
	f := new(Format)
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(f); err != nil {
		return nil, fmt.Errorf("wiegand: %w: %w", ErrFormat, err)
	}
	if d.More() {
		return nil, fmt.Errorf("wiegand: %w: more than one JSON value", ErrFormat)
	}
	if err := f.compile(); err != nil {
		return nil, fmt.Errorf("wiegand: %w", err)
	}
	return f, nil
}

// Add puts f into the catalogue, after those that are there. Its name and its
// aliases must be new; otherwise nothing changes. It is not safe for use
// beside other methods.
func (c *Catalogue) Add(f *Format) error {
	names := append([]string{f.Name}, f.Aliases...)
	for _, name := range names {
		if other, ok := c.Lookup(name); ok {
			return fmt.Errorf("wiegand: %w: %s: the name %q is taken by %s", ErrFormat, f.Name, name, other.Name)
		}
	}
	for _, name := range names {
		c.byName[strings.ToLower(name)] = f
	}
	c.formats = append(c.formats, f)
	return nil
}

// Lookup finds a format by its name or an alias, in upper or lower case.
func (c *Catalogue) Lookup(name string) (*Format, bool) {
	f, ok := c.byName[strings.ToLower(name)]
	return f, ok
}

// Formats returns all formats in the order of the file, in a new slice.
func (c *Catalogue) Formats() []*Format { return slices.Clone(c.formats) }

// Supported is nil where Encode and Decode work, and otherwise an
// ErrUnsupported that says why they do not. Cards of an unsupported format are
// still cards: their Bits can be stored and compared.
func (f *Format) Supported() error { return f.prog.unsupported }

// Encode makes the card that has these fields, all of them and no others. The
// bits outside all fields are 0.
func (f *Format) Encode(fields map[string]uint64) (Bits, error) {
	p := &f.prog
	if p.unsupported != nil {
		return Bits{}, p.unsupported
	}
	var w words
	for i := range p.fields {
		pf := &p.fields[i]
		v, ok := fields[pf.name]
		if !ok {
			return Bits{}, fmt.Errorf("wiegand: %s: %w: %s is missing", f.Name, ErrField, pf.name)
		}
		if v > pf.max {
			return Bits{}, fmt.Errorf("wiegand: %s: %w: %s is more than %d", f.Name, ErrRange, pf.name, pf.max)
		}
		pf.put(&w, v)
	}
	if len(fields) != len(p.fields) {
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			if _, ok := f.Fields[name]; !ok {
				return Bits{}, fmt.Errorf("wiegand: %s: %w: no field %q; it has %s", f.Name, ErrField, name, p.names())
			}
		}
	}
	p.finish(&w)
	return w.bits(f.Bits), nil
}

// Decode reads the fields of a card that is whole and sound: of the format's
// length, with all parities, checksums and fixed bits right, no field past its
// maximum, and no bit set outside the fields. So Encode makes the same card
// again from what Decode returns; Inspect is for the other cards.
func (f *Format) Decode(b Bits) (map[string]uint64, error) {
	if f.prog.unsupported != nil {
		return nil, f.prog.unsupported
	}
	if b.n != f.Bits {
		return nil, fmt.Errorf("wiegand: %s: %w: %d bits, want %d", f.Name, ErrLength, b.n, f.Bits)
	}
	var w words
	w.load(b)
	if f.prog.sound(&w) {
		return f.prog.read(&w), nil
	}
	return nil, f.inspect(&w).err(f.Name)
}

// A Reading is what Inspect found on a card. Its lists name the faults.
type Reading struct {
	Fields   map[string]uint64
	Parity   []int    // the parity bits that do not match
	Fixed    []int    // the fixed bits that differ
	Spare    []int    // the bits that are set outside all fields
	Range    []string // the fields past their maximum or with a digit above 9, sorted
	Checksum bool     // the checksum does not match
}

// OK reports that the card is sound.
func (r Reading) OK() bool {
	return len(r.Parity) == 0 && len(r.Fixed) == 0 && len(r.Spare) == 0 && len(r.Range) == 0 && !r.Checksum
}

// Inspect reads the fields of a card of the right length whatever its checks
// say, to explain a refused card and for sites that choose to go without
// parity. The fields of a card that is not OK may be another card's.
func (f *Format) Inspect(b Bits) (Reading, error) {
	if f.prog.unsupported != nil {
		return Reading{}, f.prog.unsupported
	}
	if b.n != f.Bits {
		return Reading{}, fmt.Errorf("wiegand: %s: %w: %d bits, want %d", f.Name, ErrLength, b.n, f.Bits)
	}
	var w words
	w.load(b)
	return f.inspect(&w), nil
}

func (r Reading) err(format string) error {
	var all []error
	if r.Checksum {
		all = append(all, ErrChecksum)
	}
	add := func(err error, what any, n int) {
		if n > 0 {
			all = append(all, fmt.Errorf("%w: %v", err, what))
		}
	}
	add(ErrParity, r.Parity, len(r.Parity))
	add(ErrFixed, r.Fixed, len(r.Fixed))
	add(ErrSpare, r.Spare, len(r.Spare))
	add(ErrRange, r.Range, len(r.Range))
	switch len(all) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("wiegand: %s: %w", format, all[0])
	}
	return fmt.Errorf("wiegand: %s: %w", format, errors.Join(all...))
}

// A Candidate is one way to read a card.
type Candidate struct {
	Format *Format
	Fields map[string]uint64
}

// Candidates returns every one of formats that decodes b, in the order given.
// More than half of all card-sized strings are sound in several formats, so it
// never chooses: a site names its formats, in its own order.
func Candidates(formats []*Format, b Bits) []Candidate {
	var all []Candidate
	var w words
	loaded := false
	for _, f := range formats {
		if f.Bits != b.n || f.prog.unsupported != nil {
			continue
		}
		if !loaded {
			w.load(b)
			loaded = true
		}
		if f.prog.sound(&w) {
			all = append(all, Candidate{f, f.prog.read(&w)})
		}
	}
	return all
}
