package osdp

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// ID asks who the PD is.
type ID struct {
	Kind uint8 // IDStandard, IDExtended
}

// What ID asks for.
const (
	IDStandard = 0 // PDID
	IDExtended = 1 // EXTPDID; old PDs refuse it or answer PDID
)

// CAP asks what the PD can do.
type CAP struct {
	Kind uint8 // 0; nothing else is in use
}

func (ID) Code() byte  { return CodeID }
func (CAP) Code() byte { return CodeCAP }

func (c ID) AppendData(b []byte) ([]byte, error)  { return append(b, c.Kind), nil }
func (c CAP) AppendData(b []byte) ([]byte, error) { return append(b, c.Kind), nil }

func parseID(d []byte) Command {
	if len(d) != 1 {
		return nil
	}
	return ID{d[0]}
}

func parseCAP(d []byte) Command {
	if len(d) != 1 {
		return nil
	}
	return CAP{d[0]}
}

// PDID is who the PD says it is. Nothing proves it before a secure channel.
type PDID struct {
	Vendor         [3]byte // IEEE OUI
	Model, Version uint8
	Serial         uint32
	Firmware       [3]byte // major, minor, build
}

// String is made for people: vendor, model, serial and firmware.
func (r PDID) String() string {
	return fmt.Sprintf("vendor %s, model %d version %d, serial %08X, firmware %d.%d.%d",
		strings.ToUpper(hex.EncodeToString(r.Vendor[:])), r.Model, r.Version, r.Serial, r.Firmware[0], r.Firmware[1], r.Firmware[2])
}

// What a capability is about, OSDP v2.2 annex B.
const (
	CapInputs     = 1
	CapOutputs    = 2
	CapCardFormat = 3
	CapLED        = 4
	CapBuzzer     = 5
	CapText       = 6
	CapTime       = 7 // compliance 1: TDSET; withdrawn, as TDSET is
	CapCheck      = 8 // compliance 1: CRC-16
	CapSecurity   = 9
	CapReceive    = 10 // bytes the PD takes: compliance low byte, number high byte
	CapMessage    = 11
	CapSmartCard  = 12 // compliance bit 0: XWR; bit 1: PIVDATA, GENAUTH, CRAUTH
	CapReaders    = 13
	CapBiometrics = 14
	CapSecurePIN  = 15
	CapVersion    = 16
)

// A Capability is one record of PDCAP.
type Capability struct {
	Function, Compliance, Number uint8
}

// PDCAP is what the PD says it can do. Policy never rests on it: anybody on the
// line could have written it.
type PDCAP []Capability

// Find gives the capability for function.
func (r PDCAP) Find(function uint8) (Capability, bool) {
	for _, c := range r {
		if c.Function == function {
			return c, true
		}
	}
	return Capability{}, false
}

// minReceive is what each end takes until it is told otherwise, in bytes.
const minReceive = 128

// ReceiveSize is the longest frame the PD takes, 128 to MaxFrame bytes.
func (r PDCAP) ReceiveSize() int {
	c, _ := r.Find(CapReceive)
	return min(max(int(c.Compliance)|int(c.Number)<<8, minReceive), MaxFrame)
}

func (r PDID) AppendData(b []byte) ([]byte, error) {
	b = append(append(b, r.Vendor[:]...), r.Model, r.Version)
	b = binary.LittleEndian.AppendUint32(b, r.Serial)
	return append(b, r.Firmware[:]...), nil
}

func (r PDCAP) AppendData(b []byte) ([]byte, error) {
	for _, c := range r {
		b = append(b, c.Function, c.Compliance, c.Number)
	}
	return b, nil
}

func (PDID) Code() byte  { return CodePDID }
func (PDCAP) Code() byte { return CodePDCAP }

func parsePDID(d []byte) Reply {
	if len(d) != 12 {
		return nil
	}
	return PDID{[3]byte(d), d[3], d[4], binary.LittleEndian.Uint32(d[5:]), [3]byte(d[9:])}
}

func parsePDCAP(d []byte) Reply {
	if len(d)%3 != 0 {
		return nil
	}
	r := make(PDCAP, 0, len(d)/3)
	for ; len(d) > 0; d = d[3:] {
		r = append(r, Capability{d[0], d[1], d[2]})
	}
	return r
}
