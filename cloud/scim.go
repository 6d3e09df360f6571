package cloud

import (
	"context"
	"errors"
	"strconv"
	"time"
)

// A Caller is a directory that showed its token.
type Caller struct {
	Org     string
	Token   string // the token's id
	Client  string // User-Agent; set by the HTTP layer
	Profile Profile
}

// A User is a person as SCIM sees one. Attrs is the SCIM document in canonical
// spelling, extension URNs as keys with nested maps, without id, meta,
// schemas, groups and password. Numbers in it are json.Number.
type User struct {
	ID                string
	Attrs             map[string]any
	Created, Modified time.Time
	Version           int64
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

// A Term is an equality that an index answers.
type Term struct {
	Attr  string // "id", "userName", "externalId", "emails.value", "displayName", "cardNumber", "members.value", "manager"
	Value string
}

// A Query selects users or groups: those that meet all Terms and Match, by
// creation unless SortBy says otherwise. Without Terms every resource of the
// organisation is looked at where Match or SortBy is given.
type Query struct {
	Terms      []Term
	Match      func(attrs map[string]any, id string) bool // nil takes all
	Start      int                                        // 1-based; less is 1
	Count      int                                        // below 0 is no limit; 0 gives only the total
	SortBy     string                                     // attribute path; empty is by creation
	Descending bool
}

// ETag is the entity tag of a version, W/"7".
func ETag(version int64) string { return `W/"` + strconv.FormatInt(version, 10) + `"` }

// Authenticate finds the organisation that a bearer token belongs to:
// ErrToken, ErrSCIMDisabled.
func (s *Service) Authenticate(ctx context.Context, bearer string) (Caller, error) {
	return Caller{}, errors.ErrUnsupported
}

// User returns one user: ErrNotFound.
func (s *Service) User(ctx context.Context, c Caller, id string) (User, error) {
	return User{}, errors.ErrUnsupported
}

// Users returns a page of users and how many there are in all.
func (s *Service) Users(ctx context.Context, c Caller, q Query) (page []User, total int, err error) {
	return nil, 0, errors.ErrUnsupported
}

// CreateUser stores a user: *Invalid, *Conflict.
func (s *Service) CreateUser(ctx context.Context, c Caller, attrs map[string]any) (User, error) {
	return User{}, errors.ErrUnsupported
}

// UpdateUser changes a user by edit.
func (s *Service) UpdateUser(ctx context.Context, c Caller, id, ifMatch string, replace bool, edit func(attrs map[string]any) (map[string]any, error)) (User, error) {
	return User{}, errors.ErrUnsupported
}

// DeleteUser removes a user.
func (s *Service) DeleteUser(ctx context.Context, c Caller, id, ifMatch string) error {
	return errors.ErrUnsupported
}

// Group returns one group: ErrNotFound.
func (s *Service) Group(ctx context.Context, c Caller, id string) (Group, error) {
	return Group{}, errors.ErrUnsupported
}

// Groups returns a page of groups and how many there are in all.
func (s *Service) Groups(ctx context.Context, c Caller, q Query) (page []Group, total int, err error) {
	return nil, 0, errors.ErrUnsupported
}

// CreateGroup stores a group.
func (s *Service) CreateGroup(ctx context.Context, c Caller, attrs map[string]any, members []string) (Group, error) {
	return Group{}, errors.ErrUnsupported
}

// UpdateGroup changes a group by edit, inside the transaction.
func (s *Service) UpdateGroup(ctx context.Context, c Caller, id, ifMatch string, edit func(*GroupEdit) error) (Group, error) {
	return Group{}, errors.ErrUnsupported
}

// DeleteGroup removes a group; its members stay.
func (s *Service) DeleteGroup(ctx context.Context, c Caller, id, ifMatch string) error {
	return errors.ErrUnsupported
}

// Members lists at most limit members of a group by id, those after the id
// after; limit below 1 is all.
func (s *Service) Members(ctx context.Context, c Caller, id, after string, limit int) ([]Member, error) {
	return nil, errors.ErrUnsupported
}

// GroupsOf lists the groups that a user is a direct member of.
func (s *Service) GroupsOf(ctx context.Context, c Caller, user string) ([]Member, error) {
	return nil, errors.ErrUnsupported
}

// A GroupEdit is a group inside UpdateGroup's transaction.
type GroupEdit struct {
	Attrs map[string]any
}

// Add puts members in; those that are in stay in.
func (e *GroupEdit) Add(ids ...string) error { return errors.ErrUnsupported }

// Remove takes members out; those that are not in stay out.
func (e *GroupEdit) Remove(ids ...string) error { return errors.ErrUnsupported }

// Replace makes ids the members.
func (e *GroupEdit) Replace(ids []string) error { return errors.ErrUnsupported }

// Has reports whether id is a member.
func (e *GroupEdit) Has(id string) (bool, error) { return false, errors.ErrUnsupported }

// Members lists all members.
func (e *GroupEdit) Members() ([]string, error) { return nil, errors.ErrUnsupported }
