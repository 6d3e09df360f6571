package cloud

import (
	"cmp"
	"context"
	"slices"
	"strconv"

	"latchkey/access"
	"latchkey/wiegand"
)

// A Pool is where an organisation's mobile keys of one technology get their
// numbers. Readers deliver them like those of cards, so no key has the number
// of a card or of another key.
type Pool struct {
	Technology string  `json:"technology"`         // access.TechBLE or access.TechWallet
	Format     string  `json:"format"`             // Wiegand format, such as "H10302"
	Facility   *uint64 `json:"facility,omitempty"` // where the format has one
	First      uint64  `json:"first"`
	Last       uint64  `json:"last"` // at most maxPool numbers
	Next       uint64  `json:"-"`    // to be looked at first
	Spent      bool    `json:"-"`    // no number was free when last looked at
}

// maxPool is how many numbers a pool has at most.
const maxPool = 1_000_000

// A PoolStatus is a technology's pool, if there is one, and what came of it.
type PoolStatus struct {
	Technology string `json:"technology"`
	Pool       *Pool  `json:"pool,omitempty"`
	Keys       int    `json:"keys"`    // with a number
	Pending    int    `json:"pending"` // that wait for one
	Note       string `json:"note,omitempty"`
}

// Why mobile keys wait for a number.
const (
	NoteNoPool    = "no pool of numbers is set: keys wait"
	NotePoolSpent = "no number of the pool is free: keys wait"
)

// technologies are those of mobile keys.
func technologies() []string { return []string{access.TechBLE, access.TechWallet} }

// Pools says for each technology where its mobile keys get their numbers.
func (s *Service) Pools(ctx context.Context, org string) ([]PoolStatus, error) {
	var all []PoolStatus
	err := s.store.View(ctx, func(tx Tx) error {
		all = nil
		if _, err := tx.Org(org); err != nil {
			return err
		}
		pools, err := tx.Pools(org)
		if err != nil {
			return err
		}
		for _, tech := range technologies() {
			st := PoolStatus{Technology: tech}
			if i := slices.IndexFunc(pools, func(p Pool) bool { return p.Technology == tech }); i >= 0 {
				st.Pool = &pools[i]
			}
			keys, pending, err := tx.CountKeys(org, tech)
			if err != nil {
				return err
			}
			st.Keys, st.Pending = keys-pending, pending
			switch {
			case pending > 0 && st.Pool == nil:
				st.Note = NoteNoPool
			case pending > 0 && st.Pool.Spent:
				st.Note = NotePoolSpent
			}
			all = append(all, st)
		}
		return nil
	})
	return all, err
}

// PutPool sets where mobile keys of a technology get their numbers. Keys that
// have one keep it; those that wait get one. *Invalid.
func (s *Service) PutPool(ctx context.Context, by Actor, org string, p Pool) (Pool, error) {
	if err := s.checkPool(&p); err != nil {
		return Pool{}, err
	}
	err := s.update(ctx, org, act{by: by, what: "put pool", object: p.Technology}, func(w *work) error {
		pools, err := w.tx.Pools(org)
		if err != nil {
			return err
		}
		var before any
		for _, old := range pools {
			if old.Technology == p.Technology {
				before = old
				if old.Next >= p.First && old.Next <= p.Last {
					p.Next = old.Next // numbers that were given back lately come last
				}
			}
		}
		w.note("pool", before, p)
		if err := w.tx.PutPool(org, p); err != nil {
			return err
		}
		waiting, err := w.tx.PendingKeys(org, p.Technology, -1)
		for _, id := range waiting {
			w.people[id] = true
		}
		return err
	})
	return p, err
}

func (s *Service) checkPool(p *Pool) error {
	if !slices.Contains(technologies(), p.Technology) {
		return invalid("technology", "got %.40q, want ble or wallet", p.Technology)
	}
	badge := BadgeType{ID: p.Technology, Format: p.Format, Facility: p.Facility}
	if err := checkBadgeType(s.formats, &badge); err != nil {
		return err
	}
	p.Format = badge.Format
	if p.Last < p.First || p.Last-p.First >= maxPool {
		return invalid("last", "got %d to %d, want 1 to %d numbers", p.First, p.Last, maxPool)
	}
	for _, n := range []uint64{p.First, p.Last} {
		if _, bad := p.number(s.formats, n); bad != nil {
			return invalid("last", "the number %d %v", n, bad)
		}
	}
	p.Next, p.Spent = p.First, false
	return nil
}

// DeletePool ends a pool: keys that have a number keep it, others wait.
// ErrNotFound.
func (s *Service) DeletePool(ctx context.Context, by Actor, org, technology string) error {
	return s.update(ctx, org, act{by: by, what: "delete pool", object: technology}, func(w *work) error {
		w.note("pool", technology, nil)
		return w.tx.DeletePool(org, technology)
	})
}

// number is n as a reader delivers it.
func (p *Pool) number(formats *wiegand.Catalogue, n uint64) (number, error) {
	return parseNumber(formats, BadgeType{ID: p.Technology, Format: p.Format, Facility: p.Facility}, strconv.FormatUint(n, 10))
}

// keys makes who's mobile keys follow what the rules give at all properties,
// which is given where it was worked out just now: a flag issues a credential
// of its own, its end revokes it. In bulk what is issued is only worked out, and
// left for later.
func (w *work) keys(p *plan, who *personView, given map[string]Outcome, bulk bool) (later bool, err error) {
	for _, tech := range technologies() {
		wanted := slices.ContainsFunc(p.views, func(v *siteView) bool {
			o, fresh := given[v.ID]
			if !fresh {
				o = who.Outcome[v.ID]
			}
			return v.gives(o, tech)
		})
		at := slices.IndexFunc(who.Cards, func(c Card) bool { return c.Origin == OriginRule && c.Technology == tech })
		switch {
		case !wanted && at >= 0:
			p.dropped = append(p.dropped, who.Cards[at])
			who.Cards = slices.Delete(who.Cards, at, at+1)
		case wanted && at < 0:
			key := Card{
				ID: w.s.newID(w.now), Org: w.org.ID, Person: who.ID, Origin: OriginRule, Technology: tech,
				Status: access.CredentialPending, Created: w.now,
			}
			if _, err := w.bindNumber(p, &key, bulk); err != nil {
				return later, err
			}
			who.Cards = append(who.Cards, key)
			later = later || p.issue(key, bulk)
		case wanted && who.Cards[at].Status == access.CredentialPending:
			bound, err := w.bindNumber(p, &who.Cards[at], bulk)
			if err != nil {
				return later, err
			}
			if bound {
				later = p.issue(who.Cards[at], bulk) || later
			}
		}
	}
	return later, nil
}

// gives says whether a mobile key of a technology is among what o gives at v.
func (v *siteView) gives(o Outcome, technology string) bool {
	if v.Deleted || o.Rule == "" {
		return false
	}
	if technology == access.TechBLE {
		return o.BLE
	}
	return o.Wallet && v.Wallet
}

// issue adds key to what is written, or says that it is left for later.
func (p *plan) issue(key Card, bulk bool) (later bool) {
	if !bulk {
		p.issued = append(p.issued, key)
	}
	return bulk
}

// numbers are an organisation's pools as they are while a plan is worked out.
type numbers struct {
	pools map[string]*Pool      // by technology
	taken map[wiegand.Bits]bool // by keys of the plan
}

// numbers are those that keys of p get, or would get in bulk, where none is
// written.
func (w *work) numbers(p *plan, bulk bool) (*numbers, error) {
	at := &p.numbers
	if bulk {
		at = &p.trial
	}
	if *at != nil {
		return *at, nil
	}
	all, err := w.tx.Pools(w.org.ID)
	if err != nil {
		return nil, err
	}
	*at = &numbers{pools: map[string]*Pool{}, taken: map[wiegand.Bits]bool{}}
	for i := range all {
		(*at).pools[all[i].Technology] = &all[i]
	}
	return *at, nil
}

// bindNumber gives key a number of its technology's pool, if one is free.
func (w *work) bindNumber(p *plan, key *Card, bulk bool) (bound bool, err error) {
	from, err := w.numbers(p, bulk)
	if err != nil {
		return false, err
	}
	pool := from.pools[key.Technology]
	if pool == nil || pool.Spent {
		return false, nil
	}
	n, ok, err := w.free(from, pool)
	if err != nil || !ok {
		return false, err
	}
	from.taken[n.Bits] = true
	key.Status, key.Format, key.Bits, key.Facility, key.Number = access.CredentialActive, n.Format, n.Bits, n.Facility, n.Number
	return true, nil
}

// free finds a number of pool that no card and no key has. It goes round the
// pool, so that a number that was given back is used again as late as can be.
func (w *work) free(from *numbers, pool *Pool) (n number, ok bool, err error) {
	size := pool.Last - pool.First + 1
	for i := range size {
		at := pool.First + (pool.Next-pool.First+i)%size
		if n, err = pool.number(w.s.formats, at); err != nil {
			return n, false, err
		}
		if from.taken[n.Bits] {
			continue
		}
		holders, err := w.tx.CardsByBits(w.org.ID, n.Bits)
		if err != nil {
			return n, false, err
		}
		if len(holders) == 0 {
			pool.Next = pool.First + (at-pool.First+1)%size
			return n, true, nil
		}
	}
	pool.Spent = true
	return n, false, nil
}

// putKeys writes the mobile keys of a plan, and lets those who wait follow
// where numbers came free.
func (w *work) putKeys(p *plan) error {
	freed := map[string]int{}
	for _, c := range p.dropped {
		freed[c.Technology]++
		w.noteKey(p, c, mask(c), nil)
		if err := w.tx.DeleteCard(w.org.ID, c.ID); err != nil {
			return err
		}
	}
	for _, c := range p.issued {
		w.noteKey(p, c, nil, mask(c))
		if err := w.tx.PutCard(c); err != nil {
			return err
		}
	}
	for tech, n := range w.freed {
		freed[tech] += n
	}
	for _, tech := range technologies() {
		var pool *Pool
		if p.numbers != nil {
			pool = p.numbers.pools[tech]
		}
		if err := w.putPool(pool, tech, freed[tech]); err != nil {
			return err
		}
	}
	return nil
}

// noteKey is for the audit trail, which does not list very many.
func (w *work) noteKey(p *plan, c Card, before, after any) {
	if len(p.dropped)+len(p.issued) <= 100 {
		w.note(c.noun()+" "+c.ID, before, after)
	}
}

// putPool stores how far a pool is, nil where nobody asked it. Of numbers that
// came free as many who wait are told.
func (w *work) putPool(pool *Pool, technology string, freed int) error {
	if freed > 0 {
		all, err := w.tx.Pools(w.org.ID)
		if err != nil {
			return err
		}
		if i := slices.IndexFunc(all, func(p Pool) bool { return p.Technology == technology }); i >= 0 {
			pool = cmp.Or(pool, &all[i])
			pool.Spent = false
		}
		waiting, err := w.tx.PendingKeys(w.org.ID, technology, freed)
		if err != nil {
			return err
		}
		for _, id := range waiting {
			w.backlog = true
			if err := w.tx.MarkDirty(w.org.ID, id); err != nil {
				return err
			}
		}
	}
	if pool == nil {
		return nil
	}
	return w.tx.PutPool(w.org.ID, *pool)
}
