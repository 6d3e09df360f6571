package cache

import (
	"latchkey/access"
	"latchkey/delta"
)

// Takes is what changes would take from the state held, nothing where that is
// from one person at most: ErrRecord.
func (db *DB) Takes(changes []delta.Change) (loss access.Loss, err error) {
	next := make(map[access.Ref]access.Record, len(changes))
	for _, c := range changes {
		s, err := check(c)
		if err != nil {
			return loss, err
		}
		next[s.ref] = s.record
	}
	db.Survey(func(x *access.Index, _ delta.Head) {
		if x.Many(next) {
			loss = x.Loss(next)
		}
	})
	return loss, nil
}

// TakesDenied is what blocking refs would take.
func (db *DB) TakesDenied(refs []access.Ref) (loss access.Loss) {
	db.Survey(func(x *access.Index, _ delta.Head) { loss = x.LossDenied(refs) })
	return loss
}

// Openings is how many openings the state has: see access.Loss.
func (db *DB) Openings() (n int) {
	db.Survey(func(x *access.Index, _ delta.Head) { n = x.Openings() })
	return n
}

// A Swapping is a snapshot that verifies and is about to take the place of the
// state.
type Swapping struct {
	Head     delta.Head
	Approved *delta.Approval
	Loss     access.Loss // what it takes from the index
	Held     int         // openings of the index
	Left     int         // openings of the snapshot
	Verified bool        // the state held is verified; a damaged one has what is left of it
}

// swapping measures the staged snapshot s, which is p.
func (db *DB) swapping(s stage, p *picture) Swapping {
	w := Swapping{Head: s.Head, Approved: s.Approved, Left: p.index.Openings()}
	db.Survey(func(x *access.Index, held delta.Head) {
		w.Loss, w.Held = x.LossTo(p.index)
		w.Verified = held.Epoch != 0
	})
	return w
}
