package scim

import (
	"net/http"
	"testing"

	"latchkey/cloud"
)

// FakeToken opens the fake.
const FakeToken = fakeToken

// NewFakeHandler serves an empty directory in memory.
func NewFakeHandler(profile cloud.Profile, opts Options) http.Handler {
	dir := &fakeDirectory{profile: profile}
	return newHandler(dir, dir.updateGroup, opts)
}

// NewComparingHandler is NewFakeHandler. It fails t where splice and encode make
// different answers of a user, and counts the users that were spliced.
func NewComparingHandler(t *testing.T, profile cloud.Profile, spliced *int) http.Handler {
	c := spliceCall("http://cloud.example/scim/v2")
	dir := &fakeDirectory{profile: profile, sees: func(u cloud.User) {
		if c.compareSplice(t, u) {
			*spliced++
		}
	}}
	return newHandler(dir, dir.updateGroup, Options{})
}
