package osdp

import (
	"slices"
	"time"
)

// begin sets p back to where it is asked who it is, at due.
func (p *pd) begin(due time.Time) {
	p.step, p.seq, p.awaits, p.req, p.busy = stepID, 0, false, nil, false
	p.channel, p.shake = nil, nil
	p.refresh, p.due = nil, due
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
		p.claims, p.unproved = caps, true
		b.openChannel(now, p)
		return
	}
	if c, ok := caps.Find(CapCheck); ok {
		p.checksum = p.noCRC || c.Compliance == 0
	}
	p.stats.Trouble = NoTrouble
	b.receive(now, p)
}

// receive goes on to tell p how long replies may be, if that is news to it. One
// that only lost its place hears it once it is polled again: a card fits into
// what any PD may send.
func (b *Bus) receive(now time.Time, p *pd) {
	if p.step = stepReceive; p.stats.Online || !b.tellsReceive(p) {
		b.known(now, p)
	}
}

// tellsReceive says whether p is to hear how long replies may be.
func (b *Bus) tellsReceive(p *pd) bool { return !p.noReceive && b.opt.MaxReply > minReceive }

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
	switch {
	case p.stats.Online && b.tellsReceive(p):
		p.refresh = slices.Insert(p.refresh, 0, CodeACURXSIZE)
	case !p.stats.Online:
		kind = Online
		p.stats.Online, p.stats.Since = true, now
		p.polled, p.quiet, p.probes = now, false, 0
	}
	if p.quiet {
		p.quiet, p.refresh = false, nil
		return
	}
	b.emit(now, p, Event{Kind: kind, ID: p.stats.ID, Caps: slices.Clone(p.stats.Caps)})
}
