package wiegand

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"math/big"
	"slices"
	"strings"
)

// A Fault is one thing wrong with the description of a format.
type Fault struct {
	Path string // where: such as "fields.card.length" or "parity[1].over"
	Text string // what is there, and what is wanted
}

// A FormatError has all faults of a format's description. It is an ErrFormat.
type FormatError struct {
	Name   string
	Faults []Fault // at least one
}

// Error names the format and all its faults on one line.
func (e *FormatError) Error() string {
	var texts []string
	for _, f := range e.Faults {
		texts = append(texts, f.Path+": "+f.Text)
	}
	return fmt.Sprintf("%v: %s: %s", ErrFormat, cmp.Or(e.Name, "without a name"), strings.Join(texts, "; "))
}

// Is reports that e is an ErrFormat.
func (e *FormatError) Is(target error) bool { return target == ErrFormat }

// A compiler checks a format and makes its program.
type compiler struct {
	f      *Format
	p      program
	owner  []string // of each bit: what stands there
	faults []Fault
}

// compile checks f, fills in what it leaves out, and makes its program.
func (f *Format) compile() error {
	c := &compiler{f: f}
	c.check(isName(f.Name), "name", "got %q, want 1 to %d letters, digits, _ and -, one letter at least", f.Name, maxName)
	for i, alias := range f.Aliases {
		c.check(isAlias(alias), fmt.Sprintf("aliases[%d]", i), "got %q, want 1 to %d printable characters without blanks around them", alias, maxName)
	}
	if c.check(f.Bits >= 1 && f.Bits <= MaxBits, "bits", "got %d, want 1 to %d", f.Bits, MaxBits) {
		c.body()
	}
	if len(c.faults) > 0 {
		return &FormatError{f.Name, c.faults}
	}
	slices.SortFunc(c.p.fields, func(a, b progField) int { return cmp.Compare(a.name, b.name) })
	f.prog = c.p
	return nil
}

func (c *compiler) body() {
	if len(c.f.Layout) > 0 {
		c.layout()
		return
	}
	n := (c.f.Bits + 63) / 64
	c.owner = make([]string, c.f.Bits)
	c.p.fixedMask, c.p.fixedValue, c.p.spare = make([]uint64, n), make([]uint64, n), make([]uint64, n)
	c.check(len(c.f.Fields) > 0, "fields", "is empty: want one at least")
	for _, name := range slices.Sorted(maps.Keys(c.f.Fields)) {
		c.field(name)
	}
	for i, fb := range c.f.Fixed {
		c.fixed(fmt.Sprintf("fixed[%d]", i), fb)
	}
	for i, pa := range c.f.Parity {
		c.parity(fmt.Sprintf("parity[%d]", i), pa)
	}
	c.checksum()
	for i, owner := range c.owner {
		if owner == "" {
			c.p.spare[i/64] |= 1 << (63 - i%64)
		}
	}
}

// maxName is the longest name of a format, field or alias, in characters.
const maxName = 64

// isName takes what can stand before the colon of a card number, such as
// "H10301:12-345", and is no number itself.
func isName(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	s = strings.ToLower(s)
	return len(s) <= maxName && strings.ContainsAny(s, letters) && strings.Trim(s, letters+"0123456789_-") == "" && s[0] != '-'
}

func isAlias(s string) bool {
	return s != "" && len(s) <= maxName && s == strings.TrimSpace(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7F })
}

func (c *compiler) bad(path, format string, args ...any) {
	c.faults = append(c.faults, Fault{path, fmt.Sprintf(format, args...)})
}

func (c *compiler) check(ok bool, path, format string, args ...any) bool {
	if !ok {
		c.bad(path, format, args...)
	}
	return ok
}

// take gives bit i to what. A bit belongs to one thing only, or encoding would
// depend on the order of fields.
func (c *compiler) take(i int, what, path string) bool {
	if i < 0 || i >= c.f.Bits {
		c.bad(path, "bit %d, want 0 to %d", i, c.f.Bits-1)
		return false
	}
	if c.owner[i] != "" {
		c.bad(path, "bit %d belongs to %s already", i, c.owner[i])
		return false
	}
	c.owner[i] = what
	return true
}

func (c *compiler) field(name string) {
	fd, path := c.f.Fields[name], "fields."+name
	c.check(isName(name), path, "got the name %q, want letters, digits, _ and -, one letter at least", name)
	fd.Encoding = cmp.Or(fd.Encoding, EncodingBinary)
	if len(fd.Order) > 0 {
		c.check(fd.Start == 0 && (fd.Length == 0 || fd.Length == len(fd.Order)), path+".order", "stands beside start and length: want one or the other")
		fd.Length = len(fd.Order)
	}
	switch {
	case fd.Encoding != EncodingBinary && fd.Encoding != EncodingBCD:
		c.bad(path+".encoding", "got %q, want %s or %s", fd.Encoding, EncodingBinary, EncodingBCD)
		return
	case !c.check(fd.Length >= 1 && fd.Length <= c.f.Bits, path+".length", "got %d, want 1 to %d", fd.Length, c.f.Bits):
		return
	case fd.Encoding == EncodingBCD && !c.check(fd.Length%4 == 0 && len(fd.Order) == 0, path+".length", "got %d scattered or in a row, want bcd in whole digits of 4 bits in a row", fd.Length):
		return
	case !c.place(&fd, path), !c.limit(&fd, path):
		return
	}
	c.f.Fields[name] = fd
	if fd.Wide() {
		c.p.wide = append(c.p.wide, newWideField(name, fd))
		return
	}
	c.p.fields = append(c.p.fields, progField{name, fd.Start, fd.Length, fd.Order, fd.Encoding, fd.Max})
}

// place takes the field's bits, up to the first that it cannot have.
func (c *compiler) place(fd *Field, path string) bool {
	for i := range fd.Length {
		at, where := fd.Start+i, path+".start"
		if len(fd.Order) > 0 {
			at, where = fd.Order[i], fmt.Sprintf("%s.order[%d]", path, i)
		}
		if !c.take(at, "field "+path[len("fields."):], where) {
			return false
		}
	}
	return true
}

// limit fills in the field's largest number, or checks the one that is there.
func (c *compiler) limit(fd *Field, path string) bool {
	most := fd.limit()
	want := fd.WideMax
	switch {
	case want != nil:
	case fd.Max == 0: // not given
		want = most
	default:
		want = new(big.Int).SetUint64(fd.Max)
	}
	if !c.check(want.Cmp(most) <= 0, path+".max", "%s does not fit %d bits in %s, want at most %s", want, fd.Length, fd.Encoding, most) {
		return false
	}
	fd.Max, fd.WideMax = math.MaxUint64, want
	if !fd.Wide() {
		fd.Max, fd.WideMax = want.Uint64(), nil
	}
	return true
}

func (c *compiler) fixed(path string, fb FixedBit) {
	if !c.check(fb.Value <= 1, path+".value", "got %d, want 0 or 1", fb.Value) || !c.take(fb.Bit, "a fixed bit", path+".bit") {
		return
	}
	at := uint64(1) << (63 - fb.Bit%64)
	c.p.fixedMask[fb.Bit/64] |= at
	c.p.fixedValue[fb.Bit/64] |= at * uint64(fb.Value)
}

func (c *compiler) parity(path string, pa Parity) {
	if !c.check(pa.Type == "even" || pa.Type == "odd", path+".type", "got %q, want even or odd", pa.Type) || !c.take(pa.Bit, "a parity", path+".bit") {
		return
	}
	var mask words
	mask.set(pa.Bit, 1)
	for i, bit := range pa.Over {
		if !c.check(bit >= 0 && bit < c.f.Bits && mask.bit(bit) == 0, fmt.Sprintf("%s.over[%d]", path, i), "covers bit %d, want each of 0 to %d once and not the parity itself", bit, c.f.Bits-1) {
			return
		}
		mask.set(bit, 1)
	}
	// One that covers a later one would be undone by it.
	for _, before := range c.p.parity {
		if before.mask[pa.Bit/64]>>(63-pa.Bit%64)&1 == 1 {
			c.bad(path+".bit", "the parity at bit %d covers bit %d: want it after this one", before.bit, pa.Bit)
		}
	}
	pp := progParity{bit: pa.Bit, mask: slices.Clone(mask[:len(c.p.spare)])}
	if pa.Type == "odd" {
		pp.odd = 1
	}
	c.p.parity = append(c.p.parity, pp)
}

func (c *compiler) checksum() {
	sum := c.f.Checksum
	if sum == nil {
		return
	}
	size, ok := map[string]int{"xor8": 8, "xor8-nof": 8, "xor4": 4, "complement4": 4}[sum.Type]
	if !c.check(ok, "checksum.type", "got %q, want xor8, xor8-nof, xor4 or complement4", sum.Type) {
		return
	}
	whole := len(sum.Over) == 2 && sum.Over[0] >= 0 && sum.Over[1] > sum.Over[0] && sum.Over[1] <= c.f.Bits && (sum.Over[1]-sum.Over[0])%size == 0
	if !c.check(whole, "checksum.over", "got %s, want whole groups of %d bits within %d", sum.span(), size, c.f.Bits) {
		return
	}
	c.check(sum.Type != "complement4" || sum.Over[1]-sum.Over[0] == size, "checksum.over", "got %s, want one group of %d bits for complement4", sum.span(), size)
	for i := range size {
		if !c.take(sum.At+i, "the checksum", "checksum.at") {
			return
		}
		if !c.check(sum.At+i < sum.Over[0] || sum.At+i >= sum.Over[1], "checksum.at", "bit %d is one that it covers", sum.At+i) {
			return
		}
	}
	for _, pa := range c.f.Parity { // the checksum is set before the parities
		c.check(pa.Bit < sum.Over[0] || pa.Bit >= sum.Over[1], "checksum.over", "covers the parity at bit %d, which is set after it", pa.Bit)
	}
	c.p.sum = sum
}

// span is what the checksum covers, for people.
func (c *Checksum) span() string {
	if len(c.Over) != 2 {
		return fmt.Sprintf("%d numbers", len(c.Over))
	}
	return fmt.Sprintf("bits %d to %d", c.Over[0], c.Over[1]-1)
}
