package pages

import (
	"errors"

	"latchkey/cloud"
)

// An eventLine is one event of a building in words.
type eventLine struct {
	cloud.SiteEvent
	Good     bool // nothing is to be done
	DoorName string
	Name     string // of the person; empty where nobody is known, or they are gone
}

// personName is what somebody is called; names has those that were asked for.
func personName(c *call, names map[string]string, id string) (string, error) {
	if name, ok := names[id]; ok {
		return name, nil
	}
	p, err := c.cloud.Person(c.Context(), c.Org, id)
	switch {
	case err == nil:
		names[id] = nameOf(p)
	case errors.Is(err, cloud.ErrNotFound):
		names[id] = ""
	default:
		return "", err
	}
	return names[id], nil
}
