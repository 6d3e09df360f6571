package cloudapp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"golang.org/x/sync/errgroup"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
	"latchkey/cloud/egress"
	"latchkey/cloud/okta"
	"latchkey/cloud/seal"
	"latchkey/delta"
	"latchkey/internal/keyfile"
	"latchkey/internal/program"
	"latchkey/uplink"
	"latchkey/uplink/broker"
)

// Software is what the cloud calls itself in its metrics and on the command line.
const Software = "latchkey-cloud 0.1"

const (
	cloudUser  = "cloud" // at the broker
	cloudKeyID = "cloud-1"
)

// A serveCmd is everything that the cloud does, in one process.
type serveCmd struct {
	Dir              string         `help:"Where the database, keys and the broker's files go." default:"/var/lib/latchkey-cloud" placeholder:"DIR"`
	Listen           string         `help:"Where SCIM, the admin API, /healthz, /readyz and /metrics are served. Put TLS in front, and let it pass /scim/v2, /admin and /okta/events alone." default:"127.0.0.1:8480" placeholder:"HOST:PORT"`
	PublicURL        string         `help:"How browsers reach the cloud, such as https://cloud.example: the admin pages answer there alone. Empty is this machine, at the port of --listen." env:"LATCHKEY_PUBLIC_URL" placeholder:"URL"`
	TrustProxy       []netip.Prefix `help:"Networks of proxies whose X-Forwarded-For is believed, besides those on this machine." env:"LATCHKEY_TRUST_PROXY" placeholder:"10.0.0.0/24"`
	PrivateProviders bool           `help:"Let organisations name sign-in providers and Oktas in private networks, such as the cloud's own. Without --public-url they may anyway." env:"LATCHKEY_PRIVATE_PROVIDERS"`
	Broker           string         `help:"An MQTT broker's URL; empty runs one inside." placeholder:"mqtt://HOST:PORT"`
	BrokerListen     string         `help:"Where the broker inside listens." default:"127.0.0.1:1883" placeholder:"HOST:PORT"`
	OktaKeyFile      string         `help:"The secret that Okta's tokens and sign-in providers' client secrets are sealed with in the database; empty is okta.key in the folder, made at the first start." placeholder:"FILE"`
	BrokerSecretFile string         `help:"The secret that the broker's passwords are made from; empty is broker.secret in the folder." placeholder:"FILE"`
	AdminTokenFile   string         `help:"The admin API's tokens, one a line, read again at each call; empty is admin.token in the folder, made at the first start." placeholder:"FILE"`
	databaseFlags    `embed:""`
}

// Run serves until e.Context ends, and returns nil then.
//
// It stops in the order that keeps promises: first no new calls come in and
// those under way are answered, which they are only once their change is on
// the disk; then the link to the sites; then the broker; then the database.
// All of that takes less than 5 s. Whatever a kill leaves undone is in the
// database, and goes on at the next start.
func (c *serveCmd) Run(e *program.Env) (err error) {
	log := logger(e, "cloud")
	// The address comes first: one that is taken must be known before anything
	// is made or anybody sees this cloud.
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	defer listener.Close() // by then closed, unless something below fails
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return fmt.Errorf("--dir: %w", err)
	}
	tokenFile := cmp.Or(c.AdminTokenFile, filepath.Join(c.Dir, "admin.token"))
	if _, err := keyfile.Secret(tokenFile); err != nil {
		return fmt.Errorf("admin token: %w", err)
	}
	secret, err := keyfile.Secret(cmp.Or(c.BrokerSecretFile, filepath.Join(c.Dir, "broker.secret")))
	if err != nil {
		return fmt.Errorf("broker secret: %w", err)
	}
	key, err := keyfile.Key(filepath.Join(c.Dir, "cloud.key"), cloudKeyID)
	if err != nil {
		return fmt.Errorf("cloud key: %w", err)
	}
	st, err := c.open(e.Context, c.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	service, err := cloud.NewService(st, cloud.Options{Log: log})
	if err != nil {
		return err
	}
	pulls, door, err := c.sealed(service, listener.Addr(), log)
	if err != nil {
		return err
	}
	brokerURL, stop, err := c.broker(secret, log)
	if err != nil {
		return err
	}
	defer stop()
	events := &eventCounter{}
	publisher, err := uplink.NewCloud(uplink.CloudConfig{Broker: brokerURL, Key: key, Source: &source{service, events}, Leases: leases(service), Log: log})
	if err != nil {
		return err
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	handler, err := newHandler(handlerConfig{
		service: service, okta: pulls, signIn: door, link: publisher, events: events, reg: reg, key: key, log: log,
		tokens: func() ([]string, error) { return keyfile.Secrets(tokenFile) }, proxies: c.TrustProxy,
	})
	if err != nil {
		return err
	}
	log.Info("cloud starts", "software", Software, "dir", c.Dir, "listen", listener.Addr().String())
	err = work(e.Context, func(ctx context.Context) error { return serveHTTP(ctx, listener, handler, log) },
		task{"gains", service.Run}, task{"uplink", publisher.Run}, task{"okta", pulls.Run})
	log.Info("cloud stops")
	return err
}

// sealed is what keeps secrets of its own in the database: what reads the
// organisations' Okta, and the sign-in to the admin pages.
func (c *serveCmd) sealed(service *cloud.Service, at net.Addr, log *slog.Logger) (*okta.Service, *signin.Service, error) {
	secret, err := keyfile.Secret(cmp.Or(c.OktaKeyFile, filepath.Join(c.Dir, "okta.key")))
	if err != nil {
		return nil, nil, fmt.Errorf("okta key: %w", err)
	}
	sealer, err := seal.New(secret, okta.SealPurpose)
	if err != nil {
		return nil, nil, err
	}
	pulls, err := okta.NewService(service, okta.Options{Seal: sealer, Transport: c.outbound(okta.NewTransport()), Log: log})
	if err != nil {
		return nil, nil, err
	}
	public := cmp.Or(c.PublicURL, localURL(at))
	log.Info("admin pages", "url", strings.TrimSuffix(public, "/")+signin.Root)
	door, err := signin.NewService(service, signin.Options{PublicURL: public, Secret: secret, Proxies: c.TrustProxy, Transport: c.outbound(signin.NewTransport()), Log: log})
	if err != nil {
		return nil, nil, fmt.Errorf("--public-url: %w", err)
	}
	return pulls, door, nil
}

// outbound is t for hosts that an organisation's owner names. Where owners come
// from elsewhere they may be anybody, and are not to reach what is beside the
// cloud.
func (c *serveCmd) outbound(t *http.Transport) http.RoundTripper {
	if c.PublicURL == "" || c.PrivateProviders {
		return t
	}
	return egress.Outside(t)
}

// localURL is how a browser of this machine reaches an address that is listened
// on. Of another machine it would come by plain HTTP, and gets no cookie.
func localURL(at net.Addr) string {
	host, port := "127.0.0.1", "80"
	if tcp, ok := at.(*net.TCPAddr); ok {
		port = strconv.Itoa(tcp.Port)
		if tcp.IP.IsLoopback() {
			host = tcp.IP.String()
		}
	}
	return "http://" + net.JoinHostPort(host, port)
}

// A task runs until its context ends.
type task struct {
	name string
	run  func(context.Context) error
}

// work runs front and the tasks behind it until ctx ends or one of them fails.
// The tasks go on until front has ended.
func work(ctx context.Context, front func(context.Context) error, behind ...task) error {
	g, failed := errgroup.WithContext(context.WithoutCancel(ctx))
	back, stopBack := context.WithCancel(failed)
	for _, t := range behind {
		g.Go(func() error { return named(t.name, t.run(back)) })
	}
	frontCtx, stopFront := context.WithCancel(ctx)
	defer stopFront()
	defer context.AfterFunc(failed, stopFront)()
	g.Go(func() error {
		defer stopBack()
		return named("http", front(frontCtx))
	})
	return g.Wait()
}

func named(task string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", task, err)
	}
	return nil
}

// broker is the broker's URL with the cloud's own credentials in it, and what
// stops the broker inside, if there is one.
func (c *serveCmd) broker(secret []byte, log *slog.Logger) (string, func(), error) {
	if c.Broker == "" {
		b, err := startBroker("--broker-listen", c.BrokerListen, filepath.Join(c.Dir, "broker"), secret, log)
		if err != nil {
			return "", nil, err
		}
		return b.UserURL(secret, cloudUser), b.Stop, nil
	}
	u, err := url.Parse(c.Broker)
	if err != nil {
		return "", nil, errors.New("--broker: want mqtt://HOST:PORT") // url's own error repeats the password
	}
	if u.User == nil {
		u.User = url.UserPassword(cloudUser, broker.Password(secret, cloudUser))
	}
	return u.String(), func() {}, nil
}

// startBroker starts our own broker on what flag says.
func startBroker(flag, listen, dir string, secret []byte, log *slog.Logger) (*broker.Broker, error) {
	host, portText, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, fmt.Errorf("%s: got %q, want HOST:PORT", flag, listen)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return nil, fmt.Errorf("%s: got port %q, want 0 to 65535; 0 picks one", flag, portText)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	picks := int(port)
	if picks == 0 {
		picks = -1 // the broker's word for it
	}
	return broker.Start(broker.Config{Host: host, Port: picks, StoreDir: dir, Secret: secret, Log: log})
}

// A source is the service as the uplink wants it.
type source struct {
	*cloud.Service
	events *eventCounter
}

// HashAt says uplink's own "no such entry".
func (s *source) HashAt(ctx context.Context, site string, epoch uint32, seq uint64) (delta.Hash, error) {
	h, err := s.Service.HashAt(ctx, site, epoch, seq)
	if errors.Is(err, cloud.ErrNoEntry) {
		err = fmt.Errorf("%w: %w", uplink.ErrNoEntry, err)
	}
	return h, err
}

// Events counts what was stored.
func (s *source) Events(ctx context.Context, site string, e *delta.Events) (uint64, error) {
	return s.events.store(ctx, site, e, s.Service.Events)
}

// A brokerCmd is the broker of the default set-up in a process of its own.
type brokerCmd struct {
	Dir        string `help:"Where its files go." default:"/var/lib/latchkey-broker" placeholder:"DIR"`
	Listen     string `help:"Where it listens." default:"127.0.0.1:1883" placeholder:"HOST:PORT"`
	SecretFile string `help:"The secret that passwords are made from: the cloud's broker.secret." required:"" placeholder:"FILE"`
}

func (c *brokerCmd) Run(e *program.Env) error {
	secret, err := keyfile.Secret(c.SecretFile)
	if err != nil {
		return fmt.Errorf("--secret-file: %w", err)
	}
	log := logger(e, "broker")
	b, err := startBroker("--listen", c.Listen, c.Dir, secret, log)
	if err != nil {
		return err
	}
	defer b.Stop()
	log.Info("broker starts", "listen", b.URL())
	<-e.Context.Done()
	return nil
}

// A brokerPasswordCmd saves operators the arithmetic of broker.Password.
type brokerPasswordCmd struct {
	SecretFile string `help:"The broker's secret." default:"/var/lib/latchkey-cloud/broker.secret" placeholder:"FILE"`
	User       string `arg:"" help:"A property's id, or cloud."`
}

func (c *brokerPasswordCmd) Run(e *program.Env) error {
	secrets, err := keyfile.Secrets(c.SecretFile) // never makes one: its passwords would open nothing
	if err != nil {
		return fmt.Errorf("--secret-file: %w", err)
	}
	_, err = fmt.Fprintln(e.Stdout, broker.Password([]byte(secrets[0]), c.User))
	return err
}

func logger(e *program.Env, program string) *slog.Logger {
	return slog.New(slog.NewTextHandler(e.Stderr, nil)).With("program", program)
}

// grace is how long calls under way may take once the cloud stops.
const grace = 3 * time.Second

// serveHTTP answers on l until ctx ends, then lets the calls under way finish.
// One that is not finished in time is cut off: its transaction is undone unless
// it was committed, and nobody was told that it was done.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger) error {
	calls, cutOff := context.WithCancel(context.WithoutCancel(ctx))
	defer cutOff()
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		BaseContext: func(net.Listener) context.Context { return calls },
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		last, cancel := context.WithTimeout(calls, grace)
		defer cancel()
		if err := srv.Shutdown(last); err != nil {
			log.Warn("calls were cut off", "after", grace)
			cutOff()
			srv.Close()
		}
	})
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		stop()
		return err
	}
	<-done
	return nil
}
