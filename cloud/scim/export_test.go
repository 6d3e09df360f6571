package scim

import (
	"net/http"

	"latchkey/cloud"
)

// FakeToken opens the fake.
const FakeToken = fakeToken

// NewFakeHandler serves an empty directory in memory.
func NewFakeHandler(profile cloud.Profile, opts Options) http.Handler {
	dir := &fakeDirectory{profile: profile}
	return newHandler(dir, dir.updateGroup, opts)
}
