package siteapp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

const (
	controlName  = "control.sock" // in the state folder
	controlConns = 16             // at once
)

// listenControl makes the control socket in dir, whose lock the caller holds, so
// that one that is there already is a dead agent's. Only the agent's own user
// (and root) can open it.
func listenControl(dir string) (net.Listener, error) {
	path := filepath.Join(dir, controlName)
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is there and is no socket: remove it", path)
	default:
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("%w (a socket's path has about 100 bytes at the most, this one has %d)", err, len(path))
	}
	// Until then the folder's mode holds, and private.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// serveControl answers on l until ctx ends, and ends the acts that are under way
// with it.
func serveControl(ctx context.Context, l net.Listener, k readerKeeper, log *slog.Logger) error {
	return work(ctx, l, controlConns, &http.Server{
		Handler: private(newControl(k, log)), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: actTime,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10, ConnContext: withPeer,
		BaseContext: func(net.Listener) context.Context { return ctx },
	})
}

// private lets nobody but root and the agent's own user in, where the system
// tells who asks; the socket's mode says the same.
func private(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if p, ok := req.Context().Value(peerKey{}).(peer); ok && p.uid != 0 && p.uid != os.Getuid() {
			answer(w, http.StatusForbidden, refusal{fmt.Sprintf("%v: want root or the agent's user", p)})
			return
		}
		h.ServeHTTP(w, req)
	})
}
