package signin

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"latchkey/cloud"
	"latchkey/cloud/seal"
	"latchkey/cloud/throttle"
)

// Root is where the admin's pages stand, and the sign-in among them.
const Root = "/admin/"

// How often one address may try, and everybody together. A code has 80 secret
// bits and the provider looks after passwords, so this is not what keeps
// guessers out: it keeps them from costing much. What all share is wide, or a
// few addresses could use it up and keep out whoever has a code.
func limits() (codes, allCodes, starts throttle.Limit) {
	return throttle.Limit{Burst: 10, Every: 10 * time.Second}, throttle.Limit{Burst: 1000, Every: 10 * time.Millisecond}, throttle.Limit{Burst: 30, Every: 2 * time.Second}
}

// Options are what a Service needs besides the cloud.
type Options struct {
	// PublicURL is how browsers reach the cloud: "https://cloud.example", or
	// "http://127.0.0.1:8480" for somebody at the same machine. It is where
	// providers send people back to, and no other host is answered. Required.
	PublicURL string
	// Secret has at least 128 bits in it. What is sealed in the database and in
	// browsers is sealed with keys made of it, so all processes at one database
	// have the same. Required.
	Secret    []byte
	Proxies   throttle.Proxies
	Transport http.RoundTripper // to providers; nil is one of the Service's own
	Now       func() time.Time  // nil is time.Now
	Log       *slog.Logger      // nil discards
}

// A Service knows who is at the admin's pages, and lets people in. It may be
// used by any number of goroutines.
type Service struct {
	cloud   *cloud.Service
	public  *url.URL     // without a path
	secrets *seal.Sealer // of clients at providers
	cookies *seal.Sealer // of people on their way to a provider and back
	proxies throttle.Proxies
	client  *http.Client
	now     func() time.Time
	log     *slog.Logger

	codes, allCodes, starts *throttle.Throttle
	tried                   counts

	asking    singleflight.Group // for providers, by organisation and connection
	mu        sync.Mutex
	providers map[string]*provider // by organisation
}

// NewService makes a Service. It asks no provider before somebody wants to
// sign in.
func NewService(c *cloud.Service, o Options) (*Service, error) {
	public, err := parsePublic(o.PublicURL)
	if err != nil {
		return nil, err
	}
	secrets, err := seal.New(o.Secret, "sign-in client secret")
	if err != nil {
		return nil, err
	}
	cookies, err := seal.New(o.Secret, "sign-in cookie")
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	codes, allCodes, starts := limits()
	return &Service{
		cloud: c, public: public, secrets: secrets, cookies: cookies, proxies: o.Proxies, client: newClient(o.Transport), now: o.Now, log: cmp.Or(o.Log, slog.New(slog.DiscardHandler)),
		codes: throttle.New(codes), allCodes: throttle.New(allCodes), starts: throttle.New(starts), providers: map[string]*provider{},
	}, nil
}

// parsePublic reads a public URL. Over plain HTTP cookies would be anybody's who
// listens, so that is for loopback alone.
func parsePublic(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("signin: public URL: got %.80q, want one such as https://cloud.example", text)
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback(u)) {
		return nil, fmt.Errorf("signin: public URL: got %.80q, want https, or http://127.0.0.1 for this machine alone", text)
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}, nil
}

// loopback says whether a URL's host is this machine.
func loopback(u *url.URL) bool {
	addr, err := netip.ParseAddr(u.Hostname())
	return err == nil && addr.IsLoopback() || strings.EqualFold(u.Hostname(), "localhost")
}

// PublicURL is how browsers reach the cloud, without a slash at its end.
func (s *Service) PublicURL() string { return s.public.String() }

// secure says whether browsers come by TLS.
func (s *Service) secure() bool { return s.public.Scheme == "https" }

// at is the public URL of a path below Root.
func (s *Service) at(path string) string { return s.public.JoinPath(Root, path).String() }

// Visitor is who sent r: ErrSignedOut where nobody is signed in. Other errors
// are faults of the store.
func (s *Service) Visitor(r *http.Request) (Visitor, error) {
	cookie, err := r.Cookie(s.sessionCookie())
	if err != nil {
		return Visitor{}, ErrSignedOut
	}
	session, err := s.cloud.Session(r.Context(), cookie.Value)
	if errors.Is(err, cloud.ErrSignedOut) {
		return Visitor{}, ErrSignedOut
	}
	if err != nil {
		return Visitor{}, fmt.Errorf("signin: %w", err)
	}
	v := Visitor{Org: session.Org, Name: session.Name, Email: session.Email, Role: Role(session.Role), Actor: session.Actor()}
	if session.Code != "" {
		v.Name = "Sign-in code " + session.Code
	}
	v.Name = cmp.Or(v.Name, v.Email)
	return v, nil
}
