package scim

import (
	"crypto/sha256"
	"net"
	"net/netip"
	"sync"
	"time"
)

// How often an address may show a token that opens nothing. A token has 256
// bits, so this is not what keeps guessers out: it keeps them from costing much.
const (
	guessBurst    = 30              // at once
	guessInterval = 2 * time.Second // and then one in this time
	maxGuessers   = 8192            // addresses that are remembered
	maxKnown      = 4096            // tokens that are remembered to have been right
)

// guesses slows down who tries tokens, by address. Whoever has shown a right
// token is let through from anywhere: a whole directory, or a cloud behind a
// proxy, may share its address with a guesser. It may be used by any number of
// goroutines.
type guesses struct {
	mu    sync.Mutex
	until map[netip.Addr]time.Time // when all wrong tokens of the address are forgiven
	known map[[32]byte]bool        // digests of tokens that were right last time
}

// guesser is the address that wrong tokens count against: a network where an
// IPv6 host can choose among many. The zero Addr stands for all that cannot be
// told apart.
func guesser(remoteAddr string) netip.Addr {
	host, _, err := net.SplitHostPort(remoteAddr)
	if err != nil {
		host = remoteAddr
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	if addr = addr.Unmap().WithZone(""); addr.Is6() {
		if network, err := addr.Prefix(64); err == nil {
			return network.Addr()
		}
	}
	return addr
}

// wait is how long the address has to wait before token is looked at; 0 is not
// at all.
func (g *guesses) wait(from netip.Addr, token string, now time.Time) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	over := -guessInterval
	if t := g.until[from]; t.After(now) {
		over = t.Sub(now) - guessBurst*guessInterval
	}
	if over <= -guessInterval || g.known[sha256.Sum256([]byte(token))] {
		return 0
	}
	return over + guessInterval
}

// wrong counts a token that opened nothing.
func (g *guesses) wrong(from netip.Addr, token string, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.known, sha256.Sum256([]byte(token)))
	if g.until == nil {
		g.until = map[netip.Addr]time.Time{}
	}
	t := g.until[from]
	if t.Before(now) {
		t = now
	}
	g.until[from] = t.Add(guessInterval)
	looked := 0
	for addr, t := range g.until { // few at a time, whichever come first: a guess must not cost much
		full := len(g.until) > maxGuessers
		if looked++; looked > 4 && !full {
			break
		}
		if addr != from && (full || !t.After(now)) {
			delete(g.until, addr)
		}
	}
}

// right remembers a token that opened something.
func (g *guesses) right(token string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.known == nil {
		g.known = map[[32]byte]bool{}
	}
	g.known[sha256.Sum256([]byte(token))] = true
	for digest := range g.known {
		if len(g.known) <= maxKnown {
			break
		}
		delete(g.known, digest)
	}
}
