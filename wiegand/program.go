package wiegand

import (
	"math/bits"
	"strings"
)

// A program is a format made ready to run.
type program struct {
	fields     []progField // by name
	wide       []wideField // by name
	parity     []progParity
	fixedMask  []uint64 // as many words as the format has
	fixedValue []uint64
	spare      []uint64
	sum        *Checksum
	frame      []progChar // FASC-N: the characters that are no digits of a field
	chars      int        // FASC-N: all characters
}

type progParity struct {
	bit  int
	mask []uint64 // the bits covered and the parity bit itself
	odd  uint64   // how many ones, mod 2
}

// names are the fields' names for people.
func (p *program) names() string {
	var names []string
	for i := range p.fields {
		names = append(names, p.fields[i].name)
	}
	for i := range p.wide {
		names = append(names, p.wide[i].name)
	}
	return strings.Join(names, ", ")
}

// read returns the fields of 64 bits or less.
func (p *program) read(w *words) map[string]uint64 {
	m := make(map[string]uint64, len(p.fields))
	for i := range p.fields {
		m[p.fields[i].name], _ = p.fields[i].get(w)
	}
	return m
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
	p.setParity(w)
	if p.chars > 0 {
		for _, c := range p.frame {
			fascnPut(w, c.at, c.value)
		}
		fascnPut(w, (p.chars-1)*fascnCharBits, p.lrc(w))
	}
}

// setParity sets the parity bits, which are 0 so far.
func (p *program) setParity(w *words) {
	for i := range p.parity {
		pa := &p.parity[i]
		w.set(pa.bit, pa.ones(w)^pa.odd)
	}
}

// mendParity sets the parity bits anew, whatever they were.
func (p *program) mendParity(w *words) {
	for i := range p.parity {
		w[p.parity[i].bit/64] &^= 1 << (63 - p.parity[i].bit%64)
	}
	p.setParity(w)
}

// sound reports that no check fails and no field is past its limit. Bits
// outside all fields are no check: spare says whether one is set.
func (p *program) sound(w *words) (ok, spare bool) {
	var left uint64
	for i := range p.fixedMask {
		if (w[i]^p.fixedValue[i])&p.fixedMask[i] != 0 {
			return false, false
		}
		left |= w[i] & p.spare[i]
	}
	for i := range p.parity {
		if p.parity[i].ones(w) != p.parity[i].odd {
			return false, false
		}
	}
	if p.sum != nil && w.get(p.sum.At, p.sum.size()) != p.sum.value(w) {
		return false, false
	}
	if p.chars > 0 && (len(p.badChars(w)) > 0 || len(p.frameFaults(w)) > 0 || p.badLRC(w)) {
		return false, false
	}
	return p.inRange(w), left != 0
}

func (p *program) inRange(w *words) bool {
	for i := range p.fields {
		if v, ok := p.fields[i].get(w); !ok || v > p.fields[i].max {
			return false
		}
	}
	for i := range p.wide {
		if v, ok := p.wide[i].get(w); !ok || v.Cmp(p.wide[i].max) > 0 {
			return false
		}
	}
	return true
}

// inspect finds all faults, where sound stops at the first.
func (p *program) inspect(w *words) Reading {
	r := Reading{Fields: p.read(w), Wide: p.readWide(w), Range: p.outOfRange(w)}
	for i := range p.parity {
		if p.parity[i].ones(w) != p.parity[i].odd {
			r.Parity = append(r.Parity, p.parity[i].bit)
		}
	}
	for i := range p.fixedMask {
		r.Fixed = appendOnes(r.Fixed, i*64, (w[i]^p.fixedValue[i])&p.fixedMask[i])
		r.Spare = appendOnes(r.Spare, i*64, w[i]&p.spare[i])
	}
	if p.sum != nil {
		r.Checksum = w.get(p.sum.At, p.sum.size()) != p.sum.value(w)
	}
	if p.chars > 0 {
		r.Parity, r.Fixed, r.Checksum = p.badChars(w), p.frameFaults(w), p.badLRC(w)
	}
	return r
}

func (p *program) outOfRange(w *words) (names []string) {
	for i := range p.fields {
		if v, ok := p.fields[i].get(w); !ok || v > p.fields[i].max {
			names = append(names, p.fields[i].name)
		}
	}
	for i := range p.wide {
		if v, ok := p.wide[i].get(w); !ok || v.Cmp(p.wide[i].max) > 0 {
			names = append(names, p.wide[i].name)
		}
	}
	return names
}

// appendOnes appends the positions of the ones of x, whose top bit is at base.
func appendOnes(list []int, base int, x uint64) []int {
	for x != 0 {
		i := bits.LeadingZeros64(x)
		list = append(list, base+i)
		x &^= 1 << (63 - i)
	}
	return list
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
