package siteapp

import (
	"fmt"
	"os"
	"path/filepath"

	"latchkey/internal/lockfile"
)

// lockState keeps a second agent out of dir, which is made if it is not there:
// two would write the same files, and undo at the doors what the other did. The
// system gives the lock up when the process ends, however it ends.
func lockState(dir string) (unlock func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state_dir: %w", err)
	}
	if unlock, err = lockfile.Take(filepath.Join(dir, "agent.lock")); err != nil {
		return nil, fmt.Errorf("state_dir %s: %w", dir, err)
	}
	return unlock, nil
}
