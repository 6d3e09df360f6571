// Package linktest has a simulated door controller that speaks the serial door
// link. It keeps its tables on disk like the real one, survives a loss of power
// during any write, decides alone, and lies on demand.
package linktest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"latchkey/access"
	"latchkey/internal/pause"
	"latchkey/serialline"
	"latchkey/wiegand"
)

// Defaults of Config.
const (
	DefaultCapacity  = 100_000
	DefaultSchedules = 4_000
	DefaultEvents    = 4_096
	DefaultUnlock    = 5 * time.Second
)

// honoured are the credential flags that the controller knows what to do with.
const honoured = serialline.FlagCard | serialline.FlagBLE | serialline.FlagWallet | serialline.FlagLonger | serialline.FlagSuspended

// txnLife is how long an open transaction waits for a host that says nothing.
const txnLife = 24 * time.Hour

// A Config says what a simulated controller is. Zero fields take the defaults.
type Config struct {
	Dir       string        // where it keeps what outlives a loss of power; made if it is not there
	Addr      uint8         // 1 to 126
	Serial    [8]byte       // its serial number
	Model     string        // at most 16 bytes of ASCII
	Readers   []string      // 1 to serialline.MaxDoors names; reader i stands at door i
	Capacity  int           // credentials
	Schedules int           // records of the schedule table
	Events    int           // room of the event ring
	Unlock    time.Duration // how long a grant opens the strike
	// NoBattery makes it forget the time with each loss of power.
	NoBattery bool
	Now       func() time.Time // its oscillator; nil is time.Now
	Log       *slog.Logger     // may be nil; never gets a card

	flash flash // tests only; Dir otherwise
}

// A Controller is a simulated door controller. Its methods may be called from
// several goroutines.
type Controller struct {
	conf Config
	log  *slog.Logger

	mu       sync.Mutex // guards all below
	flash    *cutter
	state    *state
	states   *journal
	ring     *ring
	events   *journal
	closed   bool
	boot     uint32
	started  time.Time // by the oscillator
	timeless bool      // the clock was not set since the start
	session  bool      // HELLO came since the start
	lastSeen time.Time // of the host
	cache    reply
	doors    [serialline.MaxDoors]doorState
	tamper   bool
	signals  [serialline.MaxDoors]serialline.Pattern
	lies     Lies
	mute     bool
	counts   Counts
}

// A reply is the last one, for a request that comes again.
type reply struct {
	seq, op, flags uint8
	request        []byte
	reply          serialline.Frame
}

type doorState struct {
	lease    serialline.Mode // ModeNormal where none is in force
	until    time.Time       // when the lease ends
	released time.Time       // the strike lets go until then
	open     bool
}

// A Decision is what the controller did with a card.
type Decision struct {
	Granted bool
	Reason  access.Reason
}

// Counts are what a controller did since it was opened, and where its events
// stand.
type Counts struct {
	Granted, Denied uint64
	LastSeq         uint64 // of the newest event
	Unacked         int    // events that the host has not acked
	Lost            uint64 // events overwritten before their ACK, ever
	Frames          uint64 // requests to this address
	Repeated        uint64 // that were answered from the reply cache
	Boots           uint64
}

// OpenController switches the controller on. Whatever happened to the power
// before, its tables are as the last operation that was answered left them, or
// as one that was never answered did; never a mix. The error is an ErrDamaged
// where Dir was damaged by something else.
func OpenController(conf Config) (*Controller, error) {
	if conf.Addr < 1 || conf.Addr > serialline.MaxAddr {
		return nil, fmt.Errorf("linktest: address %d, want 1 to %d", conf.Addr, serialline.MaxAddr)
	}
	if n := len(conf.Readers); n < 1 || n > serialline.MaxDoors {
		return nil, fmt.Errorf("linktest: %d readers, want 1 to %d", n, serialline.MaxDoors)
	}
	or := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	or(&conf.Capacity, DefaultCapacity)
	or(&conf.Schedules, DefaultSchedules)
	or(&conf.Events, DefaultEvents)
	if conf.Unlock == 0 {
		conf.Unlock = DefaultUnlock
	}
	if conf.Now == nil {
		conf.Now = time.Now
	}
	if conf.Log == nil {
		conf.Log = slog.New(slog.DiscardHandler)
	}
	if conf.flash == nil {
		d, err := openDir(conf.Dir)
		if err != nil {
			return nil, fmt.Errorf("linktest: %w", err)
		}
		conf.flash = d
	}
	c := &Controller{conf: conf, log: conf.Log.With("controller_addr", conf.Addr), flash: &cutter{flash: conf.flash}}
	if err := c.start(); err != nil {
		conf.flash.close()
		return nil, err
	}
	return c, nil
}

// start is what a controller does when power comes.
func (c *Controller) start() (err error) {
	c.state, c.ring = newState(), &ring{room: c.conf.Events, next: 1, clean: true}
	if c.states, err = openJournal(c.flash, "state", c.state.apply); err != nil {
		return err
	}
	if c.events, err = openJournal(c.flash, "events", c.ring.apply); err != nil {
		return err
	}
	if !c.ring.clean {
		c.ring.next += seqJump
	}
	if err := c.events.append(entryNext, c.ring.nextEntry()); err != nil {
		return err
	}
	var id [4]byte
	rand.Read(id[:])
	c.boot = binary.LittleEndian.Uint32(id[:])
	c.started = c.conf.Now()
	c.lastSeen = c.started
	c.session, c.cache = false, reply{}
	c.doors = [serialline.MaxDoors]doorState{}
	c.signals = [serialline.MaxDoors]serialline.Pattern{}
	c.timeless = !c.state.set || c.conf.NoBattery
	if c.conf.NoBattery && c.state.set {
		// It goes on from the last time it knew: never earlier, so what has expired
		// stays expired.
		last := c.state.last
		for _, e := range c.ring.list {
			if e.Set {
				last = max(last, e.UnixMS)
			}
		}
		c.state.offset = last - c.started.UnixMilli()
	}
	c.counts.Boots++
	c.record(serialline.Event{Kind: serialline.EventStarted, Door: serialline.None, Reader: serialline.None})
	return nil
}

// Close switches the controller off in good order.
func (c *Controller) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	err := c.events.append(entryClean, le.AppendUint64(nil, c.ring.next))
	if errors.Is(err, ErrPower) {
		err = nil // as it was asked for
	}
	return errors.Join(err, c.flash.close())
}

// now is the controller's clock; set is whether it is to be trusted.
func (c *Controller) now() (t time.Time, set bool) {
	return time.UnixMilli(c.conf.Now().UnixMilli() + c.state.offset), !c.timeless
}

// record writes an event. One that cannot be written stays in memory: doors go
// on working when the disk does not.
func (c *Controller) record(e serialline.Event) {
	e.Seq, e.Boot = c.ring.next, c.boot
	now, set := c.now()
	e.UnixMS, e.Set = now.UnixMilli(), set
	if !set {
		e.UnixMS = c.conf.Now().Sub(c.started).Milliseconds()
	}
	if err := c.events.append(entryEvent, e.Append(nil)); err != nil {
		c.log.Error("event not written", "seq", e.Seq, "err", err)
	}
	c.ring.add(e)
	// Twice the ring, so that rewriting costs each event no more than writing it.
	if c.events.size > int64(2*c.conf.Events+64)*(serialline.EventLen+entryOver) {
		if err := c.events.rewrite(c.ring.entries()); err != nil {
			c.log.Error("events not rewritten", "err", err)
		}
	}
}

// change writes an entry of the state and then does it.
func (c *Controller) change(kind uint8, payload []byte) error {
	if err := c.states.append(kind, payload); err != nil {
		c.log.Error("state not written", "err", err)
		return err
	}
	if err := c.state.apply(kind, payload); err != nil {
		return err
	}
	c.tidy()
	return nil
}

// tidy rewrites the state once the journal is mostly history.
func (c *Controller) tidy() {
	live := 64 << 10
	for _, t := range c.state.tables[1:] {
		live += t.rows.Len() * serialline.RecordLen
	}
	if c.state.txn != nil {
		live += int(c.state.txn.next) * (serialline.RecordLen + 32)
	}
	if c.states.size > int64(4*live) {
		if err := c.states.rewrite(c.state.entries()); err != nil {
			c.log.Error("state not rewritten", "err", err)
		}
	}
}

// dead reports whether the controller is off.
func (c *Controller) dead() bool { return c.closed || c.flash.dead }

// Present holds a card to reader i, decides by the controller's own tables and
// clock, and returns once the event is on disk and the strike moves.
func (c *Controller) Present(i int, b wiegand.Bits) Decision {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead() {
		return Decision{Reason: access.Fault}
	}
	if i < 0 || i >= len(c.conf.Readers) {
		return Decision{Reason: access.UnknownDoor}
	}
	c.sweep()
	key := serialline.MakeKey(b.Len(), b.Bytes())
	reason, longer := c.decide(i, key)
	c.record(serialline.Event{Kind: serialline.EventAccess, Door: uint8(i), Reader: uint8(i), Reason: reason, Key: key})
	if c.dead() {
		return Decision{Reason: access.Fault}
	}
	if reason != serialline.ReasonGranted {
		c.counts.Denied++
		return Decision{Reason: access.Reason(reason.String())}
	}
	c.counts.Granted++
	d := c.conf.Unlock
	if longer {
		d *= 3
	}
	c.release(i, d)
	return Decision{Granted: true, Reason: access.Granted}
}

// release lets the strike of a door go for d.
func (c *Controller) release(door int, d time.Duration) {
	c.doors[door].released = c.conf.Now().Add(d)
}

// decide answers for the card at a door. The order is that of access.Decide.
func (c *Controller) decide(door int, key serialline.Key) (reason serialline.Reason, longer bool) {
	t := c.state.tables[serialline.TableCredentials]
	row, ok := t.rows.Get(key)
	now, set := c.now()
	minute := now.Unix() / 60
	mode := c.mode(door)
	switch {
	case c.state.revoked[key]: // before anything else, whatever the table says
		return serialline.ReasonRevoked, false
	case t.epoch == 0, mode == serialline.ModeSecure:
		return serialline.ReasonNoData, false
	case !ok:
		return serialline.ReasonUnknownCard, false
	case row.Flags&serialline.FlagSuspended != 0:
		return serialline.ReasonSuspended, false
	case row.ValidFrom != 0 && minute < int64(row.ValidFrom):
		return serialline.ReasonNotYetValid, false
	case row.ValidUntil != 0 && minute >= int64(row.ValidUntil):
		return serialline.ReasonExpired, false
	case mode == serialline.ModeLockdown, mode == serialline.ModeDisabled:
		return serialline.ReasonLockdown, false
	case row.Doors>>door&1 == 0:
		return serialline.ReasonNoDoor, false
	}
	longer = row.Flags&serialline.FlagLonger != 0
	slot := row.Schedules[door]
	if slot == 0 || mode == serialline.ModeFree {
		return serialline.ReasonGranted, longer
	}
	// A clock that is not set must not open a door: its hours hold at no time.
	if s, ok := c.state.hours[slot]; ok && set && s.Holds(now) {
		return serialline.ReasonGranted, longer
	}
	return serialline.ReasonOutsideHours, false
}

// mode is the mode in force at a door.
func (c *Controller) mode(door int) serialline.Mode {
	if d := c.doors[door]; d.lease != serialline.ModeNormal && c.conf.Now().Before(d.until) {
		return d.lease
	}
	return c.state.modes[door]
}

// sweep ends what has run out.
func (c *Controller) sweep() {
	now := c.conf.Now()
	for i := range c.doors {
		if d := &c.doors[i]; d.lease != serialline.ModeNormal && !now.Before(d.until) {
			d.lease = serialline.ModeNormal
			c.modeEvent(i, c.state.modes[i])
		}
	}
	if c.state.txn != nil && now.Sub(c.lastSeen) >= txnLife {
		if err := c.change(entryAbort, serialline.AppendTxn(nil, c.state.txn.Txn)); err != nil {
			c.log.Error("transaction not dropped", "err", err)
		}
	}
}

func (c *Controller) modeEvent(door int, m serialline.Mode) {
	c.record(serialline.Event{Kind: serialline.EventMode, Door: uint8(door), Reader: serialline.None, Key: serialline.Key{0: byte(m)}})
}

func (c *Controller) released(door int) bool {
	return c.mode(door) == serialline.ModeUnlocked || c.conf.Now().Before(c.doors[door].released)
}

// Released reports whether the strike of a door lets go.
func (c *Controller) Released(door int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.dead() && door >= 0 && door < len(c.conf.Readers) && c.released(door)
}

// SetDoor opens or shuts a door. One that opens while its strike holds was
// forced.
func (c *Controller) SetDoor(door int, open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead() || door < 0 || door >= len(c.conf.Readers) || c.doors[door].open == open {
		return
	}
	c.sweep()
	c.doors[door].open = open
	kind := serialline.EventDoorClosed
	switch {
	case open && c.released(door):
		kind = serialline.EventDoorOpened
	case open:
		kind = serialline.EventDoorForced
	}
	c.record(serialline.Event{Kind: kind, Door: uint8(door), Reader: serialline.None})
}

// Exit presses the exit button of a door, which opens in every mode.
func (c *Controller) Exit(door int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead() || door < 0 || door >= len(c.conf.Readers) {
		return
	}
	c.record(serialline.Event{Kind: serialline.EventExit, Door: uint8(door), Reader: serialline.None})
	c.release(door, c.conf.Unlock)
}

// SetTamper opens or shuts the controller's case.
func (c *Controller) SetTamper(open bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead() || c.tamper == open {
		return
	}
	c.tamper = open
	if open {
		c.record(serialline.Event{Kind: serialline.EventTamper, Door: serialline.None, Reader: serialline.None})
	}
}

// Signal is what a reader shows.
func (c *Controller) Signal(reader int) serialline.Pattern {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.signals[reader]
}

// Dump returns the credential table as it decides by it: without what is
// revoked, sorted by nothing.
func (c *Controller) Dump() (records []serialline.Record, root [16]byte, version uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.state.tables[serialline.TableCredentials]
	records = make([]serialline.Record, 0, t.rows.Len())
	for r := range t.rows.All() {
		records = append(records, r)
	}
	return records, t.rows.Root(), t.version
}

// Counts tells what the controller did.
func (c *Controller) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.counts
	n.LastSeq, n.Lost = c.ring.head(), c.ring.lost
	n.Unacked = len(c.ring.list) - c.ring.from(c.ring.acked+1)
	return n
}

// A Port is the controller's end of the wire: a pty's master, a net.Conn.
type Port interface {
	io.ReadWriter
	SetReadDeadline(time.Time) error
}

// emptyLine is how long Serve waits where nobody has the other end open.
const emptyLine = 20 * time.Millisecond

// Serve answers on port until ctx ends, and then returns nil. Nobody at the
// other end is no error: somebody may come. It returns ErrPower after CutPower,
// and the port's error when this end is closed.
func (c *Controller) Serve(ctx context.Context, port Port) error {
	// No context can end a blocked Read. A deadline in the past can.
	stop := context.AfterFunc(ctx, func() { port.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var scan serialline.Scanner
	var buf [512]byte
	var out []byte
	for ctx.Err() == nil {
		n, err := port.Read(buf[:])
		for p := buf[:n]; len(p) > 0; {
			took, f, err := scan.Scan(p)
			p = p[took:]
			if err != nil {
				continue // damaged, or not whole yet: the host asks again
			}
			replies, wait, err := c.answer(f)
			if err != nil {
				return err
			}
			if wait > 0 && !pause.For(ctx, wait) {
				return nil
			}
			for _, r := range replies {
				out = append(out[:0], r...)
				if _, err := port.Write(out); err != nil && !gone(err) {
					return fmt.Errorf("linktest: write: %w", err)
				}
			}
		}
		switch {
		case err == nil, ctx.Err() != nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			if err := port.SetReadDeadline(time.Time{}); err != nil { // somebody else's deadline
				return fmt.Errorf("linktest: deadline: %w", err)
			}
			if ctx.Err() != nil {
				return nil
			}
		case gone(err):
			scan.Reset()
			if !pause.For(ctx, emptyLine) {
				return nil
			}
		default:
			return fmt.Errorf("linktest: read: %w", err)
		}
	}
	return nil
}
