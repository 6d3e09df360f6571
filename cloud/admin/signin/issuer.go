package signin

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// entraHosts are where Microsoft's clouds issue tokens (Microsoft identity
// platform, "National clouds").
func entraHosts() []string {
	return []string{"login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn", "login.chinacloudapi.cn", "sts.windows.net"}
}

// entraTenant is the path of an issuer of one tenant.
var entraTenant = regexp.MustCompile(`^/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/v2\.0$`)

// everybodysTenant is the tenant of all personal Microsoft accounts.
const everybodysTenant = "/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"

// isEntra says whether an issuer is Microsoft Entra ID.
func isEntra(issuer string) bool {
	u, err := url.Parse(issuer)
	return err == nil && slices.Contains(entraHosts(), strings.ToLower(u.Hostname()))
}

// checkIssuer refuses what cannot vouch for the people of one organisation.
// plain allows HTTP from this machine to itself.
//
// What Entra ID says of people is what the administrators of their tenant say.
// An issuer such as "common" or "organizations" stands for every tenant there
// is, so that anybody's administrator could say that a person of theirs is an
// owner here; so does the tenant of personal accounts.
func checkIssuer(issuer string, plain bool) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || len(issuer) > 512 {
		return fmt.Errorf("got %.80q, want a URL such as https://acme.okta.com", issuer)
	}
	if !checkedURL(u, plain) {
		return fmt.Errorf("got %.80q, want https", issuer)
	}
	if !isEntra(issuer) {
		return nil
	}
	if u.Path == everybodysTenant || !entraTenant.MatchString(u.Path) {
		return fmt.Errorf("got %.120q, want https://login.microsoftonline.com/TENANT/v2.0 with your tenant's id: an issuer for many tenants vouches for nobody's people", issuer)
	}
	return nil
}

// checkedURL says whether what a provider serves at u can be believed.
func checkedURL(u *url.URL, plain bool) bool {
	return u.Host != "" && (u.Scheme == "https" || plain && u.Scheme == "http" && loopback(u))
}
