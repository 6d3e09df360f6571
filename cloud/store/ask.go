package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"

	"latchkey/cloud"
)

// errSecond is the fault of a function that asks more than Ask allows.
var errSecond = errors.New("store: a second statement in Ask")

// Ask runs f, which makes one statement run, on one moment's state. It is View
// without what a transaction costs: in SQLite that is more than to find a row.
func (db *DB) Ask(ctx context.Context, f func(cloud.Tx) error) error {
	if !db.alone {
		return db.View(ctx, f)
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("store: ask: %w", err)
	}
	// It is over before anybody could cancel it, and a context that can be
	// cancelled takes two goroutines more.
	ctx = context.WithoutCancel(ctx)
	var full bool
	t := &tx{ctx: ctx, engine: &db.engine, users: db.users}
	t.only = func(query string) (*sql.Stmt, error) {
		if err := t.once(); err != nil {
			return nil, err
		}
		s, err := db.asked.prepare(ctx, db.read, query)
		full = s == nil && err == nil
		if full {
			err = errors.New("store: too many kinds of statements")
		}
		return s, err
	}
	err := f(t)
	if full {
		return db.View(ctx, f)
	}
	return err
}

// once is errSecond when it is called again.
func (t *tx) once() error {
	if t.asked {
		return errSecond
	}
	t.asked = true
	return nil
}

// asked are the statements that ran without a transaction.
type asked struct {
	mu   sync.RWMutex
	kept map[string]*sql.Stmt
}

// prepare is nil where so many are kept already that query stays out.
func (a *asked) prepare(ctx context.Context, db *sql.DB, query string) (*sql.Stmt, error) {
	a.mu.RLock()
	s, ok := a.kept[query]
	a.mu.RUnlock()
	if ok {
		return s, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if s, ok := a.kept[query]; ok || len(a.kept) >= maxStatements {
		return s, nil
	}
	s, err := db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	if a.kept == nil {
		a.kept = map[string]*sql.Stmt{}
	}
	a.kept[query] = s // closed with the database
	return s, nil
}
