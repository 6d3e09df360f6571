package osdp

import (
	"errors"
	"fmt"
	"time"
)

// Why a file transfer failed, besides a FileError.
var (
	// ErrFileUnsupported: the PD knows no FILETRANSFER.
	ErrFileUnsupported = errors.New("osdp: PD takes no files")
	// ErrFileRejected: the PD refused a fragment.
	ErrFileRejected = errors.New("osdp: PD refused the file")
	// ErrFileLost: the PD did not answer. Some PDs say no by saying nothing, so
	// this is a refusal or a lost line.
	ErrFileLost = errors.New("osdp: PD did not answer the file: refused or lost")
	// ErrFileStuck: the PD did not finish in time.
	ErrFileStuck = errors.New("osdp: PD does not finish the file")
	// ErrFileCancelled: somebody called Cancel.
	ErrFileCancelled = errors.New("osdp: file transfer cancelled")
	// ErrLeaveSC: the PD wants the rest of the file in clear, and may not.
	ErrLeaveSC = errors.New("osdp: PD wants the file outside the secure channel")
	// ErrFileSize: no fragment fits the PD, or the file no transfer.
	ErrFileSize = errors.New("osdp: file does not fit")
)

// A FileError is a failure that the PD told of.
type FileError struct {
	Status int16 // FTAbort, FTUnrecognised, FTMalformed, or one that nobody knows
	At     int   // bytes that the PD had confirmed
	Total  int   // bytes of the file
}

func (e *FileError) Error() string {
	return fmt.Sprintf("osdp: file failed at %d of %d bytes: %s", e.At, e.Total, failureText(e.Status))
}

// A FileState says where a transfer stands.
type FileState uint8

const (
	// FileSending: there is more to send.
	FileSending FileState = iota
	// FileFinishing: all is sent, and the PD works on it.
	FileFinishing
	// FileDone: the PD has processed the file.
	FileDone
	// FileRebooting: the PD has the file and restarts. It goes offline.
	FileRebooting
	// FileFailed: Err says why.
	FileFailed
)

func (s FileState) String() string {
	if s > FileFailed {
		return fmt.Sprintf("state %d", uint8(s))
	}
	return [...]string{"sending", "finishing", "done", "rebooting", "failed"}[s]
}

// SendLimits is what a Sender goes by.
type SendLimits struct {
	Receive     int           // longest frame that the PD takes, in bytes: PDCAP.ReceiveSize
	Secure      bool          // the transfer goes over a secure channel
	MaxFragment int           // longest fragment, in bytes; 0 = as long as fits
	Finish      time.Duration // how long the PD may finish; 0 = 60 s
	Quiet       time.Duration // longest silence at a PD that hears nothing but fragments; 0 = any
}

// How a Sender waits for a PD that finishes.
const (
	finishMost = 60 * time.Second
	idleGap    = 50 * time.Millisecond // between fragments without data for a PD that names no delay
)

// A Sender decides how one file goes to a PD. It holds no port and reads no
// clock. Whoever has the line calls Next, sends what it gives, repeats that
// with the same sequence number while nobody answers, and gives the reply to
// Answer, or calls Lost. It prints without the file.
//
// Whether a file may go out without a secure channel at all is the caller's to
// decide, before it makes a Sender.
type Sender struct {
	file   File
	limits SendLimits

	state     FileState
	err       error
	needAbort bool
	early     bool

	sent      int // offset of the first byte that is not confirmed
	inFlight  int // bytes of the fragment that waits for its answer, if any
	awaits    bool
	begun     bool // a fragment has gone out
	clear     bool // the PD left the secure channel for the rest
	updateMax int  // as the PD gave it last; 0 = none
	action    uint8
	ready     time.Time // when the next fragment may go; zero = at once
	heard     time.Time // the last reply; zero before it
	keeps     bool      // the fragment in flight only keeps the link up
	deadline  time.Time // end of finishing; zero before it
}

// NewSender makes a Sender for f, which it keeps. An ErrFileSize says that no
// byte fits a frame for this PD, or that a file of that length cannot be sent.
func NewSender(f File, limits SendLimits) (*Sender, error) {
	if limits.Finish == 0 {
		limits.Finish = finishMost
	}
	s := &Sender{file: f, limits: limits}
	if size := s.fragment(); size < 1 {
		return nil, fmt.Errorf("%w: the PD takes frames of %d bytes, with room for none of it", ErrFileSize, limits.Receive)
	}
	if uint64(len(f.Content)) > 0xffffffff {
		return nil, fmt.Errorf("%w: %d bytes, limit 4294967295", ErrFileSize, len(f.Content))
	}
	return s, nil
}

// fragment is the longest fragment that may go now.
//
// Sources do not agree whether the PD's own number is the length of a message
// or of a fragment. It is taken for the message, which is the smaller; but one
// that no message fits can only mean the fragment.
func (s *Sender) fragment() int {
	secure := s.limits.Secure && !s.clear
	most := MaxFragment(s.limits.Receive, secure)
	if s.updateMax > 0 {
		size := MaxFragment(s.updateMax, secure)
		if size < 1 {
			size = s.updateMax
		}
		most = min(most, size)
	}
	if s.limits.MaxFragment > 0 {
		most = min(most, s.limits.MaxFragment)
	}
	return most
}

// Next gives the fragment to send now. With a wait above 0 there is none yet:
// call Next again after it. ok is false once nothing is left to send; State
// says how it ended. The fragment's data is a part of the file.
func (s *Sender) Next(now time.Time) (f FILETRANSFER, wait time.Duration, ok bool) {
	if s.state == FileFinishing && !now.Before(s.deadline) {
		s.fail(fmt.Errorf("%w: %v after its last byte", ErrFileStuck, s.limits.Finish), true)
	}
	if s.state > FileFinishing {
		return FILETRANSFER{}, 0, false
	}
	if wait := s.Ready().Sub(now); wait > 0 {
		return FILETRANSFER{}, wait, true
	}
	s.begun, s.awaits, s.keeps = true, true, s.ready.After(now)
	s.action &^= FTPollFirst
	return s.next(), 0, true
}

// next is the fragment behind what is confirmed, or one without data that keeps
// a PD company. Where that stands nobody says; behind the file is usual once all
// of it is sent. Before that it stands where the next data will: elsewhere it
// would be a gap.
func (s *Sender) next() FILETRANSFER {
	total := len(s.file.Content)
	start := total
	if s.state == FileSending {
		start = s.sent
	}
	end := min(start+s.fragment(), total)
	if s.keeps {
		end = start
	}
	s.inFlight = end - start
	return FILETRANSFER{s.file.Type, uint32(total), uint32(start), s.file.Content[start:end:end]}
}

// Answer takes the PD's reply to the fragment that Next gave last, at now. Of
// replies to anything else an FTSTAT confirms nothing but is heeded, and any
// other is none of its business.
func (s *Sender) Answer(now time.Time, reply Reply) FileState {
	if s.state > FileFinishing {
		return s.state
	}
	s.heard = now
	status, ok := reply.(FTSTAT)
	if ok {
		s.status(now, status)
	} else if s.awaits && !s.keeps { // that it knows none without data is no word on the file
		s.refused(reply)
	}
	return s.state
}

// refused takes what is no FTSTAT.
func (s *Sender) refused(reply Reply) {
	switch r := reply.(type) {
	case BUSY: // the same fragment again
	case NAK:
		err := fmt.Errorf("%w: %v", ErrFileRejected, r.Reason)
		if r.Reason == NAKUnknown {
			err = ErrFileUnsupported
		}
		s.fail(err, s.sent > 0)
	default:
		s.fail(fmt.Errorf("%w: answer %s, want FTSTAT", ErrFileRejected, ReplyName(reply.Code())), true)
	}
}

func (s *Sender) status(now time.Time, r FTSTAT) {
	if r.Status >= FTOK {
		s.sent += s.inFlight
	}
	s.awaits, s.inFlight = false, 0
	s.action = r.Action
	if r.UpdateMax > 0 {
		s.updateMax = int(r.UpdateMax)
	}
	switch r.Status {
	case FTOK, FTFinishing:
		s.goOn(now, r)
	case FTProcessed:
		s.state, s.early = FileDone, s.sent < len(s.file.Content)
	case FTRebooting:
		s.state, s.early = FileRebooting, s.sent < len(s.file.Content)
	default:
		s.fail(&FileError{r.Status, s.sent, len(s.file.Content)}, r.Status > 0)
	}
}

// goOn takes a status that wants more fragments, with or without data.
func (s *Sender) goOn(now time.Time, r FTSTAT) {
	if r.Action&FTLeaveSC != 0 && s.limits.Secure {
		if s.file.Credentials || !s.file.LeaveSC {
			s.fail(fmt.Errorf("%w after %d of %d bytes", ErrLeaveSC, s.sent, len(s.file.Content)), true)
			return
		}
		s.clear = true
	}
	ready := now.Add(r.Delay)
	s.state = FileSending
	// A PD that has all and only says "go on" is not done either.
	if r.Status == FTFinishing || s.sent == len(s.file.Content) {
		s.state, ready = FileFinishing, now.Add(max(r.Delay, idleGap))
		if s.deadline.IsZero() {
			s.deadline = now.Add(s.limits.Finish)
		}
	}
	// A PD that names its delay in each FTSTAT, also in the one to a fragment that
	// only keeps the link up, would put the next off for ever.
	if s.keeps {
		ready = earlier(ready, s.ready)
	}
	s.ready = ready
}

func (s *Sender) fail(err error, needAbort bool) {
	s.state, s.err, s.needAbort = FileFailed, err, needAbort
	s.awaits, s.action = false, 0
}

// Lost says that the fragment was repeated often enough and nobody answered.
func (s *Sender) Lost() FileState { return s.giveUp(ErrFileLost) }

// Cancel gives the transfer up.
func (s *Sender) Cancel() FileState { return s.giveUp(ErrFileCancelled) }

func (s *Sender) giveUp(err error) FileState {
	if s.state <= FileFinishing {
		s.fail(fmt.Errorf("%w, after %d of %d bytes", err, s.sent, len(s.file.Content)), true)
	}
	return s.state
}

// Restart begins the transfer anew, as after a reconnect, with what the PD now
// takes. It always begins with the first byte: a PD that was away may have
// forgotten the part it had, some then take what comes without a word and keep
// a file with a hole, and a fragment at offset 0 is what all of them understand.
func (s *Sender) Restart(limits SendLimits) error {
	n, err := NewSender(s.file, limits)
	if err != nil {
		return err
	}
	*s = *n
	return nil
}

// Ready is when the next fragment may go, or one without data must; a time that
// has passed is at once.
func (s *Sender) Ready() time.Time {
	at := s.ready
	if s.state == FileFinishing {
		at = earlier(at, s.deadline)
	}
	if s.limits.Quiet > 0 && s.alone() {
		at = earlier(at, s.heard.Add(s.limits.Quiet))
	}
	return at
}

// State says where the transfer stands.
func (s *Sender) State() FileState { return s.state }

// Err says why the transfer failed, and is nil unless it did.
func (s *Sender) Err() error { return s.err }

// NeedsAbort reports whether the panel gave up and not the PD, which therefore
// wants an ABORT to forget the part it has.
func (s *Sender) NeedsAbort() bool { return s.needAbort }

// Early reports whether the PD was done before it had the whole file.
func (s *Sender) Early() bool { return s.early }

// Progress is the bytes that the PD has confirmed, and those of the file.
func (s *Sender) Progress() (confirmed, total int) { return s.sent, len(s.file.Content) }

// MayInterleave reports whether other commands may go to the PD between
// fragments. Where not, and the PD asks for a long delay, a fragment without data
// comes after each SendLimits.Quiet of it: both ends take 8 s of silence for the
// end of the link (OSDP v2.2 §5.7), and it hears nothing else.
func (s *Sender) MayInterleave() bool {
	return !s.begun || s.state > FileFinishing || s.action&FTInterleave != 0
}

// WantsPoll reports whether the PD holds a reply that one POLL should fetch
// before the next fragment. Call Polled after it; Next goes on without, too.
func (s *Sender) WantsPoll() bool { return s.state <= FileFinishing && s.action&FTPollFirst != 0 }

// Polled says that the POLL has been sent.
func (s *Sender) Polled() { s.action &^= FTPollFirst }

// alone says whether the PD hears nothing but fragments now.
func (s *Sender) alone() bool { return !s.MayInterleave() || s.InClear() }

// InClear reports whether the PD left the secure channel for the rest of the
// file, with leave: send the fragments in clear until the transfer ends.
func (s *Sender) InClear() bool { return s.clear && s.state <= FileFinishing }

// String tells how far the file is.
func (s Sender) String() string {
	return fmt.Sprintf("file of type %d, %v, %d of %d bytes", s.file.Type, s.state, s.sent, len(s.file.Content))
}

// Format prints String whatever the verb.
func (s Sender) Format(f fmt.State, _ rune) { fmt.Fprint(f, s.String()) }
