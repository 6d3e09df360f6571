package osdp

import (
	"context"
	"fmt"
	"time"
)

// SetKey is Bus.SetKey, and waits for its end. When ctx ends before the key is
// sent, it is not, with an ErrNotSent; once it is, the PD may have it, and the
// end is waited for: a proof of one key or the other, or that the PD is offline.
func (l *Line) SetKey(ctx context.Context, addr uint8, key Key) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: PD %d: %w", ErrNotSent, addr, err)
	}
	result := make(chan error, 1)
	l.mu.Lock()
	err := l.bus.SetKey(time.Now(), addr, key, func(err error) { result <- err })
	l.nudge()
	l.mu.Unlock()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotSent, err)
	}
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
	}
	l.mu.Lock()
	ended := l.bus.EndSetKey(time.Now(), addr)
	l.mu.Unlock()
	if ended {
		return fmt.Errorf("%w: PD %d: %w", ErrNotSent, addr, ctx.Err())
	}
	return <-result
}

// Install is Bus.Install until ctx ends, and waits for its end. A ctx without a
// deadline has MaxInstall. It ends by then though nobody runs the line. An error that is an ErrNotSent means that the PD has
// what it had; after another it may have key.
func (l *Line) Install(ctx context.Context, addr uint8, key Key) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, MaxInstall)
		defer cancel()
	}
	return l.await(ctx, addr, func(now time.Time, done func(error)) error {
		until, _ := ctx.Deadline()
		if err := l.bus.Install(now, addr, key, until, done); err != nil {
			return fmt.Errorf("%w: %w", ErrNotSent, err)
		}
		return nil
	}, func(now time.Time) { l.bus.EndInstall(now, addr) })
}

// UseKeys is Bus.UseKeys.
func (l *Line) UseKeys(addr uint8, keys Keys) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.nudge()
	return l.bus.UseKeys(time.Now(), addr, keys)
}

// Pin is Bus.Pin.
func (l *Line) Pin(addr uint8, id *Identity) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.nudge()
	l.bus.Pin(time.Now(), addr, id)
}

// HasKey is Bus.HasKey.
func (l *Line) HasKey(addr uint8, key Key) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bus.HasKey(addr, key)
}
