package agent

import (
	"fmt"
	"strings"

	"latchkey/wiegand"
)

// A FormatConfig is a card format that the site uses: its name alone, or a
// mapping that says how.
type FormatConfig struct {
	Name string `yaml:"name" short:"true"` // or an alias
	// Facilities are the facility codes whose cards the site takes; none is any.
	Facilities []uint64 `yaml:"facilities"`
	// IgnoreParity takes cards whose parities are wrong as if they were right,
	// and counts them.
	IgnoreParity bool `yaml:"ignore_parity"`
	// ReversedBytes is for cards that readers send with their bytes in the other
	// order.
	ReversedBytes bool `yaml:"reversed_bytes"`
}

// Cards are a site's rules for what readers send.
type Cards struct {
	Catalogue *wiegand.Catalogue // all formats, the site's own among them
	Uses      []wiegand.Use      // the formats in use, in the site's order; none is any card
	Reversed  []string           // readers that send cards with their bytes in the other order
}

// Cards puts what the site file says of cards onto a catalogue, which it leaves
// as it is. A Config from ParseConfig with that catalogue makes no error.
func (c *Config) Cards(formats *wiegand.Catalogue) (Cards, error) {
	k := &checker{formats: map[string]string{}}
	cards := Cards{Catalogue: k.custom(c.CustomFormats, formats)}
	for i := range c.Formats {
		if u, ok := k.format(fmt.Sprintf("formats[%d]", i), &c.Formats[i], cards.Catalogue); ok {
			cards.Uses = append(cards.Uses, u)
		}
	}
	for _, l := range c.OSDP {
		for _, r := range l.Readers {
			if r.ReversedBytes {
				cards.Reversed = append(cards.Reversed, r.Name)
			}
		}
	}
	if len(k.problems) > 0 {
		return Cards{}, fmt.Errorf("%s: %s", k.problems[0].Path, k.problems[0].Text)
	}
	return cards, nil
}

// format makes a wiegand.Use; false says that it told of a problem.
func (k *checker) format(path string, c *FormatConfig, formats *wiegand.Catalogue) (wiegand.Use, bool) {
	f, ok := formats.Lookup(c.Name)
	if !ok {
		k.check(k.isFaulty(c.Name), path, "%q is no card format%s", c.Name, meant(c.Name, formats))
		return wiegand.Use{}, false
	}
	k.once(k.formats, f.Name, path, "format")
	u := wiegand.Use{Format: f, Facilities: c.Facilities, IgnoreParity: c.IgnoreParity, ReversedBytes: c.ReversedBytes}
	faults := u.Faults()
	k.faults(path, faults)
	return u, len(faults) == 0
}

func (k *checker) faults(path string, faults []wiegand.Fault) {
	for _, f := range faults {
		k.check(false, path+"."+f.Path, "%s", f.Text)
	}
}

// meant says which format was probably meant.
func meant(name string, formats *wiegand.Catalogue) string {
	var names []string
	for _, f := range formats.Formats() {
		names = append(names, f.Name)
	}
	if s := nearest(strings.ToUpper(name), names); s != "" {
		return fmt.Sprintf("; did you mean %q?", s)
	}
	return "; `latchkey-agent card formats` lists them"
}
