package signin_test

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
	"latchkey/cloud/admin/signin/oidctest"
	"latchkey/cloud/store"
	"latchkey/cloud/store/sqlitetest"
)

const (
	public   = "https://cloud.example"
	issuer   = "https://acme.okta.example/oauth2/default"
	operator = cloud.Actor("admin")
)

// A world is a cloud with the organisation acme, its sign-in, and a simulated
// provider at the issuer.
type world struct {
	*testing.T
	cloud    *cloud.Service
	db       *store.DB
	provider *oidctest.Provider
	signin   *signin.Service
	handler  http.Handler
	log      *bytes.Buffer

	mu    sync.Mutex
	clock time.Time
}

// emptyCloud is a cloud in which nothing happened.
var emptyCloud = sqlitetest.Template{Prepare: func(ctx context.Context, path string) error {
	db, err := store.Open(ctx, path)
	if err != nil {
		return err
	}
	return db.Close()
}}

func newWorld(t *testing.T) *world { return newWorldAt(t, public, issuer) }

func newWorldAt(t *testing.T, public, issuer string) *world {
	t.Helper()
	w := &world{T: t, log: &bytes.Buffer{}, clock: time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)}
	var err error
	w.db, err = store.Open(t.Context(), emptyCloud.Copy(t))
	w.ok(err)
	t.Cleanup(func() { w.db.Close() })
	w.cloud, err = cloud.NewService(w.db, cloud.Options{Now: w.now})
	w.ok(err)
	_, err = w.cloud.CreateOrg(t.Context(), operator, cloud.Org{ID: "acme", Name: "Acme"})
	w.ok(err)
	w.provider, err = oidctest.New(issuer, w.now)
	w.ok(err)
	w.provider.SignIn(map[string]any{"email": "Ann@acme.example", "email_verified": true, "name": "Ann Ashe"})
	w.signin = w.service(public)
	w.handler = w.signin.Handler()
	return w
}

// service is one process of the cloud's.
func (w *world) service(public string) *signin.Service {
	w.Helper()
	s, err := signin.NewService(w.cloud, signin.Options{
		PublicURL: public, Secret: []byte("a secret that is in a file of its own"), Transport: w.provider.Transport(), Now: w.now, Log: slog.New(slog.NewTextHandler(w.log, nil)),
	})
	w.ok(err)
	return s
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) later(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// connect lets acme's accounts sign in, and names ann an owner.
func (w *world) connect(domains ...string) {
	w.Helper()
	w.ok(w.signin.Set(w.Context(), operator, "acme", signin.Request{Issuer: w.provider.Issuer, ClientID: oidctest.ClientID, Secret: oidctest.Secret, Domains: domains}))
	w.administrator("ann@acme.example", "owner")
}

func (w *world) administrator(email, role string) {
	w.Helper()
	_, err := w.cloud.PutAdministrator(w.Context(), operator, "acme", email, role)
	w.ok(err)
}

func (w *world) code() string {
	w.Helper()
	c, err := w.signin.MakeCode(w.Context(), operator, "acme")
	w.ok(err)
	return c.Code
}

// audited are who and why not of the sign-ins in the audit trail, newest first.
func (w *world) audited() (all []string) {
	w.Helper()
	entries, err := w.cloud.Audit(w.Context(), "acme", "", 1000)
	w.ok(err)
	for _, e := range entries {
		if e.What == "sign in" {
			all = append(all, strings.TrimSuffix(string(e.Who)+": "+e.Error, ": "))
		}
	}
	return all
}

// A browser keeps the cookies of one host.
type browser struct {
	*world
	handler http.Handler
	cookies map[string]string
	set     []*http.Cookie // by the last answer
	from    string         // address
}

func (w *world) browser() *browser {
	return &browser{world: w, handler: w.handler, cookies: map[string]string{}, from: "203.0.113.5:4711"}
}

// copy is a browser with the same cookies.
func (b *browser) copy() *browser {
	c := *b
	c.cookies = maps.Clone(b.cookies)
	return &c
}

// request is one of the browser's, as it sends them from the pages themselves.
func (b *browser) request(method, target string, form url.Values) *http.Request {
	r := httptest.NewRequestWithContext(b.Context(), method, target, strings.NewReader(form.Encode()))
	r.RemoteAddr = b.from
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r
}

// do sends r and keeps the cookies of the answer.
func (b *browser) do(r *http.Request) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	b.handler.ServeHTTP(rec, r)
	b.set = rec.Result().Cookies()
	for _, c := range b.set {
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		} else {
			b.cookies[c.Name] = c.Value
		}
	}
	return rec
}

func (b *browser) get(target string) *httptest.ResponseRecorder {
	return b.do(b.request("GET", target, nil))
}

func (b *browser) post(target string, form url.Values) *httptest.ResponseRecorder {
	return b.do(b.request("POST", target, form))
}

// start goes to the provider and comes back with the URL to call.
func (b *browser) start(query string) (callback string) {
	b.Helper()
	rec := b.get(public + "/admin/sign-in/acme/start" + query)
	if rec.Code != http.StatusSeeOther {
		b.Fatalf("start: %d %s", rec.Code, rec.Body)
	}
	at := httptest.NewRecorder()
	b.provider.ServeHTTP(at, httptest.NewRequestWithContext(b.Context(), "GET", rec.Header().Get("Location"), nil))
	if at.Code != http.StatusFound {
		b.Fatalf("provider: %d %s", at.Code, at.Body)
	}
	return at.Header().Get("Location")
}

// signIn goes the whole way by the provider.
func (b *browser) signIn() *httptest.ResponseRecorder {
	b.Helper()
	return b.get(b.start(""))
}

// visitor is who the browser is.
func (b *browser) visitor() (signin.Visitor, error) {
	return b.signin.Visitor(b.request("GET", public+"/admin/", nil))
}

// isIn wants the browser to be signed in.
func (b *browser) isIn(what string, role signin.Role) signin.Visitor {
	b.Helper()
	v, err := b.visitor()
	if err != nil || v.Role != role || v.Org != "acme" {
		b.Errorf("%s: %+v, %v; want %s of acme", what, v, err, role)
	}
	return v
}

func (b *browser) isOut(what string) {
	b.Helper()
	if v, err := b.visitor(); err != signin.ErrSignedOut {
		b.Errorf("%s: %+v, %v; want ErrSignedOut", what, v, err)
	}
}

// refused wants an answer with a status and words, and nobody signed in.
func (b *browser) refused(what string, rec *httptest.ResponseRecorder, status int, words string) {
	b.Helper()
	if rec.Code != status || !strings.Contains(rec.Body.String(), words) || !strings.Contains(rec.Body.String(), `role="alert"`) {
		b.Errorf("%s: %d %s; want %d and %q", what, rec.Code, rec.Body, status, words)
	}
	b.isOut(what)
}
