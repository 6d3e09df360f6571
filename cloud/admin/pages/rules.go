package pages

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

func (s *server) ruleRoutes() {
	s.get("properties/{site}", signin.Viewer, rules)
	s.post("properties/{site}/order", signin.Admin, orderRules)
	s.post("properties/{site}/rules/{id}/enable", signin.Admin, func(c *call) (answer, error) { return switchRule(c, true) })
	s.post("properties/{site}/rules/{id}/disable", signin.Admin, func(c *call) (answer, error) { return switchRule(c, false) })
	s.post("properties/{site}/rules/{id}/delete", signin.Admin, func(c *call) (answer, error) {
		if _, err := c.rule(); err != nil {
			return nil, err
		}
		return c.review(cloud.Proposal{Op: cloud.OpDeleteRule, ID: c.id()}, "")
	})
}

// A ruleList is the rules of a property in their order, or in one that somebody
// is trying.
type ruleList struct {
	propertyFrame
	Rules    []ruleLine
	Proposed *review // of another order than the rules have; nil where it is theirs
	Moved    string  // what moved just now, for whoever cannot see it
	Mark     string  // of the order that the rules have
	Groups   int     // how many access groups there are
}

// A ruleLine is one rule in words.
type ruleLine struct {
	ID, Name string
	Enabled  bool
	OnlyNew  bool
	For      []string
	Groups   []string // names
	Role     string
	Mobile   string
	Waits    []string // names of groups that no directory has sent yet
	Place    int      // 1 is asked first
	Last     bool
	Focus    string // "up" or "down": the button that was pressed
}

func rules(c *call) (answer, error) {
	list, _, err := c.ruleList()
	if err != nil {
		return nil, err
	}
	return list.page("rules", list), nil
}

// ruleList is that of the property that the address names, as it is saved.
func (c *call) ruleList() (list ruleList, words factWords, err error) {
	if list.Mark, err = c.markOf(cloud.Proposal{Op: cloud.OpOrderRules}); err != nil {
		return list, words, err
	}
	if list.propertyFrame, err = c.frame(""); err != nil {
		return list, words, err
	}
	if words, err = c.words(); err != nil {
		return list, words, err
	}
	list.Rules, list.Groups = words.lines(words.Rules), len(words.Groups)
	return list, words, nil
}

// words are those of the property that the address names.
func (c *call) words() (w factWords, err error) {
	items, err := c.siteItems(c.site())
	if err == nil {
		w.siteItems = &items
		w.directory, err = c.cloud.DirectoryGroups(c.Context(), c.Org)
	}
	return w, err
}

// lines words rules in the order given.
func (w *factWords) lines(rules []cloud.Rule) []ruleLine {
	var all []ruleLine
	for i, r := range rules {
		line := ruleLine{
			ID: r.ID, Name: ruleTitle(r), Enabled: r.Enabled, OnlyNew: r.OnlyNew, For: w.forWhom(r), Groups: w.groupNames(r.Groups),
			Role: r.Role, Mobile: mobileText(r.Mobile), Place: i + 1, Last: i == len(rules)-1,
		}
		for _, c := range r.Conditions {
			if c.Group != "" && c.GroupID == "" {
				line.Waits = append(line.Waits, c.Group)
			}
		}
		all = append(all, line)
	}
	return all
}

// rule is the one that the address names.
func (c *call) rule() (cloud.Rule, error) {
	all, err := c.cloud.Rules(c.Context(), c.Org, c.site())
	if err != nil {
		return cloud.Rule{}, err
	}
	i := slices.IndexFunc(all, func(r cloud.Rule) bool { return r.ID == c.id() })
	if i < 0 {
		return cloud.Rule{}, cloud.ErrNotFound
	}
	return all[i], nil
}

func switchRule(c *call, on bool) (answer, error) {
	mark, err := c.markOf(cloud.Proposal{Op: cloud.OpPutRule, Rule: &cloud.Rule{ID: c.id()}})
	if err != nil {
		return nil, err
	}
	r, err := c.rule()
	if err != nil {
		return nil, err
	}
	r.Enabled = on
	return c.review(cloud.Proposal{Op: cloud.OpPutRule, Rule: &r, Mark: mark}, "")
}

// orderRules shows the rules in another order, and what it would do, without
// saving it. The form has the order that is on the page, which dragging changed,
// and perhaps one more step: "up ID" or "down ID".
func orderRules(c *call) (answer, error) {
	ids := c.texts("ids")
	step, id, _ := strings.Cut(c.text("move"), " ")
	move(ids, step, id)
	return c.order(cloud.Proposal{Op: cloud.OpOrderRules, IDs: ids, Mark: c.text("mark")}, step, id)
}

// orderAgain shows the order of p, which was not saved, as it would be now.
func (c *call) orderAgain(p cloud.Proposal) (answer, error) {
	a, err := c.order(p, "", "")
	if shown, ok := a.(page); ok && shown.problem == "" {
		shown.problem, shown.status = moreByNow, http.StatusConflict
		a = shown
	}
	return a, err
}

// order shows the order of p; id was moved a step just now. Where the rules are
// others, or in another order, than when p was begun, it says so.
func (c *call) order(p cloud.Proposal, step, id string) (answer, error) {
	list, words, err := c.ruleList()
	if err != nil {
		return nil, err
	}
	begun := p
	p.Site, p.IDs, p.Mark = list.Property.ID, orderOf(p.IDs, words.Rules), list.Mark
	if !slices.EqualFunc(p.IDs, words.Rules, func(id string, r cloud.Rule) bool { return id == r.ID }) {
		r, err := c.reviewOf(p, list.propertyFrame, &words, "")
		if err != nil {
			return nil, err
		}
		list.Proposed = &r
		ordered := slices.Clone(words.Rules)
		slices.SortFunc(ordered, func(a, b cloud.Rule) int { return slices.Index(p.IDs, a.ID) - slices.Index(p.IDs, b.ID) })
		list.Rules = words.lines(ordered)
	}
	list.moved(step, id)
	shown := list.page("rules", list)
	if begun.Mark != "" && begun.Mark != p.Mark || !slices.Equal(begun.IDs, p.IDs) {
		shown.status = http.StatusConflict
		shown.problem, err = c.overtaken(begun)
	}
	return shown, err
}

// orderOf is the order of ids without what is no rule any more; rules that ids
// does not name come last, where new ones are.
func orderOf(ids []string, rules []cloud.Rule) []string {
	order := make([]string, 0, len(rules))
	add := func(id string) {
		if !slices.Contains(order, id) && slices.ContainsFunc(rules, func(r cloud.Rule) bool { return r.ID == id }) {
			order = append(order, id)
		}
	}
	for _, id := range ids {
		add(id)
	}
	for _, r := range rules {
		add(r.ID)
	}
	return order
}

// move swaps id with the one before it or behind it.
func move(ids []string, step, id string) {
	i := slices.Index(ids, id)
	switch {
	case step == "up" && i > 0:
		ids[i-1], ids[i] = ids[i], ids[i-1]
	case step == "down" && i >= 0 && i < len(ids)-1:
		ids[i], ids[i+1] = ids[i+1], ids[i]
	}
}

// moved puts the focus where it was, so that the next step is one key away.
func (l *ruleList) moved(step, id string) {
	for i := range l.Rules {
		r := &l.Rules[i]
		if r.ID != id {
			continue
		}
		l.Moved = fmt.Sprintf("“%s” is number %d of %d now.", r.Name, r.Place, len(l.Rules))
		switch {
		case r.Place == 1:
			r.Focus = "down"
		case r.Last:
			r.Focus = "up"
		default:
			r.Focus = step
		}
	}
}
