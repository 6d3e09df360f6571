package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
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
					if !slices.Contains([]string{"controller", "reader", "result", "version", "code", "kind"}, l.GetName()) {
						t.Errorf("%s has the label %q", f.GetName(), l.GetName())
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

// A still is a driver that looks as the test wants it.
type still struct {
	lock
	status controller.Status
}

func (s *still) Status() controller.Status { return s.status }

// registryOf has the metrics of a site with these controllers, and those of the
// program that serves them.
func registryOf(t *testing.T, cs ...controller.Status) *prometheus.Registry {
	t.Helper()
	opts := cache.Options{Dir: t.TempDir(), Key: cacheKey}
	db, events := must(cache.Open(t.Context(), opts)), must(cache.OpenEvents(t.Context(), opts))
	t.Cleanup(func() { db.Close(); events.Close() })
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var all []controller.Driver
	for _, c := range cs {
		all = append(all, &still{lock: lock{name: c.Name}, status: c})
	}
	must(New(Options{Site: "hq", Cache: db, Events: events, Link: &wire{}, Registry: reg, Drivers: all}))
	return reg
}

// replies are n answers, half within a millisecond.
func replies(n uint64) controller.Histogram {
	h := controller.Histogram{Buckets: map[float64]uint64{}, Count: n, Sum: float64(n) * 0.002}
	for i := range 11 {
		h.Buckets[0.0005*float64(int(1)<<i)] = n
	}
	h.Buckets[0.0005], h.Buckets[0.001] = 0, n/2
	return h
}

// TestReaderMetrics holds the metrics of lines and readers to the letter: alerts
// and dashboards are made of these names.
func TestReaderMetrics(t *testing.T) {
	reg := registryOf(t, controller.Status{
		Name: "bus-1", Online: true,
		Line: &controller.LineStatus{Replies: replies(10), WorstPollGap: 0.25, Handshakes: 2, Strays: map[string]uint64{controller.StrayLate: 4}},
		Readers: []controller.ReaderStatus{
			{Name: "front", Online: true, Secure: true, Retries: 6, CRCErrors: 5, Quality: &controller.Quality{Handshakes: 1, NAKs: map[string]uint64{"3": 2, controller.NAKOther: 1}}},
			{Name: "yard", Address: 1, Online: true, Clear: true, Tamper: true, Quality: &controller.Quality{}},
			{Name: "yard-out", Address: 1, Online: true, Clear: true, Quality: &controller.Quality{Busy: 1}, Retries: 9}, // another head
			{Name: "lab", Address: 2, Problem: "It has another key.", Quality: &controller.Quality{MACErrors: 11, ClearReplies: 12, RefusedHandshakes: 13}},
		},
	})
	want := `
# HELP latchkey_line_handshakes_total Secure channels that came up.
# TYPE latchkey_line_handshakes_total counter
latchkey_line_handshakes_total{controller="bus-1"} 2
# HELP latchkey_line_reply_seconds Time from a command to the end of its answer.
# TYPE latchkey_line_reply_seconds histogram
latchkey_line_reply_seconds_bucket{controller="bus-1",le="0.0005"} 0
latchkey_line_reply_seconds_bucket{controller="bus-1",le="0.001"} 5
latchkey_line_reply_seconds_bucket{controller="bus-1",le="0.002"} 10
latchkey_line_reply_seconds_bucket{controller="bus-1",le="0.004"} 10
latchkey_line_reply_seconds_bucket{controller="bus-1",le="0.008"} 10
latchkey_line_reply_seconds_bucket{controller="bus-1",le="0.016"} 10
latchkey_line_reply_seconds_bucket{controller="bus-1",le="0.032"} 10
latchkey_line_reply_seconds_bucket{controller="bus-1",le="0.064"} 10
latchkey_line_reply_seconds_bucket{controller="bus-1",le="0.128"} 10
latchkey_line_reply_seconds_bucket{controller="bus-1",le="0.256"} 10
latchkey_line_reply_seconds_bucket{controller="bus-1",le="0.512"} 10
latchkey_line_reply_seconds_bucket{controller="bus-1",le="+Inf"} 10
latchkey_line_reply_seconds_sum{controller="bus-1"} 0.02
latchkey_line_reply_seconds_count{controller="bus-1"} 10
# HELP latchkey_line_stray_frames_total What came on the line and was no answer: echo, other_panel, foreign, late or unasked.
# TYPE latchkey_line_stray_frames_total counter
latchkey_line_stray_frames_total{controller="bus-1",kind="late"} 4
# HELP latchkey_line_worst_poll_gap_seconds The longest time that a reader which is online was not asked, since the start.
# TYPE latchkey_line_worst_poll_gap_seconds gauge
latchkey_line_worst_poll_gap_seconds{controller="bus-1"} 0.25
# HELP latchkey_reader_clear_replies_total Answers without encryption where it is wanted; they are not believed.
# TYPE latchkey_reader_clear_replies_total counter
latchkey_reader_clear_replies_total{controller="bus-1",reader="lab"} 12
# HELP latchkey_reader_crc_errors_total Answers that came damaged.
# TYPE latchkey_reader_crc_errors_total counter
latchkey_reader_crc_errors_total{controller="bus-1",reader="front"} 5
# HELP latchkey_reader_mac_errors_total Answers in the reader's name that were not authentic.
# TYPE latchkey_reader_mac_errors_total counter
latchkey_reader_mac_errors_total{controller="bus-1",reader="lab"} 11
# HELP latchkey_reader_naks_total Commands that the reader refused, by the code that it gave, in decimal: those of OSDP and of SIA, or other.
# TYPE latchkey_reader_naks_total counter
latchkey_reader_naks_total{code="3",controller="bus-1",reader="front"} 2
latchkey_reader_naks_total{code="other",controller="bus-1",reader="front"} 1
# HELP latchkey_reader_online 1 while the reader answers, and is served.
# TYPE latchkey_reader_online gauge
latchkey_reader_online{controller="bus-1",reader="front"} 1
latchkey_reader_online{controller="bus-1",reader="lab"} 0
latchkey_reader_online{controller="bus-1",reader="yard"} 1
latchkey_reader_online{controller="bus-1",reader="yard-out"} 1
# HELP latchkey_reader_refused_handshakes_total Secure channels that did not come up.
# TYPE latchkey_reader_refused_handshakes_total counter
latchkey_reader_refused_handshakes_total{controller="bus-1",reader="lab"} 13
# HELP latchkey_reader_retries_total Commands that had to be said again.
# TYPE latchkey_reader_retries_total counter
latchkey_reader_retries_total{controller="bus-1",reader="front"} 6
# HELP latchkey_reader_secure 1 while the reader's line is encrypted with its own key.
# TYPE latchkey_reader_secure gauge
latchkey_reader_secure{controller="bus-1",reader="front"} 1
latchkey_reader_secure{controller="bus-1",reader="lab"} 0
latchkey_reader_secure{controller="bus-1",reader="yard"} 0
latchkey_reader_secure{controller="bus-1",reader="yard-out"} 0
# HELP latchkey_reader_tamper 1 while the reader reports that somebody is at its housing.
# TYPE latchkey_reader_tamper gauge
latchkey_reader_tamper{controller="bus-1",reader="front"} 0
latchkey_reader_tamper{controller="bus-1",reader="lab"} 0
latchkey_reader_tamper{controller="bus-1",reader="yard"} 1
latchkey_reader_tamper{controller="bus-1",reader="yard-out"} 0
# HELP latchkey_reader_untrusted 1 while the reader answers, and is not served because it is not trusted.
# TYPE latchkey_reader_untrusted gauge
latchkey_reader_untrusted{controller="bus-1",reader="front"} 0
latchkey_reader_untrusted{controller="bus-1",reader="lab"} 1
latchkey_reader_untrusted{controller="bus-1",reader="yard"} 0
latchkey_reader_untrusted{controller="bus-1",reader="yard-out"} 0
`
	var names []string
	for _, f := range must(reg.Gather()) {
		if strings.HasPrefix(f.GetName(), "latchkey_line_") || strings.HasPrefix(f.GetName(), "latchkey_reader_") && f.GetName() != "latchkey_reader_overflow_total" {
			names = append(names, f.GetName())
		}
	}
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("lint: %v %v", problems, err)
	}
}

// TestSeries: a big site's agent has few series, those of its program included.
func TestSeries(t *testing.T) {
	var cs []controller.Status
	for line := range 4 {
		c := controller.Status{Name: fmt.Sprintf("bus-%d", line), Line: &controller.LineStatus{Replies: replies(1000)}}
		for i := range 16 {
			c.Readers = append(c.Readers, controller.ReaderStatus{Name: fmt.Sprintf("r%d-%d", line, i), Address: uint8(i), Online: true, Secure: true,
				Quality: &controller.Quality{NAKs: map[string]uint64{"3": 1}}}) // most refuse something
		}
		cs = append(cs, c)
	}
	reg := registryOf(t, cs...)
	n := must(testutil.GatherAndCount(reg))
	for _, f := range must(reg.Gather()) { // of a histogram GatherAndCount counts one
		for _, m := range f.GetMetric() {
			if h := m.GetHistogram(); h != nil {
				n += len(h.GetBucket()) + 2
			}
			if s := m.GetSummary(); s != nil {
				n += len(s.GetQuantile()) + 1
			}
		}
	}
	t.Logf("%d series with 64 readers", n)
	if n > 500 {
		t.Errorf("%d series with 64 readers, want at most 500", n)
	}
}
