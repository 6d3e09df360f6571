package okta

import "strings"

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
