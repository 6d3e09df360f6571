package agent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/access"
	"latchkey/controller"
	"latchkey/delta"
)

func TestEventsSentAgainUntilAcked(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.lock.opens(t, 1)
		s.lock.opens(t, 1)
		first := take[*delta.Events](s.wire)
		if len(first) != 1 || first[0].Events[0].N != 1 {
			t.Fatalf("sent %d batches at first, want the first event and then silence until its ack", len(first))
		}
		time.Sleep(uploadAgain + time.Millisecond)
		synctest.Wait()
		again := one[*delta.Events](t, s.wire)
		if n := len(again.Events); n != 2 {
			t.Errorf("sent again: %d events, want 2", n)
		}
		s.tell(message(&delta.Ack{EventEpoch: s.events.Epoch(), N: 2}))
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := take[*delta.Events](s.wire); len(n) != 0 {
			t.Errorf("%d batches after the ack, want none", len(n))
		}
	})
}

// Under loss of events and acks, repeats, and a cloud that comes and goes, the
// cloud has each event once and in order.
func TestEventsReachTheCloudExactlyOnce(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		const cards = 80
		rng, faults := rand.New(rand.NewPCG(1, 2)), rand.New(rand.NewPCG(3, 4))
		var stored []access.Event
		s.wire.drop = func(m delta.Message) error {
			batch, ok := m.(*delta.Events)
			if !ok {
				return nil
			}
			if faults.IntN(4) == 0 {
				return errAway
			}
			if faults.IntN(4) == 0 {
				return nil // left, and never came
			}
			for range 1 + faults.IntN(2) {
				for _, e := range batch.Events {
					if e.N == uint64(len(stored)+1) {
						stored = append(stored, e)
					}
				}
			}
			return nil
		}
		for i := range cards {
			s.lock.opens(t, 1)
			if i%7 == 0 {
				s.beat(s.world.head)
			}
			if i%20 == 19 {
				s.tell(Inbound{Down: true})
				time.Sleep(10 * time.Second)
				s.connect()
				s.beat(s.world.head)
			}
			s.wire.mu.Lock()
			n := len(stored)
			s.wire.mu.Unlock()
			if rng.IntN(3) == 0 && n > 0 {
				s.tell(message(&delta.Ack{EventEpoch: s.events.Epoch(), N: uint64(n)}))
			}
		}
		for range 50 {
			time.Sleep(uploadAgain)
			s.beat(s.world.head)
			s.wire.mu.Lock()
			n := uint64(len(stored))
			s.wire.mu.Unlock()
			if n > 0 {
				s.tell(message(&delta.Ack{EventEpoch: s.events.Epoch(), N: n}))
			}
		}
		if len(stored) != cards {
			t.Fatalf("the cloud has %d events, want %d", len(stored), cards)
		}
		if n, _, err := s.events.Unsent(t.Context()); n != 0 || err != nil {
			t.Errorf("%d events still unsent: %v", n, err)
		}
	})
}

func TestLongNamesMakeSmallerBatches(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.tell(Inbound{Down: true})
		for range uploadBatch {
			if err := s.lock.happens(controller.Event{Kind: controller.Alarm, Text: strings.Repeat("<", 4*maxText)}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		s.connect()
		s.beat(s.world.head)
		got := one[*delta.Events](t, s.wire)
		if len(got.Events) == 0 || len(got.Events) >= uploadBatch {
			t.Errorf("%d events in one message, want fewer than %d and some", len(got.Events), uploadBatch)
		}
	})
}

func TestProofIsSentWhenItChanges(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		time.Sleep(2 * proofLook)
		synctest.Wait()
		p := one[*delta.Proof](t, s.wire)
		if len(p.Controllers) != 1 || p.Controllers[0].Controller != "bus-1" || p.Controllers[0].Held != 3 || p.Controllers[0].Seq != 2 {
			t.Errorf("proof %+v", p.Controllers)
		}
		time.Sleep(proofEvery / 2)
		synctest.Wait()
		if n := len(take[*delta.Proof](s.wire)); n != 0 {
			t.Errorf("%d proofs of what stands still, want none within a minute", n)
		}
		s.beat(s.world.head)
		time.Sleep(proofEvery)
		synctest.Wait()
		one[*delta.Proof](t, s.wire)
	}, func(s *site) {
		s.lock.table = &controller.TableStatus{Wanted: 3, Held: 3, Equal: true, Epoch: epoch, Version: 2, Since: time.Now()}
	})
}

func unlock(id, nonce, door string) Inbound {
	return message(&delta.Command{ID: id, Re: nonce, TTL: 60, Name: "unlock", Args: fmt.Appendf(nil, `{"door":%q}`, door)})
}

func TestCommandOnce(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.tell(unlock("one", s.nonce, front), unlock("one", s.nonce, front))
		results := take[*delta.Result](s.wire)
		if len(s.lock.opened) != 1 || len(results) != 2 || !results[0].OK && !results[1].OK {
			t.Errorf("the door opened %d times, results %+v; want once, and an answer to each", len(s.lock.opened), results)
		}
		s.tell(unlock("two", "somebody-elses-nonce", front))
		if r := one[*delta.Result](t, s.wire); r.OK || r.Text != "expired" {
			t.Errorf("a recorded command: %+v, want it expired", r)
		}
		time.Sleep(61 * time.Second)
		s.tell(unlock("three", s.nonce, front))
		if r := one[*delta.Result](t, s.wire); r.OK || r.Text != "expired" {
			t.Errorf("a late command: %+v, want it expired", r)
		}
		s.connect()
		s.tell(unlock("four", s.nonce, "no-such-door"))
		if r := one[*delta.Result](t, s.wire); r.OK || !strings.Contains(r.Text, "no door") {
			t.Errorf("a command for nothing: %+v", r)
		}
		s.tell(message(&delta.Command{ID: "five", Re: s.nonce, TTL: 60, Name: "dance"}))
		if r := one[*delta.Result](t, s.wire); r.OK || !strings.Contains(r.Text, "want unlock or resync") {
			t.Errorf("an unknown command: %+v", r)
		}
		s.tell(message(&delta.Command{ID: "six", Re: s.nonce, TTL: 60, Name: "resync"}))
		if r := one[*delta.Result](t, s.wire); !r.OK || s.lock.again != 1 {
			t.Errorf("resync: %+v", r)
		}
		if len(s.lock.opened) != 1 {
			t.Errorf("the door opened %d times in all, want once", len(s.lock.opened))
		}
	})
}

// A crash between intent and result: nobody knows whether the door opened, so
// it is not opened again.
func TestCommandIsNotRepeatedAfterCrash(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		if err := s.agent.stream.keepCommand(t.Context(), pastCommand{ID: "begun", Text: unknownResult}); err != nil {
			t.Fatal(err)
		}
		s.restart()
		s.connect()
		s.tell(unlock("begun", s.nonce, front))
		if r := one[*delta.Result](t, s.wire); r.OK || r.Text != unknownResult {
			t.Errorf("result %+v, want %q", r, unknownResult)
		}
		if len(s.lock.opened) != 0 {
			t.Error("the door opened")
		}
	})
}

func TestCommandIsOnDiskBeforeItIsDone(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		var past []pastCommand
		var unlocks int
		s.lock.onUnlock = func(ctx context.Context) error {
			past = must(s.agent.stream.pastCommands(ctx))
			for _, k := range s.kinds() {
				if k == access.EventUnlock {
					unlocks++
				}
			}
			return nil
		}
		s.tell(unlock("one", s.nonce, front))
		if len(past) != 1 || past[0].Text != unknownResult || unlocks != 1 {
			t.Errorf("on disk when the strike moved: %+v and %d events, want the intent and the event", past, unlocks)
		}
		if r := one[*delta.Result](t, s.wire); !r.OK || r.Text != "unlocked Front door" {
			t.Errorf("result %+v", r)
		}
	})
}
