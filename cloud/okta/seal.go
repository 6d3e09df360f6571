package okta

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"errors"
)

// A Sealer seals tokens with AES-256-GCM, so that a copy of the database opens
// no Okta. Its key is kept outside the database.
type Sealer struct{ aead cipher.AEAD }

// minSealKey is how many bytes a secret has at least that a key is made of.
const minSealKey = 16

// NewSealer makes a Sealer of a secret with at least 128 bits in it.
func NewSealer(secret []byte) (*Sealer, error) {
	if len(secret) < minSealKey {
		return nil, errors.New("okta: the key that tokens are sealed with is too short, want at least 16 bytes")
	}
	key := sha256.Sum256(append([]byte("latchkey okta token\x00"), secret...))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &Sealer{aead}, err
}

// seal seals token for use by org at domain alone.
func (s *Sealer) seal(token Token, org, domain string) []byte {
	return s.aead.Seal(nil, nil, []byte(token), bound(org, domain))
}

// open is the inverse of seal.
func (s *Sealer) open(sealed []byte, org, domain string) (Token, error) {
	token, err := s.aead.Open(nil, nil, sealed, bound(org, domain))
	if err != nil {
		return "", errors.New("okta: the stored token cannot be opened with this key; set it again")
	}
	return Token(token), nil
}

// bound is what a sealed token is bound to. Neither part has a zero byte.
func bound(org, domain string) []byte { return []byte(org + "\x00" + domain) }

// newSecret is a secret that an event hook shows.
func newSecret() string { return "latchkey_hook_" + rand.Text() + rand.Text() }
