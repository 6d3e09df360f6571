package okta

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// ParseDomain reads the address of an Okta organisation as people paste it,
// "acme.okta.com" or "https://acme.okta.com/", and returns it as a URL without
// a path. Only https is taken, but for a loopback address, where a simulated
// Okta may stand.
func ParseDomain(s string) (*url.URL, error) {
	s = strings.TrimSpace(s)
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Hostname() == "" {
		return nil, fmt.Errorf("okta: domain: got %.80q, want a name such as acme.okta.com", s)
	}
	switch {
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		return nil, fmt.Errorf("okta: domain: got more than a host name, want only %s", u.Hostname())
	case u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())):
		return nil, fmt.Errorf("okta: domain: got scheme %.10q, want https", u.Scheme)
	}
	host := strings.ToLower(u.Host)
	if name, rest, ok := strings.Cut(host, "-admin.okta"); ok { // the console's address, which has no API
		return nil, fmt.Errorf("okta: domain: got %s, which is the admin console; want %s.okta%s", host, name, rest)
	}
	return &url.URL{Scheme: u.Scheme, Host: host}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
