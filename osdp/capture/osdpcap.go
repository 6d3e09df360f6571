package capture

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// The directions of .osdpcap, in the view of the recorder; a tap says trace.
const (
	ioInput  = "input"
	ioOutput = "output"
	ioTrace  = "trace"
)

// osdpcapVersion is the one version of the format that there is.
const osdpcapVersion = "1"

// maxLine is the longest line of .osdpcap, in bytes: the data as hexadecimal
// digits with separators, and the texts with each character escaped.
const maxLine = 3*MaxData + 3*6*maxText + 1024

// An entry is a line of .osdpcap as it is written. The last three fields are
// ours; other readers pass over them.
type entry struct {
	TimeSec  string `json:"timeSec"`
	TimeNano string `json:"timeNano"`
	IO       string `json:"io"`
	Data     string `json:"data"`
	Version  string `json:"osdpTraceVersion"`
	Source   string `json:"osdpSource"`
	Line     string `json:"line,omitempty"`
	Redacted bool   `json:"redacted,omitempty"`
	Comment  string `json:"comment,omitempty"`
}

// appendOSDPCap appends r as a line. Our programs are the panel: what it sends
// is output.
func appendOSDPCap(b []byte, r Record) ([]byte, error) {
	e := entry{
		TimeSec:  strconv.FormatInt(r.Time.Unix(), 10),
		TimeNano: fmt.Sprintf("%09d", r.Time.Nanosecond()),
		IO:       ioInput,
		Data:     dashes(r.Data),
		Version:  osdpcapVersion,
		Source:   r.Source,
		Line:     r.Line,
		Redacted: r.Redacted,
		Comment:  r.Comment,
	}
	if r.FromACU {
		e.IO = ioOutput
	}
	text, err := json.Marshal(e)
	if err != nil {
		return b, err
	}
	return append(append(b, text...), '\n'), nil
}

// dashes writes bytes as OSDP.Net does: FF-53-01.
func dashes(data []byte) string {
	const digits = "0123456789ABCDEF"
	b := make([]byte, 0, 3*len(data))
	for i, v := range data {
		if i > 0 {
			b = append(b, '-')
		}
		b = append(b, digits[v>>4], digits[v&15])
	}
	return string(b)
}

// loose is a JSON value that some programs write in quotes and some without.
type loose string

func (l *loose) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(l))
	}
	if s := string(b); s != "null" {
		*l = loose(s)
	}
	return nil
}

// An entryIn is a line of .osdpcap as it is read. Case does not count, as
// encoding/json has it, for some programs write iO and oSDPSource.
type entryIn struct {
	TimeSec  loose
	TimeNano loose
	TimeNSec loose // another spelling of timeNano
	IO       loose
	Data     loose
	Version  loose `json:"osdpTraceVersion"`
	Source   loose `json:"osdpSource"`
	Line     loose
	Redacted loose
	Comment  loose
}

type osdpcapReader struct {
	lines *bufio.Scanner
	line  int  // number of the last line read
	acu   bool // who spoke last
}

func newOSDPCapReader(r io.Reader) *osdpcapReader {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	return &osdpcapReader{lines: lines}
}

// next reads up to the next line that is not blank.
func (o *osdpcapReader) next() (Record, error) {
	for o.lines.Scan() {
		o.line++
		text := bytes.TrimSpace(o.lines.Bytes())
		if o.line == 1 {
			text = bytes.TrimPrefix(text, []byte(byteOrderMark))
		}
		if len(text) == 0 {
			continue
		}
		r, err := o.parse(text)
		if err != nil {
			return Record{}, fmt.Errorf("%w: line %d: %w", ErrRecord, o.line, err)
		}
		return r, nil
	}
	if err := o.lines.Err(); err != nil {
		return Record{}, fmt.Errorf("capture: line %d: %w", o.line+1, err)
	}
	return Record{}, io.EOF
}

// byteOrderMark begins the text files of some Windows programs.
const byteOrderMark = "\ufeff"

func (o *osdpcapReader) parse(text []byte) (Record, error) {
	var e entryIn
	if err := json.Unmarshal(text, &e); err != nil {
		return Record{}, err
	}
	if e.Version != "" && e.Version != osdpcapVersion {
		return Record{}, fmt.Errorf("osdpTraceVersion %q, want %q", e.Version, osdpcapVersion)
	}
	t, err := e.time()
	if err != nil {
		return Record{}, err
	}
	data, err := unhex(string(e.Data))
	if err != nil {
		return Record{}, err
	}
	r := Record{
		Time: t, Data: data, Line: string(e.Line), Source: string(e.Source), Comment: string(e.Comment),
		Redacted: e.Redacted == "true",
	}
	if err := o.direct(&r, string(e.IO)); err != nil {
		return Record{}, err
	}
	return r.tidy()
}

// direct sets who sent r: by its bytes, else as the line says, else whoever
// spoke before.
func (o *osdpcapReader) direct(r *Record, said string) error {
	acu, ok := speaker(r.Data)
	if !ok {
		switch strings.ToLower(said) {
		case ioOutput:
			acu = true
		case ioInput:
		case ioTrace, "", "unknown":
			acu = o.acu
		default:
			return fmt.Errorf("io %q, want %s, %s or %s", said, ioInput, ioOutput, ioTrace)
		}
	}
	r.FromACU, o.acu = acu, acu
	return nil
}

func (e entryIn) time() (time.Time, error) {
	if e.TimeNano == "" {
		e.TimeNano = e.TimeNSec
	}
	sec, err := count("timeSec", string(e.TimeSec), maxSeconds)
	if err != nil {
		return time.Time{}, err
	}
	nano, err := count("timeNano", string(e.TimeNano), int64(time.Second)-1)
	return time.Unix(sec, nano).UTC(), err
}

// count reads a whole number from 0 to most; a missing one is 0.
func count(name, s string, most int64) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil || n < 0 || n > most {
		return 0, fmt.Errorf("%s %q, want a whole number from 0 to %d", name, s, most)
	}
	return n, nil
}

// unhex reads bytes as two digits each, whatever stands between them of what
// programs put there. Its error does not carry them.
func unhex(s string) ([]byte, error) {
	digits := strings.Map(func(r rune) rune {
		if strings.ContainsRune(" -:\t", r) {
			return -1
		}
		return r
	}, s)
	data, err := hex.DecodeString(digits)
	if err != nil {
		return nil, fmt.Errorf("data of %d characters, want two hexadecimal digits a byte", len(s))
	}
	return data, nil
}
