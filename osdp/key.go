package osdp

import (
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// ErrWeakKey means that a key is one that anybody would try first.
var ErrWeakKey = errors.New("osdp: weak key")

// A Key is a secure channel base key (SCBK), AES-128. It prints as nothing;
// Hex is the one way to see it.
type Key [16]byte

// DefaultKey is SCBK-D, which stands in the standard: whoever listens knows it.
// It is there to carry a first key to a PD in installation mode.
func DefaultKey() (k Key) {
	for i := range k {
		k[i] = 0x30 + byte(i)
	}
	return k
}

// NewKey draws a key from rand, which must be a CSPRNG: 16 bytes, and 16 more
// in the one case in 2^119 that they make a weak key.
func NewKey(rand io.Reader) (Key, error) {
	for {
		var k Key
		if _, err := io.ReadFull(rand, k[:]); err != nil {
			return Key{}, fmt.Errorf("osdp: new key: %w", err)
		}
		if k.Check() == nil {
			return k, nil
		}
	}
}

// ParseKey reads a key of 32 hexadecimal digits. It takes weak keys: see Check.
// Its errors do not carry the text.
func ParseKey(s string) (k Key, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(k) {
		return Key{}, fmt.Errorf("osdp: key of %d characters: want 32 hexadecimal digits", len(s))
	}
	return Key(b), nil
}

// Check refuses the keys that installers and attackers think of first, with an
// ErrWeakKey: SCBK-D, sixteen equal bytes, and bytes that count up or down. All
// 768 patterns were met in the field ("Badge of Shame", 2023).
func (k Key) Check() error {
	if k == DefaultKey() {
		return fmt.Errorf("%w: it is the standard's default key", ErrWeakKey)
	}
	step := k[1] - k[0]
	if step != 0 && step != 1 && step != 0xff {
		return nil
	}
	for i := 2; i < len(k); i++ {
		if k[i]-k[i-1] != step {
			return nil
		}
	}
	return fmt.Errorf("%w: its bytes follow a pattern", ErrWeakKey)
}

// Equal compares in constant time.
func (k Key) Equal(o Key) bool { return subtle.ConstantTimeCompare(k[:], o[:]) == 1 }

// Hex is the key itself: 32 digits. Call it only to store a key, sealed.
func (k Key) Hex() string { return hex.EncodeToString(k[:]) }

// String hides the key.
func (k Key) String() string { return "key (hidden)" }

// Format hides the key from every verb.
func (k Key) Format(s fmt.State, _ rune) { fmt.Fprint(s, k.String()) }

// MarshalText hides the key: whoever stores one says so, with Hex.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
