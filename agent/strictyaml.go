package agent

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// A Problem is one thing wrong with a configuration, at a path such as
// "osdp[0].readers[2].address".
type Problem struct{ Path, Text string }

// place is where something stands in a file, both from 1.
type place struct{ line, col int }

func placeOf(t *token.Token) place {
	if t == nil || t.Position == nil {
		return place{1, 1}
	}
	return place{t.Position.Line, t.Position.Column}
}

// A strictDecoder fills structs from a YAML tree and, unlike the library's own
// strict mode, goes on after a problem and knows where each value stood.
type strictDecoder struct {
	problems []Problem
	places   map[string]place // by path
}

// decodeYAML reads text into v, a pointer to a struct with yaml tags. Unknown
// and repeated keys, wrong types and a second document are problems; places
// has the position of everything that was there.
func decodeYAML(text []byte, v any) (*strictDecoder, error) {
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		if se, ok := errors.AsType[*yaml.SyntaxError](err); ok {
			p := placeOf(se.Token)
			return nil, fmt.Errorf("%d:%d: %s", p.line, p.col, se.Message)
		}
		return nil, fmt.Errorf("1:1: %w", err)
	}
	d := &strictDecoder{places: map[string]place{}}
	docs := slices.DeleteFunc(slices.Clone(file.Docs), func(doc *ast.DocumentNode) bool { return doc.Body == nil })
	switch len(docs) {
	case 0:
		return nil, errors.New("1:1: the file is empty")
	case 1:
	default:
		p := placeOf(docs[1].Body.GetToken())
		return nil, fmt.Errorf("%d:%d: a second document: want one", p.line, p.col)
	}
	d.decode(docs[0].Body, reflect.ValueOf(v).Elem(), "")
	return d, nil
}

func (d *strictDecoder) wrong(path, format string, args ...any) {
	d.problems = append(d.problems, Problem{path, fmt.Sprintf(format, args...)})
}

func (d *strictDecoder) decode(n ast.Node, v reflect.Value, path string) {
	if path != "" && d.places[path] == (place{}) {
		d.places[path] = placeOf(n.GetToken())
	}
	if _, ok := n.(*ast.NullNode); ok {
		return // "key:" with nothing behind it is a key that is not there
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		d.duration(n, v, path)
	case v.Kind() == reflect.Struct && isScalar(n) && shortField(v.Type()) >= 0:
		d.scalar(n, v.Field(shortField(v.Type())), path)
	case v.Kind() == reflect.Struct:
		d.mapping(n, v, path)
	case v.Kind() == reflect.Map:
		d.dictionary(n, v, path)
	case v.Kind() == reflect.Slice:
		d.sequence(n, v, path)
	default:
		d.scalar(n, v, path)
	}
}

// isScalar reports that n is one value.
func isScalar(n ast.Node) bool {
	_, ok := n.(ast.ScalarNode)
	return ok
}

// shortField is the field of a struct that a single value in place of a mapping
// stands for: the one with the tag short:"true"; -1 if there is none.
func shortField(t reflect.Type) int {
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("short") == "true" {
			return i
		}
	}
	return -1
}

// pairs are the keys and values of a mapping.
func pairs(n ast.Node) (values []*ast.MappingValueNode, ok bool) {
	switch n := n.(type) {
	case *ast.MappingNode:
		return n.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{n}, true
	}
	return nil, false
}

// dictionary reads a mapping whose keys are names that the file gives.
func (d *strictDecoder) dictionary(n ast.Node, v reflect.Value, path string) {
	values, ok := pairs(n)
	if !ok {
		d.wrong(path, "%s: want a mapping of names", describe(n))
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, kv := range values {
		key := kv.Key.GetToken().Value
		at := join(path, key)
		d.places[at] = placeOf(kv.Key.GetToken())
		e := reflect.New(v.Type().Elem()).Elem()
		d.decode(kv.Value, e, at)
		v.SetMapIndex(reflect.ValueOf(key), e)
	}
}

func (d *strictDecoder) mapping(n ast.Node, v reflect.Value, path string) {
	values, ok := pairs(n)
	if !ok {
		d.wrong(path, "%s: want a mapping of %s", describe(n), strings.Join(keysOf(v.Type()), ", "))
		return
	}
	seen := map[string]bool{}
	for _, kv := range values {
		key := kv.Key.GetToken().Value
		at := join(path, key)
		d.places[at] = placeOf(kv.Key.GetToken())
		i := fieldOf(v.Type(), key)
		switch {
		case seen[key]:
			d.wrong(at, "the key stands here twice")
		case i < 0:
			d.wrong(at, "unknown key%s", suggest(key, keysOf(v.Type())))
		default:
			d.decode(kv.Value, v.Field(i), at)
		}
		seen[key] = true
	}
}

func (d *strictDecoder) sequence(n ast.Node, v reflect.Value, path string) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.wrong(path, "%s: want a list", describe(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values)))
	for i, e := range seq.Values {
		at := fmt.Sprintf("%s[%d]", path, i)
		d.places[at] = placeOf(firstToken(e))
		d.decode(e, v.Index(i), at)
	}
}

func (d *strictDecoder) duration(n ast.Node, v reflect.Value, path string) {
	t, err := time.ParseDuration(n.GetToken().Value)
	if err != nil {
		d.wrong(path, "%s: want a duration such as 5s or 1m30s", describe(n))
		return
	}
	v.SetInt(int64(t))
}

func (d *strictDecoder) scalar(n ast.Node, v reflect.Value, path string) {
	s, ok := n.(ast.ScalarNode)
	if !ok {
		d.wrong(path, "%s: want %s", describe(n), wanted(v))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprint(textOf(s)))
	case reflect.Bool:
		b, ok := s.GetValue().(bool)
		if !ok {
			d.wrong(path, "%s: want true or false", describe(n))
			return
		}
		v.SetBool(b)
	case reflect.Uint64:
		i, err := strconv.ParseUint(n.GetToken().Value, 0, 64)
		if err != nil {
			d.wrong(path, "%s: want a whole number, 0 or more", describe(n))
			return
		}
		v.SetUint(i)
	case reflect.Int, reflect.Uint8:
		i, err := strconv.ParseInt(n.GetToken().Value, 0, 64)
		switch {
		case err != nil:
			d.wrong(path, "%s: want a whole number", describe(n))
		case v.Kind() == reflect.Uint8 && (i < 0 || i > math.MaxUint8):
			d.wrong(path, "%d: want 0 to 255", i)
		case v.Kind() == reflect.Uint8:
			v.SetUint(uint64(i))
		default:
			v.SetInt(i)
		}
	default:
		d.wrong(path, "a value of type %s cannot stand in a configuration", v.Type())
	}
}

// textOf gives a scalar as written, so that an id such as 007 stays what it is.
func textOf(s ast.ScalarNode) any {
	if str, ok := s.(*ast.StringNode); ok {
		return str.Value
	}
	if lit, ok := s.(*ast.LiteralNode); ok {
		return lit.Value.Value
	}
	return s.GetToken().Value
}

func firstToken(n ast.Node) *token.Token {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return n.Values[0].Key.GetToken()
		}
	case *ast.MappingValueNode:
		return n.Key.GetToken()
	}
	return n.GetToken()
}

func wanted(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a text"
	default:
		return "a whole number"
	}
}

func describe(n ast.Node) string {
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	default:
		return strconv.Quote(n.GetToken().Value)
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func keysOf(t reflect.Type) (keys []string) {
	for f := range t.Fields() {
		keys = append(keys, f.Tag.Get("yaml"))
	}
	return keys
}

func fieldOf(t reflect.Type, key string) int { return slices.Index(keysOf(t), key) }

// suggest names the key that was probably meant, or all.
func suggest(key string, keys []string) string {
	if s := nearest(key, keys); s != "" {
		return fmt.Sprintf("; did you mean %q?", s)
	}
	return "; want one of " + strings.Join(keys, ", ")
}

// nearest is the word of which a third of the letters at the most differ, and
// the fewest; "" if there is none.
func nearest(word string, words []string) (best string) {
	least := 1 + len(word)/3
	for _, w := range words {
		if n := distance(word, w); n <= least {
			best, least = w, n-1
		}
	}
	return best
}

// distance is the number of letters to insert, delete or change (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}

// find returns the place of path, or of the nearest thing above it.
func (d *strictDecoder) find(path string) place {
	for path != "" {
		if p, ok := d.places[path]; ok {
			return p
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return place{1, 1}
}
