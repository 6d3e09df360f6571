package building

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/creack/pty"
)

// openPTY makes a pty whose far end anybody can open at link. The far end is
// also kept open here: a master whose last slave is closed reads EIO for ever.
func openPTY(link string) (master *os.File, close func() error, err error) {
	master, slave, err := pty.Open()
	if err != nil {
		return nil, nil, err
	}
	shut := func() error { return errors.Join(slave.Close(), master.Close()) } // the master as it is then
	if err := rawMode(slave); err != nil {
		return nil, nil, errors.Join(err, shut())
	}
	if master, err = withDeadlines(master); err != nil {
		return nil, nil, errors.Join(err, shut())
	}
	// A new link is moved over the old one, so that an agent that reopens its
	// port finds one of the two at any time.
	next := link + ".new"
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, nil, errors.Join(err, shut())
	}
	if err := os.Symlink(slave.Name(), next); err != nil {
		return nil, nil, errors.Join(err, shut())
	}
	if err := os.Rename(next, link); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w", filepath.Base(link), err), shut())
	}
	return master, shut, nil
}
