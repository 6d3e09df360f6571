// Package keyfile keeps secrets in files that only their owner may read, and
// makes them where they are not there yet.
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
)

// Secret reads the secret in file: its first line. A file that is not there is
// made with 32 random bytes as base64url.
func Secret(file string) ([]byte, error) {
	return readOrMake(file,
		func(text string) ([]byte, error) { return []byte(text), nil },
		func() (string, []byte, error) {
			var raw [32]byte
			rand.Read(raw[:]) // never fails (crypto/rand)
			s := base64.RawURLEncoding.EncodeToString(raw[:])
			return s, []byte(s), nil
		})
}

// Key reads the signing key in file. A file that is not there is made with a
// new key of that id.
func Key(file, id string) (delta.Key, error) {
	return readOrMake(file, delta.LoadPrivate, func() (string, delta.Key, error) {
		key, err := delta.NewKey(id)
		if err != nil {
			return "", delta.Key{}, err
		}
		line, err := delta.MarshalKey(key)
		return line, key, err
	})
}

func readOrMake[T any](file string, parse func(string) (T, error), fresh func() (line string, v T, err error)) (none T, err error) {
	text, err := os.ReadFile(file)
	switch {
	case err == nil && strings.TrimSpace(string(text)) == "":
		return none, fmt.Errorf("%s: empty, want a secret; remove the file to have one made", file)
	case err == nil:
		v, err := parse(strings.TrimSpace(string(text)))
		if err != nil {
			return none, fmt.Errorf("%s: %w", file, err)
		}
		return v, nil
	case !errors.Is(err, os.ErrNotExist):
		return none, err
	}
	line, v, err := fresh()
	if err != nil {
		return none, err
	}
	return v, write(file, line)
}

// write makes file with line in it, whole or not at all, and is done when the
// disk has it: a key that is lost after others have pinned it locks them out.
func write(file, line string) (err error) {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*") // 0600
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, line)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Link(f.Name(), file) // refuses to replace what somebody else made meanwhile
	}
	return errors.Join(err, os.Remove(f.Name()), syncDir(dir))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
