package cloud

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"sync"
	"time"

	"latchkey/wiegand"
)

// A Service is the cloud's domain over one Store. Its methods may be called
// from any goroutine; each is one transaction.
type Service struct {
	store   Store
	log     *slog.Logger
	now     func() time.Time
	formats *wiegand.Catalogue
	batch   int
	changed chan struct{} // a log grew
	work    chan struct{} // gains wait
	grown   chan struct{} // a log grew; for other processes
	leases  *Leases       // nil where there are no others
	process string        // names this process among those of the store

	ids     idSource
	journal journal
	mapping mapper
	turns   turns
	limits  Limits
	rooms   *rooms

	mu    sync.Mutex
	views map[string]cached // by organisation
}

type cached struct {
	config int64
	views  []*siteView
}

// Options are what a Service needs besides its store.
type Options struct {
	Log   *slog.Logger     // nil discards
	Now   func() time.Time // nil is time.Now
	Batch int              // people whose gains one transaction writes, 1 to 500; 0 is 500
	// Limits are those of each organisation; where a field is 0, that of
	// DefaultLimits.
	Limits Limits
}

// NewService makes a Service over store, which the caller closes after it.
func NewService(store Store, o Options) (*Service, error) {
	formats, err := wiegand.Load()
	if err != nil {
		return nil, err
	}
	s := &Service{
		store: store, log: o.Log, now: o.Now, formats: formats,
		changed: make(chan struct{}, 1), work: make(chan struct{}, 1),
		grown: make(chan struct{}, 1), leases: newLeases(store), process: rand.Text(),
		views: map[string]cached{}, batch: o.Batch, mapping: newMapper(), turns: newTurns(),
		limits: o.Limits.or(DefaultLimits()), rooms: newRooms(),
	}
	if s.batch < 1 || s.batch > batch {
		s.batch = batch
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s, nil
}

// Changed receives after commits that appended to any site's log, at least
// once after the last of them.
func (s *Service) Changed() <-chan struct{} { return s.changed }

func (s *Service) wake(appended, backlog bool) {
	if appended {
		poke(s.changed)
		poke(s.grown)
	}
	if backlog {
		poke(s.work)
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default: // one waits already
	}
}

// Run writes the gains of large changes to the sites' logs, a batch of people
// a transaction, until ctx ends; it takes up what an earlier process left. It
// also writes what was taken down of the directories' calls, at its end too. It
// returns nil when ctx ended. A store that fails is tried again.
//
// Where other processes have the store open as well it also tells them of
// changes and hears of theirs.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { s.keepJournal(ctx) })
	if shared, ok := s.store.(Shared); ok {
		wg.Go(func() { s.share(ctx, shared) })
	}
	wait := time.Second
	for {
		err := s.Settle(ctx)
		if ctx.Err() != nil {
			return nil
		}
		var retry <-chan time.Time
		if err != nil {
			s.log.Error("gains of a large change were not written", "err", err, "retry", wait)
			retry = time.After(wait)
			wait = min(2*wait, time.Minute)
		} else {
			wait = time.Second
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.work:
		case <-retry:
		}
	}
}

// Settle does at once all that Run has still to do.
func (s *Service) Settle(ctx context.Context) error {
	for {
		done, err := s.settleBatch(ctx)
		if err != nil || done {
			return err
		}
	}
}

func (s *Service) settleBatch(ctx context.Context) (done bool, err error) {
	var org string
	var people []string
	err = s.store.View(ctx, func(tx Tx) error {
		var err error
		org, people, err = tx.Dirty(s.batch)
		return err
	})
	if err != nil || len(people) == 0 {
		return true, err
	}
	return false, s.update(ctx, org, act{by: "system", what: "write gains"}, func(w *work) error {
		for _, id := range people {
			w.people[id] = true
		}
		return w.tx.ClearDirty(org, people)
	})
}

func (s *Service) cachedViews(o Org) []*siteView {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.views[o.ID]; ok && c.config == o.Config {
		return c.views
	}
	return nil
}

// cacheViews keeps what a transaction read that changed no configuration; one
// that did might yet be undone.
func (s *Service) cacheViews(o Org, views []*siteView) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.views[o.ID]; !ok || c.config <= o.Config {
		s.views[o.ID] = cached{o.Config, views}
	}
}

// An idSource makes ids that sort by when they were made.
type idSource struct {
	mu   sync.Mutex
	last uint64 // milliseconds and a counter in one number
}

// newID makes a UUID of version 7 (RFC 9562 §5.7): 48 bits of milliseconds, 12
// of a counter that makes the ids of one process sort strictly, 62 random.
func (s *Service) newID(now time.Time) string {
	ids := &s.ids
	ids.mu.Lock()
	ids.last = max(ids.last+1, uint64(max(now.UnixMilli(), 0))<<12)
	at := ids.last
	ids.mu.Unlock()
	var b [16]byte
	rand.Read(b[:]) // never fails
	binary.BigEndian.PutUint64(b[:8], at>>12<<16|7<<12|at&0xfff)
	b[8] = b[8]&0x3f | 0x80
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
