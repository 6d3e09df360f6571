package cloud

import (
	"errors"
	"maps"
	"slices"
	"strings"

	"latchkey/access"
)

// Cards whose number the directory takes from very many people at once: more
// likely an attribute that is not mapped any more than that many revocations.

func suspended(c Card) bool { return c.Status == access.CredentialSuspended }

// holdCard leaves it to the guard what becomes of p's cards, for which the
// directory has no number that can be used: they go with this transaction, or
// stay where that is held. ok is false where it is no matter for the guard.
func (w *work) holdCard(p *PersonRow, cards []Card) (ok bool) {
	active := func(c Card) bool { return c.Status == access.CredentialActive }
	if w.guarded != guardDirectory || slices.ContainsFunc(cards, suspended) || !slices.ContainsFunc(cards, active) {
		return false
	}
	w.taken[p.ID] = p.CardState != CardHeld
	w.loose[p.ID] = true
	p.CardState, p.CardText = CardHeld, textHeld
	return true
}

// dropHeld deletes the held cards of those people in loose for whom no property
// holds on to theirs.
func (w *work) dropHeld() error {
	maps.DeleteFunc(w.loose, func(_ string, loose bool) bool { return !loose })
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(w.loose)), batch) {
		pins, err := w.tx.Pins(chunk)
		if err != nil {
			return err
		}
		cards, err := w.tx.Cards(chunk)
		if err != nil {
			return err
		}
		for _, id := range chunk {
			if slices.ContainsFunc(pins, func(p Pin) bool { return p.Person == id && p.Kept.HeldCard }) {
				continue
			}
			own := slices.DeleteFunc(slices.Clone(cards), func(c Card) bool { return c.Person != id || c.Origin != OriginDirectory })
			if err := w.dropHeldOf(id, own); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *work) dropHeldOf(id string, cards []Card) error {
	row, err := w.tx.Person(w.org.ID, id)
	if errors.Is(err, ErrNotFound) || err == nil && row.CardState != CardHeld {
		return nil
	}
	if err != nil {
		return err
	}
	if err := w.revoke(&row, cards); err != nil {
		return err
	}
	if raw := strings.TrimSpace(row.CardNumber); raw != "" && row.CardState == CardNone { // one that cannot be used
		_, _, _, reason, err := w.resolve(&row, raw)
		if err != nil {
			return err
		}
		row.CardLast, row.CardState, row.CardText = raw, CardSetAside, "the card number "+reason
	}
	if c, ok := w.changes["card state"]; ok {
		w.note("card state", c.Before, row.CardState)
	}
	return w.tx.PutPerson(row)
}

// keepHeld makes of cards whose removal is held cards that are kept, where that
// is what the organisation wants now.
func (w *work) keepHeld() error {
	if w.org.CardRemoval != RemovalKeep {
		return nil
	}
	pins, err := w.heldPins()
	if err != nil {
		return err
	}
	for _, pin := range pins {
		row, err := w.tx.Person(w.org.ID, pin.Person)
		if err != nil {
			return err
		}
		if row.CardState != CardHeld || strings.TrimSpace(row.CardNumber) != "" {
			continue
		}
		row.CardState, row.CardText = CardKept, textKept
		w.people[row.ID] = true
		if err := w.tx.PutPerson(row); err != nil {
			return err
		}
	}
	return nil
}

// heldPins is all that is held at every property.
func (w *work) heldPins() (all []Pin, err error) {
	open, err := w.tx.Holds(w.org.ID, 0)
	if err != nil {
		return nil, err
	}
	for _, h := range open {
		pins, err := w.tx.HoldPins(h.ID, "", -1)
		if err != nil {
			return nil, err
		}
		all = append(all, pins...)
	}
	return all, nil
}

// heldBy is whose held card c is.
func (w *work) heldBy(c Card) (row PersonRow, held bool, err error) {
	if c.Origin != OriginDirectory {
		return row, false, nil
	}
	row, err = w.tx.Person(w.org.ID, c.Person)
	return row, err == nil && row.CardState == CardHeld, err
}

// moved ends the hold of cards of number n: the directory gives it to p, and so
// says that it is nobody else's any more.
func (w *work) moved(p *PersonRow, badge BadgeType, n number) error {
	holders, err := w.tx.CardsByBits(w.org.ID, n.Bits)
	if err != nil {
		return err
	}
	for _, c := range holders {
		if c.Person == p.ID || c.Shared && badge.Shared {
			continue
		}
		row, held, err := w.heldBy(c)
		if err != nil {
			return err
		}
		if !held {
			continue
		}
		if err := w.revoke(&row, []Card{c}); err != nil {
			return err
		}
		w.people[row.ID] = true
		if err := w.tx.PutPerson(row); err != nil {
			return err
		}
	}
	return nil
}
