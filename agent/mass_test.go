package agent

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"latchkey/access"
	"latchkey/delta"
)

// crowded runs f on a site that has joined with n people, who have a card and
// the front door each.
func crowded(t *testing.T, n int, f func(t *testing.T, s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, t.TempDir())
		s.join(n)
		f(t, s)
		s.end()
	})
}

// fired is what the cloud says when people from to (exclusive) lose their
// cards, and its deny list.
func fired(from, to int) (deny []access.Ref, changes []delta.Change) {
	for i := from; i < to; i++ {
		ref := access.Ref{Kind: access.KindCredential, Key: fmt.Sprint("c", i)}
		deny, changes = append(deny, ref), append(changes, delta.Del(ref))
	}
	return deny, changes
}

// fire publishes that.
func (w *world) fire(from, to int) Inbound {
	deny, changes := fired(from, to)
	return w.publish(deny, changes...)
}

// refused wants the site to have refused once what takes n openings from people
// of held, and to hold what it held.
func (s *site) refused(n, people, held int) {
	s.t.Helper()
	got := one[*delta.Nack](s.t, s.wire)
	if want := (delta.Nack{Header: got.Header, Epoch: s.world.epoch, Seq: s.world.head.Seq, Reason: delta.ReasonMass, Removes: n, People: people, Openings: held}); *got != want {
		s.t.Errorf("nack %+v, want %+v", *got, want)
	}
	if got := s.db.Openings(); got != held {
		s.t.Errorf("%d openings after it, want all %d", got, held)
	}
	st := s.agent.Status(s.t.Context())
	if want := fmt.Sprintf("take %d of %d openings", n, held); !strings.Contains(st.Cloud.Problem, want) || st.Cloud.Mass == 0 || !st.Ready {
		s.t.Errorf("status %+v, want it to say %q", st.Cloud, want)
	}
	if n := strings.Count(s.log.String(), "level=ERROR"); n != 1 {
		s.t.Errorf("%d errors in the log, want one:\n%s", n, s.log)
	}
}

// A delta that takes very much without a word for it changes nothing. The
// snapshot by which the cloud goes round it is refused as well, until somebody
// has approved it; then the stream goes on.
func TestMassLossIsRefusedUntilApproved(t *testing.T) {
	crowded(t, 30, func(t *testing.T, s *site) {
		held := s.db.Held()
		faulty := s.world.fire(1, 29)
		s.tell(faulty)
		s.refused(28, 28, 30)
		if s.db.Held() != held || !s.lock.opens(t, 1) || s.db.Stats().Blocked != 0 {
			t.Error("some of a refused delta is in force")
		}
		const metric = "latchkey_mass_loss_refused_total"
		want := "# HELP " + metric + " Messages that would have taken very much access, and that nobody had approved.\n# TYPE " + metric + " counter\n" + metric + " 1\n"
		reg := prometheus.NewPedanticRegistry()
		reg.MustRegister(&collector{s.agent})
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want), metric); err != nil {
			t.Error(err)
		}

		// What stops one person goes on, ahead of the refused delta's turn.
		s.tell(s.world.fire(29, 30))
		if s.lock.opens(t, 29) || s.last().Reason != access.Blocked {
			t.Errorf("one person's revocation waits: %q", s.last().Reason)
		}
		s.log.Reset()
		time.Sleep(nackEvery)
		s.deliver(s.world.snapshot("around", s.nonce))
		s.refused(29, 29, 30)
		if s.db.Held() != held || !s.lock.opens(t, 1) {
			t.Error("the snapshot was taken")
		}
		s.world.word = &delta.Approval{By: "ann", Removes: 29}
		s.deliver(s.world.snapshot("approved", s.nonce))
		if got := one[*delta.Applied](t, s.wire).Head; got != s.world.head || s.db.Openings() != 1 {
			t.Errorf("applied %d/%d with %d openings, want what was approved", got.Epoch, got.Seq, s.db.Openings())
		}
		if st := s.agent.Status(t.Context()); st.Cloud.Problem != "" {
			t.Errorf("still a problem: %q", st.Cloud.Problem)
		}
		s.world.word = nil
		s.tell(s.world.publish(nil, hired(40)...))
		if !s.lock.opens(t, 40) {
			t.Error("the stream does not go on")
		}
	})
}

// A word covers as much as it says.
func TestWordCoversWhatItSays(t *testing.T) {
	crowded(t, 50, func(t *testing.T, s *site) {
		s.world.word = &delta.Approval{By: "guard: directory", Removes: 25}
		s.tell(s.world.fire(1, 26))
		if s.db.Held() != s.world.head || len(take[*delta.Nack](s.wire)) != 0 {
			t.Error("an approved loss was refused")
		}
		s.world.word = &delta.Approval{By: "guard: directory", Removes: 2}
		s.tell(s.world.fire(26, 49)) // 21 more than it says
		s.refused(23, 23, 25)
	})
}

// Whoever stops one person is never asked, however many cards and doors the
// person has and however small the site; neither are many, one after the other.
func TestOnePersonIsNeverRefused(t *testing.T) {
	crowded(t, 2, func(t *testing.T, s *site) {
		var more []delta.Change
		for i := range 20 {
			door := fmt.Sprint("door", i)
			more = append(more, must(delta.Put(access.Door{ID: door, Kind: access.DoorKindDoor})), must(delta.Put(access.Grant{Group: "staff", Door: door})),
				must(delta.Put(access.Credential{ID: fmt.Sprint("more", i), Person: "p1", Technology: access.TechCard, Bits: card(100 + i), Status: access.CredentialActive})))
		}
		s.tell(s.world.publish(nil, more...))
		if n := s.db.Openings(); n != 21*21+21 {
			t.Fatalf("%d openings, want 462", n)
		}
		person := access.Ref{Kind: access.KindPerson, Key: "p1"}
		s.tell(s.world.publish([]access.Ref{person}, delta.Del(person)))
		if n := s.db.Openings(); n != 21 || len(take[*delta.Nack](s.wire)) != 0 {
			t.Errorf("%d openings are left, want 21", n)
		}
	})
	crowded(t, 25, func(t *testing.T, s *site) {
		for i := range 25 {
			s.tell(s.world.fire(i+1, i+2))
		}
		if n := s.db.Openings(); n != 0 || len(take[*delta.Nack](s.wire)) != 0 || s.db.Held() != s.world.head {
			t.Errorf("%d openings are left after all were disabled one by one, want none", n)
		}
	})
}

// Small losses add up for an hour, and no longer.
func TestSmallLossesAddUp(t *testing.T) {
	crowded(t, 40, func(t *testing.T, s *site) {
		s.tell(s.world.fire(1, 11), s.world.fire(11, 21))
		if n := len(take[*delta.Nack](s.wire)); n != 0 {
			t.Fatalf("%d refused while they are 20 of 40", n)
		}
		time.Sleep(lossWindow - time.Minute)
		before := s.world.head
		third := s.world.fire(21, 23)
		s.tell(third)
		s.refused(22, 2, 20)
		if s.db.Held() != before {
			t.Error("the third was applied")
		}
		time.Sleep(time.Minute)
		s.tell(third)
		if s.db.Held() != s.world.head {
			t.Error("refused still after the hour")
		}
	})
}

// A small building can lose all that it has within the limits: but not so.
func TestNothingLeftIsAMassLoss(t *testing.T) {
	crowded(t, 3, func(t *testing.T, s *site) {
		s.tell(s.world.fire(1, 4))
		s.refused(3, 3, 3)
		if !s.lock.opens(t, 1) {
			t.Error("the building is empty")
		}
	})
}

// A mass loss does not come in by the deny lane: not ahead of its turn, not
// behind a fork, of another epoch or in another version. What locks does.
func TestMassLossIsNotDeniedAhead(t *testing.T) {
	lock := access.Ref{Kind: access.KindPosture, Key: "*/cloud"}
	for name, ahead := range map[string]func(s *site, deny []access.Ref, changes []delta.Change) Inbound{
		"gap": func(s *site, deny []access.Ref, changes []delta.Change) Inbound {
			s.world.publish(nil, hired(99)...) // is lost
			return s.world.publish(deny, changes...)
		},
		"fork": func(s *site, deny []access.Ref, changes []delta.Change) Inbound {
			s.world.head.Hash[0]++
			return s.world.publish(deny, changes...)
		},
		"epoch": func(s *site, deny []access.Ref, changes []delta.Change) Inbound {
			s.world.epoch++
			return s.world.publish(deny, changes...)
		},
		"version": func(s *site, deny []access.Ref, changes []delta.Change) Inbound {
			in := s.world.publish(deny, changes...)
			return Inbound{Err: delta.ErrVersion, Payload: in.Payload}
		},
	} {
		for _, word := range []*delta.Approval{nil, {By: "ann", Removes: 3}} {
			t.Run(fmt.Sprint(name, ", word: ", word != nil), func(t *testing.T) {
				crowded(t, 3, func(t *testing.T, s *site) {
					s.world.word = word
					deny, changes := fired(1, 4)
					s.tell(ahead(s, deny, changes))
					if opens := s.lock.opens(t, 1); opens == (word != nil) {
						t.Errorf("the door opens: %t", opens)
					}
				})
				crowded(t, 3, func(t *testing.T, s *site) {
					s.world.word = word
					deny, changes := fired(1, 4)
					s.tell(ahead(s, append(deny, lock), changes))
					if s.lock.opens(t, 3) || word == nil && s.last().Reason != access.Lockdown {
						t.Errorf("a lockdown waits for a person: %q", s.last().Reason)
					}
				})
			})
		}
	}
}

// Many messages of which each takes little do not empty the deny lane either.
func TestDeniedAheadAddsUp(t *testing.T) {
	crowded(t, 40, func(t *testing.T, s *site) {
		s.world.publish(nil, hired(200)...) // is lost
		for i := range 3 {
			s.tell(s.world.fire(1+i*10, 11+i*10))
		}
		if n := s.db.Stats().Blocked; n != 20 {
			t.Errorf("%d cards are blocked ahead of their turn, want 20", n)
		}
	})
}

// Lockdown comes in a delta that is refused, too.
func TestLockdownOfARefusedDelta(t *testing.T) {
	crowded(t, 30, func(t *testing.T, s *site) {
		posture := access.Posture{Scope: "*", Origin: "cloud", Mode: access.ModeLockdown}
		s.tell(s.world.publish([]access.Ref{posture.Ref()}, must(delta.Put(posture))))
		if s.lock.opens(t, 1) || s.db.Held() != s.world.head {
			t.Fatal("a lockdown was refused")
		}
		s.tell(s.world.publish(nil, delta.Del(posture.Ref())))
		deny, changes := fired(1, 31)
		s.tell(s.world.publish(append(deny, posture.Ref()), append(changes, must(delta.Put(posture)))...))
		s.refused(30, 30, 30)
		if s.lock.opens(t, 1) || s.last().Reason != access.Lockdown {
			t.Errorf("a lockdown waits for a person: %q", s.last().Reason)
		}
	})
}

// A snapshot that leaves nothing is refused whatever the limits, and also where
// the site's own list is damaged. Only who holds nothing takes it.
func TestEmptySnapshot(t *testing.T) {
	for name, with := range map[string]func(s *site){
		"verified": func(*site) {},
		"damaged": func(s *site) {
			damage(s.t, s.dir)
			if err := s.db.Verify(s.t.Context()); err == nil {
				s.t.Fatal("the damage was not found")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			crowded(t, 1, func(t *testing.T, s *site) {
				with(s)
				s.log.Reset()
				s.world = newWorld(epoch + 1)
				s.world.publish(nil, doorsAndGroups()...)
				s.deliver(s.world.snapshot("empty", s.nonce))
				if got := one[*delta.Nack](t, s.wire); got.Reason != delta.ReasonMass || got.Removes != 1 || got.Epoch != epoch+1 || !s.lock.opens(t, 1) {
					t.Errorf("nack %+v; want it refused, and the door to open", got)
				}
				s.world.word = &delta.Approval{By: "ann", Removes: 1}
				s.deliver(s.world.snapshot("approved", s.nonce))
				if s.db.Held() != s.world.head || s.lock.opens(t, 1) {
					t.Error("it was approved and is not in force")
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := start(t, t.TempDir())
		s.world = newWorld(epoch)
		s.world.publish(nil, doorsAndGroups()...)
		s.connect()
		s.deliver(s.world.snapshot("first", s.nonce))
		if s.db.Held() != s.world.head {
			t.Error("a first snapshot was refused because nobody is in it")
		}
		s.end()
	})
}
