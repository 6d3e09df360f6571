package wiegand

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
)

// What can be wrong with a card, a format or the fields of one. Errors never
// carry a field's value: card numbers open doors as card bits do.
var (
	ErrFormat   = errors.New("not a card format")
	ErrWide     = errors.New("field of more than 64 bits")   // for EncodeBig and DecodeBig, not for Encode and Decode
	ErrField    = errors.New("wrong fields")                 // one is missing, or the format has no such field
	ErrRange    = errors.New("field out of range")           // more than the format's maximum, or not a decimal digit
	ErrLength   = errors.New("wrong length")                 // the card has more or fewer bits than the format
	ErrParity   = errors.New("parity does not match")        // one bit or more was misread
	ErrChecksum = errors.New("checksum does not match")      // likewise
	ErrFixed    = errors.New("fixed bit differs")            // a bit that all cards of the format share
	ErrSpare    = errors.New("a bit outside all fields set") // so the fields would not say which card it is
)

// The grades of a format's description.
const (
	StatusConfirmed    = "confirmed"     // two or more independent descriptions agree
	StatusSingleSource = "single-source" // one description
	StatusDisputed     = "disputed"      // descriptions contradict one another: try a card first
	StatusDerived      = "derived"       // a general rule, no maker's text seen
	StatusCustom       = "custom"        // from a site's own configuration
)

// A Format says where the fields of a card are and how its bits are checked.
// Positions count from 0, the first bit received. A Format comes from Load,
// ParseFormat or NewFormat, is not changed after that, and is safe for
// concurrent use.
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

// ParseFormat reads one format as JSON, in the shape of an element of
// "formats" in formats.json, so that an installer can add one. A field without
// "encoding" is binary, one without "max" may use all its bits.
func ParseFormat(data []byte) (*Format, error) {
	f := new(Format)
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(f); err != nil {
		return nil, fmt.Errorf("wiegand: %w: %w", ErrFormat, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("wiegand: %w: more than one JSON value", ErrFormat)
	}
	return NewFormat(*f)
}

// NewFormat checks a description and makes a format of it that is ready to use.
// What is wrong is a FormatError. Parts of f that are not given get what
// ParseFormat gives them. It keeps f's slices.
func NewFormat(f Format) (*Format, error) {
	f.Fields = maps.Clone(f.Fields)
	if err := f.compile(); err != nil {
		return nil, fmt.Errorf("wiegand: %w", err)
	}
	return &f, nil
}

// Wide reports that the format has a field of more than 64 bits: only EncodeBig
// and DecodeBig work.
func (f *Format) Wide() bool { return len(f.prog.wide) > 0 }

// Encode makes the card that has these fields, all of them and no others. The
// bits outside all fields are 0. A format that is Wide is refused with ErrWide.
func (f *Format) Encode(fields map[string]uint64) (Bits, error) {
	p := &f.prog
	if len(p.wide) > 0 {
		return Bits{}, f.tooWide()
	}
	var w words
	for i := range p.fields {
		pf := &p.fields[i]
		v, ok := fields[pf.name]
		if !ok {
			return Bits{}, missing(f, fields, pf.name)
		}
		if v > pf.max {
			return Bits{}, fmt.Errorf("wiegand: %s: %w: %s is more than %d", f.Name, ErrRange, pf.name, pf.max)
		}
		pf.put(&w, v)
	}
	if len(fields) != len(p.fields) {
		return Bits{}, strangers(f, fields)
	}
	p.finish(&w)
	return w.bits(f.Bits), nil
}

// EncodeBig is Encode for numbers of any width and formats of any kind. A number
// that is nil counts as missing. It does not keep or change the numbers.
func (f *Format) EncodeBig(fields map[string]*big.Int) (Bits, error) {
	p := &f.prog
	var w words
	for i := range p.fields {
		pf := &p.fields[i]
		v, err := f.number(fields, pf.name, new(big.Int).SetUint64(pf.max))
		if err != nil {
			return Bits{}, err
		}
		pf.put(&w, v.Uint64())
	}
	for i := range p.wide {
		v, err := f.number(fields, p.wide[i].name, p.wide[i].max)
		if err != nil {
			return Bits{}, err
		}
		p.wide[i].put(&w, v)
	}
	if len(fields) != len(p.fields)+len(p.wide) {
		return Bits{}, strangers(f, fields)
	}
	p.finish(&w)
	return w.bits(f.Bits), nil
}

// number is the named one of fields, from 0 to limit.
func (f *Format) number(fields map[string]*big.Int, name string, limit *big.Int) (*big.Int, error) {
	switch v := fields[name]; {
	case v == nil:
		return nil, missing(f, fields, name)
	case v.Sign() < 0:
		return nil, fmt.Errorf("wiegand: %s: %w: %s is less than 0", f.Name, ErrRange, name)
	case v.Cmp(limit) > 0:
		return nil, fmt.Errorf("wiegand: %s: %w: %s is more than %d", f.Name, ErrRange, name, limit)
	default:
		return v, nil
	}
}

// missing says that fields lack the one of that name, or, where they have one
// that f does not, that: it is the same mistake, such as Facility for facility.
func missing[V any](f *Format, fields map[string]V, name string) error {
	if err := strangers(f, fields); err != nil {
		return err
	}
	return fmt.Errorf("wiegand: %s: %w: %s is missing", f.Name, ErrField, name)
}

// strangers names the first of fields that f does not have; nil is none.
func strangers[V any](f *Format, fields map[string]V) error {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if _, ok := f.Fields[name]; !ok {
			return fmt.Errorf("wiegand: %s: %w: no field %q; it has %s", f.Name, ErrField, name, f.prog.names())
		}
	}
	return nil
}

func (f *Format) tooWide() error {
	return fmt.Errorf("wiegand: %s: %w: %s", f.Name, ErrWide, f.prog.wide[0].name)
}

// Decode reads the fields of a card that is whole and sound: of the format's
// length, with all parities, checksums and fixed bits right, no field past its
// maximum, and no bit set outside the fields. So Encode makes the same card
// again from what Decode returns; Inspect is for the other cards. A format that
// is Wide is refused with ErrWide.
func (f *Format) Decode(b Bits) (map[string]uint64, error) {
	if len(f.prog.wide) > 0 {
		return nil, f.tooWide()
	}
	var w words
	if err := f.exact(b, &w); err != nil {
		return nil, err
	}
	return f.prog.read(&w), nil
}

// DecodeBig is Decode for formats of any kind.
func (f *Format) DecodeBig(b Bits) (map[string]*big.Int, error) {
	var w words
	if err := f.exact(b, &w); err != nil {
		return nil, err
	}
	return Candidate{Fields: f.prog.read(&w), Wide: f.prog.readWide(&w)}.Numbers(), nil
}

// exact loads b into w, and says what keeps Encode from making this card.
func (f *Format) exact(b Bits, w *words) error {
	if err := f.fits(b); err != nil {
		return err
	}
	w.load(b)
	if ok, spare := f.prog.sound(w); ok && !spare {
		return nil
	}
	return f.prog.inspect(w).err(f.Name)
}

// fits says that b has not as many bits as cards of the format have.
func (f *Format) fits(b Bits) error {
	if b.n != f.Bits {
		return fmt.Errorf("wiegand: %s: %w: %d bits, want %d", f.Name, ErrLength, b.n, f.Bits)
	}
	return nil
}
