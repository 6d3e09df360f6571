package oktatest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// stampFormat is how Okta writes times.
const stampFormat = "2006-01-02T15:04:05.000Z"

// A reply is an answer before it is written.
type reply struct {
	status int
	body   any
	next   string // the cursor of the next page
	links  bool
}

func refusal(status int, code, summary string) reply {
	return reply{status: status, body: map[string]any{"errorCode": code, "errorSummary": summary, "errorCauses": []string{}}}
}

// ServeHTTP answers like Okta's API.
func (o *Org) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	now := o.moment()
	b := o.bucket(bucketOf(r.URL.Path), now)
	rep := o.answer(r, b)
	broken := rep.status == http.StatusOK && o.drops > 0
	if broken {
		o.drops--
	}
	limit, remaining := o.limit, max(o.limit-b.used, 0)
	if rep.status == http.StatusTooManyRequests && o.busy >= 0 && b.used <= o.limit {
		limit, remaining = 0, 0 // Okta's sign of too many calls at once
	}
	header := w.Header()
	header.Set("Date", now.Format(http.TimeFormat))
	header.Set("X-Rate-Limit-Limit", strconv.Itoa(limit))
	header.Set("X-Rate-Limit-Remaining", strconv.Itoa(remaining))
	header.Set("X-Rate-Limit-Reset", strconv.FormatInt(b.reset.Unix(), 10))
	header.Set("Content-Type", "application/json")
	if rep.links {
		o.link(header, r, rep.next)
	}
	o.requests = append(o.requests, Request{r.URL.RequestURI(), rep.status, broken})
	o.mu.Unlock()
	write(w, rep, broken)
}

// write sends rep, or its first half.
func write(w http.ResponseWriter, rep reply, broken bool) {
	body, err := json.Marshal(rep.body)
	if err != nil {
		panic(err) // a profile with what no JSON has
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(rep.status)
	if broken {
		w.Write(body[:len(body)/2])
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	w.Write(body)
}

// link writes the links of a page, each in a header of its own.
func (o *Org) link(h http.Header, r *http.Request, next string) {
	u := url.URL{Scheme: "http", Host: r.Host, Path: r.URL.Path, RawQuery: r.URL.RawQuery}
	if r.TLS != nil || r.URL.Scheme == "https" {
		u.Scheme = "https"
	}
	h.Add("Link", "<"+u.String()+`>; rel="self"`)
	if next == "" {
		return
	}
	if o.away != "" {
		u.Host = o.away
	}
	q := u.Query()
	q.Set("after", next)
	u.RawQuery = q.Encode()
	h.Add("Link", "<"+u.String()+`>; rel="next"`)
}

func (o *Org) bucket(name string, now time.Time) *bucket {
	b := o.buckets[name]
	if b == nil || !now.Before(b.reset) {
		b = &bucket{reset: now.Truncate(time.Minute).Add(time.Minute)}
		o.buckets[name] = b
	}
	b.used++
	return b
}

// bucketOf is which rate limit a path counts to.
func bucketOf(path string) string {
	parts := strings.Split(strings.TrimPrefix(path, "/api/v1/"), "/")
	if len(parts) == 2 {
		return parts[0] + "/id"
	}
	return parts[0] + strings.Repeat("/", len(parts)-1)
}

func (o *Org) answer(r *http.Request, b *bucket) reply {
	switch {
	case r.Header.Get("Authorization") != "SSWS "+Token || o.revoked:
		return refusal(http.StatusUnauthorized, "E0000011", "Invalid token provided")
	case o.busy > 0:
		o.busy--
		return refusal(http.StatusTooManyRequests, "E0000047", "API call exceeded rate limit due to too many requests.")
	case b.used > o.limit:
		return refusal(http.StatusTooManyRequests, "E0000047", "API call exceeded rate limit due to too many requests.")
	case o.failing > 0:
		o.failing--
		return refusal(http.StatusServiceUnavailable, "E0000009", "Internal Server Error")
	case r.Method != http.MethodGet:
		return refusal(http.StatusMethodNotAllowed, "E0000022", "The endpoint does not support the provided HTTP method")
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/api/v1/")
	parts := strings.Split(path, "/")
	switch {
	case !ok:
	case path == "users":
		return o.listUsers(r.URL.Query())
	case path == "groups":
		return o.listGroups(r.URL.Query())
	case path == "logs" && o.noLogs:
		return refusal(http.StatusForbidden, "E0000006", "You do not have permission to perform the requested action")
	case path == "logs":
		return o.listLog(r.URL.Query())
	case parts[0] == "users" && len(parts) == 2 && o.users[parts[1]] != nil:
		return reply{status: http.StatusOK, body: o.users[parts[1]].json()}
	case parts[0] == "groups" && len(parts) == 2 && o.groups[parts[1]] != nil:
		return reply{status: http.StatusOK, body: o.groups[parts[1]].json()}
	case parts[0] == "groups" && len(parts) == 3 && parts[2] == "users" && o.groups[parts[1]] != nil:
		return o.listMembers(o.groups[parts[1]], r.URL.Query())
	}
	return refusal(http.StatusNotFound, "E0000007", "Not found: Resource not found: "+path)
}

// page cuts one page out of what is sorted by id.
func page[T any](o *Org, q url.Values, all []T, id func(T) string, show func(T) any) reply {
	limit, err := strconv.Atoi(q.Get("limit"))
	if err != nil || limit < 1 || limit > 1000 {
		limit = 200
	}
	if o.pageSize > 0 {
		limit = min(limit, o.pageSize)
	}
	after := q.Get("after")
	shown := []any{}
	for i, v := range all {
		if id(v) <= after {
			continue
		}
		if shown = append(shown, show(v)); len(shown) == limit && i < len(all)-1 {
			return reply{http.StatusOK, shown, id(v), true}
		}
	}
	return reply{http.StatusOK, shown, "", true}
}

var newer = regexp.MustCompile(`^(lastUpdated|lastMembershipUpdated) gt "([^"]+)"$`)

// since reads a filter of times; the zero map is no filter.
func since(filter string) (map[string]time.Time, error) {
	out := map[string]time.Time{}
	for term := range strings.SplitSeq(filter, " or ") {
		m := newer.FindStringSubmatch(term)
		if filter == "" || m == nil {
			return nil, fmt.Errorf("filter %q", filter)
		}
		t, err := time.Parse(time.RFC3339, m[2])
		if err != nil {
			return nil, err
		}
		out[m[1]] = t
	}
	return out, nil
}

func badFilter() reply { return refusal(http.StatusBadRequest, "E0000031", "Invalid search criteria.") }

func (o *Org) listUsers(q url.Values) reply {
	var all []*user
	limits, err := since(q.Get("filter"))
	if q.Has("filter") && err != nil {
		return badFilter()
	}
	for _, u := range o.users {
		switch {
		case q.Has("search") && o.moment().Sub(u.updated) < o.lag: // not in the index yet
		case !q.Has("filter") && !q.Has("search") && u.status == "DEPROVISIONED":
		case q.Has("filter") && !u.updated.After(limits["lastUpdated"]):
		default:
			all = append(all, u)
		}
	}
	return o.users200(q, all)
}

func (o *Org) users200(q url.Values, all []*user) reply {
	slices.SortFunc(all, func(a, b *user) int { return strings.Compare(a.id, b.id) })
	return page(o, q, all, func(u *user) string { return u.id }, func(u *user) any { return u.json() })
}

func (o *Org) listMembers(g *group, q url.Values) reply {
	var all []*user
	for id := range g.members {
		if u := o.users[id]; u != nil {
			all = append(all, u)
		}
	}
	return o.users200(q, all)
}

func (o *Org) listGroups(q url.Values) reply {
	var all []*group
	limits, err := since(q.Get("filter"))
	if q.Has("filter") && err != nil {
		return badFilter()
	}
	for _, g := range o.groups {
		updated, membership := true, false
		if at, ok := limits["lastUpdated"]; ok {
			updated = g.updated.After(at)
		} else if q.Has("filter") {
			updated = false
		}
		if at, ok := limits["lastMembershipUpdated"]; ok {
			membership = g.membership.After(at)
		}
		if updated || membership {
			all = append(all, g)
		}
	}
	slices.SortFunc(all, func(a, b *group) int { return strings.Compare(a.id, b.id) })
	return page(o, q, all, func(g *group) string { return g.id }, func(g *group) any { return g.json() })
}

// listLog pages through the log by its numbers. The cursor of a page is the
// last number seen, which a poll goes on from.
func (o *Org) listLog(q url.Values) reply {
	at, err := time.Parse(time.RFC3339, q.Get("since"))
	if err != nil || q.Get("sortOrder") != "ASCENDING" {
		return badFilter()
	}
	limit, _ := strconv.Atoi(q.Get("limit"))
	if o.pageSize > 0 || limit < 1 {
		limit = max(o.pageSize, 1)
	}
	after, _ := strconv.Atoi(q.Get("after"))
	shown, last := []any{}, after
	for _, e := range o.log {
		if e.n <= after || e.published.Before(at) || !strings.Contains(q.Get("filter"), `"`+e.kind+`"`) {
			continue
		}
		shown, last = append(shown, e.json()), e.n
		if len(shown) == limit {
			break
		}
	}
	return reply{http.StatusOK, shown, strconv.Itoa(last), true}
}

func (u *user) json() any {
	return map[string]any{
		"id": u.id, "status": u.status, "created": u.created.Format(stampFormat), "lastUpdated": u.updated.Format(stampFormat), "profile": u.profile,
	}
}

func (g *group) json() any {
	return map[string]any{
		"id": g.id, "type": "OKTA_GROUP", "created": g.created.Format(stampFormat), "lastUpdated": g.updated.Format(stampFormat),
		"lastMembershipUpdated": g.membership.Format(stampFormat), "profile": map[string]any{"name": g.name, "description": g.description},
	}
}

func (e entry) json() any {
	return map[string]any{
		"uuid": fmt.Sprintf("event-%d", e.n), "published": e.published.Format(stampFormat), "eventType": e.kind, "target": e.targets,
	}
}
