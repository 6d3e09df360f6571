package linktest

import (
	"fmt"
	"time"

	"latchkey/serialline"
)

// Lies are what a controller does wrong. Each number counts requests, and the
// lie goes on until it has met that many.
type Lies struct {
	Drop   int // carries the request out and does not answer
	Damage int // answers with a bit flipped
	Double int // answers twice
	Busy   int // carries the request out, says busy, and answers when asked again
	Late   int // answers after LateBy
	LateBy time.Duration
	Reboot int // loses the request and starts anew, as after a loss of power
}

// due reports whether a lie is told now.
func (*Lies) due(n *int) bool {
	if *n <= 0 {
		return false
	}
	*n--
	return true
}

// Lie sets what the controller does wrong from now on.
func (c *Controller) Lie(l Lies) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lies = l
}

// Mute makes the controller silent on the line. It goes on to decide.
func (c *Controller) Mute(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mute = on
}

// Reboot takes the power away for a moment.
func (c *Controller) Reboot() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead() {
		return ErrPower
	}
	return c.start()
}

// ForgetClock makes the clock one that was never set, which stands at 1970.
func (c *Controller) ForgetClock() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.offset, c.state.set, c.timeless = -c.conf.Now().UnixMilli(), false, true
}

// Meddle changes a table behind the host's back: keys go, then records come.
func (c *Controller) Meddle(table uint8, keys []serialline.Key, records []serialline.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.table(table) == nil {
		return fmt.Errorf("linktest: table %d: %w", table, serialline.CodeTable)
	}
	p := le.AppendUint16([]byte{table}, uint16(len(keys)))
	for _, k := range keys {
		p = append(p, k[:]...)
	}
	for _, r := range records {
		w := r.Bytes()
		p = append(p, w[:]...)
	}
	return c.change(entryMeddle, p)
}

// CutPower takes the power away during a write: that many writes still reach
// the disk, and part bytes of the next one. After that the controller is dead;
// Close it and open it anew.
func (c *Controller) CutPower(writes, part int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flash.armed, c.flash.left, c.flash.part = true, writes, part
}
