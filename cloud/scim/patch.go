package scim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Limits of one PATCH and of one attribute. Putting a value among n others
// compares it with each, so both bound the work that 1 MiB can ask for.
const (
	maxOps    = 4000
	maxValues = 1000 // values of one multi-valued attribute of a user
)

// An engine reads and changes documents of one resource type.
type engine struct {
	rt *resourceType
	// strict holds callers to RFC 7644 where Entra ID and Okta leave it: a
	// value path that matches nothing is an error, types must be right.
	strict bool
}

// The words of a PATCH operation, in lower case.
const (
	opAdd     = "add"
	opReplace = "replace"
	opRemove  = "remove"
)

// A change is one step of a request, read and checked. It holds no reference
// to the request, but for values, which apply copies.
type change struct {
	op       string
	target   target
	filter   Expr // of the value path
	pick     func(map[string]any) bool
	value    any  // in the schema's form; nil is null
	hasValue bool // the request has a value, and it is not null
	clears   bool // the value says that there is none, such as "" for a manager
	path     string
}

// changes reads the body of a PATCH.
func (e *engine) changes(body map[string]any) ([]change, error) {
	if e.strict && !hasSchema(body, patchURN) {
		return nil, invalidSyntax("schemas: want %s", patchURN)
	}
	k := key(body, "Operations")
	ops, ok := body[k].([]any)
	if !ok {
		return nil, invalidSyntax("Operations: got %s, want an array of operations", kindOf(body[k]))
	}
	if len(ops) == 0 {
		return nil, invalidSyntax("Operations: got none, want at least one")
	}
	if len(ops) > maxOps {
		return nil, refuse(413, "", "Operations: got %d, want at most %d", len(ops), maxOps)
	}
	var out []change
	for i, v := range ops {
		op, ok := v.(map[string]any)
		if !ok {
			return nil, invalidSyntax("Operations[%d]: got %s, want an object", i, kindOf(v))
		}
		var err error
		if out, err = e.operation(out, op); err != nil {
			if refused, ok := err.(*Error); ok {
				named := *refused
				named.Detail = fmt.Sprintf("Operations[%d]: %s", i, refused.Detail)
				return nil, &named
			}
			return nil, err
		}
	}
	return out, nil
}

// operation appends the changes of one operation.
func (e *engine) operation(out []change, op map[string]any) ([]change, error) {
	fields := map[string]any{}
	for k, v := range op {
		name := strings.ToLower(k)
		if _, twice := fields[name]; twice {
			return nil, invalidSyntax("%q stands twice in one operation", name)
		}
		fields[name] = v
	}
	word, ok := fields["op"].(string)
	if !ok {
		return nil, invalidSyntax("op: got %s, want \"add\", \"replace\" or \"remove\"", kindOf(fields["op"]))
	}
	c := change{op: strings.ToLower(word)}
	if c.op != opAdd && c.op != opReplace && c.op != opRemove {
		return nil, invalidSyntax("op: got %.20q, want \"add\", \"replace\" or \"remove\"", word)
	}
	value, has := fields["value"]
	if !has && c.op != opRemove {
		return nil, invalidValue("%s without a value", c.op)
	}
	switch path := fields["path"].(type) {
	case nil:
	case string:
		if strings.TrimSpace(path) == "" {
			break
		}
		p, err := ParsePath(path)
		if err != nil && !e.strict && len(path) <= 256 && !strings.ContainsAny(path, "[]") {
			// An administrator named an attribute as no schema would, such as
			// "Cost Center". It is kept like any other that nobody declared.
			if p.URN, p.Name, p.Sub = splitName(strings.TrimSpace(path)); p.Name != "" {
				err = nil
			}
		}
		if err != nil {
			return nil, refuse(400, "invalidPath", "%s", strings.TrimPrefix(err.Error(), "scim: "))
		}
		before := len(out)
		if out, err = e.at(out, c, p, value, true); err != nil {
			return nil, err
		}
		return out, contradiction(out[before:])
	default:
		return nil, refuse(400, "invalidPath", "path: got %s, want a string", kindOf(path))
	}
	if c.op == opRemove {
		return nil, refuse(400, "noTarget", "remove without a path")
	}
	obj, ok := value.(map[string]any)
	if !ok {
		return nil, invalidValue("%s without a path: value is %s, want an object", c.op, kindOf(value))
	}
	return e.object(out, c, obj)
}

// object appends a change for each member of obj: the value of an operation
// without a path, or a whole resource. A name may be a path (Entra ID folds
// several into "name.givenName" and "urn:…:User:employeeNumber"), a plain
// attribute, or an extension with attributes of its own.
func (e *engine) object(out []change, c change, obj map[string]any) ([]change, error) {
	before := len(out)
	// Sorted, so that one request always has one result and one error.
	for _, k := range slices.Sorted(maps.Keys(obj)) {
		v := obj[k]
		p := Path{Name: k}
		if inner, ok := v.(map[string]any); ok && isURN(k) && e.extension(k, obj) {
			p = Path{URN: k}
			if strings.EqualFold(k, e.rt.core.ID) {
				var err error
				if out, err = e.object(out, c, inner); err != nil {
					return nil, err
				}
				continue
			}
		} else if isURN(k) || strings.ContainsAny(k, ".[") {
			if parsed, err := ParsePath(k); err == nil {
				p = parsed
			}
		}
		if p.Name == "" && v == nil || p.Name == "" && p.URN == "" {
			continue
		}
		var err error
		if out, err = e.at(out, c, p, v, false); err != nil {
			return nil, err
		}
	}
	return out, contradiction(out[before:])
}

// contradiction refuses changes of one object that say two things about who the
// person is, whether the person may enter, and with what: names ignore case,
// and a card number may stand in two places.
func contradiction(changes []change) error {
	said := map[target]any{}
	for _, c := range changes {
		t := c.target
		t.attr, t.subA = nil, nil
		if !t.vital() && !t.is("userType") || c.filter != nil {
			continue
		}
		if was, twice := said[t]; twice && !same(was, c.value) {
			return invalidSyntax("%s: got two values that differ", c.path)
		}
		said[t] = c.value
	}
	return nil
}

// extension says whether k, a name in obj with an object for its value, is an
// extension and not an attribute of one.
func (e *engine) extension(k string, obj map[string]any) bool {
	for _, s := range e.rt.schemas() {
		if strings.EqualFold(k, s.ID) {
			return true
		}
		if len(k) > len(s.ID) && strings.EqualFold(k[:len(s.ID)+1], s.ID+":") {
			return false
		}
	}
	if isSchemaURN(k) {
		return true
	}
	list, _ := obj[key(obj, "schemas")].([]any)
	for _, v := range list {
		if s, ok := v.(string); ok && len(s) < len(k) && strings.EqualFold(k[:len(s)], s) && k[len(s)] == ':' {
			return false
		}
	}
	return true
}

// at appends the change at p. named says that the request names the place by a
// path; members of an object that nobody may set are passed over, as RFC 7644
// §3.5.1 has it, because directories echo them.
func (e *engine) at(out []change, c change, p Path, value any, named bool) ([]change, error) {
	c.target, c.filter, c.path = e.rt.resolve(p.URN, p.Name, p.Sub), p.Filter, p.String()
	c.hasValue = value != nil
	t := c.target
	switch {
	case t.is("password"), t.is("schemas"): // never kept; made from what there is
		return out, nil
	case t.is("id"), t.is("meta"), t.attr != nil && t.attr.Mutability == "readOnly":
		if !named {
			return out, nil
		}
		return nil, refuse(400, "mutability", "%s cannot be changed", c.path)
	case t.subA != nil && t.subA.Mutability == "readOnly" && named:
		return nil, refuse(400, "mutability", "%s cannot be changed", c.path)
	case c.op == opRemove && t.sub == "" && t.attr != nil && t.attr.Required,
		// It would lock the person out. Who means that says so; strictly, any
		// attribute that is not required may go.
		c.op == opRemove && t.is("active") && !e.strict:
		return nil, refuse(400, "mutability", "%s cannot be removed", c.path)
	}
	if c.filter != nil {
		var err error
		if t.attr != nil && t.attr.Type != typeComplex {
			return nil, refuse(400, "invalidPath", "%s: %s has no values to choose from", c.path, t.name)
		}
		if c.pick, err = elementFilter(t.attr, c.filter); err != nil {
			return nil, refuse(400, "invalidFilter", "%v", err)
		}
	}
	if t.name == "" { // a whole extension
		if t.urn == "" {
			return nil, refuse(400, "invalidPath", "%s: want an attribute", c.path)
		}
		if c.op == opRemove {
			return append(out, c), nil
		}
		obj, ok := value.(map[string]any)
		if !ok {
			return nil, invalidValue("%s: got %s, want an object", c.path, kindOf(value))
		}
		for _, k := range slices.Sorted(maps.Keys(obj)) {
			var inner Path
			inner.URN = t.urn
			inner.Name, inner.Sub, _ = strings.Cut(k, ".")
			if inner.Name == "" || inner.Sub == "" {
				inner.Name, inner.Sub = k, ""
			}
			if inner.Name == "" {
				continue
			}
			var err error
			if out, err = e.at(out, c, inner, obj[k], false); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	var err error
	if c.value, err = e.form(c, value); err != nil {
		return nil, err
	}
	c.clears = c.value == nil && empties(c.op, value)
	if t.sub == "" && c.op != opRemove && (t.is("active") || t.attr != nil && t.attr.Required) {
		if s, ok := c.value.(string); ok && strings.TrimSpace(s) == "" || c.clears || c.op == opReplace && value == nil && e.strict {
			return nil, invalidValue("%s: got nothing, want a value", c.path)
		}
	}
	return append(out, c), nil
}

// empties says whether a value that coerce made nothing of means that there
// shall be none: "" and {"value": ""} do, and an empty list that replaces does.
func empties(op string, value any) bool {
	switch v := value.(type) {
	case string:
		return v == ""
	case map[string]any:
		s, ok := v[key(v, "value")].(string)
		return ok && s == ""
	case []any:
		return op == opReplace || len(v) == 1 && empties(op, v[0])
	}
	return false
}

// form brings the value of a change into the schema's form.
func (e *engine) form(c change, value any) (any, error) {
	t := c.target
	switch {
	case t.attr == nil:
		return value, nil
	case t.is("members"): // rows, read by memberIDs
		return value, nil
	case c.op == opRemove: // only compared with
		lenient := engine{rt: e.rt}
		v, err := lenient.coerce(t, t.attr, value)
		if err != nil {
			return value, nil
		}
		return v, nil
	case t.subA != nil:
		return e.coerce(t, t.subA, value)
	case t.sub != "":
		return value, nil
	case c.filter != nil: // one value of many
		if list, ok := value.([]any); ok && len(list) == 1 && !e.strict {
			value = list[0]
		}
		switch v := value.(type) {
		case map[string]any:
			return e.coerceObject(t, t.attr, v)
		case []any:
			return nil, invalidValue("%s: got an array of %d, want one value", c.path, len(v))
		}
		return e.coerceOne(t, t.attr, value)
	}
	return e.coerce(t, t.attr, value)
}

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

func set(m map[string]any, k string, list []any) {
	if m[k] = list; len(list) == 0 {
		delete(m, k)
	}
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

// bare says whether a value has nothing left but its label.
func bare(m map[string]any) bool {
	for k := range m {
		if !strings.EqualFold(k, "type") && !strings.EqualFold(k, "primary") {
			return false
		}
	}
	return true
}

// document reads the body of a POST or PUT into a document in the form in which
// it is stored: canonical names, extensions by URN, and without what is not the
// directory's to say. members are the ids of a group's members; hasMembers says
// that the body names them, be it none.
func (e *engine) document(body map[string]any) (doc map[string]any, members []string, hasMembers bool, err error) {
	if e.strict && !hasSchema(body, e.rt.core.ID) {
		return nil, nil, false, invalidSyntax("schemas: want %s", e.rt.core.ID)
	}
	changes, err := e.object(nil, change{op: opAdd}, body)
	if err != nil {
		return nil, nil, false, err
	}
	for _, c := range changes {
		if e.rt.name == "Group" && c.target.is("members") && c.value != nil {
			if members, err = memberIDs(c.value); err != nil {
				return nil, nil, false, err
			}
			hasMembers = true
		}
	}
	if doc, err = e.apply(nil, changes); err != nil {
		return nil, nil, false, err
	}
	for _, a := range e.rt.core.Attributes {
		if v, _ := doc[a.Name].(string); a.Required && strings.TrimSpace(v) == "" {
			return nil, nil, false, invalidValue("%s: got nothing, want a value", a.Name)
		}
	}
	return doc, members, hasMembers, nil
}
