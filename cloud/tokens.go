package cloud

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"time"
)

// tokenPrefix lets people and secret scanners tell what a token is.
const tokenPrefix = "latchkey_scim_"

// MaxOverlap is how long a token that was replaced may go on.
const MaxOverlap = 30 * 24 * time.Hour

// good says whether a token that expires then opens anything now.
func good(expires, now time.Time) bool { return expires.IsZero() || now.Before(expires) }

// newSecret makes a token's secret.
func newSecret() string {
	var random [32]byte
	rand.Read(random[:]) // never fails
	return tokenPrefix + base64.RawURLEncoding.EncodeToString(random[:])
}

// CreateToken makes a SCIM token. The secret is returned here and nowhere
// else: only its hash is kept. Older tokens go on until they are deleted, so
// that a token can be replaced without a gap.
func (s *Service) CreateToken(ctx context.Context, by Actor, org, label string) (t Token, secret string, err error) {
	if err := checkLabel("label", label); err != nil {
		return Token{}, "", err
	}
	secret = newSecret()
	err = s.update(ctx, org, act{by: by, what: "create token", name: label}, func(w *work) error {
		if err := w.roomForToken(); err != nil {
			return err
		}
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

func (w *work) roomForToken() error {
	all, err := w.tx.Tokens(w.org.ID)
	if err != nil {
		return err
	}
	return within("token", "the organisation", "tokens, ended ones among them", len(all)+1, w.s.limits.Tokens)
}

// RotateToken makes a token in place of another: both are good for the time of
// overlap, 0 to MaxOverlap, and then the new one alone. A token that is to end
// sooner already still does. ErrNotFound, *Invalid.
func (s *Service) RotateToken(ctx context.Context, by Actor, org, id string, overlap time.Duration) (t Token, secret string, err error) {
	if overlap < 0 || overlap > MaxOverlap {
		return Token{}, "", invalid("overlap", "got %v, want 0 to %v", overlap, MaxOverlap)
	}
	secret = newSecret()
	err = s.update(ctx, org, act{by: by, what: "rotate token", object: id}, func(w *work) error {
		old, err := w.tx.Token(org, id)
		if err != nil {
			return err
		}
		if !good(old.Expires, w.now) {
			return invalid("id", "the token has ended; make a new one")
		}
		w.act.name = old.Label
		if err := w.roomForToken(); err != nil {
			return err
		}
		ends := w.now.Add(overlap)
		if old.Expires.IsZero() || ends.Before(old.Expires) {
			w.note("expires", old.Expires, ends)
			if err := w.tx.ExpireToken(org, id, ends); err != nil {
				return err
			}
		}
		t = Token{ID: s.newID(w.now), Org: org, Label: old.Label, Created: w.now}
		w.note("token", id, t.ID)
		return w.tx.PutToken(t, sha256.Sum256([]byte(secret)))
	})
	if err != nil {
		return Token{}, "", err
	}
	return t, secret, nil
}

// Tokens lists an organisation's tokens, without their secrets, those that have
// ended too. When one was used last is known to within some seconds.
func (s *Service) Tokens(ctx context.Context, org string) (all []Token, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		if _, err := tx.Org(org); err != nil {
			return err
		}
		all, err = tx.Tokens(org)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.journal.peek(org, func(p *pages) {
		for i := range all {
			if use, ok := p.tokens[all[i].ID]; ok {
				all[i].LastUsed, all[i].LastClient = use.At, use.Client
			}
		}
	})
	return all, nil
}

// DeleteToken ends a token at once: ErrNotFound.
func (s *Service) DeleteToken(ctx context.Context, by Actor, org, id string) error {
	return s.update(ctx, org, act{by: by, what: "delete token", object: id}, func(w *work) error {
		w.note("token", id, nil)
		return w.tx.DeleteToken(org, id)
	})
}
