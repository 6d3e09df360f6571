package osdp

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// The reply codes, OSDP v2.2 §7.
const (
	CodeACK     byte = 0x40
	CodeNAK     byte = 0x41
	CodePDID    byte = 0x45
	CodePDCAP   byte = 0x46
	CodeLSTATR  byte = 0x48
	CodeISTATR  byte = 0x49
	CodeOSTATR  byte = 0x4a
	CodeRSTATR  byte = 0x4b
	CodeRAW     byte = 0x50
	CodeFMT     byte = 0x51
	CodeKEYPAD  byte = 0x53
	CodeCOM     byte = 0x54
	CodeCCRYPT  byte = 0x76
	CodeRMACI   byte = 0x78
	CodeBUSY    byte = 0x79
	CodeFTSTAT  byte = 0x7a
	CodeMFGREP  byte = 0x90
	CodeXRD     byte = 0xb1
	codeEXTPDID byte = 0x59
)

// A Reply is what a PD sends. Two forms never differ: what ParseReply makes of
// some bytes, Code and AppendData give back.
type Reply interface {
	// Code is the reply's code byte.
	Code() byte
	// AppendData appends the bytes after the code to b. A value that the wire
	// cannot hold is an ErrValue.
	AppendData(b []byte) ([]byte, error)
}

// ACK says: done, and nothing to tell.
type ACK struct{}

// BUSY says: ask again, with the same bytes (OSDP v2.2 §7.19).
type BUSY struct{}

// A NAKCode says why a PD refused.
type NAKCode uint8

// The refusals, OSDP v2.2 §7.3, table 47.
const (
	NAKNone       NAKCode = 0
	NAKCheck      NAKCode = 1 // CRC or checksum wrong
	NAKLength     NAKCode = 2 // command length wrong
	NAKUnknown    NAKCode = 3 // no such command
	NAKSequence   NAKCode = 4 // unexpected sequence number
	NAKBlock      NAKCode = 5 // security block not supported
	NAKSecurity   NAKCode = 6 // wants encryption, or has no session
	NAKBioType    NAKCode = 7
	NAKBioFormat  NAKCode = 8
	NAKRecord     NAKCode = 9 // cannot do what a record asks
	lastKnownNAKs         = NAKRecord
)

func (c NAKCode) String() string {
	if c <= lastKnownNAKs {
		return [...]string{"no error", "bad check", "wrong length", "unknown command", "unexpected sequence", "security block not supported",
			"security conditions not met", "biometric type not supported", "biometric format not supported", "record cannot be processed"}[c]
	}
	return fmt.Sprintf("error 0x%02x", uint8(c))
}

// NAK says: no.
type NAK struct {
	Reason NAKCode
	Detail []byte // mostly empty
}

// PDID is who the PD says it is. Nothing proves it before a secure channel.
type PDID struct {
	Vendor         [3]byte // IEEE OUI
	Model, Version uint8
	Serial         uint32
	Firmware       [3]byte // major, minor, build
}

// String is made for people: vendor, model, serial and firmware.
func (r PDID) String() string {
	return fmt.Sprintf("vendor %s, model %d version %d, serial %08X, firmware %d.%d.%d",
		strings.ToUpper(hex.EncodeToString(r.Vendor[:])), r.Model, r.Version, r.Serial, r.Firmware[0], r.Firmware[1], r.Firmware[2])
}

// What a capability is about, OSDP v2.2 annex B.
const (
	CapInputs     = 1
	CapOutputs    = 2
	CapCardFormat = 3
	CapLED        = 4
	CapBuzzer     = 5
	CapText       = 6
	CapTime       = 7
	CapCheck      = 8 // compliance 1: CRC-16
	CapSecurity   = 9
	CapReceive    = 10 // bytes the PD takes: compliance low byte, number high byte
	CapMessage    = 11
	CapSmartCard  = 12
	CapReaders    = 13
	CapBiometrics = 14
	CapSecurePIN  = 15
	CapVersion    = 16
)

// A Capability is one record of PDCAP.
type Capability struct {
	Function, Compliance, Number uint8
}

// PDCAP is what the PD says it can do. Policy never rests on it: anybody on the
// line could have written it.
type PDCAP []Capability

// Find gives the capability for function.
func (r PDCAP) Find(function uint8) (Capability, bool) {
	for _, c := range r {
		if c.Function == function {
			return c, true
		}
	}
	return Capability{}, false
}

// minReceive is what each end takes until it is told otherwise, in bytes.
const minReceive = 128

// ReceiveSize is the longest frame the PD takes, 128 to MaxFrame bytes.
func (r PDCAP) ReceiveSize() int {
	c, _ := r.Find(CapReceive)
	return min(max(int(c.Compliance)|int(c.Number)<<8, minReceive), MaxFrame)
}

// LSTATR is the state of the PD itself.
type LSTATR struct {
	Tamper uint8 // 0 normal, 1 tamper
	Power  uint8 // 0 normal, 1 power failure
}

// An InputState is the state of one input.
type InputState uint8

// The input states, OSDP v2.2 §7.7.
const (
	InputInactive InputState = iota
	InputActive
	InputShort
	InputOpen
	InputFault
	InputUnknown
)

// ISTATR is the state of each input, from input 0.
type ISTATR []InputState

// OSTATR is the state of each output, from output 0: 0 off, 1 on.
type OSTATR []uint8

// A ReaderState is the state of one reader head at a PD.
type ReaderState uint8

// The reader states, OSDP v2.2 §7.9.
const (
	ReaderNormal ReaderState = iota
	ReaderNotConnected
	ReaderTamper
)

// RSTATR is the state of each reader head, from reader 0.
type RSTATR []ReaderState

// A CardFormat says how a RAW reply means its bits.
type CardFormat uint8

// The card formats, OSDP v2.2 §7.10.
const (
	FormatRaw CardFormat = iota
	FormatWiegand
	FormatUID
	FormatSeos // OSS SID
)

// RAW is a card as the reader read it. It prints without the bits.
type RAW struct {
	Reader     uint8
	CardFormat CardFormat
	Bits       int    // 0 to 65535
	Data       []byte // at least (Bits+7)/8 bytes, left aligned, first bit read first
}

// FMT is a card as characters; old readers still send it. It prints without them.
type FMT struct {
	Reader    uint8
	Direction uint8 // 1 forward, 2 backward
	Chars     []byte
}

// The keys that are not their own ASCII character, OSDP v2.2 §7.12.
const (
	KeyStar  = 0x7f
	KeyPound = 0x0d
)

// KEYPAD is one or several keys. It prints without them.
type KEYPAD struct {
	Reader uint8
	Keys   []byte // ASCII digits, KeyStar, KeyPound; at most 255
}

// COM is the address and speed that hold from now on.
type COM struct {
	Addr uint8
	Baud uint32 // bits per second
}

// A RawReply is any other reply, and one of the above whose bytes are not as
// the standard has them. It prints without its data.
type RawReply struct {
	Op   byte
	Data []byte
}

func (ACK) Code() byte        { return CodeACK }
func (BUSY) Code() byte       { return CodeBUSY }
func (NAK) Code() byte        { return CodeNAK }
func (PDID) Code() byte       { return CodePDID }
func (PDCAP) Code() byte      { return CodePDCAP }
func (LSTATR) Code() byte     { return CodeLSTATR }
func (ISTATR) Code() byte     { return CodeISTATR }
func (OSTATR) Code() byte     { return CodeOSTATR }
func (RSTATR) Code() byte     { return CodeRSTATR }
func (RAW) Code() byte        { return CodeRAW }
func (FMT) Code() byte        { return CodeFMT }
func (KEYPAD) Code() byte     { return CodeKEYPAD }
func (COM) Code() byte        { return CodeCOM }
func (r RawReply) Code() byte { return r.Op }

func (ACK) AppendData(b []byte) ([]byte, error)  { return b, nil }
func (BUSY) AppendData(b []byte) ([]byte, error) { return b, nil }

func (r NAK) AppendData(b []byte) ([]byte, error) {
	return append(append(b, byte(r.Reason)), r.Detail...), nil
}

func (r PDID) AppendData(b []byte) ([]byte, error) {
	b = append(append(b, r.Vendor[:]...), r.Model, r.Version)
	b = binary.LittleEndian.AppendUint32(b, r.Serial)
	return append(b, r.Firmware[:]...), nil
}

func (r PDCAP) AppendData(b []byte) ([]byte, error) {
	for _, c := range r {
		b = append(b, c.Function, c.Compliance, c.Number)
	}
	return b, nil
}

func (r LSTATR) AppendData(b []byte) ([]byte, error) { return append(b, r.Tamper, r.Power), nil }

func (r ISTATR) AppendData(b []byte) ([]byte, error) {
	for _, s := range r {
		b = append(b, byte(s))
	}
	return b, nil
}

func (r OSTATR) AppendData(b []byte) ([]byte, error) { return append(b, r...), nil }

func (r RSTATR) AppendData(b []byte) ([]byte, error) {
	for _, s := range r {
		b = append(b, byte(s))
	}
	return b, nil
}

func (r RAW) AppendData(b []byte) ([]byte, error) {
	if r.Bits < 0 || r.Bits > 0xffff || len(r.Data) < (r.Bits+7)/8 {
		return b, fmt.Errorf("%w: RAW of %d bits in %d bytes", ErrValue, r.Bits, len(r.Data))
	}
	b = binary.LittleEndian.AppendUint16(append(b, r.Reader, byte(r.CardFormat)), uint16(r.Bits))
	return append(b, r.Data...), nil
}

func (r FMT) AppendData(b []byte) ([]byte, error) {
	if len(r.Chars) > 0xff {
		return b, fmt.Errorf("%w: FMT of %d characters, limit 255", ErrValue, len(r.Chars))
	}
	return append(append(b, r.Reader, r.Direction, byte(len(r.Chars))), r.Chars...), nil
}

func (r KEYPAD) AppendData(b []byte) ([]byte, error) {
	if len(r.Keys) > 0xff {
		return b, fmt.Errorf("%w: KEYPAD of %d keys, limit 255", ErrValue, len(r.Keys))
	}
	return append(append(b, r.Reader, byte(len(r.Keys))), r.Keys...), nil
}

func (r COM) AppendData(b []byte) ([]byte, error) {
	return binary.LittleEndian.AppendUint32(append(b, r.Addr), r.Baud), nil
}

func (r RawReply) AppendData(b []byte) ([]byte, error) { return append(b, r.Data...), nil }

// The replies that may carry card bits, a PIN or a cryptogram print as their
// kind and length, whatever the verb and the log handler.

func (r RAW) String() string      { return fmt.Sprintf("card of %d bits (hidden)", r.Bits) }
func (r FMT) String() string      { return fmt.Sprintf("card of %d characters (hidden)", len(r.Chars)) }
func (r KEYPAD) String() string   { return fmt.Sprintf("%d keys (hidden)", len(r.Keys)) }
func (r RawReply) String() string { return fmt.Sprintf("reply 0x%02x, %d bytes", r.Op, len(r.Data)) }

func (r RAW) Format(s fmt.State, _ rune)      { fmt.Fprint(s, r.String()) }
func (r FMT) Format(s fmt.State, _ rune)      { fmt.Fprint(s, r.String()) }
func (r KEYPAD) Format(s fmt.State, _ rune)   { fmt.Fprint(s, r.String()) }
func (r RawReply) Format(s fmt.State, _ rune) { fmt.Fprint(s, r.String()) }

func (r RAW) MarshalText() ([]byte, error)      { return []byte(r.String()), nil }
func (r FMT) MarshalText() ([]byte, error)      { return []byte(r.String()), nil }
func (r KEYPAD) MarshalText() ([]byte, error)   { return []byte(r.String()), nil }
func (r RawReply) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// ParseReply gives bytes their meaning. It never fails: a code that it does not
// know, or data of a wrong length, is a RawReply. NAK, RAW, FMT, KEYPAD, OSTATR
// and RawReply keep data; the others copy what they need.
func ParseReply(code byte, data []byte) Reply {
	n := len(data)
	switch {
	case code == CodeACK && n == 0:
		return ACK{}
	case code == CodeBUSY && n == 0:
		return BUSY{}
	case code == CodeNAK && n >= 1:
		return NAK{NAKCode(data[0]), data[1:]}
	case code == CodePDID && n == 12:
		return PDID{[3]byte(data), data[3], data[4], binary.LittleEndian.Uint32(data[5:]), [3]byte(data[9:])}
	case code == CodePDCAP && n%3 == 0:
		r := make(PDCAP, 0, n/3)
		for d := data; len(d) > 0; d = d[3:] {
			r = append(r, Capability{d[0], d[1], d[2]})
		}
		return r
	case code == CodeLSTATR && n == 2:
		return LSTATR{data[0], data[1]}
	case code == CodeISTATR:
		r := make(ISTATR, n)
		for i, v := range data {
			r[i] = InputState(v)
		}
		return r
	case code == CodeOSTATR:
		return OSTATR(data)
	case code == CodeRSTATR:
		r := make(RSTATR, n)
		for i, v := range data {
			r[i] = ReaderState(v)
		}
		return r
	case code == CodeRAW && n >= 4:
		// Bytes past the bit count are kept: some readers send a fixed length.
		if bits := int(binary.LittleEndian.Uint16(data[2:])); n-4 >= (bits+7)/8 {
			return RAW{data[0], CardFormat(data[1]), bits, data[4:]}
		}
	case code == CodeFMT && n >= 3 && n == 3+int(data[2]):
		return FMT{data[0], data[1], data[3:]}
	case code == CodeKEYPAD && n >= 2 && n == 2+int(data[1]):
		return KEYPAD{data[0], data[2:]}
	case code == CodeCOM && n == 5:
		return COM{data[0], binary.LittleEndian.Uint32(data[1:])}
	}
	return RawReply{code, data}
}
