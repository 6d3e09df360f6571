package store

import (
	"bytes"
	"testing"
	"time"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/delta"
)

func TestRecords(t *testing.T) {
	both(t, func(c contract) {
		rec := func(site string, kind access.Kind, key, owner string) cloud.RecordRow {
			return cloud.RecordRow{Site: site, Ref: access.Ref{Kind: kind, Key: key}, Owner: owner, Doc: []byte{0, 255, 'x'}}
		}
		door, ada := rec("s", access.KindDoor, "d", ""), rec("s", access.KindPerson, "ada", "ada")
		card, there := rec("s", access.KindCredential, odd, "ada"), rec("t", access.KindPerson, "ada", "ada")
		c.update(putOrg("acme"), putSite("acme", "s"), putSite("acme", "t"), func(tx cloud.Tx) error {
			for _, r := range []cloud.RecordRow{ada, door, card, there} {
				if err := tx.PutRecord(r); err != nil {
					return err
				}
			}
			return nil
		})
		is(c, "all", []cloud.RecordRow{card, door, ada}, func(tx cloud.Tx) ([]cloud.RecordRow, error) { return tx.SiteRecords("s") })
		is(c, "own", []cloud.RecordRow{door}, func(tx cloud.Tx) ([]cloud.RecordRow, error) { return tx.OwnRecords("s") })
		is(c, "owners", []string{"ada"}, func(tx cloud.Tx) ([]string, error) { return tx.Owners("s") })
		is(c, "of one person", 3, func(tx cloud.Tx) (int, error) { rows, err := tx.Records([]string{"ada"}); return len(rows), err })
		door.Doc, door.Owner = bytes.Repeat([]byte{0, 1}, long/2), "eve"
		c.update(func(tx cloud.Tx) error { return tx.PutRecord(door) }, func(tx cloud.Tx) error { return tx.DeleteRecord("s", ada.Ref) })
		is(c, "all now", []cloud.RecordRow{card, door}, func(tx cloud.Tx) ([]cloud.RecordRow, error) { return tx.SiteRecords("s") })
		c.missing("record", func(tx cloud.Tx) error { return tx.DeleteRecord("s", ada.Ref) })
	})
}

func TestLog(t *testing.T) {
	both(t, func(c contract) {
		entry := func(epoch uint32, seq uint64) func(cloud.Tx) error {
			return func(tx cloud.Tx) error {
				return tx.AppendLog("s", epoch, seq, at, []byte{byte(epoch), byte(seq), 0}, delta.Hash{byte(epoch), byte(seq)})
			}
		}
		read := func(epoch uint32, after uint64, limit int) func(cloud.Tx) ([][]byte, error) {
			return func(tx cloud.Tx) ([][]byte, error) { return tx.ReadLog("s", epoch, after, limit) }
		}
		const last = 1<<32 - 1
		c.update(putOrg("acme"), putSite("acme", "s"), entry(1, 2), entry(1, 1), entry(last, 1), entry(1, 3))
		is(c, "log", [][]byte{{1, 1, 0}, {1, 2, 0}, {1, 3, 0}}, read(1, 0, 0))
		is(c, "page", [][]byte{{1, 2, 0}}, read(1, 1, 1))
		is(c, "end", nil, read(1, 3, 10))
		is(c, "far behind the end", nil, read(1, 1<<64-1, 10))
		is(c, "hash", delta.Hash{1, 2}, func(tx cloud.Tx) (delta.Hash, error) { return tx.LogHash("s", 1, 2) })
		c.missing("hash", func(tx cloud.Tx) error { return second(tx.LogHash("s", 2, 2)) })
		c.missing("hash far behind", func(tx cloud.Tx) error { return second(tx.LogHash("s", 1, 1<<64-1)) })
		if err := c.db.Update(c.Context(), entry(1, 2)); err == nil {
			t.Error("an entry was written twice")
		}
		c.update(func(tx cloud.Tx) error { return tx.PruneLog("s", 1, 2) })
		is(c, "pruned", [][]byte{{1, 3, 0}}, read(1, 0, 0))
		c.update(func(tx cloud.Tx) error { return tx.PruneLog("s", last, 0) })
		is(c, "older epoch", nil, read(1, 0, 0))
		is(c, "this epoch", [][]byte{{255, 1, 0}}, read(last, 0, 0))
	})
}

func TestSiteStates(t *testing.T) {
	both(t, func(c contract) {
		st := cloud.SiteState{HelloAt: at, UpAt: at.Add(1e6), Software: odd, Nack: odd, NackAt: at, ProofAt: at,
			Applied: delta.Head{Epoch: 1<<32 - 1, Seq: 1<<64 - 1, Hash: delta.Hash{1}, Digest: delta.Digest{2}},
			Proof:   []cloud.ProofStatus{{Controller: odd, Wanted: 1, Held: 2, Equal: true, Epoch: 1<<32 - 1, Seq: 1<<64 - 1, Since: at}}}
		get := func(tx cloud.Tx) (cloud.SiteState, error) { return tx.SiteState("s") }
		c.update(putOrg("acme"), putSite("acme", "s"))
		is(c, "nothing known", cloud.SiteState{}, get)
		c.update(func(tx cloud.Tx) error { return tx.PutSiteState("s", st) })
		is(c, "state", st, get)
		c.update(func(tx cloud.Tx) error { return tx.PutSiteState("s", cloud.SiteState{Proof: []cloud.ProofStatus{}}) })
		is(c, "state put again", cloud.SiteState{Proof: []cloud.ProofStatus{}}, get)
	})
}

func TestEvents(t *testing.T) {
	both(t, func(c contract) {
		ev := func(n uint64) access.Event {
			return access.Event{N: n, At: at.Add(1), Kind: "access", Text: odd, Count: 1<<64 - 1}
		}
		add := func(epoch string, n uint64) func(cloud.Tx) error {
			return func(tx cloud.Tx) error { return tx.AppendEvent("s", epoch, ev(n)) }
		}
		c.update(putOrg("acme"), putSite("acme", "s"), putSite("acme", "t"))
		is(c, "none", 0, func(tx cloud.Tx) (uint64, error) { return tx.LastEvent("s", "e") })
		is(c, "count of none", 0, func(tx cloud.Tx) (uint64, error) { return tx.CountEvents("s") })
		c.update(add("e", 1), add("e", 2), add("f", 1))
		is(c, "events", []cloud.SiteEvent{{Pos: 2, EventEpoch: "e", Event: ev(2)}, {Pos: 3, EventEpoch: "f", Event: ev(1)}},
			func(tx cloud.Tx) ([]cloud.SiteEvent, error) { return tx.Events("s", 1, 0) })
		is(c, "last", 2, func(tx cloud.Tx) (uint64, error) { return tx.LastEvent("s", "e") })
		is(c, "count", 3, func(tx cloud.Tx) (uint64, error) { return tx.CountEvents("s") })
		is(c, "elsewhere", nil, func(tx cloud.Tx) ([]cloud.SiteEvent, error) { return tx.Events("t", 0, 10) })
		is(c, "far behind", nil, func(tx cloud.Tx) ([]cloud.SiteEvent, error) { return tx.Events("s", 1<<64-1, 10) })
		if err := c.db.Update(c.Context(), add("e", 2)); err == nil {
			t.Error("an event was stored twice")
		}
	})
}

func TestDirty(t *testing.T) {
	both(t, func(c contract) {
		mark := func(org, person string) func(cloud.Tx) error {
			return func(tx cloud.Tx) error { return tx.MarkDirty(org, person) }
		}
		type batch struct {
			org    string
			people []string
		}
		dirty := func(tx cloud.Tx) (b batch, err error) {
			b.org, b.people, err = tx.Dirty(2)
			return b, err
		}
		is(c, "nobody", batch{}, dirty)
		c.update(putOrg("acme"), putOrg("other"), mark("other", "x"), mark("acme", "c"), mark("acme", "a"), mark("acme", "b"), mark("acme", "a"))
		is(c, "first two", batch{"acme", []string{"a", "b"}}, dirty)
		is(c, "count", 3, func(tx cloud.Tx) (int, error) { return tx.CountDirty("acme") })
		c.update(func(tx cloud.Tx) error { return tx.ClearDirty("acme", []string{"a", "b", "c", "x"}) })
		is(c, "the other", batch{"other", []string{"x"}}, dirty)
	})
}

func TestDrafts(t *testing.T) {
	both(t, func(c contract) {
		drafts := func(what string, want ...cloud.Draft) {
			c.Helper()
			is(c, what, want, func(tx cloud.Tx) ([]cloud.Draft, error) { return tx.Drafts() })
		}
		put := func(d cloud.Draft) { c.update(func(tx cloud.Tx) error { return tx.PutDraft(d) }) }
		remove := func(what string, d cloud.Draft, at time.Time, want bool) {
			c.Helper()
			c.update(func(tx cloud.Tx) error {
				was, err := tx.DeleteDraft(d.Process, d.Org, at)
				if was != want {
					c.Errorf("%s: was there %v, want %v", what, was, want)
				}
				return err
			})
		}
		a, b, other := cloud.Draft{Org: "acme", Process: "a", At: at, Doc: []byte("{}")}, cloud.Draft{Org: "acme", Process: "b", At: at}, cloud.Draft{Org: "other", Process: "a", At: at}
		c.update(putOrg("acme"), putOrg("other"))
		drafts("none")
		put(other)
		put(b)
		put(a)
		drafts("all", a, b, other)
		a.At, a.Doc = at.Add(time.Second), nil
		put(a)
		drafts("put again", a, b, other)
		remove("that of another moment", a, at, false)
		drafts("kept", a, b, other)
		remove("that of this moment", a, a.At, true)
		remove("one that is gone", a, time.Time{}, false)
		remove("whenever it is from", b, time.Time{}, true)
		drafts("the rest", other)
	})
}
