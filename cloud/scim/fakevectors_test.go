package scim_test

import (
	"net/http/httptest"
	"testing"

	"latchkey/cloud"
	"latchkey/cloud/scim"
)

// TestVectors plays what Entra ID and Okta send, both dialects of each, with no
// profile set: the service tells them apart.
func TestVectors(t *testing.T) {
	server := httptest.NewServer(scim.NewFakeHandler(cloud.ProfileAuto, scim.Options{}))
	defer server.Close()
	playAll(t, server.URL+"/scim/v2", scim.FakeToken)
}
