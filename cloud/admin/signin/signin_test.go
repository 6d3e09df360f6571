package signin_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

func codeForm(code string) url.Values { return url.Values{"code": {code}} }

const signInURL = public + "/admin/sign-in"

func TestCodeSignsIn(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	b.isOut("nobody")
	code := w.code()
	rec := b.post(signInURL, url.Values{"code": {strings.ToLower(code)}, "to": {"/admin/people?search=x"}})
	if rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != "/admin/people?search=x" {
		t.Fatalf("%d to %q: %s", rec.Code, rec.Header().Get("Location"), rec.Body)
	}
	v := b.isIn("by code", signin.Owner)
	if want := cloud.Actor("sign-in code " + code[:4] + " (owner)"); v.Actor != want || v.Email != "" || v.Name != "Sign-in code "+code[:4] {
		t.Errorf("visitor %+v, want actor %q", v, want)
	}
	if rec := b.get(signInURL); rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != "/admin/" {
		t.Errorf("sign-in once more: %d to %q", rec.Code, rec.Header().Get("Location"))
	}
	stolen := b.copy()
	if rec := b.post(public+"/admin/sign-out", nil); rec.Code != http.StatusSeeOther || len(b.cookies) != 0 {
		t.Errorf("sign-out: %d, cookies %v", rec.Code, b.cookies)
	}
	b.isOut("signed out")
	stolen.isOut("signed out, with the cookie kept")
	texts := map[string]bool{}
	for what, shown := range map[string]string{"used": code, "wrong": "ABCD-EFGH-JKMN-PQRS-TVWX", "short": "x"} {
		other := w.browser()
		rec := other.post(signInURL, codeForm(shown))
		other.refused(what, rec, http.StatusForbidden, "This code opens nothing.")
		texts[rec.Body.String()] = true
	}
	if len(texts) != 1 {
		t.Errorf("%d different answers, want one whatever is wrong", len(texts))
	}
	if log := w.log.String(); strings.Contains(log, code) || !strings.Contains(log, "203.0.113.5") {
		t.Errorf("the log has the code, or not the address: %s", log)
	}
}

func TestCodeIsGoodOnceInParallel(t *testing.T) {
	w := newWorld(t)
	code := w.code()
	var in atomic.Int32
	var g sync.WaitGroup
	for i := range 8 {
		b := w.browser()
		b.from = fmt.Sprintf("198.51.100.%d:1", i)
		g.Go(func() {
			if rec := b.post(signInURL, codeForm(code)); rec.Code == http.StatusSeeOther {
				in.Add(1)
			}
		})
	}
	g.Wait()
	if in.Load() != 1 {
		t.Errorf("%d got in, want 1", in.Load())
	}
}

func TestCookiesAreTheBrowsersAlone(t *testing.T) {
	for _, tt := range []struct{ public, prefix string }{{public, "__Host-"}, {"http://127.0.0.1:8480", ""}} {
		w := newWorldAt(t, tt.public, issuer)
		w.connect()
		b := w.browser()
		b.post(tt.public+"/admin/sign-in", codeForm(w.code()))
		all := b.set
		b.get(tt.public + "/admin/sign-in/acme/start")
		if all = append(all, b.set...); len(all) != 2 {
			t.Fatalf("cookies %v, want two", all)
		}
		for i, name := range []string{"latchkey", "latchkey-sign-in"} {
			c := all[i]
			if c.Name != tt.prefix+name || c.Path != "/" || c.Domain != "" || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Secure != (tt.prefix != "") {
				t.Errorf("%s: cookie %+v", tt.public, c)
			}
		}
		if all[0].MaxAge != int(cloud.CodeSessionLongest/time.Second) || all[1].MaxAge != 600 {
			t.Errorf("cookies last %d and %d s", all[0].MaxAge, all[1].MaxAge)
		}
	}
}

// TestNobodyElsesForm: what another page's form or script sends is refused
// before it is looked at.
func TestNobodyElsesForm(t *testing.T) {
	w := newWorld(t)
	code := w.code()
	for name, header := range map[string][2]string{
		"cross-site": {"Sec-Fetch-Site", "cross-site"}, "same-site": {"Sec-Fetch-Site", "same-site"}, "old browser": {"Origin", "https://evil.example"}, "no origin": {"Origin", "null"},
	} {
		b := w.browser()
		r := b.request("POST", signInURL, codeForm(code))
		r.Header.Del("Sec-Fetch-Site")
		r.Header.Set(header[0], header[1])
		if rec := b.do(r); rec.Code != http.StatusForbidden {
			t.Errorf("%s: %d, want 403", name, rec.Code)
		}
	}
	b := w.browser()
	b.post(signInURL, codeForm(code))
	b.isIn("the code was not used", signin.Owner)
	r := b.request("POST", public+"/admin/sign-out", nil)
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if rec := b.do(r); rec.Code != http.StatusForbidden {
		t.Errorf("sign-out from elsewhere: %d, want 403", rec.Code)
	}
	b.isIn("after a sign-out from elsewhere", signin.Owner)
}

func TestOtherHostsGetNothing(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	code := w.code()
	if rec := b.post("https://evil.example/admin/sign-in", codeForm(code)); rec.Code != http.StatusMisdirectedRequest || len(b.set) != 0 {
		t.Errorf("post: %d with cookies %v, want 421", rec.Code, b.set)
	}
	for target, want := range map[string]string{
		"https://evil.example/admin/properties/hq?x=1": public + "/admin/properties/hq?x=1", "https://evil.example//evil.example/": public + "/admin/",
	} {
		if rec := b.get(target); rec.Code != http.StatusTemporaryRedirect || rec.Header().Get("Location") != want {
			t.Errorf("%s: %d to %q, want %q", target, rec.Code, rec.Header().Get("Location"), want)
		}
	}
	for _, host := range []string{"cloud.example:443", "CLOUD.example"} {
		r := b.request("GET", signInURL, nil)
		r.Host = host
		if rec := b.do(r); rec.Code != http.StatusOK {
			t.Errorf("host %s: %d, want 200", host, rec.Code)
		}
	}
}

func TestHeaders(t *testing.T) {
	w := newWorld(t)
	b := w.browser()
	for what, h := range map[string]http.Header{
		"page": b.get(signInURL).Header(), "refusal": b.post(signInURL, codeForm("x")).Header(), "elsewhere": b.get("https://evil.example/").Header(),
	} {
		for name, want := range map[string]string{
			"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
			"X-Content-Type-Options":  "nosniff", "Referrer-Policy": "same-origin", "Cache-Control": "no-store", "Strict-Transport-Security": "max-age=31536000",
			"Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", what, name, got, want)
			}
		}
	}
	if got := newWorldAt(t, "http://localhost:1", issuer).browser().get("http://localhost:1/admin/sign-in").Header().Get("Strict-Transport-Security"); got != "" {
		t.Errorf("HTTP has Strict-Transport-Security %q", got)
	}
}

// TestLocalPathsOnly: a sign-in leads to a page of ours, whatever a link said.
func TestLocalPathsOnly(t *testing.T) {
	w := newWorld(t)
	w.connect()
	for to, want := range map[string]string{
		"": "/admin/", "/admin/": "/admin/", "/admin/people?after=x&x=%2F": "/admin/people?after=x&x=%2F", "/admin/a/../properties": "/admin/properties",
		"https://evil.example/admin/": "/admin/", "//evil.example/admin/": "/admin/", `/\evil.example`: "/admin/", "/admin/../x": "/admin/", "/adminx": "/admin/", "/admin": "/admin/",
		"/admin/%2e%2e/%2f%2fevil.example": "/admin/", "javascript:alert(1)": "/admin/", "/admin/\r\nSet-Cookie: x=y": "/admin/", "/admin/sign-out": "/admin/", "/scim/v2": "/admin/",
		"/admin/" + strings.Repeat("x", 2000): "/admin/",
	} {
		b := w.browser()
		if got := b.post(signInURL, url.Values{"code": {w.code()}, "to": {to}}).Header().Get("Location"); got != want {
			t.Errorf("code, then %q: %q, want %q", to, got, want)
		}
		w.later(time.Minute) // nobody waits
		b = w.browser()
		if got := b.get(b.start("?" + url.Values{"to": {to}}.Encode())).Header().Get("Location"); got != want {
			t.Errorf("provider, then %q: %q, want %q", to, got, want)
		}
	}
}

func TestTriesAreSlowedDown(t *testing.T) {
	w := newWorld(t)
	w.connect()
	guesser := w.browser()
	for range 10 {
		guesser.refused("guess", guesser.post(signInURL, codeForm("guess")), http.StatusForbidden, "opens nothing")
	}
	rec := guesser.post(signInURL, codeForm(w.code()))
	guesser.refused("too many guesses", rec, http.StatusTooManyRequests, "too many tries")
	if got := rec.Header().Get("Retry-After"); got != "11" {
		t.Errorf("Retry-After %q, want 11", got)
	}
	other := w.browser()
	other.from = "203.0.113.6:1"
	other.post(signInURL, codeForm(w.code()))
	other.isIn("another address", signin.Owner)

	for range 30 {
		guesser.get(public + "/admin/sign-in/acme/start")
	}
	if rec := guesser.get(public + "/admin/sign-in/acme/start"); rec.Code != http.StatusTooManyRequests {
		t.Errorf("too many starts: %d, want 429", rec.Code)
	}
	if rec := guesser.get(public + "/admin/sign-in/acme/callback"); rec.Code != http.StatusTooManyRequests {
		t.Errorf("too many answers: %d, want 429", rec.Code)
	}
	w.later(20 * time.Second)
	guesser.post(signInURL, codeForm(w.code()))
	guesser.isIn("after a while", signin.Owner)
}

// TestAllGuessersTogether: many addresses guess no faster than some, and a
// hundred do not keep out whoever has a code.
func TestAllGuessersTogether(t *testing.T) {
	w := newWorld(t)
	codes := map[int]int{}
	guess := func(from string) {
		b := w.browser()
		b.from = from
		codes[b.post(signInURL, codeForm("guess")).Code]++
	}
	for i := range 900 {
		guess(fmt.Sprintf("198.51.%d.1:1", i/9))
	}
	b := w.browser()
	b.post(signInURL, codeForm(w.code()))
	b.isIn("beside a hundred guessers", signin.Owner)
	for i := range 150 {
		guess(fmt.Sprintf("203.0.%d.1:1", i))
	}
	if codes[http.StatusForbidden] != 999 || codes[http.StatusTooManyRequests] != 51 {
		t.Errorf("answers %v, want 999 refusals and 51 to wait", codes)
	}
}

// TestAddressBehindAProxy: a proxy on the same machine says for whom it asks;
// others are not believed.
func TestAddressBehindAProxy(t *testing.T) {
	w := newWorld(t)
	ask := func(from string, forwarded ...string) int {
		b := w.browser()
		b.from = from
		r := b.request("POST", signInURL, codeForm("guess"))
		r.Header["X-Forwarded-For"] = forwarded
		return b.do(r).Code
	}
	for i := range 10 {
		if got := ask("127.0.0.1:9", fmt.Sprintf("192.0.2.%d, 203.0.113.7", i)); got != http.StatusForbidden {
			t.Fatalf("guess: %d", got)
		}
	}
	for what, got := range map[string][2]int{
		"the same visitor":            {ask("127.0.0.1:9", "203.0.113.7"), 429},
		"the same, in another header": {ask("[::1]:9", "192.0.2.1", "203.0.113.7"), 429},
		"another visitor":             {ask("127.0.0.1:9", "203.0.113.8"), 403},
		"a guesser who makes it up":   {ask("203.0.113.7:9", "203.0.113.9"), 429},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %d, want %d", what, got[0], got[1])
		}
	}
}

// TestSignInEndsTheSessionBefore: a browser that signs in anew leaves no session
// behind that nobody can sign out of.
func TestSignInEndsTheSessionBefore(t *testing.T) {
	w := newWorld(t)
	w.connect()
	b := w.browser()
	b.post(signInURL, codeForm(w.code()))
	before := b.copy()
	before.isIn("by the first code", signin.Owner)
	b.post(signInURL, codeForm(w.code()))
	before.isOut("after the second code")
	before = b.copy()
	b.signIn()
	before.isOut("after the account")
	b.isIn("by account", signin.Owner)
}

// TestTrustedProxies: proxies in a row are believed as long as each is trusted.
func TestTrustedProxies(t *testing.T) {
	w := newWorld(t)
	var err error
	w.signin, err = signin.NewService(w.cloud, signin.Options{
		PublicURL: public, Secret: []byte("a secret that is in a file of its own"), Now: w.now,
		Proxies: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")},
	})
	w.ok(err)
	w.handler = w.signin.Handler()
	ask := func(from, forwarded string) int {
		b := w.browser()
		b.from = from
		r := b.request("POST", signInURL, codeForm("guess"))
		r.Header.Set("X-Forwarded-For", forwarded)
		return b.do(r).Code
	}
	for range 10 {
		ask("203.0.113.7:9", "")
	}
	for _, tt := range []struct {
		what, from, forwarded string
		code                  int
	}{
		{"one", "10.1.2.3:9", "203.0.113.7", 429},
		{"one, by IPv6", "[fd00::1]:9", "203.0.113.7", 429},
		{"one that says the port", "10.1.2.3:9", "203.0.113.7:4711", 429},
		{"two, and one on this machine", "127.0.0.1:9", "203.0.113.7,10.1.2.3, 10.1.2.4", 429},
		{"somebody who makes it up before one", "10.1.2.3:9", "203.0.113.7, 203.0.113.9", 403},
		{"one of another network", "10.2.2.3:9", "203.0.113.7", 403},
		{"one that says nothing", "10.1.2.3:9", "", 403},
	} {
		if got := ask(tt.from, tt.forwarded); got != tt.code {
			t.Errorf("%s: %d, want %d", tt.what, got, tt.code)
		}
	}
}

func TestFormsNameTheOrganisation(t *testing.T) {
	w := newWorld(t)
	w.connect()
	b := w.browser()
	rec := b.post(signInURL, url.Values{"org": {" ACME "}, "to": {"/admin/people?a=1&b=2"}})
	want := `content="0; url=/admin/sign-in/acme/start?to=%2Fadmin%2Fpeople%3Fa%3D1%26b%3D2"`
	if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), want) || strings.Count(rec.Body.String(), "<h1>") != 1 {
		t.Errorf("%d %s; want %s", rec.Code, rec.Body, want)
	}
	evil := `"><script>alert(1)</script>`
	for _, rec := range []string{
		b.post(signInURL, url.Values{"org": {evil}}).Body.String(), b.get(signInURL + "?" + url.Values{"org": {evil}, "to": {evil}}.Encode()).Body.String(),
		b.get(public + "/admin/sign-in/" + url.PathEscape(evil) + "/start").Body.String(),
	} {
		if strings.Contains(rec, "<script") {
			t.Errorf("a page has what a link said: %s", rec)
		}
	}
	var texts []string
	_, err := w.cloud.CreateOrg(t.Context(), operator, cloud.Org{ID: "quiet"})
	w.ok(err)
	for _, org := range []string{"quiet", "nobody"} {
		rec := b.get(public + "/admin/sign-in/" + org + "/start")
		b.refused(org, rec, http.StatusNotFound, "No organisation of this name")
		texts = append(texts, strings.ReplaceAll(rec.Body.String(), org, "ORG"))
	}
	if !slices.Equal(texts[:1], texts[1:]) {
		t.Error("who asks learns which organisations there are")
	}
	if rec := b.post(signInURL, url.Values{"code": {strings.Repeat("x", 10<<10)}}); rec.Code != http.StatusBadRequest {
		t.Errorf("a form of 10 KiB: %d, want 400", rec.Code)
	}
}

func TestPublicURL(t *testing.T) {
	w := newWorld(t)
	for _, bad := range []string{"", "cloud.example", "http://cloud.example", "https://", "https://cloud.example/admin", "https://u:p@cloud.example", "ftp://127.0.0.1", "https://cloud.example?x"} {
		if _, err := signin.NewService(w.cloud, signin.Options{PublicURL: bad, Secret: make([]byte, 32)}); err == nil || !strings.Contains(err.Error(), "public URL") {
			t.Errorf("%q: %v, want a refusal", bad, err)
		}
	}
	for _, good := range []string{"https://cloud.example/", "https://cloud.example:8443", "http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1"} {
		if _, err := signin.NewService(w.cloud, signin.Options{PublicURL: good, Secret: make([]byte, 32)}); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	if _, err := signin.NewService(w.cloud, signin.Options{PublicURL: public, Secret: []byte("short")}); err == nil {
		t.Error("a short secret was taken")
	}
}
