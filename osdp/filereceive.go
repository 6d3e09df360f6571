package osdp

import (
	"bytes"
	"fmt"
	"time"
)

// ReceiverOptions is what a Receiver goes by.
type ReceiverOptions struct {
	// Limit is the longest file, in bytes. A longer one is FTMalformed.
	Limit int
	// Accept says whether files of that type are taken, FTUnrecognised if not.
	// Nil takes all.
	Accept func(fileType uint8) bool
	// Commit gets a whole file, which it may keep, and says what to answer:
	// FTProcessed, FTRebooting, a status below 0, or FTFinishing, where Finish
	// tells the outcome later. It is called once for each transfer, on the
	// goroutine that calls Take. Nil takes the file and drops it.
	Commit func(File) int16

	Action    uint8         // of each FTSTAT: FTInterleave, FTLeaveSC, FTPollFirst
	Delay     time.Duration // of each FTSTAT: 0 to 65.535 s in milliseconds
	UpdateMax uint16        // of each FTSTAT, in bytes; 0 for none
}

// A Receiver is the PD's side of a file transfer. It takes fragments in order
// and without gaps; one at offset 0 starts anew. It holds no more than it has
// been sent, whatever a header claims. It prints without the file.
type Receiver struct {
	opt ReceiverOptions

	open   bool // a transfer was started
	whole  bool // and all of it is here
	kind   uint8
	total  uint32
	data   []byte
	at     uint32 // offset of the last fragment
	status int16  // of the last answer
}

// NewReceiver makes a Receiver.
func NewReceiver(opt ReceiverOptions) *Receiver { return &Receiver{opt: opt} }

// Take takes a fragment, copies its data, and gives the answer to it.
func (r *Receiver) Take(f FILETRANSFER) FTSTAT {
	status := r.take(f)
	if status < FTOK {
		r.Abort()
	} else {
		r.status = status
	}
	return FTSTAT{r.opt.Action, r.opt.Delay, status, r.opt.UpdateMax}
}

func (r *Receiver) take(f FILETRANSFER) int16 {
	end := uint64(f.Offset) + uint64(len(f.Data))
	switch {
	case uint64(f.Total) > uint64(max(r.opt.Limit, 0)) || end > uint64(f.Total):
		return FTMalformed
	case r.repeats(f):
		return r.status
	case f.Offset == 0:
		return r.start(f)
	case !r.continues(f):
		return FTAbort
	}
	return r.add(f)
}

// repeats says whether f is the last fragment again, or one without data that
// only asks how it goes. Both are answered as before. A whole file that starts
// again is a new transfer: the panel may well mean it.
func (r *Receiver) repeats(f FILETRANSFER) bool {
	if !r.open || f.Type != r.kind || f.Total != r.total {
		return false
	}
	have := uint32(len(r.data))
	if len(f.Data) == 0 {
		return f.Offset == have || r.whole && f.Offset > 0
	}
	done := r.whole && r.status != FTFinishing
	return f.Offset == r.at && (f.Offset > 0 || !done) && bytes.Equal(f.Data, r.data[r.at:])
}

// start begins a transfer.
func (r *Receiver) start(f FILETRANSFER) int16 {
	r.Abort()
	if r.opt.Accept != nil && !r.opt.Accept(f.Type) {
		return FTUnrecognised
	}
	r.open, r.kind, r.total = true, f.Type, f.Total
	return r.add(f)
}

// continues says whether f is what comes next.
func (r *Receiver) continues(f FILETRANSFER) bool {
	return r.open && f.Type == r.kind && f.Total == r.total && uint64(f.Offset) == uint64(len(r.data))
}

func (r *Receiver) add(f FILETRANSFER) int16 {
	r.at = f.Offset
	r.data = append(r.data, f.Data...)
	if uint64(len(r.data)) < uint64(r.total) {
		return FTOK
	}
	r.whole = true
	if r.opt.Commit == nil {
		return FTProcessed
	}
	return r.opt.Commit(File{Type: r.kind, Content: bytes.Clone(r.data)})
}

// Finish tells the outcome of a file that Commit left at FTFinishing:
// FTProcessed, FTRebooting or a status below 0. The panel hears it with its
// next fragment.
func (r *Receiver) Finish(status int16) {
	if r.whole && r.status == FTFinishing {
		r.status = status
	}
}

// Abort forgets the transfer, as the ABORT command asks and the loss of the
// panel. A file that was given to Commit stays given.
func (r *Receiver) Abort() {
	clear(r.data)
	*r = Receiver{opt: r.opt, data: r.data[:0]}
}

// Progress is the bytes that have come, and those of the file; 0 and 0 while
// there is none.
func (r *Receiver) Progress() (have, total int) { return len(r.data), int(r.total) }

// String tells how far the file is.
func (r Receiver) String() string {
	return fmt.Sprintf("file of type %d, %d of %d bytes (hidden)", r.kind, len(r.data), r.total)
}

// Format prints String whatever the verb.
func (r Receiver) Format(s fmt.State, _ rune) { fmt.Fprint(s, r.String()) }
