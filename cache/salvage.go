package cache

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"latchkey/access"
)

// salvage makes a new cache at fresh from what still verifies of the damaged
// one at old, which it only reads. Where the old state cannot be read, or was
// written by a newer program (why), the new cache is empty: not Ready. It is
// an error only if the new one cannot be written.
func salvage(ctx context.Context, seal *sealer, old, fresh string, why error) (err error) {
	if errors.Is(why, errNewer) {
		return makeCache(ctx, seal, fresh, state{Gen: 1, Next: 2}, nil)
	}
	from, err := openDamaged(old)
	if err != nil {
		return fmt.Errorf("cache: salvage: %w", err)
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	s := state{Gen: 1, Next: 2}
	p := &picture{index: access.NewIndex(), blocked: map[access.Ref]position{}, guarded: map[access.Ref][]byte{}}
	if was, _, _, err := readState(ctx, from, seal); err == nil {
		s = was
		// What cannot be read of it shows when the sums are compared.
		_ = p.readGuards(ctx, from, seal)
	}
	return makeCache(ctx, seal, fresh, s, func(t *sql.Tx) error {
		if s.Verified {
			if err := salvageRecords(ctx, from, t, seal, s.Gen, p.guarded); err != nil {
				return fmt.Errorf("records: %w", err)
			}
		}
		if err := rewriteGuards(ctx, t, seal, p.blocked, p.guarded); err != nil {
			return err
		}
		for _, table := range []struct{ from, to string }{
			{`SELECT name, box FROM small_values`, `INSERT OR IGNORE INTO small_values (name, box) VALUES (?, ?)`},
			{`SELECT controller, id, at, box FROM tombstones`, `INSERT OR IGNORE INTO tombstones (controller, id, at, box) VALUES (?, ?, ?, ?)`},
			{`SELECT controller, credential, state, since, version, text FROM ledger`, `INSERT OR IGNORE INTO ledger (controller, credential, state, since, version, text) VALUES (?, ?, ?, ?, ?, ?)`},
		} {
			if err := copyRows(ctx, from, t, table.from, table.to); err != nil {
				return err
			}
		}
		return nil
	})
}

// salvageRecords copies the records of generation gen that verify, from both
// ends of the table, because a damaged page ends a walk. It adds the
// restricting ones to guarded. Its error is about writing.
func salvageRecords(ctx context.Context, from *sql.DB, t *sql.Tx, seal *sealer, gen uint64, guarded map[access.Ref][]byte) error {
	for _, order := range []string{"ASC", "DESC"} {
		rows, err := from.QueryContext(ctx, fmt.Sprintf(`SELECT kind, key, box FROM records WHERE gen = ? ORDER BY kind %s, key %s`, order, order), int64(gen))
		if err != nil {
			continue
		}
		var bad error
		for rows.Next() {
			var kind, key, box sql.RawBytes
			if rows.Scan(&kind, &key, &box) != nil {
				continue
			}
			ref := access.Ref{Kind: access.Kind(kind), Key: string(key)}
			plain, err := seal.open(whereRecord(gen, ref), box)
			if err != nil {
				continue
			}
			if restricts(ref.Kind) {
				guarded[ref] = plain
			}
			if _, bad = t.ExecContext(ctx, `INSERT OR IGNORE INTO records (gen, kind, key, box) VALUES (?, ?, ?, ?)`, int64(gen), string(kind), string(key), []byte(box)); bad != nil {
				break
			}
		}
		whole := rows.Err() == nil
		if err := rows.Close(); bad != nil {
			return errors.Join(bad, err)
		}
		if whole {
			return nil
		}
	}
	return nil
}

// copyRows copies what can be read of one table. A row that the new table does
// not take is no loss: it was damaged. Its error is about the disk.
func copyRows(ctx context.Context, from *sql.DB, t *sql.Tx, query, insert string) error {
	rows, err := from.QueryContext(ctx, query)
	if err != nil {
		return nil
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil
	}
	for rows.Next() {
		values := make([]any, len(columns))
		to := make([]any, len(columns))
		for i := range values {
			to[i] = &values[i]
		}
		if rows.Scan(to...) != nil {
			continue
		}
		if _, err := t.ExecContext(ctx, insert, values...); err != nil && !errors.Is(classify(err), errDamaged) {
			return err
		}
	}
	return nil
}
