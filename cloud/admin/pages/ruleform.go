package pages

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

func (s *server) ruleFormRoutes() {
	s.get("properties/{site}/rules/new", signin.Admin, func(c *call) (answer, error) {
		return c.ruleForm(cloud.Rule{Enabled: true}, "")
	})
	s.get("properties/{site}/rules/{id}", signin.Viewer, func(c *call) (answer, error) {
		mark, err := c.markOf(cloud.Proposal{Op: cloud.OpPutRule, Rule: &cloud.Rule{ID: c.id()}})
		if err != nil {
			return nil, err
		}
		r, err := c.rule()
		if err != nil {
			return nil, err
		}
		return c.ruleForm(r, mark)
	})
	s.post("properties/{site}/rules/new", signin.Admin, editRule)
	s.post("properties/{site}/rules/{id}", signin.Admin, editRule)
}

// A ruleForm is a rule as it stands in the form.
type ruleForm struct {
	propertyFrame
	Rule     cloud.Rule
	Everyone bool
	Rows     []conditionRow
	Groups   []groupChoice
	Offered  []cloud.DirectoryGroup
	Attrs    []string // that people are known to have
	Action   string   // below Root
	Mark     string   // of the rule as it was shown first; see markOf
	words    *factWords
}

// A conditionRow is one condition in the form. N tells its fields from those of
// other rows.
type conditionRow struct {
	N string
	cloud.Condition
	ByAttr bool
	Waits  bool // for a group that no directory has sent yet
	Focus  bool
	Ops    []operator
}

// A groupChoice is an access group that a rule may give.
type groupChoice struct {
	ID, Name, Doors string
	Chosen          bool
}

// Facts are the rule in words, for whoever may not change it.
func (f ruleForm) Facts() []fact { return f.words.rule(f.Rule) }

// Blank is the row that script copies.
func (f ruleForm) Blank(byAttr bool) conditionRow { return newRow("ROW", byAttr) }

func newRow(n string, byAttr bool) conditionRow {
	return conditionRow{N: n, ByAttr: byAttr, Ops: operators()}
}

// ruleForm shows r in the form.
func (c *call) ruleForm(r cloud.Rule, mark string) (answer, error) {
	form, err := c.blankForm(r, mark)
	if err != nil {
		return nil, err
	}
	form.Everyone = len(r.Conditions) == 0
	for i, cond := range r.Conditions {
		row := newRow(strconv.Itoa(i), cond.Attr != "")
		row.Condition = cond
		form.Rows = append(form.Rows, row)
	}
	return form.page(nil), nil
}

// blankForm is the form of r but for its conditions.
func (c *call) blankForm(r cloud.Rule, mark string) (form ruleForm, err error) {
	if form.propertyFrame, err = c.frame(""); err != nil {
		return form, err
	}
	words, err := c.words()
	if err != nil {
		return form, err
	}
	if form.Attrs, err = c.attributes(); err != nil {
		return form, err
	}
	form.Rule, form.Mark, form.Offered, form.words = r, mark, offered(words.directory), &words
	form.Action = "properties/" + form.Property.ID + "/rules/" + cmp.Or(c.id(), "new")
	for _, g := range words.Groups {
		doors := make([]string, 0, len(g.Grants))
		for _, grant := range g.Grants {
			doors = append(doors, words.DoorName(grant.Door))
		}
		form.Groups = append(form.Groups, groupChoice{g.ID, cmp.Or(g.Name, g.ID), strings.Join(doors, ", "), slices.Contains(r.Groups, g.ID)})
	}
	return form, nil
}

func (f ruleForm) page(wrong error) page {
	title := "New rule"
	if f.Rule.ID != "" {
		title = "Rule “" + ruleTitle(f.Rule) + "”"
	}
	for i := range f.Rows {
		row := &f.Rows[i]
		row.Group = cmp.Or(row.Group, f.words.directoryName(row.GroupID), row.GroupID)
		row.Waits = row.Group != "" && row.GroupID == "" && !f.words.provisioned(row.Group)
	}
	return page{template: "rule", title: title, part: f.Title(), data: f, problem: problem(wrong)}
}

// editRule takes the form: it shows what the rule would do, or the form again
// with a condition more or less.
func editRule(c *call) (answer, error) {
	back, err := c.entered()
	if err != nil {
		return nil, err
	}
	if back != nil && back.Rule != nil {
		back.Rule.ID = c.id()
		return c.ruleForm(*back.Rule, back.Mark)
	}
	p := cloud.Proposal{Op: cloud.OpCreateRule, Mark: c.text("mark")}
	if c.id() != "" {
		// One that was deleted since its form was opened is shown as a new one.
		if _, err := c.rule(); err != nil && (p.Mark == "" || !errors.Is(err, cloud.ErrNotFound)) {
			return nil, err
		}
		p.Op = cloud.OpPutRule
	}
	r := c.enteredRule()
	form, err := c.blankForm(r, p.Mark)
	if err != nil {
		return nil, err
	}
	form.Everyone, form.Rows = c.text("who") == "everyone", c.enteredRows()
	if form.step(c.text("act")) {
		return form.page(nil), nil
	}
	if r.Conditions, err = form.conditions(); err != nil {
		return form.page(err), nil
	}
	p.Rule = &r
	a, err := c.review(p, form.Action)
	if problem(err) != "" {
		return form.page(err), nil
	}
	return a, err
}

// enteredRule is the form but for its conditions.
func (c *call) enteredRule() cloud.Rule {
	r := cloud.Rule{
		ID: c.id(), Site: c.site(), Name: c.text("name"), Enabled: c.checked("enabled"), Match: cloud.MatchAll, Groups: c.texts("groups"),
		Role: c.text("role"), Mobile: cloud.Mobile{BLE: c.checked("ble"), Wallet: c.checked("wallet")}, OnlyNew: c.checked("only_new"),
	}
	if c.text("who") == cloud.MatchAny {
		r.Match = cloud.MatchAny
	}
	return r
}

// enteredRows are the conditions as they stand in the form.
func (c *call) enteredRows() (rows []conditionRow) {
	for _, n := range c.texts("row") {
		row := newRow(n, c.text("kind."+n) == "attr")
		row.Group, row.Attr, row.Op, row.Value = c.text("group."+n), c.text("attr."+n), c.text("op."+n), c.text("value."+n)
		rows = append(rows, row)
	}
	return rows
}

// step adds or removes a row, as who has no script asks for.
func (f *ruleForm) step(act string) bool {
	what, n, _ := strings.Cut(act, " ")
	switch what {
	case "add":
		row := newRow(nextRow(f.Rows, func(r conditionRow) string { return r.N }), n == "attribute")
		row.Focus = true
		f.Rows = append(f.Rows, row)
		f.Everyone = false // whoever adds a condition does not mean everyone
	case "remove":
		f.Rows = slices.DeleteFunc(f.Rows, func(r conditionRow) bool { return r.N == n })
	default:
		return false
	}
	return true
}

// nextRow is a number behind those that rows have.
func nextRow[T any](rows []T, number func(T) string) string {
	next := 0
	for _, row := range rows {
		if i, err := strconv.Atoi(number(row)); err == nil {
			next = max(next, i+1)
		}
	}
	return strconv.Itoa(next)
}

// conditions are the rows that say something. A rule that says it is for some
// and names none, or the other way round, is not what anybody means.
func (f *ruleForm) conditions() ([]cloud.Condition, error) {
	all := []cloud.Condition{}
	for _, row := range f.Rows {
		c := cloud.Condition{Group: row.Group}
		if row.ByAttr {
			c = cloud.Condition{Attr: row.Attr, Op: row.Op, Value: row.Value}
			if c.Attr == "" && c.Value == "" {
				continue
			}
			if c.Attr == "" {
				return nil, wrongConditions("the attribute that is to be “%s” has no name", c.Value)
			}
			if c.Op == cloud.OpPresent {
				c.Value = ""
			}
		}
		if c != (cloud.Condition{}) {
			all = append(all, c)
		}
	}
	switch {
	case f.Everyone && len(all) > 0:
		return nil, wrongConditions("a rule for everyone takes none: remove them, or choose all or any of them")
	case !f.Everyone && len(all) == 0:
		return nil, wrongConditions("add one, or choose everyone")
	}
	return all, nil
}

func wrongConditions(format string, args ...any) error {
	return &cloud.Invalid{Attr: "conditions", Detail: fmt.Sprintf(format, args...)}
}

// sampled is how many people are looked at for the attributes that there are.
const sampled = 100

// attributes are those that rules can test: of the mapping table, of what else
// directories send, and of some people.
func (c *call) attributes() ([]string, error) {
	mapping, err := c.cloud.Mapping(c.Context(), c.Org)
	if err != nil {
		return nil, err
	}
	unmapped, err := c.cloud.Unmapped(c.Context(), c.Org)
	if err != nil {
		return nil, err
	}
	people, err := c.cloud.People(c.Context(), c.Org, cloud.PeopleQuery{Limit: sampled})
	if err != nil && !errors.Is(err, cloud.ErrNotFound) {
		return nil, err
	}
	all := map[string]bool{}
	for _, m := range mapping {
		if m.Resource == "User" && m.Use != cloud.UseSystem && m.Use != cloud.UseIgnored {
			all[attrName(m.SCIM)] = true
		}
	}
	for _, u := range unmapped {
		all[u.Attr] = true
	}
	for _, p := range people {
		for attr := range p.Attributes {
			if strings.HasPrefix(attr, "metadata.") {
				all[attr] = true
			}
		}
	}
	for _, attr := range []string{"metadata.NAME", "cardNumber", "externalId"} { // a pattern, and what says nothing of a person
		delete(all, attr)
	}
	return slices.Sorted(maps.Keys(all)), nil
}
