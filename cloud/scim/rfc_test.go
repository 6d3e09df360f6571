package scim_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"latchkey/cloud"
)

// A rule is one MUST or SHALL of RFC 7643 or 7644, in our words. Its name
// begins with the RFC and the section.
type rule struct {
	name  string
	check func(*rfc)
}

// rfc is one rule under test: an organisation that is held to the RFCs, spoken
// to over HTTP.
type rfc struct {
	*testing.T
	c *tenant
	n int // makes names differ
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	raw    string
	doc    map[string]any
}

// send sends a request; headers are "Name: value".
func (r *rfc) send(method, path, body string, headers ...string) reply {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), method, r.c.base+path, strings.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.c.token)
	req.Header.Set("Content-Type", "application/scim+json")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		r.Fatal(err)
	}
	out := reply{status: res.StatusCode, header: res.Header, raw: string(raw)}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &out.doc); err != nil {
			r.Fatalf("%s %s: %v: %s", method, path, err, raw)
		}
	}
	return out
}

// do sends a request and wants its status.
func (r *rfc) do(want int, method, path, body string, headers ...string) reply {
	r.Helper()
	out := r.send(method, path, body, headers...)
	if out.status != want {
		r.Fatalf("%s %s: got %d, want %d: %s", method, path, out.status, want, out.raw)
	}
	return out
}

// refused sends a request and wants an error of that status and scimType.
func (r *rfc) refused(status int, scimType, method, path, body string, headers ...string) reply {
	r.Helper()
	out := r.do(status, method, path, body, headers...)
	if got, _ := out.doc["scimType"].(string); got != scimType {
		r.Errorf("%s %s: scimType %q, want %q: %s", method, path, got, scimType, out.raw)
	}
	return out
}

// eq wants a value.
func (r *rfc) eq(what string, got, want any) {
	r.Helper()
	g, err := json.Marshal(got)
	if err != nil {
		r.Fatal(err)
	}
	w, err := json.Marshal(want)
	if err != nil {
		r.Fatal(err)
	}
	if string(g) != string(w) {
		r.Errorf("%s: got %s, want %s", what, g, w)
	}
}

// name is a name that nobody has yet.
func (r *rfc) name() string {
	r.n++
	return fmt.Sprintf("u%d-%x", r.n, len(r.Name())*7919+sum(r.Name()))
}

func sum(s string) (n int) {
	for _, c := range s {
		n = n*31%1000003 + int(c)
	}
	return n
}

const (
	coreUser   = "urn:ietf:params:scim:schemas:core:2.0:User"
	coreGroup  = "urn:ietf:params:scim:schemas:core:2.0:Group"
	enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	messages   = "urn:ietf:params:scim:api:messages:2.0:"
)

// person is the body of a user with a name of its own and what more says.
func (r *rfc) person(more string) string {
	if more != "" {
		more = "," + more
	}
	return `{"schemas":["` + coreUser + `","` + enterprise + `"],"userName":"` + r.name() + `@example.com"` + more + `}`
}

// user makes a user and gives its path.
func (r *rfc) user(more string) string {
	r.Helper()
	return "/Users/" + r.do(201, "POST", "/Users", r.person(more)).doc["id"].(string)
}

// group makes a group of those paths and gives its path.
func (r *rfc) group(members ...string) string {
	r.Helper()
	var list []string
	for _, m := range members {
		list = append(list, `{"value":"`+idOf(m)+`"}`)
	}
	body := `{"schemas":["` + coreGroup + `"],"displayName":"` + r.name() + `","members":[` + strings.Join(list, ",") + `]}`
	return "/Groups/" + r.do(201, "POST", "/Groups", body).doc["id"].(string)
}

func idOf(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// get gives the resource at path.
func (r *rfc) get(path string) map[string]any {
	r.Helper()
	return r.do(200, "GET", path, "").doc
}

// patched applies operations to the user at path and gives what came of it.
func (r *rfc) patched(path, ops string) map[string]any {
	r.Helper()
	r.do(200, "PATCH", path, patch(ops))
	return r.get(path)
}

// found gives the ids that a filter finds among those of the given paths.
func (r *rfc) found(filter string, among ...string) []string {
	r.Helper()
	body, err := json.Marshal(map[string]any{"schemas": []string{messages + "SearchRequest"}, "filter": filter, "count": 200})
	if err != nil {
		r.Fatal(err)
	}
	got := map[string]bool{}
	for _, v := range list(r.do(200, "POST", "/Users/.search", string(body)).doc["Resources"]) {
		got[v.(map[string]any)["id"].(string)] = true
	}
	out := []string{}
	for i, p := range among {
		if got[idOf(p)] {
			out = append(out, fmt.Sprint(i))
		}
	}
	return out
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

func object(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

// at follows names and indexes into a document.
func at(doc any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			doc = object(doc)[p]
		case int:
			l := list(doc)
			if p >= len(l) {
				return nil
			}
			doc = l[p]
		}
	}
	return doc
}

// TestRFC walks the rules, each in turn.
func TestRFC(t *testing.T) {
	t.Parallel()
	two := newCloud(t, cloud.Org{ID: "strict", Name: "Strict", Profile: cloud.ProfileStrict}, cloud.Org{ID: "other", Name: "Other", Profile: cloud.ProfileStrict})
	passed, seen := map[string]int{}, map[string]bool{}
	all := append(rules7643(two[1]), rules7644()...)
	for _, rule := range all {
		if seen[rule.name] {
			t.Errorf("two rules are called %q", rule.name)
		}
		seen[rule.name] = true
		if t.Run(rule.name, func(t *testing.T) { rule.check(&rfc{T: t, c: two[0]}) }) {
			passed[rule.name[:4]]++
		}
	}
	if len(all) < 150 {
		t.Fatalf("%d rules: this test would check too little", len(all))
	}
	t.Logf("%d of %d rules hold: %d of RFC 7643, %d of RFC 7644", passed["7643"]+passed["7644"], len(all), passed["7643"], passed["7644"])
}
