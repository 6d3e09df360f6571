package cloudapp

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"latchkey/internal/program"
)

// run is the program against a cloud at url, with a token file of its own.
func run(t *testing.T, url string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "admin.token")
	if err := os.WriteFile(file, []byte(adminToken+"\nthe-one-before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	code = Main(t.Context(), append(args, "--url", url, "--token-file", file), &out, &errs)
	return code, out.String(), errs.String()
}

// The list of people is all of them, whatever the cloud's pages.
func TestPersonListReadsAllPages(t *testing.T) {
	w := newWorld(t)
	w.do("POST", "/admin/api/v1/orgs", adminToken, `{"id":"acme"}`)
	for i := range 5 {
		w.do("POST", "/admin/api/v1/orgs/acme/people", adminToken, fmt.Sprintf(`{"name":"Visitor %d"}`, i))
	}
	calls := 0
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		calls++
		q := r.URL.Query()
		q.Set("limit", "2") // shorter pages than the program asks for
		r.URL.RawQuery = q.Encode()
		w.handler.ServeHTTP(rw, r)
	}))
	defer srv.Close()
	code, out, errs := run(t, srv.URL+"/admin/", "person", "list", "--org", "acme")
	if code != program.OK || strings.Count(out, `"Visitor `) < 5 || calls != 3 {
		t.Errorf("exit %d after %d calls: %s%s; want 5 people in 3 calls", code, calls, out, errs)
	}
}

func TestPlainCommands(t *testing.T) {
	var got string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Method + " " + strings.TrimPrefix(r.URL.Path, "/api/v1")
		w.Write([]byte("{}"))
	}))
	defer srv.Close()
	org, site := []string{"--org", "acme"}, []string{"--org", "acme", "--site", "hq"}
	for _, tt := range []struct {
		command string
		where   []string
		want    string
	}{
		{"key", nil, "GET /cloud-key"},
		{"org list", nil, "GET /orgs"},
		{"org show", org, "GET /orgs/acme"},
		{"org groups", org, "GET /orgs/acme/directory-groups"},
		{"org sync", org, "GET /orgs/acme/sync"},
		{"org unmapped", org, "GET /orgs/acme/unmapped"},
		{"property status", site, "GET /orgs/acme/properties/hq/status"},
		{"okta status", org, "GET /orgs/acme/okta"},
		{"okta sync", org, "POST /orgs/acme/okta/sync"},
		{"oidc status", org, "GET /orgs/acme/oidc"},
		{"oidc off", org, "DELETE /orgs/acme/oidc"},
		{"administrator sign-out", org, "DELETE /orgs/acme/sessions"},
		{"sign-in-code", org, "POST /orgs/acme/sign-in-codes"},
	} {
		got = ""
		if code, _, errs := run(t, srv.URL, append(strings.Fields(tt.command), tt.where...)...); code != program.OK || got != tt.want {
			t.Errorf("%s: exit %d, %s; called %q, want %q", tt.command, code, errs, got, tt.want)
		}
	}
}

func TestAnswersThatAreNotTheCloud(t *testing.T) {
	for _, tt := range []struct {
		name string
		code int
		body string
		want string
	}{
		{"a page", 200, "<html>", "the cloud's answer is no JSON"},
		{"a proxy", 502, "<html>", "got 502 Bad Gateway, want the cloud's admin API there"},
		{"a refusal", 400, `{"error":"admin: body: empty"}`, "latchkey-cloud: admin: body: empty\n"},
		{"not there", 404, `{"error":"admin: GET /x: not found"}`, "admin: GET /x: not there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if got := r.Header.Get("Authorization"); got != "Bearer "+adminToken {
					t.Errorf("Authorization %q, want the first token of the file", got)
				}
				w.WriteHeader(tt.code)
				w.Write([]byte(tt.body))
			}))
			defer srv.Close()
			code, _, errs := run(t, srv.URL, "org", "list")
			if code != program.Failed || !strings.Contains(errs, tt.want) {
				t.Errorf("exit %d: %s; want %q", code, errs, tt.want)
			}
		})
	}
	if code, _, errs := run(t, "http://127.0.0.1:1/?card=4711", "org", "list"); code != program.Failed || !strings.Contains(errs, "does not answer") {
		t.Errorf("exit %d: %s", code, errs)
	}
}
