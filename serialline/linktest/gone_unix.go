//go:build unix

package linktest

import (
	"errors"
	"io"
	"syscall"
)

// gone reports whether err says that nobody has the other end open. The master
// of a pty says EIO for it.
func gone(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, syscall.EIO) }
