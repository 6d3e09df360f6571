package serialline

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// The sizes of a frame (serial door link: Frame).
const (
	MaxPayload = 241 // bytes of payload
	headerLen  = 5   // ver addr seq flags op
	crcLen     = 4
	maxContent = headerLen + MaxPayload + crcLen // 250, so that one COBS block holds it
	maxEncoded = maxContent + 1                  // COBS adds one byte
	// MaxWire is the longest frame on the wire, with both delimiters.
	MaxWire = maxEncoded + 2
)

// Version is the version of the link that this package speaks.
const Version = 1

// Addresses.
const (
	MaxAddr   = 126
	AnyAddr   = 0x7F // whoever is there; on a line with one controller only
	ReplyAddr = 0x80 // the bit that a reply carries in its address
)

// The flags of a frame. Only FlagSealed stands in requests.
const (
	FlagSealed   = 1 << 0 // payload is sealed; version 1 of this package refuses it
	FlagEvents   = 1 << 1 // events wait for an ACK
	FlagBusy     = 1 << 2 // not the reply yet: the payload is how long to wait, u16 in ms
	FlagRebooted = 1 << 3 // no HELLO since the controller started
	FlagClock    = 1 << 4 // the controller's clock is not set
)

// Errors of the codec.
var (
	ErrFrame   = errors.New("serialline: damaged frame")
	ErrVersion = errors.New("serialline: frame of another version")
	ErrMore    = errors.New("serialline: no whole frame yet")
	ErrSealed  = errors.New("serialline: sealed mode is not supported")
)

// A Frame is one message of the link.
type Frame struct {
	Addr    uint8  // 1 to 126, or AnyAddr; replies have ReplyAddr set besides
	Seq     uint8  // 1 to 255; 0 only in HELLO
	Flags   uint8  // FlagSealed and the others
	Op      uint8  // OpHello and the others
	Payload []byte // at most MaxPayload bytes
}

// Reply reports whether f comes from a controller.
func (f Frame) Reply() bool { return f.Addr&ReplyAddr != 0 }

// castagnoli is CRC-32C: with CRC-16 one damaged frame in 65,536 would pass,
// and what passes stays in a table for years. MakeTable returns one shared
// table for this polynomial and the CPU's instruction.
func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// AppendBinary appends f to b as it stands on the wire, with a zero before and
// after. It keeps neither b nor f.Payload.
func (f Frame) AppendBinary(b []byte) ([]byte, error) {
	if len(f.Payload) > MaxPayload {
		return b, fmt.Errorf("serialline: payload of %d bytes, want at most %d", len(f.Payload), MaxPayload)
	}
	b = append(b, 0, 0) // the delimiter, and the first code byte
	code := len(b) - 1
	b = append(b, Version, f.Addr, f.Seq, f.Flags, f.Op)
	b = append(b, f.Payload...)
	b = binary.LittleEndian.AppendUint32(b, checksum(b[code+1:]))
	// COBS in place: each zero becomes the distance to the next one. A block is
	// shorter than 254 bytes, so the code of 0xFF, which stands for no zero, does
	// not come up.
	for {
		next := bytes.IndexByte(b[code+1:], 0)
		if next < 0 {
			b[code] = byte(len(b) - code)
			return append(b, 0), nil
		}
		b[code] = byte(next + 1)
		code += next + 1
	}
}

// ParseFrame reads what stands between two zeros on the wire. The payload is a
// copy. The error is ErrFrame, or ErrVersion for a frame that is whole but of
// another version.
func ParseFrame(b []byte) (Frame, error) {
	raw := make([]byte, maxContent)
	return parse(raw, b)
}

// parse decodes enc into raw, which has maxContent bytes; the payload points
// into raw.
func parse(raw, enc []byte) (Frame, error) {
	if len(enc) < headerLen+crcLen+1 || len(enc) > maxEncoded {
		return Frame{}, fmt.Errorf("%w: %d bytes, want %d to %d", ErrFrame, len(enc), headerLen+crcLen+1, maxEncoded)
	}
	n := 0
	for at := 0; at < len(enc); {
		code := int(enc[at])
		if code == 0 || code > len(enc)-at {
			return Frame{}, fmt.Errorf("%w: code byte %d with %d bytes to come", ErrFrame, code, len(enc)-at)
		}
		if bytes.IndexByte(enc[at+1:at+code], 0) >= 0 {
			return Frame{}, fmt.Errorf("%w: a zero inside", ErrFrame)
		}
		n += copy(raw[n:], enc[at+1:at+code])
		if at += code; at < len(enc) {
			raw[n] = 0
			n++
		}
	}
	end := n - crcLen
	if got, want := binary.LittleEndian.Uint32(raw[end:n]), checksum(raw[:end]); got != want {
		return Frame{}, fmt.Errorf("%w: CRC %08x, want %08x", ErrFrame, got, want)
	}
	if raw[0] != Version {
		return Frame{}, fmt.Errorf("%w: got %d, want %d", ErrVersion, raw[0], Version)
	}
	return Frame{Addr: raw[1], Seq: raw[2], Flags: raw[3], Op: raw[4], Payload: raw[headerLen:end:end]}, nil
}

// A Scanner finds the frames in a stream of bytes. The zero Scanner is ready.
// Whatever comes, it is in step again at the next zero.
type Scanner struct {
	enc  [maxEncoded]byte
	raw  [maxContent]byte
	n    int  // bytes in enc
	long bool // what came since the last zero is longer than any frame
}

// Scan takes bytes from p until a frame or something damaged ends, and returns
// how many it took. The error is ErrMore when it took all of p and no frame
// ended; ErrFrame or ErrVersion when what ended is no frame of ours. The
// frame's payload is good until the next call.
func (s *Scanner) Scan(p []byte) (n int, f Frame, err error) {
	for n < len(p) {
		size := bytes.IndexByte(p[n:], 0)
		whole := size >= 0
		if !whole {
			size = len(p) - n
		}
		if took := copy(s.enc[s.n:], p[n:n+size]); took < size {
			s.long = true
		} else if !s.long {
			s.n += took
		}
		n += size
		if !whole {
			break
		}
		n++
		size, long := s.n, s.long
		s.Reset()
		switch {
		case long:
			return n, Frame{}, fmt.Errorf("%w: longer than %d bytes", ErrFrame, maxEncoded)
		case size > 0: // otherwise two delimiters in a row
			f, err := parse(s.raw[:], s.enc[:size])
			return n, f, err
		}
	}
	return n, Frame{}, ErrMore
}

// Reset forgets a frame that has begun.
func (s *Scanner) Reset() { s.n, s.long = 0, false }
