package cloud_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/delta"
)

func (w *world) why(person, door string) cloud.Why {
	w.Helper()
	y, err := w.svc.Why(w.ctx, "acme", person, "north", door)
	w.ok(err)
	return y
}

// answers wants the answer, and each of the words somewhere in the chain.
func (w *world) answers(y cloud.Why, answer string, words ...string) {
	w.Helper()
	if y.Answer != answer {
		w.Errorf("answer %q, want %q", y.Answer, answer)
	}
	chain := strings.Join(y.Words, "\n")
	for _, word := range words {
		if !strings.Contains(chain, word) {
			w.Errorf("want %q in\n%s", word, chain)
		}
	}
}

// TestWhy goes through the reasons in the order in which the chain has them.
func TestWhy(t *testing.T) {
	w := newWorld(t)
	ada := w.user("ada", "10731").ID
	const late = "; the building has not confirmed this yet"
	w.answers(w.why(ada, "front"), "ADA may not open Front door of north: the property has no rule that is enabled"+late+".",
		"north has no rule that is enabled", "None of their access groups opens Front door.")
	lab := w.rule("north", cloud.Rule{Name: "Lab", Conditions: []cloud.Condition{{Attr: "department", Op: "eq", Value: "Lab"}, {Group: "Chemists"}}})
	w.answers(w.why(ada, "front"), "ADA may not open Front door of north: no rule of the property matches them"+late+".",
		"ADA is active in the directory, in no group.", `Rule 1 "Lab" does not match: department is empty, not "Lab".`)
	w.mustPatch(ada, map[string]any{cloud.EnterpriseURN: map[string]any{"department": "lab", "cardNumber": "10731"}})
	w.answers(w.why(ada, "front"), "ADA may not open Front door of north: no rule of the property matches them"+late+".",
		`Rule 1 "Lab" does not match: there is no group "Chemists" yet.`)
	chemists := w.group("Chemists")
	w.answers(w.why(ada, ""), "ADA may not open any door of north: no rule of the property matches them"+late+".", `does not match: not in group "Chemists"`)
	w.members(chemists.ID, ada)
	other := w.rule("north", cloud.Rule{Name: "All"})
	y := w.why(ada, "front")
	w.answers(y, "ADA may open Front door of north"+late+".", "in Chemists.", `Rule 1 "Lab" decides: department is "lab", and so do all its 2 conditions.`,
		`Rule 2 "All" is not asked`, `access group "staff"`, `"staff" opens Front door at all hours.`, "Their card H10302 …31 is active.",
		"has not confirmed it")
	if y.Rule != lab.ID || !y.Opens || y.Progress.Told.Seq != w.seq("north") || len(y.Doors) != 1 {
		t.Errorf("got %+v", y)
	}
	w.applied("north")
	w.answers(w.why(ada, "front"), "ADA may open Front door of north.", "and confirmed it at 2026-03-01 09:00:0", "Controller east was read to hold what it should since 2026-03-01")
	w.answers(w.why(ada, ""), "ADA may open 2 of the 2 doors of north.")

	// What stands against it further down the chain.
	_, err := w.svc.PutSchedule(w.ctx, admin, "acme", "north", access.Schedule{ID: "day", Name: "Day", Zone: "Europe/Berlin", Weekly: []access.Interval{{Day: 1, From: 480, To: 1080}}})
	w.ok(err)
	_, err = w.svc.PutAccessGroup(w.ctx, admin, "acme", "north", cloud.AccessGroup{ID: "staff", Name: "Staff", Grants: []cloud.DoorAccess{{Door: "front", Schedule: "day"}}})
	w.ok(err)
	w.applied("north")
	w.answers(w.why(ada, "front"), "ADA may open Front door of north, at certain hours.", `"Staff" opens Front door during "Day" (Mon 08:00-18:00, Europe/Berlin).`)
	w.answers(w.why(ada, "keys"), "ADA may not open Keys of north: none of their access groups opens it.")
	step := func(door, answer string, attrs map[string]any, words ...string) {
		t.Helper()
		w.mustPatch(ada, attrs)
		w.applied("north")
		w.answers(w.why(ada, door), answer, words...)
	}
	step("front", "ADA may not open Front door of north: people of type SMARTBOX open key cabinets alone.", map[string]any{"userType": "SMARTBOX"}, "But people of type SMARTBOX")
	card := w.person(ada).Cards[0]
	_, err = w.svc.PatchCard(w.ctx, admin, "acme", card.ID, cloud.CardPatch{Status: new("suspended")})
	w.ok(err)
	step("front", "ADA may not open Front door of north: none of their cards is active.", map[string]any{"userType": "FULL"}, "Their card H10302 …31 is suspended.")
	w.ok(w.svc.DeleteCard(w.ctx, admin, "acme", card.ID))
	step("front", "ADA may not open Front door of north: they have no card.", map[string]any{}, "They have no card.", "an admin deleted the card of this number")
	step("front", "ADA may not open Front door of north: they are disabled in the directory.", map[string]any{"active": false}, "ADA is disabled in the directory.")
	_, err = w.svc.PatchPerson(w.ctx, admin, "acme", ada, cloud.PersonPatch{Suspended: new(true)})
	w.ok(err)
	step("front", "ADA may not open Front door of north: an admin has suspended them.", map[string]any{"active": true})
	_, err = w.svc.PutProperty(w.ctx, admin, "acme", cloud.Property{ID: "north", Name: "north", Pilot: []string{"Pilots"}})
	w.ok(err)
	_, err = w.svc.PatchPerson(w.ctx, admin, "acme", ada, cloud.PersonPatch{Suspended: new(false)})
	w.ok(err)
	step("front", "ADA may not open Front door of north: the property is limited to a pilot that they are not in.", map[string]any{}, "limited to a pilot (Pilots)")
	other.Enabled, other.OnlyNew = true, true
	_, err = w.svc.PutRule(w.ctx, admin, "acme", "north", other)
	w.ok(err)
	lab.Enabled = false
	_, err = w.svc.PutRule(w.ctx, admin, "acme", "north", lab)
	w.ok(err)
	w.answers(w.why(ada, "front"), "ADA may not open Front door of north: the property is limited to a pilot that they are not in.",
		`Rule 1 "Lab" is disabled.`, `Rule 2 "All" is only for people who came after it was made.`)
	_, err = w.svc.PullUser(w.ctx, "acme", cloud.PulledUser{ID: "ext-ada", Status: "SUSPENDED", Attrs: map[string]any{"userName": "ada"}})
	w.ok(err)
	w.applied("north")
	w.answers(w.why(ada, "front"), `ADA may not open Front door of north: their status in the directory that is read is "SUSPENDED".`)
	for _, nobody := range [][3]string{{"nobody", "north", ""}, {ada, "nowhere", ""}, {ada, "north", "nodoor"}} {
		if _, err := w.svc.Why(w.ctx, "acme", nobody[0], nobody[1], nobody[2]); !errors.Is(err, cloud.ErrNotFound) {
			t.Errorf("why %v: %v, want ErrNotFound", nobody, err)
		}
	}
}

// TestWhyByHandAndHeld: memberships by hand, and those that are held.
func TestWhyByHandAndHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	group, _, ids := w.crowd(25)
	v, err := w.svc.CreatePerson(w.ctx, admin, "acme", cloud.NewPerson{Name: "Vera"})
	w.ok(err)
	w.answers(w.why(v.ID, "front"), "Vera may not open Front door of north: they are in no access group, and no rule is about people who were added by hand; the building has not confirmed this yet.")
	w.ok(w.svc.AddMembership(w.ctx, admin, "acme", v.ID, "north", "vip"))
	_, err = w.svc.AddCard(w.ctx, admin, "acme", v.ID, cloud.NewCard{Number: "55"})
	w.ok(err)
	w.applied("north")
	w.answers(w.why(v.ID, "front"), "Vera may open Front door of north.", "Vera was added by hand", `An admin put them into "vip" by hand.`)
	_, err = w.svc.UpdateGroup(w.ctx, w.caller, group.ID, "", func(e *cloud.GroupEdit) error { return e.Replace(nil) })
	w.ok(err)
	y := w.why(ids[0], "front")
	w.answers(y, "USER000 may open Front door of north.", `They keep "staff" although no rule gives it any more: the loss is held (`+y.HeldBy+").")
	if y.HeldBy == "" || y.Groups[0].From != cloud.FromHold {
		t.Errorf("got %+v", y)
	}
}

// applied lets a site say that it has all, and that its controller east does.
func (w *world) applied(site string) {
	w.Helper()
	head, err := w.svc.Head(w.ctx, site)
	w.ok(err)
	w.ok(w.svc.Applied(w.ctx, site, head))
	w.ok(w.svc.Proof(w.ctx, site, &delta.Proof{Controllers: []delta.ControllerProof{{Controller: "east", Equal: true, Epoch: head.Epoch, Seq: head.Seq, Since: w.clock}}}))
}

// TestWhyAgreesWithTheDoor: for whoever asks about whichever door, Why says
// what package access decides with what the site holds.
func TestWhyAgreesWithTheDoor(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := shortWorld(t)
		w.somePeople(t)
		rights := w.rightsAt("north")
		people, err := w.svc.People(w.ctx, "acme", cloud.PeopleQuery{})
		w.ok(err)
		for _, p := range people {
			who := rights[p.ID]
			var all []string
			for _, door := range []string{"front", "keys"} {
				y := w.why(p.ID, door)
				if want := who.doors[door] != "" && who.keys > 0; y.Opens != want {
					t.Fatalf("%s at %s: opens %v, want %v\n%s", p.UserName, door, y.Opens, want, strings.Join(y.Words, "\n"))
				}
				if y.Opens {
					all = append(all, door)
				}
				if may := strings.Contains(y.Answer, " may open "); may != y.Opens {
					t.Fatalf("opens %v, and the answer is %q", y.Opens, y.Answer)
				}
				decided := slices.IndexFunc(y.Rules, func(r cloud.RuleVerdict) bool { return r.Verdict == cloud.RuleDecides })
				if p.Origin == cloud.OriginDirectory && (decided < 0) != (y.Rule == "") || decided >= 0 && p.Origin == cloud.OriginDirectory && y.Rules[decided].ID != y.Rule {
					t.Fatalf("rule %q of %+v", y.Rule, y.Rules)
				}
			}
			var opens []string
			for _, d := range w.why(p.ID, "").Doors {
				if d.Opens {
					opens = append(opens, d.ID)
				}
			}
			if !slices.Equal(opens, all) {
				t.Fatalf("%s opens %v, one by one %v", p.UserName, opens, all)
			}
		}
	})
}

func TestR2RoleOfWhoSignsIn(t *testing.T) {
	w := newWorld(t)
	attrs := doc("ada@acme.test", "1")
	attrs["emails"] = []any{map[string]any{"value": "ada.lovelace@acme.test"}}
	u, err := w.svc.CreateUser(w.ctx, w.caller, attrs)
	w.ok(err)
	admins := w.group("Admins")
	role := func(email string) cloud.AdminRole {
		t.Helper()
		r, err := w.svc.RoleOf(w.ctx, "acme", email)
		w.ok(err)
		return r
	}
	if got := role("ADA@acme.test"); got.Role != "" || got.Person != u.ID || len(got.Sites) != 0 {
		t.Errorf("got %+v, want no role", got)
	}
	w.rule("north", cloud.Rule{Name: "Admins", Role: cloud.RoleAdmin, Conditions: []cloud.Condition{{GroupID: admins.ID}}})
	r := w.rule("south", cloud.Rule{Name: "All", Role: cloud.RoleUser})
	last := role("ada@acme.test")
	if last.Role != cloud.RoleUser {
		t.Errorf("got %+v, want %s", last, cloud.RoleUser)
	}
	changed := func(what, want string, do func()) {
		t.Helper()
		do()
		got := role("ada.lovelace@acme.test")
		if got.Role != want || got.Changes <= last.Changes {
			t.Errorf("%s: got %+v after %+v, want role %q and more changes", what, got, last, want)
		}
		last = got
	}
	changed("made admin", cloud.RoleAdmin, func() { w.members(admins.ID, u.ID) })
	if !slices.Equal(last.Sites, []string{"north"}) {
		t.Errorf("admin of %v", last.Sites)
	}
	changed("disabled and enabled", cloud.RoleAdmin, func() {
		w.mustPatch(u.ID, map[string]any{"active": false})
		if _, err := w.svc.RoleOf(w.ctx, "acme", "ada@acme.test"); !errors.Is(err, cloud.ErrNotFound) {
			t.Errorf("disabled: %v, want ErrNotFound", err)
		}
		w.mustPatch(u.ID, map[string]any{"active": true})
	})
	changed("property deleted", cloud.RoleUser, func() { w.ok(w.svc.DeleteProperty(w.ctx, admin, "acme", "north")) })
	changed("rule without a role", "", func() {
		r.Role = ""
		_, err := w.svc.PutRule(w.ctx, admin, "acme", "south", r)
		w.ok(err)
	})
	w.mustPatch(u.ID, map[string]any{"title": "Countess"})
	if got := role("ada@acme.test"); got.Changes != last.Changes {
		t.Errorf("a title ended sessions: %+v after %+v", got, last)
	}
	// An address that two have opens nothing.
	twin := doc("eve@acme.test", "2")
	twin["emails"] = []any{map[string]any{"value": "ada.lovelace@acme.test"}}
	_, err = w.svc.CreateUser(w.ctx, w.caller, twin)
	w.ok(err)
	for _, email := range []string{"ada.lovelace@acme.test", "nobody@acme.test", ""} {
		if _, err := w.svc.RoleOf(w.ctx, "acme", email); !errors.Is(err, cloud.ErrNotFound) {
			t.Errorf("%q: %v, want ErrNotFound", email, err)
		}
	}
}
