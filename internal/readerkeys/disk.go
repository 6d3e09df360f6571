package readerkeys

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"latchkey/internal/durable"
)

// A disk is what a Store does to its folder, one step a method, so that a test
// can stop it between any two.
type disk interface {
	// ReadFile fails with fs.ErrNotExist where there is no such file.
	ReadFile(name string) ([]byte, error)
	// Create makes an empty file that only its owner may read, in place of one
	// that is there.
	Create(name string) (file, error)
	Rename(old, new string) error
	// SyncDir returns once the disk has the folder's names.
	SyncDir() error
	List() ([]string, error)
}

type file interface {
	io.WriteCloser
	Sync() error
}

// A folder is the disk itself.
type folder string

func (d folder) path(name string) string { return filepath.Join(string(d), name) }

func (d folder) ReadFile(name string) ([]byte, error) { return os.ReadFile(d.path(name)) }

func (d folder) Create(name string) (file, error) {
	// Not truncated but made: who waits with a file of that name and looser
	// rights must not get the keys.
	if err := os.Remove(d.path(name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(d.path(name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func (d folder) Rename(old, new string) error { return os.Rename(d.path(old), d.path(new)) }

func (d folder) SyncDir() error { return durable.Names(string(d)) }

func (d folder) List() (names []string, err error) {
	entries, err := os.ReadDir(string(d))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}
