package cache

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"latchkey/access"
	"latchkey/delta"
)

func BenchmarkApply(b *testing.B) {
	for _, size := range []int{1, 100} {
		b.Run(fmt.Sprintf("changes=%d", size), func(b *testing.B) {
			db, w, _ := stocked(b, 10_000/3)
			state := []string{access.StateInactive, access.StateActive}
			var took []time.Duration
			i := 0
			for b.Loop() {
				b.StopTimer()
				var changes []delta.Change
				for j := range size {
					changes = append(changes, put(personOf(j*3, state[i%2])))
				}
				d := w.next(nil, changes...)
				hash := hashOf(d)
				b.StartTimer()
				began := time.Now()
				if err := db.Apply(b.Context(), d, hash); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(began))
				i++
			}
			percentiles(b, took)
		})
	}
}

func percentiles(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

func BenchmarkDecide(b *testing.B) {
	db, w, _ := stocked(b, 100_000/3)
	cards := 100_000 / 3
	// The floor: one look-up in a map of the same size.
	floor := map[access.Ref]int{}
	for ref := range w.records {
		floor[ref] = len(floor)
	}
	refs := make([]access.Ref, cards)
	for i := range refs {
		refs[i] = cardOf(i, "").Ref()
	}
	b.Run("floor", func(b *testing.B) {
		i, sum := 0, 0
		for b.Loop() {
			sum += floor[refs[i*7919%cards]]
			i++
		}
	})
	queries := make([]access.Query, cards)
	for i := range queries {
		queries[i] = access.Query{Door: fmt.Sprintf("d%d", i%groups%doors), Bits: bitsOf(i), At: noon}
	}
	b.Run("view", func(b *testing.B) {
		i := 0
		for b.Loop() {
			db.View(func(x *access.Index) {
				if !x.Decide(queries[i*7919%cards]).Granted {
					b.Fatal("not granted")
				}
			})
			i++
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			db, _, o := stocked(b, n/3)
			if err := db.Close(); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				db, err := Open(b.Context(), o)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := db.Close(); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

func BenchmarkSnapshot(b *testing.B) {
	w := newWorld(epoch)
	w.publish(nil, building(100_000/3)...)
	parts := w.snapshot("", 1, 300)
	db := open(b, options(b))
	i := 0
	for b.Loop() {
		i++
		for _, p := range parts {
			p.ID = fmt.Sprint(i)
			if _, err := db.Stage(b.Context(), p); err != nil {
				b.Fatal(err)
			}
		}
		if err := db.Swap(b.Context(), fmt.Sprint(i), nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(w.records))/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkAppend(b *testing.B) {
	for _, writers := range []int{1, 50} {
		b.Run(fmt.Sprintf("appenders=%d", writers), func(b *testing.B) {
			e := openEvents(b, options(b))
			var mu sync.Mutex
			var all []time.Duration
			n := 0
			for b.Loop() { // one round: each appender appends once
				var wg sync.WaitGroup
				for range writers {
					wg.Go(func() {
						began := time.Now()
						if _, err := e.Append(b.Context(), access.Event{At: noon, Kind: access.EventAccess, Door: "d1", Reader: "r1", Person: "p1", Card: "H10301 …07"}); err != nil {
							b.Error(err)
						}
						mu.Lock()
						all = append(all, time.Since(began))
						n++
						mu.Unlock()
					})
				}
				wg.Wait()
			}
			percentiles(b, all)
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// BenchmarkDecideBesideCommits measures decisions while changes are committed
// and what controllers should hold is worked out without pause, at 250,000
// credentials. A decision must never wait for either: p99-ms under 5.
func BenchmarkDecideBesideCommits(b *testing.B) {
	const cards = 250_000
	db, w, _ := stocked(b, cards)
	clear(w.states)
	var stop atomic.Bool
	var busy sync.WaitGroup
	var commits, surveys atomic.Int64
	busy.Go(func() {
		for i := 0; !stop.Load(); i++ {
			state := []string{access.StateInactive, access.StateActive}[i%2]
			d := w.next(nil, put(personOf(1, state)))
			if err := db.Apply(b.Context(), d, hashOf(d)); err != nil {
				b.Error(err)
				return
			}
			commits.Add(1)
		}
	})
	busy.Go(func() {
		for !stop.Load() {
			var roster *access.Roster
			db.Survey(func(x *access.Index, _ delta.Head) { roster = x.Roster([]string{"d0", "d1"}) })
			if len(roster.Entitlements()) == 0 {
				b.Error("nobody is entitled: this shows nothing")
			}
			surveys.Add(1)
		}
	})
	var took []time.Duration
	i := 0
	for b.Loop() {
		began := time.Now()
		if !decide(db, 3+i*7919%(cards-3), (3+i*7919%(cards-3))%groups%doors).Granted {
			b.Fatal("not granted")
		}
		took = append(took, time.Since(began))
		if i++; i%64 == 0 {
			time.Sleep(time.Millisecond) // as many cards a second as no building has
		}
	}
	stop.Store(true)
	busy.Wait()
	percentiles(b, took)
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "max-ms")
	b.ReportMetric(float64(commits.Load())/b.Elapsed().Seconds(), "commits/s")
	b.ReportMetric(float64(surveys.Load())/b.Elapsed().Seconds(), "surveys/s")
}
