package osdp

import (
	"bytes"
	"errors"
	"fmt"
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
			b.ignore(&p.stats.Unasked, p)
			return
		case f.Addr == p.addr:
			b.ignore(&p.stats.OtherPanel, p)
			return
		}
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
	default:
		b.accept(now, p, f)
	}
	return true
}

// refusal counts a NAK.
func (b *Bus) refusal(p *pd, data []byte) {
	p.stats.NAKs++
	code := 0
	if len(data) > 0 && int(data[0]) < len(p.stats.NAKCodes) {
		code = int(data[0])
	}
	p.stats.NAKCodes[code]++
}

// busy repeats the command later, as it is. BUSY is no exchange: a PD that is
// busy for ever goes offline like a silent one.
func (b *Bus) busy(now time.Time, p *pd) {
	p.stats.Busy++
	p.busy, p.due = true, now.Add(busyWait)
	if p.req != nil && p.req.cancelled {
		b.restart(now, p)
	} else if p.stats.Online && now.Sub(later(p.lastGood, p.tried)) >= b.opt.Offline {
		b.offline(now, p)
	}
}

// Silence tells that no answer to the last Next came in time.
func (b *Bus) Silence(now time.Time) []Event {
	p := b.cur
	if p == nil {
		return nil
	}
	b.cur = nil
	if !p.stats.Online {
		spent := now.Sub(b.sentAt)
		if b.deadDue.Before(now) {
			b.deadDue = now
		}
		b.deadDue = b.deadDue.Add(deadShare * spent)
	}
	b.miss(now, p)
	return b.take()
}

// Damaged counts a frame with a wrong check that came after Next.
func (b *Bus) Damaged() {
	if b.cur != nil {
		b.cur.stats.CRCErrors++
	}
}

// Down tells that the line itself is gone: every PD is offline at once, every
// command fails, and all PDs are looked for when Next is called again.
func (b *Bus) Down(now time.Time) []Event {
	b.cur, b.deadDue = nil, time.Time{}
	for _, p := range b.pds {
		if p.stats.Online {
			b.offline(now, p)
		}
		p.begin(now)
		p.probes, p.misses = 0, 0
	}
	return b.take()
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

// begin sets p back to where it is asked who it is, at due.
func (p *pd) begin(due time.Time) {
	p.step, p.seq, p.awaits, p.req, p.busy = stepID, 0, false, nil, false
	p.channel, p.shake, p.claims = nil, nil, nil
	p.refresh, p.due = nil, due
}

// restart brings p up anew from sequence 0. Its commands stay queued, the one
// outstanding included: who asks for a restart has not taken it, or forgot it.
func (b *Bus) restart(now time.Time, p *pd) {
	p.restarts++
	if p.stats.Online {
		p.stats.Restarts++
		if p.restarts > restartsMost {
			b.offline(now, p)
			return
		}
	}
	wait := time.Duration(0)
	if p.restarts > 2 {
		wait = min(retryFirst<<min(p.restarts, 8), probeMost)
	}
	p.begin(now.Add(wait))
	if p.stats.Online && p.secureOnly() {
		b.rehandshake(now.Add(wait), p)
	}
}

// miss deals with an exchange that came to nothing.
func (b *Bus) miss(now time.Time, p *pd) {
	p.misses++
	switch {
	case p.stats.Online && now.Sub(p.lastGood) >= b.opt.Offline:
		b.offline(now, p)
	case p.req != nil && p.req.cancelled:
		b.restart(now, p) // it is not to be repeated, and may have been done
	case !b.fileSilent(now, p):
	case p.away != nil && p.misses >= comsetTries:
		p.misses = 0
		p.elsewhere()
		b.restart(now, p)
	case p.badMACs > 1:
		b.restart(now, p) // the repeat was no better: the two ends have lost each other
	case p.stats.Online:
		// The first two repeats go at once, for noise. After that the others on
		// the line need it more; the last try ends when the PD goes offline.
		wait := time.Duration(0)
		if p.misses > 2 {
			wait = min(retryFirst<<min(p.misses-3, 8), retryMost)
		}
		last := later(p.lastGood, p.tried).Add(b.opt.Offline - b.opt.ReplyDelay)
		if last.Before(now) {
			last = now
		}
		p.due = earlier(now.Add(wait), last)
		if p.step == stepReceive && p.misses >= bringUpTries {
			p.noReceive = true
			b.restart(now, p)
		}
	case p.step != stepID && p.misses < bringUpTries:
		p.due = now
	default:
		p.noReceive = p.noReceive || p.step == stepReceive
		p.stats.Trouble = NoTrouble // it is not there
		p.misses = 0
		p.probes++
		p.elsewhere()
		p.begin(now.Add(min(probeFirst<<min(p.probes-1, 8), probeMost)))
		p.checksum = p.noCRC || p.probes%checksumEvery == checksumEvery-1
	}
}

// offline gives p up, and its commands with it.
func (b *Bus) offline(now time.Time, p *pd) {
	queue := p.queue
	p.queue = nil
	p.stats.Online, p.stats.Since = false, now
	if p.file != nil {
		p.file.stale = true
	}
	p.knowsCRC, p.noCRC, p.checksum, p.noReceive = false, false, false, false // it may be another when it comes back
	p.misses, p.nak1, p.restarts, p.probes, p.lastNAK = 0, 0, 0, 1, NAKNone
	p.badMACs, p.candidate, p.tries, p.quiet, p.parts = 0, 0, 0, false, nil
	p.begin(now.Add(probeFirst))
	b.emit(now, p, Event{Kind: Offline})
	if r := p.rekey; r != nil && r.taken {
		p.rekey = nil
		r.done(fmt.Errorf("%w: PD %d: before it proved its new key", ErrOffline, p.addr))
	}
	for _, r := range queue {
		r.done(r.replies, errors.Join(append(r.errs, fmt.Errorf("%w: PD %d", ErrOffline, p.addr))...))
	}
}

// accept takes the valid answer f to what is outstanding at p.
func (b *Bus) accept(now time.Time, p *pd, f Frame) {
	if p.seq == 0 {
		p.lastReply = append(append(p.lastReply[:0], f.Code), f.Data...)
	}
	p.knowsCRC = p.knowsCRC || !p.checksum
	p.seq = p.seq%3 + 1
	p.awaits, p.lastGood, p.due = false, now, now
	p.misses, p.nak1, p.probes, p.badMACs = 0, 0, 0, 0
	p.away = nil
	p.stats.Latency.add(now.Sub(b.sentAt))
	if p.step == stepChallenge || p.step == stepServer {
		b.shakeHands(now, p, f)
		return
	}
	reply := ParseReply(f.Code, bytes.Clone(f.Data))
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
			p.install.sent = false
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

// introduced goes on once p has said who it is, in the clear.
func (b *Bus) introduced(now time.Time, p *pd, id PDID) {
	p.stats.ID = id
	p.swapped = p.cfg.Identity != nil && id.Identity() != *p.cfg.Identity
	if p.swapped && !p.secureOnly() {
		b.distrust(now, p, Swapped, p.hold())
		return
	}
	p.step, p.lastNAK = stepCap, NAKNone
}

// capable goes on once p has said what it can do, in the clear. That it can do
// no secure channel changes nothing: policy is ours.
func (b *Bus) capable(now time.Time, p *pd, caps PDCAP) {
	p.stats.Caps = caps
	if p.secureOnly() {
		b.openChannel(now, p)
		p.claims = caps
		return
	}
	if c, ok := caps.Find(CapCheck); ok {
		p.checksum = p.noCRC || c.Compliance == 0
	}
	p.stats.Trouble = NoTrouble
	b.receive(now, p)
}

// receive goes on to tell p how long replies may be, if that is news to it.
func (b *Bus) receive(now time.Time, p *pd) {
	if p.step = stepReceive; p.noReceive || b.opt.MaxReply <= minReceive {
		b.known(now, p)
	}
}

// known goes on with p once it has said who it is.
func (b *Bus) known(now time.Time, p *pd) {
	if p.stats.Online {
		b.up(now, p)
		return
	}
	p.step, p.drained = stepDrain, 0
}

// drain takes from a PD that was offline the cards and keys that it kept, until
// it has none. It should have forgotten them when it lost its panel (OSDP v2.2
// §7.11), but not all do, and a door that opens for a card of ten minutes ago
// opens for somebody else. What else it tells is asked for once it is up.
func (b *Bus) drain(now time.Time, p *pd, reply Reply) {
	empty := false
	switch r := reply.(type) {
	case RAW:
		b.emit(now, p, Event{Kind: StaleCard, Reader: r.Reader})
	case FMT:
		b.emit(now, p, Event{Kind: StaleCard, Reader: r.Reader})
	case KEYPAD:
		b.emit(now, p, Event{Kind: StaleCard, Reader: r.Reader})
	case ACK, NAK:
		empty = true
	}
	if p.drained++; empty || p.drained >= drainMost {
		b.up(now, p)
	}
}

// up makes p live: its states are read, for what changed in between is lost.
func (b *Bus) up(now time.Time, p *pd) {
	p.step = live
	b.fileBack(now, p)
	p.refresh = []byte{CodeLSTAT, CodeISTAT, CodeOSTAT, CodeRSTAT}
	kind := Restarted
	if !p.stats.Online {
		kind = Online
		p.stats.Online, p.stats.Since = true, now
		p.polled, p.quiet = now, false
	}
	if p.quiet {
		p.quiet, p.refresh = false, nil
		return
	}
	b.emit(now, p, Event{Kind: kind, ID: p.stats.ID, Caps: slices.Clone(p.stats.Caps)})
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
		if com, ok := reply.(COM); ok && p.outCode == CodeCOMSET && com.Addr < Broadcast && b.find(com.Addr) == nil {
			b.move(p, com)
			moved = true
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
	case r != nil && p.rekey != nil && p.rekey.taken:
		p.quiet = true
		b.rehandshake(now, p)
	case len(p.queue) > 0:
		p.due = now // perhaps it came while a poll was under way
	case r != nil && len(p.refresh) == 0:
		p.due = p.polled.Add(b.opt.Poll)
	}
}

// move follows p to where it says that it is from now on. It may come up there
// or stay where it was: the two are tried in turn until it answers.
func (b *Bus) move(p *pd, com COM) {
	p.away, p.addr = &away{p.addr, p.baud}, com.Addr
	if com.Baud >= baudLeast && com.Baud <= baudMost {
		p.baud = int(com.Baud)
	}
}

// elsewhere looks for p at the other of the two places where it can be, if there
// are two.
func (p *pd) elsewhere() {
	if p.away != nil {
		*p.away, p.addr, p.baud = away{p.addr, p.baud}, p.away.addr, p.away.baud
	}
}

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
		b.emit(now, p, Event{Kind: CardText, Reader: r.Reader, Data: r.Chars})
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
		if p.req == nil { // else it goes to who asked
			b.emit(now, p, Event{Kind: Other, Reply: r})
		}
	}
}
