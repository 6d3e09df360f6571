package osdp

import (
	"errors"
	"fmt"
	"time"
)

// busy repeats the command later, as it is. BUSY is no exchange: a PD that is
// busy for ever goes offline like a silent one, and one that never comes up pays
// for its answers like a dead one and is asked as seldom.
func (b *Bus) busy(now time.Time, p *pd) {
	p.stats.Busy++
	p.busy, p.due = true, now.Add(busyWait)
	switch {
	case p.req != nil && p.req.cancelled:
		b.restart(now, p)
	case !p.stats.Online:
		b.charge(now, p)
		if p.misses++; p.misses >= bringUpTries {
			p.misses, p.silent = 0, 0
			p.probes++
			p.begin(now.Add(p.probeWait()))
		}
	case now.Sub(p.lastGood) >= b.opt.Offline:
		b.offline(now, p)
	}
}

// charge makes p, which is not online, pay for the time since its command.
func (b *Bus) charge(now time.Time, p *pd) {
	account := b.account(p)
	if account.Before(now) {
		*account = now
	}
	*account = account.Add(deadShare * now.Sub(b.sentAt))
}

// probeWait is how long p is left alone after so many probes in vain.
func (p *pd) probeWait() time.Duration {
	return min(probeFirst<<min(p.probes-1, 8), probeMost)
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
		p.probes, p.misses, p.silent, p.unheard = 0, 0, 0, unheardMost
	}
	return b.take()
}

// Stop is Down when nobody will call Next any more: the files that would wait for
// their PDs end as well, with an ErrOffline, and Installs with an ErrInstall.
func (b *Bus) Stop(now time.Time) []Event {
	evs := b.Down(now)
	for _, p := range b.pds {
		if p.file != nil {
			p.file.s.giveUp(ErrOffline)
			b.fileEnds(now, p)
		}
		if p.install != nil {
			b.endInstall(now, p)
		}
	}
	return evs
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
	if p.silent++; b.audible {
		p.silent = 0
	}
	if p.away == nil && p.req != nil && p.outCode == CodeCOMSET && p.misses >= comsetTries {
		b.perhapsMoved(p)
	}
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
		// The first two repeats go at once, for noise, and so do all others while
		// the PD can be heard: a damaged answer costs no more than a good one. For
		// one that is silent the others on the line need it more. The last try ends
		// when the PD goes offline.
		wait := time.Duration(0)
		if p.silent > 2 {
			wait = min(retryFirst<<min(p.silent-3, 8), retryMost)
		}
		last := p.lastGood.Add(b.opt.Offline - b.opt.ReplyDelay)
		if last.Before(now) {
			last = now
		}
		p.due = earlier(now.Add(wait), last)
		if p.step == stepReceive && p.silent >= bringUpTries {
			p.noReceive = true
			b.restart(now, p)
		}
	case p.step != stepID && p.silent < bringUpTries && p.misses < bringUpMost:
		p.due = now
	default:
		p.noReceive = p.noReceive || p.step == stepReceive
		p.stats.Trouble = NoTrouble // it is not there
		p.misses, p.silent = 0, 0
		p.probes++
		if p.step == stepID {
			p.unheard++
		}
		p.elsewhere()
		p.begin(now.Add(p.probeWait()))
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
	p.misses, p.silent, p.unheard, p.nak1, p.restarts, p.probes, p.lastNAK = 0, 0, unheardMost, 0, 0, 1, NAKNone
	p.badMACs, p.candidate, p.tries, p.quiet, p.parts = 0, 0, 0, false, nil
	p.begin(now.Add(probeFirst))
	b.emit(now, p, Event{Kind: Offline})
	if r := p.rekey; r != nil && r.answered {
		p.rekey = nil
		r.done(fmt.Errorf("%w: PD %d: before it proved which key it has", ErrOffline, p.addr))
	}
	for _, r := range queue {
		r.done(r.replies, errors.Join(append(r.errs, fmt.Errorf("%w: PD %d", ErrOffline, p.addr))...))
	}
}

// move follows p to where it says that it is from now on, if that is a place
// where it can be. It may come up there or stay where it was: the two are tried
// in turn until it answers.
func (b *Bus) move(p *pd, com COM) (moved bool) {
	was := away{p.addr, p.baud}
	if other := b.find(com.Addr); com.Addr < Broadcast && (other == nil || other == p) {
		p.addr = com.Addr
	}
	if com.Baud >= baudLeast && com.Baud <= baudMost {
		p.baud = int(com.Baud)
	}
	if was == (away{p.addr, p.baud}) {
		return false
	}
	p.away = &was
	return true
}

// perhapsMoved makes the place that an unanswered COMSET names one where p may
// be: it goes there once it has said COM, whether that was heard or not.
func (b *Bus) perhapsMoved(p *pd) {
	c := ParseCommand(CodeCOMSET, p.req.cmds[p.req.next].data)
	if com, ok := c.(COMSET); ok && check(c) == nil && b.free(p, c) == nil {
		if to := (away{com.Addr, int(com.Baud)}); to != (away{p.addr, p.baud}) {
			p.away = &to
		}
	}
}

// elsewhere looks for p at the other of the two places where it can be, if there
// are two.
func (p *pd) elsewhere() {
	if p.away != nil {
		*p.away, p.addr, p.baud = away{p.addr, p.baud}, p.away.addr, p.away.baud
	}
}
