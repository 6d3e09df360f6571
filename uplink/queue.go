package uplink

import (
	"context"
	"sync"
)

// A queue holds Inbounds for one reader. It never blocks the writer: messages
// that find it full are dropped and counted, changes of the connection are
// always kept.
type queue struct {
	size int
	wake chan struct{} // capacity 1: something was put

	mu    sync.Mutex
	items []Inbound
	held  int // messages among items
	lost  uint64
}

func newQueue(size int) *queue { return &queue{size: size, wake: make(chan struct{}, 1)} }

func (q *queue) put(in Inbound) {
	q.mu.Lock()
	change := in.Up || in.Down
	switch last := len(q.items) - 1; {
	case change && last >= 0 && (q.items[last].Up || q.items[last].Down):
		// Nothing came between the two, so only the newer one matters. This
		// also bounds the changes by the messages between them.
		q.items[last] = in
	case change:
		q.items = append(q.items, in)
	case q.held >= q.size, in.Err != nil && q.held >= q.size/2:
		// Rubbish must not push out what is good.
		q.lost++
	default:
		q.items = append(q.items, in)
		q.held++
	}
	q.mu.Unlock()
	signal(q.wake)
}

// signal leaves one token in c, whose capacity is 1, if none is there.
func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (q *queue) next(ctx context.Context) (Inbound, error) {
	for {
		q.mu.Lock()
		if len(q.items) > 0 {
			in := q.items[0]
			q.items[0] = Inbound{} // the array lives on, its payload need not
			q.items = q.items[1:]
			if !in.Up && !in.Down {
				q.held--
			}
			more := len(q.items) > 0
			q.mu.Unlock()
			if more {
				signal(q.wake) // there may be a second reader
			}
			return in, nil
		}
		q.mu.Unlock()
		select {
		case <-ctx.Done():
			return Inbound{}, ctx.Err()
		case <-q.wake:
		}
	}
}

func (q *queue) dropped() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lost
}
