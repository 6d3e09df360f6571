// Package controller works the hardware at the doors. A Driver works one
// controller or one serial line; a controller that decides for itself is kept
// in step by a reconciler, which compares what its table should hold with what
// it does hold, and proves the two equal.
package controller

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"latchkey/access"
	"latchkey/wiegand"
)

// What a caller decides on.
var (
	// ErrOffline says that the hardware of this door does not answer, or that
	// the driver is not running. The door is as it was: nothing was opened.
	ErrOffline = errors.New("controller: offline")
	// ErrUnknownDoor says that the driver has no such door or reader.
	ErrUnknownDoor = errors.New("controller: unknown door")
	// ErrDuration says that an unlock was asked for that is too short or too
	// long.
	ErrDuration = errors.New("controller: unlock time out of range")
)

// The times for which Unlock may hold a strike. Whoever wants a door open for
// longer renews it, so that a dead agent lets the door fall back.
const (
	MinUnlock = 100 * time.Millisecond
	MaxUnlock = 5 * time.Minute
)

// A Driver works all doors of one controller or one serial line.
//
// Run blocks until ctx ends, and then returns nil once every goroutine of the
// driver has stopped. It gives its events to sink one at a time, in the order
// in which they happened (for a controller's own log, the order of that log).
// Hardware that is absent, silent or unplugged is no error: Run keeps trying
// and says so by events and Status. Run returns an error only for what a
// person must mend, such as a driver that was made with no doors. A driver is
// run once.
//
// Unlock, Status and Name may be called from any goroutine, before, during and
// after Run.
type Driver interface {
	// Name is the controller's name in the site file.
	Name() string

	Run(ctx context.Context, sink Sink) error

	// Unlock holds the strike of door open for d, MinUnlock to MaxUnlock, and
	// returns nil once the hardware has taken the command. The output is timed
	// by the hardware: whatever happens to the agent or the line afterwards, the
	// strike falls back. A second Unlock while the first still holds starts the
	// time anew, shorter or longer, and is not heard: whoever holds a door open
	// by Unlock every 20 s does not have its reader beep all day.
	//
	// It returns at once with ErrOffline if the hardware is known not to
	// answer, ErrUnknownDoor or ErrDuration if it was asked for what it cannot
	// do, and ctx's error when ctx ends first. After any error but the first
	// three the strike may or may not have moved; it falls back by itself.
	Unlock(ctx context.Context, door string, d time.Duration) error

	// Status is what the hardware looks like now. It does not block.
	Status() Status
}

// A Denier can show at the reader that a card was refused. A controller that
// decides for itself shows it by itself and is no Denier.
type Denier interface {
	// Deny shows a refusal at the named reader: red light and buzzer. The
	// errors are Unlock's.
	Deny(ctx context.Context, reader string) error
}

// A Table is a driver whose controller holds credentials and decides for
// itself.
type Table interface {
	Driver
	// Reconcile makes the driver compare wanted with held anew and read the
	// controller's digest back, as it does each minute by itself. It does not
	// wait for the outcome: see Status.
	Reconcile()
}

// A Sink takes events from a driver. A driver calls it from one goroutine.
//
// For an event with a Device, and so for each of kind Decided, it returns nil
// only once the event is on disk (or was there before): the driver has the
// controller forget an event only then, and gives it again after an error. For
// CardRead it must return at once; the agent queues. An error for an event
// without a Device is logged and the event is gone.
type Sink func(ctx context.Context, e Event) error

// A Kind says what an Event is about.
type Kind uint8

// The kinds of event.
const (
	_ Kind = iota
	// CardRead is a card, or digits, at a reader that decides nothing: the
	// agent must. Reader, Door, and Bits or Digits are set.
	CardRead
	// Decided is what a controller decided by its own table. Reader, Door,
	// Bits (if the controller can tell them), Granted, Reason, Device are set.
	Decided
	ReaderOnline      // Reader, Door
	ReaderOffline     // Reader, Door
	ControllerOnline  // a controller with a table answers
	ControllerOffline // it does not
	DoorOpened        // Door
	DoorClosed        // Door
	Tamper            // Reader where it is a reader's
	ExitRequest       // Door; with a Device set, the controller has opened the door by itself
	EventsLost        // Count events are gone: the controller overwrote them before they were fetched, or the sink took none for too long
	ForeignChange     // Count credentials of the table were not what we had put there
	PowerFail         // Reader where it is a reader's
	DoorForced        // Door: opened with nobody let in, as the controller says
	DoorHeld          // Door: open for too long, as the controller says
	Alarm             // a person must look: Text says at what
)

// String is the kind in words.
func (k Kind) String() string {
	names := [...]string{"none", "card read", "decided", "reader online", "reader offline", "controller online", "controller offline",
		"door opened", "door closed", "tamper", "exit request", "events lost", "foreign change", "power fail", "door forced", "door held", "alarm"}
	if int(k) < len(names) {
		return names[k]
	}
	return "unknown"
}

// An Event is one thing that happened at the hardware. Which fields are set is
// said at its Kind; Kind, At and Controller always are.
type Event struct {
	Kind       Kind
	At         time.Time // agent's clock, UTC, when the event came in
	Controller string    // Name of the driver
	Reader     string
	Door       string
	Bits       wiegand.Bits // what the reader read; zero if the controller does not say
	Digits     string       // keys of a keypad: '0' to '9', '*', '#'; never to be logged
	Granted    bool
	Reason     access.Reason
	Device     *access.Device // the controller's own number of this event
	DeviceTime time.Time      // the controller's own clock, UTC; zero if it is not set
	Count      uint64
	Text       string // for people; never a card
}

// String says what and where, and neither the card nor the digits.
func (e Event) String() string { return e.Kind.String() + " at " + e.Controller }

// GoString is String: %#v would show the digits.
func (e Event) GoString() string { return e.String() }

// LogValue is String: slog would otherwise write each field, digits too.
func (e Event) LogValue() slog.Value { return slog.StringValue(e.String()) }

// A Status is what a driver's hardware looks like at one moment.
type Status struct {
	Name    string         `json:"name"`
	Kind    string         `json:"kind"` // "osdp" or "serial"
	Port    string         `json:"port"` // where it is plugged in, as the site file says
	Online  bool           `json:"online"`
	Since   time.Time      `json:"since,omitzero"` // of Online as it is now
	Readers []ReaderStatus `json:"readers,omitempty"`
	Doors   []DoorStatus   `json:"doors,omitempty"`
	Table   *TableStatus   `json:"table,omitempty"` // nil where the hardware holds no table
	Line    *LineStatus    `json:"line,omitempty"`  // nil where nothing is known of it
	Problem string         `json:"problem,omitempty"`
}

// A ReaderStatus is one reader.
type ReaderStatus struct {
	Name    string `json:"name"`
	Door    string `json:"door"`
	Address uint8  `json:"address"`
	Online  bool   `json:"online"`
	Secure  bool   `json:"secure"` // the line to it is encrypted, with a key of its own
	// Clear: its line needs no encryption, because the site file says so and it
	// has no key. What is wired behind a reader or controller nobody can see from
	// here: a Wiegand cable there is open to who reaches it, Secure or not.
	Clear      bool      `json:"clear,omitempty"`
	Encryption string    `json:"encryption"`        // the two in words, Encrypted or why not; never empty
	Problem    string    `json:"problem,omitempty"` // why it is not served though it answers, for people
	Since      time.Time `json:"since,omitzero"`
	Tamper     bool      `json:"tamper,omitempty"`
	PowerFail  bool      `json:"power_fail,omitempty"`
	Polls      uint64    `json:"polls"`
	Retries    uint64    `json:"retries"`
	CRCErrors  uint64    `json:"crc_errors"`
	Naks       uint64    `json:"naks"`

	Quality *Quality `json:"quality,omitempty"` // nil where nothing is known of it
	Remarks []Remark `json:"remarks,omitempty"` // what is odd about its answers since a minute or so
}

// Encrypted is the Encryption of a reader in a secure channel.
const Encrypted = "encrypted"

// A DoorStatus is one door, as far as its hardware tells.
type DoorStatus struct {
	ID       string `json:"id"`
	Contact  string `json:"contact"`  // "open", "closed", or "unknown" where there is no contact
	Unlocked bool   `json:"unlocked"` // the strike is held open now
}

// A TableStatus says how a controller's own table stands against what it
// should hold.
type TableStatus struct {
	Wanted     int       `json:"wanted"`          // credentials that should be in the table
	Held       int       `json:"held"`            // credentials that are, as last proven and sent
	Equal      bool      `json:"equal"`           // the digest read back in this session proved the two equal; false while offline
	Behind     int       `json:"behind"`          // credentials still to be changed
	CannotHold int       `json:"cannot_hold"`     // credentials this controller cannot hold; not among Wanted
	Since      time.Time `json:"since,omitzero"`  // of Equal as it is now
	Proven     time.Time `json:"proven,omitzero"` // when a digest was last read back
	Epoch      uint32    `json:"epoch"`           // of the site's stream
	Version    uint64    `json:"version"`         // seq of the site's stream that Equal is about
	Text       string    `json:"text"`            // one plain sentence
}
