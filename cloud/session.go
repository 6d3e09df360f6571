package cloud

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"time"
)

// How long a session at the admin's pages lasts.
const (
	SessionIdle        = time.Hour      // without a request
	SessionLongest     = 12 * time.Hour // of an account
	CodeSessionLongest = 8 * time.Hour  // by a sign-in code
)

// clocksApart is how far the clocks of processes at one database may be from
// one another. What seems to be from later than that, the clock has gone back
// over, and nobody knows how much longer it would last.
const clocksApart = 5 * time.Minute

// seenEvery is how often a session's last request is written at most.
const seenEvery = time.Minute

// What ends in a sign-in that did not work.
var (
	// ErrSignedOut says that there is no such session, or that it is over.
	ErrSignedOut = errors.New("cloud: signed out")
	// ErrNotAdministrator says that the account may do nothing at the pages.
	ErrNotAdministrator = errors.New("cloud: the account is not an administrator of the organisation")
	// ErrOtherAccount says that the address belongs to another account of the
	// provider's than the one that came with it first.
	ErrOtherAccount = errors.New("cloud: the address came with another account before")
)

// A Session is somebody at the admin's pages. Its secret is with the browser,
// and only its hash is kept.
type Session struct {
	Org     string
	Email   string // folded; empty for who came by a code
	Name    string // for people; may be empty
	Role    string // PageOwner, PageAdmin or PageViewer
	Code    string // label of the code that it began by; empty for an account
	Person  string // id in the directory when it began; may be empty
	Changes int64  // of that person then
	Began   time.Time
	Seen    time.Time // last request, to the minute
	Ends    time.Time // whatever happens
}

// Until is when the session ends if nothing comes any more.
func (s *Session) Until() time.Time {
	if idle := s.Seen.Add(SessionIdle); idle.Before(s.Ends) {
		return idle
	}
	return s.Ends
}

// Actor is who acts in the session, in the audit trail.
func (s *Session) Actor() Actor {
	if s.Code != "" {
		return Actor("sign-in code " + s.Code + " (" + s.Role + ")")
	}
	return Actor(s.Email + " (" + s.Role + ")")
}

// still says whether what the session began with is so now.
func (s *Session) still(now standing) bool {
	return now.role == s.Role && (s.Person == "" || now.person == s.Person && now.changes == s.Changes)
}

// An Account is somebody whom an organisation's sign-in provider vouches for.
type Account struct {
	Email   string
	Name    string // for people; may be empty
	Subject string // what the provider calls the account for ever
	// Connection is the setting (SettingSignIn) by which the account came. Where
	// it has been changed since, the account does not get in.
	Connection []byte
}

// SettingSignIn is the setting that says how an organisation's own accounts
// sign in.
const SettingSignIn = "sign-in"

func newSessionSecret() string {
	var random [32]byte
	rand.Read(random[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(random[:])
}

// SignIn begins a session for an account: ErrNotAdministrator, ErrOtherAccount,
// ErrChanged where the provider was changed meanwhile, *Invalid where the
// address is none. Refusals are in the audit trail.
func (s *Service) SignIn(ctx context.Context, org string, a Account) (secret string, session Session, err error) {
	email, err := FoldAddress(a.Email)
	if err != nil {
		return "", Session{}, err
	}
	secret = newSessionSecret()
	err = s.update(ctx, org, act{by: Actor(email), what: "sign in", object: email}, func(w *work) error {
		if doc, err := w.tx.Setting(org, SettingSignIn); err != nil || string(doc) != string(a.Connection) {
			return cmp.Or(ignore(err, ErrNotFound), ErrChanged)
		}
		st, err := standingOf(w.tx, org, email)
		switch {
		case err != nil:
			return err
		case st.role == "":
			return ErrNotAdministrator
		case st.subject != "" && st.subject != a.Subject:
			return ErrOtherAccount
		}
		if err := w.pin(email, a.Subject); err != nil {
			return err
		}
		session = Session{Org: org, Email: email, Name: st.name, Role: st.role, Person: st.person, Changes: st.changes, Began: w.now, Ends: w.now.Add(SessionLongest)}
		if a.Name != "" && checkLabel("name", a.Name) == nil {
			session.Name = a.Name
		}
		w.note("role", nil, session.Role)
		return w.beginSession(secret, &session)
	})
	if err != nil {
		return "", Session{}, err
	}
	return secret, session, nil
}

// pin ties a named administrator to the account that came with the address.
func (w *work) pin(email, subject string) error {
	a, err := w.tx.Administrator(w.org.ID, email)
	if err != nil || a.Subject != "" {
		return ignore(err, ErrNotFound)
	}
	a.Subject = subject
	return w.tx.PutAdministrator(w.org.ID, a)
}

// beginSession stores a new session, and forgets those that are over.
func (w *work) beginSession(secret string, session *Session) error {
	session.Seen = w.now
	if err := w.tx.DropSessions(w.now); err != nil {
		return err
	}
	return w.tx.PutSession(sha256.Sum256([]byte(secret)), *session)
}

// RefuseSignIn records that an account was refused before SignIn could be
// asked, and why. who is the account as far as it is known.
func (s *Service) RefuseSignIn(ctx context.Context, org string, who Actor, why string) error {
	err := s.update(ctx, org, act{by: who, what: "sign in", object: string(who)}, func(*work) error { return invalid("sign-in", "%s", why) })
	if _, recorded := errors.AsType[*Invalid](err); recorded {
		return nil
	}
	return err
}

// Session is the session that a secret opens: ErrSignedOut where there is none,
// where it is over, or where what somebody may do is not what it was.
func (s *Service) Session(ctx context.Context, secret string) (session Session, err error) {
	hash, now := sha256.Sum256([]byte(secret)), stamp(s.now())
	err = s.store.View(ctx, func(tx Tx) error {
		if session, err = tx.Session(hash); err != nil {
			return cmp.Or(ignore(err, ErrNotFound), ErrSignedOut)
		}
		if !now.Before(session.Until()) || session.Seen.After(now.Add(clocksApart)) {
			return ErrSignedOut
		}
		if session.Email == "" {
			return nil
		}
		st, err := standingOf(tx, session.Org, session.Email)
		if err == nil && !session.still(st) {
			return ErrSignedOut
		}
		return err
	})
	if err != nil {
		return Session{}, err
	}
	if now.Sub(session.Seen) >= seenEvery {
		session.Seen = now
		if err := s.store.Update(ctx, func(tx Tx) error { return tx.TouchSession(hash, session.Seen, session.Until()) }); err != nil {
			return Session{}, err
		}
	}
	return session, nil
}

// SignOut ends the session that a secret opens; none is no error.
func (s *Service) SignOut(ctx context.Context, secret string) error {
	session, err := s.Session(ctx, secret)
	if err != nil {
		return ignore(err, ErrSignedOut)
	}
	return s.update(ctx, session.Org, act{by: session.Actor(), what: "sign out"}, func(w *work) error {
		w.note("session", session.Began, nil)
		return w.tx.DeleteSession(sha256.Sum256([]byte(secret)))
	})
}

// EndSessions signs everybody out of an organisation's pages, those who came by
// codes too, and codes that were not used yet are worth nothing. ErrNotFound.
func (s *Service) EndSessions(ctx context.Context, by Actor, org string) error {
	return s.update(ctx, org, act{by: by, what: "end all sessions"}, func(w *work) error {
		w.note("sessions", "all", nil)
		return errors.Join(w.tx.DeleteSessions(org, ""), w.tx.DeleteCodeSessions(org), w.tx.DeleteSignInCodes(org))
	})
}

// PutSignIn stores how an organisation's own accounts sign in, nil that they do
// not. changes is what the audit trail says of it, without secrets. Where it is
// another provider, the sessions of its accounts end, and administrators are
// tied to no account any more. ErrNotFound.
func (s *Service) PutSignIn(ctx context.Context, by Actor, org, what string, doc []byte, other bool, changes map[string]Change) error {
	return s.update(ctx, org, act{by: by, what: what, object: SettingSignIn}, func(w *work) error {
		for field, c := range changes {
			w.note(field, c.Before, c.After)
		}
		if other {
			if err := errors.Join(w.tx.DeleteSessions(org, ""), w.tx.UnpinAdministrators(org)); err != nil {
				return err
			}
		}
		if doc == nil {
			return w.tx.DeleteSetting(org, SettingSignIn)
		}
		return w.tx.PutSetting(org, SettingSignIn, doc)
	})
}
