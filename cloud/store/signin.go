package store

import (
	"time"

	"latchkey/cloud"
)

// Who is at the admin's pages.

const administratorColumns = `email, role, made, made_by, subject`

func scanAdministrator(s scanner) (a cloud.Administrator, err error) {
	var made int64
	var by string
	err = s.Scan(&a.Email, &a.Role, &made, &by, &a.Subject)
	a.Made, a.By = moment(made), cloud.Actor(by)
	return a, err
}

func (t *tx) Administrator(org, email string) (cloud.Administrator, error) {
	return one(t, scanAdministrator, `SELECT `+administratorColumns+` FROM administrator WHERE org = $1 AND email = $2`, org, email)
}

func (t *tx) Administrators(org string) ([]cloud.Administrator, error) {
	return all(t, scanAdministrator, `SELECT `+administratorColumns+` FROM administrator WHERE org = $1 ORDER BY email`, org)
}

func (t *tx) PutAdministrator(org string, a cloud.Administrator) error {
	return t.do(`INSERT INTO administrator (org, `+administratorColumns+`) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (org, email) DO UPDATE SET role = excluded.role, made = excluded.made, made_by = excluded.made_by, subject = excluded.subject`,
		org, a.Email, a.Role, millis(a.Made), string(a.By), a.Subject)
}

func (t *tx) DeleteAdministrator(org, email string) error {
	return t.must(`DELETE FROM administrator WHERE org = $1 AND email = $2`, org, email)
}

func (t *tx) UnpinAdministrators(org string) error {
	return t.do(`UPDATE administrator SET subject = '' WHERE org = $1`, org)
}

const codeColumns = `org, label, made, made_by, expires, used`

func scanCode(s scanner) (c cloud.SignInCode, err error) {
	var made, expires, used int64
	var by string
	err = s.Scan(&c.Org, &c.Label, &made, &by, &expires, &used)
	c.Made, c.By, c.Expires, c.Used = moment(made), cloud.Actor(by), moment(expires), moment(used)
	return c, err
}

func (t *tx) SignInCode(hash [32]byte) (cloud.SignInCode, error) {
	return one(t, scanCode, `SELECT `+codeColumns+` FROM sign_in_code WHERE hash = $1`, hash[:])
}

func (t *tx) PutSignInCode(hash [32]byte, c cloud.SignInCode) error {
	return t.do(`INSERT INTO sign_in_code (hash, `+codeColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (hash) DO UPDATE SET used = excluded.used`,
		hash[:], c.Org, c.Label, millis(c.Made), string(c.By), millis(c.Expires), millis(c.Used))
}

func (t *tx) DeleteSignInCodes(org string) error {
	return t.do(`DELETE FROM sign_in_code WHERE org = $1`, org)
}

func (t *tx) DropSignInCodes(expired time.Time) error {
	return t.do(`DELETE FROM sign_in_code WHERE expires <= $1`, millis(expired))
}

const sessionColumns = `org, email, name, role, code, person, changes, began, seen, ends`

func scanSession(s scanner) (v cloud.Session, err error) {
	var began, seen, ends int64
	err = s.Scan(&v.Org, &v.Email, &v.Name, &v.Role, &v.Code, &v.Person, &v.Changes, &began, &seen, &ends)
	v.Began, v.Seen, v.Ends = moment(began), moment(seen), moment(ends)
	return v, err
}

func (t *tx) Session(hash [32]byte) (cloud.Session, error) {
	return one(t, scanSession, `SELECT `+sessionColumns+` FROM session WHERE hash = $1`, hash[:])
}

func (t *tx) PutSession(hash [32]byte, v cloud.Session) error {
	return t.do(`INSERT INTO session (hash, `+sessionColumns+`, until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		hash[:], v.Org, v.Email, v.Name, v.Role, v.Code, v.Person, v.Changes, millis(v.Began), millis(v.Seen), millis(v.Ends), millis(v.Until()))
}

func (t *tx) TouchSession(hash [32]byte, seen, until time.Time) error {
	return t.do(`UPDATE session SET seen = $1, until = $2 WHERE hash = $3`, millis(seen), millis(until), hash[:])
}

func (t *tx) DeleteSession(hash [32]byte) error {
	return t.do(`DELETE FROM session WHERE hash = $1`, hash[:])
}

func (t *tx) DeleteSessions(org, email string) error {
	if email == "" {
		return t.do(`DELETE FROM session WHERE org = $1 AND email > ''`, org)
	}
	return t.do(`DELETE FROM session WHERE org = $1 AND email = $2`, org, email)
}

func (t *tx) DeleteCodeSessions(org string) error {
	return t.do(`DELETE FROM session WHERE org = $1 AND email = ''`, org)
}

func (t *tx) DropSessions(over time.Time) error {
	return t.do(`DELETE FROM session WHERE until <= $1`, millis(over))
}
