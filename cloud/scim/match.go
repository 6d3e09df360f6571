package scim

import (
	"fmt"
	"strings"
)

// A predicate decides about one resource: its document and its id.
type predicate func(doc map[string]any, id string) bool

// A term is an equality that the directory has an index for.
type term struct{ attr, value string }

// A plan is a filter taken apart: the terms are looked up, what is left over is
// asked of each resource found.
type plan struct {
	terms []term
	match predicate // nil: the terms say it all
	made  bool      // match looks at meta or schemas, which are made, not stored
}

// plan takes a filter apart.
func (rt *resourceType) plan(e Expr) (plan, error) {
	var p plan
	var rest []predicate
	var walk func(Expr) error
	walk = func(e Expr) error {
		if l, ok := e.(*Logic); ok && l.And {
			if err := walk(l.X); err != nil {
				return err
			}
			return walk(l.Y)
		}
		t, whole := rt.term(e)
		if t.attr != "" {
			p.terms = append(p.terms, t)
		}
		if whole {
			return nil
		}
		f, err := rt.compile(e, &p.made)
		rest = append(rest, f)
		return err
	}
	if err := walk(e); err != nil {
		return plan{}, fmt.Errorf("scim: %w: %w", ErrFilter, err)
	}
	switch len(rest) {
	case 0:
	case 1:
		p.match = rest[0]
	default:
		p.match = func(doc map[string]any, id string) bool {
			for _, f := range rest {
				if !f(doc, id) {
					return false
				}
			}
			return true
		}
	}
	return p, nil
}

// term gives the index lookup that e is, or contains. whole says that the
// lookup is all there is to e. Members are rows, not part of the document, so
// for them a term is the only way to be asked for.
func (rt *resourceType) term(e Expr) (t term, whole bool) {
	test, ok := e.(*Test)
	if !ok {
		return term{}, false
	}
	p := test.Path
	if test.Op == opHas { // members[value eq "u"] is members.value eq "u"
		inner, ok := p.Filter.(*Test)
		at := rt.resolve(p.URN, p.Name, "")
		if !ok || !at.is("members") || inner.Op != OpEq || inner.Value.Kind == Null || inner.Path.Filter != nil ||
			inner.Path.URN != "" || !strings.EqualFold(inner.Path.Name, "value") || inner.Path.Sub != "" {
			return term{}, false
		}
		return term{"members.value", inner.Value.Text}, true
	}
	if test.Op != OpEq || test.Value.Kind == Null {
		return term{}, false
	}
	at := rt.resolve(p.URN, p.Name, p.Sub)
	plain := p.Filter == nil
	switch user := rt.core.ID == userURN; {
	case plain && at.sub == "" && (at.is("id") || at.is("externalId") || at.is("displayName") || at.is("userName") && user):
		return term{at.name, test.Value.Text}, true
	case user && plain && at.card() && at.sub == "":
		return term{"cardNumber", test.Value.Text}, true
	case user && plain && at.urn == enterpriseURN && at.name == "manager" && (at.sub == "" || at.sub == "value"):
		return term{"manager", test.Value.Text}, true
	case user && at.is("emails") && (at.sub == "" || at.sub == "value"):
		return term{"emails.value", test.Value.Text}, plain
	case !user && plain && at.is("members") && (at.sub == "" || at.sub == "value"):
		return term{"members.value", test.Value.Text}, true
	}
	return term{}, false
}

// compile turns a filter into a predicate over documents. It sets made where
// the predicate looks at meta or schemas. An error says what cannot be asked.
func (rt *resourceType) compile(e Expr, made *bool) (predicate, error) {
	switch e := e.(type) {
	case *Not:
		x, err := rt.compile(e.X, made)
		return func(doc map[string]any, id string) bool { return !x(doc, id) }, err
	case *Logic:
		x, err := rt.compile(e.X, made)
		if err != nil {
			return nil, err
		}
		y, err := rt.compile(e.Y, made)
		if e.And {
			return func(doc map[string]any, id string) bool { return x(doc, id) && y(doc, id) }, err
		}
		return func(doc map[string]any, id string) bool { return x(doc, id) || y(doc, id) }, err
	}
	test := e.(*Test)
	at := rt.resolve(test.Path.URN, test.Path.Name, test.Path.Sub)
	switch {
	case at.is("members") && at.attr != nil:
		return nil, fmt.Errorf("%s: members can be asked for by value eq alone, joined to the rest by \"and\"", test)
	case at.is("password"), at.is("groups") && at.attr != nil:
		return nil, fmt.Errorf("%s: %s cannot be filtered on", test, at.name)
	case at.is("meta"), at.is("schemas"):
		*made = true
	case at.is("id"):
		cmp, err := comparison(test, true, typeString)
		return func(_ map[string]any, id string) bool { return cmp([]any{id}) }, err
	}
	a := at.attr
	if at.sub != "" {
		a = at.subA
	} else if a != nil && a.Type == typeComplex {
		a = find(a.SubAttributes, "value")
	}
	// What no schema lists is compared exactly, like ids; a date in meta is a
	// string that is in order as time is.
	isExact, typ := true, typeString
	if a != nil {
		isExact, typ = a.CaseExact, a.Type
	}
	if at.is("meta") && (at.sub == "created" || at.sub == "lastModified") {
		typ = typeDateTime
	}
	var pick func(map[string]any) bool
	if test.Path.Filter != nil {
		var err error
		if pick, err = elementFilter(at.attr, test.Path.Filter); err != nil {
			return nil, err
		}
	}
	if test.Op == opHas {
		return func(doc map[string]any, _ string) bool {
			for _, el := range elements(at.in(doc)) {
				if pick(asElement(el)) {
					return true
				}
			}
			return false
		}, nil
	}
	cmp, err := comparison(test, isExact, typ)
	return func(doc map[string]any, _ string) bool { return cmp(at.values(doc, pick)) }, err
}

// in gives what doc has at the target's attribute; nil if nothing.
func (t target) in(doc map[string]any) any {
	if t.urn != "" {
		doc, _ = doc[key(doc, t.urn)].(map[string]any)
	}
	return doc[key(doc, t.name)]
}

// values gives the values that a comparison looks at: of a complex attribute
// the sub-attribute, or "value" where none is named.
func (t target) values(doc map[string]any, pick func(map[string]any) bool) []any {
	v := t.in(doc)
	if _, ok := v.([]any); !ok && t.sub == "" && pick == nil {
		if _, ok := v.(map[string]any); !ok {
			return []any{v}
		}
	}
	sub := t.sub
	if sub == "" {
		sub = "value"
	}
	var out []any
	for _, el := range elements(v) {
		m := asElement(el)
		if pick != nil && !pick(m) {
			continue
		}
		got, ok := m[key(m, sub)]
		if !ok && t.sub == "" && len(m) > 0 {
			got = m // complex with no "value", such as name: present, equal to nothing
		}
		out = append(out, got)
	}
	return out
}

// elements gives the values of an attribute, single or not.
func elements(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

// asElement sees a plain value in a multi-valued attribute as {"value": v}.
func asElement(v any) map[string]any {
	if m, ok := v.(map[string]any); ok {
		return m
	}
	return map[string]any{"value": v}
}

// elementFilter compiles the filter of a value path, whose names are
// sub-attributes of a. a is nil where no schema lists the attribute.
func elementFilter(a *attribute, e Expr) (func(map[string]any) bool, error) {
	switch e := e.(type) {
	case *Not:
		x, err := elementFilter(a, e.X)
		return func(m map[string]any) bool { return !x(m) }, err
	case *Logic:
		x, err := elementFilter(a, e.X)
		if err != nil {
			return nil, err
		}
		y, err := elementFilter(a, e.Y)
		if e.And {
			return func(m map[string]any) bool { return x(m) && y(m) }, err
		}
		return func(m map[string]any) bool { return x(m) || y(m) }, err
	}
	test := e.(*Test)
	if test.Path.Filter != nil || test.Path.URN != "" {
		return nil, fmt.Errorf("%s: want a sub-attribute in the brackets", test)
	}
	name, isExact, typ := test.Path.Name, true, typeString
	if a != nil {
		if s := find(a.SubAttributes, name); s != nil {
			name, isExact, typ = s.Name, s.CaseExact, s.Type
		}
	}
	cmp, err := comparison(test, isExact, typ)
	return func(m map[string]any) bool {
		v := m[key(m, name)]
		if test.Path.Sub != "" {
			sub, _ := v.(map[string]any)
			v = sub[key(sub, test.Path.Sub)]
		}
		return cmp(elements(v))
	}, err
}
