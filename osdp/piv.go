package osdp

import (
	"encoding/binary"
	"fmt"
)

// PIVDATA asks for a data object of the smart card at the reader. The PD
// answers PIVDATAR, in one or several fragments, or ACK and PIVDATAR on later
// POLLs.
type PIVDATA struct {
	Object  [3]byte // as in NIST SP 800-73, 5FC102 for the CHUID
	Element uint8
	Offset  uint16 // at most 255 unless Wide
	Wide    bool   // two bytes of offset on the wire, as some PDs want it, not one
}

// GENAUTH gives the smart card something to answer with its general
// authenticate command. It is a multi-part message and prints without the data.
type GENAUTH struct {
	Part
	Algorithm, KeyRef uint8 // of the card; only where Offset is 0, and not counted in Total and Length
	Data              []byte
}

// CRAUTH gives the smart card a challenge to answer. It is a multi-part message
// and prints without the data.
type CRAUTH struct {
	Part
	Algorithm, KeyRef uint8 // of the card; only where Offset is 0, and not counted in Total and Length
	Data              []byte
}

// The replies that carry a fragment of what the smart card answered. They print
// without it.
type (
	// PIVDATAR answers PIVDATA.
	PIVDATAR struct {
		Part
		Data []byte
	}
	// GENAUTHR answers GENAUTH.
	GENAUTHR struct {
		Part
		Data []byte
	}
	// CRAUTHR answers CRAUTH.
	CRAUTHR struct {
		Part
		Data []byte
	}
)

func (PIVDATA) Code() byte  { return CodePIVDATA }
func (GENAUTH) Code() byte  { return CodeGENAUTH }
func (CRAUTH) Code() byte   { return CodeCRAUTH }
func (PIVDATAR) Code() byte { return CodePIVDATAR }
func (GENAUTHR) Code() byte { return CodeGENAUTHR }
func (CRAUTHR) Code() byte  { return CodeCRAUTHR }

func (c PIVDATA) AppendData(b []byte) ([]byte, error) {
	if !c.Wide && c.Offset > 0xff {
		return b, fmt.Errorf("%w: PIVDATA offset %d, limit 255 in one byte", ErrValue, c.Offset)
	}
	b = append(append(b, c.Object[:]...), c.Element)
	if c.Wide {
		return binary.LittleEndian.AppendUint16(b, c.Offset), nil
	}
	return append(b, byte(c.Offset)), nil
}

func (c GENAUTH) AppendData(b []byte) ([]byte, error) {
	return c.appendAuth(b, CodeGENAUTH, c.Algorithm, c.KeyRef, c.Data)
}

func (c CRAUTH) AppendData(b []byte) ([]byte, error) {
	return c.appendAuth(b, CodeCRAUTH, c.Algorithm, c.KeyRef, c.Data)
}

func (p Part) appendAuth(b []byte, code byte, algorithm, keyRef uint8, data []byte) ([]byte, error) {
	first := p.Offset == 0
	if !first && algorithm|keyRef != 0 {
		return b, fmt.Errorf("%w: %s fragment at %d with an algorithm 0x%02x and a key reference 0x%02x, which only the first has",
			ErrValue, CommandName(code), p.Offset, algorithm, keyRef)
	}
	b, err := p.appendHeader(b, CommandName(code), data)
	if err != nil {
		return b, err
	}
	if first {
		b = append(b, algorithm, keyRef)
	}
	return append(b, data...), nil
}

func (r PIVDATAR) AppendData(b []byte) ([]byte, error) {
	return r.appendFragment(b, CodePIVDATAR, r.Data)
}

func (r GENAUTHR) AppendData(b []byte) ([]byte, error) {
	return r.appendFragment(b, CodeGENAUTHR, r.Data)
}

func (r CRAUTHR) AppendData(b []byte) ([]byte, error) {
	return r.appendFragment(b, CodeCRAUTHR, r.Data)
}

// describe is what a fragment prints as.
func (p Part) describe(name string) string {
	return fmt.Sprintf("%s, %d bytes at %d of %d (hidden)", name, p.Length, p.Offset, p.Total)
}

func (c GENAUTH) String() string  { return c.describe("GENAUTH") }
func (c CRAUTH) String() string   { return c.describe("CRAUTH") }
func (r PIVDATAR) String() string { return r.describe("PIVDATAR") }
func (r GENAUTHR) String() string { return r.describe("GENAUTHR") }
func (r CRAUTHR) String() string  { return r.describe("CRAUTHR") }

func (c GENAUTH) Format(s fmt.State, _ rune)  { fmt.Fprint(s, c.String()) }
func (c CRAUTH) Format(s fmt.State, _ rune)   { fmt.Fprint(s, c.String()) }
func (r PIVDATAR) Format(s fmt.State, _ rune) { fmt.Fprint(s, r.String()) }
func (r GENAUTHR) Format(s fmt.State, _ rune) { fmt.Fprint(s, r.String()) }
func (r CRAUTHR) Format(s fmt.State, _ rune)  { fmt.Fprint(s, r.String()) }

func (c GENAUTH) MarshalText() ([]byte, error)  { return []byte(c.String()), nil }
func (c CRAUTH) MarshalText() ([]byte, error)   { return []byte(c.String()), nil }
func (r PIVDATAR) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
func (r GENAUTHR) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
func (r CRAUTHR) MarshalText() ([]byte, error)  { return []byte(r.String()), nil }

func parsePIVDATA(d []byte) Command {
	switch len(d) {
	case 5:
		return PIVDATA{[3]byte(d), d[3], uint16(d[4]), false}
	case 6:
		return PIVDATA{[3]byte(d), d[3], binary.LittleEndian.Uint16(d[4:]), true}
	}
	return nil
}

func parseGENAUTH(d []byte) Command {
	p, algorithm, keyRef, data, ok := parseAuth(d)
	if !ok {
		return nil
	}
	return GENAUTH{p, algorithm, keyRef, data}
}

func parseCRAUTH(d []byte) Command {
	p, algorithm, keyRef, data, ok := parseAuth(d)
	if !ok {
		return nil
	}
	return CRAUTH{p, algorithm, keyRef, data}
}

func parseAuth(d []byte) (p Part, algorithm, keyRef uint8, data []byte, ok bool) {
	p, data, ok = parsePart(d)
	if ok && p.Offset == 0 {
		if len(data) < 2 {
			return Part{}, 0, 0, nil, false
		}
		algorithm, keyRef, data = data[0], data[1], data[2:]
	}
	return p, algorithm, keyRef, data, ok && int(p.Length) == len(data)
}

func parsePIVDATAR(d []byte) Reply {
	p, data, ok := parsePart(d)
	if !ok || int(p.Length) != len(data) {
		return nil
	}
	return PIVDATAR{p, data}
}

func parseGENAUTHR(d []byte) Reply {
	p, data, ok := parsePart(d)
	if !ok || int(p.Length) != len(data) {
		return nil
	}
	return GENAUTHR{p, data}
}

func parseCRAUTHR(d []byte) Reply {
	p, data, ok := parsePart(d)
	if !ok || int(p.Length) != len(data) {
		return nil
	}
	return CRAUTHR{p, data}
}
