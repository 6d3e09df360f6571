package cache

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"latchkey/access"
	"latchkey/delta"
)

// maxParts is the most parts that a snapshot may have: at 96 KiB each, 9 GB.
const maxParts = 100_000

// clearBatch is how many rows of a dead generation go in one transaction, so
// that a revocation never waits long for the writer.
const clearBatch = 1000

// stage is the sealed row about the snapshot that is being staged.
type stage struct {
	ID    string     `json:"id"`
	Parts int        `json:"parts"`
	Head  delta.Head `json:"head"`
	Gen   uint64     `json:"gen"`

	Approved *delta.Approval `json:"approved,omitempty"`
}

func (s stage) at() position { return position{s.Head.Epoch, s.Head.Seq} }

// Stage keeps one part of a snapshot on disk, beside the state and without
// effect on it. It returns the numbers of the parts that are still missing,
// nil when none is: then call Swap. A part that is here already changes
// nothing, and so does one of the snapshot that was swapped in last. The first
// part of another snapshot discards what was staged, unless it is of an older
// state than that or than the one held (ErrSnapshot).
func (db *DB) Stage(ctx context.Context, s *delta.Snapshot) (missing []int, err error) {
	if s.ID == "" || s.Parts < 1 || s.Parts > maxParts || s.Part < 1 || s.Part > s.Parts {
		return nil, fmt.Errorf("%w: %q part %d of %d, want a name and a part of 1 to %d", ErrSnapshot, s.ID, s.Part, s.Parts, maxParts)
	}
	if err := checkSeq(s.Head.Seq); err != nil {
		return nil, err
	}
	steps := make([]step, 0, len(s.Records))
	for _, c := range s.Records {
		if c.Op != delta.OpPut {
			return nil, fmt.Errorf("%w: %s %s: op %q in a snapshot, want %q", ErrRecord, c.Kind, c.Key, c.Op, delta.OpPut)
		}
		st, err := check(c)
		if err != nil {
			return nil, err
		}
		steps = append(steps, st)
	}
	db.staging.Lock()
	defer db.staging.Unlock()
	want, here, err := db.staged(ctx)
	if err != nil {
		return nil, fmt.Errorf("cache: stage: %w", err)
	}
	if db.has(s.ID) {
		return nil, nil
	}
	if err := db.fits(s.Head); err != nil {
		return nil, err
	}
	if want.ID != s.ID {
		if want.ID != "" && (position{s.Head.Epoch, s.Head.Seq}).before(want.at()) {
			return nil, fmt.Errorf("%w: %d/%d is older than %d/%d, which is being staged", ErrSnapshot, s.Head.Epoch, s.Head.Seq, want.Head.Epoch, want.Head.Seq)
		}
		if want, err = db.beginStage(ctx, s); err != nil {
			return nil, fmt.Errorf("cache: stage: %w", err)
		}
		here = map[int]bool{}
	}
	if want.Parts != s.Parts || want.Head != s.Head || !sameWord(want.Approved, s.Approved) {
		return nil, fmt.Errorf("%w: part %d of %q says another head, number of parts or approval than those before it", ErrSnapshot, s.Part, s.ID)
	}
	if !here[s.Part] {
		if err := tx(ctx, db.file.write, func(t *sql.Tx) error { return db.writePart(ctx, t, want, s.Part, steps) }); err != nil {
			return nil, fmt.Errorf("cache: stage part %d of %q: %w", s.Part, s.ID, err)
		}
		here[s.Part] = true
	}
	db.setStage(want, len(here))
	for n := 1; n <= want.Parts; n++ {
		if !here[n] {
			missing = append(missing, n)
		}
	}
	return missing, nil
}

func sameWord(a, b *delta.Approval) bool { return a == b || a != nil && b != nil && *a == *b }

// has reports whether the snapshot id is the one that the verified state came
// from.
func (db *DB) has(id string) bool {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.ready() && db.state.Snapshot == id
}

// fits refuses a snapshot of an older state than the one held last: that would
// bring back what was taken away since.
func (db *DB) fits(h delta.Head) error {
	db.mu.RLock()
	defer db.mu.RUnlock()
	if at := (position{h.Epoch, h.Seq}); at.before(db.state.at()) {
		return fmt.Errorf("%w: it is of %d/%d, and %d/%d is held", ErrSnapshot, h.Epoch, h.Seq, db.state.Head.Epoch, db.state.Head.Seq)
	}
	return nil
}

// staged reads what is being staged; the zero stage if nothing is.
func (db *DB) staged(ctx context.Context) (s stage, here map[int]bool, err error) {
	var box []byte
	switch err := db.file.write.QueryRowContext(ctx, `SELECT box FROM staging WHERE id = 1`).Scan(&box); {
	case errors.Is(err, sql.ErrNoRows):
		return stage{}, nil, nil
	case err != nil:
		return stage{}, nil, err
	}
	plain, err := db.seal.open(where("staging", 1, 0), box)
	if err != nil || json.Unmarshal(plain, &s) != nil {
		return stage{}, nil, nil // a part or two to send again
	}
	here = map[int]bool{}
	rows, err := db.file.write.QueryContext(ctx, `SELECT part FROM staged WHERE part BETWEEN 1 AND ?`, s.Parts)
	if err != nil {
		return stage{}, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var n int
		if err := rows.Scan(&n); err != nil {
			return stage{}, nil, err
		}
		here[n] = true
	}
	return s, here, errors.Join(rows.Err(), rows.Close())
}

func (db *DB) setStage(s stage, here int) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.stageID, db.stageParts = s.ID, [2]int{here, s.Parts}
}

// beginStage forgets what was staged and takes a generation that was never
// used, so that rows of the two cannot mix.
func (db *DB) beginStage(ctx context.Context, s *delta.Snapshot) (stage, error) {
	db.writing.Lock()
	defer db.writing.Unlock()
	next := db.state
	st := stage{ID: s.ID, Parts: s.Parts, Head: s.Head, Gen: next.Next, Approved: s.Approved}
	next.Next++
	var box []byte
	err := db.commit(ctx, func(ctx context.Context, t *sql.Tx) (err error) {
		plain, err := json.Marshal(st)
		if err != nil {
			return err
		}
		if _, err := t.ExecContext(ctx, `DELETE FROM staged`); err != nil {
			return err
		}
		if _, err := t.ExecContext(ctx, `INSERT OR REPLACE INTO staging (id, box) VALUES (1, ?)`, db.seal.seal(where("staging", 1, 0), plain)); err != nil {
			return err
		}
		box, err = writeState(ctx, t, db.seal, next)
		return err
	})
	if err != nil {
		return stage{}, err
	}
	db.mu.Lock()
	db.state, db.box = next, box
	db.mu.Unlock()
	db.untidy.Store(true)
	return st, nil
}

func (db *DB) writePart(ctx context.Context, t *sql.Tx, s stage, part int, steps []step) error {
	put, err := t.PrepareContext(ctx, `INSERT OR REPLACE INTO records (gen, kind, key, box) VALUES (?, ?, ?, ?)`)
	if err != nil {
		return err
	}
	defer put.Close()
	for _, st := range steps {
		if _, err := put.ExecContext(ctx, int64(s.Gen), string(st.ref.Kind), st.ref.Key, db.seal.seal(whereRecord(s.Gen, st.ref), st.plain)); err != nil {
			return fmt.Errorf("%s %s: %w", st.ref.Kind, st.ref.Key, err)
		}
	}
	_, err = t.ExecContext(ctx, `INSERT INTO staged (part) VALUES (?)`, part)
	return err
}

// Swap makes the staged snapshot id the state, in one small transaction, once
// its records, read back from disk, have the digest that its head names. Until
// then the old state serves. On ErrDigest the staged parts are discarded and
// the old state stays: ask for another snapshot. Swapping in again the snapshot
// that was swapped in last is no error. It takes some 4 µs a record, during
// which deltas, blocks and decisions go on, but Stage waits.
//
// may is asked before anything changes: its error is Swap's, the staged parts
// are discarded, and the old state stays. A nil may lets all through.
func (db *DB) Swap(ctx context.Context, id string, may func(Swapping) error) (err error) {
	db.staging.Lock()
	defer db.staging.Unlock()
	defer func() {
		if err != nil {
			db.mu.Lock()
			db.refused++
			db.mu.Unlock()
		}
	}()
	if db.has(id) {
		return nil
	}
	s, here, err := db.staged(ctx)
	if err != nil {
		return fmt.Errorf("cache: swap: %w", err)
	}
	if s.ID != id || len(here) != s.Parts {
		return fmt.Errorf("%w: %q is not staged whole: %q has %d of %d parts", ErrSnapshot, id, s.ID, len(here), s.Parts)
	}
	// The long part, beside the state and without its locks: deltas, blocks and
	// decisions go on.
	p := &picture{index: access.NewIndex(), blocked: map[access.Ref]position{}, guarded: map[access.Ref][]byte{}}
	if err := p.readRecords(ctx, db.file.read, db.seal, s.Gen); err != nil {
		return fmt.Errorf("cache: swap %q: %w", id, err)
	}
	if p.digest != s.Head.Digest {
		err := fmt.Errorf("%w: snapshot %q of %d/%d adds up to %s, want %s", ErrDigest, id, s.Head.Epoch, s.Head.Seq, p.digest, s.Head.Digest)
		return errors.Join(err, db.discardStage(ctx))
	}
	if may != nil {
		if err := may(db.swapping(s, p)); err != nil {
			return errors.Join(err, db.discardStage(ctx))
		}
	}
	return db.swap(ctx, s, p)
}

func (db *DB) swap(ctx context.Context, s stage, p *picture) error {
	db.writing.Lock()
	defer db.writing.Unlock()
	if err := db.fits(s.Head); err != nil { // a delta may have come meanwhile
		return err
	}
	next := db.state
	next.Head, next.Verified, next.Gen, next.Snapshot = s.Head, true, s.Gen, s.ID
	for ref, at := range db.blocked {
		if next.at().before(at) {
			p.blocked[ref] = at
		}
	}
	next.Guard = p.guardSum()
	var box []byte
	err := db.commit(ctx, func(ctx context.Context, t *sql.Tx) (err error) {
		if err := rewriteGuards(ctx, t, db.seal, p.blocked, p.guarded); err != nil {
			return err
		}
		for _, q := range []string{`DELETE FROM staged`, `DELETE FROM staging`} {
			if _, err := t.ExecContext(ctx, q); err != nil {
				return err
			}
		}
		box, err = writeState(ctx, t, db.seal, next)
		return err
	})
	if err != nil {
		return fmt.Errorf("cache: swap %q: %w", s.ID, err)
	}
	for ref := range p.blocked {
		p.index.Block(ref)
	}
	p.index.SetReady(true)
	db.lockIndex()
	defer db.unlockIndex()
	for ref, at := range db.loose {
		if next.at().before(at) {
			p.index.Block(ref)
		} else {
			delete(db.loose, ref)
		}
	}
	if db.damaged != "" {
		db.log.Info("cache state is verified again", "epoch", s.Head.Epoch, "seq", s.Head.Seq)
	}
	db.index, db.state, db.box, db.blocked = p.index, next, box, p.blocked
	db.records, db.quarantined, db.damaged = p.records, 0, ""
	db.verified = db.opts.Now()
	db.stageID, db.stageParts = "", [2]int{}
	db.untidy.Store(true)
	db.changed()
	return nil
}

// discardStage forgets the staged snapshot.
func (db *DB) discardStage(ctx context.Context) error {
	err := tx(ctx, db.file.write, func(t *sql.Tx) error {
		for _, q := range []string{`DELETE FROM staged`, `DELETE FROM staging`} {
			if _, err := t.ExecContext(ctx, q); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("cache: discard snapshot: %w", err)
	}
	db.setStage(stage{}, 0)
	db.untidy.Store(true)
	return nil
}

// Tidy deletes the rows that an older state, a snapshot that was given up or a
// crash left: they are without effect, but take room. It does so in small
// transactions, between which whoever waits for the disk goes first; what it
// leaves undone the next call does. With nothing to do it costs nothing. Run it
// each few seconds.
func (db *DB) Tidy(ctx context.Context) error {
	for db.untidy.Load() {
		if err := db.tidyBatch(ctx); err != nil {
			return fmt.Errorf("cache: tidy: %w", err)
		}
	}
	return nil
}

// tidyBatch deletes up to clearBatch rows of generations that are neither the
// state's nor the staged one's.
func (db *DB) tidyBatch(ctx context.Context) error {
	db.staging.Lock() // no generation is begun or swapped in meanwhile
	defer db.staging.Unlock()
	s, _, err := db.staged(ctx)
	if err != nil {
		return err
	}
	db.mu.RLock()
	low := int64(db.state.Gen)
	db.mu.RUnlock()
	high := low
	if s.ID != "" {
		low, high = min(low, int64(s.Gen)), max(low, int64(s.Gen))
	}
	left := int64(clearBatch)
	for _, dead := range [][2]int64{{math.MinInt64, low - 1}, {low + 1, high - 1}, {high + 1, math.MaxInt64}} {
		r, err := db.file.write.ExecContext(ctx, `DELETE FROM records WHERE gen BETWEEN ?1 AND ?2 AND (gen, kind, key) IN
			(SELECT gen, kind, key FROM records WHERE gen BETWEEN ?1 AND ?2 LIMIT ?3)`, dead[0], dead[1], left)
		if err != nil {
			return err
		}
		n, err := r.RowsAffected()
		if err != nil {
			return err
		}
		left -= n
	}
	if left > 0 {
		db.untidy.Store(false)
	}
	return nil
}

// loadStaging takes up what a crash left: a snapshot that is half staged, and
// generations that nobody needs.
func (db *DB) loadStaging(ctx context.Context) error {
	s, here, err := db.staged(ctx)
	if err != nil {
		return fmt.Errorf("staging: %w", err)
	}
	if s.Gen > math.MaxInt64 || s.Gen == db.state.Gen {
		s, here = stage{}, nil
	}
	db.setStage(s, len(here))
	return nil
}
