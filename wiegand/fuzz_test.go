package wiegand

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
)

func FuzzBits(f *testing.F) {
	for _, s := range []string{"26:1FF9090", "1:0", "1024:F", "37:0", "26:", ":", "5:1F"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		b, err := ParseBits(s)
		if err != nil {
			if b != (Bits{}) || !errors.Is(err, ErrBits) {
				t.Fatalf("%q: %v with %v", s, b, err)
			}
			return
		}
		again, err := ParseBits(b.Text())
		if err != nil || again != b {
			t.Fatalf("%q: %s came back as %s, %v", s, b.Text(), again.Text(), err)
		}
		made, err := MakeBits(b.Len(), b.Bytes())
		if err != nil || made != b {
			t.Fatalf("%q: bytes came back as %s, %v", s, made.Text(), err)
		}
		text, err := json.Marshal(b)
		var back Bits
		if err != nil || json.Unmarshal(text, &back) != nil || back != b {
			t.Fatalf("%q: JSON %s came back as %s", s, text, back.Text())
		}
	})
}

func FuzzDecode(f *testing.F) {
	c := load(f)
	formats := c.Formats()
	for _, v := range loadVectors(f).Encode {
		i := slices.IndexFunc(formats, func(f *Format) bool { return f.Name == v.Format })
		f.Add(uint8(i), binaryBits(f, v.Binary).Bytes())
	}
	f.Fuzz(func(t *testing.T, i uint8, left []byte) {
		format := formats[int(i)%len(formats)]
		b, err := MakeBits(format.Bits, left)
		if err != nil {
			return
		}
		fields, err := format.DecodeBig(b)
		if err != nil {
			return
		}
		if again, err := format.EncodeBig(fields); err != nil || again != b {
			t.Fatalf("%s: %s decodes to %v, which encodes to %s, %v", format.Name, b.Text(), fields, again.Text(), err)
		}
	})
}

// FuzzPACS: what ParsePACS takes, PACS gives back byte for byte.
func FuzzPACS(f *testing.F) {
	for _, v := range loadVectors(f).Encode {
		f.Add(binaryBits(f, v.Binary).PACS())
	}
	f.Add([]byte{8, 0})
	f.Add([]byte{6, 0x7F, 0xE4, 0x24, 0x3F})
	f.Fuzz(func(t *testing.T, p []byte) {
		b, err := ParsePACS(p)
		if err != nil {
			if b != (Bits{}) || !errors.Is(err, ErrBits) {
				t.Fatalf("% X: %v with %v", p, b, err)
			}
			return
		}
		if got := b.PACS(); !slices.Equal(got, p) {
			t.Fatalf("% X came back as % X", p, got)
		}
	})
}

// FuzzFormat: a description that is taken says the same after it was written
// down, and cards of it go both ways.
func FuzzFormat(f *testing.F) {
	for _, format := range load(f).Formats() {
		if text, err := json.Marshal(format); err == nil {
			f.Add(text, []byte{0x7F, 0xE4, 0x24, 0})
		}
	}
	f.Add([]byte(wideFormat), []byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, text, left []byte) {
		format, err := ParseFormat(text)
		if err != nil {
			if format != nil || !errors.Is(err, ErrFormat) {
				t.Fatalf("%v with %v", format, err)
			}
			return
		}
		checkWritten(t, format)
		b, err := MakeBits(format.Bits, append(left, make([]byte, MaxBits/8)...))
		if err != nil {
			t.Fatal(err)
		}
		r, err := format.Inspect(b)
		if err != nil {
			t.Fatal(err)
		}
		fields, err := format.DecodeBig(b)
		if (err == nil) != r.OK() {
			t.Fatalf("DecodeBig: %v; Inspect: %v", err, r.Faults())
		}
		if found := Candidates([]*Format{format}, b); (len(found) == 1) != r.Sound() {
			t.Fatalf("%d candidates; Inspect: %v", len(found), r.Faults())
		}
		if err != nil {
			return
		}
		if again, err := format.EncodeBig(fields); err != nil || again != b {
			t.Fatalf("%s decodes to %v, which encodes to %s, %v", b.Text(), fields, again.Text(), err)
		}
	})
}

// checkWritten writes a format down and reads it again. A layout stands for
// fields, which do not stand beside it.
func checkWritten(t *testing.T, f *Format) {
	t.Helper()
	written, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Layout) > 0 {
		return
	}
	again, err := ParseFormat(written)
	if err != nil {
		t.Fatalf("%s: %v", written, err)
	}
	if twice, err := json.Marshal(again); err != nil || string(twice) != string(written) {
		t.Fatalf("%s came back as %s, %v", written, twice, err)
	}
}
