package uplink

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"latchkey/delta"
)

// maxPartsInFlight is how many parts of a snapshot may be on their way to one site:
// about 1.5 MB, well within what brokers hold for a slow reader.
const maxPartsInFlight = 16

// partSize is how many bytes of records go into one part. The rest of
// MaxPayload is for the fields around them.
const partSize = delta.MaxPayload - 2048

// A transfer brings one snapshot to a site, part by part: selective repeat,
// paced by the site's receipts. Like Window it is told the time and does
// nothing by itself.
type transfer struct {
	id      string
	head    delta.Head
	word    *delta.Approval
	parts   [][]delta.Change // nil once all are received: they can be large
	count   int
	got     []bool
	missing int
	next    int   // the newest part that was never sent; parts count from 1
	again   []int // parts to send again, before new ones
	flights []flight
	timeout rtt
	heard   time.Time   // of the newest receipt, or of the start
	firstAt []time.Time // of each part's first copy; zero before it
}

type flight struct {
	part int
	at   time.Time
}

func newTransfer(now time.Time, id string, head delta.Head, changes []delta.Change) (*transfer, error) {
	parts, err := split(changes)
	if err != nil {
		return nil, err
	}
	return &transfer{
		id: id, head: head, parts: parts, count: len(parts),
		got: make([]bool, len(parts)+1), missing: len(parts), next: 1, heard: now,
		firstAt: make([]time.Time, len(parts)+1),
	}, nil
}

// split cuts changes into parts of at most partSize bytes. There is always one
// part, so that an empty state arrives too.
func split(changes []delta.Change) ([][]delta.Change, error) {
	var parts [][]delta.Change
	start, size := 0, 0
	for i := range changes {
		b, err := json.Marshal(&changes[i])
		if err != nil {
			return nil, fmt.Errorf("uplink: snapshot: %s: %w", changes[i].Kind, err)
		}
		if n := len(b) + 1; size+n > partSize && i > start {
			parts = append(parts, changes[start:i:i])
			start, size = i, n
		} else {
			size += n
		}
	}
	return append(parts, changes[start:]), nil
}

// complete tells whether the site has receipted all parts.
func (t *transfer) complete() bool { return t.missing == 0 }

// send gives the parts to send now. They count as sent.
func (t *transfer) send(now time.Time) []int {
	if t.complete() {
		return nil
	}
	t.expire(now)
	limit := maxPartsInFlight
	if t.timeout.vain >= probeAfter {
		limit = 1
	}
	var parts []int
	for len(t.flights) < limit {
		var f flight
		switch {
		case len(t.again) > 0:
			f = flight{part: t.again[0], at: now}
			t.again = t.again[1:]
			if t.got[f.part] {
				continue
			}
		case t.next <= t.count:
			f = flight{part: t.next, at: now}
			t.next++
		default:
			return parts
		}
		if t.firstAt[f.part].IsZero() {
			t.firstAt[f.part] = now
		}
		t.flights = append(t.flights, f)
		parts = append(parts, f.part)
	}
	return parts
}

// expire takes back what has waited too long.
func (t *transfer) expire(now time.Time) {
	wait := t.timeout.wait()
	var late []int
	t.flights = slices.DeleteFunc(t.flights, func(f flight) bool {
		if now.Sub(f.at) < wait {
			return false
		}
		late = append(late, f.part)
		return true
	})
	if len(late) > 0 {
		t.timeout.expired()
		t.again = append(late, t.again...)
	}
}

// recall queues all that is on its way to be sent again.
func (t *transfer) recall() {
	again := make([]int, 0, len(t.flights)+len(t.again))
	for _, f := range t.flights {
		again = append(again, f.part)
	}
	t.again = append(again, t.again...)
	t.flights = nil
}

// restart sends everything again, because a site takes only parts that echo the
// nonce of its newest hello. What was not receipted goes first: a site that
// kept what it had staged is done as soon as that has come.
func (t *transfer) restart(now time.Time) {
	var missing, had []int
	for part := 1; part <= t.count; part++ {
		if t.got[part] {
			had = append(had, part)
		} else {
			missing = append(missing, part)
		}
	}
	clear(t.got)
	clear(t.firstAt)
	t.again, t.flights = append(missing, had...), nil
	t.missing, t.next = t.count, t.count+1
	t.heard = now
	t.timeout = rtt{smoothed: t.timeout.smoothed}
}

// receipt notes that the site has a part.
func (t *transfer) receipt(now time.Time, part int) {
	if part < 1 || part > t.count {
		return
	}
	t.heard = now
	t.timeout.vain = 0
	t.flights = slices.DeleteFunc(t.flights, func(f flight) bool { return f.part == part })
	if !t.got[part] {
		t.got[part] = true
		t.missing--
		// Which copy is receipted is not known. From the first one on the time
		// is too long rather than too short, and parts are too large to be sent
		// again in vain.
		t.timeout.sample(now.Sub(t.firstAt[part]))
	}
	if t.complete() {
		t.parts, t.flights, t.again = nil, nil, nil
	}
}

// need notes that the site has not got these parts after all. It is false when
// they are not kept any more, and a new snapshot must do.
func (t *transfer) need(now time.Time, parts []int) bool {
	if t.parts == nil {
		return false
	}
	t.heard = now
	for _, part := range parts {
		if part < 1 || part > t.count || !t.got[part] {
			continue // not ours, or to be sent anyway
		}
		t.got[part], t.firstAt[part] = false, time.Time{}
		t.missing++
		t.again = append(t.again, part)
	}
	return true
}

// wake is when send has something to send again; zero for never.
func (t *transfer) wake() time.Time {
	if len(t.flights) == 0 {
		return time.Time{}
	}
	oldest := t.flights[0].at
	for _, f := range t.flights[1:] {
		if f.at.Before(oldest) {
			oldest = f.at
		}
	}
	return oldest.Add(t.timeout.wait())
}
