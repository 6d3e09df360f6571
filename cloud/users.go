package cloud

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"latchkey/access"
)

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
	err = s.search(ctx, c.Org, q, func(tx Tx) error {
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
	active, err := takeActive(next, created)
	if err != nil {
		return User{}, err
	}
	row.Issues = nil
	if err := w.identify(row, old, next, active); err != nil {
		return User{}, err
	}
	next, doc, err := fitting(row, old, next, active)
	if err != nil {
		return User{}, err
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
	if created || string(doc) != string(row.Doc) {
		row.Doc, row.Modified = doc, w.now
		row.Version++
		w.noteAttrs(old, next)
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

// takeActive reads whether the user may enter, and puts that into next as a
// boolean.
func takeActive(next map[string]any, created bool) (active bool, err error) {
	active, ok := activeOf(next)
	if !ok {
		return false, &Invalid{ScimType: InvalidValue, Attr: "active", Detail: "want true or false"}
	}
	if _, said := next["active"]; !said && !created {
		return false, nil // it was taken away, and nobody says any more that the person may enter
	}
	next["active"] = active
	return active, nil
}

// identify looks at what next says of who and of what kind the user is. What
// cannot be is refused; of one who is there it is reported, and the old value
// stays, where that is about the kind, or the user is to be inactive.
func (w *work) identify(row *PersonRow, old, next map[string]any, active bool) error {
	if strings.TrimSpace(text(next["userName"])) == "" {
		return &Invalid{ScimType: InvalidValue, Attr: "userName", Detail: "is required"}
	}
	created := old == nil
	stays := func(attr, text string) {
		row.Issues = append(row.Issues, Issue{Attr: attr, Text: text})
		delete(next, attr)
		if was, had := old[attr]; had {
			next[attr] = was
		}
	}
	switch _, ok := kindOf(next); {
	case !ok && created:
		return &Invalid{ScimType: InvalidValue, Attr: "userType", Detail: "want FULL or SMARTBOX"}
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
			return err
		case other == "":
		case created || active:
			return &Conflict{Attr: attr, Value: value, ID: other}
		default:
			stays(attr, "the directory sent a value that is another user's; the old one stays")
		}
	}
	return nil
}

// fitting is next, and as it is stored. Of one who is to be inactive and whose
// attributes are too large, that alone is taken: no size of a request keeps
// somebody in.
func fitting(row *PersonRow, old, next map[string]any, active bool) (map[string]any, []byte, error) {
	doc, err := encodeAttrs(next)
	if err != nil {
		return nil, nil, err
	}
	err = checkDocument(row.Doc, doc)
	if err == nil || old == nil || active {
		return next, doc, err
	}
	row.Issues = append(row.Issues, Issue{Attr: "schemas", Text: fmt.Sprintf("the directory sent attributes of more than %d bytes; that the person is inactive was taken, and nothing else", maxDocument)})
	next = maps.Clone(old)
	next["active"] = false
	doc, err = encodeAttrs(next)
	return next, doc, err
}

// noteAttrs records what next says anew, and what of that nobody declared.
func (w *work) noteAttrs(old, next map[string]any) {
	for path, ch := range differences(old, next) {
		w.note(path, ch.Before, ch.After)
		if name := plainPath(path); ch.After != nil && w.s.mapping.unmapped(name) {
			w.received = append(w.received, Unmapped{Attr: name, Count: 1, Last: w.now, Type: typeOf(next, name)})
		}
	}
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
