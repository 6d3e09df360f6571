package pages

import (
	"slices"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

// eventsOnPage is how many events of a building the page shows at a time.
const eventsOnPage = 50

func (s *server) buildingRoutes() { s.get("properties/{site}/building", signin.Viewer, aBuilding) }

// A buildingPage is how far a building is, and what happened there.
type buildingPage struct {
	propertyFrame
	Status  cloud.SiteStatus
	State   buildingState
	Behind  int // changes of the cloud that it has not confirmed; -1: its state is of another stream
	Losses  []lossLine
	Events  []eventLine
	Earlier uint64 // position before which the next page begins; 0 on the last one
	Later   bool   // not the newest
}

// A lossLine is how much access went of late, and why.
type lossLine struct {
	cloud.LossStatus
	Why string
}

func aBuilding(c *call) (answer, error) {
	f, err := c.frame("building")
	if err != nil {
		return nil, err
	}
	v := buildingPage{propertyFrame: f}
	if v.Status, err = c.cloud.SiteStatus(c.Context(), c.Org, f.Property.ID); err != nil {
		return nil, err
	}
	v.State, v.Behind = building(v.Status), behind(v.Status)
	for _, l := range v.Status.Losses {
		v.Losses = append(v.Losses, lossLine{l, causeText(l.Cause)})
	}
	if err := v.events(c); err != nil {
		return nil, err
	}
	return f.page("building", v), nil
}

// behind is how many changes the building has not confirmed.
func behind(st cloud.SiteStatus) int {
	if st.Applied.Epoch != st.Head.Epoch {
		return -1
	}
	return int(st.Head.Seq - min(st.Applied.Seq, st.Head.Seq))
}

// causeText words the cause of a loss.
func causeText(cause string) string {
	switch cause {
	case cloud.CauseChange:
		return "An administrator changed rules, groups, doors or schedules"
	case cloud.CauseDirectory:
		return "The directory changed groups, attributes or card numbers"
	}
	return "People or cards were disabled, suspended or deleted"
}

// events fills in the events before the position of the address, or the newest.
func (v *buildingPage) events(c *call) error {
	last := v.Status.Events
	before, err := optionalNumber("before", c.text("before"))
	if err == nil && before != nil && *before > 0 && *before <= last {
		last, v.Later = *before-1, true
	}
	from := last - min(last, eventsOnPage)
	all, err := c.cloud.SiteEvents(c.Context(), c.Org, v.Property.ID, from, int(max(last-from, 1)))
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(e cloud.SiteEvent) bool { return e.Pos > last }) // newer ones, which came just now
	if from > 0 {
		v.Earlier = from + 1
	}
	items, err := c.siteItems(v.Property.ID)
	if err != nil {
		return err
	}
	var people []string
	for _, e := range all {
		if e.Person != "" && !slices.Contains(people, e.Person) {
			people = append(people, e.Person)
		}
	}
	names, err := c.cloud.PeopleNames(c.Context(), c.Org, people)
	if err != nil {
		return err
	}
	for _, e := range slices.Backward(all) {
		line := eventLine{SiteEvent: e, Name: names[e.Person], Good: e.Granted || e.Kind != access.EventAccess && e.Why() == ""}
		if e.Door != "" {
			line.DoorName = items.DoorName(e.Door)
		}
		v.Events = append(v.Events, line)
	}
	return nil
}
