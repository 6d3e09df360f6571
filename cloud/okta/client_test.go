package okta_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/cloud/okta"
	"latchkey/cloud/okta/oktatest"
)

const domain = "acme.okta.com"

// profile is a user of the simulated organisation.
func profile(n int) map[string]any {
	return map[string]any{
		"login": fmt.Sprintf("p%d@example.com", n), "email": fmt.Sprintf("p%d@example.com", n),
		"firstName": "Pat", "lastName": fmt.Sprint("No ", n), "cardNumber": fmt.Sprint(70000 + n),
	}
}

func clientOf(t *testing.T, org *oktatest.Org) *okta.Client {
	t.Helper()
	c, err := okta.NewClient(okta.ClientConfig{Domain: domain, Token: oktatest.Token, Transport: org.Transport()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// ids reads all users and checks that each comes once.
func ids(t *testing.T, c *okta.Client, since time.Time) []string {
	t.Helper()
	var all []string
	if _, err := c.Users(t.Context(), since, func(page []okta.User) error {
		for _, u := range page {
			all = append(all, u.ID)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(all)
	if n := len(all); n != len(slices.Compact(slices.Clone(all))) {
		t.Errorf("of %d users some came twice", n)
	}
	return all
}

// bubble runs f where time passes only when all wait.
func bubble(t *testing.T, f func(t *testing.T)) { t.Helper(); synctest.Test(t, f) }

func TestUsersArePaged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		org := oktatest.New(oktatest.Options{PageSize: 7})
		for n := range 50 {
			org.AddUser(profile(n))
		}
		if got := len(ids(t, clientOf(t, org), time.Time{})); got != 50 {
			t.Errorf("got %d users, want 50", got)
		}
		if got := len(org.Requests()); got != 8 {
			t.Errorf("%d calls, want 8 pages of 7", got)
		}
		if first := org.Requests()[0].Path; !strings.Contains(first, "limit=200") {
			t.Errorf("first call %s, want limit=200", first)
		}
	})
}

func TestDroppedConnectionsAreAskedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		org := oktatest.New(oktatest.Options{PageSize: 10})
		for n := range 35 {
			org.AddUser(profile(n))
		}
		c := clientOf(t, org)
		org.Drop(3)
		if got := len(ids(t, c, time.Time{})); got != 35 {
			t.Errorf("got %d users, want 35", got)
		}
		var broken, calls int
		for _, r := range org.Requests() {
			calls++
			if r.Broken {
				broken++
			}
		}
		if broken != 3 || calls != 7 {
			t.Errorf("%d calls, %d broken off; want 7 and 3", calls, broken)
		}
		org.Drop(100)
		_, err := c.Users(t.Context(), time.Time{}, func([]okta.User) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "breaks off") || !strings.Contains(err.Error(), "(6 times)") {
			t.Errorf("always broken: %v", err)
		}
	})
}

// The same over a real connection, which the server resets in mid-page.
func TestDroppedTCPConnection(t *testing.T) {
	org := oktatest.New(oktatest.Options{PageSize: 10})
	for n := range 25 {
		org.AddUser(profile(n))
	}
	srv := httptest.NewServer(org)
	defer srv.Close()
	c, err := okta.NewClient(okta.ClientConfig{Domain: srv.URL, Token: oktatest.Token})
	if err != nil {
		t.Fatal(err)
	}
	org.Drop(1)
	if got := len(ids(t, c, time.Time{})); got != 25 {
		t.Errorf("got %d users, want 25", got)
	}
}

func TestRateLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		org := oktatest.New(oktatest.Options{PageSize: 1, Limit: 20})
		for n := range 60 {
			org.AddUser(profile(n))
		}
		begin := time.Now()
		if got := len(ids(t, clientOf(t, org), time.Time{})); got != 60 {
			t.Errorf("got %d users, want 60", got)
		}
		for _, r := range org.Requests() {
			if r.Status != 200 {
				t.Errorf("%s: %d; want to stop at a tenth of the calls, before there is a 429", r.Path, r.Status)
			}
		}
		// 18 calls a minute, and the last 6 in the fourth.
		if took := time.Since(begin); took < 2*time.Minute || took > 4*time.Minute {
			t.Errorf("took %v, want 3 pauses to the end of a minute", took)
		}
	})
}

func TestTooManyCallsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		org := oktatest.New(oktatest.Options{})
		org.AddUser(profile(1))
		org.Busy(4)
		begin := time.Now()
		if got := len(ids(t, clientOf(t, org), time.Time{})); got != 1 {
			t.Errorf("got %d users, want 1", got)
		}
		if took := time.Since(begin); took < 7*time.Second || took > 16*time.Second { // half to all of 1+2+4+8 s
			t.Errorf("took %v, want waits that double from 1 s", took)
		}
	})
}

func TestOver429ByTheMinute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		org := oktatest.New(oktatest.Options{Limit: 50})
		org.AddUser(profile(1))
		other := clientOf(t, org) // the organisation's own program uses the bucket up
		for range 45 {
			ids(t, other, time.Time{})
		}
		org.SetLimit(10)
		if got := len(ids(t, clientOf(t, org), time.Time{})); got != 1 {
			t.Errorf("got %d users, want 1", got)
		}
		all := org.Requests()
		if n := len(all); all[n-2].Status != 429 || all[n-1].Status != 200 {
			t.Errorf("last calls %+v, want one 429 and then a success", all[n-2:])
		}
	})
}

func TestServerErrors(t *testing.T) {
	bubble(t, func(t *testing.T) {
		org := oktatest.New(oktatest.Options{})
		org.AddUser(profile(1))
		c := clientOf(t, org)
		org.Fail(3)
		if got := len(ids(t, c, time.Time{})); got != 1 {
			t.Errorf("got %d users, want 1", got)
		}
		org.Revoke(true)
		_, err := c.User(t.Context(), "00u1")
		if !errors.Is(err, okta.ErrToken) || !strings.Contains(err.Error(), "E0000011") {
			t.Errorf("revoked token: %v", err)
		}
		if strings.Contains(err.Error(), oktatest.Token) {
			t.Errorf("the error has the token: %v", err)
		}
		org.Revoke(false)
		if _, err := c.User(t.Context(), "00u1"); !errors.Is(err, okta.ErrNotFound) {
			t.Errorf("unknown user: %v", err)
		}
		org.ForbidLogs(true)
		if _, err := c.Logs(t.Context(), "", time.Now(), func([]okta.Event) error { return nil }); !errors.Is(err, okta.ErrForbidden) {
			t.Errorf("no right to the log: %v", err)
		}
	})
}

func TestContextEndsAWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		org := oktatest.New(oktatest.Options{})
		org.Fail(1000)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		if _, err := clientOf(t, org).Group(ctx, "00g1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v, want the context's", err)
		}
		if took := time.Since(begin); took > 3*time.Second {
			t.Errorf("returned after %v", took)
		}
	})
}

func TestLinkToAnotherHost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		org := oktatest.New(oktatest.Options{PageSize: 1})
		org.AddUser(profile(1))
		org.AddUser(profile(2))
		org.LeadAway("evil.example.com")
		_, err := clientOf(t, org).Users(t.Context(), time.Time{}, func([]okta.User) error { return nil })
		if err == nil || !strings.Contains(err.Error(), "evil.example.com") || !strings.Contains(err.Error(), "want "+domain) {
			t.Errorf("error %v, want a refusal that names both hosts", err)
		}
		if n := len(org.Requests()); n != 1 {
			t.Errorf("%d calls, want 1", n)
		}
	})
}

func TestLogsGoOnWhereTheyWere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		org := oktatest.New(oktatest.Options{PageSize: 2})
		begin := time.Now()
		var users []string
		for n := range 5 {
			users = append(users, org.AddUser(profile(n)))
		}
		c := clientOf(t, org)
		var seen []string
		read := func(from okta.Cursor) okta.Cursor {
			seen = nil
			next, err := c.Logs(t.Context(), from, begin, func(page []okta.Event) error {
				for _, e := range page {
					seen = append(seen, e.EventType+" "+e.Target[0].ID)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return next
		}
		at := read("")
		if len(seen) != 5 {
			t.Errorf("seen %q, want 5 events", seen)
		}
		if at = read(at); len(seen) != 0 {
			t.Errorf("seen again: %q", seen)
		}
		org.SetStatus(users[3], okta.StatusSuspended)
		if read(at); !slices.Equal(seen, []string{"user.lifecycle.suspend " + users[3]}) {
			t.Errorf("seen %q, want the suspension", seen)
		}
		if _, err := c.Logs(t.Context(), "https://evil.example.com/api/v1/logs?after=1", begin, nil); err == nil {
			t.Error("a cursor of another host is taken")
		}
	})
}

func TestChangesByTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		org := oktatest.New(oktatest.Options{})
		a, b := org.AddUser(profile(1)), org.AddUser(profile(2))
		g := org.AddGroup("Staff", a)
		org.AddGroup("Others", b)
		mark := time.Now()
		time.Sleep(time.Minute)
		org.SetStatus(b, okta.StatusDeprovisioned)
		org.AddMember(g, b)
		c := clientOf(t, org)
		if got := ids(t, c, mark); !slices.Equal(got, []string{b}) {
			t.Errorf("changed users %q, want %s, who is deprovisioned", got, b)
		}
		if got := ids(t, c, time.Time{}); !slices.Equal(got, []string{a}) {
			t.Errorf("all users %q, want %s alone", got, a)
		}
		var names []string
		if _, err := c.Groups(t.Context(), mark, func(page []okta.Group) error {
			for _, g := range page {
				names = append(names, g.Profile.Name)
			}
			return nil
		}); err != nil || !slices.Equal(names, []string{"Others", "Staff"}) && !slices.Equal(names, []string{"Staff", "Others"}) {
			t.Errorf("changed groups %q, %v; want both, whose members changed", names, err)
		}
	})
}

// A hostile or broken Okta.
func TestBadAnswers(t *testing.T) {
	for _, tt := range []struct{ name, body, want string }{
		{"no JSON", "<html>", "not what the API promises"},
		{"an object", `{"id":"x"}`, "not what the API promises"},
		{"very large", "[" + strings.Repeat(" ", 33<<20) + "]", "more than 33554432 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, err := okta.NewClient(okta.ClientConfig{Domain: domain, Token: oktatest.Token, Transport: answers(tt.body)})
				if err != nil {
					t.Fatal(err)
				}
				_, err = c.Users(t.Context(), time.Time{}, func([]okta.User) error { return nil })
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error %v, want %q", err, tt.want)
				}
			})
		})
	}
}

type answers string

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	rec.WriteString(string(a))
	return rec.Result(), nil
}

func TestRedirectIsNotFollowed(t *testing.T) {
	var other int
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { other++ }))
	defer elsewhere.Close()
	srv := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	defer srv.Close()
	c, err := okta.NewClient(okta.ClientConfig{Domain: srv.URL, Token: oktatest.Token})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.User(t.Context(), "00u1"); err == nil || !strings.Contains(err.Error(), "302") || other != 0 {
		t.Errorf("error %v, %d calls elsewhere; want a refusal and none", err, other)
	}
}

func TestDomain(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"acme.okta.com", "https://acme.okta.com"},
		{" https://ACME.okta.com/ ", "https://acme.okta.com"},
		{"http://127.0.0.1:8080", "http://127.0.0.1:8080"},
		{"http://acme.okta.com", "error: want https"},
		{"acme-admin.okta.com", "error: want acme.okta.com"},
		{"https://acme.okta.com/api/v1", "error: want only acme.okta.com"},
		{"https://user@acme.okta.com", "error: want only acme.okta.com"},
		{"ftp://acme.okta.com", "error: want https"},
		{"", "error: want a name"},
		{"https://", "error: want a name"},
	} {
		u, err := okta.ParseDomain(tt.in)
		want, bad := strings.CutPrefix(tt.want, "error: ")
		switch {
		case bad && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%q: error %v, want %q", tt.in, err, want)
		case !bad && (err != nil || u.String() != want):
			t.Errorf("%q: %v, %v; want %s", tt.in, u, err, want)
		}
	}
}

func TestTokenIsHidden(t *testing.T) {
	token, err := okta.ParseToken("  SSWS " + oktatest.Token + "\n")
	if err != nil || token != oktatest.Token {
		t.Fatalf("ParseToken: %v", err)
	}
	text, err := json.Marshal(map[string]any{"t": token})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{fmt.Sprint(token), fmt.Sprintf("%s %v %q %#v %x", token, token, token, token, token), string(text)} {
		if strings.Contains(s, "simulated") || strings.Contains(s, "73696d756c61746564") {
			t.Errorf("the token shows: %s", s)
		}
	}
	for _, bad := range []string{"", "short", "with a blank in it, and long", strings.Repeat("x", 600)} {
		if _, err := okta.ParseToken(bad); err == nil || len(bad) > 6 && strings.Contains(err.Error(), bad) {
			t.Errorf("%.20q: error %v", bad, err)
		}
	}
}
