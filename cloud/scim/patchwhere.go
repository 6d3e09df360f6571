package scim

import (
	"slices"
	"strings"
)

// putWhere changes the values that a value path chooses. Where there are none,
// Entra ID means the value to be made, for Replace too, so its equalities
// become the new value's sub-attributes; RFC 7644 §3.5.2.3 wants noTarget.
func (e *engine) putWhere(m map[string]any, k string, c change) error {
	t := c.target
	if c.value == nil {
		return nil
	}
	list := elements(m[k])
	found := false
	for i, el := range list {
		if !c.pick(asElement(el)) {
			continue
		}
		found = true
		list[i] = edited(asElement(el), c)
		onlyPrimary(list, i)
	}
	if !found {
		base := map[string]any{}
		if e.strict || !equalities(c.filter, t.attr, base) {
			return refuse(400, "noTarget", "%s: no value matches", c.path)
		}
		if len(list) >= maxValues {
			return invalidValue("%s: %d values, want at most %d", c.path, len(list)+1, maxValues)
		}
		list = append(list, edited(base, c))
		onlyPrimary(list, len(list)-1)
	}
	m[k] = list
	if t.attr != nil && !t.attr.Multi {
		m[k] = list[0]
	}
	return nil
}

// edited gives an element with the change's value in it.
func edited(el map[string]any, c change) map[string]any {
	value := clone(c.value)
	if c.target.sub != "" {
		el[key(el, c.target.sub)] = value
		return el
	}
	obj, ok := value.(map[string]any)
	if !ok {
		el["value"] = value
		return el
	}
	if c.op == opReplace {
		// The new value stays the one that the path names.
		base := map[string]any{}
		if equalities(c.filter, c.target.attr, base) {
			el = base
		} else {
			el = map[string]any{}
		}
	}
	for k, v := range obj {
		el[key(el, k)] = v
	}
	return el
}

// equalities collects what a filter says outright about a value: the sides of
// "and" that are eq. It reports false if the filter says anything else.
func equalities(e Expr, a *attribute, into map[string]any) bool {
	switch e := e.(type) {
	case *Logic:
		return e.And && equalities(e.X, a, into) && equalities(e.Y, a, into)
	case *Test:
		if e.Op != OpEq || e.Value.Kind == Null || e.Path.Filter != nil || e.Path.Sub != "" || e.Path.URN != "" {
			return false
		}
		name := e.Path.Name
		var value any = e.Value.Text
		isBool := e.Value.Kind == Bool
		if a != nil {
			if s := find(a.SubAttributes, name); s != nil {
				name, isBool = s.Name, s.Type == typeBoolean
			}
		}
		if isBool { // [primary eq "True"]
			value = strings.EqualFold(e.Value.Text, "true")
		}
		into[name] = value
		return true
	}
	return false
}

func (e *engine) remove(m map[string]any, k string, c change) error {
	t := c.target
	old, ok := m[k]
	if !ok {
		if e.strict && c.filter != nil {
			return refuse(400, "noTarget", "%s: no value matches", c.path)
		}
		return nil
	}
	list, isList := old.([]any)
	obj, isObj := old.(map[string]any)
	switch {
	case c.filter == nil && t.sub == "":
		if isList && c.hasValue && !e.strict {
			// The older dialect of Entra ID names what to remove by value.
			gone := elements(c.value)
			list = slices.DeleteFunc(list, func(el any) bool {
				return slices.ContainsFunc(gone, func(g any) bool { return sameElement(el, g) })
			})
			set(m, k, list)
			return nil
		}
		delete(m, k)
	case c.filter == nil && isObj:
		if delete(obj, key(obj, t.sub)); len(obj) == 0 {
			delete(m, k)
		}
	case c.filter == nil || isList || isObj:
		if !isList {
			list = []any{old}
		}
		kept, found := make([]any, 0, len(list)), false
		for _, el := range list {
			if c.pick != nil && !c.pick(asElement(el)) {
				kept = append(kept, el)
				continue
			}
			found = true
			if t.sub == "" {
				continue
			}
			inner := asElement(el)
			delete(inner, key(inner, t.sub))
			if !bare(inner) {
				kept = append(kept, inner)
			}
		}
		if !found && e.strict {
			return refuse(400, "noTarget", "%s: no value matches", c.path)
		}
		if isList {
			set(m, k, kept)
		} else if len(kept) == 0 {
			delete(m, k)
		}
	}
	return nil
}

// sameElement says whether a value that a removal names is el: the same value,
// of the same type where the removal gives one.
func sameElement(el, named any) bool {
	n, a := asElement(named), asElement(el)
	if n["value"] == nil {
		return same(el, named)
	}
	return same(a["value"], n["value"]) && (n["type"] == nil || same(a["type"], n["type"]))
}
