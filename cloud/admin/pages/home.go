package pages

import (
	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

func (s *server) homeRoutes() {
	s.get("{$}", signin.Viewer, home)
}

// An overview is what the first page shows.
type overview struct {
	Sync       cloud.SyncStatus
	Holds      []holdLine
	Properties []propertyLine
	Why        whySearch
}

// A propertyLine is one property and how far its building is.
type propertyLine struct {
	cloud.PropertyStatus
	State buildingState
}

func home(c *call) (answer, error) {
	o := overview{}
	var err error
	if o.Sync, err = c.cloud.SyncStatus(c.Context(), c.Org); err != nil {
		return nil, err
	}
	waiting, err := c.cloud.Holds(c.Context(), c.Org, true)
	if err != nil {
		return nil, err
	}
	if o.Holds, err = c.holdLines(waiting); err != nil {
		return nil, err
	}
	if o.Properties, err = propertyLines(c); err != nil {
		return nil, err
	}
	statuses := make([]cloud.PropertyStatus, len(o.Properties))
	for i, p := range o.Properties {
		statuses[i] = p.PropertyStatus
	}
	if o.Why.Places, err = placesOf(c, statuses); err != nil {
		return nil, err
	}
	return page{template: "home", title: "Overview", data: o}, nil
}

// propertyLines are all properties, each with the state of its building.
func propertyLines(c *call) ([]propertyLine, error) {
	all, err := c.cloud.Properties(c.Context(), c.Org)
	if err != nil {
		return nil, err
	}
	progress, err := c.cloud.Progress(c.Context(), c.Org)
	if err != nil {
		return nil, err
	}
	lines := make([]propertyLine, 0, len(all))
	for _, p := range all {
		lines = append(lines, propertyLine{p, building(progress[p.ID])})
	}
	return lines, nil
}

// A buildingState says in words how far a building is.
type buildingState struct {
	Good bool
	Text string
}

// building words how far a site's agent and its controllers are.
func building(st cloud.SiteStatus) buildingState {
	switch {
	case st.LastUp.IsZero():
		return buildingState{Text: "Its gateway has never been heard of"}
	case st.LastNack != "" && st.LastNackAt.After(st.ProofAt):
		return buildingState{Text: "Its gateway refuses what it was sent: " + st.LastNack}
	case st.Applied != st.Head:
		return buildingState{Text: "Changes are on their way to it"}
	}
	for _, p := range st.Proof {
		if !p.Equal {
			return buildingState{Text: "Controller " + p.Controller + " does not hold all changes yet"}
		}
	}
	return buildingState{Good: true, Text: "Up to date"}
}
