package siteapp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"

	"latchkey/agent"
	"latchkey/wiegand"
)

// linesOf runs f as `card … --json` does, and returns its answers.
func linesOf(t testing.TB, in string, f func([]byte) (any, error)) []string {
	t.Helper()
	var out bytes.Buffer
	if err := answerLines(strings.NewReader(in), &out, f); err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

func encodeLines(t testing.TB, in string) []string {
	t.Helper()
	catalogue := must(wiegand.Load())
	return linesOf(t, in, func(line []byte) (any, error) { return encodeLine(catalogue, line) })
}

func decodeLines(t testing.TB, c cardDecodeCmd, in string) []string {
	t.Helper()
	uses := must(c.uses(agent.Cards{Catalogue: must(wiegand.Load())}))
	return linesOf(t, in, func(line []byte) (any, error) { return c.answer(uses, line) })
}

// cardVectors are the vectors of package wiegand; what is JSON stays as written.
type cardVectors struct {
	Encode []struct {
		Format string
		Bits   int
		Fields map[string]json.Number
		Hex    string
		PACS   string `json:"pacs_hex"`
	}
	Decode []struct {
		Binary  string
		Matches []struct {
			Format, Parity string
			Fields         map[string]json.Number
		}
	}
	ParityErrors []struct{ Format, Binary string } `json:"parity_errors"`
	OutOfRange   []struct {
		Format, Field string
		Value         json.Number
	} `json:"out_of_range"`
}

func vectorsOfCards(t *testing.T) (v cardVectors) {
	t.Helper()
	if err := json.Unmarshal(must(os.ReadFile("../../wiegand/testdata/vectors.json")), &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Encode) != 399 || len(v.Decode) != 197 || len(v.ParityErrors) != 47 || len(v.OutOfRange) != 80 {
		t.Fatalf("%d, %d, %d, %d vectors", len(v.Encode), len(v.Decode), len(v.ParityErrors), len(v.OutOfRange))
	}
	return v
}

// answersTo sends one line a question and returns as many answers.
func answersTo[Q any](t *testing.T, questions []Q, ask func(string) []string) []string {
	t.Helper()
	var in strings.Builder
	for _, q := range questions {
		in.Write(must(json.Marshal(q)))
		in.WriteByte('\n')
	}
	got := ask(in.String())
	if len(got) != len(questions) {
		t.Fatalf("%d answers to %d lines", len(got), len(questions))
	}
	return got
}

func TestCardEncodeAnswersTheVectors(t *testing.T) {
	v := vectorsOfCards(t)
	var fields []fieldsLine
	for _, e := range v.Encode {
		fields = append(fields, fieldsLine{e.Format, e.Fields})
	}
	for i, got := range answersTo(t, fields, func(in string) []string { return encodeLines(t, in) }) {
		if want := fmt.Sprintf(`{"bits":%d,"hex":"%s"}`, v.Encode[i].Bits, v.Encode[i].Hex); got != want {
			t.Errorf("%s: got %s, want %s", v.Encode[i].Format, got, want)
		}
	}
	catalogue := must(wiegand.Load())
	fields = nil
	for _, e := range v.OutOfRange {
		f, ok := catalogue.Lookup(e.Format)
		if !ok {
			t.Fatalf("no format %s", e.Format)
		}
		in := fieldsLine{e.Format, map[string]json.Number{}}
		for name := range f.Fields {
			in.Fields[name] = "0"
		}
		in.Fields[e.Field] = e.Value
		fields = append(fields, in)
	}
	for i, got := range answersTo(t, fields, func(in string) []string { return encodeLines(t, in) }) {
		if !strings.HasPrefix(got, `{"error":"wiegand: `+v.OutOfRange[i].Format+`: field out of range: `+v.OutOfRange[i].Field) {
			t.Errorf("%s %s = %s: got %s", v.OutOfRange[i].Format, v.OutOfRange[i].Field, v.OutOfRange[i].Value, got)
		}
	}
}

func TestCardDecodeAnswersTheVectors(t *testing.T) {
	v := vectorsOfCards(t)
	ask := func(in string) []string { return decodeLines(t, cardDecodeCmd{}, in) }
	reading := func(format string, fields map[string]json.Number) string {
		return string(must(json.Marshal(fieldsLine{format, fields})))
	}
	var bits, pacs []any
	for _, e := range v.Encode {
		bits = append(bits, map[string]any{"bits": e.Bits, "hex": e.Hex})
		pacs = append(pacs, map[string]any{"pacs": e.PACS})
	}
	fromPACS := answersTo(t, pacs, ask)
	for i, got := range answersTo(t, bits, ask) {
		if want := reading(v.Encode[i].Format, v.Encode[i].Fields); !strings.Contains(got, want) || got != fromPACS[i] {
			t.Errorf("got %s, from PACS %s, want %s among them", got, fromPACS[i], want)
		}
	}
	bits = nil
	for _, e := range v.ParityErrors {
		bits = append(bits, bitsOf(t, e.Binary))
	}
	for i, got := range answersTo(t, bits, ask) {
		if strings.Contains(got, `"`+v.ParityErrors[i].Format+`"`) || !strings.HasPrefix(got, `{"candidates":[`) {
			t.Errorf("%s with a wrong parity: %s", v.ParityErrors[i].Format, got)
		}
	}
	bits = nil
	for _, e := range v.Decode {
		bits = append(bits, bitsOf(t, e.Binary))
	}
	found := 0
	for i, got := range answersTo(t, bits, ask) {
		for _, m := range v.Decode[i].Matches {
			listed := strings.Contains(got, reading(m.Format, m.Fields))
			if listed {
				found++
			}
			if listed && m.Parity == "fail" || !listed && strings.Contains(got, `"`+m.Format+`"`) {
				t.Errorf("%s, parity %s: %s", reading(m.Format, m.Fields), m.Parity, got)
			}
		}
	}
	if found != 305 { // 362 whose parity does not fail, less the 57 that wiegand's own test names
		t.Errorf("%d readings found, want 305", found)
	}
}

// bitsOf is a card of zeros and ones as a line asks for it.
func bitsOf(t *testing.T, binary string) any {
	t.Helper()
	n, ok := new(big.Int).SetString(binary, 2)
	if !ok {
		t.Fatalf("not binary: %q", binary)
	}
	return map[string]any{"bits": len(binary), "hex": fmt.Sprintf("%X", n)}
}
