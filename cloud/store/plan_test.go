package store

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/delta"
	"latchkey/wiegand"
)

// everyStatement runs the statements of all methods that are to be quick
// however much there is.
func everyStatement(t *testing.T, db *DB) (seen map[string]*sql.Stmt) {
	t.Helper()
	err := db.Update(t.Context(), func(t1 cloud.Tx) error {
		x := t1.(*tx)
		must := func(errs ...error) {
			t.Helper()
			for _, err := range errs {
				if err != nil && !errors.Is(err, cloud.ErrNotFound) {
					t.Fatal(err)
				}
			}
		}
		one := func(_ any, err error) error { return err }
		ids := []string{"a", "b"}
		must(x.PutOrg(cloud.Org{ID: "o"}), x.PutSite(cloud.SiteRow{Property: cloud.Property{ID: "s", Org: "o"}}),
			x.PutPerson(cloud.PersonRow{ID: "a", Org: "o", UserName: "a", Emails: ids}), x.PutGroup(cloud.GroupRow{ID: "g", Org: "o"}),
			x.PutOutcome(cloud.Outcome{Person: "a", Site: "s", Rule: "r"}), x.PutOutcome(cloud.Outcome{Person: "a", Site: "s"}),
			x.MarkDirty("o", "a"), x.ClearDirty("o", ids), x.PruneLog("s", 1, 1), x.DeleteManualMembers("s", "g"), x.DeleteManualMembers("s", ""), x.DeleteOutcomes("s"),
			x.AppendLog("s", 1, 1, time.Now(), []byte("{}"), delta.Hash{}), x.AppendEvent("s", "e", access.Event{N: 1}),
			x.PutHold(cloud.Hold{ID: "h", Org: "o"}), x.PutPin(cloud.Pin{Person: "a", Site: "s", Hold: "h"}), x.DeletePin("s", "a"), x.DeletePins("s"), x.AckLog("s", 1, 0, 1, time.Now()), x.CountRoleChange("a"),
			x.ExpireToken("o", "t", time.Now()), x.TouchToken("o", "t", cloud.TokenUse{At: time.Now()}), x.PutPool("o", cloud.Pool{Technology: "ble"}), x.DeletePool("o", "ble"),
			x.PutSiteState("s", cloud.SiteState{}), x.AppendAudit(cloud.AuditEntry{ID: "1", Org: "o"}), x.PutRecord(cloud.RecordRow{Site: "s", Ref: access.Ref{Kind: "person", Key: "a"}, Doc: []byte("{}")}),
			x.DeleteRecord("s", access.Ref{Kind: "person", Key: "b"}), x.DeleteCard("o", "c"), x.DeleteToken("o", "t"), x.DeleteItem("s", "door", "d"), x.DeleteRule("s", "r"), x.DeleteBadgeType("o", "b"), x.DeleteManualMember(cloud.ManualMember{}))
		must(one(x.Hold("o", "h")), one(x.Holds("o", 0)), one(x.Holds("o", 5)), one(x.Pins(ids)), one(x.HoldPins("h", "", 5)), one(x.CountPins("h")), one(x.IsDirty("o", "a")))
		_, _, err := x.LogTimes("s", 1, 1)
		_, _, errKeys := x.CountKeys("o", "ble")
		must(err, errKeys, one(x.Pools("o")), one(x.PendingKeys("o", "ble", 5)))
		must(one(x.Org("o")), one(x.bearer([32]byte{})), one(x.Token("o", "t")), one(x.Tokens("o")), one(x.BadgeTypes("o")), one(x.Site("s")), one(x.Sites("o")),
			one(x.Items("s", "door")), one(x.Rules("s")), one(x.Person("o", "a")), one(x.People("o", ids)), one(x.PersonIDs("o", "", 5)),
			one(x.Card("o", "c")), one(x.Cards(ids)), one(x.CardsByBits("o", wiegand.Bits{})), one(x.ManualMembers(ids)), one(x.Outcomes(ids)), one(x.SiteOutcomes("s")),
			one(x.Group("o", "g")), one(x.AddMember("g", "a")), one(x.RemoveMember("g", "a")), one(x.IsMember("g", "a")), one(x.MemberIDs("g", "", 0)), one(x.CountMembers("g")), one(x.MemberCounts("o")),
			one(x.Members("g", "", 0)), one(x.GroupsOf("o", "a")), one(x.GroupIDsOf("o", ids)), one(x.Records(ids)), one(x.SiteRecords("s")), one(x.OwnRecords("s")), one(x.Owners("s")),
			one(x.ReadLog("s", 1, 0, 10)), one(x.LogHash("s", 1, 1)), one(x.SiteState("s")), one(x.LastEvent("s", "e")), one(x.Events("s", 0, 10)), one(x.CountEvents("s")),
			one(x.PulledPeople("o")), one(x.PulledGroups("o")), one(x.PulledIDs("o", ids)), one(x.Setting("o", "n")), x.PutSetting("o", "n", []byte("{}")), x.DeleteSetting("o", "n"),
			one(x.FindPeople(cloud.Find{Org: "o", Origin: cloud.OriginDirectory, Terms: []cloud.Term{{Attr: "pulledId", Value: "x"}}}, 0, 1)),
			one(x.FindUsers(cloud.Find{Org: "o", Origin: cloud.OriginDirectory, Terms: []cloud.Term{{Attr: "userName", Value: "x"}}}, 0, 1)),
			one(x.FindGroups(cloud.Find{Org: "o", Terms: []cloud.Term{{Attr: "pulledId", Value: "x"}}}, 0, 1)),
			x.PutAdministrator("o", cloud.Administrator{Email: "a@b"}), one(x.Administrator("o", "a@b")), one(x.Administrators("o")), x.UnpinAdministrators("o"), x.DeleteAdministrator("o", "a@b"),
			x.PutSignInCode([32]byte{}, cloud.SignInCode{Org: "o"}), one(x.SignInCode([32]byte{})), x.DeleteSignInCodes("o"), x.DropSignInCodes(time.Now()),
			x.PutSession([32]byte{}, cloud.Session{Org: "o"}), one(x.Session([32]byte{})), x.TouchSession([32]byte{}, time.Now(), time.Now()), x.DeleteSession([32]byte{}),
			x.DeleteSessions("o", "a@b"), x.DeleteSessions("o", ""), x.DeleteCodeSessions("o"), x.DropSessions(time.Now()),
			x.PutDraft(cloud.Draft{Org: "o", Process: "p"}), one(x.DeleteDraft("p", "o", time.Now())), one(x.DeleteDraft("p", "o", time.Time{})),
			one(x.CountDirty("o")), one(x.Audit("o", "", 10)), x.DeleteGroup("o", "g"), x.DeletePerson("o", "a"))
		seen = x.stmts
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return seen
}

// TestNoStatementScans: none of the statements that a call runs reads a table
// from end to end, whatever the store's methods are asked.
func TestNoStatementScans(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "cloud.db"))
	seen := everyStatement(t, db)
	if len(seen) < 60 {
		t.Fatalf("%d statements: this test would check little", len(seen))
	}
	for query := range seen {
		plan := strings.ReplaceAll(explainSQLite(t, db, query), "SCAN json_each", "") // the list that was asked for
		if strings.Contains(plan, "SCAN") && !strings.Contains(plan, "CONSTANT ROW") {
			t.Errorf("%s: %s", strings.Join(strings.Fields(query), " "), plan)
		}
	}
}

// indexes are the indexes that serve a look-up.
type indexes struct{ sqlite, postgres string }

// eachLookup calls check with the query of each attribute by which a directory
// finds people and groups.
func eachLookup(t *testing.T, check func(query string, index indexes)) {
	t.Helper()
	for _, tt := range []struct {
		table, attr string
		index       indexes
	}{
		{"person", "id", indexes{"sqlite_autoindex_person_1", "person_org"}},
		{"person", "userName", indexes{"person_user_name", "person_user_name"}},
		{"person", "externalId", indexes{"person_external", "person_external"}},
		{"person", "displayName", indexes{"person_name", "person_name"}},
		{"person", "cardNumber", indexes{"person_card", "person_card"}},
		{"person", "manager", indexes{"person_manager", "person_manager"}},
		{"person", "emails.value", indexes{"sqlite_autoindex_person_email_1", "person_email_value"}},
		{"directory_group", "id", indexes{"sqlite_autoindex_directory_group_1", "directory_group_org"}},
		{"directory_group", "displayName", indexes{"directory_group_name", "directory_group_name"}},
		{"directory_group", "externalId", indexes{"directory_group_external", "directory_group_external"}},
		{"directory_group", "members.value", indexes{"directory_member_member", "directory_member_member"}},
	} {
		terms := personTerms
		if tt.table != "person" {
			terms = groupTerms
		}
		f := cloud.Find{Org: "acme", Origin: cloud.OriginDirectory, Terms: []cloud.Term{{Attr: tt.attr, Value: "x"}}}
		cond, _, err := where(f, terms, tt.table == "person")
		if err != nil {
			t.Fatal(err)
		}
		check(`SELECT id FROM `+tt.table+` WHERE `+cond+` ORDER BY id LIMIT 10 OFFSET 0`, tt.index)
	}
}
