package okta

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"latchkey/cloud"
)

// A reader keeps one organisation of ours in step with its Okta. Two loops run
// on it (loops.go): what locks somebody out must not wait for the slow one.
type reader struct {
	org    string
	client *Client
	cloud  *cloud.Service
	set    Settings
	log    *slog.Logger
	now    func() time.Time
	order  order

	conn  string // as it is stored
	fence uint64 // of the lease to read

	keeping sync.Mutex // before mu
	retired bool
	kept    []byte // the state as it was stored last

	hooked chan pings    // what event hooks name
	kick   chan struct{} // the slow loop is to look again

	mu       sync.Mutex // over all below
	state    State
	polled   time.Time
	changed  time.Time
	failures map[string]failure // by loop
	full     bool               // everything is to be read now
}

type failure struct {
	err error
	at  time.Time
}

// note changes the state.
func (r *reader) note(f func(s *State)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f(&r.state)
}

// look is a copy of the state.
func (r *reader) look() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state.clone()
}

// failed notes what became of one object.
func (r *reader) failed(kind, id string, err error) {
	r.note(func(s *State) { s.failed(kind, id, err, r.now()) })
}

// builtIn is the type of groups such as Everyone, which are not read
// (docs/decisions/0012-okta-by-token.md).
const builtIn = "BUILT_IN"

// manyPings is how many named users are read one by one; more are cheaper to
// find by their time.
const manyPings = 50

// readLog reads again what the System Log names. The log is taken as read only
// once that is done.
func (r *reader) readLog(ctx context.Context) error {
	st := r.look()
	next, p, err := r.newEntries(ctx, st.Cursor, st.Watermark)
	if e, ok := errors.AsType[*Error](err); ok && e.Status == 400 && st.Cursor != "" { // one that Okta has forgotten
		next, p, err = r.newEntries(ctx, "", st.Watermark)
	}
	r.note(func(s *State) { s.NoLogs = errors.Is(err, ErrForbidden) })
	if err != nil {
		return err
	}
	if err := r.readNamed(ctx, p); err != nil {
		return err
	}
	r.note(func(s *State) { s.Cursor = next })
	return nil
}

func (r *reader) newEntries(ctx context.Context, cursor Cursor, since time.Time) (next Cursor, p pings, err error) {
	next, err = r.client.Logs(ctx, cursor, since, func(events []Event) error {
		p.add(events)
		return nil
	})
	return next, p, err
}

// readNamed reads the objects that p names.
func (r *reader) readNamed(ctx context.Context, p pings) error {
	if len(p.Users) > manyPings {
		if err := r.changedUsers(ctx); err != nil {
			return err
		}
		p.Users = nil
	}
	for _, id := range p.Users {
		if err := r.readUser(ctx, id); err != nil {
			return err
		}
	}
	for _, id := range p.Groups {
		if err := r.readGroup(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// changedUsers reads the users who have changed since the watermark. Those who
// were deleted are not among them.
func (r *reader) changedUsers(ctx context.Context) error {
	_, err := r.users(ctx, r.look().Watermark, func([]User) {})
	return err
}

// readChanges reads what has changed since the watermark, and what could not be
// taken before.
func (r *reader) readChanges(ctx context.Context) error {
	since := r.look().Watermark
	at, err := r.users(ctx, since, func([]User) {})
	if err != nil {
		return err
	}
	var changed []Group
	if _, err = r.client.Groups(ctx, since, func(page []Group) error {
		changed = append(changed, page...)
		return nil
	}); err != nil {
		return err
	}
	for _, g := range changed {
		if err := r.takeGroup(ctx, g); err != nil {
			return err
		}
	}
	var again pings
	r.note(func(s *State) {
		s.Watermark = at.Add(-overlap)
		again = s.again()
	})
	again.Users = again.Users[:min(len(again.Users), manyPings)]
	return r.readNamed(ctx, again)
}

// users takes in the users that have changed since, or all of them, and gives
// each page to seen.
func (r *reader) users(ctx context.Context, since time.Time, seen func([]User)) (time.Time, error) {
	read := r.order.begin()
	return r.client.Users(ctx, since, func(page []User) error {
		if err := r.take(ctx, read, page); err != nil {
			return err
		}
		seen(page)
		read = r.order.begin() // the next page is asked for only now
		return nil
	})
}

// readUser reads one user.
func (r *reader) readUser(ctx context.Context, id string) error {
	read := r.order.begin()
	u, err := r.client.User(ctx, id)
	if errors.Is(err, ErrNotFound) {
		r.failed(kindUser, id, nil)
		return r.order.take(id, read, func() error { return r.cloud.PullUserGone(ctx, r.org, id, StatusDeleted) })
	}
	if err != nil {
		return err
	}
	return r.take(ctx, read, []User{u})
}

// readGroup reads one group with its members.
func (r *reader) readGroup(ctx context.Context, id string) error {
	read := r.order.begin()
	g, err := r.client.Group(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return r.groupGone(ctx, read, id)
	}
	if err != nil {
		return err
	}
	return r.takeGroup(ctx, g)
}

func (r *reader) groupGone(ctx context.Context, read uint64, id string) error {
	r.failed(kindGroup, id, nil)
	return r.order.take(id, read, func() error { return r.cloud.PullGroupGone(ctx, r.org, id) })
}

// take takes users in. One who is refused is a problem of that user alone. Most
// are what they were, which is found out of all of a page at once.
func (r *reader) take(ctx context.Context, read uint64, page []User) error {
	var users []cloud.PulledUser
	for _, u := range page {
		if checkID(u.ID) == nil && r.order.claim(u.ID, read) {
			users = append(users, r.pulled(u))
		}
	}
	news, err := r.cloud.PullNews(ctx, r.org, users)
	if err != nil {
		return err
	}
	for _, u := range users {
		r.failed(kindUser, u.ID, nil)
	}
	for _, u := range news {
		err := r.order.take(u.ID, read, func() error {
			_, err := r.cloud.PullUser(ctx, r.org, u)
			return err
		})
		if err != nil && !refused(err) {
			return err
		}
		r.failed(kindUser, u.ID, err)
	}
	return nil
}

// pulled is u as the cloud takes it.
func (r *reader) pulled(u User) cloud.PulledUser {
	return cloud.PulledUser{
		ID: u.ID, Status: u.Status, Valid: slices.Contains(r.set.Valid, u.Status), Gone: u.Status == StatusDeprovisioned,
		Attrs: attributes(u, r.set.CardAttr, r.set.KindAttr),
	}
}

// refused says that err is about what was read, and not a fault.
func refused(err error) bool {
	_, isInvalid := errors.AsType[*cloud.Invalid](err)
	_, isConflict := errors.AsType[*cloud.Conflict](err)
	return isInvalid || isConflict
}

// takeGroup reads the members of a group and takes both in.
func (r *reader) takeGroup(ctx context.Context, g Group) error {
	if g.Type == builtIn || checkID(g.ID) != nil {
		return nil
	}
	read := r.order.begin()
	ids, err := r.members(ctx, g.ID, func(read uint64, page []User) error { return r.take(ctx, read, page) })
	if errors.Is(err, ErrNotFound) { // gone since it was listed
		return r.groupGone(ctx, read, g.ID)
	}
	if err != nil {
		return err
	}
	err = r.order.take(g.ID, read, func() error {
		unknown, _, err := r.cloud.PullGroup(ctx, r.org, pulledGroup(g, ids))
		if err == nil && unknown > 0 {
			err = &cloud.Invalid{ScimType: cloud.InvalidValue, Attr: "members", Detail: fmt.Sprintf("%d could not be taken", unknown)}
		}
		return err
	})
	if err != nil && !refused(err) {
		return err
	}
	r.failed(kindGroup, g.ID, err)
	return nil
}

func pulledGroup(g Group, members []string) cloud.PulledGroup {
	return cloud.PulledGroup{ID: g.ID, Name: g.Profile.Name, Description: g.Profile.Description, Members: members}
}

// members lists the ids of a group's members, each once, and gives each page
// to take with the number of its read.
func (r *reader) members(ctx context.Context, group string, take func(read uint64, page []User) error) ([]string, error) {
	ids := []string{}
	read := r.order.begin()
	err := r.client.Members(ctx, group, func(users []User) error {
		for _, u := range users {
			if u.Status != StatusDeprovisioned {
				ids = append(ids, u.ID)
			}
		}
		err := take(read, users)
		read = r.order.begin()
		return err
	})
	slices.Sort(ids)
	return slices.Compact(ids), err
}
