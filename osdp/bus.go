package osdp

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

var (
	// ErrOffline means that the PD does not answer, or is not on this line.
	ErrOffline = errors.New("osdp: offline")
	// ErrTooLong means that the PD does not take so long a command.
	ErrTooLong = errors.New("osdp: command too long for the PD")
)

// A NAKError is a PD's refusal of one command.
type NAKError struct {
	Addr    uint8
	Command byte // code
	Reason  NAKCode
}

func (e *NAKError) Error() string {
	return fmt.Sprintf("osdp: PD %d: command 0x%02x: %v", e.Addr, e.Command, e.Reason)
}

// A PDConfig is one PD on a line.
type PDConfig struct {
	Addr uint8  // 0 to 126; Broadcast only where it is alone on the line
	Name string // for Stats
}

// Options tune a Bus. The zero value is right for a line of readers.
type Options struct {
	// Poll is the time from one poll of a PD to the next, 50 ms when 0. The
	// card-to-door feel wants 100 ms at most.
	Poll time.Duration
	// ReplyDelay is how long a PD may take to begin its reply, 200 ms when 0
	// (OSDP v2.2 §5.7).
	ReplyDelay time.Duration
	// Offline is the time without a valid exchange after which a PD is offline,
	// 8 s when 0 (OSDP v2.2 §5.7).
	Offline time.Duration
	// Baud is the line's speed, 9600 when 0. It sets how long frames are in the
	// air; too low a value only makes the line patient.
	Baud int
	// MaxReply is the longest reply PDs are told that they may send, MaxFrame
	// when 0.
	MaxReply uint16
}

const (
	retryFirst    = 100 * time.Millisecond // before the third try and so on, doubling
	retryMost     = 2 * time.Second
	probeFirst    = 500 * time.Millisecond // from one probe of a dead PD to the next, doubling
	probeMost     = 5 * time.Second
	busyWait      = 100 * time.Millisecond
	deadShare     = 20                     // dead PDs get one part in so many of the bus's time
	deadAhead     = 600 * time.Millisecond // of it they may take before they have saved it
	refuseCRC     = 3                      // NAK 1 in a row, before a PD that never took a CRC is spoken to without
	drainMost     = 256                    // replies that a PD may have kept; more come from somebody who shows cards now
	bringUpTries  = 3                      // of CAP and ACURXSIZE before the start is made anew
	restartsMost  = 8                      // in a row, before an online PD counts as offline
	checksumEvery = 3                      // every so many probes one is closed by the checksum
	overduePolls  = 2                      // poll intervals after which a poll may go before a second door command
)

// CheckPDs says what is wrong with a line's list of PDs, or nil.
func CheckPDs(pds []PDConfig) error {
	for i, p := range pds {
		if p.Addr > Broadcast || p.Addr == Broadcast && len(pds) > 1 {
			return fmt.Errorf("osdp: PD %q has address %d, want 0 to 126", p.Name, p.Addr)
		}
		for _, q := range pds[:i] {
			if p.Addr == q.Addr {
				return fmt.Errorf("osdp: PDs %q and %q both have address %d", q.Name, p.Name, p.Addr)
			}
		}
	}
	return nil
}

// A Bus decides what goes onto one line next and what an answer means. It holds
// no port, reads no clock and starts nothing. It is not safe for concurrent
// use. Times given to it must not run backwards.
type Bus struct {
	opt     Options
	pds     []*pd
	cur     *pd // whose answer is awaited
	sentAt  time.Time
	command bool      // the last exchange was a command of Submit
	deadDue time.Time // when dead PDs have paid for the bus time they took
	lastID  uint64
	wire    []byte // MARK and frame, reused
	events  []Event
}

// The steps of bringing a PD up, OSDP v2.2 §5 and §9. The secure channel will
// stand between stepReceive and stepDrain.
type step uint8

const (
	stepID step = iota
	stepCap
	stepReceive
	stepDrain // of one that was offline: see drain
	live
)

type pd struct {
	cfg      PDConfig
	addr     uint8 // as cfg until a COM says otherwise
	step     step
	seq      uint8  // of the command outstanding or next
	out      []byte // the frame outstanding, to be repeated byte for byte
	outCode  byte
	awaits   bool     // out has no answer yet
	req      *request // whose command is outstanding, nil for our own
	queue    []*request
	refresh  []byte    // states still to be read
	due      time.Time // when the PD next wants the line
	busy     bool      // due is the wait after BUSY
	polled   time.Time // last POLL sent
	lastGood time.Time // last valid exchange
	misses   int       // in a row
	nak1     int       // in a row
	drained  int       // replies taken in stepDrain
	restarts int       // in a row without a live exchange
	probes   int       // unanswered starts in a row

	lastReply []byte  // code and data of the reply to the last command of sequence 0
	knowsCRC  bool    // has answered a command closed by a CRC: what it refuses now is noise
	noCRC     bool    // CRC was refused
	noReceive bool    // ACURXSIZE was met with silence
	checksum  bool    // close frames with the checksum
	lastNAK   NAKCode // of the bring-up, told once
	stats     PDStats
}

// A request is the commands of one Submit.
type request struct {
	id        uint64
	cmds      []encoded
	next      int // first command not answered
	replies   []Reply
	errs      []error
	done      func([]Reply, error)
	cancelled bool
}

type encoded struct {
	code byte
	data []byte
}

// PDStats is what a Bus knows of a PD, for status pages and metrics.
type PDStats struct {
	Addr     uint8
	Name     string
	Online   bool
	Since    time.Time // of Online's last change; zero before the first
	LastGood time.Time // last valid exchange; zero before the first
	Checksum bool      // speaks with the 8-bit checksum
	ID       PDID      // as last told
	Caps     PDCAP     // as last told

	Polls     uint64 // POLL commands sent while it was online, repeats not counted
	Retries   uint64 // repeats of any command
	CRCErrors uint64 // frames with a wrong check while this PD was to answer
	NAKs      uint64
	Busy      uint64
	Ignored   uint64 // frames that were no answer: late, foreign, repeated, our own echo
	Reserved  uint64 // replies with reserved control bits set
	Restarts  uint64 // starts at sequence 0 of an online PD
}

// NewBus returns a Bus for pds, all of them offline. It panics when CheckPDs
// would complain: a configuration is checked before it comes here.
func NewBus(pds []PDConfig, opt ...Options) *Bus {
	if err := CheckPDs(pds); err != nil {
		panic(err)
	}
	b := &Bus{}
	if len(opt) > 0 {
		b.opt = opt[0]
	}
	b.opt.Poll = cmp.Or(b.opt.Poll, 50*time.Millisecond)
	b.opt.ReplyDelay = cmp.Or(b.opt.ReplyDelay, 200*time.Millisecond)
	b.opt.Offline = cmp.Or(b.opt.Offline, 8*time.Second)
	b.opt.Baud = cmp.Or(b.opt.Baud, 9600)
	b.opt.MaxReply = cmp.Or(b.opt.MaxReply, MaxFrame)
	for _, c := range pds {
		b.pds = append(b.pds, &pd{cfg: c, addr: c.Addr})
	}
	return b
}

// air is how long n bytes take on the line: 8 data bits, start and stop.
func (b *Bus) air(n int) time.Duration {
	return time.Duration(n) * 10 * time.Second / time.Duration(b.opt.Baud)
}

// An Exchange is one command that wants an answer.
type Exchange struct {
	Addr  uint8
	Wire  []byte        // MARK and frame, for one single Write; good until Next is called again
	Reply time.Duration // how long after the Write the answer may begin: the wire's time for Wire included
}

// Submit queues cmds for the PD at addr, before its polls. done is called once,
// from a later call of the Bus's methods, when every command is answered: the
// replies, and all refusals joined; or when the PD goes offline. A command that
// can not be sent makes an error at once, and done is not called. The id is for
// Cancel.
func (b *Bus) Submit(now time.Time, addr uint8, cmds []Command, done func([]Reply, error)) (id uint64, err error) {
	p := b.find(addr)
	if p == nil {
		return 0, fmt.Errorf("%w: no PD has address %d on this line", ErrOffline, addr)
	}
	if !p.stats.Online {
		return 0, fmt.Errorf("%w: PD %d", ErrOffline, addr)
	}
	if len(cmds) == 0 {
		return 0, fmt.Errorf("%w: no command", ErrValue)
	}
	r := &request{done: done}
	for _, c := range cmds {
		data, err := c.AppendData(nil)
		if err != nil {
			return 0, fmt.Errorf("PD %d: command 0x%02x: %w", addr, c.Code(), err)
		}
		if n, most := (Frame{Data: data}).Len(), p.stats.Caps.ReceiveSize(); n > most {
			return 0, fmt.Errorf("%w %d: command 0x%02x makes %d bytes, it takes %d", ErrTooLong, addr, c.Code(), n, most)
		}
		r.cmds = append(r.cmds, encoded{c.Code(), data})
	}
	b.lastID++
	r.id = b.lastID
	p.queue = append(p.queue, r)
	if !p.busy {
		p.due = earlier(p.due, now) // a door waits neither for the next poll nor for the next try
	}
	return r.id, nil
}

// Cancel takes back the commands of a Submit that are not yet sent. One that is
// outstanding is not repeated: the PD is brought up anew instead, because its
// answer may be lost. done is not called.
func (b *Bus) Cancel(now time.Time, id uint64) {
	for _, p := range b.pds {
		i := slices.IndexFunc(p.queue, func(r *request) bool { return r.id == id })
		if i < 0 {
			continue
		}
		r := p.queue[i]
		p.queue = slices.Delete(p.queue, i, i+1)
		r.cancelled = true
		if p.req == r && b.cur != p {
			b.restart(now, p)
		}
	}
}

// Stats describes all PDs, in the order given to NewBus.
func (b *Bus) Stats() []PDStats {
	all := make([]PDStats, len(b.pds))
	for i, p := range b.pds {
		all[i] = p.stats
		all[i].Addr, all[i].Name, all[i].LastGood, all[i].Checksum = p.addr, p.cfg.Name, p.lastGood, p.checksum
		all[i].Caps = slices.Clone(p.stats.Caps)
	}
	return all
}

func (b *Bus) find(addr uint8) *pd {
	for _, p := range b.pds {
		if p.addr == addr {
			return p
		}
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// Next gives the exchange to do now. Without one, Wire is empty, and wait says
// for how long there will be none unless something is submitted. After an
// exchange the caller reports what came: Answer for each frame until one is
// taken, or Silence, or Down.
func (b *Bus) Next(now time.Time) (x Exchange, wait time.Duration) {
	if p := b.cur; p != nil { // nobody reported: the port failed in the middle
		b.cur = nil
		if p.req != nil && p.req.cancelled {
			b.restart(now, p)
		}
	}
	p := b.choose(now)
	if p == nil {
		wait = time.Minute
		for _, p := range b.pds {
			wait = min(wait, max(b.due(p).Sub(now), 0))
		}
		return Exchange{}, wait
	}
	if p.awaits {
		p.stats.Retries++
	} else {
		b.build(now, p)
	}
	b.cur, b.sentAt, b.command = p, now, p.req != nil
	p.busy = false
	b.wire = append(append(b.wire[:0], Mark), p.out...)
	return Exchange{p.addr, b.wire, b.opt.ReplyDelay + b.air(len(b.wire))}, 0
}

// due is when p may have the line: when it wants it, but dead PDs may take only
// one part in deadShare of the time while others live, and deadAhead at once.
func (b *Bus) due(p *pd) time.Time {
	paid := b.deadDue.Add(-deadShare * deadAhead)
	if !p.stats.Online && p.probes+p.misses > 0 && paid.After(p.due) && slices.ContainsFunc(b.pds, func(p *pd) bool { return p.stats.Online }) {
		return paid
	}
	return p.due
}

// choose picks the PD whose turn it is, nil for none: commands first, in the
// order of Submit, then who waits longest. After a command, a PD whose poll is
// overdue goes first, so that no flow of commands makes the others deaf.
func (b *Bus) choose(now time.Time) *pd {
	var command, overdue, first *pd
	for _, p := range b.pds {
		due := b.due(p)
		if due.After(now) {
			continue
		}
		if p.step == live && len(p.queue) > 0 && (!p.awaits || p.req != nil) {
			if command == nil || p.queue[0].id < command.queue[0].id {
				command = p
			}
			continue
		}
		if p.stats.Online && now.Sub(p.polled) >= overduePolls*b.opt.Poll && (overdue == nil || p.polled.Before(overdue.polled)) {
			overdue = p
		}
		if first == nil || due.Before(b.due(first)) {
			first = p
		}
	}
	if command == nil {
		return first
	}
	if b.command && overdue != nil {
		return overdue
	}
	return command
}

// build makes the next frame of p.
func (b *Bus) build(now time.Time, p *pd) {
	f := Frame{Addr: p.addr, Seq: p.seq, Checksum: p.checksum}
	p.req = nil
	switch {
	case p.step == stepID:
		f.Code, f.Data = CodeID, []byte{0}
	case p.step == stepCap:
		f.Code, f.Data = CodeCAP, []byte{0}
	case p.step == stepReceive:
		f.Code, f.Data = CodeACURXSIZE, []byte{byte(b.opt.MaxReply), byte(b.opt.MaxReply >> 8)}
	case p.step == stepDrain:
		f.Code = CodePOLL
	case len(p.queue) > 0:
		p.req = p.queue[0]
		f.Code, f.Data = p.req.cmds[p.req.next].code, p.req.cmds[p.req.next].data
	case len(p.refresh) > 0:
		f.Code = p.refresh[0]
	default:
		f.Code = CodePOLL
		p.polled = now
		p.stats.Polls++
	}
	p.outCode, p.awaits = f.Code, true
	// Submit has held the length against what the PD takes, so this cannot fail.
	p.out, _ = f.AppendBinary(p.out[:0])
}

// Answer takes a frame that came after Next. It reports what it tells, and
// whether it ended the exchange; a frame that is no answer to it (from another
// PD, late, repeated, our own echo) does not. It copies what it keeps of f.
func (b *Bus) Answer(now time.Time, f Frame) (evs []Event, done bool) {
	p := b.cur
	if p == nil {
		return nil, false
	}
	if !f.Reply || f.Addr != p.addr || f.SCBType != 0 {
		p.stats.Ignored++
		return nil, false
	}
	refusal := NAKNone
	if f.Code == CodeNAK && len(f.Data) > 0 {
		refusal = NAKCode(f.Data[0])
	}
	repeat := len(p.lastReply) == 1+len(f.Data) && p.lastReply[0] == f.Code && bytes.Equal(p.lastReply[1:], f.Data)
	switch {
	case f.Code == CodeBUSY && len(f.Data) == 0 && (f.Seq == 0 || f.Seq == p.seq):
		// Its sequence should be 0, and the command is to be repeated as it is. It
		// is no exchange: a PD that is busy for ever goes offline like a silent one.
		p.stats.Busy++
		p.busy, p.due = true, now.Add(busyWait)
		if p.req != nil && p.req.cancelled {
			b.restart(now, p)
		} else if p.stats.Online && now.Sub(p.lastGood) >= b.opt.Offline {
			b.offline(now, p)
		}
	case refusal == NAKSequence && p.seq != 0:
		// Whatever its sequence: libosdp answers with the one that it expected.
		p.stats.NAKs++
		b.restart(now, p)
	case f.Seq == 0 && p.seq != 0 && !repeat:
		b.restart(now, p) // the PD asks for it: OSDP v2.2 §5.9
	case f.Seq != p.seq:
		p.stats.Ignored++
		return nil, false
	case refusal == NAKCheck:
		p.stats.NAKs++
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
		p.stats.NAKs++
		b.miss(now, p)
	default:
		b.accept(now, p, f)
	}
	if f.Reserved != 0 {
		p.stats.Reserved++
	}
	b.cur = nil
	return b.take(), true
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
}

// miss deals with an exchange that came to nothing.
func (b *Bus) miss(now time.Time, p *pd) {
	p.misses++
	switch {
	case p.stats.Online && now.Sub(p.lastGood) >= b.opt.Offline:
		b.offline(now, p)
	case p.req != nil && p.req.cancelled:
		b.restart(now, p) // it is not to be repeated, and may have been done
	case p.stats.Online:
		// The first two repeats go at once, for noise. After that the others on
		// the line need it more; the last try ends when the PD goes offline.
		wait := time.Duration(0)
		if p.misses > 2 {
			wait = min(retryFirst<<min(p.misses-3, 8), retryMost)
		}
		last := p.lastGood.Add(b.opt.Offline - b.opt.ReplyDelay)
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
		p.misses = 0
		p.probes++
		p.begin(now.Add(min(probeFirst<<min(p.probes-1, 8), probeMost)))
		p.checksum = p.noCRC || p.probes%checksumEvery == checksumEvery-1
	}
}

// offline gives p up, and its commands with it.
func (b *Bus) offline(now time.Time, p *pd) {
	queue := p.queue
	p.queue = nil
	p.stats.Online, p.stats.Since = false, now
	p.knowsCRC, p.noCRC, p.checksum, p.noReceive = false, false, false, false // it may be another when it comes back
	p.misses, p.nak1, p.restarts, p.probes, p.lastNAK = 0, 0, 0, 1, NAKNone
	p.begin(now.Add(probeFirst))
	b.emit(now, p, Event{Kind: Offline})
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
	p.misses, p.nak1, p.probes = 0, 0, 0
	reply := ParseReply(f.Code, bytes.Clone(f.Data))
	nak, refused := reply.(NAK)
	if refused {
		p.stats.NAKs++
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
		if id, ok := reply.(PDID); ok {
			p.stats.ID = id
		} else {
			b.emit(now, p, Event{Kind: Malformed, Reply: reply})
		}
		p.step, p.lastNAK = stepCap, NAKNone
	case stepCap:
		p.stats.Caps = nil
		if caps, ok := reply.(PDCAP); ok {
			p.stats.Caps = caps
			if c, ok := caps.Find(CapCheck); ok {
				p.checksum = p.noCRC || c.Compliance == 0
			}
		}
		if p.step = stepReceive; p.noReceive || b.opt.MaxReply <= minReceive {
			b.known(now, p)
		}
	case stepReceive:
		b.known(now, p) // a refusal only means short replies
	case stepDrain:
		b.drain(now, p, reply)
	case live:
		p.restarts = 0
		b.exchange(now, p, reply)
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
	p.refresh = []byte{CodeLSTAT, CodeISTAT, CodeOSTAT, CodeRSTAT}
	kind := Restarted
	if !p.stats.Online {
		kind = Online
		p.stats.Online, p.stats.Since = true, now
		p.polled = now
	}
	b.emit(now, p, Event{Kind: kind, ID: p.stats.ID, Caps: slices.Clone(p.stats.Caps)})
}

// exchange takes the reply of a live PD.
func (b *Bus) exchange(now time.Time, p *pd, reply Reply) {
	nak, refused := reply.(NAK)
	if !refused {
		b.report(now, p, reply)
	}
	r := p.req
	p.req = nil
	switch {
	case r != nil:
		if refused {
			r.errs = append(r.errs, &NAKError{p.addr, p.outCode, nak.Reason})
		}
		r.replies = append(r.replies, reply)
		if com, ok := reply.(COM); ok && p.outCode == CodeCOMSET && com.Addr < Broadcast && b.find(com.Addr) == nil {
			p.addr = com.Addr // its speed is the business of who sent COMSET
			p.begin(now)
		}
		if r.next++; r.next == len(r.cmds) || r.cancelled {
			p.queue = slices.DeleteFunc(p.queue, func(q *request) bool { return q == r })
			if !r.cancelled {
				r.done(r.replies, errors.Join(r.errs...))
			}
		}
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
	case len(p.queue) > 0:
		p.due = now // perhaps it came while a poll was under way
	case r != nil && len(p.refresh) == 0:
		p.due = p.polled.Add(b.opt.Poll)
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
		kind := Other
		switch r.Op {
		case CodeACK, CodeNAK, CodePDID, CodePDCAP, CodeLSTATR, CodeRAW, CodeFMT, CodeKEYPAD, CodeCOM, CodeBUSY:
			kind = Malformed
		}
		b.emit(now, p, Event{Kind: kind, Reply: r})
	}
}
