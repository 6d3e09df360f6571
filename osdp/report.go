package osdp

import (
	"time"
)

// report turns what a PD tells into events.
func (b *Bus) report(now time.Time, p *pd, reply Reply) {
	switch r := reply.(type) {
	case ACK, COM, PDID, PDCAP:
	case RAW:
		if r.Bits == 0 {
			b.emit(now, p, Event{Kind: Malformed, Reply: r})
			return
		}
		size := (r.Bits + 7) / 8
		data := r.Data[:size:size]
		if over := size*8 - r.Bits; over > 0 {
			data[size-1] &^= 1<<over - 1 // readers fill them with anything
		}
		b.emit(now, p, Event{Kind: Card, Reader: r.Reader, CardFormat: r.CardFormat, Bits: r.Bits, Data: data})
	case FMT:
		b.emit(now, p, Event{Kind: CardText, Reader: r.Reader, Data: r.Chars, Backward: r.Direction == DirectionBackward})
	case KEYPAD:
		b.emit(now, p, Event{Kind: Keypad, Reader: r.Reader, Digits: digits(r.Keys)})
	case LSTATR:
		b.emit(now, p, Event{Kind: LocalStatus, Tamper: r.Tamper != 0, PowerFail: r.Power != 0})
	case ISTATR:
		b.emit(now, p, Event{Kind: Inputs, Inputs: r})
	case OSTATR:
		outputs := make([]bool, len(r))
		for i, v := range r {
			outputs[i] = v != 0
		}
		b.emit(now, p, Event{Kind: Outputs, Outputs: outputs})
	case RSTATR:
		b.emit(now, p, Event{Kind: ReaderStatus, Readers: r})
	case RawReply:
		kind := Malformed
		if replyName(r.Op) == "" {
			kind = Other
		}
		b.emit(now, p, Event{Kind: kind, Reply: r})
	case fragmentReply:
		b.gather(now, p, r)
	default:
		if p.req == nil && p.outCode != CodeFILETRANSFER { // else it goes to who asked, or to the file
			b.emit(now, p, Event{Kind: Other, Reply: r})
		}
	}
}
