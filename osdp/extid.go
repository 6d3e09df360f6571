package osdp

import (
	"encoding/binary"
	"fmt"
)

// What a field of the extended identity is about.
const (
	IDManufacturer  = 0
	IDProduct       = 1
	IDSerial        = 2
	IDFirmware      = 3 // once for each processor
	IDHardware      = 4
	IDURL           = 5
	IDConfiguration = 6
)

// An IDField is one field of the extended identity.
type IDField struct {
	Tag   uint8
	Value string // at most 65535 bytes, UTF-8 by the standard; a PD may send anything
}

// EXTPDID is the extended identity of a PD. It is a multi-part message: on the
// wire it comes in one or several EXTPDIDPart, and ParseEXTPDID reads what they
// add up to. ParseReply gives EXTPDID itself for a PD that sends the fields
// without the multi-part header.
type EXTPDID []IDField

// Find gives the value of the first field with that tag.
func (r EXTPDID) Find(tag uint8) (string, bool) {
	for _, f := range r {
		if f.Tag == tag {
			return f.Value, true
		}
	}
	return "", false
}

// ParseEXTPDID reads the whole extended identity. It copies what it needs.
func ParseEXTPDID(message []byte) (EXTPDID, error) {
	r := EXTPDID{}
	for d := message; len(d) > 0; {
		if len(d) < idFieldHeader {
			return nil, fmt.Errorf("osdp: extended identity: %d bytes after field %d, want none or at least %d", len(d), len(r), idFieldHeader)
		}
		n := int(binary.LittleEndian.Uint16(d[1:]))
		if len(d) < idFieldHeader+n {
			return nil, fmt.Errorf("osdp: extended identity: field %d says %d bytes, got %d", len(r)+1, n, len(d)-idFieldHeader)
		}
		r = append(r, IDField{d[0], string(d[idFieldHeader : idFieldHeader+n])})
		d = d[idFieldHeader+n:]
	}
	return r, nil
}

// idFieldHeader is the bytes before a value: tag, length (2).
const idFieldHeader = 3

// EXTPDIDPart is one fragment of the extended identity.
type EXTPDIDPart struct {
	Part
	Data []byte
}

func (EXTPDID) Code() byte     { return CodeEXTPDID }
func (EXTPDIDPart) Code() byte { return CodeEXTPDID }

func (r EXTPDID) AppendData(b []byte) ([]byte, error) {
	for _, f := range r {
		if len(f.Value) > 0xffff {
			return b, fmt.Errorf("%w: EXT_PDID field of %d bytes, limit 65535", ErrValue, len(f.Value))
		}
		b = binary.LittleEndian.AppendUint16(append(b, f.Tag), uint16(len(f.Value)))
		b = append(b, f.Value...)
	}
	return b, nil
}

func (r EXTPDIDPart) AppendData(b []byte) ([]byte, error) {
	return r.appendFragment(b, CodeEXTPDID, r.Data)
}

// parseEXTPDID tells a fragment from bare fields by the fragment's length: of
// text that happens to look like one, two characters would have to spell it.
func parseEXTPDID(d []byte) Reply {
	if p, rest, ok := parsePart(d); ok && int(p.Length) == len(rest) {
		return EXTPDIDPart{p, rest}
	}
	if r, err := ParseEXTPDID(d); err == nil && len(r) > 0 {
		return r
	}
	return nil
}
