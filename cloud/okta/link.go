package okta

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

const apiPath = "/api/v1/"

// nextPage is the URL of the page after the one whose headers h are, nil where
// there is none. Okta sends several Link headers, and each may hold several
// links (RFC 8288 §3). A link that leads away from base is refused: the token
// would go with it.
func nextPage(base *url.URL, h http.Header) (*url.URL, error) {
	for _, header := range h.Values("Link") {
		for target := range links(header) {
			return pinned(base, target)
		}
	}
	return nil, nil
}

// links yields the targets of header's links of relation "next".
func links(header string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for {
			_, rest, ok := strings.Cut(header, "<")
			if !ok {
				return
			}
			target, rest, ok := strings.Cut(rest, ">")
			if !ok {
				return
			}
			params, tail, _ := strings.Cut(rest, "<") // cursors have no "<" in them: it is escaped in a URL
			header = "<" + tail
			if isNext(params) && !yield(target) {
				return
			}
			if tail == "" {
				return
			}
		}
	}
}

// isNext says whether a link's parameters name the relation "next".
func isNext(params string) bool {
	for param := range strings.SplitSeq(params, ";") {
		key, value, _ := strings.Cut(strings.Trim(param, " \t,"), "=")
		if !strings.EqualFold(strings.TrimSpace(key), "rel") {
			continue
		}
		for rel := range strings.FieldsSeq(strings.Trim(strings.TrimSpace(value), `"`)) {
			if strings.EqualFold(rel, "next") {
				return true
			}
		}
	}
	return false
}

// pinned reads target, which must be below base's API.
func pinned(base *url.URL, target string) (*url.URL, error) {
	u, err := base.Parse(target)
	if err != nil {
		return nil, fmt.Errorf("okta: the link to the next page is no URL")
	}
	if u.Scheme != base.Scheme || !strings.EqualFold(u.Host, base.Host) || u.User != nil || !strings.HasPrefix(u.Path, apiPath) {
		return nil, fmt.Errorf("okta: the link to the next page leads to %.80s%.80s, want %s%s", u.Host, u.Path, base.Host, apiPath)
	}
	return u, nil
}
