package uplink

import "time"

// maxInFlight is how many messages may be on their way to one site.
const maxInFlight = 64

// The bounds of the time after which what was not acknowledged is sent again.
const (
	minResend = time.Second
	maxResend = 30 * time.Second
)

// probeAfter is how many times in a row a whole window is sent in vain before
// only its first message is.
const probeAfter = 3

// backQuiet is the least time between two times that a Need goes back.
const backQuiet = 100 * time.Millisecond

// A Window is the go-back-N sender's state for one site: what is on its way,
// and when to send it again. It sends nothing and reads no clock; the caller
// gives the time and does what Next says. One goroutine owns it. The zero
// Window is stopped.
//
// Seqs are those of one epoch. Everything up to base is on the site's disk;
// base+1 to next-1 is on its way.
type Window struct {
	running bool
	base    uint64
	next    uint64
	high    uint64      // the newest seq ever sent: up to here a copy is not the first
	sentAt  []time.Time // of base+1 to next-1; zero where a copy is not the first
	timer   time.Time   // when to go back; zero while nothing is on its way
	timeout rtt

	backSeq uint64    // where the newest Need went back to
	backAt  time.Time // and when
	needSeq uint64    // what a Need asked for that came too soon after it
	needAt  time.Time // when to answer that; zero for never
}

// An rtt estimates a round trip, and how long to wait for one.
type rtt struct {
	smoothed time.Duration // 0 before the first sample
	doubled  int           // how often the wait is doubled; a sample ends that
	vain     int           // time-outs since anything was acknowledged
}

func (r *rtt) sample(d time.Duration) {
	d = max(d, 1)
	if r.smoothed == 0 {
		r.smoothed = d
	}
	r.smoothed += (d - r.smoothed) / 8
	r.doubled = 0
}

func (r *rtt) expired() {
	r.vain++
	r.doubled++
}

// once is twice the smoothed round trip within its bounds.
func (r *rtt) once() time.Duration { return min(max(2*r.smoothed, minResend), maxResend) }

// wait is once, doubled for each time-out since the last sample. An answer to a message that was sent more
// than once is no sample (Karn), so on a line that is slower than the wait the
// doubling stays until an answer to a first copy comes through.
func (r *rtt) wait() time.Duration {
	d := r.once()
	for range r.doubled {
		if d *= 2; d >= maxResend {
			return maxResend
		}
	}
	return d
}

// Start makes the window stand after applied with nothing on its way: the
// site's position is known anew.
func (w *Window) Start(applied uint64) {
	*w = Window{running: true, base: applied, next: applied + 1, high: applied, timeout: rtt{smoothed: w.timeout.smoothed}}
}

// Stop makes the window send nothing until Start.
func (w *Window) Stop() { *w = Window{timeout: rtt{smoothed: w.timeout.smoothed}} }

// Running tells whether the window was started and not stopped.
func (w *Window) Running() bool { return w.running }

// Base is the seq up to which all is applied.
func (w *Window) Base() uint64 { return w.base }

// InFlight is how many messages are on their way.
func (w *Window) InFlight() int { return len(w.sentAt) }

// Next gives the seqs from..to to send now, with head the newest one in the
// log; from > to means none. They count as sent, whether or not they arrive.
func (w *Window) Next(now time.Time, head uint64) (from, to uint64) {
	if !w.running {
		return 1, 0
	}
	limit := uint64(maxInFlight)
	if w.timeout.vain >= probeAfter {
		limit = 1 // the site is away or cannot follow: knock, do not pour
	}
	from, to = w.next, min(head, w.base+limit)
	if from > to {
		return 1, 0
	}
	for seq := from; seq <= to; seq++ {
		var at time.Time
		if seq > w.high {
			at = now
			w.high = seq
		}
		w.sentAt = append(w.sentAt, at)
	}
	w.next = to + 1
	if w.timer.IsZero() {
		w.timer = now.Add(w.timeout.wait())
	}
	return from, to
}

// back makes seq the next one to send.
func (w *Window) back(seq uint64) {
	w.next = seq
	w.sentAt = w.sentAt[:seq-w.base-1]
}

// Applied notes that the site has everything up to seq; the caller has held its
// hash against the log. An older one changes nothing.
func (w *Window) Applied(now time.Time, seq uint64) {
	if !w.running || seq <= w.base {
		return
	}
	if seq < w.next {
		if at := w.sentAt[seq-w.base-1]; !at.IsZero() {
			w.timeout.sample(now.Sub(at))
		}
		w.sentAt = append(w.sentAt[:0], w.sentAt[seq-w.base:]...)
	} else { // the first copies did it after the window had gone back
		w.sentAt = w.sentAt[:0]
		w.next = seq + 1
		w.high = max(w.high, seq)
	}
	w.base = seq
	w.timeout.vain = 0
	w.timer = time.Time{}
	if len(w.sentAt) > 0 {
		w.timer = now.Add(w.timeout.wait())
	}
}

// Need goes back to seq, which the site asks for. A site asks once for each
// message that came before its turn, so within one round trip one question is
// answered, and the rest later if it still stands: on a line that reorders,
// each answer makes more questions. A site that asks for what it said to have
// applied has gone back itself, or it is an old question that comes late; it is
// answered more rarely.
func (w *Window) Need(now time.Time, seq uint64) {
	if !w.running || seq == 0 || seq >= w.next {
		return
	}
	quiet := max(w.timeout.smoothed, backQuiet)
	if seq <= max(w.base, w.backSeq) {
		quiet = w.timeout.once()
	}
	if due := w.backAt.Add(quiet); now.Before(due) {
		if seq > w.base {
			w.needSeq, w.needAt = max(w.needSeq, seq), due
		}
		return
	}
	w.backSeq, w.backAt, w.needSeq, w.needAt = seq, now, 0, time.Time{}
	if seq <= w.base {
		w.base = seq - 1
		w.sentAt = w.sentAt[:0]
	}
	w.back(seq)
	w.timer = time.Time{} // Next sets it
	if len(w.sentAt) > 0 {
		w.timer = now.Add(w.timeout.wait())
	}
}

// Tick goes back to the first message when the time for an answer has run out,
// and answers a Need that was put off.
func (w *Window) Tick(now time.Time) {
	if !w.running {
		return
	}
	if !w.needAt.IsZero() && !now.Before(w.needAt) {
		seq := w.needSeq
		w.needSeq, w.needAt = 0, time.Time{}
		if seq > w.base {
			w.Need(now, seq)
		}
	}
	if w.timer.IsZero() || now.Before(w.timer) {
		return
	}
	w.timeout.expired()
	w.back(w.base + 1)
	w.timer = time.Time{}
}

// Wake is when Tick has something to do; zero for never.
func (w *Window) Wake() time.Time {
	if w.timer.IsZero() || !w.needAt.IsZero() && w.needAt.Before(w.timer) {
		return w.needAt
	}
	return w.timer
}
