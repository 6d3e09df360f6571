package linktest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/serialline"

	"github.com/creack/pty"
)

// What may happen to one byte of a line.
var damages = map[string]func(c byte) []byte{
	"flipped": func(c byte) []byte { return []byte{c ^ 0x04} },
	"zeroed":  func(byte) []byte { return []byte{0} },
	"dropped": func(byte) []byte { return nil },
	"doubled": func(c byte) []byte { return []byte{c, c} },
}

// TestEveryByteOfASession damages each byte of a session in turn, in either
// direction. No wrong record ever stands in the table, and the host still gets
// to the end.
func TestEveryByteOfASession(t *testing.T) {
	sent := map[serialline.Record]bool{}
	all := recs(0, 2)
	for _, r := range append(all, rec(9)) {
		sent[r] = true
	}
	want := rootOf(rec(1), rec(9))
	run := func(damage func(host, device *end)) (toDevice, toHost int) {
		synctest.Test(t, func(t *testing.T) {
			c := open(t, newFlash())
			host, devices := wire(1)
			cl := attach(t, c, host, devices[0])
			if damage != nil {
				damage(host, devices[0])
			}
			ctx := t.Context()
			check := func() {
				records, _, _ := c.Dump()
				for _, r := range records {
					if !sent[r] {
						t.Fatal("a record that nobody sent stands in the table")
					}
				}
			}
			// A host that starts over where it must, as the driver does.
			steps := []func() error{
				func() error { return load(ctx, cl, full(1), rootOf(all...), all) },
				func() error { return cl.Revoke(ctx, rec(0).Key) },
				func() error { return cl.Upsert(ctx, 10, rec(9)) },
			}
			for at, tries := 0, 0; at < len(steps); {
				if tries++; tries > 10 {
					t.Fatal("the host does not get to the end")
				}
				var err error
				if !cl.Session() {
					_, err = cl.Hello(ctx)
				}
				if err == nil {
					err = steps[at]()
					check()
				}
				switch {
				case err == nil:
					at++
				case errors.Is(err, serialline.ErrOffline), errors.Is(err, serialline.ErrHello):
				default:
					t.Fatalf("step %d: %v", at, err)
				}
			}
			if _, root, _ := c.Dump(); root != want {
				t.Error("the table is not what it should be")
			}
			devices[0].in.do(func() { toDevice = devices[0].in.total })
			host.in.do(func() { toHost = host.in.total })
		})
		return toDevice, toHost
	}
	toDevice, toHost := run(nil)
	if toDevice < 200 || toHost < 200 {
		t.Fatalf("a session of %d and %d bytes: this test would check little", toDevice, toHost)
	}
	for name, f := range damages {
		for i := range toDevice + toHost {
			run(func(host, device *end) {
				q, at := device.in, i
				if i >= toDevice {
					q, at = host.in, i-toDevice
				}
				q.damage = func(n int, c byte) []byte {
					if n == at {
						return f(c)
					}
					return []byte{c}
				}
			})
			if t.Failed() {
				t.Fatalf("byte %d of %d and %d was %s", i, toDevice, toHost, name)
			}
		}
	}
}

// TestOverPTY has host and controller talk through a real tty, with both
// backends.
func TestOverPTY(t *testing.T) {
	for _, backend := range []string{serialline.BackendNative, serialline.BackendTarm} {
		t.Run(backend, func(t *testing.T) {
			master, slave, err := pty.Open()
			must(t, err)
			defer master.Close()
			name := slave.Name()
			must(t, slave.Close()) // the master reads EIO until somebody comes
			c, err := OpenController(Config{Dir: t.TempDir(), Addr: 5, Serial: [8]byte{7}, Model: "test", Readers: []string{"front", "back"}})
			must(t, err)
			defer c.Close()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() { done <- c.Serve(ctx, master) }()

			for range 2 { // the host comes, goes and comes again
				p, err := serialline.Open(serialline.Config{Path: name, Baud: 115200, Backend: backend})
				must(t, err)
				cl, err := serialline.NewClient(p, serialline.ClientConfig{Addr: 5, Baud: 115200, Timeout: 2 * time.Second})
				must(t, err)
				h, err := cl.Hello(t.Context())
				must(t, err)
				if h.Serial != [8]byte{7} {
					t.Errorf("got serial %x", h.Serial)
				}
				all := recs(0, 100)
				must(t, load(t.Context(), cl, full(uint64(h.Boot)<<8|h.Credentials.Version+1), rootOf(all...), all))
				if s := cl.Stats(); s.Damaged != 0 {
					t.Errorf("a clean line damaged %d frames", s.Damaged)
				}
				if d := c.Present(0, card(42)); !d.Granted {
					t.Errorf("got %q", d.Reason)
				}
				must(t, p.Close())
			}
			cancel()
			must(t, <-done)
		})
	}
}
