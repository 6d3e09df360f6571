package readerkeys

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// keySize is that of the site's cache key, in bytes.
const keySize = 32

// header begins each file: what it is, for people, and its version. It is
// authenticated with the rest.
const header = "latchkey reader keys 1\n"

// errBad says that a file is not what was once written.
var errBad = errors.New("it is damaged, or sealed with another cache.key")

// A box seals files with AES-256-GCM, by a key derived from the site's cache key
// (RFC 5869). Each seal takes 12 random bytes as its nonce, which holds for 2^32
// saves (NIST SP 800-38D §8.3).
type box struct{ aead cipher.AEAD }

func newBox(key []byte) (*box, error) {
	if len(key) != keySize {
		return nil, fmt.Errorf("readerkeys: key of %d bytes, want %d", len(key), keySize)
	}
	derived, err := hkdf.Expand(sha256.New, key, "latchkey reader keys 1", keySize)
	if err != nil {
		return nil, fmt.Errorf("readerkeys: derive key: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("readerkeys: cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("readerkeys: cipher: %w", err)
	}
	return &box{aead}, nil
}

func (b *box) seal(plain []byte) []byte {
	return b.aead.Seal([]byte(header), nil, plain, []byte(header))
}

// open gives what seal was given. Its error is errBad.
func (b *box) open(sealed []byte) ([]byte, error) {
	inner, ok := bytes.CutPrefix(sealed, []byte(header))
	if !ok {
		return nil, errBad
	}
	plain, err := b.aead.Open(nil, nil, inner, []byte(header))
	if err != nil {
		return nil, errBad
	}
	return plain, nil
}
