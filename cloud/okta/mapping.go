package okta

import (
	"fmt"
	"slices"
	"strings"

	"latchkey/access"
	"latchkey/cloud"
)

// ProfileURN is the extension under which attributes of an Okta profile stand
// that have no place of their own. Rules find them by name alone, too.
const ProfileURN = "urn:latchkey:params:scim:schemas:extension:okta:2.0:User"

// maxAttrs is how many of them are taken of one user, and maxValue how long
// one may be, in bytes.
const (
	maxAttrs = 200
	maxValue = 4096
)

// core says where attributes of Okta's default profile stand in a SCIM
// document. Those of the enterprise extension begin with a colon.
func core() map[string]string {
	return map[string]string{
		"login": "userName", "displayName": "displayName", "nickName": "nickName", "title": "title", "profileUrl": "profileUrl",
		"preferredLanguage": "preferredLanguage", "locale": "locale", "timezone": "timezone",
		"firstName": "name.givenName", "lastName": "name.familyName", "middleName": "name.middleName",
		"honorificPrefix": "name.honorificPrefix", "honorificSuffix": "name.honorificSuffix",
		"employeeNumber": ":employeeNumber", "costCenter": ":costCenter", "organization": ":organization", "division": ":division", "department": ":department",
	}
}

// attributes is u's profile as a SCIM document. cardAttr and kindAttr name the
// attributes that hold the card number and FULL or SMARTBOX.
func attributes(u User, cardAttr, kindAttr string) map[string]any {
	doc, enterprise, other := map[string]any{}, map[string]any{}, map[string]any{}
	places := core()
	for attr, value := range u.Profile {
		text, isText := scalar(value)
		switch place := places[attr]; {
		case value == nil, isText && text == "", attr == "email" && isText, attr == "secondEmail" && isText: // see emails
		case attr == cardAttr && isText:
			enterprise["cardNumber"] = text
		case attr == kindAttr && isText && isKind(text):
			doc["userType"] = strings.ToUpper(strings.TrimSpace(text))
		case place == "" || !isText:
			if kept, ok := keep(value); ok && len(other) < maxAttrs {
				other[attr] = kept
			}
		case place[0] == ':':
			enterprise[place[1:]] = text
		default:
			put(doc, place, text)
		}
	}
	if list := emails(u.Profile); len(list) > 0 {
		doc["emails"] = list
	}
	for urn, ext := range map[string]map[string]any{cloud.EnterpriseURN: enterprise, ProfileURN: other} {
		if len(ext) > 0 {
			doc[urn] = ext
		}
	}
	return doc
}

// put stores text at "a" or "a.b" of doc.
func put(doc map[string]any, place, text string) {
	head, sub, nested := strings.Cut(place, ".")
	if !nested {
		doc[head] = text
		return
	}
	m, ok := doc[head].(map[string]any)
	if !ok {
		m = map[string]any{}
		doc[head] = m
	}
	m[sub] = text
}

// emails are the addresses of a profile.
func emails(profile map[string]any) (list []any) {
	for _, e := range []struct {
		attr, kind string
		primary    bool
	}{{"email", "work", true}, {"secondEmail", "other", false}} {
		if text, ok := scalar(profile[e.attr]); ok && text != "" {
			list = append(list, map[string]any{"value": text, "type": e.kind, "primary": e.primary})
		}
	}
	return list
}

// scalar is a text or a number as text.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, len(v) <= maxValue
	case float64:
		return strings.TrimSuffix(fmt.Sprintf("%.6f", v), ".000000"), true
	}
	return "", false
}

// keep is a value as it is stored where it has no place of its own: texts,
// numbers, booleans, and lists of them.
func keep(v any) (any, bool) {
	switch v := v.(type) {
	case string:
		return v, len(v) <= maxValue
	case bool, float64:
		return v, true
	case []any:
		simple := len(v) > 0 && len(v) <= maxAttrs && !slices.ContainsFunc(v, func(e any) bool {
			_, nested := e.([]any)
			_, ok := keep(e)
			return nested || !ok
		})
		return v, simple
	}
	return nil, false
}

func isKind(text string) bool {
	text = strings.ToUpper(strings.TrimSpace(text))
	return text == access.KindFull || text == access.KindSmartbox
}
