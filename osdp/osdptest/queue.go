package osdptest

import (
	"slices"
	"time"

	"latchkey/osdp"
	"latchkey/wiegand"
)

const (
	// staleAfter is how long a card or a key waits to be fetched. A door that
	// opens long after the card was shown opens for somebody else.
	staleAfter = 5 * time.Second
	// queueMost is the number of replies that wait for a POLL. The oldest goes,
	// but no state: there are fewer of them, and one that was lost stays wrong.
	queueMost = 32
)

// waiting is a reply that waits for a POLL. States are made when they are
// fetched: only their code waits.
type waiting struct {
	code  byte
	reply osdp.Reply // RAW, KEYPAD; nil for states
	since time.Time
}

// Present holds a card before a reader head. The panel gets it with its next
// POLL; a card that is not fetched within 5 s, or before the panel is lost, is
// dropped.
func (p *PD) Present(reader uint8, b wiegand.Bits) {
	p.locked(func() {
		p.enqueue(waiting{osdp.CodeRAW, osdp.RAW{Reader: reader, CardFormat: p.cfg.CardFormat, Bits: b.Len(), Data: b.Bytes()}, time.Now()})
	})
}

// Withdraw takes back the cards at a reader head that the panel has not fetched
// yet.
func (p *PD) Withdraw(reader uint8) {
	p.locked(func() {
		p.queue = slices.DeleteFunc(p.queue, func(w waiting) bool {
			card, ok := w.reply.(osdp.RAW)
			return ok && card.Reader == reader
		})
	})
}

// Key presses keys (0 to 9, * and #) at reader head 0; they go out as one
// reply. They grow stale like cards.
func (p *PD) Key(digits string) { p.KeyAt(0, digits) }

// KeyAt is Key at another reader head.
func (p *PD) KeyAt(reader uint8, digits string) {
	keys := []byte(digits)
	for i, k := range keys {
		switch k {
		case '*':
			keys[i] = osdp.KeyStar
		case '#':
			keys[i] = osdp.KeyPound
		}
	}
	p.locked(func() { p.enqueue(waiting{osdp.CodeKEYPAD, osdp.KEYPAD{Reader: reader, Keys: keys}, time.Now()}) })
}

// Queue makes the PD give reply to a POLL, whatever it is. It never grows stale.
func (p *PD) Queue(reply osdp.Reply) {
	p.locked(func() { p.enqueue(waiting{reply.Code(), reply, time.Time{}}) })
}

// SetInput makes input n, from 0, active or inactive.
func (p *PD) SetInput(n int, on bool) {
	state := osdp.InputInactive
	if on {
		state = osdp.InputActive
	}
	p.locked(func() { p.inputs[n] = state; p.changed(osdp.CodeISTATR) })
}

// SetTamper opens or closes the PD's housing.
func (p *PD) SetTamper(on bool) {
	p.locked(func() { p.tamper = on; p.changed(osdp.CodeLSTATR) })
}

// SetPowerFail takes or gives the PD its proper supply.
func (p *PD) SetPowerFail(on bool) {
	p.locked(func() { p.powerFail = on; p.changed(osdp.CodeLSTATR) })
}

// SetReader sets the state of reader head n.
func (p *PD) SetReader(n int, s osdp.ReaderState) {
	p.locked(func() { p.readers[n] = s; p.changed(osdp.CodeRSTATR) })
}

func (p *PD) enqueue(w waiting) {
	p.queue = append(p.queue, w)
	if len(p.queue) > queueMost {
		i := slices.IndexFunc(p.queue, func(w waiting) bool { return w.reply != nil })
		p.queue = slices.Delete(p.queue, i, i+1)
	}
}

// changed makes the PD report a state with one of the next polls, once.
func (p *PD) changed(code byte) {
	if !slices.ContainsFunc(p.queue, func(w waiting) bool { return w.code == code && w.reply == nil }) {
		p.enqueue(waiting{code: code})
	}
}

// poll is the answer to POLL: the oldest thing that is still worth telling, and
// then what a request has led to. A long message keeps no card waiting.
func (p *PD) poll(now time.Time) osdp.Reply {
	for len(p.queue) > 0 {
		w := p.queue[0]
		p.queue = slices.Delete(p.queue, 0, 1)
		switch {
		case w.reply == nil:
			return p.state(w.code)
		case p.worthTelling(now, w):
			return w.reply
		}
	}
	if r, ok := p.work.next(now); ok {
		return r
	}
	return osdp.ACK{}
}

// worthTelling is false of what has grown stale, and of a smart card that
// nobody wants to hear of.
func (p *PD) worthTelling(now time.Time, w waiting) bool {
	if _, ok := w.reply.(osdp.CardInfo); ok && p.work.mode.Mode != osdp.ModeTransparent {
		return false
	}
	return w.since.IsZero() || now.Sub(w.since) <= staleAfter
}

func (p *PD) state(code byte) osdp.Reply {
	switch code {
	case osdp.CodeLSTATR:
		return osdp.LSTATR{Tamper: bit(p.tamper), Power: bit(p.powerFail)}
	case osdp.CodeISTATR:
		return osdp.ISTATR(slices.Clone(p.inputs))
	case osdp.CodeRSTATR:
		return osdp.RSTATR(slices.Clone(p.readers))
	}
	r := make(osdp.OSTATR, len(p.outputs))
	for i := range p.outputs {
		r[i] = bit(p.outputs[i].now())
	}
	return r
}

func bit(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}

// panelLost drops what nobody came for: cards and keys, scans, and what a smart
// card said. The one who comes next may be another. The mode of the smart cards
// is again what a new panel expects; a file stays, for it is resumed.
func (p *PD) panelLost() {
	p.work.drop()
	p.work.mode = osdp.SetMode{}
	p.locked(func() {
		p.queue = slices.DeleteFunc(p.queue, func(w waiting) bool { return !w.since.IsZero() })
	})
}
