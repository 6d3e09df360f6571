package controller

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"latchkey/serialline"
	"latchkey/wiegand"
)

const (
	smallChange = 50               // so many additions overtake a load as single records; more become transactions
	perLoad     = 500              // records in one transaction, at most
	swapGroup   = 14               // changed cards that are taken away before their successors are put in: a matter of 100 ms
	proofEvery  = 50 * time.Second // from one digest to the next when nothing changes: a foreign change is found within a minute
	proofAgain  = 10 * time.Second // … while digests come out wrong
	refusedRest = 30 * time.Second // after a controller refused what nothing of ours explains
	revokeRest  = time.Second      // after a controller refused a revocation
	tombsMost   = 2048             // tombstones sent to a controller that came back with an old table: the newest
)

// A planner decides what goes to one table controller next, and what the
// answers mean. It is pure: it has no port and reads no clock, and one
// goroutine owns it.
//
// It is level-triggered: it keeps no list of changes to work off. At each
// change of what is wanted it compares, key by key, wanted with held, and
// between two frames asks itself anew what is the most urgent thing to send.
// That is, in this order: tombstones, for a controller that came back with an
// old table; revocations; changes that take something away, in place;
// schedules; changed cards, the old one first; a few additions; a load. At the
// end stands a digest, read back, and only that proves anything.
type planner struct {
	name  string
	doors []SerialDoor
	room  limits

	wanted Wanted
	paused bool    // the site has no verified data (any more): nothing is pushed
	target *target // nil before the first Wanted that is Ready
	slots  slotMemory
	year   int                       // for which time zones were worked out
	person map[serialline.Key]string // whose card it is or was
	dead   map[serialline.Key]bool   // no longer wanted, and the controller has not yet confirmed that it is gone
	buried map[serialline.Key]bool   // all tombstones
	grave  []serialline.Key          // the same, oldest first
	tombs  []serialline.Key          // to be revoked before anything else

	cards *image // what the controller holds: as last read, and what was sent since
	hours *image // the same of its schedules, row by row
	// standing is what stands in each slot of the controller.
	standing map[uint8]slotHours
	read     *reading
	load     *transaction
	abort    *transaction            // to be aborted at the controller
	doubt    map[serialline.Key]bool // the controller may or may not have taken what was last sent for it
	fresh    map[serialline.Key]bool // sent since the last proof
	lastTxn  uint64

	// What is to be done, as sort sorted it out last.
	revoke    []serialline.Key
	narrow    []serialline.Record
	unsettled []uint8 // slots
	first     []serialline.Record
	swaps     []swap
	single    []serialline.Record
	bulk      []serialline.Record
	hurry     map[serialline.Key]bool // cards whose predecessor is gone already
	backlog   map[serialline.Key]bool // cards that came with a load, and stay with it

	unproven bool      // something was sent, or happened, since the last proof
	proofDue time.Time // when the next digest is to be read
	equal    bool
	proven   time.Time
	wrong    int // proofs that came out wrong in a row
	restTill time.Time
	refusal  string // why it rests, for people

	stamps     [3]stamp  // of the controller's tables, by number
	unstamped  bool      // the credentials changed since the table last got a version
	refused    int       // times in a row that the two did not agree on what is going on
	revokeTill time.Time // after a refused revocation
	toFold     bool      // the controller's journal of single changes is full
	folded     bool      // it was emptied since the last single change
	met        bool      // there was a session
	offline    bool      // the newest one is over
	identity   serialline.Hello
	surprised  bool // it is not the table that we left

	// For the driver to take.
	events []Event
	bury   []serialline.Key
	raise  []serialline.Key
}

// A stamp is the version of a controller's table.
type stamp struct {
	epoch   uint32 // 0: it was never loaded
	version uint64
}

// A swap is a person's card that changes: old goes, then new comes.
type swap struct {
	old []serialline.Key
	new []serialline.Record
}

func newPlanner(name string, doors []SerialDoor, room limits) *planner {
	return &planner{
		name: name, doors: doors, room: room,
		slots: make(slotMemory), person: make(map[serialline.Key]string), dead: make(map[serialline.Key]bool),
		buried: make(map[serialline.Key]bool), doubt: make(map[serialline.Key]bool),
		hurry: make(map[serialline.Key]bool), backlog: make(map[serialline.Key]bool),
		cards: newImage(), hours: newImage(), standing: make(map[uint8]slotHours), fresh: make(map[serialline.Key]bool),
	}
}

// remember gives the planner the tombstones of earlier runs.
func (p *planner) remember(tombs []serialline.Key) {
	for _, k := range tombs {
		if !p.buried[k] {
			p.buried[k] = true
			p.grave = append(p.grave, k)
		}
	}
}

// want takes what the controller should hold from now on.
func (p *planner) want(w Wanted, now time.Time) {
	p.paused = !w.Ready
	if p.paused {
		return
	}
	p.wanted, p.year = w, now.UTC().Year()
	p.retarget()
}

// retarget works out the target anew, and then what is to be done.
func (p *planner) retarget() {
	old := p.target
	p.target = makeTarget(p.wanted, p.doors, p.room, p.slots, p.year, p.cards.records)
	if old != nil {
		for k := range old.records {
			if _, ok := p.target.records[k]; !ok {
				p.dead[k] = true
			}
		}
	}
	for k := range p.target.records {
		delete(p.dead, k)
		if p.buried[k] {
			delete(p.buried, k)
			p.raise = append(p.raise, k)
		}
	}
	p.tombs = slices.DeleteFunc(p.tombs, func(k serialline.Key) bool {
		_, wanted := p.target.records[k]
		return wanted
	})
	maps.DeleteFunc(p.person, func(k serialline.Key, _ string) bool {
		_, held := p.cards.entries[k]
		return !held && !p.dead[k]
	})
	for _, e := range p.wanted.Entitlements {
		if b := e.Credential.Bits; b.Len() > 0 {
			p.person[serialline.MakeKey(b.Len(), b.Bytes())] = e.Credential.Person
		}
	}
	if p.load != nil && p.stale(p.load) {
		p.drop()
	}
	p.sort()
}

// stale reports whether t would bring something that is no longer wanted just
// so. A card that was revoked after BEGIN stays revoked over COMMIT, and so does
// not matter.
func (p *planner) stale(t *transaction) bool {
	if t.table == serialline.TableSchedules {
		for slot, s := range p.target.slots {
			if t.slots[slot].content != s.content {
				return true
			}
		}
		return false
	}
	return slices.ContainsFunc(t.records, func(r serialline.Record) bool {
		want, ok := p.target.records[r.Key]
		return ok && want != r && !t.touched[r.Key] || !ok && !t.begun
	})
}

// drop gives up the transaction that is under way.
func (p *planner) drop() {
	if p.load.begun {
		p.abort = p.load
	}
	p.load = nil
}

// settled reports whether the controller's slot holds what the target wants
// there.
func (p *planner) settled(slot uint8) bool {
	if slot == always {
		return true
	}
	s, ok := p.target.slots[slot]
	return ok && p.standing[slot].content == s.content
}

// allSettled reports whether a record may be sent.
func (p *planner) allSettled(r serialline.Record) bool {
	for i, slot := range r.Schedules {
		if r.Doors>>i&1 == 1 && !p.settled(slot) {
			return false
		}
	}
	return true
}

// pointsAtUnsettled reports whether h may open by a slot that is about to get
// another meaning.
func (p *planner) pointsAtUnsettled(h holding) bool {
	if !h.known {
		return true
	}
	for i, slot := range h.record.Schedules {
		if h.record.Doors>>i&1 == 1 && slot != always {
			if _, used := p.target.slots[slot]; used && !p.settled(slot) {
				return true
			}
		}
	}
	return false
}

// sort compares wanted with held and sorts out what is to be done.
func (p *planner) sort() {
	p.revoke, p.narrow, p.unsettled, p.first, p.swaps, p.single, p.bulk = nil, nil, nil, nil, nil, nil, nil
	if p.target == nil {
		return
	}
	for slot := range p.target.slots {
		if !p.settled(slot) {
			p.unsettled = append(p.unsettled, slot)
		}
	}
	slices.Sort(p.unsettled)

	loading := make(map[serialline.Key]bool)
	if p.load != nil {
		for _, r := range p.load.records {
			loading[r.Key] = true
		}
	}
	arriving := make(map[string][]serialline.Record) // by person: cards that the controller does not have yet
	var adds []serialline.Record
	for k, want := range p.target.records {
		have, held := p.cards.entries[k]
		switch {
		case held && have.sum == serialline.SumOf(want):
			if !have.known {
				p.cards.put(want)
			}
			delete(p.hurry, k)
			delete(p.backlog, k)
		case !held:
			if who := p.person[k]; who != "" {
				arriving[who] = append(arriving[who], want)
			}
			if !loading[k] {
				adds = append(adds, want)
			}
		case have.known && !loses(have.record, want):
			if !loading[k] {
				adds = append(adds, want)
			}
		case p.allSettled(want):
			p.narrow = append(p.narrow, want)
		default:
			switch less := p.lessen(have, want); {
			case less.Doors == 0:
				p.revoke = append(p.revoke, k) // it comes back with its schedule
			case !have.known || less != have.record:
				p.narrow = append(p.narrow, less)
			default:
				adds = append(adds, want) // nothing to take away before its schedule is there
				p.hurry[k] = true
			}
		}
	}
	gone := make(map[string][]serialline.Key) // by person: cards that have a successor
	bury := func(k serialline.Key) {
		h, held := p.cards.entries[k]
		who := p.person[k]
		if held && who != "" && len(arriving[who]) > 0 && !p.pointsAtUnsettled(h) {
			gone[who] = append(gone[who], k)
			return
		}
		p.revoke = append(p.revoke, k)
	}
	for k := range p.cards.entries {
		if _, ok := p.target.records[k]; !ok {
			bury(k)
		}
	}
	for k := range p.dead {
		if _, held := p.cards.entries[k]; !held {
			bury(k)
		}
	}
	slices.SortFunc(p.revoke, compareKeys)
	slices.SortFunc(p.narrow, compareRecords)

	taken := make(map[serialline.Key]bool)
	for _, who := range slices.Sorted(maps.Keys(gone)) {
		s := swap{old: gone[who], new: arriving[who]}
		slices.SortFunc(s.old, compareKeys)
		slices.SortFunc(s.new, compareRecords)
		p.swaps = append(p.swaps, s)
		for _, r := range s.new {
			taken[r.Key] = true
		}
	}
	adds = slices.DeleteFunc(adds, func(r serialline.Record) bool {
		if p.hurry[r.Key] && !taken[r.Key] {
			p.first = append(p.first, r)
		}
		return taken[r.Key] || p.hurry[r.Key]
	})
	slices.SortFunc(p.first, compareRecords)
	slices.SortFunc(adds, compareRecords)
	for _, r := range adds {
		if p.backlog[r.Key] {
			p.bulk = append(p.bulk, r)
		} else {
			p.single = append(p.single, r)
		}
	}
	if len(p.single) > smallChange {
		p.bulk, p.single = adds, nil
		for _, r := range adds {
			p.backlog[r.Key] = true
		}
	} else if p.load == nil && len(adds) <= smallChange {
		p.bulk, p.single = nil, adds
	}
	if p.equal && (p.behind() > 0 || len(p.unsettled) > 0) {
		p.equal = false
	}
}

func compareKeys(a, b serialline.Key) int       { return bytes.Compare(a[:], b[:]) }
func compareRecords(a, b serialline.Record) int { return bytes.Compare(a.Key[:], b.Key[:]) }

// loses reports whether somebody who holds now and is to hold then loses
// something by it, at any time.
func loses(now, then serialline.Record) bool {
	if now.Flags != then.Flags || now.Doors&^then.Doors != 0 || then.ValidFrom > now.ValidFrom ||
		then.ValidUntil != 0 && (now.ValidUntil == 0 || then.ValidUntil < now.ValidUntil) {
		return true
	}
	for i := range now.Schedules {
		if now.Doors>>i&1 == 1 && then.Schedules[i] != always && then.Schedules[i] != now.Schedules[i] {
			return true
		}
	}
	return false
}

// lessen is what can be put in place of have before all schedules of want are
// there: nothing in it that have or want do not give.
func (p *planner) lessen(have holding, want serialline.Record) serialline.Record {
	less := want
	less.Doors, less.Schedules = 0, [4]uint8{}
	now := have.record
	if have.known {
		less.ValidFrom = max(now.ValidFrom, want.ValidFrom)
		if now.ValidUntil != 0 && (want.ValidUntil == 0 || now.ValidUntil < want.ValidUntil) {
			less.ValidUntil = now.ValidUntil
		}
		less.Flags = now.Flags
	}
	for i := range want.Schedules {
		if want.Doors>>i&1 == 0 {
			continue
		}
		had := have.known && now.Doors>>i&1 == 1
		switch {
		case had && want.Schedules[i] == always:
			less.Schedules[i] = now.Schedules[i]
		case had && want.Schedules[i] == now.Schedules[i]:
			less.Schedules[i] = want.Schedules[i] // changes its meaning with the slot
		case had && now.Schedules[i] == always && p.settled(want.Schedules[i]):
			less.Schedules[i] = want.Schedules[i]
		case had && !p.rewritten(now.Schedules[i]):
			less.Schedules[i] = now.Schedules[i] // as before until its new schedule is there
		case !have.known && p.settled(want.Schedules[i]):
			less.Schedules[i] = want.Schedules[i]
		default:
			continue
		}
		less.Doors |= 1 << i
	}
	return less
}

// rewritten reports whether slot is about to get another meaning.
func (p *planner) rewritten(slot uint8) bool {
	if slot == always {
		return false
	}
	_, used := p.target.slots[slot]
	return used && !p.settled(slot)
}

// behind is how many credentials are still to be changed.
func (p *planner) behind() int {
	if p.target == nil {
		return 0
	}
	n := len(p.revoke) + len(p.narrow) + len(p.first) + len(p.single) + len(p.bulk)
	for _, s := range p.swaps {
		n += len(s.old) + len(s.new)
	}
	if p.load != nil && !p.load.refresh && p.load.table == serialline.TableCredentials {
		n += len(p.load.records)
	}
	return n
}

// plain says in words how the table stands.
func (p *planner) plain() string {
	switch {
	case p.paused || p.target == nil:
		return "The site has no verified data yet, so nothing is sent to this controller."
	case p.refusal != "":
		return p.refusal
	case p.wrong >= 2:
		return "What the controller says it holds does not match what it was sent, twice in a row; somebody may be changing its table, or its memory is faulty."
	case p.met && p.offline:
		return "The controller does not answer, so nobody knows what it holds now."
	case !p.cards.known || !p.hours.known:
		return "The controller's table is being read."
	}
	var parts []string
	switch n := p.behind(); {
	case n > 0:
		parts = append(parts, fmt.Sprintf("%s still to be changed in the controller", cardsText(n)))
	case !p.equal:
		parts = append(parts, "All changes were sent and are being read back")
	default:
		parts = append(parts, fmt.Sprintf("The controller holds exactly the %s that it should", cardsText(len(p.target.records))))
	}
	if n := len(p.target.cannot); n > 0 {
		parts = append(parts, fmt.Sprintf("it cannot hold %s (as granted)", cardsText(n)))
	}
	return strings.Join(parts, "; ") + "."
}

func cardsText(n int) string {
	if n == 1 {
		return "1 card"
	}
	return fmt.Sprintf("%d cards", n)
}

// rows are what the ledger says of each credential at this time.
func (p *planner) rows(now time.Time, old map[string]LedgerRow) map[string]LedgerRow {
	rows := make(map[string]LedgerRow)
	if p.target == nil {
		return old
	}
	set := func(id, state, text string) {
		rows[id] = LedgerRow{Credential: id, State: state, Since: now, Version: p.target.version, Text: text}
	}
	state := StateSent
	if p.equal {
		state = StateProven
	}
	for k, want := range p.target.records {
		h, held := p.cards.entries[k]
		for _, id := range p.target.credentials[k] {
			switch {
			case !p.cards.filled && old[id].State != "" && old[id].State != StateRevoking && old[id].State != StateCannotHold:
				rows[id] = old[id] // what an earlier run knew, until the table is read
			case !held || h.sum != serialline.SumOf(want):
				set(id, StateWanted, "")
			case old[id].State == StateProven && !p.fresh[k]:
				set(id, StateProven, "")
			default:
				set(id, state, "")
			}
		}
	}
	for id, why := range p.target.cannot {
		set(id, StateCannotHold, why)
	}
	if !p.equal { // a proof says that nothing else is there
		for id, r := range old {
			if _, ok := rows[id]; !ok && r.State != StateCannotHold {
				set(id, StateRevoking, "")
			}
		}
	}
	return rows
}

// polled compares the first bytes of the tables' roots, which come with each
// POLL, with what we left there: a foreign change shows at once.
func (p *planner) polled(checks [2]uint64) {
	if !p.cards.known || !p.hours.known || p.read != nil || p.load != nil && p.load.commit {
		return
	}
	if checks[0] != p.cards.root().Check() || checks[1] != p.hours.root().Check() {
		p.unproven = true
	}
}

// bitsOf finds the card whose key tells only a hash of it.
func (p *planner) bitsOf(key serialline.Key) (none wiegand.Bits) {
	for _, e := range p.wanted.Entitlements {
		if b := e.Credential.Bits; b.Len() > 0 && serialline.MakeKey(b.Len(), b.Bytes()) == key {
			return b
		}
	}
	return none
}
