package scim

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode/utf8"
)

// maxNesting is how deep JSON may go. The deepest that a directory sends, a
// PATCH of one value, has five levels.
const maxNesting = 32

// An Error is a refusal, in the terms of RFC 7644 §3.12.
type Error struct {
	Status int    // HTTP status
	Type   string // scimType, "" where the RFC has none for it
	Detail string // what, got, want; for the administrator who reads the directory's log
}

func (e *Error) Error() string { return "scim: " + e.Detail }

func refuse(status int, scimType, format string, args ...any) *Error {
	return &Error{Status: status, Type: scimType, Detail: fmt.Sprintf(format, args...)}
}

func invalidSyntax(format string, args ...any) *Error {
	return refuse(400, "invalidSyntax", format, args...)
}

func invalidValue(format string, args ...any) *Error {
	return refuse(400, "invalidValue", format, args...)
}

// decode reads one JSON object. Numbers stay the numerals that were sent. It
// refuses what the map could not hold as it was sent: a name that stands twice
// in one object, bytes that are no UTF-8, and nesting deeper than maxNesting.
func decode(data []byte) (map[string]any, error) {
	if !utf8.Valid(data) {
		return nil, invalidSyntax("the body is not UTF-8")
	}
	// Nesting first: the check costs a pass over bytes, a tree 10,000 deep does not.
	if at := tooDeep(data); at >= 0 {
		return nil, invalidSyntax("the JSON at byte %d is nested deeper than %d", at+1, maxNesting)
	}
	// The token reader is laxer than the parser, so the parser goes first.
	if err := json.Unmarshal(data, new(json.RawMessage)); err != nil {
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			return nil, invalidSyntax("the body is not JSON: at byte %d: %v", syntax.Offset, err)
		}
		return nil, invalidSyntax("the body is not JSON: %v", err)
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	v, err := decodeValue(dec)
	if err != nil {
		return nil, err
	}
	obj, ok := v.(map[string]any)
	if !ok {
		return nil, invalidSyntax("the body is %s, want a JSON object", kindOf(v))
	}
	return obj, nil
}

func decodeValue(dec *json.Decoder) (any, error) {
	tok, err := dec.Token()
	if err != nil {
		return nil, invalidSyntax("the body is not JSON: at byte %d: %v", dec.InputOffset(), err)
	}
	switch tok {
	case json.Delim('{'):
		obj := map[string]any{}
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return nil, invalidSyntax("the body is not JSON: at byte %d: %v", dec.InputOffset(), err)
			}
			k, _ := name.(string)
			if _, twice := obj[k]; twice {
				return nil, invalidSyntax("the JSON at byte %d: %q stands twice in one object", dec.InputOffset(), k)
			}
			if obj[k], err = decodeValue(dec); err != nil {
				return nil, err
			}
		}
		_, err := dec.Token()
		return obj, err
	case json.Delim('['):
		list := []any{}
		for dec.More() {
			v, err := decodeValue(dec)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := dec.Token()
		return list, err
	}
	return tok, nil
}

// tooDeep gives the offset of the bracket that goes past maxNesting, or -1.
func tooDeep(data []byte) int {
	depth := 0
	for i, c := range structure(data) {
		switch c {
		case '{', '[':
			if depth++; depth > maxNesting {
				return i
			}
		case '}', ']':
			depth--
		}
	}
	return -1
}

// structure yields the brackets and commas of JSON that are in none of its
// texts.
func structure(data []byte) iter.Seq2[int, byte] {
	return func(yield func(int, byte) bool) {
		quoted := false
		for i := 0; i < len(data); i++ {
			switch c := data[i]; {
			case quoted && c == '\\':
				i++
			case c == '"':
				quoted = !quoted
			case quoted:
			case c == '{', c == '[', c == '}', c == ']', c == ',':
				if !yield(i, c) {
					return
				}
			}
		}
	}
}

// encode writes JSON as it is read by people and directories: no HTML escapes.
func encode(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// marshal is what encode writes, without the end of the line.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	err := encode(&buf, v)
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), err
}

// kindOf names the JSON type of v, for errors; values stay out of them.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a boolean"
	case string:
		return "a string"
	case json.Number, float64, int64:
		return "a number"
	case []any:
		return "an array"
	}
	return "an object"
}

// clone copies a document all the way down.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, x := range v {
			m[k] = clone(x)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, x := range v {
			l[i] = clone(x)
		}
		return l
	}
	return v
}

// same compares two JSON values. Numerals are compared as they were written.
func same(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k, x := range a {
			if y, ok := b[k]; !ok || !same(x, y) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !same(a[i], b[i]) {
				return false
			}
		}
		return true
	}
	switch b.(type) {
	case map[string]any, []any:
		return false
	}
	return a == b
}

// coerce brings the value of a listed attribute into the schema's form: names
// of sub-attributes in their canonical spelling, "True" as a boolean, a single
// value as a list where there may be several, and the other way about. What it
// cannot mend it keeps, unless the attribute is one that the product stands on.
// nil means: no value.
func (e *engine) coerce(t target, a *attribute, v any) (any, error) {
	if v == nil || a == nil {
		return v, nil
	}
	if !a.Multi {
		// The older dialect of Entra ID wraps single values: [{"$ref": null, "value": x}].
		if list, ok := v.([]any); ok && !e.strict {
			switch len(list) {
			case 0:
				return nil, nil
			case 1:
				v = list[0]
				if m, ok := v.(map[string]any); ok && a.Type != typeComplex {
					v = m[key(m, "value")]
				}
			}
		}
		return e.coerceOne(t, a, v)
	}
	list, ok := v.([]any)
	if !ok {
		if e.strict {
			return nil, invalidValue("%s: got %s, want an array", a.Name, kindOf(v))
		}
		list = []any{v}
	}
	if len(list) > maxValues {
		return nil, invalidValue("%s: %d values, want at most %d", a.Name, len(list), maxValues)
	}
	out := make([]any, 0, len(list))
	for _, el := range list {
		el, err := e.coerceOne(t, a, el)
		if err != nil {
			return nil, err
		}
		if el != nil {
			out = append(out, el)
		}
	}
	return out, nil
}

// vital says of which attributes a wrong type is refused: who the person is,
// whether the person may enter, and with what. Any other is kept as it is,
// because one odd optional attribute must not stop a person's sync.
func (t target) vital() bool {
	return t.sub == "" && (t.is("userName") || t.is("externalId") || t.is("displayName") || t.is("active") || t.card())
}

func (e *engine) coerceOne(t target, a *attribute, v any) (any, error) {
	wrong := func(want string) (any, error) {
		if t.card() && !e.strict {
			// Refusing it here would refuse the whole request, also one that
			// deactivates (REQUIREMENTS K7). As text it is a bad number, and what
			// becomes of that is the directory's to decide.
			text, err := json.Marshal(v)
			return string(text), err
		}
		if e.strict || t.vital() {
			return nil, invalidValue("%s: got %s, want %s", a.Name, kindOf(v), want)
		}
		return v, nil
	}
	switch a.Type {
	case typeBoolean:
		switch b := v.(type) {
		case nil, bool:
			return v, nil
		case string:
			if b = strings.TrimSpace(b); strings.EqualFold(b, "true") || strings.EqualFold(b, "false") {
				return strings.EqualFold(b, "true"), nil
			}
			if e.strict || t.vital() {
				return nil, invalidValue("%s: got a string, want true or false", a.Name)
			}
		}
		return wrong("true or false")
	case typeComplex:
		if n, ok := v.(json.Number); ok {
			v = n.String()
		}
		switch m := v.(type) {
		case nil:
			return nil, nil
		case map[string]any:
			return e.coerceObject(t, a, m)
		case string:
			if e.strict {
				break
			}
			// A bare id for the manager, a bare address for an email.
			for _, sub := range [...]string{"value", "formatted"} {
				if find(a.SubAttributes, sub) != nil {
					if m == "" {
						return nil, nil
					}
					return map[string]any{sub: m}, nil
				}
			}
		}
		return wrong("an object")
	default:
		switch n := v.(type) {
		case string:
			if a.Type == typeBinary && e.strict && !isBase64(n) {
				return wrong("base64")
			}
			return v, nil
		case nil:
			return v, nil
		case json.Number:
			if !e.strict {
				return n.String(), nil // a badge number that a mapping sent without quotes
			}
		}
		return wrong("a string")
	}
}

// isBase64 says whether s is bytes in base64, with padding or without.
func isBase64(s string) bool {
	_, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	return err == nil
}

func (e *engine) coerceObject(t target, a *attribute, m map[string]any) (any, error) {
	out := make(map[string]any, len(m))
	for k, v := range m {
		sub := find(a.SubAttributes, k)
		if sub == nil {
			if v != nil {
				out[k] = clone(v)
			}
			continue
		}
		t := t
		t.sub, t.subA = sub.Name, sub
		v, err := e.coerce(t, sub, v)
		if err != nil {
			return nil, err
		}
		if v != nil {
			out[sub.Name] = v
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	// {"value": ""} names nobody: it is how some mappings clear a manager.
	if s, ok := out["value"].(string); ok && s == "" && !a.Multi {
		return nil, nil
	}
	return out, nil
}
