package egress

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

func TestPublic(t *testing.T) {
	for text, want := range map[string]bool{
		"1.1.1.1": true, "13.107.42.14": true, "172.32.0.1": true, "2606:4700::1111": true, "::ffff:1.1.1.1": true,
		"127.0.0.1": false, "127.9.9.9": false, "::1": false, "0.0.0.0": false, "0.1.2.3": false, "::": false, "::ffff:127.0.0.1": false, "::127.0.0.1": false,
		"10.0.0.5": false, "172.16.0.1": false, "192.168.1.1": false, "100.64.0.1": false, "100.100.100.200": false, "fd00:ec2::254": false, "fc00::1": false, "fec0::1": false,
		"169.254.169.254": false, "::ffff:169.254.169.254": false, "64:ff9b::a9fe:a9fe": false, "2002:a9fe:a9fe::1": false, "2001:0:a9fe::1": false, "fe80::1": false, "168.63.129.16": false,
		"224.0.0.1": false, "ff02::1": false, "255.255.255.255": false, "240.0.0.1": false,
	} {
		if got := public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}

// TestOutside: neither an address nor a name leads to this machine.
func TestOutside(t *testing.T) {
	asked := false
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer srv.Close()
	at := netip.MustParseAddrPort(srv.Listener.Addr().String())
	client := &http.Client{Transport: Outside(http.DefaultTransport.(*http.Transport).Clone())}
	for _, host := range []string{at.String(), "localhost:" + srv.URL[len("http://127.0.0.1:"):]} {
		resp, err := client.Get("http://" + host)
		if err == nil {
			resp.Body.Close()
		}
		if !errors.Is(err, ErrInside) {
			t.Errorf("%s: %v, want ErrInside", host, err)
		}
	}
	if asked {
		t.Error("the server was asked")
	}
}
