package admin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"latchkey/cloud"
	"latchkey/cloud/admin"
	"latchkey/cloud/store"
	"latchkey/cloud/store/sqlitetest"
)

const (
	token    = "an-administrator's-token"
	cloudKey = "latchkey-ed25519:cloud-1:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
)

// A world is the API over a cloud of its own.
type world struct {
	testing.TB
	cloud  *cloud.Service
	db     *store.DB
	api    http.Handler
	log    *bytes.Buffer
	tokens []string
	failed error // of reading the tokens
}

// emptyCloud is a cloud in which nothing happened.
var emptyCloud = sqlitetest.Template{Prepare: func(ctx context.Context, path string) error {
	db, err := store.Open(ctx, path)
	if err != nil {
		return err
	}
	return db.Close()
}}

func newWorld(tb testing.TB) *world {
	tb.Helper()
	db, err := store.Open(tb.Context(), emptyCloud.Copy(tb))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	w := &world{TB: tb, db: db, log: &bytes.Buffer{}, tokens: []string{token}}
	if w.cloud, err = cloud.NewService(db, cloud.Options{}); err != nil {
		tb.Fatal(err)
	}
	w.api, err = admin.Handler(w.cloud, admin.Options{
		Tokens:   func() ([]string, error) { return w.tokens, w.failed },
		CloudKey: cloudKey, Log: slog.New(slog.NewTextHandler(w.log, nil)),
	})
	if err != nil {
		tb.Fatal(err)
	}
	return w
}

// furnish makes the organisation acme with the site hq: a door, a schedule, a
// group, a rule that gives it to everyone, and a person.
func (w *world) furnish() (person string) {
	w.Helper()
	w.want(201, "POST", "/orgs", `{"id":"acme","name":"Acme"}`)
	w.want(200, "PUT", "/orgs/acme/properties/hq", `{"name":"Headquarters"}`)
	w.want(200, "PUT", "/orgs/acme/properties/hq/doors/front", `{"name":"Front door"}`)
	w.want(200, "PUT", "/orgs/acme/properties/hq/schedules/day", `{"zone":"Europe/Berlin","weekly":[{"day":1,"from":480,"to":1080}]}`)
	w.want(200, "PUT", "/orgs/acme/properties/hq/groups/staff", `{"name":"Staff","grants":[{"door":"front"}]}`)
	w.want(201, "POST", "/orgs/acme/properties/hq/rules", `{"name":"All get Staff","groups":["staff"]}`)
	return field[string](w, w.want(201, "POST", "/orgs/acme/people", `{"name":"Vera Visitor","email":"vera@example.com"}`), "id")
}

// do makes a call with the token.
func (w *world) do(method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(w.Context(), method, admin.Prefix+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, r)
	return rec
}

// want is do, and the answer's code is checked.
func (w *world) want(code int, method, path, body string) string {
	w.Helper()
	rec := w.do(method, path, body)
	if rec.Code != code {
		w.Fatalf("%s %s %s: %d %s; want %d", method, path, body, rec.Code, rec.Body, code)
	}
	w.isJSON(rec)
	return rec.Body.String()
}

// refused wants a refusal that has each of the words.
func (w *world) refused(code int, method, path, body string, words ...string) {
	w.Helper()
	text := w.want(code, method, path, body)
	for _, word := range words {
		if got := field[string](w, text, "error"); !strings.Contains(got, word) {
			w.Errorf("%s %s %.60s: error %q; want %q in it", method, path, body, got, word)
		}
	}
}

func (w *world) isJSON(rec *httptest.ResponseRecorder) {
	w.Helper()
	if rec.Code == http.StatusNoContent {
		if rec.Body.Len() > 0 {
			w.Errorf("204 with a body: %s", rec.Body)
		}
		return
	}
	if got := rec.Header().Get("Content-Type"); got != "application/json" || !json.Valid(rec.Body.Bytes()) {
		w.Errorf("answer %d of type %q is no JSON: %s", rec.Code, got, rec.Body)
	}
	if got := rec.Header().Get("Cache-Control"); got != "no-store" {
		w.Errorf("Cache-Control %q, want no-store", got)
	}
}

// field is one field of a JSON object.
func field[T any](tb testing.TB, text, name string) (v T) {
	tb.Helper()
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	if err := json.Unmarshal(all[name], &v); err != nil {
		tb.Fatalf("%s of %s: %v", name, text, err)
	}
	return v
}

// items are the elements of a JSON list.
func items(tb testing.TB, text string) (all []json.RawMessage) {
	tb.Helper()
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		tb.Fatalf("%s: %v", text, err)
	}
	return all
}
