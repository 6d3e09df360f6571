package siteapp

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"strconv"

	"latchkey/wiegand"
)

// maxLine is the longest line of --json, in bytes: a card of wiegand.MaxBits is
// far shorter.
const maxLine = 64 << 10

// A bitsAnswer is what a card's fields are in bits.
type bitsAnswer struct {
	Bits int    `json:"bits"`
	Hex  string `json:"hex"`
}

// A fieldsLine is a card's fields in --json. Numbers are exact, however wide.
type fieldsLine struct {
	Format string                 `json:"format"`
	Fields map[string]json.Number `json:"fields"`
}

// A candidateAnswer is one way to read a card. Only a site's rules can set
// ParityIgnored and WrongFacility.
type candidateAnswer struct {
	fieldsLine
	ParityIgnored bool `json:"parity_ignored,omitempty"`
	WrongFacility bool `json:"wrong_facility,omitempty"`
}

// A decodeAnswer is all ways to read a card.
type decodeAnswer struct {
	Candidates []candidateAnswer `json:"candidates"`
	SpareBits  []string          `json:"spare_bits,omitempty"` // formats of whose fields encode makes another card
}

// answer lists all readings of a card that are sound, in the order of
// wiegand.Matches: a card that fits several formats is several cards until the
// site says which.
func (c *cardDecodeCmd) answer(uses []wiegand.Use, line []byte) (any, error) {
	b, err := parseBits(line)
	if err == nil {
		b, err = c.turn(b)
	}
	if err != nil {
		return nil, err
	}
	a := decodeAnswer{Candidates: []candidateAnswer{}}
	for _, m := range wiegand.Matches(uses, b) {
		a.Candidates = append(a.Candidates, candidateAnswer{fieldsLine{m.Format.Name, exact(m.Numbers())}, m.ParityIgnored, m.WrongFacility})
		if m.Spare {
			a.SpareBits = append(a.SpareBits, m.Format.Name)
		}
	}
	return a, nil
}

// parseBits reads a card's bits: {"bits":26,"hex":"1FF9090"}, the bits as a number
// whose top bit is the first bit received, or {"pacs":"067FE42400"}, a count of
// pad bits and the bits left aligned.
func parseBits(line []byte) (wiegand.Bits, error) {
	in, err := parseLine(line, "bits", "hex", "pacs")
	if err != nil {
		return wiegand.Bits{}, err
	}
	n, badN := read[*int](in, "bits", fmt.Sprintf("a whole number from 1 to %d", wiegand.MaxBits))
	hex, badHex := read[*string](in, "hex", "a string")
	pacs, badPACS := read[*string](in, "pacs", "a string")
	switch err := cmp.Or(badN, badHex, badPACS); {
	case err != nil:
		return wiegand.Bits{}, err
	case pacs != nil && n == nil && hex == nil:
		return parsePACS(*pacs)
	case pacs == nil && n != nil && hex != nil:
		return wiegand.ParseBits(strconv.Itoa(*n) + ":" + *hex)
	}
	return wiegand.Bits{}, errors.New("not a card: want bits and hex, or pacs")
}

// encodeLine answers a card's fields, {"format":"H10301","fields":{…}}, with its
// bits.
func encodeLine(catalogue *wiegand.Catalogue, line []byte) (any, error) {
	format, fields, err := parseFields(line)
	if err != nil {
		return nil, err
	}
	f, err := lookup(catalogue, format)
	if err != nil {
		return nil, err
	}
	b, err := f.EncodeBig(fields)
	if err != nil {
		return nil, err
	}
	return bitsAnswer{b.Len(), b.Hex()}, nil
}

func parseFields(line []byte) (format string, fields map[string]*big.Int, err error) {
	in, err := parseLine(line, "format", "fields")
	if err != nil {
		return "", nil, err
	}
	if format, err = read[string](in, "format", "a string"); err != nil {
		return "", nil, err
	}
	numbers := members{}
	if value, ok := in["fields"]; ok {
		if numbers, err = parseObject("field", value); err != nil {
			return "", nil, fmt.Errorf("not a card: member \"fields\": %w", err)
		}
	}
	fields = make(map[string]*big.Int, len(numbers))
	for _, name := range slices.Sorted(maps.Keys(numbers)) {
		if fields[name], err = number(name, numbers[name]); err != nil {
			return "", nil, err
		}
	}
	return format, fields, nil
}

// exact writes numbers in full: 64 bits and more do not survive as floats.
func exact(fields map[string]*big.Int) map[string]json.Number {
	m := make(map[string]json.Number, len(fields))
	for name, n := range fields {
		m[name] = json.Number(n.String())
	}
	return m
}

// answerLines reads r line by line and answers each line with one of JSON on w, in
// order: what f gives, or {"error": …}. A bad line ends nothing. Answers
// go out when r has no further line at hand, so that a program at the other end
// may ask one by one.
func answerLines(r io.Reader, w io.Writer, f func(line []byte) (any, error)) error {
	in, out := bufio.NewReaderSize(r, maxLine), bufio.NewWriter(w)
	answers := json.NewEncoder(out)
	for {
		line, err := nextLine(in)
		switch {
		case errors.Is(err, io.EOF):
			return named("card", out.Flush())
		case err != nil && !errors.Is(err, errLongLine):
			return named("card", errors.Join(err, out.Flush()))
		}
		var answer any
		if err == nil {
			answer, err = f(line)
		}
		if err != nil {
			answer = map[string]string{"error": err.Error()}
		}
		err = answers.Encode(answer)
		if err == nil && in.Buffered() == 0 {
			err = out.Flush()
		}
		if err != nil {
			return named("card", err)
		}
	}
}

// errLongLine is the answer to a line that does not fit.
var errLongLine = fmt.Errorf("not a card: the line is longer than %d bytes", maxLine)

// nextLine returns the next line, which is good until the next call, or
// errLongLine for one that does not fit, or io.EOF after the last.
func nextLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	long := false
	for errors.Is(err, bufio.ErrBufferFull) {
		long = true
		_, err = r.ReadSlice('\n')
	}
	switch {
	case errors.Is(err, io.EOF) && (long || len(line) > 0): // the last line, without its end
	case err != nil:
		return nil, err
	}
	if long {
		return nil, errLongLine
	}
	return line, nil
}
