package controller_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/controller"
	"latchkey/internal/readerkeys"
	"latchkey/osdp"
	"latchkey/osdp/osdptest"
)

// A secureBench is a driver with a key store and one reader, which the test may
// exchange.
type secureBench struct {
	t      *testing.T
	store  controller.KeyStore
	pd     *osdptest.PD
	driver *controller.OSDP
	cancel func() // has the driver end
	stop   func() // and waits for it

	mu     sync.Mutex
	events []controller.Event
}

func newSecureBench(t *testing.T) (*secureBench, *readerkeys.Store) {
	store, err := readerkeys.Open(readerkeys.Options{Dir: t.TempDir(), Key: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	return &secureBench{t: t, store: store}, store
}

// start runs a driver against pd, with the store that was there before.
func (b *secureBench) start(pd *osdptest.PD) {
	b.pd = pd
	w := newWire(func(ctx context.Context, far net.Conn) { b.pd.Serve(ctx, far) })
	b.driver = controller.NewOSDP(controller.OSDPConfig{
		Name: "line", Baud: 115200, Log: slog.New(slog.DiscardHandler), Keys: b.store,
		Open:    func(ctx context.Context) (osdp.Port, error) { return w.open(ctx) },
		Readers: []controller.OSDPReader{{Name: "front reader", Addr: 5, Door: "front", Output: 1}},
	})
	ctx, cancel := context.WithCancel(b.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { w.work(ctx) })
	wg.Go(func() {
		b.driver.Run(ctx, func(_ context.Context, e controller.Event) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.events = append(b.events, e)
			return nil
		})
	})
	b.cancel, b.stop = cancel, func() { cancel(); wg.Wait() }
	time.Sleep(5 * time.Second)
	synctest.Wait()
}

func (b *secureBench) reader() controller.ReaderStatus { return b.driver.Status().Readers[0] }

// alarms gives the texts of the alarms since it was last asked.
func (b *secureBench) alarms() (texts []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.events {
		if e.Kind == controller.Alarm {
			texts = append(texts, e.Text)
		}
	}
	b.events = nil
	return texts
}

// within gives change d to change the key of the reader.
func (b *secureBench) within(d time.Duration, change func(_ context.Context, reader string) error) error {
	ctx, cancel := context.WithTimeout(b.t.Context(), d)
	defer cancel()
	return change(ctx, "front reader")
}

// TestReaderKeys follows a reader from the box to the day it is exchanged.
func TestReaderKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, store := newSecureBench(t)
		var held osdp.Key
		device := func(serial uint32, key *osdp.Key) *osdptest.PD {
			return osdptest.NewPD(osdptest.Config{Addr: 5, Outputs: 2, ID: osdp.PDID{Serial: serial}, SCBK: key, InstallMode: key == nil,
				RequireSecure: true, OnKey: func(k osdp.Key) error { held = k; return nil }})
		}
		secure := func(when string) {
			t.Helper()
			time.Sleep(3 * time.Second)
			synctest.Wait()
			r := b.reader()
			current, pending, id := store.Load("line", 5)
			if !r.Online || !r.Secure || r.Problem != "" || current == nil || *current != held || pending != nil || id == nil || id.Serial != 1 {
				t.Fatalf("%s: online %v, secure %v, problem %q, current is held %v, pending %v, id %v", when, r.Online, r.Secure, r.Problem,
					current != nil && *current == held, pending, id)
			}
		}

		b.start(device(1, nil)) // out of the box
		if r := b.reader(); r.Online || r.Secure || r.Problem == "" {
			t.Errorf("without a key: %+v", r)
		}
		if a := b.alarms(); len(a) != 1 {
			t.Errorf("alarms %q, want one", a)
		}
		if err := b.within(time.Minute, b.driver.Rotate); !errors.Is(err, osdp.ErrNotSent) {
			t.Errorf("a new key without a channel: %v", err)
		}
		if err := b.within(time.Minute, b.driver.Install); err != nil {
			t.Fatal(err)
		}
		secure("installed")
		if a := b.alarms(); len(a) != 1 || !strings.Contains(a[0], "default key") {
			t.Errorf("alarms %q, want one that a key went over the default key", a)
		}
		first := held
		if err := b.within(time.Minute, b.driver.Rotate); err != nil || held == first {
			t.Fatalf("rotated: %v", err)
		}
		secure("rotated")
		b.stop()
		b.start(device(1, &held)) // both were switched off
		secure("the next day")
		b.alarms()

		b.stop()
		other := osdp.Key{9, 9, 1}
		b.start(device(2, &other)) // a stranger
		if r := b.reader(); r.Online || r.Problem == "" {
			t.Errorf("a stranger: %+v", r)
		}
		if a := b.alarms(); len(a) != 1 || !slices.Contains(a, b.reader().Problem) {
			t.Errorf("alarms %q, want %q", a, b.reader().Problem)
		}
		if err := b.within(5*time.Second, func(ctx context.Context, reader string) error { return b.driver.Import(ctx, reader, osdp.Key{1, 1, 7}) }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a key that it does not have: %v", err)
		}
		if current, pending, _ := store.Load("line", 5); current == nil || *current != held || pending != nil {
			t.Errorf("after a key that it does not have, pending is %v", pending)
		}
		if err := b.driver.Forget("front reader"); err != nil {
			t.Fatal(err)
		}
		if err := b.within(5*time.Second, func(ctx context.Context, reader string) error { return b.driver.Import(ctx, reader, other) }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if r := b.reader(); !r.Secure || !r.Online {
			t.Errorf("with its own key: %+v", r)
		}
		if _, _, id := store.Load("line", 5); id == nil || id.Serial != 2 {
			t.Errorf("pinned: %v", id)
		}
		b.stop()
	})
}

// A restless store reboots the PD between the entry of a new key and its sending.
type restless struct {
	*readerkeys.Store
	reboot func()
}

func (s restless) Begin(line string, addr uint8, key osdp.Key) error {
	defer s.reboot()
	return s.Store.Begin(line, addr, key)
}

// TestProofBeforeTheKey: a reader that proves its old key, then takes the new one
// and goes away, has the new one; nobody may forget that.
func TestProofBeforeTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, store := newSecureBench(t)
		held := osdp.Key{4, 4, 2}
		if err := errors.Join(store.Begin("line", 5, held), store.Commit("line", 5)); err != nil {
			t.Fatal(err)
		}
		device := func() *osdptest.PD {
			return osdptest.NewPD(osdptest.Config{Addr: 5, Outputs: 2, SCBK: &held, RequireSecure: true,
				OnKey: func(k osdp.Key) error { held = k; b.pd.Mute(true); return nil }})
		}
		b.store = restless{store, func() { b.pd.Reboot() }}
		b.start(device())
		if err := b.within(time.Minute, b.driver.Rotate); !errors.Is(err, osdp.ErrOffline) {
			t.Errorf("a reader that went away: %v", err)
		}
		time.Sleep(time.Minute)
		b.stop()
		if _, pending, _ := store.Load("line", 5); pending == nil || *pending != held {
			t.Error("the key that it has is gone")
		}
		b.start(device()) // power comes back, for all
		if r := b.reader(); !r.Online || !r.Secure {
			t.Errorf("after the power cut: %+v", r)
		}
		if current, pending, _ := store.Load("line", 5); current == nil || *current != held || pending != nil {
			t.Error("the store does not say which key it has")
		}
		b.stop()
	})
}

// TestInstallAgain: a key that may have arrived in the first try is the one that
// the second gives.
func TestInstallAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, store := newSecureBench(t)
		var held osdp.Key
		deaf, channel := true, false
		b.start(osdptest.NewPD(osdptest.Config{Addr: 5, Outputs: 2, InstallMode: true,
			OnKey: func(k osdp.Key) error { held = k; return nil },
			OnReply: func(code byte, _ bool) {
				if code == osdp.CodePDID && channel && deaf {
					b.pd.Mute(true) // the key, which comes next, goes to nobody
				}
				channel = code == osdp.CodeRMACI
			}}))
		if err := b.within(time.Minute, b.driver.Install); !errors.Is(err, osdp.ErrInstall) || errors.Is(err, osdp.ErrNotSent) {
			t.Errorf("to a deaf reader: %v", err)
		}
		_, pending, _ := store.Load("line", 5)
		if pending == nil {
			t.Fatal("the key that was sent is gone")
		}
		if err := b.within(time.Millisecond, b.driver.Install); !errors.Is(err, osdp.ErrNotSent) {
			t.Errorf("without time: %v", err)
		}
		if _, again, _ := store.Load("line", 5); again == nil || *again != *pending {
			t.Error("the key that it may have is forgotten")
		}
		deaf = false
		b.pd.Mute(false)
		if err := b.within(time.Minute, b.driver.Install); err != nil {
			t.Fatal(err)
		}
		if current, again, _ := store.Load("line", 5); current == nil || *current != held || again != nil || held != *pending {
			t.Error("the reader has another key than the store")
		}
		b.stop()
	})
}

// TestOneChangeAtATime: a second operator is told at once.
func TestOneChangeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := newSecureBench(t)
		b.start(osdptest.NewPD(osdptest.Config{Addr: 5, Outputs: 2}))
		done := make(chan error)
		go func() { done <- b.within(time.Minute, b.driver.Install) }()
		synctest.Wait()
		if err := b.driver.Forget("front reader"); !errors.Is(err, controller.ErrKeyChange) {
			t.Errorf("a second change: %v", err)
		}
		if err := <-done; !errors.Is(err, osdp.ErrNotSent) {
			t.Errorf("a reader that knows no secure channel: %v", err)
		}
		if err := b.driver.Forget("front reader"); err != nil {
			t.Error(err)
		}
		b.stop()
	})
}
