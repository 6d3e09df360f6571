package cloud

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"latchkey/access"
)

// A personView is all that rules and sites ask about a person.
type personView struct {
	PersonRow
	read    map[string]any // Doc, once attrs was asked
	Groups  []string       // ids of directory groups
	Cards   []Card
	Manual  map[string][]string // site → access groups given by hand
	Outcome map[string]Outcome  // site → what the rules gave before
	Pins    map[string]Pin      // site → what stays because its loss is held
	Taken   bool                // the directory's card number, by the transaction that looks
}

// attrs reads the document. It takes many times as much memory then, and people
// are looked at hundreds at a time: whoever looks at many forgets it.
func (p *personView) attrs() map[string]any {
	if p.read == nil {
		p.read, _ = decodeAttrs(p.Doc) // load has seen that it is JSON
	}
	return p.read
}

func (p *personView) forget() { p.read = nil }

// A siteView is all that people's access asks about a property.
type siteView struct {
	Property
	Deleted bool
	Rules   []Rule          // enabled ones, by priority
	Groups  map[string]bool // access groups
	layout  *layout
	parts   int // rules, those that are off too, with their conditions, and what is nobody's
}

// frozen says that no rule is in force: what the rules gave stays, nothing is
// added (REQUIREMENTS R1).
func (v *siteView) frozen() bool { return len(v.Rules) == 0 }

// outcome is what the rules give p at v: the first rule that matches decides
// (REQUIREMENTS R5), none that matches is none (R7). Rules are about people
// from the directory. It is a pure function.
func outcome(v *siteView, p *personView) Outcome {
	none := Outcome{Person: p.ID, Site: v.ID}
	switch {
	case v.Deleted:
		return none
	case v.frozen():
		if before, ok := p.Outcome[v.ID]; ok {
			return before
		}
		return none
	case p.Origin != OriginDirectory:
		return none
	case !v.pilots(p):
		return none
	}
	for _, r := range v.Rules {
		if r.matches(p) {
			return Outcome{
				Person: p.ID, Site: v.ID, Rule: r.ID, Groups: r.Groups, Role: r.Role,
				BLE: r.Mobile.BLE, Wallet: r.Mobile.Wallet,
			}
		}
	}
	return none
}

// in says whether p is in the directory group id.
func (p *personView) in(id string) bool { return id != "" && slices.Contains(p.Groups, id) }

// matches says whether r is about p. A rule without conditions is about
// everyone (REQUIREMENTS R3).
func (r *Rule) matches(p *personView) bool {
	if r.OnlyNew && !p.Created.After(r.Created) {
		return false
	}
	if len(r.Conditions) == 0 {
		return true
	}
	holds := func(c Condition) bool { return c.holds(p) }
	if r.Match == MatchAny {
		return slices.ContainsFunc(r.Conditions, holds)
	}
	return !slices.ContainsFunc(r.Conditions, func(c Condition) bool { return !holds(c) })
}

func (c Condition) holds(p *personView) bool {
	if c.Attr == "" {
		return p.in(c.GroupID)
	}
	values := c.values(p)
	want := fold(strings.TrimSpace(c.Value))
	some := func(test func(have string) bool) bool { return slices.ContainsFunc(values, test) }
	switch c.Op {
	case OpEqual:
		return some(func(have string) bool { return fold(have) == want })
	case OpNotEqual:
		return !some(func(have string) bool { return fold(have) == want })
	case OpContains:
		return some(func(have string) bool { return strings.Contains(fold(have), want) })
	case OpStarts:
		return some(func(have string) bool { return strings.HasPrefix(fold(have), want) })
	case OpPresent:
		return some(func(have string) bool { return have != "" })
	}
	return false
}

// values are those of p's attribute that c is about.
func (c Condition) values(p *personView) (values []string) {
	switch fold(c.Attr) {
	case "usertype":
		return []string{p.Kind} // absent is FULL
	case "active":
		return []string{strconv.FormatBool(p.Active)}
	}
	for _, v := range lookup(p.attrs(), c.Attr) {
		values = append(values, strings.TrimSpace(text(v)))
	}
	return values
}

// desired is what site v should hold of person p, given what the rules gave.
// It is a pure function; the records come in no order.
//
// A person without a rule or a manual membership leaves nothing at a site. A
// disabled one keeps everything there but the state, so that a restore finds
// cards and memberships as they were (REQUIREMENTS K8).
func desired(v *siteView, p *personView, o Outcome) []access.Record {
	manual := p.Manual[v.ID]
	if v.Deleted || o.Rule == "" && len(manual) == 0 {
		return nil
	}
	records := []access.Record{access.Person{
		ID: p.ID, Name: label(p.Name), State: p.State(), Kind: p.Kind, Role: o.Role,
		BLE: o.BLE, Wallet: o.Wallet && v.Wallet,
	}}
	given := map[string]bool{}
	for _, groups := range [][]string{o.Groups, manual} {
		for _, g := range groups {
			if v.Groups[g] && !given[g] {
				given[g] = true
				records = append(records, access.Membership{Person: p.ID, Group: g})
			}
		}
	}
	for _, c := range p.Cards {
		switch c.Origin {
		case OriginRule:
			if !v.gives(o, c.Technology) {
				continue
			}
		case OriginDirectory:
			if p.CardState == CardHeld && !o.HeldCard {
				continue
			}
		}
		records = append(records, c.credential())
	}
	return records
}

// label is name as sites show it: one line of at most maxName bytes. What a
// directory calls a person must never keep a message from fitting.
func label(name string) string {
	clean := strings.ToValidUTF8(name[:min(len(name), 4*maxName)], "")
	clean = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, clean)
	clean = strings.Join(strings.Fields(clean), " ")
	return strings.ToValidUTF8(clean[:min(len(clean), maxName)], "") // no half rune
}

// checkRule refuses a rule that could never mean what it says.
func checkRule(r *Rule, groups map[string]bool, wallet bool) error {
	if r.Match == "" {
		r.Match = MatchAll
	}
	switch {
	case len(r.Name) > maxName:
		return invalid("name", "has %d bytes, want at most %d", len(r.Name), maxName)
	case r.Match != MatchAll && r.Match != MatchAny:
		return invalid("match", "got %.40q, want all or any", r.Match)
	case r.Role != "" && r.Role != RoleUser && r.Role != RoleAdmin:
		return invalid("role", "got %.40q, want User or Admin", r.Role)
	case r.Mobile.Wallet && !wallet:
		return invalid("mobile.wallet", "Apple Wallet is not installed at this property")
	case len(r.Groups) > maxRuleGroups:
		return invalid("groups", "got %d, want at most %d", len(r.Groups), maxRuleGroups)
	case len(r.Conditions) > maxConditions:
		return invalid("conditions", "got %d, want at most %d", len(r.Conditions), maxConditions)
	}
	slices.Sort(r.Groups)
	r.Groups = slices.Compact(r.Groups)
	for _, g := range r.Groups {
		if !groups[g] {
			return invalid("groups", "the property has no access group %.64q", g)
		}
	}
	for i, c := range r.Conditions {
		switch {
		case (c.Group == "" && c.GroupID == "") == (c.Attr == ""):
			return invalid("conditions", "condition %d: want either a group or an attribute", i+1)
		case c.Attr == "" && (c.Op != "" || c.Value != ""):
			return invalid("conditions", "condition %d: a group takes no operator and no value", i+1)
		case max(len(c.Group), len(c.GroupID), len(c.Attr), len(c.Value)) > maxCondition:
			return invalid("conditions", "condition %d: want at most %d bytes of each", i+1, maxCondition)
		case c.Attr != "" && !slices.Contains([]string{OpEqual, OpNotEqual, OpContains, OpStarts, OpPresent}, c.Op):
			return invalid("conditions", "condition %d: operator %.20q, want eq, ne, co, sw or pr", i+1, c.Op)
		case c.Attr != "" && c.Op != OpPresent && strings.TrimSpace(c.Value) == "":
			return invalid("conditions", "condition %d: no value to compare with", i+1)
		}
	}
	return nil
}

// Limits of what an admin may say. All changes of one person at one site are
// one message; by these it holds the worst of them, which is 64 groups of a
// rule making place for 64 others, or all cards and groups coming at once.
const (
	maxName         = 256 // bytes
	maxRuleGroups   = 64
	maxManualGroups = 128 // of one person at one site
	maxCards        = 32  // of one person, besides the directory's
	maxConditions   = 64
	maxCondition    = 1024 // bytes of a group, an attribute or a value: each is compared with everybody's
)

// bind ties the conditions of r that name a group to the group's id. Those
// that are tied stay so, whatever the group is called now; name finds a group
// by its displayName.
func bind(r *Rule, before *Rule, name func(displayName string) (id string, err error)) error {
	for i := range r.Conditions {
		c := &r.Conditions[i]
		if c.Attr != "" || c.GroupID != "" {
			continue
		}
		if before != nil {
			for _, was := range before.Conditions {
				if was.Attr == "" && was.Group == c.Group {
					c.GroupID = was.GroupID
				}
			}
		}
		if c.GroupID != "" {
			continue
		}
		id, err := name(c.Group)
		if err != nil {
			return err
		}
		c.GroupID = id
	}
	return nil
}

// stamp is t as it is stored: UTC, in whole milliseconds.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
