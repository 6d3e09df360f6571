package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
)

// An Unmapped is an attribute that a directory sends and no row of the mapping
// table has: it is kept, and rules can test it. Its value is nowhere here.
type Unmapped struct {
	Attr  string    `json:"attr"`
	Count int64     `json:"count"` // times that a new value came
	Last  time.Time `json:"last"`
	Type  string    `json:"type"` // of the last value: text, number, truth
}

const settingUnmapped = "unmapped"

// plainPath is a path without the places in lists: "emails[0].value" is
// "emails.value".
func plainPath(path string) string {
	for {
		from := strings.IndexByte(path, '[')
		if from < 0 {
			return path
		}
		to := strings.IndexByte(path[from:], ']')
		if to < 0 {
			return path
		}
		path = path[:from] + path[from+to+1:]
	}
}

// typeOf is the type of the values at a path.
func typeOf(attrs map[string]any, path string) string {
	for _, v := range lookup(attrs, path) {
		switch v.(type) {
		case json.Number, float64:
			return "number"
		case bool:
			return "truth"
		}
	}
	return "text"
}

// seen adds u to all, up to as many as are remembered.
func seen(all map[string]Unmapped, u Unmapped) {
	have, ok := all[u.Attr]
	if !ok && len(all) >= mostUnmapped || len(u.Attr) > 512 {
		return
	}
	u.Count += have.Count
	if have.Last.After(u.Last) {
		u.Last, u.Type = have.Last, have.Type
	}
	all[u.Attr] = u
}

func readUnmapped(tx Tx, org string) (map[string]Unmapped, error) {
	all := map[string]Unmapped{}
	doc, err := tx.Setting(org, settingUnmapped)
	if errors.Is(err, ErrNotFound) {
		return all, nil
	}
	if err != nil {
		return nil, err
	}
	return all, json.Unmarshal(doc, &all)
}

func keepUnmapped(tx Tx, org string, more map[string]Unmapped) error {
	if len(more) == 0 {
		return nil
	}
	all, err := readUnmapped(tx, org)
	if err != nil {
		return err
	}
	for _, u := range more {
		seen(all, u)
	}
	doc, err := encodeRecord(all)
	if err != nil {
		return err
	}
	return tx.PutSetting(org, settingUnmapped, doc)
}

// Unmapped lists the attributes that the organisation's directories send and
// nobody declared, by name.
func (s *Service) Unmapped(ctx context.Context, org string) ([]Unmapped, error) {
	var all map[string]Unmapped
	err := s.store.View(ctx, func(tx Tx) (err error) {
		if _, err := tx.Org(org); err != nil {
			return err
		}
		all, err = readUnmapped(tx, org)
		return err
	})
	if err != nil {
		return nil, err
	}
	s.journal.peek(org, func(p *pages) {
		for _, u := range p.unmapped {
			seen(all, u)
		}
	})
	return slices.SortedFunc(maps.Values(all), func(a, b Unmapped) int { return strings.Compare(a.Attr, b.Attr) }), nil
}
