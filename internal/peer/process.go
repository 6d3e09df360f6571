package peer

import (
	"bufio"
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// patience is how long a peer may take for anything. It is there for the tests
// that would fail anyway: what is waited for takes milliseconds.
const patience = 20 * time.Second

//go:embed programs
var programs embed.FS

// A Report is what a peer says or is told: the fields of one JSON object.
type Report map[string]any

// holds says whether r has all fields of want, written the same.
func (r Report) holds(want Report) bool {
	for k, v := range want {
		if got, ok := r[k]; !ok || fmt.Sprint(got) != fmt.Sprint(v) {
			return false
		}
	}
	return true
}

// At is when the report was made, in time since some fixed moment that is the
// same for all peers of a machine.
func (r Report) At() time.Duration {
	n, _ := r["at"].(json.Number)
	ns, _ := n.Int64()
	return time.Duration(ns)
}

// Int is the field called name as a number, 0 if it is none.
func (r Report) Int(name string) int64 {
	n, _ := r[name].(json.Number)
	v, _ := n.Int64()
	return v
}

// A Process is a peer at work. Its methods end the test when something is wrong
// with it; they may be called from the test's goroutine only.
type Process struct {
	name    string
	in      io.Writer
	reports inbox[Report]
	log     tail
}

// start runs argv until the test ends, with files as its descriptors from 3 on,
// and waits until it is ready.
func start(t testing.TB, name string, files []*os.File, argv ...string) *Process {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background()) // of our own: the test's ends before its cleanups, and they may want the peer
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	p := &Process{name: name}
	cmd.Stderr, cmd.ExtraFiles, cmd.WaitDelay = &p.log, files, patience
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	p.in = in
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.listen(out)
		p.reports.end(fmt.Errorf("it ended: %w", cmd.Wait()))
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, p.log.String())
		}
	})
	p.Await(t, Report{"is": "ready"})
	return p
}

// listen takes reports until there are no more.
func (p *Process) listen(out io.Reader) {
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		var r Report
		if err := d.Decode(&r); err != nil {
			fmt.Fprintf(&p.log, "not a report: %q: %v\n", line, err)
			continue
		}
		p.reports.put(r)
	}
}

// Await takes the first report not yet taken that has all fields of want, and
// waits for it if need be.
func (p *Process) Await(t testing.TB, want Report) Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := p.reports.await(ctx, func(r Report) bool { return r.holds(want) })
	if err != nil {
		t.Fatalf("%s: no report with %v: %v", p.name, want, err)
	}
	return r
}

// Order tells the peer to do something: a Report is sent as JSON, a string as it
// is. The programs' own comments say what they understand.
func (p *Process) Order(t testing.TB, order any) {
	t.Helper()
	line, ok := order.(string)
	if !ok {
		b, err := json.Marshal(order)
		if err != nil {
			t.Fatal(err)
		}
		line = string(b)
	}
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
}

// unpack writes the programs to a folder that goes with the test.
func unpack(t testing.TB) (dir string) {
	t.Helper()
	dir = t.TempDir()
	files, err := fs.Sub(programs, "programs")
	if err == nil {
		err = os.CopyFS(dir, files)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// cache is the folder in which scripts/libosdp has put name. It skips the test
// when it is not there.
func cache(t testing.TB, name string) (path string) {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the test")
		}
		dir = filepath.Dir(dir)
	}
	path = filepath.Join(dir, ".cache", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("libosdp: not built here (make deps builds it): %v", err)
	}
	return path
}

// A tail keeps the end of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailMost = 8 << 10 // bytes

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.b = append(l.b, p...)
	if over := len(l.b) - tailMost; over > 0 {
		l.b = l.b[over:]
	}
	return len(p), nil
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return string(l.b)
}
