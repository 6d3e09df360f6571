package okta

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// pageSize is how many users and groups one page has at most, and what Okta
// advises for both.
const pageSize = 200

// logPage is how many log entries one page has at most.
const logPage = 1000

// Users gives all users to page, a page at a time and in no order, and returns
// Okta's time of the first answer. since limits them to those that have changed
// after it; without it those that are DEPROVISIONED are left out, and with it
// they are not. filter is consistent where search is not, so it alone is used.
func (c *Client) Users(ctx context.Context, since time.Time, page func([]User) error) (time.Time, error) {
	q := url.Values{"limit": {strconv.Itoa(pageSize)}}
	if !since.IsZero() {
		q.Set("filter", "lastUpdated gt "+stamp(since))
	}
	return list(ctx, c, "users", c.at("users", q), page)
}

// User returns one user: ErrNotFound.
func (c *Client) User(ctx context.Context, id string) (u User, err error) {
	if err := checkID(id); err != nil {
		return User{}, err
	}
	_, err = c.get(ctx, "user", c.at("users/"+url.PathEscape(id), nil), &u)
	if err == nil && u.ID != id { // a login is taken for an id as well, and "me"
		err = fmt.Errorf("okta: user: got id %.40q, want %.40q", u.ID, id)
	}
	return u, err
}

// Groups gives all groups to page like Users; since limits them to those that
// have changed, or whose members have, after it.
func (c *Client) Groups(ctx context.Context, since time.Time, page func([]Group) error) (time.Time, error) {
	q := url.Values{"limit": {strconv.Itoa(pageSize)}}
	if !since.IsZero() {
		at := stamp(since)
		q.Set("filter", "lastMembershipUpdated gt "+at+" or lastUpdated gt "+at)
	}
	return list(ctx, c, "groups", c.at("groups", q), page)
}

// Group returns one group: ErrNotFound.
func (c *Client) Group(ctx context.Context, id string) (g Group, err error) {
	if err := checkID(id); err != nil {
		return Group{}, err
	}
	_, err = c.get(ctx, "group", c.at("groups/"+url.PathEscape(id), nil), &g)
	return g, err
}

// Members gives the members of a group to page like Users: ErrNotFound.
func (c *Client) Members(ctx context.Context, group string, page func([]User) error) error {
	if err := checkID(group); err != nil {
		return err
	}
	u := c.at("groups/"+url.PathEscape(group)+"/users", url.Values{"limit": {strconv.Itoa(pageSize)}})
	_, err := list(ctx, c, "members", u, page)
	return err
}

// A Cursor is a place in the System Log: what was read up to it need not be
// read again. The zero Cursor is nowhere.
type Cursor string

// Logs gives the entries of the types that matter to page, the oldest first,
// from cursor, or from since where cursor is nowhere, up to now. It returns
// where the next call goes on, also beside an error. Entries may come twice.
func (c *Client) Logs(ctx context.Context, cursor Cursor, since time.Time, page func([]Event) error) (Cursor, error) {
	u := c.at("logs", url.Values{
		"since": {since.UTC().Format(timeFormat)}, "sortOrder": {"ASCENDING"}, "limit": {strconv.Itoa(logPage)}, "filter": {eventFilter()},
	})
	if cursor != "" {
		var err error
		if u, err = pinned(c.base, string(cursor)); err != nil {
			return "", err
		}
	}
	for range maxPages {
		var events []Event
		a, err := c.get(ctx, "logs", u, &events)
		if err != nil {
			return cursor, err
		}
		if err := page(events); err != nil {
			return cursor, err
		}
		// Without "until" the log is polled: a page without entries has a link to
		// go on with as well.
		next, err := nextPage(c.base, a.header)
		if err != nil || next == nil {
			return cursor, err
		}
		cursor = Cursor(next.String())
		if len(events) == 0 {
			return cursor, nil
		}
		u = next
	}
	return cursor, tooMany("logs")
}

// list follows the links of a list to its end.
func list[T any](ctx context.Context, c *Client, bucket string, u *url.URL, page func([]T) error) (at time.Time, err error) {
	for n := range maxPages {
		var items []T
		a, err := c.get(ctx, bucket, u, &items)
		if err != nil {
			return at, err
		}
		if n == 0 {
			at = a.date
		}
		if err := page(items); err != nil {
			return at, err
		}
		next, err := nextPage(c.base, a.header)
		if err != nil || next == nil {
			return at, err
		}
		if next.String() == u.String() {
			return at, fmt.Errorf("okta: %s: the link to the next page leads to the same page", bucket)
		}
		u = next
	}
	return at, tooMany(bucket)
}

func tooMany(bucket string) error {
	return fmt.Errorf("okta: %s: got more than %d pages", bucket, maxPages)
}

// at is the URL of path below the API.
func (c *Client) at(path string, q url.Values) *url.URL {
	u, err := c.base.Parse(apiPath + path)
	if err != nil { // every path here is escaped
		u = c.base
	}
	u.RawQuery = q.Encode()
	return u
}

// checkID refuses what is no id of an object: it becomes part of a path.
func checkID(id string) error {
	if id == "" || len(id) > 64 || strings.Trim(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return fmt.Errorf("okta: id: got %.64q, want letters and digits", id)
	}
	return nil
}

// timeFormat is how the API writes times.
const timeFormat = "2006-01-02T15:04:05.000Z"

// stamp is t in a filter.
func stamp(t time.Time) string { return `"` + t.UTC().Format(timeFormat) + `"` }

// try asks for one group.
func (c *Client) try(ctx context.Context) error {
	var groups []Group
	_, err := c.get(ctx, "groups", c.at("groups", url.Values{"limit": {"1"}}), &groups)
	return err
}
