package access

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"latchkey/wiegand"
)

// town is a big site: n credentials of as many people in 200 groups, 64 doors,
// each person in 3 groups, each group with 8 doors in office hours.
func town(n int) (*Index, []wiegand.Bits) {
	x := NewIndex()
	week := []Interval{{1, 420, 1200}, {2, 420, 1200}, {3, 420, 1200}, {4, 420, 1200}, {5, 420, 1200}}
	for i := range 8 {
		x.Put(Schedule{ID: fmt.Sprint("s", i), Zone: "Europe/Berlin", Weekly: week, Holidays: []string{"2026-12-25", "2027-01-01"}})
	}
	for i := range 64 {
		x.Put(Door{ID: fmt.Sprint("d", i), Kind: DoorKindDoor})
	}
	for g := range 200 {
		for d := range 8 {
			x.Put(Grant{Group: fmt.Sprint("g", g), Door: fmt.Sprint("d", (g+d*8)%64), Schedule: fmt.Sprint("s", g%8)})
		}
	}
	cards := make([]wiegand.Bits, n)
	for i := range n {
		id := fmt.Sprint("p", i)
		cards[i] = card(uint64(i)*2654435761%(1<<36) | 1<<36)
		x.Put(Person{ID: id, State: StateActive, Kind: KindFull})
		x.Put(Credential{ID: fmt.Sprint("c", i), Person: id, Technology: TechCard, Bits: cards[i], Status: CredentialActive, ValidUntil: noon.Unix() + 86400})
		for j := range 3 {
			x.Put(Membership{id, fmt.Sprint("g", (i*7+j*67)%200)})
		}
	}
	x.SetReady(true)
	return x, cards
}

func queries(cards []wiegand.Bits) []Query {
	r := rand.New(rand.NewPCG(1, 2))
	qs := make([]Query, 1<<16)
	for i := range qs {
		qs[i] = Query{Door: fmt.Sprint("d", r.IntN(64)), Bits: cards[r.IntN(len(cards))], At: noon.Add(time.Duration(r.IntN(3600)) * time.Second)}
	}
	return qs
}

func TestDecideDoesNotAllocate(t *testing.T) {
	x, cards := town(1000)
	qs := queries(cards)
	granted := 0
	for _, q := range qs {
		if x.Decide(q).Granted {
			granted++
		}
	}
	if granted == 0 || granted == len(qs) {
		t.Fatalf("%d of %d granted: the town shows nothing", granted, len(qs))
	}
	i := 0
	if n := testing.AllocsPerRun(1000, func() { x.Decide(qs[i%len(qs)]); i++ }); n != 0 {
		t.Errorf("%v allocations a decision, want 0", n)
	}
}

// BenchmarkDecide has random cards at random doors, and beside it the floor:
// the one look-up of the card in a map of the same size.
func BenchmarkDecide(b *testing.B) {
	x, cards := town(250_000)
	qs := queries(cards)
	measure := func(f func(q Query) bool) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			var took []time.Duration
			found := 0
			i := 0
			for b.Loop() {
				q := qs[i%len(qs)]
				start := time.Now()
				if f(q) {
					found++
				}
				if d := time.Since(start); len(took) < 1<<20 {
					took = append(took, d)
				}
				i++
			}
			if found == 0 {
				b.Fatal("nothing found")
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2]), "p50-ns")
			b.ReportMetric(float64(took[len(took)*99/100]), "p99-ns")
		}
	}
	b.Run("clock", measure(func(q Query) bool { return q.Door != "" })) // what measuring costs
	b.Run("floor", measure(func(q Query) bool { return x.byBits[q.Bits] != nil }))
	b.Run("decide", measure(func(q Query) bool { return x.Decide(q).Granted }))
}

func BenchmarkEntitlements(b *testing.B) {
	x, _ := town(250_000)
	for b.Loop() {
		if len(x.Entitlements([]string{"d1", "d2", "d3", "d4"})) == 0 {
			b.Fatal("none")
		}
	}
}

func BenchmarkLossTo(b *testing.B) {
	x, _ := town(100_000)
	y, _ := town(90_000)
	for b.Loop() {
		if l, _ := x.LossTo(y); l.People != 10_000 {
			b.Fatalf("%+v", l)
		}
	}
}

// BenchmarkLoss is one person who is disabled, as most deltas are.
func BenchmarkLoss(b *testing.B) {
	x, _ := town(100_000)
	next := map[Ref]Record{{KindPerson, "p7"}: Person{ID: "p7", State: StateInactive, Kind: KindFull}}
	for b.Loop() {
		if l := x.Loss(next); l.People != 1 {
			b.Fatalf("%+v", l)
		}
	}
}
