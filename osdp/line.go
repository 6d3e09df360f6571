package osdp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// A Port is a serial line, or anything that reads and writes like one: a
// net.Conn is a Port, and so is an *os.File opened on a tty. If it is an
// io.Closer too, the Line closes it when it is done with it. If it has a
// SetWriteDeadline, a Write that hangs ends by it.
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
	wake chan struct{} // capacity 1: something was submitted

	mu   sync.Mutex // guards the Bus and what follows
	bus  *Bus
	port PortStats
	taps []*tap
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
	return &Line{bus: bus, open: open, log: log, wake: make(chan struct{}, 1)}
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
		l.bus.Down(time.Now()) // for who waits in Send; our own stop is no PD's silence
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
	l.mu.Unlock()
	if err != nil {
		return err
	}
	l.nudge()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	l.mu.Lock()
	cancel(time.Now())
	l.mu.Unlock()
	l.nudge()
	select {
	case err := <-result: // it came while we gave up
		return err
	default:
		return fmt.Errorf("osdp: PD %d: %w", addr, ctx.Err())
	}
}

// nudge has Run ask the bus anew what to do.
func (l *Line) nudge() {
	select {
	case l.wake <- struct{}{}:
	default:
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

// work runs the line on one port until it fails or ctx ends.
func (l *Line) work(ctx context.Context, port Port, emit func(Event)) error {
	// No context ends a Read or Write that blocks. A deadline in the past ends
	// the one, closing the port the other.
	stop := func() {
		port.SetReadDeadline(time.Unix(1, 0))
		if c, ok := port.(io.Closer); ok {
			c.Close()
		}
	}
	in := make(chan chunk, chunksMost)
	quit := make(chan struct{})
	var reader sync.WaitGroup
	unhook := func() bool { return true }
	defer func() {
		close(quit)
		if unhook() {
			stop()
		}
		reader.Wait()
	}()
	if err := port.SetReadDeadline(time.Time{}); err != nil { // of whoever had it before
		return fmt.Errorf("osdp: port: %w", err)
	}
	unhook = context.AfterFunc(ctx, stop)
	reader.Go(func() { pump(port, in, quit) })

	w := worker{l: l, port: port, in: in, emit: emit, timer: time.NewTimer(0)}
	defer w.timer.Stop()
	for ctx.Err() == nil {
		// Whoever was told something may have an answer to it. The line must be
		// idle for a moment in any case, so its turn is decided after that.
		if w.told && !w.idle(ctx, w.last) {
			break
		}
		l.mu.Lock()
		x, wait := l.bus.Next(time.Now())
		l.mu.Unlock()
		var err error
		if len(x.Wire) > 0 {
			err = w.exchange(ctx, x)
		} else {
			err = w.rest(ctx, wait)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// A chunk is what one Read gave. Its bytes are good until chunksMost+1 more have
// come.
type chunk struct {
	b   []byte
	err error
}

const chunksMost = 8 // that wait to be looked at

// pump reads port until it fails, so that what nobody waits for is read too: a
// late answer must not stand in front of the next one.
func pump(port Port, in chan<- chunk, quit <-chan struct{}) {
	var ring [chunksMost + 2][MaxFrame]byte // of those that wait, the one looked at and the next
	for at, hasty := 0, 0; ; {
		buf := ring[at%len(ring)][:]
		began := time.Now()
		n, err := port.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = nil // nobody set one but stop; some ports give up by themselves and may be asked again
		}
		// A port that gives nothing without waiting for it would have us spin.
		if n == 0 && err == nil && time.Since(began) < time.Millisecond {
			if hasty++; hasty >= 100 {
				err = io.ErrNoProgress
			}
		} else {
			hasty = 0
		}
		select {
		case <-quit:
			return
		default:
		}
		if n > 0 || err != nil {
			at++
			select {
			case in <- chunk{buf[:n], err}:
			case <-quit:
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// A worker holds what lasts as long as one opening of the port.
type worker struct {
	l      *Line
	port   Port
	in     <-chan chunk
	emit   func(Event)
	timer  *time.Timer // the one thing that is waited for besides in
	scan   Scanner
	lastRx time.Time
	told   bool // the last exchange had events
	last   int  // its speed
	baud   int  // that the port is set to; 0 before it was
	// damaged is set by a reply with a wrong check: it was the answer, and
	// nothing better will come until we ask again.
	damaged bool
}

// speed sets the port to baud, if it can be set and has another. A PD may have
// a speed of its own since it was sent a COMSET; of a port that cannot be set,
// the speed is the business of who opened it.
func (w *worker) speed(baud int) error {
	p, ok := w.port.(interface{ SetBaud(baud int) error })
	if !ok || baud == w.baud {
		return nil
	}
	if err := p.SetBaud(baud); err != nil {
		return fmt.Errorf("osdp: speed of %d: %w", baud, err)
	}
	w.baud = baud
	return nil
}

// rest waits until there may be something to send.
func (w *worker) rest(ctx context.Context, wait time.Duration) error {
	w.timer.Reset(wait)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-w.l.wake:
	case <-w.timer.C:
	case c := <-w.in:
		w.lastRx = time.Now()
		w.scan.Feed(c.b)
		w.strays()
		return w.check(c.err)
	}
	return nil
}

// idle waits until the line has been idle for two characters (OSDP v2.2 §5.7),
// and reports whether ctx is still alive.
func (w *worker) idle(ctx context.Context, baud int) bool {
	w.told, w.last = false, baud
	rest := air(2, baud) - time.Since(w.lastRx)
	if rest <= 0 {
		return true
	}
	w.timer.Reset(rest)
	select {
	case <-ctx.Done():
		return false
	case <-w.timer.C:
		return true
	}
}

// drain takes what came in before we asked: it is no answer.
func (w *worker) drain() error {
	for {
		w.strays()
		select {
		case c := <-w.in:
			w.lastRx = time.Now()
			w.scan.Feed(c.b)
			if err := w.check(c.err); err != nil {
				return err
			}
		default:
			w.scan.Reset()
			w.count()
			return nil
		}
	}
}

// strays tells the bus of whole frames that nobody asked for: they say what is
// wrong with a line.
func (w *worker) strays() {
	for {
		f, err := w.scan.Next()
		if errors.Is(err, ErrShort) {
			return
		}
		w.l.mu.Lock()
		w.l.tapped(false, f.wire)
		if err == nil {
			w.l.bus.Unasked(f)
		}
		w.l.mu.Unlock()
	}
}

// check turns the error of a Read into the port's failure.
func (w *worker) check(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("osdp: read: %w", err)
}

// exchange sends x and gives the bus what comes back in time.
func (w *worker) exchange(ctx context.Context, x Exchange) error {
	if err := w.speed(x.Baud); err != nil {
		return err
	}
	if !w.idle(ctx, x.Baud) {
		return ctx.Err()
	}
	if err := w.drain(); err != nil {
		return err
	}
	if d, ok := w.port.(interface{ SetWriteDeadline(time.Time) error }); ok {
		d.SetWriteDeadline(time.Now().Add(writeLimit)) // a port that cannot is no worse than one without
	}
	if _, err := w.port.Write(x.Wire); err != nil {
		return fmt.Errorf("osdp: write: %w", err)
	}
	w.l.sent(x.Wire)
	w.damaged = false
	begin := time.Now().Add(x.Reply) // the reply's first byte comes before this
	w.timer.Reset(time.Until(begin))
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c := <-w.in:
			w.lastRx = time.Now()
			w.scan.Feed(c.b)
			if done := w.answers(); done {
				return w.check(c.err)
			}
			if err := w.check(c.err); err != nil {
				return err
			}
		case <-w.timer.C:
			// The frame in the making stops here; a whole one may stand behind
			// its first byte.
			for w.scan.GiveUp() {
				if w.answers() {
					return nil
				}
			}
			if !time.Now().Before(begin) {
				w.silence()
				return nil
			}
		}
		if w.damaged && w.scan.Held() == 0 {
			begin = earlier(begin, time.Now().Add(damagedWait))
			w.damaged = false
		}
		// While a frame comes in, it may take its time in the air, but must not
		// stop: a PD that sends a byte now and then may not hold the line.
		until := begin
		if w.scan.Held() > 0 {
			end := begin.Add(air(w.scan.Want(), x.Baud) + interCharacter)
			until = time.Now().Add(interCharacter)
			if until.After(end) {
				until = end
			}
		}
		w.timer.Reset(time.Until(until))
	}
}

// answers gives the whole frames that are held to the bus, and reports whether
// one ended the exchange.
func (w *worker) answers() (done bool) {
	for !done {
		f, err := w.scan.Next()
		if errors.Is(err, ErrShort) {
			break
		}
		var evs []Event
		w.l.mu.Lock()
		w.l.tapped(false, f.wire)
		if err != nil {
			w.l.bus.Damaged()
			w.damaged = f.Reply
		} else {
			evs, done = w.l.bus.Answer(time.Now(), f)
		}
		w.l.mu.Unlock()
		w.tell(evs)
	}
	w.count()
	return done
}

func (w *worker) silence() {
	w.l.mu.Lock()
	evs := w.l.bus.Silence(time.Now())
	w.l.mu.Unlock()
	w.count()
	w.tell(evs)
}

func (w *worker) tell(evs []Event) {
	w.told = w.told || len(evs) > 0
	for _, e := range evs {
		w.emit(e)
	}
}

// count moves the scanner's counts to the port's.
func (w *worker) count() {
	w.l.mu.Lock()
	defer w.l.mu.Unlock()
	w.l.port.Bad += w.scan.Bad
	w.l.port.Skipped += w.scan.Skipped
	w.scan.Bad, w.scan.Skipped = 0, 0
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
