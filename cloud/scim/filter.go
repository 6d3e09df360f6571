package scim

import (
	"fmt"
	"strings"
)

// An Op is a comparison operator, in lower case.
type Op string

// The operators of RFC 7644 §3.4.2.2, and opHas, which has no word: it is a
// value path that stands alone, as in emails[type eq "work"].
const (
	OpEq  Op = "eq"
	OpNe  Op = "ne"
	OpCo  Op = "co"
	OpSw  Op = "sw"
	OpEw  Op = "ew"
	OpGt  Op = "gt"
	OpGe  Op = "ge"
	OpLt  Op = "lt"
	OpLe  Op = "le"
	OpPr  Op = "pr"
	opHas Op = ""
)

// ordered says whether the operator looks inside a value or at its order, which
// a boolean does not have.
func (o Op) ordered() bool {
	switch o {
	case OpCo, OpSw, OpEw, OpGt, OpGe, OpLt, OpLe:
		return true
	}
	return false
}

// A Kind is the JSON type of a comparison value.
type Kind uint8

// The kinds of comparison values.
const (
	String Kind = iota // also an unquoted word, which Entra ID's documentation has
	Number
	Bool
	Null
)

// A Value is what an attribute is compared with. Text is a string's content, or
// the literal as it was sent.
type Value struct {
	Kind Kind
	Text string
}

// An Expr is a filter: *Test, *Logic or *Not.
type Expr interface {
	String() string
	write(*strings.Builder)
}

// A Test compares one attribute. Value is zero for pr and for a value path that
// stands alone.
type Test struct {
	Path  Path
	Op    Op
	Value Value
}

// Logic is X and Y, or X or Y.
type Logic struct {
	And  bool // else or
	X, Y Expr
}

// Not is the opposite of X.
type Not struct{ X Expr }

func text(e Expr) string {
	var b strings.Builder
	e.write(&b)
	return b.String()
}

// String gives a filter that parses to the same expression.
func (t *Test) String() string { return text(t) }

// String gives a filter that parses to the same expression.
func (l *Logic) String() string { return text(l) }

// String gives a filter that parses to the same expression.
func (n *Not) String() string { return text(n) }

func (t *Test) write(b *strings.Builder) {
	t.Path.write(b)
	if t.Op == opHas {
		return
	}
	b.WriteByte(' ')
	b.WriteString(string(t.Op))
	if t.Op == OpPr {
		return
	}
	b.WriteByte(' ')
	if t.Value.Kind != String {
		b.WriteString(t.Value.Text)
		return
	}
	b.WriteByte('"')
	for i := range len(t.Value.Text) {
		switch c := t.Value.Text[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < 0x20:
			fmt.Fprintf(b, `\u%04x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
}

func (l *Logic) write(b *strings.Builder) {
	word := " or "
	if l.And {
		word = " and "
	}
	// Both associate to the left, and "and" binds tighter.
	group := func(e Expr, right bool) {
		sub, ok := e.(*Logic)
		if !ok || !right && (sub.And || sub.And == l.And) || right && sub.And && !l.And {
			e.write(b)
			return
		}
		b.WriteByte('(')
		e.write(b)
		b.WriteByte(')')
	}
	group(l.X, false)
	b.WriteString(word)
	group(l.Y, true)
}

func (n *Not) write(b *strings.Builder) {
	b.WriteString("not (")
	n.X.write(b)
	b.WriteByte(')')
}

func operator(w string) Op {
	for _, op := range [...]Op{OpEq, OpNe, OpCo, OpSw, OpEw, OpGt, OpGe, OpLt, OpLe, OpPr} {
		if strings.EqualFold(w, string(op)) {
			return op
		}
	}
	return opHas
}
