package wiegand

import "testing"

func BenchmarkDecodeH10302(b *testing.B) {
	f := format(b, load(b), "H10302")
	card, err := f.Encode(map[string]uint64{"card": 28065708012})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Decode(card); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCandidates10(b *testing.B) {
	c := load(b)
	var formats []*Format
	for _, name := range []string{"H10301", "IND26", "D10202", "H10306", "C1K35", "S12906", "H10302", "H10304", "MDI37", "C1K48"} {
		formats = append(formats, format(b, c, name))
	}
	card, err := formats[6].Encode(map[string]uint64{"card": 28065708012})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if len(Candidates(formats, card)) == 0 {
			b.Fatal("no candidate")
		}
	}
}

func BenchmarkEncodeH10301(b *testing.B) {
	f := format(b, load(b), "H10301")
	fields := map[string]uint64{"facility": 255, "card": 51272}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Encode(fields); err != nil {
			b.Fatal(err)
		}
	}
}
