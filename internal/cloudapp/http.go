package cloudapp

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"latchkey/cloud"
	"latchkey/cloud/admin"
	"latchkey/cloud/admin/pages"
	"latchkey/cloud/admin/signin"
	"latchkey/cloud/okta"
	"latchkey/cloud/scim"
	"latchkey/cloud/throttle"
	"latchkey/delta"
	"latchkey/uplink"
)

// A link is what handlers ask of the uplink.
type link interface {
	Stats() uplink.CloudStats
	SiteStates() map[string]uplink.SiteState
}

type handlerConfig struct {
	service *cloud.Service
	link    link
	events  *eventCounter
	okta    *okta.Service
	signIn  *signin.Service
	tokens  func() ([]string, error) // the administrators'
	reg     *prometheus.Registry
	key     delta.Key
	proxies throttle.Proxies
	log     *slog.Logger
}

const scimPath = "/scim/v2"

// newHandler is all that the cloud serves over HTTP.
func newHandler(c handlerConfig) (http.Handler, error) {
	public, err := delta.MarshalPublic(c.key.ID, c.key.Public())
	if err != nil {
		return nil, err
	}
	adm, err := admin.Handler(c.service, admin.Options{Tokens: c.tokens, CloudKey: public, Log: c.log, More: []func(admin.On){c.okta.Routes, c.signIn.Routes}})
	if err != nil {
		return nil, err
	}
	app, err := pages.Handler(c.service, pages.Options{
		SignIn: c.signIn, TenantURL: c.signIn.PublicURL() + scimPath, Okta: c.okta, Accounts: c.signIn, Log: c.log,
	})
	if err != nil {
		return nil, err
	}
	for _, collector := range []prometheus.Collector{oktaCollector{c.okta}, signInCollector{c.signIn}} {
		if err := c.reg.Register(collector); err != nil {
			return nil, err
		}
	}
	m, err := newMetrics(c.reg, c.link, c.events, c.service.Unwritten)
	if err != nil {
		return nil, err
	}
	directory := m.observed(scim.NewHandler(c.service, scim.Options{Proxies: c.proxies, Log: c.log, Observe: c.service.Observe}))
	mux := http.NewServeMux()
	mux.Handle("/admin"+admin.Prefix+"/", http.StripPrefix("/admin", adm))
	mux.Handle(pages.Root, app)
	entrance := c.signIn.Handler()
	for _, path := range []string{"sign-in", "sign-in/", "sign-out"} {
		mux.Handle(signin.Root+path, entrance)
	}
	mux.Handle(okta.HookPath, c.okta)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) { ready(w, r, c.service, c.link) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(c.reg, promhttp.HandlerOpts{}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Past the mux, which would answer a POST to "/scim/v2//Users" with a
		// redirect that loses its body: a tenant URL that ends in "/" makes two.
		if rest, ok := strings.CutPrefix(r.URL.Path, scimPath); ok && (rest == "" || rest[0] == '/') {
			directory.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}), nil
}

// A readiness is the body of /readyz.
type readiness struct {
	Ready   bool     `json:"ready"`
	Reasons []string `json:"reasons"` // why not
}

// ready answers 503 with the reasons while the database does not answer, so
// that no call can be taken, or the broker is away, so that no change reaches
// a site.
func ready(w http.ResponseWriter, r *http.Request, service *cloud.Service, l link) {
	reasons := []string{}
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if _, err := service.Sites(ctx); err != nil {
		reasons = append(reasons, "database: it does not answer; see the cloud's log")
	}
	if st := l.Stats(); !st.Connected {
		reason := "broker: not connected"
		if !st.Since.IsZero() {
			reason += " since " + st.Since.UTC().Format(time.RFC3339)
		}
		reasons = append(reasons, reason)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if len(reasons) > 0 {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	json.NewEncoder(w).Encode(readiness{len(reasons) == 0, reasons})
}
