package access

import (
	"time"

	"latchkey/wiegand"
)

// A Query is one card at one door.
type Query struct {
	Door string // ID
	Bits wiegand.Bits
	At   time.Time // the clock that schedules and validity are held against
}

// A Decision is the answer. Granted is true only with Reason Granted.
type Decision struct {
	Granted    bool
	Reason     Reason
	Person     string        // ID, where the card is known
	Credential string        // ID, where the card is known
	Unlock     time.Duration // how long to open the strike; only when Granted
}

// DefaultUnlock is how long a grant opens a door that does not say.
const DefaultUnlock = 5 * time.Second

// Decide answers a query. The first of these that is so is the reason: no
// verified data, unknown door, unknown card, revoked, card not active, person
// inactive, not yet valid, expired, lockdown, wrong kind of door, no group for
// the door, outside the schedule, granted. Where no grant holds and a schedule
// cannot be worked out, the reason is Fault.
//
// Several credentials may share their bits: if one of them is granted, that is
// the answer; otherwise it is the answer for the first active one by ID, or the
// first where none is active.
//
// A door in mode unlocked is decided like any other, so that events tell who
// would have come in.
func (x *Index) Decide(q Query) Decision {
	// An index without data cannot tell an unknown door from one of which it has
	// not heard yet.
	if !x.ready {
		return Decision{Reason: NoData}
	}
	d := x.doors[q.Door]
	if d == nil || !d.has || d.blocked {
		return Decision{Reason: UnknownDoor}
	}
	first := x.byBits[q.Bits]
	if first == nil {
		return Decision{Reason: UnknownCard}
	}
	answer := first.firstActive()
	reason := x.decide(d, answer, q.At)
	for c := first; c != nil && reason != Granted; c = c.next {
		if c != answer && x.decide(d, c, q.At) == Granted {
			answer, reason = c, Granted
		}
	}
	dec := Decision{Reason: reason, Person: answer.Credential.Person, Credential: answer.ID}
	if reason == Granted {
		dec.Granted, dec.Unlock = true, d.unlock()
	}
	return dec
}

func (x *Index) decide(d *door, c *credential, at time.Time) Reason {
	p := c.person
	now := at.Unix()
	switch {
	case c.blocked, p.blocked:
		return Blocked
	case !c.active:
		return CardNotActive
	case !p.active:
		return PersonInactive
	case c.from != 0 && now < c.from:
		return NotYetValid
	case c.until != 0 && now >= c.until:
		return Expired
	case x.mode(d, now) == ModeLockdown:
		return Lockdown
	case !p.fits(d):
		return WrongDoorKind
	}
	reason := NoGroup
	for _, g := range p.groups {
		if g.blocked {
			continue
		}
		for _, gr := range d.grants[g] {
			switch s := gr.schedule; {
			case gr.blocked:
			case s == nil:
				return Granted
			case s.blocked:
				if reason == NoGroup {
					reason = OutsideHours
				}
			case s.hours == nil: // its record is missing or faulty
				reason = Fault
			case s.hours.hold(at):
				return Granted
			case reason == NoGroup:
				reason = OutsideHours
			}
		}
	}
	return reason
}

// fits reports whether a person of that kind may open a door of that kind at
// all. Grants decide the rest. A kind of person that is not known opens none.
func (p *person) fits(d *door) bool {
	return p.full || p.smartbox && d.Kind == DoorKindCabinet
}

func (d *door) unlock() time.Duration {
	if d.UnlockMS <= 0 {
		return DefaultUnlock
	}
	return time.Duration(d.UnlockMS) * time.Millisecond
}

// allDoors is the scope of a posture of the whole site.
const allDoors = "*"

// Posture returns the mode in force at a door by this machine's clock.
func (x *Index) Posture(door string) string { return x.PostureAt(door, time.Now()) }

// PostureAt returns the mode in force at a door at that instant: the most
// restrictive one of all origins, for the door or for all doors. A lockdown of
// all doors holds for a door that is not known too. But no door is unlocked
// that is not known or is blocked, nor before SetReady(true): the record that
// locks it may be one of those that are missing.
func (x *Index) PostureAt(id string, at time.Time) string {
	d := x.doors[id]
	if d == nil {
		d = &door{}
	}
	mode := x.mode(d, at.Unix())
	if mode == ModeUnlocked && (!x.ready || !d.has || d.blocked) {
		return ModeNormal
	}
	return mode
}

func (x *Index) mode(d *door, now int64) string {
	mode := ModeNormal
	for _, list := range [...][]*posture{x.everywhere, d.postures} {
		for _, p := range list {
			switch p.at(now) {
			case ModeLockdown:
				return ModeLockdown
			case ModeUnlocked:
				mode = ModeUnlocked
			}
		}
	}
	return mode
}

// at is the mode that p asks for. A mode that is not known locks.
func (p *posture) at(now int64) string {
	switch {
	case p.blocked:
		return ModeLockdown
	case !p.has, p.Until != 0 && now >= p.Until, p.Mode == ModeNormal:
		return ModeNormal
	case p.Mode == ModeUnlocked:
		return ModeUnlocked
	}
	return ModeLockdown
}
