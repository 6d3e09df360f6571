package scim_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/cloud/scim"
	"latchkey/cloud/store"
	"latchkey/cloud/store/pgtest"
)

// A tenant is an organisation of a real cloud: domain, database and protocol.
type tenant struct {
	t       testing.TB
	svc     *cloud.Service
	org     string
	base    string
	token   string
	tokenID string
}

// newCloud is a cloud over SQLite.
func newCloud(t testing.TB, orgs ...cloud.Org) []*tenant {
	t.Helper()
	return cloudOver(t, openSQLite(t), orgs...)
}

func openSQLite(t testing.TB) cloud.Store {
	t.Helper()
	db, err := store.Open(context.Background(), filepath.Join(t.TempDir(), "cloud.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func openPostgres(t testing.TB) cloud.Store {
	t.Helper()
	db, err := store.OpenPostgres(context.Background(), store.PostgresConfig{URL: pgtest.Database(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// onEachStore runs a test over every kind of database.
func onEachStore(t *testing.T, test func(t *testing.T, db cloud.Store)) {
	t.Run("SQLite", func(t *testing.T) { test(t, openSQLite(t)) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, openPostgres(t)) })
}

func cloudOver(t testing.TB, db cloud.Store, orgs ...cloud.Org) []*tenant {
	t.Helper()
	ctx := context.Background()
	svc, err := cloud.NewService(db, cloud.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(scim.NewHandler(svc, scim.Options{Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))}))
	t.Cleanup(server.Close)
	var all []*tenant
	for _, o := range orgs {
		if _, err := svc.CreateOrg(ctx, "test", o); err != nil {
			t.Fatal(err)
		}
		tok, secret, err := svc.CreateToken(ctx, "test", o.ID, "directory")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &tenant{t: t, svc: svc, org: o.ID, base: server.URL + "/scim/v2", token: secret, tokenID: tok.ID})
	}
	return all
}

// get asks for path; the caller closes the answer's body.
func (c *tenant) get(path string) *http.Response {
	c.t.Helper()
	return c.send("GET", path, "")
}

// send sends a request; the caller closes the answer's body.
func (c *tenant) send(method, path, body string) *http.Response {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	return res
}

// do sends a request and wants its status.
func (c *tenant) do(want int, method, path, body string) map[string]any {
	c.t.Helper()
	res := c.send(method, path, body)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if res.StatusCode != want {
		c.t.Errorf("%s %s: got %d, want %d: %s", method, path, res.StatusCode, want, raw)
	}
	doc := map[string]any{}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &doc); err != nil {
			c.t.Errorf("%s %s: %v: %s", method, path, err, raw)
		}
	}
	return doc
}

func (c *tenant) create(path, body string) string {
	c.t.Helper()
	id, _ := c.do(201, "POST", path, body)["id"].(string)
	return id
}

func patch(ops string) string {
	return `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[` + ops + `]}`
}

const cardPath = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:cardNumber"

func (c *tenant) cards(person string) []cloud.Card {
	c.t.Helper()
	p, err := c.svc.Person(context.Background(), c.org, person)
	if err != nil {
		c.t.Fatal(err)
	}
	return p.Cards
}

// TestVectorsOfTheCloud plays what the directories send to the real thing, in
// an organisation that lets the service tell them apart.
func TestVectorsOfTheCloud(t *testing.T) {
	t.Parallel()
	c := newCloud(t, cloud.Org{ID: "acme", Name: "Acme"})[0]
	playAll(t, c.base, c.token)
}

// TestCardInEveryShape: the number arrives in each shape that Entra ID sends
// (REQUIREMENTS K1 to K3).
func TestCardInEveryShape(t *testing.T) {
	c := newCloud(t, cloud.Org{ID: "acme", Name: "Acme"})[0]
	for i, change := range []string{
		`{"op":"Add","path":"` + cardPath + `","value":"%s"}`,
		`{"op":"replace","value":{"` + cardPath + `":"%s"}}`,
		`{"op":"add","value":{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"cardNumber":"%s"}}}`,
		`{"op":"Replace","path":"` + strings.ToUpper(cardPath) + `","value":"%s"}`,
	} {
		id := c.create("/Users", fmt.Sprintf(`{"userName":"u%d@x","active":true}`, i))
		number := fmt.Sprintf("1000%d", i)
		got := c.do(200, "PATCH", "/Users/"+id, patch(fmt.Sprintf(change, number)))
		ext, _ := got["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"].(map[string]any)
		if ext["cardNumber"] != number {
			t.Errorf("%s: got %v", change, got)
		}
		if cards := c.cards(id); len(cards) != 1 || cards[0].Status != access.CredentialActive || cards[0].Origin != cloud.OriginDirectory {
			t.Errorf("%s: got cards %+v", change, cards)
		}
	}
}

// TestBadCard: an invalid number is refused and changes nothing, but never
// stands in the way of a deactivation (REQUIREMENTS K7).
func TestBadCard(t *testing.T) {
	c := newCloud(t, cloud.Org{ID: "acme", Name: "Acme"})[0]
	id := c.create("/Users", `{"userName":"a@x","active":true,"cardNumber":"100","title":"Boss"}`)
	for _, value := range []string{`"no number"`, `"99999999999999999999"`, `{"n":1}`, `true`} {
		got := c.do(400, "PATCH", "/Users/"+id, patch(`{"op":"replace","value":{"title":"CEO","`+cardPath+`":`+value+`}}`))
		if got["scimType"] != "invalidValue" || !strings.Contains(fmt.Sprint(got["detail"]), "cardNumber") {
			t.Errorf("%s: got %v", value, got)
		}
		if got := c.do(200, "GET", "/Users/"+id, ""); got["title"] != "Boss" {
			t.Errorf("%s: something was changed: %v", value, got)
		}
	}
	if got := c.do(200, "PATCH", "/Users/"+id, patch(`{"op":"replace","value":{"active":"False","`+cardPath+`":{"n":1}}}`)); got["active"] != false {
		t.Errorf("got %v", got)
	}
}

// TestRemovedCard: the organisation decides what a removed number does to the
// card (REQUIREMENTS K6); the attribute goes in any case.
func TestRemovedCard(t *testing.T) {
	t.Parallel()
	tenants := newCloud(t, cloud.Org{ID: "keeps", Name: "Keeps"}, cloud.Org{ID: "revokes", Name: "Revokes"})
	if _, err := tenants[1].svc.PatchOrg(t.Context(), "test", "revokes", cloud.OrgPatch{CardRemoval: new(cloud.RemovalRevoke)}); err != nil {
		t.Fatal(err)
	}
	for want, c := range []*tenant{0: tenants[1], 1: tenants[0]} { // cards left
		for i, how := range []string{
			`PATCH {"op":"Remove","path":"` + cardPath + `"}`,
			`PATCH {"op":"replace","path":"` + cardPath + `","value":null}`,
			`PATCH {"op":"replace","value":{"` + cardPath + `":""}}`,
			`PATCH {"op":"Replace","path":"` + cardPath + `","value":"REVOKED"}`,
			`PUT`,
		} {
			user := fmt.Sprintf(`{"userName":"u%d@x","active":true`, i)
			id := c.create("/Users", user+fmt.Sprintf(`,"cardNumber":"20%d"}`, i))
			if method, ops, _ := strings.Cut(how, " "); method == "PATCH" {
				c.do(200, method, "/Users/"+id, patch(ops))
			} else {
				c.do(200, method, "/Users/"+id, user+`}`)
			}
			if cards := c.cards(id); len(cards) != want {
				t.Errorf("%s, %s: got %d cards, want %d", c.org, how, len(cards), want)
			}
			// Null in an add says nothing.
			id = c.create("/Users", fmt.Sprintf(`{"userName":"v%d@x","active":true,"cardNumber":"30%d"}`, i, i))
			c.do(200, "PATCH", "/Users/"+id, patch(`{"op":"add","path":"`+cardPath+`","value":null}`))
			if cards := c.cards(id); len(cards) != 1 {
				t.Errorf("%s: null in an add took the card", c.org)
			}
		}
	}
}

// TestRevival: Okta posts again whom it deactivated, and gets the same person.
func TestRevival(t *testing.T) {
	c := newCloud(t, cloud.Org{ID: "acme", Name: "Acme"})[0]
	id := c.create("/Users", `{"userName":"a@x","externalId":"00u1","active":true}`)
	c.do(409, "POST", "/Users", `{"userName":"b@x","externalId":"00u1","active":true}`)
	c.do(200, "PATCH", "/Users/"+id, patch(`{"op":"replace","value":{"active":false}}`))
	if again := c.create("/Users", `{"userName":"a@x","externalId":"00u1","active":true}`); again != id {
		t.Errorf("got id %s, want %s", again, id)
	}
}

// TestTenantsApart: what one organisation has, another can neither see nor touch.
func TestTenantsApart(t *testing.T) {
	both := newCloud(t, cloud.Org{ID: "a", Name: "A"}, cloud.Org{ID: "b", Name: "B"})
	a, b := both[0], both[1]
	uid := a.create("/Users", `{"userName":"a@x","displayName":"Ann","externalId":"e1"}`)
	gid := a.create("/Groups", `{"displayName":"G","members":[{"value":"`+uid+`"}]}`)
	for _, path := range []string{"/Users/" + uid, "/Groups/" + gid} {
		b.do(404, "GET", path, "")
		b.do(404, "PATCH", path, patch(`{"op":"replace","path":"displayName","value":"x"}`))
		b.do(404, "PUT", path, `{"userName":"x","displayName":"x"}`)
		b.do(404, "DELETE", path, "")
	}
	for _, path := range []string{"/Users", "/Groups", "/Users?filter=id+eq+%22" + uid + "%22", "/Groups?filter=members+eq+%22" + uid + "%22"} {
		if got := b.do(200, "GET", path, ""); got["totalResults"] != 0.0 {
			t.Errorf("%s: got %v", path, got)
		}
	}
	b.create("/Users", `{"userName":"a@x","externalId":"e1"}`) // unique within an organisation only
	group := b.create("/Groups", `{"displayName":"G","members":[{"value":"`+uid+`"}]}`)
	if got := fmt.Sprint(b.do(200, "GET", "/Groups/"+group, "")); strings.Contains(got, "Ann") || strings.Contains(got, "a@x") {
		t.Errorf("a group of one organisation shows a person of another: %s", got)
	}
	if got := fmt.Sprint(a.do(200, "GET", "/Users/"+uid, "")["groups"]); strings.Contains(got, group) {
		t.Errorf("a person is shown in another organisation's group: %s", got)
	}
}

// TestSwitchedOff: SCIM that is disabled, or a token that is deleted, lets
// nothing more through (REQUIREMENTS D1).
func TestSwitchedOff(t *testing.T) {
	c := newCloud(t, cloud.Org{ID: "acme", Name: "Acme"})[0]
	ctx := t.Context()
	c.do(200, "GET", "/Users", "")
	for _, on := range []bool{false, true} {
		if _, err := c.svc.PatchOrg(ctx, "test", c.org, cloud.OrgPatch{SCIMEnabled: &on}); err != nil {
			t.Fatal(err)
		}
		want := 403
		if on {
			want = 200
		}
		c.do(want, "GET", "/Users", "")
	}
	if err := c.svc.DeleteToken(ctx, "test", c.org, c.tokenID); err != nil {
		t.Fatal(err)
	}
	c.do(401, "GET", "/Users", "")
}

// TestParallelMembersOfTheCloud: no membership is lost (REQUIREMENTS D11).
func TestParallelMembersOfTheCloud(t *testing.T) {
	t.Parallel()
	c := newCloud(t, cloud.Org{ID: "acme", Name: "Acme"})[0]
	gid := c.create("/Groups", `{"displayName":"G"}`)
	var ids []string
	for i := range 20 {
		ids = append(ids, c.create("/Users", fmt.Sprintf(`{"userName":"u%d@x"}`, i)))
	}
	var wg sync.WaitGroup
	for w := range 5 {
		wg.Go(func() {
			for i := w; i < len(ids); i += 5 {
				c.do(204, "PATCH", "/Groups/"+gid, patch(`{"op":"Add","path":"members","value":[{"$ref":null,"value":"`+ids[i]+`"}]}`))
				if i%2 == 1 {
					c.do(204, "PATCH", "/Groups/"+gid, patch(`{"op":"Remove","path":"members","value":[{"$ref":null,"value":"`+ids[i]+`"}]}`))
				}
			}
		})
	}
	wg.Wait()
	got := c.do(200, "GET", "/Groups/"+gid, "")
	if members, _ := got["members"].([]any); len(members) != 10 {
		t.Errorf("got %d members, want 10", len(members))
	}
}

// TestListsOfTheCloud: filters, order and pages mean the same over the
// database as they do to the protocol.
func TestListsOfTheCloud(t *testing.T) {
	c := newCloud(t, cloud.Org{ID: "acme", Name: "Acme"})[0]
	first := c.create("/Users", `{"userName":"b@x","title":"T","name":{"familyName":"Zed"},"emails":[{"type":"work","value":"B@X"}],"employeeNumber":"7"}`)
	second := c.create("/Users", `{"userName":"a@x","title":"t","name":{"familyName":"Abe"},"manager":"`+first+`","cardNumber":"55"}`)
	for _, tt := range []struct {
		query string
		want  string
	}{
		{"", first + second}, {"sortBy=userName", second + first}, {"sortBy=name.familyName&sortOrder=descending", first + second},
		{"startIndex=2&count=1", second}, {"filter=userName+eq+%22A%40X%22", second}, {"filter=title+eq+%22T%22", first + second},
		{"filter=emails+eq+b%40x", first}, {"filter=emails[type+eq+%22home%22].value+eq+%22b%40x%22", ""},
		{"filter=manager+eq+%22" + first + "%22+and+id+eq+%22" + second + "%22", second}, {"filter=cardNumber+eq+%2255%22", second},
		{"filter=employeeNumber+ge+%227%22", first}, {"filter=meta.lastModified+gt+%222020-01-01T00:00:00Z%22&startIndex=2", second},
		{"filter=not+(title+pr)", ""}, {"filter=userName+sw+%22a%22+or+userName+sw+%22B%22", first + second},
	} {
		var got strings.Builder
		list, _ := c.do(200, "GET", "/Users?"+tt.query, "")["Resources"].([]any)
		for _, v := range list {
			got.WriteString(v.(map[string]any)["id"].(string))
		}
		if got.String() != tt.want {
			t.Errorf("%s: got %s, want %s", tt.query, got.String(), tt.want)
		}
	}
}
