// Package agent runs one site: changes from the cloud into the cache, cards at
// readers into decisions, and what happened back to the cloud. None of the
// three waits for another: doors work without the cloud, and the cloud's
// changes arrive while nobody is at a door.
package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/prometheus/client_golang/prometheus"

	"latchkey/access"
	"latchkey/cache"
	"latchkey/controller"
	"latchkey/delta"
	"latchkey/internal/pause"
)

// Software is what the agent calls itself to the cloud and on its page.
const Software = "latchkey-agent 0.1"

const (
	verifyEvery = time.Hour
	tidyEvery   = 10 * time.Second
	// watchdogEvery is a third of the unit's WatchdogSec.
	watchdogEvery = 10 * time.Second
)

// Options are what one site needs. Site, Cache, Events and Link must be set.
type Options struct {
	Site     string
	Name     string // for people; empty is Site
	Cache    *cache.DB
	Events   *cache.Events
	Link     Link
	Drivers  []controller.Driver // with different names
	Cards    Cards               // what the site makes of cards; the zero Cards takes any as it is
	Log      *slog.Logger        // nil discards
	Registry prometheus.Registerer
	Problems []string // what the caller has found that a person should look at, in sentences
	// Notify tells the service manager "READY=1" once all tasks run,
	// "WATCHDOG=1" each 10 s while decisions are being made, and "STOPPING=1"
	// when the end has begun. It may be nil.
	Notify func(state string)
}

// An Agent runs one site. Run works it; its other methods may be called from
// any goroutine, before, during and after Run.
type Agent struct {
	site, name string
	cache      *cache.DB
	events     *cache.Events
	link       Link
	drivers    []controller.Driver
	log        *slog.Logger
	notify     func(string)
	m          *metrics
	stream     *stream
	doors      *doors
	clock      *clock
	found      []string // Options.Problems

	mu    sync.Mutex
	tasks []TaskStatus
}

// A TaskStatus is one row of the agent's list of tasks.
type TaskStatus struct {
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
	Error string    `json:"error,omitempty"` // why it ended; empty while it runs
}

// New makes an agent. It starts nothing.
func New(o Options) (*Agent, error) {
	if o.Site == "" || o.Cache == nil || o.Events == nil || o.Link == nil {
		return nil, errors.New("agent: a site, a cache, an event store and a link are needed")
	}
	names := map[string]bool{}
	for _, d := range o.Drivers {
		if names[d.Name()] {
			return nil, fmt.Errorf("agent: two drivers %q: want different names", d.Name())
		}
		names[d.Name()] = true
	}
	a := &Agent{
		site: o.Site, name: cmp.Or(o.Name, o.Site), cache: o.Cache, events: o.Events, link: o.Link, drivers: o.Drivers,
		log: o.Log, notify: o.Notify, clock: new(clock), found: o.Problems,
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if a.notify == nil {
		a.notify = func(string) {}
	}
	var registry prometheus.Registerer = prometheus.NewRegistry()
	if o.Registry != nil {
		registry = o.Registry
	}
	var err error
	if a.m, err = newMetrics(registry, &collector{a}); err != nil {
		return nil, fmt.Errorf("agent: metrics: %w", err)
	}
	a.doors = newDoors(a.cache, a.events, o.Cards, a.drivers, a.clock, a.log, a.m)
	a.stream = newStream(a.cache, a.events, a.link, a.clock, a.log, a.m, a.act)
	return a, nil
}

// Run works the site until ctx ends, then returns nil once every goroutine has
// stopped. The first task that fails for good stops the others; its error says
// which. An Agent is run once.
func (a *Agent) Run(ctx context.Context) error {
	a.clock.load(ctx, a.cache, a.log)
	g, ctx := errgroup.WithContext(ctx)
	task := func(name string, run func(context.Context) error) {
		i := a.taskStarts(name)
		g.Go(func() error {
			err := run(ctx)
			if err == nil || ctx.Err() != nil {
				return nil
			}
			a.taskEnds(i, err)
			return fmt.Errorf("agent: %s: %w", name, err)
		})
	}
	task("cloud link", a.stream.run)
	task("event upload", a.upload)
	task("proof", a.proofs)
	task("cache check", a.verify)
	task("door watch", a.doors.watch)
	task("unlocked doors", a.doors.free)
	for _, d := range a.drivers {
		task("driver "+d.Name(), func(ctx context.Context) error {
			return d.Run(ctx, func(ctx context.Context, e controller.Event) error { return a.doors.take(ctx, d, e) })
		})
	}
	task("watchdog", a.watchdog) // the last one: it tells that all others run
	err := g.Wait()
	a.stream.acts.Wait()
	a.doors.wait()
	return err
}

// Now is the time that decisions are held against: see clock.
func (a *Agent) Now() time.Time { return a.clock.now() }

func (a *Agent) taskStarts(name string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tasks = append(a.tasks, TaskStatus{Name: name, Since: time.Now()})
	return len(a.tasks) - 1
}

func (a *Agent) taskEnds(i int, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tasks[i].Error, a.tasks[i].Since = err.Error(), time.Now()
}

// verify reads the cache back from disk each hour, because bits rot. When it
// does not verify any more, the doors go on from memory, nothing is pushed into
// controllers, and the stream asks for a snapshot. In between it clears away
// what snapshots leave behind.
func (a *Agent) verify(ctx context.Context) error {
	next := time.Now().Add(verifyEvery)
	for pause.For(ctx, tidyEvery) {
		if err := a.cache.Tidy(ctx); err != nil && ctx.Err() == nil {
			a.log.ErrorContext(ctx, "old rows of the cache are not cleared away", "err", err)
		}
		if time.Now().Before(next) {
			continue
		}
		next = time.Now().Add(verifyEvery)
		was := a.cache.Damaged()
		err := a.cache.Verify(ctx)
		if err == nil || ctx.Err() != nil {
			continue
		}
		a.log.ErrorContext(ctx, "the cache does not verify", "err", err)
		if was == "" && errors.Is(err, cache.ErrDamaged) {
			a.doors.keep(ctx, access.Event{At: time.Now(), Kind: access.EventCacheQuarantined})
		}
	}
	return nil
}

// watchdog tells the service manager that decisions are still being made: it
// takes the same lock and walks the same index as a card at a door does.
func (a *Agent) watchdog(ctx context.Context) error {
	a.notify("READY=1")
	defer a.notify("STOPPING=1")
	for ok := true; ok; ok = pause.For(ctx, watchdogEvery) {
		a.doors.probe()
		a.notify("WATCHDOG=1")
	}
	return nil
}

// act does a command of the cloud and says in words what came of it.
func (a *Agent) act(ctx context.Context, c *delta.Command) (string, error) {
	switch c.Name {
	case "unlock":
		return a.doors.unlockOnce(ctx, c)
	case "resync":
		return a.resync()
	default:
		return "", fmt.Errorf("agent: command %q: want unlock or resync", c.Name)
	}
}

// resync has all controllers compared with what they should hold.
func (a *Agent) resync() (string, error) {
	n := 0
	for _, d := range a.drivers {
		if t, ok := d.(controller.Table); ok {
			t.Reconcile()
			n++
		}
	}
	if n == 0 {
		return "", errors.New("agent: resync: no controller here holds a table")
	}
	return fmt.Sprintf("comparing %d %s", n, plural(n, "controller", "controllers")), nil
}
