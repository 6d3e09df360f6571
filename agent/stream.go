package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"latchkey/access"
	"latchkey/cache"
	"latchkey/delta"
)

// An Inbound is the next thing that the link to the cloud brings: exactly one
// of Up, Down, Err and Message is set.
type Inbound struct {
	Up      bool          // a connection has just opened: it wants a hello
	Down    bool          // the connection is gone
	Err     error         // a message that is none: one of delta's errors
	Message delta.Message // signature, site and shape are checked
	// Payload and Hash belong to Message, and to Err where the signature holds:
	// what such a payload takes away still counts.
	Payload []byte
	Hash    delta.Hash // of Payload
}

// A Link is a pipe to the cloud that may lose, repeat and reorder messages.
//
// Next blocks until something comes, and returns an error only when ctx ends.
// Send signs and publishes; an error means that the message did not leave, and
// nothing is kept for later. A Link repeats the newest hello until a beat
// answers it, and reports Up for each new connection.
type Link interface {
	Next(ctx context.Context) (Inbound, error)
	Send(ctx context.Context, m delta.Message) error
}

const (
	lookEvery  = 5 * time.Second
	helloLeast = time.Second            // between two hellos that a strange beat asked for
	needEvery  = 500 * time.Millisecond // the same gap is asked for at most this often
	nackEvery  = time.Second            // a reason is told at most this often
	nackForged = 30 * time.Second       // … and "signature", which anybody at the broker can provoke
	beatQuiet  = 5 * time.Second        // without progress for so long, a beat that is ahead is a gap
	beatLost   = 75 * time.Second       // without a beat for so long the cloud counts as away
)

// A stream follows the cloud's messages and keeps the cache in step with them.
// One goroutine, run's, works it; mu guards what others look at.
type stream struct {
	cache  *cache.DB
	events *cache.Events
	link   Link
	clock  *clock
	log    *slog.Logger
	m      *metrics
	act    func(ctx context.Context, c *delta.Command) (string, error)
	acked  chan struct{}  // capacity 1: an ack came or the link opened, so the upload looks again
	acts   sync.WaitGroup // commands that are being done
	slots  chan struct{}  // as many as may be
	past   sync.Mutex     // serialises what is read and written of past commands

	nonce    string
	helloAt  time.Time // when it was made; commands' time to live counts from here
	needAt   time.Time
	need0    delta.Need // asked for last
	movedAt  time.Time  // when a delta or snapshot was last applied
	nackAt   map[string]time.Time
	badSnaps int
	snapWait time.Time            // no snapshot is asked for before this
	failed   time.Time            // since when a damaged cache cannot be mended
	staged   staging              // the snapshot that is coming in
	swapping bool                 // one that is whole is being checked and swapped in
	swapped  chan swapEnd         // capacity 1: what came of it
	lost     losses               // openings that deltas took without a word for them
	denied   losses               // … and the deny lane, ahead of a delta's turn
	done     map[string]time.Time // commands taken under this nonce, and until when they could come again

	// swap is the cache's.
	swap func(ctx context.Context, id string, may func(cache.Swapping) error) error

	mu    sync.Mutex
	state LinkStatus
}

// A LinkStatus says how the site stands with the cloud.
type LinkStatus struct {
	Connected bool       `json:"connected"` // a beat answered this connection's hello, and beats go on
	Since     time.Time  `json:"since"`     // of Connected as it is now
	LastBeat  time.Time  `json:"last_beat,omitzero"`
	Cloud     delta.Head `json:"cloud_head"` // as the last beat said
	Forks     uint64     `json:"forks"`      // messages that contradicted what the site had
	Refused   uint64     `json:"refused"`    // messages that could not be opened or read
	OldEpochs uint64     `json:"old_epochs"`
	BadSnaps  uint64     `json:"bad_snapshots"`     // snapshots that did not verify
	Mass      uint64     `json:"mass_refused"`      // messages that would have taken very much, and bore no word for it
	Problem   string     `json:"problem,omitempty"` // what keeps the site from following, in words
}

func newStream(db *cache.DB, events *cache.Events, link Link, clock *clock, log *slog.Logger, m *metrics,
	act func(context.Context, *delta.Command) (string, error)) *stream {
	return &stream{
		cache: db, events: events, link: link, clock: clock, log: log, m: m, act: act, swap: db.Swap,
		acked: make(chan struct{}, 1), swapped: make(chan swapEnd, 1), slots: make(chan struct{}, maxActs), nackAt: map[string]time.Time{}, done: map[string]time.Time{},
		state: LinkStatus{Since: time.Now(), LastBeat: db.LastContact()},
	}
}

// Status may be called from any goroutine.
func (s *stream) Status() LinkStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

func (s *stream) update(f func(*LinkStatus)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.state)
}

func (s *stream) problem(text string) { s.update(func(st *LinkStatus) { st.Problem = text }) }

// run follows the link until ctx ends. Nothing that the cloud or the broker
// sends ends it; only a cache that must be opened anew does.
func (s *stream) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	inbound := make(chan Inbound)
	var others sync.WaitGroup
	others.Go(func() {
		for {
			in, err := s.link.Next(ctx)
			if err != nil {
				return
			}
			select {
			case inbound <- in:
			case <-ctx.Done():
				return
			}
		}
	})
	defer others.Wait()
	defer stop()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case in := <-inbound:
			err = s.handle(ctx, in)
		case sw := <-s.swapped:
			s.swapping = false
			err = s.finished(ctx, sw)
		case <-tick.C:
			s.look(ctx)
		}
		// A large snapshot takes seconds to check. What revokes access must not
		// wait behind it.
		if id := s.staged.whole; id != "" && err == nil {
			s.staged, s.swapping = staging{}, true
			others.Go(func() { s.swapped <- swapEnd{id, s.swap(ctx, id, s.maySwap)} })
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

func (s *stream) handle(ctx context.Context, in Inbound) error {
	switch {
	case in.Up:
		s.disconnected()
		s.staged = staging{}
		s.clock.opened()
		s.hello(ctx)
	case in.Down:
		s.disconnected()
	case in.Err != nil:
		s.refuse(ctx, in.Err, in.Payload)
	default:
		return s.message(ctx, in.Message, in.Payload, in.Hash)
	}
	return nil
}

// look does what no message prompts.
func (s *stream) look(ctx context.Context) {
	st := s.Status()
	if !st.Connected {
		return
	}
	now := time.Now()
	if now.Sub(st.LastBeat) > beatLost {
		s.disconnected()
		return
	}
	switch {
	case len(s.staged.missing) > 0 && now.Sub(s.staged.at) >= partsMissing:
		s.staged.at = now
		s.send(ctx, &delta.Need{Epoch: s.staged.head.Epoch, Snapshot: true, ID: s.staged.id, Parts: s.staged.missing, Reason: "parts"})
	case len(s.staged.missing) == 0 && s.cache.Held().Epoch == 0 && now.Sub(s.needAt) >= partsMissing && now.Sub(s.helloAt) >= partsMissing:
		s.needSnapshot(ctx, "damaged")
	}
}

func (s *stream) disconnected() {
	s.update(func(st *LinkStatus) {
		if st.Connected {
			st.Connected, st.Since = false, time.Now()
		}
	})
}

// hello opens a conversation under a nonce of its own, and says where the site
// stands.
func (s *stream) hello(ctx context.Context) {
	var random [16]byte
	rand.Read(random[:]) // never fails (crypto/rand)
	s.nonce, s.helloAt = delta.NonceOf(random), time.Now()
	clear(s.done)
	s.send(ctx, &delta.Hello{
		Head:       s.cache.Held(),
		Nonce:      s.nonce,
		Versions:   []int{delta.Version},
		EventEpoch: s.events.Epoch(),
		Events:     s.events.Last(),
		Software:   Software,
	})
}

func (s *stream) message(ctx context.Context, m delta.Message, payload []byte, hash delta.Hash) error {
	switch m := m.(type) {
	case *delta.Delta:
		return s.delta(ctx, m, hash)
	case *delta.Snapshot:
		return s.snapshot(ctx, m)
	case *delta.Beat:
		s.beat(ctx, m)
	case *delta.Ack:
		if err := s.events.Ack(ctx, m.EventEpoch, m.N); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "ack of events not taken", "n", m.N, "err", err)
		}
		s.wakeUpload()
	case *delta.Command:
		s.command(ctx, m)
	default:
		s.refuse(ctx, fmt.Errorf("%w: %T, want one that goes down to a site", delta.ErrType, m), payload)
	}
	return nil
}

func (s *stream) delta(ctx context.Context, d *delta.Delta, hash delta.Hash) error {
	held := s.cache.Held()
	switch delta.Judge(held, d, hash) {
	case delta.Apply:
		return s.apply(ctx, d, hash)
	case delta.AckAgain:
		s.applied(ctx)
	case delta.Gap:
		s.ahead(ctx, d.Epoch, d.Seq, d.Deny, d.Approved)
		s.need(ctx, delta.Need{Epoch: d.Epoch, From: held.Seq + 1, To: d.Seq - 1})
	case delta.NewEpoch:
		s.ahead(ctx, d.Epoch, d.Seq, d.Deny, d.Approved)
		s.needSnapshot(ctx, "epoch")
	case delta.Fork:
		s.ahead(ctx, d.Epoch, d.Seq, d.Deny, d.Approved)
		s.update(func(st *LinkStatus) { st.Forks++ })
		s.log.ErrorContext(ctx, "the stream contradicts what the site holds; asking for a snapshot", "epoch", d.Epoch, "seq", d.Seq, "held", held.Seq)
		s.needSnapshot(ctx, "fork")
	case delta.OldEpoch:
		s.update(func(st *LinkStatus) { st.OldEpochs++ })
		s.log.WarnContext(ctx, "delta of an old epoch refused", "epoch", d.Epoch, "held", held.Epoch)
	}
	return nil
}

// apply brings the delta whose turn it is into the cache. What it takes away is
// taken away at once, also where the rest of it is refused, but for a mass loss
// that nobody has approved.
func (s *stream) apply(ctx context.Context, d *delta.Delta, hash delta.Hash) error {
	start := time.Now()
	uncovered, refused := s.weighDelta(d)
	if refused != nil {
		s.refuseLoss(ctx, d.Epoch, d.Seq, refused)
		s.block(ctx, d.Epoch, d.Seq, postures(d.Deny))
		return nil
	}
	err := s.cache.Apply(ctx, d, hash)
	switch {
	case err == nil:
		s.lost.add(start, uncovered)
		s.m.deltaApply.Observe(time.Since(start).Seconds())
		s.movedAt = time.Now()
		s.problem("")
		s.applied(ctx)
	case errors.Is(err, cache.ErrForeign):
		return err
	case errors.Is(err, cache.ErrDigest), errors.Is(err, cache.ErrRecord):
		s.ahead(ctx, d.Epoch, d.Seq, d.Deny, d.Approved)
		s.problem("A change from the cloud contradicts itself; the site asks for its whole list.")
		s.log.ErrorContext(ctx, "delta refused; asking for a snapshot", "seq", d.Seq, "err", err)
		if errors.Is(err, cache.ErrRecord) {
			s.nack(ctx, &delta.Nack{Epoch: d.Epoch, Seq: d.Seq, Reason: "shape"})
		} else {
			s.needSnapshot(ctx, "digest")
		}
	case ctx.Err() != nil:
	default: // the disk: no applied, so the cloud sends it again
		s.ahead(ctx, d.Epoch, d.Seq, d.Deny, d.Approved) // in memory, where the disk does not take it either
		s.problem("A change from the cloud could not be stored: " + err.Error())
		s.log.ErrorContext(ctx, "delta not stored", "seq", d.Seq, "err", err)
	}
	return nil
}

// block puts refs into force as taken away, ahead of the turn of their delta.
func (s *stream) block(ctx context.Context, epoch uint32, seq uint64, deny []access.Ref) {
	if len(deny) == 0 {
		return
	}
	if err := s.cache.Block(ctx, epoch, seq, deny); err != nil && ctx.Err() == nil {
		s.log.ErrorContext(ctx, "deny lane not stored", "seq", seq, "err", err)
	}
}

// beat obeys the rules that stand at delta.Beat.
func (s *stream) beat(ctx context.Context, b *delta.Beat) {
	now := time.Now()
	if b.Re != s.nonce {
		if b.Re == "" && now.Sub(s.helloAt) >= helloLeast { // the cloud was started anew
			s.hello(ctx)
		}
		return
	}
	s.update(func(st *LinkStatus) {
		if !st.Connected {
			st.Connected, st.Since = true, now
		}
		st.LastBeat, st.Cloud = now, b.Head
	})
	s.clock.heard(ctx, s.cache, b.Time, s.log)
	if err := s.cache.Contact(ctx, now); err != nil && ctx.Err() == nil {
		s.log.ErrorContext(ctx, "contact with the cloud not stored", "err", err)
	}
	switch held := s.cache.Held(); {
	case len(s.staged.missing) > 0, s.swapping: // a snapshot is coming in already
	case now.Sub(s.helloAt) < beatQuiet, now.Sub(s.movedAt) < beatQuiet: // the cloud has heard where we stand, and is at it
	case b.Head.Epoch > held.Epoch:
		s.needSnapshot(ctx, "epoch")
	case b.Head.Epoch == held.Epoch && b.Head.Seq > held.Seq:
		s.need(ctx, delta.Need{Epoch: held.Epoch, From: held.Seq + 1, To: b.Head.Seq})
	case b.Head.Epoch == held.Epoch && b.Head.Seq == held.Seq && b.Head.Hash != held.Hash:
		s.update(func(st *LinkStatus) { st.Forks++ })
		s.needSnapshot(ctx, "fork")
	}
	s.wakeUpload()
}

// refuse says that a message could not be read. What a newer version of it
// takes away is taken away all the same.
func (s *stream) refuse(ctx context.Context, err error, payload []byte) {
	s.update(func(st *LinkStatus) { st.Refused++ })
	s.log.WarnContext(ctx, "message from the cloud refused", "err", err)
	at := s.cache.Held()
	if payload != nil {
		if d, err := delta.DecodeDeny(payload); err == nil {
			at = d.Head
			s.ahead(ctx, at.Epoch, at.Seq, d.Refs, d.Approved)
		}
	}
	reason := delta.Reason(err)
	if reason == "version" {
		s.problem("The cloud speaks a newer version than this agent: it needs an update. What the cloud takes away is taken away all the same.")
	}
	s.nack(ctx, &delta.Nack{Epoch: at.Epoch, Seq: at.Seq, Reason: reason})
}

func (s *stream) nack(ctx context.Context, n *delta.Nack) {
	least := nackEvery
	if n.Reason == "signature" {
		least = nackForged
	}
	now := time.Now()
	if last, ok := s.nackAt[n.Reason]; ok && now.Sub(last) < least {
		return
	}
	s.nackAt[n.Reason] = now
	s.send(ctx, n)
}

func (s *stream) applied(ctx context.Context) {
	if held := s.cache.Held(); held.Epoch != 0 {
		s.send(ctx, &delta.Applied{Head: held})
	}
}

// need asks for deltas. Each message behind a gap would ask again; one question
// in a while is enough, unless it is another gap.
func (s *stream) need(ctx context.Context, n delta.Need) {
	now := time.Now()
	if n.Epoch == s.need0.Epoch && n.From == s.need0.From && now.Sub(s.needAt) < needEvery {
		return
	}
	s.needAt, s.need0 = now, n
	s.send(ctx, &n)
}

// send drops what the link does not take: everything that matters is said
// again, at the next message, the next beat or the next connection.
func (s *stream) send(ctx context.Context, m delta.Message) {
	if err := s.link.Send(ctx, m); err != nil && ctx.Err() == nil {
		s.log.DebugContext(ctx, "message did not leave", "type", fmt.Sprintf("%T", m), "err", err)
	}
}

func (s *stream) wakeUpload() {
	select {
	case s.acked <- struct{}{}:
	default:
	}
}
