package pages

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"latchkey/access"
	"latchkey/cloud"
)

// clockForm is how browsers send a date with a time, which are UTC here.
const clockForm = "2006-01-02T15:04"

// A newCardPage is the form for a card by hand. What was entered as number is
// not shown again: a page never has a whole card number.
type newCardPage struct {
	Person cloud.Person
	Types  []cloud.BadgeType
	Chosen string // badge type
	From   string
	Until  string
	Ways   []numberWay
}

// A numberWay is one way of writing a card number, with what it means here.
type numberWay struct{ Example, Means string }

func newCard(c *call) (answer, error) { return newCardAnswer(c, "") }

func newCardAnswer(c *call, wrong string) (answer, error) {
	p, err := c.cloud.Person(c.Context(), c.Org, c.id())
	if err != nil {
		return nil, err
	}
	v := newCardPage{Person: p, Chosen: c.text("badge_type"), From: c.text("valid_from"), Until: c.text("valid_until")}
	if v.Types, err = c.cloud.BadgeTypes(c.Context(), c.Org); err != nil {
		return nil, err
	}
	v.Ways = numberWays(v.Types)
	if v.Chosen == "" {
		if i := slices.IndexFunc(v.Types, func(b cloud.BadgeType) bool { return b.Default }); i >= 0 {
			v.Chosen = v.Types[i].ID
		}
	}
	return page{template: "cardnew", title: "Add a card for " + nameOf(p), data: v, problem: wrong}, nil
}

// numberWays explains how a card number can be written, by the default badge
// type.
func numberWays(types []cloud.BadgeType) []numberWay {
	means := "the number printed on the card, in the format of the badge type"
	if i := slices.IndexFunc(types, func(b cloud.BadgeType) bool { return b.Default && b.Facility != nil }); i >= 0 {
		means += fmt.Sprintf("; with the badge type %s also its facility code, %d", types[i].ID, *types[i].Facility)
	}
	return []numberWay{
		{"12345", means},
		{"77-12345", "with a facility code (77), for formats that have one"},
		{"H10301:77-12345", "in another format, here H10301"},
		{"bits:26:23e0703", "the bits as a reader delivers them, in hexadecimal"},
	}
}

// addCard makes a card by hand.
func addCard(c *call) (answer, error) {
	n := cloud.NewCard{Number: c.text("number"), BadgeType: c.text("badge_type")}
	var err error
	if n.ValidFrom, n.ValidUntil, err = validityOf(c); err == nil {
		_, err = c.cloud.AddCard(c.Context(), c.Actor, c.Org, c.id(), n)
	}
	if wrong := problem(err); wrong != "" {
		return newCardAnswer(c, wrong)
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: "people/" + c.id(), did: "card-added"}, nil
}

// validityOf reads from when until when a card is to hold.
func validityOf(c *call) (from, until int64, err error) {
	if from, err = clockOf(c, "valid_from"); err != nil {
		return 0, 0, err
	}
	until, err = clockOf(c, "valid_until")
	return from, until, err
}

// clockOf is a date with a time of the form in Unix seconds, 0 where it is
// empty.
func clockOf(c *call, name string) (int64, error) {
	text := c.text(name)
	if text == "" {
		return 0, nil
	}
	t, err := time.Parse(clockForm, text)
	if err != nil || t.Unix() <= 0 {
		return 0, &cloud.Invalid{ScimType: cloud.InvalidValue, Attr: name, Detail: fmt.Sprintf("got %s, want a date and time such as 2026-12-24T18:00", strconv.Quote(text))}
	}
	return t.Unix(), nil
}

// formClock is clockOf the other way round.
func formClock(unix int64) string {
	if unix == 0 {
		return ""
	}
	return time.Unix(unix, 0).UTC().Format(clockForm)
}

// A cardPage is one card of a person.
type cardPage struct {
	Person cloud.Person
	Card   cardLine
	From   string
	Until  string
}

func card(c *call) (answer, error) { return cardAnswer(c, "") }

func cardAnswer(c *call, wrong string) (answer, error) {
	p, found, err := ofPerson(c)
	if err != nil {
		return nil, err
	}
	v := cardPage{Person: p, Card: lineOf(found, time.Now()), From: formClock(found.ValidFrom), Until: formClock(found.ValidUntil)}
	if wrong != "" {
		v.From, v.Until = c.text("valid_from"), c.text("valid_until")
	}
	return page{template: "card", title: v.Card.Noun + " of " + nameOf(p), data: v, problem: wrong}, nil
}

// ofPerson is the card of the address, and the person who has it.
func ofPerson(c *call) (cloud.Person, cloud.Card, error) {
	p, err := c.cloud.Person(c.Context(), c.Org, c.id())
	if err != nil {
		return p, cloud.Card{}, err
	}
	i := slices.IndexFunc(p.Cards, func(one cloud.Card) bool { return one.ID == c.PathValue("card") })
	if i < 0 {
		return p, cloud.Card{}, cloud.ErrNotFound
	}
	return p, p.Cards[i], nil
}

// changeCard sets from when until when a card holds.
func changeCard(c *call) (answer, error) {
	_, found, err := ofPerson(c)
	if err != nil {
		return nil, err
	}
	from, until, err := validityOf(c)
	if err == nil {
		_, err = c.cloud.PatchCard(c.Context(), c.Actor, c.Org, found.ID, cloud.CardPatch{ValidFrom: &from, ValidUntil: &until})
	}
	if wrong := problem(err); wrong != "" {
		return cardAnswer(c, wrong)
	}
	if err != nil {
		return nil, err
	}
	return redirect{to: "people/" + c.id(), did: "card-changed"}, nil
}

// cardStatus suspends a card, or lets it open doors again.
func cardStatus(c *call) (answer, error) {
	_, found, err := ofPerson(c)
	if err != nil {
		return nil, err
	}
	status, did := access.CredentialActive, "card-active"
	if c.text("status") == access.CredentialSuspended {
		status, did = access.CredentialSuspended, "card-suspended"
	}
	if _, err := c.cloud.PatchCard(c.Context(), c.Actor, c.Org, found.ID, cloud.CardPatch{Status: &status}); err != nil {
		return nil, err
	}
	return redirect{to: "people/" + c.id(), did: did}, nil
}

func deleteCard(c *call) (answer, error) {
	_, found, err := ofPerson(c)
	if err != nil {
		return nil, err
	}
	if err := c.cloud.DeleteCard(c.Context(), c.Actor, c.Org, found.ID); err != nil {
		return nil, err
	}
	return redirect{to: "people/" + c.id(), did: "card-deleted"}, nil
}
