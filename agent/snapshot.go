package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"latchkey/cache"
	"latchkey/delta"
)

const (
	partsMissing = 30 * time.Second // without a new part of a snapshot, the missing ones are asked for
	snapMin      = time.Minute      // rest after two snapshots that did not verify …
	snapMax      = time.Hour        // … doubling up to this
	mendAfter    = 10 * time.Minute // a damaged cache that cannot store a snapshot is opened anew
)

// staging is what has come of a snapshot.
type staging struct {
	id      string
	head    delta.Head
	missing []int
	whole   string    // its id, once nothing is missing
	at      time.Time // when the last new part came
}

// A swapEnd is how the swapping in of a snapshot ended.
type swapEnd struct {
	id  string
	err error
}

// snapshot keeps a part of a snapshot, and has it swapped in once it is whole.
func (s *stream) snapshot(ctx context.Context, p *delta.Snapshot) error {
	if p.Re != s.nonce {
		s.log.WarnContext(ctx, "snapshot of another connection refused", "id", p.ID, "epoch", p.Head.Epoch, "seq", p.Head.Seq)
		return nil
	}
	if s.cache.Ready() && p.Head == s.cache.Held() {
		s.applied(ctx) // all of it is here; the cloud has not heard so
		return nil
	}
	if s.swapping {
		return nil // the cloud sends its parts until it hears of them
	}
	missing, err := s.cache.Stage(ctx, p)
	switch {
	case errors.Is(err, cache.ErrSnapshot):
		s.log.WarnContext(ctx, "part of a snapshot refused", "id", p.ID, "part", p.Part, "err", err)
	case errors.Is(err, cache.ErrRecord): // not the disk's fault, and sending it again does not help
		s.problem("The site's list from the cloud has an entry that this agent cannot read; doors go on with the last good one.")
		s.log.ErrorContext(ctx, "snapshot cannot be read", "id", p.ID, "part", p.Part, "err", err)
		s.nack(ctx, &delta.Nack{Epoch: p.Head.Epoch, Seq: p.Head.Seq, Reason: "shape"})
	case err != nil:
		return s.notStored(ctx, err)
	case len(missing) == 0:
		s.staged = staging{whole: p.ID}
	case p.ID != s.staged.id || len(missing) < len(s.staged.missing):
		s.staged = staging{id: p.ID, head: p.Head, missing: missing, at: time.Now()}
	}
	return nil
}

// finished deals with how the swapping in of a snapshot ended.
func (s *stream) finished(ctx context.Context, sw swapEnd) error {
	switch err := sw.err; {
	case err == nil:
		s.badSnaps, s.snapWait, s.failed, s.movedAt = 0, time.Time{}, time.Time{}, time.Now()
		s.problem("")
		held := s.cache.Held()
		s.log.InfoContext(ctx, "snapshot applied", "id", sw.id, "epoch", held.Epoch, "seq", held.Seq)
		s.applied(ctx)
	case errors.Is(err, cache.ErrForeign):
		return err
	case errors.Is(err, cache.ErrDigest), errors.Is(err, cache.ErrSnapshot), errors.Is(err, cache.ErrRecord):
		s.badSnapshot(ctx, sw.id, err)
	default:
		if refused, ok := errors.AsType[*massLoss](err); ok {
			s.refuseLoss(ctx, refused.head.Epoch, refused.head.Seq, refused)
			return nil
		}
		return s.notStored(ctx, err)
	}
	return nil
}

// badSnapshot asks for another one: at once after the first, and after two with
// growing pauses, for a cloud that contradicts itself must not be asked all the
// time. The last verified state serves meanwhile.
func (s *stream) badSnapshot(ctx context.Context, id string, err error) {
	s.badSnaps++
	s.update(func(st *LinkStatus) { st.BadSnaps++ })
	if s.badSnaps >= 2 {
		s.snapWait = time.Now().Add(min(snapMin<<min(s.badSnaps-2, 10), snapMax))
	}
	s.problem("The site's list from the cloud contradicts itself; doors go on with the last good one.")
	s.log.ErrorContext(ctx, "snapshot does not verify", "id", id, "failures", s.badSnaps, "err", err)
	s.needSnapshot(ctx, "digest")
}

// notStored is for a disk that does not take a snapshot. Where the cache is
// damaged besides, only opening it anew can help: then the agent ends, and
// whoever supervises it starts it again.
func (s *stream) notStored(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	s.problem("The site's list from the cloud could not be stored: " + err.Error())
	s.log.ErrorContext(ctx, "snapshot not stored", "err", err)
	switch now := time.Now(); {
	case errors.Is(err, cache.ErrForeign):
		return err
	case s.cache.Damaged() == "":
		s.failed = time.Time{}
	case s.failed.IsZero():
		s.failed = now
	case now.Sub(s.failed) >= mendAfter:
		return fmt.Errorf("the cache is damaged and takes no snapshot: %w", err)
	}
	return nil
}

// needSnapshot asks for the whole state.
func (s *stream) needSnapshot(ctx context.Context, reason string) {
	now := time.Now()
	if s.swapping || now.Before(s.snapWait) || s.need0.Snapshot && now.Sub(s.needAt) < needEvery {
		return
	}
	s.needAt, s.need0 = now, delta.Need{Epoch: s.cache.Held().Epoch, Snapshot: true, Reason: reason}
	ask := s.need0
	s.send(ctx, &ask)
}
