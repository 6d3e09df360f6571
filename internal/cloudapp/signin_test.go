package cloudapp

import (
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
	"latchkey/cloud/egress"
	"latchkey/cloud/okta"
)

// TestPagesAreBehindTheSignIn: the pages and the sign-in answer at the public
// URL alone, and to nobody who has not signed in; the API is as it was.
func TestPagesAreBehindTheSignIn(t *testing.T) {
	w := newWorld(t)
	ask := func(method, url string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, url, nil)
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		return rec
	}
	for _, tt := range []struct {
		method, url string
		code        int
		to          string
	}{
		{"GET", publicURL + "/admin/", http.StatusSeeOther, "/admin/sign-in"},
		{"GET", publicURL + "/admin/people", http.StatusSeeOther, "/admin/sign-in?to=%2Fadmin%2Fpeople"},
		{"GET", publicURL + "/admin/sign-in", http.StatusOK, ""},
		{"GET", publicURL + "/admin/static/style.css", http.StatusOK, ""},
		{"GET", publicURL + "/admin/sign-in/acme/start", http.StatusNotFound, ""},
		{"GET", publicURL + "/admin/sign-in/acme/callback", http.StatusBadRequest, ""},
		{"POST", publicURL + "/admin/sign-out", http.StatusSeeOther, "/admin/sign-in"},
		{"GET", "https://evil.example/admin/people", http.StatusTemporaryRedirect, publicURL + "/admin/people"},
		{"POST", "https://evil.example/admin/properties", http.StatusMisdirectedRequest, ""},
		{"POST", "https://evil.example/admin/sign-out", http.StatusMisdirectedRequest, ""},
		{"GET", "https://evil.example/admin/api/v1/orgs", http.StatusUnauthorized, ""},
	} {
		rec := ask(tt.method, tt.url)
		if rec.Code != tt.code || rec.Header().Get("Location") != tt.to {
			t.Errorf("%s %s: %d to %q, want %d to %q", tt.method, tt.url, rec.Code, rec.Header().Get("Location"), tt.code, tt.to)
		}
	}
	if rec := w.do("GET", "/admin/api/v1/orgs", adminToken, ""); rec.Code != http.StatusOK {
		t.Errorf("API: %d %s", rec.Code, rec.Body)
	}
}

func TestLocalURL(t *testing.T) {
	for at, want := range map[string]string{
		"127.0.0.1:8480": "http://127.0.0.1:8480", "127.0.0.2:1": "http://127.0.0.2:1", "[::1]:8480": "http://[::1]:8480",
		"0.0.0.0:8480": "http://127.0.0.1:8480", "[::]:8480": "http://127.0.0.1:8480", "192.0.2.1:80": "http://127.0.0.1:80",
	} {
		addr, err := net.ResolveTCPAddr("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		if got := localURL(addr); got != want {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
	}
}

// TestOwnersDoNotReachInside: behind a public URL an owner's provider cannot be
// a server beside the cloud; where the operator says so it can.
func TestOwnersDoNotReachInside(t *testing.T) {
	w := newWorld(t)
	if _, err := w.service.CreateOrg(t.Context(), "test", cloud.Org{ID: "acme"}); err != nil {
		t.Fatal(err)
	}
	for _, inside := range []bool{false, true} {
		var calls atomic.Int32
		srv := httptest.NewUnstartedServer(http.NotFoundHandler())
		srv.Config.ConnState = func(net.Conn, http.ConnState) { calls.Add(1) }
		srv.Config.ErrorLog = log.New(io.Discard, "", 0)
		srv.StartTLS()
		c := &serveCmd{Dir: t.TempDir(), PublicURL: publicURL, PrivateProviders: inside}
		_, door, err := c.sealed(w.service, srv.Listener.Addr(), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := door.Set(t.Context(), "test", "acme", signin.Request{Issuer: srv.URL, ClientID: "latchkey", Secret: "secret"}); err == nil {
			t.Error("a provider was taken")
		}
		_, err = c.outbound(okta.NewTransport()).RoundTrip(httptest.NewRequestWithContext(t.Context(), "GET", srv.URL, nil))
		if errors.Is(err, egress.ErrInside) == inside {
			t.Errorf("private providers %v: Okta: %v", inside, err)
		}
		if called := calls.Load() > 0; called != inside {
			t.Errorf("private providers %v: called %v", inside, called)
		}
		srv.Close()
	}
}
