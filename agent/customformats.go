package agent

import (
	"errors"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"latchkey/wiegand"
)

// A CustomFormat is a card format of the site's own. Bits count from 0, the
// first received.
type CustomFormat struct {
	Name        string                 `yaml:"name"`
	Bits        int                    `yaml:"bits"` // 1 to wiegand.MaxBits
	Description string                 `yaml:"description"`
	Aliases     []string               `yaml:"aliases"`
	Fields      map[string]CustomField `yaml:"fields"` // by name, such as facility and card
	Parity      []CustomParity         `yaml:"parity"` // set in this order
	Fixed       []CustomFixed          `yaml:"fixed"`
	Checksum    *CustomChecksum        `yaml:"checksum"`
}

// A CustomField is one number on a card: Length bits from Start, or those of
// Order, the most significant first.
type CustomField struct {
	Start    *int     `yaml:"start"`
	Length   int      `yaml:"length"`
	Order    []string `yaml:"order"`    // positions and ranges such as 8-15
	Encoding string   `yaml:"encoding"` // binary (default) or bcd
	Max      string   `yaml:"max"`      // the largest number; empty is all that fits
}

// A CustomParity makes the ones among Bit and Over even or odd.
type CustomParity struct {
	Bit  *int     `yaml:"bit"`
	Type string   `yaml:"type"` // even or odd
	Over []string `yaml:"over"` // positions and ranges such as 1-12, without Bit
}

// A CustomFixed is a bit that all cards of the format share.
type CustomFixed struct {
	Bit   *int   `yaml:"bit"`
	Value *uint8 `yaml:"value"` // 0 or 1
}

// A CustomChecksum is one of those that wiegand.Checksum knows.
type CustomChecksum struct {
	Type string `yaml:"type"`
	Over string `yaml:"over"` // a range such as 0-31
	At   *int   `yaml:"at"`   // its first bit
}

// custom returns formats and those of list that are sound.
func (k *checker) custom(list []CustomFormat, formats *wiegand.Catalogue) *wiegand.Catalogue {
	if len(list) == 0 {
		return formats
	}
	all := formats.Clone()
	for i := range list {
		path := fmt.Sprintf("custom_formats[%d]", i)
		c := &list[i]
		f, ok := k.describe(path, c)
		free := k.free(path+".name", c.Name, all)
		for j, alias := range c.Aliases {
			free = k.free(fmt.Sprintf("%s.aliases[%d]", path, j), alias, all) && free
		}
		if ok {
			f = k.made(path, f)
		}
		if f != nil && free {
			k.check(all.Add(f) == nil, path, "has a name that is taken")
			continue
		}
		for _, name := range append([]string{c.Name}, c.Aliases...) {
			k.faulty = append(k.faulty, strings.ToLower(name))
		}
	}
	return all
}

// free refuses a name that a format has already.
func (k *checker) free(path, name string, formats *wiegand.Catalogue) bool {
	if other, ok := formats.Lookup(name); ok {
		return k.check(false, path, "%q is a name of the format %s already", name, other.Name)
	}
	return k.check(!k.isFaulty(name), path, "%q is a name of another of these formats already", name)
}

// isFaulty reports that a custom format has the name, which could not be made:
// whoever uses it is not told that it is none.
func (k *checker) isFaulty(name string) bool {
	return slices.Contains(k.faulty, strings.ToLower(name))
}

// made checks f and makes it ready; nil says that it told of problems.
func (k *checker) made(path string, f *wiegand.Format) *wiegand.Format {
	made, err := wiegand.NewFormat(*f)
	if e, ok := errors.AsType[*wiegand.FormatError](err); ok {
		for i, fault := range e.Faults { // ranges make lists longer than they stand in the file
			list := fault.Path[:max(0, strings.LastIndex(fault.Path, "["))]
			if strings.HasSuffix(list, ".over") || strings.HasSuffix(list, ".order") {
				e.Faults[i].Path = list
			}
		}
		k.faults(path, e.Faults)
		return nil
	}
	return made
}

// describe turns c into what wiegand checks; false says that parts of it could
// not be read.
func (k *checker) describe(path string, c *CustomFormat) (*wiegand.Format, bool) {
	before := len(k.problems)
	f := &wiegand.Format{
		Name: c.Name, Bits: c.Bits, Description: c.Description, Aliases: c.Aliases, Status: wiegand.StatusCustom, Fields: map[string]wiegand.Field{},
	}
	for _, name := range slices.Sorted(maps.Keys(c.Fields)) {
		f.Fields[name] = k.customField(path+".fields."+name, c.Fields[name])
	}
	for i, p := range c.Parity {
		at := fmt.Sprintf("%s.parity[%d]", path, i)
		f.Parity = append(f.Parity, wiegand.Parity{Bit: k.bit(p.Bit, at+".bit"), Type: p.Type, Over: k.positions(p.Over, at+".over")})
	}
	for i, b := range c.Fixed {
		at := fmt.Sprintf("%s.fixed[%d]", path, i)
		k.check(b.Value != nil, at+".value", "is missing: want 0 or 1")
		fixed := wiegand.FixedBit{Bit: k.bit(b.Bit, at+".bit")}
		if b.Value != nil {
			fixed.Value = *b.Value
		}
		f.Fixed = append(f.Fixed, fixed)
	}
	if c.Checksum != nil {
		f.Checksum = k.customChecksum(path+".checksum", c.Checksum)
	}
	return f, len(k.problems) == before
}

func (k *checker) customField(path string, c CustomField) wiegand.Field {
	f := wiegand.Field{Length: c.Length, Encoding: c.Encoding}
	if len(c.Order) > 0 {
		f.Order = k.positions(c.Order, path+".order")
		k.check(c.Start == nil && c.Length == 0, path+".order", "stands beside start and length: want one or the other")
		f.Length = 0
	} else {
		f.Start = k.bit(c.Start, path+".start")
	}
	if c.Max != "" {
		n, ok := new(big.Int).SetString(c.Max, 10)
		if !k.check(ok && n.Sign() > 0, path+".max", "%q: want a whole number, 1 or more", c.Max) {
			return f
		}
		f.WideMax = n
		if n.IsUint64() {
			f.Max, f.WideMax = n.Uint64(), nil
		}
	}
	return f
}

func (k *checker) customChecksum(path string, c *CustomChecksum) *wiegand.Checksum {
	sum := &wiegand.Checksum{Type: c.Type, At: k.bit(c.At, path+".at")}
	if first, last, ok := k.span(c.Over, path+".over"); ok {
		sum.Over = []int{first, last + 1}
	}
	return sum
}

// bit is a position that must be given, because 0 is one like any other.
func (k *checker) bit(n *int, path string) int {
	if !k.check(n != nil, path, "is missing: want a bit's position, from 0") {
		return 0
	}
	return *n
}

// positions reads positions and ranges, in their order.
func (k *checker) positions(list []string, path string) (all []int) {
	for i, text := range list {
		first, last, ok := k.span(text, fmt.Sprintf("%s[%d]", path, i))
		for n := first; ok && n <= last; n++ {
			all = append(all, n)
		}
	}
	return all
}

// span reads "7" or "1-12".
func (k *checker) span(text, path string) (first, last int, ok bool) {
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	first, err := strconv.Atoi(strings.TrimSpace(from))
	last, err2 := strconv.Atoi(strings.TrimSpace(to))
	ok = k.check(err == nil && err2 == nil && 0 <= first && first <= last && last < wiegand.MaxBits, path, "%q: want a position such as 7 or a range such as 1-12, below %d", text, wiegand.MaxBits)
	return first, last, ok
}
