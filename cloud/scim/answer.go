package scim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"latchkey/cloud"
)

// resource is what RFC 7643 §3 puts around attributes: id, schemas, meta.
func (c *call) resource(rt *resourceType, attrs map[string]any, id string, created, modified time.Time, version int64) map[string]any {
	doc := make(map[string]any, len(attrs)+4)
	maps.Copy(doc, attrs)
	schemas := []any{rt.core.ID}
	for _, k := range slices.Sorted(maps.Keys(attrs)) {
		if _, ok := attrs[k].(map[string]any); ok && isURN(k) {
			schemas = append(schemas, k)
		}
	}
	doc["schemas"], doc["id"] = schemas, id
	doc["meta"] = meta(rt.name, created, modified, c.location(rt, id), version)
	return doc
}

func meta(kind string, created, modified time.Time, location string, version int64) map[string]any {
	return map[string]any{
		"resourceType": kind,
		"created":      created.UTC().Format(time.RFC3339Nano),
		"lastModified": modified.UTC().Format(time.RFC3339Nano),
		"location":     location,
		"version":      cloud.ETag(version),
	}
}

func (c *call) location(rt *resourceType, id string) string {
	return c.base + rt.endpoint + "/" + url.PathEscape(id)
}

// place says in the headers where the resource of the answer is, and which
// version of it this is: RFC 7643 §3.1.
func (c *call) place(status int, location string, version int64) {
	c.w.Header().Set("Content-Location", location)
	if status == http.StatusCreated {
		c.w.Header().Set("Location", location)
	}
	c.w.Header().Set("ETag", cloud.ETag(version))
}

// list answers with a page. The counts are JSON numbers: Okta insists.
func (c *call) list(page []any, total, start int) error {
	if page == nil {
		page = []any{} // an empty list, not null
	}
	if streams(page) {
		return c.send(http.StatusOK, map[string]any{
			"schemas": []string{listURN}, "totalResults": total, "startIndex": start, "itemsPerPage": len(page), "Resources": page,
		})
	}
	// The same, but encoding/json would read again what is JSON already.
	out := []byte(`{"Resources":[`)
	for i, v := range page {
		if i > 0 {
			out = append(out, ',')
		}
		text, ok := v.(json.RawMessage)
		if !ok {
			var err error
			if text, err = marshal(v); err != nil {
				return fmt.Errorf("scim: answer: %w", err)
			}
		}
		out = append(out, text...)
	}
	out = fmt.Appendf(out, `],"itemsPerPage":%d,"schemas":["%s"],"startIndex":%d,"totalResults":%d}`+"\n", len(page), listURN, start, total)
	return c.write(http.StatusOK, out)
}

func (c *call) send(status int, v any) error {
	if streams(v) {
		c.w.Header().Set("Content-Type", contentType)
		c.w.Header().Set("Cache-Control", "no-store")
		return c.stream(status, v)
	}
	var buf bytes.Buffer
	if err := encode(&buf, v); err != nil {
		return fmt.Errorf("scim: answer: %w", err)
	}
	return c.write(status, buf.Bytes())
}

// write sends JSON.
func (c *call) write(status int, text []byte) error {
	c.w.Header().Set("Content-Type", contentType)
	c.w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	c.w.Header().Set("Cache-Control", "no-store")
	c.w.WriteHeader(status)
	// An error here is the caller's connection, and the caller knows.
	_, _ = c.w.Write(text)
	return nil
}

// body is the error as a message of RFC 7644 §3.12.
func (e *Error) body() map[string]any {
	body := map[string]any{"schemas": []string{errorURN}, "status": strconv.Itoa(e.Status), "detail": e.Detail}
	if e.Type != "" {
		body["scimType"] = e.Type
	}
	return body
}

// fail answers with an error: RFC 7644 §3.12. What went wrong inside stays
// inside.
func (c *call) fail(err error) {
	e := &Error{Status: http.StatusInternalServerError, Detail: "the request could not be carried out; try again"}
	refused, isError := errors.AsType[*Error](err)
	invalid, isInvalid := errors.AsType[*cloud.Invalid](err)
	conflict, isConflict := errors.AsType[*cloud.Conflict](err)
	switch {
	case isError:
		e = refused
	case isInvalid:
		e = refuse(400, invalid.ScimType, "%s: %s", invalid.Attr, invalid.Detail)
		if e.Type == "" {
			e.Type = cloud.InvalidValue
		}
	case isConflict:
		e = refuse(http.StatusConflict, "uniqueness", "%s: another resource has this value already", conflict.Attr)
	case errors.Is(err, ErrFilter):
		e = refuse(400, "invalidFilter", "%s", strings.TrimPrefix(err.Error(), "scim: "))
	case errors.Is(err, ErrPath):
		e = refuse(400, "invalidPath", "%s", strings.TrimPrefix(err.Error(), "scim: "))
	case errors.Is(err, cloud.ErrNotFound):
		e = refuse(http.StatusNotFound, "", "no such resource: %s", clip(c.r.URL.Path))
	case errors.Is(err, cloud.ErrPrecondition):
		e = refuse(http.StatusPreconditionFailed, "", "the resource has changed since the version in If-Match")
	case errors.Is(err, cloud.ErrToken):
		e = refuse(http.StatusUnauthorized, "", "the bearer token is missing or not valid")
	case errors.Is(err, cloud.ErrSCIMDisabled):
		e = refuse(http.StatusForbidden, "", "the organisation has switched provisioning off")
	case c.ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded):
		e = refuse(http.StatusServiceUnavailable, "", "the request was cut short; try again")
	}
	c.refused, c.because = e, err
	level := slog.LevelInfo
	args := []any{"org", c.caller.Org, "token", c.caller.Token, "client", clip(c.caller.Client), "method", c.r.Method, "status", e.Status, "scim_type", e.Type}
	if e.Status >= 500 && e.Status != http.StatusNotImplemented {
		level, args = slog.LevelError, append(args, "err", err)
	}
	c.h.log.Log(c.ctx, level, "SCIM request refused", args...)
	if e.Status == http.StatusUnauthorized {
		c.w.Header().Set("WWW-Authenticate", `Bearer realm="SCIM"`)
	}
	_ = c.send(e.Status, e.body()) // strings alone: it cannot fail
}

func (c *call) notAllowed(allow string) error {
	c.w.Header().Set("Allow", allow)
	return refuse(http.StatusMethodNotAllowed, "", "%s: want one of %s", clip(c.r.Method), allow)
}
