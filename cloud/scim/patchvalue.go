package scim

import "strings"

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
