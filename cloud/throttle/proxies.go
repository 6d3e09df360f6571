package throttle

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are networks of proxies that are believed about whom they ask for,
// besides those on this machine.
type Proxies []netip.Prefix

// Client is whom tries of r count against, as Address gives it. A proxy stands
// in front of everybody, and says last for whom it asks: what stands before that
// in X-Forwarded-For is believed only as long as it comes from proxies too.
func (p Proxies) Client(r *http.Request) netip.Addr {
	from := r.RemoteAddr
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if hop = strings.TrimSpace(hop); hop == "" || !p.believed(from) {
			break
		}
		from = hop
	}
	return Address(from)
}

func (p Proxies) believed(from string) bool {
	host, _, err := net.SplitHostPort(from)
	if err != nil {
		host = from
	}
	addr, err := netip.ParseAddr(host)
	addr = addr.Unmap()
	return err == nil && (addr.IsLoopback() || slices.ContainsFunc(p, func(network netip.Prefix) bool { return network.Contains(addr) }))
}
