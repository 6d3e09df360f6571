// Package durable makes what was done to a folder outlive a power cut.
package durable

import (
	"errors"
	"os"
	"runtime"
)

// Names returns once the disk has the names in dir: which files there are, and
// which of them stands under which name. What is in the files is another matter
// (os.File.Sync). It does nothing on Windows, where a folder cannot be flushed;
// NTFS keeps a journal of names.
func Names(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
