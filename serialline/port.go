package serialline

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// A Port is a serial line, or anything that reads and writes like one: a
// net.Conn with a Drain is one too.
type Port interface {
	io.ReadWriteCloser
	// SetReadDeadline makes a Read that is still waiting at t fail with an error
	// that is os.ErrDeadlineExceeded; the zero time takes the deadline away.
	SetReadDeadline(t time.Time) error
	// Drain returns once the last bit written has left.
	Drain() error
}

// The backends of Open.
const (
	// BackendNative is this package's own, on Linux: raw termios, a lock,
	// deadlines of the kernel's timers.
	BackendNative = "native"
	// BackendTarm is github.com/tarm/serial. It looks for bytes in slices of 100 ms
	// all the time, which costs more, and its Close takes so long.
	BackendTarm = "tarm"
)

// A Config says which port to open and how: always 8 data bits, no parity, one
// stop bit, no flow control.
type Config struct {
	Path    string // such as /dev/serial/by-id/… or COM3
	Baud    int    // one of Bauds
	Backend string // BackendNative or BackendTarm; empty is native on Linux, tarm elsewhere
	// RS485 asks the kernel to switch the transmitter of a two-wire line by RTS.
	// Adapters that switch by themselves do not know the request, and that is no
	// error.
	RS485 bool
}

// Errors of Open, besides those of the operating system.
var (
	// ErrInUse says that another program, or another part of this one, has the
	// port.
	ErrInUse = errors.New("serialline: port is in use")
	// ErrBaud says that the speed is none that serial ports have.
	ErrBaud = errors.New("serialline: baud rate")
	// ErrBackend says that there is no such backend here.
	ErrBackend = errors.New("serialline: backend")
)

// Bauds are the speeds that Open takes.
func Bauds() []int {
	return []int{1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600}
}

// Open opens a serial port for this process alone. A Read of it fails with
// os.ErrDeadlineExceeded at its deadline, with os.ErrClosed after Close and with
// an error that is io.EOF once the device is gone; it never returns 0 bytes
// without an error.
func Open(c Config) (Port, error) {
	if !slices.Contains(Bauds(), c.Baud) {
		return nil, fmt.Errorf("%w: got %d, want one of %v", ErrBaud, c.Baud, Bauds())
	}
	var p Port
	var err error
	switch c.Backend {
	case "":
		p, err = openDefault(c)
	case BackendNative:
		p, err = openNative(c)
	case BackendTarm:
		p, err = openTarm(c)
	default:
		return nil, fmt.Errorf("%w: got %q, want %q or %q", ErrBackend, c.Backend, BackendNative, BackendTarm)
	}
	if err != nil {
		return nil, fmt.Errorf("serialline: open %s: %w", c.Path, err)
	}
	return p, nil
}
