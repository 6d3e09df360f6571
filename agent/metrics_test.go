package agent

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"latchkey/cache"
	"latchkey/controller"
	"latchkey/wiegand"
)

// The metrics' names are promises to dashboards and alerts, and no label may
// tell of a card or a person.
func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := cache.Options{Dir: t.TempDir(), Key: cacheKey}
		db, events := must(cache.Open(t.Context(), opts)), must(cache.OpenEvents(t.Context(), opts))
		defer db.Close()
		defer events.Close()
		reg := prometheus.NewPedanticRegistry()
		door := &lock{name: "bus-1", door: front, table: &controller.TableStatus{Wanted: 2, Held: 1, Behind: 1}}
		a := must(New(Options{Site: "hq", Cache: db, Events: events, Link: &wire{in: make(chan Inbound)}, Registry: reg,
			Drivers: drivers(door), Cards: Cards{Uses: []wiegand.Use{{Format: h10301()}}}}))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.Run(ctx) }()
		synctest.Wait()
		if door.opens(t, 1) {
			t.Error("the door opened")
		}
		problems, err := testutil.GatherAndLint(reg)
		if err != nil || len(problems) > 0 {
			t.Errorf("lint: %v %v", problems, err)
		}
		want := `
# HELP latchkey_controller_behind_changes Changes that the controller is not proven to hold.
# TYPE latchkey_controller_behind_changes gauge
latchkey_controller_behind_changes{controller="bus-1"} 1
# HELP latchkey_decisions_total Cards that the agent decided on.
# TYPE latchkey_decisions_total counter
latchkey_decisions_total{result="denied"} 1
latchkey_decisions_total{result="granted"} 0
# HELP latchkey_cache_ready 1 while the site holds a verified state.
# TYPE latchkey_cache_ready gauge
latchkey_cache_ready 0
`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "latchkey_controller_behind_changes", "latchkey_decisions_total", "latchkey_cache_ready"); err != nil {
			t.Error(err)
		}
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					if n := l.GetName(); n != "controller" && n != "reader" && n != "result" && n != "version" {
						t.Errorf("%s has the label %q", f.GetName(), n)
					}
				}
			}
		}
		if _, err := New(Options{Site: "hq", Cache: db, Events: events, Link: &wire{}, Registry: reg}); err == nil {
			t.Error("two agents in one registry: want an error")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
