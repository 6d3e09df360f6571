package cloud_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"latchkey/access"
	"latchkey/cloud"
)

func TestK3ValidNumberMakesACard(t *testing.T) {
	w := newWorld(t)
	w.rule("north", cloud.Rule{Name: "everyone"})
	u := w.user("ada", " 10045731 ")
	w.expect("north", u.ID, "active, card 10045731, in staff")
	w.expect("south", u.ID, "")
	p := w.person(u.ID)
	if len(p.Cards) != 1 || p.Cards[0].Status != "active" || p.Cards[0].BadgeType != "Default" || p.Cards[0].Masked != "H10302 …5731" || p.CardState != cloud.CardIssued {
		t.Errorf("got %+v, card state %q", p.Cards, p.CardState)
	}
	if got := attrs(t, u)[cloud.EnterpriseURN].(map[string]any)["cardNumber"]; got != " 10045731 " {
		t.Errorf("card number comes back as %q", got)
	}
}

func TestK4ChangedNumberReplacesTheCardInOneMessage(t *testing.T) {
	w := newWorld(t)
	w.rule("north", cloud.Rule{})
	u := w.user("ada", "111")
	before := w.seq("north")
	w.mustPatch(u.ID, map[string]any{"cardNumber": "222"})
	w.expect("north", u.ID, "active, card 222, in staff")
	if got := w.seq("north"); got != before+1 {
		t.Errorf("the change took %d messages, want 1", got-before)
	}
	if got := w.denied("north", before); len(got) != 1 || got[0] != "credential" {
		t.Errorf("denied %v, want the old credential", got)
	}
	// Another spelling is the same card.
	w.mustPatch(u.ID, map[string]any{"cardNumber": "0222"})
	if got := w.seq("north"); got != before+1 {
		t.Errorf("another spelling made %d messages", got-before-1)
	}
}

func TestK5ManualCardIsNeverTouched(t *testing.T) {
	w := newWorld(t)
	w.rule("north", cloud.Rule{})
	u := w.user("ada", "111")
	_, err := w.svc.AddCard(w.ctx, admin, "acme", u.ID, cloud.NewCard{Number: "900"})
	w.ok(err)
	_, err = w.svc.PatchOrg(w.ctx, admin, "acme", cloud.OrgPatch{CardRemoval: new(cloud.RemovalRevoke)})
	w.ok(err)
	w.mustPatch(u.ID, map[string]any{"cardNumber": "222"})
	w.expect("north", u.ID, "active, card 222, card 900, in staff")
	w.mustPatch(u.ID, map[string]any{"cardNumber": nil})
	w.expect("north", u.ID, "active, card 900, in staff")
}

func TestK6RemovedNumber(t *testing.T) {
	for _, tt := range []struct {
		name, setting string
		remove        func(w *world, id string) error
		want          string
	}{
		{"nothing sent", cloud.RemovalRevoke, func(w *world, id string) error {
			_, err := w.patch(id, map[string]any{"title": "Engineer"})
			return err
		}, "active, card 111, in staff"},
		{"PATCH remove, keep", cloud.RemovalKeep, func(w *world, id string) error {
			_, err := w.patch(id, map[string]any{"cardNumber": nil})
			return err
		}, "active, card 111, in staff"},
		{"PATCH remove, revoke", cloud.RemovalRevoke, func(w *world, id string) error {
			_, err := w.patch(id, map[string]any{"cardNumber": nil})
			return err
		}, "active, in staff"},
		{"empty, revoke", cloud.RemovalRevoke, func(w *world, id string) error {
			_, err := w.patch(id, map[string]any{"cardNumber": "  "})
			return err
		}, "active, in staff"},
		{"sentinel, revoke", cloud.RemovalRevoke, func(w *world, id string) error {
			_, err := w.patch(id, map[string]any{"cardNumber": "revoked"})
			return err
		}, "active, in staff"},
		{"sentinel, keep", cloud.RemovalKeep, func(w *world, id string) error {
			_, err := w.patch(id, map[string]any{"cardNumber": "REVOKED"})
			return err
		}, "active, card 111, in staff"},
		{"PUT without it, revoke", cloud.RemovalRevoke, func(w *world, id string) error {
			_, err := w.svc.UpdateUser(w.ctx, w.caller, id, "", true, func(map[string]any) (map[string]any, error) { return doc("ada", ""), nil })
			return err
		}, "active, in staff"},
		{"PUT with null, revoke", cloud.RemovalRevoke, func(w *world, id string) error {
			_, err := w.svc.UpdateUser(w.ctx, w.caller, id, "", true, func(map[string]any) (map[string]any, error) {
				d := doc("ada", "")
				d[cloud.EnterpriseURN] = map[string]any{"cardNumber": nil}
				return d, nil
			})
			return err
		}, "active, in staff"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.rule("north", cloud.Rule{})
			_, err := w.svc.PatchOrg(w.ctx, admin, "acme", cloud.OrgPatch{CardRemoval: &tt.setting})
			w.ok(err)
			u := w.user("ada", "111")
			w.ok(tt.remove(w, u.ID))
			w.expect("north", u.ID, tt.want)
			// What was removed may come back.
			w.mustPatch(u.ID, map[string]any{"cardNumber": "111"})
			w.expect("north", u.ID, "active, card 111, in staff")
		})
	}
}

func TestK7InvalidNumberIsRefused(t *testing.T) {
	w := newWorld(t)
	w.rule("north", cloud.Rule{})
	w.user("bob", "555")
	u := w.user("ada", "111")
	for number, why := range map[string]string{
		"12A45":          "characters",
		"99999999999999": "too wide",
		"7-123":          "facility",
		"555":            "another person",
		"NOPE:12":        "does not exist",
		"bits:4:FF":      "bits:LENGTH:HEX",
		"H10301:12":      "facility",
	} {
		seq := w.seq("north")
		_, err := w.patch(u.ID, map[string]any{"cardNumber": number, "title": "changed"})
		if detail := w.refused(err); !strings.Contains(detail, why) {
			t.Errorf("%q: refused with %q, want something about %q", number, detail, why)
		}
		got, err := w.svc.User(w.ctx, w.caller, u.ID, true)
		w.ok(err)
		if attrs(t, got)["title"] != nil || got.Version != u.Version || w.seq("north") != seq {
			t.Errorf("%q: the refused request changed something", number)
		}
		if _, err := w.svc.CreateUser(w.ctx, w.caller, doc("new", number)); err == nil {
			t.Errorf("%q: a new user with it was taken", number)
		}
	}
	w.expect("north", u.ID, "active, card 111, in staff")
}

func TestK7DeactivationIsNeverRefused(t *testing.T) {
	w := newWorld(t)
	w.rule("north", cloud.Rule{})
	u := w.user("ada", "111")
	before := w.seq("north")
	w.mustPatch(u.ID, map[string]any{"cardNumber": "N/A", "active": false})
	w.expect("north", u.ID, "inactive, in staff")
	if got := strings.Join(w.denied("north", before), " "); got != "credential person" {
		t.Errorf("denied %q", got)
	}
	p := w.person(u.ID)
	if p.CardState != cloud.CardSetAside || !strings.Contains(p.CardText, "characters") || strings.Contains(p.CardText, "N/A") {
		t.Errorf("card state %q, %q", p.CardState, p.CardText)
	}
	// The restore is not refused either, and a sound number heals it.
	w.mustPatch(u.ID, map[string]any{"active": true})
	w.expect("north", u.ID, "active, in staff")
	w.mustPatch(u.ID, map[string]any{"cardNumber": "111"})
	w.expect("north", u.ID, "active, card 111, in staff")
}

func TestK8DisableRestoreDelete(t *testing.T) {
	w := newWorld(t)
	g := w.group("Employees")
	for _, site := range []string{"north", "south"} {
		w.rule(site, cloud.Rule{Conditions: []cloud.Condition{{Group: "Employees"}}})
	}
	u := w.user("ada", "111")
	_, err := w.svc.UpdateGroup(w.ctx, w.caller, g.ID, "", func(e *cloud.GroupEdit) error { return e.Add(u.ID) })
	w.ok(err)
	before := w.seq("north")
	w.mustPatch(u.ID, map[string]any{"active": false})
	for _, site := range []string{"north", "south"} {
		w.expect(site, u.ID, "inactive, card 111, in staff")
	}
	if got := strings.Join(w.denied("north", before), " "); got != "person" {
		t.Errorf("denied %q, want the person", got)
	}
	w.mustPatch(u.ID, map[string]any{"active": true})
	w.expect("north", u.ID, "active, card 111, in staff")

	// A restore looks at the rules anew.
	w.mustPatch(u.ID, map[string]any{"active": false})
	_, err = w.svc.UpdateGroup(w.ctx, w.caller, g.ID, "", func(e *cloud.GroupEdit) error { return e.Remove(u.ID) })
	w.ok(err)
	w.mustPatch(u.ID, map[string]any{"active": true})
	w.expect("north", u.ID, "")

	_, err = w.svc.UpdateGroup(w.ctx, w.caller, g.ID, "", func(e *cloud.GroupEdit) error { return e.Add(u.ID) })
	w.ok(err)
	w.ok(w.svc.DeleteUser(w.ctx, w.caller, u.ID, ""))
	w.expect("north", u.ID, "")
	w.expect("south", u.ID, "")
	if _, err := w.svc.User(w.ctx, w.caller, u.ID, true); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("deleted user: %v", err)
	}
	w.user("eve", "111") // the number is free again
}

func TestK8ReviveByExternalID(t *testing.T) {
	w := newWorld(t)
	w.rule("north", cloud.Rule{})
	u := w.user("ada", "111")
	if _, err := w.svc.CreateUser(w.ctx, w.caller, doc("ada", "111")); !isConflict(err, "userName") {
		t.Errorf("second user of that name: %v", err)
	}
	w.mustPatch(u.ID, map[string]any{"active": false, "title": "Engineer"})
	again := w.user("ada", "222")
	if again.ID != u.ID || attrs(t, again)["title"] != "Engineer" {
		t.Errorf("revived as %s with %v, want %s and the title", again.ID, attrs(t, again), u.ID)
	}
	w.expect("north", u.ID, "active, card 222, in staff")
}

func isConflict(err error, attr string) bool {
	c, ok := errors.AsType[*cloud.Conflict](err)
	return ok && c.Attr == attr
}

func TestK9ByHand(t *testing.T) {
	w := newWorld(t)
	w.rule("north", cloud.Rule{})
	u := w.user("ada", "")

	// A directory number equal to the manual card is linked.
	manual, err := w.svc.AddCard(w.ctx, admin, "acme", u.ID, cloud.NewCard{Number: "900"})
	w.ok(err)
	w.mustPatch(u.ID, map[string]any{"cardNumber": "900"})
	w.expect("north", u.ID, "active, card 900, in staff")
	if p := w.person(u.ID); p.CardState != cloud.CardLinked || len(p.Cards) != 1 {
		t.Errorf("card state %q, %d cards", p.CardState, len(p.Cards))
	}
	// Disabled, the manual card stops too, unchanged as a record.
	_, err = w.svc.PatchCard(w.ctx, admin, "acme", manual.ID, cloud.CardPatch{Status: new("suspended")})
	w.ok(err)
	w.mustPatch(u.ID, map[string]any{"active": false})
	w.expect("north", u.ID, "inactive, card 900 suspended, in staff")
	w.mustPatch(u.ID, map[string]any{"active": true})

	// A directory card deleted by hand comes back only with a changed number.
	w.mustPatch(u.ID, map[string]any{"cardNumber": "111"})
	for _, c := range w.person(u.ID).Cards {
		if c.Origin == cloud.OriginDirectory {
			w.ok(w.svc.DeleteCard(w.ctx, admin, "acme", c.ID))
		}
	}
	w.mustPatch(u.ID, map[string]any{"title": "Engineer"})
	w.expect("north", u.ID, "active, card 900 suspended, in staff")
	w.mustPatch(u.ID, map[string]any{"cardNumber": "112"})
	w.expect("north", u.ID, "active, card 112, card 900 suspended, in staff")

	// A visitor has what is given by hand, and rules take none of it.
	v, err := w.svc.CreatePerson(w.ctx, admin, "acme", cloud.NewPerson{Name: "Visitor"})
	w.ok(err)
	_, err = w.svc.AddCard(w.ctx, admin, "acme", v.ID, cloud.NewCard{Number: "700"})
	w.ok(err)
	w.expect("north", v.ID, "")
	w.ok(w.svc.AddMembership(w.ctx, admin, "acme", v.ID, "north", "vip"))
	w.ok(w.svc.AddMembership(w.ctx, admin, "acme", u.ID, "north", "vip"))
	w.expect("north", v.ID, "active, card 700, in vip")
	w.expect("north", u.ID, "active, card 112, card 900 suspended, in staff, in vip")
	w.ok(w.svc.RemoveMembership(w.ctx, admin, "acme", u.ID, "north", "vip"))
	_, err = w.svc.PatchPerson(w.ctx, admin, "acme", v.ID, cloud.PersonPatch{Suspended: new(true)})
	w.ok(err)
	w.expect("north", v.ID, "inactive, card 700, in vip")
	w.ok(w.svc.DeletePerson(w.ctx, admin, "acme", v.ID))
	w.expect("north", v.ID, "")
	if _, err := w.svc.AddCard(w.ctx, admin, "acme", u.ID, cloud.NewCard{Number: "112"}); !isConflict(err, "number") {
		t.Errorf("the same number twice: %v", err)
	}
}

func TestR1PropertyWithoutRuleIsFrozen(t *testing.T) {
	w := newWorld(t)
	r := w.rule("north", cloud.Rule{})
	u := w.user("ada", "111")
	w.ok(w.svc.DeleteRule(w.ctx, admin, "acme", "north", r.ID))
	w.expect("north", u.ID, "active, card 111, in staff")
	late := w.user("bob", "222")
	w.expect("north", late.ID, "")
	all, err := w.svc.Properties(w.ctx, "acme")
	w.ok(err)
	if len(all) != 2 || all[0].Note != "not syncing: no rule" || all[0].Syncing {
		t.Errorf("got %+v", all)
	}
	w.mustPatch(u.ID, map[string]any{"active": false})
	w.expect("north", u.ID, "inactive, card 111, in staff")
	w.ok(w.svc.DeleteUser(w.ctx, w.caller, u.ID, ""))
	w.expect("north", u.ID, "")
	w.rule("north", cloud.Rule{})
	w.expect("north", late.ID, "active, card 222, in staff")

	// A group that was deleted while frozen does not come back with its name.
	rules, err := w.svc.Rules(w.ctx, "acme", "north")
	w.ok(err)
	w.refused(w.svc.DeleteAccessGroup(w.ctx, admin, "acme", "north", "staff"))
	w.ok(w.svc.DeleteRule(w.ctx, admin, "acme", "north", rules[0].ID))
	w.ok(w.svc.DeleteAccessGroup(w.ctx, admin, "acme", "north", "staff"))
	w.expect("north", late.ID, "active, card 222")
	_, err = w.svc.PutAccessGroup(w.ctx, admin, "acme", "north", cloud.AccessGroup{ID: "staff"})
	w.ok(err)
	w.mustPatch(late.ID, map[string]any{"title": "x"})
	w.expect("north", late.ID, "active, card 222")
}

func TestR2WhatARuleGives(t *testing.T) {
	w := newWorld(t)
	old := w.user("old", "1")
	if _, err := w.svc.CreateRule(w.ctx, admin, "acme", "north", cloud.Rule{Enabled: true, Mobile: cloud.Mobile{Wallet: true}}); err == nil {
		t.Error("Wallet was given where it is not installed")
	}
	_, err := w.svc.PutProperty(w.ctx, admin, "acme", cloud.Property{ID: "north", Name: "north", Wallet: true})
	w.ok(err)
	w.rule("north", cloud.Rule{OnlyNew: true, Groups: []string{"staff", "vip"}, Role: cloud.RoleAdmin, Mobile: cloud.Mobile{BLE: true, Wallet: true}})
	u := w.user("ada", "2")
	w.expect("north", old.ID, "")
	w.expect("north", u.ID, "active, card 0 pending, card 0 pending, card 2, in staff, in vip") // the keys have no pool
	rec := w.fold("north")[access.Ref{Kind: access.KindPerson, Key: u.ID}]
	if want := fmt.Sprintf(`{"id":%q,"name":"ADA","state":"active","kind":"FULL","role":"Admin","ble":true,"wallet":true}`, u.ID); rec != want {
		t.Errorf("person record %s, want %s", rec, want)
	}
}

func TestR4Conditions(t *testing.T) {
	w := newWorld(t)
	attrs := doc("ada", "1")
	attrs["title"] = "Head of Security"
	attrs["metadata"] = map[string]any{"city": "Berlin"}
	attrs[cloud.EnterpriseURN].(map[string]any)["department"] = "Facilities"
	attrs["urn:example:2.0:User"] = map[string]any{"floor": 3}
	u, err := w.svc.CreateUser(w.ctx, w.caller, attrs)
	w.ok(err)
	g := w.group("Employees", u.ID)
	yes := cloud.Condition{Group: "Employees"}
	no := cloud.Condition{Group: "Nobody"}
	for _, tt := range []struct {
		name  string
		match string
		conds []cloud.Condition
		want  bool
	}{
		{"no condition (R3)", "all", nil, true},
		{"group", "all", []cloud.Condition{yes}, true},
		{"group by id", "all", []cloud.Condition{{GroupID: g.ID}}, true},
		{"not provisioned", "all", []cloud.Condition{no}, false},
		{"all", "all", []cloud.Condition{yes, no}, false},
		{"any", "any", []cloud.Condition{no, yes}, true},
		{"department", "all", []cloud.Condition{{Attr: "department", Op: "eq", Value: "facilities"}}, true},
		{"title contains", "all", []cloud.Condition{{Attr: "title", Op: "co", Value: "SECURITY"}}, true},
		{"title starts", "all", []cloud.Condition{{Attr: "title", Op: "sw", Value: "Sec"}}, false},
		{"metadata", "all", []cloud.Condition{{Attr: "metadata.city", Op: "ne", Value: "Paris"}}, true},
		{"extension", "all", []cloud.Condition{{Attr: "urn:example:2.0:User:floor", Op: "eq", Value: "3"}}, true},
		{"present", "all", []cloud.Condition{{Attr: "nickName", Op: "pr"}}, false},
		{"userType absent", "all", []cloud.Condition{{Attr: "userType", Op: "eq", Value: "full"}}, true},
	} {
		r := w.rule("north", cloud.Rule{Name: tt.name, Match: tt.match, Conditions: tt.conds})
		want := ""
		if tt.want {
			want = "active, card 1, in staff"
		}
		w.expect("north", u.ID, want)
		// Another rule keeps the property from freezing.
		other := w.rule("north", cloud.Rule{Conditions: []cloud.Condition{no}})
		w.ok(w.svc.DeleteRule(w.ctx, admin, "acme", "north", r.ID))
		w.expect("north", u.ID, "") // R7
		w.ok(w.svc.DeleteRule(w.ctx, admin, "acme", "north", other.ID))
		if t.Failed() {
			t.Fatalf("in %q", tt.name)
		}
	}
}

func TestR4GroupIsBoundToItsID(t *testing.T) {
	w := newWorld(t)
	u := w.user("ada", "1")
	r := w.rule("north", cloud.Rule{Conditions: []cloud.Condition{{Group: "Employees"}}})
	g := w.group("Employees", u.ID) // appears after the rule
	w.expect("north", u.ID, "active, card 1, in staff")
	rename := func(id, name string) {
		_, err := w.svc.UpdateGroup(w.ctx, w.caller, id, "", func(e *cloud.GroupEdit) error { e.Attrs["displayName"] = name; return nil })
		w.ok(err)
	}
	rename(g.ID, "Staff")
	w.expect("north", u.ID, "active, card 1, in staff")
	impostor := w.user("mallory", "2")
	w.group("Employees", impostor.ID)
	w.expect("north", impostor.ID, "")
	// An edit that does not change the condition keeps what it is bound to.
	r.Name = "edited"
	r.Conditions[0].GroupID = ""
	r, err := w.svc.PutRule(w.ctx, admin, "acme", "north", r)
	w.ok(err)
	if r.Conditions[0].GroupID != g.ID {
		t.Errorf("bound to %q, want %q", r.Conditions[0].GroupID, g.ID)
	}
	w.ok(w.svc.DeleteGroup(w.ctx, w.caller, g.ID, ""))
	w.expect("north", u.ID, "")
}

func TestR5FirstMatchDecides(t *testing.T) {
	w := newWorld(t)
	u := w.user("ada", "1")
	a := w.rule("north", cloud.Rule{Groups: []string{"staff"}})
	b := w.rule("north", cloud.Rule{Groups: []string{"vip"}})
	w.expect("north", u.ID, "active, card 1, in staff")
	_, err := w.svc.OrderRules(w.ctx, admin, "acme", "north", []string{b.ID, a.ID})
	w.ok(err)
	w.expect("north", u.ID, "active, card 1, in vip")
	b.Enabled = false
	_, err = w.svc.PutRule(w.ctx, admin, "acme", "north", b)
	w.ok(err)
	w.expect("north", u.ID, "active, card 1, in staff")
	for _, ids := range [][]string{nil, {a.ID}, {a.ID, a.ID}, {a.ID, "x"}} {
		_, err := w.svc.OrderRules(w.ctx, admin, "acme", "north", ids)
		w.refused(err)
	}
}

func TestR9Pilot(t *testing.T) {
	w := newWorld(t)
	w.rule("north", cloud.Rule{})
	u, v := w.user("ada", "1"), w.user("bob", "2")
	st, err := w.svc.PutProperty(w.ctx, admin, "acme", cloud.Property{ID: "north", Name: "north", Pilot: []string{"Pilots"}})
	w.ok(err)
	if !slices.Equal(st.Waits, []string{"Pilots"}) {
		t.Errorf("waits for %q, want the pilot's group", st.Waits)
	}
	w.expect("north", u.ID, "")
	w.group("Pilots", u.ID)
	if st, err = w.svc.Property(w.ctx, "acme", "north"); err != nil || len(st.Waits) > 0 {
		t.Errorf("waits for %q, %v, once the group is there", st.Waits, err)
	}
	w.expect("north", u.ID, "active, card 1, in staff")
	w.expect("north", v.ID, "")
}

func TestD1Tokens(t *testing.T) {
	w := newWorld(t)
	first, one, err := w.svc.CreateToken(w.ctx, admin, "acme", "one")
	w.ok(err)
	_, two, err := w.svc.CreateToken(w.ctx, admin, "acme", "two")
	w.ok(err)
	for _, secret := range []string{one, two} { // both hold at once
		if c, err := w.svc.Authenticate(w.ctx, secret); err != nil || c.Org != "acme" {
			t.Errorf("got %+v, %v", c, err)
		}
	}
	w.ok(w.svc.DeleteToken(w.ctx, admin, "acme", first.ID))
	for _, secret := range []string{one, "", two + "x", strings.ToUpper(two)} {
		if _, err := w.svc.Authenticate(w.ctx, secret); !errors.Is(err, cloud.ErrToken) {
			t.Errorf("got %v, want ErrToken", err)
		}
	}
	_, err = w.svc.PatchOrg(w.ctx, admin, "acme", cloud.OrgPatch{SCIMEnabled: new(false)})
	w.ok(err)
	if _, err := w.svc.Authenticate(w.ctx, two); !errors.Is(err, cloud.ErrSCIMDisabled) {
		t.Errorf("got %v, want ErrSCIMDisabled", err)
	}
}

func TestD5UserType(t *testing.T) {
	w := newWorld(t)
	w.rule("north", cloud.Rule{})
	bad := doc("bad", "")
	bad["userType"] = "Contractor"
	_, err := w.svc.CreateUser(w.ctx, w.caller, bad)
	w.refused(err)
	box := doc("box", "1")
	box["userType"] = "SMARTBOX"
	u, err := w.svc.CreateUser(w.ctx, w.caller, box)
	w.ok(err)
	u, err = w.patch(u.ID, map[string]any{"userType": "Contractor"})
	w.ok(err)
	p := w.person(u.ID)
	if attrs(t, u)["userType"] != "SMARTBOX" || p.Kind != access.KindSmartbox || len(p.Issues) != 1 {
		t.Errorf("userType %v, kind %s, issues %v", attrs(t, u)["userType"], p.Kind, p.Issues)
	}
	before := w.seq("north")
	w.mustPatch(u.ID, map[string]any{"userType": "FULL"})
	if p := w.person(u.ID); p.Kind != access.KindFull || len(p.Issues) != 0 {
		t.Errorf("kind %s, issues %v", p.Kind, p.Issues)
	}
	if got := w.denied("north", before); len(got) != 0 {
		t.Errorf("widening denied %v", got)
	}
	w.mustPatch(u.ID, map[string]any{"userType": "SMARTBOX"})
	if got := w.denied("north", before); len(got) != 1 {
		t.Errorf("narrowing denied %v, want the person", got)
	}
}

func TestD7NullNeverOverwrites(t *testing.T) {
	w := newWorld(t)
	d := doc("ada", "1")
	d["title"], d["metadata"] = nil, map[string]any{"city": "Berlin"}
	d["id"], d["password"], d["groups"], d["emails"] = "mine", "secret", []any{}, []any{}
	u, err := w.svc.CreateUser(w.ctx, w.caller, d)
	w.ok(err)
	for _, key := range []string{"title", "id", "password", "groups", "emails"} {
		if v, ok := attrs(t, u)[key]; ok {
			t.Errorf("%s is stored as %v", key, v)
		}
	}
	u = w.mustPatch(u.ID, map[string]any{"displayName": nil, "metadata": map[string]any{"city": nil}})
	if attrs(t, u)["displayName"] != "ADA" || attrs(t, u)["metadata"].(map[string]any)["city"] != "Berlin" || u.Version != 1 {
		t.Errorf("got %v, version %d", attrs(t, u), u.Version)
	}
	// A full replacement without active or externalId says nothing about them.
	w.mustPatch(u.ID, map[string]any{"active": false})
	u, err = w.svc.UpdateUser(w.ctx, w.caller, u.ID, "", true, func(map[string]any) (map[string]any, error) {
		return map[string]any{"userName": "ada"}, nil
	})
	w.ok(err)
	if attrs(t, u)["active"] != false || attrs(t, u)["externalId"] != "ext-ada" || attrs(t, u)["metadata"] != nil {
		t.Errorf("got %v", attrs(t, u))
	}
}

func TestUnchangedUpdateWritesNothing(t *testing.T) {
	w := newWorld(t)
	w.rule("north", cloud.Rule{Conditions: []cloud.Condition{{Group: "Employees"}}})
	u := w.user("ada", "1")
	g := w.group("Employees", u.ID)
	before := w.seq("north")
	for range 2 {
		again := w.mustPatch(u.ID, map[string]any{"cardNumber": "1", "active": "True"})
		if again.Version != u.Version || !again.Modified.Equal(u.Modified) {
			t.Errorf("version %d at %v, want %d at %v", again.Version, again.Modified, u.Version, u.Modified)
		}
		same, err := w.svc.UpdateGroup(w.ctx, w.caller, g.ID, "", func(e *cloud.GroupEdit) error { return e.Add(u.ID) })
		w.ok(err)
		if same.Version != g.Version {
			t.Errorf("group version %d, want %d", same.Version, g.Version)
		}
	}
	if got := w.seq("north"); got != before {
		t.Errorf("%d new entries", got-before)
	}
}

func TestVersions(t *testing.T) {
	w := newWorld(t)
	u := w.user("ada", "1")
	edit := func(a map[string]any) (map[string]any, error) { a["title"] = "x"; return a, nil }
	if _, err := w.svc.UpdateUser(w.ctx, w.caller, u.ID, `W/"7"`, false, edit); !errors.Is(err, cloud.ErrPrecondition) {
		t.Errorf("got %v, want ErrPrecondition", err)
	}
	got, err := w.svc.UpdateUser(w.ctx, w.caller, u.ID, cloud.ETag(u.Version), false, edit)
	w.ok(err)
	if got.Version != 2 {
		t.Errorf("version %d, want 2", got.Version)
	}
	if err := w.svc.DeleteUser(w.ctx, w.caller, u.ID, cloud.ETag(1)); !errors.Is(err, cloud.ErrPrecondition) {
		t.Errorf("got %v, want ErrPrecondition", err)
	}
}

func TestD11ParallelMembershipChangesLoseNothing(t *testing.T) {
	w := newWorld(t)
	w.rule("north", cloud.Rule{Conditions: []cloud.Condition{{Group: "Employees"}}})
	g := w.group("Employees")
	var ids []string
	for i := range 24 {
		ids = append(ids, w.user(fmt.Sprintf("u%d", i), fmt.Sprint(1000+i)).ID)
	}
	var wg sync.WaitGroup
	var clock sync.Mutex
	svc := w.svc
	errs := make(chan error, len(ids))
	for _, id := range ids {
		wg.Go(func() {
			_, err := svc.UpdateGroup(w.ctx, w.caller, g.ID, "", func(e *cloud.GroupEdit) error {
				clock.Lock()
				defer clock.Unlock()
				return e.Add(id)
			})
			errs <- err
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		w.ok(err)
	}
	got, err := w.svc.Group(w.ctx, w.caller, g.ID)
	w.ok(err)
	if got.Members != len(ids) {
		t.Errorf("%d members, want %d", got.Members, len(ids))
	}
	for _, id := range ids {
		if w.holds("north", id) == "" {
			t.Errorf("member %s has nothing", id)
		}
	}
}

func TestUnknownMembersArePending(t *testing.T) {
	w := newWorld(t)
	g := w.group("Employees", "nobody-yet")
	members, err := w.svc.Members(w.ctx, w.caller, g.ID, "", 0)
	w.ok(err)
	if len(members) != 1 || members[0].Value != "nobody-yet" || g.Members != 1 {
		t.Errorf("got %v, %d members", members, g.Members)
	}
}

func TestQueries(t *testing.T) {
	w := newWorld(t)
	d := doc("Ada@Example.com", "731")
	d["emails"] = []any{map[string]any{"value": "Ada.L@Example.com", "type": "work", "primary": true}}
	d[cloud.EnterpriseURN].(map[string]any)["manager"] = map[string]any{"value": "boss"}
	u, err := w.svc.CreateUser(w.ctx, w.caller, d)
	w.ok(err)
	w.user("bob", "")
	w.user("carl", "")
	_, err = w.svc.CreatePerson(w.ctx, admin, "acme", cloud.NewPerson{Name: "Visitor"})
	w.ok(err)
	for _, terms := range [][]cloud.Term{
		{{"userName", "ADA@example.COM"}}, {{"externalId", "ext-Ada@Example.com"}}, {{"emails.value", "ada.l@example.com"}},
		{{"cardNumber", "731"}}, {{"id", u.ID}, {"manager", "boss"}}, {{"displayName", "ada@example.com"}},
	} {
		page, total, err := w.svc.Users(w.ctx, w.caller, cloud.Query{Terms: terms, Count: -1})
		w.ok(err)
		if total != 1 || len(page) != 1 || page[0].ID != u.ID {
			t.Errorf("%v: %d of %d", terms, len(page), total)
		}
	}
	for _, terms := range [][]cloud.Term{{{"externalId", "EXT-ada@example.com"}}, {{"externalId", ""}}, {{"id", u.ID}, {"manager", "other"}}} {
		if _, total, err := w.svc.Users(w.ctx, w.caller, cloud.Query{Terms: terms, Count: -1}); err != nil || total != 0 {
			t.Errorf("%v: %d, %v", terms, total, err)
		}
	}
	match := func(r cloud.Resource) bool { return r.Attrs["userName"] != "bob" }
	byName := func(r cloud.Resource) (string, bool) {
		return r.Attrs["userName"].(string), r.Attrs["userName"] != "bob"
	}
	for _, tt := range []struct {
		q     cloud.Query
		total int
		names string
	}{
		{cloud.Query{Count: -1}, 3, "Ada@Example.com bob carl"},
		{cloud.Query{Start: 2, Count: 1}, 3, "bob"},
		{cloud.Query{Count: 0}, 3, ""},
		{cloud.Query{Start: 9, Count: 5}, 3, ""},
		{cloud.Query{Match: match, Start: 2, Count: 5}, 2, "carl"},
		{cloud.Query{SortKey: byName, Count: -1}, 3, "Ada@Example.com carl bob"},
		{cloud.Query{SortKey: byName, Descending: true, Count: 2}, 3, "bob carl"},
		{cloud.Query{SortKey: byName, Match: match, Descending: true, Start: 2}, 2, ""},
	} {
		page, total, err := w.svc.Users(w.ctx, w.caller, tt.q)
		w.ok(err)
		var names []string
		for _, u := range page {
			names = append(names, attrs(t, u)["userName"].(string))
		}
		if got := strings.Join(names, " "); got != tt.names || total != tt.total {
			t.Errorf("%d from %d: %q of %d, want %q of %d", tt.q.Count, tt.q.Start, got, total, tt.names, tt.total)
		}
	}
	g := w.group("Ops", u.ID)
	for _, terms := range [][]cloud.Term{{{"displayName", "OPS"}}, {{"id", g.ID}, {"members.value", u.ID}}} {
		if page, total, err := w.svc.Groups(w.ctx, w.caller, cloud.Query{Terms: terms, Count: -1}); err != nil || total != 1 || page[0].ID != g.ID {
			t.Errorf("%v: %v of %d, %v", terms, page, total, err)
		}
	}
	want := []cloud.Member{{Value: g.ID, Display: "Ops"}}
	if got, err := w.svc.User(w.ctx, w.caller, u.ID, true); err != nil || !slices.Equal(got.Groups, want) {
		t.Errorf("groups %v, %v, want %v", got.Groups, err, want)
	}
	for _, match := range []func(cloud.Resource) bool{nil, match} {
		page, _, err := w.svc.Users(w.ctx, w.caller, cloud.Query{Match: match, Count: -1})
		if err != nil {
			t.Fatal(err)
		}
		for _, got := range page {
			if (got.ID == u.ID) != slices.Equal(got.Groups, want) {
				t.Errorf("groups of %s in a list: %v", got.ID, got.Groups)
			}
		}
	}
}

func TestAuditHasNoWholeCardNumber(t *testing.T) {
	w := newWorld(t)
	w.rule("north", cloud.Rule{})
	u := w.user("ada", "10045731")
	w.mustPatch(u.ID, map[string]any{"cardNumber": "10045732"})
	_, err := w.patch(u.ID, map[string]any{"cardNumber": "10045731X"})
	w.refused(err)
	_, err = w.svc.AddCard(w.ctx, admin, "acme", u.ID, cloud.NewCard{Number: "10045733"})
	w.ok(err)
	w.ok(w.svc.DeleteUser(w.ctx, w.caller, u.ID, ""))
	entries, err := w.svc.Audit(w.ctx, "acme", "", 0)
	w.ok(err)
	var whats []string
	for _, e := range entries {
		whats = append(whats, e.What)
		if e.Who == "" || e.At.IsZero() {
			t.Errorf("entry %+v", e)
		}
		if text := fmt.Sprintf("%+v", e); strings.Contains(text, "1004573") {
			t.Errorf("a whole card number: %s", text)
		}
	}
	if got := strings.Join(whats[:5], ", "); got != "delete user, add card, update user, update user, create user" || entries[2].Error == "" {
		t.Errorf("newest entries: %s; the refusal says %q", got, entries[2].Error)
	}
}

// TestSayingTheSameOfAPersonChangesNothing: neither the trail nor sessions take
// note of a name, an address or a suspension that is there already.
func TestSayingTheSameOfAPersonChangesNothing(t *testing.T) {
	w := newWorld(t)
	p, err := w.svc.CreatePerson(w.ctx, admin, "acme", cloud.NewPerson{Name: "Visitor", Email: "V@example.com"})
	w.ok(err)
	changes := func() (n int64) {
		w.ok(w.db.View(w.ctx, func(tx cloud.Tx) error {
			row, err := tx.Person("acme", p.ID)
			n = row.RoleChanges
			return err
		}))
		return n
	}
	patch := func(patch cloud.PersonPatch) {
		t.Helper()
		_, err := w.svc.PatchPerson(w.ctx, admin, "acme", p.ID, patch)
		w.ok(err)
	}
	trail := func() cloud.AuditEntry {
		all, err := w.svc.Audit(w.ctx, "acme", "", 1)
		w.ok(err)
		return all[0]
	}
	before, entry := changes(), trail().ID
	patch(cloud.PersonPatch{Name: new("Visitor"), Email: new("v@EXAMPLE.com"), Suspended: new(false)})
	if trail().ID != entry {
		t.Errorf("the trail says %+v", trail())
	}
	patch(cloud.PersonPatch{Name: new("The visitor"), Email: new("v@example.com"), Suspended: new(false)})
	if got := changes(); got != before {
		t.Errorf("a name ends %d sessions", got-before)
	}
	patch(cloud.PersonPatch{Email: new("")})
	if c := trail().Changes["email"]; c.Before != "v@example.com" || changes() == before {
		t.Errorf("the trail has %+v, and sessions go on: %v", c, changes() == before)
	}
}
