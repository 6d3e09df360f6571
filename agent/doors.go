package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"latchkey/access"
	"latchkey/cache"
	"latchkey/controller"
	"latchkey/delta"
)

const (
	auditWait   = 50 * time.Millisecond // a door waits this long for the disk, then opens and counts it
	storeLimit  = 2 * time.Second       // nobody waits longer for the disk; the store goes on trying by itself
	unlockLimit = 3 * time.Second       // a lock that takes longer is as good as gone
	staleCard   = 5 * time.Second       // whoever presented a card so long ago has left
	doorQueue   = 32                    // events waiting at one reader; more are counted and dropped
)

// doors turns what drivers report into decisions, acts and events. take runs
// on the drivers' goroutines; each reader has a queue and a goroutine of its
// own, so that a slow strike at one door never makes another wait.
type doors struct {
	cache   *cache.DB
	events  *cache.Events
	cards   Cards
	drivers []controller.Driver
	clock   *clock
	log     *slog.Logger
	m       *metrics
	append  func(context.Context, access.Event) (access.Event, error) // to the event store

	unaudited atomic.Uint64 // doors that opened before their event was on disk
	badParity atomic.Uint64 // cards taken in spite of their parity
	overflow  atomic.Uint64 // events dropped because their reader's queue was full

	group sync.WaitGroup // the readers' goroutines, and events on their way to the disk

	mu       sync.Mutex
	queues   map[string]chan controller.Event // by driver and reader
	contacts map[string]*contact              // by door
}

func newDoors(db *cache.DB, events *cache.Events, cards Cards, drivers []controller.Driver, c *clock, log *slog.Logger, m *metrics) *doors {
	return &doors{
		cache: db, events: events, cards: cards, drivers: drivers, clock: c, log: log, m: m, append: events.Append,
		queues: map[string]chan controller.Event{}, contacts: map[string]*contact{},
	}
}

// wait returns once all goroutines of doors have stopped. The drivers must have
// stopped before, and the context that they gave to take must have ended.
func (d *doors) wait() { d.group.Wait() }

// take is the sink of all drivers. For what a controller has decided or logged
// by itself it returns nil only once the event is on disk; everything else is
// queued.
func (d *doors) take(ctx context.Context, drv controller.Driver, e controller.Event) error {
	if e.Kind == controller.Decided || e.Device != nil {
		return d.store(ctx, d.describe(drv, e))
	}
	d.note(e)
	select {
	case d.queue(ctx, drv, e.Reader) <- e:
	default:
		d.overflow.Add(1)
		d.events.NoteLost(1)
		d.log.WarnContext(ctx, "reader sends faster than its door works", "driver", drv.Name(), "reader", e.Reader)
	}
	return nil
}

func (d *doors) queue(ctx context.Context, drv controller.Driver, reader string) chan<- controller.Event {
	key := drv.Name() + "\x00" + reader
	d.mu.Lock()
	defer d.mu.Unlock()
	q, ok := d.queues[key]
	if !ok {
		q = make(chan controller.Event, doorQueue)
		d.queues[key] = q
		d.group.Go(func() { d.work(ctx, drv, q) })
	}
	return q
}

// work deals with one reader's events. What is still queued when the agent
// stops is written down where it needs no decision any more.
func (d *doors) work(ctx context.Context, drv controller.Driver, q <-chan controller.Event) {
	for {
		select {
		case <-ctx.Done():
			for {
				select {
				case e := <-q:
					d.refuse(ctx, drv, e, "the gateway was stopping")
				default:
					return
				}
			}
		case e := <-q:
			switch {
			case e.Kind != controller.CardRead:
				d.keep(ctx, d.describe(drv, e))
			case time.Since(e.At) > staleCard:
				d.refuse(ctx, drv, e, "the card waited too long behind others")
			default:
				d.card(ctx, drv, e)
			}
		}
	}
}

// refuse writes down an event on which nothing is done any more.
func (d *doors) refuse(ctx context.Context, drv controller.Driver, e controller.Event, why string) {
	ev := d.describe(drv, e)
	if e.Kind == controller.CardRead {
		ev.DecidedBy, ev.Reason, ev.Text = access.ByAgent, access.Fault, why
	}
	d.keep(ctx, ev)
}

// card decides, writes the decision down, and acts, in this order. The disk may
// hold a door up for auditWait; then the door opens and is counted, and the
// event comes to the disk when the disk can.
func (d *doors) card(ctx context.Context, drv controller.Driver, e controller.Event) {
	start := time.Now()
	seen := d.see(e.Reader, e.Bits)
	dec := d.decide(e.Door, seen)
	d.m.decision.Observe(time.Since(start).Seconds())
	d.m.decided(dec.Granted)
	d.noteParity(ctx, seen, e)
	ev := d.describe(drv, e)
	ev.DecidedBy = access.ByAgent
	ev.Granted, ev.Reason = dec.Granted, dec.Reason
	ev.Person, ev.Credential = dec.Person, dec.Credential

	stored := make(chan error, 1)
	d.group.Go(func() { stored <- d.store(ctx, ev) })
	audit := time.NewTimer(auditWait)
	defer audit.Stop()
	var late bool
	select {
	case err := <-stored:
		if err != nil {
			late = true
			d.log.ErrorContext(ctx, "decision not on disk; the door works on", "door", e.Door, "err", err)
		}
	case <-audit.C:
		late = true
		d.log.WarnContext(ctx, "the disk is slow; the door does not wait", "door", e.Door)
	}
	if dec.Granted {
		if late {
			d.unaudited.Add(1)
		}
		d.open(ctx, drv, e, fit(dec.Unlock))
		return
	}
	if den, ok := drv.(controller.Denier); ok {
		ctx, cancel := context.WithTimeout(ctx, unlockLimit)
		defer cancel()
		if err := den.Deny(ctx, e.Reader); err != nil && !errors.Is(err, context.Canceled) {
			d.log.WarnContext(ctx, "reader did not show the refusal", "reader", e.Reader, "err", err)
		}
	}
}

// open moves the strike. A lock that does not answer is an event: somebody who
// was let in stands before a shut door.
func (d *doors) open(ctx context.Context, drv controller.Driver, e controller.Event, hold time.Duration) {
	hold = d.atLeast(e.Door, hold)
	d.allow(e.Door, hold)
	limited, cancel := context.WithTimeout(ctx, unlockLimit)
	defer cancel()
	err := drv.Unlock(limited, e.Door, hold)
	if err == nil || ctx.Err() != nil {
		return
	}
	d.log.ErrorContext(ctx, "door not unlocked", "door", e.Door, "err", err)
	d.keep(ctx, access.Event{
		At: time.Now(), Kind: access.EventAlarm, Door: e.Door, Reader: e.Reader, Controller: drv.Name(),
		Text: "A card was let in, but the lock did not answer.",
	})
}

// decide asks the index about a card as the site reads it.
func (d *doors) decide(door string, s sighting) (dec access.Decision) {
	at := d.clock.now()
	d.cache.View(func(x *access.Index) { dec = x.Decide(access.Query{Door: door, Bits: s.bits, At: at}) })
	return s.judge(dec)
}

// probe takes the way of a decision without a card.
func (d *doors) probe() {
	at := d.clock.now()
	d.cache.View(func(x *access.Index) { x.Decide(access.Query{At: at}) })
}

// keep stores ev for whom nothing waits on it.
func (d *doors) keep(ctx context.Context, ev access.Event) {
	if err := d.store(ctx, ev); err != nil {
		d.log.ErrorContext(ctx, "event not on disk", "kind", ev.Kind, "err", err)
	}
}

// store writes ev down. It outlives a stop, because what happened at a door
// happened. A controller's event that is stored already is stored.
func (d *doors) store(ctx context.Context, ev access.Event) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeLimit)
	defer cancel()
	if ev.At.IsZero() {
		ev.At = time.Now()
	}
	_, err := d.append(ctx, ev)
	if errors.Is(err, cache.ErrDuplicate) {
		return nil
	}
	return err
}

// unlockOnce does the cloud's command "unlock" {"door": ID}. A door that opens
// for no card wants its event on disk, whatever the disk costs.
func (d *doors) unlockOnce(ctx context.Context, c *delta.Command) (string, error) {
	var args struct {
		Door string `json:"door"`
	}
	if err := json.Unmarshal(c.Args, &args); err != nil {
		return "", fmt.Errorf("agent: unlock: arguments: %w", err)
	}
	var door access.Door
	var known bool
	var mode string
	at := d.clock.now()
	d.cache.View(func(x *access.Index) {
		door, known = x.Door(args.Door)
		mode = x.PostureAt(args.Door, at)
	})
	drv := d.driverOf(args.Door)
	switch {
	case !known:
		return "", fmt.Errorf("agent: unlock: no door %q at this site", args.Door)
	case mode == access.ModeLockdown:
		return "", fmt.Errorf("agent: unlock: door %q is locked down", args.Door)
	case drv == nil:
		return "", fmt.Errorf("agent: unlock: door %q has no hardware in the site file", args.Door)
	}
	ev := access.Event{At: time.Now(), Kind: access.EventUnlock, Door: door.ID, Controller: drv.Name(), Text: cut("by command " + c.ID)}
	if err := d.store(ctx, ev); err != nil {
		return "", fmt.Errorf("agent: unlock: not done: %w", err)
	}
	hold := d.atLeast(door.ID, unlockTime(door))
	d.allow(door.ID, hold)
	if err := drv.Unlock(ctx, door.ID, hold); err != nil {
		return "", err
	}
	return "unlocked " + cmp.Or(door.Name, door.ID), nil
}

func unlockTime(d access.Door) time.Duration {
	return fit(cmp.Or(time.Duration(d.UnlockMS)*time.Millisecond, access.DefaultUnlock))
}

// fit brings the time of a strike into what drivers take.
func fit(hold time.Duration) time.Duration {
	return min(max(hold, controller.MinUnlock), controller.MaxUnlock)
}

func (d *doors) driverOf(door string) controller.Driver {
	for _, drv := range d.drivers {
		if slices.ContainsFunc(drv.Status().Doors, func(x controller.DoorStatus) bool { return x.ID == door }) {
			return drv
		}
	}
	return nil
}
