package store

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"latchkey/access"
	"latchkey/cloud"
	"latchkey/delta"
	"latchkey/wiegand"
)

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// list is v as a JSON text; a nil slice is an empty list.
func list[T any](v []T) string {
	if v == nil {
		v = []T{}
	}
	return document(v)
}

// document is v as a JSON text. What it gets are plain values of the domain.
func document(v any) string {
	doc, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("store: %T cannot be JSON: %v", v, err))
	}
	return string(doc)
}

// listed reads all rows of a query with a list of ids, which comes after first.
// query has %s for it, inside "IN (…)".
func listed[T any](t *tx, scan func(scanner) (T, error), query string, first []any, ids []string) ([]T, error) {
	query, args, err := t.within(query, first, ids)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	return all(t, scan, query, args...)
}

// within puts the list ids into query, and after first into its arguments.
func (t *tx) within(query string, first []any, ids []string) (string, []any, error) {
	list, err := t.engine.pack(ids)
	args := append(slices.Clone(first), list)
	return fmt.Sprintf(query, fmt.Sprintf(t.engine.list, len(args))), args, err
}

// Organisations.

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

// Properties.

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

// sum copies a stored hash or digest.
func sum(to, from []byte) error {
	if len(from) != len(to) {
		return fmt.Errorf("stored sum of %d bytes, want %d", len(from), len(to))
	}
	copy(to, from)
	return nil
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

// People.

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

// personTerms says how each attribute is looked up; each has an index. What
// may be of any length is looked up by its beginning too, which is what
// PostgreSQL can have an index of.
var personTerms = map[string]string{
	"id":           `id = %[1]s`,
	"userName":     `user_name_fold <> '' AND user_name_fold = %[1]s`,
	"externalId":   `external_id <> '' AND substr(external_id, 1, 500) = substr(%[1]s, 1, 500) AND external_id = %[1]s`,
	"displayName":  `name_fold = %[1]s`,
	"cardNumber":   `card_number_fold <> '' AND card_number_fold = %[1]s`,
	"manager":      `manager <> '' AND substr(manager, 1, 500) = substr(%[1]s, 1, 500) AND manager = %[1]s`,
	"pulledId":     `pulled_id <> '' AND pulled_id = %[1]s`,
	"emails.value": `id IN (SELECT person FROM person_email WHERE org = $1 AND substr(value, 1, 500) = substr(%[1]s, 1, 500) AND value = %[1]s)`,
}

// groupTerms likewise.
var groupTerms = map[string]string{
	"id":            `id = %[1]s`,
	"displayName":   `name_fold = %[1]s`,
	"externalId":    `external_id <> '' AND substr(external_id, 1, 500) = substr(%[1]s, 1, 500) AND external_id = %[1]s`,
	"pulledId":      `pulled_id <> '' AND pulled_id = %[1]s`,
	"members.value": `id IN (SELECT grp FROM directory_member WHERE member = %[1]s)`,
}

// folded are the attributes that are stored folded.
var folded = []string{"userName", "displayName", "cardNumber"}

// fold is a text as it is looked up without case. A long one keeps its
// beginning and what tells it from all others, because an index takes no more.
func fold(text string) string {
	const most = 500 // bytes
	text = strings.ToLower(text)
	if len(text) <= most {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return strings.ToValidUTF8(text[:most-2*len(sum)], "") + hex.EncodeToString(sum[:])
}

// where is the condition of f; $1 is its organisation.
func where(f cloud.Find, terms map[string]string, people bool) (string, []any, error) {
	cond, args := `org = $1`, []any{f.Org}
	add := func(format string, value any) {
		args = append(args, value)
		cond += ` AND ` + fmt.Sprintf(format, "$"+strconv.Itoa(len(args)))
	}
	if people && f.Origin != "" {
		add(`origin = %s`, f.Origin)
	}
	if f.After != "" {
		add(`id > %s`, f.After)
	}
	for _, term := range f.Terms {
		format, ok := terms[term.Attr]
		if !ok {
			return "", nil, fmt.Errorf("store: no index for attribute %q", term.Attr)
		}
		value := term.Value
		if slices.Contains(folded, term.Attr) {
			value = fold(value)
		}
		add(format, value)
	}
	return cond, args, nil
}

// found reads a page of the rows of table that f selects.
func found[T any](t *tx, scan func(scanner) (T, error), columns, table string, f cloud.Find, terms map[string]string, start, count int) ([]T, error) {
	cond, args, err := where(f, terms, table == "person")
	if err != nil {
		return nil, err
	}
	query := `SELECT ` + columns + ` FROM ` + table + ` WHERE ` + cond + ` ORDER BY id`
	if count >= 0 || start > 0 {
		if count < 0 {
			count = 1 << 30
		}
		args = append(args, count, start)
		// A bare $n after LIMIT would make SQLite plan the statement anew for each
		// number: that takes longer than to carry it out.
		query += fmt.Sprintf(` LIMIT $%d + 0 OFFSET $%d + 0`, len(args)-1, len(args))
	}
	return all(t, scan, query, args...)
}

func (t *tx) counted(table string, f cloud.Find, terms map[string]string) (int, error) {
	cond, args, err := where(f, terms, table == "person")
	if err != nil {
		return 0, err
	}
	return one(t, column[int], `SELECT COUNT(*) FROM `+table+` WHERE `+cond, args...)
}

func (t *tx) FindPeople(f cloud.Find, start, count int) ([]cloud.PersonRow, error) {
	return found(t, scanPerson, personSelect, "person", f, personTerms, start, count)
}

// userColumns are what SCIM sees of a person. SQLite makes a table for each list
// of groups that it puts in order, so where there are none it is not asked to.
func userColumns(groups string) string {
	return `id, doc, created, modified, version,
		CASE WHEN EXISTS (SELECT 1 FROM directory_member WHERE member = person.id) THEN (` + groups + `) ELSE '[]' END`
}

func (t *tx) FindUsers(f cloud.Find, start, count int) ([]cloud.User, error) {
	return found(t, func(s scanner) (u cloud.User, err error) {
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
	}, userColumns(t.engine.groups), "person", f, personTerms, start, count)
}

func (t *tx) CountPeople(f cloud.Find) (int, error) { return t.counted("person", f, personTerms) }

func (t *tx) PutPerson(p cloud.PersonRow) error {
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
	if err := t.must(`DELETE FROM person WHERE id = $1 AND org = $2`, id, org); err != nil {
		return err
	}
	return t.do(`DELETE FROM directory_member WHERE member = $1`, id)
}

// Cards.

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

// Directory groups.

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
	return t.do(`INSERT INTO directory_group (`+groupColumns+`, name_fold) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
		ON CONFLICT (id) DO UPDATE SET display_name = excluded.display_name, external_id = excluded.external_id, doc = excluded.doc,
		modified = excluded.modified, version = excluded.version, pulled_id = excluded.pulled_id, name_fold = excluded.name_fold`,
		g.ID, g.Org, g.DisplayName, g.ExternalID, string(g.Doc), millis(g.Created), millis(g.Modified), g.Version,
		g.PulledID, fold(g.DisplayName))
}

func (t *tx) DeleteGroup(org, id string) error {
	return t.must(`DELETE FROM directory_group WHERE id = $1 AND org = $2`, id, org)
}

func (t *tx) AddMember(group, member string) (bool, error) {
	n, err := t.exec(`INSERT INTO directory_member (grp, member) VALUES ($1, $2) ON CONFLICT DO NOTHING`, group, member)
	return n > 0, err
}

func (t *tx) RemoveMember(group, member string) (bool, error) {
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

func unlimited(limit int) int {
	if limit < 1 {
		return 1 << 30
	}
	return limit
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

// Sites' records and logs.

func scanRecord(s scanner) (r cloud.RecordRow, err error) {
	return r, s.Scan(&r.Site, &r.Ref.Kind, &r.Ref.Key, &r.Owner, &r.Doc, &r.Seq)
}

func (t *tx) Records(owners []string) ([]cloud.RecordRow, error) {
	return listed(t, scanRecord, `SELECT site, kind, key, owner, doc, seq FROM site_record WHERE owner IN (%s)`, nil, owners)
}

func (t *tx) SiteRecords(site string) ([]cloud.RecordRow, error) {
	return all(t, scanRecord, `SELECT site, kind, key, owner, doc, seq FROM site_record WHERE site = $1 ORDER BY kind, key`, site)
}

func (t *tx) OwnRecords(site string) ([]cloud.RecordRow, error) {
	return all(t, scanRecord, `SELECT site, kind, key, owner, doc, seq FROM site_record WHERE site = $1 AND owner = ''`, site)
}

func (t *tx) Owners(site string) ([]string, error) {
	return all(t, column[string], `SELECT DISTINCT owner FROM site_record WHERE site = $1 AND owner > '' ORDER BY owner`, site)
}

func (t *tx) PutRecord(r cloud.RecordRow) error {
	return t.do(`INSERT INTO site_record (site, kind, key, owner, doc, seq) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (site, kind, key) DO UPDATE SET owner = excluded.owner, doc = excluded.doc, seq = excluded.seq`,
		r.Site, string(r.Ref.Kind), r.Ref.Key, r.Owner, r.Doc, clamp(r.Seq))
}

func (t *tx) DeleteRecord(site string, ref access.Ref) error {
	return t.must(`DELETE FROM site_record WHERE site = $1 AND kind = $2 AND key = $3`, site, string(ref.Kind), ref.Key)
}

func (t *tx) AppendLog(site string, epoch uint32, seq uint64, at time.Time, payload []byte, hash delta.Hash) error {
	return t.do(`INSERT INTO site_log (site, epoch, seq, at, hash, payload) VALUES ($1, $2, $3, $4, $5, $6)`,
		site, int64(epoch), int64(seq), millis(at), hash[:], payload)
}

func (t *tx) ReadLog(site string, epoch uint32, after uint64, limit int) ([][]byte, error) {
	return all(t, column[[]byte], `SELECT payload FROM site_log WHERE site = $1 AND epoch = $2 AND seq > $3 ORDER BY seq LIMIT $4`,
		site, int64(epoch), clamp(after), unlimited(limit))
}

// clamp keeps a number from outside within what a column holds.
func clamp(n uint64) int64 { return int64(min(n, 1<<63-1)) }

func (t *tx) LogHash(site string, epoch uint32, seq uint64) (h delta.Hash, err error) {
	b, err := one(t, column[[]byte], `SELECT hash FROM site_log WHERE site = $1 AND epoch = $2 AND seq = $3`, site, int64(epoch), clamp(seq))
	if err != nil {
		return h, err
	}
	return h, sum(h[:], b)
}

func (t *tx) AckLog(site string, epoch uint32, after, upTo uint64, at time.Time) error {
	return t.do(`UPDATE site_log SET acked = $1 WHERE site = $2 AND epoch = $3 AND seq > $4 AND seq <= $5`,
		millis(at), site, int64(epoch), clamp(after), clamp(upTo))
}

func (t *tx) LogTimes(site string, epoch uint32, seq uint64) (written, acked time.Time, err error) {
	type times struct{ written, acked int64 }
	at, err := one(t, func(s scanner) (at times, err error) { return at, s.Scan(&at.written, &at.acked) },
		`SELECT at, acked FROM site_log WHERE site = $1 AND epoch = $2 AND seq = $3`, site, int64(epoch), clamp(seq))
	return moment(at.written), moment(at.acked), err
}

func (t *tx) PruneLog(site string, epoch uint32, seq uint64) error {
	return t.do(`DELETE FROM site_log WHERE site = $1 AND (epoch < $2 OR epoch = $2 AND seq <= $3)`, site, int64(epoch), clamp(seq))
}

// What sites say.

func (t *tx) SiteState(site string) (cloud.SiteState, error) {
	st, err := one(t, func(s scanner) (st cloud.SiteState, err error) {
		var hello, up, nack, proofAt, seq int64
		var proof string
		var hash, digest []byte
		err = s.Scan(&hello, &up, &st.Software, &st.Applied.Epoch, &seq, &hash, &digest, &st.Nack, &nack, &proof, &proofAt)
		if err != nil {
			return st, err
		}
		st.HelloAt, st.UpAt, st.NackAt, st.ProofAt = moment(hello), moment(up), moment(nack), moment(proofAt)
		st.Applied.Seq = uint64(seq)
		return st, errors.Join(sum(st.Applied.Hash[:], hash), sum(st.Applied.Digest[:], digest), json.Unmarshal([]byte(proof), &st.Proof))
	}, `SELECT hello_at, up_at, software, applied_epoch, applied_seq, applied_hash, applied_digest, nack, nack_at, proof, proof_at
		FROM site_state WHERE site = $1`, site)
	if errors.Is(err, cloud.ErrNotFound) {
		return cloud.SiteState{}, nil
	}
	return st, err
}

func (t *tx) PutSiteState(site string, st cloud.SiteState) error {
	return t.do(`INSERT INTO site_state (site, hello_at, up_at, software, applied_epoch, applied_seq, applied_hash, applied_digest, nack, nack_at, proof, proof_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
		ON CONFLICT (site) DO UPDATE SET hello_at = excluded.hello_at, up_at = excluded.up_at, software = excluded.software,
		applied_epoch = excluded.applied_epoch, applied_seq = excluded.applied_seq, applied_hash = excluded.applied_hash,
		applied_digest = excluded.applied_digest, nack = excluded.nack, nack_at = excluded.nack_at, proof = excluded.proof, proof_at = excluded.proof_at`,
		site, millis(st.HelloAt), millis(st.UpAt), st.Software, int64(st.Applied.Epoch), int64(st.Applied.Seq),
		st.Applied.Hash[:], st.Applied.Digest[:], st.Nack, millis(st.NackAt), list(st.Proof), millis(st.ProofAt))
}

func (t *tx) LastEvent(site, eventEpoch string) (uint64, error) {
	n, err := one(t, column[int64], `SELECT COALESCE(MAX(n), 0) FROM site_event WHERE site = $1 AND event_epoch = $2`, site, eventEpoch)
	return uint64(n), err
}

func (t *tx) AppendEvent(site, eventEpoch string, e access.Event) error {
	return t.do(`INSERT INTO site_event (site, pos, event_epoch, n, doc)
		SELECT $1, COALESCE(MAX(pos), 0) + 1, $2, $3, $4 FROM site_event WHERE site = $1`, site, eventEpoch, clamp(e.N), document(e))
}

func (t *tx) Events(site string, after uint64, limit int) ([]cloud.SiteEvent, error) {
	return all(t, func(s scanner) (e cloud.SiteEvent, err error) {
		var doc string
		if err := s.Scan(&e.Pos, &e.EventEpoch, &doc); err != nil {
			return e, err
		}
		return e, json.Unmarshal([]byte(doc), &e.Event)
	}, `SELECT pos, event_epoch, doc FROM site_event WHERE site = $1 AND pos > $2 ORDER BY pos LIMIT $3`, site, clamp(after), unlimited(limit))
}

func (t *tx) CountEvents(site string) (uint64, error) {
	// Positions have no gaps.
	n, err := one(t, column[int64], `SELECT COALESCE(MAX(pos), 0) FROM site_event WHERE site = $1`, site)
	return uint64(n), err
}

// The queue of large changes.

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
