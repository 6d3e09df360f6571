package store

import (
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"latchkey/cloud"
)

func open(t *testing.T, path string) *DB {
	t.Helper()
	db, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// TestPathIsNotPartOfTheDSN: a path may have what an address treats specially,
// without losing pragmas or the rest of its name.
func TestPathIsNotPartOfTheDSN(t *testing.T) {
	for _, name := range []string{"plain.db", "what?.db", "50%25.db", "a#b.db", "with blank.db", "a&_pragma=x.db"} {
		path := filepath.Join(t.TempDir(), name)
		db := open(t, path)
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, conn := range []*sql.DB{db.write, db.read} {
			for _, p := range pragmas {
				var got string
				if err := conn.QueryRowContext(t.Context(), "PRAGMA "+p.name).Scan(&got); err != nil || got != p.want {
					t.Errorf("%s: pragma %s is %q, %v; want %q", name, p.name, got, err, p.want)
				}
			}
		}
	}
}

func TestOpenAgainKeepsEverything(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cloud.db")
	db := open(t, path)
	if err := db.Update(t.Context(), func(tx cloud.Tx) error { return tx.PutOrg(cloud.Org{ID: "acme", Name: "Acme"}) }); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, path)
	err := db.View(t.Context(), func(tx cloud.Tx) error {
		o, err := tx.Org("acme")
		if o.Name != "Acme" {
			t.Errorf("got %+v", o)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestMigrationsGoBothWays(t *testing.T) {
	migrateBothWays(t, open(t, filepath.Join(t.TempDir(), "cloud.db")))
}

// migrateBothWays takes all of the schema away, and makes it again.
func migrateBothWays(t *testing.T, db *DB) {
	t.Helper()
	p, err := db.migrations()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.DownTo(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// explain is how SQLite would run a query.
func explainSQLite(t *testing.T, db *DB, query string) string {
	t.Helper()
	args := slices.Repeat([]any{"1"}, strings.Count(query, "$")) // whatever they are, it plans the same
	rows, err := db.write.QueryContext(t.Context(), "EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		out = append(out, detail)
	}
	return strings.Join(out, "; ")
}

// TestLookupsUseAnIndex: what a directory asks for does not get slower with
// the number of users.
func TestLookupsUseAnIndex(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "cloud.db"))
	eachLookup(t, func(query string, index indexes) {
		got := explainSQLite(t, db, query)
		if !strings.Contains(got, index.sqlite) || strings.Contains(got, "SCAN") {
			t.Errorf("%s: %s; want %s", query, got, index.sqlite)
		}
	})
	if _, _, err := where(cloud.Find{Terms: []cloud.Term{{Attr: "nickName"}}}, personTerms, true); err == nil {
		t.Error("an attribute without an index was taken")
	}
}
