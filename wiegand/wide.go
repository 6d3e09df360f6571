package wiegand

import "math/big"

// A wideField is a field of more than 64 bits, made ready to run. Few formats
// have one, so that it is built for being short.
type wideField struct {
	name  string
	parts []span // most significant first
	base  *big.Int
	max   *big.Int
}

// A span is some bits in a row: one bit, or one decimal digit.
type span struct{ start, length int }

func newWideField(name string, fd Field) wideField {
	f := wideField{name: name, base: big.NewInt(2), max: fd.WideMax}
	size := 1
	if fd.Encoding == EncodingBCD {
		f.base, size = big.NewInt(10), 4
	}
	for _, i := range fd.Order {
		f.parts = append(f.parts, span{i, size})
	}
	if len(fd.Order) == 0 {
		for at := 0; at < fd.Length; at += size {
			f.parts = append(f.parts, span{fd.Start + at, size})
		}
	}
	return f
}

// get reads the field; ok is false for a digit above 9.
func (f *wideField) get(w *words) (v *big.Int, ok bool) {
	v, ok = new(big.Int), true
	digit := new(big.Int)
	for _, s := range f.parts {
		digit.SetUint64(w.get(s.start, s.length))
		ok = ok && digit.Cmp(f.base) < 0
		v.Mul(v, f.base).Add(v, digit)
	}
	return v, ok
}

// put writes v, which is at most f.max, into bits that are 0.
func (f *wideField) put(w *words, v *big.Int) {
	rest, digit := new(big.Int).Set(v), new(big.Int)
	for i := len(f.parts) - 1; i >= 0; i-- {
		rest.QuoRem(rest, f.base, digit)
		w.or(f.parts[i].start, f.parts[i].length, digit.Uint64())
	}
}

// readWide is read for the fields of more than 64 bits; nil where there are
// none.
func (p *program) readWide(w *words) map[string]*big.Int {
	if len(p.wide) == 0 {
		return nil
	}
	m := make(map[string]*big.Int, len(p.wide))
	for i := range p.wide {
		m[p.wide[i].name], _ = p.wide[i].get(w)
	}
	return m
}
