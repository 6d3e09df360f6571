package pages

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"latchkey/access"
	"latchkey/cloud"
)

// mostSpans is how many rows of hours a form may have.
const mostSpans = 100

// A scheduleEntry is a schedule as it stands in the form.
type scheduleEntry struct {
	propertyFrame
	opened
	Name     string
	Zone     string
	Rows     []spanRow
	Holidays string // a date a line
}

// A spanRow is some days of the week and one span of hours of each of them. N
// tells its fields from those of other rows.
type spanRow struct {
	N        int
	Days     []int // of access.Interval
	From, To string
}

// A dayBox is one day of a spanRow.
type dayBox struct {
	Day     int
	Name    string
	Checked bool
}

// Boxes are all days of the week.
func (r spanRow) Boxes() []dayBox {
	var boxes []dayBox
	for _, day := range weekdays() {
		boxes = append(boxes, dayBox{day, time.Weekday(day).String(), slices.Contains(r.Days, day)})
	}
	return boxes
}

// Short is a day in three letters.
func (b dayBox) Short() string { return b.Name[:3] }

// Zones are names to choose from; others can be typed.
func (e scheduleEntry) Zones() []string {
	return []string{
		"Africa/Johannesburg", "America/Chicago", "America/Denver", "America/Los_Angeles", "America/New_York", "America/Sao_Paulo", "America/Toronto",
		"Asia/Dubai", "Asia/Hong_Kong", "Asia/Kolkata", "Asia/Shanghai", "Asia/Singapore", "Asia/Tokyo", "Australia/Sydney",
		"Europe/Amsterdam", "Europe/Berlin", "Europe/London", "Europe/Madrid", "Europe/Paris", "Europe/Rome", "Europe/Stockholm", "Europe/Vienna", "Europe/Warsaw", "Europe/Zurich",
		"Pacific/Auckland", "UTC",
	}
}

// newScheduleEntry puts days that have the same hours into one row, and has
// rows to spare.
func newScheduleEntry(s access.Schedule) scheduleEntry {
	e := scheduleEntry{Name: s.Name, Zone: s.Zone, Holidays: strings.Join(s.Holidays, "\n")}
	for _, day := range weekdays() {
		for _, iv := range dayHours(s, day) {
			from, to := minuteText(iv.From), minuteText(iv.To%(24*60))
			i := slices.IndexFunc(e.Rows, func(r spanRow) bool { return r.From == from && r.To == to })
			if i < 0 {
				i = len(e.Rows)
				e.Rows = append(e.Rows, spanRow{N: i, From: from, To: to})
			}
			e.Rows[i].Days = append(e.Rows[i].Days, day)
		}
	}
	for range 2 {
		e.Rows = append(e.Rows, spanRow{N: len(e.Rows)})
	}
	return e
}

// enteredSchedule is the schedule as the form has it.
func enteredSchedule(c *call) scheduleEntry {
	e := scheduleEntry{Name: c.text("name"), Zone: c.text("zone"), Holidays: c.text("holidays")}
	rows, _ := strconv.Atoi(c.text("rows")) // a form without it has none
	for n := range min(rows, mostSpans) {
		r := spanRow{N: n, From: c.text(fmt.Sprintf("from-%d", n)), To: c.text(fmt.Sprintf("to-%d", n))}
		for _, text := range c.texts(fmt.Sprintf("day-%d", n)) {
			if day, err := strconv.Atoi(text); err == nil && day >= 0 && day <= 6 {
				r.Days = append(r.Days, day)
			}
		}
		e.Rows = append(e.Rows, r)
	}
	return e
}

// schedule is what e comes to, under an id; its error is a *cloud.Invalid.
func (e scheduleEntry) schedule(id string) (access.Schedule, error) {
	s := access.Schedule{ID: id, Name: e.Name, Zone: e.Zone, Weekly: []access.Interval{}, Holidays: strings.Fields(e.Holidays)}
	bad := func(attr, format string, args ...any) (access.Schedule, error) {
		return s, &cloud.Invalid{ScimType: cloud.InvalidValue, Attr: attr, Detail: fmt.Sprintf(format, args...)}
	}
	if e.Name == "" {
		return bad("name", "is required")
	}
	if _, err := time.LoadLocation(e.Zone); err != nil || e.Zone == "" || e.Zone == "Local" {
		return bad("time zone", "there is no %.40q; want a name such as Europe/Berlin", e.Zone)
	}
	for _, r := range e.Rows {
		switch {
		case r.From == "" && r.To == "" && len(r.Days) == 0:
			continue
		case r.From == "" || r.To == "" || len(r.Days) == 0:
			return bad(fmt.Sprintf("hours %d", r.N+1), "want days, from and until, or nothing of it")
		}
		from, err := minuteOf(r.From)
		to, errTo := minuteOf(r.To)
		if err != nil || errTo != nil {
			return bad(fmt.Sprintf("hours %d", r.N+1), "want times such as 08:00")
		}
		if to == 0 { // midnight at the end of the day
			to = 24 * 60
		}
		if to <= from {
			return bad(fmt.Sprintf("hours %d", r.N+1), "%s is not after %s; for hours past midnight give one row until 00:00 and one from 00:00 of the next day", r.To, r.From)
		}
		for _, day := range r.Days {
			s.Weekly = append(s.Weekly, access.Interval{Day: day, From: from, To: to})
		}
	}
	return s, nil
}

// minuteOf is a time of day in minutes since midnight.
func minuteOf(text string) (int, error) {
	t, err := time.Parse("15:04", text)
	return t.Hour()*60 + t.Minute(), err
}
