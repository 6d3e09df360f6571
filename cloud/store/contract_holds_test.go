package store

import (
	"testing"
	"time"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/delta"
	"latchkey/wiegand"
)

func TestHoldsAndPins(t *testing.T) {
	both(t, func(c contract) {
		h1 := cloud.Hold{ID: "1", Org: "acme", Site: "s", Kind: cloud.HoldChange, State: cloud.HoldOpen, Text: odd, Made: at, By: odd,
			Proposal: &cloud.Proposal{Op: cloud.OpOrderRules, Site: "s", IDs: []string{odd}}, Before: []byte(`["a"]`),
			Preview: cloud.Preview{Site: "s", Openings: 1 << 40, People: []cloud.PersonEffect{{ID: "p", Name: odd, Loses: []string{"d"}}}}}
		h2 := cloud.Hold{ID: "2", Org: "acme", Site: "s", State: cloud.HoldOpen, Preview: cloud.Preview{People: []cloud.PersonEffect{}}}
		put := func(h cloud.Hold) func(cloud.Tx) error { return func(tx cloud.Tx) error { return tx.PutHold(h) } }
		holds := func(others int) func(cloud.Tx) ([]cloud.Hold, error) {
			return func(tx cloud.Tx) ([]cloud.Hold, error) { return tx.Holds("acme", others) }
		}
		c.update(putOrg("acme"), putOrg("other"), putSite("acme", "s"), putSite("acme", "t"), put(h2), put(h1))
		is(c, "hold", h1, func(tx cloud.Tx) (cloud.Hold, error) { return tx.Hold("acme", "1") })
		is(c, "open holds", []cloud.Hold{h1, h2}, holds(0))
		c.missing("hold of another", func(tx cloud.Tx) error { return second(tx.Hold("other", "1")) })
		h1.State, h1.Decided, h1.DecidedBy = cloud.HoldConfirmed, at, "olga"
		c.update(put(h1))
		is(c, "open holds", []cloud.Hold{h2}, holds(0))
		is(c, "all holds", []cloud.Hold{h1, h2}, holds(1))
		h0 := h1
		h0.ID = "0"
		c.update(put(h0))
		is(c, "the latest that is decided", []cloud.Hold{h1, h2}, holds(1))
		is(c, "the latest two", []cloud.Hold{h0, h1, h2}, holds(2))

		pin := func(site, person string) cloud.Pin {
			return cloud.Pin{Person: person, Site: site, Hold: "2", Since: at, Kept: cloud.Outcome{Person: person, Site: site, Rule: "r", Groups: []string{odd}, BLE: true, HeldCard: true}}
		}
		a, b, b2 := pin("s", "a"), pin("s", "b"), pin("t", "b")
		write := func(p cloud.Pin) func(cloud.Tx) error { return func(tx cloud.Tx) error { return tx.PutPin(p) } }
		c.update(putPerson("acme", "a"), putPerson("acme", "b"), write(b), write(a), write(b2))
		is(c, "pins", []cloud.Pin{a, b, b2}, func(tx cloud.Tx) ([]cloud.Pin, error) { return tx.Pins([]string{"b", "a", "x"}) })
		is(c, "pins of a hold", []cloud.Pin{b, b2}, func(tx cloud.Tx) ([]cloud.Pin, error) { return tx.HoldPins("2", "a", 10) })
		is(c, "first pin of a hold", []cloud.Pin{a}, func(tx cloud.Tx) ([]cloud.Pin, error) { return tx.HoldPins("2", "", 1) })
		is(c, "count", 3, func(tx cloud.Tx) (int, error) { return tx.CountPins("2") })
		a.Kept.Groups = []string{}
		c.update(write(a), func(tx cloud.Tx) error { return tx.DeletePin("s", "b") }, func(tx cloud.Tx) error { return tx.DeletePin("s", "nobody") })
		is(c, "pins left", []cloud.Pin{a, b2}, func(tx cloud.Tx) ([]cloud.Pin, error) { return tx.Pins([]string{"a", "b"}) })
		c.update(func(tx cloud.Tx) error { return tx.DeletePins("t") })
		is(c, "pins of a site deleted", []cloud.Pin{a}, func(tx cloud.Tx) ([]cloud.Pin, error) { return tx.Pins([]string{"a", "b"}) })
		c.update(func(tx cloud.Tx) error { return tx.DeletePerson("acme", "a") })
		is(c, "pins of a person deleted", 0, func(tx cloud.Tx) (int, error) { return tx.CountPins("2") })
	})
}

func TestGuardOfASite(t *testing.T) {
	both(t, func(c contract) {
		s := cloud.SiteRow{Property: cloud.Property{ID: "s", Org: "acme", Pilot: []string{}, PilotIDs: []string{}, Guard: &cloud.Guard{Percent: 5}},
			Openings: 1 << 40, Losses: []cloud.Loss{{Minute: 1 << 40, Cause: cloud.CauseDirectory, Gone: 1, Held: 2}}}
		c.update(putOrg("acme"), func(tx cloud.Tx) error { return tx.PutSite(s) })
		is(c, "site", s, func(tx cloud.Tx) (cloud.SiteRow, error) { return tx.Site("s") })
		s.Guard, s.Openings, s.Losses = nil, -1, nil
		c.update(func(tx cloud.Tx) error { return tx.PutSite(s) })
		is(c, "site put again", s, func(tx cloud.Tx) (cloud.SiteRow, error) { return tx.Site("s") })
	})
}

func TestWhenASiteWasTold(t *testing.T) {
	both(t, func(c contract) {
		entry := func(seq uint64) func(cloud.Tx) error {
			return func(tx cloud.Tx) error { return tx.AppendLog("s", 7, seq, at, []byte("{}"), delta.Hash{}) }
		}
		r := cloud.RecordRow{Site: "s", Ref: access.Ref{Kind: access.KindPerson, Key: "p"}, Owner: "p", Doc: []byte("{}"), Seq: 2}
		c.update(putOrg("acme"), putSite("acme", "s"), putPerson("acme", "p"), entry(1), entry(2), entry(3),
			func(tx cloud.Tx) error { return tx.PutRecord(r) }, func(tx cloud.Tx) error { return tx.AckLog("s", 7, 1, 2, at.Add(time.Second)) },
			func(tx cloud.Tx) error { return tx.MarkDirty("acme", "p") })
		is(c, "record", []cloud.RecordRow{r}, func(tx cloud.Tx) ([]cloud.RecordRow, error) { return tx.Records([]string{"p"}) })
		for seq, want := range map[uint64][2]time.Time{1: {at}, 2: {at, at.Add(time.Second)}, 3: {at}} {
			is(c, "times", want, func(tx cloud.Tx) (got [2]time.Time, err error) {
				got[0], got[1], err = tx.LogTimes("s", 7, seq)
				return got, err
			})
		}
		c.missing("times of no entry", func(tx cloud.Tx) error { _, _, err := tx.LogTimes("s", 7, 4); return err })
		is(c, "dirty", true, func(tx cloud.Tx) (bool, error) { return tx.IsDirty("acme", "p") })
		is(c, "not dirty", false, func(tx cloud.Tx) (bool, error) { return tx.IsDirty("acme", "q") })
		count := func(tx cloud.Tx) error { return tx.CountRoleChange("p") }
		c.update(count, count, putPerson("acme", "p")) // which leaves the count alone
		is(c, "role changes", 2, func(tx cloud.Tx) (int64, error) {
			p, err := tx.Person("acme", "p")
			return p.RoleChanges, err
		})
	})
}

func TestPoolsAndKeys(t *testing.T) {
	both(t, func(c contract) {
		ble := cloud.Pool{Technology: access.TechBLE, Format: "H10301", Facility: new(uint64(1<<63 | 1)), First: 1<<63 + 1, Last: 1<<64 - 1, Next: 1 << 63, Spent: true}
		wallet := cloud.Pool{Technology: access.TechWallet, Format: "raw"}
		put := func(p cloud.Pool) func(cloud.Tx) error {
			return func(tx cloud.Tx) error { return tx.PutPool("acme", p) }
		}
		pools := func(tx cloud.Tx) ([]cloud.Pool, error) { return tx.Pools("acme") }
		c.update(putOrg("acme"), putOrg("other"), put(wallet), put(ble))
		is(c, "pools", []cloud.Pool{ble, wallet}, pools)
		ble.Facility, ble.Spent = nil, false
		c.update(put(ble), func(tx cloud.Tx) error { return tx.DeletePool("acme", access.TechWallet) })
		is(c, "pools", []cloud.Pool{ble}, pools)
		c.missing("pool", func(tx cloud.Tx) error { return tx.DeletePool("other", access.TechBLE) })

		bits, err := wiegand.ParseBits("26:1")
		if err != nil {
			t.Fatal(err)
		}
		key := func(id, person, technology string) cloud.Card {
			return cloud.Card{ID: id, Org: "acme", Person: person, Origin: cloud.OriginRule, Technology: technology, Status: access.CredentialPending, Created: at}
		}
		card := func(k cloud.Card) func(cloud.Tx) error { return func(tx cloud.Tx) error { return tx.PutCard(k) } }
		k1, k2 := key("1", "b", access.TechBLE), key("2", "a", access.TechBLE)
		c.update(putPerson("acme", "a"), putPerson("acme", "b"), card(k1), card(k2), card(key("3", "a", access.TechWallet)))
		counted := func(keys, pending int) {
			c.Helper()
			is(c, "keys", [2]int{keys, pending}, func(tx cloud.Tx) (n [2]int, err error) {
				n[0], n[1], err = tx.CountKeys("acme", access.TechBLE)
				return n, err
			})
		}
		counted(2, 2)
		is(c, "people", []string{"a", "b"}, func(tx cloud.Tx) ([]string, error) { return tx.PendingKeys("acme", access.TechBLE, -1) })
		is(c, "one of the people", []string{"a"}, func(tx cloud.Tx) ([]string, error) { return tx.PendingKeys("acme", access.TechBLE, 1) })
		k1.Status, k1.Bits, k1.Format, k1.Facility, k1.Number = access.CredentialActive, bits, "H10301", 1, 1<<64-1
		c.update(card(k1))
		is(c, "key", k1, func(tx cloud.Tx) (cloud.Card, error) { return tx.Card("acme", "1") })
		counted(2, 1)
		k2.Bits = bits
		if err := c.db.Update(c.Context(), card(k2)); err == nil {
			t.Error("two keys have one number")
		}
	})
}
