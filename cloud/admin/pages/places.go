package pages

import (
	"cmp"
	"strings"

	"latchkey/access"
	"latchkey/cloud"
)

// mostPlaces is how many doors a list to choose from has at most. Above it, it
// has properties alone, and the next page asks for the door.
const mostPlaces = 300

// places are properties with their doors to choose one from. A place is
// written SITE, which is any door of it, or SITE/DOOR.
type places []place

type place struct {
	ID, Name string
	Doors    []access.Door
}

// placesOf reads the doors of properties, as far as they are few enough to
// choose from.
func placesOf(c *call, properties []cloud.PropertyStatus) (places, error) {
	doors, err := c.cloud.SomeDoors(c.Context(), c.Org, mostPlaces)
	if err != nil {
		return nil, err
	}
	all := make(places, 0, len(properties))
	for _, p := range properties {
		all = append(all, place{ID: p.ID, Name: cmp.Or(p.Name, p.ID), Doors: doors[p.ID]})
	}
	return all, nil
}

// splitPlace cuts SITE/DOOR; door is empty for any door.
func splitPlace(text string) (site, door string) {
	site, door, _ = strings.Cut(text, "/")
	return site, door
}
