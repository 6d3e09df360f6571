package cloud

import (
	"maps"
	"slices"
	"time"

	"latchkey/access"
	"latchkey/delta"
)

// A Tally counts what people gain or lose at a property.
type Tally struct {
	People   int `json:"people"`
	Doors    int `json:"doors"`    // different ones
	Openings int `json:"openings"` // (credential, door) pairs
}

// A Preview is what an act does to the access at one property: worked out
// without storing anything, and what then happens when the act is done.
type Preview struct {
	Site     string         `json:"site"`
	Openings int            `json:"openings"` // (credential, door) pairs that open there now
	Limit    int            `json:"limit"`    // openings that may go within an hour before a person is asked
	Lost     int            `json:"lost"`     // openings that went within the last hour for the same cause
	Held     bool           `json:"held"`     // the act would be held
	Gain     Tally          `json:"gain"`
	Lose     Tally          `json:"lose"`
	Hours    Tally          `json:"hours"`  // doors that stay, in other hours; Openings counts them too
	Roles    int            `json:"roles"`  // people whose role changes
	People   []PersonEffect `json:"people"` // by id, at most as many as were asked for
	More     int            `json:"more"`   // people concerned who are not named
}

// A PersonEffect is what an act does to one person at one property: ids of
// doors. Somebody without a credential has rights all the same, and opens
// nothing by them.
type PersonEffect struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Gains       []string `json:"gains,omitempty"`
	Loses       []string `json:"loses,omitempty"`
	Hours       []string `json:"hours,omitempty"` // in other hours
	Credentials int      `json:"credentials"`     // active ones afterwards
	Role        *Change  `json:"role,omitempty"`
}

// MostNamed is how many people a Preview names at most.
const MostNamed = 500

// namedInHold is how many people a held change names.
const namedInHold = 100

// A Guard is how much access may go at a property within an hour before a
// person is asked: more than Percent of its openings and more than Openings of
// them is too much.
type Guard struct {
	Percent  int `json:"percent"`  // 0 to 100; 100 never holds
	Openings int `json:"openings"` // 0 to 1,000,000
}

// DefaultGuard is that of properties that say nothing (design, "Mass-loss guard").
func DefaultGuard() Guard { return Guard{Percent: delta.MassPercent, Openings: delta.MassOpenings} }

// guard is what p has set, or the default.
func (p *Property) guard() Guard {
	if p.Guard == nil {
		return DefaultGuard()
	}
	return *p.Guard
}

// limit is how many of base openings may go.
func (g Guard) limit(base int) int { return max(base*g.Percent/100, g.Openings) }

// The causes of a loss of access. Those of CausePerson are never held: somebody
// was disabled, suspended or deleted, or a card was.
const (
	CauseChange    = "change"    // an admin changed rules, groups, doors, schedules or the property
	CauseDirectory = "directory" // the directory changed groups or attributes
	CausePerson    = "person"
)

// A Loss is how many openings went in one minute for one cause, and how many
// would have gone but are held.
type Loss struct {
	Minute int64  `json:"m"` // of Unix time
	Cause  string `json:"c"`
	Gone   int    `json:"g,omitempty"`
	Held   int    `json:"h,omitempty"`
}

// recent drops the losses that are more than an hour old. Those from later than
// now, over which the clock has gone back, are of now, or they would count until
// it comes there again.
func recent(all []Loss, now time.Time) []Loss {
	from, to := now.Add(-time.Hour).Unix()/60, now.Unix()/60
	all = slices.DeleteFunc(slices.Clone(all), func(l Loss) bool { return l.Minute <= from })
	for i := range all {
		all[i].Minute = min(all[i].Minute, to)
	}
	return all
}

// lostBy adds up the recent losses of a cause.
func lostBy(all []Loss, cause string, now time.Time) (gone, held int) {
	for _, l := range recent(all, now) {
		if l.Cause == cause {
			gone, held = gone+l.Gone, held+l.Held
		}
	}
	return gone, held
}

// lose adds a loss, and forgets old ones.
func (r *SiteRow) lose(cause string, gone, held int, now time.Time) {
	if gone == 0 && held == 0 {
		return
	}
	r.Losses = recent(r.Losses, now)
	minute := now.Unix() / 60
	i := slices.IndexFunc(r.Losses, func(l Loss) bool { return l.Minute == minute && l.Cause == cause })
	if i < 0 {
		i = len(r.Losses)
		r.Losses = append(r.Losses, Loss{Minute: minute, Cause: cause})
	}
	r.Losses[i].Gone += gone
	r.Losses[i].Held += held
}

// An effect is what a transaction does to the access at one site.
type effect struct {
	Preview
	mass    int // openings lost by what the directory says of groups and attributes
	pinned  int // openings that stay because a loss is held
	written int // by how many openings more or fewer the log opens after this transaction
	taken   int // openings that its messages take, some of which later ones may give back
	named   int // how many people are to be named
	gained  map[string]bool
	lost    map[string]bool
	moved   map[string]bool
}

func newEffect(site string, named int) *effect {
	return &effect{
		Preview: Preview{Site: site, People: []PersonEffect{}}, named: named,
		gained: map[string]bool{}, lost: map[string]bool{}, moved: map[string]bool{},
	}
}

// add takes in one person: rights before under the layout was, after under is.
func (e *effect) add(pe PersonEffect, before, after rights, was, is *layout) {
	for door := range after.doors {
		if _, had := before.doors[door]; !had {
			pe.Gains = append(pe.Gains, door)
			e.gained[door] = true
		} else if !sameHours(before.doors[door], after.doors[door], was, is) {
			pe.Hours = append(pe.Hours, door)
			e.moved[door] = true
		}
	}
	for door := range before.doors {
		if _, has := after.doors[door]; !has {
			pe.Loses = append(pe.Loses, door)
			e.lost[door] = true
		}
	}
	gain, lose := lostOpenings(after, before), lostOpenings(before, after)
	e.Gain.count(len(pe.Gains) > 0 || gain > 0, gain)
	e.Lose.count(len(pe.Loses) > 0 || lose > 0, lose)
	e.Hours.count(len(pe.Hours) > 0, len(pe.Hours)*after.keys)
	if pe.Role != nil {
		e.Roles++
	}
	if len(pe.Gains)+len(pe.Loses)+len(pe.Hours)+gain+lose == 0 && pe.Role == nil {
		return
	}
	if len(e.People) >= e.named {
		e.More++
		return
	}
	for _, doors := range [][]string{pe.Gains, pe.Loses, pe.Hours} {
		slices.Sort(doors)
	}
	pe.Credentials = after.keys
	e.People = append(e.People, pe)
}

func (t *Tally) count(concerned bool, openings int) {
	if concerned {
		t.People++
	}
	t.Openings += openings
}

// preview is e once everyone was added.
func (e *effect) preview() Preview {
	p := e.Preview
	p.Gain.Doors, p.Lose.Doors, p.Hours.Doors = len(e.gained), len(e.lost), len(e.moved)
	return p
}

// lostOpenings is how many (credential, door) pairs of before are not in after;
// one credential that takes the place of another is no loss.
func lostOpenings(before, after rights) (n int) {
	for door := range before.doors {
		keys := 0
		if _, has := after.doors[door]; has {
			keys = after.keys
		}
		n += max(0, before.keys-keys)
	}
	return n
}

// sameHours says whether schedules a of layout was and b of layout is are open
// at the same times, as far as can be seen without working out each minute.
func sameHours(a, b []string, was, is *layout) bool {
	if !slices.Equal(a, b) {
		return false
	}
	return slices.EqualFunc(a, b, func(x, y string) bool {
		s, t := was.schedules[x], is.schedules[y]
		return s.Zone == t.Zone && slices.Equal(s.Weekly, t.Weekly) && slices.Equal(s.Holidays, t.Holidays)
	})
}

// written is what a site holds of a person once edits are written.
func applied(have map[access.Ref][]byte, edits []edit) map[access.Ref][]byte {
	after := maps.Clone(have)
	if after == nil {
		after = map[access.Ref][]byte{}
	}
	for _, e := range edits {
		if e.next == nil {
			delete(after, e.ref)
		} else {
			after[e.ref] = e.next
		}
	}
	return after
}
