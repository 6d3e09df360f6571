// Package sqlitetest gives tests SQLite databases that are made once and copied.
package sqlitetest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// A Template is a database that is prepared once and copied for each test:
// making a schema takes longer than most tests.
type Template struct {
	Prepare func(ctx context.Context, path string) error // makes the file, and closes it
	once    sync.Once
	file    []byte
	err     error
}

// Copy makes a copy in a folder of the test's and returns its path.
func (t *Template) Copy(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "cloud.db")
	file, err := t.File()
	if err == nil {
		err = os.WriteFile(path, file, 0o600)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// File is the database itself. Whoever gets it leaves it as it is.
func (t *Template) File() ([]byte, error) {
	t.once.Do(func() {
		dir, err := os.MkdirTemp("", "latchkey")
		if err != nil {
			t.err = err
			return
		}
		defer os.RemoveAll(dir)
		path := filepath.Join(dir, "cloud.db")
		if t.err = t.Prepare(context.Background(), path); t.err == nil {
			t.file, t.err = os.ReadFile(path)
		}
	})
	return t.file, t.err
}
