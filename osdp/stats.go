package osdp

import (
	"math"
	"time"
)

// PDStats is what a Bus knows of a PD, for status pages and metrics. Counts go
// on from when the Bus was made.
type PDStats struct {
	Addr     uint8
	Name     string
	Online   bool      // it is served: its cards count, and it takes commands
	Since    time.Time // of Online's last change; zero before the first
	LastGood time.Time // last valid exchange, also of one that is not served; zero before the first
	Secure   bool      // a secure channel under the PD's own key is up
	Clear    bool      // it needs none: it is served in the clear
	Trouble  Trouble   // why a PD that answers is not served
	Checksum bool      // speaks with the 8-bit checksum
	ID       PDID      // as last told
	Caps     PDCAP     // as last told
	CUID     [8]byte   // what it called itself in the last handshake; opaque

	Polls        uint64        // POLL commands sent while it was online, repeats not counted
	Retries      uint64        // repeats of any command
	CRCErrors    uint64        // frames with a wrong check while this PD was to answer
	NAKs         uint64        // refusals of any kind
	NAKCodes     NAKCounts     // of them, by what they say
	Busy         uint64        // BUSY replies
	Reserved     uint64        // replies with reserved control bits set
	Restarts     uint64        // starts at sequence 0 of an online PD
	Latency      Latency       // from a command's last byte written to its answer
	WorstPollGap time.Duration // the longest time from one POLL to the next while it was online

	// What came while this PD was to answer, and was no answer.
	Ignored    uint64 // all of the following
	Echoes     uint64 // our own bytes: an adapter that hears itself
	OtherPanel uint64 // commands that we did not send: somebody else polls this line
	Foreign    uint64 // replies of another address
	Late       uint64 // replies with another sequence number, or when their time was over: late, or repeated
	Unasked    uint64 // frames of this PD while nobody had asked it: two PDs at one address, or one that babbles
	Twice      uint64 // of them, second answers to the command that it answered last

	Handshakes    uint64 // secure channels that came up
	Refused       uint64 // handshakes that failed
	MACErrors     uint64 // sealed replies whose MAC was wrong
	ClearReplies  uint64 // clear replies where a channel is due, which do not count
	ClearData     uint64 // replies with a right MAC whose data was not encrypted
	AlteredClaims uint64 // what the PD says in the clear about itself is not what it says in the channel

	// Replies that were taken although other implementations would not.
	OtherCheck   uint64 // closed by the checksum where the command had a CRC, or the other way round
	OtherInputs  uint64 // ISTATR with another number of inputs than PDCAP names
	OutputStates uint64 // OSTATR in place of ACK, to an OUT
	OtherXRD     uint64 // a smart card's answer with the number of a presence
	EmptySealed  uint64 // encrypted data that is padding alone
}

// latencyFirst is the upper bound of the first bucket of a Latency; each next
// one is double.
const latencyFirst = 500 * time.Microsecond

// A Latency is a distribution of times, in buckets of 0.5 ms, 1 ms, 2 ms and so
// on.
type Latency struct {
	Counts [12]uint64 // the last one has no upper bound
	Sum    time.Duration
	Max    time.Duration
}

// Bound is the upper bound of bucket i of Counts, which it includes. The last
// bucket's is meaningless.
func (l Latency) Bound(i int) time.Duration { return latencyFirst << i }

// Count is the number of times in l.
func (l Latency) Count() (n uint64) {
	for _, c := range l.Counts {
		n += c
	}
	return n
}

func (l *Latency) add(d time.Duration) {
	i := 0
	for bound := latencyFirst; d > bound && i < len(l.Counts)-1; bound *= 2 {
		i++
	}
	l.Counts[i]++
	l.Sum += d
	l.Max = max(l.Max, d)
}

// Quantile is a time that the fraction q of all were not longer than: the upper
// bound of its bucket, Max at the most, and 0 without any.
func (l Latency) Quantile(q float64) time.Duration {
	var sum uint64
	rank := uint64(math.Ceil(q * float64(l.Count())))
	for i, n := range l.Counts {
		if sum += n; sum >= rank && n > 0 {
			return min(latencyFirst<<i, l.Max)
		}
	}
	return l.Max
}

// A Trouble says why a PD that answers is not served.
type Trouble uint8

const (
	// NoTrouble: it is served, or does not answer at all.
	NoTrouble Trouble = iota
	// NoKey: its line must be secure, and we have no key for it.
	NoKey
	// NoChannel: it refuses to open a secure channel with the key that we have.
	NoChannel
	// WrongKey: it has another key than we.
	WrongKey
	// Forged: too many replies whose MAC was wrong. Somebody guesses.
	Forged
	// Swapped: its vendor or serial number is not the one that was pinned.
	Swapped
)

func (t Trouble) String() string {
	if t > Swapped {
		return "unknown trouble"
	}
	return [...]string{"none", "no key for it yet", "it refuses a secure channel", "it has another key", "forged replies",
		"it is not the device that was here"}[t]
}
