package osdptest_test

import (
	"context"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"latchkey/osdp"
	"latchkey/osdp/osdptest"
)

// rawMode takes a terminal's hands off the bytes.
func rawMode(f *os.File) error {
	c, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = c.Control(func(fd uintptr) {
		t, err := unix.IoctlGetTermios(int(fd), unix.TCGETS)
		if err != nil {
			failed = err
			return
		}
		t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
		t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL
		t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
		failed = unix.IoctlSetTermios(int(fd), unix.TCSETS, t)
	})
	if err != nil {
		return err
	}
	return failed
}

// TestPseudoTerminal works a PD over a pty in real time: the panel comes, goes
// and comes back, and the PD, at the master's end, waits for it.
func TestPseudoTerminal(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Skipf("no pseudo-terminal here: %v", err)
	}
	name := slave.Name()
	if err := rawMode(slave); err != nil {
		t.Fatal(err)
	}
	slave.Close() // from here on the master reads EIO
	defer master.Close()
	pd := osdptest.NewPD(osdptest.Config{Addr: 3})
	serving, stopServing := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := pd.Serve(serving, master); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		var kinds []osdp.Kind
		line := osdp.NewLine(osdp.NewBus([]osdp.PDConfig{{Addr: 3, Security: osdp.AllowClear}}), func(context.Context) (osdp.Port, error) {
			f, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
			if err != nil {
				return nil, err
			}
			return f, rawMode(f)
		}, nil)
		err := line.Run(ctx, func(e osdp.Event) {
			kinds = append(kinds, e.Kind)
			switch e.Kind {
			case osdp.ReaderStatus:
				pd.Present(0, bits(t))
			case osdp.Card:
				cancel()
			}
		})
		cancel()
		if err != nil || !slices.Contains(kinds, osdp.Card) {
			t.Errorf("Run: %v, events %v; want a card", err, kinds)
		}
	}
	stopServing()
	wg.Wait()
}
