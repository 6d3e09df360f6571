package osdptest

import (
	"bytes"
	"math"
	"time"

	"latchkey/osdp"
)

const (
	// LateBy is how long a Late reply is held back: longer than a panel waits.
	LateBy = 300 * time.Millisecond
	// DribbleBy is the time from one byte of a Dribble to the next: short enough
	// for a panel to hope for more.
	DribbleBy = 100 * time.Millisecond
	// BabbleBy is the time from one frame of a Babble to the next.
	BabbleBy = 20 * time.Millisecond

	// Forever, as the number of a Lie's replies, is until Honest.
	Forever = math.MaxInt
)

// A Lie is what a PD does wrong with one reply. Those about the secure channel
// wait for a command that they can be told to.
type Lie uint8

const (
	Drop      Lie = iota + 1 // carries the command out; the reply is lost
	Deaf                     // does not hear the command
	Corrupt                  // a bit of the reply is wrong
	Late                     // the reply comes LateBy later
	Repeat                   // the reply comes twice
	Busy                     // says BUSY instead, and does nothing
	Foreign                  // the reply has another PD's address
	WrongSeq                 // the reply has another sequence number
	NotReply                 // the reply bit is not set
	Echo                     // the command comes back before the reply, as from a cheap RS-485 adapter
	Noise                    // noise that looks like the start of a frame comes before the reply
	Trailing                 // the like comes right behind the reply
	Truncate                 // the reply stops in the middle
	Dribble                  // the reply comes a byte every DribbleBy
	Reset                    // the reply has sequence 0 and the PD starts over, as after a brown-out
	Refuse                   // says NAK 4 in the clear, and does nothing
	Babble                   // after the reply come ten more that nobody asked for, one each BabbleBy
	Duplicate                // another PD of the same address answers at the same time

	// In a session.

	WrongMAC       // the reply's MAC is wrong, its CRC right
	ClearInSession // the reply comes in the clear, and the PD knows of no fault
	ForgetSession  // the PD has lost the session, and says NAK 6

	// In a handshake.

	BadCryptogram // CCRYPT does not prove the key
	BadRMAC       // RMAC_I says yes, but its value is wrong
	ZeroKey       // takes sixteen zeros for the key, as PDs do that have none
	ReuseRNDB     // takes the random number of the last handshake again
)

// due is a lie and in how many replies it is still to be told.
type due struct {
	lie  Lie
	left int
}

// Lie makes the PD lie in its next n replies, after those lies that are still due.
func (p *PD) Lie(l Lie, n int) { p.locked(func() { p.due = append(p.due, due{l, n}) }) }

// Honest takes back the lies that are still due.
func (p *PD) Honest() { p.locked(func() { p.due = nil }) }

// Lies is the number of lies that are still due.
func (p *PD) Lies() (n int) {
	p.locked(func() {
		for _, d := range p.due {
			n += min(d.left, Forever-n)
		}
	})
	return n
}

// nextLie is the first lie due that f can be answered with; 0 for the truth.
func (p *PD) nextLie(f osdp.Frame) (l Lie) {
	p.locked(func() {
		for i := range p.due {
			d := &p.due[i]
			if d.left == 0 || !p.engine.suits(d.lie, f) {
				continue
			}
			if d.left != Forever {
				d.left--
			}
			l = d.lie
			return
		}
	})
	return l
}

// suits tells whether l can be told in answer to f.
func (e *engine) suits(l Lie, f osdp.Frame) bool {
	switch l {
	case WrongMAC, ClearInSession, ForgetSession:
		return e.session != nil && sealed(f)
	case BadCryptogram, ZeroKey, ReuseRNDB:
		return f.Code == osdp.CodeCHLNG
	case BadRMAC:
		return f.Code == osdp.CodeSCRYPT
	}
	return true
}

// tell answers f, and lies about it as l says. Some lies are instead of the
// answer, some before it, and the rest spoil it.
func (p *PD) tell(l Lie, now time.Time, f osdp.Frame) []sending {
	e := &p.engine
	switch l {
	case Deaf:
		return nil
	case Busy:
		e.heard = now
		return send(e.busy(f).b)
	case Refuse:
		return send(e.clear(f, osdp.NAK{Reason: osdp.NAKSequence}).b)
	case ForgetSession:
		e.end()
	case Reset:
		if e.session != nil {
			p.restart()
		}
	case ZeroKey, ReuseRNDB:
		defer e.disguise(l)()
	}
	a := e.hear(now, f)
	if p.cfg.OnReply != nil && a.b != nil {
		p.cfg.OnReply(a.code, a.repeat)
	}
	if a.b == nil {
		return nil
	}
	if l == Reset {
		p.restart()
	}
	return p.follow(e.spoil(l, wire(f), a), a)
}

// follow lets what a reply announces happen once it has gone out: another
// speed, or the start of what a file brought.
func (p *PD) follow(out []sending, a answer) []sending {
	if a.repeat {
		return out
	}
	var then func()
	switch r := osdp.ParseReply(a.code, a.data).(type) {
	case osdp.COM:
		then = func() { p.commChanged(r) }
	case osdp.FTSTAT:
		if r.Status == osdp.FTRebooting {
			then = p.Reboot
		}
	}
	switch {
	case then == nil:
	case len(out) == 0: // it was lost
		then()
	default:
		out[len(out)-1].then = then
	}
	return out
}

// commChanged tells of the speed that holds from now on.
func (p *PD) commChanged(com osdp.COM) {
	if p.cfg.OnComm != nil {
		p.cfg.OnComm(com)
	}
}

// restart is Reboot, from inside.
func (p *PD) restart() {
	p.locked(p.power)
	p.begin()
}

// disguise makes the engine take a wrong key or an old number, until what it
// returns is called.
func (e *engine) disguise(l Lie) (undo func()) {
	key, cfg := e.key, e.cfg
	if l == ZeroKey {
		e.key = new(osdp.Key)
	} else {
		lying := *cfg
		lying.Rand = bytes.NewReader(e.rndB[:])
		e.cfg = &lying
	}
	return func() { e.key, e.cfg = key, cfg }
}

// spoil makes of an answer what l says.
func (e *engine) spoil(l Lie, command []byte, a answer) []sending {
	switch l {
	case Drop:
		return nil
	case Late:
		return []sending{{after: LateBy, b: a.b}}
	case Repeat:
		return send(a.b, a.b)
	case Echo:
		return send(command, a.b)
	case Dribble:
		return dribble(a.b)
	case Babble:
		return babble(a.b)
	case Duplicate:
		return send(collide(a.b, twin(a.b)))
	}
	return send(garble(l, a))
}

// garble gives the one frame that l makes of an answer.
func garble(l Lie, a answer) []byte {
	switch l {
	case Corrupt:
		b := bytes.Clone(a.b)
		b[len(b)-1] ^= 0x10
		return b
	case Noise:
		return append([]byte{0x00, osdp.SOM, 0x81, 0x40, 0x00, 0x53}, a.b...)
	case Trailing:
		return append(bytes.Clone(a.b), osdp.SOM, 0x81, 0x40, 0x00, 0x04)
	case Truncate:
		return a.b[:len(a.b)-3]
	}
	f, _, err := osdp.ParseFrame(a.b[1:])
	if err != nil {
		panic(err) // a PD's own reply
	}
	forge(l, &f, a)
	return wire(f)
}

// forge changes the fields of a reply as l says. Its check comes out right.
func forge(l Lie, f *osdp.Frame, a answer) {
	switch l {
	case Foreign:
		f.Addr ^= 1
	case WrongSeq:
		f.Seq = f.Seq%3 + 1
	case NotReply:
		f.Reply = false
	case Reset:
		f.Seq = 0
	case WrongMAC:
		f.MAC[0] ^= 1
	case BadCryptogram, BadRMAC:
		f.Data = bytes.Clone(f.Data)
		if len(f.Data) > 0 {
			f.Data[len(f.Data)-1] ^= 1
		}
	case ClearInSession:
		f.SCBType, f.SCBData, f.Data = 0, nil, a.data
	}
}

// dribble sends b byte by byte.
func dribble(b []byte) (out []sending) {
	for i := range b {
		out = append(out, sending{after: time.Duration(i) * DribbleBy, b: b[i : i+1]})
	}
	return out
}

// babble sends b again and again.
func babble(b []byte) (out []sending) {
	for i := range time.Duration(11) {
		out = append(out, sending{after: i * BabbleBy, b: b})
	}
	return out
}

// twin is the reply b as another PD of the same address gives it: the same
// head, and other bytes from there.
func twin(b []byte) []byte {
	b = bytes.Clone(b)
	for i := 6; i < len(b); i++ {
		b[i] += byte(i)
	}
	return b
}
