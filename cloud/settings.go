package cloud

import (
	"context"
	"errors"
)

// Setting is a document that a part of the cloud keeps for an organisation:
// ErrNotFound.
func (s *Service) Setting(ctx context.Context, org, name string) (doc []byte, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		if _, err := tx.Org(org); err != nil {
			return err
		}
		doc, err = tx.Setting(org, name)
		return err
	})
	return doc, err
}

// SettingOrgs are the organisations that have a document of that name, by id.
func (s *Service) SettingOrgs(ctx context.Context, name string) (orgs []string, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		orgs, err = tx.SettingOrgs(name)
		return err
	})
	return orgs, err
}

// KeepSetting stores a document of what goes on, which is no act of anybody's.
func (s *Service) KeepSetting(ctx context.Context, org, name string, doc []byte) error {
	return s.store.Update(ctx, func(tx Tx) error { return tx.PutSetting(org, name, doc) })
}

// SwapSetting is KeepSetting where the document is old still, nil for none; ok
// says whether it was. A doc of nil removes it.
func (s *Service) SwapSetting(ctx context.Context, org, name string, old, doc []byte) (ok bool, err error) {
	err = s.store.Update(ctx, func(tx Tx) error {
		now, err := tx.Setting(org, name)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if ok = string(now) == string(old); !ok {
			return nil
		}
		if doc == nil {
			return tx.DeleteSetting(org, name)
		}
		return tx.PutSetting(org, name, doc)
	})
	return ok, err
}

// PutSetting stores a document as an act of by's, nil removes it: changes is
// what the audit trail says of it, without secrets. ErrNotFound where there is
// no such organisation.
func (s *Service) PutSetting(ctx context.Context, by Actor, org, name, what string, doc []byte, changes map[string]Change) error {
	return s.update(ctx, org, act{by: by, what: what, object: name}, func(w *work) error {
		for field, c := range changes {
			w.note(field, c.Before, c.After)
		}
		if doc == nil {
			return w.tx.DeleteSetting(org, name)
		}
		return w.tx.PutSetting(org, name, doc)
	})
}
