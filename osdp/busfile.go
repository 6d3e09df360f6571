package osdp

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrFileBusy means that a file is on its way to the PD already.
	ErrFileBusy = errors.New("osdp: a file is on its way to the PD already")
	// ErrFileInterrupted means that commands came between too often at a PD that
	// allows nothing between fragments.
	ErrFileInterrupted = errors.New("osdp: file interrupted by commands too often")
)

const (
	// fragmentAir is how long a fragment may keep the others on the line waiting,
	// so that polls 50 ms apart stay within 100 ms.
	fragmentAir   = 30 * time.Millisecond
	fragmentLow   = 64 // bytes; less would be mostly overhead ...
	fragmentLeast = 4  // ... but goes where polls of each PD within pollEvery need it
	pollEvery     = 100 * time.Millisecond
	fileTries     = 10 // of one fragment, before the PD is asked whether it is there at all
	fileAborts    = 3  // for commands, of one file
	fileRestarts  = 5  // in a row, of one file, before the PD had confirmed any of it
	fileStuck     = 50 // in a row, that came no further than one before: it falls over the same byte
)

// A fileJob is one file on its way to a PD. The Sender knows what goes next,
// the Bus when.
type fileJob struct {
	s        *Sender
	progress func(confirmed, total int)
	done     func(error)
	due      time.Time // when the next fragment may go
	suspect  bool      // a fragment was met with silence; now the PD is asked whether it is there
	stale    bool      // the PD was away, and may have forgotten its part
	aborts   int
	restarts int // in a row with nothing confirmed before
	stuck    int // in a row that came no further than one before
	furthest int // bytes that were confirmed before a restart, at most
}

// SendFile sends f to the PD at addr, in what the line has left beside polls
// and commands. progress, which may be nil, gets the bytes that the PD has
// confirmed, after each change; done is called once, with nil when the PD has
// processed the file or is rebooting with it. Where the PD allows nothing between
// fragments, a command aborts the file, goes, and the file begins anew.
//
// A PD that goes away in between, or whose channel is made anew, gets the file
// from its beginning when it is back: the protocol has no question for what a PD
// still holds, and one that forgot it may take what comes next for the whole.
// It is an ErrFileLost when that happens 5 times before the PD has confirmed any
// of the file, or 50 times without coming further than before.
//
// Credentials go in a channel under the PD's own key alone. Without one, at the
// start or when it is back, it is an ErrNotSecure.
func (b *Bus) SendFile(now time.Time, addr uint8, f File, progress func(confirmed, total int), done func(error)) error {
	p := b.find(addr)
	switch {
	case p == nil || !p.stats.Online:
		return fmt.Errorf("%w: PD %d", ErrOffline, addr)
	case p.file != nil:
		return fmt.Errorf("%w: PD %d: %v", ErrFileBusy, addr, p.file.s)
	case f.Credentials && !p.ownChannel():
		return fmt.Errorf("%w: PD %d: credentials go in a channel alone", ErrNotSecure, addr)
	}
	s, err := NewSender(f, b.fileLimits(p))
	if err != nil {
		return fmt.Errorf("PD %d: %w", addr, err)
	}
	if progress == nil {
		progress = func(int, int) {}
	}
	p.file = &fileJob{s: s, progress: progress, done: done, due: now}
	return nil
}

// ownChannel says whether p is in a channel under its own key. That policy wants
// one is not enough: an Install, or a key that the PD does not have, may end and
// leave a PD that is served in the clear.
func (p *pd) ownChannel() bool { return p.channel != nil && p.under != slotDefault }

// CancelFile gives up the file that is on its way to the PD at addr: the PD is
// told to forget its part. done gets an ErrFileCancelled.
func (b *Bus) CancelFile(now time.Time, addr uint8) {
	if p := b.find(addr); p != nil && p.file != nil {
		p.file.s.Cancel()
		b.fileEnds(now, p)
	}
}

func (b *Bus) fileLimits(p *pd) SendLimits {
	return SendLimits{
		Receive:     p.stats.Caps.ReceiveSize(),
		Secure:      p.secureOnly(),
		MaxFragment: b.fragmentMost(p),
		Quiet:       b.opt.Offline * 3 / 4, // the rest is for repeats, and for a PD that counts from earlier
	}
}

// fragmentMost is the longest fragment for p, in bytes: what fragmentAir holds, or
// fragmentLow, but no more than leaves room in pollEvery for a poll of each PD that
// is online. Alone on a line of 9600 baud that is 32 bytes for a clear PD, and for
// one in a channel, whose POLL and FTSTAT take 69 of the 100 ms, a single block
// with 4. That is a tenth of what 64 would bring in a second, but a door comes
// before a file, and who wants it sooner sets the line faster. Where there is no
// room even for that, a short fragment would not help either.
//
// Of PDs that allow nothing between fragments each has a part of fragmentAir: a
// card at one of them waits for its next fragment.
func (b *Bus) fragmentMost(p *pd) int {
	const around = 4               // characters of an exchange beside its frames: two idle ones, and a MARK at each end
	status := p.length(b.data[:7]) // of FTSTAT
	left, alone := pollEvery-air(around+status, p.baud), 0
	for _, q := range b.pds {
		if q.stats.Online {
			left -= air(around+2*q.length(nil), q.baud)
		}
		if q.held() {
			alone++
		}
	}
	fits := func(d time.Duration) int {
		return MaxFragment(int(d*time.Duration(p.baud)/(10*time.Second)), p.secureOnly())
	}
	share := fragmentAir
	if p.held() {
		share /= time.Duration(alone)
	}
	most := max(fits(share), fragmentLow)
	if room := fits(left); room >= fragmentLeast {
		most = min(most, room)
	}
	return most
}

// owed says whether a poll of p goes before any fragment: it is due, and none has
// gone since the last fragment on the line. A poll that has may wait for the next,
// or a line with more polls than it can carry would carry no file.
func (b *Bus) owed(now time.Time, p *pd) bool {
	return p.stats.Online && p.step == live && !p.awaits && !p.held() && len(p.refresh) == 0 &&
		!p.due.After(now) && p.polled.Before(b.filed)
}

// fileDue is when the file of p wants the line; ok is false while it cannot
// have it.
func (p *pd) fileDue() (due time.Time, ok bool) {
	if p.file == nil || p.step != live || p.awaits || len(p.refresh) > 0 {
		return time.Time{}, false
	}
	return p.file.due, true
}

// held reports whether p allows nothing but fragments now.
func (p *pd) held() bool {
	return p.file != nil && p.step == live && p.file.s.alone()
}

// fileTurn gives the next fragment of p's file, if it is the file's turn. It
// may end the file, and begin a handshake.
func (b *Bus) fileTurn(now time.Time, p *pd) (f FILETRANSFER, ok bool) {
	if len(p.queue) > 0 {
		if p.held() {
			b.yield(now, p)
		}
		return f, false
	}
	due, ok := p.fileDue()
	j := p.file
	switch {
	case !ok || due.After(now):
		return f, false
	case j.s.file.Credentials && !p.ownChannel():
		j.s.giveUp(ErrNotSecure)
		b.fileEnds(now, p)
		return f, false
	case j.s.InClear(): // a reply to a poll would not be taken
	case j.s.WantsPoll():
		return f, false
	case p.held():
	case b.owed(now, p):
		return f, false
	}
	j.s.limits.MaxFragment = b.fragmentMost(p)
	f, wait, ok := j.s.Next(now)
	if !ok {
		b.fileEnds(now, p)
		return f, false
	}
	j.due = now.Add(wait)
	return f, wait == 0
}

// yield makes room for the command that waits at p, whose PD allows nothing
// between fragments: the file is aborted, and begins anew behind the command.
func (b *Bus) yield(now time.Time, p *pd) {
	j := p.file
	if j.aborts++; j.aborts > fileAborts {
		j.s.giveUp(ErrFileInterrupted)
		b.fileEnds(now, p)
		return
	}
	inClear := j.s.InClear()
	if err := j.s.Restart(b.fileLimits(p)); err != nil {
		j.s.giveUp(err)
		b.fileEnds(now, p)
		return
	}
	if inClear {
		p.quiet = true
		b.rehandshake(now, p)
	}
	p.queue = append([]*request{b.abort()}, p.queue...)
}

// abort is the request that has a PD forget a part of a file.
func (b *Bus) abort() *request {
	b.lastID++
	return &request{id: b.lastID, cmds: []encoded{{code: CodeABORT}}, done: func([]Reply, error) {}}
}

// fileAnswered takes the PD's reply to a fragment.
func (b *Bus) fileAnswered(now time.Time, p *pd, reply Reply) {
	j := p.file
	if !p.fragmentOut() {
		return // cancelled while it was outstanding: no word on the file that has come since
	}
	wasClear := j.s.InClear()
	j.s.Answer(now, reply)
	j.progress(j.s.Progress())
	j.due = j.s.Ready()
	if p.held() {
		p.polled = now // a fragment is what it is asked instead
	}
	switch {
	case j.s.State() > FileFinishing:
		b.fileEnds(now, p)
	case j.s.InClear() && !wasClear:
		p.channel = nil // by leave of who sends the file
	}
}

// outside says whether p has left its channel for its file. Until it is back only
// what concerns the file is taken from it, for anybody may have written it.
func (p *pd) outside() bool { return p.step == live && p.channel == nil && p.secureOnly() }

// fileEnds tells how the file ended, and has the PD forget its part if it does
// not know.
func (b *Bus) fileEnds(now time.Time, p *pd) {
	j := p.file
	p.file = nil
	if j.s.NeedsAbort() && p.stats.Online {
		p.queue = append(p.queue, b.abort())
		p.due = earlier(p.due, now)
	}
	if p.outside() {
		p.quiet = true
		b.rehandshake(now, p)
	}
	err := j.s.Err()
	if err != nil {
		err = fmt.Errorf("PD %d: %w", p.addr, err)
	}
	j.done(err)
}

// fragmentOut says whether what is outstanding at p is a fragment of its file, and
// not of one that was cancelled.
func (p *pd) fragmentOut() bool { return p.file != nil && p.file.s.awaits }

// fileSilent is called when a command is met with silence once more, and says
// whether it should be sent again as it is. Some PDs refuse a file by silence: one
// that answers to everything else does. That goes for a file that was cancelled
// meanwhile, too, or such a PD would go offline over it.
func (b *Bus) fileSilent(now time.Time, p *pd) (again bool) {
	if !p.awaits || p.outCode != CodeFILETRANSFER || p.silent < fileTries {
		return true
	}
	if p.fragmentOut() {
		p.file.suspect = true
	}
	b.restart(now, p)
	return false
}

// fileBack goes on with the file of a PD that is up again.
func (b *Bus) fileBack(now time.Time, p *pd) {
	j := p.file
	if j == nil {
		return
	}
	switch {
	case j.suspect && !j.stale:
		j.s.Lost()
	case j.restarts >= fileRestarts || j.stuck >= fileStuck:
		j.s.Lost()
	default:
		confirmed, _ := j.s.Progress()
		j.restarts++
		j.stuck++
		if confirmed > 0 {
			j.restarts = 0
		}
		if confirmed > j.furthest {
			j.stuck, j.furthest = 0, confirmed
		}
		if err := j.s.Restart(b.fileLimits(p)); err != nil {
			j.s.giveUp(err)
		}
	}
	j.suspect, j.stale, j.due = false, false, now
	j.progress(j.s.Progress())
	if j.s.State() == FileFailed {
		b.fileEnds(now, p)
	}
}
