package agent

import (
	"cmp"
	"context"
	"slices"
	"time"

	"latchkey/access"
	"latchkey/controller"
	"latchkey/internal/pause"
)

const (
	heldLook    = time.Second
	heldDefault = 30 * time.Second // for a door that does not say
	exitAllows  = 10 * time.Second // so long after a request to leave a door may open
	openAllows  = 3 * time.Second  // … and so long after its strike fell back, for who had the handle in hand
)

// A contact is what is known of a door that has one and that the agent decides
// for. What controllers with a table see is in their own logs.
type contact struct {
	allowed time.Time // until when the door may open
	forced  bool      // it opened without leave
	opened  time.Time // zero while it is shut
	told    bool      // that it is held open
}

// allow notes that the door is about to be let open for so long.
func (d *doors) allow(door string, open time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.contact(door).let(time.Now().Add(open + openAllows))
}

// disallow notes that the door is shut again before its time.
func (d *doors) disallow(door string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.contact(door).allowed = time.Now().Add(openAllows)
}

func (c *contact) let(until time.Time) {
	if until.After(c.allowed) {
		c.allowed = until
	}
}

// contact is called with mu held.
func (d *doors) contact(door string) *contact {
	c, ok := d.contacts[door]
	if !ok {
		c = new(contact)
		d.contacts[door] = c
	}
	return c
}

// note keeps the doors' contacts in step. It is called in the order of the
// events, before they are queued, because a door's readers have queues of their
// own.
func (d *doors) note(e controller.Event) {
	if e.Door == "" {
		return
	}
	var mode string
	if e.Kind == controller.DoorOpened {
		at := d.clock.now()
		d.cache.View(func(x *access.Index) { mode = x.PostureAt(e.Door, at) })
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	switch c := d.contact(e.Door); e.Kind {
	case controller.ExitRequest:
		c.let(now.Add(exitAllows))
	case controller.DoorOpened:
		c.forced = now.After(c.allowed) && mode != access.ModeUnlocked
		c.opened, c.told = now, false
	case controller.DoorClosed:
		c.opened = time.Time{}
	}
}

// forced reports whether the door last opened without leave.
func (d *doors) forced(door string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.contact(door).forced
}

// watch reports doors that stand open for too long, once for each opening.
func (d *doors) watch(ctx context.Context) error {
	for pause.For(ctx, heldLook) {
		for _, door := range d.held() {
			d.keep(ctx, access.Event{At: time.Now(), Kind: access.EventDoorHeld, Door: door})
		}
	}
	return nil
}

// held returns the doors that have just been open for too long.
func (d *doors) held() (held []string) {
	limits := map[string]time.Duration{}
	modes := map[string]string{}
	at := d.clock.now()
	d.cache.View(func(x *access.Index) {
		for _, door := range x.Doors() {
			limits[door.ID] = time.Duration(door.HeldMS) * time.Millisecond
			modes[door.ID] = x.PostureAt(door.ID, at)
		}
	})
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, c := range d.contacts {
		if c.opened.IsZero() || c.told || modes[id] == access.ModeUnlocked {
			continue
		}
		if time.Since(c.opened) > cmp.Or(limits[id], heldDefault) {
			c.told = true
			held = append(held, id)
		}
	}
	slices.Sort(held)
	return held
}

const (
	freeFor   = time.Minute      // a door in mode unlocked is opened for so long …
	freeEvery = 20 * time.Second // … and again after this: a dead agent lets it fall shut
)

// atLeast is for how long a door is to be opened that is about to be opened for
// hold: a card at a door in mode unlocked must not cut its time short.
func (d *doors) atLeast(door string, hold time.Duration) time.Duration {
	var mode string
	at := d.clock.now()
	d.cache.View(func(x *access.Index) { mode = x.PostureAt(door, at) })
	if mode == access.ModeUnlocked {
		return max(hold, freeFor)
	}
	return hold
}

// free keeps the doors open that are in mode unlocked and that the agent
// decides for; controllers with a table know the mode themselves. A door that
// leaves the mode falls shut at once.
func (d *doors) free(ctx context.Context) error {
	open := map[string]time.Time{} // by door: when its strike is to be held anew
	tick := time.NewTicker(heldLook)
	defer tick.Stop()
	for {
		_, changed := d.cache.Changes()
		for _, drv := range d.drivers {
			st := drv.Status()
			if st.Table != nil {
				continue
			}
			for _, door := range st.Doors {
				d.hold(ctx, drv, door.ID, open)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-tick.C: // a mode may end by its own time
		}
	}
}

// hold does what the mode of one door wants now.
func (d *doors) hold(ctx context.Context, drv controller.Driver, door string, open map[string]time.Time) {
	var mode string
	at := d.clock.now()
	d.cache.View(func(x *access.Index) { mode = x.PostureAt(door, at) })
	due, held := open[door]
	now := time.Now()
	period := freeFor
	switch {
	case mode == access.ModeUnlocked && (!held || !now.Before(due)):
		open[door] = now.Add(freeEvery)
		d.allow(door, freeFor)
	case mode != access.ModeUnlocked && held:
		delete(open, door)
		d.disallow(door)
		period = controller.MinUnlock // starts the strike's time anew, and so ends it
	default:
		return
	}
	limited, cancel := context.WithTimeout(ctx, unlockLimit)
	defer cancel()
	if err := drv.Unlock(limited, door, period); err != nil && ctx.Err() == nil {
		d.log.WarnContext(ctx, "door not held to its mode", "door", door, "mode", mode, "err", err)
	}
}
