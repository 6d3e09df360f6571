package cloud

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"latchkey/access"
	"latchkey/delta"
)

// tokenPrefix lets people and secret scanners tell what a token is.
const tokenPrefix = "latchkey_scim_"

// defaultBadge is the badge type that a new organisation has.
const defaultBadge = "Default"

// CreateOrg makes an organisation with SCIM enabled and the default badge type
// H10302. Unless it says otherwise, cards are kept where the directory removes
// a number, and the sentinels are NONE and REVOKED. *Invalid, *Conflict.
func (s *Service) CreateOrg(ctx context.Context, by Actor, o Org) (Org, error) {
	if err := checkSlug("id", o.ID); err != nil {
		return Org{}, err
	}
	o.SCIMEnabled, o.Config = true, 1
	o.CardRemoval = cmp.Or(o.CardRemoval, RemovalKeep)
	o.Created = stamp(s.now())
	if o.Sentinels == nil {
		o.Sentinels = []string{"NONE", "REVOKED"}
	}
	if err := checkOrg(&o); err != nil {
		return Org{}, err
	}
	err := s.store.Update(ctx, func(tx Tx) error {
		switch _, err := tx.Org(o.ID); {
		case err == nil:
			return &Conflict{Attr: "id", Value: o.ID, ID: o.ID}
		case !errors.Is(err, ErrNotFound):
			return err
		}
		if err := tx.PutOrg(o); err != nil {
			return err
		}
		if err := tx.PutBadgeType(o.ID, BadgeType{ID: defaultBadge, Format: "H10302", Default: true}); err != nil {
			return err
		}
		return tx.AppendAudit(AuditEntry{
			ID: s.newID(o.Created), Org: o.ID, At: o.Created, Who: by, What: "create organisation", Object: o.ID, Name: o.Name,
			Changes: map[string]Change{"name": {After: o.Name}},
		})
	})
	return o, err
}

func checkOrg(o *Org) error {
	if err := checkLabel("name", o.Name); err != nil {
		return err
	}
	switch o.Profile {
	case ProfileAuto, ProfileEntra, ProfileOkta, ProfileStrict:
	default:
		return invalid("profile", "got %.40q, want entra, okta or strict", string(o.Profile))
	}
	if o.CardRemoval != RemovalKeep && o.CardRemoval != RemovalRevoke {
		return invalid("card_removal", "got %.40q, want keep or revoke", o.CardRemoval)
	}
	if len(o.Sentinels) > 32 {
		return invalid("sentinels", "got %d, want at most 32", len(o.Sentinels))
	}
	for _, word := range o.Sentinels {
		if len(word) > 64 {
			return invalid("sentinels", "want at most 64 bytes each")
		}
	}
	return nil
}

// Org returns one organisation: ErrNotFound.
func (s *Service) Org(ctx context.Context, id string) (o Org, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		o, err = tx.Org(id)
		return err
	})
	return o, err
}

// Orgs lists all organisations by id.
func (s *Service) Orgs(ctx context.Context) (all []Org, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		all, err = tx.Orgs()
		return err
	})
	return all, err
}

// PatchOrg changes an organisation's settings. Switching SCIM off refuses the
// next request already.
func (s *Service) PatchOrg(ctx context.Context, by Actor, id string, p OrgPatch) (Org, error) {
	var o Org
	err := s.update(ctx, id, act{by: by, what: "change organisation", object: id}, func(w *work) error {
		o = w.org
		set(w, "name", &o.Name, p.Name)
		set(w, "profile", &o.Profile, p.Profile)
		set(w, "scim_enabled", &o.SCIMEnabled, p.SCIMEnabled)
		set(w, "card_removal", &o.CardRemoval, p.CardRemoval)
		if p.Sentinels != nil && !slices.Equal(*p.Sentinels, o.Sentinels) {
			w.note("sentinels", o.Sentinels, *p.Sentinels)
			o.Sentinels = *p.Sentinels
		}
		if err := checkOrg(&o); err != nil {
			return err
		}
		w.org = o
		return w.tx.PutOrg(o)
	})
	return o, err
}

// set puts *to into *field where it is given, and notes a change.
func set[T comparable](w *work, name string, field, to *T) {
	if to == nil || *to == *field {
		return
	}
	w.note(name, *field, *to)
	*field = *to
}

// CreateToken makes a SCIM token. The secret is returned here and nowhere
// else: only its hash is kept. Older tokens go on until they are deleted, so
// that a token can be replaced without a gap.
func (s *Service) CreateToken(ctx context.Context, by Actor, org, label string) (t Token, secret string, err error) {
	if err := checkLabel("label", label); err != nil {
		return Token{}, "", err
	}
	var random [32]byte
	rand.Read(random[:]) // never fails
	secret = tokenPrefix + base64.RawURLEncoding.EncodeToString(random[:])
	err = s.update(ctx, org, act{by: by, what: "create token", name: label}, func(w *work) error {
		t = Token{ID: s.newID(w.now), Org: org, Label: label, Created: w.now}
		w.act.object = t.ID
		w.note("token", nil, t.ID)
		return w.tx.PutToken(t, sha256.Sum256([]byte(secret)))
	})
	if err != nil {
		return Token{}, "", err
	}
	return t, secret, nil
}

// Tokens lists an organisation's tokens, without their secrets.
func (s *Service) Tokens(ctx context.Context, org string) (all []Token, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		if _, err := tx.Org(org); err != nil {
			return err
		}
		all, err = tx.Tokens(org)
		return err
	})
	return all, err
}

// DeleteToken ends a token at once: ErrNotFound.
func (s *Service) DeleteToken(ctx context.Context, by Actor, org, id string) error {
	return s.update(ctx, org, act{by: by, what: "delete token", object: id}, func(w *work) error {
		w.note("token", id, nil)
		return w.tx.DeleteToken(org, id)
	})
}

// BadgeTypes lists an organisation's badge types by id.
func (s *Service) BadgeTypes(ctx context.Context, org string) (all []BadgeType, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		if _, err := tx.Org(org); err != nil {
			return err
		}
		all, err = tx.BadgeTypes(org)
		return err
	})
	return all, err
}

// PutBadgeType makes or changes a badge type. It is about cards made from now
// on; those that exist keep their bits. Making one the default ends that of
// the other.
func (s *Service) PutBadgeType(ctx context.Context, by Actor, org string, b BadgeType) (BadgeType, error) {
	if err := checkBadgeType(s.formats, &b); err != nil {
		return BadgeType{}, err
	}
	err := s.update(ctx, org, act{by: by, what: "put badge type", object: b.ID}, func(w *work) error {
		types, err := w.tx.BadgeTypes(org)
		if err != nil {
			return err
		}
		var before any
		for _, other := range types {
			switch {
			case other.ID == b.ID:
				before = other
				if other.Default && !b.Default {
					return invalid("default", "one badge type must be the default; make another one it")
				}
			case other.Default && b.Default:
				other.Default = false
				if err := w.tx.PutBadgeType(org, other); err != nil {
					return err
				}
			}
		}
		w.note("badge type", before, b)
		w.config = true
		return w.tx.PutBadgeType(org, b)
	})
	return b, err
}

// DeleteBadgeType removes a badge type that is not the default. Cards that
// were made with it stay.
func (s *Service) DeleteBadgeType(ctx context.Context, by Actor, org, id string) error {
	return s.update(ctx, org, act{by: by, what: "delete badge type", object: id}, func(w *work) error {
		types, err := w.tx.BadgeTypes(org)
		if err != nil {
			return err
		}
		for _, b := range types {
			if b.ID == id && b.Default {
				return invalid("id", "the default badge type cannot be deleted")
			}
		}
		w.note("badge type", id, nil)
		w.config = true
		return w.tx.DeleteBadgeType(org, id)
	})
}

// property is a site of org that is there for admins.
func property(tx Tx, org, site string) (SiteRow, error) {
	row, err := tx.Site(site)
	if err == nil && (row.Org != org || row.Deleted) {
		return SiteRow{}, ErrNotFound
	}
	return row, err
}

func propertyStatus(tx Tx, row SiteRow) (PropertyStatus, error) {
	rules, err := tx.Rules(row.ID)
	if err != nil {
		return PropertyStatus{}, err
	}
	st := PropertyStatus{Property: row.Property}
	for _, r := range rules {
		if r.Enabled {
			st.Rules++
		}
	}
	if st.Syncing = st.Rules > 0; !st.Syncing {
		st.Note = NoteNoRule
	}
	return st, nil
}

// Properties lists every property of an organisation, and which of them no
// rule syncs.
func (s *Service) Properties(ctx context.Context, org string) ([]PropertyStatus, error) {
	var all []PropertyStatus
	err := s.store.View(ctx, func(tx Tx) error {
		if _, err := tx.Org(org); err != nil {
			return err
		}
		rows, err := tx.Sites(org)
		if err != nil {
			return err
		}
		for _, row := range rows {
			if row.Deleted {
				continue
			}
			st, err := propertyStatus(tx, row)
			if err != nil {
				return err
			}
			all = append(all, st)
		}
		return nil
	})
	return all, err
}

// Property returns one property: ErrNotFound.
func (s *Service) Property(ctx context.Context, org, site string) (st PropertyStatus, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		row, err := property(tx, org, site)
		if err != nil {
			return err
		}
		st, err = propertyStatus(tx, row)
		return err
	})
	return st, err
}

// PutProperty makes or changes a property. An empty Key keeps the one that is
// there. A new property starts a stream of its own; so does one that was
// deleted and comes back. *Invalid, *Conflict.
func (s *Service) PutProperty(ctx context.Context, by Actor, org string, p Property) (PropertyStatus, error) {
	p.Org = org
	if err := errors.Join(checkSlug("id", p.ID), checkLabel("name", p.Name)); err != nil {
		return PropertyStatus{}, firstOf(err)
	}
	if p.Key != "" {
		if _, _, err := delta.ParsePublic(p.Key); err != nil {
			return PropertyStatus{}, invalid("key", "want the agent's public key, latchkey-ed25519:KID:BASE64")
		}
	}
	if len(p.Pilot) > maxConditions {
		return PropertyStatus{}, invalid("pilot_groups", "got %d, want at most %d", len(p.Pilot), maxConditions)
	}
	var st PropertyStatus
	err := s.update(ctx, org, act{by: by, what: "put property", object: p.ID, name: p.Name}, func(w *work) error {
		row, err := w.tx.Site(p.ID)
		var before any
		switch {
		case errors.Is(err, ErrNotFound):
			startStream(&row, w.now)
		case err != nil:
			return err
		case row.Org != org:
			return &Conflict{Attr: "id", Value: p.ID}
		case row.Deleted:
			startStream(&row, w.now)
			row.Deleted = false
		default:
			before = row.Property
			if p.Key == "" {
				p.Key = row.Key
			}
		}
		p.PilotIDs = make([]string, len(p.Pilot))
		for i, name := range p.Pilot {
			if at := slices.Index(row.Pilot, name); at >= 0 && row.PilotIDs[at] != "" {
				p.PilotIDs[i] = row.PilotIDs[at]
				continue
			}
			if p.PilotIDs[i], err = w.groupNamed(name); err != nil {
				return err
			}
		}
		if row.Wallet != p.Wallet || !slices.Equal(row.PilotIDs, p.PilotIDs) {
			w.everyone[p.ID] = true
		}
		row.Property = p
		w.config = true
		w.note("property", before, p)
		if err := w.tx.PutSite(row); err != nil {
			return err
		}
		st, err = propertyStatus(w.tx, row)
		return err
	})
	return st, err
}

// firstOf is the first of joined errors that a caller can tell apart.
func firstOf(err error) error {
	if i, ok := errors.AsType[*Invalid](err); ok {
		return i
	}
	return err
}

// groupNamed is the id of the directory group of that displayName or id, empty
// where there is none yet.
func (w *work) groupNamed(name string) (string, error) {
	for _, attr := range []string{"displayName", "id"} {
		rows, err := w.tx.FindGroups(find(w.org.ID, []Term{{attr, name}}), 0, 1)
		if err != nil {
			return "", err
		}
		if len(rows) > 0 {
			return rows[0].ID, nil
		}
	}
	return "", nil
}

// DeleteProperty takes everything from a property: its agent is told to forget
// all it holds. Its stream goes on, so that the agent hears of it.
func (s *Service) DeleteProperty(ctx context.Context, by Actor, org, site string) error {
	return s.update(ctx, org, act{by: by, what: "delete property", object: site}, func(w *work) error {
		row, err := property(w.tx, org, site)
		if err != nil {
			return err
		}
		rules, err := w.tx.Rules(site)
		if err != nil {
			return err
		}
		for _, r := range rules {
			if err := w.tx.DeleteRule(site, r.ID); err != nil {
				return err
			}
		}
		for _, kind := range []access.Kind{access.KindDoor, access.KindGroup, access.KindSchedule} {
			its, err := w.tx.Items(site, kind)
			if err != nil {
				return err
			}
			for _, it := range its {
				if err := w.tx.DeleteItem(site, kind, it.ID); err != nil {
					return err
				}
			}
		}
		if err := errors.Join(w.tx.DeleteManualMembers(site, ""), w.tx.DeleteOutcomes(site)); err != nil {
			return err
		}
		w.note("property", row.Property, nil)
		row.Deleted = true
		w.config, w.own[site] = true, true
		if err := w.tx.PutSite(row); err != nil {
			return err
		}
		owners, err := w.tx.Owners(site)
		for _, id := range owners {
			w.people[id] = true
		}
		return err
	})
}

// list reads the items of a property.
func list[T any](s *Service, ctx context.Context, org, site string, kind access.Kind) (all []T, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		if _, err := property(tx, org, site); err != nil {
			return err
		}
		all, err = items[T](tx, site, kind)
		return err
	})
	return all, err
}

// put stores an item of a property, and lets its record follow.
func put(w *work, site string, kind access.Kind, id string, v any) error {
	doc, err := encodeRecord(v)
	if err != nil {
		return err
	}
	its, err := w.tx.Items(site, kind)
	if err != nil {
		return err
	}
	var before any
	if i := slices.IndexFunc(its, func(it Item) bool { return it.ID == id }); i >= 0 {
		before = string(its[i].Doc)
	}
	w.note(string(kind), before, string(doc))
	w.own[site] = true
	return w.tx.PutItem(site, kind, Item{ID: id, Doc: doc})
}

// Doors lists a property's doors by id.
func (s *Service) Doors(ctx context.Context, org, site string) ([]access.Door, error) {
	return list[access.Door](s, ctx, org, site, access.KindDoor)
}

// PutDoor makes or changes a door.
func (s *Service) PutDoor(ctx context.Context, by Actor, org, site string, d access.Door) (access.Door, error) {
	if d.Kind == "" {
		d.Kind = access.DoorKindDoor
	}
	if err := errors.Join(checkName("id", d.ID), checkLabel("name", d.Name)); err != nil {
		return access.Door{}, firstOf(err)
	}
	if err := checkRecord(d); err != nil {
		return access.Door{}, err
	}
	err := s.update(ctx, org, act{by: by, what: "put door", object: d.ID, name: d.Name}, func(w *work) error {
		if _, err := property(w.tx, org, site); err != nil {
			return err
		}
		return put(w, site, access.KindDoor, d.ID, d)
	})
	return d, err
}

// DeleteDoor removes a door, also from the access groups that open it.
func (s *Service) DeleteDoor(ctx context.Context, by Actor, org, site, id string) error {
	return s.update(ctx, org, act{by: by, what: "delete door", object: id}, func(w *work) error {
		if _, err := property(w.tx, org, site); err != nil {
			return err
		}
		groups, err := items[AccessGroup](w.tx, site, access.KindGroup)
		if err != nil {
			return err
		}
		for _, g := range groups {
			n := len(g.Grants)
			g.Grants = slices.DeleteFunc(g.Grants, func(d DoorAccess) bool { return d.Door == id })
			if len(g.Grants) == n {
				continue
			}
			if err := put(w, site, access.KindGroup, g.ID, g); err != nil {
				return err
			}
		}
		w.note("door", id, nil)
		w.own[site] = true
		return w.tx.DeleteItem(site, access.KindDoor, id)
	})
}

// AccessGroups lists a property's access groups by id.
func (s *Service) AccessGroups(ctx context.Context, org, site string) ([]AccessGroup, error) {
	return list[AccessGroup](s, ctx, org, site, access.KindGroup)
}

// PutAccessGroup makes or changes an access group. Its doors need not be
// declared yet; its schedules do.
func (s *Service) PutAccessGroup(ctx context.Context, by Actor, org, site string, g AccessGroup) (AccessGroup, error) {
	if err := errors.Join(checkName("id", g.ID), checkLabel("name", g.Name)); err != nil {
		return AccessGroup{}, firstOf(err)
	}
	if len(g.Grants) > 1000 {
		return AccessGroup{}, invalid("grants", "got %d, want at most 1000", len(g.Grants))
	}
	g.Grants = slices.Clone(g.Grants)
	slices.SortFunc(g.Grants, func(a, b DoorAccess) int {
		return strings.Compare(a.Door+"/"+a.Schedule, b.Door+"/"+b.Schedule)
	})
	g.Grants = slices.Compact(g.Grants)
	if g.Grants == nil {
		g.Grants = []DoorAccess{}
	}
	err := s.update(ctx, org, act{by: by, what: "put access group", object: g.ID, name: g.Name}, func(w *work) error {
		if _, err := property(w.tx, org, site); err != nil {
			return err
		}
		schedules, err := items[access.Schedule](w.tx, site, access.KindSchedule)
		if err != nil {
			return err
		}
		for _, d := range g.Grants {
			if err := checkName("grants.door", d.Door); err != nil {
				return err
			}
			if d.Schedule != "" && !slices.ContainsFunc(schedules, func(s access.Schedule) bool { return s.ID == d.Schedule }) {
				return invalid("grants.schedule", "the property has no schedule %.64q", d.Schedule)
			}
		}
		groups, err := w.tx.Items(site, access.KindGroup)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(groups, func(it Item) bool { return it.ID == g.ID }) {
			w.config = true
		}
		return put(w, site, access.KindGroup, g.ID, g)
	})
	return g, err
}

// DeleteAccessGroup removes an access group that no rule gives, with the
// memberships that admins gave.
func (s *Service) DeleteAccessGroup(ctx context.Context, by Actor, org, site, id string) error {
	return s.update(ctx, org, act{by: by, what: "delete access group", object: id}, func(w *work) error {
		if _, err := property(w.tx, org, site); err != nil {
			return err
		}
		rules, err := w.tx.Rules(site)
		if err != nil {
			return err
		}
		for _, r := range rules {
			if slices.Contains(r.Groups, id) {
				return invalid("id", "rule %q gives this group", r.Name)
			}
		}
		if err := w.tx.DeleteItem(site, access.KindGroup, id); err != nil {
			return err
		}
		if err := w.tx.DeleteManualMembers(site, id); err != nil {
			return err
		}
		w.note("access group", id, nil)
		w.config, w.own[site] = true, true
		owners, err := w.tx.Owners(site)
		if err != nil {
			return err
		}
		for _, person := range owners {
			w.people[person] = true
		}
		// What a frozen property holds on to, or is still to be written, must not
		// give the group again once there is another of its name.
		outcomes, err := w.tx.SiteOutcomes(site)
		if err != nil {
			return err
		}
		for _, o := range outcomes {
			n := len(o.Groups)
			o.Groups = slices.DeleteFunc(o.Groups, func(g string) bool { return g == id })
			if len(o.Groups) == n {
				continue
			}
			if err := w.tx.PutOutcome(o); err != nil {
				return err
			}
		}
		return nil
	})
}

// Schedules lists a property's schedules by id.
func (s *Service) Schedules(ctx context.Context, org, site string) ([]access.Schedule, error) {
	return list[access.Schedule](s, ctx, org, site, access.KindSchedule)
}

// PutSchedule makes or changes a schedule.
func (s *Service) PutSchedule(ctx context.Context, by Actor, org, site string, d access.Schedule) (access.Schedule, error) {
	if err := errors.Join(checkName("id", d.ID), checkLabel("name", d.Name)); err != nil {
		return access.Schedule{}, firstOf(err)
	}
	if d.Weekly == nil {
		d.Weekly = []access.Interval{}
	}
	if err := checkRecord(d); err != nil {
		return access.Schedule{}, err
	}
	err := s.update(ctx, org, act{by: by, what: "put schedule", object: d.ID, name: d.Name}, func(w *work) error {
		if _, err := property(w.tx, org, site); err != nil {
			return err
		}
		return put(w, site, access.KindSchedule, d.ID, d)
	})
	return d, err
}

// DeleteSchedule removes a schedule that no access group uses.
func (s *Service) DeleteSchedule(ctx context.Context, by Actor, org, site, id string) error {
	return s.update(ctx, org, act{by: by, what: "delete schedule", object: id}, func(w *work) error {
		if _, err := property(w.tx, org, site); err != nil {
			return err
		}
		groups, err := items[AccessGroup](w.tx, site, access.KindGroup)
		if err != nil {
			return err
		}
		for _, g := range groups {
			if slices.ContainsFunc(g.Grants, func(d DoorAccess) bool { return d.Schedule == id }) {
				return invalid("id", "access group %q uses this schedule", g.ID)
			}
		}
		w.note("schedule", id, nil)
		w.own[site] = true
		return w.tx.DeleteItem(site, access.KindSchedule, id)
	})
}

// Rules lists a property's rules by priority.
func (s *Service) Rules(ctx context.Context, org, site string) (all []Rule, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		if _, err := property(tx, org, site); err != nil {
			return err
		}
		all, err = tx.Rules(site)
		return err
	})
	return all, err
}

// CreateRule adds a rule behind those that are there. An empty ID gets one.
func (s *Service) CreateRule(ctx context.Context, by Actor, org, site string, r Rule) (Rule, error) {
	return s.putRule(ctx, by, org, site, r, true)
}

// PutRule changes a rule; its place and its age stay: ErrNotFound.
func (s *Service) PutRule(ctx context.Context, by Actor, org, site string, r Rule) (Rule, error) {
	return s.putRule(ctx, by, org, site, r, false)
}

func (s *Service) putRule(ctx context.Context, by Actor, org, site string, r Rule, create bool) (Rule, error) {
	what := "put rule"
	if create {
		what = "create rule"
	}
	r.Groups, r.Conditions = slices.Clone(r.Groups), slices.Clone(r.Conditions)
	err := s.update(ctx, org, act{by: by, what: what, object: r.ID, name: r.Name}, func(w *work) error {
		row, err := property(w.tx, org, site)
		if err != nil {
			return err
		}
		rules, err := w.tx.Rules(site)
		if err != nil {
			return err
		}
		if create && r.ID == "" {
			r.ID = s.newID(w.now)
			w.act.object = r.ID
		}
		if err := checkName("id", r.ID); err != nil {
			return err
		}
		var before *Rule
		if i := slices.IndexFunc(rules, func(o Rule) bool { return o.ID == r.ID }); i >= 0 {
			before = &rules[i]
		}
		switch {
		case create && before != nil:
			return &Conflict{Attr: "id", Value: r.ID, ID: r.ID}
		case !create && before == nil:
			return ErrNotFound
		case create:
			r.Created, r.Position = w.now, 1
			if n := len(rules); n > 0 {
				r.Position = rules[n-1].Position + 1
			}
		default:
			r.Created, r.Position = before.Created, before.Position
		}
		r.Site = site
		groups := map[string]bool{}
		its, err := w.tx.Items(site, access.KindGroup)
		if err != nil {
			return err
		}
		for _, it := range its {
			groups[it.ID] = true
		}
		if err := checkRule(&r, groups, row.Wallet); err != nil {
			return err
		}
		if err := bind(&r, before, w.groupNamed); err != nil {
			return err
		}
		if before == nil {
			w.note("rule", nil, r)
		} else {
			w.note("rule", *before, r)
		}
		w.config, w.everyone[site] = true, true
		return w.tx.PutRule(r)
	})
	return r, err
}

// DeleteRule removes a rule. When it was the last, the property is frozen.
func (s *Service) DeleteRule(ctx context.Context, by Actor, org, site, id string) error {
	return s.update(ctx, org, act{by: by, what: "delete rule", object: id}, func(w *work) error {
		if _, err := property(w.tx, org, site); err != nil {
			return err
		}
		w.note("rule", id, nil)
		w.config, w.everyone[site] = true, true
		return w.tx.DeleteRule(site, id)
	})
}

// OrderRules sets the priority of all rules of a property: ids names each of
// them once, the first to be asked first.
func (s *Service) OrderRules(ctx context.Context, by Actor, org, site string, ids []string) ([]Rule, error) {
	var ordered []Rule
	err := s.update(ctx, org, act{by: by, what: "order rules", object: site}, func(w *work) error {
		ordered = nil
		if _, err := property(w.tx, org, site); err != nil {
			return err
		}
		rules, err := w.tx.Rules(site)
		if err != nil {
			return err
		}
		var before []string
		for _, r := range rules {
			before = append(before, r.ID)
		}
		if len(ids) != len(rules) {
			return invalid("ids", "got %d, want each of the %d rules once", len(ids), len(rules))
		}
		for i, id := range ids {
			at := slices.IndexFunc(rules, func(r Rule) bool { return r.ID == id })
			if at < 0 || slices.Contains(ids[:i], id) {
				return invalid("ids", "%.64q is no rule of the property, or named twice", id)
			}
			r := rules[at]
			r.Position = i + 1
			if err := w.tx.PutRule(r); err != nil {
				return err
			}
			ordered = append(ordered, r)
		}
		w.note("order", before, ids)
		w.config, w.everyone[site] = true, true
		return nil
	})
	return ordered, err
}

// DirectoryGroups lists the groups that the directory provisioned.
func (s *Service) DirectoryGroups(ctx context.Context, org string) ([]DirectoryGroup, error) {
	var all []DirectoryGroup
	err := s.store.View(ctx, func(tx Tx) error {
		rows, err := tx.FindGroups(find(org, nil), 0, -1)
		if err != nil {
			return err
		}
		for _, g := range rows {
			n, err := tx.CountMembers(g.ID)
			if err != nil {
				return err
			}
			all = append(all, DirectoryGroup{ID: g.ID, DisplayName: g.DisplayName, ExternalID: g.ExternalID, Members: n})
		}
		return nil
	})
	return all, err
}

// Audit lists what was done, newest first; before is the id of the last entry
// seen, empty for the newest; limit is 1 to 1000, 0 is 100.
func (s *Service) Audit(ctx context.Context, org, before string, limit int) (all []AuditEntry, err error) {
	if limit < 1 {
		limit = 100
	}
	err = s.store.View(ctx, func(tx Tx) error {
		if _, err := tx.Org(org); err != nil {
			return err
		}
		all, err = tx.Audit(org, before, min(limit, 1000))
		return err
	})
	return all, err
}
