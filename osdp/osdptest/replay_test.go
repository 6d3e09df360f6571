package osdptest_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/osdptest"
)

// An exchange is a recording of what a real PD answered, step by step.
type exchange struct {
	Name, Kind string
	Steps      []step
}

type step struct {
	Desc    string
	Command string `json:"cp>pd"`
	Reply   string `json:"pd>cp"` // empty for silence
	What    string `json:"reply"` // the same in words
	Plain   string `json:"reply_plain"`
}

func exchanges(t testing.TB) (all []exchange) {
	t.Helper()
	text, err := os.ReadFile("../testdata/osdp_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(e exchange) bool { return e.Kind != "exchange" })
	if len(all) == 0 {
		t.Fatal("no exchange: this test would check nothing")
	}
	return all
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// recordedKey is what the recorded PDs had for a key; weak, as it happens.
func recordedKey() (k osdp.Key) {
	for i := range k {
		k[i] = byte(i)
	}
	return k
}

// like is our PD made up as the one of a recording.
func like(t *testing.T, r *replay, e exchange) (pd *osdptest.PD) {
	key, name := recordedKey(), e.Name
	c := osdptest.Config{
		Addr: 3, LEDs: 4, Inputs: 4, Outputs: 4, SCBK: &key, AllowWeakKeys: true, Rand: r,
		Files: &osdp.ReceiverOptions{Limit: 1000},
	}
	if strings.HasPrefix(name, "pd-libosdp") {
		c.ID = osdp.PDID{Vendor: [3]byte{0xfe, 0xca, 0}, Model: 0x21, Version: 2, Serial: 0x11223344, Firmware: [3]byte{3, 2, 1}}
		c.CUID = [8]byte{0xfe, 0xca, 0x21, 0, 0x44, 0x33, 0x22, 0x11}
		c.QuietBadCheck, c.DropAfterKeyset = true, true
		c.Files.Action = osdp.FTInterleave
		c.OnMFG = func(m osdp.MFG) osdp.Reply {
			if len(m.Data) > 64 {
				return osdp.NAK{Reason: osdp.NAKLength}
			}
			pd.Queue(osdp.MFGREP(m))
			return nil
		}
	} else {
		c.ID = osdp.PDID{Vendor: [3]byte{0x5a, 0x42, 0x43}, Model: 1, Serial: 1, Firmware: [3]byte{0, 1, 0}}
	}
	if strings.Contains(name, "install") {
		c.SCBK, c.InstallMode = nil, true
	}
	if name == "pd-embedded/file/file-sc" { // it was recorded without a key
		c.SCBK = nil
	}
	if caps := e.plain(osdp.CodePDCAP); caps != "" {
		c.Caps = osdp.ParseReply(osdp.CodePDCAP, unhex(t, caps)).(osdp.PDCAP)
	}
	pd = osdptest.NewPD(c)
	return pd
}

// plain is the data of the first reply of that code, in hex; empty without one.
func (e exchange) plain(code byte) string {
	for _, s := range e.Steps {
		if strings.HasPrefix(s.What, osdp.ReplyName(code)) {
			return s.Plain
		}
	}
	return ""
}

// A replay plays the panel of a recording to our PD. Where the PD deviates in
// a session, the panel goes on with the MACs of the session as it is now.
type replay struct {
	*panel
	rndB           []byte    // of the recorded PD in this step
	next           [2]*chain // what a handshake under way leads to, as recorded and now
	recorded, ours *chain
	before, sent   []byte // the last command as recorded, and as sent
	deviated       bool   // our PD has, since the session began
}

// Read gives our PD the random numbers of the recorded one.
func (r *replay) Read(b []byte) (int, error) {
	if len(r.rndB) < len(b) {
		return 0, errors.New("no number was recorded for this")
	}
	return copy(b, r.rndB), nil
}

// parse takes the frame in wire apart, and gives its bytes without MARK.
func parse(wire []byte) (osdp.Frame, []byte, bool) {
	wire = bytes.TrimLeft(wire, "\xff")
	f, n, err := osdp.ParseFrame(wire)
	return f, wire, err == nil && n == len(wire)
}

// play sends the command of s as it was recorded, or as it has to be by now,
// and gives our PD's answer and the recorded one in words, and whether they are
// the same bytes.
func (r *replay) play(s step) (got, want string, same bool) {
	r.t.Helper()
	command, reply := unhex(r.t, s.Command), unhex(r.t, s.Reply)
	r.note(reply)
	if len(command) != len(r.before) || !bytes.Equal(command, r.before) {
		r.before, r.sent = command, r.now(command)
	}
	r.pauses(s)
	answer := r.send(r.sent)
	want = r.words(r.recorded, reply)
	got = r.words(r.ours, answer)
	r.shake(command, reply, answer)
	return got, want, bytes.Equal(answer, reply)
}

// note reads the random number of the recorded PD.
func (r *replay) note(reply []byte) {
	r.rndB = nil
	if f, _, ok := parse(reply); ok && f.Code == osdp.CodeCCRYPT {
		r.rndB = f.Data[8:16]
	}
}

// now is a recorded command as our PD has to get it: in a session with the MAC
// of ours.
func (r *replay) now(command []byte) []byte {
	f, wire, ok := parse(command)
	if !ok || r.recorded == nil || f.SCBType < osdp.SCS15 || f.SCBType > osdp.SCS18 {
		return command
	}
	data, ok := r.recorded.open(f, wire)
	if !ok || r.ours == nil {
		return command // not of the session, and sent because of that
	}
	return r.ours.seal(r.t, f, data)
}

// pauses sends the first part of a command that was recorded in two, and waits
// for as long as then.
func (r *replay) pauses(s step) {
	gap := regexp.MustCompile(`gap (\d+ ms)`).FindStringSubmatch(s.Desc)
	if gap == nil {
		return
	}
	d, err := time.ParseDuration(strings.ReplaceAll(gap[1], " ", ""))
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.conn.Write(unhex(r.t, "ff53030800")); err != nil {
		r.t.Fatal(err)
	}
	time.Sleep(d)
}

// shake follows the handshake, as recorded and as it is now.
func (r *replay) shake(command []byte, answers ...[]byte) {
	c, _, ok := parse(command)
	for i, b := range answers {
		a, _, answered := parse(b)
		at := []**chain{&r.recorded, &r.ours}[i]
		switch {
		case !ok || c.Addr != 3:
		case c.Code == osdp.CodeCHLNG:
			r.deviated = false
			*at, r.next[i] = nil, nil
			if answered && a.Code == osdp.CodeCCRYPT {
				r.next[i] = r.agreed(c.Data, a.Data)
			}
		case c.Code == osdp.CodeSCRYPT && answered && a.SCBType == osdp.SCS14 && len(a.Data) == 16:
			*at = r.next[i]
		}
	}
}

// agreed is the channel that the key of a CCRYPT makes: one of those that the
// recordings are about.
func (r *replay) agreed(rndA, ccrypt []byte) *chain {
	second := osdp.Key{}
	for i := range second {
		second[i] = 0x40 + byte(i)
	}
	for _, k := range []osdp.Key{recordedKey(), osdp.DefaultKey(), second, {}} {
		c := newChain(r.t, k, rndA, ccrypt[8:16])
		proof := append(bytes.Clone(rndA), ccrypt[8:16]...)
		c.enc.Encrypt(proof, proof)
		if bytes.Equal(proof, ccrypt[16:]) {
			return c
		}
	}
	return nil
}

// words is an answer as a person would tell it.
func (r *replay) words(c *chain, answer []byte) string {
	if len(answer) == 0 {
		return "silence"
	}
	f, wire, ok := parse(answer)
	if !ok {
		return fmt.Sprintf("% x", answer)
	}
	data, how := f.Data, ""
	switch {
	case f.SCBType >= osdp.SCS15 && c != nil:
		if data, ok = c.open(f, wire); !ok {
			return "a wrong MAC"
		}
		how = ", sealed"
		if f.SCBType == osdp.SCS15 {
			how = ", in the clear with a MAC"
		}
	case f.SCBType != 0:
		how = fmt.Sprintf(", SCS_%02X %x", f.SCBType, f.SCBData)
	}
	if f.Checksum {
		how += ", checksum"
	}
	if answer[0] != osdp.Mark {
		how += ", no MARK"
	}
	what := osdp.ReplyName(f.Code)
	if len(data) > 0 {
		what += fmt.Sprintf(" %x", data)
	}
	return fmt.Sprintf("%s, sequence %d%s", what, f.Seq, how)
}

// TestReplay gives our PD what the recorded ones were given. It answers with
// the same bytes, or as the list of deviations says; after a deviation in a
// session, with what says the same under the MAC that is due then.
func TestReplay(t *testing.T) {
	left := deviations()
	steps := 0
	for _, e := range exchanges(t) {
		t.Run(e.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &replay{}
				r.panel = serve(t, like(t, r, e))
				for i, s := range e.Steps {
					at := fmt.Sprintf("%s#%d", e.Name, i)
					got, want, same := r.play(s)
					d, listed := left[at]
					delete(left, at)
					switch {
					case listed && got != d.ours:
						t.Errorf("%s %s: %s, listed as %s, because %s", at, s.Desc, got, d.ours, d.why)
					case listed && got == want:
						t.Errorf("%s %s: listed as a deviation, and is none", at, s.Desc)
					case !listed && !same && !(r.deviated && got == want):
						t.Errorf("%s %s: %s, want %s", at, s.Desc, got, want)
					}
					r.deviated = r.deviated || listed
					steps++
				}
			})
		})
	}
	for at := range left {
		t.Errorf("%s: listed as a deviation, and not met", at)
	}
	t.Logf("%d steps, %d deviations", steps, len(deviations()))
}
