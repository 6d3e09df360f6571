package osdp_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"latchkey/osdp"
)

// A fileBench is a Bus that sends a file to a lock with a Receiver.
type fileBench struct {
	*keyed
	r        *osdp.Receiver
	got      []osdp.File
	commands []byte        // codes, in their order
	inClear  []byte        // codes of commands in the clear while a file was on its way
	polls    []time.Time   // of the lock
	air      time.Duration // of one byte
	result   error
	ended    bool
}

func newFileBench(t *testing.T, cfg osdp.PDConfig, opt osdp.ReceiverOptions, others ...osdp.PDConfig) *fileBench {
	l := newLock(t, keyA)
	l.caps = append(l.caps, osdp.Capability{Function: osdp.CapReceive, Compliance: 0xa0, Number: 5})
	b := &fileBench{air: 10 * time.Second / 115200}
	opt.Limit = 1 << 20
	if opt.Commit == nil {
		opt.Commit = func(f osdp.File) int16 { b.got = append(b.got, f); return osdp.FTProcessed }
	}
	b.r = osdp.NewReceiver(opt)
	l.file = b.r
	l.t = t
	cfg.Addr = 5
	b.keyed = &keyed{hand: newHandOf(t, osdp.Options{Rand: rand.NewChaCha8([32]byte{4}), Baud: 115200}, append([]osdp.PDConfig{cfg}, others...)...), l: l}
	for b.stats().Polls < 2 {
		b.exchange()
	}
	b.commands, b.polls = nil, nil
	return b
}

// exchange does one exchange, which takes as long as its bytes are in the air
// and 2 ms for the PD. PDs other than the lock answer as simple ones do.
func (b *fileBench) exchange() osdp.Frame {
	b.t.Helper()
	f := b.nextAny()
	b.now = b.now.Add(time.Duration(len(b.wire)) * b.air)
	if f.Addr != 5 {
		b.answer(f, plain(f))
		return f
	}
	b.commands = append(b.commands, f.Code)
	if f.Code == osdp.CodePOLL {
		b.polls = append(b.polls, b.now)
	}
	if f.SCBType == 0 {
		b.inClear = append(b.inClear, f.Code)
	}
	r := b.l.answer(f)
	b.now = b.now.Add(2*time.Millisecond + time.Duration(r.Len())*b.air)
	if evs, _ := b.bus.Answer(b.now, r); slices.ContainsFunc(evs, func(e osdp.Event) bool { return e.Kind == osdp.Other }) {
		b.t.Errorf("%v: events %v", f, evs)
	}
	return f
}

func (b *fileBench) send(f osdp.File) {
	b.t.Helper()
	b.inClear = nil
	if err := b.bus.SendFile(b.now, 5, f, nil, func(err error) { b.result, b.ended = err, true }); err != nil {
		b.t.Fatal(err)
	}
}

// run goes on until the file has ended.
func (b *fileBench) run(most time.Duration) {
	b.t.Helper()
	for end := b.now.Add(most); !b.ended; {
		if b.now.After(end) {
			b.t.Fatalf("the file has not ended after %v: %d commands", most, len(b.commands))
		}
		b.exchange()
	}
}

func content(n int) []byte {
	c := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(c)
	return c
}

// TestFileBesidePolls sends 100 kB: all of it comes, and while it does the PD
// and its neighbour are polled every 100 ms.
func TestFileBesidePolls(t *testing.T) {
	for _, cfg := range []osdp.PDConfig{{Keys: osdp.Keys{Current: &keyA}}, {Security: osdp.AllowClear}} {
		b := newFileBench(t, cfg, osdp.ReceiverOptions{Action: osdp.FTInterleave}, osdp.PDConfig{Addr: 6, Security: osdp.AllowClear})
		var progress []int
		f := osdp.File{Type: osdp.FileOpaque, Content: content(100_000)}
		if err := b.bus.SendFile(b.now, 5, f, func(n, total int) { progress = append(progress, n) }, func(err error) { b.result, b.ended = err, true }); err != nil {
			t.Fatal(err)
		}
		if err := b.bus.SendFile(b.now, 5, f, nil, nil); !errors.Is(err, osdp.ErrFileBusy) {
			t.Errorf("a second file: %v", err)
		}
		start := b.now
		b.run(time.Minute)
		if b.result != nil || len(b.got) != 1 || !bytes.Equal(b.got[0].Content, f.Content) {
			t.Fatalf("%v, %d files", b.result, len(b.got))
		}
		if last := progress[len(progress)-1]; last != 100_000 || len(progress) < 100 {
			t.Errorf("progress: %d steps, the last %d", len(progress), last)
		}
		for _, s := range b.bus.Stats() {
			if s.WorstPollGap > 100*time.Millisecond {
				t.Errorf("PD %d: %v between two polls", s.Addr, s.WorstPollGap)
			}
		}
		t.Logf("100 kB in %v, %d polls meanwhile, worst gaps %v and %v", b.now.Sub(start), len(b.polls), b.bus.Stats()[0].WorstPollGap, b.bus.Stats()[1].WorstPollGap)
	}
}

// TestPollsBesideManyFiles: files to many PDs at once take no more from the polls
// than one does.
func TestPollsBesideManyFiles(t *testing.T) {
	for _, n := range []int{2, 4, 8} {
		var pds []osdp.PDConfig
		files := map[uint8]*osdp.Receiver{}
		for addr := uint8(1); int(addr) <= n; addr++ {
			pds = append(pds, osdp.PDConfig{Addr: addr, Security: osdp.AllowClear})
			files[addr] = osdp.NewReceiver(osdp.ReceiverOptions{Limit: 1 << 20, Action: osdp.FTInterleave})
		}
		h := newHandOf(t, osdp.Options{Baud: 115200}, pds...)
		polled := map[uint8]time.Time{}
		worst := time.Duration(0)
		exchange := func() {
			f := h.nextAny()
			r := plain(f)
			switch f.Code {
			case osdp.CodePOLL:
				worst = max(worst, h.now.Sub(polled[f.Addr]))
				polled[f.Addr] = h.now
			case osdp.CodeCAP:
				r = osdp.PDCAP{{Function: osdp.CapCheck, Compliance: 1}, {Function: osdp.CapReceive, Compliance: 0xa0, Number: 5}}
			case osdp.CodeFILETRANSFER:
				r = files[f.Addr].Take(osdp.ParseCommand(f.Code, f.Data).(osdp.FILETRANSFER))
			}
			h.now = h.now.Add(time.Duration(len(h.wire)) * 10 * time.Second / 115200)
			h.answer(f, r)
		}
		for range 40 * n {
			exchange()
		}
		worst = 0
		ended := 0
		for addr := range files {
			if err := h.bus.SendFile(h.now, addr, osdp.File{Type: 1, Content: content(20_000)}, nil, func(error) { ended++ }); err != nil {
				t.Fatal(err)
			}
		}
		start := h.now
		for ended < n {
			exchange()
		}
		if most := 90 * time.Millisecond; worst > most {
			t.Errorf("%d files: %v between two polls, want %v at most", n, worst, most)
		}
		t.Logf("%d files in %v, worst gap %v", n, h.now.Sub(start), worst)
	}
}

// TestPollsBesideAFileOnASlowLine: 9600 baud can poll one PD every 100 ms while it
// gets a file, in a channel too.
func TestPollsBesideAFileOnASlowLine(t *testing.T) {
	for _, cfg := range []osdp.PDConfig{{Addr: 5, Keys: osdp.Keys{Current: &keyA}}, {Addr: 5, Security: osdp.AllowClear}} {
		b := newFileBench(t, cfg, osdp.ReceiverOptions{Action: osdp.FTInterleave})
		b.air = 10 * time.Second / 9600
		b.keyed.hand = newHandOf(t, osdp.Options{Rand: rand.NewChaCha8([32]byte{4})}, cfg)
		for b.stats().Polls < 2 {
			b.exchange()
		}
		b.polls = nil
		b.send(osdp.File{Type: 1, Content: content(1000)})
		b.run(time.Minute)
		worst := time.Duration(0)
		for i, at := range b.polls[1:] {
			worst = max(worst, at.Sub(b.polls[i]))
		}
		if worst > 100*time.Millisecond || b.result != nil {
			t.Errorf("security %d: %v; %v between two polls", cfg.Security, b.result, worst)
		}
	}
}

// TestFileAlone: a PD that allows nothing between fragments gets nothing else,
// but for a command that cannot wait; then the file begins anew.
func TestFileAlone(t *testing.T) {
	b := newFileBench(t, osdp.PDConfig{Keys: osdp.Keys{Current: &keyA}}, osdp.ReceiverOptions{})
	f := osdp.File{Type: osdp.FilePrivate, Content: content(5000), Credentials: true}
	b.send(f)
	for range 5 {
		b.exchange()
	}
	opened := false
	if _, err := b.bus.Submit(b.now, 5, []osdp.Command{osdp.OUT{{Action: osdp.OutputOnFor, Timer: time.Second}}}, func(_ []osdp.Reply, err error) { opened = err == nil }); err != nil {
		t.Fatal(err)
	}
	before := b.now
	for !opened {
		b.exchange()
	}
	if took := b.now.Sub(before); took > 20*time.Millisecond { // a fragment, ABORT, OUT
		t.Errorf("the door opened after %v", took)
	}
	b.run(time.Minute)
	if b.result != nil || len(b.got) != 1 || !bytes.Equal(b.got[0].Content, f.Content) {
		t.Fatalf("%v, %d files", b.result, len(b.got))
	}
	others := bytes.ReplaceAll(b.commands, []byte{osdp.CodeFILETRANSFER}, nil)
	if want := []byte{osdp.CodeABORT, osdp.CodeOUT}; !bytes.Equal(bytes.Trim(others, "\x60"), want) || bytes.Count(others, []byte{osdp.CodePOLL}) > 2 {
		t.Errorf("besides fragments: % x, want ABORT and OUT", others)
	}

	b.ended = false
	b.send(f)
	for !b.ended { // a door that never rests
		b.bus.Submit(b.now, 5, []osdp.Command{osdp.BUZ{}}, func([]osdp.Reply, error) {})
		for range 5 {
			b.exchange()
		}
	}
	if !errors.Is(b.result, osdp.ErrFileInterrupted) {
		t.Errorf("interrupted again and again: %v", b.result)
	}
}

// TestPollFirst fetches the reply that the PD holds, once, and goes on, though
// the PD allows nothing else between fragments.
func TestPollFirst(t *testing.T) {
	for _, action := range []uint8{osdp.FTPollFirst, osdp.FTInterleave | osdp.FTPollFirst} {
		b := newFileBench(t, osdp.PDConfig{Keys: osdp.Keys{Current: &keyA}}, osdp.ReceiverOptions{Action: action})
		b.send(osdp.File{Type: 1, Content: content(3000)})
		b.run(time.Minute)
		fragments := bytes.Count(b.commands, []byte{osdp.CodeFILETRANSFER})
		if polls := bytes.Count(b.commands, []byte{osdp.CodePOLL}); b.result != nil || len(b.got) != 1 || polls < fragments-1 || polls > fragments+1 {
			t.Errorf("action %d: %v: %d fragments, %d polls", action, b.result, fragments, polls)
		}
	}
}

// TestPollFirstInAPause: the delay is for the next fragment, the poll does not
// wait for it; there is one, though it fetched a card.
func TestPollFirstInAPause(t *testing.T) {
	b := newFileBench(t, osdp.PDConfig{Keys: osdp.Keys{Current: &keyA}}, osdp.ReceiverOptions{Action: osdp.FTPollFirst, Delay: 3 * time.Second})
	b.send(osdp.File{Type: 1, Content: content(400)})
	b.commands = nil
	b.l.poll = []osdp.Reply{osdp.RAW{Bits: 26, Data: []byte{1, 2, 3, 0x40}}}
	start := b.now
	b.run(time.Minute)
	if want := []byte{osdp.CodeFILETRANSFER, osdp.CodePOLL, osdp.CodeFILETRANSFER}; b.result != nil || !bytes.HasPrefix(bytes.TrimLeft(b.commands, "\x60"), want) {
		t.Errorf("%v: % x, want % x", b.result, b.commands, want)
	}
	for _, at := range b.polls {
		if at.Sub(start) > 200*time.Millisecond {
			t.Errorf("polled after %v", at.Sub(start))
		}
	}
}

// TestPDLeavesTheChannel: a PD that wants the file outside the channel gets it so only
// where the file allows it, credentials never do, and the channel is back
// before anything else is said.
func TestPDLeavesTheChannel(t *testing.T) {
	for _, tt := range []struct {
		f    osdp.File
		want error
	}{
		{osdp.File{Type: 3, Content: content(2000), LeaveSC: true}, nil},
		{osdp.File{Type: 3, Content: content(2000)}, osdp.ErrLeaveSC},
		{osdp.File{Type: 3, Content: content(2000), Credentials: true, LeaveSC: true}, osdp.ErrLeaveSC},
	} {
		b := newFileBench(t, osdp.PDConfig{Keys: osdp.Keys{Current: &keyA}}, osdp.ReceiverOptions{Action: osdp.FTInterleave | osdp.FTLeaveSC})
		b.send(tt.f)
		if tt.want == nil { // a command in the middle waits for the channel
			b.exchange()
			b.exchange()
			b.bus.Submit(b.now, 5, []osdp.Command{osdp.BUZ{}}, func([]osdp.Reply, error) {})
		}
		b.run(time.Minute)
		if !errors.Is(b.result, tt.want) || (len(b.got) == 1) != (tt.want == nil) {
			t.Errorf("%v: %v, %d files", tt.f, b.result, len(b.got))
		}
		for range 20 {
			b.exchange()
		}
		for _, c := range b.inClear {
			if c != osdp.CodeCHLNG && c != osdp.CodeSCRYPT && (c != osdp.CodeFILETRANSFER || tt.want != nil) {
				t.Errorf("%v: command 0x%02x in the clear", tt.f, c)
			}
		}
		if !b.stats().Secure {
			t.Error("no channel any more")
		}
		if !bytes.Contains(b.commands, []byte{osdp.CodeABORT}) {
			t.Errorf("%v: no ABORT", tt.f)
		}
	}
}

// TestNoClearCardBesideAFile: while a file goes outside the channel, nothing but
// the file does. What else comes in the clear is counted, and the answer awaited.
func TestNoClearCardBesideAFile(t *testing.T) {
	b := newFileBench(t, osdp.PDConfig{Keys: osdp.Keys{Current: &keyA}}, osdp.ReceiverOptions{Action: osdp.FTInterleave | osdp.FTLeaveSC | osdp.FTPollFirst})
	f := osdp.File{Type: osdp.FileDisplay, Content: content(20_000), LeaveSC: true}
	b.send(f)
	for range 6 {
		b.exchange()
	}
	forged := []osdp.Reply{
		osdp.RAW{Bits: 26, Data: []byte{1, 2, 3, 0x40}},
		osdp.KEYPAD{Keys: []byte("1")},
		osdp.LSTATR{Tamper: 1},
		osdp.ISTATR{1},
		osdp.ACK{},
		osdp.COM{Addr: 9, Baud: 9600},
	}
	q := b.nextAny()
	if q.SCBType != 0 || q.Code != osdp.CodeFILETRANSFER {
		t.Fatalf("%v, want a fragment in the clear", q)
	}
	for _, r := range forged {
		if evs, done := b.answer(q, r); done || len(evs) > 0 {
			t.Errorf("%T: %v, ended %v", r, evs, done)
		}
	}
	if n := b.stats().ClearReplies; n != uint64(len(forged)) {
		t.Errorf("%d clear replies counted, want %d", n, len(forged))
	}
	if _, done := b.bus.Answer(b.now, b.l.answer(q)); !done {
		t.Error("the true answer is not taken")
	}
	b.run(time.Minute)
	for range 10 {
		b.exchange()
	}
	if b.result != nil || len(b.got) != 1 || !b.stats().Secure || b.stats().Restarts > 0 {
		t.Errorf("%v, %d files; stats %+v", b.result, len(b.got), b.stats())
	}
	if bytes.Contains(b.inClear, []byte{osdp.CodePOLL}) {
		t.Errorf("polled in the clear: % x", b.inClear)
	}
}

// TestFileSurvivesAReboot begins anew when the PD has lost its session.
func TestFileSurvivesAReboot(t *testing.T) {
	b := newFileBench(t, osdp.PDConfig{Keys: osdp.Keys{Current: &keyA}}, osdp.ReceiverOptions{Action: osdp.FTInterleave})
	f := osdp.File{Type: 1, Content: content(20_000)}
	b.send(f)
	for range 20 {
		b.exchange()
	}
	b.l.session = nil
	b.r.Abort()
	b.run(time.Minute)
	if b.result != nil || len(b.got) != 1 || !bytes.Equal(b.got[0].Content, f.Content) {
		t.Errorf("%v, %d files", b.result, len(b.got))
	}
}

// TestFileOverManyLosses: losses of the session do not end a file that gets
// somewhere each time, but one that gets nowhere, or never past one place.
func TestFileOverManyLosses(t *testing.T) {
	for _, tt := range []struct {
		name      string
		fragments int // from one loss to the next
		losses    int // in all
		want      error
	}{
		{"ten losses, a part each time", 4, 10, nil},
		{"at once, each time", 0, 1000, osdp.ErrFileLost},
		{"at one place, each time", 4, 1000, osdp.ErrFileLost},
	} {
		b := newFileBench(t, osdp.PDConfig{Keys: osdp.Keys{Current: &keyA}}, osdp.ReceiverOptions{Action: osdp.FTInterleave})
		f := osdp.File{Type: 1, Content: content(5000)}
		b.send(f)
		losses := 0
		for fragments := 0; !b.ended && b.now.Sub(b.stats().Since) < 10*time.Minute; {
			q := b.nextAny()
			b.now = b.now.Add(3 * time.Millisecond)
			if q.Code == osdp.CodeFILETRANSFER && losses < tt.losses {
				if fragments++; fragments > tt.fragments {
					fragments, b.l.session = 0, nil
					losses++
				}
			}
			b.bus.Answer(b.now, b.l.answer(q))
		}
		if !b.ended || !errors.Is(b.result, tt.want) || (len(b.got) == 1) != (tt.want == nil) {
			t.Errorf("%s: ended %v after %d losses: %v, %d files; want %v", tt.name, b.ended, losses, b.result, len(b.got), tt.want)
		}
	}
}

// TestSilentRefusal: libosdp's PD says no to a file by saying nothing, and
// forgets its session. Everything else goes on.
func TestSilentRefusal(t *testing.T) {
	b := newFileBench(t, osdp.PDConfig{Keys: osdp.Keys{Current: &keyA}}, osdp.ReceiverOptions{})
	b.send(osdp.File{Type: 1, Content: content(500)})
	for end := b.now.Add(time.Minute); !b.ended && b.now.Before(end); {
		f := b.nextAny()
		if f.Code == osdp.CodeFILETRANSFER {
			b.l.session = nil
			b.silence()
			continue
		}
		b.now = b.now.Add(3 * time.Millisecond)
		b.bus.Answer(b.now, b.l.answer(f))
	}
	if !errors.Is(b.result, osdp.ErrFileLost) {
		t.Errorf("%v, want %v", b.result, osdp.ErrFileLost)
	}
	if s := b.stats(); !s.Online {
		t.Error("the PD is offline")
	}
}

// TestCancelledInSilence: cancelling a file that a PD refuses by silence has the
// PD asked whether it is there, as without that, and told to forget the file. It
// is never offline.
func TestCancelledInSilence(t *testing.T) {
	for _, after := range []int{1, 2, 5} { // fragments
		b := newFileBench(t, osdp.PDConfig{Keys: osdp.Keys{Current: &keyA}}, osdp.ReceiverOptions{})
		b.send(osdp.File{Type: 1, Content: content(500)})
		fragments := 0
		for end := b.now.Add(20 * time.Second); b.now.Before(end); {
			f := b.nextAny()
			if f.Code == osdp.CodeFILETRANSFER {
				if fragments++; fragments == after {
					b.bus.CancelFile(b.now, 5)
				}
				b.l.session = nil
				b.silence()
				continue
			}
			b.now = b.now.Add(3 * time.Millisecond)
			b.bus.Answer(b.now, b.l.answer(f))
		}
		s := b.stats()
		if !errors.Is(b.result, osdp.ErrFileCancelled) || fragments > 10 || !s.Online || !s.Secure || s.Restarts != 1 || !bytes.Contains(b.l.got, []byte{osdp.CodeABORT}) {
			t.Errorf("cancelled at fragment %d: %v; %d fragments, online %v, secure %v, %d restarts, told % x",
				after, b.result, fragments, s.Online, s.Secure, s.Restarts, b.l.got)
		}
	}
}

// TestCancelledForAnother: the PD's last word on a file that was cancelled is none
// on the next.
func TestCancelledForAnother(t *testing.T) {
	for _, silent := range []bool{false, true} {
		b := newFileBench(t, osdp.PDConfig{Keys: osdp.Keys{Current: &keyA}}, osdp.ReceiverOptions{Action: osdp.FTInterleave})
		b.send(osdp.File{Type: 1, Content: content(100)})
		f := b.nextAny()
		for ; f.Code != osdp.CodeFILETRANSFER; f = b.nextAny() {
			b.bus.Answer(b.now, b.l.answer(f))
		}
		b.bus.CancelFile(b.now, 5)
		b.ended, b.result = false, nil
		next := osdp.File{Type: 2, Content: content(700)}
		b.send(next)
		r := b.l.answer(f) // it has all of it
		for silent && f.Code == osdp.CodeFILETRANSFER {
			b.silence()
			f = b.nextAny()
		}
		if !silent {
			b.bus.Answer(b.now, r)
		}
		if b.ended {
			t.Fatalf("silent %v: the answer to another file ended it: %v", silent, b.result)
		}
		b.run(time.Minute)
		if b.result != nil || len(b.got) != 2 || !bytes.Equal(b.got[1].Content, next.Content) {
			t.Errorf("silent %v: %v, %d files", silent, b.result, len(b.got))
		}
	}
}

// TestLongPause: a PD that wants half a minute before the next fragment, and
// nothing else meanwhile, gets one without data before 8 s of silence are over. The
// file goes on after the half minute, not after the last of those, although the
// PD asks for as much again each time.
func TestLongPause(t *testing.T) {
	for _, action := range []uint8{0, osdp.FTLeaveSC} {
		b := newFileBench(t, osdp.PDConfig{Keys: osdp.Keys{Current: &keyA}}, osdp.ReceiverOptions{Action: action, Delay: 30 * time.Second})
		b.send(osdp.File{Type: 1, Content: content(400), LeaveSC: true})
		if b.exchange(); b.commands[len(b.commands)-1] == osdp.CodePOLL {
			b.exchange()
		}
		start, lost, kept := b.now, false, 0
		for at := b.now; !b.ended && b.now.Sub(start) < time.Minute; at = b.now {
			f := b.nextAny()
			if quiet := b.now.Sub(at); quiet > 6500*time.Millisecond {
				t.Fatalf("action %d: %v of silence", action, quiet)
			}
			if !lost {
				lost = true
				if evs := b.silence(); len(evs) > 0 {
					t.Errorf("action %d: one lost answer: %v", action, evs)
				}
				continue
			}
			kept++
			b.now = b.now.Add(3 * time.Millisecond)
			b.bus.Answer(b.now, b.l.answer(f))
		}
		took := b.now.Sub(start)
		if b.result != nil || len(b.got) != 1 || kept != 5 || took < 30*time.Second || took > 31*time.Second {
			t.Errorf("action %d: %v, %d files, after %v and %d fragments", action, b.result, len(b.got), took, kept)
		}
		if s := b.stats(); s.Restarts > 0 {
			t.Errorf("action %d: %d restarts", action, s.Restarts)
		}
	}
}

// TestPulledInAPause: a PD that is pulled while it has asked for half a minute is
// offline as soon as any other.
func TestPulledInAPause(t *testing.T) {
	b := newFileBench(t, osdp.PDConfig{Keys: osdp.Keys{Current: &keyA}}, osdp.ReceiverOptions{Delay: 30 * time.Second})
	b.send(osdp.File{Type: 1, Content: content(400)})
	if b.exchange(); b.commands[len(b.commands)-1] == osdp.CodePOLL {
		b.exchange()
	}
	for at := b.now; b.stats().Online; {
		b.nextAny()
		b.silence()
		if gone := b.now.Sub(at); gone > 8500*time.Millisecond {
			t.Fatalf("online %v after it was pulled", gone)
		}
	}
}

// TestCancelledFile is forgotten by the PD, too.
func TestCancelledFile(t *testing.T) {
	b := newFileBench(t, osdp.PDConfig{Keys: osdp.Keys{Current: &keyA}}, osdp.ReceiverOptions{Action: osdp.FTInterleave})
	b.send(osdp.File{Type: 1, Content: content(20_000)})
	for range 20 {
		b.exchange()
	}
	b.bus.CancelFile(b.now, 5)
	if !errors.Is(b.result, osdp.ErrFileCancelled) {
		t.Errorf("%v", b.result)
	}
	for range 5 {
		b.exchange()
	}
	if have, _ := b.r.Progress(); have != 0 || !bytes.Contains(b.commands, []byte{osdp.CodeABORT}) {
		t.Errorf("the PD still has %d bytes", have)
	}
}

// TestCredentialsNeedAChannel: that policy wants a channel is not enough, one
// must be there, at the start and when the file begins anew.
func TestCredentialsNeedAChannel(t *testing.T) {
	f := osdp.File{Type: osdp.FilePrivate, Content: content(5000), Credentials: true}
	quick := func(b *fileBench) time.Time { return b.now.Add(3 * time.Second) }
	for _, tt := range []struct {
		name  string
		start func(*fileBench) error
	}{
		{"a clear line", func(*fileBench) error { return nil }},
		{"a key that the PD does not have", func(b *fileBench) error { return b.bus.UseKeys(b.now, 5, osdp.Keys{Pending: &keyB}) }},
		{"an Install", func(b *fileBench) error { return b.bus.Install(b.now, 5, keyB, quick(b), func(error) {}) }},
	} {
		b := newFileBench(t, osdp.PDConfig{Security: osdp.AllowClear}, osdp.ReceiverOptions{Action: osdp.FTInterleave})
		if err := tt.start(b); err != nil {
			t.Fatal(err)
		}
		if err := b.bus.SendFile(b.now, 5, f, nil, nil); !errors.Is(err, osdp.ErrNotSecure) {
			t.Errorf("%s: %v, want %v", tt.name, err, osdp.ErrNotSecure)
		}
	}
	for _, tt := range []struct {
		name string
		loss func(*fileBench) error
	}{
		{"the key is taken away", func(b *fileBench) error { return b.bus.UseKeys(b.now, 5, osdp.Keys{}) }},
		{"an Install that fails", func(b *fileBench) error {
			if err := b.bus.UseKeys(b.now, 5, osdp.Keys{}); err != nil {
				return err
			}
			return b.bus.Install(b.now, 5, keyB, quick(b), func(error) {})
		}},
	} {
		b := newFileBench(t, osdp.PDConfig{Security: osdp.AllowClear, Keys: osdp.Keys{Current: &keyA}}, osdp.ReceiverOptions{Action: osdp.FTInterleave})
		b.send(f)
		for range 5 {
			b.exchange()
		}
		if err := tt.loss(b); err != nil {
			t.Fatal(err)
		}
		b.run(time.Minute)
		for range 10 {
			b.exchange()
		}
		if !errors.Is(b.result, osdp.ErrNotSecure) || len(b.got) > 0 || bytes.Contains(b.inClear, []byte{osdp.CodeFILETRANSFER}) {
			t.Errorf("%s: %v, %d files, in the clear % x; want %v and no fragment", tt.name, b.result, len(b.got), b.inClear, osdp.ErrNotSecure)
		}
	}
}
