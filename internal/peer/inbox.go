package peer

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// An inbox keeps what has come until somebody asks for it.
type inbox[T any] struct {
	mu    sync.Mutex
	items []T
	more  chan struct{} // closed when something comes; nil while nobody waits
	err   error         // nothing more will come
}

// put adds v.
func (b *inbox[T]) put(v T) { b.change(func() { b.items = append(b.items, v) }) }

// end tells those who wait that nothing more will come, and why.
func (b *inbox[T]) end(err error) { b.change(func() { b.err = err }) }

func (b *inbox[T]) change(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
	if b.more != nil {
		close(b.more)
		b.more = nil
	}
}

// await takes out the first item for which match is true, and waits for it
// until ctx ends. Those before it stay.
func (b *inbox[T]) await(ctx context.Context, match func(T) bool) (T, error) {
	for {
		v, more, err := b.take(match)
		if more == nil {
			return v, err
		}
		select {
		case <-more:
		case <-ctx.Done():
			return v, fmt.Errorf("%w; others there: %v", ctx.Err(), b.last())
		}
	}
}

// take is await that does not wait: more is closed when it is worth another try.
func (b *inbox[T]) take(match func(T) bool) (v T, more <-chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := slices.IndexFunc(b.items, match); i >= 0 {
		v = b.items[i]
		b.items = slices.Delete(b.items, i, i+1)
		return v, nil, nil
	}
	if b.err != nil {
		return v, nil, b.err
	}
	if b.more == nil {
		b.more = make(chan struct{})
	}
	return v, b.more, nil
}

// lastMost is how many items an error tells of.
const lastMost = 10

// last is what came last of what nobody has asked for yet.
func (b *inbox[T]) last() []T {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.items[max(0, len(b.items)-lastMost):])
}
