package pages

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"latchkey/access"
)

// weekdays are the days as people list them, by access.Interval.Day.
func weekdays() []int { return []int{1, 2, 3, 4, 5, 6, 0} }

// weekText says when a schedule holds: "Mon–Fri 08:00–18:00, Sat 09:00–12:00,
// Europe/Berlin, not on 2 holidays".
func weekText(s access.Schedule) string {
	var parts []string
	days := weekdays()
	for i := 0; i < len(days); {
		hours := dayText(s, days[i])
		last := i
		for last+1 < len(days) && dayText(s, days[last+1]) == hours {
			last++
		}
		if hours != "" {
			parts = append(parts, dayRange(days[i], days[last])+" "+hours)
		}
		i = last + 1
	}
	if len(parts) == 0 {
		parts = append(parts, "never")
	}
	parts = append(parts, s.Zone)
	if n := len(s.Holidays); n > 0 {
		parts = append(parts, "not on "+count(n, "holiday", "holidays"))
	}
	return strings.Join(parts, ", ")
}

// dayText is the hours of one day, such as "08:00–12:00 and 13:00–17:00".
func dayText(s access.Schedule, day int) string {
	var spans []string
	for _, iv := range dayHours(s, day) {
		spans = append(spans, minuteText(iv.From)+"–"+minuteText(iv.To))
	}
	return strings.Join(spans, " and ")
}

// dayHours are the intervals of one day, the earliest first.
func dayHours(s access.Schedule, day int) []access.Interval {
	var all []access.Interval
	for _, iv := range s.Weekly {
		if iv.Day == day {
			all = append(all, iv)
		}
	}
	slices.SortFunc(all, func(a, b access.Interval) int { return a.From - b.From })
	return all
}

func dayRange(first, last int) string {
	if first == last {
		return dayName(first)
	}
	return dayName(first) + "–" + dayName(last)
}

func dayName(day int) string { return time.Weekday(day).String()[:3] }

// minuteText is minutes since midnight as a clock: 1440 is 24:00.
func minuteText(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }
