package pages

import (
	"cmp"
	"slices"
	"strings"

	"latchkey/access"
	"latchkey/cloud"
)

// whyRules words what the rules say of somebody.
func whyRules(all []cloud.RuleVerdict, words *factWords) []whyRule {
	rules := make([]whyRule, 0, len(all))
	for _, r := range all {
		w := whyRule{RuleVerdict: r, Says: verdictText(r)}
		for _, cv := range r.Conditions {
			text := "in group “" + cmp.Or(cv.Group, cv.GroupID) + "”" // haveText says what became of the group
			if cv.Attr != "" {
				text = words.condition(cv.Condition)
			}
			w.Conditions = append(w.Conditions, whyCondition{Text: text, Have: haveText(cv), Holds: cv.Holds})
		}
		rules = append(rules, w)
	}
	return rules
}

// verdictText says what became of a rule.
func verdictText(r cloud.RuleVerdict) string {
	switch {
	case r.Verdict == cloud.RuleDecides && len(r.Conditions) == 0:
		return "Decides: it is for everyone"
	case r.Verdict == cloud.RuleDecides:
		return "Decides"
	case r.Verdict == cloud.RuleNotAsked:
		return "Not asked: an earlier rule decides"
	case r.Verdict == cloud.RuleDisabled:
		return "Disabled"
	case r.Verdict == cloud.RuleTooOld:
		return "Only for people who came after it was made"
	case len(r.Conditions) < 2:
		return "Does not match"
	case r.Match == cloud.MatchAny:
		return "Does not match: none of its conditions holds"
	}
	return "Does not match: all its conditions have to hold"
}

// haveText says what the person has where a condition asks.
func haveText(cv cloud.ConditionVerdict) string {
	switch {
	case cv.Attr == "" && cv.Holds:
		return "they are in it"
	case cv.Attr == "" && cv.GroupID == "":
		return "the directory has sent no group of this name yet"
	case cv.Attr == "":
		return "they are not in it"
	case len(cv.Have) == 0:
		return "theirs is empty"
	}
	return "theirs is “" + strings.Join(cv.Have, "”, “") + "”"
}

// whyDoors words the ways to each door.
func whyDoors(y cloud.Why, words *factWords) []whyDoor {
	var doors []whyDoor
	for _, d := range y.Doors {
		w := whyDoor{WhyDoor: d, Fits: y.Kind != access.KindSmartbox || d.Kind == access.DoorKindCabinet}
		for _, way := range d.Ways {
			w.Ways = append(w.Ways, whyWay{words.GroupName(way.Group), words.hours(way.Schedule)})
		}
		doors = append(doors, w)
	}
	return doors
}

// hours says when a schedule holds; an empty id is always.
func (w *factWords) hours(id string) string {
	if id == "" {
		return "at all hours"
	}
	text := "during " + w.ScheduleName(id)
	if i := slices.IndexFunc(w.Schedules, func(s access.Schedule) bool { return s.ID == id }); i >= 0 {
		text += ": " + weekText(w.Schedules[i])
	}
	return text
}

// A whyAdvice is what to do so that the door opens, where there is something.
type whyAdvice struct {
	Text, To, Link string // To is below Root
}

// advise says what to do about the first link of the chain that is missing.
func (v *whyPage) advise() whyAdvice {
	person, site := "people/"+v.Person, "properties/"+v.Site
	ways := slices.ContainsFunc(v.Doors, func(d whyDoor) bool { return len(d.Ways) > 0 })
	fits := slices.ContainsFunc(v.Doors, func(d whyDoor) bool { return len(d.Ways) > 0 && d.Fits })
	switch {
	case v.Opens && v.Confirmed:
		return whyAdvice{}
	case v.Opens:
		return whyAdvice{"The building has still to confirm the newest change.", site + "/building", "How far the building is"}
	case v.Suspended:
		return whyAdvice{"End the suspension on their page.", person, "To their page"}
	case v.Why.State != access.StateActive:
		return whyAdvice{"Enable them in the directory, or give them an open status there.", person, "To their page"}
	case !v.AnyGroup && v.ByHand:
		return whyAdvice{"Put them into an access group by hand.", person + "#join", "To their page"}
	case !v.AnyGroup && !v.Syncing:
		return whyAdvice{"Add a rule, or enable one.", site, "To the rules"}
	case !v.AnyGroup && v.OutOfPilot:
		return whyAdvice{"Put them into a group of the pilot in the directory, or end the pilot.", site + "/settings", "To the pilot's settings"}
	case !v.AnyGroup && v.Rule == "":
		return whyAdvice{"Change the directory so that a rule matches them, change a rule, or put them into an access group by hand.", site, "To the rules"}
	case !v.AnyGroup:
		return whyAdvice{"The rule that decides gives no access group: have it give one.", site, "To the rules"}
	case !ways:
		return whyAdvice{"Add the door to one of their access groups, or give them another group.", site + "/groups", "To the access groups"}
	case !fits:
		return whyAdvice{"Their userType in the directory is SMARTBOX: it opens key cabinets and nothing else.", person, "To their page"}
	case len(v.Credentials) == 0:
		return whyAdvice{"Have the directory send a card number, or add a card by hand.", person, "To their page"}
	}
	return whyAdvice{"Let one of their cards open doors again, or add another one.", person, "To their page"}
}
