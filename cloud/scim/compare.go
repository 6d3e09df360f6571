package scim

import (
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
)

// comparison gives the test of a list of values: true if one of them passes,
// and for ne if none is equal.
func comparison(test *Test, isExact bool, typ string) (func([]any) bool, error) {
	op, want := test.Op, test.Value
	if typ == typeBoolean && op.ordered() {
		return nil, fmt.Errorf("%s: a boolean has no order, want eq or ne", test)
	}
	if typ == typeBinary && (op == OpGt || op == OpGe || op == OpLt || op == OpLe) {
		return nil, fmt.Errorf("%s: bytes have no order, want eq, ne, co, sw or ew", test)
	}
	one := func(v any) bool { return compare(op, v, want, isExact, typ) }
	switch op {
	case OpPr:
		one = present
	case OpNe:
		return func(vs []any) bool {
			for _, v := range vs {
				if compare(OpEq, v, want, isExact, typ) {
					return false
				}
			}
			return want.Kind != Null || len(vs) > 0
		}, nil
	case OpEq:
		if want.Kind == Null {
			return func(vs []any) bool {
				for _, v := range vs {
					if v != nil {
						return false
					}
				}
				return true
			}, nil
		}
	}
	return func(vs []any) bool {
		return slices.ContainsFunc(vs, one)
	}, nil
}

func present(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return true
}

func compare(op Op, v any, want Value, isExact bool, typ string) bool {
	if want.Kind == Null {
		return op == OpEq && v == nil
	}
	switch v := v.(type) {
	case bool: // Entra ID asks for roles[primary eq "True"]
		return op == OpEq && strings.EqualFold(want.Text, strconv.FormatBool(v))
	case string:
		if typ == typeDateTime {
			if c, ok := compareTimes(v, want.Text); ok {
				return order(op, c)
			}
		}
		return compareStrings(op, v, want.Text, isExact && typ != typeBoolean)
	case json.Number:
		return compareNumbers(op, string(v), want.Text)
	case float64:
		return compareNumbers(op, strconv.FormatFloat(v, 'g', -1, 64), want.Text)
	case int64:
		return compareNumbers(op, strconv.FormatInt(v, 10), want.Text)
	}
	return false
}

func order(op Op, c int) bool {
	switch op {
	case OpEq:
		return c == 0
	case OpGt:
		return c > 0
	case OpGe:
		return c >= 0
	case OpLt:
		return c < 0
	case OpLe:
		return c <= 0
	}
	return false
}

func compareTimes(v, want string) (int, bool) {
	a, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		return 0, false
	}
	b, err := time.Parse(time.RFC3339Nano, want)
	return a.Compare(b), err == nil
}

func compareStrings(op Op, v, want string, isExact bool) bool {
	if op == OpEq {
		return v == want || !isExact && strings.EqualFold(v, want)
	}
	if !isExact {
		v, want = strings.ToLower(v), strings.ToLower(want)
	}
	switch op {
	case OpCo:
		return strings.Contains(v, want)
	case OpSw:
		return strings.HasPrefix(v, want)
	case OpEw:
		return strings.HasSuffix(v, want)
	}
	return order(op, strings.Compare(v, want))
}

// compareNumbers compares numerals of any size exactly; co, sw and ew see the
// text. An exponent that would make a huge number is compared as text too.
func compareNumbers(op Op, v, want string) bool {
	a, okA := number(v)
	b, okB := number(want)
	if !okA || !okB || op == OpCo || op == OpSw || op == OpEw {
		return compareStrings(op, v, want, true)
	}
	return order(op, a.Cmp(b))
}

func number(s string) (*big.Rat, bool) {
	if len(s) == 0 || len(s) > 64 || !isNumber(s) {
		return nil, false
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		if exp, err := strconv.Atoi(strings.TrimPrefix(s[i+1:], "+")); err != nil || exp > 400 || exp < -400 {
			return nil, false
		}
	}
	return new(big.Rat).SetString(s)
}
