package cloud

import (
	"cmp"
	"sync"
	"time"
)

// Limits are how much one organisation may have. All organisations share a
// database, one writer at a time and the memory that rules are looked at in, so
// what somebody's directory or admin makes without end costs everybody. Each is
// far above what a large customer needs.
type Limits struct {
	// Of an organisation.
	People         int // from the directory and by hand
	Groups         int // of the directory
	Memberships    int // in all its groups
	Properties     int // deleted ones too, whose agents must still hear of it
	Parts          int // doors, schedules, access groups, doors of these, rules and conditions, at all properties
	BadgeTypes     int
	Tokens         int // of SCIM, those that have ended too
	Administrators int // by name
	Held           int // changes that wait for a person

	// Of one property.
	Doors, Schedules, AccessGroups, Rules int
}

// DefaultLimits are those of organisations of which nobody says otherwise
// (docs/manual/identity-admin.md, "Limits").
func DefaultLimits() Limits {
	return Limits{
		People: 1_000_000, Groups: 100_000, Memberships: 20_000_000,
		Properties: 1000, Parts: 100_000, BadgeTypes: 100, Tokens: 100, Administrators: 1000, Held: 100,
		Doors: 1000, Schedules: 200, AccessGroups: 1000, Rules: 200,
	}
}

// or are l, and those of other where l says nothing.
func (l Limits) or(other Limits) Limits {
	for _, of := range []struct {
		limit *int
		other int
	}{
		{&l.People, other.People}, {&l.Groups, other.Groups}, {&l.Memberships, other.Memberships},
		{&l.Properties, other.Properties}, {&l.Parts, other.Parts}, {&l.BadgeTypes, other.BadgeTypes}, {&l.Tokens, other.Tokens},
		{&l.Administrators, other.Administrators}, {&l.Held, other.Held},
		{&l.Doors, other.Doors}, {&l.Schedules, other.Schedules}, {&l.AccessGroups, other.AccessGroups}, {&l.Rules, other.Rules},
	} {
		*of.limit = cmp.Or(*of.limit, of.other)
	}
	return l
}

// within refuses to be more than most of what: *Invalid.
func within(attr, whose, what string, got, most int) error {
	if got > most {
		return invalid(attr, "%s would have %d %s, want at most %d", whose, got, what, most)
	}
	return nil
}

// rooms know how many more there may be of what takes long to count. It is safe
// for use by any number of goroutines.
type rooms struct {
	mu  sync.Mutex
	all map[roomKey]room
}

type roomKey struct{ org, what string }

func newRooms() *rooms { return &rooms{all: map[roomKey]room{}} }

type room struct {
	left int       // that may come before it is counted again
	full time.Time // until then there is no room, and it is not counted
}

// Of what is free, each process lets in a sixteenth before it counts again: so
// many may work together. Of what it has not counted yet it lets in a sixteenth
// of that share, so that few ever count; and the last 64 without asking the
// others. The limits are kept to within a tenth.
const (
	roomShare = 16
	roomLast  = 64
)

// roomFull is how long a full room stays that without another look: whoever is
// refused tries again and again, and each look takes long.
const roomFull = time.Minute

// room refuses n more of what there would be more than most of then, which count
// says. *Invalid.
func (w *work) room(attr, what string, n, most int, count func() (int, error)) error {
	key := roomKey{w.org.ID, what}
	r := w.rooms.take(key, n, most)
	switch {
	case w.now.Before(r.full) && r.full.Sub(w.now) <= roomFull: // else the clock has gone back since
		return invalid(attr, "the organisation has %d %s already, want at most that many", most, what)
	case r.left >= 0:
		return nil
	}
	have, err := count()
	if err != nil {
		return err
	}
	free := most - have
	if free < 0 {
		w.rooms.put(key, room{full: w.now.Add(roomFull)})
		return within(attr, "the organisation", what, have, most)
	}
	w.rooms.put(key, room{left: max(free/roomShare, min(free, roomLast))})
	return nil
}

// take takes n of what is left of most; below 0 is left where it was not enough.
func (r *rooms) take(key roomKey, n, most int) room {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, known := r.all[key]
	if !known {
		at.left = most / (roomShare * roomShare)
	}
	if at.left -= n; at.left >= 0 {
		r.all[key] = at
	}
	return at
}

func (r *rooms) put(key roomKey, at room) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[key] = at
}

// roomForPerson is asked before one more is stored.
func (w *work) roomForPerson() error {
	return w.room("userName", "people", 1, w.s.limits.People, func() (int, error) {
		n, err := w.tx.CountPeople(Find{Org: w.org.ID})
		return n + 1, err
	})
}

// roomForDirectoryGroup is asked before one more is stored.
func (w *work) roomForDirectoryGroup() error {
	return w.room("displayName", "groups", 1, w.s.limits.Groups, func() (int, error) {
		n, err := w.tx.CountGroups(Find{Org: w.org.ID})
		return n + 1, err
	})
}

// roomForMembers is asked once n more are stored: only then is it known which are
// new.
func (w *work) roomForMembers(n int) error {
	return w.room("members", "memberships", n, w.s.limits.Memberships, func() (n int, err error) {
		counts, err := w.tx.MemberCounts(w.org.ID)
		for _, members := range counts {
			n += members
		}
		return n, err
	})
}

// roomForParts refuses a change that makes the configuration of all properties
// too large to be looked at for everybody.
func (w *work) roomForParts(views []*siteView) error {
	if !w.added {
		return nil
	}
	n := 0
	for _, v := range views {
		n += v.parts
	}
	return within("id", "the organisation's properties together", "doors, schedules, access groups, doors of these, rules and conditions", n, w.s.limits.Parts)
}
