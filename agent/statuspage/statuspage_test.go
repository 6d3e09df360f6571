package statuspage

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"latchkey/access"
	"latchkey/agent"
	"latchkey/controller"
	"latchkey/delta"
)

// Times on the page are local ones; tests stand in Greenwich.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

var update = flag.Bool("update", false, "write the golden files anew")

var nine = time.Date(2026, 6, 1, 9, 0, 0, 0, time.UTC)

// A fake is a site as the test wants it.
type fake struct {
	status agent.Status
	events []access.Event
	asked  agent.EventQuery
	err    error
}

func (f *fake) Status(context.Context) agent.Status { return f.status }
func (f *fake) RecentEvents(_ context.Context, q agent.EventQuery) ([]access.Event, error) {
	f.asked = q
	return f.events, f.err
}

// readers are one of each kind: encrypted, allowed to be clear, and not trusted.
func readers() []controller.ReaderStatus {
	return []controller.ReaderStatus{
		{Name: "front", Door: "front", Address: 1, Online: true, Secure: true, Encryption: controller.Encrypted, Since: nine.Add(-time.Hour), Retries: 3, CRCErrors: 1, Tamper: true,
			Quality: &controller.Quality{Answers: 9120, ReplyP50: 0.004, ReplyP99: 0.016, ReplyMax: 0.0214, WorstPollGap: 0.1004, Handshakes: 1}},
		{Name: "yard", Door: "yard", Address: 3, Online: true, Clear: true, Encryption: "not encrypted: the site file allows it", Since: nine.Add(-time.Hour),
			Quality: &controller.Quality{Answers: 9000, ReplyP50: 0.001, ReplyP99: 0.002, ReplyMax: 0.0021, WorstPollGap: 1.25, NAKs: map[string]uint64{"3": 1}},
			Remarks: []controller.Remark{{Text: "Two readers answer at address 3. Give one of them another address."}}},
		{Name: "lab", Door: "lab", Address: 4, Encryption: "no encrypted line now", Since: nine.Add(-time.Minute), Quality: new(controller.Quality),
			Problem: "The reader has another key than the one that belongs to it. It may have been reset or exchanged: look at it before giving it a new key."},
	}
}

// busy is a site with something of everything.
func busy() *fake {
	return &fake{
		status: agent.Status{
			Site: "hq", Name: "Head <Quarters>", At: nine, Software: "latchkey-agent test", Ready: true,
			Summary:  "1 of 2 doors are up to date; Loading dock: 14 changes behind since 08:12.",
			Problems: []string{"This gateway's clock is 2m0s behind the cloud's.", "Reader yard: Two readers answer at address 3. Give one of them another address."},
			Notices:  []string{"Reader yard (bus-1) is not encrypted, as the site file allows: whoever reaches its cable reads its cards and can open its door."},
			Cloud:    agent.LinkStatus{Since: nine.Add(-time.Hour), LastBeat: nine.Add(-time.Hour)},
			Head:     delta.Head{Epoch: 7, Seq: 41}, Lag: 3,
			Counts: access.Counts{People: 12, Credentials: 15},
			Doors: []agent.DoorStatus{
				{ID: "front", Name: "Front door", Kind: access.DoorKindDoor, Mode: access.ModeNormal, Controller: "bus-1", Readers: []string{"front"},
					Contact: "closed", Online: true, Since: nine.Add(-3 * 24 * time.Hour), UpToDate: true, Text: "up to date"},
				{ID: "dock", Name: "Loading dock", Kind: access.DoorKindCabinet, Mode: access.ModeLockdown, Controller: "dock",
					Contact: "open", Unlocked: true, Online: true, Since: nine.Add(-time.Minute), Text: "14 changes behind since 08:12"},
			},
			Controllers: []controller.Status{
				{Name: "bus-1", Kind: "osdp", Online: true, Since: nine.Add(-time.Hour), Readers: readers(),
					Line: &controller.LineStatus{Remarks: []controller.Remark{{Text: "The adapter hears itself. That is harmless; if it has a switch for echo, switch it off.", Harmless: true}}}},
				{Name: "dock", Kind: "serial", Since: nine.Add(-10 * time.Minute), Table: &controller.TableStatus{
					Wanted: 15, Held: 1, Behind: 14, Since: nine.Add(-48 * time.Minute), Text: "14 cards still to be changed in the controller."},
					Readers: []controller.ReaderStatus{{Name: "dock", Door: "dock", Since: nine.Add(-10 * time.Minute), Encryption: "not encrypted: the serial door link knows no encryption"}}},
			},
			Events: agent.EventStatus{Last: 2, Unsent: 2, Oldest: nine.Add(-2 * time.Hour), Waiting: 1},
		},
		events: []access.Event{
			{N: 4, At: nine, Kind: access.EventAlarm, Controller: "dock", Text: "the controller refuses its schedules"},
			{N: 3, At: nine, Kind: access.EventDoorForced, Door: "front"},
			{N: 2, At: nine, Kind: access.EventAccess, Reader: "dock", Door: "dock", Granted: true, Reason: access.Granted, Card: "H10302 …0731", DecidedBy: access.ByController},
			{N: 1, At: nine.Add(-time.Minute), Kind: access.EventAccess, Reader: "front", Door: "front", Reason: access.NoGroup, Card: "H10301 …42", DecidedBy: access.ByAgent},
		},
	}
}

func get(t *testing.T, src Source, target string, with ...func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	h, err := Handler(src, Options{Hosts: []string{"gateway.example.com"},
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "latchkey_up 1") })})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.Host = "127.0.0.1:9440"
	for _, f := range with {
		f(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// The page is held to the word: what it says to people is a promise, too.
func TestPage(t *testing.T) {
	for name, src := range map[string]*fake{
		"busy": busy(), "first-day": {status: agent.Status{Name: "hq", At: nine, Summary: "No doors are known yet.", Cloud: agent.LinkStatus{Since: nine}}},
	} {
		t.Run(name, func(t *testing.T) {
			w := get(t, src, "/")
			if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/html; charset=utf-8" {
				t.Fatalf("answer %d %s", w.Code, w.Header().Get("Content-Type"))
			}
			file := "testdata/" + name + ".html"
			if *update {
				if err := os.WriteFile(file, w.Body.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if w.Body.String() != string(want) {
				t.Errorf("page\n%s\nwant\n%s", w.Body, want)
			}
			if w.Body.Len() > 60<<10 {
				t.Errorf("the page has %d bytes, want at most 60 KiB", w.Body.Len())
			}
		})
	}
}

// No page carries a script, something from elsewhere, or a form.
func TestPageStandsAlone(t *testing.T) {
	body := get(t, busy(), "/").Body.String()
	for _, bad := range []string{"<script", "<form", "http://", "https://", " style=", " onclick", "Head <Quarters>"} {
		if strings.Contains(body, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
}

// A number of more than four digits on the page would be a card's.
func TestNoWholeCardNumber(t *testing.T) {
	body := regexp.MustCompile(`H[0-9]{5} `).ReplaceAllString(get(t, busy(), "/").Body.String(), "") // formats are named by numbers
	if n := regexp.MustCompile(`[0-9]{5,}`).FindString(body); n != "" {
		t.Errorf("the page has the number %s", n)
	}
}

func TestHeaders(t *testing.T) {
	for _, path := range []string{"/", "/api/status", "/api/events", "/metrics", "/healthz", "/readyz", "/static/style.css", "/nothing"} {
		h := get(t, busy(), path).Header()
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: Content-Security-Policy %q", path, csp)
		}
		if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Cache-Control") != "no-store" || h.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: headers %v", path, h)
		}
	}
}

// DNS rebinding: a browser that was made to think that somebody's name is our
// address asks by that name.
func TestHosts(t *testing.T) {
	for host, want := range map[string]int{
		"127.0.0.1:9440": 200, "[::1]:9440": 200, "localhost:9440": 200, "localhost": 200, "192.168.1.7:9440": 200, "[fe80::1]": 200,
		"gateway.example.com": 200, "GATEWAY.example.com:9440": 200,
		"evil.example": 421, "evil.example:9440": 421, "127.0.0.1.evil.example": 421, "localhost.evil.example": 421, "": 421,
		"gateway.example.com.evil.example": 421, "1.2.3": 421, "localhost@evil.example": 421,
	} {
		for _, path := range []string{"/", "/api/status", "/metrics"} {
			if got := get(t, busy(), path, func(r *http.Request) { r.Host = host }).Code; got != want {
				t.Errorf("Host %q, %s: %d, want %d", host, path, got, want)
			}
		}
	}
}

// The page changes nothing, so nothing but GET and HEAD is answered.
func TestMethods(t *testing.T) {
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch} {
		for _, path := range []string{"/", "/api/status", "/api/events", "/readyz"} {
			if got := get(t, busy(), path, func(r *http.Request) { r.Method = method }).Code; got != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d, want 405", method, path, got)
			}
		}
	}
	for path, want := range map[string]int{"/nothing": 404, "/api": 404, "/static/../page.html": 404, "/page.html": 404, "/metrics": 200, "/healthz": 200, "/static/style.css": 200} {
		if got := get(t, busy(), path).Code; got != want && (want != 404 || got != http.StatusMovedPermanently && got != http.StatusTemporaryRedirect) {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}
}

// The names in the JSON are what the demonstration and other people's scripts
// rely on.
func TestStatusJSON(t *testing.T) {
	var got struct {
		Site  string `json:"site"`
		Name  string `json:"name"`
		Ready bool   `json:"ready"`
		Cloud struct {
			Connected *bool `json:"connected"`
		} `json:"cloud"`
		Head   delta.Head      `json:"head"`
		Lag    uint64          `json:"lag"`
		Counts json.RawMessage `json:"counts"`
		Doors  []struct {
			ID       string `json:"id"`
			UpToDate bool   `json:"up_to_date"`
			Text     string `json:"text"`
		} `json:"doors"`
		Controllers []struct {
			Table *struct {
				Wanted, Held, Behind int
				Equal                bool
			} `json:"table"`
			Readers []struct {
				Name       string
				Secure     *bool
				Encryption string
				Problem    string
			} `json:"readers"`
		} `json:"controllers"`
		Notices []string `json:"notices"`
	}
	w := get(t, busy(), "/api/status")
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Site != "hq" || !got.Ready || got.Cloud.Connected == nil || got.Head.Seq != 41 || got.Lag != 3 || len(got.Counts) == 0 ||
		len(got.Doors) != 2 || !got.Doors[0].UpToDate || got.Doors[1].Text == "" ||
		len(got.Controllers) != 2 || got.Controllers[0].Table != nil || got.Controllers[1].Table.Behind != 14 {
		t.Errorf("status %s", w.Body)
	}
	for _, c := range got.Controllers {
		for _, r := range c.Readers {
			if r.Secure == nil || r.Encryption == "" || *r.Secure != (r.Name == "front") {
				t.Errorf("reader %+v has no label, or a wrong one", r)
			}
		}
	}
	if len(got.Notices) != 1 || len(got.Controllers[0].Readers) != 3 || got.Controllers[0].Readers[2].Problem == "" {
		t.Errorf("notices %q, readers %+v", got.Notices, got.Controllers[0].Readers)
	}
}

// TestEveryReaderIsLabelled: no reader stands on the page without a word on
// whether its line is encrypted, and the only one said to be is.
func TestEveryReaderIsLabelled(t *testing.T) {
	src := busy()
	body := get(t, src, "/").Body.String()
	rows := strings.Split(body, `<tr class="sub">`)[1:]
	n := 0
	for _, c := range src.status.Controllers {
		for _, r := range c.Readers {
			class := "warn label"
			if r.Secure {
				class = "good"
			}
			if n >= len(rows) || !strings.Contains(rows[n], "<td>"+r.Name+"\n") || !strings.Contains(rows[n], `<span class="`+class+`">`+r.Encryption+"</span>") {
				t.Errorf("reader %s has no row that says %q", r.Name, r.Encryption)
			}
			n++
		}
	}
	if n != 4 || n != len(rows) {
		t.Errorf("%d readers in %d rows, want 4", n, len(rows))
	}
}

func TestEventsJSON(t *testing.T) {
	src := busy()
	w := get(t, src, "/api/events?reader=dock&kind=access&after=7&since=2026-06-01T08:00:00.5Z&limit=3&door=dock")
	want := agent.EventQuery{Reader: "dock", Door: "dock", Kind: "access", After: 7, Since: nine.Add(-time.Hour + 500*time.Millisecond), Limit: 3}
	if src.asked != want {
		t.Errorf("asked for %+v, want %+v", src.asked, want)
	}
	var list []access.Event
	if err := json.Unmarshal(w.Body.Bytes(), &list); err != nil || len(list) != 4 || list[0].N != 4 {
		t.Errorf("events %s: %v", w.Body, err)
	}
	if got := strings.TrimSpace(get(t, &fake{}, "/api/events").Body.String()); got != "[]" {
		t.Errorf("no events: %s, want []", got)
	}
	for _, q := range []string{"after=x", "after=-1", "since=yesterday", "limit=0", "limit=1001", "limit=x"} {
		w := get(t, busy(), "/api/events?"+q)
		if key, _, _ := strings.Cut(q, "="); w.Code != http.StatusBadRequest || !strings.Contains(w.Body.String(), key) {
			t.Errorf("%s: %d %s", q, w.Code, w.Body)
		}
	}
	broken := get(t, &fake{err: errors.New("disk: secret path")}, "/api/events")
	if broken.Code != http.StatusInternalServerError || strings.Contains(broken.Body.String(), "secret") {
		t.Errorf("a store that fails: %d %s", broken.Code, broken.Body)
	}
}

func TestReady(t *testing.T) {
	for _, tt := range []struct {
		name    string
		change  func(*agent.Status)
		code    int
		reasons string
	}{
		{"well, though the cloud is away", func(*agent.Status) {}, 200, ""},
		{"first day", func(s *agent.Status) { s.Ready = false }, 503, "no list from the cloud yet"},
		{"damaged", func(s *agent.Status) { s.Ready, s.Damaged = false, "3 rows" }, 503, "cache: 3 rows"},
		{"disk", func(s *agent.Status) { s.Events.Failing = "full" }, 503, "disk: full"},
		{"task", func(s *agent.Status) { s.Tasks = []agent.TaskStatus{{Name: "driver bus-1", Error: "no readers"}} }, 503, "driver bus-1: no readers"},
	} {
		src := busy()
		tt.change(&src.status)
		w := get(t, src, "/readyz")
		var got readiness
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		if w.Code != tt.code || strings.Join(got.Reasons, ", ") != tt.reasons || got.Ready != (tt.code == 200) {
			t.Errorf("%s: %d %s, want %d %q", tt.name, w.Code, w.Body, tt.code, tt.reasons)
		}
	}
}

// FuzzQuery: no query makes the events page fail or ask for more than it may.
func FuzzQuery(f *testing.F) {
	f.Add("reader=a&limit=5&since=2026-06-01T08:00:00Z&after=1")
	f.Add("limit=99999999999999999999")
	f.Fuzz(func(t *testing.T, query string) {
		v, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		if q, err := eventQuery(v); err == nil && (q.Limit < 1 || q.Limit > maxEvents) {
			t.Errorf("%q: limit %d", query, q.Limit)
		}
	})
}
