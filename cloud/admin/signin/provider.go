package signin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	providerTimeout = 10 * time.Second // for one answer
	providerFresh   = time.Hour        // what a provider says of itself is believed
	mostAnswer      = 1 << 20          // bytes
)

// A provider is an organisation's, as it describes itself.
type provider struct {
	conn     connection
	doc      []byte // the setting that conn was read from
	asked    time.Time
	oauth    oauth2.Config // without the secret
	verifier *oidc.IDTokenVerifier
}

// NewTransport is how a Service without one of Options reaches providers.
func NewTransport() *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout = providerTimeout
	t.MaxResponseHeaderBytes = 64 << 10
	return t
}

// newClient is how providers are asked: with limits, and without following them
// elsewhere.
func newClient(transport http.RoundTripper) *http.Client {
	if transport == nil {
		transport = NewTransport()
	}
	return &http.Client{
		Transport: short{transport}, Timeout: providerTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// short cuts answers that are longer than any that is right.
type short struct{ http.RoundTripper }

var errLong = fmt.Errorf("signin: the provider's answer has more than %d bytes", mostAnswer)

func (t short) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = &shortBody{resp.Body, mostAnswer}
	}
	return resp, err
}

type shortBody struct {
	io.ReadCloser
	left int
}

func (b *shortBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLong
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// provider is the one of org: errNoProvider where it has none. What it says of
// itself is asked for once an hour at most, however many want to sign in.
func (s *Service) provider(ctx context.Context, org string) (*provider, error) {
	conn, doc, err := s.connection(ctx, org)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	known := s.providers[org]
	s.mu.Unlock()
	if known != nil && string(known.doc) == string(doc) && s.now().Sub(known.asked) < providerFresh {
		return known, nil
	}
	// Whoever goes away must not break it off for the others.
	ctx = context.WithoutCancel(ctx)
	p, err, _ := s.asking.Do(org+"\x00"+string(doc), func() (any, error) { return s.discover(ctx, org, conn, doc) })
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.providers[org] = p.(*provider)
	return s.providers[org], nil
}

// discover asks a provider what it is (OpenID Connect Discovery §4).
func (s *Service) discover(ctx context.Context, org string, conn connection, doc []byte) (*provider, error) {
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, s.client), conn.Issuer)
	if err != nil {
		return nil, err
	}
	var meta struct {
		Keys    string   `json:"jwks_uri"`
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := found.Claims(&meta); err != nil {
		return nil, err
	}
	endpoint := found.Endpoint()
	for name, text := range map[string]string{"authorization_endpoint": endpoint.AuthURL, "token_endpoint": endpoint.TokenURL, "jwks_uri": meta.Keys} {
		if u, err := url.Parse(text); err != nil || !checkedURL(u, !s.secure()) {
			return nil, fmt.Errorf("signin: the provider's %s is %.100q, want https", name, text)
		}
	}
	endpoint.AuthStyle = oauth2.AuthStyleInHeader // the default (OpenID Connect Core §9)
	if len(meta.Methods) > 0 && !slices.Contains(meta.Methods, "client_secret_basic") {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return &provider{
		conn: conn, doc: doc, asked: s.now(),
		oauth:    oauth2.Config{ClientID: conn.ClientID, Endpoint: endpoint, RedirectURL: s.RedirectURI(org), Scopes: []string{oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail}},
		verifier: found.Verifier(&oidc.Config{ClientID: conn.ClientID, Now: s.now}),
	}, nil
}

// away words why a provider could not be asked.
func away(conn connection, err error) string {
	host := conn.Issuer
	if u, parseErr := url.Parse(conn.Issuer); parseErr == nil {
		host = u.Host
	}
	if wrong, ok := errors.AsType[*oidc.IssuerMismatchError](err); ok {
		return fmt.Sprintf("The provider at %.100s calls itself %.200q. Set that as the issuer if it is yours.", host, wrong.Discovered)
	}
	if timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err); ok && timeout.Timeout() {
		return fmt.Sprintf("Your provider %.100s did not answer within %s. Try again.", host, providerTimeout)
	}
	if _, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Sprintf("Your provider %.100s cannot be reached from here. Try again.", host)
	}
	return fmt.Sprintf("Your provider %.100s answers with what is no OpenID Connect.", host)
}

// RedirectURI is where org's provider sends people back to; it wants to know it
// beforehand. Each organisation has its own, so that no provider can send people
// on to another organisation's and be given what that one answers (RFC 9700
// §4.4.2.2).
func (s *Service) RedirectURI(org string) string {
	return s.at("sign-in/" + url.PathEscape(org) + "/callback")
}
