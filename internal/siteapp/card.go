package siteapp

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"latchkey/agent"
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

// cardSite is the flag for cards as one site reads them.
type cardSite struct {
	Config string `help:"Read cards as this site file says; its own formats count too." placeholder:"FILE"`
}

// cards are the site's rules, or all known formats and no rules.
func (c cardSite) cards() (agent.Cards, error) {
	if c.Config == "" {
		catalogue, err := wiegand.Load()
		return agent.Cards{Catalogue: catalogue}, err
	}
	cfg, formats, err := siteFile(c).load()
	if err != nil {
		return agent.Cards{}, err
	}
	return cfg.Cards(formats)
}

type cardFormatsCmd struct {
	cardSite
	JSON bool `help:"Print one format a line, as JSON."`
}

func (c *cardFormatsCmd) Run(e *program.Env) error {
	cards, err := c.cards()
	if err != nil {
		return err
	}
	if c.JSON {
		out := json.NewEncoder(e.Stdout)
		for _, f := range cards.Catalogue.Formats() {
			if err := out.Encode(f); err != nil {
				return err
			}
		}
		return nil
	}
	w := tabwriter.NewWriter(e.Stdout, 0, 0, 2, ' ', 0)
	for _, f := range cards.Catalogue.Formats() {
		fmt.Fprintf(w, "%s\t%d bits\t%s\t%s\t%s\n", f.Name, f.Bits, f.Status, strings.Join(slices.Sorted(maps.Keys(f.Fields)), " "), f.Description)
	}
	return w.Flush()
}

type cardDecodeCmd struct {
	cardSite
	Card     string   `arg:"" optional:"" help:"The card as [bits:]LENGTH:HEX, such as 26:1FF9090, or as pacs:HEX, such as pacs:067FE42400."`
	Format   []string `help:"Try these formats only, in this order." placeholder:"NAME"`
	Reversed bool     `help:"Take the bytes in the other order, as some readers send serial numbers."`
	JSON     bool     `help:"Read one card a line from standard input, {\"bits\":26,\"hex\":\"1FF9090\"} or {\"pacs\":\"067FE42400\"}, and answer each with a line."`
}

func (c *cardDecodeCmd) Run(e *program.Env) error {
	cards, err := c.cards()
	if err != nil {
		return err
	}
	uses, err := c.uses(cards)
	if err != nil {
		return err
	}
	if c.JSON {
		if c.Card != "" {
			return errors.New("card decode: --json reads cards from standard input: want no card as an argument")
		}
		return answerLines(os.Stdin, e.Stdout, func(line []byte) (any, error) { return c.answer(uses, line) })
	}
	b, err := parseCard(c.Card)
	if err == nil {
		b, err = c.turn(b)
	}
	if err == nil {
		err = explain(e.Stdout, uses, b, c.Reversed)
	}
	if err != nil {
		return fmt.Errorf("card decode: %w", err)
	}
	return nil
}

// uses are the formats to try: those that the command names, or else those of
// the site, or else all.
func (c *cardDecodeCmd) uses(cards agent.Cards) ([]wiegand.Use, error) {
	if len(c.Format) == 0 && len(cards.Uses) > 0 {
		return cards.Uses, nil
	}
	formats := cards.Catalogue.Formats()
	if len(c.Format) > 0 {
		formats = nil
	}
	for _, name := range c.Format {
		f, err := lookup(cards.Catalogue, name)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(formats, f) {
			formats = append(formats, f)
		}
	}
	var uses []wiegand.Use
	for _, f := range formats {
		u := wiegand.Use{Format: f}
		if i := slices.IndexFunc(cards.Uses, func(u wiegand.Use) bool { return u.Format == f }); i >= 0 {
			u = cards.Uses[i]
		}
		uses = append(uses, u)
	}
	return uses, nil
}

// turn turns the bytes round if the command says so.
func (c *cardDecodeCmd) turn(b wiegand.Bits) (wiegand.Bits, error) {
	if !c.Reversed {
		return b, nil
	}
	r, ok := b.ReverseBytes()
	if !ok {
		return b, fmt.Errorf("%d bits cannot be reversed: want whole bytes", b.Len())
	}
	return r, nil
}

func lookup(catalogue *wiegand.Catalogue, name string) (*wiegand.Format, error) {
	f, ok := catalogue.Lookup(name)
	if !ok {
		what := fmt.Sprintf("card format %q", name)
		if name == "" {
			what = "the card format is missing"
		}
		return nil, fmt.Errorf("%s: want one of those that `latchkey-agent card formats` lists", what)
	}
	return f, nil
}

// parseCard reads a card as people copy it from readers' manuals and software.
func parseCard(text string) (wiegand.Bits, error) {
	kind, rest, _ := strings.Cut(text, ":")
	switch strings.ToLower(kind) {
	case "pacs":
		return parsePACS(rest)
	case "bits":
		return wiegand.ParseBits(rest)
	}
	return wiegand.ParseBits(text)
}

func parsePACS(text string) (wiegand.Bits, error) {
	p, err := hex.DecodeString(text)
	if err != nil {
		return wiegand.Bits{}, errors.New("PACS: want pairs of hexadecimal digits")
	}
	return wiegand.ParsePACS(p)
}

type cardEncodeCmd struct {
	cardSite
	Format string   `arg:"" optional:"" help:"The card's format, such as H10301."`
	Fields []string `arg:"" optional:"" help:"Its fields as NAME=NUMBER, such as facility=255 card=51272."`
	PACS   bool     `name:"pacs" help:"Print the card as pacs:HEX, a count of pad bits and the bits." xor:"form"`
	JSON   bool     `help:"Read one card a line from standard input, {\"format\":\"H10301\",\"fields\":{…}}, and answer each with a line." xor:"form"`
}

func (c *cardEncodeCmd) Run(e *program.Env) error {
	cards, err := c.cards()
	if err != nil {
		return err
	}
	if c.JSON {
		if c.Format != "" {
			return errors.New("card encode: --json reads cards from standard input: want no format as an argument")
		}
		return answerLines(os.Stdin, e.Stdout, func(line []byte) (any, error) { return encodeLine(cards.Catalogue, line) })
	}
	fields := map[string]*big.Int{}
	for _, field := range c.Fields {
		name, value, _ := strings.Cut(field, "=")
		n, ok := new(big.Int).SetString(value, 10)
		if !ok {
			return fmt.Errorf("card encode: %q: want NAME=NUMBER", field)
		}
		if _, ok := fields[name]; ok {
			return fmt.Errorf("card encode: field %q: given twice, want it once", name)
		}
		fields[name] = n
	}
	f, err := lookup(cards.Catalogue, c.Format)
	if err != nil {
		return fmt.Errorf("card encode: %w", err)
	}
	b, err := f.EncodeBig(fields)
	if err != nil {
		return fmt.Errorf("card encode: %w", err)
	}
	if c.PACS {
		fmt.Fprintf(e.Stdout, "pacs:%X\n", b.PACS())
		return nil
	}
	fmt.Fprintln(e.Stdout, b.Text())
	return nil
}
