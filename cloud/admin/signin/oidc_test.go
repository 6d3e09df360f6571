package signin_test

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
	"latchkey/cloud/admin/signin/oidctest"
)

func TestAccountSignsIn(t *testing.T) {
	w := newWorld(t)
	w.connect()
	w.provider.Requests()
	b := w.browser()
	rec := b.get(b.start("?to=/admin/people"))
	if rec.Code != http.StatusSeeOther || rec.Header().Get("Location") != "/admin/people" {
		t.Fatalf("%d to %q: %s", rec.Code, rec.Header().Get("Location"), rec.Body)
	}
	v := b.isIn("by account", signin.Owner)
	if want := (signin.Visitor{Org: "acme", Name: "Ann Ashe", Email: "ann@acme.example", Role: signin.Owner, Actor: "ann@acme.example (owner)"}); v != want {
		t.Errorf("visitor %+v, want %+v", v, want)
	}
	if len(b.cookies) != 1 {
		t.Errorf("cookies %v, want the session's alone", b.cookies)
	}
	if got := w.audited(); !slices.Equal(got, []string{"ann@acme.example"}) {
		t.Errorf("audit trail %q", got)
	}
	// What the provider says of itself is asked for once an hour, its keys once.
	w.browser().signIn()
	want := []string{"/.well-known/openid-configuration", "/authorize", "/token", "/keys", "/authorize", "/token"}
	if got := w.provider.Requests(); !slices.Equal(got, want) {
		t.Errorf("requests %q, want %q", got, want)
	}
	w.ok(w.provider.NewKey())
	b = w.browser()
	b.signIn()
	b.isIn("after the provider's new key", signin.Owner)
	w.later(time.Hour)
	w.provider.Requests()
	w.browser().signIn()
	if got := w.provider.Requests(); !slices.Contains(got, "/.well-known/openid-configuration") {
		t.Errorf("requests after an hour %q", got)
	}
}

// TestProviderLies: nothing but an honest answer lets anybody in, and the words
// say what is wrong.
func TestProviderLies(t *testing.T) {
	w := newWorld(t)
	w.connect()
	now := w.now()
	for name, tt := range map[string]struct {
		lies   oidctest.Lies
		status int
		words  string
		audit  bool
	}{
		"another nonce":        {oidctest.Lies{Claims: map[string]any{"nonce": "another"}}, 403, "belongs to another sign-in", true},
		"no nonce":             {oidctest.Lies{Claims: map[string]any{"nonce": nil}}, 403, "belongs to another sign-in", true},
		"another app":          {oidctest.Lies{Claims: map[string]any{"aud": "another"}}, 403, "does not hold", true},
		"several apps":         {oidctest.Lies{Claims: map[string]any{"aud": []string{oidctest.ClientID, "another"}}}, 403, "for another app", true},
		"another's app":        {oidctest.Lies{Claims: map[string]any{"azp": "another"}}, 403, "for another app", true},
		"another issuer":       {oidctest.Lies{Claims: map[string]any{"iss": "https://evil.example"}}, 403, "does not hold", true},
		"expired":              {oidctest.Lies{Claims: map[string]any{"exp": now.Add(-time.Second).Unix()}}, 403, "The clocks of your provider and of this cloud are apart", true},
		"of tomorrow":          {oidctest.Lies{Claims: map[string]any{"iat": now.Add(24 * time.Hour).Unix()}}, 403, "The clocks", true},
		"no subject":           {oidctest.Lies{Claims: map[string]any{"sub": ""}}, 403, "cannot be read", true},
		"not signed":           {oidctest.Lies{NoneAlg: true}, 403, "does not hold", true},
		"signed by the secret": {oidctest.Lies{Symmetric: true}, 403, "does not hold", true},
		"another key":          {oidctest.Lies{OtherKey: true}, 403, "does not hold", true},
		"unverified":           {oidctest.Lies{Claims: map[string]any{"email_verified": false}}, 403, "is not verified", true},
		"unverified, in words": {oidctest.Lies{Claims: map[string]any{"email_verified": "false"}}, 403, "is not verified", true},
		"no address":           {oidctest.Lies{Claims: map[string]any{"email": nil, "preferred_username": "ann@acme.example"}}, 403, "did not say your email", true},
		"no real address":      {oidctest.Lies{Claims: map[string]any{"email": "ann"}}, 403, "no address that can be used", true},
		"a lookalike":          {oidctest.Lies{Claims: map[string]any{"email": "an\u212A@acme.example"}}, 403, "no address that can be used", true},
		"claims of no kind":    {oidctest.Lies{Claims: map[string]any{"email": 7}}, 403, "cannot be read", true},
		"no ID token":          {oidctest.Lies{NoToken: true}, 502, "sent no ID token", false},
		"denied":               {oidctest.Lies{Deny: "access_denied"}, 403, "did not let you in: access denied.", false},
		"denied in odd words":  {oidctest.Lies{Deny: "<script>"}, 403, "did not let you in.", false},
		"another state":        {oidctest.Lies{OtherState: true}, 400, "not begun in this browser", false},
		"wrong secret":         {oidctest.Lies{BadSecret: true}, 502, "does not take the cloud&#39;s client secret", false},
		"token answers 500":    {oidctest.Lies{Status: map[string]int{"/token": 500}}, 502, "answered with an error (500)", false},
		"token never ends":     {oidctest.Lies{Long: "/token"}, 502, "what is no OpenID Connect", false},
		"token leads away":     {oidctest.Lies{Elsewhere: "/token"}, 502, "answered with an error (302)", false},
		"keys answer 500":      {oidctest.Lies{Status: map[string]int{"/keys": 500}, OtherKey: true}, 502, "does not say the keys", false},
		"keys never end":       {oidctest.Lies{Long: "/keys", OtherKey: true}, 502, "does not say the keys", false},
	} {
		t.Run(name, func(t *testing.T) {
			w.T = t
			before := len(w.audited())
			w.provider.Lie(tt.lies)
			defer w.provider.Lie(oidctest.Lies{})
			b := w.browser()
			b.from = name // an address of its own
			rec := b.signIn()
			b.refused(name, rec, tt.status, tt.words)
			if strings.Contains(rec.Body.String(), "words of the provider") || strings.Contains(rec.Body.String(), "a secret of") {
				t.Errorf("the page has the provider's words: %s", rec.Body)
			}
			if got := w.audited(); len(got)-before != map[bool]int{true: 1}[tt.audit] || tt.audit && !strings.HasPrefix(got[0], "an account of "+issuer+": ") {
				t.Errorf("audit trail %q", got)
			}
			if len(b.cookies) != 0 {
				t.Errorf("cookies %v are left", b.cookies)
			}
		})
		w.T = t
		w.later(time.Minute)
	}
	if log := w.log.String(); strings.Contains(log, oidctest.Secret) || strings.Contains(log, url.QueryEscape(oidctest.Secret)) {
		t.Error("the log has the client's secret")
	}
	b := w.browser()
	b.signIn()
	b.isIn("an honest answer", signin.Owner)
}

// TestDiscoveryLies: a provider that is not what it should be is told at once,
// when it is set.
func TestDiscoveryLies(t *testing.T) {
	w := newWorld(t)
	const path = "/.well-known/openid-configuration"
	for name, tt := range map[string]struct {
		lies  oidctest.Lies
		words string
	}{
		"another issuer":   {oidctest.Lies{Discovery: map[string]any{"issuer": "https://other.example"}}, `calls itself "https://other.example"`},
		"plain keys":       {oidctest.Lies{Discovery: map[string]any{"jwks_uri": "http://acme.okta.example/keys"}}, "no OpenID Connect"},
		"keys of loopback": {oidctest.Lies{Discovery: map[string]any{"jwks_uri": "http://127.0.0.1/keys"}}, "no OpenID Connect"},
		"no token":         {oidctest.Lies{Discovery: map[string]any{"token_endpoint": nil}}, "no OpenID Connect"},
		"plain authorize":  {oidctest.Lies{Discovery: map[string]any{"authorization_endpoint": "javascript:alert(1)"}}, "no OpenID Connect"},
		"error":            {oidctest.Lies{Status: map[string]int{path: 500}}, "no OpenID Connect"},
		"does not end":     {oidctest.Lies{Long: path}, "no OpenID Connect"},
		"leads away":       {oidctest.Lies{Elsewhere: path}, "no OpenID Connect"},
	} {
		w.provider.Lie(tt.lies)
		err := w.signin.Set(t.Context(), operator, "acme", signin.Request{Issuer: issuer, ClientID: oidctest.ClientID, Secret: oidctest.Secret})
		if _, ok := errors.AsType[*cloud.Invalid](err); !ok || !strings.Contains(err.Error(), tt.words) || strings.Contains(err.Error(), "a secret of") {
			t.Errorf("%s: %v, want *Invalid with %q", name, err, tt.words)
		}
	}
	if st, err := w.signin.Status(t.Context(), "acme"); err != nil || st.Issuer != "" {
		t.Errorf("%+v, %v; want no provider", st, err)
	}
}

// TestStrangersLeaveNoTrail: who has no account anywhere begins a sign-in and
// makes its answers up. An audit trail is kept for good and is not theirs to
// fill.
func TestStrangersLeaveNoTrail(t *testing.T) {
	w := newWorld(t)
	w.connect()
	for _, answer := range []url.Values{{"error": {"access_denied"}}, {"code": {"made up"}}, {"code": {""}}, {}} {
		b := w.browser()
		at, err := url.Parse(b.get(public + "/admin/sign-in/acme/start").Header().Get("Location"))
		w.ok(err)
		answer.Set("state", at.Query().Get("state"))
		b.refused(answer.Encode(), b.get(public+"/admin/sign-in/acme/callback?"+answer.Encode()), http.StatusForbidden, "")
	}
	if got := w.audited(); len(got) > 0 {
		t.Errorf("audit trail %q, want nothing", got)
	}
}

func TestProviderIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.connect()
		b := w.browser()
		callback := b.start("")
		w.provider.Lie(oidctest.Lies{Stalled: "/token"})
		began := time.Now()
		b.refused("slow token", b.get(callback), http.StatusBadGateway, "did not answer within 10s")
		if took := time.Since(began); took != 10*time.Second {
			t.Errorf("took %v, want 10 s", took)
		}
		w.later(time.Hour)
		w.provider.Lie(oidctest.Lies{Stalled: "/.well-known/openid-configuration"})
		b.refused("slow discovery", b.get(public+"/admin/sign-in/acme/start"), http.StatusBadGateway, "did not answer within 10s")
		st, err := w.signin.Status(t.Context(), "acme")
		if err != nil || !strings.Contains(st.Problem, "did not answer") {
			t.Errorf("%+v, %v", st, err)
		}
		w.provider.Lie(oidctest.Lies{})
		b.signIn()
		b.isIn("once it answers", signin.Owner)
	})
}

// TestWayIsOneBrowsers: an answer of the provider's is worth nothing in another
// browser, a second time, too late, or for another connection.
func TestWayIsOneBrowsers(t *testing.T) {
	w := newWorld(t)
	w.connect()
	begun := "not begun in this browser"
	b := w.browser()
	callback := b.start("")
	other := w.browser()
	other.refused("another browser", other.get(callback), 400, begun)
	other.start("")
	other.refused("another browser on its own way", other.get(callback), 400, begun)
	again := b.copy()
	b.get(callback)
	b.isIn("the browser", signin.Owner)
	again.refused("a second time", again.get(callback), 403, "used already")
	forged := w.browser()
	forged.cookies["__Host-latchkey-sign-in"] = "eyJ0byI6Ii8ifQ"
	forged.refused("a cookie of one's own", forged.get(callback), 400, begun)
	late := w.browser()
	callback = late.start("")
	w.later(10 * time.Minute)
	late.refused("too late", late.get(callback), 400, begun)
	mixed := w.browser()
	callback = strings.Replace(mixed.start(""), url.QueryEscape(issuer), url.QueryEscape("https://evil.example"), 1)
	mixed.refused("another provider's answer", mixed.get(callback), 409, "another provider")
	gone := w.browser()
	callback = gone.start("")
	w.ok(w.signin.Off(t.Context(), operator, "acme"))
	gone.refused("switched off", gone.get(callback), 404, "No organisation of this name")
}

func TestWhoMayComeIn(t *testing.T) {
	w := newWorld(t)
	w.connect("acme.example", "acme.test")
	for email, words := range map[string]string{
		"bob@acme.test": "You came as bob@acme.test, and that is no administrator of acme.", "ann@evil.example": "Addresses of evil.example may not sign in here.",
		"ann@sub.acme.example": "Addresses of sub.acme.example", "ann@acme.example.evil": "Addresses of",
	} {
		w.provider.SignIn(map[string]any{"email": email, "email_verified": true, "sub": email})
		b := w.browser()
		b.refused(email, b.signIn(), 403, words)
	}
	w.provider.SignIn(map[string]any{"email": "ann@acme.example", "email_verified": true})
	ann := w.browser()
	ann.signIn()
	w.provider.SignIn(map[string]any{"email": "ann@acme.example", "email_verified": true, "sub": "subject-2"})
	b := w.browser()
	b.refused("another account", b.signIn(), 403, "came with another account before")
	ann.isIn("the first account", signin.Owner)
}

// TestR2SessionsEnd: a change of role ends a session at its next request, at
// every process.
func TestR2SessionsEnd(t *testing.T) {
	w := newWorld(t)
	w.connect()
	b := w.browser()
	b.signIn()
	other := w.browser()
	other.handler = w.service(public).Handler()
	other.get(other.start("")) // begins and ends at the other process
	half := w.browser()
	callback := half.start("")
	half.handler = other.handler
	half.get(callback) // begins at one and ends at the other
	for _, b := range []*browser{b, other, half} {
		b.isIn("before", signin.Owner)
	}
	w.administrator("bob@acme.example", "owner")
	w.administrator("ann@acme.example", "viewer")
	for _, b := range []*browser{b, other, half} {
		b.isOut("with another role")
	}
	b.signIn()
	b.isIn("viewer", signin.Viewer)
	w.ok(w.cloud.DeleteAdministrator(t.Context(), operator, "acme", "ann@acme.example"))
	b.isOut("removed")
	w.administrator("ann@acme.example", "admin")
	b.signIn()
	v := b.isIn("admin", signin.Admin)
	w.ok(w.signin.Set(t.Context(), v.Actor, "acme", signin.Request{Issuer: issuer, ClientID: oidctest.ClientID, Domains: []string{"acme.example"}}))
	b.isIn("after other domains", signin.Admin)
	w.ok(w.signin.Off(t.Context(), operator, "acme"))
	b.isOut("without the provider")
}

func TestR2AdminByRuleComesIn(t *testing.T) {
	w := newWorld(t)
	w.connect()
	ctx := t.Context()
	_, err := w.cloud.PutProperty(ctx, operator, "acme", cloud.Property{ID: "hq", Name: "HQ"})
	w.ok(err)
	_, err = w.cloud.CreateRule(ctx, operator, "acme", "hq", cloud.Rule{Name: "Admins", Enabled: true, Role: cloud.RoleAdmin})
	w.ok(err)
	caller := cloud.Caller{Org: "acme"}
	u, err := w.cloud.CreateUser(ctx, caller, map[string]any{"userName": "eve@acme.example", "active": true, "displayName": "Eve"})
	w.ok(err)
	w.provider.SignIn(map[string]any{"email": "EVE@acme.example", "sub": "eve"})
	b := w.browser()
	b.signIn()
	if v := b.isIn("by rule", signin.Admin); v.Name != "Eve" || v.Actor != "eve@acme.example (admin)" {
		t.Errorf("visitor %+v", v)
	}
	_, err = w.cloud.UpdateUser(ctx, caller, u.ID, "", false, func(attrs map[string]any) (map[string]any, error) {
		attrs["active"] = false
		return attrs, nil
	})
	w.ok(err)
	b.isOut("disabled by the directory")
	b.refused("disabled by the directory", b.signIn(), 403, "no administrator of acme")
}
