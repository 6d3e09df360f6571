package wiegand

import "encoding/binary"

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
