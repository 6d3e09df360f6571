// Package cache keeps what a site must know when the cloud cannot be reached:
// who may open which door (cache.db), and what happened since (events.db). The
// two files have writers of their own, so that a snapshot never delays an
// event.
//
// What a cache answers at a door comes from memory, from an access.Index that
// is loaded at start and changed in step with each commit. Every row on disk
// is sealed by a key outside the file; a row that does not verify is not
// loaded. The state as a whole is verified against the digest that the cloud
// signed. While it is not, the doors go on with the rows that do verify,
// Held is the zero Head, which makes the site ask for a snapshot, and Ready is
// false, so that nothing is pushed into controllers.
package cache

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"latchkey/access"
	"latchkey/delta"
)

// What a caller decides on.
var (
	// ErrDigest says that the records would not have the digest that the
	// cloud signed. Nothing was changed; ask for a snapshot.
	ErrDigest = errors.New("cache: digest differs")
	// ErrSequence says that a delta is not the one after the state held.
	ErrSequence = errors.New("cache: delta out of sequence")
	// ErrRecord says that a change cannot be read. Nothing was changed.
	ErrRecord = errors.New("cache: record cannot be read")
	// ErrDamaged says that the state is not verified: rows are missing or do
	// not verify. Only a snapshot mends that.
	ErrDamaged = errors.New("cache: state is not verified")
	// ErrSnapshot says that a snapshot is older than what is held or staged,
	// incomplete, or contradicts itself.
	ErrSnapshot = errors.New("cache: snapshot cannot be used")
	// ErrForeign says that another program wrote to the cache, or that the
	// disk changed it. Close the cache and open it again.
	ErrForeign = errors.New("cache: file was changed by somebody else")
)

// Options say where a cache is.
type Options struct {
	// Dir is the folder of cache.db and events.db; it is made with mode 0700
	// where it is missing.
	Dir string
	// Key is KeySize bytes, from OpenKey. It is not kept in Dir's files.
	Key []byte
	Log *slog.Logger     // nil discards
	Now func() time.Time // nil is time.Now
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Where a stream stands; a later one has the larger (epoch, seq).
type position struct {
	epoch uint32
	seq   uint64
}

func (p position) before(q position) bool {
	return p.epoch < q.epoch || p.epoch == q.epoch && p.seq < q.seq
}

// state is the sealed row that says what the records add up to.
type state struct {
	Head     delta.Head   `json:"head"`
	Verified bool         `json:"verified"` // a snapshot was ever swapped in
	Gen      uint64       `json:"gen"`      // generation of the records that are the state
	Next     uint64       `json:"next"`     // generation that was never used yet
	Snapshot string       `json:"snapshot"` // id of the snapshot swapped in last
	Guard    delta.Digest `json:"guard"`    // of the guard table, by the same sum
}

func (s state) at() position { return position{s.Head.Epoch, s.Head.Seq} }

// A DB is the cache of one site. Its methods may be called by many goroutines
// at once.
type DB struct {
	opts Options
	log  *slog.Logger
	file *file
	seal *sealer

	// staging serialises Stage and Swap, writing whatever changes the state.
	// Locks are taken in the order in which they stand here.
	staging sync.Mutex
	writing sync.Mutex

	untidy atomic.Bool // there may be rows that Tidy deletes

	// survey guards the index, besides mu: whoever changes it holds both, so
	// either is enough to read it. A long reader takes survey alone. Were it to
	// take mu, a commit that waits for it would keep every card at a door
	// waiting too, because a waiting writer goes before later readers.
	survey sync.RWMutex

	// mu guards what follows. state, blocked and box are written with writing
	// held as well. Nobody holds it while waiting for the disk.
	mu          sync.RWMutex
	index       *access.Index
	state       state
	box         []byte // state_a as written last
	blocked     map[access.Ref]position
	loose       map[access.Ref]position // denied in memory only: the disk failed
	damaged     string                  // why the state is not verified; empty if it is
	records     int
	quarantined int
	verified    time.Time
	contact     time.Time
	stageID     string // id of the snapshot being staged
	stageParts  [2]int // of it: here, in all
	problems    []string
	applied     uint64
	refused     uint64
	version     uint64
	wait        chan struct{}
}

// Open opens the cache in o.Dir, made if it is not there, and loads it into
// memory: about 5 µs a record. A damaged file is set aside under a name with
// the time in it, never deleted and never silently replaced: whatever of it
// still verifies is carried into a new file, Stats says so, and Ready is false
// until a snapshot came. An error means that the machine or the options are at
// fault: no rights, disk full, pragmas that did not take.
func Open(ctx context.Context, o Options) (_ *DB, err error) {
	o = o.withDefaults()
	db := &DB{opts: o, log: o.Log, loose: map[access.Ref]position{}, wait: make(chan struct{})}
	if db.seal, err = newSealer(o.Key, "cache.db"); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cache: %w", err)
	}
	path := filepath.Join(o.Dir, "cache.db")
	if err := finishReplace(path); err != nil {
		return nil, err
	}
	if err := create(path, func(fresh string) error { return makeCache(ctx, db.seal, fresh, state{Gen: 1, Next: 2}, nil) }); err != nil {
		return nil, err
	}
	err = db.openAt(ctx, path)
	if errors.Is(err, errDamaged) || errors.Is(err, errNewer) {
		why := err
		o.Log.Error("cache file is damaged: setting it aside", "file", path, "err", why)
		aside, err := replace(path, o.Now(), func(fresh string) error { return salvage(ctx, db.seal, path, fresh, why) })
		if err != nil {
			return nil, err
		}
		if err := db.openAt(ctx, path); err != nil {
			return nil, err
		}
		db.problem(fmt.Sprintf("cache.db was damaged (%v) and was set aside as %s", why, filepath.Base(aside)))
	} else if err != nil {
		return nil, err
	}
	names, err := asides(path)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	for _, name := range names {
		db.problem(fmt.Sprintf("a damaged cache is kept as %s", name))
	}
	return db, nil
}

// makeCache makes a new cache at path, whose state is s. fill, which may be
// nil, brings records into it in the same transaction.
func makeCache(ctx context.Context, seal *sealer, path string, s state, fill func(*sql.Tx) error) error {
	f, err := openFile(ctx, path, "cache")
	if err != nil {
		return err
	}
	err = tx(ctx, f.write, func(t *sql.Tx) error {
		if fill != nil {
			if err := fill(t); err != nil {
				return err
			}
		}
		_, err := writeState(ctx, t, seal, s)
		return err
	})
	if err != nil {
		err = fmt.Errorf("cache: make %s: %w", filepath.Base(path), err)
	}
	return errors.Join(err, f.Close())
}

// openAt opens the file at path and loads it.
func (db *DB) openAt(ctx context.Context, path string) (err error) {
	if db.file, err = openFile(ctx, path, "cache"); err != nil {
		return err
	}
	if err := db.load(ctx); err != nil {
		return errors.Join(fmt.Errorf("cache: load %s: %w", filepath.Base(path), classify(err)), db.file.Close())
	}
	return nil
}

// Close closes the file. Nothing may use db after it.
func (db *DB) Close() error {
	db.staging.Lock()
	defer db.staging.Unlock()
	db.writing.Lock()
	defer db.writing.Unlock()
	if err := db.file.Close(); err != nil {
		return fmt.Errorf("cache: close: %w", err)
	}
	return nil
}

// Held is where the verified state stands. It is the zero Head before the
// first snapshot, and while the state is damaged: both need a snapshot.
func (db *DB) Held() delta.Head {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.held()
}

func (db *DB) held() delta.Head {
	if !db.ready() {
		return delta.Head{}
	}
	return db.state.Head
}

// Ready reports whether a verified state is held. Nothing may be pushed into
// controllers while it is not. A cache that was damaged since is not Ready,
// though its doors go on with what is left (see Damaged).
func (db *DB) Ready() bool {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.ready()
}

func (db *DB) ready() bool { return db.state.Verified && db.damaged == "" }

// Damaged says in words why the state is not verified although one was: rows
// are missing or do not verify. It is empty when all is well, and before the
// first snapshot.
func (db *DB) Damaged() string {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.damaged
}

// View calls f with the index, which f must not change, keep or use after it
// returned. Changes wait for f, and other Views wait for those changes, so f
// must be short and must not call db.
func (db *DB) View(f func(*access.Index)) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	f(db.index)
}

// Survey is View for who looks at much of the index: changes wait for f, and
// Views do not. held is where the state stands that f sees, the zero Head where
// it is not verified (see Held). f must not call Survey, nor what changes db.
func (db *DB) Survey(f func(x *access.Index, held delta.Head)) {
	db.survey.RLock()
	defer db.survey.RUnlock()
	db.mu.RLock()
	x, held := db.index, db.held()
	db.mu.RUnlock()
	f(x, held)
}

// lockIndex is called with writing held by whoever is about to change the
// index, or what it stands for.
func (db *DB) lockIndex() {
	db.survey.Lock()
	db.mu.Lock()
}

func (db *DB) unlockIndex() {
	db.mu.Unlock()
	db.survey.Unlock()
}

// Changes returns a number that grows with each change of what View and Ready
// show, and a channel that closes at the next one.
func (db *DB) Changes() (version uint64, wait <-chan struct{}) {
	db.mu.RLock()
	defer db.mu.RUnlock()
	return db.version, db.wait
}

// changed is called with mu held.
func (db *DB) changed() {
	db.version++
	close(db.wait)
	db.wait = make(chan struct{})
}

// Stats is a plain value for pages and metrics.
type Stats struct {
	Head        delta.Head // newest state that was ever applied, verified or not: the floor for snapshots
	Ready       bool
	Damaged     string    // see DB.Damaged
	Records     int       // loaded
	Quarantined int       // rows that do not verify, not loaded
	Blocked     int       // refs in the deny lane
	Verified    time.Time // when the digest was last recomputed from disk and held
	Snapshot    string    // id of the snapshot being staged
	PartsHere   int
	Parts       int
	Applied     uint64   // deltas since Open
	Refused     uint64   // deltas and snapshots that were rolled back since Open
	Bytes       int64    // size of cache.db with its WAL
	Problems    []string // what a person must know, in words
}

// Stats returns the counts as they are now.
func (db *DB) Stats() Stats {
	bytes := size(db.file.path) // asks the disk, so not with mu held
	db.mu.RLock()
	defer db.mu.RUnlock()
	return Stats{
		Head: db.state.Head, Ready: db.ready(), Damaged: db.damaged,
		Records: db.records, Quarantined: db.quarantined, Blocked: len(db.blocked), Verified: db.verified,
		Snapshot: db.stageID, PartsHere: db.stageParts[0], Parts: db.stageParts[1],
		Applied: db.applied, Refused: db.refused,
		Bytes:    bytes,
		Problems: slices.Clone(db.problems),
	}
}

// size is of a database and its WAL, in bytes.
func size(path string) (n int64) {
	for _, name := range companions(path)[:2] {
		if info, err := os.Stat(name); err == nil {
			n += info.Size()
		}
	}
	return n
}

// maxProblems bounds what a long life with a bad disk may gather.
const maxProblems = 32

func (db *DB) problem(text string) {
	db.mu.Lock()
	defer db.mu.Unlock()
	if len(db.problems) < maxProblems && !slices.Contains(db.problems, text) {
		db.problems = append(db.problems, text)
	}
}

// setDamaged is called with mu held.
func (db *DB) setDamaged(why string) {
	if db.damaged == "" {
		db.log.Error("cache state is not verified: a snapshot is needed", "why", why)
	}
	db.damaged = why
	db.changed()
}

// checkSeq refuses a seq that SQLite's integers cannot hold.
func checkSeq(seq uint64) error {
	if seq > math.MaxInt64 {
		return fmt.Errorf("%w: seq %d, want at most %d", ErrRecord, seq, uint64(math.MaxInt64))
	}
	return nil
}
