package osdp

import (
	"encoding/binary"
	"fmt"
)

// A Part is where a fragment stands in its multi-part message (OSDP v2.2
// §5.10), in bytes.
type Part struct {
	Total  uint16 // length of the whole message
	Offset uint16 // of the fragment's first byte
	Length uint16 // of the fragment
}

// partLen is the length of the header of a fragment.
const partLen = 6

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
	if len(d) < partLen {
		return Part{}, nil, false
	}
	p = Part{binary.LittleEndian.Uint16(d), binary.LittleEndian.Uint16(d[2:]), binary.LittleEndian.Uint16(d[4:])}
	return p, d[partLen:], true
}
