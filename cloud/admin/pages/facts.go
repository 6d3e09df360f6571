package pages

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"latchkey/access"
	"latchkey/cloud"
)

// A fact is one thing about a rule, a door or whatever else can be changed, in
// words: a few lines below a name.
type fact struct {
	Name  string
	Lines []string
}

// A factChange is a fact before and after a change; nothing is before what is
// new, and after what is deleted.
type factChange struct {
	Name          string
	Before, After []string
}

// factChanges are those of one thing.
type factChanges []factChange

// Before and After say whether there is anything on that side.
func (all factChanges) Before() bool {
	return slices.ContainsFunc(all, func(c factChange) bool { return len(c.Before) > 0 })
}

func (all factChanges) After() bool {
	return slices.ContainsFunc(all, func(c factChange) bool { return len(c.After) > 0 })
}

// compareFacts are those that differ. Both sides have the same names in the
// same order, or one of them is empty.
func compareFacts(before, after []fact) factChanges {
	var all factChanges
	for i := range max(len(before), len(after)) {
		var c factChange
		if i < len(before) {
			c.Name, c.Before = before[i].Name, before[i].Lines
		}
		if i < len(after) {
			c.Name, c.After = after[i].Name, after[i].Lines
		}
		if !slices.Equal(c.Before, c.After) {
			all = append(all, c)
		}
	}
	return all
}

// factWords have what is needed to put ids into words.
type factWords struct {
	*siteItems
	directory []cloud.DirectoryGroup
}

// sides are what p changes as it is now, and as p makes it. One side is empty
// for what is new or deleted.
func (w *factWords) sides(p *cloud.Proposal, property cloud.Property) (before, after []fact) {
	find := func(id string) {
		switch p.Op {
		case cloud.OpPutDoor, cloud.OpDeleteDoor:
			before = factsOf(w.Doors, func(d access.Door) bool { return d.ID == id }, w.door)
		case cloud.OpPutGroup, cloud.OpDeleteGroup:
			before = factsOf(w.Groups, func(g cloud.AccessGroup) bool { return g.ID == id }, w.group)
		case cloud.OpPutSchedule, cloud.OpDeleteSchedule:
			before = factsOf(w.Schedules, func(s access.Schedule) bool { return s.ID == id }, w.schedule)
		case cloud.OpPutRule, cloud.OpDeleteRule:
			before = factsOf(w.Rules, func(r cloud.Rule) bool { return r.ID == id }, w.rule)
		}
	}
	find(p.ID)
	switch {
	case p.Door != nil:
		find(p.Door.ID)
	case p.Group != nil:
		find(p.Group.ID)
	case p.Schedule != nil:
		find(p.Schedule.ID)
	case p.Rule != nil:
		find(p.Rule.ID)
	case p.Op == cloud.OpOrderRules:
		var ids []string
		for _, r := range w.Rules {
			ids = append(ids, r.ID)
		}
		before = w.order(ids)
	case p.Op == cloud.OpPutProperty, p.Op == cloud.OpDeleteProperty:
		before = w.property(property)
	}
	return before, w.after(p)
}

// was is the side before a held change, from what was kept of it.
func (w *factWords) was(p *cloud.Proposal, doc json.RawMessage) []fact {
	if len(doc) == 0 || string(doc) == "null" {
		return nil
	}
	switch p.Op {
	case cloud.OpPutDoor, cloud.OpDeleteDoor:
		return decoded(doc, w.door)
	case cloud.OpPutGroup, cloud.OpDeleteGroup:
		return decoded(doc, w.group)
	case cloud.OpPutSchedule, cloud.OpDeleteSchedule:
		return decoded(doc, w.schedule)
	case cloud.OpPutRule, cloud.OpDeleteRule:
		return decoded(doc, w.rule)
	case cloud.OpOrderRules:
		return decoded(doc, w.order)
	case cloud.OpPutProperty, cloud.OpDeleteProperty:
		return decoded(doc, w.property)
	}
	return nil
}

// after is what p makes.
func (w *factWords) after(p *cloud.Proposal) []fact {
	switch {
	case p.Door != nil:
		return w.door(*p.Door)
	case p.Group != nil:
		return w.group(*p.Group)
	case p.Schedule != nil:
		return w.schedule(*p.Schedule)
	case p.Rule != nil:
		return w.rule(*p.Rule)
	case p.Property != nil:
		return w.property(*p.Property)
	case p.Op == cloud.OpOrderRules:
		return w.order(p.IDs)
	}
	return nil
}

func factsOf[T any](all []T, is func(T) bool, words func(T) []fact) []fact {
	if i := slices.IndexFunc(all, is); i >= 0 {
		return words(all[i])
	}
	return nil
}

func decoded[T any](doc []byte, words func(T) []fact) []fact {
	var v T
	if json.Unmarshal(doc, &v) != nil {
		return nil
	}
	return words(v)
}

func (w *factWords) door(d access.Door) []fact {
	return []fact{
		{"Name", one(cmp.Or(d.Name, d.ID))}, {"Kind", one(cmp.Or(d.Kind, access.DoorKindDoor))},
		{"Opens for", one(seconds(d.UnlockMS, access.DefaultUnlock))}, {"Counts as held open after", one(seconds(d.HeldMS, defaultHeld))}, {"Before it has data", one(cmp.Or(d.NoData, "as the site says"))},
	}
}

func (w *factWords) group(g cloud.AccessGroup) []fact {
	var doors []string
	for _, grant := range g.Grants {
		hours := "always"
		if grant.Schedule != "" {
			hours = "during “" + w.ScheduleName(grant.Schedule) + "”"
		}
		doors = append(doors, w.DoorName(grant.Door)+", "+hours)
	}
	return []fact{{"Name", one(cmp.Or(g.Name, g.ID))}, {"Doors", orNone(doors)}}
}

func (w *factWords) schedule(s access.Schedule) []fact {
	return []fact{{"Name", one(cmp.Or(s.Name, s.ID))}, {"Hours", one(weekText(s))}, {"Not on", orNone(s.Holidays)}}
}

func (w *factWords) property(p cloud.Property) []fact {
	guard := cloud.DefaultGuard()
	if p.Guard != nil {
		guard = *p.Guard
	}
	key := "none"
	if p.Key != "" {
		key = strings.Join(strings.SplitN(p.Key, ":", 3)[:min(2, strings.Count(p.Key, ":")+1)], ":")
	}
	return []fact{
		{"Name", one(cmp.Or(p.Name, p.ID))}, {"Gateway’s key", one(key)}, {"Apple Wallet", one(yesNo(p.Wallet, "installed", "not installed"))},
		{"Pilot groups", orText(p.Pilot, "none: the rules are for everyone")},
		{"May go unasked within an hour", one(fmt.Sprintf("%d percent of all openings, or %d where that is more", guard.Percent, guard.Openings))},
	}
}

func (w *factWords) order(ids []string) []fact {
	var lines []string
	for i, id := range ids {
		lines = append(lines, fmt.Sprintf("%d. %s", i+1, w.RuleName(id)))
	}
	return []fact{{"Order", lines}}
}

func one(text string) []string { return []string{text} }

func orNone(lines []string) []string { return orText(lines, "none") }

func orText(lines []string, text string) []string {
	if len(lines) == 0 {
		return one(text)
	}
	return lines
}

func yesNo(v bool, yes, no string) string {
	if v {
		return yes
	}
	return no
}

// deleted is what people call the thing that p deletes.
func deleted(p *cloud.Proposal, items *siteItems) string {
	switch p.Op {
	case cloud.OpDeleteRule:
		return items.RuleName(p.ID)
	case cloud.OpDeleteDoor:
		return items.DoorName(p.ID)
	case cloud.OpDeleteGroup:
		return items.GroupName(p.ID)
	case cloud.OpDeleteSchedule:
		return items.ScheduleName(p.ID)
	}
	return ""
}

// A former is what a proposal is about, as it was before.
type former struct {
	Name string     // of what is deleted
	Rule cloud.Rule // that is changed
}

// former is that of p as of now.
func (w *factWords) former(p *cloud.Proposal) former {
	was := former{Name: deleted(p, w.siteItems)}
	for _, r := range w.Rules {
		if p.Rule != nil && r.ID == p.Rule.ID {
			was.Rule = r
		}
	}
	return was
}

// titleOf says what p does; property is the name of where.
func titleOf(p *cloud.Proposal, was former, property string) string {
	quoted := func(name string) string { return "“" + name + "”" }
	switch p.Op {
	case cloud.OpCreateRule:
		return "Add the rule " + quoted(ruleTitle(*p.Rule))
	case cloud.OpPutRule:
		if switches(p, was) {
			return yesNo(p.Rule.Enabled, "Enable", "Disable") + " the rule " + quoted(ruleTitle(*p.Rule))
		}
		return "Change the rule " + quoted(ruleTitle(*p.Rule))
	case cloud.OpOrderRules:
		return "Put the rules in another order"
	case cloud.OpPutDoor:
		return "Save the door " + quoted(cmp.Or(p.Door.Name, p.Door.ID))
	case cloud.OpPutGroup:
		return "Save the access group " + quoted(cmp.Or(p.Group.Name, p.Group.ID))
	case cloud.OpPutSchedule:
		return "Save the schedule " + quoted(cmp.Or(p.Schedule.Name, p.Schedule.ID))
	case cloud.OpPutProperty:
		return "Change the settings of " + quoted(property)
	case cloud.OpDeleteProperty:
		return "Delete the property " + quoted(property)
	}
	what, _ := strings.CutPrefix(p.Op, "delete ")
	return "Delete the " + what + " " + quoted(was.Name)
}
