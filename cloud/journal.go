package cloud

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// A DirectoryCall is one request of a directory, as the HTTP layer saw it end.
type DirectoryCall struct {
	Caller Caller
	What   string // "read users", "update group", …: one of few
	Reads  bool   // it asks for nothing to be changed
	Status int    // of the answer
	Kind   string // of the error: a scimType, or a word for the status; empty on success
	Detail string // of the error, where it has no value of the directory's in it
	// Recorded says that the audit trail has it already, as it has each call
	// that changed something or was refused for what it asked.
	Recorded bool
}

// A journal gathers what happens too often for a transaction each, until Flush
// writes it: who called, what was read, which attributes came. It may be used
// by any number of goroutines; its zero value is empty.
type journal struct {
	disk sync.Mutex // held while drafts change on the disk; taken before mu

	mu     sync.Mutex
	orgs   map[string]*pages
	drafts map[string]time.Time // organisations with a draft on the disk, and when their last call was
	lost   uint64               // audit entries of refusals that could not be stored
}

// pages are what a journal has of one organisation.
type pages struct {
	fresh    bool // since the last draft
	since    time.Time
	sync     SyncState
	tokens   map[string]TokenUse
	unmapped map[string]Unmapped
	calls    map[callKey]int
}

// A callKey is what calls are counted by in the audit trail.
type callKey struct {
	who    Actor
	what   string
	status int
}

// A TokenUse is when a token was used last, and by what.
type TokenUse struct {
	At     time.Time
	Client string
}

// mostUnmapped is how many attributes that nobody declared are remembered of
// an organisation.
const mostUnmapped = 1000

func newPages(now time.Time) *pages {
	return &pages{since: now, sync: newSyncState(now), tokens: map[string]TokenUse{}, unmapped: map[string]Unmapped{}, calls: map[callKey]int{}}
}

// of runs f on the pages of an organisation.
func (j *journal) of(org string, now time.Time, f func(*pages)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.orgs == nil {
		j.orgs = map[string]*pages{}
	}
	if j.orgs[org] == nil {
		j.orgs[org] = newPages(now)
	}
	if _, ok := j.drafts[org]; ok {
		j.drafts[org] = now
	}
	j.orgs[org].fresh = true
	f(j.orgs[org])
}

// peek runs f on the pages of an organisation, if there are any.
func (j *journal) peek(org string, f func(*pages)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if p := j.orgs[org]; p != nil {
		f(p)
	}
}

// Observe takes down that a directory called. The HTTP layer calls it once the
// answer is known.
func (s *Service) Observe(c DirectoryCall) {
	if c.Caller.Org == "" {
		return // nobody knows whose it was
	}
	s.begin(context.Background(), c.Caller.Org) // it has been, unless the call took very long
	now := stamp(s.now())
	s.journal.of(c.Caller.Org, now, func(p *pages) {
		p.sync.add(c, now)
		if c.Caller.Token != "" {
			p.tokens[c.Caller.Token] = TokenUse{now, clip(c.Caller.Client, 200)}
		}
		if !c.Recorded && (c.Reads || c.Status >= 400) {
			p.calls[callKey{c.Caller.actor(), c.What, c.Status}]++
		}
	})
}

// nothingNew takes down a call that changed nothing.
func (j *journal) nothingNew(w *work) {
	j.of(w.org.ID, w.now, func(p *pages) { p.calls[callKey{w.act.by, w.act.what + ", nothing new", 0}]++ })
}

// received takes down attributes that no row of the mapping table has.
func (j *journal) received(w *work) {
	j.of(w.org.ID, w.now, func(p *pages) {
		for _, u := range w.received {
			seen(p.unmapped, u)
		}
	})
}

// Flush writes what was taken down since the last time into the audit trail.
// What could not be stored is kept for the next time.
func (s *Service) Flush(ctx context.Context) error { return s.flush(ctx, false) }

// flush is Flush. With last, no draft stays.
func (s *Service) flush(ctx context.Context, last bool) error {
	j := &s.journal
	j.disk.Lock()
	defer j.disk.Unlock()
	now := stamp(s.now())
	orgs, over, lost := j.take(now, last)
	names := slices.Sorted(maps.Keys(over))
	for org := range orgs {
		if _, ends := over[org]; !ends {
			names = append(names, org)
		}
	}
	slices.Sort(names)
	var failed error
	for some := range slices.Chunk(names, 100) {
		err := s.store.Update(ctx, func(tx Tx) error {
			for _, org := range some {
				_, ends := over[org]
				if err := s.flushOrg(tx, org, orgs[org], ends, now); err != nil {
					return err
				}
			}
			return s.keepLost(tx, some[0], lost, now)
		})
		j.wrote(some, orgs, over, now, err)
		if err != nil {
			failed = err
			continue
		}
		lost = 0
	}
	j.mu.Lock()
	j.lost += lost
	j.mu.Unlock()
	return failed
}

// take gives what was taken down, the drafts that end, with when their last call
// was, and what was lost. From now on a call of an organisation whose draft ends
// makes a new one.
func (j *journal) take(now time.Time, last bool) (orgs map[string]*pages, over map[string]time.Time, lost uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	orgs, lost, over = j.orgs, j.lost, map[string]time.Time{}
	j.orgs, j.lost = nil, 0
	for org, at := range j.drafts {
		if last || orgs[org] == nil && now.Sub(at) >= draftIdle {
			over[org] = at
			delete(j.drafts, org)
		}
	}
	return orgs, over, lost
}

// wrote puts in order what was taken, once it is on the disk, or is not.
func (j *journal) wrote(some []string, orgs map[string]*pages, over map[string]time.Time, now time.Time, err error) {
	for _, org := range some {
		p := orgs[org]
		if err != nil && p != nil {
			j.of(org, p.since, func(later *pages) { later.merge(p) })
		}
		j.mu.Lock()
		at, ends := over[org]
		switch {
		case err != nil && ends:
			j.setDraft(org, at)
		case err == nil && !ends:
			j.setDraft(org, now)
		}
		j.mu.Unlock()
	}
}

// flushOrg writes the pages of one organisation, if there are any, and an empty
// draft unless it ends.
func (s *Service) flushOrg(tx Tx, org string, p *pages, ends bool, now time.Time) error {
	if p != nil {
		if err := s.keep(tx, org, p); err != nil {
			return err
		}
	}
	if !ends {
		return tx.PutDraft(Draft{Process: s.process, Org: org, At: now})
	}
	_, err := tx.DeleteDraft(s.process, org, time.Time{})
	return err
}

// Unwritten is how many audit entries could not be stored and are to be counted
// in the trail once the store works again.
func (s *Service) Unwritten() uint64 {
	s.journal.mu.Lock()
	defer s.journal.mu.Unlock()
	return s.journal.lost
}

// merge takes in what was taken down before.
func (p *pages) merge(earlier *pages) {
	merged := earlier.sync
	merged.merge(p.sync)
	p.sync, p.since = merged, earlier.since
	for id, use := range earlier.tokens {
		if _, newer := p.tokens[id]; !newer {
			p.tokens[id] = use
		}
	}
	for _, u := range earlier.unmapped {
		seen(p.unmapped, u)
	}
	for key, n := range earlier.calls {
		p.calls[key] += n
	}
}

// keep writes the pages of one organisation.
func (s *Service) keep(tx Tx, org string, p *pages) error {
	now := stamp(s.now())
	if err := keepSync(tx, org, p.sync, now); err != nil {
		return err
	}
	for id, use := range p.tokens {
		if err := tx.TouchToken(org, id, use); err != nil {
			return err
		}
	}
	if err := keepUnmapped(tx, org, p.unmapped); err != nil {
		return err
	}
	byActor := func(a, b callKey) int {
		return cmp.Or(cmp.Compare(a.who, b.who), cmp.Compare(a.what, b.what), cmp.Compare(a.status, b.status))
	}
	for _, key := range slices.SortedFunc(maps.Keys(p.calls), byActor) {
		e := AuditEntry{
			ID: s.newID(now), Org: org, At: now, Who: key.who, What: key.what,
			Changes: map[string]Change{"calls": {After: p.calls[key]}, "since": {After: p.since.Format(time.RFC3339)}},
		}
		if key.status >= 400 {
			e.Error = fmt.Sprintf("answered with %d", key.status)
		}
		if err := tx.AppendAudit(e); err != nil {
			return err
		}
	}
	return nil
}

// keepLost says in the trail of org how many entries were lost.
func (s *Service) keepLost(tx Tx, org string, lost uint64, now time.Time) error {
	if lost == 0 {
		return nil
	}
	return tx.AppendAudit(AuditEntry{
		ID: s.newID(now), Org: org, At: now, Who: "system", What: "entries of this trail that could not be stored",
		Changes: map[string]Change{"entries": {After: lost}},
	})
}

func clip(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "…"
}
