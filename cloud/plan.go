package cloud

import (
	"maps"
	"slices"

	"latchkey/access"
)

// A plan is what a transaction is about to write for the sites' sake: first it
// is worked out, then the guard looks at it, then it is written.
type plan struct {
	views    []*siteView
	was      map[string]*layout // sites whose doors, groups or schedules change: as they were
	low      map[string]*layout // of the same sites: what opens both before and after
	units    map[string][]unit
	effects  map[string]*effect
	rows     map[string]SiteRow // of sites with effects, once the guard has looked at them
	outcomes []Outcome
	later    []string // people whose gains are left for the background
	pins     []Pin
	unpins   []Pin
	roles    []string // people whose role at some site changes

	issued, dropped []Card   // mobile keys
	numbers, trial  *numbers // nil until one is needed
}

// plan works out how the sites are to follow what the transaction did. The
// losses of the sites in pinning that the directory's groups and attributes
// cause are held: what these gave stays.
func (w *work) plan(pinning map[string]bool) (*plan, error) {
	views, err := w.views()
	if err != nil {
		return nil, err
	}
	if err := w.roomForParts(views); err != nil {
		return nil, err
	}
	p := &plan{views: views, was: map[string]*layout{}, low: map[string]*layout{}, units: map[string][]unit{}, effects: map[string]*effect{}, rows: map[string]SiteRow{}}
	if err := w.planOwn(p); err != nil {
		return nil, err
	}
	if err := w.refresh(p, views, slices.Sorted(maps.Keys(w.people)), pinning); err != nil {
		return nil, err
	}
	for _, v := range views {
		ids, err := w.concerned(p, v)
		if err != nil {
			return nil, err
		}
		// Those of people were worked out just now and need no second look.
		ids = slices.DeleteFunc(ids, func(id string) bool { return w.people[id] })
		if err := w.refresh(p, []*siteView{v}, ids, pinning); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// concerned are the people whose access at v changes with v itself.
func (w *work) concerned(p *plan, v *siteView) ([]string, error) {
	switch {
	case w.everyone[v.ID]:
		return w.tx.PersonIDs(w.org.ID, "", -1)
	case p.was[v.ID] != nil:
		return w.tx.Owners(v.ID)
	}
	return nil, nil
}

// planOwn adds what changes of the sites' doors, groups, grants and schedules.
func (w *work) planOwn(p *plan) error {
	for _, site := range slices.Sorted(maps.Keys(w.own)) {
		edits, was, err := w.ownEdits(site)
		if err != nil {
			return err
		}
		for i := range edits { // these need not stay together
			p.units[site] = append(p.units[site], unit{edits: edits[i : i+1]})
		}
		for _, v := range p.views {
			if v.ID == site && !was.same(v.layout) {
				p.was[site], p.low[site] = was, was.common(v.layout)
			}
		}
	}
	return nil
}

// refresh works out anew what each of views should hold of the people ids. Of
// more than a batch of people it adds only what they lose, and leaves the rest
// to the background.
func (w *work) refresh(p *plan, views []*siteView, ids []string, pinning map[string]bool) error {
	bulk := len(ids) > w.s.batch
	for chunk := range slices.Chunk(ids, batch) {
		people, err := w.load(chunk)
		if err != nil {
			return err
		}
		have, err := w.held(chunk)
		if err != nil {
			return err
		}
		for _, id := range chunk {
			later, err := w.refreshPerson(p, views, id, people[id], have, bulk, pinning)
			if err != nil {
				return err
			}
			if later {
				p.later = append(p.later, id)
			}
		}
	}
	return nil
}

// refreshPerson is refresh for the person id, who is who, or nil for somebody
// who is gone. It says whether a gain is left for later, as it is in bulk.
func (w *work) refreshPerson(p *plan, views []*siteView, id string, who *personView, have map[place]map[access.Ref][]byte, bulk bool, pinning map[string]bool) (later bool, err error) {
	given := map[string]Outcome{}
	if who != nil {
		defer who.forget()
		for _, v := range views {
			if given[v.ID], err = w.settled(p, v, who, have[place{v.ID, id}], pinning[v.ID]); err != nil {
				return false, err
			}
		}
		if later, err = w.keys(p, who, given, bulk); err != nil {
			return false, err
		}
	}
	for _, v := range views {
		late, err := w.follow(p, v, id, who, given[v.ID], have[place{v.ID, id}], bulk)
		if err != nil {
			return false, err
		}
		later = later || late
	}
	return later, nil
}

// A place is one person at one site.
type place struct{ site, person string }

// held is what the sites were told of people.
func (w *work) held(people []string) (map[place]map[access.Ref][]byte, error) {
	rows, err := w.tx.Records(people)
	if err != nil {
		return nil, err
	}
	have := map[place]map[access.Ref][]byte{}
	for _, r := range rows {
		at := place{r.Site, r.Owner}
		if have[at] == nil {
			have[at] = map[access.Ref][]byte{}
		}
		have[at][r.Ref] = r.Doc
	}
	return have, nil
}

// follow adds what changes at v about the person id, who is who, or nil for
// somebody who is gone; o is what v gives, and have is what v was told. It says
// whether a gain is left for later.
func (w *work) follow(p *plan, v *siteView, id string, who *personView, o Outcome, have map[access.Ref][]byte, bulk bool) (later bool, err error) {
	var want []access.Record
	pe := PersonEffect{ID: id}
	if who != nil {
		want = desired(v, who, o)
		pe.Name = who.Name
		if was := who.Outcome[v.ID]; was.Role != o.Role {
			pe.Role = &Change{Before: was.Role, After: o.Role}
			p.roles = append(p.roles, id)
		}
	}
	all, err := compare(id, have, want, nil)
	if err != nil {
		return false, err
	}
	now := all
	if bulk {
		now = slices.DeleteFunc(slices.Clone(all), func(e edit) bool { return !e.loses() })
	}
	takes := 0
	if len(all) > 0 || p.was[v.ID] != nil || pe.Role != nil {
		takes, err = w.measure(p, v, pe, have, want, now, len(now) < len(all))
	}
	if len(now) > 0 {
		p.units[v.ID] = append(p.units[v.ID], unit{now, takes})
	}
	return len(now) < len(all), err
}

// measure adds one person to the effect at v: have is what v holds, want what
// it should, now what is written of the difference, and part says that this is
// not all of it. It returns what the messages of now take of the person, one
// after the other, though a later one may give it back.
func (w *work) measure(p *plan, v *siteView, pe PersonEffect, have map[access.Ref][]byte, want []access.Record, now []edit, part bool) (takes int, err error) {
	is, was, low := v.layout, p.was[v.ID], p.low[v.ID]
	if was == nil {
		was, low = is, is
	}
	had, err := stored(have)
	if err != nil {
		return 0, err
	}
	has := want
	if part {
		if has, err = stored(applied(have, now)); err != nil {
			return 0, err
		}
	}
	before, written := was.rights(had), is.rights(has)
	e := p.effect(v.ID, w.named)
	e.add(pe, before, is.rights(want), was, is)
	e.written += written.openings() - before.openings()
	takes = takenOnTheWay(before, low.rights(had), low.rights(has))
	e.taken += takes
	return takes, nil
}

// takenOnTheWay is what the messages take of one person: first what doors and
// groups lose, then what the person does; what doors and groups give is last.
func takenOnTheWay(before, narrowed, moved rights) int {
	return lostOpenings(before, narrowed) + lostOpenings(narrowed, moved)
}

func (p *plan) effect(site string, named int) *effect {
	if p.effects[site] == nil {
		p.effects[site] = newEffect(site, named)
	}
	return p.effects[site]
}
