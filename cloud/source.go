package cloud

import (
	"context"
	"errors"
	"fmt"

	"latchkey/delta"
)

// keptEntries is how many applied entries of a site's log stay for people to
// look at and for a site that was set back a little.
const keptEntries = 10_000

// Sites lists the ids of all sites that have a stream, deleted ones too, whose
// agents must still hear of it.
func (s *Service) Sites(ctx context.Context) ([]string, error) {
	var ids []string
	err := s.store.View(ctx, func(tx Tx) error {
		rows, err := tx.Sites("")
		ids = make([]string, len(rows))
		for i, row := range rows {
			ids[i] = row.ID
		}
		return err
	})
	return ids, err
}

// SiteKeys are the keys whose signature the site's messages may bear: none
// until the property has its agent's key.
func (s *Service) SiteKeys(ctx context.Context, site string) (delta.Keys, error) {
	keys := delta.Keys{}
	err := s.store.View(ctx, func(tx Tx) error {
		row, err := tx.Site(site)
		if err != nil || row.Key == "" {
			return err
		}
		id, public, err := delta.ParsePublic(row.Key)
		if err != nil {
			return fmt.Errorf("cloud: site %s: %w", site, err)
		}
		keys[id] = public
		return nil
	})
	return keys, err
}

// Head is where the site's stream stands: ErrNotFound.
func (s *Service) Head(ctx context.Context, site string) (h delta.Head, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		row, err := tx.Site(site)
		h = row.Head
		return err
	})
	return h, err
}

// Heads returns the heads of all sites that Sites lists, of one moment.
func (s *Service) Heads(ctx context.Context) (map[string]delta.Head, error) {
	var heads map[string]delta.Head
	err := s.store.View(ctx, func(tx Tx) error {
		heads = map[string]delta.Head{}
		rows, err := tx.Sites("")
		for _, row := range rows {
			heads[row.ID] = row.Head
		}
		return err
	})
	return heads, err
}

// Read returns the payloads of an epoch after a seq, in order, at most limit.
func (s *Service) Read(ctx context.Context, site string, epoch uint32, after uint64, limit int) (payloads [][]byte, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		payloads, err = tx.ReadLog(site, epoch, after, limit)
		return err
	})
	return payloads, err
}

// Snapshot is all that the site is to hold and the head at which it is so, of
// one moment, with the word for what it takes from the site where that stands
// now; nil for nobody's.
func (s *Service) Snapshot(ctx context.Context, site string) (head delta.Head, all []delta.Change, word *delta.Approval, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		row, st, err := siteAt(tx, site)
		if err != nil {
			return err
		}
		if word, err = snapshotWord(tx, row, st); err != nil {
			return err
		}
		rows, err := tx.SiteRecords(site)
		if err != nil {
			return err
		}
		head = row.Head
		all = make([]delta.Change, len(rows))
		for i, r := range rows {
			all[i] = delta.Change{Op: delta.OpPut, Ref: r.Ref, Record: r.Doc}
		}
		return nil
	})
	return head, all, word, err
}

// HashAt is the hash of one entry of the site's log, the zero Hash for seq 0:
// ErrNoEntry where the log has none.
func (s *Service) HashAt(ctx context.Context, site string, epoch uint32, seq uint64) (h delta.Hash, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		row, err := tx.Site(site)
		switch {
		case errors.Is(err, ErrNotFound), err == nil && row.Head.Epoch != epoch:
			return ErrNoEntry
		case err != nil || seq == 0:
			return err
		}
		if h, err = tx.LogHash(site, epoch, seq); errors.Is(err, ErrNotFound) {
			return ErrNoEntry
		}
		return err
	})
	return h, err
}

// siteAt is a site and what it said last: ErrNotFound.
func siteAt(tx Tx, site string) (row SiteRow, st SiteState, err error) {
	if row, err = tx.Site(site); err == nil {
		st, err = tx.SiteState(site)
	}
	return row, st, err
}

// heard changes what is known of a site by what it said just now, to us.
func (s *Service) heard(ctx context.Context, site string, f func(tx Tx, row SiteRow, st *SiteState) error) error {
	return s.store.Update(ctx, func(tx Tx) error {
		row, st, err := siteAt(tx, site)
		if err != nil {
			return err
		}
		if err := s.leases.check(tx, site); err != nil {
			return err
		}
		st.UpAt = stamp(s.now())
		if err := f(tx, row, &st); err != nil {
			return err
		}
		return tx.PutSiteState(site, st)
	})
}

// Hello records that the site connected.
func (s *Service) Hello(ctx context.Context, site string, h *delta.Hello) error {
	return s.heard(ctx, site, func(_ Tx, _ SiteRow, st *SiteState) error {
		st.HelloAt, st.Software, st.Applied = st.UpAt, h.Software, h.Head
		return nil
	})
}

// Applied records how far the site is, and forgets old entries of its log.
func (s *Service) Applied(ctx context.Context, site string, h delta.Head) error {
	return s.heard(ctx, site, func(tx Tx, row SiteRow, st *SiteState) error {
		if h.Epoch < st.Applied.Epoch || h.Epoch == st.Applied.Epoch && h.Seq < st.Applied.Seq {
			return nil // overtaken on the way
		}
		var after uint64
		if h.Epoch == st.Applied.Epoch {
			after = st.Applied.Seq
		}
		if err := tx.AckLog(site, h.Epoch, after, h.Seq, st.UpAt); err != nil {
			return err
		}
		st.Applied = h
		if err := endRefusal(tx, row, st); err != nil {
			return err
		}
		// A site that is ahead of its log, as after a restore of the cloud, has
		// nothing to say about what may go.
		if h.Epoch != row.Head.Epoch || h.Seq > row.Head.Seq || h.Seq <= keptEntries {
			return nil
		}
		return tx.PruneLog(site, h.Epoch, h.Seq-keptEntries)
	})
}

// Events stores a site's events exactly once and in order, and returns the
// newest that is stored of that event epoch. Events that do not follow on what
// is stored are left for the site to send again.
func (s *Service) Events(ctx context.Context, site string, e *delta.Events) (upTo uint64, err error) {
	err = s.heard(ctx, site, func(tx Tx, _ SiteRow, _ *SiteState) error {
		if upTo, err = tx.LastEvent(site, e.EventEpoch); err != nil {
			return err
		}
		for _, ev := range e.Events {
			if ev.N <= upTo {
				continue
			}
			if ev.N != upTo+1 {
				break
			}
			if err := tx.AppendEvent(site, e.EventEpoch, ev); err != nil {
				return err
			}
			upTo = ev.N
		}
		return nil
	})
	return upTo, err
}

// Result records what became of a command.
func (s *Service) Result(ctx context.Context, site string, r *delta.Result) error {
	var org string
	err := s.heard(ctx, site, func(_ Tx, row SiteRow, _ *SiteState) error {
		org = row.Org
		return nil
	})
	if err != nil {
		return err
	}
	return s.update(ctx, org, act{by: Actor("site " + site), what: "command result", object: r.ID}, func(w *work) error {
		w.note("ok", nil, r.OK)
		w.note("text", nil, r.Text)
		return nil
	})
}

// Proof records what the site's controllers were read to hold.
func (s *Service) Proof(ctx context.Context, site string, p *delta.Proof) error {
	return s.heard(ctx, site, func(_ Tx, _ SiteRow, st *SiteState) error {
		st.ProofAt = st.UpAt
		st.Proof = make([]ProofStatus, len(p.Controllers))
		for i, c := range p.Controllers {
			st.Proof[i] = ProofStatus(c)
		}
		return nil
	})
}

// Nack records that the site could not read or obey a message. A mass loss that
// it refuses waits for a person from then on.
func (s *Service) Nack(ctx context.Context, site string, n *delta.Nack) error {
	s.log.Warn("site refused a message", "site", site, "epoch", n.Epoch, "seq", n.Seq, "reason", n.Reason)
	var org string
	err := s.heard(ctx, site, func(_ Tx, row SiteRow, st *SiteState) error {
		org = row.Org
		if n.Reason == delta.ReasonMass || !st.refusesLoss() { // which stands until it is over: see endRefusal
			st.Nack, st.NackAt = nackText(n), st.UpAt
		}
		return nil
	})
	if err != nil || n.Reason != delta.ReasonMass {
		return err
	}
	return s.update(ctx, org, act{by: Actor("site " + site), what: "refuse a loss of access", object: site}, func(w *work) error {
		return w.refusedLoss(site, n)
	})
}

func position(h delta.Head) Position {
	return Position{Epoch: h.Epoch, Seq: h.Seq, Digest: h.Digest.String()}
}

// SiteStatus says how far a site's agent is: ErrNotFound.
func (s *Service) SiteStatus(ctx context.Context, org, site string) (SiteStatus, error) {
	var out SiteStatus
	err := s.store.View(ctx, func(tx Tx) error {
		row, err := property(tx, org, site)
		if err != nil {
			return err
		}
		st, err := tx.SiteState(site)
		if err != nil {
			return err
		}
		out = progress(row, st)
		if out.Events, err = tx.CountEvents(site); err != nil {
			return err
		}
		owners, err := tx.Owners(site)
		if err != nil {
			return err
		}
		out.People, out.Losses = len(owners), row.recentLosses(stamp(s.now()))
		if out.Openings = row.Openings; row.Openings < 0 {
			if out.Openings, err = countOpenings(tx, site); err != nil {
				return err
			}
		}
		if out.Holds, err = openHolds(tx, org, site); err != nil {
			return err
		}
		out.Pending, err = tx.CountDirty(org)
		return err
	})
	return out, err
}

// progress is how far a site's agent is, without what must be counted.
func progress(row SiteRow, st SiteState) SiteStatus {
	return SiteStatus{
		Site: row.ID, Head: position(row.Head), Applied: position(st.Applied), LastHello: st.HelloAt, LastUp: st.UpAt,
		Software: st.Software, LastNack: st.Nack, LastNackAt: st.NackAt, Proof: st.Proof, ProofAt: st.ProofAt,
	}
}

// Progress says how far the agents of all an organisation's sites are, by site.
// What SiteStatus counts is left at zero: of many sites that takes long.
// ErrNotFound.
func (s *Service) Progress(ctx context.Context, org string) (map[string]SiteStatus, error) {
	var all map[string]SiteStatus
	err := s.store.View(ctx, func(tx Tx) error {
		all = map[string]SiteStatus{}
		rows, err := present(tx, org)
		for _, row := range rows {
			st, err := tx.SiteState(row.ID)
			if err != nil {
				return err
			}
			all[row.ID] = progress(row, st)
		}
		return err
	})
	return all, err
}

// SiteLog returns payloads of a site's log after a seq, in order; epoch 0 is
// the current one, limit is 1 to 1000, 0 is 100. The payloads have card bits:
// they are for the site and for tests, not for pages.
func (s *Service) SiteLog(ctx context.Context, org, site string, epoch uint32, after uint64, limit int) (payloads [][]byte, err error) {
	if limit < 1 {
		limit = 100
	}
	err = s.store.View(ctx, func(tx Tx) error {
		row, err := property(tx, org, site)
		if err != nil {
			return err
		}
		if epoch == 0 {
			epoch = row.Head.Epoch
		}
		payloads, err = tx.ReadLog(site, epoch, after, min(limit, 1000))
		return err
	})
	return payloads, err
}

// SiteEvents returns a site's events after a position, oldest first; limit is
// 1 to 1000, 0 is 100.
func (s *Service) SiteEvents(ctx context.Context, org, site string, after uint64, limit int) (events []SiteEvent, err error) {
	if limit < 1 {
		limit = 100
	}
	err = s.store.View(ctx, func(tx Tx) error {
		if _, err := property(tx, org, site); err != nil {
			return err
		}
		events, err = tx.Events(site, after, min(limit, 1000))
		return err
	})
	return events, err
}
