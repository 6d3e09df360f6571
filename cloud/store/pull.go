package store

import (
	"errors"

	"latchkey/cloud"
)

// Directories that the cloud reads, and how.

func (t *tx) PulledPeople(org string) ([]cloud.PulledPerson, error) {
	return all(t, func(s scanner) (p cloud.PulledPerson, err error) {
		return p, s.Scan(&p.PulledID, &p.ID, &p.Name, &p.Status, &p.Owned, &p.Out)
	}, `SELECT pulled_id, id, name, pulled_status, pulled_owned, pulled_out FROM person WHERE org = $1 AND pulled_id <> '' ORDER BY pulled_id`, org)
}

func (t *tx) PulledGroups(org string) ([]cloud.PulledGroupRow, error) {
	return all(t, func(s scanner) (g cloud.PulledGroupRow, err error) {
		return g, s.Scan(&g.PulledID, &g.ID, &g.Name)
	}, `SELECT pulled_id, id, display_name FROM directory_group WHERE org = $1 AND pulled_id <> '' ORDER BY pulled_id`, org)
}

func (t *tx) PulledIDs(org string, ids []string) (map[string]string, error) {
	pairs, err := listed(t, func(s scanner) (p [2]string, err error) { return p, s.Scan(&p[0], &p[1]) },
		`SELECT pulled_id, id FROM person WHERE org = $1 AND pulled_id <> '' AND pulled_id IN (%s)`, []any{org}, ids)
	found := make(map[string]string, len(pairs))
	for _, p := range pairs {
		found[p[0]] = p[1]
	}
	return found, err
}

func (t *tx) Setting(org, name string) ([]byte, error) {
	doc, err := one(t, column[string], `SELECT doc FROM setting WHERE org = $1 AND name = $2`, org, name)
	return []byte(doc), err
}

func (t *tx) SettingOrgs(name string) ([]string, error) {
	return all(t, column[string], `SELECT id FROM org WHERE EXISTS (SELECT 1 FROM setting WHERE org = id AND name = $1) ORDER BY id`, name)
}

func (t *tx) PutSetting(org, name string, doc []byte) error {
	return t.do(`INSERT INTO setting (org, name, doc) VALUES ($1, $2, $3)
		ON CONFLICT (org, name) DO UPDATE SET doc = excluded.doc`, org, name, string(doc))
}

func (t *tx) DeleteSetting(org, name string) error {
	err := t.must(`DELETE FROM setting WHERE org = $1 AND name = $2`, org, name)
	if errors.Is(err, cloud.ErrNotFound) {
		return nil
	}
	return err
}
