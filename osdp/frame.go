package osdp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// The frame's fixed numbers, OSDP v2.2 §5.6 to §5.9.
const (
	Mark      = 0xff // line driver byte before a frame; in neither length nor check
	SOM       = 0x53 // first byte of a frame
	Broadcast = 0x7f // every PD takes it as its own address

	MinFrame = 7    // bytes, SOM to checksum; 8 with a CRC
	MaxFrame = 1440 // bytes, SOM to the last check byte

	headerLen = 5 // SOM, address, length (2), control
	macLen    = 4 // in SCS_15 to SCS_18

	replyBit    = 0x80 // of the address byte
	ctrlSeq     = 0x03
	ctrlCRC     = 0x04
	ctrlSCB     = 0x08
	ctrlUnknown = 0xf0 // reserved, 0 in what we send
)

// The security block types, OSDP v2.2 annex D.
const (
	SCS11 = 0x11 // CHLNG
	SCS12 = 0x12 // CCRYPT
	SCS13 = 0x13 // SCRYPT
	SCS14 = 0x14 // RMAC_I
	SCS15 = 0x15 // command with MAC, no data
	SCS16 = 0x16 // reply with MAC, no data
	SCS17 = 0x17 // command with MAC, data encrypted
	SCS18 = 0x18 // reply with MAC, data encrypted
)

var (
	// ErrShort means that the bytes so far may start a frame and more must come.
	ErrShort = errors.New("osdp: frame is not complete")
	// ErrCheck means that the frame is whole and its CRC or checksum is wrong.
	ErrCheck = errors.New("osdp: check does not match")
	// ErrFrame means that the bytes cannot be a frame, or that a Frame cannot be
	// put into bytes.
	ErrFrame = errors.New("osdp: not a frame")
)

// A Frame is one message as it stands on the wire, without the MARK bytes
// before it. It prints without its data.
type Frame struct {
	Addr     uint8        // 0 to 126, or Broadcast
	Reply    bool         // sent by a PD
	Seq      uint8        // 0 to 3; 0 starts the exchange over
	Checksum bool         // closed by the 8-bit checksum instead of the CRC-16
	Reserved uint8        // bits 4 to 7 of the control byte as received; leave it 0
	SCBType  uint8        // type of the security block, 0 without one
	SCBData  []byte       // the security block after its type
	Code     byte         // command or reply code; never encrypted
	Data     []byte       // after the code; in SCS17 and SCS18 it is encrypted
	MAC      [macLen]byte // SCS15 to SCS18 only

	wire []byte // SOM to check, as ParseFrame read it: what a MAC is over
}

// hasMAC says whether a frame with a security block of type t carries a MAC.
func hasMAC(t uint8) bool { return t >= SCS15 && t <= SCS18 }

// Len is the number of bytes that f takes on the wire, MARK not counted.
func (f Frame) Len() int {
	n := headerLen + 1 + len(f.Data) + 2
	if f.Checksum {
		n--
	}
	if f.SCBType != 0 {
		n += 2 + len(f.SCBData)
	}
	if hasMAC(f.SCBType) {
		n += macLen
	}
	return n
}

// AppendBinary appends f to b, from SOM to the check. It keeps neither b nor
// what f points to. A Frame that the wire cannot hold is an ErrFrame.
func (f Frame) AppendBinary(b []byte) ([]byte, error) {
	n := f.Len()
	switch {
	case n > MaxFrame:
		return b, fmt.Errorf("%w: %d bytes, limit %d", ErrFrame, n, MaxFrame)
	case f.Addr > Broadcast || f.Seq > ctrlSeq || f.Reserved&^ctrlUnknown != 0:
		return b, fmt.Errorf("%w: address %d, sequence %d, reserved bits 0x%02x", ErrFrame, f.Addr, f.Seq, f.Reserved)
	case f.SCBType == 0 && len(f.SCBData) > 0 || len(f.SCBData) > 253:
		return b, fmt.Errorf("%w: security block of type 0x%02x with %d bytes", ErrFrame, f.SCBType, len(f.SCBData))
	}
	at := len(b)
	addr, ctrl := f.Addr, f.Seq|f.Reserved
	if f.Reply {
		addr |= replyBit
	}
	if !f.Checksum {
		ctrl |= ctrlCRC
	}
	if f.SCBType != 0 {
		ctrl |= ctrlSCB
	}
	b = append(b, SOM, addr, byte(n), byte(n>>8), ctrl)
	if f.SCBType != 0 {
		b = append(b, byte(2+len(f.SCBData)), f.SCBType)
		b = append(b, f.SCBData...)
	}
	b = append(b, f.Code)
	b = append(b, f.Data...)
	if hasMAC(f.SCBType) {
		b = append(b, f.MAC[:]...)
	}
	if f.Checksum {
		return append(b, checksum(b[at:])), nil
	}
	return binary.LittleEndian.AppendUint16(b, crc(b[at:])), nil
}

// ParseFrame reads the frame that starts at b[0] and reports how many bytes it
// took. SCBData, Data and what Session.Open reads point into b: copy them to keep
// them. An ErrCheck comes with the frame as received and its length. An ErrShort
// means that more bytes must come, and is given only while those at hand can
// still become a frame; anything else is an ErrFrame.
func ParseFrame(b []byte) (f Frame, n int, err error) {
	n, err = f.Parse(b)
	return f, n, err
}

// Parse is ParseFrame into f, for who reads one frame after the other: a Frame
// takes longer to hand on than to read. With ErrShort and ErrFrame f stays as it
// was.
func (f *Frame) Parse(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, ErrShort
	}
	if b[0] != SOM {
		return 0, fmt.Errorf("%w: first byte 0x%02x, want 0x%02x", ErrFrame, b[0], SOM)
	}
	if len(b) < headerLen {
		// The high byte of the length is the best early sign of noise.
		if len(b) == 4 && (int(b[2])|int(b[3])<<8 > MaxFrame || int(b[2])|int(b[3])<<8 < MinFrame) {
			return 0, errLength(b)
		}
		return 0, ErrShort
	}
	ctrl, check := b[4], 2
	if ctrl&ctrlCRC == 0 {
		check = 1
	}
	// The length field is not to be trusted: it is held against both ends, and
	// every part of the frame against it, before anything is sliced.
	n = int(binary.LittleEndian.Uint16(b[2:]))
	if n < headerLen+1+check || n > MaxFrame {
		return 0, errLength(b)
	}
	if len(b) < n {
		return 0, ErrShort
	}
	b = b[:n:n]
	var (
		code, end = headerLen, n - check // the code, and what comes after the data
		scbType   byte
		scbData   []byte
		mac       [macLen]byte
	)
	if ctrl&ctrlSCB != 0 {
		scb := int(b[headerLen])
		code += scb
		if scb < 2 || code >= end || b[headerLen+1] == 0 {
			return 0, fmt.Errorf("%w: security block of %d bytes in a frame of %d", ErrFrame, scb, n)
		}
		scbType, scbData = b[headerLen+1], b[headerLen+2:code:code]
	}
	if hasMAC(scbType) {
		if end -= macLen; end <= code {
			return 0, fmt.Errorf("%w: no room for the MAC in a frame of %d bytes", ErrFrame, n)
		}
		mac = [macLen]byte(b[end:])
	}
	// Field by field: a Frame made aside and copied would be waited for.
	f.Addr, f.Reply = b[1]&^replyBit, b[1]&replyBit != 0
	f.Seq, f.Checksum, f.Reserved = ctrl&ctrlSeq, check == 1, ctrl&ctrlUnknown
	f.SCBType, f.SCBData = scbType, scbData
	f.Code, f.Data = b[code], b[code+1:end:end]
	f.MAC, f.wire = mac, b
	if check == 1 {
		if checksum(b[:n-1]) != b[n-1] {
			return n, ErrCheck
		}
	} else if crc(b[:n-2]) != binary.LittleEndian.Uint16(b[n-2:]) {
		return n, ErrCheck
	}
	return n, nil
}

func errLength(b []byte) error {
	return fmt.Errorf("%w: length field says %d bytes, want %d to %d", ErrFrame, binary.LittleEndian.Uint16(b[2:]), MinFrame, MaxFrame)
}

// String tells whose frame it is and how long, never its data.
func (f Frame) String() string {
	dir := "command"
	if f.Reply {
		dir = "reply"
	}
	s := fmt.Sprintf("PD %d %s 0x%02x, sequence %d, %d bytes of data", f.Addr, dir, f.Code, f.Seq, len(f.Data))
	if f.SCBType != 0 {
		s += fmt.Sprintf(", SCS_%02X", f.SCBType)
	}
	return s
}

// Format prints String whatever the verb, so that no %+v shows card bits.
func (f Frame) Format(s fmt.State, _ rune) { fmt.Fprint(s, f.String()) }

// MarshalText is String: what a log handler writes of a frame.
func (f Frame) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// checksum is the two's complement of the sum, so that a whole frame adds up to
// 0 (OSDP v2.2 §5.9).
func checksum(b []byte) byte {
	var sum byte
	for _, v := range b {
		sum += v
	}
	return -sum
}

// A Scanner finds the frames in bytes that come in any cut. After a bad frame
// it looks for the next one inside the bytes it already holds, so that a stray
// SOM or a damaged length does not eat the good frame behind it. The zero
// Scanner is ready. It holds less than MaxFrame bytes once Next said ErrShort.
type Scanner struct {
	buf []byte
	at  int // first byte of buf not yet dealt with

	Bad     uint64 // frames whose check was wrong
	Skipped uint64 // bytes that belong to no good frame, MARK bytes not counted
}

// Feed takes bytes from the line. It copies p, and spoils the frames that Next
// gave before.
func (s *Scanner) Feed(p []byte) {
	if s.at > 0 {
		s.buf = s.buf[:copy(s.buf, s.buf[s.at:])]
		s.at = 0
	}
	s.buf = append(s.buf, p...)
}

// Next gives the next frame; its slices are good until Feed or Reset. ErrShort
// says that more bytes are needed. ErrCheck comes with a frame whose check is
// wrong, for whoever wants to answer or count it; call Next again after it.
func (s *Scanner) Next() (Frame, error) {
	var f Frame
	for {
		i := bytes.IndexByte(s.buf[s.at:], SOM)
		if i < 0 {
			i = len(s.buf) - s.at
		}
		s.skip(i)
		n, err := f.Parse(s.buf[s.at:])
		switch {
		case err == nil:
			s.at += n
			return f, nil
		case errors.Is(err, ErrShort):
			return Frame{}, ErrShort
		case errors.Is(err, ErrCheck):
			s.Bad++
			s.skip(1)
			return f, ErrCheck
		}
		s.skip(1)
	}
}

// GiveUp drops the first byte of a frame that does not come to its end, after
// the inter-character time (OSDP v2.2 §5.8). Call Next after it: a whole frame
// may stand in the bytes behind. It reports whether any byte is still held.
func (s *Scanner) GiveUp() bool {
	if s.at < len(s.buf) {
		s.skip(1)
	}
	return s.at < len(s.buf)
}

// Held is the number of bytes that wait for the rest of their frame.
func (s *Scanner) Held() int { return len(s.buf) - s.at }

// Want is the length that the frame in the making claims, MaxFrame at most, or
// 0 while it has not said so.
func (s *Scanner) Want() int {
	if s.Held() < 4 {
		return 0
	}
	return min(int(binary.LittleEndian.Uint16(s.buf[s.at+2:])), MaxFrame)
}

// Reset forgets all bytes held.
func (s *Scanner) Reset() { s.buf, s.at = s.buf[:0], 0 }

func (s *Scanner) skip(n int) {
	for _, v := range s.buf[s.at : s.at+n] {
		if v != Mark {
			s.Skipped++
		}
	}
	s.at += n
}
