package cloudapp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
	"latchkey/cloud/okta"
	"latchkey/cloud/seal"
	"latchkey/cloud/store"
	"latchkey/cloud/throttle"
	"latchkey/delta"
	"latchkey/uplink"
)

const (
	adminToken = "an-administrator's-token"
	publicURL  = "https://cloud.example"
)

// A fakeLink is an uplink as a test wants it.
type fakeLink struct {
	stats uplink.CloudStats
	sites map[string]uplink.SiteState
}

func (l *fakeLink) Stats() uplink.CloudStats                { return l.stats }
func (l *fakeLink) SiteStates() map[string]uplink.SiteState { return l.sites }

// A world is the cloud's handler over a database of its own.
type world struct {
	*testing.T
	db      *store.DB
	service *cloud.Service
	link    *fakeLink
	events  *eventCounter
	reg     *prometheus.Registry
	handler http.Handler
}

func newWorld(t *testing.T) *world {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "cloud.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	service, err := cloud.NewService(db, cloud.Options{})
	if err != nil {
		t.Fatal(err)
	}
	key, err := delta.NewKey("cloud-1")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, db: db, service: service, link: &fakeLink{}, events: &eventCounter{}, reg: prometheus.NewPedanticRegistry()}
	sealer, err := seal.New([]byte("a key that is in a file of its own"), okta.SealPurpose)
	if err != nil {
		t.Fatal(err)
	}
	pulls, err := okta.NewService(service, okta.Options{Seal: sealer})
	if err != nil {
		t.Fatal(err)
	}
	door, err := signin.NewService(service, signin.Options{PublicURL: publicURL, Secret: []byte("a key that is in a file of its own")})
	if err != nil {
		t.Fatal(err)
	}
	w.handler, err = newHandler(handlerConfig{
		service: service, okta: pulls, signIn: door, link: w.link, events: w.events, reg: w.reg, key: key, log: slog.New(slog.DiscardHandler),
		tokens: func() ([]string, error) { return []string{adminToken}, nil }, proxies: throttle.Proxies{netip.MustParsePrefix("192.0.2.0/24")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) do(method, path, token, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(w.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/scim+json")
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	return rec
}

// A guesser behind the proxy that an operator trusts keeps no directory out that
// comes through the same one.
func TestGuessersAreToldApartBehindAProxy(t *testing.T) {
	w := newWorld(t)
	guess := func(from string) int {
		r := httptest.NewRequestWithContext(w.Context(), "GET", "/scim/v2/Users", nil) // from 192.0.2.1
		r.Header.Set("Authorization", "Bearer guess")
		r.Header.Set("X-Forwarded-For", from)
		rec := httptest.NewRecorder()
		w.handler.ServeHTTP(rec, r)
		return rec.Code
	}
	for i := 0; guess("203.0.113.7") != http.StatusTooManyRequests; i++ {
		if i == 1000 {
			t.Fatal("1000 wrong tokens, and no word to wait")
		}
	}
	if code := guess("203.0.113.8"); code != http.StatusUnauthorized {
		t.Errorf("somebody else behind the proxy: %d, want 401", code)
	}
}

// The token that an administrator makes is all that a directory needs, also
// when its tenant URL ends in a slash.
func TestCreatedTokenServesADirectory(t *testing.T) {
	w := newWorld(t)
	if rec := w.do("POST", "/admin/api/v1/orgs", adminToken, `{"id":"acme"}`); rec.Code != 201 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	rec := w.do("POST", "/admin/api/v1/orgs/acme/tokens", adminToken, `{"label":"Entra ID"}`)
	var made struct{ ID, Token string }
	if err := json.Unmarshal(rec.Body.Bytes(), &made); err != nil || made.Token == "" {
		t.Fatalf("%s: %v", rec.Body, err)
	}
	user := `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"%s","active":true}`
	for _, tt := range []struct {
		method, path, body string
		code               int
	}{
		{"GET", "/scim/v2/Users?startIndex=1&count=2", "", 200}, // Okta's test
		{"GET", "/scim/v2/ServiceProviderConfig", "", 200},
		{"POST", "/scim/v2/Users", fmt.Sprintf(user, "jane@example.com"), 201},
		{"POST", "/scim/v2//Users", fmt.Sprintf(user, "john@example.com"), 201},
		{"POST", "/scim/v2/Users", fmt.Sprintf(user, "JANE@example.com"), 409},
		{"GET", "/scim/v2x/Users", "", 404},
	} {
		if rec := w.do(tt.method, tt.path, made.Token, tt.body); rec.Code != tt.code {
			t.Errorf("%s %s: %d %s; want %d", tt.method, tt.path, rec.Code, rec.Body, tt.code)
		}
	}
	if rec := w.do("GET", "/scim/v2/Users", adminToken, ""); rec.Code != 401 {
		t.Errorf("the administrator's token at SCIM: %d, want 401", rec.Code)
	}
	if rec := w.do("GET", "/admin/api/v1/orgs", made.Token, ""); rec.Code != 401 {
		t.Errorf("a directory's token at the admin API: %d, want 401", rec.Code)
	}
	if rec := w.do("DELETE", "/admin/api/v1/orgs/acme/tokens/"+made.ID, adminToken, ""); rec.Code != 204 {
		t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	if rec := w.do("GET", "/scim/v2/Users", made.Token, ""); rec.Code != 401 {
		t.Errorf("a deleted token: %d, want 401", rec.Code)
	}
	w.do("BREW", "/scim/v2/Users", made.Token, "")
	want := `
# HELP latchkey_cloud_scim_requests_total Calls of directories, by method and class of the answer's code.
# TYPE latchkey_cloud_scim_requests_total counter
latchkey_cloud_scim_requests_total{code="2xx",method="DELETE"} 0
latchkey_cloud_scim_requests_total{code="2xx",method="GET"} 2
latchkey_cloud_scim_requests_total{code="2xx",method="PATCH"} 0
latchkey_cloud_scim_requests_total{code="2xx",method="POST"} 2
latchkey_cloud_scim_requests_total{code="2xx",method="PUT"} 0
latchkey_cloud_scim_requests_total{code="4xx",method="DELETE"} 0
latchkey_cloud_scim_requests_total{code="4xx",method="GET"} 2
latchkey_cloud_scim_requests_total{code="4xx",method="PATCH"} 0
latchkey_cloud_scim_requests_total{code="4xx",method="POST"} 1
latchkey_cloud_scim_requests_total{code="4xx",method="PUT"} 0
latchkey_cloud_scim_requests_total{code="4xx",method="other"} 1
latchkey_cloud_scim_requests_total{code="5xx",method="DELETE"} 0
latchkey_cloud_scim_requests_total{code="5xx",method="GET"} 0
latchkey_cloud_scim_requests_total{code="5xx",method="PATCH"} 0
latchkey_cloud_scim_requests_total{code="5xx",method="POST"} 0
latchkey_cloud_scim_requests_total{code="5xx",method="PUT"} 0
`
	if err := testutil.GatherAndCompare(w.reg, strings.NewReader(want), "latchkey_cloud_scim_requests_total"); err != nil {
		t.Error(err)
	}
}

func TestHealth(t *testing.T) {
	w := newWorld(t)
	check := func(path string, code int, word string) {
		t.Helper()
		if rec := w.do("GET", path, "", ""); rec.Code != code || !strings.Contains(rec.Body.String(), word) {
			t.Errorf("%s: %d %s; want %d and %q", path, rec.Code, rec.Body, code, word)
		}
	}
	check("/healthz", 200, "ok")
	check("/readyz", 503, `"broker: not connected"`)
	w.link.stats = uplink.CloudStats{Since: time.Unix(1795305600, 0), Fault: "dial tcp: sesame"}
	check("/readyz", 503, "since 2026-11-22T00:00:00Z")
	if rec := w.do("GET", "/readyz", "", ""); strings.Contains(rec.Body.String(), "sesame") {
		t.Errorf("the broker's own words are shown to everybody: %s", rec.Body)
	}
	w.link.stats.Connected = true
	check("/readyz", 200, `{"ready":true,"reasons":[]}`)
	w.db.Close()
	check("/readyz", 503, "database: it does not answer")
	check("/healthz", 200, "ok") // a restart would not mend it
}

// The metrics' names are promises to dashboards and alerts.
func TestMetrics(t *testing.T) {
	w := newWorld(t)
	w.link.stats = uplink.CloudStats{Connected: true, Sent: 9, Received: 8, Bad: 7, Dropped: 6, Resent: 5, Snapshots: 4}
	w.link.sites = map[string]uplink.SiteState{
		"hq":    {Online: true, LastUp: time.Unix(1, 0), Head: delta.Head{Epoch: 1, Seq: 42}, Applied: delta.Head{Epoch: 1, Seq: 40}},
		"depot": {Head: delta.Head{Epoch: 1, Seq: 3}, Nack: "what?"}, // not heard since the cloud started
	}
	guess := httptest.NewRequestWithContext(t.Context(), "POST", publicURL+"/admin/sign-in", strings.NewReader("code=guess"))
	guess.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	guess.Header.Set("Sec-Fetch-Site", "same-origin")
	w.handler.ServeHTTP(httptest.NewRecorder(), guess)
	problems, err := testutil.GatherAndLint(w.reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
	want := `
# HELP latchkey_cloud_broker_connected 1 while the cloud is connected to the broker.
# TYPE latchkey_cloud_broker_connected gauge
latchkey_cloud_broker_connected 1
# HELP latchkey_cloud_messages_sent_total Messages to sites.
# TYPE latchkey_cloud_messages_sent_total counter
latchkey_cloud_messages_sent_total 9
# HELP latchkey_cloud_sign_ins_total Tries to sign in to the administrators' pages, by way (code, account) and outcome (in, refused, slowed, failed).
# TYPE latchkey_cloud_sign_ins_total counter
latchkey_cloud_sign_ins_total{outcome="failed",way="account"} 0
latchkey_cloud_sign_ins_total{outcome="failed",way="code"} 0
latchkey_cloud_sign_ins_total{outcome="in",way="account"} 0
latchkey_cloud_sign_ins_total{outcome="in",way="code"} 0
latchkey_cloud_sign_ins_total{outcome="refused",way="account"} 0
latchkey_cloud_sign_ins_total{outcome="refused",way="code"} 1
latchkey_cloud_sign_ins_total{outcome="slowed",way="account"} 0
latchkey_cloud_sign_ins_total{outcome="slowed",way="code"} 0
# HELP latchkey_cloud_site_applied_seq The newest change that the site has applied; absent until it has spoken to this process.
# TYPE latchkey_cloud_site_applied_seq gauge
latchkey_cloud_site_applied_seq{site="hq"} 40
# HELP latchkey_cloud_site_head_seq The newest change in the site's log, in its epoch.
# TYPE latchkey_cloud_site_head_seq gauge
latchkey_cloud_site_head_seq{site="depot"} 3
latchkey_cloud_site_head_seq{site="hq"} 42
# HELP latchkey_cloud_site_lag_changes Changes that the site has not applied; absent until it has spoken to this process.
# TYPE latchkey_cloud_site_lag_changes gauge
latchkey_cloud_site_lag_changes{site="hq"} 2
# HELP latchkey_cloud_site_refusing 1 while the site refuses what it is sent, or the cloud cannot serve it.
# TYPE latchkey_cloud_site_refusing gauge
latchkey_cloud_site_refusing{site="depot"} 1
latchkey_cloud_site_refusing{site="hq"} 0
# HELP latchkey_cloud_sites Sites that this process serves: all, unless several share a database.
# TYPE latchkey_cloud_sites gauge
latchkey_cloud_sites 2
# HELP latchkey_cloud_sites_online Sites that are heard at present.
# TYPE latchkey_cloud_sites_online gauge
latchkey_cloud_sites_online 1
`
	names := []string{"broker_connected", "messages_sent_total", "sign_ins_total", "site_applied_seq", "site_head_seq", "site_lag_changes", "site_refusing", "sites", "sites_online"}
	for i, n := range names {
		names[i] = "latchkey_cloud_" + n
	}
	if err := testutil.GatherAndCompare(w.reg, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
	families, err := w.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "latchkey_cloud_") {
			t.Errorf("%s: want the prefix latchkey_cloud_", f.GetName())
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if !slices.Contains([]string{"site", "method", "code", "version", "way", "outcome"}, l.GetName()) {
					t.Errorf("%s has the label %s", f.GetName(), l.GetName())
				}
			}
		}
	}
	if rec := w.do("GET", "/metrics", "", ""); rec.Code != 200 || !strings.Contains(rec.Body.String(), "latchkey_cloud_info{version=") {
		t.Errorf("/metrics: %d %s", rec.Code, rec.Body)
	}
}

func TestLag(t *testing.T) {
	for _, tt := range []struct {
		head, applied delta.Head
		want          uint64
	}{
		{delta.Head{Epoch: 1, Seq: 5}, delta.Head{Epoch: 1, Seq: 5}, 0},
		{delta.Head{Epoch: 1, Seq: 5}, delta.Head{Epoch: 1, Seq: 2}, 3},
		{delta.Head{Epoch: 1, Seq: 5}, delta.Head{Epoch: 1, Seq: 9}, 0}, // the cloud came from a backup
		{delta.Head{Epoch: 2, Seq: 5}, delta.Head{Epoch: 1, Seq: 900}, 5},
	} {
		if got := lag(tt.head, tt.applied); got != tt.want {
			t.Errorf("lag(%v, %v) = %d, want %d", tt.head, tt.applied, got, tt.want)
		}
	}
}

// Each event counts once, whatever a site repeats and whenever the cloud
// restarts.
func TestEventsAreCountedOnce(t *testing.T) {
	w := newWorld(t)
	for _, err := range []error{
		errOf(w.service.CreateOrg(t.Context(), "admin", cloud.Org{ID: "acme"})),
		errOf(w.service.PutProperty(t.Context(), "admin", "acme", cloud.Property{ID: "hq"})),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	events := func(epoch string, from, to uint64) *delta.Events {
		m := &delta.Events{EventEpoch: epoch}
		for n := from; n <= to; n++ {
			m.Events = append(m.Events, access.Event{N: n, Kind: access.EventDoorOpened})
		}
		return m
	}
	src := &source{w.service, w.events}
	for _, step := range []struct {
		name    string
		restart bool
		m       *delta.Events
		upTo    uint64
		count   uint64
	}{
		{"new", false, events("e", 1, 3), 3, 3},
		{"repeated", false, events("e", 1, 3), 3, 3},
		{"overlapping", false, events("e", 2, 5), 5, 5},
		{"a gap", false, events("e", 7, 9), 5, 5},
		{"another event store", false, events("f", 1, 2), 2, 7},
		{"repeated after a restart", true, events("f", 1, 2), 2, 0},
		{"and more", false, events("f", 1, 4), 4, 2},
	} {
		if step.restart {
			src.events = &eventCounter{}
		}
		upTo, err := src.Events(t.Context(), "hq", step.m)
		if err != nil || upTo != step.upTo || src.events.counts()["hq"] != step.count {
			t.Errorf("%s: up to %d, counted %d, %v; want %d and %d", step.name, upTo, src.events.counts()["hq"], err, step.upTo, step.count)
		}
	}
	if _, err := src.Events(t.Context(), "nowhere", events("e", 1, 1)); err == nil {
		t.Error("events of a site that is not ours were stored")
	}
	if _, err := src.HashAt(t.Context(), "hq", 1, 7); !errors.Is(err, uplink.ErrNoEntry) {
		t.Errorf("HashAt: %v, want uplink.ErrNoEntry", err)
	}
}

func errOf[T any](_ T, err error) error { return err }

// A call that is under way when the cloud stops is answered, and what was
// behind it ends only then.
func TestStopAnswersCallsUnderWay(t *testing.T) {
	var mu sync.Mutex
	var order []string
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, what)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	asked, carryOn := make(chan struct{}), make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-carryOn
		if r.Context().Err() != nil {
			note("broken off")
		}
		note("committed")
		io.WriteString(w, "done")
	})
	ended := make(chan error)
	go func() {
		ended <- work(ctx, func(ctx context.Context) error { return serveHTTP(ctx, l, h, slog.New(slog.DiscardHandler)) },
			task{"uplink", func(ctx context.Context) error { <-ctx.Done(); note("uplink ended"); return nil }})
	}()
	answer := make(chan string)
	go func() {
		resp, err := http.Post("http://"+l.Addr().String(), "", nil)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		answer <- string(text)
	}()
	<-asked
	stop()
	for { // until nobody new gets in
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			break
		}
		c.Close()
	}
	close(carryOn)
	if got := <-answer; got != "done" {
		t.Errorf("the call under way got %q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if got := strings.Join(order, ", "); got != "committed, uplink ended" {
		t.Errorf("order: %s", got)
	}
}

// A call that does not end is cut off, in time.
func TestStopCutsOffWhatDoesNotEnd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		stop()
		<-r.Context().Done()
	})
	go func() {
		if resp, err := http.Get("http://" + l.Addr().String()); err == nil {
			resp.Body.Close()
		}
	}()
	var log bytes.Buffer
	began := time.Now()
	if err := serveHTTP(ctx, l, h, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < grace || took > grace+1500*time.Millisecond {
		t.Errorf("it took %v, want %v and little more", took, grace)
	}
	if !strings.Contains(log.String(), "cut off") {
		t.Errorf("log: %s", &log)
	}
}

// A task that fails stops everything, and its error says which it was.
func TestTaskThatFailsStopsAll(t *testing.T) {
	err := work(t.Context(), func(ctx context.Context) error { <-ctx.Done(); return nil },
		task{"uplink", func(context.Context) error { return errors.New("no more") }},
		task{"gains", func(ctx context.Context) error { <-ctx.Done(); return nil }})
	if err == nil || err.Error() != "uplink: no more" {
		t.Errorf("error %v", err)
	}
}
