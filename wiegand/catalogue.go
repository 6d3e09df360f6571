package wiegand

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

//go:embed formats.json
var formatsJSON string

// A Catalogue is a set of formats with unique names.
type Catalogue struct {
	formats []*Format
	byName  map[string]*Format // lower case, aliases too
}

// Load returns the formats that come with the program, also those that are
// disputed or not supported: Status and Supported say which.
func Load() (*Catalogue, error) {
	var file struct {
		Schema  string    `json:"schema"`
		Count   int       `json:"count"`
		Formats []*Format `json:"formats"`
	}
	if err := json.Unmarshal([]byte(formatsJSON), &file); err != nil {
		return nil, fmt.Errorf("wiegand: formats.json: %w: %w", ErrFormat, err)
	}
	if file.Schema != "wiegand-formats/1" || file.Count != len(file.Formats) {
		return nil, fmt.Errorf("wiegand: formats.json: %w: schema %q with %d of %d formats", ErrFormat, file.Schema, len(file.Formats), file.Count)
	}
	c := &Catalogue{byName: map[string]*Format{}}
	for _, f := range file.Formats {
		if err := f.compile(); err != nil {
			return nil, fmt.Errorf("wiegand: formats.json: %w", err)
		}
		if err := c.Add(f); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Clone returns a catalogue of the same formats, to which others can be added.
func (c *Catalogue) Clone() *Catalogue {
	return &Catalogue{slices.Clone(c.formats), maps.Clone(c.byName)}
}

// Add puts f into the catalogue, after those that are there. Its name and its
// aliases must be new; otherwise nothing changes. It is not safe for use
// beside other methods.
func (c *Catalogue) Add(f *Format) error {
	names := append([]string{f.Name}, f.Aliases...)
	for _, name := range names {
		if other, ok := c.Lookup(name); ok {
			return fmt.Errorf("wiegand: %w: %s: the name %q is taken by %s", ErrFormat, f.Name, name, other.Name)
		}
	}
	for _, name := range names {
		c.byName[strings.ToLower(name)] = f
	}
	c.formats = append(c.formats, f)
	return nil
}

// Lookup finds a format by its name or an alias, in upper or lower case.
func (c *Catalogue) Lookup(name string) (*Format, bool) {
	f, ok := c.byName[strings.ToLower(name)]
	return f, ok
}

// Formats returns all formats in the order of the file, in a new slice.
func (c *Catalogue) Formats() []*Format { return slices.Clone(c.formats) }
