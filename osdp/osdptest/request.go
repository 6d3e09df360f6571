package osdptest

import (
	"time"

	"latchkey/osdp"
)

// messageMost is the longest multi-part message that a PD puts together, in
// bytes.
const messageMost = 4096

// work is what a PD is in the middle of. It is the business of whoever holds
// turn.
type work struct {
	identity  []osdp.Reply // parts of the extended identity still to be told, one a POLL
	result    []osdp.Reply // to be told after it, one a POLL; nil once they all were
	told      int          // of the result
	ready     time.Time    // when the first of the result can be
	challenge *osdp.Assembler
	algorithm uint8 // of the challenge
	keyRef    uint8 // of the challenge
	kind      byte  // code of the challenge: GENAUTH or CRAUTH
	mode      osdp.SetMode
	files     *files
}

func newWork(c *Config) work {
	return work{challenge: osdp.NewAssembler(messageMost), files: newFiles(c)}
}

// drop forgets what was read, and what half a command said.
func (w *work) drop() {
	w.identity, w.result, w.told = nil, nil, 0
	w.challenge.Reset()
}

// abort gives up what ABORT ends.
func (w *work) abort() {
	w.drop()
	if w.files.receiver != nil {
		w.files.receiver.Abort()
	}
}

// next is the next part of what is told on POLLs, if it is there by now.
func (w *work) next(now time.Time) (r osdp.Reply, ok bool) {
	switch {
	case len(w.identity) > 0:
		r, w.identity = w.identity[0], w.identity[1:]
		return r, true
	case len(w.result) == 0 || now.Before(w.ready):
		return nil, false
	}
	r = w.result[w.told]
	if w.told++; w.told == len(w.result) {
		w.result, w.told = nil, 0
	}
	return r, true
}

// request answers the commands that need somebody else: a finger, a smart card,
// the manufacturer. ok is false for any other.
func (p *PD) request(now time.Time, c osdp.Command) (r osdp.Reply, ok bool) {
	switch c := c.(type) {
	case osdp.MFG:
		return ask(p.cfg.OnMFG, c), true
	case osdp.FILETRANSFER:
		return p.file(now, c), true
	case osdp.TDSET:
		return ask(p.cfg.OnClock, c), true
	case osdp.BIOREAD:
		return p.slowly(now, func() osdp.Reply { return ask(p.cfg.OnBioRead, c) }), true
	case osdp.BIOMATCH:
		return p.slowly(now, func() osdp.Reply { return ask(p.cfg.OnBioMatch, c) }), true
	case osdp.XWR, osdp.PIVDATA, osdp.GENAUTH, osdp.CRAUTH:
		if !p.cfg.SmartCards {
			return osdp.NAK{Reason: osdp.NAKUnknown}, true
		}
		return p.slowly(now, func() osdp.Reply { return p.card(c) }), true
	}
	return nil, false
}

// ask has f answer c: nil is ACK, and without f the PD does not know c.
func ask[C osdp.Command](f func(C) osdp.Reply, c C) osdp.Reply {
	if f == nil {
		return osdp.NAK{Reason: osdp.NAKUnknown}
	}
	if r := f(c); r != nil {
		return r
	}
	return osdp.ACK{}
}

// slowly gives the answer of f, cut to what the panel takes: at once, or with
// ACK now and on a POLL later. While a result is not there yet the PD is busy.
func (p *PD) slowly(now time.Time, f func() osdp.Reply) osdp.Reply {
	w := &p.work
	if len(w.result) > 0 && now.Before(w.ready) {
		return osdp.BUSY{}
	}
	r := f()
	if r.Code() == osdp.CodeACK || r.Code() == osdp.CodeNAK || r.Code() == osdp.CodeBUSY {
		return r
	}
	w.result, w.told, w.ready = p.cut(r), 0, now.Add(p.cfg.Takes)
	if p.cfg.Takes > 0 {
		return osdp.ACK{}
	}
	w.identity = nil // the panel went on to something else
	r, _ = w.next(now)
	return r
}

// cut is r in parts that the panel takes, where it may be cut. What cannot be
// is refused when its turn comes.
func (p *PD) cut(r osdp.Reply) []osdp.Reply {
	size := p.engine.room() - partHeader
	var parts []osdp.Reply
	var err error
	switch r := r.(type) {
	case osdp.PIVDATAR:
		parts, err = r.Split(size)
	case osdp.GENAUTHR:
		parts, err = r.Split(size)
	case osdp.CRAUTHR:
		parts, err = r.Split(size)
	case osdp.EXTPDID:
		parts, err = r.Split(size)
	default:
		parts = []osdp.Reply{r}
	}
	if err != nil || len(parts) == 0 {
		return []osdp.Reply{osdp.NAK{Reason: osdp.NAKRecord}}
	}
	return parts
}

// partHeader is the bytes of a part before its data.
const partHeader = 6
