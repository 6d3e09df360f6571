package okta

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// A Status says how the reading of an organisation's Okta goes. The token is
// not in it.
type Status struct {
	Domain    string   `json:"domain"`
	Poll      string   `json:"poll"`
	Delta     string   `json:"delta"`
	Reconcile string   `json:"reconcile"`
	Valid     []string `json:"valid_statuses"`
	CardAttr  string   `json:"card_attribute"`
	KindAttr  string   `json:"kind_attribute"`

	State      string    `json:"state"` // "reading", "waiting for a person", "failing", "starting"
	Polled     time.Time `json:"last_success,omitzero"`
	Watermark  time.Time `json:"watermark,omitzero"`
	Reconciled time.Time `json:"read_whole,omitzero"`
	Users      int       `json:"users"`
	Groups     int       `json:"groups"`
	Stats
	TokenSet time.Time `json:"token_set"`
	Errors   []string  `json:"errors,omitempty"`
	Held     *Held     `json:"held,omitempty"`
	Problems []string  `json:"not_taken,omitempty"` // users and groups with the reason
	Advice   []string  `json:"advice,omitempty"`
}

// The states of a Status.
const (
	stateReading  = "reading"
	stateWaiting  = "waiting for a person"
	stateFailing  = "failing"
	stateStarting = "starting"
	stateOther    = "read by another process"
)

// Status says how the reading of org's Okta goes: cloud.ErrNotFound where it is
// not read.
func (s *Service) Status(ctx context.Context, org string) (Status, error) {
	conn, err := s.connection(ctx, org)
	if err != nil {
		return Status{}, err
	}
	st := Status{
		Domain: conn.Domain, Poll: conn.Poll.String(), Delta: conn.Delta.String(), Reconcile: conn.Reconcile.String(), Valid: conn.Valid,
		CardAttr: conn.CardAttr, KindAttr: conn.KindAttr, TokenSet: conn.TokenSet, State: stateStarting,
	}
	r := s.reader(org)
	if r == nil {
		if _, err := s.openToken(conn.Sealed, org, conn.Domain); err != nil {
			st.State, st.Errors = stateFailing, []string{err.Error()}
			return st, nil
		}
		return st, s.elsewhere(ctx, org, &st)
	}
	r.report(&st)
	return st, nil
}

// elsewhere fills in what is stored of the reading that another process does.
func (s *Service) elsewhere(ctx context.Context, org string, st *Status) error {
	if _, ours := s.cloud.Leases().Reads(org); ours {
		return nil // soon
	}
	state, _, err := s.stored(ctx, org)
	if err != nil {
		return err
	}
	st.State = stateOther
	if state.Held != nil {
		st.State = stateWaiting
	}
	st.fill(state)
	st.Advice = advice(st, nil, s.o.Now())
	return nil
}

// fill fills in what is kept of the reading.
func (st *Status) fill(s State) {
	st.Watermark, st.Reconciled, st.Users, st.Groups, st.Held = s.Watermark, s.Reconciled, s.Users, s.Groups, s.Held
	for _, id := range slices.Sorted(maps.Keys(s.Problems)) {
		p := s.Problems[id]
		st.Problems = append(st.Problems, fmt.Sprintf("%s %s: %s", p.Kind, id, p.Text))
	}
}

// report fills in what r knows.
func (r *reader) report(st *Status) {
	st.Stats = r.client.Stats()
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.state.clone()
	st.Polled = r.polled
	st.fill(s)
	var errs []error
	for _, loop := range slices.Sorted(maps.Keys(r.failures)) {
		f := r.failures[loop]
		errs = append(errs, f.err)
		st.Errors = append(st.Errors, fmt.Sprintf("%s, at %s: %v", loop, f.at.UTC().Format(time.RFC3339), f.err))
	}
	switch {
	case len(errs) > 0:
		st.State = stateFailing
	case s.Held != nil:
		st.State = stateWaiting
	case !s.Reconciled.IsZero():
		st.State = stateReading
	}
	st.Advice = advice(st, errors.Join(errs...), r.now())
}

// Okta ends a token that is not used for tokenLife (facts of its API tokens);
// unused is when people are told.
const (
	tokenLife = 30 * 24 * time.Hour
	unused    = 7 * 24 * time.Hour
)

// advice says in words what a person should do.
func advice(st *Status, err error, now time.Time) (all []string) {
	say := func(when bool, format string, args ...any) {
		if when {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	if h := st.Held; h != nil {
		say(true, "%d people would gain access and %d of %d would lose it; nothing of that is done before you confirm it: latchkey-cloud okta confirm --lose %d",
			h.Forecast.Gain.Count, h.Forecast.Lose.Count, h.Forecast.People, h.Forecast.Lose.Count)
		say(h.Forecast.Held.Count > 0, "%d people keep access that they would lose, because that waits for a person already: latchkey-cloud hold list", h.Forecast.Held.Count)
	}
	say(errors.Is(err, ErrToken), "Okta refuses the token: it was revoked, or was not used for 30 days, or the admin who made it has left or lost the role, "+
		"or it is bound to other addresses. Make a new one as a service account with the role Read-Only Administrator, and set it")
	say(errors.Is(err, ErrForbidden), "the admin whose token this is may not read all that is needed: give the account the role Read-Only Administrator. "+
		"As long as it may not read the System Log, changes are found by their time at each poll")
	used := st.LastUsed
	if used.IsZero() {
		used = st.TokenSet
	}
	say(!errors.Is(err, ErrToken) && now.Sub(used) > unused, "the token was used last on %s; Okta ends it after 30 days without use, on %s",
		used.UTC().Format(time.DateOnly), used.Add(tokenLife).UTC().Format(time.DateOnly))
	say(st.Paused.After(now.Add(time.Second)), "Okta's rate limit is nearly used up, until %s; other programs of yours share it", st.Paused.UTC().Format(time.TimeOnly))
	say(len(st.Problems) > 0, "%d users or groups could not be taken; the first: %s", len(st.Problems), cmp.Or(append(st.Problems, "")[0]))
	say(err != nil && len(all) == 0, "Okta cannot be read at present; it is tried again at each poll")
	return all
}

// Health is a Status in figures.
type Health struct {
	LastSuccess time.Time // zero until there was one in this process
	Failing     bool
	Waiting     bool // for a person
	NotTaken    int  // users and groups
}

// Health says how the reading goes of each organisation that is read, by its
// id. It asks no database.
func (s *Service) Health() map[string]Health {
	s.mu.Lock()
	readers := maps.Clone(s.readers)
	s.mu.Unlock()
	all := make(map[string]Health, len(readers))
	for org, r := range readers {
		r.mu.Lock()
		all[org] = Health{r.polled, len(r.failures) > 0, r.state.Held != nil, len(r.state.Problems)}
		r.mu.Unlock()
	}
	return all
}
