package readerkeys

import (
	"errors"
	"math/rand/v2"
	"testing"

	"latchkey/osdp"
)

// A fate is how far a KEYSET gets.
type fate int

const (
	unheard fate = iota // the command is lost
	unsaid              // the reader takes the key, its answer is lost
	said
)

// A reader is what a handshake and a KEYSET see of a PD: the key it has. With
// none it is in installation mode.
type reader struct{ key *osdp.Key }

func (r *reader) handshake(k *osdp.Key) bool { return k != nil && r.key != nil && r.key.Equal(*k) }

func (r *reader) keyset(k osdp.Key, f fate) {
	if f != unheard {
		r.key = &k
	}
}

// errLockedOut says that the site has no key that the reader takes.
var errLockedOut = errors.New("the reader takes none of the keys")

// settle does what a line does first: it tries the current key, then the pending
// one, and tells the store which is live.
func settle(s *Store, r *reader) error {
	current, pending, _ := s.Load("bus-1", 5)
	switch {
	case r.handshake(current):
		return s.Abandon("bus-1", 5)
	case r.handshake(pending):
		return s.Commit("bus-1", 5)
	case r.key == nil:
		return s.Abandon("bus-1", 5) // SCBK-D, in an operator's window
	}
	return errLockedOut
}

// change gives the reader a new key.
func change(s *Store, r *reader, key osdp.Key, f fate) error {
	if err := s.Begin("bus-1", 5, key); err != nil {
		return err
	}
	r.keyset(key, f)
	return settle(s, r)
}

// agent is one life of an agent: it starts, settles, and changes the key, once
// with each fate.
func agent(d disk, r *reader, keys *rand.ChaCha8, fates ...fate) error {
	s, err := open(Options{Key: make([]byte, keySize)}, d)
	if err != nil {
		return err
	}
	if err := settle(s, r); err != nil {
		return err
	}
	for _, f := range fates {
		key, err := osdp.NewKey(keys)
		if err != nil {
			return err
		}
		if err := change(s, r, key, f); err != nil {
			return err
		}
	}
	return nil
}

// crashes lets the power go before each step of an agent's life, and before each
// step of the life after that, to depth; it counts lives and lock-outs.
func crashes(t *testing.T, from *memDisk, r reader, keys *rand.ChaCha8, depth int, fates ...fate) (lives, lockouts int) {
	t.Helper()
	for left := 0; ; left++ {
		images := from.after()
		d, pd := images[len(images)-1], r
		d.left = left
		err := agent(d, &pd, keys, fates...)
		lives++
		switch {
		case errors.Is(err, errLockedOut):
			return lives, lockouts + 1
		case err == nil && d.left > 0:
			return lives, lockouts
		case err != nil && !errors.Is(err, errPower):
			t.Fatal(err)
		}
		for _, image := range d.after() {
			after := pd
			if depth > 0 {
				l, o := crashes(t, image, after, keys, depth-1, unsaid)
				lives, lockouts = lives+l, lockouts+o
				continue
			}
			lives++
			if err := agent(image, &after, keys, said); errors.Is(err, errLockedOut) {
				lockouts++
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Wherever the power goes, and goes again, the site gets into the reader.
func TestPowerCutAnywhere(t *testing.T) {
	lives, lockouts := crashes(t, newDisk(), reader{}, rand.NewChaCha8([32]byte{1}), 1, unsaid, unheard, said)
	if lives < 5_000 || lockouts != 0 {
		t.Errorf("%d lock-outs in %d lives, want none in 5,000 at least", lockouts, lives)
	}
	t.Logf("%d lives, %d lock-outs", lives, lockouts)
}

// The test above finds what it is there to find: a disk that does not keep what
// it was told to keep.
func TestPowerCutIsNoticed(t *testing.T) {
	d := newDisk()
	d.lazy = true
	if _, lockouts := crashes(t, d, reader{}, rand.NewChaCha8([32]byte{2}), 0, unsaid, unheard, said); lockouts == 0 {
		t.Error("no lock-out on a disk that forgets")
	}
}

// A step that fails once is told, and the site still gets into the reader, in
// this life and after a power cut.
func TestDiskErrorAnywhere(t *testing.T) {
	keys := rand.NewChaCha8([32]byte{3})
	failed := 0
	for at, more := 0, true; more; at++ {
		d, pd := newDisk(), reader{}
		d.fail = at
		s := must(open(Options{Key: make([]byte, keySize)}, d))
		for _, f := range []fate{said, unsaid, unheard, said} {
			err := change(s, &pd, must(osdp.NewKey(keys)), f)
			if err == nil {
				continue
			}
			if !errors.Is(err, errIO) {
				t.Fatalf("step %d: %v", at, err)
			}
			failed++
			for _, image := range d.after() {
				after := pd
				if err := agent(image, &after, keys, unsaid); err != nil {
					t.Fatalf("step %d, after a power cut: %v", at, err)
				}
			}
			if err := settle(s, &pd); err != nil {
				t.Fatalf("step %d: %v", at, err)
			}
		}
		more = d.fail < 0
	}
	if failed < 50 {
		t.Errorf("%d steps failed, want 50 at least", failed)
	}
}
