package okta

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"latchkey/cloud"
)

// A connection is how an organisation's Okta is read, as it is stored.
type connection struct {
	Settings
	Sealed   []byte      `json:"sealed_token"`
	TokenSet time.Time   `json:"token_set"`
	Hook     [32]byte    `json:"hook"` // SHA-256 of the secret that event hooks show
	By       cloud.Actor `json:"by"`

	doc string // as it is stored
}

// connection is what is stored of org's connection: cloud.ErrNotFound.
func (s *Service) connection(ctx context.Context, org string) (c connection, err error) {
	doc, err := s.cloud.Setting(ctx, org, settingName)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(doc, &c); err != nil {
		return c, fmt.Errorf("okta: stored connection of %s: %w", org, err)
	}
	c.doc = string(doc)
	return c, nil
}

// A Request makes or changes a connection. An empty Token keeps the one that is
// there.
type Request struct {
	Settings
	Token string
}

// Set makes or changes org's connection, once Okta has taken the token. Another
// domain starts anew: it is read and held until it is confirmed. hook is the
// secret for event hooks, shown this once, where it was made now. *cloud.Invalid
// where Okta refuses, cloud.ErrNotFound.
func (s *Service) Set(ctx context.Context, by cloud.Actor, org string, q Request) (hook string, err error) {
	s.setting.Lock()
	defer s.setting.Unlock()
	old, err := s.connection(ctx, org)
	if err != nil && !errors.Is(err, cloud.ErrNotFound) {
		return "", err
	}
	known := err == nil
	if _, err := s.cloud.Org(ctx, org); err != nil {
		return "", err
	}
	set, err := q.complete()
	if err != nil {
		return "", err
	}
	conn := connection{Settings: set, Sealed: old.Sealed, TokenSet: old.TokenSet, Hook: old.Hook, By: by}
	token, err := s.token(org, q, old, known && old.Domain == set.Domain)
	if err != nil {
		return "", err
	}
	if err := s.try(ctx, set, token); err != nil {
		return "", err
	}
	if q.Token != "" {
		conn.Sealed, conn.TokenSet = s.sealToken(token, org, set.Domain), s.o.Now().UTC()
	}
	if !known {
		hook = newSecret()
		conn.Hook = sha256.Sum256([]byte(hook))
	}
	defer s.replace(org)
	s.retire(org)
	if !known || old.Domain != set.Domain {
		if err := s.cloud.PutSetting(ctx, by, org, stateName, "start reading Okta", []byte("{}"), nil); err != nil {
			return "", err
		}
	}
	doc, err := json.Marshal(conn)
	if err != nil {
		return "", err
	}
	if err := s.cloud.PutSetting(ctx, by, org, settingName, "set Okta connection", doc, changes(old, conn, q.Token != "")); err != nil {
		return "", err
	}
	return hook, nil
}

// token is the token to use: the one of q, or the one that is stored for the
// same domain.
func (s *Service) token(org string, q Request, old connection, same bool) (Token, error) {
	switch {
	case q.Token != "":
		token, err := ParseToken(q.Token)
		if err != nil {
			return "", invalid("token", err)
		}
		return token, nil
	case !same:
		return "", invalid("token", errors.New("is required for a new domain"))
	}
	return s.openToken(old.Sealed, org, old.Domain)
}

// changes is what the audit trail says of a changed connection.
func changes(old, next connection, token bool) map[string]cloud.Change {
	all := map[string]cloud.Change{"domain": {Before: old.Domain, After: next.Domain}}
	if token {
		all["token"] = cloud.Change{After: "a new one"}
	}
	if !slices.Equal(old.Valid, next.Valid) {
		all["valid"] = cloud.Change{Before: old.Valid, After: next.Valid}
	}
	for name, pair := range map[string][2]string{
		"poll": {old.Poll.String(), next.Poll.String()}, "delta": {old.Delta.String(), next.Delta.String()}, "reconcile": {old.Reconcile.String(), next.Reconcile.String()},
		"card_attribute": {old.CardAttr, next.CardAttr}, "kind_attribute": {old.KindAttr, next.KindAttr},
	} {
		if pair[0] != pair[1] {
			all[name] = cloud.Change{Before: pair[0], After: pair[1]}
		}
	}
	return all
}

// tryTimeout is how long an administrator waits for Okta at most.
const tryTimeout = 15 * time.Second

// try asks Okta for one group, so that a wrong domain or token is told at once.
func (s *Service) try(ctx context.Context, set Settings, token Token) error {
	client, err := NewClient(ClientConfig{Domain: set.Domain, Token: token, Transport: s.o.Transport, Log: s.o.Log})
	if err != nil {
		return invalid("domain", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, tryTimeout, fmt.Errorf("no answer within %s", tryTimeout))
	defer cancel()
	if err := client.try(ctx); err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("okta: %s: %w", set.Domain, cmp.Or(context.Cause(ctx), err))
		}
		return invalid("token", err)
	}
	return nil
}

// retire ends the reader of org, if there is one.
func (s *Service) retire(org string) {
	if r := s.reader(org); r != nil {
		r.retire()
	}
}

// replace lets Run make a new reader for org.
func (s *Service) replace(org string) {
	s.mu.Lock()
	delete(s.readers, org)
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default: // one waits already
	}
}

// Off ends the reading of org's Okta and forgets the token. People and groups
// stay as they are; giveBack lets those in again whom the reading had locked
// out though another directory says they are active. It returns how many.
func (s *Service) Off(ctx context.Context, by cloud.Actor, org string, giveBack bool) (released int, err error) {
	s.setting.Lock()
	defer s.setting.Unlock()
	conn, err := s.connection(ctx, org)
	if err != nil {
		return 0, err
	}
	defer s.replace(org)
	s.retire(org)
	if err := s.cloud.PutSetting(ctx, by, org, settingName, "stop reading Okta", nil, map[string]cloud.Change{"domain": {Before: conn.Domain}}); err != nil {
		return 0, err
	}
	for _, name := range []string{stateName, calledName} {
		if err := s.cloud.PutSetting(ctx, by, org, name, "stop reading Okta", nil, nil); err != nil {
			return 0, err
		}
	}
	return s.cloud.ReleasePulled(ctx, by, org, giveBack)
}
