package signin

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// flowGood is how long somebody may take at their provider.
const flowGood = 10 * time.Minute

// A flow is somebody on the way to a provider and back, in a sealed cookie of
// their browser.
type flow struct {
	Org      string    `json:"org"`
	Issuer   string    `json:"issuer"`
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"` // PKCE
	To       string    `json:"to"`       // page afterwards
	Until    time.Time `json:"until"`
}

// sessionCookie names the cookie of a session. A browser takes one with the
// prefix __Host- only by TLS, from this host itself and for all of it.
func (s *Service) sessionCookie() string { return s.cookieName("latchkey") }

func (s *Service) flowCookie() string { return s.cookieName("latchkey-sign-in") }

func (s *Service) cookieName(name string) string {
	if s.secure() {
		return "__Host-" + name
	}
	return name
}

// setCookie sets a cookie that no script sees. It comes along when somebody
// follows a link here, as on the way back from a provider, and with nothing
// else that other pages do.
func (s *Service) setCookie(w http.ResponseWriter, name, value string, lasts time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: int(lasts / time.Second), Secure: s.secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func (s *Service) dropCookie(w http.ResponseWriter, name string) {
	s.setCookie(w, name, "", -time.Second)
}

// setFlow puts f into the browser.
func (s *Service) setFlow(w http.ResponseWriter, f flow) error {
	doc, err := json.Marshal(f)
	if err != nil {
		return err
	}
	s.setCookie(w, s.flowCookie(), base64.RawURLEncoding.EncodeToString(s.cookies.Seal(doc)), flowGood)
	return nil
}

// flow is what the browser was on its way with. It is ok unless the browser has
// none, it was made by somebody else, or it took too long.
func (s *Service) flow(r *http.Request) (f flow, ok bool) {
	cookie, err := r.Cookie(s.flowCookie())
	if err != nil {
		return flow{}, false
	}
	sealed, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil {
		return flow{}, false
	}
	doc, err := s.cookies.Open(sealed)
	if err != nil || json.Unmarshal(doc, &f) != nil {
		return flow{}, false
	}
	return f, s.now().Before(f.Until)
}

// localPath is where somebody goes once they are signed in: a path of the
// admin's pages, and Root where to is none. Of to only the path and the query
// are used, so it never leads to another host.
func localPath(to string) string {
	u, err := url.Parse(to)
	if err != nil || len(to) > 1024 || strings.ContainsFunc(to, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) {
		return Root
	}
	clean := path.Clean(u.Path)
	if !strings.HasPrefix(clean, Root) || strings.HasPrefix(clean, Root+"sign-") {
		return Root
	}
	return (&url.URL{Path: clean, RawQuery: u.RawQuery}).String()
}
