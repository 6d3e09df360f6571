package okta

import (
	"fmt"
	"strings"
)

// A Token is an Okta API token. It prints as nothing, whatever prints it.
type Token string

const hidden = "token(hidden)"

// String hides the token.
func (Token) String() string { return hidden }

// Format hides the token under every verb.
func (Token) Format(f fmt.State, _ rune) { fmt.Fprint(f, hidden) }

// MarshalText hides the token in JSON and in logs.
func (Token) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// ParseToken reads a token as people paste it: blanks around it, and the
// scheme SSWS before it, are dropped.
func ParseToken(s string) (Token, error) {
	s = strings.TrimSpace(s)
	if len(s) > 5 && strings.EqualFold(s[:5], "SSWS ") {
		s = strings.TrimSpace(s[5:])
	}
	if len(s) < minToken || len(s) > maxToken {
		return "", fmt.Errorf("okta: token: got %d characters, want %d to %d; copy it as Okta shows it", len(s), minToken, maxToken)
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return "", fmt.Errorf("okta: token: got a blank or another character that no token has at place %d", i+1)
		}
	}
	return Token(s), nil
}

// Okta's tokens have 42 characters today; no length is promised.
const (
	minToken = 16
	maxToken = 512
)
