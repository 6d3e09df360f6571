package capture

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"latchkey/osdp"
)

// MaxData is the most bytes that a record holds, forty of the longest frames.
const MaxData = 1 << 16

// ErrRecord means that one record is not as its format has it. What comes after
// it can still be read.
var ErrRecord = errors.New("capture: bad record")

// A Record is what one end of a line sent in one go, mostly one frame. It
// prints without its bytes.
type Record struct {
	Time    time.Time // of the first byte; 1970 to 2262, to the nanosecond
	FromACU bool      // sent by the panel, and not by a PD
	Data    []byte    // as on the wire, MARK bytes included; at most MaxData
	Line    string    // which line, where a trace has several: its port or name
	Source  string    // the program that recorded it
	Comment string    // what a person or a Decoder says of it

	// Redacted says that Data is not what stood on the wire: secrets in it are
	// blanked, or were in a frame before it that its MAC covers.
	Redacted bool

	// foreign says that a Reader has it from a file: its texts are somebody
	// else's, and may say anything.
	foreign bool
}

// String tells when, who and how much, never what.
func (r Record) String() string {
	who := "PD"
	if r.FromACU {
		who = "panel"
	}
	return fmt.Sprintf("%s %d bytes from the %s", r.Time.UTC().Format(time.RFC3339Nano), len(r.Data), who)
}

// Format prints String whatever the verb: the bytes may be a card.
func (r Record) Format(s fmt.State, _ rune) { fmt.Fprint(s, r.String()) }

// MarshalText is String.
func (r Record) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// redactedComment says Redacted where a format has room for comments only.
const redactedComment = "secrets are blanked"

// tidy makes of r what all formats can hold.
func (r Record) tidy() (Record, error) {
	r.Line, r.Source, r.Comment = cleanText(r.Line), cleanText(r.Source), cleanText(r.Comment)
	if r.Comment == redactedComment {
		r.Redacted, r.Comment = true, ""
	}
	return r, r.check()
}

// cleanText is a text as the formats have them: UTF-8.
func cleanText(s string) string { return strings.ToValidUTF8(s, "\ufffd") }

// check refuses what the formats cannot hold.
func (r Record) check() error {
	switch sec := r.Time.Unix(); {
	case sec < 0 || sec > maxSeconds:
		return fmt.Errorf("%w: time %v, want 1970 to 2261", ErrRecord, r.Time)
	case len(r.Data) > MaxData:
		return fmt.Errorf("%w: %d bytes, limit %d", ErrRecord, len(r.Data), MaxData)
	}
	for _, s := range []struct{ name, text string }{{"line", r.Line}, {"source", r.Source}, {"comment", r.Comment}} {
		if len(s.text) > maxText {
			return fmt.Errorf("%w: %s of %d bytes, limit %d", ErrRecord, s.name, len(s.text), maxText)
		}
	}
	return nil
}

const (
	maxSeconds = math.MaxInt64/1_000_000_000 - 1 // since 1970, so that nanoseconds fit 63 bits
	maxText    = 4096                            // bytes of Line, Source and Comment
)

// speaker says who sent data, by the address byte of a frame that it begins
// with. ok is false when it begins with none: the rest of a frame, or noise.
//
// What a recorder says of the direction is in its own view, panel, PD or tap;
// the bit in the address is in nobody's.
func speaker(data []byte) (acu, ok bool) {
	for len(data) > 0 && data[0] == osdp.Mark {
		data = data[1:]
	}
	if len(data) < 2 || data[0] != osdp.SOM {
		return false, false
	}
	return data[1]&0x80 == 0, true
}
