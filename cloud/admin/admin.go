// Package admin is the administrator's API of the cloud: organisations, their
// tokens and badge types, sites with doors, groups and rules, people and cards
// made by hand, and how far each site is.
//
// It is JSON over HTTP. What is refused is answered with {"error":"…"}, which
// says what, got and want; nothing was changed then. No answer has a whole card
// number or a card's bits.
package admin

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"unicode/utf8"

	"latchkey/cloud"
)

// Prefix is where the API stands below the handler's root.
const Prefix = "/api/v1"

// MinToken is how many bytes an administrator's token has at least: nothing
// slows down somebody who guesses.
const MinToken = 16

// byAdmin is who acts, in the audit trail: whoever has the token.
const byAdmin = cloud.Actor("admin")

// Options say what else Handler needs. Tokens is required.
type Options struct {
	// Tokens lists the tokens that let an administrator in. It is asked at each
	// call, so that one can be replaced while the cloud runs; two at a time let
	// everybody move from the old one to the new. While it fails, or has none,
	// or one that is too short, nobody gets in.
	Tokens   func() ([]string, error)
	CloudKey string       // public key text that sites pin
	Log      *slog.Logger // nil discards
	// More adds calls of other parts of the cloud: they are authenticated and
	// bounded, and what they refuse is worded, like all others here.
	More []func(On)
}

// On serves one route below Prefix. The pattern is one of http.ServeMux, with a
// method; run's value is the answer as JSON, and nil is 204.
type On = func(pattern string, run func(r *http.Request) (any, error))

// Handler serves the API of s below Prefix. Every call needs a bearer token.
// It may be used by any number of goroutines.
func Handler(s *cloud.Service, o Options) (http.Handler, error) {
	if o.Tokens == nil {
		return nil, errors.New("admin: no tokens: want one, or anybody could give themselves a card")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	h := &server{cloud: s, tokens: o.Tokens, log: o.Log, mux: http.NewServeMux()}
	if _, err := h.hashes(); err != nil {
		return nil, err
	}
	h.routes(o.CloudKey)
	for _, add := range o.More {
		add(h.on)
	}
	return h, nil
}

type server struct {
	cloud  *cloud.Service // itself: it is all that this API is about, and tests have the real one
	tokens func() ([]string, error)
	log    *slog.Logger
	mux    *http.ServeMux
}

// hashes are those of the tokens that are good now.
func (s *server) hashes() (all [][sha256.Size]byte, err error) {
	tokens, err := s.tokens()
	if err != nil {
		return nil, fmt.Errorf("admin: tokens: %w", err)
	}
	for i, t := range tokens {
		if len(t) < MinToken {
			return nil, fmt.Errorf("admin: token %d: got %d bytes, want at least %d", i+1, len(t), MinToken)
		}
		all = append(all, sha256.Sum256([]byte(t)))
	}
	if len(all) == 0 {
		return nil, errors.New("admin: tokens: got none, want at least one")
	}
	return all, nil
}

// ServeHTTP lets in who has a token.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	hashes, err := s.hashes()
	if err != nil {
		s.log.ErrorContext(r.Context(), "nobody can administer", "err", err)
		write(w, http.StatusServiceUnavailable, problem{"admin: the cloud cannot read its admin tokens; see the cloud's log"})
		return
	}
	if !knows(r.Header.Get("Authorization"), hashes) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="latchkey admin"`)
		write(w, http.StatusUnauthorized, problem{`admin: the token is missing or wrong: want "Authorization: Bearer TOKEN"`})
		return
	}
	if !utf8.ValidString(r.URL.Path) {
		write(w, http.StatusBadRequest, problem{fmt.Sprintf("admin: path %q: want UTF-8", r.URL.Path)})
		return
	}
	h, pattern := s.mux.Handler(r)
	if pattern == "" {
		s.noRoute(w, r, h)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// knows compares hashes, so that neither the length nor the first wrong byte
// shows in the time it takes. The scheme's name is in any case (RFC 9110 §11.1).
func knows(header string, hashes [][sha256.Size]byte) bool {
	scheme, token, _ := strings.Cut(header, " ")
	shown := sha256.Sum256([]byte(token))
	found := 0
	for _, h := range hashes {
		found |= subtle.ConstantTimeCompare(shown[:], h[:])
	}
	return found == 1 && strings.EqualFold(scheme, "Bearer")
}

// noRoute answers in JSON what the mux answers in words: h is its own.
func (s *server) noRoute(w http.ResponseWriter, r *http.Request, h http.Handler) {
	silent := &codeOnly{ResponseWriter: w, code: http.StatusNotFound}
	h.ServeHTTP(silent, r)
	p := problem{fmt.Sprintf("admin: %s: there is no such path", r.URL.Path)}
	if silent.code == http.StatusMethodNotAllowed {
		p = problem{fmt.Sprintf("admin: %s: got %s, want %s", r.URL.Path, r.Method, w.Header().Get("Allow"))}
	}
	write(w, silent.code, p)
}

// A codeOnly keeps the status of an answer, and its headers, and drops the rest.
type codeOnly struct {
	http.ResponseWriter
	code int
}

func (c *codeOnly) WriteHeader(code int)        { c.code = code }
func (c *codeOnly) Write(b []byte) (int, error) { return len(b), nil }

// A problem is the body of a refusal.
type problem struct {
	Error string `json:"error"`
}

// A created is the answer to a call that made v.
type created struct{ v any }

// A page is the answer to a call for part of a list.
type page struct {
	v    any
	next string // what the next part's query is; empty: there is no more
}

// on serves one route: run's value is the answer, nil is 204.
func (s *server) on(pattern string, run func(r *http.Request) (any, error)) {
	method, path, _ := strings.Cut(pattern, " ")
	s.mux.HandleFunc(method+" "+Prefix+path, func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		v, err := run(r)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		switch v := v.(type) {
		case nil:
			w.WriteHeader(http.StatusNoContent)
		case created:
			write(w, http.StatusCreated, v.v)
		case page:
			if v.next != "" {
				w.Header().Set("Link", "<?"+v.next+`>; rel="next"`) // RFC 8288; relative to this call's URL
			}
			write(w, http.StatusOK, v.v)
		default:
			write(w, http.StatusOK, v)
		}
	})
}

func (s *server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if h, ok := errors.AsType[*cloud.Held](err); ok {
		write(w, http.StatusAccepted, held{h.Hold})
		return
	}
	code, text := http.StatusInternalServerError, err.Error()
	if errors.Is(err, cloud.ErrNotFound) {
		code, text = http.StatusNotFound, fmt.Sprintf("admin: %s %s: not found", r.Method, r.URL.Path)
	} else if _, ok := errors.AsType[*cloud.Invalid](err); ok {
		code = http.StatusBadRequest
	} else if _, ok := errors.AsType[*cloud.Conflict](err); ok {
		code = http.StatusConflict
	} else if errors.Is(err, cloud.ErrChanged) {
		code = http.StatusConflict
	} else if b, ok := errors.AsType[*badRequest](err); ok {
		code = b.code
	} else if r.Context().Err() != nil { // the caller has gone, or the cloud stops
		code, text = http.StatusServiceUnavailable, "admin: the call was broken off; nothing was changed"
	} else {
		// The path has ids in it; the query may have a card number.
		s.log.ErrorContext(r.Context(), "admin call", "method", r.Method, "path", r.URL.Path, "err", err)
		text = "admin: the call could not be carried out; see the cloud's log"
	}
	write(w, code, problem{text})
}

func write(w http.ResponseWriter, code int, v any) {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(v); err != nil {
		code = http.StatusInternalServerError
		b.Reset()
		b.WriteString(`{"error":"admin: the answer could not be written"}` + "\n")
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	w.Write(b.Bytes()) // a caller who has gone is no trouble of ours
}
