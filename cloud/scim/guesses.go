package scim

import (
	"crypto/sha256"
	"net/netip"
	"sync"
	"time"

	"latchkey/cloud/throttle"
)

// How often an address may show a token that opens nothing. A token has 256
// bits, so this is not what keeps guessers out: it keeps them from costing much.
const (
	guessBurst    = 30              // at once
	guessInterval = 2 * time.Second // and then one in this time
	maxKnown      = 4096            // tokens that are remembered to have been right
)

// guesses slows down who tries tokens, by address. Whoever has shown a right
// token is let through from anywhere: a whole directory, or a cloud behind a
// proxy that nobody named, may share its address with a guesser. It may be used
// by any number of goroutines.
type guesses struct {
	*throttle.Throttle
	mu    sync.Mutex
	known map[[32]byte]bool // digests of tokens that were right last time
}

func newGuesses() *guesses {
	return &guesses{Throttle: throttle.New(throttle.Limit{Burst: guessBurst, Every: guessInterval}), known: map[[32]byte]bool{}}
}

// wait is how long the address has to wait before token is looked at; 0 is not
// at all.
func (g *guesses) wait(from netip.Addr, token string, now time.Time) time.Duration {
	wait := g.Wait(from, now)
	g.mu.Lock()
	defer g.mu.Unlock()
	if wait > 0 && g.known[sha256.Sum256([]byte(token))] {
		return 0
	}
	return wait
}

// wrong counts a token that opened nothing.
func (g *guesses) wrong(from netip.Addr, token string, now time.Time) {
	g.Count(from, now)
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.known, sha256.Sum256([]byte(token)))
}

// right remembers a token that opened something.
func (g *guesses) right(token string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.known[sha256.Sum256([]byte(token))] = true
	for digest := range g.known {
		if len(g.known) <= maxKnown {
			break
		}
		delete(g.known, digest)
	}
}
