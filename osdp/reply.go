package osdp

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// A Reply is what a PD sends. Two forms never differ: what ParseReply makes of
// some bytes, Code and AppendData give back.
type Reply interface {
	// Code is the reply's code byte.
	Code() byte
	// AppendData appends the bytes after the code to b. A value that the wire
	// cannot hold is an ErrValue.
	AppendData(b []byte) ([]byte, error)
}

// ACK says: done, and nothing to tell.
type ACK struct{}

// BUSY says: ask again, with the same bytes (OSDP v2.2 §7.19).
type BUSY struct{}

// A NAKCode says why a PD refused.
type NAKCode uint8

// The refusals, OSDP v2.2 §7.3, table 47, and those that SIA's
// libosdp-conformance has beside them (iec-nak.h).
const (
	NAKNone      NAKCode = 0
	NAKCheck     NAKCode = 1 // CRC or checksum wrong
	NAKLength    NAKCode = 2 // command length wrong
	NAKUnknown   NAKCode = 3 // no such command
	NAKSequence  NAKCode = 4 // unexpected sequence number
	NAKBlock     NAKCode = 5 // security block not supported
	NAKSecurity  NAKCode = 6 // wants encryption, or has no session
	NAKBioType   NAKCode = 7
	NAKBioFormat NAKCode = 8
	NAKRecord    NAKCode = 9    // cannot do what a record asks
	NAKNoCard    NAKCode = 0x10 // card not found
	NAKTransmit  NAKCode = 0x11 // transmission failed
	NAKInternal  NAKCode = 0x12 // error inside the PD
	NAKPrivate   NAKCode = 0xff // the manufacturer's own
)

// String is the code's name, or the code where it has none.
func (c NAKCode) String() string {
	i, named := c.index()
	if !named {
		return fmt.Sprintf("error 0x%02x", uint8(c))
	}
	return [namedNAKs]string{"no error", "bad check", "wrong length", "unknown command", "unexpected sequence", "security block not supported",
		"security conditions not met", "biometric type not supported", "biometric format not supported", "record cannot be processed",
		"card not found", "transmission failed", "internal error", "manufacturer's own error"}[i]
}

// namedNAKs is how many codes have a name.
const namedNAKs = 14

// index is the place of c among the codes that have a name.
func (c NAKCode) index() (i int, named bool) {
	switch {
	case c <= NAKRecord:
		return int(c), true
	case c >= NAKNoCard && c <= NAKInternal:
		return int(c-NAKNoCard+NAKRecord) + 1, true
	case c == NAKPrivate:
		return namedNAKs - 1, true
	}
	return 0, false
}

// NAKCounts counts refusals by their code.
type NAKCounts struct {
	Other uint64 // whose code has no name, or that gave none
	named [namedNAKs]uint64
}

// Add counts a refusal with code c.
func (n *NAKCounts) Add(c NAKCode) {
	if i, named := c.index(); named {
		n.named[i]++
	} else {
		n.Other++
	}
}

// All yields the codes with a name that came, in ascending order, and how often
// each did.
func (n NAKCounts) All() iter.Seq2[NAKCode, uint64] {
	return func(yield func(NAKCode, uint64) bool) {
		for c := range 256 {
			i, named := NAKCode(c).index()
			if named && n.named[i] > 0 && !yield(NAKCode(c), n.named[i]) {
				return
			}
		}
	}
}

// NAK says: no.
type NAK struct {
	Reason NAKCode
	Detail []byte // mostly empty
}

// LSTATR is the state of the PD itself.
type LSTATR struct {
	Tamper uint8 // 0 normal, 1 tamper
	Power  uint8 // 0 normal, 1 power failure
}

// An InputState is the state of one input.
type InputState uint8

// The input states, OSDP v2.2 §7.7.
const (
	InputInactive InputState = iota
	InputActive
	InputShort
	InputOpen
	InputFault
	InputUnknown
)

// ISTATR is the state of each input, from input 0.
type ISTATR []InputState

// OSTATR is the state of each output, from output 0: 0 off, 1 on.
type OSTATR []uint8

// A ReaderState is the state of one reader head at a PD.
type ReaderState uint8

// The reader states, OSDP v2.2 §7.9.
const (
	ReaderNormal ReaderState = iota
	ReaderNotConnected
	ReaderTamper
)

// RSTATR is the state of each reader head, from reader 0.
type RSTATR []ReaderState

// COM is the address and speed that hold from now on.
type COM struct {
	Addr uint8
	Baud uint32 // bits per second
}

// A RawReply is any other reply, and one of the above whose bytes are not as
// the standard has them. It prints without its data.
type RawReply struct {
	Op   byte
	Data []byte
}

func (ACK) Code() byte        { return CodeACK }
func (BUSY) Code() byte       { return CodeBUSY }
func (NAK) Code() byte        { return CodeNAK }
func (LSTATR) Code() byte     { return CodeLSTATR }
func (ISTATR) Code() byte     { return CodeISTATR }
func (OSTATR) Code() byte     { return CodeOSTATR }
func (RSTATR) Code() byte     { return CodeRSTATR }
func (COM) Code() byte        { return CodeCOM }
func (r RawReply) Code() byte { return r.Op }

func (ACK) AppendData(b []byte) ([]byte, error)  { return b, nil }
func (BUSY) AppendData(b []byte) ([]byte, error) { return b, nil }

func (r NAK) AppendData(b []byte) ([]byte, error) {
	return append(append(b, byte(r.Reason)), r.Detail...), nil
}

func (r LSTATR) AppendData(b []byte) ([]byte, error) { return append(b, r.Tamper, r.Power), nil }

func (r ISTATR) AppendData(b []byte) ([]byte, error) {
	for _, s := range r {
		b = append(b, byte(s))
	}
	return b, nil
}

func (r OSTATR) AppendData(b []byte) ([]byte, error) { return append(b, r...), nil }

func (r RSTATR) AppendData(b []byte) ([]byte, error) {
	for _, s := range r {
		b = append(b, byte(s))
	}
	return b, nil
}

func (r COM) AppendData(b []byte) ([]byte, error) {
	return binary.LittleEndian.AppendUint32(append(b, r.Addr), r.Baud), nil
}

func (r RawReply) AppendData(b []byte) ([]byte, error) { return append(b, r.Data...), nil }

func (r RawReply) String() string { return fmt.Sprintf("reply 0x%02x, %d bytes", r.Op, len(r.Data)) }

func (r RawReply) Format(s fmt.State, _ rune) { fmt.Fprint(s, r.String()) }

func (r RawReply) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// ParseReply gives bytes their meaning. It never fails: a code that it does not
// know, or data that is not as the standard has it, is a RawReply. What has a
// field of bytes keeps data, and so does OSTATR; the others copy what they need.
func ParseReply(code byte, data []byte) Reply {
	r := parseReport(code, data)
	if r == nil {
		r = parseAnswer(code, data)
	}
	if r == nil {
		return RawReply{code, data}
	}
	return r
}

// parseReport knows the replies about the PD and what happens at it. It gives
// nil for any other, and for data that is not as the standard has it.
func parseReport(code byte, data []byte) Reply {
	switch code {
	case CodeACK:
		return empty(ACK{}, data)
	case CodeNAK:
		return parseNAK(data)
	case CodePDID:
		return parsePDID(data)
	case CodePDCAP:
		return parsePDCAP(data)
	case CodeLSTATR:
		return parseLSTATR(data)
	case CodeISTATR:
		return parseISTATR(data)
	case CodeOSTATR:
		return OSTATR(data)
	case CodeRSTATR:
		return parseRSTATR(data)
	case CodeRAW:
		return parseRAW(data)
	case CodeFMT:
		return parseFMT(data)
	case CodeKEYPAD:
		return parseKEYPAD(data)
	case CodeCOM:
		return parseCOM(data)
	case CodeEXTPDID:
		return parseEXTPDID(data)
	case CodeBUSY:
		return empty(BUSY{}, data)
	}
	return nil
}

// parseAnswer is parseReport for the replies that carry something back: keys,
// templates, smart card messages, the state of a transfer.
func parseAnswer(code byte, data []byte) Reply {
	switch code {
	case CodeBIOREADR:
		return parseBIOREADR(data)
	case CodeBIOMATCHR:
		return parseBIOMATCHR(data)
	case CodeCCRYPT:
		return parseCCRYPT(data)
	case CodeRMACI:
		return parseRMACI(data)
	case CodeFTSTAT:
		return parseFTSTAT(data)
	case CodePIVDATAR:
		return parsePIVDATAR(data)
	case CodeGENAUTHR:
		return parseGENAUTHR(data)
	case CodeCRAUTHR:
		return parseCRAUTHR(data)
	case CodeMFGSTATR:
		return parseMFGSTATR(data)
	case CodeMFGERRR:
		return parseMFGERRR(data)
	case CodeMFGREP:
		return parseMFGREP(data)
	case CodeXRD:
		return parseXRD(data)
	}
	return nil
}

// empty is r, a reply that has no data.
func empty(r Reply, data []byte) Reply {
	if len(data) != 0 {
		return nil
	}
	return r
}

func parseNAK(d []byte) Reply {
	if len(d) == 0 {
		return nil
	}
	return NAK{NAKCode(d[0]), d[1:]}
}

func parseLSTATR(d []byte) Reply {
	if len(d) != 2 {
		return nil
	}
	return LSTATR{d[0], d[1]}
}

func parseISTATR(d []byte) Reply {
	r := make(ISTATR, len(d))
	for i, v := range d {
		r[i] = InputState(v)
	}
	return r
}

func parseRSTATR(d []byte) Reply {
	r := make(RSTATR, len(d))
	for i, v := range d {
		r[i] = ReaderState(v)
	}
	return r
}

func parseCOM(d []byte) Reply {
	if len(d) != 5 {
		return nil
	}
	return COM{d[0], binary.LittleEndian.Uint32(d[1:])}
}
