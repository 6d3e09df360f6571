// Package scim is SCIM 2.0 (RFC 7643, 7644) over HTTP, for the two directories
// that provision people and groups into Latchkey: Microsoft Entra ID and Okta,
// each in both of its dialects, with no switch on the customer's side. It reads
// filters, paths and patches itself, and keeps nothing: a Directory does.
package scim

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"latchkey/cloud"
	"latchkey/cloud/throttle"
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
	Proxies throttle.Proxies
	// Observe hears of each request once it is answered, those with a wrong token
	// too; nil: nobody does.
	Observe func(cloud.DirectoryCall)
}

// handler serves SCIM.
type handler struct {
	dir     Directory
	update  updateGroup
	baseURL func(*http.Request) string
	log     *slog.Logger
	maxBody int64
	observe func(cloud.DirectoryCall)
	user    *resourceType
	group   *resourceType
	proxies throttle.Proxies
	guesses *guesses
}

// NewHandler serves dir under /scim/v2, and under / for who strips that. It
// may be used by any number of goroutines.
func NewHandler(dir Directory, opts Options) http.Handler {
	return newHandler(dir, updateGroupOf(dir), opts)
}

func newHandler(dir Directory, update updateGroup, opts Options) http.Handler {
	h := &handler{dir: dir, update: update, baseURL: opts.BaseURL, log: opts.Log, maxBody: opts.MaxBody, observe: opts.Observe, proxies: opts.Proxies, user: userType(), group: groupType(), guesses: newGuesses()}
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
	params url.Values     // names in lower case
	data   map[string]any // the body of an operation inside a Bulk request; else nil

	refused *Error // what it was answered with, if with an error
	because error
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := &watched{ResponseWriter: w, status: http.StatusOK}
	c := &call{h: h, w: answer, r: r, ctx: r.Context(), base: strings.TrimSuffix(h.baseURL(r), "/")}
	if err := c.serve(); err != nil {
		c.fail(err)
	}
	if h.observe != nil {
		h.observe(c.ended(answer.status))
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
	return c.route(slices.DeleteFunc(strings.Split(path, "/"), func(s string) bool { return s == "" }))
}

// route serves the endpoint that the path's segments name.
func (c *call) route(seg []string) error {
	last := ""
	if len(seg) > 0 {
		last = seg[len(seg)-1]
	}
	switch {
	case len(seg) == 0:
		return c.root()
	case last == ".search" && len(seg) <= 2:
		return c.searched(seg[:len(seg)-1])
	case seg[0] == "Users" && len(seg) <= 2:
		return c.users(seg[1:])
	case seg[0] == "Groups" && len(seg) <= 2:
		return c.groups(seg[1:])
	case seg[0] == "Me":
		return refuse(501, "", "/Me is not supported: the token belongs to an organisation, not to a person")
	case seg[0] == "Bulk" && len(seg) == 1:
		return c.bulk()
	case seg[0] == "ServiceProviderConfig" && len(seg) == 1,
		seg[0] == "Schemas" && len(seg) <= 2, seg[0] == "ResourceTypes" && len(seg) <= 2:
		return c.discovery(seg)
	}
	return c.nowhere()
}

func (c *call) nowhere() error {
	return refuse(404, "", "%s: no such endpoint; there are /Users, /Groups, /Bulk, /.search, /ServiceProviderConfig, /Schemas and /ResourceTypes", clip(c.r.URL.Path))
}

func (c *call) root() error {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		return c.notAllowed("GET")
	}
	return c.listAll()
}

// searched serves POST /.search, of all resources or of the type in seg.
func (c *call) searched(seg []string) error {
	rt := map[string]*resourceType{"Users": c.h.user, "Groups": c.h.group}
	switch {
	case len(seg) == 1 && rt[seg[0]] == nil:
		return c.nowhere()
	case c.r.Method != http.MethodPost:
		return c.notAllowed("POST")
	}
	if err := c.search(); err != nil {
		return err
	}
	if len(seg) == 0 {
		return c.listAll()
	}
	return c.listOf(rt[seg[0]])
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
	from := c.h.proxies.Client(c.r)
	if wait := c.h.guesses.wait(from, token, time.Now()); wait > 0 {
		c.w.Header().Set("Retry-After", strconv.Itoa(int(wait/time.Second)+1))
		return refuse(http.StatusTooManyRequests, "", "too many wrong tokens came from this address; wait and try again")
	}
	var err error
	if c.caller, err = c.h.dir.Authenticate(c.ctx, token); err != nil {
		if errors.Is(err, cloud.ErrToken) {
			c.h.guesses.wrong(from, token, time.Now())
		}
		return err
	}
	c.h.guesses.right(token)
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
	return &engine{rt: rt, strict: c.strict()}
}

// strict says whether the organisation holds its callers to the RFCs.
func (c *call) strict() bool { return c.caller.Profile == cloud.ProfileStrict }

func (c *call) projection(rt *resourceType) projection {
	return rt.projection(strings.Join(c.params["attributes"], ","), strings.Join(c.params["excludedattributes"], ","))
}
