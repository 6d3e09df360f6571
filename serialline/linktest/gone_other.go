//go:build !unix

package linktest

import (
	"errors"
	"io"
)

// gone reports whether err says that nobody has the other end open.
func gone(err error) bool { return errors.Is(err, io.EOF) }
