package uplink

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"latchkey/delta"
)

// ErrOffline says that a site has not said hello, so nothing can be sent to it
// that must arrive now.
var ErrOffline = errors.New("uplink: site is offline")

// The cloud's times. Tests shorten them.
type cloudTiming struct {
	beat    time.Duration // between beats, and between readings of Sites
	silence time.Duration // without our own echo, after which the connection is made anew
	check   time.Duration // between looks at the silence
	gone    time.Duration // without a word, after which a site has to say hello again
	retry   time.Duration // the first wait after the source failed
	claim   time.Duration // between claims of leases
	settle  time.Duration // for a site to apply a snapshot that it has all parts of
}

func defaultCloudTiming() cloudTiming {
	return cloudTiming{
		beat:    30 * time.Second,
		silence: 75 * time.Second,
		check:   5 * time.Second,
		gone:    3 * time.Minute,
		retry:   time.Second,
		claim:   2 * time.Second,
		settle:  2 * time.Minute,
	}
}

// maxTransfers is how many snapshots are under way at once: each holds a site's
// whole state in memory.
const maxTransfers = 8

// A CloudConfig is what the cloud's end needs. Broker, Key and Source must be
// set.
type CloudConfig struct {
	Broker string    // mqtt://user:password@host:port, or mqtts://
	Key    delta.Key // signs what goes down
	Source Source
	TLS    *tls.Config // for mqtts; nil is the system's roots
	QoS    byte        // 0 or 1, see the package comment
	// ClientID is for brokers that prescribe one; "" is one of its own for each
	// Cloud, because several may share a broker.
	ClientID string
	// Leases are for several Clouds that share one Source and divide its sites
	// among them; nil serves all sites.
	Leases Leases
	Log    *slog.Logger
	Clock  func() time.Time // nil is time.Now
}

// CloudStats are counts since the Cloud was made.
type CloudStats struct {
	Connected bool
	Since     time.Time // of Connected, or of its absence
	Fault     string    // why there is no connection
	Sites     int
	Sent      uint64
	Received  uint64
	Bad       uint64 // messages that could not be opened, or of no site of ours
	Dropped   uint64 // messages that found a site's queue full
	Resent    uint64 // deltas and parts of snapshots that were sent again
	Snapshots uint64 // begun
}

// A SiteState is what the cloud knows of one site's link.
type SiteState struct {
	Online   bool // said hello, and was heard in the last 95 s
	LastUp   time.Time
	Applied  delta.Head // newest one that the log agrees with; zero until the site spoke
	Head     delta.Head // of the log, as last read
	InFlight int        // deltas on their way
	Snapshot int        // percent of a snapshot that the site has; 0 when none is under way
	Ahead    bool       // the site has more than our log: the cloud came from a backup
	Rivals   bool       // two agents speak in the site's name: a copy of its disk is running
	Nack     string     // why the site refuses what we send; "" when it does not
	Fault    string     // why the source did not do what the link asked; "" when it did
}

// A Cloud is the cloud's end of the links of all sites.
type Cloud struct {
	key     delta.Key
	source  Source
	leases  Leases // nil: all sites are ours
	log     *slog.Logger
	now     func() time.Time
	timing  cloudTiming
	pipe    *pipe
	publish publish       // pipe's
	slots   chan struct{} // one token a transfer

	refresh chan struct{} // capacity 1: a site that we do not know spoke
	probe   []byte

	received, bad, dropped, resent, snapshots atomic.Uint64

	mu    sync.Mutex
	lanes map[string]*lane
	heard time.Time         // our own echo
	held  map[string]uint64 // the sites that we have leases of …
	until time.Time         // … for so long
}

// NewCloud checks c. It does not connect; Run does.
func NewCloud(c CloudConfig) (*Cloud, error) {
	broker, err := parseBroker(c.Broker)
	if err != nil {
		return nil, err
	}
	return newCloud(c, broker, defaultCloudTiming())
}

func newCloud(c CloudConfig, broker *url.URL, timing cloudTiming) (*Cloud, error) {
	switch {
	case c.Key.Public() == nil:
		return nil, errors.New("uplink: cloud without a key")
	case c.Source == nil:
		return nil, errors.New("uplink: cloud without a source")
	case c.QoS > 1:
		return nil, fmt.Errorf("uplink: QoS %d, want 0 or 1", c.QoS)
	}
	cloud := &Cloud{
		key:     c.Key,
		source:  c.Source,
		leases:  c.Leases,
		log:     c.Log,
		now:     c.Clock,
		timing:  timing,
		slots:   make(chan struct{}, maxTransfers),
		refresh: make(chan struct{}, 1),
		probe:   []byte(rand.Text()),
		lanes:   make(map[string]*lane),
	}
	if cloud.log == nil {
		cloud.log = slog.New(slog.DiscardHandler)
	}
	if cloud.now == nil {
		cloud.now = time.Now
	}
	cloud.pipe = &pipe{
		broker:     broker,
		clientID:   clientIDOr(c.ClientID, "latchkey-cloud"),
		tls:        c.TLS,
		qos:        c.QoS,
		filter:     upTopic("+"),
		log:        cloud.log,
		receive:    cloud.receive,
		opened:     cloud.opened,
		closed:     func() {},
		silent:     cloud.silent,
		checkEvery: timing.check,
	}
	cloud.publish = cloud.pipe.publish
	return cloud, nil
}

// Run works the links until ctx ends, then returns nil once all has stopped.
// That the broker or the source is away is no error.
func (c *Cloud) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer c.release(ctx) // once all lanes have stopped
	defer wg.Wait()
	if c.leases != nil {
		wg.Go(func() { c.hold(ctx) })
	}
	wg.Go(func() { c.feed(ctx, &wg) })
	return c.pipe.run(ctx)
}

// feed wakes lanes when logs change, keeps the set of lanes, and sends the
// probes by which silent finds a broker that carries nothing.
func (c *Cloud) feed(ctx context.Context, wg *sync.WaitGroup) {
	runs := make(map[string]*laneRun)
	defer func() {
		for _, r := range runs {
			r.stop()
		}
	}()
	tick := time.NewTicker(c.timing.beat)
	defer tick.Stop()
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.source.Changed():
		case <-c.refresh:
		case <-tick.C:
			if err := c.publish(ctx, upTopic(cloudID), false, c.probe); err != nil && !errors.Is(err, ErrClosed) && ctx.Err() == nil {
				c.log.Warn("no word to ourselves", "err", err)
			}
		case <-retry.C:
		}
		if err := c.sync(ctx, wg, runs); err != nil {
			if ctx.Err() != nil {
				return
			}
			c.log.Error("sites not read", "err", err)
			retry.Reset(c.timing.retry)
		}
	}
}

// A laneRun is a lane that feed has started.
type laneRun struct {
	lane  *lane
	stop  context.CancelFunc
	head  delta.Head // that it was last woken for
	lease uint64
}

// heads are the heads of all sites, by id; zero ones, with told false, from a
// Source that does not tell.
func (c *Cloud) heads(ctx context.Context) (heads map[string]delta.Head, told bool, err error) {
	if source, ok := c.source.(HeadSource); ok {
		heads, err = source.Heads(ctx)
		return heads, true, err
	}
	sites, err := c.source.Sites(ctx)
	heads = make(map[string]delta.Head, len(sites))
	for _, site := range sites {
		heads[site] = delta.Head{}
	}
	return heads, false, err
}

// sync starts a lane for each of our sites that has none, stops those of sites
// that are gone or no longer ours, and tells those whose logs have grown, or may have, to look at them.
func (c *Cloud) sync(ctx context.Context, wg *sync.WaitGroup, runs map[string]*laneRun) error {
	c.drop(runs, func(site string) bool { return !c.ours(site, runs[site].lease) }) // also where the source is away
	heads, told, err := c.heads(ctx)
	if err != nil {
		return err
	}
	for site, head := range heads {
		lease, ok := c.lease(site)
		if !ok {
			continue
		}
		if r, ok := runs[site]; ok {
			if !told || r.head != head {
				r.head = head
				r.lane.changed.Store(true)
				signal(r.lane.wake)
			}
			continue
		}
		if err := delta.CheckSite(site); err != nil {
			c.log.Error("site left out", "site", site, "err", err)
			continue
		}
		l := newLane(c, site)
		c.mu.Lock()
		c.lanes[site] = l
		c.mu.Unlock()
		laneCtx, stop := context.WithCancel(ctx)
		runs[site] = &laneRun{l, stop, head, lease}
		wg.Go(func() { l.run(laneCtx) })
	}
	c.drop(runs, func(site string) bool { _, ok := heads[site]; return !ok })
	return nil
}

// drop stops the lanes of runs that are gone.
func (c *Cloud) drop(runs map[string]*laneRun, gone func(site string) bool) {
	for site, r := range runs {
		if !gone(site) {
			continue
		}
		r.stop()
		delete(runs, site)
		c.mu.Lock()
		delete(c.lanes, site)
		c.mu.Unlock()
	}
}

// receive hands one message to its site's lane. It runs on the socket's
// goroutine.
func (c *Cloud) receive(topic string, envelope []byte) {
	site, ok := siteOfUp(topic)
	if !ok {
		return
	}
	if site == cloudID {
		if string(envelope) == string(c.probe) {
			c.mu.Lock()
			c.heard = time.Now()
			c.mu.Unlock()
		}
		return
	}
	c.received.Add(1)
	c.mu.Lock()
	l, ok := c.lanes[site]
	c.mu.Unlock()
	if _, ours := c.lease(site); !ours {
		return // another Cloud hears it too
	}
	if !ok {
		// Perhaps a new site. Its lane will ask it for a hello.
		c.bad.Add(1)
		signal(c.refresh)
		return
	}
	switch {
	case len(envelope) > delta.MaxSealed:
		c.bad.Add(1) // it could not be opened
	case !l.put(envelope):
		c.dropped.Add(1)
	}
}

func (c *Cloud) opened() {
	c.mu.Lock()
	c.heard = time.Now()
	lanes := maps.Clone(c.lanes)
	c.mu.Unlock()
	for _, l := range lanes {
		l.reopened.Store(true)
		signal(l.wake)
	}
}

// silent tells whether our own word has not come back for too long.
func (c *Cloud) silent(time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Since(c.heard) > c.timing.silence
}

// send signs m for site and publishes it.
func (c *Cloud) send(ctx context.Context, site string, m delta.Message) error {
	h := delta.HeaderOf(m)
	h.Site, h.At = site, c.now()
	payload, err := delta.Encode(m)
	if err != nil {
		return fmt.Errorf("uplink: send: %w", err)
	}
	return c.sendPayload(ctx, site, payload)
}

func (c *Cloud) sendPayload(ctx context.Context, site string, payload []byte) error {
	envelope, err := delta.Seal(c.key, delta.DownTyp, payload)
	if err != nil {
		return fmt.Errorf("uplink: send: %w", err)
	}
	if _, ours := c.lease(site); !ours {
		return errNotOurs
	}
	return c.publish(ctx, downTopic(site), false, envelope)
}

// Command sends m to its site once; it sets m's header and Re. ErrOffline says
// that the site has not said hello. What became of it comes as a Result.
func (c *Cloud) Command(ctx context.Context, site string, m *delta.Command) error {
	c.mu.Lock()
	l, ok := c.lanes[site]
	c.mu.Unlock()
	if !ok {
		return ErrOffline
	}
	l.mu.Lock()
	nonce := l.shownNonce
	l.mu.Unlock()
	if nonce == "" {
		return ErrOffline
	}
	m.Re = nonce
	return c.send(ctx, site, m)
}

// Stats is how the link is doing.
func (c *Cloud) Stats() CloudStats {
	open, since, fault := c.pipe.state()
	c.mu.Lock()
	sites := len(c.lanes)
	c.mu.Unlock()
	return CloudStats{
		Connected: open,
		Since:     since,
		Fault:     fault,
		Sites:     sites,
		Sent:      c.pipe.sent.Load(),
		Received:  c.received.Load(),
		Bad:       c.bad.Load(),
		Dropped:   c.dropped.Load(),
		Resent:    c.resent.Load(),
		Snapshots: c.snapshots.Load(),
	}
}

// SiteStates is how each site's link is doing, by site.
func (c *Cloud) SiteStates() map[string]SiteState {
	c.mu.Lock()
	lanes := maps.Clone(c.lanes)
	c.mu.Unlock()
	states := make(map[string]SiteState, len(lanes))
	for site, l := range lanes {
		states[site] = l.show()
	}
	return states
}
