// Package admin is the administrator's API of the cloud: organisations, their
// tokens and badge types, sites with doors, groups and rules, people and cards
// made by hand, and how far each site is.
package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"latchkey/access"
	"latchkey/cloud"
)

// Prefix is where the API stands below the handler's root.
const Prefix = "/api/v1"

const (
	maxBody  = 1 << 20 // bytes
	maxPage  = 1000    // entries in one answer
	bySystem = cloud.Actor("admin")
)

// A Domain is what the API works on: cloud.Service.
type Domain interface {
	CreateOrg(ctx context.Context, by cloud.Actor, o cloud.Org) (cloud.Org, error)
	Org(ctx context.Context, id string) (cloud.Org, error)
	Orgs(ctx context.Context) ([]cloud.Org, error)
	PatchOrg(ctx context.Context, by cloud.Actor, id string, p cloud.OrgPatch) (cloud.Org, error)
	CreateToken(ctx context.Context, by cloud.Actor, org, label string) (t cloud.Token, secret string, err error)
	Tokens(ctx context.Context, org string) ([]cloud.Token, error)
	DeleteToken(ctx context.Context, by cloud.Actor, org, id string) error
	BadgeTypes(ctx context.Context, org string) ([]cloud.BadgeType, error)
	PutBadgeType(ctx context.Context, by cloud.Actor, org string, b cloud.BadgeType) (cloud.BadgeType, error)
	DeleteBadgeType(ctx context.Context, by cloud.Actor, org, id string) error
	Properties(ctx context.Context, org string) ([]cloud.PropertyStatus, error)
	Property(ctx context.Context, org, site string) (cloud.PropertyStatus, error)
	PutProperty(ctx context.Context, by cloud.Actor, org string, p cloud.Property) (cloud.PropertyStatus, error)
	DeleteProperty(ctx context.Context, by cloud.Actor, org, site string) error
	Doors(ctx context.Context, org, site string) ([]access.Door, error)
	PutDoor(ctx context.Context, by cloud.Actor, org, site string, d access.Door) (access.Door, error)
	DeleteDoor(ctx context.Context, by cloud.Actor, org, site, id string) error
	AccessGroups(ctx context.Context, org, site string) ([]cloud.AccessGroup, error)
	PutAccessGroup(ctx context.Context, by cloud.Actor, org, site string, g cloud.AccessGroup) (cloud.AccessGroup, error)
	DeleteAccessGroup(ctx context.Context, by cloud.Actor, org, site, id string) error
	Schedules(ctx context.Context, org, site string) ([]access.Schedule, error)
	PutSchedule(ctx context.Context, by cloud.Actor, org, site string, d access.Schedule) (access.Schedule, error)
	DeleteSchedule(ctx context.Context, by cloud.Actor, org, site, id string) error
	Rules(ctx context.Context, org, site string) ([]cloud.Rule, error)
	CreateRule(ctx context.Context, by cloud.Actor, org, site string, r cloud.Rule) (cloud.Rule, error)
	PutRule(ctx context.Context, by cloud.Actor, org, site string, r cloud.Rule) (cloud.Rule, error)
	DeleteRule(ctx context.Context, by cloud.Actor, org, site, id string) error
	OrderRules(ctx context.Context, by cloud.Actor, org, site string, ids []string) ([]cloud.Rule, error)
	DirectoryGroups(ctx context.Context, org string) ([]cloud.DirectoryGroup, error)
	People(ctx context.Context, org string, q cloud.PeopleQuery) ([]cloud.Person, error)
	Person(ctx context.Context, org, id string) (cloud.Person, error)
	CreatePerson(ctx context.Context, by cloud.Actor, org string, p cloud.NewPerson) (cloud.Person, error)
	PatchPerson(ctx context.Context, by cloud.Actor, org, id string, p cloud.PersonPatch) (cloud.Person, error)
	DeletePerson(ctx context.Context, by cloud.Actor, org, id string) error
	AddCard(ctx context.Context, by cloud.Actor, org, person string, c cloud.NewCard) (cloud.Card, error)
	PatchCard(ctx context.Context, by cloud.Actor, org, id string, p cloud.CardPatch) (cloud.Card, error)
	DeleteCard(ctx context.Context, by cloud.Actor, org, id string) error
	AddMembership(ctx context.Context, by cloud.Actor, org, person, site, group string) error
	RemoveMembership(ctx context.Context, by cloud.Actor, org, person, site, group string) error
	SiteStatus(ctx context.Context, org, site string) (cloud.SiteStatus, error)
	SiteLog(ctx context.Context, org, site string, epoch uint32, after uint64, limit int) ([][]byte, error)
	SiteEvents(ctx context.Context, org, site string, after uint64, limit int) ([]cloud.SiteEvent, error)
	Audit(ctx context.Context, org, before string, limit int) ([]cloud.AuditEntry, error)
}

// Options say what else Handler needs. Log may be nil.
type Options struct {
	Token    string // what an administrator shows; never empty
	CloudKey string // public key text that sites pin
	Log      *slog.Logger
}

// Handler serves the API below Prefix. Every call needs the bearer token.
func Handler(d Domain, o Options) (http.Handler, error) {
	if o.Token == "" {
		return nil, errors.New("admin: no token: want one, or anybody could give themselves a card")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &server{d: d, log: o.Log, token: sha256.Sum256([]byte(o.Token)), mux: http.NewServeMux()}
	s.routes(o.CloudKey)
	return s, nil
}

type server struct {
	d     Domain
	log   *slog.Logger
	token [sha256.Size]byte
	mux   *http.ServeMux
}

// ServeHTTP lets in whoever has the token; the hashes are compared, so that
// neither the length nor the first wrong byte shows in the time it takes.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	shown := sha256.Sum256([]byte(bearer))
	if subtle.ConstantTimeCompare(shown[:], s.token[:]) != 1 {
		w.Header().Set("WWW-Authenticate", `Bearer realm="latchkey admin"`)
		write(w, http.StatusUnauthorized, problem{"the bearer token is missing or wrong"})
		return
	}
	s.mux.ServeHTTP(w, r)
}

type problem struct {
	Error string `json:"error"`
}

// on serves one route: run's value is the answer, nil is 204.
func (s *server) on(pattern string, run func(r *http.Request) (any, error)) {
	method, path, _ := strings.Cut(pattern, " ")
	s.mux.HandleFunc(method+" "+Prefix+path, func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		v, err := run(r)
		switch {
		case err != nil:
			s.refuse(w, r, err)
		case v == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			write(w, http.StatusOK, v)
		}
	})
}

func (s *server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	code := http.StatusInternalServerError
	if errors.Is(err, cloud.ErrNotFound) {
		code = http.StatusNotFound
	} else if _, ok := errors.AsType[*cloud.Invalid](err); ok {
		code = http.StatusBadRequest
	} else if _, ok := errors.AsType[*cloud.Conflict](err); ok {
		code = http.StatusConflict
	} else if b, ok := errors.AsType[*badRequest](err); ok {
		code = b.code
	}
	if code == http.StatusInternalServerError {
		s.log.ErrorContext(r.Context(), "admin call", "method", r.Method, "path", r.URL.Path, "err", err)
		err = errors.New("the call could not be carried out; see the cloud's log")
	}
	write(w, code, problem{err.Error()})
}

func write(w http.ResponseWriter, code int, v any) {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		code = http.StatusInternalServerError
		b.Reset()
		b.WriteString(`{"error":"the answer could not be written"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	w.Write(b.Bytes())
}

// A badRequest is a call that was refused before it reached the domain.
type badRequest struct {
	code int
	text string
}

func (e *badRequest) Error() string { return e.text }

// read decodes the body into v. Unknown keys are refused: a mistyped "grants"
// would otherwise take everybody's access.
func read(r *http.Request, v any) error {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("more than one JSON value")
		}
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &badRequest{http.StatusRequestEntityTooLarge, fmt.Sprintf("admin: body: want %d bytes at most", maxBody)}
	}
	if err != nil {
		return &badRequest{http.StatusBadRequest, fmt.Sprintf("admin: body at byte %d: %v", dec.InputOffset(), err)}
	}
	return nil
}

// number reads a query parameter; absent is otherwise.
func number(r *http.Request, name string, otherwise uint64) (uint64, error) {
	s := r.URL.Query().Get(name)
	if s == "" {
		return otherwise, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, &badRequest{http.StatusBadRequest, fmt.Sprintf("admin: %s=%q: want a whole number", name, s)}
	}
	return n, nil
}

func limit(r *http.Request, otherwise uint64) (int, error) {
	n, err := number(r, "limit", otherwise)
	if err == nil && (n < 1 || n > maxPage) {
		err = &badRequest{http.StatusBadRequest, fmt.Sprintf("admin: limit=%d: want 1 to %d", n, maxPage)}
	}
	return int(n), err
}

// list makes JSON's [] of an empty list.
func list[T any](l []T, err error) (any, error) {
	if l == nil {
		l = []T{}
	}
	return l, err
}

func one[T any](v T, err error) (any, error) { return v, err }

func nothing(err error) (any, error) { return nil, err }
