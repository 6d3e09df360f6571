package cache

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"latchkey/access"
	"latchkey/delta"
)

// TestBitFlips flips one bit of the file at a time. Whatever it hits, no card
// may open a door that it did not open before, and a state that is called
// verified must be the one that was stored.
func TestBitFlips(t *testing.T) {
	t.Parallel()
	flips := 200
	if raced {
		flips = 24
	}
	w := newWorld(epoch)
	w.publish(nil, append(building(60), put(lockdownOf(2)), put(personOf(5, access.StateInactive)))...)
	o := options(t)
	db := open(t, o)
	fill(t, db, w, "s", 1)
	denied := []access.Ref{cardOf(1, "").Ref(), personOf(2, "").Ref(), memberOf(4, 0).Ref()}
	if err := db.Block(t.Context(), epoch, 7, denied); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(o.Dir, "cache.db"))
	if err != nil {
		t.Fatal(err)
	}
	decisions := func(x *access.Index) (all []access.Decision) {
		for i := range 60 {
			for d := range doors {
				all = append(all, x.Decide(access.Query{Door: fmt.Sprintf("d%d", d), Bits: bitsOf(i), At: noon}))
			}
		}
		return all
	}
	want := decisions(oracle(w.records, denied, true))
	r := rand.New(rand.NewPCG(1, 2))
	count := map[string]int{}
	for range flips {
		at, bit := r.IntN(len(whole)), r.IntN(8)
		b := slices.Clone(whole)
		b[at] ^= 1 << bit
		one, err := optionsIn(filepath.Join(t.TempDir(), "d"), b)
		if err != nil {
			t.Fatal(err)
		}
		func() {
			name := fmt.Sprintf("bit %d of byte %d", bit, at)
			db, err := Open(t.Context(), one)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				return
			}
			defer func() {
				if err := db.Close(); err != nil {
					t.Errorf("%s: close: %v", name, err)
				}
			}()
			s := db.Stats()
			aside, err := asides(db.file.path)
			if err != nil {
				t.Error(err)
			}
			var got []access.Decision
			db.View(func(x *access.Index) { got = decisions(x) })
			differ := false
			for i := range want {
				if got[i].Granted && !want[i].Granted {
					t.Errorf("%s: decision %d is %v, was %v", name, i, got[i], want[i])
				}
				differ = differ || got[i].Reason != want[i].Reason
			}
			switch {
			case s.Ready && (differ || db.Held() != w.heads[1]):
				t.Errorf("%s: a state that is not the one stored is called verified: %+v", name, s)
			case len(aside) > 0:
				count["set aside"]++
			case s.Damaged != "":
				count["quarantined"]++
			case len(s.Problems) > 0:
				count["mended"]++
			default:
				count["without effect"]++ // unused space, or a goose time stamp
			}
			if len(aside)+len(s.Problems) == 0 && differ {
				t.Errorf("%s: changed in silence", name)
			}
			if !s.Ready && db.Held() != (delta.Head{}) {
				t.Errorf("%s: no snapshot would be asked for", name)
			}
		}()
	}
	t.Logf("%d flips in %d bytes: %v", flips, len(whole), count)
	if count["quarantined"] == 0 || count["set aside"] == 0 {
		t.Error("no flip hit a row, or none the structure: this test would check nothing")
	}
}

// TestWALCut: what a power cut leaves of the last write is not half a change.
func TestWALCut(t *testing.T) {
	t.Parallel()
	db, w, _ := stocked(t, 6)
	sizes := []int64{}
	for range 5 {
		d := w.publish(nil, put(personOf(1, access.StateInactive)), put(personOf(2, access.StateInactive)), put(personOf(1, access.StateActive)))
		if err := db.Apply(t.Context(), d, hashOf(d)); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(db.file.path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, info.Size())
	}
	main, err1 := os.ReadFile(db.file.path)
	wal, err2 := os.ReadFile(db.file.path + "-wal")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for cut := sizes[0]; cut <= sizes[4]; cut += 4000 {
		one, err := optionsIn(filepath.Join(t.TempDir(), "d"), main)
		if err := errors.Join(err, os.WriteFile(filepath.Join(one.Dir, "cache.db-wal"), wal[:cut], 0o600)); err != nil {
			t.Fatal(err)
		}
		db := open(t, one)
		seq := uint64(1)
		for _, size := range sizes {
			if cut >= size {
				seq++
			}
		}
		if got := db.Held(); got != w.heads[seq] {
			t.Errorf("cut at %d: held %d, want %d", cut, got.Seq, seq)
		}
	}
}
