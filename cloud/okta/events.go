package okta

import (
	"slices"
	"strings"
)

// eventTypes are the entries of the System Log after which an object is read
// again. All of them can be sent by event hooks as well.
func eventTypes() []string {
	return []string{
		"user.lifecycle.create", "user.lifecycle.activate", "user.lifecycle.reactivate", "user.lifecycle.suspend",
		"user.lifecycle.unsuspend", "user.lifecycle.deactivate", "user.lifecycle.delete.initiated", "user.account.update_profile",
		"group.user_membership.add", "group.user_membership.remove", "group.profile.update", "group.lifecycle.create", "group.lifecycle.delete",
	}
}

// eventFilter asks for those types alone: a busy organisation's log is nearly
// all sign-ins.
func eventFilter() string {
	types := eventTypes()
	for i, t := range types {
		types[i] = `eventType eq "` + t + `"`
	}
	return strings.Join(types, " or ")
}

// pings are the objects that events name, each once.
type pings struct {
	users, groups []string
}

// add takes in the objects of events whose types matter.
func (p *pings) add(events []Event) {
	known := eventTypes()
	for _, e := range events {
		if !slices.Contains(known, e.EventType) {
			continue
		}
		for _, t := range e.Target {
			switch {
			case checkID(t.ID) != nil:
			case t.Type == "User" && !slices.Contains(p.users, t.ID):
				p.users = append(p.users, t.ID)
			case t.Type == "UserGroup" && !slices.Contains(p.groups, t.ID):
				p.groups = append(p.groups, t.ID)
			}
		}
	}
}

func (p *pings) empty() bool { return len(p.users)+len(p.groups) == 0 }
