package cloud

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"
)

// The roles at the admin's pages. A viewer sees, an admin changes, an owner
// also decides who gets in.
const (
	PageOwner  = "owner"
	PageAdmin  = "admin"
	PageViewer = "viewer"
)

// An Administrator is somebody whom an organisation lets into the admin's
// pages by name, whatever its rules say.
type Administrator struct {
	Email string    `json:"email"` // folded
	Role  string    `json:"role"`  // PageOwner, PageAdmin or PageViewer
	Made  time.Time `json:"made"`
	By    Actor     `json:"by"`
	// Subject is what the sign-in provider calls the account that came with this
	// address first: no other account may come with it. Empty before the first
	// sign-in, and after the provider was changed.
	Subject string `json:"subject,omitempty"`
}

// FoldAddress is an e-mail address as administrators are found by it: *Invalid
// where it is none, or where small letters would make it somebody else's.
func FoldAddress(email string) (string, error) {
	name, domain, _ := strings.Cut(email, "@")
	odd := func(r rune) bool {
		return r <= ' ' || r == 0x7f || r == utf8.RuneError || strings.ContainsRune(`<>"',;:\/()[]`, r)
	}
	if name == "" || domain == "" || len(email) > 254 || strings.Contains(domain, "@") || strings.ContainsFunc(email, odd) {
		return "", invalid("email", "got %.80q, want an address such as ann@example.com", email)
	}
	ascii := strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, email)
	if fold(email) != ascii { // such as the Kelvin sign, whose small letter is k
		return "", invalid("email", "got %.80q, want an address without capital letters beyond A to Z", email)
	}
	return ascii, nil
}

// Administrators are those whom an organisation names, by address.
func (s *Service) Administrators(ctx context.Context, org string) (all []Administrator, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		if _, err := tx.Org(org); err != nil {
			return err
		}
		all, err = tx.Administrators(org)
		return err
	})
	return all, err
}

// PutAdministrator names an administrator or gives one another role, which ends
// their sessions. The last owner stays one. *Invalid, ErrNotFound.
func (s *Service) PutAdministrator(ctx context.Context, by Actor, org, email, role string) (Administrator, error) {
	email, err := FoldAddress(email)
	if err != nil {
		return Administrator{}, err
	}
	if role != PageOwner && role != PageAdmin && role != PageViewer {
		return Administrator{}, invalid("role", "got %.40q, want owner, admin or viewer", role)
	}
	var a Administrator
	err = s.update(ctx, org, act{by: by, what: "put administrator", object: email}, func(w *work) error {
		all, err := w.tx.Administrators(org)
		if err != nil {
			return err
		}
		old, known := administratorOf(all, email)
		a = Administrator{Email: email, Role: role, Made: w.now, By: by}
		switch {
		case !known:
			if err := within("email", "the organisation", "administrators", len(all)+1, s.limits.Administrators); err != nil {
				return err
			}
			w.note("role", nil, role)
		case old.Role == role:
			a = old
			return nil
		default:
			a.Made, a.By, a.Subject = old.Made, old.By, old.Subject
			w.note("role", old.Role, role)
			if err := keepAnOwner(all, old); err != nil {
				return err
			}
		}
		if err := w.tx.DeleteSessions(org, email); err != nil {
			return err
		}
		return w.tx.PutAdministrator(org, a)
	})
	return a, err
}

// DeleteAdministrator ends what an address may do by name, and its sessions. It
// may still come in by a rule. The last owner stays. ErrNotFound, *Invalid.
func (s *Service) DeleteAdministrator(ctx context.Context, by Actor, org, email string) error {
	email, err := FoldAddress(email)
	if err != nil {
		return err
	}
	return s.update(ctx, org, act{by: by, what: "delete administrator", object: email}, func(w *work) error {
		all, err := w.tx.Administrators(org)
		if err != nil {
			return err
		}
		old, known := administratorOf(all, email)
		if !known {
			return ErrNotFound
		}
		w.note("role", old.Role, nil)
		if err := keepAnOwner(all, old); err != nil {
			return err
		}
		return errors.Join(w.tx.DeleteSessions(org, email), w.tx.DeleteAdministrator(org, email))
	})
}

func administratorOf(all []Administrator, email string) (Administrator, bool) {
	for _, a := range all {
		if a.Email == email {
			return a, true
		}
	}
	return Administrator{}, false
}

// keepAnOwner refuses to lose the only owner. Whoever could do that by mistake
// could not mend it at the pages.
func keepAnOwner(all []Administrator, leaves Administrator) error {
	if leaves.Role != PageOwner {
		return nil
	}
	for _, a := range all {
		if a.Role == PageOwner && a.Email != leaves.Email {
			return nil
		}
	}
	return invalid("role", "%s is the last owner; make somebody else an owner first", leaves.Email)
}

// A standing is what whoever has an address may do at the pages now.
type standing struct {
	role    string // empty: nothing
	subject string // of the named administrator; empty: any
	name    string // of the person in the directory; may be empty
	person  string // id in the directory; empty where it knows nobody active, or several
	changes int64  // of the person's role, state and address
}

// standingOf works out what email may do: what the organisation says of it by
// name, else what its rules make of the person (REQUIREMENTS R2). Somebody whom
// the directory knows and has disabled may do nothing, named or not.
func standingOf(tx Tx, org, email string) (st standing, err error) {
	row, out, err := signedIn(tx, org, email)
	switch {
	case err == nil:
		st.person, st.name, st.changes = row.ID, row.Name, row.RoleChanges
	case !errors.Is(err, ErrNotFound):
		return st, err
	}
	if out {
		return st, nil
	}
	a, err := tx.Administrator(org, email)
	if err == nil {
		st.role, st.subject = a.Role, a.Subject
		return st, nil
	}
	if !errors.Is(err, ErrNotFound) || st.person == "" {
		return st, ignore(err, ErrNotFound)
	}
	outcomes, err := tx.Outcomes([]string{st.person})
	for _, o := range outcomes {
		if o.Role == RoleAdmin {
			st.role = PageAdmin
		}
	}
	return st, err
}

// ignore is err unless it is expected.
func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}
