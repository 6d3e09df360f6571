package okta

import (
	"crypto/rand"
	"errors"

	"latchkey/cloud/seal"
)

// SealPurpose is what the Sealer of Options is for. It is part of the key, so
// it stays as it is.
const SealPurpose = "okta token"

// sealToken seals token for use by org at domain alone, so that a copy of the
// database opens no Okta.
func (s *Service) sealToken(token Token, org, domain string) []byte {
	return s.o.Seal.Seal([]byte(token), org, domain)
}

// openToken is the inverse of sealToken.
func (s *Service) openToken(sealed []byte, org, domain string) (Token, error) {
	token, err := s.o.Seal.Open(sealed, org, domain)
	if errors.Is(err, seal.ErrSealed) {
		err = errors.New("okta: the stored token cannot be opened with this key; set it again")
	}
	return Token(token), err
}

// newSecret is a secret that an event hook shows.
func newSecret() string { return "latchkey_hook_" + rand.Text() + rand.Text() }
