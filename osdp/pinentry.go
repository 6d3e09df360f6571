package osdp

import (
	"encoding/binary"
	"fmt"
	"time"
)

// How a digit of a PIN stands in the APDU.
const (
	PINBinary = 0
	PINBCD    = 1
	PINASCII  = 2
)

// What ends the entry of a PIN; bits.
const (
	PINAtMax     = 1 << iota // the last digit that may be
	PINAtKey                 // the key for it
	PINAtTimeout             // no further digit
)

// EnterPIN lets the reader take a PIN and hand it to the smart card itself, so
// that not even the panel sees it: XWR secure PIN entry. How the PIN is put
// into the APDU is as in PC/SC part 10. The PD answers PINEntered. It prints
// without the APDU.
type EnterPIN struct {
	Reader   uint8
	First    time.Duration // wait for the first digit: 0 to 255 s in whole seconds
	Next     time.Duration // wait for each other one: 0 to 255 s in whole seconds
	Encoding uint8         // PINBinary, PINBCD, PINASCII; at most 3
	Right    bool          // right justified in its block

	Offset        uint8 // of the PIN, in bits or bytes behind the APDU's header; at most 15
	OffsetInBytes bool
	Block         uint8 // bytes that the PIN fills; at most 15
	LengthBits    uint8 // of the field that tells the PIN's length, 0 without one; at most 15
	LengthOffset  uint8 // of that field, in bits or bytes; at most 15
	LengthInBytes bool

	Min, Max uint8 // digits
	Complete uint8 // PINAtMax, PINAtKey, PINAtTimeout

	Messages uint8   // how many the display shows
	Message  uint8   // the first of them
	Language uint16  // of the messages, as USB has them
	Prologue [3]byte // of T=1, as PC/SC calls it
	APDU     []byte  // the command with room for the PIN; at most 65535 bytes
}

// enterPINLen is the bytes before the APDU, mode and command not counted.
const enterPINLen = 18

// nibble is the most that four bits hold.
const nibble = 0x0f

func (EnterPIN) Code() byte { return CodeXWR }

func (c EnterPIN) AppendData(b []byte) ([]byte, error) {
	first, err := units("PIN entry first digit", c.First, time.Second, 0xff)
	if err != nil {
		return b, err
	}
	next, err := units("PIN entry next digit", c.Next, time.Second, 0xff)
	if err != nil {
		return b, err
	}
	if err := c.check(); err != nil {
		return b, err
	}
	b = append(b, ModeTransparent, xwrEnterPIN, c.Reader, byte(first), byte(next),
		bit(c.OffsetInBytes, 0x80)|c.Offset<<3|bit(c.Right, 0x04)|c.Encoding,
		c.LengthBits<<4|c.Block,
		bit(c.LengthInBytes, 0x10)|c.LengthOffset,
		c.Min, c.Max, c.Complete, c.Messages)
	// The only numbers of the protocol with the high byte first.
	b = binary.BigEndian.AppendUint16(b, c.Language)
	b = append(append(b, c.Message), c.Prologue[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(c.APDU)))
	return append(b, c.APDU...), nil
}

// check refuses what does not fit into its bits.
func (c EnterPIN) check() error {
	for _, f := range []struct {
		name      string
		got, most int
	}{
		{"encoding", int(c.Encoding), 3},
		{"offset", int(c.Offset), nibble},
		{"block", int(c.Block), nibble},
		{"length bits", int(c.LengthBits), nibble},
		{"length offset", int(c.LengthOffset), nibble},
		{"APDU length", len(c.APDU), 0xffff},
	} {
		if f.got > f.most {
			return fmt.Errorf("%w: PIN entry %s %d, limit %d", ErrValue, f.name, f.got, f.most)
		}
	}
	return nil
}

func bit(on bool, mask uint8) uint8 {
	if on {
		return mask
	}
	return 0
}

func (c EnterPIN) String() string {
	return fmt.Sprintf("PIN entry of %d to %d digits, APDU of %d bytes (hidden)", c.Min, c.Max, len(c.APDU))
}

// Format prints String whatever the verb.
func (c EnterPIN) Format(s fmt.State, _ rune) { fmt.Fprint(s, c.String()) }

// MarshalText is String.
func (c EnterPIN) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// parseEnterPIN refuses what an EnterPIN could not give back.
func parseEnterPIN(d []byte) (EnterPIN, bool) {
	if len(d) < enterPINLen || len(d) != enterPINLen+int(binary.BigEndian.Uint16(d[16:])) || d[5]&0xe0 != 0 {
		return EnterPIN{}, false
	}
	return EnterPIN{
		Reader:        d[0],
		First:         time.Duration(d[1]) * time.Second,
		Next:          time.Duration(d[2]) * time.Second,
		OffsetInBytes: d[3]&0x80 != 0,
		Offset:        d[3] >> 3 & nibble,
		Right:         d[3]&0x04 != 0,
		Encoding:      d[3] & 0x03,
		LengthBits:    d[4] >> 4,
		Block:         d[4] & nibble,
		LengthInBytes: d[5]&0x10 != 0,
		LengthOffset:  d[5] & nibble,
		Min:           d[6],
		Max:           d[7],
		Complete:      d[8],
		Messages:      d[9],
		Language:      binary.BigEndian.Uint16(d[10:]),
		Message:       d[12],
		Prologue:      [3]byte(d[13:]),
		APDU:          d[enterPINLen:],
	}, true
}
