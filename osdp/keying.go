package osdp

import (
	"context"
	"time"
)

// SetKey is Bus.SetKey, and waits for its end. When ctx ends first the key may
// be on its way: both slots hold until a Secured event tells which one the PD
// has.
func (l *Line) SetKey(ctx context.Context, addr uint8, key Key) error {
	return l.await(ctx, addr, func(now time.Time, done func(error)) error {
		return l.bus.SetKey(now, addr, key, done)
	}, func(time.Time) {})
}

// Install is Bus.Install until ctx ends, and waits for its end. A ctx without a
// deadline has MaxInstall.
func (l *Line) Install(ctx context.Context, addr uint8, key Key) error {
	return l.await(ctx, addr, func(now time.Time, done func(error)) error {
		until := now.Add(MaxInstall)
		if d, ok := ctx.Deadline(); ok {
			until = d
		}
		return l.bus.Install(now, addr, key, until, done)
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
