package readerkeys

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"latchkey/osdp"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// key is one of 256 keys that are nobody's.
func key(n byte) osdp.Key {
	k := osdp.Key{0x9c, 0x41, 0x07, n}
	k[15] = n ^ 0x5a
	return k
}

func openIn(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(Options{Dir: dir, Key: bytes.Repeat([]byte{7}, keySize)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func holds(t *testing.T, s *Store, current, pending *osdp.Key) {
	t.Helper()
	gotCurrent, gotPending, _ := s.Load("bus-1", 5)
	eq := func(a, b *osdp.Key) bool { return (a == nil) == (b == nil) && (a == nil || a.Equal(*b)) }
	if !eq(gotCurrent, current) || !eq(gotPending, pending) {
		t.Errorf("the store has current %v pending %v, want %v and %v (or it has other keys)", gotCurrent != nil, gotPending != nil, current != nil, pending != nil)
	}
}

func TestTwoSlots(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	a, b, c := key(1), key(2), key(3)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	holds(t, s, nil, nil)
	check(s.Commit("bus-1", 5)) // nothing to promote
	check(s.Begin("bus-1", 5, a))
	check(s.Begin("bus-1", 5, a)) // twice is once
	holds(t, s, nil, &a)
	if err := s.Begin("bus-1", 5, b); !errors.Is(err, ErrUnresolved) {
		t.Errorf("a third key: %v, want ErrUnresolved", err)
	}
	check(s.Commit("bus-1", 5))
	holds(t, s, &a, nil)
	check(s.Begin("bus-1", 5, b))
	s = openIn(t, dir)
	holds(t, s, &a, &b)
	check(s.Abandon("bus-1", 5))
	holds(t, s, &a, nil)
	check(s.Begin("bus-1", 5, c))
	check(s.Commit("bus-1", 5))
	s = openIn(t, dir)
	holds(t, s, &c, nil)
	for _, at := range []struct {
		line string
		addr uint8
	}{{"bus-1", 5}, {"bus-1", 6}, {"bus-2", 5}} {
		if err := s.Begin(at.line, at.addr, c); !errors.Is(err, ErrReused) {
			t.Errorf("the key of another reader at %v: %v, want ErrReused", at, err)
		}
	}
	if got := s.Readers(); !slices.Equal(got, []string{"bus-1 address 5"}) {
		t.Errorf("readers with a key: %v", got)
	}
}

func TestPin(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	id := osdp.PDID{Vendor: [3]byte{1, 2, 3}, Serial: 77, Firmware: [3]byte{1}}
	newer, other := id, id
	newer.Firmware, other.Serial = [3]byte{2}, 78
	if err := errors.Join(s.Pin("bus-1", 5, id), s.Pin("bus-1", 5, newer)); err != nil {
		t.Fatal(err)
	}
	if err := s.Pin("bus-1", 5, other); !errors.Is(err, ErrPinned) {
		t.Errorf("another serial number: %v, want ErrPinned", err)
	}
	s = openIn(t, dir)
	if _, _, got := s.Load("bus-1", 5); got == nil || *got != newer {
		t.Errorf("pinned is %v, want %v", got, newer)
	}
	if err := errors.Join(s.Begin("bus-1", 5, key(1)), s.Forget("bus-1", 5), s.Pin("bus-1", 5, other)); err != nil {
		t.Error(err)
	}
	k := key(1)
	holds(t, s, nil, &k)
}

// Weak keys get neither in nor out: all 768 patterns that installers use, and the
// standard's own.
func TestWeakKeys(t *testing.T) {
	weak := []osdp.Key{osdp.DefaultKey()}
	for first := range 256 {
		for _, step := range []int{-1, 0, 1} {
			var k osdp.Key
			for i := range k {
				k[i] = byte(first + i*step)
			}
			weak = append(weak, k)
		}
	}
	if len(weak) != 769 {
		t.Fatalf("%d keys, want 769", len(weak))
	}
	s := openIn(t, t.TempDir())
	for _, k := range weak {
		if err := s.Begin("bus-1", 5, k); !errors.Is(err, osdp.ErrWeakKey) {
			t.Errorf("key %s is taken: %v", k.Hex(), err)
		}
	}
	holds(t, s, nil, nil)
	for _, k := range weak {
		d, options := newDisk(), Options{Key: bytes.Repeat([]byte{7}, keySize)}
		plain := must(json.Marshal(content{Saves: 1, Readers: []entry{{Line: "bus-1", Address: 5, Current: k.Hex(), Pending: k.Hex()}}}))
		d.now[fileName] = &inode{data: s.box.seal(plain)}
		s := must(open(options, d))
		holds(t, s, nil, nil)
		if got := len(s.Problems()); got != 2 {
			t.Fatalf("key %s from a file: problems %q, want two", k.Hex(), s.Problems())
		}
	}
}

// filled is a folder with one reader's keys, and the files' texts.
func filled(t *testing.T) (dir string, sealed []byte) {
	t.Helper()
	dir = t.TempDir()
	s := openIn(t, dir)
	if err := errors.Join(s.Begin("bus-1", 5, key(1)), s.Commit("bus-1", 5), s.Begin("bus-1", 5, key(2))); err != nil {
		t.Fatal(err)
	}
	sealed = must(os.ReadFile(filepath.Join(dir, fileName)))
	if !bytes.Equal(sealed, must(os.ReadFile(filepath.Join(dir, copyName)))) {
		t.Error("file and copy differ")
	}
	return dir, sealed
}

func TestFilesTellNothing(t *testing.T) {
	dir, sealed := filled(t)
	for _, k := range []osdp.Key{key(1), key(2)} {
		for _, s := range []string{string(k[:]), k.Hex(), strings.ToUpper(k.Hex()), base64.StdEncoding.EncodeToString(k[:]), hex.EncodeToString([]byte(k.Hex()))} {
			if bytes.Contains(sealed, []byte(s)) {
				t.Error("a key stands in the file")
			}
		}
	}
	if bytes.Contains(sealed, []byte("bus-1")) {
		t.Error("a line's name stands in the file")
	}
	for _, e := range must(os.ReadDir(dir)) {
		if mode := must(e.Info()).Mode(); mode != 0o600 {
			t.Errorf("%s has mode %v, want 0600", e.Name(), mode)
		}
	}
	current, _, _ := openIn(t, dir).Load("bus-1", 5)
	for _, form := range []string{"%v", "%+v", "%#v", "%x", "%s"} {
		if got := strings.ToLower(fmt.Sprintf(form, *current)); strings.Contains(got, "9c4107") || strings.Contains(got, "156 65 7") || strings.Contains(got, "0x9c") {
			t.Errorf("%s shows a key: %s", form, got)
		}
	}
}

// Whichever byte of whichever file goes bad, no key is lost, the bad file is kept,
// and a person is told.
func TestOneBadFile(t *testing.T) {
	_, sealed := filled(t)
	options := Options{Key: bytes.Repeat([]byte{7}, keySize)}
	a, b := key(1), key(2)
	for i := range 2 * len(sealed) {
		bad, name := slices.Clone(sealed), []string{fileName, copyName}[i%2]
		bad[i/2] ^= 1 << (i % 8)
		d := newDisk()
		d.now[fileName], d.now[copyName] = &inode{data: sealed}, &inode{data: sealed}
		d.now[name] = &inode{data: bad}
		s := must(open(options, d))
		holds(t, s, &a, &b)
		if p := s.Problems(); len(p) != 1 || !strings.Contains(p[0], "reader-keys.bad-1") {
			t.Errorf("byte %d of %s: problems %q", i/2, name, p)
		}
		if got := d.now["reader-keys.bad-1"]; got == nil || !bytes.Equal(got.data, bad) {
			t.Errorf("byte %d of %s: what was set aside is not what was there", i/2, name)
		}
		s = must(open(options, d)) // both are sound again
		holds(t, s, &a, &b)
		if p := s.Problems(); len(p) != 1 || !strings.Contains(p[0], "could not be read once") {
			t.Errorf("at the next start: problems %q", p)
		}
	}
}

// A cache.key that was exchanged costs no key for ever: the files are kept, and
// serve again once the old one is back.
func TestWrongCacheKey(t *testing.T) {
	dir, _ := filled(t)
	other, err := Open(Options{Dir: dir, Key: bytes.Repeat([]byte{8}, keySize)})
	if err != nil {
		t.Fatal(err)
	}
	holds(t, other, nil, nil)
	if p := other.Problems(); len(p) != 1 || !strings.Contains(p[0], "cache.key") {
		t.Errorf("problems %q", p)
	}
	if err := errors.Join(os.Rename(filepath.Join(dir, "reader-keys.bad-1"), filepath.Join(dir, fileName)), os.Remove(filepath.Join(dir, "reader-keys.bad-2"))); err != nil {
		t.Fatal(err)
	}
	s := openIn(t, dir)
	a, b := key(1), key(2)
	holds(t, s, &a, &b)
	if p := s.Problems(); len(p) != 0 {
		t.Errorf("problems %q, want none", p)
	}
	if _, err := Open(Options{Dir: dir, Key: []byte("short")}); err == nil {
		t.Error("a key of 5 bytes is taken")
	}
}

// FuzzOpen: whatever lies in the folder, Open gives a store, and what it cannot
// read is still there.
func FuzzOpen(f *testing.F) {
	box := must(newBox(make([]byte, keySize)))
	f.Add([]byte(header), []byte(nil))
	f.Add(box.seal([]byte(`{"Saves":3,"Readers":[{"Line":"b","Address":1,"Current":"00"}]}`)), []byte("x"))
	f.Add(box.seal([]byte(`[]`)), box.seal([]byte(`{"Saves":9}`)))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		d := newDisk()
		d.now[fileName], d.now[copyName] = &inode{one, one}, &inode{two, two}
		s, err := open(Options{Key: make([]byte, keySize)}, d)
		if err != nil {
			t.Fatal(err)
		}
		for _, data := range [][]byte{one, two} {
			kept := false
			for _, i := range d.now {
				kept = kept || bytes.Equal(i.data, data)
			}
			if _, err := s.box.open(data); err != nil && !kept {
				t.Error("a file that cannot be read is gone")
			}
		}
	})
}
