package cloud

import (
	"slices"

	"latchkey/access"
)

// A GroupEdit is a group inside UpdateGroup's transaction. Its methods are set
// operations on stored rows, so that edits of one group in parallel lose
// nothing (REQUIREMENTS D11).
type GroupEdit struct {
	Attrs map[string]any // the document; what stands there after the edit is stored

	w       *work
	id      string
	touched map[string]bool // members that came or went: true came
}

func (e *GroupEdit) touch(id string, came bool) {
	if e.touched == nil {
		e.touched = map[string]bool{}
	}
	if was, ok := e.touched[id]; ok && was != came {
		delete(e.touched, id) // there and back
		return
	}
	e.touched[id] = came
}

// Add puts members in; those that are in stay in.
func (e *GroupEdit) Add(ids ...string) error {
	for _, id := range ids {
		if id == "" || len(id) > access.MaxID {
			return &Invalid{ScimType: InvalidValue, Attr: "members", Detail: "a member has no usable value"}
		}
		added, err := e.w.tx.AddMember(e.id, id)
		if err != nil {
			return err
		}
		if !added {
			continue
		}
		if err := e.w.roomForMembers(1); err != nil {
			return err
		}
		e.touch(id, true)
	}
	return nil
}

// Remove takes members out; those that are not in stay out.
func (e *GroupEdit) Remove(ids ...string) error {
	for _, id := range ids {
		removed, err := e.w.tx.RemoveMember(e.id, id)
		if err != nil {
			return err
		}
		if removed {
			e.touch(id, false)
		}
	}
	return nil
}

// Replace makes ids the members.
func (e *GroupEdit) Replace(ids []string) error {
	have, err := e.Members()
	if err != nil {
		return err
	}
	keep := make(map[string]bool, len(ids))
	for _, id := range ids {
		keep[id] = true
	}
	gone := slices.DeleteFunc(have, func(id string) bool { return keep[id] })
	if err := e.Remove(gone...); err != nil {
		return err
	}
	return e.Add(ids...)
}

// Has reports whether id is a member.
func (e *GroupEdit) Has(id string) (bool, error) { return e.w.tx.IsMember(e.id, id) }

// Members lists all members by id.
func (e *GroupEdit) Members() ([]string, error) { return e.w.tx.MemberIDs(e.id, "", 0) }

// follow lets the access of those follow who came or went.
func (e *GroupEdit) follow() error {
	if len(e.touched) == 0 {
		return nil
	}
	var came, went []string
	for id, in := range e.touched {
		if in {
			came = append(came, id)
		} else {
			went = append(went, id)
		}
	}
	e.w.noteMembers("members added", came, len(came))
	e.w.noteMembers("members removed", went, len(went))
	asked, err := e.w.referenced(e.id)
	if err != nil || !asked {
		return err
	}
	for id := range e.touched {
		e.w.people[id] = true
	}
	return nil
}

// mostNoted is how many members the audit trail names that came or went at once.
const mostNoted = 100

// noteMembers records which n members came or went, by id; of very many only
// how many.
func (w *work) noteMembers(field string, ids []string, n int) {
	switch {
	case n > mostNoted:
		w.note(field, nil, n)
	case n > 0:
		slices.Sort(ids)
		w.note(field, nil, ids)
	}
}
