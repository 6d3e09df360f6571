package capture

import (
	"bytes"

	"latchkey/osdp"
)

// A place is an address on a line.
type place struct {
	line string
	addr uint8
}

// A handshake is the one that a PD had last.
type handshake struct {
	chlng osdp.Frame // with bytes of its own; no code, no CHLNG
}

// begin takes the CHLNG f, whose bytes are wire.
func (h *handshake) begin(wire []byte, f osdp.Frame) {
	h.chlng, _, _ = osdp.ParseFrame(bytes.Clone(wire)) // as before
}

// observe finds the key with which the CCRYPT f was made, nil when it is none
// of keys.
func (h *handshake) observe(f osdp.Frame, keys []osdp.Key) (*osdp.Observer, osdp.Key) {
	for _, k := range keys {
		if o, err := osdp.Observe(k, h.chlng, f); err == nil {
			return o, k
		}
	}
	return nil, osdp.Key{}
}

// turn is a place for something of each direction.
func turn(reply bool) int {
	if reply {
		return 1
	}
	return 0
}

// moves gives the address that a PD has from now on, when a frame says so.
func moves(f osdp.Frame, data []byte) (uint8, bool) {
	if !f.Reply || f.Code != osdp.CodeCOM {
		return 0, false
	}
	com, ok := osdp.ParseReply(f.Code, data).(osdp.COM)
	return com.Addr, ok && com.Addr != f.Addr && com.Addr < osdp.Broadcast
}
