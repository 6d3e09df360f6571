package capture

import (
	"encoding/binary"
	"fmt"
	"math"
)

// The numbers of pcapng (draft-ietf-opsawg-pcapng, sections 3 and 4).
const (
	blockSection   = 0x0a0d0d0a // reads the same in both byte orders
	blockInterface = 1
	blockPacket    = 6 // Enhanced Packet Block

	byteOrderMagic = 0x1a2b3c4d
	versionMajor   = 1
	unknownLength  = math.MaxUint64

	optEnd         = 0
	optComment     = 1
	optApplication = 4 // of a section
	optName        = 2 // of an interface
	optDescription = 3 // of an interface
	optResolution  = 9 // of an interface
	optOffset      = 14
	optFlags       = 2 // of a packet

	flagsDirection = 3 // the bits of optFlags
	flagsInbound   = 1
	flagsOutbound  = 2

	nanoseconds = 9 // optResolution: units of 10^-9 s
)

// The link types that stand for "the two ends know" (LINKTYPE_USER0 to 15).
// OSDP has none of its own; libosdp writes USER15, and its Wireshark dissector
// looks for that.
const (
	linkUser0  = 147
	linkUser15 = 162
)

// A source is what pcapng calls an interface: one line, as one program saw it.
type source struct{ line, program string }

// A pcapngEncoder turns records into blocks.
type pcapngEncoder struct {
	program string            // of the section
	sources map[source]uint32 // those already described, by interface number
}

// begin is the block that a file begins with.
func (p *pcapngEncoder) begin(b []byte) []byte {
	b, at := openBlock(b, blockSection)
	b = binary.LittleEndian.AppendUint32(b, byteOrderMagic)
	b = binary.LittleEndian.AppendUint16(b, versionMajor)
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint64(b, unknownLength)
	b = appendOption(b, optApplication, []byte(p.program))
	return closeBlock(b, at)
}

// append appends r, with the description of its source when that is new.
func (p *pcapngEncoder) append(b []byte, r Record) []byte {
	src := source{r.Line, r.Source}
	id, known := p.sources[src]
	if !known {
		if p.sources == nil {
			p.sources = map[source]uint32{}
		}
		id = uint32(len(p.sources))
		p.sources[src] = id
		b = src.append(b)
	}
	b, at := openBlock(b, blockPacket)
	nano := uint64(r.Time.UnixNano())
	for _, v := range []uint32{id, uint32(nano >> 32), uint32(nano), uint32(len(r.Data)), uint32(len(r.Data))} {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	b = pad(append(b, r.Data...), len(r.Data))
	if r.Redacted {
		b = appendOption(b, optComment, []byte(redactedComment))
	}
	if r.Comment != "" {
		b = appendOption(b, optComment, []byte(r.Comment))
	}
	flags := uint32(flagsInbound)
	if r.FromACU {
		flags = flagsOutbound
	}
	b = appendOption(b, optFlags, binary.LittleEndian.AppendUint32(nil, flags))
	return closeBlock(b, at)
}

// append appends the description of the interface.
func (s source) append(b []byte) []byte {
	b, at := openBlock(b, blockInterface)
	b = binary.LittleEndian.AppendUint16(b, linkUser15)
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint32(b, 0) // no limit on the length of a packet
	if s.line != "" {
		b = appendOption(b, optName, []byte(s.line))
	}
	if s.program != "" {
		b = appendOption(b, optDescription, []byte(s.program))
	}
	b = appendOption(b, optResolution, []byte{nanoseconds})
	return closeBlock(b, at)
}

// openBlock begins a block whose length closeBlock will set.
func openBlock(b []byte, kind uint32) ([]byte, int) {
	at := len(b)
	b = binary.LittleEndian.AppendUint32(b, kind)
	return binary.LittleEndian.AppendUint32(b, 0), at
}

// closeBlock ends the options and the block that began at b[at].
func closeBlock(b []byte, at int) []byte {
	b = appendOption(b, optEnd, nil)
	n := uint32(len(b) - at + 4)
	binary.LittleEndian.PutUint32(b[at+4:], n)
	return binary.LittleEndian.AppendUint32(b, n)
}

func appendOption(b []byte, code uint16, value []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, code)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
	return pad(append(b, value...), len(value))
}

// pad fills up what n bytes lack of whole 32-bit words.
func pad(b []byte, n int) []byte { return append(b, "\x00\x00\x00"[:(4-n%4)%4]...) }

// errBlock says that a file ends to be pcapng at a block.
func errBlock(kind uint32, format string, a ...any) error {
	return fmt.Errorf("capture: pcapng block of type 0x%08x: %s", kind, fmt.Sprintf(format, a...))
}
