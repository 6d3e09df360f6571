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
	case t.sub != "" && t.attr != nil && t.attr.Type != typeComplex: // "active.x" would make an object of it
		return nil, refuse(400, "invalidPath", "%s: %s has no parts", c.path, t.name)
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
