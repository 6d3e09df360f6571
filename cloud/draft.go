package cloud

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// The times of drafts.
const (
	draftEvery  = time.Second      // what was taken down goes into a draft
	flushEvery  = 10 * time.Second // and then into the audit trail
	draftWait   = 5 * time.Second  // is how long a call waits for its draft
	draftIdle   = time.Minute      // after the last call there is no draft any more
	draftDead   = 2 * time.Minute  // a process that says so long nothing of its draft is gone
	takeUpEvery = time.Minute      // how often drafts of others are looked for, where there are others
)

// A Draft is what one process took down of an organisation's directory calls and
// has not put into the audit trail yet. There is one on the disk before the
// first of those calls is answered: one without its process says that there
// were calls.
type Draft struct {
	Process string
	Org     string
	At      time.Time // what came later may be missing
	Doc     []byte    // JSON; empty for nothing yet
}

// A draftDoc is pages on the disk.
type draftDoc struct {
	Since    time.Time           `json:"since"`
	Sync     SyncState           `json:"sync"`
	Tokens   map[string]TokenUse `json:"tokens"`
	Unmapped map[string]Unmapped `json:"unmapped"`
	Calls    []draftCalls        `json:"calls"`
}

type draftCalls struct {
	Who    Actor  `json:"who"`
	What   string `json:"what"`
	Status int    `json:"status"`
	Count  int    `json:"count"`
}

func (p *pages) encode() ([]byte, error) {
	d := draftDoc{Since: p.since, Sync: p.sync, Tokens: p.tokens, Unmapped: p.unmapped}
	for key, n := range p.calls {
		d.Calls = append(d.Calls, draftCalls{key.who, key.what, key.status, n})
	}
	return json.Marshal(d)
}

// pages reads a draft.
func (d Draft) pages() (*pages, error) {
	p := newPages(d.At)
	if len(d.Doc) == 0 {
		return p, nil
	}
	doc := draftDoc{Sync: p.sync, Tokens: p.tokens, Unmapped: p.unmapped}
	if err := json.Unmarshal(d.Doc, &doc); err != nil {
		return nil, fmt.Errorf("cloud: draft of %s: %w", d.Org, err)
	}
	p.since, p.sync, p.tokens, p.unmapped = doc.Since, doc.Sync, doc.Tokens, doc.Unmapped
	for _, c := range doc.Calls {
		p.calls[callKey{c.Who, c.What, c.Status}] += c.Count
	}
	return p, nil
}

// begin sees to it that the organisation has a draft on the disk, so that a
// call which is to be taken down is not forgotten without a word. That it
// cannot be written is no reason to refuse the call.
func (s *Service) begin(ctx context.Context, org string) {
	j := &s.journal
	if j.drafted(org) {
		return
	}
	j.disk.Lock()
	defer j.disk.Unlock()
	if j.drafted(org) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, draftWait)
	defer cancel()
	now := stamp(s.now())
	err := s.store.Update(ctx, func(tx Tx) error { return tx.PutDraft(Draft{Process: s.process, Org: org, At: now}) })
	if err != nil {
		s.log.Error("no draft of what directories do", "org", org, "err", err)
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.setDraft(org, now)
}

// setDraft notes that there is a draft, and when the last call was; j.mu is
// held.
func (j *journal) setDraft(org string, now time.Time) {
	if j.drafts == nil {
		j.drafts = map[string]time.Time{}
	}
	j.drafts[org] = now
}

func (j *journal) drafted(org string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	_, ok := j.drafts[org]
	return ok
}

// Draft writes what was taken down since the last time into drafts.
func (s *Service) Draft(ctx context.Context) error {
	j := &s.journal
	j.disk.Lock()
	defer j.disk.Unlock()
	drafts, err := j.fresh(s.process, stamp(s.now()))
	if err != nil || len(drafts) == 0 {
		return err
	}
	err = s.store.Update(ctx, func(tx Tx) error {
		for _, d := range drafts {
			if err := tx.PutDraft(d); err != nil {
				return err
			}
		}
		return nil
	})
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, d := range drafts {
		if err == nil {
			j.setDraft(d.Org, d.At)
		} else {
			j.orgs[d.Org].fresh = true
		}
	}
	return err
}

// fresh are the drafts of what is new since the last time.
func (j *journal) fresh(process string, now time.Time) ([]Draft, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var drafts []Draft
	for _, org := range slices.Sorted(maps.Keys(j.orgs)) {
		p := j.orgs[org]
		if !p.fresh {
			continue
		}
		doc, err := p.encode()
		if err != nil {
			return nil, err
		}
		p.fresh = false
		drafts = append(drafts, Draft{Process: process, Org: org, At: now, Doc: doc})
	}
	return drafts, nil
}

// keepJournal writes what directories do until ctx ends, and then the rest.
func (s *Service) keepJournal(ctx context.Context) {
	failed := func(err error) bool {
		if err != nil && ctx.Err() == nil {
			s.log.Error("what directories did of late is not stored yet", "err", err)
		}
		return err != nil
	}
	draft, flush, others := time.NewTicker(draftEvery), time.NewTicker(flushEvery), time.NewTicker(takeUpEvery)
	defer draft.Stop()
	defer flush.Stop()
	defer others.Stop()
	again := failed(s.TakeUp(ctx))
	_, shared := s.store.(Shared)
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			if err := s.flush(last, true); err != nil {
				s.log.Error("what directories did of late was not stored", "err", err)
			}
			return
		case <-draft.C:
			failed(s.Draft(ctx))
		case <-flush.C:
			failed(s.Flush(ctx))
		case <-others.C:
			if shared || again {
				again = failed(s.TakeUp(ctx))
			}
		}
	}
}

// TakeUp writes into the audit trail what processes took down that are gone,
// and that calls after that may be missing.
func (s *Service) TakeUp(ctx context.Context) error {
	var drafts []Draft
	err := s.store.View(ctx, func(tx Tx) (err error) {
		drafts, err = tx.Drafts()
		return err
	})
	if err != nil {
		return err
	}
	_, shared := s.store.(Shared)
	for _, d := range drafts {
		now := stamp(s.now())
		lives := now.Sub(d.At) < draftDead && !d.At.After(now.Add(clocksApart)) // or the clock has gone back since
		if d.Process == s.process || shared && lives {
			continue
		}
		if err := s.store.Update(ctx, func(tx Tx) error { return s.takeUp(tx, d, now) }); err != nil {
			return err
		}
	}
	return nil
}

func (s *Service) takeUp(tx Tx, d Draft, now time.Time) error {
	if was, err := tx.DeleteDraft(d.Process, d.Org, d.At); err != nil || !was {
		return err // another process took it up, or its own is back
	}
	p, err := d.pages()
	if err != nil {
		return err
	}
	if err := s.keep(tx, d.Org, p); err != nil {
		return err
	}
	return tx.AppendAudit(AuditEntry{
		ID: s.newID(now), Org: d.Org, At: now, Who: "system", What: "calls of directories may be missing: the cloud was ended before it wrote them",
		Changes: map[string]Change{"since": {After: d.At.Format(time.RFC3339)}, "until": {After: now.Format(time.RFC3339)}},
	})
}
