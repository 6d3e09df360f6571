package scim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"latchkey/cloud"
)

// fakeDirectory is a directory in memory: enough of the domain's promises for
// the protocol to be tested without it.
type fakeDirectory struct {
	noGroups bool // nobody asked for them, when users were asked for last
	profile  cloud.Profile

	mu     sync.Mutex
	n      int
	users  []*fakeUser
	groups []*fakeGroup
	loads  int              // calls of Members
	sees   func(cloud.User) // hears of each user that goes out; may be nil
}

type fakeUser struct {
	cloud.User
	attrs map[string]any
}

func (u *fakeUser) resource() cloud.Resource {
	return cloud.Resource{ID: u.ID, Attrs: u.attrs, Created: u.Created, Modified: u.Modified, Version: u.Version}
}

type fakeGroup struct {
	cloud.Group
	rows []string
}

const fakeToken = "token-of-the-fake"

var fakeNow = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

func (d *fakeDirectory) Authenticate(_ context.Context, bearer string) (cloud.Caller, error) {
	if bearer == "disabled" {
		return cloud.Caller{}, cloud.ErrSCIMDisabled
	}
	if bearer != fakeToken {
		return cloud.Caller{}, cloud.ErrToken
	}
	return cloud.Caller{Org: "acme", Token: "t1", Profile: d.profile}, nil
}

func (d *fakeDirectory) id() string {
	d.n++
	return fmt.Sprintf("id-%05d", d.n)
}

func (d *fakeDirectory) user(id string) (int, error) {
	i := slices.IndexFunc(d.users, func(u *fakeUser) bool { return u.ID == id })
	if i < 0 {
		return i, cloud.ErrNotFound
	}
	return i, nil
}

func (d *fakeDirectory) group(id string) (int, error) {
	i := slices.IndexFunc(d.groups, func(g *fakeGroup) bool { return g.ID == id })
	if i < 0 {
		return i, cloud.ErrNotFound
	}
	return i, nil
}

// shown is u as it is now.
func (d *fakeDirectory) shown(u *fakeUser) cloud.User {
	var err error
	if u.Doc, err = json.Marshal(u.attrs); err != nil {
		panic(err)
	}
	u.Groups = nil
	for _, g := range d.groups {
		if slices.Contains(g.rows, u.ID) {
			u.Groups = append(u.Groups, cloud.Member{Value: g.ID, Display: fmt.Sprint(g.Attrs["displayName"])})
		}
	}
	if d.sees != nil {
		d.sees(u.User)
	}
	return u.User
}

func copyGroup(g *fakeGroup) cloud.Group {
	c := g.Group
	c.Attrs = clone(g.Attrs).(map[string]any)
	c.Members = len(g.rows)
	return c
}

func (d *fakeDirectory) User(_ context.Context, _ cloud.Caller, id string, groups bool) (cloud.User, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.noGroups = !groups
	i, err := d.user(id)
	if err != nil {
		return cloud.User{}, err
	}
	return d.shown(d.users[i]), nil
}

func meets(attrs map[string]any, id string, t cloud.Term) bool {
	ext, _ := attrs[enterpriseURN].(map[string]any)
	switch t.Attr {
	case "id":
		return id == t.Value
	case "externalId":
		return attrs["externalId"] == t.Value
	case "cardNumber":
		return ext["cardNumber"] == t.Value
	case "manager":
		m, _ := ext["manager"].(map[string]any)
		return m["value"] == t.Value
	case "emails.value":
		return slices.ContainsFunc(elements(attrs["emails"]), func(e any) bool {
			v, _ := asElement(e)["value"].(string)
			return strings.EqualFold(v, t.Value)
		})
	case "userName", "displayName":
		v, _ := attrs[t.Attr].(string)
		return strings.EqualFold(v, t.Value)
	}
	panic("no index for " + t.Attr)
}

func (d *fakeDirectory) Users(_ context.Context, _ cloud.Caller, q cloud.Query) ([]cloud.User, int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.noGroups = q.NoGroups
	var rows []*fakeUser
	for _, u := range d.users {
		if !slices.ContainsFunc(q.Terms, func(t cloud.Term) bool { return !meets(u.attrs, u.ID, t) }) && (q.Match == nil || q.Match(u.resource())) {
			rows = append(rows, u)
		}
	}
	if q.SortKey != nil {
		slices.SortStableFunc(rows, func(a, b *fakeUser) int {
			ka, _ := q.SortKey(a.resource())
			kb, _ := q.SortKey(b.resource())
			c := strings.Compare(ka, kb)
			if q.Descending {
				return -c
			}
			return c
		})
	}
	var found []cloud.User
	for _, u := range rows {
		found = append(found, d.shown(u))
	}
	if q.Count < 0 {
		return found, len(found), nil
	}
	return page(found, q.Start, q.Count), len(found), nil
}

func (d *fakeDirectory) unique(attrs map[string]any, id string) error {
	for _, u := range d.users {
		if u.ID != id && meets(u.attrs, u.ID, cloud.Term{Attr: "userName", Value: fmt.Sprint(attrs["userName"])}) {
			return &cloud.Conflict{Attr: "userName", ID: u.ID}
		}
	}
	return nil
}

func (d *fakeDirectory) CreateUser(_ context.Context, _ cloud.Caller, attrs map[string]any) (cloud.User, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.unique(attrs, ""); err != nil {
		return cloud.User{}, err
	}
	u := &fakeUser{cloud.User{ID: d.id(), Created: fakeNow, Modified: fakeNow, Version: 1}, clone(attrs).(map[string]any)}
	d.users = append(d.users, u)
	return d.shown(u), nil
}

func (d *fakeDirectory) UpdateUser(_ context.Context, _ cloud.Caller, id, ifMatch string, replace bool, edit func(map[string]any) (map[string]any, error)) (cloud.User, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i, err := d.user(id)
	if err != nil {
		return cloud.User{}, err
	}
	u := d.users[i]
	if ifMatch != "" && ifMatch != cloud.ETag(u.Version) {
		return cloud.User{}, cloud.ErrPrecondition
	}
	next, err := edit(clone(u.attrs).(map[string]any))
	if err != nil {
		return cloud.User{}, fmt.Errorf("fake: %w", err)
	}
	for _, name := range [...]string{"active", "externalId"} {
		if v, ok := u.attrs[name]; replace && ok && next[name] == nil {
			next[name] = v
		}
	}
	if err := d.unique(next, id); err != nil {
		return cloud.User{}, err
	}
	if !same(u.attrs, next) {
		u.attrs, u.Modified = next, u.Modified.Add(time.Second)
		u.Version++
	}
	return d.shown(u), nil
}

func (d *fakeDirectory) DeleteUser(_ context.Context, _ cloud.Caller, id, ifMatch string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	i, err := d.user(id)
	if err != nil {
		return err
	}
	if ifMatch != "" && ifMatch != cloud.ETag(d.users[i].Version) {
		return cloud.ErrPrecondition
	}
	d.users = slices.Delete(d.users, i, i+1)
	for _, g := range d.groups {
		g.rows = slices.DeleteFunc(g.rows, func(m string) bool { return m == id })
	}
	return nil
}

func (d *fakeDirectory) Group(_ context.Context, _ cloud.Caller, id string) (cloud.Group, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i, err := d.group(id)
	if err != nil {
		return cloud.Group{}, err
	}
	return copyGroup(d.groups[i]), nil
}

func (d *fakeDirectory) Groups(_ context.Context, _ cloud.Caller, q cloud.Query) ([]cloud.Group, int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var found []cloud.Group
	for _, g := range d.groups {
		fails := func(t cloud.Term) bool {
			if t.Attr == "members.value" {
				return !slices.Contains(g.rows, t.Value)
			}
			return !meets(g.Attrs, g.ID, t)
		}
		if !slices.ContainsFunc(q.Terms, fails) && (q.Match == nil || q.Match(cloud.Resource{ID: g.ID, Attrs: g.Attrs, Created: g.Created, Modified: g.Modified, Version: g.Version})) {
			found = append(found, copyGroup(g))
		}
	}
	if q.Count < 0 {
		return found, len(found), nil
	}
	return page(found, q.Start, q.Count), len(found), nil
}

func (d *fakeDirectory) CreateGroup(_ context.Context, _ cloud.Caller, attrs map[string]any, members []string) (cloud.Group, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := &fakeGroup{Group: cloud.Group{ID: d.id(), Attrs: maps.Clone(attrs), Created: fakeNow, Modified: fakeNow, Version: 1}}
	_ = (*fakeRows)(&g.rows).Add(members...)
	d.groups = append(d.groups, g)
	return copyGroup(g), nil
}

// UpdateGroup is not for fakes; handlers over one get updateGroup.
func (d *fakeDirectory) UpdateGroup(context.Context, cloud.Caller, string, string, func(*cloud.GroupEdit) error) (cloud.Group, error) {
	return cloud.Group{}, errors.ErrUnsupported
}

func (d *fakeDirectory) updateGroup(_ context.Context, _ cloud.Caller, id, ifMatch string, edit groupEdit) (cloud.Group, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i, err := d.group(id)
	if err != nil {
		return cloud.Group{}, err
	}
	g := d.groups[i]
	if ifMatch != "" && ifMatch != cloud.ETag(g.Version) {
		return cloud.Group{}, cloud.ErrPrecondition
	}
	rows := fakeRows(slices.Clone(g.rows))
	next, err := edit(clone(g.Attrs).(map[string]any), &rows)
	if err != nil {
		return cloud.Group{}, err
	}
	if !same(g.Attrs, next) || !slices.Equal(g.rows, rows) {
		g.Attrs, g.rows = next, rows
		g.Version++
	}
	return copyGroup(g), nil
}

func (d *fakeDirectory) DeleteGroup(_ context.Context, _ cloud.Caller, id, _ string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	i, err := d.group(id)
	if err == nil {
		d.groups = slices.Delete(d.groups, i, i+1)
	}
	return err
}

func (d *fakeDirectory) Members(_ context.Context, _ cloud.Caller, id, _ string, _ int) ([]cloud.Member, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.loads++
	i, err := d.group(id)
	if err != nil {
		return nil, err
	}
	var out []cloud.Member
	for _, m := range d.groups[i].rows {
		out = append(out, cloud.Member{Value: m})
	}
	return out, nil
}

// fakeRows is a group's membership.
type fakeRows []string

func (r *fakeRows) Add(ids ...string) error {
	for _, id := range ids {
		if !slices.Contains(*r, id) {
			*r = append(*r, id)
		}
	}
	return nil
}

func (r *fakeRows) Remove(ids ...string) error {
	*r = slices.DeleteFunc(*r, func(m string) bool { return slices.Contains(ids, m) })
	return nil
}

func (r *fakeRows) Replace(ids []string) error {
	*r = nil
	return r.Add(ids...)
}

func (r *fakeRows) Has(id string) (bool, error) { return slices.Contains(*r, id), nil }

func (r *fakeRows) Members() ([]string, error) { return slices.Clone(*r), nil }

// page takes one page out of all.
func page[T any](all []T, start, count int) []T {
	from := min(start-1, len(all))
	return all[from:min(from+count, len(all))]
}
