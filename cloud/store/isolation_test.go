package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"latchkey/cloud"
)

// inParallel runs n of f at once and wants no error of any.
func inParallel(c contract, n int, f func(i int) error) {
	c.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if err := f(i); err != nil {
				c.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestErrorUndoesAll(t *testing.T) {
	both(t, func(c contract) {
		stop := errors.New("stop")
		runs := 0
		err := c.db.Update(c.Context(), func(tx cloud.Tx) error {
			runs++
			return errors.Join(putOrg("acme")(tx), putSite("acme", "s")(tx), putPerson("acme", "p")(tx), stop)
		})
		if !errors.Is(err, stop) || runs != 1 {
			c.Errorf("got %v after %d runs", err, runs)
		}
		is(c, "organisations", nil, func(tx cloud.Tx) ([]cloud.Org, error) { return tx.Orgs() })
	})
}

// TestFailedStatementUndoesAll: also what a caller took no notice of.
func TestFailedStatementUndoesAll(t *testing.T) {
	both(t, func(c contract) {
		err := c.db.Update(c.Context(), func(tx cloud.Tx) error {
			return errors.Join(putOrg("acme")(tx), putSite("no such organisation", "s")(tx))
		})
		if err == nil {
			c.Error("a site of no organisation was taken")
		}
		is(c, "organisations", nil, func(tx cloud.Tx) ([]cloud.Org, error) { return tx.Orgs() })
	})
}

func TestViewOnlyReads(t *testing.T) {
	both(t, func(c contract) {
		if err := c.db.View(c.Context(), putOrg("acme")); err == nil {
			c.Error("a view wrote")
		}
	})
}

// TestNoUpdateIsLost: everyone adds one to the same number.
func TestNoUpdateIsLost(t *testing.T) {
	both(t, func(c contract) {
		const writers, each = 6, 10
		c.update(putOrg("acme"))
		inParallel(c, writers, func(int) error {
			for range each {
				err := c.db.Update(c.Context(), func(tx cloud.Tx) error {
					o, err := tx.Org("acme")
					o.Config++
					return errors.Join(err, tx.PutOrg(o))
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		is(c, "counted", writers*each, func(tx cloud.Tx) (int64, error) { o, err := tx.Org("acme"); return o.Config, err })
	})
}

// TestParallelMembers: five writers put members into one group and append to
// one log, as directories do; none is lost and the log has no gap.
func TestParallelMembers(t *testing.T) {
	both(t, func(c contract) {
		const writers, each = 5, 20
		c.update(putOrg("acme"), putSite("acme", "s"), putGroup("acme", "g"))
		inParallel(c, writers, func(w int) error {
			for i := range each {
				err := c.db.Update(c.Context(), func(tx cloud.Tx) error {
					s, err := tx.Site("s")
					s.Head.Seq++
					g, err2 := tx.Group("acme", "g")
					g.Version++
					return errors.Join(err, err2, second(tx.AddMember("g", fmt.Sprint(w, "-", i))), tx.PutGroup(g),
						tx.AppendLog("s", 0, s.Head.Seq, at, []byte("{}"), s.Head.Hash), tx.PutSite(s))
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		is(c, "members", writers*each, func(tx cloud.Tx) (int, error) { return tx.CountMembers("g") })
		is(c, "version", writers*each, func(tx cloud.Tx) (int64, error) { g, err := tx.Group("acme", "g"); return g.Version, err })
		is(c, "log", writers*each, func(tx cloud.Tx) (int, error) { rows, err := tx.ReadLog("s", 0, 0, 0); return len(rows), err })
	})
}

// TestNoWriteSkew: of two people one must stay, and each transaction removes
// one of them having seen both.
func TestNoWriteSkew(t *testing.T) {
	both(t, func(c contract) {
		c.update(putOrg("acme"), putGroup("acme", "g"))
		for range 5 {
			c.update(func(tx cloud.Tx) error {
				return errors.Join(second(tx.AddMember("g", "0")), second(tx.AddMember("g", "1")))
			})
			var removed atomic.Int32
			inParallel(c, 2, func(i int) error {
				var did bool
				err := c.db.Update(c.Context(), func(tx cloud.Tx) error {
					did = false
					n, err := tx.CountMembers("g")
					if err != nil || n < 2 {
						return err
					}
					did, err = tx.RemoveMember("g", fmt.Sprint(i))
					return err
				})
				if did {
					removed.Add(1)
				}
				return err
			})
			if n := removed.Load(); n != 1 {
				c.Fatalf("%d of 2 were removed, want 1", n)
			}
		}
	})
}

// TestSameNameOnce: of many who make what only one may have, one does.
func TestSameNameOnce(t *testing.T) {
	both(t, func(c contract) {
		taken := errors.New("taken")
		c.update(putOrg("acme"))
		var made atomic.Int32
		inParallel(c, 6, func(i int) error {
			err := c.db.Update(c.Context(), func(tx cloud.Tx) error {
				n, err := tx.CountPeople(cloud.Find{Org: "acme", Terms: []cloud.Term{{Attr: "userName", Value: "ada"}}})
				if err != nil {
					return err
				}
				if n > 0 {
					return taken
				}
				return tx.PutPerson(cloud.PersonRow{ID: fmt.Sprint(i), Org: "acme", UserName: "Ada", Doc: []byte("{}")})
			})
			if errors.Is(err, taken) {
				return nil
			}
			made.Add(1)
			return err
		})
		if n := made.Load(); n != 1 {
			c.Errorf("made %d, want 1", n)
		}
	})
}

// TestViewSeesOneMoment: what is committed during a view is not seen by it.
func TestViewSeesOneMoment(t *testing.T) {
	both(t, func(c contract) {
		c.update(putOrg("acme"))
		err := c.db.View(c.Context(), func(tx cloud.Tx) error {
			before, err := tx.Orgs()
			c.update(putOrg("later"))
			after, err2 := tx.Orgs()
			if len(before) != 1 || len(after) != 1 {
				c.Errorf("saw %d, then %d", len(before), len(after))
			}
			return errors.Join(err, err2)
		})
		if err != nil {
			c.Error(err)
		}
	})
}

func TestCancelledUpdateIsUndone(t *testing.T) {
	both(t, func(c contract) {
		ctx, cancel := context.WithCancel(c.Context())
		err := c.db.Update(ctx, func(tx cloud.Tx) error {
			err := putOrg("acme")(tx)
			cancel()
			return err
		})
		if err == nil {
			c.Error("a cancelled update was done")
		}
		if err := c.db.View(ctx, func(cloud.Tx) error { return nil }); !errors.Is(err, context.Canceled) {
			c.Errorf("got %v, want Canceled", err)
		}
		is(c, "organisations", nil, func(tx cloud.Tx) ([]cloud.Org, error) { return tx.Orgs() })
	})
}

// TestManyAtOnce: more callers than connections wait for one another.
func TestManyAtOnce(t *testing.T) {
	both(t, func(c contract) {
		c.update(putOrg("acme"))
		inParallel(c, 100, func(i int) error {
			if i%10 == 0 {
				return c.db.Update(c.Context(), putPerson("acme", fmt.Sprint(i)))
			}
			return c.db.View(c.Context(), func(tx cloud.Tx) error { return second(tx.PersonIDs("acme", "", -1)) })
		})
		is(c, "people", 10, func(tx cloud.Tx) (int, error) { return tx.CountPeople(cloud.Find{Org: "acme"}) })
	})
}
