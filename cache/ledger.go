package cache

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// tombstoneLife is how long a key that was taken away is remembered, across
// epochs, for a controller that comes back with an old table.
const tombstoneLife = 90 * 24 * time.Hour

// A LedgerRow is what is known of one credential at one controller.
type LedgerRow struct {
	Credential string // ID
	State      string // "wanted", "sent", "proven", "revoking" or "cannot hold"
	Since      time.Time
	Version    uint64
	Text       string
}

// ledgerBatch is how many rows or tombstones go in one transaction: a
// revocation that waits for the writer waits some 10 ms for them at the most.
const ledgerBatch = 500

// SetLedger replaces all rows of one controller, in transactions of a few
// hundred; it writes only those that differ. An error leaves some of the rows
// as they were: set them again. One goroutine at a time may set the rows of one
// controller.
func (db *DB) SetLedger(ctx context.Context, controller string, rows []LedgerRow) error {
	want := make(map[string]LedgerRow, len(rows))
	for _, r := range rows {
		r.Since = time.UnixMilli(r.Since.UnixMilli()).UTC()
		want[r.Credential] = r
	}
	held, err := db.Ledger(ctx, controller)
	if err != nil {
		return err
	}
	var gone []string
	for _, old := range held {
		switch r, ok := want[old.Credential]; {
		case !ok:
			gone = append(gone, old.Credential)
		case r == old:
			delete(want, old.Credential)
		}
	}
	err = inBatches(ctx, db, gone, `DELETE FROM ledger WHERE controller = ? AND credential = ?`, func(id string) []any {
		return []any{controller, id}
	})
	if err == nil {
		put := `INSERT OR REPLACE INTO ledger (controller, credential, state, since, version, text) VALUES (?, ?, ?, ?, ?, ?)`
		err = inBatches(ctx, db, slices.Collect(maps.Values(want)), put, func(r LedgerRow) []any {
			return []any{controller, r.Credential, r.State, r.Since.UnixMilli(), int64(r.Version), r.Text}
		})
	}
	if err != nil {
		return fmt.Errorf("cache: ledger of %s: %w", controller, err)
	}
	return nil
}

// inBatches does query for each item, with the arguments that args gives for
// it, ledgerBatch of them in one transaction.
func inBatches[T any](ctx context.Context, db *DB, items []T, query string, args func(T) []any) error {
	for batch := range slices.Chunk(items, ledgerBatch) {
		err := tx(ctx, db.file.write, func(t *sql.Tx) error {
			do, err := t.PrepareContext(ctx, query)
			if err != nil {
				return err
			}
			defer do.Close()
			for _, item := range batch {
				if _, err := do.ExecContext(ctx, args(item)...); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Ledger returns the rows of one controller, sorted by credential. Times are
// UTC, in whole milliseconds.
func (db *DB) Ledger(ctx context.Context, controller string) (list []LedgerRow, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("cache: ledger of %s: %w", controller, err)
		}
	}()
	rows, err := db.file.read.QueryContext(ctx, `SELECT credential, state, since, version, text FROM ledger WHERE controller = ? ORDER BY credential`, controller)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r LedgerRow
		var since, version int64
		if err := rows.Scan(&r.Credential, &r.State, &since, &version, &r.Text); err != nil {
			return nil, err
		}
		r.Since, r.Version = time.UnixMilli(since).UTC(), uint64(version)
		list = append(list, r)
	}
	return list, errors.Join(rows.Err(), rows.Close())
}

// AddTombstones remembers keys that a controller must not hold any more, for
// 90 days. A key that is remembered already starts its 90 days anew. Keys are
// card bits, so they are sealed on disk. An error leaves out some of them: add
// them again.
func (db *DB) AddTombstones(ctx context.Context, controller string, keys [][]byte) error {
	now := db.opts.Now()
	_, err := db.file.write.ExecContext(ctx, `DELETE FROM tombstones WHERE controller = ? AND at < ?`, controller, now.Add(-tombstoneLife).UnixMilli())
	if err == nil {
		err = inBatches(ctx, db, keys, `INSERT OR REPLACE INTO tombstones (controller, id, at, box) VALUES (?, ?, ?, ?)`, func(key []byte) []any {
			id := db.seal.name("tombstones "+controller, key)
			return []any{controller, id, now.UnixMilli(), db.seal.seal(where("tombstones", 0, 0, controller, string(id)), key)}
		})
	}
	if err != nil {
		return fmt.Errorf("cache: tombstones of %s: %w", controller, err)
	}
	return nil
}

// ClearTombstones forgets keys that a controller may hold again. An error
// leaves some of them: clear them again.
func (db *DB) ClearTombstones(ctx context.Context, controller string, keys [][]byte) error {
	err := inBatches(ctx, db, keys, `DELETE FROM tombstones WHERE controller = ? AND id = ?`, func(key []byte) []any {
		return []any{controller, db.seal.name("tombstones "+controller, key)}
	})
	if err != nil {
		return fmt.Errorf("cache: tombstones of %s: %w", controller, err)
	}
	return nil
}

// Tombstones returns the keys that a controller must not hold, in no
// particular order that means anything, but always the same. One that does not
// verify is left out and counts as quarantined.
func (db *DB) Tombstones(ctx context.Context, controller string) (keys [][]byte, err error) {
	bad := 0
	rows, err := db.file.read.QueryContext(ctx, `SELECT id, box FROM tombstones WHERE controller = ? AND at >= ? ORDER BY id`, controller, db.opts.Now().Add(-tombstoneLife).UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("cache: tombstones of %s: %w", controller, err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, box sql.RawBytes
		if err := rows.Scan(&id, &box); err != nil {
			return nil, fmt.Errorf("cache: tombstones of %s: %w", controller, err)
		}
		key, err := db.seal.open(where("tombstones", 0, 0, controller, string(id)), box)
		if err != nil {
			bad++
			continue
		}
		keys = append(keys, key)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, fmt.Errorf("cache: tombstones of %s: %w", controller, err)
	}
	if bad > 0 {
		db.problem(fmt.Sprintf("%d revoked keys of controller %s do not verify: clear and load it anew", bad, controller))
	}
	return keys, nil
}

// ErrValue says that a stored value does not verify. What it was is unknown.
var ErrValue = errors.New("cache: stored value does not verify")

// SetValue stores a small value of the caller's under name, sealed, and is
// done when the disk has it. A nil value deletes.
func (db *DB) SetValue(ctx context.Context, name string, value []byte) error {
	err := tx(ctx, db.file.write, func(t *sql.Tx) error {
		if value == nil {
			_, err := t.ExecContext(ctx, `DELETE FROM small_values WHERE name = ?`, name)
			return err
		}
		_, err := t.ExecContext(ctx, `INSERT OR REPLACE INTO small_values (name, box) VALUES (?, ?)`, name, db.seal.seal(where("small_values", 0, 0, name), value))
		return err
	})
	if err != nil {
		return fmt.Errorf("cache: set %s: %w", name, err)
	}
	return nil
}

// Value returns what SetValue stored last under name; nil if nothing was. Its
// error is ErrValue if the disk has changed it.
func (db *DB) Value(ctx context.Context, name string) ([]byte, error) {
	var box []byte
	switch err := db.file.read.QueryRowContext(ctx, `SELECT box FROM small_values WHERE name = ?`, name).Scan(&box); {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("cache: value %s: %w", name, err)
	}
	plain, err := db.seal.open(where("small_values", 0, 0, name), box)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrValue, name)
	}
	if plain == nil {
		plain = []byte{}
	}
	return plain, nil
}

// contactName is where the last contact stands among the values.
const contactName = "cache: last contact"

// Contact stores that the cloud was heard at at, by the site's clock. Doors
// that lock when the cloud was silent for long count from there.
func (db *DB) Contact(ctx context.Context, at time.Time) error {
	if err := db.SetValue(ctx, contactName, binary.BigEndian.AppendUint64(nil, uint64(at.UnixMilli()))); err != nil {
		return err
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	db.contact = time.UnixMilli(at.UnixMilli()).UTC()
	return nil
}

// LastContact returns what Contact stored last, in UTC and whole milliseconds;
// the zero time if the cloud was never heard.
func (db *DB) LastContact() time.Time {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.contact
}

// loadContact treats a value that does not verify as never: staleness then
// counts against the site.
func (db *DB) loadContact(ctx context.Context) error {
	b, err := db.Value(ctx, contactName)
	if err != nil && !errors.Is(err, ErrValue) {
		return err
	}
	if len(b) == 8 {
		db.mu.Lock()
		defer db.mu.Unlock()
		db.contact = time.UnixMilli(int64(binary.BigEndian.Uint64(b))).UTC()
	}
	return nil
}
