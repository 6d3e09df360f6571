package building_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/access"
	"latchkey/building"
	"latchkey/osdp"
	"latchkey/wiegand"
)

var site = building.Config{
	Lines:       []building.Line{{Name: "bus", Site: "hq", Readers: []building.Reader{{Name: "front", Address: 1}, {Name: "lab", Address: 2}}}},
	Controllers: []building.Controller{{Name: "ctl", Site: "depot", Address: 1, Readers: []string{"dock"}}},
}

// serve runs the building of cfg, and a panel on its line that lets odd cards
// in, refuses even ones, and does not answer at all to a card of 34 bits.
func serve(t *testing.T, cfg building.Config, panel bool) *building.Building {
	t.Helper()
	if cfg.Dir == "" {
		cfg.Dir = t.TempDir()
	}
	b, err := building.Open(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var g sync.WaitGroup
	g.Go(func() {
		if err := b.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	if panel {
		line := panelLine(cfg.Dir)
		online := make(chan uint8, 2)
		g.Go(func() { runPanel(ctx, line, online) })
		for range 2 {
			<-online
		}
	}
	t.Cleanup(func() {
		cancel()
		g.Wait()
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func panelLine(dir string) *osdp.Line {
	bus := osdp.NewBus([]osdp.PDConfig{{Addr: 1, Security: osdp.AllowClear}, {Addr: 2, Security: osdp.AllowClear}}, osdp.Options{Poll: 5 * time.Millisecond, Baud: 115200})
	return osdp.NewLine(bus, func(context.Context) (osdp.Port, error) {
		return os.OpenFile(filepath.Join(dir, "dev", "bus"), os.O_RDWR, 0)
	}, nil)
}

func runPanel(ctx context.Context, line *osdp.Line, online chan<- uint8) {
	var acts sync.WaitGroup
	defer acts.Wait()
	line.Run(ctx, func(e osdp.Event) {
		switch e.Kind {
		case osdp.Online:
			online <- e.Addr
		case osdp.Card:
			if e.Bits == 34 {
				return
			}
			var cmd osdp.Command = osdp.LED{{Temporary: osdp.Blink{Code: osdp.LEDSet, On: time.Second, OnColor: osdp.Red}, Timer: time.Second}}
			if e.Data[len(e.Data)-1]&0x10 != 0 { // a bit of the number; see card
				cmd = osdp.OUT{{Output: 0, Action: osdp.OutputOnFor, Timer: time.Second}}
			}
			acts.Go(func() { line.Send(ctx, e.Addr, cmd) })
		}
	})
}

// card is an H10302 card: odd numbers have bit 35 set, which is 0x10 of the
// last byte.
func card(t *testing.T, n uint64) wiegand.Bits {
	t.Helper()
	cat, err := wiegand.Load()
	if err != nil {
		t.Fatal(err)
	}
	f, _ := cat.Lookup("H10302")
	b, err := f.Encode(map[string]uint64{"card": n})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestReaderSeesTheAgentsAnswer(t *testing.T) {
	b := serve(t, site, true)
	for _, tt := range []struct {
		number uint64
		want   string
	}{{4711, "granted"}, {4712, "denied"}, {4711, "granted"}} {
		o, err := b.Badge(t.Context(), "front", card(t, tt.number))
		if err != nil || o.Decision != tt.want || o.DecidedBy != access.ByAgent {
			t.Errorf("card %d: %+v, %v; want %s by the agent", tt.number, o, err, tt.want)
		}
	}
	if r := b.Readers()[0]; r.Granted != 2 || r.Denied != 1 || r.None != 0 {
		t.Errorf("the reader counts %+v", r)
	}
}

// TestSilenceIsNoAnswer holds a card to a reader that nobody answers at: the
// next card must not get the first one's answer.
func TestSilenceIsNoAnswer(t *testing.T) {
	b := serve(t, site, true)
	silent, err := wiegand.ParseBits("34:000000001")
	if err != nil {
		t.Fatal(err)
	}
	o, err := b.Badge(t.Context(), "lab", silent)
	if err != nil || o.Decision != "none" || o.DecidedBy != "" || o.LatencyMS < 2000 {
		t.Errorf("%+v, %v; want none after 2 s", o, err)
	}
	if o, err := b.Badge(t.Context(), "lab", card(t, 4712)); err != nil || o.Decision != "denied" {
		t.Errorf("the next card: %+v, %v; want denied", o, err)
	}
}

// TestCardIsTakenAway holds a card to a reader while no panel is there: a panel
// that comes later must not find it at the reader.
func TestCardIsTakenAway(t *testing.T) {
	cfg := site
	cfg.Dir = t.TempDir()
	b := serve(t, cfg, false)
	if o, err := b.Badge(t.Context(), "front", card(t, 4711)); err != nil || o.Decision != "none" {
		t.Fatalf("%+v, %v; want none", o, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	online := 0
	panelLine(cfg.Dir).Run(ctx, func(e osdp.Event) {
		switch e.Kind {
		case osdp.Card, osdp.StaleCard:
			t.Error("the card is still at the reader")
		case osdp.Online:
			if online++; online == 2 {
				cancel()
			}
		}
	})
	if online != 2 {
		t.Errorf("%d readers came online, want 2", online)
	}
}

func TestControllerDecidesByItself(t *testing.T) {
	b := serve(t, site, false)
	o, err := b.Badge(t.Context(), "dock", card(t, 4711))
	if err != nil || o.Decision != "denied" || o.DecidedBy != access.ByController {
		t.Errorf("%+v, %v; want denied by the controller, whose table is empty", o, err)
	}
	tables, err := b.Tables()
	if err != nil || len(tables) != 1 || len(tables[0].Keys) != 0 || tables[0].Denied != 1 {
		t.Errorf("%+v, %v; want one empty table that refused one card", tables, err)
	}
}

func TestBadConfig(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		cfg        building.Config
	}{
		{"nothing", "no readers", building.Config{}},
		{"two of a name", "want a name that no other reader has", building.Config{Lines: []building.Line{{Name: "b", Readers: []building.Reader{{Name: "x", Address: 1}, {Name: "x", Address: 2}}}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.cfg.Dir = t.TempDir()
			if _, err := building.Open(tt.cfg, nil); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Open: %v, want %q", err, tt.want)
			}
		})
	}
}

// TestBadgeCommand runs what a user types, against a building and a site's
// event log.
func TestBadgeCommand(t *testing.T) {
	log := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/events" || r.URL.Query().Get("reader") != "dock" {
			http.NotFound(w, r)
			return
		}
		json.NewEncoder(w).Encode([]access.Event{{Reason: access.UnknownCard}})
	}))
	defer log.Close()
	cfg := site
	cfg.EventLogs = map[string]string{"depot": log.URL}
	b := serve(t, cfg, true)
	api := httptest.NewServer(b.Handler())
	defer api.Close()
	for _, tt := range []struct {
		name string
		args []string
		code int
		want string // in what is printed
	}{
		{"denied", []string{"--reader", "dock", "--number", "4711"}, 3, `{"decision":"denied","reason":"unknown card","decided_by":"controller"`},
		{"granted", []string{"--reader", "front", "--number", "4711"}, 0, `{"decision":"granted","reason":"unknown","decided_by":"agent"`},
		{"no such reader", []string{"--reader", "attic", "--number", "1"}, 1, `no reader "attic"; there are [front lab dock]`},
		{"no such format", []string{"--reader", "dock", "--format", "H9", "--number", "1"}, 1, `format "H9"`},
		{"facility where there is none", []string{"--reader", "dock", "--facility", "3", "--number", "1"}, 1, "facility"},
		{"no number", []string{"--reader", "dock"}, 2, "missing flags: --number"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			code := building.Main(t.Context(), append([]string{"badge", "--url", api.URL}, tt.args...), &out, &out)
			if code != tt.code || !strings.Contains(out.String(), tt.want) {
				t.Errorf("exit %d, printed %s; want %d and %q", code, out.String(), tt.code, tt.want)
			}
		})
	}
}

func TestAPIRefusesWhatItCannotRead(t *testing.T) {
	b := serve(t, site, false)
	api := httptest.NewServer(b.Handler())
	defer api.Close()
	for _, tt := range []struct {
		body, want string
		code       int
	}{
		{`{"reader":"dock"}`, "no bits", 400},
		{`{"reader":"dock","bits":"8:FFF"}`, "8 bits", 400},
		{`not json`, "badge", 400},
		{`{"reader":"attic","bits":"8:FF"}`, `no reader \"attic\"`, 404},
	} {
		resp, err := http.Post(api.URL+"/badge", "application/json", strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != tt.code || !strings.Contains(string(text), tt.want) {
			t.Errorf("%s: %d %s; want %d and %q", tt.body, resp.StatusCode, text, tt.code, tt.want)
		}
	}
}
