package osdp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// ErrValue means that a command or reply holds a value that its bytes cannot, or
// a command one that the standard does not know.
var ErrValue = errors.New("osdp: value out of range")

// A Command is what the panel sends to a PD. Two forms never differ: what
// ParseCommand makes of some bytes, Code and AppendData give back.
type Command interface {
	// Code is the command's code byte.
	Code() byte
	// AppendData appends the bytes after the code to b. A value that the wire
	// cannot hold is an ErrValue.
	AppendData(b []byte) ([]byte, error)
}

// The commands without data.
type (
	POLL  struct{} // asks for news
	LSTAT struct{} // asks for tamper and power
	ISTAT struct{} // asks for the inputs
	OSTAT struct{} // asks for the outputs
	RSTAT struct{} // asks for the readers
	ABORT struct{} // ends a multi-part message or a file transfer
)

// COMSET gives a PD a new address and speed. It answers COM at the old ones,
// with those that hold from then on.
type COMSET struct {
	Addr uint8  // 0 to 126
	Baud uint32 // bits per second
}

// KEEPACTIVE keeps a smart card session of the PD open.
type KEEPACTIVE struct {
	Time time.Duration // 0 to 65.535 s in milliseconds; 0 ends it
}

// ACURXSIZE tells how long a reply the panel takes.
type ACURXSIZE struct {
	Size uint16 // bytes, SOM to check
}

// TDSET sets the PD's clock. OSDP v2.2 has withdrawn it; PDs that say
// CapTime still take it. It does not say which time zone: give local time.
type TDSET struct {
	Year                             uint16
	Month, Day, Hour, Minute, Second uint8
}

// ClockAt is the command that sets a clock to what one in t's location shows at
// t, of the years 0 to 65535.
func ClockAt(t time.Time) TDSET {
	return TDSET{uint16(t.Year()), uint8(t.Month()), uint8(t.Day()), uint8(t.Hour()), uint8(t.Minute()), uint8(t.Second())}
}

// A RawCommand is any other command, and one of the above whose bytes are not
// as the standard has them. It prints without its data.
type RawCommand struct {
	Op   byte
	Data []byte
}

func (POLL) Code() byte         { return CodePOLL }
func (LSTAT) Code() byte        { return CodeLSTAT }
func (ISTAT) Code() byte        { return CodeISTAT }
func (OSTAT) Code() byte        { return CodeOSTAT }
func (RSTAT) Code() byte        { return CodeRSTAT }
func (ABORT) Code() byte        { return CodeABORT }
func (COMSET) Code() byte       { return CodeCOMSET }
func (KEEPACTIVE) Code() byte   { return CodeKEEPACTIVE }
func (ACURXSIZE) Code() byte    { return CodeACURXSIZE }
func (TDSET) Code() byte        { return CodeTDSET }
func (c RawCommand) Code() byte { return c.Op }

func (POLL) AppendData(b []byte) ([]byte, error)  { return b, nil }
func (LSTAT) AppendData(b []byte) ([]byte, error) { return b, nil }
func (ISTAT) AppendData(b []byte) ([]byte, error) { return b, nil }
func (OSTAT) AppendData(b []byte) ([]byte, error) { return b, nil }
func (RSTAT) AppendData(b []byte) ([]byte, error) { return b, nil }
func (ABORT) AppendData(b []byte) ([]byte, error) { return b, nil }

func (c COMSET) AppendData(b []byte) ([]byte, error) {
	return binary.LittleEndian.AppendUint32(append(b, c.Addr), c.Baud), nil
}

func (c KEEPACTIVE) AppendData(b []byte) ([]byte, error) {
	t, err := units("KEEPACTIVE time", c.Time, time.Millisecond, 0xffff)
	if err != nil {
		return b, err
	}
	return binary.LittleEndian.AppendUint16(b, t), nil
}

func (c ACURXSIZE) AppendData(b []byte) ([]byte, error) {
	return binary.LittleEndian.AppendUint16(b, c.Size), nil
}

func (c TDSET) AppendData(b []byte) ([]byte, error) {
	b = binary.LittleEndian.AppendUint16(b, c.Year)
	return append(b, c.Month, c.Day, c.Hour, c.Minute, c.Second), nil
}

func (c RawCommand) AppendData(b []byte) ([]byte, error) { return append(b, c.Data...), nil }

// String tells the code and the length.
func (c RawCommand) String() string {
	return fmt.Sprintf("command 0x%02x, %d bytes", c.Op, len(c.Data))
}

// Format prints String whatever the verb: the data may be a key.
func (c RawCommand) Format(s fmt.State, _ rune) { fmt.Fprint(s, c.String()) }

// MarshalText is String.
func (c RawCommand) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// tick is the unit of most of the protocol's times.
const tick = 100 * time.Millisecond

// units turns d into a number of units, and refuses what would be rounded.
func units(what string, d, unit time.Duration, most uint16) (uint16, error) {
	if d < 0 || d%unit != 0 || d/unit > time.Duration(most) {
		return 0, fmt.Errorf("%w: %s %v, want 0 to %v in steps of %v", ErrValue, what, d, time.Duration(most)*unit, unit)
	}
	return uint16(d / unit), nil
}

func ticks(b byte) time.Duration { return time.Duration(b) * tick }

func ticks16(b []byte) time.Duration { return time.Duration(binary.LittleEndian.Uint16(b)) * tick }

// ParseCommand gives bytes their meaning. It never fails: a code that it does
// not know, or data that is not as the standard has it, is a RawCommand. What
// has a field of bytes keeps data; all others copy what they need.
func ParseCommand(code byte, data []byte) Command {
	c := parseControl(code, data)
	if c == nil {
		c = parseTransfer(code, data)
	}
	if c == nil {
		return RawCommand{code, data}
	}
	return c
}

// parseControl knows the commands about the PD and what it drives. It gives nil
// for any other, and for data that is not as the standard has it.
func parseControl(code byte, data []byte) Command {
	switch code {
	case CodePOLL:
		return bare(POLL{}, data)
	case CodeID:
		return parseID(data)
	case CodeCAP:
		return parseCAP(data)
	case CodeLSTAT:
		return bare(LSTAT{}, data)
	case CodeISTAT:
		return bare(ISTAT{}, data)
	case CodeOSTAT:
		return bare(OSTAT{}, data)
	case CodeRSTAT:
		return bare(RSTAT{}, data)
	case CodeOUT:
		return parseOUT(data)
	case CodeLED:
		return parseLED(data)
	case CodeBUZ:
		return parseBUZ(data)
	case CodeTEXT:
		return parseTEXT(data)
	case CodeTDSET:
		return parseTDSET(data)
	case CodeCOMSET:
		return parseCOMSET(data)
	case CodeACURXSIZE:
		return parseACURXSIZE(data)
	case CodeKEEPACTIVE:
		return parseKEEPACTIVE(data)
	}
	return nil
}

// parseTransfer is parseControl for the commands that carry something through:
// keys, templates, files, smart card messages.
func parseTransfer(code byte, data []byte) Command {
	switch code {
	case CodeBIOREAD:
		return parseBIOREAD(data)
	case CodeBIOMATCH:
		return parseBIOMATCH(data)
	case CodeKEYSET:
		return parseKEYSET(data)
	case CodeCHLNG:
		return parseCHLNG(data)
	case CodeSCRYPT:
		return parseSCRYPT(data)
	case CodeFILETRANSFER:
		return parseFILETRANSFER(data)
	case CodeMFG:
		return parseMFG(data)
	case CodeXWR:
		return parseXWR(data)
	case CodeABORT:
		return bare(ABORT{}, data)
	case CodePIVDATA:
		return parsePIVDATA(data)
	case CodeGENAUTH:
		return parseGENAUTH(data)
	case CodeCRAUTH:
		return parseCRAUTH(data)
	}
	return nil
}

// bare is c, a command that has no data.
func bare(c Command, data []byte) Command {
	if len(data) != 0 {
		return nil
	}
	return c
}

func parseTDSET(d []byte) Command {
	if len(d) != 7 {
		return nil
	}
	return TDSET{binary.LittleEndian.Uint16(d), d[2], d[3], d[4], d[5], d[6]}
}

func parseCOMSET(d []byte) Command {
	if len(d) != 5 {
		return nil
	}
	return COMSET{d[0], binary.LittleEndian.Uint32(d[1:])}
}

func parseACURXSIZE(d []byte) Command {
	if len(d) != 2 {
		return nil
	}
	return ACURXSIZE{binary.LittleEndian.Uint16(d)}
}

func parseKEEPACTIVE(d []byte) Command {
	if len(d) != 2 {
		return nil
	}
	return KEEPACTIVE{time.Duration(binary.LittleEndian.Uint16(d)) * time.Millisecond}
}
