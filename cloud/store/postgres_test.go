package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"latchkey/cloud"
	"latchkey/cloud/store/pgtest"
)

// A listener hears which statements run.
type listener struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (l *listener) TraceQueryStart(ctx context.Context, _ *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[q.SQL] = true
	return ctx
}

func (l *listener) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// A node is a step of PostgreSQL's plan.
type node struct {
	Type  string `json:"Node Type"`
	Table string `json:"Relation Name"`
	Index string `json:"Index Name"`
	Cond  string `json:"Index Cond"`
	Plans []node
}

// explainPostgres is how PostgreSQL would run a query whatever its arguments.
func explainPostgres(t *testing.T, db *DB, query string) (steps []node) {
	t.Helper()
	conn, err := db.read.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	values := "" // nulls, which have every type
	for i := 1; strings.Contains(query, fmt.Sprint("$", i)); i++ {
		values += ", NULL"
	}
	if values != "" {
		values = "(" + values[2:] + ")"
	}
	var plan string
	for _, sql := range []string{"SET plan_cache_mode = force_generic_plan", "PREPARE q AS " + query} {
		if _, err := conn.ExecContext(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
	}
	if err := conn.QueryRowContext(t.Context(), "EXPLAIN (FORMAT JSON) EXECUTE q"+values).Scan(&plan); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	if _, err := conn.ExecContext(t.Context(), "DEALLOCATE q"); err != nil {
		t.Fatal(err)
	}
	var plans []struct{ Plan node }
	if err := json.Unmarshal([]byte(plan), &plans); err != nil {
		t.Fatal(err)
	}
	var walk func(n node)
	walk = func(n node) {
		steps = append(steps, n)
		for _, below := range n.Plans {
			walk(below)
		}
	}
	walk(plans[0].Plan)
	return steps
}

// scans says whether a step reads a table, or an index, from end to end.
func (n node) scans() bool {
	return n.Type == "Seq Scan" || n.Cond == "" && (n.Type == "Index Scan" || n.Type == "Index Only Scan" || n.Type == "Bitmap Index Scan")
}

func TestNoStatementScansPostgres(t *testing.T) {
	config, err := PostgresConfig{URL: pgtest.Database(t)}.config()
	if err != nil {
		t.Fatal(err)
	}
	heard := &listener{seen: map[string]bool{}}
	config.Tracer = heard
	db, err := openPostgres(t.Context(), config, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	clear(heard.seen)
	everyStatement(t, &db.DB)
	checked := 0
	for query := range heard.seen {
		word, _, _ := strings.Cut(query, " ")
		if !slices.Contains([]string{"SELECT", "INSERT", "UPDATE", "DELETE"}, word) {
			continue
		}
		checked++
		for _, step := range explainPostgres(t, &db.DB, query) {
			if step.scans() {
				t.Errorf("%s: %+v", strings.Join(strings.Fields(query), " "), step)
			}
		}
	}
	if checked < 60 {
		t.Fatalf("%d statements: this test would check little", checked)
	}
}

// TestLookupsUseAnIndexPostgres: what a directory asks for does not get slower
// with the number of users.
func TestLookupsUseAnIndexPostgres(t *testing.T) {
	db := openTestPostgres(t, migrated.Copy(t))
	c := contract{t, &db.DB}
	c.update(putOrg("acme"), func(tx cloud.Tx) error {
		for i := range 200 {
			id := fmt.Sprintf("%04d", i)
			err := errors.Join(tx.PutPerson(cloud.PersonRow{ID: id, Org: "acme", Origin: cloud.OriginDirectory, UserName: id, ExternalID: id, Name: id,
				CardNumber: id, Manager: id, Emails: []string{id}, Doc: []byte("{}")}),
				tx.PutGroup(cloud.GroupRow{ID: id, Org: "acme", DisplayName: id, ExternalID: id, Doc: []byte("{}")}), second(tx.AddMember(id, id)))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if _, err := db.write.ExecContext(t.Context(), "ANALYZE"); err != nil {
		t.Fatal(err)
	}
	eachLookup(t, func(query string, index indexes) {
		steps := explainPostgres(t, &db.DB, query)
		if !slices.ContainsFunc(steps, func(n node) bool { return n.Index == index.postgres }) || slices.ContainsFunc(steps, node.scans) {
			t.Errorf("%s: %+v; want %s", query, steps, index.postgres)
		}
	})
}

// TestUpdateRunsAgain: an update that another one overtook is run again and
// comes to its end, also when that happens each time.
func TestUpdateRunsAgain(t *testing.T) {
	db := openTestPostgres(t, migrated.Copy(t))
	c := contract{t, &db.DB}
	c.update(putOrg("acme"))
	bump := func(tx cloud.Tx) error {
		o, err := tx.Org("acme")
		o.Config++
		return errors.Join(err, tx.PutOrg(o))
	}
	runs := 0
	c.update(func(tx cloud.Tx) error {
		runs++
		o, err := tx.Org("acme")
		if runs < db.tries { // in the last run this would wait for ourselves
			c.update(bump)
		}
		o.Config++
		if tx.PutOrg(o) != nil {
			return nil // a caller that takes no notice changes nothing
		}
		return err
	})
	if runs != db.tries {
		t.Errorf("ran %d times, want %d", runs, db.tries)
	}
	is(c, "counted", int64(db.tries), func(tx cloud.Tx) (int64, error) { o, err := tx.Org("acme"); return o.Config, err })
}

// TestFullMemoryIsRetried: while one transaction lasts the server runs out of
// room for what others have read, and each of them is done all the same.
func TestFullMemoryIsRetried(t *testing.T) {
	db := openTestPostgres(t, pgtest.Cramped(t))
	c := contract{t, &db.DB}
	c.update(putOrg("lasting"))
	lasting, err := db.write.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelSerializable})
	if err != nil {
		t.Fatal(err)
	}
	defer lasting.Rollback()
	if _, err := lasting.ExecContext(t.Context(), `SELECT id FROM org WHERE id = 'lasting'`); err != nil {
		t.Fatal(err)
	}
	again := 0
	before := "lasting"
	for i := range 400 {
		id := fmt.Sprintf("%04d", i)
		runs := -1
		c.update(func(tx cloud.Tx) error {
			runs++
			_, err := tx.Org(before)
			return errors.Join(err, putOrg(id)(tx))
		})
		again += runs
		is(c, "organisation", id, func(tx cloud.Tx) (string, error) { o, err := tx.Org(id); return o.ID, err })
		before = id
	}
	if again == 0 {
		t.Error("the memory held out: this test checked nothing")
	}
	t.Logf("ran again %d times", again)
}

// TestPasswordIsNotShown: no error that has to do with the URL has it.
func TestPasswordIsNotShown(t *testing.T) {
	const secret = "hunter+2 secret"
	for _, url := range []string{
		"postgres://u:hunter%2B2%20secret@127.0.0.1:1/db",
		"postgres://u:hunter%2B2%20secret@127.0.0.1:port/db",
		"postgres://u:hunter%2B2%20secret@127.0.0.1:1/db?sslmode=odd",
		"postgres://u:hunter%2B2%20secret@127.0.0.1:1/db?connect_timeout=soon",
		"mysql://u:hunter%2B2%20secret@127.0.0.1/db",
		"postgres://u@127.0.0.1:1/db",
		"hunter+2 secret",
	} {
		db, err := OpenPostgres(t.Context(), PostgresConfig{URL: url, Password: secret})
		if err == nil {
			db.Close()
			t.Errorf("%s was opened", url)
		} else if strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestPostgresURL: what the URL says holds, and what it leaves open is safe.
func TestPostgresURL(t *testing.T) {
	for _, tt := range []struct {
		url        string
		password   string
		verified   bool // by name and certificate
		commit     string
		mayBePlain bool
	}{
		{"postgres://u@db.example/x", "file", true, "on", false},
		{"postgres://u:url@db.example/x", "url", true, "on", false},
		{"postgres://u@127.0.0.1/x", "file", false, "on", true},
		{"postgres:///x?host=/run/pg&user=u&synchronous_commit=remote_apply", "file", false, "remote_apply", true},
		{"postgres://u@db.example/x?sslmode=disable", "file", false, "on", true},
	} {
		config, err := PostgresConfig{URL: tt.url, Password: "file"}.config()
		if err != nil {
			t.Errorf("%s: %v", tt.url, err)
			continue
		}
		verified := config.TLSConfig != nil && config.TLSConfig.ServerName == "db.example" && !config.TLSConfig.InsecureSkipVerify
		plain := config.TLSConfig == nil || slices.ContainsFunc(config.Fallbacks, func(f *pgconn.FallbackConfig) bool { return f.TLSConfig == nil })
		if config.Password != tt.password || verified != tt.verified || plain != tt.mayBePlain || config.RuntimeParams["synchronous_commit"] != tt.commit {
			t.Errorf("%s: password %q, verified %v, plain %v, %v", tt.url, config.Password, verified, plain, config.RuntimeParams)
		}
	}
}

func TestPostgresMigrationsGoBothWays(t *testing.T) {
	url := pgtest.Database(t)
	var wg sync.WaitGroup
	for range 3 { // at once, as when a new release is rolled out
		wg.Go(func() { openTestPostgres(t, url) })
	}
	wg.Wait()
	migrateBothWays(t, &openTestPostgres(t, url).DB)
}

// TestNewerDatabaseIsRefused: an old release must not write to what it does not
// understand.
func TestNewerDatabaseIsRefused(t *testing.T) {
	both(t, func(c contract) {
		if _, err := c.db.write.ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, TRUE)"); err != nil {
			t.Fatal(err)
		}
		if err := c.db.migrate(t.Context()); !errors.Is(err, ErrNewer) {
			t.Errorf("got %v, want ErrNewer", err)
		}
	})
}

// TestSchemasAreAlike: both engines have the same tables with the same columns
// in the same order, after the same number of migrations.
func TestSchemasAreAlike(t *testing.T) {
	column := regexp.MustCompile(`(?m)^    ([a-z_]+) +(?:TEXT|BIGINT|BYTEA|INTEGER|BLOB|BOOLEAN|TIMESTAMPTZ)|^CREATE TABLE ([a-z_]+)|ADD COLUMN ([a-z_]+)`)
	columns := func(engine string) (all []string) {
		files, err := fs.Glob(migrations, "migrations/"+engine+"/*.sql")
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			all = append(all, filepath.Base(file))
			doc, err := fs.ReadFile(migrations, file)
			if err != nil {
				t.Fatal(err)
			}
			up, _, _ := strings.Cut(string(doc), "-- +goose Down")
			for _, m := range column.FindAllStringSubmatch(up, -1) {
				all = append(all, m[1]+m[2]+m[3])
			}
		}
		return all
	}
	got := columns("postgres")
	for _, own := range [][]string{{"turn"}, {"publisher", "id", "until"}, {"lease", "site", "publisher", "fence", "leaving"}} { // PostgreSQL's alone
		i := slices.Index(got, own[0])
		if i < 0 || !slices.Equal(got[i:i+len(own)], own) {
			t.Fatalf("no table %v in %v", own, got)
		}
		got = slices.Delete(got, i, i+len(own))
	}
	if want := columns("sqlite"); !slices.Equal(got, want) {
		t.Errorf("PostgreSQL has %v\nSQLite has %v", got, want)
	}
}
