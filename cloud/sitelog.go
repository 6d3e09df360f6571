package cloud

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"latchkey/access"
	"latchkey/delta"
)

// payloadBudget is how much of delta.MaxPayload the changes of one message may
// take, in bytes; the rest is for its header.
const payloadBudget = delta.MaxPayload - 2<<10

// An edit is one record that a site must store or forget.
type edit struct {
	ref   access.Ref
	owner string
	old   []byte // canonical, nil where the site has none
	next  []byte // canonical, nil to forget it
	deny  []access.Ref
}

func (e *edit) change() delta.Change {
	if e.next == nil {
		return delta.Del(e.ref)
	}
	return delta.Change{Op: delta.OpPut, Ref: e.ref, Record: e.next}
}

// size is at least what e takes in a payload, in bytes.
func (e *edit) size() int {
	const frame = 64 // names, quotes and commas of one change or ref
	n := frame + quoted(e.ref) + len(e.next)
	for _, r := range e.deny {
		n += frame + quoted(r)
	}
	return n
}

// quoted is what the texts of r take as JSON, in bytes.
func quoted(r access.Ref) int {
	n := len(r.Kind)
	for _, c := range r.Key {
		switch {
		case c < ' ', c == '<', c == '>', c == '&', c == '\u2028', c == '\u2029', c == utf8.RuneError:
			n += len(`\u0000`)
		case c == '"', c == '\\':
			n += 2
		default:
			n += utf8.RuneLen(c)
		}
	}
	return n
}

// loses says whether e takes access away.
func (e *edit) loses() bool { return e.next == nil || len(e.deny) > 0 }

// compare is the difference between what a site has and what it should have,
// removals first. have maps refs to canonical records; owner is whose they
// are. grants lists the site's grants, by which a narrowed schedule or door is
// denied. What goes is denied unless something wanted does as well.
func compare(owner string, have map[access.Ref][]byte, want []access.Record, grants []access.Grant) ([]edit, error) {
	var edits []edit
	wanted := make(map[access.Ref]bool, len(want))
	for _, r := range want {
		next, err := delta.Canonical(r)
		if err != nil {
			return nil, err
		}
		ref := r.Ref()
		if wanted[ref] {
			return nil, fmt.Errorf("cloud: %s is wanted twice", ref.Kind)
		}
		wanted[ref] = true
		old, ok := have[ref]
		switch {
		case !ok:
			edits = append(edits, edit{ref: ref, owner: owner, next: next})
		case !bytes.Equal(old, next):
			deny, err := narrowing(old, r, grants)
			if err != nil {
				return nil, err
			}
			edits = append(edits, edit{ref: ref, owner: owner, old: old, next: next, deny: deny})
		}
	}
	for ref, old := range have {
		if !wanted[ref] {
			edits = append(edits, edit{ref: ref, owner: owner, old: old, deny: removal(ref, want)})
		}
	}
	slices.SortFunc(edits, inOrder)
	return edits, nil
}

// inOrder puts removals first, then goes by kind and key.
func inOrder(a, b edit) int {
	gone := func(e edit) int {
		if e.next == nil {
			return 0
		}
		return 1
	}
	return cmp.Or(gone(a)-gone(b), cmp.Compare(a.ref.Kind, b.ref.Kind), cmp.Compare(a.ref.Key, b.ref.Key))
}

// removal is what the deny lane names when the record ref goes and want is to
// be there. A door, a schedule or a group is not named: its grants go with it,
// each under its own name.
func removal(ref access.Ref, want []access.Record) []access.Ref {
	switch ref.Kind {
	case access.KindPerson, access.KindCredential, access.KindMembership:
		return []access.Ref{ref}
	case access.KindGrant:
		for _, r := range want { // the same door for the same group at all hours
			if g, ok := r.(access.Grant); ok && g.Schedule == "" && strings.HasPrefix(ref.Key, g.Ref().Key) {
				return nil
			}
		}
		return []access.Ref{ref}
	}
	return nil
}

// maxNamed is how many grants the deny lane names one by one where a schedule
// or a door that they hang on is narrowed.
const maxNamed = 64

// narrowing is what the deny lane names when the record old becomes next:
// nothing where nobody loses access by it.
func narrowing(old []byte, next access.Record, grants []access.Grant) ([]access.Ref, error) {
	switch next := next.(type) {
	case access.Person:
		was, err := read[access.Person](old)
		// A person of kind FULL opens whatever one of kind SMARTBOX does.
		if was.State == access.StateActive && next.State != access.StateActive || was.Kind == access.KindFull && next.Kind != access.KindFull {
			return []access.Ref{next.Ref()}, err
		}
		return nil, err
	case access.Credential:
		was, err := read[access.Credential](old)
		if was.Status == access.CredentialPending { // it has no number that anything could know
			return nil, err
		}
		if was.Status == access.CredentialActive && next.Status != access.CredentialActive ||
			was.Person != next.Person || was.Bits != next.Bits ||
			next.ValidFrom > was.ValidFrom || next.ValidUntil != 0 && (was.ValidUntil == 0 || next.ValidUntil < was.ValidUntil) {
			return []access.Ref{next.Ref()}, err
		}
		return nil, err
	case access.Schedule:
		was, err := read[access.Schedule](old)
		if covers(next, was) {
			return nil, err
		}
		return grantsOf(grants, next.Ref(), func(g access.Grant) bool { return g.Schedule == next.ID }), err
	case access.Door:
		was, err := read[access.Door](old)
		if was.Kind == next.Kind || next.Kind == access.DoorKindCabinet {
			return nil, err // everyone who opens a door of kind door opens cabinets
		}
		return grantsOf(grants, next.Ref(), func(g access.Grant) bool { return g.Door == next.ID }), err
	}
	return nil, nil
}

func read[T access.Record](doc []byte) (r T, err error) {
	if err := json.Unmarshal(doc, &r); err != nil {
		return r, fmt.Errorf("cloud: stored %s: %w", r.Ref().Kind, err)
	}
	return r, nil
}

// grantsOf names those of grants that hang on whole, or whole itself where they
// are so many that they might not fit a message.
func grantsOf(grants []access.Grant, whole access.Ref, which func(access.Grant) bool) []access.Ref {
	var refs []access.Ref
	for _, g := range grants {
		if which(g) {
			refs = append(refs, g.Ref())
		}
	}
	if len(refs) > maxNamed {
		return []access.Ref{whole}
	}
	return refs
}

// covers says whether whatever opens during small also opens during big.
func covers(big, small access.Schedule) bool {
	if big.Zone != small.Zone {
		return false
	}
	for _, day := range big.Holidays {
		if !slices.Contains(small.Holidays, day) {
			return false
		}
	}
	const week = 7 * 24 * 60
	var open [week]bool
	mark := func(s access.Schedule, do func(minute int)) {
		for _, iv := range s.Weekly {
			for m := iv.From; m < iv.To; m++ {
				if at := iv.Day*24*60 + m; at >= 0 && at < week {
					do(at)
				}
			}
		}
	}
	mark(big, func(m int) { open[m] = true })
	all := true
	mark(small, func(m int) { all = all && open[m] })
	return all
}

// A unit is edits that stay in one message: all of one person. It takes so many
// openings.
type unit struct {
	edits []edit
	takes int
}

// A batched is the edits of one message, and how many openings they take as far
// as these are people's own.
type batched struct {
	edits []edit
	takes int
}

func (u *unit) size() (n int) {
	for i := range u.edits {
		n += u.edits[i].size()
	}
	return n
}

func (u *unit) loses() bool {
	return slices.ContainsFunc(u.edits, func(e edit) bool { return e.loses() })
}

// pack puts units into messages that fit, those that take access away first.
// A unit too large for one message, which no person's is within the limits of
// rules and cards, is cut, its removals first.
func pack(units []unit) []batched {
	slices.SortStableFunc(units, func(a, b unit) int {
		switch al, bl := a.loses(), b.loses(); {
		case al == bl:
			return 0
		case al:
			return -1
		}
		return 1
	})
	var messages []batched
	var room int
	add := func(u unit, size int) {
		if size > room || len(messages) == 0 {
			messages = append(messages, batched{})
			room = payloadBudget
		}
		last := &messages[len(messages)-1]
		last.edits = append(last.edits, u.edits...)
		last.takes += u.takes
		room -= size
	}
	for _, u := range units {
		if size := u.size(); size <= payloadBudget {
			add(u, size)
			continue
		}
		for i := range u.edits {
			add(unit{u.edits[i : i+1], u.takes}, u.edits[i].size())
		}
	}
	for _, m := range messages {
		slices.SortStableFunc(m.edits, inOrder)
	}
	return messages
}

// appendLog writes units to the site's log and to what the site is to hold,
// and moves head along. word is whose word a message bears that takes so many
// openings of people's own.
func appendLog(tx Tx, site string, head *delta.Head, units []unit, now time.Time, word func(takes int) *delta.Approval) error {
	for _, m := range pack(units) {
		d := &delta.Delta{
			Header: delta.Header{Type: delta.TypeDelta, Site: site, At: now.UTC()},
			Epoch:  head.Epoch, Seq: head.Seq + 1, Prev: head.Hash,
			Digest: head.Digest, Changes: make([]delta.Change, 0, len(m.edits)), Approved: word(m.takes),
		}
		denied := map[access.Ref]bool{}
		for i := range m.edits {
			e := &m.edits[i]
			d.Changes = append(d.Changes, e.change())
			for _, ref := range e.deny {
				if !denied[ref] {
					denied[ref] = true
					d.Deny = append(d.Deny, ref)
				}
			}
			if e.old != nil {
				d.Digest.Sub(e.ref, e.old)
			}
			var err error
			if e.next == nil {
				err = tx.DeleteRecord(site, e.ref)
			} else {
				d.Digest.Add(e.ref, e.next)
				err = tx.PutRecord(RecordRow{Site: site, Ref: e.ref, Owner: e.owner, Doc: e.next, Seq: d.Seq})
			}
			if err != nil {
				return err
			}
		}
		payload, err := delta.Encode(d)
		if err != nil {
			return fmt.Errorf("cloud: site %s: %w", site, err)
		}
		hash := delta.HashOf(payload)
		if err := tx.AppendLog(site, d.Epoch, d.Seq, now, payload, hash); err != nil {
			return err
		}
		head.Seq, head.Hash, head.Digest = d.Seq, hash, d.Digest
	}
	return nil
}
