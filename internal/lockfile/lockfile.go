// Package lockfile keeps two programs from working with the same files.
package lockfile

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// ErrInUse says that somebody else holds the lock.
var ErrInUse = errors.New("another program works with it")

// Take takes the lock of the file at path, which is made if it is not there:
// ErrInUse, with the holder's process. unlock gives it up, as the system does
// when the process ends, however it ends.
func Take(path string) (unlock func() error, err error) {
	// The file stays when the lock is given up: were it removed, two could hold
	// locks of two files of that name.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		who := ""
		if text, readErr := os.ReadFile(path); readErr == nil && len(text) > 0 {
			who = " (process " + strings.TrimSpace(string(text)) + ")"
		}
		return nil, errors.Join(fmt.Errorf("%w%s", err, who), f.Close())
	}
	// Whose lock it is, for people: that it cannot be written on a full disk is
	// no reason to stop.
	if f.Truncate(0) == nil {
		f.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
	}
	return f.Close, nil
}
