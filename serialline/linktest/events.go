package linktest

import (
	"slices"

	"latchkey/serialline"
)

// The entries of the journal "events".
const (
	entryEvent = 1 // event
	entryAck   = 2 // seq u64
	entryNext  = 3 // next seq u64, lost u64, acked u64: after each start, and first in a rewritten journal
	entryClean = 4 // next seq u64: power went down in good order
)

// seqJump is how far seq jumps after a start that follows no clean stop, so
// that it never falls behind an event that was told and not kept.
const seqJump = 1024

// A ring is the events that a controller keeps.
type ring struct {
	room  int
	list  []serialline.Event // oldest first
	next  uint64             // seq of the next event
	acked uint64             // all up to here are on the host's disk
	lost  uint64             // overwritten before they were acked, ever
	clean bool               // the journal ends with a clean stop
}

func (r *ring) apply(kind uint8, p []byte) error {
	r.clean = kind == entryClean
	switch {
	case kind == entryEvent:
		e, err := serialline.ParseEvent(p)
		if err != nil {
			return err
		}
		r.add(e)
	case kind == entryAck && len(p) == 8:
		r.acked = max(r.acked, le.Uint64(p))
	case kind == entryNext && len(p) == 24:
		r.next, r.lost, r.acked = le.Uint64(p), le.Uint64(p[8:]), le.Uint64(p[16:])
	case kind == entryClean && len(p) == 8:
		r.next = le.Uint64(p)
	default:
		return errEntry
	}
	return nil
}

func (r *ring) add(e serialline.Event) {
	if len(r.list) >= r.room {
		if r.list[0].Seq > r.acked {
			r.lost++
		}
		r.list = slices.Delete(r.list, 0, 1)
	}
	r.list = append(r.list, e)
	r.next = max(r.next, e.Seq+1)
}

// head is the seq of the newest event, tail that of the oldest which is not
// acked; 0 where there is none.
func (r *ring) head() uint64 {
	if len(r.list) == 0 {
		return 0
	}
	return r.list[len(r.list)-1].Seq
}

func (r *ring) tail() uint64 {
	if i := r.from(r.acked + 1); i < len(r.list) {
		return r.list[i].Seq
	}
	return 0
}

// from is the index of the first event of that seq or after.
func (r *ring) from(seq uint64) int {
	i, _ := slices.BinarySearchFunc(r.list, seq, func(e serialline.Event, seq uint64) int {
		switch {
		case e.Seq < seq:
			return -1
		case e.Seq > seq:
			return 1
		}
		return 0
	})
	return i
}

func (r *ring) nextEntry() []byte {
	return le.AppendUint64(le.AppendUint64(le.AppendUint64(nil, r.next), r.lost), r.acked)
}

// entries is a journal that makes this ring. The counts come last: replaying
// the events must not count any as lost again, nor give their numbers away.
func (r *ring) entries() []byte {
	var b []byte
	for _, e := range r.list {
		b = appendEntry(b, entryEvent, e.Append(nil))
	}
	return appendEntry(b, entryNext, r.nextEntry())
}
