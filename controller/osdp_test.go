package controller_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/controller"
	"latchkey/controller/controllertest"
	"latchkey/osdp"
	"latchkey/osdp/osdptest"
	"latchkey/wiegand"
)

// A wire is a line between a driver and simulated hardware. Each opening of its
// port makes a new pipe.
type wire struct {
	serve func(ctx context.Context, far net.Conn)
	conns chan net.Conn
}

func newWire(serve func(ctx context.Context, far net.Conn)) *wire {
	return &wire{serve: serve, conns: make(chan net.Conn)}
}

// A buffered is one end of a pipe whose Write does not wait for a Read, as
// that of a serial port does not.
type buffered struct {
	net.Conn
	out    chan []byte
	closed chan struct{}
	once   *sync.Once
}

func buffer(c net.Conn) buffered {
	b := buffered{c, make(chan []byte, 256), make(chan struct{}), new(sync.Once)}
	go func() {
		for {
			select {
			case p := <-b.out:
				c.Write(p)
			case <-b.closed:
				return
			}
		}
	}()
	return b
}

func (b buffered) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Conn.Close()
}

func (b buffered) Write(p []byte) (int, error) {
	select {
	case b.out <- slices.Clone(p):
		return len(p), nil
	default:
		return 0, io.ErrShortWrite
	}
}

func (w *wire) open(ctx context.Context) (net.Conn, error) {
	nearEnd, farEnd := net.Pipe()
	near, far := buffer(nearEnd), buffer(farEnd)
	select {
	case w.conns <- far:
		return near, nil
	case <-ctx.Done():
		near.Close()
		far.Close()
		return nil, ctx.Err()
	}
}

// work serves each pipe until the next is opened.
func (w *wire) work(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := func() {}
	for {
		select {
		case <-ctx.Done():
			stop()
			return
		case far := <-w.conns:
			stop()
			one, cancel := context.WithCancel(ctx)
			stop = func() { cancel(); far.Close() }
			wg.Go(func() {
				w.serve(one, far)
				far.Close()
			})
		}
	}
}

// A bench is a line with one reader.
type bench struct {
	pd     *osdptest.PD
	driver *controller.OSDP
	wire   *wire

	mu   sync.Mutex
	cmds []osdp.Command
}

func newBench(inputs int) *bench {
	b := &bench{}
	b.pd = osdptest.NewPD(osdptest.Config{Addr: 5, Inputs: inputs, Outputs: 2, OnCommand: func(c osdp.Command) {
		if c.Code() == osdp.CodeOUT || c.Code() == osdp.CodeLED || c.Code() == osdp.CodeBUZ {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.cmds = append(b.cmds, c)
		}
	}})
	b.wire = newWire(func(ctx context.Context, far net.Conn) { b.pd.Serve(ctx, far) })
	b.driver = controller.NewOSDP(controller.OSDPConfig{
		Name: "line", Baud: 115200, Log: slog.New(slog.DiscardHandler),
		Open: func(ctx context.Context) (osdp.Port, error) {
			c, err := b.wire.open(ctx)
			if err != nil {
				return nil, err
			}
			return c, nil
		},
		Readers: []controller.OSDPReader{{Name: "front reader", Addr: 5, Door: "front", Output: 1, ContactInput: 1, ExitInput: 2, Security: osdp.AllowClear}},
	})
	return b
}

func (b *bench) commands() []osdp.Command {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.cmds
	b.cmds = nil
	return c
}

func TestOSDPContract(t *testing.T) {
	controllertest.Run(t, func(t *testing.T) *controllertest.Rig {
		b := newBench(2)
		return &controllertest.Rig{
			Driver: b.driver, Door: "front", Reader: "front reader",
			Serve: b.wire.work, Mute: b.pd.Mute,
			Present:  func(c wiegand.Bits) { b.pd.Present(0, c) },
			Released: func() bool { return b.pd.Output(1) },
		}
	})
}

// runOSDP runs a bench in a bubble; events gives what came since it was last asked.
func runOSDP(t *testing.T, inputs int, f func(t *testing.T, b *bench, events func() []controller.Event)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(inputs)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var mu sync.Mutex
		var all []controller.Event
		wg.Go(func() { b.wire.work(ctx) })
		wg.Go(func() {
			if err := b.driver.Run(ctx, func(_ context.Context, e controller.Event) error {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, e)
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
		controllertest.Online(t, b.driver)
		time.Sleep(time.Second)
		f(t, b, func() []controller.Event {
			time.Sleep(500 * time.Millisecond)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			e := all
			all = nil
			return e
		})
		cancel()
		wg.Wait()
	})
}

func kinds(events []controller.Event) (out []controller.Kind) {
	for _, e := range events {
		out = append(out, e.Kind)
	}
	return out
}

func TestUnlockOpensStrikeThenShowsGreen(t *testing.T) {
	runOSDP(t, 0, func(t *testing.T, b *bench, _ func() []controller.Event) {
		b.commands()
		if got := b.pd.LED(0, 0); got != osdp.Red {
			t.Errorf("idle reader shows colour %d, want red", got)
		}
		if err := b.driver.Unlock(t.Context(), "front", 2500*time.Millisecond); err != nil {
			t.Fatal(err)
		}
		cmds := b.commands()
		if len(cmds) != 3 {
			t.Fatalf("%d commands, want OUT, LED, BUZ", len(cmds))
		}
		out, ok := cmds[0].(osdp.OUT)
		if want := (osdp.OutputControl{Output: 1, Action: osdp.OutputOnFor, Timer: 2500 * time.Millisecond}); !ok || len(out) != 1 || out[0] != want {
			t.Errorf("first command %v, want a timed OUT of %+v", cmds[0], want)
		}
		if got := b.pd.LED(0, 0); got != osdp.Green {
			t.Errorf("reader shows colour %d, want green", got)
		}
		time.Sleep(3 * time.Second)
		if got := b.pd.LED(0, 0); got != osdp.Red {
			t.Errorf("reader shows colour %d after the door, want red", got)
		}
	})
}

// A door that is held open by renewed unlocks must not beep all day.
func TestRenewedUnlockIsSilent(t *testing.T) {
	runOSDP(t, 0, func(t *testing.T, b *bench, _ func() []controller.Event) {
		beeps := func() (n int) {
			for _, c := range b.commands() {
				if c.Code() == osdp.CodeBUZ {
					n++
				}
			}
			return n
		}
		unlock := func(d time.Duration) {
			t.Helper()
			if err := b.driver.Unlock(t.Context(), "front", d); err != nil {
				t.Fatal(err)
			}
		}
		beeps()
		unlock(time.Minute)
		if got := beeps(); got != 1 {
			t.Errorf("%d beeps at the first unlock, want 1", got)
		}
		for range 5 {
			time.Sleep(20 * time.Second)
			unlock(time.Minute)
		}
		unlock(controller.MinUnlock) // its end
		if got := beeps(); got != 0 {
			t.Errorf("%d beeps at renewals, want none", got)
		}
		time.Sleep(time.Second)
		if b.pd.Output(1) {
			t.Error("the strike is still released")
		}
		unlock(time.Minute)
		b.pd.Reboot() // and the strike is down
		time.Sleep(2 * time.Second)
		if s := b.driver.Status(); s.Doors[0].Unlocked {
			t.Error("Status says that a strike is held that a reboot has dropped")
		}
		unlock(time.Second)
		if got := beeps(); got != 2 {
			t.Errorf("%d beeps at unlocks of a shut door, want 2", got)
		}
	})
}

func TestDenyShowsRed(t *testing.T) {
	runOSDP(t, 0, func(t *testing.T, b *bench, _ func() []controller.Event) {
		b.commands()
		if err := b.driver.Deny(t.Context(), "front reader"); err != nil {
			t.Fatal(err)
		}
		cmds := b.commands()
		if len(cmds) != 2 || cmds[0].Code() != osdp.CodeLED || cmds[1].Code() != osdp.CodeBUZ {
			t.Fatalf("commands %v, want LED and BUZ", cmds)
		}
		if l := cmds[0].(osdp.LED)[0]; l.Temporary.OnColor != osdp.Red || l.Timer == 0 {
			t.Errorf("LED %+v, want red for a time", l)
		}
		if b.pd.Output(1) {
			t.Error("the strike moved")
		}
	})
}

func TestRebootedReaderGetsItsLightsBack(t *testing.T) {
	runOSDP(t, 0, func(t *testing.T, b *bench, events func() []controller.Event) {
		events()
		b.commands()
		b.pd.Reboot()
		time.Sleep(2 * time.Second)
		if got := b.pd.LED(0, 0); got != osdp.Red {
			t.Errorf("reader shows colour %d after its reboot, want red", got)
		}
		if b.pd.Output(1) {
			t.Error("the strike is released after a reboot")
		}
	})
}

// A card that a reader kept while nobody polled it opens nothing, and is told
// of: somebody stood there.
func TestCardKeptByTheReader(t *testing.T) {
	runOSDP(t, 0, func(t *testing.T, b *bench, events func() []controller.Event) {
		b.pd.Mute(true)
		time.Sleep(10 * time.Second)
		events()
		b.pd.Queue(osdp.RAW{CardFormat: osdp.FormatWiegand, Bits: 26, Data: []byte{1, 2, 3, 0}})
		b.pd.Mute(false)
		time.Sleep(8 * time.Second)
		got := events()
		i := slices.IndexFunc(got, func(e controller.Event) bool { return e.Kind == controller.Alarm })
		if i < 0 || got[i].Reader == "" || !strings.Contains(got[i].Text, "dropped") {
			t.Errorf("events %v; want an alarm that names the reader", kinds(got))
		}
		if slices.Contains(kinds(got), controller.CardRead) {
			t.Error("the card was read as if it were shown now")
		}
	})
}

func TestInputsBecomeDoorEvents(t *testing.T) {
	runOSDP(t, 2, func(t *testing.T, b *bench, events func() []controller.Event) {
		events()
		b.pd.SetInput(0, true)
		if got := kinds(events()); !slices.Equal(got, []controller.Kind{controller.DoorOpened}) {
			t.Errorf("contact opens: %v", got)
		}
		if c := b.driver.Status().Doors[0].Contact; c != "open" {
			t.Errorf("contact is %q, want open", c)
		}
		b.pd.SetInput(0, false)
		if got := kinds(events()); !slices.Equal(got, []controller.Kind{controller.DoorClosed}) {
			t.Errorf("contact closes: %v", got)
		}
		b.pd.Queue(osdp.ISTATR{}) // a contact that is no longer told is not the one that was told last
		if got := events(); len(got) != 1 || got[0].Kind != controller.Tamper || got[0].Text != "the door contact is at input 1, and the reader tells of 0" {
			t.Errorf("no inputs any more: %+v", got)
		}
		if c := b.driver.Status().Doors[0].Contact; c != "unknown" {
			t.Errorf("contact is %q, want unknown", c)
		}
		b.pd.SetInput(0, false)
		events()
		b.pd.SetInput(1, true)
		if got := kinds(events()); !slices.Equal(got, []controller.Kind{controller.ExitRequest}) {
			t.Errorf("exit request: %v", got)
		}
		b.pd.SetInput(1, false)
		b.pd.SetTamper(true)
		if got := kinds(events()); !slices.Equal(got, []controller.Kind{controller.Tamper}) {
			t.Errorf("tamper: %v", got)
		}
		if !b.driver.Status().Readers[0].Tamper {
			t.Error("Status shows no tamper")
		}
	})
}

func TestKeysBecomePINs(t *testing.T) {
	for _, tt := range []struct {
		name  string
		keys  []string
		pause time.Duration
		want  []string
	}{
		{"one by one", []string{"1", "2", "3", "4", "#"}, time.Second, []string{"1234"}},
		{"at once", []string{"123456"}, 0, []string{"123456"}},
		{"at once with the end", []string{"1234#"}, 0, []string{"1234"}},
		{"begun anew", []string{"9", "*", "1", "2", "#"}, time.Second, []string{"12"}},
		{"forgotten", []string{"9", "1", "#"}, 6 * time.Second, nil},
		{"too long", []string{"1", "2", "3", "123456789012345#"}, 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			runOSDP(t, 0, func(t *testing.T, b *bench, events func() []controller.Event) {
				events()
				for _, k := range tt.keys {
					b.pd.Key(k)
					time.Sleep(max(tt.pause, 200*time.Millisecond))
				}
				var got []string
				for _, e := range events() {
					if e.Kind == controller.CardRead {
						got = append(got, e.Digits)
					}
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("got %d PINs, want %d, or not the same ones", len(got), len(tt.want))
				}
			})
		})
	}
}

func TestConfigOfALineIsChecked(t *testing.T) {
	ok := controller.OSDPReader{Name: "a", Addr: 1, Door: "x"}
	for _, tt := range []struct {
		name    string
		readers []controller.OSDPReader
	}{
		{"no readers", nil},
		{"address", []controller.OSDPReader{{Name: "a", Addr: 127}}},
		{"one name twice", []controller.OSDPReader{ok, {Name: "a", Addr: 2}}},
		{"one head twice", []controller.OSDPReader{ok, {Name: "b", Addr: 1}}},
		{"input", []controller.OSDPReader{{Name: "a", Addr: 1, ContactInput: -1}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := controller.NewOSDP(controller.OSDPConfig{Name: "line", Readers: tt.readers})
			if err := d.Run(t.Context(), nil); err == nil {
				t.Error("Run: no error")
			}
			if d.Status().Problem == "" {
				t.Error("Status names no problem")
			}
			if err := d.Unlock(t.Context(), "x", time.Second); err == nil {
				t.Error("Unlock: no error")
			}
		})
	}
}
