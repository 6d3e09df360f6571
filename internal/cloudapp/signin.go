package cloudapp

import (
	"net/http"

	"latchkey/cloud/admin/signin"
	"latchkey/internal/program"
)

type administratorSetCmd struct {
	inOrg
	Email string `arg:"" help:"As the sign-in provider says it: at Entra ID the user principal name."`
	Role  string `help:"viewer sees, admin changes, owner also decides who gets in." enum:"owner,admin,viewer" required:""`
}

func (c *administratorSetCmd) Run(e *program.Env) error {
	return c.do(e, http.MethodPut, c.path("administrators", c.Email), map[string]string{"role": c.Role})
}

type oidcSetCmd struct {
	inOrg
	Issuer     *string  `help:"The provider, such as https://acme.okta.com or https://login.microsoftonline.com/TENANT/v2.0."`
	ClientID   *string  `help:"What the provider calls the app."`
	SecretFile string   `name:"client-secret-file" help:"The file with the app's secret; - is the standard input. Without it the secret stays." placeholder:"FILE"`
	Domains    []string `name:"domain" help:"The domains of addresses that may come; an empty one lets all come."`
}

// Run sends what is there with what the command line names changed.
func (c *oidcSetCmd) Run(e *program.Env) error {
	st, err := get[signin.Status](c.remote, e, c.path("oidc"))
	if err != nil {
		return err
	}
	q := signin.Request{Issuer: st.Issuer, ClientID: st.ClientID, Domains: st.Domains}
	change(&q.Issuer, c.Issuer)
	change(&q.ClientID, c.ClientID)
	if c.Domains != nil {
		q.Domains = []string{}
		for _, d := range c.Domains {
			if d != "" {
				q.Domains = append(q.Domains, d)
			}
		}
	}
	if q.Secret, err = secretOf("--client-secret-file", c.SecretFile); err != nil {
		return err
	}
	return c.do(e, http.MethodPut, c.path("oidc"), q)
}
