package cache

import (
	"bytes"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/access"
	"latchkey/delta"
)

func TestOpenKey(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "keys", "cache.key")
	key, err := OpenKey(path)
	if err != nil || len(key) != KeySize {
		t.Fatalf("OpenKey: %d bytes, %v", len(key), err)
	}
	again, err := OpenKey(path)
	if err != nil || !bytes.Equal(key, again) {
		t.Errorf("second OpenKey: %v, equal %t", err, bytes.Equal(key, again))
	}
	other, err := OpenKey(filepath.Join(dir, "other.key"))
	if err != nil || bytes.Equal(key, other) {
		t.Errorf("another key file: %v, equal %t, want another key", err, bytes.Equal(key, other))
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("folder of the key: %v, %v, want the key file alone", entries, err)
	}
	if runtime.GOOS != "windows" {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("key file: %v, %v, want mode 0600", info.Mode(), err)
		}
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenKey(path); err == nil {
			t.Error("a key that the group may read was taken")
		}
	}
	short := filepath.Join(dir, "short.key")
	if err := os.WriteFile(short, []byte("c0ffee\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKey(short); err == nil || strings.Contains(err.Error(), "c0ffee") {
		t.Errorf("short key: %v, want an error that does not show it", err)
	}
}

func TestOddPaths(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a?b", "a#b", "100%", "%41", "with space", "ünï&=;+", "q?_pragma=synchronous(0)"} {
		t.Run(name, func(t *testing.T) {
			if runtime.GOOS == "windows" && strings.ContainsAny(name, "?") {
				t.Skip("not a name on Windows")
			}
			o := options(t)
			o.Dir = filepath.Join(o.Dir, name)
			db := open(t, o)
			if _, err := os.Stat(filepath.Join(o.Dir, "cache.db")); err != nil {
				t.Error(err)
			}
			for d, ps := range map[*sql.DB][]pragma{db.file.write: pragmas(false), db.file.read: pragmas(true)} {
				if err := readBack(t.Context(), d, ps); err != nil {
					t.Error(err)
				}
			}
			openEvents(t, o)
		})
	}
}

func TestReadBackRefusesSurprise(t *testing.T) {
	db := open(t, options(t))
	if err := readBack(t.Context(), db.file.write, []pragma{{"synchronous", "OFF", "0"}}); err == nil {
		t.Error("readBack took a pragma that is not as wanted")
	}
	if _, err := db.file.read.ExecContext(t.Context(), `DELETE FROM records`); err == nil {
		t.Error("a reader wrote")
	}
}

func TestEmpty(t *testing.T) {
	db := open(t, options(t))
	if got := db.Held(); got != (delta.Head{}) || db.Ready() || db.Damaged() != "" {
		t.Errorf("new cache: held %+v, ready %t, damaged %q", got, db.Ready(), db.Damaged())
	}
	if dec := decide(db, 1, 1); dec.Reason != access.NoData {
		t.Errorf("decision without data: %v, want %v", dec.Reason, access.NoData)
	}
}

func TestApply(t *testing.T) {
	t.Parallel()
	w := newWorld(epoch)
	w.publish(nil, building(4)...)
	base := uint64(1)
	next := w.publish(nil, put(personOf(1, access.StateInactive)), delta.Del(cardOf(2, "").Ref()))
	last := w.publish(nil, put(personOf(1, access.StateActive)))
	edit := func(d *delta.Delta, f func(*delta.Delta)) *delta.Delta {
		c := *d
		c.Changes = slices.Clone(d.Changes)
		f(&c)
		return &c
	}
	for _, tt := range []struct {
		name   string
		deltas []*delta.Delta
		want   uint64 // seq held
		err    error  // of the last one
	}{
		{name: "in order", deltas: []*delta.Delta{next, last}, want: 3},
		{name: "twice", deltas: []*delta.Delta{next, next}, want: 2},
		{name: "older", deltas: []*delta.Delta{next, last, next}, want: 3},
		{name: "gap", deltas: []*delta.Delta{last}, want: 1, err: ErrSequence},
		{name: "old epoch", deltas: []*delta.Delta{edit(next, func(d *delta.Delta) { d.Epoch-- })}, want: 1, err: ErrSequence},
		{name: "new epoch", deltas: []*delta.Delta{edit(next, func(d *delta.Delta) { d.Epoch++ })}, want: 1, err: ErrSequence},
		{name: "fork", deltas: []*delta.Delta{edit(next, func(d *delta.Delta) { d.Prev[0]++ })}, want: 1, err: ErrSequence},
		{name: "wrong digest", deltas: []*delta.Delta{edit(next, func(d *delta.Delta) { d.Digest[31]++ })}, want: 1, err: ErrDigest},
		{name: "missing change", deltas: []*delta.Delta{edit(next, func(d *delta.Delta) { d.Changes = d.Changes[1:] })}, want: 1, err: ErrDigest},
		{name: "not canonical", deltas: []*delta.Delta{edit(next, func(d *delta.Delta) { d.Changes[0].Record = json.RawMessage(`{"id": "p1"}`) })}, want: 1, err: ErrRecord},
		{name: "not a person", deltas: []*delta.Delta{edit(next, func(d *delta.Delta) { d.Changes[0].Record = json.RawMessage(`{"id":7}`) })}, want: 1, err: ErrRecord},
		{name: "under another key", deltas: []*delta.Delta{edit(next, func(d *delta.Delta) { d.Changes[0].Key = "p3" })}, want: 1, err: ErrRecord},
		{name: "no key", deltas: []*delta.Delta{edit(next, func(d *delta.Delta) { d.Changes[1].Key = "" })}, want: 1, err: ErrRecord},
		{name: "unknown op", deltas: []*delta.Delta{edit(next, func(d *delta.Delta) { d.Changes[1].Op = "merge" })}, want: 1, err: ErrRecord},
		{name: "delete with record", deltas: []*delta.Delta{edit(next, func(d *delta.Delta) { d.Changes[1].Record = json.RawMessage(`{}`) })}, want: 1, err: ErrRecord},
		{name: "seq too large", deltas: []*delta.Delta{edit(next, func(d *delta.Delta) { d.Seq = 1 << 63 })}, want: 1, err: ErrRecord},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := options(t)
			db := open(t, o)
			fill(t, db, w, "s", base)
			version, wait := db.Changes()
			var err error
			for _, d := range tt.deltas {
				err = db.Apply(t.Context(), d, hashOf(d))
			}
			if !errors.Is(err, tt.err) {
				t.Errorf("Apply: %v, want %v", err, tt.err)
			}
			if got := db.Held(); got != w.heads[tt.want] {
				t.Errorf("held %d, want %d", got.Seq, tt.want)
			}
			want := answers(oracle(w.states[tt.want], nil, true))
			var got string
			db.View(func(x *access.Index) { got = answers(x) })
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("index (-want +got):\n%s", diff)
			}
			after, _ := db.Changes()
			closed := false
			select {
			case <-wait:
				closed = true
			default:
			}
			if moved := tt.want > base; closed != moved || (after > version) != moved {
				t.Errorf("changes: woken %t, version %d after %d, want a change %t", closed, after, version, moved)
			}
			if err := db.Verify(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestBlock(t *testing.T) {
	w := newWorld(epoch)
	w.publish(nil, building(4)...)
	open1 := put(grantOf(0, 1)) // person 0 is in group 0, which opens door 0
	for range 3 {
		w.publish(nil, open1)
		w.publish(nil, delta.Del(open1.Ref))
	}
	o := options(t)
	db := open(t, o)
	fill(t, db, w, "s", 1)
	reason := func(want access.Reason) {
		t.Helper()
		if got := decide(db, 0, 0).Reason; got != want {
			t.Errorf("decision %q, want %q", got, want)
		}
	}
	block := func(epoch uint32, seq uint64, ref access.Ref) {
		t.Helper()
		if err := db.Block(t.Context(), epoch, seq, []access.Ref{ref}); err != nil {
			t.Fatal(err)
		}
	}
	apply := func(seq uint64) {
		t.Helper()
		if err := db.Apply(t.Context(), w.deltas[seq-1], w.heads[seq].Hash); err != nil {
			t.Fatal(err)
		}
	}
	card := cardOf(0, "").Ref()
	reason(access.Granted)
	block(epoch, 1, card) // applied already
	reason(access.Granted)
	block(epoch-1, 99, card) // of a stream that is over
	reason(access.Granted)
	block(epoch, 3, card)
	reason(access.Blocked)
	apply(2)
	reason(access.Blocked)
	block(epoch, 4, card)
	block(epoch, 3, card) // the later one holds
	apply(3)
	reason(access.Blocked)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, o)
	reason(access.Blocked)
	if got := db.Stats().Blocked; got != 1 {
		t.Errorf("%d refs blocked, want 1", got)
	}
	apply(4)
	reason(access.Granted)
	block(epoch+1, 2, card) // of the next epoch: only a snapshot of it ends that
	apply(5)
	reason(access.Blocked)
	next := newWorld(epoch + 1)
	next.publish(nil, building(4)...)
	fill(t, db, next, "e1", 1)
	reason(access.Blocked)
	next.publish(nil, open1)
	fill(t, db, next, "e2", 2)
	reason(access.Granted)
	if err := db.Block(t.Context(), epoch+1, 9, []access.Ref{{Kind: "person"}}); !errors.Is(err, ErrRecord) {
		t.Errorf("block of a ref without key: %v, want ErrRecord", err)
	}
}

func TestBlockedPostureLocks(t *testing.T) {
	w := newWorld(epoch)
	w.publish(nil, building(4)...)
	w.publish(nil, put(lockdownOf(0)))
	o := options(t)
	db := open(t, o)
	fill(t, db, w, "s", 1)
	if err := db.Block(t.Context(), epoch, 2, []access.Ref{lockdownOf(0).Ref()}); err != nil {
		t.Fatal(err)
	}
	if got := decide(db, 0, 0).Reason; got != access.Lockdown {
		t.Errorf("ahead of its turn: %q, want %q", got, access.Lockdown)
	}
	if err := db.Apply(t.Context(), w.deltas[1], w.heads[2].Hash); err != nil {
		t.Fatal(err)
	}
	if got := decide(db, 0, 0).Reason; got != access.Lockdown {
		t.Errorf("applied: %q, want %q", got, access.Lockdown)
	}
}

func TestSnapshot(t *testing.T) {
	w := newWorld(epoch)
	w.publish(nil, building(10)...)
	w.publish(nil, delta.Del(cardOf(3, "").Ref()))
	w.publish(nil, put(personOf(4, access.StateInactive)))
	o := options(t)
	db := open(t, o)
	stage := func(p *delta.Snapshot, want []int, wantErr error) {
		t.Helper()
		missing, err := db.Stage(t.Context(), p)
		if !errors.Is(err, wantErr) || err == nil && !slices.Equal(missing, want) {
			t.Errorf("stage %s %d/%d: missing %v, %v, want %v, %v", p.ID, p.Part, p.Parts, missing, err, want, wantErr)
		}
	}
	parts := w.snapshot("one", 1, 12)
	if len(parts) != 4 {
		t.Fatalf("%d parts, want 4", len(parts))
	}
	stage(parts[2], []int{1, 2, 4}, nil)
	stage(parts[0], []int{2, 4}, nil)
	stage(parts[0], []int{2, 4}, nil) // again
	if err := db.Swap(t.Context(), "one", nil); !errors.Is(err, ErrSnapshot) {
		t.Errorf("swap of half a snapshot: %v, want ErrSnapshot", err)
	}
	if db.Ready() {
		t.Error("ready with half a snapshot")
	}
	if err := db.Close(); err != nil { // parts are on disk
		t.Fatal(err)
	}
	db = open(t, o)
	if s := db.Stats(); s.Snapshot != "one" || s.PartsHere != 2 || s.Parts != 4 {
		t.Errorf("after a restart: staging %q %d/%d, want one 2/4", s.Snapshot, s.PartsHere, s.Parts)
	}
	stage(parts[3], []int{2}, nil)
	liar := *parts[1]
	liar.Head.Seq++
	stage(&liar, nil, ErrSnapshot)
	liar = *parts[1]
	liar.Part = 5
	stage(&liar, nil, ErrSnapshot)
	liar = *parts[1]
	liar.Records = []delta.Change{delta.Del(cardOf(1, "").Ref())}
	stage(&liar, nil, ErrRecord)
	stage(parts[1], nil, nil)
	if err := db.Swap(t.Context(), "other", nil); !errors.Is(err, ErrSnapshot) {
		t.Errorf("swap of another name: %v, want ErrSnapshot", err)
	}
	if err := db.Swap(t.Context(), "one", nil); err != nil {
		t.Fatal(err)
	}
	if got := db.Held(); got != w.heads[1] || !db.Ready() {
		t.Errorf("held %+v ready %t, want %+v", got, db.Ready(), w.heads[1])
	}
	stage(parts[1], nil, nil) // late: held already
	if err := db.Swap(t.Context(), "one", nil); err != nil {
		t.Errorf("swap of what is held: %v", err)
	}

	// A newer one discards the older, and an older one is not taken.
	newer, older := w.snapshot("three", 3, 12), w.snapshot("two", 2, 12)
	stage(older[0], []int{2, 3, 4}, nil)
	stage(newer[0], []int{2, 3, 4}, nil)
	stage(older[1], nil, ErrSnapshot)
	for _, p := range newer[1:] {
		if _, err := db.Stage(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Swap(t.Context(), "three", nil); err != nil {
		t.Fatal(err)
	}
	stage(older[1], nil, ErrSnapshot)
	var got string
	db.View(func(x *access.Index) { got = answers(x) })
	if diff := cmp.Diff(answers(oracle(w.states[3], nil, true)), got); diff != "" {
		t.Errorf("index (-want +got):\n%s", diff)
	}

	// A record that is lost on the way: the old state stays.
	w.publish(nil, put(personOf(5, access.StateInactive)))
	short := w.snapshot("four", 4, 100)
	short[0].Records = short[0].Records[1:]
	stage(short[0], nil, nil)
	if err := db.Swap(t.Context(), "four", nil); !errors.Is(err, ErrDigest) {
		t.Errorf("swap of a snapshot without a record: %v, want ErrDigest", err)
	}
	if got := db.Held(); got != w.heads[3] || db.Stats().Snapshot != "" {
		t.Errorf("held %d, staging %q, want 3 and nothing", got.Seq, db.Stats().Snapshot)
	}
	if err := db.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	var gens, rows int
	if err := db.file.read.QueryRow(`SELECT count(DISTINCT gen), count(*) FROM records`).Scan(&gens, &rows); err != nil || gens != 1 || rows != len(w.states[3]) {
		t.Errorf("%d generations and %d rows, %v, want 1 and %d", gens, rows, err, len(w.states[3]))
	}
}

func TestEmptySnapshot(t *testing.T) {
	w := newWorld(epoch)
	db := open(t, options(t))
	fill(t, db, w, "nothing", 0)
	if !db.Ready() || db.Held() != w.heads[0] {
		t.Errorf("ready %t, held %+v", db.Ready(), db.Held())
	}
	d := w.publish(nil, building(1)...)
	if err := db.Apply(t.Context(), d, hashOf(d)); err != nil {
		t.Error(err)
	}
}

// spoil changes rows behind the cache's back, as a disk might.
func spoil(t *testing.T, o Options, query string, args ...any) {
	t.Helper()
	d, err := sql.Open("sqlite", dsn(filepath.Join(o.Dir, "cache.db"), url.Values{}, nil))
	if err != nil {
		t.Fatal(err)
	}
	r, err := d.ExecContext(t.Context(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("%s: %d rows, %v: nothing was spoiled", query, n, err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDamage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		query   string
		damaged bool
		cards   [4]access.Reason // of cards 0 to 3 at door 0; card 1 is blocked, door 2 in lockdown
		door2   access.Reason    // of card 2 there
		quar    int
	}{
		{"nothing", `UPDATE staging SET id = id WHERE 0`, false, [4]access.Reason{access.Granted, access.Blocked, access.NoGroup, access.Granted}, access.Lockdown, 0},
		{"changed record", `UPDATE records SET box = zeroblob(length(box)) WHERE key = 'c0'`, true, [4]access.Reason{access.UnknownCard, access.Blocked, access.NoGroup, access.Granted}, access.Lockdown, 1},
		{"renamed record", `UPDATE records SET key = 'c9' WHERE key = 'c0'`, true, [4]access.Reason{access.UnknownCard, access.Blocked, access.NoGroup, access.Granted}, access.Lockdown, 1},
		{"missing record", `DELETE FROM records WHERE key = 'p0/g0'`, true, [4]access.Reason{access.NoGroup, access.Blocked, access.NoGroup, access.Granted}, access.Lockdown, 0},
		{"missing lockdown", `DELETE FROM records WHERE kind = 'posture'`, true, [4]access.Reason{access.Granted, access.Blocked, access.NoGroup, access.Granted}, access.Lockdown, 0},
		{"missing deny", `DELETE FROM blocked`, false, [4]access.Reason{access.Granted, access.Blocked, access.NoGroup, access.Granted}, access.Lockdown, 0},
		{"earlier deny", `UPDATE blocked SET seq = 1`, false, [4]access.Reason{access.Granted, access.Blocked, access.NoGroup, access.Granted}, access.Lockdown, 1},
		{"missing copies", `DELETE FROM guard`, false, [4]access.Reason{access.Granted, access.Blocked, access.NoGroup, access.Granted}, access.Lockdown, 0},
		{"one state", `DELETE FROM state_a`, false, [4]access.Reason{access.Granted, access.Blocked, access.NoGroup, access.Granted}, access.Lockdown, 0},
		{"other state", `UPDATE state_b SET box = zeroblob(9)`, false, [4]access.Reason{access.Granted, access.Blocked, access.NoGroup, access.Granted}, access.Lockdown, 0},
		{"deny twice", `DELETE FROM blocked; DELETE FROM guard WHERE what = 'blocked'`, true, [4]access.Reason{access.NoData, access.NoData, access.NoData, access.NoData}, access.NoData, 0},
		{"lockdown twice", `DELETE FROM records WHERE kind = 'posture'; DELETE FROM guard WHERE what = 'record'`, true, [4]access.Reason{access.NoData, access.NoData, access.NoData, access.NoData}, access.NoData, 0},
		{"both states", `DELETE FROM state_a; DELETE FROM state_b`, false, [4]access.Reason{access.NoData, access.NoData, access.NoData, access.NoData}, access.NoData, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(epoch)
			w.publish(nil, append(building(4), put(grantOf(3, 0)), put(lockdownOf(2)))...)
			o := options(t)
			db := open(t, o)
			fill(t, db, w, "s", 1)
			if err := db.Block(t.Context(), epoch, 5, []access.Ref{cardOf(1, "").Ref()}); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if tt.name != "nothing" {
				spoil(t, o, tt.query)
			}
			db = open(t, o)
			gone := tt.name == "both states"
			if (db.Damaged() != "") != tt.damaged || db.Ready() != (!tt.damaged && !gone) {
				t.Errorf("damaged %q, ready %t, want damaged %t", db.Damaged(), db.Ready(), tt.damaged)
			}
			if want := tt.damaged || gone; (db.Held() == delta.Head{}) != want {
				t.Errorf("held %+v, want zero %t", db.Held(), want)
			}
			for i, want := range tt.cards {
				if got := decide(db, i, 0).Reason; got != want {
					t.Errorf("card %d at door 0: %q, want %q", i, got, want)
				}
			}
			if got := decide(db, 2, 2).Reason; got != tt.door2 {
				t.Errorf("card 2 at door 2: %q, want %q", got, tt.door2)
			}
			s := db.Stats()
			if s.Quarantined != tt.quar {
				t.Errorf("%d quarantined, want %d", s.Quarantined, tt.quar)
			}
			if (len(s.Problems) > 0) != (tt.name != "nothing") {
				t.Errorf("problems %q", s.Problems)
			}
			if tt.damaged {
				d := w.publish(nil, put(personOf(1, access.StateInactive)))
				if err := db.Apply(t.Context(), d, hashOf(d)); !errors.Is(err, ErrDamaged) {
					t.Errorf("apply to a damaged state: %v, want ErrDamaged", err)
				}
				if err := db.Verify(t.Context()); !errors.Is(err, ErrDamaged) {
					t.Errorf("verify: %v, want ErrDamaged", err)
				}
				if err := db.Block(t.Context(), epoch, 6, []access.Ref{cardOf(3, "").Ref()}); err != nil {
					t.Error(err)
				}
				old := newWorld(epoch - 1)
				old.publish(nil, building(4)...)
				if _, err := db.Stage(t.Context(), old.snapshot("old", 1, 100)[0]); !errors.Is(err, ErrSnapshot) {
					t.Errorf("an older snapshot: %v, want ErrSnapshot", err)
				}
			}
			// A snapshot mends all of it.
			fill(t, db, w, "mend", 1)
			if !db.Ready() || db.Damaged() != "" || db.Held() != w.heads[1] || db.Stats().Quarantined != 0 {
				t.Errorf("after a snapshot: ready %t, damaged %q, %+v", db.Ready(), db.Damaged(), db.Stats())
			}
			if got := decide(db, 0, 0).Reason; got != access.Granted {
				t.Errorf("after a snapshot: %q", got)
			}
			if err := db.Verify(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestVerifyFindsWhatTheDiskChanged(t *testing.T) {
	db, _, o := stocked(t, 4)
	spoil(t, o, `DELETE FROM records WHERE key = 'c0'`)
	if err := db.Verify(t.Context()); !errors.Is(err, ErrDamaged) {
		t.Errorf("verify: %v, want ErrDamaged", err)
	}
	if db.Ready() || db.Held() != (delta.Head{}) {
		t.Error("ready after rows went missing")
	}
	if got := decide(db, 0, 0).Reason; got != access.Granted {
		t.Errorf("memory was verified, and yet %q", got)
	}
}

func TestForeignWriter(t *testing.T) {
	w := newWorld(epoch)
	w.publish(nil, building(4)...)
	o := options(t)
	db, twin := open(t, o), open(t, o)
	fill(t, db, w, "s", 1)
	if _, err := twin.Stage(t.Context(), w.snapshot("t", 1, 100)[0]); !errors.Is(err, ErrForeign) {
		t.Errorf("second writer: %v, want ErrForeign", err)
	}
}

func TestWrongKey(t *testing.T) {
	db, _, o := stocked(t, 4)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	other := o
	other.Key = bytes.Repeat([]byte{7}, KeySize)
	db = open(t, other)
	if db.Ready() || decide(db, 0, 0).Granted {
		t.Error("rows of another key were taken")
	}
	names, err := asides(filepath.Join(o.Dir, "cache.db"))
	if err != nil || len(names) != 1 || len(db.Stats().Problems) == 0 {
		t.Errorf("set aside %v, %v, problems %q", names, err, db.Stats().Problems)
	}
}

func TestUnreadableFile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		hurt func(path string) error
	}{
		{"garbage", func(p string) error { return os.WriteFile(p, bytes.Repeat([]byte("latch"), 5000), 0o600) }},
		{"zeroed", func(p string) error { return os.WriteFile(p, make([]byte, 20000), 0o600) }},
		{"truncated", func(p string) error { return os.Truncate(p, 5000) }},
		{"empty", func(p string) error { return os.Truncate(p, 0) }},
	} {
		for _, name := range []string{"cache.db", "events.db"} {
			t.Run(tt.name+" "+name, func(t *testing.T) {
				db, _, o := stocked(t, 10)
				e := openEvents(t, o)
				first := e.Epoch()
				if _, err := e.Append(t.Context(), access.Event{At: noon, Kind: access.EventAccess}); err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(db.Close(), e.Close()); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(o.Dir, name)
				if err := tt.hurt(path); err != nil {
					t.Fatal(err)
				}
				hurt, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				for range 2 { // the second start tells it still
					db, e := open(t, o), openEvents(t, o)
					problems := db.Stats().Problems
					if name == "events.db" {
						problems = e.Stats().Problems
						if e.Epoch() == first {
							t.Error("the new store has the old epoch")
						}
						if evs, err := e.Recent(t.Context(), EventFilter{}); err != nil || len(evs) != 1 || evs[0].Kind != access.EventGap {
							t.Errorf("events %v, %v, want a gap", evs, err)
						}
					} else if db.Ready() || db.Held() != (delta.Head{}) || decide(db, 0, 0).Reason != access.NoData {
						t.Errorf("ready %t, held %+v", db.Ready(), db.Held())
					}
					if len(problems) == 0 {
						t.Error("no word of it")
					}
					if err := errors.Join(db.Close(), e.Close()); err != nil {
						t.Fatal(err)
					}
				}
				names, err := asides(path)
				if err != nil || len(names) != 1 {
					t.Fatalf("set aside %v, %v, want one", names, err)
				}
				if kept, err := os.ReadFile(filepath.Join(o.Dir, names[0])); err != nil || tt.name != "empty" && !bytes.Equal(kept, hurt) {
					t.Errorf("what was set aside is not what was there: %v", err)
				}
			})
		}
	}
}

// breakLeaf closes the file and makes nonsense of the first leaf of a table:
// the structure is damaged, most rows are not.
func breakLeaf(t *testing.T, f *file, table string, done func() error) {
	t.Helper()
	var root, size int64
	if err := f.read.QueryRow(`SELECT rootpage FROM sqlite_schema WHERE name = ?`, table).Scan(&root); err != nil {
		t.Fatal(err)
	}
	if err := f.read.QueryRow(`PRAGMA page_size`).Scan(&size); err != nil {
		t.Fatal(err)
	}
	if err := done(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.path)
	if err != nil {
		t.Fatal(err)
	}
	page := b[(root-1)*size:][:size]
	if page[0] != 2 && page[0] != 5 {
		t.Fatalf("root of %s is no inner page: too few rows", table)
	}
	cell := binary.BigEndian.Uint16(page[12:]) // of an inner page: the left child comes first
	child := int64(binary.BigEndian.Uint32(page[cell:]))
	for i := range 64 {
		b[(child-1)*size+int64(i)] = 0xEE
	}
	if err := os.WriteFile(f.path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSalvage(t *testing.T) {
	t.Parallel()
	db, w, o := stocked(t, 300)
	if err := errors.Join(db.SetValue(t.Context(), "name", []byte("kept")), db.Contact(t.Context(), noon),
		db.Block(t.Context(), epoch, 9, []access.Ref{cardOf(4, "").Ref()})); err != nil {
		t.Fatal(err)
	}
	breakLeaf(t, db.file, "records", db.Close)
	db = open(t, o)
	s := db.Stats()
	if s.Damaged == "" || s.Ready || s.Records < 700 || s.Records >= len(w.records) || len(s.Problems) == 0 {
		t.Errorf("%+v, want most of %d records, damaged", s, len(w.records))
	}
	t.Logf("salvaged %d of %d records", s.Records, len(w.records))
	if got := decide(db, 4, 0).Reason; got == access.Granted {
		t.Error("a revoked card opens")
	}
	if v, err := db.Value(t.Context(), "name"); err != nil || string(v) != "kept" || !db.LastContact().Equal(noon) {
		t.Errorf("value %q, %v, contact %v", v, err, db.LastContact())
	}
	fill(t, db, w, "mend", 1)
	if !db.Ready() {
		t.Error("not ready after a snapshot")
	}
}

func TestCrashInReplace(t *testing.T) {
	db, w, o := stocked(t, 4)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	// As after a crash between the two renames, with the old WAL left behind.
	path := filepath.Join(o.Dir, "cache.db")
	if err := errors.Join(os.Rename(path, path+".new"), os.WriteFile(path+"-wal", []byte("old"), 0o600)); err != nil {
		t.Fatal(err)
	}
	db = open(t, o)
	if !db.Ready() || db.Held() != w.heads[1] {
		t.Errorf("ready %t, held %+v", db.Ready(), db.Held())
	}
}

func TestNewerFile(t *testing.T) {
	o := options(t)
	db := open(t, o)
	if _, err := db.file.write.Exec(fmt.Sprintf(`PRAGMA user_version = %d`, schema+1)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, o)
	if names, err := asides(db.file.path); err != nil || len(names) != 1 || db.Ready() {
		t.Errorf("set aside %v, %v", names, err)
	}
}

func TestLedger(t *testing.T) {
	o := options(t)
	db := open(t, o)
	rows := []LedgerRow{
		{Credential: "c1", State: "proven", Since: noon, Version: 1<<64 - 1},
		{Credential: "c2", State: "cannot hold", Since: noon.Add(time.Millisecond), Version: 3, Text: "37 bits"},
	}
	for _, want := range [][]LedgerRow{rows, rows[1:], nil, rows} {
		if err := db.SetLedger(t.Context(), "north", want); err != nil {
			t.Fatal(err)
		}
		got, err := db.Ledger(t.Context(), "north")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("ledger (-want +got):\n%s", diff)
		}
	}
	if got, err := db.Ledger(t.Context(), "south"); err != nil || len(got) != 0 {
		t.Errorf("another controller: %v, %v", got, err)
	}
}

func TestTombstones(t *testing.T) {
	o := options(t)
	now := noon
	o.Now = func() time.Time { return now }
	db := open(t, o)
	a, b, c := []byte("key number one.."), []byte("key number two.."), []byte("key number three")
	held := func(controller string, want ...string) {
		t.Helper()
		keys, err := db.Tombstones(t.Context(), controller)
		var got []string
		for _, k := range keys {
			got = append(got, string(k))
		}
		slices.Sort(got)
		slices.Sort(want)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("tombstones of %s: %q, %v, want %q", controller, got, err, want)
		}
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(db.AddTombstones(t.Context(), "north", [][]byte{a, b}))
	check(db.AddTombstones(t.Context(), "north", [][]byte{b}))
	check(db.AddTombstones(t.Context(), "south", [][]byte{c}))
	held("north", string(a), string(b))
	held("south", string(c))
	check(db.ClearTombstones(t.Context(), "north", [][]byte{a, c}))
	held("north", string(b))
	held("south", string(c))
	now = now.Add(60 * 24 * time.Hour)
	check(db.AddTombstones(t.Context(), "north", [][]byte{a}))
	held("north", string(a), string(b))
	now = now.Add(31 * 24 * time.Hour)
	held("north", string(a))
	held("south")
}

func TestValues(t *testing.T) {
	o := options(t)
	db := open(t, o)
	if !db.LastContact().IsZero() {
		t.Error("a new cache had contact")
	}
	if err := errors.Join(db.SetValue(t.Context(), "a", []byte("x")), db.SetValue(t.Context(), "a", []byte("y")), db.SetValue(t.Context(), "empty", []byte{}),
		db.SetValue(t.Context(), "gone", []byte("z")), db.SetValue(t.Context(), "gone", nil), db.Contact(t.Context(), noon)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	spoil(t, o, `INSERT INTO small_values SELECT 'stolen', box FROM small_values WHERE name = 'a'`)
	db = open(t, o)
	for name, want := range map[string][]byte{"a": []byte("y"), "empty": {}, "gone": nil, "never": nil} {
		if got, err := db.Value(t.Context(), name); err != nil || !bytes.Equal(got, want) || (got == nil) != (want == nil) {
			t.Errorf("value %s: %q, %v, want %q", name, got, err, want)
		}
	}
	if _, err := db.Value(t.Context(), "stolen"); !errors.Is(err, ErrValue) {
		t.Errorf("a value under another name: %v, want ErrValue", err)
	}
	if !db.LastContact().Equal(noon) {
		t.Errorf("last contact %v, want %v", db.LastContact(), noon)
	}
}

// TestFileHidesCards looks for what must not stand in the files (requirement
// S3): card bits, in text and raw, and names of people.
func TestFileHidesCards(t *testing.T) {
	db, _, o := stocked(t, 20)
	secret := []byte("0123456789ABCDEX")
	if err := errors.Join(db.AddTombstones(t.Context(), "north", [][]byte{secret}), db.SetValue(t.Context(), "v", secret)); err != nil {
		t.Fatal(err)
	}
	e := openEvents(t, o)
	if _, err := e.Append(t.Context(), access.Event{At: noon, Kind: access.EventAccess, Person: "SOMEPERSON", Card: "H10302 …0731"}); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(o.Dir)
	if err != nil || len(entries) < 4 {
		t.Fatalf("%v, %v: this test would check nothing", entries, err)
	}
	for _, entry := range entries {
		b, err := os.ReadFile(filepath.Join(o.Dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		for _, hidden := range []string{bitsOf(7).Text(), bitsOf(19).Hex(), string(bitsOf(19).Bytes()), "Person", "H10301", string(secret), "SOMEPERSON", "0731"} {
			if bytes.Contains(b, []byte(hidden)) {
				t.Errorf("%s holds %q", entry.Name(), hidden)
			}
		}
		if info, err := entry.Info(); err != nil || runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: mode %v, %v", entry.Name(), info.Mode(), err)
		}
	}
}

func TestClosed(t *testing.T) {
	db := open(t, options(t))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Stage(t.Context(), newWorld(epoch).snapshot("s", 0, 1)[0]); err == nil {
		t.Error("a closed cache took a snapshot")
	}
	if err := db.SetValue(t.Context(), "a", []byte("b")); err == nil {
		t.Error("a closed cache took a value")
	}
}
