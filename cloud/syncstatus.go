package cloud

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A SyncStatus says how an organisation's directories get on, and what to do.
type SyncStatus struct {
	SyncState
	Enabled  bool     `json:"enabled"` // SCIM is
	Tokens   int      `json:"tokens"`  // that are good now
	Holds    int      `json:"holds"`   // losses that wait for a person
	Frozen   []string `json:"frozen"`  // ids of properties that no rule syncs
	Unmapped int      `json:"unmapped"`
	Advice   []Advice `json:"advice"`

	notes []string // of each of Frozen, with its name
}

// The kinds of Advice, the most pressing first.
const (
	AdviceDisabled   = "disabled"
	AdviceNoToken    = "no token"
	AdviceNever      = "never seen"
	AdviceSilent     = "silent"
	AdviceQuarantine = "quarantine"
	AdviceRestart    = "restart provisioning"
	AdviceDrift      = "drift"
	AdviceHeld       = "held"
	AdviceNoRule     = "no rule"
	AdviceExpiring   = "token expires"
	AdviceErrors     = "errors"
	AdviceUnmapped   = "unmapped"
)

// An Advice is something to do, in words for the admin of the directory.
type Advice struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

// silence is how long a directory that calls may say nothing: its cycles are
// 40 minutes apart at the most.
const silence = 3 * time.Hour

// SyncStatus says how the organisation's directories get on.
func (s *Service) SyncStatus(ctx context.Context, org string) (SyncStatus, error) {
	var st SyncStatus
	now := stamp(s.now())
	tokens, err := s.Tokens(ctx, org)
	if err != nil {
		return st, err
	}
	err = s.store.View(ctx, func(tx Tx) error {
		st = SyncStatus{Frozen: []string{}, Advice: []Advice{}}
		o, err := tx.Org(org)
		if err != nil {
			return err
		}
		st.Enabled = o.SCIMEnabled
		if st.SyncState, err = readSync(tx, org, o.Created); err != nil {
			return err
		}
		holds, err := tx.Holds(org, 0)
		if err != nil {
			return err
		}
		st.Holds = len(holds)
		return st.frozen(tx, org)
	})
	if err != nil {
		return st, err
	}
	received, err := s.Unmapped(ctx, org)
	if err != nil {
		return st, err
	}
	st.Unmapped = len(received)
	s.journal.peek(org, func(p *pages) { st.merge(p.sync) })
	tokens = slices.DeleteFunc(tokens, func(t Token) bool { return !good(t.Expires, now) })
	st.Tokens = len(tokens)
	st.advise(tokens, now)
	return st, nil
}

// frozen lists the properties that no rule syncs.
func (st *SyncStatus) frozen(tx Tx, org string) error {
	rows, err := tx.Sites(org)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.Deleted {
			continue
		}
		p, err := propertyStatus(tx, row)
		if err != nil {
			return err
		}
		if !p.Syncing {
			st.Frozen = append(st.Frozen, row.ID)
			st.notes = append(st.notes, cmp.Or(row.Name, row.ID)+" is "+p.Note)
		}
	}
	return nil
}

// mostNotes is how many properties without a rule advice names one by one.
const mostNotes = 10

// several is "1 change" or "2 changes".
func several[N int | int64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func (st *SyncStatus) say(kind, format string, args ...any) {
	st.Advice = append(st.Advice, Advice{kind, fmt.Sprintf(format, args...)})
}

// advise says what to do, the most pressing first.
func (st *SyncStatus) advise(tokens []Token, now time.Time) {
	c := st.Cycle
	switch {
	case !st.Enabled:
		st.say(AdviceDisabled, "SCIM is switched off: every request of the directory is refused. Switch it on when it may call again.")
	case len(tokens) == 0:
		st.say(AdviceNoToken, "No token is good: make one and enter it in the directory as its secret token.")
	case st.LastSeen.IsZero():
		st.say(AdviceNever, "No directory has called yet: enter the tenant URL and the token there, test the connection, and start provisioning.")
	case now.Sub(st.LastSeen) > silence:
		st.say(AdviceSilent, "Nothing was heard since %s. See in the directory whether provisioning is stopped or in quarantine, and whether its token is good.", clock(st.LastSeen))
	}
	if all := c.Reads + c.Writes; c.Errors >= 10 && c.Errors*10 > all*4 {
		st.say(AdviceQuarantine, "%d of the %d requests of the last cycle were refused. Entra ID puts provisioning into quarantine when more than 40 %% fail: it then tries again after 6, 12 and 24 hours, and stops after 28 days. Mend the errors below, then choose \"Restart provisioning\".", c.Errors, all)
	}
	if n := c.Failed + st.Previous.Failed; n > 0 {
		st.say(AdviceRestart, "%s could not be stored lately. Entra ID never reads memberships back, so what was lost is not healed by itself: choose \"Restart provisioning\"; in Okta push the groups again.", several(n, "change"))
	}
	if n := c.Lost + st.Previous.Lost; n > 0 {
		st.say(AdviceDrift, "The directory wrote %s to people or groups that are not here (deleted by hand, or lost with a restored backup). Choose \"Restart provisioning\" in Entra ID, or unassign and assign them again in Okta.", several(n, "time"))
	}
	if st.Holds > 0 {
		st.say(AdviceHeld, "Losses of access that wait for a person to confirm them: %d.", st.Holds)
	}
	const nothing = "Nothing is given or taken there but by disabling and deleting people."
	if n := len(st.notes); n > mostNotes {
		st.say(AdviceNoRule, "%d properties have no rule in force. %s", n, nothing)
	} else {
		for _, note := range st.notes {
			st.say(AdviceNoRule, "%s. %s", note, nothing)
		}
	}
	st.adviseTokens(tokens, now)
	if n := c.Errors; n > 0 {
		st.say(AdviceErrors, "Requests of the last cycle that were refused: %d. The kinds are listed with the last answer of each.", n)
	}
	if st.Unmapped > 0 {
		st.say(AdviceUnmapped, "Attributes that were received and are not mapped: %d. They are kept, and rules can test them. A mistyped name stands out there.", st.Unmapped)
	}
}

// adviseTokens says which tokens end soon while something uses them.
func (st *SyncStatus) adviseTokens(tokens []Token, now time.Time) {
	for _, t := range tokens {
		if t.Expires.IsZero() || t.LastUsed.IsZero() || now.Sub(t.LastUsed) > 24*time.Hour {
			continue
		}
		client := strings.TrimSpace(t.LastClient)
		if client == "" {
			client = "something"
		}
		st.say(AdviceExpiring, "Token %q ends at %s and is still used by %s: enter the one that replaces it there.", t.Label, clock(t.Expires), client)
	}
}
