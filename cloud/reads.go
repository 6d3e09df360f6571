package cloud

import (
	"cmp"
	"context"
	"slices"

	"latchkey/access"
)

// SomeDoors are the doors of an organisation's properties, by property, in the
// properties' order: of as many as there are at most that many of properties and
// doors together. ErrNotFound.
func (s *Service) SomeDoors(ctx context.Context, org string, most int) (map[string][]access.Door, error) {
	var all map[string][]access.Door
	err := s.store.View(ctx, func(tx Tx) error {
		all = map[string][]access.Door{}
		rows, err := present(tx, org)
		n := len(rows)
		for _, row := range rows {
			if n >= most {
				break
			}
			doors, err := items[access.Door](tx, row.ID, access.KindDoor)
			if err != nil {
				return err
			}
			if n += len(doors); n <= most {
				all[row.ID] = doors
			}
		}
		return err
	})
	return all, err
}

// RuleNames are the names of rules, by property and rule: of all rules of those
// of the properties sites that are there. ErrNotFound.
func (s *Service) RuleNames(ctx context.Context, org string, sites []string) (map[string]map[string]string, error) {
	var all map[string]map[string]string
	err := s.store.View(ctx, func(tx Tx) error {
		all = map[string]map[string]string{}
		rows, err := present(tx, org)
		for _, row := range rows {
			if !slices.Contains(sites, row.ID) {
				continue
			}
			rules, err := tx.Rules(row.ID)
			if err != nil {
				return err
			}
			all[row.ID] = map[string]string{}
			for _, r := range rules {
				all[row.ID][r.ID] = r.Name
			}
		}
		return err
	})
	return all, err
}

// PeopleNames are the names of those of the people ids whom there are, by id: the
// user name of somebody who has no other. ErrNotFound.
func (s *Service) PeopleNames(ctx context.Context, org string, ids []string) (map[string]string, error) {
	var names map[string]string
	err := s.store.View(ctx, func(tx Tx) error {
		names = map[string]string{}
		if _, err := tx.Org(org); err != nil {
			return err
		}
		rows, err := tx.People(org, ids)
		for _, p := range rows {
			names[p.ID] = cmp.Or(p.Name, p.UserName, p.ID)
		}
		return err
	})
	return names, err
}
