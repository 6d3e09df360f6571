package pages

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"latchkey/cloud"
	"latchkey/cloud/admin/signin"
)

// uuidLength is how many characters the ids of cards have.
const uuidLength = 36

// entriesOnPage is how many entries of the audit log one page shows.
const entriesOnPage = 50

func (s *server) auditRoutes() { s.get("audit", signin.Viewer, audit) }

// An auditPage is a part of the audit log, newest first.
type auditPage struct {
	Entries []auditLine
	Earlier string // id before which the next page begins; empty on the last one
	Later   bool   // not the first page
}

// An auditLine is one entry in words.
type auditLine struct {
	cloud.AuditEntry
	Who     string
	What    string
	To      string // page of what was acted on, below Root; empty where it has none
	Where   string // name of the property at which it was; empty for none
	Refused string // why
	Changes []auditChange
}

// An auditChange is one value before and after, for people.
type auditChange struct{ Field, Before, After string }

func audit(c *call) (answer, error) {
	entries, err := c.cloud.Audit(c.Context(), c.Org, c.text("before"), entriesOnPage+1)
	if err != nil {
		return nil, err
	}
	tokens, err := c.cloud.Tokens(c.Context(), c.Org)
	if err != nil {
		return nil, err
	}
	names, err := c.propertyNames()
	if err != nil {
		return nil, err
	}
	v := auditPage{Later: c.text("before") != ""}
	if len(entries) > entriesOnPage {
		entries = entries[:entriesOnPage]
		v.Earlier = entries[len(entries)-1].ID
	}
	for _, e := range entries {
		site, _ := e.Changes[cloud.AuditSite].After.(string)
		delete(e.Changes, cloud.AuditSite)
		v.Entries = append(v.Entries, auditLine{
			AuditEntry: e, Who: whoText(e.Who, tokens), What: strings.ToUpper(e.What[:min(1, len(e.What))]) + e.What[min(1, len(e.What)):],
			To: auditTarget(e), Where: cmp.Or(names[site], site), Refused: strings.TrimPrefix(e.Error, "cloud: "), Changes: auditChanges(e.Changes),
		})
	}
	return page{template: "audit", title: "Audit log", data: v}, nil
}

// whoText names an actor: tokens go by their labels.
func whoText(who cloud.Actor, tokens []cloud.Token) string {
	id, ok := strings.CutPrefix(string(who), "directory, token ")
	if !ok {
		return string(who)
	}
	if i := slices.IndexFunc(tokens, func(t cloud.Token) bool { return t.ID == id }); i >= 0 && tokens[i].Label != "" {
		return "directory, token “" + tokens[i].Label + "”"
	}
	return "directory, a token that is deleted"
}

// auditTarget is the page of the person whom an entry is about.
func auditTarget(e cloud.AuditEntry) string {
	switch e.What {
	case "create user", "update user", "read user", "create person", "change person", "add card", "add membership", "remove membership":
		if e.Object != "" {
			return "people/" + e.Object
		}
	}
	return ""
}

// auditChanges words what changed, by field. Of what has fields itself, those
// that differ are listed.
func auditChanges(changes map[string]cloud.Change) []auditChange {
	var all []auditChange
	for _, field := range slices.Sorted(maps.Keys(changes)) {
		before, after := unfold(changes[field].Before), unfold(changes[field].After)
		was, hadFields := before.(map[string]any)
		is, hasFields := after.(map[string]any)
		if !(hadFields || hasFields) || before != nil && !hadFields || after != nil && !hasFields {
			all = append(all, auditChange{fieldName(field), valueText(before), valueText(after)})
			continue
		}
		keys := map[string]bool{}
		for _, m := range []map[string]any{was, is} {
			for key := range m {
				keys[key] = true
			}
		}
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			if b, a := valueText(was[key]), valueText(is[key]); b != a {
				all = append(all, auditChange{fieldName(field) + ": " + strings.ReplaceAll(key, "_", " "), b, a})
			}
		}
	}
	return all
}

// fieldName is a field without the name of its schema, and without the id of
// the card that it is about.
func fieldName(field string) string {
	if i := strings.LastIndexByte(field, ' '); i > 0 && len(field)-i-1 == uuidLength {
		return field[:i]
	}
	if strings.HasPrefix(strings.ToLower(field), "urn:") {
		field = field[strings.LastIndexByte(field, ':')+1:]
	}
	return strings.ReplaceAll(field, "_", " ")
}

// unfold is v with its fields, where it is a JSON object written as text.
func unfold(v any) any {
	if text, ok := v.(string); ok && strings.HasPrefix(text, "{") {
		var fields map[string]any
		if json.Unmarshal([]byte(text), &fields) == nil {
			return fields
		}
	}
	return v
}

// valueText is a value for people; empty where there is none.
func valueText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		if v {
			return "yes"
		}
		return "no"
	case []any:
		return listText(v)
	}
	text, err := json.Marshal(v)
	if err != nil {
		return "?"
	}
	return string(text)
}

// mostListed is how many values of a list are written out.
const mostListed = 4

// listText is a list for people. A long one is counted, and only begins.
func listText(list []any) string {
	var texts []string
	for _, v := range list[:min(len(list), mostListed)] {
		texts = append(texts, valueText(v))
	}
	text := strings.Join(texts, ", ")
	if more := len(list) - mostListed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
