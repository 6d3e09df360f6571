package access

import (
	"slices"
	"strings"
)

// An Entitlement is what a controller that decides for itself must hold about
// one credential.
type Entitlement struct {
	Credential Credential
	// Doors has for each door that the credential may open the IDs of the
	// schedules of which one must hold, sorted; none is always. Entitlements
	// share these maps: do not change them.
	Doors map[string][]string
}

// Entitlements returns, by ID of the credential, what may open one of doors now
// or later: active credentials with bits, of active people, that nothing blocks
// and a grant lets in. Validity is in the credential, and posture is not here:
// whoever holds the table applies both. Two entitlements may have the same
// bits, and each counts.
//
// A grant whose schedule is missing, blocked or cannot be worked out opens
// nothing and is left out. Before SetReady(true) there are no entitlements; a
// caller must not take that for an empty table.
func (x *Index) Entitlements(doors []string) []Entitlement { return x.Roster(doors).Entitlements() }

// A Roster is what Entitlements makes its list of. Nothing of it changes with
// the Index, so that whoever guards the Index guards it for the walk alone and
// not for sorting and copying, which take longer.
type Roster struct {
	rows []rosterRow                    // in no order
	open map[string]map[string][]string // what people may open, by their kind and groups
}

type rosterRow struct {
	credential *credential // Put makes a new one rather than change its record
	open       map[string][]string
}

// Schedules returns the IDs of all schedules that the roster names, sorted.
func (r *Roster) Schedules() (ids []string) {
	for _, open := range r.open {
		for _, schedules := range open {
			ids = append(ids, schedules...)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Entitlements is the list: see Index.Entitlements. It may be called without
// the Index's guard, once.
func (r *Roster) Entitlements() []Entitlement {
	slices.SortFunc(r.rows, func(a, b rosterRow) int { return strings.Compare(a.credential.ID, b.credential.ID) })
	all := make([]Entitlement, len(r.rows))
	for i, row := range r.rows {
		all[i] = Entitlement{row.credential.Credential, row.open}
	}
	return all
}

// Roster is the part of Entitlements that needs the Index.
func (x *Index) Roster(doors []string) *Roster {
	// Most people share their groups with others, so each combination is worked
	// out once.
	r := &Roster{open: map[string]map[string][]string{}}
	if !x.ready {
		return r
	}
	given := x.given(doors)
	var key []byte
	var useful []*group
	for _, c := range x.credentials {
		p := c.person
		if c.blocked || p.blocked || !c.active || c.Bits.Len() == 0 || !p.active {
			continue
		}
		useful = useful[:0]
		for _, g := range p.groups {
			if given[g] != nil {
				useful = append(useful, g)
			}
		}
		if len(useful) == 0 {
			continue
		}
		slices.SortFunc(useful, func(a, b *group) int { return strings.Compare(a.ID, b.ID) })
		key = append(key[:0], p.Kind...)
		for _, g := range useful {
			key = append(append(key, 0), g.ID...)
		}
		open, ok := r.open[string(key)]
		if !ok {
			open = combine(p, useful, given)
			r.open[string(key)] = open
		}
		if len(open) > 0 {
			r.rows = append(r.rows, rosterRow{c, open})
		}
	}
	return r
}

// given is what groups give at these doors: far fewer than there are people.
func (x *Index) given(doors []string) map[*group]map[*door][]*grant {
	given := map[*group]map[*door][]*grant{}
	for _, id := range doors {
		d := x.doors[id]
		if d == nil || !d.has || d.blocked {
			continue
		}
		for g, grants := range d.grants {
			if g.blocked {
				continue
			}
			for _, gr := range grants {
				if gr.blocked || gr.schedule != nil && (gr.schedule.blocked || gr.schedule.hours == nil) {
					continue
				}
				if given[g] == nil {
					given[g] = map[*door][]*grant{}
				}
				given[g][d] = append(given[g][d], gr)
			}
		}
	}
	return given
}

// combine joins what groups give to p.
func combine(p *person, groups []*group, given map[*group]map[*door][]*grant) map[string][]string {
	open := map[string][]string{}
	always := map[string]bool{}
	for _, g := range groups {
		for d, grants := range given[g] {
			if !p.fits(d) {
				continue
			}
			for _, gr := range grants {
				if gr.schedule == nil {
					always[d.ID] = true
				} else {
					open[d.ID] = append(open[d.ID], gr.schedule.ID)
				}
			}
		}
	}
	for id := range always {
		open[id] = nil
	}
	for id, schedules := range open {
		slices.Sort(schedules)
		open[id] = slices.Compact(schedules)
	}
	return open
}
