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
		"ago": ago, "clock": clock, "what": what, "why": why, "contact": contact,
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

// ago says how old t is, at now, in words.
func ago(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case t.IsZero():
		return "never"
	case d < 2*time.Second:
		return "just now"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d seconds ago", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days ago", int(d.Hours()/24))
	}
}

func clock(t time.Time) string { return t.Local().Format("2 Jan 15:04:05") }

// what puts an event's kind into words.
func what(e access.Event) string {
	switch {
	case e.Kind == access.EventAccess && e.Granted:
		return "Let in"
	case e.Kind == access.EventAccess:
		return "Refused"
	case e.Kind == "":
		return "Event"
	default:
		return strings.ToUpper(e.Kind[:1]) + e.Kind[1:]
	}
}

// why puts an event's reason into words for people who are not engineers, with
// what to do about it.
func why(e access.Event) string {
	text := advice(e)
	switch {
	case e.Text == "":
		return text
	case text == "":
		return e.Text
	}
	return text + " " + strings.ToUpper(e.Text[:1]) + e.Text[1:] + "."
}

func advice(e access.Event) string {
	switch e.Kind {
	case access.EventAccess:
		return reason(e.Reason)
	case access.EventDoorForced:
		return "The door opened, and nobody had been let in or had asked to leave. Look at it."
	case access.EventDoorHeld:
		return "The door stands open for too long. Shut it."
	case access.EventReaderOffline:
		return "The reader does not answer: look at its power and its cable."
	case access.EventControllerDown:
		return "The controller does not answer. It decides by the list it has; look at its power and its cable."
	case access.EventTamper:
		return "Somebody is at the housing or the wiring. Look at it."
	case access.EventPowerFail:
		return "The mains power is gone; the battery lasts for hours at most."
	case access.EventForeignChange:
		return "The controller held what nobody had put there. It was mended; ask the installer who can reach it."
	case access.EventGap:
		return fmt.Sprintf("%d events could not be kept.", e.Count)
	case access.EventControllerLost:
		return fmt.Sprintf("The controller overwrote %d events before they were fetched.", e.Count)
	case access.EventCacheQuarantined:
		return "The site's own list was damaged. It asks the cloud for a new one."
	default:
		return ""
	}
}

func reason(r access.Reason) string {
	switch r {
	case access.Granted:
		return ""
	case access.UnknownCard:
		return "Nobody at this site has this card. Check the card number in the directory."
	case access.WrongFormat:
		return "The card's format is not one of this site's. Ask the installer."
	case access.WrongFacility:
		return "The card is of a facility that this site does not take. Ask the installer."
	case access.CardNotActive:
		return "The card is suspended or not issued yet."
	case access.PersonInactive:
		return "The person's account is disabled in the directory."
	case access.NoGroup:
		return "The person is in no access group for this door."
	case access.OutsideHours:
		return "The person's access does not hold at this time."
	case access.NotYetValid:
		return "The card is not valid yet."
	case access.Expired:
		return "The card has expired."
	case access.Lockdown:
		return "The door is locked down."
	case access.WrongDoorKind:
		return "The person may open key cabinets only."
	case access.UnknownDoor:
		return "The cloud does not know this door."
	case access.NoData:
		return "The site has no list from the cloud yet."
	case access.StaleData:
		return "The site has not heard from the cloud for too long."
	case access.Blocked:
		return "The access was withdrawn a moment ago."
	case access.Fault:
		return "The decision went wrong; see the log."
	default:
		return string(r)
	}
}

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
