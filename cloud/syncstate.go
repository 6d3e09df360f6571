package cloud

import (
	"cmp"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"
)

// A SyncState is what an organisation's directories did so far.
type SyncState struct {
	Since      time.Time             `json:"since"` // counts begin
	LastSeen   time.Time             `json:"last_seen,omitzero"`
	LastClient string                `json:"last_client,omitempty"` // User-Agent
	LastToken  string                `json:"last_token,omitempty"`  // id
	LastWrite  time.Time             `json:"last_write,omitzero"`   // that was answered with success
	Requests   map[string]int64      `json:"requests"`              // by "reads" or "writes" and class: "writes 2xx"
	Errors     map[string]*SyncError `json:"errors"`                // by kind
	Cycle      SyncCycle             `json:"cycle"`                 // the newest
	Previous   SyncCycle             `json:"previous_cycle"`        // the one before
}

// A SyncError counts the errors of one kind.
type SyncError struct {
	Status int       `json:"status"`
	Count  int64     `json:"count"`
	Last   time.Time `json:"last"`
	What   string    `json:"what"`             // the last one was about
	Detail string    `json:"detail,omitempty"` // and said
}

// A SyncCycle is a run of requests without a pause of ten minutes: the
// directories come in cycles of 20 to 40 minutes, or whenever somebody presses
// "provision on demand".
type SyncCycle struct {
	Began  time.Time `json:"began,omitzero"`
	Ended  time.Time `json:"ended,omitzero"` // last request
	Reads  int64     `json:"reads"`
	Writes int64     `json:"writes"`
	Errors int64     `json:"errors"`      // answers with 4xx, but for what was not found by a read
	Failed int64     `json:"failed"`      // answers with 5xx to writes
	Lost   int64     `json:"not_present"` // writes to what is not here
}

const cyclePause = 10 * time.Minute

// mostErrorKinds is how many kinds of error are told apart.
const mostErrorKinds = 64

const settingSync = "sync"

func newSyncState(now time.Time) SyncState {
	return SyncState{Since: now, Requests: map[string]int64{}, Errors: map[string]*SyncError{}}
}

// add counts one call.
func (s *SyncState) add(c DirectoryCall, now time.Time) {
	s.LastSeen, s.LastClient, s.LastToken = now, clip(c.Caller.Client, 200), c.Caller.Token
	verb := "writes"
	if c.Reads {
		verb = "reads"
	}
	s.Requests[verb+" "+strconv.Itoa(c.Status/100)+"xx"]++
	one := SyncCycle{Began: now, Ended: now}
	switch {
	case c.Reads:
		one.Reads = 1
	default:
		one.Writes = 1
	}
	missing := c.Status == 404
	switch {
	case c.Status >= 500 && !c.Reads && c.Status != 501:
		one.Failed = 1
	case missing && !c.Reads:
		one.Lost = 1
	}
	if c.Status >= 400 && c.Status != 501 && !(missing && c.Reads) {
		one.Errors = 1
		s.addError(cmp.Or(c.Kind, strconv.Itoa(c.Status)), SyncError{Status: c.Status, Count: 1, Last: now, What: c.What, Detail: clip(c.Detail, 300)})
	}
	if !c.Reads && c.Status < 300 {
		s.LastWrite = now
	}
	s.addCycle(one)
}

func (s *SyncState) addError(kind string, e SyncError) {
	have := s.Errors[kind]
	if have == nil {
		if len(s.Errors) >= mostErrorKinds {
			return
		}
		have = &SyncError{}
		s.Errors[kind] = have
	}
	e.Count += have.Count
	if have.Last.After(e.Last) {
		e.Last, e.What, e.Detail, e.Status = have.Last, have.What, have.Detail, have.Status
	}
	*have = e
}

// addCycle takes in a cycle that goes on with the newest one, or is newer.
func (s *SyncState) addCycle(c SyncCycle) {
	if c.Began.IsZero() {
		return
	}
	if s.Cycle.Began.IsZero() || c.Began.Sub(s.Cycle.Ended) > cyclePause {
		if !s.Cycle.Began.IsZero() {
			s.Previous = s.Cycle
		}
		s.Cycle = c
		return
	}
	n := &s.Cycle
	if c.Ended.After(n.Ended) {
		n.Ended = c.Ended
	}
	n.Reads, n.Writes, n.Errors, n.Failed, n.Lost = n.Reads+c.Reads, n.Writes+c.Writes, n.Errors+c.Errors, n.Failed+c.Failed, n.Lost+c.Lost
}

// merge takes in what came later.
func (s *SyncState) merge(later SyncState) {
	if !later.LastSeen.Before(s.LastSeen) && !later.LastSeen.IsZero() {
		s.LastSeen, s.LastClient, s.LastToken = later.LastSeen, later.LastClient, later.LastToken
	}
	if later.LastWrite.After(s.LastWrite) {
		s.LastWrite = later.LastWrite
	}
	for key, n := range later.Requests {
		s.Requests[key] += n
	}
	for _, kind := range slices.Sorted(maps.Keys(later.Errors)) {
		s.addError(kind, *later.Errors[kind])
	}
	s.addCycle(later.Previous)
	s.addCycle(later.Cycle)
}

// readSync is what is stored, or an empty state that begins now.
func readSync(tx Tx, org string, now time.Time) (SyncState, error) {
	st := newSyncState(now)
	doc, err := tx.Setting(org, settingSync)
	if errors.Is(err, ErrNotFound) {
		return st, nil
	}
	if err != nil {
		return st, err
	}
	return st, json.Unmarshal(doc, &st)
}

// forget drops what seems to be from later than now, over which the clock has
// gone back: nothing that comes would be newer for as long as it went.
func (s *SyncState) forget(now time.Time) {
	late := func(t time.Time) bool { return t.After(now.Add(clocksApart)) }
	if late(s.LastSeen) {
		s.LastSeen, s.LastClient, s.LastToken = time.Time{}, "", ""
	}
	if late(s.LastWrite) {
		s.LastWrite = time.Time{}
	}
	if late(s.Cycle.Ended) {
		s.Cycle, s.Previous = SyncCycle{}, SyncCycle{}
	}
	for _, e := range s.Errors {
		if late(e.Last) {
			e.Last = now
		}
	}
}

func keepSync(tx Tx, org string, more SyncState, now time.Time) error {
	if more.LastSeen.IsZero() {
		return nil
	}
	st, err := readSync(tx, org, more.Since)
	if err != nil {
		return err
	}
	st.forget(now)
	st.merge(more)
	doc, err := encodeRecord(st)
	if err != nil {
		return err
	}
	return tx.PutSetting(org, settingSync, doc)
}
