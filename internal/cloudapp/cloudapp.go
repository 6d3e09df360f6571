package cloudapp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"latchkey/cloud"
	"latchkey/cloud/admin"
	"latchkey/cloud/scim"
	"latchkey/cloud/store"
	"latchkey/delta"
	"latchkey/internal/keyfile"
	"latchkey/uplink"
	"latchkey/uplink/broker"
)

// A serveCmd is everything that the cloud does, in one process.
type serveCmd struct {
	Dir              string `help:"Where the database, keys and the broker's files go." default:"/var/lib/latchkey-cloud" placeholder:"DIR"`
	Listen           string `help:"Where SCIM and the admin API are served; put TLS in front." default:"127.0.0.1:8480"`
	Broker           string `help:"An MQTT broker's URL; empty runs one inside." placeholder:"mqtt://HOST:PORT"`
	BrokerListen     string `help:"Where the broker inside listens." default:"127.0.0.1:1883"`
	BrokerSecretFile string `help:"The secret that the broker's passwords are made from; empty is broker.secret in the folder." placeholder:"FILE"`
	AdminTokenFile   string `help:"The admin API's token; empty is admin.token in the folder, made at the first start." placeholder:"FILE"`
}

func (c *serveCmd) Run(e *env) (err error) {
	log := slog.New(slog.NewTextHandler(e.stderr, nil)).With("program", "cloud")
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return err
	}
	token, err := keyfile.Secret(cmp.Or(c.AdminTokenFile, filepath.Join(c.Dir, "admin.token")))
	if err != nil {
		return err
	}
	secret, err := keyfile.Secret(cmp.Or(c.BrokerSecretFile, filepath.Join(c.Dir, "broker.secret")))
	if err != nil {
		return err
	}
	key, err := keyfile.Key(filepath.Join(c.Dir, "cloud.key"), cloudKeyID)
	if err != nil {
		return err
	}
	st, err := store.Open(e.ctx, filepath.Join(c.Dir, "cloud.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	service, err := cloud.NewService(st, cloud.Options{Log: log})
	if err != nil {
		return err
	}
	brokerURL, stop, err := c.broker(secret, log)
	if err != nil {
		return err
	}
	defer stop()
	publisher, err := uplink.NewCloud(uplink.CloudConfig{Broker: brokerURL, Key: key, Source: source{service}, Log: log})
	if err != nil {
		return err
	}
	handler, err := c.handler(service, string(token), key, log)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(e.ctx)
	g.Go(func() error { return named("gains", service.Run(ctx)) })
	g.Go(func() error { return named("uplink", publisher.Run(ctx)) })
	g.Go(func() error { return named("http", serveHTTP(ctx, c.Listen, handler)) })
	return g.Wait()
}

// broker is the broker's URL with the cloud's own credentials in it, and what
// stops the broker inside, if there is one.
func (c *serveCmd) broker(secret []byte, log *slog.Logger) (string, func(), error) {
	address, stop := c.Broker, func() {}
	if address == "" {
		b, err := startBroker(c.BrokerListen, filepath.Join(c.Dir, "broker"), secret, log)
		if err != nil {
			return "", nil, err
		}
		address, stop = b.URL(), b.Stop
	}
	u, err := url.Parse(address)
	if err != nil {
		return "", nil, fmt.Errorf("--broker: %w", err)
	}
	if u.User == nil {
		u.User = url.UserPassword(cloudUser, broker.Password(secret, cloudUser))
	}
	return u.String(), stop, nil
}

const (
	cloudUser  = "cloud" // at the broker
	cloudKeyID = "cloud-1"
)

func startBroker(listen, dir string, secret []byte, log *slog.Logger) (*broker.Broker, error) {
	host, portText, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, fmt.Errorf("broker: listen %q: want HOST:PORT", listen)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("broker: listen %q: port %q: want a number", listen, portText)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return broker.Start(broker.Config{Host: host, Port: port, StoreDir: dir, Secret: secret, Log: log})
}

func (c *serveCmd) handler(service *cloud.Service, token string, key delta.Key, log *slog.Logger) (http.Handler, error) {
	public, err := delta.MarshalPublic(key.ID, key.Public())
	if err != nil {
		return nil, err
	}
	adm, err := admin.Handler(service, admin.Options{Token: token, CloudKey: public, Log: log})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/scim/v2/", http.StripPrefix("/scim/v2", scim.NewHandler(service, scim.Options{Log: log})))
	mux.Handle("/admin/", http.StripPrefix("/admin", adm))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		if _, err := service.Orgs(r.Context()); err != nil {
			http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	return mux, nil
}

// A source is the service as the uplink wants it.
type source struct{ *cloud.Service }

// HashAt says uplink's own "no such entry".
func (s source) HashAt(ctx context.Context, site string, epoch uint32, seq uint64) (delta.Hash, error) {
	h, err := s.Service.HashAt(ctx, site, epoch, seq)
	if errors.Is(err, cloud.ErrNoEntry) {
		err = fmt.Errorf("%w: %w", uplink.ErrNoEntry, err)
	}
	return h, err
}

// A brokerCmd is the broker of the default set-up in a process of its own.
type brokerCmd struct {
	Dir        string `help:"Where its files go." default:"/var/lib/latchkey-broker" placeholder:"DIR"`
	Listen     string `help:"Where it listens." default:"127.0.0.1:1883"`
	SecretFile string `help:"The secret that passwords are made from: the cloud's broker.secret." required:"" placeholder:"FILE"`
}

func (c *brokerCmd) Run(e *env) error {
	secret, err := keyfile.Secret(c.SecretFile)
	if err != nil {
		return err
	}
	b, err := startBroker(c.Listen, c.Dir, secret, slog.New(slog.NewTextHandler(e.stderr, nil)).With("program", "broker"))
	if err != nil {
		return err
	}
	defer b.Stop()
	<-e.ctx.Done()
	return nil
}

func named(task string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", task, err)
	}
	return nil
}

// serveHTTP answers on addr until ctx ends, then lets running answers finish
// for three seconds: a directory's call is either done or not answered.
func serveHTTP(ctx context.Context, addr string, h http.Handler) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
		defer cancel()
		srv.Shutdown(last)
	})
	if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		stop()
		return err
	}
	<-done
	return nil
}
