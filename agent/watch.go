package agent

import (
	"cmp"
	"context"
	"slices"
	"time"

	"latchkey/access"
	"latchkey/controller"
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
	for rest(ctx, heldLook) {
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
