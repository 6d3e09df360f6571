package cache

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"latchkey/access"
)

// childDir names, in the environment, the folder that a child works on.
const childDir = "LATCHKEY_CACHE_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// A run of the model opens files and waits for disks: fewer runs than rapid's
	// 100 unless the command line says otherwise.
	checks := "40"
	if raced {
		checks = "4"
	}
	if err := flag.Set("rapid.checks", checks); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// killWorld is the same stream in parent and child.
func killWorld(n uint64) *world {
	r := rand.New(rand.NewPCG(3, 4))
	w := newWorld(epoch)
	w.publish(nil, building(people)...)
	for uint64(len(w.deltas)) < n {
		w.publish(nil, anyChange(r), anyChange(r), anyChange(r))
	}
	return w
}

// child applies deltas and snapshots and appends events, and says so on its
// standard output once each is durable, until it is killed.
func child(dir string) error {
	ctx := context.Background()
	o := Options{Dir: dir, Key: testKey()}
	db, err := Open(ctx, o)
	if err != nil {
		return err
	}
	e, err := OpenEvents(ctx, o)
	if err != nil {
		return err
	}
	w := killWorld(db.Stats().Head.Seq + 200)
	errs := make(chan error, 1)
	go func() {
		for i := uint64(1); ; i++ {
			ev, err := e.Append(ctx, access.Event{At: noon, Kind: access.EventAccess})
			if err != nil {
				errs <- err
				return
			}
			fmt.Printf("event %d\n", ev.N)
			if ev.N%10 == 0 {
				if err := e.Ack(ctx, e.Epoch(), ev.N-5); err != nil {
					errs <- err
					return
				}
			}
		}
	}()
	for {
		select {
		case err := <-errs:
			return err
		default:
		}
		seq := db.Held().Seq + 1
		if seq%25 == 1 { // at the start, and now and then
			id := fmt.Sprint("at ", seq)
			for _, p := range w.snapshot(id, seq, 7) {
				if _, err := db.Stage(ctx, p); err != nil {
					return err
				}
			}
			if err := db.Swap(ctx, id, nil); err != nil {
				return err
			}
		} else if err := db.Apply(ctx, w.deltas[seq-1], w.heads[seq].Hash); err != nil {
			return err
		}
		fmt.Printf("applied %d\n", seq)
	}
}

// TestKill: nothing that was acknowledged is lost, and nothing is half done.
func TestKill(t *testing.T) {
	t.Parallel()
	kills := 30
	if raced {
		kills = 6
	}
	o := options(t)
	r := rand.New(rand.NewPCG(5, 6))
	var applied, stored uint64
	for kill := range kills {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+o.Dir)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		// Killed after so many acknowledgements and a moment more, so that it
		// strikes anywhere in the next one.
		after, moment := 1+r.IntN(40), time.Duration(r.IntN(3000))*time.Microsecond
		for n := 0; ; n++ {
			line, err := lines.ReadString('\n')
			if err != nil {
				if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
					t.Fatal(err)
				}
				break
			}
			if n == after {
				time.AfterFunc(moment, func() { cmd.Process.Kill() })
			}
			var what string
			var seq uint64
			if _, err := fmt.Sscanf(line, "%s %d\n", &what, &seq); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if what == "event" {
				stored = max(stored, seq)
			} else {
				applied = max(applied, seq)
			}
		}
		if cmd.Wait(); stderr.Len() > 0 {
			t.Fatalf("child: %s", stderr.String())
		}
		db, e := open(t, o), openEvents(t, o)
		head := db.Held()
		w := killWorld(max(head.Seq, 1))
		if head.Seq < applied || (head.Seq > 0 && head != w.heads[head.Seq]) || db.Damaged() != "" || len(db.Stats().Problems) > 0 {
			t.Errorf("kill %d: held %d, damaged %q, problems %q; acknowledged %d", kill, head.Seq, db.Damaged(), db.Stats().Problems, applied)
		}
		var got string
		db.View(func(x *access.Index) { got = answers(x) })
		if want := answers(oracle(w.states[head.Seq], nil, head.Seq > 0)); got != want {
			t.Errorf("kill %d: index:\n%s\nwant:\n%s", kill, got, want)
		}
		if err := db.Verify(t.Context()); err != nil {
			t.Errorf("kill %d: %v", kill, err)
		}
		evs, err := e.After(t.Context(), 0, 1<<20)
		if err != nil || uint64(len(evs)) != e.Last() || e.Last() < stored {
			t.Errorf("kill %d: %d events, %v, last %d; acknowledged %d", kill, len(evs), err, e.Last(), stored)
		}
		for _, ev := range evs {
			if ev.Kind != access.EventAccess {
				t.Errorf("kill %d: event %d is %s", kill, ev.N, ev.Kind)
			}
		}
		if err := errors.Join(db.Close(), e.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if applied < uint64(kills) || stored < uint64(kills) {
		t.Errorf("%d deltas and %d events in all: the child did too little", applied, stored)
	}
	t.Logf("%d kills, %d deltas and %d events", kills, applied, stored)
}
