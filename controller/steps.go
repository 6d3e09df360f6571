package controller

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"latchkey/serialline"
)

// A stepKind is one operation of the serial door link.
type stepKind uint8

const (
	stepNone stepKind = iota
	stepRevoke
	stepUpsert
	stepBegin
	stepPut
	stepCommit
	stepAbort
	stepDigest
	stepBucket
)

// A step is one exchange with the controller.
type step struct {
	kind    stepKind
	keys    []serialline.Key    // revoke
	records []serialline.Record // upsert, put
	txn     *transaction        // begin, put, commit, abort
	root    serialline.Root     // commit
	table   uint8               // digest, bucket
	bucket  uint8
	page    uint8
}

// A transaction is a load that is under way: all of it comes into force at
// once, or nothing.
type transaction struct {
	table   uint8
	id      uint64
	records []serialline.Record // of either table
	slots   map[uint8]slotHours // the schedule table as it will be
	full    bool                // the table becomes records, and nothing else
	refresh bool                // records are in the table already: it changes nothing for anybody
	stamp   stamp               // what the table gets
	base    uint64
	touched map[serialline.Key]bool // revoked or sent alone after BEGIN
	begun   bool                    // BEGIN was sent
	open    bool                    // and answered, in this session
	sent    int                     // records that the controller has
	commit  bool                    // COMMIT was sent
}

// A reading reads back what the controller holds.
type reading struct {
	table    uint8
	page     uint8
	root     serialline.Root
	sums     [buckets]uint64
	base     *image  // what we believed when it began
	differ   []uint8 // buckets to be read
	at       uint8   // page of the first of them
	got      map[serialline.Key]uint64
	during   map[serialline.Key]bool    // sent while it was read: newer than what was read
	byBucket map[uint8][]serialline.Key // of base
	wrong    int                        // entries that were not as we had left them
}

// count notes that the controller's entry for key was not as we had left it.
func (r *reading) count(p *planner, key serialline.Key) {
	if !p.doubt[key] {
		r.wrong++
	}
}

// next is what to send now, or stepNone.
func (p *planner) next(now time.Time) step {
	if p.paused || p.target == nil {
		return step{}
	}
	blank := p.stamps[serialline.TableCredentials].epoch == 0 // it was never loaded: single records have no place yet
	if p.toFold && p.cards.known && !blank {
		return p.fold()
	}
	if !now.Before(p.revokeTill) {
		if len(p.tombs) > 0 {
			return step{kind: stepRevoke, keys: p.tombs[:min(len(p.tombs), serialline.MaxRevoke)]}
		}
		if len(p.revoke) > 0 {
			return step{kind: stepRevoke, keys: p.revoke[:min(len(p.revoke), serialline.MaxRevoke)]}
		}
	}
	if now.Before(p.restTill) {
		return step{}
	}
	if len(p.narrow) > 0 && p.cards.known && !blank {
		return upsert(p.narrow)
	}
	if p.abort != nil {
		return step{kind: stepAbort, txn: p.abort}
	}
	if p.read == nil && !p.hours.known {
		p.startReading(serialline.TableSchedules)
	}
	if p.read == nil && !p.cards.known {
		p.startReading(serialline.TableCredentials)
	}
	if r := p.read; r != nil {
		if r.page < serialline.DigestPages {
			return step{kind: stepDigest, table: r.table, page: r.page}
		}
		return step{kind: stepBucket, table: r.table, bucket: r.differ[0], page: r.at}
	}
	if len(p.unsettled) > 0 {
		if p.load != nil && p.load.table != serialline.TableSchedules {
			p.drop() // what waits for these hours is more urgent, and a load is short
			p.sort()
			return p.next(now)
		}
		if p.load == nil {
			t, err := p.newHours()
			if err != nil {
				p.refuse(now, "The schedules do not fit into the controller: "+err.Error())
				return step{}
			}
			p.load = t
		}
		return p.loadStep()
	}
	if p.load == nil && blank {
		adds := slices.Concat(p.narrow, p.first, p.single, p.bulk)
		n := min(len(adds), perLoad)
		p.load = p.newLoad(adds[:n:n])
		p.load.full, p.load.stamp = true, p.newest(p.stamps[serialline.TableCredentials])
		p.sort()
	}
	if p.load != nil && blank {
		return p.loadStep()
	}
	if len(p.first) > 0 {
		return upsert(p.first)
	}
	if len(p.swaps) > 0 {
		var old []serialline.Key
		for _, s := range p.swaps {
			if len(old) > 0 && len(old)+len(s.old) > swapGroup {
				break
			}
			old = append(old, s.old...)
		}
		return step{kind: stepRevoke, keys: old[:min(len(old), serialline.MaxRevoke)]}
	}
	if len(p.single) > 0 {
		return upsert(p.single)
	}
	if p.load == nil && len(p.bulk) > 0 {
		n := min(len(p.bulk), perLoad)
		p.load = p.newLoad(p.bulk[:n:n])
		p.bulk = p.bulk[n:]
	}
	if p.load != nil {
		return p.loadStep()
	}
	if p.target.squeezed && p.equal {
		p.target.squeezed = false
		p.retarget() // what was pointed at is free now
		if p.behind() > 0 || len(p.unsettled) > 0 {
			return p.next(now)
		}
	}
	if p.equal {
		switch now := p.stamps[serialline.TableCredentials]; {
		case p.target.epoch > now.epoch:
			// A new epoch wants the whole table anew. It stands as it should
			// already, so this changes nothing for anybody.
			all := slices.SortedFunc(maps.Values(p.target.records), compareRecords)
			p.load = p.newLoad(all)
			p.load.full, p.load.refresh, p.load.stamp = true, true, p.newest(now)
			return p.loadStep()
		case p.unstamped && p.target.epoch == now.epoch && p.target.version > now.version:
			p.load = p.newLoad(nil) // only gives the table its version
			return p.loadStep()
		}
		p.unstamped = false
	}
	if p.unproven || !now.Before(p.proofDue) {
		p.unproven = false
		p.hours.known, p.cards.known = false, false
		return p.next(now)
	}
	return step{}
}

func upsert(records []serialline.Record) step {
	return step{kind: stepUpsert, records: records[:min(len(records), serialline.MaxUpsert)]}
}

func (p *planner) newID() uint64 {
	p.lastTxn++
	return p.lastTxn
}

// newLoad is a transaction that adds records to the credentials, in the epoch
// that their table has.
func (p *planner) newLoad(records []serialline.Record) *transaction {
	now := p.stamps[serialline.TableCredentials]
	return &transaction{table: serialline.TableCredentials, id: p.newID(), records: records,
		base: now.version, stamp: p.after(now), touched: make(map[serialline.Key]bool)}
}

// newHours is a transaction that makes the schedule table what it should be.
// Old schedules that records still point at stay; all others go.
func (p *planner) newHours() (*transaction, error) {
	slots := maps.Clone(p.target.slots)
	for r := range p.cards.records {
		for i, slot := range r.Schedules {
			s, standing := p.standing[slot]
			if _, wanted := slots[slot]; r.Doors>>i&1 == 1 && standing && !wanted {
				slots[slot] = s
			}
		}
	}
	records, err := encode(slots)
	if err != nil {
		return nil, err
	}
	now := p.stamps[serialline.TableSchedules]
	return &transaction{table: serialline.TableSchedules, id: p.newID(), records: records, slots: slots, full: true,
		base: now.version, stamp: p.newest(now)}, nil
}

// after is what a table with the stamp now gets when it changes in its epoch.
func (p *planner) after(now stamp) stamp {
	if p.target.epoch == now.epoch {
		now.version = max(now.version, p.target.version)
	}
	return now
}

// newest is what a table with the stamp now gets when it is replaced as a whole.
func (p *planner) newest(now stamp) stamp {
	if p.target.epoch > now.epoch {
		return stamp{p.target.epoch, p.target.version}
	}
	return p.after(now)
}

// loadStep is the next step of the transaction under way.
func (p *planner) loadStep() step {
	t := p.load
	switch {
	case !t.open:
		return step{kind: stepBegin, txn: t}
	case t.sent < len(t.records):
		return step{kind: stepPut, txn: t, records: t.records[t.sent:min(len(t.records), t.sent+serialline.MaxPut)]}
	}
	// A card of it that is no longer wanted must have been revoked since BEGIN. If
	// the controller had no room for that, the load must not bring it.
	if t.table == serialline.TableCredentials && slices.ContainsFunc(t.records, func(r serialline.Record) bool {
		_, wanted := p.target.records[r.Key]
		return !wanted && !t.touched[r.Key]
	}) {
		p.drop()
		p.sort()
		return step{kind: stepAbort, txn: t}
	}
	return step{kind: stepCommit, txn: t, root: p.image(t.table).with(t)}
}

func (p *planner) image(table uint8) *image {
	if table == serialline.TableSchedules {
		return p.hours
	}
	return p.cards
}

func (p *planner) startReading(table uint8) {
	p.read = &reading{table: table, base: p.image(table), during: make(map[serialline.Key]bool)}
}

// An answer is what the controller said to a step.
type answer struct {
	next   uint32                    // begin: the record to go on at
	root   serialline.Root           // digest
	sums   []uint64                  // digest: of this page
	sumsOf map[serialline.Key]uint64 // bucket: of this page
	more   bool                      // bucket: there is another page
}

// done takes the answer to a step.
func (p *planner) done(s step, a answer, now time.Time) {
	switch s.kind {
	case stepRevoke:
		p.folded = false
		p.revoked(s.keys)
	case stepUpsert:
		p.folded = false
		for _, r := range s.records {
			p.cards.put(r)
			p.changed(r.Key)
			delete(p.hurry, r.Key)
			delete(p.backlog, r.Key)
			delete(p.doubt, r.Key)
		}
		for _, list := range []*[]serialline.Record{&p.narrow, &p.first, &p.single} {
			*list = slices.DeleteFunc(*list, func(r serialline.Record) bool { return slices.Contains(s.records, r) })
		}
		if slices.ContainsFunc(s.records, func(r serialline.Record) bool { return p.target.records[r.Key] != r }) {
			p.sort() // it was lessened, and its better half is still to come
		}
	case stepBegin:
		if int(a.next) < s.txn.sent && len(s.txn.touched) > 0 {
			p.load.begun = true // it began anew, after what was sent in between
			p.drop()
			p.sort()
			return
		}
		s.txn.begun, s.txn.open, s.txn.sent = true, true, min(int(a.next), len(s.txn.records))
	case stepPut:
		s.txn.sent += len(s.records)
	case stepCommit:
		p.committed(s.txn)
	case stepAbort:
		p.abort = nil
	case stepDigest:
		p.digest(a, now)
	case stepBucket:
		p.bucketRead(a, now)
	}
}

// changed notes that the controller's entry for key is another than the one
// that was proven.
func (p *planner) changed(key serialline.Key) {
	p.unproven, p.unstamped = true, true
	p.fresh[key] = true
	p.equal = false
	if p.read != nil && p.read.table == serialline.TableCredentials {
		p.read.during[key] = true
	}
	if p.load != nil && p.load.begun && p.load.table == serialline.TableCredentials {
		p.load.touched[key] = true
	}
}

// revoked takes it that the controller has revoked keys.
func (p *planner) revoked(keys []serialline.Key) {
	again := false
	for _, k := range keys {
		p.cards.drop(k)
		p.changed(k)
		delete(p.dead, k)
		delete(p.doubt, k)
		if _, wanted := p.target.records[k]; wanted {
			again = true // it comes back once its schedule is there
			continue
		}
		if !p.buried[k] {
			p.buried[k] = true
			p.grave = append(p.grave, k)
			p.bury = append(p.bury, k)
		}
	}
	if len(p.grave) > 2*tombsMost { // the newest are enough, and those that are wanted again are none
		p.grave = slices.DeleteFunc(p.grave, func(k serialline.Key) bool { return !p.buried[k] })
		if n := len(p.grave) - tombsMost; n > 0 {
			for _, k := range p.grave[:n] {
				delete(p.buried, k) // it stays on disk for as long as the ledger keeps it
			}
			p.grave = slices.Clone(p.grave[n:])
		}
	}
	gone := func(k serialline.Key) bool { return slices.Contains(keys, k) }
	p.tombs = slices.DeleteFunc(p.tombs, gone)
	p.revoke = slices.DeleteFunc(p.revoke, gone)
	p.swaps = slices.DeleteFunc(p.swaps, func(s swap) bool {
		if !slices.ContainsFunc(s.old, gone) {
			return false
		}
		for _, r := range s.new {
			p.hurry[r.Key] = true
			p.first = append(p.first, r)
		}
		// What of its old ones is left is revoked outright: its successor comes next.
		p.revoke = append(p.revoke, slices.DeleteFunc(slices.Clone(s.old), gone)...)
		return true
	})
	if again {
		p.sort()
	}
}

// committed takes it that the controller has all of t.
func (p *planner) committed(t *transaction) {
	p.image(t.table).commit(t)
	for _, r := range t.records {
		if t.table == serialline.TableCredentials && !t.touched[r.Key] {
			p.fresh[r.Key] = true
			delete(p.doubt, r.Key)
		}
	}
	if t.table == serialline.TableSchedules {
		p.standing = t.slots
	} else {
		p.unstamped = false
	}
	p.stamps[t.table] = t.stamp
	p.refused = 0
	if t.table == serialline.TableCredentials && p.toFold {
		p.toFold, p.folded, p.revokeTill = false, true, time.Time{}
	}
	p.unproven = true
	p.equal = false
	p.load = nil
	p.sort()
}

// digest takes one page of a table's digest. The first page has the root: if
// that is as believed, nothing more needs to be read.
func (p *planner) digest(a answer, now time.Time) {
	r := p.read
	if r.page == 0 {
		r.root = a.root
		m := p.image(r.table)
		if !m.filled { // the first look since the agent started
			m = p.guess(r.table)
			if r.table == serialline.TableSchedules {
				if m.root() == a.root {
					p.standing = p.target.slots
				} else {
					m = newImage() // few records: all are read
				}
			}
		}
		if m.root() == a.root {
			p.settle(m, now)
			return
		}
		if t := p.load; t != nil && t.table == r.table && t.commit {
			if m.with(t) == a.root { // the answer to COMMIT was lost, the commit was not
				p.committed(t)
				p.settle(p.image(r.table), now)
				return
			}
			if !t.open {
				p.load = nil
				p.sort()
			}
		}
		r.base = m.clone()
	}
	if r.root != a.root {
		p.startReading(r.table) // something of ours was taken in between
		return
	}
	copy(r.sums[int(r.page)*serialline.DigestPage:], a.sums)
	if r.page++; r.page < serialline.DigestPages {
		return
	}
	for b := range r.sums {
		if r.sums[b] != r.base.sums[b] {
			r.differ = append(r.differ, uint8(b))
		}
	}
	if len(r.differ) == 0 {
		p.startReading(r.table)
	}
}

// bucketRead takes one page of one bucket's entries.
func (p *planner) bucketRead(a answer, now time.Time) {
	r := p.read
	if r.got == nil {
		r.got = make(map[serialline.Key]uint64)
	}
	maps.Copy(r.got, a.sumsOf)
	if a.more {
		r.at++
		return
	}
	m := p.image(r.table)
	if r.byBucket == nil {
		r.byBucket = make(map[uint8][]serialline.Key)
		for k := range r.base.entries {
			b := serialline.BucketOf(k)
			r.byBucket[b] = append(r.byBucket[b], k)
		}
		if !m.filled { // all other buckets are as we guessed
			for k, h := range r.base.entries {
				if !r.during[k] && !slices.Contains(r.differ, serialline.BucketOf(k)) {
					m.set(k, h)
				}
			}
		}
	}
	for _, k := range r.byBucket[r.differ[0]] {
		if _, there := r.got[k]; !there && !r.during[k] {
			m.drop(k)
			r.count(p, k)
		}
	}
	for k, sum := range r.got {
		if r.during[k] {
			continue
		}
		h := r.base.entries[k]
		if h.sum != sum {
			h = p.recognise(r.table, k, sum)
			r.count(p, k)
		}
		m.set(k, h)
	}
	r.differ, r.at, r.got = r.differ[1:], 0, nil
	if len(r.differ) > 0 {
		if r.table == serialline.TableCredentials {
			p.sort() // what was found and is not wanted goes at once
		}
		return
	}
	p.readAll(now)
}

// recognise is the entry of key that has this sum.
func (p *planner) recognise(table uint8, key serialline.Key, sum uint64) holding {
	if want, ok := p.target.records[key]; ok && table == serialline.TableCredentials && serialline.SumOf(want) == sum {
		return holding{sum, want, true}
	}
	return holding{sum: sum}
}

// settle takes it that the controller holds exactly m.
func (p *planner) settle(m *image, now time.Time) {
	table := p.read.table
	p.read = nil
	m.filled, m.known = true, true
	if table == serialline.TableSchedules {
		p.hours = m
		return
	}
	p.cards = m
	clear(p.doubt)
	p.surprised = false
	p.sort()
	p.proven = now
	p.proofDue = now.Add(proofEvery)
	if p.behind() == 0 && len(p.unsettled) == 0 && len(p.dead) == 0 {
		p.equal, p.wrong, p.refusal = true, 0, ""
		clear(p.fresh)
	}
}

// readAll takes it that the buckets that were not as believed are read.
func (p *planner) readAll(now time.Time) {
	r := p.read
	p.read = nil
	m := p.image(r.table)
	first := !m.filled
	m.filled, m.known = true, true
	p.unproven = true
	if r.table == serialline.TableSchedules {
		p.adopt()
		p.retarget() // hours that are there are used where they are
		return
	}
	clear(p.doubt)
	if r.wrong > 0 && !first {
		p.equal = false
		p.wrong++
		if !p.surprised {
			p.event(Event{Kind: ForeignChange, Count: uint64(r.wrong), Text: fmt.Sprintf("%s in the controller changed behind our back; put right again", cardsText(r.wrong))}, now)
		}
		if p.wrong == 2 {
			p.event(Event{Kind: Alarm, Count: uint64(r.wrong), Text: p.plain()}, now)
		}
	}
	p.surprised = false
	p.retarget()
}

// guess is what a table most likely holds at the first look since the agent
// started: what it should.
func (p *planner) guess(table uint8) *image {
	m := newImage()
	if table == serialline.TableCredentials {
		for _, r := range p.target.records {
			m.put(r)
		}
	} else if rows, err := encode(p.target.slots); err == nil {
		for _, r := range rows {
			m.put(r)
		}
	}
	return m
}

// adopt finds out which of the schedules that are wanted stand in which slots,
// from the rows that were read: an agent that was restarted goes on using them
// where they are. A row names its slot in its second byte, and that of a
// schedule's hours the number of its time zone after the key, which may differ
// from one table to the next (serial door link: schedules).
func (p *planner) adopt() {
	const hoursKind, zoneKind = 1, 3
	there := func(b [serialline.RecordLen]byte) bool {
		r := serialline.RecordOf(b)
		return p.hours.entries[r.Key].sum == serialline.SumOf(r)
	}
	p.standing = make(map[uint8]slotHours)
	wanted := make(map[string]slotHours)
	for _, s := range p.target.slots {
		wanted[s.content] = s
	}
	zones := make(map[uint8]bool)
	for k := range p.hours.entries {
		if k[0] == zoneKind {
			zones[k[1]] = true
		}
	}
	for _, c := range slices.Sorted(maps.Keys(wanted)) {
		rows, err := encode(map[uint8]slotHours{1: wanted[c]})
		if err != nil {
			continue
		}
		stands := func(slot, zone uint8) bool {
			n := 0
			for _, rec := range rows {
				r := rec.Bytes()
				if r[1] = slot; r[0] == zoneKind {
					r[1] = zone
				} else if r[0] == hoursKind {
					r[serialline.KeyLen] = zone
				}
				if !there(r) {
					return false
				}
				if r[0] != zoneKind {
					n++
				}
			}
			for k := range p.hours.entries { // and nothing besides
				if k[0] != zoneKind && k[1] == slot {
					n--
				}
			}
			return n == 0
		}
		for slot := 1; slot <= p.room.slots; slot++ {
			if p.standing[uint8(slot)].content != "" {
				continue
			}
			for zone := range zones {
				if stands(uint8(slot), zone) {
					p.standing[uint8(slot)] = wanted[c]
				}
			}
			if p.standing[uint8(slot)].content != "" {
				break
			}
		}
	}
	clear(p.slots)
	for slot, s := range p.standing {
		p.slots[slot] = s.content
	}
}

func (p *planner) event(e Event, now time.Time) {
	e.At, e.Controller = now.UTC(), p.name
	p.events = append(p.events, e)
}

// refuse rests: the controller, or the planner itself, cannot go on, and text
// says why.
func (p *planner) refuse(now time.Time, text string) {
	if p.refusal != text {
		p.event(Event{Kind: Alarm, Text: text}, now)
	}
	p.refusal, p.restTill, p.equal = text, now.Add(refusedRest), false
}

// hello begins a session. floor is the version that earlier runs proved.
func (p *planner) hello(id serialline.Hello, floor uint64, now time.Time) {
	old, met := p.identity, p.met
	p.identity, p.met = id, true
	p.lost(step{})
	p.offline = false
	was := p.stamps[serialline.TableCredentials]
	is := stamp{id.Credentials.Epoch, id.Credentials.Version}
	p.stamps[serialline.TableCredentials] = is
	p.stamps[serialline.TableSchedules] = stamp{id.Schedules.Epoch, id.Schedules.Version}
	room := limits{records: int(id.Credentials.Capacity), slots: maxSlots, doors: int(id.Doors), flags: id.Flags}
	why := ""
	switch {
	case met && id.Serial != old.Serial:
		why = "This is another controller than before: it was swapped."
	case met && (is.epoch < was.epoch || is.epoch == was.epoch && is.version < was.version):
		why = "The controller came back with an older table than it had."
	case !met && is.epoch != 0 && is.version < floor && is.epoch == p.wanted.Epoch:
		why = "The controller holds an older table than it proved before the agent was restarted."
	}
	if why != "" {
		p.surprised = true
		p.equal = false
		p.tombs = slices.DeleteFunc(slices.Clone(p.grave), func(k serialline.Key) bool { return !p.buried[k] })
		p.tombs = p.tombs[max(0, len(p.tombs)-tombsMost):]
		slices.Reverse(p.tombs) // the newest first
		p.event(Event{Kind: Alarm, Text: why}, now)
	}
	open := map[uint64]uint8{id.Credentials.Txn: serialline.TableCredentials, id.Schedules.Txn: serialline.TableSchedules}
	delete(open, 0)
	if t := p.load; t != nil {
		switch table, ok := open[t.id]; {
		case why == "" && t.begun && ok && table == t.table:
			delete(open, t.id) // BEGIN with the same id goes on where it stopped
			t.commit = false
		case why == "" && t.commit:
			// The digest tells whether the commit took place.
		default:
			p.load = nil
		}
	}
	for txn, table := range open {
		p.abort = &transaction{table: table, id: txn}
	}
	if room != p.room && p.target != nil {
		p.room = room
		p.retarget()
	}
	p.room = room
	p.sort()
}

// lost ends a session. What s would have done may or may not be done.
func (p *planner) lost(s step) {
	for _, k := range s.keys {
		p.doubt[k] = true
	}
	for _, r := range s.records {
		if s.kind == stepUpsert {
			p.doubt[r.Key] = true
		}
	}
	if s.kind == stepCommit {
		s.txn.commit = true
		for _, r := range s.txn.records {
			p.doubt[r.Key] = true
		}
	}
	p.read, p.abort = nil, nil
	p.offline = true
	p.equal = false // nobody knows what happens to a table that cannot be read
	p.cards.known, p.hours.known = false, false
	if p.load != nil {
		p.load.open = false
	}
}

// failed takes it that the controller refused a step. resync reports that the
// two no longer agree on what is going on: HELLO tells.
func (p *planner) failed(s step, code serialline.Code, now time.Time) (resync bool) {
	p.unproven = true
	switch code {
	case serialline.CodeRoot, serialline.CodeBase, serialline.CodeFullLoad, serialline.CodeBusyTxn, serialline.CodeTxn,
		serialline.CodeIndex, serialline.CodeIncomplete, serialline.CodeHello:
		if p.load != nil {
			p.drop()
		}
		p.cards.known, p.hours.known = false, false
		if p.refused++; p.refused > 3 {
			p.refuse(now, "The controller refuses what it is sent: "+code.Error()+".")
		}
		p.sort()
		return true
	case serialline.CodeEpoch, serialline.CodeVersion:
		p.refuse(now, "The controller holds a newer state than this site has; somebody must find out which of the two is right.")
	case serialline.CodeFull:
		p.full(s, now)
	default:
		p.refuse(now, "The controller refuses what it is sent: "+code.Error()+".")
	}
	if p.load != nil {
		p.drop()
	}
	if s.kind == stepAbort {
		p.abort = nil
	}
	if s.kind == stepRevoke && p.revokeTill.Before(now) {
		p.revokeTill = now.Add(revokeRest)
	}
	p.sort()
	return false
}

// full takes it that the controller has no room for a step. That its journal
// of single changes is full looks the same as a full table, but a commit empties
// it.
func (p *planner) full(s step, now time.Time) {
	fresh := 0
	for _, r := range s.records {
		if _, there := p.cards.entries[r.Key]; !there {
			fresh++
		}
	}
	switch {
	case s.txn != nil && s.txn.table == serialline.TableSchedules:
		p.refuse(now, "The controller has no room for the schedules.")
	case s.kind == stepRevoke || s.kind == stepUpsert && len(p.cards.entries)+fresh <= int(p.identity.Credentials.Capacity):
		if p.folded { // it was just emptied
			p.refuse(now, "The controller has no room for changes.")
		}
		p.toFold, p.folded = !p.folded, false
		if s.kind == stepRevoke {
			p.revokeTill = now.Add(revokeRest) // until it can be emptied: the rest goes on
		}
	case len(p.cards.entries) == 0:
		p.refuse(now, "The controller has no room for a single card.")
	default:
		p.room.records = min(p.room.records, len(p.cards.entries))
		p.retarget()
	}
}

// fold is the next step of a transaction that brings nothing, so that the
// controller takes its journal into its table.
func (p *planner) fold() step {
	if p.load != nil && (p.load.table != serialline.TableCredentials || len(p.load.records) > 0) {
		p.drop()
		p.sort()
	}
	if p.abort != nil {
		return step{kind: stepAbort, txn: p.abort}
	}
	if p.load == nil {
		p.load = p.newLoad(nil)
	}
	return p.loadStep()
}
