package controller

import (
	"fmt"
	"maps"
	"strconv"
	"time"

	"latchkey/osdp"
)

// A Quality says how the exchange with one reader went since its driver began.
// Readers that share an address share it.
type Quality struct {
	Answers      uint64  `json:"answers"`
	ReplyP50     float64 `json:"reply_p50_seconds"` // half of the answers began and ended within; a bucket's bound
	ReplyP99     float64 `json:"reply_p99_seconds"`
	ReplyMax     float64 `json:"reply_max_seconds"`
	WorstPollGap float64 `json:"worst_poll_gap_seconds"` // the longest time from one poll to the next while it was online

	NAKs map[string]uint64 `json:"naks,omitempty"` // refusals by code, each that osdp names in decimal digits, and NAKOther
	Busy uint64            `json:"busy"`

	Handshakes        uint64 `json:"handshakes"`         // secure channels that came up
	RefusedHandshakes uint64 `json:"handshakes_refused"` // and those that did not
	MACErrors         uint64 `json:"mac_errors"`         // answers that were not authentic
	ClearReplies      uint64 `json:"clear_replies"`      // answers in the clear inside a channel, not believed
	ClearData         uint64 `json:"clear_data"`         // authentic answers that were not encrypted
	AlteredClaims     uint64 `json:"altered_claims"`     // somebody changed what it says about itself in the clear

	Strays map[string]uint64 `json:"strays,omitempty"` // what came instead of its answers, by the names below
	Odd    map[string]uint64 `json:"odd,omitempty"`    // answers that were taken, and that some implementations would refuse, by the names below
}

// String is how quickly the reader answers, for people.
func (q Quality) String() string {
	if q.Answers == 0 {
		return "no answers yet"
	}
	return fmt.Sprintf("half of the answers within %s, 99 of 100 within %s, all within %s; longest pause between two questions %s",
		short(q.ReplyP50), short(q.ReplyP99), short(q.ReplyMax), short(q.WorstPollGap))
}

// short is a time, given in seconds, as people read it.
func short(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	switch {
	case d < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

// NAKOther stands for the codes of refusals that nobody knows.
const NAKOther = "other"

// The kinds of stray frames.
const (
	StrayEcho       = "echo"        // our own command came back
	StrayOtherPanel = "other_panel" // a command that is not ours
	StrayForeign    = "foreign"     // an answer from an address that was not asked
	StrayLate       = "late"        // an answer whose time was over
	StrayUnasked    = "unasked"     // a reader spoke of itself, or twice
)

// What is odd about answers that are taken all the same.
const (
	OddCheck    = "check"    // closed by the checksum to a command with a CRC, or the other way round
	OddInputs   = "inputs"   // another number of inputs than the reader says it has
	OddOutputs  = "outputs"  // the state of the outputs where an acknowledgement was due
	OddXRD      = "xrd"      // a smart card's answer numbered as its presence
	OddPadding  = "padding"  // encrypted data that is padding alone
	OddReserved = "reserved" // reserved control bits
)

// A LineStatus says how the exchange on a bus goes, all its readers together.
type LineStatus struct {
	Replies      Histogram         `json:"-"`
	WorstPollGap float64           `json:"worst_poll_gap_seconds"`
	Handshakes   uint64            `json:"handshakes"`
	Strays       map[string]uint64 `json:"strays,omitempty"`
	Remarks      []Remark          `json:"remarks,omitempty"`
}

// A Histogram counts times by upper bound.
type Histogram struct {
	Buckets map[float64]uint64 // times of at most so many seconds, those of smaller bounds included
	Count   uint64
	Sum     float64 // seconds
}

// qualityOf is what s says of one reader.
func qualityOf(s osdp.PDStats) *Quality {
	return &Quality{
		Answers:  s.Latency.Count(),
		ReplyP50: s.Latency.Quantile(0.5).Seconds(), ReplyP99: s.Latency.Quantile(0.99).Seconds(), ReplyMax: s.Latency.Max.Seconds(),
		WorstPollGap: s.WorstPollGap.Seconds(),
		NAKs:         naksOf(s), Busy: s.Busy,
		Handshakes: s.Handshakes, RefusedHandshakes: s.Refused, MACErrors: s.MACErrors,
		ClearReplies: s.ClearReplies, ClearData: s.ClearData, AlteredClaims: s.AlteredClaims,
		Strays: straysOf(s), Odd: oddOf(s),
	}
}

func naksOf(s osdp.PDStats) map[string]uint64 {
	counts := map[string]uint64{}
	for code, n := range s.NAKCodes.All() {
		counts[strconv.Itoa(int(code))] = n
	}
	if n := s.NAKCodes.Other; n > 0 {
		counts[NAKOther] = n
	}
	return counts
}

func straysOf(s osdp.PDStats) map[string]uint64 {
	return present(map[string]uint64{StrayEcho: s.Echoes, StrayOtherPanel: s.OtherPanel, StrayForeign: s.Foreign, StrayLate: s.Late, StrayUnasked: s.Unasked})
}

func oddOf(s osdp.PDStats) map[string]uint64 {
	return present(map[string]uint64{OddCheck: s.OtherCheck, OddInputs: s.OtherInputs, OddOutputs: s.OutputStates, OddXRD: s.OtherXRD, OddPadding: s.EmptySealed, OddReserved: s.Reserved})
}

// present is counts without those that are 0.
func present(counts map[string]uint64) map[string]uint64 {
	maps.DeleteFunc(counts, func(_ string, n uint64) bool { return n == 0 })
	return counts
}

// lineOf is what pds say of their line.
func lineOf(pds []osdp.PDStats) *LineStatus {
	l := &LineStatus{Strays: map[string]uint64{}}
	var latency osdp.Latency
	var gap time.Duration
	for _, s := range pds {
		for i, n := range s.Latency.Counts {
			latency.Counts[i] += n
		}
		latency.Sum += s.Latency.Sum
		gap = max(gap, s.WorstPollGap)
		l.Handshakes += s.Handshakes
		for kind, n := range straysOf(s) {
			l.Strays[kind] += n
		}
	}
	l.Replies, l.WorstPollGap = histogramOf(latency), gap.Seconds()
	return l
}

func histogramOf(l osdp.Latency) Histogram {
	h := Histogram{Buckets: map[float64]uint64{}, Count: l.Count(), Sum: l.Sum.Seconds()}
	var below uint64
	for i, n := range l.Counts[:len(l.Counts)-1] {
		below += n
		h.Buckets[l.Bound(i).Seconds()] = below
	}
	return h
}
