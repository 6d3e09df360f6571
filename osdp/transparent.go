package osdp

import "fmt"

// XWR says something to a smart card at the reader, or about it: the
// transparent mode of OSDP v2.2. The PD answers XRD, or ACK and perhaps XRD on
// a later POLL. It prints without the data. GetMode, SetMode, SendAPDU,
// EnterPIN, ScanCard and EndCard are what it may ask, each a Command by itself.
type XWR struct {
	Mode    uint8 // what Command belongs to: ModeControl, ModeTransparent
	Command uint8
	Data    []byte
}

// XRD is what a smart card said, or what is said about it. It prints without
// the data. TransparentError, ModeReport, CardInfo, CardPresent, CardAnswer and
// PINEntered are what it may tell, each a Reply by itself.
type XRD struct {
	Mode  uint8 // what Reply belongs to: ModeControl, ModeTransparent
	Reply uint8
	Data  []byte
}

// The modes of XWR and XRD.
const (
	ModeControl     = 0 // about the mode itself
	ModeTransparent = 1 // messages to and from the smart card
)

// The commands of XWR and the replies of XRD.
const (
	xwrGetMode  = 1 // ModeControl
	xwrSetMode  = 2
	xwrSendAPDU = 1 // ModeTransparent
	xwrEndCard  = 2
	xwrEnterPIN = 3
	xwrScanCard = 4

	xrdError      = 0 // both modes
	xrdModeReport = 1 // ModeControl
	xrdCardInfo   = 2
	xrdPresent    = 1 // ModeTransparent
	xrdAnswer     = 2
	xrdPINEntered = 3
)

func (XWR) Code() byte { return CodeXWR }
func (XRD) Code() byte { return CodeXRD }

func (c XWR) AppendData(b []byte) ([]byte, error) {
	return append(append(b, c.Mode, c.Command), c.Data...), nil
}

func (r XRD) AppendData(b []byte) ([]byte, error) {
	return append(append(b, r.Mode, r.Reply), r.Data...), nil
}

// What goes to and from a smart card may be a PIN, a key or a credential.

func (c XWR) String() string {
	return fmt.Sprintf("XWR mode %d command %d, %d bytes (hidden)", c.Mode, c.Command, len(c.Data))
}

func (r XRD) String() string {
	return fmt.Sprintf("XRD mode %d reply %d, %d bytes (hidden)", r.Mode, r.Reply, len(r.Data))
}

func (c XWR) Format(s fmt.State, _ rune) { fmt.Fprint(s, c.String()) }
func (r XRD) Format(s fmt.State, _ rune) { fmt.Fprint(s, r.String()) }

func (c XWR) MarshalText() ([]byte, error) { return []byte(c.String()), nil }
func (r XRD) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

func parseXWR(d []byte) Command {
	if len(d) < 2 {
		return nil
	}
	return XWR{d[0], d[1], d[2:]}
}

func parseXRD(d []byte) Reply {
	if len(d) < 2 {
		return nil
	}
	return XRD{d[0], d[1], d[2:]}
}
