package cloud_test

import (
	"context"
	"errors"

	"latchkey/cloud"
)

// A twice is a store that runs each transaction twice, undoing the first run,
// as PostgreSQL does when another transaction was in the way. What a test sees
// must be as if it had run once.
type twice struct{ cloud.Store }

var errAgain = errors.New("run again")

func (s twice) Update(ctx context.Context, f func(cloud.Tx) error) error {
	err := s.Store.Update(ctx, func(tx cloud.Tx) error {
		f(tx) // whatever comes of it is undone
		return errAgain
	})
	if !errors.Is(err, errAgain) {
		return err
	}
	return s.Store.Update(ctx, f)
}

func (s twice) View(ctx context.Context, f func(cloud.Tx) error) error {
	return s.Store.View(ctx, func(tx cloud.Tx) error {
		f(tx)
		return f(tx)
	})
}
