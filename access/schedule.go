package access

import (
	"errors"
	"fmt"
	"time"
	_ "time/tzdata" // a site must know its zone on a machine that has none
)

// ErrSchedule says that a schedule cannot be worked out. It does not hold then.
var ErrSchedule = errors.New("access: schedule")

const (
	minutesADay = 24 * 60
	dateLayout  = "2006-01-02"
)

// Holds reports whether the schedule holds at that instant: whether the wall
// clock of its zone stands in one of the intervals of that weekday, on a date
// that is no holiday. When the clock is put forward, the minutes that it jumps
// over do not happen; when it is put back, an interval holds in both passes.
// The error is an ErrSchedule, with false.
func (s Schedule) Holds(at time.Time) (bool, error) {
	h, err := s.compile(loadZone)
	if err != nil {
		return false, fmt.Errorf("%w %q: %w", ErrSchedule, s.ID, err)
	}
	return h.hold(at), nil
}

// hours is a Schedule made ready.
type hours struct {
	zone     *time.Location
	week     [7][]Interval
	holidays map[int64]struct{} // days since 1970-01-01
}

const secondsADay = 24 * 60 * 60

func (h *hours) hold(at time.Time) bool {
	// One look-up of the zone serves weekday, minute and date alike.
	_, offset := at.In(h.zone).Zone()
	local := at.Unix() + int64(offset)
	second := (local%secondsADay + secondsADay) % secondsADay
	day := (local - second) / secondsADay
	weekday := ((day+int64(time.Thursday))%7 + 7) % 7 // 1970-01-01 was a Thursday
	minute := int(second / 60)
	for _, iv := range h.week[weekday] {
		if iv.From <= minute && minute < iv.To {
			_, holiday := h.holidays[day]
			return !holiday
		}
	}
	return false
}

func (s Schedule) compile(zone func(string) (*time.Location, error)) (*hours, error) {
	loc, err := zone(s.Zone)
	if err != nil {
		return nil, err
	}
	h := &hours{zone: loc}
	for i, iv := range s.Weekly {
		if err := iv.check(); err != nil {
			return nil, fmt.Errorf("weekly[%d].%w", i, err)
		}
		h.week[iv.Day] = append(h.week[iv.Day], iv)
	}
	for i, text := range s.Holidays {
		t, err := time.Parse(dateLayout, text)
		if err != nil || t.Year() < 1970 {
			return nil, fmt.Errorf("holidays[%d]: got %.40q, want a date such as 2026-12-25", i, text)
		}
		if h.holidays == nil {
			h.holidays = map[int64]struct{}{}
		}
		h.holidays[t.Unix()/secondsADay] = struct{}{}
	}
	return h, nil
}

func (iv Interval) check() error {
	switch {
	case iv.Day < 0 || iv.Day > 6:
		return fmt.Errorf("day: got %d, want 0 (Sunday) to 6", iv.Day)
	case iv.From < 0 || iv.From >= minutesADay:
		return fmt.Errorf("from: got %d, want 0 to %d", iv.From, minutesADay-1)
	case iv.To <= iv.From || iv.To > minutesADay:
		return fmt.Errorf("to: got %d, want %d to %d", iv.To, iv.From+1, minutesADay)
	}
	return nil
}

// loadZone is time.LoadLocation without the two names that mean whatever the
// machine is set to or forgot to say.
func loadZone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("zone: got %q, want an IANA name such as Europe/Berlin", name)
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("zone: %w", err)
	}
	return loc, nil
}
