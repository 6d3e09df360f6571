package delta

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"

	"latchkey/access"
)

// A Hash is the SHA-256 of a payload's bytes: of the payload and not of the
// envelope, because one payload may be signed more than once. The zero Hash
// means "no payload" and has the empty text.
type Hash [sha256.Size]byte

// HashOf is the hash of payload.
func HashOf(payload []byte) Hash { return sha256.Sum256(payload) }

// strict64 takes no text that it would not write itself.
var strict64 = base64.RawURLEncoding.Strict()

// String is the text of h: base64url without padding, 43 characters, or
// nothing for the zero Hash.
func (h Hash) String() string {
	if h == (Hash{}) {
		return ""
	}
	return strict64.EncodeToString(h[:])
}

// MarshalText writes what String returns.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText writes, and nothing else.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*h = Hash{}
		return nil
	}
	var got Hash
	if len(text) != strict64.EncodedLen(len(got)) {
		return fmt.Errorf("hash of %d characters, want %d or none", len(text), strict64.EncodedLen(len(got)))
	}
	if _, err := strict64.Decode(got[:], text); err != nil {
		return fmt.Errorf("hash: %w", err)
	}
	if got == (Hash{}) {
		return errors.New("hash of zeros, want no text for it")
	}
	*h = got
	return nil
}

// A Digest is the sum, modulo 2^256, of one SHA-256 for each record held: a
// big-endian number. The order of the records does not matter, and a change
// costs one subtraction and one addition, so both ends keep it as they go. It
// finds faults, not forgery: what is authentic is said by the signature.
type Digest [sha256.Size]byte

// Add adds the record that ref names. record is its canonical bytes; they are
// not kept.
func (d *Digest) Add(ref access.Ref, record []byte) { d.change(bits.Add64, ref, record) }

// Sub takes away what Add added for the same ref and record.
func (d *Digest) Sub(ref access.Ref, record []byte) { d.change(bits.Sub64, ref, record) }

// change has op, bits.Add64 or bits.Sub64, work on d and the record's term.
func (d *Digest) change(op func(x, y, carry uint64) (result, carryOut uint64), ref access.Ref, record []byte) {
	t := term(ref, record)
	var carry uint64
	for i := len(d) - 8; i >= 0; i -= 8 {
		var word uint64
		word, carry = op(binary.BigEndian.Uint64(d[i:]), binary.BigEndian.Uint64(t[i:]), carry)
		binary.BigEndian.PutUint64(d[i:], word)
	}
}

// term is SHA-256(kind 0x00 key 0x00 record). No kind and no key in a message
// has a zero byte, so two different records cannot make the same input.
func term(ref access.Ref, record []byte) [sha256.Size]byte {
	b := make([]byte, 0, 512) // most records fit, on the stack
	b = append(b, ref.Kind...)
	b = append(b, 0)
	b = append(b, ref.Key...)
	b = append(b, 0)
	return sha256.Sum256(append(b, record...))
}

// String is the text of d: 64 hexadecimal digits, in lower case.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText writes what String returns.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes, and nothing else.
func (d *Digest) UnmarshalText(text []byte) error {
	var got Digest
	if len(text) != hex.EncodedLen(len(got)) {
		return fmt.Errorf("digest of %d characters, want %d", len(text), hex.EncodedLen(len(got)))
	}
	for _, c := range text {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return fmt.Errorf("digest: %q, want lower case hexadecimal digits", c)
		}
	}
	if _, err := hex.Decode(got[:], text); err != nil {
		return fmt.Errorf("digest: %w", err)
	}
	*d = got
	return nil
}
