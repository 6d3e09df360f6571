package building

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"latchkey/internal/durable"
	"latchkey/osdp"
)

// PairReader gives the named reader of the building in dir a key, as an
// installer does at the bench: it holds when the building is opened next. The
// key is on the disk when it returns nil, and before that the old one is.
func PairReader(dir, reader string, k osdp.Key) error {
	file := keyFile(dir, reader)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("building: reader %s: %w", reader, err)
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".key-*")
	if err != nil {
		return fmt.Errorf("building: reader %s: %w", reader, err)
	}
	_, err = fmt.Fprintln(f, k.Hex())
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err == nil {
		err = durable.Names(filepath.Dir(file))
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("building: reader %s: %w", reader, err)
	}
	return nil
}

// readKey is the reader's key, nil for one that has none yet.
func readKey(dir, reader string) (*osdp.Key, error) {
	text, err := os.ReadFile(keyFile(dir, reader))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reader %s: %w", reader, err)
	}
	k, err := osdp.ParseKey(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("reader %s: %s: %w", reader, keyFile(dir, reader), err)
	}
	return &k, nil
}

func keyFile(dir, reader string) string { return filepath.Join(dir, "readers", reader+".key") }
