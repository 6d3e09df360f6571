package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"latchkey/cloud"
)

// A Postgres is a cloud.Shared in a PostgreSQL database.
type Postgres struct{ DB }

var _ cloud.Shared = (*Postgres)(nil)

// A PostgresConfig says which PostgreSQL database to open, and how.
type PostgresConfig struct {
	// URL is postgres://USER@HOST:PORT/DATABASE?sslmode=…&sslrootcert=…, with all
	// parameters of libpq, or postgres:///DATABASE?host=/folder/of/the/socket.
	// The certificate of a server on another machine is checked unless sslmode
	// says otherwise.
	URL string
	// Password is for a URL without one; where both are empty it is what the
	// environment says in PGPASSWORD or a password file.
	Password string
	// Conns is how many connections there are at most; 0 is 16.
	Conns int
}

// settings are what each connection needs, unless the URL says otherwise.
//
// Sequential scans are off because a plan for a table that is small today would
// be wrong tomorrow, and because what a scan has read clashes with all that
// anybody writes to that table.
var settings = map[string]string{
	"application_name":                    "latchkey-cloud",
	"statement_timeout":                   "60s",
	"idle_in_transaction_session_timeout": "60s", // one whose process has stopped ends, and lets others on
	"synchronous_commit":                  "on",  // what a directory was told is done stays done
	"enable_seqscan":                      "off",
	"jit":                                 "off",
}

// OpenPostgres opens a PostgreSQL database, 13 or newer, and brings its schema
// up to date. Several processes may have it open: of those that find it out of
// date, one at a time sees to it. Close it after the Service that uses it.
func OpenPostgres(ctx context.Context, p PostgresConfig) (*Postgres, error) {
	config, err := p.config()
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	return openPostgres(ctx, config, cmp.Or(p.Conns, 16))
}

func openPostgres(ctx context.Context, config *pgx.ConnConfig, conns int) (*Postgres, error) {
	pool := stdlib.OpenDB(*config)
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	pool.SetConnMaxIdleTime(5 * time.Minute)
	pool.SetConnMaxLifetime(time.Hour)
	db := &Postgres{DB{engine: postgresEngine(), write: pool, read: pool}}
	locker, err := lock.NewPostgresSessionLocker()
	if err == nil {
		err = pool.PingContext(ctx) // first, for its clear error
	}
	if err == nil {
		err = db.migrate(ctx, goose.WithSessionLocker(locker))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("store: PostgreSQL database %q at %s: %w", config.Database, config.Host, err), db.Close())
	}
	return db, nil
}

// config reads p. Its errors never have the password in them.
func (p PostgresConfig) config() (*pgx.ConnConfig, error) {
	u, err := url.Parse(p.URL)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("database: want postgres://USER@HOST:PORT/DATABASE") // url's own error repeats the password
	}
	if password, ok := u.User.Password(); !ok || password == "" {
		if p.Password != "" {
			u.User = url.UserPassword(u.User.Username(), p.Password)
		}
	}
	q := u.Query()
	if host := u.Hostname(); q.Get("sslmode") == "" && host != "" && host != "localhost" && !net.ParseIP(host).IsLoopback() {
		q.Set("sslmode", "verify-full")
		if q.Get("sslrootcert") == "" {
			q.Set("sslrootcert", "system")
		}
	}
	u.RawQuery = q.Encode()
	config, err := pgx.ParseConfig(u.String())
	if err != nil {
		why := err.Error()
		if password, _ := u.User.Password(); password != "" {
			why = strings.NewReplacer(password, "…", url.QueryEscape(password), "…", url.PathEscape(password), "…").Replace(why)
		}
		return nil, fmt.Errorf("database: %s", why)
	}
	given := config.RuntimeParams
	config.RuntimeParams = maps.Clone(settings)
	maps.Copy(config.RuntimeParams, given)
	config.ConnectTimeout = cmp.Or(config.ConnectTimeout, 10*time.Second)
	return config, nil
}

// postgresEngine: transactions run beside one another and are undone when the
// database cannot tell that they came one after the other. One that was undone
// is run again, the last time with all other writers waiting, so that it comes
// to its end however many there are.
func postgresEngine() engine {
	return engine{
		dialect: goose.DialectPostgres,
		folder:  "postgres",
		list:    "SELECT unnest($%d::text[])",
		pack: func(ids []string) (any, error) {
			texts := make([]string, len(ids))
			for i, id := range ids {
				texts[i] = postgresText(id)
			}
			return texts, nil
		},
		groups: `SELECT COALESCE(json_agg(json_build_array(g.id, g.display_name) ORDER BY g.id), '[]')::text
			FROM directory_member m JOIN directory_group g ON g.id = m.grp WHERE m.member = person.id AND g.org = person.org`,
		text:     postgresText,
		prepares: true,
		shared:   true,
		begin:    beginPostgres,
		tries:    4,
		clash:    clashes,
	}
}

// beginPostgres takes its turn before the transaction's first query, which is
// when PostgreSQL decides what it sees. Beside no other writer one moment's
// state is all that it takes to be serialisable, and what PostgreSQL suspects
// of transactions that have ended already cannot undo it: it does suspect them
// wrongly when many write to the same rows. It keeps no note of what it read
// either, so that the last try goes through where there is no room for notes.
func beginPostgres(ctx context.Context, db *sql.DB, t turn) (*sql.Tx, error) {
	level := sql.LevelSerializable
	if t == soleTurn || t == lastReadTurn {
		level = sql.LevelRepeatableRead
	}
	reads := t == readTurn || t == lastReadTurn
	sqlTx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: level, ReadOnly: reads})
	if err != nil || reads {
		return sqlTx, err
	}
	mode := "ROW EXCLUSIVE"
	if t == soleTurn {
		mode = "EXCLUSIVE"
	}
	if _, err := sqlTx.ExecContext(ctx, "LOCK TABLE turn IN "+mode+" MODE"); err != nil {
		return nil, errors.Join(err, sqlTx.Rollback())
	}
	return sqlTx, nil
}

// clashes says whether err may come from another transaction: a serialisation
// failure or a deadlock does, and a constraint that is violated may be by what
// another one committed after this one began. Shared memory (53200) runs out
// when one transaction lasts, and the server must remember for its sake what
// the many that ended meanwhile had read.
func clashes(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (slices.Contains([]string{"40001", "40P01", "53200"}, pg.Code) || strings.HasPrefix(pg.Code, "23"))
}

// postgresText is s with U+FFFD for what PostgreSQL takes in no text.
func postgresText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
