package agent

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"latchkey/cache"
)

const (
	clockName  = "agent: cloud time" // among the cache's values
	clockSave  = time.Minute         // the cloud's time is stored at most this often
	clockWrong = time.Minute         // a larger error is a problem for people
	clockWild  = 30 * 24 * time.Hour // ahead of the cloud by more than this, the machine's clock is not believed
)

// A clock is the time that decisions are held against: this machine's, but
// never before what the cloud last said, carried on by the monotonic clock. A
// machine without a battery starts in 1970, and must lock nobody out for it; nor
// may cards that have expired open again. A machine whose clock is ahead is
// believed, and a problem: people must mend that. Only one that is ahead by more
// than clockWild of what the cloud has said in this run is not believed: by a
// clock that jumps ten years every card with a date would have expired.
type clock struct {
	mu    sync.Mutex
	cloud time.Time // as a beat said; zero before the first one ever
	at    time.Time // of this machine when it was said
	saved time.Time // at, when cloud was last stored
	live  bool      // cloud was said in this run, so nothing is missing between it and at
	first bool      // the next beat is the first one of its connection
	off   time.Duration
}

// load takes up what the cloud said before this start.
func (c *clock) load(ctx context.Context, db *cache.DB, log *slog.Logger) {
	text, err := db.Value(ctx, clockName)
	if err != nil {
		log.ErrorContext(ctx, "the cloud's last time cannot be read", "err", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.cloud.UnmarshalText(text); err == nil {
		c.at = time.Now()
	}
}

// opened says that what the cloud says next is of a new connection.
func (c *clock) opened() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.first = true
}

// heard takes the time that a beat carries. Within one connection it only
// grows, so that a repeated beat does not turn it back; the next connection may
// correct it in either direction.
func (c *clock) heard(ctx context.Context, db *cache.DB, cloud time.Time, log *slog.Logger) {
	now := time.Now()
	c.mu.Lock()
	if cloud.IsZero() || !c.first && cloud.Before(c.cloud) {
		c.mu.Unlock()
		return
	}
	jump := cloud.Sub(c.cloud.Add(now.Sub(c.at)))
	save := now.Sub(c.saved) >= clockSave || jump.Abs() >= clockSave
	c.cloud, c.at, c.live, c.first, c.off = cloud.Round(0), now, true, false, now.Round(0).Sub(cloud)
	if save {
		c.saved = now
	}
	c.mu.Unlock()
	if !save {
		return
	}
	text, err := cloud.MarshalText()
	if err == nil {
		err = db.SetValue(ctx, clockName, text)
	}
	if err != nil && ctx.Err() == nil {
		log.ErrorContext(ctx, "the cloud's time is not stored", "err", err)
	}
}

func (c *clock) now() time.Time {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cloud.IsZero() {
		return now
	}
	least := c.cloud.Add(now.Sub(c.at)) // by the monotonic clock
	if ahead := now.Round(0).Sub(least); ahead < 0 || c.live && ahead > clockWild {
		return least
	}
	return now
}

// ahead is by how much this machine's clock was ahead of the cloud's at the
// last beat; negative is behind.
func (c *clock) ahead() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.off
}
