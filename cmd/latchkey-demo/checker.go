package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"latchkey/access"
	"latchkey/agent"
	"latchkey/building"
	"latchkey/cloud"
	"latchkey/cloud/admin"
	"latchkey/delta"
	"latchkey/serialline"
	"latchkey/wiegand"
)

// A tally is what people saw at one reader, as the check itself counted.
type tally struct{ granted, denied int }

// A consistency compares what the parts of the running system say of one
// another: the cloud's log, the sites' caches, the controllers' tables, and the
// events of each door.
type consistency struct {
	api     *client // the cloud's admin API
	sim     *client
	sites   []SiteInfo
	format  *wiegand.Format
	cards   func() []uint64         // numbers that must open doors now
	seen    func() map[string]tally // by reader, since the start
	dropSeq uint64                  // leave this entry out of each log, as if a delta had been lost: the check must notice
}

// check returns everything that does not fit.
func (c *consistency) check(ctx context.Context) error {
	var errs []error
	for _, s := range c.sites {
		if err := c.site(ctx, s); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.ID, err))
		}
	}
	return errors.Join(append(errs, c.tables(ctx), c.events(ctx))...)
}

// site compares the cloud's log with the site's cache.
func (c *consistency) site(ctx context.Context, s SiteInfo) error {
	log, err := c.log(ctx, s.ID)
	if err != nil {
		return err
	}
	records, head, err := fold(log)
	if err != nil {
		return fmt.Errorf("the cloud's log: %w", err)
	}
	var st agent.Status
	if err := get(ctx, s.StatusURL+"/api/status", &st); err != nil {
		return err
	}
	if st.Head != head {
		return fmt.Errorf("the site is at %d/%d with digest %.8s, the cloud's log at %d/%d with digest %.8s",
			st.Head.Epoch, st.Head.Seq, st.Head.Digest, head.Epoch, head.Seq, head.Digest)
	}
	if got, want := st.Counts.Credentials, records[access.KindCredential]; got != want {
		return fmt.Errorf("the site holds %d credentials, the log gives it %d", got, want)
	}
	for _, d := range st.Doors {
		if !d.UpToDate {
			return fmt.Errorf("%s: %s", d.Name, d.Text)
		}
	}
	for _, ctl := range st.Controllers {
		if ctl.Table != nil && !ctl.Table.Equal {
			return fmt.Errorf("%s is not proven to hold what it should: wanted %d, held %d", ctl.Name, ctl.Table.Wanted, ctl.Table.Held)
		}
	}
	return nil
}

func (c *consistency) log(ctx context.Context, site string) (all []admin.LogEntry, err error) {
	for after := uint64(0); ; {
		var page struct {
			Entries []admin.LogEntry `json:"entries"`
		}
		if err := c.api.get(ctx, fmt.Sprintf("/orgs/%s/properties/%s/log?after=%d&limit=500", orgA, site, after), &page); err != nil {
			return nil, err
		}
		if len(page.Entries) == 0 {
			break
		}
		all = append(all, page.Entries...)
		after = all[len(all)-1].Seq
	}
	return slices.DeleteFunc(all, func(e admin.LogEntry) bool { return c.dropSeq != 0 && e.Seq == c.dropSeq }), nil
}

// fold walks a log from its start and counts the records that it leads to. A
// gap, another epoch or a broken chain of hashes is an error.
func fold(log []admin.LogEntry) (map[access.Kind]int, delta.Head, error) {
	var head delta.Head
	held := map[access.Ref]bool{}
	for i, e := range log {
		if e.Seq != uint64(i+1) || e.Prev != head.Hash || i > 0 && e.Epoch != head.Epoch {
			return nil, head, fmt.Errorf("entry %d/%d does not follow %d/%d", e.Epoch, e.Seq, head.Epoch, head.Seq)
		}
		for _, ch := range e.Changes {
			if ch.Op == delta.OpPut {
				held[ch.Ref] = true
			} else {
				delete(held, ch.Ref)
			}
		}
		head = delta.Head{Epoch: e.Epoch, Seq: e.Seq, Hash: e.Hash, Digest: e.Digest}
	}
	counts := map[access.Kind]int{}
	for ref := range held {
		counts[ref.Kind]++
	}
	return counts, head, nil
}

// tables compares the controllers' own tables, read past all protocols, with
// the cards that must open doors.
func (c *consistency) tables(ctx context.Context) error {
	want := []string{}
	for _, n := range c.cards() {
		bits, err := c.format.Encode(map[string]uint64{"card": n})
		if err != nil {
			return err
		}
		key := serialline.MakeKey(bits.Len(), bits.Bytes())
		want = append(want, hex.EncodeToString(key[:]))
	}
	slices.Sort(want)
	var tables []building.TableInfo
	if err := c.sim.get(ctx, "/controllers", &tables); err != nil {
		return err
	}
	for _, t := range tables {
		slices.Sort(t.Keys)
		if !slices.Equal(t.Keys, want) {
			return fmt.Errorf("%s holds %d cards, and they are not the %d that should open its doors", t.Name, len(t.Keys), len(want))
		}
	}
	return nil
}

// events compares what the cloud stored with what people saw at each reader:
// every decision once, numbered without gaps.
func (c *consistency) events(ctx context.Context) error {
	stored := map[string]tally{}
	for _, s := range c.sites {
		last := map[string]uint64{} // by event epoch
		for after := uint64(0); ; {
			var page []cloud.SiteEvent
			if err := c.api.get(ctx, fmt.Sprintf("/orgs/%s/properties/%s/events?after=%d&limit=500", orgA, s.ID, after), &page); err != nil {
				return err
			}
			if len(page) == 0 {
				break
			}
			for _, e := range page {
				if e.N != last[e.EventEpoch]+1 {
					return fmt.Errorf("%s: event %d follows %d", s.ID, e.N, last[e.EventEpoch])
				}
				last[e.EventEpoch] = e.N
				if e.Kind == access.EventAccess {
					t := stored[e.Reader]
					if e.Granted {
						t.granted++
					} else {
						t.denied++
					}
					stored[e.Reader] = t
				}
			}
			after = page[len(page)-1].Pos
		}
	}
	var wrong []string
	for _, reader := range slices.Sorted(maps.Keys(c.seen())) {
		if got, want := stored[reader], c.seen()[reader]; got != want {
			wrong = append(wrong, fmt.Sprintf("%s: the cloud has %d granted and %d denied, people saw %d and %d", reader, got.granted, got.denied, want.granted, want.denied))
		}
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}
