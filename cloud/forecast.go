package cloud

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"latchkey/access"
)

// A Pull is all that was read of a directory.
type Pull struct {
	Users      []PulledUser
	Groups     []PulledGroup
	GoneUsers  []string // ids of users whom it has no more
	GoneGroups []string
}

// A Forecast says what taking in a Pull would do.
type Forecast struct {
	Users   int          `json:"users"`  // read
	Groups  int          `json:"groups"` // read
	New     int          `json:"new_people"`
	Matched int          `json:"matched_people"` // known from elsewhere
	Deleted int          `json:"deleted_people"`
	People  int          `json:"people"` // who have access at some property now
	Gain    ForecastSide `json:"gain"`
	Lose    ForecastSide `json:"lose"`
	Held    ForecastSide `json:"held"`      // people who keep something because the loss of it waits for a person already
	Refused ForecastSide `json:"not_taken"` // users and groups that would not be taken, with the reason
}

// A ForecastSide counts people, and names the first of them.
type ForecastSide struct {
	Count int      `json:"count"`
	Named []string `json:"named,omitempty"` // at most 100
}

const namedInForecast = 100

func (f *ForecastSide) add(name string) {
	if f.Count++; len(f.Named) < namedInForecast {
		f.Named = append(f.Named, name)
	}
}

// ForecastPull does all that taking in p would do over a transaction that only
// reads, and looks at what it did: so exactly that happens when it is done, if
// nothing else changed meanwhile. What is lost then goes through the guard of
// each property, which may hold it.
func (s *Service) ForecastPull(ctx context.Context, org string, p Pull) (f Forecast, err error) {
	err = s.viewLong(ctx, org, func(tx Tx) error {
		w := newWork(s, newDryPull(tx), act{by: "system", what: "forecast"})
		w.guarded, w.rooms = guardDirectory, newRooms()
		if w.org, err = tx.Org(org); err != nil {
			return err
		}
		f = Forecast{Users: len(p.Users), Groups: len(p.Groups)}
		had, err := w.entitled()
		if err != nil {
			return err
		}
		f.People = len(had)
		if err := w.rehearse(p, &f); err != nil {
			return err
		}
		return w.foresee(&f)
	})
	return f, err
}

// entitled are the people of the organisation who own a membership somewhere.
func (w *work) entitled() (map[string]bool, error) {
	sites, err := w.tx.Sites(w.org.ID)
	if err != nil {
		return nil, err
	}
	all := map[string]bool{}
	for _, site := range sites {
		rows, err := w.tx.SiteRecords(site.ID)
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if r.Owner != "" && r.Ref.Kind == access.KindMembership {
				all[r.Owner] = true
			}
		}
	}
	return all, nil
}

// rehearse takes p in; what is refused is counted and the rest goes on.
func (w *work) rehearse(p Pull, f *Forecast) error {
	refused := func(what string, err error) error {
		if err == nil || !refusal(err) {
			return err
		}
		f.Refused.add(fmt.Sprintf("%s: %v", what, err))
		return nil
	}
	for _, id := range p.GoneUsers {
		f.Deleted++
		if err := w.pullUserGone(id, ""); err != nil {
			return err
		}
	}
	for _, u := range p.Users {
		known, err := w.pulledPerson(u)
		switch {
		case err != nil:
		case known == nil && !u.Gone:
			f.New++
		case known != nil && known.PulledID == "":
			f.Matched++
		}
		changed, same := false, false
		if err == nil {
			same, err = pulledSame(w.tx, w.org.ID, u)
		}
		if err == nil && same {
			continue
		}
		if err == nil {
			err = w.pullUser(u, &changed)
		}
		if refusal(err) && !u.Valid { // as PullUser does
			if err := w.pullOut(u, &changed); err != nil {
				return err
			}
		}
		if err := refused(text(u.Attrs["userName"]), err); err != nil {
			return err
		}
	}
	for _, g := range p.Groups {
		_, _, err := w.pullGroup(g)
		if err := refused(g.Name, err); err != nil {
			return err
		}
	}
	for _, id := range p.GoneGroups {
		if err := w.pullGroupGone(id); err != nil {
			return err
		}
	}
	return nil
}

// foresee counts the people whose access at any property is now another one
// than its site was told.
func (w *work) foresee(f *Forecast) error {
	views, err := w.views()
	if err != nil {
		return err
	}
	if len(w.everyone) > 0 || w.config {
		all, err := w.tx.PersonIDs(w.org.ID, "", -1)
		if err != nil {
			return err
		}
		for _, id := range all {
			w.people[id] = true
		}
	}
	held, err := w.heldPins()
	if err != nil {
		return err
	}
	for _, pin := range held {
		w.people[pin.Person] = true
	}
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(w.people)), batch) {
		people, err := w.load(chunk)
		if err != nil {
			return err
		}
		have, err := w.held(chunk)
		if err != nil {
			return err
		}
		for _, id := range chunk {
			if err := w.foreseePerson(f, views, id, people[id], have); err != nil {
				return err
			}
		}
	}
	return nil
}

// foreseePerson adds one person to f: who loses something anywhere loses, and
// who gets something gains. Of what is held already as much stays as the site was
// told: have.
func (w *work) foreseePerson(f *Forecast, views []*siteView, id string, who *personView, have map[place]map[access.Ref][]byte) error {
	if who != nil {
		defer who.forget()
	}
	name, gains, loses, holds := id, false, false, false
	for _, v := range views {
		told := have[place{v.ID, id}]
		var want []access.Record
		if who != nil {
			name = who.Name
			o, pin, err := w.holding(v, who, told)
			if err != nil {
				return err
			}
			want, holds = desired(v, who, o), holds || pin != nil
		}
		edits, err := compare(id, told, want, nil)
		if err != nil {
			return err
		}
		was := stateOf(told[access.Ref{Kind: access.KindPerson, Key: id}]) == access.StateActive
		is := len(want) > 0 && who.State() == access.StateActive
		for _, e := range edits { // of somebody who is not let in, cards and groups come and go for nothing
			loses = loses || was && (e.loses() || !is)
			gains = gains || is && (!was || e.next != nil && e.old == nil && e.ref.Kind != access.KindPerson)
		}
		if who == nil && len(told) > 0 {
			name = nameOfRecord(told, id)
		}
	}
	if loses {
		f.Lose.add(name)
	}
	if gains {
		f.Gain.add(name)
	}
	if holds {
		f.Held.add(name)
	}
	return nil
}

// stateOf is the state of a person's record, empty where there is none.
func stateOf(doc []byte) string {
	p, err := read[access.Person](doc)
	if doc == nil || err != nil {
		return ""
	}
	return p.State
}

// nameOfRecord is what a site calls somebody who is gone.
func nameOfRecord(have map[access.Ref][]byte, id string) string {
	p, err := read[access.Person](have[access.Ref{Kind: access.KindPerson, Key: id}])
	if err != nil || p.Name == "" {
		return id
	}
	return p.Name
}
