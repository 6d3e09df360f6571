package osdp

import (
	"fmt"
	"time"
)

// messageMost is the longest multi-part message, in bytes: its header has no
// room for more.
const messageMost = 0xffff

// A fragmentReply is a reply that is one fragment of a multi-part message.
type fragmentReply interface {
	Reply
	part() (Part, []byte)
	whole(message []byte) Reply
}

func (r PIVDATAR) part() (Part, []byte)    { return r.Part, r.Data }
func (r GENAUTHR) part() (Part, []byte)    { return r.Part, r.Data }
func (r CRAUTHR) part() (Part, []byte)     { return r.Part, r.Data }
func (r EXTPDIDPart) part() (Part, []byte) { return r.Part, r.Data }

func (r PIVDATAR) whole(m []byte) Reply { return PIVDATAR{wholePart(m), m} }
func (r GENAUTHR) whole(m []byte) Reply { return GENAUTHR{wholePart(m), m} }
func (r CRAUTHR) whole(m []byte) Reply  { return CRAUTHR{wholePart(m), m} }

func (r EXTPDIDPart) whole(m []byte) Reply {
	id, err := ParseEXTPDID(m)
	if err != nil {
		return EXTPDIDPart{wholePart(m), m}
	}
	return id
}

func wholePart(m []byte) Part { return Part{Total: uint16(len(m)), Length: uint16(len(m))} }

// gather puts the fragments together that p sends, one a POLL, and tells of
// each message when it is whole. A message that does not fit together is broken
// off: the PD is told to forget it.
func (b *Bus) gather(now time.Time, p *pd, r fragmentReply) {
	if p.parts == nil || p.partsOf != r.Code() {
		p.parts, p.partsOf = NewAssembler(messageMost), r.Code()
	}
	state, err := p.parts.Add(r.part())
	switch {
	case err != nil:
		b.emit(now, p, Event{Kind: Malformed, Reply: r})
		p.queue = append(p.queue, b.abort())
	case state == PartDone:
		b.emit(now, p, Event{Kind: Message, Reply: r.whole(append([]byte(nil), p.parts.Message()...))})
		p.parts = nil
	case state == PartEnded:
		b.emit(now, p, Event{Kind: Malformed, Reply: r})
	}
}

// fitting cuts a command that may be longer than a frame for p into those to
// send one after the other; others stay as they are.
func (p *pd) fitting(c Command) ([]Command, error) {
	data, err := c.AppendData(nil)
	size, most := p.length(data), p.stats.Caps.ReceiveSize()
	switch c := c.(type) {
	case GENAUTH:
		if c.Part == (Part{}) {
			return c.Split(MaxPart(most, p.secureOnly()))
		}
	case CRAUTH:
		if c.Part == (Part{}) {
			return c.Split(MaxPart(most, p.secureOnly()))
		}
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("PD %d: %s: %w", p.addr, CommandName(c.Code()), err)
	case size > most:
		return nil, fmt.Errorf("%w %d: %s makes %d bytes, it takes %d", ErrTooLong, p.addr, CommandName(c.Code()), size, most)
	}
	return []Command{c}, nil
}
