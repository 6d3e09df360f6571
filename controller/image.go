package controller

import (
	"maps"

	"latchkey/serialline"
)

// buckets is how many parts a table's digest has.
const buckets = 256

// A holding is one entry of a controller's table, as it was sent or read.
type holding struct {
	sum    uint64
	record serialline.Record
	known  bool // record is the one that sum is of; reading tells sums alone
}

// An image is what one table of a controller holds, as far as we know.
type image struct {
	entries map[serialline.Key]holding
	sums    [buckets]uint64 // of entries, by bucket
	filled  bool            // it was read or proven once: what differs from it later is not our doing
	known   bool            // it was read or proven in this session
}

func newImage() *image { return &image{entries: make(map[serialline.Key]holding)} }

// set makes key's entry h.
func (m *image) set(key serialline.Key, h holding) {
	m.sums[serialline.BucketOf(key)] += h.sum - m.entries[key].sum
	m.entries[key] = h
}

// put is set for a record that was sent.
func (m *image) put(r serialline.Record) { m.set(r.Key, holding{serialline.SumOf(r), r, true}) }

// drop removes key's entry.
func (m *image) drop(key serialline.Key) {
	m.sums[serialline.BucketOf(key)] -= m.entries[key].sum
	delete(m.entries, key)
}

// clone is a deep copy.
func (m *image) clone() *image {
	c := *m
	c.entries = maps.Clone(m.entries)
	return &c
}

// with is the root that the table has once t is committed: what was sent for a
// key after BEGIN stays as it is.
func (m *image) with(t *transaction) serialline.Root {
	sums := m.sums
	if t.full {
		clear(sums[:])
		for k := range t.touched {
			sums[serialline.BucketOf(k)] += m.entries[k].sum
		}
	}
	for _, r := range t.records {
		if t.touched[r.Key] {
			continue
		}
		b := serialline.BucketOf(r.Key)
		sums[b] += serialline.SumOf(r)
		if !t.full {
			sums[b] -= m.entries[r.Key].sum
		}
	}
	return serialline.RootOf(sums)
}

// commit makes m what the controller holds once t is committed.
func (m *image) commit(t *transaction) {
	if t.full {
		for k := range m.entries {
			if !t.touched[k] {
				m.drop(k)
			}
		}
	}
	for _, r := range t.records {
		if !t.touched[r.Key] {
			m.put(r)
		}
	}
}

// root is the digest of the whole table.
func (m *image) root() serialline.Root { return serialline.RootOf(m.sums) }

// records yields the records that are known to be in the table.
func (m *image) records(yield func(serialline.Record) bool) {
	for _, h := range m.entries {
		if h.known && !yield(h.record) {
			return
		}
	}
}
