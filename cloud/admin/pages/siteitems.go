package pages

import (
	"cmp"
	"errors"

	"latchkey/access"
	"latchkey/cloud"
)

// siteItems are what a property has, for pages that name it by id.
type siteItems struct {
	Doors     []access.Door
	Groups    []cloud.AccessGroup
	Schedules []access.Schedule
	Rules     []cloud.Rule
}

// siteItems reads what a property has. One that is not there any more has
// nothing.
func (c *call) siteItems(site string) (s siteItems, err error) {
	if s.Doors, err = c.cloud.Doors(c.Context(), c.Org, site); errors.Is(err, cloud.ErrNotFound) {
		return siteItems{}, nil
	}
	if err == nil {
		s.Groups, err = c.cloud.AccessGroups(c.Context(), c.Org, site)
	}
	if err == nil {
		s.Schedules, err = c.cloud.Schedules(c.Context(), c.Org, site)
	}
	if err == nil {
		s.Rules, err = c.cloud.Rules(c.Context(), c.Org, site)
	}
	return s, err
}

// siteFrame is the frame of a tab, with what the property has:
// cloud.ErrNotFound.
func (c *call) siteFrame(tab string) (propertyFrame, siteItems, error) {
	f, err := c.frame(tab)
	if err != nil {
		return f, siteItems{}, err
	}
	items, err := c.siteItems(f.Property.ID)
	return f, items, err
}

// DoorName, GroupName, ScheduleName and RuleName are what people call a thing:
// its id where it has no name, or is gone.
func (s *siteItems) DoorName(id string) string {
	return named(s.Doors, id, func(d access.Door) (string, string) { return d.ID, d.Name })
}

func (s *siteItems) GroupName(id string) string {
	return named(s.Groups, id, func(g cloud.AccessGroup) (string, string) { return g.ID, g.Name })
}

func (s *siteItems) ScheduleName(id string) string {
	return named(s.Schedules, id, func(d access.Schedule) (string, string) { return d.ID, d.Name })
}

func (s *siteItems) RuleName(id string) string {
	return named(s.Rules, id, func(r cloud.Rule) (string, string) { return r.ID, r.Name })
}

func named[T any](all []T, id string, names func(T) (id, name string)) string {
	for _, v := range all {
		if i, name := names(v); i == id {
			return cmp.Or(name, id)
		}
	}
	return id
}
