package pages_test

import (
	"testing"

	"latchkey/cloud/admin/signin/oidctest"
)

// TestBrowserAdministrators adds an administrator, changes and removes another,
// and connects the organisation's accounts.
func TestBrowserAdministrators(t *testing.T) {
	w := newWorld(t)
	w.accounts()
	_, err := w.cloud.PutAdministrator(w.ctx, w.visitor.Actor, "acme", w.visitor.Email, "owner")
	w.ok(err)
	_, err = w.cloud.PutAdministrator(w.ctx, w.visitor.Actor, "acme", "bob@acme.example", "admin")
	w.ok(err)
	b := newBrowser(t, w)
	b.open("administrators")
	b.accessible("administrators-first")
	b.fill("#email", "cleo.with-a-rather-long-name@facilities.acme.example")
	b.press("form[action$='/administrators'] button")
	b.sees("They may come in now", "cleo.with-a-rather-long-name@facilities.acme.example")
	eval[int](b, `document.querySelectorAll("details").forEach(d => { d.open = true }), 0`)
	b.press(`form[action$='/remove']:has(input[value='bob@acme.example']) button`)
	b.sees("They are off the list")
	if got := w.roleOf("bob@acme.example"); got != "" {
		t.Errorf("bob is %q, want off the list", got)
	}

	b.fill("#issuer", issuer)
	b.fill("#client_id", oidctest.ClientID)
	b.fill("#client_secret", oidctest.Secret)
	b.press("form[action$='/accounts'] button")
	b.sees("The provider has answered", "people can sign in")
	b.hides(oidctest.Secret)
	eval[int](b, `document.querySelectorAll("details").forEach(d => { d.open = true }), 0`)
	b.accessible("administrators")
}
