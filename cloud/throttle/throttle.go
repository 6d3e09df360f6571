// Package throttle slows down who tries too often, by address.
package throttle

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// maxAddresses is how many addresses are remembered.
const maxAddresses = 8192

// A Limit says how often an address may try.
type Limit struct {
	Burst int           // at once
	Every time.Duration // and then one in this time
}

// A Throttle counts tries by address. It may be used by any number of
// goroutines.
type Throttle struct {
	limit Limit
	mu    sync.Mutex
	until map[netip.Addr]time.Time // when all tries of the address are forgiven
}

// New makes a Throttle that remembers nobody.
func New(l Limit) *Throttle {
	return &Throttle{limit: l, until: map[netip.Addr]time.Time{}}
}

// Address is what tries of a network address, with or without a port, count
// against: a network where an IPv6 host can choose among many. The zero Addr
// stands for all that cannot be told apart.
func Address(remote string) netip.Addr {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
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

// Wait is how long the address has to wait before its next try; 0 is not at
// all.
func (t *Throttle) Wait(from netip.Addr, now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.wait(from, now)
}

// Count counts a try.
func (t *Throttle) Count(from netip.Addr, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count(from, now)
}

// Try counts a try of an address that has not to wait, and is Wait otherwise:
// of many tries at once no more get through than one after the other.
func (t *Throttle) Try(from netip.Addr, now time.Time) (wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if wait = t.wait(from, now); wait == 0 {
		t.count(from, now)
	}
	return wait
}

func (t *Throttle) wait(from netip.Addr, now time.Time) time.Duration {
	until, every := t.until[from], t.limit.Every
	if !until.After(now) {
		return 0
	}
	return max(0, until.Sub(now)-time.Duration(t.limit.Burst-1)*every)
}

func (t *Throttle) count(from netip.Addr, now time.Time) {
	begin := t.until[from]
	if begin.Before(now) {
		begin = now
	}
	t.until[from] = begin.Add(t.limit.Every)
	looked := 0
	for addr, until := range t.until { // few at a time, whichever come first: a try must not cost much
		full := len(t.until) > maxAddresses
		if looked++; looked > 4 && !full {
			break
		}
		if addr != from && (full || !until.After(now)) {
			delete(t.until, addr)
		}
	}
}
