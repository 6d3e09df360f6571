package delta

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"latchkey/access"
)

// Canonical is the one form of r that goes onto the wire, into the digest and
// onto the site's disk: what json.Marshal makes of it.
func Canonical(r access.Record) (json.RawMessage, error) {
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("delta: canonical %s: %w", r.Ref().Kind, err)
	}
	return raw, nil
}

// CheckCanonical refuses raw unless it is a JSON object, valid UTF-8, with no
// name twice, and equal to its own compact, HTML-escaped form: such bytes
// survive being embedded in a payload and read back from it, so the digest of
// a record does not depend on who encoded it last. Fields that this version
// does not know are fine.
func CheckCanonical(raw []byte) error {
	if err := checkCanonical(raw); err != nil {
		return fmt.Errorf("%w: %w", ErrShape, err)
	}
	return nil
}

func checkCanonical(raw []byte) error {
	if len(raw) == 0 || raw[0] != '{' {
		return errors.New("record is no JSON object")
	}
	if err := checkJSON(raw); err != nil {
		return fmt.Errorf("record: %w", err)
	}
	canonical, err := compact(raw)
	if err != nil {
		return fmt.Errorf("record: %w", err)
	}
	if !bytes.Equal(raw, canonical) {
		return errors.New("record is not in canonical form")
	}
	return nil
}

// compact is raw as json.Marshal would embed it.
func compact(raw []byte) (json.RawMessage, error) {
	var b, escaped bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, err
	}
	json.HTMLEscape(&escaped, b.Bytes())
	return escaped.Bytes(), nil
}

// Put is the change that stores r.
func Put(r access.Record) (Change, error) {
	raw, err := Canonical(r)
	if err != nil {
		return Change{}, err
	}
	return Change{Op: OpPut, Ref: r.Ref(), Record: raw}, nil
}

// Del is the change that deletes the record that ref names.
func Del(ref access.Ref) Change { return Change{Op: OpDelete, Ref: ref} }

// The bounds of one JSON text. They keep the cost of a hostile one linear in
// its length.
const (
	maxDepth = 32  // objects and arrays within one another
	maxNames = 256 // names in one object
)

// checkJSON refuses what two honest readers may understand differently: text
// that is not UTF-8, and an object with one name twice. Names that differ by
// case alone count as one, because encoding/json reads them as one.
func checkJSON(raw []byte) error {
	if !utf8.Valid(raw) {
		return errors.New("not UTF-8")
	}
	if !json.Valid(raw) {
		return errors.New("not JSON")
	}
	s := scan{raw: raw}
	return s.value(0)
}

// A scan walks a text that is known to be valid JSON.
type scan struct {
	raw []byte
	pos int
}

// next skips blanks, commas and colons, and returns the byte that it stops at.
// In valid JSON they tell nothing that the other characters do not.
func (s *scan) next() byte {
	for {
		switch c := s.raw[s.pos]; c {
		case ' ', '\t', '\r', '\n', ',', ':':
			s.pos++
		default:
			return c
		}
	}
}

func (s *scan) value(depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("JSON nested deeper than %d", maxDepth)
	}
	switch s.next() {
	case '{':
		return s.object(depth)
	case '[':
		s.pos++
		for s.next() != ']' {
			if err := s.value(depth + 1); err != nil {
				return err
			}
		}
		s.pos++
	case '"':
		s.text()
	default: // a number, true, false, null
		for s.pos < len(s.raw) && strings.IndexByte(" \t\r\n,]}", s.raw[s.pos]) < 0 {
			s.pos++
		}
	}
	return nil
}

func (s *scan) object(depth int) error {
	s.pos++
	var names [][]byte
	for s.next() != '}' {
		name := s.text()
		if bytes.IndexByte(name, '\\') >= 0 {
			var plain string
			if err := json.Unmarshal(name, &plain); err != nil {
				return fmt.Errorf("name %q: %w", name, err)
			}
			name = []byte(`"` + plain + `"`)
		}
		for _, other := range names {
			if bytes.EqualFold(name, other) {
				return fmt.Errorf("JSON object has %.40q twice", name)
			}
		}
		if len(names) == maxNames {
			return fmt.Errorf("JSON object of more than %d names", maxNames)
		}
		names = append(names, name)
		if err := s.value(depth + 1); err != nil {
			return err
		}
	}
	s.pos++
	return nil
}

// text passes over a string and returns it with its quotation marks.
func (s *scan) text() []byte {
	start := s.pos
	for s.pos++; s.raw[s.pos] != '"'; s.pos++ {
		if s.raw[s.pos] == '\\' {
			s.pos++
		}
	}
	s.pos++
	return s.raw[start:s.pos]
}
