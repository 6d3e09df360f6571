package siteapp

import (
	"fmt"
	"io"
	"maps"
	"math/big"
	"slices"
	"strings"

	"latchkey/wiegand"
)

// explain tells a person what a card can be: all readings in the order of
// wiegand.Matches, those with the bytes reversed unless they are that already,
// and where none fits what is in the way of each format of that length. That no
// reading fits is an error.
func explain(w io.Writer, uses []wiegand.Use, b wiegand.Bits, reversed bool) error {
	matches := wiegand.Matches(uses, b)
	for _, m := range matches {
		fmt.Fprintln(w, matchText(m))
	}
	if len(matches) == 0 {
		nearMisses(w, uses, b)
	}
	if !reversed {
		for _, m := range reversedMatches(uses, b) {
			fmt.Fprintln(w, "with its bytes reversed:", matchText(m))
		}
	}
	if len(matches) > 0 {
		return nil
	}
	tried := count(len(uses), "format")
	if !slices.ContainsFunc(uses, func(u wiegand.Use) bool { return u.Format.Bits == b.Len() }) {
		return fmt.Errorf("no format has %d bits (%s tried); there are formats of %s", b.Len(), tried, lengths(uses))
	}
	return fmt.Errorf("%d bits fit no format (%s tried)", b.Len(), tried)
}

// nearMisses says of each format of the card's length what keeps the card from
// being one of its.
func nearMisses(w io.Writer, uses []wiegand.Use, b wiegand.Bits) {
	for _, u := range uses {
		card := b
		if r, ok := b.ReverseBytes(); ok && u.ReversedBytes {
			card = r
		}
		r, err := u.Format.Inspect(card)
		if err != nil {
			continue // another length
		}
		fields := wiegand.Candidate{Fields: r.Fields, Wide: r.Wide}.Numbers()
		fmt.Fprintf(w, "%s would fit but for %s: %s\n", u.Format.Name, strings.Join(r.Faults(), " and "), fieldText(fields))
	}
}

// reversedMatches are what a card would be if its reader had sent the last byte
// first. A format that the site has reversed anyway is none of them.
func reversedMatches(uses []wiegand.Use, b wiegand.Bits) []wiegand.Match {
	r, ok := b.ReverseBytes()
	if !ok || r == b {
		return nil
	}
	plain := slices.DeleteFunc(slices.Clone(uses), func(u wiegand.Use) bool { return u.ReversedBytes })
	return wiegand.Matches(plain, r)
}

func matchText(m wiegand.Match) string {
	var notes []string
	for _, n := range []struct {
		is   bool
		text string
	}{
		{m.WrongFacility, "wrong facility"},
		{m.ParityIgnored, "parity ignored"},
		{m.Spare, "bits outside its fields are set"},
	} {
		if n.is {
			notes = append(notes, n.text)
		}
	}
	text := m.Format.Name + " " + fieldText(m.Numbers())
	if len(notes) > 0 {
		text += " (" + strings.Join(notes, ", ") + ")"
	}
	return text
}

func fieldText(fields map[string]*big.Int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		parts = append(parts, name+"="+fields[name].String())
	}
	return strings.Join(parts, " ")
}

// lengths are those of the formats, for people.
func lengths(uses []wiegand.Use) string {
	var all []int
	for _, u := range uses {
		all = append(all, u.Format.Bits)
	}
	slices.Sort(all)
	return strings.Trim(fmt.Sprint(slices.Compact(all)), "[]")
}
