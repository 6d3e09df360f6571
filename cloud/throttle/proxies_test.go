package throttle

import (
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestClient(t *testing.T) {
	proxies := Proxies{netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("fd00::/8")}
	for _, tt := range []struct {
		what, from string
		forwarded  []string
		want       string
	}{
		{"nobody between", "203.0.113.7:9", nil, "203.0.113.7"},
		{"a stranger who makes it up", "203.0.113.7:9", []string{"203.0.113.9"}, "203.0.113.7"},
		{"a proxy on this machine", "127.0.0.1:9", []string{"203.0.113.7"}, "203.0.113.7"},
		{"a proxy on this machine, by IPv6", "[::1]:9", []string{"192.0.2.1", "203.0.113.7"}, "203.0.113.7"},
		{"a proxy elsewhere", "10.1.2.3:9", []string{"203.0.113.7"}, "203.0.113.7"},
		{"a proxy elsewhere, by IPv6", "[fd00::1]:9", []string{"203.0.113.7"}, "203.0.113.7"},
		{"a proxy that says the port", "10.1.2.3:9", []string{"203.0.113.7:4711"}, "203.0.113.7"},
		{"two in a row", "127.0.0.1:9", []string{"203.0.113.7,10.1.2.3, 10.1.2.4"}, "203.0.113.7"},
		{"somebody who makes it up before one", "10.1.2.3:9", []string{"203.0.113.7, 203.0.113.9"}, "203.0.113.9"},
		{"a proxy of another network", "10.2.2.3:9", []string{"203.0.113.7"}, "10.2.2.3"},
		{"a proxy that says nothing", "10.1.2.3:9", []string{""}, "10.1.2.3"},
		{"a proxy that says nonsense", "10.1.2.3:9", []string{"203.0.113.7, unknown"}, "invalid IP"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.from
		r.Header["X-Forwarded-For"] = tt.forwarded
		if got := proxies.Client(r).String(); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.what, got, tt.want)
		}
	}
}
