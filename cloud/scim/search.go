package scim

import (
	"cmp"
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"latchkey/cloud"
)

// maxMerged is how far into a sorted list of both resource types a page may
// reach: what comes before it has to be read and merged.
const maxMerged = 1000

// search reads the body of POST /.search in place of a query string: RFC 7644
// §3.4.3.
func (c *call) search() error {
	body, err := c.body()
	if err != nil {
		return err
	}
	if c.strict() && !hasSchema(body, searchURN) {
		return invalidSyntax("schemas: want %s", searchURN)
	}
	c.params = url.Values{}
	for name, v := range body {
		switch lower := strings.ToLower(name); lower {
		case "attributes", "excludedattributes":
			for _, el := range elements(v) {
				s, ok := el.(string)
				if !ok {
					return invalidValue("%s: got %s in the list, want strings", name, kindOf(el))
				}
				c.params.Add(lower, s)
			}
		case "filter", "sortby", "sortorder", "startindex", "count":
			if _, twice := c.params[lower]; twice {
				return invalidSyntax("%q stands twice in one search", lower)
			}
			switch v := v.(type) {
			case nil:
			case string:
				c.params.Set(lower, v)
			case json.Number:
				c.params.Set(lower, v.String())
			default:
				return invalidValue("%s: got %s, want a string or a number", name, kindOf(v))
			}
		}
	}
	return nil
}

// hasSchema says whether a message says that it is of the schema urn.
func hasSchema(body map[string]any, urn string) bool {
	list, _ := body[key(body, "schemas")].([]any)
	return slices.ContainsFunc(list, func(v any) bool {
		s, _ := v.(string)
		return strings.EqualFold(s, urn)
	})
}

// A hit is one resource of a list, not yet written out.
type hit struct {
	res func() (cloud.Resource, error)
	out func(p projection) (any, error) // as JSON
}

// hits gives the page of one resource type that q asks for.
func (c *call) hits(rt *resourceType, q cloud.Query) (page []hit, total int, err error) {
	if rt == c.h.group {
		groups, total, err := c.h.dir.Groups(c.ctx, c.caller, q)
		for _, g := range groups {
			res := cloud.Resource{ID: g.ID, Attrs: g.Attrs, Created: g.Created, Modified: g.Modified, Version: g.Version}
			page = append(page, hit{func() (cloud.Resource, error) { return res, nil }, func(p projection) (any, error) {
				doc, err := c.groupDoc(g, p)
				return p.apply(doc), err
			}})
		}
		return page, total, err
	}
	q.NoGroups = !c.projection(rt).wants("groups")
	users, total, err := c.h.dir.Users(c.ctx, c.caller, q)
	for _, u := range users {
		page = append(page, hit{u.Resource, func(p projection) (any, error) {
			text, err := c.userJSON(u, p)
			return json.RawMessage(text), err
		}})
	}
	return page, total, err
}

// listOf answers with a list of one resource type.
func (c *call) listOf(rt *resourceType) error {
	q, err := c.query(rt)
	if err != nil {
		return err
	}
	page, total, err := c.hits(rt, q)
	if err != nil {
		return err
	}
	out, err := c.render(nil, rt, page)
	if err != nil {
		return err
	}
	return c.list(out, total, q.Start)
}

// render appends the resources of a page to out as they go out.
func (c *call) render(out []any, rt *resourceType, page []hit) ([]any, error) {
	p := c.projection(rt)
	for _, h := range page {
		v, err := h.out(p)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// listAll answers with a list of users and groups: RFC 7644 §3.4.2.1.
func (c *call) listAll() error {
	qu, err := c.query(c.h.user)
	if err != nil {
		return err
	}
	qg, err := c.query(c.h.group)
	if err != nil {
		return err
	}
	if qu.SortKey != nil {
		return c.listMerged(qu, qg)
	}
	users, total, err := c.hits(c.h.user, qu)
	if err != nil {
		return err
	}
	start := qu.Start
	qg.Start, qg.Count = max(1, start-total), qu.Count-len(users)
	groups, more, err := c.hits(c.h.group, qg)
	if err != nil {
		return err
	}
	out, err := c.render(nil, c.h.user, users)
	if err == nil {
		out, err = c.render(out, c.h.group, groups)
	}
	if err != nil {
		return err
	}
	return c.list(out, total+more, start)
}

// listMerged is listAll in an order: the first of both types, merged.
func (c *call) listMerged(qu, qg cloud.Query) error {
	start, end := qu.Start, qu.Start-1+qu.Count
	if end > maxMerged {
		return refuse(400, "tooMany", "a sorted list of users and groups together ends at %d: ask for one of them, or a filter", maxMerged)
	}
	type ranked struct {
		hit
		rt  *resourceType
		key string
		has bool
	}
	var all []ranked
	total := 0
	for _, of := range []struct {
		rt *resourceType
		q  cloud.Query
	}{{c.h.user, qu}, {c.h.group, qg}} {
		of.q.Start, of.q.Count = 1, end
		page, n, err := c.hits(of.rt, of.q)
		if err != nil {
			return err
		}
		total += n
		for _, h := range page {
			res, err := h.res()
			if err != nil {
				return err
			}
			r := ranked{hit: h, rt: of.rt}
			r.key, r.has = of.q.SortKey(res)
			all = append(all, r)
		}
	}
	slices.SortStableFunc(all, func(a, b ranked) int {
		order := cmp.Compare(a.key, b.key)
		if a.has != b.has {
			order = 1
			if a.has {
				order = -1
			}
		}
		if qu.Descending {
			return -order
		}
		return order
	})
	var out []any
	for _, r := range all[min(start-1, len(all)):min(end, len(all))] {
		var err error
		if out, err = c.render(out, r.rt, []hit{r.hit}); err != nil {
			return err
		}
	}
	return c.list(out, total, start)
}
