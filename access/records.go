// Package access has the words that all of Latchkey shares (who, which card,
// which door, when) and the pure decision whether a card opens a door.
package access

import (
	"latchkey/wiegand"
)

// A Kind of record names what a record is about. It is the "type" in deltas,
// digests and the deny lane, so its texts never change.
type Kind string

// The kinds of record that a site holds.
const (
	KindPerson     Kind = "person"
	KindCredential Kind = "credential"
	KindGroup      Kind = "group"
	KindMembership Kind = "membership"
	KindGrant      Kind = "grant"
	KindSchedule   Kind = "schedule"
	KindDoor       Kind = "door"
	KindPosture    Kind = "posture"
	KindSetting    Kind = "setting"
)

// A Ref names one record of a site.
type Ref struct {
	Kind Kind   `json:"type"`
	Key  string `json:"key"`
}

// A Record is one fact that a site holds. Its Ref names it; two records with
// one Ref are two states of the same thing.
type Record interface {
	Ref() Ref
}

// The states of a person.
const (
	StateActive   = "active"
	StateInactive = "inactive"
)

// The kinds of person (REQUIREMENTS D5).
const (
	KindFull     = "FULL"
	KindSmartbox = "SMARTBOX" // opens doors of kind cabinet and no others
)

// A Person is someone whom a rule or an admin let into a site.
type Person struct {
	ID     string `json:"id"`
	Name   string `json:"name,omitempty"`
	State  string `json:"state"` // StateActive or StateInactive; anything else counts as inactive
	Kind   string `json:"kind"`  // KindFull or KindSmartbox
	Role   string `json:"role,omitempty"`
	BLE    bool   `json:"ble,omitempty"`    // a BLE mobile key was asked for
	Wallet bool   `json:"wallet,omitempty"` // an Apple Wallet pass was asked for
}

// Ref names the person by ID.
func (p Person) Ref() Ref { return Ref{KindPerson, p.ID} }

// The technologies of a credential.
const (
	TechCard   = "card"
	TechBLE    = "ble"
	TechWallet = "wallet"
	TechPIN    = "pin"
)

// The states of a credential.
const (
	CredentialActive    = "active"
	CredentialPending   = "pending" // a mobile key that has no number yet
	CredentialSuspended = "suspended"
)

// A Credential is one card, mobile key or PIN of one person.
type Credential struct {
	ID         string       `json:"id"`
	Person     string       `json:"person"`
	Technology string       `json:"technology"`
	Format     string       `json:"format,omitempty"` // Wiegand format, such as "H10302"
	Bits       wiegand.Bits `json:"bits,omitzero"`    // as a reader delivers them; zero while pending
	Facility   uint64       `json:"facility,omitempty"`
	Number     uint64       `json:"number,omitempty"`
	BadgeType  string       `json:"badge_type,omitempty"`
	Status     string       `json:"status"`
	ValidFrom  int64        `json:"valid_from,omitempty"`  // unix seconds; 0 is open
	ValidUntil int64        `json:"valid_until,omitempty"` // unix seconds, first second that is refused; 0 is open
}

// Ref names the credential by ID.
func (c Credential) Ref() Ref { return Ref{KindCredential, c.ID} }

// A Group is a door access group of one site.
type Group struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

// Ref names the group by ID.
func (g Group) Ref() Ref { return Ref{KindGroup, g.ID} }

// A Membership puts a person into a group.
type Membership struct {
	Person string `json:"person"`
	Group  string `json:"group"`
}

// Ref names the membership by person and group.
func (m Membership) Ref() Ref { return Ref{KindMembership, m.Person + "/" + m.Group} }

// A Grant opens a door to a group during a schedule.
type Grant struct {
	Group    string `json:"group"`
	Door     string `json:"door"`
	Schedule string `json:"schedule,omitempty"` // empty is always
}

// Ref names the grant by all three.
func (g Grant) Ref() Ref { return Ref{KindGrant, g.Group + "/" + g.Door + "/" + g.Schedule} }

// An Interval is a span of one weekday, [From, To) in minutes of local time.
type Interval struct {
	Day  int `json:"day"`  // 0 Sunday to 6 Saturday
	From int `json:"from"` // 0 to 1439
	To   int `json:"to"`   // 1 to 1440
}

// A Schedule says when grants hold.
type Schedule struct {
	ID       string     `json:"id"`
	Name     string     `json:"name,omitempty"`
	Zone     string     `json:"zone"` // IANA name, such as "Europe/Berlin"
	Weekly   []Interval `json:"weekly"`
	Holidays []string   `json:"holidays,omitempty"` // local dates "2026-12-25" on which the schedule does not hold
}

// Ref names the schedule by ID.
func (s Schedule) Ref() Ref { return Ref{KindSchedule, s.ID} }

// The kinds of door.
const (
	DoorKindDoor    = "door"
	DoorKindCabinet = "cabinet" // a key cabinet
)

// A Door is a door or key cabinet as the cloud declares it.
type Door struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Kind     string `json:"kind"`                // DoorKindDoor or DoorKindCabinet
	UnlockMS int64  `json:"unlock_ms,omitempty"` // how long a grant opens the strike; 0 is 5 s
	HeldMS   int64  `json:"held_ms,omitempty"`   // open longer than this is "held"; 0 is 30 s
	NoData   string `json:"no_data,omitempty"`   // before the first verified state: "" or "deny"
}

// Ref names the door by ID.
func (d Door) Ref() Ref { return Ref{KindDoor, d.ID} }

// The modes of a posture, from the least to the most restrictive.
const (
	ModeNormal   = "normal"
	ModeUnlocked = "unlocked" // free for all: only where no lockdown is in force
	ModeLockdown = "lockdown"
)

// A Posture holds a door, or all doors, in a mode until it is released.
type Posture struct {
	Scope  string `json:"scope"`  // a door's ID, or "*"
	Origin string `json:"origin"` // who set it: "cloud" or "local"
	Mode   string `json:"mode"`
	Until  int64  `json:"until,omitempty"` // unix seconds; 0 is until released
}

// Ref names the posture by scope and origin.
func (p Posture) Ref() Ref { return Ref{KindPosture, p.Scope + "/" + p.Origin} }

// A Setting is one named value of the site.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Ref names the setting by name.
func (s Setting) Ref() Ref { return Ref{KindSetting, s.Name} }
