package wiegand

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"strings"
)

// words holds a card left aligned: bit 0 is the top bit of words[0].
type words [MaxBits / 64]uint64

func (w *words) load(b Bits) {
	i := 0
	for ; len(b.data)-i >= 8; i += 8 {
		s := b.data[i : i+8]
		w[i/8] = uint64(s[0])<<56 | uint64(s[1])<<48 | uint64(s[2])<<40 | uint64(s[3])<<32 |
			uint64(s[4])<<24 | uint64(s[5])<<16 | uint64(s[6])<<8 | uint64(s[7])
	}
	for shift := 56; i < len(b.data); i, shift = i+1, shift-8 {
		w[i/8] |= uint64(b.data[i]) << shift
	}
}

// bits makes a card of the first n bits; the others must be 0.
func (w *words) bits(n int) Bits {
	var b [MaxBits / 8]byte
	for i := range (n + 63) / 64 {
		binary.BigEndian.PutUint64(b[i*8:], w[i])
	}
	return Bits{n, string(b[:(n+7)/8])}
}

func (w *words) bit(i int) uint64 { return w[i/64] >> (63 - i%64) & 1 }

func (w *words) set(i int, v uint64) { w[i/64] |= v & 1 << (63 - i%64) }

// get returns the n bits from start, 1 to 64 of them.
func (w *words) get(start, n int) uint64 {
	i, off := start/64, start%64
	v := w[i] << off
	if off+n > 64 {
		v |= w[i+1] >> (64 - off)
	}
	return v >> (64 - n)
}

// or sets the n bits from start, which are 0 so far, to v, which fits.
func (w *words) or(start, n int, v uint64) {
	i, off := start/64, start%64
	v <<= 64 - n
	w[i] |= v >> off
	if off+n > 64 {
		w[i+1] |= v << (64 - off)
	}
}

// A program is a format made ready to run.
type program struct {
	unsupported error
	words       int // words in use
	fields      []progField
	parity      []progParity
	fixedMask   []uint64
	fixedValue  []uint64
	spare       []uint64
	sum         *Checksum
	frame       []progChar // FASC-N: the characters that are no digits of a field
	chars       int        // FASC-N: all characters
}

type progField struct {
	name     string
	start    int
	length   int
	order    []int
	encoding string
	max      uint64
}

type progParity struct {
	bit  int
	mask []uint64 // the bits covered and the parity bit itself
	odd  uint64   // how many ones, mod 2
}

// A progChar is a sentinel or separator at a fixed place.
type progChar struct {
	at    int
	value uint64
}

// The characters of a FASC-N that are no digits (TIG SCEPACS 2.2).
const (
	fascnStart     = 0xB
	fascnSeparator = 0xD
	fascnEnd       = 0xF
	fascnCharBits  = 5
)

// compile checks f and makes its program.
func (f *Format) compile() error {
	if strings.TrimSpace(f.Name) == "" {
		return fmt.Errorf("%w: it has no name", ErrFormat)
	}
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s: %s", ErrFormat, f.Name, fmt.Sprintf(format, args...))
	}
	if f.Bits < 1 || f.Bits > MaxBits {
		return bad("bits: got %d, want 1 to %d", f.Bits, MaxBits)
	}
	p := program{words: (f.Bits + 63) / 64}
	if (f.Checksum != nil && f.Checksum.Type == "fascn") != (len(f.Layout) > 0) {
		return bad("layout and checksum fascn go together")
	}
	if len(f.Layout) > 0 {
		if len(f.Fields)+len(f.Parity)+len(f.Fixed) > 0 {
			return bad("a layout has its own fields, parities and fixed characters")
		}
		if err := f.compileLayout(&p); err != nil {
			return bad("%v", err)
		}
		f.prog = p
		return nil
	}

	// Each bit belongs to one thing only, or encoding would depend on the order
	// of fields.
	var used words
	take := func(i int, what string) error {
		if i < 0 || i >= f.Bits {
			return bad("%s: bit %d, want 0 to %d", what, i, f.Bits-1)
		}
		if used.bit(i) == 1 {
			return bad("%s: bit %d is in use already", what, i)
		}
		used.set(i, 1)
		return nil
	}
	if len(f.Fields) == 0 {
		return bad("it has no fields")
	}
	for name, fd := range f.Fields {
		if fd.Encoding == "" {
			fd.Encoding = EncodingBinary
			f.Fields[name] = fd
		}
		positions := fd.Order
		if len(positions) == 0 {
			if fd.Length < 1 || fd.Length > f.Bits {
				return bad("field %s: length %d, want 1 to %d", name, fd.Length, f.Bits)
			}
			for i := range fd.Length {
				if err := take(fd.Start+i, "field "+name); err != nil {
					return err
				}
			}
		}
		for _, i := range positions {
			if err := take(i, "field "+name); err != nil {
				return err
			}
		}
		limit := uint64(math.MaxUint64)
		if fd.Length < 64 {
			limit = 1<<fd.Length - 1
		}
		switch {
		case fd.Encoding == EncodingBCD && (fd.Length%4 != 0 || len(fd.Order) > 0):
			return bad("field %s: bcd wants whole digits of 4 bits in a row", name)
		case fd.Encoding == EncodingBCD:
			limit = decimalLimit(fd.Length / 4)
		case fd.Encoding != EncodingBinary:
			return bad("field %s: encoding %q, want binary or bcd", name, fd.Encoding)
		}
		if fd.Length > 64 {
			p.unsupported = fmt.Errorf("wiegand: %s: %w: field %s has %d bits, at most 64 are carried", f.Name, ErrUnsupported, name, fd.Length)
		} else if fd.Max > limit {
			if fd.Encoding != EncodingBCD || fd.Max != math.MaxUint64>>(64-fd.Length) {
				return bad("field %s: max %d does not fit its %d bits", name, fd.Max, fd.Length)
			}
			fd.Max = limit // the default of a field without max, in decimal digits
			f.Fields[name] = fd
		}
		p.fields = append(p.fields, progField{name, fd.Start, fd.Length, fd.Order, fd.Encoding, fd.Max})
	}
	slices.SortFunc(p.fields, func(a, b progField) int { return cmp.Compare(a.name, b.name) })

	p.fixedMask, p.fixedValue, p.spare = make([]uint64, p.words), make([]uint64, p.words), make([]uint64, p.words)
	var mask words
	for _, fb := range f.Fixed {
		if err := take(fb.Bit, "fixed"); err != nil {
			return err
		}
		if fb.Value > 1 {
			return bad("fixed bit %d: value %d, want 0 or 1", fb.Bit, fb.Value)
		}
		mask.set(fb.Bit, 1)
		p.fixedValue[fb.Bit/64] |= uint64(fb.Value) << (63 - fb.Bit%64)
	}
	copy(p.fixedMask, mask[:])

	for _, pa := range f.Parity {
		if err := take(pa.Bit, "parity"); err != nil {
			return err
		}
		if pa.Type != "even" && pa.Type != "odd" {
			return bad("parity bit %d: type %q, want even or odd", pa.Bit, pa.Type)
		}
		var mask words
		mask.set(pa.Bit, 1)
		for _, i := range pa.Over {
			if i < 0 || i >= f.Bits || mask.bit(i) == 1 {
				return bad("parity bit %d: covers bit %d, want each of 0 to %d once and not itself", pa.Bit, i, f.Bits-1)
			}
			mask.set(i, 1)
		}
		pp := progParity{bit: pa.Bit, mask: slices.Clone(mask[:p.words])}
		if pa.Type == "odd" {
			pp.odd = 1
		}
		// One that covers a later one would be undone by it.
		for _, before := range p.parity {
			if before.mask[pa.Bit/64]>>(63-pa.Bit%64)&1 == 1 {
				return bad("parity bit %d: covers bit %d, which is set after it", before.bit, pa.Bit)
			}
		}
		p.parity = append(p.parity, pp)
	}

	if c := f.Checksum; c != nil {
		size, ok := map[string]int{"xor8": 8, "xor8-nof": 8, "xor4": 4, "complement4": 4}[c.Type]
		if !ok {
			return bad("checksum: type %q, want xor8, xor8-nof, xor4, complement4 or fascn", c.Type)
		}
		if len(c.Over) != 2 || c.Over[0] < 0 || c.Over[1] <= c.Over[0] || c.Over[1] > f.Bits || (c.Over[1]-c.Over[0])%size != 0 ||
			c.Type == "complement4" && c.Over[1]-c.Over[0] != 4 {
			return bad("checksum: over %v, want whole groups of %d bits within %d", c.Over, size, f.Bits)
		}
		for i := range size {
			if err := take(c.At+i, "checksum"); err != nil {
				return err
			}
			if c.At+i >= c.Over[0] && c.At+i < c.Over[1] {
				return bad("checksum: it covers its own bit %d", c.At+i)
			}
		}
		for _, pa := range f.Parity { // the checksum is set before the parities
			if pa.Bit >= c.Over[0] && pa.Bit < c.Over[1] {
				return bad("checksum: it covers parity bit %d, which is set after it", pa.Bit)
			}
		}
		p.sum = c
	}
	for i := range f.Bits {
		if used.bit(i) == 0 {
			p.spare[i/64] |= 1 << (63 - i%64)
		}
	}
	f.prog = p
	return nil
}

// compileLayout makes the program of a FASC-N: characters of 4 data bits, least
// significant first, and an odd parity bit. It fills in f.Fields.
func (f *Format) compileLayout(p *program) error {
	f.Fields = map[string]Field{}
	at := 0
	for i, token := range f.Layout {
		name, _, isField := strings.Cut(token, ":")
		sentinel, isSentinel := map[string]uint64{"SS": fascnStart, "FS": fascnSeparator, "ES": fascnEnd}[token]
		switch {
		case isSentinel:
			p.frame = append(p.frame, progChar{at, sentinel})
			at += fascnCharBits
		case token == "LRC" && i == len(f.Layout)-1:
			at += fascnCharBits
		case isField:
			var digits int
			if _, err := fmt.Sscanf(token[len(name):], ":%d", &digits); err != nil || digits < 1 || digits > 19 {
				return fmt.Errorf("layout: %q, want NAME:DIGITS with 1 to 19 digits", token)
			}
			if _, twice := f.Fields[name]; twice {
				return fmt.Errorf("layout: field %q stands twice", name)
			}
			n := digits * fascnCharBits
			fd := Field{Start: at, Length: n, Encoding: EncodingFASCN, Max: decimalLimit(digits)}
			f.Fields[name] = fd
			p.fields = append(p.fields, progField{name, at, n, nil, EncodingFASCN, fd.Max})
			at += n
		default:
			return fmt.Errorf("layout: got %q, want SS, FS, ES, NAME:DIGITS, and LRC at the end", token)
		}
	}
	if at != f.Bits || f.Layout[len(f.Layout)-1] != "LRC" {
		return fmt.Errorf("layout: %d bits, want %d with an LRC at the end", at, f.Bits)
	}
	if len(f.Fields) == 0 {
		return fmt.Errorf("layout: it has no fields")
	}
	p.chars = at / fascnCharBits
	slices.SortFunc(p.fields, func(a, b progField) int { return cmp.Compare(a.name, b.name) })
	return nil
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

func (p *program) names() string {
	var names []string
	for _, f := range p.fields {
		names = append(names, f.name)
	}
	return strings.Join(names, ", ")
}

func (p *program) read(w *words) map[string]uint64 {
	m := make(map[string]uint64, len(p.fields))
	for i := range p.fields {
		m[p.fields[i].name], _ = p.fields[i].get(w)
	}
	return m
}

// get reads the field; ok is false for a digit above 9.
func (f *progField) get(w *words) (v uint64, ok bool) {
	ok = true
	switch {
	case f.encoding == EncodingFASCN:
		for at := f.start; at < f.start+f.length; at += fascnCharBits {
			d := fascnGet(w, at)
			ok = ok && d <= 9
			v = v*10 + d
		}
	case f.encoding == EncodingBCD:
		for at := f.start; at < f.start+f.length; at += 4 {
			d := w.get(at, 4)
			ok = ok && d <= 9
			v = v*10 + d
		}
	case f.order != nil:
		for _, i := range f.order {
			v = v<<1 | w.bit(i)
		}
	default:
		v = w.get(f.start, f.length)
	}
	return v, ok
}

// put writes v, which is at most f.max, into bits that are 0.
func (f *progField) put(w *words, v uint64) {
	switch {
	case f.encoding == EncodingFASCN:
		for at := f.start + f.length - fascnCharBits; at >= f.start; at -= fascnCharBits {
			fascnPut(w, at, v%10)
			v /= 10
		}
	case f.encoding == EncodingBCD:
		for at := f.start + f.length - 4; at >= f.start; at -= 4 {
			w.or(at, 4, v%10)
			v /= 10
		}
	case f.order != nil:
		for i := len(f.order) - 1; i >= 0; i-- {
			w.set(f.order[i], v&1)
			v >>= 1
		}
	default:
		w.or(f.start, f.length, v)
	}
}

// finish sets all that follows from the fields, in the order in which one
// depends on the other.
func (p *program) finish(w *words) {
	for i := range p.fixedValue {
		w[i] |= p.fixedValue[i]
	}
	if p.sum != nil {
		w.or(p.sum.At, p.sum.size(), p.sum.value(w))
	}
	for i := range p.parity {
		pa := &p.parity[i]
		w.set(pa.bit, pa.ones(w)^pa.odd) // the bit itself is 0 so far
	}
	if p.chars > 0 {
		for _, c := range p.frame {
			fascnPut(w, c.at, c.value)
		}
		fascnPut(w, (p.chars-1)*fascnCharBits, p.lrc(w))
	}
}

// sound reports whether all checks hold, without saying which does not.
func (p *program) sound(w *words) bool {
	for i := range p.fixedMask {
		if w[i]&p.fixedMask[i] != p.fixedValue[i] || w[i]&p.spare[i] != 0 {
			return false
		}
	}
	for i := range p.parity {
		if p.parity[i].ones(w) != p.parity[i].odd {
			return false
		}
	}
	if p.sum != nil && w.get(p.sum.At, p.sum.size()) != p.sum.value(w) {
		return false
	}
	if p.chars > 0 && (len(p.badChars(w)) > 0 || p.badFrame(w) || fascnGet(w, (p.chars-1)*fascnCharBits) != p.lrc(w)) {
		return false
	}
	for i := range p.fields {
		if v, ok := p.fields[i].get(w); !ok || v > p.fields[i].max {
			return false
		}
	}
	return true
}

func (f *Format) inspect(w *words) Reading {
	p := &f.prog
	r := Reading{Fields: p.read(w)}
	for i := range p.parity {
		if p.parity[i].ones(w) != p.parity[i].odd {
			r.Parity = append(r.Parity, p.parity[i].bit)
		}
	}
	for i := range p.fixedMask {
		for x := (w[i] ^ p.fixedValue[i]) & p.fixedMask[i]; x != 0; x &^= 1 << (63 - bits.LeadingZeros64(x)) {
			r.Fixed = append(r.Fixed, i*64+bits.LeadingZeros64(x))
		}
		for x := w[i] & p.spare[i]; x != 0; x &^= 1 << (63 - bits.LeadingZeros64(x)) {
			r.Spare = append(r.Spare, i*64+bits.LeadingZeros64(x))
		}
	}
	for i := range p.fields {
		if v, ok := p.fields[i].get(w); !ok || v > p.fields[i].max {
			r.Range = append(r.Range, p.fields[i].name)
		}
	}
	if p.sum != nil {
		r.Checksum = w.get(p.sum.At, p.sum.size()) != p.sum.value(w)
	}
	if p.chars > 0 {
		r.Parity = p.badChars(w)
		for _, c := range p.frame {
			if fascnGet(w, c.at) != c.value {
				r.Fixed = append(r.Fixed, c.at)
			}
		}
		r.Checksum = fascnGet(w, (p.chars-1)*fascnCharBits) != p.lrc(w)
	}
	return r
}

// ones counts the ones that the parity is about, mod 2.
func (pa *progParity) ones(w *words) uint64 {
	var x uint64
	for i, m := range pa.mask {
		x ^= w[i] & m
	}
	return uint64(bits.OnesCount64(x)) & 1
}

// size is the length of the checksum in bits.
func (c *Checksum) size() int {
	if c.Type == "xor8" || c.Type == "xor8-nof" {
		return 8
	}
	return 4
}

// value works out the checksum from the bits it covers.
func (c *Checksum) value(w *words) uint64 {
	var x uint64
	size := c.size()
	for at := c.Over[0]; at < c.Over[1]; at += size {
		x ^= w.get(at, size)
	}
	switch {
	case c.Type == "complement4":
		x ^= 0xF
	case c.Type == "xor8-nof" && x&0xF == 0xF: // BAFE40: never a low nibble of F
		x = (x + 1) & 0xFF
	}
	return x
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

func (p *program) badFrame(w *words) bool {
	for _, c := range p.frame {
		if fascnGet(w, c.at) != c.value {
			return true
		}
	}
	return false
}

// lrc is the XOR of all characters but the last.
func (p *program) lrc(w *words) (x uint64) {
	for i := range p.chars - 1 {
		x ^= fascnGet(w, i*fascnCharBits)
	}
	return x
}
