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

// notCarried are the formats that Encode and Decode refuse, and why.
var notCarried = map[string]string{
	"UUID128": "its one field has 128 bits; such a card is known by its bits alone",
}

type vectors struct {
	Encode []struct {
		Format      string
		Bits        int
		Fields      map[string]json.Number
		Binary, Hex string
		Left        string `json:"left_aligned_hex"`
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

func numbers(t testing.TB, in map[string]json.Number) (map[string]uint64, bool) {
	t.Helper()
	out := map[string]uint64{}
	for k, v := range in {
		n, ok := new(big.Int).SetString(v.String(), 10)
		if !ok {
			t.Fatalf("not a number: %s", v)
		}
		if !n.IsUint64() {
			return nil, false
		}
		out[k] = n.Uint64()
	}
	return out, true
}

func TestEncodeVectors(t *testing.T) {
	c := load(t)
	seen := map[string]bool{}
	for _, v := range loadVectors(t).Encode {
		seen[v.Format] = true
		f := format(t, c, v.Format)
		want := binaryBits(t, v.Binary)
		if left, _ := hex.DecodeString(v.Left); want.Hex() != v.Hex || !slices.Equal(want.Bytes(), left) {
			t.Errorf("%s: the vector's forms differ: hex %s, want %s", v.Format, want.Hex(), v.Hex)
		}
		fields, fit := numbers(t, v.Fields)
		if why, ok := notCarried[v.Format]; ok {
			if _, err := f.Encode(fields); !errors.Is(err, ErrUnsupported) {
				t.Errorf("%s is not carried (%s); Encode: %v", v.Format, why, err)
			}
			if _, err := f.Decode(want); !errors.Is(err, ErrUnsupported) {
				t.Errorf("%s is not carried (%s); Decode: %v", v.Format, why, err)
			}
			continue
		}
		if !fit {
			t.Errorf("%s: a field of more than 64 bits", v.Format)
			continue
		}
		if got, err := f.Encode(fields); err != nil || got != want {
			t.Errorf("%s: encode %v: got %s, %v, want %s", v.Format, fields, got.Text(), err, want.Text())
		}
		if got, err := f.Decode(want); err != nil || !maps.Equal(got, fields) {
			t.Errorf("%s: decode %s: got %v, %v, want %v", v.Format, want.Text(), got, err, fields)
		}
	}
	for _, f := range c.Formats() {
		if !seen[f.Name] {
			t.Errorf("%s has no vector", f.Name)
		}
		if _, ok := notCarried[f.Name]; ok != (f.Supported() != nil) {
			t.Errorf("%s: supported: %v", f.Name, f.Supported())
		}
	}
}

// The decode vectors are a reader's view: fields whatever the checks say, and
// the verdict of the parity alone. Decode takes a card only if the rest is
// sound too.
func TestDecodeVectors(t *testing.T) {
	c := load(t)
	taken := 0
	for _, v := range loadVectors(t).Decode {
		b := binaryBits(t, v.Binary)
		candidates := Candidates(c.Formats(), b)
		for _, m := range v.Matches {
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
			if among := slices.ContainsFunc(candidates, func(c Candidate) bool { return c.Format == f }); among != (err == nil) {
				t.Errorf("%s %s: a candidate: %v; Decode: %v", m.Format, b.Text(), among, err)
			}
			if err == nil {
				taken++
			}
		}
	}
	if taken < 150 {
		t.Errorf("Decode took %d matches, want most of the 362 with no parity fault", taken)
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
		n, ok := numbers(t, map[string]json.Number{v.Field: v.Value})
		if !ok {
			continue // a uint64 cannot even say it
		}
		n2 := maps.Clone(n)
		for name := range f.Fields {
			if name != v.Field {
				n2[name] = 0
			}
		}
		_, err := f.Encode(n2)
		if notCarried[v.Format] != "" {
			if !errors.Is(err, ErrUnsupported) {
				t.Errorf("%s: %v", v.Format, err)
			}
			continue
		}
		if !errors.Is(err, ErrRange) {
			t.Errorf("%s: %s = %s: %v, want ErrRange", v.Format, v.Field, v.Value, err)
		} else if strings.HasSuffix(err.Error(), " "+v.Value.String()) {
			t.Errorf("the error shows the number: %v", err)
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
