package pages_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"latchkey/cloud/admin/pages"
	"latchkey/cloud/admin/signin"
)

func TestHome(t *testing.T) {
	w := newWorld(t)
	w.wants(w.get(""), 200, "Acme", "No directory has called yet", `href="/admin/directory">Connect Entra ID or Okta`, `href="/admin/properties/north">North building`, "not syncing: no rule", "Its gateway has never been heard of")
	w.rule("All", []string{"staff"})
	w.wants(w.get(""), 200, "1 rule<")
}

func TestWhoIsSignedOutGoesToTheSignIn(t *testing.T) {
	w := newWorld(t)
	w.err = signin.ErrSignedOut
	w.goes(w.get(""), "sign-in")
	w.goes(w.get("properties/north?a=b"), "sign-in?to=%2Fadmin%2Fproperties%2Fnorth%3Fa%3Db")
	w.goes(w.get("no/such/page"), "sign-in?to=%2Fadmin%2Fno%2Fsuch%2Fpage")
	w.err = errors.New("the database has gone")
	a := w.get("")
	w.wants(a, 500, "That did not work")
	if strings.Contains(a.body, "database") {
		t.Error("a page says what is for the log")
	}
}

func TestNoSuchPage(t *testing.T) {
	w := newWorld(t)
	w.wants(w.get("no/such/page"), 404, "There is no such page")
	w.visitor.Org = "gone"
	w.wants(w.get(""), 404, "There is no such page")
}

// TestOtherPagesCannotPost sends what a browser sends when a page of somebody
// else's posts to ours.
func TestOtherPagesCannotPost(t *testing.T) {
	w := newWorld(t)
	for _, site := range []string{"cross-site", "same-site"} {
		r := httptest.NewRequest(http.MethodPost, pages.Root+"properties", strings.NewReader("id=mine&name=Mine"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", site)
		if a := w.send(r); a.status != http.StatusForbidden {
			t.Errorf("%s: status %d, want 403", site, a.status)
		}
	}
}

func TestHeaders(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"", "no/such/page", "static/app.js"} {
		h := w.get(path).header
		csp := h.Get("Content-Security-Policy")
		if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%q: Content-Security-Policy %q", path, csp)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%q: headers %v", path, h)
		}
	}
	if c := w.get("").header.Get("Cache-Control"); c != "no-store" {
		t.Errorf("a page may be kept: %q", c)
	}
}
