package uplink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/access"
	"latchkey/delta"
)

// A line stands where a broker would: what a cloud and one site publish goes
// through it, in the time of a synctest bubble.
type line struct {
	mu     sync.Mutex
	random *rand.Rand
	loss   int // percent
	double int // percent
	spread time.Duration
	cut    bool      // carries nothing, and says nothing
	last   time.Time // newest delivery: without a spread, nothing overtakes
}

// carry delivers payload after a while: once, twice or never.
func (l *line) carry(deliver func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	copies := 1
	if l.cut || l.random.IntN(100) < l.loss {
		copies--
	}
	if !l.cut && l.random.IntN(100) < l.double {
		copies++
	}
	for range copies {
		at := time.Now().Add(time.Millisecond + time.Duration(l.random.Int64N(int64(l.spread)+1)))
		if l.spread == 0 && !at.After(l.last) {
			at = l.last.Add(time.Microsecond)
		}
		l.last = at
		time.AfterFunc(time.Until(at), deliver)
	}
}

func (l *line) set(loss, double int, spread time.Duration, cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loss, l.double, l.spread, l.cut = loss, double, spread, cut
}

// A rig is a cloud and one site on a line.
type rig struct {
	t     *testing.T
	line  *line
	book  *book
	cloud *Cloud
	stopC func()
	site  *Site
	stopS func()

	// For the line, which delivers what was sent before a restart after it.
	lineCloud atomic.Pointer[Cloud]
	lineSite  atomic.Pointer[Site]

	post *outpost
}

const rigSite = "north"

func newRig(t *testing.T, seed uint64) *rig {
	r := &rig{
		t:    t,
		line: &line{random: rand.New(rand.NewPCG(seed, 0))},
		book: newBook(t, rigSite),
		post: &outpost{disk: newDisk(rigSite)},
	}
	r.startCloud()
	r.startSite()
	return r
}

// firstDay is a rig whose site has what the book has.
func firstDay(t *testing.T, seed uint64) *rig {
	t.Helper()
	r := newRig(t, seed)
	r.mustEqual("first day", time.Minute)
	return r
}

func (r *rig) startCloud() {
	c, err := NewCloud(CloudConfig{Broker: "mqtt://none", Key: testKey("cloud-1"), Source: r.book, Log: testLog(r.t, "cloud")})
	if err != nil {
		r.t.Fatal(err)
	}
	c.publish = func(_ context.Context, topic string, _ bool, payload []byte) error {
		r.line.carry(func() {
			if s := r.lineSite.Load(); s != nil {
				s.receive(topic, payload)
			}
		})
		return nil
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { c.feed(ctx, &wg) })
	r.lineCloud.Store(c)
	r.cloud, r.stopC = c, func() { cancel(); wg.Wait() }
	c.opened()
}

// restoreCloud starts the cloud again from a backup that knows the first delta
// only.
func (r *rig) restoreCloud() {
	r.t.Helper()
	r.stopC()
	if err := r.book.do(rigSite, func(p *page) error {
		p.payloads, p.heads = p.payloads[:1], p.heads[:1]
		return nil
	}); err != nil {
		r.t.Fatal(err)
	}
	r.startCloud()
}

func (r *rig) startSite() {
	s, err := NewSite(SiteConfig{Broker: "mqtt://none", Site: rigSite, Key: testKey(rigSite), CloudKeys: testKey("cloud-1").Keys(), Log: testLog(r.t, "site")})
	if err != nil {
		r.t.Fatal(err)
	}
	s.publish = func(_ context.Context, topic string, _ bool, payload []byte) error {
		r.line.carry(func() { r.lineCloud.Load().receive(topic, payload) })
		return nil
	}
	r.post.boot++
	d := &dweller{disk: r.post.disk, boot: r.post.boot}
	ctx, cancel := context.WithCancel(r.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.answer(ctx) })
	wg.Go(func() {
		for {
			in, err := s.Next(ctx)
			if err != nil {
				return
			}
			r.post.mu.Lock()
			answers := d.take(in)
			r.post.mu.Unlock()
			for _, m := range answers {
				if err := s.Send(ctx, m); err != nil && ctx.Err() == nil {
					r.t.Errorf("send %T: %v", m, err)
				}
			}
		}
	})
	r.lineSite.Store(s)
	r.site, r.stopS = s, func() { cancel(); wg.Wait() }
	s.opened()
}

// equal waits, in the bubble's time, until the site has what the book has.
func (r *rig) equal(within time.Duration) error {
	var err error
	for end := time.Now().Add(within); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = r.post.check(r.book); err == nil {
			return nil
		}
	}
	return fmt.Errorf("after %v: %w", within, err)
}

func (r *rig) mustEqual(what string, within time.Duration) {
	r.t.Helper()
	if err := r.equal(within); err != nil {
		r.t.Fatalf("%s: %v; cloud: %+v", what, err, r.cloud.SiteStates()[rigSite])
	}
}

func (r *rig) stop() {
	r.stopS()
	r.stopC()
}

// TestLossyLine: whatever the line does and whoever restarts, once it is well
// again all deltas are applied in turn and once, and all events are stored.
func TestLossyLine(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, seed)
				random := rand.New(rand.NewPCG(seed, 1))
				r.mustEqual("first day", time.Minute)
				n := 0
				for range 5 {
					r.line.set(random.IntN(60), random.IntN(30), time.Duration(random.Int64N(int64(300*time.Millisecond))), random.IntN(6) == 0)
					for range random.IntN(40) {
						n++
						r.book.write(rigSite, n%30, fmt.Sprint(n))
						time.Sleep(time.Duration(random.Int64N(int64(100 * time.Millisecond))))
					}
					switch random.IntN(4) {
					case 0:
						r.stopS()
						r.startSite()
					case 1:
						r.stopC()
						r.startCloud()
					}
				}
				r.line.set(0, 0, 0, false)
				r.mustEqual("the line is well again", 2*time.Minute)
				time.Sleep(2 * time.Minute) // beats, for the last events
				var stored int
				if err := r.book.do(rigSite, func(p *page) error { stored = len(p.events); return nil }); err != nil {
					t.Fatal(err)
				}
				if stored != n || len(r.post.disk.log) != n {
					t.Errorf("of %d deltas %d were applied, and %d events stored", n, len(r.post.disk.log), stored)
				}
				r.stop()
			})
		})
	}
}

func TestDeltaGoesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := firstDay(t, 1)
		time.Sleep(time.Hour)
		began := time.Now()
		r.book.write(rigSite, 1, "now")
		for r.post.check(r.book) != nil {
			time.Sleep(time.Millisecond)
		}
		if took := time.Since(began); took > 5*time.Millisecond {
			t.Errorf("took %v with a line of 1 ms", took)
		}
		if s := r.cloud.SiteStates()[rigSite]; !s.Online {
			t.Errorf("after an hour of silence but for beats: %+v, want online", s)
		}
		r.stop()
	})
}

func TestLargeSnapshot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3)
		r.stopS()
		for n := range 19 {
			r.book.write(rigSite, n, strings.Repeat("x", 60_000))
		}
		r.book.newEpoch(rigSite)
		r.line.set(20, 10, 300*time.Millisecond, false)
		r.startSite()
		r.mustEqual("snapshot of 19 parts", 10*time.Minute) // more than go at once
		if r.post.disk.jumps != 1 {
			t.Errorf("%d snapshots applied, want 1", r.post.disk.jumps)
		}
		r.stop()
	})
}

func TestNewEpochAndLostLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := firstDay(t, 4)
		r.book.write(rigSite, 1, "a")
		r.mustEqual("one delta", time.Minute)
		r.book.newEpoch(rigSite)
		r.mustEqual("new epoch", time.Minute)
		r.book.write(rigSite, 2, "b")
		r.mustEqual("delta of the new epoch", time.Minute)

		r.stopS()
		for n := range 10 {
			r.book.write(rigSite, n, "c")
		}
		if err := r.book.do(rigSite, func(p *page) error { p.first = 8; return nil }); err != nil {
			t.Fatal(err)
		}
		r.startSite()
		r.mustEqual("log does not go back far enough", time.Minute)
		r.stop()
	})
}

func TestSiteAheadOfItsLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := firstDay(t, 5)
		r.book.write(rigSite, 1, "a")
		r.book.write(rigSite, 2, "b")
		r.mustEqual("two deltas", time.Minute)
		before := r.post.disk.head
		r.restoreCloud()
		time.Sleep(5 * time.Minute)
		if s := r.cloud.SiteStates()[rigSite]; !s.Ahead {
			t.Errorf("%+v, want ahead", s)
		}
		if r.post.disk.head != before {
			t.Errorf("site went to %+v from %+v", r.post.disk.head, before)
		}
		r.stop()
	})
}

func TestSourceFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := firstDay(t, 6)
		r.book.mu.Lock()
		r.book.fail = errors.New("disk is full")
		r.book.mu.Unlock()
		r.book.write(rigSite, 1, "a")
		time.Sleep(5 * time.Minute)
		if s := r.cloud.SiteStates()[rigSite]; !strings.Contains(s.Fault, "disk is full") {
			t.Errorf("%+v, want the fault", s)
		}
		r.book.mu.Lock()
		r.book.fail = nil
		r.book.mu.Unlock()
		r.mustEqual("disk has room again", time.Minute)
		r.stop()
	})
}

// What a hostile broker makes up or puts elsewhere must change nothing.
func TestForgedAndMisplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 7)
		r.book.addSite("south")
		r.mustEqual("first day", time.Minute)
		events := func() delta.Message {
			return &delta.Events{EventEpoch: "e", Events: []access.Event{{N: 1, Kind: access.EventUnlock}}}
		}
		for _, envelope := range [][]byte{
			nil,
			[]byte("rubbish"),
			sealed(t, testKey("stranger"), delta.UpTyp, rigSite, events()),
			sealed(t, testKey("south"), delta.UpTyp, "south", events()),   // another site's, on our topic
			sealed(t, testKey(rigSite), delta.UpTyp, "south", events()),   // ours, in another's name
			sealed(t, testKey(rigSite), delta.DownTyp, rigSite, events()), // reflected
			sealed(t, testKey(rigSite), delta.UpTyp, rigSite, &delta.Beat{}),
		} {
			r.cloud.receive(upTopic(rigSite), envelope)
		}
		time.Sleep(time.Second)
		if got := r.cloud.Stats().Bad; got != 7 {
			t.Errorf("cloud refused %d, want 7", got)
		}
		if err := r.book.do(rigSite, func(p *page) error {
			if len(p.events) != 0 {
				return fmt.Errorf("stored %v", p.events)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}

		r.stopS()
		cloudKey := testKey("cloud-1")
		for _, tt := range []struct {
			envelope []byte
			want     error
			payload  bool
		}{
			{[]byte("rubbish"), delta.ErrForm, false},
			{sealed(t, testKey(rigSite), delta.DownTyp, rigSite, &delta.Beat{}), delta.ErrKey, false},
			{sealed(t, cloudKey, delta.UpTyp, rigSite, &delta.Beat{}), delta.ErrTyp, false},
			{sealed(t, cloudKey, delta.DownTyp, "south", &delta.Beat{}), delta.ErrSite, false},
			{sealed(t, cloudKey, delta.DownTyp, rigSite, events()), delta.ErrType, true},
		} {
			in := r.site.open(tt.envelope)
			if !errors.Is(in.Err, tt.want) || in.Message != nil || (in.Payload != nil) != tt.payload {
				t.Errorf("got %+v, want %v", in, tt.want)
			}
		}
		r.stopC()
	})
}

func TestCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 8)
		command := &delta.Command{ID: "c1", TTL: 30, Name: "blink"}
		if err := r.cloud.Command(t.Context(), "nowhere", command); !errors.Is(err, ErrOffline) {
			t.Errorf("to no site: %v, want %v", err, ErrOffline)
		}
		r.mustEqual("first day", time.Minute)
		received := r.site.Stats().Received
		if err := r.cloud.Command(t.Context(), rigSite, command); err != nil {
			t.Fatal(err)
		}
		if command.Re == "" {
			t.Error("the command echoes no nonce")
		}
		time.Sleep(time.Second)
		if got := r.site.Stats().Received; got != received+1 {
			t.Errorf("site received %d messages, want 1", got-received)
		}
		r.stopS()
		time.Sleep(10 * time.Minute)
		if err := r.cloud.Command(t.Context(), rigSite, command); !errors.Is(err, ErrOffline) {
			t.Errorf("to a site that is gone: %v, want %v", err, ErrOffline)
		}
		r.stopC()
	})
}

// A site that refuses gets a snapshot, and then less and less.
func TestNackSlowsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := firstDay(t, 9)
		r.stopS()
		nack := func() {
			if err := r.site.Send(t.Context(), &delta.Nack{Epoch: 1, Seq: 1, Reason: "shape"}); err != nil {
				t.Fatal(err)
			}
		}
		before := r.cloud.Stats().Snapshots
		began := time.Now()
		for time.Since(began) < 2*time.Minute { // before the site counts as gone
			nack()
			time.Sleep(time.Second)
		}
		if got := r.cloud.Stats().Snapshots - before; got < 1 || got > 4 {
			t.Errorf("%d snapshots within two minutes of refusal, want 1 to 4", got)
		}
		if s := r.cloud.SiteStates()[rigSite]; s.Nack != "shape" {
			t.Errorf("%+v, want the nack", s)
		}
		r.stopC()
	})
}

// A site that refuses a mass loss is asked rarely, until a person has approved
// it: then it is soon.
func TestRefusedLossWaitsForAWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 10)
		r.mustEqual("first day", time.Minute)
		refuse := func(yes bool) {
			r.post.mu.Lock()
			defer r.post.mu.Unlock()
			r.post.disk.refuses = yes
		}
		refuse(true)
		before := r.cloud.Stats().Snapshots
		r.book.write(rigSite, 1, "nobody may enter")
		if err := r.equal(2 * time.Hour); err == nil {
			t.Fatal("the site took what it refuses")
		}
		if n := r.cloud.Stats().Snapshots - before; n < 2 || n > 8 {
			t.Errorf("%d snapshots were tried in two hours, want 2 to 8", n)
		}
		if s := r.cloud.SiteStates()[rigSite]; s.Nack != delta.ReasonMass {
			t.Errorf("%+v, want the nack", s)
		}
		word := &delta.Approval{By: "ann", Removes: 30}
		if err := r.book.do(rigSite, func(p *page) error { p.word = word; return nil }); err != nil {
			t.Fatal(err)
		}
		r.mustEqual("approved", r.cloud.timing.beat+time.Second)
		refuse(false)
		r.book.write(rigSite, 2, "as before")
		r.mustEqual("after it", time.Second)
		r.stop()
	})
}

// What is taken away goes ahead of what waits for its turn: of a backlog, and
// of a snapshot that is under way. It makes no gap that is asked for.
func TestDenialsOvertake(t *testing.T) {
	t.Parallel()
	denied := access.Ref{Kind: access.KindPerson, Key: "p1"}
	at := func(r *rig) (held delta.Head, ok bool) {
		r.post.mu.Lock()
		defer r.post.mu.Unlock()
		held, ok = r.post.disk.blocked[denied]
		return held, ok
	}
	t.Run("backlog", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 20)
			r.book.write(rigSite, 0, "a")
			r.mustEqual("first day", time.Minute)
			r.stopS()
			for n := range 300 {
				r.book.write(rigSite, n%30, fmt.Sprint(n))
			}
			r.book.deny(rigSite, 1, "gone", denied)
			r.startSite()
			r.mustEqual("backlog", time.Minute)
			if held, ok := at(r); !ok || held.Seq > 200 {
				t.Errorf("denied at seq %d (%v), want before 200 of 302", held.Seq, ok)
			}
			if got := r.cloud.Stats().Resent; got > 64 {
				t.Errorf("%d deltas were sent again on a line that loses nothing, want at most one window", got)
			}
			r.stop()
		})
	})
	t.Run("snapshot", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, 21)
			r.book.write(rigSite, 0, "a")
			r.mustEqual("first day", time.Minute)
			r.stopS()
			for n := range 19 { // each a part of its own, and more than go at once
				r.book.write(rigSite, n, strings.Repeat("x", 60_000))
			}
			r.book.newEpoch(rigSite)
			r.line.set(0, 0, 3*time.Second, false) // slow
			r.startSite()
			for r.cloud.SiteStates()[rigSite].Snapshot == 0 {
				time.Sleep(time.Millisecond)
			}
			r.line.set(0, 0, 0, true) // its last part is lost
			time.Sleep(2 * time.Second)
			r.line.set(0, 0, 0, false)
			r.book.deny(rigSite, 1, "gone", denied)
			r.mustEqual("snapshot", time.Minute)
			if held, ok := at(r); !ok || held.Epoch != 1 {
				t.Errorf("denied in epoch %d (%v), want in 1, before the snapshot", held.Epoch, ok)
			}
			if r.post.disk.jumps != 2 {
				t.Errorf("%d snapshots were applied, want that of the first day and this one", r.post.disk.jumps)
			}
			r.stop()
		})
	})
}

// A site that was ahead of a log that was set back is served again once the
// log has grown past it, without a new connection.
func TestLogCatchesUpWithTheSite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := firstDay(t, 22)
		for n := range 3 {
			r.book.write(rigSite, n, "a")
		}
		r.mustEqual("three deltas", time.Minute)
		r.restoreCloud()
		time.Sleep(time.Minute)
		for n := range 2 { // as long as the one that the site has, and another
			if !r.cloud.SiteStates()[rigSite].Ahead {
				t.Fatalf("not ahead after %d deltas", n)
			}
			r.book.write(rigSite, n, "b")
			time.Sleep(time.Second)
		}
		r.mustEqual("the log caught up", time.Minute)
		r.stop()
	})
}

// sealed is a message in the site's name, as who has the key k sends it.
func sealed(t *testing.T, k delta.Key, typ, site string, m delta.Message) []byte {
	t.Helper()
	delta.HeaderOf(m).Site = site
	payload, err := delta.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	envelope, err := delta.Seal(k, typ, payload)
	if err != nil {
		t.Fatal(err)
	}
	return envelope
}

// upFrom is a message as the site sends it.
func upFrom(t *testing.T, site string, m delta.Message) []byte {
	t.Helper()
	return sealed(t, testKey(site), delta.UpTyp, site, m)
}

// A site that we hear and that does not hear us repeats its hello. It must not
// be sent the whole window each time.
func TestRepeatedHelloIsNoStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := firstDay(t, 23)
		r.stopS()
		r.lineSite.Store(nil)
		for n := range 100 {
			r.book.write(rigSite, n%30, fmt.Sprint(n))
		}
		time.Sleep(time.Minute)
		before := r.cloud.Stats().Resent
		h := hello("again")
		h.Head = r.post.disk.head
		for range 20 {
			r.cloud.receive(upTopic(rigSite), upFrom(t, rigSite, h))
			time.Sleep(10 * time.Second)
		}
		// The first hello brings one window; its time-outs bring two more, then single deltas.
		if got := r.cloud.Stats().Resent - before; got > 64*3+30 {
			t.Errorf("%d deltas were sent again for 20 copies of one hello", got)
		}
		r.stopC()
	})
}

// Two agents with one site's id, such as a cloned disk, are told and do not
// chase one another.
func TestTwoAgentsOfOneSite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := firstDay(t, 24)
		r.stopS()
		r.lineSite.Store(nil)
		count := func() (n int) {
			if err := r.book.do(rigSite, func(p *page) error { n = len(p.hellos); return nil }); err != nil {
				t.Fatal(err)
			}
			return n
		}
		before := count()
		// Each repeats its hello half a second after the cloud has echoed the other's.
		for i := range 600 {
			h := hello([]string{"one", "two"}[i%2])
			h.Head = r.post.disk.head
			r.cloud.receive(upTopic(rigSite), upFrom(t, rigSite, h))
			time.Sleep(500 * time.Millisecond)
		}
		if s := r.cloud.SiteStates()[rigSite]; !s.Rivals || !s.Online {
			t.Errorf("%+v, want rivals", s)
		}
		if got := count() - before; got > 30 {
			t.Errorf("%d hellos were taken in 5 minutes, want at most 30", got)
		}
		time.Sleep(rivalQuiet)
		r.cloud.receive(upTopic(rigSite), upFrom(t, rigSite, hello("three")))
		time.Sleep(time.Second)
		if s := r.cloud.SiteStates()[rigSite]; s.Rivals {
			t.Errorf("%+v long after the rival is gone, want none", s)
		}
		r.stopC()
	})
}

// A peer that floods us fills neither the memory nor the log file.
func TestFloodIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := firstDay(t, 25)
		r.cloud.mu.Lock()
		l := r.cloud.lanes[rigSite]
		r.cloud.mu.Unlock()
		before := r.cloud.Stats()
		for range 100 {
			r.cloud.receive(upTopic(rigSite), make([]byte, delta.MaxSealed))
			r.cloud.receive(upTopic(rigSite), make([]byte, 2<<20))
			if got := l.waiting.Load(); got > laneBytes {
				t.Fatalf("%d bytes wait, want at most %d", got, laneBytes)
			}
		}
		time.Sleep(time.Second)
		after := r.cloud.Stats()
		if lost := after.Bad + after.Dropped - before.Bad - before.Dropped; lost < 150 || lost > 200 {
			t.Errorf("%d of 200 are counted as bad or dropped, want all but what the queue holds", lost)
		}
		if got := l.waiting.Load(); got != 0 {
			t.Errorf("%d bytes wait at rest", got)
		}
		r.book.write(rigSite, 1, "still well")
		r.mustEqual("after the flood", time.Minute)
		r.stop()
	})
}
