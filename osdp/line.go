package osdp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// A Port is a serial line, or anything that reads and writes like one: a
// net.Conn is a Port, and so is an *os.File opened on a tty. It holds what comes
// in while nobody reads. If it is an io.Closer too, the Line closes it when it
// is done with it. If it has a SetWriteDeadline, a Write that hangs ends by it.
type Port interface {
	io.ReadWriter
	// SetReadDeadline makes a Read that is still waiting at t fail with an
	// error that is os.ErrDeadlineExceeded.
	SetReadDeadline(t time.Time) error
}

// A Logger takes what a person must know about a line's port; a *slog.Logger
// is one.
type Logger interface {
	Info(msg string, args ...any)
	Warn(msg string, args ...any)
}

const (
	// interCharacter is the pause inside a frame after which its rest will not
	// come. The standard's 20 ms hold for a UART; USB adapters and TCP hold bytes
	// back for up to 110 ms.
	interCharacter = 150 * time.Millisecond

	damagedWait = 20 * time.Millisecond // for what may stand behind a damaged reply

	reopenFirst = 100 * time.Millisecond // from one opening of the port to the next, doubling
	reopenMost  = 2 * time.Second
	portLives   = time.Second // a port that fails sooner than this counts as one that did not open
	writeLimit  = 5 * time.Second
)

// A Line works one Bus over one port. Run does the work; the other methods may
// be called by anybody while it does.
type Line struct {
	open func(context.Context) (Port, error)
	log  Logger

	mu      sync.Mutex // guards the Bus and what follows
	bus     *Bus
	resting Port // whose Read waits for the bus to have something to do; nil while Run does other things
	port    PortStats
	taps    []*tap
}

// PortStats is the state of a line's port.
type PortStats struct {
	Open    bool
	Since   time.Time // of Open's last change; zero before the first
	Opens   uint64
	Err     error  // why it is not open; nil while it is, and before the first try
	Bad     uint64 // frames with a wrong check
	Skipped uint64 // bytes that belong to no frame
}

// NewLine returns a Line for bus, which nobody else may use from now on. open
// gives the port, each time it is needed; log may be nil.
func NewLine(bus *Bus, open func(context.Context) (Port, error), log Logger) *Line {
	return &Line{bus: bus, open: open, log: log}
}

// Run works the line until ctx ends, and then returns nil. It gives each event
// to emit, on its own goroutine and in the order in which they happened; emit
// must not block, for the readers count it as silence. A port that fails is
// opened again, with a growing pause of 2 s at most, and all PDs are offline
// while there is none. A Line is run once.
func (l *Line) Run(ctx context.Context, emit func(Event)) error {
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.bus.Stop(time.Now()) // for who waits in Send and others; our own stop is no PD's silence
	}()
	pause, failing := reopenFirst, false
	for ctx.Err() == nil {
		port, err := l.open(ctx)
		began := time.Now()
		if err == nil {
			l.opened(failing)
			err = l.work(ctx, port, emit)
		}
		if ctx.Err() != nil {
			l.closed(nil)
			return nil
		}
		// A port that worked is opened again at once: only when that fails, or it
		// fails right away, is the line down.
		if time.Since(began) >= portLives {
			pause, failing = reopenFirst, false
			l.closed(err)
			l.warn("osdp: port failed", err)
			continue
		}
		if !failing {
			l.warn("osdp: port is gone", err)
		}
		failing = true
		for _, e := range l.down(err) {
			emit(e)
		}
		if !sleep(ctx, pause) {
			return nil
		}
		pause = min(2*pause, reopenMost)
	}
	return nil
}

// Send puts cmds to the PD at addr, before its polls, in their order and with
// nothing of another Send in between. It returns once the PD has answered them
// all: nil, or its refusals as NAKErrors (a refused command does not stop those
// behind it). An ErrOffline means that the PD has not answered; it may have
// done what it was told. When ctx ends first, what was not sent will not be.
func (l *Line) Send(ctx context.Context, addr uint8, cmds ...Command) error {
	_, err := l.Do(ctx, addr, cmds...)
	return err
}

// Do is Send that gives the replies, one for each command in order: refusals
// as NAK. With an error there may be fewer.
func (l *Line) Do(ctx context.Context, addr uint8, cmds ...Command) ([]Reply, error) {
	var replies []Reply // written before done, read after it
	var id uint64
	err := l.await(ctx, addr, func(now time.Time, done func(error)) (err error) {
		id, err = l.bus.Submit(now, addr, cmds, func(r []Reply, err error) { replies = r; done(err) })
		return err
	}, func(now time.Time) { l.bus.Cancel(now, id) })
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil, err // replies may be written any time
	}
	return replies, err
}

// await has begin hand something to the bus, and waits until the bus calls done
// or ctx ends; then it has cancel take it back. Both are called with the lock.
func (l *Line) await(ctx context.Context, addr uint8, begin func(now time.Time, done func(error)) error, cancel func(now time.Time)) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("osdp: PD %d: %w", addr, err)
	}
	result := make(chan error, 1)
	l.mu.Lock()
	err := begin(time.Now(), func(err error) { result <- err })
	l.nudge()
	l.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	l.mu.Lock()
	cancel(time.Now())
	l.nudge()
	l.mu.Unlock()
	select {
	case err := <-result: // it came while we gave up
		return err
	default:
		return fmt.Errorf("osdp: PD %d: %w", addr, ctx.Err())
	}
}

// nudge has Run ask the bus anew what to do. It is called with the lock.
func (l *Line) nudge() {
	if l.resting != nil {
		l.resting.SetReadDeadline(time.Unix(1, 0)) // if it fails, so does the Read
		l.resting = nil
	}
}

// Stats describes all PDs of the line, in the order given to NewBus.
func (l *Line) Stats() []PDStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bus.Stats()
}

// Port describes the line's port.
func (l *Line) Port() PortStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.port
}

func (l *Line) opened(again bool) {
	l.mu.Lock()
	l.port.Open, l.port.Since, l.port.Err = true, time.Now(), nil
	l.port.Opens++
	l.mu.Unlock()
	if again && l.log != nil {
		l.log.Info("osdp: port is back")
	}
}

func (l *Line) closed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.port.Open || l.port.Since.IsZero() {
		l.port.Open, l.port.Since = false, time.Now()
	}
	l.port.Err = err
}

func (l *Line) down(err error) []Event {
	l.closed(err)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bus.Down(time.Now())
}

func (l *Line) warn(msg string, err error) {
	if l.log != nil {
		l.log.Warn(msg, "err", err)
	}
}

// sleep waits for d, and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
