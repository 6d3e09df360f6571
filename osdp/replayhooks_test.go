package osdp

import "time"

// What follows lets the replay of recordings put a Bus where another panel
// stood.

// TrustKey gives the PD at addr a key that NewBus would refuse: those of the
// recordings are easy to guess.
func (b *Bus) TrustKey(addr uint8, k Key) {
	p := b.find(addr)
	p.cfg.Security, p.cfg.Keys = RequireSCBK, Keys{Current: &k}
}

// Shake begins a handshake with the PD at addr, with that sequence number.
func (b *Bus) Shake(now time.Time, addr, seq uint8) {
	p := b.find(addr)
	b.rehandshake(now, p)
	p.seq = seq
}

// Believe takes what the PD at addr said in the clear for what it would say in
// its channel.
func (b *Bus) Believe(now time.Time, addr uint8) []Event {
	p := b.find(addr)
	p.awaits, p.due = false, now
	if b.identified(now, p, p.stats.ID); p.step == stepClaims {
		b.claimed(now, p, p.stats.Caps)
	}
	return b.take()
}

// Pass spares the PD at addr the ACURXSIZE that it is just sent.
func (b *Bus) Pass(now time.Time, addr uint8) {
	p := b.find(addr)
	p.awaits, p.due = false, now
	b.known(now, p)
}

// Settle spares the PD at addr the questions for its states.
func (b *Bus) Settle(now time.Time, addr uint8) {
	p := b.find(addr)
	p.refresh, p.awaits, p.due = nil, false, now
}

// Channel is the secure channel of the PD at addr, nil without one.
func (b *Bus) Channel(addr uint8) *Session { return b.find(addr).channel }

// Stand has the PD at addr online with nothing under way, its next command of
// that sequence number, in channel s or, without one, in the clear.
func (b *Bus) Stand(now time.Time, addr, seq uint8, s *Session, checksum bool) {
	p := b.find(addr)
	p.begin(now)
	p.step, p.seq, p.channel, p.since, p.checksum = live, seq, s, now, checksum
	if s == nil {
		p.cfg.Security, p.cfg.Keys = AllowClear, Keys{} // or nothing would be believed
	}
	p.queue, p.away, p.install, p.rekey = nil, nil, nil, nil
	p.misses, p.restarts, p.badMACs, p.guesses = 0, 0, 0, 0
	p.stats.Online, p.polled, p.lastGood, p.knowsCRC = true, now, now, true
	if p.under == slotDefault {
		p.under = SlotCurrent
	}
	b.cur, b.events = nil, nil
}

// SubmitAny is Submit for every command, the Bus's own too.
func (b *Bus) SubmitAny(now time.Time, addr uint8, c Command, done func([]Reply, error)) error {
	_, err := b.submit(now, b.find(addr), []Command{c}, done)
	return err
}

// Reveal gives the data of a command that another panel sealed as the next one
// of s.
func (s *Session) Reveal(f Frame) ([]byte, error) {
	if f.SCBType != SCS17 {
		return f.Data, nil
	}
	return s.decrypt(f.Data, &s.reply)
}
