package admin

import (
	"fmt"
	"math"
	"net/http"
	"time"

	"latchkey/access"
	"latchkey/delta"
)

// A LogEntry is one delta of a site's log, as an administrator may see it:
// what changed, and never the records themselves, which have the cards in them.
type LogEntry struct {
	Epoch   uint32       `json:"epoch"`
	Seq     uint64       `json:"seq"`
	At      time.Time    `json:"at"`
	Prev    delta.Hash   `json:"prev"`
	Hash    delta.Hash   `json:"hash"` // of this entry's payload: the next one's prev
	Digest  delta.Digest `json:"digest"`
	Deny    []access.Ref `json:"deny"`
	Changes []LogChange  `json:"changes"`
}

// A LogChange names one record that was put or deleted.
type LogChange struct {
	Op string `json:"op"`
	access.Ref
}

// A SiteLog is the answer to a call for part of a site's log.
type SiteLog struct {
	Entries []LogEntry `json:"entries"`
}

func (s *server) siteLog(r *http.Request) (any, error) {
	q := queryOf(r)
	epoch, after, limit := uint32(q.number("epoch", 0, math.MaxUint32)), q.number("after", 0, math.MaxInt64), q.limit(mostEntries)
	if err := q.check(); err != nil {
		return nil, err
	}
	payloads, err := s.cloud.SiteLog(r.Context(), org(r), site(r), epoch, after, limit)
	if err != nil {
		return nil, err
	}
	log := SiteLog{Entries: make([]LogEntry, len(payloads))}
	for i, p := range payloads {
		if log.Entries[i], err = logEntry(p); err != nil {
			return nil, err
		}
	}
	p := page{v: log}
	if len(payloads) >= limit {
		last := log.Entries[len(payloads)-1]
		q.next("epoch", last.Epoch) // a new one may come between two pages
		p.next = q.next("after", last.Seq)
	}
	return p, nil
}

func logEntry(payload []byte) (LogEntry, error) {
	m, err := delta.Decode(payload)
	if err != nil {
		return LogEntry{}, fmt.Errorf("admin: site log: %w", err)
	}
	d, ok := m.(*delta.Delta)
	if !ok {
		return LogEntry{}, fmt.Errorf("admin: site log: got a %T, want a delta", m)
	}
	e := LogEntry{
		Epoch: d.Epoch, Seq: d.Seq, At: d.At, Prev: d.Prev, Hash: delta.HashOf(payload), Digest: d.Digest,
		Deny: append([]access.Ref{}, d.Deny...), Changes: make([]LogChange, len(d.Changes)),
	}
	for i, c := range d.Changes {
		e.Changes[i] = LogChange{c.Op, c.Ref}
	}
	return e, nil
}
