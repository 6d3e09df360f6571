package store

import (
	"errors"
	"strconv"

	"latchkey/access"
	"latchkey/cloud"
)

// Pools of numbers for mobile keys.

func scanPool(s scanner) (p cloud.Pool, err error) {
	var facility *int64
	var first, last, next string
	if err := s.Scan(&p.Technology, &p.Format, &facility, &first, &last, &next, &p.Spent); err != nil {
		return p, err
	}
	if facility != nil {
		p.Facility = new(uint64(*facility))
	}
	var bad [3]error
	p.First, bad[0] = strconv.ParseUint(first, 10, 64)
	p.Last, bad[1] = strconv.ParseUint(last, 10, 64)
	p.Next, bad[2] = strconv.ParseUint(next, 10, 64)
	return p, errors.Join(bad[:]...)
}

func (t *tx) Pools(org string) ([]cloud.Pool, error) {
	return all(t, scanPool, `SELECT technology, format, facility, first, last, next, spent FROM pool WHERE org = $1 ORDER BY technology`, org)
}

func (t *tx) PutPool(org string, p cloud.Pool) error {
	var facility any
	if p.Facility != nil {
		facility = int64(*p.Facility)
	}
	number := func(n uint64) string { return strconv.FormatUint(n, 10) }
	return t.do(`INSERT INTO pool (org, technology, format, facility, first, last, next, spent) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (org, technology) DO UPDATE SET format = excluded.format, facility = excluded.facility, first = excluded.first,
		last = excluded.last, next = excluded.next, spent = excluded.spent`,
		org, p.Technology, p.Format, facility, number(p.First), number(p.Last), number(p.Next), flag(p.Spent))
}

func (t *tx) DeletePool(org, technology string) error {
	return t.must(`DELETE FROM pool WHERE org = $1 AND technology = $2`, org, technology)
}

func (t *tx) CountKeys(org, technology string) (keys, pending int, err error) {
	keys, err = one(t, column[int], `SELECT COUNT(*) FROM card WHERE org = $1 AND technology = $2 AND technology <> 'card'`, org, technology)
	if err != nil {
		return 0, 0, err
	}
	pending, err = one(t, column[int], `SELECT COUNT(*) FROM card WHERE org = $1 AND technology = $2 AND technology <> 'card' AND status = $3`,
		org, technology, access.CredentialPending)
	return keys, pending, err
}

func (t *tx) PendingKeys(org, technology string, limit int) ([]string, error) {
	return all(t, column[string], `SELECT person FROM card WHERE org = $1 AND technology = $2 AND technology <> 'card' AND status = $3
		ORDER BY person LIMIT $4`, org, technology, access.CredentialPending, unlimited(limit))
}
