package pages_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"latchkey/cloud"
	"latchkey/cloud/admin/pages"
	"latchkey/cloud/admin/signin"
)

func TestDirectoryConnection(t *testing.T) {
	w := newWorld(t)
	w.wants(w.get("directory"), 200, "https://latchkey.example/scim/v2", "Entra ID</th>", "SCIM is on", "Make a token", "when you delete it")
	var err error
	w.app, err = pages.Handler(w.cloud, pages.Options{SignIn: w})
	w.ok(err)
	w.wants(w.get("directory"), 200, "Ask whoever operates it for the tenant URL")
}

// newest is what the hidden field of a form with a secret for an answer says.
func (w *world) newest(path string) string {
	w.Helper()
	found := regexp.MustCompile(`name="newest" value="([^"]*)"`).FindStringSubmatch(w.get(path).body)
	if found == nil {
		w.Fatalf("%s has no field newest", path)
	}
	return found[1]
}

// secret is the secret that a page shows.
func (w *world) secret(a answer) string {
	w.Helper()
	w.wants(a, 200, "only this once")
	found := regexp.MustCompile(`<output id="token">([^<]+)</output>`).FindStringSubmatch(a.body)
	if found == nil {
		w.Fatalf("no secret in %s", a.body)
	}
	return found[1]
}

func TestTokenIsShownOnce(t *testing.T) {
	w := newWorld(t)
	form := []string{"label", `<b>Okta</b>`, "newest", w.newest("directory")}
	a := w.post("directory/tokens", form...)
	w.wants(a, 200, "Secret Token", "Test Connection", "API Integration", "https://latchkey.example/scim/v2", "&lt;b&gt;Okta")
	secret := w.secret(a)
	caller, err := w.cloud.Authenticate(w.ctx, secret)
	w.ok(err)
	if caller.Org != "acme" {
		t.Errorf("the secret opens %+v", caller)
	}
	w.goes(w.post("directory/tokens", form...), "directory?did=token-twice") // the answer, loaded again
	tokens, err := w.cloud.Tokens(w.ctx, "acme")
	w.ok(err)
	if len(tokens) != 2 {
		t.Errorf("%d tokens, want 2", len(tokens))
	}
	for _, path := range []string{"directory", "directory?did=token-twice", "directory/tokens/" + caller.Token, "directory/sync"} {
		a := w.get(path)
		w.wants(a, 200)
		if strings.Contains(a.body, secret) || strings.Contains(a.body, "<b>Okta") {
			t.Errorf("%s shows the secret, or a label unescaped", path)
		}
	}
	w.wants(w.post("directory/tokens", "label", " ", "newest", w.newest("directory")), 422, "Not saved", "Label")
}

func TestReplaceAndDeleteToken(t *testing.T) {
	w := newWorld(t)
	old, at := w.caller.Token, "directory/tokens/"+w.caller.Token
	w.wants(w.get(at), 200, "Token Entra ID", "Replace it", "Delete it")
	newest := w.newest(at)
	for _, hours := range []string{"", "-1", "721", "a day"} {
		w.wants(w.post(at+"/rotate", "hours", hours, "newest", newest), 422, "want a whole number from 0 to 720", `value="`+hours+`"`)
	}
	a := w.post(at+"/rotate", "hours", "48", "newest", newest)
	w.wants(a, 200, "goes on until")
	fresh, err := w.cloud.Authenticate(w.ctx, w.secret(a))
	w.ok(err)
	w.goes(w.post(at+"/rotate", "hours", "48", "newest", newest), "directory?did=token-twice")
	tokens, err := w.cloud.Tokens(w.ctx, "acme")
	w.ok(err)
	first := slices.IndexFunc(tokens, func(t cloud.Token) bool { return t.ID == old })
	if ends := time.Until(tokens[first].Expires); len(tokens) != 2 || ends < 47*time.Hour || ends > 48*time.Hour {
		t.Errorf("tokens %+v; want the old one to end in 48 hours", tokens)
	}
	w.wants(w.get("directory"), 200, `<span class="badge warn">`+tokens[first].Expires.Format("2 Jan 2006"))

	w.goes(w.post("directory/tokens/"+fresh.Token+"/delete"), "directory?did=token-deleted")
	w.wants(w.get("directory/tokens/"+fresh.Token), 404)
	w.wants(w.post("directory/tokens/"+fresh.Token+"/delete"), 404)

	a = w.post(at+"/rotate", "hours", "0", "newest", w.newest(at))
	w.secret(a)
	a = w.get("directory")
	w.wants(a, 200, `<span class="badge">ended</span>`)
	if strings.Contains(w.get(at).body, "Replace it") {
		t.Error("a token that has ended can be replaced")
	}
}

func TestSwitchSCIM(t *testing.T) {
	w := newWorld(t)
	a := w.post("directory/tokens", "label", "Okta", "newest", w.newest("directory"))
	secret := w.secret(a)
	w.goes(w.post("directory/scim", "scim", "off"), "directory?did=scim-off")
	if _, err := w.cloud.Authenticate(w.ctx, secret); !errors.Is(err, cloud.ErrSCIMDisabled) {
		t.Errorf("with SCIM off: %v", err)
	}
	w.wants(w.get("directory?did=scim-off"), 200, "SCIM is off", "every request of the directory is refused from now on", "Switch SCIM on")
	w.goes(w.post("directory/scim", "scim", "on"), "directory?did=scim-on")
	_, err := w.cloud.Authenticate(w.ctx, secret)
	w.ok(err)
	entries, err := w.cloud.Audit(w.ctx, "acme", "", 10)
	w.ok(err)
	if entries[0].Who != w.visitor.Actor {
		t.Errorf("the audit trail says that %q did it", entries[0].Who)
	}
}

func TestDirectorySettings(t *testing.T) {
	w := newWorld(t)
	w.goes(w.post("directory/settings", "profile", "strict", "card_removal", "revoke", "sentinels", " GONE \r\n\r\nno card\r\n"), "directory?did=directory-saved")
	org, err := w.cloud.Org(w.ctx, "acme")
	w.ok(err)
	if org.Profile != cloud.ProfileStrict || org.CardRemoval != cloud.RemovalRevoke || !slices.Equal(org.Sentinels, []string{"GONE", "no card"}) {
		t.Errorf("%+v", org)
	}
	w.wants(w.get("directory"), 200, `value="strict" checked`, `value="revoke" checked`, "GONE\nno card")
	w.wants(w.post("directory/settings", "profile", "auto", "card_removal", "burn", "sentinels", "NIX"), 422, "Not saved", "Card removal", "NIX", `value="auto" checked`)
	w.wants(w.post("directory/settings", "profile", "ldap", "card_removal", "keep"), 422, "want entra, okta or strict")
	w.goes(w.post("directory/settings", "profile", "auto", "card_removal", "keep"), "directory?did=directory-saved")
	org, err = w.cloud.Org(w.ctx, "acme")
	w.ok(err)
	if org.Profile != cloud.ProfileAuto || len(org.Sentinels) != 0 {
		t.Errorf("%+v", org)
	}
}

func TestDirectoryByRole(t *testing.T) {
	w := newWorld(t)
	token := "directory/tokens/" + w.caller.Token
	for _, tt := range []struct {
		role  signin.Role
		path  string
		wants int
	}{
		{signin.Viewer, "directory/tokens", 403}, {signin.Admin, "directory/tokens", 403},
		{signin.Viewer, token + "/rotate", 403}, {signin.Admin, token + "/rotate", 403},
		{signin.Viewer, token + "/delete", 403}, {signin.Admin, token + "/delete", 403},
		{signin.Viewer, "directory/scim", 403}, {signin.Admin, "directory/scim", 403},
		{signin.Viewer, "directory/settings", 403}, {signin.Admin, "directory/settings", 422},
	} {
		w.as(tt.role)
		w.wants(w.post(tt.path), tt.wants)
	}
	for role, has := range map[signin.Role][3]bool{signin.Viewer: {}, signin.Admin: {2: true}, signin.Owner: {true, true, true}} {
		w.as(role)
		body := w.get("directory").body
		for i, text := range []string{"Make a token", "Refuse every request", ">Save</button>"} {
			if strings.Contains(body, text) != has[i] {
				t.Errorf("%s is shown %q: %t, want %t", role, text, !has[i], has[i])
			}
		}
	}
	w.as(signin.Admin)
	w.wants(w.get(token), 403)
}

func TestTokensOfOthersAreNotThere(t *testing.T) {
	w := newWorld(t)
	_, err := w.cloud.CreateOrg(w.ctx, by, cloud.Org{ID: "other", Name: "Other"})
	w.ok(err)
	theirs, secret, err := w.cloud.CreateToken(w.ctx, by, "other", "Theirs")
	w.ok(err)
	at := "directory/tokens/" + theirs.ID
	w.wants(w.get(at), 404)
	w.wants(w.post(at+"/rotate", "hours", "1", "newest", w.newest("directory")), 404)
	w.wants(w.post(at+"/delete"), 404)
	_, err = w.cloud.Authenticate(w.ctx, secret)
	w.ok(err)
}

func TestSyncStatus(t *testing.T) {
	w := newWorld(t)
	w.as(signin.Viewer)
	w.wants(w.get("directory/sync"), 200, "No directory has called yet", "There was none yet", "No request was refused", `properties/north">North building</a>: not syncing: no rule`)
	caller := w.caller
	caller.Client = "Okta <SCIM> Client"
	w.cloud.Observe(cloud.DirectoryCall{Caller: caller, What: "read users", Reads: true, Status: 200})
	for range 12 {
		w.cloud.Observe(cloud.DirectoryCall{Caller: caller, What: "create user", Status: 400, Kind: "invalidValue: cardNumber", Detail: "cardNumber: the card number is too wide"})
	}
	w.rule("All", []string{"staff"})
	a := w.get("directory/sync")
	w.wants(a, 200, "Okta &lt;SCIM&gt; Client", "with the token “Entra ID”", "refused (4xx)", `<td data-label="Writes">12</td>`, "invalidValue: cardNumber", "the card number is too wide", "quarantine")
	if strings.Contains(a.body, "Properties that are frozen") {
		t.Error("a property with a rule is frozen")
	}
}

func TestUnmapped(t *testing.T) {
	w := newWorld(t)
	w.as(signin.Viewer)
	w.wants(w.get("directory/unmapped"), 200, "all that was received is in the mapping table")
	_, err := w.cloud.CreateUser(w.ctx, w.caller, map[string]any{
		"userName": "ada@acme.example", "<i>shoe</i>": "secret-size", "urn:example:badge": map[string]any{"Card_Number": "10731"}, "metadata": map[string]any{"building": "B7"},
	})
	w.ok(err)
	a := w.get("directory/unmapped")
	w.wants(a, 200, "&lt;i&gt;shoe", "Did you mean", cloud.EnterpriseURN+":cardNumber", "Use one in a rule")
	for _, never := range []string{"secret-size", "10731", "metadata.building</span></th>"} {
		if strings.Contains(a.body, never) {
			t.Errorf("%q is on the page", never)
		}
	}
}

// TestMappingTable wants each row of the table on the page, and words for all
// that reaches a building.
func TestMappingTable(t *testing.T) {
	w := newWorld(t)
	w.as(signin.Viewer)
	w.rule("Lab", []string{"science"}, cloud.Condition{Attr: "department", Op: "eq", Value: "Lab"}, cloud.Condition{Attr: "shoe", Op: "eq", Value: "44"})
	body := w.get("directory/mapping").body
	tags := regexp.MustCompile(`<[^>]*>`)
	rows := regexp.MustCompile(`(?s)<th scope="row">.*?</th>`).FindAllString(body, -1)
	for i := range rows {
		rows[i] = tags.ReplaceAllString(rows[i], "")
	}
	for _, row := range cloud.MappingTable() {
		if !slices.Contains(rows, row.SCIM) {
			t.Errorf("%s is not on the page", row.SCIM)
		}
		for _, field := range row.Site {
			if strings.Contains(body, `as">`+field) || strings.Contains(body, ", "+field+"<") {
				t.Errorf("%s of a building has no words", field)
			}
		}
	}
	w.wants(w.get("directory/mapping"), 200, "tested by north: Lab", "In no schema; a rule tests it.", "the person&#39;s name")
}
