package siteapp

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"
)

// peerCred asks the system who connected c (SO_PEERCRED, unix(7)).
func peerCred(c net.Conn) (p peer, err error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return p, errors.New("not a unix socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return p, err
	}
	var cred *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) { cred, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err := errors.Join(err, failed); err != nil {
		return p, err
	}
	return peer{int(cred.Uid), int(cred.Pid)}, nil
}
