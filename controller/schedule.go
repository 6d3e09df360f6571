package controller

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"latchkey/access"
	"latchkey/serialline"
)

// minutesOfDay is how many minutes an access.Interval can tell apart.
const minutesOfDay = 1440

// canonical is s in the one form in which two schedules that hold at the same
// times in one zone are equal: intervals merged and sorted, holidays sorted,
// nothing twice, what can never hold left out. It has neither ID nor name.
func canonical(s access.Schedule) access.Schedule {
	c := access.Schedule{Zone: s.Zone, Weekly: union(s.Weekly)}
	c.Holidays = slices.Clone(s.Holidays)
	slices.Sort(c.Holidays)
	c.Holidays = slices.Compact(c.Holidays)
	return c
}

// union merges intervals that overlap or touch within one day.
func union(weekly []access.Interval) []access.Interval {
	sorted := slices.DeleteFunc(slices.Clone(weekly), func(i access.Interval) bool {
		return i.Day < 0 || i.Day > 6 || i.From < 0 || i.To > minutesOfDay || i.From >= i.To
	})
	slices.SortFunc(sorted, func(a, b access.Interval) int {
		return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	var out []access.Interval
	for _, i := range sorted {
		if n := len(out); n > 0 && out[n-1].Day == i.Day && i.From <= out[n-1].To {
			out[n-1].To = max(out[n-1].To, i.To)
			continue
		}
		out = append(out, i)
	}
	return out
}

// covers reports whether a holds whenever b does.
func covers(a, b access.Schedule) bool {
	if a.Zone != b.Zone {
		return false
	}
	for _, h := range a.Holidays {
		if !slices.Contains(b.Holidays, h) {
			return false
		}
	}
	for _, i := range b.Weekly {
		if !slices.ContainsFunc(a.Weekly, func(o access.Interval) bool { return o.Day == i.Day && o.From <= i.From && i.To <= o.To }) {
			return false
		}
	}
	return true
}

// merge makes one canonical schedule of several canonical ones, for a
// controller that has room for one per door. The result never holds when none
// of them does. exact is false if it does not hold always when one of them
// does: schedules of different zones, or with different holidays, have no
// common form, and then the narrower one is taken.
func merge(all []access.Schedule) (merged access.Schedule, exact bool) {
	// What another one covers adds nothing: the usual case of different holidays.
	var parts []access.Schedule
	for i, s := range all {
		if !slices.ContainsFunc(parts, func(o access.Schedule) bool { return covers(o, s) }) &&
			!slices.ContainsFunc(all[i+1:], func(o access.Schedule) bool { return covers(o, s) && !covers(s, o) }) {
			parts = append(parts, s)
		}
	}
	if len(parts) == 0 {
		return access.Schedule{}, true
	}
	exact = true
	merged = parts[0]
	for _, s := range parts[1:] {
		if s.Zone != merged.Zone {
			exact = false
			continue
		}
		if !slices.Equal(s.Holidays, merged.Holidays) {
			exact = false
		}
		merged.Weekly = append(slices.Clone(merged.Weekly), s.Weekly...)
		merged.Holidays = append(slices.Clone(merged.Holidays), s.Holidays...)
	}
	return canonical(merged), exact
}

// A slotHours is a schedule as it stands in a slot of a controller's table.
type slotHours struct {
	content string // equal for equal hours
	hours   serialline.Schedule
}

// hoursOf puts a canonical schedule into the words of the serial door link. A
// controller has no rules of time zones: it gets their offsets, from the start
// of year on.
func hoursOf(c access.Schedule, year int) (slotHours, error) {
	loc, err := time.LoadLocation(c.Zone)
	if err != nil || c.Zone == "" {
		return slotHours{}, fmt.Errorf("controller: time zone %q is not known", c.Zone)
	}
	zone, err := serialline.ZoneOf(loc, year)
	if err != nil {
		return slotHours{}, err
	}
	s := serialline.Schedule{Zone: zone}
	for _, i := range c.Weekly {
		s.Weekly = append(s.Weekly, serialline.Interval{Days: 1 << i.Day, From: uint16(i.From), To: uint16(i.To)})
	}
	for _, h := range c.Holidays {
		day, err := time.Parse(time.DateOnly, h)
		if err != nil {
			return slotHours{}, fmt.Errorf("controller: holiday %q, want a date such as 2026-12-25", h)
		}
		if day.Unix() >= 86400 {
			s.Holidays = append(s.Holidays, serialline.DateOf(day))
		}
	}
	if len(s.Weekly) > serialline.MaxIntervals || len(s.Holidays) > serialline.MaxHolidays {
		return slotHours{}, fmt.Errorf("controller: schedule of %d intervals and %d holidays, want at most %d and %d",
			len(s.Weekly), len(s.Holidays), serialline.MaxIntervals, serialline.MaxHolidays)
	}
	return slotHours{fmt.Sprint(zone, s.Weekly, s.Holidays), s}, nil
}

// encode is the schedule table that holds slots. Schedules that hoursOf made
// always encode; more than a table has room for do not, which the controller
// would have to refuse as well.
func encode(slots map[uint8]slotHours) ([]serialline.Record, error) {
	all := make(map[uint8]serialline.Schedule, len(slots))
	for slot, s := range slots {
		all[slot] = s.hours
	}
	return serialline.EncodeSchedules(all)
}
