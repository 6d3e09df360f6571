//go:build !linux && !windows && !cgo

package serialline

import "fmt"

func openTarm(Config) (Port, error) {
	return nil, fmt.Errorf("%w %q: it needs cgo on this system, and this program was built without", ErrBackend, BackendTarm)
}
