package cache

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"latchkey/access"
)

const (
	// keepAcked is how many events stay for the local page once the cloud has
	// them.
	keepAcked = 10_000
	// keepDevices is for how many events back a controller's event that is
	// told again is recognised.
	keepDevices = 200_000
	// keepUnsent is how many events wait for the cloud at the most: some 30
	// busy days, and 400 MB. Beyond that the oldest are given up and counted.
	keepUnsent = 1_000_000
	// keepRing is how many events wait in memory for a disk that fails.
	keepRing = 1000
	// maxGroup is how many events share one transaction.
	maxGroup = 256
	// retryDisk is how often a disk that failed is tried again.
	retryDisk = time.Second
	// trimBatch is how many events one Ack deletes at the most.
	trimBatch = 2000
)

// What a caller decides on.
var (
	// ErrDuplicate says that the controller's event is stored already.
	ErrDuplicate = errors.New("cache: event is stored already")
	// ErrDeferred says that the disk failed and that the event waits in
	// memory. It is stored once the disk works again, in order and with its
	// own time, unless the program ends before that.
	ErrDeferred = errors.New("cache: event waits in memory")
	// ErrEventEpoch says that an acknowledgement is about other events.
	ErrEventEpoch = errors.New("cache: another event epoch")
	// ErrClosed says that the events were closed.
	ErrClosed = errors.New("cache: events are closed")
)

// logState is the sealed row about the event store.
type logState struct {
	Epoch string `json:"epoch"`
	Last  uint64 `json:"last"`  // newest number given out
	Acked uint64 `json:"acked"` // newest that the cloud has
	First uint64 `json:"first"` // oldest that is still stored
}

// Events is the site's event store. Its methods may be called by many
// goroutines at once.
type Events struct {
	opts Options
	file *file
	seal *sealer
	keep uint64 // how many acknowledged events stay

	queue   chan *appending
	closing chan struct{}
	done    chan struct{} // the writer has stopped
	close   sync.Once
	closed  error

	// writing serialises transactions; state and ring change with it held.
	writing sync.Mutex

	mu       sync.Mutex
	state    logState
	ring     []access.Event // waiting for the disk
	lost     uint64         // not stored and not in the ring
	since    time.Time      // of the first that was lost
	failing  string         // why the disk does not take events; empty if it does
	problems []string
	stored   uint64
	lostAll  uint64
	damaged  uint64
	version  uint64
	wait     chan struct{}
}

// An appending is one Append that waits for its group.
type appending struct {
	event access.Event
	err   error
	done  chan struct{}
}

// OpenEvents opens events.db in o.Dir, made if it is not there. A damaged file
// is set aside, never deleted: what can be read of it is carried into a new
// file, under the same epoch and numbers where those verify. Otherwise the new
// store has a new epoch, and its first event is an access.EventGap.
func OpenEvents(ctx context.Context, o Options) (_ *Events, err error) {
	o = o.withDefaults()
	e := &Events{
		opts: o, keep: keepAcked, queue: make(chan *appending, maxGroup),
		closing: make(chan struct{}), done: make(chan struct{}), wait: make(chan struct{}),
	}
	if e.seal, err = newSealer(o.Key, "events.db"); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	path := filepath.Join(o.Dir, "events.db")
	if err := finishReplace(path); err != nil {
		return nil, err
	}
	if err := create(path, func(fresh string) error {
		return makeEvents(ctx, e.seal, fresh, logState{Epoch: rand.Text(), First: 1}, nil)
	}); err != nil {
		return nil, err
	}
	err = e.openAt(ctx, path)
	if errors.Is(err, errDamaged) || errors.Is(err, errNewer) {
		why := err
		o.Log.Error("event store is damaged: setting it aside", "file", path, "err", why)
		aside, err := replace(path, o.Now(), func(fresh string) error { return salvageEvents(ctx, e.seal, path, fresh, why, o.Now()) })
		if err != nil {
			return nil, err
		}
		if err := e.openAt(ctx, path); err != nil {
			return nil, err
		}
		e.problems = append(e.problems, fmt.Sprintf("events.db was damaged (%v) and was set aside as %s", why, filepath.Base(aside)))
	} else if err != nil {
		return nil, err
	}
	names, err := asides(path)
	if err != nil {
		return nil, errors.Join(err, e.file.Close())
	}
	for _, name := range names {
		e.problems = append(e.problems, "a damaged event store is kept as "+name)
	}
	go e.writer()
	return e, nil
}

func (e *Events) openAt(ctx context.Context, path string) (err error) {
	if e.file, err = openFile(ctx, path, "events"); err != nil {
		return err
	}
	if e.state, err = readLog(ctx, e.file.write, e.seal); err != nil {
		return errors.Join(fmt.Errorf("cache: load %s: %w", filepath.Base(path), classify(err)), e.file.Close())
	}
	return nil
}

// Close stores what waits, as far as the disk takes it, and closes the file.
// What could not be stored is lost, and its error says how many events.
func (e *Events) Close() error {
	e.close.Do(func() {
		close(e.closing)
		<-e.done
		e.mu.Lock()
		left := uint64(len(e.ring)) + e.lost
		e.mu.Unlock()
		if left > 0 {
			e.closed = fmt.Errorf("cache: %d events could not be stored: %s", left, e.failing)
		}
		if err := e.file.Close(); err != nil {
			e.closed = errors.Join(e.closed, fmt.Errorf("cache: close: %w", err))
		}
	})
	return e.closed
}

// Epoch is the random name of this store, made with it: 26 letters and digits.
// Numbers of another epoch are of other events.
func (e *Events) Epoch() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state.Epoch
}

// Last is the newest event's number, 0 before the first.
func (e *Events) Last() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state.Last
}

// Acked is the newest number that the cloud is known to have.
func (e *Events) Acked() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.state.Acked
}

// Changes returns a number that grows with each group of events stored, and a
// channel that closes at the next one.
func (e *Events) Changes() (version uint64, wait <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.version, e.wait
}

// EventStats is a plain value for pages and metrics.
type EventStats struct {
	Epoch    string
	Last     uint64
	Acked    uint64
	Stored   uint64   // since OpenEvents
	Waiting  int      // in memory, for a disk that fails
	Lost     uint64   // since OpenEvents, of which an EventGap tells
	GivenUp  uint64   // not sent when more than a million waited for the cloud, of which After tells
	Damaged  uint64   // events met since OpenEvents that do not verify
	Failing  string   // why the disk does not take events; empty if it does
	Bytes    int64    // size of events.db with its WAL
	Problems []string // what a person must know, in words
}

// Stats returns the counts as they are now.
func (e *Events) Stats() EventStats {
	e.mu.Lock()
	defer e.mu.Unlock()
	givenUp := uint64(0)
	if e.state.First > e.state.Acked+1 {
		givenUp = e.state.First - e.state.Acked - 1
	}
	return EventStats{
		GivenUp: givenUp,
		Epoch:   e.state.Epoch, Last: e.state.Last, Acked: e.state.Acked,
		Stored: e.stored, Waiting: len(e.ring), Lost: e.lostAll, Damaged: e.damaged, Failing: e.failing,
		Bytes: size(e.file.path), Problems: append([]string(nil), e.problems...),
	}
}

// Append stores ev and returns it with its number N. It is on the disk when
// Append returns nil. Appends that come at once share one transaction.
//
// An event of a controller (Device set) that is stored already gives
// ErrDuplicate, and the number under which it is stored. An event whose number
// is not known any more (it is older than the last 200,000) counts as new.
//
// Where the disk fails, an event without Device waits in memory, and the error
// is an ErrDeferred; one with Device does not, for its controller keeps it
// until it is acknowledged and tells it again. When ctx ends first, the event
// is stored all the same, if the disk takes it.
func (e *Events) Append(ctx context.Context, ev access.Event) (access.Event, error) {
	if err := ctx.Err(); err != nil {
		return ev, err
	}
	// What can never be stored must not hold up the others of its group.
	if _, err := json.Marshal(ev); err != nil {
		return ev, fmt.Errorf("cache: append: %w", err)
	}
	a := &appending{event: ev, done: make(chan struct{})}
	select {
	case <-e.closing:
		return ev, ErrClosed
	default:
	}
	select {
	case e.queue <- a:
	case <-ctx.Done():
		return ev, fmt.Errorf("cache: append: %w", ctx.Err())
	case <-e.closing:
		return ev, ErrClosed
	}
	select {
	case <-a.done:
		return a.event, a.err
	case <-ctx.Done():
		return ev, fmt.Errorf("cache: append: %w", ctx.Err())
	case <-e.done:
	}
	select {
	case <-a.done:
		return a.event, a.err
	default: // it came into the queue as the writer stopped
		return ev, ErrClosed
	}
}

// NoteLost counts n events that somebody else had to give up, such as a full
// queue in front of the store. The next group starts with an EventGap of them.
func (e *Events) NoteLost(n uint64) {
	if n == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lose(n, e.opts.Now())
}

// lose is called with mu held.
func (e *Events) lose(n uint64, since time.Time) {
	if e.lost == 0 || since.Before(e.since) {
		e.since = since
	}
	e.lost += n
	e.lostAll += n
}

// writer stores groups of events until the store is closed.
func (e *Events) writer() {
	defer close(e.done)
	retry := time.NewTimer(retryDisk)
	defer retry.Stop()
	for {
		e.mu.Lock()
		waits := len(e.ring) > 0 || e.lost > 0 && e.failing != ""
		e.mu.Unlock()
		var again <-chan time.Time // nil: nothing waits for the disk
		if waits {
			retry.Reset(retryDisk)
			again = retry.C
		}
		select {
		case a := <-e.queue:
			e.store(e.group(a))
		case <-again:
			e.store(nil)
		case <-e.closing:
			for {
				group := e.group(nil)
				e.store(group)
				if len(group) == 0 {
					return
				}
			}
		}
	}
}

// group takes what waits in the queue, behind first.
func (e *Events) group(first *appending) (group []*appending) {
	if first != nil {
		group = append(group, first)
	}
	for len(group) < maxGroup {
		select {
		case a := <-e.queue:
			group = append(group, a)
		default:
			return group
		}
	}
	return group
}

// store writes one group, behind what waits in the ring, in one transaction.
func (e *Events) store(group []*appending) {
	e.writing.Lock()
	defer e.writing.Unlock()
	e.mu.Lock()
	next, ring, lost, since := e.state, e.ring, e.lost, e.since
	e.mu.Unlock()
	if len(group) == 0 && len(ring) == 0 && lost == 0 {
		return
	}
	// The events are short and nobody waits for longer than the disk takes, so
	// no context ends a group.
	ctx := context.Background()
	err := tx(ctx, e.file.write, func(t *sql.Tx) error {
		w, err := newEventWriter(ctx, t, e.seal, &next)
		if err != nil {
			return err
		}
		defer w.close()
		if lost > 0 {
			gap := access.Event{At: e.opts.Now().UTC(), Kind: access.EventGap, Count: lost, Since: since.UTC()}
			if _, err := w.put(gap); err != nil {
				return err
			}
		}
		for _, ev := range ring {
			if _, err := w.put(ev); err != nil {
				return err
			}
		}
		for _, a := range group {
			a.event, a.err = w.put(a.event)
			if a.err != nil && !errors.Is(a.err, ErrDuplicate) {
				return a.err
			}
		}
		if err := w.bound(); err != nil {
			return err
		}
		return writeLog(ctx, t, e.seal, next)
	})
	if _, unsure := errors.AsType[*commitError](err); unsure {
		// Only the file knows whether the group holds. If it does, all is well.
		if is, again := readLog(ctx, e.file.write, e.seal); again == nil && is == next {
			err = nil
		}
	}
	e.mu.Lock()
	if err == nil {
		e.stored += next.Last - e.state.Last
		e.state, e.ring, e.failing = next, nil, ""
		e.lost -= lost
		e.version++
		close(e.wait)
		e.wait = make(chan struct{})
	} else {
		e.fail(group, err)
	}
	e.mu.Unlock()
	for _, a := range group {
		close(a.done)
	}
}

// fail keeps the group in memory, oldest out first. It is called with mu held.
func (e *Events) fail(group []*appending, err error) {
	if e.failing == "" {
		e.opts.Log.Error("events cannot be stored", "err", err, "disk_full", diskFull(err))
	}
	e.failing = err.Error()
	for _, a := range group {
		a.event.N = 0
		if a.event.Device != nil {
			a.err = fmt.Errorf("cache: append: %w", err)
			continue
		}
		a.err = fmt.Errorf("%w: %w", ErrDeferred, err)
		if len(e.ring) == keepRing {
			e.lose(1, e.ring[0].At)
			e.ring = e.ring[1:]
		}
		e.ring = append(e.ring, a.event)
	}
}

// An eventWriter puts events into one transaction.
type eventWriter struct {
	ctx   context.Context
	tx    *sql.Tx
	seal  *sealer
	state *logState
	event *sql.Stmt
	found *sql.Stmt // prepared with the first device event
	dev   *sql.Stmt
}

// newEventWriter prepares what each event needs. A row that stands where a new
// event goes is a damaged one, whose number the disk changed: it is replaced.
func newEventWriter(ctx context.Context, t *sql.Tx, seal *sealer, state *logState) (*eventWriter, error) {
	put, err := t.PrepareContext(ctx, `INSERT OR REPLACE INTO events (n, at, kind, door, reader, box) VALUES (?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return nil, err
	}
	return &eventWriter{ctx: ctx, tx: t, seal: seal, state: state, event: put}, nil
}

func (w *eventWriter) close() {
	for _, s := range []*sql.Stmt{w.event, w.found, w.dev} {
		if s != nil {
			s.Close() // the transaction's end reports what matters
		}
	}
}

// put gives ev the next number and writes it.
func (w *eventWriter) put(ev access.Event) (access.Event, error) {
	ev.At = ev.At.UTC()
	if d := ev.Device; d != nil {
		n, err := w.device(d, w.state.Last+1)
		if err != nil {
			ev.N = n
			return ev, err
		}
	}
	ev.N = w.state.Last + 1
	if err := w.insert(ev); err != nil {
		return ev, err
	}
	w.state.Last = ev.N
	return ev, nil
}

func (w *eventWriter) insert(ev access.Event) error {
	plain, err := json.Marshal(ev)
	if err != nil {
		return err
	}
	_, err = w.event.ExecContext(w.ctx, int64(ev.N), ev.At.UnixMilli(), ev.Kind, ev.Door, ev.Reader, w.seal.seal(whereEvent(w.state.Epoch, ev.N), plain))
	return err
}

// device notes that d is stored as n, or says as which number it is already.
func (w *eventWriter) device(d *access.Device, n uint64) (uint64, error) {
	var err error
	if w.dev == nil {
		if w.found, err = w.tx.PrepareContext(w.ctx, `SELECT n FROM devices WHERE serial = ? AND boot = ? AND seq = ?`); err != nil {
			return 0, err
		}
		if w.dev, err = w.tx.PrepareContext(w.ctx, `INSERT OR REPLACE INTO devices (serial, boot, seq, n) VALUES (?, ?, ?, ?)`); err != nil {
			return 0, err
		}
	}
	var have int64
	switch err := w.found.QueryRowContext(w.ctx, d.Serial, int64(d.Boot), int64(d.Seq)).Scan(&have); {
	case err == nil:
		return uint64(have), fmt.Errorf("%w: %s boot %d seq %d is %d", ErrDuplicate, d.Serial, d.Boot, d.Seq, have)
	case !errors.Is(err, sql.ErrNoRows):
		return 0, err
	}
	_, err = w.dev.ExecContext(w.ctx, d.Serial, int64(d.Boot), int64(d.Seq), int64(n))
	return n, err
}

// bound keeps the store from growing for ever. It gives up the oldest events
// that the cloud has not seen; their numbers stay taken, and After tells a gap
// in the place of each.
func (w *eventWriter) bound() error {
	s := w.state
	if s.Last > keepDevices {
		if _, err := w.tx.ExecContext(w.ctx, `DELETE FROM devices WHERE n <= ?`, int64(s.Last-keepDevices)); err != nil {
			return err
		}
	}
	if s.Last-s.Acked <= keepUnsent || s.Last-keepUnsent < s.First {
		return nil
	}
	if _, err := w.tx.ExecContext(w.ctx, `DELETE FROM events WHERE n <= ?`, int64(s.Last-keepUnsent)); err != nil {
		return err
	}
	s.First = s.Last - keepUnsent + 1
	return nil
}

func whereEvent(epoch string, n uint64) []byte { return where("events", n, 0, epoch) }

func writeLog(ctx context.Context, t *sql.Tx, seal *sealer, s logState) error {
	plain, err := json.Marshal(s)
	if err != nil {
		return err
	}
	for _, table := range []string{"log_a", "log_b"} {
		if _, err := t.ExecContext(ctx, `INSERT OR REPLACE INTO `+table+` (id, box) VALUES (1, ?)`, seal.seal(where(table, 1, 0), plain)); err != nil {
			return err
		}
	}
	return nil
}

func readLog(ctx context.Context, q querier, seal *sealer) (logState, error) {
	var errs []error
	var best logState
	for _, table := range []string{"log_a", "log_b"} {
		var box []byte
		if err := q.QueryRowContext(ctx, `SELECT box FROM `+table+` WHERE id = 1`).Scan(&box); err != nil && !errors.Is(err, sql.ErrNoRows) {
			errs = append(errs, err)
			continue
		}
		plain, err := seal.open(where(table, 1, 0), box)
		var s logState
		if err == nil && json.Unmarshal(plain, &s) == nil && s.Epoch != "" && (best.Epoch == "" || s.Last > best.Last) {
			best = s
		}
	}
	if best.Epoch == "" {
		return best, errors.Join(append(errs, errDamaged, errSeal)...)
	}
	return best, nil
}

// After returns the events after number n, oldest first, at most max of them,
// without a gap in their numbers. In the place of one that is missing or does
// not verify stands an access.EventGap of Count 1, so that the cloud never
// waits for it.
func (e *Events) After(ctx context.Context, n uint64, max int) ([]access.Event, error) {
	if max < 1 {
		return nil, nil
	}
	e.mu.Lock()
	s := e.state
	e.mu.Unlock()
	if n >= s.Last {
		return nil, nil
	}
	to := min(s.Last, n+uint64(max))
	found, err := e.query(ctx, `SELECT n, box FROM events WHERE n > ? AND n <= ? ORDER BY n`, int64(n), int64(to))
	if err != nil {
		return nil, fmt.Errorf("cache: events after %d: %w", n, err)
	}
	if n+uint64(len(found)) == to { // the numbers are unique, so none is missing
		return found, nil
	}
	list := make([]access.Event, 0, to-n)
	for want := n + 1; want <= to; want++ {
		if len(found) > 0 && found[0].N == want {
			list, found = append(list, found[0]), found[1:]
			continue
		}
		list = append(list, access.Event{N: want, At: e.opts.Now().UTC(), Kind: access.EventGap, Count: 1, Text: "this event was lost on the site's disk"})
	}
	return list, nil
}

// query returns the events that verify.
func (e *Events) query(ctx context.Context, query string, args ...any) (list []access.Event, err error) {
	epoch := e.Epoch()
	rows, err := e.file.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	bad := uint64(0)
	for rows.Next() {
		var n int64
		var box sql.RawBytes
		if err := rows.Scan(&n, &box); err != nil {
			return nil, err
		}
		ev, err := openEvent(e.seal, epoch, uint64(n), box)
		if err != nil {
			bad++
			continue
		}
		list = append(list, ev)
	}
	if bad > 0 {
		e.mu.Lock()
		e.damaged += bad
		e.mu.Unlock()
	}
	return list, errors.Join(rows.Err(), rows.Close())
}

func openEvent(seal *sealer, epoch string, n uint64, box []byte) (ev access.Event, err error) {
	plain, err := seal.open(whereEvent(epoch, n), box)
	if err != nil {
		return ev, err
	}
	if err := json.Unmarshal(plain, &ev); err != nil {
		return ev, err
	}
	if ev.N != n {
		return ev, errSeal
	}
	return ev, nil
}

// Ack says that the cloud has stored all events of epoch up to and including
// n. The newest 10,000 of those stay for the local page; older ones are
// deleted. An old acknowledgement changes nothing; one of another epoch is an
// ErrEventEpoch, and one of events that do not exist an error.
func (e *Events) Ack(ctx context.Context, epoch string, n uint64) error {
	e.writing.Lock()
	defer e.writing.Unlock()
	e.mu.Lock()
	next := e.state
	e.mu.Unlock()
	switch {
	case epoch != next.Epoch:
		return fmt.Errorf("%w: acknowledgement of %q, want %q", ErrEventEpoch, epoch, next.Epoch)
	case n > next.Last:
		return fmt.Errorf("cache: acknowledgement of event %d, want at most %d", n, next.Last)
	case n <= next.Acked:
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	next.Acked = n
	err := tx(ctx, e.file.write, func(t *sql.Tx) error {
		if n > e.keep && n-e.keep >= next.First {
			first := min(n-e.keep+1, next.First+trimBatch)
			if _, err := t.ExecContext(ctx, `DELETE FROM events WHERE n < ?`, int64(first)); err != nil {
				return err
			}
			next.First = first
		}
		return writeLog(ctx, t, e.seal, next)
	})
	if err != nil {
		return fmt.Errorf("cache: acknowledge event %d: %w", n, err)
	}
	e.mu.Lock()
	e.state = next
	e.mu.Unlock()
	return nil
}

// Unsent returns how many events the cloud does not have yet, and when the
// oldest of them happened (the zero time if there is none). Events that wait
// in memory count.
func (e *Events) Unsent(ctx context.Context) (count int, oldest time.Time, err error) {
	e.mu.Lock()
	s := e.state
	count = int(s.Last-s.Acked) + len(e.ring)
	if len(e.ring) > 0 {
		oldest = e.ring[0].At
	}
	e.mu.Unlock()
	if s.Last == s.Acked {
		return count, oldest, nil
	}
	var at int64
	switch err := e.file.read.QueryRowContext(ctx, `SELECT at FROM events WHERE n > ? ORDER BY n LIMIT 1`, int64(s.Acked)).Scan(&at); {
	case errors.Is(err, sql.ErrNoRows):
		return count, oldest, nil
	case err != nil:
		return 0, time.Time{}, fmt.Errorf("cache: unsent events: %w", err)
	}
	return count, time.UnixMilli(at).UTC(), nil
}

// An EventFilter says which events Recent returns. Empty fields allow all.
type EventFilter struct {
	Reader string
	Door   string
	Kind   string    // such as access.EventAccess
	After  uint64    // only events of a larger number
	Since  time.Time // only events of this time or later
	Limit  int       // 1 to 1000; 0 is 100
}

// Recent returns the events that f allows, newest first. Those that do not
// verify are left out.
func (e *Events) Recent(ctx context.Context, f EventFilter) ([]access.Event, error) {
	limit := f.Limit
	if limit == 0 {
		limit = 100
	}
	if limit < 1 || limit > 1000 {
		return nil, fmt.Errorf("cache: limit of %d events, want 1 to 1000", f.Limit)
	}
	query := []string{"n > ?"}
	args := []any{int64(min(f.After, 1<<63-1))}
	and := func(term string, arg any) { query, args = append(query, term), append(args, arg) }
	if f.Reader != "" {
		and("reader = ?", f.Reader)
	}
	if f.Door != "" {
		and("door = ?", f.Door)
	}
	if f.Kind != "" {
		and("kind = ?", f.Kind)
	}
	if !f.Since.IsZero() {
		and("at >= ?", f.Since.UnixMilli())
	}
	list, err := e.query(ctx, `SELECT n, box FROM events WHERE `+strings.Join(query, " AND ")+` ORDER BY n DESC LIMIT ?`, append(args, limit)...)
	if err != nil {
		return nil, fmt.Errorf("cache: recent events: %w", err)
	}
	return list, nil
}

// salvageEvents makes a new event store at fresh from what still verifies of
// the damaged one at old. Where epoch and numbers verify they go on, and After
// tells a gap in the place of each lost event. Otherwise the epoch is new and
// starts with a gap.
func salvageEvents(ctx context.Context, seal *sealer, old, fresh string, why error, now time.Time) (err error) {
	from, err := openDamaged(old)
	if err != nil {
		return fmt.Errorf("cache: salvage events: %w", err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	s, bad := readLog(ctx, from, seal)
	if bad != nil || errors.Is(why, errNewer) {
		return makeEvents(ctx, seal, fresh, logState{Epoch: rand.Text(), First: 1}, func(t *sql.Tx, s *logState) error {
			w, err := newEventWriter(ctx, t, seal, s)
			if err != nil {
				return err
			}
			defer w.close()
			_, err = w.put(access.Event{At: now.UTC(), Kind: access.EventGap, Since: now.UTC(), Text: "the event store was damaged and set aside; how many events were not sent is not known"})
			return err
		})
	}
	return makeEvents(ctx, seal, fresh, s, func(t *sql.Tx, s *logState) error {
		if err := copyRows(ctx, from, t, `SELECT serial, boot, seq, n FROM devices`, `INSERT OR IGNORE INTO devices (serial, boot, seq, n) VALUES (?, ?, ?, ?)`); err != nil {
			return err
		}
		for _, order := range []string{"ASC", "DESC"} { // a damaged page ends a walk
			if err := copyRows(ctx, from, t, `SELECT n, at, kind, door, reader, box FROM events ORDER BY n `+order, `INSERT OR IGNORE INTO events (n, at, kind, door, reader, box) VALUES (?, ?, ?, ?, ?, ?)`); err != nil {
				return err
			}
		}
		// A row that does not verify may have a number that is still to come.
		_, err := t.ExecContext(ctx, `DELETE FROM events WHERE n > ? OR n < 1`, int64(s.Last))
		return err
	})
}

// makeEvents makes a new event store at path, whose state is s. fill, which may
// be nil, brings events into it in the same transaction.
func makeEvents(ctx context.Context, seal *sealer, path string, s logState, fill func(*sql.Tx, *logState) error) error {
	f, err := openFile(ctx, path, "events")
	if err != nil {
		return err
	}
	err = tx(ctx, f.write, func(t *sql.Tx) error {
		if fill != nil {
			if err := fill(t, &s); err != nil {
				return err
			}
		}
		return writeLog(ctx, t, seal, s)
	})
	if err != nil {
		err = fmt.Errorf("cache: make %s: %w", filepath.Base(path), err)
	}
	return errors.Join(err, f.Close())
}
