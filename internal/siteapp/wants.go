package siteapp

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"latchkey/access"
	"latchkey/agent"
	"latchkey/cache"
	"latchkey/controller"
	"latchkey/delta"
)

// After drivers were told of a change they are left alone for four times as long
// as it took to look at what they want, from wantsLeast to wantsMost: meanwhile
// changes wait to enter the cache (cards at doors do not). So a change that
// comes alone is told at once, and changes that come without pause are told
// together; on a site with 250,000 cards five times a second at the most.
const (
	wantsLeast = 5 * time.Millisecond
	wantsMost  = 200 * time.Millisecond
	// wantsLook is how often doors' modes are looked at for one that has ended
	// by its own time.
	wantsLook = time.Second
)

// wants tells the drivers of table controllers what their doors want of them.
type wants struct {
	db    *cache.DB
	doors []string         // of all table controllers; set before run
	now   func() time.Time // the clock that decisions are held against; set before run
	cards agent.Cards      // what the site makes of cards; set before run

	working sync.Mutex // one driver at a time walks the index

	mu      sync.Mutex
	version uint64
	wait    chan struct{}
	cost    time.Duration // of the last look at what one controller's doors want
}

func newWants(db *cache.DB) *wants {
	return &wants{db: db, now: time.Now, wait: make(chan struct{})}
}

// watch makes the modes of these doors count as something to tell. It is
// called before run.
func (w *wants) watch(doors []string) { w.doors = append(w.doors, doors...) }

// run tells of changes until ctx ends.
func (w *wants) run(ctx context.Context) {
	if len(w.doors) == 0 {
		return
	}
	tick := time.NewTicker(wantsLook)
	defer tick.Stop()
	for {
		_, changed := w.db.Changes() // before the drivers look: what changes meanwhile is told again
		modes := w.modes()
		w.tell()
		select {
		case <-ctx.Done():
			return
		case <-time.After(w.rest()):
		}
		for again := false; !again; {
			select {
			case <-ctx.Done():
				return
			case <-changed:
				again = true
			case <-tick.C:
				again = !maps.Equal(modes, w.modes())
			}
		}
	}
}

func (w *wants) tell() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.version++
	close(w.wait)
	w.wait = make(chan struct{})
}

func (w *wants) rest() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return min(max(4*w.cost, wantsLeast), wantsMost)
}

func (w *wants) took(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cost = d
}

// changes is what drivers ask instead of the cache.
func (w *wants) changes() (uint64, <-chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.version, w.wait
}

// wanted is what a controller with these doors should hold now. A state that is
// not verified, or not any more, is nothing to push: not Ready.
func (w *wants) wanted(doors []string) (wanted controller.Wanted) {
	w.working.Lock()
	defer w.working.Unlock()
	var roster *access.Roster
	at := w.now()
	w.db.Survey(func(x *access.Index, held delta.Head) {
		// In here, because only what keeps changes waiting counts.
		began := time.Now()
		defer func() { w.took(time.Since(began)) }()
		wanted.Epoch, wanted.Seq, wanted.Ready = held.Epoch, held.Seq, held.Epoch != 0
		if !wanted.Ready {
			return
		}
		roster = x.Roster(doors)
		wanted.Schedules = map[string]access.Schedule{}
		for _, id := range roster.Schedules() {
			if s, ok := x.Schedule(id); ok {
				wanted.Schedules[id] = s
			}
		}
		wanted.Postures = postures(x, doors, at)
	})
	if wanted.Ready {
		wanted.Entitlements = w.ofSite(roster.Entitlements())
	}
	return wanted
}

// ofSite leaves out cards of facilities that the site does not take.
func (w *wants) ofSite(all []access.Entitlement) []access.Entitlement {
	refuses := w.cards.Refusal()
	if refuses == nil {
		return all
	}
	return slices.DeleteFunc(all, func(e access.Entitlement) bool { return refuses(e.Credential.Bits) })
}

// modes are those of all table controllers' doors now.
func (w *wants) modes() (modes map[string]string) {
	at := w.now()
	w.db.View(func(x *access.Index) { modes = postures(x, w.doors, at) })
	return modes
}

func postures(x *access.Index, doors []string, at time.Time) map[string]string {
	modes := make(map[string]string, len(doors))
	for _, id := range doors {
		modes[id] = x.PostureAt(id, at)
	}
	return modes
}
