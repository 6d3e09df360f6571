package cloud

import (
	"context"
	"crypto/sha256"
	"errors"
	"strconv"
	"strings"
	"time"
)

// A Caller is a directory that showed its token.
type Caller struct {
	Org     string
	Token   string // the token's id; empty where the cloud itself reads the directory
	Client  string // User-Agent; set by the HTTP layer
	Profile Profile
}

func (c Caller) actor() Actor {
	if c.Token == "" {
		return "directory"
	}
	return Actor("directory, token " + c.Token)
}

// directory is update for what a directory asks. Between showing its token and
// here a request may have taken as long as its body took to come in: what was
// switched off or deleted meanwhile changes nothing any more (REQUIREMENTS D1).
func (s *Service) directory(ctx context.Context, c Caller, a act, f func(*work) error) error {
	a.by = c.actor()
	s.begin(ctx, c.Org)
	return s.update(ctx, c.Org, a, func(w *work) error {
		w.guarded = guardDirectory
		if c.Token == "" { // not SCIM: the cloud itself reads a directory
			if err := s.leases.check(w.tx, PullLease(c.Org)); err != nil {
				return err
			}
			return f(w)
		}
		if !w.org.SCIMEnabled {
			return ErrSCIMDisabled
		}
		switch token, err := w.tx.Token(c.Org, c.Token); {
		case errors.Is(err, ErrNotFound), err == nil && !good(token.Expires, w.now):
			return ErrToken
		case err != nil:
			return err
		}
		return f(w)
	})
}

// A User is a person as SCIM sees one.
type User struct {
	ID string
	// Doc is the SCIM document as it is stored: JSON as encoding/json writes a
	// map[string]any, names in canonical spelling, extension URNs as names of
	// objects, without id, meta, schemas, groups and password. It is not to be
	// changed.
	Doc               []byte
	Groups            []Member // that the user is a direct member of, by id
	Created, Modified time.Time
	Version           int64
}

// Attrs reads the document. Numbers in it are json.Number.
func (u User) Attrs() (map[string]any, error) { return decodeAttrs(u.Doc) }

// Resource is the user as a Query sees one.
func (u User) Resource() (Resource, error) {
	attrs, err := u.Attrs()
	return Resource{ID: u.ID, Attrs: attrs, Created: u.Created, Modified: u.Modified, Version: u.Version}, err
}

// A Group is a directory group as SCIM sees one; Members counts its members.
type Group struct {
	ID                string
	Attrs             map[string]any
	Members           int
	Created, Modified time.Time
	Version           int64
}

// A Member is one member of a group, or one group of a member.
type Member struct{ Value, Display string }

// ETag is the entity tag of a version, W/"7".
func ETag(version int64) string { return `W/"` + strconv.FormatInt(version, 10) + `"` }

// checkVersion compares an If-Match header with the version that is; the empty
// header and "*" match any.
func checkVersion(ifMatch string, version int64) error {
	if ifMatch == "" {
		return nil
	}
	for tag := range strings.SplitSeq(ifMatch, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || tag == ETag(version) || tag == strings.TrimPrefix(ETag(version), "W/") {
			return nil
		}
	}
	return ErrPrecondition
}

// Authenticate finds the organisation that a bearer token belongs to. Only
// hashes are kept, and the hash is what is looked up, so the time that it
// takes says nothing about any token (REQUIREMENTS D1). ErrToken where there is
// none, ErrSCIMDisabled where the organisation has switched SCIM off.
func (s *Service) Authenticate(ctx context.Context, bearer string) (Caller, error) {
	if bearer == "" || len(bearer) > 512 {
		return Caller{}, ErrToken
	}
	b, err := s.store.Bearer(ctx, sha256.Sum256([]byte(bearer)))
	switch {
	case errors.Is(err, ErrNotFound), err == nil && !good(b.Expires, s.now()):
		return Caller{}, ErrToken
	case err != nil:
		return Caller{}, err
	case !b.SCIMEnabled:
		return Caller{}, ErrSCIMDisabled
	}
	s.begin(ctx, b.Org)
	return Caller{Org: b.Org, Token: b.Token, Profile: b.Profile}, nil
}
