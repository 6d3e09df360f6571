package osdp

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
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
	Addr     uint8     // 0 to 126; Broadcast only where it is alone on the line
	Name     string    // for Stats
	Security Security  // RequireSCBK unless said otherwise
	Keys     Keys      // weak ones are refused
	Identity *Identity // who it must be; nil for whoever is there
}

// Options tune a Bus. The zero value is right for a line of readers.
type Options struct {
	// Poll is the time from one poll of a PD to the next: half of it a card
	// waits, and people want a door to take 100 ms at most. When 0 it is 10 ms for
	// each PD, but 20 ms at least and 50 ms at most.
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
	// Session is how long a secure channel lives before it is made anew, 24 h
	// when 0.
	Session time.Duration
	// Rand gives the numbers of handshakes: a CSPRNG, crypto/rand's when nil.
	Rand io.Reader
}

const (
	retryFirst    = 100 * time.Millisecond // before the third try and so on, doubling
	retryMost     = 200 * time.Millisecond
	probeFirst    = 500 * time.Millisecond // from one probe of a dead PD to the next, doubling
	probeMost     = 5 * time.Second
	busyWait      = 100 * time.Millisecond
	deadShare     = 20                     // dead PDs get one part in so many of the bus's time
	deadAhead     = 600 * time.Millisecond // of it they may take before they have saved it
	unheardMost   = 3                      // starts that nobody answered make a PD a dead one
	refuseCRC     = 3                      // NAK 1 in a row, before a PD that never took a CRC is spoken to without
	drainMost     = 256                    // replies that a PD may have kept; more come from somebody who shows cards now
	bringUpTries  = 5                      // met by silence before the start is made anew ...
	bringUpMost   = 20                     // ... and by noise
	restartsMost  = 8                      // in a row, before an online PD counts as offline
	checksumEvery = 3                      // every so many probes one is closed by the checksum
	baudLeast     = 1200                   // speeds of a COM that are taken at their word
	baudMost      = 1 << 20                //
	comsetWait    = 25 * time.Millisecond  // a PD takes to change its address
	comsetTries   = 3                      // at the new address, before it is looked for at the old one, and so on in turn
	overduePolls  = 2                      // poll intervals after which a poll may go before a second door command ...
	overdueLeast  = 100 * time.Millisecond // ... and the least of them
	pollLeast     = 20 * time.Millisecond  // from one poll to the next, by default ...
	pollMost      = 50 * time.Millisecond
	pollShare     = 10 * time.Millisecond // ... for each PD in between
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
		for _, k := range []*Key{p.Keys.Current, p.Keys.Pending} {
			if k == nil {
				continue
			}
			if err := k.Check(); err != nil {
				return fmt.Errorf("osdp: PD %q: %w", p.Name, err)
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
	audible bool      // something came back since, damaged though
	command bool      // the last exchange was a command of Submit
	filed   time.Time // when a fragment of a file was sent last
	deadDue time.Time // when dead PDs have paid for the bus time they took
	lastID  uint64
	wire    []byte // MARK and frame, reused
	zero    [1]byte
	data    [MaxFrame]byte // of a fragment
	events  []Event
}

// The steps of bringing a PD up, OSDP v2.2 §5 and §9. Those between stepCap and
// stepReceive are for a secure channel.
type step uint8

const (
	stepID step = iota
	stepCap
	stepChallenge
	stepServer
	stepIdentity // ID again, where nobody can change the answer
	stepClaims   // CAP again
	stepKeyset   // of an Install
	stepReceive
	stepDrain // of one that was offline: see drain
	live
)

type pd struct {
	cfg      PDConfig
	addr     uint8 // as cfg until a COM says otherwise
	baud     int   // as the line's until then
	away     *away // set from COM until it answers
	step     step
	seq      uint8  // of the command outstanding or next
	answered uint8  // of the one before
	out      []byte // the frame outstanding, to be repeated byte for byte
	outCode  byte
	awaits   bool     // out has no answer yet
	req      *request // whose command is outstanding, nil for our own
	queue    []*request
	refresh  []byte     // commands still to be sent: ACURXSIZE and the questions for states
	file     *fileJob   // nil without one
	parts    *Assembler // of a multi-part message that it sends, nil without one
	partsOf  byte       // its code
	due      time.Time  // when the PD next wants the line
	busy     bool       // due is the wait after BUSY
	polled   time.Time  // last POLL sent
	lastGood time.Time  // last valid exchange
	misses   int        // in a row
	silent   int        // of them, since something was heard
	nak1     int        // in a row
	drained  int        // replies taken in stepDrain
	restarts int        // in a row without a live exchange
	quiet    bool       // the start under way is our own wish: its lights and outputs are as they were
	probes   int        // starts in a row that did not come to their end
	unheard  int        // of them, those that nobody answered; unheardMost before the first
	deadDue  time.Time  // as the Bus's, for what it takes while it can be heard

	secured

	lastReply []byte  // code and data of the reply to the last command of sequence 0
	knowsCRC  bool    // has answered a command closed by a CRC: what it refuses now is noise
	noCRC     bool    // CRC was refused
	noReceive bool    // ACURXSIZE was met with silence
	checksum  bool    // close frames with the checksum
	lastNAK   NAKCode // of the bring-up, told once
	stats     PDStats
}

// An away is a PD that said it would change its address or speed, and what it
// had before.
type away struct {
	addr uint8
	baud int
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
	door      bool // it sets an output
}

// before says whether r is sent before q: doors first, then as they came.
func (r *request) before(q *request) bool {
	if r.door != q.door {
		return r.door
	}
	return r.id < q.id
}

type encoded struct {
	code byte
	data []byte
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
	b.opt.Poll = cmp.Or(b.opt.Poll, min(max(time.Duration(len(pds))*pollShare, pollLeast), pollMost))
	b.opt.ReplyDelay = cmp.Or(b.opt.ReplyDelay, 200*time.Millisecond)
	b.opt.Offline = cmp.Or(b.opt.Offline, 8*time.Second)
	b.opt.Baud = cmp.Or(b.opt.Baud, 9600)
	b.opt.MaxReply = cmp.Or(b.opt.MaxReply, MaxFrame)
	b.opt.Session = cmp.Or(b.opt.Session, 24*time.Hour)
	if b.opt.Rand == nil {
		b.opt.Rand = rand.Reader
	}
	for _, c := range pds {
		b.pds = append(b.pds, &pd{cfg: c, addr: c.Addr, baud: b.opt.Baud, unheard: unheardMost})
	}
	return b
}

// air is how long n bytes take at baud bits per second: 8 data bits, start and
// stop.
func air(n, baud int) time.Duration {
	return time.Duration(n) * 10 * time.Second / time.Duration(baud)
}

// An Exchange is one command that wants an answer.
type Exchange struct {
	Addr  uint8
	Baud  int           // the speed that the PD listens at, in bits per second
	Wire  []byte        // MARK and frame, for one single Write; good until Next is called again
	Reply time.Duration // how long after the Write the answer may begin: the wire's time for Wire included
}

// Submit queues cmds for the PD at addr, before its polls; those with an OUT go
// before all others of the line, also between the commands of one. GENAUTH and CRAUTH
// without a Part are cut into as many commands as they need. done is called once,
// from a later call of the Bus's methods, when every command is answered: the
// replies, and all refusals joined; or when the PD goes offline. A command that
// can not be sent makes an error at once, and done is not called. The id is for
// Cancel.
func (b *Bus) Submit(now time.Time, addr uint8, cmds []Command, done func([]Reply, error)) (id uint64, err error) {
	p := b.find(addr)
	if p == nil {
		return 0, fmt.Errorf("%w: no PD has address %d on this line", ErrOffline, addr)
	}
	for _, c := range cmds {
		switch c.Code() {
		case CodeKEYSET, CodeCHLNG, CodeSCRYPT, CodeFILETRANSFER:
			return 0, fmt.Errorf("%w: PD %d: command 0x%02x is the Bus's own: see SetKey, Install and SendFile", ErrValue, addr, c.Code())
		}
		if err := cmp.Or(check(meant(c)), b.free(p, meant(c))); err != nil {
			return 0, fmt.Errorf("PD %d: %w", addr, err)
		}
	}
	return b.submit(now, p, cmds, done)
}

func (b *Bus) submit(now time.Time, p *pd, cmds []Command, done func([]Reply, error)) (id uint64, err error) {
	if !p.stats.Online {
		return 0, fmt.Errorf("%w: PD %d", ErrOffline, p.addr)
	}
	if len(cmds) == 0 {
		return 0, fmt.Errorf("%w: no command", ErrValue)
	}
	r := &request{done: done}
	for _, c := range cmds {
		parts, err := p.fitting(c)
		if err != nil {
			return 0, err
		}
		for _, part := range parts {
			data, err := part.AppendData(nil)
			if err != nil {
				return 0, fmt.Errorf("PD %d: %s: %w", p.addr, CommandName(c.Code()), err)
			}
			r.cmds = append(r.cmds, encoded{part.Code(), data})
			r.door = r.door || part.Code() == CodeOUT
		}
	}
	b.lastID++
	r.id = b.lastID
	at := slices.IndexFunc(p.queue, r.before)
	if at < 0 {
		at = len(p.queue)
	}
	p.queue = slices.Insert(p.queue, at, r)
	if !p.busy {
		p.due = earlier(p.due, now) // a door waits neither for the next poll nor for the next try
	}
	return r.id, nil
}

// length is how long a command with data is on p's line.
func (p *pd) length(data []byte) int {
	if p.secureOnly() {
		return SealedLen(len(data))
	}
	return Frame{Data: data}.Len()
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
		all[i].Clear = !p.secureOnly()
		all[i].Secure = p.channel != nil && p.under != slotDefault && p.step >= stepReceive
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
	for _, p := range b.pds {
		if p.install != nil && !now.Before(p.install.until) {
			b.endInstall(now, p)
		}
	}
	p := b.choose(now)
	if p == nil {
		wait = time.Minute
		for _, p := range b.pds {
			wait = min(wait, max(b.due(p).Sub(now), 0))
			if p.install != nil {
				wait = min(wait, p.install.until.Sub(now))
			}
		}
		return Exchange{}, wait
	}
	if p.awaits {
		p.stats.Retries++
	} else {
		b.build(now, p)
	}
	if p.outCode == CodeKEYSET {
		p.keySent()
	}
	b.cur, b.sentAt, b.audible, b.command = p, now, false, p.req != nil
	p.busy = false
	if p.outCode == CodeFILETRANSFER {
		b.filed = now
	}
	b.wire = append(append(b.wire[:0], Mark), p.out...)
	return Exchange{p.addr, p.baud, b.wire, b.opt.ReplyDelay + air(len(b.wire), p.baud)}, 0
}

// account is from what p pays for its silences: its own while it can be heard
// now and then, and else the one that all dead PDs share.
func (b *Bus) account(p *pd) *time.Time {
	if p.unheard < unheardMost {
		return &p.deadDue
	}
	return &b.deadDue
}

// due is when p may have the line: when it wants it, but dead PDs may take only
// one part in deadShare of the time while others live, and deadAhead at once.
func (b *Bus) due(p *pd) time.Time {
	paid := b.account(p).Add(-deadShare * deadAhead)
	if !p.stats.Online && p.step == stepID && p.probes+p.misses > 0 && paid.After(p.due) && slices.ContainsFunc(b.pds, func(p *pd) bool { return p.stats.Online }) {
		return paid
	}
	file, ok := p.fileDue()
	switch {
	case ok && p.held() && len(p.queue) == 0 && (!p.file.s.WantsPoll() || p.file.s.InClear()):
		return file
	case ok:
		return earlier(p.due, file)
	}
	return p.due
}

// overdue reports whether p has waited for its poll for too long.
func (b *Bus) overdue(now time.Time, p *pd) bool {
	return now.Sub(p.polled) >= max(overduePolls*b.opt.Poll, overdueLeast)
}

// choose picks the PD whose turn it is, nil for none: doors first, then commands
// in the order of Submit, then who waits longest. After a command, a PD whose poll is
// overdue goes first, so that no flow of commands makes the others deaf; and after
// a fragment of a file, who is owed a poll.
func (b *Bus) choose(now time.Time) *pd {
	var command, overdue, owed, first *pd
	for _, p := range b.pds {
		due := b.due(p)
		if due.After(now) {
			continue
		}
		if p.step == live && len(p.queue) > 0 && (!p.awaits || p.req != nil) {
			if command == nil || p.queue[0].before(command.queue[0]) {
				command = p
			}
			continue
		}
		if p.stats.Online && !p.held() && b.overdue(now, p) && (overdue == nil || p.polled.Before(overdue.polled)) {
			overdue = p
		}
		if b.owed(now, p) && (owed == nil || p.due.Before(owed.due)) {
			owed = p
		}
		if first == nil || due.Before(b.due(first)) {
			first = p
		}
	}
	switch {
	case command == nil && owed != nil:
		return owed
	case command == nil:
		return first
	}
	if b.command && overdue != nil {
		return overdue
	}
	return command
}

// maxReply is the data of ACURXSIZE.
func (b *Bus) maxReply() []byte { return []byte{byte(b.opt.MaxReply), byte(b.opt.MaxReply >> 8)} }

// build makes the next frame of p.
func (b *Bus) build(now time.Time, p *pd) {
	if p.step == live && p.channel != nil && p.file == nil && len(p.queue) == 0 && now.Sub(p.since) >= b.opt.Session {
		p.quiet = true
		b.rehandshake(now, p)
	}
	fragment, isFile := b.fileTurn(now, p)
	f := Frame{Addr: p.addr, Seq: p.seq, Checksum: p.checksum}
	p.req = nil
	switch {
	case p.step == stepID, p.step == stepIdentity:
		f.Code, f.Data = CodeID, b.zero[:]
	case p.step == stepCap, p.step == stepClaims:
		f.Code, f.Data = CodeCAP, b.zero[:]
	case p.step == stepChallenge:
		f.Checksum = false
		p.shake.Challenge(&f)
	case p.step == stepServer:
		f.Checksum = false
		p.shake.Server(&f)
	case p.step == stepKeyset:
		k := p.install.key
		f.Code = CodeKEYSET
		f.Data, _ = keyset(k).AppendData(nil)
	case p.step == stepReceive:
		f.Code, f.Data = CodeACURXSIZE, b.maxReply()
	case p.step == stepDrain:
		f.Code = CodePOLL
	case len(p.queue) > 0:
		p.req = p.queue[0]
		f.Code, f.Data = p.req.cmds[p.req.next].code, p.req.cmds[p.req.next].data
	case len(p.refresh) > 0 && (p.outCode == CodePOLL || !b.overdue(now, p)):
		// Where the line is so full that every poll is overdue, they take turns.
		if f.Code = p.refresh[0]; f.Code == CodeACURXSIZE {
			f.Data = b.maxReply()
		}
	case isFile:
		f.Code = CodeFILETRANSFER
		f.Data, _ = fragment.AppendData(b.data[:0]) // a fragment is shorter than a frame
	default:
		f.Code = CodePOLL
		if p.file != nil {
			p.file.s.Polled()
		}
		p.stats.WorstPollGap = max(p.stats.WorstPollGap, now.Sub(p.polled))
		p.polled = now
		p.stats.Polls++
	}
	p.outCode, p.awaits = f.Code, true
	// Submit has held the length against what the PD takes, so these cannot fail.
	if p.channel != nil {
		p.out, _ = p.channel.Seal(p.out[:0], &f)
		return
	}
	p.out, _ = f.AppendBinary(p.out[:0])
}
