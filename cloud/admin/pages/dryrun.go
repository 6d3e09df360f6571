package pages

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"latchkey/cloud"
)

// mostNamed is how many people a dry run names on a page.
const mostNamed = 200

// A dryRun is what a change would do at a property, for the part "dryrun".
type dryRun struct {
	cloud.Preview
	names *siteItems
	Past  bool // of what is decided: nothing may go any more
}

// newDryRun puts those who lose doors first.
func newDryRun(p cloud.Preview, names *siteItems) dryRun {
	p.People = slices.Clone(p.People)
	slices.SortStableFunc(p.People, func(a, b cloud.PersonEffect) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.Name, b.Name))
	})
	return dryRun{Preview: p, names: names}
}

// rank orders people by what a change does to them, the worst first.
func rank(e cloud.PersonEffect) int {
	switch {
	case len(e.Loses) > 0:
		return 0
	case len(e.Gains) > 0:
		return 1
	}
	return 2
}

// Nothing says that nobody's access changes.
func (d dryRun) Nothing() bool {
	return d.Gain == cloud.Tally{} && d.Lose == cloud.Tally{} && d.Hours == cloud.Tally{} && d.Roles == 0
}

// DoorNames are the doors of ids, in a line.
func (d dryRun) DoorNames(ids []string) string {
	names := make([]string, 0, len(ids))
	for _, id := range ids {
		names = append(names, d.names.DoorName(id))
	}
	return strings.Join(names, ", ")
}

// Besides says that there is something to note about somebody.
func (d dryRun) Besides() bool {
	return slices.ContainsFunc(d.People, func(e cloud.PersonEffect) bool { return len(d.Notes(e)) > 0 })
}

// Notes are what there is to say of somebody but doors that come and go.
func (d dryRun) Notes(e cloud.PersonEffect) (notes []string) {
	if len(e.Hours) > 0 {
		notes = append(notes, "other hours at "+d.DoorNames(e.Hours))
	}
	if e.Role != nil {
		role := func(v any) string {
			name, _ := v.(string)
			return cmp.Or(name, "none")
		}
		notes = append(notes, "role: "+role(e.Role.Before)+" → "+role(e.Role.After))
	}
	if len(e.Gains) > 0 && e.Credentials == 0 {
		notes = append(notes, "has no card yet that works: no door opens")
	}
	return notes
}

// Guarded says how much of the property's access may go unasked.
func (d dryRun) Guarded() string {
	text := fmt.Sprintf("The property has %s now; up to %d may go within an hour before somebody is asked", count(d.Openings, "opening", "openings"), d.Limit)
	if d.Lost > 0 {
		text += fmt.Sprintf(", and %d of them went or wait to go already", d.Lost)
	}
	return text + "."
}
