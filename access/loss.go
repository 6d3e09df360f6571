package access

import "slices"

// A Loss is what a change takes away: openings, which are (credential, door)
// pairs that open at some hour, and from how many people. One credential of a
// person in place of another is no loss, and neither are other hours. Counted
// are records, whatever the deny lane says of them, active credentials with
// bits, whatever their days, and active people.
type Loss struct{ People, Openings int }

// Loss is what is lost when the records of next take the place of those of the
// same Ref, and those that are nil there go.
func (x *Index) Loss(next map[Ref]Record) (l Loss) {
	was, is := newView(x, nil), newView(x, next)
	for id := range was.concerned(is) {
		l.add(was.rights(id), is.rights(id))
	}
	return l
}

// LossDenied is what is lost while refs are blocked that are not blocked yet.
func (x *Index) LossDenied(refs []Ref) Loss {
	gone := make(map[Ref]Record, len(refs))
	for _, ref := range refs {
		if x.isBlocked(ref) {
			continue
		}
		gone[ref] = nil
		if g := x.groups[ref.Key]; ref.Kind == KindGroup && g != nil { // a blocked one opens nothing, a missing one does
			for _, gr := range x.grants {
				if gr.group == g {
					gone[gr.Ref()] = nil
				}
			}
		}
	}
	return x.Loss(gone)
}

// LossTo is what is lost of the held openings of x when y takes its place. It
// takes a microsecond or two a person.
func (x *Index) LossTo(y *Index) (l Loss, held int) {
	was, is := newView(x, nil), newView(y, nil)
	for id := range x.people {
		before := was.rights(id)
		held += before.openings()
		l.add(before, is.rights(id))
	}
	return l, held
}

// Many says whether next may take something from more than one person.
func (x *Index) Many(next map[Ref]Record) bool {
	var one *person
	for ref := range next {
		var p *person
		switch ref.Kind {
		case KindPerson:
			p = x.people[ref.Key]
		case KindCredential:
			if c := x.credentials[ref.Key]; c != nil {
				p = c.person
			}
		case KindMembership:
			if m := x.memberships[ref.Key]; m != nil {
				p = m.person
			}
		case KindGrant, KindDoor, KindSchedule:
			return true
		}
		if p != nil && one != nil && p != one {
			return true
		}
		if p != nil {
			one = p
		}
	}
	return false
}

// Openings is how many openings there are.
func (x *Index) Openings() (n int) {
	v := newView(x, nil)
	for id := range x.people {
		n += v.rights(id).openings()
	}
	return n
}

// opens is 1 for a credential that counts, and 0 for others.
func (c Credential) opens() int {
	if c.Status == CredentialActive && c.Bits.Len() > 0 {
		return 1
	}
	return 0
}

// rights are what one person may open, and with how many credentials.
type rights struct {
	doors []string // sorted
	keys  int
}

func (r rights) openings() int { return r.keys * len(r.doors) }

func (l *Loss) add(was, is rights) {
	lost := 0
	if slices.Equal(was.doors, is.doors) { // as of most people, and quicker
		lost = len(was.doors) * max(0, was.keys-is.keys)
		was.doors = nil
	}
	for _, door := range was.doors {
		left := 0
		if _, has := slices.BinarySearch(is.doors, door); has {
			left = is.keys
		}
		lost += max(0, was.keys-left)
	}
	if lost > 0 {
		l.People++
		l.Openings += lost
	}
}

// A view is the records of an Index as they would be with those of next. It
// works out once what a group opens, and what people of the same groups do.
type view struct {
	x       *Index
	next    map[Ref]Record
	hidden  map[string][]string // by person: groups of memberships that are blocked
	touched map[string][]string // by person: groups of memberships that next has or ends
	joined  map[string][]string // by person: those that it has
	keys    map[string]int      // by person: credentials that next brings and ends
	granted map[string][]Grant  // by group: those that next has
	opened  map[string][]Door   // by group
	doors   map[string][]string // by kind of person and groups

	names []string // of rights, to make no garbage
	key   []byte
}

func newView(x *Index, next map[Ref]Record) *view {
	v := &view{
		x: x, next: next, hidden: map[string][]string{}, touched: map[string][]string{}, joined: map[string][]string{},
		keys: map[string]int{}, granted: map[string][]Grant{}, opened: map[string][]Door{}, doors: map[string][]string{},
	}
	for ref := range x.blocked {
		if m := x.memberships[ref.Key]; ref.Kind == KindMembership && m != nil {
			v.hidden[m.Person] = append(v.hidden[m.Person], m.Group)
		}
	}
	for ref, r := range next {
		switch ref.Kind {
		case KindCredential:
			if c := x.credentials[ref.Key]; c != nil {
				v.keys[c.Person] -= c.opens()
			}
			if c, ok := r.(Credential); ok {
				v.keys[c.Person] += c.opens()
			}
		case KindMembership:
			if m := x.memberships[ref.Key]; m != nil {
				v.touched[m.Person] = append(v.touched[m.Person], m.Group)
			}
			if m, ok := r.(Membership); ok {
				v.joined[m.Person] = append(v.joined[m.Person], m.Group)
			}
		case KindGrant:
			if g, ok := r.(Grant); ok {
				v.granted[g.Group] = append(v.granted[g.Group], g)
			}
		}
	}
	return v
}

// concerned are those who may lose something when v becomes is.
func (v *view) concerned(is *view) map[string]struct{} {
	people, groups := map[string]struct{}{}, map[string]struct{}{}
	x := v.x
	for ref := range is.next {
		switch ref.Kind {
		case KindPerson:
			people[ref.Key] = struct{}{}
		case KindCredential:
			if c := x.credentials[ref.Key]; c != nil {
				people[c.Person] = struct{}{}
			}
		case KindMembership:
			if m := x.memberships[ref.Key]; m != nil {
				people[m.Person] = struct{}{}
			}
		case KindGrant:
			if g := x.grants[ref.Key]; g != nil {
				groups[g.Group] = struct{}{}
			}
		case KindDoor:
			if d := x.doors[ref.Key]; d != nil {
				for g := range d.grants {
					groups[g.ID] = struct{}{}
				}
			}
		case KindSchedule:
			for _, g := range x.grants {
				if g.Schedule == ref.Key {
					groups[g.Group] = struct{}{}
				}
			}
		}
	}
	for id := range groups {
		if !narrows(v.opens(id), is.opens(id)) {
			delete(groups, id)
		}
	}
	if len(groups) == 0 {
		return people
	}
	for id, p := range x.people {
		if slices.ContainsFunc(v.groups(nil, id, p), func(g string) bool { _, narrowed := groups[g]; return narrowed }) {
			people[id] = struct{}{}
		}
	}
	return people
}

// narrows says whether somebody who opens was could open less by is.
func narrows(was, is []Door) bool {
	return slices.ContainsFunc(was, func(d Door) bool {
		return !slices.ContainsFunc(is, func(e Door) bool { return d.ID == e.ID && d.Kind == e.Kind })
	})
}

// recordOf is the record of ref as next has it, or else as it is in x.
func recordOf[T Record](v *view, ref Ref, is func(string) (T, bool)) (T, bool) {
	if r, told := v.next[ref]; told {
		t, ok := r.(T)
		return t, ok
	}
	return is(ref.Key)
}

// open says whether g opens its door at some hour.
func (v *view) open(g Grant) (Door, bool) {
	d, ok := recordOf(v, Ref{KindDoor, g.Door}, v.x.Door)
	if ok && g.Schedule != "" {
		var s Schedule
		s, ok = recordOf(v, Ref{KindSchedule, g.Schedule}, v.x.Schedule)
		ok = ok && len(s.Weekly) > 0
	}
	return d, ok
}

// opens are the doors that the group id opens, some perhaps twice.
func (v *view) opens(id string) []Door {
	if known, ok := v.opened[id]; ok {
		return known
	}
	doors := []Door{}
	add := func(g Grant) {
		if d, ok := v.open(g); ok {
			doors = append(doors, d)
		}
	}
	if g := v.x.groups[id]; g != nil {
		for _, d := range v.x.doors {
			for _, gr := range d.grants[g] {
				if len(v.next) > 0 {
					if _, told := v.next[gr.Ref()]; told {
						continue
					}
				}
				add(gr.Grant)
			}
		}
	}
	for _, g := range v.granted[id] {
		add(g)
	}
	v.opened[id] = doors
	return doors
}

// groups appends to all those of the person id, whose node is p or nil, in no
// order.
func (v *view) groups(all []string, id string, p *person) []string {
	touched := v.touched[id]
	keep := func(g string) {
		if !slices.Contains(touched, g) {
			all = append(all, g)
		}
	}
	if p != nil {
		for _, g := range p.groups {
			keep(g.ID)
		}
	}
	for _, g := range v.hidden[id] {
		keep(g)
	}
	return append(all, v.joined[id]...)
}

func (v *view) rights(id string) rights {
	p := v.x.people[id]
	who, ok := recordOf(v, Ref{KindPerson, id}, func(string) (who Person, ok bool) {
		if p != nil && p.has {
			who, ok = p.Person, true
		}
		return who, ok
	})
	if !ok || who.State != StateActive {
		return rights{}
	}
	r := rights{keys: v.keys[id]}
	if p != nil {
		r.keys += p.keys
	}
	if r.keys == 0 {
		return rights{}
	}
	v.names = v.groups(v.names[:0], id, p)
	slices.Sort(v.names)
	v.key = append(v.key[:0], who.Kind...)
	for _, g := range v.names {
		v.key = append(append(v.key, 0), g...)
	}
	if r.doors, ok = v.doors[string(v.key)]; !ok {
		for _, g := range v.names {
			for _, d := range v.opens(g) {
				if who.Kind == KindFull || who.Kind == KindSmartbox && d.Kind == DoorKindCabinet {
					r.doors = append(r.doors, d.ID)
				}
			}
		}
		slices.Sort(r.doors)
		r.doors = slices.Compact(r.doors)
		v.doors[string(v.key)] = r.doors
	}
	return r
}
