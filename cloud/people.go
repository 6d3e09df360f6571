package cloud

import (
	"context"
	"maps"
	"slices"
	"strings"

	"latchkey/access"
)

// People lists a page of people, oldest first.
func (s *Service) People(ctx context.Context, org string, q PeopleQuery) ([]Person, error) {
	var all []Person
	limit := min(q.Limit, 500)
	if limit < 1 {
		limit = 100
	}
	err := s.store.View(ctx, func(tx Tx) error {
		all = nil
		o, err := tx.Org(org)
		if err != nil {
			return err
		}
		var rows []PersonRow
		if q.Search == "" {
			if rows, err = tx.FindPeople(Find{Org: org, After: q.After}, 0, limit); err != nil {
				return err
			}
		} else {
			for _, attr := range []string{"userName", "emails.value", "cardNumber", "displayName", "id"} {
				f := find(org, []Term{{attr, strings.TrimSpace(q.Search)}})
				f.Origin, f.After = "", q.After
				some, err := tx.FindPeople(f, 0, limit)
				if err != nil {
					return err
				}
				rows = append(rows, some...)
			}
			slices.SortFunc(rows, func(a, b PersonRow) int { return strings.Compare(a.ID, b.ID) })
			rows = slices.CompactFunc(rows, func(a, b PersonRow) bool { return a.ID == b.ID })
			rows = rows[:min(limit, len(rows))]
		}
		var ids []string
		for _, row := range rows {
			ids = append(ids, row.ID)
		}
		for chunk := range slices.Chunk(ids, batch) {
			some, err := s.details(tx, o, chunk)
			if err != nil {
				return err
			}
			all = append(all, some...)
		}
		return nil
	})
	return all, err
}

// Person returns one person with all that concerns them: ErrNotFound.
func (s *Service) Person(ctx context.Context, org, id string) (Person, error) {
	var p Person
	err := s.store.View(ctx, func(tx Tx) error {
		o, err := tx.Org(org)
		if err != nil {
			return err
		}
		p, err = s.detail(tx, o, id)
		return err
	})
	return p, err
}

func (s *Service) detail(tx Tx, o Org, id string) (Person, error) {
	all, err := s.details(tx, o, []string{id})
	if err != nil {
		return Person{}, err
	}
	if len(all) == 0 {
		return Person{}, ErrNotFound
	}
	return all[0], nil
}

// mostShown is how many attributes of a person are shown: a directory may send
// ten thousand, and people are listed by hundreds.
const mostShown = 500

func (s *Service) details(tx Tx, o Org, ids []string) ([]Person, error) {
	w := &work{s: s, tx: tx, org: o, config: true} // reads, and keeps nothing
	views, err := w.load(ids)
	if err != nil {
		return nil, err
	}
	var all []Person
	for _, id := range ids {
		v := views[id]
		if v == nil {
			continue
		}
		p := Person{
			ID: v.ID, Origin: v.Origin, UserName: v.UserName, Name: v.Name, Kind: v.Kind, State: v.State(),
			Suspended: v.Suspended, Pulled: v.PulledStatus, PulledOut: v.PulledOut, CardState: v.CardState, CardText: v.CardText, Issues: v.Issues,
			Created: v.Created, Modified: v.Modified, Cards: []Card{}, Sites: []PersonSite{}, Attributes: map[string]string{},
		}
		for _, c := range v.Cards {
			p.Cards = append(p.Cards, masked(c))
		}
		sites := map[string]*PersonSite{}
		at := func(site string) *PersonSite {
			if sites[site] == nil {
				sites[site] = &PersonSite{Site: site, Groups: []string{}}
			}
			return sites[site]
		}
		for site, groups := range v.Manual {
			at(site).Manual = groups
		}
		for site, out := range v.Outcome {
			ps := at(site)
			ps.Rule, ps.Role, ps.Mobile = out.Rule, out.Role, Mobile{BLE: out.BLE, Wallet: out.Wallet}
			ps.Groups = append(ps.Groups, out.Groups...)
		}
		for _, ps := range sites {
			p.Sites = append(p.Sites, *ps)
		}
		slices.SortFunc(p.Sites, func(a, b PersonSite) int { return strings.Compare(a.Site, b.Site) })
		groups, err := tx.GroupsOf(o.ID, id)
		if err != nil {
			return nil, err
		}
		for _, g := range groups {
			p.Directory = append(p.Directory, g.Display)
		}
		flat := flatten(v.attrs())
		v.forget()
		paths := slices.Sorted(maps.Keys(flat))
		for _, path := range paths[:min(len(paths), mostShown)] {
			p.Attributes[path] = shown(path, flat[path])
		}
		all = append(all, p)
	}
	return all, nil
}

// CreatePerson makes somebody whom no directory knows, such as a visitor. Rules
// are about people from the directory: this one gets access by hand.
func (s *Service) CreatePerson(ctx context.Context, by Actor, org string, n NewPerson) (Person, error) {
	var p Person
	err := s.update(ctx, org, act{by: by, what: "create person", name: n.Name}, func(w *work) error {
		row := PersonRow{ID: s.newID(w.now), Org: org, Origin: OriginManual, Active: true, Created: w.now}
		w.act.object = row.ID
		patch := PersonPatch{Name: &n.Name, Kind: &n.Kind}
		if n.Kind == "" {
			patch.Kind = new(access.KindFull)
		}
		if n.Email != "" {
			patch.Email = &n.Email
		}
		if err := w.roomForPerson(); err != nil {
			return err
		}
		if err := w.patchPerson(&row, patch); err != nil {
			return err
		}
		var err error
		p, err = s.detail(w.tx, w.org, row.ID)
		return err
	})
	return p, err
}

// PatchPerson changes a person by hand. What the directory says of somebody is
// the directory's; suspending is an admin's and outlasts what the directory
// says. ErrNotFound, *Invalid.
func (s *Service) PatchPerson(ctx context.Context, by Actor, org, id string, patch PersonPatch) (Person, error) {
	var p Person
	err := s.update(ctx, org, act{by: by, what: "change person", object: id}, func(w *work) error {
		row, err := w.tx.Person(org, id)
		if err != nil {
			return err
		}
		w.act.name = row.Name
		if row.Origin == OriginDirectory && (patch.Name != nil || patch.Email != nil || patch.Kind != nil) {
			return &Invalid{ScimType: Mutability, Attr: "name", Detail: "name, email and kind of this person come from the directory"}
		}
		if err := w.patchPerson(&row, patch); err != nil {
			return err
		}
		p, err = s.detail(w.tx, w.org, id)
		return err
	})
	return p, err
}

func (w *work) patchPerson(row *PersonRow, p PersonPatch) error {
	if p.Name != nil {
		if strings.TrimSpace(*p.Name) == "" {
			return invalid("name", "is required")
		}
		if err := checkLabel("name", *p.Name); err != nil {
			return err
		}
	}
	if p.Kind != nil && *p.Kind != access.KindFull && *p.Kind != access.KindSmartbox {
		return invalid("kind", "want FULL or SMARTBOX")
	}
	state, email := row.State(), strings.Join(row.Emails, "") // who is made by hand has one at most
	was := email
	set(w, "name", &row.Name, p.Name)
	set(w, "kind", &row.Kind, p.Kind)
	set(w, "suspended", &row.Suspended, p.Suspended)
	if p.Email != nil {
		if err := checkLabel("email", *p.Email); err != nil {
			return err
		}
		if set(w, "email", &email, new(fold(*p.Email))); email != was {
			row.Emails = slices.DeleteFunc([]string{email}, func(s string) bool { return s == "" })
		}
	}
	if w.changes == nil {
		return nil
	}
	if row.Origin == OriginManual {
		attrs := map[string]any{"displayName": row.Name}
		if len(row.Emails) > 0 {
			attrs["emails"] = []any{map[string]any{"value": row.Emails[0]}}
		}
		doc, err := encodeAttrs(attrs)
		if err != nil {
			return err
		}
		row.Doc, row.Modified = doc, w.now
		row.Version++
	}
	w.people[row.ID] = true
	w.roles[row.ID] = row.State() != state || email != was
	return w.tx.PutPerson(*row)
}

// DeletePerson removes a person with cards, memberships and what sites hold. A
// directory that still has them makes them anew.
func (s *Service) DeletePerson(ctx context.Context, by Actor, org, id string) error {
	return s.update(ctx, org, act{by: by, what: "delete person", object: id}, func(w *work) error {
		row, err := w.tx.Person(org, id)
		if err != nil {
			return err
		}
		return w.deletePerson(row)
	})
}

// AddMembership puts a person into an access group by hand; the rules never
// take that away. ErrNotFound.
func (s *Service) AddMembership(ctx context.Context, by Actor, org, person, site, group string) error {
	return s.membership(ctx, by, org, person, site, group, true)
}

// RemoveMembership takes away what AddMembership gave. What a rule gives
// stays: ErrNotFound where nothing was given by hand.
func (s *Service) RemoveMembership(ctx context.Context, by Actor, org, person, site, group string) error {
	return s.membership(ctx, by, org, person, site, group, false)
}

func (s *Service) membership(ctx context.Context, by Actor, org, person, site, group string, add bool) error {
	a := act{by: by, what: "remove membership", object: person}
	if add {
		a.what = "add membership"
	}
	return s.update(ctx, org, a, func(w *work) error {
		row, err := w.tx.Person(org, person)
		if err != nil {
			return err
		}
		w.act.name = row.Name
		if _, err := property(w.tx, org, site); err != nil {
			return err
		}
		m := ManualMember{Person: person, Site: site, Group: group}
		w.people[person] = true
		if !add {
			w.note("group "+site+"/"+group, "member", nil)
			return w.tx.DeleteManualMember(m)
		}
		groups, err := w.tx.Items(site, access.KindGroup)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(groups, func(it Item) bool { return it.ID == group }) {
			return ErrNotFound
		}
		if err := w.roomForGroup(m); err != nil {
			return err
		}
		w.note("group "+site+"/"+group, nil, "member")
		return w.tx.PutManualMember(m)
	})
}

// roomForGroup refuses more memberships by hand than a person's message holds.
func (w *work) roomForGroup(m ManualMember) error {
	all, err := w.tx.ManualMembers([]string{m.Person})
	if err != nil {
		return err
	}
	others := slices.DeleteFunc(all, func(o ManualMember) bool { return o.Site != m.Site || o == m })
	if len(others) >= maxManualGroups {
		return invalid("group", "the person is in %d groups of this property by hand; want at most %d", len(others), maxManualGroups)
	}
	return nil
}
