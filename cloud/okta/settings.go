package okta

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"latchkey/cloud"
)

// How often Okta is read unless an organisation says otherwise.
const (
	DefaultPoll      = time.Minute     // the System Log
	DefaultDelta     = 5 * time.Minute // what has changed, by its time
	DefaultReconcile = 24 * time.Hour  // everything
)

// overlap is how far a read by time goes back behind the one before it: times
// at Okta are set before they can be seen.
const overlap = 5 * time.Minute

// The attributes of an Okta profile that hold the card number and the kind of
// person unless an organisation says otherwise.
const (
	DefaultCardAttr = "cardNumber"
	DefaultKindAttr = "userType"
)

// Settings say how an organisation's Okta is read. Zero values are the
// defaults.
type Settings struct {
	Domain    string        `json:"domain"`
	Poll      time.Duration `json:"poll"`      // 1 s to 1 h
	Delta     time.Duration `json:"delta"`     // Poll to 24 h
	Reconcile time.Duration `json:"reconcile"` // Delta to 7 days
	Valid     []string      `json:"valid"`     // statuses that may open doors
	CardAttr  string        `json:"card_attribute"`
	KindAttr  string        `json:"kind_attribute"`
}

// complete fills in the defaults and refuses what cannot be.
func (s Settings) complete() (Settings, error) {
	base, err := ParseDomain(s.Domain)
	if err != nil {
		return s, invalid("domain", err)
	}
	s.Domain = base.String()
	s.Poll, s.Delta = cmp.Or(s.Poll, DefaultPoll), cmp.Or(s.Delta, max(DefaultDelta, s.Poll))
	s.Reconcile = cmp.Or(s.Reconcile, DefaultReconcile)
	s.CardAttr, s.KindAttr = cmp.Or(s.CardAttr, DefaultCardAttr), cmp.Or(s.KindAttr, DefaultKindAttr)
	if s.Valid == nil {
		s.Valid = DefaultValid()
	}
	for _, d := range []struct {
		name            string
		got, low, limit time.Duration
	}{{"poll", s.Poll, time.Second, time.Hour}, {"delta", s.Delta, s.Poll, 24 * time.Hour}, {"reconcile", s.Reconcile, s.Delta, 7 * 24 * time.Hour}} {
		if d.got < d.low || d.got > d.limit {
			return s, invalid(d.name, fmt.Errorf("got %s, want %s to %s", d.got, d.low, d.limit))
		}
	}
	if len(s.CardAttr) > 64 || len(s.KindAttr) > 64 {
		return s, invalid("card_attribute", fmt.Errorf("want at most 64 bytes"))
	}
	if err := checkValid(s.Valid); err != nil {
		return s, invalid("valid", err)
	}
	return s, nil
}

// invalid refuses what an administrator said of attr, in err's words.
func invalid(attr string, err error) error {
	text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "okta: "), attr+": ")
	return &cloud.Invalid{ScimType: cloud.InvalidValue, Attr: attr, Detail: text}
}
