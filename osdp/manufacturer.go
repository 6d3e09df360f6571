package osdp

import "fmt"

// MFG is a manufacturer's own command. The PD answers ACK, NAK or MFGREP. It
// prints without the data.
type MFG struct {
	Vendor [3]byte // IEEE OUI, in the order of the wire
	Data   []byte
}

// MFGREP is a manufacturer's own reply. It prints without the data.
type MFGREP struct {
	Vendor [3]byte // IEEE OUI, in the order of the wire
	Data   []byte
}

// MFGSTATR is a manufacturer's own status; deprecated.
type MFGSTATR struct {
	Status uint8
}

// MFGERRR is a manufacturer's own error; deprecated.
type MFGERRR struct {
	Error uint8
}

func (MFG) Code() byte      { return CodeMFG }
func (MFGREP) Code() byte   { return CodeMFGREP }
func (MFGSTATR) Code() byte { return CodeMFGSTATR }
func (MFGERRR) Code() byte  { return CodeMFGERRR }

func (c MFG) AppendData(b []byte) ([]byte, error) {
	return append(append(b, c.Vendor[:]...), c.Data...), nil
}

func (r MFGREP) AppendData(b []byte) ([]byte, error) {
	return append(append(b, r.Vendor[:]...), r.Data...), nil
}

func (r MFGSTATR) AppendData(b []byte) ([]byte, error) { return append(b, r.Status), nil }
func (r MFGERRR) AppendData(b []byte) ([]byte, error)  { return append(b, r.Error), nil }

func (c MFG) String() string {
	return fmt.Sprintf("MFG of vendor %X, %d bytes (hidden)", c.Vendor[:], len(c.Data))
}

func (r MFGREP) String() string {
	return fmt.Sprintf("MFGREP of vendor %X, %d bytes (hidden)", r.Vendor[:], len(r.Data))
}

func (c MFG) Format(s fmt.State, _ rune)    { fmt.Fprint(s, c.String()) }
func (r MFGREP) Format(s fmt.State, _ rune) { fmt.Fprint(s, r.String()) }

func (c MFG) MarshalText() ([]byte, error)    { return []byte(c.String()), nil }
func (r MFGREP) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func parseMFG(d []byte) Command {
	if len(d) < 3 {
		return nil
	}
	return MFG{[3]byte(d), d[3:]}
}

func parseMFGREP(d []byte) Reply {
	if len(d) < 3 {
		return nil
	}
	return MFGREP{[3]byte(d), d[3:]}
}

func parseMFGSTATR(d []byte) Reply {
	if len(d) != 1 {
		return nil
	}
	return MFGSTATR{d[0]}
}

func parseMFGERRR(d []byte) Reply {
	if len(d) != 1 {
		return nil
	}
	return MFGERRR{d[0]}
}
