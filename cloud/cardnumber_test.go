package cloud

import (
	"strings"
	"testing"

	"latchkey/wiegand"
)

func TestCardNumberGrammar(t *testing.T) {
	formats, err := wiegand.Load()
	if err != nil {
		t.Fatal(err)
	}
	plain := BadgeType{ID: "Default", Format: "H10302"}
	site := BadgeType{ID: "Site", Format: "H10301", Facility: new(uint64(7))}
	bits := func(format string, fields map[string]uint64) string {
		f, ok := formats.Lookup(format)
		if !ok {
			t.Fatalf("no format %s", format)
		}
		b, err := f.Encode(fields)
		if err != nil {
			t.Fatal(err)
		}
		return b.Text()
	}
	h10301 := bits("H10301", map[string]uint64{"facility": 7, "card": 731})
	for _, tt := range []struct {
		badge BadgeType
		text  string
		want  string // bits
	}{
		{plain, "10045731", bits("H10302", map[string]uint64{"card": 10045731})},
		{plain, "  00731\t", bits("H10302", map[string]uint64{"card": 731})},
		{site, "731", h10301},
		{site, "7-731", h10301},
		{site, "7:731", h10301},
		{site, "9-731", bits("H10301", map[string]uint64{"facility": 9, "card": 731})},
		{plain, "H10301:7-731", h10301},
		{plain, "h10301:7:731", h10301},
		{site, "H10301:731", h10301},
		{site, "H10302:731", bits("H10302", map[string]uint64{"card": 731})},
		{plain, "bits:" + h10301, h10301},
		{plain, "BITS:26:0", "26:0000000"},
	} {
		n, err := parseNumber(formats, tt.badge, tt.text)
		if err != nil || n.Bits.Text() != tt.want {
			t.Errorf("%q with %s: got %s, %v; want %s", tt.text, tt.badge.Format, n.Bits.Text(), err, tt.want)
		}
	}
	for _, text := range []string{"", "  ", "12a", "-5", "5-", "7-731", "1.5", "99999999999", "99999999999999999999999", "H10301:70000-1", "UUID128:1", "X:1", "bits:", "bits:9:FFFF", "bits:0:0", "7-7-7", strings.Repeat("1", 600)} {
		if n, err := parseNumber(formats, plain, text); err == nil {
			t.Errorf("%q was taken as %d", text, n.Number)
		} else if strings.ContainsAny(text, "0123456789") && len(text) > 4 && strings.Contains(err.Error(), strings.TrimSpace(text)) {
			t.Errorf("%q is repeated in %q", text, err)
		}
	}
	n, err := parseNumber(formats, site, "bits:"+h10301)
	if err != nil || n.Format != "H10301" || n.Number != 731 || n.Facility != 7 {
		t.Errorf("raw bits of the default format: %+v, %v", n, err)
	}
}

func FuzzCardNumber(f *testing.F) {
	formats, err := wiegand.Load()
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{"731", "7-731", "H10301:7-731", "bits:26:1FF9090", "bits:bits:", "::", "--"} {
		f.Add(seed)
	}
	badge := BadgeType{ID: "Default", Format: "H10301", Facility: new(uint64(1))}
	f.Fuzz(func(t *testing.T, text string) {
		n, err := parseNumber(formats, badge, text)
		if err != nil {
			return
		}
		// What was understood can be said again as bits.
		again, err := parseNumber(formats, badge, "bits:"+n.Bits.Text())
		if err != nil || again.Bits != n.Bits {
			t.Errorf("%q: its bits are not taken back: %v", text, err)
		}
	})
}

func TestPackKeepsPeopleWhole(t *testing.T) {
	person := func(id string, edits, size int, loses bool) unit {
		u := unit{takes: 2}
		for range edits {
			e := edit{owner: id, next: make([]byte, size)}
			if loses {
				e.next, e.old = nil, make([]byte, size)
			}
			u.edits = append(u.edits, e)
		}
		return u
	}
	units := []unit{}
	for i := range 300 {
		units = append(units, person(string(rune('a'+i%26))+strings.Repeat("x", i/26), 5, 200, i%3 == 0))
	}
	seen := map[string]int{}
	sawGain := false
	messages := pack(units)
	if len(messages) < 2 {
		t.Fatal("all fits one message: this test would check nothing")
	}
	takes := 0
	for m, message := range messages {
		size, edits := 0, message.edits
		takes += message.takes
		for _, e := range edits {
			size += e.size()
			if at, ok := seen[e.owner]; ok && at != m {
				t.Fatalf("%s is in messages %d and %d", e.owner, at, m)
			}
			seen[e.owner] = m
		}
		if size > payloadBudget {
			t.Errorf("message %d takes %d", m, size)
		}
		if sawGain && edits[0].loses() {
			t.Errorf("message %d takes away after others gave", m)
		}
		sawGain = sawGain || !edits[len(edits)-1].loses()
	}
	if takes != 2*len(units) {
		t.Errorf("the messages take %d, want %d", takes, 2*len(units))
	}
}
