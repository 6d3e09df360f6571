package store

import (
	"encoding/json"
	"slices"

	"latchkey/cloud"
)

const personColumns = `id, org, origin, user_name, external_id, name, active, suspended, kind, card_number, manager,
	card_last, card_state, card_text, issues, doc, created, modified, version, pulled_id, pulled_status, pulled_owned, pulled_out`

// personSelect has what PutPerson does not write, too.
const personSelect = personColumns + `, role_changes`

func scanPerson(s scanner) (p cloud.PersonRow, err error) {
	var issues, doc string
	var created, modified int64
	err = s.Scan(&p.ID, &p.Org, &p.Origin, &p.UserName, &p.ExternalID, &p.Name, &p.Active, &p.Suspended, &p.Kind, &p.CardNumber, &p.Manager,
		&p.CardLast, &p.CardState, &p.CardText, &issues, &doc, &created, &modified, &p.Version,
		&p.PulledID, &p.PulledStatus, &p.PulledOwned, &p.PulledOut, &p.RoleChanges)
	if err != nil {
		return p, err
	}
	p.Doc, p.Created, p.Modified = []byte(doc), moment(created), moment(modified)
	if issues == "[]" {
		return p, nil
	}
	return p, json.Unmarshal([]byte(issues), &p.Issues)
}

func (t *tx) Person(org, id string) (cloud.PersonRow, error) {
	p, err := one(t, scanPerson, `SELECT `+personSelect+` FROM person WHERE id = $1 AND org = $2`, id, org)
	if err == nil {
		p.Emails, err = all(t, column[string], `SELECT value FROM person_email WHERE person = $1 ORDER BY value`, p.ID)
	}
	return p, err
}

func (t *tx) People(org string, ids []string) ([]cloud.PersonRow, error) {
	// The || keeps SQLite from reading the whole organisation by its index.
	return listed(t, scanPerson, `SELECT `+personSelect+` FROM person WHERE org || '' = $1 AND id IN (%s) ORDER BY id`, []any{org}, ids)
}

func (t *tx) PersonIDs(org, after string, limit int) ([]string, error) {
	if limit < 0 {
		return all(t, column[string], `SELECT id FROM person WHERE org = $1 AND id > $2 ORDER BY id`, org, after)
	}
	return all(t, column[string], `SELECT id FROM person WHERE org = $1 AND id > $2 ORDER BY id LIMIT $3`, org, after, limit)
}

func (t *tx) FindPeople(f cloud.Find, start, count int) ([]cloud.PersonRow, error) {
	return found(t, scanPerson, personSelect, "person", f, personTerms, start, count)
}

const userPlain = `id, doc, created, modified, version`

// userColumns are what SCIM sees of a person. SQLite makes a table for each list
// of groups that it puts in order, so where there are none it is not asked to.
func userColumns(groups string) string {
	return userPlain + `,
		CASE WHEN EXISTS (SELECT 1 FROM directory_member WHERE member = person.id) THEN (` + groups + `) ELSE '[]' END`
}

func (t *tx) FindUsers(f cloud.Find, start, count int) ([]cloud.User, error) {
	if n, ok := nameOf(f); ok && t.users != nil && start == 0 && count != 0 {
		return t.named(f, n, count)
	}
	return t.findUsers(f, start, count)
}

// named is what f finds by a name, of which the one user may be remembered.
func (t *tx) named(f cloud.Find, n name, count int) ([]cloud.User, error) {
	u, ok, moment := t.users.get(n, f.Org, f.Origin)
	if ok {
		return []cloud.User{u}, t.once()
	}
	f.NoGroups = false // whoever is remembered is remembered whole
	found, err := t.findUsers(f, 0, count)
	// Where the page has room left, or a name is never two people's, one is all.
	if err == nil && len(found) == 1 && (count != 1 || n.attr != "externalId") {
		t.users.put(n, f.Org, f.Origin, found[0], moment)
	}
	return found, err
}

func (t *tx) findUsers(f cloud.Find, start, count int) ([]cloud.User, error) {
	columns := userColumns(t.engine.groups)
	if f.NoGroups {
		columns = userPlain + `, '[]'`
	}
	return found(t, scanUser, columns, "person", f, personTerms, start, count)
}

func scanUser(s scanner) (u cloud.User, err error) {
	var groups string
	var created, modified int64
	err = s.Scan(&u.ID, &u.Doc, &created, &modified, &u.Version, &groups)
	u.Created, u.Modified = moment(created), moment(modified)
	if err != nil || groups == "[]" {
		return u, err
	}
	var pairs [][2]string
	err = json.Unmarshal([]byte(groups), &pairs)
	for _, p := range pairs {
		u.Groups = append(u.Groups, cloud.Member{Value: p[0], Display: p[1]})
	}
	return u, err
}

func (t *tx) CountPeople(f cloud.Find) (int, error) { return t.counted("person", f, personTerms) }

func (t *tx) PutPerson(p cloud.PersonRow) error {
	// Nobody else has its userName; others may be found by its externalId.
	t.touched.add(idName(p.ID), name{p.Org, "externalId", p.ExternalID})
	err := t.do(`INSERT INTO person (`+personColumns+`, user_name_fold, name_fold, card_number_fold)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26)
		ON CONFLICT (id) DO UPDATE SET user_name = excluded.user_name, external_id = excluded.external_id, name = excluded.name,
		active = excluded.active, suspended = excluded.suspended, kind = excluded.kind, card_number = excluded.card_number,
		manager = excluded.manager, card_last = excluded.card_last, card_state = excluded.card_state, card_text = excluded.card_text,
		issues = excluded.issues, doc = excluded.doc, modified = excluded.modified, version = excluded.version,
		pulled_id = excluded.pulled_id, pulled_status = excluded.pulled_status, pulled_owned = excluded.pulled_owned, pulled_out = excluded.pulled_out,
		user_name_fold = excluded.user_name_fold, name_fold = excluded.name_fold, card_number_fold = excluded.card_number_fold`,
		p.ID, p.Org, p.Origin, p.UserName, p.ExternalID, p.Name, flag(p.Active), flag(p.Suspended), p.Kind, p.CardNumber, p.Manager,
		p.CardLast, p.CardState, p.CardText, list(p.Issues), string(p.Doc), millis(p.Created), millis(p.Modified), p.Version,
		p.PulledID, p.PulledStatus, flag(p.PulledOwned), flag(p.PulledOut), fold(p.UserName), fold(p.Name), fold(p.CardNumber))
	if err != nil {
		return err
	}
	have, err := all(t, column[string], `SELECT value FROM person_email WHERE person = $1`, p.ID)
	if err != nil {
		return err
	}
	for _, value := range have {
		if !slices.Contains(p.Emails, value) {
			if err := t.do(`DELETE FROM person_email WHERE org = $1 AND value = $2 AND person = $3`, p.Org, value, p.ID); err != nil {
				return err
			}
		}
	}
	for _, value := range p.Emails {
		if !slices.Contains(have, value) {
			if err := t.do(`INSERT INTO person_email (org, value, person) VALUES ($1, $2, $3)`, p.Org, value, p.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *tx) CountRoleChange(person string) error {
	return t.do(`UPDATE person SET role_changes = role_changes + 1 WHERE id = $1`, person)
}

func (t *tx) DeletePerson(org, id string) error {
	t.touched.add(idName(id))
	if err := t.must(`DELETE FROM person WHERE id = $1 AND org = $2`, id, org); err != nil {
		return err
	}
	return t.do(`DELETE FROM directory_member WHERE member = $1`, id)
}
