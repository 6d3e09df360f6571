package packaging_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"

	"latchkey/agent"
	"latchkey/cache"
)

const rulesFile = "prometheus/latchkey.rules.yml"

// A rule is one alert of the rules file.
type rule struct {
	Alert       string
	Expr        string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

func rules(t *testing.T) (all []rule) {
	t.Helper()
	text, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string
			Rules []rule
		}
	}
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	return all
}

// A described is a registry that only takes the names of metrics.
type described map[string]bool

func (d described) Register(c prometheus.Collector) error {
	ch := make(chan *prometheus.Desc)
	go func() { c.Describe(ch); close(ch) }()
	for desc := range ch {
		if m := regexp.MustCompile(`fqName: "([^"]+)"`).FindStringSubmatch(desc.String()); m != nil {
			d[m[1]] = true
		}
	}
	return nil
}

func (d described) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		d.Register(c)
	}
}

func (described) Unregister(prometheus.Collector) bool { return false }

// A noLink is a cloud that is never heard.
type noLink struct{ agent.Link }

// agentMetrics are the names of all metrics that an agent has.
func agentMetrics(t *testing.T) described {
	t.Helper()
	opts := cache.Options{Dir: t.TempDir(), Key: make([]byte, 32)}
	db, err := cache.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	events, err := cache.OpenEvents(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { events.Close() })
	names := described{}
	if _, err := agent.New(agent.Options{Site: "hq", Cache: db, Events: events, Link: noLink{}, Registry: names}); err != nil {
		t.Fatal(err)
	}
	return names
}

// TestAlerts: every alert is about metrics that the agent has, says how bad it
// is, and has a page in the operators' manual.
func TestAlerts(t *testing.T) {
	manual, err := os.ReadFile("../docs/manual/operator.md")
	if err != nil {
		t.Fatal(err)
	}
	metrics := agentMetrics(t)
	all := rules(t)
	if len(all) < 5 {
		t.Errorf("%d alerts, want 5 at least", len(all))
	}
	for _, r := range all {
		used := regexp.MustCompile(`latchkey_[a-z_]+`).FindAllString(r.Expr, -1)
		if len(used) == 0 {
			t.Errorf("%s looks at no metric: %s", r.Alert, r.Expr)
		}
		for _, name := range used {
			if !metrics[name] && !metrics[strings.TrimSuffix(name, "_count")] {
				t.Errorf("%s looks at %s, which the agent does not have", r.Alert, name)
			}
		}
		if s := r.Labels["severity"]; s != "warning" && s != "critical" {
			t.Errorf("%s has the severity %q, want warning or critical", r.Alert, s)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s has no summary or no description", r.Alert)
		}
		if want := "docs/manual/operator.md#" + strings.ToLower(r.Alert); r.Annotations["runbook"] != want {
			t.Errorf("%s: runbook %q, want %q", r.Alert, r.Annotations["runbook"], want)
		}
		if !strings.Contains(string(manual), "\n### "+r.Alert+"\n") {
			t.Errorf("docs/manual/operator.md has no part %q", "### "+r.Alert)
		}
	}
}

// TestAlertsFire has Prometheus's own tool judge the rules, and play the series
// of their tests.
func TestAlertsFire(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		if promtool, err = filepath.Abs("../.cache/prometheus/usr/bin/promtool"); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(promtool); err != nil {
			t.Skip("no promtool here; scripts/promtool gets it from Debian's package")
		}
	}
	for _, args := range [][]string{{"check", "rules", filepath.Base(rulesFile)}, {"test", "rules", "latchkey.rules.test.yml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = "prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
