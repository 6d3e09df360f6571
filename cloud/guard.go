package cloud

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"latchkey/delta"
)

// How a transaction is guarded against taking access from very many.
type guardMode int

const (
	guardNone      guardMode = iota // explicit acts on one person are never held
	guardChange                     // the whole act is held
	guardDirectory                  // the act is done, its losses at a site are held
)

// over says that a transaction was undone because it would take too much.
type over struct{ preview Preview }

func (e *over) Error() string {
	return fmt.Sprintf("cloud: would take %d of %d openings at %s, of which %d may go without a person's word",
		e.preview.Lose.Openings, e.preview.Openings, e.preview.Site, e.preview.Limit)
}

func asOver(err error) (*over, bool) { return errors.AsType[*over](err) }

// settle lets the sites follow what the transaction did, as far as the guard
// lets it.
func (w *work) settle() error {
	if w.config {
		w.org.Config++
		if err := w.tx.PutOrg(w.org); err != nil {
			return err
		}
	}
	if len(w.people) == 0 && len(w.everyone) == 0 && len(w.own) == 0 {
		return errors.Join(w.recount(), w.dropHeld(), w.endSessions())
	}
	p, err := w.plan(nil)
	if err != nil {
		return err
	}
	pinning, err := w.guard(p)
	if err != nil {
		return err
	}
	if len(pinning) > 0 {
		if p, err = w.plan(pinning); err != nil {
			return err
		}
	}
	return w.carryOut(p)
}

// guard measures p against what may go at each site. It returns the sites at
// which losses are to be held, or *over where the whole act is.
func (w *work) guard(p *plan) (pinning map[string]bool, err error) {
	for _, site := range slices.Sorted(maps.Keys(p.effects)) {
		row, err := w.measured(site)
		if err != nil {
			return nil, err
		}
		p.rows[site] = row
		e := p.effects[site]
		e.Openings = row.Openings
		switch w.guarded {
		case guardChange:
			w.judge(e, row, CauseChange, e.Lose.Openings)
			if w.shown != nil && e.Lose.Openings > *w.shown {
				return nil, fmt.Errorf("%w: it would take %d openings by now, %d were shown", ErrChanged, e.Lose.Openings, *w.shown)
			}
			if w.approved != nil {
				e.Held = e.Lose.Openings > w.approved.Removes
			}
			if e.Held {
				return nil, &over{e.preview()}
			}
		case guardDirectory:
			if w.judge(e, row, CauseDirectory, e.mass); e.Held {
				if pinning == nil {
					pinning = map[string]bool{}
				}
				pinning[site] = true
			}
		}
	}
	return pinning, nil
}

// judge says in e whether losing lost openings more at a site is too much for
// one hour.
func (w *work) judge(e *effect, row SiteRow, cause string, lost int) {
	gone, held := lostBy(row.Losses, cause, w.now)
	e.Lost = gone + held
	e.Limit = row.guard().limit(row.Openings + gone)
	// What was held, came back and goes again counts each time: that may be more
	// than there is, and all of it may go.
	e.Held = lost > 0 && row.guard().Percent < 100 && e.Lost+lost > e.Limit
}

// measured is a site with its openings counted.
func (w *work) measured(site string) (SiteRow, error) {
	row, err := w.tx.Site(site)
	if err == nil && row.Openings < 0 { // from before they were counted
		row.Openings, err = countOpenings(w.tx, site)
	}
	return row, err
}

// carryOut writes p.
func (w *work) carryOut(p *plan) error {
	for _, o := range p.outcomes {
		if err := w.tx.PutOutcome(o); err != nil {
			return err
		}
	}
	for _, id := range p.later {
		if err := w.tx.MarkDirty(w.org.ID, id); err != nil {
			return err
		}
	}
	w.backlog = len(p.later) > 0
	if err := w.putKeys(p); err != nil {
		return err
	}
	sites := map[string]bool{}
	for site := range p.units {
		sites[site] = true
	}
	for site := range p.effects {
		sites[site] = true
	}
	for _, site := range slices.Sorted(maps.Keys(sites)) {
		if err := w.write(p, site); err != nil {
			return err
		}
	}
	for _, id := range p.roles {
		w.roles[id] = true
	}
	return errors.Join(w.putPins(p), w.dropHeld(), w.endSessions())
}

// write appends to the log of site what p has for it, and counts what opens
// there and what does no more.
func (w *work) write(p *plan, site string) error {
	row, known := p.rows[site]
	if !known {
		var err error
		if row, err = w.measured(site); err != nil {
			return err
		}
	}
	if e := p.effects[site]; e != nil {
		row.Openings += e.written
		w.count(&row, e)
	}
	if units := p.units[site]; len(units) > 0 {
		if err := appendLog(w.tx, site, &row.Head, units, w.now, w.word(p, site)); err != nil {
			return err
		}
		w.appended = true
	}
	return w.tx.PutSite(row)
}

// word is whose word the messages of p for site bear: that of the person who
// approved what they take, or the guard's own, which let it through. Sites obey
// no mass loss without.
func (w *work) word(p *plan, site string) func(takes int) *delta.Approval {
	e := p.effects[site]
	return func(takes int) *delta.Approval {
		if p.was[site] != nil && e != nil { // doors and groups are not put to one message or another
			takes = max(takes, e.taken)
		}
		switch {
		case w.approved != nil:
			return &delta.Approval{By: w.approved.By, Removes: max(takes, w.approved.Removes)}
		case takes == 0:
			return nil
		case w.guarded == guardChange:
			return &delta.Approval{By: byGuard + CauseChange, Removes: takes}
		case e != nil && e.mass > 0:
			return &delta.Approval{By: byGuard + CauseDirectory, Removes: takes}
		}
		return &delta.Approval{By: byGuard + CausePerson, Removes: takes}
	}
}

// byGuard and a cause are who let a loss through that needed nobody's word.
const byGuard = "guard: "

// count puts what e takes at a site to its causes, but for what a person has
// said is meant.
func (w *work) count(row *SiteRow, e *effect) {
	switch lost := e.Lose.Openings; {
	case w.approved != nil: // what led to the person's word is done with, too
		row.Losses = slices.DeleteFunc(slices.Clone(row.Losses), func(l Loss) bool { return l.Cause == w.cause })
	case w.guarded == guardChange:
		row.lose(CauseChange, lost, 0, w.now)
	default:
		mass := min(e.mass, lost)
		row.lose(CauseDirectory, mass, e.pinned, w.now)
		was, _ := lostBy(row.Losses, CausePerson, w.now)
		row.lose(CausePerson, lost-mass, 0, w.now)
		limit := row.guard().limit(row.Openings + was + lost)
		if is := was + lost - mass; was <= limit && is > limit {
			w.s.log.Warn("very many lose access by being disabled or deleted, which is never held",
				"site", row.ID, "openings", is, "limit", limit)
		}
	}
}

// A LossStatus is how much access went at a property within the last hour.
type LossStatus struct {
	Cause string `json:"cause"`
	Gone  int    `json:"gone"` // openings
	Held  int    `json:"held"` // openings that would have gone and wait for a person
	Alarm bool   `json:"alarm"`
}

// losses sums the recent losses of a site up by cause.
func (r *SiteRow) recentLosses(now time.Time) []LossStatus {
	all := []LossStatus{}
	for _, cause := range []string{CauseChange, CauseDirectory, CausePerson} {
		gone, held := lostBy(r.Losses, cause, now)
		if gone+held > 0 {
			limit := r.guard().limit(max(r.Openings, 0) + gone)
			all = append(all, LossStatus{Cause: cause, Gone: gone, Held: held, Alarm: gone+held > limit})
		}
	}
	return all
}

// approval is by's word for the loss of n openings.
func approval(by Actor, n int) *delta.Approval {
	name := string(by)
	if name == "" {
		name = "admin"
	}
	return &delta.Approval{By: name, Removes: n}
}
