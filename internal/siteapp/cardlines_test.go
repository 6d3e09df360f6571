package siteapp

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"

	"latchkey/agent"
	"latchkey/wiegand"
)

func TestCardLinesThatAreNone(t *testing.T) {
	long := strings.Repeat(" ", 3*maxLine)
	for _, tt := range []struct{ in, want string }{
		{`{"bits":26}`, `{"error":"not a card: want bits and hex, or pacs"}`},
		{`{}`, `{"error":"not a card: want bits and hex, or pacs"}`},
		{`{"bits":26,"hex":"1FF9090","pacs":"067FE42400"}`, `{"error":"not a card: want bits and hex, or pacs"}`},
		{`{"pacs":"067FE4240"}`, `{"error":"PACS: want pairs of hexadecimal digits"}`},
		{`{"pacs":"067FE42401"}`, `{"error":"wiegand: not a card's bits: PACS whose last 6 bits are not 0, want 0 in the pad"}`},
		{`{"pacs":"08FF"}`, `{"error":"wiegand: not a card's bits: PACS with a pad count of 8, want 0 to 7"}`},
		{`{"pacs":"06"}`, `{"error":"wiegand: not a card's bits: PACS of 1 bytes, want a pad count and 1 byte at least"}`},
		{`{"bits":26,"hex":" 1FF9090"}`, `{"error":"wiegand: not a card's bits: got ' ' as digit 1, want hexadecimal digits after \"26:\""}`},
		{`{"bits":0,"hex":"0"}`, `{"error":"wiegand: not a card's bits: want LENGTH:HEX with a length of 1 to 1024"}`},
		{`{"bits":3,"hex":"7"} {"bits":3,"hex":"7"}`, `{"error":"more than one value on the line"}`},
		{`{"bits":26,"hex":"1FF9090","bits":27}`, `{"error":"not a card: member \"bits\": given twice, want it once"}`},
		{`{"Bits":26,"hex":"1FF9090"}`, `{"error":"not a card: member \"Bits\": want bits, hex, pacs only"}`},
		{`{"bits":"26","hex":"1FF9090"}`, `{"error":"not a card: member \"bits\": got a string, want a whole number from 1 to 1024"}`},
		{`{"bits":2.6e1,"hex":"1FF9090"}`, `{"error":"not a card: member \"bits\": got a number with a point or an exponent, want a whole number from 1 to 1024"}`},
		{`{"bits":null,"hex":"1FF9090"}`, `{"error":"not a card: member \"bits\": got null, want a whole number from 1 to 1024"}`},
		{`{"bits":26,"hex":1}`, `{"error":"not a card: member \"hex\": got a number, want a string"}`},
		{`{"pacs":["06"]}`, `{"error":"not a card: member \"pacs\": got a list, want a string"}`},
		{` null`, `{"error":"not a card: got null, want an object"}`},
		{`[26]`, `{"error":"not a card: got a list, want an object"}`},
		{`nonsense`, `{"error":"not a card: got 'o' at byte 2, want a JSON object"}`},
		{`{"bits":26,“hex”:"1FF9090"}`, `{"error":"not a card: got '“' at byte 12, want a JSON object"}`},
		{`{"bits":26`, `{"error":"not a card: the line ends before its JSON does"}`},
		{``, `{"error":"not a card: the line is empty"}`},
		{long, `{"error":"not a card: the line is longer than 65536 bytes"}`},
	} {
		const good, answer = `{"bits":3,"hex":"7"}`, `{"candidates":[]}`
		for _, in := range []string{tt.in + "\n" + good + "\n", tt.in + "\n" + good} {
			if got := decodeLines(t, cardDecodeCmd{}, in); len(got) != 2 || got[0] != tt.want || got[1] != answer {
				t.Errorf("%.80q: got %q, want %s and an answer to the next line", in, got, tt.want)
			}
		}
	}
	for _, tt := range []struct{ in, want string }{
		{`{"format":"H10301","fields":{"card":1.5,"facility":1}}`, `{"error":"field \"card\": got a number with a point or an exponent, want a whole number, or its digits as a string"}`},
		{`{"format":"H10301","fields":{"card":1e3,"facility":1}}`, `{"error":"field \"card\": got a number with a point or an exponent, want a whole number, or its digits as a string"}`},
		{`{"format":"H10301","fields":{"card":"x","facility":null}}`, `{"error":"field \"card\": got a string, want a whole number, or its digits as a string"}`},
		{`{"format":"H10301","fields":{"card":"1","facility":null}}`, `{"error":"field \"facility\": got null, want a whole number, or its digits as a string"}`},
		{`{"format":"H10301","fields":{"card":-1,"facility":1}}`, `{"error":"wiegand: H10301: field out of range: card is less than 0"}`},
		{`{"format":"H10301","fields":{"facility":1,"facility":2,"card":1}}`, `{"error":"not a card: member \"fields\": field \"facility\": given twice, want it once"}`},
		{`{"format":"H10301","format":"H10302","fields":{"card":1}}`, `{"error":"not a card: member \"format\": given twice, want it once"}`},
		{`{"format":26,"fields":{"card":1}}`, `{"error":"not a card: member \"format\": got a number, want a string"}`},
		{`{"format":"H10301","fields":[1]}`, `{"error":"not a card: member \"fields\": got a list, want an object"}`},
		{`{}`, `{"error":"the card format is missing: want one of those that ` + "`latchkey-agent card formats`" + ` lists"}`},
		{`{"format":"","fields":{"card":1}}`, `{"error":"the card format is missing: want one of those that ` + "`latchkey-agent card formats`" + ` lists"}`},
		{`{"format":"H1","fields":{"card":1}}`, `{"error":"card format \"H1\": want one of those that ` + "`latchkey-agent card formats`" + ` lists"}`},
		{`{"format":"H10302"}`, `{"error":"wiegand: H10302: wrong fields: card is missing"}`},
		{`{"format":"UUID128","fields":{"card":"42051086783754545261672322597842468621"}}`, `{"bits":128,"hex":"1FA2BEA62C129C74CBCEBFBD18723F0D"}`},
	} {
		if got := encodeLines(t, tt.in); got[0] != tt.want {
			t.Errorf("%s: got %s, want %s", tt.in, got[0], tt.want)
		}
	}
	if got := decodeLines(t, cardDecodeCmd{Reversed: true, Format: []string{"CSN32"}}, `{"bits":32,"hex":"01020304"}`); got[0] != `{"candidates":[{"format":"CSN32","fields":{"card":67305985}}]}` {
		t.Error(got[0])
	}
	if got := decodeLines(t, cardDecodeCmd{Reversed: true}, `{"bits":26,"hex":"1FF9090"}`); got[0] != `{"error":"26 bits cannot be reversed: want whole bytes"}` {
		t.Error(got[0])
	}
}

// Whoever asks a line at a time gets each answer before the next question.
func TestCardLinesAnswerAtOnce(t *testing.T) {
	questions, ask := io.Pipe()
	answers, answer := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- answerLines(questions, answer, func(line []byte) (any, error) { return json.RawMessage(line), nil })
		answer.Close()
	}()
	read := bufio.NewScanner(answers)
	for i := range 3 {
		fmt.Fprintln(ask, i)
		if !read.Scan() || read.Text() != fmt.Sprint(i) {
			t.Fatalf("answer %q to question %d: %v", read.Text(), i, read.Err())
		}
	}
	ask.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// Which readings encode makes into another card can be seen from the answer.
func TestCardLineTellsOfSpareBits(t *testing.T) {
	for _, tt := range []struct{ format, in, want string }{
		{"P10004", `{"bits":37,"hex":"0D1196FD8"}`, `{"candidates":[{"format":"P10004","fields":{"card":52094,"facility":418}}],"spare_bits":["P10004"]}`},
		{"P10004", `{"bits":37,"hex":"D1196FC0"}`, `{"candidates":[{"format":"P10004","fields":{"card":52094,"facility":418}}]}`},
	} {
		if got := decodeLines(t, cardDecodeCmd{Format: []string{tt.format}}, tt.in); got[0] != tt.want {
			t.Errorf("%s: got %s, want %s", tt.in, got[0], tt.want)
		}
	}
}

// A format that is named twice, here by its alias too, is read once.
func TestCardFormatsAreTriedOnce(t *testing.T) {
	c := cardDecodeCmd{Format: []string{"h10301", "IND26", "H10301", "40134"}}
	const want = `{"candidates":[{"format":"H10301","fields":{"card":51272,"facility":255}},{"format":"IND26","fields":{"card":2120,"facility":4092}}]}`
	if got := decodeLines(t, c, `{"bits":26,"hex":"1FF9090"}`); got[0] != want {
		t.Errorf("got %s, want %s", got[0], want)
	}
}

// FuzzCardLine: each line has one answer, and what decode says of a card encode
// makes into that card again, but for readings with spare bits: into another.
func FuzzCardLine(f *testing.F) {
	for _, s := range []string{`{"bits":26,"hex":"1FF9090"}`, `{"pacs":"067FE42400"}`, `{"bits":128,"hex":"1FA2BEA62C129C74CBCEBFBD18723F0D"}`, `{"bits":2,"hex":"F"}`, `{"bitz":1}`, `{"bits":26,"bits":26,"hex":"1"}`, strings.Repeat("[", 10001), `null`, `{}`, ``, `{"bits":37,"hex":"1FFFFFFFFF"}`} {
		f.Add(s)
	}
	catalogue := must(wiegand.Load())
	c := cardDecodeCmd{}
	uses := must(c.uses(agent.Cards{Catalogue: catalogue}))
	f.Fuzz(func(t *testing.T, line string) {
		line, _, _ = strings.Cut(line, "\n")
		got := linesOf(t, line+"\n", func(line []byte) (any, error) { return c.answer(uses, line) })
		var answer struct {
			decodeAnswer
			Error string
		}
		if len(got) != 1 || json.Unmarshal([]byte(got[0]), &answer) != nil || (answer.Candidates == nil) == (answer.Error == "") {
			t.Fatalf("%q: %q", line, got)
		}
		if answer.Error != "" {
			return
		}
		b, err := parseBits([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		for _, reading := range answer.Candidates {
			made, err := encodeLine(catalogue, must(json.Marshal(reading.fieldsLine)))
			if err != nil {
				t.Fatalf("%q: %s cannot be encoded: %v", line, reading.Format, err)
			}
			if again := made == (bitsAnswer{b.Len(), b.Hex()}); again == slices.Contains(answer.SpareBits, reading.Format) {
				t.Fatalf("%q: %s gives %v, spare bits of %v", line, reading.Format, made, answer.SpareBits)
			}
		}
	})
}

// FuzzCardFields: each line has one answer, and the bits that encode makes are
// read as the same fields again.
func FuzzCardFields(f *testing.F) {
	for _, s := range []string{`{"format":"H10301","fields":{"facility":255,"card":51272}}`, `{"format":"UUID128","fields":{"card":42051086783754545261672322597842468621}}`, `{"format":"h10302","fields":{"card":"-1"}}`, `{"format":"H10302","fields":{"card":1e400}}`, `{"fields":null}`, `{"format":"KEY8","fields":{"key":"1","key":1}}`} {
		f.Add(s)
	}
	catalogue := must(wiegand.Load())
	f.Fuzz(func(t *testing.T, line string) {
		line, _, _ = strings.Cut(line, "\n")
		got := linesOf(t, line+"\n", func(line []byte) (any, error) { return encodeLine(catalogue, line) })
		var answer struct {
			bitsAnswer
			Error string
		}
		if len(got) != 1 || json.Unmarshal([]byte(got[0]), &answer) != nil || (answer.Bits == 0) == (answer.Error == "") {
			t.Fatalf("%q: %q", line, got)
		}
		if answer.Error != "" {
			return
		}
		name, given, err := parseFields([]byte(line))
		if err != nil {
			t.Fatal(err)
		}
		format, _ := catalogue.Lookup(name)
		b := must(wiegand.ParseBits(fmt.Sprintf("%d:%s", answer.Bits, answer.Hex)))
		fields, err := format.DecodeBig(b)
		if err != nil || !maps.EqualFunc(fields, given, func(a, b *big.Int) bool { return a.Cmp(b) == 0 }) {
			t.Fatalf("%q: %s is read as %v, %v", line, b.Text(), fields, err)
		}
	})
}
