package access

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"latchkey/wiegand"
)

// An Index holds all records of a site so that Decide is a few map look-ups.
// What it answers depends on the records and blocks it holds, never on the
// order in which they came. Decide and the other methods that only read may
// run side by side; Put, Delete, Block, Unblock and SetReady want the Index for
// themselves.
//
// Records point at one another, and a record may come before those it names,
// or lose them. So each thing has a node from the first mention to the last;
// has says whether its record is there.
type Index struct {
	ready       bool
	blocked     map[Ref]struct{}
	people      map[string]*person
	credentials map[string]*credential
	byBits      map[wiegand.Bits]*credential // first by ID, the others by next
	groups      map[string]*group
	memberships map[string]*membership
	grants      map[string]*grant
	schedules   map[string]*schedule
	doors       map[string]*door
	postures    map[string]*posture
	everywhere  []*posture // of scope "*"
	settings    map[string]Setting
	zones       map[string]*time.Location
	counts      Counts
}

// The nodes. A blocked one acts as if its record were gone. What Decide reads of
// people and credentials stands in front and in few bytes, because at 250,000
// of them each string compared is another miss of the processor's cache.
type person struct {
	groups         []*group // by memberships that hold, in no order
	active         bool     // has a record that says so
	full, smartbox bool     // kind
	has, blocked   bool
	room           [4]*group // where groups stands while there are few
	uses           int       // credentials and memberships that name it
	keys           int       // of its credentials, those that count (see Loss), blocked or not
	Person
}

type credential struct {
	person          *person
	next            *credential // same bits, next ID
	from, until     int64       // as in the record
	active, blocked bool
	Credential
}

type group struct {
	Group
	has, blocked bool
	uses         int // memberships and grants that name it
}

type membership struct {
	Membership
	blocked bool
	person  *person
	group   *group
}

type grant struct {
	Grant
	blocked  bool
	group    *group
	door     *door
	schedule *schedule // nil is always
}

type schedule struct {
	Schedule
	has, blocked bool
	hours        *hours // nil while the record is missing or cannot be worked out
	uses         int
}

type door struct {
	Door
	has, blocked bool
	grants       map[*group][]*grant
	postures     []*posture
	uses         int // grants and postures that name it
}

type posture struct {
	Posture      // Scope and Origin are set even where only a block names it
	has, blocked bool
	door         *door // nil for "*"
}

// Counts says how many records of each kind an Index holds, and how many
// blocks.
type Counts struct {
	People, Credentials, Groups, Memberships, Grants, Schedules, Doors, Postures, Settings int

	Blocked int
}

// NewIndex returns an empty Index that is not ready.
func NewIndex() *Index {
	return &Index{
		blocked:     map[Ref]struct{}{},
		people:      map[string]*person{},
		credentials: map[string]*credential{},
		byBits:      map[wiegand.Bits]*credential{},
		groups:      map[string]*group{},
		memberships: map[string]*membership{},
		grants:      map[string]*grant{},
		schedules:   map[string]*schedule{},
		doors:       map[string]*door{},
		postures:    map[string]*posture{},
		settings:    map[string]Setting{},
		zones:       map[string]*time.Location{},
	}
}

// SetReady says whether the Index holds a verified state of the site. Until it
// does, Decide answers NoData.
func (x *Index) SetReady(ready bool) { x.ready = ready }

// Ready reports what SetReady said last, at first false.
func (x *Index) Ready() bool { return x.ready }

// Put adds r, in place of a record with the same Ref. It keeps r's slices. A
// type that is not one of this package's records changes nothing.
func (x *Index) Put(r Record) {
	switch r := r.(type) {
	case Person:
		p := x.person(r.ID)
		x.counts.People += added(&p.has)
		p.set(r)
	case Credential:
		x.Delete(r.Ref())
		x.counts.Credentials++
		c := &credential{
			Credential: r,
			person:     x.person(r.Person),
			from:       r.ValidFrom,
			until:      r.ValidUntil,
			active:     r.Status == CredentialActive,
			blocked:    x.isBlocked(r.Ref()),
		}
		c.person.uses++
		c.person.keys += r.opens()
		x.credentials[r.ID] = c
		x.link(c)
	case Group:
		g := x.group(r.ID)
		x.counts.Groups += added(&g.has)
		g.Group = r
	case Membership:
		x.Delete(r.Ref())
		x.counts.Memberships++
		m := &membership{Membership: r, blocked: x.isBlocked(r.Ref()), person: x.person(r.Person), group: x.group(r.Group)}
		m.person.uses++
		m.group.uses++
		x.memberships[r.Ref().Key] = m
		if !m.blocked {
			m.person.groups = append(m.person.groups, m.group)
		}
	case Grant:
		x.Delete(r.Ref())
		x.counts.Grants++
		g := &grant{Grant: r, blocked: x.isBlocked(r.Ref()), group: x.group(r.Group), door: x.door(r.Door)}
		g.group.uses++
		g.door.uses++
		if r.Schedule != "" {
			g.schedule = x.schedule(r.Schedule)
			g.schedule.uses++
		}
		x.grants[r.Ref().Key] = g
		g.door.grants[g.group] = append(g.door.grants[g.group], g)
	case Schedule:
		s := x.schedule(r.ID)
		x.counts.Schedules += added(&s.has)
		s.Schedule = r
		s.hours, _ = r.compile(x.zone) // no hours is a Fault to Decide; Holds says why
	case Door:
		d := x.door(r.ID)
		x.counts.Doors += added(&d.has)
		d.Door = r
	case Posture:
		p := x.posture(r.Ref(), r.Scope, r.Origin)
		x.counts.Postures += added(&p.has)
		p.Posture = r
	case Setting:
		if _, ok := x.settings[r.Name]; !ok {
			x.counts.Settings++
		}
		x.settings[r.Name] = r
	}
}

func (p *person) set(r Person) {
	p.Person = r
	p.active = p.has && r.State == StateActive
	p.full, p.smartbox = r.Kind == KindFull, r.Kind == KindSmartbox
}

// added sets has and returns 1 if it was not set.
func added(has *bool) int {
	if *has {
		return 0
	}
	*has = true
	return 1
}

// gone clears has and returns 1 if it was set.
func gone(has *bool) int {
	if !*has {
		return 0
	}
	*has = false
	return 1
}

// Delete removes the record that ref names, if it is there. A block of ref
// stays.
func (x *Index) Delete(ref Ref) {
	switch ref.Kind {
	case KindPerson:
		if p := x.people[ref.Key]; p != nil {
			x.counts.People -= gone(&p.has)
			p.set(Person{ID: ref.Key})
			x.dropPerson(p)
		}
	case KindCredential:
		if c := x.credentials[ref.Key]; c != nil {
			x.counts.Credentials--
			delete(x.credentials, ref.Key)
			x.unlink(c)
			c.person.uses--
			c.person.keys -= c.opens()
			x.dropPerson(c.person)
		}
	case KindGroup:
		if g := x.groups[ref.Key]; g != nil {
			x.counts.Groups -= gone(&g.has)
			g.Group = Group{ID: ref.Key}
			x.dropGroup(g)
		}
	case KindMembership:
		if m := x.memberships[ref.Key]; m != nil {
			x.counts.Memberships--
			delete(x.memberships, ref.Key)
			if !m.blocked {
				m.leave()
			}
			m.person.uses--
			m.group.uses--
			x.dropPerson(m.person)
			x.dropGroup(m.group)
		}
	case KindGrant:
		if g := x.grants[ref.Key]; g != nil {
			x.counts.Grants--
			delete(x.grants, ref.Key)
			rest := without(g.door.grants[g.group], g)
			if g.door.grants[g.group] = rest; len(rest) == 0 {
				delete(g.door.grants, g.group)
			}
			g.group.uses--
			g.door.uses--
			x.dropGroup(g.group)
			x.dropDoor(g.door)
			if g.schedule != nil {
				g.schedule.uses--
				x.dropSchedule(g.schedule)
			}
		}
	case KindSchedule:
		if s := x.schedules[ref.Key]; s != nil {
			x.counts.Schedules -= gone(&s.has)
			s.Schedule, s.hours = Schedule{ID: ref.Key}, nil
			x.dropSchedule(s)
		}
	case KindDoor:
		if d := x.doors[ref.Key]; d != nil {
			x.counts.Doors -= gone(&d.has)
			d.Door = Door{ID: ref.Key}
			x.dropDoor(d)
		}
	case KindPosture:
		if p := x.postures[ref.Key]; p != nil {
			x.counts.Postures -= gone(&p.has)
			p.Posture = Posture{Scope: p.Scope, Origin: p.Origin}
			x.dropPosture(ref.Key, p)
		}
	case KindSetting:
		if _, ok := x.settings[ref.Key]; ok {
			x.counts.Settings--
			delete(x.settings, ref.Key)
		}
	}
}

// Block makes Decide and Entitlements act as if the record of ref were gone,
// now and when it is put again, until Unblock: it is how a revocation takes
// effect ahead of its turn. A blocked person or credential gives the reason
// Blocked. A posture is the one thing that is named because it locks: a blocked
// one holds its scope in lockdown, whether or not its record has come.
func (x *Index) Block(ref Ref) {
	if !x.isBlocked(ref) {
		x.blocked[ref] = struct{}{}
		x.mark(ref, true)
	}
}

// Unblock ends a Block of the same ref, if there is one.
func (x *Index) Unblock(ref Ref) {
	if x.isBlocked(ref) {
		delete(x.blocked, ref)
		x.mark(ref, false)
	}
}

func (x *Index) isBlocked(ref Ref) bool {
	_, ok := x.blocked[ref]
	return ok
}

// mark carries a block that has changed to the node that it is about.
func (x *Index) mark(ref Ref, blocked bool) {
	switch ref.Kind {
	case KindPerson:
		if p := x.people[ref.Key]; p != nil {
			p.blocked = blocked
		}
	case KindCredential:
		if c := x.credentials[ref.Key]; c != nil {
			c.blocked = blocked
		}
	case KindGroup:
		if g := x.groups[ref.Key]; g != nil {
			g.blocked = blocked
		}
	case KindMembership:
		if m := x.memberships[ref.Key]; m != nil {
			if m.blocked = blocked; blocked {
				m.leave()
			} else {
				m.person.groups = append(m.person.groups, m.group)
			}
		}
	case KindGrant:
		if g := x.grants[ref.Key]; g != nil {
			g.blocked = blocked
		}
	case KindSchedule:
		if s := x.schedules[ref.Key]; s != nil {
			s.blocked = blocked
		}
	case KindDoor:
		if d := x.doors[ref.Key]; d != nil {
			d.blocked = blocked
		}
	case KindPosture:
		// An origin has no slash; a door's ID might.
		if i := strings.LastIndexByte(ref.Key, '/'); i >= 0 {
			p := x.posture(ref, ref.Key[:i], ref.Key[i+1:])
			p.blocked = blocked
			x.dropPosture(ref.Key, p)
		}
	}
}

// person returns the node of a person, made if need be; so do the next four.
func (x *Index) person(id string) *person {
	p := x.people[id]
	if p == nil {
		p = &person{Person: Person{ID: id}, blocked: x.isBlocked(Ref{KindPerson, id})}
		p.groups = p.room[:0]
		x.people[id] = p
	}
	return p
}

func (x *Index) group(id string) *group {
	g := x.groups[id]
	if g == nil {
		g = &group{Group: Group{ID: id}, blocked: x.isBlocked(Ref{KindGroup, id})}
		x.groups[id] = g
	}
	return g
}

func (x *Index) schedule(id string) *schedule {
	s := x.schedules[id]
	if s == nil {
		s = &schedule{Schedule: Schedule{ID: id}, blocked: x.isBlocked(Ref{KindSchedule, id})}
		x.schedules[id] = s
	}
	return s
}

func (x *Index) door(id string) *door {
	d := x.doors[id]
	if d == nil {
		d = &door{Door: Door{ID: id}, blocked: x.isBlocked(Ref{KindDoor, id}), grants: map[*group][]*grant{}}
		x.doors[id] = d
	}
	return d
}

func (x *Index) posture(ref Ref, scope, origin string) *posture {
	p := x.postures[ref.Key]
	if p == nil {
		p = &posture{Posture: Posture{Scope: scope, Origin: origin}, blocked: x.isBlocked(ref)}
		x.postures[ref.Key] = p
		if scope == allDoors {
			x.everywhere = append(x.everywhere, p)
		} else {
			p.door = x.door(scope)
			p.door.uses++
			p.door.postures = append(p.door.postures, p)
		}
	}
	return p
}

// dropPerson forgets a node that nothing is known or said about; so do the
// next four.
func (x *Index) dropPerson(p *person) {
	if !p.has && p.uses == 0 {
		delete(x.people, p.ID)
	}
}

func (x *Index) dropGroup(g *group) {
	if !g.has && g.uses == 0 {
		delete(x.groups, g.ID)
	}
}

func (x *Index) dropSchedule(s *schedule) {
	if !s.has && s.uses == 0 {
		delete(x.schedules, s.ID)
	}
}

func (x *Index) dropDoor(d *door) {
	if !d.has && d.uses == 0 {
		delete(x.doors, d.ID)
	}
}

func (x *Index) dropPosture(key string, p *posture) {
	if p.has || p.blocked {
		return
	}
	delete(x.postures, key)
	if p.door == nil {
		x.everywhere = without(x.everywhere, p)
		return
	}
	p.door.postures = without(p.door.postures, p)
	p.door.uses--
	x.dropDoor(p.door)
}

// leave takes the person out of the group.
func (m *membership) leave() { m.person.groups = without(m.person.groups, m.group) }

// without removes one v from s, which it changes.
func without[T comparable](s []T, v T) []T {
	if i := slices.Index(s, v); i >= 0 {
		return slices.Delete(s, i, i+1)
	}
	return s
}

// link puts c among the credentials of its bits, in the order of IDs.
func (x *Index) link(c *credential) {
	if c.Bits.Len() == 0 {
		return
	}
	first := x.byBits[c.Bits]
	if first == nil || c.ID < first.ID {
		c.next = first
		x.byBits[c.Bits] = c
		return
	}
	for first.next != nil && first.next.ID < c.ID {
		first = first.next
	}
	c.next, first.next = first.next, c
}

func (x *Index) unlink(c *credential) {
	first := x.byBits[c.Bits]
	switch {
	case c.Bits.Len() == 0:
	case first != c:
		for first.next != c {
			first = first.next
		}
		first.next = c.next
	case c.next != nil:
		x.byBits[c.Bits] = c.next
	default:
		delete(x.byBits, c.Bits)
	}
}

// Lookup finds a credential by its bits, blocked or not: the first active one
// by ID, or else the first.
func (x *Index) Lookup(bits wiegand.Bits) (Credential, bool) {
	first := x.byBits[bits]
	if first == nil {
		return Credential{}, false
	}
	return first.firstActive().Credential, true
}

// firstActive returns the first of those with the same bits, from c on, that is
// active, or c.
func (c *credential) firstActive() *credential {
	for a := c; a != nil; a = a.next {
		if a.active {
			return a
		}
	}
	return c
}

// Credential returns the record of that ID.
func (x *Index) Credential(id string) (Credential, bool) {
	if c := x.credentials[id]; c != nil {
		return c.Credential, true
	}
	return Credential{}, false
}

// Person returns the record of that ID.
func (x *Index) Person(id string) (Person, bool) {
	if p := x.people[id]; p != nil && p.has {
		return p.Person, true
	}
	return Person{}, false
}

// Group returns the record of that ID.
func (x *Index) Group(id string) (Group, bool) {
	if g := x.groups[id]; g != nil && g.has {
		return g.Group, true
	}
	return Group{}, false
}

// Schedule returns the record of that ID. Its slices are the Index's.
func (x *Index) Schedule(id string) (Schedule, bool) {
	if s := x.schedules[id]; s != nil && s.has {
		return s.Schedule, true
	}
	return Schedule{}, false
}

// Door returns the record of that ID.
func (x *Index) Door(id string) (Door, bool) {
	if d := x.doors[id]; d != nil && d.has {
		return d.Door, true
	}
	return Door{}, false
}

// Doors returns all doors by ID.
func (x *Index) Doors() []Door {
	var all []Door
	for _, d := range x.doors {
		if d.has {
			all = append(all, d.Door)
		}
	}
	slices.SortFunc(all, func(a, b Door) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// Setting returns the record of that name.
func (x *Index) Setting(name string) (Setting, bool) {
	s, ok := x.settings[name]
	return s, ok
}

// Counts returns how much the Index holds.
func (x *Index) Counts() Counts {
	c := x.counts
	c.Blocked = len(x.blocked)
	return c
}

// Blocked returns all blocks, sorted.
func (x *Index) Blocked() []Ref {
	return slices.SortedFunc(maps.Keys(x.blocked), func(a, b Ref) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Key, b.Key))
	})
}

// zone loads a time zone once. Only Put calls it, so that reading changes
// nothing.
func (x *Index) zone(name string) (*time.Location, error) {
	if loc := x.zones[name]; loc != nil {
		return loc, nil
	}
	loc, err := loadZone(name)
	if err == nil {
		x.zones[name] = loc
	}
	return loc, err
}
