package okta

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestNextPage(t *testing.T) {
	base := &url.URL{Scheme: "https", Host: "acme.okta.com"}
	const next = "https://acme.okta.com/api/v1/users?after=000u&limit=2"
	for _, tt := range []struct {
		name    string
		headers []string
		want    string // "error" is a refusal
	}{
		{"none", nil, ""},
		{"self alone", []string{`<https://acme.okta.com/api/v1/users>; rel="self"`}, ""},
		{"two headers", []string{`<https://acme.okta.com/api/v1/users>; rel="self"`, `<` + next + `>; rel="next"`}, next},
		{"one header", []string{`<https://acme.okta.com/api/v1/users>; rel="self", <` + next + `>; rel="next"`}, next},
		{"more parameters, no quotes", []string{`<` + next + `>; title="a"; REL=next`}, next},
		{"several relations", []string{`<` + next + `>; rel="last next"`}, next},
		{"relative", []string{`</api/v1/users?after=000u&limit=2>; rel="next"`}, next},
		{"a comma in the cursor", []string{`<https://acme.okta.com/api/v1/users?after=a,b>; rel="next"`}, "https://acme.okta.com/api/v1/users?after=a,b"},
		{"another host", []string{`<https://acme.okta.com.evil.com/api/v1/users>; rel="next"`}, "error"},
		{"another scheme", []string{`<http://acme.okta.com/api/v1/users>; rel="next"`}, "error"},
		{"another path", []string{`<https://acme.okta.com/oauth2/v1/users>; rel="next"`}, "error"},
		{"somebody's name", []string{`<https://x@acme.okta.com/api/v1/users>; rel="next"`}, "error"},
		{"not ended", []string{`<https://acme.okta.com/api`}, ""},
	} {
		h := http.Header{}
		for _, v := range tt.headers {
			h.Add("Link", v)
		}
		u, err := nextPage(base, h)
		got := ""
		if u != nil {
			got = u.String()
		}
		if err != nil {
			got = "error"
		}
		if got != tt.want {
			t.Errorf("%s: got %q (%v), want %q", tt.name, got, err, tt.want)
		}
	}
}

func FuzzNextPage(f *testing.F) {
	f.Add(`<https://acme.okta.com/api/v1/users?after=1>; rel="next"`)
	f.Add(`<a>;rel=self, <b>;rel="next`)
	f.Add(`<<>><;;=,"`)
	base := &url.URL{Scheme: "https", Host: "acme.okta.com"}
	f.Fuzz(func(t *testing.T, header string) {
		u, err := nextPage(base, http.Header{"Link": {header}})
		if err == nil && u != nil && (u.Scheme != "https" || u.Host != base.Host || !strings.HasPrefix(u.Path, apiPath)) {
			t.Errorf("%q leads to %s", header, u)
		}
	})
}
