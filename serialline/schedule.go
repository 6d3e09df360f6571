package serialline

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// ErrSchedule says that schedules cannot be put into a table, or read from it.
var ErrSchedule = errors.New("serialline: schedule")

// A Schedule says when a card opens a door. It holds at an instant whose local
// weekday and minute stand in one of Weekly, on a date that is not in Holidays.
type Schedule struct {
	Zone     Zone
	Weekly   []Interval
	Holidays []Date
}

// An Interval is a span of the days of its mask, [From, To) in minutes.
type Interval struct {
	Days uint8  // bit 0 Sunday to bit 6 Saturday
	From uint16 // minutes of local time, 0 to 1439
	To   uint16 // 1 to 1440
}

// A Date is a day of the calendar, in days since 1970-01-01.
type Date uint16

// DateOf is the date that t stands at in its own zone.
func DateOf(t time.Time) Date {
	y, m, d := t.Date()
	return Date(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// A Zone is the time of a place: its offsets from UTC and when they begin. The
// first one holds before it begins as well, the last one for ever.
type Zone []Offset

// An Offset holds from a minute on.
type Offset struct {
	From     uint32 // unix minutes; 0 in the first
	Quarters int8   // quarters of an hour east of UTC, -56 to 56
}

// ZoneYears is how far ahead ZoneOf looks. It covers a controller whose host is
// away; a host that is there sends the next year's each January.
const ZoneYears = 10

// ZoneOf works out the offsets of loc for ZoneYears years from the start of
// year on. A controller has no rules of time zones, whose changes come from
// parliaments at short notice: it gets what follows from them.
func ZoneOf(loc *time.Location, year int) (Zone, error) {
	at := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)
	end := at.AddDate(ZoneYears, 0, 0)
	if at.Unix() < 0 || end.Unix()/60 > math.MaxUint32 {
		return nil, fmt.Errorf("%w: year %d, want 1970 to 10000", ErrSchedule, year)
	}
	var z Zone
	for {
		_, sec := at.In(loc).Zone()
		if sec%900 != 0 {
			return nil, fmt.Errorf("%w: zone %s is %d s from UTC in %d, want quarters of an hour", ErrSchedule, loc, sec, at.Year())
		}
		if o := (Offset{uint32(at.Unix() / 60), int8(sec / 900)}); len(z) == 0 {
			o.From = 0
			z = append(z, o)
		} else if z[len(z)-1].Quarters != o.Quarters {
			z = append(z, o)
		}
		_, next := at.In(loc).ZoneBounds()
		if next.IsZero() || !next.Before(end) {
			return z, nil
		}
		at = next
	}
}

// Holds reports whether s holds at that instant.
func (s Schedule) Holds(at time.Time) bool {
	local := at.Unix() + int64(s.Zone.quarters(at))*900
	day := floorDiv(local, 86400)
	minute := uint16((local - day*86400) / 60)
	weekday := uint8(((day+4)%7 + 7) % 7) // 1970-01-01 was a Thursday
	for _, i := range s.Weekly {
		if i.Days>>weekday&1 == 1 && i.From <= minute && minute < i.To {
			return day < 0 || day > math.MaxUint16 || !slices.Contains(s.Holidays, Date(day))
		}
	}
	return false
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func (z Zone) quarters(at time.Time) int8 {
	minute := floorDiv(at.Unix(), 60)
	q := int8(0)
	for i, o := range z {
		if i > 0 && int64(o.From) > minute {
			break
		}
		q = o.Quarters
	}
	return q
}

// The kinds of record in the schedule table: the first byte of the key. The second
// is the slot (of a zone: its number), the next two the part, little endian;
// the rest is zero.
const (
	rowWeekly   = 1 // zone u8, then 3 of {days u8, from u16, to u16}; days 0 is unused
	rowHolidays = 2 // 8 of u16; 0 is unused
	rowZone     = 3 // 3 of {from u32, quarters i8}, then 0; from 0xFFFFFFFF is unused

	perWeekly, perHolidays, perZone = 3, 8, 3

	unusedOffset = math.MaxUint32
)

// What one slot has room for.
const (
	MaxIntervals = 255 * perWeekly
	MaxHolidays  = 255 * perHolidays
)

func scheduleKey(kind, slot uint8, part int) (k Key) {
	k[0], k[1] = kind, slot
	binary.LittleEndian.PutUint16(k[2:], uint16(part))
	return k
}

// EncodeSchedules returns the records of a whole schedule table, sorted by key.
// Equal schedules give equal records, whatever the order of their parts. A slot is
// 1 to 255; one that has no interval has no record, and never holds.
func EncodeSchedules(slots map[uint8]Schedule) ([]Record, error) {
	var rows [][RecordLen]byte
	row := func(kind, slot uint8, part int) []byte {
		k := scheduleKey(kind, slot, part)
		rows = append(rows, [RecordLen]byte{})
		w := &rows[len(rows)-1]
		copy(w[:], k[:])
		return w[KeyLen:]
	}
	zones := map[string]Zone{} // by content, which sorts them
	text := func(z Zone) string { return fmt.Sprint([]Offset(z)) }
	for _, s := range slots {
		if len(s.Weekly) > 0 {
			zones[text(s.Zone)] = s.Zone
		}
	}
	if len(zones) > 256 {
		return nil, fmt.Errorf("%w: %d time zones, want at most 256", ErrSchedule, len(zones))
	}
	number := make(map[string]uint8, len(zones))
	for i, t := range slices.Sorted(maps.Keys(zones)) {
		number[t] = uint8(i)
		if err := zones[t].check(); err != nil {
			return nil, err
		}
		part := 0
		for c := range slices.Chunk(zones[t], perZone) {
			b := row(rowZone, uint8(i), part)
			for j := range perZone {
				at := uint32(unusedOffset)
				if j < len(c) {
					at = c[j].From
					b[j*5+4] = byte(c[j].Quarters)
				}
				binary.LittleEndian.PutUint32(b[j*5:], at)
			}
			part++
		}
	}
	for slot, s := range slots {
		if slot == 0 {
			return nil, fmt.Errorf("%w: slot 0 is always, and has no records", ErrSchedule)
		}
		weekly, err := mergeDays(s.Weekly)
		if err != nil {
			return nil, fmt.Errorf("%w in slot %d", err, slot)
		}
		if len(weekly) == 0 {
			continue
		}
		holidays := slices.Clone(s.Holidays)
		slices.Sort(holidays)
		holidays = slices.Compact(holidays)
		if len(weekly) > MaxIntervals || len(holidays) > MaxHolidays || len(holidays) > 0 && holidays[0] == 0 {
			return nil, fmt.Errorf("%w: %d intervals and %d holidays in slot %d, want at most %d and %d, and no date before 1970-01-02",
				ErrSchedule, len(weekly), len(holidays), slot, MaxIntervals, MaxHolidays)
		}
		part := 0
		for c := range slices.Chunk(weekly, perWeekly) {
			b := row(rowWeekly, slot, part)
			b[0] = number[text(s.Zone)]
			for j, i := range c {
				b[1+j*5] = i.Days
				binary.LittleEndian.PutUint16(b[2+j*5:], i.From)
				binary.LittleEndian.PutUint16(b[4+j*5:], i.To)
			}
			part++
		}
		part = 0
		for c := range slices.Chunk(holidays, perHolidays) {
			b := row(rowHolidays, slot, part)
			for j, d := range c {
				binary.LittleEndian.PutUint16(b[j*2:], uint16(d))
			}
			part++
		}
	}
	slices.SortFunc(rows, func(a, b [RecordLen]byte) int { return slices.Compare(a[:], b[:]) })
	records := make([]Record, len(rows))
	for i, b := range rows {
		records[i] = RecordOf(b)
	}
	return records, nil
}

func (z Zone) check() error {
	if len(z) == 0 || len(z) > 255*perZone {
		return fmt.Errorf("%w: a zone of %d offsets, want 1 to %d", ErrSchedule, len(z), 255*perZone)
	}
	for i, o := range z {
		if o.From == unusedOffset || o.Quarters < -56 || o.Quarters > 56 || (i == 0) != (o.From == 0) || i > 0 && o.From <= z[i-1].From {
			return fmt.Errorf("%w: offset %d of a zone is %d quarters from minute %d on", ErrSchedule, i, o.Quarters, o.From)
		}
	}
	return nil
}

// mergeDays gives intervals of the same hours one row, sorted by hours.
func mergeDays(weekly []Interval) ([]Interval, error) {
	days := map[[2]uint16]uint8{}
	for _, i := range weekly {
		if i.Days == 0 || i.Days > 0x7F || i.From >= i.To || i.To > 1440 {
			return nil, fmt.Errorf("%w: interval of days %#x from minute %d to %d", ErrSchedule, i.Days, i.From, i.To)
		}
		days[[2]uint16{i.From, i.To}] |= i.Days
	}
	out := make([]Interval, 0, len(days))
	for h, d := range days {
		out = append(out, Interval{d, h[0], h[1]})
	}
	slices.SortFunc(out, func(a, b Interval) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	return out, nil
}

// DecodeSchedules reads the records of a whole schedule table. The error is an
// ErrSchedule. A slot that is not in the result never holds.
func DecodeSchedules(t *Table) (map[uint8]Schedule, error) {
	rows := slices.Collect(t.All())
	slices.SortFunc(rows, func(a, b Record) int {
		ka, kb := a.Key, b.Key
		return cmp.Or(cmp.Compare(ka[0], kb[0]), cmp.Compare(ka[1], kb[1]),
			cmp.Compare(binary.LittleEndian.Uint16(ka[2:]), binary.LittleEndian.Uint16(kb[2:])))
	})
	slots := map[uint8]Schedule{}
	zones := map[uint8]Zone{}
	zoneOf := map[uint8]uint8{}
	for _, r := range rows {
		if err := CheckSchedule(r); err != nil {
			return nil, err
		}
		raw := r.Bytes()
		slot, b := raw[1], raw[KeyLen:]
		s := slots[slot]
		switch raw[0] {
		case rowWeekly:
			if z, ok := zoneOf[slot]; ok && z != b[0] {
				return nil, fmt.Errorf("%w: slot %d has zones %d and %d", ErrSchedule, slot, z, b[0])
			}
			zoneOf[slot] = b[0]
			for j := range perWeekly {
				i := Interval{b[1+j*5], binary.LittleEndian.Uint16(b[2+j*5:]), binary.LittleEndian.Uint16(b[4+j*5:])}
				if i.Days != 0 {
					s.Weekly = append(s.Weekly, i)
				}
			}
			slots[slot] = s
		case rowHolidays:
			for j := range perHolidays {
				if d := Date(binary.LittleEndian.Uint16(b[j*2:])); d != 0 {
					s.Holidays = append(s.Holidays, d)
				}
			}
			slots[slot] = s
		case rowZone:
			for j := range perZone {
				if at := binary.LittleEndian.Uint32(b[j*5:]); at != unusedOffset {
					zones[slot] = append(zones[slot], Offset{at, int8(b[j*5+4])})
				}
			}
		}
	}
	for n, z := range zones {
		if err := z.check(); err != nil {
			return nil, fmt.Errorf("%w (zone %d)", err, n)
		}
	}
	for slot, s := range slots {
		n, ok := zoneOf[slot]
		z := zones[n]
		if !ok || z == nil {
			return nil, fmt.Errorf("%w: slot %d lacks intervals or its zone", ErrSchedule, slot)
		}
		s.Zone = z
		slots[slot] = s
	}
	return slots, nil
}

// CheckSchedule says what keeps a record out of a schedule table, whatever else
// is in it. The error is an ErrSchedule.
func CheckSchedule(r Record) error {
	raw := r.Bytes()
	k, b := r.Key, raw[KeyLen:]
	if [12]byte(k[4:]) != [12]byte{} {
		return fmt.Errorf("%w: the key's last twelve bytes are not zero", ErrSchedule)
	}
	if k[1] == 0 && k[0] != rowZone {
		return fmt.Errorf("%w: slot 0 is always, and has no records", ErrSchedule)
	}
	switch k[0] {
	case rowWeekly:
		for j := range perWeekly {
			days, from, to := b[1+j*5], binary.LittleEndian.Uint16(b[2+j*5:]), binary.LittleEndian.Uint16(b[4+j*5:])
			if days > 0x7F || days != 0 && (from >= to || to > 1440) {
				return fmt.Errorf("%w: interval of days %#x from minute %d to %d", ErrSchedule, days, from, to)
			}
		}
	case rowHolidays:
	case rowZone:
		for j := range perZone {
			if q := int8(b[j*5+4]); q < -56 || q > 56 {
				return fmt.Errorf("%w: offset of %d quarters", ErrSchedule, q)
			}
		}
	default:
		return fmt.Errorf("%w: record of kind %d", ErrSchedule, k[0])
	}
	return nil
}
