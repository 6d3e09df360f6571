package controller_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/controller"
	"latchkey/osdp"
	"latchkey/osdp/osdptest"
)

// TestStatusOfALine: what a reader does wrong is on the page within a minute,
// and gone a while after it stops.
func TestStatusOfALine(t *testing.T) {
	for _, tt := range []struct {
		name string
		lie  osdptest.Lie
		want string
	}{
		{"twin", osdptest.Repeat, "Two readers answer at address 5."},
		{"echo", osdptest.Echo, "The adapter hears itself."},
		{"panel", osdptest.NotReply, "Another controller asks the readers on this line."},
		{"late", osdptest.Late, "Its answers come too late"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			runOSDP(t, 0, func(t *testing.T, b *bench, _ func() []controller.Event) {
				remarks := func() string {
					var all []string
					s := b.driver.Status()
					for _, r := range append(s.Line.Remarks, s.Readers[0].Remarks...) {
						all = append(all, r.Text)
					}
					return strings.Join(all, " ")
				}
				if got := remarks(); got != "" {
					t.Errorf("at first: %s", got)
				}
				for range 5 {
					b.pd.Lie(tt.lie, 20)
					for b.pd.Lies() > 0 {
						time.Sleep(time.Second)
					}
				}
				if got := remarks(); !strings.Contains(got, tt.want) {
					t.Errorf("remarks %q, want %q", got, tt.want)
				}
				time.Sleep(75 * time.Second)
				if got := remarks(); got != "" {
					t.Errorf("a minute after: %s", got)
				}
			})
		})
	}
}

// TestStatusFigures: the figures of a reader and of its line are those of the
// bus, by names that scripts may rely on.
func TestStatusFigures(t *testing.T) {
	runOSDP(t, 0, func(t *testing.T, b *bench, _ func() []controller.Event) {
		b.pd.Lie(osdptest.Corrupt, 2)
		b.pd.Lie(osdptest.Repeat, 3)
		b.pd.Lie(osdptest.Refuse, 1)
		b.pd.Queue(osdp.ISTATR{0, 0, 0}) // of two
		time.Sleep(5 * time.Second)
		s := b.driver.Status()
		r, bus := s.Readers[0], b.driver.Quality()[0]
		if !r.Online || r.Secure || !r.Clear || r.Encryption != "not encrypted: the site file allows it" {
			t.Errorf("reader %+v, want a clear one that says so", r)
		}
		if r.CRCErrors != 2 || r.Quality.Answers != bus.Latency.Count() || r.Quality.Strays[controller.StrayUnasked] != 3 || r.Quality.NAKs["4"] == 0 {
			t.Errorf("quality %+v of %+v", r.Quality, bus)
		}
		if want := map[string]uint64{controller.OddInputs: 1}; !maps.Equal(r.Quality.Odd, want) {
			t.Errorf("odd answers %v, want %v", r.Quality.Odd, want)
		}
		h := s.Line.Replies
		if h.Count != bus.Latency.Count() || h.Sum != bus.Latency.Sum.Seconds() || len(h.Buckets) != len(bus.Latency.Counts)-1 || h.Buckets[0.512] != h.Count {
			t.Errorf("histogram %+v of %+v", h, bus.Latency)
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{`"secure":false`, `"encryption":`, `"quality":{"answers":`, `"reply_p99_seconds":`, `"worst_poll_gap_seconds":`, `"naks":{"4":1}`,
			`"mac_errors":0`, `"clear_replies":0`, `"handshakes_refused":0`, `"strays":{"unasked":3}`} {
			if !strings.Contains(string(text), name) {
				t.Errorf("the JSON has no %s: %s", name, text)
			}
		}
	})
}

// TestStatusOfTheChannel: a reader in a channel is encrypted, one that is not
// served is not, and neither may be clear.
func TestStatusOfTheChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newSecureBench(t)
		b.start(osdptest.NewPD(osdptest.Config{Addr: 5, Outputs: 2, InstallMode: true}))
		if r := b.reader(); r.Secure || r.Clear || r.Encryption != "no encrypted line now" {
			t.Errorf("without a key: %+v", r)
		}
		if err := b.within(time.Minute, b.driver.Install); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if r := b.reader(); !r.Secure || r.Clear || r.Encryption != controller.Encrypted || r.Quality.Handshakes != 2 {
			t.Errorf("with a key: %+v, %+v", r, r.Quality)
		}
		b.stop()
	})
}

// TestStatusOfAPort: a line whose adapter is not there says so.
func TestStatusOfAPort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := controller.NewOSDP(controller.OSDPConfig{Name: "line", Readers: []controller.OSDPReader{{Name: "front reader", Addr: 5, Door: "front"}},
			Open: func(context.Context) (osdp.Port, error) { return nil, errors.New("no such adapter") }})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		done := make(chan error)
		go func() {
			done <- d.Run(ctx, func(context.Context, controller.Event) error { return nil })
		}()
		time.Sleep(time.Second)
		if s := d.Status(); !strings.Contains(s.Problem, "no such adapter") {
			t.Errorf("problem %q, want that of the port", s.Problem)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
