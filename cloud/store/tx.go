package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"latchkey/cloud"
)

// A tx is one transaction. It keeps its statements prepared unless the driver
// does, because the same few run for each of many people.
type tx struct {
	ctx     context.Context
	engine  *engine
	sql     *sql.Tx
	stmts   map[string]*sql.Stmt
	only    func(query string) (*sql.Stmt, error) // prepares the one statement that runs without a transaction; else nil
	asked   bool                                  // that statement ran, or what it would find is remembered
	users   *users                                // for that statement; else nil
	bearers bool                                  // what tokens open was changed
	touched touched                               // of users
	clashed error                                 // of the first statement that another transaction was in the way of
}

// fault is the error of a statement, by its first words and never its values.
func (t *tx) fault(query string, err error) error {
	clash := t.engine.clash(err)
	err = fmt.Errorf("store: %s: %w", verb(query), err)
	if clash && t.clashed == nil {
		t.clashed = err
	}
	return err
}

func (t *tx) prepare(query string) (*sql.Stmt, error) {
	if t.only != nil {
		return t.only(query)
	}
	if s, ok := t.stmts[query]; ok {
		return s, nil
	}
	s, err := t.sql.PrepareContext(t.ctx, query)
	if err != nil {
		return nil, err
	}
	if t.stmts == nil {
		t.stmts = map[string]*sql.Stmt{}
	}
	t.stmts[query] = s // closed with the transaction
	return s, nil
}

// exec runs a statement and reports how many rows it changed.
func (t *tx) exec(query string, args ...any) (int64, error) {
	res, err := t.send(query, args)
	if err != nil {
		return 0, t.fault(query, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return 0, t.fault(query, err)
	}
	return n, nil
}

// fit makes the texts among args such as the database can hold.
func (t *tx) fit(args []any) {
	for i, arg := range args {
		if text, ok := arg.(string); ok {
			args[i] = t.engine.text(text)
		}
	}
}

func (t *tx) send(query string, args []any) (sql.Result, error) {
	t.fit(args)
	if t.engine.prepares {
		return t.sql.ExecContext(t.ctx, query, args...)
	}
	s, err := t.prepare(query)
	if err != nil {
		return nil, err
	}
	return s.ExecContext(t.ctx, args...)
}

func (t *tx) ask(query string, args []any) (*sql.Rows, error) {
	t.fit(args)
	if t.engine.prepares {
		return t.sql.QueryContext(t.ctx, query, args...)
	}
	s, err := t.prepare(query)
	if err != nil {
		return nil, err
	}
	return s.QueryContext(t.ctx, args...)
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
	rows, err := t.ask(query, args)
	if err != nil {
		return nil, t.fault(query, err)
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, t.fault(query, err)
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		return nil, t.fault(query, err)
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

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// list is v as a JSON text; a nil slice is an empty list.
func list[T any](v []T) string {
	if v == nil {
		v = []T{}
	}
	return document(v)
}

// document is v as a JSON text. What it gets are plain values of the domain.
func document(v any) string {
	doc, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("store: %T cannot be JSON: %v", v, err))
	}
	return string(doc)
}

// listed reads all rows of a query with a list of ids, which comes after first.
// query has %s for it, inside "IN (…)".
func listed[T any](t *tx, scan func(scanner) (T, error), query string, first []any, ids []string) ([]T, error) {
	query, args, err := t.within(query, first, ids)
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	return all(t, scan, query, args...)
}

// within puts the list ids into query, and after first into its arguments.
func (t *tx) within(query string, first []any, ids []string) (string, []any, error) {
	list, err := t.engine.pack(ids)
	args := append(slices.Clone(first), list)
	return fmt.Sprintf(query, fmt.Sprintf(t.engine.list, len(args))), args, err
}

// sum copies a stored hash or digest.
func sum(to, from []byte) error {
	if len(from) != len(to) {
		return fmt.Errorf("stored sum of %d bytes, want %d", len(from), len(to))
	}
	copy(to, from)
	return nil
}

// clamp keeps a number from outside within what a column holds.
func clamp(n uint64) int64 { return int64(min(n, 1<<63-1)) }

func unlimited(limit int) int {
	if limit < 1 {
		return 1 << 30
	}
	return limit
}
