package signin

import (
	"net/http"
	"sync"

	"latchkey/cloud"
)

// A Way is how somebody tries to get in.
type Way string

// The ways in.
const (
	ByCode    Way = "code"    // made by the operator
	ByAccount Way = "account" // of the organisation, at its provider
)

// An Outcome is what came of a try.
type Outcome string

// The outcomes. Who does not come back from their provider has none.
const (
	LetIn   Outcome = "in"
	Refused Outcome = "refused" // the cloud or the provider said no
	Slowed  Outcome = "slowed"  // too many tries from the same place; it was not looked at
	Failed  Outcome = "failed"  // the cloud or the provider could not carry it out
)

// A Try is a way in with what came of it.
type Try struct {
	Way     Way
	Outcome Outcome
}

// tries are all that there are.
func tries() []Try {
	var all []Try
	for _, way := range []Way{ByCode, ByAccount} {
		for _, outcome := range []Outcome{LetIn, Refused, Slowed, Failed} {
			all = append(all, Try{way, outcome})
		}
	}
	return all
}

// counts are what came of tries; its zero value has none.
type counts struct {
	mu sync.Mutex
	n  map[Try]uint64
}

func (c *counts) add(t Try) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[Try]uint64{}
	}
	c.n[t]++
}

// Tries is how often what came of tries to get in since the Service was made,
// with a number for each Try that there is.
func (s *Service) Tries() map[Try]uint64 {
	s.tried.mu.Lock()
	defer s.tried.mu.Unlock()
	all := map[Try]uint64{}
	for _, t := range tries() {
		all[t] = s.tried.n[t]
	}
	return all
}

// wayOf is how whoever sent r tries to get in; ok is false where they do not.
func wayOf(r *http.Request) (way Way, ok bool) {
	if r.PathValue("org") != "" {
		return ByAccount, true
	}
	return ByCode, r.Method == http.MethodPost && r.URL.Path == Root+"sign-in"
}

// cameIn counts a session that began.
func (s *Service) cameIn(session cloud.Session) {
	way := ByAccount
	if session.Code != "" {
		way = ByCode
	}
	s.tried.add(Try{way, LetIn})
}

// didNot counts a try that r was and that ended with p. Of who has gone
// meanwhile nothing is known.
func (s *Service) didNot(r *http.Request, p *problem) {
	way, ok := wayOf(r)
	if !ok || r.Context().Err() != nil {
		return
	}
	outcome := Refused
	switch {
	case p.status == http.StatusTooManyRequests:
		outcome = Slowed
	case p.status >= 500:
		outcome = Failed
	}
	s.tried.add(Try{way, outcome})
}
