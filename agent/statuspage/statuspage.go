// Package statuspage serves the site's local page for facilities staff, the
// same as JSON, and what Prometheus and service managers ask for.
package statuspage

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"latchkey/access"
	"latchkey/agent"
	"latchkey/internal/ago"
)

//go:embed page.html static
var files embed.FS

// A Source is what the page is made from.
type Source interface {
	Status(ctx context.Context) agent.Status
	// RecentEvents returns the newest events that f lets through, newest first.
	RecentEvents(ctx context.Context, f agent.EventQuery) ([]access.Event, error)
}

// Options say what else Handler needs. Log may be nil.
type Options struct {
	Metrics http.Handler
	// Hosts are the names under which the page may be asked for, besides
	// loopback and IP addresses. Any other name is refused, because a page of
	// somebody else's that renames itself to our address (DNS rebinding) would
	// otherwise read ours.
	Hosts []string
	Log   *slog.Logger
}

const (
	pageEvents = 50   // on the page
	maxEvents  = 1000 // by the API in one answer
)

// Handler serves the page, its JSON, metrics and health. It changes nothing.
func Handler(src Source, o Options) (http.Handler, error) {
	page, err := template.New("page.html").Funcs(template.FuncMap{
		"ago": ago.Words, "clock": clock, "what": access.Event.What, "why": access.Event.Why, "contact": contact,
	}).ParseFS(files, "page.html")
	if err != nil {
		return nil, fmt.Errorf("statuspage: %w", err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &server{src: src, page: page, log: o.Log}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.index)
	mux.HandleFunc("GET /api/status", s.status)
	mux.HandleFunc("GET /api/events", s.events)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.Handle("GET /static/", http.FileServerFS(files))
	if o.Metrics != nil {
		mux.Handle("GET /metrics", o.Metrics)
	}
	return guard(mux, o.Hosts), nil
}

type server struct {
	src  Source
	page *template.Template
	log  *slog.Logger
}

// guard sets the headers that keep a browser from being used against the page,
// and refuses host names that are not ours.
func guard(next http.Handler, hosts []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hostAllowed(r.Host, hosts) {
			http.Error(w, fmt.Sprintf("host %q: want the address of this gateway", r.Host), http.StatusMisdirectedRequest)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func hostAllowed(hostport string, hosts []string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	if host == "localhost" || net.ParseIP(strings.Trim(host, "[]")) != nil {
		return true
	}
	for _, h := range hosts {
		if strings.EqualFold(h, host) {
			return true
		}
	}
	return false
}

func (s *server) index(w http.ResponseWriter, r *http.Request) {
	events, err := s.src.RecentEvents(r.Context(), agent.EventQuery{Limit: pageEvents})
	st := s.src.Status(r.Context())
	if err != nil {
		st.Problems = append(st.Problems, "The last events cannot be read: "+err.Error())
	}
	var b bytes.Buffer
	if err := s.page.Execute(&b, struct {
		agent.Status
		Last []access.Event
	}{st, events}); err != nil {
		s.log.ErrorContext(r.Context(), "status page", "err", err)
		http.Error(w, "the page cannot be made; see the log", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(b.Bytes())
}

func (s *server) status(w http.ResponseWriter, r *http.Request) {
	s.json(w, r, http.StatusOK, s.src.Status(r.Context()))
}

// A readiness is the body of /readyz.
type readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"` // why not
}

// ready answers 503 with the reasons while the site cannot do its work. A
// cloud that is away is no such reason.
func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	st := s.src.Status(r.Context())
	reasons := []string{}
	switch {
	case st.Damaged != "":
		reasons = append(reasons, "cache: "+st.Damaged)
	case !st.Ready:
		reasons = append(reasons, "no list from the cloud yet")
	}
	if st.Events.Failing != "" {
		reasons = append(reasons, "disk: "+st.Events.Failing)
	}
	for _, t := range st.Tasks {
		if t.Error != "" {
			reasons = append(reasons, t.Name+": "+t.Error)
		}
	}
	code := http.StatusOK
	if len(reasons) > 0 {
		code = http.StatusServiceUnavailable
	}
	s.json(w, r, code, readiness{len(reasons) == 0, reasons})
}

func (s *server) events(w http.ResponseWriter, r *http.Request) {
	q, err := eventQuery(r.URL.Query())
	if err != nil {
		s.json(w, r, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	list, err := s.src.RecentEvents(r.Context(), q)
	if err != nil {
		s.log.ErrorContext(r.Context(), "events cannot be read", "err", err)
		s.json(w, r, http.StatusInternalServerError, map[string]string{"error": "the events cannot be read; see the log"})
		return
	}
	if list == nil {
		list = []access.Event{} // [] and not null
	}
	s.json(w, r, http.StatusOK, list)
}

// eventQuery reads reader, door, kind, after (an event's n), since (RFC 3339)
// and limit (1 to maxEvents, otherwise 100).
func eventQuery(v url.Values) (q agent.EventQuery, err error) {
	q = agent.EventQuery{Reader: v.Get("reader"), Door: v.Get("door"), Kind: v.Get("kind"), Limit: 100}
	if s := v.Get("after"); s != "" {
		if q.After, err = strconv.ParseUint(s, 10, 64); err != nil {
			return q, fmt.Errorf("after: %q: want an event's number", s)
		}
	}
	if s := v.Get("since"); s != "" {
		if q.Since, err = time.Parse(time.RFC3339Nano, s); err != nil {
			return q, fmt.Errorf("since: %q: want a time such as 2026-01-02T15:04:05Z", s)
		}
	}
	if s := v.Get("limit"); s != "" {
		if q.Limit, err = strconv.Atoi(s); err != nil || q.Limit < 1 || q.Limit > maxEvents {
			return q, fmt.Errorf("limit: %q: want 1 to %d", s, maxEvents)
		}
	}
	return q, nil
}

func (s *server) json(w http.ResponseWriter, r *http.Request, code int, v any) {
	b, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		s.log.ErrorContext(r.Context(), "status page JSON", "err", err)
		code, b = http.StatusInternalServerError, []byte(`{"error":"see the log"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(append(b, '\n'))
}

func clock(t time.Time) string { return t.Local().Format("2 Jan 15:04:05") }

// contact puts a door's lock and contact into words.
func contact(d agent.DoorStatus) string {
	switch {
	case d.Contact == "open" && d.Unlocked:
		return "open, unlocked"
	case d.Contact == "open":
		return "open"
	case d.Unlocked:
		return "unlocked"
	case d.Contact == "closed":
		return "shut"
	default:
		return "no contact"
	}
}
