// Package scim is SCIM 2.0 (RFC 7643, 7644) over HTTP, for the two directories
// that provision people and groups into Latchkey: Microsoft Entra ID and Okta,
// each in both of its dialects, with no switch on the customer's side. It reads
// filters, paths and patches itself, and keeps nothing: a Directory does.
package scim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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

// The pages of lists: RFC 7644 §3.4.2.4. Okta asks for 100 at a time.
const (
	defaultCount = 100
	maxCount     = 200
)

// basePath is where the service stands, and how a Location begins.
const basePath = "/scim/v2"

const contentType = "application/scim+json" // exactly: a charset fails conformance tests

// Options are what NewHandler may be told; the zero value serves.
type Options struct {
	// BaseURL gives the URL of the service as the caller of r sees it, such as
	// "https://cloud.example/scim/v2": what Location and meta.location begin
	// with. nil: the request's own host, and https if it came by TLS or a proxy
	// says so.
	BaseURL func(r *http.Request) string
	Log     *slog.Logger // nil: nothing is logged
	MaxBody int64        // bytes of a request body; 0: 1 MiB
}

// handler serves SCIM.
type handler struct {
	dir     Directory
	update  updateGroup
	baseURL func(*http.Request) string
	log     *slog.Logger
	maxBody int64
	user    *resourceType
	group   *resourceType
}

// NewHandler serves dir under /scim/v2, and under / for who strips that. It
// may be used by any number of goroutines.
func NewHandler(dir Directory, opts Options) http.Handler {
	return newHandler(dir, updateGroupOf(dir), opts)
}

func newHandler(dir Directory, update updateGroup, opts Options) http.Handler {
	h := &handler{dir: dir, update: update, baseURL: opts.BaseURL, log: opts.Log, maxBody: opts.MaxBody, user: userType(), group: groupType()}
	if h.baseURL == nil {
		h.baseURL = ownURL
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.maxBody <= 0 {
		h.maxBody = 1 << 20
	}
	return h
}

func ownURL(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		scheme = "https"
	}
	return scheme + "://" + r.Host + basePath
}

// A call is one request on its way.
type call struct {
	h      *handler
	w      http.ResponseWriter
	r      *http.Request
	ctx    context.Context
	caller cloud.Caller
	base   string
	params url.Values // names in lower case
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{h: h, w: w, r: r, ctx: r.Context(), base: strings.TrimSuffix(h.baseURL(r), "/")}
	if err := c.serve(); err != nil {
		c.fail(err)
	}
}

func (c *call) serve() error {
	// Who asks comes before what is asked: nobody learns anything without a token.
	if err := c.authenticate(); err != nil {
		return err
	}
	if err := c.readParams(); err != nil {
		return err
	}
	path := c.r.URL.Path
	if rest, ok := strings.CutPrefix(path, basePath); ok && (rest == "" || rest[0] == '/') {
		path = rest
	}
	// An administrator's tenant URL may end in "/", and then there are two.
	seg := slices.DeleteFunc(strings.Split(path, "/"), func(s string) bool { return s == "" })
	if len(seg) == 0 {
		return refuse(501, "", "a query of all resource types is not supported: ask /Users or /Groups")
	}
	if slices.Contains(seg, ".search") {
		return refuse(501, "", "POST .search is not supported: use GET with a filter")
	}
	switch {
	case seg[0] == "Users" && len(seg) <= 2:
		return c.users(seg[1:])
	case seg[0] == "Groups" && len(seg) <= 2:
		return c.groups(seg[1:])
	case seg[0] == "Me":
		return refuse(501, "", "/Me is not supported: the token belongs to an organisation, not to a person")
	case seg[0] == "Bulk":
		return refuse(501, "", "/Bulk is not supported")
	case seg[0] == "ServiceProviderConfig" && len(seg) == 1,
		seg[0] == "Schemas" && len(seg) <= 2, seg[0] == "ResourceTypes" && len(seg) <= 2:
		return c.discovery(seg)
	}
	return refuse(404, "", "%s: no such endpoint; there are /Users, /Groups, /ServiceProviderConfig, /Schemas and /ResourceTypes", clip(c.r.URL.Path))
}

// clip keeps what a caller sent short in an answer.
func clip(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}

// authenticate finds the caller. Every wrong token gets the same answer.
func (c *call) authenticate() error {
	scheme, token, _ := strings.Cut(strings.TrimSpace(c.r.Header.Get("Authorization")), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return cloud.ErrToken
	}
	var err error
	if c.caller, err = c.h.dir.Authenticate(c.ctx, token); err != nil {
		return err
	}
	c.caller.Client = c.r.UserAgent()
	if c.caller.Profile == cloud.ProfileAuto {
		c.caller.Profile = profileOf(c.r)
	}
	return nil
}

// profileOf tells the directories apart. Okta says who it is. Entra ID does
// not say so reliably, so whoever is not Okta gets its leniencies: they cost a
// caller that keeps to the RFC nothing that works.
func profileOf(r *http.Request) cloud.Profile {
	if strings.Contains(strings.ToLower(r.UserAgent()), "okta") {
		return cloud.ProfileOkta
	}
	return cloud.ProfileEntra
}

func (c *call) engine(rt *resourceType) *engine {
	return &engine{rt: rt, strict: c.caller.Profile == cloud.ProfileStrict}
}

// readParams reads the query. url.ParseQuery drops what it cannot read, and a
// list whose filter was dropped would show everyone: a directory would take the
// first of them for the person it asked for.
func (c *call) readParams() error {
	c.params = url.Values{}
	for pair := range strings.SplitSeq(c.r.URL.RawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err == nil {
			value, err = url.QueryUnescape(value)
		}
		if err != nil {
			return invalidSyntax("the query string cannot be read: %v", err)
		}
		name = strings.ToLower(name)
		c.params[name] = append(c.params[name], value)
	}
	if n := len(c.params["filter"]); n > 1 {
		return refuse(400, "invalidFilter", "filter: got %d, want one", n)
	}
	return nil
}

// body reads the request's JSON object.
func (c *call) body() (map[string]any, error) {
	tooLarge := refuse(http.StatusRequestEntityTooLarge, "", "the body has more than %d bytes; send several smaller requests", c.h.maxBody)
	if c.r.ContentLength > c.h.maxBody {
		return nil, tooLarge
	}
	data, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, c.h.maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge
	}
	if err != nil {
		return nil, invalidSyntax("the body ended early")
	}
	return decode(data)
}

// query reads what of a list is asked for.
func (c *call) query(rt *resourceType) (plan, cloud.Query, error) {
	q := cloud.Query{Start: 1, Count: defaultCount}
	for _, p := range []struct {
		name string
		into *int
	}{{"startindex", &q.Start}, {"count", &q.Count}} {
		s := strings.TrimSpace(c.params.Get(p.name))
		if s == "" {
			continue
		}
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil && !errors.Is(err, strconv.ErrRange) {
			return plan{}, q, invalidValue("%s: got %q, want a number", p.name, clip(s))
		}
		*p.into = int(max(-1, min(n, 1<<31-1)))
	}
	q.Start = max(q.Start, 1)
	q.Count = max(0, min(q.Count, maxCount))
	if s := strings.TrimSpace(c.params.Get("sortby")); s != "" {
		p, err := ParsePath(s)
		if err != nil || p.Filter != nil {
			return plan{}, q, refuse(400, "invalidPath", "sortBy: got %q, want an attribute", clip(s))
		}
		t := rt.resolve(p.URN, p.Name, p.Sub)
		q.SortBy = Path{URN: t.urn, Name: t.name, Sub: t.sub}.String()
		q.Descending = strings.EqualFold(c.params.Get("sortorder"), "descending")
	}
	filter := c.params.Get("filter")
	if strings.TrimSpace(filter) == "" {
		if _, given := c.params["filter"]; given {
			return plan{}, q, refuse(400, "invalidFilter", "filter: got nothing, want an expression")
		}
		return plan{}, q, nil
	}
	e, err := ParseFilter(filter)
	if err != nil {
		return plan{}, q, err
	}
	p, err := rt.plan(e)
	if err != nil {
		return plan{}, q, err
	}
	for _, t := range p.terms {
		q.Terms = append(q.Terms, cloud.Term{Attr: t.attr, Value: t.value})
	}
	if !p.meta {
		q.Match = p.match
	}
	return p, q, nil
}

// ifMatch gives the If-Match header as the directory takes it: empty, or one
// weak tag. Of several it is the one that the resource has now, if any.
func (c *call) ifMatch(current func() (int64, error)) (string, error) {
	tags := etags(c.r.Header.Values("If-Match"))
	switch {
	case len(tags) == 0, slices.Contains(tags, "*"):
		return "", nil
	case len(tags) == 1:
		return tags[0], nil
	}
	version, err := current()
	if err != nil {
		return "", err
	}
	if tag := cloud.ETag(version); slices.Contains(tags, tag) {
		return tag, nil
	}
	return tags[0], nil
}

// etags reads a list of entity tags. All are compared weakly: a version is
// about the resource, not about the bytes of one answer.
func etags(headers []string) []string {
	var tags []string
	for _, header := range headers {
		for tag := range strings.SplitSeq(header, ",") {
			if tag = strings.TrimSpace(tag); tag == "" {
				continue
			}
			if strings.HasPrefix(tag, `"`) {
				tag = "W/" + tag
			}
			tags = append(tags, tag)
		}
	}
	return tags
}

// notModified answers 304 if the caller has this version already.
func (c *call) notModified(version int64) bool {
	tags := etags(c.r.Header.Values("If-None-Match"))
	if !slices.Contains(tags, cloud.ETag(version)) && !slices.Contains(tags, "*") {
		return false
	}
	c.w.Header().Set("ETag", cloud.ETag(version))
	c.w.WriteHeader(http.StatusNotModified)
	return true
}

func (c *call) projection(rt *resourceType) projection {
	return rt.projection(strings.Join(c.params["attributes"], ","), strings.Join(c.params["excludedattributes"], ","))
}

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

// one answers with one resource.
func (c *call) one(status int, doc map[string]any, p projection) error {
	m := doc["meta"].(map[string]any)
	if status == http.StatusCreated {
		c.w.Header().Set("Location", m["location"].(string))
	}
	c.w.Header().Set("ETag", m["version"].(string))
	return c.send(status, p.apply(doc))
}

// list answers with a page. The counts are JSON numbers: Okta insists.
func (c *call) list(page []any, total, start int) error {
	if page == nil {
		page = []any{} // an empty list, not null
	}
	return c.send(http.StatusOK, map[string]any{
		"schemas": []string{listURN}, "totalResults": total, "startIndex": start, "itemsPerPage": len(page), "Resources": page,
	})
}

func (c *call) send(status int, v any) error {
	var buf bytes.Buffer
	if err := encode(&buf, v); err != nil {
		return fmt.Errorf("scim: answer: %w", err)
	}
	c.w.Header().Set("Content-Type", contentType)
	c.w.Header().Set("Content-Length", strconv.Itoa(buf.Len()))
	c.w.Header().Set("Cache-Control", "no-store")
	c.w.WriteHeader(status)
	// An error here is the caller's connection, and the caller knows.
	_, _ = c.w.Write(buf.Bytes())
	return nil
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
	level := slog.LevelInfo
	args := []any{"org", c.caller.Org, "token", c.caller.Token, "client", clip(c.caller.Client), "method", c.r.Method, "status", e.Status, "scim_type", e.Type}
	if e.Status >= 500 && e.Status != http.StatusNotImplemented {
		level, args = slog.LevelError, append(args, "err", err)
	}
	c.h.log.Log(c.ctx, level, "SCIM request refused", args...)
	if e.Status == http.StatusUnauthorized {
		c.w.Header().Set("WWW-Authenticate", `Bearer realm="SCIM"`)
	}
	body := map[string]any{"schemas": []string{errorURN}, "status": strconv.Itoa(e.Status), "detail": e.Detail}
	if e.Type != "" {
		body["scimType"] = e.Type
	}
	_ = c.send(e.Status, body) // strings alone: it cannot fail
}

func (c *call) notAllowed(allow string) error {
	c.w.Header().Set("Allow", allow)
	return refuse(http.StatusMethodNotAllowed, "", "%s: want one of %s", clip(c.r.Method), allow)
}

// page takes one page out of all.
func page[T any](all []T, start, count int) []T {
	from := min(start-1, len(all))
	return all[from:min(from+count, len(all))]
}
