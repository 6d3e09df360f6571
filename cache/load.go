package cache

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"latchkey/access"
	"latchkey/delta"
)

// restricts reports whether the loss of a record of this kind could open a
// door. Such records are kept twice, and missing ones shut the building.
func restricts(k access.Kind) bool { return k == access.KindPosture || k == access.KindSetting }

// known reports whether this version reads records of kind k. Others are
// stored and digested, so that digests survive version skew, and nothing else.
func known(k access.Kind) bool {
	switch k {
	case access.KindPerson, access.KindCredential, access.KindGroup, access.KindMembership, access.KindGrant,
		access.KindSchedule, access.KindDoor, access.KindPosture, access.KindSetting:
		return true
	}
	return false
}

func whereState(table string) []byte { return where(table, 1, 0) }

func whereRecord(gen uint64, ref access.Ref) []byte {
	return where("records", gen, 0, string(ref.Kind), ref.Key)
}

func whereGuard(what string, ref access.Ref, p position) []byte {
	return where("guard", uint64(p.epoch), p.seq, what, string(ref.Kind), ref.Key)
}

func whereBlocked(ref access.Ref, p position) []byte {
	return where("blocked", uint64(p.epoch), p.seq, string(ref.Kind), ref.Key)
}

const (
	guardBlocked = "blocked"
	guardRecord  = "record"
)

// guardTerm is what a row of the guard table adds to state.Guard.
func guardTerm(what string, ref access.Ref, p position, record []byte) (access.Ref, []byte) {
	if what == guardBlocked {
		record = strconv.AppendUint(append(strconv.AppendUint(nil, uint64(p.epoch), 10), '/'), p.seq, 10)
	}
	return access.Ref{Kind: access.Kind(what + " " + string(ref.Kind)), Key: ref.Key}, record
}

// writeState writes both copies of s, and returns the first one's bytes.
func writeState(ctx context.Context, t *sql.Tx, seal *sealer, s state) ([]byte, error) {
	plain, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	a := seal.seal(whereState("state_a"), plain)
	if _, err := t.ExecContext(ctx, `INSERT OR REPLACE INTO state_a (id, box) VALUES (1, ?)`, a); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	b := seal.seal(whereState("state_b"), plain)
	if _, err := t.ExecContext(ctx, `INSERT OR REPLACE INTO state_b (id, box) VALUES (1, ?)`, b); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	return a, nil
}

// readState reads the copy that verifies. whole is false if only one did. An
// error is about SQLite; errSeal says that neither verified.
func readState(ctx context.Context, q querier, seal *sealer) (s state, box []byte, whole bool, err error) {
	var found []state
	var errs []error
	for _, table := range []string{"state_a", "state_b"} {
		var b []byte
		err := q.QueryRowContext(ctx, `SELECT box FROM `+table+` WHERE id = 1`).Scan(&b)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			errs = append(errs, fmt.Errorf("%s: %w", table, err))
			continue
		}
		var one state
		if plain, err := seal.open(whereState(table), b); err == nil && json.Unmarshal(plain, &one) == nil {
			found = append(found, one)
		}
		if table == "state_a" {
			box = b
		}
	}
	switch {
	case len(found) == 2 && found[0] == found[1]:
		return found[0], box, true, nil
	case len(found) == 2: // both once true: the later one holds
		s = found[0]
		if s.at().before(found[1].at()) || s.at() == found[1].at() && s.Next < found[1].Next {
			s = found[1]
		}
		return s, box, false, nil
	case len(found) == 1:
		return found[0], box, false, nil
	}
	return state{}, nil, false, errors.Join(append(errs, errSeal)...)
}

// A querier is what *sql.DB, *sql.Tx and *sql.Conn have in common.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// A picture is the state as read from disk.
type picture struct {
	state       state
	box         []byte
	mended      bool // a second copy had to stand in: write both again
	index       *access.Index
	blocked     map[access.Ref]position
	guarded     map[access.Ref][]byte // restricting records
	digest      delta.Digest
	records     int
	quarantined int
	unread      int    // records that verify and that this version cannot read
	unguarded   string // restrictions are missing: nobody may be let in
}

// read makes a picture from one consistent view of the file. Rows that do not
// verify are counted and left out; an error is about SQLite or the state row.
func read(ctx context.Context, q querier, seal *sealer) (*picture, error) {
	p := &picture{index: access.NewIndex(), blocked: map[access.Ref]position{}, guarded: map[access.Ref][]byte{}}
	var whole bool
	var err error
	if p.state, p.box, whole, err = readState(ctx, q, seal); err != nil {
		if errors.Is(err, errSeal) {
			err = fmt.Errorf("%w: %w", errDamaged, err)
		}
		return nil, fmt.Errorf("state: %w", err)
	}
	p.mended = !whole
	err = p.readRecords(ctx, q, seal, p.state.Gen)
	if err != nil {
		return nil, fmt.Errorf("records: %w", err)
	}
	if err := p.readGuards(ctx, q, seal); err != nil {
		return nil, fmt.Errorf("guard: %w", err)
	}
	for ref := range p.blocked {
		p.index.Block(ref)
	}
	p.index.SetReady(p.state.Verified && p.unguarded == "")
	return p, nil
}

// readRecords loads the records of one generation.
func (p *picture) readRecords(ctx context.Context, q querier, seal *sealer, gen uint64) error {
	rows, err := q.QueryContext(ctx, `SELECT kind, key, box FROM records WHERE gen = ? ORDER BY kind, key`, int64(gen))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var kind, key, box sql.RawBytes
		if err := rows.Scan(&kind, &key, &box); err != nil {
			return err
		}
		ref := access.Ref{Kind: access.Kind(kind), Key: string(key)}
		plain, err := seal.open(whereRecord(gen, ref), box)
		if err != nil {
			p.quarantined++
			continue
		}
		p.records++
		p.digest.Add(ref, plain)
		if restricts(ref.Kind) {
			p.guarded[ref] = plain
		}
		if !p.put(ref, plain) {
			p.unread++
		}
	}
	return errors.Join(rows.Err(), rows.Close())
}

// put brings one record into the index, if this version reads it.
func (p *picture) put(ref access.Ref, plain []byte) bool {
	if !known(ref.Kind) {
		return false
	}
	r, err := access.ParseRecord(ref.Kind, plain)
	if err != nil || r.Ref() != ref {
		return false
	}
	p.index.Put(r)
	return true
}

// readGuards loads the deny lane and the restrictions from both of their
// copies, and holds what it finds against the sum in the state.
func (p *picture) readGuards(ctx context.Context, q querier, seal *sealer) error {
	seen := map[access.Ref]position{} // in the first copy
	err := eachGuard(ctx, q, `SELECT 'blocked', kind, key, epoch, seq, box FROM blocked`, func(what string, ref access.Ref, at position, box []byte) {
		if _, err := seal.open(whereBlocked(ref, at), box); err != nil {
			p.quarantined++
			return
		}
		seen[ref] = at
		p.blocked[ref] = at
	})
	if err != nil {
		return err
	}
	copies := 0
	err = eachGuard(ctx, q, `SELECT what, kind, key, epoch, seq, box FROM guard`, func(what string, ref access.Ref, at position, box []byte) {
		plain, err := seal.open(whereGuard(what, ref, at), box)
		if err != nil {
			p.quarantined++
			return
		}
		copies++
		switch what {
		case guardBlocked:
			if old, ok := p.blocked[ref]; !ok || old.before(at) {
				p.blocked[ref] = at
			}
		case guardRecord:
			if _, ok := p.guarded[ref]; !ok {
				p.guarded[ref] = plain
				if !p.put(ref, plain) {
					p.unread++
				}
			}
		}
	})
	if err != nil {
		return err
	}
	if copies != len(p.blocked)+len(p.guarded) || !maps.Equal(seen, p.blocked) {
		p.mended = true
	}
	if sum := p.guardSum(); sum != p.state.Guard {
		p.unguarded = "restrictions are missing or do not verify: lockdowns or revocations may be lost, so no card is let in"
	}
	return nil
}

// guardSum is the sum over what the guard table must hold.
func (p *picture) guardSum() (sum delta.Digest) {
	for ref, at := range p.blocked {
		sum.Add(guardTerm(guardBlocked, ref, at, nil))
	}
	for ref, plain := range p.guarded {
		sum.Add(guardTerm(guardRecord, ref, position{}, plain))
	}
	return sum
}

func eachGuard(ctx context.Context, q querier, query string, f func(what string, ref access.Ref, at position, box []byte)) error {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var what, kind, key, epoch, seq, box sql.RawBytes
		if err := rows.Scan(&what, &kind, &key, &epoch, &seq, &box); err != nil {
			return err
		}
		// A number that is none makes a row that does not open.
		e, err1 := strconv.ParseUint(string(epoch), 10, 32)
		s, err2 := strconv.ParseUint(string(seq), 10, 63)
		if err1 != nil || err2 != nil {
			box = nil
		}
		f(string(what), access.Ref{Kind: access.Kind(kind), Key: string(key)}, position{uint32(e), s}, box)
	}
	return errors.Join(rows.Err(), rows.Close())
}

// fault says in words what is wrong with the picture, or nothing.
func (p *picture) fault() string {
	switch {
	case p.unguarded != "":
		return p.unguarded
	case p.quarantined > 0 && p.digest == p.state.Head.Digest:
		return "" // only a copy was hit, and another stood in
	case p.quarantined > 0:
		return fmt.Sprintf("%d rows do not verify and are not used", p.quarantined)
	case p.digest != p.state.Head.Digest:
		return "the records on disk do not add up to the digest: some are missing"
	}
	return ""
}

// load reads the file into memory, and mends what a second copy can mend. It is
// called before db is shared, or with
// writing held.
func (db *DB) load(ctx context.Context) error {
	p, err := read(ctx, db.file.write, db.seal)
	if err != nil {
		return err
	}
	fault := p.fault()
	if p.mended && p.unguarded == "" {
		db.problem("a damaged copy of the state or of a restriction was mended from its other copy")
		if err := tx(ctx, db.file.write, func(t *sql.Tx) (err error) {
			if err := rewriteGuards(ctx, t, db.seal, p.blocked, p.guarded); err != nil {
				return err
			}
			p.box, err = writeState(ctx, t, db.seal, p.state)
			return err
		}); err != nil {
			return err
		}
	}
	db.lockIndex()
	db.index, db.state, db.box, db.blocked = p.index, p.state, p.box, p.blocked
	db.records, db.quarantined = p.records, p.quarantined
	db.untidy.Store(true) // a crash may have left something
	for ref := range db.loose {
		db.index.Block(ref)
	}
	db.damaged = ""
	if fault != "" {
		db.setDamaged(fault)
	} else {
		db.verified = db.opts.Now()
		db.changed()
	}
	db.unlockIndex()
	if fault != "" {
		db.problem(fault)
	}
	if p.unread > 0 {
		db.log.Warn("records of a kind or shape that this version cannot read", "count", p.unread)
	}
	if err := db.loadStaging(ctx); err != nil {
		return err
	}
	return db.loadContact(ctx)
}

// rewriteGuards writes the deny lane and both kinds of second copies anew.
func rewriteGuards(ctx context.Context, t *sql.Tx, seal *sealer, blocked map[access.Ref]position, guarded map[access.Ref][]byte) error {
	for _, q := range []string{`DELETE FROM blocked`, `DELETE FROM guard`} {
		if _, err := t.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("guard: %w", err)
		}
	}
	for ref, at := range blocked {
		if err := putBlocked(ctx, t, seal, ref, at); err != nil {
			return err
		}
	}
	for ref, plain := range guarded {
		if err := putGuard(ctx, t, seal, guardRecord, ref, position{}, plain); err != nil {
			return err
		}
	}
	return nil
}

func putBlocked(ctx context.Context, t *sql.Tx, seal *sealer, ref access.Ref, at position) error {
	if _, err := t.ExecContext(ctx, `INSERT OR REPLACE INTO blocked (kind, key, epoch, seq, box) VALUES (?, ?, ?, ?, ?)`,
		string(ref.Kind), ref.Key, int64(at.epoch), int64(at.seq), seal.seal(whereBlocked(ref, at), nil)); err != nil {
		return fmt.Errorf("blocked: %w", err)
	}
	return putGuard(ctx, t, seal, guardBlocked, ref, at, nil)
}

func putGuard(ctx context.Context, t *sql.Tx, seal *sealer, what string, ref access.Ref, at position, plain []byte) error {
	if _, err := t.ExecContext(ctx, `INSERT OR REPLACE INTO guard (what, kind, key, epoch, seq, box) VALUES (?, ?, ?, ?, ?, ?)`,
		what, string(ref.Kind), ref.Key, int64(at.epoch), int64(at.seq), seal.seal(whereGuard(what, ref, at), plain)); err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	return nil
}

func deleteGuard(ctx context.Context, t *sql.Tx, what string, ref access.Ref) error {
	if _, err := t.ExecContext(ctx, `DELETE FROM guard WHERE what = ? AND kind = ? AND key = ?`, what, string(ref.Kind), ref.Key); err != nil {
		return fmt.Errorf("guard: %w", err)
	}
	if what == guardBlocked {
		if _, err := t.ExecContext(ctx, `DELETE FROM blocked WHERE kind = ? AND key = ?`, string(ref.Kind), ref.Key); err != nil {
			return fmt.Errorf("blocked: %w", err)
		}
	}
	return nil
}

// Verify reads the whole state back from disk and holds it against the digest
// that the cloud signed; then it does what Tidy does. Run it each hour. It
// returns ErrDamaged when rows are missing or do not verify: the doors go on
// from memory, which was verified when it was loaded, but Held is zero and Ready
// false until a snapshot came.
// An error that says that the file itself is damaged is mended by closing the
// cache and opening it again.
func (db *DB) Verify(ctx context.Context) error {
	if err := quickCheck(ctx, db.file.read); err != nil {
		if errors.Is(classify(err), errDamaged) {
			return db.verifyFailed(fmt.Errorf("cache: verify: %w", err))
		}
		return fmt.Errorf("cache: verify: %w", err)
	}
	t, err := db.file.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("cache: verify: %w", err)
	}
	p, err := read(ctx, t, db.seal)
	if end := t.Rollback(); end != nil && !errors.Is(end, sql.ErrTxDone) {
		err = errors.Join(err, end)
	}
	if err != nil {
		err = classify(err)
		if errors.Is(err, errDamaged) {
			return db.verifyFailed(fmt.Errorf("cache: verify: %w", err))
		}
		return fmt.Errorf("cache: verify: %w", err)
	}
	if fault := p.fault(); fault != "" {
		db.mu.Lock()
		current := db.state.Gen == p.state.Gen
		if current {
			db.quarantined = p.quarantined
		}
		db.mu.Unlock()
		if !current { // a snapshot came meanwhile, and was verified as it did
			return nil
		}
		return db.verifyFailed(errors.New("cache: verify: " + fault))
	}
	if err := db.Tidy(ctx); err != nil {
		return err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.damaged != "" { // what is on disk may be whole; what is in memory was loaded while it was not
		return fmt.Errorf("%w: %s", ErrDamaged, db.damaged)
	}
	db.verified = db.opts.Now()
	return nil
}

func (db *DB) verifyFailed(err error) error {
	db.mu.Lock()
	first := db.damaged == ""
	db.setDamaged(err.Error())
	db.mu.Unlock()
	if first {
		db.problem(err.Error())
	}
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// sortedRefs is for doing things in one order wherever a map is the source.
func sortedRefs[V any](m map[access.Ref]V) []access.Ref {
	return slices.SortedFunc(maps.Keys(m), func(a, b access.Ref) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Key, b.Key))
	})
}
