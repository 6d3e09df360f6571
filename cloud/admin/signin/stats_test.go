package signin_test

import (
	"maps"
	"net/http"
	"net/url"
	"testing"

	"latchkey/cloud/admin/signin"
)

// TestTriesAreCounted: each try to get in ends in one number; whoever only looks,
// or goes off to their provider, is in none.
func TestTriesAreCounted(t *testing.T) {
	w := newWorld(t)
	w.connect()
	want := map[signin.Try]uint64{}
	for _, way := range []signin.Way{signin.ByCode, signin.ByAccount} {
		for _, outcome := range []signin.Outcome{signin.LetIn, signin.Refused, signin.Slowed, signin.Failed} {
			want[signin.Try{Way: way, Outcome: outcome}] = 0
		}
	}
	counted := func(what string, way signin.Way, outcome signin.Outcome, n uint64) {
		t.Helper()
		want[signin.Try{Way: way, Outcome: outcome}] += n
		if got := w.signin.Tries(); !maps.Equal(got, want) {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	b := w.browser()
	code := func(code string) int { return b.post(public+"/admin/sign-in", url.Values{"code": {code}}).Code }
	b.get(public + "/admin/sign-in")
	b.post(public+"/admin/sign-in", url.Values{"org": {"acme"}})
	callback := b.start("")
	counted("on the way", signin.ByAccount, signin.LetIn, 0)
	b.get(callback)
	counted("an account", signin.ByAccount, signin.LetIn, 1)
	b.get(callback)
	counted("the same answer again", signin.ByAccount, signin.Refused, 1)
	b.get(public + "/admin/sign-in/nobody/start")
	counted("an organisation that is none", signin.ByAccount, signin.Refused, 1)
	b.post(public+"/admin/sign-out", nil)
	code(w.code())
	counted("a code", signin.ByCode, signin.LetIn, 1)
	code("wrong")
	counted("a wrong code", signin.ByCode, signin.Refused, 1)
	var wrong uint64
	for code("wrong") != http.StatusTooManyRequests {
		wrong++
	}
	want[signin.Try{Way: signin.ByCode, Outcome: signin.Refused}] += wrong
	counted("one wrong code too many", signin.ByCode, signin.Slowed, 1)

	w.ok(w.db.Close())
	b.from = "203.0.113.6:4711"
	code("any")
	counted("a code that cannot be looked up", signin.ByCode, signin.Failed, 1)
	b.get(public + "/admin/sign-in/acme/start")
	counted("a provider that cannot be looked up", signin.ByAccount, signin.Failed, 1)
}
