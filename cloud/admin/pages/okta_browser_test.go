package pages_test

import (
	"strings"
	"testing"
	"time"

	"latchkey/cloud/okta/oktatest"
)

// TestBrowserOkta connects an Okta, reads what it would do, and lets it.
func TestBrowserOkta(t *testing.T) {
	w := newWorld(t)
	w.simulate(14)
	b := newBrowser(t, w)
	b.open("directory/okta")
	b.sees("Okta says nothing over SCIM when it suspends somebody", "Connect")
	b.accessible("okta-connect")
	b.fill("#domain", "acme-admin.okta.com")
	b.fill("#token", oktatest.Token)
	b.press("form[action$='/okta'] button")
	b.sees("Not saved", "which is the admin console")
	eval[int](b, `document.querySelectorAll("details").forEach(d => { d.open = true }), 0`)
	b.accessible("okta-refused")
	b.fill("#domain", "acme.okta.com")
	b.fill("#token", oktatest.Token)
	b.press("form[action$='/okta'] button")
	b.sees("Nothing is changed yet", "https://latchkey.example/okta/events/acme")
	hook := eval[string](b, `document.querySelector("#hook-secret").textContent`)
	b.accessible("okta-hook")

	b.press("main .buttons a")
	b.until("14 people gain access")
	b.hides(hook)
	b.hides(oktatest.Token)
	b.sees("Nobody loses access", "Person 13", "It waits for you")
	b.accessible("okta-forecast")
	w.people(0)
	b.press("form[action$='/confirm'] button")
	b.until("It is read")
	w.people(14)
	b.accessible("okta-read")
	b.show(screens()[1])
	b.open("directory/okta")
	if !eval[bool](b, `document.querySelector(".tabs [aria-current]").getBoundingClientRect().right <= innerWidth`) {
		t.Error("on a phone the tab that is open is out of sight")
	}
	b.show(screens()[0])

	eval[int](b, `document.querySelectorAll("details").forEach(d => { d.open = true }), 0`)
	b.press("form[action$='/off'] button")
	b.sees("Okta is not read any more", "Connect and read")
}

// until looks again until a text is on the page.
func (b *browser) until(text string) {
	b.Helper()
	for end := time.Now().Add(patience); !strings.Contains(b.text(), text); {
		if time.Now().After(end) {
			b.Fatalf("no %q on the page:\n%s", text, b.text())
		}
		b.open("directory/okta")
	}
}
