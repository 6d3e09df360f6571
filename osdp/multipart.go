package osdp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrPart means that a fragment does not fit the multi-part message it belongs
// to. A PD answers it with NAKRecord, which makes the panel give the message up.
var ErrPart = errors.New("osdp: fragment does not fit its message")

// A Part is where a fragment stands in its multi-part message (OSDP v2.2
// §5.10), in bytes.
type Part struct {
	Total  uint16 // length of the whole message
	Offset uint16 // of the fragment's first byte
	Length uint16 // of the fragment
}

// partHeader is the bytes before a fragment: total, offset, length, 2 each.
const partHeader = 6

// appendFragment appends the header and data, the fragment's bytes.
func (p Part) appendFragment(b []byte, code byte, data []byte) ([]byte, error) {
	b, err := p.appendHeader(b, ReplyName(code), data)
	if err != nil {
		return b, err
	}
	return append(b, data...), nil
}

// appendHeader refuses a header that does not fit the data that comes with it.
func (p Part) appendHeader(b []byte, what string, data []byte) ([]byte, error) {
	if len(data) != int(p.Length) {
		return b, fmt.Errorf("%w: %s fragment of %d bytes, header says %d", ErrValue, what, len(data), p.Length)
	}
	b = binary.LittleEndian.AppendUint16(b, p.Total)
	b = binary.LittleEndian.AppendUint16(b, p.Offset)
	return binary.LittleEndian.AppendUint16(b, p.Length), nil
}

// parsePart reads the header at the start of d and gives what follows it.
func parsePart(d []byte) (p Part, rest []byte, ok bool) {
	if len(d) < partHeader {
		return Part{}, nil, false
	}
	p = Part{binary.LittleEndian.Uint16(d), binary.LittleEndian.Uint16(d[2:]), binary.LittleEndian.Uint16(d[4:])}
	return p, d[partHeader:], true
}

// A PartState says what a fragment did to its message.
type PartState uint8

const (
	// PartMore: the fragment was taken, and more must come.
	PartMore PartState = iota
	// PartRepeat: the fragment was there already. Answer it as the first time.
	PartRepeat
	// PartDone: the message is whole.
	PartDone
	// PartEnded: the sender broke the message off.
	PartEnded
)

// An Assembler puts one multi-part message together after the other. It takes
// fragments in order and without gaps; one at offset 0 starts anew. It prints
// without the message.
type Assembler struct {
	limit   int
	open    bool // a message was started, and is perhaps whole
	total   uint16
	message []byte
}

// NewAssembler makes an Assembler of messages of at most limit bytes, the
// PDCAP function CapMessage of whoever assembles. It holds no more than that,
// whatever a header says.
func NewAssembler(limit int) *Assembler { return &Assembler{limit: limit} }

// Add takes a fragment and copies data. After an ErrPart the message is
// forgotten. In GENAUTH and CRAUTH the algorithm and key reference are no part
// of the message: keep those of the fragment at offset 0.
func (a *Assembler) Add(p Part, data []byte) (PartState, error) {
	state, err := a.add(p, data)
	if err != nil || state == PartEnded {
		a.Reset()
	}
	return state, err
}

func (a *Assembler) add(p Part, data []byte) (PartState, error) {
	if err := a.check(p, data); err != nil {
		return PartMore, err
	}
	offset, have := int(p.Offset), len(a.message)
	end := offset + len(data)
	switch {
	case offset == 0 && (p.Length > 0 || !a.open || p.Total != a.total || p.Total == 0):
		a.open, a.total, a.message = true, p.Total, a.message[:0]
	case len(data) == 0 && offset >= int(p.Total):
		if have < int(a.total) {
			return PartEnded, nil
		}
		return PartRepeat, nil
	case end <= have:
		if !bytes.Equal(a.message[offset:end], data) {
			return PartMore, fmt.Errorf("%w: %d bytes at %d differ from those there", ErrPart, len(data), offset)
		}
		return PartRepeat, nil
	case offset != have:
		return PartMore, fmt.Errorf("%w: offset %d, want %d", ErrPart, offset, have)
	}
	a.message = append(a.message, data...)
	if len(a.message) == int(a.total) {
		return PartDone, nil
	}
	return PartMore, nil
}

// check refuses what fits no message, or not the one that is open.
func (a *Assembler) check(p Part, data []byte) error {
	switch end := int(p.Offset) + len(data); {
	case len(data) != int(p.Length):
		return fmt.Errorf("%w: %d bytes, header says %d", ErrPart, len(data), p.Length)
	case int(p.Total) > a.limit:
		return fmt.Errorf("%w: message of %d bytes, limit %d", ErrPart, p.Total, a.limit)
	case len(data) > 0 && end > int(p.Total):
		return fmt.Errorf("%w: ends at %d in a message of %d bytes", ErrPart, end, p.Total)
	case p.Offset > 0 && !a.open:
		return fmt.Errorf("%w: offset %d, want 0 to start a message", ErrPart, p.Offset)
	case p.Offset > 0 && p.Total != a.total:
		return fmt.Errorf("%w: message of %d bytes, was %d", ErrPart, p.Total, a.total)
	}
	return nil
}

// Message is what has been put together, the whole after PartDone. It is good
// until the next Add or Reset.
func (a *Assembler) Message() []byte { return a.message }

// Reset forgets the message, as ABORT and the loss of the line ask.
func (a *Assembler) Reset() {
	clear(a.message[:cap(a.message)])
	a.open, a.total, a.message = false, 0, a.message[:0]
}

// String tells how far the message is.
func (a Assembler) String() string {
	return fmt.Sprintf("%d of %d bytes of a message (hidden)", len(a.message), a.total)
}

// Format prints String whatever the verb.
func (a Assembler) Format(s fmt.State, _ rune) { fmt.Fprint(s, a.String()) }
