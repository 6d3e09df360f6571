package uplink

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// ErrClosed says that there is no connection to the broker now.
var ErrClosed = errors.New("uplink: not connected")

// The times of a connection.
const (
	keepAlive      = 30 * time.Second
	pingTimeout    = 10 * time.Second
	connectTimeout = 15 * time.Second
	ackTimeout     = 10 * time.Second       // for SUBACK, and for a publication to leave
	quiesce        = 250 * time.Millisecond // for DISCONNECT to leave
	settled        = 5 * time.Second        // a connection this old was a good one: the next wait is short again
	firstRetry     = time.Second            // the first wait is up to this long
	lastRetry      = time.Minute
)

// A will is what the broker publishes, retained, when the connection breaks.
type will struct {
	topic   string
	payload []byte
}

// A pipe keeps one connection to a broker open, and opens it again whenever it
// breaks. Each connection has a client of its own with a clean session and a
// store in memory: nothing outlives a connection, so nothing old comes out of
// the next one. All retrying is here; paho's own is off, because it has no
// jitter and keeps messages that would come late.
type pipe struct {
	broker   *url.URL
	clientID string
	tls      *tls.Config
	qos      byte
	filter   string // the one subscription and the one route
	log      *slog.Logger

	// receive gets each message on the goroutine that reads the socket: it must
	// not block. It keeps payload.
	receive func(topic string, payload []byte)
	// will makes the last will of a connection; nil for none.
	will func() *will
	// opened and closed are called in turn, on run's goroutine.
	opened func()
	closed func()
	// leave is called before a connection that is still good is closed; nil for none.
	leave func()
	// silent tells whether the connection carries nothing although it is open.
	// It is asked every checkEvery. since is when the connection was opened.
	silent     func(since time.Time) bool
	checkEvery time.Duration

	mu      sync.Mutex
	session *session // nil while there is no connection
	since   time.Time
	fault   string // why there is none
	sent    atomic.Uint64
}

// A session is one connection.
type session struct {
	client mqtt.Client
	once   sync.Once
	lost   chan struct{} // closed when it is broken or given up
	why    error
}

// end gives the session up. The first reason stands.
func (s *session) end(why error) {
	s.once.Do(func() {
		s.why = why
		close(s.lost)
	})
}

// clientIDOr is id, or if that is empty a name with a random end. With it nobody
// who shares the broker can guess the id and so take the connection over.
func clientIDOr(id, name string) string {
	if id != "" {
		return id
	}
	return name + "-" + strings.ToLower(rand.Text()[:12])
}

// parseBroker reads a broker's URL. The errors do not show its password.
func parseBroker(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("uplink: broker: not a URL")
	}
	switch u.Scheme {
	case "mqtt":
		u.Scheme = "tcp"
	case "mqtts":
		u.Scheme = "ssl"
	case "tcp", "ssl":
	default:
		return nil, fmt.Errorf("uplink: broker: scheme %q, want mqtt or mqtts", u.Scheme)
	}
	if u.Hostname() == "" {
		return nil, errors.New("uplink: broker: no host")
	}
	if u.Port() == "" {
		if u.Scheme == "ssl" {
			u.Host += ":8883"
		} else {
			u.Host += ":1883"
		}
	}
	return u, nil
}

// run keeps the connection until ctx ends, then returns nil. A broker that is
// away is no error.
func (p *pipe) run(ctx context.Context) error {
	var attempt int
	var told string
	for ctx.Err() == nil {
		began := time.Now()
		err := p.connection(ctx)
		if ctx.Err() != nil {
			break
		}
		if time.Since(began) >= settled {
			attempt = 0
		}
		wait := backoff(attempt, mathrand.Float64())
		attempt++
		p.mu.Lock()
		p.fault = err.Error()
		p.mu.Unlock()
		// A broker that is away for a night is told once, not 1,000 times.
		level := slog.LevelDebug
		if told != err.Error() {
			level, told = slog.LevelWarn, err.Error()
		}
		p.log.Log(ctx, level, "no connection to the broker", "broker", p.broker.Host, "err", err, "retry_in", wait)
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// backoff is the wait before the next attempt: full jitter, so that a thousand
// sites do not come back in one moment. random is in [0, 1).
func backoff(attempt int, random float64) time.Duration {
	most := lastRetry
	if attempt < 6 {
		most = min(firstRetry<<attempt, lastRetry)
	}
	return time.Duration(random * float64(most))
}

// connection opens one connection, works it until it breaks or ctx ends, and
// says why it ended.
func (p *pipe) connection(ctx context.Context) error {
	s := &session{lost: make(chan struct{})}
	s.client = mqtt.NewClient(p.options(s))
	// Before Connect: what comes in before the route stands would be lost.
	s.client.AddRoute(p.filter, func(_ mqtt.Client, m mqtt.Message) { p.receive(m.Topic(), m.Payload()) })
	defer s.client.Disconnect(uint(quiesce / time.Millisecond))

	if err := await(ctx, s, s.client.Connect(), connectTimeout+time.Second); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	subscribed := s.client.Subscribe(p.filter, p.qos, nil)
	if err := await(ctx, s, subscribed, ackTimeout); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	if t, ok := subscribed.(*mqtt.SubscribeToken); ok && t.Result()[p.filter] > 2 {
		return fmt.Errorf("subscribe: refused by the broker")
	}

	p.mu.Lock()
	p.session, p.since, p.fault = s, time.Now(), ""
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.session, p.since = nil, time.Now()
		p.mu.Unlock()
		p.closed()
	}()
	p.opened()
	p.log.Info("connected to the broker", "broker", p.broker.Host)

	opened := time.Now()
	check := time.NewTicker(p.checkEvery)
	defer check.Stop()
	for {
		select {
		case <-ctx.Done():
			if p.leave != nil {
				p.leave()
			}
			return ctx.Err()
		case <-s.lost:
			return s.why
		case <-check.C:
			if p.silent(opened) {
				return errors.New("connected, but nothing comes through")
			}
		}
	}
}

func (p *pipe) options(s *session) *mqtt.ClientOptions {
	o := mqtt.NewClientOptions()
	server := *p.broker
	server.User = nil // paho would show it in its errors
	o.AddBroker(server.String())
	o.SetClientID(p.clientID)
	if p.broker.User != nil {
		password, _ := p.broker.User.Password()
		o.SetUsername(p.broker.User.Username())
		o.SetPassword(password)
	}
	if p.broker.Scheme == "ssl" {
		c := p.tls.Clone()
		if c == nil {
			c = &tls.Config{}
		}
		c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
		if c.ServerName == "" {
			c.ServerName = p.broker.Hostname()
		}
		o.SetTLSConfig(c)
	}
	o.SetProtocolVersion(4) // 3.1.1: every broker speaks it
	o.SetCleanSession(true)
	o.SetStore(mqtt.NewMemoryStore()) // paho's FileStore ends the process when the disk is full
	o.SetAutoReconnect(false)
	o.SetConnectRetry(false)
	o.SetOrderMatters(true)
	o.SetKeepAlive(keepAlive)
	o.SetPingTimeout(pingTimeout)
	o.SetConnectTimeout(connectTimeout)
	o.SetWriteTimeout(ackTimeout)
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) { s.end(err) })
	if p.will != nil {
		w := p.will()
		o.SetBinaryWill(w.topic, w.payload, p.qos, true)
	}
	return o
}

// await waits until t is done: paho's tokens are not done, and not wrong, when
// the connection breaks under them.
func await(ctx context.Context, s *session, t mqtt.Token, limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-t.Done():
		return t.Error()
	case <-s.lost:
		return fmt.Errorf("%w: connection lost: %w", ErrClosed, s.why)
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return fmt.Errorf("no answer within %v", limit)
	}
}

// A publish sends one message. Tests put a line of their own in its place.
type publish func(ctx context.Context, topic string, retained bool, payload []byte) error

// publish sends payload and returns once it has left for the broker; with QoS 1
// once the broker has it. It is safe for concurrent use. payload must not be
// changed afterwards.
func (p *pipe) publish(ctx context.Context, topic string, retained bool, payload []byte) error {
	p.mu.Lock()
	s := p.session
	p.mu.Unlock()
	// IsConnected would be true while a connection is being made.
	if s == nil || !s.client.IsConnectionOpen() {
		return ErrClosed
	}
	// paho's Publish itself blocks, for the whole write time-out, when the
	// connection breaks under it: whoever publishes must not wait so long for a
	// connection that may be back already.
	handed := make(chan mqtt.Token, 1)
	go func() { handed <- s.client.Publish(topic, p.qos, retained, payload) }()
	var err error
	select {
	case token := <-handed:
		err = await(ctx, s, token, ackTimeout)
	case <-s.lost:
		err = s.why
	case <-ctx.Done():
		return ctx.Err()
	}
	switch {
	case err == nil:
		p.sent.Add(1)
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		s.end(fmt.Errorf("publish: %w", err)) // a connection that takes nothing is none
		return fmt.Errorf("%w: publish: %w", ErrClosed, err)
	}
}

// state tells whether there is a connection, since when that is so, and if
// there is none, why.
func (p *pipe) state() (open bool, since time.Time, fault string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.session != nil, p.since, p.fault
}
