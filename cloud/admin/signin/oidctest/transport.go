package oidctest

import (
	"net/http"
	"net/http/httptest"
)

// Transport lets a client reach p without a network, so that time may be
// synthetic (testing/synctest).
func (p *Provider) Transport() http.RoundTripper { return transport{p} }

type transport struct{ provider *Provider }

// RoundTrip answers like a server that the provider stands on, whatever host is
// asked for.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	rec := httptest.NewRecorder()
	t.provider.ServeHTTP(rec, in)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}
