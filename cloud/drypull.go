package cloud

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"latchkey/wiegand"
)

// A dryPull is a dryTx over which a Pull is taken in as if it were stored:
// people, cards, groups and members are kept beside the store too.
type dryPull struct {
	*dryTx
	people  map[string]*PersonRow      // nil: deleted
	cards   map[string]*Card           // nil: deleted
	groups  map[string]*GroupRow       // nil: deleted
	members map[string]map[string]bool // by group; what differs from the store
	in      map[string]map[string]bool // the same by member
	byTerm  map[Term][]string          // ids of people or groups that have, or had, a value
	byBits  map[wiegand.Bits][]string  // ids of cards
}

func newDryPull(tx Tx) *dryPull {
	return &dryPull{
		dryTx: newDryTx(tx), people: map[string]*PersonRow{}, cards: map[string]*Card{}, groups: map[string]*GroupRow{},
		members: map[string]map[string]bool{}, in: map[string]map[string]bool{}, byTerm: map[Term][]string{}, byBits: map[wiegand.Bits][]string{},
	}
}

// overlaid are the stored rows that were not changed beside the store, and those
// that were as they are now, by id.
func overlaid[R any](stored []R, beside []*R, changed map[string]*R, id func(R) string) []R {
	all := slices.DeleteFunc(stored, func(r R) bool { _, ok := changed[id(r)]; return ok })
	for _, r := range beside {
		if r != nil {
			all = append(all, *r)
		}
	}
	slices.SortFunc(all, func(a, b R) int { return cmp.Compare(id(a), id(b)) })
	return slices.CompactFunc(all, func(a, b R) bool { return id(a) == id(b) })
}

// picked are the rows of ids among changed that fit.
func picked[R any](changed map[string]*R, ids []string, fits func(*R) bool) (rows []*R) {
	for _, id := range ids {
		if r := changed[id]; r != nil && fits(r) {
			rows = append(rows, r)
		}
	}
	return rows
}

func personID(p PersonRow) string { return p.ID }
func groupID(g GroupRow) string   { return g.ID }
func cardID(c Card) string        { return c.ID }

// names are what a row is found by; attr is what its own name is called.
type names struct{ id, attr, name, external, pulled string }

// value is the name that attr asks for, as a Term has it.
func (n names) value(attr string) string {
	switch attr {
	case "id":
		return n.id
	case n.attr:
		return fold(n.name)
	case "externalId":
		return n.external
	case "pulledId":
		return n.pulled
	}
	return ""
}

// term is the one value that f asks for, as a row has it.
func (f Find) term() (Term, error) {
	if len(f.Terms) != 1 || f.After != "" {
		return Term{}, fmt.Errorf("cloud: a dry run looks %v up, want one term", f)
	}
	return f.Terms[0], nil
}

// cut is a page of rows.
func cut[R any](rows []R, start, count int) []R {
	rows = rows[min(start, len(rows)):]
	if count >= 0 {
		rows = rows[:min(count, len(rows))]
	}
	return rows
}

// People.

// names is what p is found by.
func (p *PersonRow) names() names {
	return names{p.ID, "userName", p.UserName, p.ExternalID, p.PulledID}
}

func (d *dryPull) PutPerson(p PersonRow) error {
	d.people[p.ID] = &p
	for _, attr := range []string{"id", "userName", "externalId", "pulledId"} {
		t := Term{attr, p.names().value(attr)}
		if t.Value != "" && !slices.Contains(d.byTerm[t], p.ID) {
			d.byTerm[t] = append(d.byTerm[t], p.ID)
		}
	}
	return nil
}

func (d *dryPull) DeletePerson(_, id string) error {
	cards, err := d.Cards([]string{id})
	if err != nil {
		return err
	}
	for _, c := range cards {
		d.cards[c.ID] = nil
	}
	d.people[id] = nil
	return nil
}

func (d *dryPull) CountRoleChange(string) error { return nil }

func (d *dryPull) Person(org, id string) (PersonRow, error) {
	p, changed := d.people[id]
	switch {
	case !changed:
		return d.Tx.Person(org, id)
	case p == nil:
		return PersonRow{}, ErrNotFound
	}
	return *p, nil
}

func (d *dryPull) People(org string, ids []string) ([]PersonRow, error) {
	rows, err := d.Tx.People(org, ids)
	return overlaid(rows, picked(d.people, ids, func(*PersonRow) bool { return true }), d.people, personID), err
}

func (d *dryPull) PersonIDs(org, after string, limit int) ([]string, error) {
	ids, err := d.Tx.PersonIDs(org, after, -1)
	all := map[string]bool{}
	for _, id := range ids {
		all[id] = true
	}
	for id, p := range d.people {
		all[id] = p != nil
	}
	maps.DeleteFunc(all, func(id string, is bool) bool { return !is || id <= after })
	return cut(slices.Sorted(maps.Keys(all)), 0, limit), err
}

func (d *dryPull) FindPeople(f Find, start, count int) ([]PersonRow, error) {
	t, err := f.term()
	if err != nil {
		return nil, err
	}
	stored, err := d.Tx.FindPeople(f, 0, -1)
	fits := func(p *PersonRow) bool {
		return p.names().value(t.Attr) == t.Value && (f.Origin == "" || p.Origin == f.Origin)
	}
	return cut(overlaid(stored, picked(d.people, d.byTerm[t], fits), d.people, personID), start, count), err
}

func (d *dryPull) PulledIDs(org string, ids []string) (map[string]string, error) {
	found, err := d.Tx.PulledIDs(org, ids)
	if err != nil {
		return nil, err
	}
	for pulled, id := range found {
		if p, changed := d.people[id]; changed && (p == nil || p.PulledID != pulled) {
			delete(found, pulled)
		}
	}
	for _, pulled := range ids {
		for _, p := range picked(d.people, d.byTerm[Term{"pulledId", pulled}], func(p *PersonRow) bool { return p.PulledID == pulled }) {
			found[pulled] = p.ID
		}
	}
	return found, nil
}

// CountPeople counts all, for what is limited.
func (d *dryPull) CountPeople(f Find) (int, error) {
	n, err := d.Tx.CountPeople(f)
	if err != nil {
		return 0, err
	}
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(d.people)), batch) {
		stored, err := d.Tx.People(f.Org, chunk)
		if err != nil {
			return 0, err
		}
		n += len(picked(d.people, chunk, func(*PersonRow) bool { return true })) - len(stored)
	}
	return n, nil
}

// Cards.

func (d *dryPull) PutCard(c Card) error {
	d.cards[c.ID] = &c
	d.byBits[c.Bits] = append(d.byBits[c.Bits], c.ID)
	t := Term{"card of", c.Person}
	d.byTerm[t] = append(d.byTerm[t], c.ID)
	return nil
}

func (d *dryPull) DeleteCard(_, id string) error {
	d.cards[id] = nil
	return nil
}

func (d *dryPull) Cards(people []string) ([]Card, error) {
	stored, err := d.Tx.Cards(people)
	var beside []*Card
	for _, id := range people {
		beside = append(beside, picked(d.cards, d.byTerm[Term{"card of", id}], func(*Card) bool { return true })...)
	}
	return overlaid(stored, beside, d.cards, cardID), err
}

func (d *dryPull) CardsByBits(org string, b wiegand.Bits) ([]Card, error) {
	stored, err := d.Tx.CardsByBits(org, b)
	return overlaid(stored, picked(d.cards, d.byBits[b], func(*Card) bool { return true }), d.cards, cardID), err
}

// Groups.

// names is what g is found by.
func (g *GroupRow) names() names {
	return names{g.ID, "displayName", g.DisplayName, g.ExternalID, g.PulledID}
}

func (d *dryPull) PutGroup(g GroupRow) error {
	d.groups[g.ID] = &g
	return nil
}

func (d *dryPull) DeleteGroup(_, id string) error {
	d.groups[id] = nil
	return nil
}

func (d *dryPull) FindGroups(f Find, start, count int) ([]GroupRow, error) {
	t, err := f.term()
	if err != nil {
		return nil, err
	}
	stored, err := d.Tx.FindGroups(f, 0, -1)
	fits := func(g *GroupRow) bool { return g.names().value(t.Attr) == t.Value }
	return cut(overlaid(stored, picked(d.groups, slices.Collect(maps.Keys(d.groups)), fits), d.groups, groupID), start, count), err
}

// CountGroups counts all, for what is limited.
func (d *dryPull) CountGroups(f Find) (int, error) {
	n, err := d.Tx.CountGroups(f)
	for id, g := range d.groups {
		switch _, missing := d.Tx.Group(f.Org, id); {
		case missing != nil && !errors.Is(missing, ErrNotFound):
			return 0, missing
		case missing == nil && g == nil:
			n--
		case missing != nil && g != nil:
			n++
		}
	}
	return n, err
}

func (d *dryPull) MemberCounts(org string) (map[string]int, error) {
	counts, err := d.Tx.MemberCounts(org)
	for group, members := range d.members {
		for _, is := range members {
			if counts[group]++; !is {
				counts[group] -= 2
			}
		}
	}
	return counts, err
}

// member says beside the store whether somebody is in a group.
func (d *dryPull) member(group, member string, is bool) (changed bool, err error) {
	was, err := d.IsMember(group, member)
	if err != nil || was == is {
		return false, err
	}
	_, back := d.members[group][member]
	for _, m := range []struct {
		of   map[string]map[string]bool
		a, b string
	}{{d.members, group, member}, {d.in, member, group}} {
		if m.of[m.a] == nil {
			m.of[m.a] = map[string]bool{}
		}
		if m.of[m.a][m.b] = is; back { // as the store has it
			delete(m.of[m.a], m.b)
		}
	}
	return true, nil
}

func (d *dryPull) AddMember(group, member string) (bool, error) { return d.member(group, member, true) }

func (d *dryPull) RemoveMember(group, member string) (bool, error) {
	return d.member(group, member, false)
}

func (d *dryPull) IsMember(group, member string) (bool, error) {
	if is, changed := d.members[group][member]; changed {
		return is, nil
	}
	return d.Tx.IsMember(group, member)
}

func (d *dryPull) MemberIDs(group, after string, limit int) ([]string, error) {
	ids, err := d.Tx.MemberIDs(group, after, 0)
	ids = slices.DeleteFunc(ids, func(id string) bool { is, changed := d.members[group][id]; return changed && !is })
	for id, is := range d.members[group] {
		if is && id > after {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if limit > 0 {
		ids = cut(ids, 0, limit)
	}
	return ids, err
}

func (d *dryPull) GroupIDsOf(org string, members []string) (map[string][]string, error) {
	all, err := d.Tx.GroupIDsOf(org, members)
	if err != nil {
		return nil, err
	}
	for _, id := range members {
		all[id] = slices.DeleteFunc(all[id], func(g string) bool { is, changed := d.in[id][g]; return changed && !is })
		for g, is := range d.in[id] {
			if is && !slices.Contains(all[id], g) {
				all[id] = append(all[id], g)
			}
		}
	}
	return all, nil
}
