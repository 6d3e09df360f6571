package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// ErrRecord says that bytes are no record of the kind asked for. Its text never
// carries a card's number or bits.
var ErrRecord = errors.New("access: not a record")

// Limits of what a record may say.
const (
	MaxID     = 256             // bytes of an ID
	MaxUnlock = 5 * time.Minute // of a door's strike
	MaxHeld   = 24 * time.Hour
)

// ParseRecord reads a record as the cloud sends it. It tolerates fields that it
// does not know, which newer clouds send, and refuses values that it does not
// know where the decision depends on them. The record does not share memory
// with data.
func ParseRecord(kind Kind, data []byte) (Record, error) {
	switch kind {
	case KindPerson:
		return parse(kind, data, Person.check)
	case KindCredential:
		return parse(kind, data, Credential.check)
	case KindGroup:
		return parse(kind, data, func(g Group) error { return checkID("id", g.ID) })
	case KindMembership:
		return parse(kind, data, func(m Membership) error {
			return errors.Join(checkID("person", m.Person), checkID("group", m.Group))
		})
	case KindGrant:
		return parse(kind, data, Grant.check)
	case KindSchedule:
		return parse(kind, data, Schedule.check)
	case KindDoor:
		return parse(kind, data, Door.check)
	case KindPosture:
		return parse(kind, data, Posture.check)
	case KindSetting:
		return parse(kind, data, func(s Setting) error { return checkID("name", s.Name) })
	}
	return nil, fmt.Errorf("%w: kind: got %.40q, want person, credential, group, membership, grant, schedule, door, posture or setting", ErrRecord, string(kind))
}

func parse[T Record](kind Kind, data []byte, check func(T) error) (Record, error) {
	var r T
	if err := json.Unmarshal(data, &r); err != nil {
		// The decoder's own text for a wrong type holds the value, which may be a
		// card number.
		if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
			what, _, _ := strings.Cut(wrong.Value, " ")
			err = fmt.Errorf("%s: got a JSON %s, want %v", wrong.Field, what, wrong.Type)
		}
		return nil, fmt.Errorf("%w: %s: %w", ErrRecord, kind, err)
	}
	if err := check(r); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrRecord, kind, err)
	}
	return r, nil
}

// checkID wants what can stand in a Ref: a slash would make two pairs of IDs
// one key.
func checkID(field, id string) error {
	if id == "" || len(id) > MaxID || strings.Contains(id, "/") || !utf8.ValidString(id) || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("%s: got %.40q, want 1 to %d bytes with no slash and no control character", field, id, MaxID)
	}
	return nil
}

func oneOf(field, got string, want ...string) error {
	if slices.Contains(want, got) {
		return nil
	}
	return fmt.Errorf("%s: got %.40q, want one of %q", field, got, want)
}

func inRange(field string, got, low, high int64) error {
	if got < low || got > high {
		return fmt.Errorf("%s: got %d, want %d to %d", field, got, low, high)
	}
	return nil
}

// maxUnix is the end of the year 9999: a time that every clock and JSON can
// carry.
const maxUnix = 253402300799

func (p Person) check() error {
	return errors.Join(
		checkID("id", p.ID),
		oneOf("state", p.State, StateActive, StateInactive),
		oneOf("kind", p.Kind, KindFull, KindSmartbox),
	)
}

func (c Credential) check() error {
	err := errors.Join(
		checkID("id", c.ID),
		checkID("person", c.Person),
		oneOf("technology", c.Technology, TechCard, TechBLE, TechWallet, TechPIN),
		oneOf("status", c.Status, CredentialActive, CredentialPending, CredentialSuspended),
		inRange("valid_from", c.ValidFrom, 0, maxUnix),
		inRange("valid_until", c.ValidUntil, 0, maxUnix),
	)
	switch {
	case c.Technology == TechPIN && c.Bits.Len() != 0:
		err = errors.Join(err, errors.New("bits: got some, want none for a PIN"))
	case c.Technology != TechPIN && c.Status == CredentialActive && c.Bits.Len() == 0:
		err = errors.Join(err, errors.New("bits: got none, want some while the status is active"))
	}
	return err
}

func (g Grant) check() error {
	err := errors.Join(checkID("group", g.Group), checkID("door", g.Door))
	if g.Schedule != "" {
		err = errors.Join(err, checkID("schedule", g.Schedule))
	}
	return err
}

// check does not ask whether this machine has the zone: a cloud that knows a
// newer one must not stop the whole delta. Such a schedule does not hold.
func (s Schedule) check() error {
	err := checkID("id", s.ID)
	if s.Zone == "" || s.Zone == "Local" || len(s.Zone) > 64 {
		err = errors.Join(err, fmt.Errorf("zone: got %.40q, want an IANA name such as Europe/Berlin", s.Zone))
	}
	noZone := func(string) (*time.Location, error) { return time.UTC, nil }
	if _, hoursErr := s.compile(noZone); hoursErr != nil {
		err = errors.Join(err, hoursErr)
	}
	return err
}

func (d Door) check() error {
	err := errors.Join(
		checkID("id", d.ID),
		oneOf("kind", d.Kind, DoorKindDoor, DoorKindCabinet),
		inRange("unlock_ms", d.UnlockMS, 0, MaxUnlock.Milliseconds()),
		inRange("held_ms", d.HeldMS, 0, MaxHeld.Milliseconds()),
		oneOf("no_data", d.NoData, "", "deny"),
	)
	if d.ID == allDoors {
		err = errors.Join(err, fmt.Errorf("id: got %q, which means all doors", allDoors))
	}
	return err
}

func (p Posture) check() error {
	return errors.Join(
		checkID("scope", p.Scope),
		oneOf("origin", p.Origin, "cloud", "local"),
		oneOf("mode", p.Mode, ModeNormal, ModeUnlocked, ModeLockdown),
		inRange("until", p.Until, 0, maxUnix),
	)
}
