package signin

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"latchkey/cloud"
)

//go:embed signin.html
var files embed.FS

// mostForm is how long a form of these pages may be, in bytes.
const mostForm = 8 << 10

// A page is what somebody who is not signed in sees.
type page struct {
	Problem string // why they are not; may be empty
	Org     string // as entered
	To      string // page afterwards
	Start   string // where to go on to; empty: the forms
}

// A problem is why somebody does not get in, in words for them.
type problem struct {
	status int
	text   string
	err    error // for the log; may be nil
	audit  bool  // it is about the account, and goes into the audit trail
}

func (p *problem) Error() string { return p.text }

func (p *problem) Unwrap() error { return p.err }

// Handler serves the sign-in below Root: its page, the way to a provider and
// back, and the sign-out. It is protected already.
func (s *Service) Handler() http.Handler {
	pages := template.Must(template.ParseFS(files, "signin.html"))
	mux := http.NewServeMux()
	on := func(pattern string, serve func(http.ResponseWriter, *http.Request) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			r.Body = http.MaxBytesReader(w, r.Body, mostForm)
			if err := serve(w, r); err != nil {
				s.refuse(w, r, pages, err)
			}
		})
	}
	on("GET "+Root+"sign-in", func(w http.ResponseWriter, r *http.Request) error { return s.showForms(w, r, pages) })
	on("POST "+Root+"sign-in", func(w http.ResponseWriter, r *http.Request) error { return s.takeForm(w, r, pages) })
	on("GET "+Root+"sign-in/{org}/start", s.start)
	on("GET "+Root+"sign-in/{org}/callback", s.callback)
	on("POST "+Root+"sign-out", s.signOut)
	return s.Protect(mux)
}

// showForms serves the page with both ways in, to whoever is not in already.
func (s *Service) showForms(w http.ResponseWriter, r *http.Request, pages *template.Template) error {
	to := localPath(r.FormValue("to"))
	_, err := s.Visitor(r)
	if err == nil {
		http.Redirect(w, r, to, http.StatusSeeOther)
		return nil
	}
	if !errors.Is(err, ErrSignedOut) {
		return err
	}
	return write(w, pages, http.StatusOK, page{Org: clip(r.FormValue("org"), 32), To: to})
}

// takeForm takes a code, or the organisation whose accounts are to be used.
func (s *Service) takeForm(w http.ResponseWriter, r *http.Request, pages *template.Template) error {
	if err := r.ParseForm(); err != nil {
		return &problem{status: http.StatusBadRequest, text: "The form was not what this page sends. Try again."}
	}
	if org := clip(strings.ToLower(strings.TrimSpace(r.PostForm.Get("org"))), 32); org != "" {
		// Not a redirect: a browser holds those that follow a form to this host,
		// and the next one leads to the provider.
		return write(w, pages, http.StatusOK, page{Org: org, Start: s.startPath(org, localPath(r.PostForm.Get("to")))})
	}
	if err := s.slow(w, r, true); err != nil {
		return err
	}
	secret, session, err := s.cloud.SignInByCode(r.Context(), r.PostForm.Get("code"))
	if errors.Is(err, cloud.ErrSignInCode) {
		s.log.WarnContext(r.Context(), "a sign-in code was refused", "from", s.proxies.Client(r))
		return &problem{status: http.StatusForbidden, text: "This code opens nothing. It may be mistyped, used already, or older than 15 minutes. Have a new one made."}
	}
	if err != nil {
		return err
	}
	s.letIn(w, r, secret, session, localPath(r.PostForm.Get("to")))
	return nil
}

// letIn gives the browser its session in place of the one that it had, which
// nobody could end any more, and sends it on.
func (s *Service) letIn(w http.ResponseWriter, r *http.Request, secret string, session cloud.Session, to string) {
	if old, err := r.Cookie(s.sessionCookie()); err == nil {
		if err := s.cloud.SignOut(r.Context(), old.Value); err != nil {
			s.log.ErrorContext(r.Context(), "a browser's earlier session was not ended", "err", err)
		}
	}
	s.setCookie(w, s.sessionCookie(), secret, session.Ends.Sub(s.now()))
	s.cameIn(session)
	s.log.InfoContext(r.Context(), "signed in", "org", session.Org, "who", session.Actor())
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// signOut ends the session in the store and in the browser.
func (s *Service) signOut(w http.ResponseWriter, r *http.Request) error {
	if cookie, err := r.Cookie(s.sessionCookie()); err == nil {
		if err := s.cloud.SignOut(r.Context(), cookie.Value); err != nil {
			return err
		}
	}
	s.dropCookie(w, s.sessionCookie())
	http.Redirect(w, r, Root+"sign-in", http.StatusSeeOther)
	return nil
}

// slow refuses who tries too often. Codes have a limit for everybody too: there
// are more addresses than anybody counts.
func (s *Service) slow(w http.ResponseWriter, r *http.Request, code bool) error {
	var wait time.Duration
	if from, now := s.proxies.Client(r), s.now(); !code {
		wait = s.starts.Try(from, now)
	} else if wait = s.codes.Try(from, now); wait == 0 {
		wait = s.allCodes.Try(netip.Addr{}, now)
	}
	if wait == 0 {
		return nil
	}
	seconds := int(wait/time.Second) + 1
	w.Header().Set("Retry-After", strconv.Itoa(seconds))
	return &problem{status: http.StatusTooManyRequests, text: fmt.Sprintf("There were too many tries. Wait %d seconds, then try again.", seconds)}
}

// refuse shows why somebody does not get in.
func (s *Service) refuse(w http.ResponseWriter, r *http.Request, pages *template.Template, err error) {
	p, ok := errors.AsType[*problem](err)
	if !ok {
		p = &problem{status: http.StatusInternalServerError, text: "The cloud could not carry that out. Try again; whoever runs it finds the reason in its log.", err: err}
		if r.Context().Err() != nil { // the visitor has gone, or the cloud stops
			p.status, p.err = http.StatusServiceUnavailable, nil
		}
	}
	if p.err != nil {
		s.log.ErrorContext(r.Context(), "a sign-in failed", "path", r.URL.Path, "err", clip(p.err.Error(), 500))
	}
	s.didNot(r, p)
	org := r.PathValue("org")
	if org == "" {
		org = r.PostFormValue("org")
	}
	write(w, pages, p.status, page{Problem: p.text, Org: clip(org, 32), To: localPath(r.FormValue("to"))})
}

// write makes the whole page before it sends any of it.
func write(w http.ResponseWriter, pages *template.Template, status int, p page) error {
	var b bytes.Buffer
	if err := pages.Execute(&b, p); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes()) // a visitor who has gone is no trouble of ours
	return nil
}
