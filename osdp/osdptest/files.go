package osdptest

import (
	"time"

	"latchkey/osdp"
)

// files is the PD's side of file transfers.
type files struct {
	receiver *osdp.Receiver // nil: it takes none
	now      time.Time      // of the fragment that is taken
	outcome  int16          // of the file that is committed
	due      time.Time      // when that is done; zero: nothing is
}

// newFiles makes the PD take files as c says. What Commit says of one is held
// back while the PD takes its time for it.
func newFiles(c *Config) *files {
	f := &files{}
	if c.Files == nil {
		return f
	}
	opt := *c.Files
	opt.Commit = func(file osdp.File) int16 {
		status := int16(osdp.FTProcessed)
		if c.Files.Commit != nil {
			status = c.Files.Commit(file)
		}
		if c.CommitTime == 0 || status == osdp.FTFinishing {
			return status
		}
		f.outcome, f.due = status, f.now.Add(c.CommitTime)
		return osdp.FTFinishing
	}
	f.receiver = osdp.NewReceiver(opt)
	return f
}

// FinishFile tells the outcome of a file that Commit left at FTFinishing:
// FTProcessed, FTRebooting or a status below 0.
func (p *PD) FinishFile(status int16) {
	p.locked(func() {
		p.later = append(p.later, func() {
			if r := p.work.files.receiver; r != nil {
				r.Finish(status)
			}
		})
	})
}

// file takes a fragment. A panel that must not interleave is told to poll when
// there is something to fetch.
func (p *PD) file(now time.Time, c osdp.FILETRANSFER) osdp.Reply {
	f := p.work.files
	if f.receiver == nil {
		return osdp.NAK{Reason: osdp.NAKUnknown}
	}
	if !f.due.IsZero() && !now.Before(f.due) {
		f.receiver.Finish(f.outcome)
		f.due = time.Time{}
	}
	f.now = now
	status := f.receiver.Take(c)
	p.locked(func() {
		if status.Action&osdp.FTInterleave == 0 && len(p.queue) > 0 {
			status.Action |= osdp.FTPollFirst
		}
	})
	return status
}
