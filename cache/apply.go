package cache

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"latchkey/access"
	"latchkey/delta"
)

// A step is one change that was checked: what to write and what to tell the
// index.
type step struct {
	ref    access.Ref
	plain  []byte        // canonical bytes; nil deletes
	record access.Record // nil if it deletes, or is of a kind that this version does not know
}

// check reads one change. Its error is an ErrRecord.
func check(c delta.Change) (step, error) {
	s := step{ref: c.Ref}
	if c.Kind == "" || c.Key == "" {
		return s, fmt.Errorf("%w: %q change names %q %q", ErrRecord, c.Op, c.Kind, c.Key)
	}
	switch c.Op {
	case delta.OpDelete:
		if len(c.Record) != 0 {
			return s, fmt.Errorf("%w: %s %s: deleted with a record", ErrRecord, c.Kind, c.Key)
		}
		return s, nil
	case delta.OpPut:
	default:
		return s, fmt.Errorf("%w: %s %s: op %q, want %q or %q", ErrRecord, c.Kind, c.Key, c.Op, delta.OpPut, delta.OpDelete)
	}
	if err := delta.CheckCanonical(c.Record); err != nil {
		return s, fmt.Errorf("%w: %s %s: %w", ErrRecord, c.Kind, c.Key, err)
	}
	s.plain = c.Record
	if !known(c.Kind) {
		return s, nil
	}
	r, err := access.ParseRecord(c.Kind, c.Record)
	if err != nil {
		return s, fmt.Errorf("%w: %s %s: %w", ErrRecord, c.Kind, c.Key, err)
	}
	if r.Ref() != c.Ref {
		return s, fmt.Errorf("%w: %s %s: record is %s %s", ErrRecord, c.Kind, c.Key, r.Ref().Kind, r.Ref().Key)
	}
	s.record = r
	return s, nil
}

// Apply brings d, whose payload has the given hash, into the cache in one
// transaction, and is done when the disk has it. A delta that is held already
// is no error and changes nothing. ErrSequence, ErrRecord, ErrDigest and
// ErrDamaged say what else may be; then nothing was changed. Refs that the
// deny lane refused on behalf of d or of an earlier delta are free again, for
// what they stand for is now in the records.
func (db *DB) Apply(ctx context.Context, d *delta.Delta, hash delta.Hash) (err error) {
	defer func() {
		if err != nil && !errors.Is(err, ErrSequence) {
			db.mu.Lock()
			db.refused++
			db.mu.Unlock()
		}
	}()
	if err := checkSeq(d.Seq); err != nil {
		return err
	}
	steps := make([]step, 0, len(d.Changes))
	for _, c := range d.Changes {
		s, err := check(c)
		if err != nil {
			return err
		}
		steps = append(steps, s)
	}

	db.writing.Lock()
	defer db.writing.Unlock()
	if fault := db.Damaged(); fault != "" {
		return fmt.Errorf("%w: %s", ErrDamaged, fault)
	}
	switch v := delta.Judge(db.Held(), d, hash); v {
	case delta.Apply:
	case delta.AckAgain:
		return nil
	default:
		return fmt.Errorf("%w: %s: hold %d/%d, delta is %d/%d", ErrSequence, v, db.state.Head.Epoch, db.state.Head.Seq, d.Epoch, d.Seq)
	}

	next := db.state
	next.Head = delta.Head{Epoch: d.Epoch, Seq: d.Seq, Hash: hash, Digest: next.Head.Digest}
	released := releasedBy(db.blocked, next.at())
	var box []byte
	var grown int
	err = db.commit(ctx, func(ctx context.Context, t *sql.Tx) error {
		grown, err = db.write(ctx, t, steps, &next)
		if err != nil {
			return err
		}
		if next.Head.Digest != d.Digest {
			return fmt.Errorf("%w: after %d/%d %s, want %s", ErrDigest, d.Epoch, d.Seq, next.Head.Digest, d.Digest)
		}
		for _, ref := range released {
			if err := deleteGuard(ctx, t, guardBlocked, ref); err != nil {
				return err
			}
			next.Guard.Sub(guardTerm(guardBlocked, ref, db.blocked[ref], nil))
		}
		box, err = writeState(ctx, t, db.seal, next)
		return err
	})
	if err != nil {
		return fmt.Errorf("cache: apply %d/%d: %w", d.Epoch, d.Seq, err)
	}

	db.lockIndex()
	defer db.unlockIndex()
	for _, s := range steps {
		if s.record != nil {
			db.index.Put(s.record)
		} else if s.plain == nil {
			db.index.Delete(s.ref)
		}
	}
	for _, ref := range released {
		delete(db.blocked, ref)
	}
	for _, ref := range releasedBy(db.loose, next.at()) {
		delete(db.loose, ref)
		released = append(released, ref)
	}
	for _, ref := range released {
		_, kept1 := db.blocked[ref]
		if _, kept2 := db.loose[ref]; !kept1 && !kept2 {
			db.index.Unblock(ref)
		}
	}
	db.state, db.box = next, box
	db.records += grown
	db.applied++
	db.changed()
	return nil
}

// write makes the changes in the generation of next, and keeps its digest and
// guard in step. It returns by how many records the state grew.
func (db *DB) write(ctx context.Context, t *sql.Tx, steps []step, next *state) (grown int, err error) {
	get, err := t.PrepareContext(ctx, `SELECT box FROM records WHERE gen = ? AND kind = ? AND key = ?`)
	if err != nil {
		return 0, err
	}
	defer get.Close()
	put, err := t.PrepareContext(ctx, `INSERT OR REPLACE INTO records (gen, kind, key, box) VALUES (?, ?, ?, ?)`)
	if err != nil {
		return 0, err
	}
	defer put.Close()
	gen := next.Gen
	for _, s := range steps {
		here := whereRecord(gen, s.ref)
		var box []byte
		switch err := get.QueryRowContext(ctx, int64(gen), string(s.ref.Kind), s.ref.Key).Scan(&box); {
		case err == nil:
			old, err := db.seal.open(here, box)
			if err != nil {
				return 0, &damage{fmt.Sprintf("%s %s does not verify", s.ref.Kind, s.ref.Key)}
			}
			next.Head.Digest.Sub(s.ref, old)
			if restricts(s.ref.Kind) {
				next.Guard.Sub(guardTerm(guardRecord, s.ref, position{}, old))
			}
			grown--
		case !errors.Is(err, sql.ErrNoRows):
			return 0, fmt.Errorf("%s %s: %w", s.ref.Kind, s.ref.Key, err)
		}
		if s.plain == nil {
			if _, err := t.ExecContext(ctx, `DELETE FROM records WHERE gen = ? AND kind = ? AND key = ?`, int64(gen), string(s.ref.Kind), s.ref.Key); err != nil {
				return 0, fmt.Errorf("%s %s: %w", s.ref.Kind, s.ref.Key, err)
			}
			if restricts(s.ref.Kind) {
				if err := deleteGuard(ctx, t, guardRecord, s.ref); err != nil {
					return 0, err
				}
			}
			continue
		}
		if _, err := put.ExecContext(ctx, int64(gen), string(s.ref.Kind), s.ref.Key, db.seal.seal(here, s.plain)); err != nil {
			return 0, fmt.Errorf("%s %s: %w", s.ref.Kind, s.ref.Key, err)
		}
		next.Head.Digest.Add(s.ref, s.plain)
		if restricts(s.ref.Kind) {
			next.Guard.Add(guardTerm(guardRecord, s.ref, position{}, s.plain))
			if err := putGuard(ctx, t, db.seal, guardRecord, s.ref, position{}, s.plain); err != nil {
				return 0, err
			}
		}
		grown++
	}
	return grown, nil
}

// A damage is a row that does not verify, met in a transaction.
type damage struct{ why string }

func (e *damage) Error() string   { return e.why }
func (e *damage) Is(t error) bool { return t == ErrDamaged }

// commit runs f in one transaction of the writer, with writing held. The
// statements are short, so ctx is looked at once, before them. When a commit
// fails nobody but the file knows whether it holds, so the file is asked.
func (db *DB) commit(ctx context.Context, f func(context.Context, *sql.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	err := tx(ctx, db.file.write, func(t *sql.Tx) error {
		var box []byte
		if err := t.QueryRowContext(ctx, `SELECT box FROM state_a WHERE id = 1`).Scan(&box); err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if !bytes.Equal(box, db.box) {
			return ErrForeign
		}
		return f(ctx, t)
	})
	if err == nil {
		return nil
	}
	if bad, ok := errors.AsType[*damage](err); ok {
		db.mu.Lock()
		db.setDamaged(bad.why)
		db.mu.Unlock()
		db.problem(bad.why)
	}
	if _, ok := errors.AsType[*commitError](err); ok {
		if again := db.load(ctx); again != nil {
			err = errors.Join(err, again)
			db.mu.Lock()
			db.setDamaged("a commit failed and the file could not be read after it: " + err.Error())
			db.mu.Unlock()
		}
	}
	return err
}

// releasedBy lists the refs whose deny is done with at p, in a fixed order.
func releasedBy(blocked map[access.Ref]position, p position) (refs []access.Ref) {
	for _, ref := range sortedRefs(blocked) {
		if !p.before(blocked[ref]) {
			refs = append(refs, ref)
		}
	}
	return refs
}

// Block brings refs into the deny lane on behalf of the delta (epoch, seq),
// which names them as taken away or locked, ahead of its turn. From here on
// the index acts as if they were gone. They leave the lane in the transaction
// that applies a delta or snapshot of (epoch, seq) or later. A delta that is
// applied already blocks nothing. Block works in a damaged cache too.
func (db *DB) Block(ctx context.Context, epoch uint32, seq uint64, refs []access.Ref) error {
	if err := checkSeq(seq); err != nil {
		return err
	}
	at := position{epoch, seq}
	db.writing.Lock()
	defer db.writing.Unlock()
	if !db.state.at().before(at) {
		return nil
	}
	next := db.state
	fresh := map[access.Ref]bool{}
	for _, ref := range refs {
		if ref.Kind == "" || ref.Key == "" {
			return fmt.Errorf("%w: deny names %q %q", ErrRecord, ref.Kind, ref.Key)
		}
		if old, ok := db.blocked[ref]; !ok || old.before(at) { // one that is loose is tried again
			fresh[ref] = true
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	var box []byte
	err := db.commit(ctx, func(ctx context.Context, t *sql.Tx) (err error) {
		for ref := range fresh {
			if old, ok := db.blocked[ref]; ok {
				next.Guard.Sub(guardTerm(guardBlocked, ref, old, nil))
			}
			next.Guard.Add(guardTerm(guardBlocked, ref, at, nil))
			if err := putBlocked(ctx, t, db.seal, ref, at); err != nil {
				return err
			}
		}
		box, err = writeState(ctx, t, db.seal, next)
		return err
	})
	if err != nil {
		// The disk may be full, and a revocation cannot wait for it: it holds
		// in memory at once, and the caller is told that it is not durable.
		db.lockIndex()
		for ref := range fresh {
			db.loose[ref] = at
			db.index.Block(ref)
		}
		db.changed()
		db.unlockIndex()
		return fmt.Errorf("cache: block %d refs of %d/%d (held in memory only): %w", len(fresh), epoch, seq, err)
	}
	db.lockIndex()
	defer db.unlockIndex()
	for ref := range fresh {
		db.blocked[ref] = at
		delete(db.loose, ref)
		db.index.Block(ref)
	}
	db.state, db.box = next, box
	db.changed()
	return nil
}
