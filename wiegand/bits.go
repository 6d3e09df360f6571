package wiegand

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
)

// MaxBits is the longest card that the system carries: OSDP's card data format
// function promises 1024 bits (PDCAP function 3).
const MaxBits = 1024

// ErrBits says that a text or a byte string is no card's bits.
var ErrBits = errors.New("wiegand: not a card's bits")

// Bits is what a reader read: 1 to MaxBits bits, in the order of the wire. Two
// cards are the same card if and only if their Bits are equal: leading zeros
// and the length count. Bits is comparable, a map key, and prints as its
// length alone, because card bits open doors.
type Bits struct {
	n    int
	data string // left aligned, unused low bits of the last byte zero
}

// MakeBits takes n bits, left aligned as OSDP carries them (first bit received
// is the most significant bit of left[0]). Bits past n are ignored, as readers
// fill them with anything. It copies left.
func MakeBits(n int, left []byte) (Bits, error) {
	if n < 1 || n > MaxBits {
		return Bits{}, fmt.Errorf("%w: length %d, want 1 to %d", ErrBits, n, MaxBits)
	}
	size := (n + 7) / 8
	if len(left) < size {
		return Bits{}, fmt.Errorf("%w: %d bits in %d bytes, want %d bytes", ErrBits, n, len(left), size)
	}
	b := slices.Clone(left[:size])
	if over := size*8 - n; over > 0 {
		b[size-1] &^= 1<<over - 1
	}
	return Bits{n, string(b)}, nil
}

// ParseBits reads the form that Text writes, such as "26:1FF9090": the length,
// and the bits as a hexadecimal number whose top bit is the first bit received.
// Upper and lower case are both taken, and leading zeros more or fewer.
func ParseBits(s string) (Bits, error) {
	length, digits, ok := strings.Cut(s, ":")
	n, err := strconv.Atoi(length)
	if !ok || err != nil || n < 1 || n > MaxBits || strconv.Itoa(n) != length {
		return Bits{}, fmt.Errorf("%w: want LENGTH:HEX with a length of 1 to %d", ErrBits, MaxBits)
	}
	if digits == "" {
		return Bits{}, fmt.Errorf("%w: want hexadecimal digits after %q", ErrBits, length+":")
	}
	// Before the length: a character too many, such as the x of 0x, is no number.
	for i, c := range digits {
		if _, ok := hexDigit(c); !ok {
			return Bits{}, fmt.Errorf("%w: got %q as digit %d, want hexadecimal digits after %q", ErrBits, c, i+1, length+":")
		}
	}
	digits = strings.TrimLeft(digits, "0")
	if len(digits) > (n+3)/4 {
		return Bits{}, fmt.Errorf("%w: the number needs more than the %d bits it claims", ErrBits, n)
	}
	var w words
	at := n // the digits go in from the last one
	for i := len(digits) - 1; i >= 0; i-- {
		d, _ := hexDigit(rune(digits[i]))
		size := min(4, at) // the top digit may have fewer bits
		if d>>size != 0 {
			return Bits{}, fmt.Errorf("%w: the number needs more than the %d bits it claims", ErrBits, n)
		}
		at -= size
		w.or(at, size, d)
	}
	return w.bits(n), nil
}

func hexDigit(c rune) (uint64, bool) {
	switch {
	case '0' <= c && c <= '9':
		return uint64(c - '0'), true
	case 'a' <= c && c <= 'f':
		return uint64(c-'a') + 10, true
	case 'A' <= c && c <= 'F':
		return uint64(c-'A') + 10, true
	}
	return 0, false
}

// Len is the number of bits, 0 for the zero Bits.
func (b Bits) Len() int { return b.n }

// Bytes returns the bits left aligned in a new slice of (Len+7)/8 bytes.
func (b Bits) Bytes() []byte { return []byte(b.data) }

// Bit reports bit i, 0 being the first received. It panics for an i outside
// 0 to Len-1, as a slice does.
func (b Bits) Bit(i int) bool {
	if i < 0 || i >= b.n {
		panic("wiegand: bit " + strconv.Itoa(i) + " of " + strconv.Itoa(b.n))
	}
	return b.data[i/8]>>(7-i%8)&1 == 1
}

// ReverseBytes returns the bits with the order of bytes turned round, for
// readers that send a serial number from its other end. It reports false for a
// length that is not a whole number of bytes.
func (b Bits) ReverseBytes() (Bits, bool) {
	if b.n == 0 || b.n%8 != 0 {
		return Bits{}, false
	}
	r := []byte(b.data)
	slices.Reverse(r)
	return Bits{b.n, string(r)}, true
}

// Hex returns the bits as an upper-case hexadecimal number, top bit first
// received, with as many digits as the length needs.
func (b Bits) Hex() string {
	if b.n == 0 {
		return ""
	}
	var w words
	w.load(b)
	digits := make([]byte, (b.n+3)/4)
	for i, end := len(digits)-1, b.n; i >= 0; i, end = i-1, end-4 {
		size := min(4, end)
		digits[i] = "0123456789ABCDEF"[w.get(end-size, size)]
	}
	return string(digits)
}

// Text returns the whole card as "26:1FF9090". Call it only to store or send a
// card, never to show one.
func (b Bits) Text() string {
	if b.n == 0 {
		return ""
	}
	return strconv.Itoa(b.n) + ":" + b.Hex()
}

// MarshalText is Text, for records that are stored and sent.
func (b Bits) MarshalText() ([]byte, error) { return []byte(b.Text()), nil }

// UnmarshalText is ParseBits; the empty text is the zero Bits.
func (b *Bits) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*b = Bits{}
		return nil
	}
	*b, err = ParseBits(string(text))
	return err
}

// String hides the bits.
func (b Bits) String() string { return fmt.Sprintf("card of %d bits (hidden)", b.n) }

// GoString hides the bits.
func (b Bits) GoString() string { return b.String() }

// Format hides the bits from every verb: fmt would print the inside for those
// that String does not serve, such as %d.
func (b Bits) Format(s fmt.State, _ rune) { io.WriteString(s, b.String()) }

// LogValue hides the bits from slog, which would otherwise use MarshalText.
func (b Bits) LogValue() slog.Value { return slog.StringValue(b.String()) }
