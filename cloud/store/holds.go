package store

import (
	"encoding/json"

	"latchkey/cloud"
)

// What waits for a person to confirm it.

func scanHold(s scanner) (h cloud.Hold, err error) {
	var doc string
	if err := s.Scan(&doc); err != nil {
		return h, err
	}
	return h, json.Unmarshal([]byte(doc), &h)
}

func (t *tx) Hold(org, id string) (cloud.Hold, error) {
	return one(t, scanHold, `SELECT doc FROM hold WHERE id = $1 AND org = $2`, id, org)
}

func (t *tx) Holds(org string, others int) ([]cloud.Hold, error) {
	if others == 0 {
		return all(t, scanHold, `SELECT doc FROM hold WHERE org = $1 AND state = 'open' ORDER BY id`, org)
	}
	return all(t, scanHold, `SELECT doc FROM hold WHERE org = $1 AND (state = 'open'
		OR id IN (SELECT id FROM hold WHERE org = $1 AND state <> 'open' ORDER BY id DESC LIMIT $2)) ORDER BY id`, org, others)
}

func (t *tx) PutHold(h cloud.Hold) error {
	return t.do(`INSERT INTO hold (id, org, state, doc) VALUES ($1, $2, $3, $4)
		ON CONFLICT (id) DO UPDATE SET state = excluded.state, doc = excluded.doc`, h.ID, h.Org, h.State, document(h))
}

const pinColumns = `person, site, hold, kept, since`

func scanPin(s scanner) (p cloud.Pin, err error) {
	var kept string
	var since int64
	if err := s.Scan(&p.Person, &p.Site, &p.Hold, &kept, &since); err != nil {
		return p, err
	}
	p.Since = moment(since)
	return p, json.Unmarshal([]byte(kept), &p.Kept)
}

func (t *tx) Pins(people []string) ([]cloud.Pin, error) {
	return listed(t, scanPin, `SELECT `+pinColumns+` FROM pin WHERE person IN (%s) ORDER BY person, site`, nil, people)
}

func (t *tx) HoldPins(hold, after string, limit int) ([]cloud.Pin, error) {
	return all(t, scanPin, `SELECT `+pinColumns+` FROM pin WHERE hold = $1 AND person > $2 ORDER BY person LIMIT $3`, hold, after, unlimited(limit))
}

func (t *tx) CountPins(hold string) (int, error) {
	return one(t, column[int], `SELECT COUNT(*) FROM pin WHERE hold = $1`, hold)
}

func (t *tx) PutPin(p cloud.Pin) error {
	return t.do(`INSERT INTO pin (`+pinColumns+`) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (person, site) DO UPDATE SET hold = excluded.hold, kept = excluded.kept, since = excluded.since`,
		p.Person, p.Site, p.Hold, document(p.Kept), millis(p.Since))
}

func (t *tx) DeletePin(site, person string) error {
	return t.do(`DELETE FROM pin WHERE person = $1 AND site = $2`, person, site)
}

func (t *tx) DeletePins(site string) error { return t.do(`DELETE FROM pin WHERE site = $1`, site) }
