package cloud

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"latchkey/access"
	"latchkey/wiegand"
)

// MaxCardNumber is the longest card number text, in bytes: more than
// bits:1024:HEX needs.
const MaxCardNumber = 512

// A number is a card number that was understood.
type number struct {
	Format   string // empty where the bits were given
	Bits     wiegand.Bits
	Facility uint64
	Number   uint64
}

// parseNumber reads a card number as a directory or an admin writes it: N with
// the badge type's format and facility, F-N or F:N, FORMAT:N, FORMAT:F-N, or
// bits:LEN:HEX. Blanks around it are dropped. Its errors say what is wrong
// without repeating the number, for people to read.
func parseNumber(formats *wiegand.Catalogue, badge BadgeType, text string) (number, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return number{}, errors.New("is empty")
	case len(text) > MaxCardNumber:
		return number{}, fmt.Errorf("has %d characters, want at most %d", len(text), MaxCardNumber)
	}
	if head, rest, ok := strings.Cut(text, ":"); ok && strings.EqualFold(head, "bits") {
		return parseRaw(formats, badge, rest)
	}
	name, rest := badge.Format, text
	if head, tail, ok := strings.Cut(text, ":"); ok && !isDigits(head) {
		name, rest = strings.TrimSpace(head), tail
	}
	format, ok := formats.Lookup(name)
	if !ok {
		return number{}, fmt.Errorf("names the card format %.40q, which does not exist", name)
	}
	facility, card, hasFacility := cutFacility(rest)
	if !isDigits(card) || hasFacility && !isDigits(facility) {
		return number{}, errors.New("has characters that no card number has; want digits, FACILITY-NUMBER, FORMAT:NUMBER or bits:LENGTH:HEX")
	}
	n := number{Format: format.Name}
	field := cardField(format)
	if field == "" {
		return number{}, fmt.Errorf("cannot be written as a number in format %s; want bits:LENGTH:HEX", format.Name)
	}
	fields := make(map[string]uint64, len(format.Fields))
	for f := range format.Fields {
		fields[f] = 0 // issue levels and maker's codes
	}
	var err error
	if n.Number, err = strconv.ParseUint(card, 10, 64); err != nil {
		return number{}, tooWide(format)
	}
	fields[field] = n.Number
	_, takesFacility := format.Fields["facility"]
	switch {
	case hasFacility && !takesFacility:
		return number{}, fmt.Errorf("has a facility code, but format %s has none", format.Name)
	case hasFacility:
		if n.Facility, err = strconv.ParseUint(facility, 10, 64); err != nil {
			return number{}, tooWide(format)
		}
	case takesFacility && badge.Facility == nil:
		return number{}, fmt.Errorf("has no facility code, and badge type %q gives none for format %s", badge.ID, format.Name)
	case takesFacility:
		n.Facility = *badge.Facility
	}
	if takesFacility {
		fields["facility"] = n.Facility
	}
	n.Bits, err = format.Encode(fields)
	switch {
	case errors.Is(err, wiegand.ErrRange):
		return number{}, tooWide(format)
	case err != nil:
		return number{}, fmt.Errorf("cannot be written in format %s", format.Name)
	}
	return n, nil
}

// parseRaw reads LEN:HEX. Where the badge type's format reads those bits, they
// get its facility and number, so that people see the card by its number.
func parseRaw(formats *wiegand.Catalogue, badge BadgeType, text string) (number, error) {
	b, err := wiegand.ParseBits(strings.TrimSpace(text))
	if err != nil {
		return number{}, fmt.Errorf("does not have the form bits:LENGTH:HEX with a length of 1 to %d and a number that fits it", wiegand.MaxBits)
	}
	n := number{Bits: b}
	format, ok := formats.Lookup(badge.Format)
	if !ok || format.Bits != b.Len() {
		return n, nil
	}
	if fields, err := format.Decode(b); err == nil && cardField(format) != "" {
		n.Format, n.Number, n.Facility = format.Name, fields[cardField(format)], fields["facility"]
	}
	return n, nil
}

// cardField is the field of f that a card number stands for.
func cardField(f *wiegand.Format) string {
	for _, name := range []string{"card", "card_bcd"} {
		if _, ok := f.Fields[name]; ok && !f.Wide() {
			return name
		}
	}
	return ""
}

func tooWide(f *wiegand.Format) error {
	return fmt.Errorf("is too wide for card format %s of %d bits", f.Name, f.Bits)
}

func cutFacility(s string) (facility, card string, ok bool) {
	if i := strings.IndexAny(s, "-:"); i >= 0 {
		return strings.TrimSpace(s[:i]), strings.TrimSpace(s[i+1:]), true
	}
	return "", strings.TrimSpace(s), false
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// checkBadgeType refuses a badge type whose numbers could never become bits.
func checkBadgeType(formats *wiegand.Catalogue, b *BadgeType) error {
	if err := checkName("id", b.ID); err != nil {
		return err
	}
	format, ok := formats.Lookup(b.Format)
	if !ok {
		return invalid("format", "no card format %.40q", b.Format)
	}
	b.Format = format.Name
	if cardField(format) == "" {
		return invalid("format", "format %s has no card number", format.Name)
	}
	facility, ok := format.Fields["facility"]
	switch {
	case b.Facility == nil:
	case !ok:
		return invalid("facility", "format %s has no facility code", format.Name)
	case *b.Facility > facility.Max:
		return invalid("facility", "facility codes of format %s go up to %d", format.Name, facility.Max)
	}
	return nil
}

// maskNumber shows of a card number as it was sent its length class and at
// most the last four characters and half of them, for the audit trail.
func maskNumber(raw string) string {
	if raw == "" {
		return ""
	}
	r := []rune(raw)
	return "…" + string(r[len(r)-min(4, len(r)/2):])
}

// credential is c as a site holds it.
func (c Card) credential() access.Credential {
	return access.Credential{
		ID: c.ID, Person: c.Person, Technology: cmp.Or(c.Technology, access.TechCard),
		Format: c.Format, Bits: c.Bits, Facility: c.Facility, Number: c.Number,
		BadgeType: c.BadgeType, Status: c.Status, ValidFrom: c.ValidFrom, ValidUntil: c.ValidUntil,
	}
}
