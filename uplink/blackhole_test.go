package uplink

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"latchkey/uplink/broker"
)

// A proxy stands between a client and a broker. A hole takes connections and
// bytes and passes nothing on, and says nothing: a line cut without a word, or
// a broker whose listener outlived it.
type proxy struct {
	listener net.Listener
	target   string
	hole     atomic.Bool
	taken    atomic.Int64 // connections

	wg    sync.WaitGroup
	mu    sync.Mutex
	conns []net.Conn
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, target: target}
	p.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.taken.Add(1)
			p.wg.Go(func() { p.join(c) })
		}
	})
	return p
}

func (p *proxy) join(near net.Conn) {
	far, err := net.Dial("tcp", p.target)
	if err != nil {
		near.Close()
		return
	}
	p.mu.Lock()
	p.conns = append(p.conns, near, far)
	p.mu.Unlock()
	pass := func(to, from net.Conn) {
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			if err != nil {
				to.Close()
				from.Close()
				return
			}
			if !p.hole.Load() {
				to.Write(buf[:n]) // its end shows at the next Read
			}
		}
	}
	p.wg.Go(func() { pass(far, near) })
	pass(near, far)
}

func (p *proxy) stop() {
	p.listener.Close()
	p.mu.Lock()
	for _, c := range p.conns {
		c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}

// url is the broker's URL for user, by way of p.
func (p *proxy) url(t *testing.T, user string) *url.URL {
	t.Helper()
	u, err := parseBroker("mqtt://" + user + ":" + broker.Password(brokerSecret, user) + "@" + p.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestBlackHole: a connection on which nothing comes through, at either end,
// is noticed and made anew, whatever the socket says; ends stop at once also
// while they wait for a broker that does not answer; and nothing stays behind.
func TestBlackHole(t *testing.T) {
	before := runtime.NumGoroutine()
	pub := &natsPub{port: -1, dir: t.TempDir()}
	pub.start(t)
	target := strings.TrimPrefix(pub.b.URL(), "mqtt://")
	up, down := newProxy(t, target), newProxy(t, target)
	book := newBook(t, "north")
	key := testKey("cloud-1")

	times := defaultCloudTiming()
	times.beat, times.silence, times.check = 100*time.Millisecond, 500*time.Millisecond, 20*time.Millisecond
	cloud, err := newCloud(CloudConfig{Broker: "mqtt://x", Key: key, Source: book, Log: testLog(t, "cloud")}, up.url(t, broker.CloudUser), times)
	if err != nil {
		t.Fatal(err)
	}
	cloudRun := run(cloud.Run)
	post := &outpost{disk: newDisk("north")}
	config := SiteConfig{Site: "north", Key: testKey("north"), CloudKeys: key.Keys(), Log: testLog(t, "north")}
	siteRun := post.startAt(t, func() (*Site, error) {
		return newSite(config, down.url(t, "north"), siteTiming{hello: time.Second, silence: 500 * time.Millisecond, check: 20 * time.Millisecond})
	})
	equal := func() error { return post.check(book) }
	waitFor(t, "first day", equal)

	for _, hole := range []struct {
		name string
		at   *proxy
		open func() bool
	}{
		{"site", down, func() bool { return post.site.Stats().Connected }},
		{"cloud", up, func() bool { return cloud.Stats().Connected }},
	} {
		hole.at.hole.Store(true)
		book.write("north", 1, hole.name)
		waitFor(t, "the "+hole.name+" notices", func() error {
			if hole.open() {
				return errors.New("still taken for a connection")
			}
			return nil
		})
		hole.at.hole.Store(false)
		hole.at.drop() // a connection that is being made would wait for its time-out first
		waitFor(t, "the "+hole.name+" is back", equal)
	}

	down.hole.Store(true)
	taken := down.taken.Load()
	waitFor(t, "the site knocks at a broker that is silent", func() error {
		if down.taken.Load() == taken {
			return errors.New("not yet")
		}
		return nil
	})
	began := time.Now()
	siteRun.stop(t)
	cloudRun.stop(t)
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("stopping took %v", took)
	}
	up.stop()
	down.stop()
	pub.stop(t)
	waitFor(t, "all goroutines end", func() error {
		if n := runtime.NumGoroutine(); n > before+2 {
			return fmt.Errorf("%d goroutines, want the %d of before", n, before)
		}
		return nil
	})
}

// drop closes all connections.
func (p *proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// A stuckClient is a client whose connection is gone and that has not noticed:
// its Publish does not return.
type stuckClient struct {
	mqtt.Client
	free chan struct{}
}

func (stuckClient) IsConnectionOpen() bool { return true }

func (c stuckClient) Publish(string, byte, bool, any) mqtt.Token {
	<-c.free
	return &mqtt.DummyToken{}
}

// Nobody waits for a connection that broke while he published.
func TestPublishEndsWithItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := stuckClient{free: make(chan struct{})}
		broken := &session{client: client, lost: make(chan struct{})}
		p := &pipe{session: broken}
		began := time.Now()
		time.AfterFunc(time.Millisecond, func() { broken.end(errors.New("broken pipe")) })
		if err := p.publish(t.Context(), "topic", false, nil); !errors.Is(err, ErrClosed) || time.Since(began) > time.Second {
			t.Errorf("on a broken connection: %v after %v, want %v at once", err, time.Since(began), ErrClosed)
		}
		p.session = &session{client: client, lost: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		if err := p.publish(ctx, "topic", false, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v, want %v", err, context.Canceled)
		}
		close(client.free)
	})
}
