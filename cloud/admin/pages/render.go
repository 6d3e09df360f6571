package pages

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"latchkey/cloud/admin/signin"
	"latchkey/internal/ago"
)

//go:embed templates
var templateFiles embed.FS

//go:embed static
var static embed.FS

// templates are the pages by name, each inside the layout.
type templates map[string]*template.Template

// parse reads all templates: layout.html is around each, parts.html has what
// several use.
func parse() (templates, error) {
	base, err := template.New("layout.html").Funcs(functions()).ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil {
		return nil, err
	}
	all := templates{}
	for _, name := range names {
		short := strings.TrimSuffix(path.Base(name), ".html")
		if short == "layout" || short == "parts" {
			continue
		}
		t, err := base.Clone()
		if err == nil {
			t, err = t.ParseFS(templateFiles, name)
		}
		if err != nil {
			return nil, fmt.Errorf("pages: %s: %w", name, err)
		}
		all[short] = t
	}
	return all, nil
}

// A view is what the layout is made from.
type view struct {
	signin.Visitor
	OrgName string
	Holds   int    // losses that wait for a person
	Path    string // of this page, below Root
	Title   string
	Part    string
	Notice  string
	Problem string
	Data    any
}

// On says whether the page is in a part of the app, for the navigation.
func (v view) On(part string) bool {
	return v.Path == part || part != "" && strings.HasPrefix(v.Path, part+"/")
}

// Admin and Owner say what the visitor may do.
func (v view) Admin() bool { return v.Role.AtLeast(signin.Admin) }
func (v view) Owner() bool { return v.Role.AtLeast(signin.Owner) }

func (p page) write(s *server, w http.ResponseWriter, c *call) error {
	v := view{
		Visitor: c.Visitor, Path: strings.TrimPrefix(c.URL.Path, Root), Title: p.title, Part: p.part,
		Notice: notices[c.URL.Query().Get("did")], Problem: p.problem, Data: p.data,
	}
	status := p.status
	if status == 0 {
		status = http.StatusOK
		if p.problem != "" {
			status = http.StatusUnprocessableEntity
		}
	}
	if v.Org != "" { // it may be gone; the page that says so is made all the same
		if org, err := c.cloud.Org(c.Context(), v.Org); err == nil {
			v.OrgName = org.Name
		}
		if holds, err := c.cloud.Holds(c.Context(), v.Org, true); err == nil {
			v.Holds = len(holds)
		}
	}
	t, ok := s.templates[p.template]
	if !ok {
		return fmt.Errorf("pages: there is no template %q", p.template)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return fmt.Errorf("pages: %w", err)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	w.Write(b.Bytes()) // a reader who has gone is no trouble of ours
	return nil
}

// notices are what a page says after a redirect. Only their keys are in
// addresses, so that nobody can put words into our mouth.
var notices = map[string]string{
	"token-twice":           "No token was made now, because one was made since that page was shown. Its secret was shown then; if nobody has it, delete that token and make another.",
	"token-deleted":         "The token is deleted. Whatever used it is refused from now on.",
	"scim-off":              "SCIM is off: every request of the directory is refused from now on.",
	"scim-on":               "SCIM is on. Entra ID sends what was refused meanwhile again with its next cycles; in Okta retry the failed tasks.",
	"directory-saved":       "Saved. It holds for what the directory sends from now on.",
	"administrator-added":   "They may come in now, with their own account.",
	"administrator-changed": "The role is changed, and their sessions are over.",
	"administrator-removed": "They are off the list, and their sessions are over. A rule may still let them in as an admin.",
	"accounts-set":          "Saved. The provider has answered. Try it in another browser before you leave this one.",
	"accounts-off":          "Nobody signs in with an account any more.",
	"okta-set":              "Saved. Okta has taken the token.",
	"okta-sync":             "Everything is being read now. Look again in a moment.",
	"okta-confirmed":        "Confirmed. Okta is being read again, and this time it is done. Look again in a moment.",
	"okta-off":              "Okta is not read any more, and its token is forgotten. People and groups stay as they are.",
	"okta-off-back":         "Okta is not read any more, and its token is forgotten. Whom only the reading had locked out is let in again.",

	"property-added":     "The property is there. Give it doors and access groups, then a rule: until then nothing is synced to it.",
	"gone":               "It was deleted already. Nothing else was changed.",
	"held":               "This would take access from more people than may lose it unasked. Nothing is done yet: look at it, then confirm or discard it.",
	"badge-deleted":      "The badge type was deleted.",
	"badge-saved":        "The badge type was saved.",
	"pool-deleted":       "New keys wait until numbers are set again.",
	"pool-saved":         "The numbers were saved. Keys that wait get one by themselves.",
	"card-active":        "The card opens doors again.",
	"card-added":         "The card was added. Buildings hear of it within moments.",
	"card-changed":       "The card was changed.",
	"card-deleted":       "The card was deleted. It opens nothing any more.",
	"card-suspended":     "The card is suspended: it opens nothing until you let it.",
	"membership-added":   "They were put into the access group.",
	"membership-removed": "They were taken out of the access group.",
	"person-added":       "They were added. Give them a card and an access group, so that they can open doors.",
	"person-deleted":     "The person was deleted, with cards and access groups.",
	"person-let-in":      "They are let in again, as far as rules and cards allow it.",
	"person-suspended":   "They are suspended: no door opens for them.",

	"hold-confirmed":      "It is confirmed, and done.",
	"hold-discarded":      "It is discarded: nothing changed.",
	"property-deleted":    "The property is deleted. Its gateway is told to forget all it holds.",
	"create-rule":         "The rule is saved.",
	"put-rule":            "The rule is saved.",
	"delete-rule":         "The rule is deleted.",
	"order-rules":         "The rules are asked in this order now.",
	"put-door":            "The door is saved.",
	"delete-door":         "The door is deleted.",
	"put-access-group":    "The access group is saved.",
	"delete-access-group": "The access group is deleted.",
	"put-schedule":        "The schedule is saved.",
	"delete-schedule":     "The schedule is deleted.",
	"put-property":        "The settings are saved.",
}

func functions() template.FuncMap {
	return template.FuncMap{
		"root": func() string { return Root },
		"when": when, "since": func(t time.Time) string { return ago.Words(time.Now(), t) },
		"count": count, "kindOf": kindOf, "whyAddress": whyAddress,
		"add": func(a, b int) int { return a + b }, "atSite": atSite, "sentence": func(text string) string { return sentence(capital(text)) },
	}
}

// count is "no people", "1 person", "2 people".
func count(n int, one, many string) string {
	switch n {
	case 0:
		return "no " + many
	case 1:
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// when is a moment in full. Times on the pages are UTC: who reads them may be
// anywhere, and so may the buildings.
func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format("2 Jan 2006 15:04:05 UTC")
}
