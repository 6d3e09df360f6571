package osdp

import "fmt"

// What XWR may ask.
type (
	// GetMode asks for the mode. The PD answers ModeReport.
	GetMode struct{}

	// SetMode sets the mode.
	SetMode struct {
		Mode   uint8 // ModeControl, ModeTransparent
		Config uint8 // of the mode; 0 for none
	}

	// SendAPDU gives the smart card a command. The PD answers CardAnswer. It
	// prints without the APDU.
	SendAPDU struct {
		Reader uint8
		APDU   []byte
	}

	// EndCard ends the connection to the smart card.
	EndCard struct {
		Reader uint8
	}

	// ScanCard looks for a smart card. The PD answers CardPresent.
	ScanCard struct {
		Reader uint8
	}
)

func (GetMode) Code() byte  { return CodeXWR }
func (SetMode) Code() byte  { return CodeXWR }
func (SendAPDU) Code() byte { return CodeXWR }
func (EndCard) Code() byte  { return CodeXWR }
func (ScanCard) Code() byte { return CodeXWR }

func (GetMode) AppendData(b []byte) ([]byte, error) {
	return append(b, ModeControl, xwrGetMode), nil
}

func (c SetMode) AppendData(b []byte) ([]byte, error) {
	return append(b, ModeControl, xwrSetMode, c.Mode, c.Config), nil
}

func (c SendAPDU) AppendData(b []byte) ([]byte, error) {
	return append(append(b, ModeTransparent, xwrSendAPDU, c.Reader), c.APDU...), nil
}

func (c EndCard) AppendData(b []byte) ([]byte, error) {
	return append(b, ModeTransparent, xwrEndCard, c.Reader), nil
}

func (c ScanCard) AppendData(b []byte) ([]byte, error) {
	return append(b, ModeTransparent, xwrScanCard, c.Reader), nil
}

func (c SendAPDU) String() string { return fmt.Sprintf("APDU of %d bytes (hidden)", len(c.APDU)) }

// Format prints String whatever the verb: an APDU may hold a PIN.
func (c SendAPDU) Format(s fmt.State, _ rune) { fmt.Fprint(s, c.String()) }

// MarshalText is String.
func (c SendAPDU) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// Meaning is what c asks: GetMode, SetMode, SendAPDU, EnterPIN, EndCard or
// ScanCard, or c itself where its bytes are none of them. It keeps Data.
func (c XWR) Meaning() Command {
	n := len(c.Data)
	switch [2]uint8{c.Mode, c.Command} {
	case [2]uint8{ModeControl, xwrGetMode}:
		if n == 0 {
			return GetMode{}
		}
	case [2]uint8{ModeControl, xwrSetMode}:
		if n == 2 {
			return SetMode{c.Data[0], c.Data[1]}
		}
	case [2]uint8{ModeTransparent, xwrSendAPDU}:
		if n >= 1 {
			return SendAPDU{c.Data[0], c.Data[1:]}
		}
	case [2]uint8{ModeTransparent, xwrEndCard}:
		if n == 1 {
			return EndCard{c.Data[0]}
		}
	case [2]uint8{ModeTransparent, xwrScanCard}:
		if n == 1 {
			return ScanCard{c.Data[0]}
		}
	case [2]uint8{ModeTransparent, xwrEnterPIN}:
		if p, ok := parseEnterPIN(c.Data); ok {
			return p
		}
	}
	return c
}

// What XRD may tell.
type (
	// TransparentError says that an XWR of that mode failed.
	TransparentError struct {
		Mode uint8 // ModeControl, ModeTransparent
		Kind uint8
	}

	// ModeReport answers GetMode.
	ModeReport struct {
		Mode, Config uint8 // as in SetMode
	}

	// CardInfo is a smart card that came, with what it said of itself. It prints
	// without that.
	CardInfo struct {
		Reader   uint8
		Protocol uint8  // ProtocolContact, ProtocolContactless
		CSN      []byte // the card's serial number, at most 255 bytes
		Data     []byte // of the protocol, at most 255 bytes
	}

	// CardPresent says whether a smart card is there.
	CardPresent struct {
		Reader   uint8
		Status   uint8 // CardAbsent to CardContact; 0 without one
		NoStatus bool  // the PD sent the reader alone, which it only does for a card
	}

	// CardAnswer is what the smart card answered to SendAPDU. It prints without
	// the APDU.
	CardAnswer struct {
		Reader uint8
		Status uint8 // 0 is good
		APDU   []byte
	}

	// PINEntered ends EnterPIN.
	PINEntered struct {
		Reader uint8
		Status uint8 // 0 is good
		Tries  uint8
	}
)

// What CardPresent.Status says.
const (
	CardAbsent      = 0
	CardSomehow     = 1 // there, and the PD does not say how
	CardContactless = 2
	CardContact     = 3
)

// What CardInfo.Protocol says.
const (
	ProtocolContact     = 0 // T=0 or T=1
	ProtocolContactless = 1 // ISO 14443 A or B
)

func (TransparentError) Code() byte { return CodeXRD }
func (ModeReport) Code() byte       { return CodeXRD }
func (CardInfo) Code() byte         { return CodeXRD }
func (CardPresent) Code() byte      { return CodeXRD }
func (CardAnswer) Code() byte       { return CodeXRD }
func (PINEntered) Code() byte       { return CodeXRD }

func (r TransparentError) AppendData(b []byte) ([]byte, error) {
	return append(b, r.Mode, xrdError, r.Kind), nil
}

func (r ModeReport) AppendData(b []byte) ([]byte, error) {
	return append(b, ModeControl, xrdModeReport, r.Mode, r.Config), nil
}

func (r CardInfo) AppendData(b []byte) ([]byte, error) {
	if len(r.CSN) > 0xff || len(r.Data) > 0xff {
		return b, fmt.Errorf("%w: XRD card info with %d bytes of CSN and %d of data, limits 255", ErrValue, len(r.CSN), len(r.Data))
	}
	b = append(b, ModeControl, xrdCardInfo, r.Reader, r.Protocol, byte(len(r.CSN)), byte(len(r.Data)))
	return append(append(b, r.CSN...), r.Data...), nil
}

func (r CardPresent) AppendData(b []byte) ([]byte, error) {
	b = append(b, ModeTransparent, xrdPresent, r.Reader)
	switch {
	case !r.NoStatus:
		b = append(b, r.Status)
	case r.Status != 0:
		return b, fmt.Errorf("%w: XRD card present with status %d and none", ErrValue, r.Status)
	}
	return b, nil
}

func (r CardAnswer) AppendData(b []byte) ([]byte, error) {
	return append(append(b, ModeTransparent, xrdAnswer, r.Reader, r.Status), r.APDU...), nil
}

func (r PINEntered) AppendData(b []byte) ([]byte, error) {
	return append(b, ModeTransparent, xrdPINEntered, r.Reader, r.Status, r.Tries), nil
}

func (r CardInfo) String() string {
	return fmt.Sprintf("card info, %d bytes of CSN and %d of data (hidden)", len(r.CSN), len(r.Data))
}

func (r CardAnswer) String() string {
	return fmt.Sprintf("card answer, status %d, APDU of %d bytes (hidden)", r.Status, len(r.APDU))
}

func (r CardInfo) Format(s fmt.State, _ rune)   { fmt.Fprint(s, r.String()) }
func (r CardAnswer) Format(s fmt.State, _ rune) { fmt.Fprint(s, r.String()) }

func (r CardInfo) MarshalText() ([]byte, error)   { return []byte(r.String()), nil }
func (r CardAnswer) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Meaning is what r tells: TransparentError, ModeReport, CardInfo, CardPresent,
// CardAnswer or PINEntered, or r itself where its bytes are none of them. It
// keeps Data.
func (r XRD) Meaning() Reply {
	n := len(r.Data)
	switch {
	case r.Mode <= ModeTransparent && r.Reply == xrdError && n == 1:
		return TransparentError{r.Mode, r.Data[0]}
	case r.Mode == ModeControl && r.Reply == xrdModeReport && n == 2:
		return ModeReport{r.Data[0], r.Data[1]}
	case r.Mode == ModeControl && r.Reply == xrdCardInfo && n >= 4 && n == 4+int(r.Data[2])+int(r.Data[3]):
		end := 4 + int(r.Data[2])
		return CardInfo{r.Data[0], r.Data[1], r.Data[4:end:end], r.Data[end:]}
	case r.Mode == ModeTransparent && r.Reply == xrdPresent && n == 1:
		return CardPresent{Reader: r.Data[0], NoStatus: true}
	case r.Mode == ModeTransparent && r.Reply == xrdPresent && n == 2:
		return CardPresent{Reader: r.Data[0], Status: r.Data[1]}
	// Some PDs give an answer the number of a presence; an answer of a card
	// is never shorter than its two status bytes.
	case r.Mode == ModeTransparent && (r.Reply == xrdAnswer && n >= 2 || r.Reply == xrdPresent && n >= 4):
		return CardAnswer{r.Data[0], r.Data[1], r.Data[2:]}
	case r.Mode == ModeTransparent && r.Reply == xrdPINEntered && n == 3:
		return PINEntered{r.Data[0], r.Data[1], r.Data[2]}
	}
	return r
}
