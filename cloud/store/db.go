// Package store keeps the cloud's domain in a database: SQLite or PostgreSQL.
// All SQL of the cloud is here, once for both engines; what differs between
// them is an engine, and the migrations.
package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"

	"latchkey/cloud"
)

//go:embed migrations
var migrations embed.FS

// ErrNewer says that a newer release has changed the database, so that this
// one no longer understands it.
var ErrNewer = errors.New("store: the database belongs to a newer release")

// A DB is a cloud.Store in one database.
type DB struct {
	engine
	write, read *sql.DB // one and the same where the engine says so
	asked       asked
	bearers     *bearers // nil where other processes write as well, as users
	users       *users
	unlock      func() error
}

var _ cloud.Store = (*DB)(nil)

// An engine is what SQLite and PostgreSQL do differently.
type engine struct {
	dialect goose.Dialect
	folder  string // of its migrations
	// list is the query inside "IN (…)" whose rows are a list of ids in one
	// argument, with %d for the number of its placeholder.
	list string
	// pack is the argument for list.
	pack func(ids []string) (any, error)
	// text is a text as the database can hold it.
	text func(string) string
	// groups is a query whose one row are the groups of the person that is being
	// looked at: a JSON list of pairs of id and displayName, by id.
	groups string
	// prepares says that the driver itself keeps statements prepared.
	prepares bool
	// alone says that one statement is as serialisable without a transaction
	// around it.
	alone bool
	// shared says that several processes may have the database open.
	shared bool
	begin  func(ctx context.Context, db *sql.DB, t turn) (*sql.Tx, error)
	// tries is how often a transaction is run at most, for as long as clash
	// says that another one was in the way. The last try has the turn alone, or
	// only reads and is in nobody's way.
	tries int
	clash func(error) bool
}

// A turn says what a transaction may do, and beside which others.
type turn int

const (
	readTurn     turn = iota
	lastReadTurn      // reads, and nothing that others do can be in its way
	sharedTurn        // writes, beside others
	soleTurn          // writes, beside none
)

// Close closes the database. Transactions that are still running fail.
func (db *DB) Close() error {
	var errs []error
	for _, d := range []*sql.DB{db.read, db.write} {
		if d != nil {
			errs = append(errs, d.Close())
		}
	}
	if db.unlock != nil {
		errs = append(errs, db.unlock())
	}
	return errors.Join(errs...)
}

// migrate brings the schema up to date, or says that it is ahead of us.
func (db *DB) migrate(ctx context.Context, options ...goose.ProviderOption) error {
	p, err := db.migrations(options...)
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	have, err := p.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	if sources := p.ListSources(); have > sources[len(sources)-1].Version {
		return fmt.Errorf("%w: it is at version %d, this one knows %d", ErrNewer, have, sources[len(sources)-1].Version)
	}
	return nil
}

func (db *DB) migrations(options ...goose.ProviderOption) (*goose.Provider, error) {
	files, err := fs.Sub(migrations, "migrations/"+db.folder)
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(db.dialect, db.write, files, append(options, goose.WithDisableGlobalRegistry(true))...)
}

// Update runs f in a transaction that is on the disk when Update returns nil.
func (db *DB) Update(ctx context.Context, f func(cloud.Tx) error) error {
	return db.runs(ctx, db.write, sharedTurn, soleTurn, f)
}

// View runs f on one moment's state.
func (db *DB) View(ctx context.Context, f func(cloud.Tx) error) error {
	return db.runs(ctx, db.read, readTurn, lastReadTurn, f)
}

// runs runs f until no other transaction is in the way: in turn t, and the last
// time in turn last.
func (db *DB) runs(ctx context.Context, pool *sql.DB, t, last turn, f func(cloud.Tx) error) (err error) {
	for try := 1; try <= db.tries; try++ {
		if try == db.tries {
			t = last
		}
		var again bool
		if again, err = db.run(ctx, pool, t, f); !again {
			break
		}
	}
	return err
}

// run runs f once. Whatever f makes of the error of a statement that clashed
// with another transaction, it is that error which counts, and is again.
func (db *DB) run(ctx context.Context, pool *sql.DB, turn turn, f func(cloud.Tx) error) (again bool, err error) {
	sqlTx, err := db.begin(ctx, pool, turn)
	if err != nil {
		return db.clash(err), fmt.Errorf("store: begin: %w", err)
	}
	defer sqlTx.Rollback() // after Commit it does nothing
	t := &tx{ctx: ctx, engine: &db.engine, sql: sqlTx}
	err = f(t)
	if t.clashed != nil {
		return ctx.Err() == nil, t.clashed
	}
	if err != nil {
		return false, err
	}
	if t.bearers {
		defer db.bearers.change()()
	}
	defer db.users.change(t.touched)()
	if err := sqlTx.Commit(); err != nil {
		return ctx.Err() == nil && db.clash(err), fmt.Errorf("store: commit: %w", err)
	}
	return false, nil
}
