package wiegand

import (
	"fmt"
	"slices"
)

// facilityField is the field that a site's list of facilities is about.
const facilityField = "facility"

// A Use is a format as one site uses it.
type Use struct {
	Format *Format
	// Facilities are the facility codes whose cards the site takes; none is any.
	Facilities []uint64
	// IgnoreParity takes a card whose only faults are parities, as if they were
	// right, for readers that send none: a misread bit is then another card. It
	// does nothing for a card that another Use of the site reads as it is.
	IgnoreParity bool
	// ReversedBytes is for cards that come with their bytes in the other order.
	ReversedBytes bool
}

// Faults says what in u its format cannot have.
func (u Use) Faults() (faults []Fault) {
	bad := func(path, format string, args ...any) {
		faults = append(faults, Fault{path, fmt.Sprintf(format, args...)})
	}
	f := u.Format
	facility, ok := f.Fields[facilityField]
	if len(u.Facilities) > 0 && (!ok || facility.Wide()) {
		bad("facilities", "%s has no facility code", f.Name)
	}
	for i, n := range u.Facilities {
		if ok && n > facility.Max {
			bad(fmt.Sprintf("facilities[%d]", i), "%d: facility codes of %s go up to %d", n, f.Name, facility.Max)
		}
	}
	if u.IgnoreParity && len(f.Parity) == 0 {
		bad("ignore_parity", "%s has no parity to ignore", f.Name)
	}
	if u.ReversedBytes && f.Bits%8 != 0 {
		bad("reversed_bytes", "%s has %d bits, want whole bytes", f.Name, f.Bits)
	}
	return faults
}

// A Match is a candidate by a site's rules.
type Match struct {
	Candidate
	// Bits are what the card is known by: those of the reader, with bytes turned
	// round and parities set right where the Use says so.
	Bits          Bits
	ParityIgnored bool // a parity was wrong
	WrongFacility bool // the facility code is not one of the site's
}

// match reads b by u; false says that it does not fit.
func (u Use) match(b Bits) (Match, bool) {
	if u.ReversedBytes {
		var ok bool
		if b, ok = b.ReverseBytes(); !ok {
			return Match{}, false
		}
	}
	if u.Format.Bits != b.n {
		return Match{}, false
	}
	p := &u.Format.prog
	m := Match{Bits: b}
	var w words
	w.load(b)
	ok, spare := p.sound(&w)
	if !ok && u.IgnoreParity {
		p.mendParity(&w)
		if ok, spare = p.sound(&w); ok {
			m.Bits, m.ParityIgnored = w.bits(b.n), true
		}
	}
	if !ok {
		return Match{}, false
	}
	m.Candidate = Candidate{u.Format, p.read(&w), p.readWide(&w), spare}
	m.WrongFacility = len(u.Facilities) > 0 && !slices.Contains(u.Facilities, m.Fields[facilityField])
	return m, true
}

// Matches returns every way in which the site reads b, those of a wrong facility
// too: first those of the card as it is, then those with a parity ignored, each
// in the site's order.
func Matches(uses []Use, b Bits) (all []Match) {
	var mended []Match
	for _, u := range uses {
		switch m, ok := u.match(b); {
		case !ok:
		case m.ParityIgnored:
			mended = append(mended, m)
		default:
			all = append(all, m)
		}
	}
	return append(all, mended...)
}

// Identify returns the first of the site's formats that reads b with a facility
// of the site, or else the first that reads it; false says that none does. A
// parity is ignored only where no format reads b as it is, of whatever facility:
// to mend a sound card would make it another one. Beyond that the site's order
// decides between several, and nothing else: that a card of those bits is known
// must not make one reading likelier than another.
func Identify(uses []Use, b Bits) (Match, bool) {
	all := Matches(uses, b)
	if len(all) == 0 {
		return Match{}, false
	}
	for _, m := range all {
		if m.ParityIgnored == all[0].ParityIgnored && !m.WrongFacility {
			return m, true
		}
	}
	return all[0], true
}
