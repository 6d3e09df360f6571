package osdp_test

import (
	"bytes"
	"slices"
	"sync"
	"testing"
	"time"

	"latchkey/osdp"
)

// TestReplayedAnswers (O11): answers from earlier in the session, cards among
// them, are no answers now, and we hear of them. An unlock that is played to the
// PD again opens no door.
func TestReplayedAnswers(t *testing.T) {
	hostile(t, func(w world) {
		t := w.t
		c := secured(5)
		var opened sync.WaitGroup // counts down once
		opened.Add(1)
		c.OnCommand = func(c osdp.Command) {
			if _, ok := c.(osdp.OUT); ok {
				opened.Done() // a second time panics
			}
		}
		s, pd := oneReader(w, &mitm{}, c)
		s.want(osdp.ReaderStatus)
		pd.Present(0, card)
		s.want(osdp.Card)
		if err := s.line.Send(t.Context(), 5, osdp.OUT{{Action: osdp.OutputOn}}); err != nil {
			t.Fatal(err)
		}
		s.wait(200*time.Millisecond, osdp.Card) // a poll or two
		tape := s.sniffed()
		replies := slices.Clone(tape)
		replies = slices.DeleteFunc(replies, func(f sniffed) bool { return f.toPD })
		commands := slices.DeleteFunc(tape, func(f sniffed) bool { return !f.toPD || f.SCBType < osdp.SCS15 })
		n, played := 0, 0
		s.does(func(f sniffed) [][]byte {
			if !f.toPD {
				return [][]byte{f.wire}
			}
			n++
			for _, r := range replies { // those that could be answers
				if r.Seq == f.Seq && played%7 == n%7 {
					s.say(false, r.wire)
				}
				played++
			}
			return [][]byte{commands[n%len(commands)].wire, f.wire}
		})
		s.want(osdp.Untrusted, osdp.Card)
		s.never(time.Minute, osdp.Card)
		if pd.Stats().WrongMACs == 0 || s.line.Stats()[0].MACErrors == 0 {
			t.Error("what was played was believed")
		}
	})
}

// TestReplayedSessions plays a thousand recorded sessions to a panel: not one
// comes up, for no random number of the panel comes twice.
func TestReplayedSessions(t *testing.T) {
	type taped struct{ command, reply osdp.Frame }
	record := func() (tape []taped) {
		l := newLock(t, keyA)
		l.poll = []osdp.Reply{osdp.ACK{}, osdp.RAW{Bits: 26, Data: []byte{1, 2, 3, 0x40}}}
		h := newHandOf(t, osdp.Options{}, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}})
		for range 20 {
			f := h.nextAny()
			r := l.answer(f)
			h.now = h.now.Add(3 * time.Millisecond)
			h.bus.Answer(h.now, r)
			tape = append(tape, taped{f, r})
		}
		if !h.bus.Stats()[0].Secure {
			t.Fatal("nothing worth to be recorded")
		}
		return tape
	}
	numbers := map[string]bool{}
	draws, accepted := 0, 0
	captures := 1000
	for range captures {
		tape := record()
		h := newHandOf(t, osdp.Options{}, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}})
		for start := h.now; h.now.Sub(start) < 30*time.Second; {
			f := h.nextAny()
			if f.Code == osdp.CodeCHLNG {
				draws++
				numbers[string(f.Data)] = true
			}
			done := false
			for _, x := range tape { // what was the answer then, and everything else
				if x.command.Code == f.Code && x.reply.Seq == f.Seq && !done {
					_, done = h.bus.Answer(h.now, x.reply)
				}
			}
			for _, x := range tape {
				if !done {
					_, done = h.bus.Answer(h.now, x.reply)
				}
			}
			if !done {
				h.silence()
			}
			h.now = h.now.Add(3 * time.Millisecond)
			if s := h.bus.Stats()[0]; s.Secure || s.Online || s.Handshakes > 0 {
				accepted++
				break
			}
		}
	}
	t.Logf("%d sessions played, %d handshakes, %d taken", captures, draws, accepted)
	if accepted > 0 || draws < captures || len(numbers) != draws {
		t.Errorf("%d sessions taken; %d random numbers in %d handshakes", accepted, len(numbers), draws)
	}
}

// TestSessionsEnd: a session is made anew within a day, however quiet, with
// another random number.
func TestSessionsEnd(t *testing.T) {
	l := newLock(t, keyA)
	k := newKeyed(t, l, osdp.PDConfig{Addr: 5, Keys: osdp.Keys{Current: &keyA}})
	k.want(osdp.Online, time.Second)
	var last []byte
	since, anew := k.now, 0
	days := 10
	if raced {
		days = 3
	}
	for end := k.now.Add(time.Duration(days) * 24 * time.Hour); k.now.Before(end); {
		f := k.step(nil)
		if f.Code == osdp.CodeCHLNG {
			if bytes.Equal(f.Data, last) {
				t.Fatal("the same random number again")
			}
			last, since, anew = bytes.Clone(f.Data), k.now, anew+1
		}
		if age := k.now.Sub(since); age > 24*time.Hour+time.Minute {
			t.Fatalf("a session of %v", age)
		}
		k.now = k.now.Add(5 * time.Second) // a poll now and then
	}
	if anew < days-1 {
		t.Errorf("%d new sessions in %d days", anew, days)
	}
}
