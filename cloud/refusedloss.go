package cloud

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"latchkey/delta"
)

// A site measures what each message takes (docs/decisions, "What a site refuses
// to lose"). What the log has bears a word, so a site refuses only where
// something is wrong: the measure here, or a log that was restored from a backup.

// byLog is whose word a snapshot bears that takes what the log took.
const byLog = byGuard + "log"

// nackText is what is kept of a refusal, for people.
func nackText(n *delta.Nack) string {
	text := fmt.Sprintf("%d/%d: %s", n.Epoch, n.Seq, n.Reason)
	if n.Reason == delta.ReasonMass {
		text += fmt.Sprintf(", it would take %d of %d openings", n.Removes, n.Openings)
	}
	return text
}

// refusesLoss says whether a mass loss is what the site refused last.
func (st *SiteState) refusesLoss() bool { return strings.Contains(st.Nack, ": "+delta.ReasonMass) }

// refusedLoss makes what a site refuses wait for a person, or keeps what waits
// true.
func (w *work) refusedLoss(site string, n *delta.Nack) error {
	st, err := w.tx.SiteState(site)
	if err != nil {
		return err
	}
	if h, err := confirmedLoss(w.tx, w.org.ID, site, st); err != nil || h != nil && n.Removes <= h.Preview.Lose.Openings {
		return err // it crossed with the word for it
	}
	h := Hold{
		Org: w.org.ID, Site: site, Kind: HoldSite, State: HoldOpen, Made: w.now, By: w.act.by,
		Text: "what the gateway of " + site + " refuses to lose",
	}
	open, err := w.tx.Holds(w.org.ID, 0)
	if err != nil {
		return err
	}
	for _, o := range open {
		if o.Kind == HoldSite && o.Site == site {
			h = o
		}
	}
	was := h.Preview.Lose.Openings
	h.Epoch, h.Seq = n.Epoch, n.Seq
	h.Preview = Preview{
		Site: site, Openings: n.Openings, Limit: delta.MassLimit(n.Openings), Held: true,
		Lose: Tally{People: n.People, Openings: n.Removes}, People: []PersonEffect{},
	}
	if h.ID == "" {
		h.ID = w.s.newID(w.now)
		w.s.log.Warn("a site refuses a mass loss of access that nobody has approved; it waits for a person",
			"org", w.org.ID, "site", site, "hold", h.ID, "openings", n.Removes, "of", n.Openings)
	}
	if was != n.Removes {
		w.note("held at "+site, nil, n.Removes)
	}
	return w.tx.PutHold(h)
}

// confirmedLoss is what a person has confirmed of what the site refuses, nil for
// nothing.
func confirmedLoss(tx Tx, org, site string, st SiteState) (*Hold, error) {
	if !st.refusesLoss() {
		return nil, nil
	}
	all, err := tx.Holds(org, mostDecided)
	if err != nil {
		return nil, err
	}
	for _, h := range slices.Backward(all) {
		if h.Kind == HoldSite && h.Site == site && h.State == HoldConfirmed && !h.Over {
			return &h, nil
		}
	}
	return nil, nil
}

// word is that of the person who confirmed h.
func (h *Hold) word() *delta.Approval { return approval(h.DecidedBy, h.Preview.Lose.Openings) }

// Approved is a person's word for what the site refuses to lose, nil where there
// is none: ErrNotFound.
func (s *Service) Approved(ctx context.Context, site string) (word *delta.Approval, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		row, st, err := siteAt(tx, site)
		if err != nil {
			return err
		}
		h, err := confirmedLoss(tx, row.Org, site, st)
		if h != nil {
			word = h.word()
		}
		return err
	})
	return word, err
}

// endRefusal ends what waits for a person, or was confirmed by one, once the site
// has applied the log past what it refused.
func endRefusal(tx Tx, row SiteRow, st *SiteState) error {
	at := st.Applied
	if !st.refusesLoss() || at.Epoch != row.Head.Epoch || at.Seq > row.Head.Seq {
		return nil
	}
	all, err := tx.Holds(row.Org, mostDecided)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(h Hold) bool { return h.Kind != HoldSite || h.Site != row.ID || h.Over })
	if slices.ContainsFunc(all, func(h Hold) bool { return h.Epoch == at.Epoch && h.Seq > at.Seq }) {
		return nil
	}
	for _, h := range all {
		h.Over = true
		if h.State == HoldOpen {
			h.State, h.Decided, h.DecidedBy = HoldResolved, st.UpAt, Actor("site "+row.ID)
		}
		if err := tx.PutHold(h); err != nil {
			return err
		}
	}
	st.Nack = ""
	return nil
}

// snapshotWord is the word for what a snapshot takes from a site that said st:
// that of the log's entries since then, where the log has the site's place at
// all, and a person's for what the site refuses.
func snapshotWord(tx Tx, row SiteRow, st SiteState) (*delta.Approval, error) {
	h, err := confirmedLoss(tx, row.Org, row.ID, st)
	if err != nil {
		return nil, err
	}
	known, err := inLog(tx, row, st.Applied)
	if err != nil {
		return nil, err
	}
	word, from := &delta.Approval{By: byLog}, st.Applied.Seq
	switch {
	case h == nil && !known:
		return nil, nil
	case h != nil:
		word = h.word()
		if !known {
			if from = h.Seq; h.Epoch != row.Head.Epoch {
				return word, nil
			}
		}
	}
	took, err := logTakes(tx, row, from)
	word.Removes = min(word.Removes+took, math.MaxInt32)
	return word, err
}

// inLog says whether the log of row has the place head.
func inLog(tx Tx, row SiteRow, head delta.Head) (bool, error) {
	if head.Epoch != row.Head.Epoch || head.Seq > row.Head.Seq {
		return false, nil
	}
	if head.Seq == 0 {
		return true, nil
	}
	hash, err := tx.LogHash(row.ID, head.Epoch, head.Seq)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return hash == head.Hash, err
}

// logTakes adds up what the entries after seq that are kept say that they take.
func logTakes(tx Tx, row SiteRow, seq uint64) (n int, err error) {
	for seq < row.Head.Seq {
		payloads, err := tx.ReadLog(row.ID, row.Head.Epoch, seq, batch)
		if err != nil {
			return 0, err
		}
		if len(payloads) == 0 {
			return 0, fmt.Errorf("cloud: log of %s has nothing after %d, want entries up to %d", row.ID, seq, row.Head.Seq)
		}
		for _, payload := range payloads {
			entry, err := delta.DecodeDeny(payload)
			if err != nil {
				return 0, fmt.Errorf("cloud: log of %s after %d: %w", row.ID, seq, err)
			}
			if entry.Approved != nil {
				n += entry.Approved.Removes
			}
			seq = entry.Head.Seq
		}
	}
	return n, nil
}
