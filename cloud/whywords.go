package cloud

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"latchkey/access"
)

// speak says y in words.
func (y *Why) speak(p *personView, v *siteView) {
	y.Words = append(y.Words, y.whoWords(p))
	y.Words = append(y.Words, y.ruleWords(v)...)
	for _, g := range y.Groups {
		y.Words = append(y.Words, y.groupWords(g))
	}
	for _, d := range y.Doors {
		y.Words = append(y.Words, y.doorWords(d, v)...)
	}
	y.Words = append(y.Words, y.keyWords(p)...)
	y.Words = append(y.Words, y.progressWords()...)
	y.Answer = y.answer(p, v)
}

func (y *Why) whoWords(p *personView) string {
	switch {
	case p.Origin != OriginDirectory && p.Suspended:
		return fmt.Sprintf("%s was added by hand, and an admin has suspended them.", y.Name)
	case p.Origin != OriginDirectory:
		return fmt.Sprintf("%s was added by hand: rules are about people from the directory.", y.Name)
	case p.PulledOut:
		return fmt.Sprintf("%s is %q in the directory that is read, which locks out.", y.Name, p.PulledStatus)
	case !p.Active:
		return fmt.Sprintf("%s is disabled in the directory.", y.Name)
	case p.Suspended:
		return fmt.Sprintf("%s is active in the directory, and an admin has suspended them here.", y.Name)
	}
	return fmt.Sprintf("%s is active in the directory%s.", y.Name, inGroups(y.Directory))
}

func inGroups(groups []Member) string {
	if len(groups) == 0 {
		return ", in no group"
	}
	var names []string
	for _, g := range groups[:min(8, len(groups))] {
		names = append(names, g.Display)
	}
	text := ", in " + strings.Join(names, ", ")
	if more := len(groups) - len(names); more > 0 {
		text += fmt.Sprintf(" and %d more groups", more)
	}
	return text
}

func (y *Why) ruleWords(v *siteView) (words []string) {
	if !y.Syncing {
		return []string{fmt.Sprintf("%s has no rule that is enabled: what rules gave stays, nothing is added.", y.SiteName)}
	}
	if y.OutOfPilot {
		words = append(words, fmt.Sprintf("%s is limited to a pilot (%s), and %s is in none of these groups.", y.SiteName, strings.Join(v.Pilot, ", "), y.Name))
	}
	for _, r := range y.Rules {
		words = append(words, fmt.Sprintf("Rule %d %q %s.", r.Position, cmp.Or(r.Name, r.ID), r.words()))
	}
	return words
}

// words says what a rule answers, and the first condition that fails.
func (r *RuleVerdict) words() string {
	switch r.Verdict {
	case RuleDisabled:
		return "is disabled"
	case RuleNotAsked:
		return "is not asked, for an earlier one decides"
	case RuleTooOld:
		return "is only for people who came after it was made"
	case RuleDecides:
		if len(r.Conditions) == 0 {
			return "decides: it matches everyone"
		}
		i := slices.IndexFunc(r.Conditions, func(c ConditionVerdict) bool { return c.Holds })
		text := "decides: " + r.Conditions[i].words()
		if r.Match != MatchAny && len(r.Conditions) > 1 {
			text += fmt.Sprintf(", and so do all its %d conditions", len(r.Conditions))
		}
		return text
	}
	i := slices.IndexFunc(r.Conditions, func(c ConditionVerdict) bool { return !c.Holds })
	text := "does not match: " + r.Conditions[i].words()
	if r.Match == MatchAny && len(r.Conditions) > 1 {
		text += fmt.Sprintf(", and none of its %d conditions does", len(r.Conditions))
	}
	return text
}

// words says whether a condition holds, and what the person has.
func (c *ConditionVerdict) words() string {
	if c.Attr == "" {
		name := cmp.Or(c.Group, c.GroupID)
		switch {
		case c.Holds:
			return fmt.Sprintf("in group %q", name)
		case c.GroupID == "":
			return fmt.Sprintf("there is no group %q yet", name)
		}
		return fmt.Sprintf("not in group %q", name)
	}
	have := "empty"
	if len(c.Have) > 0 {
		have = fmt.Sprintf("%q", strings.Join(c.Have, ", "))
	}
	text := c.Attr + " is " + have
	switch {
	case c.Op == OpEqual && !c.Holds, c.Op == OpNotEqual && c.Holds:
		return text + fmt.Sprintf(", not %q", c.Value)
	case c.Op == OpContains && c.Holds:
		return text + fmt.Sprintf(", which contains %q", c.Value)
	case c.Op == OpContains:
		return text + fmt.Sprintf(", which does not contain %q", c.Value)
	case c.Op == OpStarts && c.Holds:
		return text + fmt.Sprintf(", which starts with %q", c.Value)
	case c.Op == OpStarts:
		return text + fmt.Sprintf(", which does not start with %q", c.Value)
	}
	return text
}

func (y *Why) groupWords(g WhyGroup) string {
	switch g.From {
	case FromHand:
		return fmt.Sprintf("An admin put them into %q by hand.", g.Name)
	case FromHold:
		return fmt.Sprintf("They keep %q although no rule gives it any more: the loss is held (%s).", g.Name, y.HeldBy)
	}
	return fmt.Sprintf("That gives them the access group %q.", g.Name)
}

func (y *Why) doorWords(d WhyDoor, v *siteView) (words []string) {
	if len(d.Ways) == 0 {
		return []string{fmt.Sprintf("None of their access groups opens %s.", d.Name)}
	}
	for _, way := range d.Ways {
		name := way.Group
		for _, g := range y.Groups {
			if g.ID == way.Group {
				name = g.Name
			}
		}
		words = append(words, fmt.Sprintf("%q opens %s %s.", name, d.Name, during(v.layout.schedules, way.Schedule)))
	}
	if !fits(y.Kind, d.Kind) {
		words = append(words, fmt.Sprintf("But people of type %s open key cabinets alone, and %s is a %s.", y.Kind, d.Name, d.Kind))
	}
	return words
}

// during says when a schedule holds.
func during(schedules map[string]access.Schedule, id string) string {
	if id == "" {
		return "at all hours"
	}
	s := schedules[id]
	var spans []string
	for _, iv := range s.Weekly[:min(4, len(s.Weekly))] {
		spans = append(spans, fmt.Sprintf("%s %02d:%02d-%02d:%02d", time.Weekday(iv.Day).String()[:3], iv.From/60, iv.From%60, iv.To/60, iv.To%60))
	}
	if len(s.Weekly) > len(spans) {
		spans = append(spans, "…")
	}
	return fmt.Sprintf("during %q (%s, %s)", cmp.Or(s.Name, s.ID), strings.Join(spans, ", "), s.Zone)
}

func (y *Why) keyWords(p *personView) (words []string) {
	if len(y.Groups) == 0 && len(y.Credentials) == 0 {
		return nil
	}
	for _, c := range y.Credentials {
		words = append(words, fmt.Sprintf("Their %s %s is %s.", c.noun(), c.Masked, c.Status))
	}
	if len(y.Credentials) == 0 {
		words = append(words, "They have no card.")
	}
	if p.CardText != "" {
		words = append(words, "Of the card in the directory: "+p.CardText+".")
	}
	return words
}

func (y *Why) progressWords() (words []string) {
	pr := &y.Progress
	switch {
	case pr.Pending:
		words = append(words, "The newest of this is still to be written for the building; it follows by itself.")
	case pr.Told.Seq == 0 && pr.Acknowledged:
		words = append(words, "The building has confirmed all that it was told.")
	case pr.Told.Seq == 0:
		words = append(words, fmt.Sprintf("The building is %d changes behind.", pr.Behind))
	case pr.Acknowledged && pr.AckedAt.IsZero():
		words = append(words, fmt.Sprintf("The building was told in change %d, and has confirmed it.", pr.Told.Seq))
	case pr.Acknowledged:
		words = append(words, fmt.Sprintf("The building was told in change %d and confirmed it at %s.", pr.Told.Seq, clock(pr.AckedAt)))
	default:
		words = append(words, fmt.Sprintf("The building was told in change %d at %s and has not confirmed it: it is %d changes behind.", pr.Told.Seq, clock(pr.ToldAt), pr.Behind))
	}
	for _, c := range y.Proof {
		if c.Proven {
			words = append(words, fmt.Sprintf("Controller %s was read to hold what it should since %s.", c.Controller, clock(c.Since)))
		} else {
			words = append(words, fmt.Sprintf("Controller %s is not proven to hold this yet.", c.Controller))
		}
	}
	return words
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// answer is y in one sentence, with the first reason against it.
func (y *Why) answer(p *personView, v *siteView) string {
	what := "any door of " + y.SiteName
	if y.Door != "" {
		what = y.Doors[0].Name + " of " + y.SiteName
	}
	if y.Opens && y.Door != "" && y.State == access.StateActive {
		hours := ""
		if always := slices.ContainsFunc(y.Doors[0].Ways, func(w WhyWay) bool { return w.Schedule == "" }); !always {
			hours = ", at certain hours"
		}
		return fmt.Sprintf("%s may open %s%s%s.", y.Name, what, hours, y.late())
	}
	if y.Opens {
		n := 0
		for _, d := range y.Doors {
			if d.Opens {
				n++
			}
		}
		return fmt.Sprintf("%s may open %d of the %d doors of %s%s.", y.Name, n, len(v.layout.doors), y.SiteName, y.late())
	}
	return fmt.Sprintf("%s may not open %s: %s%s.", y.Name, what, y.reason(p), y.late())
}

// late is what to add where the building does not know it yet.
func (y *Why) late() string {
	if y.Progress.Pending || !y.Progress.Acknowledged {
		return "; the building has not confirmed this yet"
	}
	return ""
}

// reason is the first link that is missing.
func (y *Why) reason(p *personView) string {
	ways := slices.ContainsFunc(y.Doors, func(d WhyDoor) bool { return len(d.Ways) > 0 })
	fit := slices.ContainsFunc(y.Doors, func(d WhyDoor) bool { return len(d.Ways) > 0 && fits(y.Kind, d.Kind) })
	switch {
	case p.PulledOut:
		return fmt.Sprintf("their status in the directory that is read is %q", p.PulledStatus)
	case !p.Active:
		return "they are disabled in the directory"
	case p.Suspended:
		return "an admin has suspended them"
	case len(y.Groups) == 0 && !y.Syncing:
		return "the property has no rule that is enabled"
	case len(y.Groups) == 0 && p.Origin != OriginDirectory:
		return "they are in no access group, and no rule is about people who were added by hand"
	case len(y.Groups) == 0 && y.OutOfPilot:
		return "the property is limited to a pilot that they are not in"
	case len(y.Groups) == 0 && y.Rule == "":
		return "no rule of the property matches them"
	case len(y.Groups) == 0:
		return "the rule that matches gives no access group"
	case !ways:
		return "none of their access groups opens it"
	case !fit:
		return "people of type " + y.Kind + " open key cabinets alone"
	case len(y.Credentials) == 0:
		return "they have no card"
	}
	return "none of their cards is active"
}
