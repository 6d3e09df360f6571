//go:build !linux

package serialline

import "fmt"

func openDefault(c Config) (Port, error) { return openTarm(c) }

func openNative(Config) (Port, error) {
	return nil, fmt.Errorf("%w %q: there is none for this system, want %q", ErrBackend, BackendNative, BackendTarm)
}

// A guard has nothing to do here: Windows opens a port for one program only and
// returns from a write once it is sent.
type guard struct{}

func newGuard(Config) (*guard, error) { return &guard{}, nil }
func (*guard) opened(Config) error    { return nil }
func (*guard) drain() error           { return nil }
func (*guard) close() error           { return nil }
func hangUp(err error) error          { return err }
