package cloud_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/cloud/store"
	"latchkey/delta"
)

// TestLongNamesNeverStopASync: whatever a directory calls a person, the person
// fits a message, and above all a disabled one is disabled.
func TestLongNamesNeverStopASync(t *testing.T) {
	for name, text := range map[string]string{
		"long":         strings.Repeat("x", 300_000),
		"emoji":        strings.Repeat("👩‍🚀", 20_000),
		"HTML":         strings.Repeat("<b>&", 30_000),
		"control":      strings.Repeat("a\x00\x1b", 30_000),
		"line breaks":  strings.Repeat("a\u2028\n", 30_000),
		"wrong order":  strings.Repeat("\u202e\ufffd", 30_000),
		"blanks alone": strings.Repeat(" ", 100_000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.rule("north", cloud.Rule{})
			u := w.user("ada", "1")
			u = w.mustPatch(u.ID, map[string]any{"displayName": text, "active": false})
			if attrs(t, u)["displayName"] != text {
				t.Error("the name does not come back as it was sent")
			}
			w.expect("north", u.ID, "inactive, card 1, in staff")
			rec := w.fold("north")[access.Ref{Kind: access.KindPerson, Key: u.ID}]
			if len(rec) > 2500 || len(rec) < 80 {
				t.Errorf("the site's record of the person has %d bytes", len(rec))
			}
		})
	}
}

// TestOnePersonIsOneMessage: the most that rules can change of one person at
// once stays together, whatever the groups are called.
func TestOnePersonIsOneMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	few, others := w.accessGroups("a", 64), w.accessGroups("b", 64)
	r := w.rule("north", cloud.Rule{Groups: few})
	w.user("ada", "1")
	r.Groups = others
	before := w.seq("north")
	_, err := w.svc.PutRule(w.ctx, admin, "acme", "north", r)
	w.ok(err)
	if got := w.seq("north") - before; got != 1 {
		t.Errorf("one person's changes took %d messages", got)
	}
	for _, id := range []string{strings.Repeat("<", 64), "a&b", `a"b`, `a\b`, "a\u2028b"} {
		_, err := w.svc.PutAccessGroup(w.ctx, admin, "acme", "north", cloud.AccessGroup{ID: id})
		w.refused(err)
	}
	w.fold("north")
}

// accessGroups makes access groups with ids as long as they may be, of a sudden.
func (w *world) accessGroups(letter string, n int) (ids []string) {
	w.Helper()
	w.ok(w.db.Update(w.ctx, func(tx cloud.Tx) error {
		for i := range n {
			id := fmt.Sprintf("%03d%s", i, strings.Repeat(letter, 61))
			if err := tx.PutItem("north", access.KindGroup, cloud.Item{ID: id, Doc: fmt.Appendf(nil, `{"id":%q}`, id)}); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return nil
	}))
	// A new one makes the Service look at them all.
	_, err := w.svc.PutAccessGroup(w.ctx, admin, "acme", "north", cloud.AccessGroup{ID: letter})
	w.ok(err)
	return ids
}

// TestNarrowingOfManyGrants: a schedule, a door or a group that very many
// grants hang on can be narrowed and removed.
func TestNarrowingOfManyGrants(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	day := access.Schedule{ID: strings.Repeat("d", 64), Zone: "UTC", Weekly: []access.Interval{{Day: 1, From: 0, To: 1440}}}
	_, err := w.svc.PutSchedule(w.ctx, admin, "acme", "north", day)
	w.ok(err)
	for g, n := range map[string]int{"g1": 700, "g2": 10} { // of some 160 bytes each
		var grants []cloud.DoorAccess
		for i := range n {
			grants = append(grants, cloud.DoorAccess{Door: fmt.Sprintf("%04d%s", i, strings.Repeat("x", 60)), Schedule: day.ID})
		}
		_, err := w.svc.PutAccessGroup(w.ctx, admin, "acme", "north", cloud.AccessGroup{ID: g, Grants: grants})
		w.ok(err)
	}
	before := w.seq("north")
	day.Weekly[0].To = 600
	_, err = w.svc.PutSchedule(w.ctx, admin, "acme", "north", day)
	w.ok(err)
	if got := w.denied("north", before); !slices.Equal(got, []string{"schedule"}) {
		t.Errorf("denied %d refs, want the schedule", len(got))
	}
	w.ok(w.svc.DeleteAccessGroup(w.ctx, admin, "acme", "north", "g1"))
	w.ok(w.svc.DeleteDoor(w.ctx, admin, "acme", "north", "keys"))
	w.ok(w.svc.DeleteProperty(w.ctx, admin, "acme", "north"))
	if held := w.fold("north"); len(held) != 0 {
		t.Errorf("%d records left", len(held))
	}
}

// TestRecordsThatNoMessageHolds are refused when an admin says them.
func TestRecordsThatNoMessageHolds(t *testing.T) {
	w := newWorld(t)
	var weekly []access.Interval
	for i := range 5000 {
		weekly = append(weekly, access.Interval{Day: i % 7, From: i % 1000, To: i%1000 + 1})
	}
	_, err := w.svc.PutSchedule(w.ctx, admin, "acme", "north", access.Schedule{ID: "day", Zone: "UTC", Weekly: weekly})
	w.refused(err)
}

// TestByHandStaysWithinAMessage: cards and memberships of one person are as
// many as a message of all of them holds.
func TestByHandStaysWithinAMessage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	v, err := w.svc.CreatePerson(w.ctx, admin, "acme", cloud.NewPerson{Name: "Visitor"})
	w.ok(err)
	const maxCards, maxGroups = 32, 128
	for i := range maxCards + 1 {
		number := fmt.Sprintf("bits:1024:1%s%03d", strings.Repeat("0", 252), i)
		if _, err = w.svc.AddCard(w.ctx, admin, "acme", v.ID, cloud.NewCard{Number: number}); i < maxCards {
			w.ok(err)
		}
	}
	w.refused(err)
	groups := w.accessGroups("g", maxGroups+1)
	w.ok(w.db.Update(w.ctx, func(tx cloud.Tx) (err error) {
		for _, g := range groups[1:maxGroups] {
			err = errors.Join(err, tx.PutManualMember(cloud.ManualMember{Person: v.ID, Site: "north", Group: g}))
		}
		return err
	}))
	step := func(what string, do func() error) {
		before := w.seq("north")
		w.ok(do())
		if got := w.seq("north") - before; got != 1 {
			t.Errorf("%s went in %d messages", what, got)
		}
	}
	step("all that comes", func() error { return w.svc.AddMembership(w.ctx, admin, "acme", v.ID, "north", groups[0]) })
	w.ok(w.svc.AddMembership(w.ctx, admin, "acme", v.ID, "north", groups[0])) // again
	w.refused(w.svc.AddMembership(w.ctx, admin, "acme", v.ID, "north", groups[maxGroups]))
	step("all that goes", func() error { return w.svc.DeletePerson(w.ctx, admin, "acme", v.ID) })
	w.fold("north")
}

// TestK9DeletedCardStaysDeleted: a card that an admin deleted comes back with a
// changed number alone, not with the same one in another spelling or after a
// request that left it out.
func TestK9DeletedCardStaysDeleted(t *testing.T) {
	for _, setting := range []string{cloud.RemovalKeep, cloud.RemovalRevoke} {
		for _, between := range []any{"111", "0111", "H10302:111", nil, "REVOKED"} {
			t.Run(fmt.Sprint(setting, " ", between), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				w.rule("north", cloud.Rule{})
				_, err := w.svc.PatchOrg(w.ctx, admin, "acme", cloud.OrgPatch{CardRemoval: &setting})
				w.ok(err)
				u := w.user("ada", "111")
				w.ok(w.svc.DeleteCard(w.ctx, admin, "acme", w.person(u.ID).Cards[0].ID))
				w.mustPatch(u.ID, map[string]any{"cardNumber": between})
				w.expect("north", u.ID, "active, in staff")
				w.mustPatch(u.ID, map[string]any{"cardNumber": "111"})
				w.expect("north", u.ID, "active, in staff")
				if p := w.person(u.ID); p.CardState != cloud.CardDeleted {
					t.Errorf("card state %q", p.CardState)
				}
				w.mustPatch(u.ID, map[string]any{"cardNumber": "112"})
				w.expect("north", u.ID, "active, card 112, in staff")
			})
		}
	}
}

// TestK9SuspendedCardStaysSuspended: what an admin suspended does not become
// active because the directory left the number out once.
func TestK9SuspendedCardStaysSuspended(t *testing.T) {
	w := newWorld(t)
	w.rule("north", cloud.Rule{})
	_, err := w.svc.PatchOrg(w.ctx, admin, "acme", cloud.OrgPatch{CardRemoval: new(cloud.RemovalRevoke)})
	w.ok(err)
	u := w.user("ada", "111")
	_, err = w.svc.PatchCard(w.ctx, admin, "acme", w.person(u.ID).Cards[0].ID, cloud.CardPatch{Status: new("suspended")})
	w.ok(err)
	w.mustPatch(u.ID, map[string]any{"cardNumber": nil})
	w.expect("north", u.ID, "active, in staff")
	w.mustPatch(u.ID, map[string]any{"cardNumber": "111"})
	w.expect("north", u.ID, "active, in staff")
	w.mustPatch(u.ID, map[string]any{"cardNumber": "112"})
	w.expect("north", u.ID, "active, card 112, in staff")
}

// TestD5ReplacementWithoutUserTypeOpensNoDoors: a body that does not speak of
// userType does not turn a key cabinet's user into one of all doors.
func TestD5ReplacementWithoutUserTypeOpensNoDoors(t *testing.T) {
	w := newWorld(t)
	w.rule("north", cloud.Rule{})
	d := doc("box", "1")
	d["userType"] = "SMARTBOX"
	u, err := w.svc.CreateUser(w.ctx, w.caller, d)
	w.ok(err)
	put := func(userType ...any) string {
		_, err := w.svc.UpdateUser(w.ctx, w.caller, u.ID, "", true, func(map[string]any) (map[string]any, error) {
			d := doc("box", "1")
			for _, v := range userType {
				d["userType"] = v
			}
			return d, nil
		})
		w.ok(err)
		return w.person(u.ID).Kind
	}
	if got := put(); got != access.KindSmartbox {
		t.Errorf("a replacement without userType made the person %s", got)
	}
	if got := put("FULL"); got != access.KindFull {
		t.Errorf("got %s, want FULL", got)
	}
}

// TestD7ReviveMergesExtensions: a directory that assigns somebody again and
// sends another attribute of the extension says nothing about the card number.
func TestD7ReviveMergesExtensions(t *testing.T) {
	w := newWorld(t)
	_, err := w.svc.PatchOrg(w.ctx, admin, "acme", cloud.OrgPatch{CardRemoval: new(cloud.RemovalRevoke)})
	w.ok(err)
	w.rule("north", cloud.Rule{})
	u := w.user("ada", "111")
	w.mustPatch(u.ID, map[string]any{"active": false})
	d := doc("ada", "")
	d[cloud.EnterpriseURN] = map[string]any{"department": "Ops"}
	again, err := w.svc.CreateUser(w.ctx, w.caller, d)
	w.ok(err)
	ext, _ := attrs(t, again)[cloud.EnterpriseURN].(map[string]any)
	if again.ID != u.ID || ext["cardNumber"] != "111" || ext["department"] != "Ops" {
		t.Errorf("got %v", ext)
	}
	w.expect("north", u.ID, "active, card 111, in staff")
}

// TestS4DeactivationIsNeverRefusedForANameTaken: like a bad card number, a name
// that is another's is reported, and the rest of a deactivation holds.
func TestS4DeactivationIsNeverRefusedForANameTaken(t *testing.T) {
	w := newWorld(t)
	w.rule("north", cloud.Rule{})
	w.user("bob", "2")
	u := w.user("ada", "1")
	got := w.mustPatch(u.ID, map[string]any{"userName": "BOB", "externalId": "ext-bob", "active": false})
	w.expect("north", u.ID, "inactive, card 1, in staff")
	p := w.person(u.ID)
	if attrs(t, got)["userName"] != "ada" || attrs(t, got)["externalId"] != "ext-ada" || p.UserName != "ada" || len(p.Issues) != 2 {
		t.Errorf("got %v, issues %v", attrs(t, got), p.Issues)
	}
	if _, err := w.patch(u.ID, map[string]any{"userName": "BOB", "active": true}); !isConflict(err, "userName") {
		t.Errorf("restored under another's name: %v", err)
	}
	w.mustPatch(u.ID, map[string]any{"active": true})
	if p := w.person(u.ID); len(p.Issues) != 0 {
		t.Errorf("issues %v stay", p.Issues)
	}
}

// TestS4DeactivationIsNeverRefusedForItsSize: of attributes that are too large
// nothing is taken, and that is reported; the deactivation holds.
func TestS4DeactivationIsNeverRefusedForItsSize(t *testing.T) {
	w := newWorld(t)
	w.rule("north", cloud.Rule{})
	u := w.user("ada", "1")
	huge := map[string]any{"about": strings.Repeat("x", 1<<20), "title": "Boss", "cardNumber": "2"}
	_, err := w.patch(u.ID, huge)
	w.refused(err)
	huge["active"] = false
	got := attrs(t, w.mustPatch(u.ID, huge))
	w.expect("north", u.ID, "inactive, card 1, in staff")
	if p := w.person(u.ID); got["active"] != false || got["about"] != nil || got["title"] != nil || len(p.Issues) != 1 {
		t.Errorf("got active %v, title %v, issues %v", got["active"], got["title"], p.Issues)
	}
	w.mustPatch(u.ID, map[string]any{"active": true, "title": "Boss"})
	w.expect("north", u.ID, "active, card 1, in staff")
	if p := w.person(u.ID); len(p.Issues) != 0 {
		t.Errorf("issues %v stay", p.Issues)
	}
}

// TestR1DeletedGroupIsForgottenByThoseStillToGain: an access group deleted
// before the background wrote a large change does not come back with its name.
func TestR1DeletedGroupIsForgottenByThoseStillToGain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.batch = 5
	w.restart()
	var ids []string
	for i := range 12 {
		ids = append(ids, w.user(fmt.Sprintf("u%02d", i), fmt.Sprint(100+i)).ID)
	}
	r := w.rule("north", cloud.Rule{Groups: []string{"staff", "vip"}})
	w.ok(w.svc.DeleteRule(w.ctx, admin, "acme", "north", r.ID)) // frozen now
	w.ok(w.svc.DeleteAccessGroup(w.ctx, admin, "acme", "north", "staff"))
	w.ok(w.svc.Settle(w.ctx))
	_, err := w.svc.PutAccessGroup(w.ctx, admin, "acme", "north", cloud.AccessGroup{ID: "staff"})
	w.ok(err)
	for i, id := range ids {
		w.mustPatch(id, map[string]any{"title": "x"})
		w.expect("north", id, fmt.Sprintf("active, card %d, in vip", 100+i))
	}
}

// TestD1SwitchedOffMidway: a request that showed its token before SCIM was
// switched off, or the token deleted, changes nothing after that.
func TestD1SwitchedOffMidway(t *testing.T) {
	w := newWorld(t)
	tok, secret, err := w.svc.CreateToken(w.ctx, admin, "acme", "mid-way")
	w.ok(err)
	caller, err := w.svc.Authenticate(w.ctx, secret)
	w.ok(err)
	u := w.user("ada", "1")
	g := w.group("Ops")
	calls := func() map[string]error {
		errs := map[string]error{}
		_, errs["create user"] = w.svc.CreateUser(w.ctx, caller, doc("eve", ""))
		_, errs["update user"] = w.svc.UpdateUser(w.ctx, caller, u.ID, "", false, func(a map[string]any) (map[string]any, error) { a["title"] = "x"; return a, nil })
		errs["delete user"] = w.svc.DeleteUser(w.ctx, caller, u.ID, "")
		_, errs["create group"] = w.svc.CreateGroup(w.ctx, caller, map[string]any{"displayName": "Eves"}, nil)
		_, errs["update group"] = w.svc.UpdateGroup(w.ctx, caller, g.ID, "", func(e *cloud.GroupEdit) error { return e.Add(u.ID) })
		errs["delete group"] = w.svc.DeleteGroup(w.ctx, caller, g.ID, "")
		return errs
	}
	_, err = w.svc.PatchOrg(w.ctx, admin, "acme", cloud.OrgPatch{SCIMEnabled: new(false)})
	w.ok(err)
	for what, err := range calls() {
		if !errors.Is(err, cloud.ErrSCIMDisabled) {
			t.Errorf("%s while switched off: %v", what, err)
		}
	}
	_, err = w.svc.PatchOrg(w.ctx, admin, "acme", cloud.OrgPatch{SCIMEnabled: new(true)})
	w.ok(err)
	w.ok(w.svc.DeleteToken(w.ctx, admin, "acme", tok.ID))
	for what, err := range calls() {
		if !errors.Is(err, cloud.ErrToken) {
			t.Errorf("%s with a deleted token: %v", what, err)
		}
	}
}

// TestAppliedBeyondTheHead: a site that claims more than the log has, as one
// does after the cloud was restored from a backup, takes nothing from the log.
func TestAppliedBeyondTheHead(t *testing.T) {
	w := newWorld(t)
	head, err := w.svc.Head(w.ctx, "north")
	w.ok(err)
	for _, h := range []delta.Head{{Epoch: head.Epoch, Seq: head.Seq + 1<<40}, {Epoch: head.Epoch + 1, Seq: 1 << 40}} {
		w.ok(w.svc.Applied(w.ctx, "north", h))
		w.fold("north") // reads the log from its start
	}
}

// TestGrantWidened: hours that only grow deny nobody.
func TestGrantWidened(t *testing.T) {
	w := newWorld(t)
	_, err := w.svc.PutSchedule(w.ctx, admin, "acme", "north", access.Schedule{ID: "day", Zone: "UTC", Weekly: []access.Interval{{Day: 1, From: 0, To: 60}}})
	w.ok(err)
	put := func(schedule string) []string {
		before := w.seq("north")
		_, err := w.svc.PutAccessGroup(w.ctx, admin, "acme", "north", cloud.AccessGroup{ID: "staff", Name: "staff", Grants: []cloud.DoorAccess{{Door: "front", Schedule: schedule}, {Door: "keys"}}})
		w.ok(err)
		return w.denied("north", before)
	}
	if got := put("day"); len(got) != 1 {
		t.Errorf("narrowed: denied %v, want the grant", got)
	}
	if got := put(""); len(got) != 0 {
		t.Errorf("widened: denied %v", got)
	}
	w.fold("north")
}

// TestParallelCalls: many directories' calls, admins and the background at
// once, on a real database; the log folds at the end.
func TestParallelCalls(t *testing.T) {
	t.Parallel()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "cloud.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w := &world{failer: t, ctx: t.Context(), db: db, caller: cloud.Caller{Org: "acme"}}
	svc, err := cloud.NewService(db, cloud.Options{Batch: 3}) // the clock is the machine's: many call it
	w.ok(err)
	w.svc = svc
	w.furnish()
	ctx, stop := context.WithCancel(t.Context())
	background := make(chan error, 1)
	go func() { background <- svc.Run(ctx) }()
	var ids []string
	for i := range 10 {
		ids = append(ids, w.user(fmt.Sprintf("u%d", i), fmt.Sprint(1000+i)).ID)
	}
	g := w.group("Employees")
	w.rule("north", cloud.Rule{ID: "employees", Conditions: []cloud.Condition{{Group: "Employees"}}})
	w.rule("south", cloud.Rule{ID: "all"})
	var wg sync.WaitGroup
	errs := make(chan error, 1000)
	for i, id := range ids {
		wg.Go(func() { // the directory, about one person
			for n := range 4 {
				_, err := w.patch(id, map[string]any{"active": n%2 == 1, "cardNumber": fmt.Sprint(2000 + 10*i + n)})
				errs <- err
			}
		})
		wg.Go(func() { // and about the group
			for n := range 3 {
				_, err := svc.UpdateGroup(w.ctx, w.caller, g.ID, "", func(e *cloud.GroupEdit) error {
					if n%2 == 1 {
						return e.Remove(id)
					}
					return e.Add(id)
				})
				errs <- err
			}
		})
	}
	wg.Go(func() { // an admin
		for n := range 6 {
			_, err := svc.PutRule(w.ctx, admin, "acme", "south", cloud.Rule{ID: "all", Enabled: true, Groups: []string{[]string{"staff", "vip"}[n%2]}})
			errs <- err
		}
	})
	wg.Go(func() { // the publisher
		for range 20 {
			_, _, _, err := svc.Snapshot(w.ctx, "south")
			errs <- err
		}
	})
	wg.Wait()
	close(errs)
	for err := range errs {
		w.ok(err)
	}
	stop()
	w.ok(<-background)
	w.ok(svc.Settle(w.ctx))
	for i, id := range ids {
		card := fmt.Sprintf("active, card %d, in ", 2000+10*i+3)
		w.expect("north", id, card+"staff")
		w.expect("south", id, card+"vip")
	}
}

// TestFailedCommitLeavesNothing: a transaction that breaks off anywhere leaves
// neither a user without a log entry nor the other way about.
func TestFailedCommitLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.rule("north", cloud.Rule{})
	u := w.user("ada", "111")
	w.group("Employees", u.ID)
	for n := 1; ; n++ {
		broken := &breaking{Store: w.db, after: n}
		svc, err := cloud.NewService(broken, cloud.Options{Now: func() time.Time { return w.clock }})
		w.ok(err)
		_, err = svc.UpdateUser(w.ctx, w.caller, u.ID, "", false, func(a map[string]any) (map[string]any, error) {
			a["active"], a["displayName"] = false, "Gone"
			a[cloud.EnterpriseURN] = map[string]any{"cardNumber": "222"}
			return a, nil
		})
		if err == nil {
			if n < 8 {
				t.Errorf("only %d writes in the transaction", n)
			}
			break
		}
		if !errors.Is(err, errBroken) {
			t.Fatalf("after %d writes: %v", n, err)
		}
		w.expect("north", u.ID, "active, card 111, in staff")
		if p := w.person(u.ID); p.State != "active" || p.Name != "ADA" || len(p.Cards) != 1 {
			t.Fatalf("after %d writes the person is %+v", n, p)
		}
	}
	w.expect("north", u.ID, "inactive, card 222, in staff")
}

var errBroken = errors.New("broken")

// A breaking store fails at one of the writes of a transaction.
type breaking struct {
	cloud.Store
	after int
}

func (b *breaking) Update(ctx context.Context, f func(cloud.Tx) error) error {
	return b.Store.Update(ctx, func(tx cloud.Tx) error { return f(&breakingTx{Tx: tx, left: b.after}) })
}

type breakingTx struct {
	cloud.Tx
	left int
}

func (b *breakingTx) step() error {
	if b.left--; b.left < 0 {
		return errBroken
	}
	return nil
}

func (b *breakingTx) PutPerson(p cloud.PersonRow) error {
	return errors.Join(b.step(), b.Tx.PutPerson(p), b.step())
}
func (b *breakingTx) PutCard(c cloud.Card) error {
	return errors.Join(b.step(), b.Tx.PutCard(c), b.step())
}
func (b *breakingTx) DeleteCard(org, id string) error {
	return errors.Join(b.step(), b.Tx.DeleteCard(org, id), b.step())
}
func (b *breakingTx) PutRecord(r cloud.RecordRow) error {
	return errors.Join(b.step(), b.Tx.PutRecord(r), b.step())
}
func (b *breakingTx) DeleteRecord(site string, ref access.Ref) error {
	return errors.Join(b.step(), b.Tx.DeleteRecord(site, ref), b.step())
}
func (b *breakingTx) AppendLog(site string, epoch uint32, seq uint64, at time.Time, payload []byte, hash delta.Hash) error {
	return errors.Join(b.step(), b.Tx.AppendLog(site, epoch, seq, at, payload, hash), b.step())
}
func (b *breakingTx) PutSite(r cloud.SiteRow) error {
	return errors.Join(b.step(), b.Tx.PutSite(r), b.step())
}
func (b *breakingTx) AppendAudit(e cloud.AuditEntry) error {
	return errors.Join(b.step(), b.Tx.AppendAudit(e), b.step())
}
