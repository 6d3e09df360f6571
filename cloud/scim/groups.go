package scim

import (
	"net/http"

	"latchkey/cloud"
)

// groups serves /Groups and, with an id in seg, /Groups/{id}.
func (c *call) groups(seg []string) error {
	if len(seg) == 0 {
		switch c.r.Method {
		case http.MethodGet, http.MethodHead:
			return c.listOf(c.h.group)
		case http.MethodPost:
			return c.createGroup()
		}
		return c.notAllowed("GET, POST")
	}
	id := seg[0]
	switch c.r.Method {
	case http.MethodGet, http.MethodHead:
		g, err := c.h.dir.Group(c.ctx, c.caller, id)
		if err != nil || c.notModified(g.Version) {
			return err
		}
		return c.group(http.StatusOK, g)
	case http.MethodPut:
		return c.replaceGroup(id)
	case http.MethodPatch:
		return c.patchGroup(id)
	case http.MethodDelete:
		tag, err := c.ifMatch(c.groupVersion(id))
		if err != nil {
			return err
		}
		if err := c.h.dir.DeleteGroup(c.ctx, c.caller, id, tag); err != nil {
			return err
		}
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return c.notAllowed("GET, PUT, PATCH, DELETE")
}

func (c *call) groupVersion(id string) func() (int64, error) {
	return func() (int64, error) {
		g, err := c.h.dir.Group(c.ctx, c.caller, id)
		return g.Version, err
	}
}

func (c *call) createGroup() error {
	body, err := c.body()
	if err != nil {
		return err
	}
	doc, members, _, err := c.engine(c.h.group).document(body)
	if err != nil {
		return err
	}
	g, err := c.h.dir.CreateGroup(c.ctx, c.caller, doc, members)
	if err != nil {
		return err
	}
	return c.group(http.StatusCreated, g)
}

// replaceGroup is PUT. Members that the body names are the members from then
// on; a body that does not speak of members leaves them, and one without an
// externalId does not make the group a stranger.
func (c *call) replaceGroup(id string) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	doc, members, hasMembers, err := c.engine(c.h.group).document(body)
	if err != nil {
		return err
	}
	tag, err := c.ifMatch(c.groupVersion(id))
	if err != nil {
		return err
	}
	g, err := c.h.update(c.ctx, c.caller, id, tag, func(old map[string]any, rows memberRows) (map[string]any, error) {
		next := clone(doc).(map[string]any) // the directory may run this again
		if id, ok := old["externalId"]; ok && next["externalId"] == nil {
			next["externalId"] = id
		}
		if hasMembers {
			if err := rows.Replace(members); err != nil {
				return nil, err
			}
		}
		return next, nil
	})
	if err != nil {
		return err
	}
	return c.group(http.StatusOK, g)
}

// patchGroup answers 204: a directory that adds one member to a group of
// thousands does not want them all back. It may ask for attributes.
func (c *call) patchGroup(id string) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	e := c.engine(c.h.group)
	changes, err := e.changes(body)
	if err != nil {
		return err
	}
	tag, err := c.ifMatch(c.groupVersion(id))
	if err != nil {
		return err
	}
	g, err := c.h.update(c.ctx, c.caller, id, tag, func(old map[string]any, rows memberRows) (map[string]any, error) {
		next, err := e.apply(old, changes)
		if err != nil {
			return nil, err
		}
		return next, e.applyMembers(rows, changes)
	})
	if err != nil {
		return err
	}
	if c.projection(c.h.group).only != nil {
		return c.group(http.StatusOK, g)
	}
	c.w.Header().Set("ETag", cloud.ETag(g.Version))
	c.w.WriteHeader(http.StatusNoContent)
	return nil
}

// group answers with one group.
func (c *call) group(status int, g cloud.Group) error {
	p := c.projection(c.h.group)
	doc, err := c.groupDoc(g, p)
	if err != nil {
		return err
	}
	c.place(status, c.location(c.h.group, g.ID), g.Version)
	return c.send(status, p.apply(doc))
}

func (c *call) groupDoc(g cloud.Group, p projection) (map[string]any, error) {
	doc := c.resource(c.h.group, g.Attrs, g.ID, g.Created, g.Modified, g.Version)
	if g.Members == 0 || !p.wants("members") {
		return doc, nil
	}
	if g.Members > memberPage {
		doc["members"] = &memberList{c: c, group: g.ID}
		return doc, nil
	}
	members, err := c.h.dir.Members(c.ctx, c.caller, g.ID, "", 0)
	if err != nil {
		return nil, err
	}
	list := make([]any, len(members))
	for i, m := range members {
		list[i] = c.member(m)
	}
	if len(list) > 0 {
		doc["members"] = list
	}
	return doc, nil
}
