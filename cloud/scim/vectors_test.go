package scim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A sequence is a story that a directory tells: testdata/README says where the
// file is from and what its words mean.
type sequence struct {
	Name     string
	IDP      string
	Requires []string
	Steps    []struct {
		Method, Path  string
		Headers       map[string]string
		Body          any
		ExpectStatus  any
		Expect        map[string]any
		ExpectHeaders map[string]any
		Save          map[string]string
	}
}

func sequences(t *testing.T) []sequence {
	t.Helper()
	data, err := os.ReadFile("testdata/scim_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []sequence
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != 62 {
		t.Fatalf("%d sequences, want 62: this test would check too little", len(all))
	}
	return all
}

// playAll plays every sequence against the service at base, each as a subtest.
func playAll(t *testing.T, base, token string) {
	passed, total := 0, 0
	for _, s := range sequences(t) {
		total++
		if t.Run(s.Name, func(t *testing.T) {
			if len(s.Requires) > 0 {
				t.Fatalf("wants %v, which no vector did so far", s.Requires)
			}
			if err := play(s, base, token); err != nil {
				t.Error(err)
			}
		}) {
			passed++
		}
	}
	t.Logf("%d of %d sequences pass", passed, total)
}

func randomWord(letters string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[rand.IntN(len(letters))]
	}
	return string(b)
}

var variable = regexp.MustCompile(`\{\{(\w+)\}\}`)

// fill puts the variables into the strings of x.
func fill(x any, vars map[string]string) any {
	switch x := x.(type) {
	case string:
		return variable.ReplaceAllStringFunc(x, func(m string) string {
			if v, ok := vars[m[2:len(m)-2]]; ok {
				return v
			}
			return m
		})
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = fill(x[i], vars)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, v := range x {
			out[fill(k, vars).(string)] = fill(v, vars)
		}
		return out
	}
	return x
}

// absent is what a pointer gives that leads nowhere.
type absent struct{}

func pointer(doc any, p string) any {
	if p == "" {
		return doc
	}
	for tok := range strings.SplitSeq(p[1:], "/") {
		tok = strings.ReplaceAll(strings.ReplaceAll(tok, "~1", "/"), "~0", "~")
		switch d := doc.(type) {
		case map[string]any:
			v, ok := d[tok]
			if !ok {
				return absent{}
			}
			doc = v
		case []any:
			var i int
			if _, err := fmt.Sscanf(tok, "%d", &i); err != nil || i < 0 || i >= len(d) {
				return absent{}
			}
			doc = d[i]
		default:
			return absent{}
		}
	}
	return doc
}

func subset(want map[string]any, got any) bool {
	g, ok := got.(map[string]any)
	for k, w := range want {
		v, has := g[k]
		if !ok || !has {
			return false
		}
		if inner, ok := w.(map[string]any); ok {
			if !subset(inner, v) {
				return false
			}
		} else if !reflect.DeepEqual(w, v) {
			return false
		}
	}
	return ok
}

func empty(g any) bool {
	switch g := g.(type) {
	case nil, absent:
		return true
	case string:
		return g == ""
	case []any:
		return len(g) == 0
	case map[string]any:
		return len(g) == 0
	}
	return false
}

func contains(list any, want any) bool {
	l, _ := list.([]any)
	return slices.ContainsFunc(l, func(e any) bool {
		if m, ok := want.(map[string]any); ok {
			return subset(m, e)
		}
		return reflect.DeepEqual(want, e)
	})
}

func check(want, got any) (bool, error) {
	ops, ok := want.(map[string]any)
	if !ok || len(ops) == 0 {
		_, none := got.(absent)
		return !none && reflect.DeepEqual(want, got), nil
	}
	for k := range ops {
		if !strings.HasPrefix(k, "$") {
			return reflect.DeepEqual(want, got), nil
		}
	}
	_, none := got.(absent)
	list, isList := got.([]any)
	for op, x := range ops {
		pass := false
		switch op {
		case "$exists":
			pass = (!none && got != nil) == x
		case "$absent":
			pass = none == x
		case "$nullOrAbsent":
			pass = none || got == nil
		case "$emptyOrAbsent":
			pass = empty(got)
		case "$len":
			pass = isList && float64(len(list)) == x
		case "$contains":
			pass = contains(got, x)
		case "$notContains":
			pass = !contains(got, x)
		case "$values":
			var have, wanted []string
			for _, e := range list {
				m, _ := e.(map[string]any)
				have = append(have, fmt.Sprint(m["value"]))
			}
			for _, e := range x.([]any) {
				wanted = append(wanted, fmt.Sprint(e))
			}
			slices.Sort(have)
			slices.Sort(wanted)
			pass = isList && slices.Equal(have, wanted)
		case "$subset":
			pass = subset(x.(map[string]any), got)
		case "$any":
			for _, alternative := range x.([]any) {
				one, err := check(alternative, got)
				if err != nil {
					return false, err
				}
				pass = pass || one
			}
		case "$in":
			pass = slices.ContainsFunc(x.([]any), func(e any) bool { return reflect.DeepEqual(e, got) })
		case "$ne":
			pass = !none && !reflect.DeepEqual(x, got)
		case "$type":
			_, number := got.(float64)
			pass = x == "number" && number
		case "$re":
			s, ok := got.(string)
			pass = ok && regexp.MustCompile(x.(string)).MatchString(s)
		default:
			return false, fmt.Errorf("operator %s is not known to this test", op)
		}
		if !pass {
			return false, nil
		}
	}
	return true, nil
}

func play(s sequence, base, token string) error {
	word := randomWord("abcdefghjk", 11)
	vars := map[string]string{"rand": word, "RAND": strings.ToUpper(word), "digits": randomWord("123456789", 5), "token": token}
	for i := range 9 {
		vars[fmt.Sprintf("guid%d", i+1)] = fmt.Sprintf("%s-%s-4%s-8%s-%s", randomWord("0123456789abcdef", 8), randomWord("0123456789abcdef", 4),
			randomWord("0123456789abcdef", 3), randomWord("0123456789abcdef", 3), randomWord("0123456789abcdef", 12))
	}
	for i, step := range s.Steps {
		path := fill(step.Path, vars).(string)
		at := fmt.Sprintf("step %d %s %s", i+1, step.Method, path)
		var body io.Reader
		if step.Body != nil {
			data, err := json.Marshal(fill(step.Body, vars))
			if err != nil {
				return err
			}
			body = bytes.NewReader(data)
		}
		req, err := http.NewRequest(step.Method, base+path, body)
		if err != nil {
			return err
		}
		for k, v := range step.Headers {
			req.Header.Set(k, fill(v, vars).(string))
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		raw, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		wanted, ok := step.ExpectStatus.([]any)
		if !ok {
			wanted = []any{step.ExpectStatus}
		}
		if !slices.Contains(wanted, any(float64(res.StatusCode))) {
			return fmt.Errorf("%s: status %d, want %v: %.300s", at, res.StatusCode, wanted, raw)
		}
		var doc any = absent{}
		if len(raw) > 0 {
			if err := json.Unmarshal(raw, &doc); err != nil {
				return fmt.Errorf("%s: %w", at, err)
			}
		}
		_, none := doc.(absent)
		if res.StatusCode != http.StatusNoContent && !(none && step.Method == http.MethodPatch) {
			for p, w := range step.Expect {
				w, got := fill(w, vars), pointer(doc, fill(p, vars).(string))
				if ok, err := check(w, got); err != nil || !ok {
					return fmt.Errorf("%s: %s: got %v, want %v (%v)", at, p, got, w, err)
				}
			}
		}
		for name, w := range step.ExpectHeaders {
			var got any = absent{}
			if v := res.Header.Get(name); v != "" {
				got = v
			}
			if ok, err := check(fill(w, vars), got); err != nil || !ok {
				return fmt.Errorf("%s: header %s: got %v, want %v (%v)", at, name, got, w, err)
			}
		}
		for name, p := range step.Save {
			var got any
			if header, ok := strings.CutPrefix(p, "@"); ok {
				got = res.Header.Get(header)
			} else {
				got = pointer(doc, p)
			}
			v, ok := got.(string)
			if !ok || v == "" {
				return fmt.Errorf("%s: nothing to save as %s at %s", at, name, p)
			}
			vars[name] = v
		}
	}
	return nil
}
