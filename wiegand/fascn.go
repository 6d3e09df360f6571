package wiegand

import (
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// The characters of a FASC-N that are no digits (TIG SCEPACS 2.2).
const (
	fascnStart     = 0xB
	fascnSeparator = 0xD
	fascnEnd       = 0xF
	fascnCharBits  = 5
)

// A progChar is a sentinel or separator at a fixed place.
type progChar struct {
	at    int
	value uint64
}

// layout makes the program of a FASC-N: characters of 4 data bits, least
// significant first, and an odd parity bit. It fills in the format's fields.
func (c *compiler) layout() {
	f := c.f
	if len(f.Fields)+len(f.Parity)+len(f.Fixed) > 0 {
		c.bad("layout", "it has its own fields, parities and fixed characters")
		return
	}
	if f.Checksum == nil || f.Checksum.Type != "fascn" {
		c.bad("layout", "it wants a checksum of type fascn")
		return
	}
	f.Fields = map[string]Field{}
	at := 0
	for i, token := range f.Layout {
		sentinel, isSentinel := map[string]uint64{"SS": fascnStart, "FS": fascnSeparator, "ES": fascnEnd}[token]
		switch {
		case isSentinel:
			c.p.frame = append(c.p.frame, progChar{at, sentinel})
			at += fascnCharBits
		case token == "LRC" && i == len(f.Layout)-1:
			at += fascnCharBits
		default:
			at = c.digits(token, at)
		}
	}
	if at != f.Bits || f.Layout[len(f.Layout)-1] != "LRC" {
		c.bad("layout", "%d bits, want %d with an LRC at the end", at, f.Bits)
	}
	if len(f.Fields) == 0 {
		c.bad("layout", "it has no fields")
	}
	c.p.chars = at / fascnCharBits
}

// digits adds the field NAME:DIGITS at the bit at, and returns the bit after it.
func (c *compiler) digits(token string, at int) int {
	name, count, ok := strings.Cut(token, ":")
	digits, err := strconv.Atoi(count)
	if !ok || err != nil || digits < 1 || digits > 19 { // 19 nines fit 64 bits
		c.bad("layout", "got %q, want SS, FS, ES, NAME:DIGITS with 1 to 19 digits, and LRC at the end", token)
		return at
	}
	if _, twice := c.f.Fields[name]; twice {
		c.bad("layout", "field %q stands twice", name)
		return at
	}
	fd := Field{Start: at, Length: digits * fascnCharBits, Encoding: EncodingFASCN, Max: decimalLimit(digits)}
	c.f.Fields[name] = fd
	c.p.fields = append(c.p.fields, progField{name, at, fd.Length, nil, EncodingFASCN, fd.Max})
	return at + fd.Length
}

// decimalLimit is the largest number of that many decimal digits that 64 bits
// hold.
func decimalLimit(digits int) uint64 {
	if digits > 19 {
		return math.MaxUint64
	}
	n := uint64(1)
	for range digits {
		n *= 10
	}
	return n - 1
}

// fascnGet returns the 4 data bits of the character at a bit position.
func fascnGet(w *words, at int) uint64 { return uint64(bits.Reverse8(uint8(w.get(at, 4))) >> 4) }

// fascnPut writes the character v with its odd parity.
func fascnPut(w *words, at int, v uint64) {
	c := uint64(bits.Reverse8(uint8(v)) >> 4)
	w.or(at, 4, c)
	w.set(at+4, uint64(bits.OnesCount64(c)+1))
}

// badChars returns the parity bits that do not match their character.
func (p *program) badChars(w *words) (bad []int) {
	for i := range p.chars {
		if bits.OnesCount64(w.get(i*fascnCharBits, fascnCharBits))%2 == 0 {
			bad = append(bad, i*fascnCharBits+4)
		}
	}
	return bad
}

// frameFaults returns the first bits of the sentinels and separators that are
// not there.
func (p *program) frameFaults(w *words) (bad []int) {
	for _, c := range p.frame {
		if fascnGet(w, c.at) != c.value {
			bad = append(bad, c.at)
		}
	}
	return bad
}

// badLRC reports that the last character is not the XOR of the others.
func (p *program) badLRC(w *words) bool { return fascnGet(w, (p.chars-1)*fascnCharBits) != p.lrc(w) }

// lrc is the XOR of all characters but the last.
func (p *program) lrc(w *words) (x uint64) {
	for i := range p.chars - 1 {
		x ^= fascnGet(w, i*fascnCharBits)
	}
	return x
}
