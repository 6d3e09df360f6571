package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxBody    = 1 << 20 // bytes
	pageLength = 100     // entries of a list, unless the call says otherwise
)

// A badRequest is a call that was refused before it reached the domain.
type badRequest struct {
	code int
	text string
}

func (e *badRequest) Error() string { return "admin: " + e.text }

func bad(format string, args ...any) error {
	return &badRequest{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// With reads the call's body for run: one JSON object without keys that In does
// not have.
func With[In any](run func(r *http.Request, in In) (any, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		var in In
		text, err := io.ReadAll(r.Body)
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, &badRequest{http.StatusRequestEntityTooLarge, fmt.Sprintf("body: want at most %d bytes", maxBody)}
		}
		if err != nil {
			return nil, bad("body: broken off after %d bytes", len(text))
		}
		if err := decode(text, &in); err != nil {
			return nil, err
		}
		return run(r, in)
	}
}

// decode reads one JSON object. Unknown keys are refused: a mistyped "grants"
// would otherwise take everybody's access. So is null, for the same reason.
func decode(text []byte, v any) error {
	start := bytes.TrimLeft(text, " \t\r\n")
	switch {
	case len(start) == 0:
		return bad("body: empty, want a JSON object")
	case start[0] != '{':
		return bad("body at byte %d: got %q, want a JSON object", len(text)-len(start)+1, firstRune(start))
	case !utf8.Valid(text):
		return bad("body: want UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return bad("body at byte %d: %v", syntax.Offset, syntax)
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return bad("body at byte %d: %s: got %s, want %s", wrong.Offset, wrong.Field, wrong.Value, jsonName(wrong))
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return bad("body at byte %d: ends in the middle of the JSON object", len(text))
	case err != nil: // an unknown key, which has no type of its own
		return bad("body at byte %d: %s", dec.InputOffset(), strings.TrimPrefix(err.Error(), "json: "))
	}
	if rest := bytes.TrimLeft(text[dec.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return bad("body at byte %d: got %q after the JSON object, want nothing", len(text)-len(rest)+1, firstRune(rest))
	}
	return nil
}

func firstRune(b []byte) string {
	_, n := utf8.DecodeRune(b)
	return string(b[:n])
}

// jsonName is what JSON calls the type that was wanted.
func jsonName(e *json.UnmarshalTypeError) string {
	switch k := e.Type.Kind().String(); {
	case k == "slice", k == "array":
		return "a list"
	case k == "struct", k == "map":
		return "an object"
	case k == "bool":
		return "true or false"
	case strings.HasPrefix(k, "int"), strings.HasPrefix(k, "uint"):
		return "a whole number in its range"
	case strings.HasPrefix(k, "float"):
		return "a number"
	}
	return "a string"
}

// A query reads the parameters of a call, each once, and keeps the first
// problem for check.
type query struct {
	left   url.Values // not asked for yet
	known  []string
	values url.Values // as asked for, for the next page
	err    error
}

func queryOf(r *http.Request) *query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		err = bad("query: %v", err)
	}
	return &query{left: values, values: url.Values{}, err: err}
}

func (q *query) fail(err error) {
	if q.err == nil {
		q.err = err
	}
}

// text is the parameter name; empty where it is absent.
func (q *query) text(name string) string {
	all := q.left[name]
	delete(q.left, name)
	q.known = append(q.known, name)
	if len(all) == 0 || all[0] == "" {
		return ""
	}
	if len(all) > 1 {
		q.fail(bad("%s: got %d, want one", name, len(all)))
	}
	if !utf8.ValidString(all[0]) {
		q.fail(bad("%s: want UTF-8", name))
	}
	q.values.Set(name, all[0])
	return all[0]
}

// number is the parameter name, which is 0 to most; otherwise where it is
// absent.
func (q *query) number(name string, otherwise, most uint64) uint64 {
	s := q.text(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > most {
		q.fail(bad("%s: got %.40q, want a whole number from 0 to %d", name, s, most))
		return otherwise
	}
	return n
}

// limit is how many entries the caller wants, 1 to most.
func (q *query) limit(most int) int {
	n := q.number("limit", pageLength, uint64(most))
	if n == 0 {
		q.fail(bad("limit: got 0, want 1 to %d", most))
	}
	return int(n)
}

// check is the first problem of the parameters. A name that nobody asked for
// is one: a mistyped "after" would otherwise give the first page for ever.
func (q *query) check() error {
	if q.err == nil && len(q.left) > 0 {
		return bad("query: got %.40q, want %s", slices.Min(slices.Collect(maps.Keys(q.left))), strings.Join(q.known, ", "))
	}
	return q.err
}

// next is the query of the page after this one.
func (q *query) next(name string, last any) string {
	q.values.Set(name, fmt.Sprint(last))
	return q.values.Encode()
}
