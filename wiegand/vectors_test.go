package wiegand

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
)

type vectors struct {
	Encode []struct {
		Format      string
		Bits        int
		Fields      map[string]json.Number
		Binary, Hex string
		Left        string `json:"left_aligned_hex"`
		PACS        string `json:"pacs_hex"`
	}
	Decode []struct {
		Binary  string
		Matches []struct {
			Format string
			Fields map[string]uint64
			Parity string // "ok", "fail" or "none" (the format has none)
		}
	}
	ParityErrors []struct {
		Format, Binary string
		FailingBits    []int `json:"failing_bits"`
	} `json:"parity_errors"`
	OutOfRange []struct {
		Format, Field string
		Value         json.Number
	} `json:"out_of_range"`
}

func loadVectors(t testing.TB) vectors {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Encode) != 399 || len(v.Decode) != 197 || len(v.ParityErrors) != 47 || len(v.OutOfRange) != 80 {
		t.Fatalf("got %d, %d, %d, %d vectors", len(v.Encode), len(v.Decode), len(v.ParityErrors), len(v.OutOfRange))
	}
	return v
}

func load(t testing.TB) *Catalogue {
	t.Helper()
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func format(t testing.TB, c *Catalogue, name string) *Format {
	t.Helper()
	f, ok := c.Lookup(name)
	if !ok {
		t.Fatalf("no format %s", name)
	}
	return f
}

// binary makes Bits of a string of 0 and 1.
func binaryBits(t testing.TB, s string) Bits {
	t.Helper()
	v, ok := new(big.Int).SetString(s, 2)
	if !ok {
		t.Fatalf("not binary: %q", s)
	}
	n := (len(s) + 7) / 8
	b, err := MakeBits(len(s), v.Lsh(v, uint(n*8-len(s))).FillBytes(make([]byte, n)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// numbers are a vector's numbers, exactly; small has them too if all fit 64
// bits.
func numbers(t testing.TB, in map[string]json.Number) (all map[string]*big.Int, small map[string]uint64) {
	t.Helper()
	all, small = map[string]*big.Int{}, map[string]uint64{}
	for k, v := range in {
		n, ok := new(big.Int).SetString(v.String(), 10)
		if !ok {
			t.Fatalf("not a number: %s", v)
		}
		all[k] = n
		if n.IsUint64() && small != nil {
			small[k] = n.Uint64()
		} else {
			small = nil
		}
	}
	return all, small
}

func sameNumbers(a, b map[string]*big.Int) bool {
	return maps.EqualFunc(a, b, func(x, y *big.Int) bool { return x.Cmp(y) == 0 })
}

func TestEncodeVectors(t *testing.T) {
	c := load(t)
	seen := map[string]int{}
	for _, v := range loadVectors(t).Encode {
		seen[v.Format]++
		f := format(t, c, v.Format)
		want := binaryBits(t, v.Binary)
		if left, _ := hex.DecodeString(v.Left); want.Hex() != v.Hex || !slices.Equal(want.Bytes(), left) {
			t.Errorf("%s: the vector's forms differ: hex %s, want %s", v.Format, want.Hex(), v.Hex)
		}
		pacs, _ := hex.DecodeString(v.PACS)
		if back, err := ParsePACS(pacs); err != nil || back != want || !slices.Equal(want.PACS(), pacs) {
			t.Errorf("%s: PACS % X is read as %s, %v and written as % X", v.Format, pacs, back.Text(), err, want.PACS())
		}
		fields, small := numbers(t, v.Fields)
		if got, err := f.EncodeBig(fields); err != nil || got != want {
			t.Errorf("%s: encode %v: got %s, %v, want %s", v.Format, fields, got.Text(), err, want.Text())
		}
		if got, err := f.DecodeBig(want); err != nil || !sameNumbers(got, fields) {
			t.Errorf("%s: decode %s: got %v, %v, want %v", v.Format, want.Text(), got, err, fields)
		}
		if f.Wide() {
			checkWide(t, f, small, want)
			continue
		}
		if got, err := f.Encode(small); err != nil || got != want {
			t.Errorf("%s: encode %v: got %s, %v, want %s", v.Format, small, got.Text(), err, want.Text())
		}
		if got, err := f.Decode(want); err != nil || !maps.Equal(got, small) {
			t.Errorf("%s: decode %s: got %v, %v, want %v", v.Format, want.Text(), got, err, small)
		}
	}
	for _, f := range c.Formats() {
		if seen[f.Name] == 0 {
			t.Errorf("%s has no vector", f.Name)
		}
	}
	if len(seen) != 67 {
		t.Errorf("%d formats have vectors, want 67", len(seen))
	}
}

// checkWide says that a format with a field of more than 64 bits refuses the
// functions of small numbers, even for a card whose number is small.
func checkWide(t *testing.T, f *Format, small map[string]uint64, card Bits) {
	t.Helper()
	if _, err := f.Encode(small); !errors.Is(err, ErrWide) {
		t.Errorf("%s: Encode: %v, want ErrWide", f.Name, err)
	}
	if _, err := f.Decode(card); !errors.Is(err, ErrWide) {
		t.Errorf("%s: Decode: %v, want ErrWide", f.Name, err)
	}
}

// The decode vectors are a reader's view: fields whatever the checks say, and
// the verdict of the parity alone. A candidate must be sound in all, so these
// many readings with no parity fault are none.
var unsound = map[string]int{
	"P10001":  19, // no parity, but start sentinel and checksum, which differ
	"HCP32":   26, // numbers past 14 bits, which the encoder refuses
	"SMP34":   7,  // likewise past the issuer's limit
	"OPTUS34": 4,
	"BQT38":   1,
}

func TestDecodeVectors(t *testing.T) {
	c := load(t)
	refused := map[string]int{}
	verdicts := map[string]int{}
	for _, v := range loadVectors(t).Decode {
		b := binaryBits(t, v.Binary)
		candidates := Candidates(c.Formats(), b)
		for _, m := range v.Matches {
			verdicts[m.Parity]++
			f := format(t, c, m.Format)
			r, err := f.Inspect(b)
			if err != nil || !maps.Equal(r.Fields, m.Fields) {
				t.Errorf("%s %s: got %v, %v, want %v", m.Format, b.Text(), r.Fields, err, m.Fields)
			}
			if got := len(r.Parity) > 0; got != (m.Parity == "fail") || (m.Parity == "none") != (len(f.Parity) == 0) {
				t.Errorf("%s %s: parity faults %v, want %s", m.Format, b.Text(), r.Parity, m.Parity)
			}
			fields, err := f.Decode(b)
			if (err == nil) != r.OK() || err == nil && !maps.Equal(fields, m.Fields) {
				t.Errorf("%s %s: Decode: %v, %v; Inspect: %+v", m.Format, b.Text(), fields, err, r)
			}
			i := slices.IndexFunc(candidates, func(c Candidate) bool { return c.Format == f })
			switch {
			case (i >= 0) != r.Sound():
				t.Errorf("%s %s: candidate %d; Inspect: %+v", m.Format, b.Text(), i, r)
			case i >= 0 && (!maps.Equal(candidates[i].Fields, m.Fields) || candidates[i].Spare != (len(r.Spare) > 0)):
				t.Errorf("%s %s: candidate %+v, want %v; Inspect: %+v", m.Format, b.Text(), candidates[i], m.Fields, r)
			case i < 0 && m.Parity != "fail":
				refused[m.Format]++
			}
		}
	}
	if want := map[string]int{"ok": 118, "none": 244, "fail": 236}; !maps.Equal(verdicts, want) {
		t.Errorf("walked %v, want %v", verdicts, want)
	}
	if !maps.Equal(refused, unsound) {
		t.Errorf("no candidates though the parity is not wrong: %v, want %v", refused, unsound)
	}
}

func TestParityErrorVectors(t *testing.T) {
	c := load(t)
	for _, v := range loadVectors(t).ParityErrors {
		f, b := format(t, c, v.Format), binaryBits(t, v.Binary)
		r, err := f.Inspect(b)
		if err != nil {
			t.Error(err)
		}
		slices.Sort(r.Parity)
		if !slices.Equal(r.Parity, v.FailingBits) {
			t.Errorf("%s %s: parity faults %v, want %v", v.Format, b.Text(), r.Parity, v.FailingBits)
		}
		if _, err := f.Decode(b); !errors.Is(err, ErrParity) {
			t.Errorf("%s %s: Decode: %v, want ErrParity", v.Format, b.Text(), err)
		}
	}
}

func TestOutOfRangeVectors(t *testing.T) {
	c := load(t)
	for _, v := range loadVectors(t).OutOfRange {
		f := format(t, c, v.Format)
		given := map[string]json.Number{v.Field: v.Value}
		for name := range f.Fields {
			if name != v.Field {
				given[name] = "0"
			}
		}
		fields, small := numbers(t, given)
		_, err := f.EncodeBig(fields)
		errs := []error{err}
		if small != nil {
			_, err := f.Encode(small)
			errs = append(errs, err)
		}
		for _, err := range errs {
			if !errors.Is(err, ErrRange) {
				t.Errorf("%s: %s = %s: %v, want ErrRange", v.Format, v.Field, v.Value, err)
			} else if strings.HasSuffix(err.Error(), " "+v.Value.String()) {
				t.Errorf("the error shows the number: %v", err)
			}
		}
	}
}

// The file says each thing twice, as positions and as masks.
func TestMasksAgree(t *testing.T) {
	var file struct {
		Formats []struct {
			Name   string
			Bits   int
			Fields map[string]struct{ Mask string }
			Parity []struct{ Mask string }
		}
	}
	if err := json.Unmarshal([]byte(formatsJSON), &file); err != nil {
		t.Fatal(err)
	}
	c := load(t)
	for _, raw := range file.Formats {
		f := format(t, c, raw.Name)
		check := func(what, mask string, positions []int) {
			v := new(big.Int)
			for _, i := range positions {
				v.SetBit(v, f.Bits-1-i, 1)
			}
			if want, ok := new(big.Int).SetString(mask, 16); !ok || v.Cmp(want) != 0 {
				t.Errorf("%s %s: positions give %X, mask is %s", f.Name, what, v, mask)
			}
		}
		for name, m := range raw.Fields {
			fd := f.Fields[name]
			positions := fd.Order
			for i := range fd.Length {
				if len(fd.Order) == 0 {
					positions = append(positions, fd.Start+i)
				}
			}
			check(name, m.Mask, positions)
		}
		for i, m := range raw.Parity {
			check("parity", m.Mask, f.Parity[i].Over)
		}
	}
}
