package osdp

import (
	"encoding/binary"
	"fmt"
	"time"
)

// What a file is. From FilePrivate on, panel and PD agree
// among themselves.
const (
	FileOpaque   = 1
	FileTemplate = 2 // biometric template for the next BIOMATCH
	FileDisplay  = 3
	FilePrivate  = 0x80
)

// A File is what goes to a PD by file transfer. It prints without the content.
type File struct {
	Type        uint8 // FileOpaque, FileTemplate, FileDisplay, FilePrivate and above
	Content     []byte
	Credentials bool // holds cards or keys: the rest of it never goes in clear, whatever LeaveSC says
	LeaveSC     bool // the rest of it may go in clear when the PD wants it so
}

func (f File) String() string {
	return fmt.Sprintf("file of type %d, %d bytes (hidden)", f.Type, len(f.Content))
}

// Format prints String whatever the verb.
func (f File) Format(s fmt.State, _ rune) { fmt.Fprint(s, f.String()) }

// MarshalText is String.
func (f File) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// FILETRANSFER is a fragment of a file. It prints without the data.
type FILETRANSFER struct {
	Type   uint8
	Total  uint32 // bytes of the whole file
	Offset uint32 // of Data in it
	Data   []byte // at most 65535 bytes; none keeps a PD company that is finishing
}

// What FTSTAT.Action allows or wants; bits.
const (
	FTInterleave = 1 << iota // other commands may come between fragments
	FTLeaveSC                // the rest of the transfer goes in clear
	FTPollFirst              // one POLL fetches another reply before the next fragment
)

// What FTSTAT.Status says.
const (
	FTOK           = 0  // go on
	FTProcessed    = 1  // all done
	FTRebooting    = 2  // all done, and the PD starts anew
	FTFinishing    = 3  // all there; send fragments without data until done
	FTAbort        = -1 // the PD gives up
	FTUnrecognised = -2 // not a file that it takes
	FTMalformed    = -3 // the file is bad
)

// failureText words the status of a transfer that failed for people.
func failureText(status int16) string {
	switch status {
	case FTAbort:
		return "the PD gives up"
	case FTUnrecognised:
		return "not a file that it takes"
	case FTMalformed:
		return "the file is bad"
	}
	return fmt.Sprintf("status %d", status)
}

// FTSTAT answers FILETRANSFER.
type FTSTAT struct {
	Action    uint8         // FTInterleave, FTLeaveSC, FTPollFirst
	Delay     time.Duration // before the next FILETRANSFER: 0 to 65.535 s in milliseconds
	Status    int16         // FTOK to FTFinishing; below 0 it failed
	UpdateMax uint16        // longest message that the PD wants from now on, in bytes; 0 as before
}

// fileHeader is the bytes before a fragment's data: type, total (4), offset
// (4), length (2).
const fileHeader = 11

func (FILETRANSFER) Code() byte { return CodeFILETRANSFER }
func (FTSTAT) Code() byte       { return CodeFTSTAT }

func (c FILETRANSFER) AppendData(b []byte) ([]byte, error) {
	if len(c.Data) > 0xffff {
		return b, fmt.Errorf("%w: FILETRANSFER fragment of %d bytes, limit 65535", ErrValue, len(c.Data))
	}
	b = binary.LittleEndian.AppendUint32(append(b, c.Type), c.Total)
	b = binary.LittleEndian.AppendUint32(b, c.Offset)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(c.Data)))
	return append(b, c.Data...), nil
}

func (r FTSTAT) AppendData(b []byte) ([]byte, error) {
	delay, err := units("FTSTAT delay", r.Delay, time.Millisecond, 0xffff)
	if err != nil {
		return b, err
	}
	b = binary.LittleEndian.AppendUint16(append(b, r.Action), delay)
	b = binary.LittleEndian.AppendUint16(b, uint16(r.Status))
	return binary.LittleEndian.AppendUint16(b, r.UpdateMax), nil
}

func (c FILETRANSFER) String() string {
	return fmt.Sprintf("FILETRANSFER type %d, %d bytes at %d of %d (hidden)", c.Type, len(c.Data), c.Offset, c.Total)
}

// Format prints String whatever the verb: the file may hold credentials.
func (c FILETRANSFER) Format(s fmt.State, _ rune) { fmt.Fprint(s, c.String()) }

// MarshalText is String.
func (c FILETRANSFER) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

func parseFILETRANSFER(d []byte) Command {
	if len(d) < fileHeader || len(d) != fileHeader+int(binary.LittleEndian.Uint16(d[9:])) {
		return nil
	}
	return FILETRANSFER{d[0], binary.LittleEndian.Uint32(d[1:]), binary.LittleEndian.Uint32(d[5:]), d[fileHeader:]}
}

func parseFTSTAT(d []byte) Reply {
	if len(d) != 7 {
		return nil
	}
	return FTSTAT{d[0], time.Duration(binary.LittleEndian.Uint16(d[1:])) * time.Millisecond,
		int16(binary.LittleEndian.Uint16(d[3:])), binary.LittleEndian.Uint16(d[5:])}
}
