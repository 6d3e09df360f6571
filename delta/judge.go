package delta

import "strconv"

// A Verdict is what a site does with a delta whose signature holds.
type Verdict int

// The verdicts.
const (
	Apply    Verdict = iota + 1 // the next one: apply it, then send Applied
	AckAgain                    // held already: send Applied again, change nothing
	Gap                         // some are missing before it: ask for them, keep its deny
	Fork                        // another history than the one held: alarm, ask for a snapshot
	OldEpoch                    // of a stream that is over: refuse and count
	NewEpoch                    // of a stream that this site has no state of: ask for a snapshot
)

// String is the verdict in a word or two.
func (v Verdict) String() string {
	switch v {
	case Apply:
		return "apply"
	case AckAgain:
		return "ack again"
	case Gap:
		return "gap"
	case Fork:
		return "fork"
	case OldEpoch:
		return "old epoch"
	case NewEpoch:
		return "new epoch"
	default:
		return "verdict " + strconv.Itoa(int(v))
	}
}

// Judge says what a site that holds held does with d, whose payload has the
// given hash. Of what it holds a site remembers the newest hash only, so a
// delta older than that is acked again unread: if it was another one, the
// cloud sees so from the hash in Applied.
func Judge(held Head, d *Delta, hash Hash) Verdict {
	switch {
	case d.Epoch < held.Epoch:
		return OldEpoch
	case d.Epoch > held.Epoch:
		return NewEpoch
	case d.Seq < held.Seq:
		return AckAgain
	case d.Seq == held.Seq && hash == held.Hash:
		return AckAgain
	case d.Seq == held.Seq:
		return Fork
	case d.Seq-held.Seq > 1:
		return Gap
	case d.Prev != held.Hash:
		return Fork
	default:
		return Apply
	}
}
