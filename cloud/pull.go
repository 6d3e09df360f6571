package cloud

import (
	"context"
	"errors"
	"strings"
)

// A directory that the cloud reads itself (pull) may know the same people as
// one that calls us (push). Who owns what is decided here, once:
//
//   - A person is the same if an earlier read said so, else by externalId, else
//     by userName.
//   - Whoever a directory that calls us has made or changed is its own: their
//     attributes are what it says. Of them a read takes only the status: one
//     that locks out does so whatever else is said, and is given back when the
//     status allows again. All others are the pull's, until a call changes them.
//   - A group is the pull's until a call changes it; of a group that a call has
//     made, a read takes nothing.
//
// docs/decisions/0012-okta-by-token.md says why.

// A PulledUser is a user as a directory says whom the cloud reads.
type PulledUser struct {
	ID     string         // the directory's
	Status string         // in the directory's words
	Valid  bool           // with that status a person may open doors
	Gone   bool           // the account has ended: somebody whom nobody knows is not made anew
	Attrs  map[string]any // SCIM document, without externalId and active
}

// A PulledGroup is a group with all its members, by the directory's ids.
type PulledGroup struct {
	ID, Name, Description string
	Members               []string
}

// A PulledPerson is somebody for whom a directory is read.
type PulledPerson struct {
	PulledID, ID, Name string
	Status             string
	Owned              bool // by the pull
	Out                bool
}

// A PulledGroupRow is a group that a read made.
type PulledGroupRow struct{ PulledID, ID, Name string }

// PullUser takes in what was read of one user, and says whether that changed
// anything. *Conflict where userName or externalId is another person's, and
// *Invalid: nothing of that user was taken in then, but a status that locks
// out somebody who is known.
func (s *Service) PullUser(ctx context.Context, org string, u PulledUser) (changed bool, err error) {
	same := false
	err = s.store.View(ctx, func(tx Tx) error {
		same, err = pulledSame(tx, org, u)
		return err
	})
	if err != nil || same {
		return false, err
	}
	pull := func(f func(*work) error) error {
		return s.directory(ctx, Caller{Org: org}, act{what: "read user", name: text(u.Attrs["userName"])}, f)
	}
	err = pull(func(w *work) error { return w.pullUser(u, &changed) })
	if err != nil && refusal(err) && !u.Valid { // what locks out does not wait for the rest to be mended
		err = errors.Join(err, pull(func(w *work) error { return w.pullOut(u, &changed) }))
	}
	return changed, err
}

// pullOut takes in only that u is locked out, where u is known.
func (w *work) pullOut(u PulledUser, changed *bool) error {
	row, err := w.pulledBy("pulledId", u.ID)
	if err != nil || row == nil {
		return err
	}
	*changed = true
	return w.pullStatus(row, u)
}

// PullNews are those of users that are not what is stored of them already.
func (s *Service) PullNews(ctx context.Context, org string, users []PulledUser) (news []PulledUser, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		news = nil
		for _, u := range users {
			same, err := pulledSame(tx, org, u)
			if err != nil {
				return err
			}
			if !same {
				news = append(news, u)
			}
		}
		return nil
	})
	return news, err
}

// pulledSame says whether u is what is stored of it already.
func pulledSame(tx Tx, org string, u PulledUser) (bool, error) {
	rows, err := tx.FindPeople(find(org, []Term{{"pulledId", u.ID}}), 0, 1)
	if err != nil || len(rows) == 0 {
		return false, err
	}
	row := rows[0]
	if row.PulledStatus != u.Status || row.PulledOut == u.Valid {
		return false, nil
	}
	if !row.PulledOwned {
		return true, nil
	}
	old, err := decodeAttrs(row.Doc)
	if err != nil {
		return false, err
	}
	next, err := pulledDoc(u, old)
	if err != nil {
		return false, err
	}
	doc, err := encodeAttrs(next)
	return err == nil && string(doc) == string(row.Doc), err
}

// pulledDoc is the document of somebody whom the pull owns, in place of old.
func pulledDoc(u PulledUser, old map[string]any) (map[string]any, error) {
	next, err := clone(u.Attrs)
	if err != nil {
		return nil, err
	}
	next["externalId"], next["active"] = u.ID, u.Valid
	normalise(old, next, true)
	if u.Attrs["userType"] == nil { // a profile is read whole
		delete(next, "userType")
	}
	return next, nil
}

// pullUser is PullUser inside a transaction.
func (w *work) pullUser(u PulledUser, changed *bool) error {
	if u.ID == "" {
		return invalid("id", "the directory's id is missing")
	}
	row, err := w.pulledPerson(u)
	switch {
	case err != nil:
		return err
	case row == nil && u.Gone:
		return nil
	case row == nil:
		row = &PersonRow{ID: w.s.newID(w.now), Org: w.org.ID, Origin: OriginDirectory, Created: w.now, PulledOwned: true}
	}
	*changed = true
	w.act.object = row.ID
	if !row.PulledOwned {
		return w.pullStatus(row, u)
	}
	var old map[string]any
	if row.Doc != nil {
		if old, err = decodeAttrs(row.Doc); err != nil {
			return err
		}
	}
	next, err := pulledDoc(u, old)
	if err != nil {
		return err
	}
	w.lenient = true // there is nobody to tell that a card number is not taken; the person's page says so
	if _, err := w.putUser(row, old, next); err != nil {
		return err
	}
	return w.pullStatus(row, u)
}

// pullStatus stores what u's status does to a person who is stored.
func (w *work) pullStatus(row *PersonRow, u PulledUser) error {
	if row.PulledID == u.ID && row.PulledStatus == u.Status && row.PulledOut == !u.Valid {
		return nil
	}
	w.act.name = row.Name
	w.note("status in the directory", row.PulledStatus, u.Status)
	w.roles[row.ID] = row.PulledOut == u.Valid
	row.PulledID, row.PulledStatus, row.PulledOut = u.ID, u.Status, !u.Valid
	w.people[row.ID] = true
	return w.tx.PutPerson(*row)
}

// pulledPerson finds whom u is, nil for somebody new.
func (w *work) pulledPerson(u PulledUser) (*PersonRow, error) {
	if row, err := w.pulledBy("pulledId", u.ID); row != nil || err != nil {
		return row, err
	}
	userName := strings.TrimSpace(text(u.Attrs["userName"]))
	for _, t := range []Term{{"externalId", u.ID}, {"userName", userName}} {
		if t.Value == "" {
			continue
		}
		row, err := w.pulledBy(t.Attr, t.Value)
		switch {
		case err != nil:
			return nil, err
		case row == nil:
		case row.PulledID != "" && (row.PulledOwned || !row.PulledOut):
			// A name that is used again is no proof that it is the same person: whose
			// it was must be gone first.
			return nil, &Conflict{Attr: t.Attr, Value: t.Value, ID: row.ID}
		default:
			return row, nil
		}
	}
	return nil, nil
}

func (w *work) pulledBy(attr, value string) (*PersonRow, error) {
	rows, err := w.tx.FindPeople(find(w.org.ID, []Term{{attr, value}}), 0, 1)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	row, err := w.tx.Person(w.org.ID, rows[0].ID) // with the addresses
	return &row, err
}

// PullUserGone takes in that the directory has no user of that id any more:
// somebody whom the pull owns is deleted, anybody else is locked out.
func (s *Service) PullUserGone(ctx context.Context, org, id, status string) error {
	return s.directory(ctx, Caller{Org: org}, act{what: "read that a user is gone", object: id}, func(w *work) error {
		return w.pullUserGone(id, status)
	})
}

func (w *work) pullUserGone(id, status string) error {
	row, err := w.pulledBy("pulledId", id)
	if err != nil || row == nil {
		return err
	}
	if row.PulledOwned {
		return w.deletePerson(*row)
	}
	return w.pullStatus(row, PulledUser{ID: id, Status: status})
}

// owned says that a call of the directory changed row: it owns the person from
// now on. attrs are those that the call is about to change: that the person was
// inactive was the pull's doing, and stays that.
func (c Caller) owned(row *PersonRow, attrs ...map[string]any) (changed bool) {
	if c.Token == "" || !row.PulledOwned {
		return false
	}
	row.PulledOwned = false
	for _, a := range attrs {
		if row.PulledOut {
			a["active"] = true
		}
	}
	return true
}

// takeOver stores that a directory that calls us owns a person from now on.
func (w *work) takeOver(row PersonRow) error {
	w.note("owned by", "the directory that is read", "the directory that calls")
	w.people[row.ID] = true
	return w.tx.PutPerson(row)
}

// Pulled lists the people and the groups that a directory was read for.
func (s *Service) Pulled(ctx context.Context, org string) (people []PulledPerson, groups []PulledGroupRow, err error) {
	err = s.store.View(ctx, func(tx Tx) error {
		if people, err = tx.PulledPeople(org); err != nil {
			return err
		}
		groups, err = tx.PulledGroups(org)
		return err
	})
	return people, groups, err
}

// ReleasePulled ends what the pull says once its directory is read no more.
// Those whom the pull owns stay as they are, and whoever is locked out stays
// that until a directory that calls says otherwise. giveBack lets those in again
// whom another directory owns and whom only the pull had locked out; n is how
// many.
func (s *Service) ReleasePulled(ctx context.Context, by Actor, org string, giveBack bool) (n int, err error) {
	err = s.update(ctx, org, act{by: by, what: "end what the reading of a directory says"}, func(w *work) error {
		n = 0
		people, err := w.tx.PulledPeople(org)
		if err != nil {
			return err
		}
		for _, p := range people {
			if !p.Out || !p.Owned && !giveBack {
				continue
			}
			row, err := w.tx.Person(org, p.ID)
			if err != nil {
				return err
			}
			row.PulledOut = false
			if !p.Owned {
				n++
				row.PulledID, row.PulledStatus = "", ""
			} else if row.Active { // it says so itself; but nobody comes in by this
				continue
			}
			w.note(row.ID, p.Status, nil)
			w.people[row.ID] = true
			if err := w.tx.PutPerson(row); err != nil {
				return err
			}
		}
		return nil
	})
	return n, err
}
