package wiegand

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"strings"
)

// A Reading is what Inspect found on a card. Its lists name the faults.
type Reading struct {
	Fields   map[string]uint64
	Wide     map[string]*big.Int // the fields of more than 64 bits, which are not in Fields
	Parity   []int               // the parity bits that do not match
	Fixed    []int               // the fixed bits that differ; of a FASC-N, the first bit of each wrong sentinel
	Spare    []int               // the bits that are set outside all fields
	Range    []string            // the fields past their maximum or with a digit above 9
	Checksum bool                // the checksum does not match
}

// OK reports that the card is sound, and one that Encode can make.
func (r Reading) OK() bool { return r.Sound() && len(r.Spare) == 0 }

// Sound reports that no check fails and no field is past its limit. Bits
// outside all fields are no check: descriptions leave out what their authors
// did not know.
func (r Reading) Sound() bool { return r.onlyParity() && len(r.Parity) == 0 }

// onlyParity reports that nothing but parity keeps the reading from being sound.
func (r Reading) onlyParity() bool { return len(r.Fixed) == 0 && len(r.Range) == 0 && !r.Checksum }

// Faults puts what is wrong into words, such as "the parity at bit 0"; it is
// empty for a reading that is OK. No number of the card is in it.
func (r Reading) Faults() (faults []string) {
	if r.Checksum {
		faults = append(faults, "the checksum")
	}
	for _, group := range []struct {
		what string
		bits []int
	}{{"the parity at bit", r.Parity}, {"the fixed value at bit", r.Fixed}, {"what is set outside all fields at bit", r.Spare}} {
		if len(group.bits) > 0 {
			faults = append(faults, group.what+" "+join(group.bits))
		}
	}
	for _, name := range r.Range {
		faults = append(faults, "the size of "+name)
	}
	return faults
}

// join is a list of positions for people.
func join(list []int) string {
	var texts []string
	for _, i := range list {
		texts = append(texts, fmt.Sprint(i))
	}
	return strings.Join(texts, ", ")
}

// Inspect reads the fields of a card of the right length whatever its checks
// say, to explain a refused card. The fields of a card that is not OK may be
// another card's.
func (f *Format) Inspect(b Bits) (Reading, error) {
	if err := f.fits(b); err != nil {
		return Reading{}, err
	}
	var w words
	w.load(b)
	return f.prog.inspect(&w), nil
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
	Wide   map[string]*big.Int // the fields of more than 64 bits, which are not in Fields; mostly nil
	Spare  bool                // a bit outside all fields is set: Encode makes another card of these fields
}

// Numbers returns all fields, however wide, in a new map.
func (c Candidate) Numbers() map[string]*big.Int {
	m := make(map[string]*big.Int, len(c.Fields)+len(c.Wide))
	for name, v := range c.Fields {
		m[name] = new(big.Int).SetUint64(v)
	}
	maps.Copy(m, c.Wide)
	return m
}

// Candidates returns every one of formats that reads b soundly, in the order
// given. More than half of all card-sized strings are sound in several formats,
// so it never chooses: a site names its formats, in its own order.
//
// Unlike Decode it takes bits that are set outside all fields, because real
// cards have them where a description says nothing of their use; such cards are
// told apart by their Bits alone.
func Candidates(formats []*Format, b Bits) []Candidate {
	var all []Candidate
	var w words
	loaded := false
	for _, f := range formats {
		if f.Bits != b.n {
			continue
		}
		if !loaded {
			w.load(b)
			loaded = true
		}
		if ok, spare := f.prog.sound(&w); ok {
			if all == nil {
				all = make([]Candidate, 0, 4) // few cards fit more
			}
			all = append(all, Candidate{f, f.prog.read(&w), f.prog.readWide(&w), spare})
		}
	}
	return all
}
