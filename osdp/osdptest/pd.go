// Package osdptest is a simulated OSDP reader, for tests and for a building
// that stands on no wall. It answers as the standard wants, checks the panel's
// sequence and values strictly, and lies when it is told to.
package osdptest

import (
	"bytes"
	"slices"
	"sync"
	"time"

	"latchkey/osdp"
	"latchkey/wiegand"
)

const (
	// staleAfter is how long a card or a key waits to be fetched. A door that
	// opens long after the card was shown opens for somebody else.
	staleAfter = 5 * time.Second
	// lostAfter without a valid command is a lost panel: what was read before is
	// dropped (OSDP v2.2 §5.7, §7.11).
	lostAfter = 8 * time.Second
	// queueMost is the number of replies that wait for a poll; the oldest goes.
	queueMost = 32
	// LateBy is how long a Late reply is held back: longer than a panel waits.
	LateBy = 300 * time.Millisecond
	// DribbleBy is the time from one byte of a Dribble to the next: short enough
	// for a panel to hope for more.
	DribbleBy = 100 * time.Millisecond
)

// A Config describes a simulated PD. The functions may be nil; they are called
// without a lock, on the goroutine of Serve or of a timer, and before the reply
// goes out.
type Config struct {
	Addr    uint8      // 0 to 126
	ID      osdp.PDID  // what it says it is
	Caps    osdp.PDCAP // nil: worked out from what follows
	Readers int        // reader heads, 1 when 0
	Inputs  int
	Outputs int

	CardFormat    osdp.CardFormat // how it calls the bits of its cards
	OutputReply   bool            // answers OUT with OSTATR, as some do, instead of ACK
	ChecksumOnly  bool            // knows no CRC: answers it with NAK 1
	QuietBadCheck bool            // stays silent when a check is wrong, as libosdp does, instead of NAK 1

	OnCommand func(c osdp.Command)         // each command carried out; repeats are not
	OnOutput  func(output int, on bool)    // each change of an output
	OnLED     func(l osdp.LEDControl)      // each record of LED
	OnBuzzer  func(b osdp.BUZ)             // each BUZ
	OnText    func(t osdp.TEXT)            // each TEXT
	OnReply   func(code byte, repeat bool) // each reply, before any Lie is applied to it
}

// A Lie is what a PD does wrong with one reply.
type Lie uint8

const (
	Drop     Lie = iota + 1 // carries the command out; the reply is lost
	Deaf                    // does not hear the command
	Corrupt                 // a bit of the reply is wrong
	Late                    // the reply comes LateBy later
	Repeat                  // the reply comes twice
	Busy                    // says BUSY instead, and does nothing
	Foreign                 // the reply has another PD's address
	WrongSeq                // the reply has another sequence number
	NotReply                // the reply bit is not set
	Echo                    // the command comes back before the reply, as from a cheap RS-485 adapter
	Noise                   // noise that looks like the start of a frame comes before the reply
	Trailing                // the like comes right behind the reply
	Truncate                // the reply stops in the middle
	Dribble                 // the reply comes a byte every DribbleBy
	Reset                   // the reply has sequence 0 and the PD starts over, as after a brown-out
	Refuse                  // says NAK 4, and does nothing
)

// A PD is a simulated reader. Its methods may be called from anywhere.
type PD struct {
	cfg Config

	mu        sync.Mutex
	addr      uint8
	started   bool  // has had a command of sequence 0
	seq       uint8 // of the last command carried out
	command   []byte
	reply     []byte // to command, for when it is repeated
	lastHeard time.Time
	muted     bool
	lies      []Lie
	queue     []waiting
	inputs    []osdp.InputState
	outputs   []output
	readers   []osdp.ReaderState
	tamper    bool
	powerFail bool
	leds      map[[2]uint8]led
	calls     []func() // to be made once mu is free
}

// waiting is a reply that waits for a POLL. States are made when they are
// fetched: only their code waits.
type waiting struct {
	code  byte
	reply osdp.Reply // RAW, KEYPAD; nil for states
	since time.Time
}

type output struct {
	on      bool        // the permanent state
	timer   *time.Timer // runs while a temporary state holds
	timerOn bool        // the temporary state
	turn    uint64      // tells a timer that it was overtaken
}

func (o *output) now() bool {
	if o.timer != nil {
		return o.timerOn
	}
	return o.on
}

type led struct {
	permanent, temporary osdp.Color
	until                time.Time
}

// NewPD returns a PD that is switched on and waits for its panel.
func NewPD(c Config) *PD {
	c.Readers = max(c.Readers, 1)
	if c.Caps == nil {
		crc := uint8(1)
		if c.ChecksumOnly {
			crc = 0
		}
		c.Caps = osdp.PDCAP{
			{Function: osdp.CapInputs, Compliance: 1, Number: uint8(c.Inputs)},
			{Function: osdp.CapOutputs, Compliance: 4, Number: uint8(c.Outputs)},
			{Function: osdp.CapCardFormat, Compliance: 1},
			{Function: osdp.CapLED, Compliance: 4, Number: 1},
			{Function: osdp.CapBuzzer, Compliance: 2, Number: 1},
			{Function: osdp.CapCheck, Compliance: crc},
			{Function: osdp.CapReceive, Compliance: osdp.MaxFrame & 0xff, Number: osdp.MaxFrame >> 8},
			{Function: osdp.CapReaders, Number: uint8(c.Readers)},
			{Function: osdp.CapVersion, Compliance: 2},
		}
	}
	p := &PD{cfg: c, addr: c.Addr}
	p.power()
	return p
}

// power sets everything as it is after power-up. The wiring outside stays as it is.
func (p *PD) power() {
	if p.inputs == nil {
		p.inputs = make([]osdp.InputState, p.cfg.Inputs)
		p.readers = make([]osdp.ReaderState, p.cfg.Readers)
		p.outputs = make([]output, p.cfg.Outputs)
	}
	for i := range p.outputs {
		p.drive(i, func(o *output) { p.stop(o); o.on = false })
	}
	p.started, p.seq, p.command, p.reply, p.queue = false, 0, nil, nil, nil
	p.leds = map[[2]uint8]led{}
	p.addr = p.cfg.Addr
}

// locked runs f under the lock, and what f wants called after it.
func (p *PD) locked(f func()) {
	p.mu.Lock()
	f()
	calls := p.calls
	p.calls = nil
	p.mu.Unlock()
	for _, call := range calls {
		call()
	}
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

// Mute makes the PD silent and deaf, as if its cable were cut, or undoes it.
// Cards can still be shown to it.
func (p *PD) Mute(on bool) { p.locked(func() { p.muted = on }) }

// Lie makes the PD lie in its next n replies, after those lies that are still due.
func (p *PD) Lie(l Lie, n int) {
	p.locked(func() { p.lies = append(p.lies, slices.Repeat([]Lie{l}, n)...) })
}

// Lies is the number of lies that are still due.
func (p *PD) Lies() (n int) { p.locked(func() { n = len(p.lies) }); return n }

// Reboot takes the PD's power away for a moment: sequence, queue, outputs and
// lights are as at the start.
func (p *PD) Reboot() { p.locked(p.power) }

// Output tells whether output n, from 0, is on.
func (p *PD) Output(n int) (on bool) { p.locked(func() { on = p.outputs[n].now() }); return on }

// LED tells the colour that a LED shows (while it is lit, if it blinks).
func (p *PD) LED(reader, n uint8) (c osdp.Color) {
	p.locked(func() {
		l := p.leds[[2]uint8{reader, n}]
		if c = l.permanent; time.Now().Before(l.until) {
			c = l.temporary
		}
	})
	return c
}

func (p *PD) enqueue(w waiting) {
	p.queue = append(p.queue, w)
	if len(p.queue) > queueMost {
		p.queue = slices.Delete(p.queue, 0, 1)
	}
}

// changed makes the PD report a state with one of the next polls, once.
func (p *PD) changed(code byte) {
	if !slices.ContainsFunc(p.queue, func(w waiting) bool { return w.code == code && w.reply == nil }) {
		p.enqueue(waiting{code: code})
	}
}

// poll is the answer to POLL: the oldest thing that is still worth telling.
func (p *PD) poll(now time.Time) osdp.Reply {
	for len(p.queue) > 0 {
		w := p.queue[0]
		p.queue = slices.Delete(p.queue, 0, 1)
		switch {
		case w.reply == nil:
			return p.state(w.code)
		case w.since.IsZero() || now.Sub(w.since) <= staleAfter:
			return w.reply
		}
	}
	return osdp.ACK{}
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

// A sending is what goes onto the line in answer to one frame.
type sending struct {
	after time.Duration
	b     []byte
}

// hear takes a frame from the line (whose check is wrong if damaged) and gives
// what the PD sends.
func (p *PD) hear(f osdp.Frame, damaged bool) (out []sending) {
	p.locked(func() {
		now := time.Now()
		if p.muted || f.Reply || f.Addr != p.addr && f.Addr != osdp.Broadcast {
			return
		}
		addr := f.Addr // a broadcast is answered as such
		reply := func(seq uint8, r osdp.Reply) []byte {
			data, err := r.AppendData(nil)
			if err != nil {
				panic(err) // a test queued what no wire can hold
			}
			return wire(osdp.Frame{Addr: addr, Reply: true, Seq: seq, Checksum: f.Checksum, Code: r.Code(), Data: data})
		}
		if damaged {
			if !p.cfg.QuietBadCheck {
				out = []sending{{b: reply(f.Seq, osdp.NAK{Reason: osdp.NAKCheck})}}
			}
			return
		}
		if p.cfg.ChecksumOnly && !f.Checksum {
			f.Checksum = true
			out = []sending{{b: reply(f.Seq, osdp.NAK{Reason: osdp.NAKCheck})}}
			return
		}
		if !p.lastHeard.IsZero() && now.Sub(p.lastHeard) > lostAfter {
			p.queue = slices.DeleteFunc(p.queue, func(w waiting) bool { return !w.since.IsZero() })
		}
		p.lastHeard = now
		lie := Lie(0)
		if len(p.lies) > 0 {
			lie, p.lies = p.lies[0], p.lies[1:]
		}
		command := wire(f)
		again := f.Seq != 0 && p.started && f.Seq == p.seq && bytes.Equal(command, p.command)
		var answer []byte
		switch {
		case lie == Deaf:
			return
		case lie == Busy:
			out = []sending{{b: reply(0, osdp.BUSY{})}} // always sequence 0, never kept
			return
		case lie == Refuse:
			out = []sending{{b: reply(f.Seq, osdp.NAK{Reason: osdp.NAKSequence})}}
			return
		case again:
			answer = p.reply
		case f.Seq != 0 && (!p.started || f.Seq != p.seq%3+1):
			answer = reply(f.Seq, osdp.NAK{Reason: osdp.NAKSequence})
		default:
			p.started, p.seq, p.command = true, f.Seq, command
			answer = reply(f.Seq, p.execute(now, f))
			p.reply = answer
		}
		if p.cfg.OnReply != nil {
			code := answer[6]
			p.calls = append(p.calls, func() { p.cfg.OnReply(code, again) })
		}
		out = p.lie(lie, command, answer)
	})
	return out
}

// wire is f with the MARK byte before it.
func wire(f osdp.Frame) []byte {
	b, err := f.AppendBinary([]byte{osdp.Mark})
	if err != nil {
		panic(err) // a test queued what no wire can hold
	}
	return b
}

// lie spoils answer as l says.
func (p *PD) lie(l Lie, command, answer []byte) []sending {
	change := func(f func(*osdp.Frame)) []sending {
		fr, _, err := osdp.ParseFrame(answer[1:])
		if err != nil {
			panic(err)
		}
		f(&fr)
		return []sending{{b: wire(fr)}}
	}
	switch l {
	case Drop:
		return nil
	case Corrupt:
		b := bytes.Clone(answer)
		b[len(b)-1] ^= 0x10
		return []sending{{b: b}}
	case Late:
		return []sending{{LateBy, answer}}
	case Repeat:
		return []sending{{b: answer}, {b: answer}}
	case Foreign:
		return change(func(f *osdp.Frame) { f.Addr ^= 1 })
	case WrongSeq:
		return change(func(f *osdp.Frame) { f.Seq = f.Seq%3 + 1 })
	case NotReply:
		return change(func(f *osdp.Frame) { f.Reply = false })
	case Echo:
		return []sending{{b: command}, {b: answer}}
	case Noise:
		return []sending{{b: append([]byte{0x00, osdp.SOM, 0x81, 0x40, 0x00, 0x53}, answer...)}}
	case Trailing:
		return []sending{{b: append(bytes.Clone(answer), osdp.SOM, 0x81, 0x40, 0x00, 0x04)}}
	case Truncate:
		return []sending{{b: answer[:len(answer)-3]}}
	case Dribble:
		var out []sending
		for i := range answer {
			out = append(out, sending{time.Duration(i) * DribbleBy, answer[i : i+1]})
		}
		return out
	case Reset:
		p.power()
		return change(func(f *osdp.Frame) { f.Seq = 0 })
	}
	return []sending{{b: answer}}
}

// execute does what a command says and gives the answer.
func (p *PD) execute(now time.Time, f osdp.Frame) osdp.Reply {
	if f.SCBType != 0 {
		return osdp.NAK{Reason: osdp.NAKBlock}
	}
	c := osdp.ParseCommand(f.Code, bytes.Clone(f.Data))
	r := p.answer(now, c)
	if _, refused := r.(osdp.NAK); !refused && p.cfg.OnCommand != nil {
		p.calls = append(p.calls, func() { p.cfg.OnCommand(c) })
	}
	return r
}

func (p *PD) answer(now time.Time, c osdp.Command) osdp.Reply {
	switch c := c.(type) {
	case osdp.POLL:
		return p.poll(now)
	case osdp.ID:
		return p.cfg.ID
	case osdp.CAP:
		return p.cfg.Caps
	case osdp.LSTAT:
		return p.state(osdp.CodeLSTATR)
	case osdp.ISTAT:
		return p.state(osdp.CodeISTATR)
	case osdp.OSTAT:
		return p.state(osdp.CodeOSTATR)
	case osdp.RSTAT:
		return p.state(osdp.CodeRSTATR)
	case osdp.OUT:
		return p.out(c)
	case osdp.LED:
		return p.led(now, c)
	case osdp.BUZ:
		if int(c.Reader) >= p.cfg.Readers || c.Tone > osdp.ToneDefault {
			return osdp.NAK{Reason: osdp.NAKRecord}
		}
		if p.cfg.OnBuzzer != nil {
			p.calls = append(p.calls, func() { p.cfg.OnBuzzer(c) })
		}
	case osdp.TEXT:
		if int(c.Reader) >= p.cfg.Readers || c.Mode < osdp.TextPermanent || c.Mode > osdp.TextForWrap || c.Row == 0 || c.Col == 0 {
			return osdp.NAK{Reason: osdp.NAKRecord}
		}
		if p.cfg.OnText != nil {
			p.calls = append(p.calls, func() { p.cfg.OnText(c) })
		}
	case osdp.COMSET:
		if c.Addr >= osdp.Broadcast {
			return osdp.NAK{Reason: osdp.NAKRecord}
		}
		p.addr = c.Addr // this answer still goes out under the old one
		return osdp.COM(c)
	case osdp.KEEPACTIVE, osdp.ACURXSIZE, osdp.ABORT:
	case osdp.RawCommand:
		if known(c.Op) {
			return osdp.NAK{Reason: osdp.NAKLength}
		}
		return osdp.NAK{Reason: osdp.NAKUnknown}
	}
	return osdp.ACK{}
}

// known says whether a code is one that answer knows, so that only its length
// can be wrong.
func known(code byte) bool {
	switch code {
	case osdp.CodePOLL, osdp.CodeID, osdp.CodeCAP, osdp.CodeLSTAT, osdp.CodeISTAT, osdp.CodeOSTAT, osdp.CodeRSTAT, osdp.CodeOUT,
		osdp.CodeLED, osdp.CodeBUZ, osdp.CodeTEXT, osdp.CodeCOMSET, osdp.CodeKEEPACTIVE, osdp.CodeACURXSIZE, osdp.CodeABORT:
		return true
	}
	return false
}

// out carries out OUT: all of its records or none.
func (p *PD) out(c osdp.OUT) osdp.Reply {
	for _, o := range c {
		if int(o.Output) >= len(p.outputs) || o.Action > osdp.OutputOffFor {
			return osdp.NAK{Reason: osdp.NAKRecord}
		}
	}
	for _, o := range c {
		p.drive(int(o.Output), func(out *output) {
			switch o.Action {
			case osdp.OutputOff, osdp.OutputOn:
				p.stop(out)
				out.on = o.Action == osdp.OutputOn
			case osdp.OutputOffAfter, osdp.OutputOnAfter:
				out.on = o.Action == osdp.OutputOnAfter
			case osdp.OutputOnFor, osdp.OutputOffFor:
				p.stop(out)
				if o.Timer > 0 {
					p.start(out, int(o.Output), o.Action == osdp.OutputOnFor, o.Timer)
				}
			}
		})
	}
	if p.cfg.OutputReply {
		p.queue = slices.DeleteFunc(p.queue, func(w waiting) bool { return w.code == osdp.CodeOSTATR && w.reply == nil })
		return p.state(osdp.CodeOSTATR)
	}
	return osdp.ACK{}
}

// drive changes output n and tells whoever wants to know if its state is new.
func (p *PD) drive(n int, change func(*output)) {
	o := &p.outputs[n]
	was := o.now()
	change(o)
	if on := o.now(); on != was {
		p.changed(osdp.CodeOSTATR)
		if p.cfg.OnOutput != nil {
			p.calls = append(p.calls, func() { p.cfg.OnOutput(n, on) })
		}
	}
}

func (p *PD) stop(o *output) {
	if o.timer != nil {
		o.timer.Stop()
		o.timer = nil
	}
	o.turn++
}

func (p *PD) start(o *output, n int, on bool, d time.Duration) {
	turn := o.turn
	o.timerOn = on
	o.timer = time.AfterFunc(d, func() {
		p.locked(func() {
			if p.outputs[n].turn == turn {
				p.drive(n, p.stop)
			}
		})
	})
}

// led carries out LED. A block that would shine neither on nor off is refused,
// as libosdp's PD does.
func (p *PD) led(now time.Time, c osdp.LED) osdp.Reply {
	for _, l := range c {
		bad := func(k osdp.Blink, set, most uint8) bool {
			return k.Code > most || k.Code == set && k.On == 0 && k.Off == 0 || k.OnColor > osdp.White || k.OffColor > osdp.White
		}
		if int(l.Reader) >= p.cfg.Readers || bad(l.Temporary, osdp.LEDSet, osdp.LEDSet) || bad(l.Permanent, osdp.LEDPerm, osdp.LEDPerm) {
			return osdp.NAK{Reason: osdp.NAKRecord}
		}
	}
	for _, l := range c {
		state := p.leds[[2]uint8{l.Reader, l.LED}]
		switch l.Temporary.Code {
		case osdp.LEDCancel:
			state.until = time.Time{}
		case osdp.LEDSet:
			state.temporary, state.until = shown(l.Temporary), now.Add(l.Timer)
		}
		if l.Permanent.Code == osdp.LEDPerm {
			state.permanent = shown(l.Permanent)
		}
		p.leds[[2]uint8{l.Reader, l.LED}] = state
		if p.cfg.OnLED != nil {
			p.calls = append(p.calls, func() { p.cfg.OnLED(l) })
		}
	}
	return osdp.ACK{}
}

// shown is the colour of a LED while it is lit.
func shown(k osdp.Blink) osdp.Color {
	if k.On == 0 {
		return k.OffColor
	}
	return k.OnColor
}
