package osdptest

import (
	"bytes"
	"time"

	"latchkey/osdp"
)

// lostAfter without a valid command is a lost panel: its session ends, and
// what was read before is dropped (OSDP v2.2 §5.7, §7.11).
const lostAfter = 8 * time.Second

// assumed is the longest frame, in bytes, that a panel takes until it tells
// otherwise with ACURXSIZE.
const assumed = 128

// An engine is the protocol of a PD: whose frame it is, whether it was here
// before, whether its turn and its security are right, and what goes back. It
// has no clock, no line and no goroutine; one goroutine at a time uses it.
type engine struct {
	cfg *Config
	// do carries a command out and gives its answer.
	do func(now time.Time, c osdp.Command) osdp.Reply
	// lost is called when a panel comes back that was silent for too long.
	lost func()

	addr    uint8
	takes   int       // longest frame that the PD takes, in bytes
	most    int       // longest frame that the panel takes, in bytes
	started bool      // has had a command of sequence 0, or said that it has no session
	seq     uint8     // of the last command taken
	command []byte    // the last command taken, as it came; nil to know none
	reply   answer    // to command, for when it is repeated
	heard   time.Time // when the last command came that was taken or repeated
	stats   Stats

	channel
}

// Stats counts what a PD met since it was made.
type Stats struct {
	Commands  uint64 // carried out or refused, repeats not counted
	Repeats   uint64 // commands that came again and got the same reply
	BadChecks uint64 // frames whose CRC or checksum was wrong
	WrongMACs uint64 // frames of a session that were not the next of it
	Clear     uint64 // commands in the clear that ended a session
	Reserved  uint64 // frames with control bits that the standard reserves; they count as 0
}

// An answer is what a PD says to one frame; no bytes is silence.
type answer struct {
	b      []byte // from MARK to check
	code   byte   // of the reply
	data   []byte // of the reply, as it was before a session hid it
	repeat bool   // to a command that was carried out before
}

// mine tells whether f is a command for this PD.
func (e *engine) mine(f osdp.Frame) bool {
	return !f.Reply && (f.Addr == e.addr || f.Addr == osdp.Broadcast)
}

// usable answers a frame for this PD whose check is wrong, or of a kind that it
// does not know; ok says that there is nothing to answer.
func (e *engine) usable(f osdp.Frame, damaged bool) (a answer, ok bool) {
	switch {
	case damaged:
		e.stats.BadChecks++
		// To a broadcast all PDs would say it at once.
		if e.cfg.QuietBadCheck || f.Addr == osdp.Broadcast {
			return answer{}, false
		}
	case e.cfg.ChecksumOnly && !f.Checksum:
		f.Checksum = true
	case f.Len() > e.takes:
		return answer{}, false // it ran over the PD's buffer
	case e.session != nil && f.Checksum && (f.Seq != 0 || f.SCBType != 0):
		// A channel uses the CRC. It is noise that took the CRC bit away and then
		// looked whole, as one frame in 256 does; only a start may come so.
		e.stats.BadChecks++
		return answer{}, false
	default:
		return answer{}, true
	}
	return e.clear(f, osdp.NAK{Reason: osdp.NAKCheck}), false
}

// hear takes a usable frame for this PD, after wake. What is an exact repeat is
// found before anything else is looked at: the channel has moved on with the
// reply that was lost, so the MAC of a repeat is never right.
func (e *engine) hear(now time.Time, f osdp.Frame) answer {
	if f.Reserved != 0 {
		e.stats.Reserved++
	}
	if f.Seq == 0 {
		e.command = nil
		e.end()
	}
	command := wire(f)
	if bytes.Equal(command, e.command) {
		e.stats.Repeats++
		e.heard = now
		a := e.reply
		a.repeat = true
		return a
	}
	a, taken := e.judge(now, f)
	if taken {
		e.stats.Commands++
		e.started, e.seq, e.heard = true, f.Seq, now
		e.command, e.reply = command, a
	}
	return a
}

// wake ends what does not outlive the silence before now.
func (e *engine) wake(now time.Time) {
	if e.heard.IsZero() || now.Sub(e.heard) <= lostAfter {
		return
	}
	e.end()
	e.command, e.heard = nil, time.Time{}
	e.lost()
}

// restart is what a loss of power leaves of the protocol: nothing.
func (e *engine) restart() {
	e.end()
	e.started, e.command = false, nil
	e.most = assumed
}

// judge gives the answer to a frame that is no repeat, and whether it counts as
// the command of its sequence number.
func (e *engine) judge(now time.Time, f osdp.Frame) (a answer, taken bool) {
	switch {
	case e.session != nil:
		return e.inSession(now, f)
	case sealed(f) && (!e.started || !e.jumps(f)):
		return e.clear(f, osdp.NAK{Reason: osdp.NAKSecurity}), true // "I have no session"
	case e.jumps(f):
		return e.clear(f, osdp.NAK{Reason: osdp.NAKSequence}), false
	case f.SCBType != 0 || f.Code == osdp.CodeCHLNG || f.Code == osdp.CodeSCRYPT:
		return e.shake(f), true
	}
	r := e.inClear(now, f)
	if r.Code() == osdp.CodeBUSY {
		return e.busy(f), false
	}
	return e.clear(f, r), true
}

// busy tells the panel to come again with the same bytes: always in the clear
// and with sequence 0, and the channel stays where it is (OSDP v2.2 §7.19).
func (e *engine) busy(f osdp.Frame) answer {
	f.Seq = 0
	return e.clear(f, osdp.BUSY{})
}

// jumps tells whether f has not the sequence number whose turn it is.
func (e *engine) jumps(f osdp.Frame) bool {
	return f.Seq != 0 && (!e.started || f.Seq != e.seq%3+1)
}

// inClear carries out a command that came without a session, where that is
// allowed.
func (e *engine) inClear(now time.Time, f osdp.Frame) osdp.Reply {
	if f.Code == osdp.CodeKEYSET || e.strict && !openToAll(f.Code) {
		return osdp.NAK{Reason: osdp.NAKSecurity}
	}
	return e.carryOut(now, f.Code, f.Data)
}

// carryOut does what a command says. A new address holds from the reply on,
// which itself goes to the old one: it takes that from the command's frame.
func (e *engine) carryOut(now time.Time, code byte, data []byte) osdp.Reply {
	e.heard = now
	c := osdp.ParseCommand(code, bytes.Clone(data))
	r := e.do(now, c)
	switch c := c.(type) {
	case osdp.ACURXSIZE:
		if r.Code() == osdp.CodeACK {
			e.most = min(int(c.Size), osdp.MaxFrame)
		}
	case osdp.FILETRANSFER:
		status, ok := r.(osdp.FTSTAT)
		e.left = ok && e.session != nil && status.Action&osdp.FTLeaveSC != 0 && (status.Status == osdp.FTOK || status.Status == osdp.FTFinishing)
	case osdp.COMSET:
		if com, ok := r.(osdp.COM); ok {
			e.addr = com.Addr
		}
	}
	return r
}

// room is how many bytes of data a reply to the panel can have now.
func (e *engine) room() int {
	if e.session == nil {
		return e.most - osdp.Frame{}.Len()
	}
	n := e.most - osdp.SealedLen(0)
	return n/16*16 - 1 // encrypted data fills blocks, and one byte of them at least is padding
}

// openToAll says which commands need no session even where one is required. A
// panel needs them to find a PD and to make its address its own. POLL is not
// among them: its answer may be a card.
func openToAll(code byte) bool {
	return code == osdp.CodeID || code == osdp.CodeCAP || code == osdp.CodeCOMSET
}

// clear is reply r to f as bytes in the clear, with the check that f has.
func (e *engine) clear(f osdp.Frame, r osdp.Reply) answer {
	r, data := e.fitting(r)
	b := wire(osdp.Frame{Addr: f.Addr, Reply: true, Seq: f.Seq, Checksum: f.Checksum, Code: r.Code(), Data: data})
	return answer{b: b, code: r.Code(), data: data}
}

// fitting is r and its data. A reply that no wire can hold, or that is longer
// than the panel takes, becomes a refusal.
func (e *engine) fitting(r osdp.Reply) (osdp.Reply, []byte) {
	data, err := r.AppendData(nil)
	if err != nil || len(data) > e.room() {
		return osdp.NAK{Reason: osdp.NAKRecord}, []byte{byte(osdp.NAKRecord)}
	}
	return r, data
}

// wire is f with the MARK byte before it.
func wire(f osdp.Frame) []byte {
	b, err := f.AppendBinary([]byte{osdp.Mark})
	if err != nil {
		panic(err) // not of bytes that came from a line, nor of a reply that fits
	}
	return b
}
