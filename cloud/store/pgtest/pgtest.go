// Package pgtest gives tests a PostgreSQL server of their own.
package pgtest

import (
	"bufio"
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
}

func start() (process, error) {
	if url := os.Getenv("LATCHKEY_TEST_DATABASE"); url != "" {
		return process{url: url}, nil
	}
	_, file, _, _ := runtime.Caller(0)
	script := filepath.Join(filepath.Dir(file), "../../../scripts/postgres")
	// cat ends when its pipe closes, which it does however this process ends.
	cmd := exec.Command(script, "sh", "-c", `echo "$LATCHKEY_TEST_DATABASE"; exec cat`)
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
	return process{strings.TrimSpace(url), pipe}, nil
}

// Database makes an empty database and returns its URL. It goes with the server. The test is skipped
// where PostgreSQL is not installed.
func Database(tb testing.TB) string {
	tb.Helper()
	srv, err := server()
	if err != nil {
		tb.Skip("no PostgreSQL server: ", err)
	}
	base := srv.url
	admin, err := sql.Open("pgx", base)
	if err != nil {
		tb.Fatal(err)
	}
	defer admin.Close()
	name := strings.ToLower(tb.Name())
	name = fmt.Sprintf("%.40s_%d", strings.Map(plain, name), os.Getpid())
	if _, err := admin.ExecContext(tb.Context(), "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		tb.Fatal(err)
	}
	u, err := url.Parse(base)
	if err != nil {
		tb.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func plain(r rune) rune {
	if 'a' <= r && r <= 'z' || '0' <= r && r <= '9' {
		return r
	}
	return '_'
}
