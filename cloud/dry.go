package cloud

import (
	"cmp"
	"maps"
	"slices"

	"latchkey/access"
)

// A dryTx is a transaction that only reads, over which a Proposal is run as if
// it wrote: what it puts is kept beside the store and read back from there.
// What no proposal writes goes to the store, which refuses it.
type dryTx struct {
	Tx
	sites  map[string]SiteRow
	rules  map[string][]Rule                 // by site, where they were changed
	items  map[string]map[access.Kind][]Item // likewise
	manual map[string][]string               // site → access groups whose members by hand are gone; "" is all
}

func newDryTx(tx Tx) *dryTx {
	return &dryTx{
		Tx: tx, sites: map[string]SiteRow{}, rules: map[string][]Rule{},
		items: map[string]map[access.Kind][]Item{}, manual: map[string][]string{},
	}
}

func (d *dryTx) PutOrg(Org) error             { return nil }
func (d *dryTx) PutOutcome(Outcome) error     { return nil } // a plan reads what was, and writes at its end
func (d *dryTx) DeleteOutcomes(string) error  { return nil }
func (d *dryTx) DeletePins(site string) error { return nil }

func (d *dryTx) Site(id string) (SiteRow, error) {
	if row, ok := d.sites[id]; ok {
		return row, nil
	}
	return d.Tx.Site(id)
}

func (d *dryTx) Sites(org string) ([]SiteRow, error) {
	rows, err := d.Tx.Sites(org)
	if err != nil {
		return nil, err
	}
	all := map[string]SiteRow{}
	for _, row := range rows {
		all[row.ID] = row
	}
	maps.Copy(all, d.sites)
	return slices.SortedFunc(maps.Values(all), func(a, b SiteRow) int { return cmp.Compare(a.ID, b.ID) }), nil
}

func (d *dryTx) PutSite(row SiteRow) error {
	d.sites[row.ID] = row
	return nil
}

func (d *dryTx) Rules(site string) ([]Rule, error) {
	if rules, ok := d.rules[site]; ok {
		return slices.Clone(rules), nil
	}
	return d.Tx.Rules(site)
}

// change edits the rules of a site beside the store.
func (d *dryTx) change(site, id string, put ...Rule) error {
	rules, err := d.Rules(site)
	if err != nil {
		return err
	}
	n := len(rules)
	rules = slices.DeleteFunc(rules, func(r Rule) bool { return r.ID == id })
	if len(put) == 0 && len(rules) == n {
		return ErrNotFound
	}
	rules = append(rules, put...)
	slices.SortFunc(rules, func(a, b Rule) int { return cmp.Or(cmp.Compare(a.Position, b.Position), cmp.Compare(a.ID, b.ID)) })
	d.rules[site] = rules
	return nil
}

func (d *dryTx) PutRule(r Rule) error             { return d.change(r.Site, r.ID, r) }
func (d *dryTx) DeleteRule(site, id string) error { return d.change(site, id) }

func (d *dryTx) Items(site string, kind access.Kind) ([]Item, error) {
	if its, ok := d.items[site][kind]; ok {
		return slices.Clone(its), nil
	}
	return d.Tx.Items(site, kind)
}

func (d *dryTx) changeItem(site string, kind access.Kind, id string, put ...Item) error {
	its, err := d.Items(site, kind)
	if err != nil {
		return err
	}
	n := len(its)
	its = slices.DeleteFunc(its, func(it Item) bool { return it.ID == id })
	if len(put) == 0 && len(its) == n {
		return ErrNotFound
	}
	its = append(its, put...)
	slices.SortFunc(its, func(a, b Item) int { return cmp.Compare(a.ID, b.ID) })
	if d.items[site] == nil {
		d.items[site] = map[access.Kind][]Item{}
	}
	d.items[site][kind] = its
	return nil
}

func (d *dryTx) PutItem(site string, kind access.Kind, it Item) error {
	return d.changeItem(site, kind, it.ID, it)
}

func (d *dryTx) DeleteItem(site string, kind access.Kind, id string) error {
	return d.changeItem(site, kind, id)
}

func (d *dryTx) DeleteManualMembers(site, group string) error {
	d.manual[site] = append(d.manual[site], group)
	return nil
}

func (d *dryTx) ManualMembers(people []string) ([]ManualMember, error) {
	all, err := d.Tx.ManualMembers(people)
	return slices.DeleteFunc(all, func(m ManualMember) bool {
		gone := d.manual[m.Site]
		return slices.Contains(gone, m.Group) || slices.Contains(gone, "")
	}), err
}
