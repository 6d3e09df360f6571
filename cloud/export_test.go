package cloud

import (
	"context"

	"latchkey/access"
	"latchkey/delta"
)

// DesiredFromScratch computes what a site should hold without looking at what
// it holds: all people, all rules, nothing remembered but the outcomes of a
// site that is frozen.
func (s *Service) DesiredFromScratch(ctx context.Context, org, site string) (map[access.Ref]string, error) {
	all := map[access.Ref]string{}
	err := s.store.View(ctx, func(tx Tx) error {
		w := &work{s: s, tx: tx, config: true}
		var err error
		if w.org, err = tx.Org(org); err != nil {
			return err
		}
		views, err := w.views()
		if err != nil {
			return err
		}
		ids, err := tx.PersonIDs(org, "", -1)
		if err != nil {
			return err
		}
		people, err := w.load(ids)
		if err != nil {
			return err
		}
		want, err := ownRecords(tx, site)
		if err != nil {
			return err
		}
		for _, v := range views {
			if v.ID != site {
				continue
			}
			for _, p := range people {
				if !v.frozen() {
					p.Outcome = nil
				}
				o, _ := holding(v, p, outcome(v, p))
				want = append(want, desired(v, p, o)...)
			}
		}
		for _, r := range want {
			doc, err := delta.Canonical(r)
			if err != nil {
				return err
			}
			all[r.Ref()] = string(doc)
		}
		return nil
	})
	return all, err
}
