package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
)

// maxStatements is how many statements a connection to SQLite keeps prepared.
// There are about a hundred in this package, and each search by several
// attributes is one more.
const maxStatements = 256

// openKeeping opens a pool of connections that keep their statements prepared:
// SQLite takes longer to read a statement than to carry it out.
func openKeeping(dsn string) (*sql.DB, error) {
	plain, err := sql.Open("sqlite", dsn) // opens no connection
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(keeper{driver: plain.Driver(), dsn: dsn}), plain.Close()
}

// A keeper makes connections that keep their statements.
type keeper struct {
	driver driver.Driver
	dsn    string
}

func (k keeper) Driver() driver.Driver { return k.driver }

func (k keeper) Connect(context.Context) (driver.Conn, error) {
	c, err := k.driver.Open(k.dsn)
	if err != nil {
		return nil, err
	}
	whole, ok := c.(sqliteConn)
	if !ok {
		return nil, errors.Join(errors.New("store: the SQLite driver lacks what connections need"), c.Close())
	}
	return &keepingConn{sqliteConn: whole, kept: map[string]keptStmt{}}, nil
}

// sqliteConn is all that the driver's connections can do.
type sqliteConn interface {
	driver.Conn
	driver.ConnPrepareContext
	driver.ConnBeginTx
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// A keepingConn is a connection with the statements that it has prepared. Like
// every connection it is used by one goroutine at a time.
type keepingConn struct {
	sqliteConn
	kept map[string]keptStmt
}

func (c *keepingConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if s, ok := c.kept[query]; ok {
		return s, nil
	}
	s, err := c.sqliteConn.PrepareContext(ctx, query)
	whole, ok := s.(sqliteStmt)
	if err != nil || !ok || len(c.kept) >= maxStatements {
		return s, err
	}
	c.kept[query] = keptStmt{whole}
	return c.kept[query], nil
}

func (c *keepingConn) Close() error {
	var errs []error
	for _, s := range c.kept {
		errs = append(errs, s.sqliteStmt.Close())
	}
	return errors.Join(append(errs, c.sqliteConn.Close())...)
}

// sqliteStmt is all that the driver's statements can do.
type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// A keptStmt outlives who asked for it: it closes with its connection.
type keptStmt struct{ sqliteStmt }

func (keptStmt) Close() error { return nil }
