package osdptest

import (
	"slices"
	"time"

	"latchkey/osdp"
)

// execute does what a command says and gives the answer. What others have a
// say in is asked without the lock.
func (p *PD) execute(now time.Time, c osdp.Command) (r osdp.Reply) {
	r, asked := p.request(now, c)
	p.locked(func() {
		if !asked {
			r = p.answer(now, c)
		}
		if r.Code() != osdp.CodeNAK && r.Code() != osdp.CodeBUSY && p.cfg.OnCommand != nil {
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
		return p.identity(now, c)
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
		return p.buzz(c)
	case osdp.TEXT:
		return p.text(c)
	case osdp.COMSET:
		return p.comset(c)
	case osdp.ACURXSIZE:
		if c.Size < leastReply {
			return osdp.NAK{Reason: osdp.NAKRecord}
		}
	case osdp.ABORT:
		p.work.abort()
	case osdp.KEEPACTIVE: // a smart card is active while it is held here: any time is granted
		if !p.cfg.SmartCards {
			return osdp.NAK{Reason: osdp.NAKUnknown}
		}
	case osdp.RawCommand:
		if p.knows(c.Op) {
			return osdp.NAK{Reason: osdp.NAKLength}
		}
		return osdp.NAK{Reason: osdp.NAKUnknown}
	default:
		return osdp.NAK{Reason: osdp.NAKUnknown}
	}
	return osdp.ACK{}
}

// identity answers ID. A result that is due comes after it, from its start if
// it was half told: a panel puts one message together at a time.
func (p *PD) identity(now time.Time, c osdp.ID) osdp.Reply {
	if c.Kind != osdp.IDExtended || p.cfg.ExtendedID == nil {
		return p.cfg.ID
	}
	p.work.identity, p.work.told = p.cut(p.cfg.ExtendedID), 0
	r, _ := p.work.next(now)
	return r
}

// knows tells whether the PD carries out commands of a code, so that only the
// length of one can be wrong.
func (p *PD) knows(code byte) bool {
	switch code {
	case osdp.CodePOLL, osdp.CodeID, osdp.CodeCAP, osdp.CodeLSTAT, osdp.CodeISTAT, osdp.CodeOSTAT, osdp.CodeRSTAT, osdp.CodeOUT,
		osdp.CodeLED, osdp.CodeBUZ, osdp.CodeTEXT, osdp.CodeCOMSET, osdp.CodeACURXSIZE, osdp.CodeABORT:
		return true
	case osdp.CodeBIOREAD:
		return p.cfg.OnBioRead != nil
	case osdp.CodeBIOMATCH:
		return p.cfg.OnBioMatch != nil
	case osdp.CodeMFG:
		return p.cfg.OnMFG != nil
	case osdp.CodeFILETRANSFER:
		return p.cfg.Files != nil
	case osdp.CodeTDSET:
		return p.cfg.OnClock != nil
	case osdp.CodeXWR, osdp.CodePIVDATA, osdp.CodeGENAUTH, osdp.CodeCRAUTH, osdp.CodeKEEPACTIVE:
		return p.cfg.SmartCards
	}
	return false
}

// leastReply is the length of CCRYPT, the longest reply that no panel can do
// without, in bytes.
const leastReply = 43

// comset tells the address and speed that hold from now on: those asked for,
// but for a speed that the PD does not know.
func (p *PD) comset(c osdp.COMSET) osdp.Reply {
	if c.Addr >= osdp.Broadcast {
		return osdp.NAK{Reason: osdp.NAKRecord}
	}
	if slices.Contains(p.cfg.Bauds, c.Baud) {
		p.baud = c.Baud
	}
	return osdp.COM{Addr: c.Addr, Baud: p.baud}
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
		{Function: osdp.CapLED, Compliance: 4, Number: uint8(p.cfg.LEDs)},
		{Function: osdp.CapBuzzer, Compliance: 2, Number: 1},
		{Function: osdp.CapText, Compliance: 1, Number: 1},
		{Function: osdp.CapCheck, Compliance: bit(!p.cfg.ChecksumOnly)},
		{Function: osdp.CapReceive, Compliance: osdp.MaxFrame & 0xff, Number: osdp.MaxFrame >> 8},
		{Function: osdp.CapReaders, Number: uint8(p.cfg.Readers)},
		{Function: osdp.CapVersion, Compliance: 2},
	}
	if p.engine.key != nil || p.engine.install {
		caps = append(caps, osdp.Capability{Function: osdp.CapSecurity, Compliance: 1, Number: bit(p.engine.install)})
	}
	if p.cfg.OnClock != nil {
		caps = append(caps, osdp.Capability{Function: osdp.CapTime, Compliance: 1})
	}
	if p.cfg.SmartCards {
		const transparent, extendedPacket = 1, 2 // XWR; PIVDATA, GENAUTH, CRAUTH
		caps = append(caps, osdp.Capability{Function: osdp.CapMessage, Compliance: messageMost & 0xff, Number: messageMost >> 8},
			osdp.Capability{Function: osdp.CapSmartCard, Compliance: transparent | extendedPacket},
			osdp.Capability{Function: osdp.CapSecurePIN, Compliance: 1})
	}
	if p.cfg.OnBioRead != nil || p.cfg.OnBioMatch != nil {
		caps = append(caps, osdp.Capability{Function: osdp.CapBiometrics, Compliance: 1})
	}
	return caps
}
