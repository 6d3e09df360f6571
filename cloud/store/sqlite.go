// Package store keeps the cloud's domain in a database. All SQL of the cloud
// is here. The statements are written so that PostgreSQL takes them too; what
// differs between the engines is how a database is opened and its migrations.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/pressly/goose/v3"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"latchkey/cloud"
)

//go:embed migrations/sqlite/*.sql
var migrations embed.FS

// readers is how many transactions may read at once. SQLite's log lets them go
// on beside the one that writes.
const readers = 4

// A DB is a cloud.Store in one SQLite file.
type DB struct {
	write *sql.DB // one connection
	read  *sql.DB
}

var _ cloud.Store = (*DB)(nil)

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

// Open opens or makes the database at path and brings its schema up to date.
// Close it after the Service that uses it.
func Open(ctx context.Context, path string) (*DB, error) {
	db := &DB{}
	fail := func(err error) (*DB, error) {
		return nil, errors.Join(fmt.Errorf("store: %s: %w", path, err), db.Close())
	}
	var err error
	if db.write, err = sql.Open("sqlite", dsn(path, false)); err != nil {
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
	files, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return fail(err)
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db.write, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fail(err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fail(err)
	}
	if db.read, err = sql.Open("sqlite", dsn(path, true)); err != nil {
		return fail(err)
	}
	db.read.SetMaxOpenConns(readers)
	db.read.SetMaxIdleConns(readers)
	if err := db.read.PingContext(ctx); err != nil {
		return fail(err)
	}
	return db, nil
}

// Close closes the database. Transactions that are still running fail.
func (db *DB) Close() error {
	var errs []error
	for _, d := range []*sql.DB{db.read, db.write} {
		if d != nil {
			errs = append(errs, d.Close())
		}
	}
	return errors.Join(errs...)
}

// Update runs f in a transaction that is on the disk when Update returns nil.
func (db *DB) Update(ctx context.Context, f func(cloud.Tx) error) error {
	return run(ctx, db.write, f)
}

// View runs f on one moment's state.
func (db *DB) View(ctx context.Context, f func(cloud.Tx) error) error {
	return run(ctx, db.read, f)
}

func run(ctx context.Context, db *sql.DB, f func(cloud.Tx) error) error {
	sqlTx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("store: begin: %w", err)
	}
	defer sqlTx.Rollback() // after Commit it does nothing
	if err := f(&tx{ctx: ctx, sql: sqlTx}); err != nil {
		return err
	}
	if err := sqlTx.Commit(); err != nil {
		return fmt.Errorf("store: commit: %w", err)
	}
	return nil
}

// A tx is one transaction. It keeps its statements prepared, because the same
// few run for each of many people.
type tx struct {
	ctx   context.Context
	sql   *sql.Tx
	stmts map[string]*sql.Stmt
}

func (t *tx) prepare(query string) (*sql.Stmt, error) {
	if s, ok := t.stmts[query]; ok {
		return s, nil
	}
	s, err := t.sql.PrepareContext(t.ctx, query)
	if err != nil {
		return nil, fmt.Errorf("store: prepare: %w", err)
	}
	if t.stmts == nil {
		t.stmts = map[string]*sql.Stmt{}
	}
	t.stmts[query] = s // closed with the transaction
	return s, nil
}

// exec runs a statement and reports how many rows it changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	s, err := t.prepare(query)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(t.ctx, args...)
	if err != nil {
		return 0, fmt.Errorf("store: %s: %w", verb(query), err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("store: %s: %w", verb(query), err)
	}
	return n, nil
}

// must runs a statement that has to hit a row.
func (t *tx) must(query string, args ...any) error {
	n, err := t.exec(query, args...)
	if err == nil && n == 0 {
		return cloud.ErrNotFound
	}
	return err
}

func (t *tx) do(query string, args ...any) error {
	_, err := t.exec(query, args...)
	return err
}

// verb names a statement in errors: its first words, never its values.
func verb(query string) string {
	words := strings.Fields(query)
	return strings.Join(words[:min(3, len(words))], " ")
}

// scanner is the part of rows that scan functions use.
type scanner interface{ Scan(dest ...any) error }

// all reads every row of a query.
func all[T any](t *tx, scan func(scanner) (T, error), query string, args ...any) ([]T, error) {
	s, err := t.prepare(query)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(t.ctx, args...)
	if err != nil {
		return nil, fmt.Errorf("store: %s: %w", verb(query), err)
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("store: %s: %w", verb(query), err)
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("store: %s: %w", verb(query), err)
	}
	return out, nil
}

// one reads the one row of a query: cloud.ErrNotFound where there is none.
func one[T any](t *tx, scan func(scanner) (T, error), query string, args ...any) (T, error) {
	var zero T
	found, err := all(t, scan, query, args...)
	if err != nil {
		return zero, err
	}
	if len(found) == 0 {
		return zero, cloud.ErrNotFound
	}
	return found[0], nil
}

func column[T any](s scanner) (v T, err error) { return v, s.Scan(&v) }
