// Package signin is who is at the admin's pages: one-time codes, the
// organisation's own accounts by OpenID Connect, and sessions.
package signin

import (
	"errors"
	"slices"

	"latchkey/cloud"
)

// A Role is what somebody may do at the pages of one organisation.
type Role string

// The roles, from the least. A viewer sees, an admin changes, and an owner also
// decides who gets in: tokens, administrators, sign-in.
const (
	Viewer Role = "viewer"
	Admin  Role = "admin"
	Owner  Role = "owner"
)

// ranks are the roles from the least.
func ranks() []Role { return []Role{Viewer, Admin, Owner} }

// AtLeast says whether whoever is r may do what other may. A Role that is none
// of the three may do nothing, and nobody may do what is for such a one.
func (r Role) AtLeast(other Role) bool {
	have, want := slices.Index(ranks(), r), slices.Index(ranks(), other)
	return want >= 0 && have >= want
}

// A Visitor is who is signed in.
type Visitor struct {
	Org   string // id
	Name  string // for people
	Email string // folded; empty for who came by a code
	Role  Role
	Actor cloud.Actor // in the audit trail: "ann@example.com (owner)", "sign-in code K7Q2 (owner)"
}

// ErrSignedOut says that nobody is signed in: there was no session, or it is
// over.
var ErrSignedOut = errors.New("signin: signed out")
