// Package pages is the administrators' web app of the cloud: the pages of one
// organisation, for whoever signed in to it.
//
// Everything is made on the server and works without script, by keyboard and on
// a phone; script only adds dragging and copying. What a page does is what
// package cloud does: nothing is decided here but who may ask.
package pages

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

// Root is where all pages stand. The admin API stands below it, too.
const Root = "/admin/"

// A SignIn says who is there.
type SignIn interface {
	// Visitor is who sent r: signin.ErrSignedOut where nobody is signed in.
	Visitor(r *http.Request) (signin.Visitor, error)
}

// Options say what else Handler needs.
type Options struct {
	SignIn SignIn // required
	// TenantURL is what is pasted into Entra ID or Okta: the whole URL of SCIM.
	TenantURL string
	Okta      Okta         // nil: no organisation's Okta is read by token
	Accounts  Accounts     // nil: people come in by codes alone
	Log       *slog.Logger // nil discards
}

// Handler serves the pages of c below Root, but not the sign-in. It may be used
// by any number of goroutines.
func Handler(c *cloud.Service, o Options) (http.Handler, error) {
	if o.SignIn == nil {
		return nil, errors.New("pages: no sign-in: want one, or anybody could give themselves a card")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	templates, err := parse()
	if err != nil {
		return nil, err
	}
	s := &server{cloud: c, signIn: o.SignIn, tenantURL: o.TenantURL, okta: o.Okta, accounts: o.Accounts, log: o.Log, templates: templates, mux: http.NewServeMux()}
	s.routes()
	return Guarded(s), nil
}

type server struct {
	cloud     *cloud.Service
	signIn    SignIn
	tenantURL string
	okta      Okta     // may be nil
	accounts  Accounts // may be nil
	log       *slog.Logger
	templates templates
	mux       *http.ServeMux
}

// routes is the whole app in one place.
func (s *server) routes() {
	s.mux.Handle("GET "+Root+"static/", http.StripPrefix(Root, http.FileServerFS(static)))
	s.homeRoutes()
	s.directoryRoutes()
	s.administratorRoutes()
	s.propertyRoutes()
	s.peopleRoutes()
	s.cardTypeRoutes()
	s.auditRoutes()
	s.whyRoutes()
	s.ruleRoutes()
	s.ruleFormRoutes()
	s.settingsRoutes()
	s.holdRoutes()
	s.reviewRoutes()
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, pattern := s.mux.Handler(r); pattern == "" {
		s.serve(w, r, signin.Viewer, func(*call) (answer, error) { return nil, cloud.ErrNotFound })
		return
	}
	s.mux.ServeHTTP(w, r)
}

// Guarded keeps a browser from being used against whoever is signed in: no
// other page can post to next or frame it, and nothing that it serves can load
// or run anything from elsewhere.
func Guarded(next http.Handler) http.Handler {
	protection := http.NewCrossOriginProtection()
	guarded := protection.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if strings.HasPrefix(r.URL.Path, Root+"static/") {
			h.Set("Cache-Control", "max-age=300")
		}
		guarded.ServeHTTP(w, r)
	})
}
