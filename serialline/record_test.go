package serialline

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestKey(t *testing.T) {
	for _, tt := range []struct {
		n    int
		left []byte
		want string // hex of the key; empty is the zero key
	}{
		{26, []byte{0xFF, 0xC8, 0x48, 0x3F}, "1affc848000000000000000000000000"},
		{120, bytes.Repeat([]byte{1}, 15), "78010101010101010101010101010101"},
		{0, nil, ""}, {1025, make([]byte, 200), ""}, {26, []byte{1}, ""},
	} {
		got := MakeKey(tt.n, tt.left)
		if text := fmt.Sprintf("%x", got[:]); tt.want != "" && text != tt.want || tt.want == "" && got != (Key{}) {
			t.Errorf("%d bits: got %s, want %s", tt.n, text, tt.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 1024).Draw(t, "bits")
		left := rapid.SliceOfN(rapid.Byte(), (n+7)/8, (n+7)/8).Draw(t, "left")
		k := MakeKey(n, left)
		if !k.valid() {
			t.Fatal("a card's key is not valid")
		}
		m, back, ok := k.Bits()
		if ok != (n <= 120) || ok && (m != n || MakeKey(m, back) != k) {
			t.Fatalf("%d bits came back as %d, %v", n, m, ok)
		}
	})
}

func TestNothingPrintsACard(t *testing.T) {
	r := Record{Key: MakeKey(26, []byte{0xAB, 0xCD, 0xEF, 0x40}), Doors: 1}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "key", r.Key)
	for _, s := range []string{fmt.Sprint(r), fmt.Sprintf("%+v %x %d %q", r, r.Key, r.Key, r.Key), fmt.Sprintf("%v", Event{Key: r.Key}),
		fmt.Sprintf("%#v", r.Key), fmt.Sprintf("%+v", UpsertRequest{Records: []Record{r}}), log.String(), fmt.Sprint(r.CheckCredential())} {
		for _, bad := range []string{"171", "abcd", "ABCD", "205"} { // 0xAB, 0xCD
			if strings.Contains(s, bad) {
				t.Errorf("%q shows the card", s)
			}
		}
	}
}

func records(n int) []Record {
	out := make([]Record, n)
	for i := range out {
		out[i] = Record{Key: MakeKey(37, []byte{byte(i >> 16), byte(i >> 8), byte(i), 0xA0, 0}), Doors: uint16(i % 16), ValidUntil: uint32(i)}
	}
	return out
}

// TestRootAfterAnyOrder: tables that hold the same have the same root, however
// they came to it.
func TestRootAfterAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := records(40)
		a, b := NewTable(), NewTable()
		want := map[Key]Record{}
		for range rapid.IntRange(0, 80).Draw(t, "steps") {
			r := all[rapid.IntRange(0, len(all)-1).Draw(t, "record")]
			r.Flags = rapid.Uint16Range(0, 3).Draw(t, "flags")
			if rapid.Bool().Draw(t, "del") {
				if _, had := want[r.Key]; a.Delete(r.Key) != had {
					t.Fatal("Delete does not say what was there")
				}
				delete(want, r.Key)
			} else {
				a.Put(r)
				want[r.Key] = r
			}
		}
		for _, r := range want {
			b.Put(r)
		}
		if a.Root() != b.Root() || a.Len() != len(want) || a.Clone().Root() != b.Root() {
			t.Fatalf("roots differ with %d and %d records", a.Len(), len(want))
		}
		if len(want) > 0 {
			for _, r := range want {
				r.Doors ^= 1
				b.Put(r)
				break
			}
			if a.Root() == b.Root() {
				t.Fatal("another record, the same root")
			}
		}
		n := 0
		for i := range 256 {
			n += len(a.Bucket(uint8(i)))
		}
		if n != len(want) {
			t.Fatalf("%d records in buckets, want %d", n, len(want))
		}
	})
}

func TestRecordBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := [RecordLen]byte(rapid.SliceOfN(rapid.Byte(), RecordLen, RecordLen).Draw(t, "bytes"))
		if got := RecordOf(b).Bytes(); got != b {
			t.Fatalf("% x came back as % x", b, got)
		}
	})
}

func berlin(t testing.TB, year int) Zone {
	loc, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	z, err := ZoneOf(loc, year)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// TestZones compares the offsets with the real ones, hour by hour.
func TestZones(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Africa/Casablanca", "Australia/Lord_Howe", "Pacific/Apia"} {
		loc, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		z, err := ZoneOf(loc, 2026)
		if err != nil {
			t.Fatal(err)
		}
		if err := z.check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2036; at = at.Add(time.Hour) {
			if _, sec := at.In(loc).Zone(); int(z.quarters(at))*900 != sec {
				t.Fatalf("%s at %v: got %d quarters, want %d s", name, at, z.quarters(at), sec)
			}
		}
	}
}

func TestScheduleHolds(t *testing.T) {
	loc, _ := time.LoadLocation("Europe/Berlin")
	s := Schedule{
		Zone:     berlin(t, 2026),
		Weekly:   []Interval{{Days: 0b0111110, From: 8 * 60, To: 18 * 60}, {Days: 1 << 6, From: 0, To: 1440}},
		Holidays: []Date{DateOf(time.Date(2026, 12, 25, 12, 0, 0, 0, loc))},
	}
	for _, tt := range []struct {
		at   time.Time
		want bool
	}{
		{time.Date(2026, 11, 23, 8, 0, 0, 0, loc), true}, // a Monday
		{time.Date(2026, 11, 23, 7, 59, 59, 0, loc), false},
		{time.Date(2026, 11, 23, 18, 0, 0, 0, loc), false},
		{time.Date(2026, 7, 6, 17, 59, 59, 0, loc), true}, // in summer time
		{time.Date(2026, 7, 6, 18, 0, 0, 0, loc), false},
		{time.Date(2026, 11, 22, 12, 0, 0, 0, loc), false}, // a Sunday
		{time.Date(2026, 11, 21, 0, 0, 0, 0, loc), true},
		{time.Date(2026, 11, 21, 23, 59, 0, 0, loc), true},
		{time.Date(2026, 12, 25, 12, 0, 0, 0, loc), false}, // a Friday, and a holiday
		{time.Unix(0, 0), false},
		{time.Date(1800, 1, 1, 0, 0, 0, 0, time.UTC), false},
	} {
		if got := s.Holds(tt.at); got != tt.want {
			t.Errorf("%v: got %v, want %v", tt.at, got, tt.want)
		}
	}
}

func TestSchedulesRoundTrip(t *testing.T) {
	z := berlin(t, 2026)
	rapid.Check(t, func(t *rapid.T) {
		slots := map[uint8]Schedule{}
		for range rapid.IntRange(0, 5).Draw(t, "slots") {
			s := Schedule{Zone: rapid.SampledFrom([]Zone{z, {{0, 0}}, {{0, -20}, {900, 7}}}).Draw(t, "zone")}
			for range rapid.IntRange(0, 9).Draw(t, "intervals") {
				from := rapid.Uint16Range(0, 1439).Draw(t, "from")
				s.Weekly = append(s.Weekly, Interval{rapid.Uint8Range(1, 127).Draw(t, "days"), from, rapid.Uint16Range(from+1, 1440).Draw(t, "to")})
			}
			for range rapid.IntRange(0, 20).Draw(t, "holidays") {
				s.Holidays = append(s.Holidays, Date(rapid.Uint16Range(1, 65535).Draw(t, "date")))
			}
			slots[rapid.Uint8Range(1, 255).Draw(t, "slot")] = s
		}
		rows, err := EncodeSchedules(slots)
		if err != nil {
			t.Fatal(err)
		}
		table := NewTable()
		for _, r := range rows {
			table.Put(r)
		}
		if table.Len() != len(rows) {
			t.Fatal("two records with one key")
		}
		back, err := DecodeSchedules(table)
		if err != nil {
			t.Fatal(err)
		}
		again, err := EncodeSchedules(back)
		if err != nil || !slices.Equal(rows, again) {
			t.Fatalf("%d records came back as %d, %v", len(rows), len(again), err)
		}
		for range 50 {
			at := time.Unix(rapid.Int64Range(0, 1<<32).Draw(t, "at"), 0)
			for slot, s := range slots {
				if got, ok := back[slot]; ok != (len(s.Weekly) > 0) || got.Holds(at) != s.Holds(at) {
					t.Fatalf("slot %d holds at %v: %v, %v", slot, at, got.Holds(at), s.Holds(at))
				}
			}
		}
	})
}

func TestSchedulesRefused(t *testing.T) {
	z := Zone{{0, 4}}
	for name, s := range map[string]Schedule{
		"no zone":       {Weekly: []Interval{{1, 0, 1}}},
		"empty":         {Zone: z, Weekly: []Interval{{1, 5, 5}}},
		"past midnight": {Zone: z, Weekly: []Interval{{1, 5, 1441}}},
		"no day":        {Zone: z, Weekly: []Interval{{0, 5, 6}}},
		"an eighth day": {Zone: z, Weekly: []Interval{{0x80, 5, 6}}},
		"zone order":    {Zone: Zone{{0, 1}, {7, 2}, {7, 1}}, Weekly: []Interval{{1, 5, 6}}},
		"day zero":      {Zone: z, Weekly: []Interval{{1, 5, 6}}, Holidays: []Date{0}},
	} {
		if _, err := EncodeSchedules(map[uint8]Schedule{1: s}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := EncodeSchedules(map[uint8]Schedule{0: {Zone: z, Weekly: []Interval{{1, 5, 6}}}}); err == nil {
		t.Error("slot 0 was taken")
	}
	// A table that lost one record of a zone must not go for another time.
	rows, _ := EncodeSchedules(map[uint8]Schedule{1: {Zone: z, Weekly: []Interval{{1, 5, 6}}}})
	table := NewTable()
	for _, r := range rows {
		if r.Key[0] != rowZone {
			table.Put(r)
		}
	}
	if _, err := DecodeSchedules(table); err == nil {
		t.Error("a slot without its zone was taken")
	}
}

func FuzzSchedules(f *testing.F) {
	rows, _ := EncodeSchedules(map[uint8]Schedule{1: {Zone: Zone{{0, 4}, {50, 8}}, Weekly: []Interval{{1, 5, 6}}, Holidays: []Date{9}}})
	var seed []byte
	for _, r := range rows {
		b := r.Bytes()
		seed = append(seed, b[:]...)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		table := NewTable()
		for c := range slices.Chunk(b, RecordLen) {
			if len(c) == RecordLen {
				table.Put(RecordOf([RecordLen]byte(c)))
			}
		}
		slots, err := DecodeSchedules(table)
		if err != nil {
			return
		}
		if _, err := EncodeSchedules(slots); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
	})
}
