package cloud

import (
	"context"
	"errors"
	"slices"
	"strings"

	"latchkey/access"
)

// list reads the items of a property.
func list[T any](ctx context.Context, s *Service, org, site string, kind access.Kind) (all []T, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		if _, err := property(tx, org, site); err != nil {
			return err
		}
		all, err = items[T](tx, site, kind)
		return err
	})
	return all, err
}

// put stores an item of a property, and lets its record follow.
func put(w *work, site string, kind access.Kind, id string, v any) error {
	doc, err := encodeRecord(v)
	if err != nil {
		return err
	}
	before, err := itemText(w, site, kind, id)
	if err != nil {
		return err
	}
	if before == nil {
		if err := w.roomForItem(site, kind); err != nil {
			return err
		}
	}
	w.note(string(kind), before, string(doc))
	w.config, w.added, w.own[site] = true, true, true
	return w.tx.PutItem(site, kind, Item{ID: id, Doc: doc})
}

// roomForItem refuses one more of a kind that the property has enough of.
func (w *work) roomForItem(site string, kind access.Kind) error {
	its, err := w.tx.Items(site, kind)
	if err != nil {
		return err
	}
	n := len(its) + 1
	switch l := w.s.limits; kind {
	case access.KindDoor:
		return within("doors", "the property", "doors", n, l.Doors)
	case access.KindSchedule:
		return within("schedules", "the property", "schedules", n, l.Schedules)
	default:
		return within("groups", "the property", "access groups", n, l.AccessGroups)
	}
}

// drop removes an item of a property, and lets its record follow.
func drop(w *work, site string, kind access.Kind, id string) error {
	before, err := itemText(w, site, kind, id)
	if err != nil {
		return err
	}
	w.note(string(kind), before, nil)
	w.config, w.own[site] = true, true
	return w.tx.DeleteItem(site, kind, id)
}

// itemText is an item of a property as text for the audit trail; nil for none.
func itemText(w *work, site string, kind access.Kind, id string) (any, error) {
	its, err := w.tx.Items(site, kind)
	if i := slices.IndexFunc(its, func(it Item) bool { return it.ID == id }); i >= 0 {
		return string(its[i].Doc), err
	}
	return nil, err
}

// Doors lists a property's doors by id.
func (s *Service) Doors(ctx context.Context, org, site string) ([]access.Door, error) {
	return list[access.Door](ctx, s, org, site, access.KindDoor)
}

// PutDoor makes or changes a door: *Invalid, *Held.
func (s *Service) PutDoor(ctx context.Context, by Actor, org, site string, d access.Door) (access.Door, error) {
	return propose[access.Door](ctx, s, by, org, Proposal{Op: OpPutDoor, Site: site, Door: &d})
}

func (w *work) putDoor(site string, d access.Door) (access.Door, error) {
	if d.Kind == "" {
		d.Kind = access.DoorKindDoor
	}
	if err := errors.Join(checkName("id", d.ID), checkLabel("name", d.Name)); err != nil {
		return access.Door{}, firstOf(err)
	}
	if err := checkRecord(d); err != nil {
		return access.Door{}, err
	}
	return d, put(w, site, access.KindDoor, d.ID, d)
}

// DeleteDoor removes a door, also from the access groups that open it:
// ErrNotFound, *Held.
func (s *Service) DeleteDoor(ctx context.Context, by Actor, org, site, id string) error {
	_, err := s.propose(ctx, by, org, Proposal{Op: OpDeleteDoor, Site: site, ID: id}, nil)
	return err
}

func (w *work) deleteDoor(site, id string) error {
	groups, err := items[AccessGroup](w.tx, site, access.KindGroup)
	if err != nil {
		return err
	}
	for _, g := range groups {
		n := len(g.Grants)
		g.Grants = slices.DeleteFunc(g.Grants, func(d DoorAccess) bool { return d.Door == id })
		if len(g.Grants) == n {
			continue
		}
		if err := put(w, site, access.KindGroup, g.ID, g); err != nil {
			return err
		}
	}
	return drop(w, site, access.KindDoor, id)
}

// AccessGroups lists a property's access groups by id.
func (s *Service) AccessGroups(ctx context.Context, org, site string) ([]AccessGroup, error) {
	return list[AccessGroup](ctx, s, org, site, access.KindGroup)
}

// AllAccessGroups are the access groups of all an organisation's properties, by
// property: ErrNotFound.
func (s *Service) AllAccessGroups(ctx context.Context, org string) (map[string][]AccessGroup, error) {
	var all map[string][]AccessGroup
	err := s.store.View(ctx, func(tx Tx) error {
		all = map[string][]AccessGroup{}
		rows, err := present(tx, org)
		for _, row := range rows {
			if all[row.ID], err = items[AccessGroup](tx, row.ID, access.KindGroup); err != nil {
				return err
			}
		}
		return err
	})
	return all, err
}

// PutAccessGroup makes or changes an access group. Its doors need not be
// declared yet; its schedules do. *Invalid, *Held.
func (s *Service) PutAccessGroup(ctx context.Context, by Actor, org, site string, g AccessGroup) (AccessGroup, error) {
	return propose[AccessGroup](ctx, s, by, org, Proposal{Op: OpPutGroup, Site: site, Group: &g})
}

func (w *work) putAccessGroup(site string, g AccessGroup) (AccessGroup, error) {
	if err := errors.Join(checkName("id", g.ID), checkLabel("name", g.Name)); err != nil {
		return AccessGroup{}, firstOf(err)
	}
	if len(g.Grants) > 1000 {
		return AccessGroup{}, invalid("grants", "got %d, want at most 1000", len(g.Grants))
	}
	g.Grants = slices.Clone(g.Grants)
	slices.SortFunc(g.Grants, func(a, b DoorAccess) int {
		return strings.Compare(a.Door+"/"+a.Schedule, b.Door+"/"+b.Schedule)
	})
	g.Grants = slices.Compact(g.Grants)
	if g.Grants == nil {
		g.Grants = []DoorAccess{}
	}
	schedules, err := items[access.Schedule](w.tx, site, access.KindSchedule)
	if err != nil {
		return AccessGroup{}, err
	}
	for _, d := range g.Grants {
		if err := checkName("grants.door", d.Door); err != nil {
			return AccessGroup{}, err
		}
		if d.Schedule != "" && !slices.ContainsFunc(schedules, func(s access.Schedule) bool { return s.ID == d.Schedule }) {
			return AccessGroup{}, invalid("grants.schedule", "the property has no schedule %.64q", d.Schedule)
		}
	}
	return g, put(w, site, access.KindGroup, g.ID, g)
}

// DeleteAccessGroup removes an access group that no rule gives, with the
// memberships that admins gave: ErrNotFound, *Invalid, *Held.
func (s *Service) DeleteAccessGroup(ctx context.Context, by Actor, org, site, id string) error {
	_, err := s.propose(ctx, by, org, Proposal{Op: OpDeleteGroup, Site: site, ID: id}, nil)
	return err
}

func (w *work) deleteAccessGroup(site, id string) error {
	rules, err := w.tx.Rules(site)
	if err != nil {
		return err
	}
	for _, r := range rules {
		if slices.Contains(r.Groups, id) {
			return invalid("id", "rule %q gives this group", r.Name)
		}
	}
	if err := drop(w, site, access.KindGroup, id); err != nil {
		return err
	}
	if err := w.tx.DeleteManualMembers(site, id); err != nil {
		return err
	}
	owners, err := w.tx.Owners(site)
	if err != nil {
		return err
	}
	for _, person := range owners {
		w.people[person] = true
	}
	// What a frozen property holds on to, or is still to be written, must not
	// give the group again once there is another of its name.
	outcomes, err := w.tx.SiteOutcomes(site)
	if err != nil {
		return err
	}
	for _, o := range outcomes {
		n := len(o.Groups)
		o.Groups = slices.DeleteFunc(o.Groups, func(g string) bool { return g == id })
		if len(o.Groups) == n {
			continue
		}
		if err := w.tx.PutOutcome(o); err != nil {
			return err
		}
	}
	return nil
}

// Schedules lists a property's schedules by id.
func (s *Service) Schedules(ctx context.Context, org, site string) ([]access.Schedule, error) {
	return list[access.Schedule](ctx, s, org, site, access.KindSchedule)
}

// PutSchedule makes or changes a schedule: *Invalid, *Held.
func (s *Service) PutSchedule(ctx context.Context, by Actor, org, site string, d access.Schedule) (access.Schedule, error) {
	return propose[access.Schedule](ctx, s, by, org, Proposal{Op: OpPutSchedule, Site: site, Schedule: &d})
}

func (w *work) putSchedule(site string, d access.Schedule) (access.Schedule, error) {
	if err := errors.Join(checkName("id", d.ID), checkLabel("name", d.Name)); err != nil {
		return access.Schedule{}, firstOf(err)
	}
	if d.Weekly == nil {
		d.Weekly = []access.Interval{}
	}
	if err := checkRecord(d); err != nil {
		return access.Schedule{}, err
	}
	return d, put(w, site, access.KindSchedule, d.ID, d)
}

// DeleteSchedule removes a schedule that no access group uses: ErrNotFound,
// *Invalid.
func (s *Service) DeleteSchedule(ctx context.Context, by Actor, org, site, id string) error {
	_, err := s.propose(ctx, by, org, Proposal{Op: OpDeleteSchedule, Site: site, ID: id}, nil)
	return err
}

func (w *work) deleteSchedule(site, id string) error {
	groups, err := items[AccessGroup](w.tx, site, access.KindGroup)
	if err != nil {
		return err
	}
	for _, g := range groups {
		if slices.ContainsFunc(g.Grants, func(d DoorAccess) bool { return d.Schedule == id }) {
			return invalid("id", "access group %q uses this schedule", g.ID)
		}
	}
	return drop(w, site, access.KindSchedule, id)
}
