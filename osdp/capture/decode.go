package capture

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"latchkey/osdp"
)

// A Message is a frame of a trace and what it means, or bytes in no frame. It
// prints without data.
type Message struct {
	Time     time.Time // of the record that it began in
	Line     string
	FromACU  bool
	Redacted bool   // see Record
	Wire     []byte // from SOM to check; of NoFrame the bytes
	Verdict  Verdict

	// Frame is as ParseFrame gave it; of NoFrame the zero Frame.
	Frame osdp.Frame
	// Repeat says that these bytes came just before: the other end has missed
	// them, or its answer was missed. The secure channel does not move then.
	Repeat bool
	// Open says that Data is in the clear. Of other messages Data, Command and
	// Reply are nil.
	Open    bool
	Data    []byte       // after the code, decrypted
	Command osdp.Command // of the panel
	Reply   osdp.Reply   // of a PD
	// Weak says that the secure channel protects nothing: its key is SCBK-D, or
	// one of those that osdp.Key.Check refuses.
	Weak bool
	Note string // what else is odd
}

// Addr is the PD's address, that of the Frame.
func (m Message) Addr() uint8 { return m.Frame.Addr }

// A Decoder follows all lines and PDs of a trace. One goroutine owns it.
type Decoder struct {
	// Keys are the SCBKs of PDs by address; those at osdp.Broadcast are tried
	// for every PD. SCBK-D is tried always, and so is a key that a KEYSET in the
	// trace has given to the PD.
	Keys map[uint8][]osdp.Key

	whole assembler
	pds   map[place]*pd
}

// A pd is where a PD stands in the trace.
type pd struct {
	handshake
	learned []osdp.Key // by KEYSET
	channel *osdp.Observer
	weak    bool    // channel is under a key that anybody would try
	without Verdict // of sealed frames while channel is nil
	lost    bool    // the last frame of the channel was not the next
	last    [2]Message
	awaits  bool // a command stands that is no repeat and has no answer yet
}

// Decode takes the next record and gives the messages that it completes, mostly
// one. It copies r.Data, and the messages' slices are theirs.
func (d *Decoder) Decode(r Record) []Message { return d.all(d.whole.push(r)) }

// Close gives what is left: the beginnings of frames whose ends have not come.
func (d *Decoder) Close() []Message { return d.all(d.whole.flush()) }

func (d *Decoder) all(records []Record) (list []Message) {
	for _, r := range records {
		r.Data = slices.Clone(r.Data)
		pieces, rest := cut(r.Data)
		if rest < len(r.Data) {
			pieces = append(pieces, piece{from: rest, to: len(r.Data)})
		}
		for _, p := range pieces {
			m := Message{Time: r.Time, Line: r.Line, FromACU: r.FromACU, Redacted: r.Redacted, Wire: r.Data[p.from:p.to]}
			if p.kind == noise {
				if m.Wire = trimMark(m.Wire); len(m.Wire) == 0 {
					continue
				}
			} else {
				m.Frame, m.FromACU = p.frame, !p.frame.Reply
				d.frame(&m, p.kind)
			}
			list = append(list, m)
		}
	}
	return list
}

// trimMark is b without the MARK bytes at its ends.
func trimMark(b []byte) []byte {
	for len(b) > 0 && b[0] == osdp.Mark {
		b = b[1:]
	}
	for len(b) > 0 && b[len(b)-1] == osdp.Mark {
		b = b[:len(b)-1]
	}
	return b
}

// frame finds out what the frame of m is worth and what it means.
func (d *Decoder) frame(m *Message, k kind) {
	if k == bad {
		m.Verdict = BadCheck
		return
	}
	p := d.pd(place{m.Line, m.Addr()})
	if p.repeats(m) {
		return
	}
	switch t := m.Frame.SCBType; {
	case t == 0:
		m.Verdict, m.Open, m.Data = Clear, true, m.Frame.Data
	case t <= osdp.SCS14 && t >= osdp.SCS11:
		p.shake(m, d.keys(m.Addr(), p))
	case t <= osdp.SCS18 && t >= osdp.SCS15:
		p.open(m)
	default:
		m.Verdict, m.Note = NotFollowed, fmt.Sprintf("security block 0x%02X is not known", t)
	}
	if m.Open {
		m.parse()
		d.learn(p, *m)
	}
	if m.Frame.Code != osdp.CodeBUSY {
		p.last[turn(m.Frame.Reply)] = *m
	}
}

func (d *Decoder) pd(at place) *pd {
	if d.pds == nil {
		d.pds = map[place]*pd{}
	}
	if d.pds[at] == nil {
		d.pds[at] = &pd{without: NotFollowed}
	}
	return d.pds[at]
}

// keys are all keys that a PD may have, the likeliest first.
func (d *Decoder) keys(addr uint8, p *pd) []osdp.Key {
	return slices.Concat(p.learned, d.Keys[addr], d.Keys[osdp.Broadcast], []osdp.Key{osdp.DefaultKey()})
}

// learn takes what m says of the messages to come: a new key, a new address.
func (d *Decoder) learn(p *pd, m Message) {
	if set, ok := m.Command.(osdp.KEYSET); ok && len(set.Key) == len(osdp.Key{}) {
		p.learned = append(p.learned, osdp.Key(set.Key))
	}
	if addr, ok := moves(m.Frame, m.Data); ok {
		d.pds[place{m.Line, addr}] = p
	}
}

// parse gives the data of m its meaning.
func (m *Message) parse() {
	if m.Frame.Reply {
		m.Reply = osdp.ParseReply(m.Frame.Code, m.Data)
	} else {
		m.Command = osdp.ParseCommand(m.Frame.Code, m.Data)
	}
}

// repeats says whether m is the bytes that its sender sent before, and if so
// makes it what it was. A reply is a repeat only when the command was one, or
// when there was none: two ACKs to two POLLs look the same. A BUSY is no answer.
func (p *pd) repeats(m *Message) bool {
	if m.Frame.Reply && m.Frame.Code == osdp.CodeBUSY {
		return false
	}
	last := p.last[turn(m.Frame.Reply)]
	same := bytes.Equal(m.Wire, last.Wire)
	if m.Frame.Reply {
		same = same && !p.awaits
		p.awaits = false
	} else if !same {
		p.awaits = true
	}
	if !same {
		return false
	}
	now := *m
	*m = last
	m.Time, m.Redacted, m.Repeat = now.Time, now.Redacted, true
	return true
}

// shake takes a frame of a handshake.
func (p *pd) shake(m *Message, keys []osdp.Key) {
	m.Open, m.Data, m.Verdict = true, m.Frame.Data, Clear
	switch m.Frame.SCBType {
	case osdp.SCS11:
		p.begin(m.Wire, m.Frame)
		return
	case osdp.SCS12:
		p.start(m.Frame, keys)
		m.Verdict = Authentic
	default:
		m.Verdict = Authentic
		if p.channel != nil && p.channel.Proven(m.Frame) != nil {
			m.Verdict = Unproven
		}
	}
	if m.Weak = p.weak; p.channel == nil {
		m.Verdict = p.without
	}
}

// start begins the channel of the CCRYPT f.
func (p *pd) start(f osdp.Frame, keys []osdp.Key) {
	var key osdp.Key
	p.channel, key = p.observe(f, keys)
	p.weak, p.lost, p.without = p.channel != nil && key.Check() != nil, false, NoKey
	if p.chlng.Code != osdp.CodeCHLNG {
		p.without = NotFollowed
	}
}

// open takes a frame of a secure channel.
func (p *pd) open(m *Message) {
	if p.channel == nil {
		m.Verdict = p.without
		return
	}
	m.Weak = p.weak
	data, err := p.channel.Open(&m.Frame)
	if errors.Is(err, osdp.ErrMAC) {
		// One wrong frame may be a stranger's, and the channel goes on behind it.
		// A second one says that a frame is missing.
		if m.Verdict = WrongMAC; p.lost {
			m.Verdict = NotFollowed
		}
		p.lost = true
		return
	}
	p.lost = false
	m.Verdict, m.Open, m.Data = Authentic, true, slices.Clone(data)
	switch {
	case errors.Is(err, osdp.ErrClear):
		m.Note = "data is not encrypted"
	case err != nil:
		m.Open, m.Data, m.Note = false, nil, "padding is wrong"
	}
}
