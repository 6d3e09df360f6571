package wiegand

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strings"
)

// The encodings of a field.
const (
	EncodingBinary = "binary" // most significant bit first
	EncodingBCD    = "bcd"    // decimal digits of 4 bits, most significant first
	EncodingFASCN  = "fascn"  // decimal digits of 4 bits, least significant bit first, and odd parity
)

// wordBits is the width of the fields that a uint64 carries.
const wordBits = 64

// A Field is one number on a card.
type Field struct {
	Start    int    `json:"start"`           // first bit, unless Order is given
	Length   int    `json:"length"`          // bits
	Order    []int  `json:"order,omitempty"` // scrambled fields: the position of each bit, most significant first
	Encoding string `json:"encoding"`        // empty is EncodingBinary
	// Max is the largest number, inclusive; 0 is all that the field holds. It is
	// math.MaxUint64 for a wide field, whose limit is WideMax.
	Max uint64 `json:"max"`
	// WideMax is Max of a field of more than 64 bits, and nil for others. It is
	// not to be changed.
	WideMax *big.Int `json:"-"`
}

// Wide reports that the field's numbers do not fit 64 bits, so that they are
// big numbers, and Encode and Decode refuse its format.
func (f Field) Wide() bool { return f.Encoding != EncodingFASCN && f.Length > wordBits }

// Limit is the largest number of the field, in a new value.
func (f Field) Limit() *big.Int {
	if f.WideMax != nil {
		return new(big.Int).Set(f.WideMax)
	}
	return new(big.Int).SetUint64(f.Max)
}

// MarshalJSON writes the limit as a number however wide it is.
func (f Field) MarshalJSON() ([]byte, error) {
	type plain Field // without this method
	return json.Marshal(struct {
		plain
		Max json.Number `json:"max"`
	}{plain(f), json.Number(f.Limit().String())})
}

// UnmarshalJSON takes a limit of any size: whether it fits the field is for
// NewFormat to say.
func (f *Field) UnmarshalJSON(data []byte) error {
	type plain Field // without this method
	v := struct {
		*plain
		Max json.Number `json:"max"`
	}{plain: (*plain)(f)}
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	f.Max, f.WideMax = 0, nil
	if v.Max == "" {
		return nil
	}
	n, ok := new(big.Int).SetString(v.Max.String(), 10)
	if !ok || n.Sign() < 0 {
		return fmt.Errorf("max: got %s, want a whole number, 0 or more", v.Max)
	}
	f.Max = math.MaxUint64
	if n.IsUint64() {
		f.Max = n.Uint64()
	} else {
		f.WideMax = n
	}
	return nil
}

// limit is the largest number that the field's bits hold.
func (f Field) limit() *big.Int {
	if f.Encoding == EncodingBCD {
		n, _ := new(big.Int).SetString(strings.Repeat("9", f.Length/4), 10)
		return n
	}
	n := new(big.Int).Lsh(big.NewInt(1), uint(f.Length))
	return n.Sub(n, big.NewInt(1))
}

// A progField is a field of 64 bits or less, made ready to run.
type progField struct {
	name     string
	start    int
	length   int
	order    []int
	encoding string
	max      uint64
}

// get reads the field; ok is false for a digit above 9.
func (f *progField) get(w *words) (v uint64, ok bool) {
	ok = true
	switch {
	case f.encoding == EncodingFASCN:
		for at := f.start; at < f.start+f.length; at += fascnCharBits {
			d := fascnGet(w, at)
			ok = ok && d <= 9
			v = v*10 + d
		}
	case f.encoding == EncodingBCD:
		for at := f.start; at < f.start+f.length; at += 4 {
			d := w.get(at, 4)
			ok = ok && d <= 9
			v = v*10 + d
		}
	case f.order != nil:
		for _, i := range f.order {
			v = v<<1 | w.bit(i)
		}
	default:
		v = w.get(f.start, f.length)
	}
	return v, ok
}

// put writes v, which is at most f.max, into bits that are 0.
func (f *progField) put(w *words, v uint64) {
	switch {
	case f.encoding == EncodingFASCN:
		for at := f.start + f.length - fascnCharBits; at >= f.start; at -= fascnCharBits {
			fascnPut(w, at, v%10)
			v /= 10
		}
	case f.encoding == EncodingBCD:
		for at := f.start + f.length - 4; at >= f.start; at -= 4 {
			w.or(at, 4, v%10)
			v /= 10
		}
	case f.order != nil:
		for i := len(f.order) - 1; i >= 0; i-- {
			w.set(f.order[i], v&1)
			v >>= 1
		}
	default:
		w.or(f.start, f.length, v)
	}
}
