package wiegand

import "fmt"

// PACS returns the bits as HID's software and wallet passes carry them: a byte
// that counts the pad bits, 0 to 7, and then the bits left aligned, the pad
// bits 0. It is empty for the zero Bits.
func (b Bits) PACS() []byte {
	if b.n == 0 {
		return nil
	}
	return append([]byte{byte(len(b.data)*8 - b.n)}, b.data...)
}

// ParsePACS reads the form that PACS writes, and no other: pad bits that are
// not 0 are an error, because they tell of a wrong count. It copies p.
func ParsePACS(p []byte) (Bits, error) {
	if len(p) < 2 {
		return Bits{}, fmt.Errorf("%w: PACS of %d bytes, want a pad count and 1 byte at least", ErrBits, len(p))
	}
	pad, left := int(p[0]), p[1:]
	if pad > 7 {
		return Bits{}, fmt.Errorf("%w: PACS with a pad count of %d, want 0 to 7", ErrBits, pad)
	}
	if left[len(left)-1]&(1<<pad-1) != 0 {
		return Bits{}, fmt.Errorf("%w: PACS whose last %d bits are not 0, want 0 in the pad", ErrBits, pad)
	}
	return MakeBits(len(left)*8-pad, left)
}
