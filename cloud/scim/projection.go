package scim

import (
	"maps"
	"strings"
)

// A projection is what of a resource goes out: RFC 7644 §3.9. id and schemas
// always do.
type projection struct {
	only   []target // attributes; nil: all that are returned by default
	except []target // excludedAttributes
}

// projection reads the two lists. A name that says nothing is passed over: a
// client that asks for too little still gets an answer.
func (rt *resourceType) projection(attributes, excluded string) projection {
	list := func(s string) []target {
		var out []target
		for name := range strings.SplitSeq(s, ",") {
			if name = strings.TrimSpace(name); name == "" || len(name) > maxPath {
				continue
			}
			urn, attr, sub := splitName(name)
			out = append(out, rt.resolve(urn, attr, sub))
		}
		return out
	}
	return projection{only: list(attributes), except: list(excluded)}
}

// wants says whether a core attribute goes out at all, so that what is kept in
// rows of its own (members, groups) is loaded only then.
func (p projection) wants(name string) bool {
	for _, t := range p.except {
		if t.is(name) && t.sub == "" {
			return false
		}
	}
	if p.only == nil {
		return true
	}
	for _, t := range p.only {
		if t.is(name) {
			return true
		}
	}
	return false
}

// apply gives the part of doc that goes out. It shares values with doc and
// changes none.
func (p projection) apply(doc map[string]any) map[string]any {
	if p.only != nil {
		out := map[string]any{}
		for _, t := range p.only {
			from, to := doc, out
			if t.urn != "" {
				urn := key(doc, t.urn)
				ext, ok := doc[urn].(map[string]any)
				if !ok {
					continue
				}
				if t.name == "" {
					out[urn] = ext
					continue
				}
				sub, ok := out[urn].(map[string]any)
				if !ok {
					sub = map[string]any{}
				} else if len(sub) == len(ext) {
					continue // the whole extension is there
				}
				from, to = ext, sub
				keep(from, to, t)
				if len(to) > 0 {
					out[urn] = to
				}
				continue
			}
			keep(from, to, t)
		}
		out["id"], out["schemas"] = doc["id"], doc["schemas"]
		doc = out
	}
	if len(p.except) == 0 {
		return doc
	}
	out := make(map[string]any, len(doc))
	maps.Copy(out, doc)
	for _, t := range p.except {
		if t.is("id") || t.is("schemas") {
			continue
		}
		if t.urn == "" {
			drop(out, t)
			continue
		}
		urn := key(out, t.urn)
		ext, ok := out[urn].(map[string]any)
		if t.name == "" || !ok {
			delete(out, urn)
			continue
		}
		part := make(map[string]any, len(ext))
		maps.Copy(part, ext)
		drop(part, t)
		if out[urn] = part; len(part) == 0 {
			delete(out, urn)
		}
	}
	return out
}

// keep puts the target's attribute, or the part of it that is asked for, from
// one map into the other.
func keep(from, to map[string]any, t target) {
	k := key(from, t.name)
	v, ok := from[k]
	if !ok {
		return
	}
	if t.sub == "" {
		to[k] = v
		return
	}
	switch v := v.(type) {
	case *memberList:
		had, ok := to[k].(*memberList)
		switch {
		case !ok:
			to[k] = v.keeping(t.sub)
		case had.only != nil: // else all are there
			to[k] = had.keeping(t.sub)
		}
	case map[string]any:
		sub := key(v, t.sub)
		if _, ok := v[sub]; !ok {
			return
		}
		part, _ := to[k].(map[string]any)
		if part == nil {
			part = map[string]any{}
		}
		if len(part) < len(v) {
			part[sub] = v[sub]
			to[k] = part
		}
	case []any:
		parts, _ := to[k].([]any)
		if parts == nil {
			parts = make([]any, len(v))
			for i := range parts {
				parts[i] = map[string]any{}
			}
		}
		for i, el := range v {
			m := asElement(el)
			part, ok := parts[i].(map[string]any)
			if sub := key(m, t.sub); ok && m[sub] != nil && len(part) < len(m) {
				part[sub] = m[sub]
			}
		}
		to[k] = parts
	}
}

// drop takes the target's attribute, or a part of it, out of m.
func drop(m map[string]any, t target) {
	k := key(m, t.name)
	if t.sub == "" {
		delete(m, k)
		return
	}
	without := func(v map[string]any) map[string]any {
		part := make(map[string]any, len(v))
		for name, x := range v {
			if !strings.EqualFold(name, t.sub) {
				part[name] = x
			}
		}
		return part
	}
	switch v := m[k].(type) {
	case *memberList:
		m[k] = v.without(t.sub)
	case map[string]any:
		m[k] = without(v)
	case []any:
		list := make([]any, len(v))
		for i, el := range v {
			if list[i] = el; el != nil {
				if inner, ok := el.(map[string]any); ok {
					list[i] = without(inner)
				}
			}
		}
		m[k] = list
	}
}
