package cloud

import (
	"context"
	"crypto/rand"
	"sync"
	"time"
)

// A Shared is a Store that several processes may have open at once. They divide
// the sites among them: each site is served by one process at a time, its
// publisher, and by another one soon after that one is gone.
type Shared interface {
	Store
	// Claim says for ttl that publisher lives, and takes for it the sites that
	// fall to it and that no living one serves. It returns those that publisher
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

// Claim renews the leases and takes others that are free. They hold until then,
// on this process's clock, each with a number that changes when the lease was
// lost in between. It wants to be called every 2 s.
func (l *Leases) Claim(ctx context.Context) (sites map[string]uint64, until time.Time, err error) {
	until = time.Now().Add(leaseTime - leaseMargin)
	sites, err = l.shared.Claim(ctx, l.publisher, leaseTime)
	if err != nil {
		return nil, time.Time{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fences = sites
	return sites, until, nil
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
				sleep(ctx, listenAgain)
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

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
