package uplink

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch0 = time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)

func TestWindowSendsAtMost64(t *testing.T) {
	var w Window
	if from, to := w.Next(epoch0, 100); from <= to {
		t.Fatalf("a stopped window sends %d..%d", from, to)
	}
	w.Start(10)
	if from, to := w.Next(epoch0, 1000); from != 11 || to != 74 {
		t.Fatalf("sends %d..%d, want 11..74", from, to)
	}
	if from, to := w.Next(epoch0, 1000); from <= to {
		t.Fatalf("sends %d..%d beyond the window", from, to)
	}
	w.Applied(epoch0, 20)
	if from, to := w.Next(epoch0, 1000); from != 75 || to != 84 {
		t.Fatalf("sends %d..%d after ten were applied, want 75..84", from, to)
	}
	w.Applied(epoch0, 15) // an old one, late
	if got, want := w.Base(), uint64(20); got != want {
		t.Fatalf("base %d, want %d", got, want)
	}
}

func TestWindowResends(t *testing.T) {
	var w Window
	w.Start(0)
	now := epoch0
	w.Next(now, 3)
	now = now.Add(100 * time.Millisecond)
	w.Applied(now, 1) // smoothed 100 ms, so the wait is the least one
	// Waits double: 1 s, 2, 4, 8, 16, 30, 30; the first three bring both
	// messages, then only the first.
	for i, want := range []struct {
		wait time.Duration
		to   uint64
	}{{1, 3}, {2, 3}, {4, 2}, {8, 2}, {16, 2}, {30, 2}, {30, 2}} {
		wake := now.Add(want.wait * time.Second)
		if got := w.Wake(); !got.Equal(wake) {
			t.Fatalf("time-out %d at %v, want %v", i+1, got.Sub(epoch0), wake.Sub(epoch0))
		}
		w.Tick(wake.Add(-1))
		if from, to := w.Next(wake.Add(-1), 3); from <= to {
			t.Fatalf("time-out %d: sends %d..%d too early", i+1, from, to)
		}
		now = wake
		w.Tick(now)
		if from, to := w.Next(now, 3); from != 2 || to != want.to {
			t.Fatalf("time-out %d: sends %d..%d, want 2..%d", i+1, from, to, want.to)
		}
	}
	w.Applied(now, 2)
	if from, to := w.Next(now, 3); from != 3 || to != 3 {
		t.Fatalf("after an answer: sends %d..%d, want 3..3", from, to)
	}
}

// A line that is slower than the least wait must not be flooded for ever.
func TestWindowLearnsASlowLine(t *testing.T) {
	const trip = 3 * time.Second
	var w Window
	w.Start(0)
	now, head, sent := epoch0, uint64(0), 0
	type answer struct {
		at  time.Time
		seq uint64
	}
	var answers []answer
	for head < 200 {
		head++
		for deadline := now.Add(5 * time.Second); now.Before(deadline); now = now.Add(50 * time.Millisecond) {
			w.Tick(now)
			for from, to := w.Next(now, head); from <= to; from++ {
				sent++
				answers = append(answers, answer{now.Add(trip), from})
			}
			for len(answers) > 0 && !answers[0].at.After(now) {
				w.Applied(now, answers[0].seq)
				answers = answers[1:]
			}
		}
	}
	if w.Base() < head-1 {
		t.Errorf("applied %d of %d", w.Base(), head)
	}
	if sent > int(head)+20 {
		t.Errorf("sent %d messages for %d: the wait was not learnt", sent, head)
	}
}

func TestWindowNeed(t *testing.T) {
	var w Window
	w.Start(0)
	w.Next(epoch0, 10)
	w.Applied(epoch0.Add(time.Millisecond), 3)
	now := epoch0.Add(5 * time.Millisecond)
	w.Need(now, 6)
	if from, to := w.Next(now, 10); from != 6 || to != 10 {
		t.Fatalf("sends %d..%d, want 6..10", from, to)
	}
	w.Need(now.Add(time.Millisecond), 6) // for each of 7..10 that came before its turn
	if from, to := w.Next(now, 10); from <= to {
		t.Fatalf("sends %d..%d for a question that was answered", from, to)
	}
	w.Need(now.Add(time.Second), 99)
	if from, to := w.Next(now, 10); from <= to {
		t.Fatalf("sends %d..%d for what was never sent", from, to)
	}
	now = now.Add(10 * time.Second)
	w.Need(now, 2) // the site has lost what it had
	if from, to := w.Next(now, 10); from != 2 || to != 10 || w.Base() != 1 {
		t.Fatalf("sends %d..%d on base %d, want 2..10 on 1", from, to, w.Base())
	}
}

func TestWindowTakesLateAnswers(t *testing.T) {
	var w Window
	w.Start(0)
	w.Next(epoch0, 10)
	now := epoch0.Add(time.Second)
	w.Tick(now)         // back to 1, nothing sent again yet
	w.Applied(now, 10)  // the first copies did it
	w.Applied(now, 200) // and the log agrees that it has this much
	if w.Base() != 200 || w.InFlight() != 0 || !w.Wake().IsZero() {
		t.Fatalf("base %d, %d in flight, wake %v; want 200, 0, never", w.Base(), w.InFlight(), w.Wake())
	}
	if from, to := w.Next(now, 201); from != 201 || to != 201 {
		t.Fatalf("sends %d..%d, want 201..201", from, to)
	}
}

// TestWindowModel runs the window against a line that loses, doubles and
// reorders, and a site and a cloud that restart, in a time of its own. Once the
// faults stop, all must be applied within a bound, each once and in its turn.
func TestWindowModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		head := rapid.Uint64Range(1, 150).Draw(t, "messages")
		loss := rapid.IntRange(0, 60).Draw(t, "loss percent")
		double := rapid.IntRange(0, 40).Draw(t, "double percent")
		spread := rapid.IntRange(0, 2000).Draw(t, "spread of the delay, ms")
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)) // a draw for each packet would take minutes

		type packet struct {
			at    time.Time
			seq   uint64
			up    bool
			need  bool
			hello bool
		}
		var line []packet
		var w Window
		now := epoch0
		faulty := true
		put := func(p packet) {
			copies := 1
			if faulty && random.IntN(100) < loss {
				copies--
			}
			if faulty && random.IntN(100) < double {
				copies++
			}
			for range copies {
				p.at = now.Add(10 * time.Millisecond)
				if faulty {
					p.at = p.at.Add(time.Duration(random.IntN(spread+1)) * time.Millisecond)
				}
				i, _ := slices.BinarySearchFunc(line, p.at, func(q packet, at time.Time) int {
					if q.at.After(at) {
						return 1
					}
					return -1 // behind all that arrive at the same time
				})
				line = slices.Insert(line, i, p)
			}
		}
		var held uint64 // on the site's disk
		pump := func() {
			for from, to := w.Next(now, head); from <= to; from++ {
				if from > w.Base()+maxInFlight {
					t.Fatalf("%d sent with base %d", from, w.Base())
				}
				put(packet{seq: from})
			}
		}
		deliver := func(p packet) {
			switch {
			case p.hello:
				w.Start(p.seq)
			case p.up && p.need:
				w.Need(now, p.seq)
			case p.up:
				if p.seq > held {
					t.Fatalf("applied %d, but the site holds %d", p.seq, held)
				}
				w.Applied(now, p.seq)
			case p.seq == held+1:
				held++ // the only way it grows: in turn, and once
				put(packet{seq: held, up: true})
			case p.seq <= held:
				put(packet{seq: held, up: true})
			default:
				put(packet{seq: held + 1, up: true, need: true})
			}
		}
		// step goes on to the next thing that happens, at most d further.
		step := func(d time.Duration) {
			until := now.Add(d)
			for {
				w.Tick(now)
				pump()
				next := until
				if wake := w.Wake(); !wake.IsZero() && wake.Before(next) {
					next = wake
				}
				if len(line) == 0 || line[0].at.After(next) {
					now = next
					if next.Equal(until) {
						return
					}
					continue
				}
				p := line[0]
				line = line[1:]
				if p.at.After(now) {
					now = p.at
				}
				deliver(p)
			}
		}

		w.Start(0)
		t.Repeat(map[string]func(*rapid.T){
			"time passes": func(t *rapid.T) {
				step(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
			},
			"site restarts": func(*rapid.T) { put(packet{seq: held, up: true, hello: true}) },
			"cloud restarts": func(*rapid.T) {
				w = Window{}
				// It asks; the answer may be lost, then it asks again.
				put(packet{seq: held, up: true, hello: true})
			},
			"line breaks": func(*rapid.T) { line = nil },
		})
		faulty = false
		step(3 * time.Second) // what is under way still arrives late
		put(packet{seq: held, up: true, hello: true})
		start := now
		for held < head || w.Base() < head {
			step(time.Second)
			if now.Sub(start) > 2*time.Minute {
				t.Fatalf("two minutes without faults: site holds %d of %d, base %d, %d in flight", held, head, w.Base(), w.InFlight())
			}
		}
	})
}
