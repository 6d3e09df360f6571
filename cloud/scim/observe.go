package scim

import (
	"cmp"
	"errors"
	"net/http"
	"strings"

	"latchkey/cloud"
)

// A watched writer remembers the status that went out.
type watched struct {
	http.ResponseWriter
	status int
}

func (a *watched) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (a *watched) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// ended is c for whoever observes, once it was answered with status.
func (c *call) ended(status int) cloud.DirectoryCall {
	d := cloud.DirectoryCall{Caller: c.caller, Status: status}
	d.What, d.Reads = c.what()
	if c.refused == nil {
		return d
	}
	invalid, isInvalid := errors.AsType[*cloud.Invalid](c.because)
	conflict, isConflict := errors.AsType[*cloud.Conflict](c.because)
	d.Kind = kind(c.refused)
	switch {
	case isInvalid:
		d.Kind, d.Detail = d.Kind+": "+lastName(invalid.Attr), c.refused.Detail
	case isConflict:
		d.Kind, d.Detail = d.Kind+": "+lastName(conflict.Attr), c.refused.Detail
	}
	d.Recorded = !d.Reads && (isInvalid || isConflict || errors.Is(c.because, cloud.ErrPrecondition))
	return d
}

// what c asks for, in one of few words, and whether it only reads.
func (c *call) what() (what string, reads bool) {
	path := strings.Trim(strings.TrimPrefix(c.r.URL.Path, basePath), "/")
	first, _, _ := strings.Cut(path, "/")
	things := map[string]string{"Users": "user", "Groups": "group"}
	thing, known := things[first]
	switch method := c.r.Method; {
	case method == http.MethodPost && (path == ".search" || strings.HasSuffix(path, "/.search")):
		return "search", true
	case method == http.MethodPost && first == "Bulk":
		return "bulk", false
	case method == http.MethodGet || method == http.MethodHead:
		if known {
			return "read " + thing + "s", true
		}
		return "read settings", true
	case !known:
		return "other", false
	case method == http.MethodPost:
		return "create " + thing, false
	case method == http.MethodDelete:
		return "delete " + thing, false
	}
	return "update " + thing, false
}

// kind is a word for what went wrong.
func kind(e *Error) string {
	words := map[int]string{
		http.StatusForbidden: "forbidden", http.StatusNotFound: "not found", http.StatusMethodNotAllowed: "method not allowed",
		http.StatusPreconditionFailed: "precondition failed", http.StatusRequestEntityTooLarge: "too large",
		http.StatusTooManyRequests: "too many", http.StatusNotImplemented: "not supported", http.StatusServiceUnavailable: "cut short",
	}
	if e.Status == http.StatusInternalServerError {
		return "failed"
	}
	return cmp.Or(e.Type, words[e.Status], "refused")
}

// lastName is the attribute of a path, without its URN.
func lastName(path string) string { return path[strings.LastIndexByte(path, ':')+1:] }
