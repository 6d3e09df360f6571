package controller

import (
	"context"
	"time"

	"latchkey/access"
)

// Wanted is what a site wants its table controllers to hold, at one moment.
type Wanted struct {
	Epoch uint32 // of the site's stream, with Seq
	Seq   uint64
	// Ready is false as long as the site has no verified data. Nothing is
	// pushed then: an empty Wanted must not empty a building's tables.
	Ready        bool
	Entitlements []access.Entitlement       // of this controller's doors, sorted by credential ID
	Schedules    map[string]access.Schedule // at least those that Entitlements names
	// Postures says in which mode each door is, such as access.ModeLockdown. A
	// door that is not in it is access.ModeNormal; nil leaves all doors alone.
	Postures map[string]string
}

// The states of a credential on a controller.
const (
	StateWanted     = "wanted"      // it should be in the table and was not sent yet
	StateSent       = "sent"        // the controller took it; the digest was not read back since
	StateProven     = "proven"      // the digest read back says it is in the table as it should be
	StateRevoking   = "revoking"    // it must go from the table and may still be there
	StateCannotHold = "cannot hold" // this controller cannot hold it (as it should be); Text says why
)

// A LedgerRow says how one credential stands on one controller.
type LedgerRow struct {
	Credential string    // ID
	State      string    // one of the States above
	Since      time.Time // of State, UTC
	Version    uint64    // seq of the site's stream that State is about
	Text       string    // for StateCannotHold: why, for people
}

// A Ledger keeps, across restarts, what each controller was sent and proved to
// hold, and which cards were taken from it. Its methods are called by one
// goroutine a controller; an error is logged and tried again, and never keeps
// a revocation from the door.
type Ledger interface {
	// Ledger returns the rows of a controller in any order.
	Ledger(ctx context.Context, controller string) ([]LedgerRow, error)

	// SetLedger stores rows in place of all rows of the controller, in one
	// transaction.
	SetLedger(ctx context.Context, controller string, rows []LedgerRow) error

	// Tombstones returns the keys that were revoked on a controller and are
	// not wanted there since, oldest first. They are to be stored as secretly
	// as cards are: a key can tell the card's bits.
	Tombstones(ctx context.Context, controller string) ([][]byte, error)

	// AddTombstones adds keys, about when they are revoked at the controller.
	AddTombstones(ctx context.Context, controller string, keys [][]byte) error

	// ClearTombstones removes keys, because they are wanted again.
	ClearTombstones(ctx context.Context, controller string, keys [][]byte) error
}
