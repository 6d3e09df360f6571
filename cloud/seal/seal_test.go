package seal_test

import (
	"encoding/hex"
	"errors"
	"testing"

	"latchkey/cloud/seal"
)

const secret = "a key that is in a file of its own"

func sealer(t *testing.T, secret, purpose string) *seal.Sealer {
	t.Helper()
	s, err := seal.New([]byte(secret), purpose)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealIsBound(t *testing.T) {
	s := sealer(t, secret, "okta token")
	sealed := s.Seal([]byte("plain"), "acme", "acme.okta.com")
	if got, err := s.Open(sealed, "acme", "acme.okta.com"); err != nil || string(got) != "plain" {
		t.Fatalf("got %q, %v", got, err)
	}
	changed := append([]byte(nil), sealed...)
	changed[len(changed)-1] ^= 1
	for what, open := range map[string]func() ([]byte, error){
		"another organisation": func() ([]byte, error) { return s.Open(sealed, "other", "acme.okta.com") },
		"names run together":   func() ([]byte, error) { return s.Open(sealed, "acmeacme.okta.com") },
		"changed":              func() ([]byte, error) { return s.Open(changed, "acme", "acme.okta.com") },
		"cut":                  func() ([]byte, error) { return s.Open(sealed[:5], "acme", "acme.okta.com") },
		"nothing":              func() ([]byte, error) { return s.Open(nil, "acme", "acme.okta.com") },
		"another purpose": func() ([]byte, error) {
			return sealer(t, secret, "client secret").Open(sealed, "acme", "acme.okta.com")
		},
		"another key": func() ([]byte, error) {
			return sealer(t, "another key, of another machine", "okta token").Open(sealed, "acme", "acme.okta.com")
		},
	} {
		if got, err := open(); !errors.Is(err, seal.ErrSealed) {
			t.Errorf("%s: %q, %v; want ErrSealed", what, got, err)
		}
	}
	if _, err := seal.New([]byte("fifteen bytes !"), "x"); err == nil {
		t.Error("a short secret was taken")
	}
}

// TestSealedBefore: what was stored by the first release opens.
func TestSealedBefore(t *testing.T) {
	sealed, err := hex.DecodeString(before)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := sealer(t, secret, "okta token").Open(sealed, "acme", "acme.okta.com"); err != nil || string(got) != "00abcdefghijklmnop" {
		t.Errorf("got %q, %v", got, err)
	}
}

const before = "c92b1aba20a9b9c53261b669dd5e215188b0f52800337f372c1d5c0e8fffc2f4f3b79f2006a03a24ccccc1e5508a"
