package scim

import (
	"maps"
	"slices"
	"strings"
)

// apply makes all changes in a copy of doc, or none: it never changes doc.
// Changes of members are for whoever holds the rows, so it passes them over.
func (e *engine) apply(doc map[string]any, changes []change) (map[string]any, error) {
	out, _ := clone(doc).(map[string]any)
	if out == nil {
		out = map[string]any{}
	}
	for _, c := range changes {
		if e.rt.name == "Group" && c.target.is("members") {
			continue
		}
		if err := e.one(out, c); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (e *engine) one(doc map[string]any, c change) error {
	t, in := c.target, doc
	if t.urn != "" {
		urn := key(doc, t.urn)
		if t.name == "" {
			delete(doc, urn)
			return nil
		}
		ext, ok := doc[urn].(map[string]any)
		if !ok {
			if ext = map[string]any{}; c.op != opRemove {
				doc[urn] = ext
			}
		}
		// An extension without attributes is none, and leaves "schemas".
		defer func() {
			if len(ext) == 0 {
				delete(doc, urn)
			}
		}()
		in = ext
	}
	k := key(in, t.name)
	if c.op == opRemove {
		return e.remove(in, k, c)
	}
	if c.value == nil && c.filter == nil {
		// A directory that says null has no value, not the wish to clear one
		// (REQUIREMENTS D7); but a card number replaced by null has said that it
		// is gone (K6), and strictly null is the absence of a value.
		if c.clears || c.op == opReplace && !c.hasValue && (e.strict || t.card()) {
			return e.remove(in, k, change{op: opRemove, target: t, path: c.path})
		}
		return nil
	}
	return e.put(in, k, c)
}

// put adds or replaces at key k of m.
func (e *engine) put(m map[string]any, k string, c change) error {
	t, value := c.target, clone(c.value)
	multi := t.attr != nil && t.attr.Multi
	old := m[k]
	switch {
	case c.filter != nil:
		return e.putWhere(m, k, c)
	case t.sub != "":
		if list, ok := old.([]any); ok && len(list) > 0 { // RFC 7644 §3.5.2: of all values
			for i, el := range list {
				obj := asElement(el)
				obj[key(obj, t.sub)] = value
				list[i] = obj
			}
			onlyPrimary(list, slices.IndexFunc(list, isPrimary))
			return nil
		}
		obj, ok := old.(map[string]any)
		if !ok {
			obj = map[string]any{}
		}
		obj[key(obj, t.sub)] = value
		if m[k] = obj; multi {
			m[k] = []any{obj}
		}
		return nil
	}
	if list, ok := value.([]any); ok && (multi || t.attr == nil) {
		if c.op == opReplace {
			onlyPrimary(list, slices.IndexFunc(list, isPrimary))
			if m[k] = list; multi && len(list) == 0 {
				delete(m, k)
			}
			return nil
		}
		have, ok := old.([]any)
		if t.attr == nil && !ok {
			m[k] = list // what nobody declared comes back just as it was sent
			return nil
		}
		if have == nil {
			have = []any{} // an empty list is not null
		}
		if len(have)+len(list) > 2*maxValues { // each is compared with each
			return invalidValue("%s: %d and %d more values, want at most %d", c.path, len(have), len(list), maxValues)
		}
		for _, v := range list {
			have = include(have, v)
		}
		if len(have) > maxValues {
			return invalidValue("%s: %d values, want at most %d", c.path, len(have), maxValues)
		}
		if m[k] = have; multi && len(have) == 0 {
			delete(m, k)
		}
		return nil
	}
	if obj, ok := value.(map[string]any); ok {
		if have, ok := old.(map[string]any); ok {
			for sub, v := range obj {
				if v != nil {
					have[key(have, sub)] = v
				}
			}
			return nil
		}
	}
	m[k] = value
	return nil
}

// include puts one value among the others of a multi-valued attribute: nothing
// where it is there already, merged where one of the same type and value is,
// and the only primary one if it says so (RFC 7644 §3.5.2.1).
func include(list []any, v any) []any {
	obj, ok := v.(map[string]any)
	for i, el := range list {
		if same(el, v) {
			return list
		}
		have, isObj := el.(map[string]any)
		if ok && isObj && obj["value"] != nil && same(have["value"], obj["value"]) && same(have["type"], obj["type"]) {
			maps.Copy(have, obj)
			onlyPrimary(list, i)
			return list
		}
	}
	list = append(list, v)
	onlyPrimary(list, len(list)-1)
	return list
}

// onlyPrimary clears the mark of all others if the i-th value is the primary
// one; below 0 there is none.
func onlyPrimary(list []any, i int) {
	if i < 0 || !isPrimary(list[i]) {
		return
	}
	for j, el := range list {
		if j != i && isPrimary(el) {
			el.(map[string]any)["primary"] = false
		}
	}
}

func isPrimary(v any) bool {
	m, _ := v.(map[string]any)
	primary, _ := m["primary"].(bool)
	return primary
}

func set(m map[string]any, k string, list []any) {
	if m[k] = list; len(list) == 0 {
		delete(m, k)
	}
}

// bare says whether a value has nothing left but its label.
func bare(m map[string]any) bool {
	for k := range m {
		if !strings.EqualFold(k, "type") && !strings.EqualFold(k, "primary") {
			return false
		}
	}
	return true
}
