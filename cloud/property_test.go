package cloud_test

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"latchkey/access"
	"latchkey/cloud"
)

// TestMain runs fewer cases than rapid would, unless told how many: each case
// is a database.
func TestMain(m *testing.M) {
	flag.Parse()
	told := false
	flag.Visit(func(f *flag.Flag) { told = told || f.Name == "rapid.checks" })
	if !told {
		flag.Set("rapid.checks", "12")
		if raceOn {
			flag.Set("rapid.checks", "3")
			flag.Set("rapid.steps", "15")
		}
	}
	os.Exit(m.Run())
}

// quiet errors are the answers that a random caller may get.
func quiet(err error) bool {
	_, bad := errors.AsType[*cloud.Invalid](err)
	_, taken := errors.AsType[*cloud.Conflict](err)
	_, held := errors.AsType[*cloud.Held](err)
	return err == nil || bad || taken || held || errors.Is(err, cloud.ErrChanged) || errors.Is(err, cloud.ErrNotFound)
}

// TestLogFoldsToDesiredState: whatever the directory and the admins do, in any
// order, the log of each site folds to its snapshot (fold checks seq, prev,
// digest and deny on the way), and the snapshot is what the rules say of the
// people as they are now.
func TestLogFoldsToDesiredState(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := shortWorld(t)
		w.batch = 2 // so that much is a large change
		w.restart()
		w.rule("north", cloud.Rule{ID: "employees", Conditions: []cloud.Condition{{Group: "Employees"}}})
		w.rule("north", cloud.Rule{ID: "boxes", Groups: []string{"vip"}, Conditions: []cloud.Condition{{Attr: "userType", Op: "eq", Value: "SMARTBOX"}}})
		w.rule("south", cloud.Rule{ID: "rest", Groups: []string{"vip"}})

		for _, site := range []string{"north", "south"} { // hold a lot
			_, err := w.svc.PutProperty(w.ctx, admin, "acme", cloud.Property{ID: site, Guard: &cloud.Guard{Percent: 10, Openings: 1}})
			w.ok(err)
		}

		var users, groups, cards []string
		name := rapid.SampledFrom([]string{"ada", "bob", "carl", "dora"})
		number := rapid.SampledFrom([]string{"", "101", "102", "103", "7x", "REVOKED", "0101"})
		groupName := rapid.SampledFrom([]string{"Employees", "Vips"})
		site := rapid.SampledFrom([]string{"north", "south"})
		pick := func(t *rapid.T, from []string) string {
			if len(from) == 0 {
				return "none"
			}
			return rapid.SampledFrom(from).Draw(t, "id")
		}
		check := func(err error) {
			if !quiet(err) {
				t.Fatalf("unexpected error: %v", err)
			}
		}
		look := func(settle bool) {
			w.heldCardsHaveHolds()
			if settle {
				w.ok(w.svc.Settle(w.ctx))
			}
			for _, site := range []string{"north", "south"} {
				held := w.fold(site)
				want, err := w.svc.DesiredFromScratch(w.ctx, "acme", site)
				w.ok(err)
				allowed := openings(w.index(want))
				for opening := range openings(w.index(held)) {
					if !allowed[opening] {
						t.Fatalf("%s: %s opens and should not", site, opening)
					}
				}
				if settle && !maps.Equal(held, want) {
					t.Fatalf("%s holds %d records, from scratch it is %d:\n%v\n%v", site, len(held), len(want), held, want)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"create user": func(t *rapid.T) {
				u, err := w.svc.CreateUser(w.ctx, w.caller, doc(name.Draw(t, "name"), number.Draw(t, "number")))
				check(err)
				if err == nil && !slices.Contains(users, u.ID) {
					users = append(users, u.ID)
				}
			},
			"card": func(t *rapid.T) {
				_, err := w.patch(pick(t, users), map[string]any{"cardNumber": number.Draw(t, "number")})
				check(err)
			},
			"active": func(t *rapid.T) {
				_, err := w.patch(pick(t, users), map[string]any{"active": rapid.Bool().Draw(t, "active"), "cardNumber": number.Draw(t, "number")})
				check(err)
			},
			"type": func(t *rapid.T) {
				_, err := w.patch(pick(t, users), map[string]any{"userType": rapid.SampledFrom([]string{"FULL", "SMARTBOX", "odd"}).Draw(t, "type")})
				check(err)
			},
			"delete user": func(t *rapid.T) { check(w.svc.DeleteUser(w.ctx, w.caller, pick(t, users), "")) },
			"create group": func(t *rapid.T) {
				g, err := w.svc.CreateGroup(w.ctx, w.caller, map[string]any{"displayName": groupName.Draw(t, "group")}, []string{pick(t, users)})
				check(err)
				if err == nil {
					groups = append(groups, g.ID)
				}
			},
			"members": func(t *rapid.T) {
				id, add := pick(t, users), rapid.Bool().Draw(t, "add")
				_, err := w.svc.UpdateGroup(w.ctx, w.caller, pick(t, groups), "", func(e *cloud.GroupEdit) error {
					if add {
						return e.Add(id)
					}
					return e.Remove(id)
				})
				check(err)
			},
			"delete group": func(t *rapid.T) { check(w.svc.DeleteGroup(w.ctx, w.caller, pick(t, groups), "")) },
			"manual card": func(t *rapid.T) {
				c, err := w.svc.AddCard(w.ctx, admin, "acme", pick(t, users), cloud.NewCard{Number: rapid.SampledFrom([]string{"101", "900"}).Draw(t, "number")})
				check(err)
				if err == nil {
					cards = append(cards, c.ID)
				}
			},
			"delete card": func(t *rapid.T) { check(w.svc.DeleteCard(w.ctx, admin, "acme", pick(t, cards))) },
			"suspend card": func(t *rapid.T) {
				_, err := w.svc.PatchCard(w.ctx, admin, "acme", pick(t, cards), cloud.CardPatch{Status: new(rapid.SampledFrom([]string{"active", "suspended"}).Draw(t, "status"))})
				check(err)
			},
			"manual membership": func(t *rapid.T) {
				if rapid.Bool().Draw(t, "add") {
					check(w.svc.AddMembership(w.ctx, admin, "acme", pick(t, users), site.Draw(t, "site"), "vip"))
				} else {
					check(w.svc.RemoveMembership(w.ctx, admin, "acme", pick(t, users), site.Draw(t, "site"), "vip"))
				}
			},
			"rule": func(t *rapid.T) {
				r := cloud.Rule{ID: "employees", Enabled: rapid.Bool().Draw(t, "enabled"), Groups: []string{rapid.SampledFrom([]string{"staff", "vip"}).Draw(t, "group")}}
				r.Mobile = cloud.Mobile{BLE: rapid.Bool().Draw(t, "ble"), Wallet: w.wallet}
				if rapid.Bool().Draw(t, "condition") {
					r.Conditions = []cloud.Condition{{Group: groupName.Draw(t, "group")}}
				}
				_, err := w.svc.PutRule(w.ctx, admin, "acme", "north", r)
				check(err)
			},
			"rule for new people": func(t *rapid.T) {
				_, err := w.svc.PutRule(w.ctx, admin, "acme", "south", cloud.Rule{ID: "rest", Enabled: rapid.Bool().Draw(t, "enabled"), OnlyNew: rapid.Bool().Draw(t, "new"), Groups: []string{"vip"}})
				check(err)
			},
			"order": func(t *rapid.T) {
				ids := rapid.Permutation([]string{"employees", "boxes"}).Draw(t, "order")
				_, err := w.svc.OrderRules(w.ctx, admin, "acme", "north", ids)
				check(err)
			},
			"put": func(t *rapid.T) { // leaves out what it does not say
				d := doc(name.Draw(t, "name"), number.Draw(t, "number"))
				if rapid.Bool().Draw(t, "quiet") {
					delete(d, "active")
				}
				_, err := w.svc.UpdateUser(w.ctx, w.caller, pick(t, users), "", true, func(map[string]any) (map[string]any, error) { return d, nil })
				check(err)
			},
			"suspend person": func(t *rapid.T) {
				_, err := w.svc.PatchPerson(w.ctx, admin, "acme", pick(t, users), cloud.PersonPatch{Suspended: new(rapid.Bool().Draw(t, "suspended"))})
				check(err)
			},
			"removal": func(t *rapid.T) {
				_, err := w.svc.PatchOrg(w.ctx, admin, "acme", cloud.OrgPatch{CardRemoval: new(rapid.SampledFrom([]string{cloud.RemovalKeep, cloud.RemovalRevoke}).Draw(t, "removal"))})
				check(err)
			},
			"rename": func(t *rapid.T) {
				name := groupName.Draw(t, "group")
				_, err := w.svc.UpdateGroup(w.ctx, w.caller, pick(t, groups), "", func(e *cloud.GroupEdit) error { e.Attrs["displayName"] = name; return nil })
				check(err)
			},
			"pilot": func(t *rapid.T) {
				p := cloud.Property{ID: site.Draw(t, "site")}
				if st, err := w.svc.Property(w.ctx, "acme", p.ID); err == nil {
					p.Wallet = st.Wallet
				}
				if rapid.Bool().Draw(t, "pilot") {
					p.Pilot = []string{groupName.Draw(t, "group")}
				}
				_, err := w.svc.PutProperty(w.ctx, admin, "acme", p)
				check(err)
			},
			"access group": func(t *rapid.T) {
				if rapid.Bool().Draw(t, "delete") {
					check(w.svc.DeleteAccessGroup(w.ctx, admin, "acme", "south", "vip"))
					return
				}
				g := cloud.AccessGroup{ID: "vip", Grants: []cloud.DoorAccess{{Door: rapid.SampledFrom([]string{"front", "keys"}).Draw(t, "door")}}}
				_, err := w.svc.PutAccessGroup(w.ctx, admin, "acme", "south", g)
				check(err)
			},
			"pool": func(t *rapid.T) {
				tech := rapid.SampledFrom([]string{access.TechBLE, access.TechWallet}).Draw(t, "technology")
				if rapid.IntRange(0, 3).Draw(t, "delete") == 0 {
					check(w.svc.DeletePool(w.ctx, admin, "acme", tech))
					return
				}
				first := rapid.Uint64Range(100, 104).Draw(t, "first") // some are cards'
				_, err := w.svc.PutPool(w.ctx, admin, "acme", cloud.Pool{Technology: tech, Format: "H10302", First: first, Last: first + 2})
				check(err)
			},
			"wallet": func(t *rapid.T) {
				w.wallet = rapid.Bool().Draw(t, "wallet")
				_, err := w.svc.PutProperty(w.ctx, admin, "acme", cloud.Property{ID: "north", Wallet: w.wallet})
				check(err)
				st, err := w.svc.Property(w.ctx, "acme", "north")
				w.ok(err)
				w.wallet = st.Wallet // it may be held
			},
			"confirm": func(t *rapid.T) {
				holds, err := w.svc.Holds(w.ctx, "acme", true)
				w.ok(err)
				for _, h := range holds {
					h, err := w.svc.Hold(w.ctx, "acme", h.ID)
					w.ok(err)
					if rapid.Bool().Draw(t, "discard") && h.Kind == cloud.HoldChange {
						_, err = w.svc.Discard(w.ctx, admin, "acme", h.ID)
						w.ok(err)
						continue
					}
					_, err = w.svc.Confirm(w.ctx, admin, "acme", h.ID, h.Preview.Lose.Openings)
					check(err)
				}
			},
			"property": func(t *rapid.T) {
				err := w.svc.DeleteProperty(w.ctx, admin, "acme", "south")
				if check(err); err != nil {
					return
				}
				w.site("south")
				w.rule("south", cloud.Rule{ID: "rest", Groups: []string{"vip"}})
			},
			"settle": func(*rapid.T) { w.ok(w.svc.Settle(w.ctx)) },
			"look":   func(*rapid.T) { look(false) },
		})
		look(false)
		look(true)
	})
}

// TestOrderOfIndependentCalls: calls about different people and groups lead to
// the same state in any order.
func TestOrderOfIndependentCalls(t *testing.T) {
	t.Parallel()
	var first string
	rapid.Check(t, func(t *rapid.T) {
		w := shortWorld(t)
		w.rule("north", cloud.Rule{Conditions: []cloud.Condition{{Group: "Employees"}}})
		ids := map[string]string{}
		for _, n := range []string{"ada", "bob", "carl"} {
			ids[n] = w.user(n, "").ID
		}
		g := w.group("Employees", ids["carl"])
		calls := []func(){
			func() { w.mustPatch(ids["ada"], map[string]any{"cardNumber": "1"}) },
			func() { w.mustPatch(ids["bob"], map[string]any{"cardNumber": "2"}) },
			func() { w.mustPatch(ids["carl"], map[string]any{"active": false}) },
			func() { w.rule("south", cloud.Rule{Groups: []string{"vip"}}) },
			func() { w.members(g.ID, ids["ada"]) },
			func() { w.members(g.ID, ids["bob"]) },
		}
		for _, i := range rapid.Permutation([]int{0, 1, 2, 3, 4, 5}).Draw(t, "order") {
			calls[i]()
		}
		var got strings.Builder
		for _, n := range []string{"ada", "bob", "carl"} {
			fmt.Fprintf(&got, "%s: %s; %s\n", n, w.holds("north", ids[n]), w.holds("south", ids[n]))
		}
		if first == "" {
			first = got.String()
		}
		if got.String() != first {
			t.Fatalf("got\n%s, in another order it was\n%s", got.String(), first)
		}
	})
}

// TestFirstMatchWins: whatever rules there are in whatever order, everyone has
// what the first enabled rule gives that is about them, and no other.
func TestFirstMatchWins(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := shortWorld(t)
		type someone struct {
			id, title string
			in        map[string]bool
		}
		var people []someone
		for i := range 6 {
			p := someone{title: rapid.SampledFrom([]string{"Boss", "Clerk"}).Draw(t, "title"), in: map[string]bool{}}
			d := doc(fmt.Sprint("user", i), "")
			d["title"] = p.title
			u, err := w.svc.CreateUser(w.ctx, w.caller, d)
			w.ok(err)
			p.id = u.ID
			people = append(people, p)
		}
		for _, g := range []string{"A", "B"} {
			group := w.group(g)
			for _, p := range people {
				if p.in[g] = rapid.Bool().Draw(t, "in "+g); p.in[g] {
					w.members(group.ID, p.id)
				}
			}
		}
		conditions := rapid.SliceOfN(rapid.SampledFrom([]cloud.Condition{
			{Group: "A"}, {Group: "B"}, {Attr: "title", Op: "eq", Value: "boss"}, {Attr: "title", Op: "ne", Value: "boss"},
		}), 0, 3)
		holds := func(p someone, c cloud.Condition) bool {
			if c.Attr == "" {
				return p.in[c.Group]
			}
			return (p.title == "Boss") == (c.Op == "eq")
		}
		matches := func(p someone, r cloud.Rule) bool {
			n := 0
			for _, c := range r.Conditions {
				if holds(p, c) {
					n++
				}
			}
			return len(r.Conditions) == 0 || n == len(r.Conditions) || n > 0 && r.Match == cloud.MatchAny
		}
		var rules []cloud.Rule
		var ids []string
		enabled := false
		for i := range rapid.IntRange(1, 5).Draw(t, "rules") {
			r := cloud.Rule{ID: fmt.Sprint("r", i), Enabled: rapid.IntRange(0, 3).Draw(t, "enabled") > 0, Conditions: conditions.Draw(t, "conditions"),
				Match: rapid.SampledFrom([]string{cloud.MatchAll, cloud.MatchAny}).Draw(t, "match")}
			r, err := w.svc.CreateRule(w.ctx, admin, "acme", "north", r)
			w.ok(err)
			rules, ids, enabled = append(rules, r), append(ids, r.ID), enabled || r.Enabled
		}
		ids = rapid.Permutation(ids).Draw(t, "order")
		_, err := w.svc.OrderRules(w.ctx, admin, "acme", "north", ids)
		w.ok(err)
		for _, p := range people {
			want := ""
			for _, id := range ids {
				r := rules[slices.IndexFunc(rules, func(r cloud.Rule) bool { return r.ID == id })]
				if r.Enabled && matches(p, r) && want == "" {
					want = id
				}
			}
			got := ""
			for _, s := range w.person(p.id).Sites {
				got = s.Rule
			}
			if got != want && enabled {
				t.Fatalf("%+v has what rule %q gives, want %q of %+v in order %v", p, got, want, rules, ids)
			}
		}
	})
}

// TestD12RulesTurnedOn: on a property that was frozen, the first rule shows
// whom it takes access from, and waits where they are many.
func TestD12RulesTurnedOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, rule, ids := w.crowd(25)
	rules, err := w.svc.Rules(w.ctx, "acme", "north")
	w.ok(err)
	w.ok(w.svc.DeleteRule(w.ctx, admin, "acme", "north", rules[1].ID))
	w.ok(w.svc.DeleteRule(w.ctx, admin, "acme", "north", rule.ID)) // frozen: nobody loses anything
	w.expect("north", ids[0], "active, card 1000, in staff")
	late := w.user("late", "5000")
	next := cloud.Rule{Name: "New people", Enabled: true, OnlyNew: true, Groups: []string{"staff"}}
	_, err = w.svc.CreateRule(w.ctx, admin, "acme", "north", next)
	held, ok := errors.AsType[*cloud.Held](err)
	if !ok || held.Hold.Preview.Lose.People != 25 || held.Hold.Preview.Gain.People != 0 {
		t.Fatalf("got %v", err)
	}
	w.expect("north", ids[0], "active, card 1000, in staff")
	next.OnlyNew = false
	_, err = w.svc.CreateRule(w.ctx, admin, "acme", "north", next) // takes nothing
	w.ok(err)
	w.expect("north", late.ID, "active, card 5000, in staff")
}

func (w *world) members(group string, add ...string) {
	w.Helper()
	_, err := w.svc.UpdateGroup(w.ctx, w.caller, group, "", func(e *cloud.GroupEdit) error { return e.Add(add...) })
	w.ok(err)
}
