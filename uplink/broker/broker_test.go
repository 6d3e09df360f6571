package broker

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

var secret = []byte("a secret for tests, 32 bytes long")

// patience bounds what must happen; absence bounds the wait for what must not,
// and a fence message that comes later on the same route ends it sooner.
const patience = 10 * time.Second

func start(t *testing.T, c Config) *Broker {
	t.Helper()
	if c.Port == 0 {
		c.Port = -1
	}
	if c.StoreDir == "" {
		c.StoreDir = t.TempDir()
	}
	b, err := Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Stop)
	return b
}

type client struct {
	mqtt.Client
	got chan mqtt.Message
}

func dial(t *testing.T, broker, user, password string, config *tls.Config) (*client, error) {
	t.Helper()
	u, err := url.Parse(broker)
	if err != nil {
		t.Fatal(err)
	}
	scheme := map[string]string{"mqtt": "tcp", "mqtts": "ssl"}[u.Scheme]
	c := &client{got: make(chan mqtt.Message, 100)}
	o := mqtt.NewClientOptions().AddBroker(scheme + "://" + u.Host).SetUsername(user).SetPassword(password).
		SetAutoReconnect(false).SetConnectTimeout(patience).SetTLSConfig(config).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { c.got <- m })
	c.Client = mqtt.NewClient(o)
	token := c.Connect()
	if !token.WaitTimeout(patience) {
		t.Fatal("no answer to connect")
	}
	if token.Error() == nil {
		t.Cleanup(func() { c.Disconnect(0) })
	}
	return c, token.Error()
}

func mustDial(t *testing.T, b *Broker, user string) *client {
	t.Helper()
	c, err := dial(t, b.URL(), user, Password(secret, user), nil)
	if err != nil {
		t.Fatalf("connect as %s: %v", user, err)
	}
	return c
}

// subscribe tells whether the broker granted filter.
func (c *client) subscribe(t *testing.T, filter string, qos byte) bool {
	t.Helper()
	token := c.Subscribe(filter, qos, nil)
	if !token.WaitTimeout(patience) {
		return false // the broker hung up
	}
	return token.Error() == nil && token.(*mqtt.SubscribeToken).Result()[filter] <= 2
}

func (c *client) publish(t *testing.T, topic, text string) {
	t.Helper()
	if token := c.Publish(topic, 0, false, text); !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("publish to %s: %v", topic, token.Error())
	}
}

// until collects what c gets up to and including the message text.
func (c *client) until(t *testing.T, text string) []string {
	t.Helper()
	var all []string
	timeout := time.After(patience)
	for {
		select {
		case m := <-c.got:
			all = append(all, m.Topic()+"="+string(m.Payload()))
			if string(m.Payload()) == text {
				return all
			}
		case <-timeout:
			t.Fatalf("%q did not come; came %v", text, all)
		}
	}
}

func TestSiteKeepsToItsBranch(t *testing.T) {
	for _, qos := range []byte{0, 1} {
		t.Run(fmt.Sprintf("QoS %d", qos), func(t *testing.T) {
			b := start(t, Config{Secret: secret})
			cloud, a, other := mustDial(t, b, CloudUser), mustDial(t, b, "site-a"), mustDial(t, b, "site-b")

			for _, tt := range []struct {
				filter string
				want   bool
			}{
				{"latchkey/1/site-a/down", true},
				{"latchkey/1/site-b/down", false},
				{"latchkey/1/site-a/up", false},
				{"latchkey/1/site-b/up", false},
				{"latchkey/1/site-b/state", false},
				{"latchkey/1/+/down", false},
				{"latchkey/1/+/up", false},
				{"latchkey/#", false},
				{"#", false},
				{"$MQTT/sub/#", false},
				{"$SYS/#", false},
			} {
				// A client each: the server hangs up on some filters.
				if got := mustDial(t, b, "site-a").subscribe(t, tt.filter, qos); got != tt.want {
					t.Errorf("site-a subscribes to %s: %v, want %v", tt.filter, got, tt.want)
				}
			}

			// At QoS 1 a filter that ends in # would want twice the
			// acknowledgements that one session may have open.
			if !cloud.subscribe(t, "latchkey/#", 0) || !a.subscribe(t, "latchkey/1/site-a/down", qos) || !other.subscribe(t, "latchkey/1/site-b/down", qos) {
				t.Fatal("a subscription that must be granted was not")
			}
			for _, topic := range []string{
				"latchkey/1/site-b/up", "latchkey/1/site-b/down", "latchkey/1/site-b/state",
				"latchkey/1/site-a/down", "latchkey/1/cloud/up", "latchkey/1/site-a/other", "latchkey/1/site-a/up/more",
			} {
				a.publish(t, topic, "forbidden")
			}
			a.publish(t, "latchkey/1/site-a/state", "here")
			a.publish(t, "latchkey/1/site-a/up", "fence")
			want := "latchkey/1/site-a/state=here latchkey/1/site-a/up=fence"
			if got := strings.Join(cloud.until(t, "fence"), " "); got != want {
				t.Errorf("cloud got %q, want %q", got, want)
			}

			cloud.publish(t, "latchkey/1/site-a/down", "for a")
			cloud.publish(t, "latchkey/1/site-b/down", "for b")
			if got := other.until(t, "for b"); len(got) != 1 {
				t.Errorf("site-b got %q, want its own message only", got)
			}
			if got := a.until(t, "for a"); len(got) != 1 {
				t.Errorf("site-a got %q, want its own message only", got)
			}
		})
	}
}

func TestStrangersAreRefused(t *testing.T) {
	b := start(t, Config{Secret: secret})
	for _, tt := range []struct{ name, user, password string }{
		{"nobody", "", ""},
		{"no password", "site-a", ""},
		{"wrong password", "site-a", "guess"},
		{"another site's password", "site-a", Password(secret, "site-b")},
		{"a site's password for the cloud", CloudUser, Password(secret, "site-a")},
		{"another secret", "site-a", Password([]byte("another secret, also 32 bytes long"), "site-a")},
		{"a wildcard for a site", "*", Password(secret, "*")},
		{"the rest for a site", ">", Password(secret, ">")},
		{"two levels for a site", "site-a.up", Password(secret, "site-a.up")},
		{"too long", strings.Repeat("a", 33), Password(secret, strings.Repeat("a", 33))},
	} {
		if _, err := dial(t, b.URL(), tt.user, tt.password, nil); err == nil {
			t.Errorf("%s: connected, want a refusal", tt.name)
		}
	}
}

func TestLargeMessageGoesThrough(t *testing.T) {
	b := start(t, Config{Secret: secret})
	cloud, a := mustDial(t, b, CloudUser), mustDial(t, b, "site-a")
	if !a.subscribe(t, "latchkey/1/site-a/down", 0) {
		t.Fatal("not subscribed")
	}
	text := strings.Repeat("x", 1<<20)
	cloud.publish(t, "latchkey/1/site-a/down", text)
	if got := a.until(t, text); len(got) != 1 {
		t.Errorf("got %d messages, want 1", len(got))
	}
}

func TestRestartAtTheSamePort(t *testing.T) {
	dir := t.TempDir()
	b := start(t, Config{Secret: secret, StoreDir: dir})
	port := b.port
	if _, err := Start(Config{Port: port, StoreDir: t.TempDir()}); err == nil {
		t.Error("two brokers on one port")
	}
	for range 3 {
		b.Stop()
		b.Stop()
		if c, err := net.Dial("tcp", strings.TrimPrefix(b.URL(), "mqtt://")); err == nil {
			c.Close()
			t.Fatal("a stopped broker still listens")
		}
		b = start(t, Config{Secret: secret, StoreDir: dir, Port: port})
		mustDial(t, b, "site-a")
	}
}

func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	b := start(t, Config{Secret: secret, TLS: &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}})
	if want := "mqtts://127.0.0.1:"; !strings.HasPrefix(b.URL(), want) {
		t.Errorf("URL %s, want %s…", b.URL(), want)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	if _, err := dial(t, b.URL(), "site-a", Password(secret, "site-a"), &tls.Config{RootCAs: roots}); err != nil {
		t.Errorf("with the right root: %v", err)
	}
	if _, err := dial(t, b.URL(), "site-a", Password(secret, "site-a"), &tls.Config{RootCAs: x509.NewCertPool()}); err == nil {
		t.Error("connected without the right root")
	}
}

func TestConfigIsChecked(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []Config{
		{Port: 0, StoreDir: dir},
		{Port: 65536, StoreDir: dir},
		{Port: -1},
		{Port: -1, StoreDir: dir, Secret: []byte("short")},
		{Port: -1, StoreDir: dir, Secret: []byte{}},
	} {
		if b, err := Start(c); err == nil {
			b.Stop()
			t.Errorf("port %d, dir %q, secret of %d bytes: started", c.Port, c.StoreDir, len(c.Secret))
		}
	}
}

func TestUserURL(t *testing.T) {
	b := &Broker{scheme: "mqtt", host: "::1", port: 1883}
	want := "mqtt://site-a:" + Password(secret, "site-a") + "@[::1]:1883"
	if got := b.UserURL(secret, "site-a"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
