package pages_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/cloud"
	"latchkey/cloud/admin/pages"
	"latchkey/cloud/admin/signin"
	"latchkey/cloud/okta"
	"latchkey/cloud/okta/oktatest"
	"latchkey/cloud/seal"
)

// simulate gives the world a simulated Okta of n people, all of whom are Staff,
// and pages that can read it. The reading goes on until the test ends.
func (w *world) simulate(n int) *oktatest.Org {
	w.Helper()
	org := oktatest.New(oktatest.Options{})
	users := []string{}
	for i := range n {
		name := fmt.Sprintf("user%02d", i)
		users = append(users, org.AddUser(map[string]any{
			"login": name + "@acme.example", "email": name + "@acme.example", "displayName": "Person " + fmt.Sprint(i), "cardNumber": fmt.Sprint(20000 + i),
		}))
	}
	org.AddGroup("Staff", users...)
	sealer, err := seal.New([]byte("a key that is in a file of its own"), okta.SealPurpose)
	w.ok(err)
	service, err := okta.NewService(w.cloud, okta.Options{Seal: sealer, Transport: org.Transport()})
	w.ok(err)
	w.app, err = pages.Handler(w.cloud, pages.Options{SignIn: w, TenantURL: "https://latchkey.example/scim/v2", Okta: service})
	w.ok(err)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx) }()
	w.Cleanup(func() {
		stop()
		w.ok(<-done)
	})
	w.rule("Staff", []string{"staff"}, cloud.Condition{Group: "Staff"})
	return org
}

// oktaForm is the form as the page first has it, with a token.
func oktaForm(token string) []string {
	return []string{"domain", "acme.okta.com", "token", token, "poll", "60", "delta", "5", "reconcile", "24",
		"valid", "ACTIVE", "valid", "PASSWORD_EXPIRED", "valid", "RECOVERY", "valid", "LOCKED_OUT", "card_attribute", "cardNumber", "kind_attribute", "userType"}
}

// with is a form with a field changed.
func with(form []string, field, value string) []string {
	changed := append([]string{}, form...)
	for i := 0; i < len(changed); i += 2 {
		if changed[i] == field {
			changed[i+1] = value
		}
	}
	return changed
}

// inOkta runs f at a world whose clock stands still while nothing waits.
func inOkta(t *testing.T, n int, f func(t *testing.T, w *world, org *oktatest.Org)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		f(t, w, w.simulate(n))
	})
}

// settle lets what is under way end.
func settle() {
	time.Sleep(time.Millisecond)
	synctest.Wait()
}

func TestOktaConnectForecastConfirm(t *testing.T) {
	inOkta(t, 3, func(t *testing.T, w *world, org *oktatest.Org) {
		w.user("Zoe", "Lab", "777")
		w.wants(w.get("directory/okta"), 200, "Connect and read", "Read-Only Administrator", `value="60"`)
		for _, tt := range []struct{ field, value, says string }{
			{"domain", "acme-admin.okta.com", "Domain: got acme-admin.okta.com, which is the admin console"},
			{"token", "00never-made-by-anybody-at-all", "Token:"},
			{"token", "", "Token: is required"},
			{"poll", "often", "Read the log every: got &#34;often&#34;"},
			{"reconcile", "1e9", "Read everything every: got"},
			{"poll", "7200", "Poll: got 2h0m0s, want 1s to 1h0m0s"},
		} {
			w.wants(w.post("directory/okta", with(oktaForm(oktatest.Token), tt.field, tt.value)...), 422, "Not saved", tt.says)
		}
		w.wants(w.post("directory/okta", "domain", "<b>x", "token", oktatest.Token, "poll", "60", "delta", "5", "reconcile", "24"), 422, "Statuses: want at least one", "&lt;b&gt;x")

		a := w.post("directory/okta", oktaForm(oktatest.Token)...)
		w.wants(a, 200, "Nothing is changed yet", "https://latchkey.example/okta/events/acme", `<output id="hook-secret">`)
		hook := strings.Split(strings.SplitAfter(a.body, `<output id="hook-secret">`)[1], "<")[0]
		w.goes(w.post("directory/okta", oktaForm(oktatest.Token)...), "directory/okta?did=okta-set") // the answer, loaded again
		settle()

		a = w.get("directory/okta")
		w.wants(a, 200, "Look at this before anything is done", "This is the first read", "3 people gain access", "Person 2", "Nobody loses access", "It waits for you", "3 users, 1 group")
		for _, secret := range []string{hook, oktatest.Token, "latchkey-cloud"} {
			if strings.Contains(a.body, secret) {
				t.Errorf("%q is on the page", secret)
			}
		}
		w.people(1)
		w.wants(w.post("directory/okta/confirm", "lose", "7", "sure", "yes"), 422, "It has changed since it was shown to you")
		w.wants(w.post("directory/okta/confirm"), 422, "It has changed since it was shown to you")
		w.people(1)
		w.goes(w.post("directory/okta/confirm", "lose", "0"), "directory/okta?did=okta-confirmed")
		settle()
		w.people(4)
		w.wants(w.get("directory/okta"), 200, `<span class="badge good">It is read</span>`, "Rate limit", " of 600", "3 users, 1 group")
		entries, err := w.cloud.Audit(w.ctx, "acme", "", 200)
		w.ok(err)
		for _, e := range entries {
			if strings.Contains(e.What, "Okta") && e.Who != w.visitor.Actor {
				t.Errorf("%q is %s's, want %s's", e.What, e.Who, w.visitor.Actor)
			}
		}
	})
}

// people wants the organisation to have n.
func (w *world) people(n int) {
	w.Helper()
	all, err := w.cloud.People(w.ctx, "acme", cloud.PeopleQuery{Limit: 100})
	w.ok(err)
	if len(all) != n {
		w.Errorf("%d people, want %d", len(all), n)
	}
}

func TestOktaForecastOfALoss(t *testing.T) {
	inOkta(t, 1, func(t *testing.T, w *world, org *oktatest.Org) {
		w.user("Zoe", "Lab", "777")
		w.rule("All", []string{"staff"})
		org.SetStatus(org.AddUser(map[string]any{"login": "zoe@acme.example", "email": "zoe@acme.example"}), okta.StatusSuspended)
		w.wants(w.post("directory/okta", oktaForm(oktatest.Token)...), 200)
		settle()
		w.wants(w.get("directory/okta"), 200, "1 person loses access</h3>", "<li>Zoe</li>", "Yes, 1 person loses access", `class="danger">Confirm`)
		w.wants(w.post("directory/okta/confirm", "lose", "0", "sure", "yes"), 422, "It has changed since it was shown to you")
		w.wants(w.post("directory/okta/confirm", "lose", "1"), 422, "tick the box when you have seen who loses access")
		w.goes(w.post("directory/okta/confirm", "lose", "1", "sure", "yes"), "directory/okta?did=okta-confirmed")
	})
}

func TestOktaGoesOn(t *testing.T) {
	inOkta(t, 2, func(t *testing.T, w *world, org *oktatest.Org) {
		w.wants(w.post("directory/okta", oktaForm(oktatest.Token)...), 200)
		settle()
		w.goes(w.post("directory/okta/confirm", "lose", "0"), "directory/okta?did=okta-confirmed")
		settle()

		w.goes(w.post("directory/okta", with(with(oktaForm(""), "poll", "15"), "card_attribute", "badge")...), "directory/okta?did=okta-set")
		settle()
		w.wants(w.get("directory/okta"), 200, `name="poll" value="15"`, `value="badge"`)

		org.AddUser(map[string]any{"login": "late@acme.example", "email": "late@acme.example"})
		w.goes(w.post("directory/okta/sync"), "directory/okta?did=okta-sync")
		settle()
		w.people(3)

		org.Revoke(true)
		w.goes(w.post("directory/okta/sync"), "directory/okta?did=okta-sync")
		settle()
		w.wants(w.get("directory/okta"), 200, "It cannot be read at present", "Okta refuses the token", "Errors")

		w.goes(w.post("directory/okta/off", "give_back", "yes"), "directory/okta?did=okta-off-back")
		w.wants(w.get("directory/okta"), 200, "Connect and read")
		for _, path := range []string{"sync", "confirm", "off"} {
			w.wants(w.post("directory/okta/"+path, "lose", "0"), 404)
		}
	})
}

func TestOktaByRole(t *testing.T) {
	inOkta(t, 1, func(t *testing.T, w *world, org *oktatest.Org) {
		w.as(signin.Admin)
		w.wants(w.get("directory/okta"), 200, "An owner can connect it")
		w.wants(w.post("directory/okta", oktaForm(oktatest.Token)...), 403)
		w.as(signin.Owner)
		w.wants(w.post("directory/okta", oktaForm(oktatest.Token)...), 200)
		settle()
		for role, has := range map[signin.Role][4]bool{signin.Viewer: {}, signin.Admin: {true, true}, signin.Owner: {true, true, true, true}} {
			w.as(role)
			body := w.get("directory/okta").body
			for i, text := range []string{">Confirm</button>", "Read everything now</button>", `name="token"`, "Stop reading and forget"} {
				if strings.Contains(body, text) != has[i] {
					t.Errorf("%s is shown %q: %t, want %t", role, text, !has[i], has[i])
				}
			}
		}
		w.as(signin.Admin)
		w.wants(w.post("directory/okta/off"), 403)
		w.as(signin.Viewer)
		w.wants(w.post("directory/okta/sync"), 403)
		w.wants(w.post("directory/okta/confirm", "lose", "0"), 403)
		w.people(0)
	})
}

func TestOktaIsNotRead(t *testing.T) {
	w := newWorld(t)
	w.wants(w.get("directory/okta"), 200, "This cloud does not read Okta by token")
	for _, path := range []string{"", "/sync", "/confirm", "/off"} {
		w.wants(w.post("directory/okta"+path, oktaForm(oktatest.Token)...), 404)
	}
}
