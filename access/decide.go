package access

import (
	"time"

	"latchkey/wiegand"
)

// A Query is one card at one door.
type Query struct {
	Door string // ID
	Bits wiegand.Bits
	At   time.Time // the clock that schedules and validity are held against
}

// A Decision is the answer. Granted is true only with Reason Granted.
type Decision struct {
	Granted    bool
	Reason     Reason
	Person     string        // ID, where the card is known
	Credential string        // ID, where the card is known
	Unlock     time.Duration // how long to open the strike; only when Granted
}
