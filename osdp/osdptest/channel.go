package osdptest

import (
	"crypto/rand"
	"errors"
	"io"
	"time"

	"latchkey/osdp"
)

// A channel is what a PD keeps of its secure channel.
type channel struct {
	key       *osdp.Key // the SCBK; nil without one
	install   bool      // SCBK-D is served too
	strict    bool      // without a session nothing is done but what openToAll says
	handshake *osdp.PDHandshake
	session   *osdp.Session
	left      bool    // the file under way goes on outside of the session
	rndB      [8]byte // of the last handshake
}

// end forgets session and handshake.
func (c *channel) end() { c.session, c.handshake, c.left = nil, nil, false }

// sealed says whether f claims to belong to a session.
func sealed(f osdp.Frame) bool { return f.SCBType >= osdp.SCS15 && f.SCBType <= osdp.SCS18 }

// inSession takes a frame while a session stands. What nothing proves does not
// change the session, but for two things: a CHLNG that a new one begins with,
// and a command in the clear, by which the panel shows that it has none
// (OSDP v2.2 annex D.1.4). A file goes on in the clear if the PD said so.
func (e *engine) inSession(now time.Time, f osdp.Frame) (a answer, taken bool) {
	switch {
	case sealed(f):
		return e.open(now, f)
	case f.SCBType == 0 && e.left && f.Code == osdp.CodeFILETRANSFER && !e.strict && !e.jumps(f):
		return e.clear(f, e.carryOut(now, f.Code, f.Data)), true
	case f.SCBType == 0:
		e.stats.Clear++
		e.end()
		return e.clear(f, osdp.NAK{Reason: osdp.NAKSecurity}), true
	case f.SCBType == osdp.SCS11 && e.jumps(f):
		return e.clear(f, osdp.NAK{Reason: osdp.NAKSequence}), false
	}
	a = e.shake(f)
	return a, a.code == osdp.CodeCCRYPT
}

// open takes a frame of the session. A wrong MAC is answered by nothing: noise
// ends no session, and nobody learns by asking. Data that came unencrypted is
// not carried out, though the MAC proves it: SCS_15 carries none.
func (e *engine) open(now time.Time, f osdp.Frame) (a answer, taken bool) {
	data, err := e.session.Open(&f)
	switch {
	case errors.Is(err, osdp.ErrMAC):
		e.stats.WrongMACs++
		return answer{}, false
	case e.jumps(f):
		return e.seal(f, osdp.NAK{Reason: osdp.NAKSequence}), false
	case errors.Is(err, osdp.ErrClear):
		return e.seal(f, osdp.NAK{Reason: osdp.NAKSecurity}), true
	case err != nil: // no padding
		return e.seal(f, osdp.NAK{Reason: osdp.NAKLength}), true
	case f.Code == osdp.CodeKEYSET:
		return e.keyset(f, data), true
	}
	r := e.carryOut(now, f.Code, data)
	if r.Code() == osdp.CodeBUSY {
		return e.busy(f), false
	}
	return e.seal(f, r), true
}

// seal is reply r to f as bytes of the session.
func (e *engine) seal(f osdp.Frame, r osdp.Reply) answer {
	r, data := e.fitting(r)
	b, err := e.session.Seal([]byte{osdp.Mark}, &osdp.Frame{Addr: f.Addr, Seq: f.Seq, Code: r.Code(), Data: data})
	if err != nil {
		panic(err) // not of a reply that fits
	}
	return answer{b: b, code: r.Code(), data: data}
}

// shake takes a frame with a security block that belongs to no session.
func (e *engine) shake(f osdp.Frame) answer {
	switch {
	case f.SCBType == osdp.SCS11 && f.Code == osdp.CodeCHLNG && len(f.Data) != 8:
		return e.clear(f, osdp.NAK{Reason: osdp.NAKLength})
	case f.SCBType == osdp.SCS11 && f.Code == osdp.CodeCHLNG:
		return e.challenge(f)
	case f.SCBType == osdp.SCS13 && f.Code == osdp.CodeSCRYPT && e.handshake != nil:
		return e.prove(f)
	}
	return e.clear(f, osdp.NAK{Reason: osdp.NAKBlock})
}

// challenge answers CHLNG with a key that the PD serves. It ends the session
// before; a CHLNG for another key changes nothing.
func (e *engine) challenge(f osdp.Frame) answer {
	key, ok := e.serves(f)
	if !ok {
		return e.clear(f, osdp.NAK{Reason: osdp.NAKBlock})
	}
	h, err := osdp.NewPDHandshake(e.rand(), key, e.cuid(), f)
	if err != nil {
		return e.clear(f, osdp.NAK{Reason: osdp.NAKBlock})
	}
	e.end()
	e.handshake = h
	r := osdp.Frame{Addr: f.Addr, Reply: true, Seq: f.Seq}
	h.Client(&r)
	e.rndB = [8]byte(r.Data[8:])
	return answer{b: wire(r), code: r.Code}
}

// serves gives the key that the CHLNG f asks for, if the PD has it to give.
func (e *engine) serves(f osdp.Frame) (k osdp.Key, ok bool) {
	switch {
	case len(f.SCBData) != 1 || f.SCBData[0] > 1:
		return k, false
	case osdp.AsksDefault(f):
		return osdp.DefaultKey(), e.install
	case e.key == nil:
		return k, false
	}
	return *e.key, true
}

// prove answers SCRYPT, and begins the session if the panel has the key. Either
// way the handshake is over.
func (e *engine) prove(f osdp.Frame) answer {
	r := osdp.Frame{Addr: f.Addr, Reply: true, Seq: f.Seq}
	s, err := e.handshake.Session(f, &r)
	e.end()
	if err == nil {
		e.session = s
	}
	return answer{b: wire(r), code: r.Code}
}

// keyset takes a new key, under the session of the old one. The session goes
// on, unless the PD is told to drop it.
func (e *engine) keyset(f osdp.Frame, data []byte) answer {
	a := e.seal(f, e.setKey(data))
	if a.code == osdp.CodeACK && e.cfg.DropAfterKeyset {
		e.end()
	}
	return a
}

// setKey takes the key in the data of KEYSET, if it is one to keep.
func (e *engine) setKey(data []byte) osdp.Reply {
	const aes128 = 1
	if len(data) < 2 || len(data) != 2+int(data[1]) {
		return osdp.NAK{Reason: osdp.NAKLength}
	}
	if data[0] != aes128 || len(data[2:]) != len(osdp.Key{}) {
		return osdp.NAK{Reason: osdp.NAKRecord}
	}
	k := osdp.Key(data[2:])
	if k.Check() != nil && !e.cfg.AllowWeakKeys {
		return osdp.NAK{Reason: osdp.NAKRecord}
	}
	if e.cfg.OnKey != nil && e.cfg.OnKey(k) != nil {
		return osdp.NAK{Reason: osdp.NAKRecord}
	}
	e.key, e.install = &k, false
	return osdp.ACK{}
}

func (e *engine) rand() io.Reader {
	if e.cfg.Rand != nil {
		return e.cfg.Rand
	}
	return rand.Reader
}

// cuid is what CCRYPT calls the PD: the first eight bytes of its PDID, as annex
// D.4.3 has it, unless the configuration knows better.
func (e *engine) cuid() (id [8]byte) {
	if e.cfg.CUID != id {
		return e.cfg.CUID
	}
	b, _ := e.cfg.ID.AppendData(nil) // PDID always fits
	return [8]byte(b)
}
