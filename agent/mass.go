package agent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"latchkey/access"
	"latchkey/cache"
	"latchkey/delta"
)

// lossWindow is for how long losses without a word for them add up.
const lossWindow = time.Hour

// losses are openings that went without anybody's word, and when.
type losses []struct {
	at time.Time
	n  int
}

// recent is how many went up to now, and forgets older ones.
func (l *losses) recent(now time.Time) (n int) {
	kept := (*l)[:0]
	for _, loss := range *l {
		if now.Sub(loss.at) < lossWindow {
			kept = append(kept, loss)
			n += loss.n
		}
	}
	*l = kept
	return n
}

func (l *losses) add(now time.Time, n int) {
	if n > 0 {
		*l = append(*l, struct {
			at time.Time
			n  int
		}{now, n})
	}
}

// A massLoss is what a message would take, and so much of it without a word
// that the site does not obey.
type massLoss struct {
	access.Loss            // with what went in the last hour
	held        int        // openings of the site
	head        delta.Head // of a snapshot
}

func (m *massLoss) Error() string {
	return fmt.Sprintf("agent: it would take %d of %d openings, from %d people, and nobody has approved so much", m.Openings, m.held, m.People)
}

// weighDelta says how much of what d takes nobody's word covers, and whether
// that is too much.
func (s *stream) weighDelta(d *delta.Delta) (uncovered int, refused *massLoss) {
	loss, err := s.cache.Takes(d.Changes)
	if err != nil {
		return 0, nil // whoever applies it says what is wrong
	}
	return s.weigh(&s.lost, loss, d.Approved)
}

// weigh holds loss against the limit, with what went before it within the hour.
// What one person loses is never too much: nothing may delay a revocation. From
// a cloud that works nothing comes that word does not cover.
func (s *stream) weigh(before *losses, loss access.Loss, word *delta.Approval) (uncovered int, refused *massLoss) {
	if loss.People <= 1 {
		return 0, nil
	}
	if uncovered = word.Uncovered(loss.Openings); uncovered == 0 {
		return 0, nil
	}
	gone, held := before.recent(time.Now()), s.cache.Openings()
	if loss.Openings < held && gone+uncovered <= delta.MassLimit(held+gone) {
		return uncovered, nil
	}
	loss.Openings += gone
	return uncovered, &massLoss{Loss: loss, held: held}
}

// maySwap refuses a snapshot that takes very much from a site whose list is
// verified, and one that leaves nothing, where no word covers it.
func (s *stream) maySwap(w cache.Swapping) error {
	uncovered := w.Approved.Uncovered(w.Loss.Openings)
	switch {
	case uncovered == 0:
		return nil
	case w.Left == 0:
	case !w.Verified, w.Loss.People == 1, uncovered <= delta.MassLimit(w.Held):
		return nil
	}
	return &massLoss{Loss: w.Loss, held: w.Held, head: w.Head}
}

// refuseLoss keeps what the site holds. The cloud waits with all but the deny
// lane until a person has approved the loss, or it is given back.
func (s *stream) refuseLoss(ctx context.Context, epoch uint32, seq uint64, m *massLoss) {
	s.update(func(st *LinkStatus) { st.Mass++ })
	s.problem(fmt.Sprintf("The cloud sent what would take %d of %d openings (a card at a door is one) from %d people, and nobody has approved it: the site keeps what it holds. Look at the held changes in the cloud: confirm it there, or give back what it takes.",
		m.Openings, m.held, m.People))
	s.log.ErrorContext(ctx, "a mass loss of access that nobody has approved is refused; the site keeps what it holds",
		"epoch", epoch, "seq", seq, "openings", m.Openings, "of", m.held, "people", m.People)
	s.nack(ctx, &delta.Nack{Epoch: epoch, Seq: seq, Reason: delta.ReasonMass, Removes: m.Openings, People: m.People, Openings: m.held})
}

// ahead puts what a delta takes away into force ahead of its turn. A mass loss
// without a word for it waits for its turn, when it is weighed against what
// comes before it; only what locks does not wait.
func (s *stream) ahead(ctx context.Context, epoch uint32, seq uint64, deny []access.Ref, word *delta.Approval) {
	if len(deny) == 0 {
		return
	}
	uncovered, refused := s.weigh(&s.denied, s.cache.TakesDenied(deny), word)
	if refused != nil {
		s.log.WarnContext(ctx, "a mass loss of access that nobody has approved is not taken ahead of its turn", "epoch", epoch, "seq", seq, "err", refused)
		deny = postures(deny)
	} else {
		s.denied.add(time.Now(), uncovered)
	}
	s.block(ctx, epoch, seq, deny)
}

// postures are those of refs that lock.
func postures(refs []access.Ref) []access.Ref {
	return slices.DeleteFunc(slices.Clone(refs), func(r access.Ref) bool { return r.Kind != access.KindPosture })
}
