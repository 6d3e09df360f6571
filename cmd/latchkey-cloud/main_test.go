package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"latchkey/cloud/admin/signin/oidctest"
	"latchkey/cloud/okta/oktatest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"latchkey-cloud": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			for _, name := range []string{"HTTP", "MQTT"} {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					return err
				}
				e.Setenv(name, l.Addr().String())
				if err := l.Close(); err != nil {
					return err
				}
			}
			simulated := simulatedOkta()
			e.Defer(simulated.Close)
			e.Setenv("OKTA", simulated.URL)
			e.Setenv("OKTA_TOKEN", oktatest.Token)
			provider, err := simulatedOIDC()
			if err != nil {
				return err
			}
			e.Defer(provider.Close)
			e.Setenv("OIDC", provider.URL)
			e.Setenv("OIDC_SECRET", oidctest.Secret)
			if e.Values[browserKey{}], err = newBrowser(); err != nil {
				return err
			}
			e.Setenv("GORACE", "atexit_sleep_ms=0") // else each command of a -race test ends a second late
			e.Setenv("LATCHKEY_ADMIN_URL", "http://"+e.Getenv("HTTP")+"/admin")
			e.Setenv("LATCHKEY_ADMIN_TOKEN_FILE", e.Getenv("WORK")+"/cloud/admin.token")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"waitfor": waitFor, "browse": browse, "letting": letting, "term": term, "waitcmd": waitCmd, "endedwithin": endedWithin},
	})
}

// simulatedOkta serves an organisation with two users, one of them suspended.
func simulatedOkta() *httptest.Server {
	org := oktatest.New(oktatest.Options{PageSize: 1})
	jane := org.AddUser(map[string]any{"login": "jane@example.com", "displayName": "Jane", "cardNumber": "4711"})
	joe := org.AddUser(map[string]any{"login": "joe@example.com", "displayName": "Joe", "cardNumber": "4712"})
	org.SetStatus(joe, "SUSPENDED")
	org.AddGroup("Staff", jane, joe)
	return httptest.NewServer(org)
}

// waitFor is "waitfor URL [TEXT]": until the URL answers with TEXT in it.
func waitFor(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: waitfor URL [TEXT]")
	}
	last := "no answer"
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-time.After(5 * time.Millisecond) {
		resp, err := http.Get(args[0])
		if err != nil {
			last = err.Error()
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		last = fmt.Sprint(resp.Status, " ", string(body), err)
		if err == nil && strings.Contains(last, strings.Join(args[1:], " ")) {
			fmt.Fprintln(ts.Stdout(), last)
			return
		}
	}
	ts.Fatalf("%s: %s", args[0], last)
}

// waitCmd is "waitcmd TEXT COMMAND...": until the command prints TEXT.
func waitCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: waitcmd TEXT COMMAND...")
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-time.After(20 * time.Millisecond) {
		ts.Check(ts.Exec(args[1], args[2:]...))
		if strings.Contains(ts.ReadFile("stdout"), args[0]) {
			return
		}
	}
	ts.Fatalf("%s never printed %s: %s", strings.Join(args[1:], " "), args[0], ts.ReadFile("stdout"))
}

// letting is "letting VAR TEXT": VAR is what stands between the quotes behind
// TEXT in the last command's output.
func letting(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: letting VAR TEXT")
	}
	_, rest, ok := strings.Cut(ts.ReadFile("stdout"), args[1])
	value, _, closed := strings.Cut(strings.TrimLeft(rest, `": `), `"`)
	if !ok || !closed {
		ts.Fatalf("no %s in the output", args[1])
	}
	ts.Setenv(args[0], value)
}

// term is "term": SIGTERM goes to all background commands.
func term(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: term")
	}
	ts.Setenv("TERM_AT", strconv.FormatInt(time.Now().UnixMilli(), 10))
	for _, cmd := range ts.BackgroundCmds() {
		ts.Check(cmd.Process.Signal(syscall.SIGTERM))
	}
}

// endedWithin is "endedwithin DURATION": what was waited for ended in less than
// that after term.
func endedWithin(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: endedwithin DURATION")
	}
	most, err := time.ParseDuration(args[0])
	ts.Check(err)
	at, err := strconv.ParseInt(ts.Getenv("TERM_AT"), 10, 64)
	ts.Check(err)
	took := time.Since(time.UnixMilli(at))
	ts.Logf("it took %v to end", took)
	if took > most {
		ts.Fatalf("it took %v to end, want less than %v", took, most)
	}
}
