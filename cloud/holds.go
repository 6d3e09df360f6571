package cloud

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// The kinds of Hold.
const (
	HoldChange    = "change"    // an admin's act, of which nothing is done yet
	HoldDirectory = "directory" // what the directory takes away by groups, attributes and card numbers; the rest of its calls is done
	HoldSite      = "site"      // what a site's agent refuses to lose: it follows no further until a person confirms it
)

// The states of a Hold.
const (
	HoldOpen      = "open"
	HoldConfirmed = "confirmed"
	HoldDiscarded = "discarded"
	HoldResolved  = "resolved" // the directory gave back what it took, or the people are gone, or the site has followed
)

// A Hold is a loss of access at one property that waits until a person confirms
// it: before the site's log, or, where a site refuses what stands there, at the
// site. It waits for as long as that takes.
type Hold struct {
	ID        string          `json:"id"` // sorts by when it was made
	Org       string          `json:"org"`
	Site      string          `json:"site"`
	Kind      string          `json:"kind"`
	State     string          `json:"state"`
	Text      string          `json:"text"` // what it is, for people
	Made      time.Time       `json:"made"`
	By        Actor           `json:"by"`
	Proposal  *Proposal       `json:"proposal,omitempty"` // HoldChange
	Before    json.RawMessage `json:"before,omitempty"`   // HoldChange: what it changes, as it was
	Preview   Preview         `json:"preview"`            // HoldChange: as of when it was held; HoldDirectory: as of now; HoldSite: as the site counted, nobody named
	Epoch     uint32          `json:"epoch,omitempty"`    // HoldSite: of what the site refused, with Seq
	Seq       uint64          `json:"seq,omitempty"`
	Over      bool            `json:"over,omitempty"` // HoldSite: the site has followed since, and a word given for it counts no more
	Decided   time.Time       `json:"decided,omitzero"`
	DecidedBy Actor           `json:"decided_by,omitempty"`
}

// A Held is the answer to an act that waits for a person to confirm it: nothing
// of it is done.
type Held struct{ Hold Hold }

func (h *Held) Error() string {
	p := h.Hold.Preview
	return fmt.Sprintf("cloud: held as %s: %s would take %d of %d openings from %d people, and more than %d wait for a person to confirm them",
		h.Hold.ID, h.Hold.Text, p.Lose.Openings, p.Openings, p.Lose.People, p.Limit)
}

// hold stores p for a person to confirm, and returns it as *Held: *Invalid where
// too many wait.
func (s *Service) hold(ctx context.Context, by Actor, org string, p Proposal, preview Preview) error {
	h := Hold{
		Org: org, Site: p.Site, Kind: HoldChange, State: HoldOpen, By: by,
		Text: p.Describe(), Preview: preview,
	}
	a := p.act(by)
	a.what = "hold: " + p.Op
	err := s.update(ctx, org, a, func(w *work) (err error) {
		h.ID, h.Made = s.newID(w.now), w.now
		if err := p.unchanged(w.tx); err != nil {
			return err
		}
		if h.Before, err = p.before(w.tx); err != nil {
			return err
		}
		held := p
		if held.Mark, err = p.markNow(w.tx); err != nil {
			return err
		}
		h.Proposal = &held
		open, err := w.tx.Holds(org, 0)
		if err != nil {
			return err
		}
		again, waiting := false, 0
		for _, o := range open {
			if sameProposal(o.Proposal, &p) {
				again, h.ID, h.Made = true, o.ID, o.Made
			}
			if o.Kind == HoldChange {
				waiting++
			}
		}
		if !again { // pages and the directory's own calls look through all that wait
			if err := within("hold", "the organisation", "changes that wait for a person to confirm or discard them", waiting+1, s.limits.Held); err != nil {
				return err
			}
		}
		w.note(AuditSite, nil, h.Site)
		w.note("held", nil, preview.Lose)
		return w.tx.PutHold(h)
	})
	if err != nil {
		return err
	}
	s.log.Warn("a change is held until a person confirms it", "org", org, "site", h.Site, "hold", h.ID, "what", p.Op, "openings", preview.Lose.Openings)
	return &Held{h}
}

func sameProposal(a, b *Proposal) bool {
	if a == nil || b == nil {
		return false
	}
	one, other := *a, *b
	one.Mark, other.Mark = "", "" // who asks again may have been shown a later state
	x, errX := json.Marshal(one)
	y, errY := json.Marshal(other)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// Preview works out what p would do to the access at its property, and stores
// nothing. It names up to named people, at most MostNamed. When p is then done,
// and confirmed if it is held, exactly that happens.
func (s *Service) Preview(ctx context.Context, org string, p Proposal, named int) (Preview, error) {
	if err := p.check(); err != nil {
		return Preview{}, err
	}
	var out Preview
	err := s.viewLong(ctx, org, func(tx Tx) error {
		w := newWork(s, newDryTx(tx), act{})
		w.guarded, w.named = guardChange, max(0, min(named, MostNamed))
		var err error
		if w.org, err = tx.Org(org); err != nil {
			return err
		}
		if _, err := p.run(w); err != nil {
			return err
		}
		plan, err := w.plan(nil)
		if err != nil {
			return err
		}
		plan.effect(p.Site, w.named) // also where nothing changes
		if _, err := w.guard(plan); err != nil {
			if _, held := asOver(err); !held {
				return err
			}
		}
		out = plan.effects[p.Site].preview()
		return nil
	})
	return out, err
}

// mostDecided is how many holds that wait no more are listed: there is no end to
// those that somebody can make and discard. The audit trail has them all.
const mostDecided = 200

// Holds lists what waits for a person, or besides that the latest that did,
// oldest first. For what the directory takes away the previews have counts
// alone: see Hold.
func (s *Service) Holds(ctx context.Context, org string, openOnly bool) (all []Hold, err error) {
	others := mostDecided
	if openOnly {
		others = 0
	}
	err = s.store.View(ctx, func(tx Tx) error {
		if _, err := tx.Org(org); err != nil {
			return err
		}
		all, err = tx.Holds(org, others)
		return err
	})
	return all, err
}

// Hold returns one hold, with whom it concerns: ErrNotFound.
func (s *Service) Hold(ctx context.Context, org, id string) (h Hold, err error) {
	err = s.viewLong(ctx, org, func(tx Tx) error {
		if h, err = tx.Hold(org, id); err != nil || h.Kind != HoldDirectory || h.State != HoldOpen {
			return err
		}
		w := newWork(s, tx, act{})
		if w.org, err = tx.Org(org); err != nil {
			return err
		}
		w.named = MostNamed
		h.Preview, err = w.pinnedPreview(h)
		return err
	})
	return h, err
}

// Confirm lets go what is held: an admin's change is done, or the directory's
// word holds. removes is how many openings the person who confirms was shown
// that it takes: where it would take more by now, or what it changes has
// changed, nothing happens and ErrChanged says so; the hold then has the new
// preview. The sites' messages carry by and removes. ErrNotFound.
func (s *Service) Confirm(ctx context.Context, by Actor, org, id string, removes int) (Hold, error) {
	var h Hold
	a := act{by: by, what: "confirm", object: id}
	err := s.update(ctx, org, a, func(w *work) (err error) {
		if h, err = w.openHold(id); err != nil {
			return err
		}
		w.act.what, w.act.name = "confirm: "+h.Text, h.Site
		w.guarded, w.approved, w.cause = guardChange, approval(by, max(removes, 0)), CauseChange
		w.note("hold", HoldOpen, HoldConfirmed)
		switch h.Kind {
		case HoldDirectory:
			w.cause = CauseDirectory
			err = w.unpin(h)
		case HoldSite: // the next snapshot bears the word: see Snapshot
			if removes < h.Preview.Lose.Openings {
				err = fmt.Errorf("%w: it would take %d openings by now, %d were shown", ErrChanged, h.Preview.Lose.Openings, removes)
			}
		default:
			err = w.redo(h)
		}
		if err != nil {
			return err
		}
		h.State, h.Decided, h.DecidedBy = HoldConfirmed, w.now, by
		return w.tx.PutHold(h)
	})
	more, ok := asOver(err)
	if !ok {
		return h, err
	}
	err = s.update(ctx, org, act{by: by, what: "hold again", object: id}, func(w *work) (err error) {
		if h, err = w.openHold(id); err != nil {
			return err
		}
		h.Preview = more.preview
		w.note("held", nil, more.preview.Lose)
		return w.tx.PutHold(h)
	})
	return h, errors.Join(fmt.Errorf("%w: it would take %d openings by now, %d were shown", ErrChanged, more.preview.Lose.Openings, removes), err)
}

// redo does the change that h holds, if what it changes is as it was.
func (w *work) redo(h Hold) error {
	now, err := h.Proposal.before(w.tx)
	if err != nil {
		return err
	}
	// Of a whole property Before has the settings alone, and the mark all of it.
	if err = h.Proposal.unchanged(w.tx); err == nil && string(now) != string(h.Before) {
		err = ErrChanged
	}
	if err != nil {
		return fmt.Errorf("%w: discard this one and make it anew", err)
	}
	_, err = h.Proposal.run(w)
	return err
}

func (w *work) openHold(id string) (Hold, error) {
	h, err := w.tx.Hold(w.org.ID, id)
	if err == nil && h.State != HoldOpen {
		err = fmt.Errorf("%w: it is %s already", ErrChanged, h.State)
	}
	return h, err
}

// Discard ends a held change undone. What the directory takes away, and what a
// site refuses, cannot be discarded: it is confirmed, or given back. ErrNotFound,
// *Invalid.
func (s *Service) Discard(ctx context.Context, by Actor, org, id string) (Hold, error) {
	var h Hold
	err := s.update(ctx, org, act{by: by, what: "discard", object: id}, func(w *work) (err error) {
		if h, err = w.openHold(id); err != nil {
			return err
		}
		w.act.what, w.act.name = "discard: "+h.Text, h.Site
		if h.Kind == HoldDirectory {
			return invalid("id", "the directory took this away: confirm it, or give it back in the directory, which ends the hold")
		}
		if h.Kind == HoldSite {
			return invalid("id", "the site's log has this already: confirm it, or give back what it would take, which ends the hold")
		}
		w.note("hold", HoldOpen, HoldDiscarded)
		h.State, h.Decided, h.DecidedBy = HoldDiscarded, w.now, by
		return w.tx.PutHold(h)
	})
	return h, err
}

// openHolds counts what waits for a person at a site.
func openHolds(tx Tx, org, site string) (n int, err error) {
	open, err := tx.Holds(org, 0)
	for _, h := range open {
		if h.Site == site {
			n++
		}
	}
	return n, err
}
