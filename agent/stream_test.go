package agent

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/access"
	"latchkey/cache"
	"latchkey/delta"
)

func TestCardWorksAfterFirstSnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := start(t, t.TempDir())
		if s.lock.opens(t, 1) {
			t.Error("the door opened before the site had any data")
		}
		if got := s.last().Reason; got != access.NoData {
			t.Errorf("reason %q before the first snapshot, want %q", got, access.NoData)
		}
		s.join(1)
		if !s.lock.opens(t, 1) {
			t.Errorf("the door stayed shut: %q", s.last().Reason)
		}
		if e := s.last(); e.Card != "H10301 …01" && !strings.HasPrefix(e.Card, "H10301 …") || e.Person != "p1" || !e.Granted {
			t.Errorf("event %+v, want p1 let in by a masked card", e)
		}
		if s.lock.opens(t, 99) {
			t.Error("a stranger's card opened the door")
		}
		if s.lock.denied == 0 {
			t.Error("the reader never showed a refusal")
		}
		s.end()
	})
}

func TestDeltaIsAppliedAndAcknowledged(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		in := s.world.publish(nil, hired(2)...)
		s.tell(in)
		if got := one[*delta.Applied](t, s.wire).Head; got != s.world.head {
			t.Errorf("applied %d/%d, want %d/%d", got.Epoch, got.Seq, s.world.head.Epoch, s.world.head.Seq)
		}
		if !s.lock.opens(t, 2) {
			t.Error("the new card does not open the door")
		}
		s.tell(in) // again: the ack was lost
		if got := one[*delta.Applied](t, s.wire).Head; got != s.world.head {
			t.Error("a delta that came again was not acknowledged again")
		}
	})
}

func TestGapIsAskedFor(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		held := s.world.head.Seq
		missing, second, third := s.world.publish(nil, hired(2)...), s.world.publish(nil, hired(3)...), s.world.publish(nil, hired(4)...)
		s.tell(second, third)
		n := one[*delta.Need](t, s.wire) // one question for the whole window
		if n.Epoch != epoch || n.From != held+1 || n.To != held+1 || n.Snapshot {
			t.Errorf("need %+v, want %d to %d", n, held+1, held+1)
		}
		time.Sleep(needEvery)
		s.tell(third)
		if n := one[*delta.Need](t, s.wire); n.From != held+1 || n.To != held+2 {
			t.Errorf("asked again for %d to %d, want %d to %d", n.From, n.To, held+1, held+2)
		}
		s.tell(missing, second, third)
		if s.db.Held() != s.world.head {
			t.Error("the site did not catch up")
		}
	})
}

// The deny lane: what is taken away is away at once, although an earlier delta
// is missing.
func TestRevokedWhileDeltaMissing(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		cred := access.Ref{Kind: access.KindCredential, Key: "c1"}
		missing := s.world.publish(nil, hired(2)...)
		revoke := s.world.publish([]access.Ref{cred}, delta.Del(cred))
		s.tell(revoke)
		if s.lock.opens(t, 1) {
			t.Fatal("a revoked card opened the door while a delta was missing")
		}
		if got := s.last().Reason; got != access.Blocked {
			t.Errorf("reason %q, want %q", got, access.Blocked)
		}
		s.tell(missing)
		if s.lock.opens(t, 1) {
			t.Fatal("an older delta brought the revoked card back")
		}
		s.tell(revoke)
		if s.lock.opens(t, 1) {
			t.Fatal("the card opened the door after its deletion")
		}
		if got := s.last().Reason; got != access.UnknownCard {
			t.Errorf("reason %q once the delta is applied, want %q", got, access.UnknownCard)
		}
		if n := s.db.Stats().Blocked; n != 0 {
			t.Errorf("%d refs still blocked, want 0", n)
		}
	})
}

func TestForkLeadsToSnapshot(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		other := newWorld(epoch) // a cloud that tells another story
		other.publish(nil, doorsAndGroups()...)
		other.publish(nil, hired(7)...)
		fork := other.publish(nil, hired(8)...)
		s.tell(fork)
		if n := one[*delta.Need](t, s.wire); !n.Snapshot || n.Reason != "fork" {
			t.Errorf("need %+v, want a snapshot because of a fork", n)
		}
		if st := s.agent.stream.Status(); st.Forks != 1 {
			t.Errorf("%d forks counted, want 1", st.Forks)
		}
		if !s.lock.opens(t, 1) {
			t.Error("the fork changed what the doors do")
		}
		s.deliver(other.snapshot("healed", s.nonce))
		if s.db.Held() != other.head {
			t.Error("the snapshot was not taken")
		}
		if s.lock.opens(t, 1) || !s.lock.opens(t, 8) {
			t.Error("the doors do not follow the snapshot")
		}
	})
}

func TestDeltaOfOldEpochRefused(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.tell(newWorld(epoch-1).publish(nil, hired(9)...))
		if st := s.agent.stream.Status(); st.OldEpochs != 1 || s.db.Held() != s.world.head {
			t.Errorf("old epochs counted %d, want 1 and nothing changed", st.OldEpochs)
		}
	})
}

func TestNewEpochLeadsToSnapshot(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		next := newWorld(epoch + 5)
		next.publish(nil, doorsAndGroups()...)
		s.tell(next.publish([]access.Ref{{Kind: access.KindPerson, Key: "p1"}}, hired(5)...))
		if n := one[*delta.Need](t, s.wire); !n.Snapshot || n.Reason != "epoch" {
			t.Errorf("need %+v, want a snapshot because of an epoch", n)
		}
		if s.lock.opens(t, 1) {
			t.Error("the new epoch's deny list was not obeyed")
		}
		s.deliver(next.snapshot("epoch", s.nonce))
		if s.db.Held() != next.head || !s.lock.opens(t, 5) {
			t.Error("the snapshot of the new epoch was not taken")
		}
	})
}

// A large snapshot takes seconds to check: what is taken away meanwhile is taken
// away at once, and stays so when the snapshot is older.
func TestRevocationDoesNotWaitForSnapshot(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		goOn := make(chan struct{})
		s.agent.stream.swap = func(ctx context.Context, id string, may func(cache.Swapping) error) error {
			<-goOn
			return s.db.Swap(ctx, id, may)
		}
		s.world = newWorld(epoch + 1)
		s.world.publish(nil, doorsAndGroups()...)
		s.world.publish(nil, hired(1)...)
		s.world.publish(nil, hired(2)...)
		parts, head := s.world.snapshot("large", s.nonce), s.world.head
		s.deliver(parts)
		s.deliver(parts[:2]) // the cloud has not heard of it
		if !s.lock.opens(t, 1) {
			t.Error("the old list does not serve while the new one is checked")
		}
		person := access.Ref{Kind: access.KindPerson, Key: "p1"}
		s.world.publish(nil, must(delta.Put(access.Door{ID: "other", Kind: access.DoorKindDoor})))
		s.tell(s.world.publish([]access.Ref{person}, delta.Del(person)))
		if s.lock.opens(t, 1) || s.last().Reason != access.Blocked {
			t.Errorf("a revocation waits for a snapshot: %q", s.last().Reason)
		}
		s.beat(s.world.head)
		close(goOn)
		synctest.Wait()
		if got := one[*delta.Applied](t, s.wire).Head; got != head || s.db.Held() != head {
			t.Errorf("applied %d/%d, want the snapshot", got.Epoch, got.Seq)
		}
		if s.lock.opens(t, 1) || !s.lock.opens(t, 2) {
			t.Error("with the snapshot in force: want card 1 refused still, and card 2 let in")
		}
	})
}

// A snapshot with an entry that cannot be read is nobody's disk fault: the
// cloud is told, once in a while, and what is held serves on.
func TestUnreadableSnapshotIsToldOf(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		parts := s.world.snapshot("odd", s.nonce)
		parts[0].Head.Epoch++
		parts[0].Records[0].Key = "somebody else"
		for range 3 {
			s.tell(message(parts[0]))
		}
		if got := one[*delta.Nack](t, s.wire); got.Reason != "shape" || got.Epoch != epoch+1 {
			t.Errorf("told %+v, want the shape", got)
		}
		if st := s.agent.Status(t.Context()); !strings.Contains(st.Cloud.Problem, "cannot read") || !st.Ready {
			t.Errorf("problem %q, ready %t", st.Cloud.Problem, st.Ready)
		}
		if !s.lock.opens(t, 1) {
			t.Error("the last good list does not serve")
		}
	})
}

// A card that one delta hands from somebody who leaves to another, and a card
// that two people have, open for who may come in: at once and after a restart.
func TestCardIsHandedOver(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		person := func(i int, state string) delta.Change {
			return must(delta.Put(access.Person{ID: fmt.Sprint("p", i), State: state, Kind: access.KindFull}))
		}
		s.tell(s.world.publish(nil, append(append(hired(2), hired(3)...), hired(4)...)...))
		handed := access.Credential{ID: "c2", Person: "p3", Technology: access.TechCard, Format: "H10301", Bits: card(2), Number: numberOf(2), Status: access.CredentialActive}
		twin := access.Credential{ID: "a4", Person: "p2", Technology: access.TechCard, Format: "H10301", Bits: card(4), Number: numberOf(4), Status: access.CredentialActive}
		s.tell(s.world.publish([]access.Ref{{Kind: access.KindPerson, Key: "p2"}, {Kind: access.KindCredential, Key: "c2"}},
			must(delta.Put(handed)),         // card 2 is person 3's now
			person(2, access.StateInactive), // out
			must(delta.Put(twin)),           // card 4 is on two people, one of whom is out
		))
		check := func(when string) {
			t.Helper()
			for i, who := range map[int]string{1: "p1", 2: "p3", 3: "p3", 4: "p4"} {
				if !s.lock.opens(t, i) || s.last().Person != who {
					t.Errorf("%s: card %d: %s is %q, want %s let in", when, i, s.last().Person, s.last().Reason, who)
				}
			}
		}
		check("at once")
		s.restart()
		check("after a restart")
		s.tell(Inbound{Up: true})
		s.tell(s.world.publish([]access.Ref{{Kind: access.KindPerson, Key: "p4"}}, person(4, access.StateInactive)))
		if s.lock.opens(t, 4) {
			t.Error("a card of two people who are both out opened the door")
		}
	})
}

func TestSnapshotOfOldNonceRefused(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		recorded := s.world.snapshot("recorded", s.nonce)
		cred := access.Ref{Kind: access.KindCredential, Key: "c1"}
		s.tell(s.world.publish([]access.Ref{cred}, delta.Del(cred)))
		s.connect() // another nonce
		s.deliver(recorded)
		if s.lock.opens(t, 1) {
			t.Fatal("a recorded snapshot brought a deleted card back")
		}
		for _, p := range recorded { // somebody who could sign would still be older than what is held
			p.Re = s.nonce
		}
		s.deliver(recorded)
		if s.lock.opens(t, 1) || s.db.Held() != s.world.head {
			t.Fatal("an older snapshot was taken")
		}
	})
}

func TestMissingPartsAreAskedFor(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.world.publish(nil, hired(2)...) // lost
		s.world.publish(nil, hired(3)...)
		parts := s.world.snapshot("again", s.nonce)
		s.deliver(parts[2:])
		time.Sleep(partsMissing + lookEvery)
		s.beat(s.world.head)
		n := one[*delta.Need](t, s.wire)
		if !n.Snapshot || n.ID != "again" || fmt.Sprint(n.Parts) != "[1 2]" {
			t.Errorf("need %+v, want parts 1 and 2 of it", n)
		}
		s.deliver(parts[:2])
		if s.db.Held() != s.world.head {
			t.Error("the snapshot was not taken once it was whole")
		}
	})
}

// A cloud whose snapshots contradict themselves is asked again at once, and
// then ever more rarely; the last verified state serves.
func TestBadSnapshotsBackOff(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		bad := func(id string) []*delta.Snapshot {
			parts := s.world.snapshot(id, s.nonce)
			for _, p := range parts {
				p.Head.Seq, p.Head.Digest[0] = p.Head.Seq+1, p.Head.Digest[0]^1
			}
			return parts
		}
		for i, wait := range []time.Duration{0, time.Minute, 2 * time.Minute, 4 * time.Minute} {
			s.deliver(bad(fmt.Sprint("bad-", i)))
			asked := take[*delta.Need](s.wire)
			if (len(asked) > 0) != (wait == 0) {
				t.Fatalf("after bad snapshot %d the site asked %d times at once", i+1, len(asked))
			}
			if wait == 0 {
				continue
			}
			for range int(wait/(30*time.Second)) - 1 {
				time.Sleep(30 * time.Second)
				s.beat(delta.Head{Epoch: epoch + 1, Seq: 1, Hash: delta.Hash{1}})
			}
			if n := take[*delta.Need](s.wire); len(n) > 0 {
				t.Fatalf("asked %d times within %v", len(n), wait)
			}
			time.Sleep(30 * time.Second)
			s.beat(delta.Head{Epoch: epoch + 1, Seq: 1, Hash: delta.Hash{1}})
			one[*delta.Need](t, s.wire)
		}
		if !s.lock.opens(t, 1) {
			t.Error("the last verified state does not serve")
		}
		if st := s.agent.Status(t.Context()); !strings.Contains(strings.Join(st.Problems, " "), "contradicts itself") {
			t.Errorf("problems %q do not say so", st.Problems)
		}
	})
}

func TestDeltaThatMissesItsDigestIsRolledBack(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		held := s.db.Held()
		in := s.world.publish([]access.Ref{{Kind: access.KindCredential, Key: "c1"}}, hired(2)...)
		d := in.Message.(*delta.Delta)
		d.Digest[3] ^= 1
		s.tell(Inbound{Message: d, Payload: in.Payload, Hash: in.Hash})
		if s.db.Held() != held || s.lock.opens(t, 2) {
			t.Error("it was applied")
		}
		if n := one[*delta.Need](t, s.wire); !n.Snapshot || n.Reason != "digest" {
			t.Errorf("need %+v, want a snapshot because of the digest", n)
		}
		if s.lock.opens(t, 1) {
			t.Error("what it takes away was not taken away")
		}
	})
}

// A cloud that was started anew knows no nonce, and asks with an empty one;
// the echo of an older hello is passed over, or two hellos chase one another.
func TestBeatRules(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		old := s.nonce
		time.Sleep(helloLeast)
		s.tell(message(&delta.Beat{Head: s.world.head, Time: time.Now()}))
		fresh := one[*delta.Hello](t, s.wire)
		if fresh.Nonce == old {
			t.Error("the new hello has the old nonce")
		}
		s.tell(message(&delta.Beat{Head: s.world.head, Time: time.Now()}))
		if n := take[*delta.Hello](s.wire); len(n) != 0 {
			t.Error("two hellos in one second")
		}
		before := s.agent.stream.Status().LastBeat
		time.Sleep(2 * time.Second)
		s.tell(message(&delta.Beat{Re: old, Head: delta.Head{Epoch: epoch + 9, Seq: 1, Hash: delta.Hash{1}}, Time: time.Now()}))
		if n := take[*delta.Hello](s.wire); len(n) != 0 {
			t.Error("the echo of an old hello was answered")
		}
		if st := s.agent.stream.Status(); st.LastBeat != before || st.Cloud != s.world.head {
			t.Error("the echo of an old hello counted as contact")
		}
	})
}

func TestCloudThatFallsSilentIsAway(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		if st := s.agent.Status(t.Context()); !st.Cloud.Connected {
			t.Fatal("not connected after a beat")
		}
		time.Sleep(beatLost + lookEvery)
		synctest.Wait()
		st := s.agent.Status(t.Context())
		if st.Cloud.Connected || !strings.Contains(st.Summary, "The cloud is away since") {
			t.Errorf("after %v without a beat: %q", beatLost, st.Summary)
		}
		if !s.lock.opens(t, 1) {
			t.Error("the door does not open without the cloud")
		}
		s.beat(s.world.head)
		if st := s.agent.Status(t.Context()); !st.Cloud.Connected {
			t.Error("a beat does not bring the cloud back")
		}
	})
}

// A message of a newer version cannot be read, but what it takes away can.
func TestNewerVersionStillTakesAway(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		payload := fmt.Appendf(nil, `{"v":2,"type":"delta","site":"hq","at":"2026-01-01T00:00:00Z","epoch":%d,"seq":%d,"deny":[{"type":"person","key":"p1"}],"novel":true}`, epoch, s.world.head.Seq+1)
		_, err := delta.Decode(payload)
		s.tell(Inbound{Err: err, Payload: payload, Hash: delta.HashOf(payload)})
		if n := one[*delta.Nack](t, s.wire); n.Reason != "version" || n.Seq != s.world.head.Seq+1 {
			t.Errorf("nack %+v, want the version at seq %d", n, s.world.head.Seq+1)
		}
		if s.lock.opens(t, 1) {
			t.Error("the person still gets in")
		}
	})
}

// Anybody at the broker can send rubbish; the cloud must not hear of each.
func TestForgeriesAreToldRarely(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		for range 100 {
			s.tell(Inbound{Err: fmt.Errorf("%w: rubbish", delta.ErrSignature)})
		}
		one[*delta.Nack](t, s.wire)
		if st := s.agent.stream.Status(); st.Refused != 100 {
			t.Errorf("%d refused, want 100", st.Refused)
		}
		if !s.lock.opens(t, 1) {
			t.Error("rubbish shut the door")
		}
	})
}

func TestRestartGoesOnWhereItWas(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		s.restart()
		if !s.lock.opens(t, 1) {
			t.Error("after a restart, without the cloud, the door stays shut")
		}
		if h := s.connect(); h.Head != s.world.head {
			t.Errorf("hello says %d/%d, want %d/%d", h.Epoch, h.Seq, s.world.head.Epoch, s.world.head.Seq)
		}
	})
}

// A cache that rots under the agent: the doors go on from memory, controllers
// are left alone, and a snapshot is asked for, and heals.
func TestDamagedCacheAsksForSnapshot(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		damage(t, s.dir)
		for range 121 { // an hour, with beats
			time.Sleep(30 * time.Second)
			s.beat(s.world.head)
		}
		if s.db.Ready() {
			t.Fatal("the damage was not found")
		}
		if !s.lock.opens(t, 1) {
			t.Error("the door does not go on from memory")
		}
		asked := take[*delta.Need](s.wire)
		if len(asked) == 0 || !asked[0].Snapshot {
			t.Fatalf("the site asked %v, want a snapshot", asked)
		}
		if st := s.agent.Status(t.Context()); st.Ready || st.Damaged == "" || len(st.Problems) == 0 {
			t.Errorf("status ready %v, damaged %q, problems %q", st.Ready, st.Damaged, st.Problems)
		}
		s.deliver(s.world.snapshot("healing", s.nonce))
		if !s.db.Ready() || !s.lock.opens(t, 1) {
			t.Error("the snapshot did not heal the cache")
		}
		found := false
		for _, k := range s.kinds() {
			found = found || k == access.EventCacheQuarantined
		}
		if !found {
			t.Error("no event tells of the damage")
		}
	})
}

func TestRunEndsWhenADriverCannotWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		opts := cache.Options{Dir: dir, Key: cacheKey}
		db, events := must(cache.Open(t.Context(), opts)), must(cache.OpenEvents(t.Context(), opts))
		defer db.Close()
		defer events.Close()
		a := must(New(Options{Site: "hq", Cache: db, Events: events, Link: &wire{in: make(chan Inbound)}, Drivers: drivers(broken{&lock{name: "bus-9"}})}))
		err := a.Run(context.Background())
		if err == nil || err.Error() != "agent: driver bus-9: no readers" {
			t.Errorf("Run ended with %v", err)
		}
		if st := a.Status(t.Context()); !strings.Contains(fmt.Sprint(st.Tasks), "no readers") {
			t.Errorf("tasks %v do not say why", st.Tasks)
		}
	})
}
