package uplink

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"latchkey/access"
	"latchkey/delta"
)

// testKey is a key that is the same in each run.
func testKey(id string) delta.Key {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, id)
	return delta.Key{ID: id, Private: ed25519.NewKeyFromSeed(seed)}
}

// A book is a Source in memory.
type book struct {
	t       testing.TB
	changed chan struct{}

	mu    sync.Mutex
	sites map[string]*page
	fail  error // what every method returns, if it is set
}

// A page is one site's part of a book.
type page struct {
	key      delta.Key
	epoch    uint32
	first    uint64 // entries before it are not kept
	payloads [][]byte
	heads    []delta.Head
	records  map[access.Ref][]byte
	digest   delta.Digest

	hellos  []*delta.Hello
	applied []delta.Head
	events  []access.Event
	results []*delta.Result
	proofs  []*delta.Proof
	nacks   []*delta.Nack

	word *delta.Approval // for what the site loses by a snapshot
}

func newBook(t testing.TB, sites ...string) *book {
	b := &book{t: t, changed: make(chan struct{}, 1), sites: make(map[string]*page)}
	for _, site := range sites {
		b.addSite(site)
	}
	return b
}

func (b *book) addSite(site string) {
	b.mu.Lock()
	b.sites[site] = &page{key: testKey(site), epoch: 1, first: 1, records: make(map[access.Ref][]byte)}
	b.mu.Unlock()
	signal(b.changed)
}

// write appends one delta to a site's log: setting n gets the value.
func (b *book) write(site string, n int, value string) { b.t.Helper(); b.deny(site, n, value) }

// deny is write with a deny list.
func (b *book) deny(site string, n int, value string, deny ...access.Ref) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.sites[site]
	c, err := delta.Put(access.Setting{Name: "n" + strconv.Itoa(n), Value: value})
	if err != nil {
		b.t.Error(err)
		return
	}
	if old, ok := p.records[c.Ref]; ok {
		p.digest.Sub(c.Ref, old)
	}
	p.digest.Add(c.Ref, c.Record)
	p.records[c.Ref] = c.Record
	head := p.head()
	d := &delta.Delta{Epoch: p.epoch, Seq: head.Seq + 1, Prev: head.Hash, Digest: p.digest, Deny: deny, Changes: []delta.Change{c}}
	d.Site = site
	payload, err := delta.Encode(d)
	if err != nil {
		b.t.Error(err)
		return
	}
	p.payloads = append(p.payloads, payload)
	p.heads = append(p.heads, delta.Head{Epoch: p.epoch, Seq: d.Seq, Hash: delta.HashOf(payload), Digest: p.digest})
	signal(b.changed)
}

// newEpoch starts a site's stream anew, with the state that it has.
func (b *book) newEpoch(site string) {
	b.mu.Lock()
	p := b.sites[site]
	p.epoch++
	p.payloads, p.heads, p.first = nil, nil, 1
	b.mu.Unlock()
	signal(b.changed)
}

func (p *page) head() delta.Head {
	if len(p.heads) == 0 {
		return delta.Head{Epoch: p.epoch, Digest: p.digest}
	}
	return p.heads[len(p.heads)-1]
}

// do runs f on a site's page.
func (b *book) do(site string, f func(p *page) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		return b.fail
	}
	p, ok := b.sites[site]
	if !ok {
		return fmt.Errorf("book: no site %q", site)
	}
	return f(p)
}

func (b *book) Changed() <-chan struct{} { return b.changed }

func (b *book) Sites(context.Context) ([]string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.sites)), b.fail
}

func (b *book) SiteKeys(_ context.Context, site string) (keys delta.Keys, err error) {
	err = b.do(site, func(p *page) error { keys = p.key.Keys(); return nil })
	return keys, err
}

func (b *book) Head(_ context.Context, site string) (head delta.Head, err error) {
	err = b.do(site, func(p *page) error { head = p.head(); return nil })
	return head, err
}

func (b *book) Read(_ context.Context, site string, epoch uint32, after uint64, limit int) (payloads [][]byte, err error) {
	err = b.do(site, func(p *page) error {
		if epoch != p.epoch || after+1 < p.first {
			return ErrNoEntry
		}
		if after < uint64(len(p.payloads)) {
			payloads = slices.Clone(p.payloads[after:min(after+uint64(limit), uint64(len(p.payloads)))])
		}
		return nil
	})
	return payloads, err
}

func (b *book) Snapshot(_ context.Context, site string) (head delta.Head, changes []delta.Change, word *delta.Approval, err error) {
	err = b.do(site, func(p *page) error {
		head, word = p.head(), p.word
		for ref, record := range p.records {
			changes = append(changes, delta.Change{Op: delta.OpPut, Ref: ref, Record: record})
		}
		return nil
	})
	return head, changes, word, err
}

func (b *book) Approved(_ context.Context, site string) (word *delta.Approval, err error) {
	err = b.do(site, func(p *page) error { word = p.word; return nil })
	return word, err
}

func (b *book) HashAt(_ context.Context, site string, epoch uint32, seq uint64) (hash delta.Hash, err error) {
	err = b.do(site, func(p *page) error {
		if epoch != p.epoch || seq < p.first || seq > uint64(len(p.heads)) {
			return ErrNoEntry
		}
		hash = p.heads[seq-1].Hash
		return nil
	})
	return hash, err
}

func (b *book) Hello(_ context.Context, site string, m *delta.Hello) error {
	return b.do(site, func(p *page) error { p.hellos = append(p.hellos, m); return nil })
}

func (b *book) Applied(_ context.Context, site string, head delta.Head) error {
	return b.do(site, func(p *page) error { p.applied = append(p.applied, head); return nil })
}

func (b *book) Events(_ context.Context, site string, m *delta.Events) (upTo uint64, err error) {
	err = b.do(site, func(p *page) error {
		for _, e := range m.Events {
			if e.N == uint64(len(p.events))+1 {
				p.events = append(p.events, e)
			}
		}
		upTo = uint64(len(p.events))
		return nil
	})
	return upTo, err
}

func (b *book) Result(_ context.Context, site string, m *delta.Result) error {
	return b.do(site, func(p *page) error { p.results = append(p.results, m); return nil })
}

func (b *book) Proof(_ context.Context, site string, m *delta.Proof) error {
	return b.do(site, func(p *page) error { p.proofs = append(p.proofs, m); return nil })
}

func (b *book) Nack(_ context.Context, site string, m *delta.Nack) error {
	return b.do(site, func(p *page) error { p.nacks = append(p.nacks, m); return nil })
}

// A disk is what survives a site's restart.
type disk struct {
	site    string
	head    delta.Head
	records map[access.Ref][]byte
	staged  map[int][]delta.Change
	stageID string
	log     []uint64 // seqs applied as deltas, in the order of applying
	jumps   int      // snapshots applied
	events  uint64   // how many there are
	acked   uint64
	blocked map[access.Ref]delta.Head // held when the deny list was seen
	refuses bool                      // what bears no word
	errs    []error
}

func newDisk(site string) *disk {
	return &disk{site: site, records: make(map[access.Ref][]byte), staged: make(map[int][]delta.Change), blocked: make(map[access.Ref]delta.Head)}
}

// A dweller is a site as the agent would be: it takes what comes down and says
// what goes up. It is dumb, and keeps all that matters on its disk.
type dweller struct {
	*disk
	nonce  string
	nonces int
	boot   int
	told   uint64 // newest event sent
}

// take handles in and returns what to send.
func (s *dweller) take(in Inbound) []delta.Message {
	if in.Up {
		return []delta.Message{s.sayHello()}
	}
	if in.Err != nil {
		s.errs = append(s.errs, in.Err)
		return nil
	}
	switch m := in.Message.(type) {
	case *delta.Beat:
		if m.Re == "" {
			return []delta.Message{s.sayHello()}
		}
		if s.nonce == m.Re {
			s.told = s.acked // what is not acknowledged by now is lost
			return s.tellEvents()
		}
	case *delta.Ack:
		s.acked = max(s.acked, m.N)
		return s.tellEvents()
	case *delta.Snapshot:
		if s.refuses && m.Approved == nil {
			return []delta.Message{&delta.Nack{Epoch: m.Head.Epoch, Seq: m.Head.Seq, Reason: delta.ReasonMass, Removes: 30, Openings: 40}}
		}
		return s.takePart(m)
	case *delta.Delta:
		if s.refuses && m.Approved == nil {
			return []delta.Message{&delta.Nack{Epoch: m.Epoch, Seq: m.Seq, Reason: delta.ReasonMass, Removes: 30, Openings: 40}}
		}
		for _, ref := range m.Deny {
			if _, ok := s.blocked[ref]; !ok {
				s.blocked[ref] = s.head
			}
		}
		switch delta.Judge(s.head, m, in.Hash) {
		case delta.Apply:
			s.apply(m.Changes, m.Digest)
			s.head = delta.Head{Epoch: m.Epoch, Seq: m.Seq, Hash: in.Hash, Digest: m.Digest}
			s.log = append(s.log, m.Seq)
			s.events++
			return append(s.tellEvents(), &delta.Applied{Head: s.head})
		case delta.AckAgain:
			return []delta.Message{&delta.Applied{Head: s.head}}
		case delta.Gap:
			return []delta.Message{&delta.Need{Epoch: s.head.Epoch, From: s.head.Seq + 1, To: m.Seq - 1}}
		case delta.Fork, delta.NewEpoch:
			return []delta.Message{&delta.Need{Epoch: s.head.Epoch, Snapshot: true, Reason: "fork"}}
		}
	}
	return nil
}

func (s *dweller) sayHello() *delta.Hello {
	s.nonces++
	var random [16]byte
	copy(random[:], fmt.Sprintf("%d/%d", s.boot, s.nonces))
	s.nonce = delta.NonceOf(random)
	return &delta.Hello{Head: s.head, Nonce: s.nonce, Versions: []int{1}, EventEpoch: "e-" + s.site, Events: s.events}
}

// tellEvents tells of the events that it has not told of on this connection.
func (s *dweller) tellEvents() []delta.Message {
	m := &delta.Events{EventEpoch: "e-" + s.site}
	for s.told < min(s.events, s.acked+50) {
		s.told++
		m.Events = append(m.Events, access.Event{N: s.told, At: time.Unix(int64(s.told), 0), Kind: access.EventAccess})
	}
	if len(m.Events) == 0 {
		return nil
	}
	return []delta.Message{m}
}

func (s *dweller) takePart(m *delta.Snapshot) []delta.Message {
	if m.Re != s.nonce || m.Head.Epoch < s.head.Epoch || m.Head.Epoch == s.head.Epoch && m.Head.Seq < s.head.Seq {
		return nil
	}
	if s.jumps > 0 && m.Head == s.head { // as the agent does: a second hello had a second one sent
		return []delta.Message{&delta.Applied{Head: s.head}}
	}
	if m.ID != s.stageID {
		s.stageID, s.staged = m.ID, make(map[int][]delta.Change)
	}
	s.staged[m.Part] = m.Records
	if len(s.staged) < m.Parts {
		return nil
	}
	s.records = make(map[access.Ref][]byte)
	var all []delta.Change
	for part := range m.Parts {
		all = append(all, s.staged[part+1]...)
	}
	s.head.Digest = delta.Digest{}
	s.apply(all, m.Head.Digest)
	s.head = m.Head
	s.jumps++
	s.stageID, s.staged = "", nil
	return []delta.Message{&delta.Applied{Head: s.head}}
}

func (s *dweller) apply(changes []delta.Change, want delta.Digest) {
	digest := s.head.Digest
	for _, c := range changes {
		if old, ok := s.records[c.Ref]; ok {
			digest.Sub(c.Ref, old)
		}
		digest.Add(c.Ref, c.Record)
		s.records[c.Ref] = c.Record
	}
	if digest != want {
		s.errs = append(s.errs, fmt.Errorf("digest %v, want %v", digest, want))
	}
}

// check holds what the site has against what the book wants it to have, and
// that every delta was applied once and in its turn.
func (s *disk) check(b *book) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.sites[s.site]
	if s.head != p.head() {
		return fmt.Errorf("%s stands at %+v, want %+v", s.site, s.head, p.head())
	}
	if !maps.EqualFunc(s.records, p.records, slices.Equal) {
		return fmt.Errorf("%s has %d records, want the %d of the book", s.site, len(s.records), len(p.records))
	}
	for i, seq := range s.log {
		if i > 0 && seq != s.log[i-1]+1 && s.jumps < 2 {
			return fmt.Errorf("%s applied %d after %d", s.site, seq, s.log[i-1])
		}
	}
	for i, e := range p.events {
		if e.N != uint64(i)+1 {
			return fmt.Errorf("event %d of %s is number %d", i, s.site, e.N)
		}
	}
	if len(s.errs) > 0 {
		return fmt.Errorf("%s: %w", s.site, s.errs[0])
	}
	return nil
}
