package pages

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"latchkey/access"
	"latchkey/cloud"
)

// A personPage is one person with all that concerns them.
type personPage struct {
	cloud.Person
	State      standing
	ByHand     bool
	CardNote   string // what became of the directory's card number
	Cards      []cardLine
	Sites      []personSite
	Attributes []attribute
	Join       []joinSite // what they can be put into by hand
	Places     places     // to ask "why" about
	At         string     // that is chosen among them
}

// A personSite is what somebody has at one property.
type personSite struct {
	ID, Name string
	Rule     string // the name of the rule that decided
	Groups   []personGroup
	Role     string
	Mobile   string
}

// A personGroup is one access group of a person.
type personGroup struct {
	ID, Name string
	ByRule   bool
	ByHand   bool
}

// A joinSite is a property with the access groups that somebody is not in by
// hand.
type joinSite struct {
	ID, Name string
	Groups   []cloud.AccessGroup
}

func person(c *call) (answer, error) { return personAnswer(c, "") }

func personAnswer(c *call, wrong string) (answer, error) {
	p, err := c.cloud.Person(c.Context(), c.Org, c.id())
	if err != nil {
		return nil, err
	}
	v := personPage{
		Person: p, State: stateOf(p), ByHand: p.Origin == cloud.OriginManual, CardNote: cardNote(p),
		Cards: cardLines(p, time.Now()), Attributes: attributesOf(p),
	}
	if err := v.access(c); err != nil {
		return nil, err
	}
	return page{template: "person", title: nameOf(p), data: v, problem: wrong}, nil
}

// nameOf is what a person is called.
func nameOf(p cloud.Person) string { return cmp.Or(p.Name, p.UserName, p.ID) }

// access fills in what the person has at each property, and could have.
func (v *personPage) access(c *call) error {
	properties, err := c.cloud.Properties(c.Context(), c.Org)
	if err != nil {
		return err
	}
	if v.Places, err = placesOf(c, properties); err != nil {
		return err
	}
	everywhere, err := c.cloud.AllAccessGroups(c.Context(), c.Org)
	if err != nil {
		return err
	}
	var decided []string // properties at which a rule did
	for _, at := range v.Person.Sites {
		if at.Rule != "" {
			decided = append(decided, at.Site)
		}
	}
	rules, err := c.cloud.RuleNames(c.Context(), c.Org, decided)
	if err != nil {
		return err
	}
	for _, p := range properties {
		groups := everywhere[p.ID]
		name := cmp.Or(p.Name, p.ID)
		at := cloud.PersonSite{}
		if i := slices.IndexFunc(v.Person.Sites, func(s cloud.PersonSite) bool { return s.Site == p.ID }); i >= 0 {
			at = v.Person.Sites[i]
		}
		join := joinSite{ID: p.ID, Name: name}
		for _, g := range groups {
			if !slices.Contains(at.Manual, g.ID) {
				join.Groups = append(join.Groups, g)
			}
		}
		if len(join.Groups) > 0 {
			v.Join = append(v.Join, join)
		}
		rule, there := rules[p.ID][at.Rule]
		if there {
			rule = cmp.Or(rule, at.Rule)
		}
		v.Sites = append(v.Sites, personSite{ID: p.ID, Name: name, Rule: rule, Groups: personGroups(at, groups), Role: at.Role, Mobile: mobileText(at.Mobile)})
	}
	return nil
}

// personGroups are the access groups of a person at a property, by name.
func personGroups(at cloud.PersonSite, groups []cloud.AccessGroup) []personGroup {
	var all []personGroup
	for _, g := range groups {
		one := personGroup{ID: g.ID, Name: cmp.Or(g.Name, g.ID), ByRule: slices.Contains(at.Groups, g.ID), ByHand: slices.Contains(at.Manual, g.ID)}
		if one.ByRule || one.ByHand {
			all = append(all, one)
		}
	}
	slices.SortFunc(all, func(a, b personGroup) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// cardNote says what became of the card number that the directory sends.
func cardNote(p cloud.Person) string {
	switch p.CardState {
	case cloud.CardIssued:
		return ""
	case cloud.CardLinked:
		return "The directory sends the number of a card that was made by hand here. There is one card of it, which the directory does not touch."
	case cloud.CardSetAside:
		return "The directory's card number could not be used: " + p.CardText + ". Correct it there; there is no card of it until then."
	case cloud.CardDeleted, cloud.CardKept, cloud.CardHeld:
		return sentence(strings.ToUpper(p.CardText[:min(1, len(p.CardText))]) + p.CardText[min(1, len(p.CardText)):])
	}
	if p.Origin == cloud.OriginDirectory {
		return "The directory sends no card number."
	}
	return ""
}

// A cardLine is one card or mobile key as a person sees it.
type cardLine struct {
	cloud.Card
	Shown    string // its number, as much as people may see
	Noun     string
	From     string
	State    standing
	Validity string
}

func cardLines(p cloud.Person, now time.Time) []cardLine {
	all := make([]cardLine, 0, len(p.Cards))
	for _, c := range p.Cards {
		all = append(all, lineOf(c, now))
	}
	return all
}

// lineOf words a card at now.
func lineOf(c cloud.Card, now time.Time) cardLine {
	l := cardLine{Card: c, Shown: c.Masked, Noun: nounOf(c), From: "made by hand", Validity: validity(c)}
	switch c.Origin {
	case cloud.OriginDirectory:
		l.From = "from the directory"
	case cloud.OriginRule:
		l.From = "given by a rule"
	}
	switch {
	case c.Status == access.CredentialPending:
		l.State.Text, l.Shown = "Waits for a number", "no number yet"
	case c.Status != access.CredentialActive:
		l.State.Text = "Suspended"
	case c.ValidFrom != 0 && now.Unix() < c.ValidFrom:
		l.State.Text = "Not valid yet"
	case c.ValidUntil != 0 && now.Unix() >= c.ValidUntil:
		l.State.Text = "Expired"
	default:
		l.State = standing{Good: true, Text: "Active"}
	}
	return l
}

// nounOf is what people call c.
func nounOf(c cloud.Card) string {
	switch c.Technology {
	case access.TechBLE:
		return "Bluetooth key"
	case access.TechWallet:
		return "Wallet pass"
	}
	return "Card"
}

// validity says from when until when a card holds.
func validity(c cloud.Card) string {
	at := func(unix int64) string { return time.Unix(unix, 0).UTC().Format("2 Jan 2006 15:04 UTC") }
	switch {
	case c.ValidFrom != 0 && c.ValidUntil != 0:
		return fmt.Sprintf("%s until %s", at(c.ValidFrom), at(c.ValidUntil))
	case c.ValidFrom != 0:
		return "from " + at(c.ValidFrom)
	case c.ValidUntil != 0:
		return "until " + at(c.ValidUntil)
	}
	return "always"
}
