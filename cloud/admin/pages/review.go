package pages

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

func (s *server) reviewRoutes() {
	s.post("properties/{site}/save", signin.Admin, save)
}

// A review is a change of a property before it is done: what it is, what it
// would do, and the buttons to do it or to go back.
type review struct {
	propertyFrame
	Changes  factChanges
	DryRun   dryRun
	Proposal string // as JSON, for the form that does it
	Form     string // address of the form that it was entered into; empty: a list
	Danger   bool   // something is deleted
	Freezes  bool   // no rule is left in force
	Confirm  string // what must be typed in, of what cannot be undone
	Save     string // what the button says
	Fresh    string // address of the form as it is now, where somebody was overtaken; below Root
	Gone     bool   // what it changes was deleted since: it makes another
}

// review shows what p would do, and asks whether to do it. form is the address,
// below Root, of the form that p was entered into: whoever goes back posts the
// proposal to it, with act=back (see entered); empty is for a button in a list.
// What package cloud refuses about p comes back as its error.
//
// Where somebody changed the same since p.Mark, the page says so beside what p
// makes of it as it is now: whoever saves that knows.
func (c *call) review(p cloud.Proposal, form string) (answer, error) {
	opened := p
	mark, err := c.markOf(p) // before anything is read that is shown
	if err != nil {
		return nil, err
	}
	p.Mark = mark
	f, err := c.frame(tabOf(p.Op))
	if err != nil {
		return nil, err
	}
	words, err := c.words()
	if err != nil {
		return nil, err
	}
	p.Site, opened.Site = f.Property.ID, f.Property.ID
	gone, err := c.gone(opened, &words)
	if err != nil {
		return nil, err
	}
	if gone && form == "" { // a button of a list has nothing to keep
		return redirect{to: listOf(&p), did: "gone"}, nil
	}
	if gone {
		p, form = anew(p, form)
		if p.Mark, err = c.markOf(p); err != nil {
			return nil, err
		}
	}
	r, err := c.reviewOf(p, f, &words, form)
	if err != nil {
		return nil, err
	}
	shown := page{template: "review", title: titleOf(&p, words.former(&p), f.Title()), part: f.Title()}
	switch {
	case gone:
		r.Save, r.Fresh, r.Gone = "Save it as a new "+nounOfOp(p.Op), listOf(&p), true
		shown.problem, err = c.outlived(opened)
	case opened.Mark != "" && opened.Mark != mark:
		r.Save, r.Fresh = yesNo(r.Danger, "Delete it all the same", "Save mine all the same"), freshForm(&p, form)
		shown.problem, err = c.overtaken(opened)
	}
	if shown.problem != "" {
		shown.status = http.StatusConflict
	}
	shown.data = r
	return shown, err
}

// reviewOf works out what p would do.
func (c *call) reviewOf(p cloud.Proposal, f propertyFrame, words *factWords, form string) (review, error) {
	if p.Property != nil {
		p.Property.ID = p.Site
	}
	preview, err := c.cloud.Preview(c.Context(), c.Org, p, mostNamed)
	if err != nil {
		return review{}, err
	}
	doc, err := json.Marshal(p)
	if err != nil {
		return review{}, err
	}
	before, after := words.sides(&p, f.Property.Property)
	confirm := ""
	if p.Op == cloud.OpDeleteProperty {
		confirm = p.Site
	}
	return review{
		propertyFrame: f, Changes: compareFacts(before, after), DryRun: newDryRun(preview, words.siteItems),
		Proposal: string(doc), Form: form, Danger: strings.HasPrefix(p.Op, "delete"), Save: saveText(&p, words.former(&p)), Freezes: freezes(&p, words.Rules), Confirm: confirm,
	}, nil
}

// freezes says whether p leaves a property of rules without one in force.
func freezes(p *cloud.Proposal, rules []cloud.Rule) bool {
	off := p.Op == cloud.OpDeleteRule || p.Op == cloud.OpPutRule && !p.Rule.Enabled
	was, is := false, false
	for _, r := range rules {
		was = was || r.Enabled
		is = is || r.Enabled && r.ID != p.ID && (p.Rule == nil || r.ID != p.Rule.ID)
	}
	return off && was && !is
}

// entered is the proposal of a review that somebody came back from to the form;
// nil where nobody did.
func (c *call) entered() (*cloud.Proposal, error) {
	if c.text("act") != "back" {
		return nil, nil
	}
	return c.proposal()
}

// proposal is the one in the form. It can only be about the property that the
// address names.
func (c *call) proposal() (*cloud.Proposal, error) {
	var p cloud.Proposal
	d := json.NewDecoder(strings.NewReader(c.text("proposal")))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return nil, &refusal{http.StatusBadRequest, "The form cannot be read", "It is not what this page sends."}
	}
	p.Site = c.site()
	if p.Property != nil {
		p.Property.ID = p.Site
	}
	return &p, nil
}

// moreByNow says that a change takes more than the review of it said.
const moreByNow = "It would take more by now than you were shown. Here is what it would do as of now."

// save does what a review showed. Where it would take more by now, it is shown
// again.
func save(c *call) (answer, error) {
	p, err := c.proposal()
	if err != nil {
		return nil, err
	}
	if _, err := c.cloud.Property(c.Context(), c.Org, p.Site); err != nil {
		return nil, err
	}
	shown, err := strconv.Atoi(c.text("shown"))
	if err != nil || shown < 0 {
		return nil, &refusal{http.StatusBadRequest, "The form cannot be read", "It does not say what you were shown."}
	}
	form := c.text("form")
	if !strings.HasPrefix(form, "properties/"+p.Site+"/") || form != path.Clean(form) {
		form = ""
	}
	if p.Op == cloud.OpDeleteProperty && c.text("confirm") != p.Site {
		return c.reviewAgain(*p, form, "Type “"+p.Site+"” to say that you mean this property.", http.StatusUnprocessableEntity)
	}
	err = c.cloud.Do(c.Context(), c.Actor, c.Org, *p, shown)
	if errors.Is(err, cloud.ErrChanged) && p.Op == cloud.OpOrderRules {
		return c.orderAgain(*p)
	}
	if errors.Is(err, cloud.ErrChanged) {
		return c.reviewAgain(*p, form, moreByNow, http.StatusConflict)
	}
	if err != nil {
		return nil, err
	}
	if p.Op == cloud.OpDeleteProperty {
		return redirect{to: "properties", did: "property-deleted"}, nil
	}
	return redirect{to: listOf(p), did: strings.ReplaceAll(p.Op, " ", "-")}, nil
}

// listOf is the address of the page, below Root, that p is begun on.
func listOf(p *cloud.Proposal) string {
	to := "properties/" + url.PathEscape(p.Site)
	if tab := tabOf(p.Op); tab != "" {
		to += "/" + tab
	}
	return to
}

// reviewAgain is a review with what went wrong, unless it says already that
// somebody else changed the same.
func (c *call) reviewAgain(p cloud.Proposal, form, problem string, status int) (answer, error) {
	a, err := c.review(p, form)
	if shown, ok := a.(page); ok && shown.problem == "" {
		shown.problem, shown.status = problem, status
		a = shown
	}
	return a, err
}

// tabOf is the page that an op is begun on.
func tabOf(op string) string {
	switch op {
	case cloud.OpPutDoor, cloud.OpDeleteDoor:
		return "doors"
	case cloud.OpPutGroup, cloud.OpDeleteGroup:
		return "groups"
	case cloud.OpPutSchedule, cloud.OpDeleteSchedule:
		return "schedules"
	case cloud.OpPutProperty, cloud.OpDeleteProperty:
		return "settings"
	}
	return ""
}

// saveText is what the button says that does p.
func saveText(p *cloud.Proposal, was former) string {
	switch {
	case strings.HasPrefix(p.Op, "delete"):
		return "Delete it"
	case p.Op == cloud.OpOrderRules:
		return "Save this order"
	case switches(p, was):
		return yesNo(p.Rule.Enabled, "Enable it", "Disable it")
	}
	return "Save"
}
