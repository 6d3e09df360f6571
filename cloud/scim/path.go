package scim

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of what a directory may ask in one path or filter. They are far above
// what Entra ID and Okta send, and keep one request from costing more than
// microseconds to read.
const (
	maxFilter = 8192 // bytes
	maxPath   = 4096 // bytes
	maxDepth  = 32   // parentheses, nots and brackets inside one another
	maxTests  = 128  // comparisons in one filter
)

// ErrFilter is wrapped by every error about a filter that cannot be read or
// answered. Over HTTP it is 400 invalidFilter.
var ErrFilter = errors.New("filter")

// ErrPath is wrapped by every error about an attribute path that cannot be
// read. Over HTTP it is 400 invalidPath.
var ErrPath = errors.New("path")

// A Path names an attribute, a sub-attribute, or with Filter some values of a
// multi-valued attribute: RFC 7644 §3.10 and Figure 7. Names stand as they were
// sent; comparing them ignores case.
type Path struct {
	URN    string // schema or extension, without the last colon; "" for the core schema
	Name   string // "" means the whole extension URN
	Filter Expr   // nil: all values
	Sub    string // sub-attribute, "" for none; everything after the first dot
}

// ParsePath reads the path of a PATCH operation.
func ParsePath(s string) (Path, error) {
	if len(s) > maxPath {
		return Path{}, fmt.Errorf("scim: %w: %d bytes, want at most %d", ErrPath, len(s), maxPath)
	}
	if !utf8.ValidString(s) {
		return Path{}, fmt.Errorf("scim: %w: not UTF-8", ErrPath)
	}
	p := parser{s: s}
	path, err := p.path()
	if err == nil {
		p.blank()
		if p.pos < len(s) {
			err = p.errorf("got %s, want the end of the path", p.next())
		}
	}
	if err != nil {
		return Path{}, fmt.Errorf("scim: %w: %w", ErrPath, err)
	}
	return path, nil
}

// String gives the path in the form that ParsePath reads.
func (p Path) String() string {
	var b strings.Builder
	p.write(&b)
	return b.String()
}

func (p Path) write(b *strings.Builder) {
	b.WriteString(p.URN)
	if p.URN != "" && p.Name != "" {
		b.WriteByte(':')
	}
	b.WriteString(p.Name)
	if p.Filter != nil {
		b.WriteByte('[')
		p.Filter.write(b)
		b.WriteByte(']')
	}
	if p.Sub != "" {
		b.WriteByte('.')
		b.WriteString(p.Sub)
	}
}

// splitName takes an attribute name apart. A URN ends at the LAST colon, and
// only what comes after it is searched for a dot: the version in
// "urn:…:2.0:User:manager.value" has a dot too, and servers that split there
// stored nonsense that the directory then sent again for ever.
func splitName(s string) (urn, name, sub string) {
	if isURN(s) {
		if isSchemaURN(s) {
			return s, "", ""
		}
		i := strings.LastIndexByte(s, ':')
		urn, s = s[:i], s[i+1:]
	}
	name, sub, _ = strings.Cut(s, ".")
	return urn, name, sub
}

// isURN says whether s begins with a URN. Administrators mistype "urn:" and the
// attribute must survive that, so what has that many colons is one too.
func isURN(s string) bool {
	if len(s) >= 4 && strings.EqualFold(s[:4], "urn:") {
		return true
	}
	return strings.Count(s, ":") >= 3
}

// isSchemaURN says whether a URN names a whole schema, not an attribute in one:
// it ends in the resource type ("…:2.0:User") or in a version
// ("urn:okta:custom:group:1.0").
func isSchemaURN(s string) bool {
	last := s[strings.LastIndexByte(s, ':')+1:]
	if strings.EqualFold(last, "User") || strings.EqualFold(last, "Group") || strings.EqualFold(last, "2.0User") {
		return true // the last is in Microsoft's own example
	}
	digits := false
	for i := range len(last) {
		switch c := last[i]; {
		case c >= '0' && c <= '9':
			digits = true
		case c != '.':
			return false
		}
	}
	return digits
}
