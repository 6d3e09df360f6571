package agent

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"latchkey/wiegand"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with the file name, or writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// Each bad site file stands beside the problems that `check` prints for it.
func TestBadSiteFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d bad site files (%v): this test would check nothing", len(files), err)
	}
	formats := must(wiegand.Load())
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := ParseConfig("site.yaml", must(os.ReadFile(file)), formats)
			if err == nil {
				t.Fatal("it parses")
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".err", err.Error()+"\n")
		})
	}
}

func TestDefaults(t *testing.T) {
	c, err := ParseConfig("site.yaml", must(os.ReadFile("testdata/good.yaml")), must(wiegand.Load()))
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "hq" || c.Cloud.Username != "hq" || c.Status.Listen != "127.0.0.1:9440" || c.Log.Level != "info" {
		t.Errorf("defaults %+v", c)
	}
	if c.OSDP[0].Baud != 9600 || c.Serial[0].Baud != 38400 || c.Serial[0].Doors[0].Reader != "dock" {
		t.Errorf("defaults of lines %+v %+v", c.OSDP, c.Serial)
	}
	if a, b := c.OSDP[0].Readers[0].Security, c.OSDP[0].Readers[1].Security; a != SecurityRequireSCBK || b != SecurityAllowClear {
		t.Errorf("security %q and %q: want %s where nothing is said, and what is said", a, b, SecurityRequireSCBK)
	}
	if r := c.OSDP[0].Readers[0]; r.Contact == nil || *r.Contact != 0 || r.Exit != nil {
		t.Errorf("contact %v, exit %v: want input 0 and none", r.Contact, r.Exit)
	}
}

// What the site file says of cards is what the site makes of cards.
func TestCardsOfTheSiteFile(t *testing.T) {
	formats := must(wiegand.Load())
	c, err := ParseConfig("site.yaml", must(os.ReadFile("testdata/good.yaml")), formats)
	if err != nil {
		t.Fatal(err)
	}
	cards, err := c.Cards(formats)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, u := range cards.Uses {
		names = append(names, u.Format.Name)
	}
	if want := []string{"H10302", "H10301", "CSN32", "ACME40"}; !slices.Equal(names, want) {
		t.Fatalf("formats %v, want %v", names, want)
	}
	if u := cards.Uses[1]; !slices.Equal(u.Facilities, []uint64{12, 255}) || !u.IgnoreParity || u.ReversedBytes {
		t.Errorf("H10301 is used as %+v", u)
	}
	if !cards.Uses[2].ReversedBytes || !slices.Equal(cards.Reversed, []string{"front-in"}) {
		t.Errorf("reversed: format %v, readers %v", cards.Uses[2].ReversedBytes, cards.Reversed)
	}
	if _, ok := formats.Lookup("ACME40"); ok {
		t.Error("the catalogue that was given has a format more")
	}
	acme, ok := cards.Catalogue.Lookup("acme")
	if !ok || acme.Status != wiegand.StatusCustom || acme.Description != "ACME's doors of 1998" || len(cards.Catalogue.Formats()) != 68 {
		t.Fatalf("the site's own format: %+v", acme)
	}
	b, err := acme.Encode(map[string]uint64{"facility": 1, "card": 40000, "issue": 2, "serial": 9})
	if err != nil || b.Text() != "40:00CE2033DD" {
		t.Errorf("a card of it: %s, %v", b.Text(), err)
	}
	if _, err := acme.Encode(map[string]uint64{"facility": 1, "card": 40001, "issue": 2, "serial": 9}); !errors.Is(err, wiegand.ErrRange) {
		t.Errorf("a number past its limit: %v", err)
	}
}

// FuzzConfig: whatever a site file holds, ParseConfig returns, and each line of
// its error begins with a place in the file.
func FuzzConfig(f *testing.F) {
	files := must(filepath.Glob("testdata/bad/*.yaml"))
	for _, file := range append(files, "testdata/good.yaml") {
		f.Add(must(os.ReadFile(file)))
	}
	for _, s := range []string{"", "a: &x [*x]", "? : ?", "!!binary x", "site: |\n  hq\n", "osdp: {}", "site: *a", "<<: {site: hq}", "osdp: [~]", "- a", "\x00", "site: 'x", "? [a]: b"} {
		f.Add([]byte(s))
	}
	formats := must(wiegand.Load())
	place := regexp.MustCompile(`^s\.yaml:[1-9][0-9]*:[1-9][0-9]*: .`)
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := ParseConfig("s.yaml", text, formats)
		if (c == nil) == (err == nil) {
			t.Fatalf("config %v and error %v", c, err)
		}
		if err == nil {
			return
		}
		errs := []error{err}
		if many, ok := errors.AsType[interface {
			error
			Unwrap() []error
		}](err); ok {
			errs = many.Unwrap()
		}
		for _, err := range errs {
			if !place.MatchString(err.Error()) {
				t.Errorf("problem without a place: %q", err)
			}
		}
	})
}
