package uplink

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"latchkey/delta"
)

// laneInbox is how many messages of one site wait for its lane. What does not
// fit is sent again by the site.
const laneInbox = 256

// laneBytes is how much of one site may wait besides: enough for two dozen of
// the largest messages, and a thousand sites that flood us do not fill the memory.
const laneBytes = 3 << 20

// handleAtOnce is how many waiting messages a lane takes before it looks at
// what there is to send.
const handleAtOnce = 64

// abandonAfter is how long a transfer goes on without a receipt. It then gives
// up its memory and its slot.
const abandonAfter = time.Minute

// denyChunk is how many entries of the log are looked through at once for what
// they take away.
const denyChunk = maxInFlight

// keysFresh is how long a site's keys are taken to be as they were read.
const keysFresh = time.Second

// badEvery is the time between two log lines about refused messages of a site.
const badEvery = time.Minute

// Two agents with one site's id each say their hello again whenever the cloud
// echoes the other's. rivalFlips is how often the nonce has to go back to the
// one before, each time within rivalQuiet, until that is what it must be;
// stray copies of old hellos do it once or twice. From then on a nonce stands
// for rivalRest at least.
const (
	rivalFlips = 6
	rivalQuiet = 2 * time.Minute
	rivalRest  = 20 * time.Second
)

// The waits before another snapshot when the newest ones came to nothing.
const (
	maxSnapshotWait = 30 * time.Second
	minNackWait     = time.Minute
	maxNackWait     = time.Hour
)

// A lane is the cloud's end of one site's link: one goroutine, which alone owns
// all fields but those that say otherwise.
type lane struct {
	cloud *Cloud
	site  string
	log   *slog.Logger

	inbox    chan []byte   // envelopes, from the socket's goroutine
	waiting  atomic.Int64  // bytes in inbox
	wake     chan struct{} // capacity 1
	changed  atomic.Bool   // the log may have grown
	reopened atomic.Bool   // the connection to the broker is new

	keys   delta.Keys // that the site may sign with …
	keysAt time.Time  // … as read then
	badAt  time.Time  // when a refused message was last logged
	bads   int        // refused since

	nonce      string // of the newest hello; "" asks for one
	hello      *delta.Hello
	oldNonce   string    // of the hello before
	flips      int       // how often the two changed places, and
	flipAt     time.Time // when last
	lastUp     time.Time
	head       delta.Head // of the log, as last read
	epoch      uint32     // of window
	window     Window
	sentUpTo   uint64 // newest seq ever sent in epoch, for counting what is sent again
	applied    delta.Head
	report     bool // applied is news for the source
	beatAt     time.Time
	pausedTill time.Time // the source failed
	fault      string
	faults     int
	ahead      bool

	// The deny lane: what the log takes away is sent ahead of its turn.
	deniedEpoch uint32
	deniedUpTo  uint64              // so far the log was looked through for it
	early       map[uint64]struct{} // seqs sent ahead of their turn

	wanted     bool // a snapshot
	transfer   *transfer
	slot       bool // of Cloud.slots
	snapshotAt time.Time
	begun      int       // snapshots since one was applied
	settledBy  time.Time // a complete transfer is to be applied by then

	nack     string
	nacks    int
	nackTill time.Time
	word     *delta.Approval // for what the site refuses, as known last

	mu         sync.Mutex // guards the fields below, which others read
	shown      SiteState
	shownNonce string
}

func newLane(c *Cloud, site string) *lane {
	return &lane{
		cloud: c,
		site:  site,
		log:   c.log.With("site", site),
		inbox: make(chan []byte, laneInbox),
		wake:  make(chan struct{}, 1),
	}
}

// run works the lane until ctx ends.
func (l *lane) run(ctx context.Context) {
	defer l.free()
	l.changed.Store(true)
	l.reopened.Store(true)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		for range handleAtOnce {
			select {
			case envelope := <-l.inbox:
				l.take(ctx, envelope)
				continue
			default:
			}
			break
		}
		l.work(ctx)
		l.publishState()
		if len(l.inbox) > 0 {
			continue
		}
		timer.Reset(max(l.nextWake().Sub(l.cloud.now()), 0))
		select {
		case <-ctx.Done():
		case envelope := <-l.inbox:
			l.take(ctx, envelope)
		case <-l.wake:
		case <-timer.C:
		}
	}
}

// put queues an envelope and tells whether there was room. It is safe for
// concurrent use and does not block.
func (l *lane) put(envelope []byte) bool {
	n := int64(len(envelope))
	if l.waiting.Add(n) <= laneBytes {
		select {
		case l.inbox <- envelope:
			return true
		default:
		}
	}
	l.waiting.Add(-n)
	return false
}

// take handles an envelope that was queued.
func (l *lane) take(ctx context.Context, envelope []byte) {
	l.waiting.Add(-int64(len(envelope)))
	l.handle(ctx, envelope)
}

// nextWake is when work has something to do at the latest.
func (l *lane) nextWake() time.Time {
	now := l.cloud.now()
	if now.Before(l.pausedTill) {
		return l.pausedTill
	}
	wake := l.beatAt
	for _, t := range []time.Time{l.window.Wake(), l.transferWake()} {
		if !t.IsZero() && t.Before(wake) {
			wake = t
		}
	}
	return wake
}

func (l *lane) transferWake() time.Time {
	switch {
	case l.nonce == "" || l.head.Epoch == 0:
		return time.Time{}
	case l.transfer == nil && l.wanted:
		if l.nackTill.After(l.snapshotAt) {
			return l.nackTill
		}
		return l.snapshotAt
	case l.transfer == nil:
		return time.Time{}
	case l.transfer.complete():
		return l.settledBy
	default:
		return l.transfer.wake()
	}
}

// work sends what is due: a beat, a snapshot, deltas.
func (l *lane) work(ctx context.Context) {
	now := l.cloud.now()
	if l.reopened.Swap(false) {
		l.beatAt = time.Time{}
		if l.window.Running() {
			l.window.Start(l.window.Base()) // what was on its way is lost
		}
		if l.transfer != nil {
			l.transfer.recall() // what was on its way is lost
		}
	}
	if now.Before(l.pausedTill) {
		return
	}
	if err := l.send(ctx, now); err != nil && !errors.Is(err, ErrClosed) && !errors.Is(err, errNotOurs) && ctx.Err() == nil {
		wait := min(l.cloud.timing.retry<<min(l.faults, 10), maxResend)
		l.faults++
		l.pausedTill = now.Add(wait)
		if l.fault != err.Error() {
			l.log.Error("site not served", "err", err, "retry_in", wait)
		}
		l.fault = err.Error()
		return
	} else if err == nil {
		l.fault, l.faults = "", 0
	}
}

func (l *lane) send(ctx context.Context, now time.Time) error {
	if l.report {
		if err := l.cloud.source.Applied(ctx, l.site, l.applied); err != nil {
			return fmt.Errorf("note applied: %w", err)
		}
		l.report = false
	}
	beat := !now.Before(l.beatAt)
	if beat || l.changed.Load() {
		if err := l.readHead(ctx); err != nil {
			return err
		}
	}
	if beat {
		if l.nonce != "" && now.Sub(l.lastUp) > l.cloud.timing.gone {
			l.log.Info("site is gone", "last_heard", l.lastUp)
			l.forget()
		}
		if err := l.beat(ctx, now); err != nil {
			return err
		}
		if err := l.hearWord(ctx, now); err != nil {
			return err
		}
	}
	if l.nonce == "" || l.head.Epoch == 0 {
		return nil
	}
	if err := l.sendDenials(ctx); err != nil {
		return err
	}
	if l.transfer != nil || l.wanted {
		return l.sendSnapshot(ctx, now)
	}
	return l.sendDeltas(ctx, now)
}

// hearWord ends the wait of a site that refuses a mass loss once a person has
// approved it.
func (l *lane) hearWord(ctx context.Context, now time.Time) error {
	if l.nack == "" || !now.Before(l.nackTill) {
		return nil
	}
	word, err := l.cloud.source.Approved(ctx, l.site)
	if err != nil {
		return fmt.Errorf("read approval: %w", err)
	}
	if word != nil && (l.word == nil || *word != *l.word) {
		l.word, l.nackTill = word, time.Time{}
	}
	return nil
}

// sendDenials sends, once and ahead of their turn, the deltas that take
// something away and that a snapshot or a full window would hold up: the site
// takes it away at once and leaves the rest for when the delta's turn comes.
func (l *lane) sendDenials(ctx context.Context) error {
	if l.ahead || l.hello.Epoch == 0 { // it would not listen; it holds nothing
		return nil
	}
	from := l.deniedUpTo
	if l.window.Running() {
		from = max(from, l.window.Base()+maxInFlight) // these go now, in their turn
	}
	if from >= l.head.Seq {
		if l.window.Running() && l.window.Base() == l.head.Seq {
			clear(l.early)
		}
		return nil
	}
	payloads, err := l.cloud.source.Read(ctx, l.site, l.head.Epoch, from, int(min(l.head.Seq-from, denyChunk)))
	switch {
	case errors.Is(err, ErrNoEntry):
		l.deniedUpTo = l.head.Seq // only the snapshot can tell
		return nil
	case err != nil:
		return fmt.Errorf("read log: %w", err)
	}
	for i, payload := range payloads {
		denial, err := delta.DecodeDeny(payload)
		if err != nil || len(denial.Refs) == 0 {
			continue // what the site cannot read it says when its turn comes
		}
		if err := l.cloud.sendPayload(ctx, l.site, payload); err != nil {
			return err // from here again: next time, or on the next connection
		}
		l.early[from+uint64(i)+1] = struct{}{}
	}
	l.deniedUpTo = from + uint64(len(payloads))
	if len(payloads) > 0 && l.deniedUpTo < l.head.Seq {
		signal(l.wake) // the rest, after what else is to be done
	}
	return nil
}

// recallDenials has all that is taken away after seq be sent again.
func (l *lane) recallDenials(epoch uint32, seq uint64) {
	l.deniedEpoch, l.deniedUpTo, l.early = epoch, seq, make(map[uint64]struct{})
}

// readHead learns how far the log is. A new epoch is a new stream, which the
// site can only join by a snapshot.
func (l *lane) readHead(ctx context.Context) error {
	l.changed.Store(false) // before the reading: a change during it is seen next time
	head, err := l.cloud.source.Head(ctx, l.site)
	if err != nil {
		l.changed.Store(true)
		return fmt.Errorf("read head: %w", err)
	}
	l.head = head
	if head.Epoch != l.deniedEpoch {
		l.recallDenials(head.Epoch, 0)
	}
	switch {
	case l.nonce == "" || head.Epoch == 0:
	case l.ahead && head.Epoch == l.hello.Epoch && head.Seq >= l.hello.Seq:
		// The log was set back and has grown past the site since.
		l.ahead = false
		l.want("the log has caught up with the site")
	case l.transfer != nil && l.transfer.head.Epoch != head.Epoch:
		l.drop()
	case l.window.Running() && head.Epoch != l.epoch:
		l.want("new epoch")
	case !l.window.Running() && head.Epoch > l.hello.Epoch:
		l.want("the log is new")
	}
	return nil
}

func (l *lane) beat(ctx context.Context, now time.Time) error {
	// The next beat is due also when this one fails: the connection may be
	// closed, and opening it again makes a beat due at once.
	first := l.beatAt.IsZero()
	l.beatAt = now.Add(l.cloud.timing.beat)
	if first { // spread the beats of a thousand sites
		l.beatAt = now.Add(time.Duration((0.5 + 0.5*mathrand.Float64()) * float64(l.cloud.timing.beat)))
	}
	return l.cloud.send(ctx, l.site, &delta.Beat{Re: l.nonce, Head: l.head, Time: now.UTC()})
}

func (l *lane) sendDeltas(ctx context.Context, now time.Time) error {
	l.window.Tick(now)
	from, to := l.window.Next(now, l.head.Seq)
	if from > to {
		return nil
	}
	payloads, err := l.cloud.source.Read(ctx, l.site, l.epoch, from-1, int(to-from+1))
	switch {
	case errors.Is(err, ErrNoEntry):
		l.want("log does not go back far enough")
		return nil
	case err != nil:
		return fmt.Errorf("read log: %w", err)
	case uint64(len(payloads)) < to-from+1:
		return fmt.Errorf("read log: %d entries after %d, want %d", len(payloads), from-1, to-from+1)
	}
	for i, payload := range payloads {
		if from+uint64(i) <= l.sentUpTo {
			l.cloud.resent.Add(1)
		}
		l.sentUpTo = max(l.sentUpTo, from+uint64(i))
		if err := l.cloud.sendPayload(ctx, l.site, payload); err != nil {
			return err // what is not sent counts as lost on the way
		}
	}
	return nil
}

// want asks for a snapshot. Until the site has applied it, no delta is sent.
func (l *lane) want(why string) {
	if l.transfer != nil || l.wanted {
		return
	}
	l.log.Info("site needs a snapshot", "why", why)
	l.wanted = true
	l.window.Stop()
}

func (l *lane) sendSnapshot(ctx context.Context, now time.Time) error {
	if t := l.transfer; t != nil {
		switch {
		case t.complete() && l.settledBy.IsZero():
			l.free() // it holds nothing any more
			l.settledBy = now.Add(l.cloud.timing.settle)
		case t.complete() && !now.Before(l.settledBy):
			l.log.Warn("snapshot arrived but was not applied", "id", t.id)
			l.drop()
		case !t.complete() && now.Sub(t.heard) > abandonAfter:
			l.log.Info("snapshot abandoned: no receipts", "id", t.id)
			l.drop()
		}
	}
	if l.transfer == nil {
		if err := l.begin(ctx, now); err != nil || l.transfer == nil {
			return err
		}
	}
	t := l.transfer
	for _, part := range t.send(now) {
		m := &delta.Snapshot{ID: t.id, Re: l.nonce, Part: part, Parts: t.count, Head: t.head, Records: t.parts[part-1], Approved: t.word}
		if err := l.cloud.send(ctx, l.site, m); err != nil {
			if errors.Is(err, delta.ErrShape) || errors.Is(err, delta.ErrSize) {
				l.drop() // this one can never be sent
			}
			return err
		}
	}
	return nil
}

// begin reads a snapshot and makes it the transfer, unless it is too early or
// too many are under way.
func (l *lane) begin(ctx context.Context, now time.Time) error {
	if now.Before(l.snapshotAt) || now.Before(l.nackTill) {
		return nil
	}
	select {
	case l.cloud.slots <- struct{}{}:
		l.slot = true
	default:
		l.snapshotAt = now.Add(l.cloud.timing.retry / 4)
		return nil
	}
	head, changes, word, err := l.cloud.source.Snapshot(ctx, l.site)
	if err != nil {
		l.free()
		return fmt.Errorf("read snapshot: %w", err)
	}
	t, err := newTransfer(now, rand.Text(), head, changes)
	if err != nil {
		l.free()
		return err
	}
	t.word = word
	l.transfer, l.wanted, l.settledBy = t, false, time.Time{}
	l.cloud.snapshots.Add(1)
	// The first two at once, then 1, 2, 4 … 30 s: each costs the whole state.
	l.snapshotAt = now
	if l.begun > 0 {
		l.snapshotAt = now.Add(min(l.cloud.timing.retry<<min(l.begun-1, 10), maxSnapshotWait))
	}
	l.begun++
	l.log.Info("snapshot begun", "id", t.id, "epoch", head.Epoch, "seq", head.Seq, "records", len(changes), "parts", t.count)
	return nil
}

// drop gives a transfer up; another snapshot is still wanted.
func (l *lane) drop() {
	l.transfer, l.wanted = nil, true
	l.free()
}

func (l *lane) free() {
	if l.slot {
		<-l.cloud.slots
		l.slot = false
	}
}

// forget makes the site's position unknown. The beats then ask for a hello.
func (l *lane) forget() {
	l.nonce, l.hello = "", nil
	l.window.Stop()
	if l.transfer != nil {
		l.drop()
	}
	l.wanted = false
}

// stands makes the site's position known: deltas follow after head.
func (l *lane) stands(head delta.Head) {
	if l.epoch != head.Epoch {
		l.sentUpTo = 0
	}
	l.epoch = head.Epoch
	l.transfer, l.wanted, l.begun, l.nack, l.nacks, l.nackTill, l.word = nil, false, 0, "", 0, time.Time{}, nil
	l.free()
	l.window.Start(head.Seq)
}

// handle opens one message and does what it says.
func (l *lane) handle(ctx context.Context, envelope []byte) {
	m, err := l.open(ctx, envelope)
	if err != nil {
		if ctx.Err() == nil {
			l.cloud.bad.Add(1)
			l.complain(err)
		}
		return
	}
	l.lastUp = l.cloud.now()
	if err := l.obey(ctx, m); err != nil && !errors.Is(err, ErrClosed) && ctx.Err() == nil {
		l.log.Error("message not taken", "type", delta.HeaderOf(m).Type, "err", err)
	}
}

// complain logs why a message was refused, but not each of a flood.
func (l *lane) complain(err error) {
	l.bads++
	if now := l.cloud.now(); l.badAt.IsZero() || now.Sub(l.badAt) >= badEvery {
		l.log.Warn("message refused", "err", err, "count", l.bads)
		l.badAt, l.bads = now, 0
	}
}

func (l *lane) open(ctx context.Context, envelope []byte) (delta.Message, error) {
	if now := l.cloud.now(); l.keysAt.IsZero() || now.Sub(l.keysAt) >= keysFresh {
		keys, err := l.cloud.source.SiteKeys(ctx, l.site)
		if err != nil {
			return nil, fmt.Errorf("read keys: %w", err)
		}
		l.keys, l.keysAt = keys, now
	}
	payload, _, err := delta.Open(l.keys, delta.UpTyp, envelope)
	if err != nil {
		return nil, err
	}
	m, err := delta.Decode(payload)
	if err != nil {
		return nil, err
	}
	switch h := delta.HeaderOf(m); {
	case h.Site != l.site:
		// The topic is the broker's word, the payload the site's own.
		return nil, fmt.Errorf("%w: %q on the topic of %q", delta.ErrSite, h.Site, l.site)
	case delta.TypOf(m) != delta.UpTyp:
		return nil, fmt.Errorf("%w: %q does not go up", delta.ErrType, h.Type)
	}
	return m, nil
}

// obey does what m says.
func (l *lane) obey(ctx context.Context, m delta.Message) error {
	source := l.cloud.source
	switch m := m.(type) {
	case *delta.Hello:
		return l.takeHello(ctx, m)
	case *delta.Applied:
		return l.takeApplied(ctx, m)
	case *delta.Need:
		l.takeNeed(m)
		return nil
	case *delta.Nack:
		l.takeNack(m)
		return source.Nack(ctx, l.site, m)
	case *delta.Receipt:
		if l.transfer != nil && l.transfer.id == m.ID && l.nonce == m.Re {
			l.transfer.receipt(l.cloud.now(), m.Part)
		}
		return nil
	case *delta.Events:
		upTo, err := source.Events(ctx, l.site, m)
		if err != nil {
			return fmt.Errorf("store events: %w", err)
		}
		return l.cloud.send(ctx, l.site, &delta.Ack{EventEpoch: m.EventEpoch, N: upTo})
	case *delta.Result:
		return source.Result(ctx, l.site, m)
	case *delta.Proof:
		return source.Proof(ctx, l.site, m)
	default:
		return fmt.Errorf("%w: %T", delta.ErrType, m)
	}
}

// takeHello learns where the site stands and what it needs.
func (l *lane) takeHello(ctx context.Context, m *delta.Hello) error {
	now := l.cloud.now()
	repeated := l.nonce == m.Nonce
	if !repeated {
		if l.rival(now, m.Nonce) {
			return nil
		}
		if err := l.cloud.source.Hello(ctx, l.site, m); err != nil {
			return fmt.Errorf("note hello: %w", err)
		}
	}
	if err := l.readHead(ctx); err != nil {
		return err
	}
	fits, err := l.fits(ctx, m.Head)
	if err != nil {
		return err
	}
	if !repeated {
		l.oldNonce = l.nonce
		if m.Epoch == l.head.Epoch {
			l.recallDenials(m.Epoch, m.Seq)
		} else {
			l.recallDenials(l.head.Epoch, 0)
		}
	}
	l.nonce, l.hello = m.Nonce, m
	l.ahead = l.head.Epoch != 0 && (m.Epoch > l.head.Epoch || m.Epoch == l.head.Epoch && m.Seq > l.head.Seq)
	switch {
	case l.head.Epoch == 0: // nothing to send yet
		l.window.Stop()
	case l.ahead:
		// No snapshot that we have would be taken. The source is to start a
		// new epoch; until then every hello comes here.
		l.log.Error("site is ahead of its log", "epoch", m.Epoch, "seq", m.Seq, "log_epoch", l.head.Epoch, "log_seq", l.head.Seq)
		l.window.Stop()
	case fits && repeated && l.window.Running() && l.epoch == m.Epoch && l.window.Base() <= m.Seq:
		// The beat was lost and not the hello. Were the window started anew, a
		// site that hears nothing would be sent all of it with each repeat.
		l.noteApplied(m.Head)
		l.window.Applied(now, m.Seq)
	case fits:
		l.noteApplied(m.Head)
		l.stands(m.Head)
	case l.transfer != nil && l.transfer.head.Epoch == l.head.Epoch:
		if !repeated {
			if l.transfer.complete() { // and was not applied: its parts are not kept
				l.drop()
			} else {
				l.transfer.restart(now)
			}
		}
	default:
		if l.transfer != nil {
			l.drop()
		}
		l.want("hello does not fit the log")
	}
	l.changed.Store(true)
	return l.beat(ctx, now)
}

// rival tells whether a new nonce is to be passed over because two agents
// speak in the site's name and change places all the time.
func (l *lane) rival(now time.Time, nonce string) bool {
	if nonce != l.oldNonce || nonce == "" {
		return false
	}
	if l.rivals(now) && now.Sub(l.flipAt) < rivalRest {
		return true
	}
	if now.Sub(l.flipAt) >= rivalQuiet {
		l.flips = 0
	}
	l.flips++
	l.flipAt = now
	if l.flips == rivalFlips {
		l.log.Error("two agents speak in the name of this site; one of them must be switched off")
	}
	return false
}

func (l *lane) rivals(now time.Time) bool {
	return l.flips >= rivalFlips && now.Sub(l.flipAt) < rivalQuiet
}

// fits tells whether the log has head. The digest is only known for the newest
// entry; there it finds a site whose records are not what it applied.
func (l *lane) fits(ctx context.Context, head delta.Head) (bool, error) {
	if head.Epoch != l.head.Epoch || head.Epoch == 0 || head.Seq > l.head.Seq {
		return false, nil
	}
	if head.Seq == l.head.Seq {
		return head == l.head, nil
	}
	if head.Seq == 0 {
		return true, nil
	}
	hash, err := l.cloud.source.HashAt(ctx, l.site, head.Epoch, head.Seq)
	switch {
	case errors.Is(err, ErrNoEntry):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("read hash: %w", err)
	}
	return hash == head.Hash, nil
}

func (l *lane) takeApplied(ctx context.Context, m *delta.Applied) error {
	if l.nonce == "" {
		return nil // the hello that our beat asked for will tell more
	}
	if m.Epoch == l.head.Epoch && m.Seq > l.head.Seq {
		if err := l.readHead(ctx); err != nil {
			return err
		}
	}
	inSnapshot := l.transfer != nil || l.wanted
	if m.Epoch == l.epoch && m.Seq <= l.window.Base() && l.window.Running() {
		return nil // an old one
	}
	fits, err := l.fits(ctx, m.Head)
	if err != nil {
		return err
	}
	switch {
	case fits && l.transfer != nil && m.Epoch == l.transfer.head.Epoch && m.Seq >= l.transfer.head.Seq:
		l.log.Info("snapshot applied", "id", l.transfer.id, "epoch", m.Epoch, "seq", m.Seq)
		l.noteApplied(m.Head)
		l.stands(m.Head)
	case fits && !inSnapshot && m.Epoch == l.epoch:
		l.noteApplied(m.Head)
		l.window.Applied(l.cloud.now(), m.Seq)
	case !fits && !inSnapshot && m.Epoch == l.epoch:
		l.want("applied does not fit the log")
	}
	return nil
}

func (l *lane) noteApplied(head delta.Head) {
	if l.applied != head {
		l.applied, l.report = head, true
	}
}

func (l *lane) takeNeed(m *delta.Need) {
	now := l.cloud.now()
	switch {
	case l.nonce == "":
	case m.Snapshot && l.transfer != nil && m.ID == l.transfer.id && len(m.Parts) > 0:
		if !l.transfer.need(now, m.Parts) {
			l.drop()
		}
	case m.Snapshot && l.transfer != nil && (!l.transfer.complete() || m.ID != "" && m.ID != l.transfer.id):
		// One is on its way already.
	case m.Snapshot && l.transfer != nil:
		l.log.Info("site needs another snapshot", "why", m.Reason)
		l.drop()
	case m.Snapshot:
		l.want(m.Reason)
	case m.Epoch == l.epoch:
		if _, early := l.early[m.To+1]; !early { // else we made the gap ourselves
			l.window.Need(now, m.From)
		}
	}
}

// takeNack stops sending what the site cannot read or will not obey. A snapshot
// goes round the bad message; if that is refused as well, the tries get rare.
func (l *lane) takeNack(m *delta.Nack) {
	if l.nonce == "" || m.Epoch != 0 && m.Epoch != l.head.Epoch {
		return
	}
	now := l.cloud.now()
	if l.nack != "" && now.Before(l.nackTill) {
		return // the rest of the window that was on its way
	}
	l.log.Error("site refuses a message", "epoch", m.Epoch, "seq", m.Seq, "reason", m.Reason)
	l.nack = m.Reason
	if l.nacks > 0 || m.Reason == delta.ReasonMass {
		l.nackTill = now.Add(min(minNackWait<<min(max(l.nacks-1, 0), 10), maxNackWait))
	}
	l.nacks++
	if l.transfer != nil {
		l.drop()
	}
	l.want("nack")
}

// publishState shows others what the lane knows.
func (l *lane) publishState() {
	s := SiteState{
		LastUp:   l.lastUp,
		Applied:  l.applied,
		Head:     l.head,
		InFlight: l.window.InFlight(),
		Ahead:    l.ahead,
		Rivals:   l.rivals(l.cloud.now()),
		Nack:     l.nack,
		Fault:    l.fault,
	}
	if t := l.transfer; t != nil {
		s.Snapshot = 100 * (t.count - t.missing) / t.count
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.shown, l.shownNonce = s, l.nonce
}

func (l *lane) show() SiteState {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.shown
	s.Online = l.shownNonce != "" && l.cloud.now().Sub(s.LastUp) < 3*l.cloud.timing.beat+5*time.Second
	return s
}
