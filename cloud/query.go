package cloud

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
)

// A Term is an equality that an index answers.
type Term struct {
	Attr  string // "id", "userName", "externalId", "emails.value", "displayName", "cardNumber", "members.value", "manager"
	Value string
}

// A Resource is what a Query sees of a user or a group: what both have.
type Resource struct {
	ID                string
	Attrs             map[string]any
	Created, Modified time.Time
	Version           int64
}

// A Query selects users or groups: those that meet all Terms and Match, by
// creation unless SortKey says otherwise. Without Terms every resource of the
// organisation is looked at where Match or SortKey is given, but only a page of
// them is ever held.
type Query struct {
	Terms []Term
	Match func(Resource) bool // nil takes all
	Start int                 // 1-based; less is 1
	Count int                 // below 0 is no limit; 0 gives only the total
	// SortKey gives what a resource is ordered by, byte by byte; ok is false
	// for one that has no value there. nil orders by creation.
	SortKey    func(Resource) (key string, ok bool)
	Descending bool
	NoGroups   bool // nobody asks for Groups of users; they may be there
}

// find turns a query's terms into what the store's indexes compare.
func find(org string, terms []Term) Find {
	f := Find{Org: org, Origin: OriginDirectory, Terms: make([]Term, len(terms))}
	for i, t := range terms {
		switch t.Attr {
		case "userName", "emails.value", "displayName", "cardNumber":
			t.Value = fold(t.Value)
		}
		f.Terms[i] = t
	}
	return f
}

// window is q's page as an offset from 0 and a count.
func (q Query) window() (start, count int) { return max(q.Start, 1) - 1, q.Count }

// page cuts q's page out of all.
func page[T any](q Query, all []T) []T {
	start, count := q.window()
	all = all[min(start, len(all)):]
	if count >= 0 {
		all = all[:min(count, len(all))]
	}
	return all
}

// A sortKey is the place of one resource in an order.
type sortKey struct {
	id, key string
	has     bool
}

// maxSortKey is how much of a value orders resources, in bytes: an order of a
// hundred thousand must fit into the memory.
const maxSortKey = 512

// order sorts keys as q says; those without a value come last when ascending
// and first when descending (RFC 7644 §3.4.2.3).
func (q Query) order(keys []sortKey) {
	slices.SortStableFunc(keys, func(a, b sortKey) int {
		c := 0
		switch {
		case a.has != b.has && a.has:
			c = -1
		case a.has != b.has:
			c = 1
		default:
			c = cmp.Compare(a.key, b.key)
		}
		if q.Descending {
			return -c
		}
		return c
	})
}

// search is a View for q. One that no index answers looks at everybody, and so
// takes turns with previews.
func (s *Service) search(ctx context.Context, org string, q Query, f func(Tx) error) error {
	if len(q.Terms) == 0 && (q.Match != nil || q.SortKey != nil) {
		return s.viewLong(ctx, org, f)
	}
	return s.store.View(ctx, f)
}

// browse looks at all rows that f selects, a batch at a time, and gives q's page
// of those that match, and how many match.
func browse[R any](q Query, f Find, fetch func(f Find, start, count int) ([]R, error), see func(R) (Resource, error)) (kept []R, total int, err error) {
	start, count := q.window()
	var keys []sortKey
	for more := true; more; {
		rows, err := fetch(f, 0, batch)
		if err != nil {
			return nil, 0, err
		}
		more = len(rows) == batch
		for _, row := range rows {
			res, err := see(row)
			if err != nil {
				return nil, 0, err
			}
			f.After = res.ID
			if q.Match != nil && !q.Match(res) {
				continue
			}
			total++
			if q.SortKey != nil {
				key, has := q.SortKey(res)
				keys = append(keys, sortKey{res.ID, strings.Clone(key[:min(len(key), maxSortKey)]), has})
			} else if total > start && (count < 0 || total <= start+count) {
				kept = append(kept, row)
			}
		}
	}
	if q.SortKey == nil {
		return kept, total, nil
	}
	q.order(keys)
	for _, k := range page(q, keys) {
		rows, err := fetch(Find{Org: f.Org, Origin: f.Origin, Terms: []Term{{"id", k.id}}}, 0, 1)
		if err != nil {
			return nil, 0, err
		}
		kept = append(kept, rows...)
	}
	return kept, total, nil
}

// plainPage is q's page of what f selects, in the store's own order. What the
// page tells already is not counted.
func plainPage[R any](q Query, f Find, fetch func(f Find, start, count int) ([]R, error), count func(Find) (int, error)) (rows []R, total int, err error) {
	start, n := q.window()
	if n != 0 {
		if rows, err = fetch(f, start, n); err != nil {
			return nil, 0, err
		}
	}
	if !q.told(len(rows)) {
		total, err = count(f)
		return rows, total, err
	}
	return rows, start + len(rows), nil
}

// told says whether a page with n rows tells how many there are in all.
func (q Query) told(n int) bool {
	start, count := q.window()
	return n != count && (n > 0 || start == 0)
}
