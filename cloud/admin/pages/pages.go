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

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

// Root is where all pages stand. The admin API stands below it, too.
const Root = "/admin/"

// A SignIn says who is there, and keeps others out.
type SignIn interface {
	// Visitor is who sent r: signin.ErrSignedOut where nobody is signed in.
	Visitor(r *http.Request) (signin.Visitor, error)
	// Protect stands in front of the pages, so that no browser is used against
	// whoever is signed in.
	Protect(next http.Handler) http.Handler
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
	return o.SignIn.Protect(s), nil
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
	files := http.StripPrefix(Root, http.FileServerFS(static))
	s.mux.HandleFunc("GET "+Root+"static/{file}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=300")
		files.ServeHTTP(w, r)
	})
	s.homeRoutes()
	s.directoryRoutes()
	s.administratorRoutes()
	s.propertyRoutes()
	s.peopleRoutes()
	s.cardTypeRoutes()
	s.doorRoutes()
	s.accessGroupRoutes()
	s.scheduleRoutes()
	s.buildingRoutes()
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
