package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchkey/access"
	"latchkey/cloud/admin"
	"latchkey/delta"
)

// logOf is a log of n entries that put one person each.
func logOf(n int) (log []admin.LogEntry) {
	var prev delta.Hash
	for i := range n {
		hash := delta.HashOf([]byte{byte(i)})
		log = append(log, admin.LogEntry{Epoch: 7, Seq: uint64(i + 1), Prev: prev, Hash: hash,
			Changes: []admin.LogChange{{Op: delta.OpPut, Ref: access.Ref{Kind: access.KindPerson, Key: string(rune('a' + i))}}}})
		prev = hash
	}
	return log
}

func TestFold(t *testing.T) {
	for _, tt := range []struct {
		name string
		edit func([]admin.LogEntry) []admin.LogEntry
		want string // in the error; empty is none
	}{
		{"whole", func(l []admin.LogEntry) []admin.LogEntry { return l }, ""},
		{"one dropped", func(l []admin.LogEntry) []admin.LogEntry { return append(l[:2:2], l[3:]...) }, "entry 7/4 does not follow 7/2"},
		{"the first dropped", func(l []admin.LogEntry) []admin.LogEntry { return l[1:] }, "entry 7/2 does not follow 0/0"},
		{"one twice", func(l []admin.LogEntry) []admin.LogEntry { return append(l[:3:3], l[2:]...) }, "entry 7/3 does not follow 7/3"},
		{"another history", func(l []admin.LogEntry) []admin.LogEntry { l[2].Prev[0] ^= 1; return l }, "entry 7/3 does not follow"},
		{"another epoch", func(l []admin.LogEntry) []admin.LogEntry { l[2].Epoch = 8; return l }, "entry 8/3 does not follow"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			counts, head, err := fold(tt.edit(logOf(5)))
			switch {
			case tt.want == "" && (err != nil || head.Seq != 5 || counts[access.KindPerson] != 5):
				t.Errorf("fold = %v, %d, %v; want 5 people at 5", counts, head.Seq, err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("fold: %v, want %q", err, tt.want)
			}
		})
	}
}

func TestFoldCountsDeletions(t *testing.T) {
	log := logOf(3)
	log[2].Changes = append(log[2].Changes, admin.LogChange{Op: delta.OpDelete, Ref: log[0].Changes[0].Ref})
	counts, _, err := fold(log)
	if err != nil || counts[access.KindPerson] != 2 {
		t.Errorf("fold = %v, %v; want 2 people", counts, err)
	}
}

// TestSwapWatcher judges what happens at a reader while a card is changed: a
// letter for each card held, in turn old and new, o or n let in, - refused.
func TestSwapWatcher(t *testing.T) {
	for _, tt := range []struct{ name, seen, want string }{
		{"right", "o-o--n-n", ""},
		{"at once", "o-o-" + "-n", ""},
		{"both", "o-onon-n", "both cards were let in"},
		{"never the new one", "o-o-----", "the new card was never let in"},
		{"never the old one", "-----n-n", "the old card was never let in"},
		{"a relapse", "o--n---n", "the new card was refused again"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := &swapWatcher{}
			for i, c := range tt.seen {
				w.note(i%2 == 1, c != '-')
			}
			err := w.judge()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("judge: %v, want %q", err, tt.want)
			}
		})
	}
	long := &swapWatcher{lastOld: time.Unix(100, 0), firstNew: time.Unix(103, 0)}
	if err := long.judge(); err == nil || !strings.Contains(err.Error(), "for 3s") {
		t.Errorf("3 s with neither: %v", err)
	}
}

// TestDirectorySpeaksAsRecorded sends the check's requests to a server that
// writes them down.
func TestDirectorySpeaksAsRecorded(t *testing.T) {
	type call struct{ method, path, auth, body string }
	var calls []call
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		calls = append(calls, call{r.Method, r.URL.Path, r.Header.Get("Authorization"), string(b)})
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
		} else if r.Method == http.MethodDelete {
			w.WriteHeader(http.StatusNoContent)
		}
		json.NewEncoder(w).Encode(map[string]string{"id": "id-" + strings.ToLower(r.URL.Path[1:2])})
	}))
	defer srv.Close()
	e, err := newEntra(srv.URL, "secret")
	if err != nil {
		t.Fatal(err)
	}
	s := &subject{card: "4711", vars: map[string]string{"rand": "x", "digits": "12345", "guid1": "g1", "guid5": "g5"}}
	if err := e.makeGroup(t.Context(), s, "Employees"); err != nil {
		t.Fatal(err)
	}
	for _, do := range []func(context.Context, *subject) (time.Time, error){e.hire, e.disable, e.enable, e.fire} {
		if _, err := do(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.newCard(t.Context(), s, "4712"); err != nil || s.card != "4712" {
		t.Errorf("newCard: %v, card %s", err, s.card)
	}
	for i, want := range []call{
		{"POST", "/Groups", "Bearer secret", `"Employees"`},
		{"POST", "/Users", "Bearer secret", `"cardNumber": "4711"`},
		{"PATCH", "/Groups/id-g", "Bearer secret", `"value": "id-u"`},
		{"PATCH", "/Users/id-u", "Bearer secret", `"value": "False"`},
		{"PATCH", "/Users/id-u", "Bearer secret", `"value": "True"`},
		{"DELETE", "/Users/id-u", "Bearer secret", ``},
		{"PATCH", "/Users/id-u", "Bearer secret", `"value": "4712"`},
	} {
		if i >= len(calls) {
			t.Fatalf("%d calls, want 7", len(calls))
		}
		got := calls[i]
		if got.method != want.method || got.path != want.path || got.auth != want.auth || !strings.Contains(got.body, want.body) || strings.Contains(got.body, "{{") {
			t.Errorf("call %d: %+v, want %+v", i, got, want)
		}
	}
	if _, err := e.send(t.Context(), "no such sequence", 0, s, nil); err == nil {
		t.Error("an unknown sequence is sent")
	}
}

// TestSupervisorStartsAgain runs a child that ends at once.
func TestSupervisorStartsAgain(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "log"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := &supervisor{exe: "/bin/sh", dir: dir, pids: map[string]int{}}
	ctx, cancel := context.WithCancel(t.Context())
	if err := s.start(ctx, "child", "-c", "echo here; exit 3"); err != nil {
		t.Fatal(err)
	}
	first := s.snapshot()["child"]
	soon, done := context.WithTimeout(t.Context(), 10*time.Second)
	defer done()
	var log []byte
	err := until(soon, func() (err error) {
		if log, err = os.ReadFile(filepath.Join(dir, "log", "child.log")); err == nil && strings.Count(string(log), "here") < 2 {
			err = errors.New("not started again")
		}
		return err
	})
	cancel()
	s.wg.Wait()
	if err != nil || !strings.Contains(string(log), "--- child ended (exit status 3); starting it again") {
		t.Errorf("%v; log:\n%s", err, log)
	}
	var pids map[string]int
	if b, err := os.ReadFile(filepath.Join(dir, "pids.json")); err != nil || json.Unmarshal(b, &pids) != nil || pids["child"] == first {
		t.Errorf("pids.json: %s, %v; want a pid other than %d", b, err, first)
	}
}

func TestSupervisorSaysWhatCannotStart(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "log"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := &supervisor{exe: filepath.Join(dir, "no-such-program"), dir: dir, pids: map[string]int{}}
	if err := s.start(t.Context(), "child"); err == nil {
		t.Error("start: no error")
	}
	s.wg.Wait()
}
