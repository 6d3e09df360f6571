package osdp

import (
	"encoding/binary"
	"fmt"
)

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

// How a card of FMT was drawn through its reader.
const (
	DirectionForward  = 1
	DirectionBackward = 2
)

// FMT is a card as characters; old readers still send it. It prints without them.
type FMT struct {
	Reader    uint8
	Direction uint8 // DirectionForward, DirectionBackward
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

func (RAW) Code() byte    { return CodeRAW }
func (FMT) Code() byte    { return CodeFMT }
func (KEYPAD) Code() byte { return CodeKEYPAD }

// What somebody presented prints as its kind and length, whatever the verb and
// the log handler.

func (r RAW) String() string    { return fmt.Sprintf("card of %d bits (hidden)", r.Bits) }
func (r FMT) String() string    { return fmt.Sprintf("card of %d characters (hidden)", len(r.Chars)) }
func (r KEYPAD) String() string { return fmt.Sprintf("%d keys (hidden)", len(r.Keys)) }

func (r RAW) Format(s fmt.State, _ rune)    { fmt.Fprint(s, r.String()) }
func (r FMT) Format(s fmt.State, _ rune)    { fmt.Fprint(s, r.String()) }
func (r KEYPAD) Format(s fmt.State, _ rune) { fmt.Fprint(s, r.String()) }

func (r RAW) MarshalText() ([]byte, error)    { return []byte(r.String()), nil }
func (r FMT) MarshalText() ([]byte, error)    { return []byte(r.String()), nil }
func (r KEYPAD) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func parseRAW(d []byte) Reply {
	if len(d) < 4 {
		return nil
	}
	// Bytes past the bit count are kept: some readers send a fixed length.
	bits := int(binary.LittleEndian.Uint16(d[2:]))
	if len(d)-4 < (bits+7)/8 {
		return nil
	}
	return RAW{d[0], CardFormat(d[1]), bits, d[4:]}
}

func parseFMT(d []byte) Reply {
	if len(d) < 3 || len(d) != 3+int(d[2]) {
		return nil
	}
	return FMT{d[0], d[1], d[3:]}
}

func parseKEYPAD(d []byte) Reply {
	if len(d) < 2 || len(d) != 2+int(d[1]) {
		return nil
	}
	return KEYPAD{d[0], d[2:]}
}
