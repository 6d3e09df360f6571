package cache

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"latchkey/internal/durable"
)

//go:embed migrations
var migrations embed.FS

// schema is the version of both schemas that this program writes: the number
// of the newest migration.
const schema = 1

// errDamaged says that a file is there and is no sound database of ours: the
// file is at fault and not the machine.
var errDamaged = errors.New("file is damaged")

// errNewer says that a newer program made the file and says that this one must
// not work on it.
var errNewer = errors.New("file was made by a newer version")

// A pragma is a setting of a connection, given on the DSN and read back.
type pragma struct{ name, set, got string }

// The settings of all connections. SQLite ignores a pragma that it does not
// know, and a wrong one costs acknowledged commits at a power cut, so each is
// read back before the file is used.
func pragmas(readOnly bool) []pragma {
	p := []pragma{
		{"busy_timeout", "5000", "5000"},
		{"journal_mode", "WAL", "wal"},
		{"synchronous", "FULL", "2"},
		{"foreign_keys", "1", "1"},
		{"temp_store", "MEMORY", "2"}, // neither a full /tmp nor a lack of file handles may stop a commit
		{"trusted_schema", "0", "0"},
		{"cell_size_check", "1", "1"},
		{"fullfsync", "1", "1"},            // macOS: fsync alone does not reach the disk
		{"checkpoint_fullfsync", "1", "1"}, // the same
		{"wal_autocheckpoint", "1000", "1000"},
		{"journal_size_limit", "16777216", "16777216"},
	}
	if readOnly {
		p = append(p, pragma{"query_only", "1", "1"})
	}
	return p
}

// dsn is the data source name of path. A path may hold any character: in a URI
// "?" ends the file's name and "%" escapes, so both are escaped.
func dsn(path string, query url.Values, ps []pragma) string {
	for _, p := range ps {
		query.Add("_pragma", p.name+"("+p.set+")")
	}
	slash := filepath.ToSlash(path)
	if !strings.HasPrefix(slash, "/") { // C:/… on Windows
		slash = "/" + slash
	}
	u := url.URL{Scheme: "file", Path: slash, RawQuery: query.Encode()}
	return u.String()
}

// A file is one open SQLite database: one writer, so that a write never waits
// for a lock but only for the writer before it, and readers that cannot write.
type file struct {
	path  string
	write *sql.DB
	read  *sql.DB
}

// openFile opens the database at path, made empty if it is not there, and brings
// its schema up to date. An errDamaged or errNewer is about the file; any other
// error about the machine.
func openFile(ctx context.Context, path, kind string) (_ *file, err error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	f := &file{path: abs}
	// SQLite gives its WAL and index the mode of the database, so that is made
	// first. An empty file is an empty database.
	c, err := os.OpenFile(abs, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	if err := errors.Join(checkHeader(c), c.Close()); err != nil {
		return nil, fmt.Errorf("cache: %s: %w", filepath.Base(abs), err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("cache: %s: %w", filepath.Base(abs), errors.Join(classify(err), f.Close()))
		}
	}()
	if f.write, err = sql.Open("sqlite", dsn(abs, url.Values{"_txlock": {"immediate"}}, pragmas(false))); err != nil {
		return nil, err
	}
	f.write.SetMaxOpenConns(1)
	if err := readBack(ctx, f.write, pragmas(false)); err != nil {
		return nil, err
	}
	if err := quickCheck(ctx, f.write); err != nil {
		return nil, err
	}
	if err := migrate(ctx, f.write, kind); err != nil {
		return nil, err
	}
	if f.read, err = sql.Open("sqlite", dsn(abs, url.Values{}, pragmas(true))); err != nil {
		return nil, err
	}
	f.read.SetMaxOpenConns(4)
	f.read.SetMaxIdleConns(4)
	if err := readBack(ctx, f.read, pragmas(true)); err != nil {
		return nil, err
	}
	return f, nil
}

// checkHeader looks at the bytes of the header that SQLite takes for a wish: a
// file version that it does not write makes it open the file read-only or
// without a WAL, which would look like a fault of the machine (SQLite file
// format, §1.3).
func checkHeader(f *os.File) error {
	var header [20]byte
	switch n, err := f.ReadAt(header[:], 0); {
	case n == 0 && errors.Is(err, io.EOF):
		return nil // a new file
	case err != nil && !errors.Is(err, io.EOF):
		return err
	}
	if string(header[:16]) != "SQLite format 3\x00" {
		return fmt.Errorf("%w: it is no SQLite database", errDamaged)
	}
	if header[18] != 2 || header[19] != 2 {
		return fmt.Errorf("%w: file versions %d and %d, want 2 and 2 (WAL)", errDamaged, header[18], header[19])
	}
	return nil
}

// Close closes readers first: the last connection to close folds the WAL into
// the file, and only a writer may.
func (f *file) Close() error {
	var errs []error
	for _, d := range []*sql.DB{f.read, f.write} {
		if d != nil {
			errs = append(errs, d.Close())
		}
	}
	return errors.Join(errs...)
}

// readBack refuses to run with other settings than were asked for.
func readBack(ctx context.Context, d *sql.DB, ps []pragma) error {
	for _, p := range ps {
		var got string
		if err := d.QueryRowContext(ctx, "PRAGMA "+p.name).Scan(&got); err != nil {
			return fmt.Errorf("read back pragma %s: %w", p.name, err)
		}
		if got != p.got {
			return fmt.Errorf("pragma %s is %q, want %q", p.name, got, p.got)
		}
	}
	return nil
}

// quickCheck looks at the structure of the file. It sees few of the bits that
// may flip (the boxes see the rest), but what it does see makes writing to the
// file unsafe.
func quickCheck(ctx context.Context, d *sql.DB) error {
	var got string
	if err := d.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&got); err != nil {
		return fmt.Errorf("quick_check: %w", err)
	}
	if got != "ok" {
		return fmt.Errorf("%w: quick_check: %s", errDamaged, got)
	}
	return nil
}

// migrate brings the schema up to date, one transaction a migration.
func migrate(ctx context.Context, d *sql.DB, kind string) error {
	var oldest int
	if err := d.QueryRowContext(ctx, "PRAGMA user_version").Scan(&oldest); err != nil {
		return fmt.Errorf("schema version: %w", err)
	}
	if oldest > schema {
		return fmt.Errorf("%w: it wants schema %d or later, this program has %d", errNewer, oldest, schema)
	}
	dir, err := fs.Sub(migrations, "migrations/"+kind)
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, d, dir, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return nil
}

// classify adds errDamaged to an error that SQLite gives for what it found in
// the file. What it says of the disk, the rights or a lock is the machine's.
func classify(err error) error {
	if err == nil || errors.Is(err, errDamaged) {
		return err
	}
	e, ok := errors.AsType[*sqlite.Error](err)
	if !ok {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, // as it says
		sqlite3.SQLITE_ERROR,                               // our statements are right, so a table or column is not
		sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, // a row that could not be written is there
		sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_EMPTY:
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return err
}

// diskFull reports whether err is SQLite's word for a full disk.
func diskFull(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && e.Code()&0xff == sqlite3.SQLITE_FULL
}

// tx runs f in one transaction, which is durable once tx returns nil. f must
// not keep the transaction.
func tx(ctx context.Context, d *sql.DB, f func(*sql.Tx) error) error {
	t, err := d.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := f(t); err != nil {
		if back := t.Rollback(); back != nil && !errors.Is(back, sql.ErrTxDone) {
			err = errors.Join(err, back)
		}
		return err
	}
	if err := t.Commit(); err != nil {
		return &commitError{err}
	}
	return nil
}

// A commitError says that a commit failed, so that only the file knows whether
// the transaction holds.
type commitError struct{ err error }

func (e *commitError) Error() string { return "commit: " + e.err.Error() }
func (e *commitError) Unwrap() error { return e.err }

// The names of a database and what SQLite keeps beside it.
func companions(path string) []string { return []string{path, path + "-wal", path + "-shm"} }

const asideMark = ".aside-"

// setAside renames the database at path, with what belongs to it, to a name
// with the time in it, and returns that name.
func setAside(path string, now time.Time) (string, error) {
	base := path + asideMark + now.UTC().Format("20060102T150405Z")
	aside := base
	for i := 2; ; i++ {
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return "", fmt.Errorf("cache: set aside: %w", err)
		}
		aside = fmt.Sprintf("%s-%d", base, i)
	}
	to := companions(aside)
	for i, from := range companions(path) {
		if err := os.Rename(from, to[i]); err != nil && (i == 0 || !errors.Is(err, fs.ErrNotExist)) {
			return "", fmt.Errorf("cache: set aside: %w", err)
		}
	}
	if err := durable.Names(filepath.Dir(path)); err != nil {
		return "", fmt.Errorf("cache: set aside: %w", err)
	}
	return aside, nil
}

// asides lists the names of what was set aside of the database at path.
func asides(path string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, filepath.Base(path)+asideMark) && !strings.HasSuffix(name, "-wal") && !strings.HasSuffix(name, "-shm") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// replace puts a sound database in the place of a damaged one, which it sets
// aside. build fills the new database from the old one, which it may read at
// old by openDamaged. A crash at any point loses neither: until the new one is
// whole the old one keeps its name, and finishReplace takes up the rest.
func replace(path string, now time.Time, build func(fresh string) error) (aside string, err error) {
	fresh := path + ".new"
	if err := removeAll(fresh); err != nil {
		return "", err
	}
	if err := build(fresh); err != nil {
		return "", errors.Join(err, removeAll(fresh))
	}
	if aside, err = setAside(path, now); err != nil {
		return "", err
	}
	return aside, finishReplace(path)
}

// finishReplace gives a whole new database its name, where a crash came before
// that.
func finishReplace(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was replaced, or err shows when the file is opened
	}
	fresh := path + ".new"
	if _, err := os.Lstat(fresh); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return promote(fresh, path)
}

// create makes a database where there is none, under another name first, so
// that a crash leaves none that is half made.
func create(path string, build func(fresh string) error) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil // it is there, or err shows when the file is opened
	}
	fresh := path + ".making"
	if err := removeAll(fresh); err != nil {
		return err
	}
	if err := build(fresh); err != nil {
		return errors.Join(err, removeAll(fresh))
	}
	return promote(fresh, path)
}

// promote gives a whole new database, which is closed, the name path.
func promote(fresh, path string) error {
	// What the old database kept beside it would be taken for the new one's,
	// which was closed and so has nothing beside it.
	for _, old := range companions(path)[1:] {
		left := path + asideMark + "left" + strings.TrimPrefix(old, path)
		if err := os.Rename(old, left); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cache: %w", err)
		}
	}
	if err := os.Rename(fresh, path); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	return durable.Names(filepath.Dir(path))
}

func removeAll(path string) error {
	for _, name := range companions(path) {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cache: %w", err)
		}
	}
	return nil
}

// openDamaged opens a database for what can still be read of it, and does not
// change it.
func openDamaged(path string) (*sql.DB, error) {
	d, err := sql.Open("sqlite", dsn(path, url.Values{"mode": {"ro"}}, []pragma{{name: "busy_timeout", set: "1000"}, {name: "query_only", set: "1"}}))
	if err != nil {
		return nil, err
	}
	d.SetMaxOpenConns(1)
	return d, nil
}
