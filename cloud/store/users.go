package store

import (
	"hash/maphash"
	"sync"

	"latchkey/cloud"
)

const (
	// maxUsers is about how many bytes the users that are remembered take.
	maxUsers = 128 << 20
	// maxTouched is how many names a transaction touches one by one.
	maxTouched = 4096
)

// users remembers people as SCIM sees them, as they were asked for: by id, and
// by the names that find them. It is exact, person by person: from before a
// commit that changes a person until after it, nothing of that person is
// remembered, and what was read before the end of that commit never is. Only
// good where no other process writes.
type users struct {
	most int // bytes

	mu    sync.RWMutex
	byID  map[string]*user
	named map[name]*user
	size  int
	ended uint64 // commits that have ended
	all   mark
	seed  maphash.Seed
	marks [1024]mark // of all names, by their hashes
}

// A user is one that is remembered.
type user struct {
	cloud.User
	org, origin string
	names       []name // in named
	size        int
}

// A name is what one person at most is found by, or few: an attribute and its
// value as it is looked up. An id has no org, because those who change a person
// by it need not know one.
type name struct{ org, attr, value string }

// A mark says which commits may have changed what it stands for.
type mark struct {
	under int    // under way
	ended uint64 // the last one that has ended
}

// touched is what a transaction changes of users: these names, or anything.
type touched struct {
	names []name
	all   bool
}

func newUsers(most int) *users {
	return &users{most: most, byID: map[string]*user{}, named: map[name]*user{}, seed: maphash.MakeSeed()}
}

// nameOf is the name that f looks for; ok is false where it does anything else.
func nameOf(f cloud.Find) (n name, ok bool) {
	if len(f.Terms) != 1 || f.Origin == "" || f.After != "" {
		return n, false
	}
	switch t := f.Terms[0]; t.Attr {
	case "id":
		return idName(t.Value), true
	case "userName", "externalId":
		return name{f.Org, t.Attr, lookedUp(t)}, true
	}
	return n, false
}

func idName(id string) name { return name{attr: "id", value: id} }

// get gives the user of that name, or the moment that put wants.
func (s *users) get(n name, org, origin string) (found cloud.User, ok bool, moment uint64) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var u *user
	if n.attr == "id" {
		u = s.byID[n.value]
	} else {
		u = s.named[n]
	}
	if u == nil || u.org != org || u.origin != origin {
		return found, false, s.ended
	}
	return u.User, true, s.ended
}

// put remembers the one user of that name as it was read since moment, unless
// that may be old by now.
func (s *users) put(n name, org, origin string, read cloud.User, moment uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range []*mark{&s.all, s.mark(n), s.mark(idName(read.ID))} {
		if m.under > 0 || m.ended > moment {
			return
		}
	}
	u := s.byID[read.ID]
	if u == nil {
		u = &user{User: read, org: org, origin: origin, size: 512 + len(read.Doc)}
		for _, g := range read.Groups {
			u.size += 64 + len(g.Value) + len(g.Display)
		}
		s.byID[read.ID] = u
		s.size += u.size
	}
	if n.attr != "id" && s.named[n] != u {
		s.named[n] = u
		u.names = append(u.names, n)
	}
	for id := range s.byID { // in no order
		if s.size <= s.most {
			break
		}
		s.forget(id)
	}
}

// mark is the mark of a name, and of others that share its hash.
func (s *users) mark(n name) *mark {
	return &s.marks[maphash.Comparable(s.seed, n)%uint64(len(s.marks))]
}

// forget drops a person with all names.
func (s *users) forget(id string) {
	u := s.byID[id]
	if u == nil {
		return
	}
	for _, n := range u.names {
		delete(s.named, n)
	}
	delete(s.byID, id)
	s.size -= u.size
}

// change forgets what a transaction touched, before it commits; done is called
// once the commit has ended, however it ended.
func (s *users) change(t touched) (done func()) {
	if s == nil || len(t.names) == 0 && !t.all {
		return func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var marks []*mark
	if t.all {
		s.byID, s.named, s.size = map[string]*user{}, map[name]*user{}, 0
		marks = []*mark{&s.all}
	}
	for _, n := range t.names {
		if n.attr == "id" {
			s.forget(n.value)
		} else if u := s.named[n]; u != nil {
			s.forget(u.ID)
		}
		marks = append(marks, s.mark(n))
	}
	for _, m := range marks {
		m.under++
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended++
		for _, m := range marks {
			m.under--
			m.ended = s.ended
		}
	}
}

// add notes names that the transaction touches.
func (t *touched) add(names ...name) {
	if t.all {
		return
	}
	if t.names = append(t.names, names...); len(t.names) > maxTouched {
		t.everybody()
	}
}

// everybody notes that the transaction touches any user, or so many that it
// comes to the same.
func (t *touched) everybody() { *t = touched{all: true} }
