package scim

import (
	"bytes"
	"slices"
	"time"

	"latchkey/cloud"
)

// A field is a name of a JSON object and its value, both as they are written;
// the name without its quotes.
type field struct{ name, value []byte }

// splice puts id, schemas, meta and groups into the stored document of u
// without reading what is in it. The result is byte for byte what encode makes
// of the same document; ok is false where that is not to be had so cheaply.
func (c *call) splice(u cloud.User) (out []byte, ok bool) {
	// What is stored has "<" and the like as "\u003c", what goes out has not.
	if bytes.Contains(u.Doc, []byte(`\u`)) {
		return nil, false
	}
	var room [24]field // most users have fewer names
	fields, ok := split(room[:0], u.Doc)
	if !ok {
		return nil, false
	}
	schemas := append(append([]byte(`["`), c.h.user.core.ID...), '"')
	for _, f := range fields {
		if f.value[0] == '{' && isURN(string(f.name)) {
			schemas = append(append(append(schemas, `,"`...), f.name...), '"')
		}
	}
	fields = append(fields, field{[]byte("id"), appendText(nil, u.ID)},
		field{[]byte("meta"), c.userMeta(u)}, field{[]byte("schemas"), append(schemas, ']')})
	if len(u.Groups) > 0 {
		groups, err := marshal(c.memberships(u.Groups))
		if err != nil {
			return nil, false
		}
		fields = append(fields, field{[]byte("groups"), groups})
	}
	slices.SortFunc(fields, func(a, b field) int { return bytes.Compare(a.name, b.name) })
	size := 2 // "}", and the end of the line, which whoever sends it may append
	for i, f := range fields {
		if i > 0 && bytes.Equal(f.name, fields[i-1].name) {
			return nil, false // ours comes in place of what is stored
		}
		size += len(f.name) + len(f.value) + len(`,"":`)
	}
	out = make([]byte, 0, size)
	for _, f := range fields {
		out = append(append(append(append(out, `,"`...), f.name...), `":`...), f.value...)
	}
	out[0] = '{'
	return append(out, '}'), true
}

// userMeta is meta of a user as JSON.
func (c *call) userMeta(u cloud.User) []byte {
	b := make([]byte, 0, 320)
	b = u.Created.UTC().AppendFormat(append(b, `{"created":"`...), time.RFC3339Nano)
	b = u.Modified.UTC().AppendFormat(append(b, `","lastModified":"`...), time.RFC3339Nano)
	b = appendText(append(b, `","location":`...), c.location(c.h.user, u.ID))
	b = append(append(append(b, `,"resourceType":"`...), c.h.user.name...), `","version":`...)
	return append(appendText(b, cloud.ETag(u.Version)), '}')
}

// appendText appends s as a JSON string, as encode writes it.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' {
			text, _ := marshal(s) // a string: it cannot fail
			return append(b, text...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// split appends the names and values of a JSON object without white space to
// fields: ok is false where names have escapes.
func split(fields []field, doc []byte) (all []field, ok bool) {
	if len(doc) < 2 || doc[0] != '{' || doc[len(doc)-1] != '}' {
		return nil, false
	}
	for rest := doc[1 : len(doc)-1]; len(rest) > 0; {
		end := bytes.Index(rest, []byte(`":`))
		if rest[0] != '"' || end < 1 {
			return nil, false
		}
		name, value := rest[1:end], rest[end+2:]
		n := valueLen(value)
		if n < 1 || bytes.ContainsAny(name, `"\`) {
			return nil, false
		}
		fields = append(fields, field{name, value[:n]})
		rest = value[min(n+1, len(value)):]
	}
	return fields, true
}

// valueLen is how many bytes the JSON value at the start of b takes.
func valueLen(b []byte) int {
	depth := 0
	for i, c := range structure(b) {
		switch {
		case c == ',' && depth == 0:
			return i
		case c == '{', c == '[':
			depth++
		case c == '}', c == ']':
			depth--
		}
	}
	return len(b)
}
