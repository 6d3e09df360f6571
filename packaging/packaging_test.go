package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func unit(t *testing.T) string {
	t.Helper()
	text, err := Files.ReadFile("latchkey-agent.service")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What the agent relies on, and what keeps it in its place.
func TestUnitDirectives(t *testing.T) {
	lines := strings.Split(unit(t), "\n")
	for _, want := range []string{
		"Type=notify", "WatchdogSec=30", "Restart=always", "RestartSec=1", "TimeoutStopSec=10", "StartLimitIntervalSec=0",
		"User=latchkey", "SupplementaryGroups=dialout", "StateDirectory=latchkey", "StateDirectoryMode=0700", "UMask=0077",
		"ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes", "NoNewPrivileges=yes", "DevicePolicy=closed", "CapabilityBoundingSet=",
		"SystemCallFilter=@system-service", "MemoryDenyWriteExecute=yes", "RestrictNamespaces=yes", "ProtectKernelTunables=yes", "ProtectClock=yes",
		"ExecStartPre=@EXEC@ check --config @CONFIG@", "ExecStart=@EXEC@ run --config @CONFIG@",
	} {
		found := false
		for _, l := range lines {
			found = found || l == want
		}
		if !found {
			t.Errorf("the unit does not say %s", want)
		}
	}
}

// Where systemd's own judgement can be had, it is asked for.
func TestUnitExposure(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Log("no systemd-analyze here: TestUnitDirectives stands alone")
		return
	}
	file := filepath.Join(t.TempDir(), "latchkey-agent.service")
	text := strings.NewReplacer("@EXEC@", "/usr/bin/latchkey-agent", "@CONFIG@", "/etc/latchkey/site.yaml").Replace(unit(t))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--no-pager", file).CombinedOutput()
	if err != nil {
		t.Fatalf("systemd-analyze: %v\n%s", err, out)
	}
	m := regexp.MustCompile(`exposure level for \S+: ([0-9.]+)`).FindSubmatch(out)
	if m == nil {
		t.Fatalf("systemd-analyze says no level:\n%s", out)
	}
	level, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil || level > 1.9 {
		t.Errorf("exposure level %s, want at most 1.9\n%s", m[1], out)
	}
	t.Logf("exposure level %v", level)
}
