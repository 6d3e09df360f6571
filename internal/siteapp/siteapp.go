package siteapp

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"

	"latchkey/agent"
	"latchkey/agent/statuspage"
	"latchkey/cache"
	"latchkey/delta"
	"latchkey/internal/readerkeys"
	"latchkey/uplink"
	"latchkey/wiegand"
)

// Run works the site of cfg until ctx ends. Logs go to w.
func Run(ctx context.Context, cfg *agent.Config, formats *wiegand.Catalogue, w io.Writer) (err error) {
	log := logger(cfg, w)
	cards, err := cfg.Cards(formats)
	if err != nil {
		return err
	}
	link, err := newLink(cfg, log)
	if err != nil {
		return err
	}
	unlock, err := lockState(cfg.StateDir)
	if err != nil {
		return err
	}
	defer closing(&err, unlock)
	// The page comes first: an address that is taken must be known before doors
	// and cloud see anything of this agent.
	listener, err := net.Listen("tcp", cfg.Status.Listen)
	if err != nil {
		return fmt.Errorf("status page: %w", err)
	}
	defer listener.Close() // by then closed, unless something below fails
	state, err := openState(ctx, cfg.StateDir, log)
	if err != nil {
		return err
	}
	defer closing(&err, state.close)
	problems := append(state.keys.Problems(), strangers(cfg, state.keys.Readers())...)
	control, err := listenControl(cfg.StateDir)
	if err != nil { // doors do not need it
		log.ErrorContext(ctx, "no control socket", "err", err)
		problems = append(problems, "`latchkey-agent osdp` does not work here: "+err.Error())
	} else {
		defer control.Close() // by then closed, unless something below fails
	}
	wants := newWants(state.db)
	wants.cards = cards
	drivers := newDrivers(cfg, state.db, state.keys, wants, log)
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	site, err := agent.New(agent.Options{
		Site: cfg.Site, Name: cfg.Name, Cache: state.db, Events: state.events, Link: siteLink{link}, Drivers: drivers,
		Cards: cards, Log: log, Registry: reg, Problems: problems, Notify: func(s string) { notify(log, s) },
	})
	if err != nil {
		return err
	}
	wants.now = site.Now
	page, err := statuspage.Handler(site, statuspage.Options{
		Metrics: promhttp.HandlerFor(reg, promhttp.HandlerOpts{}), Hosts: cfg.Status.Hosts, Log: log,
	})
	if err != nil {
		return err
	}
	log.InfoContext(ctx, "agent starts", "software", agent.Software, "state", cfg.StateDir, "page", "http://"+listener.Addr().String()+"/")
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return named("uplink", link.Run(ctx)) })
	g.Go(func() error { return named("status page", serve(ctx, listener, page)) })
	if control != nil {
		g.Go(func() error {
			return named("control socket", serveControl(ctx, control, newReaders(cfg, drivers), log))
		})
	}
	g.Go(func() error { wants.run(ctx); return nil })
	g.Go(func() error { return site.Run(ctx) })
	err = g.Wait()
	log.Info("agent stops")
	return err
}

// A state is what an agent keeps in its folder.
type state struct {
	db     *cache.DB
	events *cache.Events
	keys   *readerkeys.Store
}

// openState opens what is in dir, whose lock the caller holds.
func openState(ctx context.Context, dir string, log *slog.Logger) (s *state, err error) {
	key, err := cache.OpenKey(filepath.Join(dir, "cache.key"))
	if err != nil {
		return nil, err
	}
	s = new(state)
	if s.keys, err = readerkeys.Open(readerkeys.Options{Dir: dir, Key: key, Log: log}); err != nil {
		return nil, err
	}
	opts := cache.Options{Dir: dir, Key: key, Log: log}
	if s.db, err = cache.Open(ctx, opts); err != nil {
		return nil, err
	}
	if s.events, err = cache.OpenEvents(ctx, opts); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	return s, nil
}

// close is for the end of all that work with s.
func (s *state) close() error { return errors.Join(s.events.Close(), s.db.Close()) }

func closing(err *error, close func() error) { *err = errors.Join(*err, close()) }

func named(task string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", task, err)
	}
	return nil
}

func logger(cfg *agent.Config, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Log.Level)); err != nil {
		level = slog.LevelInfo // ParseConfig lets nothing else through
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})).With("site", cfg.Site)
}

// notify tells systemd, where there is one.
func notify(log *slog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("service manager not told", "state", state, "err", err)
	}
}

// siteLink is the uplink as the agent wants it.
type siteLink struct{ *uplink.Site }

func (l siteLink) Next(ctx context.Context) (agent.Inbound, error) {
	in, err := l.Site.Next(ctx)
	return agent.Inbound(in), err
}

func newLink(cfg *agent.Config, log *slog.Logger) (*uplink.Site, error) {
	keyFile := cmp.Or(cfg.Cloud.KeyFile, filepath.Join(cfg.StateDir, "site.key"))
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("the site's key: %w; `latchkey-agent keygen --site %s --out %s` makes one", err, cfg.Site, keyFile)
	}
	key, err := delta.LoadPrivate(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", keyFile, err)
	}
	keys := delta.Keys{}
	for _, k := range cfg.Cloud.CloudKeys {
		id, public, err := delta.ParsePublic(k)
		if err != nil {
			return nil, fmt.Errorf("cloud.cloud_keys: %w", err)
		}
		keys[id] = public
	}
	broker, err := brokerURL(&cfg.Cloud)
	if err != nil {
		return nil, err
	}
	tlsConfig, err := tlsOf(&cfg.Cloud.TLS)
	if err != nil {
		return nil, err
	}
	return uplink.NewSite(uplink.SiteConfig{Broker: broker, Site: cfg.Site, Key: key, CloudKeys: keys, TLS: tlsConfig, Log: log})
}

func brokerURL(c *agent.CloudConfig) (string, error) {
	u, err := url.Parse(c.Broker)
	if err != nil {
		return "", err
	}
	if c.PasswordFile != "" {
		pw, err := os.ReadFile(c.PasswordFile)
		if err != nil {
			return "", fmt.Errorf("cloud.password_file: %w", err)
		}
		u.User = url.UserPassword(c.Username, strings.TrimSpace(string(pw)))
	}
	return u.String(), nil
}

func tlsOf(c *agent.TLSConfig) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS13}
	if c.CAFile != "" {
		pem, err := os.ReadFile(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("cloud.tls.ca_file: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("cloud.tls.ca_file: %s has no PEM certificate", c.CAFile)
		}
	}
	if c.CertFile != "" {
		cert, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("cloud.tls: %w", err)
		}
		t.Certificates = []tls.Certificate{cert}
	}
	return t, nil
}

const (
	maxConns  = 128 // of the status page
	pageGrace = time.Second
)

// serve answers on l until ctx ends, then lets running answers finish for
// pageGrace.
func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	return work(ctx, l, maxConns, &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	})
}

// work has srv answer on l, on conns connections at once: see serve.
func work(ctx context.Context, l net.Listener, conns int, srv *http.Server) error {
	few := limit(l, conns)
	srv.ConnState = few.state
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), pageGrace)
		defer cancel()
		if srv.Shutdown(last) != nil {
			srv.Close()
		}
	})
	err := srv.Serve(few)
	if stop() { // the listener failed by itself
		return err
	}
	<-stopped
	return nil
}

// limit lets at most n connections of l be open at once: whoever opens
// thousands must not take the files that doors need. When there are n, the one
// that has been silent for longest goes, so that somebody who opens many and
// says nothing does not keep others from the page.
func limit(l net.Listener, n int) *limited {
	return &limited{Listener: l, slots: make(chan struct{}, n), done: make(chan struct{})}
}

type limited struct {
	net.Listener
	slots chan struct{}
	close sync.Once
	done  chan struct{}

	mu    sync.Mutex
	quiet []net.Conn // nothing was asked on them yet, or all is answered; the oldest first
}

// state is the server's ConnState.
func (l *limited) state(c net.Conn, s http.ConnState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quiet = slices.DeleteFunc(l.quiet, func(q net.Conn) bool { return q == c })
	if s == http.StateNew || s == http.StateIdle {
		l.quiet = append(l.quiet, c)
	}
}

func (l *limited) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	select {
	case l.slots <- struct{}{}:
	default:
		l.mu.Lock()
		var oldest net.Conn
		if len(l.quiet) > 0 {
			oldest, l.quiet = l.quiet[0], l.quiet[1:]
		}
		l.mu.Unlock()
		if oldest != nil {
			oldest.Close()
		}
		select {
		case l.slots <- struct{}{}:
		case <-l.done:
			c.Close()
			return nil, net.ErrClosed
		}
	}
	return &limitedConn{Conn: c, free: sync.OnceFunc(func() { <-l.slots })}, nil
}

func (l *limited) Close() error {
	l.close.Do(func() { close(l.done) })
	return l.Listener.Close()
}

type limitedConn struct {
	net.Conn
	free func()
}

func (c *limitedConn) Close() error {
	defer c.free()
	return c.Conn.Close()
}
