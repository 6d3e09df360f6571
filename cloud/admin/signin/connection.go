package signin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"latchkey/cloud"
)

// A connection is how an organisation's own accounts sign in, as it is stored.
type connection struct {
	Issuer    string      `json:"issuer"`
	ClientID  string      `json:"client_id"`
	Sealed    []byte      `json:"sealed_secret"`
	SecretSet time.Time   `json:"secret_set"`
	Domains   []string    `json:"domains"` // of addresses that may come; none: all
	By        cloud.Actor `json:"by"`
}

// errNoProvider says that an organisation's accounts do not sign in, or that
// there is no such organisation.
var errNoProvider = errors.New("signin: no provider")

// connection is org's with the setting that it was read from: errNoProvider.
func (s *Service) connection(ctx context.Context, org string) (c connection, doc []byte, err error) {
	doc, err = s.cloud.Setting(ctx, org, cloud.SettingSignIn)
	if errors.Is(err, cloud.ErrNotFound) {
		return c, nil, errNoProvider
	}
	if err == nil {
		err = json.Unmarshal(doc, &c)
	}
	if err != nil {
		return c, nil, fmt.Errorf("signin: stored connection of %s: %w", org, err)
	}
	return c, doc, nil
}

// secret is the client's, which never leaves this place but for the provider.
func (s *Service) secret(org string, c connection) (string, error) {
	plain, err := s.secrets.Open(c.Sealed, org, c.Issuer, c.ClientID)
	if err != nil {
		return "", fmt.Errorf("signin: the stored client secret of %s: %w", org, err)
	}
	return string(plain), nil
}

// A Request makes or changes how an organisation's accounts sign in.
type Request struct {
	Issuer   string   `json:"issuer"`
	ClientID string   `json:"client_id"`
	Secret   string   `json:"client_secret"` // empty keeps the one that is there, of the same issuer and client
	Domains  []string `json:"domains"`       // of addresses that may come; none: all
}

// Set makes or changes how org's accounts sign in, once the provider has
// answered. Another issuer or client ends the sessions of the accounts.
// *cloud.Invalid, cloud.ErrNotFound.
func (s *Service) Set(ctx context.Context, by cloud.Actor, org string, q Request) error {
	if _, err := s.cloud.Org(ctx, org); err != nil {
		return err
	}
	old, _, err := s.connection(ctx, org)
	if err != nil && !errors.Is(err, errNoProvider) {
		return err
	}
	next, err := s.complete(q)
	if err != nil {
		return err
	}
	other := old.Issuer != next.Issuer || old.ClientID != next.ClientID
	next.By, next.Sealed, next.SecretSet = by, old.Sealed, old.SecretSet
	switch {
	case q.Secret != "":
		next.Sealed, next.SecretSet = s.secrets.Seal([]byte(q.Secret), org, next.Issuer, next.ClientID), s.now().UTC()
	case other:
		return invalid("client_secret", "is required for a new issuer or client")
	}
	if _, err := s.discover(ctx, org, next, nil); err != nil {
		s.log.WarnContext(ctx, "a sign-in provider was refused", "org", org, "err", clip(err.Error(), 500))
		return invalid("issuer", "%s", away(next, err))
	}
	doc, err := json.Marshal(next)
	if err != nil {
		return err
	}
	return s.cloud.PutSignIn(ctx, by, org, "set sign-in provider", doc, other, changes(old, next, q.Secret != ""))
}

// complete refuses what cannot be.
func (s *Service) complete(q Request) (c connection, err error) {
	c = connection{Issuer: strings.TrimSpace(q.Issuer), ClientID: strings.TrimSpace(q.ClientID), Domains: []string{}}
	if err := checkIssuer(c.Issuer, !s.secure()); err != nil {
		return c, invalid("issuer", "%v", err)
	}
	if c.ClientID == "" || len(c.ClientID) > 255 || strings.ContainsFunc(c.ClientID, odd) {
		return c, invalid("client_id", "got %.80q, want the id of the app at your provider", c.ClientID)
	}
	if len(q.Secret) > 1024 || strings.ContainsFunc(q.Secret, odd) {
		return c, invalid("client_secret", "want at most 1024 letters without blanks")
	}
	if len(q.Domains) > 100 {
		return c, invalid("domains", "got %d, want at most 100", len(q.Domains))
	}
	for _, d := range q.Domains {
		d = strings.ToLower(strings.TrimPrefix(strings.TrimSpace(d), "@"))
		if u, err := url.Parse("https://" + d); err != nil || u.Host != d || !strings.Contains(d, ".") || len(d) > 253 {
			return c, invalid("domains", "got %.80q, want such as example.com", d)
		}
		c.Domains = append(c.Domains, d)
	}
	slices.Sort(c.Domains)
	c.Domains = slices.Compact(c.Domains)
	return c, nil
}

// odd says whether no id and no secret has such a letter.
func odd(r rune) bool { return r <= ' ' || r > '~' }

// changes is what the audit trail says of a changed connection.
func changes(old, next connection, secret bool) map[string]cloud.Change {
	all := map[string]cloud.Change{}
	if old.Issuer != next.Issuer {
		all["issuer"] = cloud.Change{Before: old.Issuer, After: next.Issuer}
	}
	if old.ClientID != next.ClientID {
		all["client id"] = cloud.Change{Before: old.ClientID, After: next.ClientID}
	}
	if secret {
		all["client secret"] = cloud.Change{After: "a new one"}
	}
	if !slices.Equal(old.Domains, next.Domains) {
		all["domains"] = cloud.Change{Before: old.Domains, After: next.Domains}
	}
	return all
}

// Off ends the sign-in of org's accounts, and their sessions: cloud.ErrNotFound
// where there is none.
func (s *Service) Off(ctx context.Context, by cloud.Actor, org string) error {
	old, _, err := s.connection(ctx, org)
	if errors.Is(err, errNoProvider) {
		return cloud.ErrNotFound
	}
	if err != nil {
		return err
	}
	return s.cloud.PutSignIn(ctx, by, org, "end sign-in provider", nil, true, map[string]cloud.Change{"issuer": {Before: old.Issuer}, "client id": {Before: old.ClientID}})
}

// A Status says how an organisation's accounts sign in.
type Status struct {
	Issuer    string    `json:"issuer,omitempty"` // empty: they do not
	ClientID  string    `json:"client_id,omitempty"`
	SecretSet time.Time `json:"secret_set,omitzero"`
	Domains   []string  `json:"domains,omitempty"`
	// RedirectURI and StartURL are what the provider wants to know: where people
	// come back to, and where a sign-in that begins there starts.
	RedirectURI string `json:"redirect_uri"`
	StartURL    string `json:"start_url"`
	Problem     string `json:"problem,omitempty"` // why nobody could sign in now
}

// Status asks org's provider, too: cloud.ErrNotFound where there is no such
// organisation.
func (s *Service) Status(ctx context.Context, org string) (Status, error) {
	if _, err := s.cloud.Org(ctx, org); err != nil {
		return Status{}, err
	}
	st := Status{RedirectURI: s.RedirectURI(org), StartURL: s.at("sign-in/" + url.PathEscape(org) + "/start")}
	c, _, err := s.connection(ctx, org)
	if errors.Is(err, errNoProvider) {
		return st, nil
	}
	if err != nil {
		return Status{}, err
	}
	st.Issuer, st.ClientID, st.SecretSet, st.Domains = c.Issuer, c.ClientID, c.SecretSet, c.Domains
	if _, err := s.secret(org, c); err != nil {
		st.Problem = "The stored client secret cannot be opened with this key. Set it again."
	} else if _, err := s.provider(ctx, org); err != nil {
		st.Problem = away(c, err)
	}
	return st, nil
}

func invalid(attr, format string, args ...any) error {
	return &cloud.Invalid{ScimType: cloud.InvalidValue, Attr: attr, Detail: fmt.Sprintf(format, args...)}
}

// clip keeps what others said short, and what no page or log can hold out.
func clip(text string, most int) string {
	return string(bytes.ToValidUTF8([]byte(text[:min(len(text), most)]), nil))
}
