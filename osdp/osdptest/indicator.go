package osdptest

import (
	"time"

	"latchkey/osdp"
)

type led struct {
	permanent, temporary osdp.Color
	until                time.Time
}

// LED tells the colour that a LED shows (while it is lit, if it blinks).
func (p *PD) LED(reader, n uint8) (c osdp.Color) {
	p.locked(func() {
		l := p.leds[[2]uint8{reader, n}]
		if c = l.permanent; time.Now().Before(l.until) {
			c = l.temporary
		}
	})
	return c
}

// led carries out LED. A block that would shine neither on nor off is refused,
// as libosdp's PD does.
func (p *PD) led(now time.Time, c osdp.LED) osdp.Reply {
	for _, l := range c {
		bad := func(k osdp.Blink, set, most uint8) bool {
			return k.Code > most || k.Code == set && k.On == 0 && k.Off == 0 || k.OnColor > osdp.White || k.OffColor > osdp.White
		}
		if int(l.Reader) >= p.cfg.Readers || int(l.LED) >= p.cfg.LEDs || bad(l.Temporary, osdp.LEDSet, osdp.LEDSet) || bad(l.Permanent, osdp.LEDPerm, osdp.LEDPerm) {
			return osdp.NAK{Reason: osdp.NAKRecord}
		}
	}
	for _, l := range c {
		state := p.leds[[2]uint8{l.Reader, l.LED}]
		switch l.Temporary.Code {
		case osdp.LEDCancel:
			state.until = time.Time{}
		case osdp.LEDSet:
			state.temporary, state.until = shown(l.Temporary), now.Add(l.Timer)
		}
		if l.Permanent.Code == osdp.LEDPerm {
			state.permanent = shown(l.Permanent)
		}
		p.leds[[2]uint8{l.Reader, l.LED}] = state
		if p.cfg.OnLED != nil {
			p.calls = append(p.calls, func() { p.cfg.OnLED(l) })
		}
	}
	return osdp.ACK{}
}

// shown is the colour of a LED while it is lit.
func shown(k osdp.Blink) osdp.Color {
	if k.On == 0 {
		return k.OffColor
	}
	return k.OnColor
}

// buzz carries out BUZ. A tone that would not sound is refused, as libosdp's PD
// does.
func (p *PD) buzz(c osdp.BUZ) osdp.Reply {
	if int(c.Reader) >= p.cfg.Readers || c.Tone > osdp.ToneDefault || c.Tone == osdp.ToneDefault && c.On == 0 {
		return osdp.NAK{Reason: osdp.NAKRecord}
	}
	if p.cfg.OnBuzzer != nil {
		p.calls = append(p.calls, func() { p.cfg.OnBuzzer(c) })
	}
	return osdp.ACK{}
}

// text carries out TEXT.
func (p *PD) text(c osdp.TEXT) osdp.Reply {
	if int(c.Reader) >= p.cfg.Readers || c.Mode < osdp.TextPermanent || c.Mode > osdp.TextForWrap || c.Row == 0 || c.Col == 0 {
		return osdp.NAK{Reason: osdp.NAKRecord}
	}
	if p.cfg.OnText != nil {
		p.calls = append(p.calls, func() { p.cfg.OnText(c) })
	}
	return osdp.ACK{}
}
