package readerkeys

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"latchkey/osdp"
)

const (
	fileName = "reader-keys"
	copyName = fileName + ".copy"
	tempName = fileName + ".new"
	badName  = fileName + ".bad-"
)

// A content is what is sealed in the file.
type content struct {
	// Saves tells the newer of file and copy.
	Saves   uint64
	Readers []entry
}

// An entry is one reader in the file. Keys are 32 hexadecimal digits.
type entry struct {
	Line     string
	Address  uint8
	Current  string     `json:",omitzero"`
	Pending  string     `json:",omitzero"`
	Identity *osdp.PDID `json:",omitzero"`
	Times    times
}

// load reads file and copy, sets aside what is not sound, and makes the two
// equal again.
func (s *Store) load() error {
	var sound []content
	var bad []string
	for _, name := range []string{fileName, copyName} {
		c, err := s.read(name)
		switch {
		case err == nil:
			sound = append(sound, c)
		case errors.Is(err, errBad):
			aside, err := s.setAside(name)
			if err != nil {
				return err
			}
			bad = append(bad, aside)
		case !errors.Is(err, fs.ErrNotExist):
			return err
		}
	}
	if err := s.report(bad, len(sound)); err != nil {
		return err
	}
	if len(sound) == 0 {
		return nil
	}
	newest := slices.MaxFunc(sound, func(a, b content) int { return cmp.Compare(a.Saves, b.Saves) })
	s.saves = newest.Saves
	for _, e := range newest.Readers {
		s.take(e)
	}
	if len(sound) == 2 && sound[0].Saves == sound[1].Saves {
		return nil
	}
	if err := s.save(s.records); err != nil { // as before this Open: what was read serves
		s.problem("the copy of the readers' keys cannot be written: " + err.Error())
	}
	return nil
}

// read gives what the file name holds. Its error is errBad for what is not
// sound, and otherwise the disk's.
func (s *Store) read(name string) (c content, err error) {
	sealed, err := s.disk.ReadFile(name)
	if err != nil {
		return content{}, err
	}
	plain, err := s.box.open(sealed)
	if err != nil {
		return content{}, err
	}
	if err := json.Unmarshal(plain, &c); err != nil {
		return content{}, errBad // authentic, so a version that is not ours wrote it
	}
	return c, nil
}

// take makes e a record. Of a key that is weak nobody else may know, but
// everybody tries it: it does not come in, wherever it is from.
func (s *Store) take(e entry) {
	p := place{e.Line, e.Address}
	key := func(text string) *osdp.Key {
		if text == "" {
			return nil
		}
		k, err := osdp.ParseKey(text)
		if err == nil {
			err = k.Check()
		}
		if err != nil {
			s.problem(fmt.Sprintf("A stored key of the reader at %v is refused: %v.", p, err))
			return nil
		}
		return &k
	}
	s.records[p] = record{key(e.Current), key(e.Pending), e.Identity, e.Times}
}

// setAside renames a file that cannot be read, and gives its new name. What is
// in it may still be wanted one day, when the right cache key is back.
func (s *Store) setAside(name string) (aside string, err error) {
	names, err := s.disk.List()
	if err != nil {
		return "", err
	}
	for n := 1; aside == "" || slices.Contains(names, aside); n++ {
		aside = fmt.Sprint(badName, n)
	}
	return aside, errors.Join(s.disk.Rename(name, aside), s.disk.SyncDir())
}

// report tells of the files that are bad now, of which sound ones are left, and
// of those from before.
func (s *Store) report(bad []string, sound int) error {
	switch {
	case len(bad) == 0:
		names, err := s.disk.List()
		if err != nil {
			return err
		}
		old := slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, badName) })
		slices.Sort(old)
		if len(old) > 0 {
			s.problem(strings.Join(old, ", ") + " in the state folder could not be read once. Remove it when no reader misses its key.")
		}
	case sound > 0:
		s.problem("A file of readers' keys is damaged and was renamed to " + bad[0] + ". Its copy serves, no key is lost; look at the disk.")
	default:
		s.problem("No file of readers' keys can be read; they were renamed to " + strings.Join(bad, ", ") + ". Readers that want encryption stay offline. " +
			"If cache.key was exchanged, put the old one back and rename one of the files to " + fileName + "; otherwise give the readers new keys.")
	}
	return nil
}

func (s *Store) problem(text string) {
	s.problems = append(s.problems, text)
	s.log.Error("reader keys", "problem", text)
}

// save writes records into the file and then into its copy, and returns once
// the disk has both.
func (s *Store) save(records map[place]record) error {
	s.saves++ // also when it fails half-way: the next must win over it
	c := content{Saves: s.saves}
	order := func(a, b place) int { return cmp.Or(cmp.Compare(a.line, b.line), cmp.Compare(a.addr, b.addr)) }
	for _, p := range slices.SortedFunc(maps.Keys(records), order) {
		r := records[p]
		e := entry{Line: p.line, Address: p.addr, Identity: r.identity, Times: r.times}
		if r.current != nil {
			e.Current = r.current.Hex()
		}
		if r.pending != nil {
			e.Pending = r.pending.Hex()
		}
		c.Readers = append(c.Readers, e)
	}
	plain, err := json.Marshal(c)
	if err != nil {
		return err
	}
	sealed := s.box.seal(plain)
	clear(plain)
	for _, name := range []string{fileName, copyName} {
		if err := s.replace(name, sealed); err != nil {
			return err
		}
	}
	return nil
}

// replace makes the file name hold data, whole or as before, and returns once
// the disk has it.
func (s *Store) replace(name string, data []byte) error {
	f, err := s.disk.Create(tempName)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := s.disk.Rename(tempName, name); err != nil {
		return err
	}
	return s.disk.SyncDir()
}
