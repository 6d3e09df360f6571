package siteapp

import (
	"context"
	"maps"
	"sync"
	"time"

	"latchkey/access"
	"latchkey/cache"
	"latchkey/controller"
)

// After drivers were told of a change they are left alone for four times as long
// as it took to work out what they want, from wantsLeast to wantsMost: while
// that is worked out no change can enter the cache. So a change that comes alone
// is told at once, and changes that come without pause are told together; on a
// site with 250,000 cards, where it takes 0.4 s, five times a second at the most.
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
	doors []string // of all table controllers; set before run

	working sync.Mutex // one driver at a time walks the index

	mu      sync.Mutex
	version uint64
	wait    chan struct{}
	cost    time.Duration // of the last look at what one controller's doors want
}

func newWants(db *cache.DB) *wants { return &wants{db: db, wait: make(chan struct{})} }

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
		modes := w.postures(w.doors)
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
				again = !maps.Equal(modes, w.postures(w.doors))
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
// not verified any more is nothing to push: not Ready. The head is read before
// the rest, so it may be older than that, which costs a second look, and never
// newer, which would prove too much.
func (w *wants) wanted(doors []string) controller.Wanted {
	w.working.Lock()
	defer w.working.Unlock()
	began := time.Now()
	defer func() { w.took(time.Since(began)) }()
	held := w.db.Held()
	wanted := controller.Wanted{Epoch: held.Epoch, Seq: held.Seq, Ready: held.Epoch != 0}
	if !wanted.Ready {
		return wanted
	}
	wanted.Schedules = map[string]access.Schedule{}
	w.db.View(func(x *access.Index) {
		wanted.Entitlements = x.Entitlements(doors)
		for _, e := range wanted.Entitlements {
			for _, ids := range e.Doors {
				for _, id := range ids {
					if _, ok := wanted.Schedules[id]; ok {
						continue
					}
					if s, ok := x.Schedule(id); ok {
						wanted.Schedules[id] = s
					}
				}
			}
		}
	})
	wanted.Postures = w.postures(doors)
	return wanted
}

func (w *wants) postures(doors []string) map[string]string {
	modes := make(map[string]string, len(doors))
	w.db.View(func(x *access.Index) {
		for _, id := range doors {
			modes[id] = x.Posture(id)
		}
	})
	return modes
}
