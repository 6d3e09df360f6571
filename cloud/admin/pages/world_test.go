package pages_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/cloud/admin/pages"
	"latchkey/cloud/admin/signin"
	"latchkey/cloud/store"
)

const by = cloud.Actor("test")

// A world is the pages over a cloud of its own, and somebody who is signed in.
type world struct {
	testing.TB
	ctx     context.Context
	cloud   *cloud.Service
	app     http.Handler
	visitor signin.Visitor
	err     error // of asking who is there
	caller  cloud.Caller

	happened uint64 // events that north has reported
}

// Visitor is the world's own sign-in.
func (w *world) Visitor(*http.Request) (signin.Visitor, error) { return w.visitor, w.err }

// Protect is the real one, but for the host: a test's is what it happens to be.
func (w *world) Protect(next http.Handler) http.Handler { return signin.Guard(next) }

// as signs somebody in with a role.
func (w *world) as(role signin.Role) {
	w.visitor = signin.Visitor{Org: "acme", Name: "Ann Ashe", Email: "ann@acme.example", Role: role, Actor: cloud.Actor("ann@acme.example (" + role + ")")}
}

// newWorld is an organisation with a property "north" with two doors, two
// access groups, and no rule yet; an owner is signed in.
func newWorld(tb testing.TB) *world {
	tb.Helper()
	w := &world{TB: tb, ctx: tb.Context()}
	db, err := store.Open(w.ctx, filepath.Join(tb.TempDir(), "cloud.db"))
	w.ok(err)
	tb.Cleanup(func() { db.Close() })
	w.cloud, err = cloud.NewService(db, cloud.Options{})
	w.ok(err)
	w.app, err = pages.Handler(w.cloud, pages.Options{SignIn: w, TenantURL: "https://latchkey.example/scim/v2"})
	w.ok(err)
	w.as(signin.Owner)
	_, err = w.cloud.CreateOrg(w.ctx, by, cloud.Org{ID: "acme", Name: "Acme"})
	w.ok(err)
	_, secret, err := w.cloud.CreateToken(w.ctx, by, "acme", "Entra ID")
	w.ok(err)
	w.caller, err = w.cloud.Authenticate(w.ctx, secret)
	w.ok(err)
	w.property("north", "North building")
	return w
}

// property makes a property with doors and access groups.
func (w *world) property(site, name string) {
	w.Helper()
	_, err := w.cloud.PutProperty(w.ctx, by, "acme", cloud.Property{ID: site, Name: name, Wallet: true})
	w.ok(err)
	for _, d := range []access.Door{{ID: "front", Name: "Front door"}, {ID: "lab", Name: "Laboratory"}} {
		_, err = w.cloud.PutDoor(w.ctx, by, "acme", site, d)
		w.ok(err)
	}
	for _, g := range []cloud.AccessGroup{
		{ID: "staff", Name: "Staff", Grants: []cloud.DoorAccess{{Door: "front"}}},
		{ID: "science", Name: "Science", Grants: []cloud.DoorAccess{{Door: "front"}, {Door: "lab"}}},
	} {
		_, err = w.cloud.PutAccessGroup(w.ctx, by, "acme", site, g)
		w.ok(err)
	}
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatalf("unexpected error: %v", err)
	}
}

// user makes somebody as the directory does; card may be empty.
func (w *world) user(name, department, card string) string {
	w.Helper()
	u, err := w.cloud.CreateUser(w.ctx, w.caller, map[string]any{
		"userName": strings.ToLower(name) + "@acme.example", "displayName": name, "active": true,
		cloud.EnterpriseURN: map[string]any{"department": department, "cardNumber": card},
	})
	w.ok(err)
	return u.ID
}

// group makes a group of people as the directory does.
func (w *world) group(name string, members ...string) string {
	w.Helper()
	g, err := w.cloud.CreateGroup(w.ctx, w.caller, map[string]any{"displayName": name}, members)
	w.ok(err)
	return g.ID
}

// rule adds a rule to north for the access groups.
func (w *world) rule(name string, groups []string, conditions ...cloud.Condition) cloud.Rule {
	w.Helper()
	r, err := w.cloud.CreateRule(w.ctx, by, "acme", "north", cloud.Rule{Name: name, Enabled: true, Match: cloud.MatchAll, Conditions: conditions, Groups: groups})
	w.ok(err)
	return r
}

// An answer is what a browser would have got.
type answer struct {
	status int
	header http.Header
	body   string
}

// get asks for a page below pages.Root.
func (w *world) get(path string) answer {
	w.Helper()
	return w.send(httptest.NewRequest(http.MethodGet, pages.Root+path, nil))
}

// post sends a form: fields are names and values in turn.
func (w *world) post(path string, fields ...string) answer {
	w.Helper()
	form := url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, pages.Root+path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return w.send(r)
}

func (w *world) send(r *http.Request) answer {
	w.Helper()
	rec := httptest.NewRecorder()
	w.app.ServeHTTP(rec, r)
	body, err := io.ReadAll(rec.Result().Body)
	w.ok(err)
	return answer{rec.Code, rec.Header(), string(body)}
}

// wants checks an answer's status, and that all texts are in it.
func (w *world) wants(a answer, status int, texts ...string) {
	w.Helper()
	if a.status != status {
		w.Fatalf("status %d, want %d: %s %s", a.status, status, a.header.Get("Location"), a.body)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			w.Errorf("want %q in\n%s", text, a.body)
		}
	}
}

// goes checks that an answer sends the browser to a page below pages.Root.
func (w *world) goes(a answer, to string) {
	w.Helper()
	if a.status != http.StatusSeeOther || a.header.Get("Location") != pages.Root+to {
		w.Fatalf("status %d to %q, want 303 to %q: %s", a.status, a.header.Get("Location"), pages.Root+to, a.body)
	}
}

// containsAny says whether one of texts is in body.
func containsAny(body string, texts ...string) bool {
	return slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(body, text) })
}
