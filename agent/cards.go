package agent

import (
	"context"
	"slices"

	"latchkey/access"
	"latchkey/controller"
	"latchkey/wiegand"
)

// A sighting is what the site makes of the bits that a reader sent.
type sighting struct {
	bits   wiegand.Bits  // what the card is known by, and decided by
	match  wiegand.Match // the zero Match where no format of the site fits
	strays bool          // the site names its formats, and none of them fits
}

// see reads a card by the site's rules. Where the site names no formats, every
// card is its bits.
func (d *doors) see(reader string, b wiegand.Bits) sighting {
	if b.Len() == 0 {
		return sighting{}
	}
	b = d.cards.turn(reader, b)
	m, ok := wiegand.Identify(d.cards.Uses, b)
	if !ok {
		return sighting{bits: b, strays: len(d.cards.Uses) > 0}
	}
	return sighting{bits: m.Bits, match: m}
}

// turn turns the bytes round that come from a reader which sends the last one
// first.
func (c *Cards) turn(reader string, b wiegand.Bits) wiegand.Bits {
	if !slices.Contains(c.Reversed, reader) {
		return b
	}
	if r, ok := b.ReverseBytes(); ok {
		return r
	}
	return b
}

// Refusal returns what says of a card's bits that their facility is not one of
// the site's, or nil where the site takes any. It is for tables of controllers,
// whose bits are as the cloud has them: no reader has turned them round.
func (c *Cards) Refusal() func(wiegand.Bits) bool {
	var limited bool
	var uses []wiegand.Use
	for _, u := range c.Uses {
		limited = limited || len(u.Facilities) > 0
		uses = append(uses, wiegand.Use{Format: u.Format, Facilities: u.Facilities})
	}
	if !limited {
		return nil
	}
	return func(b wiegand.Bits) bool {
		m, ok := wiegand.Identify(uses, b)
		return ok && m.WrongFacility
	}
}

// judge is the decision on a card as the site reads it: dec is what the bits
// alone are entitled to. A facility that is not the site's opens nothing, and
// is a better reason than that nobody has the card; so is a format that is not.
func (s sighting) judge(dec access.Decision) access.Decision {
	switch {
	case s.match.WrongFacility && (dec.Granted || dec.Reason == access.UnknownCard):
		return access.Decision{Reason: access.WrongFacility, Person: dec.Person, Credential: dec.Credential}
	case s.strays && dec.Reason == access.UnknownCard:
		dec.Reason = access.WrongFormat
	}
	return dec
}

// noteParity counts and logs a card that was taken in spite of its parity. The
// log names the reader: one that does this often is broken.
func (d *doors) noteParity(ctx context.Context, s sighting, e controller.Event) {
	if !s.match.ParityIgnored {
		return
	}
	d.badParity.Add(1)
	d.log.WarnContext(ctx, "card taken in spite of its parity", "reader", e.Reader, "door", e.Door, "format", s.match.Format.Name)
}
