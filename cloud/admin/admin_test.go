package admin_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/cloud/admin"
	"latchkey/delta"
)

// An administrator's day, through every route.
func TestEveryRoute(t *testing.T) {
	w := newWorld(t)
	person := w.furnish()
	const org, site = "/orgs/acme", "/orgs/acme/properties/hq"
	rule := field[string](t, string(items(t, w.want(200, "GET", site+"/rules", ""))[0]), "id")
	badToken := field[string](t, w.want(201, "POST", org+"/tokens", `{"label":"old"}`), "id")
	card := field[string](t, w.want(201, "POST", org+"/people/"+person+"/cards", `{"number":"4711"}`), "id")
	if _, err := w.cloud.Events(t.Context(), "hq", &delta.Events{EventEpoch: "e", Events: []access.Event{{N: 1, Kind: access.EventAccess, Door: "front"}}}); err != nil {
		t.Fatal(err)
	}
	routes := []struct {
		call, body string
		code       int
		want       string // in the answer
	}{
		{"GET /cloud-key", "", 200, cloudKey},
		{"GET /mapping", "", 200, `"scim":"userName"`},
		{"GET " + org + "/mapping", "", 200, `"use":"required"`},
		{"GET /orgs", "", 200, `"id":"acme"`},
		{"GET " + org, "", 200, `"scim_enabled":true`},
		{"PATCH " + org, `{"card_removal":"revoke","scim_enabled":false}`, 200, `"card_removal":"revoke"`},
		{"GET " + org + "/tokens", "", 200, `"label":"old"`},
		{"POST " + org + "/tokens/" + badToken + "/rotate", `{"overlap_hours":24}`, 201, `"token":"latchkey_scim_`},
		{"POST " + org + "/tokens/" + badToken + "/rotate", `{"overlap_hours":-1}`, 400, `overlap_hours`},
		{"GET " + org + "/tokens", "", 200, `"expires":"`},
		{"DELETE " + org + "/tokens/" + badToken, "", 204, ""},
		{"GET " + org + "/sync", "", 200, `"kind":"disabled"`},
		{"GET " + org + "/unmapped", "", 200, "[]"},
		{"PUT " + org + "/pools/ble", `{"format":"H10301","facility":9,"first":1,"last":500}`, 200, `"facility":9`},
		{"PUT " + org + "/pools/nfc", `{"format":"H10301","facility":9,"first":1,"last":500}`, 400, "want ble or wallet"},
		{"GET " + org + "/pools", "", 200, `{"technology":"wallet","keys":0,"pending":0}`},
		{"DELETE " + org + "/pools/ble", "", 204, ""},
		{"GET " + org + "/badge-types", "", 200, "H10302"},
		{"PUT " + org + "/badge-types/old", `{"format":"H10301","facility":7}`, 200, `"facility":7`},
		{"DELETE " + org + "/badge-types/old", "", 204, ""},
		{"GET " + org + "/properties", "", 200, `"syncing":true`},
		{"GET " + site, "", 200, "Headquarters"},
		{"GET " + site + "/doors", "", 200, "Front door"},
		{"GET " + site + "/schedules", "", 200, "Europe/Berlin"},
		{"GET " + site + "/groups", "", 200, "Staff"},
		{"PUT " + site + "/groups/staff", `{"name":"Staff","grants":[{"door":"front","schedule":"day"}]}`, 200, `"schedule":"day"`},
		{"PUT " + site + "/rules/" + rule, `{"name":"Nobody","groups":["staff"],"enabled":false}`, 200, `"enabled":false`},
		{"GET " + site, "", 200, cloud.NoteNoRule},
		{"POST " + site + "/rules/order", fmt.Sprintf(`{"ids":[%q]}`, rule), 200, rule},
		{"POST " + site + "/preview?people=5", `{"op":"delete rule","id":"` + rule + `"}`, 200, `"held":false`},
		{"POST " + site + "/preview", `{"op":"put property","property":{"name":"X"}}`, 200, `"limit":20`},
		{"POST " + site + "/preview", `{"op":"put rule"}`, 400, `is missing`},
		{"POST " + site + "/preview", `{"op":"burn"}`, 400, `put rule`},
		{"DELETE " + site + "/rules/" + rule, "", 204, ""},
		{"GET " + org + "/holds", "", 200, "[]"},
		{"GET " + org + "/holds?all=maybe", "", 400, "true or false"},
		{"GET " + org + "/holds/none", "", 404, "not found"},
		{"POST " + org + "/holds/none/confirm", `{"removes":1}`, 404, "not found"},
		{"POST " + org + "/holds/none/confirm", `{}`, 400, "removes"},
		{"POST " + org + "/holds/none/discard", "", 404, "not found"},
		{"GET " + site + "/rules", "", 200, "[]"},
		{"GET " + org + "/directory-groups", "", 200, "[]"},
		{"GET " + org + "/people?search=vera@example.com", "", 200, person},
		{"GET " + org + "/people?search=nobody", "", 200, "[]"},
		{"GET " + org + "/people/" + person, "", 200, "Vera"},
		{"PATCH " + org + "/people/" + person, `{"suspended":true}`, 200, `"suspended":true`},
		{"PATCH " + org + "/cards/" + card, `{"status":"suspended"}`, 200, "suspended"},
		{"PUT " + org + "/people/" + person + "/groups/hq/staff", "", 204, ""},
		{"GET " + org + "/people/" + person + "/why/hq", "", 200, `may not open any door of Headquarters: an admin has suspended them`},
		{"GET " + org + "/people/" + person + "/why/hq?door=front", "", 200, `"from":"by hand"`},
		{"GET " + org + "/people/" + person + "/why/hq?door=none", "", 404, `not found`},
		{"GET " + org + "/roles/vera@example.com", "", 404, `not found`},
		{"GET " + site + "/status", "", 200, `"people":1`},
		{"GET " + site + "/log", "", 200, `"op":"put"`},
		{"GET " + site + "/events", "", 200, `"door":"front"`},
		{"DELETE " + org + "/people/" + person + "/groups/hq/staff", "", 204, ""},
		{"DELETE " + org + "/cards/" + card, "", 204, ""},
		{"DELETE " + org + "/people/" + person, "", 204, ""},
		{"DELETE " + site + "/groups/staff", "", 204, ""},
		{"DELETE " + site + "/schedules/day", "", 204, ""},
		{"DELETE " + site + "/doors/front", "", 204, ""},
		{"DELETE " + site, "", 204, ""},
		{"GET " + org + "/properties", "", 200, "[]"},
		{"GET " + org + "/audit", "", 200, `"what":"delete property"`},
	}
	for _, r := range routes {
		method, path, _ := strings.Cut(r.call, " ")
		if got := w.want(r.code, method, path, r.body); !strings.Contains(got, r.want) {
			t.Errorf("%s: %s; want %s in it", r.call, got, r.want)
		}
	}
	if w.log.Len() > 0 {
		t.Errorf("logged: %s", w.log)
	}
}

// What would take the access of many is answered with 202, shown, and done once
// it is confirmed.
func TestHeldCalls(t *testing.T) {
	w := newWorld(t)
	w.furnish()
	for i := range 21 {
		p := field[string](t, w.want(201, "POST", "/orgs/acme/people", fmt.Sprintf(`{"name":"Visitor %d"}`, i)), "id")
		w.want(201, "POST", "/orgs/acme/people/"+p+"/cards", fmt.Sprintf(`{"number":"%d"}`, 100+i))
		w.want(204, "PUT", "/orgs/acme/people/"+p+"/groups/hq/staff", "")
	}
	const site = "/orgs/acme/properties/hq"
	preview := w.want(200, "POST", site+"/preview?people=2", `{"op":"delete door","id":"front"}`)
	if !strings.Contains(preview, `"held":true`) || !strings.Contains(preview, `"more":19`) {
		t.Errorf("preview %s", preview)
	}
	hold := field[cloud.Hold](t, w.want(202, "DELETE", site+"/doors/front", ""), "held")
	if got := w.want(200, "GET", site+"/doors", ""); !strings.Contains(got, "Front door") {
		t.Errorf("doors %s while it is held", got)
	}
	at := "/orgs/acme/holds/" + hold.ID
	if got := w.want(200, "GET", at, ""); !strings.Contains(got, `"loses":["front"]`) {
		t.Errorf("hold %s", got)
	}
	w.refused(409, "POST", at+"/confirm", `{"removes":20}`, "21 openings by now")
	w.want(200, "POST", at+"/confirm", `{"removes":21}`)
	w.refused(409, "POST", at+"/discard", "", "confirmed already")
	if got := w.want(200, "GET", site+"/doors", ""); got != "[]\n" {
		t.Errorf("doors %s", got)
	}
	if got := w.want(200, "GET", "/orgs/acme/holds?all=true", ""); !strings.Contains(got, `"confirmed"`) {
		t.Errorf("holds %s", got)
	}
	// A guard of the property's own, which a change of something else keeps.
	w.want(200, "PUT", site, `{"name":"HQ","guard":{"percent":50,"openings":7}}`)
	if got := w.want(200, "PUT", site, `{"name":"Headquarters"}`); !strings.Contains(got, `"guard":{"percent":50,"openings":7}`) {
		t.Errorf("property %s", got)
	}
}

// calls are all routes as the package's own source has them, so that a new one
// cannot be forgotten here. Parameters are filled in by values.
func calls(t *testing.T, values ...string) (all []string) {
	t.Helper()
	source, err := os.ReadFile("routes.go")
	if err != nil {
		t.Fatal(err)
	}
	consts := strings.NewReplacer("atSite+", "/orgs/{org}/properties/{site}+", "atSite,", "/orgs/{org}/properties/{site},",
		"atOrg+", "/orgs/{org}+", "atOrg,", "/orgs/{org},", "atPeople,", "/orgs/{org}/people,",
		"atPerson+", "/orgs/{org}/people/{id}+", "atPerson,", "/orgs/{org}/people/{id},",
		"at+", "/orgs/{org}/properties/{site}/rules+", "at,", "/orgs/{org}/properties/{site}/rules,", `"`, "", "+", "")
	for _, m := range regexp.MustCompile(`s\.on\("([A-Z]+) ([^,]*,)`).FindAllStringSubmatch(string(source), -1) {
		path := strings.TrimSuffix(consts.Replace(consts.Replace(m[2])), ",")
		all = append(all, m[1]+" "+strings.NewReplacer(values...).Replace(path))
	}
	if len(all) < 40 {
		t.Fatalf("found %d routes, want all of them", len(all))
	}
	return all
}

func TestUnknownOrganisation(t *testing.T) {
	w := newWorld(t)
	w.furnish()
	for _, call := range calls(t, "{org}", "nope", "{site}", "hq", "{id}", "front", "{group}", "staff") {
		if !strings.Contains(call, "nope") {
			continue
		}
		method, path, _ := strings.Cut(call, " ")
		body := `{"name":"Somebody","number":"4711","label":"l","format":"H10302","zone":"UTC","weekly":[]}`
		for _, b := range []string{body, `{"name":"Somebody"}`, `{"number":"4711"}`, `{"label":"l"}`, `{"format":"H10302"}`, `{"zone":"UTC","weekly":[]}`, `{"ids":[]}`, `{"op":"delete property"}`, `{"removes":1}`, `{"format":"H10302","first":1,"last":2}`, `{}`} {
			rec := w.do(method, path, b)
			w.isJSON(rec)
			if rec.Code == 400 && method != "GET" && method != "DELETE" {
				continue // not this route's body
			}
			if rec.Code != 404 || !strings.Contains(rec.Body.String(), path) {
				t.Errorf("%s: %d %s; want 404 with the path", call, rec.Code, rec.Body)
			}
			break
		}
	}
	// The same for what an organisation does not have.
	for _, call := range []string{
		"GET /orgs/acme/properties/x", "GET /orgs/acme/properties/x/doors", "DELETE /orgs/acme/properties/hq/doors/x", "GET /orgs/acme/people/x",
		"DELETE /orgs/acme/cards/x", "DELETE /orgs/acme/tokens/x", "PUT /orgs/acme/people/x/groups/hq/staff", "GET /orgs/acme/properties/x/log",
	} {
		method, path, _ := strings.Cut(call, " ")
		w.refused(404, method, path, "", path)
	}
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		name, header string
		code         int
	}{
		{"no token", "", 401},
		{"empty", "Bearer ", 401},
		{"wrong", "Bearer nobody's-token-at-all", 401},
		{"without the scheme", token, 401},
		{"another scheme", "Basic " + token, 401},
		{"a part of it", "Bearer " + token[:8], 401},
		{"with more behind", "Bearer " + token + "x", 401},
		{"the token in upper case", "Bearer " + strings.ToUpper(token), 401},
		{"the scheme in another case", "bearer " + token, 200},
		{"right", "Bearer " + token, 200},
	} {
		for _, path := range []string{"/orgs", "/nowhere"} { // who has no token learns nothing of paths
			r := httptest.NewRequestWithContext(t.Context(), "GET", admin.Prefix+path, nil)
			if tt.header != "" {
				r.Header.Set("Authorization", tt.header)
			}
			rec := httptest.NewRecorder()
			w.api.ServeHTTP(rec, r)
			w.isJSON(rec)
			want := tt.code
			if want == 200 && path == "/nowhere" {
				want = 404
			}
			if rec.Code != want {
				t.Errorf("%s: %s: got %d, want %d", tt.name, path, rec.Code, want)
			}
			if rec.Code == 401 && rec.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s: 401 without WWW-Authenticate", tt.name)
			}
		}
	}
}

// A token is replaced while the cloud runs: for a while there are two.
func TestTokenIsReplaced(t *testing.T) {
	w := newWorld(t)
	const other = "the-next-token-of-all"
	for _, step := range []struct {
		name   string
		tokens []string
		failed error
		code   int // for who shows the old one
	}{
		{"both", []string{other, token}, nil, 200},
		{"only the new one", []string{other}, nil, 401},
		{"both again", []string{token, other}, nil, 200},
		{"file gone", nil, os.ErrNotExist, 503},
		{"file empty", nil, nil, 503},
		{"file half written", []string{token[:6]}, nil, 503},
		{"mended", []string{token}, nil, 200},
	} {
		w.tokens, w.failed = step.tokens, step.failed
		if rec := w.do("GET", "/orgs", ""); rec.Code != step.code {
			t.Errorf("%s: got %d, want %d", step.name, rec.Code, step.code)
		}
	}
	if n := strings.Count(w.log.String(), "nobody can administer"); n != 3 {
		t.Errorf("said %d times that nobody gets in, want 3: %s", n, w.log)
	}
	if strings.Contains(w.log.String(), token[:6]) {
		t.Errorf("the log has a token: %s", w.log)
	}
}

func TestHandlerWantsTokens(t *testing.T) {
	w := newWorld(t)
	for _, tokens := range []func() ([]string, error){
		nil,
		func() ([]string, error) { return nil, nil },
		func() ([]string, error) { return []string{"short"}, nil },
		func() ([]string, error) { return nil, errors.New("no file") },
	} {
		if _, err := admin.Handler(w.cloud, admin.Options{Tokens: tokens}); err == nil || !strings.HasPrefix(err.Error(), "admin: ") {
			t.Errorf("error %v, want one", err)
		}
	}
}

func TestBodies(t *testing.T) {
	w := newWorld(t)
	w.furnish()
	const group = "/orgs/acme/properties/hq/groups/staff"
	for _, tt := range []struct {
		name, body string
		code       int
		words      []string
	}{
		{"empty", "", 400, []string{"body: empty"}},
		{"null would take all doors", " null", 400, []string{"at byte 2", "want a JSON object"}},
		{"a list", `[]`, 400, []string{"at byte 1", `"["`}},
		{"unknown field", `{"name":"Staff","gramts":[]}`, 400, []string{"gramts", "at byte"}},
		{"unknown field inside", `{"name":"Staff","grants":[{"doors":"front"}]}`, 400, []string{`"doors"`}},
		{"malformed", `{"name":"Staff",}`, 400, []string{"at byte 17", "'}'"}},
		{"cut off", `{"name":"Staff`, 400, []string{"at byte 14", "ends in the middle"}},
		{"wrong type", `{"name":"Staff","grants":"all"}`, 400, []string{"at byte 30", "grants", "got string", "want a list"}},
		{"wrong type inside", `{"name":7}`, 400, []string{"name", "got number", "want a string"}},
		{"two values", `{"name":"Staff"} {"name":"Others"}`, 400, []string{"at byte 18", "after the JSON object"}},
		{"no UTF-8", "{\"name\":\"St\xffff\"}", 400, []string{"want UTF-8"}},
		{"2 MiB", `{"name":"` + strings.Repeat("x", 2<<20) + `"}`, 413, []string{"at most 1048576 bytes"}},
		{"a name too long", `{"name":"` + strings.Repeat("x", 4096) + `"}`, 400, []string{"name"}},
		{"no such schedule", `{"name":"Staff","grants":[{"door":"front","schedule":"night"}]}`, 400, []string{"night"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := *w
			w.TB = t
			w.refused(tt.code, "PUT", group, tt.body, tt.words...)
		})
	}
	if got := w.want(200, "GET", "/orgs/acme/properties/hq/groups", ""); !strings.Contains(got, `"grants":[{"door":"front"}]`) {
		t.Errorf("after refusals: %s", got)
	}
	w.refused(409, "POST", "/orgs", `{"id":"acme","name":"Acme again"}`, "id", "acme", "taken")
	w.refused(400, "POST", "/orgs", `{"id":"Acme Inc"}`, "Acme Inc", "want 1 to 32 of a-z")
}

func TestNoRoute(t *testing.T) {
	w := newWorld(t)
	w.refused(404, "GET", "/nothing", "", "/nothing", "no such path")
	w.refused(405, "DELETE", "/orgs", "", "got DELETE", "want", "GET", "POST")
	w.refused(400, "GET", "/orgs/%ff", "", "want UTF-8")
}

func TestQueries(t *testing.T) {
	w := newWorld(t)
	w.furnish()
	const site = "/orgs/acme/properties/hq"
	for _, tt := range []struct {
		path  string
		words []string
	}{
		{site + "/log?epoch=4294967296", []string{"epoch", "4294967296", "0 to 4294967295"}}, // not "the current one"
		{site + "/log?after=18446744073709551615", []string{"after"}},
		{site + "/log?after=-1", []string{"after", `"-1"`}},
		{site + "/log?limit=0", []string{"limit", "1 to 1000"}},
		{site + "/events?limit=1001", []string{"limit", "1000"}},
		{site + "/events?afer=7", []string{"afer", "want after, limit"}},
		{site + "/events?after=1&after=2", []string{"after", "got 2, want one"}},
		{"/orgs/acme/people?limit=501", []string{"limit", "500"}},
		{"/orgs/acme/people?search=%ff", []string{"search", "UTF-8"}},
		{"/orgs/acme/audit?before=a;b", []string{"query"}},
	} {
		w.refused(400, "GET", tt.path, "", tt.words...)
	}
}

var nextLink = regexp.MustCompile(`^<(\?[^>]*)>; rel="next"$`)

// walk reads all pages of a list, of one entry each.
func (w *world) walk(path, query string, of func(body string) []json.RawMessage) (all []json.RawMessage) {
	w.Helper()
	for range 100 {
		rec := w.do("GET", path+query, "")
		if rec.Code != 200 {
			w.Fatalf("%s%s: %d %s", path, query, rec.Code, rec.Body)
		}
		all = append(all, of(rec.Body.String())...)
		link := rec.Header().Get("Link")
		if link == "" {
			return all
		}
		m := nextLink.FindStringSubmatch(link)
		if m == nil {
			w.Fatalf("Link: %s", link)
		}
		query = m[1]
	}
	w.Fatalf("%s: no end of pages", path)
	return nil
}

func TestPaging(t *testing.T) {
	w := newWorld(t)
	w.furnish()
	for i := range 4 {
		w.want(201, "POST", "/orgs/acme/people", fmt.Sprintf(`{"name":"Visitor %d","email":"same@example.com"}`, i))
	}
	list := func(body string) []json.RawMessage { return items(t, body) }
	entries := func(body string) []json.RawMessage { return field[[]json.RawMessage](t, body, "entries") }
	for i := range 3 {
		ev := access.Event{N: uint64(i + 1), Kind: access.EventDoorOpened, Door: "front"}
		if _, err := w.cloud.Events(t.Context(), "hq", &delta.Events{EventEpoch: "e", Events: []access.Event{ev}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		path, query string
		of          func(string) []json.RawMessage
		key         string
		want        int
	}{
		{"/orgs/acme/people", "?limit=1", list, "id", 5},
		{"/orgs/acme/people", "?limit=2", list, "id", 5},
		{"/orgs/acme/people", "?limit=1&search=same@example.com", list, "id", 4},
		{"/orgs/acme/properties/hq/events", "?limit=1", list, "pos", 3},
		{"/orgs/acme/properties/hq/log", "?limit=1", entries, "seq", 3},
		{"/orgs/acme/audit", "?limit=3", list, "id", 11},
	} {
		all := w.walk(tt.path, tt.query, tt.of)
		seen := map[string]bool{}
		for _, entry := range all {
			seen[string(field[json.RawMessage](t, string(entry), tt.key))] = true
		}
		if len(all) != tt.want || len(seen) != tt.want {
			t.Errorf("%s%s: %d entries, %d different; want %d", tt.path, tt.query, len(all), len(seen), tt.want)
		}
	}
}

// No answer and no line of the log has a whole card number or a card's bits,
// not even those that repeat what somebody typed.
func TestCardsAreNotShown(t *testing.T) {
	w := newWorld(t)
	person := w.furnish()
	const number = "8123450731"
	w.want(201, "POST", "/orgs/acme/people/"+person+"/cards", `{"number":"`+number+`"}`)
	w.want(204, "PUT", "/orgs/acme/people/"+person+"/groups/hq/staff", "")
	w.want(409, "POST", "/orgs/acme/people/"+person+"/cards", `{"number":"`+number+`"}`)
	w.want(400, "POST", "/orgs/acme/people/"+person+"/cards", `{"number":"`+number+number+`"}`)
	head, changes, _, err := w.cloud.Snapshot(t.Context(), "hq")
	if err != nil || head.Seq == 0 {
		t.Fatalf("snapshot %v, %v", head, err)
	}
	secret := []string{number}
	for _, c := range changes {
		if c.Kind == access.KindCredential {
			var cred access.Credential
			if err := json.Unmarshal(c.Record, &cred); err != nil {
				t.Fatal(err)
			}
			bits, err := json.Marshal(cred.Bits)
			if err != nil {
				t.Fatal(err)
			}
			secret = append(secret, strings.Trim(string(bits), `"`))
		}
	}
	if len(secret) != 2 || len(secret[1]) < 8 {
		t.Fatalf("%d secrets; want the number and the bits", len(secret))
	}
	var seen strings.Builder
	for _, path := range []string{"/properties/hq/log", "/properties/hq/status", "/people", "/people/" + person, "/audit", "/people?search=" + number} {
		seen.WriteString(w.want(200, "GET", "/orgs/acme"+path, ""))
	}
	if !strings.Contains(seen.String(), `"credential"`) || !strings.Contains(seen.String(), "0731") {
		t.Fatalf("the card is nowhere: %s", seen.String())
	}
	w.db.Close() // now every call is a fault, which is logged
	w.want(500, "GET", "/orgs/acme/people?search="+number, "")
	w.want(500, "POST", "/orgs/acme/people/"+person+"/cards", `{"number":"`+number+`"}`)
	if w.log.Len() == 0 {
		t.Error("a fault was not logged")
	}
	for i, s := range secret {
		if strings.Contains(seen.String(), s) || strings.Contains(w.log.String(), s) {
			t.Errorf("secret %d is shown", i)
		}
	}
}

// A fault of the database is told without its words, and logged with them.
func TestFault(t *testing.T) {
	w := newWorld(t)
	w.furnish()
	w.db.Close()
	w.refused(500, "GET", "/orgs", "", "see the cloud's log")
	if !strings.Contains(w.log.String(), "closed") {
		t.Errorf("log: %s; want the reason", w.log)
	}
}

func FuzzCalls(f *testing.F) {
	seeds := []string{
		`{"id":"acme","name":"A"}`, `{"name":"Staff","grants":[{"door":"front","schedule":""}]}`, `{"format":"H10301","facility":18446744073709551615}`,
		`{"name":"R","conditions":[{"attr":"a","op":"eq","value":"\u0000"}],"groups":["staff"]}`, `{"number":"bits:26:3ffffff","valid_until":9223372036854775807}`,
		`{"zone":"Europe/Berlin","weekly":[{"day":9,"from":-1,"to":99999}]}`, `{"name":"\ud800"}`, `null`, `{"unlock_ms":-9223372036854775808,"name":"x"}`, `{"ids":[""]}`,
	}
	for i := range 24 {
		for _, body := range seeds {
			f.Add(uint8(i), "x", "", body)
		}
	}
	f.Add(uint8(0), "%ff", "limit=-1", "{}")
	f.Add(uint8(1), "a%00b", "after=%ff&limit=9e9", "{}")
	f.Add(uint8(2), "../../orgs", "epoch=4294967296", "{}")
	w := newWorld(f)
	person := w.furnish()
	const org, site = "/orgs/acme", "/orgs/acme/properties/hq"
	paths := []string{
		"POST /orgs", "PATCH " + org, "POST " + org + "/tokens", "PUT " + org + "/badge-types/{}", "DELETE " + org + "/badge-types/{}",
		"PUT " + org + "/properties/{}", "PUT " + site + "/doors/{}", "PUT " + site + "/groups/{}", "PUT " + site + "/schedules/{}", "POST " + site + "/rules",
		"PUT " + site + "/rules/{}", "POST " + site + "/rules/order", "POST " + org + "/people", "PATCH " + org + "/people/" + person, "POST " + org + "/people/" + person + "/cards",
		"PATCH " + org + "/cards/{}", "PUT " + org + "/people/{}/groups/hq/staff", "GET " + site + "/log", "GET " + site + "/events", "GET " + org + "/audit", "GET " + org + "/people",
		"GET /orgs/{}", "DELETE " + site + "/doors/{}", "GET " + org + "/people/{}",
	}
	f.Fuzz(func(t *testing.T, which uint8, id, query, body string) {
		method, path, _ := strings.Cut(paths[int(which)%len(paths)], " ")
		r, err := http.NewRequestWithContext(t.Context(), method, admin.Prefix+strings.ReplaceAll(path, "{}", id), strings.NewReader(body))
		if err != nil {
			t.Skip() // no client can send that
		}
		r.URL.RawQuery = query
		r.Header.Set("Authorization", "Bearer "+token)
		rec := httptest.NewRecorder()
		w.api.ServeHTTP(rec, r)
		if rec.Code >= 500 {
			t.Errorf("%s %s?%s %s: %d %s %s", method, r.URL.Path, query, body, rec.Code, rec.Body, w.log)
			w.log.Reset()
		}
		if rec.Code != 204 && (rec.Code < 300 || rec.Code > 399) && !json.Valid(rec.Body.Bytes()) {
			t.Errorf("%s %s: %d is no JSON: %s", method, r.URL.Path, rec.Code, rec.Body)
		}
	})
}
