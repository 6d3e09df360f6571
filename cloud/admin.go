package cloud

import (
	"cmp"
	"context"
	"errors"
	"slices"
)

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
// next request already. RemovalKeep keeps the cards too whose removal is held.
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
		return errors.Join(w.tx.PutOrg(o), w.keepHeld())
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
		if before == nil {
			if err := within("id", "the organisation", "badge types", len(types)+1, s.limits.BadgeTypes); err != nil {
				return err
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

// DirectoryGroups lists the groups that the directory provisioned.
func (s *Service) DirectoryGroups(ctx context.Context, org string) ([]DirectoryGroup, error) {
	var all []DirectoryGroup
	err := s.store.View(ctx, func(tx Tx) error {
		all = nil
		rows, err := tx.FindGroups(find(org, nil), 0, -1)
		if err != nil {
			return err
		}
		members, err := tx.MemberCounts(org)
		if err != nil {
			return err
		}
		for _, g := range rows {
			all = append(all, DirectoryGroup{ID: g.ID, DisplayName: g.DisplayName, ExternalID: g.ExternalID, Members: members[g.ID]})
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
