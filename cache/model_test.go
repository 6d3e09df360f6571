package cache

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"latchkey/access"
	"latchkey/delta"
)

// TestModel brings deltas in any order, doubled and with gaps, blocks,
// snapshots and restarts. After each step the cache must hold exactly what the
// stream says of its head, its index must answer as one that is made afresh,
// and so must one that is loaded from disk.
func TestModel(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		runs++
		o, err := optionsIn(filepath.Join(base, fmt.Sprint(runs)), emptyCache())
		defer os.RemoveAll(o.Dir)
		if err != nil {
			rt.Fatal(err)
		}
		db, err := Open(t.Context(), o)
		if err != nil {
			rt.Fatal(err)
		}
		defer func() {
			if err := db.Close(); err != nil {
				rt.Error(err)
			}
		}()
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		w := newWorld(epoch)
		w.publish(nil, building(people)...)
		w.publish(nil, anyChange(r))
		blocked := map[access.Ref]position{} // the model's deny lane
		held, ready, snapshots := uint64(0), false, 0
		release := func() {
			for ref, at := range blocked {
				if at.seq <= held {
					delete(blocked, ref)
				}
			}
		}
		anySeq := func(label string) uint64 {
			return rapid.Uint64Range(1, uint64(len(w.deltas))).Draw(rt, label)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"publish": func(rt *rapid.T) {
				var changes []delta.Change
				var deny []access.Ref
				for range 1 + r.IntN(4) {
					c := anyChange(r)
					changes = append(changes, c)
					if c.Op == delta.OpDelete {
						deny = append(deny, c.Ref)
					}
				}
				w.publish(deny, changes...)
			},
			"deliver": func(rt *rapid.T) {
				seq := anySeq("seq")
				if rapid.Bool().Draw(rt, "next") {
					seq = min(held+1, uint64(len(w.deltas)))
				}
				d := w.deltas[seq-1]
				verdict := delta.Judge(db.Held(), d, w.heads[seq].Hash)
				err := db.Apply(t.Context(), d, w.heads[seq].Hash)
				switch verdict {
				case delta.Apply:
					held = seq
					release()
				case delta.AckAgain:
				default:
					if !errors.Is(err, ErrSequence) {
						rt.Fatalf("%v: %v, want ErrSequence", verdict, err)
					}
					err = db.Block(t.Context(), d.Epoch, d.Seq, d.Deny)
					for _, ref := range d.Deny {
						if at := (position{d.Epoch, d.Seq}); blocked[ref].before(at) {
							blocked[ref] = at
						}
					}
				}
				if err != nil {
					rt.Fatal(err)
				}
			},
			"snapshot": func(rt *rapid.T) {
				seq := anySeq("of")
				snapshots++
				id := fmt.Sprint(snapshots)
				var missing []int
				var err error
				for _, p := range w.snapshot(id, seq, 10) {
					if missing, err = db.Stage(t.Context(), p); err != nil {
						break
					}
				}
				if seq < held {
					if !errors.Is(err, ErrSnapshot) {
						rt.Fatalf("a snapshot of %d while %d is held: %v, want ErrSnapshot", seq, held, err)
					}
					return
				}
				if err != nil || missing != nil {
					rt.Fatalf("stage: %v, missing %v", err, missing)
				}
				if err := db.Swap(t.Context(), id, nil); err != nil {
					rt.Fatal(err)
				}
				held, ready = seq, true
				release()
			},
			"restart": func(rt *rapid.T) {
				if err := db.Close(); err != nil {
					rt.Fatal(err)
				}
				if db, err = Open(t.Context(), o); err != nil {
					rt.Fatal(err)
				}
			},
			"": func(rt *rapid.T) {
				want := delta.Head{}
				if ready {
					want = w.heads[held]
				}
				if got := db.Held(); got != want || db.Ready() != ready || db.Damaged() != "" {
					rt.Fatalf("held %+v ready %t damaged %q, want %+v %t", got, db.Ready(), db.Damaged(), want, ready)
				}
				fresh, err := read(t.Context(), db.file.read, db.seal)
				if err != nil || fresh.fault() != "" {
					rt.Fatalf("on disk: %v, %q", err, fresh.fault())
				}
				model := answers(oracle(w.states[held], sortedRefs(blocked), ready))
				db.View(func(x *access.Index) {
					if got := answers(x); got != model {
						rt.Fatalf("index:\n%s\nwant:\n%s", got, model)
					}
				})
				if got := answers(fresh.index); got != model {
					rt.Fatalf("loaded from disk:\n%s\nwant:\n%s", got, model)
				}
				if got := sortedRefs(db.blocked); !slices.Equal(got, sortedRefs(blocked)) {
					rt.Fatalf("blocked %v, want %v", got, sortedRefs(blocked))
				}
				if n := db.Stats().Records; n != len(w.states[held]) {
					rt.Fatalf("%d records, want %d", n, len(w.states[held]))
				}
			},
		})
	})
}
