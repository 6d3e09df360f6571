package osdp

import (
	"bytes"
	"errors"
	"slices"
	"time"
)

// Answer takes a frame that came after Next. It reports what it tells, and
// whether it ended the exchange; a frame that is no answer to it (from another
// PD, late, repeated, our own echo) does not. It copies what it keeps of f.
func (b *Bus) Answer(now time.Time, f Frame) (evs []Event, done bool) {
	p := b.cur
	if p == nil {
		return nil, false
	}
	if f.Reserved != 0 {
		p.stats.Reserved++
	}
	switch {
	case !f.Reply && bytes.Equal(f.wire, p.out):
		b.ignore(&p.stats.Echoes, p)
	case !f.Reply:
		b.ignore(&p.stats.OtherPanel, p)
	case f.Addr != p.addr:
		b.ignore(&p.stats.Foreign, p)
		if q := b.find(f.Addr); q != nil {
			b.unasked(q, f)
		}
	case p.channel != nil:
		done = b.opened(now, p, f)
	case f.SCBType != 0 && !(p.shake != nil && f.SCBType <= SCS14):
		b.ignore(&p.stats.Late, p) // of a channel that is no more
	default:
		done = b.answered(now, p, f)
	}
	if done {
		b.cur = nil
	}
	return b.take(), done
}

// ignore counts a frame that is no answer, and why if there is a count for it.
func (b *Bus) ignore(why *uint64, p *pd) {
	p.stats.Ignored++
	if why != nil {
		*why++
	}
}

// Unasked counts a frame that came while nobody was to answer.
func (b *Bus) Unasked(f Frame) {
	for _, p := range b.pds {
		switch {
		case !f.Reply && bytes.Equal(f.wire, p.out):
			b.ignore(&p.stats.Echoes, p)
			return
		case f.Addr == p.addr && f.Reply:
			b.unasked(p, f)
			return
		case f.Addr == p.addr:
			b.ignore(&p.stats.OtherPanel, p)
			return
		}
	}
	if !f.Reply && len(b.pds) > 0 { // it asks for somebody whom we do not know
		b.ignore(&b.pds[0].stats.OtherPanel, b.pds[0])
	}
}

// unasked counts the reply f of p, to which nobody listens now.
func (b *Bus) unasked(p *pd, f Frame) {
	if p.awaits && f.Seq == p.seq { // we gave up too soon
		b.ignore(&p.stats.Late, p)
		return
	}
	b.ignore(&p.stats.Unasked, p)
	if f.Seq == p.answered && !p.lastGood.IsZero() {
		p.stats.Twice++
	}
}

// answered takes a frame of p outside a channel, and says whether it ends the
// exchange.
func (b *Bus) answered(now time.Time, p *pd, f Frame) (done bool) {
	refusal := NAKNone
	if f.Code == CodeNAK && len(f.Data) > 0 {
		refusal = NAKCode(f.Data[0])
	}
	repeat := len(p.lastReply) == 1+len(f.Data) && p.lastReply[0] == f.Code && bytes.Equal(p.lastReply[1:], f.Data)
	switch {
	case f.Code == CodeBUSY && len(f.Data) == 0 && (f.Seq == 0 || f.Seq == p.seq):
		b.busy(now, p)
	case refusal == NAKSequence && p.seq != 0:
		// Whatever its sequence: libosdp answers with the one that it expected.
		b.refusal(p, f.Data)
		b.restart(now, p)
	case f.Seq == 0 && p.seq != 0 && !repeat:
		b.restart(now, p) // the PD asks for it: OSDP v2.2 §5.9
	case f.Seq != p.seq:
		b.ignore(&p.stats.Late, p)
		return false
	case refusal == NAKCheck:
		b.refusal(p, f.Data)
		p.nak1++
		switch {
		case p.checksum || p.knowsCRC:
			b.audible = true
			b.miss(now, p) // noise: as good as lost
		case p.nak1 < refuseCRC:
			p.due = now
		default:
			p.noCRC, p.checksum = true, true
			b.restart(now, p)
		}
	case refusal == NAKSequence:
		b.refusal(p, f.Data)
		b.miss(now, p)
	case p.outside() && f.Code != CodeFTSTAT && f.Code != CodeNAK:
		p.stats.ClearReplies++ // a card, say, that somebody else has written
		b.ignore(nil, p)
		return false
	default:
		b.accept(now, p, f)
	}
	return true
}

// refusal counts a NAK.
func (b *Bus) refusal(p *pd, data []byte) {
	p.stats.NAKs++
	if len(data) == 0 {
		p.stats.NAKCodes.Other++
		return
	}
	p.stats.NAKCodes.Add(NAKCode(data[0]))
}

// Silence tells that no answer to the last Next came in time.
func (b *Bus) Silence(now time.Time) []Event {
	p := b.cur
	if p == nil {
		return nil
	}
	b.cur = nil
	if !p.stats.Online {
		b.charge(now, p)
	}
	b.miss(now, p)
	return b.take()
}

// Damaged counts a frame with a wrong check that came after Next.
func (b *Bus) Damaged() {
	b.audible = true
	if b.cur != nil {
		b.cur.stats.CRCErrors++
	}
}

func (b *Bus) take() []Event {
	evs := b.events
	b.events = nil
	return evs
}

func (b *Bus) emit(now time.Time, p *pd, e Event) {
	e.Addr, e.At = p.addr, now
	b.events = append(b.events, e)
}

// accept takes the valid answer f to what is outstanding at p.
func (b *Bus) accept(now time.Time, p *pd, f Frame) {
	if p.seq == 0 {
		p.lastReply = append(append(p.lastReply[:0], f.Code), f.Data...)
	}
	p.knowsCRC = p.knowsCRC || !p.checksum
	p.answered, p.seq = p.seq, p.seq%3+1
	p.awaits, p.lastGood, p.due = false, now, now
	p.misses, p.silent, p.unheard, p.nak1, p.badMACs = 0, 0, 0, 0, 0
	p.away = nil
	p.stats.Latency.add(now.Sub(b.sentAt))
	if p.step == stepChallenge || p.step == stepServer {
		b.shakeHands(now, p, f)
		return
	}
	reply := ParseReply(f.Code, bytes.Clone(f.Data))
	p.tolerate(f, reply)
	nak, refused := reply.(NAK)
	if refused {
		b.refusal(p, f.Data)
	}
	switch p.step {
	case stepID:
		if refused {
			if nak.Reason != p.lastNAK {
				p.lastNAK = nak.Reason
				b.emit(now, p, Event{Kind: Nak, NAK: nak.Reason})
			}
			b.restart(now, p)
			return
		}
		id, ok := reply.(PDID)
		if !ok {
			b.emit(now, p, Event{Kind: Malformed, Reply: reply})
		}
		b.introduced(now, p, id)
	case stepCap:
		caps, _ := reply.(PDCAP)
		b.capable(now, p, caps)
	case stepIdentity:
		id, ok := reply.(PDID)
		if !ok {
			id = p.stats.ID // it refuses ID in the channel: what it said before has to do
		}
		b.identified(now, p, id)
	case stepClaims:
		caps, ok := reply.(PDCAP)
		if !ok {
			caps, p.claims = p.stats.Caps, nil
		}
		b.claimed(now, p, caps)
	case stepKeyset:
		if refused {
			if p.install.sent == 1 { // else it may be the repeat that it refuses, and have the key
				p.install.sent = 0
			}
			b.distrust(now, p, NoChannel, p.hold())
			return
		}
		b.rehandshake(now, p)
	case stepReceive:
		b.known(now, p) // a refusal only means short replies
	case stepDrain:
		b.drain(now, p, reply)
	case live:
		p.restarts = 0
		b.exchange(now, p, reply)
	}
}

// exchange takes the reply of a live PD.
func (b *Bus) exchange(now time.Time, p *pd, reply Reply) {
	nak, refused := reply.(NAK)
	if !refused {
		b.report(now, p, reply)
	}
	r, moved := p.req, false
	p.req = nil
	if p.channel != nil && now.Sub(p.since) >= provenAfter {
		p.holds = 0
	}
	switch {
	case r != nil:
		if refused {
			r.errs = append(r.errs, &NAKError{p.addr, p.outCode, nak.Reason})
		}
		r.replies = append(r.replies, reply)
		if com, ok := reply.(COM); ok && p.outCode == CodeCOMSET {
			moved = b.move(p, com)
		}
		if r.next++; r.next == len(r.cmds) || r.cancelled {
			p.queue = slices.DeleteFunc(p.queue, func(q *request) bool { return q == r })
			if !r.cancelled {
				r.done(r.replies, errors.Join(r.errs...))
			}
		}
	case p.outCode == CodeFILETRANSFER:
		b.fileAnswered(now, p, reply)
		p.due = p.polled.Add(b.opt.Poll)
	case p.outCode != CodePOLL:
		if len(p.refresh) > 0 {
			p.refresh = p.refresh[1:] // a PD without inputs may well refuse ISTAT
		}
	case refused:
		b.emit(now, p, Event{Kind: Nak, NAK: nak.Reason})
		p.due = b.sentAt.Add(b.opt.Poll)
	case reply.Code() == CodeACK: // anything else may have more behind it
		p.due = b.sentAt.Add(b.opt.Poll)
	}
	switch {
	case moved:
		b.restart(now.Add(comsetWait), p)
	case r != nil && p.rekey != nil && p.rekey.answered:
		p.quiet = true
		b.rehandshake(now, p)
	case len(p.queue) > 0:
		p.due = now // perhaps it came while a poll was under way
	case r != nil && len(p.refresh) == 0:
		p.due = p.polled.Add(b.opt.Poll)
	}
}

// tolerate counts what is odd about a reply that is taken all the same: where
// PDs differ, who looks for a fault must be able to see it.
func (p *pd) tolerate(f Frame, reply Reply) {
	count := func(n *uint64, odd bool) {
		if odd {
			*n++
		}
	}
	count(&p.stats.OtherCheck, f.Checksum != (p.checksum && !hasMAC(f.SCBType)))
	count(&p.stats.EmptySealed, f.SCBType == SCS18 && len(f.Data) == 0)
	switch r := reply.(type) {
	case ISTATR:
		inputs, known := p.stats.Caps.Find(CapInputs)
		count(&p.stats.OtherInputs, known && int(inputs.Number) != len(r))
	case OSTATR:
		count(&p.stats.OutputStates, p.outCode == CodeOUT)
	case XRD:
		_, answer := r.Meaning().(CardAnswer)
		count(&p.stats.OtherXRD, answer && r.Reply == xrdPresent)
	}
}
