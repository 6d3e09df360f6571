package cloud

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"latchkey/access"
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

func (p PersonRow) resource() (Resource, error) {
	return User{ID: p.ID, Doc: p.Doc, Created: p.Created, Modified: p.Modified, Version: p.Version}.Resource()
}

// User returns one user, disabled ones too, and the Groups if groups says so:
// ErrNotFound.
func (s *Service) User(ctx context.Context, c Caller, id string, groups bool) (User, error) {
	var u User
	f := find(c.Org, []Term{{"id", id}})
	f.NoGroups = !groups
	err := s.store.Ask(ctx, func(tx Tx) error {
		users, err := tx.FindUsers(f, 0, 1)
		if err != nil {
			return err
		}
		if len(users) == 0 {
			return ErrNotFound
		}
		u = users[0]
		return nil
	})
	return u, err
}

// scimPerson is a person of the directory; those made by hand are not its
// business.
func scimPerson(tx Tx, org, id string) (PersonRow, error) {
	row, err := tx.Person(org, id)
	if err == nil && row.Origin != OriginDirectory {
		return PersonRow{}, ErrNotFound
	}
	return row, err
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

// Users returns a page of users and how many there are in all.
func (s *Service) Users(ctx context.Context, c Caller, q Query) (users []User, total int, err error) {
	f := find(c.Org, q.Terms)
	f.NoGroups = q.NoGroups
	plain := q.Match == nil && q.SortKey == nil
	if start, n := q.window(); plain && len(q.Terms) > 0 { // there are few, and most often one question is enough
		err = s.store.Ask(ctx, func(tx Tx) error {
			users, err = tx.FindUsers(f, start, n)
			return err
		})
		if err != nil || q.told(len(users)) {
			return users, start + len(users), err
		}
	}
	err = s.store.View(ctx, func(tx Tx) error {
		if plain {
			users, total, err = plainPage(q, f, tx.FindUsers, tx.CountPeople)
			return err
		}
		var rows []PersonRow
		rows, total, err = browse(q, f, tx.FindPeople, PersonRow.resource)
		users = nil
		for _, row := range rows {
			one := find(c.Org, []Term{{"id", row.ID}})
			one.NoGroups = q.NoGroups
			u, err := tx.FindUsers(one, 0, 1)
			if err != nil {
				return err
			}
			users = append(users, u...)
		}
		return err
	})
	return users, total, err
}

// CreateUser stores a user, and what came of the card number and the rules
// goes to the sites: *Invalid, *Conflict. A user whose inactive account has the
// same externalId is revived with its id, as the directory's re-assignment
// means it; what the body leaves out stays then.
func (s *Service) CreateUser(ctx context.Context, c Caller, attrs map[string]any) (User, error) {
	var u User
	err := s.directory(ctx, c, act{what: "create user", name: text(attrs["userName"])}, func(w *work) error {
		next, err := clone(attrs)
		if err != nil {
			return err
		}
		if old, err := w.revivable(text(next["externalId"])); err != nil {
			return err
		} else if old != nil {
			w.act.what, w.act.object = "revive user", old.ID
			was, err := decodeAttrs(old.Doc)
			if err != nil {
				return err
			}
			merge(next, was)
			if _, sent := attrs["active"]; !sent {
				next["active"] = true
			}
			normalise(was, next, false)
			taken := c.owned(old)
			if u, err = w.putUser(old, was, next); err == nil && taken {
				err = w.takeOver(*old)
			}
			return err
		}
		normalise(nil, next, false)
		row := &PersonRow{ID: s.newID(w.now), Org: c.Org, Origin: OriginDirectory, Created: w.now}
		w.act.object = row.ID
		u, err = w.putUser(row, nil, next)
		return err
	})
	return u, err
}

// clone copies a document, so that the caller's stays as it is.
func clone(attrs map[string]any) (map[string]any, error) {
	doc, err := encodeAttrs(attrs)
	if err != nil {
		return nil, err
	}
	return decodeAttrs(doc)
}

// revivable is the inactive user of externalID, nil where there is none.
func (w *work) revivable(externalID string) (*PersonRow, error) {
	if externalID == "" {
		return nil, nil
	}
	rows, err := w.tx.FindPeople(find(w.org.ID, []Term{{"externalId", externalID}}), 0, 1)
	if err != nil || len(rows) == 0 || rows[0].Active {
		return nil, err
	}
	row, err := w.tx.Person(w.org.ID, rows[0].ID) // with its addresses
	return &row, err
}

// UpdateUser changes a user by edit, which gets the document and returns what
// it should become, inside the transaction; replace says that the result is
// the whole document (PUT). A result equal to what is stored changes nothing,
// not even the version. ErrNotFound, ErrPrecondition, *Invalid, *Conflict, and
// whatever edit returns.
func (s *Service) UpdateUser(ctx context.Context, c Caller, id, ifMatch string, replace bool, edit func(attrs map[string]any) (map[string]any, error)) (User, error) {
	var u User
	err := s.directory(ctx, c, act{what: "update user", object: id}, func(w *work) error {
		row, err := scimPerson(w.tx, c.Org, id)
		if err != nil {
			return err
		}
		w.act.name = row.UserName
		if err := checkVersion(ifMatch, row.Version); err != nil {
			return err
		}
		old, err := decodeAttrs(row.Doc)
		if err != nil {
			return err
		}
		given, err := decodeAttrs(row.Doc) // edit may change it in place
		if err != nil {
			return err
		}
		taken := c.owned(&row, old, given)
		next, err := edit(given)
		if err != nil {
			return err
		}
		if next, err = clone(next); err != nil {
			return err
		}
		normalise(old, next, replace)
		if u, err = w.putUser(&row, old, next); err == nil && taken {
			err = w.takeOver(row)
		}
		return err
	})
	return u, err
}

// putUser stores next as the document of row, which held old (nil: a new user),
// and lets cards and sites follow. One who is to be inactive is made so
// whatever else is wrong with card number, userName or externalId.
func (w *work) putUser(row *PersonRow, old, next map[string]any) (User, error) {
	before := *row
	created := old == nil
	if strings.TrimSpace(text(next["userName"])) == "" {
		return User{}, &Invalid{ScimType: InvalidValue, Attr: "userName", Detail: "is required"}
	}
	active, ok := activeOf(next)
	if !ok {
		return User{}, &Invalid{ScimType: InvalidValue, Attr: "active", Detail: "want true or false"}
	}
	if _, said := next["active"]; said || created {
		next["active"] = active
	} else {
		active = false // it was taken away, and nobody says any more that the person may enter
	}
	row.Issues = nil
	stays := func(attr, text string) { // the directory's value is reported and not taken
		row.Issues = append(row.Issues, Issue{Attr: attr, Text: text})
		delete(next, attr)
		if was, had := old[attr]; had {
			next[attr] = was
		}
	}
	_, ok = kindOf(next)
	switch {
	case !ok && created:
		return User{}, &Invalid{ScimType: InvalidValue, Attr: "userType", Detail: "want FULL or SMARTBOX"}
	case !ok:
		stays("userType", "the directory sent a value that is neither FULL nor SMARTBOX; the old one stays")
	}
	for _, attr := range []string{"userName", "externalId"} {
		value := text(next[attr])
		if attr == "userName" {
			value = strings.TrimSpace(value)
		}
		other, err := w.holder(attr, value, row.ID)
		switch {
		case err != nil:
			return User{}, err
		case other == "":
		case created || active:
			return User{}, &Conflict{Attr: attr, Value: value, ID: other}
		default:
			stays(attr, "the directory sent a value that is another user's; the old one stays")
		}
	}
	if _, ok := cardOf(next); !ok {
		return User{}, &Invalid{ScimType: InvalidValue, Attr: cardAttr, Detail: "the card number is no text"}
	}
	if created {
		if err := w.roomForPerson(); err != nil {
			return User{}, err
		}
	}
	w.s.mapping.take(row, next)
	// A request that says nothing new about the number is not refused for it.
	sameNumber := strings.TrimSpace(row.CardNumber) == strings.TrimSpace(before.CardNumber)
	if err := w.directoryCard(row, w.lenient || !created && (!active || sameNumber)); err != nil {
		return User{}, err
	}
	doc, err := encodeAttrs(next)
	if err != nil {
		return User{}, err
	}
	limit := maxDocument
	if !created && !active {
		limit *= 2 // a body of any size that a directory may send can deactivate
	}
	if err := checkDocument(row.Doc, doc, limit); err != nil {
		return User{}, err
	}
	if created || string(doc) != string(row.Doc) {
		row.Doc, row.Modified = doc, w.now
		row.Version++
		for path, ch := range differences(old, next) {
			w.note(path, ch.Before, ch.After)
			if name := plainPath(path); ch.After != nil && w.s.mapping.unmapped(name) {
				w.received = append(w.received, Unmapped{Attr: name, Count: 1, Last: w.now, Type: typeOf(next, name)})
			}
		}
	}
	if before.CardState != row.CardState {
		w.note("card state", before.CardState, row.CardState)
	}
	if created || !samePerson(before, *row) {
		if err := w.tx.PutPerson(*row); err != nil {
			return User{}, err
		}
		w.people[row.ID] = true
		w.roles[row.ID] = !created && (before.State() != row.State() || before.UserName != row.UserName || !slices.Equal(before.Emails, row.Emails))
	}
	u := User{ID: row.ID, Doc: row.Doc, Created: row.Created, Modified: row.Modified, Version: row.Version}
	u.Groups, err = w.tx.GroupsOf(w.org.ID, row.ID)
	return u, err
}

// samePerson says whether nothing of a and b differs that is stored.
func samePerson(a, b PersonRow) bool {
	return a.Version == b.Version && a.CardLast == b.CardLast && a.CardState == b.CardState && a.CardText == b.CardText &&
		a.Suspended == b.Suspended && slices.Equal(a.Issues, b.Issues)
}

// holder is the id of another user than self whose attr is value, empty where
// there is none.
func (w *work) holder(attr, value, self string) (id string, err error) {
	if value == "" {
		return "", nil
	}
	rows, err := w.tx.FindPeople(find(w.org.ID, []Term{{attr, value}}), 0, 2)
	for _, other := range rows {
		if other.ID != self {
			id = other.ID
		}
	}
	return id, err
}

// DeleteUser removes a user with cards, memberships and what sites hold:
// ErrNotFound, ErrPrecondition.
func (s *Service) DeleteUser(ctx context.Context, c Caller, id, ifMatch string) error {
	return s.directory(ctx, c, act{what: "delete user", object: id}, func(w *work) error {
		row, err := scimPerson(w.tx, c.Org, id)
		if err != nil {
			return err
		}
		if err := checkVersion(ifMatch, row.Version); err != nil {
			return err
		}
		return w.deletePerson(row)
	})
}

func (w *work) deletePerson(row PersonRow) error {
	w.act.name = row.Name
	w.note("userName", row.UserName, nil)
	cards, err := w.tx.Cards([]string{row.ID})
	if err != nil {
		return err
	}
	for _, c := range cards {
		w.note(c.noun()+" "+c.ID, mask(c), nil)
		if c.Origin == OriginRule && c.Status != access.CredentialPending {
			w.freed[c.Technology]++
		}
	}
	pins, err := w.tx.Pins([]string{row.ID})
	if err != nil {
		return err
	}
	for _, pin := range pins {
		w.holds[pin.Hold] = true
	}
	w.people[row.ID] = true
	return w.tx.DeletePerson(w.org.ID, row.ID)
}
