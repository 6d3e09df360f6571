package wiegand

import (
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func parse(t testing.TB, text string) Bits {
	t.Helper()
	b, err := ParseBits(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestIdentify(t *testing.T) {
	c := load(t)
	named := func(name string) Use { return Use{Format: format(t, c, name)} }
	with := func(name string, change func(*Use)) Use {
		u := named(name)
		change(&u)
		return u
	}
	at255 := with("H10301", func(u *Use) { u.Facilities = []uint64{12, 255} })
	at12 := with("H10301", func(u *Use) { u.Facilities = []uint64{12} })
	lax := with("H10301", func(u *Use) { u.IgnoreParity = true })
	lax12 := with("H10301", func(u *Use) { u.IgnoreParity, u.Facilities = true, []uint64{12} })
	laxIND := with("IND26", func(u *Use) { u.IgnoreParity = true })
	const zk = "36:800302691" // facility 6; as a C15001 both its parities are wrong
	laxC15 := with("C15001", func(u *Use) { u.IgnoreParity = true })
	zk36, zk36At5 := named("ZK36"), with("ZK36", func(u *Use) { u.Facilities = []uint64{5} })
	csn := with("CSN32", func(u *Use) { u.ReversedBytes = true })
	for _, tt := range []struct {
		name, card    string
		uses          []Use
		format, bits  string // format "" is none
		parity, wrong bool
	}{
		{"no formats", "26:1FF9090", nil, "", "", false, false},
		{"as it is", "26:1FF9090", []Use{named("H10302"), named("H10301")}, "H10301", "26:1FF9090", false, false},
		{"another length", "27:1FF9090", []Use{named("H10301")}, "", "", false, false},
		{"parity", "26:1FF9091", []Use{named("H10301")}, "", "", false, false},
		{"parity ignored", "26:1FF9091", []Use{lax}, "H10301", "26:1FF9090", true, false},
		{"both parities ignored", "26:3FF9091", []Use{lax}, "H10301", "26:1FF9090", true, false},
		{"sound all the same", "26:1FF9090", []Use{lax}, "H10301", "26:1FF9090", false, false},
		{"facility", "26:1FF9090", []Use{at255}, "H10301", "26:1FF9090", false, false},
		{"wrong facility", "26:1FF9090", []Use{at12}, "H10301", "26:1FF9090", false, true},
		{"wrong facility behind a parity", "26:1FF9091", []Use{lax12}, "H10301", "26:1FF9090", true, true},
		{"wrong facility in the first", "26:1FF9090", []Use{at12, named("IND26")}, "IND26", "26:1FF9090", false, false},
		{"sound in a later one", zk, []Use{laxC15, zk36}, "ZK36", zk, false, false},
		{"sound in a later one, of another facility", zk, []Use{laxC15, zk36At5}, "ZK36", zk, false, true},
		{"sound in an earlier one", zk, []Use{zk36, laxC15}, "ZK36", zk, false, false},
		{"sound in none, order decides", "26:1FF9091", []Use{lax12, laxIND}, "IND26", "26:1FF9090", true, false},
		{"reversed", "32:01020304", []Use{csn}, "CSN32", "32:04030201", false, false},
		{"reversed, order decides", "32:01020304", []Use{named("CSN32"), csn}, "CSN32", "32:01020304", false, false},
		{"reversed, no bytes", "26:1FF9090", []Use{csn}, "", "", false, false},
	} {
		m, ok := Identify(tt.uses, parse(t, tt.card))
		if ok != (tt.format != "") {
			t.Errorf("%s: found %v", tt.name, ok)
			continue
		}
		if ok && (m.Format.Name != tt.format || m.Bits.Text() != tt.bits || m.ParityIgnored != tt.parity || m.WrongFacility != tt.wrong) {
			t.Errorf("%s: got %s %s, parity ignored %v, wrong facility %v", tt.name, m.Format.Name, m.Bits.Text(), m.ParityIgnored, m.WrongFacility)
		}
	}
}

// Parities are all that ignoring them forgives.
func TestOtherChecksAreNotIgnored(t *testing.T) {
	c := load(t)
	kastle := Use{Format: format(t, c, "KASTLE32"), IgnoreParity: true}
	if _, ok := Identify([]Use{kastle}, parse(t, "32:80000001")); ok {
		t.Error("a card without the fixed bit was taken")
	}
}

// Whatever its parities are, a card with IgnoreParity is the card that its
// fields make, and keeps what stands outside all fields.
func TestIgnoredParityIsMended(t *testing.T) {
	c := load(t)
	formats := slices.DeleteFunc(c.Formats(), func(f *Format) bool { return len(f.Parity) == 0 })
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(formats).Draw(t, "format")
		raw := rapid.SliceOfN(rapid.Byte(), (f.Bits+7)/8, (f.Bits+7)/8).Draw(t, "bits")
		b, err := MakeBits(f.Bits, raw)
		if err != nil {
			t.Fatal(err)
		}
		before, err := f.Inspect(b)
		if err != nil {
			t.Fatal(err)
		}
		m, ok := Identify([]Use{{Format: f, IgnoreParity: true}}, b)
		if ok != before.onlyParity() {
			t.Fatalf("%s %s: taken %v, faults %v", f.Name, b.Text(), ok, before.Faults())
		}
		if !ok {
			return
		}
		after, err := f.Inspect(m.Bits)
		if err != nil || !after.Sound() || !maps.Equal(after.Fields, before.Fields) || !slices.Equal(after.Spare, before.Spare) {
			t.Fatalf("%s %s: mended to %s with %+v, %v, before %+v", f.Name, b.Text(), m.Bits.Text(), after, err, before)
		}
		if m.ParityIgnored != (len(before.Parity) > 0) || (m.Bits == b) == m.ParityIgnored {
			t.Fatalf("%s %s: parity ignored %v, bits %s", f.Name, b.Text(), m.ParityIgnored, m.Bits.Text())
		}
	})
}

// A card that one of the site's formats reads as it is stays as it is, whatever
// the others would make of it, and all readings are there: those of the card as
// it is first, each kind in the site's order.
func TestMendedReadingsComeLast(t *testing.T) {
	c := load(t)
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(c.Formats()).Draw(t, "format")
		raw := rapid.SliceOfN(rapid.Byte(), (f.Bits+7)/8, (f.Bits+7)/8).Draw(t, "bits")
		b, err := MakeBits(f.Bits, raw)
		if err != nil {
			t.Fatal(err)
		}
		same := slices.DeleteFunc(c.Formats(), func(other *Format) bool { return other.Bits != f.Bits })
		var uses []Use
		for _, f := range rapid.Permutation(same).Draw(t, "order") {
			uses = append(uses, Use{Format: f, IgnoreParity: rapid.Bool().Draw(t, "ignore parity")})
		}
		var want, mended []string
		for _, u := range uses {
			switch r, err := u.Format.Inspect(b); {
			case err != nil:
				t.Fatal(err)
			case r.Sound():
				want = append(want, u.Format.Name)
			case u.IgnoreParity && r.onlyParity():
				mended = append(mended, u.Format.Name)
			}
		}
		m, ok := Identify(uses, b)
		if ok && (m.Bits == b) != (len(want) > 0) {
			t.Fatalf("%s: %s makes it %s, as it is %v", b.Text(), m.Format.Name, m.Bits.Text(), want)
		}
		var got []string
		for _, m := range Matches(uses, b) {
			got = append(got, m.Format.Name)
		}
		if want = append(want, mended...); !slices.Equal(got, want) {
			t.Fatalf("%s: got %v, want %v", b.Text(), got, want)
		}
	})
}

func TestUseFaults(t *testing.T) {
	c := load(t)
	for _, tt := range []struct {
		use  Use
		want []Fault
	}{
		{Use{Format: format(t, c, "H10301"), Facilities: []uint64{0, 255}, IgnoreParity: true}, nil},
		{Use{Format: format(t, c, "CSN56"), ReversedBytes: true}, nil},
		{Use{Format: format(t, c, "H10301"), Facilities: []uint64{1, 256}}, []Fault{{"facilities[1]", "256: facility codes of H10301 go up to 255"}}},
		{Use{Format: format(t, c, "H10302"), Facilities: []uint64{1}}, []Fault{{"facilities", "H10302 has no facility code"}}},
		{Use{Format: format(t, c, "CSN32"), IgnoreParity: true}, []Fault{{"ignore_parity", "CSN32 has no parity to ignore"}}},
		{Use{Format: format(t, c, "H10301"), ReversedBytes: true}, []Fault{{"reversed_bytes", "H10301 has 26 bits, want whole bytes"}}},
	} {
		if got := tt.use.Faults(); !slices.Equal(got, tt.want) {
			t.Errorf("%+v: got %v, want %v", tt.use, got, tt.want)
		}
	}
}
