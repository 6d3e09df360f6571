package uplink

import (
	"context"
	"errors"
	"maps"
	"time"
)

// Leases say which sites a Cloud serves, where several Clouds share a Source.
// No two of them have a lease of one site at one time. The Cloud alone calls
// its methods, one at a time.
//
// What a Cloud sent just before it lost a lease may arrive after the next one's
// messages. That is no more than what a broker that reorders does: everything
// is signed, numbered and chained, or answers one hello. What the Source stores
// of what a site says has to be guarded by the Source.
type Leases interface {
	// Claim renews the leases, takes those that are free, and returns the sites
	// that are this Cloud's until then, on this machine's clock. The number of a
	// site changes when its lease was lost and is had again. A lease that is not
	// in the answer ends with it. Claim is called each 2 s.
	Claim(ctx context.Context) (sites map[string]uint64, until time.Time, err error)
	// Release gives all leases back. Nothing is sent any more.
	Release(ctx context.Context) error
}

var errNotOurs = errors.New("uplink: another cloud serves the site")

// releaseTime is how long giving leases back may take. They end by themselves.
const releaseTime = 2 * time.Second

// lease is the number of our lease of site, and whether there is one.
func (c *Cloud) lease(site string) (uint64, bool) {
	if c.leases == nil {
		return 0, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	lease, ok := c.held[site]
	return lease, ok && time.Now().Before(c.until)
}

// ours says whether our lease of site is that one still.
func (c *Cloud) ours(site string, lease uint64) bool {
	now, ok := c.lease(site)
	return ok && now == lease
}

// hold claims leases until ctx ends, and has feed look at the lanes when other
// sites than before are ours.
func (c *Cloud) hold(ctx context.Context) {
	tick := time.NewTicker(c.timing.claim)
	defer tick.Stop()
	failing := false
	for ctx.Err() == nil {
		err := c.claim(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			c.log.Error("leases not renewed", "err", err)
		}
		if err == nil && failing {
			c.log.Info("leases renewed")
		}
		failing = err != nil
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

func (c *Cloud) claim(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timing.claim)
	defer cancel()
	sites, until, err := c.leases.Claim(ctx)
	c.mu.Lock()
	before := c.held
	if err == nil {
		c.held, c.until = sites, until
	} else if !time.Now().Before(c.until) {
		c.held = nil
	}
	changed := !maps.Equal(before, c.held)
	held := len(c.held)
	c.mu.Unlock()
	if changed {
		c.log.Info("other sites are served here", "sites", held)
		signal(c.refresh)
	}
	return err
}

// release gives the leases back once ctx has ended.
func (c *Cloud) release(ctx context.Context) {
	if c.leases == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	if err := c.leases.Release(ctx); err != nil {
		c.log.Warn("leases not given back", "err", err)
	}
}
