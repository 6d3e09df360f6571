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
	Users  []string `json:"users,omitempty"`
	Groups []string `json:"groups,omitempty"`
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
			case t.Type == "User":
				p.Users = with(p.Users, t.ID)
			case t.Type == "UserGroup":
				p.Groups = with(p.Groups, t.ID)
			}
		}
	}
}

// with is ids with all of more, each once.
func with(ids []string, more ...string) []string {
	for _, id := range more {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (p *pings) empty() bool { return len(p.Users)+len(p.Groups) == 0 }
