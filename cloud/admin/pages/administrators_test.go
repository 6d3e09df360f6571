package pages_test

import (
	"strings"
	"testing"

	"latchkey/cloud"
	"latchkey/cloud/admin/pages"
	"latchkey/cloud/admin/signin"
	"latchkey/cloud/admin/signin/oidctest"
)

const issuer = "https://acme.okta.example"

// accounts lets the world's pages connect a simulated provider at issuer.
func (w *world) accounts() *oidctest.Provider {
	w.Helper()
	provider, err := oidctest.New(issuer, nil)
	w.ok(err)
	door, err := signin.NewService(w.cloud, signin.Options{
		PublicURL: "https://latchkey.example", Secret: []byte("a secret that is in a file of its own"), Transport: provider.Transport(),
	})
	w.ok(err)
	w.app, err = pages.Handler(w.cloud, pages.Options{SignIn: w, TenantURL: "https://latchkey.example/scim/v2", Accounts: door})
	w.ok(err)
	return provider
}

// roleOf is the role of an administrator, empty where there is no such one.
func (w *world) roleOf(email string) string {
	w.Helper()
	all, err := w.cloud.Administrators(w.ctx, "acme")
	w.ok(err)
	for _, a := range all {
		if a.Email == email {
			if a.By != w.visitor.Actor {
				w.Errorf("%s was made by %q, want %q", email, a.By, w.visitor.Actor)
			}
			return a.Role
		}
	}
	return ""
}

func TestAdministrators(t *testing.T) {
	w := newWorld(t)
	w.wants(w.get("administrators"), 200, "Nobody is named yet", "by codes alone")
	w.goes(w.post("administrators", "email", "Ann@acme.example", "role", "owner"), "administrators?did=administrator-added")
	w.goes(w.post("administrators", "email", "bob@acme.example", "role", "viewer"), "administrators?did=administrator-added")
	w.wants(w.get("administrators"), 200, `ann@acme.example</span> <span class="badge">you</span>`, "bob@acme.example", "has not signed in")

	w.wants(w.post("administrators", "email", "BOB@acme.example", "role", "owner"), 422, "is on the list already", `value="BOB@acme.example"`, `value="owner" checked`)
	w.wants(w.post("administrators", "email", "<b>nobody", "role", "viewer"), 422, "Email: got", `value="&lt;b&gt;nobody"`)
	w.wants(w.post("administrators", "email", "eve@acme.example", "role", "king"), 422, "want owner, admin or viewer")
	if got := w.roleOf("bob@acme.example"); got != "viewer" {
		t.Errorf("bob is %q, want viewer", got)
	}

	w.goes(w.post("administrators/role", "email", "bob@acme.example", "role", "admin"), "administrators?did=administrator-changed")
	if got := w.roleOf("bob@acme.example"); got != "admin" {
		t.Errorf("bob is %q, want admin", got)
	}
	w.wants(w.post("administrators/role", "email", "ann@acme.example", "role", "admin"), 422, "the last owner")
	w.wants(w.post("administrators/remove", "email", "ann@acme.example"), 422, "the last owner")
	w.goes(w.post("administrators/remove", "email", "bob@acme.example"), "administrators?did=administrator-removed")
	if got := w.roleOf("bob@acme.example"); got != "" {
		t.Errorf("bob is %q, want off the list", got)
	}
	for _, path := range []string{"role", "remove"} { // nobody is added by a change
		w.wants(w.post("administrators/"+path, "email", "bob@acme.example", "role", "owner"), 404)
	}
	for _, path := range []string{"accounts", "accounts/off"} {
		w.wants(w.post("administrators/"+path, accountsForm("s")...), 404)
	}
}

// TestAdministratorsOfOthers names somebody at another organisation, and wants
// no page of this one to reach them.
func TestAdministratorsOfOthers(t *testing.T) {
	w := newWorld(t)
	_, err := w.cloud.CreateOrg(w.ctx, by, cloud.Org{ID: "other", Name: "Other"})
	w.ok(err)
	_, err = w.cloud.PutAdministrator(w.ctx, by, "other", "eve@other.example", "viewer")
	w.ok(err)
	if strings.Contains(w.get("administrators").body, "eve@other.example") {
		t.Error("another organisation's administrator is shown")
	}
	w.wants(w.post("administrators/role", "email", "eve@other.example", "role", "owner"), 404)
	w.wants(w.post("administrators/remove", "email", "eve@other.example"), 404)
}

func TestAdministratorsAreForOwners(t *testing.T) {
	w := newWorld(t)
	w.accounts()
	for _, role := range []signin.Role{signin.Viewer, signin.Admin} {
		w.as(role)
		w.wants(w.get("administrators"), 403)
		for _, path := range []string{"", "/role", "/remove", "/sign-out", "/accounts", "/accounts/off"} {
			w.wants(w.post("administrators"+path, "email", "eve@acme.example", "role", "owner"), 403)
		}
	}
}

func TestSignAllOut(t *testing.T) {
	w := newWorld(t)
	code, _, err := w.cloud.MakeSignInCode(w.ctx, by, "acme")
	w.ok(err)
	secret, _, err := w.cloud.SignInByCode(w.ctx, code)
	w.ok(err)
	_, err = w.cloud.Session(w.ctx, secret)
	w.ok(err)
	w.goes(w.post("administrators/sign-out"), "administrators")
	if _, err := w.cloud.Session(w.ctx, secret); err == nil {
		t.Error("a session goes on")
	}
}

// accountsForm is the form of the sign-in, with a client secret.
func accountsForm(secret string) []string {
	return []string{"issuer", issuer, "client_id", oidctest.ClientID, "client_secret", secret, "domains", "acme.example\r\n acme.test, "}
}

func TestAccounts(t *testing.T) {
	w := newWorld(t)
	provider := w.accounts()
	w.wants(w.get("administrators"), 200, "https://latchkey.example/admin/sign-in/acme/callback", "People come in by codes alone")
	w.wants(w.post("administrators/accounts", accountsForm("")...), 422, "Client secret: is required")
	w.wants(w.post("administrators/accounts", "issuer", "https://login.microsoftonline.com/common/v2.0", "client_id", "<i>x", "client_secret", "s", "domains", "no domain"),
		422, "vouches for nobody", "common/v2.0", "&lt;i&gt;x", "no domain")
	provider.Lie(oidctest.Lies{Discovery: map[string]any{"issuer": "https://elsewhere.example"}})
	w.wants(w.post("administrators/accounts", accountsForm(oidctest.Secret)...), 422, "Issuer:")
	provider.Lie(oidctest.Lies{})

	w.goes(w.post("administrators/accounts", accountsForm(oidctest.Secret)...), "administrators?did=accounts-set")
	a := w.get("administrators")
	w.wants(a, 200, "people can sign in", issuer, `value="`+oidctest.ClientID+`"`, "acme.example\nacme.test")
	if strings.Contains(a.body, oidctest.Secret) {
		t.Error("the client secret is on the page")
	}
	w.goes(w.post("administrators/accounts", accountsForm("")...), "administrators?did=accounts-set") // keeps the secret
	w.goes(w.post("administrators/accounts/off"), "administrators?did=accounts-off")
	w.wants(w.get("administrators"), 200, "People come in by codes alone")
	w.wants(w.post("administrators/accounts/off"), 404)
}
