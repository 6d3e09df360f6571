package okta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"sync"
	"time"

	"latchkey/cloud"
	"latchkey/cloud/seal"
)

// settingName is the setting that keeps a connection.
const settingName = cloud.PulledSetting

// Options are what a Service needs besides the cloud.
type Options struct {
	Seal      *seal.Sealer      // for SealPurpose; required
	Transport http.RoundTripper // nil is one of each Client's own
	Now       func() time.Time  // nil is time.Now
	Log       *slog.Logger      // nil discards
}

// A Service reads the Okta of every organisation that has a connection, and that
// no other process of the same store reads. Its methods may be called from any
// goroutine, whichever process reads.
type Service struct {
	cloud   *cloud.Service
	o       Options
	changed chan struct{}
	setting sync.Mutex // one Set or Off at a time

	mu      sync.Mutex
	readers map[string]*reader // of all connections, once Run has begun
}

// NewService makes a Service. Nothing is read before Run.
func NewService(c *cloud.Service, o Options) (*Service, error) {
	if o.Seal == nil {
		return nil, errors.New("okta: no Sealer, want one: tokens are not stored in the clear")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Service{cloud: c, o: o, changed: make(chan struct{}, 1), readers: map[string]*reader{}}, nil
}

// Run reads until ctx ends, and returns nil then.
func (s *Service) Run(ctx context.Context) error {
	all := map[string]running{}
	defer func() {
		for _, r := range all {
			r.stop()
		}
	}()
	var look <-chan time.Time
	if s.cloud.Leases() != nil {
		tick := time.NewTicker(lookAgain)
		defer tick.Stop()
		look = tick.C
	}
	for failed := 0; ; {
		err := s.load(ctx)
		s.follow(ctx, all)
		var again <-chan time.Time
		if failed++; err == nil {
			failed = 0
		} else if ctx.Err() == nil {
			s.o.Log.ErrorContext(ctx, "Okta connections could not be read", "err", err)
			again = time.After(backoff(failed))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.changed:
		case <-again:
		case <-look:
		}
	}
}

// lookAgain is how often a process that shares its store looks whose turn it is
// to read, and what others have changed.
const lookAgain = 2 * time.Second

// running is a reader at work.
type running struct {
	*reader
	stop func()
}

// follow makes all those that run whose connections are there now.
func (s *Service) follow(ctx context.Context, all map[string]running) {
	s.mu.Lock()
	wanted := maps.Clone(s.readers)
	s.mu.Unlock()
	for org, r := range all {
		if wanted[org] != r.reader {
			r.stop()
			delete(all, org)
		}
	}
	for org, r := range wanted {
		if _, runs := all[org]; !runs {
			all[org] = running{r, start(ctx, r)}
		}
	}
}

// start runs r until the function that it returns is called, which waits.
func start(ctx context.Context, r *reader) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var g sync.WaitGroup
	g.Go(func() { r.run(ctx) })
	return func() {
		cancel()
		g.Wait()
	}
}

// load makes a reader for each connection that is ours to read and has none yet.
func (s *Service) load(ctx context.Context) error {
	if err := s.leave(ctx); err != nil {
		return err
	}
	orgs, err := s.cloud.SettingOrgs(ctx, settingName)
	if err != nil {
		return err
	}
	var errs []error
	for _, org := range orgs {
		fence, ours := s.cloud.Leases().Reads(org)
		if !ours || s.reader(org) != nil {
			continue
		}
		conn, err := s.connection(ctx, org)
		if errors.Is(err, cloud.ErrNotFound) {
			continue // switched off meanwhile
		}
		var r *reader
		if err == nil {
			r, err = s.newReader(ctx, org, conn)
		}
		if err == nil {
			r.fence = fence
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", org, err))
			continue
		}
		s.mu.Lock()
		if s.readers[org] == nil {
			s.readers[org] = r
		}
		s.mu.Unlock()
	}
	return errors.Join(errs...)
}

// leave ends the readers whose turn is over or whose connection is another one
// by now, as only other processes have them; the rest learn what these stored.
func (s *Service) leave(ctx context.Context) error {
	if s.cloud.Leases() == nil {
		return nil
	}
	s.mu.Lock()
	readers := maps.Clone(s.readers)
	s.mu.Unlock()
	var errs []error
	for org, r := range readers {
		stays := false
		if fence, ours := s.cloud.Leases().Reads(org); ours && fence == r.fence {
			doc, err := s.cloud.Setting(ctx, org, settingName)
			if err != nil && !errors.Is(err, cloud.ErrNotFound) {
				errs = append(errs, err)
				continue
			}
			stays = err == nil && string(doc) == r.conn
		}
		if stays {
			errs = append(errs, r.learn(ctx), r.hear(ctx))
			continue
		}
		r.retire()
		s.mu.Lock()
		if s.readers[org] == r {
			delete(s.readers, org)
		}
		s.mu.Unlock()
	}
	return errors.Join(errs...)
}

func (s *Service) reader(org string) *reader {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readers[org]
}

func (s *Service) newReader(ctx context.Context, org string, c connection) (*reader, error) {
	token, err := s.openToken(c.Sealed, org, c.Domain)
	if err != nil {
		return nil, err
	}
	client, err := NewClient(ClientConfig{Domain: c.Domain, Token: token, Transport: s.o.Transport, Log: s.o.Log})
	if err != nil {
		return nil, err
	}
	r := &reader{
		org: org, client: client, cloud: s.cloud, set: c.Settings, log: s.o.Log, now: s.o.Now, conn: c.doc,
		hooked: make(chan pings, 64), kick: make(chan struct{}, 1), failures: map[string]failure{}, full: true,
	}
	doc, err := s.cloud.Setting(ctx, org, stateName)
	switch {
	case errors.Is(err, cloud.ErrNotFound):
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(doc, &r.state); err != nil {
			return nil, fmt.Errorf("okta: stored state of %s: %w", org, err)
		}
		r.kept = doc
	}
	if !r.state.Confirmed && r.state.Held != nil { // it waits; reading again would change nothing
		r.full = false
	}
	return r, nil
}

// Sync lets everything be read now: cloud.ErrNotFound where there is no
// connection.
func (s *Service) Sync(ctx context.Context, org string) error {
	if _, err := s.connection(ctx, org); err != nil {
		return err
	}
	if r := s.reader(org); r != nil {
		r.readAll()
		return nil
	}
	st, doc, err := s.stored(ctx, org)
	if err != nil {
		return err
	}
	st.Asked = s.o.Now().UTC()
	next, err := json.Marshal(&st)
	if err != nil {
		return err
	}
	if same, err := s.cloud.SwapSetting(ctx, org, stateName, doc, next); err != nil || same {
		return err
	}
	return invalid("okta", errors.New("it is being read just now; try again"))
}

// Confirm lets what is held go on, and everything is read again. lose is how
// many people were shown to lose access: where it is another number by now,
// what is held has changed since, and stays held. *cloud.Invalid.
func (s *Service) Confirm(ctx context.Context, by cloud.Actor, org string, lose int) error {
	if _, err := s.connection(ctx, org); err != nil {
		return err
	}
	st, _, err := s.stored(ctx, org)
	if err != nil {
		return err
	}
	held := st.Held
	switch {
	case held == nil:
		return invalid("confirm", errors.New("nothing is held"))
	case held.Forecast.Lose.Count != lose:
		return invalid("lose", fmt.Errorf("got %d, want %d, which is how many people would lose access now", lose, held.Forecast.Lose.Count))
	}
	st.confirm()
	doc, err := json.Marshal(&st)
	if err != nil {
		return err
	}
	err = s.cloud.PutSetting(ctx, by, org, stateName, "confirm what was read of Okta", doc,
		map[string]cloud.Change{"held": {Before: held.Reason}, "people who lose": {Before: held.Forecast.Lose.Count}, "people who gain": {Before: held.Forecast.Gain.Count}})
	if r := s.reader(org); r != nil && err == nil {
		err = r.learn(ctx)
	}
	return err
}

// stored is how far org's Okta has been read, and the document that says so.
func (s *Service) stored(ctx context.Context, org string) (st State, doc []byte, err error) {
	doc, err = s.cloud.Setting(ctx, org, stateName)
	if errors.Is(err, cloud.ErrNotFound) {
		return st, nil, nil
	}
	if err == nil {
		err = json.Unmarshal(doc, &st)
	}
	return st, doc, err
}
