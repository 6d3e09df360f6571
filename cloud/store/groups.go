package store

import (
	"errors"

	"latchkey/cloud"
)

const groupColumns = `id, org, display_name, external_id, doc, created, modified, version, pulled_id`

func scanGroup(s scanner) (g cloud.GroupRow, err error) {
	var doc string
	var created, modified int64
	err = s.Scan(&g.ID, &g.Org, &g.DisplayName, &g.ExternalID, &doc, &created, &modified, &g.Version, &g.PulledID)
	g.Doc, g.Created, g.Modified = []byte(doc), moment(created), moment(modified)
	return g, err
}

func (t *tx) Group(org, id string) (cloud.GroupRow, error) {
	return one(t, scanGroup, `SELECT `+groupColumns+` FROM directory_group WHERE id = $1 AND org = $2`, id, org)
}

func (t *tx) FindGroups(f cloud.Find, start, count int) ([]cloud.GroupRow, error) {
	return found(t, scanGroup, groupColumns, "directory_group", f, groupTerms, start, count)
}

func (t *tx) CountGroups(f cloud.Find) (int, error) {
	return t.counted("directory_group", f, groupTerms)
}

func (t *tx) PutGroup(g cloud.GroupRow) error {
	if err := t.renames(g); err != nil {
		return err
	}
	return t.do(`INSERT INTO directory_group (`+groupColumns+`, name_fold) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (id) DO UPDATE SET display_name = excluded.display_name, external_id = excluded.external_id, doc = excluded.doc,
		modified = excluded.modified, version = excluded.version, pulled_id = excluded.pulled_id, name_fold = excluded.name_fold`,
		g.ID, g.Org, g.DisplayName, g.ExternalID, string(g.Doc), millis(g.Created), millis(g.Modified), g.Version,
		g.PulledID, fold(g.DisplayName))
}

// renames touches all users where g gets another name, because its members show
// it.
func (t *tx) renames(g cloud.GroupRow) error {
	if t.engine.shared {
		return nil
	}
	was, err := one(t, column[string], `SELECT display_name FROM directory_group WHERE id = $1`, g.ID)
	if errors.Is(err, cloud.ErrNotFound) {
		return nil // and so without members
	}
	if was != g.DisplayName {
		t.touched.everybody()
	}
	return err
}

func (t *tx) DeleteGroup(org, id string) error {
	t.touched.everybody()
	return t.must(`DELETE FROM directory_group WHERE id = $1 AND org = $2`, id, org)
}

func (t *tx) AddMember(group, member string) (bool, error) {
	t.touched.add(idName(member))
	n, err := t.exec(`INSERT INTO directory_member (grp, member) VALUES ($1, $2) ON CONFLICT DO NOTHING`, group, member)
	return n > 0, err
}

func (t *tx) RemoveMember(group, member string) (bool, error) {
	t.touched.add(idName(member))
	n, err := t.exec(`DELETE FROM directory_member WHERE grp = $1 AND member = $2`, group, member)
	return n > 0, err
}

func (t *tx) IsMember(group, member string) (bool, error) {
	n, err := one(t, column[int], `SELECT COUNT(*) FROM directory_member WHERE grp = $1 AND member = $2`, group, member)
	return n > 0, err
}

func (t *tx) MemberIDs(group, after string, limit int) ([]string, error) {
	return all(t, column[string], `SELECT member FROM directory_member WHERE grp = $1 AND member > $2 ORDER BY member LIMIT $3`, group, after, unlimited(limit))
}

func (t *tx) CountMembers(group string) (int, error) {
	return one(t, column[int], `SELECT COUNT(*) FROM directory_member WHERE grp = $1`, group)
}

func (t *tx) MemberCounts(org string) (map[string]int, error) {
	type row struct {
		group string
		n     int
	}
	rows, err := all(t, func(s scanner) (r row, err error) { return r, s.Scan(&r.group, &r.n) },
		`SELECT m.grp, COUNT(*) FROM directory_member m JOIN directory_group g ON g.id = m.grp WHERE g.org = $1 GROUP BY m.grp`, org)
	counts := make(map[string]int, len(rows))
	for _, r := range rows {
		counts[r.group] = r.n
	}
	return counts, err
}

func scanMember(s scanner) (m cloud.Member, err error) { return m, s.Scan(&m.Value, &m.Display) }

func (t *tx) Members(group, after string, limit int) ([]cloud.Member, error) {
	return all(t, scanMember, `SELECT m.member, COALESCE(p.name, '') FROM directory_member m JOIN directory_group g ON g.id = m.grp
		LEFT JOIN person p ON p.id = m.member AND p.org = g.org WHERE m.grp = $1 AND m.member > $2 ORDER BY m.member LIMIT $3`, group, after, unlimited(limit))
}

func (t *tx) GroupsOf(org, member string) ([]cloud.Member, error) {
	return all(t, scanMember, `SELECT g.id, g.display_name FROM directory_member m JOIN directory_group g ON g.id = m.grp
		WHERE m.member = $1 AND g.org = $2 ORDER BY g.id`, member, org)
}

func (t *tx) GroupIDsOf(org string, members []string) (map[string][]string, error) {
	type row struct{ member, group string }
	rows, err := listed(t, func(s scanner) (r row, err error) { return r, s.Scan(&r.member, &r.group) },
		`SELECT m.member, m.grp FROM directory_member m JOIN directory_group g ON g.id = m.grp
		WHERE g.org = $1 AND m.member IN (%s) ORDER BY m.member, m.grp`, []any{org}, members)
	groups := make(map[string][]string, len(members))
	for _, r := range rows {
		groups[r.member] = append(groups[r.member], r.group)
	}
	return groups, err
}
