package controller

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"time"

	"latchkey/access"
	"latchkey/serialline"
	"latchkey/wiegand"
)

// A SerialDoor is one door of a table controller.
type SerialDoor struct {
	ID     string // of the site's door
	Index  int    // at the controller, 0 to serialline.MaxDoors-1
	Reader string // name of the reader at it
}

// A SerialConfig is one controller on the open serial door link. It holds a
// table and decides for itself.
type SerialConfig struct {
	Name  string
	Port  string // for people, such as "/dev/ttyUSB1"
	Open  func(context.Context) (serialline.Port, error)
	Baud  int   // bits per second, 38400 when 0
	Addr  uint8 // 1 to 126, or serialline.AnyAddr
	Doors []SerialDoor
	Log   *slog.Logger // nil is none

	// Ledger keeps how each credential stands; nil keeps nothing.
	Ledger Ledger
	// Wanted is what the table should hold now. It is called by one goroutine.
	Wanted func() Wanted
	// Changes says how often Wanted has changed, and gives a channel that is
	// closed at the next change.
	Changes func() (uint64, <-chan struct{})
	// Now is the clock that the controller's is set to, and by which schedules
	// are laid out; nil is time.Now. The agent's is never before what the cloud
	// last said, so that a gateway without a clock does not send its controllers
	// back to 1970.
	Now func() time.Time
}

// Check says what is wrong with the configuration, or nil.
func (c SerialConfig) Check() error {
	if len(c.Doors) == 0 {
		return fmt.Errorf("controller: %s: no doors, want at least one", c.Name)
	}
	if c.Addr == 0 || c.Addr > serialline.AnyAddr {
		return fmt.Errorf("controller: %s: address %d, want 1 to %d", c.Name, c.Addr, serialline.AnyAddr)
	}
	for i, d := range c.Doors {
		if d.Index < 0 || d.Index >= serialline.MaxDoors {
			return fmt.Errorf("controller: %s: door %s: index %d, want 0 to %d", c.Name, d.ID, d.Index, serialline.MaxDoors-1)
		}
		for _, o := range c.Doors[:i] {
			if o.ID == d.ID || o.Index == d.Index {
				return fmt.Errorf("controller: %s: doors %s and %s have one ID or one index, want each its own", c.Name, o.ID, d.ID)
			}
		}
	}
	return nil
}

const (
	pollEvery   = 100 * time.Millisecond // from one POLL to the next
	pollBusy    = 400 * time.Millisecond // the same while tables are changed
	timeEvery   = time.Hour              // from one TIME to the next
	leaseTime   = time.Minute            // a door that is to stand open is told so for this long …
	leaseEvery  = 20 * time.Second       // … and again after this: a dead agent lets it fall shut
	retryFirst  = time.Second            // before the second try to reach a controller that is away, doubling …
	retryMost   = 30 * time.Second       // … up to this
	ledgerEvery = 500 * time.Millisecond // the ledger's rows are worked out again at most this often
)

// A Serial is the Driver of one controller on the serial door link. It is a
// Table: the controller holds credentials and decides for itself.
type Serial struct {
	cfg   SerialConfig
	log   *slog.Logger
	err   error // of cfg
	pulse chan pulse
	again chan struct{} // capacity 1: Reconcile was called

	mu     sync.Mutex
	online bool
	since  time.Time
	gone   chan struct{} // closed when the session ends; nil without one
	doors  [serialline.MaxDoors]serialline.DoorState
	heads  [serialline.MaxDoors]bool // readers online
	tamper bool
	polled bool
	table  TableStatus
	stats  serialline.ClientStats // of sessions that are over, and of this one
	why    string                 // it is offline
}

// A pulse is an Unlock on its way to the controller.
type pulse struct {
	ctx  context.Context
	door SerialDoor
	d    time.Duration
	done chan error // capacity 1
}

// NewSerial returns the driver of one controller. A configuration that Check
// refuses makes Run fail.
func NewSerial(cfg SerialConfig) *Serial {
	return &Serial{cfg: cfg, log: cmp.Or(cfg.Log, slog.New(slog.DiscardHandler)), err: cfg.Check(),
		pulse: make(chan pulse), again: make(chan struct{}, 1)}
}

// Name is the controller's name in the site file.
func (s *Serial) Name() string { return s.cfg.Name }

// Unlock opens the door by PULSE, whose time the controller keeps: see Driver.
func (s *Serial) Unlock(ctx context.Context, door string, d time.Duration) error {
	i := slices.IndexFunc(s.cfg.Doors, func(o SerialDoor) bool { return o.ID == door })
	if i < 0 || s.err != nil {
		return fmt.Errorf("%w: %s has no door %s", ErrUnknownDoor, s.cfg.Name, door)
	}
	if d < MinUnlock || d > MaxUnlock {
		return fmt.Errorf("%w: door %s for %v, want %v to %v", ErrDuration, door, d, MinUnlock, MaxUnlock)
	}
	s.mu.Lock()
	gone := s.gone
	s.mu.Unlock()
	if gone == nil {
		return fmt.Errorf("%w: %s", ErrOffline, s.cfg.Name)
	}
	p := pulse{ctx, s.cfg.Doors[i], d, make(chan error, 1)}
	select {
	case s.pulse <- p:
	case <-gone:
		return fmt.Errorf("%w: %s", ErrOffline, s.cfg.Name)
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-p.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Reconcile has the controller's digest read back soon: see Table.
func (s *Serial) Reconcile() { signal(s.again) }

// Status is what the controller looks like now.
func (s *Serial) Status() Status {
	st := Status{Name: s.cfg.Name, Kind: "serial", Port: s.cfg.Port}
	if s.err != nil {
		st.Problem = s.err.Error()
		return st
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Online, st.Since, st.Problem = s.online, s.since, s.why
	table := s.table
	st.Table = &table
	for _, d := range s.cfg.Doors {
		door := DoorStatus{ID: d.ID, Contact: contactUnknown}
		if s.online && s.polled {
			door.Unlocked = s.doors[d.Index].Released
			door.Contact = contactClosed
			if s.doors[d.Index].Open {
				door.Contact = contactOpen
			}
		}
		st.Doors = append(st.Doors, door)
		st.Readers = append(st.Readers, ReaderStatus{Name: d.Reader, Door: d.ID, Address: s.cfg.Addr, Encryption: linkClear,
			Online: s.online && s.heads[d.Index], Since: s.since, Tamper: s.tamper,
			Polls: s.stats.Exchanges, Retries: s.stats.Retries, CRCErrors: s.stats.Damaged})
	}
	return st
}

// linkClear is the Encryption of readers behind a door controller: the serial
// door link has none.
const linkClear = "not encrypted: the serial door link knows no encryption"

// A serialRun is one Run. Its fields belong to Run's goroutine.
type serialRun struct {
	*Serial
	plan    *planner
	clerk   *clerk
	courier *courier
	changed <-chan struct{} // closed at the next change of what is wanted
	ledger  time.Time       // when the rows were last worked out
	stale   bool            // rows may differ from what was worked out

	serial  [8]byte // of the controller that acks below are about
	ack     uint64  // events up to this are with the courier and are to be acked
	next    uint64  // seq of the first event that is not fetched yet, as far as we know; at least 1
	lost    uint64  // as the controller counts
	counted bool    // lost is known
	before  serialline.ClientStats
}

// Run works the controller: see Driver.
func (s *Serial) Run(ctx context.Context, sink Sink) error {
	if s.err != nil {
		return s.err
	}
	if s.cfg.Wanted == nil || s.cfg.Changes == nil || s.cfg.Open == nil {
		return fmt.Errorf("controller: %s: Open, Wanted and Changes must be set", s.cfg.Name)
	}
	r := &serialRun{
		Serial:  s,
		plan:    newPlanner(s.cfg.Name, s.cfg.Doors, anyRoom()),
		clerk:   newClerk(s.cfg.Ledger, s.cfg.Name, s.log),
		courier: newCourier(sink, s.log),
	}
	r.plan.lastTxn = mathrand.Uint64() >> 1 // an open transaction of an earlier run is not taken for one of ours
	r.plan.remember(r.clerk.load(ctx))
	var wg sync.WaitGroup
	stop, cancel := context.WithCancel(ctx)
	wg.Go(func() { r.courier.run(stop) })
	wg.Go(func() { r.clerk.run(stop) })
	defer wg.Wait()
	defer cancel()
	r.look()
	r.report(time.Now())

	pause := retryFirst
	for ctx.Err() == nil {
		began := time.Now()
		err := r.connect(ctx)
		r.offline(ctx, err)
		if ctx.Err() != nil {
			break
		}
		if time.Since(began) > retryMost {
			pause = retryFirst
		}
		rest := pause/2 + mathrand.N(pause/2+1)
		if errors.Is(err, errResync) || errors.Is(err, serialline.ErrHello) {
			rest = pause / 10 // it is there: it rebooted, or no longer agrees with us
		}
		pause = min(2*pause, retryMost)
		if !r.rest(ctx, rest) {
			break
		}
	}
	return nil
}

// errResync says that controller and planner must begin anew.
var errResync = errors.New("controller: begin the session anew")

// rest waits for d while nobody can be reached, and follows what is wanted.
func (r *serialRun) rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-t.C:
			return true
		case <-r.changed:
			r.look()
			r.report(time.Now())
		}
	}
}

// look takes what is wanted now.
func (r *serialRun) look() {
	_, r.changed = r.cfg.Changes() // before Wanted: a change in between is seen twice, not never
	r.plan.want(r.cfg.Wanted(), r.clock())
	r.stale = true
}

// clock is the time that the controller should have.
func (r *serialRun) clock() time.Time {
	if r.cfg.Now != nil {
		return r.cfg.Now()
	}
	return time.Now()
}

// offline notes that the session is over.
func (r *serialRun) offline(ctx context.Context, err error) {
	r.mu.Lock()
	was := r.online
	if r.gone != nil {
		close(r.gone)
		r.gone = nil
	}
	if was || r.since.IsZero() {
		r.since = time.Now().UTC()
	}
	r.online, r.polled = false, false
	if err != nil {
		r.why = err.Error()
	}
	r.mu.Unlock()
	r.plan.lost(step{})
	r.stale = true
	if was && ctx.Err() == nil {
		r.log.Warn("controller offline", "controller", r.cfg.Name, "err", err)
		r.courier.post(Event{Kind: ControllerOffline, At: time.Now().UTC(), Controller: r.cfg.Name})
	}
	r.report(time.Now())
}

// connect opens the port and works the controller until something fails.
func (r *serialRun) connect(ctx context.Context) error {
	port, err := r.cfg.Open(ctx)
	if err != nil {
		return err
	}
	defer port.Close()
	c, err := serialline.NewClient(port, serialline.ClientConfig{Addr: r.cfg.Addr, Baud: r.cfg.Baud})
	if err != nil {
		return err
	}
	r.mu.Lock()
	r.before = r.stats
	r.mu.Unlock()
	hello, err := c.Hello(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	r.plan.hello(hello, r.clerk.version(), now)
	r.stale = true
	if hello.Serial != r.serial {
		r.serial, r.ack, r.next, r.counted = hello.Serial, 0, 1, false
	}
	gone := make(chan struct{})
	r.mu.Lock()
	r.online, r.since, r.gone, r.why = true, now.UTC(), gone, ""
	r.mu.Unlock()
	r.courier.post(Event{Kind: ControllerOnline, At: now.UTC(), Controller: r.cfg.Name,
		Text: fmt.Sprintf("%s, serial number %x", hello.Model, hello.Serial)})
	r.log.Info("controller online", "controller", r.cfg.Name, "model", hello.Model, "serial", hex.EncodeToString(hello.Serial[:]), "boot", hello.Boot)
	return r.session(ctx, c)
}

// session works the controller: between two frames it does the most urgent
// thing that is to be done.
func (r *serialRun) session(ctx context.Context, c *serialline.Client) error {
	var timeDue, pollDue time.Time
	leases := make(map[int]time.Time)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := time.Now()
		// What came in since the last frame.
		select {
		case p := <-r.pulse:
			if err := r.open(ctx, c, p); err != nil {
				return err
			}
			continue
		case <-r.changed:
			r.look()
		case <-r.again:
			r.plan.unproven = true
		default:
		}
		r.report(now)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if door, mode, ok := r.posture(now, leases); ok {
			var lease time.Duration
			if mode.Leased() {
				lease = leaseTime
				leases[door] = now.Add(leaseEvery)
			}
			if err := noRefusal(c.Door(ctx, uint8(door), mode, lease)); err != nil {
				return err
			}
			r.mu.Lock()
			r.doors[door].Mode = mode
			r.mu.Unlock()
			continue
		}
		next := r.plan.next(now)
		urgent := next.kind == stepRevoke
		switch {
		case !urgent && !now.Before(timeDue):
			clock := r.clock()
			if year := clock.UTC().Year(); year != r.plan.year && r.plan.target != nil {
				r.look() // another year's time zones
			}
			if _, _, err := c.SetTime(ctx, clock, 0); noRefusal(err) != nil {
				return err
			}
			timeDue = now.Add(timeEvery)
			continue
		case !urgent && !now.Before(pollDue):
			pollDue = now.Add(pollEvery)
			if next.kind != stepNone {
				pollDue = now.Add(pollBusy)
			}
			if err := r.poll(ctx, c); err != nil {
				return err
			}
			if c.Flags()&serialline.FlagClock != 0 {
				timeDue = now
			}
			if err := r.events(ctx, c); err != nil {
				return err
			}
			continue
		case next.kind != stepNone:
			if err := r.step(ctx, c, next); err != nil {
				return err
			}
			continue
		}
		timer.Reset(time.Until(pollDue))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case p := <-r.pulse:
			if err := r.open(ctx, c, p); err != nil {
				return err
			}
		case <-r.changed:
			r.look()
		case <-r.again:
			r.plan.unproven = true
		case <-r.courier.took:
			if err := r.events(ctx, c); err != nil {
				return err
			}
		case <-timer.C:
		}
	}
}

// noRefusal is err, but nil if the controller merely refused.
func noRefusal(err error) error {
	if _, refused := errors.AsType[*serialline.Refusal](err); refused && !errors.Is(err, serialline.ErrHello) {
		return nil
	}
	return err
}

// open sends PULSE.
func (r *serialRun) open(ctx context.Context, c *serialline.Client, p pulse) error {
	if err := p.ctx.Err(); err != nil {
		p.done <- err // nobody waits for this door any more
		return nil
	}
	err := c.Pulse(ctx, uint8(p.door.Index), p.d, [8]byte{})
	switch {
	case err == nil:
		r.mu.Lock()
		r.doors[p.door.Index].Released = true
		r.mu.Unlock()
		p.done <- nil
		return nil
	case errors.Is(err, serialline.ErrOffline), errors.Is(err, serialline.ErrHello):
		p.done <- fmt.Errorf("%w: %s: door %s: unlock: %w", ErrOffline, r.cfg.Name, p.door.ID, err)
	default:
		p.done <- fmt.Errorf("controller: %s: door %s: unlock: %w", r.cfg.Name, p.door.ID, err)
	}
	return noRefusal(err)
}

// posture is a door that is not in the mode in which it should be. Modes that
// were set at the controller by others are left alone as long as the site wants
// the door normal and did not set them.
func (r *serialRun) posture(now time.Time, leases map[int]time.Time) (door int, mode serialline.Mode, ok bool) {
	want := r.plan.wanted.Postures
	if r.plan.paused || want == nil {
		return 0, 0, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.polled {
		return 0, 0, false
	}
	for _, d := range r.cfg.Doors {
		is := r.doors[d.Index].Mode
		switch want[d.ID] {
		case access.ModeLockdown:
			mode, ok = serialline.ModeLockdown, is != serialline.ModeLockdown && is != serialline.ModeDisabled
		case access.ModeUnlocked:
			if mode, ok = serialline.ModeNormal, is == serialline.ModeLockdown; ok {
				break // what is kept must be released before a lease
			}
			mode = serialline.ModeUnlocked
			ok = is != serialline.ModeDisabled && (is != mode || !now.Before(leases[d.Index]))
		default:
			mode, ok = serialline.ModeNormal, is == serialline.ModeLockdown || is == serialline.ModeUnlocked
		}
		if ok {
			return d.Index, mode, true
		}
	}
	return 0, 0, false
}

// poll asks how controller and doors stand.
func (r *serialRun) poll(ctx context.Context, c *serialline.Client) error {
	p, err := c.Poll(ctx)
	if err != nil {
		return noRefusal(err)
	}
	now := time.Now()
	r.plan.polled(p.Checks)
	if r.counted && p.Lost > r.lost {
		r.courier.post(Event{Kind: EventsLost, At: now.UTC(), Controller: r.cfg.Name, Count: p.Lost - r.lost})
	}
	r.lost, r.counted = p.Lost, true
	r.next = max(r.next, p.Tail) // what is before was acked, in this session or an earlier one
	var changed []Event
	r.mu.Lock()
	for _, d := range r.cfg.Doors {
		on := p.Readers[d.Index]&1 == 1
		if r.polled && on != r.heads[d.Index] || !r.polled && on {
			kind := ReaderOffline
			if on {
				kind = ReaderOnline
			}
			changed = append(changed, Event{Kind: kind, At: now.UTC(), Controller: r.cfg.Name, Reader: d.Reader, Door: d.ID})
		}
		r.heads[d.Index] = on
	}
	r.doors, r.tamper, r.polled = p.Doors, p.Tamper, true
	st := c.Stats()
	r.stats.Exchanges = r.before.Exchanges + st.Exchanges
	r.stats.Retries = r.before.Retries + st.Retries
	r.stats.Damaged = r.before.Damaged + st.Damaged
	r.mu.Unlock()
	r.courier.post(changed...)
	return nil
}

// events acks what the sink has, and fetches what comes next. Nothing is
// fetched while the sink still has something of this controller to take.
func (r *serialRun) events(ctx context.Context, c *serialline.Client) error {
	for r.courier.idle() {
		if r.ack > 0 {
			if err := c.Ack(ctx, r.ack); err != nil {
				return noRefusal(err)
			}
			r.next, r.ack = r.ack+1, 0
		}
		if c.Flags()&serialline.FlagEvents == 0 {
			return nil
		}
		reply, err := c.Events(ctx, max(r.next, 1), serialline.MaxEvents)
		if err != nil {
			return noRefusal(err)
		}
		var out []Event
		for _, e := range reply.Events {
			if ev, ok := r.event(e); ok {
				out = append(out, ev)
			}
			r.ack = e.Seq
		}
		if len(reply.Events) == 0 {
			return nil
		}
		r.courier.post(out...)
		if len(out) > 0 {
			return nil // the courier says when it is through
		}
	}
	return nil
}

// event puts a controller's event into our words; what it only did at our word
// is none of ours.
func (r *serialRun) event(e serialline.Event) (Event, bool) {
	out := Event{
		At: time.Now().UTC(), Controller: r.cfg.Name, DeviceTime: e.Time(),
		Device: &access.Device{Serial: hex.EncodeToString(r.serial[:]), Boot: e.Boot, Seq: e.Seq},
	}
	for _, d := range r.cfg.Doors {
		if int(e.Door) == d.Index {
			out.Door = d.ID
		}
		if int(e.Reader) == d.Index {
			out.Reader = d.Reader
			out.Door = cmp.Or(out.Door, d.ID)
		}
	}
	switch e.Kind {
	case serialline.EventAccess:
		out.Kind, out.Reason, out.Granted = Decided, access.Reason(e.Reason.String()), e.Reason == serialline.ReasonGranted
		if n, left, ok := e.Key.Bits(); ok {
			if bits, err := wiegand.MakeBits(n, left); err == nil {
				out.Bits = bits
			}
		} else {
			out.Bits = r.plan.bitsOf(e.Key)
		}
	case serialline.EventDoorOpened:
		out.Kind = DoorOpened
	case serialline.EventDoorClosed:
		out.Kind = DoorClosed
	case serialline.EventDoorForced:
		out.Kind = DoorForced
	case serialline.EventDoorHeld:
		out.Kind = DoorHeld
	case serialline.EventExit:
		out.Kind = ExitRequest
	case serialline.EventTamper:
		out.Kind = Tamper
	case serialline.EventPowerFail:
		out.Kind = PowerFail
	case serialline.EventChanged:
		r.plan.unproven = true
		return Event{}, false
	default:
		return Event{}, false
	}
	return out, true
}

// step makes one exchange of the planner's.
func (r *serialRun) step(ctx context.Context, c *serialline.Client, s step) error {
	var a answer
	var err error
	switch s.kind {
	case stepRevoke:
		err = c.Revoke(ctx, s.keys...)
	case stepUpsert:
		err = c.Upsert(ctx, r.plan.stamps[serialline.TableCredentials].epoch, s.records...)
	case stepBegin:
		t := s.txn
		t.begun = true // whatever the answer says, it may be
		a.next, err = c.Begin(ctx, serialline.BeginRequest{Table: t.table, Full: t.full, Txn: t.id,
			Epoch: t.stamp.epoch, Base: t.base, Target: t.stamp.version, Count: uint32(len(t.records))})
	case stepPut:
		a.next, err = c.Put(ctx, s.txn.id, uint32(s.txn.sent), s.records...)
	case stepCommit:
		_, err = c.Commit(ctx, s.txn.id, s.root)
	case stepAbort:
		err = c.Abort(ctx, s.txn.id)
	case stepDigest:
		var d serialline.DigestReply
		d, err = c.Digest(ctx, s.table, s.page)
		a.root, a.sums = d.Root, d.Sums
	case stepBucket:
		var b serialline.BucketReply
		b, err = c.Bucket(ctx, s.table, s.bucket, s.page)
		a.more, a.sumsOf = b.More, make(map[serialline.Key]uint64, len(b.Entries))
		for _, e := range b.Entries {
			a.sumsOf[e.Key] = e.Sum
		}
	}
	now := time.Now()
	r.stale = true
	if refusal, ok := errors.AsType[*serialline.Refusal](err); ok && !errors.Is(err, serialline.ErrHello) {
		r.log.Warn("controller refused", "controller", r.cfg.Name, "err", err)
		if r.plan.failed(s, refusal.Code, now) {
			return fmt.Errorf("%w: %w", errResync, err)
		}
		return nil
	}
	if err != nil {
		r.plan.lost(s)
		return err
	}
	r.plan.done(s, a, now)
	return nil
}

// report shows and stores how the table stands.
func (r *serialRun) report(now time.Time) {
	p := r.plan
	r.courier.post(p.events...)
	p.events = nil
	r.clerk.raise(p.raise...)
	r.clerk.bury(p.bury...)
	p.raise, p.bury = nil, nil
	if !r.stale {
		return
	}
	if p.target != nil && (now.Sub(r.ledger) >= ledgerEvery || p.equal) {
		r.ledger, r.stale = now, false
		r.clerk.update(p.rows(now.UTC(), r.clerk.known()))
	}
	t := TableStatus{Equal: p.equal && !p.paused, Behind: p.behind(), Proven: p.proven, Text: p.plain()}
	if p.target != nil {
		t.Wanted, t.CannotHold = len(p.target.records), len(p.target.cannot)
		t.Epoch, t.Version = p.target.epoch, p.target.version
		if p.cards.filled {
			t.Held = len(p.cards.entries)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.Equal != r.table.Equal || r.table.Since.IsZero() {
		t.Since = now.UTC()
	} else {
		t.Since = r.table.Since
	}
	r.table = t
}
