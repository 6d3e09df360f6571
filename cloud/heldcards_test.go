package cloud_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"latchkey/access"
	"latchkey/cloud"
)

// revoking makes the organisation revoke cards whose number the directory takes.
func (w *world) revoking() {
	w.Helper()
	_, err := w.svc.PatchOrg(w.ctx, admin, "acme", cloud.OrgPatch{CardRemoval: new(cloud.RemovalRevoke)})
	w.ok(err)
}

// onlyHold is the one loss that waits.
func (w *world) onlyHold() cloud.Hold {
	w.Helper()
	open, err := w.svc.Holds(w.ctx, "acme", true)
	w.ok(err)
	if len(open) != 1 {
		w.Fatalf("holds %+v, want one", open)
	}
	h, err := w.svc.Hold(w.ctx, "acme", open[0].ID)
	w.ok(err)
	return h
}

// cardOf says what became of a person's card numbers and which cards there are.
func (w *world) cardOf(id string) string {
	w.Helper()
	p := w.person(id)
	parts := []string{p.CardState}
	for _, c := range p.Cards {
		parts = append(parts, c.Masked)
	}
	return strings.TrimSpace(strings.Join(parts, " "))
}

// TestVanishedCardNumbersAreHeld: an attribute that is not mapped any more takes
// the numbers of all, one call a person. The first go at once, the others wait.
func TestVanishedCardNumbersAreHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.revoking()
	_, _, ids := w.crowd(40) // 80 openings: 20 may go
	for i, id := range ids[:30] {
		w.mustPatch(id, map[string]any{"cardNumber": []any{nil, "", " "}[i%3]})
		if _, ok := attrs(t, w.user1(id))[cloud.EnterpriseURN]; ok {
			t.Fatalf("%d: the attribute is not stored as the directory says", i)
		}
	}
	if got := w.opens("north"); got != 60 {
		t.Errorf("%d open, want 60: ten cards go, the others wait", got)
	}
	w.expect("north", ids[9], "active, in staff")
	w.expect("north", ids[10], "active, card 1010, in staff")
	if got := w.cardOf(ids[9]); got != "" {
		t.Errorf("the card of one whose loss passed: %s", got)
	}
	if p := w.person(ids[10]); p.CardState != cloud.CardHeld || !strings.HasPrefix(p.CardText, "held: the directory took the number back") || len(p.Cards) != 1 {
		t.Errorf("held person %+v", p)
	}
	h := w.onlyHold()
	if h.Preview.Lose != (cloud.Tally{People: 20, Openings: 40}) || len(h.Preview.People) != 20 {
		t.Errorf("preview %+v", h.Preview)
	}
	// A restart forgets nothing, and what else the directory says changes nothing.
	w.restart()
	w.mustPatch(ids[10], map[string]any{"title": "Boss"})
	w.expect("north", ids[10], "active, card 1010, in staff")

	// A revocation of one person is never held: by the sentinel, by disabling, by deleting.
	w.mustPatch(ids[11], map[string]any{"cardNumber": "revoked"})
	w.expect("north", ids[11], "active, in staff")
	w.mustPatch(ids[31], map[string]any{"cardNumber": "REVOKED"}) // also of one who is not held
	w.expect("north", ids[31], "active, in staff")
	w.mustPatch(ids[12], map[string]any{"active": false})
	if w.opens("north") != 60-2*3 {
		t.Errorf("%d open", w.opens("north"))
	}
	w.mustPatch(ids[12], map[string]any{"active": true})
	w.expect("north", ids[12], "active, card 1012, in staff") // it waits as before
	w.ok(w.svc.DeleteUser(w.ctx, w.caller, ids[13], ""))
	w.expect("north", ids[13], "")

	// A number again ends it: the same one, or another one in its place.
	w.mustPatch(ids[14], map[string]any{"cardNumber": "1014"})
	w.mustPatch(ids[15], map[string]any{"cardNumber": "7000"})
	w.expect("north", ids[14], "active, card 1014, in staff")
	w.expect("north", ids[15], "active, card 7000, in staff")
	for _, id := range ids[14:16] {
		if p := w.person(id); p.CardState != cloud.CardIssued || p.CardText != "" {
			t.Errorf("given back: %+v", p)
		}
	}
	// The number of one goes to another: it is the other's alone.
	w.mustPatch(ids[0], map[string]any{"cardNumber": "1016"})
	w.expect("north", ids[0], "active, card 1016, in staff")
	w.expect("north", ids[16], "active, in staff")
	// An admin deletes one.
	w.ok(w.svc.DeleteCard(w.ctx, admin, "acme", w.person(ids[17]).Cards[0].ID))
	w.expect("north", ids[17], "active, in staff")

	h = w.onlyHold()
	if h.Preview.Lose != (cloud.Tally{People: 14, Openings: 28}) {
		t.Errorf("still held: %+v", h.Preview.Lose)
	}
	if _, err := w.svc.Confirm(w.ctx, "olga", "acme", h.ID, 27); !errors.Is(err, cloud.ErrChanged) {
		t.Errorf("confirmed with 27 of 28: %v", err)
	}
	w.expect("north", ids[20], "active, card 1020, in staff")
	_, err := w.svc.Confirm(w.ctx, "olga", "acme", h.ID, 28)
	w.ok(err)
	w.expect("north", ids[20], "active, in staff")
	if got := w.cardOf(ids[20]); got != "" {
		t.Errorf("confirmed: %s", got)
	}
	w.mustPatch(ids[20], map[string]any{"cardNumber": "1020"}) // as after any revocation
	w.expect("north", ids[20], "active, card 1020, in staff")
}

// user1 is the user of that id.
func (w *world) user1(id string) cloud.User {
	w.Helper()
	u, err := w.svc.User(w.ctx, w.caller, id, true)
	w.ok(err)
	return u
}

// TestCardsCountWithGroups: what the directory takes by groups and by card
// numbers is one loss, and a held person may be held for both.
func TestCardsCountWithGroups(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.revoking()
	group, _, ids := w.crowd(30)
	for _, id := range ids[:10] { // 20 openings: what may go
		w.mustPatch(id, map[string]any{"cardNumber": ""})
	}
	w.ok(w.svc.DeleteGroup(w.ctx, w.caller, group.ID, ""))
	if got := w.opens("north"); got != 40 {
		t.Fatalf("%d open, want 40", got)
	}
	for _, id := range ids {
		w.mustPatch(id, map[string]any{"cardNumber": ""})
	}
	if got := w.opens("north"); got != 40 {
		t.Fatalf("%d open, want 40", got)
	}
	w.expect("north", ids[10], "active, card 1010, in staff")
	if y, err := w.svc.Why(w.ctx, "acme", ids[10], "north", "front"); err != nil || y.HeldBy == "" || !y.Opens {
		t.Errorf("why: %+v, %v", y, err)
	}
	// The groups come back: the cards still wait.
	w.group("Employees2", ids...)
	w.rule("north", cloud.Rule{Name: "Again", Conditions: []cloud.Condition{{Group: "Employees2"}}})
	w.ok(w.svc.Settle(w.ctx))
	h := w.onlyHold()
	if h.Preview.Lose != (cloud.Tally{People: 20, Openings: 40}) {
		t.Errorf("still held: %+v", h.Preview.Lose)
	}
	// Cards come back: nothing waits.
	for i, id := range ids {
		w.mustPatch(id, map[string]any{"cardNumber": fmt.Sprint(1000 + i)})
	}
	h, err := w.svc.Hold(w.ctx, "acme", h.ID)
	w.ok(err)
	if h.State != cloud.HoldResolved || w.opens("north") != 60 {
		t.Errorf("given back: %s, %d open", h.State, w.opens("north"))
	}
}

// TestCardAndAttributeAtOnce: one call takes a card and what a rule asks for.
func TestCardAndAttributeAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.revoking()
	w.rule("north", cloud.Rule{Conditions: []cloud.Condition{{Attr: "title", Op: "eq", Value: "Clerk"}}})
	w.rule("north", cloud.Rule{Groups: []string{"vip"}, Conditions: []cloud.Condition{{Attr: "title", Op: "eq", Value: "Boss"}}})
	var ids []string
	for i := range 30 {
		id := w.user(fmt.Sprint("user", i), fmt.Sprint(1000+i)).ID
		w.mustPatch(id, map[string]any{"title": "Clerk"})
		ids = append(ids, id)
	}
	for i, id := range ids {
		w.mustPatch(id, map[string]any{"title": []string{"None", "Boss"}[i%2], "cardNumber": ""})
	}
	w.expect("north", ids[0], "")
	w.expect("north", ids[1], "active, in vip")
	w.expect("north", ids[28], "active, card 1028, in staff")
	w.expect("north", ids[29], "active, card 1029, in vip") // vip opens the same
	w.heldCardsHaveHolds()
	want, err := w.svc.DesiredFromScratch(w.ctx, "acme", "north")
	w.ok(err)
	if held := w.fold("north"); !maps.Equal(held, want) {
		t.Errorf("north holds\n%v\nfrom scratch it is\n%v", held, want)
	}
	w.mustPatch(ids[28], map[string]any{"cardNumber": "1028"})
	w.expect("north", ids[28], "active, card 1028, in staff") // what the title took still waits
	w.confirmed(&cloud.Held{Hold: w.onlyHold()})
	w.expect("north", ids[28], "")
	w.expect("north", ids[29], "active, in vip")
}

// TestHeldCardsOfSeveralSites: each property holds its own loss, and the card is
// gone with the last.
func TestHeldCardsOfSeveralSites(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.revoking()
	_, _, ids := w.crowd(30)
	w.rule("south", cloud.Rule{})
	w.ok(w.svc.Settle(w.ctx))
	_, err := w.svc.PutProperty(w.ctx, admin, "acme", cloud.Property{ID: "south", Guard: &cloud.Guard{Percent: 50}})
	w.ok(err)
	for _, id := range ids[:20] {
		w.mustPatch(id, map[string]any{"cardNumber": ""})
	}
	if north, south := w.opens("north"), w.opens("south"); north != 40 || south != 30 {
		t.Fatalf("%d and %d open, want 40 and 30", north, south)
	}
	w.expect("north", ids[12], "active, card 1012, in staff")
	w.expect("south", ids[12], "active, in staff") // south's limit was not reached
	w.expect("south", ids[17], "active, card 1017, in staff")
	open, err := w.svc.Holds(w.ctx, "acme", true)
	w.ok(err)
	if len(open) != 2 {
		t.Fatalf("holds %+v", open)
	}
	confirm := func(site string) {
		t.Helper()
		for _, h := range open {
			if h.Site == site {
				h, err := w.svc.Hold(w.ctx, "acme", h.ID)
				w.ok(err)
				w.confirmed(&cloud.Held{Hold: h})
			}
		}
	}
	confirm("north")
	if got := w.cardOf(ids[12]); got != "" {
		t.Errorf("nobody holds it: %s", got)
	}
	if got := w.cardOf(ids[17]); !strings.HasPrefix(got, cloud.CardHeld+" ") {
		t.Errorf("south holds it: %s", got)
	}
	w.expect("north", ids[17], "active, in staff")
	w.expect("south", ids[17], "active, card 1017, in staff")
	// A property that goes holds nothing.
	w.confirmed(w.svc.DeleteProperty(w.ctx, admin, "acme", "south"))
	if got := w.cardOf(ids[17]); got != "" {
		t.Errorf("the property is gone: %s", got)
	}
}

// TestKeepEndsHeldCards: an organisation that finds that it would rather keep
// cards keeps those that are held, too.
func TestKeepEndsHeldCards(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.revoking()
	_, _, ids := w.crowd(15)
	for _, id := range ids {
		w.mustPatch(id, map[string]any{"cardNumber": nil})
	}
	w.onlyHold()
	_, err := w.svc.PatchOrg(w.ctx, admin, "acme", cloud.OrgPatch{CardRemoval: new(cloud.RemovalKeep)})
	w.ok(err)
	open, err := w.svc.Holds(w.ctx, "acme", true)
	w.ok(err)
	if len(open) != 0 || w.opens("north") != 10 {
		t.Errorf("holds %+v, %d open", open, w.opens("north"))
	}
	if p := w.person(ids[14]); p.CardState != cloud.CardKept || len(p.Cards) != 1 {
		t.Errorf("got %+v", p)
	}
}

// TestOneCardIsNoMass: below the limit, after an hour, of somebody without
// access, and of a card that an admin stopped, a removal is done at once.
func TestOneCardIsNoMass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.revoking()
	_, _, ids := w.crowd(30)
	for _, id := range ids[:15] {
		w.mustPatch(id, map[string]any{"cardNumber": ""})
	}
	if got := w.cardOf(ids[14]); !strings.HasPrefix(got, cloud.CardHeld) {
		t.Fatalf("%s, want it held", got)
	}
	stranger := w.user("stranger", "5000") // in no group: opens nothing
	w.mustPatch(stranger.ID, map[string]any{"cardNumber": ""})
	if got := w.cardOf(stranger.ID); got != "" {
		t.Errorf("of somebody without access: %s", got)
	}
	_, err := w.svc.PatchCard(w.ctx, admin, "acme", w.person(ids[20]).Cards[0].ID, cloud.CardPatch{Status: new(access.CredentialSuspended)})
	w.ok(err)
	w.mustPatch(ids[20], map[string]any{"cardNumber": ""})
	if got := w.cardOf(ids[20]); got != cloud.CardDeleted {
		t.Errorf("of a suspended card: %s", got)
	}
	w.clock = w.clock.Add(61 * time.Minute)
	w.mustPatch(ids[21], map[string]any{"cardNumber": ""})
	if got := w.cardOf(ids[21]); got != "" {
		t.Errorf("an hour later: %s", got)
	}
	if got := w.cardOf(ids[14]); !strings.HasPrefix(got, cloud.CardHeld) {
		t.Errorf("%s; what waits goes on waiting", got)
	}
}

// TestUnusableNumbersAreHeld: a directory that is read is refused nothing. Where
// it has something else in place of very many numbers, the cards stay.
func TestUnusableNumbersAreHeld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var ids []string
	read := func(i int, number string) {
		t.Helper()
		u := cloud.PulledUser{ID: fmt.Sprint("00u", i), Status: "ACTIVE", Valid: true, Attrs: doc(fmt.Sprint("read", i), number)}
		delete(u.Attrs, "externalId")
		delete(u.Attrs, "active")
		_, err := w.svc.PullUser(w.ctx, "acme", u)
		w.ok(err)
	}
	w.rule("north", cloud.Rule{})
	for i := range 15 {
		read(i, fmt.Sprint(1000+i))
	}
	people, _, err := w.svc.Pulled(w.ctx, "acme")
	w.ok(err)
	for _, p := range people {
		ids = append(ids, p.ID)
	}
	slices.Sort(ids)
	w.ok(w.svc.Settle(w.ctx))
	for i := range 15 {
		read(i, "n/a")
	}
	if got := w.opens("north"); got != 10 {
		t.Errorf("%d open, want 10", got)
	}
	if got := w.cardOf(ids[0]); got != cloud.CardSetAside {
		t.Errorf("the first: %s", got)
	}
	if got := w.cardOf(ids[14]); !strings.HasPrefix(got, cloud.CardHeld) {
		t.Errorf("the last: %s", got)
	}
	h := w.onlyHold()
	w.confirmed(&cloud.Held{Hold: h})
	if p := w.person(ids[14]); p.CardState != cloud.CardSetAside || !strings.Contains(p.CardText, "characters") || len(p.Cards) != 0 {
		t.Errorf("confirmed: %+v", p)
	}
}

// TestHeldPreviewIsWhatHappens: whatever the directory took, of groups and of
// cards, a hold's preview is what its confirmation does; and the order of the
// calls does not matter to what there is in the end.
func TestHeldPreviewIsWhatHappens(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const n = 8
		takes := make([]string, n)
		for i := range takes {
			takes[i] = rapid.SampledFrom([]string{"card", "group", "both", "sentinel", "other", "disable", "none"}).Draw(t, "take")
		}
		var ends []string
		for range 2 {
			order := rapid.Permutation([]int{0, 1, 2, 3, 4, 5, 6, 7}).Draw(t, "order")
			ends = append(ends, takeInOrder(t, takes, order))
		}
		if ends[0] != ends[1] {
			t.Fatalf("in one order\n%s\nin another\n%s", ends[0], ends[1])
		}
	})
}

// takeInOrder takes from people what takes says, in order, confirms what is held
// and returns what everyone has then.
func takeInOrder(t *rapid.T, takes []string, order []int) string {
	w := shortWorld(t)
	w.revoking()
	group, _, ids := w.crowd(len(takes))
	_, err := w.svc.PutProperty(w.ctx, admin, "acme", cloud.Property{ID: "north", Guard: &cloud.Guard{Percent: 0, Openings: rapid.IntRange(0, 9).Draw(t, "limit")}})
	w.ok(err)
	leave := func(id string) {
		_, err := w.svc.UpdateGroup(w.ctx, w.caller, group.ID, "", func(e *cloud.GroupEdit) error { return e.Remove(id) })
		w.ok(err)
	}
	for _, i := range order {
		switch id := ids[i]; takes[i] {
		case "card":
			w.mustPatch(id, map[string]any{"cardNumber": ""})
		case "group":
			leave(id)
		case "both":
			w.mustPatch(id, map[string]any{"cardNumber": nil})
			leave(id)
		case "sentinel":
			w.mustPatch(id, map[string]any{"cardNumber": "NONE"})
		case "other":
			w.mustPatch(id, map[string]any{"cardNumber": ""})
			w.mustPatch(id, map[string]any{"cardNumber": fmt.Sprint(2000 + i)})
		case "disable":
			w.mustPatch(id, map[string]any{"cardNumber": "", "active": false})
		}
	}
	open, err := w.svc.Holds(w.ctx, "acme", true)
	w.ok(err)
	for _, h := range open {
		before := w.rightsAt("north")
		h, err := w.svc.Hold(w.ctx, "acme", h.ID)
		w.ok(err)
		w.confirmed(&cloud.Held{Hold: h})
		if got, want := said(h.Preview), difference(before, w.rightsAt("north")); got != want {
			t.Fatalf("%v in order %v: the preview says\n%s\nand what happened is\n%s", takes, order, got, want)
		}
	}
	var out strings.Builder
	for i, id := range ids {
		fmt.Fprintf(&out, "%s: %s; %s\n", takes[i], w.holds("north", id), w.cardOf(id))
	}
	return out.String()
}

// heldCardsHaveHolds wants every card that is held to be held by some property
// with an open hold, and no property to hold another one.
func (w *world) heldCardsHaveHolds() {
	w.Helper()
	w.ok(w.db.View(w.ctx, func(tx cloud.Tx) error {
		ids, err := tx.PersonIDs("acme", "", -1)
		w.ok(err)
		pins, err := tx.Pins(ids)
		w.ok(err)
		holds := map[string]bool{}
		for _, pin := range pins {
			h, err := tx.Hold("acme", pin.Hold)
			w.ok(err)
			if h.State != cloud.HoldOpen || h.Site != pin.Site {
				w.Fatalf("%+v is of %+v", pin, h)
			}
			holds[pin.Person] = holds[pin.Person] || pin.Kept.HeldCard
		}
		people, err := tx.People("acme", ids)
		w.ok(err)
		for _, p := range people {
			if is := p.CardState == cloud.CardHeld; is != holds[p.ID] {
				w.Fatalf("%s has card state %q, and some property holds a card: %v", p.ID, p.CardState, holds[p.ID])
			}
		}
		return nil
	}))
}
