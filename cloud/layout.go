package cloud

import (
	"cmp"
	"maps"
	"reflect"
	"slices"

	"latchkey/access"
)

// A layout is what the access groups of a property open: its doors, their
// grants and the hours of these. It answers as package access does at the
// door, but for the hours of the day.
type layout struct {
	doors     map[string]access.Door
	opens     map[string][]DoorAccess // by group; only what can open a declared door
	schedules map[string]access.Schedule
}

// layoutOf gathers what records, which are nobody's, say of doors and groups.
func layoutOf(records []access.Record) *layout {
	l := &layout{doors: map[string]access.Door{}, opens: map[string][]DoorAccess{}, schedules: map[string]access.Schedule{}}
	for _, r := range records {
		switch r := r.(type) {
		case access.Door:
			l.doors[r.ID] = r
		case access.Schedule:
			if len(r.Weekly) > 0 { // one without hours opens nothing
				l.schedules[r.ID] = r
			}
		}
	}
	for _, r := range records {
		g, ok := r.(access.Grant)
		if !ok {
			continue
		}
		_, declared := l.doors[g.Door]
		if _, holds := l.schedules[g.Schedule]; declared && (holds || g.Schedule == "") {
			l.opens[g.Group] = append(l.opens[g.Group], DoorAccess{Door: g.Door, Schedule: g.Schedule})
		}
	}
	for _, grants := range l.opens {
		slices.SortFunc(grants, func(a, b DoorAccess) int {
			return cmp.Or(cmp.Compare(a.Door, b.Door), cmp.Compare(a.Schedule, b.Schedule))
		})
	}
	return l
}

// storedLayout is the layout of what a site was told.
func storedLayout(rows []RecordRow) (*layout, error) {
	records := make([]access.Record, 0, len(rows))
	for _, row := range rows {
		var r access.Record
		var err error
		switch row.Ref.Kind {
		case access.KindDoor:
			r, err = read[access.Door](row.Doc)
		case access.KindSchedule:
			r, err = read[access.Schedule](row.Doc)
		case access.KindGrant:
			r, err = read[access.Grant](row.Doc)
		default:
			continue
		}
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return layoutOf(records), nil
}

// same says whether l and o open the same to everyone.
func (l *layout) same(o *layout) bool {
	kinds := func(a, b access.Door) bool { return a.Kind == b.Kind }
	return maps.EqualFunc(l.doors, o.doors, kinds) && reflect.DeepEqual(l.opens, o.opens) && reflect.DeepEqual(l.schedules, o.schedules)
}

// common opens what both l and o do, and so at least what a site opens while it
// is on the way from l to o.
func (l *layout) common(o *layout) *layout {
	both := &layout{doors: map[string]access.Door{}, opens: map[string][]DoorAccess{}}
	for id, d := range l.doors {
		if other, ok := o.doors[id]; ok && d.Kind == access.DoorKindCabinet {
			d = other // whoever opens doors opens cabinets
		} else if !ok {
			continue
		}
		both.doors[id] = d
	}
	for group, grants := range l.opens {
		for _, d := range grants {
			if slices.Contains(o.opens[group], d) {
				both.opens[group] = append(both.opens[group], d)
			}
		}
	}
	return both
}

// rights are what one person may open at a property: by door the schedules of
// which one must hold, sorted; none is always. Keys counts the person's active
// credentials: without one nothing opens, and the rights are there all the same.
type rights struct {
	doors map[string][]string
	keys  int
}

// openings is how many (credential, door) pairs open.
func (r rights) openings() int { return r.keys * len(r.doors) }

// open says whether all the hours of d are among r's.
func (r rights) open(d DoorAccess) bool {
	hours, has := r.doors[d.Door]
	return has && (len(hours) == 0 || slices.Contains(hours, d.Schedule))
}

// rights are those of a person with these records. People who are not active
// have none.
func (l *layout) rights(records []access.Record) rights {
	r := rights{}
	var who access.Person
	for _, rec := range records {
		if p, ok := rec.(access.Person); ok {
			who = p
		}
	}
	if who.State != access.StateActive {
		return r
	}
	r.doors = map[string][]string{}
	always := map[string]bool{}
	for _, rec := range records {
		switch rec := rec.(type) {
		case access.Credential:
			if rec.Status == access.CredentialActive && rec.Bits.Len() > 0 {
				r.keys++
			}
		case access.Membership:
			for _, g := range l.opens[rec.Group] {
				if !fits(who.Kind, l.doors[g.Door].Kind) {
					continue
				}
				if g.Schedule == "" {
					always[g.Door] = true
				}
				r.doors[g.Door] = append(r.doors[g.Door], g.Schedule)
			}
		}
	}
	for door, schedules := range r.doors {
		if always[door] {
			r.doors[door] = nil
			continue
		}
		slices.Sort(schedules)
		r.doors[door] = slices.Compact(schedules)
	}
	return r
}

// fits says whether a person of a kind opens doors of a kind (REQUIREMENTS D5).
func fits(person, door string) bool {
	switch person {
	case access.KindFull:
		return true
	case access.KindSmartbox:
		return door == access.DoorKindCabinet
	}
	return false
}

// stored reads what a site was told of one person.
func stored(have map[access.Ref][]byte) ([]access.Record, error) {
	records := make([]access.Record, 0, len(have))
	for ref, doc := range have {
		var r access.Record
		var err error
		switch ref.Kind {
		case access.KindPerson:
			r, err = read[access.Person](doc)
		case access.KindCredential:
			r, err = read[access.Credential](doc)
		case access.KindMembership:
			r, err = read[access.Membership](doc)
		default:
			continue
		}
		if err != nil {
			return nil, err
		}
		records = append(records, r)
	}
	return records, nil
}

// countOpenings is how many (credential, door) pairs open at a site, counted
// from all that it was told.
func countOpenings(tx Tx, site string) (int, error) {
	rows, err := tx.SiteRecords(site)
	if err != nil {
		return 0, err
	}
	l, err := storedLayout(rows)
	if err != nil {
		return 0, err
	}
	people := map[string]map[access.Ref][]byte{}
	for _, row := range rows {
		if row.Owner == "" {
			continue
		}
		if people[row.Owner] == nil {
			people[row.Owner] = map[access.Ref][]byte{}
		}
		people[row.Owner][row.Ref] = row.Doc
	}
	n := 0
	for _, have := range people {
		records, err := stored(have)
		if err != nil {
			return 0, err
		}
		n += l.rights(records).openings()
	}
	return n, nil
}
