package access

import "time"

// A Reason says why a door did or did not open. The texts stand in events, on
// the wire and in scripts, so they never change.
type Reason string

// The reasons. Every decision has exactly one.
const (
	Granted        Reason = "granted"
	UnknownCard    Reason = "unknown card"
	WrongFormat    Reason = "wrong format"
	WrongFacility  Reason = "wrong facility"
	CardNotActive  Reason = "card not active"
	PersonInactive Reason = "person inactive"
	NoGroup        Reason = "no group for this door"
	OutsideHours   Reason = "outside schedule"
	NotYetValid    Reason = "not yet valid"
	Expired        Reason = "expired"
	Lockdown       Reason = "lockdown"
	WrongDoorKind  Reason = "not for this kind of door"
	UnknownDoor    Reason = "unknown door"
	NoData         Reason = "no data yet"
	StaleData      Reason = "stale data"
	Blocked        Reason = "revoked"
	Fault          Reason = "fault" // the decision itself went wrong; the door stays shut
)

// The kinds of event that a site reports.
const (
	EventAccess           = "access" // a card was granted or denied
	EventDoorOpened       = "door opened"
	EventDoorClosed       = "door closed"
	EventDoorForced       = "door forced"
	EventDoorHeld         = "door held"
	EventExitRequest      = "exit request"
	EventReaderOnline     = "reader online"
	EventReaderOffline    = "reader offline"
	EventControllerUp     = "controller online"
	EventControllerDown   = "controller offline"
	EventTamper           = "tamper"
	EventPowerFail        = "power fail"
	EventForeignChange    = "foreign change" // a controller's table was changed behind our back
	EventUnlock           = "unlock"         // somebody opened the door by an act, not by a card
	EventGap              = "gap"            // events could not be stored: Count of them since Since
	EventControllerLost   = "controller lost events"
	EventCacheQuarantined = "cache quarantined"
	EventAlarm            = "alarm" // a person must look: Text says at what
)

// Who decided.
const (
	ByAgent      = "agent"
	ByController = "controller"
)

// A Device tells a controller's own events apart: (Serial, Boot, Seq) is unique.
type Device struct {
	Serial string `json:"serial"`
	Boot   uint32 `json:"boot"`
	Seq    uint64 `json:"seq"`
}

// An Event is one thing that happened at a site. It never carries card bits.
type Event struct {
	N          uint64    `json:"n"`  // counts from 1 in the site's event epoch; set by the store
	At         time.Time `json:"at"` // agent's clock, UTC
	Kind       string    `json:"kind"`
	Door       string    `json:"door,omitempty"`
	Reader     string    `json:"reader,omitempty"`
	Controller string    `json:"controller,omitempty"`
	Granted    bool      `json:"granted,omitempty"`
	Reason     Reason    `json:"reason,omitempty"`
	Person     string    `json:"person,omitempty"`     // ID
	Credential string    `json:"credential,omitempty"` // ID
	Card       string    `json:"card,omitempty"`       // for people: format and the last digits, such as "H10302 …0731"
	DecidedBy  string    `json:"decided_by,omitempty"`
	Device     *Device   `json:"device,omitempty"`
	DeviceTime time.Time `json:"device_time,omitzero"` // the controller's own clock, where it has one that is set
	Count      uint64    `json:"count,omitempty"`      // EventGap, EventControllerLost: how many
	Since      time.Time `json:"since,omitzero"`       // EventGap
	Text       string    `json:"text,omitempty"`
}
