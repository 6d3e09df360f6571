package store

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/wiegand"
)

const cardColumns = `id, org, person, origin, status, badge_type, format, bits, facility, number, shared, valid_from, valid_until, created, technology`

func scanCard(s scanner) (c cloud.Card, err error) {
	var bits, facility, number string
	var created int64
	err = s.Scan(&c.ID, &c.Org, &c.Person, &c.Origin, &c.Status, &c.BadgeType, &c.Format, &bits, &facility, &number,
		&c.Shared, &c.ValidFrom, &c.ValidUntil, &created, &c.Technology)
	if err != nil {
		return c, err
	}
	c.Created = moment(created)
	var bad [3]error
	if bits != "" { // a mobile key may have none yet
		c.Bits, bad[0] = wiegand.ParseBits(bits)
	}
	c.Facility, bad[1] = strconv.ParseUint(facility, 10, 64)
	c.Number, bad[2] = strconv.ParseUint(number, 10, 64)
	if errors.Join(bad[:]...) != nil {
		return c, fmt.Errorf("card %s cannot be read", c.ID) // without the number
	}
	return c, nil
}

func (t *tx) Card(org, id string) (cloud.Card, error) {
	return one(t, scanCard, `SELECT `+cardColumns+` FROM card WHERE id = $1 AND org = $2`, id, org)
}

func (t *tx) Cards(people []string) ([]cloud.Card, error) {
	return listed(t, scanCard, `SELECT `+cardColumns+` FROM card WHERE person IN (%s) ORDER BY id`, nil, people)
}

func (t *tx) CardsByBits(org string, b wiegand.Bits) ([]cloud.Card, error) {
	return all(t, scanCard, `SELECT `+cardColumns+` FROM card WHERE org = $1 AND bits = $2 ORDER BY id`, org, b.Text())
}

func (t *tx) PutCard(c cloud.Card) error {
	return t.do(`INSERT INTO card (`+cardColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
		ON CONFLICT (id) DO UPDATE SET status = excluded.status, badge_type = excluded.badge_type, format = excluded.format,
		bits = excluded.bits, facility = excluded.facility, number = excluded.number, shared = excluded.shared,
		valid_from = excluded.valid_from, valid_until = excluded.valid_until`,
		c.ID, c.Org, c.Person, c.Origin, c.Status, c.BadgeType, c.Format, c.Bits.Text(),
		strconv.FormatUint(c.Facility, 10), strconv.FormatUint(c.Number, 10), flag(c.Shared), c.ValidFrom, c.ValidUntil, millis(c.Created),
		cmp.Or(c.Technology, access.TechCard))
}

func (t *tx) DeleteCard(org, id string) error {
	return t.must(`DELETE FROM card WHERE id = $1 AND org = $2`, id, org)
}

// What people have at sites.

func (t *tx) ManualMembers(people []string) ([]cloud.ManualMember, error) {
	return listed(t, func(s scanner) (m cloud.ManualMember, err error) {
		return m, s.Scan(&m.Person, &m.Site, &m.Group)
	}, `SELECT person, site, grp FROM manual_member WHERE person IN (%s) ORDER BY person, site, grp`, nil, people)
}

func (t *tx) PutManualMember(m cloud.ManualMember) error {
	return t.do(`INSERT INTO manual_member (person, site, grp) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, m.Person, m.Site, m.Group)
}

func (t *tx) DeleteManualMember(m cloud.ManualMember) error {
	return t.must(`DELETE FROM manual_member WHERE person = $1 AND site = $2 AND grp = $3`, m.Person, m.Site, m.Group)
}

func (t *tx) DeleteManualMembers(site, group string) error {
	if group == "" {
		return t.do(`DELETE FROM manual_member WHERE site = $1`, site)
	}
	return t.do(`DELETE FROM manual_member WHERE site = $1 AND grp = $2`, site, group)
}

const outcomeColumns = `person, site, rule, groups, role, ble, wallet`

func scanOutcome(s scanner) (o cloud.Outcome, err error) {
	var groups string
	if err := s.Scan(&o.Person, &o.Site, &o.Rule, &groups, &o.Role, &o.BLE, &o.Wallet); err != nil {
		return o, err
	}
	return o, json.Unmarshal([]byte(groups), &o.Groups)
}

func (t *tx) Outcomes(people []string) ([]cloud.Outcome, error) {
	return listed(t, scanOutcome, `SELECT `+outcomeColumns+` FROM outcome WHERE person IN (%s) ORDER BY person, site`, nil, people)
}

func (t *tx) SiteOutcomes(site string) ([]cloud.Outcome, error) {
	return all(t, scanOutcome, `SELECT `+outcomeColumns+` FROM outcome WHERE site = $1 ORDER BY person`, site)
}

func (t *tx) PutOutcome(o cloud.Outcome) error {
	if o.Rule == "" {
		return t.do(`DELETE FROM outcome WHERE person = $1 AND site = $2`, o.Person, o.Site)
	}
	return t.do(`INSERT INTO outcome (`+outcomeColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (person, site) DO UPDATE SET rule = excluded.rule, groups = excluded.groups, role = excluded.role,
		ble = excluded.ble, wallet = excluded.wallet`,
		o.Person, o.Site, o.Rule, list(o.Groups), o.Role, flag(o.BLE), flag(o.Wallet))
}

func (t *tx) DeleteOutcomes(site string) error {
	return t.do(`DELETE FROM outcome WHERE site = $1`, site)
}
