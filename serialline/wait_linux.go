package serialline

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// behind is how much later than the deadline the timer comes, so that who is
	// woken by it finds the deadline past, whichever processor's clock it reads.
	behind = time.Microsecond
	// farthest is a deadline as good as none. A timer on a machine of 32 bits
	// takes 68 years at most.
	farthest = time.Duration(1 << 60)
)

// A wait reads a descriptor that does not block, until a deadline. The runtime's
// poller does the waiting, but the deadline is a timer of the kernel: each of
// the runtime's own that comes wakes two threads beside the one that it is for,
// and a line that is polled has a deadline with every poll.
type wait struct {
	epoll  *os.File        // has input when fd or timer has
	events syscall.RawConn // of epoll
	try    func(uintptr) bool

	reading sync.Mutex // one read at a time; guards the fields below
	fd      int
	b       []byte
	n       int
	err     error

	mu       sync.Mutex // guards the fields below
	timer    int        // -1 once closed
	deadline time.Time
}

// newWait returns a wait that reads fd, which stays the caller's. There is no
// deadline yet.
func newWait(fd int) (*wait, error) {
	timer, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("timer: %w", err)
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		unix.Close(timer)
		return nil, fmt.Errorf("epoll: %w", err)
	}
	err = unix.SetNonblock(epoll, true) // or the runtime's poller does not take it
	w := &wait{epoll: os.NewFile(uintptr(epoll), "epoll"), fd: fd, timer: timer}
	w.try = w.attempt
	for _, from := range []int{fd, timer} {
		if err == nil { // it is one if fd cannot be polled
			err = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, from, &unix.EpollEvent{Events: unix.EPOLLIN})
		}
	}
	if err == nil {
		err = w.epoll.SetReadDeadline(time.Time{}) // fails if the runtime's poller has not taken it
	}
	if err == nil {
		w.events, err = w.epoll.SyscallConn()
	}
	if err != nil {
		w.close()
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return w, nil
}

// until sets the deadline, also that of a read that waits already; the zero time
// takes it away.
func (w *wait) until(t time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer < 0 {
		return os.ErrClosed
	}
	w.deadline = t
	timer := time.Duration(0) // which stops it
	if !t.IsZero() {
		now := time.Now()
		left := min(max(t.Sub(now), 0), farthest)
		w.deadline = now.Add(left) // on the monotonic clock, as the timer is
		timer = left + behind
	}
	return unix.TimerfdSettime(w.timer, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(timer))}, nil)
}

// read waits for input. It fails with os.ErrDeadlineExceeded once the deadline
// is there, and with os.ErrClosed.
func (w *wait) read(b []byte) (int, error) {
	w.reading.Lock()
	defer w.reading.Unlock()
	w.b = b
	defer func() { w.b = nil }()
	if w.events.Read(w.try) != nil {
		return 0, os.ErrClosed // it has no deadline of its own, so nothing else goes wrong
	}
	return w.n, w.err
}

// attempt is called before epoll is waited for and after each of its events, and
// reports whether the read is over.
func (w *wait) attempt(uintptr) bool {
	if w.n, w.err = 0, os.ErrDeadlineExceeded; w.late() {
		return true
	}
	w.n, w.err = transfer(unix.SYS_READ, w.fd, w.b)
	return w.err != unix.EAGAIN
}

func (w *wait) late() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.deadline.IsZero() && !time.Now().Before(w.deadline)
}

// close ends a read that waits, and returns once it has left fd alone.
func (w *wait) close() {
	w.epoll.Close()
	w.reading.Lock() // where it was closed before, that may not have waited
	defer w.reading.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.timer >= 0 {
		unix.Close(w.timer)
		w.timer = -1
	}
}
