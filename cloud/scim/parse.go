package scim

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ParseFilter reads a filter: all of RFC 7644 §3.4.2.2, and besides it what
// directories send: values without quotes, "+" between the words, and a value
// path that is compared, as in emails[type eq "work"].value eq "x". An error
// wraps ErrFilter and says where.
func ParseFilter(s string) (Expr, error) {
	if len(s) > maxFilter {
		return nil, fmt.Errorf("scim: %w: %d bytes, want at most %d", ErrFilter, len(s), maxFilter)
	}
	if !utf8.ValidString(s) {
		return nil, fmt.Errorf("scim: %w: not UTF-8", ErrFilter)
	}
	p := parser{s: s}
	e, err := p.or()
	if err == nil && p.pos < len(s) {
		err = p.errorf("got %s, want \"and\", \"or\" or the end", p.next())
	}
	if err != nil {
		return nil, fmt.Errorf("scim: %w: %w", ErrFilter, err)
	}
	return e, nil
}

// A parser reads s by recursive descent. It allocates nothing but the nodes:
// names and values are pieces of s.
type parser struct {
	s     string
	pos   int
	depth int
	tests int
	plus  bool // a "+" stood for a blank, so it ends an unquoted value too
}

func (p *parser) errorf(format string, args ...any) error {
	return fmt.Errorf("at byte %d: %s", p.pos+1, fmt.Sprintf(format, args...))
}

// next shows what comes next, for errors.
func (p *parser) next() string {
	if p.pos >= len(p.s) {
		return "the end"
	}
	rest := []rune(p.s[p.pos:min(len(p.s), p.pos+80)])
	if len(rest) > 16 {
		return fmt.Sprintf("%q…", string(rest[:16]))
	}
	return fmt.Sprintf("%q", string(rest))
}

func (p *parser) blank() {
	for p.pos < len(p.s) {
		switch p.s[p.pos] {
		case ' ', '\t', '\r', '\n':
		case '+':
			p.plus = true
		default:
			return
		}
		p.pos++
	}
}

// word gives the letters that come next, without taking them.
func (p *parser) word() string {
	end := p.pos
	for end < len(p.s) && (p.s[end]|0x20 >= 'a' && p.s[end]|0x20 <= 'z') {
		end++
	}
	return p.s[p.pos:end]
}

func (p *parser) enter() error {
	if p.depth++; p.depth > maxDepth {
		return p.errorf("nested deeper than %d", maxDepth)
	}
	return nil
}

// keyword takes the word if it comes next and is not the beginning of a name.
func (p *parser) keyword(want string) bool {
	p.blank()
	w := p.word()
	if !strings.EqualFold(w, want) {
		return false
	}
	if end := p.pos + len(w); end < len(p.s) && strings.IndexByte(" \t\r\n+(", p.s[end]) < 0 {
		return false
	}
	p.pos += len(w)
	return true
}

func (p *parser) or() (Expr, error) {
	x, err := p.and()
	for err == nil && p.keyword("or") {
		var y Expr
		if y, err = p.and(); err == nil {
			x = &Logic{X: x, Y: y}
		}
	}
	return x, err
}

func (p *parser) and() (Expr, error) {
	x, err := p.one()
	for err == nil && p.keyword("and") {
		var y Expr
		if y, err = p.one(); err == nil {
			x = &Logic{And: true, X: x, Y: y}
		}
	}
	return x, err
}

func (p *parser) one() (Expr, error) {
	p.blank()
	if p.pos < len(p.s) && p.s[p.pos] == '(' {
		return p.group()
	}
	if save := p.pos; p.keyword("not") {
		if p.blank(); p.pos < len(p.s) && p.s[p.pos] == '(' {
			x, err := p.group()
			if err != nil {
				return nil, err
			}
			return &Not{X: x}, nil
		}
		p.pos = save
		return nil, p.errorf("got %s, want \"not (\"", p.next())
	}
	return p.test()
}

func (p *parser) group() (Expr, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	p.pos++ // "("
	e, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.blank(); p.pos >= len(p.s) || p.s[p.pos] != ')' {
		return nil, p.errorf("got %s, want \")\"", p.next())
	}
	p.pos++
	p.depth--
	return e, nil
}

func (p *parser) test() (Expr, error) {
	if p.tests++; p.tests > maxTests {
		return nil, p.errorf("more than %d comparisons", maxTests)
	}
	path, err := p.path()
	if err != nil {
		return nil, err
	}
	if path.Name == "" {
		return nil, p.errorf("%s names a schema, want an attribute", path.URN)
	}
	t := &Test{Path: path}
	if path.Filter != nil && path.Sub == "" {
		return t, nil // opHas
	}
	p.blank()
	w := p.word()
	if t.Op = operator(w); t.Op == opHas {
		return nil, p.errorf("got %s, want an operator: eq ne co sw ew gt ge lt le pr", p.next())
	}
	p.pos += len(w)
	if t.Op == OpPr {
		return t, nil
	}
	if t.Value, err = p.value(); err != nil {
		return nil, err
	}
	if t.Value.Kind == Bool && t.Op.ordered() {
		return nil, p.errorf("%s %s: a boolean has no order, want eq or ne", path.Name, t.Op)
	}
	return t, nil
}

func (p *parser) path() (Path, error) {
	p.blank()
	start := p.pos
	for p.pos < len(p.s) && strings.IndexByte(" \t\r\n+[]()\"\\", p.s[p.pos]) < 0 && p.s[p.pos] >= 0x20 {
		p.pos++
	}
	tok := p.s[start:p.pos]
	if tok == "" {
		return Path{}, p.errorf("got %s, want an attribute", p.next())
	}
	var path Path
	path.URN, path.Name, path.Sub = splitName(tok)
	filtered := p.pos < len(p.s) && p.s[p.pos] == '['
	switch {
	case path.Name == "" && (filtered || path.URN == "" || !isSchemaURN(tok)), path.Sub == "" && strings.HasSuffix(tok, "."):
		p.pos = start
		return Path{}, p.errorf("got %s, want an attribute", p.next())
	case path.Name != "" && path.URN != "" && isSchemaURN(path.URN+":"+path.Name):
		p.pos = start // "urn:x:User.attr": a dot where the colon belongs
		return Path{}, p.errorf("got %s, want an attribute after the schema", p.next())
	case path.Sub != "" && filtered:
		return Path{}, p.errorf("got %s after a sub-attribute", p.next())
	}
	if !filtered {
		return path, nil
	}
	if err := p.enter(); err != nil {
		return Path{}, err
	}
	p.pos++ // "["
	var err error
	if path.Filter, err = p.or(); err != nil {
		return Path{}, err
	}
	if p.blank(); p.pos >= len(p.s) || p.s[p.pos] != ']' {
		return Path{}, p.errorf("got %s, want \"]\"", p.next())
	}
	p.pos++
	p.depth--
	if p.pos >= len(p.s) || p.s[p.pos] != '.' {
		return path, nil
	}
	p.pos++
	start = p.pos
	for p.pos < len(p.s) && strings.IndexByte(" \t\r\n+[]()\"\\", p.s[p.pos]) < 0 && p.s[p.pos] >= 0x20 {
		p.pos++
	}
	if path.Sub = p.s[start:p.pos]; path.Sub == "" {
		return Path{}, p.errorf("got %s, want a sub-attribute", p.next())
	}
	return path, nil
}

func (p *parser) value() (Value, error) {
	p.blank()
	if p.pos >= len(p.s) {
		return Value{}, p.errorf("got the end, want a value")
	}
	if p.s[p.pos] == '"' {
		return p.quoted()
	}
	start := p.pos
	for p.pos < len(p.s) && strings.IndexByte(" \t\r\n)]", p.s[p.pos]) < 0 && !(p.plus && p.s[p.pos] == '+') {
		p.pos++
	}
	tok := p.s[start:p.pos]
	switch {
	case tok == "":
		return Value{}, p.errorf("got %s, want a value", p.next())
	case strings.EqualFold(tok, "true"), strings.EqualFold(tok, "false"):
		return Value{Bool, tok}, nil
	case tok == "null":
		return Value{Null, tok}, nil
	case isNumber(tok):
		return Value{Number, tok}, nil
	}
	return Value{String, tok}, nil
}

func (p *parser) quoted() (Value, error) {
	start := p.pos
	escaped := false
	for i := start + 1; i < len(p.s); i++ {
		switch p.s[i] {
		case '\\':
			escaped = true
			i++
		case '"':
			p.pos = i + 1
			if !escaped {
				return Value{String, p.s[start+1 : i]}, nil
			}
			var s string
			if err := json.Unmarshal([]byte(p.s[start:p.pos]), &s); err != nil {
				p.pos = start
				return Value{}, p.errorf("string: %v", err)
			}
			return Value{String, s}, nil
		}
	}
	return Value{}, p.errorf("a string that does not end")
}

// isNumber says whether s is a JSON number.
func isNumber(s string) bool {
	c := s[0]
	return (c == '-' || c >= '0' && c <= '9') && s[len(s)-1] <= '9' && json.Valid([]byte(s))
}
