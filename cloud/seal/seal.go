// Package seal encrypts what the cloud keeps for itself, in the database or in
// a browser, with a key that is kept apart from both.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
)

// ErrSealed says that something cannot be opened: it was sealed with another
// key, for another purpose, bound to something else, or it was changed.
var ErrSealed = errors.New("seal: cannot be opened with this key")

// MinSecret is how many bytes a secret has at least that a key is made of.
const MinSecret = 16

// A Sealer seals with AES-256-GCM. It may be used by any number of goroutines.
type Sealer struct{ aead cipher.AEAD }

// New makes a Sealer of a secret with at least 128 bits in it. What is sealed
// for one purpose does not open for another.
func New(secret []byte, purpose string) (*Sealer, error) {
	if len(secret) < MinSecret {
		return nil, fmt.Errorf("seal: the secret for %ss has %d bytes, want at least %d", purpose, len(secret), MinSecret)
	}
	key := sha256.Sum256(append([]byte("latchkey "+purpose+"\x00"), secret...))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &Sealer{aead}, err
}

// Seal seals plain, which it does not keep, for use with the same names alone.
// None of them has a zero byte.
func (s *Sealer) Seal(plain []byte, names ...string) []byte {
	return s.aead.Seal(nil, nil, plain, bound(names))
}

// Open is the inverse of Seal: ErrSealed.
func (s *Sealer) Open(sealed []byte, names ...string) ([]byte, error) {
	plain, err := s.aead.Open(nil, nil, sealed, bound(names))
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}

func bound(names []string) []byte { return []byte(strings.Join(names, "\x00")) }
