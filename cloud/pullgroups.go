package cloud

import (
	"context"
	"slices"
	"strings"
)

// PullGroup takes in a group with its members. unknown counts members whom
// nobody has read yet. taken is false where a directory that calls us has the
// group: nothing was done then. *Invalid, *Conflict.
func (s *Service) PullGroup(ctx context.Context, org string, g PulledGroup) (unknown int, taken bool, err error) {
	same := false
	err = s.store.View(ctx, func(tx Tx) error {
		same, unknown, err = pulledGroupSame(tx, org, g)
		return err
	})
	if err != nil || same {
		return unknown, true, err
	}
	err = s.directory(ctx, Caller{Org: org}, act{what: "read group", name: g.Name}, func(w *work) error {
		unknown, taken, err = w.pullGroup(g)
		return err
	})
	return unknown, taken, err
}

// pulledGroupSame says whether g is what is stored of it already.
func pulledGroupSame(tx Tx, org string, g PulledGroup) (same bool, unknown int, err error) {
	rows, err := tx.FindGroups(find(org, []Term{{"pulledId", g.ID}}), 0, 1)
	if err != nil || len(rows) == 0 {
		return false, 0, err
	}
	next := pulledGroupDoc(g)
	doc, err := encodeAttrs(next)
	if err != nil || string(doc) != string(rows[0].Doc) {
		return false, 0, err
	}
	want, unknown, err := memberIDs(tx, org, g.Members)
	if err != nil {
		return false, 0, err
	}
	have, err := tx.MemberIDs(rows[0].ID, "", 0)
	slices.Sort(want)
	return err == nil && slices.Equal(want, have), unknown, err
}

func pulledGroupDoc(g PulledGroup) map[string]any {
	doc := map[string]any{"displayName": strings.TrimSpace(g.Name), "externalId": g.ID}
	if g.Description != "" {
		doc["description"] = g.Description
	}
	return doc
}

// memberIDs are our ids of the directory's users; unknown counts those that are
// not there.
func memberIDs(tx Tx, org string, pulled []string) (ids []string, unknown int, err error) {
	ids = []string{}
	for chunk := range slices.Chunk(pulled, batch) {
		found, err := tx.PulledIDs(org, chunk)
		if err != nil {
			return nil, 0, err
		}
		for _, id := range chunk {
			if ours, ok := found[id]; ok {
				ids = append(ids, ours)
			} else {
				unknown++
			}
		}
	}
	return ids, unknown, nil
}

func (w *work) pullGroup(g PulledGroup) (unknown int, taken bool, err error) {
	if g.ID == "" {
		return 0, false, invalid("id", "the directory's id is missing")
	}
	row, mine, err := w.pulledGroup(g)
	if err != nil || !mine {
		return 0, false, err
	}
	var old map[string]any
	if row.Doc != nil {
		if old, err = decodeAttrs(row.Doc); err != nil {
			return 0, false, err
		}
	}
	w.act.object = row.ID
	if err := w.putGroup(row, old, pulledGroupDoc(g)); err != nil {
		return 0, false, err
	}
	ids, unknown, err := memberIDs(w.tx, w.org.ID, g.Members)
	if err != nil {
		return 0, false, err
	}
	e := &GroupEdit{w: w, id: row.ID}
	if err := e.Replace(ids); err != nil {
		return 0, false, err
	}
	if len(e.touched) > 0 {
		row.Version++
		row.Modified = w.now
		if err := w.tx.PutGroup(*row); err != nil {
			return 0, false, err
		}
	}
	return unknown, true, e.follow()
}

// pulledGroup finds the row of g, a new one where there is none; mine is false
// where a directory that calls us has it.
func (w *work) pulledGroup(g PulledGroup) (row *GroupRow, mine bool, err error) {
	for _, t := range []Term{{"pulledId", g.ID}, {"externalId", g.ID}, {"displayName", strings.TrimSpace(g.Name)}} {
		rows, err := w.tx.FindGroups(find(w.org.ID, []Term{t}), 0, 1)
		if err != nil {
			return nil, false, err
		}
		if len(rows) == 0 {
			continue
		}
		switch rows[0].PulledID {
		case g.ID:
			return &rows[0], true, nil
		case "":
			return nil, false, nil
		}
		return nil, false, &Conflict{Attr: t.Attr, Value: t.Value, ID: rows[0].ID}
	}
	return &GroupRow{ID: w.s.newID(w.now), Org: w.org.ID, Created: w.now, Modified: w.now, PulledID: g.ID}, true, nil
}

// PullGroupGone removes a group that a read made and that the directory has no
// more.
func (s *Service) PullGroupGone(ctx context.Context, org, id string) error {
	return s.directory(ctx, Caller{Org: org}, act{what: "read that a group is gone", object: id}, func(w *work) error {
		return w.pullGroupGone(id)
	})
}

func (w *work) pullGroupGone(id string) error {
	rows, err := w.tx.FindGroups(find(w.org.ID, []Term{{"pulledId", id}}), 0, 1)
	if err != nil || len(rows) == 0 {
		return err
	}
	return w.deleteGroup(rows[0])
}
