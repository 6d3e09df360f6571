package osdptest_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/osdp"
	"latchkey/osdp/osdptest"
)

// accept takes files of one type, and keeps the last one.
func accept(kind uint8, got *osdp.File) *osdp.ReceiverOptions {
	return &osdp.ReceiverOptions{
		Limit:  100000,
		Accept: func(k uint8) bool { return k == kind },
		Commit: func(f osdp.File) int16 { *got = f; return osdp.FTProcessed },
	}
}

// upload sends a file as a panel does that polls when it may, until the
// transfer ends, and gives what the POLLs brought.
func upload(t *testing.T, f osdp.File, do func(osdp.Command) osdp.Reply) (s *osdp.Sender, polled []osdp.Reply) {
	t.Helper()
	s, err := osdp.NewSender(f, osdp.SendLimits{Receive: 256, Secure: true})
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		c, wait, ok := s.Next(time.Now())
		switch {
		case !ok:
			return s, polled
		case wait > 0:
			time.Sleep(wait)
			continue
		}
		s.Answer(time.Now(), do(c))
		if s.WantsPoll() || s.State() < osdp.FileDone && s.MayInterleave() {
			polled = append(polled, do(osdp.POLL{}))
			s.Polled()
		}
	}
	t.Fatalf("no end: %v", s)
	return nil, nil
}

// TestFile goes to the PD, which takes its time with it.
func TestFile(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef-"), 200)
	for _, commit := range []time.Duration{0, 5 * time.Second} {
		var got osdp.File
		files := accept(0x80, &got)
		files.Action = osdp.FTInterleave
		conversation(t, osdptest.Config{Files: files, CommitTime: commit}, func(t *testing.T, pd *osdptest.PD, do func(osdp.Command) osdp.Reply) {
			began := time.Now()
			s, polled := upload(t, osdp.File{Type: 0x80, Content: content}, do)
			if s.State() != osdp.FileDone || !bytes.Equal(got.Content, content) || time.Since(began) < commit {
				t.Errorf("committing %v: %v after %v, %d bytes", commit, s, time.Since(began), len(got.Content))
			}
			if len(polled) < 10 {
				t.Errorf("%d polls in between", len(polled))
			}
			pd.Present(0, bits(t))
			status := do(osdp.FILETRANSFER{Type: 0x80, Total: 2, Data: []byte{1}})
			expect(t, "with a card waiting", status, osdp.FTSTAT{Action: osdp.FTInterleave})
			if s, _ = upload(t, osdp.File{Type: 1, Content: content}, do); s.Err().(*osdp.FileError).Status != osdp.FTUnrecognised {
				t.Errorf("another type: %v", s.Err())
			}
		})
	}
}

// TestFilePollFirst: a PD that allows no polls between fragments asks for one
// when there is a card.
func TestFilePollFirst(t *testing.T) {
	var got osdp.File
	conversation(t, osdptest.Config{Files: accept(1, &got)}, func(t *testing.T, pd *osdptest.PD, do func(osdp.Command) osdp.Reply) {
		pd.Present(0, bits(t))
		s, polled := upload(t, osdp.File{Type: 1, Content: make([]byte, 2000)}, do)
		if s.State() != osdp.FileDone || len(polled) != 1 || polled[0].Code() != osdp.CodeRAW {
			t.Errorf("%v, polls brought %v, want the card", s, polled)
		}
	})
}

// TestFileFragments goes through what a fragment can be.
func TestFileFragments(t *testing.T) {
	var got osdp.File
	conversation(t, osdptest.Config{Files: accept(1, &got)}, func(t *testing.T, pd *osdptest.PD, do func(osdp.Command) osdp.Reply) {
		part := func(offset, n int) osdp.Command {
			return osdp.FILETRANSFER{Type: 1, Total: 30, Offset: uint32(offset), Data: make([]byte, n)}
		}
		status := func(s int16) osdp.Reply { return osdp.FTSTAT{Status: s} }
		expect(t, "not from the start", do(part(10, 10)), status(osdp.FTAbort))
		expect(t, "start", do(part(0, 10)), status(osdp.FTOK))
		expect(t, "start again", do(part(0, 10)), status(osdp.FTOK))
		expect(t, "gap", do(part(20, 10)), status(osdp.FTAbort))
		expect(t, "start", do(part(0, 10)), status(osdp.FTOK))
		expect(t, "ABORT", do(osdp.ABORT{}), osdp.ACK{})
		expect(t, "after ABORT", do(part(10, 10)), status(osdp.FTAbort))
		expect(t, "start", do(part(0, 20)), status(osdp.FTOK))
		pd.Reboot()
	})
}

// TestFileOutlivesTheLine: a panel that comes back goes on where it was.
func TestFileOutlivesTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got osdp.File
		c := secure()
		c.Files = accept(1, &got)
		_, a := start(t, c)
		expect(t, "first half", a.do(osdp.FILETRANSFER{Type: 1, Total: 2, Data: []byte{1}}), osdp.FTSTAT{})
		time.Sleep(20 * time.Second)
		a.seq = 0
		if err := a.shake(siteKey, false); err != nil {
			t.Fatal(err)
		}
		expect(t, "second half", a.do(osdp.FILETRANSFER{Type: 1, Total: 2, Offset: 1, Data: []byte{2}}), osdp.FTSTAT{Status: osdp.FTProcessed})
		if !bytes.Equal(got.Content, []byte{1, 2}) {
			t.Errorf("file % x, want 01 02", got.Content)
		}
	})
}

// TestFileReboots the PD, once it has said so; then it is deaf for a while.
func TestFileReboots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := secure()
		c.BootTime = 3 * time.Second
		c.Files = &osdp.ReceiverOptions{Limit: 100, Commit: func(osdp.File) int16 { return osdp.FTFinishing }}
		pd, a := start(t, c)
		expect(t, "file", a.do(osdp.FILETRANSFER{Type: 1, Total: 1, Data: []byte{1}}), osdp.FTSTAT{Status: osdp.FTFinishing})
		idle := osdp.FILETRANSFER{Type: 1, Total: 1, Offset: 1}
		expect(t, "not yet", a.do(idle), osdp.FTSTAT{Status: osdp.FTFinishing})
		pd.FinishFile(osdp.FTRebooting)
		expect(t, "now", a.do(idle), osdp.FTSTAT{Status: osdp.FTRebooting})
		if got := a.send(a.seal(osdp.POLL{})); len(got) != 0 {
			t.Errorf("booting: % x", got)
		}
		time.Sleep(c.BootTime)
		if f := frame(t, a.send(a.seal(osdp.POLL{}))); f.Code != osdp.CodeNAK || f.Data[0] != byte(osdp.NAKSecurity) {
			t.Errorf("after it: %v, want a PD without a session", f)
		}
	})
}

// TestFileLeavesSession: the rest goes in the clear where the PD asks for it,
// the session stays, and a PD that must not does not.
func TestFileLeavesSession(t *testing.T) {
	for _, strict := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var got osdp.File
			c := secure()
			c.RequireSecure = strict
			c.Files = accept(1, &got)
			c.Files.Action = osdp.FTLeaveSC
			_, a := start(t, c)
			leave := func(s int16) osdp.Reply { return osdp.FTSTAT{Action: osdp.FTLeaveSC, Status: s} }
			expect(t, "in the session", a.do(osdp.FILETRANSFER{Type: 1, Total: 2, Data: []byte{1}}), leave(osdp.FTOK))
			rest := a.inClear(osdp.FILETRANSFER{Type: 1, Total: 2, Offset: 1, Data: []byte{2}})
			if strict {
				expect(t, "in the clear", rest, nak(osdp.NAKSecurity))
				return
			}
			expect(t, "in the clear", rest, leave(osdp.FTProcessed))
			expect(t, "the session", a.do(osdp.POLL{}), osdp.ACK{})
			expect(t, "another file in the clear", a.inClear(osdp.FILETRANSFER{Type: 1, Total: 2, Data: []byte{1}}), nak(osdp.NAKSecurity))
		})
	}
}
