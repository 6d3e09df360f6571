package okta_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/cloud/okta"
	"latchkey/cloud/okta/oktatest"
	"latchkey/cloud/seal"
	"latchkey/cloud/store"
)

// A world is the organisation acme, whose property hq lets the members of the
// directory's group Staff in, and its Okta. It is in a bubble of its own time.
type world struct {
	*testing.T
	org   *oktatest.Org
	cloud *cloud.Service
	okta  *okta.Service
	hook  string
	staff string // the group's id at Okta
	users []string
}

// inWorld runs f in a world with n users, all of them Staff.
func inWorld(t *testing.T, n int, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, org: oktatest.New(oktatest.Options{PageSize: 20})}
		for i := range n {
			w.users = append(w.users, w.org.AddUser(profile(i)))
		}
		w.staff = w.org.AddGroup("Staff", w.users...)
		db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "cloud.db"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if w.cloud, err = cloud.NewService(db, cloud.Options{}); err != nil {
			t.Fatal(err)
		}
		w.furnish()
		stop := w.start()
		defer func() { stop() }()
		f(w)
	})
}

func (w *world) ok(errs ...error) {
	w.Helper()
	if err := errors.Join(errs...); err != nil {
		w.Fatal(err)
	}
}

func (w *world) furnish() {
	w.Helper()
	ctx := w.Context()
	_, err1 := w.cloud.CreateOrg(ctx, "admin", cloud.Org{ID: "acme", Name: "Acme"})
	_, err2 := w.cloud.PutProperty(ctx, "admin", "acme", cloud.Property{ID: "hq", Name: "HQ"})
	_, err3 := w.cloud.PutDoor(ctx, "admin", "acme", "hq", access.Door{ID: "front", Name: "Front"})
	_, err4 := w.cloud.PutAccessGroup(ctx, "admin", "acme", "hq", cloud.AccessGroup{ID: "staff", Name: "Staff", Grants: []cloud.DoorAccess{{Door: "front"}}})
	_, err5 := w.cloud.CreateRule(ctx, "admin", "acme", "hq", cloud.Rule{
		Name: "Staff", Enabled: true, Match: cloud.MatchAll, Conditions: []cloud.Condition{{Group: "Staff"}}, Groups: []string{"staff"},
	})
	w.ok(err1, err2, err3, err4, err5)
}

// start runs the reading as a process would, until stop.
func (w *world) start() (stop func()) {
	w.Helper()
	sealer, err := seal.New([]byte("a key that is in a file of its own"), okta.SealPurpose)
	w.ok(err)
	w.okta, err = okta.NewService(w.cloud, okta.Options{Seal: sealer, Transport: w.org.Transport()})
	w.ok(err)
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan error)
	go func() { done <- w.okta.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			w.Errorf("Run: %v", err)
		}
	}
}

// connect sets the connection, and confirms the first read.
func (w *world) connect(set okta.Settings) {
	w.Helper()
	set.Domain = domain
	hook, err := w.okta.Set(w.Context(), "admin", "acme", okta.Request{Settings: set, Token: oktatest.Token})
	w.ok(err)
	w.hook = hook
	w.settle()
	st := w.status()
	if st.Held == nil {
		w.Fatalf("%+v; want the first read held", st)
	}
	w.ok(w.okta.Confirm(w.Context(), "admin", "acme", st.Held.Forecast.Lose.Count))
	w.settle()
}

// settle lets what is under way end, without letting much time pass.
func (w *world) settle() {
	time.Sleep(time.Millisecond)
	synctest.Wait()
}

func (w *world) status() okta.Status {
	w.Helper()
	st, err := w.okta.Status(w.Context(), "acme")
	w.ok(err)
	return st
}

// inside counts the people who may open the front door, as hq was told.
func (w *world) inside() (n int) {
	w.Helper()
	people, err := w.cloud.People(w.Context(), "acme", cloud.PeopleQuery{Limit: 500})
	w.ok(err)
	for _, p := range people {
		if p.State == access.StateActive && len(p.Cards) == 1 && len(p.Sites) == 1 && slices.Equal(p.Sites[0].Groups, []string{"staff"}) {
			n++
		}
	}
	return n
}

func (w *world) want(when string, inside int) {
	w.Helper()
	if got := w.inside(); got != inside {
		w.Errorf("%s: %d people have access, want %d; %v", when, got, inside, w.status().Errors)
	}
}

func TestFirstReadIsHeld(t *testing.T) {
	inWorld(t, 45, func(w *world) {
		_, err := w.okta.Set(w.Context(), "admin", "acme", okta.Request{Settings: okta.Settings{Domain: domain}, Token: oktatest.Token})
		w.ok(err)
		time.Sleep(3 * time.Hour)
		st := w.status()
		if st.State != "waiting for a person" || st.Held == nil || st.Held.Forecast.New != 45 || st.Held.Forecast.Gain.Count != 45 || st.Held.Forecast.Lose.Count != 0 {
			t.Fatalf("%+v %+v; want 45 new people who gain, held", st, st.Held)
		}
		if !strings.Contains(strings.Join(st.Advice, "; "), "45 people would gain access and 0 of 0 would lose it") {
			t.Errorf("advice %q", st.Advice)
		}
		w.want("before confirming", 0)
		if err := w.okta.Confirm(w.Context(), "admin", "acme", 7); err == nil || !strings.Contains(err.Error(), "got 7, want 0") {
			t.Errorf("confirming what was not shown: %v", err)
		}
		w.ok(w.okta.Confirm(w.Context(), "admin", "acme", 0))
		w.settle()
		w.want("confirmed", 45)
		if st = w.status(); st.State != "reading" || st.Users != 45 || st.Groups != 1 || st.Held != nil {
			t.Errorf("%+v", st)
		}
	})
}

func TestSuspensionWithinOnePoll(t *testing.T) {
	inWorld(t, 30, func(w *world) {
		w.connect(okta.Settings{})
		w.want("at first", 30)
		time.Sleep(10 * time.Hour)
		w.org.SetStatus(w.users[3], okta.StatusSuspended)
		w.org.SetStatus(w.users[4], okta.StatusDeprovisioned)
		w.org.SetStatus(w.users[5], okta.StatusLockedOut)
		w.org.SetStatus(w.users[6], okta.StatusPasswordExpired)
		time.Sleep(okta.DefaultPoll)
		w.settle()
		w.want("suspended and deprovisioned", 28)
		w.org.SetStatus(w.users[3], okta.StatusActive)
		time.Sleep(okta.DefaultPoll)
		w.settle()
		w.want("unsuspended", 29)
	})
}

// The same where the token may not read the log, and where the log says nothing.
func TestSuspensionIsFoundByTime(t *testing.T) {
	inWorld(t, 10, func(w *world) {
		w.org.ForbidLogs(true)
		w.org.Lag(time.Hour) // of search, which must not be asked
		w.connect(okta.Settings{})
		time.Sleep(time.Hour)
		w.org.SetStatus(w.users[0], okta.StatusSuspended)
		time.Sleep(okta.DefaultPoll + time.Second)
		w.settle()
		w.want("without the log", 9)
		if st := w.status(); !strings.Contains(strings.Join(st.Advice, "; "), "Read-Only Administrator") || !strings.Contains(strings.Join(st.Errors, "; "), "E0000006") {
			t.Errorf("advice %q, errors %q; want to be told of the missing right", st.Advice, st.Errors)
		}
		w.org.ForbidLogs(false)
		time.Sleep(2 * okta.DefaultPoll)
		w.org.SetStatus(w.users[1], okta.StatusSuspended)
		w.org.RemoveMember(w.staff, w.users[2])
		w.org.ForgetEvents()
		time.Sleep(okta.DefaultDelta + okta.DefaultPoll)
		w.settle()
		w.want("with a log that says nothing", 7)
		for _, r := range w.org.Requests() {
			if strings.Contains(r.Path, "search=") {
				t.Fatalf("%s: search lags, and must not be asked", r.Path)
			}
		}
	})
}

func TestMembershipsAndDeletions(t *testing.T) {
	inWorld(t, 12, func(w *world) {
		w.connect(okta.Settings{})
		w.org.RemoveMember(w.staff, w.users[0])
		w.org.DeleteUser(w.users[1])
		w.org.RenameGroup(w.staff, "Staff of Acme")
		fresh := w.org.AddUser(profile(100))
		w.org.AddMember(w.staff, fresh)
		time.Sleep(okta.DefaultPoll)
		w.settle()
		w.want("one left the group, one was deleted, one came", 11)
		time.Sleep(time.Hour) // the group is no longer among those that changed
		w.org.DeleteUser(w.users[2])
		w.org.ForgetEvents() // nothing but the daily read finds that
		time.Sleep(2 * okta.DefaultDelta)
		w.want("deleted without a trace", 11)
		time.Sleep(okta.DefaultReconcile)
		w.settle()
		w.want("after the daily read", 10)
		w.org.DeleteGroup(w.staff)
		time.Sleep(okta.DefaultPoll)
		w.settle()
		w.want("the group is gone", 0)
	})
}

func TestBadConnectionsLoseNothing(t *testing.T) {
	inWorld(t, 50, func(w *world) {
		_, err := w.okta.Set(w.Context(), "admin", "acme", okta.Request{Settings: okta.Settings{Domain: domain}, Token: oktatest.Token})
		w.ok(err)
		w.settle()
		w.org.Drop(4)
		w.org.Busy(3)
		w.ok(w.okta.Confirm(w.Context(), "admin", "acme", 0))
		time.Sleep(5 * time.Minute)
		w.want("read over a bad line", 50)
		w.org.Drop(5)
		w.org.Fail(4)
		w.org.SetStatus(w.users[9], okta.StatusSuspended)
		time.Sleep(2 * okta.DefaultPoll)
		w.settle()
		w.want("suspended over a bad line", 49)
		w.org.Revoke(true)
		w.org.SetStatus(w.users[10], okta.StatusSuspended)
		time.Sleep(3 * okta.DefaultPoll)
		st := w.status()
		if st.State != "failing" || !strings.Contains(strings.Join(st.Advice, "; "), "Okta refuses the token") {
			t.Errorf("%+v; want to be told that the token is refused", st)
		}
		w.want("with a token that is refused", 49)
		if h := w.okta.Health()["acme"]; !h.Failing || h.Waiting || h.NotTaken != 0 || time.Since(h.LastSuccess) < 2*okta.DefaultPoll {
			t.Errorf("%+v; want it failing since the token went", h)
		}
		w.org.Revoke(false)
		time.Sleep(okta.DefaultPoll)
		w.settle()
		w.want("with the token back", 48)
		if st = w.status(); st.State != "reading" || len(st.Advice) != 0 {
			t.Errorf("%+v; want nothing to say", st)
		}
	})
}

// A list that has become much shorter is not believed before a person says so.
func TestManyMissingAreHeld(t *testing.T) {
	inWorld(t, 60, func(w *world) {
		w.connect(okta.Settings{})
		for _, id := range w.users[:25] {
			w.org.DeleteUser(id)
		}
		w.org.ForgetEvents()
		w.org.SetStatus(w.users[30], okta.StatusSuspended)
		time.Sleep(okta.DefaultReconcile + time.Minute)
		w.settle()
		w.want("25 of 60 are missing", 59) // that they have left the group is held, too, by the property's guard
		people, err := w.cloud.People(w.Context(), "acme", cloud.PeopleQuery{Limit: 500})
		if st := w.status(); err != nil || len(people) != 60 || st.Held == nil || st.Held.Missing.Users != 25 || st.State != "waiting for a person" {
			t.Fatalf("%d people, %+v; want all 60 kept and the absence of 25 held", len(people), st.Held)
		}
		w.ok(w.okta.Confirm(w.Context(), "admin", "acme", w.status().Held.Forecast.Lose.Count))
		w.settle()
		people, err = w.cloud.People(w.Context(), "acme", cloud.PeopleQuery{Limit: 500})
		if st := w.status(); err != nil || len(people) != 35 || st.Held != nil {
			t.Errorf("%d people, %+v; want 35", len(people), st.Held)
		}
		w.want("confirmed", 34)
	})
}

func TestRestartGoesOn(t *testing.T) {
	inWorld(t, 10, func(w *world) {
		w.connect(okta.Settings{})
		stop := w.start() // a second process: the first one's state is in the database
		defer stop()
		before := len(w.org.Requests())
		w.settle()
		if st := w.status(); st.State != "reading" || st.Held != nil || len(w.org.Requests()) == before {
			t.Errorf("%+v; want a confirmed connection that reads everything once more", st)
		}
		w.want("after a restart", 10)
	})
}

func TestEventHooks(t *testing.T) {
	inWorld(t, 10, func(w *world) {
		w.connect(okta.Settings{Poll: time.Hour})
		if w.hook == "" {
			t.Fatal("no secret for event hooks")
		}
		call := func(method, path, secret, body string) *httptest.ResponseRecorder {
			r := httptest.NewRequestWithContext(w.Context(), method, path, strings.NewReader(body))
			r.Header.Set("Authorization", secret)
			r.Header.Set("X-Okta-Verification-Challenge", "a challenge")
			rec := httptest.NewRecorder()
			w.okta.ServeHTTP(rec, r)
			return rec
		}
		w.org.SetStatus(w.users[0], okta.StatusSuspended)
		event := fmt.Sprintf(`{"data":{"events":[{"eventType":"user.lifecycle.suspend","target":[{"id":%q,"type":"User"}]}]}}`, w.users[0])
		for _, tt := range []struct {
			name, method, path, secret, body string
			code                             int
		}{
			{"no secret", "POST", "/okta/events/acme", "", event, 401},
			{"wrong secret", "POST", "/okta/events/acme", w.hook + "x", event, 401},
			{"another organisation", "POST", "/okta/events/other", w.hook, event, 401},
			{"no organisation", "GET", "/okta/events/", "", "", 401},
			{"no JSON", "POST", "/okta/events/acme", w.hook, "<x>", 400},
			{"too large", "POST", "/okta/events/acme", w.hook, strings.Repeat(" ", 2<<20), 400},
			{"another method", "DELETE", "/okta/events/acme", w.hook, "", 405},
			{"nothing that matters", "POST", "/okta/events/acme", w.hook, `{"data":{"events":[{"eventType":"user.session.start"}]}}`, 204},
		} {
			if rec := call(tt.method, tt.path, tt.secret, tt.body); rec.Code != tt.code {
				t.Errorf("%s: %d %s, want %d", tt.name, rec.Code, rec.Body, tt.code)
			}
		}
		if rec := call("GET", "/okta/events/acme", w.hook, ""); rec.Code != 200 || strings.TrimSpace(rec.Body.String()) != `{"verification":"a challenge"}` {
			t.Errorf("verification: %d %s", rec.Code, rec.Body)
		}
		w.settle()
		w.want("before the event", 10)
		if rec := call("POST", "/okta/events/acme", w.hook, event); rec.Code != 204 {
			t.Errorf("event: %d %s", rec.Code, rec.Body)
		}
		w.settle()
		w.want("after the event, long before the next poll", 9)
	})
}

func TestSettings(t *testing.T) {
	inWorld(t, 5, func(w *world) {
		for _, tt := range []struct {
			name string
			q    okta.Request
			want string
		}{
			{"no token", okta.Request{Settings: okta.Settings{Domain: domain}}, "token: is required"},
			{"a wrong token", okta.Request{Settings: okta.Settings{Domain: domain}, Token: "not-the-token-at-all"}, "E0000011"},
			{"no https", okta.Request{Settings: okta.Settings{Domain: "http://acme.okta.com"}, Token: oktatest.Token}, "want https"},
			{"SUSPENDED opens", okta.Request{Settings: okta.Settings{Domain: domain, Valid: []string{"SUSPENDED"}}, Token: oktatest.Token}, `got "SUSPENDED"`},
			{"too quick", okta.Request{Settings: okta.Settings{Domain: domain, Poll: time.Millisecond}, Token: oktatest.Token}, "poll: "},
		} {
			_, err := w.okta.Set(w.Context(), "admin", "acme", tt.q)
			if _, ok := errors.AsType[*cloud.Invalid](err); !ok || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
			} else if tt.q.Token != "" && strings.Contains(err.Error(), tt.q.Token) {
				t.Errorf("%s: the error has the token", tt.name)
			}
		}
		if _, err := w.okta.Set(w.Context(), "admin", "nobody", okta.Request{Settings: okta.Settings{Domain: domain}, Token: oktatest.Token}); !errors.Is(err, cloud.ErrNotFound) {
			t.Errorf("no such organisation: %v", err)
		}
		w.connect(okta.Settings{})
		hook, err := w.okta.Set(w.Context(), "admin", "acme", okta.Request{Settings: okta.Settings{Domain: domain, Valid: []string{okta.StatusActive}}})
		if err != nil || hook != "" {
			t.Errorf("keeping the token: %q, %v", hook, err)
		}
		w.org.SetStatus(w.users[0], okta.StatusLockedOut)
		time.Sleep(okta.DefaultPoll)
		w.settle()
		w.want("LOCKED_OUT does not open here", 4)
		if _, err := w.okta.Set(w.Context(), "admin", "acme", okta.Request{Settings: okta.Settings{Domain: "other.okta.com"}}); err == nil {
			t.Error("a token goes to another domain")
		}
		doc, err := w.cloud.Setting(w.Context(), "acme", "okta")
		if w.ok(err); strings.Contains(string(doc), oktatest.Token) || strings.Contains(string(doc), w.hook) {
			t.Error("the database has a secret in the clear")
		}
		audit, err := w.cloud.Audit(w.Context(), "acme", "", 100)
		if text := fmt.Sprint(audit); err != nil || !strings.Contains(text, "set Okta connection") || strings.Contains(text, oktatest.Token) || strings.Contains(text, w.hook) {
			t.Errorf("audit: %v", err)
		}
		if _, err := w.okta.Off(w.Context(), "admin", "acme", false); err != nil {
			t.Fatal(err)
		}
		calls := len(w.org.Requests())
		time.Sleep(time.Hour)
		if n := len(w.org.Requests()); n != calls {
			t.Errorf("%d calls after it was switched off", n-calls)
		}
		if _, err := w.okta.Status(w.Context(), "acme"); !errors.Is(err, cloud.ErrNotFound) {
			t.Errorf("status: %v", err)
		}
		w.want("switched off", 4)
	})
}

// A token sealed for one organisation opens nothing of another, nor with
// another key.
func TestAnotherKey(t *testing.T) {
	inWorld(t, 1, func(w *world) {
		w.connect(okta.Settings{})
		sealer, err := seal.New([]byte("another key, of another machine"), okta.SealPurpose)
		w.ok(err)
		other, err := okta.NewService(w.cloud, okta.Options{Seal: sealer, Transport: w.org.Transport()})
		w.ok(err)
		st, err := other.Status(w.Context(), "acme")
		if err != nil || st.State != "failing" || !strings.Contains(strings.Join(st.Errors, ""), "set it again") {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

func TestAPI(t *testing.T) {
	inWorld(t, 3, func(w *world) {
		routes := map[string]func(*http.Request) (any, error){}
		w.okta.Routes(func(pattern string, run func(*http.Request) (any, error)) { routes[pattern] = run })
		call := func(pattern, body string) (any, error) {
			method, path, _ := strings.Cut(pattern, " ")
			r := httptest.NewRequestWithContext(w.Context(), method, strings.ReplaceAll(path, "{org}", "acme"), strings.NewReader(body))
			r.SetPathValue("org", "acme")
			return routes[pattern](r)
		}
		for _, body := range []string{`{"domian":"x"}`, `[]`, `{"domain":"acme.okta.com","poll":"soon"}`, `{} {}`} {
			if _, err := call("PUT /orgs/{org}/okta", body); err == nil || strings.Contains(err.Error(), "panic") {
				t.Errorf("%s: %v, want a refusal", body, err)
			}
		}
		v, err := call("PUT /orgs/{org}/okta", `{"domain":"acme.okta.com","token":"`+oktatest.Token+`","poll":"30s"}`)
		w.ok(err)
		if a := v.(okta.SetAnswer); a.HookPath != "/okta/events/acme" || a.HookSecret == "" || a.Poll != "30s" {
			t.Errorf("%+v", a)
		}
		w.settle()
		if _, err = call("POST /orgs/{org}/okta/confirm", ``); err == nil {
			t.Error("confirmed without the number")
		}
		_, err = call("POST /orgs/{org}/okta/confirm", `{"lose":0}`)
		w.ok(err)
		_, err = call("POST /orgs/{org}/okta/sync", ``)
		w.ok(err)
		w.settle()
		w.want("confirmed", 3)
		_, err = call("DELETE /orgs/{org}/okta", `{"give_back":true}`)
		w.ok(err)
		if _, err := call("GET /orgs/{org}/okta", ""); !errors.Is(err, cloud.ErrNotFound) {
			t.Errorf("after switching off: %v", err)
		}
	})
}
