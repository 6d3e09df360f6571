package scim

import (
	"context"

	"latchkey/cloud"
)

// A Directory keeps the users and groups of organisations; *cloud.Service is
// one. Each method is one transaction, and what it did is durable when it
// returns (REQUIREMENTS D11).
type Directory interface {
	// Authenticate finds the organisation that a bearer token opens:
	// cloud.ErrToken, cloud.ErrSCIMDisabled.
	Authenticate(ctx context.Context, bearer string) (cloud.Caller, error)

	// User is one user, with Groups if groups says so.
	User(ctx context.Context, c cloud.Caller, id string, groups bool) (cloud.User, error)
	Users(ctx context.Context, c cloud.Caller, q cloud.Query) (page []cloud.User, total int, err error)
	CreateUser(ctx context.Context, c cloud.Caller, attrs map[string]any) (cloud.User, error)
	// UpdateUser runs edit inside the transaction; an error from edit undoes
	// all and is returned, wrapped or as it is. With replace, what edit returns
	// is the whole document, but active, externalId and userType stay where it
	// has none.
	UpdateUser(ctx context.Context, c cloud.Caller, id, ifMatch string, replace bool, edit func(attrs map[string]any) (map[string]any, error)) (cloud.User, error)
	DeleteUser(ctx context.Context, c cloud.Caller, id, ifMatch string) error

	Group(ctx context.Context, c cloud.Caller, id string) (cloud.Group, error)
	Groups(ctx context.Context, c cloud.Caller, q cloud.Query) (page []cloud.Group, total int, err error)
	CreateGroup(ctx context.Context, c cloud.Caller, attrs map[string]any, members []string) (cloud.Group, error)
	UpdateGroup(ctx context.Context, c cloud.Caller, id, ifMatch string, edit func(*cloud.GroupEdit) error) (cloud.Group, error)
	DeleteGroup(ctx context.Context, c cloud.Caller, id, ifMatch string) error

	// Members lists members of a group by id, at most limit of them after the
	// id after; a limit below 1 is all.
	Members(ctx context.Context, c cloud.Caller, id, after string, limit int) ([]cloud.Member, error)
}

// groupEdit changes a group inside a transaction: it gets the attributes and
// returns what they should become, and changes members by rows.
type groupEdit func(attrs map[string]any, rows memberRows) (map[string]any, error)

// updateGroup is UpdateGroup with the rows behind an interface: a
// cloud.GroupEdit can be made by cloud alone, and tests have no cloud.
type updateGroup func(ctx context.Context, c cloud.Caller, id, ifMatch string, edit groupEdit) (cloud.Group, error)

func updateGroupOf(dir Directory) updateGroup {
	return func(ctx context.Context, c cloud.Caller, id, ifMatch string, edit groupEdit) (cloud.Group, error) {
		return dir.UpdateGroup(ctx, c, id, ifMatch, func(g *cloud.GroupEdit) error {
			attrs, err := edit(g.Attrs, g)
			if err == nil {
				g.Attrs = attrs
			}
			return err
		})
	}
}
