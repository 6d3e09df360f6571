package store

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"latchkey/cloud"
)

func TestUsersForget(t *testing.T) {
	ada, ann := cloud.User{ID: "1", Version: 1}, cloud.User{ID: "2"}
	byName := name{"acme", "userName", "ada"}
	s := newUsers(maxUsers)
	has := func(what string, n name, want string) uint64 {
		t.Helper()
		got, ok, moment := s.get(n, "acme", "directory")
		if got.ID != want || ok != (want != "") {
			t.Errorf("%s: got %+v, %t, want %q", what, got, ok, want)
		}
		return moment
	}
	put := func(u cloud.User, moment uint64) { s.put(byName, "acme", "directory", u, moment) }
	early := has("nothing yet", byName, "")
	put(ada, early)
	has("what was read", byName, "1")
	has("by its id", idName("1"), "1")
	for _, other := range [][2]string{{"other", "directory"}, {"acme", "manual"}} {
		if _, ok, _ := s.get(idName("1"), other[0], other[1]); ok {
			t.Errorf("%v sees a user that is not its own", other)
		}
	}

	done := s.change(touched{names: []name{idName("1")}})
	during := has("during a commit", byName, "")
	put(ada, early)
	put(ada, during)
	has("what was read before and during a commit that goes on", byName, "")
	other := s.change(touched{names: []name{byName}})
	done()
	put(ada, has("after one of two commits", byName, ""))
	put(ann, has("after one of two commits", byName, ""))
	has("what was read while another commit goes on", byName, "")
	other()
	put(ann, during)
	put(ada, during)
	has("what was read before a commit ended", byName, "")
	put(ann, has("after both", byName, ""))
	has("what was read since", byName, "2")

	var few, many touched
	few.add(byName)
	for range maxTouched + 1 {
		many.add(byName)
	}
	if !reflect.DeepEqual(few, touched{names: []name{byName}}) || !reflect.DeepEqual(many, touched{all: true}) {
		t.Errorf("a transaction touches %d names (all: %t), and %d (%t)", len(few.names), few.all, len(many.names), many.all)
	}
	s.change(few)()
	has("who had a name that others get", idName("2"), "")
	put(ann, has("after that", byName, ""))
	done = s.change(touched{all: true})
	put(ann, has("while everybody changes", byName, ""))
	has("while everybody changes", idName("2"), "")
	done()
	if len(s.byID)+len(s.named)+s.size != 0 {
		t.Errorf("%d users, %d names, %d bytes are left", len(s.byID), len(s.named), s.size)
	}
}

func TestUsersAreBounded(t *testing.T) {
	s := newUsers(100_000)
	for i := range 1000 {
		id := fmt.Sprint(i)
		u := cloud.User{ID: id, Doc: make([]byte, 1000), Groups: []cloud.Member{{Value: "g", Display: "G"}}}
		s.put(name{"acme", "userName", id}, "acme", "directory", u, 0)
	}
	if n := len(s.byID); n != len(s.named) || n < 50 || n > 100 || s.size > s.most {
		t.Errorf("%d users, %d names, %d bytes; want some 60 users", n, len(s.named), s.size)
	}
	for id := range s.byID {
		s.forget(id)
	}
	if len(s.named)+s.size != 0 {
		t.Errorf("%d names and %d bytes are left", len(s.named), s.size)
	}
}

// TestUsersAreAsTheDatabase: whatever is written, what is remembered is what
// the database says, by every name.
func TestUsersAreAsTheDatabase(t *testing.T) {
	c := contract{t, open(t, filepath.Join(t.TempDir(), "cloud.db"))}
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(prefix string, n int) string { return fmt.Sprint(prefix, random.IntN(n)) }
	undone := errors.New("undone")
	may := func(err error) error { // what is not there cannot be changed
		if errors.Is(err, cloud.ErrNotFound) {
			return nil
		}
		return err
	}
	write := func(tx cloud.Tx, version int64) error {
		switch random.IntN(10) {
		case 0:
			return may(tx.DeletePerson("acme", pick("p", 6)))
		case 1:
			return may(tx.DeleteGroup("acme", pick("g", 3)))
		case 2, 3:
			id := pick("g", 3)
			return tx.PutGroup(cloud.GroupRow{ID: id, Org: "acme", DisplayName: pick(id+"-", 2), Doc: []byte("{}"), Version: version})
		case 4, 5:
			group := pick("g", 3)
			if _, err := tx.Group("acme", group); err != nil {
				return may(err)
			}
			return second(tx.AddMember(group, pick("p", 6)))
		case 6:
			return second(tx.RemoveMember(pick("g", 3), pick("p", 6)))
		}
		n := random.IntN(6)
		p := cloud.PersonRow{ID: fmt.Sprint("p", n), Org: "acme", Origin: []string{"directory", "manual"}[n%2],
			UserName: pick("U", 9), ExternalID: pick("E", 3), Doc: []byte("{}"), Version: version}
		if taken, err := tx.FindPeople(cloud.Find{Org: "acme", Terms: []cloud.Term{{Attr: "userName", Value: p.UserName}}}, 0, -1); err != nil {
			return err
		} else if len(taken) > 0 && taken[0].ID != p.ID {
			return nil
		}
		return tx.PutPerson(p)
	}
	c.update(putOrg("acme"), putOrg("other"))
	for round := range 200 {
		version := int64(round)
		err := c.db.Update(t.Context(), func(tx cloud.Tx) error {
			for range 1 + random.IntN(3) {
				if err := write(tx, version); err != nil {
					return err
				}
			}
			if random.IntN(5) == 0 {
				return undone
			}
			return nil
		})
		if err != nil && !errors.Is(err, undone) {
			t.Fatal(err)
		}
		for range 30 {
			f := cloud.Find{Org: "acme", Origin: "directory", Terms: []cloud.Term{{Attr: "id", Value: pick("p", 6)}}}
			switch random.IntN(3) {
			case 0:
				f.Terms[0] = cloud.Term{Attr: "userName", Value: pick("u", 9)}
			case 1:
				f.Terms[0] = cloud.Term{Attr: "externalId", Value: pick("E", 3)}
			}
			if random.IntN(4) == 0 {
				f.Origin = "manual"
			}
			if random.IntN(8) == 0 {
				f.Org = "other"
			}
			start, count := random.IntN(2), []int{-1, 0, 1, 2, 100}[random.IntN(5)]
			var asked []cloud.User
			find := func(into *[]cloud.User) func(cloud.Tx) error {
				return func(tx cloud.Tx) (err error) {
					*into, err = tx.FindUsers(f, start, count)
					return err
				}
			}
			if err := c.db.Ask(t.Context(), find(&asked)); err != nil {
				t.Fatal(err)
			}
			is(c, fmt.Sprintf("round %d: %+v from %d, %d", round, f, start, count), asked,
				func(tx cloud.Tx) ([]cloud.User, error) { return tx.FindUsers(f, start, count) })
		}
		if t.Failed() {
			return
		}
	}
	if len(c.db.users.byID) == 0 {
		t.Error("nobody is remembered: nothing was tested")
	}
}

// TestUserIsNeverOld: who asks after a change was made sees it, however many
// ask meanwhile.
func TestUserIsNeverOld(t *testing.T) {
	both(t, func(c contract) {
		const changes = 150
		put := func(n int64) func(cloud.Tx) error {
			return func(tx cloud.Tx) error {
				return errors.Join(
					tx.PutPerson(cloud.PersonRow{ID: "p", Org: "acme", Origin: "directory", UserName: "ada", Doc: []byte("{}"), Version: n}),
					tx.PutGroup(cloud.GroupRow{ID: "g", Org: "acme", DisplayName: fmt.Sprint("G", n), Doc: []byte("{}")}),
					second(tx.AddMember("g", "p")))
			}
		}
		c.update(putOrg("acme"), put(0))
		var made, stop atomic.Int64
		var readers sync.WaitGroup
		for i := range 4 {
			f := cloud.Find{Org: "acme", Origin: "directory", Terms: []cloud.Term{{Attr: "id", Value: "p"}}}
			if i%2 == 1 {
				f.Terms[0] = cloud.Term{Attr: "userName", Value: "Ada"}
			}
			readers.Go(func() {
				for last := int64(0); stop.Load() == 0; {
					at := max(made.Load(), last)
					var found []cloud.User
					err := c.db.Ask(c.Context(), func(tx cloud.Tx) (err error) {
						found, err = tx.FindUsers(f, 0, 1)
						return err
					})
					if err != nil || len(found) != 1 || found[0].Version < at ||
						!reflect.DeepEqual(found[0].Groups, []cloud.Member{{Value: "g", Display: fmt.Sprint("G", found[0].Version)}}) {
						c.Errorf("change %d was made, got %+v, %v", at, found, err)
						return
					}
					last = found[0].Version
				}
			})
		}
		for n := int64(1); n <= changes; n++ {
			c.update(put(n))
			made.Store(n)
		}
		stop.Store(1)
		readers.Wait()
	})
}
