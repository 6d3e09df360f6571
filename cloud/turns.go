package cloud

import (
	"context"
	"sync"
)

// mostLong is how many long reads there are at a time, of all organisations:
// half of the connections with which SQLite reads.
const mostLong = 2

// turns let long reads, such as previews, go one after the other in each
// organisation, and few at a time in all. They take seconds in a large one, and
// whoever asks for many would hold all connections that read: a call of
// anybody's directory that takes access away would wait behind them.
type turns struct {
	all chan struct{}

	mu  sync.Mutex
	org map[string]chan struct{}
}

func newTurns() turns {
	return turns{all: make(chan struct{}, mostLong), org: map[string]chan struct{}{}}
}

// take waits for a turn of org's, which ends with done. It fails with ctx.
func (t *turns) take(ctx context.Context, org string) (done func(), err error) {
	t.mu.Lock()
	own := t.org[org]
	if own == nil {
		own = make(chan struct{}, 1)
		t.org[org] = own
	}
	t.mu.Unlock()
	select {
	case own <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case t.all <- struct{}{}:
	case <-ctx.Done():
		<-own
		return nil, ctx.Err()
	}
	return func() { <-t.all; <-own }, nil
}

// viewLong is a View of the store that may take seconds.
func (s *Service) viewLong(ctx context.Context, org string, f func(Tx) error) error {
	done, err := s.turns.take(ctx, org)
	if err != nil {
		return err
	}
	defer done()
	return s.store.View(ctx, f)
}
