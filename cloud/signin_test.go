package cloud_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/cloud"
)

const connection = `{"issuer":"https://login.example"}`

// audited are the audit trail's entries of an act, newest first: who, and why
// not.
func (w *world) audited(what string) (all []string) {
	w.Helper()
	entries, err := w.svc.Audit(w.ctx, "acme", "", 1000)
	w.ok(err)
	for _, e := range entries {
		if e.What == what {
			all = append(all, strings.TrimSuffix(string(e.Who)+": "+e.Error, ": "))
		}
	}
	return all
}

// connect gives acme a sign-in provider.
func (w *world) connect() {
	w.Helper()
	w.ok(w.svc.PutSignIn(w.ctx, admin, "acme", "set sign-in", []byte(connection), true, nil))
}

func (w *world) signIn(email string) (secret string, s cloud.Session, err error) {
	return w.svc.SignIn(w.ctx, "acme", cloud.Account{Email: email, Subject: "sub-" + strings.ToLower(email), Connection: []byte(connection)})
}

func (w *world) mustSignIn(email, role string) (secret string) {
	w.Helper()
	secret, s, err := w.signIn(email)
	w.ok(err)
	if s.Role != role {
		w.Errorf("%s is %q, want %q", email, s.Role, role)
	}
	w.isIn(secret)
	return secret
}

func (w *world) isIn(secret string) cloud.Session {
	w.Helper()
	s, err := w.svc.Session(w.ctx, secret)
	w.ok(err)
	return s
}

func (w *world) isOut(what, secret string) {
	w.Helper()
	if s, err := w.svc.Session(w.ctx, secret); !errors.Is(err, cloud.ErrSignedOut) {
		w.Errorf("%s: session %+v, %v; want ErrSignedOut", what, s, err)
	}
}

func (w *world) administrator(email, role string) {
	w.Helper()
	_, err := w.svc.PutAdministrator(w.ctx, admin, "acme", email, role)
	w.ok(err)
}

func TestSignInCodeIsGoodOnce(t *testing.T) {
	w := newWorld(t)
	code, made, err := w.svc.MakeSignInCode(w.ctx, admin, "acme")
	w.ok(err)
	if len(code) != 24 || !strings.HasPrefix(code, made.Label+"-") {
		t.Fatalf("code %q with label %q", code, made.Label)
	}
	typed := " " + strings.ToLower(strings.NewReplacer("0", "o", "1", "l", "-", " ").Replace(code))
	secret, s, err := w.svc.SignInByCode(w.ctx, typed)
	w.ok(err)
	if got := w.isIn(secret); got.Role != cloud.PageOwner || got.Org != "acme" || got.Actor() != cloud.Actor("sign-in code "+made.Label+" (owner)") {
		t.Errorf("session %+v by %s", got, got.Actor())
	}
	for what, shown := range map[string]string{"used": code, "wrong": strings.Repeat("0", 20), "empty": ""} {
		if _, _, err := w.svc.SignInByCode(w.ctx, shown); err != cloud.ErrSignInCode {
			t.Errorf("%s code: %v, want ErrSignInCode", what, err)
		}
	}
	late, lateMade, err := w.svc.MakeSignInCode(w.ctx, admin, "acme")
	w.ok(err)
	w.clock = w.clock.Add(cloud.CodeGood)
	if _, _, err := w.svc.SignInByCode(w.ctx, late); err != cloud.ErrSignInCode {
		t.Errorf("code that has ended: %v, want ErrSignInCode", err)
	}
	why := ": " + cloud.ErrSignInCode.Error()
	want := []string{"sign-in code " + lateMade.Label + why, "sign-in code " + made.Label + why, "sign-in code " + made.Label}
	if got := w.audited("sign in"); !slices.Equal(got, want) {
		t.Errorf("audit trail %q, want %q", got, want)
	}
	for w.clock.Before(s.Began.Add(cloud.CodeSessionLongest - time.Minute)) {
		w.isIn(secret)
		w.clock = w.clock.Add(cloud.SessionIdle / 2)
	}
	w.clock = s.Ends
	w.isOut("after eight hours", secret)
}

// TestClockGoesBack: a clock that goes back gives no session and no code more
// time; one that is a little behind takes nothing away.
func TestClockGoesBack(t *testing.T) {
	w := newWorld(t)
	code, _, err := w.svc.MakeSignInCode(w.ctx, admin, "acme")
	w.ok(err)
	secret, s, err := w.svc.SignInByCode(w.ctx, code)
	w.ok(err)
	code, _, err = w.svc.MakeSignInCode(w.ctx, admin, "acme")
	w.ok(err)
	w.clock = s.Began.Add(-4 * time.Minute)
	w.isIn(secret)
	w.clock = s.Began.Add(-time.Hour)
	w.isOut("an hour before it began", secret)
	if _, _, err := w.svc.SignInByCode(w.ctx, code); err != cloud.ErrSignInCode {
		t.Errorf("code an hour before it was made: %v, want ErrSignInCode", err)
	}
	w.clock = s.Began.Add(time.Minute)
	w.isIn(secret)
}

func TestSignInCodeIsGoodForOneOfMany(t *testing.T) {
	w := newWorld(t)
	svc, err := cloud.NewService(w.db, cloud.Options{}) // twice is not for many at a time
	w.ok(err)
	code, _, err := svc.MakeSignInCode(w.ctx, admin, "acme")
	w.ok(err)
	var in, out sync.Map
	var g sync.WaitGroup
	for i := range 16 {
		g.Go(func() {
			secret, _, err := svc.SignInByCode(w.ctx, code)
			if err == nil {
				in.Store(i, secret)
			} else {
				out.Store(i, err)
			}
		})
	}
	g.Wait()
	n := 0
	in.Range(func(any, any) bool { n++; return true })
	if n != 1 {
		t.Errorf("%d got in, want 1", n)
	}
	out.Range(func(_, err any) bool {
		if err != cloud.ErrSignInCode {
			t.Errorf("refused with %v", err)
		}
		return true
	})
}

func TestSessionEndsByItself(t *testing.T) {
	w := newWorld(t)
	w.connect()
	w.administrator("ann@acme.test", cloud.PageViewer)
	idle := w.mustSignIn("ann@acme.test", cloud.PageViewer)
	w.clock = w.clock.Add(cloud.SessionIdle - time.Second)
	w.isIn(idle)
	w.clock = w.clock.Add(cloud.SessionIdle - time.Second)
	w.isIn(idle)
	w.clock = w.clock.Add(cloud.SessionIdle)
	w.isOut("after an idle hour", idle)

	secret := w.mustSignIn("ann@acme.test", cloud.PageViewer)
	ends := w.isIn(secret).Ends
	for range 23 {
		w.clock = w.clock.Add(cloud.SessionLongest/24 - time.Second)
		w.isIn(secret)
	}
	w.clock = ends
	w.isOut("after twelve hours", secret)
	w.isOut("a session that never was", "guess")
	w.isOut("no session", "")

	secret = w.mustSignIn("ann@acme.test", cloud.PageViewer)
	w.ok(w.svc.SignOut(w.ctx, secret))
	w.isOut("after signing out", secret)
	w.ok(w.svc.SignOut(w.ctx, secret))
	if got := w.audited("sign out"); !slices.Equal(got, []string{"ann@acme.test (viewer)"}) {
		t.Errorf("audit trail %q", got)
	}
}

func TestNamedAdministrators(t *testing.T) {
	w := newWorld(t)
	w.connect()
	w.administrator("Ann@Acme.test", cloud.PageOwner)
	w.administrator("bob@acme.test", cloud.PageViewer)
	for _, tt := range []struct{ email, role string }{
		{"", "owner"}, {"bob", "owner"}, {"@acme.test", "owner"}, {"bob@", "owner"}, {"a@b@c", "owner"}, {"b b@acme.test", "owner"}, {"<b>@acme.test", "owner"},
		{"\u212Aen@acme.test", "owner"}, {strings.Repeat("b", 250) + "@acme.test", "owner"}, {"bob@acme.test", "Owner"}, {"bob@acme.test", ""}, {"bob@acme.test", "root"},
		{"ann@acme.test", "admin"},
	} {
		_, err := w.svc.PutAdministrator(w.ctx, admin, "acme", tt.email, tt.role)
		if _, ok := errors.AsType[*cloud.Invalid](err); !ok {
			t.Errorf("%q as %q: %v, want *Invalid", tt.email, tt.role, err)
		}
	}
	if err := w.svc.DeleteAdministrator(w.ctx, admin, "acme", "ann@acme.test"); err == nil || !strings.Contains(err.Error(), "last owner") {
		t.Errorf("the last owner went: %v", err)
	}
	if err := w.svc.DeleteAdministrator(w.ctx, admin, "acme", "eve@acme.test"); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("nobody went: %v", err)
	}
	ann, bob := w.mustSignIn("ANN@acme.TEST", cloud.PageOwner), w.mustSignIn("bob@acme.test", cloud.PageViewer)
	w.administrator("bob@acme.test", cloud.PageViewer)
	w.isIn(bob)
	w.administrator("bob@acme.test", cloud.PageOwner)
	w.isOut("with another role", bob)
	viewer := w.mustSignIn("bob@acme.test", cloud.PageOwner)
	w.administrator("bob@acme.test", cloud.PageViewer)
	w.administrator("bob@acme.test", cloud.PageOwner)
	w.isOut("with the role it had before", viewer)
	bob = w.mustSignIn("bob@acme.test", cloud.PageOwner)
	w.ok(w.svc.DeleteAdministrator(w.ctx, admin, "acme", "ann@acme.test"))
	w.isOut("removed", ann)
	w.isIn(bob)
	if _, _, err := w.signIn("ann@acme.test"); !errors.Is(err, cloud.ErrNotAdministrator) {
		t.Errorf("removed: %v, want ErrNotAdministrator", err)
	}
	// Whatever writes the row: what somebody may do is read anew.
	w.ok(w.db.Update(w.ctx, func(tx cloud.Tx) error {
		return tx.PutAdministrator("acme", cloud.Administrator{Email: "bob@acme.test", Role: cloud.PageViewer, By: admin})
	}))
	w.isOut("with another role in the database", bob)
	w.administrator("bob@acme.test", cloud.PageOwner)
	if got := w.audited("sign in")[0]; got != "ann@acme.test: "+cloud.ErrNotAdministrator.Error() {
		t.Errorf("audit trail %q", got)
	}
	all, err := w.svc.Administrators(w.ctx, "acme")
	w.ok(err)
	if len(all) != 1 || all[0].Email != "bob@acme.test" || all[0].Role != cloud.PageOwner || all[0].By != admin {
		t.Errorf("administrators %+v", all)
	}
}

// TestR2AdminByRule: a rule makes an admin, never an owner, and whatever changes
// that ends the session.
func TestR2AdminByRule(t *testing.T) {
	w := newWorld(t)
	w.connect()
	ada, ann := w.user("ada@acme.test", ""), w.user("ann@acme.test", "")
	w.administrator("ann@acme.test", cloud.PageViewer)
	if _, _, err := w.signIn("ada@acme.test"); !errors.Is(err, cloud.ErrNotAdministrator) {
		t.Errorf("without a rule: %v", err)
	}
	admins := w.group("Admins", ada.ID, ann.ID)
	w.rule("north", cloud.Rule{Name: "Admins", Role: cloud.RoleAdmin, Conditions: []cloud.Condition{{GroupID: admins.ID}}})
	w.rule("north", cloud.Rule{Name: "All", Role: cloud.RoleUser})
	for what, end := range map[string]func(){
		"disabled": func() {
			w.mustPatch(ada.ID, map[string]any{"active": false})
			if _, _, err := w.signIn("ada@acme.test"); !errors.Is(err, cloud.ErrNotAdministrator) {
				t.Errorf("disabled: %v", err)
			}
			w.mustPatch(ada.ID, map[string]any{"active": true})
		},
		"not admin for a while": func() {
			_, err := w.svc.UpdateGroup(w.ctx, w.caller, admins.ID, "", func(e *cloud.GroupEdit) error { return e.Remove(ada.ID) })
			w.ok(err)
			w.members(admins.ID, ada.ID)
		},
		"named viewer": func() {
			w.administrator("ada@acme.test", cloud.PageViewer)
			w.mustSignIn("ada@acme.test", cloud.PageViewer)
			w.ok(w.svc.DeleteAdministrator(w.ctx, admin, "acme", "ada@acme.test"))
		},
	} {
		secret := w.mustSignIn("ada@acme.test", cloud.PageAdmin)
		end()
		w.isOut(what, secret)
	}
	// Somebody named is out with the directory too.
	secret := w.mustSignIn("ann@acme.test", cloud.PageViewer)
	w.mustPatch(ann.ID, map[string]any{"active": false})
	w.isOut("disabled, but named", secret)
	if _, _, err := w.signIn("ann@acme.test"); !errors.Is(err, cloud.ErrNotAdministrator) {
		t.Errorf("disabled, but named: %v", err)
	}
	w.mustPatch(ann.ID, map[string]any{"active": true})
	w.isOut("disabled for a while, but named", secret)
	w.mustSignIn("ann@acme.test", cloud.PageViewer)
}

// TestAccountsAreTied: who is named is the account that came first with the
// address, for as long as the provider is the same.
func TestAccountsAreTied(t *testing.T) {
	w := newWorld(t)
	w.connect()
	w.administrator("ann@acme.test", cloud.PageOwner)
	secret := w.mustSignIn("ann@acme.test", cloud.PageOwner)
	other := cloud.Account{Email: "ann@acme.test", Subject: "another", Connection: []byte(connection)}
	if _, _, err := w.svc.SignIn(w.ctx, "acme", other); !errors.Is(err, cloud.ErrOtherAccount) {
		t.Errorf("another account: %v, want ErrOtherAccount", err)
	}
	w.ok(w.svc.PutSignIn(w.ctx, admin, "acme", "set sign-in", []byte(connection), false, nil))
	w.isIn(secret)
	w.connect()
	w.isOut("after another provider", secret)
	if _, _, err := w.svc.SignIn(w.ctx, "acme", other); err != nil {
		t.Errorf("the first account of another provider: %v", err)
	}
	for _, doc := range [][]byte{[]byte(`{}`), nil} {
		w.ok(w.svc.PutSignIn(w.ctx, admin, "acme", "set sign-in", doc, true, nil))
		if _, _, err := w.svc.SignIn(w.ctx, "acme", other); !errors.Is(err, cloud.ErrChanged) {
			t.Errorf("by settings that are gone: %v, want ErrChanged", err)
		}
	}
}

func TestEndSessions(t *testing.T) {
	w := newWorld(t)
	w.connect()
	w.administrator("ann@acme.test", cloud.PageOwner)
	ann := w.mustSignIn("ann@acme.test", cloud.PageOwner)
	used, _, err := w.svc.MakeSignInCode(w.ctx, admin, "acme")
	w.ok(err)
	unused, _, err := w.svc.MakeSignInCode(w.ctx, admin, "acme")
	w.ok(err)
	byCode, _, err := w.svc.SignInByCode(w.ctx, used)
	w.ok(err)
	w.ok(w.svc.EndSessions(w.ctx, admin, "acme"))
	w.isOut("an account", ann)
	w.isOut("a code", byCode)
	if _, _, err := w.svc.SignInByCode(w.ctx, unused); err != cloud.ErrSignInCode {
		t.Errorf("an unused code: %v", err)
	}
	if err := w.svc.EndSessions(w.ctx, admin, "nobody"); !errors.Is(err, cloud.ErrNotFound) {
		t.Errorf("no organisation: %v", err)
	}
}

// TestAdminsDoNotKeepOwnersOut: whoever is an admin makes visitors and suspends
// people, and owners get in all the same.
func TestAdminsDoNotKeepOwnersOut(t *testing.T) {
	w := newWorld(t)
	w.connect()
	by := cloud.Actor("eve@acme.test (admin)")
	suspended := true
	suspend := func(id string) {
		t.Helper()
		_, err := w.svc.PatchPerson(w.ctx, by, "acme", id, cloud.PersonPatch{Suspended: &suspended})
		w.ok(err)
	}
	w.administrator("olga@acme.test", cloud.PageOwner)
	secret := w.mustSignIn("olga@acme.test", cloud.PageOwner)
	visitor, err := w.svc.CreatePerson(w.ctx, by, "acme", cloud.NewPerson{Name: "Olga", Email: "olga@acme.test"})
	w.ok(err)
	suspend(visitor.ID)
	w.isIn(secret)
	w.administrator("oscar@acme.test", cloud.PageOwner)
	u, err := w.svc.CreateUser(w.ctx, cloud.Caller{Org: "acme"}, map[string]any{"userName": "oscar@acme.test", "active": true})
	w.ok(err)
	suspend(u.ID)
	w.mustSignIn("oscar@acme.test", cloud.PageOwner)
}
