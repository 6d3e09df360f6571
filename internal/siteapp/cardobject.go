package siteapp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"
)

// members are what a JSON object has, by name, each as it is written.
type members map[string]json.RawMessage

// parseLine reads a line that is one JSON object, with members of these names
// and no others. Like all here it says what is wrong in words for people who
// know cards and not Go.
func parseLine(line []byte, names ...string) (members, error) {
	value, err := oneValue(line)
	if err != nil {
		return nil, err
	}
	m, err := parseObject("member", value)
	if err != nil {
		return nil, fmt.Errorf("not a card: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("not a card: member %q: want %s only", name, strings.Join(names, ", "))
		}
	}
	return m, nil
}

// oneValue returns the JSON value that is all of line.
func oneValue(line []byte) (value json.RawMessage, err error) {
	dec := json.NewDecoder(bytes.NewReader(line))
	err = dec.Decode(&value)
	syntax, bad := errors.AsType[*json.SyntaxError](err)
	switch {
	case errors.Is(err, io.EOF):
		return nil, errors.New("not a card: the line is empty")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errors.New("not a card: the line ends before its JSON does")
	case bad:
		r, _ := utf8.DecodeRune(line[syntax.Offset-1:])
		return nil, fmt.Errorf("not a card: got %q at byte %d, want a JSON object", r, syntax.Offset)
	case err != nil:
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value on the line")
	}
	return value, nil
}

// parseObject reads value, which is valid JSON, as an object of what its members
// are called. It takes none twice, as package json does: of two numbers one is
// wrong, and nobody knows which.
func parseObject(what string, value json.RawMessage) (members, error) {
	if value[0] != '{' {
		return nil, fmt.Errorf("got %s, want an object", kind(value))
	}
	dec := json.NewDecoder(bytes.NewReader(value))
	if _, err := dec.Token(); err != nil { // the brace
		return nil, err
	}
	m := members{}
	for dec.More() {
		token, err := dec.Token()
		if err != nil {
			return nil, err
		}
		name := fmt.Sprint(token)
		if _, ok := m[name]; ok {
			return nil, fmt.Errorf("%s %q: given twice, want it once", what, name)
		}
		var member json.RawMessage
		if err := dec.Decode(&member); err != nil {
			return nil, err
		}
		m[name] = member
	}
	return m, nil
}

// read returns the named member of m as a T, which is want in words. One that m
// does not have is the zero T.
func read[T any](m members, name, want string) (v T, err error) {
	value, ok := m[name]
	if ok && (string(value) == "null" || json.Unmarshal(value, &v) != nil) {
		return v, fmt.Errorf("not a card: member %q: got %s, want %s", name, kind(value), want)
	}
	return v, nil
}

// number reads a field. Its digits may be a string, because many programs round
// numbers past 2^53.
func number(name string, value json.RawMessage) (*big.Int, error) {
	digits := string(value)
	if value[0] == '"' {
		if err := json.Unmarshal(value, &digits); err != nil {
			return nil, err
		}
	}
	n, ok := new(big.Int).SetString(digits, 10)
	if !ok {
		return nil, fmt.Errorf("field %q: got %s, want a whole number, or its digits as a string", name, kind(value))
	}
	return n, nil
}

// kind is what sort of JSON value is. The value itself may be a card's number.
func kind(value json.RawMessage) string {
	switch value[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case 't', 'f', 'n':
		return string(value)
	}
	if bytes.ContainsAny(value, ".eE") {
		return "a number with a point or an exponent"
	}
	return "a number"
}
