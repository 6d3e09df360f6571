package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"latchkey/internal/lockfile"
)

// readers is how many transactions may read at once. SQLite's log lets them go
// on beside the one that writes.
const readers = 4

// sqliteEngine: the one connection that writes takes the turn when it begins,
// so that nothing is ever in its way.
func sqliteEngine() engine {
	return engine{
		dialect: goose.DialectSQLite3,
		folder:  "sqlite",
		list:    "SELECT value FROM json_each($%d)",
		pack: func(ids []string) (any, error) {
			doc, err := json.Marshal(ids)
			return string(doc), err
		},
		groups: `SELECT json_group_array(json_array(g.id, g.display_name) ORDER BY g.id)
			FROM directory_member m JOIN directory_group g ON g.id = m.grp WHERE m.member = person.id AND g.org = person.org`,
		alone: true,
		text:  func(s string) string { return s },
		begin: func(ctx context.Context, db *sql.DB, _ turn) (*sql.Tx, error) { return db.BeginTx(ctx, nil) },
		tries: 1,
		clash: func(error) bool { return false },
	}
}

// dsn names the file at path with the pragmas that every connection needs. A
// "?" or "%" in the path would end it too early, so they are escaped.
func dsn(path string, readOnly bool) string {
	q := url.Values{}
	for _, p := range pragmas {
		q.Add("_pragma", p.name+"("+p.set+")")
	}
	if readOnly {
		q.Add("_pragma", "query_only(1)")
		q.Set("_txlock", "deferred")
	} else {
		q.Set("_txlock", "immediate")
	}
	return "file:" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath() + "?" + q.Encode()
}

// pragmas are set on each connection and read back after opening.
var pragmas = []struct{ name, set, want string }{
	{"busy_timeout", "10000", "10000"}, // milliseconds
	{"journal_mode", "WAL", "wal"},
	{"synchronous", "FULL", "2"}, // what a directory was told is done stays done
	{"foreign_keys", "1", "1"},
	{"journal_size_limit", "67108864", "67108864"},
	{"cache_size", "-65536", "-65536"}, // KiB
}

// Open opens or makes the SQLite database in the file at path and brings its
// schema up to date. It keeps other processes of ours out of it, by the lock of
// the file at path with ".lock" behind it: lockfile.ErrInUse. Close it after the
// Service that uses it.
func Open(ctx context.Context, path string) (*DB, error) {
	db := &DB{engine: sqliteEngine(), bearers: &bearers{}, users: newUsers(maxUsers)}
	fail := func(err error) (*DB, error) {
		return nil, errors.Join(fmt.Errorf("store: %s: %w", path, err), db.Close())
	}
	var err error
	if db.unlock, err = lockfile.Take(path + ".lock"); err != nil {
		return fail(err)
	}
	if db.write, err = openKeeping(dsn(path, false)); err != nil {
		return fail(err)
	}
	db.write.SetMaxOpenConns(1)
	for _, p := range pragmas {
		var got string
		if err := db.write.QueryRowContext(ctx, "PRAGMA "+p.name).Scan(&got); err != nil {
			return fail(err)
		}
		if got != p.want {
			return fail(fmt.Errorf("pragma %s: got %s, want %s", p.name, got, p.want))
		}
	}
	if err := db.migrate(ctx); err != nil {
		return fail(err)
	}
	if db.read, err = openKeeping(dsn(path, true)); err != nil {
		return fail(err)
	}
	db.read.SetMaxOpenConns(readers)
	db.read.SetMaxIdleConns(readers)
	if err := db.read.PingContext(ctx); err != nil {
		return fail(err)
	}
	return db, nil
}
