package pages

import (
	"net/url"
	"strings"
	"time"

	"latchkey/cloud"
	"latchkey/internal/ago"
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
	who, when, err := c.whoDid(c.cloud.Overtook(c.Context(), c.Org, p))
	if err != nil {
		return "", err
	}
	switch {
	case p.Op == cloud.OpOrderRules:
		return who + " changed the rules" + when + " after they were shown to you. Here they are as of now, in your order.", nil
	case p.Op == cloud.OpDeleteProperty:
		return who + " changed something of this property" + when + " after it was shown to you. Below is what goes as of now.", nil
	case strings.HasPrefix(p.Op, "delete"):
		return who + " changed this" + when + " after it was shown to you. Below is what goes as of now.", nil
	}
	return who + " changed this" + when + " after it was shown to you. Below is what yours would make of it as it is now.", nil
}

// whoDid words who did what an entry of the audit trail says, and how long ago.
func (c *call) whoDid(e cloud.AuditEntry, ok bool, err error) (who, when string, _ error) {
	if err != nil || !ok {
		return "Somebody", "", err
	}
	tokens, err := c.cloud.Tokens(c.Context(), c.Org)
	return whoText(e.Who, tokens), " " + ago.Words(time.Now(), e.At) + ",", err
}

// gone says whether what p changes was deleted since p.Mark. A mark of what was
// not there then either is no such mark.
func (c *call) gone(p cloud.Proposal, words *factWords) (bool, error) {
	before, _ := words.sides(&p, cloud.Property{})
	if p.Mark == "" || p.Op == cloud.OpCreateRule || len(before) > 0 {
		return false, nil
	}
	mark, err := c.markOf(p) // p.Mark may be of the same moment as words
	return mark != p.Mark, err
}

// anew is p, of what somebody deleted meanwhile, as that which makes another of
// it; form, into which p was entered, likewise.
func anew(p cloud.Proposal, form string) (cloud.Proposal, string) {
	if p.Op == cloud.OpPutRule {
		r := *p.Rule
		r.ID = ""
		p.Op, p.Rule = cloud.OpCreateRule, &r
		form = "properties/" + url.PathEscape(p.Site) + "/rules/new"
	}
	return p, form
}

// outlived says who deleted what p changes since it was shown, and what p makes
// now.
func (c *call) outlived(p cloud.Proposal) (string, error) {
	p.Site = c.site()
	who, when, err := c.whoDid(c.cloud.Deleted(c.Context(), c.Org, p))
	noun := nounOfOp(p.Op)
	return who + " deleted this " + noun + when + " after it was shown to you. What you entered is kept: below is what it does as a new " + noun + ".", err
}

// nounOfOp is what people call the thing that an op is about: "access group".
func nounOfOp(op string) string {
	_, noun, _ := strings.Cut(op, " ")
	return noun
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
