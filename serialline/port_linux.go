package serialline

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func openDefault(c Config) (Port, error) { return openNative(c) }

// speed is the termios code of a baud rate.
func speed(baud int) (uint32, bool) {
	s, ok := map[int]uint32{
		1200: unix.B1200, 2400: unix.B2400, 4800: unix.B4800, 9600: unix.B9600, 19200: unix.B19200, 38400: unix.B38400,
		57600: unix.B57600, 115200: unix.B115200, 230400: unix.B230400, 460800: unix.B460800, 921600: unix.B921600,
	}[baud]
	return s, ok
}

// native is a tty that does not block.
type native struct {
	wait *wait // reads fd

	use    sync.RWMutex // held for reading by who else uses fd, for writing by Close
	fd     int
	closed bool
}

func openNative(c Config) (Port, error) {
	fd, err := openTTY(c.Path)
	if err != nil {
		if errors.Is(err, unix.EBUSY) {
			err = fmt.Errorf("%w: %w", ErrInUse, err)
		}
		return nil, err
	}
	p := &native{fd: fd}
	if err = setUp(fd, c); err == nil {
		p.wait, err = newWait(fd)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return p, nil
}

// openTTY opens a device, and does not wait for a carrier. It is no os.File: the
// runtime's poller, which would have it then, wakes for each frame that has left
// too.
func openTTY(path string) (fd int, err error) {
	for {
		fd, err = unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

func setUp(fd int, c Config) error {
	if err := lock(fd); err != nil {
		return err
	}
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return fmt.Errorf("not a serial port: %w", err)
	}
	// A byte with a framing error is dropped: the frame's CRC finds the hole,
	// while a 0 in its place would be a delimiter.
	t.Iflag = unix.IGNBRK | unix.IGNPAR | unix.INPCK
	t.Oflag, t.Lflag = 0, 0
	t.Cflag = unix.CREAD | unix.CLOCAL | unix.CS8
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	if err := setSpeed(fd, t, c.Baud); err != nil {
		return err
	}
	if err := exclusive(fd); err != nil {
		return err
	}
	hurry(fd)
	if c.RS485 {
		if err := rs485(fd); err != nil {
			return err
		}
	}
	if err := unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIOFLUSH); err != nil { // what came before us is not for us
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}

// setSpeed applies t with the speed baud, once what was written has left, and
// looks whether the port took it.
func setSpeed(fd int, t *unix.Termios, baud int) error {
	rate, ok := speed(baud)
	if !ok {
		return fmt.Errorf("%w: %d has no termios code", ErrBaud, baud)
	}
	t.Cflag = t.Cflag&^unix.CBAUD | rate
	t.Ispeed, t.Ospeed = rate, rate
	if err := unix.IoctlSetTermios(fd, unix.TCSETSW, t); err != nil {
		return fmt.Errorf("set %d baud 8N1: %w", baud, err)
	}
	got, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return fmt.Errorf("read settings back: %w", err)
	}
	if got.Cflag&unix.CBAUD != rate {
		return fmt.Errorf("%w: the port does not run at %d", ErrBaud, baud)
	}
	return nil
}

// lock keeps other programs of good will out: flock is what minicom, picocom
// and systemd ask too, and unlike TIOCEXCL it binds root.
func lock(fd int) error {
	for {
		switch err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err {
		case nil:
			return nil
		case unix.EINTR:
		case unix.EWOULDBLOCK:
			return fmt.Errorf("%w: another program holds its lock", ErrInUse)
		default:
			return fmt.Errorf("lock: %w", err)
		}
	}
}

// exclusive keeps everybody but root out.
func exclusive(fd int) error {
	if err := unix.IoctlSetInt(fd, unix.TIOCEXCL, 0); err != nil {
		return fmt.Errorf("exclusive use: %w", err)
	}
	return nil
}

// hurry asks the driver to hand over each byte as it comes: an FTDI adapter
// holds them back for 16 ms otherwise. A driver that has no such setting, such
// as that of a pty, is as fast as it is.
func hurry(fd int) {
	const (
		flagsAt    = 16      // int flags in struct serial_struct, on all of Linux's platforms
		lowLatency = 1 << 13 // ASYNC_LOW_LATENCY
	)
	var s [128]byte // struct serial_struct has 72 bytes at most
	if ioctl(fd, unix.TIOCGSERIAL, unsafe.Pointer(&s)) != nil {
		return
	}
	*(*uint32)(unsafe.Pointer(&s[flagsAt])) |= lowLatency
	ioctl(fd, unix.TIOCSSERIAL, unsafe.Pointer(&s))
}

// rs485 has the kernel raise RTS while it sends.
func rs485(fd int) error {
	const enabled, rtsOnSend = 1 << 0, 1 << 1
	s := struct {
		flags, before, after uint32 // before and after in ms
		padding              [5]uint32
	}{flags: enabled | rtsOnSend}
	switch err := ioctl(fd, unix.TIOCSRS485, unsafe.Pointer(&s)); err {
	case nil, unix.ENOTTY, unix.EINVAL, unix.ENOSYS, unix.EOPNOTSUPP: // the adapter does it, or cannot be asked to
		return nil
	default:
		return fmt.Errorf("RS-485 mode: %w", err)
	}
}

func ioctl(fd int, request uint, arg unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(request), uintptr(arg)); errno != 0 {
		return errno
	}
	return nil
}

// control runs f with the descriptor, which stays open meanwhile.
func (p *native) control(f func(fd int) error) error {
	p.use.RLock()
	defer p.use.RUnlock()
	if p.closed {
		return os.ErrClosed
	}
	return hangUp(f(p.fd))
}

func (p *native) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := p.wait.read(b)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, hangUp(err)
}

func (p *native) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		err = p.control(func(fd int) error {
			k, err := transfer(unix.SYS_WRITE, fd, b[n:])
			n += k
			switch {
			case err == unix.EAGAIN:
				return awaitRoom(fd)
			case err == nil && k == 0:
				return io.ErrShortWrite
			}
			return err
		})
	}
	return n, err
}

// awaitRoom waits for what was written to leave, but not for so long that Close
// would notice.
func awaitRoom(fd int) error {
	_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 100)
	if err == unix.EINTR {
		return nil
	}
	return err
}

// transfer is read or write of a descriptor that does not block. So the
// scheduler need not hear of it: for each other system call it wakes a thread
// that watches how long they take.
func transfer(call uintptr, fd int, b []byte) (n int, err error) {
	for {
		n, _, errno := unix.RawSyscall(call, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// hangUp makes one error of the two that a device which is gone gives.
func hangUp(err error) error {
	if errors.Is(err, unix.EIO) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("%w: %w", io.EOF, err)
	}
	return err
}

func (p *native) SetReadDeadline(t time.Time) error { return p.wait.until(t) }

// SetBaud sets the speed to another of Bauds, once what was written has left.
func (p *native) SetBaud(baud int) error {
	return p.control(func(fd int) error {
		t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		return setSpeed(fd, t, baud)
	})
}

// Drain is tcdrain.
func (p *native) Drain() error { return p.control(drain) }

func drain(fd int) error {
	for {
		// TCSBRK with an argument waits for the output and breaks nothing.
		if err := unix.IoctlSetInt(fd, unix.TCSBRK, 1); err != unix.EINTR {
			return err
		}
	}
}

// Close frees the port, also where another descriptor of it stays open, and
// ends a Read that waits.
func (p *native) Close() error {
	p.wait.close() // no Read is left with fd
	p.use.Lock()
	defer p.use.Unlock()
	if p.closed {
		return os.ErrClosed
	}
	p.closed = true
	release(p.fd)
	return unix.Close(p.fd)
}

// release gives back what lock and exclusive took: both outlive the descriptor
// if a child of this process has it too, or somebody else had the port open
// before us.
func release(fd int) error {
	return errors.Join(unix.IoctlSetInt(fd, unix.TIOCNXCL, 0), unix.Flock(fd, unix.LOCK_UN))
}

// A guard keeps others from a port that tarm/serial has open, and drains it:
// the library can do neither and hides its descriptor.
type guard struct{ f *os.File }

func newGuard(c Config) (*guard, error) {
	f, err := os.OpenFile(c.Path, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, unix.EBUSY) {
			err = fmt.Errorf("%w: %w", ErrInUse, err)
		}
		return nil, err
	}
	g := &guard{f}
	if err := g.control(lock); err != nil {
		f.Close()
		return nil, err
	}
	return g, nil
}

func (g *guard) control(f func(fd int) error) error {
	raw, err := g.f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// opened is called once the library has the port: TIOCEXCL before that would
// have kept it out.
func (g *guard) opened(c Config) error {
	return g.control(func(fd int) error {
		if err := exclusive(fd); err != nil {
			return err
		}
		hurry(fd)
		if c.RS485 {
			return rs485(fd)
		}
		return nil
	})
}

func (g *guard) drain() error { return hangUp(g.control(drain)) }

func (g *guard) close() error {
	g.control(release)
	return g.f.Close()
}
