package cloud

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"latchkey/access"
)

// fold is the form in which names compare that ignore case.
func fold(s string) string { return strings.ToLower(s) }

// decodeAttrs reads a stored document. Numbers stay as they were written.
func decodeAttrs(doc []byte) (map[string]any, error) {
	attrs := map[string]any{}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	if err := d.Decode(&attrs); err != nil {
		return nil, fmt.Errorf("cloud: stored document: %w", err)
	}
	return attrs, nil
}

// maxDocument is how large the document of a user or a group may be, in bytes.
const maxDocument = 1 << 20

// checkDocument refuses a document that has grown, from old, past maxDocument.
// One that is too large already may shrink.
func checkDocument(old, doc []byte) error {
	if len(doc) > maxDocument && len(doc) > len(old) {
		return invalid("schemas", "all attributes together have %d bytes, want at most %d", len(doc), maxDocument)
	}
	return nil
}

// encodeAttrs writes a document in the one form that is stored and compared.
func encodeAttrs(attrs map[string]any) ([]byte, error) {
	doc, err := json.Marshal(attrs)
	if err != nil {
		return nil, invalid("", "not a JSON document: %v", err)
	}
	return doc, nil
}

// field finds key in m, exactly or else without regard to case.
func field(m map[string]any, key string) (any, bool) {
	if v, ok := m[key]; ok {
		return v, true
	}
	for k, v := range m {
		if strings.EqualFold(k, key) {
			return v, true
		}
	}
	return nil, false
}

// lookup finds the values of an attribute path: "title", "name.familyName",
// "metadata.city", "department" (also where an extension has it),
// "urn:…:User:costCenter". Elements of lists count each; of complex ones the
// "value" counts where the path names no sub-attribute.
func lookup(attrs map[string]any, path string) []any {
	if len(path) > 4 && strings.EqualFold(path[:4], "urn:") {
		for urn, v := range attrs {
			if len(path) > len(urn) && strings.EqualFold(path[:len(urn)], urn) && path[len(urn)] == ':' {
				if m, ok := v.(map[string]any); ok {
					return descend(m, path[len(urn)+1:])
				}
			}
		}
		return nil
	}
	if found := descend(attrs, path); len(found) > 0 {
		return found
	}
	if m, ok := attrs[EnterpriseURN].(map[string]any); ok {
		if found := descend(m, path); len(found) > 0 {
			return found
		}
	}
	for _, urn := range slices.Sorted(maps.Keys(attrs)) {
		m, ok := attrs[urn].(map[string]any)
		if !ok || urn == EnterpriseURN || !strings.HasPrefix(fold(urn), "urn:") {
			continue
		}
		if found := descend(m, path); len(found) > 0 {
			return found
		}
	}
	return nil
}

func descend(m map[string]any, path string) []any {
	if v, ok := field(m, path); ok {
		return flat(v)
	}
	head, rest, ok := strings.Cut(path, ".")
	if !ok {
		return nil
	}
	v, _ := field(m, head)
	switch v := v.(type) {
	case map[string]any:
		return descend(v, rest)
	case []any:
		var all []any
		for _, e := range v {
			if m, ok := e.(map[string]any); ok {
				all = append(all, descend(m, rest)...)
			}
		}
		return all
	}
	return nil
}

func flat(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		var all []any
		for _, e := range v {
			all = append(all, flat(e)...)
		}
		return all
	case map[string]any:
		if inner, ok := field(v, "value"); ok {
			return flat(inner)
		}
		return nil
	}
	return []any{v}
}

// text is a scalar as people write it.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case nil:
		return ""
	}
	return fmt.Sprint(v)
}

func first(attrs map[string]any, path string) string {
	for _, v := range lookup(attrs, path) {
		if s := text(v); s != "" {
			return s
		}
	}
	return ""
}

// systemAttrs are never the directory's to store.
var systemAttrs = []string{"id", "meta", "schemas", "groups", "password"}

// normalise makes next, which the directory asked for, what is stored in
// place of old (nil on create): what the system makes is dropped, and a null
// takes away what was there only in a full replacement (REQUIREMENTS D7). Card
// numbers of nothing are dropped, since the attribute goes with the card (K6).
func normalise(old, next map[string]any, replace bool) {
	for key := range next {
		for _, name := range systemAttrs {
			if strings.EqualFold(key, name) {
				delete(next, key)
			}
		}
	}
	settleNulls(old, next, replace)
	if replace {
		// A profile push carries no status, the identity of a user is not cleared
		// by a body that leaves it out, and a user of key cabinets alone does not
		// come to open doors by it.
		for _, key := range []string{"active", "externalId", "userType"} {
			if v, ok := old[key]; ok && next[key] == nil {
				next[key] = v
			}
		}
	}
	if ext, ok := next[EnterpriseURN].(map[string]any); ok {
		if s, ok := ext["cardNumber"].(string); ok && strings.TrimSpace(s) == "" {
			delete(ext, "cardNumber")
		}
		if len(ext) == 0 {
			delete(next, EnterpriseURN)
		}
	}
}

// merge puts into next what old has and next does not speak of.
func merge(next, old map[string]any) {
	for key, was := range old {
		v, sent := next[key]
		if !sent {
			next[key] = was
			continue
		}
		have, ok := v.(map[string]any)
		if was, wasMap := was.(map[string]any); ok && wasMap {
			merge(have, was)
		}
	}
}

func settleNulls(old, next map[string]any, replace bool) {
	for key, v := range next {
		switch v := v.(type) {
		case nil:
			if was, ok := old[key]; ok && !replace {
				next[key] = was
			} else {
				delete(next, key)
			}
		case map[string]any:
			was, _ := old[key].(map[string]any)
			settleNulls(was, v, replace)
			if len(v) == 0 {
				delete(next, key)
			}
		case []any:
			if len(v) == 0 {
				delete(next, key)
			}
		}
	}
}

// activeOf reads active, true where it is absent; ok is false for what is no
// boolean.
func activeOf(attrs map[string]any) (active, ok bool) {
	v, present := attrs["active"]
	if !present {
		return true, true
	}
	switch v := v.(type) {
	case bool:
		return v, true
	case string:
		switch fold(strings.TrimSpace(v)) {
		case "true":
			return true, true
		case "false":
			return false, true
		}
	}
	return false, false
}

// kindOf reads userType (REQUIREMENTS D5).
func kindOf(attrs map[string]any) (kind string, ok bool) {
	switch s := strings.ToUpper(strings.TrimSpace(text(attrs["userType"]))); s {
	case "":
		return access.KindFull, true
	case access.KindFull, access.KindSmartbox:
		return s, true
	}
	return "", false
}

// cardOf reads the card number as it was sent; ok is false for what is neither
// a text nor a number.
func cardOf(attrs map[string]any) (raw string, ok bool) {
	ext, _ := attrs[EnterpriseURN].(map[string]any)
	v, present := field(ext, "cardNumber")
	if !present {
		return "", true
	}
	switch v.(type) {
	case string, json.Number, float64:
		return text(v), true
	}
	return "", false
}

// nameOf is what a person is called.
func nameOf(attrs map[string]any) string {
	if s := strings.TrimSpace(text(attrs["displayName"])); s != "" {
		return s
	}
	if s := strings.TrimSpace(first(attrs, "name.formatted")); s != "" {
		return s
	}
	full := strings.TrimSpace(first(attrs, "name.givenName") + " " + first(attrs, "name.familyName"))
	if full != "" {
		return full
	}
	return text(attrs["userName"])
}

// emailsOf are the addresses by which a user is found.
func emailsOf(attrs map[string]any) []string {
	var all []string
	for _, v := range lookup(attrs, "emails.value") {
		if s := fold(text(v)); s != "" && !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all
}

// managerOf is the id of the person's manager, sent bare or as a reference.
func managerOf(attrs map[string]any) string {
	ext, _ := attrs[EnterpriseURN].(map[string]any)
	v, _ := field(ext, "manager")
	for _, m := range flat(v) {
		return text(m)
	}
	return ""
}

// flatten lists the scalars of a document by path. They are not for people to
// see before shown had a look at them.
func flatten(attrs map[string]any) map[string]string {
	out := map[string]string{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				switch {
				case path == "":
					walk(k, e)
				case strings.HasPrefix(fold(path), "urn:") && attrs[path] != nil:
					walk(path+":"+k, e)
				default:
					walk(path+"."+k, e)
				}
			}
		case []any:
			for i, e := range v {
				walk(path+"["+strconv.Itoa(i)+"]", e)
			}
		default:
			out[path] = text(v)
		}
	}
	walk("", attrs)
	return out
}

// secret says whether the attribute at path may name a card or a code.
func secret(path string) bool {
	p := fold(path)
	for _, word := range []string{"card", "badge", "password", "pin", "credential", "facility"} {
		if strings.Contains(p, word) {
			return true
		}
	}
	return false
}

// maxShown is how much of a value people see, in bytes: a photo in an attribute
// is not for the audit trail.
const maxShown = 1024

// shown is the value at path as people may see it: what may name a card or a
// secret is masked.
func shown(path, value string) string {
	switch {
	case secret(path):
		return maskNumber(value)
	case len(value) > maxShown:
		return strings.ToValidUTF8(value[:maxShown], "") + "…"
	}
	return value
}

// differences are the paths whose values differ, for the audit trail.
func differences(old, next map[string]any) map[string]Change {
	a, b := flatten(old), flatten(next)
	out := map[string]Change{}
	for path, was := range a {
		if is, ok := b[path]; !ok {
			out[path] = Change{Before: shown(path, was)}
		} else if is != was {
			out[path] = Change{Before: shown(path, was), After: shown(path, is)}
		}
	}
	for path, is := range b {
		if _, ok := a[path]; !ok {
			out[path] = Change{After: shown(path, is)}
		}
	}
	return out
}
