package siteapp

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey/internal/program"
	"latchkey/osdp/capture"
)

// recordedKey is the key of the session that recordedTrace writes.
const recordedKey = "000102030405060708090a0b0c0d0e0f"

// recordedTrace writes a recorded session of a panel and a PD to a file.
func recordedTrace(t *testing.T, name string) string {
	t.Helper()
	var all []json.RawMessage
	if err := json.Unmarshal(must(os.ReadFile("../../osdp/testdata/osdp_vectors.json")), &all); err != nil {
		t.Fatal(err)
	}
	var session struct {
		Name   string
		Keys   []string
		Frames []struct{ Dir, Hex string }
	}
	for _, e := range all {
		if bytes.Contains(e, []byte(`"commands-events-sc"`)) {
			if err := json.Unmarshal(e, &session); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(session.Frames) < 100 || len(session.Keys) != 1 || session.Keys[0] != recordedKey {
		t.Fatalf("session %q with %d frames and keys %q", session.Name, len(session.Frames), session.Keys)
	}
	path := filepath.Join(t.TempDir(), name)
	f := must(os.Create(path))
	w := capture.NewWriter(f, must(capture.ParseFormat(strings.TrimPrefix(filepath.Ext(name), "."))), capture.Options{ShowSecrets: true})
	for i, r := range session.Frames {
		at := time.Date(2026, 3, 1, 6, 0, 0, i*1e6, time.UTC)
		if err := w.Write(capture.Record{Time: at, FromACU: r.Dir == "cp>pd", Data: must(hex.DecodeString(r.Hex))}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// decoded is what `osdp decode` does with args.
func decoded(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Main(t.Context(), append([]string{"osdp", "decode"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

// TestDecodeTrace: a trace in either format, without its key, with it, with it
// in a file, and with what is secret.
func TestDecodeTrace(t *testing.T) {
	keyFile := filepath.Join(t.TempDir(), "reader.key")
	if err := os.WriteFile(keyFile, []byte(recordedKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"x.osdpcap", "x.pcapng"} {
		trace := recordedTrace(t, name)
		for _, tt := range []struct {
			name        string
			args        []string
			has, hasNot string
		}{
			{"no key", nil, "no key", "card of"},
			{"another reader's key", []string{"--key", "3=" + recordedKey}, "no key", "card of"},
			{"its key", []string{"--key", "0=" + recordedKey}, "card of 26 bits (hidden)", "no key"},
			{"a key for all", []string{"--key", "ffffffffffffffffffffffffffffff00", "--key", recordedKey}, "card of 26 bits (hidden)", "no key"},
			{"a key in a file", []string{"--key-file", "0=" + keyFile}, "10 keys (hidden)", "no key"},
			{"secrets", []string{"--key", recordedKey, "--show-secrets"}, `10 keys "0123456789"`, "(hidden)"},
		} {
			code, out, errs := decoded(t, append(tt.args, trace)...)
			if code != program.OK || errs != "" || !strings.Contains(out, tt.has) || strings.Contains(out, tt.hasNot) {
				t.Errorf("%s, %s: exit %d, %s, want %q and not %q in\n%s", name, tt.name, code, errs, tt.has, tt.hasNot, out)
			}
			if !strings.Contains(out, "\n-     0   54        54 ") {
				t.Errorf("%s, %s: no sums in\n%s", name, tt.name, out)
			}
		}
	}
}

// TestDecodeRewrites: a trace for others, blanked and with comments; and one
// that keeps all.
func TestDecodeRewrites(t *testing.T) {
	trace := recordedTrace(t, "x.osdpcap")
	for _, secrets := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "y.pcapng")
		args := []string{trace, "--out", path, "--key", recordedKey}
		if secrets {
			args = append(args, "--show-secrets")
		}
		if code, out, errs := decoded(t, args...); code != program.OK || out+errs != "" {
			t.Fatalf("exit %d, %s%s", code, out, errs)
		}
		if info := must(os.Stat(path)); info.Mode().Perm()&0o077 != 0 {
			t.Errorf("mode %v: others may read it", info.Mode())
		}
		r := must(capture.NewReader(bytes.NewReader(must(os.ReadFile(path)))))
		records, cards := 0, 0
		for rec, err := range r.All() {
			if err != nil {
				t.Fatal(err)
			}
			records++
			if strings.Contains(rec.Comment, "card of 26 bits") {
				cards++
				if rec.Redacted == secrets || strings.Contains(rec.Comment, "(hidden)") == secrets {
					t.Errorf("secrets %v: redacted %v, %s", secrets, rec.Redacted, rec.Comment)
				}
			}
		}
		if records != 108 || cards == 0 {
			t.Errorf("%d records, %d cards", records, cards)
		}
		if code, _, errs := decoded(t, args...); code != program.Failed || !strings.Contains(errs, "is there already") {
			t.Errorf("written over: exit %d, %s", code, errs)
		}
	}
}

// TestDecodeForOthers: a trace that was written with its secrets, and says them
// in its comments too, loses them when it is written again without.
func TestDecodeForOthers(t *testing.T) {
	secrets := []string{"26:083C5E9", `0123456789`, "090a0b0c0d0e0f10"} // a card, a PIN, a manufacturer's message
	for _, from := range []string{"x.osdpcap", "x.pcapng"} {
		shown := filepath.Join(t.TempDir(), from)
		if code, _, errs := decoded(t, recordedTrace(t, from), "--out", shown, "--key", recordedKey, "--show-secrets"); code != program.OK {
			t.Fatalf("exit %d, %s", code, errs)
		}
		for _, to := range []string{"y.osdpcap", "y.pcapng"} {
			hidden := filepath.Join(t.TempDir(), to)
			if code, _, errs := decoded(t, shown, "--out", hidden, "--key", recordedKey); code != program.OK {
				t.Fatalf("exit %d, %s", code, errs)
			}
			was, now := must(os.ReadFile(shown)), must(os.ReadFile(hidden))
			for _, s := range secrets {
				if !bytes.Contains(was, []byte(s)) || bytes.Contains(now, []byte(s)) {
					t.Errorf("%s to %s: %q was there %v and is %v, want it gone", from, to, s, bytes.Contains(was, []byte(s)), bytes.Contains(now, []byte(s)))
				}
			}
			if !bytes.Contains(now, []byte("card of 26 bits (hidden)")) {
				t.Errorf("%s to %s: no comment on a card", from, to)
			}
		}
	}
}

// TestDecodeNothing: a file in which no record can be read is an error, and
// leaves no trace. With one good record the bad ones are told of, and no more.
func TestDecodeNothing(t *testing.T) {
	const bad = `{"timeSec":"1","io":"output","data":"53-0"}` + "\n"
	const poll = `{"timeSec":"1","io":"output","data":"53-00-08-00-05-60-DA-99"}` + "\n"
	var pcapng bytes.Buffer
	if err := capture.NewWriter(&pcapng, capture.PCAPNG, capture.Options{}).Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, text, want string }{
		{"no pcapng record", pcapng.String(), "no record that can be read; bad ones: 0"},
		{"no bytes", "", "no record that can be read; bad ones: 0"},
		{"bad records", bad + bad, "no record that can be read; bad ones: 2"},
		{"a good one", bad + poll + bad, ""},
	} {
		dir := t.TempDir()
		in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out.osdpcap")
		if err := os.WriteFile(in, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{in}, {in, "--out", out}} {
			code, said, errs := decoded(t, args...)
			if want := map[bool]int{true: program.OK, false: program.Failed}[tt.want == ""]; code != want || !strings.Contains(errs, tt.want) {
				t.Errorf("%s, %q: exit %d, %s, want %d and %q", tt.name, args, code, errs, want, tt.want)
			}
			if n := strings.Count(said+errs, "data of 4 characters"); n != strings.Count(tt.text, bad) {
				t.Errorf("%s, %q: %d bad records told of in\n%s%s", tt.name, args, n, said, errs)
			}
		}
		if _, err := os.Stat(out); (err == nil) != (tt.want == "") {
			t.Errorf("%s: the trace that was written: %v", tt.name, err)
		}
	}
}

// TestDecodeRefuses: each error says what is wrong, and none shows a key.
func TestDecodeRefuses(t *testing.T) {
	trace := recordedTrace(t, "x.osdpcap")
	cut := filepath.Join(t.TempDir(), "cut.pcapng")
	whole := must(os.ReadFile(recordedTrace(t, "x.pcapng")))
	if err := os.WriteFile(cut, whole[:len(whole)-7], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{trace, "--key", "5=0001"}, "--key: osdp: key of 4 characters"},
		{[]string{trace, "--key", "127=" + recordedKey}, "--key: address of 3 characters before =: want 0 to 126"},
		{[]string{trace, "--key-file", "5=/nowhere/at/all"}, "/nowhere/at/all"},
		{[]string{trace, "--key-file", trace}, trace + ": osdp: key of"},
		{[]string{trace, "--out", "x.pcap"}, "want a name that ends in .osdpcap or .pcapng"},
		{[]string{"/nowhere/at/all"}, "/nowhere/at/all"},
		{[]string{"osdpdecode.go"}, "osdpdecode.go: capture: file begins with"},
		{[]string{cut}, "unexpected EOF"},
	} {
		code, _, errs := decoded(t, tt.args...)
		if code != program.Failed || !strings.Contains(errs, tt.want) || strings.Contains(errs, recordedKey) {
			t.Errorf("%q: exit %d, %s, want %q", tt.args, code, errs, tt.want)
		}
	}
}
