package siteapp

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strconv"
	"strings"

	"latchkey/wiegand"
)

// maxLine is the longest line of --json, in bytes: a card of wiegand.MaxBits is
// far shorter.
const maxLine = 64 << 10

// A cardLine is a card's bits in --json: Bits and Hex, or PACS.
type cardLine struct {
	Bits *int    `json:"bits"` // how many
	Hex  *string `json:"hex"`  // as a number whose top bit is the first bit received
	PACS *string `json:"pacs"` // a count of pad bits, and the bits left aligned
}

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
	SpareBits     bool `json:"spare_bits,omitempty"` // encode makes another card of these fields
	ParityIgnored bool `json:"parity_ignored,omitempty"`
	WrongFacility bool `json:"wrong_facility,omitempty"`
}

// answer lists all readings of a card that are sound, in the order of
// wiegand.Matches: a card that fits several formats is several cards until the
// site says which.
func (c *cardDecodeCmd) answer(uses []wiegand.Use, in cardLine) (any, error) {
	b, err := in.card()
	if err == nil {
		b, err = c.turn(b)
	}
	if err != nil {
		return nil, err
	}
	list := []candidateAnswer{}
	for _, m := range wiegand.Matches(uses, b) {
		list = append(list, candidateAnswer{fieldsLine{m.Format.Name, exact(m.Numbers())}, m.Spare, m.ParityIgnored, m.WrongFacility})
	}
	return map[string]any{"candidates": list}, nil
}

func (in cardLine) card() (wiegand.Bits, error) {
	switch {
	case in.PACS != nil && in.Bits == nil && in.Hex == nil:
		return parsePACS(*in.PACS)
	case in.PACS == nil && in.Bits != nil && in.Hex != nil:
		return wiegand.ParseBits(strconv.Itoa(*in.Bits) + ":" + *in.Hex)
	}
	return wiegand.Bits{}, errors.New("not a card: want bits and hex, or pacs")
}

// answer makes the bits of a card's fields.
func (in fieldsLine) answer(catalogue *wiegand.Catalogue) (any, error) {
	f, err := lookup(catalogue, in.Format)
	if err != nil {
		return nil, err
	}
	fields := make(map[string]*big.Int, len(in.Fields))
	for name, number := range in.Fields {
		n, ok := new(big.Int).SetString(number.String(), 10)
		if !ok {
			return nil, fmt.Errorf("field %q: want a whole number", name)
		}
		fields[name] = n
	}
	b, err := f.EncodeBig(fields)
	if err != nil {
		return nil, err
	}
	return bitsAnswer{b.Len(), b.Hex()}, nil
}

// exact writes numbers in full: 64 bits and more do not survive as floats.
func exact(fields map[string]*big.Int) map[string]json.Number {
	m := make(map[string]json.Number, len(fields))
	for name, n := range fields {
		m[name] = json.Number(n.String())
	}
	return m
}

// answerLines reads a JSON value a line from r and answers each with a line on
// w, in order: what f gives, or {"error": …}. A bad line ends nothing. Answers
// go out when r has no further line at hand, so that a program at the other end
// may ask one by one.
func answerLines[T any](r io.Reader, w io.Writer, f func(T) (any, error)) error {
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
			answer, err = answerLine(line, f)
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

func answerLine[T any](line []byte, f func(T) (any, error)) (any, error) {
	var in T
	dec := json.NewDecoder(strings.NewReader(string(line)))
	dec.DisallowUnknownFields()
	switch err := dec.Decode(&in); {
	case errors.Is(err, io.EOF):
		return nil, errors.New("not a card: the line is empty")
	case err != nil:
		return nil, fmt.Errorf("not a card: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value on the line")
	}
	return f(in)
}
