package linktest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"latchkey/serialline"
)

var le = binary.LittleEndian

// The entries of the journal "state". A running controller changes its state
// only by writing an entry and then doing what a replay does with it.
const (
	entryTable  = 1  // table u8, epoch u32, version u64, last txn u64
	entryRows   = 2  // table u8, records
	entryBegin  = 3  // payload of BEGIN
	entryPut    = 4  // payload of PUT
	entryDel    = 5  // payload of DEL
	entryCommit = 6  // payload of COMMIT
	entryAbort  = 7  // payload of ABORT
	entryRevoke = 8  // keys
	entryUpsert = 9  // payload of UPSERT
	entryMode   = 10 // door u8, mode u8
	entryClock  = 11 // i64 unix ms less the oscillator's, i64 unix ms
	entryMeddle = 12 // table u8, number of keys u16, keys that go, records that come
	entryTouch  = 13 // keys that the fast lane touched since BEGIN (after a rewrite)
)

// A table is what one of the link's tables is.
type table struct {
	rows    *serialline.Table // without what is revoked: what decisions and digests go by
	epoch   uint32
	version uint64
	lastTxn uint64 // the last one committed
}

// A transaction is one that is open.
type transaction struct {
	serialline.BeginRequest
	next    uint32
	staged  map[serialline.Key]stagedRecord
	touched map[serialline.Key]bool // by REVOKE or UPSERT since BEGIN: newer than what is staged
}

// A stagedRecord is a key's last word in a transaction.
type stagedRecord struct {
	record serialline.Record
	del    bool
	order  uint32
}

// A state is all that a controller keeps over a loss of power, but for events.
type state struct {
	tables  [3]*table // 1 and 2
	hours   map[uint8]serialline.Schedule
	txn     *transaction
	revoked map[serialline.Key]bool
	modes   [serialline.MaxDoors]serialline.Mode
	offset  int64 // unix ms of the clock less that of the oscillator
	set     bool  // the clock was set, ever
	last    int64 // unix ms when it was set last
}

func newState() *state {
	return &state{
		tables:  [3]*table{nil, {rows: serialline.NewTable()}, {rows: serialline.NewTable()}},
		hours:   make(map[uint8]serialline.Schedule),
		revoked: make(map[serialline.Key]bool),
	}
}

func (s *state) table(n uint8) *table {
	if n < 1 || int(n) >= len(s.tables) {
		return nil
	}
	return s.tables[n]
}

var errEntry = errors.New("entry makes no sense")

// apply does what an entry says. Its error means that the entry could never
// have been written.
func (s *state) apply(kind uint8, p []byte) error {
	switch kind {
	case entryTable:
		if len(p) != 21 || s.table(p[0]) == nil {
			return errEntry
		}
		t := s.table(p[0])
		t.epoch, t.version, t.lastTxn = le.Uint32(p[1:]), le.Uint64(p[5:]), le.Uint64(p[13:])
	case entryRows:
		if len(p) < 1 || s.table(p[0]) == nil || (len(p)-1)%serialline.RecordLen != 0 {
			return errEntry
		}
		for c := range slices.Chunk(p[1:], serialline.RecordLen) {
			s.tables[p[0]].rows.Put(serialline.RecordOf([serialline.RecordLen]byte(c)))
		}
		return s.rehash(p[0])
	case entryBegin:
		b, err := serialline.ParseBeginRequest(p)
		if err != nil {
			return err
		}
		s.txn = &transaction{BeginRequest: b, staged: make(map[serialline.Key]stagedRecord), touched: make(map[serialline.Key]bool)}
	case entryPut:
		m, err := serialline.ParsePutRequest(p)
		if err != nil || s.txn == nil {
			return errors.Join(errEntry, err)
		}
		for i, r := range m.Records {
			s.stage(m.First+uint32(i), r.Key, stagedRecord{record: r})
		}
	case entryDel:
		m, err := serialline.ParseDelRequest(p)
		if err != nil || s.txn == nil {
			return errors.Join(errEntry, err)
		}
		for i, k := range m.Keys {
			s.stage(m.First+uint32(i), k, stagedRecord{del: true})
		}
	case entryCommit:
		if s.txn == nil {
			return errEntry
		}
		s.merge()
		return s.committed()
	case entryAbort:
		s.txn = nil
	case entryRevoke, entryTouch:
		if len(p)%serialline.KeyLen != 0 {
			return errEntry
		}
		for c := range slices.Chunk(p, serialline.KeyLen) {
			if kind == entryRevoke {
				s.revoke(serialline.Key(c))
			} else {
				s.touch(serialline.Key(c))
			}
		}
	case entryUpsert:
		m, err := serialline.ParseUpsertRequest(p)
		if err != nil {
			return err
		}
		for _, r := range m.Records {
			delete(s.revoked, r.Key)
			s.tables[serialline.TableCredentials].rows.Put(r)
			s.touch(r.Key)
		}
	case entryMode:
		if len(p) != 2 || int(p[0]) >= len(s.modes) {
			return errEntry
		}
		s.modes[p[0]] = serialline.Mode(p[1])
	case entryClock:
		if len(p) != 16 {
			return errEntry
		}
		s.offset, s.last, s.set = int64(le.Uint64(p)), int64(le.Uint64(p[8:])), true
	case entryMeddle:
		return s.meddle(p)
	default:
		return fmt.Errorf("%w: kind %d", errEntry, kind)
	}
	return nil
}

func (s *state) revoke(k serialline.Key) {
	s.revoked[k] = true
	s.tables[serialline.TableCredentials].rows.Delete(k)
	s.touch(k)
}

func (s *state) touch(k serialline.Key) {
	if s.txn != nil && s.txn.Table == serialline.TableCredentials {
		s.txn.touched[k] = true
	}
}

// stage takes record i of the open transaction, unless it has it already.
func (s *state) stage(i uint32, k serialline.Key, r stagedRecord) {
	if i != s.txn.next {
		return
	}
	s.txn.next++
	r.order = i
	s.txn.staged[k] = r
}

// size is how many records the table would have if more were put and the
// transaction committed.
func (s *state) size(more ...serialline.Record) int {
	x, rows := s.txn, s.tables[s.txn.Table].rows
	n := rows.Len()
	if x.Full {
		n = 0
		for k := range x.touched {
			if _, ok := rows.Get(k); ok {
				n++
			}
		}
	}
	count := func(k serialline.Key, del bool) {
		had := false
		if !x.Full {
			_, had = rows.Get(k)
		}
		switch {
		case x.touched[k]:
		case del && had:
			n--
		case !del && !had:
			n++
		}
	}
	fresh := make(map[serialline.Key]bool, len(more))
	for _, r := range more {
		if !fresh[r.Key] {
			fresh[r.Key] = true
			count(r.Key, false)
		}
	}
	for k, r := range x.staged {
		if !fresh[k] {
			count(k, r.del)
		}
	}
	return n
}

// merge makes the table what it is after the open transaction, and returns how
// to take that back.
func (s *state) merge() (undo func()) {
	x, t := s.txn, s.tables[s.txn.Table]
	if x.Full {
		old := t.rows
		t.rows = serialline.NewTable()
		for k := range x.touched {
			if r, ok := old.Get(k); ok {
				t.rows.Put(r)
			}
		}
		for k, r := range x.staged {
			if !r.del && !x.touched[k] {
				t.rows.Put(r.record)
			}
		}
		return func() { t.rows = old }
	}
	before := make(map[serialline.Key]stagedRecord, len(x.staged))
	for k, r := range x.staged {
		if x.touched[k] {
			continue
		}
		old, had := t.rows.Get(k)
		before[k] = stagedRecord{record: old, del: !had}
		if r.del {
			t.rows.Delete(k)
		} else {
			t.rows.Put(r.record)
		}
	}
	return func() {
		for k, r := range before {
			if r.del {
				t.rows.Delete(k)
			} else {
				t.rows.Put(r.record)
			}
		}
	}
}

// committed is what a commit does besides merge.
func (s *state) committed() error {
	x := s.txn
	t := s.tables[x.Table]
	t.epoch, t.version, t.lastTxn = x.Epoch, x.Target, x.Txn
	if x.Table == serialline.TableCredentials {
		// What was revoked before BEGIN is gone from the table now, or was put again.
		maps.DeleteFunc(s.revoked, func(k serialline.Key, _ bool) bool { return !x.touched[k] })
	}
	s.txn = nil
	return s.rehash(x.Table)
}

// rehash works out what follows from a table's rows. While a rewritten journal
// is replayed, schedules are not whole before the last of their rows; what they
// are then was checked before it was written.
func (s *state) rehash(n uint8) error {
	if n != serialline.TableSchedules {
		return nil
	}
	hours, err := serialline.DecodeSchedules(s.tables[n].rows)
	if err != nil {
		hours = nil
	}
	s.hours = hours
	return nil
}

func (s *state) meddle(p []byte) error {
	if len(p) < 3 || s.table(p[0]) == nil {
		return errEntry
	}
	t, n, rest := s.tables[p[0]], int(le.Uint16(p[1:]))*serialline.KeyLen, p[3:]
	if n > len(rest) || (len(rest)-n)%serialline.RecordLen != 0 {
		return errEntry
	}
	for c := range slices.Chunk(rest[:n], serialline.KeyLen) {
		t.rows.Delete(serialline.Key(c))
	}
	for c := range slices.Chunk(rest[n:], serialline.RecordLen) {
		t.rows.Put(serialline.RecordOf([serialline.RecordLen]byte(c)))
	}
	return s.rehash(p[0])
}

// entries is a journal that makes this state.
func (s *state) entries() []byte {
	var b []byte
	for n, t := range s.tables {
		if t == nil {
			continue
		}
		p := append([]byte{byte(n)}, le.AppendUint64(le.AppendUint64(le.AppendUint32(nil, t.epoch), t.version), t.lastTxn)...)
		b = appendEntry(b, entryTable, p)
		rows := slices.Collect(t.rows.All())
		for c := range slices.Chunk(rows, 1000) {
			p := []byte{byte(n)}
			for _, r := range c {
				w := r.Bytes()
				p = append(p, w[:]...)
			}
			b = appendEntry(b, entryRows, p)
		}
	}
	for door, m := range s.modes {
		if m != serialline.ModeNormal {
			b = appendEntry(b, entryMode, []byte{byte(door), byte(m)})
		}
	}
	if s.set {
		b = appendEntry(b, entryClock, clockEntry(s.offset, s.last))
	}
	// Before BEGIN, so that they do not count as touched; those that do follow.
	for k := range s.revoked {
		b = appendEntry(b, entryRevoke, k[:])
	}
	if x := s.txn; x != nil {
		b = appendEntry(b, entryBegin, x.BeginRequest.Append(nil))
		for k := range x.touched {
			b = appendEntry(b, entryTouch, k[:])
		}
		b = x.appendStaged(b)
	}
	return b
}

// appendStaged writes what is staged, with an entry for each index, as the index
// is what the transaction goes on at. Where a later record of the same key took
// an index's place, some key's last word stands a second time.
func (x *transaction) appendStaged(b []byte) []byte {
	at := make([]serialline.Key, x.next)
	last := make([]bool, x.next)
	for k, r := range x.staged {
		at[r.order], last[r.order] = k, true
	}
	var filler serialline.Key
	for k := range x.staged {
		filler = k
		break
	}
	for i := range x.next {
		k := at[i]
		if !last[i] {
			k = filler
		}
		r := x.staged[k]
		if r.del {
			b = appendEntry(b, entryDel, serialline.DelRequest{Txn: x.Txn, First: i, Keys: []serialline.Key{k}}.Append(nil))
		} else {
			b = appendEntry(b, entryPut, serialline.PutRequest{Txn: x.Txn, First: i, Records: []serialline.Record{r.record}}.Append(nil))
		}
	}
	return b
}

func clockEntry(offset, now int64) []byte {
	return le.AppendUint64(le.AppendUint64(nil, uint64(offset)), uint64(now))
}
