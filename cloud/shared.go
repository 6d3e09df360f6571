package cloud

import (
	"context"
	"crypto/rand"
	"maps"
	"strings"
	"sync"
	"time"

	"latchkey/internal/pause"
)

// PulledSetting is the setting of an organisation whose directory the cloud
// reads.
const PulledSetting = "okta"

// PullLease is what the lease to read an organisation's directory is called in a
// Shared store. No site has such an id.
func PullLease(org string) string { return pullLease + org }

const pullLease = "pull/"

// A Shared is a Store that several processes may have open at once. They divide
// the sites among them, and the organisations whose directories are read: each
// is served by one process at a time, its publisher, and by another one soon
// after that one is gone.
type Shared interface {
	Store
	// Claim says for ttl that publisher lives, and takes for it the sites and the
	// PullLeases of organisations with a PulledSetting that fall to it and that no
	// living one serves. It returns those that publisher
	// may serve for ttl from before the call, each with a number that grows with
	// each change of hands. A site that was in the last answer and is not in this
	// one must be left before the next call, which gives it to others.
	Claim(ctx context.Context, publisher string, ttl time.Duration) (map[string]uint64, error)
	// Release says that publisher serves nothing any more.
	Release(ctx context.Context, publisher string) error
	// Announce tells all that listen that sites' logs have grown.
	Announce(ctx context.Context) error
	// Listen calls heard once it listens, and whenever somebody announces, until
	// ctx ends or the connection is lost.
	Listen(ctx context.Context, heard func()) error
}

// The times of leases. With a claim each claimEvery a site has a new publisher
// at most leaseTime + claimEvery after the last one's death.
const (
	leaseTime   = 6 * time.Second
	leaseMargin = time.Second // clocks that do not run at one speed, and words under way
)

// Leases are a Service's rights to serve sites; see Service.Leases.
type Leases struct {
	shared    Shared
	publisher string

	mu     sync.Mutex
	fences map[string]uint64
	until  time.Time
}

// Leases are the Service's rights to serve sites, nil where its store is its
// alone and so are all sites. What sites say is then stored for those alone
// that it has a lease of: ErrNotPublisher.
func (s *Service) Leases() *Leases { return s.leases }

func newLeases(store Store) *Leases {
	shared, ok := store.(Shared)
	if !ok {
		return nil
	}
	return &Leases{shared: shared, publisher: rand.Text()}
}

// Claim renews the leases and takes others that are free. It returns those of
// sites; see Reads for the others. They hold until then,
// on this process's clock, each with a number that changes when the lease was
// lost in between. It wants to be called every 2 s.
func (l *Leases) Claim(ctx context.Context) (sites map[string]uint64, until time.Time, err error) {
	until = time.Now().Add(leaseTime - leaseMargin)
	sites, err = l.shared.Claim(ctx, l.publisher, leaseTime)
	if err != nil {
		return nil, time.Time{}, err
	}
	l.mu.Lock()
	l.fences, l.until = maps.Clone(sites), until
	l.mu.Unlock()
	maps.DeleteFunc(sites, func(id string, _ uint64) bool { return strings.HasPrefix(id, pullLease) })
	return sites, until, nil
}

// Reads says whether it is ours to read an organisation's directory now: fence is
// the number of the lease, 0 where the store is ours alone.
func (l *Leases) Reads(org string) (fence uint64, ok bool) {
	if l == nil {
		return 0, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fence, ok = l.fences[PullLease(org)]
	return fence, ok && time.Now().Before(l.until)
}

// Release gives all leases back.
func (l *Leases) Release(ctx context.Context) error {
	l.mu.Lock()
	l.fences = nil
	l.mu.Unlock()
	return l.shared.Release(ctx, l.publisher)
}

// check is ErrNotPublisher unless the lease of site is ours, and stays so for
// as long as tx lasts.
func (l *Leases) check(tx Tx, site string) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	fence, ok := l.fences[site]
	l.mu.Unlock()
	if !ok {
		return ErrNotPublisher
	}
	return tx.CheckLease(site, l.publisher, fence)
}

// The times of what several processes tell each other.
const (
	listenAgain = time.Second      // after the connection was lost
	lookAgain   = 15 * time.Second // for gains that a process left that is gone
)

// share tells the other processes of the store when logs grow here, and hears
// when they do elsewhere, until ctx ends.
func (s *Service) share(ctx context.Context, shared Shared) {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for ctx.Err() == nil {
			err := shared.Listen(ctx, func() { poke(s.changed) })
			if ctx.Err() == nil {
				s.log.Error("not told of changes elsewhere", "err", err, "retry", listenAgain)
				pause.For(ctx, listenAgain)
			}
		}
	})
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
			poke(s.work)
		case <-s.grown:
			// What is lost here is seen at the next regular look at the heads.
			if err := shared.Announce(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("change not announced", "err", err)
			}
		}
	}
}
