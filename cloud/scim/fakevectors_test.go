package scim_test

import (
	"net/http/httptest"
	"testing"

	"latchkey/cloud"
	"latchkey/cloud/scim"
)

// TestVectors plays what Entra ID and Okta send, both dialects of each, in an
// organisation whose profile is set and in one that has the service tell them
// apart.
func TestVectors(t *testing.T) {
	for _, profile := range []cloud.Profile{cloud.ProfileAuto, cloud.ProfileEntra, cloud.ProfileOkta} {
		t.Run("profile "+string(profile), func(t *testing.T) {
			spliced := 0
			server := httptest.NewServer(scim.NewComparingHandler(t, profile, &spliced))
			defer server.Close()
			playAll(t, server.URL+"/scim/v2", scim.FakeToken)
			if spliced < 100 {
				t.Errorf("%d users were spliced: this test would compare too little", spliced)
			}
		})
	}
}
