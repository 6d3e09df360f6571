package scim_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"

	"latchkey/cloud"
	"latchkey/cloud/scim"
)

// heap is how many bytes are in use on the heap, after what is of no use any
// more has gone.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestHostileBodies: bodies that are too large or nested too deep are refused
// in words, wherever they are sent, and cost no more than their limit.
func TestHostileBodies(t *testing.T) {
	c := newCloud(t, cloud.Org{ID: "acme", Name: "Acme"})[0]
	user, group := c.create("/Users", `{"userName":"a@x"}`), c.create("/Groups", `{"displayName":"G"}`)
	large := `{"userName":"b@x","displayName":"G2","title":"` + strings.Repeat("x", 10<<20) + `"}`
	deep := func(open, end string) string {
		return `{"userName":"b@x","displayName":"G2","x":` + strings.Repeat(open, 10_000) + `1` + strings.Repeat(end, 10_000) + `}`
	}
	before := heap()
	for _, at := range []string{"POST /Users", "PUT /Users/" + user, "PATCH /Users/" + user, "POST /Groups", "PUT /Groups/" + group, "PATCH /Groups/" + group, "POST /Bulk", "POST /.search", "POST /Users/.search"} {
		method, path, _ := strings.Cut(at, " ")
		if got := c.do(413, method, path, large); !strings.Contains(fmt.Sprint(got["detail"]), "more than 1048576 bytes") {
			t.Errorf("%s: got %v", at, got)
		}
		for _, body := range []string{deep("[", "]"), deep(`{"a":`, "}")} {
			if got := c.do(400, method, path, body); got["scimType"] != "invalidSyntax" || !strings.Contains(fmt.Sprint(got["detail"]), "deeper than 32") {
				t.Errorf("%s: got %v", at, got)
			}
		}
	}
	if grown := int64(heap()) - int64(before); grown > 8<<20 {
		t.Errorf("%d bytes stayed on the heap", grown)
	}
	// In a bulk request too, where the body of an operation stands deeper.
	c.do(400, "POST", "/Bulk", `{"Operations":[{"method":"POST","bulkId":"a","path":"/Users","data":`+deep("[", "]")+`}]}`)
}

// TestHostileFilters: a filter that would cost much to read is refused, in the
// query as in a body.
func TestHostileFilters(t *testing.T) {
	c := newCloud(t, cloud.Org{ID: "acme", Name: "Acme"})[0]
	for what, filter := range map[string]string{
		"100 kB":          `userName eq "` + strings.Repeat("x", 100_000) + `"`,
		"100 kB of terms": `a pr` + strings.Repeat(` or a pr`, 12_500),
		"brackets":        strings.Repeat("(", 4000) + "a pr" + strings.Repeat(")", 4000),
		"nots":            strings.Repeat("not (", 1000) + "a pr" + strings.Repeat(")", 1000),
		"many terms":      `a pr` + strings.Repeat(` or a pr`, 500),
		"value paths":     strings.Repeat("a[", 2000),
	} {
		body, err := json.Marshal(map[string]any{"filter": filter})
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range []map[string]any{c.do(400, "POST", "/Users/.search", string(body)), c.do(400, "GET", "/Users?filter="+url.QueryEscape(filter), "")} {
			if got["scimType"] != "invalidFilter" || len(fmt.Sprint(got["detail"])) > 300 {
				t.Errorf("%s: got %.400v", what, got)
			}
		}
	}
}

// members is how many rows the largest group has.
func members() int {
	if raceOn {
		return 100_000
	}
	return 1_000_000
}

// TestMillionMembers: a group of a million goes out whole, in memory for a page
// of them, and one more is put in like into any other.
func TestMillionMembers(t *testing.T) {
	n := members()
	crowd := newCrowd(t, 1, "acme")[0]
	ctx := context.Background()
	group, err := crowd.svc.CreateGroup(ctx, cloud.Caller{Org: "acme"}, map[string]any{"displayName": "Everyone"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = crowd.db.Update(ctx, func(tx cloud.Tx) error {
		for i := range n {
			if _, err := tx.AddMember(group.ID, fmt.Sprintf("member-%08d", i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c := &tenant{t: t, svc: crowd.svc, org: "acme", base: crowd.server.URL + "/scim/v2", token: crowd.token}
	before := heap()
	seen, most := countMembers(t, c, "/Groups/"+group.ID, 3, n/20)
	if seen != n {
		t.Errorf("%d members, want %d", seen, n)
	}
	grown := int64(most) - int64(before)
	if grown > 48<<20 {
		t.Errorf("%d bytes more on the heap", grown)
	}
	t.Logf("%d members with at most %d KiB more on the heap", seen, grown>>10)
	c.do(204, "PATCH", "/Groups/"+group.ID, patch(`{"op":"add","path":"members","value":[{"value":"`+crowd.ids[0]+`"}]}`))
	if got := c.do(200, "GET", "/Groups?filter="+url.QueryEscape(`members eq "`+crowd.ids[0]+`"`)+"&excludedAttributes=members", ""); got["totalResults"] != 1.0 {
		t.Errorf("got %v", got)
	}
	c.do(204, "PATCH", "/Groups/"+group.ID, patch(`{"op":"remove","path":"members[value eq \"`+crowd.ids[0]+`\"]"}`))
	if got := c.do(200, "GET", "/Groups/"+group.ID+"?excludedAttributes=members", ""); got["members"] != nil {
		t.Errorf("got %.200v", got)
	}
}

// TestPartsOfMembers: of members that go out in pages the parts are chosen as of
// others.
func TestPartsOfMembers(t *testing.T) {
	c := newCloud(t, cloud.Org{ID: "acme", Name: "Acme"})[0]
	var ids []string
	for i := range 2500 {
		ids = append(ids, fmt.Sprintf(`{"value":"m%05d"}`, i))
	}
	group := c.create("/Groups?attributes=id", `{"displayName":"Large","members":[`+strings.Join(ids, ",")+`]}`)
	for query, subs := range map[string]int{
		"": 3, "?attributes=members": 3, "?attributes=members,members.value": 3, "?attributes=members.value,members": 3, "?attributes=members.value,MEMBERS.TYPE": 2, "?excludedAttributes=members.$ref,members.type": 1,
	} {
		if seen, _ := countMembers(t, c, "/Groups/"+group+query, subs, 1000); seen != 2500 {
			t.Errorf("%q: %d members", query, seen)
		}
	}
	for _, query := range []string{"?excludedAttributes=members", "?attributes=displayName"} {
		if got := c.do(200, "GET", "/Groups/"+group+query, ""); got["members"] != nil {
			t.Errorf("%q: got %.200v", query, got)
		}
	}
	if seen, _ := countMembers(t, c, "/Groups?attributes=members", 3, 1000); seen != 2500 {
		t.Errorf("in a list: %d members", seen)
	}
}

// countMembers reads a group as it comes in and gives how many members it has,
// each with so many sub-attributes, and the most that was on the heap, looked at
// after every so many.
func countMembers(t *testing.T, c *tenant, path string, subs, every int) (seen int, most uint64) {
	t.Helper()
	res := c.get(path)
	defer res.Body.Close()
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "application/scim+json" {
		t.Fatalf("got %s, %s", res.Status, res.Header.Get("Content-Type"))
	}
	dec := json.NewDecoder(res.Body)
	inside := false
	for {
		if inside && dec.More() {
			var m map[string]string
			if err := dec.Decode(&m); err != nil {
				t.Fatal(err)
			}
			if len(m) != subs || m["value"] == "" {
				t.Fatalf("member %d is %v, want %d sub-attributes", seen, m, subs)
			}
			if seen++; seen%every == 0 {
				var stats runtime.MemStats
				runtime.ReadMemStats(&stats)
				most = max(most, stats.HeapAlloc)
			}
			continue
		}
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return seen, most
		}
		if err != nil {
			t.Fatal(err)
		}
		if inside {
			inside = tok != json.Delim(']')
		} else if tok == "members" {
			if _, err := dec.Token(); err != nil { // "["
				t.Fatal(err)
			}
			inside = true
		}
	}
}

// TestSlowClients: who sends slowly, and who does not read, keeps nobody
// waiting: neither holds a transaction.
func TestSlowClients(t *testing.T) {
	crowd := newCrowd(t, 100, "acme")[0]
	c := &tenant{t: t, svc: crowd.svc, org: "acme", base: crowd.server.URL + "/scim/v2", token: crowd.token}
	var ids []string
	for i := range 20_000 {
		ids = append(ids, fmt.Sprintf(`{"value":"m%05d"}`, i))
	}
	group := c.create("/Groups", `{"displayName":"Large","members":[`+strings.Join(ids, ",")+`]}`)
	for i := range 40 {
		conn, err := net.Dial("tcp", crowd.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		head := " HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + c.token + "\r\n"
		switch i % 3 {
		case 0: // a body of which one half comes
			fmt.Fprintf(conn, "PATCH /scim/v2/Users/%s%sContent-Length: 1000\r\n\r\n{\"Operations\":[", crowd.ids[0], head)
		case 1: // headers that do not end
			fmt.Fprintf(conn, "GET /scim/v2/Users%s", head)
		case 2: // an answer that nobody reads
			fmt.Fprintf(conn, "GET /scim/v2/Groups/%s%s\r\n", group, head)
			if _, err := bufio.NewReaderSize(conn, 16).ReadByte(); err != nil { // it has begun
				t.Fatal(err)
			}
		}
	}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			c.do(200, "PATCH", "/Users/"+crowd.ids[i], patch(`{"op":"replace","path":"title","value":"x"}`))
			c.do(200, "GET", "/Users/"+crowd.ids[i], "")
			c.do(204, "PATCH", "/Groups/"+group, patch(`{"op":"add","path":"members","value":[{"value":"`+crowd.ids[i]+`"}]}`))
		})
	}
	wg.Wait()
}

// TestAnotherOrganisationsIDs: what another organisation has is answered
// exactly as what nobody has, and no answer says a word of it.
func TestAnotherOrganisationsIDs(t *testing.T) {
	both := newCloud(t, cloud.Org{ID: "a", Name: "A", Profile: cloud.ProfileStrict}, cloud.Org{ID: "b", Name: "B", Profile: cloud.ProfileStrict})
	a, b := &rfc{T: t, c: both[0]}, &rfc{T: t, c: both[1]}
	secret := []string{"Zacharias", "zach@secret.example", "ext-secret", "Secret Group", "74123"}
	user := a.user(`"displayName":"Zacharias","externalId":"ext-secret","emails":[{"value":"zach@secret.example"}],"` + enterprise + `":{"cardNumber":"74123"}`)
	group := "/Groups/" + a.do(201, "POST", "/Groups", `{"schemas":["`+coreGroup+`"],"displayName":"Secret Group","members":[{"value":"`+idOf(user)+`"}]}`).doc["id"].(string)
	secret = append(secret, a.get(user)["userName"].(string))
	nobody := func(id string) string {
		return id[:len(id)-1] + string("0123456789abcdef"[(strings.IndexByte("0123456789abcdef", id[len(id)-1])+1)%16])
	}
	bulk := func(op string) string {
		return `{"schemas":["` + messages + `BulkRequest"],"Operations":[` + op + `]}`
	}
	for _, id := range []string{idOf(user), idOf(group)} {
		for i, ask := range []func(id string) reply{
			func(id string) reply { return b.send("GET", "/Users/"+id, "") },
			func(id string) reply { return b.send("GET", "/Groups/"+id, "") },
			func(id string) reply { return b.send("GET", "/Users/"+id, "", "If-None-Match: *") },
			func(id string) reply { return b.send("PUT", "/Users/"+id, b.person("")) },
			func(id string) reply {
				return b.send("PUT", "/Groups/"+id, `{"schemas":["`+coreGroup+`"],"displayName":"`+b.name()+`"}`)
			},
			func(id string) reply {
				return b.send("PATCH", "/Users/"+id, patch(`{"op":"replace","path":"active","value":false}`))
			},
			func(id string) reply {
				return b.send("PATCH", "/Groups/"+id, patch(`{"op":"remove","path":"members"}`))
			},
			func(id string) reply { return b.send("DELETE", "/Users/"+id, "", `If-Match: W/"1"`) },
			func(id string) reply { return b.send("DELETE", "/Groups/"+id, "") },
			func(id string) reply { return b.send("GET", "/?filter="+url.QueryEscape(`id eq "`+id+`"`), "") },
			func(id string) reply {
				return b.send("GET", "/Groups?filter="+url.QueryEscape(`members eq "`+id+`"`), "")
			},
			func(id string) reply {
				return b.send("GET", "/Users?filter="+url.QueryEscape(`manager eq "`+id+`"`), "")
			},
			func(id string) reply {
				return b.send("POST", "/Bulk", bulk(`{"method":"DELETE","path":"/Users/`+id+`"}`))
			},
			func(id string) reply {
				return b.send("POST", "/Bulk", bulk(`{"method":"DELETE","path":"/Groups/`+id+`"}`))
			},
		} {
			theirs, none := ask(id), ask(nobody(id))
			if theirs.status != none.status || strings.ReplaceAll(theirs.raw, id, "ID") != strings.ReplaceAll(none.raw, nobody(id), "ID") {
				t.Errorf("question %d tells what is there: %d %s, and %d %s", i, theirs.status, theirs.raw, none.status, none.raw)
			}
		}
	}
	// As a member or a manager it is an id and no more.
	mine := b.group(user)
	person := b.user(`"` + enterprise + `":{"manager":{"value":"` + idOf(user) + `"}}`)
	shown := b.do(200, "GET", mine, "").raw + b.do(200, "GET", person, "").raw + b.do(200, "GET", "/", "").raw
	for _, s := range secret {
		if strings.Contains(shown, s) {
			t.Errorf("%q is shown to another organisation", s)
		}
	}
	// And nothing of what was tried has happened.
	if got := a.get(user); got["active"] == false || len(list(got["groups"])) != 1 {
		t.Errorf("the user is %v", got)
	}
	if got := a.get(group); len(list(got["members"])) != 1 {
		t.Errorf("the group is %v", got)
	}
}

// TestAnswerBrokenOff: an answer that fails in the middle does not look whole.
func TestAnswerBrokenOff(t *testing.T) {
	crowd := newCrowd(t, 1, "acme")[0]
	failing := &failingMembers{Directory: crowd.svc}
	server := httptest.NewServer(scim.NewHandler(failing, scim.Options{}))
	defer server.Close()
	server.Config.ErrorLog = nil
	c := &tenant{t: t, org: "acme", base: server.URL + "/scim/v2", token: crowd.token}
	var ids []string
	for i := range 5000 {
		ids = append(ids, fmt.Sprintf(`{"value":"m%05d"}`, i))
	}
	group := c.create("/Groups?excludedAttributes=members", `{"displayName":"Large","members":[`+strings.Join(ids, ",")+`]}`)
	failing.after = 3
	res := c.get("/Groups/" + group)
	defer res.Body.Close()
	var got bytes.Buffer
	if _, err := got.ReadFrom(res.Body); err == nil {
		t.Errorf("the answer of %d bytes looks whole: %.100s", got.Len(), got.Bytes())
	}
	failing.after = 0
	c.do(500, "GET", "/Groups/"+group, "") // before the first byte there is a status for it
}

// failingMembers fails to list members after so many pages.
type failingMembers struct {
	scim.Directory
	after int
}

func (f *failingMembers) Members(ctx context.Context, c cloud.Caller, id, after string, limit int) ([]cloud.Member, error) {
	if f.after == 0 {
		return nil, errors.New("the disk is gone")
	}
	f.after--
	return f.Directory.Members(ctx, c, id, after, limit)
}
