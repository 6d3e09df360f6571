package signin_test

import (
	"testing"

	"latchkey/cloud/admin/signin"
)

func TestRolesAreInOrder(t *testing.T) {
	order := []signin.Role{signin.Viewer, signin.Admin, signin.Owner}
	for i, r := range order {
		for j, other := range order {
			if got, want := r.AtLeast(other), i >= j; got != want {
				t.Errorf("%s at least %s: %v, want %v", r, other, got, want)
			}
		}
	}
	for _, none := range []signin.Role{"", "root", "Owner", "owner "} {
		for _, r := range order {
			if none.AtLeast(r) {
				t.Errorf("%q is at least %s", none, r)
			}
			if r.AtLeast(none) {
				t.Errorf("%s is at least %q", r, none)
			}
		}
		if none.AtLeast(none) {
			t.Errorf("%q is at least itself", none)
		}
	}
}
