package cloud

import (
	"context"
	"strings"
)

func (g GroupRow) group(tx Tx) (Group, error) {
	attrs, err := decodeAttrs(g.Doc)
	if err != nil {
		return Group{}, err
	}
	n, err := tx.CountMembers(g.ID)
	return Group{ID: g.ID, Attrs: attrs, Members: n, Created: g.Created, Modified: g.Modified, Version: g.Version}, err
}

// Group returns one group: ErrNotFound.
func (s *Service) Group(ctx context.Context, c Caller, id string) (Group, error) {
	var g Group
	err := s.store.View(ctx, func(tx Tx) error {
		row, err := tx.Group(c.Org, id)
		if err != nil {
			return err
		}
		g, err = row.group(tx)
		return err
	})
	return g, err
}

// Groups returns a page of groups and how many there are in all.
func (s *Service) Groups(ctx context.Context, c Caller, q Query) (groups []Group, total int, err error) {
	f := find(c.Org, q.Terms)
	err = s.search(ctx, c.Org, q, func(tx Tx) error {
		groups, total = nil, 0
		var rows []GroupRow
		if q.Match == nil && q.SortKey == nil {
			rows, total, err = plainPage(q, f, tx.FindGroups, tx.CountGroups)
		} else {
			rows, total, err = browse(q, f, tx.FindGroups, func(row GroupRow) (Resource, error) {
				attrs, err := decodeAttrs(row.Doc)
				return Resource{row.ID, attrs, row.Created, row.Modified, row.Version}, err
			})
		}
		if err != nil {
			return err
		}
		for _, row := range rows {
			g, err := row.group(tx)
			if err != nil {
				return err
			}
			groups = append(groups, g)
		}
		return nil
	})
	return groups, total, err
}

// CreateGroup stores a group and its members: *Invalid, *Conflict. A member
// that is no user yet counts once there is a user of that id.
func (s *Service) CreateGroup(ctx context.Context, c Caller, attrs map[string]any, members []string) (Group, error) {
	var g Group
	err := s.directory(ctx, c, act{what: "create group", name: text(attrs["displayName"])}, func(w *work) error {
		next, err := clone(attrs)
		if err != nil {
			return err
		}
		row := GroupRow{ID: s.newID(w.now), Org: c.Org, Created: w.now, Modified: w.now}
		w.act.object = row.ID
		e := &GroupEdit{Attrs: next, w: w, id: row.ID}
		if err := w.putGroup(&row, nil, next); err != nil {
			return err
		}
		if err := e.Add(members...); err != nil {
			return err
		}
		if err := e.follow(); err != nil {
			return err
		}
		g, err = row.group(w.tx)
		return err
	})
	return g, err
}

// UpdateGroup changes a group by edit, inside the transaction. An edit that
// changes nothing leaves the version as it is. ErrNotFound, ErrPrecondition,
// *Invalid, *Conflict, and whatever edit returns.
func (s *Service) UpdateGroup(ctx context.Context, c Caller, id, ifMatch string, edit func(*GroupEdit) error) (Group, error) {
	var g Group
	err := s.directory(ctx, c, act{what: "update group", object: id}, func(w *work) error {
		row, err := w.tx.Group(c.Org, id)
		if err != nil {
			return err
		}
		w.act.name = row.DisplayName
		if err := checkVersion(ifMatch, row.Version); err != nil {
			return err
		}
		old, err := decodeAttrs(row.Doc)
		if err != nil {
			return err
		}
		e := &GroupEdit{w: w, id: id}
		if e.Attrs, err = decodeAttrs(row.Doc); err != nil {
			return err
		}
		if err := edit(e); err != nil {
			return err
		}
		next, err := clone(e.Attrs)
		if err != nil {
			return err
		}
		version := row.Version
		taken := c.Token != "" && row.PulledID != ""
		if taken {
			row.PulledID = ""
		}
		if err := w.putGroup(&row, old, next); err != nil {
			return err
		}
		if moved := len(e.touched) > 0 && row.Version == version; moved || taken {
			if moved {
				row.Version++
				row.Modified = w.now
			}
			if err := w.tx.PutGroup(row); err != nil {
				return err
			}
		}
		if err := e.follow(); err != nil {
			return err
		}
		g, err = row.group(w.tx)
		return err
	})
	return g, err
}

// putGroup stores next as the document of row, which held old (nil: a new
// group), and binds what waited for a group of that name.
func (w *work) putGroup(row *GroupRow, old, next map[string]any) error {
	for key := range next {
		if strings.EqualFold(key, "members") {
			delete(next, key)
		}
	}
	normalise(old, next, false)
	name := text(next["displayName"])
	if strings.TrimSpace(name) == "" {
		return &Invalid{ScimType: InvalidValue, Attr: "displayName", Detail: "is required"}
	}
	doc, err := encodeAttrs(next)
	if err != nil {
		return err
	}
	if err := checkDocument(row.Doc, doc); err != nil {
		return err
	}
	if old != nil && string(doc) == string(row.Doc) {
		return nil
	}
	externalID := text(next["externalId"])
	for _, t := range []Term{{"displayName", name}, {"externalId", externalID}} {
		if t.Value == "" {
			continue
		}
		others, err := w.tx.FindGroups(find(w.org.ID, []Term{t}), 0, 2)
		if err != nil {
			return err
		}
		for _, other := range others {
			if other.ID != row.ID {
				return &Conflict{Attr: t.Attr, Value: t.Value, ID: other.ID}
			}
		}
	}
	if old == nil {
		if err := w.roomForDirectoryGroup(); err != nil {
			return err
		}
	}
	for path, ch := range differences(old, next) {
		w.note(path, ch.Before, ch.After)
	}
	renamed := row.DisplayName != name
	row.DisplayName, row.ExternalID, row.Doc, row.Modified = name, externalID, doc, w.now
	row.Version++
	if err := w.tx.PutGroup(*row); err != nil {
		return err
	}
	if !renamed {
		return nil
	}
	waited := false
	err = w.rebind(func(displayName, id string) string {
		if id == "" && fold(displayName) == fold(name) {
			waited = true
			return row.ID
		}
		return id
	})
	if err != nil || !waited {
		return err
	}
	members, err := w.tx.MemberIDs(row.ID, "", 0)
	for _, id := range members {
		w.people[id] = true
	}
	return err
}

// rebind changes what rules and pilots are bound to. change gets a displayName
// and the id that it is bound to, and returns the id it should be bound to.
func (w *work) rebind(change func(displayName, id string) string) error {
	sites, err := w.tx.Sites(w.org.ID)
	if err != nil {
		return err
	}
	for _, site := range sites {
		dirty := false
		for i, name := range site.Pilot {
			if id := change(name, site.PilotIDs[i]); id != site.PilotIDs[i] {
				site.PilotIDs[i], dirty = id, true
			}
		}
		if dirty {
			if err := w.tx.PutSite(site); err != nil {
				return err
			}
		}
		rules, err := w.tx.Rules(site.ID)
		if err != nil {
			return err
		}
		for _, r := range rules {
			bound := false
			for i, c := range r.Conditions {
				if c.Attr != "" || c.Group == "" {
					continue
				}
				if id := change(c.Group, c.GroupID); id != c.GroupID {
					r.Conditions[i].GroupID, bound = id, true
				}
			}
			if bound {
				if err := w.tx.PutRule(r); err != nil {
					return err
				}
			}
			dirty = dirty || bound
		}
		if dirty {
			w.config = true
		}
	}
	return nil
}

// DeleteGroup removes a group; its members stay, without what only this group
// gave them. A rule that was bound to it waits again for a group of the name
// that it was given.
func (s *Service) DeleteGroup(ctx context.Context, c Caller, id, ifMatch string) error {
	return s.directory(ctx, c, act{what: "delete group", object: id}, func(w *work) error {
		row, err := w.tx.Group(c.Org, id)
		if err != nil {
			return err
		}
		w.act.name = row.DisplayName
		if err := checkVersion(ifMatch, row.Version); err != nil {
			return err
		}
		return w.deleteGroup(row)
	})
}

func (w *work) deleteGroup(row GroupRow) error {
	w.act.name = row.DisplayName
	if err := w.dissolve(row.ID); err != nil {
		return err
	}
	w.note("displayName", row.DisplayName, nil)
	if err := w.tx.DeleteGroup(w.org.ID, row.ID); err != nil {
		return err
	}
	return w.rebind(func(_, bound string) string {
		if bound == row.ID {
			return ""
		}
		return bound
	})
}

// dissolve takes all members out of a group, a batch at a time: there may be a
// million of them.
func (w *work) dissolve(group string) error {
	asked, err := w.referenced(group)
	if err != nil {
		return err
	}
	var went []string
	n := 0
	for after := ""; ; {
		ids, err := w.tx.MemberIDs(group, after, batch)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if _, err := w.tx.RemoveMember(group, id); err != nil {
				return err
			}
			if asked {
				w.people[id] = true
			}
		}
		if n += len(ids); n <= mostNoted {
			went = append(went, ids...)
		}
		if len(ids) < batch {
			w.noteMembers("members removed", went, n)
			return nil
		}
		after = ids[len(ids)-1]
	}
}

// Members lists at most limit members of a group by id, those after the id
// after; limit below 1 is all. ErrNotFound.
func (s *Service) Members(ctx context.Context, c Caller, id, after string, limit int) ([]Member, error) {
	var members []Member
	err := s.store.View(ctx, func(tx Tx) error {
		if _, err := tx.Group(c.Org, id); err != nil {
			return err
		}
		var err error
		members, err = tx.Members(id, after, limit)
		return err
	})
	return members, err
}
