package serialline

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// openPTY opens a Port on a new pty and returns the master and the way to hang
// the line up.
func openPTY(t *testing.T, backend string) (Port, *os.File, Config) {
	t.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	conf := Config{Path: slave.Name(), Baud: 38400, Backend: backend, RS485: true}
	p, err := Open(conf)
	if err != nil {
		t.Fatal(err)
	}
	slave.Close()
	t.Cleanup(func() { p.Close() })
	return p, master, conf
}

func eachBackend(t *testing.T, f func(t *testing.T, backend string)) {
	for _, b := range []string{BackendNative, BackendTarm} {
		t.Run(b, func(t *testing.T) { f(t, b) })
	}
}

// TestPortCarriesBytes: every byte goes through as it is, both ways.
func TestPortCarriesBytes(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend string) {
		p, master, _ := openPTY(t, backend)
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		if _, err := p.Write(all); err != nil {
			t.Fatal(err)
		}
		if err := p.Drain(); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 256)
		if _, err := io.ReadFull(master, got); err != nil || string(got) != string(all) {
			t.Fatalf("master read % x, %v", got, err)
		}
		if _, err := master.Write(all); err != nil {
			t.Fatal(err)
		}
		if err := p.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(p, got); err != nil || string(got) != string(all) {
			t.Fatalf("port read % x, %v", got, err)
		}
	})
}

func TestPortDeadline(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend string) {
		p, master, _ := openPTY(t, backend)
		start := time.Now()
		p.SetReadDeadline(start.Add(30 * time.Millisecond))
		n, err := p.Read(make([]byte, 8))
		if n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %d, %v, want a time-out", n, err)
		}
		if took := time.Since(start); took < 30*time.Millisecond || took > 2*time.Second {
			t.Errorf("a deadline of 30 ms came after %v", took)
		}
		// The port is still good, and what came late is still there.
		master.Write([]byte{7})
		p.SetReadDeadline(time.Now().Add(5 * time.Second))
		b := make([]byte, 8)
		if n, err := p.Read(b); n != 1 || err != nil || b[0] != 7 {
			t.Fatalf("after a time-out: got %d, %v", n, err)
		}
		// A deadline that passes ends a Read that waits already.
		p.SetReadDeadline(time.Time{})
		done := make(chan error, 1)
		go func() {
			_, err := p.Read(make([]byte, 8))
			done <- err
		}()
		p.SetReadDeadline(time.Unix(1, 0))
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %v, want a time-out", err)
		}
	})
}

// TestPortDeadlineOfABusyLine: a deadline that is past holds for a line that
// never falls silent too.
func TestPortDeadlineOfABusyLine(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend string) {
		p, master, _ := openPTY(t, backend)
		master.Write([]byte("ab"))
		b := make([]byte, 1)
		p.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := p.Read(b); err != nil || b[0] != 'a' {
			t.Fatalf("got %q, %v", b, err)
		}
		for _, past := range []time.Time{time.Now(), time.Unix(1, 0)} {
			p.SetReadDeadline(past)
			if n, err := p.Read(b); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("deadline %v: got %d, %v, want a time-out", past, n, err)
			}
		}
		p.SetReadDeadline(time.Time{})
		if _, err := p.Read(b); err != nil || b[0] != 'b' {
			t.Fatalf("got %q, %v", b, err)
		}
	})
}

// TestPortWriteWaits for a line that is full, and has lost nothing then.
func TestPortWriteWaits(t *testing.T) {
	p, master, _ := openPTY(t, BackendNative)
	all := make([]byte, 100_000) // a pty holds less
	for i := range all {
		all[i] = byte(i * 7)
	}
	done := make(chan error, 1)
	go func() {
		_, err := p.Write(all)
		done <- err
	}()
	got := make([]byte, len(all))
	if _, err := io.ReadFull(master, got); err != nil || string(got) != string(all) {
		t.Fatalf("master read something else, or %v", err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := p.Write(all)
		done <- err
	}()
	master.Read(got[:1]) // it is under way
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Fatalf("a Write that hangs: got %v, want os.ErrClosed", err)
	}
}

// TestPortClosesUnderUse: whatever others do with a port, Close ends it, and
// nobody touches its descriptor any more.
func TestPortClosesUnderUse(t *testing.T) {
	for range 10 {
		p, master, _ := openPTY(t, BackendNative)
		var users sync.WaitGroup
		for _, use := range []func() error{
			func() error { _, err := p.Read(make([]byte, 8)); return err },
			func() error { _, err := p.Write([]byte("x")); return err },
			func() error { return p.SetReadDeadline(time.Now().Add(time.Millisecond)) },
			func() error { return p.SetReadDeadline(time.Time{}) },
			p.Drain,
		} {
			users.Go(func() {
				for {
					err := use()
					if errors.Is(err, os.ErrClosed) {
						return
					}
					if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
						t.Errorf("got %v", err)
						return
					}
				}
			})
		}
		master.Write([]byte("some"))
		io.ReadFull(master, make([]byte, 20)) // all are at it
		users.Go(func() { io.Copy(io.Discard, master) })
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if err := p.Close(); !errors.Is(err, os.ErrClosed) {
			t.Errorf("closed twice: got %v, want os.ErrClosed", err)
		}
		master.Close()
		users.Wait()
	}
}

// TestPortHangUp: a device that is gone is told apart from a silent one, and
// costs no busy loop.
func TestPortHangUp(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend string) {
		p, master, _ := openPTY(t, backend)
		done := make(chan error, 1)
		go func() {
			_, err := p.Read(make([]byte, 8))
			done <- err
		}()
		master.Close()
		if err := <-done; !errors.Is(err, io.EOF) {
			t.Fatalf("got %v, want io.EOF", err)
		}
		p.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := p.Read(make([]byte, 8)); !errors.Is(err, io.EOF) {
			t.Errorf("again: got %v, want io.EOF", err)
		}
	})
}

// TestPortClose: a Read that waits ends, and swallows nothing that is meant for
// who opens the port next.
func TestPortClose(t *testing.T) {
	eachBackend(t, func(t *testing.T, backend string) {
		p, master, conf := openPTY(t, backend)
		keep, err := os.OpenFile(conf.Path, os.O_RDWR|unix.O_NOCTTY, 0) // the line stays up
		if err != nil {
			t.Skip("TIOCEXCL binds this user, which is not root:", err)
		}
		defer keep.Close()
		done := make(chan error, 1)
		go func() {
			_, err := p.Read(make([]byte, 8))
			done <- err
		}()
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; !errors.Is(err, os.ErrClosed) {
			t.Fatalf("got %v, want os.ErrClosed", err)
		}
		next, err := Open(conf)
		if err != nil {
			t.Fatal(err)
		}
		defer next.Close()
		if _, err := master.Write([]byte("abc")); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 3)
		next.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.ReadFull(next, got); err != nil || string(got) != "abc" {
			t.Fatalf("got %q, %v", got, err)
		}
		if _, err := p.Read(got); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Read after Close: got %v", err)
		}
		if _, err := p.Write(got); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Write after Close: got %v", err)
		}
	})
}

func TestPortIsOurs(t *testing.T) {
	for _, first := range []string{BackendNative, BackendTarm} {
		for _, second := range []string{BackendNative, BackendTarm} {
			t.Run(first+" "+second, func(t *testing.T) {
				p, _, conf := openPTY(t, first)
				conf.Backend = second
				if _, err := Open(conf); !errors.Is(err, ErrInUse) {
					t.Fatalf("a second opener: got %v, want ErrInUse", err)
				}
				p.Close()
			})
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eachBackend(t, func(t *testing.T, backend string) {
		for _, tt := range []struct {
			conf Config
			want error
			text string
		}{
			{Config{Path: "/dev/null", Baud: 250000}, ErrBaud, "250000"},
			{Config{Path: "/dev/null", Baud: 0}, ErrBaud, "115200"},
			{Config{Path: "/dev/does-not-exist", Baud: 9600}, os.ErrNotExist, "/dev/does-not-exist"},
			{Config{Path: file, Baud: 9600}, nil, file},
		} {
			tt.conf.Backend = backend
			p, err := Open(tt.conf)
			if err == nil {
				p.Close()
				t.Errorf("%+v was opened", tt.conf)
				continue
			}
			if tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%+v: got %v", tt.conf, err)
			}
		}
	})
	if _, err := Open(Config{Path: file, Baud: 9600, Backend: "other"}); !errors.Is(err, ErrBackend) {
		t.Errorf("another backend: got %v", err)
	}
	for _, baud := range Bauds() {
		if _, ok := speed(baud); !ok {
			t.Errorf("%d baud has no termios code", baud)
		}
	}
}

// TestSpeedChanges while the port is open, and a speed that there is not leaves
// it as it was.
func TestSpeedChanges(t *testing.T) {
	p, master, _ := openPTY(t, BackendNative)
	set := p.(interface{ SetBaud(int) error }).SetBaud
	rate := func() uint32 {
		t.Helper()
		s, err := unix.IoctlGetTermios(int(master.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		return s.Cflag & unix.CBAUD
	}
	if err := set(115200); err != nil || rate() != unix.B115200 {
		t.Errorf("115200: %v, termios code %x", err, rate())
	}
	if err := set(12345); !errors.Is(err, ErrBaud) || rate() != unix.B115200 {
		t.Errorf("12345: %v, termios code %x", err, rate())
	}
	if _, err := p.Write([]byte("x")); err != nil {
		t.Error(err)
	}
}
