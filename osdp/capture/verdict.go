package capture

import "fmt"

// A Verdict says how far the bytes of a Message can be believed.
type Verdict uint8

const (
	// NoFrame is bytes in no frame: noise, or a part of a frame.
	NoFrame Verdict = iota
	// BadCheck is a frame whose CRC or checksum is wrong.
	BadCheck
	// Clear is a frame whose check is right and which nothing proves: anybody on
	// the line could have written it, and can read it.
	Clear
	// Authentic is a frame whose MAC is right, or a handshake's proof of the key.
	Authentic
	// WrongMAC is a frame of a secure channel that is not the next one: forged,
	// sent again later, or the first after one that the trace lacks.
	WrongMAC
	// Unproven is a frame of a handshake that refuses, or does not prove the key.
	Unproven
	// NoKey is a frame of a secure channel under a key that was not given.
	NoKey
	// NotFollowed is a frame of a secure channel whose handshake, or a frame
	// before it, is not in the trace. No key helps, until the next handshake.
	NotFollowed
)

// String is made for a column of a listing.
func (v Verdict) String() string {
	if v > NotFollowed {
		return fmt.Sprintf("verdict %d", uint8(v))
	}
	return [...]string{"no frame", "check wrong", "check ok", "mac ok", "mac wrong", "not proven", "no key", "not followed"}[v]
}
