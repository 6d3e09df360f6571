package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/wiegand"
)

func people(c contract, what string, want []string, get func(cloud.Tx) ([]cloud.PersonRow, error)) {
	c.Helper()
	is(c, what, want, func(tx cloud.Tx) (ids []string, err error) {
		rows, err := get(tx)
		for _, p := range rows {
			ids = append(ids, p.ID)
		}
		return ids, err
	})
}

func TestPeople(t *testing.T) {
	both(t, func(c contract) {
		p := cloud.PersonRow{ID: "p", Org: "acme", Origin: cloud.OriginDirectory, UserName: "Ada@Example.com", ExternalID: odd, Name: "Ada " + odd,
			Active: true, Suspended: true, Kind: access.KindFull, CardNumber: "AB12", Manager: "m", Emails: []string{"a@x", "b@x"},
			CardLast: "l", CardState: cloud.CardIssued, CardText: odd, Issues: []cloud.Issue{{Attr: "a", Text: odd}},
			Doc: []byte(`{"x":"` + strings.Repeat("🗝", long/4) + `"}`), Created: at, Modified: at.AddDate(0, 0, 1), Version: 1 << 40}
		put := func(tx cloud.Tx) error { return tx.PutPerson(p) }
		person := func(tx cloud.Tx) (cloud.PersonRow, error) { return tx.Person("acme", "p") }
		c.missing("person", func(tx cloud.Tx) error { return second(person(tx)) })
		c.update(putOrg("acme"), putOrg("other"), put)
		is(c, "person", p, person)
		c.missing("person of another", func(tx cloud.Tx) error { return second(tx.Person("other", "p")) })
		p.Active, p.Emails, p.Issues, p.Doc, p.Version = false, []string{"b@x", "c@x"}, nil, []byte("{}"), 2
		c.update(put)
		is(c, "person put again", p, person)
		q := p
		q.Emails = nil // it comes with a person alone
		is(c, "people", []cloud.PersonRow{q}, func(tx cloud.Tx) ([]cloud.PersonRow, error) { return tx.People("acme", []string{"p", "p", "none"}) })
		c.missing("delete of another's", func(tx cloud.Tx) error { return tx.DeletePerson("other", "p") })
	})
}

func TestFindPeople(t *testing.T) {
	both(t, func(c contract) {
		huge := strings.Repeat("x", 100_000)
		ada := cloud.PersonRow{ID: "1", Org: "acme", Origin: cloud.OriginDirectory, UserName: "Ada", ExternalID: "E1", Name: "ÄDA", CardNumber: "aB", Manager: "M", Emails: []string{"ada@x"}, Doc: []byte("{}")}
		bob := cloud.PersonRow{ID: "2", Org: "acme", Origin: cloud.OriginDirectory, UserName: huge + "B", ExternalID: huge + "e", Name: huge + "n",
			CardNumber: "", Manager: huge + "m", Emails: []string{huge + "@"}, Doc: []byte("{}")}
		eve := cloud.PersonRow{ID: "3", Org: "acme", Origin: cloud.OriginManual, Name: "ädA", Doc: []byte("{}")}
		for _, p := range []cloud.PersonRow{eve, bob, ada} {
			c.update(putOrg("acme"), func(tx cloud.Tx) error { return tx.PutPerson(p) })
		}
		for _, tt := range []struct {
			attr, value string
			want        []string
		}{
			{"id", "1", []string{"1"}},
			{"userName", "ada", []string{"1"}},
			{"userName", "", nil}, // somebody made by hand has none
			{"userName", huge + "b", []string{"2"}},
			{"userName", huge + "c", nil},
			{"externalId", "E1", []string{"1"}},
			{"externalId", "e1", nil},
			{"externalId", huge + "e", []string{"2"}},
			{"externalId", huge + "f", nil},
			{"displayName", "äda", []string{"1", "3"}},
			{"cardNumber", "ab", []string{"1"}},
			{"manager", "M", []string{"1"}},
			{"manager", huge + "m", []string{"2"}},
			{"emails.value", "ada@x", []string{"1"}},
			{"emails.value", huge + "@", []string{"2"}},
			{"emails.value", "nul\x00\xff", nil},
		} {
			f := cloud.Find{Org: "acme", Terms: []cloud.Term{{Attr: tt.attr, Value: tt.value}}}
			what := fmt.Sprintf("%s is %.20q", tt.attr, tt.value)
			people(c, what, tt.want, func(tx cloud.Tx) ([]cloud.PersonRow, error) { return tx.FindPeople(f, 0, -1) })
			is(c, what+" count", len(tt.want), func(tx cloud.Tx) (int, error) { return tx.CountPeople(f) })
			is(c, what+" as users", tt.want, func(tx cloud.Tx) (ids []string, err error) {
				users, err := tx.FindUsers(f, 0, -1)
				for _, u := range users {
					ids = append(ids, u.ID)
				}
				return ids, err
			})
		}
		page := func(f cloud.Find, start, count int) func(cloud.Tx) ([]cloud.PersonRow, error) {
			return func(tx cloud.Tx) ([]cloud.PersonRow, error) { return tx.FindPeople(f, start, count) }
		}
		all := cloud.Find{Org: "acme"}
		people(c, "all", []string{"1", "2", "3"}, page(all, 0, -1))
		people(c, "from the second", []string{"2", "3"}, page(all, 1, -1))
		people(c, "the second", []string{"2"}, page(all, 1, 1))
		people(c, "none of them", nil, page(all, 0, 0))
		people(c, "of the directory", []string{"1", "2"}, page(cloud.Find{Org: "acme", Origin: cloud.OriginDirectory}, 0, -1))
		people(c, "after", []string{"3"}, page(cloud.Find{Org: "acme", After: "2"}, 0, 10))
		people(c, "two terms", []string{"1"}, page(cloud.Find{Org: "acme", Terms: []cloud.Term{{Attr: "displayName", Value: "äda"}, {Attr: "userName", Value: "ada"}}}, 0, -1))
		if err := c.db.View(c.Context(), func(tx cloud.Tx) error {
			return second(tx.FindPeople(cloud.Find{Org: "acme", Terms: []cloud.Term{{Attr: "nickName"}}}, 0, -1))
		}); err == nil {
			t.Error("an attribute without an index was taken")
		}
	})
}

// TestTextsSortByBytes is about every list that is ordered by an id.
func TestTextsSortByBytes(t *testing.T) {
	both(t, func(c contract) {
		c.update(putOrg("acme"), putGroup("acme", "g"))
		for _, id := range slices.Backward(sorted) {
			c.update(putPerson("acme", id), func(tx cloud.Tx) error { return second(tx.AddMember("g", id)) })
		}
		ids := func(tx cloud.Tx) ([]string, error) { return tx.PersonIDs("acme", "", -1) }
		is(c, "person ids", sorted, ids)
		is(c, "person ids after", sorted[4:7], func(tx cloud.Tx) ([]string, error) { return tx.PersonIDs("acme", sorted[3], 3) })
		is(c, "member ids", sorted, func(tx cloud.Tx) ([]string, error) { return tx.MemberIDs("g", "", 0) })
		is(c, "member ids after", sorted[6:8], func(tx cloud.Tx) ([]string, error) { return tx.MemberIDs("g", sorted[5], 2) })
		people(c, "people", sorted, func(tx cloud.Tx) ([]cloud.PersonRow, error) { return tx.People("acme", sorted) })
		people(c, "found", sorted, func(tx cloud.Tx) ([]cloud.PersonRow, error) { return tx.FindPeople(cloud.Find{Org: "acme"}, 0, -1) })
	})
}

// TestLongLists: a list of ids may be as long as a batch and longer, in any
// order, and what comes back is in the order that is promised.
func TestLongLists(t *testing.T) {
	both(t, func(c contract) {
		const n = 1010
		ids := make([]string, n)
		for i := range ids {
			ids[i] = fmt.Sprintf("%04d", i)
		}
		c.update(putOrg("acme"), putSite("acme", "s"), putGroup("acme", "g"), func(tx cloud.Tx) error {
			for i, id := range ids {
				bits, err := wiegand.ParseBits(fmt.Sprintf("26:%X", i+1))
				if err != nil {
					return err
				}
				card := cloud.Card{ID: fmt.Sprintf("c%04d", n-i), Org: "acme", Person: id, Bits: bits}
				for _, err := range []error{putPerson("acme", id)(tx), tx.PutCard(card), second(tx.AddMember("g", id)), tx.MarkDirty("acme", id),
					tx.PutManualMember(cloud.ManualMember{Person: id, Site: "s", Group: "m"}), tx.PutOutcome(cloud.Outcome{Person: id, Site: "s", Rule: "r"}),
					tx.PutRecord(cloud.RecordRow{Site: "s", Ref: access.Ref{Kind: access.KindPerson, Key: id}, Owner: id, Doc: []byte("{}")})} {
					if err != nil {
						return err
					}
				}
			}
			return nil
		})
		shuffled := slices.Clone(ids)
		slices.Reverse(shuffled)
		shuffled = append(shuffled, shuffled[:10]...) // twice is once
		people(c, "people", ids, func(tx cloud.Tx) ([]cloud.PersonRow, error) { return tx.People("acme", shuffled) })
		count := func(what string, get func(cloud.Tx) (int, bool, error)) {
			c.Helper()
			is(c, what, n, func(tx cloud.Tx) (int, error) {
				got, inOrder, err := get(tx)
				if !inOrder {
					c.Errorf("%s: not in order", what)
				}
				return got, err
			})
		}
		count("cards", func(tx cloud.Tx) (int, bool, error) {
			rows, err := tx.Cards(shuffled)
			return len(rows), slices.IsSortedFunc(rows, func(a, b cloud.Card) int { return strings.Compare(a.ID, b.ID) }), err
		})
		count("manual members", func(tx cloud.Tx) (int, bool, error) {
			rows, err := tx.ManualMembers(shuffled)
			return len(rows), true, err
		})
		count("outcomes", func(tx cloud.Tx) (int, bool, error) { rows, err := tx.Outcomes(shuffled); return len(rows), true, err })
		count("records", func(tx cloud.Tx) (int, bool, error) { rows, err := tx.Records(shuffled); return len(rows), true, err })
		count("groups", func(tx cloud.Tx) (int, bool, error) {
			rows, err := tx.GroupIDsOf("acme", shuffled)
			return len(rows), true, err
		})
		c.update(func(tx cloud.Tx) error { return tx.ClearDirty("acme", shuffled[:n-1]) })
		is(c, "dirty", 1, func(tx cloud.Tx) (int, error) { return tx.CountDirty("acme") })
		for _, none := range [][]string{nil, {}} {
			people(c, "people of no ids", nil, func(tx cloud.Tx) ([]cloud.PersonRow, error) { return tx.People("acme", none) })
			c.update(func(tx cloud.Tx) error { return tx.ClearDirty("acme", none) })
		}
	})
}

func TestCards(t *testing.T) {
	both(t, func(c contract) {
		bits, err := wiegand.ParseBits("64:FFFFFFFFFFFFFFFE")
		if err != nil {
			t.Fatal(err)
		}
		card := cloud.Card{ID: "1", Org: "acme", Person: "p", Origin: cloud.OriginManual, Technology: access.TechCard, Status: access.CredentialActive, BadgeType: "b", Format: "raw",
			Bits: bits, Facility: 1<<64 - 1, Number: 1 << 63, ValidFrom: -1, ValidUntil: 1 << 40, Created: at}
		put := func(k cloud.Card) func(cloud.Tx) error { return func(tx cloud.Tx) error { return tx.PutCard(k) } }
		c.update(putOrg("acme"), putOrg("other"), put(card), putPerson("acme", "p")) // in either order
		is(c, "card", card, func(tx cloud.Tx) (cloud.Card, error) { return tx.Card("acme", "1") })
		is(c, "cards by bits", []cloud.Card{card}, func(tx cloud.Tx) ([]cloud.Card, error) { return tx.CardsByBits("acme", bits) })
		is(c, "cards by bits elsewhere", nil, func(tx cloud.Tx) ([]cloud.Card, error) { return tx.CardsByBits("other", bits) })
		card.Status = access.CredentialSuspended
		c.update(put(card))
		is(c, "cards", []cloud.Card{card}, func(tx cloud.Tx) ([]cloud.Card, error) { return tx.Cards([]string{"p"}) })
		twin := card
		twin.ID = "2"
		if err := c.db.Update(c.Context(), put(twin)); err == nil {
			t.Error("two cards that are not shared have one number")
		}
		c.missing("card", func(tx cloud.Tx) error { return tx.DeleteCard("other", "1") })
		c.update(func(tx cloud.Tx) error { return tx.DeleteCard("acme", "1") })
		c.missing("deleted card", func(tx cloud.Tx) error { return second(tx.Card("acme", "1")) })
	})
}

func TestMembershipsAndOutcomes(t *testing.T) {
	both(t, func(c contract) {
		m := func(site, group string) cloud.ManualMember {
			return cloud.ManualMember{Person: "p", Site: site, Group: group}
		}
		put := func(m cloud.ManualMember) func(cloud.Tx) error {
			return func(tx cloud.Tx) error { return tx.PutManualMember(m) }
		}
		members := func(tx cloud.Tx) ([]cloud.ManualMember, error) { return tx.ManualMembers([]string{"p"}) }
		c.update(putOrg("acme"), putSite("acme", "s"), putSite("acme", "t"), putPerson("acme", "p"),
			put(m("t", "b")), put(m("s", "b")), put(m("s", "a")), put(m("s", "a")), put(m("s", "c")))
		is(c, "members", []cloud.ManualMember{m("s", "a"), m("s", "b"), m("s", "c"), m("t", "b")}, members)
		c.update(func(tx cloud.Tx) error { return tx.DeleteManualMember(m("s", "a")) }, func(tx cloud.Tx) error { return tx.DeleteManualMembers("s", "b") })
		c.missing("member", func(tx cloud.Tx) error { return tx.DeleteManualMember(m("s", "a")) })
		is(c, "members left", []cloud.ManualMember{m("s", "c"), m("t", "b")}, members)
		c.update(func(tx cloud.Tx) error { return tx.DeleteManualMembers("s", "") })
		is(c, "members of the other site", []cloud.ManualMember{m("t", "b")}, members)

		o := cloud.Outcome{Person: "p", Site: "s", Rule: "r", Groups: []string{odd}, Role: cloud.RoleUser, BLE: true}
		is := func(what string, want ...cloud.Outcome) {
			c.Helper()
			is(c, what, want, func(tx cloud.Tx) ([]cloud.Outcome, error) { return tx.Outcomes([]string{"p"}) })
			is(c, what+" at the site", want, func(tx cloud.Tx) ([]cloud.Outcome, error) { return tx.SiteOutcomes("s") })
		}
		putOutcome := func(o cloud.Outcome) { c.update(func(tx cloud.Tx) error { return tx.PutOutcome(o) }) }
		putOutcome(o)
		is("outcome", o)
		o.Rule, o.Groups, o.Wallet = "r2", []string{}, true
		putOutcome(o)
		is("outcome put again", o)
		putOutcome(cloud.Outcome{Person: "p", Site: "s"})
		is("outcome that is none")
		putOutcome(o)
		c.update(func(tx cloud.Tx) error { return tx.DeleteOutcomes("s") })
		is("outcomes deleted")
	})
}

func TestGroups(t *testing.T) {
	both(t, func(c contract) {
		huge := strings.Repeat("g", 100_000)
		g := cloud.GroupRow{ID: "g", Org: "acme", DisplayName: "Staff " + odd, ExternalID: huge, Doc: []byte(`{"a":"` + odd + `"}`), Created: at, Modified: at, Version: 3}
		find := func(attr, value string) cloud.Find {
			return cloud.Find{Org: "acme", Terms: []cloud.Term{{Attr: attr, Value: value}}}
		}
		c.missing("group", func(tx cloud.Tx) error { return second(tx.Group("acme", "g")) })
		c.update(putOrg("acme"), putOrg("other"), func(tx cloud.Tx) error { return tx.PutGroup(g) }, putGroup("acme", "h"), func(tx cloud.Tx) error {
			return tx.PutPerson(cloud.PersonRow{ID: "p", Org: "acme", Doc: []byte("{}"), Created: at, Modified: at.Add(1e9), Version: 3})
		})
		is(c, "group", g, func(tx cloud.Tx) (cloud.GroupRow, error) { return tx.Group("acme", "g") })
		add := func(group, member string, want bool) {
			c.Helper()
			c.update(func(tx cloud.Tx) error {
				added, err := tx.AddMember(group, member)
				if added != want {
					c.Errorf("%s into %s: added %v", member, group, added)
				}
				return err
			})
		}
		add("h", "p", true)
		add("g", "p", true)
		add("g", "p", false)
		add("g", "nobody yet", true)
		for _, f := range []cloud.Find{find("id", "g"), find("displayName", strings.ToLower(g.DisplayName)), find("externalId", huge)} {
			is(c, "found by "+f.Terms[0].Attr, []cloud.GroupRow{g}, func(tx cloud.Tx) ([]cloud.GroupRow, error) { return tx.FindGroups(f, 0, 10) })
			is(c, "counted", 1, func(tx cloud.Tx) (int, error) { return tx.CountGroups(f) })
		}
		is(c, "groups of a member", 2, func(tx cloud.Tx) (int, error) { return tx.CountGroups(find("members.value", "p")) })
		is(c, "members", []cloud.Member{{Value: "nobody yet"}, {Value: "p"}}, func(tx cloud.Tx) ([]cloud.Member, error) { return tx.Members("g", "", 0) })
		is(c, "groups", []cloud.Member{{Value: "g", Display: g.DisplayName}, {Value: "h", Display: "group h"}}, func(tx cloud.Tx) ([]cloud.Member, error) { return tx.GroupsOf("acme", "p") })
		users := func(tx cloud.Tx) ([]cloud.User, error) { return tx.FindUsers(cloud.Find{Org: "acme"}, 0, 1) }
		user := cloud.User{ID: "p", Doc: []byte("{}"), Groups: []cloud.Member{{Value: "g", Display: g.DisplayName}, {Value: "h", Display: "group h"}}, Created: at, Modified: at.Add(1e9), Version: 3}
		is(c, "user", []cloud.User{user}, users)
		bare := user
		bare.Groups = nil
		is(c, "user without groups", []cloud.User{bare}, func(tx cloud.Tx) ([]cloud.User, error) {
			return tx.FindUsers(cloud.Find{Org: "acme", NoGroups: true}, 0, 1)
		})
		is(c, "groups elsewhere", nil, func(tx cloud.Tx) ([]cloud.Member, error) { return tx.GroupsOf("other", "p") })
		is(c, "ids", map[string][]string{"p": {"g", "h"}, "nobody yet": {"g"}}, func(tx cloud.Tx) (map[string][]string, error) {
			return tx.GroupIDsOf("acme", []string{"p", "nobody yet", "x"})
		})
		is(c, "count", 2, func(tx cloud.Tx) (int, error) { return tx.CountMembers("g") })
		counts := func(tx cloud.Tx) (map[string]int, error) { return tx.MemberCounts("acme") }
		is(c, "counts", map[string]int{"g": 2, "h": 1}, counts)
		is(c, "counts elsewhere", map[string]int{}, func(tx cloud.Tx) (map[string]int, error) { return tx.MemberCounts("other") })
		is(c, "member", true, func(tx cloud.Tx) (bool, error) { return tx.IsMember("g", "p") })
		for _, want := range []bool{true, false} {
			c.update(func(tx cloud.Tx) error {
				removed, err := tx.RemoveMember("h", "p")
				if removed != want {
					c.Errorf("removed %v", removed)
				}
				return err
			})
		}
		c.update(func(tx cloud.Tx) error { return second(tx.RemoveMember("g", "p")) })
		user.Groups = nil
		is(c, "user of no group", []cloud.User{user}, users)
		c.update(func(tx cloud.Tx) error { return tx.DeletePerson("acme", "p") })
		is(c, "members without the person", []string{"nobody yet"}, func(tx cloud.Tx) ([]string, error) { return tx.MemberIDs("g", "", 0) })
		c.update(func(tx cloud.Tx) error { return tx.DeleteGroup("acme", "g") })
		is(c, "members of no group", 0, func(tx cloud.Tx) (int, error) { return tx.CountMembers("g") })
		c.missing("deleted", func(tx cloud.Tx) error { return tx.DeleteGroup("acme", "g") })
	})
}
