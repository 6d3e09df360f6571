package signin_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
	"latchkey/cloud/admin/signin/oidctest"
)

// twoProviders reaches the provider of evil at its host, and acme's elsewhere.
type twoProviders struct {
	acme, evil *oidctest.Provider
	codes      []string // that evil's was shown
}

func (p *twoProviders) RoundTrip(r *http.Request) (*http.Response, error) {
	if "https://"+r.URL.Host != p.evil.Issuer {
		return p.acme.Transport().RoundTrip(r)
	}
	if r.URL.Path == "/token" {
		if err := r.ParseForm(); err != nil {
			return nil, err
		}
		p.codes = append(p.codes, r.PostForm.Get("code"))
	}
	return p.evil.Transport().RoundTrip(r)
}

// TestProvidersDoNotMix: the provider of one organisation, which may be
// anybody's, sends a person on to another organisation's provider, where they
// are known, on somebody else's way. What that one answers must not come to the
// first, which would let that somebody in as this person (RFC 9700 §4.4).
// Neither Entra ID nor Okta says in its answer who gave it (RFC 9207).
func TestProvidersDoNotMix(t *testing.T) {
	w := newWorld(t)
	evil, err := oidctest.New("https://evil.example", w.now)
	w.ok(err)
	providers := &twoProviders{acme: w.provider, evil: evil}
	w.signin, err = signin.NewService(w.cloud, signin.Options{PublicURL: public, Secret: []byte("a secret that is in a file of its own"), Transport: providers, Now: w.now})
	w.ok(err)
	w.handler = w.signin.Handler()
	w.connect()
	_, err = w.cloud.CreateOrg(t.Context(), operator, cloud.Org{ID: "evil"})
	w.ok(err)
	w.ok(w.signin.Set(t.Context(), operator, "evil", signin.Request{Issuer: evil.Issuer, ClientID: oidctest.ClientID, Secret: oidctest.Secret}))

	leads := func(b *browser, org string) *url.URL {
		u, err := url.Parse(b.get(public + "/admin/sign-in/" + org + "/start").Header().Get("Location"))
		w.ok(err)
		return u
	}
	ann, attacker := w.browser(), w.browser()
	hers, theirs := leads(ann, "evil"), leads(attacker, "acme")
	state := theirs.Query().Get("state")
	sent := theirs.Query()
	sent.Set("state", hers.Query().Get("state"))
	theirs.RawQuery = sent.Encode()
	at := httptest.NewRecorder()
	w.provider.ServeHTTP(at, httptest.NewRequestWithContext(t.Context(), "GET", theirs.String(), nil))
	back, err := url.Parse(at.Header().Get("Location"))
	w.ok(err)
	answer := back.Query()
	answer.Del("iss")
	back.RawQuery = answer.Encode()

	ann.refused("an answer on the way to another organisation", ann.get(back.String()), http.StatusBadRequest, "not begun in this browser")
	if len(providers.codes) > 0 {
		t.Errorf("evil's provider was shown %q, want nothing", providers.codes)
	}
	for _, code := range providers.codes {
		attacker.get(public + back.Path + "?" + url.Values{"code": {code}, "state": {state}}.Encode())
		attacker.isOut("with another's answer")
	}
}
