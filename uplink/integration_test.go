package uplink

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"latchkey/uplink/broker"
)

// patience bounds what must happen within a test.
const patience = 20 * time.Second

// waitFor returns once ok holds, and fails the test when it does not in time.
func waitFor(t *testing.T, what string, ok func() error) {
	t.Helper()
	began := time.Now()
	defer func() { t.Logf("%s: after %v", what, time.Since(began).Round(time.Millisecond)) }()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		err := ok()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("%s: %v", what, err)
		case <-look.C:
		}
	}
}

// testLog shows a program's log when the test fails.
func testLog(t *testing.T, name string) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil)).With("program", name)
}

// A running is something with Run, in a goroutine of its own.
type running struct {
	cancel context.CancelFunc
	done   chan error
}

func run(f func(context.Context) error) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{cancel, make(chan error, 1)}
	go func() { r.done <- f(ctx) }()
	return r
}

func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	select {
	case err := <-r.done:
		if err != nil {
			t.Errorf("run ended with %v, want nil", err)
		}
	case <-time.After(patience):
		t.Fatal("did not stop")
	}
}

// An outpost is a dweller with a real Site.
type outpost struct {
	mu   sync.Mutex
	disk *disk
	boot int
	site *Site
}

// start runs the outpost as if it had just been switched on.
func (o *outpost) start(t *testing.T, config SiteConfig) *running {
	t.Helper()
	return o.startAt(t, func() (*Site, error) { return NewSite(config) })
}

// startAt is start with a Site that open makes.
func (o *outpost) startAt(t *testing.T, open func() (*Site, error)) *running {
	t.Helper()
	site, err := open()
	if err != nil {
		t.Fatal(err)
	}
	o.mu.Lock()
	o.site = site
	o.boot++
	d := &dweller{disk: o.disk, boot: o.boot}
	o.mu.Unlock()
	return run(func(ctx context.Context) error {
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			for {
				in, err := site.Next(ctx)
				if err != nil {
					return
				}
				o.mu.Lock()
				answers := d.take(in)
				o.mu.Unlock()
				for _, m := range answers {
					if err := site.Send(ctx, m); err != nil && !errors.Is(err, ErrClosed) && ctx.Err() == nil {
						t.Errorf("send %T: %v", m, err)
					}
				}
			}
		})
		return site.Run(ctx)
	})
}

func (o *outpost) check(b *book) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.disk.check(b)
}

// A pub is a broker that can be stopped and started again where it was.
type pub interface {
	url(user string) string
	start(t *testing.T)
	stop(t *testing.T)
}

var brokerSecret = []byte("a secret for tests, 32 bytes long")

type natsPub struct {
	dir  string
	port int
	b    *broker.Broker
}

func (p *natsPub) url(user string) string { return p.b.UserURL(brokerSecret, user) }

func (p *natsPub) start(t *testing.T) {
	t.Helper()
	b, err := broker.Start(broker.Config{Port: p.port, StoreDir: p.dir, Secret: brokerSecret})
	if err != nil {
		t.Fatal(err)
	}
	p.b = b
	_, port, err := net.SplitHostPort(strings.TrimPrefix(b.URL(), "mqtt://"))
	if err != nil {
		t.Fatal(err)
	}
	if p.port, err = strconv.Atoi(port); err != nil {
		t.Fatal(err)
	}
}

func (p *natsPub) stop(*testing.T) { p.b.Stop() }

// A mosquittoPub is Debian's mosquitto in a process of its own.
type mosquittoPub struct {
	program, dir string
	port         int
	cmd          *exec.Cmd
}

func (p *mosquittoPub) url(string) string { return fmt.Sprintf("mqtt://127.0.0.1:%d", p.port) }

func (p *mosquittoPub) start(t *testing.T) {
	t.Helper()
	if p.port == 0 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p.port = l.Addr().(*net.TCPAddr).Port
		l.Close()
	}
	config := filepath.Join(p.dir, "mosquitto.conf")
	text := fmt.Sprintf("listener %d 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n", p.port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.cmd = exec.Command(p.program, "-c", config, "-v")
	out, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// It says "running" once it listens.
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.Contains(lines.Text(), "running") {
	}
	go io.Copy(io.Discard, out)
}

func (p *mosquittoPub) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.cmd.Wait()
}

func TestNATS(t *testing.T) {
	t.Parallel()
	for _, qos := range []byte{0, 1} {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			t.Parallel()
			testBroker(t, &natsPub{port: -1, dir: t.TempDir()}, qos)
		})
	}
}

func TestMosquitto(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		program, err = exec.LookPath("/usr/sbin/mosquitto") // not in everybody's path
	}
	if err != nil {
		t.Skip("mosquitto is not installed")
	}
	for _, qos := range []byte{0, 1} {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			t.Parallel()
			testBroker(t, &mosquittoPub{program: program, dir: t.TempDir()}, qos)
		})
	}
}

// testBroker runs a cloud and three sites over a real broker while broker,
// cloud and sites are stopped and started again. Every delta must be applied
// once, in its turn, and every event be stored once.
func testBroker(t *testing.T, p pub, qos byte) {
	sites := []string{"north", "old-town"}
	book := newBook(t, sites...)
	cloudKey := testKey("cloud-1")
	p.start(t)

	startCloud := func() (*Cloud, *running) {
		c, err := NewCloud(CloudConfig{Broker: p.url(broker.CloudUser), Key: cloudKey, Source: book, QoS: qos, Log: testLog(t, "cloud")})
		if err != nil {
			t.Fatal(err)
		}
		return c, run(c.Run)
	}
	cloud, cloudRun := startCloud()
	outposts := make(map[string]*outpost)
	runs := make(map[string]*running)
	startSite := func(site string) {
		runs[site] = outposts[site].start(t, SiteConfig{
			Broker: p.url(site), Site: site, Key: testKey(site), CloudKeys: cloudKey.Keys(), QoS: qos, Log: testLog(t, site),
		})
	}
	for _, site := range sites {
		outposts[site] = &outpost{disk: newDisk(site)}
		startSite(site)
	}
	n := 0
	write := func(times int) {
		for range times {
			for _, site := range sites {
				n++
				book.write(site, n%40, fmt.Sprint("value ", n))
			}
		}
	}
	allEqual := func() error {
		for _, site := range sites {
			if err := outposts[site].check(book); err != nil {
				return err
			}
		}
		return nil
	}

	waitFor(t, "first day", allEqual)
	write(70) // more than one window
	waitFor(t, "seventy deltas each", allEqual)

	for round := range 2 - int(qos) { // twice where a session is nothing but its socket
		write(20)
		p.stop(t)
		write(20)
		p.start(t)
		write(20)
		waitFor(t, fmt.Sprintf("broker stopped, round %d", round), allEqual)
	}

	runs["north"].stop(t)
	write(70)
	startSite("north")
	write(10)
	waitFor(t, "site restarted", allEqual)

	write(10)
	cloudRun.stop(t)
	write(70)
	cloud, cloudRun = startCloud()
	write(10)
	waitFor(t, "cloud restarted, sites stayed connected", allEqual)

	waitFor(t, "the cloud knows", func() error {
		for _, site := range sites {
			head, err := book.Head(t.Context(), site)
			if err != nil {
				return err
			}
			if s := cloud.SiteStates()[site]; !s.Online || s.Applied != head || s.InFlight != 0 {
				return fmt.Errorf("%s: %+v, want online at seq %d", site, s, head.Seq)
			}
		}
		return nil
	})
	waitFor(t, "every event is stored", func() error {
		for _, site := range sites {
			var stored uint64
			if err := book.do(site, func(p *page) error { stored = uint64(len(p.events)); return nil }); err != nil {
				return err
			}
			o := outposts[site]
			o.mu.Lock()
			events := o.disk.events
			o.mu.Unlock()
			if stored != events {
				return fmt.Errorf("%s: %d events stored of %d", site, stored, events)
			}
		}
		return nil
	})
	for site, o := range outposts {
		if o.disk.jumps != 1 {
			t.Errorf("%s took %d snapshots, want the first one only", site, o.disk.jumps)
		}
		if s := o.site.Stats(); !s.Connected || s.Bad != 0 {
			t.Errorf("%s: %+v, want connected and nothing bad", site, s)
		}
	}
	cloudRun.stop(t)
	for _, r := range runs {
		r.stop(t)
	}
	p.stop(t)
}
