package siteapp

import (
	"context"
	"fmt"
	"net"
)

// A peer is the process at the other end of a unix socket, as the system tells.
type peer struct{ uid, pid int }

// String is for logs.
func (p peer) String() string { return fmt.Sprintf("uid %d, process %d", p.uid, p.pid) }

type peerKey struct{}

// withPeer notes in ctx who is at the other end of c.
func withPeer(ctx context.Context, c net.Conn) context.Context {
	if l, ok := c.(*limitedConn); ok {
		c = l.Conn
	}
	p, err := peerCred(c)
	if err != nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, p)
}

// peerOf is who asks, for logs.
func peerOf(ctx context.Context) string {
	if p, ok := ctx.Value(peerKey{}).(peer); ok {
		return p.String()
	}
	return "somebody on this machine"
}
