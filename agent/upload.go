package agent

import (
	"context"
	"errors"
	"slices"
	"time"

	"latchkey/access"
	"latchkey/delta"
	"latchkey/internal/pause"
)

const (
	uploadBatch = 64              // events in one message, at most
	uploadAgain = 5 * time.Second // an ack that takes longer is lost
	proofEvery  = time.Minute
	proofLook   = 250 * time.Millisecond
)

// upload sends what the cloud has not stored yet, one batch at a time, until
// ctx ends. A batch that nobody acks is sent again; that the cloud stores each
// event once is its own business, by the numbers.
func (a *Agent) upload(ctx context.Context) error {
	var sent uint64 // the last n of the batch on its way
	var at time.Time
	for {
		_, appended := a.events.Changes()
		acked := a.events.Acked()
		if a.stream.Status().Connected && (sent <= acked || time.Since(at) >= uploadAgain) {
			if n := a.sendEvents(ctx, acked); n > 0 {
				sent, at = n, time.Now()
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-appended:
		case <-a.stream.acked:
		case <-time.After(uploadAgain):
		}
	}
}

// sendEvents sends the events after acked, as many as one message holds, and
// returns the number of the last one; 0 where none left.
func (a *Agent) sendEvents(ctx context.Context, acked uint64) uint64 {
	list, err := a.events.After(ctx, acked, uploadBatch)
	if err != nil {
		if ctx.Err() == nil {
			a.log.ErrorContext(ctx, "events cannot be read", "err", err)
		}
		return 0
	}
	for len(list) > 0 {
		err := a.link.Send(ctx, &delta.Events{EventEpoch: a.events.Epoch(), Events: list})
		switch {
		case err == nil:
			return list[len(list)-1].N
		case !errors.Is(err, delta.ErrSize) && !errors.Is(err, delta.ErrShape):
			a.log.DebugContext(ctx, "events did not leave", "err", err)
			return 0
		case len(list) > 1: // long names, or one among them that cannot be sent
			list = list[:len(list)/2]
		case list[0].Kind == access.EventGap:
			a.log.ErrorContext(ctx, "events cannot be sent", "n", list[0].N, "err", err)
			return 0
		default: // what cannot be told is counted, and does not hold up what comes after it
			a.log.ErrorContext(ctx, "event cannot be sent; a gap goes in its place", "n", list[0].N, "err", err)
			list[0] = access.Event{N: list[0].N, At: time.Now().UTC(), Kind: access.EventGap, Count: 1}
		}
	}
	return 0
}

// proofs tells the cloud what each controller was read to hold, when that
// changes and each minute.
func (a *Agent) proofs(ctx context.Context) error {
	var last []delta.ControllerProof
	var at time.Time
	for pause.For(ctx, proofLook) {
		if !a.stream.Status().Connected {
			last = nil // a new connection hears it all
			continue
		}
		now := a.proof()
		if len(now) == 0 || slices.Equal(last, now) && time.Since(at) < proofEvery {
			continue
		}
		if err := a.link.Send(ctx, &delta.Proof{Controllers: now}); err != nil {
			a.log.DebugContext(ctx, "proof did not leave", "err", err)
			continue
		}
		last, at = now, time.Now()
	}
	return nil
}

// proof reads the drivers' states. Since is cut to the second so that a state
// that stands still looks the same each time.
func (a *Agent) proof() (all []delta.ControllerProof) {
	for _, d := range a.drivers {
		st := d.Status()
		if st.Table == nil || st.Table.Epoch == 0 { // it was not read yet
			continue
		}
		all = append(all, delta.ControllerProof{
			Controller: st.Name, Wanted: st.Table.Wanted, Held: st.Table.Held, Equal: st.Table.Equal,
			Epoch: st.Table.Epoch, Seq: st.Table.Version, Since: st.Table.Since.UTC().Truncate(time.Second),
		})
	}
	return all
}
