package osdp

import (
	"context"
	"time"
)

// SendFile is Bus.SendFile, and waits for its end. When ctx ends first the file
// is given up, and the PD told to forget its part. progress is called under the
// Line's lock: it must return at once and use nothing of the Line.
func (l *Line) SendFile(ctx context.Context, addr uint8, f File, progress func(confirmed, total int)) error {
	return l.await(ctx, addr, func(now time.Time, done func(error)) error {
		return l.bus.SendFile(now, addr, f, progress, done)
	}, func(now time.Time) { l.bus.CancelFile(now, addr) })
}
