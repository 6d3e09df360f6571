package scim

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"latchkey/cloud"
)

// sortTime is a time whose order as text is its order in time.
const sortTime = "2006-01-02T15:04:05.000000000Z"

// sortKey gives what resources are ordered by at t: RFC 7644 §3.4.2.3. Of
// several values it is the primary one, or else the first.
func (rt *resourceType) sortKey(t target) func(cloud.Resource) (string, bool) {
	switch {
	case t.is("id"):
		return func(r cloud.Resource) (string, bool) { return r.ID, true }
	case t.is("meta") && t.sub == "created":
		return func(r cloud.Resource) (string, bool) { return r.Created.UTC().Format(sortTime), true }
	case t.is("meta") && t.sub == "lastModified":
		return func(r cloud.Resource) (string, bool) { return r.Modified.UTC().Format(sortTime), true }
	}
	a := t.attr
	switch {
	case t.sub != "":
		a = t.subA
	case a != nil && a.Type == typeComplex:
		a = find(a.SubAttributes, "value")
	}
	exact := a == nil || a.CaseExact
	return func(r cloud.Resource) (string, bool) {
		values := elements(t.in(r.Attrs))
		if len(values) == 0 {
			return "", false
		}
		v := values[max(0, slices.IndexFunc(values, isPrimary))]
		if m, ok := v.(map[string]any); ok {
			v = m[key(m, cmp.Or(t.sub, "value"))]
		}
		s := sortText(v, a)
		if !exact {
			s = strings.ToLower(s)
		}
		return s, s != ""
	}
}

// sortText is a value in a form whose order as text is its own.
func sortText(v any, a *attribute) string {
	switch v := v.(type) {
	case string:
		if a != nil && a.Type == typeDateTime {
			if at, err := time.Parse(time.RFC3339Nano, v); err == nil {
				return at.UTC().Format(sortTime)
			}
		}
		return v
	case bool:
		return strconv.FormatBool(v)
	case interface{ String() string }: // a number that nobody declared
		return v.String()
	}
	return ""
}
