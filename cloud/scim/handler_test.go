package scim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"latchkey/cloud"
)

// A client talks to a handler over the fake.
type client struct {
	t   testing.TB
	dir *fakeDirectory
	h   http.Handler
	log *bytes.Buffer
}

func newClient(t testing.TB, profile cloud.Profile) *client {
	c := &client{t: t, dir: &fakeDirectory{profile: profile}, log: &bytes.Buffer{}}
	c.h = newHandler(c.dir, c.dir.updateGroup, Options{Log: slog.New(slog.NewTextHandler(c.log, nil))})
	return c
}

type answer struct {
	code   int
	header http.Header
	raw    string
	doc    map[string]any
}

// do sends a request; headers are "Name: value".
func (c *client) do(method, path, body string, headers ...string) answer {
	c.t.Helper()
	r := httptest.NewRequest(method, "http://cloud.example"+path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+fakeToken)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	c.h.ServeHTTP(w, r)
	a := answer{code: w.Code, header: w.Header(), raw: w.Body.String()}
	if len(a.raw) > 0 {
		if got := a.header.Get("Content-Type"); got != "application/scim+json" {
			c.t.Errorf("%s %s: content type %q", method, path, got)
		}
		if err := json.Unmarshal([]byte(a.raw), &a.doc); err != nil {
			c.t.Errorf("%s %s: %v: %s", method, path, err, a.raw)
		}
	}
	if a.code >= 400 {
		if a.doc["status"] != fmt.Sprint(a.code) || a.doc["detail"] == "" || !slices.Equal(elements(a.doc["schemas"]), []any{errorURN}) {
			c.t.Errorf("%s %s: %d with body %s", method, path, a.code, a.raw)
		}
	}
	return a
}

func (c *client) want(code int, method, path, body string, headers ...string) answer {
	c.t.Helper()
	a := c.do(method, path, body, headers...)
	if a.code != code {
		c.t.Fatalf("%s %s: got %d, want %d: %s", method, path, a.code, code, a.raw)
	}
	return a
}

func (c *client) id(path, body string) string {
	c.t.Helper()
	return c.want(201, "POST", path, body).doc["id"].(string)
}

func TestWhoAsks(t *testing.T) {
	c := newClient(t, "")
	for _, header := range []string{"Authorization: ", "Authorization: Bearer", "Authorization: Bearer wrong", "Authorization: non-token", "Authorization: Basic " + fakeToken} {
		a := c.want(401, "GET", "/scim/v2/Users", "", header)
		if !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: WWW-Authenticate is %q", header, a.header.Get("WWW-Authenticate"))
		}
		if first := c.want(401, "GET", "/scim/v2/nothing", "", "Authorization: "); a.raw != first.raw {
			t.Errorf("%s: answers differ: %s and %s", header, a.raw, first.raw)
		}
	}
	c.want(200, "GET", "/scim/v2/Users", "", "Authorization: bearer "+fakeToken)
	c.want(403, "GET", "/scim/v2/Users", "", "Authorization: Bearer disabled")
	if strings.Contains(c.log.String(), fakeToken) {
		t.Error("the token is in the log")
	}
}

func TestProfileOfCaller(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	if got := profileOf(r); got != cloud.ProfileEntra {
		t.Errorf("no User-Agent: got %q", got)
	}
	r.Header.Set("User-Agent", "Okta SCIM Client 1.0.0")
	if got := profileOf(r); got != cloud.ProfileOkta {
		t.Errorf("Okta: got %q", got)
	}
}

func TestEndpoints(t *testing.T) {
	c := newClient(t, "")
	for _, tt := range []struct {
		code         int
		method, path string
	}{
		{200, "GET", "/scim/v2/Users?aadOptscim062020"}, {200, "GET", "/scim/v2//Users/"}, {200, "GET", "/Users"}, {405, "DELETE", "/scim/v2/Users"}, {405, "POST", "/scim/v2/Groups/1"},
		{404, "GET", "/scim/v2/Users/none"}, {404, "DELETE", "/scim/v2/Groups/none"}, {404, "GET", "/scim/v2/Users/a/b"}, {404, "GET", "/scim/v2x/Users"}, {404, "GET", "/scim/v2/Doors"},
		{501, "GET", "/scim/v2/Me"}, {501, "PATCH", "/scim/v2/Me"}, {200, "POST", "/scim/v2/.search"}, {200, "POST", "/scim/v2/Users/.search"}, {200, "GET", "/scim/v2/"}, {405, "POST", "/scim/v2/"},
		{405, "GET", "/scim/v2/.search"}, {405, "GET", "/scim/v2/Groups/.search"}, {404, "POST", "/scim/v2/Users/a/.search"}, {404, "POST", "/scim/v2/Schemas/.search"},
		{400, "POST", "/scim/v2/Bulk"}, {405, "GET", "/scim/v2/Bulk"}, {404, "POST", "/scim/v2/Bulk/a"},
		{200, "GET", "/scim/v2/ServiceProviderConfig"}, {200, "GET", "/scim/v2/Schemas"}, {200, "GET", "/scim/v2/ResourceTypes"}, {200, "GET", "/scim/v2/ResourceTypes/User"},
		{200, "GET", "/scim/v2/Schemas/" + userURN}, {200, "GET", "/scim/v2/Schemas/" + enterpriseURN}, {404, "GET", "/scim/v2/Schemas/urn:x"}, {404, "GET", "/scim/v2/ResourceTypes/Door"},
		{403, "GET", "/scim/v2/Schemas?filter=id+pr"}, {405, "POST", "/scim/v2/Schemas"},
	} {
		if a := c.do(tt.method, tt.path, "{}"); a.code != tt.code {
			t.Errorf("%s %s: got %d, want %d: %s", tt.method, tt.path, a.code, tt.code, a.raw)
		}
	}
	if a := c.do("GET", "/scim/v2/Schemas", ""); strings.Contains(a.raw, "null") || a.doc["totalResults"] != 3.0 {
		t.Errorf("schemas: %.200s", a.raw)
	}
}

func TestLocation(t *testing.T) {
	c := newClient(t, "")
	a := c.want(201, "POST", "/scim/v2/Users", `{"userName":"a@x"}`)
	want := "http://cloud.example/scim/v2/Users/" + a.doc["id"].(string)
	meta := a.doc["meta"].(map[string]any)
	if a.header.Get("Location") != want || meta["location"] != want {
		t.Errorf("got Location %q and meta %v, want %s", a.header.Get("Location"), meta, want)
	}
	if meta["version"] != a.header.Get("ETag") || meta["version"] != `W/"1"` || meta["created"] != "2026-11-22T09:00:00Z" {
		t.Errorf("meta is %v", meta)
	}
	c.h = http.StripPrefix("/t/acme", newHandler(c.dir, c.dir.updateGroup, Options{BaseURL: func(*http.Request) string { return "https://own.example/t/acme/scim/v2/" }}))
	a = c.want(200, "GET", "/t/acme/scim/v2/Users/"+a.doc["id"].(string), "")
	if got := a.doc["meta"].(map[string]any)["location"]; got != "https://own.example/t/acme/scim/v2/Users/"+a.doc["id"].(string) {
		t.Errorf("got %v", got)
	}
}

func TestBadBodies(t *testing.T) {
	c := newClient(t, "")
	id := c.id("/scim/v2/Users", `{"userName":"a@x"}`)
	for _, tt := range []struct{ name, body, want string }{
		{"nothing", ``, "not JSON"},
		{"cut", `{"userName":"a`, "at byte 14"},
		{"comma", `{"userName":"a",}`, "at byte 17"},
		{"rest", `{"userName":"a"} {}`, "at byte 18"},
		{"list", `[]`, "an array, want a JSON object"},
		{"twice", `{"userName":"a","userName":"b"}`, `"userName" stands twice`},
		{"deep", `{"userName":"a","x":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`, "nested deeper than 32"},
		{"not UTF-8", "{\"userName\":\"\xff\"}", "UTF-8"},
	} {
		for _, at := range []string{"POST /scim/v2/Users", "POST /scim/v2/Groups", "PUT /scim/v2/Users/" + id, "PATCH /scim/v2/Users/" + id, "PATCH /scim/v2/Groups/" + id} {
			method, path, _ := strings.Cut(at, " ")
			a := c.want(400, method, path, tt.body)
			if a.doc["scimType"] != "invalidSyntax" || !strings.Contains(a.doc["detail"].(string), tt.want) {
				t.Errorf("%s, %s: got %s, want %q", at, tt.name, a.raw, tt.want)
			}
		}
	}
	a := c.want(400, "PATCH", "/scim/v2/Users/"+id, `{"Operations":[{"op":"replace","path":"title","value":"x"},{"op":"move"}]}`)
	if want := `Operations[1]: op: got "move", want "add", "replace" or "remove"`; a.doc["detail"] != want {
		t.Errorf("got %v, want %s", a.doc["detail"], want)
	}
}

// endless is a body that never ends, and counts what was taken of it.
type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	e.n += len(p)
	return copy(p, bytes.Repeat([]byte("x"), len(p))), nil
}

func TestBodyTooLarge(t *testing.T) {
	c := newClient(t, "")
	c.want(413, "POST", "/scim/v2/Users", `{"x":"`+strings.Repeat("x", 10<<20)+`"}`)
	// A length that is not told must not fill the memory either.
	body := &endless{}
	r := httptest.NewRequest("POST", "/scim/v2/Users", body)
	r.ContentLength = -1
	r.Header.Set("Authorization", "Bearer "+fakeToken)
	w := httptest.NewRecorder()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c.h.ServeHTTP(w, r)
	runtime.ReadMemStats(&after)
	if w.Code != 413 || body.n > 2<<20 {
		t.Errorf("got %d after %d bytes: %s", w.Code, body.n, w.Body)
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 16<<20 {
		t.Errorf("%d bytes were allocated", got)
	}
	// And nothing of it is read for whoever has no token.
	body = &endless{}
	r = httptest.NewRequest("POST", "/scim/v2/Users", body)
	w = httptest.NewRecorder()
	c.h.ServeHTTP(w, r)
	if w.Code != 401 || body.n != 0 {
		t.Errorf("got %d after %d bytes", w.Code, body.n)
	}
}

func TestLists(t *testing.T) {
	c := newClient(t, "")
	for i := range 250 {
		c.id("/scim/v2/Users", fmt.Sprintf(`{"userName":"u%03d@x","title":"t%d"}`, i, i%2))
	}
	for _, tt := range []struct {
		query              string
		total, start, page float64
		first              string
	}{
		{"", 250, 1, 100, "u000@x"},
		{"?startIndex=249&count=100", 250, 249, 2, "u248@x"},
		{"?startIndex=-3&count=2", 250, 1, 2, "u000@x"},
		{"?count=0", 250, 1, 0, ""},
		{"?count=-1", 250, 1, 0, ""},
		{"?count=99999999999999999999", 250, 1, 200, "u000@x"},
		{"?startIndex=1000", 250, 1000, 0, ""},
		{"?STARTINDEX=2&Count=1&unknown=1&", 250, 2, 1, "u001@x"},
		{"?filter=title+eq+%22t1%22&startIndex=2&count=1", 125, 2, 1, "u003@x"},
		{"?sortBy=userName&sortOrder=descending&count=1", 250, 1, 1, "u249@x"},
		{"?filter=meta.created+lt+%222030-01-01T00:00:00Z%22+and+userName+eq+u007@x", 1, 1, 1, "u007@x"},
		{"?filter=meta.created+lt+%222020-01-01T00:00:00Z%22", 0, 1, 0, ""},
	} {
		a := c.want(200, "GET", "/scim/v2/Users"+tt.query, "")
		list := elements(a.doc["Resources"])
		if a.doc["totalResults"] != tt.total || a.doc["startIndex"] != tt.start || a.doc["itemsPerPage"] != tt.page || float64(len(list)) != tt.page {
			t.Errorf("%s: got total %v, start %v, page %v", tt.query, a.doc["totalResults"], a.doc["startIndex"], a.doc["itemsPerPage"])
		}
		if len(list) > 0 && list[0].(map[string]any)["userName"] != tt.first {
			t.Errorf("%s: got %v first, want %s", tt.query, list[0], tt.first)
		}
	}
	for _, query := range []string{"?filter=userName+eq", "?filter=", "?filter=a+pr&filter=b+pr", "?filter=active+gt+true", "?filter=%zz", "?startIndex=x", "?count=ten", "?sortBy=a[b+pr]"} {
		if a := c.want(400, "GET", "/scim/v2/Users"+query, ""); a.doc["scimType"] == nil {
			t.Errorf("%s: %s", query, a.raw)
		}
	}
	// A semicolon in a filter is part of the filter, not a lost parameter.
	if a := c.want(200, "GET", "/scim/v2/Users?filter=userName+eq+%22a;b%22", ""); a.doc["totalResults"] != 0.0 {
		t.Errorf("a filter with a semicolon found %v", a.doc["totalResults"])
	}
}

func TestProjection(t *testing.T) {
	c := newClient(t, "")
	uid := c.id("/scim/v2/Users", `{"userName":"a@x","externalId":"e","name":{"givenName":"Ann","familyName":"Ek"},"emails":[{"type":"work","value":"a@x"},"b@x"],
		"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"Ops","cardNumber":"1"},"x":{"y":1}}`)
	gid := c.id("/scim/v2/Groups", `{"displayName":"G","members":[{"value":"`+uid+`"}]}`)
	for _, tt := range []struct{ query, want string }{
		{"attributes=id", ``},
		{"attributes=userName,NAME.givenname", `name,userName`},
		{"attributes=" + enterpriseURN, enterpriseURN},
		{"attributes=" + enterpriseURN + ":department&attributes=emails.value", `emails,` + enterpriseURN},
		{"attributes=department,meta", `meta,` + enterpriseURN},
		{"attributes=groups", `groups`},
		{"attributes=x.y,nothing", `x`},
		{"excludedAttributes=id,schemas,meta,groups,name,emails,userName,externalId,x", enterpriseURN},
		{"excludedAttributes=" + enterpriseURN + ",meta,groups,name.familyName,emails.type,x", `emails,externalId,name,userName`},
		{"excludedAttributes=department,cardNumber,meta,groups,name,emails,x", `externalId,userName`},
	} {
		a := c.want(200, "GET", "/scim/v2/Users/"+uid+"?"+tt.query, "")
		if a.doc["id"] != uid || a.doc["schemas"] == nil {
			t.Errorf("%s: no id or schemas: %s", tt.query, a.raw)
		}
		delete(a.doc, "id")
		delete(a.doc, "schemas")
		var got []string
		for k := range a.doc {
			got = append(got, k)
		}
		slices.Sort(got)
		if strings.Join(got, ",") != tt.want {
			t.Errorf("%s: got %v, want %s", tt.query, got, tt.want)
		}
	}
	if a := c.do("GET", "/scim/v2/Users/"+uid+"?excludedAttributes=name.familyName", ""); strings.Contains(a.raw, "Ek") || !strings.Contains(a.raw, "Ann") {
		t.Errorf("got %s", a.raw)
	}
	loads := c.dir.loads
	for _, path := range []string{"/Groups?excludedAttributes=members", "/Groups/" + gid + "?excludedAttributes=MEMBERS", "/Groups?attributes=displayName", "/Users?excludedAttributes=groups", "/Users?attributes=id"} {
		if a := c.want(200, "GET", "/scim/v2"+path, ""); strings.Contains(a.raw, `"members"`) {
			t.Errorf("%s: got members: %s", path, a.raw)
		}
	}
	if c.dir.loads != loads {
		t.Errorf("members were loaded %d times for answers without them", c.dir.loads-loads)
	}
	a := c.want(200, "GET", "/scim/v2/Groups/"+gid, "")
	if want := `{"$ref":"http://cloud.example/scim/v2/Users/` + uid + `","type":"User","value":"` + uid + `"}`; !strings.Contains(a.raw, want) {
		t.Errorf("got %s, want %s in it", a.raw, want)
	}
	if a := c.want(200, "GET", "/scim/v2/Users/"+uid, ""); !strings.Contains(a.raw, `"display":"G"`) {
		t.Errorf("no groups: %s", a.raw)
	}
}

func TestVersions(t *testing.T) {
	c := newClient(t, "")
	for _, path := range []string{"/scim/v2/Users", "/scim/v2/Groups"} {
		at := path + "/" + c.id(path, `{"userName":"a@x","displayName":"A"}`)
		op := func(v string) string {
			return `{"Operations":[{"op":"replace","path":"displayName","value":"` + v + `"}]}`
		}
		c.want(304, "GET", at, "", `If-None-Match: "0", W/"1"`)
		c.want(412, "PATCH", at, op("B"), `If-Match: W/"7"`)
		c.want(412, "PUT", at, `{"userName":"a@x","displayName":"B"}`, `If-Match: garbage`)
		c.do("PATCH", at, op("B"), `If-Match: "0", "1"`)
		if a := c.want(200, "GET", at, "", `If-None-Match: W/"1"`); a.header.Get("ETag") != `W/"2"` || a.doc["displayName"] != "B" {
			t.Errorf("%s: got %s: %s", at, a.header.Get("ETag"), a.raw)
		}
		c.do("PATCH", at, op("B"), `If-Match: *`) // the same again
		if a := c.want(200, "GET", at, ""); a.header.Get("ETag") != `W/"2"` {
			t.Errorf("%s: a change of nothing made version %s", at, a.header.Get("ETag"))
		}
		c.want(204, "DELETE", at, "", `If-Match: W/"2"`)
	}
}

func TestPut(t *testing.T) {
	c := newClient(t, "")
	at := "/scim/v2/Users/" + c.id("/scim/v2/Users", `{"userName":"a@x","title":"Boss","active":false,"department":"Ops","cardNumber":"100"}`)
	a := c.want(200, "PUT", at, `{"id":"other","userName":"a@x","groups":[{"value":"g"}],"department":"Ops"}`)
	if a.doc["active"] != false || a.doc["title"] != nil || strings.Contains(a.raw, "cardNumber") || strings.Contains(a.raw, "other") {
		t.Errorf("got %s", a.raw)
	}
	if a := c.want(400, "PUT", at, `{"displayName":"x"}`); a.doc["scimType"] != "invalidValue" {
		t.Errorf("a body without userName: %s", a.raw)
	}
	at = "/scim/v2/Groups/" + c.id("/scim/v2/Groups", `{"displayName":"G","members":[{"value":"u1"}]}`)
	if a := c.want(200, "PUT", at, `{"displayName":"H"}`); !strings.Contains(a.raw, `"u1"`) {
		t.Errorf("a body that does not speak of members changed them: %s", a.raw)
	}
	if a := c.want(200, "PUT", at, `{"displayName":"H","members":[{"value":"u2"}]}`); strings.Contains(a.raw, `"u1"`) || !strings.Contains(a.raw, `"u2"`) {
		t.Errorf("got %s", a.raw)
	}
	if a := c.want(200, "PUT", at, `{"displayName":"H","members":[]}`); strings.Contains(a.raw, `"u2"`) {
		t.Errorf("got %s", a.raw)
	}
}

func TestStrict(t *testing.T) {
	c := newClient(t, cloud.ProfileStrict)
	c.want(400, "POST", "/scim/v2/Users", `{"userName":"a@x"}`)
	at := "/scim/v2/Users/" + c.id("/scim/v2/Users", `{"schemas":["`+userURN+`"],"userName":"a@x"}`)
	c.want(400, "PATCH", at, `{"Operations":[{"op":"add","path":"title","value":"x"}]}`)
	a := c.want(400, "PATCH", at, `{"schemas":["`+patchURN+`"],"Operations":[{"op":"replace","path":"emails[type eq \"work\"].value","value":"x"}]}`)
	if a.doc["scimType"] != "noTarget" {
		t.Errorf("got %s", a.raw)
	}
}

// TestParallelMembers: Entra ID sends about five PATCHes of one group at once.
func TestParallelMembers(t *testing.T) {
	c := newClient(t, "")
	at := "/scim/v2/Groups/" + c.id("/scim/v2/Groups", `{"displayName":"G"}`)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 20 {
				c.do("PATCH", at, fmt.Sprintf(`{"Operations":[{"op":"Add","path":"members","value":[{"value":"u%d-%d"}]}]}`, w, i))
			}
		})
	}
	wg.Wait()
	if a := c.want(200, "GET", at, ""); len(elements(a.doc["members"])) != 160 {
		t.Errorf("got %d members, want 160", len(elements(a.doc["members"])))
	}
}

// TestByteForByte: what the directory sends comes back as it was, so that it
// does not send it again in each cycle.
func TestByteForByte(t *testing.T) {
	c := newClient(t, "")
	const sent = `"x":{"big":12345678901234567890,"e":1.50,"html":"<a&b>","n":null,"u":"é\u2028"},"phoneNumbers":[{"type":"work","value":"+5 (555)"}],` +
		`"urn:x:2.0:User":{"tag":" 7 "},"title":" Boss ","list":["b","b",{"value":"v"},{"value":"v","w":1}]`
	a := c.want(201, "POST", "/scim/v2/Users", `{"userName":"a@x",`+sent+`}`)
	for _, want := range []string{`"x":{"big":12345678901234567890,"e":1.50,"html":"<a&b>","n":null,"u":"é\u2028"}`, `"+5 (555)"`, `"urn:x:2.0:User":{"tag":" 7 "}`, `"title":" Boss "`, `"list":["b","b",{"value":"v"},{"value":"v","w":1}]`} {
		if !strings.Contains(a.raw, want) {
			t.Errorf("got %s, want %s in it", a.raw, want)
		}
	}
	if got := fmt.Sprint(a.doc["schemas"]); got != "["+userURN+" urn:x:2.0:User]" {
		t.Errorf("schemas are %s", got)
	}
}

func FuzzBody(f *testing.F) {
	for _, s := range []string{
		`{"userName":"a","emails":[{"primary":"True","value":"x"}]}`, `{"displayName":"g","members":["u",{"value":"v"}]}`,
		`{"Operations":[{"op":"Add","path":"emails[type eq \"work\"].value","value":"x"}]}`, `[`, `{"userName":{"a":[1e999]}}`, `{"urn:x:1.0":{"":1},"":2,".":3,"a[b pr].c":4}`,
	} {
		f.Add(s, "userName eq x", "emails.value,"+enterpriseURN)
	}
	f.Fuzz(func(t *testing.T, body, filter, attributes string) {
		c := newClient(t, "")
		uid := c.id("/scim/v2/Users", `{"userName":"first","tags":["x"],"emails":["y"]}`)
		gid := c.id("/scim/v2/Groups", `{"displayName":"first"}`)
		for _, at := range []string{"POST /Users", "POST /Groups", "PUT /Users/" + uid, "PUT /Groups/" + gid, "PATCH /Users/" + uid, "PATCH /Groups/" + gid} {
			method, path, _ := strings.Cut(at, " ")
			if a := c.do(method, "/scim/v2"+path, body); a.code >= 500 {
				t.Fatalf("%s: %d %s", at, a.code, a.raw)
			}
		}
		for _, path := range []string{"/Users", "/Groups"} {
			r := httptest.NewRequest("GET", "http://cloud.example"+path, nil)
			q := r.URL.Query()
			q.Set("filter", filter)
			q.Set("attributes", attributes)
			q.Set("excludedAttributes", attributes)
			if a := c.do("GET", path+"?"+q.Encode(), ""); a.code >= 500 {
				t.Fatalf("%s: %d %s", path, a.code, a.raw)
			}
			if a := c.do("GET", path+"?attributes="+q.Get("nothing"), ""); a.code != 200 {
				t.Fatalf("%s: %d %s", path, a.code, a.raw)
			}
		}
	})
}

// The benchmarks leave the directory out: it is the price of the protocol.
func BenchmarkHandler(b *testing.B) {
	c := newClient(b, "")
	uid := c.id("/scim/v2/Users", `{"userName":"ann@example.com","active":true,"name":{"givenName":"Ann","familyName":"Ek"},"emails":[{"type":"work","value":"ann@example.com","primary":true}],"cardNumber":"100"}`)
	for _, bench := range []struct{ name, method, path, body string }{
		{"get", "GET", "/scim/v2/Users/" + uid, ""},
		{"filter", "GET", "/scim/v2/Users?filter=userName+eq+%22ann%40example.com%22", ""},
		{"patch", "PATCH", "/scim/v2/Users/" + uid, `{"schemas":["` + patchURN + `"],"Operations":[{"op":"Replace","path":"name.givenName","value":"B"},{"op":"Add","path":"emails[type eq \"work\"].value","value":"b@x"}]}`},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(bench.method, bench.path, io.NopCloser(strings.NewReader(bench.body)))
				r.Header.Set("Authorization", "Bearer "+fakeToken)
				w := httptest.NewRecorder()
				if c.h.ServeHTTP(w, r); w.Code != 200 {
					b.Fatal(w.Code, w.Body)
				}
			}
		})
	}
}

// TestGroupsAreReadForWhoAsks: a user may be in thousands of groups, and a page
// of users reads those of each.
func TestGroupsAreReadForWhoAsks(t *testing.T) {
	c := newClient(t, "")
	id := c.id("/scim/v2/Users", `{"userName":"jane@example.com"}`)
	for _, path := range []string{"/scim/v2/Users", "/scim/v2/Users/" + id, "/scim/v2/"} {
		for params, asked := range map[string]bool{
			"": true, "?attributes=userName": false, "?attributes=groups.value": true, "?attributes=userName,groups": true,
			"?excludedAttributes=groups": false, "?excludedAttributes=GROUPS": false, "?excludedAttributes=groups.display": true, "?excludedAttributes=title": true,
		} {
			if c.want(200, "GET", path+params, ""); c.dir.noGroups == asked {
				t.Errorf("%s%s: groups are asked for: %v", path, params, !c.dir.noGroups)
			}
		}
	}
}
