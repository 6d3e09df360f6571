package store

import (
	"testing"
	"time"

	"latchkey/cloud"
)

func TestAdministrators(t *testing.T) {
	both(t, func(c contract) {
		ann := cloud.Administrator{Email: "ann@example.com", Role: cloud.PageOwner, Made: at, By: "admin", Subject: "https://login.example 0001"}
		bob := cloud.Administrator{Email: "bob@example.com", Role: cloud.PageViewer, Made: at, By: odd}
		put := func(org string, a cloud.Administrator) func(cloud.Tx) error {
			return func(tx cloud.Tx) error { return tx.PutAdministrator(org, a) }
		}
		list := func(org string) func(cloud.Tx) ([]cloud.Administrator, error) {
			return func(tx cloud.Tx) ([]cloud.Administrator, error) { return tx.Administrators(org) }
		}
		c.update(putOrg("acme"), putOrg("other"))
		c.missing("administrator", func(tx cloud.Tx) error { return second(tx.Administrator("acme", "ann@example.com")) })
		c.missing("administrator to delete", func(tx cloud.Tx) error { return tx.DeleteAdministrator("acme", "ann@example.com") })
		c.update(put("acme", bob), put("acme", ann), put("other", bob))
		is(c, "administrators", []cloud.Administrator{ann, bob}, list("acme"))
		is(c, "administrator", ann, func(tx cloud.Tx) (cloud.Administrator, error) { return tx.Administrator("acme", "ann@example.com") })
		bob.Role, bob.Subject = cloud.PageAdmin, "s"
		c.update(put("acme", bob), func(tx cloud.Tx) error { return tx.UnpinAdministrators("acme") })
		ann.Subject, bob.Subject = "", ""
		is(c, "administrators without accounts", []cloud.Administrator{ann, bob}, list("acme"))
		c.update(func(tx cloud.Tx) error { return tx.DeleteAdministrator("acme", "ann@example.com") })
		is(c, "administrators left", []cloud.Administrator{bob}, list("acme"))
		is(c, "administrators elsewhere", 1, func(tx cloud.Tx) (int, error) {
			all, err := tx.Administrators("other")
			return len(all), err
		})
	})
}

func TestSignInCodes(t *testing.T) {
	both(t, func(c contract) {
		code := cloud.SignInCode{Org: "acme", Label: "K7Q2", Made: at, By: "admin", Expires: at.Add(time.Minute)}
		hash, later, other := [32]byte{1}, [32]byte{2}, [32]byte{3}
		put := func(hash [32]byte, code cloud.SignInCode) func(cloud.Tx) error {
			return func(tx cloud.Tx) error { return tx.PutSignInCode(hash, code) }
		}
		get := func(hash [32]byte) func(cloud.Tx) (cloud.SignInCode, error) {
			return func(tx cloud.Tx) (cloud.SignInCode, error) { return tx.SignInCode(hash) }
		}
		gone := func(what string, hash [32]byte) {
			c.Helper()
			c.missing(what, func(tx cloud.Tx) error { return second(tx.SignInCode(hash)) })
		}
		c.update(putOrg("acme"), putOrg("other"))
		gone("code", hash)
		c.update(put(hash, code))
		is(c, "code", code, get(hash))
		code.Used = at.Add(time.Second)
		c.update(put(hash, code))
		is(c, "used code", code, get(hash))
		second := code
		second.Expires = at.Add(2 * time.Minute)
		elsewhere := second
		elsewhere.Org = "other"
		c.update(put(later, second), put(other, elsewhere), func(tx cloud.Tx) error { return tx.DropSignInCodes(at.Add(time.Minute)) })
		gone("dropped code", hash)
		is(c, "code that has not ended", second, get(later))
		c.update(func(tx cloud.Tx) error { return tx.DeleteSignInCodes("acme") })
		gone("deleted code", later)
		is(c, "code elsewhere", elsewhere, get(other))
	})
}

func TestSessions(t *testing.T) {
	both(t, func(c contract) {
		account := cloud.Session{Org: "acme", Email: "ann@example.com", Name: odd, Role: cloud.PageAdmin, Person: "p", Changes: 1<<62 + 1, Began: at, Seen: at, Ends: at.Add(3 * time.Hour)}
		byCode := cloud.Session{Org: "acme", Role: cloud.PageOwner, Code: "K7Q2", Began: at, Seen: at, Ends: at.Add(30 * time.Minute)}
		elsewhere, bob := account, account
		elsewhere.Org, bob.Email = "other", "bob@example.com"
		put := func(n byte, s cloud.Session) func(cloud.Tx) error {
			return func(tx cloud.Tx) error { return tx.PutSession([32]byte{n}, s) }
		}
		have := func(what string, want ...byte) {
			c.Helper()
			is(c, what, want, func(tx cloud.Tx) (got []byte, err error) {
				for n := range byte(10) {
					if _, err := tx.Session([32]byte{n}); err == nil {
						got = append(got, n)
					}
				}
				return got, nil
			})
		}
		c.update(putOrg("acme"), putOrg("other"))
		c.missing("session", func(tx cloud.Tx) error { return second(tx.Session([32]byte{1})) })
		c.update(put(1, account), put(2, byCode), put(3, elsewhere), put(4, bob), put(5, account))
		is(c, "session", account, func(tx cloud.Tx) (cloud.Session, error) { return tx.Session([32]byte{1}) })
		is(c, "session by a code", byCode, func(tx cloud.Tx) (cloud.Session, error) { return tx.Session([32]byte{2}) })
		if err := c.db.Update(c.Context(), put(1, bob)); err == nil {
			t.Error("one secret opens two sessions")
		}

		account.Seen = at.Add(time.Minute)
		c.update(func(tx cloud.Tx) error { return tx.TouchSession([32]byte{1}, account.Seen, account.Until()) },
			func(tx cloud.Tx) error { return tx.TouchSession([32]byte{9}, at, at) })
		is(c, "session with a request", account, func(tx cloud.Tx) (cloud.Session, error) { return tx.Session([32]byte{1}) })
		c.update(func(tx cloud.Tx) error { return tx.DropSessions(at.Add(30 * time.Minute)) })
		have("sessions that did not end", 1, 3, 4, 5)
		c.update(func(tx cloud.Tx) error { return tx.DropSessions(at.Add(cloud.SessionIdle)) })
		have("sessions with a request", 1)

		c.update(put(2, byCode), put(3, elsewhere), put(4, bob), put(5, account))
		c.update(func(tx cloud.Tx) error { return tx.DeleteSession([32]byte{5}) }, func(tx cloud.Tx) error { return tx.DeleteSession([32]byte{5}) })
		have("sessions but one", 1, 2, 3, 4)
		c.update(func(tx cloud.Tx) error { return tx.DeleteSessions("acme", "ann@example.com") })
		have("sessions but ann's", 2, 3, 4)
		c.update(func(tx cloud.Tx) error { return tx.DeleteSessions("acme", "") })
		have("sessions of no account", 2, 3)
		c.update(func(tx cloud.Tx) error { return tx.DeleteCodeSessions("acme") })
		have("sessions elsewhere", 3)
	})
}
