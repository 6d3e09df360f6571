package store

import (
	"testing"

	"latchkey/cloud"
)

func TestPulled(t *testing.T) {
	both(t, func(c contract) {
		p := cloud.PersonRow{ID: "p", Org: "acme", Origin: cloud.OriginDirectory, UserName: "ada", Name: "Ada", Doc: []byte("{}"), Created: at, Modified: at,
			PulledID: "00u2", PulledStatus: "SUSPENDED", PulledOwned: true, PulledOut: true}
		q := cloud.PersonRow{ID: "q", Org: "acme", Origin: cloud.OriginDirectory, UserName: "bob", Name: "Bob", Doc: []byte("{}"), Created: at, Modified: at, PulledID: "00u1"}
		put := func(p cloud.PersonRow) func(cloud.Tx) error {
			return func(tx cloud.Tx) error { return tx.PutPerson(p) }
		}
		c.update(putOrg("acme"), putOrg("other"), put(p), put(q), putPerson("acme", "r"), putPerson("other", "s"))
		is(c, "person", p, func(tx cloud.Tx) (cloud.PersonRow, error) { return tx.Person("acme", "p") })
		p.PulledOut, p.PulledStatus = false, "ACTIVE"
		c.update(put(p))
		is(c, "people who were read", []cloud.PulledPerson{{PulledID: "00u1", ID: "q", Name: "Bob"}, {PulledID: "00u2", ID: "p", Name: "Ada", Status: "ACTIVE", Owned: true}},
			func(tx cloud.Tx) ([]cloud.PulledPerson, error) { return tx.PulledPeople("acme") })
		is(c, "ids", map[string]string{"00u2": "p"}, func(tx cloud.Tx) (map[string]string, error) {
			return tx.PulledIDs("acme", []string{"00u2", "00u9", ""})
		})
		is(c, "ids elsewhere", map[string]string{}, func(tx cloud.Tx) (map[string]string, error) { return tx.PulledIDs("other", []string{"00u2"}) })
		people(c, "person by the directory's id", []string{"q"}, func(tx cloud.Tx) ([]cloud.PersonRow, error) {
			return tx.FindPeople(cloud.Find{Org: "acme", Origin: cloud.OriginDirectory, Terms: []cloud.Term{{Attr: "pulledId", Value: "00u1"}}}, 0, -1)
		})
		q.PulledID = "00u2"
		if err := c.db.Update(c.Context(), put(q)); err == nil {
			t.Error("two people are one user of the directory")
		}
	})
}

func TestPulledGroups(t *testing.T) {
	both(t, func(c contract) {
		g := cloud.GroupRow{ID: "g", Org: "acme", DisplayName: "Staff", ExternalID: "00g1", Doc: []byte("{}"), Created: at, Modified: at, PulledID: "00g1"}
		put := func(tx cloud.Tx) error { return tx.PutGroup(g) }
		groups := func(tx cloud.Tx) ([]cloud.PulledGroupRow, error) { return tx.PulledGroups("acme") }
		c.update(putOrg("acme"), put)
		is(c, "group", g, func(tx cloud.Tx) (cloud.GroupRow, error) { return tx.Group("acme", "g") })
		is(c, "groups that were read", []cloud.PulledGroupRow{{PulledID: "00g1", ID: "g", Name: "Staff"}}, groups)
		g.PulledID = ""
		c.update(put)
		is(c, "a group that was taken over", nil, groups)
	})
}

func TestSettings(t *testing.T) {
	both(t, func(c contract) {
		put := func(org, name, doc string) func(cloud.Tx) error {
			return func(tx cloud.Tx) error { return tx.PutSetting(org, name, []byte(doc)) }
		}
		setting := func(tx cloud.Tx) ([]byte, error) { return tx.Setting("acme", "n") }
		c.update(putOrg("acme"), putOrg("other"))
		c.missing("setting", func(tx cloud.Tx) error { return second(setting(tx)) })
		c.update(put("acme", "n", "{}"), put("acme", "n", `{"a":1}`), put("other", "n", "{}"), put("other", "m", "{}"))
		is(c, "setting", []byte(`{"a":1}`), setting)
		is(c, "organisations", []string{"acme", "other"}, func(tx cloud.Tx) ([]string, error) { return tx.SettingOrgs("n") })
		c.update(func(tx cloud.Tx) error { return tx.DeleteSetting("acme", "n") }, func(tx cloud.Tx) error { return tx.DeleteSetting("acme", "n") })
		is(c, "organisations left", []string{"other"}, func(tx cloud.Tx) ([]string, error) { return tx.SettingOrgs("n") })
		c.missing("deleted setting", func(tx cloud.Tx) error { return second(setting(tx)) })
	})
}
