package okta

import (
	"maps"
	"slices"
	"time"

	"latchkey/cloud"
)

// A State is how far an organisation's Okta has been read. It is kept across
// restarts.
type State struct {
	Confirmed bool      `json:"confirmed"` // a person has seen what the first read would do
	Held      *Held     `json:"held,omitempty"`
	Approved  *Absence  `json:"approved,omitempty"` // what a person has confirmed to be gone
	Watermark time.Time `json:"watermark,omitzero"` // what changed before has been read; Okta's clock
	Cursor    Cursor    `json:"cursor,omitempty"`   // in the System Log

	Reconciled time.Time `json:"reconciled,omitzero"` // when everything was read last
	Users      int       `json:"users"`               // in it
	Groups     int       `json:"groups"`
	NoLogs     bool      `json:"no_logs,omitempty"` // the token may not read the System Log
	Asked      time.Time `json:"asked,omitzero"`    // when a person last asked, at another process, to read everything

	// Problems are users and groups that could not be taken, by id. They are read
	// again with each read by time.
	Problems map[string]Problem `json:"problems,omitempty"`
}

// A Problem is one user or group that could not be taken.
type Problem struct {
	Kind string    `json:"kind"` // kindUser or kindGroup
	Text string    `json:"text"`
	At   time.Time `json:"at"`
}

// What a read is about.
const (
	kindUser  = "user"
	kindGroup = "group"
)

// maxProblems is how many are kept; the daily read finds the others again.
const maxProblems = 500

// An Absence counts what Okta does not list any more.
type Absence struct {
	Users  int `json:"users"`
	Groups int `json:"groups"`
}

// Held is what waits for a person.
type Held struct {
	Reason   string         `json:"reason"`
	At       time.Time      `json:"at"`
	Missing  Absence        `json:"missing"`
	Forecast cloud.Forecast `json:"forecast"`
}

// failed notes, or with a nil err forgets, a problem with one object.
func (s *State) failed(kind, id string, err error, now time.Time) {
	if err == nil {
		delete(s.Problems, id)
		return
	}
	if s.Problems == nil {
		s.Problems = map[string]Problem{}
	}
	if _, known := s.Problems[id]; known || len(s.Problems) < maxProblems {
		s.Problems[id] = Problem{kind, err.Error(), now}
	}
}

// again are the objects that are to be read again.
func (s *State) again() (p pings) {
	for _, id := range slices.Sorted(maps.Keys(s.Problems)) {
		if s.Problems[id].Kind == kindUser {
			p.Users = append(p.Users, id)
		} else {
			p.Groups = append(p.Groups, id)
		}
	}
	return p
}

// confirm lets what is held go on.
func (s *State) confirm() {
	if s.Confirmed {
		missing := s.Held.Missing
		s.Approved = &missing
	}
	s.Confirmed, s.Held = true, nil
}

// clone copies s, so that a copy can be shown while s goes on.
func (s *State) clone() State {
	c := *s
	c.Problems = maps.Clone(s.Problems)
	return c
}

// What makes an absence suspicious: more than both of these.
const (
	fewMissing   = 20
	shareMissing = 10 // per cent
)

// suspicious says whether n of all that are missing are too many to be believed
// without a person.
func suspicious(n, all int) bool { return n > fewMissing && n*100 > all*shareMissing }

// believed says whether gone may be acted upon, known being all there were.
func believed(gone, known Absence, approved *Absence) bool {
	if approved != nil && gone.Users <= approved.Users && gone.Groups <= approved.Groups {
		return true
	}
	return !suspicious(gone.Users, known.Users) && !suspicious(gone.Groups, known.Groups)
}
