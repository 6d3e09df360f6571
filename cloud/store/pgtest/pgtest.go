// Package pgtest gives tests a PostgreSQL server of their own.
package pgtest

import (
	"bufio"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// server is this process's own, which is started for the first
// test that asks and goes with the process.
var server = sync.OnceValues(start)

// A process is a server that lives as long as its pipe is open.
type process struct {
	url  string
	pipe io.Closer // kept, because one that nobody holds is closed
	wait func() error
}

func start() (process, error) {
	if url := os.Getenv("LATCHKEY_TEST_DATABASE"); url != "" {
		return process{url: url}, nil
	}
	return launch()
}

// launch starts a server with the variables env, which scripts/postgres reads.
func launch(env ...string) (process, error) {
	_, file, _, _ := runtime.Caller(0)
	script := filepath.Join(filepath.Dir(file), "../../../scripts/postgres")
	// cat ends when its pipe closes, which it does however this process ends.
	cmd := exec.Command(script, "sh", "-c", `echo "$LATCHKEY_TEST_DATABASE"; exec cat`)
	cmd.Env = append(os.Environ(), env...)
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return process{}, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return process{}, err
	}
	var complaints strings.Builder
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		return process{}, err
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return process{}, errors.Join(cmd.Wait(), errors.New(strings.TrimSpace(complaints.String())))
	}
	return process{strings.TrimSpace(url), pipe, cmd.Wait}, nil
}

// Cramped starts a server that has as little shared memory as PostgreSQL can do
// with, and returns the URL of an empty database there. It goes with the test,
// which is skipped where PostgreSQL is not installed.
func Cramped(tb testing.TB) string {
	tb.Helper()
	srv, err := launch("PRED_LOCKS=10", "CONNECTIONS=20")
	if err != nil {
		tb.Skip("no PostgreSQL server: ", err)
	}
	tb.Cleanup(func() {
		if err := errors.Join(srv.pipe.Close(), srv.wait()); err != nil {
			tb.Error(err)
		}
	})
	return srv.url
}

// Database makes an empty database and returns its URL. It goes with the server.
// The test is skipped where PostgreSQL is not installed.
func Database(tb testing.TB) string {
	tb.Helper()
	return create(tb, name(tb), "template0")
}

// A Template is a database that is prepared once and copied for each test.
type Template struct {
	Prepare func(ctx context.Context, url string) error
	once    sync.Once
	name    string
}

// Copy makes a copy of the template and returns its URL, as Database does.
func (t *Template) Copy(tb testing.TB) string {
	tb.Helper()
	t.once.Do(func() {
		prepared := name(tb) + "_template"
		if err := t.Prepare(tb.Context(), create(tb, prepared, "template0")); err != nil {
			tb.Fatal(err)
		}
		t.name = prepared
	})
	return create(tb, name(tb), t.name)
}

// create makes a database as a copy of another one.
func create(tb testing.TB, name, from string) string {
	tb.Helper()
	srv, err := server()
	if err != nil {
		tb.Skip("no PostgreSQL server: ", err)
	}
	admin, err := sql.Open("pgx", srv.url)
	if err != nil {
		tb.Fatal(err)
	}
	defer admin.Close()
	if _, err := admin.ExecContext(tb.Context(), "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()+" TEMPLATE "+pgx.Identifier{from}.Sanitize()); err != nil {
		tb.Fatal(err)
	}
	u, err := url.Parse(srv.url)
	if err != nil {
		tb.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

// name is the test's name as that of a database, different each time.
func name(tb testing.TB) string {
	return fmt.Sprintf("%.30s_%.8s", strings.Map(plain, strings.ToLower(tb.Name())), strings.ToLower(rand.Text()))
}

func plain(r rune) rune {
	if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
		return r
	}
	return '_'
}
