package uplink

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/delta"
)

// A desk hands out leases of sites as a database does that several clouds
// share: for 6 s, of which the holder uses 5.
type desk struct {
	sites []string

	mu     sync.Mutex
	alive  map[string]time.Time // by cloud
	owner  map[string]string    // by site
	fences map[string]uint64
	away   map[string]bool // clouds that cannot reach the desk
}

func newDesk(sites ...string) *desk {
	return &desk{sites: sites, alive: map[string]time.Time{}, owner: map[string]string{}, fences: map[string]uint64{}, away: map[string]bool{}}
}

func (d *desk) cut(cloud string, away bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.away[cloud] = away
}

// A seat is one cloud's place at a desk.
type seat struct {
	*desk
	cloud string
}

func (s seat) Claim(context.Context) (map[string]uint64, time.Time, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.away[s.cloud] {
		return nil, now, errors.New("no desk")
	}
	s.alive[s.cloud] = now.Add(6 * time.Second)
	held := map[string]uint64{}
	for _, site := range s.sites {
		if s.alive[s.owner[site]].Before(now) {
			s.owner[site] = s.cloud
			s.fences[site]++
		}
		if s.owner[site] == s.cloud {
			held[site] = s.fences[site]
		}
	}
	return held, now.Add(5 * time.Second), nil
}

func (s seat) Release(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.alive, s.cloud)
	return nil
}

// A voice is something that a cloud sent to a site.
type voice struct {
	cloud string
	at    time.Time
}

// A choir is clouds that share a book and a desk.
type choir struct {
	t     *testing.T
	book  *book
	desk  *desk
	mu    sync.Mutex
	sent  []voice
	cloud map[string]*Cloud
}

func (c *choir) sing(name string) *running {
	c.t.Helper()
	cloud, err := NewCloud(CloudConfig{Broker: "mqtt://none", Key: testKey("cloud-1"), Source: c.book, Leases: seat{c.desk, name}})
	if err != nil {
		c.t.Fatal(err)
	}
	cloud.publish = func(_ context.Context, topic string, _ bool, _ []byte) error {
		if topic != upTopic(cloudID) {
			c.mu.Lock()
			c.sent = append(c.sent, voice{name, time.Now()})
			c.mu.Unlock()
		}
		return nil
	}
	c.mu.Lock()
	c.cloud[name] = cloud
	c.mu.Unlock()
	return run(func(ctx context.Context) error {
		defer cloud.release(ctx)
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() { cloud.hold(ctx) })
		wg.Go(func() { cloud.feed(ctx, &wg) })
		return nil
	})
}

// say lets all clouds hear a site, as a broker does.
func (c *choir) say(site string, m delta.Message) {
	envelope := upFrom(c.t, site, m)
	for _, cloud := range c.cloud {
		cloud.receive(upTopic(site), envelope)
	}
}

// heard is who sent in the time since.
func (c *choir) heard(since time.Time) map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := map[string]int{}
	for _, v := range c.sent {
		if !v.at.Before(since) {
			n[v.cloud]++
		}
	}
	return n
}

func newChoir(t *testing.T, sites ...string) *choir {
	return &choir{t: t, book: newBook(t, sites...), desk: newDesk(sites...), cloud: map[string]*Cloud{}}
}

// duet is two clouds that hear one site, of which the first has its lease.
func duet(t *testing.T) (c *choir, a, b *running) {
	c = newChoir(t, "north")
	a = c.sing("a")
	time.Sleep(time.Second)
	b = c.sing("b")
	time.Sleep(3 * time.Second)
	return c, a, b
}

// TestOneCloudServesASite: of two that hear a site the one that has the lease
// answers, until it stops; then the other does, soon.
func TestOneCloudServesASite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a, b := duet(t)
		since := time.Now()
		for i := range 5 {
			c.say("north", hello(fmt.Sprint("a", i)))
			time.Sleep(time.Second)
		}
		if n := c.heard(since); n["a"] < 5 || n["b"] != 0 {
			t.Errorf("sent %v, want all by a", n)
		}
		if st := c.cloud["b"].Stats(); st.Bad != 0 {
			t.Errorf("b took %d messages of a's site for bad ones", st.Bad)
		}
		a.stop(t)
		since = time.Now().Add(1)
		time.Sleep(2500 * time.Millisecond)
		c.say("north", hello("b"))
		time.Sleep(time.Second)
		if n := c.heard(since); n["b"] == 0 || n["a"] != 0 {
			t.Errorf("after the stop sent %v, want all by b", n)
		}
		b.stop(t)
	})
}

// TestCutOffCloudFallsSilent: a cloud that cannot renew its leases sends nothing
// by the time that another one may, though it hears everything.
func TestCutOffCloudFallsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, a, b := duet(t)
		c.desk.cut("a", true)
		cut := time.Now()
		for i := range 150 {
			c.say("north", hello(fmt.Sprint(i)))
			time.Sleep(100 * time.Millisecond)
		}
		var lastA, firstB time.Time
		c.mu.Lock()
		sent := slices.Clone(c.sent)
		c.mu.Unlock()
		for _, v := range sent {
			switch {
			case v.cloud == "a":
				lastA = v.at
			case firstB.IsZero():
				firstB = v.at
			}
		}
		if lastA.Before(cut) || firstB.IsZero() || !lastA.Before(firstB) {
			t.Errorf("a sent until %v after the cut, b from %v on", lastA.Sub(cut), firstB.Sub(cut))
		}
		if took := firstB.Sub(cut); took > 10*time.Second {
			t.Errorf("b took over after %v, want within 10 s", took)
		}
		c.desk.cut("a", false) // nothing is left for it
		since := time.Now()
		time.Sleep(3 * time.Second)
		c.say("north", hello("again"))
		time.Sleep(time.Second)
		if n := c.heard(since); n["a"] != 0 || n["b"] == 0 {
			t.Errorf("sent %v, want all by b", n)
		}
		a.stop(t)
		b.stop(t)
	})
}
