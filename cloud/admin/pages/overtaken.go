package pages

import (
	"net/url"
	"strings"
	"time"

	"latchkey/cloud"
)

// markOf is a mark of what p is about to change at the property that the address
// names, as it is now. It goes through the form and the review, so that nobody
// writes over what somebody else changed meanwhile without knowing.
func (c *call) markOf(p cloud.Proposal) (string, error) {
	p.Site = c.site()
	return c.cloud.Mark(c.Context(), c.Org, p)
}

// overtaken says who changed what p is about since it was shown.
func (c *call) overtaken(p cloud.Proposal) (string, error) {
	p.Site = c.site()
	e, ok, err := c.cloud.Overtook(c.Context(), c.Org, p)
	if err != nil {
		return "", err
	}
	who, when := "Somebody", ""
	if ok {
		tokens, err := c.cloud.Tokens(c.Context(), c.Org)
		if err != nil {
			return "", err
		}
		who, when = whoText(e.Who, tokens), " "+ago(time.Now(), e.At)+","
	}
	if p.Op == cloud.OpOrderRules {
		return who + " changed the rules" + when + " after they were shown to you. Here they are as of now, in your order.", nil
	}
	return who + " changed this" + when + " after it was shown to you. Below is what yours would make of it as it is now.", nil
}

// freshForm is the address of the form of what p changes, as it is now. form is
// the one that p was entered into.
func freshForm(p *cloud.Proposal, form string) string {
	id := ""
	switch {
	case p.Door != nil:
		id = p.Door.ID
	case p.Group != nil:
		id = p.Group.ID
	case p.Schedule != nil:
		id = p.Schedule.ID
	}
	if form == "" || id == "" || !strings.HasSuffix(form, "/edit") {
		return form
	}
	return form + "?" + url.Values{"id": {id}}.Encode()
}

// An opened is what a form was opened on.
type opened struct {
	Was  string // id of what is changed; empty for what is new
	Mark string // of it as it was shown first; see markOf
}

// opened is what the form says that came in.
func (c *call) opened() opened { return opened{c.text("was"), c.text("mark")} }
