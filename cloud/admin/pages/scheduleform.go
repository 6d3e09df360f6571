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

// mostSpans is how many rows of hours a schedule may be entered in.
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
	N        string
	Title    string
	Days     []int // of access.Interval
	From, To string
	Focus    bool
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

// Blank is the row that script copies.
func (e scheduleEntry) Blank() spanRow { return spanRow{N: "ROW", Title: "More hours"} }

// newScheduleEntry puts days that have the same hours into one row. A schedule
// without hours has an empty one.
func newScheduleEntry(s access.Schedule) scheduleEntry {
	e := scheduleEntry{Name: s.Name, Zone: s.Zone, Holidays: strings.Join(s.Holidays, "\n")}
	for _, day := range weekdays() {
		for _, iv := range dayHours(s, day) {
			from, to := minuteText(iv.From), minuteText(iv.To%(24*60))
			i := slices.IndexFunc(e.Rows, func(r spanRow) bool { return r.From == from && r.To == to })
			if i < 0 {
				i = len(e.Rows)
				e.Rows = append(e.Rows, spanRow{N: strconv.Itoa(i), From: from, To: to})
			}
			e.Rows[i].Days = append(e.Rows[i].Days, day)
		}
	}
	if len(e.Rows) == 0 {
		e.Rows = []spanRow{{N: "0"}}
	}
	return e
}

// enteredSchedule is the schedule as the form has it.
func enteredSchedule(c *call) scheduleEntry {
	e := scheduleEntry{Name: c.text("name"), Zone: c.text("zone"), Holidays: c.text("holidays")}
	for _, n := range c.texts("row") {
		r := spanRow{N: n, From: c.text("from-" + n), To: c.text("to-" + n)}
		for _, text := range c.texts("day-" + n) {
			if day, err := strconv.Atoi(text); err == nil && day >= 0 && day <= 6 {
				r.Days = append(r.Days, day)
			}
		}
		e.Rows = append(e.Rows, r)
	}
	return e
}

// step adds or removes a row, as who has no script asks for.
func (e *scheduleEntry) step(act string) bool {
	what, n, _ := strings.Cut(act, " ")
	switch what {
	case "add":
		e.Rows = append(e.Rows, spanRow{N: nextRow(e.Rows, func(r spanRow) string { return r.N }), Focus: true})
	case "remove":
		e.Rows = slices.DeleteFunc(e.Rows, func(r spanRow) bool { return r.N == n })
	default:
		return false
	}
	return true
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
	if len(e.Rows) > mostSpans {
		return bad("hours", "got %d spans, want at most %d", len(e.Rows), mostSpans)
	}
	for i, r := range e.Rows {
		hours := fmt.Sprintf("hours %d", i+1)
		switch {
		case r.From == "" && r.To == "" && len(r.Days) == 0:
			continue
		case r.From == "" || r.To == "" || len(r.Days) == 0:
			return bad(hours, "want days, from and until, or nothing of it")
		}
		from, err := minuteOf(r.From)
		to, errTo := minuteOf(r.To)
		if err != nil || errTo != nil {
			return bad(hours, "want times such as 08:00")
		}
		if to == 0 { // midnight at the end of the day
			to = 24 * 60
		}
		if to <= from {
			return bad(hours, "%s is not after %s; for hours past midnight add two spans: one until 00:00, and one from 00:00 on the next day", r.To, r.From)
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
