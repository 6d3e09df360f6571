package scim

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// TestGuessing: who tries tokens is slowed down, and nobody else is.
func TestGuessing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, "")
		const users = "/scim/v2/Users"
		c.want(200, "GET", users, "") // the directory, behind the same proxy
		for i := range guessBurst {
			c.want(401, "GET", users, "", fmt.Sprint("Authorization: Bearer guess-", i))
		}
		a := c.want(429, "GET", users, "", "Authorization: Bearer another")
		if got := a.header.Get("Retry-After"); got != "3" {
			t.Errorf("Retry-After is %q, want 3", got)
		}
		c.want(200, "GET", users, "") // it has shown this token before
		time.Sleep(3 * time.Second)
		c.want(401, "GET", users, "", "Authorization: Bearer one more")
		c.want(429, "GET", users, "", "Authorization: Bearer and another")
		time.Sleep(guessBurst * guessInterval)
		for i := range guessBurst {
			c.want(401, "GET", users, "", fmt.Sprint("Authorization: Bearer later-", i))
		}
	})
}

// TestKnownTokensAreBounded: however many tokens are right, few are remembered,
// and one that has gone bad is not known any more.
func TestKnownTokensAreBounded(t *testing.T) {
	g := newGuesses()
	now := time.Unix(1e9, 0)
	for i := range 2 * maxKnown {
		g.right(fmt.Sprint(i))
	}
	if len(g.known) != maxKnown {
		t.Errorf("%d tokens are remembered, want %d", len(g.known), maxKnown)
	}
	from := netip.MustParseAddr("192.0.2.9")
	g.right("old")
	for range guessBurst {
		g.wrong(from, "guess", now)
	}
	if got := g.wait(from, "old", now); got != 0 {
		t.Errorf("a right token waits %v", got)
	}
	g.wrong(from, "old", now)
	if got := g.wait(from, "old", now); got <= 0 {
		t.Errorf("a token that went bad waits %v", got)
	}
}
