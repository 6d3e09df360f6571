package cloud

import (
	"context"
	"errors"
	"slices"

	"latchkey/access"
	"latchkey/delta"
)

// property is a site of org that is there for admins.
func property(tx Tx, org, site string) (SiteRow, error) {
	row, err := tx.Site(site)
	if err == nil && (row.Org != org || row.Deleted) {
		return SiteRow{}, ErrNotFound
	}
	return row, err
}

func propertyStatus(tx Tx, row SiteRow) (PropertyStatus, error) {
	rules, err := tx.Rules(row.ID)
	if err != nil {
		return PropertyStatus{}, err
	}
	st := PropertyStatus{Property: row.Property}
	waits := func(name, id string) {
		if id == "" && name != "" && !slices.Contains(st.Waits, name) {
			st.Waits = append(st.Waits, name)
		}
	}
	for i, name := range row.Pilot {
		waits(name, row.PilotIDs[i])
	}
	for _, r := range rules {
		if !r.Enabled {
			continue
		}
		st.Rules++
		for _, c := range r.Conditions {
			waits(c.Group, c.GroupID)
		}
	}
	if st.Syncing = st.Rules > 0; !st.Syncing {
		st.Note = NoteNoRule
		if len(rules) > 0 {
			st.Note = NoteRulesOff
		}
	}
	return st, nil
}

// Properties lists every property of an organisation, and which of them no
// rule syncs.
func (s *Service) Properties(ctx context.Context, org string) ([]PropertyStatus, error) {
	var all []PropertyStatus
	err := s.store.View(ctx, func(tx Tx) error {
		all = nil
		rows, err := present(tx, org)
		if err != nil {
			return err
		}
		for _, row := range rows {
			st, err := propertyStatus(tx, row)
			if err != nil {
				return err
			}
			all = append(all, st)
		}
		return nil
	})
	return all, err
}

// present are the properties of an organisation that are not deleted:
// ErrNotFound.
func present(tx Tx, org string) ([]SiteRow, error) {
	if _, err := tx.Org(org); err != nil {
		return nil, err
	}
	rows, err := tx.Sites(org)
	return slices.DeleteFunc(rows, func(r SiteRow) bool { return r.Deleted }), err
}

// Property returns one property: ErrNotFound.
func (s *Service) Property(ctx context.Context, org, site string) (st PropertyStatus, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		row, err := property(tx, org, site)
		if err != nil {
			return err
		}
		st, err = propertyStatus(tx, row)
		return err
	})
	return st, err
}

// PutProperty makes or changes a property. An empty Key and a Guard of nothing
// keep what is there. A new property starts a stream of its own; so does one
// that was deleted and comes back. *Invalid, *Conflict, *Held.
func (s *Service) PutProperty(ctx context.Context, by Actor, org string, p Property) (PropertyStatus, error) {
	return propose[PropertyStatus](ctx, s, by, org, Proposal{Op: OpPutProperty, Site: p.ID, Property: &p})
}

func checkProperty(p *Property) error {
	if err := errors.Join(checkSlug("id", p.ID), checkLabel("name", p.Name)); err != nil {
		return firstOf(err)
	}
	if p.Key != "" {
		if _, _, err := delta.ParsePublic(p.Key); err != nil {
			return invalid("key", "want the agent's public key, latchkey-ed25519:KID:BASE64")
		}
	}
	if len(p.Pilot) > maxConditions {
		return invalid("pilot_groups", "got %d, want at most %d", len(p.Pilot), maxConditions)
	}
	for i, name := range p.Pilot {
		if len(name) > maxCondition {
			return invalid("pilot_groups", "group %d has %d bytes, want at most %d", i+1, len(name), maxCondition)
		}
	}
	if g := p.Guard; g != nil && (g.Percent < 0 || g.Percent > 100 || g.Openings < 0 || g.Openings > 1_000_000) {
		return invalid("guard", "want percent from 0 to 100 and openings from 0 to 1000000")
	}
	return nil
}

func (w *work) putProperty(p Property) (st PropertyStatus, err error) {
	p.Org = w.org.ID
	if err := checkProperty(&p); err != nil {
		return st, err
	}
	row, err := w.tx.Site(p.ID)
	var before any
	switch {
	case errors.Is(err, ErrNotFound):
		all, err := w.tx.Sites(w.org.ID)
		if err != nil {
			return st, err
		}
		if err := within("id", "the organisation", "properties, deleted ones among them", len(all)+1, w.s.limits.Properties); err != nil {
			return st, err
		}
		startStream(&row, w.now)
	case err != nil:
		return st, err
	case row.Org != w.org.ID:
		return st, &Conflict{Attr: "id", Value: p.ID}
	case row.Deleted:
		startStream(&row, w.now)
		row.Deleted, row.Openings, row.Losses = false, 0, nil
	default:
		before = row.Property
		if p.Key == "" {
			p.Key = row.Key
		}
		if p.Guard == nil {
			p.Guard = row.Guard
		}
	}
	p.PilotIDs = make([]string, len(p.Pilot))
	for i, name := range p.Pilot {
		if at := slices.Index(row.Pilot, name); at >= 0 && row.PilotIDs[at] != "" {
			p.PilotIDs[i] = row.PilotIDs[at]
			continue
		}
		if p.PilotIDs[i], err = w.groupNamed(name); err != nil {
			return st, err
		}
	}
	if row.Wallet != p.Wallet || !slices.Equal(row.PilotIDs, p.PilotIDs) {
		w.everyone[p.ID] = true
	}
	row.Property = p
	w.config = true
	w.note("property", before, p)
	if err := w.tx.PutSite(row); err != nil {
		return st, err
	}
	return propertyStatus(w.tx, row)
}

// firstOf is the first of joined errors that a caller can tell apart.
func firstOf(err error) error {
	if i, ok := errors.AsType[*Invalid](err); ok {
		return i
	}
	return err
}

// groupNamed is the id of the directory group of that displayName or id, empty
// where there is none yet.
func (w *work) groupNamed(name string) (string, error) {
	for _, attr := range []string{"displayName", "id"} {
		rows, err := w.tx.FindGroups(find(w.org.ID, []Term{{attr, name}}), 0, 1)
		if err != nil {
			return "", err
		}
		if len(rows) > 0 {
			return rows[0].ID, nil
		}
	}
	return "", nil
}

// DeleteProperty takes everything from a property: its agent is told to forget
// all it holds. Its stream goes on, so that the agent hears of it. ErrNotFound,
// *Held.
func (s *Service) DeleteProperty(ctx context.Context, by Actor, org, site string) error {
	_, err := s.propose(ctx, by, org, Proposal{Op: OpDeleteProperty, Site: site}, nil)
	return err
}

func (w *work) deleteProperty(site string) error {
	row, err := property(w.tx, w.org.ID, site)
	if err != nil {
		return err
	}
	rules, err := w.tx.Rules(site)
	if err != nil {
		return err
	}
	for _, r := range rules {
		if err := w.tx.DeleteRule(site, r.ID); err != nil {
			return err
		}
	}
	for _, kind := range []access.Kind{access.KindDoor, access.KindGroup, access.KindSchedule} {
		its, err := w.tx.Items(site, kind)
		if err != nil {
			return err
		}
		for _, it := range its {
			if err := w.tx.DeleteItem(site, kind, it.ID); err != nil {
				return err
			}
		}
	}
	given, err := w.tx.SiteOutcomes(site)
	if err != nil {
		return err
	}
	for _, o := range given {
		w.roles[o.Person] = w.roles[o.Person] || o.Role != ""
	}
	if err := errors.Join(w.tx.DeleteManualMembers(site, ""), w.tx.DeleteOutcomes(site), w.endPins(site)); err != nil {
		return err
	}
	w.note("property", row.Property, nil)
	row.Deleted = true
	w.config, w.own[site] = true, true
	if err := w.tx.PutSite(row); err != nil {
		return err
	}
	owners, err := w.tx.Owners(site)
	for _, id := range owners {
		w.people[id] = true
	}
	return err
}

// endPins ends what is held at a site that is deleted.
func (w *work) endPins(site string) error {
	open, err := w.tx.Holds(w.org.ID, 0)
	if err != nil {
		return err
	}
	for _, h := range open {
		if h.Site != site || h.Kind != HoldDirectory {
			continue
		}
		w.holds[h.ID] = true
		pins, err := w.tx.HoldPins(h.ID, "", -1)
		if err != nil {
			return err
		}
		for _, pin := range pins {
			w.loose[pin.Person] = w.loose[pin.Person] || pin.Kept.HeldCard
		}
	}
	return w.tx.DeletePins(site)
}
