package pages_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"latchkey/cloud"
)

// TestBrowserDirectory connects a directory as an owner would.
func TestBrowserDirectory(t *testing.T) {
	w := newWorld(t)
	w.user("Ada", "Lab", "10731")
	w.property("south", "South building")
	w.rule("Lab people", []string{"science"}, cloud.Condition{Attr: "department", Op: "eq", Value: "Lab"})
	b := newBrowser(t, w)
	b.open("directory")
	b.sees("https://latchkey.example/scim/v2", "SCIM is on")
	b.accessible("directory")

	b.fill("#label", "Okta")
	b.press("form[action$='/tokens'] button")
	b.sees("Copy it now", "shown only this once")
	secret := eval[string](b, `document.querySelector("#token").textContent`)
	caller, err := w.cloud.Authenticate(w.ctx, secret)
	w.ok(err)
	b.accessible("directory-newtoken")
	b.press("main .buttons a")
	b.goBack()
	b.hides(secret)
	b.open("directory")
	b.fill("#label", "Okta again")
	b.press("form[action$='/tokens'] button")
	again := eval[string](b, `document.querySelector("#token").textContent`)
	b.do(chromedp.Reload())
	b.sees("No token was made now")
	b.hides(again)

	caller.Client = "Okta SCIM Client 1.0.0"
	w.cloud.Observe(cloud.DirectoryCall{Caller: caller, What: "read users", Reads: true, Status: 200})
	for range 3 {
		w.cloud.Observe(cloud.DirectoryCall{Caller: caller, What: "create user", Status: 201})
	}
	w.cloud.Observe(cloud.DirectoryCall{Caller: caller, What: "update user", Status: 400, Kind: "invalidValue: cardNumber", Detail: "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:cardNumber: the card number is too wide for card format H10302 of 37 bits"})
	w.cloud.Observe(cloud.DirectoryCall{Caller: caller, What: "update group", Status: 404, Kind: "not found"})
	_, err = w.cloud.CreateUser(w.ctx, w.caller, map[string]any{
		"userName": "bob@acme.example", "favouriteColour": "green", "urn:ietf:params:scim:schemas:extension:acme:2.0:User": map[string]any{"card_number": "10732", "parking": true},
	})
	w.ok(err)

	b.open("directory/tokens/" + caller.Token)
	b.accessible("directory-token")
	b.open("directory/sync")
	b.sees("Okta SCIM Client 1.0.0", "South building")
	b.accessible("directory-sync")
	b.open("directory/unmapped")
	b.sees("favouriteColour", "Did you mean")
	b.accessible("directory-unmapped")
	b.open("directory/mapping")
	b.sees("tested by north: Lab people")
	b.accessible("directory-mapping")

	b.open("directory")
	eval[int](b, `document.querySelectorAll("details").forEach(d => { d.open = true }), 0`)
	b.press("form[action$='/scim'] button")
	b.sees("SCIM is off")
	if _, err := w.cloud.Authenticate(w.ctx, secret); !errors.Is(err, cloud.ErrSCIMDisabled) {
		t.Errorf("with SCIM off: %v", err)
	}
	b.accessible("directory-off")
}

// goBack presses the browser's button. What comes may be the browser's own page,
// which asks whether to send a form again.
func (b *browser) goBack() {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.NavigateBack()); err != nil && !strings.Contains(err.Error(), "ERR_CACHE_MISS") {
		b.Fatal(err)
	}
}

// hides wants a text to be nowhere in the page.
func (b *browser) hides(text string) {
	b.Helper()
	if strings.Contains(eval[string](b, `document.documentElement.outerHTML`), text) {
		b.Errorf("%q is in the page", text)
	}
}
