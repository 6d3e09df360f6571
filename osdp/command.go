package osdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// The command codes, OSDP v2.2 §6.
const (
	CodePOLL         byte = 0x60
	CodeID           byte = 0x61
	CodeCAP          byte = 0x62
	CodeLSTAT        byte = 0x64
	CodeISTAT        byte = 0x65
	CodeOSTAT        byte = 0x66
	CodeRSTAT        byte = 0x67
	CodeOUT          byte = 0x68
	CodeLED          byte = 0x69
	CodeBUZ          byte = 0x6a
	CodeTEXT         byte = 0x6b
	CodeCOMSET       byte = 0x6e
	CodeKEYSET       byte = 0x75
	CodeCHLNG        byte = 0x76
	CodeSCRYPT       byte = 0x77
	CodeACURXSIZE    byte = 0x7b
	CodeFILETRANSFER byte = 0x7c
	CodeMFG          byte = 0x80
	CodeABORT        byte = 0xa2
	CodeKEEPACTIVE   byte = 0xa7
)

// ErrValue means that a command or reply holds a value that its bytes cannot.
var ErrValue = errors.New("osdp: value does not fit the wire")

// A Command is what the panel sends to a PD. Two forms never differ: what
// ParseCommand makes of some bytes, Code and AppendData give back.
type Command interface {
	// Code is the command's code byte.
	Code() byte
	// AppendData appends the bytes after the code to b. A value that the wire
	// cannot hold is an ErrValue.
	AppendData(b []byte) ([]byte, error)
}

// The commands without data.
type (
	POLL  struct{} // asks for news
	LSTAT struct{} // asks for tamper and power
	ISTAT struct{} // asks for the inputs
	OSTAT struct{} // asks for the outputs
	RSTAT struct{} // asks for the readers
	ABORT struct{} // ends a multi-part message or a file transfer
)

// ID asks who the PD is.
type ID struct {
	Kind uint8 // 0 for the standard PDID
}

// CAP asks what the PD can do.
type CAP struct {
	Kind uint8 // 0; nothing else is in use
}

// An OutputAction is what an OUT record does to its output.
type OutputAction uint8

// The output actions, OSDP v2.2 §6.9. An output has a permanent state, and a
// timer may lay a temporary one over it.
const (
	OutputNOP        OutputAction = iota
	OutputOff                     // permanently off, and ends the timer
	OutputOn                      // permanently on, and ends the timer
	OutputOffAfter                // permanently off once the timer ends
	OutputOnAfter                 // permanently on once the timer ends
	OutputOnFor                   // on for Timer, then back to the permanent state
	OutputOffFor                  // off for Timer, then back to the permanent state
	lastOutputAction = OutputOffFor
)

// An OutputControl is one record of OUT.
type OutputControl struct {
	Output uint8
	Action OutputAction
	Timer  time.Duration // 0 to 6553.5 s in steps of 100 ms; OutputOnFor and OutputOffFor
}

// OUT sets outputs: the strike of a door, mostly.
type OUT []OutputControl

// A Color is what a LED shows.
type Color uint8

// The colours, OSDP v2.2 §6.10.
const (
	Black Color = iota
	Red
	Green
	Amber
	Blue
	Magenta
	Cyan
	White
)

// What the two blocks of a LED record do.
const (
	LEDNop    = 0 // leave it
	LEDCancel = 1 // temporary block: end it, show the permanent state
	LEDSet    = 2 // temporary block: show this until Timer has run
	LEDPerm   = 1 // permanent block: show this
)

// A Blink is how a LED shines: On in OnColor, Off in OffColor, and again.
type Blink struct {
	Code              uint8         // LEDNop, LEDCancel, LEDSet; LEDNop, LEDPerm
	On, Off           time.Duration // 0 to 25.5 s in steps of 100 ms; not both 0 in what is set
	OnColor, OffColor Color
}

// A LEDControl is one record of LED.
type LEDControl struct {
	Reader, LED uint8
	Temporary   Blink
	Timer       time.Duration // how long Temporary holds: 0 to 6553.5 s in steps of 100 ms
	Permanent   Blink
}

// LED sets what the LEDs of a reader show.
type LED []LEDControl

// The tones of BUZ.
const (
	ToneNone    = 0
	ToneOff     = 1
	ToneDefault = 2
)

// BUZ sounds a reader's buzzer.
type BUZ struct {
	Reader  uint8
	Tone    uint8
	On, Off time.Duration // 0 to 25.5 s in steps of 100 ms
	Count   uint8         // 0 = until told otherwise
}

// How TEXT stands on the display.
const (
	TextPermanent     = 1
	TextPermanentWrap = 2
	TextFor           = 3
	TextForWrap       = 4
)

// TEXT writes on a reader's display.
type TEXT struct {
	Reader   uint8
	Mode     uint8
	Time     time.Duration // 0 to 255 s in whole seconds; TextFor and TextForWrap
	Row, Col uint8         // from 1
	Text     string        // at most 255 bytes, ASCII
}

// COMSET gives a PD a new address and speed. It answers COM at the old ones,
// with those that hold from then on.
type COMSET struct {
	Addr uint8  // 0 to 126
	Baud uint32 // bits per second
}

// KEEPACTIVE keeps a smart card session of the PD open.
type KEEPACTIVE struct {
	Time time.Duration // 0 to 65.535 s in milliseconds; 0 ends it
}

// ACURXSIZE tells how long a reply the panel takes.
type ACURXSIZE struct {
	Size uint16 // bytes, SOM to check
}

// A RawCommand is any other command, and one of the above whose bytes are not
// as the standard has them. It prints without its data.
type RawCommand struct {
	Op   byte
	Data []byte
}

func (POLL) Code() byte         { return CodePOLL }
func (LSTAT) Code() byte        { return CodeLSTAT }
func (ISTAT) Code() byte        { return CodeISTAT }
func (OSTAT) Code() byte        { return CodeOSTAT }
func (RSTAT) Code() byte        { return CodeRSTAT }
func (ABORT) Code() byte        { return CodeABORT }
func (ID) Code() byte           { return CodeID }
func (CAP) Code() byte          { return CodeCAP }
func (OUT) Code() byte          { return CodeOUT }
func (LED) Code() byte          { return CodeLED }
func (BUZ) Code() byte          { return CodeBUZ }
func (TEXT) Code() byte         { return CodeTEXT }
func (COMSET) Code() byte       { return CodeCOMSET }
func (KEEPACTIVE) Code() byte   { return CodeKEEPACTIVE }
func (ACURXSIZE) Code() byte    { return CodeACURXSIZE }
func (c RawCommand) Code() byte { return c.Op }

func (POLL) AppendData(b []byte) ([]byte, error)  { return b, nil }
func (LSTAT) AppendData(b []byte) ([]byte, error) { return b, nil }
func (ISTAT) AppendData(b []byte) ([]byte, error) { return b, nil }
func (OSTAT) AppendData(b []byte) ([]byte, error) { return b, nil }
func (RSTAT) AppendData(b []byte) ([]byte, error) { return b, nil }
func (ABORT) AppendData(b []byte) ([]byte, error) { return b, nil }
func (c ID) AppendData(b []byte) ([]byte, error)  { return append(b, c.Kind), nil }
func (c CAP) AppendData(b []byte) ([]byte, error) { return append(b, c.Kind), nil }

func (c OUT) AppendData(b []byte) ([]byte, error) {
	for _, o := range c {
		timer, err := units("OUT timer", o.Timer, tick, 0xffff)
		if err != nil {
			return b, err
		}
		b = append(b, o.Output, byte(o.Action))
		b = binary.LittleEndian.AppendUint16(b, timer)
	}
	return b, nil
}

func (c LED) AppendData(b []byte) ([]byte, error) {
	for _, l := range c {
		timer, err := units("LED timer", l.Timer, tick, 0xffff)
		if err != nil {
			return b, err
		}
		b = append(b, l.Reader, l.LED)
		if b, err = l.Temporary.append(b); err != nil {
			return b, err
		}
		b = binary.LittleEndian.AppendUint16(b, timer)
		if b, err = l.Permanent.append(b); err != nil {
			return b, err
		}
	}
	return b, nil
}

func (k Blink) append(b []byte) ([]byte, error) {
	on, err := units("LED on", k.On, tick, 0xff)
	if err != nil {
		return b, err
	}
	off, err := units("LED off", k.Off, tick, 0xff)
	if err != nil {
		return b, err
	}
	return append(b, k.Code, byte(on), byte(off), byte(k.OnColor), byte(k.OffColor)), nil
}

func (c BUZ) AppendData(b []byte) ([]byte, error) {
	on, err := units("BUZ on", c.On, tick, 0xff)
	if err != nil {
		return b, err
	}
	off, err := units("BUZ off", c.Off, tick, 0xff)
	if err != nil {
		return b, err
	}
	return append(b, c.Reader, c.Tone, byte(on), byte(off), c.Count), nil
}

func (c TEXT) AppendData(b []byte) ([]byte, error) {
	t, err := units("TEXT time", c.Time, time.Second, 0xff)
	if err != nil {
		return b, err
	}
	if len(c.Text) > 0xff {
		return b, fmt.Errorf("%w: TEXT of %d bytes, limit 255", ErrValue, len(c.Text))
	}
	b = append(b, c.Reader, c.Mode, byte(t), c.Row, c.Col, byte(len(c.Text)))
	return append(b, c.Text...), nil
}

func (c COMSET) AppendData(b []byte) ([]byte, error) {
	return binary.LittleEndian.AppendUint32(append(b, c.Addr), c.Baud), nil
}

func (c KEEPACTIVE) AppendData(b []byte) ([]byte, error) {
	t, err := units("KEEPACTIVE time", c.Time, time.Millisecond, 0xffff)
	if err != nil {
		return b, err
	}
	return binary.LittleEndian.AppendUint16(b, t), nil
}

func (c ACURXSIZE) AppendData(b []byte) ([]byte, error) {
	return binary.LittleEndian.AppendUint16(b, c.Size), nil
}

func (c RawCommand) AppendData(b []byte) ([]byte, error) { return append(b, c.Data...), nil }

// String tells the code and the length.
func (c RawCommand) String() string {
	return fmt.Sprintf("command 0x%02x, %d bytes", c.Op, len(c.Data))
}

// Format prints String whatever the verb: the data may be a key.
func (c RawCommand) Format(s fmt.State, _ rune) { fmt.Fprint(s, c.String()) }

// MarshalText is String.
func (c RawCommand) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// tick is the unit of most of the protocol's times.
const tick = 100 * time.Millisecond

// units turns d into a number of units, and refuses what would be rounded.
func units(what string, d, unit time.Duration, most uint16) (uint16, error) {
	if d < 0 || d%unit != 0 || d/unit > time.Duration(most) {
		return 0, fmt.Errorf("%w: %s %v, want 0 to %v in steps of %v", ErrValue, what, d, time.Duration(most)*unit, unit)
	}
	return uint16(d / unit), nil
}

func ticks(b byte) time.Duration { return time.Duration(b) * tick }

func ticks16(b []byte) time.Duration { return time.Duration(binary.LittleEndian.Uint16(b)) * tick }

// ParseCommand gives bytes their meaning. It never fails: a code that it does
// not know, or data of a wrong length, is a RawCommand, which keeps data; all
// others copy what they need.
func ParseCommand(code byte, data []byte) Command {
	n := len(data)
	switch {
	case code == CodePOLL && n == 0:
		return POLL{}
	case code == CodeLSTAT && n == 0:
		return LSTAT{}
	case code == CodeISTAT && n == 0:
		return ISTAT{}
	case code == CodeOSTAT && n == 0:
		return OSTAT{}
	case code == CodeRSTAT && n == 0:
		return RSTAT{}
	case code == CodeABORT && n == 0:
		return ABORT{}
	case code == CodeID && n == 1:
		return ID{data[0]}
	case code == CodeCAP && n == 1:
		return CAP{data[0]}
	case code == CodeOUT && n > 0 && n%4 == 0:
		c := make(OUT, 0, n/4)
		for d := data; len(d) > 0; d = d[4:] {
			c = append(c, OutputControl{d[0], OutputAction(d[1]), ticks16(d[2:])})
		}
		return c
	case code == CodeLED && n > 0 && n%14 == 0:
		c := make(LED, 0, n/14)
		for d := data; len(d) > 0; d = d[14:] {
			c = append(c, LEDControl{d[0], d[1], blink(d[2:]), ticks16(d[7:]), blink(d[9:])})
		}
		return c
	case code == CodeBUZ && n == 5:
		return BUZ{data[0], data[1], ticks(data[2]), ticks(data[3]), data[4]}
	case code == CodeTEXT && n >= 6 && n == 6+int(data[5]):
		return TEXT{data[0], data[1], time.Duration(data[2]) * time.Second, data[3], data[4], string(data[6:])}
	case code == CodeCOMSET && n == 5:
		return COMSET{data[0], binary.LittleEndian.Uint32(data[1:])}
	case code == CodeKEEPACTIVE && n == 2:
		return KEEPACTIVE{time.Duration(binary.LittleEndian.Uint16(data)) * time.Millisecond}
	case code == CodeACURXSIZE && n == 2:
		return ACURXSIZE{binary.LittleEndian.Uint16(data)}
	}
	return RawCommand{code, data}
}

func blink(d []byte) Blink {
	return Blink{d[0], ticks(d[1]), ticks(d[2]), Color(d[3]), Color(d[4])}
}
