package osdptest

import (
	"bytes"
	"time"

	"latchkey/osdp"
)

// A SmartCard is what somebody holds to a PD that reads smart cards. Its
// functions may be nil; they are called on the goroutine of Serve.
type SmartCard struct {
	CSN     []byte // its serial number, at most 255 bytes
	Contact bool   // in a slot, not in the air
	Data    []byte // what it says of itself first: ATR or ATS, at most 255 bytes

	// APDU answers a command of the transparent mode.
	APDU func(command []byte) []byte
	// PIN takes a PIN that was keyed at the reader: status, 0 when good, and
	// tries left.
	PIN func(c osdp.EnterPIN) (status, tries uint8)
	// Object is a data object for PIVDATA; nil when there is none.
	Object func(id [3]byte, element uint8) []byte
	// Answer answers the challenge of GENAUTH or CRAUTH; nil refuses it.
	Answer func(code byte, algorithm, keyRef uint8, challenge []byte) []byte
}

// refused is the kind of each TransparentError of ours: no source names any.
const refused = 1

// Insert holds a smart card to a reader head, or takes it away (nil). In
// transparent mode the PD tells of one that comes.
func (p *PD) Insert(reader uint8, c *SmartCard) {
	p.locked(func() {
		p.cards[reader] = c
		if c == nil {
			return
		}
		info := osdp.CardInfo{Reader: reader, Protocol: osdp.ProtocolContactless, CSN: c.CSN, Data: c.Data}
		if c.Contact {
			info.Protocol = osdp.ProtocolContact
		}
		p.enqueue(waiting{osdp.CodeXRD, info, time.Now()})
	})
}

// cardAt is the smart card at a reader head; nil for none.
func (p *PD) cardAt(reader uint8) (c *SmartCard) {
	p.locked(func() { c = p.cards[reader] })
	return c
}

// card answers the commands for a smart card. Those of PIV go to the card at
// reader head 0: they name none.
func (p *PD) card(c osdp.Command) osdp.Reply {
	switch c := c.(type) {
	case osdp.XWR:
		return p.transparent(c.Meaning())
	case osdp.PIVDATA:
		return p.object(c)
	case osdp.GENAUTH:
		return p.challenge(c.Code(), c.Part, c.Algorithm, c.KeyRef, c.Data)
	case osdp.CRAUTH:
		return p.challenge(c.Code(), c.Part, c.Algorithm, c.KeyRef, c.Data)
	}
	return osdp.NAK{Reason: osdp.NAKUnknown}
}

// transparent answers XWR.
func (p *PD) transparent(c osdp.Command) osdp.Reply {
	mode := &p.work.mode
	switch c := c.(type) {
	case osdp.GetMode:
		return osdp.ModeReport(*mode)
	case osdp.SetMode:
		if c.Mode > osdp.ModeTransparent {
			return osdp.TransparentError{Mode: osdp.ModeControl, Kind: refused}
		}
		*mode = c
		return osdp.ACK{}
	case osdp.XWR: // no meaning
		return osdp.NAK{Reason: osdp.NAKRecord}
	}
	if mode.Mode != osdp.ModeTransparent {
		return osdp.TransparentError{Mode: osdp.ModeTransparent, Kind: refused}
	}
	return p.throughCard(c)
}

// throughCard answers what XWR wants of a smart card.
func (p *PD) throughCard(c osdp.Command) osdp.Reply {
	switch c := c.(type) {
	case osdp.ScanCard:
		return osdp.CardPresent{Reader: c.Reader, Status: p.cardAt(c.Reader).presence()}
	case osdp.EndCard:
		return osdp.ACK{}
	case osdp.SendAPDU:
		if card := p.cardAt(c.Reader); card != nil && card.APDU != nil {
			return osdp.CardAnswer{Reader: c.Reader, APDU: card.APDU(c.APDU)}
		}
	case osdp.EnterPIN:
		if card := p.cardAt(c.Reader); card != nil && card.PIN != nil {
			status, tries := card.PIN(c)
			return osdp.PINEntered{Reader: c.Reader, Status: status, Tries: tries}
		}
	}
	return osdp.TransparentError{Mode: osdp.ModeTransparent, Kind: refused}
}

// presence is what CardPresent says of the card.
func (c *SmartCard) presence() uint8 {
	switch {
	case c == nil:
		return osdp.CardAbsent
	case c.Contact:
		return osdp.CardContact
	}
	return osdp.CardContactless
}

// object answers PIVDATA.
func (p *PD) object(c osdp.PIVDATA) osdp.Reply {
	card := p.cardAt(0)
	if card == nil || card.Object == nil {
		return osdp.NAK{Reason: osdp.NAKRecord}
	}
	data := card.Object(c.Object, c.Element)
	if data == nil || int(c.Offset) > len(data) {
		return osdp.NAK{Reason: osdp.NAKRecord}
	}
	return osdp.PIVDATAR{Data: data[c.Offset:]}
}

// challenge takes a part of GENAUTH or CRAUTH, and answers the whole; again if
// its last part comes again, for then the answer was lost.
func (p *PD) challenge(code byte, part osdp.Part, algorithm, keyRef uint8, data []byte) osdp.Reply {
	w := &p.work
	if part.Offset == 0 {
		w.kind, w.algorithm, w.keyRef = code, algorithm, keyRef
	}
	state, err := w.challenge.Add(part, data)
	last := len(data) > 0 && int(part.Offset)+len(data) == int(part.Total)
	switch {
	case err != nil || w.kind != code:
		w.challenge.Reset()
		return osdp.NAK{Reason: osdp.NAKRecord}
	case state != osdp.PartDone && !last:
		return osdp.ACK{}
	}
	card := p.cardAt(0)
	if card == nil || card.Answer == nil {
		return osdp.NAK{Reason: osdp.NAKRecord}
	}
	answer := card.Answer(code, w.algorithm, w.keyRef, bytes.Clone(w.challenge.Message()))
	switch {
	case answer == nil:
		return osdp.NAK{Reason: osdp.NAKRecord}
	case code == osdp.CodeGENAUTH:
		return osdp.GENAUTHR{Data: answer}
	}
	return osdp.CRAUTHR{Data: answer}
}
