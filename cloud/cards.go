package cloud

import (
	"fmt"
	"slices"
	"strings"

	"latchkey/access"
)

// cardAttr is where the directory's card number stands (REQUIREMENTS K1, K2).
const cardAttr = EnterpriseURN + ":cardNumber"

// directoryCard makes p's directory-made card follow p.CardNumber, which is
// what the directory says now. lenient refuses nothing: a number that cannot
// be used is set aside.
//
// The older directory-made card goes in the same transaction as the new one
// comes (REQUIREMENTS K4); cards made by hand are never touched (K5). A card
// that an admin deleted comes back with a changed number alone: not with
// another spelling of it, and not because the directory left it out once (K9).
func (w *work) directoryCard(p *PersonRow, lenient bool) error {
	raw := strings.TrimSpace(p.CardNumber)
	cards, err := w.tx.Cards([]string{p.ID})
	if err != nil {
		return err
	}
	cards = slices.DeleteFunc(cards, func(c Card) bool { return c.Origin != OriginDirectory })
	if raw == "" || w.sentinel(raw) {
		return w.noNumber(p, cards, raw != "")
	}
	if raw == p.CardLast && p.CardState != CardSetAside && p.CardState != CardNone {
		if p.CardState == CardKept || p.CardState == CardHeld { // the directory sends it again
			p.CardState, p.CardText = CardIssued, ""
			if len(cards) == 0 {
				p.CardState, p.CardText = CardDeleted, textDeleted
			}
		}
		return nil
	}
	badge, n, linked, reason, err := w.resolve(p, raw)
	if err != nil {
		return err
	}
	if reason != "" {
		if !lenient {
			return &Invalid{ScimType: InvalidValue, Attr: cardAttr, Detail: "the card number " + reason}
		}
		if w.holdCard(p, cards) {
			return nil
		}
		p.CardText = "the card number " + reason
		if p.CardState != CardDeleted {
			p.CardLast, p.CardState = raw, CardSetAside
		}
		return w.dropCards(cards)
	}
	if p.CardState == CardDeleted && !linked {
		if was, bad := parseNumber(w.s.formats, badge, p.CardLast); bad == nil && was.Bits == n.Bits {
			p.CardLast, p.CardText = raw, textDeleted
			return nil
		}
	}
	if !linked {
		if err := w.moved(p, badge, n); err != nil {
			return err
		}
	}
	p.CardLast, p.CardState, p.CardText = raw, CardIssued, ""
	same := func(c Card) bool { return c.Bits == n.Bits }
	if i := slices.IndexFunc(cards, same); i >= 0 { // another spelling of the same card
		return w.dropCards(slices.DeleteFunc(cards, same))
	}
	if err := w.dropCards(cards); err != nil {
		return err
	}
	if linked {
		p.CardState, p.CardText = CardLinked, "the person has a card of this number that was made by hand"
		return nil
	}
	card := Card{
		ID: w.s.newID(w.now), Org: w.org.ID, Person: p.ID, Origin: OriginDirectory,
		Technology: access.TechCard, Status: access.CredentialActive, BadgeType: badge.ID, Format: n.Format, Bits: n.Bits,
		Facility: n.Facility, Number: n.Number, Shared: badge.Shared, Created: w.now,
	}
	w.note("card "+card.ID, nil, mask(card))
	return w.tx.PutCard(card)
}

// Why there is no card of the number that the directory sends.
const (
	textDeleted   = "an admin deleted the card of this number; a changed number makes a new one"
	textSuspended = "the card of this number was suspended when the directory removed it; a changed number makes a new one"
)

// Why there is a card that the directory has no number for.
const (
	textKept = "the directory removed the number; the card stays until an admin deletes it"
	textHeld = "held: the directory took the number back from very many; the card stays until somebody confirms that, or the directory sends a number again"
)

// noNumber does what the organisation wants once the directory has no number
// for p any more (REQUIREMENTS K6). One that it says is revoked, by a sentinel,
// is that person's revocation; one that is not there any more may be held.
func (w *work) noNumber(p *PersonRow, cards []Card, revoked bool) error {
	switch {
	case p.CardState == CardDeleted:
	case w.org.CardRemoval == RemovalRevoke && !revoked && w.holdCard(p, cards):
	case w.org.CardRemoval == RemovalRevoke:
		return w.revoke(p, cards)
	case len(cards) > 0:
		p.CardState, p.CardText = CardKept, textKept
	default:
		p.CardState, p.CardText = CardNone, ""
	}
	return nil
}

// revoke deletes the directory's cards of p, who has no number any more.
func (w *work) revoke(p *PersonRow, cards []Card) error {
	p.CardState, p.CardText = CardNone, ""
	if slices.ContainsFunc(cards, suspended) {
		// Or the same number would come back active, which an admin stopped.
		p.CardState, p.CardText = CardDeleted, textSuspended
	} else {
		p.CardLast = ""
	}
	return w.dropCards(cards)
}

func (w *work) dropCards(cards []Card) error {
	for _, c := range cards {
		w.note(c.noun()+" "+c.ID, mask(c), nil)
		if c.Origin == OriginRule && c.Status != access.CredentialPending {
			w.freed[c.Technology]++
		}
		if err := w.tx.DeleteCard(w.org.ID, c.ID); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) sentinel(raw string) bool {
	return slices.ContainsFunc(w.org.Sentinels, func(s string) bool { return strings.EqualFold(strings.TrimSpace(s), raw) })
}

// badge finds a badge type: the default one where id is empty.
func (w *work) badge(id string) (BadgeType, error) {
	types, err := w.tx.BadgeTypes(w.org.ID)
	if err != nil {
		return BadgeType{}, err
	}
	for _, b := range types {
		if b.ID == id || id == "" && b.Default {
			return b, nil
		}
	}
	if id == "" {
		return BadgeType{}, fmt.Errorf("cloud: organisation %s has no default badge type", w.org.ID)
	}
	return BadgeType{}, invalid("badge_type", "there is no badge type %.64q", id)
}

// resolve reads a card number of the directory: linked says that p has that
// card by hand already, reason why the number cannot be used.
func (w *work) resolve(p *PersonRow, raw string) (badge BadgeType, n number, linked bool, reason string, err error) {
	if badge, err = w.badge(""); err != nil {
		return badge, n, false, "", err
	}
	n, bad := parseNumber(w.s.formats, badge, raw)
	if bad != nil {
		return badge, n, false, bad.Error(), nil
	}
	holders, err := w.tx.CardsByBits(w.org.ID, n.Bits)
	if err != nil {
		return badge, n, false, "", err
	}
	for _, c := range holders {
		switch {
		case c.Origin == OriginRule:
			reason = "is a mobile key's"
		case c.Person == p.ID:
			linked = linked || c.Origin == OriginManual
		case !c.Shared || !badge.Shared:
			if _, held, err := w.heldBy(c); err != nil {
				return badge, n, false, "", err
			} else if !held {
				reason = "is another person's"
			}
		}
	}
	if linked { // it is in use by both, as an admin decided
		reason = ""
	}
	return badge, n, linked, reason, nil
}

// mask is c for people.
func mask(c Card) string { return access.MaskCard(c.credential()) }

// masked fills in what people see of c.
func masked(c Card) Card {
	c.Masked = mask(c)
	return c
}

// noun is what people call c.
func (c Card) noun() string {
	switch c.Technology {
	case access.TechBLE:
		return "Bluetooth key"
	case access.TechWallet:
		return "Wallet pass"
	}
	return "card"
}
