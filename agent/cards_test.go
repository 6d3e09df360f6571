package agent

import (
	"slices"
	"strings"
	"testing"

	"latchkey/access"
	"latchkey/delta"
	"latchkey/wiegand"
)

// flipped is b with bit i turned over.
func flipped(b wiegand.Bits, i int) wiegand.Bits {
	raw := b.Bytes()
	raw[i/8] ^= 0x80 >> (i % 8)
	return must(wiegand.MakeBits(b.Len(), raw))
}

// onFacility makes facilities the only ones whose H10301 cards the site takes.
func onFacility(facilities ...uint64) func(*site) {
	return func(s *site) { s.cards.Uses[0].Facilities = facilities }
}

func TestFacilityOfTheSite(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		if !s.lock.opens(t, 1) {
			t.Error("a card of the site's facility is refused")
		}
	}, onFacility(12, 77))
}

// A card of another facility opens nothing, even if the cloud has it, and a
// stranger's says what is wrong with it.
func TestWrongFacility(t *testing.T) {
	story(t, func(t *testing.T, s *site) {
		for i, person := range map[int]string{1: "p1", 2: ""} {
			if s.lock.opens(t, i) {
				t.Errorf("card %d of facility 77 opened the door", i)
			}
			if e := s.last(); e.Granted || e.Reason != access.WrongFacility || e.Person != person || !strings.HasPrefix(e.Card, "H10301 …") {
				t.Errorf("event %+v, want the wrong facility of %q", e, person)
			}
		}
		// The same number with a facility of the site is another card.
		own := must(h10301().Encode(map[string]uint64{"facility": 12, "card": numberOf(1)}))
		if s.lock.opensFor(t, own) || s.last().Reason != access.UnknownCard {
			t.Errorf("the same number of facility 12: %+v, want an unknown card", s.last())
		}
		lockdown := access.Posture{Scope: "*", Origin: "local", Mode: access.ModeLockdown}
		s.tell(s.world.publish([]access.Ref{lockdown.Ref()}, must(delta.Put(lockdown))))
		if s.lock.opens(t, 1) || s.last().Reason != access.Lockdown {
			t.Errorf("in lockdown: %+v, want that as the reason", s.last())
		}
	}, onFacility(12))
}

// A parity that does not match makes a card strange, unless the site file says
// to ignore it; then each time is counted and logged.
func TestParityIsIgnoredOnlyWhereAsked(t *testing.T) {
	bad := flipped(card(1), 25)
	story(t, func(t *testing.T, s *site) {
		if s.lock.opensFor(t, bad) || s.last().Reason != access.WrongFormat {
			t.Errorf("event %+v, want the wrong format", s.last())
		}
		if n := s.agent.doors.badParity.Load(); n != 0 {
			t.Errorf("%d counted", n)
		}
	})
	story(t, func(t *testing.T, s *site) {
		if !s.lock.opensFor(t, bad) || !s.lock.opensFor(t, flipped(bad, 0)) || !s.lock.opens(t, 1) {
			t.Error("refused")
		}
		if e := s.last(); e.Credential != "c1" || e.Reason != access.Granted {
			t.Errorf("event %+v, want it as card c1", e)
		}
		if n := s.agent.doors.badParity.Load(); n != 2 {
			t.Errorf("%d counted, want 2", n)
		}
		if log := s.log.String(); strings.Count(log, "in spite of its parity") != 2 || strings.Contains(log, bad.Hex()) {
			t.Errorf("log: %s", log)
		}
		if s.lock.opensFor(t, flipped(bad, 24)) || s.last().Reason != access.UnknownCard {
			t.Errorf("another number: %+v, want an unknown card", s.last())
		}
	}, func(s *site) { s.cards.Uses[0].IgnoreParity = true })
}

// A format whose parity is ignored leaves the cards alone that a later one reads
// as they are, though it would read them too.
func TestIgnoredParityLeavesSoundCardsAlone(t *testing.T) {
	even := wiegand.Parity{Bit: 0, Type: "even"} // an H10301 has an odd number of ones
	for i := range 25 {
		even.Over = append(even.Over, i+1)
	}
	acme := must(wiegand.NewFormat(wiegand.Format{
		Name: "ACME26", Bits: 26, Parity: []wiegand.Parity{even},
		Fields: map[string]wiegand.Field{"card": {Start: 1, Length: 25}},
	}))
	story(t, func(t *testing.T, s *site) {
		if !s.lock.opens(t, 1) {
			t.Errorf("refused: %+v", s.last())
		}
		if n := s.agent.doors.badParity.Load(); n != 0 {
			t.Errorf("%d counted", n)
		}
	}, func(s *site) {
		s.cards.Uses = slices.Insert(s.cards.Uses, 0, wiegand.Use{Format: acme, IgnoreParity: true})
	})
}

// A reader that sends serial numbers from the other end is turned round before
// anything else looks at the card; cards that are no bytes stay as they are.
func TestReversedReader(t *testing.T) {
	csn := must(wiegand.ParseBits("32:01020304"))
	hire := func(s *site) {
		s.tell(s.world.publish(nil, must(delta.Put(access.Credential{ID: "csn", Person: "p1", Technology: access.TechCard, Bits: csn, Status: access.CredentialActive}))))
	}
	back, _ := csn.ReverseBytes()
	story(t, func(t *testing.T, s *site) {
		hire(s)
		if !s.lock.opensFor(t, csn) || s.lock.opensFor(t, back) {
			t.Error("a reader as most: want the card as it is")
		}
	})
	story(t, func(t *testing.T, s *site) {
		hire(s)
		if !s.lock.opensFor(t, back) || s.last().Credential != "csn" {
			t.Errorf("event %+v, want the card turned round", s.last())
		}
		if s.lock.opensFor(t, csn) {
			t.Error("the card opens from both ends")
		}
		if !s.lock.opens(t, 1) {
			t.Error("a card of 26 bits is refused")
		}
	}, func(s *site) { s.cards.Reversed = []string{front + " reader"} })
	story(t, func(t *testing.T, s *site) {
		hire(s)
		if !s.lock.opensFor(t, back) || s.lock.opensFor(t, csn) {
			t.Error("a format whose bytes come reversed: want the card turned round")
		}
	}, func(s *site) {
		f, _ := must(wiegand.Load()).Lookup("CSN32")
		s.cards.Uses = append(s.cards.Uses, wiegand.Use{Format: f, ReversedBytes: true})
	})
}
