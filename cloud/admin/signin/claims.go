package signin

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"latchkey/cloud"
)

// skew is how far a provider's clock may be from ours.
const skew = 5 * time.Minute

// A truth is a claim that is true or false, which some providers write as a
// string.
type truth struct{ said, holds bool }

func (t *truth) UnmarshalJSON(b []byte) error {
	switch strings.Trim(string(b), `"`) {
	case "true", "1":
		*t = truth{true, true}
	case "null":
	default:
		*t = truth{true, false}
	}
	return nil
}

// claims are what is asked of an ID token besides what go-oidc checks.
type claims struct {
	Email         string `json:"email"`
	EmailVerified truth  `json:"email_verified"`
	// Entra ID's "the domain of the address is the tenant's, by proof".
	DomainVerified truth  `json:"xms_edov"`
	UserName       string `json:"preferred_username"`
	Name           string `json:"name"`
	Party          string `json:"azp"`
}

// identify is the address that a provider vouches for, or why it vouches for
// none.
//
// Entra ID has no email_verified, and its email is free text that whoever may
// edit a user can set to anybody's; so there it counts only with xms_edov.
// preferred_username is the user principal name, which is one account's in the
// tenant and of a domain that the tenant has proved, so that it can be believed
// of an issuer of one tenant, and checkIssuer lets no other be. Elsewhere
// preferred_username is often what people chose themselves, and does not count.
func identify(issuer string, c claims) (email, refusal string) {
	if isEntra(issuer) {
		switch {
		case c.Email != "" && (c.EmailVerified.holds || c.DomainVerified.holds):
			return c.Email, ""
		case strings.Contains(c.UserName, "@"):
			return c.UserName, ""
		}
		return "", "Your provider did not say your user name. In Entra ID the app needs the permission profile."
	}
	switch {
	case c.Email == "":
		return "", "Your provider did not say your email address. The app needs the scope email, and your account an address."
	case c.EmailVerified.said && !c.EmailVerified.holds:
		return "", fmt.Sprintf("Your provider says that the address %.100s is not verified. Verify it there, then sign in again.", c.Email)
	}
	return c.Email, ""
}

// account checks what the token says besides its signature, and is who it is
// about.
func (s *Service) account(p *provider, token *oidc.IDToken, nonce string) (cloud.Account, error) {
	refused := func(text string, err error) (cloud.Account, error) {
		return cloud.Account{}, &problem{status: http.StatusForbidden, text: text, err: err, audit: true}
	}
	var c claims
	if err := token.Claims(&c); err != nil {
		return refused("Your provider's answer cannot be read.", fmt.Errorf("signin: claims: %w", err))
	}
	switch ahead := token.IssuedAt.Sub(s.now()); {
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(nonce)) != 1:
		return refused("Your provider's answer belongs to another sign-in. Start again.", errors.New("signin: the ID token has another nonce"))
	case len(token.Audience) > 1 && c.Party == "", c.Party != "" && c.Party != p.conn.ClientID: // OpenID Connect Core §3.1.3.7
		return refused("Your provider's answer is for another app.", fmt.Errorf("signin: the ID token's azp is %.100q", c.Party))
	case ahead > skew:
		return refused(clockWords(s.now(), token.IssuedAt), nil)
	case token.Subject == "" || len(token.Subject) > 255:
		return refused("Your provider's answer cannot be read.", errors.New("signin: the ID token's sub has none or over 255 bytes"))
	}
	said, refusal := identify(p.conn.Issuer, c)
	if refusal != "" {
		return refused(refusal, nil)
	}
	email, err := cloud.FoldAddress(said)
	if err != nil {
		return refused("Your provider's answer has no address that can be used.", err)
	}
	if _, domain, _ := strings.Cut(email, "@"); len(p.conn.Domains) > 0 && !slices.Contains(p.conn.Domains, domain) {
		return refused(fmt.Sprintf("Addresses of %.100s may not sign in here.", domain), nil)
	}
	return cloud.Account{Email: email, Name: c.Name, Subject: token.Subject, Connection: p.doc}, nil
}

func clockWords(ours, theirs time.Time) string {
	return fmt.Sprintf("The clocks of your provider and of this cloud are apart: it is %s here, and the answer is of %s. Have the cloud's clock set right.",
		ours.UTC().Format(time.TimeOnly), theirs.UTC().Format(time.TimeOnly))
}
