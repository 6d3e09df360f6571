package osdp

import (
	"encoding/binary"
	"fmt"
)

// A BioType is a part of the body.
type BioType uint8

// The biometric types.
const (
	BioAny BioType = iota // unspecified
	BioRightThumb
	BioRightIndex
	BioRightMiddle
	BioRightRing
	BioRightLittle
	BioLeftThumb
	BioLeftIndex
	BioLeftMiddle
	BioLeftRing
	BioLeftLittle
	BioRightIris
	BioRightRetina
	BioLeftIris
	BioLeftRetina
	BioFace
	BioRightHand
	BioLeftHand
)

// A BioFormat says how a template is written.
type BioFormat uint8

// The template formats.
const (
	BioFormatAny    BioFormat = iota // unspecified
	BioFormatRaw                     // fingerprint as a PGM picture
	BioFormatINCITS                  // ANSI/INCITS 378 minutiae
)

// A Template is what a scan gave, or is compared with. It prints as its length.
type Template []byte

func (t Template) String() string { return fmt.Sprintf("template of %d bytes (hidden)", len(t)) }

// Format prints String whatever the verb: nobody can change a fingerprint.
func (t Template) Format(s fmt.State, _ rune) { fmt.Fprint(s, t.String()) }

// MarshalText is String.
func (t Template) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// BIOREAD asks a reader to scan somebody. The PD answers BIOREADR, or ACK and
// BIOREADR on a later POLL.
type BIOREAD struct {
	Reader  uint8
	Type    BioType
	Format  BioFormat
	Quality uint8 // wanted of the scan, 0 to 255
}

// BIOMATCH asks a reader to scan somebody and compare. The PD answers
// BIOMATCHR, or ACK and BIOMATCHR on a later POLL.
type BIOMATCH struct {
	Reader   uint8
	Type     BioType
	Format   BioFormat
	Quality  uint8    // least match that counts, 0 to 255
	Template Template // at most 65535 bytes
}

// How a scan went.
const (
	BioOK      = 0x00
	BioTimeout = 0x01
	BioUnknown = 0xff // failed, and nobody knows why
)

// BIOREADR is a scan.
type BIOREADR struct {
	Reader   uint8
	Status   uint8 // BioOK, BioTimeout, BioUnknown
	Type     BioType
	Quality  uint8    // of the scan, 0 to 255
	Template Template // at most 65535 bytes
}

// BIOMATCHR is how well a scan matched.
type BIOMATCHR struct {
	Reader uint8
	Status uint8 // BioOK, BioTimeout, BioUnknown
	Score  uint8 // 0 no match to 255 best
}

func (BIOREAD) Code() byte   { return CodeBIOREAD }
func (BIOMATCH) Code() byte  { return CodeBIOMATCH }
func (BIOREADR) Code() byte  { return CodeBIOREADR }
func (BIOMATCHR) Code() byte { return CodeBIOMATCHR }

func (c BIOREAD) AppendData(b []byte) ([]byte, error) {
	return append(b, c.Reader, byte(c.Type), byte(c.Format), c.Quality), nil
}

func (c BIOMATCH) AppendData(b []byte) ([]byte, error) {
	return appendTemplate(b, CommandName(CodeBIOMATCH), [4]byte{c.Reader, byte(c.Type), byte(c.Format), c.Quality}, c.Template)
}

func (r BIOREADR) AppendData(b []byte) ([]byte, error) {
	return appendTemplate(b, ReplyName(CodeBIOREADR), [4]byte{r.Reader, r.Status, byte(r.Type), r.Quality}, r.Template)
}

func (r BIOMATCHR) AppendData(b []byte) ([]byte, error) {
	return append(b, r.Reader, r.Status, r.Score), nil
}

func appendTemplate(b []byte, what string, head [4]byte, template []byte) ([]byte, error) {
	if len(template) > 0xffff {
		return b, fmt.Errorf("%w: %s template of %d bytes, limit 65535", ErrValue, what, len(template))
	}
	b = binary.LittleEndian.AppendUint16(append(b, head[:]...), uint16(len(template)))
	return append(b, template...), nil
}

func parseBIOREAD(d []byte) Command {
	if len(d) != 4 {
		return nil
	}
	return BIOREAD{d[0], BioType(d[1]), BioFormat(d[2]), d[3]}
}

func parseBIOMATCH(d []byte) Command {
	if !hasTemplate(d) {
		return nil
	}
	return BIOMATCH{d[0], BioType(d[1]), BioFormat(d[2]), d[3], d[6:]}
}

func parseBIOREADR(d []byte) Reply {
	if !hasTemplate(d) {
		return nil
	}
	return BIOREADR{d[0], d[1], BioType(d[2]), d[3], d[6:]}
}

// hasTemplate says whether d is four bytes, a length and that many bytes.
func hasTemplate(d []byte) bool {
	return len(d) >= 6 && len(d) == 6+int(binary.LittleEndian.Uint16(d[4:]))
}

func parseBIOMATCHR(d []byte) Reply {
	if len(d) != 3 {
		return nil
	}
	return BIOMATCHR{d[0], d[1], d[2]}
}
