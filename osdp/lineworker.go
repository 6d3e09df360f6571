package osdp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// hastyMost is how often in a row a port may give nothing without waiting for
// it, or it would have us spin.
const hastyMost = 100

// work runs the line on one port until it fails or ctx ends. It is one goroutine
// that waits in Read and nowhere else: each goroutine, channel or timer more
// would be threads woken for every poll.
func (l *Line) work(ctx context.Context, port Port, emit func(Event)) error {
	// No context ends a Read or Write that blocks. A deadline in the past ends
	// the one, closing the port the other.
	stop := func() {
		port.SetReadDeadline(time.Unix(1, 0))
		if c, ok := port.(io.Closer); ok {
			c.Close()
		}
	}
	unhook := context.AfterFunc(ctx, stop)
	defer func() {
		if unhook() {
			stop()
		}
	}()
	w := worker{l: l, port: port, emit: emit}
	w.setBaud, _ = port.(interface{ SetBaud(baud int) error })
	w.limit, _ = port.(interface{ SetWriteDeadline(time.Time) error })
	for {
		// Whoever was told something may have an answer to it. The line must be
		// idle for a moment in any case, so its turn is decided after that.
		if w.told {
			w.told = false
			if err := w.idle(ctx, w.last); err != nil {
				return err
			}
		}
		x, until, err := l.next(port)
		switch {
		case err != nil:
		case len(x.Wire) > 0:
			err = w.exchange(ctx, x)
		default:
			err = w.rest(ctx, until)
		}
		if err != nil {
			return err
		}
	}
}

// next asks the bus what to do. When that is nothing, the port's Read ends at
// until, or by a nudge before that.
func (l *Line) next(port Port) (x Exchange, until time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	x, wait := l.bus.Next(now)
	if len(x.Wire) == 0 {
		until = now.Add(wait)
		l.resting = port
		err = setDeadline(port, until)
	}
	return x, until, err
}

// rested ends what next began, and reports whether a nudge has ended it.
func (l *Line) rested() (nudged bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	nudged = l.resting == nil
	l.resting = nil
	return nudged
}

func setDeadline(port Port, t time.Time) error {
	if err := port.SetReadDeadline(t); err != nil {
		return fmt.Errorf("osdp: port: %w", err)
	}
	return nil
}

// A worker holds what lasts as long as one opening of the port.
type worker struct {
	l       *Line
	port    Port
	setBaud interface{ SetBaud(baud int) error }           // port, if it has that, or nil
	limit   interface{ SetWriteDeadline(time.Time) error } // as setBaud
	emit    func(Event)
	buf     [MaxFrame]byte
	scan    Scanner
	lastRx  time.Time
	quiet   bool // the last Read waited and got nothing
	hasty   int  // Reads in a row that got nothing and did not wait
	told    bool // the last exchange had events
	last    int  // its speed
	baud    int  // that the port is set to; 0 before it was
	// damaged is set by a reply with a wrong check: it was the answer, and
	// nothing better will come until we ask again.
	damaged bool
}

// speed sets the port to baud, if it can be set and has another. A PD may have
// a speed of its own since it was sent a COMSET; of a port that cannot be set,
// the speed is the business of who opened it.
func (w *worker) speed(baud int) error {
	if w.setBaud == nil || baud == w.baud {
		return nil
	}
	if err := w.setBaud.SetBaud(baud); err != nil {
		return fmt.Errorf("osdp: speed of %d: %w", baud, err)
	}
	w.baud = baud
	return nil
}

// listen is hear until the given time.
func (w *worker) listen(ctx context.Context, until time.Time) (due bool, err error) {
	if err := setDeadline(w.port, until); err != nil {
		return false, err
	}
	return w.hear(ctx, until)
}

// hear reads once, until the port's deadline, which is until or somebody's that
// was set after it. It reports whether nothing came until then. An error is the
// port's failure or the end of ctx; there may be bytes before it.
func (w *worker) hear(ctx context.Context, until time.Time) (due bool, err error) {
	if err := ctx.Err(); err != nil { // it ended between AfterFunc and the deadline
		return false, err
	}
	began := time.Now()
	n, err := w.port.Read(w.buf[:])
	now := time.Now()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = nil // some ports give up by themselves and may be asked again
	}
	if n > 0 {
		w.lastRx = now
		w.scan.Feed(w.buf[:n])
	}
	w.quiet = n == 0
	due = w.quiet && err == nil && !now.Before(until)
	if w.quiet && err == nil && !due && now.Sub(began) < time.Millisecond {
		if w.hasty++; w.hasty >= hastyMost {
			err = io.ErrNoProgress
		}
	} else {
		w.hasty = 0
	}
	if err != nil {
		err = fmt.Errorf("osdp: read: %w", err)
	}
	return due, err
}

// rest waits until there may be something to send.
func (w *worker) rest(ctx context.Context, until time.Time) error {
	_, err := w.hear(ctx, until)
	if w.l.rested() {
		w.hasty = 0
	}
	w.strays()
	return err
}

// idle leaves the line in peace for two characters (OSDP v2.2 §5.7). What comes
// in before we ask is no answer.
func (w *worker) idle(ctx context.Context, baud int) error {
	now := time.Now()
	from := w.lastRx
	if !w.quiet {
		from = now // there may be more than was read
	}
	for until := from.Add(air(2, baud)); now.Before(until); now = time.Now() {
		_, err := w.listen(ctx, until)
		w.strays()
		if err != nil {
			return err
		}
	}
	w.scan.Reset()
	w.count()
	return nil
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

// exchange sends x and gives the bus what comes back in time.
func (w *worker) exchange(ctx context.Context, x Exchange) error {
	w.last = x.Baud
	if err := w.speed(x.Baud); err != nil {
		return err
	}
	if err := w.idle(ctx, x.Baud); err != nil {
		return err
	}
	if w.limit != nil {
		w.limit.SetWriteDeadline(time.Now().Add(writeLimit)) // a port that cannot is no worse than one without
	}
	if _, err := w.port.Write(x.Wire); err != nil {
		return fmt.Errorf("osdp: write: %w", err)
	}
	w.l.sent(x.Wire)
	w.damaged = false
	begin := time.Now().Add(x.Reply) // the reply's first byte comes before this
	for until := begin; ; until = w.patience(&begin, x.Baud) {
		due, err := w.listen(ctx, until)
		if done := w.answers(); done || err != nil {
			return err
		}
		if !due {
			continue
		}
		// The frame in the making stops here; a whole one may stand behind its
		// first byte.
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
}

// patience is until when more of an answer may come that is to begin before
// begin, which a damaged one draws near.
func (w *worker) patience(begin *time.Time, baud int) time.Time {
	if w.damaged && w.scan.Held() == 0 {
		*begin = earlier(*begin, time.Now().Add(damagedWait))
		w.damaged = false
	}
	if w.scan.Held() == 0 {
		return *begin
	}
	// While a frame comes in, it may take its time in the air, but must not
	// stop: a PD that sends a byte now and then may not hold the line.
	end := begin.Add(air(w.scan.Want(), baud) + interCharacter)
	return earlier(time.Now().Add(interCharacter), end)
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
