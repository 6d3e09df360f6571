package cache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"latchkey/access"
)

// TestDiskFull runs on a file system of 2 MB that fills up. Nothing that was
// acknowledged is lost, doors go on, revocations hold at once, and all resumes
// by itself when there is room again.
func TestDiskFull(t *testing.T) {
	o := options(t)
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", o.Dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("mount of a tmpfs is not permitted: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(o.Dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	w := newWorld(epoch)
	w.publish(nil, building(people)...)
	db := open(t, o)
	e := openEvents(t, o)
	fill(t, db, w, "s", 1)
	var acked uint64
	ballast := filepath.Join(o.Dir, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for chunk := make([]byte, 4096); ; {
		if _, err := f.Write(chunk); err != nil {
			if !errors.Is(err, unix.ENOSPC) {
				t.Fatal(err)
			}
			break
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ { // what room the files had in themselves
		ev, err := e.Append(t.Context(), access.Event{At: noon, Kind: fmt.Sprint(i), Text: string(make([]byte, 3000))})
		if err != nil {
			if !errors.Is(err, ErrDeferred) {
				t.Fatalf("append to a full disk: %v, want ErrDeferred", err)
			}
			break
		}
		acked = ev.N
		if i > 5000 {
			t.Fatal("the disk never filled up")
		}
	}
	for range 5000 {
		d := w.publish(nil, put(personOf(3, access.StateInactive)), put(access.Setting{Name: "x", Value: string(make([]byte, 2000))}))
		if err = db.Apply(t.Context(), d, hashOf(d)); err != nil {
			break
		}
	}
	if err == nil || !diskFull(err) {
		t.Fatalf("apply to a full disk: %v, want SQLite's word for it", err)
	}
	held := db.Held()
	if held != w.heads[len(w.heads)-2] {
		t.Errorf("held %d, want %d", held.Seq, len(w.heads)-2)
	}
	if !decide(db, 0, 0).Granted {
		t.Error("a full disk stopped the doors")
	}
	if err := db.Block(t.Context(), epoch, 1<<40, []access.Ref{cardOf(0, "").Ref()}); err == nil {
		t.Error("a block was called durable")
	}
	if got := decide(db, 0, 0).Reason; got != access.Blocked {
		t.Errorf("a revocation waits for the disk: %q", got)
	}
	twin, err := Open(t.Context(), o) // as after a restart
	if err != nil {
		t.Fatalf("a full disk stops the start: %v", err)
	}
	if twin.Held() != held || !decide(twin, 1, 1).Granted {
		t.Errorf("started on a full disk: held %d, want %d", twin.Held().Seq, held.Seq)
	}
	if err := twin.Close(); err != nil {
		t.Error(err)
	}
	_, wait := e.Changes()
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	select {
	case <-wait:
	case <-time.After(10 * time.Second):
		t.Fatal("not resumed 10 s after there was room again")
	}
	d := w.deltas[len(w.deltas)-1]
	if err := db.Apply(t.Context(), d, hashOf(d)); err != nil {
		t.Errorf("apply when there is room again: %v", err)
	}
	if err := db.Block(t.Context(), epoch, 1<<40, []access.Ref{cardOf(0, "").Ref()}); err != nil || db.Stats().Blocked != 1 {
		t.Errorf("block when there is room again: %v, %d blocked", err, db.Stats().Blocked)
	}
	if err := db.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	evs, err := e.After(t.Context(), 0, 10000)
	if err != nil || uint64(len(evs)) != acked+1 {
		t.Fatalf("%d events, %v, want %d and the one that waited", len(evs), err, acked)
	}
	for i, ev := range evs {
		if ev.Kind != fmt.Sprint(i) {
			t.Errorf("event %d is %q, want %d", ev.N, ev.Kind, i)
		}
	}
}
