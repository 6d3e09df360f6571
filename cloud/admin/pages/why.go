package pages

import (
	"net/url"
	"time"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

func (s *server) whyRoutes() {
	s.get("why", signin.Viewer, findWhy)
	s.post("why", signin.Viewer, findWhy) // with what may be a card number, which belongs into no address
	s.get("people/{id}/why", signin.Viewer, chooseWhy)
	s.get("people/{id}/why/{site}", signin.Viewer, why)
}

// A whySearch asks whom the question is about.
type whySearch struct {
	Who    string // what nobody was found by
	At     string // SITE or SITE/DOOR
	Places places
	Found  []personLine // several, to choose from
	Nobody bool
}

// findWhy finds whom somebody asks about by user name, email or card number,
// and goes to the answer.
func findWhy(c *call) (answer, error) {
	v := whySearch{At: c.text("at")}
	properties, err := c.cloud.Properties(c.Context(), c.Org)
	if err != nil {
		return nil, err
	}
	if v.Places, err = placesOf(c, properties); err != nil {
		return nil, err
	}
	if who := c.PostFormValue("who"); who != "" {
		found, err := c.cloud.People(c.Context(), c.Org, cloud.PeopleQuery{Search: who, Limit: peopleOnPage})
		if err != nil {
			return nil, err
		}
		if len(found) == 1 && v.At != "" {
			return redirect{to: whyAddress(found[0].ID, v.At)}, nil
		}
		for _, p := range found {
			v.Found = append(v.Found, personLine{Person: p, State: stateOf(p)})
		}
		if v.Nobody = len(found) == 0; v.Nobody {
			v.Who = who
		}
	}
	return page{template: "whyfind", title: "Why can somebody not get in?", data: v}, nil
}

// whyAddress is the page about a person at a place, below Root.
func whyAddress(person, at string) string {
	site, door := splitPlace(at)
	to := "people/" + url.PathEscape(person) + "/why/" + url.PathEscape(site)
	if door != "" {
		to += "?" + url.Values{"door": {door}}.Encode()
	}
	return to
}

// chooseWhy goes to the place that the person's page asks about.
func chooseWhy(c *call) (answer, error) {
	if c.text("at") == "" {
		return redirect{to: "people/" + url.PathEscape(c.id())}, nil
	}
	return redirect{to: whyAddress(c.id(), c.text("at"))}, nil
}

// A whyPage is the answer and the chain from the directory to the door.
type whyPage struct {
	cloud.Why
	At        string // the place asked about
	Places    places
	State     standing
	ByHand    bool
	CardNote  string
	Attrs     []attribute // those that rules of the property test
	Rules     []whyRule
	Doors     []whyDoor
	Cards     []cardLine
	Advice    whyAdvice
	AnyGroup  bool
	Confirmed bool
	Behind    int // changes that the building has still to confirm
}

// A whyRule is one rule with what it says of the person, in words.
type whyRule struct {
	cloud.RuleVerdict
	Says       string
	Conditions []whyCondition
}

// A whyCondition is one condition in words, and what the person has.
type whyCondition struct {
	Text, Have string
	Holds      bool
}

// A whyDoor is one door with the ways to it, in words.
type whyDoor struct {
	cloud.WhyDoor
	Fits bool // doors of its kind are for people of this kind
	Ways []whyWay
}

type whyWay struct{ Group, Hours string }

func why(c *call) (answer, error) {
	y, err := c.cloud.Why(c.Context(), c.Org, c.id(), c.site(), c.text("door"))
	if err != nil {
		return nil, err
	}
	p, err := c.cloud.Person(c.Context(), c.Org, c.id())
	if err != nil {
		return nil, err
	}
	properties, err := c.cloud.Properties(c.Context(), c.Org)
	if err != nil {
		return nil, err
	}
	items, err := c.siteItems(y.Site)
	if err != nil {
		return nil, err
	}
	v := whyPage{
		Why: y, At: y.Site, State: stateOf(p), ByHand: p.Origin == cloud.OriginManual, CardNote: cardNote(p),
		Attrs: attributesOf(p), Cards: cardLines(p, time.Now()), AnyGroup: len(y.Groups) > 0,
		Confirmed: y.Progress.Acknowledged && !y.Progress.Pending, Behind: int(y.Progress.Behind),
	}
	if v.Places, err = placesOf(c, properties); err != nil {
		return nil, err
	}
	title := "Access of " + y.Name + " to " + y.SiteName
	if y.Door != "" {
		v.At += "/" + y.Door
		title = "Access of " + y.Name + " to " + y.Doors[0].Name
	}
	words := &factWords{siteItems: &items}
	v.Rules, v.Doors = whyRules(y.Rules, words), whyDoors(y, words)
	v.Advice = v.advise()
	return page{template: "why", title: title, data: v}, nil
}
