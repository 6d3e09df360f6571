package signin

import (
	"context"
	"net/http"
	"time"

	"latchkey/cloud"
	"latchkey/cloud/admin"
)

// byAdmin is who acts through the administrator's API.
const byAdmin = cloud.Actor("admin")

const atOrg = "/orgs/{org}"

func org(r *http.Request) string   { return r.PathValue("org") }
func email(r *http.Request) string { return r.PathValue("email") }

// A ShownCode is a sign-in code, which is shown this once.
type ShownCode struct {
	Code    string    `json:"code"`
	Label   string    `json:"label"` // by which the audit trail names it
	Expires time.Time `json:"expires"`
	URL     string    `json:"url"` // where it is used
}

type roleBody struct {
	Role string `json:"role"`
}

// Routes adds the administrator's calls to the admin API: who may be at the
// pages, codes, and how accounts sign in.
func (s *Service) Routes(on admin.On) {
	on("GET "+atOrg+"/administrators", func(r *http.Request) (any, error) {
		all, err := s.cloud.Administrators(r.Context(), org(r))
		if all == nil {
			all = []cloud.Administrator{}
		}
		return all, err
	})
	on("PUT "+atOrg+"/administrators/{email}", admin.With(func(r *http.Request, in roleBody) (any, error) {
		return s.cloud.PutAdministrator(r.Context(), byAdmin, org(r), email(r), in.Role)
	}))
	on("DELETE "+atOrg+"/administrators/{email}", func(r *http.Request) (any, error) {
		return nil, s.cloud.DeleteAdministrator(r.Context(), byAdmin, org(r), email(r))
	})
	on("DELETE "+atOrg+"/sessions", func(r *http.Request) (any, error) { return nil, s.cloud.EndSessions(r.Context(), byAdmin, org(r)) })
	on("POST "+atOrg+"/sign-in-codes", func(r *http.Request) (any, error) { return s.MakeCode(r.Context(), byAdmin, org(r)) })
	on("GET "+atOrg+"/oidc", func(r *http.Request) (any, error) { return s.Status(r.Context(), org(r)) })
	on("PUT "+atOrg+"/oidc", admin.With(func(r *http.Request, in Request) (any, error) {
		if err := s.Set(r.Context(), byAdmin, org(r), in); err != nil {
			return nil, err
		}
		return s.Status(r.Context(), org(r))
	}))
	on("DELETE "+atOrg+"/oidc", func(r *http.Request) (any, error) { return nil, s.Off(r.Context(), byAdmin, org(r)) })
}

// MakeCode makes a sign-in code for org: cloud.ErrNotFound.
func (s *Service) MakeCode(ctx context.Context, by cloud.Actor, org string) (ShownCode, error) {
	code, c, err := s.cloud.MakeSignInCode(ctx, by, org)
	return ShownCode{Code: code, Label: c.Label, Expires: c.Expires, URL: s.at("sign-in")}, err
}
