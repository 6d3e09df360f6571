// Package oidctest is a simulated OpenID Connect provider that asks nobody for
// a password, and lies when it is told to.
package oidctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// The app that a Provider knows.
const (
	ClientID = "latchkey"
	Secret   = "a-client+secret/with=odd%letters~"
)

// keyID names the key that a Provider signs with.
const keyID = "key-1"

// Lies are what a Provider does wrong. The zero value is honest.
type Lies struct {
	Claims     map[string]any // in place of those of the ID token; nil removes one
	Discovery  map[string]any // in place of what discovery says; nil removes one
	NoneAlg    bool           // the ID token has no signature
	Symmetric  bool           // the ID token is signed with the client's secret
	OtherKey   bool           // the ID token is signed with a key that is not the provider's
	NoToken    bool           // the answer has no ID token
	Deny       string         // people are sent back with this error
	Status     map[string]int // by path: the answer is an error
	Long       string         // path of an answer that does not end
	Stalled    string         // path of an answer that does not come
	BadSecret  bool           // the client's secret has expired
	Elsewhere  string         // path of an answer that leads to another host
	OtherState bool           // people are sent back with another state
}

// A Provider is a simulated provider. Its issuer is where it stands: serve it
// there. Its methods may be called from any goroutine.
type Provider struct {
	Issuer string
	now    func() time.Time

	mu       sync.Mutex
	key      *ecdsa.PrivateKey
	claims   map[string]any // of who signs in
	lies     Lies
	grants   map[string]grant // by code
	requests []string         // paths, in order
}

// A grant is somebody who was sent back with a code.
type grant struct {
	redirect, nonce, challenge string
}

// New makes a Provider that stands at issuer, a URL without a slash at its end.
// now is its clock; nil is time.Now.
func New(issuer string, now func() time.Time) (*Provider, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	if now == nil {
		now = time.Now
	}
	return &Provider{Issuer: issuer, now: now, key: key, grants: map[string]grant{}}, nil
}

// SignIn sets who is at the provider from now on: the claims of the ID token
// besides those about the sign-in itself.
func (p *Provider) SignIn(claims map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claims = claims
}

// Lie sets what the provider does wrong from now on.
func (p *Provider) Lie(l Lies) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lies = l
}

// Requests are the paths that were asked for since the last call, in order.
func (p *Provider) Requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.requests
	p.requests = nil
	return all
}

// NewKey makes the provider sign with a key that it did not have before.
func (p *Provider) NewKey() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.key = key
	return err
}

// base is the path that the issuer stands at.
func (p *Provider) base() string {
	u, err := url.Parse(p.Issuer)
	if err != nil {
		return ""
	}
	return u.Path
}

// ServeHTTP answers like a provider that stands at the issuer.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, p.base())
	p.mu.Lock()
	lies := p.lies
	p.requests = append(p.requests, path)
	p.mu.Unlock()
	switch {
	case lies.Stalled == path:
		<-r.Context().Done()
		return
	case lies.Elsewhere == path:
		http.Redirect(w, r, "https://elsewhere.example"+r.URL.Path, http.StatusFound)
		return
	case lies.Status[path] != 0:
		write(w, lies.Status[path], map[string]string{"error": "server_error", "error_description": "a secret of the provider's"})
		return
	case lies.Long == path:
		w.Header().Set("Content-Type", "application/json")
		long := []byte(`{"x":"` + strings.Repeat("x", 4<<20) + `"}`)
		w.Write(long)
		return
	}
	switch path {
	case "/.well-known/openid-configuration":
		p.discovery(w, lies)
	case "/keys":
		p.mu.Lock()
		key := jose.JSONWebKey{Key: p.key.Public(), KeyID: keyID, Algorithm: string(jose.ES256), Use: "sig"}
		p.mu.Unlock()
		write(w, http.StatusOK, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}})
	case "/authorize":
		p.authorize(w, r, lies)
	case "/token":
		p.token(w, r, lies)
	default:
		http.NotFound(w, r)
	}
}

// discovery is OpenID Connect Discovery §3.
func (p *Provider) discovery(w http.ResponseWriter, lies Lies) {
	doc := map[string]any{
		"issuer": p.Issuer, "authorization_endpoint": p.Issuer + "/authorize", "token_endpoint": p.Issuer + "/token", "jwks_uri": p.Issuer + "/keys",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"pairwise"},
		"id_token_signing_alg_values_supported": []string{"ES256", "HS256", "none"}, "token_endpoint_auth_methods_supported": []string{"client_secret_basic"},
	}
	replace(doc, lies.Discovery)
	write(w, http.StatusOK, doc)
}

// authorize sends whoever comes back at once (RFC 6749 §4.1.1).
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request, lies Lies) {
	q := r.URL.Query()
	if q.Get("client_id") != ClientID || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "" ||
		q.Get("nonce") == "" || q.Get("state") == "" || !slices.Contains(strings.Fields(q.Get("scope")), "openid") {
		http.Error(w, "oidctest: not a request that a provider takes: "+r.URL.RawQuery, http.StatusBadRequest)
		return
	}
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || !back.IsAbs() {
		http.Error(w, "oidctest: redirect_uri", http.StatusBadRequest)
		return
	}
	answer := url.Values{"state": {q.Get("state")}, "iss": {p.Issuer}}
	if lies.OtherState {
		answer.Set("state", "another")
	}
	if lies.Deny != "" {
		answer.Set("error", lies.Deny)
		answer.Set("error_description", "<b>words of the provider</b>")
	} else {
		code := rand.Text()
		p.mu.Lock()
		p.grants[code] = grant{q.Get("redirect_uri"), q.Get("nonce"), q.Get("code_challenge")}
		p.mu.Unlock()
		answer.Set("code", code)
	}
	back.RawQuery = answer.Encode()
	http.Redirect(w, r, back.String(), http.StatusFound)
}

// replace puts what lies say in place of what is true.
func replace(doc, lies map[string]any) {
	for key, v := range lies {
		if v == nil {
			delete(doc, key)
		} else {
			doc[key] = v
		}
	}
}
