package scim_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"latchkey/cloud"
	"latchkey/cloud/scim"
	"latchkey/cloud/store"
)

// benchSizes are how many users the benchmarks have: SCIM_USERS, such as
// "10000,100000".
func benchSizes(b *testing.B) []int {
	b.Helper()
	var sizes []int
	text := os.Getenv("SCIM_USERS")
	if text == "" {
		text = "10000"
	}
	for s := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			b.Fatalf("SCIM_USERS: got %q, want numbers of users", s)
		}
		sizes = append(sizes, n)
	}
	return sizes
}

// A crowd is an organisation with many users in a durable store, behind HTTP.
type crowd struct {
	db     *store.DB
	svc    *cloud.Service
	server *httptest.Server
	org    string
	token  string
	ids    []string
}

func crowdUser(i int) map[string]any {
	return map[string]any{
		"userName": fmt.Sprintf("user%06d@example.com", i), "externalId": fmt.Sprintf("00u%08d", i), "active": true,
		"name":   map[string]any{"givenName": "Ann", "familyName": fmt.Sprintf("Number %d", i)},
		"emails": []any{map[string]any{"value": fmt.Sprintf("user%06d@example.com", i), "type": "work", "primary": true}},
		"title":  "Engineer", cloud.EnterpriseURN: map[string]any{"department": "Ops", "employeeNumber": fmt.Sprint(i)},
	}
}

// newCrowd makes n users of each of orgs. They are put into the store as the
// service would have, many in one transaction.
func newCrowd(tb testing.TB, n int, orgs ...string) []*crowd {
	tb.Helper()
	ctx := context.Background()
	db, err := store.Open(ctx, filepath.Join(tb.TempDir(), "cloud.db"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	svc, err := cloud.NewService(db, cloud.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	var ended sync.WaitGroup
	ended.Go(func() { // as in a cloud, which also keeps its journal
		if err := svc.Run(running); err != nil {
			tb.Error(err)
		}
	})
	tb.Cleanup(func() { stop(); ended.Wait() })
	server := httptest.NewServer(scim.NewHandler(svc, scim.Options{Log: slog.New(slog.DiscardHandler), Observe: svc.Observe}))
	tb.Cleanup(server.Close)
	var all []*crowd
	now := time.Now().UTC().Truncate(time.Millisecond)
	for _, org := range orgs {
		c := &crowd{db: db, svc: svc, server: server, org: org}
		if _, err := svc.CreateOrg(ctx, "bench", cloud.Org{ID: org, Name: org}); err != nil {
			tb.Fatal(err)
		}
		if _, c.token, err = svc.CreateToken(ctx, "bench", org, "bench"); err != nil {
			tb.Fatal(err)
		}
		err := db.Update(ctx, func(tx cloud.Tx) error {
			for i := range n {
				attrs := crowdUser(i)
				doc, err := json.Marshal(attrs)
				if err != nil {
					return err
				}
				name := attrs["userName"].(string)
				row := cloud.PersonRow{ID: fmt.Sprintf("%s-%08d", org, i), Org: org, Origin: cloud.OriginDirectory, UserName: name, ExternalID: attrs["externalId"].(string),
					Name: name, Active: true, Kind: "FULL", Emails: []string{name}, Doc: doc, Created: now, Modified: now, Version: 1}
				c.ids = append(c.ids, row.ID)
				if err := tx.PutPerson(row); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, c)
	}
	return all
}

// A wire is one connection that says little itself, so that what a benchmark
// measures is the server.
type wire struct {
	conn net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
	head string // what every request has after its first line
}

func dialWire(server *httptest.Server, token string) (*wire, error) {
	addr := server.Listener.Addr().String()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	head := " HTTP/1.1\r\nHost: " + addr + "\r\nAuthorization: Bearer " + token + "\r\nContent-Type: application/scim+json\r\nContent-Length: "
	return &wire{conn: conn, r: bufio.NewReader(conn), w: bufio.NewWriter(conn), head: head}, nil
}

// do sends a request and reads the answer, of which it wants the status.
func (w *wire) do(want int, method, path, body string) error {
	fmt.Fprintf(w.w, "%s %s%s%d\r\n\r\n%s", method, path, w.head, len(body), body)
	if err := w.w.Flush(); err != nil {
		return err
	}
	status, length := 0, 0
	for first := true; ; first = false {
		line, err := w.r.ReadSlice('\n')
		if err != nil {
			return err
		}
		switch {
		case first:
			if status, err = strconv.Atoi(string(line[9:12])); err != nil {
				return err
			}
		case len(line) == 2:
			if status != want {
				text, _ := io.ReadAll(io.LimitReader(w.r, int64(length)))
				return fmt.Errorf("%s %s: status %d, want %d: %s", method, path, status, want, text)
			}
			_, err := w.r.Discard(length)
			return err
		case strings.HasPrefix(string(line), "Content-Length: "):
			if length, err = strconv.Atoi(strings.TrimSpace(string(line[16:]))); err != nil {
				return err
			}
		}
	}
}

// cpu is the processor time that this process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// overHTTP measures requests that come over 16 connections. Besides the time
// it reports the processor time, of server and client together.
func overHTTP(b *testing.B, server *httptest.Server, token string, want int, request func(i int) (method, path, body string)) {
	var n atomic.Int64
	b.SetParallelism(8)
	before := cpu(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		w, err := dialWire(server, token)
		if err != nil {
			b.Error(err)
			return
		}
		defer w.conn.Close()
		for pb.Next() {
			method, path, body := request(int(n.Add(1)))
			if err := w.do(want, method, path, body); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N), "cpu-ns/op")
}

// newFloor is the least that a server can do: net/http, a map, and
// encoding/json of the same documents.
func newFloor(b *testing.B, n int) *httptest.Server {
	byID, byName := map[string]map[string]any{}, map[string]map[string]any{}
	for i := range n {
		doc := crowdUser(i)
		id := fmt.Sprintf("floor-%08d", i)
		doc["id"], doc["schemas"] = id, []string{coreUser, enterprise}
		doc["meta"] = map[string]any{"resourceType": "User", "created": "2026-11-22T09:00:00Z", "lastModified": "2026-11-22T09:00:00Z", "location": "http://127.0.0.1/scim/v2/Users/" + id, "version": `W/"1"`}
		byID[id], byName[doc["userName"].(string)] = doc, doc
	}
	answer := func(w http.ResponseWriter, v any) {
		data, err := json.Marshal(v)
		if err != nil {
			b.Error(err)
		}
		w.Header().Set("Content-Type", "application/scim+json")
		w.Write(data)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /scim/v2/Users/{id}", func(w http.ResponseWriter, r *http.Request) { answer(w, byID[r.PathValue("id")]) })
	mux.HandleFunc("GET /scim/v2/Users", func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimSuffix(strings.TrimPrefix(r.URL.Query().Get("filter"), `userName eq "`), `"`)
		answer(w, map[string]any{"schemas": []string{messages + "ListResponse"}, "totalResults": 1, "startIndex": 1, "itemsPerPage": 1, "Resources": []any{byName[name]}})
	})
	server := httptest.NewServer(mux)
	b.Cleanup(server.Close)
	return server
}

func byName(i, n int) string {
	return "/scim/v2/Users?filter=" + url.QueryEscape(fmt.Sprintf(`userName eq "user%06d@example.com"`, i*7919%n))
}

// firstTime asks once for each of n, before anybody else did, and shows what each
// took. It runs once whatever b.N is: the second time is not the first.
func firstTime(b *testing.B, name string, server *httptest.Server, token string, n int, path func(i int) string) {
	const lines = 16
	var next atomic.Int64
	var asking sync.WaitGroup
	start := time.Now()
	for range lines {
		asking.Go(func() {
			w, err := dialWire(server, token)
			if err != nil {
				b.Error(err)
				return
			}
			defer w.conn.Close()
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				if err := w.do(200, "GET", path(i), ""); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	asking.Wait()
	each := float64(time.Since(start)) / float64(n)
	b.Run(name, func(b *testing.B) { b.ReportMetric(each, "ns/op") })
}

// BenchmarkSCIM is what a directory asks most, over HTTP and a durable store,
// beside the floor: for the first time, and from then on.
func BenchmarkSCIM(b *testing.B) {
	for _, n := range benchSizes(b) {
		c, floor := newCrowd(b, n, "bench")[0], newFloor(b, n)
		size := fmt.Sprint(n)
		for _, of := range []struct {
			name   string
			server *httptest.Server
			prefix string
		}{{"floor", floor, "floor-"}, {"ours", c.server, "bench-"}} {
			for _, ask := range []struct {
				name string
				path func(i int) string
			}{
				{"get", func(i int) string { return fmt.Sprintf("/scim/v2/Users/%s%08d", of.prefix, i*7919%n) }},
				{"filter", func(i int) string { return byName(i, n) }},
			} {
				name := ask.name + "/" + of.name + "/" + size
				firstTime(b, "first-"+name, of.server, c.token, n, ask.path)
				b.Run(name, func(b *testing.B) {
					overHTTP(b, of.server, c.token, 200, func(i int) (string, string, string) { return "GET", ask.path(i), "" })
				})
			}
		}
		b.Run("patch/"+size, func(b *testing.B) {
			overHTTP(b, c.server, c.token, 200, func(i int) (string, string, string) {
				return "PATCH", "/scim/v2/Users/" + c.ids[i*7919%n], patch(twoOps(i))
			})
		})
	}
}

// twoOps are two operations that change something.
func twoOps(i int) string {
	return fmt.Sprintf(`{"op":"replace","path":"title","value":"Title %d"},{"op":"replace","path":"emails[type eq \"work\"].value","value":"user%d@example.com"}`, i, i)
}
