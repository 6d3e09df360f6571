package siteapp

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"latchkey/internal/program"
	"latchkey/wiegand"
)

// cardCmd is for whoever holds a card in one hand and a telephone in the other:
// what is this card, and what bits would that number be?
type cardCmd struct {
	Decode  cardDecodeCmd  `cmd:"" help:"Say what a card's bits can be."`
	Encode  cardEncodeCmd  `cmd:"" help:"Say what bits a card's numbers are."`
	Formats cardFormatsCmd `cmd:"" help:"List the card formats that a site file may name."`
}

// maxLine is the longest line of --json, in bytes: a card of wiegand.MaxBits is
// far shorter.
const maxLine = 64 << 10

type cardFormatsCmd struct {
	JSON bool `help:"Print one format a line, as JSON."`
}

func (c *cardFormatsCmd) Run(e *program.Env) error {
	catalogue, err := wiegand.Load()
	if err != nil {
		return err
	}
	if c.JSON {
		out := json.NewEncoder(e.Stdout)
		for _, f := range catalogue.Formats() {
			if err := out.Encode(f); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(e.Stdout, 0, 0, 2, ' ', 0)
	for _, f := range catalogue.Formats() {
		fmt.Fprintf(w, "%s\t%d bits\t%s\t%s\t%s\n", f.Name, f.Bits, f.Status, strings.Join(slices.Sorted(maps.Keys(f.Fields)), " "), f.Description)
	}
	return w.Flush()
}

type cardDecodeCmd struct {
	Bits   string   `arg:"" optional:"" help:"The bits as LENGTH:HEX, such as 26:1FF9090."`
	Format []string `help:"Try these formats only, in this order; otherwise all." placeholder:"NAME"`
	JSON   bool     `help:"Read one card a line from standard input, {\"bits\":26,\"hex\":\"1FF9090\"}, and answer each with a line."`
}

// A cardBits is a card as its bits, in --json.
type cardBits struct {
	Bits int    `json:"bits"` // how many
	Hex  string `json:"hex"`  // as a number whose top bit is the first bit received
}

// A cardFields is a card as a format reads it, in --json.
type cardFields struct {
	Format string            `json:"format"`
	Fields map[string]uint64 `json:"fields"`
}

func (c *cardDecodeCmd) Run(e *program.Env) error {
	formats, err := c.formats()
	if err != nil {
		return err
	}
	if c.JSON {
		if c.Bits != "" {
			return errors.New("card decode: --json reads cards from standard input: want no bits as an argument")
		}
		return answerLines(os.Stdin, e.Stdout, func(in cardBits) (any, error) {
			b, err := wiegand.ParseBits(strconv.Itoa(in.Bits) + ":" + in.Hex)
			if err != nil {
				return nil, err
			}
			return map[string]any{"candidates": candidates(formats, b)}, nil
		})
	}
	b, err := wiegand.ParseBits(c.Bits)
	if err != nil {
		return fmt.Errorf("card decode: %w", err)
	}
	list := candidates(formats, b)
	if len(list) == 0 {
		return fmt.Errorf("card decode: %d bits fit none of the %d formats", b.Len(), len(formats))
	}
	for _, f := range list {
		fmt.Fprintln(e.Stdout, f.Format, fieldText(f.Fields))
	}
	return nil
}

func (c *cardDecodeCmd) formats() ([]*wiegand.Format, error) {
	catalogue, err := wiegand.Load()
	if err != nil || len(c.Format) == 0 {
		return catalogue.Formats(), err
	}
	var list []*wiegand.Format
	for _, name := range c.Format {
		f, err := lookup(catalogue, name)
		if err != nil {
			return nil, err
		}
		list = append(list, f)
	}
	return list, nil
}

func lookup(catalogue *wiegand.Catalogue, name string) (*wiegand.Format, error) {
	f, ok := catalogue.Lookup(name)
	if !ok {
		return nil, fmt.Errorf("card format %q: want one of those that `latchkey-agent card formats` lists", name)
	}
	return f, nil
}

// candidates are all readings of b that are sound, in the order of formats: a
// card that fits several formats is several cards until the site says which.
func candidates(formats []*wiegand.Format, b wiegand.Bits) []cardFields {
	list := []cardFields{}
	for _, c := range wiegand.Candidates(formats, b) {
		list = append(list, cardFields{c.Format.Name, c.Fields})
	}
	return list
}

type cardEncodeCmd struct {
	Format string   `arg:"" optional:"" help:"The card's format, such as H10301."`
	Fields []string `arg:"" optional:"" help:"Its fields as NAME=NUMBER, such as facility=255 card=51272."`
	JSON   bool     `help:"Read one card a line from standard input, {\"format\":\"H10301\",\"fields\":{…}}, and answer each with a line."`
}

func (c *cardEncodeCmd) Run(e *program.Env) error {
	catalogue, err := wiegand.Load()
	if err != nil {
		return err
	}
	if c.JSON {
		if c.Format != "" {
			return errors.New("card encode: --json reads cards from standard input: want no format as an argument")
		}
		return answerLines(os.Stdin, e.Stdout, func(in cardFields) (any, error) { return encode(catalogue, in) })
	}
	in := cardFields{c.Format, map[string]uint64{}}
	for _, field := range c.Fields {
		name, value, _ := strings.Cut(field, "=")
		if in.Fields[name], err = strconv.ParseUint(value, 10, 64); err != nil {
			return fmt.Errorf("card encode: %q: want NAME=NUMBER", field)
		}
	}
	b, err := encode(catalogue, in)
	if err != nil {
		return fmt.Errorf("card encode: %w", err)
	}
	fmt.Fprintf(e.Stdout, "%d:%s\n", b.Bits, b.Hex)
	return nil
}

func encode(catalogue *wiegand.Catalogue, in cardFields) (cardBits, error) {
	f, err := lookup(catalogue, in.Format)
	if err != nil {
		return cardBits{}, err
	}
	b, err := f.Encode(in.Fields)
	return cardBits{b.Len(), b.Hex()}, err
}

func fieldText(fields map[string]uint64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		parts = append(parts, fmt.Sprintf("%s=%d", name, fields[name]))
	}
	return strings.Join(parts, " ")
}

// answerLines reads a JSON value a line from r and answers each with a line on
// w, in order: what f gives, or {"error": …}. A bad line ends nothing.
func answerLines[T any](r io.Reader, w io.Writer, f func(T) (any, error)) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	out := bufio.NewWriter(w)
	for lines.Scan() {
		answer, err := answerLine(lines.Bytes(), f)
		if err != nil {
			answer = map[string]string{"error": err.Error()}
		}
		b, err := json.Marshal(answer)
		if err != nil {
			return err
		}
		out.Write(append(b, '\n')) // Flush tells
	}
	if err := errors.Join(out.Flush(), lines.Err()); err != nil {
		return fmt.Errorf("card: %w", err)
	}
	return nil
}

func answerLine[T any](line []byte, f func(T) (any, error)) (any, error) {
	var in T
	dec := json.NewDecoder(strings.NewReader(string(line)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return nil, fmt.Errorf("not a card: %w", err)
	}
	if dec.More() {
		return nil, errors.New("more than one value on the line")
	}
	return f(in)
}
