// Package readerkeys keeps the secure channel keys of OSDP readers on disk.
//
// A reader must never be left with a key that the site does not have: nobody
// but a person with a ladder gets it back. So a new key goes to disk before it
// goes to the reader, the old one stays until a handshake has proved the new
// one, and the file has a copy, for the day when the disk forgets a sector.
package readerkeys

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"latchkey/osdp"
)

// What a caller decides on.
var (
	// ErrUnresolved says that the reader may have either of two keys already: a
	// third must wait until a handshake has told which.
	ErrUnresolved = errors.New("readerkeys: the last change of the key is not resolved")
	// ErrReused says that a reader has this key already.
	ErrReused = errors.New("readerkeys: key is in use")
	// ErrPinned says that another reader is expected at this place.
	ErrPinned = errors.New("readerkeys: another identity is pinned")
)

// Options say where a Store is and what it is sealed with.
type Options struct {
	Dir string       // the site's state folder; it is there
	Key []byte       // the site's cache key, 32 bytes
	Log *slog.Logger // nil is none
}

// A Store is the keys of one site's readers. A reader (a PD, which may have
// several heads) goes by its line's name in the site file and its address there.
//
// Changes return once the disk has them. After an error the Store is as it was
// before, while the file may have the change: each method says in which state
// of the reader it is called, and there both are safe.
//
// Its methods may be called from any goroutine.
type Store struct {
	disk disk
	box  *box
	log  *slog.Logger

	mu       sync.Mutex
	records  map[place]record
	saves    uint64 // of the file's whole life, failed ones too
	problems []string
}

// A place is where a reader is.
type place struct {
	line string
	addr uint8
}

// String is Place.
func (p place) String() string { return Place(p.line, p.addr) }

// Place is what Readers calls the place of a reader.
func Place(line string, addr uint8) string { return fmt.Sprintf("%s address %d", line, addr) }

// A record is what is kept of one reader. Its pointers are never written
// through.
type record struct {
	current, pending *osdp.Key
	identity         *osdp.PDID
	times            times
}

// times are for people: when, by the agent's clock, UTC, zero for never.
type times struct {
	Current, Pending, Identity time.Time
}

// Open reads the keys. Where there is no file yet, there are no keys.
//
// A file that is damaged, or sealed with another key, is renamed to
// reader-keys.bad-N, and its copy serves. Where there is no sound copy, the
// Store has no keys, and its readers stay offline until they get new ones or the
// file is put back; Problems says so from each Open on while a bad file lies
// there. An error is the disk's, or a Key of the wrong length.
func Open(o Options) (*Store, error) { return open(o, folder(o.Dir)) }

func open(o Options, d disk) (*Store, error) {
	box, err := newBox(o.Key)
	if err != nil {
		return nil, err
	}
	s := &Store{disk: d, box: box, log: o.Log, records: map[place]record{}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("readerkeys: %w", err)
	}
	return s, nil
}

// Load gives the keys of the reader at addr of line, and the identity that is
// pinned to it; nil for none. Where there is a pending key, the reader may have
// either.
func (s *Store) Load(line string, addr uint8) (current, pending *osdp.Key, identity *osdp.PDID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[place{line, addr}]
	return r.current, r.pending, r.identity
}

// Begin stores key as pending. It comes before the key goes to the reader, or
// before one that the reader is said to have is tried. A weak key is an
// osdp.ErrWeakKey, and one that any reader has already ErrReused: who opens one
// reader must not get all. While another key is pending it is
// ErrUnresolved; the same one again is no error.
func (s *Store) Begin(line string, addr uint8, key osdp.Key) error {
	at := place{line, addr}
	if err := key.Check(); err != nil {
		return fmt.Errorf("readerkeys: %v: %w", at, err)
	}
	return s.change(at, func(r *record) (bool, error) {
		if p := r.pending; p != nil {
			if p.Equal(key) {
				return false, nil
			}
			return false, fmt.Errorf("%w: %v", ErrUnresolved, at)
		}
		for other, held := range s.records {
			if held.has(key) {
				return false, fmt.Errorf("%w: the one for %v is that of %v; want one key for one reader", ErrReused, at, other)
			}
		}
		r.pending, r.times.Pending = &key, now()
		return true, nil
	})
}

// Commit makes the pending key the current one, and forgets the old: a handshake
// with it has succeeded. Without a pending key it does nothing.
func (s *Store) Commit(line string, addr uint8) error {
	return s.change(place{line, addr}, func(r *record) (bool, error) {
		if r.pending == nil {
			return false, nil
		}
		r.current, r.pending = r.pending, nil
		r.times.Current, r.times.Pending = now(), time.Time{}
		return true, nil
	})
}

// Abandon forgets the pending key: a handshake with another has succeeded, and
// the pending one is not on its way any more. Without a pending key it does
// nothing.
func (s *Store) Abandon(line string, addr uint8) error {
	return s.change(place{line, addr}, func(r *record) (bool, error) {
		had := r.pending != nil
		r.pending, r.times.Pending = nil, time.Time{}
		return had, nil
	})
}

// Pin stores who the reader is. Where another identity is pinned it is
// ErrPinned; see Forget. A new firmware makes no other identity.
func (s *Store) Pin(line string, addr uint8, id osdp.PDID) error {
	at := place{line, addr}
	return s.change(at, func(r *record) (bool, error) {
		switch {
		case r.identity != nil && !same(*r.identity, id):
			return false, fmt.Errorf("%w: %v: got %v, want %v", ErrPinned, at, id, *r.identity)
		case r.identity != nil && *r.identity == id:
			return false, nil
		}
		r.identity, r.times.Identity = &id, now()
		return true, nil
	})
}

// Forget lets the next reader at this place be another: the pinned identity
// goes, the keys stay.
func (s *Store) Forget(line string, addr uint8) error {
	return s.change(place{line, addr}, func(r *record) (bool, error) {
		had := r.identity != nil
		r.identity, r.times.Identity = nil, time.Time{}
		return had, nil
	})
}

// same reports whether two identities are of one device.
func same(a, b osdp.PDID) bool {
	a.Firmware, b.Firmware = [3]byte{}, [3]byte{}
	return a == b
}

func (r record) has(k osdp.Key) bool {
	return r.current != nil && r.current.Equal(k) || r.pending != nil && r.pending.Equal(k)
}

func now() time.Time { return time.Now().UTC().Truncate(time.Second) }

// change applies f to what is kept of the reader at p. What f reports as
// changed is saved, or nothing is changed.
func (s *Store) change(p place, f func(*record) (changed bool, err error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[p]
	changed, err := f(&r)
	if err != nil || !changed {
		return err
	}
	next := maps.Clone(s.records)
	if next[p] = r; r == (record{}) {
		delete(next, p)
	}
	if err := s.save(next); err != nil {
		return fmt.Errorf("readerkeys: %v: %w", p, err)
	}
	s.records = next
	return nil
}

// Readers lists the places that the Store has a key for, as Place has them,
// sorted.
func (s *Store) Readers() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for p, r := range s.records {
		if r.current != nil || r.pending != nil {
			all = append(all, p.String())
		}
	}
	slices.Sort(all)
	return all
}

// Problems says in sentences what a person must look at.
func (s *Store) Problems() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.problems)
}
