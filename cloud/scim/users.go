package scim

import (
	"net/http"

	"latchkey/cloud"
)

// users serves /Users and, with an id in seg, /Users/{id}.
func (c *call) users(seg []string) error {
	if len(seg) == 0 {
		switch c.r.Method {
		case http.MethodGet, http.MethodHead:
			return c.listOf(c.h.user)
		case http.MethodPost:
			return c.createUser()
		}
		return c.notAllowed("GET, POST")
	}
	id := seg[0]
	switch c.r.Method {
	case http.MethodGet, http.MethodHead:
		u, err := c.h.dir.User(c.ctx, c.caller, id, c.projection(c.h.user).wants("groups"))
		if err != nil || c.notModified(u.Version) {
			return err
		}
		return c.user(http.StatusOK, u)
	case http.MethodPut:
		return c.replaceUser(id)
	case http.MethodPatch:
		return c.patchUser(id)
	case http.MethodDelete:
		tag, err := c.ifMatch(c.userVersion(id))
		if err != nil {
			return err
		}
		if err := c.h.dir.DeleteUser(c.ctx, c.caller, id, tag); err != nil {
			return err
		}
		c.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return c.notAllowed("GET, PUT, PATCH, DELETE")
}

func (c *call) userVersion(id string) func() (int64, error) {
	return func() (int64, error) {
		u, err := c.h.dir.User(c.ctx, c.caller, id, false)
		return u.Version, err
	}
}

func (c *call) createUser() error {
	body, err := c.body()
	if err != nil {
		return err
	}
	doc, _, _, err := c.engine(c.h.user).document(body)
	if err != nil {
		return err
	}
	u, err := c.h.dir.CreateUser(c.ctx, c.caller, doc)
	if err != nil {
		return err
	}
	return c.user(http.StatusCreated, u)
}

// replaceUser is PUT. What the body does not have goes, a card number too
// (Okta pushes whole profiles, so absence says something), but for what the
// Directory keeps: a profile push that says nothing of active must not restore
// anybody, nor one without an externalId make the person a stranger.
func (c *call) replaceUser(id string) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	doc, _, _, err := c.engine(c.h.user).document(body)
	if err != nil {
		return err
	}
	tag, err := c.ifMatch(c.userVersion(id))
	if err != nil {
		return err
	}
	u, err := c.h.dir.UpdateUser(c.ctx, c.caller, id, tag, true, func(map[string]any) (map[string]any, error) {
		return clone(doc).(map[string]any), nil // the directory may run this again
	})
	if err != nil {
		return err
	}
	return c.user(http.StatusOK, u)
}

func (c *call) patchUser(id string) error {
	body, err := c.body()
	if err != nil {
		return err
	}
	e := c.engine(c.h.user)
	changes, err := e.changes(body)
	if err != nil {
		return err
	}
	tag, err := c.ifMatch(c.userVersion(id))
	if err != nil {
		return err
	}
	u, err := c.h.dir.UpdateUser(c.ctx, c.caller, id, tag, false, func(old map[string]any) (map[string]any, error) {
		return e.apply(old, changes)
	})
	if err != nil {
		return err
	}
	return c.user(http.StatusOK, u)
}

// user answers with one user.
func (c *call) user(status int, u cloud.User) error {
	out, err := c.userJSON(u, c.projection(c.h.user))
	if err != nil {
		return err
	}
	c.place(status, c.location(c.h.user, u.ID), u.Version)
	return c.write(status, append(out, '\n'))
}

// userJSON is u as p wants it. A user of whom nothing is left out goes out as
// it is stored, which is many times less work than to read it and write it
// again.
func (c *call) userJSON(u cloud.User, p projection) ([]byte, error) {
	if p.only == nil && p.except == nil {
		if out, ok := c.splice(u); ok {
			return out, nil
		}
	}
	return c.encodeUser(u, p)
}

// encodeUser is userJSON for all that splice does not do.
func (c *call) encodeUser(u cloud.User, p projection) ([]byte, error) {
	attrs, err := u.Attrs()
	if err != nil {
		return nil, err
	}
	doc := c.resource(c.h.user, attrs, u.ID, u.Created, u.Modified, u.Version)
	if len(u.Groups) > 0 && p.wants("groups") {
		doc["groups"] = c.memberships(u.Groups)
	}
	return marshal(p.apply(doc))
}

// memberships are the groups of a user as JSON values.
func (c *call) memberships(groups []cloud.Member) []any {
	list := make([]any, len(groups))
	for i, g := range groups {
		list[i] = map[string]any{"value": g.Value, "$ref": c.location(c.h.group, g.Value), "display": g.Display, "type": "direct"}
	}
	return list
}
