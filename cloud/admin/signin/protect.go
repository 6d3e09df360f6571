package signin

import (
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// contentPolicy lets the pages load their own style, script and pictures, and
// nothing else; nobody may frame them.
const contentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// Protect stands in front of everything that browsers are shown. Beside what
// Guard does it answers for the public URL's host alone, so that a name that
// somebody points here gets nothing.
func (s *Service) Protect(next http.Handler) http.Handler {
	return Guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.secure() {
			w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		}
		if !s.ours(r.Host) {
			s.elsewhere(w, r)
			return
		}
		next.ServeHTTP(w, r)
	}))
}

// Guard keeps a browser from being used against whoever is signed in: it
// refuses what other pages' forms and scripts send, and sets the headers that
// hold a browser to what the pages are. next may set others.
func Guard(next http.Handler) http.Handler {
	guarded := http.NewCrossOriginProtection().Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if !Text(r.URL.Path) {
			http.Error(w, "The address is no text.", http.StatusBadRequest)
			return
		}
		guarded.ServeHTTP(w, r)
	})
}

// Text says whether all of these can be looked for and stored: PostgreSQL takes
// UTF-8 without zero bytes, and calls anything else a fault.
func Text(all ...string) bool {
	return !slices.ContainsFunc(all, func(s string) bool { return !utf8.ValidString(s) || strings.ContainsRune(s, 0) })
}

// ours says whether a Host header names the public URL's host.
func (s *Service) ours(host string) bool {
	host = strings.ToLower(host)
	defaults := map[string]string{"https": ":443", "http": ":80"}[s.public.Scheme]
	return strings.TrimSuffix(host, defaults) == strings.TrimSuffix(s.public.Host, defaults)
}

// elsewhere sends who only looks to the right host, and refuses the rest.
func (s *Service) elsewhere(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		http.Redirect(w, r, s.public.String()+localPath(r.URL.RequestURI()), http.StatusTemporaryRedirect)
		return
	}
	http.Error(w, "The admin's pages are at "+s.at(""), http.StatusMisdirectedRequest)
}
