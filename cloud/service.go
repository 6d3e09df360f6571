package cloud

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// A Service is the cloud's domain over one Store. Its methods may be called
// from any goroutine.
type Service struct{}

// Options are what a Service needs besides its store.
type Options struct {
	Log *slog.Logger     // nil discards
	Now func() time.Time // nil is time.Now
}

// A Store keeps everything; see store.go.
type Store interface{}

// NewService makes a Service over store.
func NewService(store Store, o Options) (*Service, error) { return nil, errors.ErrUnsupported }

// Run writes the gains of large changes to the sites' logs, in batches, until
// ctx ends; it takes up what an earlier process left.
func (s *Service) Run(ctx context.Context) error { return errors.ErrUnsupported }

// Settle does at once all that Run has still to do.
func (s *Service) Settle(ctx context.Context) error { return errors.ErrUnsupported }
