package store

import (
	"encoding/json"
	"errors"

	"latchkey/access"
	"latchkey/cloud"
)

const siteColumns = `id, org, name, agent_key, wallet, pilot, pilot_ids, deleted, epoch, seq, hash, digest, guard, openings, losses`

func scanSite(s scanner) (r cloud.SiteRow, err error) {
	var pilot, pilotIDs, guard, losses string
	var hash, digest []byte
	var seq int64
	err = s.Scan(&r.ID, &r.Org, &r.Name, &r.Key, &r.Wallet, &pilot, &pilotIDs, &r.Deleted, &r.Head.Epoch, &seq, &hash, &digest,
		&guard, &r.Openings, &losses)
	if err != nil {
		return r, err
	}
	r.Head.Seq = uint64(seq)
	if guard != "" {
		err = json.Unmarshal([]byte(guard), &r.Guard)
	}
	if losses != "[]" {
		err = errors.Join(err, json.Unmarshal([]byte(losses), &r.Losses))
	}
	return r, errors.Join(err,
		json.Unmarshal([]byte(pilot), &r.Pilot), json.Unmarshal([]byte(pilotIDs), &r.PilotIDs),
		sum(r.Head.Hash[:], hash), sum(r.Head.Digest[:], digest))
}

func (t *tx) Site(id string) (cloud.SiteRow, error) {
	return one(t, scanSite, `SELECT `+siteColumns+` FROM site WHERE id = $1`, id)
}

func (t *tx) Sites(org string) ([]cloud.SiteRow, error) {
	if org == "" {
		return all(t, scanSite, `SELECT `+siteColumns+` FROM site ORDER BY id`)
	}
	return all(t, scanSite, `SELECT `+siteColumns+` FROM site WHERE org = $1 ORDER BY id`, org)
}

func (t *tx) PutSite(r cloud.SiteRow) error {
	guard := ""
	if r.Guard != nil {
		guard = document(r.Guard)
	}
	return t.do(`INSERT INTO site (`+siteColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
		ON CONFLICT (id) DO UPDATE SET org = excluded.org, name = excluded.name, agent_key = excluded.agent_key, wallet = excluded.wallet,
		pilot = excluded.pilot, pilot_ids = excluded.pilot_ids, deleted = excluded.deleted, epoch = excluded.epoch, seq = excluded.seq,
		hash = excluded.hash, digest = excluded.digest, guard = excluded.guard, openings = excluded.openings, losses = excluded.losses`,
		r.ID, r.Org, r.Name, r.Key, flag(r.Wallet), list(r.Pilot), list(r.PilotIDs), flag(r.Deleted),
		int64(r.Head.Epoch), int64(r.Head.Seq), r.Head.Hash[:], r.Head.Digest[:], guard, r.Openings, list(r.Losses))
}

func (t *tx) Items(site string, kind access.Kind) ([]cloud.Item, error) {
	return all(t, func(s scanner) (it cloud.Item, err error) {
		var doc string
		err = s.Scan(&it.ID, &doc)
		it.Doc = []byte(doc)
		return it, err
	}, `SELECT id, doc FROM site_item WHERE site = $1 AND kind = $2 ORDER BY id`, site, string(kind))
}

func (t *tx) PutItem(site string, kind access.Kind, it cloud.Item) error {
	return t.do(`INSERT INTO site_item (site, kind, id, doc) VALUES ($1, $2, $3, $4)
		ON CONFLICT (site, kind, id) DO UPDATE SET doc = excluded.doc`, site, string(kind), it.ID, string(it.Doc))
}

func (t *tx) DeleteItem(site string, kind access.Kind, id string) error {
	return t.must(`DELETE FROM site_item WHERE site = $1 AND kind = $2 AND id = $3`, site, string(kind), id)
}

func (t *tx) Rules(site string) ([]cloud.Rule, error) {
	return all(t, func(s scanner) (r cloud.Rule, err error) {
		var doc string
		if err := s.Scan(&doc); err != nil {
			return r, err
		}
		return r, json.Unmarshal([]byte(doc), &r)
	}, `SELECT doc FROM rule WHERE site = $1 ORDER BY position, id`, site)
}

func (t *tx) PutRule(r cloud.Rule) error {
	return t.do(`INSERT INTO rule (site, id, position, doc) VALUES ($1, $2, $3, $4)
		ON CONFLICT (site, id) DO UPDATE SET position = excluded.position, doc = excluded.doc`, r.Site, r.ID, r.Position, document(r))
}

func (t *tx) DeleteRule(site, id string) error {
	return t.must(`DELETE FROM rule WHERE site = $1 AND id = $2`, site, id)
}
