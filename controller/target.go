package controller

import (
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"

	"latchkey/access"
	"latchkey/serialline"
)

// always is the schedule slot that holds at all times.
const always = 0

// A target is what one controller should hold: a Wanted, put into the words of
// the serial door link.
type target struct {
	epoch   uint32
	version uint64
	records map[serialline.Key]serialline.Record
	// credentials are the IDs behind each key: usually one.
	credentials map[serialline.Key][]string
	// slots are the schedules that records name, by slot.
	slots map[uint8]slotHours
	// squeezed is set if a schedule found no slot only because records still
	// point at slots that nothing wants any more.
	squeezed bool
	// cannot says, by credential ID, what this controller cannot hold and why.
	cannot map[string]string
}

// limits are what a controller has room for.
type limits struct {
	records int    // credentials
	slots   int    // schedules, at most maxSlots
	doors   int    // that it works
	flags   uint16 // of credentials that it honours
}

// anyRoom is what a controller is taken to have room for before it said HELLO.
func anyRoom() limits {
	return limits{records: math.MaxInt32, slots: maxSlots, doors: serialline.MaxDoors, flags: math.MaxUint16}
}

// maxSlots is how many schedules a table can tell apart, besides always.
const maxSlots = 255

// slotMemory remembers which schedule, by its content, stands in which slot of
// the controller's table, or was assigned to it.
type slotMemory map[uint8]string

// makeTarget works out what a controller with these doors should hold. held
// yields the records that the controller is known to hold now: slots are
// assigned so that no card ever gets hours that neither the old nor the new
// state gives it (see slotMemory.assign). mem is brought up to date. year is
// the first for which the controller is told the offsets of time zones.
func makeTarget(w Wanted, doors []SerialDoor, lim limits, mem slotMemory, year int, held iter.Seq[serialline.Record]) *target {
	t := &target{
		epoch: w.Epoch, version: w.Seq,
		records:     make(map[serialline.Key]serialline.Record, len(w.Entitlements)),
		credentials: make(map[serialline.Key][]string, len(w.Entitlements)),
		slots:       make(map[uint8]slotHours),
		cannot:      make(map[string]string),
	}
	canon := make(map[string]access.Schedule, len(w.Schedules))
	for id, s := range w.Schedules {
		canon[id] = canonical(s)
	}

	// First what each key may do, in schedules; then the slots.
	type right struct {
		schedule string            // content; empty is always
		all      []access.Schedule // nil is always
	}
	type rights struct {
		record serialline.Record
		doors  map[int]*right
		ids    []string
	}
	byKey := make(map[serialline.Key]*rights, len(w.Entitlements))
	var order []serialline.Key
	cannot := func(id, why string) {
		if old := t.cannot[id]; old != "" {
			why = old + "; " + why
		}
		t.cannot[id] = why
	}
	for _, e := range w.Entitlements {
		c := e.Credential
		if c.Bits.Len() == 0 {
			continue // a mobile key without a number opens nothing yet
		}
		key := serialline.MakeKey(c.Bits.Len(), c.Bits.Bytes())
		record := serialline.Record{
			Key: key, Flags: flagsOf(c) & lim.flags,
			ValidFrom: minutesUp(c.ValidFrom), ValidUntil: minutesDown(c.ValidUntil),
		}
		r := byKey[key]
		fresh := r == nil
		if fresh {
			r = &rights{record: record, doors: make(map[int]*right)}
		} else if r.record != record {
			cannot(c.ID, "another card with the same number has other dates or another kind, and the controller holds one entry for a number")
			continue
		}
		opens := false
		for _, d := range doors {
			ids, ok := e.Doors[d.ID]
			if !ok {
				continue
			}
			if d.Index >= lim.doors {
				cannot(c.ID, fmt.Sprintf("door %s: the controller has %d doors", d.ID, lim.doors))
				continue
			}
			add := &right{}
			if len(ids) > 0 {
				for _, id := range ids {
					if s, ok := canon[id]; ok && len(s.Weekly) > 0 {
						add.all = append(add.all, s)
					}
				}
				if len(add.all) == 0 {
					continue // schedules that never hold open nothing
				}
			}
			opens = true
			if have, ok := r.doors[d.Index]; !ok {
				r.doors[d.Index] = add
			} else if have.all == nil || add.all == nil {
				have.all = nil
			} else {
				have.all = append(have.all, add.all...)
			}
		}
		if !opens {
			continue
		}
		r.ids = append(r.ids, c.ID)
		if fresh {
			if len(order) == lim.records {
				cannot(c.ID, fmt.Sprintf("the controller has room for %d cards", lim.records))
				continue
			}
			byKey[key] = r
			order = append(order, key)
		}
	}

	used := make(map[string]slotHours)
	made := make(map[string]struct {
		slotHours
		err error
	})
	for _, key := range order {
		r := byKey[key]
		for _, d := range doors {
			right, ok := r.doors[d.Index]
			if !ok || right.all == nil {
				continue
			}
			merged, exact := merge(right.all)
			if len(merged.Weekly) == 0 {
				delete(r.doors, d.Index)
				continue
			}
			h, ok := made[fmt.Sprint(merged)]
			if !ok {
				h.slotHours, h.err = hoursOf(merged, year)
				made[fmt.Sprint(merged)] = h
			}
			if h.err != nil {
				delete(r.doors, d.Index)
				for _, id := range r.ids {
					cannot(id, "door "+d.ID+": "+strings.TrimPrefix(h.err.Error(), "controller: "))
				}
				continue
			}
			right.schedule = h.content
			used[h.content] = h.slotHours
			if !exact {
				for _, id := range r.ids {
					cannot(id, "door "+d.ID+": its schedules differ in time zone or holidays and the controller holds one schedule a door, so it opens only when the narrower one allows")
				}
			}
		}
	}
	users := make(map[uint8]map[string]bool)
	for h := range held {
		r := byKey[h.Key]
		for i, slot := range h.Schedules {
			if slot == always || h.Doors>>i&1 == 0 {
				continue
			}
			if users[slot] == nil {
				users[slot] = make(map[string]bool)
			}
			if r == nil || r.doors[i] == nil {
				users[slot][leaving] = true
			} else if r.record.ValidFrom != h.ValidFrom || r.record.ValidUntil != h.ValidUntil || r.record.Flags != h.Flags {
				users[slot][mixed] = true
			} else {
				users[slot][r.doors[i].schedule] = true
			}
		}
	}
	slotOf := mem.assign(used, lim.slots, users)
	for _, key := range order {
		r := byKey[key]
		for _, d := range doors {
			right, ok := r.doors[d.Index]
			if !ok {
				continue
			}
			slot := uint8(always)
			if right.all != nil {
				if slot, ok = slotOf[right.schedule]; !ok {
					t.squeezed = len(used) <= lim.slots
					for _, id := range r.ids {
						cannot(id, fmt.Sprintf("door %s: the controller has room for %d schedules", d.ID, lim.slots))
					}
					continue
				}
				t.slots[slot] = used[right.schedule]
			}
			r.record.Doors |= 1 << d.Index
			r.record.Schedules[d.Index] = slot
		}
		if r.record.Doors == 0 {
			continue
		}
		t.records[key] = r.record
		t.credentials[key] = r.ids
	}
	return t
}

// What a record that points at a slot is to become, besides pointing at a
// schedule's content ("" being always).
const (
	leaving = "-" // it, or its door, goes: before any slot is written
	mixed   = "+" // it changes in more than its hours
)

// assign gives each content of used a slot of 1 to limit. What has a slot keeps
// it. users says for each slot what the records that point at it now are to
// become.
//
// A schedule that was edited is written over the one it replaces, and so
// changes everybody's hours in one commit, if all who point at that slot go
// over to the new one (or to always, which is wider). Else it gets a slot that
// nobody points at, and the records move over one by one. A content that finds
// no slot is not in the result.
func (m slotMemory) assign(used map[string]slotHours, limit int, users map[uint8]map[string]bool) map[string]uint8 {
	out := make(map[string]uint8, len(used))
	for _, slot := range slices.Sorted(maps.Keys(m)) {
		if _, ok := used[m[slot]]; ok {
			if _, twice := out[m[slot]]; !twice {
				out[m[slot]] = slot
			}
		}
	}
	keeps := func(slot uint8) bool { at, ok := out[m[slot]]; return ok && at == slot }
	contents := slices.Sorted(maps.Keys(used)) // sorted: the same input gives the same slots
	for _, c := range contents {
		if _, ok := out[c]; ok {
			continue
		}
		for _, slot := range slices.Sorted(maps.Keys(users)) {
			become := maps.Clone(users[slot])
			delete(become, leaving)
			delete(become, "")
			if int(slot) <= limit && !keeps(slot) && become[c] && len(become) == 1 {
				m[slot], out[c] = c, slot
				break
			}
		}
	}
	free := 1
	for _, c := range contents {
		if _, ok := out[c]; ok {
			continue
		}
		for free <= limit && (keeps(uint8(free)) || len(users[uint8(free)]) > 0) {
			free++
		}
		if free > limit {
			break
		}
		m[uint8(free)], out[c] = c, uint8(free)
		free++
	}
	return out
}

// flagsOf are the record flags of a credential.
func flagsOf(c access.Credential) uint16 {
	switch c.Technology {
	case access.TechBLE:
		return serialline.FlagBLE
	case access.TechWallet:
		return serialline.FlagWallet
	default:
		return serialline.FlagCard
	}
}

// minutesUp turns the unix second from which a card is valid into minutes, 0
// for open. It rounds up: a card never opens early.
func minutesUp(sec int64) uint32 {
	if sec <= 0 {
		return 0
	}
	return uint32(min((sec+59)/60, math.MaxUint32))
}

// minutesDown turns the first unix second at which a card is refused into
// minutes, 0 for open. It rounds down, but never to 0: a card never opens late.
func minutesDown(sec int64) uint32 {
	if sec == 0 {
		return 0
	}
	return uint32(min(max(sec/60, 1), math.MaxUint32))
}
