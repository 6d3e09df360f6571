package siteapp

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// errInUse says that somebody else holds a lock.
var errInUse = errors.New("another agent works with it")

// lockState keeps a second agent out of dir, which is made if it is not there:
// two would write the same files, and undo at the doors what the other did. The
// system gives the lock up when the process ends, however it ends.
func lockState(dir string) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state_dir: %w", err)
	}
	// The file stays when the lock is given up: were it removed, two could hold
	// locks of two files of that name.
	path := filepath.Join(dir, "agent.lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state_dir: %w", err)
	}
	if err := lock(f); err != nil {
		who := ""
		if text, readErr := os.ReadFile(path); readErr == nil && len(text) > 0 {
			who = " (process " + strings.TrimSpace(string(text)) + ")"
		}
		return nil, errors.Join(fmt.Errorf("state_dir %s: %w%s", dir, err, who), f.Close())
	}
	// Whose lock it is, for people: that it cannot be written on a full disk is
	// no reason to leave the doors alone.
	if f.Truncate(0) == nil {
		f.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
	}
	return f.Close, nil
}
