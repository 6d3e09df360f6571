package cloud

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"latchkey/access"
)

// AddCard makes a card by hand, which provisioning never touches (REQUIREMENTS
// K5). *Invalid; *Conflict where the number is in use.
func (s *Service) AddCard(ctx context.Context, by Actor, org, person string, n NewCard) (Card, error) {
	var card Card
	err := s.update(ctx, org, act{by: by, what: "add card", object: person}, func(w *work) error {
		row, err := w.tx.Person(org, person)
		if err != nil {
			return err
		}
		w.act.name = row.Name
		if err := w.roomForCard(person); err != nil {
			return err
		}
		badge, err := w.badge(n.BadgeType)
		if err != nil {
			return err
		}
		num, bad := parseNumber(s.formats, badge, n.Number)
		if bad != nil {
			return invalid("number", "the card number %v", bad)
		}
		holders, err := w.tx.CardsByBits(org, num.Bits)
		if err != nil {
			return err
		}
		for _, c := range holders {
			if c.Person == person || !c.Shared || !badge.Shared {
				return &Conflict{Attr: "number", ID: c.ID}
			}
		}
		card = Card{
			ID: s.newID(w.now), Org: org, Person: person, Origin: OriginManual, Technology: access.TechCard, Status: access.CredentialActive,
			BadgeType: badge.ID, Format: num.Format, Bits: num.Bits, Facility: num.Facility, Number: num.Number,
			Shared: badge.Shared, ValidFrom: n.ValidFrom, ValidUntil: n.ValidUntil, Created: w.now,
		}
		if err := checkCard(card); err != nil {
			return err
		}
		card = masked(card)
		w.note("card "+card.ID, nil, card.Masked)
		w.people[person] = true
		return w.tx.PutCard(card)
	})
	return card, err
}

// roomForCard refuses more cards by hand than a person's message holds.
func (w *work) roomForCard(person string) error {
	cards, err := w.tx.Cards([]string{person})
	if err != nil {
		return err
	}
	cards = slices.DeleteFunc(cards, func(c Card) bool { return c.Origin != OriginManual })
	if len(cards) >= maxCards {
		return invalid("number", "the person has %d cards made by hand; want at most %d", len(cards), maxCards)
	}
	return nil
}

func checkCard(c Card) error {
	if c.ValidUntil != 0 && c.ValidUntil <= c.ValidFrom {
		return invalid("valid_until", "is not after valid_from")
	}
	return checkRecord(c.credential())
}

// nameCard lets the audit trail call c by its number, as far as people may see
// it, and by who has it: an id says nothing, least of all once c is deleted.
func (w *work) nameCard(c Card) error {
	people, err := w.tx.People(w.org.ID, []string{c.Person})
	w.act.name = c.noun() + " " + mask(c)
	for _, p := range people {
		w.act.name += " of " + cmp.Or(p.Name, p.UserName, p.ID)
	}
	return err
}

// PatchCard suspends, resumes or limits a card: ErrNotFound, *Invalid.
func (s *Service) PatchCard(ctx context.Context, by Actor, org, id string, p CardPatch) (Card, error) {
	var card Card
	err := s.update(ctx, org, act{by: by, what: "change card", object: id}, func(w *work) error {
		var err error
		if card, err = w.tx.Card(org, id); err == nil {
			err = w.nameCard(card)
		}
		if err != nil {
			return err
		}
		if card.Status == access.CredentialPending {
			return invalid("status", "the %s waits for a number", card.noun())
		}
		if p.Status != nil && *p.Status != access.CredentialActive && *p.Status != access.CredentialSuspended {
			return invalid("status", "want active or suspended")
		}
		set(w, "status", &card.Status, p.Status)
		set(w, "valid_from", &card.ValidFrom, p.ValidFrom)
		set(w, "valid_until", &card.ValidUntil, p.ValidUntil)
		if err := checkCard(card); err != nil {
			return err
		}
		card = masked(card)
		if w.changes == nil {
			return nil
		}
		w.people[card.Person] = true
		return w.tx.PutCard(card)
	})
	return card, err
}

// DeleteCard removes a card. One that the directory made comes back only with
// a changed number (REQUIREMENTS K9).
func (s *Service) DeleteCard(ctx context.Context, by Actor, org, id string) error {
	return s.update(ctx, org, act{by: by, what: "delete card", object: id}, func(w *work) error {
		card, err := w.tx.Card(org, id)
		if err == nil {
			err = w.nameCard(card)
		}
		if err != nil {
			return err
		}
		if err := w.dropCards([]Card{card}); err != nil {
			return err
		}
		w.people[card.Person] = true // a mobile key comes back with another number
		row, err := w.tx.Person(org, card.Person)
		if errors.Is(err, ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		linked := false
		if row.CardState == CardLinked {
			if badge, err := w.badge(""); err != nil {
				return err
			} else if n, bad := parseNumber(s.formats, badge, row.CardLast); bad == nil {
				linked = n.Bits == card.Bits
			}
		}
		switch {
		case card.Origin == OriginDirectory && (row.CardState == CardKept || row.CardState == CardHeld):
			row.CardState, row.CardText = CardNone, ""
		case card.Origin == OriginDirectory, linked:
			row.CardState, row.CardText = CardDeleted, textDeleted
		default:
			return nil
		}
		return w.tx.PutPerson(row)
	})
}
