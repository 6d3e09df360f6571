package osdptest

import (
	"time"

	"latchkey/osdp"
)

// execute does what a command says and gives the answer.
func (p *PD) execute(now time.Time, c osdp.Command) (r osdp.Reply) {
	p.locked(func() {
		r = p.answer(now, c)
		if _, refused := r.(osdp.NAK); !refused && p.cfg.OnCommand != nil {
			p.calls = append(p.calls, func() { p.cfg.OnCommand(c) })
		}
	})
	return r
}

func (p *PD) answer(now time.Time, c osdp.Command) osdp.Reply {
	switch c := c.(type) {
	case osdp.POLL:
		return p.poll(now)
	case osdp.ID:
		return p.cfg.ID
	case osdp.CAP:
		return p.caps()
	case osdp.LSTAT:
		return p.state(osdp.CodeLSTATR)
	case osdp.ISTAT:
		return p.state(osdp.CodeISTATR)
	case osdp.OSTAT:
		return p.state(osdp.CodeOSTATR)
	case osdp.RSTAT:
		return p.state(osdp.CodeRSTATR)
	case osdp.OUT:
		return p.out(c)
	case osdp.LED:
		return p.led(now, c)
	case osdp.BUZ:
		if int(c.Reader) >= p.cfg.Readers || c.Tone > osdp.ToneDefault {
			return osdp.NAK{Reason: osdp.NAKRecord}
		}
		if p.cfg.OnBuzzer != nil {
			p.calls = append(p.calls, func() { p.cfg.OnBuzzer(c) })
		}
	case osdp.TEXT:
		if int(c.Reader) >= p.cfg.Readers || c.Mode < osdp.TextPermanent || c.Mode > osdp.TextForWrap || c.Row == 0 || c.Col == 0 {
			return osdp.NAK{Reason: osdp.NAKRecord}
		}
		if p.cfg.OnText != nil {
			p.calls = append(p.calls, func() { p.cfg.OnText(c) })
		}
	case osdp.COMSET:
		if c.Addr >= osdp.Broadcast {
			return osdp.NAK{Reason: osdp.NAKRecord}
		}
		return osdp.COM(c)
	case osdp.KEEPACTIVE, osdp.ACURXSIZE, osdp.ABORT:
	case osdp.RawCommand:
		if known(c.Op) {
			return osdp.NAK{Reason: osdp.NAKLength}
		}
		return osdp.NAK{Reason: osdp.NAKUnknown}
	}
	return osdp.ACK{}
}

// known says whether a code is one that answer knows, so that only its length
// can be wrong.
func known(code byte) bool {
	switch code {
	case osdp.CodePOLL, osdp.CodeID, osdp.CodeCAP, osdp.CodeLSTAT, osdp.CodeISTAT, osdp.CodeOSTAT, osdp.CodeRSTAT, osdp.CodeOUT,
		osdp.CodeLED, osdp.CodeBUZ, osdp.CodeTEXT, osdp.CodeCOMSET, osdp.CodeKEEPACTIVE, osdp.CodeACURXSIZE, osdp.CodeABORT:
		return true
	}
	return false
}

// caps is what the PD says it can do.
func (p *PD) caps() osdp.PDCAP {
	if p.cfg.Caps != nil {
		return p.cfg.Caps
	}
	caps := osdp.PDCAP{
		{Function: osdp.CapInputs, Compliance: 1, Number: uint8(p.cfg.Inputs)},
		{Function: osdp.CapOutputs, Compliance: 4, Number: uint8(p.cfg.Outputs)},
		{Function: osdp.CapCardFormat, Compliance: 1},
		{Function: osdp.CapLED, Compliance: 4, Number: 1},
		{Function: osdp.CapBuzzer, Compliance: 2, Number: 1},
		{Function: osdp.CapCheck, Compliance: bit(!p.cfg.ChecksumOnly)},
		{Function: osdp.CapReceive, Compliance: osdp.MaxFrame & 0xff, Number: osdp.MaxFrame >> 8},
		{Function: osdp.CapReaders, Number: uint8(p.cfg.Readers)},
		{Function: osdp.CapVersion, Compliance: 2},
	}
	if p.engine.key != nil || p.engine.install {
		caps = append(caps, osdp.Capability{Function: osdp.CapSecurity, Compliance: 1, Number: bit(p.engine.install)})
	}
	return caps
}
