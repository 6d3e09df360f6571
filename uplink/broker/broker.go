// Package broker is the MQTT broker that stands in the cloud's own process when
// no other is wanted: nats-server with its MQTT listener and nothing else open.
package broker

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// CloudUser is the user name of the cloud, which may read and write all
// branches. A site's is its id.
const CloudUser = "cloud"

const (
	startTimeout = 20 * time.Second
	maxPayload   = 2 << 20  // a message of 1 MiB would break its publisher's connection at the default
	maxPending   = 16 << 20 // bytes that wait for one slow reader; the uplink sends no more than 7 MB ahead
	maxMemory    = 64 << 20 // of JetStream, which MQTT wants for retained messages and QoS 1
	maxStore     = 1 << 30  // likewise, on disk
)

// A Config is what a broker needs.
type Config struct {
	Host     string      // to listen on; "" is 127.0.0.1
	Port     int         // -1 picks a free one
	StoreDir string      // made if it is not there; holds nothing that cannot be lost
	Secret   []byte      // from which all passwords come; nil lets everybody do everything, for tests only
	TLS      *tls.Config // nil is plain TCP
	Log      *slog.Logger
}

// A Broker is a running broker. It must be stopped.
type Broker struct {
	server *server.Server
	scheme string
	host   string
	port   int
	stop   sync.Once
}

// Start starts a broker and returns once it takes connections.
func Start(c Config) (*Broker, error) {
	if c.Port == 0 || c.Port < -1 || c.Port > 65535 {
		return nil, fmt.Errorf("broker: port %d, want 1 to 65535, or -1 for any", c.Port)
	}
	if c.StoreDir == "" {
		return nil, errors.New("broker: no store directory")
	}
	if c.Secret != nil && len(c.Secret) < 16 {
		return nil, fmt.Errorf("broker: secret of %d bytes, want at least 16", len(c.Secret))
	}
	if err := os.MkdirAll(c.StoreDir, 0o700); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	host := c.Host
	if host == "" {
		host = "127.0.0.1"
	}
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	o := &server.Options{
		ServerName: "latchkey",
		DontListen: true, // no NATS clients
		NoSigs:     true, // signals are the program's business
		MaxPayload: maxPayload,
		MaxPending: maxPending,

		JetStream:          true, // the MQTT listener does not start without it
		StoreDir:           c.StoreDir,
		JetStreamMaxMemory: maxMemory,
		JetStreamMaxStore:  maxStore,
		// A QoS 1 subscription is a consumer, and at the default the 1,001st
		// site would be refused.
		JetStreamLimits: server.JSLimitOpts{DefaultMaxConsumers: -1},

		MQTT: server.MQTTOpts{Host: host, Port: c.Port, MaxAckPending: 65535, TLSConfig: c.TLS},
	}
	if c.TLS != nil {
		o.MQTT.TLSTimeout = 10 // seconds
	}
	if c.Secret != nil {
		o.CustomClientAuthentication = &guard{secret: c.Secret}
	}
	srv, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	l := &logger{log: log, fatal: make(chan string, 1)}
	srv.SetLogger(l, false, false)
	b := &Broker{server: srv, scheme: "mqtt", host: host}
	if c.TLS != nil {
		b.scheme = "mqtts"
	}

	srv.Start()
	ready := make(chan bool, 1)
	go func() { ready <- srv.ReadyForConnections(startTimeout) }()
	select {
	case why := <-l.fatal:
		b.Stop()
		return nil, fmt.Errorf("broker: %s", why)
	case ok := <-ready:
		if !ok {
			b.Stop()
			return nil, fmt.Errorf("broker: not ready within %v", startTimeout)
		}
	}
	b.port = o.MQTT.Port // nats-server writes the picked one back
	return b, nil
}

// URL is where the broker listens, without a user: "mqtt://127.0.0.1:1883".
func (b *Broker) URL() string {
	u := url.URL{Scheme: b.scheme, Host: net.JoinHostPort(b.host, strconv.Itoa(b.port))}
	return u.String()
}

// UserURL is URL with a user and the password that secret gives it.
func (b *Broker) UserURL(secret []byte, user string) string {
	u := url.URL{
		Scheme: b.scheme,
		Host:   net.JoinHostPort(b.host, strconv.Itoa(b.port)),
		User:   url.UserPassword(user, Password(secret, user)),
	}
	return u.String()
}

// Stop ends all connections and returns once everything has stopped. Stopping
// again does nothing.
func (b *Broker) Stop() {
	b.stop.Do(func() {
		b.server.Shutdown()
		b.server.WaitForShutdown()
	})
}

// Password is the password of a user: HMAC-SHA256 of its name under secret, in
// base64url. So no list of users need be kept, and to change all passwords is
// to change the secret.
func Password(secret []byte, user string) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("latchkey broker user " + user))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// A guard lets in who knows a password, and holds each site to its own branch.
type guard struct{ secret []byte }

// Check is called by the server for each connection.
func (g *guard) Check(c server.ClientAuthentication) bool {
	user, password := c.GetOpts().Username, c.GetOpts().Password
	if subtle.ConstantTimeCompare([]byte(password), []byte(Password(g.secret, user))) != 1 {
		return false
	}
	allowed, ok := permissions(user)
	if !ok {
		return false
	}
	c.RegisterUser(&server.User{Username: user, Permissions: allowed})
	return true
}

// mqttInternal is where the server brings QoS 1 messages to a subscription. A
// client cannot subscribe to it by itself: the server refuses such filters.
const mqttInternal = "$MQTT.sub.>"

// permissions are those of user, in NATS subjects: a topic's '/' is a '.'.
func permissions(user string) (*server.Permissions, bool) {
	// MQTT's latchkey/# takes in the level above it.
	publish, subscribe := []string{"latchkey.>"}, []string{"latchkey", "latchkey.>", mqttInternal}
	if user != CloudUser {
		if !isSite(user) {
			return nil, false
		}
		branch := "latchkey.1." + user + "."
		publish, subscribe = []string{branch + "up", branch + "state"}, []string{branch + "down", mqttInternal}
	}
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: publish},
		Subscribe: &server.SubjectPermission{Allow: subscribe},
	}, true
}

// isSite tells whether user can be a site's id: 1 to 32 of a-z, 0-9 and '-'.
// Anything else could be a wildcard.
func isSite(user string) bool {
	return len(user) >= 1 && len(user) <= 32 &&
		!strings.ContainsFunc(user, func(c rune) bool {
			return (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-'
		})
}
