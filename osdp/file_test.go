package osdp_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"latchkey/osdp"

	"pgregory.net/rapid"
)

// overWire is what the other end makes of a fragment.
func overWire(t rapid.TB, f osdp.FILETRANSFER) osdp.FILETRANSFER {
	t.Helper()
	b, err := f.AppendData(nil)
	if err != nil {
		t.Fatal(err)
	}
	got, ok := osdp.ParseCommand(osdp.CodeFILETRANSFER, b).(osdp.FILETRANSFER)
	if !ok {
		t.Fatalf("%v is no FILETRANSFER", f)
	}
	return got
}

// back is what the panel makes of an answer.
func back(t rapid.TB, r osdp.FTSTAT) osdp.FTSTAT {
	t.Helper()
	b, err := r.AppendData(nil)
	if err != nil {
		t.Fatal(err)
	}
	got, ok := osdp.ParseReply(osdp.CodeFTSTAT, b).(osdp.FTSTAT)
	if !ok {
		t.Fatalf("%+v is no FTSTAT", r)
	}
	return got
}

// TestFileArrives: whatever the sizes, whatever is lost, repeated, delayed or
// restarted, what the PD commits is the file.
func TestFileArrives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := rapid.SliceOfN(rapid.Byte(), 0, 2000).Draw(t, "content")
		limits := osdp.SendLimits{
			Receive:     rapid.IntRange(64, 300).Draw(t, "receive"),
			Secure:      rapid.Bool().Draw(t, "secure"),
			MaxFragment: rapid.IntRange(0, 120).Draw(t, "own limit"),
		}
		finishing := rapid.IntRange(0, 3).Draw(t, "finishing")
		commits, asked := 0, 0
		pd := osdp.NewReceiver(osdp.ReceiverOptions{
			Limit:     2000,
			Delay:     time.Duration(rapid.IntRange(0, 3).Draw(t, "delay")) * time.Millisecond,
			UpdateMax: uint16(rapid.SampledFrom([]int{0, 40, 128, 9999}).Draw(t, "update")),
			Commit: func(f osdp.File) int16 {
				commits++
				if f.Type != osdp.FilePrivate || !bytes.Equal(f.Content, content) {
					t.Errorf("committed %x of type %d, want %x", f.Content, f.Type, content)
				}
				if finishing > 0 {
					return osdp.FTFinishing
				}
				return osdp.FTProcessed
			},
		})
		s, err := osdp.NewSender(osdp.File{Type: osdp.FilePrivate, Content: content}, limits)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(0, 0)
		restarts := rapid.IntRange(0, 1).Draw(t, "restarts")
		for range 20000 {
			f, wait, ok := s.Next(now)
			if !ok {
				break
			}
			if wait > 0 {
				now = now.Add(wait)
				continue
			}
			if n := len(f.Data); n > osdp.MaxFragment(limits.Receive, limits.Secure) {
				t.Fatalf("fragment of %d bytes for a PD of %d", n, limits.Receive)
			}
			switch rapid.IntRange(0, 9).Draw(t, "fate") {
			case 0: // the command is lost: it goes out again
				continue
			case 1: // the answer is lost
				pd.Take(overWire(t, f))
				continue
			case 2:
				if confirmed, _ := s.Progress(); restarts > 0 && confirmed < len(content) {
					restarts--
					pd.Abort() // the PD rebooted
					if err := s.Restart(limits); err != nil {
						t.Fatal(err)
					}
					continue
				}
			}
			r := back(t, pd.Take(overWire(t, f)))
			if r.Status == osdp.FTFinishing {
				if asked++; asked == finishing {
					pd.Finish(osdp.FTProcessed)
				}
			}
			s.Answer(now, r)
		}
		if s.State() != osdp.FileDone || s.Err() != nil || s.Early() {
			t.Errorf("%v: %v", s, s.Err())
		}
		// A file of one fragment whose answer got lost cannot be told from a new
		// transfer, but by the sequence number, which a PD looks at before.
		if commits != 1 && (commits == 0 || len(content) > limits.Receive) {
			t.Errorf("%d commits, want 1", commits)
		}
		if confirmed, total := s.Progress(); confirmed != len(content) || total != len(content) {
			t.Errorf("progress %d of %d, want all of %d", confirmed, total, len(content))
		}
	})
}

// script plays a transfer against answers that are given: what the Sender does
// stands as text, one line a step.
func script(t *testing.T, f osdp.File, limits osdp.SendLimits, answers ...osdp.Reply) (*osdp.Sender, string) {
	t.Helper()
	s, err := osdp.NewSender(f, limits)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1000, 0)
	var log strings.Builder
	for _, a := range answers {
		c, wait, ok := s.Next(now)
		for ok && wait > 0 {
			fmt.Fprintf(&log, "wait %v\n", wait)
			now = now.Add(wait)
			c, wait, ok = s.Next(now)
		}
		if !ok {
			break
		}
		fmt.Fprintf(&log, "%d+%d\n", c.Offset, len(c.Data))
		s.Answer(now, a)
		if s.WantsPoll() {
			log.WriteString("poll\n")
			s.Polled()
		}
	}
	fmt.Fprintf(&log, "%v", s.State())
	return s, log.String()
}

func TestSender(t *testing.T) {
	const ok, processed, rebooting, finishing = osdp.FTOK, osdp.FTProcessed, osdp.FTRebooting, osdp.FTFinishing
	st := func(status int16) osdp.FTSTAT { return osdp.FTSTAT{Status: status} }
	for _, tt := range []struct {
		name    string
		answers []osdp.Reply
		want    string
		err     error
		abort   bool // the panel gave up, not the PD
		early   bool
	}{
		{"two fragments", []osdp.Reply{st(ok), st(processed)}, "0+60 60+40 done", nil, false, false},
		{"delay", []osdp.Reply{osdp.FTSTAT{Delay: 300 * time.Millisecond}, st(processed)}, "0+60 wait_300ms 60+40 done", nil, false, false},
		{"poll first", []osdp.Reply{osdp.FTSTAT{Action: osdp.FTPollFirst}, st(processed)}, "0+60 poll 60+40 done", nil, false, false},
		{"poll each time", []osdp.Reply{osdp.FTSTAT{Action: osdp.FTPollFirst}, osdp.FTSTAT{Action: osdp.FTPollFirst, Status: finishing}, st(processed)},
			"0+60 poll 60+40 poll wait_50ms 100+0 done", nil, false, false},
		{"busy", []osdp.Reply{osdp.BUSY{}, st(ok), osdp.BUSY{}, st(processed)}, "0+60 0+60 60+40 60+40 done", nil, false, false},
		{"done early", []osdp.Reply{st(processed)}, "0+60 done", nil, false, true},
		{"reboot", []osdp.Reply{st(ok), st(rebooting)}, "0+60 60+40 rebooting", nil, false, false},
		{"reboot early", []osdp.Reply{st(rebooting)}, "0+60 rebooting", nil, false, true},
		{"finishing", []osdp.Reply{st(ok), st(finishing), osdp.FTSTAT{Status: finishing, Delay: time.Second}, st(processed)},
			"0+60 60+40 wait_50ms 100+0 wait_1s 100+0 done", nil, false, false},
		{"finishing early", []osdp.Reply{st(finishing), st(processed)}, "0+60 wait_50ms 100+0 done", nil, false, true},
		{"finishing, then not", []osdp.Reply{st(finishing), st(ok), st(processed)}, "0+60 wait_50ms 100+0 60+40 done", nil, false, false},
		{"all there and no word of it", []osdp.Reply{st(ok), st(ok), st(ok), st(processed)}, "0+60 60+40 wait_50ms 100+0 wait_50ms 100+0 done", nil, false, false},
		{"smaller from now on", []osdp.Reply{osdp.FTSTAT{UpdateMax: 49}, st(ok), st(processed)}, "0+60 60+30 90+10 done", nil, false, false},
		{"larger than it can", []osdp.Reply{osdp.FTSTAT{UpdateMax: 9999}, st(processed)}, "0+60 60+40 done", nil, false, false},
		{"so small that it means the fragment", []osdp.Reply{osdp.FTSTAT{UpdateMax: 16}, st(ok), st(ok), st(processed)}, "0+60 60+16 76+16 92+8 done", nil, false, false},

		{"unsupported", []osdp.Reply{osdp.NAK{Reason: osdp.NAKUnknown}}, "0+60 failed", osdp.ErrFileUnsupported, false, false},
		{"rejected", []osdp.Reply{osdp.NAK{Reason: osdp.NAKRecord}}, "0+60 failed", osdp.ErrFileRejected, false, false},
		{"rejected later", []osdp.Reply{st(ok), osdp.NAK{Reason: osdp.NAKLength}}, "0+60 60+40 failed", osdp.ErrFileRejected, true, false},
		{"ACK", []osdp.Reply{osdp.ACK{}}, "0+60 failed", osdp.ErrFileRejected, true, false},
		{"garbled status", []osdp.Reply{osdp.RawReply{Op: osdp.CodeFTSTAT, Data: []byte{1}}}, "0+60 failed", osdp.ErrFileRejected, true, false},
		{"leaves the secure channel", []osdp.Reply{osdp.FTSTAT{Action: osdp.FTLeaveSC}}, "0+60 failed", osdp.ErrLeaveSC, true, false},
		{"leaves it when done", []osdp.Reply{osdp.FTSTAT{Action: osdp.FTLeaveSC, Status: processed}}, "0+60 done", nil, false, true},
		{"never finishes", []osdp.Reply{st(ok), osdp.FTSTAT{Status: finishing, Delay: 50 * time.Second}, osdp.FTSTAT{Status: finishing, Delay: 50 * time.Second}, st(processed)},
			"0+60 60+40 wait_50s 100+0 wait_10s failed", osdp.ErrFileStuck, true, false},
	} {
		s, got := script(t, osdp.File{Type: 1, Content: make([]byte, 100)}, osdp.SendLimits{Receive: 256, Secure: true, MaxFragment: 60}, tt.answers...)
		if tt.name == "smaller from now on" || strings.HasPrefix(tt.name, "so small") {
			s, got = script(t, osdp.File{Type: 1, Content: make([]byte, 100)}, osdp.SendLimits{Receive: 256, MaxFragment: 60}, tt.answers...)
		}
		if got = strings.Join(strings.FieldsFunc(strings.ReplaceAll(got, " ", "_"), func(r rune) bool { return r == '\n' }), " "); got != tt.want {
			t.Errorf("%s: %s\nwant %s", tt.name, got, tt.want)
		}
		if !errors.Is(s.Err(), tt.err) || s.NeedsAbort() != tt.abort || s.Early() != tt.early {
			t.Errorf("%s: error %v, abort %v, early %v; want %v, %v, %v", tt.name, s.Err(), s.NeedsAbort(), s.Early(), tt.err, tt.abort, tt.early)
		}
		if _, _, ok := s.Next(time.Unix(5000, 0)); ok {
			t.Errorf("%s: still sends", tt.name)
		}
		if before := s.State(); s.Answer(time.Unix(5000, 0), st(osdp.FTAbort)) != before || s.Cancel() != before || s.Lost() != before {
			t.Errorf("%s: %v became %v", tt.name, before, s.State())
		}
	}
}

// TestSenderStatuses: each failure that the PD tells of says what and where.
func TestSenderStatuses(t *testing.T) {
	for _, tt := range []struct {
		status int16
		text   string
		abort  bool
	}{
		{osdp.FTAbort, "osdp: file failed at 60 of 100 bytes: the PD gives up", false},
		{osdp.FTUnrecognised, "osdp: file failed at 60 of 100 bytes: not a file that it takes", false},
		{osdp.FTMalformed, "osdp: file failed at 60 of 100 bytes: the file is bad", false},
		{-9, "osdp: file failed at 60 of 100 bytes: status -9", false},
		{4, "osdp: file failed at 100 of 100 bytes: status 4", true}, // it took the bytes, whatever it means
	} {
		s, got := script(t, osdp.File{Type: 1, Content: make([]byte, 100)}, osdp.SendLimits{Receive: 256, MaxFragment: 60},
			osdp.FTSTAT{}, osdp.FTSTAT{Status: tt.status})
		fail, ok := errors.AsType[*osdp.FileError](s.Err())
		if !ok || fail.Status != tt.status || s.Err().Error() != tt.text || s.NeedsAbort() != tt.abort {
			t.Errorf("status %d: %s, %v, abort %v; want %q, %v", tt.status, got, s.Err(), s.NeedsAbort(), tt.text, tt.abort)
		}
	}
}

// TestLeaveSC: only a file that may goes on in clear, and one with credentials
// never does.
func TestLeaveSC(t *testing.T) {
	leave := osdp.FTSTAT{Action: osdp.FTLeaveSC}
	content := make([]byte, 500)
	for _, tt := range []struct {
		name   string
		file   osdp.File
		secure bool
		want   string
		clear  bool
	}{
		{"may", osdp.File{LeaveSC: true}, true, "0+228 228+237 465+35 finishing", true},
		{"may not", osdp.File{}, true, "0+228 failed", false},
		{"credentials", osdp.File{LeaveSC: true, Credentials: true}, true, "0+228 failed", false},
		{"was never in", osdp.File{Credentials: true}, false, "0+237 237+237 474+26 finishing", false},
	} {
		tt.file.Content = content
		s, got := script(t, tt.file, osdp.SendLimits{Receive: 256, Secure: tt.secure}, leave, leave, leave)
		if got = strings.ReplaceAll(got, "\n", " "); got != tt.want || s.InClear() != tt.clear {
			t.Errorf("%s: %s, in clear %v; want %s, %v", tt.name, got, s.InClear(), tt.want, tt.clear)
		}
		s.Cancel()
		if s.InClear() {
			t.Errorf("%s: in clear after the end", tt.name)
		}
	}
}

func TestSenderBetweenFragments(t *testing.T) {
	now := time.Unix(1000, 0)
	s, err := osdp.NewSender(osdp.File{Content: make([]byte, 100)}, osdp.SendLimits{Receive: 256, MaxFragment: 10})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name             string
		do               func()
		interleave, poll bool
		confirmed        int
	}{
		{"before", func() {}, true, false, 0},
		{"other reply before", func() { s.Answer(now, osdp.NAK{Reason: osdp.NAKRecord}) }, true, false, 0},
		{"first goes out", func() { s.Next(now) }, false, false, 0},
		{"PD keeps the line", func() { s.Answer(now, osdp.FTSTAT{}) }, false, false, 10},
		{"second goes out", func() { s.Next(now) }, false, false, 10},
		{"PD lets others in", func() { s.Answer(now, osdp.FTSTAT{Action: osdp.FTInterleave | osdp.FTPollFirst}) }, true, true, 20},
		{"reply to the POLL", func() { s.Answer(now, osdp.ACK{}) }, true, true, 20},
		{"status to the POLL", func() { s.Answer(now, osdp.FTSTAT{Action: osdp.FTPollFirst, Delay: time.Second}) }, false, true, 20},
		{"polled", func() { s.Polled() }, false, false, 20},
		{"lost", func() { s.Next(now.Add(time.Second)); s.Lost() }, true, false, 20},
	} {
		step.do()
		confirmed, total := s.Progress()
		if s.MayInterleave() != step.interleave || s.WantsPoll() != step.poll || confirmed != step.confirmed || total != 100 {
			t.Errorf("%s: interleave %v, poll %v, %d of %d; want %v, %v, %d of 100",
				step.name, s.MayInterleave(), s.WantsPoll(), confirmed, total, step.interleave, step.poll, step.confirmed)
		}
	}
	if !errors.Is(s.Err(), osdp.ErrFileLost) || !s.NeedsAbort() {
		t.Errorf("error %v, abort %v", s.Err(), s.NeedsAbort())
	}
	if err := s.Restart(osdp.SendLimits{Receive: 19}); !errors.Is(err, osdp.ErrFileSize) {
		t.Errorf("restart for a PD that takes nothing: %v, want ErrFileSize", err)
	}
	if err := s.Restart(osdp.SendLimits{Receive: 128}); err != nil || s.Err() != nil || s.NeedsAbort() {
		t.Errorf("restart: %v, %v", err, s.Err())
	}
	if f, _, ok := s.Next(now); !ok || f.Offset != 0 || len(f.Data) != 100 {
		t.Errorf("after the restart %v, %v; want all from 0", f, ok)
	}
	if s.Cancel() != osdp.FileFailed || !errors.Is(s.Err(), osdp.ErrFileCancelled) || !s.NeedsAbort() {
		t.Errorf("cancelled: %v, %v", s, s.Err())
	}
}

// TestSenderKeepsTheLinkUp: a fragment without data goes after each Quiet of a
// long delay at a PD that hears nothing else. It stands where the next data will,
// a refusal of it is none of the file, and the answer to it can bring the next
// fragment nearer but not put it off.
func TestSenderKeepsTheLinkUp(t *testing.T) {
	limits := osdp.SendLimits{Receive: 256, MaxFragment: 60, Quiet: 6 * time.Second}
	content := osdp.File{Content: make([]byte, 100)}
	slow := osdp.FTSTAT{Delay: 14 * time.Second}
	for _, tt := range []struct {
		name    string
		answers []osdp.Reply
		want    string
	}{
		{"the same delay each time", []osdp.Reply{slow, slow, slow, osdp.FTSTAT{Status: osdp.FTProcessed}},
			"0+60\nwait 6s\n60+0\nwait 6s\n60+0\nwait 2s\n60+40\ndone"},
		{"ready sooner", []osdp.Reply{slow, osdp.FTSTAT{Delay: time.Second}, osdp.FTSTAT{Status: osdp.FTProcessed}},
			"0+60\nwait 6s\n60+0\nwait 1s\n60+40\ndone"},
		{"refused", []osdp.Reply{slow, osdp.NAK{Reason: osdp.NAKRecord}, osdp.ACK{}, osdp.FTSTAT{Status: osdp.FTProcessed}},
			"0+60\nwait 6s\n60+0\nwait 6s\n60+0\nwait 2s\n60+40\ndone"},
		{"polls go in between", []osdp.Reply{osdp.FTSTAT{Delay: 14 * time.Second, Action: osdp.FTInterleave}, osdp.FTSTAT{Status: osdp.FTProcessed}},
			"0+60\nwait 14s\n60+40\ndone"},
		{"finishing", []osdp.Reply{osdp.FTSTAT{}, osdp.FTSTAT{Status: osdp.FTFinishing, Delay: 14 * time.Second}, osdp.FTSTAT{Status: osdp.FTProcessed}},
			"0+60\n60+40\nwait 6s\n100+0\ndone"},
	} {
		s, got := script(t, content, limits, tt.answers...)
		if got != tt.want {
			t.Errorf("%s: %v:\n%s\nwant\n%s", tt.name, s.Err(), got, tt.want)
		}
	}
}

// TestRecordedReceivers gives the recorded fragments to a Receiver, which
// answers as OSDP-Embedded's does; libosdp's takes files with holes.
func TestRecordedReceivers(t *testing.T) {
	seen := 0
	for _, v := range vectors(t) {
		if !strings.HasPrefix(v.Name, "pd-embedded/file/") {
			continue
		}
		pd := osdp.NewReceiver(osdp.ReceiverOptions{Limit: 1000})
		for i, step := range v.Steps {
			b, _ := hex.DecodeString(step.Command)
			_, cmd, err := parseOne(b)
			if err != nil || cmd.SCBType != 0 {
				continue
			}
			c := osdp.ParseCommand(cmd.Code, cmd.Data)
			if _, ok := c.(osdp.ABORT); ok {
				pd.Abort()
			}
			f, ok := c.(osdp.FILETRANSFER)
			if !ok {
				continue
			}
			b, _ = hex.DecodeString(step.Reply)
			_, reply, err := parseOne(b)
			if err != nil {
				t.Fatal(err)
			}
			seen++
			if got, want := pd.Take(f), osdp.ParseReply(reply.Code, reply.Data); got != want {
				t.Errorf("%s step %d: %+v, want %+v", v.Name, i, got, want)
			}
		}
	}
	if seen != 15 {
		t.Errorf("%d fragments, want 15", seen)
	}
}

// TestRecordedSenders gives the answers of recorded transfers to a Sender: it
// sends what libosdp's panel sent, cut at the same places.
func TestRecordedSenders(t *testing.T) {
	for name, size := range map[string]int{"file-plain-500": 0xdf, "file-sc-500": 0xdd, "file-finishing": 0xdf} {
		var commands []osdp.FILETRANSFER
		var answers []osdp.Reply
		for _, v := range vectors(t) {
			if v.Name != name {
				continue
			}
			for _, f := range v.Frames {
				code, _ := hex.DecodeString(f.Code)
				plain, _ := hex.DecodeString(f.Plain)
				if f.Dir == "cp>pd" && code[0] == osdp.CodeFILETRANSFER {
					commands = append(commands, osdp.ParseCommand(code[0], plain).(osdp.FILETRANSFER))
				} else if f.Dir == "pd>cp" && code[0] == osdp.CodeFTSTAT {
					answers = append(answers, osdp.ParseReply(code[0], plain))
				}
			}
		}
		if len(commands) < 3 || len(commands) != len(answers) {
			t.Fatalf("%s: %d fragments and %d answers", name, len(commands), len(answers))
		}
		var content []byte
		for _, c := range commands {
			content = append(content, c.Data...)
		}
		s, err := osdp.NewSender(osdp.File{Type: commands[0].Type, Content: content}, osdp.SendLimits{Receive: 256, MaxFragment: size})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Unix(0, 0)
		for i, want := range commands {
			got, wait, _ := s.Next(now)
			if wait > 0 {
				now = now.Add(wait)
				got, _, _ = s.Next(now)
			}
			if got.Type != want.Type || got.Total != want.Total || got.Offset != want.Offset || !bytes.Equal(got.Data, want.Data) {
				t.Errorf("%s fragment %d: %v, want %v", name, i, got, want)
			}
			s.Answer(now, answers[i])
		}
		if s.State() != osdp.FileDone {
			t.Errorf("%s: %v", name, s)
		}
	}
}

func TestReceiver(t *testing.T) {
	type fragment struct {
		kind          uint8
		total, offset uint32
		data          string
	}
	for _, tt := range []struct {
		name  string
		parts []fragment
		want  string // statuses
		files string // what was committed
	}{
		{"one fragment", []fragment{{1, 3, 0, "abc"}}, "1", "abc"},
		{"two", []fragment{{1, 5, 0, "abc"}, {1, 5, 3, "de"}}, "0 1", "abcde"},
		{"last repeated", []fragment{{1, 5, 0, "abc"}, {1, 5, 3, "de"}, {1, 5, 3, "de"}}, "0 1 1", "abcde"},
		{"middle repeated", []fragment{{1, 6, 0, "ab"}, {1, 6, 2, "cd"}, {1, 6, 2, "cd"}, {1, 6, 4, "ef"}}, "0 0 0 1", "abcdef"},
		{"first repeated", []fragment{{1, 4, 0, "ab"}, {1, 4, 0, "ab"}, {1, 4, 2, "cd"}}, "0 0 1", "abcd"},
		{"starts anew", []fragment{{1, 4, 0, "ab"}, {1, 4, 0, "xyz"}, {1, 4, 3, "!"}}, "0 0 1", "xyz!"},
		{"starts anew as another", []fragment{{1, 9, 0, "ab"}, {3, 2, 0, "xy"}}, "0 1", "xy"},
		{"sent again", []fragment{{1, 2, 0, "ab"}, {1, 2, 0, "ab"}}, "1 1", "ab ab"},
		{"no bytes", []fragment{{1, 0, 0, ""}, {1, 0, 0, ""}}, "1 1", ""},
		{"idle before", []fragment{{1, 2, 0, ""}, {1, 2, 0, "ab"}}, "0 1", "ab"},
		{"idle between", []fragment{{1, 2, 0, "a"}, {1, 2, 1, ""}, {1, 2, 1, "b"}}, "0 0 1", "ab"},
		{"idle after", []fragment{{1, 2, 0, "ab"}, {1, 2, 2, ""}, {1, 2, 2, ""}}, "1 1 1", "ab"},
		{"gap", []fragment{{1, 5, 0, "ab"}, {1, 5, 3, "de"}, {1, 5, 2, "cde"}}, "0 -1 -1", ""},
		{"gap without bytes", []fragment{{1, 5, 0, "ab"}, {1, 5, 4, ""}}, "0 -1", ""},
		{"overlap", []fragment{{1, 5, 0, "ab"}, {1, 5, 1, "bc"}}, "0 -1", ""},
		{"repeat that differs", []fragment{{1, 9, 0, "ab"}, {1, 9, 2, "cd"}, {1, 9, 2, "ce"}}, "0 0 -1", ""},
		{"starts in the middle", []fragment{{1, 5, 2, "cde"}}, "-1", ""},
		{"other type", []fragment{{1, 5, 0, "ab"}, {2, 5, 2, "cde"}}, "0 -1", ""},
		{"other length", []fragment{{1, 5, 0, "ab"}, {1, 4, 2, "cd"}}, "0 -1", ""},
		{"too long", []fragment{{1, 11, 0, "ab"}}, "-3", ""},
		{"longest", []fragment{{1, 10, 0, "0123456789"}}, "1", "0123456789"},
		{"past its end", []fragment{{1, 2, 0, "abc"}}, "-3", ""},
		{"past all numbers", []fragment{{1, 2, 0xffffffff, "abc"}}, "-3", ""},
		{"of no type", []fragment{{9, 2, 0, "ab"}}, "-2", ""},
	} {
		var files [][]byte
		pd := osdp.NewReceiver(osdp.ReceiverOptions{
			Limit: 10, Accept: func(kind uint8) bool { return kind != 9 },
			Commit: func(f osdp.File) int16 { files = append(files, f.Content); return osdp.FTProcessed },
		})
		var got []string
		for _, p := range tt.parts {
			got = append(got, fmt.Sprint(pd.Take(osdp.FILETRANSFER{Type: p.kind, Total: p.total, Offset: p.offset, Data: []byte(p.data)}).Status))
		}
		pd.Abort() // what was committed stays
		if g, f := strings.Join(got, " "), string(bytes.Join(files, []byte(" "))); g != tt.want || f != tt.files {
			t.Errorf("%s: %s and files %q, want %s and %q", tt.name, g, f, tt.want, tt.files)
		}
	}
}

// TestReceiverFinishes: a PD that takes its time answers so until it is done,
// to a repeat of the last fragment too, and commits once.
func TestReceiverFinishes(t *testing.T) {
	for _, outcome := range []int16{osdp.FTProcessed, osdp.FTRebooting, osdp.FTMalformed} {
		commits := 0
		pd := osdp.NewReceiver(osdp.ReceiverOptions{Limit: 10, Action: osdp.FTInterleave, Delay: time.Second, UpdateMax: 99,
			Commit: func(osdp.File) int16 { commits++; return osdp.FTFinishing }})
		last, idle := osdp.FILETRANSFER{Total: 2, Data: []byte("ab")}, osdp.FILETRANSFER{Total: 2, Offset: 2}
		answer := func(f osdp.FILETRANSFER, status int16) {
			t.Helper()
			if got, want := pd.Take(f), (osdp.FTSTAT{Action: osdp.FTInterleave, Delay: time.Second, Status: status, UpdateMax: 99}); got != want {
				t.Errorf("%v: %+v, want %+v", f, got, want)
			}
		}
		pd.Finish(outcome) // of nothing
		answer(last, osdp.FTFinishing)
		answer(idle, osdp.FTFinishing)
		answer(last, osdp.FTFinishing)
		if have, total := pd.Progress(); have != 2 || total != 2 || commits != 1 {
			t.Errorf("%d of %d bytes, %d commits", have, total, commits)
		}
		pd.Finish(outcome)
		pd.Finish(osdp.FTAbort) // once is enough
		answer(idle, outcome)
		if outcome > 0 {
			answer(idle, outcome)
		}
		pd.Abort()
		if have, total := pd.Progress(); have != 0 || total != 0 {
			t.Errorf("%d of %d bytes after ABORT", have, total)
		}
		answer(idle, osdp.FTAbort)
	}
}

// FuzzReceiver feeds fragments from bytes and holds what is committed against
// the bytes that were taken since the last start.
func FuzzReceiver(f *testing.F) {
	f.Add([]byte{1, 5, 0, 3, 'a', 'b', 'c', 1, 5, 3, 2, 'd', 'e', 1, 5, 3, 2, 'd', 'e', 1, 5, 5, 0}, false)
	f.Add([]byte{1, 5, 0, 3, 'a', 'b', 'c', 1, 5, 4, 1, 'e', 1, 5, 3, 2, 'd', 'e'}, true)
	f.Fuzz(func(t *testing.T, script []byte, finishing bool) {
		const limit = 100
		var taken []byte
		pd := osdp.NewReceiver(osdp.ReceiverOptions{Limit: limit, Accept: func(kind uint8) bool { return kind != 9 },
			Commit: func(f osdp.File) int16 {
				taken = f.Content
				if finishing {
					return osdp.FTFinishing
				}
				return osdp.FTProcessed
			}})
		var model []byte
		for len(script) >= 4 {
			c := osdp.FILETRANSFER{Type: script[0], Total: uint32(script[1]), Offset: uint32(script[2])}
			n := int(script[3]) % 16
			script = script[4:]
			c.Data = script[:min(n, len(script))]
			script = script[len(c.Data):]
			taken = nil
			before, _ := pd.Progress()
			r := pd.Take(c)
			after, total := pd.Progress()
			switch {
			case r.Status < osdp.FTOK:
				model = nil
			case c.Offset == 0 && after == len(c.Data): // started, or the same again
				model = append(model[:0:0], c.Data...)
			case after > before:
				model = append(model, c.Data...)
			}
			if after != len(model) || after > limit || after > total {
				t.Fatalf("%v: %+v holds %d of %d bytes, want %d", c, r, after, total, len(model))
			}
			if taken != nil && !bytes.Equal(taken, model) {
				t.Fatalf("%v: committed %x, want %x", c, taken, model)
			}
		}
	})
}
