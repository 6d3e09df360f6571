package capture_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/capture"
)

// A session is one recorded session of osdp_vectors.json.
type session struct {
	Name, Kind string
	Keys       []string
	Frames     []struct {
		US         int64 `json:"t_us"`
		Dir, Hex   string
		Addr       uint8
		Code, Name string
		Plain      string
		SCB        string
		MACFull    string `json:"mac_full"`
	}
}

// dawn is when all test traces begin.
var dawn = time.Date(2026, 3, 1, 6, 0, 0, 123456789, time.UTC)

// sessions are all recorded sessions.
func sessions(t testing.TB) (list []session) {
	t.Helper()
	text, err := os.ReadFile("../testdata/osdp_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var entries []json.RawMessage
	if err := json.Unmarshal(text, &entries); err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		var kind struct{ Kind string }
		if err := json.Unmarshal(e, &kind); err != nil {
			t.Fatal(err)
		}
		if kind.Kind != "session" {
			continue
		}
		var s session
		if err := json.Unmarshal(e, &s); err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	if len(list) < 19 {
		t.Fatalf("%d sessions: this test would check too little", len(list))
	}
	return list
}

// records is the session as a tap on its line would have it.
func (s session) records(t testing.TB) (list []capture.Record) {
	t.Helper()
	for _, f := range s.Frames {
		list = append(list, capture.Record{
			Time: dawn.Add(time.Duration(f.US) * time.Microsecond), FromACU: f.Dir == "cp>pd",
			Data: unhex(t, f.Hex), Line: "bus-1", Source: s.Name,
		})
	}
	return list
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// write is a whole trace of records.
func write(t testing.TB, f capture.Format, o capture.Options, records ...capture.Record) []byte {
	t.Helper()
	var out bytes.Buffer
	w := capture.NewWriter(&out, f, o)
	for _, r := range records {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// read gives the good records of a trace, the number of bad ones, and the error
// that ended it, nil for the end of the file.
func read(t testing.TB, trace []byte) (records []capture.Record, bad int, err error) {
	t.Helper()
	r, err := capture.NewReader(bytes.NewReader(trace))
	if err != nil {
		return nil, 0, err
	}
	for {
		rec, err := r.Next()
		switch {
		case err == nil:
			records = append(records, rec)
		case errors.Is(err, capture.ErrRecord):
			bad++
		case err == io.EOF:
			return records, bad, nil
		default:
			return records, bad, err
		}
	}
}

// reread is read for what must be without fault.
func reread(t testing.TB, trace []byte) []capture.Record {
	t.Helper()
	records, bad, err := read(t, trace)
	if bad > 0 || err != nil {
		t.Fatalf("%d bad records, %v", bad, err)
	}
	return records
}

// same says whether two traces are one.
func same(t testing.TB, what string, got, want []capture.Record) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d records, want %d", what, len(got), len(want))
	}
	for i, g := range got {
		w := want[i]
		if !g.Time.Equal(w.Time) || g.FromACU != w.FromACU || !bytes.Equal(g.Data, w.Data) || g.Line != w.Line ||
			g.Source != w.Source || g.Comment != w.Comment || g.Redacted != w.Redacted {
			t.Fatalf("%s: record %d:\n%s %v %q %q %q % x\nwant\n%s %v %q %q %q % x", what, i,
				g, g.Redacted, g.Line, g.Source, g.Comment, g.Data, w, w.Redacted, w.Line, w.Source, w.Comment, w.Data)
		}
	}
}

// frame is f on the wire, after a MARK byte.
func frame(t testing.TB, f osdp.Frame) []byte {
	t.Helper()
	b, err := f.AppendBinary([]byte{osdp.Mark})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
