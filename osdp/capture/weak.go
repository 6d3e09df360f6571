package capture

import (
	"bytes"
	"errors"

	"latchkey/osdp"
)

// A weakChannel is the secure channel of a PD, as far as somebody can read it
// who has the trace and no key. SCBK-D stands in the standard, and a key whose
// bytes follow a pattern is soon guessed: what such a channel carries is clear,
// the PD's next key among it. So its frames are opened, blanked and sealed
// again.
type weakChannel struct {
	handshake
	open           bool // to everybody
	reader, writer *osdp.Observer
	last           [2]struct{ was, now []byte } // frame of either direction, for repeats
}

// handshakes takes the frames of a handshake.
func (c *weakChannel) handshakes(wire []byte, f osdp.Frame) {
	switch {
	case f.SCBType == osdp.SCS11 && !f.Reply:
		c.challenge(wire, f)
	case f.SCBType == osdp.SCS12 && f.Reply:
		c.answer(f)
	}
}

// challenge takes CHLNG. Whether its channel is open, its answer tells.
func (c *weakChannel) challenge(wire []byte, f osdp.Frame) {
	c.begin(wire, f)
	c.reader, c.open = nil, c.open || osdp.AsksDefault(f)
}

// answer takes CCRYPT, and tries the keys that everybody would.
func (c *weakChannel) answer(f osdp.Frame) {
	var key osdp.Key
	c.reader, key = c.observe(f, weakKeys())
	c.writer, _ = c.observe(f, []osdp.Key{key})
	c.open = c.reader != nil
}

// blank blanks the frame f of the channel, whose bytes are b, and gives the
// data that it held, nil when nobody can say.
func (c *weakChannel) blank(b []byte, f osdp.Frame) []byte {
	last := &c.last[turn(f.Reply)]
	if bytes.Equal(b, last.was) {
		copy(b, last.now)
		return nil
	}
	last.was = bytes.Clone(b)
	data, ok := c.reseal(b, f)
	if !ok {
		clear(f.SCBData)
		clear(f.Data)
		rewrite(b, f)
	}
	last.now = bytes.Clone(b)
	return data
}

// reseal puts the frame into b that f is without its secrets. It fails when a
// frame is missing from the trace, and for good when the channel cannot be
// followed.
func (c *weakChannel) reseal(b []byte, f osdp.Frame) (data []byte, ok bool) {
	if c.reader == nil {
		return nil, false
	}
	data, err := c.reader.Open(&f)
	if errors.Is(err, osdp.ErrMAC) {
		return nil, false
	}
	if err != nil && !errors.Is(err, osdp.ErrClear) {
		c.reader = nil
		return nil, false
	}
	blank(f.Reply, f.Code, data)
	out, err := c.writer.Rewrite(nil, f, data)
	if err != nil {
		c.reader = nil
		return nil, false
	}
	copy(b, out)
	return data, true
}

// weakKeys are SCBK-D and the keys whose bytes stay, count up or count down:
// those that osdp.Key.Check refuses.
func weakKeys() []osdp.Key {
	keys := append(make([]osdp.Key, 0, 1+3*256), osdp.DefaultKey())
	for first := range 256 {
		for _, step := range []int{0, 1, -1} {
			var k osdp.Key
			for i := range k {
				k[i] = byte(first + i*step)
			}
			keys = append(keys, k)
		}
	}
	return keys
}
