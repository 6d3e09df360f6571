package uplink

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"latchkey/delta"
)

// The site's times. Tests shorten them.
type siteTiming struct {
	hello   time.Duration // between repeats of a hello that no beat has echoed, once they are rare
	silence time.Duration // without a beat, after which the connection is made anew
	check   time.Duration // between looks at the silence
}

// helloFirst is the time before a hello is repeated for the first time; then
// it doubles. After a broker's restart the site is often back before the cloud,
// and what it said then nobody heard.
const helloFirst = 500 * time.Millisecond

// maxSilence is where the silence stops doubling. A cloud that is away for a
// day must not have ten thousand sites knock at the broker every minute.
const maxSilence = 10 * time.Minute

// siteQueue is how many messages wait for Next. It is four windows; what does
// not fit is sent again by the cloud.
const siteQueue = 4 * maxInFlight

// A SiteConfig is what a site's end needs. Broker, Site, Key and CloudKeys must
// be set.
type SiteConfig struct {
	Broker    string      // mqtt://user:password@host:port, or mqtts://
	Site      string      // id
	Key       delta.Key   // signs what goes up
	CloudKeys delta.Keys  // whose signatures are taken
	TLS       *tls.Config // for mqtts; nil is the system's roots
	QoS       byte        // 0 or 1, see the package comment
	ClientID  string      // for brokers that prescribe one; "" is one of its own for each Site
	Log       *slog.Logger
}

// An Inbound is one thing that came down, or a change of the connection. Of Up,
// Down, Err and Message exactly one is set.
type Inbound struct {
	Up      bool          // the connection was just opened: say hello
	Down    bool          // the connection is gone
	Err     error         // a message that is none: one of delta's errors, for delta.Reason
	Message delta.Message // signed by the cloud, for this site
	// Payload and Hash belong to Message, and to Err where the signature holds
	// and the site is ours: the deny list of such a payload still counts.
	Payload []byte
	Hash    delta.Hash
}

// SiteStats are counts since the Site was made.
type SiteStats struct {
	Connected bool
	Since     time.Time // of Connected, or of its absence
	Fault     string    // why there is no connection
	Sent      uint64
	Received  uint64
	Bad       uint64    // messages that could not be opened
	Dropped   uint64    // messages that found the queue full
	LastBeat  time.Time // the newest beat that echoed our hello
}

// A Site is a site's end of the link. Run works it; Next, Send and Stats may be
// called from any goroutine.
type Site struct {
	site      string
	key       delta.Key
	cloudKeys delta.Keys
	log       *slog.Logger
	timing    siteTiming
	pipe      *pipe
	publish   publish // pipe's
	queue     *queue
	poke      chan struct{} // capacity 1: a beat came
	online    chan struct{} // capacity 1: the connection was opened

	received, bad atomic.Uint64

	mu       sync.Mutex
	hello    *delta.Hello   // the newest one sent on this connection
	saidAt   time.Time      // when it was last sent
	again    time.Duration  // repeat it so long after that; doubles up to timing.hello
	echoed   bool           // the newest beat echoed it
	head     delta.Head     // of the newest Hello or Applied sent
	receipt  *delta.Receipt // due at the next call of Next
	lastBeat time.Time

	// Of the beats that echoed hello.
	firstBeat moment
	beatTime  time.Time  // the newest one's own
	beatHash  delta.Hash // of its payload

	quiet   time.Time     // since when no beat came
	silence time.Duration // doubles with each connection that brought no beat
}

// A moment is when a message came, and when it says that it was sent.
type moment struct{ at, sent time.Time }

// NewSite checks c. It does not connect; Run does.
func NewSite(c SiteConfig) (*Site, error) {
	broker, err := parseBroker(c.Broker)
	if err != nil {
		return nil, err
	}
	return newSite(c, broker, siteTiming{hello: 30 * time.Second, silence: 75 * time.Second, check: 5 * time.Second})
}

func newSite(c SiteConfig, broker *url.URL, timing siteTiming) (*Site, error) {
	if err := delta.CheckSite(c.Site); err != nil {
		return nil, fmt.Errorf("uplink: %w", err)
	}
	if c.Key.Public() == nil {
		return nil, errors.New("uplink: site without a key")
	}
	if len(c.CloudKeys) == 0 {
		return nil, errors.New("uplink: site without a key of the cloud")
	}
	if c.QoS > 1 {
		return nil, fmt.Errorf("uplink: QoS %d, want 0 or 1", c.QoS)
	}
	log := c.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	s := &Site{
		site:      c.Site,
		key:       c.Key,
		cloudKeys: c.CloudKeys,
		log:       log,
		timing:    timing,
		queue:     newQueue(siteQueue),
		poke:      make(chan struct{}, 1),
		online:    make(chan struct{}, 1),
		silence:   timing.silence,
	}
	s.pipe = &pipe{
		broker:     broker,
		clientID:   clientIDOr(c.ClientID, "latchkey-"+c.Site),
		tls:        c.TLS,
		qos:        c.QoS,
		filter:     downTopic(c.Site),
		log:        log,
		receive:    s.receive,
		will:       func() *will { return &will{stateTopic(c.Site), state(false)} },
		opened:     s.opened,
		closed:     s.closed,
		leave:      s.leave,
		silent:     s.silent,
		checkEvery: timing.check,
	}
	s.publish = s.pipe.publish
	return s, nil
}

// Run keeps the connection until ctx ends, then returns nil. That the broker is
// away is no error: it is in Stats.
func (s *Site) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { s.answer(ctx) })
	defer wg.Wait()
	return s.pipe.run(ctx)
}

// Next waits for the next Inbound. It fails only when ctx ends. Once Next is
// called again, what it gave before counts as taken: a part of a snapshot is
// then receipted.
func (s *Site) Next(ctx context.Context) (Inbound, error) {
	s.mu.Lock()
	receipt := s.receipt
	s.receipt = nil
	s.mu.Unlock()
	if receipt != nil {
		// One that is lost is made up for by the cloud, which sends the part again.
		if err := s.Send(ctx, receipt); err != nil && !errors.Is(err, ErrClosed) && ctx.Err() == nil {
			s.log.Warn("no receipt for a part of a snapshot", "err", err)
		}
	}
	in, err := s.queue.next(ctx)
	if err != nil {
		return Inbound{}, err
	}
	if part, ok := in.Message.(*delta.Snapshot); ok {
		s.mu.Lock()
		s.receipt = &delta.Receipt{ID: part.ID, Re: part.Re, Part: part.Part}
		s.mu.Unlock()
	}
	return in, nil
}

// Send signs m and publishes it. It sets m's header, and returns once the
// broker has taken m from us; whether the cloud got it is told by what comes
// down. ErrClosed says that there is no connection: nothing is kept for later.
func (s *Site) Send(ctx context.Context, m delta.Message) error {
	if delta.TypOf(m) != delta.UpTyp {
		return fmt.Errorf("uplink: send: %w: %T does not go up", delta.ErrType, m)
	}
	envelope, err := s.seal(m)
	if err != nil {
		return err
	}
	switch m := m.(type) {
	case *delta.Hello:
		s.mu.Lock()
		said := *m
		s.hello, s.saidAt, s.again, s.echoed, s.head = &said, time.Now(), helloFirst, false, m.Head
		s.firstBeat, s.beatTime, s.beatHash = moment{}, time.Time{}, delta.Hash{}
		s.mu.Unlock()
	case *delta.Applied:
		s.mu.Lock()
		s.head = m.Head
		s.mu.Unlock()
	}
	return s.publish(ctx, upTopic(s.site), false, envelope)
}

func (s *Site) seal(m delta.Message) ([]byte, error) {
	h := delta.HeaderOf(m)
	h.Site, h.At = s.site, time.Now()
	payload, err := delta.Encode(m)
	if err != nil {
		return nil, fmt.Errorf("uplink: send: %w", err)
	}
	envelope, err := delta.Seal(s.key, delta.UpTyp, payload)
	if err != nil {
		return nil, fmt.Errorf("uplink: send: %w", err)
	}
	return envelope, nil
}

// Stats is how the link is doing.
func (s *Site) Stats() SiteStats {
	open, since, fault := s.pipe.state()
	s.mu.Lock()
	defer s.mu.Unlock()
	return SiteStats{
		Connected: open,
		Since:     since,
		Fault:     fault,
		Sent:      s.pipe.sent.Load(),
		Received:  s.received.Load(),
		Bad:       s.bad.Load(),
		Dropped:   s.queue.dropped(),
		LastBeat:  s.lastBeat,
	}
}

// receive opens one message and queues it. It runs on the socket's goroutine.
func (s *Site) receive(topic string, envelope []byte) {
	if topic != downTopic(s.site) {
		return
	}
	s.received.Add(1)
	in := s.open(envelope)
	if in.Err != nil {
		s.bad.Add(1)
	}
	if beat, ok := in.Message.(*delta.Beat); ok && !s.heard(beat, in.Hash) {
		s.bad.Add(1)
		return
	}
	s.queue.put(in)
}

func (s *Site) open(envelope []byte) Inbound {
	payload, _, err := delta.Open(s.cloudKeys, delta.DownTyp, envelope)
	if err != nil {
		return Inbound{Err: err}
	}
	h, err := delta.Peek(payload)
	if err != nil {
		return Inbound{Err: err}
	}
	if h.Site != s.site {
		return Inbound{Err: fmt.Errorf("%w: %q, want %q", delta.ErrSite, h.Site, s.site)}
	}
	in := Inbound{Payload: payload, Hash: delta.HashOf(payload)}
	in.Message, in.Err = delta.Decode(payload)
	if in.Err == nil && delta.TypOf(in.Message) != delta.DownTyp {
		in.Message, in.Err = nil, fmt.Errorf("%w: %q does not go down", delta.ErrType, h.Type)
	}
	return in
}

// heard notes a beat and tells whether it is one to go by. Only one that echoes
// the newest hello is contact, and only when it is news: a broker that plays
// old beats again, or holds them back, must not make a site that is cut off
// believe that it knows all. What is late is told by the time that has passed
// at both ends since the first beat, so neither clock need be right.
func (s *Site) heard(beat *delta.Beat, hash delta.Hash) bool {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hello != nil && beat.Re == s.hello.Nonce {
		if s.firstBeat.at.IsZero() {
			s.firstBeat = moment{now, beat.Time}
		}
		late := now.Sub(s.firstBeat.at) - beat.Time.Sub(s.firstBeat.sent)
		if hash == s.beatHash || beat.Time.Before(s.beatTime) || late > s.timing.silence {
			return false
		}
		s.beatHash, s.beatTime = hash, beat.Time
	}
	s.quiet = now // the link carries, whatever the beat says
	switch {
	case s.hello == nil:
		return true
	case beat.Re != s.hello.Nonce:
		// The cloud does not know us any more, or an older hello has overtaken
		// the newest one and the cloud, which echoed that before, now has the
		// wrong nonce. Say it until it has the right one.
		s.echoed, s.saidAt, s.again = false, now, helloFirst
		return true
	}
	s.echoed, s.lastBeat, s.silence = true, now, s.timing.silence
	signal(s.poke)
	return true
}

// answer announces the site, repeats a hello until it is echoed, and answers
// each beat with where the site stands: that tells the cloud that the site is
// there, and makes up for an Applied that was lost.
func (s *Site) answer(ctx context.Context) {
	tick := time.NewTicker(helloFirst)
	defer tick.Stop()
	for {
		var m delta.Message
		select {
		case <-ctx.Done():
			return
		case <-s.online:
			s.announce(ctx, true)
		case <-s.poke:
			s.mu.Lock()
			if s.head.Epoch != 0 { // {0, 0} is no position
				m = &delta.Applied{Head: s.head}
			}
			s.mu.Unlock()
		case <-tick.C:
			s.mu.Lock()
			if s.hello != nil && !s.echoed && time.Since(s.saidAt) >= s.again {
				again := *s.hello
				again.Head = s.head
				m = &again
				s.saidAt, s.again = time.Now(), min(2*s.again, s.timing.hello)
			}
			s.mu.Unlock()
		}
		if m == nil {
			continue
		}
		envelope, err := s.seal(m)
		if err == nil {
			err = s.publish(ctx, upTopic(s.site), false, envelope)
		}
		if err != nil && !errors.Is(err, ErrClosed) && ctx.Err() == nil {
			s.log.Warn("no answer to the cloud", "err", err)
		}
	}
}

func (s *Site) opened() {
	s.mu.Lock()
	s.hello, s.echoed, s.quiet = nil, false, time.Now()
	s.mu.Unlock()
	signal(s.online)
	s.queue.put(Inbound{Up: true})
}

func (s *Site) closed() {
	s.mu.Lock()
	s.hello, s.echoed = nil, false
	s.mu.Unlock()
	s.queue.put(Inbound{Down: true})
}

// leave says goodbye: after a clean end there is no last will.
func (s *Site) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), quiesce)
	defer cancel()
	s.announce(ctx, false)
}

// announce sets the retained state. It is a hint: nothing depends on it.
func (s *Site) announce(ctx context.Context, online bool) {
	if err := s.publish(ctx, stateTopic(s.site), true, state(online)); err != nil {
		s.log.Debug("state not announced", "err", err)
	}
}

// state is the payload of the state topic. It carries a time because a retained
// "online" outlives a broker's restart.
func state(online bool) []byte {
	b, err := json.Marshal(struct {
		Online bool      `json:"online"`
		Time   time.Time `json:"time"`
	}{online, time.Now().UTC().Truncate(time.Second)})
	if err != nil { // cannot be: a bool and a time of this century
		return []byte("{}")
	}
	return b
}

// silent tells whether no beat came for too long. MQTT's own ping proves only
// that the broker's socket is alive, not that it still carries.
func (s *Site) silent(time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.quiet) < s.silence {
		return false
	}
	s.silence = min(2*s.silence, max(maxSilence, s.timing.silence))
	return true
}
