package cloud

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"latchkey/access"
)

// A Why is the chain from the directory to a door for one person at one
// property: attributes and groups, the rules one by one, access groups, doors
// with their hours, and how far the building is. Words says the same for people.
type Why struct {
	Person      string          `json:"person"`
	Name        string          `json:"name"`
	Site        string          `json:"site"`
	SiteName    string          `json:"site_name"`
	Door        string          `json:"door,omitempty"` // the one that was asked for
	Opens       bool            `json:"opens"`          // the door, or any door where none was asked for
	Answer      string          `json:"answer"`         // in one sentence
	Words       []string        `json:"words"`          // the chain, link by link
	Kind        string          `json:"kind"`
	State       string          `json:"state"`
	Suspended   bool            `json:"suspended"`         // by an admin
	Syncing     bool            `json:"syncing"`           // some rule is in force
	Pilot       []string        `json:"pilot,omitempty"`   // groups that the property is limited to
	OutOfPilot  bool            `json:"out_of_pilot"`      // and the person is in none of them
	Directory   []Member        `json:"directory_groups"`  // the person's groups in the directory
	Rules       []RuleVerdict   `json:"rules"`             // by priority
	Rule        string          `json:"rule,omitempty"`    // that decided
	HeldBy      string          `json:"held_by,omitempty"` // the Hold by which the person keeps more than the rules give
	Groups      []WhyGroup      `json:"groups"`
	Doors       []WhyDoor       `json:"doors"`
	Credentials []Card          `json:"credentials"`
	Progress    WhyProgress     `json:"progress"`
	Proof       []WhyController `json:"proof"`
}

// What became of a rule when it was asked about a person.
const (
	RuleDecides  = "decides"
	RuleNo       = "does not match"
	RuleNotAsked = "not asked" // an earlier one decided
	RuleDisabled = "disabled"
	RuleTooOld   = "only for new people"
)

// A RuleVerdict is one rule and what it says of a person.
type RuleVerdict struct {
	ID         string             `json:"id"`
	Name       string             `json:"name"`
	Position   int                `json:"position"`
	Verdict    string             `json:"verdict"`
	Match      string             `json:"match"`
	Conditions []ConditionVerdict `json:"conditions"`
}

// A ConditionVerdict is one condition and whether it holds.
type ConditionVerdict struct {
	Condition
	Holds bool     `json:"holds"`
	Have  []string `json:"have,omitempty"` // the person's values of the attribute, masked where they may name a card
}

// Why a person is in an access group.
const (
	FromRule = "rule"
	FromHand = "by hand"
	FromHold = "held" // the rules give it no more, and that waits for a person
)

// A WhyGroup is one access group of the person.
type WhyGroup struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	From string `json:"from"`
}

// A WhyDoor is one door of the property and the ways to it.
type WhyDoor struct {
	ID    string   `json:"id"`
	Name  string   `json:"name"`
	Kind  string   `json:"kind"`
	Opens bool     `json:"opens"`
	Ways  []WhyWay `json:"ways"`
}

// A WhyWay is an access group that opens a door to the person.
type WhyWay struct {
	Group    string `json:"group"`
	Schedule string `json:"schedule,omitempty"` // empty is always
}

// A WhyProgress is how far the building is with what it should know of the
// person.
type WhyProgress struct {
	Pending      bool      `json:"pending"` // the newest is still to be written to its log
	Told         Position  `json:"told"`    // where its stream last said something of the person; Seq 0: never
	ToldAt       time.Time `json:"told_at,omitzero"`
	Acknowledged bool      `json:"acknowledged"` // it has all that it was told of the person
	AckedAt      time.Time `json:"acknowledged_at,omitzero"`
	Behind       uint64    `json:"behind"` // changes of the whole stream that it has not confirmed
}

// A WhyController is one controller of the building.
type WhyController struct {
	Controller string    `json:"controller"`
	Proven     bool      `json:"proven"` // it was read to hold what it should, at least as new as Told
	Since      time.Time `json:"since"`
}

// Why explains what a person may open at a property, or at one of its doors:
// ErrNotFound where any of them does not exist.
func (s *Service) Why(ctx context.Context, org, person, site, door string) (Why, error) {
	var out Why
	err := s.store.View(ctx, func(tx Tx) error {
		w := newWork(s, tx, act{})
		var err error
		if w.org, err = tx.Org(org); err != nil {
			return err
		}
		row, err := property(tx, org, site)
		if err != nil {
			return err
		}
		out, err = w.why(row, person, door)
		return err
	})
	return out, err
}

func (w *work) why(row SiteRow, person, door string) (Why, error) {
	views, err := w.views()
	if err != nil {
		return Why{}, err
	}
	v := views[slices.IndexFunc(views, func(v *siteView) bool { return v.ID == row.ID })]
	people, err := w.load([]string{person})
	if err != nil {
		return Why{}, err
	}
	p := people[person]
	if _, declared := v.layout.doors[door]; p == nil || door != "" && !declared {
		return Why{}, ErrNotFound
	}
	y := Why{
		Person: p.ID, Name: cmp.Or(p.Name, p.UserName, p.ID), Site: v.ID, SiteName: cmp.Or(v.Name, v.ID), Door: door, Kind: p.Kind,
		State: p.State(), Suspended: p.Suspended, Syncing: !v.frozen(), Pilot: v.Pilot,
		Directory: []Member{}, Rules: []RuleVerdict{}, Groups: []WhyGroup{}, Doors: []WhyDoor{}, Credentials: []Card{}, Proof: []WhyController{},
	}
	y.OutOfPilot = !v.pilots(p)
	if y.Directory, err = w.tx.GroupsOf(w.org.ID, p.ID); err != nil {
		return Why{}, err
	}
	rules, err := w.tx.Rules(v.ID)
	if err != nil {
		return Why{}, err
	}
	y.Rules = verdicts(rules, p)
	o := y.take(v, p)
	if err := w.whyGroups(&y, v, p, o); err != nil {
		return Why{}, err
	}
	if err := w.whyProgress(&y, row, p.ID); err != nil {
		return Why{}, err
	}
	y.speak(p, v)
	return y, nil
}

// pilots says whether p is among those whom the rules of v are limited to.
func (v *siteView) pilots(p *personView) bool {
	return len(v.PilotIDs) == 0 || slices.ContainsFunc(v.PilotIDs, p.in)
}

// verdicts asks all rules about p, as outcome does, and says what each answers.
func verdicts(rules []Rule, p *personView) []RuleVerdict {
	all := []RuleVerdict{}
	decided := false
	for _, r := range rules {
		rv := RuleVerdict{ID: r.ID, Name: r.Name, Position: r.Position, Match: r.Match, Conditions: []ConditionVerdict{}}
		for _, c := range r.Conditions {
			cv := ConditionVerdict{Condition: c, Holds: c.holds(p)}
			if c.Attr != "" {
				for _, value := range c.values(p) {
					cv.Have = append(cv.Have, shown(c.Attr, value))
				}
			}
			rv.Conditions = append(rv.Conditions, cv)
		}
		switch {
		case !r.Enabled:
			rv.Verdict = RuleDisabled
		case decided:
			rv.Verdict = RuleNotAsked
		case r.matches(p):
			rv.Verdict, decided = RuleDecides, true
		case r.OnlyNew && !p.Created.After(r.Created):
			rv.Verdict = RuleTooOld
		default:
			rv.Verdict = RuleNo
		}
		all = append(all, rv)
	}
	return all
}

// take fills in what the rules give p at v, held losses included.
func (y *Why) take(v *siteView, p *personView) Outcome {
	o := outcome(v, p)
	give := func(groups []string, from string) {
		for _, g := range groups {
			if v.Groups[g] {
				y.Groups = append(y.Groups, WhyGroup{ID: g, From: from})
			}
		}
	}
	y.Rule = o.Rule
	give(o.Groups, FromRule)
	kept, pin := holding(v, p, o)
	if pin == nil || v.frozen() && !kept.HeldCard {
		return o
	}
	y.HeldBy = pin.Hold
	give(slices.DeleteFunc(slices.Clone(kept.Groups), func(g string) bool { return slices.Contains(o.Groups, g) }), FromHold)
	return kept
}

// whyGroups fills in access groups, doors and credentials.
func (w *work) whyGroups(y *Why, v *siteView, p *personView, o Outcome) error {
	for _, g := range p.Manual[v.ID] {
		if v.Groups[g] && !slices.ContainsFunc(y.Groups, func(have WhyGroup) bool { return have.ID == g }) {
			y.Groups = append(y.Groups, WhyGroup{ID: g, From: FromHand})
		}
	}
	groups, err := items[AccessGroup](w.tx, v.ID, access.KindGroup)
	if err != nil {
		return err
	}
	for _, g := range groups {
		for i := range y.Groups {
			if y.Groups[i].ID == g.ID {
				y.Groups[i].Name = cmp.Or(g.Name, g.ID)
			}
		}
	}
	want := desired(v, p, o)
	rights := v.layout.rights(want)
	for _, r := range want {
		if c, ok := r.(access.Credential); ok {
			if i := slices.IndexFunc(p.Cards, func(have Card) bool { return have.ID == c.ID }); i >= 0 {
				y.Credentials = append(y.Credentials, masked(p.Cards[i]))
			}
		}
	}
	for id, d := range v.layout.doors {
		if y.Door != "" && id != y.Door {
			continue
		}
		_, right := rights.doors[id]
		wd := WhyDoor{ID: id, Name: cmp.Or(d.Name, id), Kind: d.Kind, Opens: right && rights.keys > 0, Ways: []WhyWay{}}
		for _, g := range y.Groups {
			for _, grant := range v.layout.opens[g.ID] {
				if grant.Door == id {
					wd.Ways = append(wd.Ways, WhyWay{Group: g.ID, Schedule: grant.Schedule})
				}
			}
		}
		y.Opens = y.Opens || wd.Opens
		if len(wd.Ways) > 0 || y.Door != "" {
			y.Doors = append(y.Doors, wd)
		}
	}
	slices.SortFunc(y.Doors, func(a, b WhyDoor) int { return strings.Compare(a.ID, b.ID) })
	return nil
}

// whyProgress fills in how far the building is.
func (w *work) whyProgress(y *Why, row SiteRow, person string) error {
	records, err := w.tx.Records([]string{person})
	if err != nil {
		return err
	}
	told := false
	y.Progress.Told = Position{Epoch: row.Head.Epoch}
	for _, r := range records {
		if r.Site == row.ID {
			told = true
			y.Progress.Told.Seq = max(y.Progress.Told.Seq, r.Seq)
		}
	}
	if y.Progress.Pending, err = w.tx.IsDirty(w.org.ID, person); err != nil {
		return err
	}
	st, err := w.tx.SiteState(row.ID)
	if err != nil {
		return err
	}
	seq := y.Progress.Told.Seq
	if !told { // what it was told last is that there is nobody: somewhere in all of it
		seq = row.Head.Seq
	}
	y.Progress.Behind = row.Head.Seq
	if st.Applied.Epoch == row.Head.Epoch {
		y.Progress.Behind -= min(st.Applied.Seq, row.Head.Seq)
		y.Progress.Acknowledged = st.Applied.Seq >= seq
	}
	if told && seq > 0 {
		written, acked, err := w.tx.LogTimes(row.ID, row.Head.Epoch, seq)
		if err == nil {
			y.Progress.ToldAt, y.Progress.AckedAt = written, acked
		} else if !errors.Is(err, ErrNotFound) { // an old entry is forgotten
			return err
		}
	}
	for _, c := range st.Proof {
		y.Proof = append(y.Proof, WhyController{
			Controller: c.Controller, Since: c.Since,
			Proven: c.Equal && c.Epoch == row.Head.Epoch && c.Seq >= seq,
		})
	}
	return nil
}
