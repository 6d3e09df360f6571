package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchkey/access"
	"latchkey/cache"
	"latchkey/controller"
	"latchkey/delta"
	"latchkey/wiegand"
)

// Times on pages are local ones; tests stand in Greenwich.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

const (
	epoch = 1_795_305_600
	front = "front-door"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// h10301 is the site's only card format.
func h10301() *wiegand.Format {
	f, ok := must(wiegand.Load()).Lookup("H10301")
	if !ok {
		panic("no H10301")
	}
	return f
}

// numberOf is what is printed on card i.
func numberOf(i int) uint64 { return uint64(10_000 + i) }

// card is the bits of card i.
func card(i int) wiegand.Bits {
	return must(h10301().Encode(map[string]uint64{"facility": 77, "card": numberOf(i)}))
}

// A world is the cloud's end of the site's stream.
type world struct {
	epoch   uint32
	records map[access.Ref]json.RawMessage
	head    delta.Head
	word    *delta.Approval // of all that is published
}

func newWorld(epoch uint32) *world {
	return &world{epoch: epoch, records: map[access.Ref]json.RawMessage{}, head: delta.Head{Epoch: epoch}}
}

// publish appends one delta to the stream.
func (w *world) publish(deny []access.Ref, changes ...delta.Change) Inbound {
	digest := w.head.Digest
	for _, c := range changes {
		if old, ok := w.records[c.Ref]; ok {
			digest.Sub(c.Ref, old)
			delete(w.records, c.Ref)
		}
		if c.Op == delta.OpPut {
			digest.Add(c.Ref, c.Record)
			w.records[c.Ref] = c.Record
		}
	}
	d := &delta.Delta{Epoch: w.epoch, Seq: w.head.Seq + 1, Prev: w.head.Hash, Digest: digest, Deny: deny, Changes: changes, Approved: w.word}
	in := message(d)
	w.head = delta.Head{Epoch: w.epoch, Seq: d.Seq, Hash: in.Hash, Digest: digest}
	return in
}

func message(m delta.Message) Inbound {
	h := delta.HeaderOf(m)
	h.Site, h.At = "hq", time.Now().UTC()
	payload := must(delta.Encode(m))
	return Inbound{Message: must(delta.Decode(payload)), Payload: payload, Hash: delta.HashOf(payload)}
}

// snapshot is the state now, in parts of one record each.
func (w *world) snapshot(id, nonce string) (parts []*delta.Snapshot) {
	refs := slices.SortedFunc(maps.Keys(w.records), func(a, b access.Ref) int { return strings.Compare(string(a.Kind)+a.Key, string(b.Kind)+b.Key) })
	for i, ref := range refs {
		parts = append(parts, &delta.Snapshot{ID: id, Re: nonce, Part: i + 1, Parts: len(refs), Head: w.head, Approved: w.word,
			Records: []delta.Change{{Op: delta.OpPut, Ref: ref, Record: w.records[ref]}}})
	}
	return parts
}

// hired is what the cloud says when person i gets card i and the front door.
func hired(i int) []delta.Change {
	person, cred := fmt.Sprintf("p%d", i), fmt.Sprintf("c%d", i)
	return []delta.Change{
		must(delta.Put(access.Person{ID: person, State: access.StateActive, Kind: access.KindFull})),
		must(delta.Put(access.Credential{ID: cred, Person: person, Technology: access.TechCard, Format: "H10301", Bits: card(i), Number: numberOf(i), Status: access.CredentialActive})),
		must(delta.Put(access.Membership{Person: person, Group: "staff"})),
	}
}

func doorsAndGroups() []delta.Change {
	return []delta.Change{
		must(delta.Put(access.Door{ID: front, Name: "Front door", Kind: access.DoorKindDoor})),
		must(delta.Put(access.Group{ID: "staff"})),
		must(delta.Put(access.Grant{Group: "staff", Door: front})),
	}
}

// A wire is a fake Link: the test is the cloud.
type wire struct {
	in chan Inbound

	mu   sync.Mutex
	sent []delta.Message
	drop func(delta.Message) error // says what does not leave; nil lets all through
}

func (w *wire) Next(ctx context.Context) (Inbound, error) {
	select {
	case in := <-w.in:
		return in, nil
	case <-ctx.Done():
		return Inbound{}, ctx.Err()
	}
}

func (w *wire) Send(_ context.Context, m delta.Message) error {
	h := delta.HeaderOf(m)
	h.Site, h.At = "hq", time.Now().UTC()
	if _, err := delta.Encode(m); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.drop != nil {
		if err := w.drop(m); err != nil {
			return err
		}
	}
	w.sent = append(w.sent, m)
	return nil
}

var errAway = errors.New("not connected")

// take returns all that was sent since the last take, of type T.
func take[T delta.Message](w *wire) (list []T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rest := w.sent[:0:0]
	for _, m := range w.sent {
		if m, ok := m.(T); ok {
			list = append(list, m)
			continue
		}
		rest = append(rest, m)
	}
	w.sent = rest
	return list
}

// one is take where exactly one is expected.
func one[T delta.Message](t *testing.T, w *wire) T {
	t.Helper()
	list := take[T](w)
	if len(list) != 1 {
		var none T
		t.Fatalf("the site sent %d of %T, want 1: %v", len(list), none, list)
	}
	return list[0]
}

// A lock is a fake driver of one door with one reader.
type lock struct {
	name, door string
	table      *controller.TableStatus
	onUnlock   func(context.Context) error

	mu     sync.Mutex
	sink   controller.Sink
	ctx    context.Context
	opened []time.Duration
	denied int
	again  int
}

func (l *lock) Name() string { return l.name }

func (l *lock) Run(ctx context.Context, sink controller.Sink) error {
	l.mu.Lock()
	l.sink, l.ctx = sink, ctx
	l.mu.Unlock()
	<-ctx.Done()
	return nil
}

func (l *lock) Unlock(ctx context.Context, door string, d time.Duration) error {
	if door != l.door {
		return controller.ErrUnknownDoor
	}
	if l.onUnlock != nil {
		if err := l.onUnlock(ctx); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.opened = append(l.opened, d)
	return nil
}

func (l *lock) Deny(context.Context, string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.denied++
	return nil
}

func (l *lock) Reconcile() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.again++
}

func (l *lock) Status() controller.Status {
	return controller.Status{
		Name: l.name, Kind: "fake", Online: true, Table: l.table,
		Readers: []controller.ReaderStatus{{Name: l.door + " reader", Door: l.door, Online: true}},
		Doors:   []controller.DoorStatus{{ID: l.door, Contact: "unknown"}},
	}
}

// happens hands e to the agent as the driver would.
func (l *lock) happens(e controller.Event) error {
	l.mu.Lock()
	sink, ctx := l.sink, l.ctx
	l.mu.Unlock()
	e.At, e.Controller, e.Door, e.Reader = time.Now().UTC(), l.name, l.door, l.door+" reader"
	return sink(ctx, e)
}

// opens holds card i to the reader, and reports whether the door opened.
func (l *lock) opens(t *testing.T, i int) bool {
	t.Helper()
	return l.opensFor(t, card(i))
}

// opensFor is opens for any card.
func (l *lock) opensFor(t *testing.T, b wiegand.Bits) bool {
	t.Helper()
	l.mu.Lock()
	before := len(l.opened)
	l.mu.Unlock()
	if err := l.happens(controller.Event{Kind: controller.CardRead, Bits: b}); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.opened) > before
}

// A site is an agent at work, on a disk of its own, inside a synctest bubble.
type site struct {
	t      *testing.T
	dir    string
	wire   *wire
	lock   *lock
	world  *world
	agent  *Agent
	db     *cache.DB
	events *cache.Events
	log    *bytes.Buffer
	cards  Cards // what the site makes of cards: H10301 and no other
	nonce  string
	notes  []string // to the service manager

	stop func() error
}

// emptyState is the files of a site that has not started yet, made once: to make
// them takes five times as long as to open them.
var emptyState = sync.OnceValue(func() map[string][]byte {
	dir := must(os.MkdirTemp("", "latchkey-agent"))
	defer os.RemoveAll(dir)
	opts := cache.Options{Dir: dir, Key: cacheKey}
	db, events := must(cache.Open(context.Background(), opts)), must(cache.OpenEvents(context.Background(), opts))
	if err := errors.Join(db.Close(), events.Close()); err != nil {
		panic(err)
	}
	files := map[string][]byte{}
	for _, e := range must(os.ReadDir(dir)) {
		files[e.Name()] = must(os.ReadFile(filepath.Join(dir, e.Name())))
	}
	return files
})

var cacheKey = bytes.Repeat([]byte{7}, cache.KeySize)

// start opens dir and runs an agent on it. Call stop before the bubble ends.
func start(t *testing.T, dir string, with ...func(*site)) *site {
	t.Helper()
	s := &site{t: t, dir: dir, wire: &wire{in: make(chan Inbound)}, lock: &lock{name: "bus-1", door: front}, log: new(bytes.Buffer)}
	s.cards.Uses = []wiegand.Use{{Format: h10301()}}
	log := slog.New(slog.NewTextHandler(s.log, nil))
	opts := cache.Options{Dir: dir, Key: cacheKey, Log: log}
	if len(must(os.ReadDir(dir))) == 0 {
		for name, b := range emptyState() {
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.db, s.events = must(cache.Open(t.Context(), opts)), must(cache.OpenEvents(t.Context(), opts))
	for _, w := range with {
		w(s)
	}
	s.agent = must(New(Options{
		Site: "hq", Cache: s.db, Events: s.events, Link: s.wire, Drivers: []controller.Driver{s.lock},
		Cards: s.cards, Log: log, Notify: func(state string) { s.notes = append(s.notes, state) },
	}))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.agent.Run(ctx) }()
	s.stop = sync.OnceValue(func() error {
		cancel()
		err := <-done
		return errors.Join(err, s.events.Close(), s.db.Close())
	})
	t.Cleanup(func() { s.stop() }) // inside the bubble, when the test gave up
	synctest.Wait()
	return s
}

// tell gives the agent what comes from the cloud, and waits until it has dealt
// with it.
func (s *site) tell(in ...Inbound) {
	for _, i := range in {
		s.wire.in <- i
	}
	synctest.Wait()
}

// connect opens a connection and returns the hello.
func (s *site) connect() *delta.Hello {
	s.t.Helper()
	take[*delta.Hello](s.wire)
	s.tell(Inbound{Up: true})
	h := one[*delta.Hello](s.t, s.wire)
	s.nonce = h.Nonce
	return h
}

func (s *site) beat(head delta.Head) {
	s.tell(message(&delta.Beat{Re: s.nonce, Head: head, Time: time.Now()}))
}

// join does all that a new site goes through: hello, beat, snapshot. People 1
// to n have cards and the front door.
func (s *site) join(n int) {
	s.t.Helper()
	s.world = newWorld(epoch)
	s.world.publish(nil, doorsAndGroups()...)
	for i := range n {
		s.world.publish(nil, hired(i+1)...)
	}
	s.connect()
	s.beat(s.world.head)
	s.deliver(s.world.snapshot("first", s.nonce))
	if got := s.db.Held(); got != s.world.head {
		s.t.Fatalf("after the first snapshot the site holds %d/%d, want %d/%d\n%s", got.Epoch, got.Seq, s.world.head.Epoch, s.world.head.Seq, s.log)
	}
	take[*delta.Applied](s.wire)
	time.Sleep(beatQuiet)
	synctest.Wait()
}

func (s *site) deliver(parts []*delta.Snapshot) {
	for _, p := range parts {
		s.tell(message(p))
	}
}

// accesses returns the access events on disk, oldest first.
func (s *site) accesses() []access.Event {
	list := must(s.events.Recent(s.t.Context(), cache.EventFilter{Kind: access.EventAccess, Limit: 1000}))
	slices.Reverse(list)
	return list
}

// last is the newest access event.
func (s *site) last() access.Event {
	s.t.Helper()
	list := s.accesses()
	if len(list) == 0 {
		s.t.Fatal("no access event on disk")
	}
	return list[len(list)-1]
}

func (s *site) kinds() (kinds []string) {
	for _, e := range must(s.events.After(s.t.Context(), 0, 1000)) {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

func (s *site) end() {
	s.t.Helper()
	if err := s.stop(); err != nil {
		s.t.Errorf("stop: %v", err)
	}
}

// restart ends the agent and starts another in its place, with what it left on
// the disk.
func (s *site) restart() {
	s.t.Helper()
	world := s.world
	s.end()
	*s = *start(s.t, s.dir)
	s.world = world
}

// story runs f on a site that has joined with one person.
func story(t *testing.T, f func(t *testing.T, s *site), with ...func(*site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := start(t, t.TempDir(), with...)
		s.join(1)
		f(t, s)
		s.end()
	})
}
