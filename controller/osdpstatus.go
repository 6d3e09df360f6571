package controller

import (
	"context"
	"slices"
	"sync"
	"time"

	"latchkey/osdp"
)

// troubleText is why a reader that answers is not served, for people.
func troubleText(t osdp.Trouble) string {
	switch t {
	case osdp.NoKey:
		return "The reader answers, but has no key yet, so its line would not be encrypted. Give it one: latchkey-agent osdp keyset."
	case osdp.NoChannel:
		return "The reader refuses an encrypted line with the key that belongs to it. It may have been reset, or be another one."
	case osdp.WrongKey:
		return "The reader has another key than the one that belongs to it. It may have been reset or exchanged: look at it before giving it a new key."
	case osdp.Forged:
		return "Somebody on the line to this reader forges its answers. Have the cable looked at."
	case osdp.Swapped:
		return "This is not the reader that was here: its serial number differs. If it was exchanged on purpose: latchkey-agent osdp forget."
	}
	return ""
}

const (
	// alteredText is for a line on which somebody changes a reader's claims.
	alteredText = "Somebody on the line to this reader changes what the reader says about itself. Have the cable looked at."
	portText    = "The line's port does not work, and so none of its readers does: look at the adapter. "
)

// encryptionOf says what protects the line to a PD, for people.
func encryptionOf(s osdp.PDStats) string {
	switch {
	case s.Secure:
		return Encrypted
	case s.Clear:
		return "not encrypted: the site file allows it"
	}
	return "no encrypted line now"
}

// looks are the last looks at a line, one each lookEvery, the oldest first and
// about lookBack old.
type looks struct {
	mu   sync.Mutex
	list []look
}

// keep takes looks until ctx ends.
func (l *looks) keep(ctx context.Context, take func() look) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		l.add(take())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (l *looks) add(now look) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.list = append(l.list, now); len(l.list) > int(lookBack/lookEvery) {
		l.list = slices.Delete(l.list, 0, 1)
	}
}

// oldest is the zero look before there is one.
func (l *looks) oldest() look {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.list) == 0 {
		return look{}
	}
	return l.list[0]
}

// look is what the line looks like now.
func (d *OSDP) look() look { return look{time.Now(), d.line.Stats(), d.line.Port()} }

// Status is what the line looks like now.
func (d *OSDP) Status() Status {
	s := Status{Name: d.cfg.Name, Kind: "osdp", Port: d.cfg.Port}
	if d.err != nil {
		s.Problem = d.err.Error()
		return s
	}
	now := d.look()
	found := diagnose(d.looks.oldest(), now)
	s.Line = lineOf(now.pds)
	s.Line.Remarks = found.line
	if err := now.port.Err; err != nil && !now.port.Open {
		s.Problem = portText + err.Error()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, r := range d.cfg.Readers {
		pd := d.pds[r.Addr]
		rs := d.readerStatus(r, now.pds)
		rs.Remarks = found.pds[r.Addr]
		s.Readers = append(s.Readers, rs)
		switch {
		case pd.online && (!s.Online || pd.since.Before(s.Since)):
			s.Online, s.Since = true, pd.since
		case !s.Online && pd.since.After(s.Since):
			s.Since = pd.since
		}
		if slices.IndexFunc(d.cfg.Readers, func(o OSDPReader) bool { return o.Door == r.Door }) == i {
			door := d.doors[r.Door]
			s.Doors = append(s.Doors, DoorStatus{ID: r.Door, Contact: door.contact, Unlocked: now.at.Before(door.until)})
		}
	}
	return s
}

// readerStatus is one reader, of whose line pds are known; d.mu is held.
func (d *OSDP) readerStatus(r OSDPReader, pds []osdp.PDStats) ReaderStatus {
	pd := d.pds[r.Addr]
	s := ReaderStatus{Name: r.Name, Door: r.Door, Address: r.Addr, Online: pd.online, Since: pd.since, Encryption: encryptionOf(osdp.PDStats{}),
		Tamper: pd.tamper || pd.headTamper[r.Reader], PowerFail: pd.power}
	i := slices.IndexFunc(pds, func(p osdp.PDStats) bool { return p.Addr == r.Addr })
	if i < 0 {
		return s
	}
	p := pds[i]
	s.Secure, s.Clear, s.Encryption, s.Problem = p.Secure, p.Clear, encryptionOf(p), troubleText(p.Trouble)
	s.Polls, s.Retries, s.CRCErrors, s.Naks, s.Quality = p.Polls, p.Retries, p.CRCErrors, p.NAKs, qualityOf(p)
	return s
}
