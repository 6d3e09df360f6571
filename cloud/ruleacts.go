package cloud

import (
	"context"
	"slices"

	"latchkey/access"
)

// Rules lists a property's rules by priority.
func (s *Service) Rules(ctx context.Context, org, site string) (all []Rule, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		if _, err := property(tx, org, site); err != nil {
			return err
		}
		all, err = tx.Rules(site)
		return err
	})
	return all, err
}

// CreateRule adds a rule behind those that are there. An empty ID gets one.
// ErrNotFound, *Invalid, *Conflict, *Held.
func (s *Service) CreateRule(ctx context.Context, by Actor, org, site string, r Rule) (Rule, error) {
	return propose[Rule](ctx, s, by, org, Proposal{Op: OpCreateRule, Site: site, Rule: &r})
}

// PutRule changes a rule; its place and its age stay: ErrNotFound, *Invalid,
// *Held.
func (s *Service) PutRule(ctx context.Context, by Actor, org, site string, r Rule) (Rule, error) {
	return propose[Rule](ctx, s, by, org, Proposal{Op: OpPutRule, Site: site, Rule: &r})
}

func (w *work) putRule(row SiteRow, r Rule, create bool) (Rule, error) {
	r.Groups, r.Conditions = slices.Clone(r.Groups), slices.Clone(r.Conditions)
	rules, err := w.tx.Rules(row.ID)
	if err != nil {
		return Rule{}, err
	}
	if create && r.ID == "" {
		r.ID = w.s.newID(w.now)
		w.act.object = r.ID
	}
	if err := checkName("id", r.ID); err != nil {
		return Rule{}, err
	}
	var before *Rule
	if i := slices.IndexFunc(rules, func(o Rule) bool { return o.ID == r.ID }); i >= 0 {
		before = &rules[i]
	}
	switch {
	case create && before != nil:
		return Rule{}, &Conflict{Attr: "id", Value: r.ID, ID: r.ID}
	case !create && before == nil:
		return Rule{}, ErrNotFound
	case create:
		if err := within("rules", "the property", "rules", len(rules)+1, w.s.limits.Rules); err != nil {
			return Rule{}, err
		}
		r.Created, r.Position = w.now, 1
		if n := len(rules); n > 0 {
			r.Position = rules[n-1].Position + 1
		}
	default:
		r.Created, r.Position = before.Created, before.Position
	}
	r.Site = row.ID
	groups := map[string]bool{}
	its, err := w.tx.Items(row.ID, access.KindGroup)
	if err != nil {
		return Rule{}, err
	}
	for _, it := range its {
		groups[it.ID] = true
	}
	if err := checkRule(&r, groups, row.Wallet); err != nil {
		return Rule{}, err
	}
	if err := bind(&r, before, w.groupNamed); err != nil {
		return Rule{}, err
	}
	w.note("rule", nil, r)
	if before != nil {
		w.note("rule", *before, r)
	}
	w.config, w.added, w.everyone[row.ID] = true, true, true
	return r, w.tx.PutRule(r)
}

// DeleteRule removes a rule. When it was the last, the property is frozen.
// ErrNotFound, *Held.
func (s *Service) DeleteRule(ctx context.Context, by Actor, org, site, id string) error {
	_, err := s.propose(ctx, by, org, Proposal{Op: OpDeleteRule, Site: site, ID: id}, nil)
	return err
}

func (w *work) deleteRule(site, id string) error {
	rules, err := w.tx.Rules(site)
	if err != nil {
		return err
	}
	for _, r := range rules {
		if r.ID == id {
			w.act.name = r.Name
			w.note("rule", r, nil)
		}
	}
	w.config, w.everyone[site] = true, true
	return w.tx.DeleteRule(site, id)
}

// OrderRules sets the priority of all rules of a property: ids names each of
// them once, the first to be asked first. ErrNotFound, *Invalid, *Held.
func (s *Service) OrderRules(ctx context.Context, by Actor, org, site string, ids []string) ([]Rule, error) {
	return propose[[]Rule](ctx, s, by, org, Proposal{Op: OpOrderRules, Site: site, IDs: ids})
}

func (w *work) orderRules(site string, ids []string) ([]Rule, error) {
	rules, err := w.tx.Rules(site)
	if err != nil {
		return nil, err
	}
	var before []string
	for _, r := range rules {
		before = append(before, r.ID)
	}
	if len(ids) != len(rules) {
		return nil, invalid("ids", "got %d, want each of the %d rules once", len(ids), len(rules))
	}
	var ordered []Rule
	for i, id := range ids {
		at := slices.IndexFunc(rules, func(r Rule) bool { return r.ID == id })
		if at < 0 || slices.Contains(ids[:i], id) {
			return nil, invalid("ids", "%.64q is no rule of the property, or named twice", id)
		}
		r := rules[at]
		r.Position = i + 1
		if err := w.tx.PutRule(r); err != nil {
			return nil, err
		}
		ordered = append(ordered, r)
	}
	w.note("order", before, ids)
	w.config, w.everyone[site] = true, true
	return ordered, nil
}
