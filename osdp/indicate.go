package osdp

import (
	"encoding/binary"
	"fmt"
	"time"
)

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

func (OUT) Code() byte  { return CodeOUT }
func (LED) Code() byte  { return CodeLED }
func (BUZ) Code() byte  { return CodeBUZ }
func (TEXT) Code() byte { return CodeTEXT }

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

func parseOUT(d []byte) Command {
	if len(d) == 0 || len(d)%4 != 0 {
		return nil
	}
	c := make(OUT, 0, len(d)/4)
	for ; len(d) > 0; d = d[4:] {
		c = append(c, OutputControl{d[0], OutputAction(d[1]), ticks16(d[2:])})
	}
	return c
}

func parseLED(d []byte) Command {
	if len(d) == 0 || len(d)%14 != 0 {
		return nil
	}
	c := make(LED, 0, len(d)/14)
	for ; len(d) > 0; d = d[14:] {
		c = append(c, LEDControl{d[0], d[1], blink(d[2:]), ticks16(d[7:]), blink(d[9:])})
	}
	return c
}

func blink(d []byte) Blink {
	return Blink{d[0], ticks(d[1]), ticks(d[2]), Color(d[3]), Color(d[4])}
}

func parseBUZ(d []byte) Command {
	if len(d) != 5 {
		return nil
	}
	return BUZ{d[0], d[1], ticks(d[2]), ticks(d[3]), d[4]}
}

func parseTEXT(d []byte) Command {
	if len(d) < 6 || len(d) != 6+int(d[5]) {
		return nil
	}
	return TEXT{d[0], d[1], time.Duration(d[2]) * time.Second, d[3], d[4], string(d[6:])}
}
