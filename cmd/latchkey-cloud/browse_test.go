package main

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"latchkey/cloud/admin/signin/oidctest"
)

// A browserKey finds the browser of a script.
type browserKey struct{}

// newBrowser keeps cookies and follows redirects.
func newBrowser() (*http.Client, error) {
	jar, err := cookiejar.New(nil)
	return &http.Client{Jar: jar}, err
}

// browse is "browse URL TEXT [FIELD=VALUE...]": the script's browser gets the
// URL, or posts a form, and ends at a page with TEXT in it.
func browse(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: browse URL TEXT [FIELD=VALUE...]")
	}
	browser := ts.Value(browserKey{}).(*http.Client)
	form := url.Values{}
	for _, field := range args[2:] {
		name, value, _ := strings.Cut(field, "=")
		form.Set(name, value)
	}
	get := func() (*http.Response, error) { return browser.Get(args[0]) }
	if len(form) > 0 {
		get = func() (*http.Response, error) { return browser.PostForm(args[0], form) }
	}
	resp, err := get()
	ts.Check(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	ts.Check(err)
	if !strings.Contains(string(body), args[1]) {
		ts.Fatalf("%s: %s without %q: %s", resp.Request.URL, resp.Status, args[1], body)
	}
}

// simulatedOIDC serves a sign-in provider at which ann@example.com always is.
func simulatedOIDC() (*httptest.Server, error) {
	srv := httptest.NewUnstartedServer(nil)
	provider, err := oidctest.New("http://"+srv.Listener.Addr().String(), nil)
	if err != nil {
		return nil, err
	}
	provider.SignIn(map[string]any{"email": "Ann@example.com", "email_verified": true, "name": "Ann Ashe"})
	srv.Config.Handler = provider
	srv.Start()
	return srv, nil
}
