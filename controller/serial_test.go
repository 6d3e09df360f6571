package controller_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/access"
	"latchkey/controller"
	"latchkey/controller/controllertest"
	"latchkey/serialline"
	"latchkey/serialline/linktest"
	"latchkey/wiegand"
)

// A pipePort makes a serial port of one end of a pipe.
type pipePort struct{ net.Conn }

func (pipePort) Drain() error { return nil }

// A slowConn is a line of a certain speed: a reply takes its time, and watch
// sees each before it goes out.
type slowConn struct {
	net.Conn
	baud  int
	watch func(reply serialline.Frame)
}

func (c slowConn) Write(b []byte) (int, error) {
	if c.baud > 0 { // request, turn-around and reply together
		time.Sleep(time.Duration(len(b)) * 10 * time.Second / time.Duration(c.baud))
	}
	if f, err := serialline.ParseFrame(bytes.Trim(b, "\x00")); err == nil && c.watch != nil {
		c.watch(f)
	}
	return c.Conn.Write(b)
}

func (c slowConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.baud > 0 && n > 0 {
		time.Sleep(time.Duration(n) * 10 * time.Second / time.Duration(c.baud))
	}
	return n, err
}

// A memory is a Ledger that can fail.
type memory struct {
	mu    sync.Mutex
	rows  map[string]controller.LedgerRow
	tombs map[string]bool
	fail  bool
}

func newMemory() *memory {
	return &memory{rows: make(map[string]controller.LedgerRow), tombs: make(map[string]bool)}
}

var errDisk = errors.New("the disk is full")

func (m *memory) Ledger(context.Context, string) (out []controller.LedgerRow, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rows {
		out = append(out, r)
	}
	return out, nil
}

func (m *memory) SetLedger(_ context.Context, _ string, rows []controller.LedgerRow) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail {
		return errDisk
	}
	clear(m.rows)
	for _, r := range rows {
		m.rows[r.Credential] = r
	}
	return nil
}

func (m *memory) Tombstones(context.Context, string) (out [][]byte, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for k := range m.tombs {
		out = append(out, []byte(k))
	}
	return out, nil
}

func (m *memory) AddTombstones(_ context.Context, _ string, keys [][]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range keys {
		m.tombs[string(k)] = true
	}
	return nil
}

func (m *memory) ClearTombstones(_ context.Context, _ string, keys [][]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, k := range keys {
		delete(m.tombs, string(k))
	}
	return nil
}

func (m *memory) state(id string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rows[id].State
}

// A gate is one table controller with two doors, and the site that wants
// something of it.
type gate struct {
	t      *testing.T
	conf   linktest.Config
	driver *controller.Serial
	ledger *memory
	wire   *wire
	baud   int
	now    func() time.Time // the site's clock; nil is this machine's

	mu      sync.Mutex
	watcher func(serialline.Frame)
	box     *linktest.Controller
	wanted  controller.Wanted
	changed chan struct{}
	events  []controller.Event
	refuse  bool // events with a Device
}

func newGate(t *testing.T) *gate {
	g := &gate{t: t, ledger: newMemory(), changed: make(chan struct{}), baud: 38400}
	g.conf = linktest.Config{Dir: t.TempDir(), Addr: 3, Serial: [8]byte{1, 2, 3}, Model: "sim", Readers: []string{"r0", "r1"}}
	g.box = g.switchOn()
	g.wire = newWire(func(ctx context.Context, far net.Conn) {
		g.controller().Serve(ctx, slowConn{far, g.baud, func(f serialline.Frame) {
			g.mu.Lock()
			watcher := g.watcher
			g.mu.Unlock()
			if watcher != nil {
				watcher(f)
			}
		}})
	})
	g.newDriver()
	return g
}

// watch has f called with each reply, after the controller has done what it
// answers and before the reply goes out.
func (g *gate) watch(f func(serialline.Frame)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.watcher = f
}

func (g *gate) switchOn() *linktest.Controller {
	c, err := linktest.OpenController(g.conf)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { c.Close() })
	return c
}

func (g *gate) controller() *linktest.Controller {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.box
}

func (g *gate) newDriver() {
	g.driver = controller.NewSerial(controller.SerialConfig{
		Name: "gate", Addr: 3, Baud: 38400, Log: slog.New(slog.DiscardHandler), Ledger: g.ledger,
		Open: func(ctx context.Context) (serialline.Port, error) {
			c, err := g.wire.open(ctx)
			if err != nil {
				return nil, err
			}
			return pipePort{c}, nil
		},
		Doors: []controller.SerialDoor{{ID: "front", Index: 0, Reader: "front reader"}, {ID: "back", Index: 1, Reader: "back reader"}},
		Wanted: func() controller.Wanted {
			g.mu.Lock()
			defer g.mu.Unlock()
			return g.wanted
		},
		Changes: func() (uint64, <-chan struct{}) {
			g.mu.Lock()
			defer g.mu.Unlock()
			return g.wanted.Seq, g.changed
		},
		Now: g.now,
	})
}

// want changes what the site wants.
func (g *gate) want(change func(w *controller.Wanted)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.wanted
	w.Entitlements = slices.Clone(w.Entitlements)
	w.Epoch, w.Seq, w.Ready = max(w.Epoch, 1), w.Seq+1, true
	change(&w)
	g.wanted = w
	close(g.changed)
	g.changed = make(chan struct{})
}

func (g *gate) sink(_ context.Context, e controller.Event) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.refuse && e.Device != nil {
		return errDisk
	}
	g.events = append(g.events, e)
	return nil
}

// of are the events of one kind so far.
func (g *gate) of(k controller.Kind) (out []controller.Event) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range g.events {
		if e.Kind == k {
			out = append(out, e)
		}
	}
	return out
}

// run works wire and driver while f runs.
func (g *gate) run(f func()) {
	ctx, cancel := context.WithCancel(g.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { g.wire.work(ctx) })
	wg.Go(func() {
		if err := g.driver.Run(ctx, g.sink); err != nil {
			g.t.Error(err)
		}
	})
	f()
	cancel()
	wg.Wait()
}

// equal waits until the table is proven.
func (g *gate) equal(within time.Duration) {
	g.t.Helper()
	g.mu.Lock()
	seq := g.wanted.Seq
	g.mu.Unlock()
	for range int(within / (10 * time.Millisecond)) {
		if t := g.driver.Status().Table; t.Equal && t.Version == seq {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	g.t.Fatalf("not equal after %v: %+v; online %v %s", within, *g.driver.Status().Table, g.driver.Status().Online, g.driver.Status().Problem)
}

// admit wants the crowd of n in the table and nobody else, and waits until that
// is proven.
func (g *gate) admit(n int, within time.Duration) {
	g.t.Helper()
	g.want(func(w *controller.Wanted) { w.Entitlements = crowd(n) })
	g.equal(within)
}

// until waits until ok, and says how long it took.
func until(t *testing.T, within time.Duration, what string, ok func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > within {
			t.Fatalf("%s: not within %v", what, within)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(began)
}

func card(i int) wiegand.Bits {
	b, err := wiegand.MakeBits(34, []byte{byte(i >> 16), byte(i >> 8), byte(i), 0x77, 0xC0})
	if err != nil {
		panic(err)
	}
	return b
}

// give is card i of person i, for the front door at any time.
func give(i int) access.Entitlement {
	return access.Entitlement{
		Credential: access.Credential{ID: fmt.Sprintf("c%05d", i), Person: fmt.Sprintf("p%05d", i), Technology: access.TechCard,
			Status: access.CredentialActive, Bits: card(i)},
		Doors: map[string][]string{"front": nil},
	}
}

func crowd(n int) (all []access.Entitlement) {
	for i := range n {
		all = append(all, give(i))
	}
	return all
}

// holds reports whether the controller has a card in its table.
func (g *gate) holds(i int) bool {
	records, _, _ := g.controller().Dump()
	b := card(i)
	key := serialline.MakeKey(b.Len(), b.Bytes())
	return slices.ContainsFunc(records, func(r serialline.Record) bool { return r.Key == key })
}

func TestSerialContract(t *testing.T) {
	controllertest.Run(t, func(t *testing.T) *controllertest.Rig {
		g := newGate(t)
		g.driver = controller.NewSerial(controller.SerialConfig{
			Name: "gate", Addr: 3, Baud: 38400,
			Open: func(ctx context.Context) (serialline.Port, error) {
				c, err := g.wire.open(ctx)
				if err != nil {
					return nil, err
				}
				return pipePort{c}, nil
			},
			Doors:   []controller.SerialDoor{{ID: "front", Index: 0, Reader: "front reader"}},
			Wanted:  func() controller.Wanted { return controller.Wanted{} },
			Changes: func() (uint64, <-chan struct{}) { return 0, nil },
		})
		return &controllertest.Rig{
			Driver: g.driver, Door: "front", Reader: "front reader", Logs: true,
			Serve: g.wire.work, Mute: g.box.Mute,
			Present:  func(b wiegand.Bits) { g.box.Present(0, b) },
			Released: func() bool { return g.box.Released(0) },
		}
	})
}

func TestCardsReachTheTableAndOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		g.run(func() {
			time.Sleep(5 * time.Second)
			if s := g.driver.Status(); s.Table.Equal || s.Table.Text == "" {
				t.Errorf("before there is data: %+v", s.Table)
			}
			g.want(func(w *controller.Wanted) {
				w.Entitlements = crowd(3)
				w.Entitlements[1].Doors = map[string][]string{"back": {"work"}}
				w.Schedules = map[string]access.Schedule{"work": {ID: "work", Zone: "UTC", Weekly: []access.Interval{{Day: 6, From: 0, To: 5}}}}
			})
			g.equal(5 * time.Second)
			for _, tt := range []struct {
				card, door int
				want       access.Reason
			}{
				{0, 0, access.Granted},
				{0, 1, access.NoGroup},
				{1, 1, access.Granted}, // a bubble begins on a Saturday, at midnight
				{9, 0, access.UnknownCard},
			} {
				if d := g.box.Present(tt.door, card(tt.card)); d.Reason != tt.want {
					t.Errorf("card %d at door %d: %s, want %s", tt.card, tt.door, d.Reason, tt.want)
				}
			}
			time.Sleep(5 * time.Minute)
			if d := g.box.Present(1, card(1)); d.Reason != access.OutsideHours {
				t.Errorf("after hours: %s, want %s", d.Reason, access.OutsideHours)
			}
			time.Sleep(2 * time.Second)
			var got []access.Reason
			for _, e := range g.of(controller.Decided) {
				got = append(got, e.Reason)
				if e.DeviceTime.IsZero() || e.Device.Serial == "" || e.Device.Seq == 0 {
					t.Errorf("event without device or its time: %+v", e.Device)
				}
			}
			if want := []access.Reason{access.Granted, access.NoGroup, access.Granted, access.UnknownCard, access.OutsideHours}; !slices.Equal(got, want) {
				t.Errorf("decisions %v, want %v", got, want)
			}
			if n := g.box.Counts().Unacked; n > 0 {
				t.Errorf("%d events were not acked", n)
			}
			for i := range 3 {
				if s := g.ledger.state(give(i).Credential.ID); s != controller.StateProven {
					t.Errorf("ledger says %q of card %d, want proven", s, i)
				}
			}
		})
	})
}

func TestRevocationOvertakesALoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		g.run(func() {
			g.admit(20, 10*time.Second)
			g.want(func(w *controller.Wanted) { w.Entitlements = crowd(2000) })
			time.Sleep(9 * time.Second)
			if n := g.driver.Status().Table.Behind; n < 500 {
				t.Fatalf("only %d cards to go: the load is over before the test begins", n)
			}
			for i := range 5 {
				g.want(func(w *controller.Wanted) {
					w.Entitlements = slices.DeleteFunc(w.Entitlements, func(e access.Entitlement) bool { return e.Credential.Bits == card(i) })
				})
				took := until(t, time.Second, "revocation", func() bool { return !g.holds(i) })
				t.Logf("revoked after %v", took)
			}
			// A card that changes meanwhile: the old one goes, then the new one comes.
			g.want(func(w *controller.Wanted) {
				for j := range w.Entitlements {
					if w.Entitlements[j].Credential.Bits == card(10) {
						w.Entitlements[j].Credential.Bits = card(90000)
					}
				}
			})
			until(t, time.Second, "old card gone", func() bool { return !g.holds(10) })
			if g.holds(90000) {
				t.Error("both cards of one person are in the table")
			}
			took := until(t, 2*time.Second, "new card there", func() bool { return g.holds(90000) })
			t.Logf("with neither for %v", took)
			g.equal(2 * time.Minute)
			for i := range 5 {
				if g.holds(i) {
					t.Errorf("card %d is back", i)
				}
			}
		})
	})
}

func TestChangedCardsOfAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 150
		g := newGate(t)
		gone := make(map[int]time.Time)
		var longest time.Duration
		g.run(func() {
			g.admit(n, time.Minute)
			g.watch(func(f serialline.Frame) {
				if f.Op != serialline.OpRevoke && f.Op != serialline.OpUpsert && f.Op != serialline.OpCommit {
					return
				}
				for i := range n {
					was, is := g.holds(i), g.holds(i+n)
					switch _, seen := gone[i]; {
					case was && is:
						t.Errorf("person %d has both cards", i)
					case !was && !is && !seen:
						gone[i] = time.Now()
					case is && seen:
						longest = max(longest, time.Since(gone[i]))
						delete(gone, i)
					}
				}
			})
			g.want(func(w *controller.Wanted) {
				for i := range w.Entitlements {
					w.Entitlements[i].Credential.Bits = card(i + n)
				}
			})
			g.equal(time.Minute)
		})
		t.Logf("longest with neither: %v", longest)
		if len(gone) > 0 || longest > 2*time.Second {
			t.Errorf("%d persons have no card; longest with neither %v, want at most 2s", len(gone), longest)
		}
	})
}

func TestFaultsInMidPush(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, g *gate)
	}{
		{"reboot", func(t *testing.T, g *gate) {
			if err := g.box.Reboot(); err != nil {
				t.Fatal(err)
			}
		}},
		{"replies lost", func(t *testing.T, g *gate) { g.box.Lie(linktest.Lies{Drop: 10}) }},
		{"replies late", func(t *testing.T, g *gate) { g.box.Lie(linktest.Lies{Late: 3, LateBy: 300 * time.Millisecond}) }},
		{"busy and damaged", func(t *testing.T, g *gate) { g.box.Lie(linktest.Lies{Busy: 3, Damage: 2, Double: 2}) }},
		{"silence", func(t *testing.T, g *gate) {
			g.box.Mute(true)
			time.Sleep(time.Minute)
			g.box.Mute(false)
		}},
		{"wiped", func(t *testing.T, g *gate) {
			g.conf.Dir = t.TempDir()
			g.swap()
		}},
		{"swapped", func(t *testing.T, g *gate) {
			g.conf.Dir, g.conf.Serial = t.TempDir(), [8]byte{9}
			g.swap()
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGate(t)
				g.run(func() {
					g.admit(10, 10*time.Second)
					g.want(func(w *controller.Wanted) { w.Entitlements = crowd(700)[5:] })
					time.Sleep(3 * time.Second)
					tt.do(t, g)
					g.equal(5 * time.Minute)
					records, _, _ := g.controller().Dump()
					if len(records) != 695 || g.holds(0) {
						t.Errorf("%d cards in the table, want 695; a revoked one among them: %v", len(records), g.holds(0))
					}
				})
			})
		})
	}
}

// What a controller holds that does not answer, nobody can vouch for.
func TestSilentControllerIsNotEqual(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		g.run(func() {
			g.admit(10, 10*time.Second)
			g.box.Mute(true)
			until(t, 10*time.Second, "offline", func() bool { return !g.driver.Status().Online })
			synctest.Wait()
			if s := g.driver.Status().Table; s.Equal || !strings.Contains(s.Text, "does not answer") || s.Proven.IsZero() {
				t.Errorf("silent controller: %+v, want not equal", *s)
			}
			g.box.Mute(false)
			g.equal(time.Minute)
		})
	})
}

// TestTappedLineIsLabelled: nothing cures a line of readers that can be tapped
// and played again, so each of them says so, whatever state it is in.
func TestTappedLineIsLabelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		labelled := func(when string) {
			t.Helper()
			s := g.driver.Status()
			for _, r := range s.Readers {
				if r.Secure || !strings.HasPrefix(r.Encryption, "not encrypted") {
					t.Errorf("%s: reader %s: secure %v, %q", when, r.Name, r.Secure, r.Encryption)
				}
			}
			if len(s.Readers) == 0 {
				t.Errorf("%s: no readers", when)
			}
		}
		labelled("before the start")
		g.run(func() {
			until(t, 10*time.Second, "online", func() bool { return g.driver.Status().Online })
			labelled("online")
			g.box.Mute(true)
			until(t, 10*time.Second, "offline", func() bool { return !g.driver.Status().Online })
			labelled("offline")
		})
	})
}

// swap puts another controller in place of the one that is there.
func (g *gate) swap() {
	c := g.switchOn()
	g.mu.Lock()
	old := g.box
	g.box = c
	g.mu.Unlock()
	old.Mute(true)
	old.Close()
}

func TestLostCommitIsNotSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		var puts int
		g.watch(func(f serialline.Frame) {
			if f.Op == serialline.OpPut {
				puts++
			}
		})
		lost := false
		g.run(func() {
			g.admit(1, 10*time.Second)
			puts = 0
			g.watch(func(f serialline.Frame) {
				switch f.Op {
				case serialline.OpPut:
					puts++
				case serialline.OpCommit:
					if !lost {
						lost = true
						g.controller().Lie(linktest.Lies{Drop: 4})
						g.controller().Mute(true)
						go func() {
							time.Sleep(3 * time.Second)
							g.controller().Mute(false)
						}()
					}
				}
			})
			g.admit(211, time.Minute)
			if puts != 30 {
				t.Errorf("%d PUTs for 210 cards, want 30: the load was sent again", puts)
			}
		})
	})
}

func TestForeignChangeIsMended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		g.run(func() {
			g.admit(30, 10*time.Second)
			b, gone := card(777), card(3)
			stranger := serialline.Record{Key: serialline.MakeKey(b.Len(), b.Bytes()), Doors: 1, Flags: serialline.FlagCard}
			if err := g.box.Meddle(serialline.TableCredentials, []serialline.Key{serialline.MakeKey(gone.Len(), gone.Bytes())}, []serialline.Record{stranger}); err != nil {
				t.Fatal(err)
			}
			until(t, time.Minute, "stranger gone", func() bool { return !g.holds(777) })
			until(t, time.Minute, "card 3 back", func() bool { return g.holds(3) })
			g.equal(10 * time.Second)
			time.Sleep(time.Second)
			if e := g.of(controller.ForeignChange); len(e) != 1 || e[0].Count != 2 {
				t.Errorf("foreign changes %+v, want one of 2 cards", e)
			}
		})
	})
}

func TestAgentRestartGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		g.run(func() {
			g.want(func(w *controller.Wanted) {
				w.Entitlements = crowd(60)
				for i := range w.Entitlements {
					w.Entitlements[i].Doors = map[string][]string{"front": {[]string{"a", "b"}[i%2]}}
				}
				w.Schedules = map[string]access.Schedule{
					"a": {ID: "a", Zone: "UTC", Weekly: []access.Interval{{Day: 1, From: 0, To: 60}}},
					"b": {ID: "b", Zone: "Europe/Berlin", Weekly: []access.Interval{{Day: 2, From: 0, To: 60}}},
				}
			})
			g.equal(20 * time.Second)
			g.want(func(w *controller.Wanted) { w.Entitlements = w.Entitlements[1:] })
			g.equal(20 * time.Second)
			time.Sleep(2 * time.Second)
		})
		if len(g.ledger.tombs) != 1 {
			t.Errorf("%d tombstones, want 1", len(g.ledger.tombs))
		}
		since := g.ledger.rows[give(5).Credential.ID].Since

		// Nobody lost anything by a restart: no frame changed the table.
		var changes []uint8
		g.watch(func(f serialline.Frame) {
			switch f.Op {
			case serialline.OpBegin, serialline.OpPut, serialline.OpRevoke, serialline.OpUpsert:
				changes = append(changes, f.Op)
			}
		})
		time.Sleep(time.Hour)
		g.newDriver()
		g.run(func() {
			g.equal(20 * time.Second)
			time.Sleep(2 * time.Second)
		})
		if len(changes) > 0 {
			t.Errorf("after a restart with nothing to do these were sent: %x", changes)
		}
		if got := g.ledger.rows[give(5).Credential.ID]; got.State != controller.StateProven || !got.Since.Equal(since) {
			t.Errorf("ledger after the restart: %s since %v, want proven since %v", got.State, got.Since, since)
		}

		// What changed while the agent was away is brought in line, and only that.
		g.want(func(w *controller.Wanted) { w.Entitlements = append(w.Entitlements[1:], give(500)) })
		g.newDriver()
		g.run(func() {
			g.equal(20 * time.Second)
			if g.holds(1) || !g.holds(500) {
				t.Errorf("card 1 held %v, card 500 held %v", g.holds(1), g.holds(500))
			}
		})
		if n := len(changes); n > 5 {
			t.Errorf("%d frames for two changes: %x", n, changes)
		}
	})
}

func TestRolledBackControllerLosesRevokedCardsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		g.run(func() {
			g.admit(600, time.Minute)
		})
		// The flash as it was, as a backup would bring it back.
		old := g.conf
		old.Dir = t.TempDir()
		g.box.Close()
		copyDir(t, old.Dir, g.conf.Dir)
		g.box = g.switchOn()
		g.newDriver()
		g.run(func() {
			g.want(func(w *controller.Wanted) { w.Entitlements = w.Entitlements[1:] })
			g.equal(time.Minute)
			time.Sleep(2 * time.Second)
			g.conf = old
			var first uint8
			g.watch(func(f serialline.Frame) {
				if f.Op != serialline.OpHello && first == 0 {
					first = f.Op
				}
			})
			g.swap()
			took := until(t, time.Minute, "revoked card gone again", func() bool { return !g.holds(0) && g.controller().Counts().Frames > 3 })
			t.Logf("gone %v after the swap", took)
			g.equal(time.Minute)
			if first != serialline.OpRevoke {
				t.Errorf("the first operation after HELLO is %#x, want REVOKE", first)
			}
			time.Sleep(time.Second)
			if len(g.of(controller.Alarm)) == 0 {
				t.Error("nobody was told")
			}
		})
	})
}

func TestNewEpochIsLoadedWithoutAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		g.run(func() {
			g.admit(100, time.Minute)
			g.watch(func(serialline.Frame) {
				records, _, _ := g.controller().Dump()
				if len(records) < 99 {
					t.Errorf("%d cards in the table while a new epoch is loaded", len(records))
				}
			})
			g.want(func(w *controller.Wanted) { w.Epoch, w.Seq, w.Entitlements = 2, 1, w.Entitlements[1:] })
			until(t, time.Second, "revocation", func() bool { return !g.holds(0) })
			g.equal(time.Minute)
			time.Sleep(30 * time.Second)
			_, _, version := g.controller().Dump()
			if version != 1 || !g.driver.Status().Table.Equal {
				t.Errorf("version %d, equal %v, want 1 and true", version, g.driver.Status().Table.Equal)
			}
		})
	})
}

func TestFailingSinkLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		g.run(func() {
			g.admit(5, 10*time.Second)
			g.mu.Lock()
			g.refuse = true
			g.mu.Unlock()
			for i := range 8 {
				g.box.Present(0, card(i))
			}
			time.Sleep(20 * time.Second)
			if n := g.box.Counts().Unacked; n < 8 {
				t.Errorf("%d events unacked while the disk is full, want at least 8", n)
			}
			// A full disk keeps no revocation from the door.
			g.want(func(w *controller.Wanted) { w.Entitlements = w.Entitlements[1:] })
			until(t, time.Second, "revocation", func() bool { return !g.holds(0) })
			g.mu.Lock()
			g.refuse = false
			g.mu.Unlock()
			time.Sleep(20 * time.Second)
			got := g.of(controller.Decided)
			if len(got) != 8 || g.box.Counts().Unacked != 0 {
				t.Fatalf("%d events came and %d are unacked, want 8 and 0", len(got), g.box.Counts().Unacked)
			}
			for i, e := range got {
				if e.Bits != card(i) {
					t.Errorf("event %d is of another card", i)
				}
			}
		})
	})
}

func TestLedgerSaysWhereEachCardStands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		g.run(func() {
			g.admit(2, 10*time.Second)
			g.box.Mute(true)
			time.Sleep(5 * time.Second)
			g.want(func(w *controller.Wanted) { w.Entitlements = []access.Entitlement{give(1), give(2)} })
			time.Sleep(5 * time.Second)
			for i, want := range []string{controller.StateRevoking, controller.StateProven, controller.StateWanted} {
				if got := g.ledger.state(give(i).Credential.ID); got != want {
					t.Errorf("card %d is %q while the controller is away, want %q", i, got, want)
				}
			}
			g.box.Mute(false)
			g.equal(2 * time.Minute)
			time.Sleep(3 * time.Second)
			for i, want := range []string{"", controller.StateProven, controller.StateProven} {
				if got := g.ledger.state(give(i).Credential.ID); got != want {
					t.Errorf("card %d is %q at the end, want %q", i, got, want)
				}
			}
		})
	})
}

func TestLockdownReachesTheDoor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		g.run(func() {
			g.want(func(w *controller.Wanted) {
				w.Entitlements = crowd(1)
				w.Postures = map[string]string{}
			})
			g.equal(10 * time.Second)
			g.want(func(w *controller.Wanted) { w.Postures = map[string]string{"front": access.ModeLockdown} })
			until(t, time.Second, "lockdown", func() bool { return g.box.Present(0, card(0)).Reason == access.Lockdown })
			g.want(func(w *controller.Wanted) { w.Postures = map[string]string{"front": access.ModeUnlocked} })
			until(t, time.Second, "unlocked", func() bool { return g.box.Released(0) })
			time.Sleep(3 * time.Minute)
			if !g.box.Released(0) {
				t.Error("the door fell shut while it is to stand open")
			}
			g.box.Mute(true)
			time.Sleep(2 * time.Minute)
			if g.box.Released(0) {
				t.Error("the door stands open two minutes after the agent died")
			}
			g.box.Mute(false)
			g.want(func(w *controller.Wanted) { w.Postures = map[string]string{} })
			until(t, 2*time.Minute, "normal", func() bool { d := g.box.Present(0, card(0)); return d.Granted })
		})
	})
}

// A gateway whose own clock stands in the past sets its controllers to the
// site's clock.
func TestClockIsTheSites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ahead = 365 * 24 * time.Hour
		g := newGate(t)
		g.now = func() time.Time { return time.Now().Add(ahead) }
		g.newDriver()
		g.run(func() {
			g.admit(1, 10*time.Second)
			g.box.Present(0, card(0))
			until(t, time.Second, "the decision", func() bool { return len(g.of(controller.Decided)) == 1 })
			e := g.of(controller.Decided)[0]
			if off := e.DeviceTime.Sub(e.At) - ahead; off.Abs() > 2*time.Second {
				t.Errorf("the controller says %v at %v: %v off the site's clock", e.DeviceTime, e.At, off)
			}
		})
	})
}

func TestFullControllerSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		g.box.Close()
		g.conf.Capacity, g.conf.Dir = 10, t.TempDir()
		g.box = g.switchOn()
		g.run(func() {
			g.admit(12, time.Minute)
			s := g.driver.Status().Table
			if s.CannotHold != 2 || s.Held != 10 {
				t.Errorf("holds %d, cannot hold %d, want 10 and 2", s.Held, s.CannotHold)
			}
			time.Sleep(2 * time.Second)
			if got := g.ledger.state(give(11).Credential.ID); got != controller.StateCannotHold {
				t.Errorf("ledger says %q, want %q", got, controller.StateCannotHold)
			}
		})
	})
}

func copyDir(t *testing.T, to, from string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func TestLedgerThatFailsIsWrittenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		g.ledger.fail = true
		g.run(func() {
			g.admit(3, 10*time.Second)
			g.want(func(w *controller.Wanted) { w.Entitlements = w.Entitlements[1:] })
			until(t, time.Second, "revocation", func() bool { return !g.holds(0) })
			if got := g.ledger.state(give(1).Credential.ID); got != "" {
				t.Errorf("ledger says %q while its disk is full", got)
			}
			g.ledger.mu.Lock()
			g.ledger.fail = false
			g.ledger.mu.Unlock()
			time.Sleep(5 * time.Second)
			if got := g.ledger.state(give(1).Credential.ID); got != controller.StateProven {
				t.Errorf("ledger says %q afterwards, want proven", got)
			}
		})
	})
}

func TestNothingIsPushedBeforeThereIsData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate(t)
		g.run(func() {
			g.admit(3, 10*time.Second)
			g.want(func(w *controller.Wanted) { w.Ready, w.Entitlements = false, nil })
			time.Sleep(5 * time.Minute)
			if records, _, _ := g.box.Dump(); len(records) != 3 {
				t.Errorf("%d cards in the table, want the 3 that were there before the data was lost", len(records))
			}
		})
	})
}
