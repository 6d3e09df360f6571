package store

import (
	"encoding/json"
	"time"

	"latchkey/cloud"
)

const orgColumns = `id, name, profile, scim_enabled, card_removal, sentinels, created, config`

func scanOrg(s scanner) (o cloud.Org, err error) {
	var sentinels string
	var created int64
	if err := s.Scan(&o.ID, &o.Name, &o.Profile, &o.SCIMEnabled, &o.CardRemoval, &sentinels, &created, &o.Config); err != nil {
		return o, err
	}
	o.Created = moment(created)
	return o, json.Unmarshal([]byte(sentinels), &o.Sentinels)
}

func (t *tx) Org(id string) (cloud.Org, error) {
	return one(t, scanOrg, `SELECT `+orgColumns+` FROM org WHERE id = $1`, id)
}

func (t *tx) Orgs() ([]cloud.Org, error) {
	return all(t, scanOrg, `SELECT `+orgColumns+` FROM org ORDER BY id`)
}

func (t *tx) PutOrg(o cloud.Org) error {
	t.bearers = true
	return t.do(`INSERT INTO org (`+orgColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, profile = excluded.profile, scim_enabled = excluded.scim_enabled,
		card_removal = excluded.card_removal, sentinels = excluded.sentinels, config = excluded.config`,
		o.ID, o.Name, string(o.Profile), flag(o.SCIMEnabled), o.CardRemoval, list(o.Sentinels), millis(o.Created), o.Config)
}

const tokenColumns = `id, org, label, created, expires, last_used, last_client`

func scanToken(s scanner) (k cloud.Token, err error) {
	var created, expires, used int64
	err = s.Scan(&k.ID, &k.Org, &k.Label, &created, &expires, &used, &k.LastClient)
	k.Created, k.Expires, k.LastUsed = moment(created), moment(expires), moment(used)
	return k, err
}

func (t *tx) bearer(hash [32]byte) (cloud.Bearer, error) {
	return one(t, func(s scanner) (b cloud.Bearer, err error) {
		var expires int64
		err = s.Scan(&b.Token, &expires, &b.Org, &b.Profile, &b.SCIMEnabled)
		b.Expires = moment(expires)
		return b, err
	}, `SELECT t.id, t.expires, o.id, o.profile, o.scim_enabled FROM token t JOIN org o ON o.id = t.org WHERE t.hash = $1`, hash[:])
}

func (t *tx) Token(org, id string) (cloud.Token, error) {
	return one(t, scanToken, `SELECT `+tokenColumns+` FROM token WHERE org = $1 AND id = $2`, org, id)
}

func (t *tx) Tokens(org string) ([]cloud.Token, error) {
	return all(t, scanToken, `SELECT `+tokenColumns+` FROM token WHERE org = $1 ORDER BY id`, org)
}

func (t *tx) PutToken(k cloud.Token, hash [32]byte) error {
	t.bearers = true
	return t.do(`INSERT INTO token (`+tokenColumns+`, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		k.ID, k.Org, k.Label, millis(k.Created), millis(k.Expires), millis(k.LastUsed), k.LastClient, hash[:])
}

func (t *tx) ExpireToken(org, id string, at time.Time) error {
	t.bearers = true
	return t.must(`UPDATE token SET expires = $1 WHERE org = $2 AND id = $3`, millis(at), org, id)
}

func (t *tx) TouchToken(org, id string, use cloud.TokenUse) error {
	return t.do(`UPDATE token SET last_used = $1, last_client = $2 WHERE org = $3 AND id = $4 AND last_used < $1`,
		millis(use.At), use.Client, org, id)
}

func (t *tx) DeleteToken(org, id string) error {
	t.bearers = true
	return t.must(`DELETE FROM token WHERE org = $1 AND id = $2`, org, id)
}

func (t *tx) BadgeTypes(org string) ([]cloud.BadgeType, error) {
	return all(t, func(s scanner) (b cloud.BadgeType, err error) {
		var facility *int64
		err = s.Scan(&b.ID, &b.Format, &facility, &b.Default, &b.Shared)
		if facility != nil {
			b.Facility = new(uint64(*facility))
		}
		return b, err
	}, `SELECT id, format, facility, is_default, shared FROM badge_type WHERE org = $1 ORDER BY id`, org)
}

func (t *tx) PutBadgeType(org string, b cloud.BadgeType) error {
	var facility any
	if b.Facility != nil {
		facility = int64(*b.Facility)
	}
	return t.do(`INSERT INTO badge_type (org, id, format, facility, is_default, shared) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (org, id) DO UPDATE SET format = excluded.format, facility = excluded.facility,
		is_default = excluded.is_default, shared = excluded.shared`,
		org, b.ID, b.Format, facility, flag(b.Default), flag(b.Shared))
}

func (t *tx) DeleteBadgeType(org, id string) error {
	return t.must(`DELETE FROM badge_type WHERE org = $1 AND id = $2`, org, id)
}
