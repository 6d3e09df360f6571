package scim_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"latchkey/cloud"
)

// TestScim2Tester lets scim2-tester, a conformance tester of others, check a
// strict organisation of a real cloud. scripts/deps installs it.
func TestScim2Tester(t *testing.T) {
	t.Parallel()
	python, err := filepath.Abs("../../.cache/venv-scim/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(python); err != nil {
		t.Skip("scim2-tester is not installed (make deps): ", err)
	}
	c := newCloud(t, cloud.Org{ID: "acme", Name: "Acme", Profile: cloud.ProfileStrict})[0]
	out, err := exec.CommandContext(t.Context(), python, "testdata/conformance.py", c.base, c.token).CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	t.Log(lines[len(lines)-1])
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
