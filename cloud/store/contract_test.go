package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/cloud/store/pgtest"
	"latchkey/delta"
)

// both runs a test of the contract of cloud.Store on each engine.
func both(t *testing.T, test func(c contract)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { test(contract{t, open(t, filepath.Join(t.TempDir(), "cloud.db"))}) })
	t.Run("PostgreSQL", func(t *testing.T) { test(contract{t, &openTestPostgres(t, migrated.Copy(t)).DB}) })
}

// migrated is a database with the newest schema and nothing in it.
var migrated = pgtest.Template{Prepare: func(ctx context.Context, url string) error {
	db, err := OpenPostgres(ctx, PostgresConfig{URL: url})
	if err != nil {
		return err
	}
	return db.Close()
}}

func openTestPostgres(t *testing.T, url string) *Postgres {
	t.Helper()
	db, err := OpenPostgres(t.Context(), PostgresConfig{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// A contract is a store under test.
type contract struct {
	*testing.T
	db *DB
}

// update does all of writes in one transaction.
func (c contract) update(writes ...func(cloud.Tx) error) {
	c.Helper()
	err := c.db.Update(c.Context(), func(tx cloud.Tx) error {
		for _, write := range writes {
			if err := write(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		c.Fatal(err)
	}
}

// is reads with get in a transaction of its own and compares.
func is[T any](c contract, what string, want T, get func(cloud.Tx) (T, error)) {
	c.Helper()
	var got T
	err := c.db.View(c.Context(), func(tx cloud.Tx) (err error) {
		got, err = get(tx)
		return err
	})
	if err != nil {
		c.Errorf("%s: %v", what, err)
	}
	if !reflect.DeepEqual(got, want) {
		c.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

// missing wants ErrNotFound of a read and of a write.
func (c contract) missing(what string, do func(cloud.Tx) error) {
	c.Helper()
	if err := c.db.Update(c.Context(), do); !errors.Is(err, cloud.ErrNotFound) {
		c.Errorf("%s: got %v, want ErrNotFound", what, err)
	}
}

func second[T any](_ T, err error) error { return err }

// Texts that a store has to bring back byte for byte.
const (
	odd  = "Zoë 🗝 \u202e\t'\"; DROP TABLE person; -- %_\\ \U0010ffff\u2028"
	long = 1 << 20
)

var at = time.Date(2026, 3, 1, 9, 0, 0, 123e6, time.UTC) // milliseconds are kept

func putOrg(id string) func(cloud.Tx) error {
	return func(tx cloud.Tx) error { return tx.PutOrg(cloud.Org{ID: id, Sentinels: []string{}}) }
}

func putSite(org, id string) func(cloud.Tx) error {
	return func(tx cloud.Tx) error {
		return tx.PutSite(cloud.SiteRow{Property: cloud.Property{ID: id, Org: org, Pilot: []string{}, PilotIDs: []string{}}})
	}
}

func putPerson(org, id string) func(cloud.Tx) error {
	return func(tx cloud.Tx) error {
		return tx.PutPerson(cloud.PersonRow{ID: id, Org: org, Doc: []byte("{}")})
	}
}

func putGroup(org, id string) func(cloud.Tx) error {
	return func(tx cloud.Tx) error {
		return tx.PutGroup(cloud.GroupRow{ID: id, Org: org, DisplayName: "group " + id, Doc: []byte("{}")})
	}
}

// A column of texts sorts by bytes: capitals first, then what is not ASCII
// last, whatever language the database's server speaks.
var sorted = []string{"A", "B", "Z", "a", "a b", "a-b", "aB", "ab", "b", "é", "🗝"}

func TestOrganisations(t *testing.T) {
	both(t, func(c contract) {
		o := cloud.Org{ID: "acme", Name: odd, Profile: cloud.ProfileOkta, SCIMEnabled: true, CardRemoval: cloud.RemovalKeep,
			Sentinels: []string{"NONE", odd}, Created: at, Config: 1<<62 + 1}
		c.missing("org", func(tx cloud.Tx) error { return second(tx.Org("acme")) })
		c.update(func(tx cloud.Tx) error { return tx.PutOrg(o) })
		is(c, "org", o, func(tx cloud.Tx) (cloud.Org, error) { return tx.Org("acme") })
		o.Name, o.SCIMEnabled, o.Sentinels = "", false, []string{}
		c.update(func(tx cloud.Tx) error { return tx.PutOrg(o) }, putOrg("Acme"))
		is(c, "orgs", []string{"Acme", "acme"}, func(tx cloud.Tx) (ids []string, err error) {
			all, err := tx.Orgs()
			for _, o := range all {
				ids = append(ids, o.ID)
			}
			return ids, err
		})
		is(c, "org put again", o, func(tx cloud.Tx) (cloud.Org, error) { return tx.Org("acme") })
	})
}

func TestTokens(t *testing.T) {
	both(t, func(c contract) {
		k1, k2 := cloud.Token{ID: "1", Org: "acme", Label: odd, Created: at}, cloud.Token{ID: "2", Org: "acme"}
		h1, h2 := [32]byte{0, 1}, [32]byte{255}
		c.update(putOrg("acme"), putOrg("other"), func(tx cloud.Tx) error { return tx.PutToken(k2, h2) }, func(tx cloud.Tx) error { return tx.PutToken(k1, h1) })
		is(c, "token", k1, func(tx cloud.Tx) (cloud.Token, error) { return tx.Token("acme", "1") })
		bearer := func(what string, hash [32]byte, want cloud.Bearer, wantErr error) {
			c.Helper()
			for range 2 { // what is remembered is the same
				if got, err := c.db.Bearer(c.Context(), hash); got != want || !errors.Is(err, wantErr) {
					c.Errorf("%s: got %+v, %v, want %+v, %v", what, got, err, want, wantErr)
				}
			}
		}
		bearer("bearer", h2, cloud.Bearer{Token: "2", Org: "acme"}, nil)
		one := cloud.Bearer{Token: "1", Org: "acme"}
		bearer("bearer", h1, one, nil)
		is(c, "tokens", []cloud.Token{k1, k2}, func(tx cloud.Tx) ([]cloud.Token, error) { return tx.Tokens("acme") })
		c.missing("token of another", func(tx cloud.Tx) error { return second(tx.Token("other", "1")) })
		bearer("no token", [32]byte{}, cloud.Bearer{}, cloud.ErrNotFound)
		k1.Expires, k1.LastUsed, k1.LastClient = at.Add(time.Hour), at, odd
		touch := func(use cloud.TokenUse) func(cloud.Tx) error {
			return func(tx cloud.Tx) error { return tx.TouchToken("acme", "1", use) }
		}
		c.update(func(tx cloud.Tx) error { return tx.ExpireToken("acme", "1", at.Add(time.Hour)) }, touch(cloud.TokenUse{At: at, Client: odd}),
			touch(cloud.TokenUse{At: at.Add(-time.Second), Client: "older"}), func(tx cloud.Tx) error { return tx.TouchToken("acme", "none", cloud.TokenUse{At: at}) })
		is(c, "token in use", k1, func(tx cloud.Tx) (cloud.Token, error) { return tx.Token("acme", "1") })
		one.Expires = k1.Expires
		bearer("bearer of one that ends", h1, one, nil)
		c.update(func(tx cloud.Tx) error {
			return tx.PutOrg(cloud.Org{ID: "acme", Profile: cloud.ProfileOkta, SCIMEnabled: true})
		})
		one.Profile, one.SCIMEnabled = cloud.ProfileOkta, true
		bearer("bearer of a changed organisation", h1, one, nil)
		c.missing("expiry of another's", func(tx cloud.Tx) error { return tx.ExpireToken("other", "1", at) })
		c.missing("delete of another's", func(tx cloud.Tx) error { return tx.DeleteToken("other", "1") })
		c.update(func(tx cloud.Tx) error { return tx.DeleteToken("acme", "1") })
		bearer("deleted", h1, cloud.Bearer{}, cloud.ErrNotFound)
	})
}

func TestBadgeTypes(t *testing.T) {
	both(t, func(c contract) {
		b1 := cloud.BadgeType{ID: "a", Format: "H10302", Facility: new(uint64(1<<63 | 1)), Default: true}
		b2 := cloud.BadgeType{ID: "b", Format: "raw", Shared: true}
		put := func(b cloud.BadgeType) func(cloud.Tx) error {
			return func(tx cloud.Tx) error { return tx.PutBadgeType("acme", b) }
		}
		c.update(putOrg("acme"), put(b2), put(b1))
		is(c, "badge types", []cloud.BadgeType{b1, b2}, func(tx cloud.Tx) ([]cloud.BadgeType, error) { return tx.BadgeTypes("acme") })
		b1.Facility, b1.Default = nil, false
		c.update(put(b1), func(tx cloud.Tx) error { return tx.DeleteBadgeType("acme", "b") })
		is(c, "badge types", []cloud.BadgeType{b1}, func(tx cloud.Tx) ([]cloud.BadgeType, error) { return tx.BadgeTypes("acme") })
		c.missing("badge type", func(tx cloud.Tx) error { return tx.DeleteBadgeType("acme", "b") })
	})
}

func TestSites(t *testing.T) {
	both(t, func(c contract) {
		head := delta.Head{Epoch: 1<<32 - 1, Seq: 1<<64 - 1, Hash: delta.Hash{1, 31: 2}, Digest: delta.Digest{3}}
		s := cloud.SiteRow{Property: cloud.Property{ID: "s", Org: "acme", Name: odd, Key: "key", Wallet: true, Pilot: []string{odd}, PilotIDs: []string{""}},
			Head: head, Deleted: true}
		c.missing("site", func(tx cloud.Tx) error { return second(tx.Site("s")) })
		c.update(putOrg("acme"), putOrg("other"), func(tx cloud.Tx) error { return tx.PutSite(s) }, putSite("acme", "a"), putSite("other", "o"))
		is(c, "site", s, func(tx cloud.Tx) (cloud.SiteRow, error) { return tx.Site("s") })
		for org, want := range map[string][]string{"acme": {"a", "s"}, "other": {"o"}, "": {"a", "o", "s"}, "none": nil} {
			is(c, "sites of "+org, want, func(tx cloud.Tx) (ids []string, err error) {
				all, err := tx.Sites(org)
				for _, s := range all {
					ids = append(ids, s.ID)
				}
				return ids, err
			})
		}
		s.Name, s.Head, s.Deleted = "", delta.Head{}, false
		c.update(func(tx cloud.Tx) error { return tx.PutSite(s) })
		is(c, "site put again", s, func(tx cloud.Tx) (cloud.SiteRow, error) { return tx.Site("s") })
	})
}

func TestItemsAndRules(t *testing.T) {
	both(t, func(c contract) {
		big := strings.Repeat(odd, long/len(odd))
		c.update(putOrg("acme"), putSite("acme", "s"), putSite("acme", "s2"))
		for _, id := range []string{"b", "a", "B"} {
			c.update(func(tx cloud.Tx) error {
				return tx.PutItem("s", access.KindDoor, cloud.Item{ID: id, Doc: []byte(`{}`)})
			})
		}
		c.update(func(tx cloud.Tx) error {
			return tx.PutItem("s", access.KindDoor, cloud.Item{ID: "a", Doc: []byte(big)})
		})
		is(c, "items", []cloud.Item{{ID: "B", Doc: []byte(`{}`)}, {ID: "a", Doc: []byte(big)}, {ID: "b", Doc: []byte(`{}`)}},
			func(tx cloud.Tx) ([]cloud.Item, error) { return tx.Items("s", access.KindDoor) })
		is(c, "items of another kind", nil, func(tx cloud.Tx) ([]cloud.Item, error) { return tx.Items("s", access.KindSchedule) })
		c.update(func(tx cloud.Tx) error { return tx.DeleteItem("s", access.KindDoor, "a") })
		c.missing("item", func(tx cloud.Tx) error { return tx.DeleteItem("s", access.KindDoor, "a") })

		first := cloud.Rule{ID: "z", Site: "s", Name: odd, Position: 1, Created: at, Conditions: []cloud.Condition{{Attr: "title", Op: cloud.OpEqual, Value: odd}}}
		last := cloud.Rule{ID: "a", Site: "s", Position: 2}
		put := func(r cloud.Rule) func(cloud.Tx) error { return func(tx cloud.Tx) error { return tx.PutRule(r) } }
		c.update(put(last), put(first))
		is(c, "rules", []cloud.Rule{first, last}, func(tx cloud.Tx) ([]cloud.Rule, error) { return tx.Rules("s") })
		first.Position = 3
		c.update(put(first))
		is(c, "rules in new order", []cloud.Rule{last, first}, func(tx cloud.Tx) ([]cloud.Rule, error) { return tx.Rules("s") })
		c.update(func(tx cloud.Tx) error { return tx.DeleteRule("s", "z") })
		c.missing("rule", func(tx cloud.Tx) error { return tx.DeleteRule("s2", "a") })
	})
}

func TestAudit(t *testing.T) {
	both(t, func(c contract) {
		var want []cloud.AuditEntry
		c.update(putOrg("acme"), putOrg("other"))
		for i := range 5 {
			e := cloud.AuditEntry{ID: fmt.Sprint(i), Org: "acme", At: at, Who: cloud.Actor(odd), What: "create user", Object: "o", Name: odd, Error: "no",
				Changes: map[string]cloud.Change{"a": {Before: "x", After: odd}}}
			c.update(func(tx cloud.Tx) error { return tx.AppendAudit(e) })
			want = append(want, e)
		}
		slices.Reverse(want)
		audit := func(before string, limit int) func(cloud.Tx) ([]cloud.AuditEntry, error) {
			return func(tx cloud.Tx) ([]cloud.AuditEntry, error) { return tx.Audit("acme", before, limit) }
		}
		is(c, "newest", want[:2], audit("", 2))
		is(c, "before", want[2:], audit("3", 10))
		is(c, "other", nil, func(tx cloud.Tx) ([]cloud.AuditEntry, error) { return tx.Audit("other", "", 10) })
	})
}

func TestClosedStoreFails(t *testing.T) {
	both(t, func(c contract) {
		if err := c.db.Close(); err != nil {
			t.Fatal(err)
		}
		if err := c.db.Update(context.Background(), putOrg("acme")); err == nil {
			t.Error("a closed store took an update")
		}
	})
}
