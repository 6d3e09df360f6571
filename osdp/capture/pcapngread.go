package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"time"
)

// The bounds on what a file can make the reader hold.
const (
	maxBlock      = 1 << 20 // bytes of a block
	maxInterfaces = 1 << 12 // of a section
)

// An iface is an interface of a section.
type iface struct {
	source
	link       uint16
	resolution byte  // if_tsresol
	offset     int64 // seconds to add
}

type pcapngReader struct {
	r       io.Reader
	order   binary.ByteOrder
	block   []byte // of the block at hand, without its type and lengths
	program string // that wrote the section
	ifaces  []iface
	acu     bool // who spoke last
}

// next reads up to the next packet.
func (p *pcapngReader) next() (Record, error) {
	for {
		kind, err := p.read()
		if err != nil {
			return Record{}, err
		}
		switch kind {
		case blockSection:
			err = p.section()
		case blockInterface:
			err = p.describe()
		case blockPacket:
			return p.packet()
		}
		if err != nil {
			return Record{}, err
		}
	}
}

// read reads a block and gives its type. io.EOF says that the file ends before
// it, as it should.
func (p *pcapngReader) read() (uint32, error) {
	var head [12]byte
	if _, err := io.ReadFull(p.r, head[:8]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("capture: pcapng ends inside a block: %w", err)
		}
		return 0, err
	}
	have := 8
	kind := binary.LittleEndian.Uint32(head[:])
	if kind == blockSection {
		if _, err := io.ReadFull(p.r, head[8:]); err != nil {
			return 0, errBlock(kind, "%v", err)
		}
		have = len(head)
		if err := p.orient(head[8:]); err != nil {
			return 0, err
		}
	}
	if p.order == nil {
		return 0, errBlock(kind, "want a section header first")
	}
	kind = p.order.Uint32(head[:])
	n := p.order.Uint32(head[4:])
	if n < uint32(have)+4 || n%4 != 0 || n > maxBlock {
		return 0, errBlock(kind, "length %d, want a multiple of 4 from %d to %d", n, have+4, maxBlock)
	}
	return kind, p.body(kind, head[8:have], n)
}

// orient sets the byte order by the magic number of a section.
func (p *pcapngReader) orient(magic []byte) error {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if order.Uint32(magic) == byteOrderMagic {
			p.order = order
			return nil
		}
	}
	return errBlock(blockSection, "magic number % x", magic)
}

// body reads what is left of a block of n bytes after its type, its length and
// begun, and holds the length at its end against n.
func (p *pcapngReader) body(kind uint32, begun []byte, n uint32) error {
	p.block = append(p.block[:0], begun...)
	have, want := len(begun), int(n)-8
	p.block = append(p.block, make([]byte, want-have)...)
	if _, err := io.ReadFull(p.r, p.block[have:]); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("capture: pcapng block of type 0x%08x and %d bytes: %w", kind, n, err)
	}
	end := p.order.Uint32(p.block[want-4:])
	p.block = p.block[:want-4]
	if end != n {
		return errBlock(kind, "length %d at its beginning and %d at its end", n, end)
	}
	return nil
}

func (p *pcapngReader) section() error {
	if len(p.block) < 16 {
		return errBlock(blockSection, "%d bytes, want 16 at least", len(p.block))
	}
	if v := p.order.Uint16(p.block[4:]); v != versionMajor {
		return errBlock(blockSection, "version %d, want %d", v, versionMajor)
	}
	p.ifaces, p.program = nil, ""
	return p.options(p.block[16:], func(code uint16, value []byte) {
		if code == optApplication {
			p.program = string(value)
		}
	})
}

func (p *pcapngReader) describe() error {
	if len(p.block) < 8 {
		return errBlock(blockInterface, "%d bytes, want 8 at least", len(p.block))
	}
	if len(p.ifaces) == maxInterfaces {
		return errBlock(blockInterface, "more than %d interfaces", maxInterfaces)
	}
	f := iface{link: p.order.Uint16(p.block), resolution: 6, source: source{program: p.program}}
	err := p.options(p.block[8:], func(code uint16, value []byte) {
		switch {
		case code == optName:
			f.line = string(value)
		case code == optDescription:
			f.program = string(value)
		case code == optResolution && len(value) == 1:
			f.resolution = value[0]
		case code == optOffset && len(value) == 8:
			f.offset = int64(p.order.Uint64(value))
		}
	})
	p.ifaces = append(p.ifaces, f)
	return err
}

// packet is the record of an Enhanced Packet Block. A fault in it is an
// ErrRecord: the next block is where it should be.
func (p *pcapngReader) packet() (Record, error) {
	const head = 20
	if len(p.block) < head {
		return Record{}, fmt.Errorf("%w: packet block of %d bytes, want %d at least", ErrRecord, len(p.block), head)
	}
	id, n := p.order.Uint32(p.block), p.order.Uint32(p.block[12:])
	if id >= uint32(len(p.ifaces)) {
		return Record{}, fmt.Errorf("%w: packet of interface %d, the section has %d", ErrRecord, id, len(p.ifaces))
	}
	if n > MaxData || int(n) > len(p.block)-head {
		return Record{}, fmt.Errorf("%w: packet of %d bytes in a block of %d", ErrRecord, n, len(p.block))
	}
	f := p.ifaces[id]
	if f.link < linkUser0 || f.link > linkUser15 {
		return Record{}, fmt.Errorf("%w: link type %d, want %d to %d", ErrRecord, f.link, linkUser0, linkUser15)
	}
	t, err := f.time(uint64(p.order.Uint32(p.block[4:]))<<32 | uint64(p.order.Uint32(p.block[8:])))
	if err != nil {
		return Record{}, err
	}
	r := Record{Time: t, Line: f.line, Source: f.program, Data: append([]byte(nil), p.block[head:head+int(n)]...)}
	if err := p.annotate(&r, p.block[min(head+(int(n)+3)&^3, len(p.block)):]); err != nil {
		return Record{}, err
	}
	return r.tidy()
}

// annotate sets what the options of its packet say of r.
func (p *pcapngReader) annotate(r *Record, options []byte) error {
	acu := p.acu
	err := p.options(options, func(code uint16, value []byte) {
		switch {
		case code == optComment && string(value) == redactedComment:
			r.Redacted = true
		case code == optComment:
			r.Comment = string(value)
		case code == optFlags && len(value) == 4:
			if d := p.order.Uint32(value) & flagsDirection; d == flagsInbound || d == flagsOutbound {
				acu = d == flagsOutbound
			}
		}
	})
	if said, ok := speaker(r.Data); ok {
		acu = said
	}
	r.FromACU, p.acu = acu, acu
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return nil
}

// options calls f for each option in b. The end of b may stand for the option
// that ends them.
func (p *pcapngReader) options(b []byte, f func(code uint16, value []byte)) error {
	for len(b) >= 4 {
		code, n := p.order.Uint16(b), int(p.order.Uint16(b[2:]))
		if code == optEnd {
			return nil
		}
		b = b[4:]
		if n > len(b) {
			return fmt.Errorf("capture: pcapng option %d of %d bytes with %d left", code, n, len(b))
		}
		f(code, b[:n])
		b = b[min((n+3)&^3, len(b)):]
	}
	return nil
}

// time is a time of the interface, which counts in units of its resolution.
func (f iface) time(stamp uint64) (time.Time, error) {
	unit, ok := f.perSecond()
	if !ok {
		return time.Time{}, fmt.Errorf("%w: time resolution 0x%02x", ErrRecord, f.resolution)
	}
	sec, rest := stamp/unit, stamp%unit
	if sec > maxSeconds || f.offset > maxSeconds || f.offset < -maxSeconds {
		return time.Time{}, fmt.Errorf("%w: %d seconds since 1970, %d more", ErrRecord, sec, f.offset)
	}
	hi, lo := bits.Mul64(rest, uint64(time.Second))
	nano, _ := bits.Div64(hi, lo, unit) // rest < unit, so it fits
	return time.Unix(int64(sec)+f.offset, int64(nano)).UTC(), nil
}

// perSecond is how many units a second has: a power of 10, or of 2 with the
// top bit set.
func (f iface) perSecond() (uint64, bool) {
	if f.resolution&0x80 != 0 {
		n := f.resolution &^ 0x80
		return 1 << (n & 63), n < 64
	}
	unit := uint64(1)
	for range min(f.resolution, 20) {
		unit *= 10
	}
	return unit, f.resolution < 20
}
