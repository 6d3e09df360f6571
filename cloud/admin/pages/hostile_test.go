package pages_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"latchkey/cloud"
	"latchkey/cloud/admin/pages"
	"latchkey/cloud/admin/signin"
)

// TestAddressesLeadNowhereElse: what somebody puts into an address never sends
// the browser to another host, or out of the pages.
func TestAddressesLeadNowhereElse(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"people/..%2f..%2f%5cevil.example/why", "people/..%2f..%2f%5cevil.example/why?at=north", "people/%0d%0aSet-Cookie:a=b/why"} {
		a := w.get(path)
		to, err := url.Parse(a.header.Get("Location"))
		if err != nil || a.status != http.StatusSeeOther || !strings.HasPrefix(to.EscapedPath(), pages.Root+"people/") || strings.Contains(a.header.Get("Location"), `\`) || a.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d to %q, %v; want a page of people", path, a.status, a.header.Get("Location"), err)
		}
	}
}

// A slowForm is a form of which nothing comes before something has happened.
type slowForm struct {
	happens func()
	io.Reader
}

func (f *slowForm) Read(b []byte) (int, error) {
	if f.happens != nil {
		f.happens()
		f.happens = nil
	}
	return f.Reader.Read(b)
}

// TestSlowFormIsJudgedAtItsEnd: who begins to send a form, and is no admin any
// more or signed out once it is there, does nothing with it.
func TestSlowFormIsJudgedAtItsEnd(t *testing.T) {
	w := newWorld(t)
	for _, tt := range map[string]struct {
		happens func()
		status  int
	}{
		"another role": {func() { w.as(signin.Viewer) }, http.StatusForbidden},
		"signed out":   {func() { w.err = signin.ErrSignedOut }, http.StatusSeeOther},
	} {
		w.as(signin.Admin)
		r := httptest.NewRequest(http.MethodPost, pages.Root+"properties", &slowForm{tt.happens, strings.NewReader("id=slow&name=Slow")})
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w.wants(w.send(r), tt.status)
		w.err = nil
	}
	if _, err := w.cloud.Property(w.ctx, "acme", "slow"); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("the property: %v, want ErrNotFound", err)
	}
}

// TestFilesAreNotListed: who is not signed in sees the two files of the pages
// that they know of, and no list.
func TestFilesAreNotListed(t *testing.T) {
	w := newWorld(t)
	w.err = signin.ErrSignedOut
	w.wants(w.get("static/app.js"), http.StatusOK, "use strict")
	for _, path := range []string{"static/", "static/..%2ftemplates%2fhome.html", "static/none.css"} {
		if a := w.get(path); a.status == http.StatusOK || strings.Contains(a.body, "app.js") || strings.Contains(a.body, "define") {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

// TestWhatIsNoText: PostgreSQL takes no zero byte and no odd UTF-8, so that one
// is refused before it is a fault in the log.
func TestWhatIsNoText(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"people/%00", "people/%ff", "people?after=%00", "audit?before=%ff", "people?%00=a"} {
		w.wants(w.get(path), http.StatusBadRequest)
	}
	w.wants(w.post("people/find", "search", "a\x00b"), http.StatusBadRequest)
}
