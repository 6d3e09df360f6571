package signin_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
	"latchkey/cloud/admin/signin/oidctest"
)

const (
	tenant     = "https://login.microsoftonline.com/8b9d1c5e-4c1f-4e0e-9b57-3f0c1c0e5a11/v2.0"
	everybodys = "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"
)

func TestConnectionsThatCannotBe(t *testing.T) {
	w := newWorld(t)
	good := signin.Request{Issuer: issuer, ClientID: oidctest.ClientID, Secret: oidctest.Secret}
	for name, tt := range map[string]struct {
		change func(*signin.Request)
		attr   string
	}{
		"no issuer":         {func(q *signin.Request) { q.Issuer = "" }, "issuer"},
		"plain issuer":      {func(q *signin.Request) { q.Issuer = "http://acme.okta.example" }, "issuer"},
		"this machine":      {func(q *signin.Request) { q.Issuer = "http://127.0.0.1:1" }, "issuer"},
		"with a query":      {func(q *signin.Request) { q.Issuer += "?x=y" }, "issuer"},
		"with a password":   {func(q *signin.Request) { q.Issuer = "https://u:p@acme.okta.example" }, "issuer"},
		"common":            {func(q *signin.Request) { q.Issuer = "https://login.microsoftonline.com/common/v2.0" }, "issuer"},
		"organizations":     {func(q *signin.Request) { q.Issuer = "https://login.microsoftonline.com/organizations/v2.0" }, "issuer"},
		"consumers":         {func(q *signin.Request) { q.Issuer = "https://login.microsoftonline.com/consumers/v2.0" }, "issuer"},
		"personal accounts": {func(q *signin.Request) { q.Issuer = everybodys }, "issuer"},
		"a tenant's name":   {func(q *signin.Request) { q.Issuer = "https://login.microsoftonline.com/acme.onmicrosoft.com/v2.0" }, "issuer"},
		"Entra's v1":        {func(q *signin.Request) { q.Issuer = "https://sts.windows.net/8b9d1c5e-4c1f-4e0e-9b57-3f0c1c0e5a11/" }, "issuer"},
		"no client":         {func(q *signin.Request) { q.ClientID = " " }, "client_id"},
		"no secret":         {func(q *signin.Request) { q.Secret = "" }, "client_secret"},
		"two lines":         {func(q *signin.Request) { q.Secret = "a\nb" }, "client_secret"},
		"no domain":         {func(q *signin.Request) { q.Domains = []string{"acme"} }, "domains"},
		"a URL as a domain": {func(q *signin.Request) { q.Domains = []string{"acme.example/x"} }, "domains"},
	} {
		q := good
		tt.change(&q)
		err := w.signin.Set(t.Context(), operator, "acme", q)
		if invalid, ok := errors.AsType[*cloud.Invalid](err); !ok || invalid.Attr != tt.attr {
			t.Errorf("%s: %v, want *Invalid of %s", name, err, tt.attr)
		}
	}
	if got := w.provider.Requests(); len(got) != 0 {
		t.Errorf("the provider was asked %q", got)
	}
	if err := w.signin.Set(t.Context(), operator, "nobody", good); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("no organisation: %v", err)
	}
	if err := w.signin.Off(t.Context(), operator, "acme"); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("off: %v", err)
	}
}

// TestPlainProviderOfThisMachine: where the cloud itself is for this machine
// alone, so may its provider be.
func TestPlainProviderOfThisMachine(t *testing.T) {
	w := newWorldAt(t, "http://127.0.0.1:8480", "http://localhost:9000")
	w.connect()
	st, err := w.signin.Status(t.Context(), "acme")
	w.ok(err)
	if st.Issuer != "http://localhost:9000" || st.Problem != "" || st.RedirectURI != "http://127.0.0.1:8480/admin/sign-in/acme/callback" || st.StartURL != "http://127.0.0.1:8480/admin/sign-in/acme/start" {
		t.Errorf("status %+v", st)
	}
}

// TestSecretIsSealed: neither the database, nor the audit trail, nor an answer
// has the client's secret.
func TestSecretIsSealed(t *testing.T) {
	w := newWorld(t)
	w.connect()
	doc, err := w.cloud.Setting(t.Context(), "acme", cloud.SettingSignIn)
	w.ok(err)
	entries, err := w.cloud.Audit(t.Context(), "acme", "", 100)
	w.ok(err)
	trail, err := json.Marshal(entries)
	w.ok(err)
	st, err := w.signin.Status(t.Context(), "acme")
	w.ok(err)
	status, err := json.Marshal(st)
	w.ok(err)
	for what, text := range map[string]string{"setting": string(doc), "audit trail": string(trail), "status": string(status)} {
		if strings.Contains(text, "a-client") {
			t.Errorf("%s has the secret: %s", what, text)
		}
	}
	if !strings.Contains(string(trail), `"set sign-in provider"`) || !strings.Contains(string(trail), `"a new one"`) {
		t.Errorf("audit trail %s", trail)
	}
	other, err := signin.NewService(w.cloud, signin.Options{PublicURL: public, Secret: []byte("a secret of another machine"), Transport: w.provider.Transport()})
	w.ok(err)
	if st, err := other.Status(t.Context(), "acme"); err != nil || !strings.Contains(st.Problem, "Set it again") {
		t.Errorf("with another key: %+v, %v", st, err)
	}
	// A secret is its issuer's and client's.
	for _, q := range []signin.Request{{Issuer: issuer, ClientID: "another"}, {Issuer: issuer + "/2", ClientID: oidctest.ClientID}} {
		if err := w.signin.Set(t.Context(), operator, "acme", q); err == nil || !strings.Contains(err.Error(), "client_secret") {
			t.Errorf("%+v: %v, want a refusal", q, err)
		}
	}
}

// TestEntraUserNames: of Entra ID the user principal name counts, because its
// e-mail is what anybody who may edit a user wrote there.
func TestEntraUserNames(t *testing.T) {
	w := newWorldAt(t, public, tenant)
	w.connect()
	for name, tt := range map[string]struct {
		claims map[string]any
		in     bool
		words  string
	}{
		"user name":               {map[string]any{"preferred_username": "ann@acme.example"}, true, ""},
		"user name, other e-mail": {map[string]any{"preferred_username": "ann@acme.example", "email": "bob@acme.example"}, true, ""},
		"e-mail of one's own":     {map[string]any{"preferred_username": "eve@acme.example", "email": "ann@acme.example"}, false, "You came as eve@acme.example"},
		"e-mail with proof":       {map[string]any{"preferred_username": "a.ashe@acme.example", "email": "ann@acme.example", "xms_edov": true}, true, ""},
		"e-mail with proof, as 1": {map[string]any{"preferred_username": "a.ashe@acme.example", "email": "ann@acme.example", "xms_edov": "1"}, true, ""},
		"e-mail without proof":    {map[string]any{"preferred_username": "eve@acme.example", "email": "ann@acme.example", "xms_edov": false}, false, "You came as eve@acme.example"},
		"e-mail alone":            {map[string]any{"email": "ann@acme.example"}, false, "did not say your user name"},
		"a number":                {map[string]any{"preferred_username": "+49 170 000000", "email": "ann@acme.example"}, false, "did not say your user name"},
	} {
		w.provider.SignIn(tt.claims)
		b := w.browser()
		rec := b.signIn()
		if tt.in {
			b.isIn(name, signin.Owner)
		} else {
			b.refused(name, rec, 403, tt.words)
		}
	}
}
