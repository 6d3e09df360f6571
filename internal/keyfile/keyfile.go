// Package keyfile keeps secrets in files that only their owner may read, and
// makes them where they are not there yet.
//
// A file is there whole or not at all, whenever the process or the machine
// dies, and of several processes that make the same one, all get what the
// first of them wrote. What a dead process leaves behind is at most a file
// ".new-…" beside it, which nobody knows and nobody reads.
package keyfile

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"latchkey/delta"
	"latchkey/internal/durable"
)

// maxFile is more than any file of secrets has, in bytes.
const maxFile = 64 << 10

// Secret is the first secret in file. A file that is not there is made with 32
// random bytes as base64url.
func Secret(file string) ([]byte, error) {
	return readOrMake(file, firstSecret, func() (string, error) {
		var raw [32]byte
		rand.Read(raw[:]) // never fails (crypto/rand)
		return base64.RawURLEncoding.EncodeToString(raw[:]), nil
	})
}

func firstSecret(text string) ([]byte, error) {
	all, err := secrets(text)
	if err != nil {
		return nil, err
	}
	return []byte(all[0]), nil
}

// Secrets are all secrets in file, which is there: one a line, blank lines and
// lines that begin with # left out. While a secret is being replaced there are
// two.
func Secrets(file string) ([]string, error) {
	text, err := read(file)
	if err != nil {
		return nil, err
	}
	all, err := secrets(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return all, nil
}

func secrets(text string) (all []string, err error) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("empty, want a secret; remove the file to have one made")
	}
	return all, nil
}

// Key is the signing key in file. A file that is not there is made with a new
// key of that id.
func Key(file, id string) (delta.Key, error) {
	return readOrMake(file, parseKey, func() (string, error) {
		key, err := delta.NewKey(id)
		if err != nil {
			return "", err
		}
		return delta.MarshalKey(key)
	})
}

func parseKey(text string) (delta.Key, error) {
	if strings.TrimSpace(text) == "" {
		return delta.Key{}, errors.New("empty, want a secret; remove the file to have one made")
	}
	return delta.LoadPrivate(text)
}

func read(file string) (string, error) {
	info, err := os.Stat(file)
	if err != nil {
		return "", err
	}
	if info.Size() > maxFile {
		return "", fmt.Errorf("%s: got %d bytes, want a secret of at most %d", file, info.Size(), maxFile)
	}
	text, err := os.ReadFile(file)
	return string(text), err
}

// readOrMake gives back what parse makes of the file, also of one that it made
// itself: so it never answers with what is not there.
func readOrMake[T any](file string, parse func(text string) (T, error), fresh func() (line string, err error)) (none T, err error) {
	text, err := read(file)
	if errors.Is(err, os.ErrNotExist) {
		line, err := fresh()
		if err != nil {
			return none, err
		}
		if err := write(file, line); err != nil {
			return none, err
		}
		if text, err = read(file); err != nil {
			return none, err
		}
	} else if err != nil {
		return none, err
	}
	v, err := parse(text)
	if err != nil {
		return none, fmt.Errorf("%s: %w", file, err)
	}
	return v, nil
}

// write makes file with line in it, whole or not at all, and is done when the
// disk has it: a key that is lost after others have pinned it locks them out.
// A file that somebody else made meanwhile stays, and is no error.
func write(file, line string) error {
	dir := filepath.Dir(file)
	changed, err := makeDir(dir)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*") // 0600
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, line)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		if err = os.Link(f.Name(), file); errors.Is(err, os.ErrExist) { // refuses to replace
			err = nil
		}
	}
	err = errors.Join(err, os.Remove(f.Name()))
	for _, d := range changed {
		err = errors.Join(err, durable.Names(d))
	}
	return err
}

// makeDir makes dir, and lists the folders that have a new entry because of
// that, or will have: dir itself first.
func makeDir(dir string) (changed []string, err error) {
	for d := dir; ; d = filepath.Dir(d) {
		changed = append(changed, d)
		if _, err := os.Stat(d); err == nil || !errors.Is(err, os.ErrNotExist) || d == filepath.Dir(d) {
			break
		}
	}
	return changed, os.MkdirAll(dir, 0o700)
}
