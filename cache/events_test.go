package cache

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchkey/access"
)

func openEvents(t testing.TB, o Options) *Events {
	t.Helper()
	e, err := OpenEvents(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func appendEvent(t testing.TB, e *Events, ev access.Event) access.Event {
	t.Helper()
	got, err := e.Append(t.Context(), ev)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func numbers(evs []access.Event) (ns []uint64) {
	for _, ev := range evs {
		ns = append(ns, ev.N)
	}
	return ns
}

func TestEvents(t *testing.T) {
	o := options(t)
	e := openEvents(t, o)
	epoch := e.Epoch()
	if len(epoch) < 20 || e.Last() != 0 {
		t.Errorf("new store: epoch %q, last %d", epoch, e.Last())
	}
	if n, at, err := e.Unsent(t.Context()); n != 0 || !at.IsZero() || err != nil {
		t.Errorf("unsent of a new store: %d, %v, %v", n, at, err)
	}
	want := access.Event{At: noon, Kind: access.EventAccess, Door: "d1", Reader: "r1", Granted: true, Reason: access.Granted, Person: "p1",
		Credential: "c1", Card: "H10301 …07", DecidedBy: access.ByController, Device: &access.Device{Serial: "A", Boot: 1, Seq: 1<<64 - 1}, DeviceTime: noon.Add(-time.Hour), Text: "x"}
	got := appendEvent(t, e, want)
	want.N = 1
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("append (-want +got):\n%s", diff)
	}
	appendEvent(t, e, access.Event{At: noon.Add(time.Second), Kind: access.EventDoorOpened})
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Append(t.Context(), want); !errors.Is(err, ErrClosed) {
		t.Errorf("append to a closed store: %v, want ErrClosed", err)
	}
	e = openEvents(t, o)
	if e.Epoch() != epoch || e.Last() != 2 {
		t.Errorf("opened again: epoch %q, last %d, want %q, 2", e.Epoch(), e.Last(), epoch)
	}
	evs, err := e.After(t.Context(), 0, 10)
	if err != nil || len(evs) != 2 {
		t.Fatalf("after 0: %v, %v", evs, err)
	}
	if diff := cmp.Diff(want, evs[0]); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if got, err := e.Append(t.Context(), want); !errors.Is(err, ErrDuplicate) || got.N != 1 {
		t.Errorf("told again: %d, %v, want 1, ErrDuplicate", got.N, err)
	}
	other := want
	other.Device = &access.Device{Serial: "A", Boot: 2, Seq: 1<<64 - 1}
	if got := appendEvent(t, e, other); got.N != 3 {
		t.Errorf("after a boot: %d, want 3", got.N)
	}
	for _, tt := range []struct {
		after uint64
		max   int
		want  []uint64
	}{{0, 2, []uint64{1, 2}}, {1, 9, []uint64{2, 3}}, {3, 9, nil}, {99, 9, nil}, {0, 0, nil}} {
		if evs, err := e.After(t.Context(), tt.after, tt.max); err != nil || !slices.Equal(numbers(evs), tt.want) {
			t.Errorf("after %d, %d: %v, %v, want %v", tt.after, tt.max, numbers(evs), err, tt.want)
		}
	}
	if n, at, err := e.Unsent(t.Context()); n != 3 || !at.Equal(noon) || err != nil {
		t.Errorf("unsent: %d, %v, %v", n, at, err)
	}
	for _, tt := range []struct {
		name   string
		epoch  string
		n      uint64
		acked  uint64
		ok     bool
		target error
	}{
		{"two", epoch, 2, 2, true, nil},
		{"older", epoch, 1, 2, true, nil},
		{"other epoch", "other", 3, 2, false, ErrEventEpoch},
		{"too far", epoch, 4, 2, false, nil},
		{"all", epoch, 3, 3, true, nil},
	} {
		err := e.Ack(t.Context(), tt.epoch, tt.n)
		if (err == nil) != tt.ok || tt.target != nil && !errors.Is(err, tt.target) || e.Acked() != tt.acked {
			t.Errorf("ack %s: %v, acked %d, want %d", tt.name, err, e.Acked(), tt.acked)
		}
	}
	if n, at, err := e.Unsent(t.Context()); n != 0 || !at.IsZero() || err != nil {
		t.Errorf("unsent of nothing: %d, %v, %v", n, at, err)
	}
}

func TestTrim(t *testing.T) {
	t.Parallel()
	o := options(t)
	e := openEvents(t, o)
	e.keep = 200
	const all = 200 + 2*trimBatch + 10
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range all / 64 {
				if _, err := e.Append(t.Context(), access.Event{At: noon, Kind: access.EventAccess}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for e.Last() < all {
		appendEvent(t, e, access.Event{At: noon, Kind: access.EventAccess})
	}
	count := func() (n int) {
		if err := e.file.read.QueryRow(`SELECT count(*) FROM events`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if count() != all {
		t.Fatalf("%d events, want %d", count(), all)
	}
	for i := range uint64(5) {
		if err := e.Ack(t.Context(), e.Epoch(), all-5+i); err != nil {
			t.Fatal(err)
		}
	}
	if got := uint64(count()); got != e.keep+1 {
		t.Errorf("%d events kept, want %d", got, e.keep+1)
	}
	if evs, err := e.Recent(t.Context(), EventFilter{Limit: 1}); err != nil || len(evs) != 1 || evs[0].N != all {
		t.Errorf("newest: %v, %v", evs, err)
	}
}

func TestRecent(t *testing.T) {
	e := openEvents(t, options(t))
	for i := range 30 {
		appendEvent(t, e, access.Event{
			At: noon.Add(time.Duration(i) * time.Minute), Kind: []string{access.EventAccess, access.EventDoorOpened}[i%2],
			Door: fmt.Sprintf("d%d", i%3), Reader: fmt.Sprintf("r%d", i%5),
		})
	}
	for _, tt := range []struct {
		name string
		f    EventFilter
		want []uint64
	}{
		{"limit", EventFilter{Limit: 3}, []uint64{30, 29, 28}},
		{"door", EventFilter{Door: "d0", Limit: 2}, []uint64{28, 25}},
		{"reader", EventFilter{Reader: "r4"}, []uint64{30, 25, 20, 15, 10, 5}},
		{"kind", EventFilter{Kind: access.EventAccess, Limit: 2}, []uint64{29, 27}},
		{"after", EventFilter{After: 28}, []uint64{30, 29}},
		{"since", EventFilter{Since: noon.Add(28 * time.Minute)}, []uint64{30, 29}},
		{"all", EventFilter{Door: "d0", Reader: "r0", Kind: access.EventDoorOpened, After: 1, Since: noon}, []uint64{16}},
		{"none", EventFilter{Door: "d9"}, nil},
	} {
		if evs, err := e.Recent(t.Context(), tt.f); err != nil || !slices.Equal(numbers(evs), tt.want) {
			t.Errorf("%s: %v, %v, want %v", tt.name, numbers(evs), err, tt.want)
		}
	}
	for _, limit := range []int{-1, 1001} {
		if _, err := e.Recent(t.Context(), EventFilter{Limit: limit}); err == nil {
			t.Errorf("limit %d was taken", limit)
		}
	}
	for _, f := range []string{"kind = 'x'", "door = 'x'", "reader = 'x'"} {
		var id, parent, unused int
		var plan string
		if err := e.file.read.QueryRow(`EXPLAIN QUERY PLAN SELECT n, box FROM events WHERE n > 0 AND `+f+` ORDER BY n DESC LIMIT 9`).Scan(&id, &parent, &unused, &plan); err != nil {
			t.Fatal(err)
		}
		if want := "USING INDEX events_"; !strings.Contains(plan, want) {
			t.Errorf("%s: plan %q, want %q", f, plan, want)
		}
	}
}

// TestDamagedEvent: the cloud never waits for an event that the disk lost.
func TestDamagedEvent(t *testing.T) {
	o := options(t)
	e := openEvents(t, o)
	for range 5 {
		appendEvent(t, e, access.Event{At: noon, Kind: access.EventAccess})
	}
	for _, q := range []string{`DELETE FROM events WHERE n IN (1, 5)`, `UPDATE events SET box = zeroblob(50) WHERE n = 3`, `DELETE FROM log_a`} {
		if _, err := e.file.write.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = openEvents(t, o)
	evs, err := e.After(t.Context(), 0, 100)
	if err != nil || !slices.Equal(numbers(evs), []uint64{1, 2, 3, 4, 5}) {
		t.Fatalf("%v, %v, want 1 to 5", numbers(evs), err)
	}
	for i, want := range []string{access.EventGap, access.EventAccess, access.EventGap, access.EventAccess, access.EventGap} {
		if evs[i].Kind != want {
			t.Errorf("event %d is %q, want %q", i+1, evs[i].Kind, want)
		}
	}
	if got := appendEvent(t, e, access.Event{At: noon, Kind: access.EventAccess}); got.N != 6 {
		t.Errorf("next number %d, want 6: numbers are never given twice", got.N)
	}
	if s := e.Stats(); s.Damaged != 1 {
		t.Errorf("%d damaged, want 1", s.Damaged)
	}
}

// breakDisk makes every insert of an event fail, as a full disk does, until
// mend is called.
func breakDisk(t *testing.T, e *Events) (mend func()) {
	t.Helper()
	if _, err := e.file.write.Exec(`CREATE TRIGGER full BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'disk is full'); END`); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if _, err := e.file.write.Exec(`DROP TRIGGER full`); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDiskThatFails(t *testing.T) {
	for _, tt := range []struct {
		name string
		n    int
		gap  uint64
	}{{"few", 5, 0}, {"many", keepRing + 7, 7}} {
		t.Run(tt.name, func(t *testing.T) {
			o := options(t)
			synctest.Test(t, func(t *testing.T) {
				e := openEvents(t, o)
				appendEvent(t, e, access.Event{At: noon, Kind: "before"})
				mend := breakDisk(t, e)
				for i := range tt.n {
					_, err := e.Append(t.Context(), access.Event{At: noon.Add(time.Duration(i) * time.Second), Kind: fmt.Sprint(i)})
					if !errors.Is(err, ErrDeferred) {
						t.Fatalf("append to a full disk: %v, want ErrDeferred", err)
					}
				}
				dev := access.Event{At: noon, Kind: "device", Device: &access.Device{Serial: "A", Seq: 1}}
				if _, err := e.Append(t.Context(), dev); err == nil || errors.Is(err, ErrDeferred) {
					t.Errorf("a controller's event: %v, want an error that is not ErrDeferred", err)
				}
				s := e.Stats()
				if s.Failing == "" || s.Waiting != tt.n-int(tt.gap) || s.Lost != tt.gap {
					t.Errorf("%+v, want %d waiting, %d lost", s, tt.n-int(tt.gap), tt.gap)
				}
				if n, _, err := e.Unsent(t.Context()); err != nil || n != s.Waiting+1 {
					t.Errorf("unsent %d, %v, want %d", n, err, s.Waiting+1)
				}
				mend()
				_, wait := e.Changes()
				began := time.Now()
				<-wait // nobody appends: the store tries by itself
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("stored %v after the disk came back, want at most 10 s", took)
				}
				if got := appendEvent(t, e, dev); got.N != e.Last() {
					t.Errorf("the controller's event told again: %d, last is %d", got.N, e.Last())
				}
				evs, err := e.After(t.Context(), 1, 5000)
				if err != nil {
					t.Fatal(err)
				}
				if tt.gap > 0 {
					if g := evs[0]; g.Kind != access.EventGap || g.Count != tt.gap || !g.Since.Equal(noon) {
						t.Errorf("first is %+v, want a gap of %d since %v", g, tt.gap, noon)
					}
					evs = evs[1:]
				}
				for i, ev := range evs[:len(evs)-1] {
					want := i + int(tt.gap)
					if ev.Kind != fmt.Sprint(want) || !ev.At.Equal(noon.Add(time.Duration(want)*time.Second)) {
						t.Fatalf("event %d is %s at %v, want %d, in order and with its own time", ev.N, ev.Kind, ev.At, want)
					}
				}
				if len(evs) != tt.n-int(tt.gap)+1 {
					t.Errorf("%d events, want %d", len(evs), tt.n-int(tt.gap)+1)
				}
				if s := e.Stats(); s.Failing != "" || s.Waiting != 0 {
					t.Errorf("after the disk came back: %+v", s)
				}
			})
		})
	}
}

func TestCloseSaysWhatIsLost(t *testing.T) {
	e, err := OpenEvents(t.Context(), options(t))
	if err != nil {
		t.Fatal(err)
	}
	breakDisk(t, e)
	if _, err := e.Append(t.Context(), access.Event{At: noon, Kind: "x"}); !errors.Is(err, ErrDeferred) {
		t.Errorf("append: %v, want ErrDeferred", err)
	}
	if err := e.Close(); err == nil {
		t.Error("Close hides that an event is lost")
	}
}

func TestNoteLost(t *testing.T) {
	e := openEvents(t, options(t))
	e.NoteLost(0)
	e.NoteLost(3)
	e.NoteLost(4)
	if got := appendEvent(t, e, access.Event{At: noon, Kind: access.EventAccess}); got.N != 2 {
		t.Errorf("number %d, want 2", got.N)
	}
	evs, err := e.After(t.Context(), 0, 9)
	if err != nil || len(evs) != 2 || evs[0].Kind != access.EventGap || evs[0].Count != 7 || !evs[0].Since.Equal(noon) {
		t.Errorf("%+v, %v, want a gap of 7 first", evs, err)
	}
	if got := appendEvent(t, e, access.Event{At: noon, Kind: access.EventAccess}); got.N != 3 {
		t.Errorf("number %d, want 3: a gap is told once", got.N)
	}
}

func TestAppendsShareTransactions(t *testing.T) {
	e := openEvents(t, options(t))
	const writers, each = 50, 20
	seen := make([][]uint64, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for range each {
				ev, err := e.Append(t.Context(), access.Event{At: noon, Kind: access.EventAccess, Reader: fmt.Sprint(w)})
				if err != nil {
					t.Error(err)
					return
				}
				seen[w] = append(seen[w], ev.N)
			}
		})
	}
	wg.Wait()
	all := map[uint64]bool{}
	for w, ns := range seen {
		if !slices.IsSorted(ns) {
			t.Errorf("numbers of writer %d: %v", w, ns)
		}
		for _, n := range ns {
			all[n] = true
		}
	}
	if len(all) != writers*each || e.Last() != writers*each {
		t.Errorf("%d numbers, last %d, want %d without gaps", len(all), e.Last(), writers*each)
	}
	version, _ := e.Changes()
	if version > writers*each/2 {
		t.Errorf("%d transactions for %d events: they do not share", version, writers*each)
	}
	t.Logf("%d transactions for %d events", version, writers*each)
}

func TestAppendGivesUpWaiting(t *testing.T) {
	e := openEvents(t, options(t))
	e.writing.Lock() // a slow disk
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := e.Append(ctx, access.Event{At: noon, Kind: access.EventAccess})
		got <- err
	}()
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Errorf("append: %v, want context.Canceled", err)
	}
	e.writing.Unlock()
	appendEvent(t, e, access.Event{At: noon, Kind: access.EventAccess})
}

func TestEventThatCannotBeStored(t *testing.T) {
	e := openEvents(t, options(t))
	bad := access.Event{At: time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC), Kind: access.EventAccess}
	if _, err := e.Append(t.Context(), bad); err == nil || errors.Is(err, ErrDeferred) {
		t.Errorf("append of a time that JSON cannot carry: %v, want an error that is final", err)
	}
	if got := appendEvent(t, e, access.Event{At: noon, Kind: access.EventAccess}); got.N != 1 {
		t.Errorf("number %d, want 1", got.N)
	}
}

func TestDuplicateInOneGroup(t *testing.T) {
	e := openEvents(t, options(t))
	ev := access.Event{At: noon, Kind: access.EventAccess, Device: &access.Device{Serial: "A", Boot: 1, Seq: 1}}
	var wg sync.WaitGroup
	var mu sync.Mutex
	stored, again := 0, 0
	for range 20 {
		wg.Go(func() {
			got, err := e.Append(t.Context(), ev)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				stored++
			case errors.Is(err, ErrDuplicate) && got.N == 1:
				again++
			default:
				t.Error(got, err)
			}
		})
	}
	wg.Wait()
	if stored != 1 || again != 19 || e.Last() != 1 {
		t.Errorf("stored %d, told again %d, last %d, want 1, 19, 1", stored, again, e.Last())
	}
}

// TestSalvageEvents: a broken page costs its events and nothing else; numbers
// and epoch go on.
func TestSalvageEvents(t *testing.T) {
	t.Parallel()
	o := options(t)
	e := openEvents(t, o)
	for range 500 {
		appendEvent(t, e, access.Event{At: noon, Kind: access.EventAccess, Text: "a text to make the row longer than it would otherwise be"})
	}
	epoch := e.Epoch()
	breakLeaf(t, e.file, "events", e.Close)
	e = openEvents(t, o)
	evs, err := e.After(t.Context(), 0, 1000)
	if err != nil || len(evs) != 500 || e.Epoch() != epoch || e.Last() != 500 {
		t.Fatalf("%d events, %v, last %d, same epoch %t", len(evs), err, e.Last(), e.Epoch() == epoch)
	}
	gaps := 0
	for _, ev := range evs {
		if ev.Kind == access.EventGap {
			gaps++
		}
	}
	if gaps == 0 || gaps > 50 {
		t.Errorf("%d of 500 events lost, want those of one page", gaps)
	}
	if len(e.Stats().Problems) == 0 {
		t.Error("no word of it")
	}
}
