package scim

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"latchkey/cloud"
)

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
	if c.data != nil {
		return c.data, nil
	}
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
func (c *call) query(rt *resourceType) (cloud.Query, error) {
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
			return q, invalidValue("%s: got %q, want a number", p.name, clip(s))
		}
		*p.into = int(max(-1, min(n, 1<<31-1)))
	}
	q.Start = max(q.Start, 1)
	q.Count = max(0, min(q.Count, maxCount))
	if s := strings.TrimSpace(c.params.Get("sortby")); s != "" {
		p, err := ParsePath(s)
		if err != nil || p.Filter != nil {
			return q, refuse(400, "invalidPath", "sortBy: got %q, want an attribute", clip(s))
		}
		t := rt.resolve(p.URN, p.Name, p.Sub)
		q.SortKey = rt.sortKey(t)
		q.Descending = strings.EqualFold(c.params.Get("sortorder"), "descending")
	}
	filter := c.params.Get("filter")
	if strings.TrimSpace(filter) == "" {
		if _, given := c.params["filter"]; given {
			return q, refuse(400, "invalidFilter", "filter: got nothing, want an expression")
		}
		return q, nil
	}
	e, err := ParseFilter(filter)
	if err != nil {
		return q, err
	}
	p, err := rt.plan(e)
	if err != nil {
		return q, err
	}
	for _, t := range p.terms {
		q.Terms = append(q.Terms, cloud.Term{Attr: t.attr, Value: t.value})
	}
	if p.match != nil {
		q.Match = func(r cloud.Resource) bool {
			doc := r.Attrs
			if p.made {
				doc = c.resource(rt, r.Attrs, r.ID, r.Created, r.Modified, r.Version)
			}
			return p.match(doc, r.ID)
		}
	}
	return q, nil
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
