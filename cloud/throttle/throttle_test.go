package throttle

import (
	"net/netip"
	"testing"
	"time"
)

func TestThrottle(t *testing.T) {
	th := New(Limit{Burst: 3, Every: 2 * time.Second})
	now := time.Unix(1e9, 0)
	from, other := netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("192.0.2.10")
	try := func(what string, from netip.Addr, want time.Duration) {
		t.Helper()
		if got := th.Wait(from, now); got != want {
			t.Errorf("%s: wait %v, want %v", what, got, want)
		}
		if got := th.Try(from, now); got != want {
			t.Errorf("%s: try waits %v, want %v", what, got, want)
		}
	}
	for range 3 {
		try("in the burst", from, 0)
	}
	try("after the burst", from, 2*time.Second)
	try("somebody else", other, 0)
	now = now.Add(1500 * time.Millisecond)
	try("a little later", from, 500*time.Millisecond)
	now = now.Add(500 * time.Millisecond)
	try("in time", from, 0)
	try("after that", from, 2*time.Second)
	now = now.Add(6 * time.Second)
	for range 3 {
		try("forgiven", from, 0)
	}
	try("after all", from, 2*time.Second)
}

// TestThrottleIsBounded: however many addresses try, few are remembered, and
// the one that tries now is among them.
func TestThrottleIsBounded(t *testing.T) {
	th := New(Limit{Burst: 1, Every: time.Hour})
	now := time.Unix(1e9, 0)
	for i := range 3 * maxAddresses {
		from := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		th.Count(from, now)
		if th.Wait(from, now) == 0 {
			t.Fatalf("try %d was forgotten", i)
		}
	}
	if len(th.until) != maxAddresses {
		t.Errorf("%d addresses are remembered, want %d", len(th.until), maxAddresses)
	}
}

func TestAddress(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1:1234": "192.0.2.1", "[2001:db8:1:2:3:4:5:6]:1": "2001:db8:1:2::", "[::ffff:192.0.2.1]:9": "192.0.2.1", "[fe80::1%eth0]:9": "fe80::", "192.0.2.1": "192.0.2.1", "@": "invalid IP", "": "invalid IP",
	} {
		if got := Address(in).String(); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}
