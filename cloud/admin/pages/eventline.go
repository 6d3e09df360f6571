package pages

import "latchkey/cloud"

// An eventLine is one event of a building in words.
type eventLine struct {
	cloud.SiteEvent
	Good     bool // nothing is to be done
	DoorName string
	Name     string // of the person; empty where nobody is known, or they are gone
}
