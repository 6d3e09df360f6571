package pages

import (
	"cmp"
	"slices"
	"strings"

	"latchkey/cloud"
)

// ruleTitle is what people call a rule.
func ruleTitle(r cloud.Rule) string { return cmp.Or(r.Name, r.ID, "without a name") }

// switches says whether p enables or disables a rule and does nothing else.
func switches(p *cloud.Proposal, was former) bool {
	if p.Op != cloud.OpPutRule || p.Rule.Enabled == was.Rule.Enabled {
		return false
	}
	a, b := *p.Rule, was.Rule
	return a.ID == b.ID && a.Name == b.Name && a.Match == b.Match && slices.Equal(a.Conditions, b.Conditions) && slices.Equal(a.Groups, b.Groups) &&
		a.Role == b.Role && a.Mobile == b.Mobile && a.OnlyNew == b.OnlyNew
}

// rule says what a rule is, fact by fact.
func (w *factWords) rule(r cloud.Rule) []fact {
	return []fact{
		{"Name", one(ruleTitle(r))}, {"State", one(yesNo(r.Enabled, "enabled", "disabled"))}, {"For", w.forWhom(r)},
		{"Only new people", one(yesNo(r.OnlyNew, "yes: who appears after the rule was made", "no"))},
		{"Access groups", orText(w.groupNames(r.Groups), "none: no door opens")}, {"Role", one(cmp.Or(r.Role, "none"))}, {"Mobile keys", one(mobileText(r.Mobile))},
	}
}

// forWhom says in words whom a rule is for, a line for each condition.
func (w *factWords) forWhom(r cloud.Rule) []string {
	if len(r.Conditions) == 0 {
		return one("Everyone")
	}
	join := "and "
	if r.Match == cloud.MatchAny {
		join = "or "
	}
	var lines []string
	for i, c := range r.Conditions {
		text := w.condition(c)
		switch {
		case i > 0:
			text = join + text
		case c.Attr == "": // an attribute's name stays as it is
			text = "I" + text[1:]
		}
		lines = append(lines, text)
	}
	return lines
}

// condition says what a condition tests: "in group “Lab”".
func (w *factWords) condition(c cloud.Condition) string {
	if c.Attr != "" {
		text := attrName(c.Attr) + " " + opText(c.Op)
		if c.Op != cloud.OpPresent {
			text += " “" + c.Value + "”"
		}
		return text
	}
	name := w.directoryName(c.GroupID)
	switch {
	case name == "" && !w.provisioned(c.Group):
		return "in group “" + cmp.Or(c.Group, c.GroupID) + "” (no directory has sent it yet)"
	case name == "" || name == c.Group:
		return "in group “" + cmp.Or(c.Group, c.GroupID) + "”"
	case c.Group == "" || c.Group == c.GroupID:
		return "in group “" + name + "”"
	}
	return "in group “" + c.Group + "”, which is called “" + name + "” now"
}

// directoryName is what a directory group is called now; empty if there is none
// of that id.
func (w *factWords) directoryName(id string) string {
	if i := slices.IndexFunc(w.directory, func(g cloud.DirectoryGroup) bool { return g.ID == id }); i >= 0 {
		return w.directory[i].DisplayName
	}
	return ""
}

// mostOffered is how many directory groups a field suggests; others are typed.
const mostOffered = 1000

// offered are the directory groups that a field suggests: those with the most
// members, where there are too many to send with a page.
func offered(all []cloud.DirectoryGroup) []cloud.DirectoryGroup {
	if len(all) <= mostOffered {
		return all
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b cloud.DirectoryGroup) int { return b.Members - a.Members })
	return all[:mostOffered]
}

// provisioned says whether a directory has sent a group of that name.
func (w *factWords) provisioned(name string) bool {
	return slices.ContainsFunc(w.directory, func(g cloud.DirectoryGroup) bool { return strings.EqualFold(g.DisplayName, name) || g.ID == name })
}

func (w *factWords) groupNames(ids []string) []string {
	var names []string
	for _, id := range ids {
		names = append(names, w.GroupName(id))
	}
	return names
}

// attrName is an attribute without the long name of the usual extension.
func attrName(attr string) string { return strings.TrimPrefix(attr, cloud.EnterpriseURN+":") }

// An operator is a test of an attribute, in words.
type operator struct{ Op, Text string }

func operators() []operator {
	return []operator{
		{cloud.OpEqual, "is"}, {cloud.OpNotEqual, "is not"}, {cloud.OpContains, "contains"}, {cloud.OpStarts, "starts with"}, {cloud.OpPresent, "has any value"},
	}
}

func opText(op string) string {
	for _, o := range operators() {
		if o.Op == op {
			return o.Text
		}
	}
	return op
}

// mobileText says which mobile keys a rule gives.
func mobileText(m cloud.Mobile) string {
	switch {
	case m.BLE && m.Wallet:
		return "Bluetooth and Apple Wallet"
	case m.BLE:
		return "Bluetooth"
	case m.Wallet:
		return "Apple Wallet"
	}
	return "none"
}
