package osdp

import (
	"fmt"
	"time"
)

// A Kind says what an Event tells.
type Kind uint8

const (
	// Online: the PD answers and has said who it is (ID, Caps). Its states
	// follow as events of their own kinds.
	Online Kind = iota + 1
	// Offline: no valid exchange for 8 s, or the port is gone.
	Offline
	// Restarted: an online PD lost its place (it rebooted, mostly) and has been
	// brought up anew. Lights and outputs are perhaps as after power-up: send
	// again what they should be. Its states follow as events.
	Restarted
	// Card: a card as bits (Reader, CardFormat, Bits, Data).
	Card
	// CardText: a card as characters, from an old reader (Reader, Data).
	CardText
	// Keypad: one or several keys (Reader, Digits).
	Keypad
	// Inputs: the state of all inputs.
	Inputs
	// Outputs: the state of all outputs.
	Outputs
	// LocalStatus: the PD's own Tamper and PowerFail.
	LocalStatus
	// ReaderStatus: the state of all reader heads (Readers).
	ReaderStatus
	// Nak: the PD refused what was not a command of Send (NAK).
	Nak
	// Malformed: the PD sent a reply that is not as the standard has it (Reply).
	Malformed
	// Other: any other reply that the PD sent of itself (Reply).
	Other
	// StaleCard: a card or keys that the PD kept from before it came Online
	// (Reader). Whoever that was may have left, so nothing tells which card.
	StaleCard
	// Secured: the PD has proven its key (Slot) and who it is (ID). Online or
	// Restarted follows, unless the channel was only made anew.
	Secured
	// Untrusted: the PD answers, and is not served (Trouble, ID). Somebody must
	// look; the Bus goes on trying.
	Untrusted
	// Altered: what the PD says in the channel of what it can do (Caps) is not
	// what came in the clear. Somebody on the line changes what it says.
	Altered
	// Message: a multi-part message of the PD is whole (Reply): PIV data, the
	// answer to a challenge, an extended ID.
	Message
)

func (k Kind) String() string {
	if k > Message {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return [...]string{"no event", "online", "offline", "restarted", "card", "card text", "keypad", "inputs", "outputs",
		"local status", "reader status", "nak", "malformed", "other", "stale card", "secured", "untrusted",
		"altered claims", "message"}[k]
}

// An Event is one thing that happened on a line. The receiver may keep it. It
// prints without card bits and keys.
type Event struct {
	Addr uint8 // the PD, 0 to 126
	Kind Kind
	At   time.Time // when the reply was complete, panel's clock

	ID   PDID  // Online, Restarted, Secured, Untrusted
	Caps PDCAP // Online, Restarted, Altered

	Slot    Slot    // Secured: the key that it has
	Trouble Trouble // Untrusted

	Reader     uint8 // Card, CardText, Keypad, StaleCard: the reader head at the PD
	CardFormat CardFormat
	Bits       int    // Card: number of bits in Data
	Data       []byte // Card: (Bits+7)/8 bytes, left aligned, spare low bits 0; CardText: characters; never log it
	Backward   bool   // CardText: the card was drawn backward, so its characters come from the end
	Digits     string // Keypad: 0 to 9, * and #; never log it

	Inputs    []InputState  // Inputs
	Outputs   []bool        // Outputs: true = on
	Tamper    bool          // LocalStatus
	PowerFail bool          // LocalStatus
	Readers   []ReaderState // ReaderStatus

	NAK   NAKCode // Nak
	Reply Reply   // Malformed, Other, Message
}

// String tells what happened, never the card or the keys.
func (e Event) String() string {
	s := fmt.Sprintf("PD %d %v", e.Addr, e.Kind)
	switch e.Kind {
	case Online, Restarted, Secured:
		return s + ": " + e.ID.String()
	case Untrusted:
		return s + ": " + e.Trouble.String()
	case Card:
		return s + fmt.Sprintf(": %d bits at reader %d (hidden)", e.Bits, e.Reader)
	case CardText:
		return s + fmt.Sprintf(": %d characters at reader %d (hidden)", len(e.Data), e.Reader)
	case Keypad:
		return s + fmt.Sprintf(": %d keys at reader %d (hidden)", len(e.Digits), e.Reader)
	case Inputs:
		return s + fmt.Sprintf(": %v", e.Inputs)
	case Outputs:
		return s + fmt.Sprintf(": %v", e.Outputs)
	case LocalStatus:
		return s + fmt.Sprintf(": tamper %v, power failure %v", e.Tamper, e.PowerFail)
	case ReaderStatus:
		return s + fmt.Sprintf(": %v", e.Readers)
	case Nak:
		return s + ": " + e.NAK.String()
	case Malformed, Other, Message:
		return s + fmt.Sprintf(": %v", e.Reply)
	}
	return s
}

// Format prints String whatever the verb.
func (e Event) Format(s fmt.State, _ rune) { fmt.Fprint(s, e.String()) }

// MarshalText is String: what a log handler writes of an event.
func (e Event) MarshalText() ([]byte, error) { return []byte(e.String()), nil }
