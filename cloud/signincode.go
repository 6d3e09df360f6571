package cloud

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"strings"
	"time"
)

// CodeGood is how long a sign-in code can be used.
const CodeGood = 15 * time.Minute

// codeKept is how long after that it is remembered, so that the audit trail can
// say whose code was tried too late.
const codeKept = 24 * time.Hour

// ErrSignInCode says that a sign-in code opens nothing: it is wrong, it has
// ended, or it was used. Which of these is nobody's business who shows it.
var ErrSignInCode = errors.New("cloud: the sign-in code opens nothing")

// A SignInCode lets its bearer in as an owner, once. The code itself is shown
// once and not kept.
type SignInCode struct {
	Org     string    `json:"org"`
	Label   string    `json:"label"` // its first group, by which people tell codes apart
	Made    time.Time `json:"made"`
	By      Actor     `json:"by"`
	Expires time.Time `json:"expires"`
	Used    time.Time `json:"used,omitzero"`
}

// good says whether the code can be used at a moment.
func (c *SignInCode) good(now time.Time) bool {
	return c.Used.IsZero() && now.Before(c.Expires) && !c.Made.After(now.Add(clocksApart))
}

// who is whoever shows the code, in the audit trail.
func (c *SignInCode) who() Actor { return Actor("sign-in code " + c.Label) }

// codeLetters are Crockford's: none looks like another. Five bits each.
const codeLetters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

const (
	codeLength = 20 // letters
	codeGroup  = 4  // letters between dashes; the first group is no secret
)

// newSignInCode makes a code: 80 secret bits behind the label.
func newSignInCode() string {
	var random [13]byte
	rand.Read(random[:]) // never fails
	text := base32.NewEncoding(codeLetters).WithPadding(base32.NoPadding).EncodeToString(random[:])[:codeLength]
	var groups []string
	for i := 0; i < codeLength; i += codeGroup {
		groups = append(groups, text[i:i+codeGroup])
	}
	return strings.Join(groups, "-")
}

// codeHash is what a code is found by, however people type it: without dashes,
// in small letters, with O for 0 and I or L for 1.
func codeHash(code string) [32]byte {
	letters := strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(strings.TrimSpace(code)))
	return sha256.Sum256([]byte(letters))
}

// MakeSignInCode makes a code for whoever is to set the organisation up, or was
// locked out. It is good once, for CodeGood. ErrNotFound.
func (s *Service) MakeSignInCode(ctx context.Context, by Actor, org string) (code string, c SignInCode, err error) {
	code = newSignInCode()
	err = s.update(ctx, org, act{by: by, what: "make sign-in code"}, func(w *work) error {
		c = SignInCode{Org: org, Label: code[:codeGroup], Made: w.now, By: by, Expires: w.now.Add(CodeGood)}
		w.act.object = c.Label
		w.note("expires", nil, c.Expires)
		if err := w.tx.DropSignInCodes(w.now.Add(-codeKept)); err != nil {
			return err
		}
		return w.tx.PutSignInCode(codeHash(code), c)
	})
	if err != nil {
		return "", SignInCode{}, err
	}
	return code, c, nil
}

// SignInByCode uses a code and begins a session as an owner of its
// organisation: ErrSignInCode. Of several who show the same code at once, one
// gets in.
func (s *Service) SignInByCode(ctx context.Context, code string) (secret string, session Session, err error) {
	hash := codeHash(code)
	var c SignInCode
	err = s.store.View(ctx, func(tx Tx) error {
		c, err = tx.SignInCode(hash)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		return "", Session{}, ErrSignInCode
	}
	if err != nil {
		return "", Session{}, err
	}
	secret = newSessionSecret()
	err = s.update(ctx, c.Org, act{by: c.who(), what: "sign in", object: c.Label}, func(w *work) error {
		c, err := w.tx.SignInCode(hash)
		if err != nil || !c.good(w.now) {
			return cmp.Or(ignore(err, ErrNotFound), ErrSignInCode)
		}
		c.Used = w.now
		if err := w.tx.PutSignInCode(hash, c); err != nil {
			return err
		}
		session = Session{Org: c.Org, Role: PageOwner, Code: c.Label, Began: w.now, Ends: w.now.Add(CodeSessionLongest)}
		w.note("role", nil, session.Role)
		return w.beginSession(secret, &session)
	})
	if err != nil {
		return "", Session{}, err
	}
	return secret, session, nil
}
