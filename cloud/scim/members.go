package scim

import (
	"encoding/json"
	"strings"
)

// memberRows is a group's membership inside a transaction; a *cloud.GroupEdit
// is one. Rows are changed by set operations and never read to be written
// back: Entra ID sends some five PATCHes of one group at once, and whoever
// reads first and writes the list later loses members (REQUIREMENTS D11).
type memberRows interface {
	Add(ids ...string) error
	Remove(ids ...string) error
	Replace(ids []string) error
	Has(id string) (bool, error)
	Members() ([]string, error)
}

// memberIDs reads the ids in a value of members: [{"value": "id"}], or one
// object, or plain ids.
func memberIDs(value any) ([]string, error) {
	list := elements(value)
	ids := make([]string, 0, len(list))
	for i, v := range list {
		if m, ok := v.(map[string]any); ok {
			v = m[key(m, "value")]
		}
		var id string
		switch v := v.(type) {
		case string:
			id = v
		case json.Number:
			id = v.String()
		default:
			return nil, invalidValue("members[%d].value: got %s, want an id", i, kindOf(v))
		}
		if strings.TrimSpace(id) == "" {
			return nil, invalidValue("members[%d].value: got an empty string, want an id", i)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// applyMembers makes those of the changes that are about members, in order.
func (e *engine) applyMembers(rows memberRows, changes []change) error {
	for _, c := range changes {
		if !c.target.is("members") {
			continue
		}
		if err := e.member(rows, c); err != nil {
			return err
		}
	}
	return nil
}

func (e *engine) member(rows memberRows, c change) error {
	if c.target.sub != "" && c.target.sub != "value" {
		return refuse(400, "mutability", "%s: members are added and removed, not changed", c.path)
	}
	if c.filter != nil {
		return e.memberWhere(rows, c)
	}
	switch {
	case c.op == opRemove && !c.hasValue:
		return rows.Replace(nil)
	case c.value == nil:
		return nil // null overwrites nothing
	}
	ids, err := memberIDs(c.value)
	if err != nil {
		return err
	}
	switch c.op {
	case opAdd:
		return rows.Add(ids...)
	case opReplace:
		return rows.Replace(ids)
	}
	// The older dialect of Entra ID removes by value. Read by the letter of the
	// RFC, which knows no value here, that empties the group: an outage at doors.
	return rows.Remove(ids...)
}

// memberWhere changes the members that a value path chooses.
func (e *engine) memberWhere(rows memberRows, c change) error {
	ids, simple := valueEqualities(c.filter, nil)
	if !simple {
		// Anything but a list of ids is asked of each member. Only the id is
		// stored with a membership, so only that can be asked for.
		if !aboutValue(c.filter) {
			return refuse(400, "invalidFilter", "%s: members can be chosen by value alone", c.path)
		}
		all, err := rows.Members()
		if err != nil {
			return err
		}
		ids = nil
		for _, id := range all {
			if c.pick(map[string]any{"value": id}) {
				ids = append(ids, id)
			}
		}
	}
	if e.strict {
		found := false
		for _, id := range ids {
			has, err := rows.Has(id)
			if err != nil {
				return err
			}
			found = found || has
		}
		if !found {
			return refuse(400, "noTarget", "%s: no member matches", c.path)
		}
	}
	switch c.op {
	case opRemove:
		return rows.Remove(ids...)
	case opAdd:
		if !simple {
			return nil
		}
		return rows.Add(ids...)
	}
	if c.value == nil {
		return nil
	}
	with, err := memberIDs(c.value)
	if err != nil {
		return err
	}
	if err := rows.Remove(ids...); err != nil {
		return err
	}
	return rows.Add(with...)
}

// valueEqualities gives the ids of value eq "a" or value eq "b" …, and false
// for any other filter.
func valueEqualities(e Expr, ids []string) ([]string, bool) {
	switch e := e.(type) {
	case *Logic:
		if e.And {
			return nil, false
		}
		ids, ok := valueEqualities(e.X, ids)
		if !ok {
			return nil, false
		}
		return valueEqualities(e.Y, ids)
	case *Test:
		if e.Op == OpEq && e.Value.Kind != Null && aboutValue(e) {
			return append(ids, e.Value.Text), true
		}
	}
	return nil, false
}

// aboutValue says whether a filter asks for nothing but value.
func aboutValue(e Expr) bool {
	switch e := e.(type) {
	case *Not:
		return aboutValue(e.X)
	case *Logic:
		return aboutValue(e.X) && aboutValue(e.Y)
	case *Test:
		return e.Path.URN == "" && e.Path.Filter == nil && e.Path.Sub == "" && strings.EqualFold(e.Path.Name, "value")
	}
	return false
}
