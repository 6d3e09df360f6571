package controller

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"latchkey/internal/pause"
)

const (
	courierQueue  = 512                    // events that may wait for the sink
	courierRetry  = 250 * time.Millisecond // first rest after the sink refused an event that its controller keeps, doubling …
	courierRest   = 5 * time.Second        // … up to this
	staleCard     = 5 * time.Second        // a card read that waited longer is dropped: who presented it has gone
	staleCardText = "a card read waited too long and was dropped"
)

// A courier gives a driver's events to its sink, one at a time and in order,
// on a goroutine of its own: a disk that hesitates must hold up neither the
// line nor a revocation.
type courier struct {
	sink Sink
	log  *slog.Logger
	wake chan struct{} // capacity 1: something was queued

	// took receives, with capacity 1, once all events that a controller keeps are
	// with the sink.
	took chan struct{}

	mu    sync.Mutex
	queue []Event
	kept  int // events that a controller keeps, in queue or on their way
	lost  int // events that were dropped and not told of yet
}

func newCourier(sink Sink, log *slog.Logger) *courier {
	return &courier{sink: sink, log: log, wake: make(chan struct{}, 1), took: make(chan struct{}, 1)}
}

// post queues events and does not block. When the sink is so far behind that
// the queue is full, the oldest event that a controller does not keep by
// itself is dropped, and told of by an EventsLost once the sink takes something
// again; what it does keep never is.
func (c *courier) post(events ...Event) {
	dropped := 0
	c.mu.Lock()
	for _, e := range events {
		if len(c.queue) >= courierQueue {
			if i := slices.IndexFunc(c.queue, func(q Event) bool { return q.Device == nil }); i >= 0 {
				c.queue = slices.Delete(c.queue, i, i+1)
				dropped++
			}
		}
		if e.Device != nil {
			c.kept++
		}
		c.queue = append(c.queue, e)
	}
	c.lost += dropped
	c.mu.Unlock()
	if dropped > 0 {
		c.log.Error("events dropped: nobody takes them", "controller", events[0].Controller, "count", dropped)
	}
	signal(c.wake)
}

// idle reports whether every event that a controller keeps is with the sink.
func (c *courier) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kept == 0
}

// run delivers until ctx ends. What is still queued then is lost, but for what
// the controller keeps until it is acknowledged.
func (c *courier) run(ctx context.Context) {
	for ctx.Err() == nil {
		c.mu.Lock()
		var e Event
		ok := len(c.queue) > 0
		if ok {
			e = c.queue[0]
			c.queue = slices.Delete(c.queue, 0, 1)
		}
		c.mu.Unlock()
		if !ok {
			select {
			case <-ctx.Done():
			case <-c.wake:
			}
			continue
		}
		if c.deliver(ctx, e) {
			c.confess(ctx, e.Controller)
		}
		if e.Device == nil || ctx.Err() != nil {
			continue
		}
		c.mu.Lock()
		c.kept--
		done := c.kept == 0
		c.mu.Unlock()
		if done {
			signal(c.took)
		}
	}
}

// confess tells the sink how many events were dropped. If it refuses, it is
// told after the next event that it takes.
func (c *courier) confess(ctx context.Context, controller string) {
	c.mu.Lock()
	n := c.lost
	c.lost = 0
	c.mu.Unlock()
	if n > 0 && !c.deliver(ctx, Event{Kind: EventsLost, At: time.Now().UTC(), Controller: controller, Count: uint64(n)}) {
		c.mu.Lock()
		c.lost += n
		c.mu.Unlock()
	}
}

// deliver returns once the sink has e, or, unless its controller keeps it,
// refused it, and tells which.
func (c *courier) deliver(ctx context.Context, e Event) (taken bool) {
	if e.Kind == CardRead && time.Since(e.At) > staleCard {
		c.log.Warn(staleCardText, "controller", e.Controller, "reader", e.Reader)
		return false
	}
	rest := courierRetry
	for try := 0; ; try++ {
		err := c.sink(ctx, e)
		if err == nil || ctx.Err() != nil {
			return err == nil
		}
		if try == 0 {
			c.log.Error("event not taken", "controller", e.Controller, "kind", e.Kind.String(), "err", err)
		}
		if e.Device == nil || !pause.For(ctx, rest) {
			return false
		}
		rest = min(rest*2, courierRest)
	}
}

// signal makes ch, of capacity 1, ready to receive from, and does not block.
func signal(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
