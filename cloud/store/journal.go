package store

import (
	"encoding/json"
	"errors"
	"time"

	"latchkey/cloud"
)

func (t *tx) MarkDirty(org, person string) error {
	return t.do(`INSERT INTO dirty (org, person) VALUES ($1, $2) ON CONFLICT DO NOTHING`, org, person)
}

func (t *tx) Dirty(limit int) (org string, people []string, err error) {
	org, err = one(t, column[string], `SELECT org FROM dirty ORDER BY org LIMIT 1`)
	if errors.Is(err, cloud.ErrNotFound) {
		return "", nil, nil
	}
	if err != nil {
		return "", nil, err
	}
	people, err = all(t, column[string], `SELECT person FROM dirty WHERE org = $1 ORDER BY person LIMIT $2`, org, limit)
	return org, people, err
}

func (t *tx) CountDirty(org string) (int, error) {
	return one(t, column[int], `SELECT COUNT(*) FROM dirty WHERE org = $1`, org)
}

func (t *tx) IsDirty(org, person string) (bool, error) {
	n, err := one(t, column[int], `SELECT COUNT(*) FROM dirty WHERE org = $1 AND person = $2`, org, person)
	return n > 0, err
}

func (t *tx) ClearDirty(org string, people []string) error {
	query, args, err := t.within(`DELETE FROM dirty WHERE org = $1 AND person IN (%s)`, []any{org}, people)
	if err != nil {
		return err
	}
	return t.do(query, args...)
}

// The audit trail, and what is to go into it.

func (t *tx) PutDraft(d cloud.Draft) error {
	return t.do(`INSERT INTO call_draft (org, process, at, doc) VALUES ($1, $2, $3, $4)
		ON CONFLICT (org, process) DO UPDATE SET at = excluded.at, doc = excluded.doc`, d.Org, d.Process, millis(d.At), d.Doc)
}

func (t *tx) DeleteDraft(process, org string, at time.Time) (bool, error) {
	query, args := `DELETE FROM call_draft WHERE org = $1 AND process = $2`, []any{org, process}
	if !at.IsZero() {
		query, args = query+` AND at = $3`, append(args, millis(at))
	}
	n, err := t.exec(query, args...)
	return n > 0, err
}

func (t *tx) Drafts() ([]cloud.Draft, error) {
	return all(t, func(s scanner) (d cloud.Draft, err error) {
		var at int64
		err = s.Scan(&d.Org, &d.Process, &at, &d.Doc)
		d.At = moment(at)
		return d, err
	}, `SELECT org, process, at, doc FROM call_draft ORDER BY org, process`)
}

func (t *tx) AppendAudit(e cloud.AuditEntry) error {
	return t.do(`INSERT INTO audit (id, org, at, who, what, object, name, changes, error) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		e.ID, e.Org, millis(e.At), string(e.Who), e.What, e.Object, e.Name, document(e.Changes), e.Error)
}

func (t *tx) Audit(org, before string, limit int) ([]cloud.AuditEntry, error) {
	if before == "" {
		before = "~" // after every id
	}
	return all(t, func(s scanner) (e cloud.AuditEntry, err error) {
		var at int64
		var changes string
		if err := s.Scan(&e.ID, &e.Org, &at, &e.Who, &e.What, &e.Object, &e.Name, &changes, &e.Error); err != nil {
			return e, err
		}
		e.At = moment(at)
		return e, json.Unmarshal([]byte(changes), &e.Changes)
	}, `SELECT id, org, at, who, what, object, name, changes, error FROM audit WHERE org = $1 AND id < $2 ORDER BY id DESC LIMIT $3`,
		org, before, limit)
}
