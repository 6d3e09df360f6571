package osdp_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"latchkey/osdp"
)

// notOurs are the recorded commands that our panel never sends, with the
// reason. What the PD answered to them may come all the same.
var notOurs = map[string]string{
	"no mark":      "a frame without MARK before it",
	"bad check":    "a check that was made wrong",
	"elsewhere":    "a frame for another address, or a reply",
	"reserved":     "reserved control bits",
	"no block":     "CHLNG or SCRYPT without its security block",
	"no session":   "a sealed frame without a session, or with a MAC that was made up",
	"clear inside": "a clear command inside a session",
	"pad alone":    "padding without data in SCS_17: a command without data goes in SCS_15",
	"behind":       "a frame of a session that went on with one of those",
	"wrong proof":  "a server cryptogram that was made wrong, or for a PD that has not proven the key",
	"no frame":     "halves of frames, garbage, two frames at once",
}

// What a reply leads to. None of it takes a PD offline.
const (
	isTaken    = "it answered the command"
	isRefused  = "it refused the command"
	isNoAnswer = "no answer: the true one may still come"
	asksAgain  = "the same bytes again"
	startsOver = "a start at sequence 0"
	isProven   = "the PD has proven the key"
	isUnproven = "another handshake"
	isUp       = "the channel is there"
)

// A step is one recorded exchange with the PD at address 3.
type step struct {
	*hand
	vectorStep
	rnd     *given
	session *osdp.Session
	cmd     osdp.Frame // as recorded
	ours    osdp.Frame // as our panel sent it instead
	repeats bool       // the command is the one before
	astray  bool       // the recorded session went on with what ours does not take
	replies []osdp.Reply
	err     error
}

// TestReplayExchanges gives our panel what PDs answered to commands of all
// sorts: each command is the recorded one byte for byte, but for those in
// notOurs, and each answer leads where it should.
func TestReplayExchanges(t *testing.T) {
	same, played, ours, did := 0, 0, map[string]int{}, map[string]int{}
	for _, v := range vectors(t) {
		if v.Kind != "exchange" {
			continue
		}
		s := step{rnd: &given{}}
		s.hand = newHandOf(t, osdp.Options{Rand: s.rnd}, osdp.PDConfig{Addr: 3, Security: osdp.AllowClear})
		for i, w := range v.Steps {
			where := fmt.Sprintf("%s step %d (%s)", v.Name, i, w.Desc)
			if i+1 < len(v.Steps) && v.Steps[i+1].Command == w.Command {
				w.Reply = "" // the recorded panel plays that it got lost: ours loses it
			}
			s.repeats = s.Command == w.Command && i > 0
			s.vectorStep, s.replies, s.err = w, nil, nil
			why := s.send()
			switch recorded := unhex(t, w.Command); {
			case why == "" && bytes.Equal(s.wire, recorded):
				same++
			case notOurs[why] == "":
				t.Errorf("%s: sent % x, want % x", where, s.wire, recorded)
			default:
				ours[why]++
			}
			want, got := s.expected(why), s.react()
			if got != want {
				t.Errorf("%s: to reply %s %q, want %q", where, s.Reply, got, want)
			}
			did[got]++
			played++
		}
	}
	for why := range notOurs {
		if ours[why] == 0 {
			t.Errorf("%s: no such command", why)
		}
	}
	t.Logf("%d steps: %d commands byte for byte; not ours: %v; reactions: %v", played, same, ours, did)
	if played != 342 || same != 288 { // all steps as counted by another program; the others are in notOurs
		t.Errorf("%d steps, %d the same, want 342 and 288", played, same)
	}
}

// send puts the Bus where the recorded panel stood, and has it send the
// recorded command, or one that stands for it; why names it then.
func (s *step) send() (why string) {
	marks, f, err := parseOne(unhex(s.t.(*testing.T), s.Command))
	s.cmd = f
	switch {
	case s.repeats:
		s.ours = s.nextAny()
		return ""
	case errors.Is(err, osdp.ErrCheck):
		why = "bad check"
	case err != nil:
		why = "no frame"
	case f.Addr != 3 || f.Reply:
		why = "elsewhere"
	case f.SCBType == osdp.SCS11:
		s.challenge()
		s.ours = s.nextAny()
		return ""
	case f.SCBType == osdp.SCS13 && s.ours.SCBType == osdp.SCS11:
		if s.ours = s.nextAny(); s.ours.Code != osdp.CodeSCRYPT || strings.Contains(s.Desc, "corrupt=true") {
			why = "wrong proof"
		}
		return why
	case f.SCBType == 0 && f.Seq == 0:
		s.session, s.astray = nil, false
	case f.SCBType == 0 && s.session != nil:
		why = "clear inside"
		s.astray = s.reply()[0].SCBType != 0
	case f.SCBType == osdp.SCS13, f.SCBType == 0 && (f.Code == osdp.CodeCHLNG || f.Code == osdp.CodeSCRYPT):
		why = "no block"
	case f.SCBType != 0 && s.session == nil:
		why = "no session"
	}
	if why == "" {
		return s.typed(marks)
	}
	seq := f.Seq
	if r := s.reply(); len(r) > 0 {
		seq = r[0].Seq
	}
	s.bus.Stand(s.now, 3, seq, s.session, false)
	s.submit(osdp.POLL{})
	return why
}

// typed has the Bus send the recorded command by what it means.
func (s *step) typed(marks int) (why string) {
	data := s.cmd.Data
	if s.session != nil {
		data, _ = s.session.Reveal(s.cmd)
	}
	s.bus.Stand(s.now, 3, s.cmd.Seq, s.session, s.cmd.Checksum)
	s.submit(osdp.ParseCommand(s.cmd.Code, bytes.Clone(data)))
	switch {
	case s.astray:
		return "behind"
	case s.cmd.SCBType == osdp.SCS17 && len(data) == 0:
		s.astray = true
		return "pad alone"
	case s.cmd.SCBType != 0 && s.cmd.MAC == [4]byte{1, 2, 3, 4}:
		return "no session"
	case marks == 0:
		return "no mark"
	case s.cmd.Reserved != 0:
		return "reserved"
	}
	return ""
}

func (s *step) submit(c osdp.Command) {
	if err := s.bus.SubmitAny(s.now, 3, c, func(r []osdp.Reply, err error) { s.replies, s.err = r, err }); err != nil {
		s.t.Fatal(err)
	}
	s.ours = s.nextAny()
}

// challenge begins a handshake with the key that the recorded panel had: the
// one that the PD proved, or another where it proved none.
func (s *step) challenge() {
	s.rnd.next, s.session, s.astray = s.cmd.Data, nil, false
	s.bus.Stand(s.now, 3, 0, nil, false) // of what was before, nothing
	def := osdp.AsksDefault(s.cmd)
	proved := strings.Contains(s.Observed, "client_cryptogram_ok=true")
	var key osdp.Key
	for k := range byte(3) { // 00010203…, 40414243…, and the zeros of a PD without a key
		for i := range key {
			key[i] = k*0x40 + byte(i)
		}
		if k == 2 {
			key = osdp.Key{}
		}
		h, _ := osdp.NewACUHandshake(s.rnd, key, def)
		if _, err := h.Client(s.reply()[0]); (err == nil) == proved {
			break
		}
	}
	s.bus.TrustKey(3, key)
	if def {
		if err := s.bus.Install(s.now, 3, osdp.Key{9: 9}, s.now.Add(time.Minute), func(error) {}); err != nil {
			s.t.Fatal(err)
		}
	}
	s.bus.Shake(s.now, 3, s.cmd.Seq)
}

// reply is the frames that the PD answered.
func (s *step) reply() (all []osdp.Frame) {
	var scan osdp.Scanner
	scan.Feed(unhex(s.t.(*testing.T), s.Reply))
	for {
		f, err := scan.Next()
		if err != nil {
			return all
		}
		all = append(all, f)
	}
}

// expected is what the recorded answer must lead to.
func (s *step) expected(why string) string {
	if s.Reply == "" {
		return asksAgain
	}
	r := s.reply()[0]
	nak := osdp.NAKNone
	if r.Code == osdp.CodeNAK && r.SCBType == 0 {
		nak = osdp.NAKCode(r.Data[0])
	}
	inside := s.ours.SCBType >= osdp.SCS15
	switch {
	case nak == osdp.NAKSequence && !inside:
		return startsOver // whatever its sequence
	case r.Addr != 3, r.Seq != s.ours.Seq:
		return isNoAnswer
	case s.ours.Code == osdp.CodeCHLNG && strings.Contains(s.Observed, "client_cryptogram_ok=true") && bytes.Equal(r.SCBData, s.ours.SCBData):
		return isProven
	case s.ours.Code == osdp.CodeSCRYPT && r.SCBType == osdp.SCS14 && r.SCBData[0] == 1:
		return isUp
	case s.ours.SCBType == osdp.SCS11, s.ours.SCBType == osdp.SCS13:
		return isUnproven
	case inside && nak == osdp.NAKSecurity:
		return startsOver
	case nak == osdp.NAKCheck, inside && nak != osdp.NAKNone: // of any other, a second one starts it over
		return asksAgain
	case inside && why != "", inside && r.SCBType == 0, !inside && r.SCBType != 0:
		return isNoAnswer
	case nak != osdp.NAKNone, inside && strings.Contains(s.Desc, "unknown cmd"), inside && r.Code == osdp.CodeNAK:
		return isRefused
	}
	return isTaken
}

// react gives the Bus the recorded answer and tells what it led to.
func (s *step) react() string {
	s.t.Helper()
	before, wire, online := s.bus.Stats()[0], bytes.Clone(s.wire), s.bus.Stats()[0].Online
	done := false
	for _, f := range s.reply() {
		if s.now = s.now.Add(3 * time.Millisecond); done {
			s.bus.Unasked(f)
			continue
		}
		_, done = s.bus.Answer(s.now, f)
	}
	if s.Reply == "" {
		s.silence()
	} else if !done {
		return isNoAnswer
	}
	after := s.bus.Stats()[0]
	if online && !after.Online {
		return "offline"
	}
	var nak *osdp.NAKError
	switch {
	case errors.As(s.err, &nak) && nak.Command == s.ours.Code:
		return isRefused
	case after.Handshakes > before.Handshakes:
		s.session = s.bus.Channel(3)
		return isUp
	case after.Refused > before.Refused:
		return isUnproven
	}
	next := s.nextAny()
	switch {
	case bytes.Equal(s.wire, wire):
		return asksAgain
	case next.Code == osdp.CodeSCRYPT:
		return isProven
	case len(s.replies) == 1 && next.Seq == s.ours.Seq%3+1:
		return isTaken
	case next.Seq == 0 && (next.Code == osdp.CodeID || next.Code == osdp.CodeCHLNG):
		return startsOver
	}
	return fmt.Sprintf("%v", next)
}
