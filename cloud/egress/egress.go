// Package egress keeps whoever names a host that the cloud is to call, such as
// an organisation its sign-in provider, from naming the network that the cloud
// itself is in.
package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// ErrInside says that a host has an address that nobody on the internet has.
var ErrInside = errors.New("egress: the address is of a private network or of this machine")

const dialTimeout = 10 * time.Second

// Outside is t but for the addresses of private networks, of this machine and
// of what hosters serve to their machines alone: to those it makes no
// connection, ErrInside. Addresses are looked at once a name has become one, so
// that no name can lead there. Where the environment names a proxy, it is the
// proxy that connects, and that decides. t is not to be used afterwards.
func Outside(t *http.Transport) http.RoundTripper {
	direct := t.Clone()
	direct.Proxy = nil
	direct.DialContext = (&net.Dialer{Timeout: dialTimeout, ControlContext: refuseInside}).DialContext
	t.Proxy = http.ProxyFromEnvironment
	return transport{direct: direct, proxied: t}
}

type transport struct{ direct, proxied *http.Transport }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	switch proxy, err := http.ProxyFromEnvironment(r); {
	case err != nil:
		return nil, err
	case proxy != nil:
		return t.proxied.RoundTrip(r)
	}
	return t.direct.RoundTrip(r)
}

// refuseInside is asked before each connection, with the address itself.
func refuseInside(_ context.Context, _, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !public(at.Addr()) {
		return fmt.Errorf("%w: %s", ErrInside, address)
	}
	return nil
}

// public says whether an address may be anybody's on the internet.
func public(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate() && !slices.ContainsFunc(special(), func(p netip.Prefix) bool { return p.Contains(a) })
}

// special are the networks that are nobody's on the internet besides those that
// netip knows (IANA's registries of special-purpose addresses), those in which
// an IPv4 address is wrapped, and where Azure serves its machines.
func special() []netip.Prefix {
	var all []netip.Prefix
	for _, text := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4", "168.63.129.16/32",
		"::/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fec0::/10",
	} {
		all = append(all, netip.MustParsePrefix(text))
	}
	return all
}
